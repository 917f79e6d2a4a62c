/* SPDX-License-Identifier: Apache-2.0
 * Rules of convolutions, pools and matrix products. */
#include "infer.h"

#include <limits.h>
#include <math.h>

enum { MAX_WINDOW = 65535 }; /* of kernel sizes, strides, dilations and pads: keeps all products small */

static bool within(const int *value, int n, int least) {
  for (int i = 0; i < n; i++)
    if (value[i] < least || value[i] > MAX_WINDOW) return false;
  return true;
}

static enum braid_status check_window(const int kernel[2], const int stride[2], const int dilation[2],
                                      const int pad[4]) {
  if (!within(kernel, 2, 1)) return braid_fail(BRAID_EINVAL, "kernel %dx%d is not possible", kernel[0], kernel[1]);
  if (!within(stride, 2, 1)) return braid_fail(BRAID_EINVAL, "stride %dx%d is not possible", stride[0], stride[1]);
  if (!within(dilation, 2, 1))
    return braid_fail(BRAID_EINVAL, "dilation %dx%d is not possible", dilation[0], dilation[1]);
  if (!within(pad, 4, 0))
    return braid_fail(BRAID_EINVAL, "pads %d,%d,%d,%d are not possible", pad[0], pad[1], pad[2], pad[3]);
  return BRAID_OK;
}

/* Products in bfloat16, summed in float32. */
static bool is_mixed(const struct op_call *call, int k) {
  return k == 1 && (call->op == BRAID_OP_CONV || call->op == BRAID_OP_GEMM) && call->in[0].dtype == BRAID_F32 &&
         call->in[1].dtype == BRAID_BF16;
}

/* Of one type: floats, or with `integers` also int32 (quantised values less their zero points). */
static enum braid_status check_maps(const struct op_call *call, bool integers) {
  enum braid_dtype dtype = call->in[0].dtype;
  if (!dtype_is_float(dtype) && !(integers && dtype == BRAID_I32))
    return braid_fail(BRAID_EUNSUPPORTED, "is not supported for %s", braid_dtype_name(dtype));
  for (int k = 1; k < call->n_in; k++)
    if (call->present[k] && call->in[k].dtype != call->in[0].dtype && !is_mixed(call, k))
      return braid_fail(BRAID_EINVAL, "operand %d is %s but operand 0 is %s", k,
                        braid_dtype_name(call->in[k].dtype), braid_dtype_name(call->in[0].dtype));
  return BRAID_OK;
}

/* Rows (axis 0) or columns (axis 1) of the result: floor((in + pads - extent) / stride) + 1. */
static enum braid_status window_count(int axis, int in, const int kernel[2], const int stride[2],
                                      const int dilation[2], const int pad[4], bool ceil_mode, int *out) {
  int64_t extent = (int64_t)(kernel[axis] - 1) * dilation[axis] + 1;
  int64_t room = (int64_t)in + pad[axis] + pad[axis + 2] - extent;
  if (room < 0)
    return braid_fail(BRAID_ESHAPE, "a window of %lld does not fit into %d with pads %d and %d", (long long)extent, in,
                      pad[axis], pad[axis + 2]);
  int64_t n = (ceil_mode ? room + stride[axis] - 1 : room) / stride[axis] + 1;
  /* A last window that starts behind the input and the padding before it is dropped. */
  if (ceil_mode && (n - 1) * stride[axis] >= (int64_t)in + pad[axis]) n--;
  if (n > INT_MAX) return braid_fail(BRAID_ESHAPE, "the output is too large");
  *out = (int)n;
  return BRAID_OK;
}

/* --------------------------------------------------------------------------------------- convolutions */

static enum braid_status check_conv_shapes(const struct op_call *call) {
  const struct braid_conv_attrs *a = &call->attrs->conv;
  const struct braid_shape *x = &call->in[0].shape, *w = &call->in[1].shape;
  if (x->rank != 4 || w->rank != 4) return braid_fail(BRAID_ESHAPE, "input and weights must have rank 4");
  BRAID_TRY(check_window(a->kernel, a->stride, a->dilation, a->pad));
  if (w->dim[2] != a->kernel[0] || w->dim[3] != a->kernel[1])
    return braid_fail(BRAID_ESHAPE, "kernel is %dx%d, but not the weights", a->kernel[0], a->kernel[1]);
  if (a->group < 1 || x->dim[1] % a->group != 0)
    return braid_fail(BRAID_EINVAL, "%d channels cannot be parted into %d groups", x->dim[1], a->group);
  return BRAID_OK;
}

