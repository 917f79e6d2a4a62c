/* SPDX-License-Identifier: Apache-2.0 */
#include "plan_grid.h"

#include <stdio.h>
#include <string.h>

#define COUNT(a) ((int)(sizeof(a) / sizeof *(a)))

/* -------------------------------------------------------------------------------------------------- cells */

static const double rates_mbit[] = {1, 1.1, 2, 5.85, 10, 18.88, 20, 50, 100, 200}; /* 1.1: 3G, 5.85: 4G, 18.88: Wi-Fi */
static const double ratios[] = {2, 5, 10, 20, 50};
static const double loads[] = {1, 2, 4, 8};
static const int rtts_ms[] = {2, 10, 20, 50};

int64_t grid_size(int n_nets) {
  return (int64_t)n_nets * COUNT(rates_mbit) * COUNT(ratios) * COUNT(loads) * COUNT(rtts_ms) * 2 * 2;
}

static int digit(int64_t *index, int base) {
  int d = (int)(*index % base);
  *index /= base;
  return d;
}

struct grid_cell grid_cell_at(int64_t index) {
  struct grid_cell c = {0};
  c.objective = digit(&index, 2) ? BRAID_THROUGHPUT : BRAID_LATENCY;
  c.private_input = digit(&index, 2) != 0;
  c.rtt_ns = (int64_t)rtts_ms[digit(&index, COUNT(rtts_ms))] * 1000000;
  c.load = loads[digit(&index, COUNT(loads))];
  c.ratio = ratios[digit(&index, COUNT(ratios))];
  c.mbit = rates_mbit[digit(&index, COUNT(rates_mbit))];
  c.net = (int)index;
  return c;
}

/* --------------------------------------------------------------------------------------------------- nets */

enum braid_status grid_net_create(struct braid_graph *graph, double gflops, const int64_t *edge_ns,
                                  struct grid_net *out) {
  size_t n = (size_t)braid_graph_size(graph);
  struct grid_net net = {graph, braid_calloc(n, sizeof *net.edge_ns), braid_calloc(n, sizeof *net.cloud_ns)};
  if (!net.edge_ns || !net.cloud_ns) {
    grid_net_free(&net);
    return braid_fail(BRAID_ENOMEM, "no memory for the times of %zu nodes", n);
  }
  for (size_t v = 0; v < n; v++)
    net.edge_ns[v] = edge_ns ? edge_ns[v] : (int64_t)(2 * (double)braid_graph_node(graph, (int)v)->macs / gflops);
  *out = net;
  return BRAID_OK;
}

void grid_net_free(struct grid_net *net) {
  braid_free(net->edge_ns);
  braid_free(net->cloud_ns);
  braid_graph_destroy(&net->graph);
  *net = (struct grid_net){0};
}

/* Overheads of a task and a message are those measured for this runtime, rounded: 2 us and 20 us. */
struct braid_costs grid_costs(const struct grid_net *net, const struct grid_cell *cell) {
  struct braid_costs c = {.n_nodes = braid_graph_size(net->graph), .edge_ns = net->edge_ns, .cloud_ns = net->cloud_ns};
  for (int v = 0; v < c.n_nodes; v++) net->cloud_ns[v] = (int64_t)((double)net->edge_ns[v] / cell->ratio);
  c.edge_workers = c.cloud_workers = 1;
  c.edge_task_ns = c.cloud_task_ns = 2000;
  c.up = (struct braid_link_cost){cell->mbit * 1e6, cell->rtt_ns / 2, 20000};
  c.down = c.up;
  c.cloud_load = cell->load;
  return c;
}

/* ------------------------------------------------------------------------------------------------- running */

bool grid_is_other(const struct braid_policy *policy) {
  static const char *const ours[] = {"braid", "decc", "exact"};
  for (int i = 0; i < COUNT(ours); i++)
    if (strcmp(policy->name, ours[i]) == 0) return false;
  return true;
}

int grid_find(const struct grid_result *r, const char *policy) {
  for (int i = 0; i < r->n; i++)
    if (strcmp(r->policy[i]->name, policy) == 0) return i;
  return -1;
}

static int64_t value_of(const struct braid_plan *plan, enum braid_objective objective) {
  return objective == BRAID_LATENCY ? plan->forecast.latency_ns : plan->forecast.period_ns;
}

/* All on the edge: its forecast checks the costs and brings the bound. */
static enum braid_status find_bound(const struct braid_graph *graph, const struct braid_costs *costs,
                                    const struct braid_goal *goal, int64_t *bound_ns) {
  struct braid_plan *plan = NULL;
  BRAID_TRY(braid_plan_create(graph, "edge", &plan));
  enum braid_status status = braid_plan_forecast(plan, graph, costs, goal);
  *bound_ns = plan->forecast.bound_ns;
  braid_plan_destroy(&plan);
  return status;
}

