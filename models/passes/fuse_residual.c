/* SPDX-License-Identifier: Apache-2.0
 * conv(x) + r becomes one convolution that starts from r: the sum costs no pass over memory of its own. If both sides
 * are convolutions the later one takes the earlier one's result, which is there by then. */
#include "passes/passes.h"
#include "passes/uses.h"

static bool can_take_residual(const struct uses *uses, int operand, int sum) {
  if (!braid_is_node(operand)) return false;
  const struct braid_node *conv = &uses->graph->node[operand];
  return conv->op == BRAID_OP_CONV && conv->n_in < 4 && conv->act.op == BRAID_ACT_NONE &&
         sole_reader(uses, operand) == sum;
}

static bool is_plain_sum(const struct braid_graph *graph, const struct braid_node *node) {
  if ((node->op != BRAID_OP_ADD && node->op != BRAID_OP_SUM) || node->n_in != 2 || node->act.op != BRAID_ACT_NONE)
    return false;
  for (int k = 0; k < 2; k++) {
    struct braid_tensor x = graph_operand(graph, node->in[k]);
    if (!braid_shape_equal(&x.shape, &node->shape)) return false;
  }
  return node->in[0] != node->in[1];
}

static enum braid_status fuse(struct uses *uses, int id) {
  const struct braid_node *sum = &uses->graph->node[id];
  if (!is_plain_sum(uses->graph, sum)) return BRAID_OK;
  bool first = can_take_residual(uses, sum->in[0], id), second = can_take_residual(uses, sum->in[1], id);
  if (!first && !second) return BRAID_OK;
  int k = second && (!first || sum->in[1] > sum->in[0]);
  const struct braid_node *conv = &uses->graph->node[sum->in[k]];
  int in[4] = {conv->in[0], conv->in[1], conv->n_in > 2 ? conv->in[2] : BRAID_NONE, sum->in[1 - k]};
  return swallow(uses, sum->in[k], id, in, 4);
}

enum braid_status pass_fuse_residual(struct braid_graph *graph) { return for_each_live(graph, fuse); }
