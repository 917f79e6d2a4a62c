/* SPDX-License-Identifier: Apache-2.0
 * The table of operator rules, and the rules of the operators that work element by element. */
#include "infer.h"

#include <limits.h>
#include <math.h>

/* ------------------------------------------------------------------------------------- types and shapes */

bool dtype_is_float(enum braid_dtype dtype) {
  return dtype == BRAID_F32 || dtype == BRAID_F16 || dtype == BRAID_BF16 || dtype == BRAID_F64;
}

enum braid_status tensor_check(enum braid_dtype dtype, const struct braid_shape *shape) {
  char text[96];
  if ((unsigned)dtype >= BRAID_DTYPE_COUNT) return braid_fail(BRAID_EINVAL, "has the unknown type %d", (int)dtype);
  if (shape->rank < 0 || shape->rank > BRAID_MAX_RANK)
    return braid_fail(BRAID_ESHAPE, "has rank %d; at most %d can be handled", shape->rank, BRAID_MAX_RANK);
  for (int i = 0; i < shape->rank; i++)
    if (shape->dim[i] < 0)
      return braid_fail(BRAID_ESHAPE, "has the shape %s: unknown dimensions cannot be handled",
                        braid_shape_text(shape, text, sizeof text));
  int64_t elements = braid_shape_elements(shape);
  if (elements < 0 || elements > INT_MAX)
    return braid_fail(BRAID_ESHAPE, "has the shape %s: more than %d elements cannot be handled",
                      braid_shape_text(shape, text, sizeof text), INT_MAX);
  return BRAID_OK;
}

bool shape_broadcast(const struct braid_shape *a, const struct braid_shape *b, struct braid_shape *out) {
  struct braid_shape shape = {.rank = a->rank > b->rank ? a->rank : b->rank};
  for (int i = 1; i <= shape.rank; i++) {
    int x = i <= a->rank ? a->dim[a->rank - i] : 1, y = i <= b->rank ? b->dim[b->rank - i] : 1;
    if (x != y && x != 1 && y != 1) return false;
    shape.dim[shape.rank - i] = x == 1 ? y : x;
  }
  *out = shape;
  return true;
}

bool shape_broadcasts_to(const struct braid_shape *from, const struct braid_shape *to) {
  struct braid_shape both;
  return shape_broadcast(from, to, &both) && braid_shape_equal(&both, to);
}

/* ---------------------------------------------------------------------------------- element by element */

static enum braid_status same_as_first(struct op_call *call) {
  call->dtype = call->in[0].dtype;
  call->shape = call->in[0].shape;
  return BRAID_OK;
}

enum braid_status must_be_float(const struct op_call *call) {
  if (dtype_is_float(call->in[0].dtype)) return BRAID_OK;
  return braid_fail(BRAID_EUNSUPPORTED, "is not defined for %s", braid_dtype_name(call->in[0].dtype));
}

static enum braid_status must_be_number(const struct op_call *call) {
  if (call->in[0].dtype != BRAID_BOOL) return BRAID_OK;
  return braid_fail(BRAID_EUNSUPPORTED, "is not defined for bool");
}

enum braid_status must_agree(const struct op_call *call) {
  for (int k = 1; k < call->n_in; k++)
    if (call->present[k] && call->in[k].dtype != call->in[0].dtype)
      return braid_fail(BRAID_EINVAL, "operand %d is %s but operand 0 is %s", k,
                        braid_dtype_name(call->in[k].dtype), braid_dtype_name(call->in[0].dtype));
  return BRAID_OK;
}

struct braid_unary_attrs unary_attrs_of(enum braid_op op, const union braid_attrs *attrs) {
  switch (op) {
  case BRAID_OP_LEAKY_RELU:
  case BRAID_OP_CELU:
  case BRAID_OP_GELU:
  case BRAID_OP_THRESHOLDED_RELU:
  case BRAID_OP_ELU: return (struct braid_unary_attrs){attrs->unary.a, 0.0f};
  case BRAID_OP_CLIP:
  case BRAID_OP_HARD_SIGMOID:
  case BRAID_OP_SHRINK:
  case BRAID_OP_IS_INF:
  case BRAID_OP_SELU: return attrs->unary;
  default: return (struct braid_unary_attrs){0.0f, 0.0f};
  }
}

static enum braid_status infer_float_unary(struct op_call *call) {
  BRAID_TRY(must_be_float(call));
  return same_as_first(call);
}

