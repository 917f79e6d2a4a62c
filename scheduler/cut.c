/* SPDX-License-Identifier: Apache-2.0
 * Edge-cloud partition as a minimum s-t cut [DADS, Hu et al., INFOCOM 2019].
 *
 * The source side is the edge. s -> v costs what v costs in the cloud, v -> t what it costs on the edge, either with
 * the way of a result that is wanted on the other side. A tensor that several nodes read is charged once: v -> a(v)
 * costs the transfer, and a(v) -> reader is infinite, so a(v) lies in the cloud as soon as one reader does. Infinite
 * reader -> v keeps S closed. Where S need not be closed, a tensor read on the edge but made in the cloud is charged
 * once the same way: reader -> b(v) infinite, b(v) -> v the transfer down. Capacities are integers (ns times weight),
 * so the cut is exact. */
#include "cut.h"
#include "maxflow.h"

struct cutter {
  const struct braid_graph *graph;
  bool closed;
  int n, *shared, source, sink; /* shared: [n] the first vertex of tensors that several nodes read */
  struct flow *flow;
};

/* Vertices: nodes; a() and, where tensors may return, b() of those that several nodes read; s, t. Counts the arcs. */
static int number_vertices(struct cutter *c) {
  int at = c->n, arcs = 0;
  for (int v = 0; v < c->n; v++) {
    int readers = braid_graph_node(c->graph, v)->n_readers;
    c->shared[v] = at;
    if (readers > 1) at += c->closed ? 1 : 2;
    arcs += 4 + 2 * readers;
  }
  c->source = at;
  c->sink = at + 1;
  return arcs;
}

enum braid_status cutter_create(const struct braid_graph *graph, bool closed, struct cutter **out) {
  struct cutter *c = braid_calloc(1, sizeof *c);
  if (!c) return braid_fail(BRAID_ENOMEM, "cutting %s", braid_graph_name(graph));
  c->graph = graph;
  c->closed = closed;
  c->n = braid_graph_size(graph);
  c->shared = braid_malloc((size_t)c->n * sizeof *c->shared);
  enum braid_status status = c->shared ? BRAID_OK : braid_fail(BRAID_ENOMEM, "cutting %s", braid_graph_name(graph));
  if (status == BRAID_OK) {
    int arcs = number_vertices(c);
    status = flow_create(c->sink + 1, arcs, &c->flow);
  }
  if (status != BRAID_OK)
    cutter_destroy(&c);
  else
    *out = c;
  return status;
}

void cutter_destroy(struct cutter **cutter) {
  if (!cutter || !*cutter) return;
  flow_destroy(&(*cutter)->flow);
  braid_free((*cutter)->shared);
  braid_free(*cutter);
  *cutter = NULL;
}

/* Results that are wanted in the cloud go up from the edge whoever else reads them: charged where they are made. */
static void add_uplink(struct cutter *c, enum braid_site deliver, int v, int64_t capacity) {
  const struct braid_node *node = braid_graph_node(c->graph, v);
  if (is_delivered(c->graph, v, deliver, BRAID_CLOUD)) {
    flow_arc(c->flow, v, c->sink, capacity);
    return;
  }
  if (node->n_readers == 1) { /* no need for a vertex in between */
    flow_arc(c->flow, v, node->reader[0], capacity);
    return;
  }
  if (node->n_readers > 1) flow_arc(c->flow, v, c->shared[v], capacity);
  for (int i = 0; i < node->n_readers; i++) flow_arc(c->flow, c->shared[v], node->reader[i], COST_NEVER);
}

static void add_returns(struct cutter *c, enum braid_site deliver, int v, int64_t capacity) {
  const struct braid_node *node = braid_graph_node(c->graph, v);
  bool comes_home = is_delivered(c->graph, v, deliver, BRAID_EDGE);
  if (c->closed) {
    for (int i = 0; i < node->n_readers; i++) flow_arc(c->flow, node->reader[i], v, COST_NEVER);
  } else if (!comes_home && node->n_readers == 1) { /* what comes home anyway is charged where it is made */
    flow_arc(c->flow, node->reader[0], v, capacity);
  } else if (!comes_home) {
    int down = c->shared[v] + 1;
    for (int i = 0; i < node->n_readers; i++) flow_arc(c->flow, node->reader[i], down, COST_NEVER);
    if (node->n_readers > 1) flow_arc(c->flow, down, v, capacity);
  }
}

