/* SPDX-License-Identifier: Apache-2.0
 * Operators that compute element by element or along axes: arithmetic, activations, matrix products, reductions. */
#include "infer.h"
#include "onnx_internal.h"

#include <float.h>
#include <string.h>

/* No attributes, the same operands. */
enum braid_status onnx_convert_plain(struct onnx_node *node) {
  struct onnx_value *in[3] = {onnx_in(node, 0), onnx_in(node, 1), onnx_in(node, 2)};
  return onnx_emit_out(node, 0, node->op->op, NULL, in, onnx_in_count(node), NULL);
}

/* Before opset 7 the second operand was broadcast only if asked for, and from any axis on: with ones behind it, it is
 * broadcast as it is today. */
static enum braid_status align(struct onnx_node *node, const struct braid_shape *to, struct onnx_value **x) {
  bool broadcast;
  int64_t axis;
  int first;
  struct braid_shape shape = (*x)->tensor.shape;
  if (node->opset >= 7) return BRAID_OK;
  BRAID_TRY(onnx_attr_bool(node, "broadcast", false, &broadcast));
  if (!broadcast || !onnx_attr(node, "axis") || shape.rank == 0) return BRAID_OK;
  BRAID_TRY(onnx_attr_i64(node, "axis", 0, &axis));
  BRAID_TRY(onnx_axis(axis, to->rank, &first));
  while (shape.rank + first < to->rank) shape.dim[shape.rank++] = 1;
  return onnx_reshape(node, *x, &shape, x);
}

enum braid_status onnx_convert_binary(struct onnx_node *node) {
  union braid_attrs attrs = {.flag = {false}};
  struct onnx_value *in[2] = {onnx_in(node, 0), onnx_in(node, 1)};
  static const char *const directions[] = {"LEFT", "RIGHT", NULL};
  int direction = 1;
  BRAID_TRY(align(node, &in[0]->tensor.shape, &in[1]));
  if (node->op->op == BRAID_OP_MOD) BRAID_TRY(onnx_attr_bool(node, "fmod", false, &attrs.flag.on));
  if (node->op->op == BRAID_OP_BIT_SHIFT) {
    BRAID_TRY(onnx_attr_choice(node, "direction", directions, 1, &direction));
    attrs.flag.on = direction == 0;
  }
  return onnx_emit_out(node, 0, node->op->op, &attrs, in, 2, NULL);
}

/* Before opset 7 a slope was one number, or one a channel. */
enum braid_status onnx_convert_prelu(struct onnx_node *node) {
  struct onnx_value *in[2] = {onnx_in(node, 0), onnx_in(node, 1)};
  const struct braid_shape *x = &in[0]->tensor.shape, *slope = &in[1]->tensor.shape;
  if (node->opset < 7 && slope->rank == 1 && slope->dim[0] > 1 && x->rank > 1) {
    struct braid_shape column = {x->rank - 1, {slope->dim[0], 1, 1, 1, 1, 1, 1}};
    BRAID_TRY(onnx_reshape(node, in[1], &column, &in[1]));
  }
  return onnx_emit_out(node, 0, BRAID_OP_PRELU, NULL, in, 2, NULL);
}

/* Of integers it is a maximum. */
enum braid_status onnx_convert_relu(struct onnx_node *node) {
  struct onnx_value *in[2] = {onnx_in(node, 0), NULL};
  struct braid_shape scalar = {0};
  enum braid_dtype dtype = in[0]->tensor.dtype;
  if (dtype_is_float(dtype)) return onnx_convert_plain(node);
  BRAID_TRY(onnx_const_new(node, dtype, &scalar, &in[1]));
  memset(in[1]->tensor.data, 0, braid_dtype_bytes(dtype));
  return onnx_emit_out(node, 0, BRAID_OP_MAX, NULL, in, 2, NULL);
}

/* ------------------------------------------------------------------------------------------- activations */

struct unary_defaults {
  enum braid_op op;
  const char *name_a, *name_b;
  float a, b;
};

