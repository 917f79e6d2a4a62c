/* SPDX-License-Identifier: Apache-2.0
 * jps against every order of every split of a batch over neighbouring prefixes, played through the flow shop job by
 * job.
 */
#include "closed_sets.h"
#include "internal.h"
#include "random_graph.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct job {
  int64_t ns[4], delay_ns[2], total_ns;
};

static struct job job_of(const struct stages *st, const uint8_t *site) {
  struct stage_sums s;
  stages_sum(st, site, &s);
  struct job j = {{s.time[BRAID_EDGE], s.up, s.time[BRAID_CLOUD], s.down},
                  {s.crosses_up ? st->costs->up.delay_ns : 0, s.crosses_down ? st->costs->down.delay_ns : 0},
                  stages_latency_ns(st, &s)};
  return j;
}

/* Bit i of `order`: job i is of type b. */
static int64_t play(const struct job *a, const struct job *b, int n, unsigned order) {
  int64_t at[4] = {0}, end = 0;
  for (int i = 0; i < n; i++) {
    const struct job *j = order >> i & 1 ? b : a;
    int64_t ready = 0;
    for (int stage = 0; stage < 4; stage++) {
      if (stage == 2) ready += j->delay_ns[0];
      at[stage] = (at[stage] > ready ? at[stage] : ready) + j->ns[stage];
      ready = at[stage];
    }
    if (ready + j->delay_ns[1] > end) end = ready + j->delay_ns[1];
  }
  return end;
}

static int by_edge(const void *a, const void *b) {
  const struct job *x = a, *y = b;
  if (x->ns[0] != y->ns[0]) return x->ns[0] < y->ns[0] ? -1 : 1;
  return x->ns[1] < y->ns[1] ? -1 : x->ns[1] > y->ns[1];
}

/* The prefixes that no other beats on edge and link, ascending. */
static int list_types(const struct stages *st, struct job *job) {
  uint8_t site[SETS_NODES_MAX];
  int n = 0, kept = 0;
  for (int last = -1; last < st->n; last++) {
    for (int v = 0; v < st->n; v++)
      site[v] = v <= last || braid_graph_node(st->graph, v)->op == BRAID_OP_INPUT ? BRAID_EDGE : BRAID_CLOUD;
    job[n] = job_of(st, site);
    n += job[n].total_ns < COST_NEVER;
  }
  qsort(job, (size_t)n, sizeof *job, by_edge);
  for (int i = 0; i < n; i++)
    if (kept == 0 || job[i].ns[1] < job[kept - 1].ns[1]) job[kept++] = job[i];
  return kept;
}

/* What the plan's own batch takes: parts in their order, as many of each as its weight says. */
static int64_t plan_makespan(const struct stages *st, const struct braid_plan *plan, int frames) {
  if (plan->n_mix == 0) {
    struct job all = job_of(st, plan->site);
    return play(&all, &all, frames, 0);
  }
  cr_assert_eq(plan->n_mix, 2);
  cr_assert(plan->mix[0]->serial && plan->mix[1]->serial);
  struct job a = job_of(st, plan->mix[0]->site), b = job_of(st, plan->mix[1]->site);
  int n_a = (int)lround(plan->mix_weight[0] * frames);
  return play(&a, &b, frames, ((1u << frames) - 1) & ~((1u << n_a) - 1));
}

