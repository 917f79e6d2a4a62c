/* SPDX-License-Identifier: Apache-2.0 */
#include "bench_growth.h"

#include <stdio.h>

static const int steps[GROWTH_STEPS] = {10, 30, 100, 300, 500, 1000, 3000, 10000};
static const int64_t patience_ns = 300000000;

/* Times up to a millisecond and tensors up to 200 KB that on the whole shrink towards the end, as a CNN's do. */
static enum braid_status random_costs(struct grid_net *net, uint64_t seed) {
  int n = braid_graph_size(net->graph);
  net->wire_bytes = braid_malloc((size_t)n * sizeof *net->wire_bytes);
  if (!net->wire_bytes) return braid_fail(BRAID_ENOMEM, "no memory for the sizes of %d nodes", n);
  for (int v = 0; v < n; v++) {
    net->edge_ns[v] = (int64_t)(braid_random_u64(seed, 2 * (uint64_t)v) % 1000000);
    net->wire_bytes[v] = 1000 + braid_random_u64(seed, 2 * (uint64_t)v + 1) % 200000 * (uint64_t)(n - v) / (uint64_t)n;
  }
  return BRAID_OK;
}

static int64_t decide_once(const struct braid_policy *policy, const struct grid_net *net,
                           enum braid_objective objective) {
  static const struct grid_cell cell = {.mbit = 20, .ratio = 5, .load = 1, .rtt_ms = 10};
  struct braid_clock clock = braid_clock_monotonic();
  struct braid_costs costs = grid_costs(net, &cell);
  struct braid_goal goal = {.objective = objective};
  struct braid_plan *plan = NULL;
  int64_t begin = braid_now_ns(&clock);
  enum braid_status status = policy->decide(net->graph, &costs, &goal, &plan);
  int64_t ns = braid_now_ns(&clock) - begin;
  braid_plan_destroy(&plan);
  return status == BRAID_OK ? ns : -2;
}

static void ask_all(const struct grid_net *net, int step, enum braid_objective objective, struct growth *g) {
  const struct braid_policy *policy[GRID_POLICIES_MAX];
  int n = grid_policies(policy);
  for (int i = 0; i < n; i++) {
    int64_t last = step > 0 ? g->decide_ns[step - 1][objective][i] : 0;
    bool asked = last >= 0 && last <= patience_ns && !cli_interrupted();
    g->decide_ns[step][objective][i] = asked ? decide_once(policy[i], net, objective) : last == -2 ? -2 : -1;
  }
}

static enum braid_status grow_step(int step, uint64_t seed, struct growth *g) {
  struct braid_graph *graph = NULL;
  struct grid_net net;
  BRAID_TRY(grid_series_parallel(seed, steps[step], &graph));
  enum braid_status status = grid_net_create(graph, 10, NULL, &net);
  if (status != BRAID_OK) {
    braid_graph_destroy(&graph);
    return status;
  }
  status = random_costs(&net, seed);
  for (int k = 0; k < 2 && status == BRAID_OK; k++) ask_all(&net, step, (enum braid_objective)k, g);
  if (status == BRAID_OK) status = table_times_measure(&net, &g->tables[step]);
  g->nodes[step] = braid_graph_size(net.graph);
  grid_net_free(&net);
  return status;
}

enum braid_status growth_run(int largest, uint64_t seed, struct growth *out) {
  *out = (struct growth){0};
  for (int step = 0; step < GROWTH_STEPS && steps[step] <= largest && !cli_interrupted(); step++) {
    BRAID_TRY(grow_step(step, seed, out));
    out->steps = step + 1;
    cli_progress("graphs", out->steps, GROWTH_STEPS);
  }
  return BRAID_OK;
}

struct cli_table *growth_table(const struct growth *g, enum braid_objective objective) {
  const struct braid_policy *policy[GRID_POLICIES_MAX];
  const char *heading[GROWTH_STEPS + 1] = {"nodes"};
  char number[GROWTH_STEPS][16];
  int n = grid_policies(policy);
  if (g->steps == 0) return NULL;
  for (int s = 0; s < g->steps; s++) {
    snprintf(number[s], sizeof number[s], "%d", g->nodes[s]);
    heading[s + 1] = number[s];
  }
  struct cli_table *table = cli_table_new(g->steps + 1, heading);
  for (int i = 0; i < n; i++) {
    cli_table_cell(table, "%s", policy[i]->name);
    for (int s = 0; s < g->steps; s++)
      if (g->decide_ns[s][objective][i] < 0)
        cli_table_cell(table, "%s", "");
      else
        cli_table_cell(table, "%.0f", (double)g->decide_ns[s][objective][i] / 1e3);
  }
  return table;
}

struct cli_table *growth_tables(const struct growth *g) {
  return table_times_table(g->tables, g->nodes, g->steps);
}

static json_t *step_json(const int64_t decide_ns[GRID_POLICIES_MAX]) {
  const struct braid_policy *policy[GRID_POLICIES_MAX];
  int n = grid_policies(policy);
  json_t *us = json_object();
  for (int i = 0; i < n; i++)
    if (decide_ns[i] >= 0) json_object_set_new(us, policy[i]->name, json_real((double)decide_ns[i] / 1e3));
  return us;
}

json_t *growth_json(const struct growth *g) {
  json_t *list = json_array();
  for (int s = 0; s < g->steps; s++)
    json_array_append_new(list, json_pack("{s:i, s:o, s:o, s:o}", "nodes", g->nodes[s], "decide_us",
                                          step_json(g->decide_ns[s][BRAID_LATENCY]), "throughput_us",
                                          step_json(g->decide_ns[s][BRAID_THROUGHPUT]), "tables",
                                          table_times_json(&g->tables[s])));
  return list;
}
