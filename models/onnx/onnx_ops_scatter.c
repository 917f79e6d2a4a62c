/* SPDX-License-Identifier: Apache-2.0
 * Operators that read or write at positions, and the ones made of choices: OneHot, Trilu; TopK and CumSum. */
#include "onnx_internal.h"

#include <inttypes.h>
#include <string.h>

static const char *const reductions[] = {"none", "add", "mul", "min", "max", NULL}; /* as enum braid_scatter */

static enum braid_status read_axis(struct onnx_node *node, int64_t fallback, int *axis) {
  int64_t v;
  BRAID_TRY(onnx_attr_i64(node, "axis", fallback, &v));
  return onnx_axis(v, onnx_in(node, 0)->tensor.shape.rank, axis);
}

static enum braid_status read_reduction(struct onnx_node *node, enum braid_scatter *out) {
  int v;
  BRAID_TRY(onnx_attr_choice(node, "reduction", reductions, BRAID_SCATTER_NONE, &v));
  *out = (enum braid_scatter)v;
  return BRAID_OK;
}

enum braid_status onnx_convert_gather_elements(struct onnx_node *node) {
  union braid_attrs attrs = {.index = {0}};
  struct onnx_value *in[2] = {onnx_in(node, 0), onnx_in(node, 1)};
  BRAID_TRY(read_axis(node, 0, &attrs.index.axis));
  return onnx_emit_out(node, 0, BRAID_OP_GATHER_ELEMENTS, &attrs, in, 2, NULL);
}

enum braid_status onnx_convert_gather_nd(struct onnx_node *node) {
  union braid_attrs attrs = {.index = {0}};
  struct onnx_value *in[2] = {onnx_in(node, 0), onnx_in(node, 1)};
  int64_t v;
  BRAID_TRY(onnx_attr_i64(node, "batch_dims", 0, &v));
  BRAID_TRY(onnx_range("attribute 'batch_dims'", v, 0, BRAID_MAX_RANK - 1, &attrs.index.batch_dims));
  return onnx_emit_out(node, 0, BRAID_OP_GATHER_ND, &attrs, in, 2, NULL);
}

enum braid_status onnx_convert_scatter_elements(struct onnx_node *node) {
  union braid_attrs attrs = {.index = {0}};
  struct onnx_value *in[3] = {onnx_in(node, 0), onnx_in(node, 1), onnx_in(node, 2)};
  BRAID_TRY(read_axis(node, 0, &attrs.index.axis));
  BRAID_TRY(read_reduction(node, &attrs.index.reduction));
  return onnx_emit_out(node, 0, BRAID_OP_SCATTER_ELEMENTS, &attrs, in, 3, NULL);
}

enum braid_status onnx_convert_scatter_nd(struct onnx_node *node) {
  union braid_attrs attrs = {.index = {0}};
  struct onnx_value *in[3] = {onnx_in(node, 0), onnx_in(node, 1), onnx_in(node, 2)};
  BRAID_TRY(read_reduction(node, &attrs.index.reduction));
  return onnx_emit_out(node, 0, BRAID_OP_SCATTER_ND, &attrs, in, 3, NULL);
}

/* K was an attribute before opset 10. */
enum braid_status onnx_convert_top_k(struct onnx_node *node) {
  union braid_attrs attrs = {.index = {0}};
  struct onnx_value *x = onnx_in(node, 0);
  struct braid_shape shape = x->tensor.shape;
  int64_t k;
  bool largest;
  int n = 1;
  BRAID_TRY(read_axis(node, -1, &attrs.index.axis));
  if (node->opset < 10)
    BRAID_TRY(onnx_attr_i64(node, "k", 0, &k));
  else
    BRAID_TRY(onnx_in_ints(node, 1, &k, 1, &n));
  if (n != 1) return braid_fail(BRAID_EFORMAT, "K is not one number");
  BRAID_TRY(onnx_range("K", k, 0, shape.dim[attrs.index.axis], &shape.dim[attrs.index.axis]));
  BRAID_TRY(onnx_attr_bool(node, "largest", true, &largest));
  attrs.index.smallest = !largest;
  BRAID_TRY(onnx_emit_out(node, 0, BRAID_OP_TOP_K_VALUES, &attrs, &x, 1, &shape));
  return onnx_emit_out(node, 1, BRAID_OP_TOP_K_INDICES, &attrs, &x, 1, &shape);
}

enum braid_status onnx_convert_cum_sum(struct onnx_node *node) {
  union braid_attrs attrs = {.scan = {0}};
  struct onnx_value *x = onnx_in(node, 0);
  int64_t axis;
  int n;
  BRAID_TRY(onnx_in_ints(node, 1, &axis, 1, &n));
  if (n != 1) return braid_fail(BRAID_EFORMAT, "the axis is not one number");
  BRAID_TRY(onnx_axis(axis, x->tensor.shape.rank, &attrs.scan.axis));
  BRAID_TRY(onnx_attr_bool(node, "exclusive", false, &attrs.scan.exclusive));
  BRAID_TRY(onnx_attr_bool(node, "reverse", false, &attrs.scan.reverse));
  return onnx_emit_out(node, 0, BRAID_OP_CUM_SUM, &attrs, &x, 1, NULL);
}

/* ------------------------------------------------------------------------------------------------- OneHot */

static enum braid_status number(struct onnx_node *node, int64_t v, struct onnx_value **out) {
  struct braid_shape scalar = {0};
  BRAID_TRY(onnx_const_new(node, BRAID_I64, &scalar, out));
  memcpy((*out)->tensor.data, &v, sizeof v);
  return BRAID_OK;
}

