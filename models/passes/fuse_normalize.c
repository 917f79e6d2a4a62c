/* SPDX-License-Identifier: Apache-2.0
 * float32(pixels) * scale[c] + shift[c], which is how exports write Normalize, is Normalize again: one pass over the
 * picture in place of three. */
#include "passes/passes.h"
#include "passes/pattern.h"

static enum braid_status fuse(struct uses *uses, int id) {
  struct braid_graph *graph = uses->graph;
  struct braid_node *sum = &graph->node[id];
  struct braid_tensor scale, shift;
  if (sum->op != BRAID_OP_ADD || sum->dtype != BRAID_F32 || sum->act.op != BRAID_ACT_NONE) return BRAID_OK;
  const struct braid_node *product = sole_node(uses, sum->in[0], id, BRAID_OP_MUL);
  const struct braid_node *cast = product ? sole_node(uses, product->in[0], sum->in[0], BRAID_OP_CAST) : NULL;
  if (!cast || sum->shape.rank != 4 || graph_operand(graph, cast->in[0]).dtype != BRAID_U8) return BRAID_OK;
  int pixels = cast->in[0], reader = product->in[0], channels = sum->shape.dim[1];
  if (!braid_is_node(pixels) || !braid_shape_equal(&graph->node[pixels].shape, &sum->shape)) return BRAID_OK;
  if (!per_channel(constant_operand(graph, product->in[1], BRAID_F32), channels, &scale) ||
      !per_channel(constant_operand(graph, sum->in[1], BRAID_F32), channels, &shift))
    return BRAID_OK;
  int in[3] = {pixels};
  BRAID_TRY(braid_graph_add_constant(graph, NULL, &scale, &in[1]));
  BRAID_TRY(braid_graph_add_constant(graph, NULL, &shift, &in[2]));
  BRAID_TRY(graph_set_operands(graph, id, in, 3));
  sum->op = BRAID_OP_NORMALIZE;
  sum->attrs = (union braid_attrs){.axis = {0, 0}};
  if (uses->reader[pixels] == reader) uses->reader[pixels] = id;
  return BRAID_OK;
}

enum braid_status pass_fuse_normalize(struct braid_graph *graph) { return for_each_live(graph, fuse); }
