/* SPDX-License-Identifier: Apache-2.0
 *
 * Convolutions over [N,C,D,H,W], taken apart into 2-D ones so that those need no third axis.
 *
 * Conv: output depth d reads KD slices of the input. With these beside the channels, [N,D',C*KD,H,W], it is a 2-D
 * convolution of N*D' images by the weights [O,C/g*KD,KH,KW], which lie in memory as the 3-D ones do.
 *
 * ConvTranspose: each slice is transposed in two dimensions to O*KD channels, the weights [C,O/g*KD,KH,KW] again being
 * the same bytes; the KD results of an output channel are then laid over each other along D, which is a transposed
 * convolution, too: of [N,O*KD,D,H'*W'], in O groups, by weights that pick tap k from channel k. */
#include "onnx_window.h"

#include <string.h>

static enum braid_status transpose(struct onnx_node *node, struct onnx_value *x, const int *perm,
                                   struct onnx_value **out) {
  union braid_attrs attrs = {.transpose = {{0}}};
  for (int i = 0; i < x->tensor.shape.rank; i++) attrs.transpose.perm[i] = perm[i];
  return onnx_emit(node, BRAID_OP_TRANSPOSE, &attrs, &x, 1, NULL, NULL, out);
}

static enum braid_status reshape(struct onnx_node *node, struct onnx_value *x, int rank, const int64_t *dim,
                                 struct onnx_value **out) {
  struct braid_shape shape = {.rank = rank};
  for (int i = 0; i < rank; i++) BRAID_TRY(onnx_dim("a dim", dim[i], &shape.dim[i]));
  return onnx_reshape(node, x, &shape, out);
}
#define RESHAPE(node, x, out, ...)                                                                                     \
  reshape(node, x, (int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), (const int64_t[]){__VA_ARGS__}, out)

/* ---------------------------------------------------------------------------------------------------- Conv */

static enum braid_status pad_depth(struct onnx_node *node, const struct window_axis *d, struct onnx_value **x) {
  union braid_attrs attrs = {.pad = {.before = {0, 0, d->before}, .after = {0, 0, d->after}}};
  struct onnx_value *in = *x;
  if (d->before == 0 && d->after == 0) return BRAID_OK;
  return onnx_emit(node, BRAID_OP_PAD, &attrs, &in, 1, NULL, NULL, x);
}

/* [N,C,D,H,W] -> [N,C,D',KD,H,W]: the slices under each window. */
static enum braid_status gather_depth(struct onnx_node *node, const struct window_axis *d, int out_depth,
                                      struct onnx_value *x, struct onnx_value **out) {
  union braid_attrs attrs = {.axis = {2, 0}};
  struct braid_shape shape = {2, {out_depth, d->kernel}};
  struct onnx_value *in[2] = {x, NULL};
  BRAID_TRY(onnx_const_new(node, BRAID_I64, &shape, &in[1]));
  int64_t *index = in[1]->tensor.data;
  for (int o = 0; o < out_depth; o++)
    for (int k = 0; k < d->kernel; k++) *index++ = (int64_t)o * d->stride + (int64_t)k * d->dilation;
  return onnx_emit(node, BRAID_OP_GATHER, &attrs, in, 2, NULL, NULL, out);
}

