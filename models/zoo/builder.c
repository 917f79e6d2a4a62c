/* SPDX-License-Identifier: Apache-2.0 */
#include "builder.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

struct zoo_weight {
  char name[ZOO_NAME_MAX];
  int operand;
};

/* ------------------------------------------------------------------------------------------------ names */

const char *zoo_name(char buf[ZOO_NAME_MAX], const char *a, const char *b) {
  snprintf(buf, ZOO_NAME_MAX, "%s.%s", a, b);
  return buf;
}

void zoo_prefix(struct zoo *z, const char *prefix) {
  snprintf(z->prefix, sizeof z->prefix, "%s", prefix);
}

void zoo_done(struct zoo *z) {
  braid_free(z->weight);
  z->weight = NULL;
}

/* ---------------------------------------------------------------------------------------------- weights */

/* value i = centre + spread * u(i), u uniform in [-1,1): does not depend on any other tensor or element. */
static void fill(const struct zoo *z, const char *tensor, double centre, double spread, float *out, int64_t n) {
  char key[2 * ZOO_NAME_MAX];
  snprintf(key, sizeof key, "%s/%s", z->model, tensor);
  uint64_t seed = z->seed ^ braid_fnv1a(key);
  float c = (float)centre, s = (float)spread;
  for (int64_t i = 0; i < n; i++) out[i] = c + s * braid_random_f32(seed, (uint64_t)i);
}

static enum braid_status remember(struct zoo *z, const char *tensor, int operand) {
  if (z->n_weights == z->weights_room) {
    int room = z->weights_room ? 2 * z->weights_room : 64;
    struct zoo_weight *grown = braid_realloc(z->weight, (size_t)room * sizeof *grown);
    if (!grown) return braid_fail(BRAID_ENOMEM, "%s: no memory for the list of weights", z->model);
    z->weight = grown;
    z->weights_room = room;
  }
  struct zoo_weight *w = &z->weight[z->n_weights++];
  snprintf(w->name, sizeof w->name, "%s", tensor);
  w->operand = operand;
  return BRAID_OK;
}

/* Hands the graph `data`, whatever happens. */
static enum braid_status give(struct zoo *z, const char *tensor, float *data, const struct braid_shape *shape,
                              int *operand) {
  BRAID_TRY(braid_graph_adopt(z->graph, data, braid_free));
  struct braid_tensor t = {data, BRAID_F32, *shape};
  BRAID_TRY(braid_graph_add_constant(z->graph, tensor, &t, operand));
  return remember(z, tensor, *operand);
}

static int known(const struct zoo *z, const char *tensor) {
  for (int i = 0; i < z->n_weights; i++)
    if (strcmp(z->weight[i].name, tensor) == 0) return z->weight[i].operand;
  return BRAID_NONE;
}

static float *room_for(struct zoo *z, const char *tensor, const struct braid_shape *shape) {
  size_t bytes;
  z->status = braid_shape_bytes(shape, BRAID_F32, &bytes);
  if (z->status != BRAID_OK) return NULL;
  float *data = braid_alloc_aligned(bytes);
  if (!data) z->status = braid_fail(BRAID_ENOMEM, "%s: no memory for '%s' (%zu bytes)", z->model, tensor, bytes);
  return data;
}

/* The constant "<layer>.<what>", made on first use. */
static int weight(struct zoo *z, const char *layer, const char *what, struct braid_shape shape, double centre,
                  double spread) {
  char tensor[ZOO_NAME_MAX];
  zoo_name(tensor, layer, what);
  int operand = known(z, tensor);
  if (z->status != BRAID_OK || operand != BRAID_NONE) return operand;
  float *data = room_for(z, tensor, &shape);
  if (!data) return BRAID_NONE;
  fill(z, tensor, centre, spread, data, braid_shape_elements(&shape));
  z->status = give(z, tensor, data, &shape, &operand);
  return operand;
}

static int weight1(struct zoo *z, const char *layer, const char *what, int n, double centre, double spread) {
  return weight(z, layer, what, braid_shape_of(1, &n), centre, spread);
}

