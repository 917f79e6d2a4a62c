/* SPDX-License-Identifier: Apache-2.0
 * Operators that give the same elements another shape or order, repeat them, join them, or change their type. */
#include "onnx_internal.h"

#include <inttypes.h>
#include <string.h>

/* ------------------------------------------------------------------------------------------------- Concat */

/* More than 64 operands: groups of 64 are joined first. Order is kept, so the result is the same. */
static enum braid_status join(struct onnx_node *node, const union braid_attrs *attrs, struct onnx_value **in,
                              int n_in) {
  while (n_in > ONNX_OPERANDS_MAX) {
    int made = 0;
    for (int at = 0; at < n_in; at += ONNX_OPERANDS_MAX) {
      int n = n_in - at < ONNX_OPERANDS_MAX ? n_in - at : ONNX_OPERANDS_MAX;
      struct onnx_value *part = in[at];
      if (n > 1) BRAID_TRY(onnx_emit(node, BRAID_OP_CONCAT, attrs, in + at, n, NULL, NULL, &part));
      in[made++] = part;
    }
    n_in = made;
  }
  if (n_in == 1) return onnx_reshape_out(node, 0, in[0], &in[0]->tensor.shape);
  return onnx_emit_out(node, 0, BRAID_OP_CONCAT, attrs, in, n_in, NULL);
}

/* Exporters join shapes with empty lists: those add nothing. At least one operand stays. */
static int collect(struct onnx_node *node, struct onnx_value **in, int n_in) {
  int n = 0;
  for (int i = 0; i < n_in; i++) {
    struct onnx_value *value = onnx_in(node, i);
    if (value && (braid_shape_elements(&value->tensor.shape) > 0 || (n == 0 && i == n_in - 1))) in[n++] = value;
  }
  return n;
}

enum braid_status onnx_convert_concat(struct onnx_node *node) {
  union braid_attrs attrs = {.axis = {0, 0}};
  int n_in = onnx_in_count(node);
  int64_t axis;
  if (!onnx_attr(node, "axis")) return braid_fail(BRAID_EFORMAT, "attribute 'axis' is missing");
  BRAID_TRY(onnx_attr_i64(node, "axis", 0, &axis));
  BRAID_TRY(onnx_axis(axis, onnx_in(node, 0)->tensor.shape.rank, &attrs.axis.axis));
  struct onnx_value **in = braid_calloc((size_t)n_in, sizeof(struct onnx_value *));
  if (!in) return braid_fail(BRAID_ENOMEM, "out of memory");
  enum braid_status status = join(node, &attrs, in, collect(node, in, n_in));
  braid_free(in);
  return status;
}

/* ------------------------------------------------------------------------------------------------ Reshape */

/* The one dim that is -1: what is left of the elements. */
static enum braid_status infer_dim(const struct braid_shape *in, struct braid_shape *out, int unknown) {
  int64_t elements = braid_shape_elements(in), known = 1;
  for (int i = 0; i < out->rank; i++) {
    if (i == unknown) continue;
    if (out->dim[i] == 0 || known > elements / out->dim[i]) known = 0; /* more than there are, or none */
    if (known == 0) break;
    known *= out->dim[i];
  }
  if (known == 0 || elements % known != 0) {
    char text[96];
    return braid_fail(BRAID_ESHAPE, "%s does not divide evenly for the dim that is -1",
                      braid_shape_text(in, text, sizeof text));
  }
  return onnx_dim("a dim", elements / known, &out->dim[unknown]);
}

static enum braid_status resolve_dims(const struct braid_shape *in, const int64_t *dims, bool allow_zero,
                                      struct braid_shape *out) {
  int unknown = -1;
  for (int i = 0; i < out->rank; i++) {
    int64_t dim = dims[i];
    if (dim == -1) {
      if (unknown >= 0) return braid_fail(BRAID_ESHAPE, "more than one dim is -1");
      unknown = i;
      continue;
    }
    if (dim == 0 && !allow_zero) {
      if (i >= in->rank) return braid_fail(BRAID_ESHAPE, "dim %d is 0 (as in the input), which has %d", i, in->rank);
      dim = in->dim[i];
    }
    BRAID_TRY(onnx_dim("a dim", dim, &out->dim[i]));
  }
  return unknown < 0 ? BRAID_OK : infer_dim(in, out, unknown);
}

