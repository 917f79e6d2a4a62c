/* SPDX-License-Identifier: Apache-2.0
 * Rules of the operators that read or write at positions which are data, and of those that walk along an axis. */
#include "infer.h"

#include <limits.h>

static enum braid_status check_index_type(const struct op_call *call) {
  if (call->in[1].dtype == BRAID_I32 || call->in[1].dtype == BRAID_I64) return BRAID_OK;
  return braid_fail(BRAID_EINVAL, "indices must be int32 or int64");
}

static enum braid_status check_axis(int axis, int rank) {
  if (axis >= 0 && axis < rank) return BRAID_OK;
  return braid_fail(BRAID_EINVAL, "axis %d is not in a tensor of rank %d", axis, rank);
}

static int64_t index_at(const struct braid_tensor *indices, int64_t i) {
  return indices->dtype == BRAID_I64 ? ((const int64_t *)indices->data)[i] : ((const int32_t *)indices->data)[i];
}

static enum braid_status check_index(int64_t at, int extent) {
  if (at >= -(int64_t)extent && at < extent) return BRAID_OK;
  return braid_fail(BRAID_ESHAPE, "index %lld leaves an axis of %d", (long long)at, extent);
}

/* Indices that are known now are checked now; those computed by nodes are the kernel's to check. */
static enum braid_status check_indices(const struct braid_tensor *indices, int extent) {
  if (!indices->data) return BRAID_OK;
  int64_t n = braid_shape_elements(&indices->shape);
  for (int64_t i = 0; i < n; i++) BRAID_TRY(check_index(index_at(indices, i), extent));
  return BRAID_OK;
}

enum braid_status infer_gather(struct op_call *call) {
  const struct braid_shape *x = &call->in[0].shape, *indices = &call->in[1].shape;
  int axis = call->attrs->axis.axis;
  BRAID_TRY(check_index_type(call));
  BRAID_TRY(check_axis(axis, x->rank));
  if (x->rank - 1 + indices->rank > BRAID_MAX_RANK) return braid_fail(BRAID_ESHAPE, "the output's rank is too large");
  BRAID_TRY(check_indices(&call->in[1], x->dim[axis]));
  struct braid_shape out = {0};
  for (int i = 0; i < axis; i++) out.dim[out.rank++] = x->dim[i];
  for (int i = 0; i < indices->rank; i++) out.dim[out.rank++] = indices->dim[i];
  for (int i = axis + 1; i < x->rank; i++) out.dim[out.rank++] = x->dim[i];
  call->dtype = call->in[0].dtype;
  call->shape = out;
  return BRAID_OK;
}

/* ------------------------------------------------------------------------------------ element by element */

/* Indices of x's rank that leave x in no dim but the axis. */
static enum braid_status check_element_indices(const struct op_call *call) {
  const struct braid_shape *x = &call->in[0].shape, *indices = &call->in[1].shape;
  int axis = call->attrs->index.axis;
  BRAID_TRY(check_index_type(call));
  BRAID_TRY(check_axis(axis, x->rank));
  if (indices->rank != x->rank) return braid_fail(BRAID_ESHAPE, "indices must have rank %d", x->rank);
  for (int i = 0; i < x->rank; i++)
    if (i != axis && indices->dim[i] > x->dim[i])
      return braid_fail(BRAID_ESHAPE, "indices have %d elements along axis %d, the data %d", indices->dim[i], i,
                        x->dim[i]);
  return check_indices(&call->in[1], x->dim[axis]);
}

enum braid_status infer_gather_elements(struct op_call *call) {
  BRAID_TRY(check_element_indices(call));
  call->dtype = call->in[0].dtype;
  call->shape = call->in[1].shape;
  return BRAID_OK;
}

static enum braid_status check_scatter(struct op_call *call) {
  enum braid_dtype dtype = call->in[0].dtype;
  if (call->in[2].dtype != dtype)
    return braid_fail(BRAID_EINVAL, "updates are %s but the data %s", braid_dtype_name(call->in[2].dtype),
                      braid_dtype_name(dtype));
  if ((unsigned)call->attrs->index.reduction > BRAID_SCATTER_MAX)
    return braid_fail(BRAID_EINVAL, "reduction %d is unknown", (int)call->attrs->index.reduction);
  if (dtype == BRAID_BOOL && call->attrs->index.reduction != BRAID_SCATTER_NONE)
    return braid_fail(BRAID_EUNSUPPORTED, "with a reduction is not defined for bool");
  call->dtype = dtype;
  call->shape = call->in[0].shape;
  return BRAID_OK;
}

