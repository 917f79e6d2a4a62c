/* SPDX-License-Identifier: Apache-2.0
 * What every policy promises, on thousands of random networks: plans that pass the check and keep the goal, forecasts
 * that the naive simulator gives too, nothing below the bound, text that brings the plan back, equal plans for equal
 * input byte for byte, and a refusal only where there is no plan, which names why. */
#include "naive_sim.h"
#include "worlds.h"

#include <malloc.h>
#include <stdio.h>

static const struct braid_policy *find(const char *name) {
  const struct braid_policy *policy = braid_policy_find(name);
  cr_assert_not_null(policy, "no policy '%s'", name);
  return policy;
}

/* From the cloud back to the edge. */
static bool may_return(const struct braid_policy *policy) {
  return policy == find("heft") || policy == find("braid");
}

/* ------------------------------------------------------------------------------------------- a plan's promises */

static void check_sites(const struct world *w, const struct braid_plan *plan, const char *who) {
  const char *what = broken(w, plan->site);
  cr_assert_null(what, "%s: %s", who, what);
  int most = w->goal.slices > 0 ? w->goal.slices : 32;
  for (int v = 0; v < plan->n_nodes; v++) cr_assert_leq(plan->slices[v], most, "%s: node %d", who, v);
  for (int i = 0; i < plan->n_mix; i++) check_sites(w, plan->mix[i], who);
}

static int64_t per_worker(int64_t ns, int workers) {
  return (ns + workers - 1) / workers;
}

/* Of one frame alone, by the naive simulator. */
static void check_latency(const struct world *w, const struct braid_costs *costs, const struct braid_plan *plan,
                          const char *who) {
  const struct braid_forecast *f = &plan->forecast;
  struct naive_result naive;
  cr_assert(naive_simulate(plan, w->graph, costs, &(struct braid_sim_opts){.frames = 1, .window = 1}, &naive));
  cr_assert_eq(f->latency_ns, naive.sum.first_latency_ns, "%s: %lld, naively %lld", who, (long long)f->latency_ns,
               (long long)naive.sum.first_latency_ns);
  cr_assert_eq(f->edge_ns, per_worker(naive.sum.busy_ns[BRAID_RES_EDGE], costs->edge_workers), "%s", who);
  cr_assert_eq(f->cloud_ns, per_worker(naive.sum.busy_ns[BRAID_RES_CLOUD], costs->cloud_workers), "%s", who);
  cr_assert_eq(f->up_ns, naive.sum.busy_ns[BRAID_RES_UP], "%s", who);
  cr_assert_eq(f->down_ns, naive.sum.busy_ns[BRAID_RES_DOWN], "%s", who);
  cr_assert_eq(f->up_bytes, naive.sum.up_bytes, "%s", who);
  cr_assert_eq(f->down_bytes, naive.sum.down_bytes, "%s", who);
  naive_free(&naive);
}

static int64_t busiest(const struct braid_forecast *f) {
  int64_t most = f->edge_ns;
  if (f->up_ns > most) most = f->up_ns;
  if (f->cloud_ns > most) most = f->cloud_ns;
  return f->down_ns > most ? f->down_ns : most;
}

static void check_forecast(const struct world *w, const struct braid_costs *costs, const struct braid_plan *plan,
                           const char *who) {
  const struct braid_forecast *f = &plan->forecast;
  int64_t slowest = 0;
  if (plan->n_mix == 0) check_latency(w, costs, plan, who);
  for (int i = 0; i < plan->n_mix; i++) {
    check_latency(w, costs, plan->mix[i], who);
    if (plan->mix[i]->forecast.latency_ns > slowest) slowest = plan->mix[i]->forecast.latency_ns;
  }
  if (plan->n_mix > 0) cr_assert_eq(f->latency_ns, slowest, "%s", who);
  if (plan->n_mix == 0 && plan->window == 1) cr_assert_eq(f->period_ns, f->latency_ns, "%s", who);
  cr_assert_geq(f->period_ns, busiest(f), "%s", who);
  if (w->goal.window > 0) cr_assert_eq(plan->window, w->goal.window, "%s", who);
  if (w->goal.latency_max_ns > 0) cr_assert_leq(f->latency_ns, w->goal.latency_max_ns, "%s", who);
  int64_t value = w->goal.objective == BRAID_THROUGHPUT ? f->period_ns : f->latency_ns;
  cr_assert_geq(value, f->bound_ns, "%s: %lld is below the bound of %lld", who, (long long)value,
                (long long)f->bound_ns);
  if (f->bound_ns > 0) cr_assert_float_eq(f->gap, (double)value / (double)f->bound_ns - 1, 1e-12, "%s", who);
}

