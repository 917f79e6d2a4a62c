/* SPDX-License-Identifier: Apache-2.0
 * Every invariant of a sealed graph, checked anew from what does not depend on the code that established it. */
#include "bands.h"
#include "infer.h"

#include <string.h>

static enum braid_status broken(const struct braid_graph *graph, int id, const char *what) {
  const char *name = id >= 0 && id < graph->n_nodes ? graph->node[id].name : "";
  return braid_fail(BRAID_EINVAL, "graph '%s': node %d '%s' %s", graph->name, id, name, what);
}

/* -------------------------------------------------------------------------------------------- one node */

static enum braid_status check_operands(const struct braid_graph *graph, int id, struct op_call *call) {
  const struct braid_node *node = &graph->node[id];
  if (node->n_in > MAX_OPERANDS) return broken(graph, id, "has too many operands");
  call->n_in = node->n_in;
  for (int k = 0; k < node->n_in; k++) {
    int code = node->in[k];
    if (code == BRAID_NONE) continue;
    if (braid_is_node(code) ? code >= id : braid_const_index(code) >= graph->n_constants)
      return broken(graph, id, "reads what does not stand before it");
    call->present[k] = true;
    call->in[k] = graph_operand(graph, code);
  }
  return BRAID_OK;
}

/* The operator still accepts its operands, and makes of them what the node says. */
static enum braid_status check_rule(const struct braid_graph *graph, int id) {
  const struct braid_node *node = &graph->node[id];
  struct op_call call = {.op = node->op, .attrs = &node->attrs, .hint = &node->shape};
  BRAID_TRY(check_operands(graph, id, &call));
  if (node->op == BRAID_OP_INPUT) return tensor_check(node->dtype, &node->shape);
  enum braid_status status = op_infer(&call);
  if (status != BRAID_OK) return braid_fail_in(status, "graph '%s': node '%s'", graph->name, node->name);
  if (call.dtype != node->dtype || !braid_shape_equal(&call.shape, &node->shape))
    return broken(graph, id, "has not the type its operator gives");
  return BRAID_OK;
}

static enum braid_status check_derived(const struct braid_graph *graph, int id) {
  const struct braid_node *node = &graph->node[id];
  size_t bytes;
  BRAID_TRY(braid_shape_bytes(&node->shape, node->dtype, &bytes));
  if (bytes != node->bytes || node->rows != braid_slice_rows(&node->shape) || node->macs < 0)
    return broken(graph, id, "has wrong derived fields");
  if (node->slices_max != 1 && node->slices_max != node->rows) return broken(graph, id, "has a wrong slices_max");
  if (braid_graph_find(graph, node->name) != id) return broken(graph, id, "is not found by its name");
  if (node->n_readers == 0 && !node->is_output && node->op != BRAID_OP_INPUT)
    return broken(graph, id, "is dead");
  return BRAID_OK;
}

/* --------------------------------------------------------------------------------------------- edges */

static bool reads(const struct braid_node *node, int id) {
  for (int k = 0; k < node->n_in; k++)
    if (node->in[k] == id) return true;
  return false;
}

/* Every reader listed reads, ascending and once; and the numbers of both sides agree, so none is missing. */
static enum braid_status check_readers(const struct braid_graph *graph) {
  int64_t listed = 0, edges = 0;
  for (int id = 0; id < graph->n_nodes; id++) {
    const struct braid_node *node = &graph->node[id];
    for (int r = 0; r < node->n_readers; r++) {
      if (node->reader[r] >= graph->n_nodes || (r > 0 && node->reader[r] <= node->reader[r - 1]) ||
          !reads(&graph->node[node->reader[r]], id))
        return broken(graph, id, "has a wrong list of readers");
      listed++;
    }
    for (int k = 0; k < node->n_in; k++) {
      bool again = false;
      for (int i = 0; i < k; i++) again = again || node->in[i] == node->in[k];
      edges += braid_is_node(node->in[k]) && !again;
    }
  }
  return listed == edges ? BRAID_OK : broken(graph, 0, "and others have readers that are not listed");
}

