/* SPDX-License-Identifier: Apache-2.0
 * Lower bounds against plans of every kind, and how far they are from the best plan where all can be tried. */
#include "internal.h"
#include "nets.h"
#include "random_graph.h"

#include <stdio.h>

static uint64_t draw(uint64_t seed, uint64_t at, uint64_t n) {
  return braid_random_u64(seed, 1000 + at) % n;
}

static int64_t simulated(const struct braid_plan *plan, const struct braid_graph *g, const struct test_costs *t,
                         struct braid_sim_result *r) {
  must(braid_simulate(plan, g, &t->costs, &(struct braid_sim_opts){.frames = 1, .window = 1}, r));
  return r->first_latency_ns;
}

/* ---------------------------------------------------------------------------------------------- any plan at all */

/* Pins a few nodes, or none. */
static void draw_goal(const struct braid_graph *g, uint64_t seed, struct braid_goal *goal, int8_t *pinned) {
  static const int slices[] = {0, 0, 1, 2, 3, 5, 16};
  *goal = (struct braid_goal){.slices = slices[draw(seed, 0, 7)], .private_input = draw(seed, 1, 3) == 0};
  goal->deliver = draw_deliver(seed);
  for (int v = 0; v < braid_graph_size(g); v++) pinned[v] = -1;
  if (draw(seed, 2, 3) > 0) return;
  goal->pinned = pinned;
  for (int v = 0; v < braid_graph_size(g); v++)
    if (braid_graph_node(g, v)->op != BRAID_OP_INPUT && draw(seed, 10 + (uint64_t)v, 6) == 0)
      pinned[v] = (int8_t)draw(seed, 500 + (uint64_t)v, 2);
}

/* Pinned nodes to their sites; some orders by id, or backwards, which streams best. */
static void keep_pins(const struct braid_goal *goal, uint64_t seed, struct braid_plan *plan) {
  uint64_t order = draw(seed, 3, 4);
  for (int v = 0; v < plan->n_nodes; v++) {
    if (goal->pinned && goal->pinned[v] >= 0) plan->site[v] = (uint8_t)goal->pinned[v];
    if (order < 2) plan->rank[v] = order == 0 ? v : plan->n_nodes - 1 - v;
  }
}

static bool keeps_private(const struct braid_graph *g, const struct braid_goal *goal, const struct braid_plan *plan) {
  for (int v = 0; v < plan->n_nodes; v++)
    if (goal->private_input && is_private_tensor(g, v) && braid_plan_crosses_up(plan, g, v)) return false;
  return true;
}

static void check_busiest(const struct braid_sim_result *r, const struct test_costs *t, int64_t period) {
  int64_t busiest = max_ns(r->busy_ns[BRAID_RES_UP], r->busy_ns[BRAID_RES_DOWN]);
  busiest = max_ns(busiest, r->busy_ns[BRAID_RES_EDGE] / t->costs.edge_workers);
  busiest = max_ns(busiest, r->busy_ns[BRAID_RES_CLOUD] / t->costs.cloud_workers);
  cr_assert_geq(busiest, period);
}

static int check_case(uint64_t seed, uint64_t number) {
  struct braid_graph *g = sealed(random_graph(seed, 3 + (int)(number % 24), (unsigned)(number % RANDOM_GRAPH_FLAGS)));
  struct test_costs t = random_costs(g, seed);
  struct braid_goal goal;
  int8_t *pinned = braid_malloc((size_t)braid_graph_size(g));
  int tried = 0;
  if (number % 3 == 0) {
    t.costs.edge_workers = 1 + (int)draw(seed, 4, 3);
    t.costs.cloud_workers = 1 + (int)draw(seed, 5, 3);
  }
  if (number % 2) set_rate(&t, 1e7 * (double)(1 + draw(seed, 6, 400)), 1e7 * (double)(1 + draw(seed, 7, 400)));
  draw_goal(g, seed, &goal, pinned);
  int64_t latency = braid_bound_latency_ns(g, &t.costs, &goal), period = braid_bound_period_ns(g, &t.costs, &goal);
  for (uint64_t j = 0; j < 16; j++) {
    bool any = j % 4 < 2, serial = j % 7 == 3 && !goal.pinned;
    struct braid_plan *plan =
        random_plan(g, seed + 7919 * j, !any, serial, goal.slices > 0 ? goal.slices : SLICES_AUTO);
    if (!serial) keep_pins(&goal, seed + j, plan);
    plan->deliver = goal.deliver;
    struct braid_sim_result r;
    if (keeps_private(g, &goal, plan)) {
      int64_t ns = simulated(plan, g, &t, &r);
      cr_assert_geq(ns, latency, "case %llu (seed %llu), plan %llu: %lld < %lld", (unsigned long long)number,
                    (unsigned long long)seed, (unsigned long long)j, (long long)ns, (long long)latency);
      check_busiest(&r, &t, period);
      tried++;
    }
    braid_plan_destroy(&plan);
  }
  braid_free(pinned);
  free_costs(&t);
  braid_graph_destroy(&g);
  return tried;
}

