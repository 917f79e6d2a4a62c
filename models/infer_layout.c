/* SPDX-License-Identifier: Apache-2.0
 * Rules of the operators that move, repeat, select or reduce elements. */
#include "infer.h"

#include <limits.h>
#include <math.h>

enum braid_status infer_concat(struct op_call *call) {
  int axis = call->attrs->axis.axis;
  struct braid_shape out = call->in[0].shape;
  if (axis < 0 || axis >= out.rank)
    return braid_fail(BRAID_EINVAL, "axis %d is not in a tensor of rank %d", axis, out.rank);
  int64_t total = 0;
  for (int k = 0; k < call->n_in; k++) {
    struct braid_shape shape = call->in[k].shape;
    if (call->in[k].dtype != call->in[0].dtype)
      return braid_fail(BRAID_EINVAL, "operand %d is %s but operand 0 is %s", k, braid_dtype_name(call->in[k].dtype),
                        braid_dtype_name(call->in[0].dtype));
    if (shape.rank == out.rank) {
      total += shape.dim[axis];
      shape.dim[axis] = out.dim[axis];
    }
    if (!braid_shape_equal(&shape, &out))
      return braid_fail(BRAID_ESHAPE, "operand %d differs in more than axis %d", k, axis);
  }
  if (total > INT_MAX) return braid_fail(BRAID_ESHAPE, "the output is too large");
  out.dim[axis] = (int)total;
  call->dtype = call->in[0].dtype;
  call->shape = out;
  return BRAID_OK;
}

enum braid_status infer_reshape(struct op_call *call) {
  char text[96];
  call->dtype = call->in[0].dtype;
  if (braid_shape_elements(&call->in[0].shape) == braid_shape_elements(&call->shape)) return BRAID_OK;
  return braid_fail(BRAID_ESHAPE, "%s has another number of elements",
                    braid_shape_text(&call->shape, text, sizeof text));
}

enum braid_status infer_transpose(struct op_call *call) {
  const struct braid_shape *x = &call->in[0].shape;
  const int *perm = call->attrs->transpose.perm;
  bool seen[BRAID_MAX_RANK] = {false};
  call->dtype = call->in[0].dtype;
  call->shape = *x;
  for (int i = 0; i < x->rank; i++) {
    if (perm[i] < 0 || perm[i] >= x->rank || seen[perm[i]])
      return braid_fail(BRAID_EINVAL, "perm is no permutation of the %d axes", x->rank);
    seen[perm[i]] = true;
    call->shape.dim[i] = x->dim[perm[i]];
  }
  return BRAID_OK;
}

enum braid_status infer_slice(struct op_call *call) {
  const struct braid_shape *x = &call->in[0].shape;
  call->dtype = call->in[0].dtype;
  if (call->shape.rank != x->rank) return braid_fail(BRAID_ESHAPE, "the output must have rank %d", x->rank);
  for (int i = 0; i < x->rank; i++) {
    int start = call->attrs->slice.start[i], step = call->attrs->slice.step[i];
    int64_t last = start + (int64_t)(call->shape.dim[i] - 1) * step;
    if (step == 0) return braid_fail(BRAID_EINVAL, "the step of axis %d is 0", i);
    if (call->shape.dim[i] == 0) continue;
    if (start < 0 || start >= x->dim[i] || last < 0 || last >= x->dim[i])
      return braid_fail(BRAID_ESHAPE, "%d elements from %d by %d leave axis %d of %d", call->shape.dim[i], start, step,
                        i, x->dim[i]);
  }
  return BRAID_OK;
}

enum braid_status infer_pad(struct op_call *call) {
  const struct braid_pad_attrs *a = &call->attrs->pad;
  call->dtype = call->in[0].dtype;
  call->shape = call->in[0].shape;
  if ((unsigned)a->mode > BRAID_PAD_WRAP) return braid_fail(BRAID_EINVAL, "mode %d is unknown", (int)a->mode);
  for (int i = 0; i < call->shape.rank; i++) {
    int *dim = &call->shape.dim[i];
    if (a->before[i] < 0 || a->after[i] < 0)
      return braid_fail(BRAID_EUNSUPPORTED, "negative pads %d and %d of axis %d", a->before[i], a->after[i], i);
    if (a->mode == BRAID_PAD_REFLECT && (a->before[i] >= *dim || a->after[i] >= *dim))
      return braid_fail(BRAID_ESHAPE, "pads %d and %d of axis %d reflect more than there is", a->before[i],
                        a->after[i], i);
    int64_t padded = (int64_t)*dim + a->before[i] + a->after[i];
    if (padded > INT_MAX) return braid_fail(BRAID_ESHAPE, "the output is too large");
    *dim = (int)padded;
  }
  return BRAID_OK;
}

