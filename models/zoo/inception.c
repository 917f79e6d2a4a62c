/* SPDX-License-Identifier: Apache-2.0
 *
 * GoogLeNet and Inception v3 as torchvision has them: convolutions without bias followed by BatchNormalization (epsilon
 * 1e-3) and ReLU, no auxiliary heads, GoogLeNet's pools rounding up and a 3x3 convolution in its "5x5" branch.
 */
#include "builder.h"

/* BasicConv2d */
static int unit(struct zoo *z, int x, const char *name, struct zoo_conv c) {
  char part[ZOO_NAME_MAX];
  x = zoo_conv(z, x, zoo_name(part, name, "conv"), c);
  x = zoo_norm(z, x, zoo_name(part, name, "bn"), 1e-3, 1.0);
  return zoo_relu(z, x, zoo_name(part, name, "relu"));
}

static int unit_in(struct zoo *z, int x, const char *block, const char *name, struct zoo_conv c) {
  char full[ZOO_NAME_MAX];
  return unit(z, x, zoo_name(full, block, name), c);
}

static int square(struct zoo *z, int x, const char *block, const char *name, int out, int k, int stride, int pad) {
  return unit_in(z, x, block, name, zoo_conv_of(out, k, stride, pad));
}

/* 1xk and kx1 convolutions that keep the size. */
static int wide(struct zoo *z, int x, const char *block, const char *name, int out, int k) {
  return unit_in(z, x, block, name, (struct zoo_conv){.out = out, .kh = 1, .kw = k, .stride = 1, .pw = k / 2});
}
static int tall(struct zoo *z, int x, const char *block, const char *name, int out, int k) {
  return unit_in(z, x, block, name, (struct zoo_conv){.out = out, .kh = k, .kw = 1, .stride = 1, .ph = k / 2});
}

static int join(struct zoo *z, const char *block, const char *name, const int *in, int n) {
  char full[ZOO_NAME_MAX];
  return zoo_concat(z, zoo_name(full, block, name), in, n);
}

/* -------------------------------------------------------------------------------------------- GoogLeNet */

struct inception {
  const char *name;
  int b1, b2a, b2b, b3a, b3b, b4;
  int pool; /* kernel of the max pool after the block; 0: none */
};

static int inception(struct zoo *z, int x, const struct inception *b) {
  char pool[ZOO_NAME_MAX];
  int y[4];
  y[0] = square(z, x, b->name, "branch1", b->b1, 1, 1, 0);
  y[1] = square(z, x, b->name, "branch2.0", b->b2a, 1, 1, 0);
  y[1] = square(z, y[1], b->name, "branch2.1", b->b2b, 3, 1, 1);
  y[2] = square(z, x, b->name, "branch3.0", b->b3a, 1, 1, 0);
  y[2] = square(z, y[2], b->name, "branch3.1", b->b3b, 3, 1, 1);
  y[3] = zoo_max_pool(z, x, zoo_name(pool, b->name, "branch4.0"), 3, 1, 1, true);
  y[3] = square(z, y[3], b->name, "branch4.1", b->b4, 1, 1, 0);
  return join(z, b->name, "cat", y, 4);
}

