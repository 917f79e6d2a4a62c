/* SPDX-License-Identifier: Apache-2.0
 * braid, throughput: the optimal mix of closed cuts (mix_lp.c) as a plan that is run.
 *
 * Each part is pipelined with whole nodes: slices shorten a frame's way, which frames in flight make up for, and cost
 * overhead. Within a part what the longest way to the answer leads through comes first. Parts stand in order of the
 * edge's work: frames that soon have something to send come before frames that mostly compute, which fill the edge's
 * gaps (braid_mix_yield); so a long edge-only frame never starves the link. The window comes from latency x rate, and
 * grows as long as that pays. A ceiling on latency admits only cuts that keep it, and shrinks the window until waiting
 * keeps it too.
 *
 * The simulator decides: the plans of all other policies are simulated too (of the slow ones only when the mix is
 * further than TIGHT from what no mix can beat), and the best wins. */
#include "../mix_lp.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define TIGHT 1e-4        /* relative distance to the bound at which slow policies are not asked */
#define WEIGHT_LEAST 2e-3 /* lighter parts are not worth their memory */
#define WEIGHT_UNIT 1e6   /* weights are multiples of its inverse: they survive a plan file exactly */
#define WINDOW_MAX 32
#define OVERTAKEN_MAX 24 /* periods that a frame may take */

struct search {
  const struct stages *st;
  const struct braid_goal *goal;
  struct braid_goal *whole; /* the one the stages have: whole nodes, and the ceiling for columns */
  struct braid_plan *best;
  int64_t best_ns, bound_ns;
};

/* --------------------------------------------------------------------------------------------------- the parts */

static bool fits(const void *ctx, const uint8_t *site) {
  const struct stages *st = ctx;
  struct stage_sums sums;
  stages_sum(st, site, &sums);
  if (stages_period_ns(st, &sums) >= COST_NEVER) return false;
  return st->goal->latency_max_ns <= 0 || stages_latency_ns(st, &sums) <= st->goal->latency_max_ns;
}

struct way {
  int64_t ns; /* from the node's start to the answer, nothing else going on */
  int id;
};

static void measure_ways(const struct stages *st, const uint8_t *site, struct way *way) {
  for (int v = st->n - 1; v >= 0; v--) {
    const struct braid_node *node = braid_graph_node(st->graph, v);
    way[v] = (struct way){0, v};
    for (int i = 0; i < node->n_readers; i++) {
      int reader = node->reader[i];
      int64_t ns = way[reader].ns;
      if (site[reader] != site[v] && st->up[v] < COST_NEVER) ns += st->up[v];
      if (ns > way[v].ns) way[v].ns = ns;
    }
    way[v].ns += st->work[site[v]][v];
  }
}

/* What is on the longest remaining way first: a topological order, since a reader's way is never longer. */
static enum braid_status rank_by_way(const struct stages *st, struct braid_plan *part) {
  struct way *way = braid_malloc((size_t)st->n * sizeof *way);
  if (!way) return braid_fail(BRAID_ENOMEM, "ranking %d nodes", st->n);
  measure_ways(st, part->site, way);
  for (int v = 1; v < st->n; v++) { /* nearly sorted already: insertion */
    struct way w = way[v];
    int at = v;
    for (; at > 0 && way[at - 1].ns < w.ns; at--) way[at] = way[at - 1];
    way[at] = w;
  }
  for (int r = 0; r < st->n; r++) part->rank[way[r].id] = r;
  braid_free(way);
  return BRAID_OK;
}

static enum braid_status make_part(const struct stages *st, const uint8_t *site, struct braid_plan **out) {
  BRAID_TRY(stages_plan(st, "braid", site, false, out));
  (*out)->objective = BRAID_THROUGHPUT;
  return rank_by_way(st, *out);
}

/* --------------------------------------------------------------------------------------------------- the mix */

static int64_t edge_work(const struct stages *st, const uint8_t *site) {
  struct stage_sums sums;
  stages_sum(st, site, &sums);
  return sums.work[BRAID_EDGE];
}

/* Drops what is too light, rounds the rest, and sorts by the edge's work. Returns how many are left. */
static int settle(const struct stages *st, const struct mix_solution *s, double weight[MIX_PARTS],
                  const uint8_t *site[MIX_PARTS]) {
  int n = 0;
  double sum = 0;
  for (int i = 0; i < s->n_parts; i++) sum += s->weight[i] >= WEIGHT_LEAST ? s->weight[i] : 0;
  double left = WEIGHT_UNIT;
  for (int i = s->n_parts - 1; i >= 0; i--) { /* the heaviest comes last and takes what rounding left */
    if (s->weight[i] < WEIGHT_LEAST) continue;
    double units = i == 0 ? left : floor(s->weight[i] / sum * WEIGHT_UNIT);
    int at = n++;
    for (; at > 0 && edge_work(st, site[at - 1]) > edge_work(st, s->site[i]); at--) {
      weight[at] = weight[at - 1];
      site[at] = site[at - 1];
    }
    weight[at] = units / WEIGHT_UNIT;
    site[at] = s->site[i];
    left -= units;
  }
  return n;
}

