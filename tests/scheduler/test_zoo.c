/* SPDX-License-Identifier: Apache-2.0
 * The policies on networks of the zoo, and what pipelining branches must gain where it is known to. */
#include "nets.h"

#include <string.h>

static int64_t decide(const char *policy, const struct braid_graph *g, const struct test_costs *t,
                      const struct braid_goal *goal) {
  struct braid_plan *plan = NULL;
  enum braid_status status = braid_decide(braid_policy_find(policy), g, &t->costs, goal, &plan);
  if (status == BRAID_ENOTFOUND) return INT64_MAX;
  must(status);
  must(braid_plan_check(plan, g, true));
  int64_t ns = goal->objective == BRAID_THROUGHPUT ? plan->forecast.period_ns : plan->forecast.latency_ns;
  cr_assert_geq(ns, plan->forecast.bound_ns);
  braid_plan_destroy(&plan);
  return ns;
}

static int64_t best_serial(const struct braid_graph *g, const struct test_costs *t, const struct braid_goal *goal) {
  const char *const names[] = {"edge-only", "cloud-only", "neurosurgeon", "dads"};
  int64_t best = INT64_MAX;
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    int64_t ns = decide(names[i], g, t, goal);
    if (ns < best) best = ns;
  }
  return best;
}

Test(zoo, four_views_are_pipelined_well) {
  struct braid_graph *g = zoo_net("mvcnn4_googlenet");
  const struct {
    double ratio, mbit;
    bool private_input;
    int percent; /* of the best serial plan, at most */
  } cases[] = {{8, 20, false, 73}, {4, 5, false, 55}, {4, 10, false, 60}, {4, 40, false, 72}, {8, 20, true, 60}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    struct test_costs t = demo_costs(g, cases[i].ratio, cases[i].mbit);
    struct braid_goal goal = {.private_input = cases[i].private_input};
    int64_t serial = best_serial(g, &t, &goal), decc = decide("decc", g, &t, &goal);
    cr_assert_leq(decc * 100, serial * cases[i].percent, "case %zu: decc %lld, serial %lld", i, (long long)decc,
                  (long long)serial);
    free_costs(&t);
  }
  braid_graph_destroy(&g);
}

Test(zoo, decc_is_nowhere_behind) {
  const char *const nets[] = {"googlenet", "squeezenet1_1", "mobilenet_v2", "mvcnn4_resnet18"};
  for (size_t i = 0; i < sizeof nets / sizeof *nets; i++) {
    struct braid_graph *g = zoo_net(nets[i]);
    for (int c = 0; c < 8; c++) {
      struct test_costs t = demo_costs(g, c & 1 ? 2 : 10, c & 2 ? 2 : 50);
      struct braid_goal goal = {.objective = c & 4 ? BRAID_THROUGHPUT : BRAID_LATENCY, .private_input = c % 3 == 0};
      goal.slices = c % 5 == 0 ? 8 : 1;
      cr_assert_leq(decide("decc", g, &t, &goal), best_serial(g, &t, &goal), "%s, case %d", nets[i], c);
      free_costs(&t);
    }
    braid_graph_destroy(&g);
  }
}

Test(zoo, slices_stream_through_the_cloud) {
  struct braid_graph *g = zoo_net("googlenet");
  struct test_costs t = demo_costs(g, 8, 20);
  struct braid_goal whole = {0}, sliced = {.slices = 16};
  cr_assert_lt(decide("decc", g, &t, &sliced) * 100, decide("decc", g, &t, &whole) * 92);
  free_costs(&t);
  braid_graph_destroy(&g);
}
