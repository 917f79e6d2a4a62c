/* SPDX-License-Identifier: Apache-2.0
 * Reading a node's attributes, and constant operands that are attributes in all but name. */
#include "onnx_internal.h"

#include <inttypes.h>
#include <string.h>

#define TYPE(name) ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__##name

const Onnx__AttributeProto *onnx_attr(const struct onnx_node *node, const char *name) {
  for (size_t i = 0; i < node->proto->n_attribute; i++) {
    const Onnx__AttributeProto *attr = node->proto->attribute[i];
    if (attr->name && strcmp(attr->name, name) == 0) return attr;
  }
  return NULL;
}

/* Old files carry no type, files written as proto3 leave out zeros: either the type or the field must be there. */
static enum braid_status expect(const Onnx__AttributeProto *attr, Onnx__AttributeProto__AttributeType type,
                                bool has_value, const char *what) {
  if (attr->ref_attr_name && *attr->ref_attr_name) {
    return braid_fail(BRAID_EUNSUPPORTED, "attribute '%s' refers to a function's attribute", attr->name);
  }
  bool typed = attr->has_type && attr->type != TYPE(UNDEFINED);
  if (typed ? attr->type == type : has_value) return BRAID_OK;
  return braid_fail(BRAID_EFORMAT, "attribute '%s' is not %s", attr->name, what);
}

enum braid_status onnx_attr_i64(const struct onnx_node *node, const char *name, int64_t fallback, int64_t *out) {
  const Onnx__AttributeProto *attr = onnx_attr(node, name);
  *out = fallback;
  if (!attr) return BRAID_OK;
  BRAID_TRY(expect(attr, TYPE(INT), attr->has_i, "an integer"));
  *out = attr->i;
  return BRAID_OK;
}

enum braid_status onnx_attr_bool(const struct onnx_node *node, const char *name, bool fallback, bool *out) {
  int64_t v;
  BRAID_TRY(onnx_attr_i64(node, name, fallback, &v));
  *out = v != 0;
  return BRAID_OK;
}

enum braid_status onnx_attr_f32(const struct onnx_node *node, const char *name, float fallback, float *out) {
  const Onnx__AttributeProto *attr = onnx_attr(node, name);
  *out = fallback;
  if (!attr) return BRAID_OK;
  BRAID_TRY(expect(attr, TYPE(FLOAT), attr->has_f, "a number"));
  *out = attr->f;
  return BRAID_OK;
}

enum braid_status onnx_attr_ints(const struct onnx_node *node, const char *name, const int64_t **values, int *n) {
  const Onnx__AttributeProto *attr = onnx_attr(node, name);
  *values = NULL;
  *n = 0;
  if (!attr) return BRAID_OK;
  BRAID_TRY(expect(attr, TYPE(INTS), attr->n_ints > 0, "a list of integers"));
  if (attr->n_ints > INT_MAX) return braid_fail(BRAID_EFORMAT, "attribute '%s' is too long", name);
  static const int64_t empty = 0; /* so that a list of none differs from no list */
  *values = attr->n_ints ? attr->ints : &empty;
  *n = (int)attr->n_ints;
  return BRAID_OK;
}

enum braid_status onnx_attr_floats(const struct onnx_node *node, const char *name, const float **values, int *n) {
  const Onnx__AttributeProto *attr = onnx_attr(node, name);
  *values = NULL;
  *n = 0;
  if (!attr) return BRAID_OK;
  BRAID_TRY(expect(attr, TYPE(FLOATS), attr->n_floats > 0, "a list of numbers"));
  if (attr->n_floats > INT_MAX) return braid_fail(BRAID_EFORMAT, "attribute '%s' is too long", name);
  *values = attr->floats;
  *n = (int)attr->n_floats;
  return BRAID_OK;
}

enum braid_status onnx_attr_choice(const struct onnx_node *node, const char *name, const char *const *choices,
                                   int fallback, int *out) {
  const Onnx__AttributeProto *attr = onnx_attr(node, name);
  *out = fallback;
  if (!attr) return BRAID_OK;
  BRAID_TRY(expect(attr, TYPE(STRING), attr->has_s, "a string"));
  for (int i = 0; choices[i]; i++) {
    if (strlen(choices[i]) == attr->s.len && (attr->s.len == 0 || memcmp(choices[i], attr->s.data, attr->s.len) == 0)) {
      *out = i;
      return BRAID_OK;
    }
  }
  int shown = attr->s.len < 40 ? (int)attr->s.len : 40;
  return braid_fail(BRAID_EUNSUPPORTED, "attribute '%s' has the value '%.*s', which is not supported", name, shown,
                    attr->s.data ? (const char *)attr->s.data : "");
}

