/* SPDX-License-Identifier: Apache-2.0
 * heft: heterogeneous earliest finish time [Topcuoglu et al., IEEE TPDS 2002], with the link as a resource.
 *
 * Nodes are taken by descending upward rank: rank(v) = w(v) + max over readers (m(v) + rank(reader)), where w is v's
 * time averaged over all workers and m its transfer averaged over both directions. Each goes where it finishes first,
 * into the earliest gap that holds it (insertion), of the worker and, for operands that are not there yet, of the
 * uplink or downlink. The paper has no contention on links; here a transfer occupies its direction, and a tensor
 * travels once. A result made in the cloud finishes when it is down. S need not be closed. Memory on the edge is taken
 * first come first served, after what must be there. Ranks of the plan are the starts in this schedule. */
#include "../internal.h"

#include <stdlib.h>
#include <string.h>

struct gap_list { /* what one worker or one direction of the link does: [begin, end), ascending */
  int n;
  int64_t (*busy)[2];
};

struct heft {
  const struct stages *st;
  struct gap_list *lane; /* workers of the edge, of the cloud, then up, down */
  int64_t *priority, *start, *finish;
  int64_t *there; /* [n] when the tensor is at the other site; -1: not sent */
  int *order;
  uint8_t *site;
  size_t memory; /* on the edge, all that must be there included */
};

static int n_lanes(const struct heft *h) {
  return h->st->costs->edge_workers + h->st->costs->cloud_workers + 2;
}

static struct gap_list *link_lane(const struct heft *h, bool up) {
  return &h->lane[n_lanes(h) - (up ? 2 : 1)];
}

/* ------------------------------------------------------------------------------------------------------ gaps */

/* The earliest start of `ns`, not before `ready`; `at`: where it would be inserted. */
static int64_t earliest(const struct gap_list *lane, int64_t ready, int64_t ns, int *at) {
  int64_t begin = ready;
  int i = 0;
  for (; i < lane->n; i++) {
    if (lane->busy[i][0] >= begin + ns) break;
    if (lane->busy[i][1] > begin) begin = lane->busy[i][1];
  }
  *at = i;
  return begin;
}

static void occupy(struct gap_list *lane, int at, int64_t begin, int64_t ns) {
  memmove(&lane->busy[at + 1], &lane->busy[at], (size_t)(lane->n - at) * sizeof *lane->busy);
  lane->busy[at][0] = begin;
  lane->busy[at][1] = begin + ns;
  lane->n++;
}

/* --------------------------------------------------------------------------------------------- upward rank */

static void rank_upwards(struct heft *h) {
  const struct stages *st = h->st;
  const struct braid_costs *c = st->costs;
  int64_t workers = c->edge_workers + c->cloud_workers;
  for (int v = st->n - 1; v >= 0; v--) {
    const struct braid_node *node = braid_graph_node(st->graph, v);
    int64_t up = st->up[v] < COST_NEVER ? st->up[v] + c->up.delay_ns : 0, longest = 0;
    int64_t mean = (up + st->down[v] + c->down.delay_ns) / 2;
    for (int i = 0; i < node->n_readers; i++)
      if (mean + h->priority[node->reader[i]] > longest) longest = mean + h->priority[node->reader[i]];
    h->priority[v] =
        longest + (c->edge_workers * st->work[BRAID_EDGE][v] + c->cloud_workers * st->work[BRAID_CLOUD][v]) / workers;
  }
}

struct ranked {
  int64_t key;
  int node;
};

static int by_key(const void *a, const void *b) {
  const struct ranked *x = a, *y = b;
  if (x->key != y->key) return x->key < y->key ? -1 : 1;
  return x->node - y->node; /* ids are topological: no reader comes before its operand */
}

/* Nodes by ascending key, then id. */
static enum braid_status sort_nodes(const int64_t *key, int64_t sign, int n, int *order) {
  struct ranked *list = braid_malloc((size_t)n * sizeof *list);
  if (!list) return braid_fail(BRAID_ENOMEM, "sorting %d nodes", n);
  for (int v = 0; v < n; v++) list[v] = (struct ranked){sign * key[v], v};
  qsort(list, (size_t)n, sizeof *list, by_key);
  for (int i = 0; i < n; i++) order[i] = list[i].node;
  braid_free(list);
  return BRAID_OK;
}

