/* SPDX-License-Identifier: Apache-2.0
 *
 * Operators that look through a window: convolutions, pools, and the per-channel ones around them. Ours are 2-D;
 * 1-D ones become H=1 by a RESHAPE before and after (which moves no bytes).
 */
#include "onnx_internal.h"

#include <stdint.h>

enum { PAD_NOTSET, PAD_VALID, PAD_SAME_UPPER, PAD_SAME_LOWER };
static const char *const auto_pads[] = {"NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER", NULL};

struct window {
  int spatial; /* 1 or 2 */
  int kernel[2], stride[2], dilation[2], pad[4], output_pad[2];
  int in[2]; /* extent of the input, [H,W] */
  int auto_pad;
};

/* ------------------------------------------------------------------------------------------- 1-D as 2-D */

static enum braid_status lift(struct onnx_node *node, struct onnx_value *x, struct onnx_value **out) {
  const struct braid_shape *s = &x->tensor.shape;
  *out = x;
  if (s->rank != 3) return BRAID_OK;
  struct braid_shape flat = {4, {s->dim[0], s->dim[1], 1, s->dim[2]}};
  return onnx_reshape(node, x, &flat, out);
}

/* Emits the 2-D operator as output 0, with H=1 taken away again for 1-D ones. */
static enum braid_status emit_lowered(struct onnx_node *node, const union braid_attrs *attrs,
                                      struct onnx_value *const *in, int n_in, int spatial) {
  if (spatial == 2) return onnx_emit_out(node, 0, node->op->op, attrs, in, n_in, NULL);
  struct onnx_value *y;
  BRAID_TRY(onnx_emit(node, node->op->op, attrs, in, n_in, NULL, NULL, &y));
  const int *dim = y->tensor.shape.dim;
  struct braid_shape shape = {3, {dim[0], dim[1], dim[3]}};
  return onnx_reshape_out(node, 0, y, &shape);
}

/* ------------------------------------------------------------------------------------------- the window */

/* A list of `spatial` numbers into v, leaving the H=1 of 1-D windows as it is. */
static enum braid_status read_pair(struct onnx_node *node, const char *name, int spatial, int low, int v[2],
                                   bool *given) {
  const int64_t *list;
  int n;
  BRAID_TRY(onnx_attr_ints(node, name, &list, &n));
  *given = list != NULL;
  if (!list) return BRAID_OK;
  if (n != spatial) return braid_fail(BRAID_ESHAPE, "attribute '%s' has %d numbers, expected %d", name, n, spatial);
  for (int i = 0; i < n; i++) BRAID_TRY(onnx_range(name, list[i], low, ONNX_ATTR_MAX, &v[2 - spatial + i]));
  return BRAID_OK;
}

static enum braid_status read_pads(struct onnx_node *node, struct window *w) {
  const int64_t *list;
  int n;
  BRAID_TRY(onnx_attr_choice(node, "auto_pad", auto_pads, PAD_NOTSET, &w->auto_pad));
  BRAID_TRY(onnx_attr_ints(node, "pads", &list, &n));
  if (!list || w->auto_pad != PAD_NOTSET) return BRAID_OK;
  if (n != 2 * w->spatial) return braid_fail(BRAID_ESHAPE, "'pads' has %d numbers, expected %d", n, 2 * w->spatial);
  for (int i = 0; i < n; i++) {
    int end = i >= w->spatial, axis = 2 - w->spatial + i % w->spatial;
    BRAID_TRY(onnx_range("pads", list[i], 0, ONNX_ATTR_MAX, &w->pad[2 * end + axis]));
  }
  return BRAID_OK;
}

/* x: [N,C,W] or [N,C,H,W]. */
static enum braid_status read_window(struct onnx_node *node, const struct braid_shape *x, struct window *w,
                                     bool *has_kernel) {
  bool given;
  *w = (struct window){.spatial = x->rank - 2, .kernel = {1, 1}, .stride = {1, 1}, .dilation = {1, 1}, .in = {1, 1}};
  if (x->rank < 3 || x->rank > 4) {
    return braid_fail(BRAID_EUNSUPPORTED, "an input with %d dims: only 1-D and 2-D windows are supported", x->rank);
  }
  for (int i = 0; i < w->spatial; i++) w->in[2 - w->spatial + i] = x->dim[2 + i];
  BRAID_TRY(read_pair(node, "kernel_shape", w->spatial, 1, w->kernel, has_kernel));
  BRAID_TRY(read_pair(node, "strides", w->spatial, 1, w->stride, &given));
  BRAID_TRY(read_pair(node, "dilations", w->spatial, 1, w->dilation, &given));
  return read_pads(node, w);
}

static int64_t extent(const struct window *w, int i) {
  return (int64_t)(w->kernel[i] - 1) * w->dilation[i] + 1;
}