/* Written and read again it is the same plan, in every bit that a run depends on. */
static char *check_text(const struct world *w, const struct braid_plan *plan, const char *who) {
  struct braid_plan *back = NULL;
  char *text = NULL, *again = NULL;
  must(braid_plan_to_json(plan, w->graph, &w->t.costs, -1, &text));
  must(braid_plan_from_json(text, strlen(text), w->graph, &back));
  must(braid_plan_to_json(back, w->graph, &w->t.costs, -1, &again));
  cr_assert_str_eq(text, again, "%s", who);
  cr_assert_eq(back->n_mix, plan->n_mix, "%s", who);
  cr_assert_eq(back->deliver, plan->deliver, "%s", who);
  struct braid_sim_opts opts = {.frames = 5, .window = plan->window};
  struct braid_sim_result a, b;
  must(braid_simulate(plan, w->graph, &w->t.costs, &opts, &a));
  must(braid_simulate(back, w->graph, &w->t.costs, &opts, &b));
  cr_assert_eq(memcmp(&a, &b, sizeof a), 0, "%s: the plan that was read runs otherwise", who);
  braid_plan_destroy(&back);
  braid_free(again);
  return text;
}

static void check_plan(const struct world *w, const struct braid_policy *policy, const struct braid_plan *plan,
                       const char *who) {
  size_t wire[SETS_NODES_MAX];
  struct braid_costs costs;
  must(braid_policy_costs(policy, w->graph, &w->t.costs, wire, &costs));
  must(braid_plan_check(plan, w->graph, !may_return(policy)));
  cr_assert_str_eq(plan->policy, policy->name);
  cr_assert_eq(plan->objective, w->goal.objective);
  cr_assert_eq(plan->deliver, w->goal.deliver);
  check_sites(w, plan, who);
  check_forecast(w, &costs, plan, who);
}

/* --------------------------------------------------------------------------------------------------- refusals */

/* Names the policy, and a constraint that the goal has. */
static void check_refusal(const struct world *w, const struct braid_policy *policy, const char *text,
                          const char *who) {
  const struct braid_goal *goal = &w->goal;
  bool named = (goal->edge_memory > 0 && strstr(text, "memory")) || (goal->private_input && strstr(text, "private")) ||
               (goal->pinned && strstr(text, "pinned")) ||
               (goal->latency_max_ns > 0 && strstr(text, "a latency of at most")) ||
               (policy->input == BRAID_INPUT_JPEG && (strstr(text, "JPEG") || strstr(text, "picture")));
  cr_assert(named, "%s: refused with \"%s\"", who, text);
  cr_assert_eq(strncmp(text, policy->name, strlen(policy->name)), 0, "%s: \"%s\"", who, text);
}

struct possible {
  const struct world *w;
  bool any;
};

static void is_possible(void *ctx, const uint8_t *site) {
  struct possible *p = ctx;
  p->any |= !broken(p->w, site);
}

