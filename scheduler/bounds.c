/* SPDX-License-Identifier: Apache-2.0
 * Lower bounds that hold for every plan under the goal: any sites (closed or not), any order, up to goal.slices slices.
 *
 * Period: in the steady state each resource does one frame's work per period, so P >= Work_R(S) / capacity_R for every
 * R and the S of the plan, and for mixes P >= sum_p w_p Work_R(S_p) / capacity_R: the dual value of the mix LP
 * (mix_lp.c) over all S, closed or not, bounds that from below for all plans and mixes at once.
 *
 * Latency: the largest of
 *   - the critical path (bound_path.c), every node at its best site;
 *   - the same game for plans that use the cloud at all, where the uplink's last message is followed, the cloud's first
 * task preceded, by a journey over the link; against the plan that stays on the edge. Only work that the answer waits
 * for counts: rows nobody reads may still be computed or sent when the answer is out. */
#include "bounds.h"
#include "mix_lp.h"

#include <string.h>

struct bounds {
  struct cut_costs cut;
  int64_t *time[4]; /* by resource: what cut points into */
  bool *pinned, *away;
  int *needed; /* rows of each tensor that the answer waits for */
  uint8_t *site;
  bool fed; /* every node has an input among its ancestors: a cloud that works has received something */
};

static void free_bounds(struct bounds *b) {
  for (int r = 0; r < 4; r++) braid_free(b->time[r]);
  braid_free(b->pinned);
  braid_free(b->away);
  braid_free(b->needed);
  braid_free(b->site);
}

static bool alloc_bounds(struct bounds *b, int n_nodes) {
  size_t n = (size_t)n_nodes;
  memset(b, 0, sizeof *b);
  bool ok = true;
  for (int r = 0; r < 4; r++) ok &= (b->time[r] = braid_malloc(n * sizeof **b->time)) != NULL;
  b->pinned = braid_calloc(n, sizeof *b->pinned);
  b->away = braid_calloc(n, sizeof *b->away);
  b->needed = braid_malloc(n * sizeof *b->needed);
  b->site = braid_malloc(n);
  b->cut = (struct cut_costs){b->time[BRAID_RES_EDGE],
                              b->time[BRAID_RES_CLOUD],
                              b->time[BRAID_RES_UP],
                              b->time[BRAID_RES_DOWN],
                              b->pinned,
                              b->away};
  return ok && b->pinned && b->away && b->needed && b->site;
}

int bound_rows(const struct braid_graph *graph, int id) {
  int rows = braid_graph_node(graph, id)->rows;
  return rows > 0 ? rows : 1;
}

/* The least time of one task of a node cut into at most `slices`; of its smallest slice. */
int64_t bound_slice_ns(const struct braid_graph *graph, const struct braid_costs *costs, enum braid_site site, int id,
                       int slices) {
  const struct braid_node *node = braid_graph_node(graph, id);
  if (node->op == BRAID_OP_INPUT) return 0;
  int rows = bound_rows(graph, id), most = slices < node->slices_max ? slices : node->slices_max;
  struct braid_band smallest = braid_slice_band(rows, most > 1 ? most : 1, most > 1 ? most - 1 : 0);
  int64_t overhead = site == BRAID_EDGE ? costs->edge_task_ns : costs->cloud_task_ns;
  int64_t share =
      cost_share(cost_node_ns(costs, site, id), (struct braid_band){0, smallest.end - smallest.begin}, rows);
  return share - (most > 1 && share > 0) + overhead; /* shares are rounded: another slice may have a ns less */
}

/* Work of `rows` rows of the node: sliced nodes may skip the others, whole ones compute them all. */
static int64_t needed_ns(const struct braid_graph *graph, const struct braid_costs *costs, enum braid_site site, int id,
                         int rows, int slices) {
  const struct braid_node *node = braid_graph_node(graph, id);
  int64_t overhead = site == BRAID_EDGE ? costs->edge_task_ns : costs->cloud_task_ns;
  if (node->op == BRAID_OP_INPUT) return 0;
  if (slices <= 1 || node->slices_max <= 1) rows = bound_rows(graph, id);
  if (rows == 0) return 0;
  int64_t share = cost_share(cost_node_ns(costs, site, id), (struct braid_band){0, rows}, bound_rows(graph, id));
  int64_t rounding = rows < bound_rows(graph, id) ? rows : 0; /* scattered rows: up to one ns each */
  return (share > rounding ? share - rounding : 0) + overhead;
}

