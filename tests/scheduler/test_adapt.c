/* SPDX-License-Identifier: Apache-2.0
 * Adaptation under links that step, drift, jitter and vanish: it follows, it settles, it does not flap, and nobody can
 * feed it nonsense. */
#include "nets.h"
#include "random_graph.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define TICK (100 * MS)
#define S (1000 * MS)

/* in (128 KiB) -> a -> b (1 KiB) -> c: the edge takes 100 ms for each of a, b and c, the cloud 5. All on the edge: 300
 * ms. With the input sent, 15 ms and 1 Mbit: cloud from 3.7 Mbit/s on. */
struct rig {
  struct braid_graph *graph;
  struct test_costs costs;
  struct braid_goal goal;
  struct braid_adapt *adapt;
  int64_t now_ns;
  int switches;
};

static struct rig new_rig(const char *policy) {
  struct rig r = {.graph = new_graph("row")};
  int at = tensor_in(r.graph, "in", 32, 1024);
  static const char *const name[] = {"a", "b", "c"};
  for (int i = 0; i < 3; i++) at = node1(r.graph, name[i], at);
  must(braid_graph_add_output(r.graph, at));
  sealed(r.graph);
  r.costs = plain_costs(r.graph);
  for (int i = 0; i < 3; i++) set_times(&r.costs, r.graph, name[i], 100 * MS, 5 * MS);
  set_rate(&r.costs, 1e5, 1e9);
  r.costs.costs.up.delay_ns = r.costs.costs.down.delay_ns = 5 * MS;
  must(braid_adapt_create(r.graph, &r.costs.costs, &r.goal, braid_policy_find(policy), &r.adapt));
  return r;
}

static void end_rig(struct rig *r) {
  braid_adapt_destroy(&r->adapt);
  cr_assert_null(r->adapt);
  free_costs(&r->costs);
  braid_graph_destroy(&r->graph);
}

static const struct braid_plan *tick(struct rig *r, double up) {
  const struct braid_plan *plan = NULL;
  bool changed = false;
  must(braid_adapt_observe(r->adapt, r->now_ns, &(struct braid_observation){.up_bits_per_s = up}));
  must(braid_adapt_decide(r->adapt, r->now_ns, &plan, &changed));
  cr_assert_eq(plan, braid_adapt_plan(r->adapt));
  r->switches += changed;
  r->now_ns += TICK;
  return plan;
}

static bool is_alone(const struct braid_plan *plan) {
  for (int v = 0; v < plan->n_nodes; v++)
    if (plan->site[v] == BRAID_CLOUD) return false;
  return true;
}

Test(adapt, follows_a_step_up_soon_and_a_step_down_at_once) {
  struct rig r = new_rig("braid");
  cr_assert(is_alone(braid_adapt_plan(r.adapt)));
  int waited = 1;
  cr_assert(is_alone(tick(&r, 1e6)));
  while (is_alone(tick(&r, 50e6))) cr_assert_leq(++waited, 20, "2 s after the step up it is still alone");
  for (int i = 0; i < 50; i++) cr_assert(!is_alone(tick(&r, 50e6)));
  cr_assert(is_alone(tick(&r, 0.5e6)), "300 ms against a second and more: no second decision is needed");
  for (int i = 0; i < 50; i++) cr_assert(is_alone(tick(&r, 0.5e6)));
  cr_assert_leq(r.switches, 4);
  end_rig(&r);
}

/* Results that are wanted in the cloud are wanted there under every plan; the edge's small one travels when the input
 * no longer can. */
Test(adapt, keeps_where_results_are_wanted) {
  struct rig r = new_rig("braid");
  const size_t wire[] = {128 << 10, 128 << 10, 128 << 10, 1 << 10};
  int last = braid_graph_size(r.graph) - 1;
  cr_assert_eq(last, 3);
  braid_adapt_destroy(&r.adapt);
  r.goal.deliver = BRAID_CLOUD;
  r.costs.costs.wire_bytes = wire;
  must(braid_adapt_create(r.graph, &r.costs.costs, &r.goal, braid_policy_find("braid"), &r.adapt));
  braid_adapt_bridges(r.adapt, false);
  for (int i = 0; i < 120; i++) {
    const struct braid_plan *plan = tick(&r, i < 40 || i >= 80 ? 0.5e6 : 50e6);
    cr_assert_eq(plan->deliver, BRAID_CLOUD);
    if (i == 39 || i == 119) cr_assert(is_alone(plan) && braid_plan_crosses_up(plan, r.graph, last));
    if (i == 79) cr_assert_not(is_alone(plan));
    for (int v = 0; v <= last; v++) cr_assert_not(braid_plan_crosses_down(plan, r.graph, v));
  }
  cr_assert_geq(r.switches, 2);
  end_rig(&r);
}