/* Uniform in [-a,a) has standard deviation a / sqrt(3). */
static double spread_for(double gain, int fan_in) {
  return gain * sqrt(3.0 / fan_in);
}

/* ------------------------------------------------------------------------------------------------ nodes */

static struct braid_shape shape_of(const struct zoo *z, int id) {
  return braid_graph_node(z->graph, id)->shape;
}

static int add(struct zoo *z, enum braid_op op, const union braid_attrs *attrs, const int *in, int n,
               const struct braid_shape *hint, const char *name) {
  if (z->status != BRAID_OK) return 0;
  char full[ZOO_NAME_MAX + sizeof z->prefix];
  snprintf(full, sizeof full, "%s%s", z->prefix, name);
  int id = 0;
  z->status = braid_graph_add(z->graph, op, attrs, in, n, hint, full, &id);
  return id;
}

static int unary(struct zoo *z, enum braid_op op, int x, const char *name, double a, double b) {
  union braid_attrs attrs = {.unary = {(float)a, (float)b}};
  return add(z, op, &attrs, &x, 1, NULL, name);
}

int zoo_relu(struct zoo *z, int x, const char *name) {
  return unary(z, BRAID_OP_RELU, x, name, 0, 0);
}
int zoo_clip6(struct zoo *z, int x, const char *name) {
  return unary(z, BRAID_OP_CLIP, x, name, 0, 6);
}
int zoo_leaky(struct zoo *z, int x, const char *name, double alpha) {
  return unary(z, BRAID_OP_LEAKY_RELU, x, name, alpha, 0);
}

/* (x - mean) / std on 0..255, as x * scale + shift. */
static int normalize(struct zoo *z, int x, enum zoo_scale scale) {
  static const float mean[3] = {123.675f, 116.28f, 103.53f}, std[3] = {58.395f, 57.12f, 57.375f};
  int in[3] = {x, known(z, "image.scale"), known(z, "image.shift")};
  for (int k = 1; k < 3 && z->status == BRAID_OK; k++) {
    if (in[k] != BRAID_NONE) continue;
    struct braid_shape shape = braid_shape_of(1, (int[]){3});
    float *data = room_for(z, "image", &shape);
    if (!data) break;
    for (int c = 0; c < 3; c++) {
      float by = scale == ZOO_IMAGENET ? 1.0f / std[c] : 1.0f / 255.0f;
      data[c] = k == 1 ? by : scale == ZOO_IMAGENET ? -mean[c] * by : 0.0f;
    }
    z->status = give(z, k == 1 ? "image.scale" : "image.shift", data, &shape, &in[k]);
  }
  return add(z, BRAID_OP_NORMALIZE, NULL, in, 3, NULL, "normalize");
}

int zoo_image(struct zoo *z, const char *name, int size, enum zoo_scale scale) {
  if (z->status != BRAID_OK) return 0;
  int id = 0;
  struct braid_shape shape = braid_shape_of(4, (int[]){z->batch, 3, size, size});
  z->status = braid_graph_add_input(z->graph, name, BRAID_U8, &shape, &id);
  return normalize(z, id, scale);
}

struct zoo_conv zoo_conv_of(int out, int kernel, int stride, int pad) {
  return (struct zoo_conv){.out = out, .kh = kernel, .kw = kernel, .stride = stride, .ph = pad, .pw = pad};
}

int zoo_conv(struct zoo *z, int x, const char *name, struct zoo_conv c) {
  if (z->status != BRAID_OK) return 0;
  int group = c.group ? c.group : 1, channels = shape_of(z, x).dim[1] / group;
  double spread = spread_for(c.gain != 0.0 ? c.gain : ZOO_GAIN_RELU, channels * c.kh * c.kw);
  int in[3] = {x, BRAID_NONE, BRAID_NONE};
  in[1] = weight(z, name, "weight", braid_shape_of(4, (int[]){c.out, channels, c.kh, c.kw}), 0, spread);
  if (c.bias) in[2] = weight1(z, name, "bias", c.out, 0, 0.1);
  union braid_attrs attrs = {.conv = {.kernel = {c.kh, c.kw},
                                      .stride = {c.stride, c.stride},
                                      .dilation = {1, 1},
                                      .pad = {c.ph, c.pw, c.ph, c.pw},
                                      .group = group}};
  return add(z, BRAID_OP_CONV, &attrs, in, 3, NULL, name);
}