static void add_node(struct cutter *c, const struct cut_costs *costs, struct cut_weights w, int v) {
  int64_t result = is_delivered(c->graph, v, costs->deliver, BRAID_EDGE) ? w.down * costs->down[v] : 0;
  flow_arc(c->flow, c->source, v, costs->pinned[v] ? COST_NEVER : w.cloud * costs->cloud[v] + result);
  flow_arc(c->flow, v, c->sink, costs->away && costs->away[v] ? COST_NEVER : w.edge * costs->edge[v]);
  add_uplink(c, costs->deliver, v, costs->up[v] == COST_NEVER ? COST_NEVER : w.up * costs->up[v]);
  add_returns(c, costs->deliver, v, w.down * costs->down[v]);
}

int64_t cutter_run(struct cutter *c, const struct cut_costs *costs, struct cut_weights weights, uint8_t *site) {
  flow_clear(c->flow);
  for (int v = 0; v < c->n; v++) add_node(c, costs, weights, v);
  int64_t value = flow_run(c->flow, c->source, c->sink);
  for (int v = 0; v < c->n && site; v++) site[v] = flow_on_source_side(c->flow, v) ? BRAID_EDGE : BRAID_CLOUD;
  return value;
}

/* ------------------------------------------------------------------------------------------------ the game */

void cut_work(const struct braid_graph *graph, const struct cut_costs *costs, const uint8_t *site, int64_t work[4]) {
  for (int r = 0; r < 4; r++) work[r] = 0;
  for (int v = 0; v < braid_graph_size(graph); v++) {
    work[site[v] == BRAID_EDGE ? BRAID_RES_EDGE : BRAID_RES_CLOUD] +=
        (site[v] == BRAID_EDGE ? costs->edge : costs->cloud)[v];
    if (site_crosses_up(graph, site, v, costs->deliver)) work[BRAID_RES_UP] += costs->up[v];
    if (site_crosses_down(graph, site, v, costs->deliver)) work[BRAID_RES_DOWN] += costs->down[v];
  }
}

/* The finest integer weights whose sums still fit. */
static double finest_weight(const struct cutter *c, const struct cut_costs *costs) {
  double total = 1;
  for (int v = 0; v < c->n; v++)
    total += (double)costs->edge[v] + (double)costs->cloud[v] + (double)costs->down[v] +
             (costs->up[v] == COST_NEVER ? 0 : (double)costs->up[v]);
  double finest = (double)(COST_NEVER / 8) / total;
  return finest > 1 << 20 ? 1 << 20 : finest;
}

static struct cut_weights to_weights(const double share[4], const int64_t capacity[4], double finest, int64_t m[4]) {
  double most = 0;
  for (int r = 0; r < 4; r++)
    if (share[r] / (double)capacity[r] > most) most = share[r] / (double)capacity[r];
  for (int r = 0; r < 4; r++) m[r] = (int64_t)(finest * share[r] / (double)capacity[r] / most);
  return (struct cut_weights){m[BRAID_RES_EDGE], m[BRAID_RES_UP], m[BRAID_RES_CLOUD], m[BRAID_RES_DOWN]};
}

/* Rounded down by more than the arithmetic may have rounded up. */
static int64_t bound_from(int64_t value, const int64_t m[4], const int64_t capacity[4], const int64_t offset_ns[4]) {
  double sum = (double)value, divisor = 0;
  for (int r = 0; r < 4; r++) {
    divisor += (double)m[r] * (double)capacity[r];
    sum += (double)m[r] * (double)capacity[r] * (double)offset_ns[r];
  }
  return (int64_t)(sum / divisor * (1 - 1e-12));
}

int64_t cutter_play(struct cutter *c, const struct cut_costs *costs, const int64_t capacity[4],
                    const int64_t offset_ns[4], uint8_t *site) {
  double share[4] = {1, 1, 1, 1}, finest = finest_weight(c, costs);
  int64_t best = 0;
  for (int round = 0; round < CUT_ROUNDS; round++) {
    int64_t m[4], work[4];
    double busy[4], most = 1;
    int64_t value = cutter_run(c, costs, to_weights(share, capacity, finest, m), site);
    if (value >= COST_NEVER) return COST_NEVER;
    int64_t bound = bound_from(value, m, capacity, offset_ns);
    if (bound > best) best = bound;
    cut_work(c->graph, costs, site, work);
    for (int r = 0; r < 4; r++) {
      busy[r] = (double)work[r] / (double)capacity[r] + (double)offset_ns[r];
      if (busy[r] > most) most = busy[r];
    }
    /* Multiplicative weights, with smaller steps towards the end. */
    double step = 2.0 / (1 + 0.25 * round);
    for (int r = 0; r < 4; r++) share[r] *= 1 + step * busy[r] / most;
  }
  return best;
}
