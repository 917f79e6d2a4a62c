/* SPDX-License-Identifier: Apache-2.0
 * Enumerating closed sets, and a bound for each.
 *
 * Nodes are decided in the order of ids, so all operands of a node are decided before it: it may stay on the edge only
 * if they all do. There are no dead ends, and a branch of the tree is left when the work already on one site exceeds
 * the best value so far.
 *
 * Bound of a complete set with whole nodes: before a tensor can be sent, all its ancestors have run on the edge, and
 * after a cloud node has its operands, all its descendants must run in the cloud. That gives every transfer a head and
 * a tail, every cloud node a head, and each of the two resources is a one-machine problem [Carlier, EJOR 1982],
 * relaxed: by Jackson's rule without the tails (all work is done by heads + sums, then the shortest tail). Slices let
 * readers start early, and some operators read only a part of their operand: then only the sums count. */
#include "ideals.h"

#include <stdlib.h>
#include <string.h>

struct ideals {
  const struct stages *st;
  int n, words;
  bool overlaps;      /* a reader may start before its operands are complete */
  int64_t *ancestry;  /* [n] edge work of v and all its ancestors */
  int64_t *progeny;   /* [n] cloud work of v and all its descendants */
  int64_t *result;    /* [n] the shortest way down of a last result among v and its descendants */
  bool summed;        /* the three above are filled */
  bool contradictory; /* fixed nodes exclude each other: no set at all */
  uint8_t *site;
  int8_t *fixed; /* site, or -1 */
  struct release *release;
  int64_t *head; /* [n] cloud nodes: not before */
  /* The walk: */
  const int64_t *best_ns;
  ideals_visit_fn *visit;
  void *ctx;
  int64_t count, limit;
};
struct release {
  int64_t at, ns;
};

/* -------------------------------------------------------------------------------------------------- making */

static void add_set(const struct ideals *d, const uint64_t *set, const int64_t *ns, int64_t *sum) {
  for (int v = 0; v < d->n; v++)
    if (set[v / 64] >> (v % 64) & 1) *sum += ns[v];
}

/* Ancestors by operands upwards in id, descendants by readers downwards. */
static enum braid_status sum_relatives(struct ideals *d) {
  size_t words = (size_t)d->words;
  uint64_t *set = braid_calloc(words * (size_t)d->n, sizeof *set);
  if (!set) return braid_fail(BRAID_ENOMEM, "closed sets of %d nodes", d->n);
  for (int v = 0; v < d->n; v++) {
    const struct braid_node *node = braid_graph_node(d->st->graph, v);
    uint64_t *mine = set + words * (size_t)v;
    mine[v / 64] |= UINT64_C(1) << (v % 64);
    for (int k = 0; k < node->n_in; k++)
      for (size_t w = 0; braid_is_node(node->in[k]) && w < words; w++) mine[w] |= set[words * (size_t)node->in[k] + w];
    add_set(d, mine, d->st->work[BRAID_EDGE], &d->ancestry[v]);
  }
  memset(set, 0, words * (size_t)d->n * sizeof *set);
  for (int v = d->n - 1; v >= 0; v--) {
    const struct braid_node *node = braid_graph_node(d->st->graph, v);
    uint64_t *mine = set + words * (size_t)v;
    mine[v / 64] |= UINT64_C(1) << (v % 64);
    d->result[v] = node->n_readers > 0 ? COST_NEVER
                   : node->is_output   ? d->st->down[v] + d->st->costs->down.delay_ns
                                       : 0;
    for (int i = 0; i < node->n_readers; i++) {
      for (size_t w = 0; w < words; w++) mine[w] |= set[words * (size_t)node->reader[i] + w];
      if (d->result[node->reader[i]] < d->result[v]) d->result[v] = d->result[node->reader[i]];
    }
    add_set(d, mine, d->st->work[BRAID_CLOUD], &d->progeny[v]);
  }
  braid_free(set);
  d->summed = true;
  return BRAID_OK;
}

/* Does every node wait for all rows of all its operands? */
static bool reads_in_part(const struct braid_graph *graph) {
  for (int v = 0; v < braid_graph_size(graph); v++) {
    const struct braid_node *node = braid_graph_node(graph, v);
    for (int k = 0; k < node->n_in; k++) {
      if (!braid_is_node(node->in[k])) continue;
      int rows = node->rows > 0 ? node->rows : 1, all = braid_graph_node(graph, node->in[k])->rows;
      struct braid_band need = braid_graph_needs(graph, v, k, (struct braid_band){0, rows});
      if (need.begin > 0 || need.end < all) return true;
    }
  }
  return false;
}

static void fix(struct ideals *d, int v, int8_t site) {
  d->contradictory |= d->fixed[v] >= 0 && d->fixed[v] != site;
  d->fixed[v] = site;
}