Test(adapt, a_small_gain_must_last) {
  struct rig r = new_rig("dads");
  for (int i = 0; i < 20; i++) tick(&r, 3e6);
  cr_assert(is_alone(braid_adapt_plan(r.adapt)));
  for (int i = 0; i < 40; i++) tick(&r, 3.8e6); /* about 1 % better */
  cr_assert(is_alone(braid_adapt_plan(r.adapt)));
  for (int i = 0; i < 60; i++) tick(&r, 5e6); /* 241 ms */
  cr_assert(!is_alone(braid_adapt_plan(r.adapt)));
  cr_assert_eq(r.switches, 1);
  end_rig(&r);
}

Test(adapt, a_ramp_switches_once_each_way) {
  struct rig r = new_rig("dads");
  for (int i = 0; i <= 400; i++) tick(&r, 1e6 * pow(20, i / 400.0));
  cr_assert_eq(r.switches, 1);
  cr_assert(!is_alone(braid_adapt_plan(r.adapt)));
  for (int i = 400; i >= 0; i--) tick(&r, 1e6 * pow(20, i / 400.0));
  cr_assert_eq(r.switches, 2);
  cr_assert(is_alone(braid_adapt_plan(r.adapt)));
  end_rig(&r);
}

/* Around the breakpoint, where either plan is as good as the other, noise of +-30 % settles. */
Test(adapt, noise_does_not_make_it_flap) {
  for (uint64_t seed = random_graph_seed(7), last = seed + 20; seed < last; seed++) {
    struct rig r = new_rig("braid");
    for (uint64_t i = 0; i < 600; i++)
      tick(&r, 3.8e6 * (0.7 + 0.6 * (double)(braid_random_u64(seed, i) % 1000) / 1000));
    cr_assert_leq(r.switches, 6, "seed %llu: %d switches in a minute", (unsigned long long)seed, r.switches);
    end_rig(&r);
  }
}

/* A second of nothing every ten: away and back each time, no more; and plans that return are remembered. */
Test(adapt, outages_cost_two_switches_each) {
  struct rig r = new_rig("braid");
  struct braid_adapt_stats early, late;
  for (int i = 0; i < 1000; i++) {
    tick(&r, i % 100 < 10 ? 1 : 20e6);
    if (i == 299) braid_adapt_stats(r.adapt, &early);
  }
  braid_adapt_stats(r.adapt, &late);
  cr_assert_leq(r.switches, 2 * 10 * 2, "%d", r.switches);
  cr_assert_geq(r.switches, 10);
  cr_assert_eq(late.switches, r.switches);
  cr_assert_eq(late.policy, early.policy, "the policy was asked again for what was known");
  cr_assert_eq(late.decisions, 1000);
  end_rig(&r);
}

Test(adapt, a_steady_link_costs_the_table_only) {
  struct rig r = new_rig("braid");
  struct braid_adapt_stats before, after;
  for (int i = 0; i < 100; i++) tick(&r, 10e6);
  braid_adapt_stats(r.adapt, &before);
  for (int i = 0; i < 1000; i++) tick(&r, 10e6);
  braid_adapt_stats(r.adapt, &after);
  cr_assert_eq(after.evaluated, before.evaluated);
  cr_assert_eq(after.decisions, before.decisions + 1000);
  end_rig(&r);
}

static void observe(struct rig *r, const struct braid_observation *seen) {
  const struct braid_plan *plan;
  bool changed;
  for (int i = 0; i < 100; i++, r->now_ns += TICK) {
    must(braid_adapt_observe(r->adapt, r->now_ns, seen));
    must(braid_adapt_decide(r->adapt, r->now_ns, &plan, &changed));
  }
}

/* 52 ms of link and 15 of cloud against 300 at home: each of the other conditions can turn that round. (At a load of 40
 * some of it would still go to the cloud, in slices.) */
Test(adapt, load_round_trip_and_a_slow_edge_count) {
  static const struct {
    struct braid_observation worse, back;
  } turn[] = {{{.cloud_load = 400}, {.cloud_load = 1}},
              {{.rtt_ns = 500e6}, {.rtt_ns = 10e6}},
              {{.edge_stretch = 0.2}, {.edge_stretch = 1}}};
  for (size_t i = 0; i < sizeof turn / sizeof *turn; i++) {
    struct rig r = new_rig("braid");
    for (int k = 0; k < 50; k++) tick(&r, 20e6);
    cr_assert(!is_alone(braid_adapt_plan(r.adapt)));
    observe(&r, &turn[i].worse);
    cr_assert(is_alone(braid_adapt_plan(r.adapt)), "condition %zu", i);
    observe(&r, &turn[i].back);
    cr_assert(!is_alone(braid_adapt_plan(r.adapt)), "condition %zu", i);
    end_rig(&r);
  }
}