/* ------------------------------------------------------------------------------------- constant operands */

static enum braid_status constant_list(const struct onnx_node *node, int k, int max, const struct onnx_value **out,
                                       int *n) {
  const struct onnx_value *value = onnx_in(node, k);
  *out = value;
  *n = -1;
  if (!value) return BRAID_OK;
  const char *name = node->proto->input[k];
  if (!value->constant) {
    return braid_fail(BRAID_EUNSUPPORTED, "operand %d ('%s') must be a constant: it decides shapes", k, name);
  }
  int64_t elements = braid_shape_elements(&value->tensor.shape);
  if (value->tensor.shape.rank > 1 || elements > max) {
    char text[96];
    return braid_fail(BRAID_ESHAPE, "operand %d ('%s') is %s, expected a list of at most %d", k, name,
                      braid_shape_text(&value->tensor.shape, text, sizeof text), max);
  }
  *n = (int)elements;
  return BRAID_OK;
}

static enum braid_status wrong_type(const struct onnx_node *node, int k, const struct onnx_value *value) {
  return braid_fail(BRAID_EFORMAT, "operand %d ('%s') has the type %s", k, node->proto->input[k],
                    braid_dtype_name(value->tensor.dtype));
}

enum braid_status onnx_in_ints(const struct onnx_node *node, int k, int64_t *values, int max, int *n) {
  const struct onnx_value *value;
  BRAID_TRY(constant_list(node, k, max, &value, n));
  for (int i = 0; i < *n; i++) {
    switch (value->tensor.dtype) {
    case BRAID_I64:
      values[i] = ((const int64_t *)value->tensor.data)[i];
      break;
    case BRAID_I32:
      values[i] = ((const int32_t *)value->tensor.data)[i];
      break;
    case BRAID_BOOL:
      values[i] = ((const uint8_t *)value->tensor.data)[i];
      break;
    default:
      return wrong_type(node, k, value);
    }
  }
  return BRAID_OK;
}

enum braid_status onnx_in_floats(const struct onnx_node *node, int k, double *values, int max, int *n) {
  const struct onnx_value *value;
  BRAID_TRY(constant_list(node, k, max, &value, n));
  for (int i = 0; i < *n; i++) {
    const void *p = value->tensor.data;
    switch (value->tensor.dtype) {
    case BRAID_F32:
      values[i] = (double)((const float *)p)[i];
      break;
    case BRAID_F64:
      values[i] = ((const double *)p)[i];
      break;
    case BRAID_U8:
      values[i] = ((const uint8_t *)p)[i];
      break;
    case BRAID_I8:
      values[i] = ((const int8_t *)p)[i];
      break;
    case BRAID_I32:
      values[i] = ((const int32_t *)p)[i];
      break;
    case BRAID_I64:
      values[i] = (double)((const int64_t *)p)[i];
      break;
    default:
      return wrong_type(node, k, value);
    }
  }
  return BRAID_OK;
}

enum braid_status onnx_list(const struct onnx_node *node, const char *name, int k, int since, int64_t *values, int max,
                            int *n) {
  if (node->opset >= since) return onnx_in_ints(node, k, values, max, n);
  const int64_t *list;
  BRAID_TRY(onnx_attr_ints(node, name, &list, n));
  if (*n > max) return braid_fail(BRAID_EFORMAT, "attribute '%s' has %d numbers, at most %d fit", name, *n, max);
  if (!list) *n = -1;
  for (int i = 0; i < *n; i++) values[i] = list[i];
  return BRAID_OK;
}

/* ------------------------------------------------------------------------------------------------ ranges */

enum braid_status onnx_axis(int64_t axis, int rank, int *out) {
  if (axis < -rank || axis >= rank) {
    return braid_fail(BRAID_ESHAPE, "axis %" PRId64 " of a tensor with %d dims", axis, rank);
  }
  *out = (int)(axis < 0 ? axis + rank : axis);
  return BRAID_OK;
}

enum braid_status onnx_range(const char *what, int64_t value, int64_t low, int64_t high, int *out) {
  if (value < low || value > high) {
    return braid_fail(BRAID_EFORMAT, "%s is %" PRId64 ", not within %" PRId64 "..%" PRId64, what, value, low, high);
  }
  *out = (int)value;
  return BRAID_OK;
}

enum braid_status onnx_dim(const char *what, int64_t dim, int *out) {
  return onnx_range(what, dim, 0, INT_MAX, out);
}