/* Those that see every closed set find a plan wherever there is one. */
static void check_needless_refusals(const struct world *w, const bool *found) {
  struct possible p = {w, false};
  int n = 0;
  const struct braid_policy *const *policy = braid_policies(&n);
  if (w->goal.latency_max_ns > 0 || count_free(w->graph) > 8) return;
  each_closed_set(w->graph, is_possible, &p);
  for (int i = 0; i < n; i++) {
    bool closed = policy[i] == find("exact") || (policy[i] == find("dads") && w->goal.edge_memory == 0);
    if (closed) cr_assert_eq(found[i], p.any, "%s", policy[i]->name);
    if (policy[i] == find("braid")) cr_assert(found[i] || !p.any, "braid finds no plan, there is one");
    if (!may_return(policy[i])) cr_assert(p.any || !found[i], "%s finds what cannot be", policy[i]->name);
  }
}

/* ------------------------------------------------------------------------------------------------ equal plans */

/* In a network built anew from the same description, in memory that holds something else. */
static void check_same_again(uint64_t seed, int most_nodes, const struct braid_policy *policy, const char *text) {
  struct world w;
  struct braid_plan *plan = NULL;
  char *again = NULL;
  mallopt(M_PERTURB, (int)(1 + seed % 254));
  make_world(&w, seed, most_nodes);
  must(braid_decide(policy, w.graph, &w.t.costs, &w.goal, &plan));
  must(braid_plan_to_json(plan, w.graph, &w.t.costs, -1, &again));
  cr_assert_str_eq(text, again, "seed %llu, %s: equal input, unequal plans", (unsigned long long)seed, policy->name);
  mallopt(M_PERTURB, 0);
  braid_free(again);
  braid_plan_destroy(&plan);
  free_world(&w);
}

/* ---------------------------------------------------------------------------------------------------- the whole */

struct tally {
  int plans[32], refusals[32];
};

static void one_world(uint64_t seed, int most_nodes, struct tally *tally) {
  struct world w;
  int n = 0;
  bool found[32] = {false};
  const struct braid_policy *const *policy = braid_policies(&n);
  make_world(&w, seed, most_nodes);
  for (int i = 0; i < n; i++) {
    char who[64];
    struct braid_plan *plan = NULL;
    snprintf(who, sizeof who, "seed %llu, %s", (unsigned long long)seed, policy[i]->name);
    enum braid_status status = braid_decide(policy[i], w.graph, &w.t.costs, &w.goal, &plan);
    found[i] = status == BRAID_OK;
    tally->plans[i] += found[i];
    tally->refusals[i] += !found[i];
    if (status == BRAID_ENOTFOUND) check_refusal(&w, policy[i], braid_error(), who);
    bool only_home = policy[i] == find("cic") && w.goal.deliver == BRAID_CLOUD; /* says that it cannot */
    cr_assert(found[i] || status == BRAID_ENOTFOUND ||
                  (status == BRAID_EUNSUPPORTED && (policy[i] == find("exact") || only_home)),
              "%s: %s", who, braid_error());
    if (only_home) cr_assert_not(found[i], "%s", who);
    if (!found[i]) continue;
    check_plan(&w, policy[i], plan, who);
    char *text = check_text(&w, plan, who);
    if (seed % 3 == 0) check_same_again(seed, most_nodes, policy[i], text);
    braid_free(text);
    braid_plan_destroy(&plan);
  }
  check_needless_refusals(&w, found);
  free_world(&w);
}

static void run_worlds(uint64_t seed, int worlds, int most_nodes) {
  struct tally tally = {{0}, {0}};
  int n = 0;
  (void)braid_policies(&n);
  cr_assert_leq(n, 32);
  for (int i = 0; i < worlds; i++) one_world(seed + (uint64_t)i, most_nodes, &tally);
  for (int i = 0; i < n; i++) cr_assert(tally.plans[i] > worlds / 10 && tally.refusals[i] > worlds / 50);
}

Test(promises, are_kept_on_small_networks) {
  run_worlds(random_graph_seed(40000), 1200, 8);
}

Test(promises, are_kept_on_larger_ones) {
  run_worlds(random_graph_seed(50000), 200, 22);
}
