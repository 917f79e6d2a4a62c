/* SPDX-License-Identifier: Apache-2.0
 * What passes look for that put together again what ONNX has to write as several operators. */
#ifndef MODELS_PASSES_PATTERN_H
#define MODELS_PASSES_PATTERN_H

#include "passes/uses.h"

/* NULL: no constant of that type. */
static inline const struct braid_tensor *constant_operand(const struct braid_graph *graph, int operand,
                                                          enum braid_dtype dtype) {
  if (!braid_is_const(operand)) return NULL;
  const struct braid_tensor *t = braid_graph_constant(graph, operand);
  return t->dtype == dtype ? t : NULL;
}

/* A value for each of the channels, [C,1,1] or [1,C,1,1], as [C] in *out; false: it is something else, or NULL. */
static inline bool per_channel(const struct braid_tensor *t, int channels, struct braid_tensor *out) {
  if (!t || t->shape.rank < 3 || t->shape.rank > 4) return false;
  const int *dim = &t->shape.dim[t->shape.rank - 3];
  if (dim[0] != channels || dim[1] != 1 || dim[2] != 1 || braid_shape_elements(&t->shape) != channels) return false;
  *out = (struct braid_tensor){t->data, t->dtype, {1, {channels}}};
  return true;
}

/* Such a node of float32 that only `reader` reads, without an activation; else NULL. */
static inline const struct braid_node *sole_node(const struct uses *uses, int operand, int reader, enum braid_op op) {
  if (!braid_is_node(operand) || sole_reader(uses, operand) != reader) return NULL;
  const struct braid_node *node = &uses->graph->node[operand];
  return node->op == op && node->dtype == BRAID_F32 && node->act.op == BRAID_ACT_NONE ? node : NULL;
}

#endif
