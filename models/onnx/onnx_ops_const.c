/* SPDX-License-Identifier: Apache-2.0
 * Operators whose result is known at import: constants, and the shapes of tensors (all shapes are static here). */
#include "onnx_internal.h"

#include <math.h>
#include <string.h>

static enum braid_status list_out(struct onnx_node *node, enum braid_dtype dtype, int rank, int n, const void *data) {
  struct onnx_value *value;
  struct braid_shape shape = {rank, {rank ? n : 0}};
  BRAID_TRY(onnx_const_new(node, dtype, &shape, &value));
  if (n > 0) memcpy(value->tensor.data, data, (size_t)n * braid_dtype_bytes(dtype));
  return onnx_const_out(node, 0, &value->tensor);
}

enum braid_status onnx_convert_constant(struct onnx_node *node) {
  const Onnx__AttributeProto *value = onnx_attr(node, "value");
  struct braid_tensor tensor;
  if (value && value->t) {
    BRAID_TRY(onnx_tensor_read(node->im->source, value->t, &tensor));
    return onnx_const_out(node, 0, &tensor);
  }
  const int64_t *ints;
  const float *floats;
  int n;
  if (onnx_attr(node, "value_int")) {
    int64_t i;
    BRAID_TRY(onnx_attr_i64(node, "value_int", 0, &i));
    return list_out(node, BRAID_I64, 0, 1, &i);
  }
  if (onnx_attr(node, "value_float")) {
    float f;
    BRAID_TRY(onnx_attr_f32(node, "value_float", 0, &f));
    return list_out(node, BRAID_F32, 0, 1, &f);
  }
  if (onnx_attr(node, "value_ints")) {
    BRAID_TRY(onnx_attr_ints(node, "value_ints", &ints, &n));
    return list_out(node, BRAID_I64, 1, n, ints);
  }
  if (onnx_attr(node, "value_floats")) {
    BRAID_TRY(onnx_attr_floats(node, "value_floats", &floats, &n));
    return list_out(node, BRAID_F32, 1, n, floats);
  }
  return braid_fail(BRAID_EUNSUPPORTED, "it has no value that is a dense tensor of numbers");
}

/* All elements the same; one float32 zero unless `value` says otherwise. */
enum braid_status onnx_convert_constant_of_shape(struct onnx_node *node) {
  int64_t dims[BRAID_MAX_RANK];
  struct braid_shape shape = {0};
  float zero = 0;
  struct braid_tensor fill = {&zero, BRAID_F32, {0}};
  struct onnx_value *value;
  const Onnx__AttributeProto *attr = onnx_attr(node, "value");
  BRAID_TRY(onnx_in_ints(node, 0, dims, BRAID_MAX_RANK, &shape.rank));
  for (int i = 0; i < shape.rank; i++) BRAID_TRY(onnx_dim("a dim", dims[i], &shape.dim[i]));
  if (attr && attr->t) BRAID_TRY(onnx_tensor_read(node->im->source, attr->t, &fill));
  if (braid_shape_elements(&fill.shape) != 1) return braid_fail(BRAID_EFORMAT, "attribute 'value' is not one number");
  BRAID_TRY(onnx_const_new(node, fill.dtype, &shape, &value));
  size_t item = braid_dtype_bytes(fill.dtype), n = (size_t)braid_shape_elements(&shape);
  for (size_t i = 0; i < n; i++) memcpy((char *)value->tensor.data + i * item, fill.data, item);
  return onnx_const_out(node, 0, &value->tensor);
}

/* Opset 15 added a range of dims: clamped, not refused. */
static int clamp_axis(int64_t axis, int rank) {
  if (axis < 0) axis += rank;
  return axis < 0 ? 0 : axis > rank ? rank : (int)axis;
}

enum braid_status onnx_convert_shape(struct onnx_node *node) {
  const struct braid_shape *shape = &onnx_in(node, 0)->tensor.shape;
  int64_t start, end, dims[BRAID_MAX_RANK];
  int n = 0;
  BRAID_TRY(onnx_attr_i64(node, "start", 0, &start));
  BRAID_TRY(onnx_attr_i64(node, "end", shape->rank, &end));
  for (int i = clamp_axis(start, shape->rank); i < clamp_axis(end, shape->rank); i++) dims[n++] = shape->dim[i];
  return list_out(node, BRAID_I64, 1, n, dims);
}

enum braid_status onnx_convert_size(struct onnx_node *node) {
  int64_t n = braid_shape_elements(&onnx_in(node, 0)->tensor.shape);
  return list_out(node, BRAID_I64, 0, 1, &n);
}

