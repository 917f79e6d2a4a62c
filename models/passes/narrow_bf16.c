/* SPDX-License-Identifier: Apache-2.0
 *
 * ONNX has no product of bfloat16 that is summed in float32, so exports write it (onnx_export_ops.c) as one of float32
 * whose operands went to bfloat16 and back: float32(bfloat16(x)) by weights that are all numbers of bfloat16. Where a
 * file says that, weights of bfloat16 say the same, and kernels that are made for it are taken. */
#include "lower.h"
#include "passes/passes.h"
#include "passes/uses.h"

#include <string.h>

/* What the operand was before it went to bfloat16 and back; BRAID_NONE: it did not. */
static int unrounded(const struct braid_graph *graph, int operand) {
  if (!braid_is_node(operand)) return BRAID_NONE;
  const struct braid_node *wide = &graph->node[operand];
  if (wide->op != BRAID_OP_CAST || wide->dtype != BRAID_F32 || !braid_is_node(wide->in[0])) return BRAID_NONE;
  const struct braid_node *half = &graph->node[wide->in[0]];
  if (half->op != BRAID_OP_CAST || half->dtype != BRAID_BF16) return BRAID_NONE;
  return graph_operand(graph, half->in[0]).dtype == BRAID_F32 ? half->in[0] : BRAID_NONE;
}

static uint32_t bits_at(const struct braid_tensor *t, int64_t i) {
  uint32_t bits;
  memcpy(&bits, (const float *)t->data + i, sizeof bits);
  return bits;
}

static bool fits_bf16(const struct braid_tensor *w) {
  for (int64_t i = 0, n = braid_shape_elements(&w->shape); i < n; i++)
    if (bits_at(w, i) & 0xffff) return false;
  return true;
}

static enum braid_status narrow_weights(struct braid_graph *graph, int wide, int *narrow) {
  const struct braid_tensor w = *braid_graph_constant(graph, wide);
  size_t bytes;
  BRAID_TRY(braid_shape_bytes(&w.shape, BRAID_BF16, &bytes));
  uint16_t *data = braid_alloc_aligned(bytes ? bytes : 1);
  if (!data) return out_of_memory(graph);
  BRAID_TRY(braid_graph_adopt(graph, data, braid_free));
  for (int64_t i = 0, n = braid_shape_elements(&w.shape); i < n; i++)
    data[i] = (uint16_t)(bits_at(&w, i) >> 16);
  return braid_graph_add_constant(graph, NULL, &(struct braid_tensor){data, BRAID_BF16, w.shape}, narrow);
}

/* `made`: for each constant there was at first, what it has become (BRAID_NONE: nothing yet), so that those who share
 * weights still do. */
static enum braid_status narrow(struct braid_graph *graph, int id, int *made) {
  const struct braid_node *node = &graph->node[id];
  int in[MAX_OPERANDS];
  if (!takes_bf16(graph, node)) return BRAID_OK;
  int x = unrounded(graph, node->in[0]), *w = &made[braid_const_index(node->in[1])];
  if (x == BRAID_NONE || !fits_bf16(braid_graph_constant(graph, node->in[1]))) return BRAID_OK;
  if (*w == BRAID_NONE) BRAID_TRY(narrow_weights(graph, node->in[1], w));
  memcpy(in, node->in, (size_t)node->n_in * sizeof *in);
  in[0] = x;
  in[1] = *w;
  return graph_set_operands(graph, id, in, node->n_in);
}

enum braid_status pass_narrow_bf16(struct braid_graph *graph) {
  int n_constants = graph->n_constants, *made = braid_malloc((size_t)n_constants * sizeof *made);
  if (!made) return out_of_memory(graph);
  for (int i = 0; i < n_constants; i++) made[i] = BRAID_NONE;
  enum braid_status status = BRAID_OK;
  for (int id = 0; status == BRAID_OK && id < graph->n_nodes; id++) status = narrow(graph, id, made);
  braid_free(made);
  return status;
}