enum braid_status infer_expand(struct op_call *call) {
  char text[96];
  call->dtype = call->in[0].dtype;
  if (shape_broadcasts_to(&call->in[0].shape, &call->shape)) return BRAID_OK;
  return braid_fail(BRAID_ESHAPE, "cannot be broadcast to %s", braid_shape_text(&call->shape, text, sizeof text));
}

static enum braid_status check_scale(const struct braid_resize_attrs *a, int axis, int in, int out) {
  double scale = (double)a->scale[axis];
  if (!(scale > 0.0) || !isfinite(scale)) return braid_fail(BRAID_EINVAL, "scale %g of axis %d", scale, axis);
  if (a->coord == BRAID_COORD_TF_CROP_AND_RESIZE) return BRAID_OK; /* the extent depends on the region, too */
  if (fabs(in * scale - out) < 1.0 + 1e-6 * out) return BRAID_OK;
  return braid_fail(BRAID_ESHAPE, "%d times %g is not %d (axis %d)", in, scale, out, axis);
}

enum braid_status infer_resize(struct op_call *call) {
  const struct braid_resize_attrs *a = &call->attrs->resize;
  const struct braid_shape *x = &call->in[0].shape;
  call->dtype = call->in[0].dtype;
  if (call->shape.rank != x->rank) return braid_fail(BRAID_ESHAPE, "the output must have rank %d", x->rank);
  if ((unsigned)a->mode > BRAID_RESIZE_CUBIC || (unsigned)a->coord > BRAID_COORD_HALF_PIXEL_SYMMETRIC ||
      (unsigned)a->nearest > BRAID_NEAREST_CEIL)
    return braid_fail(BRAID_EINVAL, "mode %d, coordinates %d or rounding %d are unknown", (int)a->mode, (int)a->coord,
                      (int)a->nearest);
  for (int i = 0; i < x->rank; i++) BRAID_TRY(check_scale(a, i, x->dim[i], call->shape.dim[i]));
  for (int i = 0; a->coord == BRAID_COORD_TF_CROP_AND_RESIZE && i < 2 * x->rank; i++)
    if (!isfinite(a->roi[i])) return braid_fail(BRAID_EINVAL, "the region is not finite");
  return BRAID_OK;
}

/* How many axes are reduced; -1 when one of them does not exist. */
static int count_axes(const struct braid_reduce_attrs *a, int rank) {
  int n = 0;
  for (int i = 0; i < BRAID_MAX_RANK; i++) {
    if (a->axis[i] && i >= rank) return -1;
    n += a->axis[i];
  }
  return n;
}

enum braid_status infer_reduce(struct op_call *call) {
  const struct braid_reduce_attrs *a = &call->attrs->reduce;
  const struct braid_shape *x = &call->in[0].shape;
  bool orders = call->op == BRAID_OP_REDUCE_MAX || call->op == BRAID_OP_REDUCE_MIN;
  if (call->in[0].dtype == BRAID_BOOL && !orders) return braid_fail(BRAID_EUNSUPPORTED, "is not defined for bool");
  bool logarithm = call->op == BRAID_OP_REDUCE_LOG_SUM || call->op == BRAID_OP_REDUCE_LOG_SUM_EXP;
  if (logarithm) BRAID_TRY(must_be_float(call));
  if (count_axes(a, x->rank) < 0)
    return braid_fail(BRAID_EINVAL, "reduces an axis that a tensor of rank %d has not", x->rank);
  struct braid_shape out = {0};
  for (int i = 0; i < x->rank; i++)
    if (!a->axis[i] || a->keepdims) out.dim[out.rank++] = a->axis[i] ? 1 : x->dim[i];
  call->dtype = call->in[0].dtype;
  call->shape = out;
  return BRAID_OK;
}

enum braid_status infer_arg_extreme(struct op_call *call) {
  if (count_axes(&call->attrs->reduce, call->in[0].shape.rank) != 1)
    return braid_fail(BRAID_EINVAL, "must reduce exactly one axis");
  BRAID_TRY(infer_reduce(call));
  call->dtype = BRAID_I64;
  return BRAID_OK;
}