/* ------------------------------------------------------------------------------------------------- Range */

static enum braid_status range_of_ints(struct onnx_node *node, struct braid_tensor *out) {
  int64_t v[3];
  int n;
  for (int k = 0; k < 3; k++) {
    BRAID_TRY(onnx_in_ints(node, k, &v[k], 1, &n));
    if (n != 1) return braid_fail(BRAID_EFORMAT, "operand %d is not one number", k);
    if (v[k] < -INT_MAX || v[k] > INT_MAX) return braid_fail(BRAID_EUNSUPPORTED, "numbers beyond 32 bits");
  }
  if (v[2] == 0) return braid_fail(BRAID_EFORMAT, "the step is 0");
  int64_t span = v[1] - v[0], step = v[2], count = span / step + (span % step != 0 ? 1 : 0);
  if ((span > 0) != (step > 0) || span == 0) count = 0;
  struct onnx_value *value;
  struct braid_shape shape = {1, {0}};
  BRAID_TRY(onnx_dim("the number of elements", count, &shape.dim[0]));
  BRAID_TRY(onnx_const_new(node, out->dtype, &shape, &value));
  for (int i = 0; i < shape.dim[0]; i++) {
    if (out->dtype == BRAID_I64) ((int64_t *)value->tensor.data)[i] = v[0] + i * step;
    if (out->dtype == BRAID_I32) ((int32_t *)value->tensor.data)[i] = (int32_t)(v[0] + i * step);
  }
  *out = value->tensor;
  return BRAID_OK;
}

static enum braid_status range_of_floats(struct onnx_node *node, struct braid_tensor *out) {
  double v[3];
  int n;
  for (int k = 0; k < 3; k++) {
    BRAID_TRY(onnx_in_floats(node, k, &v[k], 1, &n));
    if (n != 1 || !isfinite(v[k])) return braid_fail(BRAID_EFORMAT, "operand %d is not one finite number", k);
  }
  double count = ceil((v[1] - v[0]) / v[2]);
  if (!(fabs(count) <= INT_MAX)) return braid_fail(BRAID_EFORMAT, "the range has no sensible number of elements");
  struct onnx_value *value;
  struct braid_shape shape = {1, {count > 0 ? (int)count : 0}};
  BRAID_TRY(onnx_const_new(node, BRAID_F32, &shape, &value));
  for (int i = 0; i < shape.dim[0]; i++) ((float *)value->tensor.data)[i] = (float)(v[0] + i * v[2]);
  *out = value->tensor;
  return BRAID_OK;
}

enum braid_status onnx_convert_range(struct onnx_node *node) {
  struct braid_tensor out = {.dtype = onnx_in(node, 0)->tensor.dtype};
  switch (out.dtype) {
  case BRAID_I32:
  case BRAID_I64:
    BRAID_TRY(range_of_ints(node, &out));
    break;
  case BRAID_F32:
    BRAID_TRY(range_of_floats(node, &out));
    break;
  default:
    return braid_fail(BRAID_EUNSUPPORTED, "a range of %s is not supported", braid_dtype_name(out.dtype));
  }
  return onnx_const_out(node, 0, &out);
}

/* ------------------------------------------------------------------------------------------------ EyeLike */

enum braid_status onnx_convert_eye_like(struct onnx_node *node) {
  const struct onnx_value *x = onnx_in(node, 0);
  const struct braid_shape *shape = &x->tensor.shape;
  enum braid_dtype dtype = x->tensor.dtype;
  struct onnx_value *value;
  int64_t to, k;
  if (shape->rank != 2) return braid_fail(BRAID_ESHAPE, "the input is no matrix");
  BRAID_TRY(onnx_attr_i64(node, "dtype", onnx_data_type(dtype), &to));
  BRAID_TRY(onnx_attr_i64(node, "k", 0, &k));
  if (to < 0 || to > 1000) return braid_fail(BRAID_EFORMAT, "attribute 'dtype' is out of range");
  BRAID_TRY(onnx_dtype((int32_t)to, &dtype));
  BRAID_TRY(onnx_const_new(node, BRAID_BOOL, shape, &value));
  uint8_t *v = value->tensor.data;
  for (int64_t i = 0; i < shape->dim[0]; i++)
    for (int64_t j = 0; j < shape->dim[1]; j++) *v++ = j - i == k;
  BRAID_TRY(onnx_cast_to(node, dtype, &value));
  return onnx_const_out(node, 0, &value->tensor);
}