static enum braid_status run_policy(const struct braid_policy *policy, const struct braid_graph *graph,
                                    const struct braid_costs *costs, const struct braid_goal *goal,
                                    const struct braid_clock *clock, struct grid_row *row) {
  struct braid_plan *plan = NULL;
  int64_t begin = braid_now_ns(clock);
  enum braid_status status = policy->decide(graph, costs, goal, &plan);
  int64_t decide_ns = braid_now_ns(clock) - begin;
  if (status == BRAID_ENOTFOUND || status == BRAID_EUNSUPPORTED) return BRAID_OK; /* no plan; too large for exact */
  if (status == BRAID_OK) status = braid_plan_forecast(plan, graph, costs, goal);
  if (status == BRAID_OK && (!row->found || value_of(plan, goal->objective) < row->value_ns))
    *row = (struct grid_row){true, value_of(plan, goal->objective), decide_ns};
  braid_plan_destroy(&plan);
  return status == BRAID_OK ? BRAID_OK : braid_fail_in(status, "%s", policy->name);
}

static enum braid_status run_all(const struct grid_net *net, const struct braid_costs *costs,
                                 const struct braid_goal *goal, const struct braid_clock *clock,
                                 struct grid_result *out) {
  for (int i = 0; i < out->n; i++) BRAID_TRY(run_policy(out->policy[i], net->graph, costs, goal, clock, &out->row[i]));
  return BRAID_OK;
}

enum braid_status grid_run(const struct grid_net *net, const struct grid_cell *cell, int slices,
                           const struct braid_clock *clock, struct grid_result *out) {
  int n = 0;
  const struct braid_policy *const *policy = braid_policies(&n);
  struct braid_costs costs = grid_costs(net, cell);
  struct braid_goal goal = {.objective = cell->objective, .private_input = cell->private_input, .slices = slices};
  *out = (struct grid_result){.cell = *cell};
  for (int i = 0; i < n && out->n < GRID_POLICIES_MAX; i++)
    if (policy[i]->input == BRAID_INPUT_AS_IS) out->policy[out->n++] = policy[i];
  BRAID_TRY(find_bound(net->graph, &costs, &goal, &out->bound_ns)); /* more slices, lower bound */
  BRAID_TRY(run_all(net, &costs, &goal, clock, out));
  goal.slices = 1;
  return slices > 1 ? run_all(net, &costs, &goal, clock, out) : BRAID_OK;
}

/* ------------------------------------------------------------------------------------------------- growth */

struct growing {
  struct braid_graph *graph;
  uint64_t seed, at;
  int made;
};

static int draw(struct growing *g, int n) {
  return (int)(braid_random_u64(g->seed, g->at++) % (uint64_t)n);
}

static enum braid_status add(struct growing *g, enum braid_op op, const int *in, int n_in, int *id) {
  char name[24];
  snprintf(name, sizeof name, "n%d", g->made++);
  return braid_graph_add(g->graph, op, NULL, in, n_in, NULL, name, id);
}

/* 2 to 4 chains of 1 to 3 nodes between *at and their sum. */
static enum braid_status add_block(struct growing *g, int *at) {
  int end[4], n = 2 + draw(g, 3);
  for (int b = 0; b < n; b++) {
    end[b] = *at;
    for (int i = 1 + draw(g, 3); i > 0; i--) BRAID_TRY(add(g, BRAID_OP_RELU, &end[b], 1, &end[b]));
  }
  return add(g, BRAID_OP_SUM, end, n, at);
}

static enum braid_status grow(struct growing *g, int n) {
  int at;
  struct braid_shape shape = braid_shape_of(4, (int[]){1, 3, 32, 32});
  BRAID_TRY(braid_graph_add_input(g->graph, "in", BRAID_F32, &shape, &at));
  while (g->made + 2 < n) {
    if (n - g->made > 14)
      BRAID_TRY(add_block(g, &at));
    else
      BRAID_TRY(add(g, BRAID_OP_RELU, &at, 1, &at));
  }
  BRAID_TRY(braid_graph_add_output(g->graph, at));
  return braid_graph_seal(g->graph, 0);
}

enum braid_status grid_series_parallel(uint64_t seed, int n, struct braid_graph **out) {
  struct growing g = {.seed = seed};
  BRAID_TRY(braid_graph_create("series-parallel", &g.graph));
  enum braid_status status = grow(&g, n);
  if (status != BRAID_OK)
    braid_graph_destroy(&g.graph);
  else
    *out = g.graph;
  return status;
}