static void fill_bounds(struct bounds *b, const struct braid_graph *graph, const struct braid_costs *costs,
                        const struct braid_goal *goal, const int *needed) {
  int n = braid_graph_size(graph);
  bool *fed = b->pinned; /* borrowed for a moment */
  b->fed = true;
  for (int v = 0; v < n; v++) {
    const struct braid_node *node = braid_graph_node(graph, v);
    struct braid_band band = {0, needed ? needed[v] : bound_rows(graph, v)};
    b->time[BRAID_RES_EDGE][v] = needed_ns(graph, costs, BRAID_EDGE, v, band.end, goal->slices);
    b->time[BRAID_RES_CLOUD][v] = needed_ns(graph, costs, BRAID_CLOUD, v, band.end, goal->slices);
    b->time[BRAID_RES_UP][v] = band.end > 0 ? cost_send_least_ns(costs, graph, &costs->up, v, band) : 0;
    b->time[BRAID_RES_DOWN][v] = band.end > 0 ? cost_send_least_ns(costs, graph, &costs->down, v, band) : 0;
    fed[v] = node->op == BRAID_OP_INPUT;
    for (int k = 0; k < node->n_in; k++) fed[v] |= braid_is_node(node->in[k]) && fed[node->in[k]];
    b->fed &= fed[v];
  }
  for (int v = 0; v < n; v++) {
    b->pinned[v] = braid_graph_node(graph, v)->op == BRAID_OP_INPUT || goal_pins(goal, v, BRAID_EDGE);
    b->away[v] = goal_pins(goal, v, BRAID_CLOUD);
  }
  for (int v = 0; v < n && goal->private_input; v++)
    if (is_private_tensor(graph, v)) b->time[BRAID_RES_UP][v] = COST_NEVER;
}

/* What keeps a private tensor from leaving also keeps its readers; the cut knows, work_of() need not. */
static enum braid_status play(struct bounds *b, const struct braid_graph *graph, const struct braid_costs *costs,
                              const int64_t offset_ns[4], int64_t *bound) {
  struct cutter *cutter = NULL;
  const int64_t capacity[4] = {costs->edge_workers, 1, costs->cloud_workers, 1};
  BRAID_TRY(cutter_create(graph, false, &cutter));
  *bound = cutter_play(cutter, &b->cut, capacity, offset_ns, NULL, NULL, b->site);
  cutter_destroy(&cutter);
  return BRAID_OK;
}

static int64_t period_bound(struct bounds *b, const struct braid_graph *graph, const struct braid_costs *costs) {
  struct mix_problem problem = {graph, &b->cut, {costs->edge_workers, 1, costs->cloud_workers, 1}, .closed = false};
  struct mix_solution *solution = NULL;
  enum braid_status status = mix_lp_solve(&problem, &solution);
  int64_t bound = status == BRAID_OK && solution->bound_ns < COST_NEVER ? solution->bound_ns : 0;
  mix_lp_free(&solution);
  return bound;
}

/* The most slices a plan under this goal may have. */
static struct braid_goal with_slices(const struct braid_goal *goal) {
  struct braid_goal g = *goal;
  if (g.slices == 0) g.slices = SLICES_AUTO;
  return g;
}

int64_t braid_bound_period_ns(const struct braid_graph *graph, const struct braid_costs *costs,
                              const struct braid_goal *goal) {
  struct bounds b;
  const struct braid_goal sliced = with_slices(goal);
  int64_t bound = 0;
  if (alloc_bounds(&b, braid_graph_size(graph))) {
    fill_bounds(&b, graph, costs, &sliced, NULL);
    bound = period_bound(&b, graph, costs);
  }
  free_bounds(&b);
  return bound < COST_NEVER ? bound : 0;
}

