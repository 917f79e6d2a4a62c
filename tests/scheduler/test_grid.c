/* SPDX-License-Identifier: Apache-2.0
 * A sample of the grid of `braid bench plan`: ours are never worse than any other policy, nobody is below the bound,
 * equal input gives equal plans. The whole grid is the bench's. */
#include "plan_grid.h"

#include "graph_help.h"
#include "random_graph.h"

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

static const char *text_of(const struct grid_cell *c, char buf[160]) {
  snprintf(buf, 160, "%s, %g Mbit/s, ratio %g, load %g, rtt %lld ms%s, %s", nets[c->net], c->mbit, c->ratio, c->load,
           (long long)(c->rtt_ns / 1000000), c->private_input ? ", private" : "",
           c->objective == BRAID_LATENCY ? "latency" : "throughput");
  return buf;
}

/* `braid` beats everybody; in throughput it stops looking within a thousandth of the bound. */
static void check_never_worse(const struct grid_result *r, const char *text) {
  int subject = grid_find(r, "braid");
  if (subject < 0) return;
  for (int i = 0; i < r->n; i++) {
    if (!r->row[i].found) continue;
    cr_assert(r->row[subject].found, "%s: braid has no plan, %s has", text, r->policy[i]->name);
    int64_t slack = r->cell.objective == BRAID_LATENCY ? 0 : r->row[i].value_ns / 1000;
    cr_assert_leq(r->row[subject].value_ns, r->row[i].value_ns + slack, "%s: braid %lld ns, %s %lld ns", text,
                  (long long)r->row[subject].value_ns, r->policy[i]->name, (long long)r->row[i].value_ns);
  }
}

static void check_bound(const struct grid_result *r, const char *text) {
  cr_assert_gt(r->bound_ns, 0, "%s", text);
  for (int i = 0; i < r->n; i++)
    if (r->row[i].found)
      cr_assert_geq(r->row[i].value_ns, r->bound_ns, "%s: %s is below the bound", text, r->policy[i]->name);
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
  struct grid_net net[NETS];
  for (int i = 0; i < NETS; i++) net[i] = zoo_net(nets[i]);
  for (uint64_t i = 0; i < CELLS; i++) {
    struct grid_cell cell = grid_cell_at((int64_t)(braid_random_u64(seed, i) % (uint64_t)grid_size(NETS)));
    struct grid_result r;
    char text[160];
    text_of(&cell, text);
    must(grid_run(&net[cell.net], &cell, i % 3 == 0 ? 8 : 1, &clock, &r));
    cr_assert_gt(r.n, 4);
    cr_assert_geq(grid_find(&r, "edge-only"), 0);
    cr_assert_lt(grid_find(&r, "cloud-only-fp32"), 0);
    check_bound(&r, text);
    check_never_worse(&r, text);
    if (i % 6 == 0) check_same_json(&net[cell.net], &cell, text);
  }
  for (int i = 0; i < NETS; i++) grid_net_free(&net[i]);
}

Test(grid, has_every_cell_once) {
  int64_t n = grid_size(2);
  cr_assert_eq(n, 2 * 10 * 5 * 4 * 4 * 2 * 2);
  double sum_mbit = 0;
  int privately = 0, last = 0;
  for (int64_t i = 0; i < n; i++) {
    struct grid_cell c = grid_cell_at(i);
    cr_assert_geq(c.net, last);
    last = c.net;
    sum_mbit += c.mbit;
    privately += c.private_input;
  }
  cr_assert_eq(last, 1);
  cr_assert_eq(privately, (int)n / 2);
  cr_assert_float_eq(sum_mbit / (double)n, (1 + 1.1 + 2 + 5.85 + 10 + 18.88 + 20 + 50 + 100 + 200) / 10, 1e-6);
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
