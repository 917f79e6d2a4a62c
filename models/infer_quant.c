/* SPDX-License-Identifier: Apache-2.0
 * Rules of the operators between real numbers and quantised ones. */
#include "infer.h"

static bool is_quantised(enum braid_dtype dtype) {
  return dtype == BRAID_U8 || dtype == BRAID_I8 || dtype == BRAID_U16 || dtype == BRAID_I16;
}

/* One scale (of rank 0 or 1) for the tensor, or one for each index along the axis; as many zero points. */
static enum braid_status check_scales(const struct op_call *call) {
  const struct braid_shape *x = &call->in[0].shape, *scale = &call->in[1].shape;
  int axis = call->attrs->axis.axis;
  if (call->in[1].dtype != BRAID_F32)
    return braid_fail(BRAID_EUNSUPPORTED, "scales of type %s", braid_dtype_name(call->in[1].dtype));
  if (scale->rank > 1) return braid_fail(BRAID_EUNSUPPORTED, "scales by blocks");
  if (call->n_in > 2 && call->present[2] && !braid_shape_equal(&call->in[2].shape, scale))
    return braid_fail(BRAID_ESHAPE, "there must be as many zero points as scales");
  if (scale->rank == 0 || scale->dim[0] == 1) return BRAID_OK;
  if (axis < 0 || axis >= x->rank)
    return braid_fail(BRAID_EINVAL, "axis %d is not in a tensor of rank %d", axis, x->rank);
  if (scale->dim[0] != x->dim[axis])
    return braid_fail(BRAID_ESHAPE, "%d scales for %d indices along axis %d", scale->dim[0], x->dim[axis], axis);
  return BRAID_OK;
}

/* The zero point says the type; without one it is uint8. */
enum braid_status infer_quantize_linear(struct op_call *call) {
  enum braid_dtype from = call->in[0].dtype, to = call->n_in > 2 && call->present[2] ? call->in[2].dtype : BRAID_U8;
  if (from != BRAID_F32 && from != BRAID_I32)
    return braid_fail(BRAID_EUNSUPPORTED, "the input is of type %s; float32 or int32 is needed",
                      braid_dtype_name(from));
  if (!is_quantised(to)) return braid_fail(BRAID_EUNSUPPORTED, "a result of type %s", braid_dtype_name(to));
  BRAID_TRY(check_scales(call));
  call->dtype = to;
  call->shape = call->in[0].shape;
  return BRAID_OK;
}

enum braid_status infer_dequantize_linear(struct op_call *call) {
  enum braid_dtype from = call->in[0].dtype;
  if (!is_quantised(from) && from != BRAID_I32)
    return braid_fail(BRAID_EUNSUPPORTED, "the input is of type %s, which is not quantised", braid_dtype_name(from));
  if (call->n_in > 2 && call->present[2] && call->in[2].dtype != from)
    return braid_fail(BRAID_EINVAL, "input and zero point must be of the same type");
  BRAID_TRY(check_scales(call));
  call->dtype = BRAID_F32;
  call->shape = call->in[0].shape;
  return BRAID_OK;
}
