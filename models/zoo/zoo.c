/* SPDX-License-Identifier: Apache-2.0
 * The table of built-in networks. */
#include "builder.h"

#include <string.h>

struct maker {
  const char *name;
  void (*build)(struct zoo *z);
};

static const struct braid_zoo_entry entries[] = {
    {"alexnet", "eight layers in a chain, 61 M parameters", "Krizhevsky, arXiv:1404.5997"},
    {"vgg16", "sixteen layers in a chain, 15.5 GMAC", "Simonyan and Zisserman, arXiv:1409.1556"},
    {"googlenet", "nine inception blocks of four branches", "Szegedy et al., arXiv:1409.4842"},
    {"inception_v3", "eleven factorised inception blocks, 299x299", "Szegedy et al., arXiv:1512.00567"},
    {"resnet18", "eight basic residual blocks", "He et al., arXiv:1512.03385"},
    {"resnet50", "sixteen bottleneck residual blocks", "He et al., arXiv:1512.03385"},
    {"squeezenet1_1", "eight fire modules, 1.2 M parameters", "Iandola et al., arXiv:1602.07360"},
    {"mobilenet_v2", "inverted residuals with depthwise convolutions", "Sandler et al., arXiv:1801.04381"},
    {"densenet121", "four dense blocks, pre-activation", "Huang et al., arXiv:1608.06993"},
    {"yolov2_tiny", "detector in a chain, 416x416, 20 VOC classes", "Redmon and Farhadi, arXiv:1612.08242"},
    {"mvcnn4_googlenet", "four cameras, one GoogLeNet each (shared weights), one head", "Su et al., arXiv:1505.00880"},
    {"mvcnn4_resnet18", "four cameras, one ResNet-18 each (shared weights), one head", "Su et al., arXiv:1505.00880"},
};

static const struct maker makers[] = {
    {"alexnet", zoo_alexnet},
    {"vgg16", zoo_vgg16},
    {"googlenet", zoo_googlenet},
    {"inception_v3", zoo_inception_v3},
    {"resnet18", zoo_resnet18},
    {"resnet50", zoo_resnet50},
    {"squeezenet1_1", zoo_squeezenet1_1},
    {"mobilenet_v2", zoo_mobilenet_v2},
    {"densenet121", zoo_densenet121},
    {"yolov2_tiny", zoo_yolov2_tiny},
    {"mvcnn4_googlenet", zoo_mvcnn4_googlenet},
    {"mvcnn4_resnet18", zoo_mvcnn4_resnet18},
};

#define COUNT(a) ((int)(sizeof(a) / sizeof *(a)))

const struct braid_zoo_entry *braid_zoo(int *n) {
  _Static_assert(COUNT(entries) == COUNT(makers), "one maker for each entry");
  *n = COUNT(entries);
  return entries;
}

static const struct maker *find(const char *name) {
  for (int i = 0; i < COUNT(makers); i++)
    if (strcmp(makers[i].name, name) == 0) return &makers[i];
  return NULL;
}

enum braid_status braid_zoo_build(const char *name, int batch, uint64_t seed, struct braid_graph **out) {
  const struct maker *maker = find(name);
  if (!maker) return braid_fail(BRAID_ENOTFOUND, "'%s' is not in the zoo ('braid models' lists it)", name);
  if (batch < 0) return braid_fail(BRAID_EINVAL, "%s: batch %d is negative", name, batch);
  struct zoo z = {.model = maker->name, .seed = seed, .batch = batch ? batch : 1};
  BRAID_TRY(braid_graph_create(maker->name, &z.graph));
  maker->build(&z);
  zoo_done(&z);
  if (z.status != BRAID_OK) {
    braid_graph_destroy(&z.graph);
    return braid_fail_in(z.status, "zoo model %s", name);
  }
  *out = z.graph;
  return BRAID_OK;
}
