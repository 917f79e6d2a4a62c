/* SPDX-License-Identifier: Apache-2.0
 * Building a graph and reading it. */
#include "graph.h"

#include "infer.h"

#include <stdio.h>
#include <string.h>

enum braid_status out_of_memory(const struct braid_graph *graph) {
  return braid_fail(BRAID_ENOMEM, "graph '%s': out of memory", graph->name ? graph->name : "");
}

enum braid_status braid_graph_create(const char *name, struct braid_graph **out) {
  struct braid_graph *graph = braid_calloc(1, sizeof *graph);
  if (!graph) return braid_fail(BRAID_ENOMEM, "graph '%s': out of memory", name);
  size_t bytes = strlen(name) + 1;
  char *copy = arena_alloc(&graph->arena, bytes);
  graph->hash = arena_alloc(&graph->arena, sizeof *graph->hash);
  if (!copy || !graph->hash) {
    braid_graph_destroy(&graph);
    return braid_fail(BRAID_ENOMEM, "graph '%s': out of memory", name);
  }
  memcpy(copy, name, bytes);
  graph->name = copy;
  *out = graph;
  return BRAID_OK;
}

void braid_graph_destroy(struct braid_graph **pgraph) {
  struct braid_graph *graph = *pgraph;
  if (!graph) return;
  for (int i = graph->n_adopted - 1; i >= 0; i--) graph->adopted[i].release(graph->adopted[i].memory);
  arena_release(&graph->arena);
  braid_free(graph->node);
  braid_free(graph->constant);
  braid_free(graph->adopted);
  braid_free(graph->input);
  braid_free(graph->output);
  braid_free(graph->names.slot);
  braid_free(graph);
  *pgraph = NULL;
}

/* -------------------------------------------------------------------------------------------- building */

static enum braid_status must_be_open(const struct braid_graph *graph) {
  if (!graph->sealed) return BRAID_OK;
  return braid_fail(BRAID_EINVAL, "graph '%s' is sealed and can no longer change", graph->name);
}

/* Room for one more node, so that what follows cannot fail. */
static enum braid_status reserve_node(struct braid_graph *graph) {
  void *grown = array_grown(graph->node, &graph->node_capacity, graph->n_nodes + 1, sizeof *graph->node);
  if (!grown) return out_of_memory(graph);
  graph->node = grown;
  return BRAID_OK;
}

static int append_node(struct braid_graph *graph, const struct braid_node *node) {
  int id = graph->n_nodes++;
  graph->node[id] = *node;
  graph_enter_name(graph, id);
  return id;
}

enum braid_status braid_graph_add_input(struct braid_graph *graph, const char *name, enum braid_dtype dtype,
                                        const struct braid_shape *shape, int *id) {
  BRAID_TRY(must_be_open(graph));
  struct braid_node node = {.op = BRAID_OP_INPUT, .dtype = dtype, .shape = *shape};
  enum braid_status status = tensor_check(dtype, shape);
  if (status != BRAID_OK) return braid_fail_in(status, "input '%s'", name ? name : "");
  BRAID_TRY(graph_take_name(graph, name, "input", &node.name));
  BRAID_TRY(reserve_node(graph));
  void *grown = array_grown(graph->input, &graph->input_capacity, graph->n_inputs + 1, sizeof *graph->input);
  if (!grown) return out_of_memory(graph);
  graph->input = grown;
  *id = append_node(graph, &node);
  graph->input[graph->n_inputs++] = *id;
  return BRAID_OK;
}

/* Kernels read the data as what it is, so it has to be aligned for that. */
static enum braid_status constant_check(const struct braid_tensor *tensor) {
  BRAID_TRY(tensor_check(tensor->dtype, &tensor->shape));
  if (!tensor->data) return braid_fail(BRAID_EINVAL, "has no data");
  if ((uintptr_t)tensor->data % braid_dtype_bytes(tensor->dtype) != 0)
    return braid_fail(BRAID_EINVAL, "has data that are not aligned for %s", braid_dtype_name(tensor->dtype));
  return BRAID_OK;
}

