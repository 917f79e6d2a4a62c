/* SPDX-License-Identifier: Apache-2.0
 * Sealed graph -> ONNX model: inputs, nodes, outputs, weights. */
#include "onnx_export.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static Onnx__TypeProto *put_type(struct onnx_writer *w, const struct braid_node *node) {
  Onnx__TypeProto *type = onnx_take(w, sizeof *type);
  Onnx__TypeProto__Tensor *tensor = onnx_take(w, sizeof *tensor);
  Onnx__TensorShapeProto *shape = onnx_take(w, sizeof *shape);
  Onnx__TensorShapeProto__Dimension **dims = onnx_take(w, BRAID_MAX_RANK * sizeof *dims);
  if (!type || !tensor || !shape || !dims) return NULL;
  onnx__type_proto__init(type);
  onnx__type_proto__tensor__init(tensor);
  onnx__tensor_shape_proto__init(shape);
  for (int i = 0; i < node->shape.rank; i++) {
    dims[i] = onnx_take(w, sizeof **dims);
    if (!dims[i]) return NULL;
    onnx__tensor_shape_proto__dimension__init(dims[i]);
    dims[i]->value_case = ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE;
    dims[i]->dim_value = node->shape.dim[i];
  }
  shape->dim = dims;
  shape->n_dim = (size_t)node->shape.rank;
  tensor->has_elem_type = 1;
  tensor->elem_type = onnx_data_type(node->dtype);
  tensor->shape = shape;
  type->value_case = ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE;
  type->tensor_type = tensor;
  return type;
}

/* Inputs or outputs with type and shape. */
static Onnx__ValueInfoProto **put_infos(struct onnx_writer *w, const int *id, int n) {
  Onnx__ValueInfoProto **infos = onnx_take(w, (size_t)(n + 1) * sizeof *infos);
  for (int i = 0; infos && i < n; i++) {
    const struct braid_node *node = braid_graph_node(w->graph, id[i]);
    infos[i] = onnx_take(w, sizeof **infos);
    if (!infos[i]) return NULL;
    onnx__value_info_proto__init(infos[i]);
    infos[i]->name = onnx_take_text(w, node->name);
    infos[i]->type = put_type(w, node);
  }
  return infos;
}

static Onnx__GraphProto *put_graph(struct onnx_writer *w) {
  int n_in, n_out;
  const int *in = braid_graph_inputs(w->graph, &n_in), *out = braid_graph_outputs(w->graph, &n_out);
  Onnx__GraphProto *graph = onnx_take(w, sizeof *graph);
  if (!graph) return NULL;
  onnx__graph_proto__init(graph);
  graph->name = onnx_take_text(w, braid_graph_name(w->graph));
  graph->input = put_infos(w, in, n_in);
  graph->n_input = (size_t)n_in;
  const bool *needed = onnx_export_needed(w);
  for (int id = 0; needed && id < braid_graph_size(w->graph); id++) {
    const struct braid_node *node = braid_graph_node(w->graph, id);
    if (node->op != BRAID_OP_INPUT && needed[id]) onnx_export_node(w, node);
  }
  graph->output = put_infos(w, out, n_out);
  graph->n_output = (size_t)n_out;
  graph->node = (Onnx__NodeProto **)w->nodes.item;
  graph->n_node = (size_t)w->nodes.n;
  graph->initializer = (Onnx__TensorProto **)w->initializers.item;
  graph->n_initializer = (size_t)w->initializers.n;
  return graph;
}

/* The oldest opset that has all the operators, not older than ONNX_SAVE_OPSET: the more runtimes can read it. */
static int opset_needed(const struct braid_graph *graph) {
  int opset = ONNX_SAVE_OPSET;
  for (int id = 0; id < braid_graph_size(graph); id++) {
    int own = onnx_opset_of(braid_graph_node(graph, id));
    if (own > opset) opset = own;
  }
  return opset;
}

/* The version of the file format that came with an opset. */
static int ir_version_of(int opset) {
  return opset >= 21 ? 10 : opset >= 19 ? 9 : opset >= 15 ? 8 : ONNX_SAVE_IR;
}

