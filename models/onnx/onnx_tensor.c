/* SPDX-License-Identifier: Apache-2.0
 * TensorProto -> braid_tensor. ONNX stores numbers as little-endian raw bytes, in a typed list, or in another file. */
#include "onnx_internal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "raw_data is used in place: ONNX files are little-endian"
#endif

#define T(name) ONNX__TENSOR_PROTO__DATA_TYPE__##name

static const struct {
  enum braid_dtype dtype;
  int32_t data_type;
} types[] = {
    {BRAID_F32, T(FLOAT)},  {BRAID_F16, T(FLOAT16)}, {BRAID_BF16, T(BFLOAT16)}, {BRAID_F64, T(DOUBLE)},
    {BRAID_U8, T(UINT8)},   {BRAID_I8, T(INT8)},     {BRAID_U16, T(UINT16)},    {BRAID_I16, T(INT16)},
    {BRAID_U32, T(UINT32)}, {BRAID_I32, T(INT32)},   {BRAID_U64, T(UINT64)},    {BRAID_I64, T(INT64)},
    {BRAID_BOOL, T(BOOL)},
};

enum braid_status onnx_dtype(int32_t data_type, enum braid_dtype *out) {
  for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
    if (types[i].data_type == data_type) {
      *out = types[i].dtype;
      return BRAID_OK;
    }
  }
  return braid_fail(BRAID_EUNSUPPORTED, "ONNX data type %d (string, complex or newer) is not supported", data_type);
}

int32_t onnx_data_type(enum braid_dtype dtype) {
  for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
    if (types[i].dtype == dtype) return types[i].data_type;
  }
  return T(UNDEFINED);
}

static enum braid_status read_shape(const Onnx__TensorProto *proto, struct braid_shape *shape) {
  *shape = (struct braid_shape){0};
  if (proto->n_dims > BRAID_MAX_RANK) {
    return braid_fail(BRAID_EUNSUPPORTED, "%zu dims, at most %d are supported", proto->n_dims, BRAID_MAX_RANK);
  }
  shape->rank = (int)proto->n_dims;
  for (int i = 0; i < shape->rank; i++) BRAID_TRY(onnx_dim("a dim", proto->dims[i], &shape->dim[i]));
  return BRAID_OK;
}

/* ------------------------------------------------------------------------------------------- external data */

static enum braid_status parse_u64(const char *key, const char *text, uint64_t *out) {
  if (text && *text >= '0' && *text <= '9') {
    char *end;
    *out = strtoull(text, &end, 10);
    if (*end == '\0' && *out != UINT64_MAX) return BRAID_OK;
  }
  return braid_fail(BRAID_EFORMAT, "external data: %s '%s' is not a number", key, text ? text : "");
}

static enum braid_status read_external(struct onnx_source *source, const Onnx__TensorProto *proto, size_t bytes,
                                       void **data) {
  const char *location = NULL;
  uint64_t offset = 0, length = bytes;
  for (size_t i = 0; i < proto->n_external_data; i++) {
    const Onnx__StringStringEntryProto *entry = proto->external_data[i];
    if (!entry->key) continue;
    if (strcmp(entry->key, "location") == 0) location = entry->value;
    if (strcmp(entry->key, "offset") == 0) BRAID_TRY(parse_u64(entry->key, entry->value, &offset));
    if (strcmp(entry->key, "length") == 0) BRAID_TRY(parse_u64(entry->key, entry->value, &length));
  }
  if (length != bytes) {
    return braid_fail(BRAID_EFORMAT, "external data has length %" PRIu64 ", its type and shape need %zu", length,
                      bytes);
  }
  return onnx_source_external(source, location, offset, length, data);
}

/* --------------------------------------------------------------------------------------------- typed lists */

/* int32_data holds several narrower types, one number each. */
static enum braid_status narrow_i32(const Onnx__TensorProto *proto, enum braid_dtype dtype, void *dst) {
  int32_t low = 0, high = UINT16_MAX; /* U16, F16 and BF16 bits */
  if (dtype == BRAID_U8) high = UINT8_MAX;
  if (dtype == BRAID_BOOL) high = 1;
  if (dtype == BRAID_I8) low = INT8_MIN, high = INT8_MAX;
  if (dtype == BRAID_I16) low = INT16_MIN, high = INT16_MAX;
  for (size_t i = 0; i < proto->n_int32_data; i++) {
    int32_t v = proto->int32_data[i];
    if (v < low || v > high) {
      return braid_fail(BRAID_EFORMAT, "element %zu, %d, is not a %s", i, v, braid_dtype_name(dtype));
    }
    if (braid_dtype_bytes(dtype) == 1) ((uint8_t *)dst)[i] = (uint8_t)v;
    if (braid_dtype_bytes(dtype) == 2) ((uint16_t *)dst)[i] = (uint16_t)v;
  }
  return BRAID_OK;
}

static enum braid_status narrow_u64(const Onnx__TensorProto *proto, void *dst) {
  for (size_t i = 0; i < proto->n_uint64_data; i++) {
    if (proto->uint64_data[i] > UINT32_MAX) {
      return braid_fail(BRAID_EFORMAT, "element %zu, %" PRIu64 ", is not a uint32", i, proto->uint64_data[i]);
    }
    ((uint32_t *)dst)[i] = (uint32_t)proto->uint64_data[i];
  }
  return BRAID_OK;
}

