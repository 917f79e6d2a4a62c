/* SPDX-License-Identifier: Apache-2.0
 *
 * Networks of 16-bit floats are calculated in float32, which no kernel has to be written for: constants are widened, and
 * inputs, outputs and what is cast keep their types, with a Cast beside them. Results are nearer to the exact ones than
 * those of 16-bit arithmetic, which rounds after every node. */
#include "passes/passes.h"
#include "rebuild.h"

#include <math.h>
#include <string.h>

static bool is_half(enum braid_dtype dtype) {
  return dtype == BRAID_F16 || dtype == BRAID_BF16;
}

/* Only these come with 16 bits and stay so: callers and Cast say the type, not the arithmetic. */
static bool keeps_type(const struct braid_node *node) {
  return node->op == BRAID_OP_INPUT || node->op == BRAID_OP_CAST;
}

/* Weights that were rounded on purpose: kernels take these. */
static bool is_mixed(const struct braid_graph *graph, const struct braid_node *node) {
  return (node->op == BRAID_OP_CONV || node->op == BRAID_OP_GEMM) && node->dtype == BRAID_F32 &&
         graph_operand(graph, node->in[1]).dtype == BRAID_BF16;
}

static bool computes_half(const struct braid_graph *graph, const struct braid_node *node) {
  if (keeps_type(node) || is_mixed(graph, node)) return false;
  bool half = is_half(node->dtype);
  for (int k = 0; k < node->n_in && !half; k++)
    half = node->in[k] != BRAID_NONE && is_half(graph_operand(graph, node->in[k]).dtype);
  return half;
}

static bool has_work(const struct braid_graph *graph) {
  for (int id = 0; id < graph->n_nodes; id++)
    if (computes_half(graph, &graph->node[id])) return true;
  return false;
}

/* --------------------------------------------------------------------------------------------- constants */

static float float_of(enum braid_dtype dtype, uint16_t bits) {
  float x;
  if (dtype == BRAID_BF16) {
    uint32_t wide = (uint32_t)bits << 16;
    memcpy(&x, &wide, sizeof x);
    return x;
  }
  int mantissa = bits & 0x3ff, exponent = bits >> 10 & 0x1f;
  if (exponent == 0x1f)
    x = mantissa ? NAN : INFINITY;
  else if (exponent == 0)
    x = ldexpf((float)mantissa, -24);
  else
    x = ldexpf((float)(mantissa + 0x400), exponent - 25);
  return bits >> 15 ? -x : x;
}

struct widening {
  struct rebuild r;
  int *wide_node, *wide_constant; /* float32 forms; BRAID_NONE: not made yet */
};

static enum braid_status widen_constant(struct widening *w, int k, int *operand) {
  const struct constant *old = &w->r.from->constant[k];
  if (w->wide_constant[k] == BRAID_NONE) {
    void *data;
    const uint16_t *half = old->tensor.data;
    BRAID_TRY(rebuild_new_constant(&w->r, rebuild_name(&w->r, old->name, "float32"), BRAID_F32, &old->tensor.shape,
                                   &data, &w->wide_constant[k]));
    for (int64_t i = 0, n = braid_shape_elements(&old->tensor.shape); i < n; i++)
      ((float *)data)[i] = float_of(old->tensor.dtype, half[i]);
  }
  *operand = w->wide_constant[k];
  return BRAID_OK;
}

/* ------------------------------------------------------------------------------------------------- nodes */

static enum braid_status cast(struct widening *w, int id, enum braid_dtype to, const char *name, int *out) {
  return rebuild_add(&w->r, BRAID_OP_CAST, &(union braid_attrs){.cast = {to}}, &id, 1, name, out);
}

/* In float32 where it is a 16-bit float. */
static enum braid_status wide_operand(struct widening *w, int old, int *operand) {
  const struct braid_graph *from = w->r.from;
  if (old == BRAID_NONE || !is_half(graph_operand(from, old).dtype)) return rebuild_operand(&w->r, old, operand);
  if (braid_is_const(old)) return widen_constant(w, braid_const_index(old), operand);
  if (w->wide_node[old] == BRAID_NONE)
    BRAID_TRY(cast(w, w->r.node[old], BRAID_F32, rebuild_name(&w->r, from->node[old].name, "float32"),
                   &w->wide_node[old]));
  *operand = w->wide_node[old];
  return BRAID_OK;
}