static enum braid_status check_bias(const struct op_call *call, int channels) {
  if (call->n_in < 3 || !call->present[2]) return BRAID_OK;
  const struct braid_shape *bias = &call->in[2].shape;
  if (bias->rank == 1 && bias->dim[0] == channels) return BRAID_OK;
  return braid_fail(BRAID_ESHAPE, "the bias must have %d values", channels);
}

/* Shape of the output of a convolution whose operands have been checked. */
static enum braid_status infer_windows(struct op_call *call) {
  const struct braid_conv_attrs *a = &call->attrs->conv;
  const struct braid_shape *x = &call->in[0].shape, *w = &call->in[1].shape;
  if (w->dim[1] != x->dim[1] / a->group || w->dim[0] % a->group != 0)
    return braid_fail(BRAID_ESHAPE, "weights do not fit %d input channels in %d groups", x->dim[1], a->group);
  BRAID_TRY(check_bias(call, w->dim[0]));
  call->shape = (struct braid_shape){4, {x->dim[0], w->dim[0]}};
  for (int i = 0; i < 2; i++)
    BRAID_TRY(window_count(i, x->dim[2 + i], a->kernel, a->stride, a->dilation, a->pad, false,
                           &call->shape.dim[2 + i]));
  return BRAID_OK;
}

static enum braid_status check_residual(const struct op_call *call, int k) {
  if (call->n_in <= k || !call->present[k] || braid_shape_equal(&call->in[k].shape, &call->shape)) return BRAID_OK;
  return braid_fail(BRAID_ESHAPE, "the residual has not the shape of the output");
}

enum braid_status infer_conv(struct op_call *call) {
  BRAID_TRY(check_maps(call, true));
  BRAID_TRY(check_conv_shapes(call));
  BRAID_TRY(infer_windows(call));
  call->dtype = call->in[0].dtype;
  return check_residual(call, 3);
}

static enum braid_status check_zero(const char *what, enum braid_dtype dtype, int zero) {
  int low = dtype == BRAID_U8 ? 0 : -128, high = dtype == BRAID_U8 ? 255 : 127;
  if (!is_byte(dtype) || (zero >= low && zero <= high)) return BRAID_OK;
  return braid_fail(BRAID_EINVAL, "the zero point %d of %s is no %s", zero, what, braid_dtype_name(dtype));
}

static enum braid_status check_qconv_types(const struct op_call *call) {
  static const enum braid_dtype want[] = {BRAID_U8, BRAID_I8, BRAID_I32, BRAID_F32};
  if (!is_byte(call->in[0].dtype))
    return braid_fail(BRAID_EUNSUPPORTED, "the input is of type %s", braid_dtype_name(call->in[0].dtype));
  for (int k = 1; k < 4 && k < call->n_in; k++)
    if (call->present[k] && call->in[k].dtype != want[k])
      return braid_fail(BRAID_EINVAL, "operand %d is %s, not %s", k, braid_dtype_name(call->in[k].dtype),
                        braid_dtype_name(want[k]));
  if (call->n_in == 5 && call->present[4] && !is_byte(call->in[4].dtype))
    return braid_fail(BRAID_EUNSUPPORTED, "the residual is of type %s", braid_dtype_name(call->in[4].dtype));
  return BRAID_OK;
}

/* One finite scale for each output, or none where the sums are the result. */
static enum braid_status check_qconv_scale(const struct op_call *call) {
  enum braid_dtype to = call->attrs->qconv.to;
  bool has_scale = call->n_in > 3 && call->present[3], has_residual = call->n_in == 5 && call->present[4];
  if (to == BRAID_I32 && !has_scale && !has_residual) return BRAID_OK;
  if (!is_byte(to) && to != BRAID_F32)
    return braid_fail(BRAID_EUNSUPPORTED, "a result of type %s", braid_dtype_name(to));
  if (!has_scale) return braid_fail(BRAID_EINVAL, "operand 3 is missing");
  const struct braid_tensor *scale = &call->in[3];
  if (scale->shape.rank != 1 || scale->shape.dim[0] != call->in[1].shape.dim[0])
    return braid_fail(BRAID_ESHAPE, "there must be %d scales", call->in[1].shape.dim[0]);
  const float *value = scale->data;
  for (int i = 0; value && i < scale->shape.dim[0]; i++)
    if (!isfinite(value[i])) return braid_fail(BRAID_EINVAL, "scale %d is %g", i, (double)value[i]);
  if (has_residual && !isfinite(call->attrs->qconv.r_scale))
    return braid_fail(BRAID_EINVAL, "the residual's scale is %g", (double)call->attrs->qconv.r_scale);
  return BRAID_OK;
}

