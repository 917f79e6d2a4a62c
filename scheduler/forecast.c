/* SPDX-License-Identifier: Apache-2.0
 * What a plan is expected to do, the table of policies, and the road from a goal to a plan. */
#include "internal.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Frames of a mix that are simulated: slow parts finish seldom, so the mean needs many; fewer of large networks. */
#define MIX_TASKS 60000
#define MIX_FRAMES_MIN 192
#define MIX_FRAMES_MAX 800
#define MIX_WINDOW_MAX 32 /* of a part */

/* ------------------------------------------------------------------------------------------------ forecast */

static int64_t per_worker(int64_t ns, int workers) {
  return (ns + workers - 1) / workers;
}

static enum braid_status forecast_latency(struct braid_plan *plan, const struct braid_graph *graph,
                                          const struct braid_costs *costs) {
  struct braid_sim_result r;
  BRAID_TRY(sim_run(plan, graph, costs, &(struct braid_sim_opts){.frames = 1, .window = 1}, &r));
  struct braid_forecast *f = &plan->forecast;
  *f = (struct braid_forecast){.latency_ns = r.first_latency_ns, .period_ns = r.first_latency_ns};
  f->edge_ns = per_worker(r.busy_ns[BRAID_RES_EDGE], costs->edge_workers);
  f->up_ns = r.busy_ns[BRAID_RES_UP];
  f->cloud_ns = per_worker(r.busy_ns[BRAID_RES_CLOUD], costs->cloud_workers);
  f->down_ns = r.busy_ns[BRAID_RES_DOWN];
  f->up_bytes = r.up_bytes;
  f->down_bytes = r.down_bytes;
  return BRAID_OK;
}

/* The slowest part's latency, the mean of all that adds up; returns the mean latency. */
static enum braid_status forecast_parts(struct braid_plan *plan, const struct braid_graph *graph,
                                        const struct braid_costs *costs, int64_t *mean_latency_ns) {
  double sum[5] = {0}, bytes[2] = {0};
  int64_t slowest_ns = 0;
  for (int i = 0; i < plan->n_mix; i++) {
    BRAID_TRY(forecast_latency(plan->mix[i], graph, costs));
    const struct braid_forecast *f = &plan->mix[i]->forecast;
    const int64_t ns[5] = {f->edge_ns, f->up_ns, f->cloud_ns, f->down_ns, f->latency_ns};
    for (int k = 0; k < 5; k++) sum[k] += plan->mix_weight[i] * (double)ns[k];
    bytes[0] += plan->mix_weight[i] * (double)f->up_bytes;
    bytes[1] += plan->mix_weight[i] * (double)f->down_bytes;
    slowest_ns = max_ns(slowest_ns, f->latency_ns);
  }
  plan->forecast = (struct braid_forecast){slowest_ns,
                                           slowest_ns,
                                           (int64_t)ceil(sum[0]),
                                           (int64_t)ceil(sum[1]),
                                           (int64_t)ceil(sum[2]),
                                           (int64_t)ceil(sum[3]),
                                           (size_t)bytes[0],
                                           (size_t)bytes[1]};
  *mean_latency_ns = (int64_t)sum[4];
  return BRAID_OK;
}

static enum braid_status forecast_alone(struct braid_plan *plan, const struct braid_graph *graph,
                                        const struct braid_costs *costs, int64_t *mean_latency_ns) {
  if (plan->n_mix > 0) return forecast_parts(plan, graph, costs, mean_latency_ns);
  BRAID_TRY(forecast_latency(plan, graph, costs));
  *mean_latency_ns = plan->forecast.latency_ns;
  return BRAID_OK;
}

/* Enough frames to fill the pipeline of latency / period, one more of each kind to cover the jitter of whole tasks. */
static int choose_window(const struct braid_plan *plan, int64_t latency_ns, int64_t busiest_ns) {
  if (busiest_ns <= 0) return 1;
  int64_t window = (latency_ns + busiest_ns - 1) / busiest_ns + 1 + plan->n_mix;
  return window > 16 ? 16 : (int)window;
}

/* A part has latency x rate of its own frames in flight, and half as many more for those that wait. */
static void choose_part_windows(struct braid_plan *plan, int64_t busiest_ns) {
  for (int i = 0; i < plan->n_mix && busiest_ns > 0; i++) {
    double flying = plan->mix_weight[i] * (double)plan->mix[i]->forecast.latency_ns / (double)busiest_ns;
    double window = ceil(1.5 * flying) + 1;
    plan->mix[i]->window = window < MIX_WINDOW_MAX ? (int)window : MIX_WINDOW_MAX;
  }
}

static enum braid_status forecast_period(struct braid_plan *plan, const struct braid_graph *graph,
                                         const struct braid_costs *costs, int64_t busiest_ns) {
  struct braid_sim_opts opts = {.frames = 6 * plan->window + 8, .window = plan->window};
  int enough = MIX_TASKS / plan->n_nodes;
  enough = enough < MIX_FRAMES_MIN ? MIX_FRAMES_MIN : enough > MIX_FRAMES_MAX ? MIX_FRAMES_MAX : enough;
  if (plan->n_mix > 0 && opts.frames < enough) opts.frames = enough;
  struct braid_sim_result r;
  BRAID_TRY(sim_run(plan, graph, costs, &opts, &r));
  /* Results may come in bursts, which a finite run cannot average out; but no resource does more than its all. */
  plan->forecast.period_ns = max_ns(r.period_ns, busiest_ns);
  return BRAID_OK;
}

