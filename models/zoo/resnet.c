/* SPDX-License-Identifier: Apache-2.0
 *
 * ResNet-18 and -50 as torchvision has them (version 1.5: the stride is in the 3x3 convolution of a bottleneck).
 */
#include "builder.h"

#include <stdio.h>

static int conv_bn(struct zoo *z, int x, const char *block, const char *conv, const char *bn, struct zoo_conv c,
                   double gain) {
  char name[ZOO_NAME_MAX];
  if (gain < ZOO_GAIN_RELU) c.gain = ZOO_GAIN_LINEAR;
  x = zoo_conv(z, x, zoo_name(name, block, conv), c);
  return zoo_norm(z, x, zoo_name(name, block, bn), 1e-5, gain < ZOO_GAIN_LINEAR ? gain : 1.0);
}

static int relu_in(struct zoo *z, int x, const char *block, const char *relu) {
  char name[ZOO_NAME_MAX];
  return zoo_relu(z, x, zoo_name(name, block, relu));
}

static int shortcut(struct zoo *z, int x, const char *block, int out, int stride, bool project) {
  if (!project) return x;
  return conv_bn(z, x, block, "downsample.0", "downsample.1", zoo_conv_of(out, 1, stride, 0), ZOO_GAIN_LINEAR);
}

static int finish(struct zoo *z, int y, int side, const char *block) {
  char name[ZOO_NAME_MAX];
  return relu_in(z, zoo_add(z, y, side, zoo_name(name, block, "add")), block, "relu");
}

static int basic(struct zoo *z, int x, const char *b, int width, int stride, bool project) {
  int side = shortcut(z, x, b, width, stride, project);
  int y = conv_bn(z, x, b, "conv1", "bn1", zoo_conv_of(width, 3, stride, 1), ZOO_GAIN_RELU);
  y = relu_in(z, y, b, "relu1");
  y = conv_bn(z, y, b, "conv2", "bn2", zoo_conv_of(width, 3, 1, 1), ZOO_GAIN_RESIDUAL);
  return finish(z, y, side, b);
}

static int bottleneck(struct zoo *z, int x, const char *b, int width, int stride, bool project) {
  int side = shortcut(z, x, b, 4 * width, stride, project);
  int y = conv_bn(z, x, b, "conv1", "bn1", zoo_conv_of(width, 1, 1, 0), ZOO_GAIN_RELU);
  y = relu_in(z, y, b, "relu1");
  y = conv_bn(z, y, b, "conv2", "bn2", zoo_conv_of(width, 3, stride, 1), ZOO_GAIN_RELU);
  y = relu_in(z, y, b, "relu2");
  y = conv_bn(z, y, b, "conv3", "bn3", zoo_conv_of(4 * width, 1, 1, 0), ZOO_GAIN_RESIDUAL);
  return finish(z, y, side, b);
}

typedef int block_fn(struct zoo *z, int x, const char *name, int width, int stride, bool project);

static int features(struct zoo *z, int x, block_fn *block, const int depth[4], bool first_projects) {
  x = zoo_conv(z, x, "conv1", zoo_conv_of(64, 7, 2, 3));
  x = zoo_relu(z, zoo_norm(z, x, "bn1", 1e-5, 1.0), "relu");
  x = zoo_max_pool(z, x, "maxpool", 3, 2, 1, false);
  for (int s = 0; s < 4; s++)
    for (int i = 0; i < depth[s]; i++) {
      char name[ZOO_NAME_MAX];
      snprintf(name, sizeof name, "layer%d.%d", s + 1, i);
      x = block(z, x, name, 64 << s, s > 0 && i == 0 ? 2 : 1, i == 0 && (s > 0 || first_projects));
    }
  return zoo_flatten(z, zoo_global_average(z, x, "avgpool"), "flatten");
}

int zoo_resnet18_features(struct zoo *z, int x) {
  return features(z, x, basic, (const int[]){2, 2, 2, 2}, false);
}

void zoo_resnet18(struct zoo *z) {
  int x = zoo_resnet18_features(z, zoo_image(z, "input", 224, ZOO_IMAGENET));
  zoo_output(z, zoo_dense(z, x, "fc", "output", 1000, ZOO_GAIN_LINEAR));
}

void zoo_resnet50(struct zoo *z) {
  int x = zoo_image(z, "input", 224, ZOO_IMAGENET);
  x = features(z, x, bottleneck, (const int[]){3, 4, 6, 3}, true);
  zoo_output(z, zoo_dense(z, x, "fc", "output", 1000, ZOO_GAIN_LINEAR));
}
