/* SPDX-License-Identifier: Apache-2.0
 * Pieces of an ONNX message: nodes, attributes, initializers. */
#include "onnx_writer.h"

#include <stdio.h>
#include <string.h>

/* ------------------------------------------------------------------------------------------------ memory */

static void fail(struct onnx_writer *w) {
  if (w->status == BRAID_OK) w->status = braid_fail(BRAID_ENOMEM, "out of memory");
}

void *onnx_take(struct onnx_writer *w, size_t bytes) {
  void *p = w->status == BRAID_OK ? arena_alloc(&w->arena, bytes) : NULL;
  if (!p) fail(w);
  return p;
}

char *onnx_take_text(struct onnx_writer *w, const char *text) {
  size_t bytes = strlen(text) + 1;
  char *copy = onnx_take(w, bytes);
  if (copy) memcpy(copy, text, bytes);
  return copy;
}

static void append(struct onnx_writer *w, struct onnx_list *list, void *item) {
  void *grown = item ? array_grown(list->item, &list->capacity, list->n + 1, sizeof *list->item) : NULL;
  if (!grown) {
    fail(w);
    return;
  }
  list->item = grown;
  list->item[list->n++] = item;
}

/* Names made here contain the node's own (unique) name and what they are for, so they differ from one another; one that
 * the graph has is passed over. */
const char *onnx_invent(struct onnx_writer *w, const char *base, const char *what) {
  size_t bytes = strlen(base) + strlen(what) + 16;
  char *name = onnx_take(w, bytes);
  if (!name) return NULL;
  snprintf(name, bytes, "%s#%s", base, what);
  for (int i = 2; graph_lookup(w->graph, name) != BRAID_NONE; i++) snprintf(name, bytes, "%s#%s%d", base, what, i);
  return name;
}

/* ------------------------------------------------------------------------------------------------- nodes */

Onnx__NodeProto *onnx_put(struct onnx_writer *w, const char *op_type, const char *const *in, int n_in,
                          const char *out) {
  Onnx__NodeProto *node = onnx_take(w, sizeof *node);
  char **input = onnx_take(w, (size_t)(n_in + 1) * sizeof *input);
  if (!node || !input || !out) return NULL;
  onnx__node_proto__init(node);
  for (int i = 0; i < n_in; i++) {
    input[i] = in[i] ? onnx_take_text(w, in[i]) : NULL;
    if (!input[i]) return NULL;
  }
  node->input = input;
  node->n_input = (size_t)n_in;
  node->output = onnx_take(w, sizeof(char *));
  node->op_type = onnx_take_text(w, op_type);
  node->name = onnx_take_text(w, out);
  if (!node->name) return NULL;
  node->output[0] = node->name;
  node->n_output = 1;
  append(w, &w->nodes, node);
  return node;
}

void onnx_put_outputs(struct onnx_writer *w, Onnx__NodeProto *node, const char *first, const char *second) {
  char **output = onnx_take(w, 2 * sizeof *output);
  if (!node || !output || !first || !second) return;
  output[0] = onnx_take_text(w, first);
  output[1] = onnx_take_text(w, second);
  node->output = output;
  node->n_output = output[0] && output[1] ? 2 : 0;
}

static Onnx__AttributeProto *put_attr(struct onnx_writer *w, Onnx__NodeProto *node, const char *name,
                                      Onnx__AttributeProto__AttributeType type) {
  enum { MAX_ATTRIBUTES = 8 };
  Onnx__AttributeProto *attr = node ? onnx_take(w, sizeof *attr) : NULL;
  if (!attr) return NULL;
  onnx__attribute_proto__init(attr);
  if (!node->attribute) node->attribute = onnx_take(w, MAX_ATTRIBUTES * sizeof(Onnx__AttributeProto *));
  attr->name = onnx_take_text(w, name);
  if (!attr->name || !node->attribute) return NULL;
  attr->has_type = 1;
  attr->type = type;
  node->attribute[node->n_attribute++] = attr;
  return attr;
}

#define TYPE(name) ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__##name

void onnx_put_int(struct onnx_writer *w, Onnx__NodeProto *node, const char *name, int64_t value) {
  Onnx__AttributeProto *attr = put_attr(w, node, name, TYPE(INT));
  if (!attr) return;
  attr->has_i = 1;
  attr->i = value;
}

void onnx_put_float(struct onnx_writer *w, Onnx__NodeProto *node, const char *name, float value) {
  Onnx__AttributeProto *attr = put_attr(w, node, name, TYPE(FLOAT));
  if (!attr) return;
  attr->has_f = 1;
  attr->f = value;
}

void onnx_put_ints(struct onnx_writer *w, Onnx__NodeProto *node, const char *name, const int *values, int n) {
  Onnx__AttributeProto *attr = put_attr(w, node, name, TYPE(INTS));
  int64_t *list = attr ? onnx_take(w, (size_t)(n + 1) * sizeof *list) : NULL;
  if (!list) return;
  for (int i = 0; i < n; i++) list[i] = values[i];
  attr->ints = list;
  attr->n_ints = (size_t)n;
}

