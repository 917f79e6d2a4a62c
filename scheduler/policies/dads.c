/* SPDX-License-Identifier: Apache-2.0
 * dads [Hu et al., INFOCOM 2019]: any closed cut, serial.
 *   Light load (latency): min over S of E + U + C + D by one minimum cut. The delays are paid by every S but "all on
 * the edge", so the cut is compared with that end. Heavy load (throughput): min over S of max(E, U, C, D). A weighted
 * sum is a cut, the maximum is not; the weights are searched by letting them follow the busiest stage, and the best cut
 * seen wins. An edge memory limit makes the cut a knapsack; it enters as a price per byte, found by bisection. Weights
 * and prices only ever find cuts on the hull of all cuts, and the best may lie inside, so the best prefix of the
 * topological chain competes too. */
#include "../cut.h"

#include <string.h>

struct search {
  const struct stages *st;
  struct cutter *cutter;
  uint8_t *best, *site;
  int64_t *edge; /* times with the price of memory in them */
  int64_t least;
};

static void consider(void *ctx, const uint8_t *site) {
  struct search *s = ctx;
  struct stage_sums sums;
  stages_sum(s->st, site, &sums);
  int64_t ns = stages_value_ns(s->st, &sums);
  if (ns >= s->least) return;
  s->least = ns;
  memcpy(s->best, site, (size_t)s->st->n);
}

static void cut_at_price(struct search *s, double ns_per_byte, bool throughput) {
  const struct stages *st = s->st;
  int64_t *const *time = throughput ? st->work : st->time;
  double most = (double)(COST_FRAME_NS_MAX / st->n); /* as good as infinite, and sums still fit */
  for (int v = 0; v < st->n; v++) {
    double price = ns_per_byte * (double)st->memory[v];
    s->edge[v] = time[BRAID_EDGE][v] + (int64_t)(price < most ? price : most);
  }
  struct cut_costs costs = {s->edge, time[BRAID_CLOUD], st->up, st->down, st->pinned, st->away};
  if (throughput) {
    const int64_t capacity[4] = {st->costs->edge_workers, 1, st->costs->cloud_workers, 1}, none[4] = {0};
    (void)cutter_play(s->cutter, &costs, capacity, none, consider, s, s->site);
  } else {
    (void)cutter_run(s->cutter, &costs, (struct cut_weights){1, 1, 1, 1}, s->site);
    consider(s, s->site);
  }
}

/* The smallest price at which the last cut fits: cheaper ones are closer to the unconstrained optimum. */
static void search_price(struct search *s, bool throughput) {
  const struct stages *st = s->st;
  double low = 0, high = 1e-3;
  struct stage_sums sums;
  for (int i = 0; i < 40; i++, high *= 2) {
    cut_at_price(s, high, throughput);
    stages_sum(st, s->site, &sums);
    if (sums.memory <= st->goal->edge_memory) break;
  }
  for (int i = 0; i < 16; i++) {
    double price = (low + high) / 2;
    cut_at_price(s, price, throughput);
    stages_sum(st, s->site, &sums);
    *(sums.memory <= st->goal->edge_memory ? &high : &low) = price;
  }
}

static void compare_all_edge(struct search *s) {
  memset(s->site, BRAID_EDGE, (size_t)s->st->n);
  consider(s, s->site);
}

static enum braid_status search(struct search *s) {
  compare_all_edge(s);
  const struct braid_goal *goal = s->st->goal;
  bool throughput = goal->objective == BRAID_THROUGHPUT;
  cut_at_price(s, 0, throughput);
  if (goal->edge_memory > 0 && (s->least >= COST_NEVER || throughput)) search_price(s, throughput);
  if (throughput && goal->latency_max_ns > 0) cut_at_price(s, 0, false); /* if any cut is below the ceiling, this is */
  if (goal->edge_memory > 0 || throughput) {
    enum braid_status status = neurosurgeon_cut(s->st, s->site);
    if (status == BRAID_OK)
      consider(s, s->site);
    else if (status != BRAID_ENOTFOUND)
      return status;
  }
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

const struct braid_policy policy_dads = {"dads", "minimum cut of the latency graph, serial; heavy load: weighted cuts",
                                         "Hu et al., INFOCOM 2019", decide};
