/* SPDX-License-Identifier: Apache-2.0
 * dads [Hu et al., INFOCOM 2019]: any closed cut, serial.
 *   Light load (latency): min over S of E + U + C + D by one minimum cut. The delays are paid by every S but "all on
 * the edge", so the cut is compared with that end. Exact.
 *   Heavy load (throughput): min over S of max(E, U, C, D), which is NP-hard (PARTITION). The best weights of the four
 * stages are those of the linear program of mix_lp.c, found exactly; every cut that its pricing meets is a candidate,
 * and its optimum a bound. Then the cuts that no weights find are searched (best_cut.c). Exact where that search ends:
 * in every network whose blocks between joints have few closed sets near the optimum, or where the bound is met; else
 * the best of all that was seen.
 *   A limit on the edge's memory makes the cut a knapsack. It enters as a price per byte found by bisection (latency),
 * or as a penalty in the linear program (throughput), and the same search follows. */
#include "../best_cut.h"
#include "../mix_lp.h"

#include <string.h>

struct search {
  const struct stages *st;
  struct cutter *cutter;
  uint8_t *best, *site;
  int64_t *edge; /* times with the price of memory in them */
  int64_t least, bound_ns;
};

static int64_t consider(struct search *s, const uint8_t *site) {
  struct stage_sums sums;
  stages_sum(s->st, site, &sums);
  int64_t ns = stages_value_ns(s->st, &sums);
  if (ns < s->least) {
    s->least = ns;
    memcpy(s->best, site, (size_t)s->st->n);
  }
  return ns;
}

/* ------------------------------------------------------------------------------------------------- latency */

/* The smallest latency with a price on the edge's bytes. Returns the edge's memory. */
static size_t cut_at_price(struct search *s, double ns_per_byte) {
  const struct stages *st = s->st;
  double most = (double)(COST_FRAME_NS_MAX / st->n); /* as good as infinite, and sums still fit */
  for (int v = 0; v < st->n; v++) {
    double price = ns_per_byte * (double)st->memory[v];
    s->edge[v] = st->time[BRAID_EDGE][v] + (int64_t)(price < most ? price : most);
  }
  struct cut_costs costs = {s->edge,    st->time[BRAID_CLOUD], st->up, st->down, st->pinned, st->away,
                            st->goal->deliver};
  (void)cutter_run(s->cutter, &costs, (struct cut_weights){1, 1, 1, 1}, s->site);
  (void)consider(s, s->site);
  struct stage_sums sums;
  stages_sum(st, s->site, &sums);
  return sums.memory;
}

/* The smallest price at which the cut fits: cheaper ones are closer to the unconstrained optimum. */
static void search_price(struct search *s) {
  double low = 0, high = 1e-3;
  size_t limit = s->st->goal->edge_memory;
  for (int i = 0; i < 40 && cut_at_price(s, high) > limit; i++) high *= 2;
  for (int i = 0; i < 16; i++) {
    double price = (low + high) / 2;
    *(cut_at_price(s, price) <= limit ? &high : &low) = price;
  }
}

static enum braid_status search_latency(struct search *s) {
  size_t limit = s->st->goal->edge_memory;
  if (cut_at_price(s, 0) > limit && limit > 0) search_price(s);
  return BRAID_OK;
}

/* ---------------------------------------------------------------------------------------------- throughput */

/* Sees every cut of the linear program. */
static bool admit(const void *ctx, const uint8_t *site) {
  struct search *s = *(struct search *const *)ctx;
  return consider(s, site) < COST_NEVER;
}

static enum braid_status search_weights(struct search *s) {
  const struct stages *st = s->st;
  struct cut_costs costs = {st->work[BRAID_EDGE], st->work[BRAID_CLOUD], st->up, st->down,
                            st->pinned,           st->away,              st->goal->deliver};
  struct mix_problem problem = {
      st->graph, &costs, {st->costs->edge_workers, 1, st->costs->cloud_workers, 1}, true, admit, &s, NULL};
  struct mix_solution *solution = NULL;
  int64_t *price = NULL;
  BRAID_TRY(mix_price_memory(st, &price));
  problem.penalty_ns = price;
  enum braid_status status = mix_lp_solve(&problem, &solution);
  if (solution) s->bound_ns = solution->bound_ns;
  mix_lp_free(&solution);
  braid_free(price);
  return status == BRAID_ENOTFOUND ? BRAID_OK : status;
}

static enum braid_status search_throughput(struct search *s) {
  BRAID_TRY(search_weights(s));
  if (s->st->goal->latency_max_ns > 0) BRAID_TRY(search_latency(s)); /* if any cut is below the ceiling, this is */
  enum braid_status status = neurosurgeon_cut(s->st, s->site);
  if (status == BRAID_OK) (void)consider(s, s->site);
  return status == BRAID_ENOTFOUND ? BRAID_OK : status;
}

/* ---------------------------------------------------------------------------------------------- the policy */

static enum braid_status search(struct search *s) {
  bool throughput = s->st->goal->objective == BRAID_THROUGHPUT, complete;
  memset(s->site, BRAID_EDGE, (size_t)s->st->n);
  (void)consider(s, s->site);
  BRAID_TRY(throughput ? search_throughput(s) : search_latency(s));
  if ((throughput && s->least > s->bound_ns) || s->st->goal->edge_memory > 0)
    BRAID_TRY(best_cut_search(s->st, BEST_CUT_STEPS, &s->least, s->best, &complete));
  if (s->least >= COST_NEVER)
    return braid_fail(BRAID_ENOTFOUND, "no cut found that fits the edge's memory and keeps the goal's other limits%s",
                      stages_ceiling_text(s->st));
  return BRAID_OK;
}

enum braid_status dads_cut(const struct stages *st, uint8_t *site) {
  struct search s = {.st = st, .best = site, .least = COST_NEVER};
  s.site = braid_malloc((size_t)st->n);
  s.edge = braid_malloc((size_t)st->n * sizeof *s.edge);
  enum braid_status status = s.site && s.edge ? cutter_create(st->graph, true, &s.cutter)
                                              : braid_fail(BRAID_ENOMEM, "cutting %d nodes", st->n);
  if (status == BRAID_OK) status = search(&s);
  cutter_destroy(&s.cutter);
  braid_free(s.site);
  braid_free(s.edge);
  return status;
}

static enum braid_status decide(const struct braid_graph *graph, const struct braid_costs *costs,
                                const struct braid_goal *goal, struct braid_plan **out) {
  return stages_decide("dads", dads_cut, graph, costs, goal, out);
}

const struct braid_policy policy_dads = {"dads",
                                         "minimum cut of the latency graph, serial; heavy load: the smallest stage",
                                         "Hu et al., INFOCOM 2019", decide};
