/* SPDX-License-Identifier: Apache-2.0
 * The values of one import by name, and how converters make new ones. */
#include "onnx_internal.h"

#include <stdio.h>
#include <string.h>

/* ------------------------------------------------------------------------------------------------ by name */

static struct onnx_value **slot_of(struct onnx_value **table, size_t size, const char *name) {
  size_t at = (size_t)braid_fnv1a(name) & (size - 1);
  while (table[at] && strcmp(table[at]->name, name) != 0) at = (at + 1) & (size - 1);
  return &table[at];
}

struct onnx_value *onnx_find(const struct onnx_import *im, const char *name) {
  return im->table_size ? *slot_of(im->table, im->table_size, name) : NULL;
}

static enum braid_status grow(struct onnx_import *im) {
  size_t size = im->table_size ? im->table_size * 2 : 256;
  struct onnx_value **table = braid_calloc(size, sizeof(struct onnx_value *));
  if (!table) return braid_fail(BRAID_ENOMEM, "out of memory");
  for (size_t i = 0; i < im->table_size; i++) {
    if (im->table[i]) *slot_of(table, size, im->table[i]->name) = im->table[i];
  }
  braid_free(im->table);
  im->table = table;
  im->table_size = size;
  return BRAID_OK;
}

enum braid_status onnx_value_new(struct onnx_import *im, struct onnx_value **out) {
  struct onnx_value *value = braid_calloc(1, sizeof *value);
  if (!value) return braid_fail(BRAID_ENOMEM, "out of memory");
  value->operand = BRAID_NONE;
  value->next = im->values;
  im->values = value;
  *out = value;
  return BRAID_OK;
}

enum braid_status onnx_value_name(struct onnx_import *im, const char *name, struct onnx_value *value) {
  if (im->n_named * 2 >= im->table_size) BRAID_TRY(grow(im));
  struct onnx_value **slot = slot_of(im->table, im->table_size, name);
  if (*slot) return braid_fail(BRAID_EFORMAT, "value '%s' is defined twice", name);
  value->name = name;
  *slot = value;
  im->n_named++;
  return BRAID_OK;
}

enum braid_status onnx_value_const(struct onnx_import *im, const struct braid_tensor *tensor, struct onnx_value **out) {
  BRAID_TRY(onnx_value_new(im, out));
  (*out)->tensor = *tensor;
  (*out)->constant = true;
  return BRAID_OK;
}

/* Names for values that have none in the file. No other exporter writes '#', and number_names has seen those of ours. */
static const char *name_for(struct onnx_import *im, const char *of, char *buf, size_t size) {
  snprintf(buf, size, "%.200s#%d", of, im->n_made++);
  return buf;
}

enum braid_status onnx_operand(struct onnx_import *im, struct onnx_value *value, int *operand) {
  if (value->constant && value->operand == BRAID_NONE) {
    char made[256];
    const char *name = value->name ? value->name : name_for(im, "", made, sizeof made);
    BRAID_TRY(braid_graph_add_constant(im->graph, name, &value->tensor, &value->operand));
  }
  *operand = value->operand;
  return BRAID_OK;
}

void onnx_values_free(struct onnx_import *im) {
  while (im->values) {
    struct onnx_value *value = im->values;
    im->values = value->next;
    braid_free(value);
  }
  braid_free(im->table);
  im->table = NULL;
}

/* ------------------------------------------------------------------------------------ operands of a node */

int onnx_in_count(const struct onnx_node *node) {
  size_t n = node->proto->n_input;
  while (n > 0 && !*node->proto->input[n - 1]) n--;
  return (int)n;
}

struct onnx_value *onnx_in(const struct onnx_node *node, int k) {
  if (k < 0 || (size_t)k >= node->proto->n_input || !*node->proto->input[k]) return NULL;
  return onnx_find(node->im, node->proto->input[k]);
}

const char *onnx_out_name(const struct onnx_node *node, int k) {
  return (size_t)k < node->proto->n_output && *node->proto->output[k] ? node->proto->output[k] : NULL;
}

/* ------------------------------------------------------------------------------------------------ emitting */

