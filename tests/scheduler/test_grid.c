/* SPDX-License-Identifier: Apache-2.0
 * A sample of the grid of `braid bench plan`: ours are never worse than any other policy, nobody is below the bound,
 * equal input gives equal plans. The whole grid is the bench's. */
#include "plan_grid.h"

#include "graph_help.h"
#include "random_graph.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const char *const nets[] = {"googlenet", "squeezenet1_1", "resnet18", "mobilenet_v2", "mvcnn4_resnet18"};
enum { NETS = 5, CELLS = 24 };

static struct grid_net zoo_net(const char *name) {
  struct braid_graph *g = NULL;
  struct grid_net net;
  must(braid_zoo_build(name, 1, 0, &g));
  must(braid_graph_seal(g, BRAID_PASS_ALL));
  must(grid_net_create(g, 10, NULL, &net));
  return net;
}

static const char *name_of(int policy) {
  const struct braid_policy *all[GRID_POLICIES_MAX];
  (void)grid_policies(all);
  return all[policy]->name;
}

/* Not by a nanosecond. */
static void check_never_worse(const struct grid_result *r, const char *text) {
  int subject = grid_find("braid"), policy = 0;
  double loss = grid_loss(r, subject, &policy);
  cr_assert_geq(subject, 0);
  cr_assert_leq(loss, 1, "%s: %s beats braid by %g", text, name_of(policy), loss);
}

static void check_bound(const struct grid_result *r, const char *text) {
  for (int k = 0; k < GRID_ASKS; k++) {
    cr_assert_gt(r->bound_ns[k], 0, "%s", text);
    for (int i = 0; i < r->n; i++)
      if (r->ask[i][k].value_ns > 0)
        cr_assert_geq(r->ask[i][k].value_ns, r->bound_ns[k], "%s: %s is below the bound", text, name_of(i));
  }
  cr_assert_str_empty(r->wrong, "%s: %s", text, r->wrong);
}

static void check_same_json(const struct grid_net *net, const struct grid_cell *cell, const char *text) {
  struct braid_costs costs = grid_costs(net, cell);
  struct braid_goal goal = {.objective = cell->objective, .private_input = cell->private_input, .slices = 4};
  int n = 0;
  const struct braid_policy *const *policy = braid_policies(&n);
  for (int p = 0; p < n; p++) {
    char *json[2] = {NULL, NULL};
    for (int i = 0; i < 2; i++) {
      struct braid_plan *plan = NULL;
      if (braid_decide(policy[p], net->graph, &costs, &goal, &plan) != BRAID_OK) continue;
      must(braid_plan_to_json(plan, net->graph, &costs, -1, &json[i]));
      braid_plan_destroy(&plan);
    }
    cr_assert_eq(json[0] == NULL, json[1] == NULL);
    if (json[0]) cr_assert_str_eq(json[0], json[1], "%s: %s decides one way and then another", text, policy[p]->name);
    braid_free(json[0]);
    braid_free(json[1]);
  }
}

Test(grid, a_sample_of_the_cells) {
  uint64_t seed = random_graph_seed(2026);
  struct braid_clock clock = braid_clock_monotonic();
  struct grid_axes axes = grid_axes_whole();
  struct grid_net net[NETS];
  for (int i = 0; i < NETS; i++) net[i] = zoo_net(nets[i]);
  for (int64_t i = 0; i < CELLS; i++) {
    struct grid_cell cell = grid_cell_at(&axes, grid_sample(&axes, NETS, seed, i));
    struct grid_result r;
    char text[160];
    grid_cell_text(&cell, nets[cell.net], text, sizeof text);
    must(grid_run(&net[cell.net], &cell, GRID_ASKS, &clock, &r));
    cr_assert_gt(r.n, 4);
    check_bound(&r, text);
    check_never_worse(&r, text);
    if (i % 6 == 0) check_same_json(&net[cell.net], &cell, text);
  }
  for (int i = 0; i < NETS; i++) grid_net_free(&net[i]);
}

Test(grid, has_every_cell_once) {
  struct grid_axes axes = grid_axes_whole();
  int64_t n = grid_size(&axes, 2);
  cr_assert_eq(n, 2 * 10 * 5 * 4 * 4 * 2 * 2);
  double sum_mbit = 0;
  int privately = 0, last = 0;
  for (int64_t i = 0; i < n; i++) {
    struct grid_cell c = grid_cell_at(&axes, i);
    cr_assert_eq(grid_index_of(&axes, &c), i);
    cr_assert_geq(c.net, last);
    last = c.net;
    sum_mbit += c.mbit;
    privately += c.private_input;
  }
  cr_assert_eq(last, 1);
  cr_assert_eq(privately, (int)n / 2);
  cr_assert_float_eq(sum_mbit / (double)n, (1 + 1.1 + 2 + 5.85 + 10 + 18.88 + 20 + 50 + 100 + 200) / 10, 1e-6);
  struct grid_cell elsewhere = grid_cell_at(&axes, n - 1);
  elsewhere.ratio = 3;
  cr_assert_eq(grid_index_of(&axes, &elsewhere), -1);
}

Test(grid, compares_those_that_send_the_input_as_it_is) {
  const struct braid_policy *policy[GRID_POLICIES_MAX];
  int n = grid_policies(policy);
  for (int i = 0; i < n; i++) cr_assert_eq(grid_find(policy[i]->name), i);
  cr_assert_geq(grid_find("edge-only"), 0);
  cr_assert_lt(grid_find("cloud-only-fp32"), 0);
}

/* Asked with its own slices braid must not be worse than another that was told how many, and the other way round. */
Test(grid, a_loss_is_the_largest_over_both_questions) {
  struct grid_result r = {
      .n = 3, .asks = GRID_ASKS, .ask = {{{200, 1}, {100, 1}}, {{110, 1}, {90, 1}}, {{0, 1}, {95, 1}}}};
  int policy = -1;
  cr_assert_float_eq(grid_loss(&r, 0, &policy), 200.0 / 90, 1e-12);
  cr_assert_eq(policy, 1);
  r.ask[0][GRID_AUTO].value_ns = r.ask[0][GRID_SLICED].value_ns = 90;
  cr_assert_eq(grid_loss(&r, 0, &policy), 0);
  r.ask[0][GRID_SLICED].value_ns = 0;
  cr_assert(isinf(grid_loss(&r, 0, &policy)));
  cr_assert_eq(grid_best_ns(&r, 0), 90);
  cr_assert_eq(grid_best_ns(&r, 2), 95);
}

Test(grid, grows_graphs_of_any_size) {
  for (int n = 10; n <= 3000; n *= 7) {
    struct braid_graph *g = NULL;
    must(grid_series_parallel(1, n, &g));
    cr_assert_leq(braid_graph_size(g), n);
    cr_assert_geq(braid_graph_size(g), n - 2);
    braid_graph_destroy(&g);
  }
}
