/* SPDX-License-Identifier: Apache-2.0
 * The network of cut.c, made for the free nodes alone: what is fixed around them becomes arcs to the source and the
 * sink, so that cutting a block costs what the block is large. */
#include "region.h"
#include "maxflow.h"

#include <stdlib.h>

#define FIXED (-1)
#define DIRECT (-2)

struct region {
  const struct braid_graph *graph;
  int *vertex; /* [n] of free nodes; FIXED */
  int *tensor; /* [n] vertex of a tensor that is looked at; DIRECT for one reader, FIXED for others */
  const struct cut_costs *costs;
  const uint8_t *site;
  struct flow *flow;
  int n_vertices, source, sink;
};

enum braid_status region_create(const struct braid_graph *graph, struct region **out) {
  size_t n = (size_t)braid_graph_size(graph);
  struct region *r = braid_calloc(1, sizeof *r);
  if (!r) return braid_fail(BRAID_ENOMEM, "cutting %s", braid_graph_name(graph));
  r->graph = graph;
  r->vertex = braid_malloc(n * sizeof *r->vertex);
  r->tensor = braid_malloc(n * sizeof *r->tensor);
  if (!r->vertex || !r->tensor) {
    region_destroy(&r);
    return braid_fail(BRAID_ENOMEM, "cutting %zu nodes", n);
  }
  for (size_t v = 0; v < n; v++) r->vertex[v] = r->tensor[v] = FIXED;
  *out = r;
  return BRAID_OK;
}

void region_destroy(struct region **region) {
  if (!region || !*region) return;
  braid_free((*region)->vertex);
  braid_free((*region)->tensor);
  flow_destroy(&(*region)->flow);
  braid_free(*region);
  *region = NULL;
}

/* ------------------------------------------------------------------------------------------ the network */

/* A tensor for each free node and for each edge node that free ones read, if several nodes read it; counts the arcs
 * they take. `tensor` of those that need no vertex is DIRECT. */
static int number_vertices(struct region *r, const int *free_node, int n_free) {
  int arcs = 0;
  r->n_vertices = 0;
  for (int i = 0; i < n_free; i++) r->vertex[free_node[i]] = r->n_vertices++;
  for (int i = 0; i < n_free; i++) {
    const struct braid_node *node = braid_graph_node(r->graph, free_node[i]);
    if (r->tensor[free_node[i]] == FIXED) r->tensor[free_node[i]] = node->n_readers > 1 ? r->n_vertices++ : DIRECT;
    for (int k = 0; k < node->n_in; k++) {
      int u = node->in[k];
      if (!braid_is_node(u) || r->tensor[u] != FIXED) continue;
      int readers = braid_graph_node(r->graph, u)->n_readers;
      r->tensor[u] = readers > 1 ? r->n_vertices++ : DIRECT;
      arcs += 1 + readers;
    }
    arcs += 4 + 2 * node->n_readers;
  }
  r->source = r->n_vertices++;
  r->sink = r->n_vertices++;
  return arcs;
}

static void add_reader(struct region *r, int from, int reader, int64_t capacity) {
  if (r->vertex[reader] != FIXED)
    flow_arc(r->flow, from, r->vertex[reader], capacity);
  else if (r->site[reader] == BRAID_CLOUD)
    flow_arc(r->flow, from, r->sink, capacity);
}

/* From the vertex where u is made to those that read it. a(u) lies in the cloud as soon as one of several does. */
static void add_tensor(struct region *r, int from, int u) {
  const struct braid_node *node = braid_graph_node(r->graph, u);
  bool direct = r->tensor[u] == DIRECT;
  if (is_delivered(r->graph, u, r->costs->deliver, BRAID_CLOUD)) { /* goes up whoever reads it */
    if (from != r->source) flow_arc(r->flow, from, r->sink, r->costs->up[u]);
    return;
  }
  if (!direct) flow_arc(r->flow, from, r->tensor[u], r->costs->up[u]);
  for (int i = 0; i < node->n_readers; i++)
    add_reader(r, direct ? from : r->tensor[u], node->reader[i], direct ? r->costs->up[u] : COST_NEVER);
}

