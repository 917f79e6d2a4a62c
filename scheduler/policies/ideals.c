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

#include "../timeline.h"

#include <stdlib.h>
#include <string.h>

struct ideals {
  const struct stages *st;
  int n, words;
  const struct braid_node **node; /* [n] */
  bool overlaps;                  /* a reader may start before its operands are complete */
  bool sums_bind;                 /* all of all nodes has to be over before the last answer */
  int64_t *ancestry;              /* [n] edge work of v and all its ancestors */
  int64_t *progeny;               /* [n] cloud work of v and all its descendants */
  int64_t *result;                /* [n] the shortest way down of a last result among v and its descendants */
  bool summed;                    /* the three above are filled */
  bool contradictory;             /* fixed nodes exclude each other: no set at all */
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
    bool comes_home = is_delivered(d->st->graph, v, d->st->goal->deliver, BRAID_EDGE);
    d->result[v] = node->n_readers > 0 ? COST_NEVER
                   : comes_home        ? d->st->down[v] + d->st->costs->down.delay_ns
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

static enum braid_status find_whether_sums_bind(struct ideals *d) {
  struct tl_layouts layouts = {0};
  struct slab memory = {0};
  struct braid_plan *plan = NULL;
  const struct timeline *tl = NULL;
  BRAID_TRY(braid_plan_create(d->st->graph, "", &plan));
  plan_set_slices(plan, d->st->graph, d->st->goal->slices);
  enum braid_status status = tl_layouts_open(d->st->graph, d->st->costs, &layouts);
  if (status == BRAID_OK) status = timeline_create(plan, &layouts, &memory, &tl);
  if (status == BRAID_OK) d->sums_bind = tl->all_count;
  slab_free(&memory);
  tl_layouts_close(&layouts);
  braid_plan_destroy(&plan);
  return status;
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
  d->node = braid_calloc(n, sizeof *d->node);
  bool ok = d->node && d->ancestry && d->progeny && d->result && d->head && d->site && d->fixed && d->release;
  if (!ok) {
    ideals_destroy(&d);
    return braid_fail(BRAID_ENOMEM, "closed sets of %d nodes", st->n);
  }
  for (int v = 0; v < d->n; v++) d->node[v] = braid_graph_node(st->graph, v);
  fix_nodes(d);
  enum braid_status status = find_whether_sums_bind(d);
  if (status == BRAID_OK)
    *out = d;
  else
    ideals_destroy(&d);
  return status;
}

void ideals_destroy(struct ideals **ideals) {
  if (!ideals || !*ideals) return;
  struct ideals *d = *ideals;
  void *parts[] = {d->ancestry, d->progeny, d->result, d->head, d->site, d->fixed, d->release, d->node};
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
    if (!site_crosses_up(st->graph, site, v, st->goal->deliver)) continue;
    int64_t after = tail_after_arrival(d, site, v) + st->costs->up.delay_ns;
    struct release r = {d->ancestry[v] / st->costs->edge_workers, st->up[v]};
    single = max_ns(single, r.at + r.ns + after);
    if (after < tail) tail = after;
    d->release[n++] = r;
  }
  return n > 0 ? max_ns(single, done_ns(d->release, n, 1) + tail) : 0;
}