static const struct unary_defaults unary_defaults[] = {
    {BRAID_OP_LEAKY_RELU, "alpha", NULL, 0.01f, 0},
    {BRAID_OP_ELU, "alpha", NULL, 1.0f, 0},
    {BRAID_OP_SELU, "alpha", "gamma", 1.67326319217681884765625f, 1.05070102214813232421875f},
    {BRAID_OP_HARD_SIGMOID, "alpha", "beta", 0.2f, 0.5f},
    {BRAID_OP_CELU, "alpha", NULL, 1.0f, 0},
    {BRAID_OP_THRESHOLDED_RELU, "alpha", NULL, 1.0f, 0},
    {BRAID_OP_SHRINK, "lambd", "bias", 0.5f, 0},
};

enum braid_status onnx_convert_unary(struct onnx_node *node) {
  union braid_attrs attrs = {.unary = {0, 0}};
  struct onnx_value *x = onnx_in(node, 0);
  for (size_t i = 0; i < sizeof unary_defaults / sizeof *unary_defaults; i++) {
    const struct unary_defaults *d = &unary_defaults[i];
    if (d->op != node->op->op) continue;
    BRAID_TRY(onnx_attr_f32(node, d->name_a, d->a, &attrs.unary.a));
    if (d->name_b) BRAID_TRY(onnx_attr_f32(node, d->name_b, d->b, &attrs.unary.b));
  }
  return onnx_emit_out(node, 0, node->op->op, &attrs, &x, 1, NULL);
}

enum braid_status onnx_convert_gelu(struct onnx_node *node) {
  static const char *const approximations[] = {"none", "tanh", NULL};
  union braid_attrs attrs = {.unary = {0, 0}};
  struct onnx_value *x = onnx_in(node, 0);
  int by_tanh;
  BRAID_TRY(onnx_attr_choice(node, "approximate", approximations, 0, &by_tanh));
  attrs.unary.a = (float)by_tanh;
  return onnx_emit_out(node, 0, BRAID_OP_GELU, &attrs, &x, 1, NULL);
}

enum braid_status onnx_convert_is_inf(struct onnx_node *node) {
  union braid_attrs attrs = {.unary = {0, 0}};
  struct onnx_value *x = onnx_in(node, 0);
  bool negative, positive;
  BRAID_TRY(onnx_attr_bool(node, "detect_negative", true, &negative));
  BRAID_TRY(onnx_attr_bool(node, "detect_positive", true, &positive));
  attrs.unary = (struct braid_unary_attrs){negative ? 1.0f : 0.0f, positive ? 1.0f : 0.0f};
  return onnx_emit_out(node, 0, BRAID_OP_IS_INF, &attrs, &x, 1, NULL);
}

static enum braid_status clip_bound(struct onnx_node *node, int k, float *bound) {
  double v[1];
  int n;
  BRAID_TRY(onnx_in_floats(node, k, v, 1, &n));
  if (n == 1) *bound = (float)v[0];
  return BRAID_OK;
}

/* Bounds that are computed, or integers that no float can hold: Clip(x) = Min(Max(x, low), high). */
static enum braid_status clip_by_nodes(struct onnx_node *node, struct onnx_value *x, struct onnx_value *low,
                                       struct onnx_value *high) {
  struct onnx_value *lower[2] = {x, low}, *upper[2] = {x, high};
  if (!low && !high) return onnx_reshape_out(node, 0, x, &x->tensor.shape);
  if (!high) return onnx_emit_out(node, 0, BRAID_OP_MAX, NULL, lower, 2, NULL);
  if (low) BRAID_TRY(onnx_emit(node, BRAID_OP_MAX, NULL, lower, 2, NULL, NULL, &upper[0]));
  return onnx_emit_out(node, 0, BRAID_OP_MIN, NULL, upper, 2, NULL);
}

enum braid_status onnx_convert_clip(struct onnx_node *node) {
  union braid_attrs attrs = {.unary = {-FLT_MAX, FLT_MAX}};
  struct onnx_value *x = onnx_in(node, 0), *low = onnx_in(node, 1), *high = onnx_in(node, 2);
  if (node->opset < 11) {
    BRAID_TRY(onnx_attr_f32(node, "min", -FLT_MAX, &attrs.unary.a));
    BRAID_TRY(onnx_attr_f32(node, "max", FLT_MAX, &attrs.unary.b));
  } else {
    bool known = (!low || low->constant) && (!high || high->constant);
    if (!known || x->tensor.dtype != BRAID_F32) return clip_by_nodes(node, x, low, high);
    BRAID_TRY(clip_bound(node, 1, &attrs.unary.a));
    BRAID_TRY(clip_bound(node, 2, &attrs.unary.b));
  }
  if (attrs.unary.a > attrs.unary.b) attrs.unary.a = attrs.unary.b; /* the upper bound has the last word */
  return onnx_emit_out(node, 0, BRAID_OP_CLIP, &attrs, &x, 1, NULL);
}

