/* SPDX-License-Identifier: Apache-2.0
 *
 * What the zoo's networks are written with. A builder remembers the first failure and every later step does nothing,
 * so that a network reads like its paper's table; zoo.c looks at the status once at the end.
 *
 * Names: a layer called "inception3a.branch1.conv" has the weights "inception3a.branch1.conv.weight" (torchvision's
 * names). Weights are found by name: a layer that is built a second time under another `prefix` (the views of a
 * multi-view network) shares the constants of the first.
 */
#ifndef BRAID_ZOO_BUILDER_H
#define BRAID_ZOO_BUILDER_H

#include "braid/models.h"

#define ZOO_NAME_MAX 96

struct zoo_weight;

struct zoo {
  struct braid_graph *graph;
  const char *model;
  uint64_t seed;
  int batch;
  char prefix[16]; /* put before node names, not before weight names */
  enum braid_status status;
  struct zoo_weight *weight; /* what has been made so far */
  int n_weights, weights_room;
};

/* Weights are uniform with standard deviation gain / sqrt(fan in): ZOO_GAIN_RELU keeps the mean square of what a ReLU
 * passes on (He et al., 2015), ZOO_GAIN_LINEAR that of a layer without one, and ZOO_GAIN_RESIDUAL lets a sum over many
 * residual blocks grow only slowly. */
#define ZOO_GAIN_RELU 1.41421356
#define ZOO_GAIN_LINEAR 1.0
#define ZOO_GAIN_RESIDUAL 0.4

struct zoo_conv {
  int out, kh, kw, stride, ph, pw;
  int group;   /* 0: 1 */
  bool bias;   /* false: a BatchNormalization follows */
  double gain; /* 0: ZOO_GAIN_RELU */
};
/* The usual square ones. */
struct zoo_conv zoo_conv_of(int out, int kernel, int stride, int pad);

void zoo_done(struct zoo *z); /* frees what the builder holds; not the graph */

/* A uint8 input [batch,3,size,size] and the Normalize node after it (its id is returned): ImageNet's mean and standard
 * deviation, or plain division by 255. */
enum zoo_scale { ZOO_IMAGENET, ZOO_UNIT };
int zoo_image(struct zoo *z, const char *name, int size, enum zoo_scale scale);

int zoo_conv(struct zoo *z, int x, const char *name, struct zoo_conv conv);
int zoo_norm(struct zoo *z, int x, const char *name, double epsilon, double gain);
int zoo_relu(struct zoo *z, int x, const char *name);
int zoo_clip6(struct zoo *z, int x, const char *name);
int zoo_leaky(struct zoo *z, int x, const char *name, double alpha);
int zoo_max_pool(struct zoo *z, int x, const char *name, int kernel, int stride, int pad, bool ceil_mode);
int zoo_average_pool(struct zoo *z, int x, const char *name, int kernel, int stride, int pad);
int zoo_global_average(struct zoo *z, int x, const char *name);
int zoo_flatten(struct zoo *z, int x, const char *name); /* [N,C,H,W] -> [N,CHW] */
int zoo_dense(struct zoo *z, int x, const char *name, const char *tensor, int out, double gain);
int zoo_concat(struct zoo *z, const char *name, const int *in, int n);
int zoo_max(struct zoo *z, const char *name, const int *in, int n);
int zoo_add(struct zoo *z, int a, int b, const char *name);
void zoo_output(struct zoo *z, int x);
/* Gives the builder's node names a prefix from here on: "view0." */
void zoo_prefix(struct zoo *z, const char *prefix);
/* "a.b" in `buf`, for composed layer names. */
const char *zoo_name(char buf[ZOO_NAME_MAX], const char *a, const char *b);

/* The networks; each builds inputs to outputs. */
void zoo_alexnet(struct zoo *z);
void zoo_vgg16(struct zoo *z);
void zoo_googlenet(struct zoo *z);
void zoo_inception_v3(struct zoo *z);
void zoo_resnet18(struct zoo *z);
void zoo_resnet50(struct zoo *z);
void zoo_squeezenet1_1(struct zoo *z);
void zoo_mobilenet_v2(struct zoo *z);
void zoo_densenet121(struct zoo *z);
void zoo_yolov2_tiny(struct zoo *z);
void zoo_mvcnn4_googlenet(struct zoo *z);
void zoo_mvcnn4_resnet18(struct zoo *z);

/* Trunks that other networks reuse: image tensor -> features [N,1024] / [N,512]. */
int zoo_googlenet_features(struct zoo *z, int image);
int zoo_resnet18_features(struct zoo *z, int image);

#endif