Test(bounds, no_plan_at_all_beats_them) {
  uint64_t seed = random_graph_seed(3);
  int tried = 0;
  for (uint64_t i = 0; i < 1500; i++) tried += check_case(seed + i, i);
  cr_assert_gt(tried, 12000);
}

/* Real networks' receptive fields, streamed the way that hides most: later nodes first. */
Test(bounds, streamed_prefixes_of_the_zoo_do_not_beat_them) {
  static const char *const net[] = {"alexnet", "resnet18", "squeezenet1_1", "googlenet"};
  for (size_t i = 0; i < sizeof net / sizeof *net; i++) {
    struct braid_graph *g = zoo_net(net[i]);
    for (int c = 0; c < 4; c++) {
      struct test_costs t = demo_costs(g, c % 2 ? 2 : 20, c < 2 ? 10 : 100);
      struct braid_goal goal = {0};
      int64_t bound = braid_bound_latency_ns(g, &t.costs, &goal);
      struct braid_sim_result r;
      for (int cut = 1; cut < braid_graph_size(g); cut += 3) {
        struct braid_plan *plan = NULL;
        must(braid_plan_create(g, "streamed", &plan));
        plan_set_slices(plan, g, SLICES_AUTO);
        for (int v = 0; v < plan->n_nodes; v++) {
          plan->site[v] = v < cut ? BRAID_EDGE : BRAID_CLOUD;
          plan->rank[v] = plan->n_nodes - 1 - v;
        }
        cr_assert_geq(simulated(plan, g, &t, &r), bound, "%s, costs %d, cut %d", net[i], c, cut);
        braid_plan_destroy(&plan);
      }
      free_costs(&t);
    }
    braid_graph_destroy(&g);
  }
}

/* -------------------------------------------------------------------------------------------------- tightness */

/* The best of all sites of a small network's whole nodes, nodes in the order of ids or backwards. */
static int64_t best_of_all(const struct braid_graph *g, const struct test_costs *t, enum braid_site deliver,
                           const int *free_node, int n_free) {
  struct braid_plan *plan = NULL;
  struct braid_sim_result r;
  int64_t best = COST_NEVER;
  must(braid_plan_create(g, "all", &plan));
  plan->deliver = deliver;
  for (int set = 0; set < 2 << n_free; set++) {
    for (int i = 0; i < n_free; i++) plan->site[free_node[i]] = set >> i & 1 ? BRAID_CLOUD : BRAID_EDGE;
    for (int v = 0; v < plan->n_nodes; v++) plan->rank[v] = set >> n_free ? plan->n_nodes - 1 - v : v;
    int64_t ns = simulated(plan, g, t, &r);
    if (ns < best) best = ns;
  }
  braid_plan_destroy(&plan);
  return best;
}

Test(bounds, of_whole_nodes_are_close_to_the_best_of_all_plans) {
  uint64_t seed = random_graph_seed(11);
  double gap[2] = {0};
  int compared = 0;
  for (uint64_t i = 0; i < 400; i++) {
    unsigned flags = i % 2 ? RANDOM_GRAPH_SERIES_PARALLEL : 0;
    struct braid_graph *g = sealed(random_graph(seed + i, 4 + (int)(i % 6), flags));
    int free_node[64], n_free = 0;
    for (int v = 0; v < braid_graph_size(g) && n_free < 64; v++)
      if (braid_graph_node(g, v)->op != BRAID_OP_INPUT) free_node[n_free++] = v;
    if (n_free <= 9) {
      struct test_costs t = random_costs(g, seed + i);
      for (int d = 0; d < 2; d++) {
        const struct braid_goal goal = {.slices = 1, .deliver = (enum braid_site)d};
        int64_t best = best_of_all(g, &t, goal.deliver, free_node, n_free);
        int64_t bound = braid_bound_latency_ns(g, &t.costs, &goal);
        cr_assert_geq(best, bound, "case %llu, results to site %d", (unsigned long long)i, d);
        if (bound > 0) gap[d] += (double)best / (double)bound - 1;
      }
      compared++;
      free_costs(&t);
    }
    braid_graph_destroy(&g);
  }
  fprintf(stderr, "%d networks, mean gap %.4f, %.4f with results wanted in the cloud\n", compared, gap[0] / compared,
          gap[1] / compared);
  cr_assert_gt(compared, 150);
  cr_assert_lt(gap[0] / compared, 0.03);
  cr_assert_lt(gap[1] / compared, 0.03);
}