static enum braid_status fill_mix(const struct stages *st, struct braid_plan *plan, int n, const double *weight,
                                  const uint8_t *const *site) {
  plan->mix = braid_calloc((size_t)n, sizeof *plan->mix);
  plan->mix_weight = braid_calloc((size_t)n, sizeof *plan->mix_weight);
  if (!plan->mix || !plan->mix_weight) return braid_fail(BRAID_ENOMEM, "a mix of %d plans", n);
  for (; plan->n_mix < n; plan->n_mix++) {
    plan->mix_weight[plan->n_mix] = weight[plan->n_mix];
    enum braid_status status = make_part(st, site[plan->n_mix], &plan->mix[plan->n_mix]);
    if (status != BRAID_OK) {
      braid_plan_destroy(&plan->mix[plan->n_mix]);
      return status;
    }
  }
  return BRAID_OK;
}

static enum braid_status make_plan(const struct stages *st, const struct mix_solution *s, struct braid_plan **out) {
  double weight[MIX_PARTS];
  const uint8_t *site[MIX_PARTS];
  int n = settle(st, s, weight, site);
  BRAID_TRY(make_part(st, s->site[0], out));
  return n > 1 ? fill_mix(st, *out, n, weight, site) : BRAID_OK;
}

/* -------------------------------------------------------------------------------------------------- simulating */

static bool late(const struct search *s, const struct braid_plan *plan, const struct braid_sim_result *r) {
  int64_t ceiling = s->goal->latency_max_ns;
  return ceiling > 0 && (plan->forecast.latency_ns > ceiling || r->max_latency_ns > ceiling);
}

/* The largest window, up to the plan's, in which no frame waits beyond the ceiling. */
static enum braid_status keep_ceiling(struct search *s, struct braid_plan *plan, int64_t *ns) {
  struct braid_goal goal = *s->goal;
  goal.objective = BRAID_THROUGHPUT;
  while (goal.latency_max_ns > 0) {
    struct braid_sim_result r;
    struct braid_sim_opts opts = {.frames = 4 * plan->window + 8, .window = plan->window};
    BRAID_TRY(sim_run(plan, s->st->graph, s->st->costs, &opts, &r));
    if (!late(s, plan, &r)) break;
    if (plan->window == 1 || s->goal->window > 0) {
      *ns = COST_NEVER;
      return BRAID_OK;
    }
    goal.window = plan->window - 1;
    BRAID_TRY(forecast_run(plan, s->st->graph, s->st->costs, &goal, ns));
  }
  return BRAID_OK;
}

static enum braid_status score(struct search *s, struct braid_plan *plan, int64_t *ns) {
  struct braid_goal goal = *s->goal;
  goal.objective = BRAID_THROUGHPUT;
  BRAID_TRY(forecast_run(plan, s->st->graph, s->st->costs, &goal, ns));
  return keep_ceiling(s, plan, ns);
}

/* Takes the plan. Equal periods: the lower latency. */
static void offer(struct search *s, struct braid_plan *plan, int64_t ns) {
  bool better = ns < s->best_ns;
  if (s->best && ns == s->best_ns) better = plan->forecast.latency_ns < s->best->forecast.latency_ns;
  if (!better || ns >= COST_NEVER) {
    braid_plan_destroy(&plan);
    return;
  }
  braid_plan_destroy(&s->best);
  s->best = plan;
  s->best_ns = ns;
}

static bool tight(const struct search *s) {
  return s->best && (double)s->best_ns <= (double)s->bound_ns * (1 + TIGHT);
}

/* A window that is too small lets resources idle: doubles it while that helps. */
static enum braid_status widen(struct search *s) {
  while (s->best && !tight(s) && s->goal->window == 0 && s->goal->latency_max_ns == 0 && s->best->window < WINDOW_MAX) {
    struct braid_plan *plan = NULL;
    int64_t ns = 0, before = s->best_ns;
    BRAID_TRY(braid_plan_copy(s->best, &plan));
    plan->window = plan->window * 2 < WINDOW_MAX ? plan->window * 2 : WINDOW_MAX;
    for (int i = 0; i < plan->n_mix; i++)
      plan->mix[i]->window = plan->mix[i]->window * 2 < WINDOW_MAX ? plan->mix[i]->window * 2 : WINDOW_MAX;
    enum braid_status status = score(s, plan, &ns);
    if (status != BRAID_OK) {
      braid_plan_destroy(&plan);
      return status;
    }
    offer(s, plan, ns);
    if ((double)s->best_ns > (double)before * 0.995) break;
  }
  return BRAID_OK;
}

/* Bytes as times, so that the penalty on them can outweigh any time; NULL without a limit. */
static enum braid_status price_memory(const struct stages *st, int64_t **out) {
  const size_t most = 1000000000;
  *out = NULL;
  if (st->goal->edge_memory == 0) return BRAID_OK;
  *out = braid_malloc((size_t)st->n * sizeof **out);
  if (!*out) return braid_fail(BRAID_ENOMEM, "mixing cuts of %d nodes", st->n);
  for (int v = 0; v < st->n; v++) {
    size_t price = st->memory[v] / 64;
    (*out)[v] = (int64_t)(price < most ? price : most);
  }
  return BRAID_OK;
}