/* --------------------------------------------------------------------------------------------- placing a node */

static int64_t transfer_ns(const struct heft *h, int u) {
  return h->site[u] == BRAID_EDGE ? h->st->up[u] : h->st->down[u];
}

static int64_t delay_ns(const struct heft *h, int u) {
  return h->site[u] == BRAID_EDGE ? h->st->costs->up.delay_ns : h->st->costs->down.delay_ns;
}

/* When operand u can be read at `site`. Booked only when `book`: a trial looks at each operand by itself. */
static int64_t operand_at(struct heft *h, int u, int site, bool book) {
  if (h->site[u] == site) return h->finish[u];
  if (h->there[u] >= 0) return h->there[u];
  int at = 0;
  struct gap_list *lane = link_lane(h, h->site[u] == BRAID_EDGE);
  int64_t ns = transfer_ns(h, u), begin = earliest(lane, h->finish[u], ns, &at);
  if (!book) return begin + ns + delay_ns(h, u);
  occupy(lane, at, begin, ns);
  return h->there[u] = begin + ns + delay_ns(h, u);
}

static int64_t ready_at(struct heft *h, int v, int site, bool book) {
  const struct braid_node *node = braid_graph_node(h->st->graph, v);
  int64_t ready = 0;
  for (int k = 0; k < node->n_in; k++) {
    if (!braid_is_node(node->in[k])) continue;
    int64_t at = operand_at(h, node->in[k], site, book);
    if (at > ready) ready = at;
  }
  return ready;
}

static struct gap_list *best_lane(struct heft *h, int site, int64_t ready, int64_t ns, int64_t *begin, int *at) {
  const struct braid_costs *c = h->st->costs;
  int first = site == BRAID_EDGE ? 0 : c->edge_workers, best = first;
  for (int i = 0; i < cost_workers(c, (enum braid_site)site); i++) {
    int where = 0;
    int64_t start = earliest(&h->lane[first + i], ready, ns, &where);
    if (i > 0 && start >= *begin) continue;
    *begin = start;
    *at = where;
    best = first + i;
  }
  return &h->lane[best];
}

static bool may_be_at(const struct heft *h, int v, int site) {
  const struct stages *st = h->st;
  const struct braid_node *node = braid_graph_node(st->graph, v);
  int8_t pin = st->goal->pinned ? st->goal->pinned[v] : -1;
  if (st->pinned[v]) return site == BRAID_EDGE;
  if (pin >= 0) return site == pin;
  for (int k = 0; k < node->n_in && site == BRAID_CLOUD; k++)
    if (braid_is_node(node->in[k]) && h->site[node->in[k]] == BRAID_EDGE && st->up[node->in[k]] >= COST_NEVER)
      return false;
  return site == BRAID_CLOUD || st->goal->edge_memory == 0 || h->memory + st->memory[v] <= st->goal->edge_memory;
}

static int64_t finish_at(struct heft *h, int v, int site) {
  const struct stages *st = h->st;
  int at = 0;
  int64_t begin = 0, ns = st->work[site][v], ready = ready_at(h, v, site, false);
  (void)best_lane(h, site, ready, ns, &begin, &at);
  bool up = site == BRAID_EDGE;
  if (!is_delivered(st->graph, v, st->goal->deliver, up ? BRAID_CLOUD : BRAID_EDGE)) return begin + ns;
  int64_t way_ns = up ? st->up[v] : st->down[v], delay_ns = up ? st->costs->up.delay_ns : st->costs->down.delay_ns;
  return earliest(link_lane(h, up), begin + ns, way_ns, &at) + way_ns + delay_ns;
}