static enum braid_status infer_number_unary(struct op_call *call) {
  BRAID_TRY(must_be_number(call));
  return same_as_first(call);
}

static enum braid_status infer_variadic(struct op_call *call) {
  BRAID_TRY(must_be_number(call));
  BRAID_TRY(must_agree(call));
  BRAID_TRY(same_as_first(call));
  for (int k = 1; k < call->n_in; k++)
    if (!shape_broadcast(&call->shape, &call->in[k].shape, &call->shape))
      return braid_fail(BRAID_ESHAPE, "operand %d cannot be broadcast with those before it", k);
  return BRAID_OK;
}

static enum braid_status must_be(const struct op_call *call, int k, enum braid_dtype dtype) {
  if (call->in[k].dtype == dtype) return BRAID_OK;
  return braid_fail(BRAID_EINVAL, "operand %d is %s, not %s", k, braid_dtype_name(call->in[k].dtype),
                    braid_dtype_name(dtype));
}

/* One type in, truth out. */
static enum braid_status infer_float_predicate(struct op_call *call) {
  BRAID_TRY(infer_float_unary(call));
  call->dtype = BRAID_BOOL;
  return BRAID_OK;
}

static enum braid_status infer_not(struct op_call *call) {
  BRAID_TRY(must_be(call, 0, BRAID_BOOL));
  return same_as_first(call);
}

static enum braid_status broadcast_pair(struct op_call *call) {
  BRAID_TRY(must_agree(call));
  BRAID_TRY(same_as_first(call));
  if (shape_broadcast(&call->shape, &call->in[1].shape, &call->shape)) return BRAID_OK;
  return braid_fail(BRAID_ESHAPE, "the operands cannot be broadcast together");
}

static enum braid_status infer_logic(struct op_call *call) {
  BRAID_TRY(must_be(call, 0, BRAID_BOOL));
  return broadcast_pair(call);
}

static enum braid_status infer_comparison(struct op_call *call) {
  if (call->op != BRAID_OP_EQUAL) BRAID_TRY(must_be_number(call));
  BRAID_TRY(broadcast_pair(call));
  call->dtype = BRAID_BOOL;
  return BRAID_OK;
}

/* Python's % is not defined for floats by ONNX: there only fmod is. */
static enum braid_status infer_mod(struct op_call *call) {
  BRAID_TRY(must_be_number(call));
  if (dtype_is_float(call->in[0].dtype) && !call->attrs->flag.on)
    return braid_fail(BRAID_EINVAL, "of floats must be fmod");
  return broadcast_pair(call);
}

static bool dtype_is_unsigned(enum braid_dtype dtype) {
  return dtype == BRAID_U8 || dtype == BRAID_U16 || dtype == BRAID_U32 || dtype == BRAID_U64;
}

static enum braid_status infer_bit_shift(struct op_call *call) {
  if (!dtype_is_unsigned(call->in[0].dtype))
    return braid_fail(BRAID_EUNSUPPORTED, "is not defined for %s", braid_dtype_name(call->in[0].dtype));
  return broadcast_pair(call);
}

static enum braid_status infer_where(struct op_call *call) {
  BRAID_TRY(must_be(call, 0, BRAID_BOOL));
  BRAID_TRY(must_be(call, 2, call->in[1].dtype));
  call->dtype = call->in[1].dtype;
  call->shape = call->in[0].shape;
  for (int k = 1; k < 3; k++)
    if (!shape_broadcast(&call->shape, &call->in[k].shape, &call->shape))
      return braid_fail(BRAID_ESHAPE, "operand %d cannot be broadcast with those before it", k);
  return BRAID_OK;
}

static enum braid_status infer_prelu(struct op_call *call) {
  BRAID_TRY(must_be_number(call));
  BRAID_TRY(must_agree(call));
  if (!shape_broadcasts_to(&call->in[1].shape, &call->in[0].shape))
    return braid_fail(BRAID_ESHAPE, "the slope cannot be broadcast to the input");
  return same_as_first(call);
}

static enum braid_status infer_cast(struct op_call *call) {
  call->dtype = call->attrs->cast.to; /* checked with the result */
  call->shape = call->in[0].shape;
  return BRAID_OK;
}

/* ----------------------------------------------------------------------------------------- the table */