/* `below`: nobody asks by how much the result is not below it, which saves the sorting. */
static int64_t cloud_ns(struct ideals *d, const uint8_t *site, int64_t below) {
  const struct stages *st = d->st;
  const struct braid_costs *c = st->costs;
  int64_t tail = COST_NEVER, earliest = COST_NEVER, sum = 0;
  int n = 0;
  for (int v = 0; v < d->n; v++) {
    const struct braid_node *node = d->node[v];
    if (site[v] != BRAID_CLOUD) continue;
    int64_t head = 0;
    for (int k = 0; k < node->n_in; k++) {
      int u = node->in[k];
      if (!braid_is_node(u)) continue;
      int64_t at = site[u] == BRAID_CLOUD ? d->head[u] + st->work[BRAID_CLOUD][u]
                                          : d->ancestry[u] / c->edge_workers + st->up[u] + c->up.delay_ns;
      head = max_ns(head, at);
    }
    d->head[v] = head;
    d->release[n++] = (struct release){head, st->work[BRAID_CLOUD][v]};
    sum += st->work[BRAID_CLOUD][v];
    if (head < earliest) earliest = head;
    if (d->result[v] < tail) tail = d->result[v];
  }
  if (n == 0) return 0;
  if (tail >= COST_NEVER) tail = 0;
  int64_t rough = earliest + sum / c->cloud_workers + tail;
  return rough >= below ? rough : done_ns(d->release, n, c->cloud_workers) + tail;
}

/* The least latency of any schedule with these sites, which are closed, or some value not below `below`; the cheap
 * reasons first. `edge`, `cloud`: sums of work. */
static int64_t bound_ns(struct ideals *d, const uint8_t *site, int64_t edge, int64_t cloud, int64_t below) {
  const struct braid_costs *c = d->st->costs;
  int64_t bound = d->sums_bind ? max_ns(edge / c->edge_workers, cloud / c->cloud_workers) : 0;
  if (d->overlaps || bound >= below) return bound;
  bound = max_ns(bound, uplink_ns(d, site));
  return bound >= below ? bound : max_ns(bound, cloud_ns(d, site, below));
}

/* ----------------------------------------------------------------------------------------------------- walk */

static bool may_stay(const struct ideals *d, int v) {
  const struct braid_node *node = d->node[v];
  for (int k = 0; k < node->n_in; k++)
    if (braid_is_node(node->in[k]) && d->site[node->in[k]] == BRAID_CLOUD) return false;
  return true;
}

/* Nodes are where they must be; what is left of the goal are sums. */
static bool is_admitted(const struct ideals *d, int64_t *period_ns) {
  const struct braid_goal *goal = d->st->goal;
  struct stage_sums sums;
  *period_ns = 0;
  if (goal->objective != BRAID_THROUGHPUT && goal->edge_memory == 0) return true;
  stages_sum(d->st, d->site, &sums);
  *period_ns = stages_period_ns(d->st, &sums);
  return stages_latency_ns(d->st, &sums) < COST_NEVER;
}

static enum braid_status at_leaf(struct ideals *d, int64_t edge, int64_t cloud) {
  d->count++;
  if (!d->visit) return BRAID_OK;
  bool throughput = d->st->goal->objective == BRAID_THROUGHPUT;
  int64_t bound = throughput ? 0 : bound_ns(d, d->site, edge, cloud, *d->best_ns), period = 0;
  if (bound >= *d->best_ns || !is_admitted(d, &period)) return BRAID_OK;
  if (throughput) bound = period;
  return bound >= *d->best_ns ? BRAID_OK : d->visit(d->ctx, d->site, bound);
}

/* All sets that agree with site[] below v; `work` is what is decided so far. */
static enum braid_status walk(struct ideals *d, int v, int64_t edge, int64_t cloud) {
  const struct braid_costs *c = d->st->costs;
  if (d->count >= d->limit) return BRAID_OK;
  bool bind = d->visit && (d->sums_bind || d->st->goal->objective == BRAID_THROUGHPUT);
  if (bind && (edge / c->edge_workers >= *d->best_ns || cloud / c->cloud_workers >= *d->best_ns)) return BRAID_OK;
  for (; v < d->n && (d->fixed[v] >= 0 || !may_stay(d, v)); v++) { /* no choice */
    d->site[v] = d->fixed[v] == BRAID_EDGE ? BRAID_EDGE : BRAID_CLOUD;
    *(d->site[v] == BRAID_EDGE ? &edge : &cloud) += d->st->work[d->site[v]][v];
  }
  if (v == d->n) return at_leaf(d, edge, cloud);
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