/* ------------------------------------------------------------------------------------------------- latency */

/* The least a journey can take: one row of the cheapest tensor that may make it. */
static int64_t least_journey_ns(const struct braid_graph *graph, const struct braid_costs *costs,
                                const struct braid_link_cost *link, const int64_t *allowed) {
  int64_t least = COST_NEVER;
  for (int v = 0; v < braid_graph_size(graph); v++) {
    if (allowed && allowed[v] == COST_NEVER) continue;
    if (!allowed && braid_graph_node(graph, v)->op == BRAID_OP_INPUT) continue;
    int64_t bytes = (int64_t)cost_tensor_bytes(costs, graph, v) / bound_rows(graph, v);
    int64_t ns = link->message_ns + (int64_t)(8e9 * (double)bytes / link->bits_per_s);
    if (ns < least) least = ns;
  }
  return least == COST_NEVER ? COST_NEVER : least + link->delay_ns;
}

static bool edge_may_hold_all(const struct braid_graph *graph, const struct braid_goal *goal) {
  size_t memory = 0;
  for (int v = 0; v < braid_graph_size(graph); v++) {
    if (goal_pins(goal, v, BRAID_CLOUD)) return false;
    memory += braid_graph_node(graph, v)->weight_bytes + braid_graph_node(graph, v)->bytes;
  }
  return goal->edge_memory == 0 || memory <= goal->edge_memory;
}

static int64_t stay_ns(const struct bounds *b, const struct braid_graph *graph, const struct braid_costs *costs,
                       const struct braid_goal *goal, int64_t path_ns) {
  if (!edge_may_hold_all(graph, goal)) return COST_NEVER;
  int64_t work = 0;
  for (int v = 0; v < braid_graph_size(graph); v++) work += b->time[BRAID_RES_EDGE][v];
  work /= costs->edge_workers;
  return work > path_ns ? work : path_ns;
}

static enum braid_status leave_ns(struct bounds *b, const struct braid_graph *graph, const struct braid_costs *costs,
                                  int64_t *bound) {
  int64_t up = least_journey_ns(graph, costs, &costs->up, b->time[BRAID_RES_UP]);
  int64_t down = least_journey_ns(graph, costs, &costs->down, NULL);
  if (!b->fed) up = down = 0;
  if (up == COST_NEVER || down == COST_NEVER) {
    *bound = COST_NEVER;
    return BRAID_OK;
  }
  int64_t offset_ns[4] = {0};
  offset_ns[BRAID_RES_UP] = b->fed ? costs->up.delay_ns + down : 0;
  offset_ns[BRAID_RES_CLOUD] = up + down;
  offset_ns[BRAID_RES_DOWN] = b->fed ? up + costs->down.delay_ns : 0;
  return play(b, graph, costs, offset_ns, bound);
}

static int64_t latency_bound(struct bounds *b, const struct braid_graph *graph, const struct braid_costs *costs,
                             const struct braid_goal *goal) {
  int64_t leave = 0, path = 0, edge_path = 0;
  if (bound_needed_rows(graph, goal->slices, b->needed) != BRAID_OK) return 0;
  fill_bounds(b, graph, costs, goal, b->needed);
  if (bound_path_ns(graph, costs, goal, true, &path) != BRAID_OK) return 0;
  if (bound_path_ns(graph, costs, goal, false, &edge_path) != BRAID_OK) return path;
  if (leave_ns(b, graph, costs, &leave) != BRAID_OK) return path;
  int64_t stay = stay_ns(b, graph, costs, goal, edge_path);
  int64_t work = stay < leave ? stay : leave;
  return work > path ? work : path;
}

int64_t braid_bound_latency_ns(const struct braid_graph *graph, const struct braid_costs *costs,
                               const struct braid_goal *goal) {
  struct bounds b;
  const struct braid_goal sliced = with_slices(goal);
  int64_t bound = 0;
  if (alloc_bounds(&b, braid_graph_size(graph))) bound = latency_bound(&b, graph, costs, &sliced);
  free_bounds(&b);
  return bound < COST_NEVER ? bound : 0; /* nothing meets the goal: every policy says why */
}
