/* SPDX-License-Identifier: Apache-2.0
 *
 * Sealing: passes, then dead nodes and constants out, ids closed up, derived fields, joints and branches. The order of
 * ids is the order of adding (see graph.h), so it is stable and a topological one. A graph whose sealing failed can be
 * destroyed or sealed again.
 */
#include "bands.h"
#include "graph.h"
#include "passes/passes.h"

#include <string.h>

/* ----------------------------------------------------------------------------------------- closing gaps */

/* Old ids and constant numbers to new ones; -1 for what goes away. */
struct renumbering {
  int *node, *constant;
};

/* What an output is made of is alive; so are all inputs, for callers count on them. */
static void mark_live(const struct braid_graph *graph, bool *live) {
  for (int id = graph->n_nodes - 1; id >= 0; id--) {
    const struct braid_node *node = &graph->node[id];
    live[id] = live[id] || node->is_output || node->op == BRAID_OP_INPUT;
    for (int k = 0; live[id] && k < node->n_in; k++)
      if (braid_is_node(node->in[k])) live[node->in[k]] = true;
  }
}

/* Nodes keep their order; constants are numbered as nodes first use them, which the hash counts on. */
static void number(const struct braid_graph *graph, const bool *live, struct renumbering *to) {
  int n_nodes = 0, n_constants = 0;
  for (int c = 0; c < graph->n_constants; c++) to->constant[c] = -1;
  for (int id = 0; id < graph->n_nodes; id++) {
    const struct braid_node *node = &graph->node[id];
    to->node[id] = live[id] ? n_nodes++ : -1;
    for (int k = 0; live[id] && k < node->n_in; k++) {
      if (!braid_is_const(node->in[k])) continue;
      int *constant = &to->constant[braid_const_index(node->in[k])];
      if (*constant < 0) *constant = n_constants++;
    }
  }
}

static int renumbered(const struct renumbering *to, int code) {
  if (code == BRAID_NONE) return BRAID_NONE;
  return braid_is_node(code) ? to->node[code] : BRAID_CONST(to->constant[braid_const_index(code)]);
}

/* New operand lists first, for these can fail; nothing after them can. */
static enum braid_status renumber_operands(struct braid_graph *graph, const struct renumbering *to,
                                           const int **lists) {
  for (int id = 0; id < graph->n_nodes; id++) {
    const struct braid_node *node = &graph->node[id];
    if (to->node[id] < 0) continue;
    int *list = arena_alloc(&graph->arena, (size_t)node->n_in * sizeof *list);
    if (!list) return out_of_memory(graph);
    for (int k = 0; k < node->n_in; k++) list[k] = renumbered(to, node->in[k]);
    lists[id] = list;
  }
  return BRAID_OK;
}

static void move_all(struct braid_graph *graph, const struct renumbering *to, const int *const *lists,
                     struct constant *constants) {
  int n_nodes = 0, n_constants = 0;
  for (int id = 0; id < graph->n_nodes; id++) {
    if (to->node[id] < 0) continue;
    graph->node[n_nodes] = graph->node[id];
    graph->node[n_nodes++].in = lists[id];
  }
  if (graph->n_constants) memcpy(constants, graph->constant, (size_t)graph->n_constants * sizeof *constants);
  for (int c = 0; c < graph->n_constants; c++) {
    if (to->constant[c] < 0) continue;
    graph->constant[to->constant[c]] = constants[c];
    n_constants++;
  }
  for (int i = 0; i < graph->n_inputs; i++) graph->input[i] = to->node[graph->input[i]];
  for (int i = 0; i < graph->n_outputs; i++) graph->output[i] = to->node[graph->output[i]];
  graph->n_nodes = n_nodes;
  graph->n_constants = n_constants;
  graph_reindex(graph);
}

static enum braid_status close_up(struct braid_graph *graph) {
  size_t n = (size_t)graph->n_nodes, n_constants = (size_t)graph->n_constants;
  struct renumbering to = {braid_malloc(n * sizeof(int)), braid_malloc(n_constants * sizeof(int))};
  bool *live = braid_calloc(n, sizeof *live);
  const int **lists = braid_calloc(n, sizeof *lists);
  struct constant *constants = braid_malloc(n_constants * sizeof *constants);
  bool ready = to.node && to.constant && live && lists && constants;
  enum braid_status status = ready ? BRAID_OK : out_of_memory(graph);
  if (ready) {
    mark_live(graph, live);
    number(graph, live, &to);
    status = renumber_operands(graph, &to, lists);
  }
  if (status == BRAID_OK) move_all(graph, &to, lists, constants);
  braid_free(to.node);
  braid_free(to.constant);
  braid_free(live);
  braid_free(lists);
  braid_free(constants);
  return status;
}

/* -------------------------------------------------------------------------------------- derived fields */

