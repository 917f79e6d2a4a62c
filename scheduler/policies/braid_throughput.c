/* SPDX-License-Identifier: Apache-2.0
 * braid, throughput: the optimal mix of closed cuts (mix_lp.c) as a plan that is run.
 *
 * Each part is pipelined with whole nodes: slices shorten a frame's way, which frames in flight make up for, and cost
 * overhead. Within a part what the longest way to the answer leads through comes first. Parts stand in order of the
 * edge's work: frames that soon have something to send come before frames that mostly compute, which fill the edge's
 * gaps (braid_mix_yield); so a long edge-only frame never starves the link. The window comes from latency x rate, and
 * grows where that pays. A ceiling on latency admits only cuts that keep it, and shrinks the window until waiting
 * keeps it too.
 *
 * The simulator decides, but is asked little: of a plan whose busiest resource alone takes as long as the best period
 * so far nothing is to be hoped, nor of a policy whose plans are single closed cuts when the best of all such cuts
 * (best_cut.c) is no better, nor of a mix of cuts when the linear program's bound is reached. All other policies are
 * asked for their plans, and the best wins: no policy is ever ahead, not by a nanosecond. */
#include "../best_cut.h"
#include "../mix_lp.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define PAYS 5e-3          /* relative distance to the bound from which on looking for a better mix pays */
#define SINGLE_STEPS 20000 /* a ms or so */
#define WEIGHT_LEAST 2e-3  /* lighter parts are not worth their memory */
#define WEIGHT_UNIT 1e6    /* weights are multiples of its inverse: they survive a plan file exactly */
#define WINDOW_MAX 32
#define OVERTAKEN_MAX 24 /* periods that a frame may take */