enum braid_status infer_qlinear_conv(struct op_call *call) {
  const struct braid_qconv_attrs *a = &call->attrs->qconv;
  BRAID_TRY(check_qconv_types(call));
  BRAID_TRY(check_conv_shapes(call));
  BRAID_TRY(infer_windows(call));
  BRAID_TRY(check_qconv_scale(call));
  BRAID_TRY(check_residual(call, 4));
  BRAID_TRY(check_zero("the input", call->in[0].dtype, a->x_zero));
  BRAID_TRY(check_zero("the weights", BRAID_I8, a->w_zero));
  BRAID_TRY(check_zero("the output", a->to, a->y_zero));
  if (call->n_in == 5 && call->present[4]) BRAID_TRY(check_zero("the residual", call->in[4].dtype, a->r_zero));
  call->dtype = a->to;
  return BRAID_OK;
}

/* (in - 1) * stride + extent + output_pad - pads. */
static enum braid_status transposed_extent(const struct braid_conv_attrs *a, int axis, int in, int *out) {
  int limit = a->stride[axis] > a->dilation[axis] ? a->stride[axis] : a->dilation[axis];
  if (a->output_pad[axis] < 0 || a->output_pad[axis] >= limit)
    return braid_fail(BRAID_EINVAL, "output padding %d must be below stride or dilation", a->output_pad[axis]);
  int64_t n = (int64_t)(in - 1) * a->stride[axis] + (int64_t)(a->kernel[axis] - 1) * a->dilation[axis] + 1 +
              a->output_pad[axis] - a->pad[axis] - a->pad[axis + 2];
  if (n < 1 || n > INT_MAX) return braid_fail(BRAID_ESHAPE, "the output would have %lld rows or columns", (long long)n);
  *out = (int)n;
  return BRAID_OK;
}

enum braid_status infer_conv_transpose(struct op_call *call) {
  BRAID_TRY(check_maps(call, false));
  BRAID_TRY(check_conv_shapes(call));
  const struct braid_conv_attrs *a = &call->attrs->conv;
  const struct braid_shape *x = &call->in[0].shape, *w = &call->in[1].shape;
  int64_t channels = (int64_t)w->dim[1] * a->group;
  if (w->dim[0] != x->dim[1] || channels > INT_MAX)
    return braid_fail(BRAID_ESHAPE, "weights do not fit %d input channels", x->dim[1]);
  BRAID_TRY(check_bias(call, (int)channels));
  call->dtype = call->in[0].dtype;
  call->shape = (struct braid_shape){4, {x->dim[0], (int)channels}};
  for (int i = 0; i < 2; i++) BRAID_TRY(transposed_extent(a, i, x->dim[2 + i], &call->shape.dim[2 + i]));
  return BRAID_OK;
}

/* --------------------------------------------------------------------------------------------- pools */

/* Every window must meet the input: the maximum or mean of nothing does not exist. Windows that start inside do, and
 * none starts behind it if the padding there is smaller than a window; those that start before it are looked at. */
static enum braid_status check_windows_meet(const struct braid_pool_attrs *a, int axis, int in, int n_out) {
  int64_t extent = (int64_t)(a->kernel[axis] - 1) * a->dilation[axis] + 1;
  bool fine = a->pad[axis] < extent && a->pad[axis + 2] < extent;
  for (int o = 0; fine && o < n_out; o++) {
    int64_t start = (int64_t)o * a->stride[axis] - a->pad[axis];
    if (start >= 0) break;
    int64_t first = (-start + a->dilation[axis] - 1) / a->dilation[axis];
    fine = first < a->kernel[axis] && start + first * a->dilation[axis] < in;
  }
  if (fine) return BRAID_OK;
  return braid_fail(BRAID_ESHAPE, "with pads %d and %d a window of %lld reads nothing but padding", a->pad[axis],
                    a->pad[axis + 2], (long long)extent);
}