Test(adapt, works_without_a_table) {
  struct rig r = new_rig("braid");
  struct braid_goal goal = {.objective = BRAID_THROUGHPUT};
  braid_adapt_destroy(&r.adapt);
  must(braid_adapt_create(r.graph, &r.costs.costs, &goal, braid_policy_find("braid"), &r.adapt));
  for (int k = 0; k < 50; k++) tick(&r, 50e6);
  cr_assert_gt(r.switches, 0);
  cr_assert_eq(braid_adapt_plan(r.adapt)->objective, BRAID_THROUGHPUT);
  end_rig(&r);
}

/* Nothing but finite numbers from 0 on gets in, and whatever does leaves costs that can be believed. */
Test(adapt, nonsense_is_refused_or_clamped) {
  static const double odd[] = {
      0, -1, 1e-300, 1, 1e3, 5e6, 1e12, 1e300, -1e300, (double)NAN, (double)INFINITY, -(double)INFINITY};
  enum { ODD = sizeof odd / sizeof *odd };
  struct rig r = new_rig("dads");
  uint64_t seed = random_graph_seed(3);
  int refused = 0, taken = 0;
  for (uint64_t i = 0; i < 3000; i++) {
    double x[5];
    bool good = true;
    for (uint64_t k = 0; k < 5; k++) {
      x[k] = odd[braid_random_u64(seed, 6 * i + k) % (i % 2 ? 8 : ODD)];
      good &= x[k] >= 0 && isfinite(x[k]);
    }
    struct braid_observation seen = {x[0], x[1], x[2], x[3], x[4]};
    struct braid_adapt_stats before, after;
    const struct braid_plan *plan;
    bool changed;
    int64_t now = (int64_t)braid_random_u64(seed, 6 * i + 5); /* any, backwards too */
    braid_adapt_stats(r.adapt, &before);
    enum braid_status status = braid_adapt_observe(r.adapt, now, &seen);
    braid_adapt_stats(r.adapt, &after);
    cr_assert_eq(status, good ? BRAID_OK : BRAID_EINVAL, "seed %llu, step %llu", (unsigned long long)seed,
                 (unsigned long long)i);
    if (!good) cr_assert_eq(memcmp(&before, &after, sizeof before), 0);
    refused += !good;
    taken += good;
    must(braid_adapt_decide(r.adapt, now, &plan, &changed));
    must(braid_plan_check(plan, r.graph, false));
  }
  cr_assert_gt(refused, 500);
  cr_assert_gt(taken, 200);
  end_rig(&r);
}

/* On random networks, under anything that jumps about. */
Test(adapt, is_deterministic) {
  uint64_t seed = random_graph_seed(19);
  for (uint64_t i = 0; i < 40; i++, seed++) {
    struct braid_graph *g = sealed(random_graph(seed, 3 + (int)(i % 8), (unsigned)(i % RANDOM_GRAPH_FLAGS)));
    struct test_costs t = random_costs(g, seed);
    struct braid_goal goal = {0};
    struct braid_adapt *twin[2] = {NULL, NULL};
    for (int k = 0; k < 2; k++) must(braid_adapt_create(g, &t.costs, &goal, braid_policy_find("braid"), &twin[k]));
    for (uint64_t step = 0; step < 60; step++) {
      const struct braid_plan *plan[2];
      bool changed[2];
      double x = exp2((double)(braid_random_u64(seed, step) % 600) / 100);
      struct braid_observation seen = {t.costs.up.bits_per_s / x, 0, 0, step % 3 ? 0 : sqrt(x), step % 2 ? 0 : x};
      for (int k = 0; k < 2; k++) {
        must(braid_adapt_observe(twin[k], (int64_t)step * TICK, &seen));
        must(braid_adapt_decide(twin[k], (int64_t)step * TICK, &plan[k], &changed[k]));
      }
      cr_assert_eq(changed[0], changed[1]);
      cr_assert_eq(memcmp(plan[0]->site, plan[1]->site, (size_t)plan[0]->n_nodes), 0, "seed %llu",
                   (unsigned long long)seed);
    }
    for (int k = 0; k < 2; k++) braid_adapt_destroy(&twin[k]);
    free_costs(&t);
    braid_graph_destroy(&g);
  }
}