enum braid_status braid_graph_add_constant(struct braid_graph *graph, const char *name,
                                           const struct braid_tensor *tensor, int *operand) {
  BRAID_TRY(must_be_open(graph));
  enum braid_status status = constant_check(tensor);
  if (status != BRAID_OK) return braid_fail_in(status, "constant '%s'", name ? name : "");
  struct constant constant = {.tensor = *tensor};
  BRAID_TRY(graph_take_name(graph, name, "constant", &constant.name));
  void *grown =
      array_grown(graph->constant, &graph->constant_capacity, graph->n_constants + 1, sizeof *graph->constant);
  if (!grown) return out_of_memory(graph);
  graph->constant = grown;
  *operand = BRAID_CONST(graph->n_constants);
  graph->constant[graph->n_constants++] = constant;
  graph_enter_name(graph, *operand);
  return BRAID_OK;
}

enum braid_status braid_graph_adopt(struct braid_graph *graph, void *memory, void (*release)(void *)) {
  void *grown = array_grown(graph->adopted, &graph->adopted_capacity, graph->n_adopted + 1, sizeof *graph->adopted);
  if (!grown) {
    release(memory);
    return out_of_memory(graph);
  }
  graph->adopted = grown;
  graph->adopted[graph->n_adopted++] = (struct adopted){memory, release};
  return BRAID_OK;
}

static enum braid_status collect_operands(const struct braid_graph *graph, const int *in, int n_in,
                                          struct op_call *call) {
  if (n_in < 0 || n_in > MAX_OPERANDS)
    return braid_fail(BRAID_EUNSUPPORTED, "has %d operands; at most %d can be handled", n_in, MAX_OPERANDS);
  call->n_in = n_in;
  for (int k = 0; k < n_in; k++) {
    if (in[k] == BRAID_NONE) continue;
    bool known = braid_is_node(in[k]) ? in[k] < graph->n_nodes : braid_const_index(in[k]) < graph->n_constants;
    if (!known) return braid_fail(BRAID_EINVAL, "operand %d (code %d) does not exist", k, in[k]);
    call->present[k] = true;
    call->in[k] = graph_operand(graph, in[k]);
  }
  return BRAID_OK;
}

/* "Conv of 1x3x8x8, 4x3x3x3" for messages. */
static void describe(const struct op_call *call, char *buf, size_t size) {
  size_t at = (size_t)snprintf(buf, size, "%s", braid_op_name(call->op));
  for (int k = 0; k < call->n_in && k < 8 && at < size; k++) {
    char shape[96];
    const char *text = call->present[k] ? braid_shape_text(&call->in[k].shape, shape, sizeof shape) : "nothing";
    at += (size_t)snprintf(buf + at, size - at, "%s%s", k ? ", " : " of ", text);
  }
  if (call->n_in > 8 && at < size) snprintf(buf + at, size - at, ", ...");
}

/* Kernels divide by dims. Nobody needs to compute nothing: the importer takes what is empty for the constant it is. */
static enum braid_status must_not_be_empty(const struct op_call *call) {
  bool empty = braid_shape_elements(&call->shape) == 0;
  for (int k = 0; k < call->n_in; k++)
    empty = empty || (call->present[k] && braid_shape_elements(&call->in[k].shape) == 0);
  if (!empty || call->op == BRAID_OP_RESHAPE) return BRAID_OK;
  return braid_fail(BRAID_ESHAPE, "computes with tensors that are empty");
}

static enum braid_status infer_node(const struct braid_graph *graph, const int *in, int n_in, const char *name,
                                    struct op_call *call) {
  enum braid_status status = collect_operands(graph, in, n_in, call);
  if (status == BRAID_OK) status = op_infer(call);
  if (status == BRAID_OK) status = must_not_be_empty(call);
  if (status == BRAID_OK) return BRAID_OK;
  char text[1024];
  describe(call, text, sizeof text);
  return braid_fail_in(status, "node '%s' (%s)", name ? name : "", text);
}

static const int *copied_operands(struct braid_graph *graph, const int *in, int n_in) {
  int *copy = arena_alloc(&graph->arena, (size_t)n_in * sizeof *copy);
  if (copy && n_in > 0) memcpy(copy, in, (size_t)n_in * sizeof *copy);
  return copy;
}