/* Dims of 1 at either end of the range add nothing; without them 1x1000x1x1 has one axis to normalise, not three. */
static void trim_ones(const struct braid_shape *shape, int *begin, int *end) {
  while (*end - *begin > 1 && shape->dim[*end - 1] == 1) --*end;
  while (*end - *begin > 1 && shape->dim[*begin] == 1) ++*begin;
}

/* Opset < 13 normalises over everything from `axis` on, later ones over that axis alone. */
enum braid_status onnx_convert_softmax(struct onnx_node *node) {
  union braid_attrs attrs = {.axis = {0, 0}};
  struct onnx_value *x = onnx_in(node, 0);
  bool coerces = node->opset < 13;
  int64_t axis;
  BRAID_TRY(onnx_attr_i64(node, "axis", coerces ? 1 : -1, &axis));
  BRAID_TRY(onnx_axis(axis, x->tensor.shape.rank, &attrs.axis.axis));
  attrs.axis.axis_end = coerces ? x->tensor.shape.rank : attrs.axis.axis + 1;
  trim_ones(&x->tensor.shape, &attrs.axis.axis, &attrs.axis.axis_end);
  return onnx_emit_out(node, 0, node->op->op, &attrs, &x, 1, NULL);
}

/* ------------------------------------------------------------------------------------------- arithmetic */

enum braid_status onnx_cast_to(struct onnx_node *node, enum braid_dtype dtype, struct onnx_value **value) {
  union braid_attrs attrs = {.cast = {.to = dtype}};
  struct onnx_value *in = *value;
  if (in->tensor.dtype == dtype) return BRAID_OK;
  return onnx_emit(node, BRAID_OP_CAST, &attrs, &in, 1, NULL, NULL, value);
}

/* The exponent may have another type; the result has the base's. A base of integers is raised to floats as it is. */
enum braid_status onnx_convert_pow(struct onnx_node *node) {
  struct onnx_value *in[2] = {onnx_in(node, 0), onnx_in(node, 1)};
  BRAID_TRY(align(node, &in[0]->tensor.shape, &in[1]));
  BRAID_TRY(onnx_cast_to(node, in[0]->tensor.dtype, &in[1]));
  return onnx_emit_out(node, 0, BRAID_OP_POW, NULL, in, 2, NULL);
}

/* Replaces every 64 operands by one partial result, until 64 are left. Max, Min and Sum do not mind. */
static enum braid_status reduce_operands(struct onnx_node *node, enum braid_op op, struct onnx_value **in, int *n_in) {
  while (*n_in > ONNX_OPERANDS_MAX) {
    int made = 0;
    for (int at = 0; at < *n_in; at += ONNX_OPERANDS_MAX) {
      int n = *n_in - at < ONNX_OPERANDS_MAX ? *n_in - at : ONNX_OPERANDS_MAX;
      struct onnx_value *part = in[at];
      if (n > 1) BRAID_TRY(onnx_emit(node, op, NULL, in + at, n, NULL, NULL, &part));
      in[made++] = part;
    }
    *n_in = made;
  }
  return BRAID_OK;
}

/* A mean of many is their sum divided by their number. */
static enum braid_status mean_of_many(struct onnx_node *node, struct onnx_value **in, int n_in) {
  struct braid_shape scalar = {0};
  struct onnx_value *div[2];
  float count = (float)n_in;
  BRAID_TRY(reduce_operands(node, BRAID_OP_SUM, in, &n_in));
  BRAID_TRY(onnx_emit(node, BRAID_OP_SUM, NULL, in, n_in, NULL, NULL, &div[0]));
  if (div[0]->tensor.dtype != BRAID_F32) return braid_fail(BRAID_EUNSUPPORTED, "more than 64 operands of this type");
  BRAID_TRY(onnx_const_new(node, BRAID_F32, &scalar, &div[1]));
  memcpy(div[1]->tensor.data, &count, sizeof count);
  return onnx_emit_out(node, 0, BRAID_OP_DIV, NULL, div, 2, NULL);
}