/* What a node on the edge reads is on the edge, what reads a node in the cloud is in the cloud: then no choice of the
 * walk leads nowhere. */
static void fix_nodes(struct ideals *d) {
  const struct stages *st = d->st;
  for (int v = 0; v < d->n; v++) d->fixed[v] = st->pinned[v] ? BRAID_EDGE : -1;
  for (int v = 0; v < d->n && st->goal->pinned; v++)
    if (st->goal->pinned[v] >= 0) fix(d, v, st->goal->pinned[v]);
  for (int v = d->n - 1; v >= 0; v--) {
    const struct braid_node *node = braid_graph_node(st->graph, v);
    for (int k = 0; k < node->n_in && d->fixed[v] == BRAID_EDGE; k++)
      if (braid_is_node(node->in[k])) fix(d, node->in[k], BRAID_EDGE);
  }
  for (int v = 0; v < d->n; v++) {
    const struct braid_node *node = braid_graph_node(st->graph, v);
    for (int i = 0; i < node->n_readers && d->fixed[v] == BRAID_CLOUD; i++) fix(d, node->reader[i], BRAID_CLOUD);
  }
}

enum braid_status ideals_create(const struct stages *st, struct ideals **out) {
  struct ideals *d = braid_calloc(1, sizeof *d);
  if (!d) return braid_fail(BRAID_ENOMEM, "closed sets of %d nodes", st->n);
  size_t n = (size_t)st->n;
  d->st = st;
  d->n = st->n;
  d->words = (st->n + 63) / 64;
  d->overlaps = st->goal->slices > 1 || reads_in_part(st->graph);
  d->ancestry = braid_calloc(n, sizeof *d->ancestry);
  d->progeny = braid_calloc(n, sizeof *d->progeny);
  d->result = braid_calloc(n, sizeof *d->result);
  d->head = braid_calloc(n, sizeof *d->head);
  d->site = braid_calloc(n, 1);
  d->fixed = braid_calloc(n, 1);
  d->release = braid_calloc(n, sizeof *d->release);
  bool ok = d->ancestry && d->progeny && d->result && d->head && d->site && d->fixed && d->release;
  if (!ok) {
    ideals_destroy(&d);
    return braid_fail(BRAID_ENOMEM, "closed sets of %d nodes", st->n);
  }
  fix_nodes(d);
  *out = d;
  return BRAID_OK;
}

void ideals_destroy(struct ideals **ideals) {
  if (!ideals || !*ideals) return;
  struct ideals *d = *ideals;
  void *parts[] = {d->ancestry, d->progeny, d->result, d->head, d->site, d->fixed, d->release};
  for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) braid_free(parts[i]);
  braid_free(d);
  *ideals = NULL;
}

/* ---------------------------------------------------------------------------------------------------- bound */

static int by_release(const void *a, const void *b) {
  const struct release *x = a, *y = b;
  if (x->at != y->at) return x->at < y->at ? -1 : 1;
  return x->ns < y->ns ? -1 : x->ns > y->ns;
}

/* When `workers` equal machines can have done everything: by any suffix of the releases. */
static int64_t done_ns(struct release *list, int n, int workers) {
  int64_t done = 0, sum = 0;
  qsort(list, (size_t)n, sizeof *list, by_release);
  for (int i = n - 1; i >= 0; i--) {
    sum += list[i].ns;
    done = max_ns(done, list[i].at + sum / workers);
  }
  return done;
}

static int64_t tail_after_arrival(const struct ideals *d, const uint8_t *site, int u) {
  const struct braid_node *node = braid_graph_node(d->st->graph, u);
  const struct braid_costs *c = d->st->costs;
  int64_t tail = 0;
  for (int i = 0; i < node->n_readers; i++) {
    int w = node->reader[i];
    if (site[w] != BRAID_CLOUD) continue;
    tail = max_ns(tail, d->progeny[w] / c->cloud_workers + d->result[w]);
  }
  return tail;
}

/* Transfers: after all ancestors, one at a time, then the delay and the shortest tail. */
static int64_t uplink_ns(struct ideals *d, const uint8_t *site) {
  const struct stages *st = d->st;
  int64_t tail = COST_NEVER, single = 0;
  int n = 0;
  for (int v = 0; v < d->n; v++) {
    if (!site_crosses_up(st->graph, site, v)) continue;
    int64_t after = tail_after_arrival(d, site, v) + st->costs->up.delay_ns;
    struct release r = {d->ancestry[v] / st->costs->edge_workers, st->up[v]};
    single = max_ns(single, r.at + r.ns + after);
    if (after < tail) tail = after;
    d->release[n++] = r;
  }
  return n > 0 ? max_ns(single, done_ns(d->release, n, 1) + tail) : 0;
}