int zoo_googlenet_features(struct zoo *z, int x) {
  static const struct inception block[] = {
      {"inception3a", 64, 96, 128, 16, 32, 32, 0},     {"inception3b", 128, 128, 192, 32, 96, 64, 3},
      {"inception4a", 192, 96, 208, 16, 48, 64, 0},    {"inception4b", 160, 112, 224, 24, 64, 64, 0},
      {"inception4c", 128, 128, 256, 24, 64, 64, 0},   {"inception4d", 112, 144, 288, 32, 64, 64, 0},
      {"inception4e", 256, 160, 320, 32, 128, 128, 2}, {"inception5a", 256, 160, 320, 32, 128, 128, 0},
      {"inception5b", 384, 192, 384, 48, 128, 128, 0},
  };
  x = unit(z, x, "conv1", zoo_conv_of(64, 7, 2, 3));
  x = zoo_max_pool(z, x, "maxpool1", 3, 2, 0, true);
  x = unit(z, x, "conv2", zoo_conv_of(64, 1, 1, 0));
  x = unit(z, x, "conv3", zoo_conv_of(192, 3, 1, 1));
  x = zoo_max_pool(z, x, "maxpool2", 3, 2, 0, true);
  for (size_t i = 0; i < sizeof block / sizeof *block; i++) {
    char pool[ZOO_NAME_MAX];
    x = inception(z, x, &block[i]);
    if (block[i].pool) x = zoo_max_pool(z, x, zoo_name(pool, block[i].name, "pool"), block[i].pool, 2, 0, true);
  }
  x = zoo_global_average(z, x, "avgpool");
  return zoo_flatten(z, x, "flatten");
}

void zoo_googlenet(struct zoo *z) {
  int x = zoo_googlenet_features(z, zoo_image(z, "input", 224, ZOO_IMAGENET));
  zoo_output(z, zoo_dense(z, x, "fc", "output", 1000, ZOO_GAIN_LINEAR));
}

/* ----------------------------------------------------------------------------------------- Inception v3 */

static int pool_branch(struct zoo *z, int x, const char *b, int out) {
  char pool[ZOO_NAME_MAX];
  x = zoo_average_pool(z, x, zoo_name(pool, b, "pool"), 3, 1, 1);
  return square(z, x, b, "branch_pool", out, 1, 1, 0);
}

static int mixed_a(struct zoo *z, int x, const char *b, int pool_features) {
  int y[4];
  y[0] = square(z, x, b, "branch1x1", 64, 1, 1, 0);
  y[1] = square(z, x, b, "branch5x5_1", 48, 1, 1, 0);
  y[1] = square(z, y[1], b, "branch5x5_2", 64, 5, 1, 2);
  y[2] = square(z, x, b, "branch3x3dbl_1", 64, 1, 1, 0);
  y[2] = square(z, y[2], b, "branch3x3dbl_2", 96, 3, 1, 1);
  y[2] = square(z, y[2], b, "branch3x3dbl_3", 96, 3, 1, 1);
  y[3] = pool_branch(z, x, b, pool_features);
  return join(z, b, "cat", y, 4);
}

static int mixed_b(struct zoo *z, int x, const char *b) {
  char pool[ZOO_NAME_MAX];
  int y[3];
  y[0] = square(z, x, b, "branch3x3", 384, 3, 2, 0);
  y[1] = square(z, x, b, "branch3x3dbl_1", 64, 1, 1, 0);
  y[1] = square(z, y[1], b, "branch3x3dbl_2", 96, 3, 1, 1);
  y[1] = square(z, y[1], b, "branch3x3dbl_3", 96, 3, 2, 0);
  y[2] = zoo_max_pool(z, x, zoo_name(pool, b, "pool"), 3, 2, 0, false);
  return join(z, b, "cat", y, 3);
}

static int mixed_c(struct zoo *z, int x, const char *b, int c7) {
  int y[4];
  y[0] = square(z, x, b, "branch1x1", 192, 1, 1, 0);
  y[1] = square(z, x, b, "branch7x7_1", c7, 1, 1, 0);
  y[1] = wide(z, y[1], b, "branch7x7_2", c7, 7);
  y[1] = tall(z, y[1], b, "branch7x7_3", 192, 7);
  y[2] = square(z, x, b, "branch7x7dbl_1", c7, 1, 1, 0);
  y[2] = tall(z, y[2], b, "branch7x7dbl_2", c7, 7);
  y[2] = wide(z, y[2], b, "branch7x7dbl_3", c7, 7);
  y[2] = tall(z, y[2], b, "branch7x7dbl_4", c7, 7);
  y[2] = wide(z, y[2], b, "branch7x7dbl_5", 192, 7);
  y[3] = pool_branch(z, x, b, 192);
  return join(z, b, "cat", y, 4);
}

