/* SPDX-License-Identifier: Apache-2.0
 *
 * Networks that are one chain: AlexNet (torchvision's one-column form), VGG-16 (configuration D) and tiny YOLOv2.
 * torchvision's adaptive average pool is the identity at 224x224 and is left out, as is dropout.
 */
#include "builder.h"

#include <stdio.h>

static int conv_relu(struct zoo *z, int x, const char *name, struct zoo_conv c) {
  char relu[ZOO_NAME_MAX];
  c.bias = true;
  x = zoo_conv(z, x, name, c);
  return zoo_relu(z, x, zoo_name(relu, name, "relu"));
}

/* Both end in 4096, 4096, 1000; torchvision numbers the layers of the two differently. */
static void classifier(struct zoo *z, int x, const char *const name[3]) {
  char relu[ZOO_NAME_MAX];
  x = zoo_flatten(z, x, "flatten");
  for (int i = 0; i < 2; i++) {
    x = zoo_dense(z, x, name[i], name[i], 4096, ZOO_GAIN_RELU);
    x = zoo_relu(z, x, zoo_name(relu, name[i], "relu"));
  }
  zoo_output(z, zoo_dense(z, x, name[2], "output", 1000, ZOO_GAIN_LINEAR));
}

void zoo_alexnet(struct zoo *z) {
  int x = zoo_image(z, "input", 224, ZOO_IMAGENET);
  x = conv_relu(z, x, "features.0", zoo_conv_of(64, 11, 4, 2));
  x = zoo_max_pool(z, x, "features.2", 3, 2, 0, false);
  x = conv_relu(z, x, "features.3", zoo_conv_of(192, 5, 1, 2));
  x = zoo_max_pool(z, x, "features.5", 3, 2, 0, false);
  x = conv_relu(z, x, "features.6", zoo_conv_of(384, 3, 1, 1));
  x = conv_relu(z, x, "features.8", zoo_conv_of(256, 3, 1, 1));
  x = conv_relu(z, x, "features.10", zoo_conv_of(256, 3, 1, 1));
  x = zoo_max_pool(z, x, "features.12", 3, 2, 0, false);
  classifier(z, x, (const char *const[]){"classifier.1", "classifier.4", "classifier.6"});
}

void zoo_vgg16(struct zoo *z) {
  static const int width[] = {64, 64, 0, 128, 128, 0, 256, 256, 256, 0, 512, 512, 512, 0, 512, 512, 512, 0};
  int x = zoo_image(z, "input", 224, ZOO_IMAGENET), layer = 0;
  for (size_t i = 0; i < sizeof width / sizeof *width; i++) {
    char name[ZOO_NAME_MAX];
    snprintf(name, sizeof name, "features.%d", layer);
    layer += width[i] ? 2 : 1;
    x = width[i] ? conv_relu(z, x, name, zoo_conv_of(width[i], 3, 1, 1)) : zoo_max_pool(z, x, name, 2, 2, 0, false);
  }
  classifier(z, x, (const char *const[]){"classifier.0", "classifier.3", "classifier.6"});
}

/* yolov2-tiny-voc: 5 anchors x (4 box + 1 objectness + 20 classes) = 125 channels on a 13x13 grid. The last pool has
 * stride 1 and keeps 13x13. Darknet feeds pixels / 255. */
void zoo_yolov2_tiny(struct zoo *z) {
  static const int width[] = {16, 32, 64, 128, 256, 512, 1024, 1024};
  int x = zoo_image(z, "input", 416, ZOO_UNIT);
  for (int i = 0; i < 8; i++) {
    char name[ZOO_NAME_MAX], part[ZOO_NAME_MAX];
    snprintf(name, sizeof name, "conv%d", i + 1);
    x = zoo_conv(z, x, name, zoo_conv_of(width[i], 3, 1, 1));
    x = zoo_norm(z, x, zoo_name(part, name, "bn"), 1e-5, 1.0);
    x = zoo_leaky(z, x, zoo_name(part, name, "leaky"), 0.1);
    if (i < 6) x = zoo_max_pool(z, x, zoo_name(part, name, "pool"), 2, i < 5 ? 2 : 1, 0, false);
  }
  struct zoo_conv head = zoo_conv_of(125, 1, 1, 0);
  head.bias = true;
  head.gain = ZOO_GAIN_LINEAR;
  zoo_output(z, zoo_conv(z, x, "output", head));
}
