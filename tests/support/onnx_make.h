/* SPDX-License-Identifier: Apache-2.0
 *
 * Makes ONNX files in memory, right and wrong ones: the exporter's pieces put together by hand. Link braid_models, with
 * models, models/onnx and the generated folder on the include path.
 */
#ifndef TESTS_SUPPORT_ONNX_MAKE_H
#define TESTS_SUPPORT_ONNX_MAKE_H

#include "onnx/onnx_writer.h"

#include <stdlib.h>
#include <string.h>

struct maker {
  struct onnx_writer w; /* onnx_put... with &m->w */
  struct braid_graph *names;
  Onnx__ModelProto *model;
  Onnx__GraphProto *graph;
};

static inline void *maker_array(struct maker *m, void *old, size_t n, size_t item) {
  char *array = onnx_take(&m->w, (n + 1) * item);
  if (n > 0) memcpy(array, old, n * item);
  return array;
}

static inline struct maker *maker_new(int opset) {
  struct maker *m = calloc(1, sizeof *m);
  if (!m || braid_graph_create("made", &m->names) != BRAID_OK) abort();
  m->w.graph = m->names;
  m->model = onnx_take(&m->w, sizeof *m->model);
  m->graph = onnx_take(&m->w, sizeof *m->graph);
  onnx__model_proto__init(m->model);
  onnx__graph_proto__init(m->graph);
  m->model->graph = m->graph;
  Onnx__OperatorSetIdProto *set = onnx_take(&m->w, sizeof *set);
  onnx__operator_set_id_proto__init(set);
  set->has_version = 1;
  set->version = opset;
  m->model->opset_import = onnx_take(&m->w, sizeof(void *));
  m->model->opset_import[0] = set;
  m->model->n_opset_import = opset > 0;
  return m;
}

static inline void maker_free(struct maker *m) {
  braid_free(m->w.nodes.item);
  braid_free(m->w.initializers.item);
  arena_release(&m->w.arena);
  braid_graph_destroy(&m->names);
  free(m);
}

/* A tensor of that name; dims of 0 are symbolic ("N"). */
static inline Onnx__ValueInfoProto *maker_info(struct maker *m, const char *name, enum braid_dtype dtype, int rank,
                                               const int64_t *dim) {
  Onnx__ValueInfoProto *info = onnx_take(&m->w, sizeof *info);
  onnx__value_info_proto__init(info);
  info->name = name ? onnx_take_text(&m->w, name) : NULL;
  info->type = onnx_take(&m->w, sizeof *info->type);
  onnx__type_proto__init(info->type);
  info->type->value_case = ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE;
  Onnx__TypeProto__Tensor *type = info->type->tensor_type = onnx_take(&m->w, sizeof *type);
  onnx__type_proto__tensor__init(type);
  type->has_elem_type = 1;
  type->elem_type = onnx_data_type(dtype);
  type->shape = onnx_take(&m->w, sizeof *type->shape);
  onnx__tensor_shape_proto__init(type->shape);
  type->shape->dim = onnx_take(&m->w, 64 * sizeof(void *));
  type->shape->n_dim = (size_t)rank;
  for (int i = 0; i < rank; i++) {
    Onnx__TensorShapeProto__Dimension *d = type->shape->dim[i] = onnx_take(&m->w, sizeof *d);
    onnx__tensor_shape_proto__dimension__init(d);
    d->value_case = dim[i] ? ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE
                           : ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_PARAM;
    if (dim[i]) d->dim_value = dim[i];
    if (!dim[i]) d->dim_param = onnx_take_text(&m->w, "N");
  }
  return info;
}

static inline void maker_input(struct maker *m, const char *name, int rank, const int64_t *dim) {
  Onnx__GraphProto *g = m->graph;
  g->input = maker_array(m, g->input, g->n_input, sizeof(void *));
  g->input[g->n_input++] = maker_info(m, name, BRAID_F32, rank, dim);
}

static inline void maker_output(struct maker *m, const char *name) {
  Onnx__GraphProto *g = m->graph;
  g->output = maker_array(m, g->output, g->n_output, sizeof(void *));
  g->output[g->n_output++] = maker_info(m, name, BRAID_F32, 0, NULL);
}

/* An initializer with that raw data (or none yet when NULL). */
static inline Onnx__TensorProto *maker_weights(struct maker *m, const char *name, enum braid_dtype dtype, int rank,
                                               const int64_t *dim, const void *data, size_t bytes) {
  Onnx__TensorProto *tensor = onnx_take(&m->w, sizeof *tensor);
  onnx__tensor_proto__init(tensor);
  tensor->name = name ? onnx_take_text(&m->w, name) : NULL;
  tensor->n_dims = (size_t)rank;
  tensor->dims = onnx_take(&m->w, (size_t)(rank + 1) * sizeof *tensor->dims);
  if (rank > 0) memcpy(tensor->dims, dim, (size_t)rank * sizeof *dim);
  tensor->has_data_type = 1;
  tensor->data_type = onnx_data_type(dtype);
  tensor->has_raw_data = data != NULL;
  if (data) {
    tensor->raw_data = (ProtobufCBinaryData){bytes, onnx_take(&m->w, bytes + 1)};
    memcpy(tensor->raw_data.data, data, bytes);
  }
  m->graph->initializer = maker_array(m, m->graph->initializer, m->graph->n_initializer, sizeof(void *));
  m->graph->initializer[m->graph->n_initializer++] = tensor;
  return tensor;
}

static inline Onnx__TensorProto *maker_i64s(struct maker *m, const char *name, int n, const int64_t *values) {
  return maker_weights(m, name, BRAID_I64, 1, &(int64_t){n}, values, (size_t)n * sizeof *values);
}

/* A node; "a,b,,c" names its operands. */
static inline Onnx__NodeProto *maker_node(struct maker *m, const char *op, const char *in, const char *out) {
  const char *name[1200];
  int n = 0;
  char *text = onnx_take_text(&m->w, in);
  while (*in && n < 1200) {
    name[n++] = text;
    char *comma = strchr(text, ',');
    if (!comma) break;
    *comma = '\0';
    text = comma + 1;
  }
  return onnx_put(&m->w, op, name, n, out);
}

static inline void maker_second_output(struct maker *m, Onnx__NodeProto *node, const char *name) {
  node->output = maker_array(m, node->output, node->n_output, sizeof(void *));
  node->output[node->n_output++] = onnx_take_text(&m->w, name);
}

/* The file; malloc'ed. */
static inline uint8_t *maker_bytes(struct maker *m, size_t *size) {
  m->graph->node = (Onnx__NodeProto **)m->w.nodes.item;
  m->graph->n_node = (size_t)m->w.nodes.n;
  *size = onnx__model_proto__get_packed_size(m->model);
  uint8_t *bytes = malloc(*size + 1);
  if (!bytes || m->w.status != BRAID_OK) abort();
  onnx__model_proto__pack(m->model, bytes);
  return bytes;
}

/* Reads what was made, and frees it. */
static inline enum braid_status maker_parse(struct maker *m, const struct braid_onnx_opts *opts,
                                            struct braid_graph **out) {
  size_t size;
  uint8_t *bytes = maker_bytes(m, &size);
  enum braid_status status = braid_onnx_parse(bytes, size, "made.onnx", opts, out);
  free(bytes);
  maker_free(m);
  return status;
}

#endif