const struct op_rule *op_rule(enum braid_op op) {
#define FLOAT_UNARY(kind) {1, 1, kind, false, infer_float_unary, true}
#define NUMBER_UNARY(kind) {1, 1, kind, false, infer_number_unary, true}
#define BINARY {2, 2, ATTR_NONE, false, infer_variadic, true}
#define VARIADIC {1, MAX_OPERANDS, ATTR_NONE, false, infer_variadic, true}
#define LOGIC {2, 2, ATTR_NONE, false, infer_logic, true}
#define COMPARISON {2, 2, ATTR_NONE, false, infer_comparison, true}
#define REDUCE {1, 1, ATTR_REDUCE, false, infer_reduce}
  static const struct op_rule rule[BRAID_OP_COUNT] = {
      [BRAID_OP_INPUT] = {0, 0, ATTR_NONE, false, NULL}, /* made by braid_graph_add_input only */
      [BRAID_OP_NORMALIZE] = {3, 3, ATTR_NONE, false, infer_normalize},
      [BRAID_OP_CONV] = {2, 4, ATTR_CONV, false, infer_conv},
      [BRAID_OP_CONV_TRANSPOSE] = {2, 3, ATTR_CONV, false, infer_conv_transpose},
      [BRAID_OP_GEMM] = {2, 3, ATTR_GEMM, false, infer_gemm},
      [BRAID_OP_MATMUL] = {2, 2, ATTR_NONE, false, infer_matmul},
      [BRAID_OP_MAX_POOL] = {1, 1, ATTR_POOL, false, infer_max_pool},
      [BRAID_OP_AVERAGE_POOL] = {1, 1, ATTR_POOL, false, infer_average_pool},
      [BRAID_OP_GLOBAL_MAX_POOL] = {1, 1, ATTR_NONE, false, infer_global_pool},
      [BRAID_OP_GLOBAL_AVERAGE_POOL] = {1, 1, ATTR_NONE, false, infer_global_pool},
      [BRAID_OP_BATCH_NORMALIZATION] = {5, 5, ATTR_NORM, false, infer_batch_normalization},
      [BRAID_OP_LRN] = {1, 1, ATTR_LRN, false, infer_lrn},
      [BRAID_OP_RELU] = NUMBER_UNARY(ATTR_NONE),
      [BRAID_OP_LEAKY_RELU] = FLOAT_UNARY(ATTR_UNARY),
      [BRAID_OP_PRELU] = {2, 2, ATTR_NONE, false, infer_prelu, true},
      [BRAID_OP_CLIP] = NUMBER_UNARY(ATTR_UNARY),
      [BRAID_OP_ELU] = FLOAT_UNARY(ATTR_UNARY),
      [BRAID_OP_SELU] = FLOAT_UNARY(ATTR_UNARY),
      [BRAID_OP_SIGMOID] = FLOAT_UNARY(ATTR_NONE),
      [BRAID_OP_HARD_SIGMOID] = FLOAT_UNARY(ATTR_UNARY),
      [BRAID_OP_HARD_SWISH] = FLOAT_UNARY(ATTR_NONE),
      [BRAID_OP_TANH] = FLOAT_UNARY(ATTR_NONE),
      [BRAID_OP_SOFTPLUS] = FLOAT_UNARY(ATTR_NONE),
      [BRAID_OP_SOFTSIGN] = FLOAT_UNARY(ATTR_NONE),
      [BRAID_OP_ERF] = FLOAT_UNARY(ATTR_NONE),
      [BRAID_OP_EXP] = FLOAT_UNARY(ATTR_NONE),
      [BRAID_OP_LOG] = FLOAT_UNARY(ATTR_NONE),
      [BRAID_OP_SQRT] = FLOAT_UNARY(ATTR_NONE),
      [BRAID_OP_RECIPROCAL] = FLOAT_UNARY(ATTR_NONE),
      [BRAID_OP_NEG] = NUMBER_UNARY(ATTR_NONE),
      [BRAID_OP_ABS] = NUMBER_UNARY(ATTR_NONE),
      [BRAID_OP_FLOOR] = FLOAT_UNARY(ATTR_NONE),
      [BRAID_OP_CEIL] = FLOAT_UNARY(ATTR_NONE),
      [BRAID_OP_SOFTMAX] = {1, 1, ATTR_AXIS, false, infer_softmax},
      [BRAID_OP_LOG_SOFTMAX] = {1, 1, ATTR_AXIS, false, infer_softmax},
      [BRAID_OP_ADD] = BINARY,
      [BRAID_OP_SUB] = BINARY,
      [BRAID_OP_MUL] = BINARY,
      [BRAID_OP_DIV] = BINARY,
      [BRAID_OP_POW] = BINARY,
      [BRAID_OP_SUM] = VARIADIC,
      [BRAID_OP_MAX] = VARIADIC,
      [BRAID_OP_MIN] = VARIADIC,
      [BRAID_OP_MEAN] = VARIADIC,
      [BRAID_OP_CONCAT] = {1, MAX_OPERANDS, ATTR_AXIS, false, infer_concat},
      [BRAID_OP_RESHAPE] = {1, 1, ATTR_NONE, true, infer_reshape},
      [BRAID_OP_TRANSPOSE] = {1, 1, ATTR_TRANSPOSE, false, infer_transpose},
      [BRAID_OP_SLICE] = {1, 1, ATTR_SLICE, true, infer_slice},
      [BRAID_OP_PAD] = {1, 1, ATTR_PAD, false, infer_pad},
      [BRAID_OP_GATHER] = {2, 2, ATTR_AXIS, false, infer_gather},
      [BRAID_OP_EXPAND] = {1, 1, ATTR_NONE, true, infer_expand},
      [BRAID_OP_CAST] = {1, 1, ATTR_CAST, false, infer_cast},
      [BRAID_OP_RESIZE] = {1, 1, ATTR_RESIZE, true, infer_resize},
      [BRAID_OP_REDUCE_MEAN] = REDUCE,
      [BRAID_OP_REDUCE_SUM] = REDUCE,
      [BRAID_OP_REDUCE_MAX] = REDUCE,
      [BRAID_OP_REDUCE_MIN] = REDUCE,
      [BRAID_OP_ARG_MAX] = {1, 1, ATTR_REDUCE, false, infer_arg_extreme},
      [BRAID_OP_CELU] = FLOAT_UNARY(ATTR_UNARY),
      [BRAID_OP_GELU] = FLOAT_UNARY(ATTR_UNARY),
      [BRAID_OP_MISH] = FLOAT_UNARY(ATTR_NONE),
      [BRAID_OP_THRESHOLDED_RELU] = FLOAT_UNARY(ATTR_UNARY),
      [BRAID_OP_SHRINK] = NUMBER_UNARY(ATTR_UNARY),
      [BRAID_OP_ROUND] = FLOAT_UNARY(ATTR_NONE),
      [BRAID_OP_SIGN] = NUMBER_UNARY(ATTR_NONE),
      [BRAID_OP_SIN] = FLOAT_UNARY(ATTR_NONE),
      [BRAID_OP_COS] = FLOAT_UNARY(ATTR_NONE),
      [BRAID_OP_TAN] = FLOAT_UNARY(ATTR_NONE),
      [BRAID_OP_ASIN] = FLOAT_UNARY(ATTR_NONE),
      [BRAID_OP_ACOS] = FLOAT_UNARY(ATTR_NONE),
      [BRAID_OP_ATAN] = FLOAT_UNARY(ATTR_NONE),
      [BRAID_OP_SINH] = FLOAT_UNARY(ATTR_NONE),
      [BRAID_OP_COSH] = FLOAT_UNARY(ATTR_NONE),
      [BRAID_OP_ASINH] = FLOAT_UNARY(ATTR_NONE),
      [BRAID_OP_ACOSH] = FLOAT_UNARY(ATTR_NONE),
      [BRAID_OP_ATANH] = FLOAT_UNARY(ATTR_NONE),
      [BRAID_OP_IS_NAN] = {1, 1, ATTR_NONE, false, infer_float_predicate, true},
      [BRAID_OP_IS_INF] = {1, 1, ATTR_UNARY, false, infer_float_predicate, true},
      [BRAID_OP_NOT] = {1, 1, ATTR_NONE, false, infer_not, true},
      [BRAID_OP_AND] = LOGIC,
      [BRAID_OP_OR] = LOGIC,
      [BRAID_OP_XOR] = LOGIC,
      [BRAID_OP_EQUAL] = COMPARISON,
      [BRAID_OP_GREATER] = COMPARISON,
      [BRAID_OP_GREATER_OR_EQUAL] = COMPARISON,
      [BRAID_OP_LESS] = COMPARISON,
      [BRAID_OP_LESS_OR_EQUAL] = COMPARISON,
      [BRAID_OP_MOD] = {2, 2, ATTR_FLAG, false, infer_mod, true},
      [BRAID_OP_BIT_SHIFT] = {2, 2, ATTR_FLAG, false, infer_bit_shift, true},
      [BRAID_OP_WHERE] = {3, 3, ATTR_NONE, false, infer_where, true},
      [BRAID_OP_HARDMAX] = {1, 1, ATTR_AXIS, false, infer_softmax},
      [BRAID_OP_LAYER_NORMALIZATION] = {2, 3, ATTR_NORM, false, infer_layer_normalization},
      [BRAID_OP_GROUP_NORMALIZATION] = {3, 3, ATTR_NORM, false, infer_group_normalization},
      [BRAID_OP_CUM_SUM] = {1, 1, ATTR_SCAN, false, infer_cum_sum},
      [BRAID_OP_GATHER_ELEMENTS] = {2, 2, ATTR_INDEX, false, infer_gather_elements},
      [BRAID_OP_GATHER_ND] = {2, 2, ATTR_INDEX, false, infer_gather_nd},
      [BRAID_OP_SCATTER_ELEMENTS] = {3, 3, ATTR_INDEX, false, infer_scatter_elements},
      [BRAID_OP_SCATTER_ND] = {3, 3, ATTR_INDEX, false, infer_scatter_nd},
      [BRAID_OP_TOP_K_VALUES] = {1, 1, ATTR_INDEX, true, infer_top_k_values},
      [BRAID_OP_TOP_K_INDICES] = {1, 1, ATTR_INDEX, true, infer_top_k_indices},
      [BRAID_OP_MAX_POOL_INDICES] = {1, 1, ATTR_POOL, false, infer_max_pool_indices},
      [BRAID_OP_REDUCE_PROD] = REDUCE,
      [BRAID_OP_REDUCE_L1] = REDUCE,
      [BRAID_OP_REDUCE_L2] = REDUCE,
      [BRAID_OP_REDUCE_LOG_SUM] = REDUCE,
      [BRAID_OP_REDUCE_LOG_SUM_EXP] = REDUCE,
      [BRAID_OP_REDUCE_SUM_SQUARE] = REDUCE,
      [BRAID_OP_ARG_MIN] = {1, 1, ATTR_REDUCE, false, infer_arg_extreme},
      [BRAID_OP_QUANTIZE_LINEAR] = {2, 3, ATTR_AXIS, false, infer_quantize_linear},
      [BRAID_OP_DEQUANTIZE_LINEAR] = {2, 3, ATTR_AXIS, false, infer_dequantize_linear},
      [BRAID_OP_QLINEAR_CONV] = {2, 5, ATTR_QCONV, false, infer_qlinear_conv},
  };
  return (unsigned)op < BRAID_OP_COUNT ? &rule[op] : NULL;
}