/* SAME: as many outputs as strides fit; the odd one goes after (UPPER) or before (LOWER). */
static enum braid_status share_pad(struct window *w, int i, int64_t total, bool more_after) {
  int64_t less = total / 2, more = total - less;
  BRAID_TRY(onnx_range("padding", more_after ? less : more, 0, ONNX_ATTR_MAX, &w->pad[i]));
  return onnx_range("padding", more_after ? more : less, 0, ONNX_ATTR_MAX, &w->pad[2 + i]);
}

static enum braid_status resolve_same(struct window *w) {
  if (w->auto_pad != PAD_SAME_UPPER && w->auto_pad != PAD_SAME_LOWER) return BRAID_OK;
  for (int i = 2 - w->spatial; i < 2; i++) {
    int64_t out = ((int64_t)w->in[i] + w->stride[i] - 1) / w->stride[i];
    int64_t total = (out - 1) * w->stride[i] + extent(w, i) - w->in[i];
    BRAID_TRY(share_pad(w, i, total > 0 ? total : 0, w->auto_pad == PAD_SAME_UPPER));
  }
  return BRAID_OK;
}

static void copy_ints(int *to, const int *from, int n) {
  for (int i = 0; i < n; i++) to[i] = from[i];
}

/* ----------------------------------------------------------------------------------------- convolutions */

static enum braid_status kernel_of_weights(struct window *w, const struct braid_shape *weights, bool has_kernel) {
  if (weights->rank != w->spatial + 2) {
    return braid_fail(BRAID_ESHAPE, "weights have %d dims, expected %d", weights->rank, w->spatial + 2);
  }
  for (int i = 0; i < w->spatial; i++) {
    int *k = &w->kernel[2 - w->spatial + i];
    if (has_kernel && *k != weights->dim[2 + i]) {
      return braid_fail(BRAID_ESHAPE, "'kernel_shape' says %d, the weights %d", *k, weights->dim[2 + i]);
    }
    BRAID_TRY(onnx_range("kernel", weights->dim[2 + i], 1, ONNX_ATTR_MAX, k));
  }
  return BRAID_OK;
}

static enum braid_status read_conv(struct onnx_node *node, struct window *w, int *group) {
  bool has_kernel;
  int64_t v;
  BRAID_TRY(read_window(node, &onnx_in(node, 0)->tensor.shape, w, &has_kernel));
  BRAID_TRY(kernel_of_weights(w, &onnx_in(node, 1)->tensor.shape, has_kernel));
  BRAID_TRY(onnx_attr_i64(node, "group", 1, &v));
  return onnx_range("group", v, 1, INT_MAX, group);
}

static enum braid_status emit_conv(struct onnx_node *node, const struct window *w, int group) {
  union braid_attrs attrs = {.conv = {.group = group}};
  struct onnx_value *in[3] = {onnx_in(node, 0), onnx_in(node, 1), onnx_in(node, 2)};
  copy_ints(attrs.conv.kernel, w->kernel, 2);
  copy_ints(attrs.conv.stride, w->stride, 2);
  copy_ints(attrs.conv.dilation, w->dilation, 2);
  copy_ints(attrs.conv.pad, w->pad, 4);
  copy_ints(attrs.conv.output_pad, w->output_pad, 2);
  BRAID_TRY(lift(node, in[0], &in[0]));
  BRAID_TRY(lift(node, in[1], &in[1]));
  return emit_lowered(node, &attrs, in, in[2] ? 3 : 2, w->spatial);
}

enum braid_status onnx_convert_conv(struct onnx_node *node) {
  struct window w;
  int group;
  BRAID_TRY(read_conv(node, &w, &group));
  BRAID_TRY(resolve_same(&w));
  return emit_conv(node, &w, group);
}

/* The operator's definition: total = stride*(in-1) + output_padding + extent - output. Where the wanted output is
 * larger than that, the surplus is more output padding. */
static enum braid_status resolve_output_shape(struct window *w, const int output[2]) {
  for (int i = 2 - w->spatial; i < 2; i++) {
    int64_t total = (int64_t)w->stride[i] * (w->in[i] - 1) + w->output_pad[i] + extent(w, i) - output[i];
    if (total < 0) {
      BRAID_TRY(onnx_range("output padding", w->output_pad[i] - total, 0, ONNX_ATTR_MAX, &w->output_pad[i]));
      total = 0;
    }
    BRAID_TRY(share_pad(w, i, total, w->auto_pad == PAD_SAME_UPPER));
  }
  return BRAID_OK;
}