static void place(struct heft *h, int v, int site) {
  const struct stages *st = h->st;
  int at = 0;
  int64_t begin = 0, ns = st->work[site][v], ready = ready_at(h, v, site, true);
  if (braid_graph_node(st->graph, v)->op != BRAID_OP_INPUT) {
    struct gap_list *lane = best_lane(h, site, ready, ns, &begin, &at);
    occupy(lane, at, begin, ns);
  }
  bool counted = st->pinned[v] || (st->goal->pinned && st->goal->pinned[v] == BRAID_EDGE);
  if (site == BRAID_EDGE && !counted) h->memory += st->memory[v];
  h->site[v] = (uint8_t)site;
  h->start[v] = begin;
  h->finish[v] = begin + ns;
  if (braid_graph_node(st->graph, v)->is_output) (void)operand_at(h, v, st->goal->deliver, true);
}

static enum braid_status schedule(struct heft *h) {
  const struct stages *st = h->st;
  for (int v = 0; v < st->n; v++)
    if (st->pinned[v] || (st->goal->pinned && st->goal->pinned[v] == BRAID_EDGE)) h->memory += st->memory[v];
  for (int i = 0; i < st->n; i++) {
    int v = h->order[i];
    bool edge = may_be_at(h, v, BRAID_EDGE), cloud = may_be_at(h, v, BRAID_CLOUD);
    if (!edge && !cloud)
      return braid_fail(BRAID_ENOTFOUND,
                        "node %d '%s' can run nowhere: the edge's memory of %zu bytes is taken, or private input and "
                        "pinned nodes exclude each other",
                        v, braid_graph_node(st->graph, v)->name, st->goal->edge_memory);
    place(h, v,
          !cloud || (edge && finish_at(h, v, BRAID_EDGE) <= finish_at(h, v, BRAID_CLOUD)) ? BRAID_EDGE : BRAID_CLOUD);
  }
  return BRAID_OK;
}

/* ---------------------------------------------------------------------------------------------- the policy */

static enum braid_status alloc_heft(struct heft *h, const struct stages *st) {
  size_t n = (size_t)st->n;
  h->st = st;
  size_t lanes = (size_t)n_lanes(h);
  h->priority = braid_calloc(4 * n, sizeof *h->priority);
  h->order = braid_malloc(n * sizeof *h->order);
  h->site = braid_calloc(n, 1);
  h->lane = braid_calloc(lanes, sizeof *h->lane);
  bool ok = h->priority && h->order && h->site && h->lane;
  for (size_t i = 0; ok && i < lanes; i++)
    ok = (h->lane[i].busy = braid_malloc((n + 1) * sizeof *h->lane[i].busy)) != NULL;
  if (!ok) return braid_fail(BRAID_ENOMEM, "scheduling %d nodes", st->n);
  h->start = h->priority + n;
  h->finish = h->start + n;
  h->there = h->finish + n;
  for (size_t v = 0; v < n; v++) h->there[v] = -1;
  return BRAID_OK;
}

static void free_heft(struct heft *h) {
  for (int i = 0; h->lane && i < n_lanes(h); i++) braid_free(h->lane[i].busy);
  braid_free(h->lane);
  braid_free(h->priority);
  braid_free(h->order);
  braid_free(h->site);
}

static enum braid_status run(struct heft *h, struct braid_plan **out) {
  const struct stages *st = h->st;
  rank_upwards(h);
  BRAID_TRY(sort_nodes(h->priority, -1, st->n, h->order));
  BRAID_TRY(schedule(h));
  BRAID_TRY(stages_admit(st, h->site));
  BRAID_TRY(sort_nodes(h->start, 1, st->n, h->order));
  BRAID_TRY(stages_plan(st, "heft", h->site, false, out));
  for (int i = 0; i < st->n; i++) (*out)->rank[h->order[i]] = i;
  return BRAID_OK;
}

static enum braid_status decide(const struct braid_graph *graph, const struct braid_costs *costs,
                                const struct braid_goal *goal, struct braid_plan **out) {
  struct stages *st = NULL;
  struct heft h = {0};
  BRAID_TRY(stages_create(graph, costs, goal, &st));
  enum braid_status status = alloc_heft(&h, st);
  if (status == BRAID_OK) status = run(&h, out);
  free_heft(&h);
  stages_destroy(&st);
  return status;
}

const struct braid_policy policy_heft = {"heft", "list scheduling by upward rank, link included, returns allowed",
                                         "Topcuoglu et al., IEEE TPDS 2002", decide};