static int64_t count_macs(const struct braid_graph *graph, const struct braid_node *node) {
  if (node->n_in < 2) return 0;
  struct braid_shape x = graph_operand(graph, node->in[0]).shape, w = graph_operand(graph, node->in[1]).shape;
  int64_t in = braid_shape_elements(&x), out = braid_shape_elements(&node->shape);
  switch (node->op) {
  case BRAID_OP_QLINEAR_CONV:
  case BRAID_OP_CONV: return out * w.dim[1] * w.dim[2] * w.dim[3];
  case BRAID_OP_CONV_TRANSPOSE: return in * w.dim[1] * w.dim[2] * w.dim[3];
  case BRAID_OP_GEMM: return out * x.dim[!node->attrs.gemm.trans_a];
  case BRAID_OP_MATMUL: return out * x.dim[x.rank - 1];
  default: return 0;
  }
}

static size_t constant_bytes(const struct braid_tensor *constant) {
  return (size_t)braid_shape_elements(&constant->shape) * braid_dtype_bytes(constant->dtype);
}

static size_t count_weight_bytes(const struct braid_graph *graph, const struct braid_node *node) {
  size_t bytes = 0;
  for (int k = 0; k < node->n_in; k++)
    if (braid_is_const(node->in[k])) bytes += constant_bytes(braid_graph_constant(graph, node->in[k]));
  return bytes;
}

static void derive_node(const struct braid_graph *graph, struct braid_node *node) {
  node->bytes = (size_t)braid_shape_elements(&node->shape) * braid_dtype_bytes(node->dtype);
  node->macs = count_macs(graph, node);
  node->weight_bytes = count_weight_bytes(graph, node);
  node->rows = braid_slice_rows(&node->shape);
  node->slices_max = node->bytes > 0 ? bands_max(node) : 1;
}

/* Does operand k repeat an earlier one? Readers are listed once. */
static bool repeats(const struct braid_node *node, int k) {
  for (int i = 0; i < k; i++)
    if (node->in[i] == node->in[k]) return true;
  return false;
}

static bool is_edge(const struct braid_node *node, int k) { return braid_is_node(node->in[k]) && !repeats(node, k); }

static int count_readers(struct braid_graph *graph) {
  int n_edges = 0;
  for (int id = 0; id < graph->n_nodes; id++) graph->node[id].n_readers = 0;
  for (int id = 0; id < graph->n_nodes; id++) {
    const struct braid_node *node = &graph->node[id];
    for (int k = 0; k < node->n_in; k++) {
      if (!is_edge(node, k)) continue;
      graph->node[node->in[k]].n_readers++;
      n_edges++;
    }
  }
  return n_edges;
}

/* All lists of readers are cut from one array; `next` is where the next reader of a node goes. */
static void list_readers(struct braid_graph *graph, int *list, int **next) {
  for (int id = 0; id < graph->n_nodes; id++) {
    graph->node[id].reader = next[id] = list;
    list += graph->node[id].n_readers;
  }
  for (int id = 0; id < graph->n_nodes; id++) {
    const struct braid_node *node = &graph->node[id];
    for (int k = 0; k < node->n_in; k++)
      if (is_edge(node, k)) *next[node->in[k]]++ = id;
  }
}

static enum braid_status derive(struct braid_graph *graph) {
  for (int id = 0; id < graph->n_nodes; id++) derive_node(graph, &graph->node[id]);
  int *list = arena_alloc(&graph->arena, (size_t)count_readers(graph) * sizeof *list);
  int **next = braid_malloc((size_t)graph->n_nodes * sizeof *next);
  if (list && next) list_readers(graph, list, next);
  braid_free(next);
  return list && next ? BRAID_OK : out_of_memory(graph);
}

/* -------------------------------------------------------------------------------------------- sealing */

static enum braid_status run_passes(struct braid_graph *graph, unsigned passes) {
  for (int i = 0; i < n_graph_passes; i++)
    if (!graph_passes[i].flag || (passes & graph_passes[i].flag)) BRAID_TRY(graph_passes[i].run(graph));
  return BRAID_OK;
}

enum braid_status braid_graph_seal(struct braid_graph *graph, unsigned passes) {
  if (graph->sealed) return braid_fail(BRAID_EINVAL, "graph '%s' is sealed already", graph->name);
  if (graph->n_outputs == 0) return braid_fail(BRAID_EINVAL, "graph '%s' has no output", graph->name);
  BRAID_TRY(run_passes(graph, passes));
  BRAID_TRY(close_up(graph));
  BRAID_TRY(derive(graph));
  BRAID_TRY(graph_find_branches(graph));
  graph->sealed = true;
  return BRAID_OK;
}

void braid_graph_totals(const struct braid_graph *graph, int64_t *params, int64_t *macs, int64_t *weight_bytes) {
  *params = *macs = *weight_bytes = 0;
  for (int i = 0; i < graph->n_constants; i++) {
    *params += braid_shape_elements(&graph->constant[i].tensor.shape);
    *weight_bytes += (int64_t)constant_bytes(&graph->constant[i].tensor);
  }
  for (int id = 0; id < graph->n_nodes; id++)
    if (__builtin_add_overflow(*macs, graph->node[id].macs, macs)) *macs = INT64_MAX;
}
