/* SPDX-License-Identifier: Apache-2.0 */
#include "plan_grid.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define COUNT(a) ((int)(sizeof(a) / sizeof *(a)))

/* -------------------------------------------------------------------------------------------------- cells */

struct grid_axes grid_axes_whole(void) {
  return (struct grid_axes){
      .mbit = {10, {1, 1.1, 2, 5.85, 10, 18.88, 20, 50, 100, 200}}, /* 1.1: 3G, 5.85: 4G, 18.88: Wi-Fi */
      .ratio = {5, {2, 5, 10, 20, 50}},
      .load = {4, {1, 2, 4, 8}},
      .rtt_ms = {4, {2, 10, 20, 50}},
      .private_input = {2, {0, 1}},
      .objective = {2, {BRAID_LATENCY, BRAID_THROUGHPUT}},
  };
}

int64_t grid_size(const struct grid_axes *a, int n_nets) {
  return (int64_t)n_nets * a->mbit.n * a->ratio.n * a->load.n * a->rtt_ms.n * a->private_input.n * a->objective.n;
}

static double digit(int64_t *index, const struct grid_axis *axis) {
  double at = axis->at[*index % axis->n];
  *index /= axis->n;
  return at;
}

struct grid_cell grid_cell_at(const struct grid_axes *a, int64_t index) {
  struct grid_cell c = {0};
  c.objective = digit(&index, &a->objective) > 0 ? BRAID_THROUGHPUT : BRAID_LATENCY;
  c.private_input = digit(&index, &a->private_input) > 0;
  c.rtt_ms = digit(&index, &a->rtt_ms);
  c.load = digit(&index, &a->load);
  c.ratio = digit(&index, &a->ratio);
  c.mbit = digit(&index, &a->mbit);
  c.net = (int)index;
  return c;
}

/* Appends a digit to *index, or makes it -1. */
static void push_digit(int64_t *index, const struct grid_axis *axis, double value) {
  int i = 0;
  while (i < axis->n && axis->at[i] != value) i++;
  *index = i == axis->n || *index < 0 ? -1 : *index * axis->n + i;
}

int64_t grid_index_of(const struct grid_axes *a, const struct grid_cell *c) {
  int64_t index = c->net;
  push_digit(&index, &a->mbit, c->mbit);
  push_digit(&index, &a->ratio, c->ratio);
  push_digit(&index, &a->load, c->load);
  push_digit(&index, &a->rtt_ms, c->rtt_ms);
  push_digit(&index, &a->private_input, c->private_input);
  push_digit(&index, &a->objective, c->objective);
  return index;
}

int64_t grid_sample(const struct grid_axes *axes, int n_nets, uint64_t seed, int64_t i) {
  int64_t one = grid_size(axes, 1);
  return i % n_nets * one + (int64_t)(braid_random_u64(seed, (uint64_t)i) % (uint64_t)one);
}

const char *grid_cell_text(const struct grid_cell *c, const char *net, char *buf, size_t size) {
  snprintf(buf, size, "%s, %g Mbit/s, ratio %g, load %g, rtt %g ms%s, %s", net, c->mbit, c->ratio, c->load, c->rtt_ms,
           c->private_input ? ", private" : "", c->objective == BRAID_LATENCY ? "latency" : "throughput");
  return buf;
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
  braid_free(net->wire_bytes);
  braid_graph_destroy(&net->graph);
  *net = (struct grid_net){0};
}

/* Overheads of a task and a message are those measured for this runtime, rounded: 2 us and 20 us. */
struct braid_costs grid_costs(const struct grid_net *net, const struct grid_cell *cell) {
  struct braid_costs c = {.n_nodes = braid_graph_size(net->graph), .edge_ns = net->edge_ns, .cloud_ns = net->cloud_ns};
  for (int v = 0; v < c.n_nodes; v++) net->cloud_ns[v] = (int64_t)((double)net->edge_ns[v] / cell->ratio);
  c.edge_workers = c.cloud_workers = 1;
  c.edge_task_ns = c.cloud_task_ns = 2000;
  c.up = (struct braid_link_cost){cell->mbit * 1e6, (int64_t)(cell->rtt_ms * 1e6) / 2, 20000};
  c.down = c.up;
  c.cloud_load = cell->load;
  c.wire_bytes = net->wire_bytes;
  return c;
}

/* ------------------------------------------------------------------------------------------------- policies */

bool grid_is_other(const struct braid_policy *policy) {
  static const char *const ours[] = {"braid", "decc", "exact"};
  for (int i = 0; i < COUNT(ours); i++)
    if (strcmp(policy->name, ours[i]) == 0) return false;
  return true;
}

int grid_policies(const struct braid_policy *policy[GRID_POLICIES_MAX]) {
  int n_all = 0, n = 0;
  const struct braid_policy *const *all = braid_policies(&n_all);
  for (int i = 0; i < n_all && n < GRID_POLICIES_MAX; i++)
    if (all[i]->input == BRAID_INPUT_AS_IS) policy[n++] = all[i];
  return n;
}

int grid_find(const char *name) {
  const struct braid_policy *policy[GRID_POLICIES_MAX];
  int n = grid_policies(policy);
  for (int i = 0; i < n; i++)
    if (strcmp(policy[i]->name, name) == 0) return i;
  return -1;
}

/* ------------------------------------------------------------------------------------------------- checking */

/* The raw input, and the same picture after operators that keep it one: written down here once more, since a check that
 * asks the scheduler finds what the scheduler thinks. */
