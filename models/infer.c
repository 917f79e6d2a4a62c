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
    shape.dim[shape.rank - i] = x > y ? x : y;
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

static enum braid_status must_be_float(const struct op_call *call) {
  if (dtype_is_float(call->in[0].dtype)) return BRAID_OK;
  return braid_fail(BRAID_EUNSUPPORTED, "is not defined for %s", braid_dtype_name(call->in[0].dtype));
}

static enum braid_status must_be_number(const struct op_call *call) {
  if (call->in[0].dtype != BRAID_BOOL) return BRAID_OK;
  return braid_fail(BRAID_EUNSUPPORTED, "is not defined for bool");
}

static enum braid_status must_agree(const struct op_call *call) {
  for (int k = 1; k < call->n_in; k++)
    if (call->present[k] && call->in[k].dtype != call->in[0].dtype)
      return braid_fail(BRAID_EINVAL, "operand %d is %s but operand 0 is %s", k,
                        braid_dtype_name(call->in[k].dtype), braid_dtype_name(call->in[0].dtype));
  return BRAID_OK;
}

struct braid_unary_attrs unary_attrs_of(enum braid_op op, const union braid_attrs *attrs) {
  switch (op) {
  case BRAID_OP_LEAKY_RELU:
  case BRAID_OP_ELU: return (struct braid_unary_attrs){attrs->unary.a, 0.0f};
  case BRAID_OP_CLIP:
  case BRAID_OP_HARD_SIGMOID:
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

static enum braid_status infer_prelu(struct op_call *call) {
  BRAID_TRY(must_be_float(call));
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

/* --------------------------------------------------------------------------------------- per channel */

static bool is_vector(const struct braid_tensor *tensor, int n) {
  return tensor->shape.rank == 1 && tensor->shape.dim[0] == n;
}

static enum braid_status infer_normalize(struct op_call *call) {
  const struct braid_tensor *x = &call->in[0];
  if (x->dtype != BRAID_U8 || x->shape.rank != 4)
    return braid_fail(BRAID_ESHAPE, "the input must be uint8 of rank 4");
  for (int k = 1; k < 3; k++)
    if (call->in[k].dtype != BRAID_F32 || !is_vector(&call->in[k], x->shape.dim[1]))
      return braid_fail(BRAID_ESHAPE, "operand %d must be float32 with one value per channel", k);
  call->dtype = BRAID_F32;
  call->shape = x->shape;
  return BRAID_OK;
}

static enum braid_status infer_batch_normalization(struct op_call *call) {
  BRAID_TRY(must_be_float(call));
  BRAID_TRY(must_agree(call));
  if (call->in[0].shape.rank < 2) return braid_fail(BRAID_ESHAPE, "the input has no channels");
  for (int k = 1; k < 5; k++)
    if (!is_vector(&call->in[k], call->in[0].shape.dim[1]))
      return braid_fail(BRAID_ESHAPE, "operand %d must have one value per channel", k);
  float epsilon = call->attrs->norm.epsilon;
  if (!(epsilon >= 0.0f) || !isfinite(epsilon))
    return braid_fail(BRAID_EINVAL, "epsilon is %g and must not be negative", (double)epsilon);
  return same_as_first(call);
}

static enum braid_status infer_lrn(struct op_call *call) {
  BRAID_TRY(must_be_float(call));
  if (call->in[0].shape.rank != 4) return braid_fail(BRAID_ESHAPE, "the input must have rank 4");
  if (call->attrs->lrn.size < 1) return braid_fail(BRAID_EINVAL, "size is %d", call->attrs->lrn.size);
  return same_as_first(call);
}

static enum braid_status infer_softmax(struct op_call *call) {
  BRAID_TRY(must_be_float(call));
  int rank = call->in[0].shape.rank, begin = call->attrs->axis.axis, end = call->attrs->axis.axis_end;
  if (begin < 0 || begin >= end || end > rank)
    return braid_fail(BRAID_EINVAL, "axes [%d,%d) are not in a tensor of rank %d", begin, end, rank);
  return same_as_first(call);
}

/* ----------------------------------------------------------------------------------------- the table */

const struct op_rule *op_rule(enum braid_op op) {
#define FLOAT_UNARY(kind) {1, 1, kind, false, infer_float_unary}
#define NUMBER_UNARY(kind) {1, 1, kind, false, infer_number_unary}
#define BINARY {2, 2, ATTR_NONE, false, infer_variadic}
#define VARIADIC {1, MAX_OPERANDS, ATTR_NONE, false, infer_variadic}
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
      [BRAID_OP_PRELU] = {2, 2, ATTR_NONE, false, infer_prelu},
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
      [BRAID_OP_ARG_MAX] = {1, 1, ATTR_REDUCE, false, infer_arg_max},
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
