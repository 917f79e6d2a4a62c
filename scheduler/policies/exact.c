/* SPDX-License-Identifier: Apache-2.0
 * exact: every closed set, by branch and bound [ours; the oracle of the tests].
 *
 * What it is exact over. Throughput: all closed sets, by max(E, U, C, D). Latency: all closed sets x orders, by the
 * simulator, with the goal's slices on every node; the orders are by id, by longest way to the end, and depth first
 * with the branches of the blocks the set cuts in every order (the first 120 of them), each pipelined, and serial.
 * Plans outside of this (returns from the cloud, other orders, other slices) may be better. Networks with more than
 * IDEALS_MAX closed sets or too many orders of them are refused, and with slices much smaller ones. */
#include "ideals.h"
#include "orders.h"

#include <string.h>

#define SLICED_TASKS_MAX 40000 /* sets x tasks: with slices there is little to prune with */
#define SIMULATED_TASKS_MAX 1000000

struct exact {
  const struct stages *st;
  struct simulator *simulator;
  struct braid_plan *trial, **best;
  int64_t *best_ns, bound_ns;
  int *rank, *by_way;
  int64_t tasks, set_tasks; /* simulated so far, of one set */
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
  if ((x->tasks += x->set_tasks) > SIMULATED_TASKS_MAX) return BRAID_OK;
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
  BRAID_TRY(orders_each(x->st->graph, site, ORDERS_MAX, x->rank, try_rank, x));
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

/* How many sets may be tried. */
static int64_t sets_max(const struct stages *st, int64_t set_tasks) {
  return st->goal->slices <= 1 || st->goal->objective == BRAID_THROUGHPUT ? IDEALS_MAX : SLICED_TASKS_MAX / set_tasks;
}

static enum braid_status search_all(struct exact *x, struct ideals *ideals, bool *complete) {
  int64_t most = sets_max(x->st, x->set_tasks);
  *complete = ideals_count(ideals, most + 1) <= most;
  if (!*complete) return BRAID_OK;
  BRAID_TRY(ideals_each(ideals, x->best_ns, visit, x));
  *complete = x->tasks <= SIMULATED_TASKS_MAX;
  return BRAID_OK;
}

static enum braid_status make_trial(struct exact *x) {
  const struct stages *st = x->st;
  x->rank = braid_malloc(2 * (size_t)st->n * sizeof *x->rank);
  if (!x->rank) return braid_fail(BRAID_ENOMEM, "closed sets of %d nodes", st->n);
  x->by_way = x->rank + st->n;
  rank_by_way(x);
  BRAID_TRY(braid_plan_create(st->graph, "exact", &x->trial));
  x->trial->objective = st->goal->objective;
  x->trial->deliver = st->goal->deliver;
  plan_set_slices(x->trial, st->graph, st->goal->slices);
  for (int v = 0; v < st->n; v++) x->set_tasks += x->trial->slices[v];
  return BRAID_OK;
}

enum braid_status exact_search(const struct stages *st, struct simulator *simulator, struct braid_plan **best,
                               int64_t *best_ns, bool *complete) {
  struct exact x = {.st = st, .simulator = simulator, .best = best, .best_ns = best_ns};
  struct ideals *ideals = NULL;
  *complete = false;
  if (st->n > IDEALS_NODES_MAX) return BRAID_OK;
  enum braid_status status = make_trial(&x);
  if (status == BRAID_OK) status = ideals_create(st, &ideals);
  if (status == BRAID_OK) status = search_all(&x, ideals, complete);
  ideals_destroy(&ideals);
  braid_plan_destroy(&x.trial);
  braid_free(x.rank);
  return status;
}

/* ---------------------------------------------------------------------------------------------- the policy */

static enum braid_status search(const struct stages *st, struct braid_plan **out) {
  struct simulator *simulator = NULL;
  int64_t best_ns = COST_NEVER;
  bool complete = false;
  BRAID_TRY(simulator_create(st->graph, st->costs, &simulator));
  enum braid_status status = exact_search(st, simulator, out, &best_ns, &complete);
  simulator_destroy(&simulator);
  BRAID_TRY(status);
  if (!complete)
    return braid_fail(BRAID_EUNSUPPORTED,
                      "%s has more than %d nodes, or too many closed sets of them with too many orders to try them all",
                      braid_graph_name(st->graph), IDEALS_NODES_MAX);
  if (*out) return BRAID_OK;
  char text[GOAL_TEXT_MAX];
  return braid_fail(BRAID_ENOTFOUND, "no closed set of nodes keeps to %s", goal_text(st->goal, text, sizeof text));
}

static enum braid_status decide(const struct braid_graph *graph, const struct braid_costs *costs,
                                const struct braid_goal *goal, struct braid_plan **out) {
  struct stages *st = NULL;
  *out = NULL;
  BRAID_TRY(stages_create(graph, costs, goal, &st));
  enum braid_status status = search(st, out);
  stages_destroy(&st);
  if (status != BRAID_OK) braid_plan_destroy(out);
  return status;
}

const struct braid_policy policy_exact = {"exact", "every closed set by branch and bound; small nets only", "ours",
                                          decide};
