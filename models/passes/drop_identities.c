/* SPDX-License-Identifier: Apache-2.0
 * Nodes whose output is their operand go away: their readers read the operand. One that is an output has a name to
 * keep, so it becomes its operand if nobody else needs that, and stays a copy otherwise. */
#include "passes/passes.h"
#include "passes/uses.h"

static bool all_zero(const int *value, int n) {
  for (int i = 0; i < n; i++)
    if (value[i] != 0) return false;
  return true;
}

static bool all_one(const int *value, int n) {
  for (int i = 0; i < n; i++)
    if (value[i] != 1) return false;
  return true;
}

static bool keeps_order(const int *perm, int n) {
  for (int i = 0; i < n; i++)
    if (perm[i] != i) return false;
  return true;
}

static bool is_identity(const struct braid_graph *graph, const struct braid_node *node) {
  if (node->n_in != 1 || node->act.op != BRAID_ACT_NONE) return false;
  struct braid_tensor x = graph_operand(graph, node->in[0]);
  int rank = x.shape.rank;
  if (x.dtype != node->dtype || !braid_shape_equal(&x.shape, &node->shape)) return false;
  switch (node->op) {
  case BRAID_OP_RESHAPE:
  case BRAID_OP_EXPAND:
  case BRAID_OP_CAST:
  case BRAID_OP_CONCAT:
  case BRAID_OP_SUM:
  case BRAID_OP_MAX:
  case BRAID_OP_MIN:
  case BRAID_OP_MEAN: return true;
  case BRAID_OP_TRANSPOSE: return keeps_order(node->attrs.transpose.perm, rank);
  case BRAID_OP_SLICE: return all_one(node->attrs.slice.step, rank);
  case BRAID_OP_PAD: return all_zero(node->attrs.pad.before, rank) && all_zero(node->attrs.pad.after, rank);
  default: return false;
  }
}

/* Operands that were identities are followed to what they stood for. Operands come first, so one step is enough. */
static enum braid_status follow(struct braid_graph *graph, int id, const int *stands_for) {
  const struct braid_node *node = &graph->node[id];
  int in[MAX_OPERANDS];
  bool changed = false;
  for (int k = 0; k < node->n_in; k++) {
    in[k] = braid_is_node(node->in[k]) ? stands_for[node->in[k]] : node->in[k];
    changed = changed || in[k] != node->in[k];
  }
  return changed ? graph_set_operands(graph, id, in, node->n_in) : BRAID_OK;
}

static enum braid_status redirect(struct braid_graph *graph, int *stands_for) {
  for (int id = 0; id < graph->n_nodes; id++) {
    BRAID_TRY(follow(graph, id, stands_for));
    const struct braid_node *node = &graph->node[id];
    stands_for[id] = is_identity(graph, node) && !node->is_output ? node->in[0] : id;
  }
  return BRAID_OK;
}

static enum braid_status become_operand(struct uses *uses, int id) {
  const struct braid_node *node = &uses->graph->node[id];
  if (!is_identity(uses->graph, node) || !braid_is_node(node->in[0])) return BRAID_OK;
  int producer = node->in[0];
  if (sole_reader(uses, producer) != id) return BRAID_OK;
  const struct braid_node *from = &uses->graph->node[producer];
  return swallow(uses, producer, id, from->in, from->n_in);
}

enum braid_status pass_drop_identities(struct braid_graph *graph) {
  int *stands_for = braid_malloc((size_t)graph->n_nodes * sizeof *stands_for);
  if (!stands_for) return out_of_memory(graph);
  enum braid_status status = redirect(graph, stands_for);
  braid_free(stands_for);
  BRAID_TRY(status);
  return for_each_live(graph, become_operand);
}
