/* SPDX-License-Identifier: Apache-2.0
 * Layers out of graphs, and what follows from their sizes; layer_lines.c is their text. */
#include "layer_shapes.h"

#include <string.h>

static int extent(int in, int kernel, int stride, int dilation, int pads) {
  int over = in + pads - (kernel - 1) * dilation - 1;
  return over < 0 ? 0 : over / stride + 1;
}

struct braid_shape layer_shape_out(const struct layer_shape *l) {
  if (l->op == BRAID_OP_GEMM) return braid_shape_of(2, (int[]){l->m, l->n});
  int h = extent(l->in[1], l->kernel[0], l->stride[0], l->dilation[0], l->pad[0] + l->pad[2]);
  int w = extent(l->in[2], l->kernel[1], l->stride[1], l->dilation[1], l->pad[1] + l->pad[3]);
  return braid_shape_of(4, (int[]){l->batch, l->out, h, w});
}

struct layer_product layer_shape_product(const struct layer_shape *l) {
  if (l->op == BRAID_OP_GEMM) return (struct layer_product){l->m, l->n, l->k, 1};
  struct braid_shape out = layer_shape_out(l);
  return (struct layer_product){l->out / l->group, out.dim[2] * out.dim[3],
                                l->in[0] / l->group * l->kernel[0] * l->kernel[1], l->group};
}

double layer_shape_macs(const struct layer_shape *l) {
  struct layer_product p = layer_shape_product(l);
  return (double)p.m * p.n * p.k * p.groups * (l->op == BRAID_OP_GEMM ? 1 : l->batch);
}

/* ------------------------------------------------------------------------------------------- from a graph */

static const struct braid_shape *operand_shape(const struct braid_graph *graph, int operand) {
  return braid_is_node(operand) ? &braid_graph_node(graph, operand)->shape
                                : &braid_graph_constant(graph, operand)->shape;
}

static int has(const struct braid_node *node, int k) {
  return k < node->n_in && node->in[k] != BRAID_NONE;
}

/* 1-D convolutions are carried with a kernel of [1,K]; their tensors have no H. */
static bool conv_of(const struct braid_graph *graph, const struct braid_node *node, struct layer_shape *l) {
  const struct braid_shape *in = operand_shape(graph, node->in[0]);
  const struct braid_conv_attrs *a = &node->attrs.conv;
  if (in->rank != 3 && in->rank != 4) return false;
  l->batch = in->dim[0];
  l->in[0] = in->dim[1];
  l->in[1] = in->rank == 4 ? in->dim[2] : 1;
  l->in[2] = in->dim[in->rank - 1];
  l->out = node->shape.dim[1];
  l->group = a->group;
  memcpy(l->kernel, a->kernel, sizeof l->kernel);
  memcpy(l->stride, a->stride, sizeof l->stride);
  memcpy(l->dilation, a->dilation, sizeof l->dilation);
  memcpy(l->pad, a->pad, sizeof l->pad);
  l->bias = has(node, 2);
  l->residual = has(node, 3);
  return true;
}

static bool gemm_of(const struct braid_graph *graph, const struct braid_node *node, struct layer_shape *l) {
  const struct braid_gemm_attrs *a = &node->attrs.gemm;
  l->m = node->shape.dim[0];
  l->n = node->shape.dim[1];
  l->k = operand_shape(graph, node->in[0])->dim[a->trans_a ? 0 : 1];
  l->trans_a = a->trans_a;
  l->trans_b = a->trans_b;
  l->bias = has(node, 2);
  return true;
}

static bool layer_of(const struct braid_graph *graph, const struct braid_node *node, struct layer_shape *l) {
  *l = (struct layer_shape){.op = node->op, .count = 1, .act = node->act};
  for (size_t i = 0; i + 1 < sizeof l->name && node->name[i]; i++) /* a name is one word */
    l->name[i] = strchr(" \t#", node->name[i]) ? '_' : node->name[i];
  if (node->dtype != BRAID_F32) return false;
  if (node->op == BRAID_OP_CONV) return conv_of(graph, node, l);
  return node->op == BRAID_OP_GEMM && gemm_of(graph, node, l);
}

static bool same_act(const struct braid_act *a, const struct braid_act *b) {
  return a->op == b->op && memcmp(&a->attrs, &b->attrs, sizeof a->attrs) == 0;
}

static bool same(const struct layer_shape *a, const struct layer_shape *b) {
  return a->op == b->op && a->batch == b->batch && a->out == b->out && a->group == b->group && a->m == b->m &&
         a->n == b->n && a->k == b->k && a->trans_a == b->trans_a && a->trans_b == b->trans_b && a->bias == b->bias &&
         a->residual == b->residual && memcmp(a->in, b->in, sizeof a->in) == 0 &&
         memcmp(a->kernel, b->kernel, sizeof a->kernel) == 0 && memcmp(a->stride, b->stride, sizeof a->stride) == 0 &&
         memcmp(a->dilation, b->dilation, sizeof a->dilation) == 0 && memcmp(a->pad, b->pad, sizeof a->pad) == 0 &&
         same_act(&a->act, &b->act);
}

static void add(struct layer_shapes *all, const struct layer_shape *l) {
  for (int i = 0; i < all->n; i++)
    if (same(&all->layer[i], l)) {
      all->layer[i].count++;
      return;
    }
  all->layer[all->n++] = *l;
}

enum braid_status layer_shapes_of(const struct braid_graph *graph, struct layer_shapes *out) {
  int n = braid_graph_size(graph);
  struct layer_shape l;
  struct layer_shapes all = {.layer = braid_calloc((size_t)n, sizeof *all.layer)};
  if (!all.layer) return braid_fail(BRAID_ENOMEM, "no memory for the shapes of %d layers", n);
  for (int id = 0; id < n; id++)
    if (layer_of(graph, braid_graph_node(graph, id), &l)) add(&all, &l);
  *out = all;
  return BRAID_OK;
}

void layer_shapes_free(struct layer_shapes *shapes) {
  braid_free(shapes->layer);
  *shapes = (struct layer_shapes){0};
}