static enum braid_status check_bands(const struct braid_graph *graph, int id) {
  const struct braid_node *node = &graph->node[id];
  for (int k = 0; k < node->n_in; k++) {
    if (!braid_is_node(node->in[k])) continue;
    int rows = graph->node[node->in[k]].rows;
    struct braid_band all = braid_graph_needs(graph, id, k, (struct braid_band){0, node->rows});
    struct braid_band first = braid_graph_needs(graph, id, k, (struct braid_band){0, 1});
    if (all.begin < 0 || all.begin > all.end || all.end > rows)
      return broken(graph, id, "needs rows that do not exist");
    if (first.begin < first.end && (first.begin < all.begin || first.end > all.end))
      return broken(graph, id, "needs less for more");
  }
  return BRAID_OK;
}

/* -------------------------------------------------------------------------------- inputs and outputs */

static enum braid_status check_ends(const struct braid_graph *graph) {
  int n_inputs = 0, n_outputs = 0;
  for (int id = 0; id < graph->n_nodes; id++) {
    n_inputs += graph->node[id].op == BRAID_OP_INPUT;
    n_outputs += graph->node[id].is_output;
  }
  if (n_inputs != graph->n_inputs || n_outputs != graph->n_outputs || n_outputs == 0)
    return broken(graph, 0, "and others do not match the lists of inputs and outputs");
  for (int i = 0; i < n_inputs; i++)
    if (graph->node[graph->input[i]].op != BRAID_OP_INPUT) return broken(graph, graph->input[i], "is no input");
  for (int i = 0; i < n_outputs; i++)
    if (!graph->node[graph->output[i]].is_output) return broken(graph, graph->output[i], "is no output");
  return BRAID_OK;
}

/* ------------------------------------------------------------------------------------------- branches */

struct branch_check {
  const struct braid_graph *graph;
  int n_branches; /* numbered so far */
  int *seen;      /* number of the innermost branch that listed each node; 0: none */
};

static enum braid_status check_block(struct branch_check *c, const struct braid_block *block);

static enum braid_status check_branch(struct branch_check *c, const struct braid_block *block,
                                      const struct braid_branch *branch) {
  int number = ++c->n_branches;
  for (int i = 0; i < branch->n_nodes; i++) {
    int id = branch->node[i];
    if (i > 0 && id <= branch->node[i - 1]) return broken(c->graph, id, "is listed out of order in its branch");
    if (id <= block->entry || (block->exit >= 0 && id >= block->exit))
      return broken(c->graph, id, "is in a branch but not between its joints");
    c->seen[id] = number;
  }
  for (int b = 0; b < branch->n_blocks; b++) BRAID_TRY(check_block(c, &branch->block[b]));
  return BRAID_OK;
}

static enum braid_status check_block(struct branch_check *c, const struct braid_block *block) {
  if (block->n_branches < 2) return broken(c->graph, block->entry, "begins a block with a single branch");
  for (int b = 0; b < block->n_branches; b++) BRAID_TRY(check_branch(c, block, &block->branch[b]));
  return BRAID_OK;
}

static enum braid_status check_branches(const struct braid_graph *graph) {
  struct branch_check c = {graph, 0, braid_calloc((size_t)graph->n_nodes, sizeof(int))};
  if (!c.seen) return out_of_memory(graph);
  enum braid_status status = BRAID_OK;
  for (int b = 0; status == BRAID_OK && b < graph->n_blocks; b++) status = check_block(&c, &graph->block[b]);
  for (int id = 0; status == BRAID_OK && id < graph->n_nodes; id++)
    if (c.seen[id] != braid_graph_branch_of(graph, id)) status = broken(graph, id, "has a wrong branch number");
  for (int j = 0; status == BRAID_OK && j < graph->n_joints; j++)
    if (graph->joint[j] >= 0 && c.seen[graph->joint[j]] != 0)
      status = broken(graph, graph->joint[j], "is a joint inside a branch");
  braid_free(c.seen);
  return status;
}

enum braid_status braid_graph_check(const struct braid_graph *graph) {
  if (!graph->sealed) return braid_fail(BRAID_EINVAL, "graph '%s' is not sealed", graph->name);
  for (int id = 0; id < graph->n_nodes; id++) {
    BRAID_TRY(check_rule(graph, id));
    BRAID_TRY(check_derived(graph, id));
  }
  BRAID_TRY(check_ends(graph));
  BRAID_TRY(check_readers(graph));
  for (int id = 0; id < graph->n_nodes; id++) BRAID_TRY(check_bands(graph, id));
  return check_branches(graph);
}
