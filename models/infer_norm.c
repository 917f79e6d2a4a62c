/* SPDX-License-Identifier: Apache-2.0
 * Rules of the operators that normalise: per channel, per group, per row, or to a sum of 1. */
#include "infer.h"

#include <math.h>

static enum braid_status same_as_first(struct op_call *call) {
  call->dtype = call->in[0].dtype;
  call->shape = call->in[0].shape;
  return BRAID_OK;
}

static bool is_vector(const struct braid_tensor *tensor, int n) {
  return tensor->shape.rank == 1 && tensor->shape.dim[0] == n;
}

enum braid_status infer_normalize(struct op_call *call) {
  const struct braid_tensor *x = &call->in[0];
  if (x->dtype != BRAID_U8 || x->shape.rank != 4) return braid_fail(BRAID_ESHAPE, "the input must be uint8 of rank 4");
  for (int k = 1; k < 3; k++)
    if (call->in[k].dtype != BRAID_F32 || !is_vector(&call->in[k], x->shape.dim[1]))
      return braid_fail(BRAID_ESHAPE, "operand %d must be float32 with one value per channel", k);
  call->dtype = BRAID_F32;
  call->shape = x->shape;
  return BRAID_OK;
}

static enum braid_status check_epsilon(const struct op_call *call) {
  float epsilon = call->attrs->norm.epsilon;
  if (epsilon >= 0.0f && isfinite(epsilon)) return BRAID_OK;
  return braid_fail(BRAID_EINVAL, "epsilon is %g and must not be negative", (double)epsilon);
}

enum braid_status infer_batch_normalization(struct op_call *call) {
  BRAID_TRY(must_be_float(call));
  BRAID_TRY(must_agree(call));
  if (call->in[0].shape.rank < 2) return braid_fail(BRAID_ESHAPE, "the input has no channels");
  for (int k = 1; k < 5; k++)
    if (!is_vector(&call->in[k], call->in[0].shape.dim[1]))
      return braid_fail(BRAID_ESHAPE, "operand %d must have one value per channel", k);
  BRAID_TRY(check_epsilon(call));
  return same_as_first(call);
}

/* scale and bias are broadcast to the normalised part of x, dims [axis, rank). */
enum braid_status infer_layer_normalization(struct op_call *call) {
  const struct braid_shape *x = &call->in[0].shape;
  int axis = call->attrs->norm.axis;
  BRAID_TRY(must_be_float(call));
  BRAID_TRY(must_agree(call));
  BRAID_TRY(check_epsilon(call));
  if (axis < 0 || axis >= x->rank)
    return braid_fail(BRAID_EINVAL, "axis %d is not in a tensor of rank %d", axis, x->rank);
  struct braid_shape part = braid_shape_of(x->rank - axis, x->dim + axis);
  for (int k = 1; k < call->n_in; k++)
    if (call->present[k] && !shape_broadcasts_to(&call->in[k].shape, &part))
      return braid_fail(BRAID_ESHAPE, "operand %d cannot be broadcast to the normalised dims", k);
  return same_as_first(call);
}

enum braid_status infer_group_normalization(struct op_call *call) {
  const struct braid_shape *x = &call->in[0].shape;
  int groups = call->attrs->norm.groups;
  BRAID_TRY(must_be_float(call));
  BRAID_TRY(must_agree(call));
  BRAID_TRY(check_epsilon(call));
  if (x->rank < 2) return braid_fail(BRAID_ESHAPE, "the input has no channels");
  if (groups < 1 || x->dim[1] % groups != 0)
    return braid_fail(BRAID_EINVAL, "%d channels cannot be parted into %d groups", x->dim[1], groups);
  for (int k = 1; k < 3; k++)
    if (!is_vector(&call->in[k], x->dim[1]))
      return braid_fail(BRAID_ESHAPE, "operand %d must have one value per channel", k);
  return same_as_first(call);
}

enum braid_status infer_lrn(struct op_call *call) {
  BRAID_TRY(must_be_float(call));
  if (call->in[0].shape.rank != 4) return braid_fail(BRAID_ESHAPE, "the input must have rank 4");
  if (call->attrs->lrn.size < 1) return braid_fail(BRAID_EINVAL, "size is %d", call->attrs->lrn.size);
  return same_as_first(call);
}

enum braid_status infer_softmax(struct op_call *call) {
  BRAID_TRY(must_be_float(call));
  int rank = call->in[0].shape.rank, begin = call->attrs->axis.axis, end = call->attrs->axis.axis_end;
  if (begin < 0 || begin >= end || end > rank)
    return braid_fail(BRAID_EINVAL, "axes [%d,%d) are not in a tensor of rank %d", begin, end, rank);
  return same_as_first(call);
}
