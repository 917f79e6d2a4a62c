/* SPDX-License-Identifier: Apache-2.0
 * The critical path, row by row.
 *
 * With up to k slices a node, the slice that holds row r has at least floor(rows / k) rows and waits for the slices
 * (and messages) that hold the rows r is computed from. So, whatever the slicing, finish(v, r) >= max over needed rows
 * (u, q) of finish(u, q) [+ journey when the sites differ] + smallest slice of v, and the better of the two sites, row
 * by row, is a relaxation of every plan. With whole nodes (k <= 1) a unit is the node. */
#include "bounds.h"

#include <string.h>

#define UNITS_MAX 200000

struct path {
  const struct braid_graph *graph;
  const struct braid_costs *costs;
  const struct braid_goal *goal;
  bool cloud;
  int slices;
  int64_t *first;     /* [n + 1] number of the node's first unit; units are rows, or one for the whole node */
  int64_t *finish[2]; /* [units] by site */
  int64_t *latest[2]; /* [n] over the node's units */
};

static int units_of(const struct path *p, int v) {
  return (int)(p->first[v + 1] - p->first[v]);
}

static enum braid_status lay_out(const struct braid_graph *graph, int slices, int64_t **first) {
  int n = braid_graph_size(graph);
  int64_t *at = braid_malloc(((size_t)n + 1) * sizeof *at);
  if (!at) return braid_fail(BRAID_ENOMEM, "bounds of %d nodes", n);
  at[0] = 0;
  for (int v = 0; v < n; v++) at[v + 1] = at[v] + (slices > 1 ? bound_rows(graph, v) : 1);
  *first = at;
  return BRAID_OK;
}

/* Rows (or 0..1 for whole nodes) of operand k that unit i of v waits for. */
static struct braid_band unit_needs(const struct path *p, int v, int k, int i) {
  struct braid_band out = {i, i + 1};
  if (p->slices <= 1) out = (struct braid_band){0, bound_rows(p->graph, v)};
  struct braid_band need = braid_graph_needs(p->graph, v, k, out);
  if (p->slices <= 1) return (struct braid_band){0, need.end > need.begin};
  return need;
}

static int64_t journey_ns(const struct path *p, const struct braid_link_cost *link, int v, int k) {
  int u = braid_graph_node(p->graph, v)->in[k];
  struct braid_band band = {0, 1};
  if (p->slices <= 1) band = braid_graph_needs(p->graph, v, k, (struct braid_band){0, bound_rows(p->graph, v)});
  if (band.end <= band.begin) return 0;
  return cost_send_least_ns(p->costs, p->graph, link, u, band) + link->delay_ns;
}

static int64_t latest_in(const struct path *p, int site, int u, struct braid_band need) {
  if (need.end - need.begin == units_of(p, u)) return p->latest[site][u];
  int64_t latest = 0;
  for (int q = need.begin; q < need.end; q++)
    if (p->finish[site][p->first[u] + q] > latest) latest = p->finish[site][p->first[u] + q];
  return latest;
}

static int64_t capped(int64_t ns) {
  return ns < COST_NEVER ? ns : COST_NEVER;
}

/* When the needed rows of operand k can be on `site`, each from the better side. */
static int64_t operand_at(const struct path *p, int site, int v, int k, struct braid_band need, int64_t journey) {
  int u = braid_graph_node(p->graph, v)->in[k];
  if (journey >= COST_NEVER) return latest_in(p, site, u, need);
  int64_t latest = 0;
  for (int q = need.begin; q < need.end; q++) {
    int64_t here = p->finish[site][p->first[u] + q], there = capped(p->finish[!site][p->first[u] + q] + journey);
    int64_t ns = here < there ? here : there;
    if (ns > latest) latest = ns;
  }
  return latest;
}

/* Every unit of v after the rows it needs of operand k. Many operators need all rows for each of theirs: that case is
 * looked at once. */