/* *data: the list itself when its element is the dtype's, else NULL (it has to be narrowed). */
static size_t typed_list(const Onnx__TensorProto *proto, enum braid_dtype dtype, void **data) {
  *data = NULL;
  switch (dtype) {
  case BRAID_F32:
    *data = proto->float_data;
    return proto->n_float_data;
  case BRAID_F64:
    *data = proto->double_data;
    return proto->n_double_data;
  case BRAID_I64:
    *data = proto->int64_data;
    return proto->n_int64_data;
  case BRAID_U64:
    *data = proto->uint64_data;
    return proto->n_uint64_data;
  case BRAID_I32:
    *data = proto->int32_data;
    return proto->n_int32_data;
  case BRAID_U32:
    return proto->n_uint64_data;
  default:
    return proto->n_int32_data;
  }
}

static enum braid_status read_typed(struct onnx_source *source, const Onnx__TensorProto *proto, int64_t elements,
                                    enum braid_dtype dtype, size_t bytes, void **data) {
  size_t n = typed_list(proto, dtype, data);
  if (n != (size_t)elements) {
    return braid_fail(BRAID_EFORMAT, "%zu elements of type %s are stored, its shape needs %" PRId64, n,
                      braid_dtype_name(dtype), elements);
  }
  if (*data || n == 0) return BRAID_OK;
  BRAID_TRY(onnx_source_alloc(source, bytes, data));
  return dtype == BRAID_U32 ? narrow_u64(proto, *data) : narrow_i32(proto, dtype, *data);
}

/* -------------------------------------------------------------------------------------------------- all */

static enum braid_status check_bools(const struct braid_tensor *tensor, int64_t elements) {
  const uint8_t *p = tensor->data;
  for (int64_t i = 0; i < elements; i++) {
    if (p[i] > 1) return braid_fail(BRAID_EFORMAT, "element %" PRId64 ", %d, is not a bool", i, p[i]);
  }
  return BRAID_OK;
}

static enum braid_status align(struct onnx_source *source, enum braid_dtype dtype, size_t bytes, void **data) {
  if ((uintptr_t)*data % braid_dtype_bytes(dtype) == 0) return BRAID_OK;
  void *copy;
  BRAID_TRY(onnx_source_alloc(source, bytes, &copy));
  memcpy(copy, *data, bytes);
  *data = copy;
  return BRAID_OK;
}

static enum braid_status read_data(struct onnx_source *source, const Onnx__TensorProto *proto, int64_t elements,
                                   enum braid_dtype dtype, size_t bytes, void **data) {
  if (proto->segment) return braid_fail(BRAID_EUNSUPPORTED, "tensors in segments are not supported");
  if (proto->has_data_location && proto->data_location == ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL) {
    return read_external(source, proto, bytes, data);
  }
  if (!proto->has_raw_data || (proto->raw_data.len == 0 && bytes > 0)) {
    return read_typed(source, proto, elements, dtype, bytes, data);
  }
  if (proto->raw_data.len != bytes) {
    return braid_fail(BRAID_EFORMAT, "%zu bytes of data, its type and shape need %zu", proto->raw_data.len, bytes);
  }
  *data = proto->raw_data.data;
  return BRAID_OK;
}

static enum braid_status read_tensor(struct onnx_source *source, const Onnx__TensorProto *proto,
                                     struct braid_tensor *out) {
  static unsigned char nothing[64]; /* what empty tensors point to */
  size_t bytes;
  BRAID_TRY(onnx_dtype(proto->has_data_type ? proto->data_type : 0, &out->dtype));
  BRAID_TRY(read_shape(proto, &out->shape));
  BRAID_TRY(braid_shape_bytes(&out->shape, out->dtype, &bytes));
  int64_t elements = braid_shape_elements(&out->shape);
  BRAID_TRY(read_data(source, proto, elements, out->dtype, bytes, &out->data));
  if (bytes == 0) out->data = nothing;
  BRAID_TRY(align(source, out->dtype, bytes, &out->data));
  return out->dtype == BRAID_BOOL ? check_bools(out, elements) : BRAID_OK;
}

enum braid_status onnx_tensor_read(struct onnx_source *source, const Onnx__TensorProto *proto,
                                   struct braid_tensor *out) {
  struct braid_tensor tensor = {0};
  enum braid_status status = read_tensor(source, proto, &tensor);
  if (status != BRAID_OK) return braid_fail_in(status, "tensor '%s'", proto->name ? proto->name : "");
  *out = tensor;
  return BRAID_OK;
}

/* The message's own data is freed with the message, so the numbers are copied out. */
static enum braid_status copy_out(const struct braid_tensor *tensor, struct braid_tensor *out) {
  size_t bytes = (size_t)braid_shape_elements(&tensor->shape) * braid_dtype_bytes(tensor->dtype);
  void *copy = braid_alloc_aligned(bytes ? bytes : 1);
  if (!copy) return braid_fail(BRAID_ENOMEM, "no memory for a tensor of %zu bytes", bytes);
  if (bytes > 0) memcpy(copy, tensor->data, bytes);
  *out = *tensor;
  out->data = copy;
  return BRAID_OK;
}

enum braid_status braid_onnx_read_tensor(const uint8_t *data, size_t size, struct braid_tensor *out) {
  struct onnx_source *source = NULL;
  struct braid_tensor tensor;
  const Onnx__TensorProto *proto;
  size_t budget; /* one byte of a list of integers becomes eight, and is copied once more where it is narrowed */
  if (!braid_mul_size(size, 16, &budget) || !braid_add_size(budget, 1 << 16, &budget))
    return braid_fail(BRAID_ENOMEM, "a tensor of %zu bytes is too large", size);
  BRAID_TRY(onnx_source_create(budget, -1, &source));
  enum braid_status status = onnx_source_unpack_tensor(source, data, size, &proto);
  if (status == BRAID_OK) status = onnx_tensor_read(source, proto, &tensor);
  if (status == BRAID_OK) status = copy_out(&tensor, out);
  onnx_source_destroy(source);
  return status;
}