static int64_t busiest_of(const struct braid_forecast *f) {
  return max_ns(max_ns(f->edge_ns, f->up_ns), max_ns(f->cloud_ns, f->down_ns));
}

enum braid_status forecast_busiest(struct braid_plan *plan, const struct braid_graph *graph,
                                   const struct braid_costs *costs, int64_t *busiest_ns) {
  int64_t alone_ns = 0;
  BRAID_TRY(forecast_alone(plan, graph, costs, &alone_ns));
  *busiest_ns = busiest_of(&plan->forecast);
  return BRAID_OK;
}

static bool is_too_late(const struct braid_forecast *f, const struct braid_goal *goal) {
  return goal->latency_max_ns > 0 && f->latency_ns > goal->latency_max_ns;
}

enum braid_status forecast_run(struct braid_plan *plan, const struct braid_graph *graph,
                               const struct braid_costs *costs, const struct braid_goal *goal, int64_t *value_ns) {
  int64_t alone_ns = 0;
  BRAID_TRY(forecast_alone(plan, graph, costs, &alone_ns));
  struct braid_forecast *f = &plan->forecast;
  bool throughput = goal->objective == BRAID_THROUGHPUT;
  int64_t busiest_ns = busiest_of(f);
  if (goal->window > 0)
    plan->window = goal->window < BRAID_PLAN_WINDOW_MAX ? goal->window : BRAID_PLAN_WINDOW_MAX;
  else if (!throughput)
    plan->window = 1;
  else if (plan->window <= 1) {
    plan->window = choose_window(plan, alone_ns, busiest_ns);
    choose_part_windows(plan, busiest_ns);
  }
  if (plan->window > 1 || plan->n_mix > 0) BRAID_TRY(forecast_period(plan, graph, costs, busiest_ns));
  *value_ns = !throughput ? f->latency_ns : is_too_late(f, goal) ? COST_NEVER : f->period_ns;
  return BRAID_OK;
}

enum braid_status braid_plan_forecast(struct braid_plan *plan, const struct braid_graph *graph,
                                      const struct braid_costs *costs, const struct braid_goal *goal) {
  struct braid_goal bounded = *goal;
  int64_t value_ns = 0;
  bounded.deliver = plan->deliver; /* of a plan that was given, whatever the goal */
  BRAID_TRY(braid_plan_check(plan, graph, false));
  BRAID_TRY(costs_check(costs, graph));
  BRAID_TRY(forecast_run(plan, graph, costs, goal, &value_ns));
  struct braid_forecast *f = &plan->forecast;
  f->bound_ns = goal->objective == BRAID_THROUGHPUT ? braid_bound_period_ns(graph, costs, &bounded)
                                                    : braid_bound_latency_ns(graph, costs, &bounded);
  value_ns = goal->objective == BRAID_THROUGHPUT ? f->period_ns : f->latency_ns; /* late ones have a gap, too */
  f->gap = f->bound_ns > 0 ? (double)value_ns / (double)f->bound_ns - 1 : 0;
  return BRAID_OK;
}

/* ------------------------------------------------------------------------------------------------ policies */

static const struct braid_policy *const table[] = {
    &policy_edge_only,
    &policy_cloud_only,
    &policy_cloud_only_jpeg,
    &policy_cloud_only_fp32,
    &policy_neurosurgeon,
    &policy_dads,
    &policy_qdmp,
    &policy_dsc,
    &policy_cic,
    &policy_jps,
    &policy_decc,
    &policy_heft,
    &policy_exact,
    &policy_braid,
};

const struct braid_policy *const *braid_policies(int *n) {
  *n = (int)(sizeof table / sizeof *table);
  return table;
}

const struct braid_policy *braid_policy_find(const char *name) {
  for (size_t i = 0; i < sizeof table / sizeof *table; i++)
    if (strcmp(table[i]->name, name) == 0) return table[i];
  return NULL;
}

static enum braid_status check_pinned(const struct braid_goal *goal, const struct braid_graph *graph) {
  for (int v = 0; v < braid_graph_size(graph) && goal->pinned; v++)
    if (goal->pinned[v] < -1 || goal->pinned[v] > BRAID_CLOUD)
      return braid_fail(BRAID_EINVAL, "node %d '%s' is pinned to site %d: -1 (free), 0 and 1 are allowed", v,
                        braid_graph_node(graph, v)->name, goal->pinned[v]);
  return BRAID_OK;
}

