/* SPDX-License-Identifier: Apache-2.0
 *
 * A border of zeros around the maps is what a convolution's own padding reads, so it moves into the convolution. An
 * AveragePool that counts its padding reads it as zeros, too; one that does not count must have none of its own, and
 * then counts from now on. With ceil_mode windows may hang over the border, where the two are counted differently: left
 * alone.
 */
#include "infer.h"
#include "passes/passes.h"
#include "passes/uses.h"

static bool is_zero_border(const struct braid_node *node) {
  const struct braid_pad_attrs *a = &node->attrs.pad;
  return node->op == BRAID_OP_PAD && node->shape.rank == 4 && a->mode == BRAID_PAD_CONSTANT && a->value == 0.0 &&
         a->before[0] == 0 && a->before[1] == 0 && a->after[0] == 0 && a->after[1] == 0;
}

/* Padding is top, left, bottom, right. */
static bool widen(int pad[4], const struct braid_pad_attrs *border) {
  bool overflow = false;
  for (int i = 0; i < 2; i++) {
    overflow |= __builtin_add_overflow(pad[i], border->before[2 + i], &pad[i]);
    overflow |= __builtin_add_overflow(pad[2 + i], border->after[2 + i], &pad[2 + i]);
  }
  return !overflow;
}

static bool take_in(const struct braid_node *node, const struct braid_pad_attrs *border, union braid_attrs *attrs) {
  *attrs = node->attrs;
  if (node->op == BRAID_OP_CONV) return widen(attrs->conv.pad, border);
  const struct braid_pool_attrs *pool = &node->attrs.pool;
  if (node->op != BRAID_OP_AVERAGE_POOL || pool->ceil_mode) return false;
  bool unpadded = pool->pad[0] == 0 && pool->pad[1] == 0 && pool->pad[2] == 0 && pool->pad[3] == 0;
  if (!unpadded && !pool->count_include_pad) return false;
  attrs->pool.count_include_pad = true;
  return widen(attrs->pool.pad, border);
}

/* Do the rules accept the operator with these attributes and operands, with the same result? */
static bool still_valid(const struct braid_graph *graph, const struct braid_node *node, const union braid_attrs *attrs,
                        const int *in) {
  struct op_call call = {.op = node->op, .attrs = attrs, .n_in = node->n_in};
  for (int k = 0; k < node->n_in; k++) {
    call.present[k] = in[k] != BRAID_NONE;
    if (call.present[k]) call.in[k] = graph_operand(graph, in[k]);
  }
  return op_infer(&call) == BRAID_OK && braid_shape_equal(&call.shape, &node->shape);
}

/* The Pad is not swallowed but passed by, so it may have other readers. */
static enum braid_status fuse(struct uses *uses, int id) {
  struct braid_graph *graph = uses->graph;
  struct braid_node *node = &graph->node[id];
  int in[MAX_OPERANDS];
  union braid_attrs attrs;
  if (node->n_in < 1 || !braid_is_node(node->in[0])) return BRAID_OK;
  const struct braid_node *pad = &graph->node[node->in[0]];
  if (!is_zero_border(pad) || !take_in(node, &pad->attrs.pad, &attrs)) return BRAID_OK;
  for (int k = 0; k < node->n_in; k++) in[k] = node->in[k];
  in[0] = pad->in[0];
  if (!still_valid(graph, node, &attrs, in)) return BRAID_OK;
  BRAID_TRY(graph_set_operands(graph, id, in, node->n_in));
  node->attrs = attrs;
  return BRAID_OK;
}

enum braid_status pass_fuse_pad(struct braid_graph *graph) { return for_each_live(graph, fuse); }