static void wait_for_operand(struct path *p, int site, int v, int k) {
  int u = braid_graph_node(p->graph, v)->in[k], units = units_of(p, u);
  int64_t *finish = p->finish[site] + p->first[v], journey = COST_NEVER, all = -1;
  bool forbidden = site == BRAID_CLOUD && p->goal->private_input && is_private_tensor(p->graph, u);
  if (p->cloud && !forbidden) journey = journey_ns(p, site == BRAID_CLOUD ? &p->costs->up : &p->costs->down, v, k);
  for (int i = 0; i < units_of(p, v); i++) {
    struct braid_band need = unit_needs(p, v, k, i);
    bool whole = need.end - need.begin == units;
    int64_t at = whole && all >= 0 ? all : operand_at(p, site, v, k, need, journey);
    if (whole) all = at;
    if (at > finish[i]) finish[i] = at;
  }
}

static void finish_node(struct path *p, int site, int v) {
  const struct braid_node *node = braid_graph_node(p->graph, v);
  bool input = node->op == BRAID_OP_INPUT;
  bool never = (site == BRAID_CLOUD && (!p->cloud || input)) || goal_pins(p->goal, v, (enum braid_site) !site);
  int64_t slice = bound_slice_ns(p->graph, p->costs, (enum braid_site)site, v, p->slices);
  int64_t *finish = p->finish[site] + p->first[v];
  p->latest[site][v] = never ? COST_NEVER : 0;
  for (int i = 0; i < units_of(p, v); i++) finish[i] = p->latest[site][v];
  for (int k = 0; k < node->n_in && !never; k++)
    if (braid_is_node(node->in[k])) wait_for_operand(p, site, v, k);
  for (int i = 0; i < units_of(p, v) && !never; i++) {
    finish[i] = capped(finish[i] + slice);
    if (finish[i] > p->latest[site][v]) p->latest[site][v] = finish[i];
  }
}

/* When the last row of a result is where it is wanted. */
static int64_t answered_ns(const struct path *p, int v) {
  struct braid_band band = {0, p->slices > 1 ? 1 : bound_rows(p->graph, v)};
  const enum braid_site site = p->goal->deliver;
  const struct braid_link_cost *link = site == BRAID_CLOUD ? &p->costs->up : &p->costs->down;
  int64_t journey = cost_send_least_ns(p->costs, p->graph, link, v, band) + link->delay_ns, latest = 0;
  if (site == BRAID_CLOUD && p->goal->private_input && is_private_tensor(p->graph, v)) journey = COST_NEVER;
  for (int i = 0; i < units_of(p, v); i++) {
    int64_t here = p->finish[site][p->first[v] + i], there = capped(p->finish[!site][p->first[v] + i] + journey);
    int64_t ns = here < there ? here : there;
    if (ns > latest) latest = ns;
  }
  return latest;
}

static enum braid_status alloc_path(struct path *p, int64_t **memory) {
  int n = braid_graph_size(p->graph);
  BRAID_TRY(lay_out(p->graph, p->slices, &p->first));
  size_t units = (size_t)p->first[n], nodes = (size_t)n;
  int64_t *m = braid_malloc(2 * (units + nodes) * sizeof *m);
  if (!m) return braid_fail(BRAID_ENOMEM, "bounds of %zu rows", units);
  for (int site = 0; site < 2; site++) {
    p->finish[site] = m + (size_t)site * units;
    p->latest[site] = m + 2 * units + (size_t)site * nodes;
  }
  *memory = m;
  return BRAID_OK;
}

/* Too many rows to look at one by one: no path bound then (0 is one). */
bool bound_too_long(const struct braid_graph *graph, int slices) {
  int64_t rows = 0;
  for (int v = 0; v < braid_graph_size(graph); v++) rows += slices > 1 ? bound_rows(graph, v) : 1;
  return rows > UNITS_MAX;
}