/* Are the operands known now? So is, without them, whatever has no elements. */
static bool is_known(struct onnx_value *const *in, int n_in, const struct braid_shape *hint) {
  bool constant = n_in > 0, empty = hint && braid_shape_elements(hint) == 0;
  for (int i = 0; i < n_in; i++) {
    if (!in[i]) continue;
    constant = constant && in[i]->constant;
    empty = empty || braid_shape_elements(&in[i]->tensor.shape) == 0;
  }
  return constant || empty;
}

static enum braid_status add_node(struct onnx_import *im, enum braid_op op, const union braid_attrs *attrs,
                                  struct onnx_value *const *in, int n_in, const struct braid_shape *hint,
                                  const char *name, struct onnx_value **out) {
  int code[ONNX_OPERANDS_MAX], id;
  for (int i = 0; i < n_in; i++) {
    code[i] = BRAID_NONE;
    if (in[i]) BRAID_TRY(onnx_operand(im, in[i], &code[i]));
  }
  BRAID_TRY(braid_graph_add(im->graph, op, attrs, code, n_in, hint, name, &id));
  BRAID_TRY(onnx_value_new(im, out));
  const struct braid_node *made = braid_graph_node(im->graph, id);
  (*out)->operand = id;
  (*out)->tensor = (struct braid_tensor){.dtype = made->dtype, .shape = made->shape};
  return BRAID_OK;
}

enum braid_status onnx_emit(struct onnx_node *node, enum braid_op op, const union braid_attrs *attrs,
                            struct onnx_value *const *in, int n_in, const struct braid_shape *hint, const char *name,
                            struct onnx_value **out) {
  if (n_in > ONNX_OPERANDS_MAX) {
    return braid_fail(BRAID_EUNSUPPORTED, "%d operands, at most %d are supported", n_in, ONNX_OPERANDS_MAX);
  }
  if (is_known(in, n_in, hint)) return onnx_fold(node, op, attrs, in, n_in, hint, out);
  char made[256];
  if (!name) name = name_for(node->im, node->proto->n_output ? node->proto->output[0] : "", made, sizeof made);
  return add_node(node->im, op, attrs, in, n_in, hint, name, out);
}

enum braid_status onnx_emit_out(struct onnx_node *node, int k, enum braid_op op, const union braid_attrs *attrs,
                                struct onnx_value *const *in, int n_in, const struct braid_shape *hint) {
  struct onnx_value *value;
  const char *name = onnx_out_name(node, k);
  if (!name) return BRAID_OK;
  BRAID_TRY(onnx_emit(node, op, attrs, in, n_in, hint, name, &value));
  return onnx_value_name(node->im, name, value);
}

enum braid_status onnx_reshape(struct onnx_node *node, struct onnx_value *in, const struct braid_shape *shape,
                               struct onnx_value **out) {
  return onnx_emit(node, BRAID_OP_RESHAPE, NULL, &in, 1, shape, NULL, out);
}

enum braid_status onnx_reshape_out(struct onnx_node *node, int k, struct onnx_value *in,
                                   const struct braid_shape *shape) {
  return onnx_emit_out(node, k, BRAID_OP_RESHAPE, NULL, &in, 1, shape);
}

enum braid_status onnx_const_new(struct onnx_node *node, enum braid_dtype dtype, const struct braid_shape *shape,
                                 struct onnx_value **out) {
  struct braid_tensor tensor = {.dtype = dtype, .shape = *shape};
  size_t bytes;
  BRAID_TRY(braid_shape_bytes(shape, dtype, &bytes));
  BRAID_TRY(onnx_source_alloc(node->im->source, bytes, &tensor.data));
  return onnx_value_const(node->im, &tensor, out);
}

enum braid_status onnx_const_out(struct onnx_node *node, int k, const struct braid_tensor *tensor) {
  struct onnx_value *value = NULL;
  const char *name = onnx_out_name(node, k);
  if (!name) return BRAID_OK;
  BRAID_TRY(onnx_value_const(node->im, tensor, &value));
  return onnx_value_name(node->im, name, value);
}