/* Negative ones count from the end. */
static enum braid_status wrap_indices(struct onnx_node *node, int64_t depth, struct onnx_value **x) {
  struct onnx_value *less[2] = {*x, NULL}, *add[2] = {*x, NULL}, *where[3] = {NULL, NULL, *x};
  BRAID_TRY(number(node, 0, &less[1]));
  BRAID_TRY(number(node, depth, &add[1]));
  BRAID_TRY(onnx_emit(node, BRAID_OP_LESS, NULL, less, 2, NULL, NULL, &where[0]));
  BRAID_TRY(onnx_emit(node, BRAID_OP_ADD, NULL, add, 2, NULL, NULL, &where[1]));
  return onnx_emit(node, BRAID_OP_WHERE, NULL, where, 3, NULL, NULL, x);
}

/* 0, 1, .., depth-1 along `axis` of a tensor of that rank. */
static enum braid_status count_along(struct onnx_node *node, int64_t depth, int axis, int rank,
                                     struct onnx_value **out) {
  struct braid_shape shape = {.rank = rank};
  for (int i = 0; i < rank; i++) shape.dim[i] = 1;
  BRAID_TRY(onnx_range("the depth", depth, 1, INT_MAX, &shape.dim[axis]));
  BRAID_TRY(onnx_const_new(node, BRAID_I64, &shape, out));
  for (int64_t i = 0; i < depth; i++) ((int64_t *)(*out)->tensor.data)[i] = i;
  return BRAID_OK;
}

/* Element k of a list of two, as a scalar. */
static enum braid_status pick(struct onnx_node *node, struct onnx_value *list, int k, struct onnx_value **out) {
  union braid_attrs attrs = {.slice = {.start = {k}, .step = {1}}};
  struct braid_shape one = {1, {1}}, scalar = {0};
  if (list->tensor.shape.rank != 1 || list->tensor.shape.dim[0] != 2)
    return braid_fail(BRAID_ESHAPE, "the values are not two");
  BRAID_TRY(onnx_emit(node, BRAID_OP_SLICE, &attrs, &list, 1, &one, NULL, out));
  return onnx_reshape(node, *out, &scalar, out);
}

/* Where(indices == 0..depth-1 along the new axis, on, off). */
enum braid_status onnx_convert_one_hot(struct onnx_node *node) {
  struct onnx_value *x = onnx_in(node, 0), *equal[2], *where[3];
  struct braid_shape in = x->tensor.shape, wide = {.rank = in.rank + 1};
  double depth;
  int64_t v;
  int n, axis;
  BRAID_TRY(onnx_in_floats(node, 1, &depth, 1, &n));
  if (n != 1 || !(depth >= 1 && depth <= INT_MAX)) return braid_fail(BRAID_EFORMAT, "the depth is no positive number");
  if (wide.rank > BRAID_MAX_RANK) return braid_fail(BRAID_EUNSUPPORTED, "more than %d dims", BRAID_MAX_RANK);
  BRAID_TRY(onnx_attr_i64(node, "axis", -1, &v));
  BRAID_TRY(onnx_axis(v, wide.rank, &axis));
  for (int i = 0, from = 0; i < wide.rank; i++) wide.dim[i] = i == axis ? 1 : in.dim[from++];
  BRAID_TRY(onnx_cast_to(node, BRAID_I64, &x));
  BRAID_TRY(wrap_indices(node, (int64_t)depth, &x));
  BRAID_TRY(onnx_reshape(node, x, &wide, &equal[0]));
  BRAID_TRY(count_along(node, (int64_t)depth, axis, wide.rank, &equal[1]));
  BRAID_TRY(onnx_emit(node, BRAID_OP_EQUAL, NULL, equal, 2, NULL, NULL, &where[0]));
  BRAID_TRY(pick(node, onnx_in(node, 2), 1, &where[1]));
  BRAID_TRY(pick(node, onnx_in(node, 2), 0, &where[2]));
  return onnx_emit_out(node, 0, BRAID_OP_WHERE, NULL, where, 3, NULL);
}

/* -------------------------------------------------------------------------------------------------- Trilu */

/* Where(a mask that is known now, x, 0). */
enum braid_status onnx_convert_trilu(struct onnx_node *node) {
  struct onnx_value *x = onnx_in(node, 0), *where[3] = {NULL, x, NULL};
  const struct braid_shape *shape = &x->tensor.shape;
  struct braid_shape mask = {2, {0, 0}}, scalar = {0};
  int64_t k = 0;
  bool upper;
  int n;
  if (shape->rank < 2) return braid_fail(BRAID_ESHAPE, "the input is no matrix");
  BRAID_TRY(onnx_in_ints(node, 1, &k, 1, &n));
  BRAID_TRY(onnx_attr_bool(node, "upper", true, &upper));
  for (int i = 0; i < 2; i++) mask.dim[i] = shape->dim[shape->rank - 2 + i];
  k = k < -(int64_t)mask.dim[0] ? -(int64_t)mask.dim[0] : k > mask.dim[1] ? mask.dim[1] : k;
  BRAID_TRY(onnx_const_new(node, BRAID_BOOL, &mask, &where[0]));
  uint8_t *keep = where[0]->tensor.data;
  for (int64_t i = 0; i < mask.dim[0]; i++)
    for (int64_t j = 0; j < mask.dim[1]; j++) *keep++ = upper ? j >= i + k : j <= i + k;
  BRAID_TRY(onnx_const_new(node, x->tensor.dtype, &scalar, &where[2]));
  memset(where[2]->tensor.data, 0, braid_dtype_bytes(x->tensor.dtype));
  return onnx_emit_out(node, 0, BRAID_OP_WHERE, NULL, where, 3, NULL);
}