static int mixed_d(struct zoo *z, int x, const char *b) {
  char pool[ZOO_NAME_MAX];
  int y[3];
  y[0] = square(z, x, b, "branch3x3_1", 192, 1, 1, 0);
  y[0] = square(z, y[0], b, "branch3x3_2", 320, 3, 2, 0);
  y[1] = square(z, x, b, "branch7x7x3_1", 192, 1, 1, 0);
  y[1] = wide(z, y[1], b, "branch7x7x3_2", 192, 7);
  y[1] = tall(z, y[1], b, "branch7x7x3_3", 192, 7);
  y[1] = square(z, y[1], b, "branch7x7x3_4", 192, 3, 2, 0);
  y[2] = zoo_max_pool(z, x, zoo_name(pool, b, "pool"), 3, 2, 0, false);
  return join(z, b, "cat", y, 3);
}

static int mixed_e(struct zoo *z, int x, const char *b) {
  int y[4], t;
  y[0] = square(z, x, b, "branch1x1", 320, 1, 1, 0);
  t = square(z, x, b, "branch3x3_1", 384, 1, 1, 0);
  int a[2] = {wide(z, t, b, "branch3x3_2a", 384, 3), tall(z, t, b, "branch3x3_2b", 384, 3)};
  y[1] = join(z, b, "branch3x3.cat", a, 2);
  t = square(z, x, b, "branch3x3dbl_1", 448, 1, 1, 0);
  t = square(z, t, b, "branch3x3dbl_2", 384, 3, 1, 1);
  int d[2] = {wide(z, t, b, "branch3x3dbl_3a", 384, 3), tall(z, t, b, "branch3x3dbl_3b", 384, 3)};
  y[2] = join(z, b, "branch3x3dbl.cat", d, 2);
  y[3] = pool_branch(z, x, b, 192);
  return join(z, b, "cat", y, 4);
}

static int stem_v3(struct zoo *z, int x) {
  x = unit(z, x, "Conv2d_1a_3x3", zoo_conv_of(32, 3, 2, 0));
  x = unit(z, x, "Conv2d_2a_3x3", zoo_conv_of(32, 3, 1, 0));
  x = unit(z, x, "Conv2d_2b_3x3", zoo_conv_of(64, 3, 1, 1));
  x = zoo_max_pool(z, x, "maxpool1", 3, 2, 0, false);
  x = unit(z, x, "Conv2d_3b_1x1", zoo_conv_of(80, 1, 1, 0));
  x = unit(z, x, "Conv2d_4a_3x3", zoo_conv_of(192, 3, 1, 0));
  return zoo_max_pool(z, x, "maxpool2", 3, 2, 0, false);
}

void zoo_inception_v3(struct zoo *z) {
  int x = stem_v3(z, zoo_image(z, "input", 299, ZOO_IMAGENET));
  x = mixed_a(z, x, "Mixed_5b", 32);
  x = mixed_a(z, x, "Mixed_5c", 64);
  x = mixed_a(z, x, "Mixed_5d", 64);
  x = mixed_b(z, x, "Mixed_6a");
  x = mixed_c(z, x, "Mixed_6b", 128);
  x = mixed_c(z, x, "Mixed_6c", 160);
  x = mixed_c(z, x, "Mixed_6d", 160);
  x = mixed_c(z, x, "Mixed_6e", 192);
  x = mixed_d(z, x, "Mixed_7a");
  x = mixed_e(z, x, "Mixed_7b");
  x = mixed_e(z, x, "Mixed_7c");
  x = zoo_flatten(z, zoo_global_average(z, x, "avgpool"), "flatten");
  zoo_output(z, zoo_dense(z, x, "fc", "output", 1000, ZOO_GAIN_LINEAR));
}