static enum braid_status emit_variadic(struct onnx_node *node, struct onnx_value **in, int n_in) {
  struct braid_shape *same = &in[0]->tensor.shape;
  if (n_in == 1) return onnx_reshape_out(node, 0, in[0], same); /* of one operand: the operand */
  if (node->op->op == BRAID_OP_MEAN && n_in > ONNX_OPERANDS_MAX) return mean_of_many(node, in, n_in);
  BRAID_TRY(reduce_operands(node, node->op->op, in, &n_in));
  return onnx_emit_out(node, 0, node->op->op, NULL, in, n_in, NULL);
}

enum braid_status onnx_convert_variadic(struct onnx_node *node) {
  int n_in = onnx_in_count(node);
  struct onnx_value **in = braid_calloc((size_t)n_in, sizeof(struct onnx_value *));
  if (!in) return braid_fail(BRAID_ENOMEM, "out of memory");
  for (int i = 0; i < n_in; i++) in[i] = onnx_in(node, i);
  enum braid_status status = emit_variadic(node, in, n_in);
  braid_free(in);
  return status;
}

enum braid_status onnx_convert_gemm(struct onnx_node *node) {
  union braid_attrs attrs = {.gemm = {1, 1, false, false}};
  struct onnx_value *in[3] = {onnx_in(node, 0), onnx_in(node, 1), onnx_in(node, 2)};
  BRAID_TRY(onnx_attr_f32(node, "alpha", 1, &attrs.gemm.alpha));
  BRAID_TRY(onnx_attr_f32(node, "beta", 1, &attrs.gemm.beta));
  BRAID_TRY(onnx_attr_bool(node, "transA", false, &attrs.gemm.trans_a));
  BRAID_TRY(onnx_attr_bool(node, "transB", false, &attrs.gemm.trans_b));
  return onnx_emit_out(node, 0, BRAID_OP_GEMM, &attrs, in, in[2] ? 3 : 2, NULL);
}

/* ------------------------------------------------------------------------------------------- reductions */

/* Axes became an operand in opset 13 (ReduceSum) and 18 (all others). */
enum braid_status onnx_convert_reduce(struct onnx_node *node) {
  union braid_attrs attrs = {.reduce = {.keepdims = true}};
  struct onnx_value *x = onnx_in(node, 0);
  int rank = x->tensor.shape.rank, n, axis;
  int64_t axes[BRAID_MAX_RANK];
  bool noop;
  BRAID_TRY(onnx_list(node, "axes", 1, node->op->op == BRAID_OP_REDUCE_SUM ? 13 : 18, axes, BRAID_MAX_RANK, &n));
  BRAID_TRY(onnx_attr_bool(node, "keepdims", true, &attrs.reduce.keepdims));
  BRAID_TRY(onnx_attr_bool(node, "noop_with_empty_axes", false, &noop));
  if (n <= 0 && noop) return onnx_reshape_out(node, 0, x, &x->tensor.shape);
  for (int i = 0; i < rank; i++) attrs.reduce.axis[i] = n <= 0;
  for (int i = 0; i < n; i++) {
    BRAID_TRY(onnx_axis(axes[i], rank, &axis));
    attrs.reduce.axis[axis] = true;
  }
  return onnx_emit_out(node, 0, node->op->op, &attrs, &x, 1, NULL);
}

enum braid_status onnx_convert_arg_extreme(struct onnx_node *node) {
  union braid_attrs attrs = {.reduce = {.keepdims = true}};
  struct onnx_value *x = onnx_in(node, 0);
  int64_t v;
  int axis;
  BRAID_TRY(onnx_attr_i64(node, "axis", 0, &v));
  BRAID_TRY(onnx_axis(v, x->tensor.shape.rank, &axis));
  BRAID_TRY(onnx_attr_bool(node, "keepdims", true, &attrs.reduce.keepdims));
  BRAID_TRY(onnx_attr_bool(node, "select_last_index", false, &attrs.reduce.select_last));
  attrs.reduce.axis[axis] = true;
  return onnx_emit_out(node, 0, node->op->op, &attrs, &x, 1, NULL);
}
