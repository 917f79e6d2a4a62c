/* SPDX-License-Identifier: Apache-2.0
 * An activation is applied by the node that makes its operand, while the values are still in registers. */
#include "infer.h"
#include "passes/passes.h"
#include "passes/uses.h"

static bool is_activation(enum braid_op op) {
  switch (op) {
  case BRAID_OP_RELU:
  case BRAID_OP_LEAKY_RELU:
  case BRAID_OP_CLIP:
  case BRAID_OP_SIGMOID:
  case BRAID_OP_HARD_SIGMOID:
  case BRAID_OP_HARD_SWISH:
  case BRAID_OP_TANH:
  case BRAID_OP_ELU: return true;
  default: return false;
  }
}

/* Operators whose kernels apply a fused activation. */
static bool can_activate(enum braid_op op) {
  switch (op) {
  case BRAID_OP_CONV:
  case BRAID_OP_CONV_TRANSPOSE:
  case BRAID_OP_GEMM:
  case BRAID_OP_MATMUL:
  case BRAID_OP_MAX_POOL:
  case BRAID_OP_AVERAGE_POOL:
  case BRAID_OP_GLOBAL_MAX_POOL:
  case BRAID_OP_GLOBAL_AVERAGE_POOL:
  case BRAID_OP_BATCH_NORMALIZATION:
  case BRAID_OP_ADD:
  case BRAID_OP_SUB:
  case BRAID_OP_MUL:
  case BRAID_OP_DIV:
  case BRAID_OP_SUM:
  case BRAID_OP_MAX:
  case BRAID_OP_MIN:
  case BRAID_OP_MEAN: return true;
  default: return false;
  }
}

static enum braid_status fuse(struct uses *uses, int id) {
  struct braid_graph *graph = uses->graph;
  struct braid_node *node = &graph->node[id];
  if (!is_activation(node->op) || node->dtype != BRAID_F32 || !braid_is_node(node->in[0])) return BRAID_OK;
  int producer = node->in[0];
  const struct braid_node *from = &graph->node[producer];
  if (!can_activate(from->op) || from->act.op != BRAID_ACT_NONE || sole_reader(uses, producer) != id) return BRAID_OK;
  struct braid_act act = {node->op, unary_attrs_of(node->op, &node->attrs)};
  BRAID_TRY(swallow(uses, producer, id, from->in, from->n_in));
  node->act = act;
  return BRAID_OK;
}

enum braid_status pass_fuse_activation(struct braid_graph *graph) { return for_each_live(graph, fuse); }
