/* SPDX-License-Identifier: Apache-2.0
 * Sealed graphs written anew in a lower precision: what braid_graph_lower is made of. */
#ifndef MODELS_LOWER_H
#define MODELS_LOWER_H

#include "rebuild.h"

/* Into r->to, outputs included. */
BRAID_NODISCARD enum braid_status lower_bf16(struct rebuild *r);
BRAID_NODISCARD enum braid_status lower_int8(struct rebuild *r, const struct braid_range *range);

/* Weights of so many channels, each with the same number of channels of the input: a depthwise convolution. */
static inline bool is_depthwise(const struct braid_node *node) {
  return node->attrs.conv.group > 1 && node->attrs.conv.group == node->shape.dim[1];
}

static inline bool has_operand(const struct braid_node *node, int k) {
  return node->n_in > k && node->in[k] != BRAID_NONE;
}

/* The constant float32 weights of a Conv or Gemm; NULL: it has none. */
static inline const struct braid_tensor *float_weights(const struct braid_graph *graph, const struct braid_node *node) {
  if (node->dtype != BRAID_F32 || node->n_in < 2 || !braid_is_const(node->in[1])) return NULL;
  const struct braid_tensor *w = &graph->constant[braid_const_index(node->in[1])].tensor;
  return w->dtype == BRAID_F32 ? w : NULL;
}

/* Is there a kernel with weights of bfloat16 for what it does? */
static inline bool takes_bf16(const struct braid_graph *graph, const struct braid_node *node) {
  if (!float_weights(graph, node)) return false;
  if (node->op == BRAID_OP_CONV) return node->shape.rank == 4 && !is_depthwise(node);
  return node->op == BRAID_OP_GEMM && !node->attrs.gemm.trans_a && node->attrs.gemm.trans_b;
}

#endif