enum braid_status onnx_conv3d(struct onnx_node *node, const struct window *w, int group) {
  const struct window_axis *d = &w->axis[0];
  struct onnx_value *in[3] = {onnx_in(node, 0), onnx_in(node, 1), onnx_in(node, 2)}, *x = in[0], *y;
  const int *xd = in[0]->tensor.shape.dim, *wd = in[1]->tensor.shape.dim;
  union braid_attrs attrs;
  int64_t room = (int64_t)d->in + d->before + d->after - onnx_window_extent(d);
  if (room < 0) return braid_fail(BRAID_ESHAPE, "the window does not fit into a depth of %d", d->in);
  int depth = (int)(room / d->stride) + 1;
  BRAID_TRY(pad_depth(node, d, &x));
  BRAID_TRY(gather_depth(node, d, depth, x, &x));
  BRAID_TRY(transpose(node, x, (const int[]){0, 2, 1, 3, 4, 5}, &x));
  BRAID_TRY(RESHAPE(node, x, &in[0], (int64_t)xd[0] * depth, (int64_t)xd[1] * d->kernel, xd[3], xd[4]));
  BRAID_TRY(RESHAPE(node, in[1], &in[1], wd[0], (int64_t)wd[1] * d->kernel, wd[3], wd[4]));
  onnx_conv_attrs(&w->axis[1], &w->axis[2], group, &attrs.conv);
  BRAID_TRY(onnx_emit(node, BRAID_OP_CONV, &attrs, in, in[2] ? 3 : 2, NULL, NULL, &y));
  const int *yd = y->tensor.shape.dim;
  BRAID_TRY(RESHAPE(node, y, &y, xd[0], depth, yd[1], yd[2], yd[3]));
  union braid_attrs back = {.transpose = {{0, 2, 1, 3, 4}}};
  return onnx_emit_out(node, 0, BRAID_OP_TRANSPOSE, &back, &y, 1, NULL);
}

/* ------------------------------------------------------------------------------------------- ConvTranspose */

/* Weights [O*KD,1,KD,1]: channel o*KD + k gives its tap k. */
static enum braid_status picking_weights(struct onnx_node *node, int channels, int taps, struct onnx_value **out) {
  int64_t rows = (int64_t)channels * taps;
  struct braid_shape shape = {4, {0, 1, taps, 1}};
  BRAID_TRY(onnx_dim("the number of weights", rows * taps, &shape.dim[0]));
  shape.dim[0] = (int)rows;
  BRAID_TRY(onnx_const_new(node, BRAID_F32, &shape, out));
  float *v = (*out)->tensor.data;
  memset(v, 0, (size_t)rows * (size_t)taps * sizeof *v);
  for (int64_t i = 0; i < rows; i++) v[i * taps + i % taps] = 1.0f;
  return BRAID_OK;
}

enum braid_status onnx_conv_transpose3d(struct onnx_node *node, const struct window *w, int group) {
  const struct window_axis *d = &w->axis[0];
  struct onnx_value *x = onnx_in(node, 0), *in[3] = {NULL, onnx_in(node, 1), onnx_in(node, 2)}, *y;
  const int *xd = x->tensor.shape.dim, *wd = in[1]->tensor.shape.dim;
  int64_t channels = (int64_t)wd[1] * group;
  union braid_attrs attrs;
  if (x->tensor.dtype != BRAID_F32) return braid_fail(BRAID_EUNSUPPORTED, "only float32 is supported over three axes");
  BRAID_TRY(transpose(node, x, (const int[]){0, 2, 1, 3, 4}, &x));
  BRAID_TRY(RESHAPE(node, x, &in[0], (int64_t)xd[0] * xd[2], xd[1], xd[3], xd[4]));
  BRAID_TRY(RESHAPE(node, in[1], &in[1], wd[0], (int64_t)wd[1] * d->kernel, wd[3], wd[4]));
  onnx_conv_attrs(&w->axis[1], &w->axis[2], group, &attrs.conv);
  BRAID_TRY(onnx_emit(node, BRAID_OP_CONV_TRANSPOSE, &attrs, in, 2, NULL, NULL, &y));
  const int height = y->tensor.shape.dim[2], width = y->tensor.shape.dim[3];
  BRAID_TRY(RESHAPE(node, y, &y, xd[0], xd[2], channels * d->kernel, (int64_t)height * width));
  BRAID_TRY(transpose(node, y, (const int[]){0, 2, 1, 3}, &in[0]));
  BRAID_TRY(picking_weights(node, (int)channels, d->kernel, &in[1]));
  onnx_conv_attrs(d, &onnx_no_axis, (int)channels, &attrs.conv);
  BRAID_TRY(onnx_emit(node, BRAID_OP_CONV_TRANSPOSE, &attrs, in, in[2] ? 3 : 2, NULL, NULL, &y));
  struct braid_shape shape = {5, {xd[0], (int)channels, y->tensor.shape.dim[2], height, width}};
  return onnx_reshape_out(node, 0, y, &shape);
}