enum braid_status onnx_convert_conv_transpose(struct onnx_node *node) {
  struct window w;
  int group, output[2] = {1, 1};
  bool given, shaped;
  BRAID_TRY(read_conv(node, &w, &group));
  BRAID_TRY(read_pair(node, "output_padding", w.spatial, 0, w.output_pad, &given));
  BRAID_TRY(read_pair(node, "output_shape", w.spatial, 1, output, &shaped));
  if (!shaped && (w.auto_pad == PAD_SAME_UPPER || w.auto_pad == PAD_SAME_LOWER)) {
    for (int i = 2 - w.spatial; i < 2; i++) {
      BRAID_TRY(onnx_dim("the output", (int64_t)w.in[i] * w.stride[i], &output[i]));
    }
    shaped = true;
  }
  if (shaped) BRAID_TRY(resolve_output_shape(&w, output));
  return emit_conv(node, &w, group);
}

/* ----------------------------------------------------------------------------------------------- pools */

enum braid_status onnx_convert_pool(struct onnx_node *node) {
  struct window w;
  bool has_kernel;
  union braid_attrs attrs = {.pool = {.ceil_mode = false}};
  struct onnx_value *x = onnx_in(node, 0);
  BRAID_TRY(read_window(node, &x->tensor.shape, &w, &has_kernel));
  if (!has_kernel) return braid_fail(BRAID_EFORMAT, "attribute 'kernel_shape' is missing");
  BRAID_TRY(resolve_same(&w));
  BRAID_TRY(onnx_attr_bool(node, "ceil_mode", false, &attrs.pool.ceil_mode));
  BRAID_TRY(onnx_attr_bool(node, "count_include_pad", false, &attrs.pool.count_include_pad));
  copy_ints(attrs.pool.kernel, w.kernel, 2);
  copy_ints(attrs.pool.stride, w.stride, 2);
  copy_ints(attrs.pool.dilation, w.dilation, 2);
  copy_ints(attrs.pool.pad, w.pad, 4);
  BRAID_TRY(lift(node, x, &x));
  return emit_lowered(node, &attrs, &x, 1, w.spatial);
}

/* Any number of spatial dims: the mean and the maximum do not care how they are laid out. */
enum braid_status onnx_convert_global_pool(struct onnx_node *node) {
  struct onnx_value *x = onnx_in(node, 0), *y;
  struct braid_shape shape = x->tensor.shape;
  int64_t inner = 1;
  if (shape.rank < 3) return braid_fail(BRAID_ESHAPE, "an input with %d dims has no spatial ones", shape.rank);
  if (shape.rank == 4) return onnx_emit_out(node, 0, node->op->op, NULL, &x, 1, NULL);
  for (int i = 2; i < shape.rank; i++) {
    int dim; /* each product is checked before the next factor: no overflow */
    BRAID_TRY(onnx_dim("the number of elements", inner * shape.dim[i], &dim));
    inner = dim;
    shape.dim[i] = 1;
  }
  struct braid_shape flat = {4, {shape.dim[0], shape.dim[1], 1, (int)inner}};
  BRAID_TRY(onnx_reshape(node, x, &flat, &x));
  BRAID_TRY(onnx_emit(node, node->op->op, NULL, &x, 1, NULL, NULL, &y));
  return onnx_reshape_out(node, 0, y, &shape);
}

/* ------------------------------------------------------------------------------------------ per channel */

enum braid_status onnx_convert_batch_normalization(struct onnx_node *node) {
  union braid_attrs attrs = {.norm = {.epsilon = 1e-5f}};
  struct onnx_value *in[5];
  bool training, spatial;
  BRAID_TRY(onnx_attr_f32(node, "epsilon", 1e-5f, &attrs.norm.epsilon));
  BRAID_TRY(onnx_attr_bool(node, "training_mode", false, &training));
  BRAID_TRY(onnx_attr_bool(node, "spatial", true, &spatial));
  if (training || !spatial) {
    return braid_fail(BRAID_EUNSUPPORTED, training ? "training mode is not supported" : "spatial=0 is not supported");
  }
  for (int i = 0; i < 5; i++) in[i] = onnx_in(node, i);
  return onnx_emit_out(node, 0, BRAID_OP_BATCH_NORMALIZATION, &attrs, in, 5, NULL);
}

enum braid_status onnx_convert_lrn(struct onnx_node *node) {
  union braid_attrs attrs = {.lrn = {.size = 0}};
  struct onnx_value *x = onnx_in(node, 0);
  int64_t size;
  BRAID_TRY(onnx_attr_f32(node, "alpha", 1e-4f, &attrs.lrn.alpha));
  BRAID_TRY(onnx_attr_f32(node, "beta", 0.75f, &attrs.lrn.beta));
  BRAID_TRY(onnx_attr_f32(node, "bias", 1.0f, &attrs.lrn.bias));
  BRAID_TRY(onnx_attr_i64(node, "size", 0, &size));
  BRAID_TRY(onnx_range("attribute 'size'", size, 1, ONNX_ATTR_MAX, &attrs.lrn.size));
  return onnx_emit_out(node, 0, BRAID_OP_LRN, &attrs, &x, 1, NULL);
}
