/* SPDX-License-Identifier: Apache-2.0
 * The simulator from outside: what it keeps from run to run (layouts, memory), the checks of what callers ask for, and
 * the makespan and period of what was answered when. */
#include "simulate.h"

#include <math.h>
#include <string.h>

struct simulator {
  const struct braid_costs *costs;
  struct tl_layouts layouts;
  struct slab memory; /* of one run */
};

/* ------------------------------------------------------------------------------------------------- what came of it */

/* How far the parts of the answers in (from, n) are from their shares, in frames. */
static double imbalance(const struct sim *s, int from, const int *after) {
  double off = 0;
  for (int i = 0; i < s->n_parts; i++) off += fabs(after[i] - s->plan->mix_weight[i] * (s->opts->frames - 1 - from));
  return off;
}

/* Parts take unequal times: the run is measured from where the answers after it had them in nearly their shares. */
static int balanced_start(const struct sim *s) {
  int n = s->opts->frames, after[BRAID_PLAN_MIX_MAX] = {0}, best = n / 2;
  double least = (double)INFINITY;
  for (int from = n - 2; from >= n / 3; from--) {
    after[s->answered_part[from + 1]]++;
    if (from > n * 2 / 3) continue;
    double off = imbalance(s, from, after) / (n - 1 - from);
    if (off < least) {
      least = off;
      best = from;
    }
  }
  return best;
}

/* Slope over about the second half, when the pipeline has filled. */
static int64_t period_of(const struct sim *s) {
  int n = s->opts->frames;
  if (n == 1) return s->answered_ns[0];
  int from = s->plan->n_mix > 0 ? balanced_start(s) : n / 2;
  if (from >= n - 1) from = n - 2;
  return (s->answered_ns[n - 1] - s->answered_ns[from]) / (n - 1 - from);
}

/* --------------------------------------------------------------------------------------------------------- one run */

static enum braid_status simulate(struct sim *s, struct simulator *with) {
  bool done = false;
  BRAID_TRY(sim_open(s, &with->layouts));
  BRAID_TRY(sim_pass_time(s, &done));
  if (!done) {
    s->result->first_latency_ns = COST_NEVER;
    return BRAID_OK;
  }
  s->result->makespan_ns = s->answered_ns[s->opts->frames - 1];
  s->result->period_ns = period_of(s);
  return BRAID_OK;
}

static enum braid_status run_with(struct simulator *with, const struct braid_plan *plan,
                                  const struct braid_sim_opts *opts, int64_t limit_ns,
                                  struct braid_sim_result *result) {
  struct sim s = {.plan = plan, .opts = opts, .result = result, .memory = &with->memory, .limit_ns = limit_ns};
  s.n_slots = opts->window < opts->frames ? opts->window : opts->frames;
  for (int i = 0; i < 2; i++) s.workers[i] = cost_workers(with->costs, (enum braid_site)i);
  memset(result, 0, sizeof *result);
  slab_reset(&with->memory);
  return simulate(&s, with);
}

/* ---------------------------------------------------------------------------------------------------- from outside */

enum braid_status simulator_create(const struct braid_graph *graph, const struct braid_costs *costs,
                                   struct simulator **out) {
  struct simulator *sim = braid_calloc(1, sizeof *sim);
  if (!sim) return braid_fail(BRAID_ENOMEM, "simulating %d nodes", braid_graph_size(graph));
  sim->costs = costs;
  enum braid_status status = tl_layouts_open(graph, costs, &sim->layouts);
  if (status == BRAID_OK)
    *out = sim;
  else
    simulator_destroy(&sim);
  return status;
}

void simulator_destroy(struct simulator **simulator) {
  if (!simulator || !*simulator) return;
  tl_layouts_close(&(*simulator)->layouts);
  slab_free(&(*simulator)->memory);
  braid_free(*simulator);
  *simulator = NULL;
}

enum braid_status simulator_run(struct simulator *simulator, const struct braid_plan *plan,
                                const struct braid_sim_opts *opts, struct braid_sim_result *result) {
  return run_with(simulator, plan, opts, COST_NEVER, result);
}

enum braid_status simulator_latency(struct simulator *simulator, const struct braid_plan *plan, int64_t limit_ns,
                                    int64_t *ns) {
  struct braid_sim_result r;
  BRAID_TRY(run_with(simulator, plan, &(struct braid_sim_opts){.frames = 1, .window = 1}, limit_ns, &r));
  *ns = r.first_latency_ns < limit_ns ? r.first_latency_ns : COST_NEVER;
  return BRAID_OK;
}

enum braid_status sim_run(const struct braid_plan *plan, const struct braid_graph *graph,
                          const struct braid_costs *costs, const struct braid_sim_opts *opts,
                          struct braid_sim_result *result) {
  struct simulator *simulator = NULL;
  BRAID_TRY(simulator_create(graph, costs, &simulator));
  enum braid_status status = simulator_run(simulator, plan, opts, result);
  simulator_destroy(&simulator);
  return status;
}

static enum braid_status check_rates(const struct braid_rate_step *step, int n, const char *name) {
  if (n < 0 || (n > 0 && !step)) return braid_fail(BRAID_EINVAL, "%s: %d rates are no list", name, n);
  for (int i = 0; i < n; i++) {
    if (!(step[i].bits_per_s > 0 && step[i].bits_per_s < 1e18))
      return braid_fail(BRAID_EINVAL, "%s rate %d is %g bit/s: it must be above 0", name, i, step[i].bits_per_s);
    if (step[i].at_ns < 0 || (i > 0 && step[i].at_ns <= step[i - 1].at_ns))
      return braid_fail(BRAID_EINVAL, "%s rate %d begins at %lld ns, not after the one before", name, i,
                        (long long)step[i].at_ns);
  }
  return BRAID_OK;
}

enum braid_status braid_simulate(const struct braid_plan *plan, const struct braid_graph *graph,
                                 const struct braid_costs *costs, const struct braid_sim_opts *opts,
                                 struct braid_sim_result *result) {
  BRAID_TRY(braid_plan_check(plan, graph, false));
  BRAID_TRY(costs_check(costs, graph));
  BRAID_TRY(check_rates(opts->up_rate, opts->n_up_rate, "uplink"));
  BRAID_TRY(check_rates(opts->down_rate, opts->n_down_rate, "downlink"));
  if (opts->frames < 1 || opts->frames > BRAID_SIM_FRAMES_MAX || opts->window < 1)
    return braid_fail(BRAID_EINVAL, "simulating %d frames, %d at once: 1..%d frames and a window of at least 1",
                      opts->frames, opts->window, BRAID_SIM_FRAMES_MAX);
  return sim_run(plan, graph, costs, opts, result);
}