/* A Cast to 16 bits rounds what it is given; one from 16 bits reads what has not been rounded, where there is that. */
static enum braid_status cast_operand(struct widening *w, int old, int *operand) {
  bool wide = braid_is_node(old) && w->r.node[old] == BRAID_NONE;
  return wide ? wide_operand(w, old, operand) : rebuild_operand(&w->r, old, operand);
}

static enum braid_status widen_node(struct widening *w, int id) {
  const struct braid_node *node = &w->r.from->node[id];
  int in[MAX_OPERANDS], made;
  bool as_is = is_mixed(w->r.from, node);
  for (int k = 0; k < node->n_in; k++)
    BRAID_TRY(as_is ? rebuild_operand(&w->r, node->in[k], &in[k])
              : node->op == BRAID_OP_CAST ? cast_operand(w, node->in[k], &in[k])
                                          : wide_operand(w, node->in[k], &in[k]));
  if (!is_half(node->dtype) || keeps_type(node)) return rebuild_node(&w->r, id, in, node->name, &w->r.node[id]);
  const char *name = node->is_output ? rebuild_name(&w->r, node->name, "float32") : node->name;
  if (!name) return out_of_memory(w->r.from);
  BRAID_TRY(rebuild_node(&w->r, id, in, name, &made));
  w->wide_node[id] = made;
  return node->is_output ? cast(w, made, node->dtype, node->name, &w->r.node[id]) : BRAID_OK;
}

static enum braid_status widen_all(struct widening *w) {
  const struct braid_graph *from = w->r.from;
  for (int id = 0; id < from->n_nodes; id++) BRAID_TRY(widen_node(w, id));
  for (int i = 0; i < from->n_outputs; i++) BRAID_TRY(braid_graph_add_output(w->r.to, w->r.node[from->output[i]]));
  return BRAID_OK;
}

static enum braid_status widen(struct widening *w) {
  const struct braid_graph *from = w->r.from;
  w->wide_node = braid_malloc((size_t)from->n_nodes * sizeof *w->wide_node);
  w->wide_constant = braid_malloc((size_t)from->n_constants * sizeof *w->wide_constant);
  if (!w->wide_node || !w->wide_constant) return out_of_memory(from);
  for (int i = 0; i < from->n_nodes; i++) w->wide_node[i] = BRAID_NONE;
  for (int i = 0; i < from->n_constants; i++) w->wide_constant[i] = BRAID_NONE;
  return widen_all(w);
}

static void destroy_graph(void *graph) {
  struct braid_graph *old = graph;
  braid_graph_destroy(&old);
}

/* The caller's graph becomes the new one, which keeps what it was for its constants. */
static enum braid_status exchange(struct braid_graph *graph, struct rebuild *r) {
  struct braid_graph *old = braid_malloc(sizeof *old);
  if (!old) return out_of_memory(graph);
  /* Room first: nothing may fail once the two have changed places. */
  void *grown = array_grown(r->to->adopted, &r->to->adopted_capacity, r->to->n_adopted + 1, sizeof *r->to->adopted);
  if (!grown) {
    braid_free(old);
    return out_of_memory(graph);
  }
  r->to->adopted = grown;
  *old = *graph;
  *graph = *r->to;
  braid_free(r->to);
  r->to = NULL;
  graph->adopted[graph->n_adopted++] = (struct adopted){old, destroy_graph};
  return BRAID_OK;
}

enum braid_status pass_widen_half(struct braid_graph *graph) {
  struct widening w = {0};
  if (!has_work(graph)) return BRAID_OK;
  BRAID_TRY(rebuild_begin(graph, &w.r));
  enum braid_status status = widen(&w);
  if (status == BRAID_OK) status = exchange(graph, &w.r);
  braid_free(w.wide_node);
  braid_free(w.wide_constant);
  rebuild_end(&w.r);
  return status;
}