static bool is_picture(const struct braid_graph *graph, int id) {
  const struct braid_node *node = braid_graph_node(graph, id);
  switch (node->op) {
  case BRAID_OP_INPUT:
    return true;
  case BRAID_OP_NORMALIZE:
  case BRAID_OP_RESHAPE:
  case BRAID_OP_CAST:
  case BRAID_OP_QUANTIZE_LINEAR:
  case BRAID_OP_DEQUANTIZE_LINEAR:
  case BRAID_OP_TRANSPOSE:
  case BRAID_OP_PAD:
  case BRAID_OP_SLICE:
    return braid_is_node(node->in[0]) && is_picture(graph, node->in[0]);
  case BRAID_OP_SUB: /* of a constant */
    return braid_is_node(node->in[0]) && !braid_is_node(node->in[1]) && is_picture(graph, node->in[0]);
  default:
    return false;
  }
}

static int first_leak(const struct braid_plan *plan, const struct braid_graph *graph) {
  for (int v = 0; v < plan->n_nodes; v++)
    if (braid_plan_crosses_up(plan, graph, v) && is_picture(graph, v)) return v;
  for (int i = 0; i < plan->n_mix; i++) {
    int v = first_leak(plan->mix[i], graph);
    if (v >= 0) return v;
  }
  return -1;
}

static int64_t value_of(const struct braid_plan *plan, enum braid_objective objective) {
  return objective == BRAID_LATENCY ? plan->forecast.latency_ns : plan->forecast.period_ns;
}

/* The first thing that is wrong is told. */
static void check(const struct braid_plan *plan, const struct braid_graph *graph, const struct braid_goal *goal,
                  struct grid_result *r) {
  int64_t value_ns = value_of(plan, goal->objective), bound_ns = plan->forecast.bound_ns;
  int leak = goal->private_input ? first_leak(plan, graph) : -1;
  if (r->wrong[0] != '\0') return;
  if (leak >= 0)
    snprintf(r->wrong, sizeof r->wrong, "%s, slices %d: sends the private picture (node %d)", plan->policy,
             goal->slices, leak);
  else if (value_ns < bound_ns)
    snprintf(r->wrong, sizeof r->wrong, "%s, slices %d: forecast %lld ns, below the bound %lld ns", plan->policy,
             goal->slices, (long long)value_ns, (long long)bound_ns);
}

/* ------------------------------------------------------------------------------------------------- running */

static enum braid_status ask(const struct braid_policy *policy, const struct braid_graph *graph,
                             const struct braid_costs *costs, const struct braid_goal *goal,
                             const struct braid_clock *clock, struct braid_plan **plan, struct grid_ask *out) {
  int64_t begin = braid_now_ns(clock);
  enum braid_status status = policy->decide(graph, costs, goal, plan);
  out->decide_ns = braid_now_ns(clock) - begin;
  return status;
}

static enum braid_status run_policy(const struct braid_policy *policy, const struct braid_graph *graph,
                                    const struct braid_costs *costs, const struct braid_goal *goal,
                                    const struct braid_clock *clock, struct grid_ask *out, struct grid_result *r) {
  struct braid_plan *plan = NULL;
  enum braid_status status = ask(policy, graph, costs, goal, clock, &plan, out);
  if (status == BRAID_ENOTFOUND || status == BRAID_EUNSUPPORTED) return BRAID_OK; /* no plan; too large for exact */
  if (status == BRAID_OK) status = braid_plan_forecast(plan, graph, costs, goal);
  if (status == BRAID_OK) {
    out->value_ns = value_of(plan, goal->objective);
    check(plan, graph, goal, r);
  } else if (status != BRAID_ENOMEM) {
    if (r->wrong[0] == '\0')
      snprintf(r->wrong, sizeof r->wrong, "%s, slices %d: %s", policy->name, goal->slices, braid_error());
    status = BRAID_OK;
  }
  braid_plan_destroy(&plan);
  return status;
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

enum braid_status grid_run(const struct grid_net *net, const struct grid_cell *cell, int asks,
                           const struct braid_clock *clock, struct grid_result *out) {
  static const int slices[GRID_ASKS] = {[GRID_AUTO] = 0, [GRID_SLICED] = GRID_SLICES};
  const struct braid_policy *policy[GRID_POLICIES_MAX];
  struct braid_costs costs = grid_costs(net, cell);
  struct braid_goal goal = {.objective = cell->objective, .private_input = cell->private_input};
  *out = (struct grid_result){.cell = *cell, .n = grid_policies(policy), .asks = asks};
  for (int k = 0; k < asks; k++) {
    goal.slices = slices[k];
    BRAID_TRY(find_bound(net->graph, &costs, &goal, &out->bound_ns[k]));
    for (int i = 0; i < out->n; i++)
      BRAID_TRY(run_policy(policy[i], net->graph, &costs, &goal, clock, &out->ask[i][k], out));
  }
  return BRAID_OK;
}

int64_t grid_best_ns(const struct grid_result *r, int policy) {
  int64_t best = 0;
  for (int k = 0; k < GRID_ASKS; k++) {
    int64_t ns = r->ask[policy][k].value_ns;
    if (ns > 0 && (best == 0 || ns < best)) best = ns;
  }
  return best;
}

double grid_loss(const struct grid_result *r, int subject, int *policy) {
  double loss = 0;
  for (int i = 0; i < r->n; i++) {
    int64_t other = grid_best_ns(r, i);
    for (int k = 0; k < r->asks && i != subject && other > 0; k++) {
      int64_t own = r->ask[subject][k].value_ns;
      double ratio = own == 0 ? HUGE_VAL : own > other ? (double)own / (double)other : 0;
      if (ratio <= loss) continue;
      loss = ratio;
      *policy = i;
    }
  }
  return loss;
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