void onnx_put_text(struct onnx_writer *w, Onnx__NodeProto *node, const char *name, const char *value) {
  Onnx__AttributeProto *attr = put_attr(w, node, name, TYPE(STRING));
  char *text = attr ? onnx_take_text(w, value) : NULL;
  if (!text) return;
  attr->has_s = 1;
  attr->s = (ProtobufCBinaryData){strlen(value), (uint8_t *)text};
}

/* ------------------------------------------------------------------------------------------ initializers */

const char *onnx_put_tensor(struct onnx_writer *w, const char *name, const struct braid_tensor *tensor) {
  Onnx__TensorProto *proto = name ? onnx_take(w, sizeof *proto) : NULL;
  int64_t *dims = proto ? onnx_take(w, (BRAID_MAX_RANK) * sizeof *dims) : NULL;
  size_t bytes;
  if (!dims) return NULL;
  onnx__tensor_proto__init(proto);
  proto->name = onnx_take_text(w, name);
  for (int i = 0; i < tensor->shape.rank; i++) dims[i] = tensor->shape.dim[i];
  proto->dims = dims;
  proto->n_dims = (size_t)tensor->shape.rank;
  proto->has_data_type = proto->has_raw_data = 1;
  proto->data_type = onnx_data_type(tensor->dtype);
  if (braid_shape_bytes(&tensor->shape, tensor->dtype, &bytes) != BRAID_OK || !proto->name) return NULL;
  proto->raw_data = (ProtobufCBinaryData){bytes, tensor->data};
  append(w, &w->initializers, proto);
  return proto->name;
}

static const char *put_copy(struct onnx_writer *w, const char *base, const char *what, enum braid_dtype dtype, int rank,
                            const void *values, int n) {
  struct braid_tensor tensor = {.dtype = dtype, .shape = {rank, {rank ? n : 0}}};
  size_t bytes = (size_t)n * braid_dtype_bytes(dtype);
  tensor.data = onnx_take(w, bytes + 1);
  if (!tensor.data) return NULL;
  memcpy(tensor.data, values, bytes);
  return onnx_put_tensor(w, onnx_invent(w, base, what), &tensor);
}

const char *onnx_put_i64s(struct onnx_writer *w, const char *base, const char *what, const int64_t *values, int n) {
  return put_copy(w, base, what, BRAID_I64, 1, values, n);
}

const char *onnx_put_f32s(struct onnx_writer *w, const char *base, const char *what, const float *values, int n) {
  return put_copy(w, base, what, BRAID_F32, 1, values, n);
}

/* Into the range of an integer type: converting what lies outside is undefined. NaN becomes 0. */
static double clamped(enum braid_dtype dtype, double value) {
  double low = 0, high = 0;
  switch (dtype) {
  case BRAID_I64: low = -9223372036854775808.0, high = 9223372036854774784.0; break;
  case BRAID_I32: low = INT32_MIN, high = INT32_MAX; break;
  case BRAID_I8: low = INT8_MIN, high = INT8_MAX; break;
  case BRAID_U8: high = UINT8_MAX; break;
  case BRAID_BOOL: high = 1; break;
  default: return value;
  }
  if (!(value > low)) return value <= low ? low : 0;
  return value < high ? value : high;
}

const char *onnx_put_scalar(struct onnx_writer *w, const char *base, const char *what, enum braid_dtype dtype,
                            double value) {
  union {
    float f32;
    double f64;
    int64_t i64;
    int32_t i32;
    uint8_t u8;
    int8_t i8;
  } v;
  memset(&v, 0, sizeof v);
  double whole = clamped(dtype, value);
  switch (dtype) {
  case BRAID_F32:
    v.f32 = (float)value;
    break;
  case BRAID_F64:
    v.f64 = value;
    break;
  case BRAID_I64:
    v.i64 = (int64_t)whole;
    break;
  case BRAID_I32:
    v.i32 = (int32_t)whole;
    break;
  case BRAID_U8:
  case BRAID_BOOL:
    v.u8 = (uint8_t)whole;
    break;
  case BRAID_I8:
    v.i8 = (int8_t)whole;
    break;
  default:
    if (w->status == BRAID_OK) {
      w->status =
          braid_fail(BRAID_EUNSUPPORTED, "node '%s': a %s number cannot be written", base, braid_dtype_name(dtype));
    }
    return NULL;
  }
  return put_copy(w, base, what, dtype, 0, &v, 1);
}

const char *onnx_operand_name(struct onnx_writer *w, int operand) {
  if (operand == BRAID_NONE) return "";
  if (braid_is_node(operand)) return braid_graph_node(w->graph, operand)->name;
  const char *name = braid_graph_constant_name(w->graph, operand);
  int k = braid_const_index(operand);
  if (!w->written[k]) onnx_put_tensor(w, name, braid_graph_constant(w->graph, operand));
  w->written[k] = true;
  return name;
}