/* Near the identity, but no parameter is trivial: a wrong fold shows. */
int zoo_norm(struct zoo *z, int x, const char *name, double epsilon, double gain) {
  if (z->status != BRAID_OK) return 0;
  int n = shape_of(z, x).dim[1];
  int in[5] = {x, weight1(z, name, "weight", n, gain, 0.1 * gain), weight1(z, name, "bias", n, 0, 0.1),
               weight1(z, name, "running_mean", n, 0, 0.1), weight1(z, name, "running_var", n, 1, 0.2)};
  union braid_attrs attrs = {.norm = {(float)epsilon}};
  return add(z, BRAID_OP_BATCH_NORMALIZATION, &attrs, in, 5, NULL, name);
}

static int pool(struct zoo *z, enum braid_op op, int x, const char *name, struct braid_pool_attrs attrs) {
  attrs.dilation[0] = attrs.dilation[1] = 1;
  union braid_attrs u = {.pool = attrs};
  return add(z, op, &u, &x, 1, NULL, name);
}

int zoo_max_pool(struct zoo *z, int x, const char *name, int kernel, int stride, int pad, bool ceil_mode) {
  struct braid_pool_attrs a = {
      .kernel = {kernel, kernel}, .stride = {stride, stride}, .pad = {pad, pad, pad, pad}, .ceil_mode = ceil_mode};
  if (kernel == 2 && stride == 1) a.pad[2] = a.pad[3] = 1; /* darknet's "same" pool */
  return pool(z, BRAID_OP_MAX_POOL, x, name, a);
}

int zoo_average_pool(struct zoo *z, int x, const char *name, int kernel, int stride, int pad) {
  struct braid_pool_attrs a = {
      .kernel = {kernel, kernel}, .stride = {stride, stride}, .pad = {pad, pad, pad, pad}, .count_include_pad = true};
  return pool(z, BRAID_OP_AVERAGE_POOL, x, name, a);
}

int zoo_global_average(struct zoo *z, int x, const char *name) {
  return add(z, BRAID_OP_GLOBAL_AVERAGE_POOL, NULL, &x, 1, NULL, name);
}

int zoo_flatten(struct zoo *z, int x, const char *name) {
  if (z->status != BRAID_OK) return 0;
  struct braid_shape from = shape_of(z, x);
  struct braid_shape to = braid_shape_of(2, (int[]){from.dim[0], from.dim[1] * from.dim[2] * from.dim[3]});
  return add(z, BRAID_OP_RESHAPE, NULL, &x, 1, &to, name);
}

/* `tensor` is the node's name, `name` that of its weights. */
int zoo_dense(struct zoo *z, int x, const char *name, const char *tensor, int out, double gain) {
  if (z->status != BRAID_OK) return 0;
  int k = shape_of(z, x).dim[1];
  int in[3] = {x, weight(z, name, "weight", braid_shape_of(2, (int[]){out, k}), 0, spread_for(gain, k)),
               weight1(z, name, "bias", out, 0, 0.1)};
  union braid_attrs attrs = {.gemm = {.alpha = 1, .beta = 1, .trans_b = true}};
  return add(z, BRAID_OP_GEMM, &attrs, in, 3, NULL, tensor);
}

int zoo_concat(struct zoo *z, const char *name, const int *in, int n) {
  union braid_attrs attrs = {.axis = {.axis = 1}};
  return add(z, BRAID_OP_CONCAT, &attrs, in, n, NULL, name);
}

int zoo_max(struct zoo *z, const char *name, const int *in, int n) {
  return add(z, BRAID_OP_MAX, NULL, in, n, NULL, name);
}

int zoo_add(struct zoo *z, int a, int b, const char *name) {
  return add(z, BRAID_OP_ADD, NULL, (int[]){a, b}, 2, NULL, name);
}

void zoo_output(struct zoo *z, int x) {
  if (z->status == BRAID_OK) z->status = braid_graph_add_output(z->graph, x);
}
