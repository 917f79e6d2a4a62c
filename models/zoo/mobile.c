/* SPDX-License-Identifier: Apache-2.0
 *
 * Networks made small: SqueezeNet 1.1 (fire modules) and MobileNet v2 (inverted residuals, ReLU6).
 */
#include "builder.h"

#include <stdio.h>

/* ------------------------------------------------------------------------------------------- SqueezeNet */

static int conv_relu(struct zoo *z, int x, const char *block, const char *part, struct zoo_conv c) {
  char name[ZOO_NAME_MAX], relu[ZOO_NAME_MAX];
  c.bias = true;
  x = zoo_conv(z, x, zoo_name(name, block, part), c);
  return zoo_relu(z, x, zoo_name(relu, name, "relu"));
}

static int fire(struct zoo *z, int x, int layer, int squeeze, int expand) {
  char block[ZOO_NAME_MAX], cat[ZOO_NAME_MAX];
  snprintf(block, sizeof block, "features.%d", layer);
  x = conv_relu(z, x, block, "squeeze", zoo_conv_of(squeeze, 1, 1, 0));
  int y[2] = {conv_relu(z, x, block, "expand1x1", zoo_conv_of(expand, 1, 1, 0)),
              conv_relu(z, x, block, "expand3x3", zoo_conv_of(expand, 3, 1, 1))};
  return zoo_concat(z, zoo_name(cat, block, "cat"), y, 2);
}

/* The classifier is a 1x1 convolution, a ReLU and an average, so the scores are not negative; as in torchvision. */
void zoo_squeezenet1_1(struct zoo *z) {
  int x = zoo_image(z, "input", 224, ZOO_IMAGENET);
  x = conv_relu(z, x, "features", "0", zoo_conv_of(64, 3, 2, 0));
  x = zoo_max_pool(z, x, "features.2", 3, 2, 0, true);
  x = fire(z, x, 3, 16, 64);
  x = fire(z, x, 4, 16, 64);
  x = zoo_max_pool(z, x, "features.5", 3, 2, 0, true);
  x = fire(z, x, 6, 32, 128);
  x = fire(z, x, 7, 32, 128);
  x = zoo_max_pool(z, x, "features.8", 3, 2, 0, true);
  x = fire(z, x, 9, 48, 192);
  x = fire(z, x, 10, 48, 192);
  x = fire(z, x, 11, 64, 256);
  x = fire(z, x, 12, 64, 256);
  x = conv_relu(z, x, "classifier", "1", zoo_conv_of(1000, 1, 1, 0));
  zoo_output(z, zoo_flatten(z, zoo_global_average(z, x, "classifier.3"), "output"));
}

/* ---------------------------------------------------------------------------------------- MobileNet v2 */

static int conv_bn(struct zoo *z, int x, const char *block, const char *part, struct zoo_conv c, double gain) {
  char name[ZOO_NAME_MAX], bn[ZOO_NAME_MAX];
  x = zoo_conv(z, x, zoo_name(name, block, part), c);
  return zoo_norm(z, x, zoo_name(bn, name, "bn"), 1e-5, gain);
}

static int conv_bn_relu6(struct zoo *z, int x, const char *block, const char *part, struct zoo_conv c) {
  char name[ZOO_NAME_MAX], relu[ZOO_NAME_MAX];
  x = conv_bn(z, x, block, part, c, 1.0);
  return zoo_clip6(z, x, zoo_name(relu, zoo_name(name, block, part), "relu6"));
}

struct inverted {
  int expand, out, repeat, stride;
};

/* `channels` of x -> expand x channels -> depthwise 3x3 -> out, linear; added to x where shapes allow. */
static int inverted(struct zoo *z, int x, const char *block, int channels, int expand, int out, int stride) {
  char name[ZOO_NAME_MAX];
  int y = x;
  if (expand > 1) y = conv_bn_relu6(z, y, block, "expand", zoo_conv_of(expand * channels, 1, 1, 0));
  struct zoo_conv depthwise = zoo_conv_of(expand * channels, 3, stride, 1);
  depthwise.group = expand * channels;
  y = conv_bn_relu6(z, y, block, "depthwise", depthwise);
  bool adds = stride == 1 && channels == out;
  struct zoo_conv project = zoo_conv_of(out, 1, 1, 0);
  y = conv_bn(z, y, block, "project", project, adds ? ZOO_GAIN_RESIDUAL : 1.0);
  return adds ? zoo_add(z, y, x, zoo_name(name, block, "add")) : y;
}

void zoo_mobilenet_v2(struct zoo *z) {
  static const struct inverted stage[] = {{1, 16, 1, 1}, {6, 24, 2, 2},  {6, 32, 3, 2}, {6, 64, 4, 2},
                                          {6, 96, 3, 1}, {6, 160, 3, 2}, {6, 320, 1, 1}};
  int x = zoo_image(z, "input", 224, ZOO_IMAGENET), channels = 32, layer = 1;
  x = conv_bn_relu6(z, x, "features", "0", zoo_conv_of(32, 3, 2, 1));
  for (size_t s = 0; s < sizeof stage / sizeof *stage; s++)
    for (int i = 0; i < stage[s].repeat; i++) {
      char block[ZOO_NAME_MAX];
      snprintf(block, sizeof block, "features.%d", layer++);
      x = inverted(z, x, block, channels, stage[s].expand, stage[s].out, i == 0 ? stage[s].stride : 1);
      channels = stage[s].out;
    }
  x = conv_bn_relu6(z, x, "features", "18", zoo_conv_of(1280, 1, 1, 0));
  x = zoo_flatten(z, zoo_global_average(z, x, "avgpool"), "flatten");
  zoo_output(z, zoo_dense(z, x, "classifier.1", "output", 1000, ZOO_GAIN_LINEAR));
}