static enum braid_status solve(struct search *s, struct mix_solution **solution) {
  const struct stages *st = s->st;
  struct cut_costs costs = {st->work[BRAID_EDGE], st->work[BRAID_CLOUD], st->up, st->down, st->pinned, st->away};
  struct mix_problem problem = {
      st->graph, &costs, {st->costs->edge_workers, 1, st->costs->cloud_workers, 1}, true, fits};
  int64_t *price = NULL;
  BRAID_TRY(price_memory(st, &price));
  problem.ctx = st;
  problem.penalty_ns = price;
  enum braid_status status = mix_lp_solve(&problem, solution);
  if (*solution) s->bound_ns = (*solution)->bound_ns;
  braid_free(price);
  return status;
}

static enum braid_status try_plan_of(struct search *s, const struct mix_solution *solution) {
  struct braid_plan *plan = NULL;
  int64_t ns = 0;
  enum braid_status status = make_plan(s->st, solution, &plan);
  if (status == BRAID_OK) status = score(s, plan, &ns);
  if (status != BRAID_OK) {
    braid_plan_destroy(&plan);
    return status;
  }
  offer(s, plan, ns);
  return widen(s);
}

static enum braid_status try_solution(struct search *s) {
  struct mix_solution *solution = NULL;
  enum braid_status status = solve(s, &solution);
  if (status == BRAID_OK) status = try_plan_of(s, solution);
  mix_lp_free(&solution);
  return status == BRAID_ENOTFOUND ? BRAID_OK : status;
}

/* The program does not mind how long a frame takes, but the window does: when the optimum does not fly, cuts whose
 * frames would be overtaken too often are left out. */
static enum braid_status try_mix(struct search *s) {
  BRAID_TRY(try_solution(s));
  int64_t given = s->whole->latency_max_ns, ceiling = s->bound_ns * OVERTAKEN_MAX;
  if (tight(s) || (given > 0 && given < ceiling)) return BRAID_OK;
  s->whole->latency_max_ns = ceiling;
  enum braid_status status = try_solution(s);
  s->whole->latency_max_ns = given;
  return status;
}

/* ----------------------------------------------------------------------------------------------- the others */

static bool is_self(const struct braid_policy *policy) {
  return policy == &policy_braid || policy->input != BRAID_INPUT_AS_IS;
}

static enum braid_status try_policy(struct search *s, const struct braid_policy *policy) {
  struct braid_goal goal = *s->goal;
  struct braid_plan *plan = NULL;
  int64_t ns = 0;
  goal.objective = BRAID_THROUGHPUT;
  enum braid_status status = policy->decide(s->st->graph, s->st->costs, &goal, &plan);
  if (status == BRAID_ENOTFOUND || status == BRAID_EUNSUPPORTED) return BRAID_OK;
  if (status == BRAID_OK) status = stages_admit(s->st, plan->site);
  if (status == BRAID_ENOTFOUND) {
    braid_plan_destroy(&plan);
    return BRAID_OK;
  }
  if (status == BRAID_OK) status = score(s, plan, &ns);
  if (status != BRAID_OK) {
    braid_plan_destroy(&plan);
    return status;
  }
  snprintf(plan->policy, sizeof plan->policy, "%s", "braid");
  offer(s, plan, ns);
  return BRAID_OK;
}

/* These simulate many plans. The rest decides in no time, and heft's returns are outside of what the bound bounds. */
static bool is_slow(const struct braid_policy *policy) {
  return policy == &policy_decc || policy == &policy_exact;
}

static enum braid_status try_others(struct search *s) {
  int n = 0;
  const struct braid_policy *const *policy = braid_policies(&n);
  for (int i = 0; i < n; i++)
    if (!is_self(policy[i]) && !(tight(s) && is_slow(policy[i]))) BRAID_TRY(try_policy(s, policy[i]));
  return BRAID_OK;
}

enum braid_status braid_throughput_decide(const struct braid_graph *graph, const struct braid_costs *costs,
                                          const struct braid_goal *goal, struct braid_plan **out) {
  struct braid_goal whole = *goal;
  struct search s = {.goal = goal, .best_ns = COST_NEVER};
  struct stages *st = NULL;
  whole.objective = BRAID_THROUGHPUT;
  if (goal->latency_max_ns <= 0) whole.slices = 1;
  BRAID_TRY(stages_create(graph, costs, &whole, &st));
  s.st = st;
  s.whole = &whole;
  enum braid_status status = try_mix(&s);
  if (status == BRAID_OK) status = try_others(&s);
  char text[GOAL_TEXT_MAX];
  if (status == BRAID_OK && !s.best)
    status = braid_fail(BRAID_ENOTFOUND, "no plan found that keeps to %s", goal_text(goal, text, sizeof text));
  stages_destroy(&st);
  if (status != BRAID_OK)
    braid_plan_destroy(&s.best);
  else
    *out = s.best;
  return status;
}
