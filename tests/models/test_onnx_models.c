/* SPDX-License-Identifier: Apache-2.0
 * Real networks through the importer: they seal, every invariant holds, and their sizes are the published ones. */
#include "braid/models.h"
#include "ref_evaluator.h"
#include "testdata.h"
#include "topo_weights.h"

#include <criterion/criterion.h>
#include <math.h>

static struct braid_graph *load(const char *path) {
  struct braid_evaluator evaluator = ref_evaluator();
  struct braid_onnx_opts opts = {.evaluator = &evaluator};
  struct braid_graph *graph = NULL;
  enum braid_status status = braid_onnx_load(path, &opts, &graph);
  cr_assert_eq(status, BRAID_OK, "%s", braid_error());
  status = braid_graph_seal(graph, BRAID_PASS_ALL);
  cr_assert_eq(status, BRAID_OK, "%s: %s", path, braid_error());
  status = braid_graph_check(graph);
  cr_assert_eq(status, BRAID_OK, "%s: %s", path, braid_error());
  return graph;
}

struct topo {
  const char *name;
  double params_m, macs_m; /* millions, from topo/README.txt */
};

static const struct topo topos[] = {
    {"resnet18_sharedinit", 11.68, 1814.1},
    {"googlenet", 6.62, 1498.4},
    {"inception_v3", 23.82, 5713.2},
    {"resnet50", 25.53, 4089.2},
    {"resnet18", 11.68, 1814.1},
    {"densenet121", 8.04, 2834.2},
    {"squeezenet1_1", 1.24, 349.2},
    {"mobilenet_v2", 3.49, 300.8},
    {"vgg16", 138.36, 15470.3},
    {"alexnet", 61.10, 714.2},
    {"shufflenet_v2_x1_0", 2.27, 144.9},
    {"efficientnet_b0", 5.27, 385.8},
};

Test(onnx_models, topologies) {
  for (size_t i = 0; i < sizeof topos / sizeof *topos; i++) {
    struct topo_model model;
    if (!topo_model_make(topos[i].name, false, &model)) continue;
    struct braid_graph *graph = load(model.path);
    int64_t params, macs, bytes;
    braid_graph_totals(graph, &params, &macs, &bytes);
    fprintf(stderr, "%s: %d nodes, %.2f M parameters, %.1f M MACs\n", topos[i].name, braid_graph_size(graph),
            (double)params / 1e6, (double)macs / 1e6);
    cr_expect(fabs((double)macs / 1e6 - topos[i].macs_m) <= 0.06, "%s: %.2f M MACs", topos[i].name, (double)macs / 1e6);
    cr_expect(fabs((double)params / 1e6 - topos[i].params_m) <= 0.011 * (1 + topos[i].params_m * 0.01),
              "%s: %.3f M params", topos[i].name, (double)params / 1e6);
    braid_graph_destroy(&graph);
    topo_model_remove(&model);
  }
}

static void expect_loads(const char *folder, const char *name) {
  char file[128], path[512];
  snprintf(file, sizeof file, "%s/%s.onnx", folder, name);
  if (!testdata_path(file, path, sizeof path)) return;
  struct braid_graph *graph = load(path);
  int n;
  braid_graph_outputs(graph, &n);
  fprintf(stderr, "%s: %d nodes, %d outputs\n", name, braid_graph_size(graph), n);
  cr_expect_gt(n, 0);
  braid_graph_destroy(&graph);
}

Test(onnx_models, trained) {
  static const char *const names[] = {"cifar_inception_bn",
                                      "cifar_inception_folded",
                                      "cifar_inception_folded_b1",
                                      "cifar_resnet_bn",
                                      "cifar_resnet_folded",
                                      "cifar_resnet_folded_b1",
                                      "cifar_vgg_bn",
                                      "cifar_vgg_folded",
                                      "cifar_vgg_folded_b1",
                                      "fastestdet_352",
                                      "mnist8",
                                      "mobilenetv2_fp32",
                                      "squeezenet11_fp16",
                                      "squeezenet11_fp32",
                                      "ultraface_rfb_320",
                                      "ultraface_rfb_320_simplified",
                                      "mobilenetv2_int8_qlinear",
                                      "yunet_n_320"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) expect_loads("models", names[i]);
}

Test(onnx_models, light) {
  static const char *const names[] = {"light_densenet121", "light_inception_v1", "light_resnet50", "light_shufflenet",
                                      "light_vgg19"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) expect_loads("onnx-light", names[i]);
}