enum braid_status bound_path_ns(const struct braid_graph *graph, const struct braid_costs *costs,
                                const struct braid_goal *goal, bool cloud, int64_t *ns) {
  struct path p = {.graph = graph, .costs = costs, .goal = goal, .cloud = cloud, .slices = goal->slices};
  int64_t *memory = NULL;
  *ns = 0;
  if (bound_too_long(graph, goal->slices)) return BRAID_OK;
  enum braid_status status = alloc_path(&p, &memory);
  if (status == BRAID_OK) {
    int n_outputs = 0;
    const int *output = braid_graph_outputs(graph, &n_outputs);
    for (int v = 0; v < braid_graph_size(graph); v++)
      for (int site = 0; site < 2; site++) finish_node(&p, site, v);
    for (int i = 0; i < n_outputs; i++) {
      int64_t answered = answered_ns(&p, output[i]);
      if (answered > *ns) *ns = answered;
    }
  }
  braid_free(p.first);
  braid_free(memory);
  return status;
}

/* --------------------------------------------------------------------------------------------- needed rows */

struct marks {
  const struct braid_graph *graph;
  int64_t *first;
  uint8_t *row; /* [rows of all nodes] */
  uint8_t *all; /* [n] the whole tensor is marked */
  int *sent;    /* [n] rows that the reader with the fewest waits for */
  bool in_order;
};

static void mark(struct marks *m, int u, struct braid_band need) {
  uint8_t *row = m->row + m->first[u];
  if (need.end <= need.begin || m->all[u]) return;
  m->all[u] = need.end - need.begin == bound_rows(m->graph, u);
  memset(row + need.begin, 1, (size_t)(need.end - need.begin));
}

/* Rows of operand k that needed rows of v wait for; needs are monotone. */
static void mark_operand(struct marks *m, int v, int k, bool whole) {
  int u = braid_graph_node(m->graph, v)->in[k], rows = bound_rows(m->graph, v), end = 0, waits = 0;
  whole = whole && memchr(m->row + m->first[v], 1, (size_t)rows);
  for (int i = 0; i < rows; i++) {
    if (!whole && !m->row[m->first[v] + i]) continue;
    struct braid_band need = braid_graph_needs(m->graph, v, k, (struct braid_band){i, whole ? rows : i + 1});
    mark(m, u, need);
    if (need.begin < end) need.begin = end;
    if (need.end > need.begin) waits += need.end - need.begin;
    if (need.end > end) end = need.end;
    if (whole) break;
  }
  if (m->in_order) waits = end;
  if (waits < m->sent[u]) m->sent[u] = waits;
}

enum braid_status bound_needed_rows(const struct braid_graph *graph, int slices, bool in_order, int *needed, int *last,
                                    int *sent) {
  int n = braid_graph_size(graph);
  struct marks m = {.graph = graph, .sent = sent, .in_order = in_order};
  for (int v = 0; v < n; v++) { /* the safe answer */
    needed[v] = sent[v] = 0;
    last[v] = -1;
  }
  if (bound_too_long(graph, 2)) return BRAID_OK;
  BRAID_TRY(lay_out(graph, 2, &m.first));
  m.row = braid_calloc((size_t)m.first[n] + (size_t)n, 1);
  if (!m.row) {
    enum braid_status status = braid_fail(BRAID_ENOMEM, "bounds of %lld rows", (long long)m.first[n]);
    braid_free(m.first);
    return status;
  }
  m.all = m.row + m.first[n];
  for (int v = 0; v < n; v++) sent[v] = bound_rows(graph, v);
  for (int v = n - 1; v >= 0; v--) {
    if (braid_graph_node(graph, v)->is_output) mark(&m, v, (struct braid_band){0, bound_rows(graph, v)});
    for (int k = 0; k < braid_graph_node(graph, v)->n_in; k++)
      if (braid_is_node(braid_graph_node(graph, v)->in[k]))
        mark_operand(&m, v, k, slices <= 1 || braid_graph_node(graph, v)->slices_max <= 1);
  }
  for (int v = 0; v < n; v++) {
    for (int i = 0; i < bound_rows(graph, v); i++) {
      if (!m.row[m.first[v] + i]) continue;
      needed[v]++;
      last[v] = i;
    }
    if (in_order) needed[v] = last[v] + 1;
    if (needed[v] < sent[v]) sent[v] = needed[v];
  }
  braid_free(m.first);
  braid_free(m.row);
  return BRAID_OK;
}