Test(jps, batches_are_as_short_as_any_order) {
  enum { FRAMES = 5 };
  uint64_t seed = random_graph_seed(61);
  int mixes = 0, compared = 0;
  for (uint64_t i = 0; i < 1200; i++) {
    struct braid_graph *g = sealed(random_graph(seed + i, 4 + (int)(i % 10), (unsigned)(i % RANDOM_GRAPH_FLAGS)));
    bool two_stages = i % 2;
    struct test_costs t = premise_costs(g, seed + i);
    struct braid_goal goal = {.window = FRAMES, .private_input = i % 3 == 0};
    goal.deliver = draw_deliver_open(&goal, seed + i);
    struct stages *st = NULL;
    struct braid_plan *plan = NULL;
    struct job job[SETS_NODES_MAX + 1];
    if (two_stages) { /* the paper's: the cloud and the way back take no time */
      memset(t.cloud_ns, 0, sizeof *t.cloud_ns * (size_t)t.costs.n_nodes);
      t.costs.cloud_task_ns = t.costs.down.message_ns = t.costs.down.delay_ns = t.costs.up.delay_ns = 0;
      t.costs.down.bits_per_s = 1e18;
    }
    must(stages_create(g, &t.costs, &goal, &st));
    must(braid_policy_find("jps")->decide(g, &t.costs, &goal, &plan));
    int n = list_types(st, job);
    int64_t best = INT64_MAX, found = plan_makespan(st, plan, FRAMES);
    for (int k = 0; k < n; k++)
      for (unsigned order = 0; order < 1u << FRAMES; order++) {
        int64_t ns = play(&job[k], &job[k + 1 < n ? k + 1 : k], FRAMES, order);
        if (ns < best) best = ns;
      }
    if (two_stages)
      cr_assert_leq(found, best + 64, "case %llu: %lld, best is %lld", (unsigned long long)i, (long long)found,
                    (long long)best);
    for (int k = 0; k < n; k++) cr_assert_leq(found, play(&job[k], &job[k], FRAMES, 0));
    cr_assert_leq(found, best + best / 4);
    mixes += plan->n_mix > 0;
    compared++;
    braid_plan_destroy(&plan);
    stages_destroy(&st);
    free_costs(&t);
    braid_graph_destroy(&g);
  }
  cr_assert_gt(mixes, compared / 20, "%d mixes in %d", mixes, compared);
}

static double period_of(const struct job *a, const struct job *b, double share) {
  double most = 0;
  for (int i = 0; i < 4; i++) most = fmax(most, share * (double)a->ns[i] + (1 - share) * (double)b->ns[i]);
  return most;
}

Test(jps, streams_have_the_best_share) {
  uint64_t seed = random_graph_seed(62);
  int mixes = 0;
  for (uint64_t i = 0; i < 600; i++) {
    struct braid_graph *g = sealed(random_graph(seed + i, 4 + (int)(i % 10), (unsigned)(i % RANDOM_GRAPH_FLAGS)));
    struct test_costs t = premise_costs(g, seed + i);
    struct braid_goal goal = {.objective = BRAID_THROUGHPUT, .private_input = i % 3 == 0};
    goal.deliver = draw_deliver_open(&goal, seed + i);
    struct stages *st = NULL;
    struct braid_plan *plan = NULL;
    struct job job[SETS_NODES_MAX + 1];
    must(stages_create(g, &t.costs, &goal, &st));
    must(braid_policy_find("jps")->decide(g, &t.costs, &goal, &plan));
    struct job a = job_of(st, plan->n_mix > 0 ? plan->mix[0]->site : plan->site);
    struct job b = job_of(st, plan->n_mix > 0 ? plan->mix[1]->site : plan->site);
    double found = period_of(&a, &b, plan->n_mix > 0 ? plan->mix_weight[0] : 1);
    int n = list_types(st, job);
    for (int k = 0; k < n; k++)
      for (int share = 0; share <= 200; share++) {
        double ns = period_of(&job[k], &job[k + 1 < n ? k + 1 : k], share / 200.0);
        cr_assert_leq(found, ns + 2, "case %llu: %.1f, %.1f is possible", (unsigned long long)i, found, ns);
      }
    mixes += plan->n_mix > 0;
    braid_plan_destroy(&plan);
    stages_destroy(&st);
    free_costs(&t);
    braid_graph_destroy(&g);
  }
  cr_assert_gt(mixes, 100);
}

Test(jps, one_frame_follows_the_best_single_cut) {
  uint64_t seed = random_graph_seed(63);
  for (uint64_t i = 0; i < 300; i++) {
    struct braid_graph *g = sealed(random_graph(seed + i, 4 + (int)(i % 12), (unsigned)(i % RANDOM_GRAPH_FLAGS)));
    struct test_costs t = random_costs(g, seed + i);
    struct braid_goal goal = {.private_input = i % 3 == 0};
    goal.deliver = draw_deliver_open(&goal, seed + i);
    struct braid_plan *jps = NULL, *chain = NULL;
    must(braid_decide(braid_policy_find("jps"), g, &t.costs, &goal, &jps));
    must(braid_decide(braid_policy_find("neurosurgeon"), g, &t.costs, &goal, &chain));
    cr_assert_eq(jps->n_mix, 0);
    cr_assert_eq(jps->forecast.latency_ns, chain->forecast.latency_ns, "case %llu", (unsigned long long)i);
    braid_plan_destroy(&jps);
    braid_plan_destroy(&chain);
    free_costs(&t);
    braid_graph_destroy(&g);
  }
}