static enum braid_status check_operands(const struct op_call *call, const struct op_rule *rule) {
  /* Only the first operands are required of operators with optional ones; variadic ones have none to leave out. */
  int required = rule->max_in == MAX_OPERANDS ? call->n_in : rule->min_in;
  if (call->n_in < rule->min_in || call->n_in > rule->max_in)
    return braid_fail(BRAID_EINVAL, "has %d operands; %d to %d are needed", call->n_in, rule->min_in, rule->max_in);
  for (int k = 0; k < required; k++)
    if (!call->present[k]) return braid_fail(BRAID_EINVAL, "operand %d is missing", k);
  if (rule->hinted && !call->hint) return braid_fail(BRAID_EINVAL, "its output shape must be given");
  return BRAID_OK;
}

enum braid_status op_infer(struct op_call *call) {
  const struct op_rule *rule = op_rule(call->op);
  if (!rule || !rule->infer) return braid_fail(BRAID_EINVAL, "is no operator that can be added (%d)", (int)call->op);
  BRAID_TRY(check_operands(call, rule));
  if (rule->hinted) {
    enum braid_status status = tensor_check(BRAID_F32, call->hint);
    if (status != BRAID_OK) return braid_fail_in(status, "the output");
    call->shape = *call->hint;
  }
  BRAID_TRY(rule->infer(call));
  enum braid_status status = tensor_check(call->dtype, &call->shape);
  return status == BRAID_OK ? BRAID_OK : braid_fail_in(status, "the output");
}