enum braid_status infer_scatter_elements(struct op_call *call) {
  BRAID_TRY(check_element_indices(call));
  if (!braid_shape_equal(&call->in[1].shape, &call->in[2].shape))
    return braid_fail(BRAID_ESHAPE, "updates have not the shape of the indices");
  return check_scatter(call);
}

/* -------------------------------------------------------------------------------------------- by tuples */

/* Tuples in the last dim of the indices: how many dims of x (from `skip` on) they address, each within its extent. */
static enum braid_status check_tuples(const struct op_call *call, int skip, int *length) {
  const struct braid_shape *x = &call->in[0].shape;
  const struct braid_tensor *indices = &call->in[1];
  BRAID_TRY(check_index_type(call));
  if (x->rank < 1 || indices->shape.rank < 1) return braid_fail(BRAID_ESHAPE, "data and indices must have dims");
  *length = indices->shape.dim[indices->shape.rank - 1];
  if (*length < 1 || *length > x->rank - skip)
    return braid_fail(BRAID_ESHAPE, "tuples of %d indices into %d dims", *length, x->rank - skip);
  int64_t n = indices->data ? braid_shape_elements(&indices->shape) : 0;
  for (int64_t i = 0; i < n; i++) BRAID_TRY(check_index(index_at(indices, i), x->dim[skip + (int)(i % *length)]));
  return BRAID_OK;
}

/* [batch.., tuples.., L] -> [batch.., tuples.., what a tuple leaves of x]. */
enum braid_status infer_gather_nd(struct op_call *call) {
  const struct braid_shape *x = &call->in[0].shape, *indices = &call->in[1].shape;
  int batch = call->attrs->index.batch_dims, length;
  if (batch < 0 || batch >= x->rank || batch >= indices->rank)
    return braid_fail(BRAID_EINVAL, "%d batch dims are not in both operands", batch);
  for (int i = 0; i < batch; i++)
    if (x->dim[i] != indices->dim[i]) return braid_fail(BRAID_ESHAPE, "batch dim %d differs", i);
  BRAID_TRY(check_tuples(call, batch, &length));
  struct braid_shape out = braid_shape_of(indices->rank - 1, indices->dim);
  if (out.rank + x->rank - batch - length > BRAID_MAX_RANK)
    return braid_fail(BRAID_ESHAPE, "the output's rank is too large");
  for (int i = batch + length; i < x->rank; i++) out.dim[out.rank++] = x->dim[i];
  call->dtype = call->in[0].dtype;
  call->shape = out;
  return BRAID_OK;
}

enum braid_status infer_scatter_nd(struct op_call *call) {
  const struct braid_shape *x = &call->in[0].shape, *indices = &call->in[1].shape;
  int length;
  BRAID_TRY(check_tuples(call, 0, &length));
  if (indices->rank - 1 + x->rank - length > BRAID_MAX_RANK)
    return braid_fail(BRAID_ESHAPE, "the updates' rank is too large");
  struct braid_shape updates = braid_shape_of(indices->rank - 1, indices->dim);
  for (int i = length; i < x->rank; i++) updates.dim[updates.rank++] = x->dim[i];
  if (!braid_shape_equal(&updates, &call->in[2].shape))
    return braid_fail(BRAID_ESHAPE, "updates have not the shape that data and indices give");
  return check_scatter(call);
}

/* -------------------------------------------------------------------------------------------- along axes */

static enum braid_status check_number(const struct op_call *call) {
  if (call->in[0].dtype != BRAID_BOOL) return BRAID_OK;
  return braid_fail(BRAID_EUNSUPPORTED, "is not defined for bool");
}

/* The hint says K: it differs from the operand's shape along the axis only. */
enum braid_status infer_top_k_values(struct op_call *call) {
  const struct braid_shape *x = &call->in[0].shape;
  int axis = call->attrs->index.axis;
  BRAID_TRY(check_number(call));
  BRAID_TRY(check_axis(axis, x->rank));
  bool fits = call->shape.rank == x->rank;
  for (int i = 0; i < x->rank && fits; i++)
    fits = i == axis ? call->shape.dim[i] <= x->dim[i] : call->shape.dim[i] == x->dim[i];
  call->dtype = call->in[0].dtype;
  return fits ? BRAID_OK : braid_fail(BRAID_ESHAPE, "there are not as many elements along axis %d as are wanted", axis);
}

enum braid_status infer_top_k_indices(struct op_call *call) {
  BRAID_TRY(infer_top_k_values(call));
  call->dtype = BRAID_I64;
  return BRAID_OK;
}

enum braid_status infer_cum_sum(struct op_call *call) {
  BRAID_TRY(check_number(call));
  BRAID_TRY(check_axis(call->attrs->scan.axis, call->in[0].shape.rank));
  call->dtype = call->in[0].dtype;
  call->shape = call->in[0].shape;
  return BRAID_OK;
}