enum braid_status onnx_convert_reshape(struct onnx_node *node) {
  struct onnx_value *x = onnx_in(node, 0);
  struct braid_shape out = {0};
  int64_t dims[BRAID_MAX_RANK];
  bool allow_zero;
  BRAID_TRY(onnx_in_ints(node, 1, dims, BRAID_MAX_RANK, &out.rank));
  BRAID_TRY(onnx_attr_bool(node, "allowzero", false, &allow_zero));
  BRAID_TRY(resolve_dims(&x->tensor.shape, dims, allow_zero, &out));
  return onnx_reshape_out(node, 0, x, &out);
}

static enum braid_status product(const struct braid_shape *shape, int begin, int end, int *out) {
  int64_t n = 1;
  for (int i = begin; i < end; i++) {
    int dim;
    BRAID_TRY(onnx_dim("the number of elements", n * shape->dim[i], &dim));
    n = dim;
  }
  *out = (int)n;
  return BRAID_OK;
}

enum braid_status onnx_convert_flatten(struct onnx_node *node) {
  struct onnx_value *x = onnx_in(node, 0);
  const struct braid_shape *in = &x->tensor.shape;
  struct braid_shape out = {.rank = 2};
  int64_t axis;
  BRAID_TRY(onnx_attr_i64(node, "axis", 1, &axis));
  if (axis < -in->rank || axis > in->rank) {
    return braid_fail(BRAID_ESHAPE, "axis %" PRId64 " of a tensor with %d dims", axis, in->rank);
  }
  int split = (int)(axis < 0 ? axis + in->rank : axis);
  BRAID_TRY(product(in, 0, split, &out.dim[0]));
  BRAID_TRY(product(in, split, in->rank, &out.dim[1]));
  return onnx_reshape_out(node, 0, x, &out);
}

static enum braid_status mark_axes(const int64_t *axes, int n, int rank, bool *marked) {
  for (int i = 0; i < n; i++) {
    int axis;
    BRAID_TRY(onnx_axis(axes[i], rank, &axis));
    if (marked[axis]) return braid_fail(BRAID_EFORMAT, "axis %d is listed twice", axis);
    marked[axis] = true;
  }
  return BRAID_OK;
}

enum braid_status onnx_convert_squeeze(struct onnx_node *node) {
  struct onnx_value *x = onnx_in(node, 0);
  const struct braid_shape *in = &x->tensor.shape;
  struct braid_shape out = {0};
  int64_t axes[BRAID_MAX_RANK];
  bool drop[BRAID_MAX_RANK] = {false};
  int n;
  BRAID_TRY(onnx_list(node, "axes", 1, 13, axes, BRAID_MAX_RANK, &n));
  BRAID_TRY(mark_axes(axes, n, in->rank, drop));
  for (int i = 0; i < in->rank; i++) {
    if (n < 0) drop[i] = in->dim[i] == 1;
    if (drop[i] && in->dim[i] != 1) return braid_fail(BRAID_ESHAPE, "axis %d is %d, not 1", i, in->dim[i]);
    if (!drop[i]) out.dim[out.rank++] = in->dim[i];
  }
  return onnx_reshape_out(node, 0, x, &out);
}

enum braid_status onnx_convert_unsqueeze(struct onnx_node *node) {
  struct onnx_value *x = onnx_in(node, 0);
  const struct braid_shape *in = &x->tensor.shape;
  struct braid_shape out = {0};
  int64_t axes[BRAID_MAX_RANK];
  bool added[BRAID_MAX_RANK] = {false};
  int n, next = 0;
  BRAID_TRY(onnx_list(node, "axes", 1, 13, axes, BRAID_MAX_RANK, &n));
  if (n < 0) return braid_fail(BRAID_EFORMAT, "the axes are missing");
  out.rank = in->rank + n;
  if (out.rank > BRAID_MAX_RANK)
    return braid_fail(BRAID_EUNSUPPORTED, "%d dims, at most %d fit", out.rank, BRAID_MAX_RANK);
  BRAID_TRY(mark_axes(axes, n, out.rank, added));
  for (int i = 0; i < out.rank; i++) out.dim[i] = added[i] ? 1 : in->dim[next++];
  return onnx_reshape_out(node, 0, x, &out);
}

enum braid_status onnx_convert_identity(struct onnx_node *node) {
  struct onnx_value *x = onnx_in(node, 0);
  return onnx_reshape_out(node, 0, x, &x->tensor.shape);
}

/* Without dropping, everything is kept: the mask is all true (of the input's type, all ones, before opset 10). */
static enum braid_status dropout_mask(struct onnx_node *node, const struct onnx_value *x) {
  struct onnx_value *mask;
  if (!onnx_out_name(node, 1)) return BRAID_OK;
  BRAID_TRY(onnx_const_new(node, BRAID_BOOL, &x->tensor.shape, &mask));
  memset(mask->tensor.data, 1, (size_t)braid_shape_elements(&x->tensor.shape));
  if (node->opset < 10) BRAID_TRY(onnx_cast_to(node, x->tensor.dtype, &mask));
  return onnx_const_out(node, 1, &mask->tensor);
}