struct search {
  const struct stages *st;
  const struct braid_goal *goal;
  struct braid_goal *whole; /* the one the stages have: whole nodes, and the ceiling for columns */
  struct braid_plan *best;
  int64_t best_ns;
  int64_t bound_ns, single_ns; /* no mix of closed cuts, no single one can have a smaller period */
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
    bool goes_up = site[v] == BRAID_EDGE && is_delivered(st->graph, v, st->goal->deliver, BRAID_CLOUD);
    way[v] = (struct way){goes_up ? st->up[v] : 0, v};
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

/* Does a frame wait beyond the ceiling with so many in flight? */
static enum braid_status check_late(struct search *s, struct braid_plan *plan, int window, bool *late) {
  int64_t ceiling = s->goal->latency_max_ns;
  struct braid_sim_result r;
  struct braid_sim_opts opts = {.frames = 4 * window + 8, .window = window};
  BRAID_TRY(sim_run(plan, s->st->graph, s->st->costs, &opts, &r));
  *late = plan->forecast.latency_ns > ceiling || r.max_latency_ns > ceiling;
  return BRAID_OK;
}

/* The largest window, up to the plan's, in which none does: by bisection, for more frames wait longer. */
static enum braid_status keep_ceiling(struct search *s, struct braid_plan *plan, int64_t *ns) {
  struct braid_goal goal = *s->goal;
  bool late = false;
  if (goal.latency_max_ns <= 0) return BRAID_OK;
  BRAID_TRY(check_late(s, plan, plan->window, &late));
  if (!late) return BRAID_OK;
  int fits = 0, too_many = goal.window > 0 ? 1 : plan->window; /* a window that is given is not changed */
  while (too_many - fits > 1) {
    int window = (fits + too_many) / 2;
    BRAID_TRY(check_late(s, plan, window, &late));
    *(late ? &too_many : &fits) = window;
  }
  *ns = COST_NEVER;
  if (fits == 0) return BRAID_OK;
  goal.objective = BRAID_THROUGHPUT;
  goal.window = fits;
  return forecast_run(plan, s->st->graph, s->st->costs, &goal, ns);
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

/* Is the best plan so close to what no mix can beat? */
static bool is_within(const struct search *s, double distance) {
  return s->best && (double)s->best_ns <= (double)s->bound_ns * (1 + distance);
}

static int wider(int window) {
  return 4 * window < WINDOW_MAX ? 4 * window : WINDOW_MAX;
}

/* A window that is too small lets resources idle: is a much larger one better? */
static enum braid_status widen(struct search *s) {
  struct braid_plan *plan = NULL;
  int64_t ns = 0;
  bool chosen = s->goal->window == 0 && s->goal->latency_max_ns == 0;
  if (!chosen || !s->best || is_within(s, PAYS) || s->best->window >= WINDOW_MAX) return BRAID_OK;
  BRAID_TRY(braid_plan_copy(s->best, &plan));
  plan->window = wider(plan->window);
  for (int i = 0; i < plan->n_mix; i++) plan->mix[i]->window = wider(plan->mix[i]->window);
  enum braid_status status = score(s, plan, &ns);
  if (status != BRAID_OK) {
    braid_plan_destroy(&plan);
    return status;
  }
  offer(s, plan, ns);
  return BRAID_OK;
}

static enum braid_status solve(struct search *s, struct mix_solution **solution) {
  const struct stages *st = s->st;
  struct cut_costs costs = {st->work[BRAID_EDGE], st->work[BRAID_CLOUD], st->up, st->down,
                            st->pinned,           st->away,              st->goal->deliver};
  struct mix_problem problem = {
      st->graph, &costs, {st->costs->edge_workers, 1, st->costs->cloud_workers, 1}, true, fits};
  int64_t *price = NULL;
  BRAID_TRY(mix_price_memory(st, &price));
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

static enum braid_status try_site(struct search *s, const uint8_t *site) {
  struct braid_plan *plan = NULL;
  int64_t ns = 0;
  enum braid_status status = make_part(s->st, site, &plan);
  if (status == BRAID_OK) status = score(s, plan, &ns);
  if (status != BRAID_OK) {
    braid_plan_destroy(&plan);
    return status;
  }
  offer(s, plan, ns);
  return BRAID_OK;
}

/* *lasts: how long a frame of the mix may take. */
static enum braid_status try_solution(struct search *s, int64_t *lasts) {
  struct mix_solution *solution = NULL;
  enum braid_status status = solve(s, &solution);
  *lasts = 0;
  for (int i = 0; status == BRAID_OK && i < solution->n_parts; i++) {
    struct stage_sums sums;
    stages_sum(s->st, solution->site[i], &sums);
    *lasts = max_ns(*lasts, stages_latency_ns(s->st, &sums));
  }
  if (status == BRAID_OK) status = try_plan_of(s, solution);
  mix_lp_free(&solution);
  return status == BRAID_ENOTFOUND ? BRAID_OK : status;
}

/* The program does not mind how long a frame takes, but the window does: when the optimum does not fly, cuts whose
 * frames would be overtaken too often are left out. */
static enum braid_status try_mix(struct search *s) {
  int64_t lasts = 0, bound_ns;
  BRAID_TRY(try_solution(s, &lasts));
  int64_t given = s->whole->latency_max_ns, ceiling = s->bound_ns * OVERTAKEN_MAX;
  if (is_within(s, PAYS) || lasts <= ceiling) return BRAID_OK;
  s->whole->latency_max_ns = ceiling;
  bound_ns = s->bound_ns;
  enum braid_status status = try_solution(s, &lasts);
  s->bound_ns = bound_ns > s->bound_ns ? bound_ns : s->bound_ns;
  s->whole->latency_max_ns = given;
  return status;
}

/* ----------------------------------------------------------------------------------------------- the others */

/* Is there a single closed cut that no plan so far beats? Stages without the ceiling: a pipelined frame may be faster
 * than the sum of its stages. */
static enum braid_status try_single_cut(struct search *s) {
  struct braid_goal goal = *s->whole;
  struct stages free_stages = *s->st;
  uint8_t *site = braid_malloc((size_t)s->st->n);
  int64_t least = s->best_ns;
  bool complete = false;
  if (!site) return braid_fail(BRAID_ENOMEM, "cutting %d nodes", s->st->n);
  goal.latency_max_ns = 0;
  free_stages.goal = &goal;
  enum braid_status status = best_cut_search(&free_stages, SINGLE_STEPS, &least, site, &complete);
  s->single_ns = complete ? least : s->bound_ns;
  if (status == BRAID_OK && least < s->best_ns) status = try_site(s, site);
  braid_free(site);
  return status;
}

static bool is_self(const struct braid_policy *policy) {
  return policy == &policy_braid || policy->input != BRAID_INPUT_AS_IS;
}

/* What no plan of the policy can beat. heft's returns are outside of both bounds, jps mixes cuts, all others are single
 * closed cuts. */
static int64_t least_of(const struct search *s, const struct braid_policy *policy) {
  if (policy == &policy_heft) return 0;
  return policy == &policy_jps ? s->bound_ns : s->single_ns;
}

/* Takes the plan. Simulates it if it may win: no resource does more than its all. */
static enum braid_status offer_foreign(struct search *s, struct braid_plan *plan) {
  int64_t ns = 0;
  enum braid_status status = stages_admit(s->st, plan->site);
  if (status == BRAID_OK) status = forecast_busiest(plan, s->st->graph, s->st->costs, &ns);
  if (status == BRAID_OK && ns < s->best_ns) status = score(s, plan, &ns);
  if (status != BRAID_OK) {
    braid_plan_destroy(&plan);
    return status == BRAID_ENOTFOUND ? BRAID_OK : status;
  }
  snprintf(plan->policy, sizeof plan->policy, "%s", "braid");
  offer(s, plan, ns);
  return BRAID_OK;
}

static enum braid_status try_policy(struct search *s, const struct braid_policy *policy, int slices) {
  struct braid_goal goal = *s->goal;
  struct braid_plan *plan = NULL;
  goal.objective = BRAID_THROUGHPUT;
  goal.slices = slices;
  enum braid_status status = policy->decide(s->st->graph, s->st->costs, &goal, &plan);
  if (status == BRAID_ENOTFOUND || status == BRAID_EUNSUPPORTED) return BRAID_OK;
  return status == BRAID_OK ? offer_foreign(s, plan) : status;
}

/* These take long. What the others have found may make asking them needless. */
static bool is_slow(const struct braid_policy *policy) {
  return policy == &policy_decc || policy == &policy_exact;
}

static enum braid_status ask_others(struct search *s, int slices) {
  int n = 0;
  const struct braid_policy *const *policy = braid_policies(&n);
  for (int slow = 0; slow < 2; slow++)
    for (int i = 0; i < n; i++)
      if (!is_self(policy[i]) && is_slow(policy[i]) == slow && s->best_ns > least_of(s, policy[i]))
        BRAID_TRY(try_policy(s, policy[i], slices));
  return BRAID_OK;
}

/* With whole nodes first. Slices help a mix to interleave now and then; a single cut keeps its resources busy without.
 */
static enum braid_status try_others(struct search *s) {
  BRAID_TRY(try_single_cut(s));
  BRAID_TRY(ask_others(s, 1));
  if (s->goal->slices > 1) return ask_others(s, s->goal->slices);
  bool asks = s->goal->slices == 0 && s->best_ns > least_of(s, &policy_jps);
  return asks ? try_policy(s, &policy_jps, SLICES_SEED) : BRAID_OK;
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