static enum braid_status infer_pool(struct op_call *call) {
  const struct braid_pool_attrs *a = &call->attrs->pool;
  const struct braid_shape *x = &call->in[0].shape;
  if (x->rank != 4) return braid_fail(BRAID_ESHAPE, "the input must have rank 4");
  BRAID_TRY(check_window(a->kernel, a->stride, a->dilation, a->pad));
  call->dtype = call->in[0].dtype;
  call->shape = *x;
  for (int i = 0; i < 2; i++) {
    int *n = &call->shape.dim[2 + i];
    BRAID_TRY(window_count(i, x->dim[2 + i], a->kernel, a->stride, a->dilation, a->pad, a->ceil_mode, n));
    BRAID_TRY(check_windows_meet(a, i, x->dim[2 + i], *n));
  }
  return BRAID_OK;
}

enum braid_status infer_max_pool(struct op_call *call) {
  enum braid_dtype dtype = call->in[0].dtype;
  if (!dtype_is_float(dtype) && dtype != BRAID_U8 && dtype != BRAID_I8)
    return braid_fail(BRAID_EUNSUPPORTED, "is not defined for %s", braid_dtype_name(dtype));
  return infer_pool(call);
}

enum braid_status infer_max_pool_indices(struct op_call *call) {
  BRAID_TRY(infer_max_pool(call));
  call->dtype = BRAID_I64;
  return BRAID_OK;
}

enum braid_status infer_average_pool(struct op_call *call) {
  BRAID_TRY(check_maps(call, false));
  return infer_pool(call);
}

enum braid_status infer_global_pool(struct op_call *call) {
  BRAID_TRY(check_maps(call, false));
  const struct braid_shape *x = &call->in[0].shape;
  if (x->rank != 4) return braid_fail(BRAID_ESHAPE, "the input must have rank 4");
  call->dtype = call->in[0].dtype;
  call->shape = (struct braid_shape){4, {x->dim[0], x->dim[1], 1, 1}};
  return BRAID_OK;
}

/* ------------------------------------------------------------------------------------ matrix products */

enum braid_status infer_gemm(struct op_call *call) {
  BRAID_TRY(check_maps(call, false));
  const struct braid_gemm_attrs *g = &call->attrs->gemm;
  const struct braid_shape *a = &call->in[0].shape, *b = &call->in[1].shape;
  if (a->rank != 2 || b->rank != 2) return braid_fail(BRAID_ESHAPE, "both factors must be matrices");
  int m = a->dim[g->trans_a], k = a->dim[!g->trans_a], k_b = b->dim[g->trans_b], n = b->dim[!g->trans_b];
  if (k != k_b) return braid_fail(BRAID_ESHAPE, "inner dimensions %d and %d differ", k, k_b);
  call->dtype = call->in[0].dtype;
  call->shape = (struct braid_shape){2, {m, n}};
  if (call->n_in == 3 && !shape_broadcasts_to(&call->in[2].shape, &call->shape))
    return braid_fail(BRAID_ESHAPE, "operand 2 cannot be broadcast to %dx%d", m, n);
  return BRAID_OK;
}

/* Numpy's rules: a vector on the left is a row, on the right a column, and that dim goes away again. */
enum braid_status infer_matmul(struct op_call *call) {
  if (call->in[0].dtype == BRAID_BOOL) return braid_fail(BRAID_EUNSUPPORTED, "is not defined for bool");
  BRAID_TRY(must_agree(call));
  struct braid_shape a = call->in[0].shape, b = call->in[1].shape, out;
  if (a.rank == 0 || b.rank == 0) return braid_fail(BRAID_ESHAPE, "scalars cannot be multiplied as matrices");
  bool row = a.rank == 1, column = b.rank == 1;
  if (row) a = (struct braid_shape){2, {1, a.dim[0]}};
  if (column) b = (struct braid_shape){2, {b.dim[0], 1}};
  int m = a.dim[a.rank - 2], k = a.dim[a.rank - 1], k_b = b.dim[b.rank - 2], n = b.dim[b.rank - 1];
  if (k != k_b) return braid_fail(BRAID_ESHAPE, "inner dimensions %d and %d differ", k, k_b);
  struct braid_shape batch_a = braid_shape_of(a.rank - 2, a.dim), batch_b = braid_shape_of(b.rank - 2, b.dim);
  if (!shape_broadcast(&batch_a, &batch_b, &out)) return braid_fail(BRAID_ESHAPE, "batch dimensions do not fit");
  if (!row) out.dim[out.rank++] = m;
  if (!column) out.dim[out.rank++] = n;
  call->dtype = call->in[0].dtype;
  call->shape = out;
  return BRAID_OK;
}