/* Training drops elements at random, unless the ratio is 0. */
static enum braid_status refuse_dropping(struct onnx_node *node) {
  bool training = false, test;
  int64_t on = 0;
  double ratio[1] = {0.5};
  int n;
  BRAID_TRY(onnx_attr_bool(node, "is_test", node->opset >= 7, &test));
  if (node->opset >= 12) {
    BRAID_TRY(onnx_in_ints(node, 2, &on, 1, &n));
    training = n == 1 && on;
    if (training) BRAID_TRY(onnx_in_floats(node, 1, ratio, 1, &n));
  }
  if (test && (!training || ratio[0] == 0)) return BRAID_OK;
  return braid_fail(BRAID_EUNSUPPORTED, "training mode is not supported");
}

/* Inference only: what goes in comes out. */
enum braid_status onnx_convert_dropout(struct onnx_node *node) {
  BRAID_TRY(refuse_dropping(node));
  BRAID_TRY(onnx_convert_identity(node));
  return dropout_mask(node, onnx_in(node, 0));
}

/* ---------------------------------------------------------------------------------------- order, repeats */

enum braid_status onnx_convert_transpose(struct onnx_node *node) {
  union braid_attrs attrs = {.transpose = {{0}}};
  struct onnx_value *x = onnx_in(node, 0);
  int rank = x->tensor.shape.rank, n;
  const int64_t *perm;
  BRAID_TRY(onnx_attr_ints(node, "perm", &perm, &n));
  if (perm && n != rank) return braid_fail(BRAID_ESHAPE, "'perm' has %d numbers, expected %d", n, rank);
  for (int i = 0; i < rank; i++) BRAID_TRY(onnx_axis(perm ? perm[i] : rank - 1 - i, rank, &attrs.transpose.perm[i]));
  return onnx_emit_out(node, 0, BRAID_OP_TRANSPOSE, &attrs, &x, 1, NULL);
}

/* The given shape broadcasts with the input's, in both directions. */
enum braid_status onnx_convert_expand(struct onnx_node *node) {
  struct onnx_value *x = onnx_in(node, 0);
  struct braid_shape in = x->tensor.shape, want = {0}, out = {0};
  int64_t dims[BRAID_MAX_RANK];
  BRAID_TRY(onnx_in_ints(node, 1, dims, BRAID_MAX_RANK, &want.rank));
  out.rank = in.rank > want.rank ? in.rank : want.rank;
  for (int i = 0; i < out.rank; i++) {
    int from_in = i - (out.rank - in.rank), from_want = i - (out.rank - want.rank), dim = 1;
    if (from_want >= 0) BRAID_TRY(onnx_dim("a dim", dims[from_want], &dim));
    out.dim[i] = dim == 1 && from_in >= 0 ? in.dim[from_in] : dim;
  }
  return onnx_emit_out(node, 0, BRAID_OP_EXPAND, NULL, &x, 1, &out);
}

/* Repeats along one axis: [outer, 1, inner] is expanded to [outer, n, inner] and read as [outer, n*dim, rest]. */
static enum braid_status repeat(struct onnx_node *node, struct onnx_value *x, int axis, int n,
                                struct onnx_value **out) {
  struct braid_shape shape = x->tensor.shape, flat = {3, {0, 1, 0}};
  BRAID_TRY(product(&shape, 0, axis, &flat.dim[0]));
  BRAID_TRY(product(&shape, axis, shape.rank, &flat.dim[2]));
  BRAID_TRY(onnx_reshape(node, x, &flat, &x));
  flat.dim[1] = n;
  BRAID_TRY(onnx_emit(node, BRAID_OP_EXPAND, NULL, &x, 1, &flat, NULL, &x));
  BRAID_TRY(onnx_dim("a dim", (int64_t)shape.dim[axis] * n, &shape.dim[axis]));
  return onnx_reshape(node, x, &shape, out);
}

enum braid_status onnx_convert_tile(struct onnx_node *node) {
  struct onnx_value *x = onnx_in(node, 0);
  int rank = x->tensor.shape.rank, n, times;
  int64_t repeats[BRAID_MAX_RANK];
  BRAID_TRY(onnx_in_ints(node, 1, repeats, BRAID_MAX_RANK, &n));
  if (n != rank) return braid_fail(BRAID_ESHAPE, "%d repeats for %d dims", n, rank);
  for (int i = 0; i < rank; i++) {
    BRAID_TRY(onnx_range("a repeat", repeats[i], 1, INT_MAX, &times));
    if (times > 1) BRAID_TRY(repeat(node, x, i, times, &x));
  }
  return onnx_reshape_out(node, 0, x, &x->tensor.shape);
}