static void add_node(struct region *r, int v) {
  const struct braid_node *node = braid_graph_node(r->graph, v);
  const struct cut_costs *c = r->costs;
  bool comes_home = is_delivered(r->graph, v, c->deliver, BRAID_EDGE);
  flow_arc(r->flow, r->source, r->vertex[v],
           c->pinned[v] ? COST_NEVER : c->cloud[v] + (comes_home ? c->down[v] : 0));
  flow_arc(r->flow, r->vertex[v], r->sink, c->away && c->away[v] ? COST_NEVER : c->edge[v]);
  add_tensor(r, r->vertex[v], v);
  for (int i = 0; i < node->n_readers; i++)
    if (r->vertex[node->reader[i]] != FIXED) flow_arc(r->flow, r->vertex[node->reader[i]], r->vertex[v], COST_NEVER);
}

/* Tensors made on the edge outside, each once: it is forgotten when its arcs are there. */
static void add_border(struct region *r, int v) {
  const struct braid_node *node = braid_graph_node(r->graph, v);
  for (int k = 0; k < node->n_in; k++) {
    int u = node->in[k];
    if (!braid_is_node(u) || r->vertex[u] != FIXED || r->tensor[u] == FIXED) continue;
    add_tensor(r, r->source, u);
    r->tensor[u] = FIXED;
  }
}

static void forget_vertices(struct region *r, const int *free_node, int n_free) {
  for (int i = 0; i < n_free; i++) {
    const struct braid_node *node = braid_graph_node(r->graph, free_node[i]);
    r->vertex[free_node[i]] = r->tensor[free_node[i]] = FIXED;
    for (int k = 0; k < node->n_in; k++)
      if (braid_is_node(node->in[k])) r->tensor[node->in[k]] = FIXED;
  }
}

enum braid_status region_cut(struct region *r, const struct cut_costs *costs, const int *free_node, int n_free,
                             uint8_t *site) {
  int arcs = number_vertices(r, free_node, n_free);
  r->costs = costs;
  r->site = site;
  enum braid_status status = flow_create(r->n_vertices, arcs, &r->flow);
  if (status == BRAID_OK) {
    for (int i = 0; i < n_free; i++) add_node(r, free_node[i]);
    for (int i = 0; i < n_free; i++) add_border(r, free_node[i]);
    (void)flow_run(r->flow, r->source, r->sink);
    for (int i = 0; i < n_free; i++)
      site[free_node[i]] = flow_on_source_side(r->flow, r->vertex[free_node[i]]) ? BRAID_EDGE : BRAID_CLOUD;
  }
  forget_vertices(r, free_node, n_free);
  flow_destroy(&r->flow);
  return status;
}

/* ------------------------------------------------------------------------------------------------- hulls */

static int by_bytes(const void *a, const void *b) {
  const struct cut_line *x = a, *y = b;
  if (x->bytes != y->bytes) return x->bytes < y->bytes ? -1 : 1;
  if (x->ns != y->ns) return x->ns < y->ns ? -1 : 1;
  return x->set - y->set;
}

__extension__ typedef __int128 wide; /* products of two sums of costs */

/* Does b lie on or above the segment from a to c? */
static bool is_above(const struct cut_line *a, const struct cut_line *b, const struct cut_line *c) {
  return (wide)(b->ns - a->ns) * (c->bytes - a->bytes) >= (wide)(c->ns - a->ns) * (b->bytes - a->bytes);
}

int lower_hull(struct cut_line *line, int n) {
  int kept = 0;
  qsort(line, (size_t)n, sizeof *line, by_bytes);
  for (int i = 0; i < n; i++) {
    if (kept > 0 && line[i].ns >= line[kept - 1].ns) continue;
    while (kept >= 2 && is_above(&line[kept - 2], &line[kept - 1], &line[i])) kept--;
    line[kept++] = line[i];
  }
  return kept;
}
