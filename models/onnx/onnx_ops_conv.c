/* SPDX-License-Identifier: Apache-2.0
 * Conv and ConvTranspose. Ours are 2-D; 1-D ones become H=1 by a RESHAPE before and after (which moves no bytes). */
#include "onnx_window.h"

#include <stddef.h>

static enum braid_status kernel_of_weights(struct window *w, const struct braid_shape *weights) {
  if (weights->rank != w->spatial + 2) {
    return braid_fail(BRAID_ESHAPE, "weights have %d dims, expected %d", weights->rank, w->spatial + 2);
  }
  for (int i = 0; i < w->spatial; i++) {
    int *k = &w->axis[i].kernel;
    if (w->has_kernel && *k != weights->dim[2 + i]) {
      return braid_fail(BRAID_ESHAPE, "'kernel_shape' says %d, the weights %d", *k, weights->dim[2 + i]);
    }
    BRAID_TRY(onnx_range("kernel", weights->dim[2 + i], 1, ONNX_ATTR_MAX, k));
  }
  return BRAID_OK;
}

static enum braid_status read_conv(struct onnx_node *node, const struct onnx_value *weights, struct window *w,
                                   int *group) {
  int64_t v;
  BRAID_TRY(onnx_window_read(node, w));
  if (w->spatial > 3) return braid_fail(BRAID_EUNSUPPORTED, "over %d axes: 1 to 3 are supported", w->spatial);
  BRAID_TRY(kernel_of_weights(w, &weights->tensor.shape));
  BRAID_TRY(onnx_attr_i64(node, "group", 1, &v));
  return onnx_range("group", v, 1, INT_MAX, group);
}

/* Of input, weights, bias or NULL; `out` NULL: the node's output. */
static enum braid_status emit_conv(struct onnx_node *node, const struct window *w, int group,
                                   struct onnx_value *const in[3], struct onnx_value **out) {
  union braid_attrs attrs;
  struct onnx_value *lifted[3] = {NULL, NULL, in[2]}, *y;
  int n_in = in[2] ? 3 : 2;
  bool flat = w->spatial == 1;
  onnx_conv_attrs(flat ? &onnx_no_axis : &w->axis[0], &w->axis[w->spatial - 1], group, &attrs.conv);
  BRAID_TRY(onnx_lift(node, in[0], &lifted[0]));
  BRAID_TRY(onnx_lift(node, in[1], &lifted[1]));
  if (!flat && !out) return onnx_emit_out(node, 0, node->op->op, &attrs, lifted, n_in, NULL);
  BRAID_TRY(onnx_emit(node, node->op->op, &attrs, lifted, n_in, NULL, NULL, out ? out : &y));
  if (!flat) return BRAID_OK;
  if (out) y = *out;
  const int *dim = y->tensor.shape.dim;
  struct braid_shape shape = {3, {dim[0], dim[1], dim[3]}};
  return out ? onnx_reshape(node, y, &shape, out) : onnx_reshape_out(node, 0, y, &shape);
}

static enum braid_status emit_own(struct onnx_node *node, const struct window *w, int group) {
  struct onnx_value *const in[3] = {onnx_in(node, 0), onnx_in(node, 1), onnx_in(node, 2)};
  return emit_conv(node, w, group, in, NULL);
}

enum braid_status onnx_convert_conv(struct onnx_node *node) {
  struct window w;
  int group;
  BRAID_TRY(read_conv(node, onnx_in(node, 1), &w, &group));
  BRAID_TRY(onnx_window_same(&w));
  return w.spatial == 3 ? onnx_conv3d(node, &w, group) : emit_own(node, &w, group);
}

enum braid_status onnx_conv_read(struct onnx_node *node, const struct onnx_value *weights,
                                 struct braid_conv_attrs *out, bool *is_2d) {
  struct window w;
  int group;
  BRAID_TRY(read_conv(node, weights, &w, &group));
  BRAID_TRY(onnx_window_same(&w));
  *is_2d = w.spatial == 2;
  if (*is_2d) onnx_conv_attrs(&w.axis[0], &w.axis[1], group, out);
  return BRAID_OK;
}

enum braid_status onnx_conv_of(struct onnx_node *node, struct onnx_value *const in[3], struct onnx_value **out) {
  struct window w;
  int group;
  BRAID_TRY(read_conv(node, in[1], &w, &group));
  BRAID_TRY(onnx_window_same(&w));
  if (w.spatial == 3) return braid_fail(BRAID_EUNSUPPORTED, "over 3 axes: 1 and 2 are supported");
  return emit_conv(node, &w, group, in, out);
}

/* The operator's definition: total = stride*(in-1) + output_padding + extent - output. Where the wanted output is
 * larger than that, the surplus is more output padding. */
static enum braid_status resolve_output(struct window *w, const struct window *wanted) {
  for (int i = 0; i < w->spatial; i++) {
    struct window_axis *a = &w->axis[i];
    int64_t total = (int64_t)a->stride * (a->in - 1) + a->output_pad + onnx_window_extent(a) - wanted->axis[i].in;
    if (total < 0) {
      BRAID_TRY(onnx_range("output padding", a->output_pad - total, 0, ONNX_ATTR_MAX, &a->output_pad));
      total = 0;
    }
    BRAID_TRY(onnx_window_share(a, total, w->auto_pad == PAD_SAME_UPPER));
  }
  return BRAID_OK;
}

/* `wanted` holds the output's extents where its `in` are. */
static enum braid_status read_output(struct onnx_node *node, const struct window *w, struct window *wanted,
                                     bool *given) {
  *wanted = *w;
  BRAID_TRY(onnx_window_list(node, "output_shape", 1, wanted, offsetof(struct window_axis, in), given));
  if (*given || (w->auto_pad != PAD_SAME_UPPER && w->auto_pad != PAD_SAME_LOWER)) return BRAID_OK;
  for (int i = 0; i < w->spatial; i++)
    BRAID_TRY(onnx_dim("the output", (int64_t)w->axis[i].in * w->axis[i].stride, &wanted->axis[i].in));
  *given = true;
  return BRAID_OK;
}

enum braid_status onnx_convert_conv_transpose(struct onnx_node *node) {
  struct window w, wanted;
  int group;
  bool given;
  BRAID_TRY(read_conv(node, onnx_in(node, 1), &w, &group));
  BRAID_TRY(onnx_window_list(node, "output_padding", 0, &w, offsetof(struct window_axis, output_pad), &given));
  BRAID_TRY(read_output(node, &w, &wanted, &given));
  if (given) BRAID_TRY(resolve_output(&w, &wanted));
  return w.spatial == 3 ? onnx_conv_transpose3d(node, &w, group) : emit_own(node, &w, group);
}