enum braid_status onnx_convert_cast(struct onnx_node *node) {
  union braid_attrs attrs = {.cast = {.to = BRAID_F32}};
  struct onnx_value *x = onnx_in(node, 0);
  int64_t to;
  BRAID_TRY(onnx_attr_i64(node, "to", 0, &to));
  if (to < 0 || to > 1000) return braid_fail(BRAID_EFORMAT, "attribute 'to' is %" PRId64, to);
  BRAID_TRY(onnx_dtype((int32_t)to, &attrs.cast.to));
  if (attrs.cast.to == x->tensor.dtype) return onnx_convert_identity(node);
  return onnx_emit_out(node, 0, BRAID_OP_CAST, &attrs, &x, 1, NULL);
}

enum braid_status onnx_convert_cast_like(struct onnx_node *node) {
  struct onnx_value *x = onnx_in(node, 0);
  BRAID_TRY(onnx_cast_to(node, onnx_in(node, 1)->tensor.dtype, &x));
  return onnx_reshape_out(node, 0, x, &x->tensor.shape);
}

/* ------------------------------------------------------------------------------------- depth and space */

static enum braid_status regroup(struct onnx_node *node, const struct braid_shape *parts, const int *perm,
                                 const struct braid_shape *out) {
  struct onnx_value *x = onnx_in(node, 0);
  union braid_attrs attrs = {.transpose = {{0}}};
  for (int i = 0; i < 6; i++) attrs.transpose.perm[i] = perm[i];
  BRAID_TRY(onnx_reshape(node, x, parts, &x));
  BRAID_TRY(onnx_emit(node, BRAID_OP_TRANSPOSE, &attrs, &x, 1, NULL, NULL, &x));
  return onnx_reshape_out(node, 0, x, out);
}

static enum braid_status read_blocks(struct onnx_node *node, int *block) {
  int64_t v;
  if (onnx_in(node, 0)->tensor.shape.rank != 4) return braid_fail(BRAID_ESHAPE, "the input must have 4 dims");
  BRAID_TRY(onnx_attr_i64(node, "blocksize", 0, &v));
  return onnx_range("attribute 'blocksize'", v, 1, 46340, block); /* its square is an int */
}

/* DCR: the depth is [b,b,C]; CRD: it is [C,b,b]. */
enum braid_status onnx_convert_depth_to_space(struct onnx_node *node) {
  static const char *const modes[] = {"DCR", "CRD", NULL};
  static const int perm[2][6] = {{0, 3, 4, 1, 5, 2}, {0, 1, 4, 2, 5, 3}};
  const int *x = onnx_in(node, 0)->tensor.shape.dim;
  int b, mode;
  BRAID_TRY(read_blocks(node, &b));
  BRAID_TRY(onnx_attr_choice(node, "mode", modes, 0, &mode));
  if (x[1] % (b * b) != 0) return braid_fail(BRAID_ESHAPE, "%d channels are no blocks of %dx%d", x[1], b, b);
  int c = x[1] / (b * b);
  struct braid_shape dcr = {6, {x[0], b, b, c, x[2], x[3]}}, crd = {6, {x[0], c, b, b, x[2], x[3]}};
  struct braid_shape out = {4, {x[0], c, 0, 0}};
  BRAID_TRY(onnx_dim("a dim", (int64_t)x[2] * b, &out.dim[2]));
  BRAID_TRY(onnx_dim("a dim", (int64_t)x[3] * b, &out.dim[3]));
  return regroup(node, mode == 0 ? &dcr : &crd, perm[mode], &out);
}

enum braid_status onnx_convert_space_to_depth(struct onnx_node *node) {
  static const int perm[6] = {0, 3, 5, 1, 2, 4};
  const int *x = onnx_in(node, 0)->tensor.shape.dim;
  int b;
  BRAID_TRY(read_blocks(node, &b));
  if (x[2] % b != 0 || x[3] % b != 0)
    return braid_fail(BRAID_ESHAPE, "%dx%d pixels are no blocks of %dx%d", x[2], x[3], b, b);
  struct braid_shape parts = {6, {x[0], x[1], x[2] / b, b, x[3] / b, b}};
  struct braid_shape out = {4, {x[0], 0, x[2] / b, x[3] / b}};
  BRAID_TRY(onnx_dim("a dim", (int64_t)x[1] * b * b, &out.dim[1]));
  return regroup(node, &parts, perm, &out);
}