static enum braid_status check_goal(const struct braid_goal *goal, const struct braid_graph *graph) {
  if (goal->objective != BRAID_LATENCY && goal->objective != BRAID_THROUGHPUT)
    return braid_fail(BRAID_EINVAL, "objective %d is neither latency nor throughput", (int)goal->objective);
  if (goal->slices < 0 || goal->slices > BRAID_PLAN_TASKS_MAX)
    return braid_fail(BRAID_EINVAL, "%d slices: 0..%d are allowed", goal->slices, BRAID_PLAN_TASKS_MAX);
  if (goal->window < 0 || goal->window > BRAID_PLAN_WINDOW_MAX)
    return braid_fail(BRAID_EINVAL, "a window of %d frames: 0..%d are allowed", goal->window, BRAID_PLAN_WINDOW_MAX);
  if (goal->latency_max_ns < 0)
    return braid_fail(BRAID_EINVAL, "a latency of at most %lld ns: it must be above 0",
                      (long long)goal->latency_max_ns);
  return check_pinned(goal, graph);
}

/* Sites of a plan, or of every part of a mix. */
static enum braid_status admit(const struct stages *st, const struct braid_plan *plan,
                               const struct braid_graph *graph) {
  BRAID_TRY(braid_plan_check(plan, graph, false));
  if (plan->n_mix == 0) return stages_admit(st, plan->site);
  for (int i = 0; i < plan->n_mix; i++) BRAID_TRY(stages_admit(st, plan->mix[i]->site));
  return BRAID_OK;
}

static enum braid_status check_decision(const struct braid_plan *plan, const struct braid_graph *graph,
                                        const struct braid_costs *costs, const struct braid_goal *goal) {
  struct stages *st = NULL;
  BRAID_TRY(stages_create(graph, costs, goal, &st));
  enum braid_status status = admit(st, plan, graph);
  stages_destroy(&st);
  return status;
}

static enum braid_status decide_unlimited(const struct braid_policy *policy, const struct braid_graph *graph,
                                          const struct braid_costs *costs, const struct braid_goal *goal,
                                          struct braid_plan **out) {
  struct braid_plan *plan = NULL;
  enum braid_status status = policy->decide(graph, costs, goal, &plan);
  if (status == BRAID_OK) mix_round_weights(plan);
  if (status == BRAID_OK) status = check_decision(plan, graph, costs, goal);
  if (status == BRAID_OK) status = braid_plan_forecast(plan, graph, costs, goal);
  if (status != BRAID_OK)
    braid_plan_destroy(&plan);
  else
    *out = plan;
  return status;
}

/* Policies that do not look at the ceiling, or find nothing below it, get a second chance: their plan for the lowest
 * latency, run as a pipeline. When that is too late as well its latency is what can be had. */
static enum braid_status decide_fastest(const struct braid_policy *policy, const struct braid_graph *graph,
                                        const struct braid_costs *costs, const struct braid_goal *goal,
                                        struct braid_plan **out) {
  struct braid_goal lowest = *goal;
  struct braid_plan *plan = NULL;
  lowest.objective = BRAID_LATENCY;
  lowest.latency_max_ns = 0;
  BRAID_TRY(decide_unlimited(policy, graph, costs, &lowest, &plan));
  plan->objective = goal->objective;
  enum braid_status status = braid_plan_forecast(plan, graph, costs, goal);
  if (status == BRAID_OK && is_too_late(&plan->forecast, goal))
    status =
        braid_fail(BRAID_ENOTFOUND, "a latency of at most %.3f ms cannot be had; the lowest of this policy is %.3f ms",
                   (double)goal->latency_max_ns / 1e6, (double)plan->forecast.latency_ns / 1e6);
  if (status != BRAID_OK)
    braid_plan_destroy(&plan);
  else
    *out = plan;
  return status;
}

static enum braid_status decide_limited(const struct braid_policy *policy, const struct braid_graph *graph,
                                        const struct braid_costs *costs, const struct braid_goal *goal,
                                        struct braid_plan **out) {
  struct braid_plan *plan = NULL;
  BRAID_TRY(costs_check(costs, graph));
  enum braid_status status = decide_unlimited(policy, graph, costs, goal, &plan);
  bool late = status == BRAID_OK && is_too_late(&plan->forecast, goal);
  if (late) braid_plan_destroy(&plan);
  if (late || (status == BRAID_ENOTFOUND && goal->latency_max_ns > 0))
    status = decide_fastest(policy, graph, costs, goal, &plan);
  if (status == BRAID_OK) *out = plan;
  return status;
}

enum braid_status braid_decide(const struct braid_policy *policy, const struct braid_graph *graph,
                               const struct braid_costs *costs, const struct braid_goal *goal,
                               struct braid_plan **out) {
  struct braid_costs own;
  BRAID_TRY(check_goal(goal, graph));
  BRAID_TRY(costs_check(costs, graph));
  size_t *wire = braid_malloc((size_t)costs->n_nodes * sizeof *wire);
  if (!wire) return braid_fail(BRAID_ENOMEM, "%s: costs of %d nodes", policy->name, costs->n_nodes);
  enum braid_status status = braid_policy_costs(policy, graph, costs, wire, &own);
  if (status == BRAID_OK) status = decide_limited(policy, graph, &own, goal, out);
  braid_free(wire);
  return status == BRAID_OK ? BRAID_OK : braid_fail_in(status, "%s", policy->name);
}