static int64_t cloud_ns(struct ideals *d, const uint8_t *site) {
  const struct stages *st = d->st;
  const struct braid_costs *c = st->costs;
  int64_t tail = COST_NEVER;
  int n = 0;
  for (int v = 0; v < d->n; v++) {
    const struct braid_node *node = braid_graph_node(st->graph, v);
    if (site[v] != BRAID_CLOUD) continue;
    d->head[v] = 0;
    for (int k = 0; k < node->n_in; k++) {
      int u = node->in[k];
      if (!braid_is_node(u)) continue;
      int64_t at = site[u] == BRAID_CLOUD ? d->head[u] + st->work[BRAID_CLOUD][u]
                                          : d->ancestry[u] / c->edge_workers + st->up[u] + c->up.delay_ns;
      d->head[v] = max_ns(d->head[v], at);
    }
    d->release[n++] = (struct release){d->head[v], st->work[BRAID_CLOUD][v]};
    if (d->result[v] < tail) tail = d->result[v];
  }
  return n > 0 ? done_ns(d->release, n, c->cloud_workers) + (tail < COST_NEVER ? tail : 0) : 0;
}

/* The least latency of any schedule of whole nodes with these sites, which are closed. */
static int64_t bound_ns(struct ideals *d, const uint8_t *site) {
  const struct stages *st = d->st;
  if (d->overlaps) return 0;
  int64_t edge = 0;
  for (int v = 0; v < d->n; v++) edge += site[v] == BRAID_EDGE ? st->work[BRAID_EDGE][v] : 0;
  return max_ns(edge / st->costs->edge_workers, max_ns(uplink_ns(d, site), cloud_ns(d, site)));
}

/* ----------------------------------------------------------------------------------------------------- walk */

static bool may_stay(const struct ideals *d, int v) {
  const struct braid_node *node = braid_graph_node(d->st->graph, v);
  for (int k = 0; k < node->n_in; k++)
    if (braid_is_node(node->in[k]) && d->site[node->in[k]] == BRAID_CLOUD) return false;
  return true;
}

static enum braid_status at_leaf(struct ideals *d) {
  d->count++;
  if (!d->visit) return BRAID_OK;
  struct stage_sums sums;
  stages_sum(d->st, d->site, &sums);
  if (stages_latency_ns(d->st, &sums) >= COST_NEVER) return BRAID_OK;
  bool throughput = d->st->goal->objective == BRAID_THROUGHPUT;
  int64_t bound = throughput ? stages_period_ns(d->st, &sums) : bound_ns(d, d->site);
  return bound >= *d->best_ns ? BRAID_OK : d->visit(d->ctx, d->site, bound);
}

/* All sets that agree with site[] below v; `work` is what is decided so far. */
static enum braid_status walk(struct ideals *d, int v, int64_t edge, int64_t cloud) {
  const struct braid_costs *c = d->st->costs;
  if (d->count >= d->limit) return BRAID_OK;
  bool sums_bind = d->visit && (!d->overlaps || d->st->goal->objective == BRAID_THROUGHPUT);
  if (sums_bind && (edge / c->edge_workers >= *d->best_ns || cloud / c->cloud_workers >= *d->best_ns)) return BRAID_OK;
  for (; v < d->n && (d->fixed[v] >= 0 || !may_stay(d, v)); v++) { /* no choice */
    d->site[v] = d->fixed[v] == BRAID_EDGE ? BRAID_EDGE : BRAID_CLOUD;
    *(d->site[v] == BRAID_EDGE ? &edge : &cloud) += d->st->work[d->site[v]][v];
  }
  if (v == d->n) return at_leaf(d);
  d->site[v] = BRAID_EDGE;
  BRAID_TRY(walk(d, v + 1, edge + d->st->work[BRAID_EDGE][v], cloud));
  d->site[v] = BRAID_CLOUD;
  return walk(d, v + 1, edge, cloud + d->st->work[BRAID_CLOUD][v]);
}

int64_t ideals_count(struct ideals *d, int64_t limit) {
  d->visit = NULL;
  d->count = 0;
  d->limit = limit;
  enum braid_status status = d->contradictory ? BRAID_OK : walk(d, 0, 0, 0);
  return status == BRAID_OK ? d->count : limit;
}

enum braid_status ideals_each(struct ideals *d, const int64_t *best_ns, ideals_visit_fn *visit, void *ctx) {
  d->best_ns = best_ns;
  d->visit = visit;
  d->ctx = ctx;
  d->count = 0;
  d->limit = INT64_MAX;
  if (!d->summed) BRAID_TRY(sum_relatives(d));
  return d->contradictory ? BRAID_OK : walk(d, 0, 0, 0);
}