enum braid_status braid_graph_add(struct braid_graph *graph, enum braid_op op, const union braid_attrs *attrs,
                                  const int *in, int n_in, const struct braid_shape *shape_hint, const char *name,
                                  int *id) {
  static const union braid_attrs no_attrs;
  BRAID_TRY(must_be_open(graph));
  while (n_in > 0 && in[n_in - 1] == BRAID_NONE) n_in--; /* absent at the end is as good as not given */
  struct op_call call = {.op = op, .attrs = attrs ? attrs : &no_attrs, .hint = shape_hint};
  BRAID_TRY(infer_node(graph, in, n_in, name, &call));
  struct braid_node node = {
      .op = op, .attrs = *call.attrs, .n_in = n_in, .dtype = call.dtype, .shape = call.shape};
  BRAID_TRY(graph_take_name(graph, name, braid_op_name(op), &node.name));
  BRAID_TRY(reserve_node(graph));
  node.in = copied_operands(graph, in, n_in);
  if (!node.in) return out_of_memory(graph);
  *id = append_node(graph, &node);
  return BRAID_OK;
}

enum braid_status braid_graph_add_output(struct braid_graph *graph, int id) {
  BRAID_TRY(must_be_open(graph));
  if (id < 0 || id >= graph->n_nodes)
    return braid_fail(BRAID_EINVAL, "graph '%s': node %d does not exist and cannot be an output", graph->name, id);
  if (graph->node[id].is_output)
    return braid_fail(BRAID_EINVAL, "graph '%s': '%s' is an output already", graph->name, graph->node[id].name);
  void *grown = array_grown(graph->output, &graph->output_capacity, graph->n_outputs + 1, sizeof *graph->output);
  if (!grown) return out_of_memory(graph);
  graph->output = grown;
  graph->output[graph->n_outputs++] = id;
  graph->node[id].is_output = true;
  return BRAID_OK;
}

enum braid_status graph_set_operands(struct braid_graph *graph, int id, const int *in, int n_in) {
  const int *copy = copied_operands(graph, in, n_in);
  if (!copy) return out_of_memory(graph);
  graph->node[id].in = copy;
  graph->node[id].n_in = n_in;
  return BRAID_OK;
}

/* --------------------------------------------------------------------------------------------- reading */

struct braid_tensor graph_operand(const struct braid_graph *graph, int operand) {
  if (braid_is_const(operand)) return graph->constant[braid_const_index(operand)].tensor;
  const struct braid_node *node = &graph->node[operand];
  return (struct braid_tensor){NULL, node->dtype, node->shape};
}

const char *braid_graph_name(const struct braid_graph *graph) { return graph->name; }

int braid_graph_size(const struct braid_graph *graph) { return graph->n_nodes; }

const struct braid_node *braid_graph_node(const struct braid_graph *graph, int id) { return &graph->node[id]; }

const struct braid_tensor *braid_graph_constant(const struct braid_graph *graph, int operand) {
  return &graph->constant[braid_const_index(operand)].tensor;
}

const char *braid_graph_constant_name(const struct braid_graph *graph, int operand) {
  return graph->constant[braid_const_index(operand)].name;
}

int braid_graph_constants(const struct braid_graph *graph) { return graph->n_constants; }

const int *braid_graph_inputs(const struct braid_graph *graph, int *n) {
  *n = graph->n_inputs;
  return graph->input;
}

const int *braid_graph_outputs(const struct braid_graph *graph, int *n) {
  *n = graph->n_outputs;
  return graph->output;
}

int braid_graph_find(const struct braid_graph *graph, const char *name) {
  int code = graph_lookup(graph, name);
  return braid_is_node(code) ? code : -1;
}

const int *braid_graph_joints(const struct braid_graph *graph, int *n) {
  *n = graph->n_joints;
  return graph->joint;
}

const struct braid_block *braid_graph_blocks(const struct braid_graph *graph, int *n) {
  *n = graph->n_blocks;
  return graph->block;
}

int braid_graph_branch_of(const struct braid_graph *graph, int id) { return graph->branch_of[id]; }
