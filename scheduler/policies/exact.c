/* SPDX-License-Identifier: Apache-2.0
 * exact: every closed set, by branch and bound [ours; the oracle of the tests].
 *
 * What it is exact over. Throughput: all closed sets, by max(E, U, C, D). Latency: all closed sets x orders, by the
 * simulator, with the goal's slices on every node; the orders are by id, by longest way to the end, and depth first
 * with the branches of the blocks the set cuts in every order (the first 120 of them), each pipelined, and serial.
 * Plans outside of this (returns from the cloud, other orders, other slices) may be better. Networks with more than
 * IDEALS_MAX closed sets are refused, and with slices much smaller ones. */
#include "ideals.h"
#include "orders.h"

#include <string.h>

#define SLICED_TASKS_MAX 40000 /* sets x tasks: with slices there is no bound to prune with */

struct exact {
  const struct stages *st;
  struct simulator *simulator;
  struct braid_plan *trial, **best;
  int64_t *best_ns, *tasks, bound_ns;
  int orders, *rank, *by_way;
  int64_t set_tasks;
};

/* ------------------------------------------------------------------------------------------------- scoring */

static enum braid_status keep(struct exact *x, int64_t ns) {
  if (ns >= *x->best_ns) return BRAID_OK;
  *x->best_ns = ns;
  braid_plan_destroy(x->best);
  return braid_plan_copy(x->trial, x->best);
}

static enum braid_status try_rank(void *ctx, const int *rank) {
  struct exact *x = ctx;
  int64_t ns = COST_NEVER;
  if (*x->best_ns <= x->bound_ns) return BRAID_OK; /* no order of this set is better */
  memcpy(x->trial->rank, rank, (size_t)x->st->n * sizeof *rank);
  *x->tasks += x->set_tasks;
  BRAID_TRY(simulator_latency(x->simulator, x->trial, *x->best_ns, &ns));
  return keep(x, ns);
}

static enum braid_status try_by_id(struct exact *x) {
  for (int v = 0; v < x->st->n; v++) x->rank[v] = v;
  return try_rank(x, x->rank);
}

static enum braid_status visit(void *ctx, const uint8_t *site, int64_t bound_ns) {
  struct exact *x = ctx;
  memcpy(x->trial->site, site, (size_t)x->st->n);
  if (x->st->goal->objective == BRAID_THROUGHPUT) return keep(x, bound_ns);
  x->bound_ns = bound_ns;
  BRAID_TRY(try_by_id(x));
  BRAID_TRY(try_rank(x, x->by_way));
  BRAID_TRY(orders_each(x->st->graph, site, x->orders, x->rank, try_rank, x));
  x->trial->serial = true;
  enum braid_status status = try_by_id(x);
  x->trial->serial = false;
  return status;
}

/* Ranks by the longest way to the end, each node at its faster site: what more follows goes first. */
static void rank_by_way(struct exact *x) {
  const struct stages *st = x->st;
  int64_t *way = braid_malloc((size_t)st->n * sizeof *way);
  for (int v = st->n - 1; v >= 0 && way; v--) {
    const struct braid_node *node = braid_graph_node(st->graph, v);
    int64_t e = st->work[BRAID_EDGE][v], c = st->work[BRAID_CLOUD][v];
    way[v] = 0;
    for (int i = 0; i < node->n_readers; i++)
      if (way[node->reader[i]] > way[v]) way[v] = way[node->reader[i]];
    way[v] += e < c ? e : c;
  }
  for (int v = 0; v < st->n; v++) {
    x->by_way[v] = way ? 0 : v;
    for (int u = 0; u < st->n && way; u++) x->by_way[v] += way[u] > way[v] || (way[u] == way[v] && u < v);
  }
  braid_free(way);
}

enum braid_status exact_search(struct ideals *ideals, const struct stages *st, struct simulator *simulator, int orders,
                               struct braid_plan **best, int64_t *best_ns, int64_t *tasks) {
  size_t n = (size_t)st->n;
  struct exact x = {
      .st = st, .simulator = simulator, .best = best, .best_ns = best_ns, .tasks = tasks, .orders = orders};
  x.rank = braid_malloc(2 * n * sizeof *x.rank);
  if (!x.rank) return braid_fail(BRAID_ENOMEM, "closed sets of %d nodes", st->n);
  x.by_way = x.rank + n;
  rank_by_way(&x);
  uint8_t *all_edge = braid_calloc(n, 1);
  enum braid_status status = all_edge ? stages_plan(st, "exact", all_edge, false, &x.trial)
                                      : braid_fail(BRAID_ENOMEM, "closed sets of %d nodes", st->n);
  if (status == BRAID_OK) {
    for (int v = 0; v < st->n; v++) x.set_tasks += x.trial->slices[v];
    status = ideals_each(ideals, best_ns, visit, &x);
  }
  braid_plan_destroy(&x.trial);
  braid_free(all_edge);
  braid_free(x.rank);
  return status;
}

/* ---------------------------------------------------------------------------------------------- the policy */

/* How many sets may be tried. */
static int64_t sets_max(const struct stages *st) {
  int64_t tasks = 0;
  if (st->goal->slices <= 1 || st->goal->objective == BRAID_THROUGHPUT) return IDEALS_MAX;
  for (int v = 0; v < st->n; v++) {
    int slices = braid_graph_node(st->graph, v)->slices_max;
    tasks += slices < st->goal->slices ? slices : st->goal->slices;
  }
  return SLICED_TASKS_MAX / tasks;
}

static enum braid_status search(const struct stages *st, struct ideals *ideals, struct braid_plan **out) {
  int64_t best_ns = COST_NEVER, tasks = 0, most = sets_max(st);
  if (st->n > IDEALS_NODES_MAX || ideals_count(ideals, most + 1) > most)
    return braid_fail(BRAID_EUNSUPPORTED,
                      "%s has more than %d nodes or %lld closed sets of them: too many to try them all",
                      braid_graph_name(st->graph), IDEALS_NODES_MAX, (long long)most);
  struct simulator *simulator = NULL;
  BRAID_TRY(simulator_create(st->graph, st->costs, &simulator));
  enum braid_status status = exact_search(ideals, st, simulator, ORDERS_MAX, out, &best_ns, &tasks);
  simulator_destroy(&simulator);
  BRAID_TRY(status);
  if (*out) return BRAID_OK;
  char text[GOAL_TEXT_MAX];
  return braid_fail(BRAID_ENOTFOUND, "no closed set of nodes keeps to %s", goal_text(st->goal, text, sizeof text));
}

static enum braid_status decide(const struct braid_graph *graph, const struct braid_costs *costs,
                                const struct braid_goal *goal, struct braid_plan **out) {
  struct stages *st = NULL;
  struct ideals *ideals = NULL;
  *out = NULL;
  BRAID_TRY(stages_create(graph, costs, goal, &st));
  enum braid_status status = ideals_create(st, &ideals);
  if (status == BRAID_OK) status = search(st, ideals, out);
  ideals_destroy(&ideals);
  stages_destroy(&st);
  if (status != BRAID_OK) braid_plan_destroy(out);
  return status;
}

const struct braid_policy policy_exact = {"exact", "every closed set by branch and bound; small nets only", "ours",
                                          decide};
