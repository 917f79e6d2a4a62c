/* SPDX-License-Identifier: Apache-2.0
 * Operators between real numbers and quantised ones. */
#include "onnx_internal.h"

#include <string.h>

/* One scale for all: there is no axis then, whatever the file says. */
static enum braid_status scale_axis(const struct onnx_node *node, int *axis) {
  const struct braid_shape *scale = &onnx_in(node, 1)->tensor.shape;
  int64_t given, block;
  BRAID_TRY(onnx_attr_i64(node, "block_size", 0, &block));
  if (block != 0) return braid_fail(BRAID_EUNSUPPORTED, "scales by blocks");
  BRAID_TRY(onnx_attr_i64(node, "axis", 1, &given));
  *axis = 0;
  if (braid_shape_elements(scale) == 1) return BRAID_OK;
  return onnx_axis(given, onnx_in(node, 0)->tensor.shape.rank, axis);
}

/* Opset 21 may name the type of the result; a zero point has it, and without either it is uint8. */
static enum braid_status check_output_type(const struct onnx_node *node) {
  const struct onnx_value *zero = onnx_in(node, 2);
  int64_t uint8 = onnx_data_type(BRAID_U8), type;
  int64_t known = zero ? onnx_data_type(zero->tensor.dtype) : uint8;
  BRAID_TRY(onnx_attr_i64(node, "output_dtype", 0, &type));
  if (type == 0 || type == known) return BRAID_OK;
  return braid_fail(BRAID_EUNSUPPORTED, "output_dtype %d is not the zero point's type; give a zero point of that type",
                    (int)type);
}

enum braid_status onnx_convert_quantize(struct onnx_node *node) {
  union braid_attrs attrs = {.axis = {0, 0}};
  struct onnx_value *in[3] = {onnx_in(node, 0), onnx_in(node, 1), onnx_in(node, 2)};
  BRAID_TRY(scale_axis(node, &attrs.axis.axis));
  if (node->op->op == BRAID_OP_QUANTIZE_LINEAR) BRAID_TRY(check_output_type(node));
  return onnx_emit_out(node, 0, node->op->op, &attrs, in, in[2] ? 3 : 2, NULL);
}

/* ------------------------------------------------------------------------------------------- dynamic scales
 * low = min(x, 0), high = max(x, 0), scale = (high - low) / 255, zero = round(-low / scale): itself a quantisation. */

static enum braid_status number(struct onnx_node *node, float value, struct onnx_value **out) {
  struct braid_shape scalar = {0};
  BRAID_TRY(onnx_const_new(node, BRAID_F32, &scalar, out));
  memcpy((*out)->tensor.data, &value, sizeof value);
  return BRAID_OK;
}

/* The least (or greatest) element of x and 0. */
static enum braid_status extreme(struct onnx_node *node, enum braid_op reduce, enum braid_op join,
                                 struct onnx_value **out) {
  union braid_attrs attrs = {.reduce = {.keepdims = false}};
  struct onnx_value *x = onnx_in(node, 0), *in[2];
  for (int d = 0; d < x->tensor.shape.rank; d++) attrs.reduce.axis[d] = true;
  BRAID_TRY(onnx_emit(node, reduce, &attrs, &x, 1, NULL, NULL, &in[0]));
  BRAID_TRY(number(node, 0.0f, &in[1]));
  return onnx_emit(node, join, NULL, in, 2, NULL, NULL, out);
}

/* Output k, which the others are made of: with its name, if it is wanted. */
static enum braid_status emit_shared(struct onnx_node *node, int k, enum braid_op op, const union braid_attrs *attrs,
                                     struct onnx_value *const *in, struct onnx_value **out) {
  const char *name = onnx_out_name(node, k);
  BRAID_TRY(onnx_emit(node, op, attrs, in, 2, NULL, name, out));
  return name ? onnx_value_name(node->im, name, *out) : BRAID_OK;
}

enum braid_status onnx_convert_dynamic_quantize(struct onnx_node *node) {
  union braid_attrs axis = {.axis = {0, 0}};
  struct onnx_value *low, *ends[2], *range[2], *below[2], *in[3] = {onnx_in(node, 0)};
  BRAID_TRY(extreme(node, BRAID_OP_REDUCE_MIN, BRAID_OP_MIN, &low));
  BRAID_TRY(extreme(node, BRAID_OP_REDUCE_MAX, BRAID_OP_MAX, &ends[0]));
  ends[1] = low;
  BRAID_TRY(onnx_emit(node, BRAID_OP_SUB, NULL, ends, 2, NULL, NULL, &range[0]));
  BRAID_TRY(number(node, 255.0f, &range[1]));
  BRAID_TRY(emit_shared(node, 1, BRAID_OP_DIV, NULL, range, &in[1]));
  BRAID_TRY(onnx_emit(node, BRAID_OP_NEG, NULL, &low, 1, NULL, NULL, &below[0]));
  below[1] = in[1];
  BRAID_TRY(emit_shared(node, 2, BRAID_OP_QUANTIZE_LINEAR, &axis, below, &in[2]));
  return onnx_emit_out(node, 0, BRAID_OP_QUANTIZE_LINEAR, &axis, in, 3, NULL);
}