static Onnx__ModelProto *put_model(struct onnx_writer *w) {
  Onnx__ModelProto *model = onnx_take(w, sizeof *model);
  Onnx__OperatorSetIdProto *opset = onnx_take(w, sizeof *opset);
  Onnx__OperatorSetIdProto **opsets = onnx_take(w, sizeof(Onnx__OperatorSetIdProto *));
  if (!model || !opset || !opsets) return NULL;
  onnx__model_proto__init(model);
  onnx__operator_set_id_proto__init(opset);
  model->has_ir_version = opset->has_version = 1;
  model->ir_version = ir_version_of(w->opset);
  opset->domain = onnx_take_text(w, "");
  opset->version = w->opset;
  opsets[0] = opset;
  model->opset_import = opsets;
  model->n_opset_import = 1;
  model->producer_name = onnx_take_text(w, "braid");
  model->producer_version = onnx_take_text(w, BRAID_VERSION);
  model->graph = put_graph(w);
  return model;
}

/* ------------------------------------------------------------------------------------------ external data */

static size_t weight_bytes(const struct onnx_writer *w) {
  size_t total = 0;
  for (int i = 0; i < w->initializers.n; i++) total += ((Onnx__TensorProto *)w->initializers.item[i])->raw_data.len;
  return total;
}

static Onnx__StringStringEntryProto *put_entry(struct onnx_writer *w, const char *key, const char *value) {
  Onnx__StringStringEntryProto *entry = onnx_take(w, sizeof *entry);
  if (!entry) return NULL;
  onnx__string_string_entry_proto__init(entry);
  entry->key = onnx_take_text(w, key);
  entry->value = onnx_take_text(w, value);
  return entry;
}

/* What onnx_write_data will find: location, offset and length of this tensor. */
static void put_place(struct onnx_writer *w, Onnx__TensorProto *tensor, const char *location, uint64_t offset) {
  char number[32];
  Onnx__StringStringEntryProto **entries = onnx_take(w, 3 * sizeof *entries);
  if (!entries) return;
  entries[0] = put_entry(w, "location", location);
  snprintf(number, sizeof number, "%" PRIu64, offset);
  entries[1] = put_entry(w, "offset", number);
  snprintf(number, sizeof number, "%zu", tensor->raw_data.len);
  entries[2] = put_entry(w, "length", number);
  tensor->external_data = entries;
  tensor->n_external_data = 3;
  tensor->has_data_location = 1;
  tensor->data_location = ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL;
  tensor->has_raw_data = 0;
}

struct moved {
  Onnx__TensorProto **tensor;
  int n;
  char *path;
};

/* Shape constants and the like stay in the model, where other runtimes want them. */
static void move_weights_out(struct onnx_writer *w, const char *path, struct moved *moved) {
  enum { STAYS_BYTES = 1024 };
  size_t size = strlen(path) + 8;
  uint64_t end = 0;
  moved->path = onnx_take(w, size);
  moved->tensor = onnx_take(w, (size_t)(w->initializers.n + 1) * sizeof(Onnx__TensorProto *));
  if (!moved->path || !moved->tensor) return;
  snprintf(moved->path, size, "%s.data", path);
  const char *slash = strrchr(moved->path, '/'), *location = slash ? slash + 1 : moved->path;
  for (int i = 0; i < w->initializers.n; i++) {
    Onnx__TensorProto *tensor = w->initializers.item[i];
    if (tensor->raw_data.len < STAYS_BYTES) continue;
    put_place(w, tensor, location, onnx_next_offset(end));
    end = onnx_next_offset(end) + tensor->raw_data.len;
    moved->tensor[moved->n++] = tensor;
  }
}

/* ------------------------------------------------------------------------------------------------- saving */

static enum braid_status build_and_write(struct onnx_writer *w, const char *path, size_t external_bytes) {
  struct moved moved = {.n = 0};
  w->written = onnx_take(w, (size_t)(braid_graph_constants(w->graph) + 1) * sizeof *w->written);
  Onnx__ModelProto *model = w->written ? put_model(w) : NULL;
  if (model && weight_bytes(w) > external_bytes) move_weights_out(w, path, &moved);
  if (w->status != BRAID_OK) return w->status;
  return onnx_write(model, path, moved.tensor, moved.n, moved.path);
}

enum braid_status onnx_save(const struct braid_graph *graph, const char *path, size_t external_bytes) {
  struct onnx_writer w = {.graph = graph, .opset = opset_needed(graph)};
  enum braid_status status = graph->sealed ? build_and_write(&w, path, external_bytes)
                                           : braid_fail(BRAID_EINVAL, "graph '%s' is not sealed", graph->name);
  braid_free(w.nodes.item);
  braid_free(w.initializers.item);
  arena_release(&w.arena);
  return status == BRAID_OK ? BRAID_OK : braid_fail_in(status, "writing %s", path);
}

enum braid_status braid_onnx_save(const struct braid_graph *graph, const char *path) {
  return onnx_save(graph, path, ONNX_EXTERNAL_BYTES);
}
