/* SPDX-License-Identifier: Apache-2.0
 *
 * DenseNet-121: every layer normalises all that came before it in its block (BatchNormalization and ReLU in front of
 * the convolution), makes 32 channels and appends them. The block's tensor is written as a chain of two-operand
 * Concats, which says "append" and lets the executor join without copies.
 */
#include "builder.h"

#include <stdio.h>

enum { GROWTH = 32, BOTTLENECK = 4 * GROWTH };

static int norm_relu(struct zoo *z, int x, const char *block, const char *norm) {
  char name[ZOO_NAME_MAX], relu[ZOO_NAME_MAX];
  x = zoo_norm(z, x, zoo_name(name, block, norm), 1e-5, 1.0);
  return zoo_relu(z, x, zoo_name(relu, name, "relu"));
}

static int conv_in(struct zoo *z, int x, const char *block, const char *conv, struct zoo_conv c) {
  char name[ZOO_NAME_MAX];
  return zoo_conv(z, x, zoo_name(name, block, conv), c);
}

static int dense_layer(struct zoo *z, int x, const char *layer) {
  char name[ZOO_NAME_MAX];
  int y = norm_relu(z, x, layer, "norm1");
  y = conv_in(z, y, layer, "conv1", zoo_conv_of(BOTTLENECK, 1, 1, 0));
  y = norm_relu(z, y, layer, "norm2");
  y = conv_in(z, y, layer, "conv2", zoo_conv_of(GROWTH, 3, 1, 1));
  return zoo_concat(z, zoo_name(name, layer, "cat"), (int[]){x, y}, 2);
}

static int transition(struct zoo *z, int x, int number, int channels) {
  char name[ZOO_NAME_MAX], pool[ZOO_NAME_MAX];
  snprintf(name, sizeof name, "features.transition%d", number);
  x = norm_relu(z, x, name, "norm");
  x = conv_in(z, x, name, "conv", zoo_conv_of(channels, 1, 1, 0));
  return zoo_average_pool(z, x, zoo_name(pool, name, "pool"), 2, 2, 0);
}

void zoo_densenet121(struct zoo *z) {
  static const int depth[4] = {6, 12, 24, 16};
  int x = zoo_image(z, "input", 224, ZOO_IMAGENET), channels = 2 * GROWTH;
  x = zoo_conv(z, x, "features.conv0", zoo_conv_of(channels, 7, 2, 3));
  x = zoo_max_pool(z, norm_relu(z, x, "features", "norm0"), "features.pool0", 3, 2, 1, false);
  for (int b = 0; b < 4; b++) {
    for (int i = 0; i < depth[b]; i++) {
      char layer[ZOO_NAME_MAX];
      snprintf(layer, sizeof layer, "features.denseblock%d.denselayer%d", b + 1, i + 1);
      x = dense_layer(z, x, layer);
    }
    channels += depth[b] * GROWTH;
    if (b < 3) x = transition(z, x, b + 1, channels /= 2);
  }
  x = norm_relu(z, x, "features", "norm5");
  x = zoo_flatten(z, zoo_global_average(z, x, "avgpool"), "flatten");
  zoo_output(z, zoo_dense(z, x, "classifier", "output", 1000, ZOO_GAIN_LINEAR));
}
