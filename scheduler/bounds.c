/* SPDX-License-Identifier: Apache-2.0
 * Lower bounds that hold for every plan under the goal: any sites (closed or not), any order, up to goal.slices slices.
 *
 * Period: in the steady state each resource does one frame's work per period, so P >= Work_R(S) / capacity_R for every
 * R and the S of the plan, and for mixes P >= sum_p w_p Work_R(S_p) / capacity_R: the dual value of the mix LP
 * (mix_lp.c) over all S, closed or not, bounds that from below for all plans and mixes at once.
 *
 * Latency: the largest of
 *   - the critical path (bound_path.c), every node at its best site;
 *   - the stages (bound_stages.c): what every resource must do, with what must come before and after it, over all
 * sites;
 *   - where those are too many, or memory forbids to stay on the edge, the game of weights and cuts (cut.h) for plans
 * that use the cloud at all, where the uplink's last message is followed, the cloud's first task preceded, by a
 * journey; against the plan that stays. Only work that the answer waits for counts: rows nobody reads may still be
 * computed or sent when the answer is out. */
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
                              b->away,
                              BRAID_EDGE};
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

/* Where nodes must be and what may not leave; the times of all four resources are there. */
static void fill_rules(struct bounds *b, const struct braid_graph *graph, const struct braid_goal *goal) {
  bool *fed = b->pinned; /* borrowed for a moment */
  b->fed = true;
  b->cut.deliver = goal->deliver;
  for (int v = 0; v < braid_graph_size(graph); v++) {
    const struct braid_node *node = braid_graph_node(graph, v);
    fed[v] = node->op == BRAID_OP_INPUT;
    for (int k = 0; k < node->n_in; k++) fed[v] |= braid_is_node(node->in[k]) && fed[node->in[k]];
    b->fed &= fed[v];
    if (goal->private_input && is_private_tensor(graph, v)) b->time[BRAID_RES_UP][v] = COST_NEVER;
  }
  for (int v = 0; v < braid_graph_size(graph); v++) {
    b->pinned[v] = braid_graph_node(graph, v)->op == BRAID_OP_INPUT || goal_pins(goal, v, BRAID_EDGE);
    b->away[v] = goal_pins(goal, v, BRAID_CLOUD);
  }
}

/* In the long run every row is computed and sent, needed or not; in one task and full messages at the least. */
static void fill_all_rows(struct bounds *b, const struct braid_graph *graph, const struct braid_costs *costs) {
  for (int v = 0; v < braid_graph_size(graph); v++) {
    const struct braid_band all = {0, bound_rows(graph, v)};
    bool input = braid_graph_node(graph, v)->op == BRAID_OP_INPUT;
    b->time[BRAID_RES_EDGE][v] = input ? 0 : cost_task_ns(costs, graph, BRAID_EDGE, v, all);
    b->time[BRAID_RES_CLOUD][v] = input ? 0 : cost_task_ns(costs, graph, BRAID_CLOUD, v, all);
    b->time[BRAID_RES_UP][v] = cost_send_least_ns(costs, graph, &costs->up, v, all);
    b->time[BRAID_RES_DOWN][v] = cost_send_least_ns(costs, graph, &costs->down, v, all);
  }
}

static void fill_needed_rows(struct bounds *b, const struct bound_net *net) {
  const size_t bytes = (size_t)net->n * sizeof(int64_t);
  memcpy(b->time[BRAID_RES_EDGE], net->work_ns[BRAID_EDGE], bytes);
  memcpy(b->time[BRAID_RES_CLOUD], net->work_ns[BRAID_CLOUD], bytes);
  memcpy(b->time[BRAID_RES_UP], net->send_ns[BRAID_EDGE], bytes);
  memcpy(b->time[BRAID_RES_DOWN], net->send_ns[BRAID_CLOUD], bytes);
}

/* What keeps a private tensor from leaving also keeps its readers; the cut knows, work_of() need not. */
static enum braid_status play(struct bounds *b, const struct braid_graph *graph, const struct braid_costs *costs,
                              const int64_t offset_ns[4], int64_t *bound) {
  struct cutter *cutter = NULL;
  const int64_t capacity[4] = {costs->edge_workers, 1, costs->cloud_workers, 1};
  BRAID_TRY(cutter_create(graph, false, &cutter));
  *bound = cutter_play(cutter, &b->cut, capacity, offset_ns, b->site);
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
  int64_t bound = 0;
  if (alloc_bounds(&b, braid_graph_size(graph))) {
    fill_all_rows(&b, graph, costs);
    fill_rules(&b, graph, goal);
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

static int64_t stay_ns(const struct bounds *b, const struct bound_net *net) {
  if (!edge_may_hold_all(net->graph, net->goal)) return COST_NEVER;
  int64_t work = 0;
  for (int v = 0; v < net->n; v++) work += b->time[BRAID_RES_EDGE][v];
  return work / net->costs->edge_workers;
}

/* A plan that uses the cloud. What is wanted there need not come back. */
static enum braid_status leave_ns(struct bounds *b, const struct bound_net *net, int64_t *bound) {
  const struct braid_graph *graph = net->graph;
  const struct braid_costs *costs = net->costs;
  bool comes_back = b->fed && net->goal->deliver == BRAID_EDGE;
  int64_t up = least_journey_ns(graph, costs, &costs->up, b->time[BRAID_RES_UP]);
  int64_t down = comes_back ? least_journey_ns(graph, costs, &costs->down, NULL) : 0;
  if (!b->fed) up = 0;
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

/* About what the best cut between two ids takes, one stage after the other: no need to look above. */
static int64_t serial_ns(const struct bound_net *net) {
  const enum braid_site deliver = net->goal->deliver;
  int64_t best = COST_NEVER, edge = 0, cloud = 0, all = 0, down = 0;
  for (int v = 0; v < net->n; v++) {
    cloud += net->work_ns[BRAID_CLOUD][v];
    all += net->work_ns[BRAID_EDGE][v] + net->work_ns[BRAID_CLOUD][v] + net->send_ns[0][v] + net->send_ns[1][v];
    if (is_delivered(net->graph, v, deliver, BRAID_EDGE)) down += net->send_ns[BRAID_CLOUD][v];
  }
  for (int cut = 0; cut <= net->n; cut++) {
    int64_t ns = edge + cloud;
    bool allowed = true;
    for (int u = 0; u < cut; u++) {
      const struct braid_node *node = braid_graph_node(net->graph, u);
      bool read = cloud > 0 && node->n_readers > 0 && node->reader[node->n_readers - 1] >= cut;
      if (!read && !is_delivered(net->graph, u, deliver, BRAID_CLOUD)) continue;
      allowed &= !net->is_private[u];
      ns += net->send_ns[BRAID_EDGE][u];
    }
    for (int v = 0; v < net->n && allowed; v++) allowed = net->forced[v] < 0 || net->forced[v] == (v >= cut);
    if (cut < net->n || deliver == BRAID_CLOUD) ns += net->costs->up.delay_ns;
    if (cut < net->n && deliver == BRAID_EDGE) ns += net->costs->down.delay_ns + down;
    if (allowed && ns < best) best = ns;
    if (cut == net->n) break;
    edge += net->work_ns[BRAID_EDGE][cut];
    cloud -= net->work_ns[BRAID_CLOUD][cut];
  }
  int64_t delays = (net->n + 1) * (net->costs->up.delay_ns + net->costs->down.delay_ns);
  return (best < COST_NEVER ? best : all + delays) + 1000;
}

static enum braid_status game_ns(const struct bound_net *net, int64_t *bound) {
  struct bounds b;
  int64_t leave = 0;
  enum braid_status status = BRAID_ENOMEM;
  if (alloc_bounds(&b, net->n)) {
    fill_needed_rows(&b, net);
    fill_rules(&b, net->graph, net->goal);
    status = leave_ns(&b, net, &leave);
    int64_t stay = stay_ns(&b, net);
    *bound = stay < leave ? stay : leave;
  }
  free_bounds(&b);
  return status;
}

/* What is proven when memory runs out holds all the same. */
static void latency_bound(struct bound_net *net, int64_t *bound) {
  int64_t ns = 0;
  bool coarse = false;
  if (bound_path_ns(net->graph, net->costs, net->goal, true, bound) != BRAID_OK) return;
  if (bound_net_fill(net) != BRAID_OK || bound_stages_ns(net, serial_ns(net), &ns, &coarse) != BRAID_OK) return;
  *bound = max_ns(*bound, ns);
  if (!coarse && net->goal->edge_memory == 0) return;
  if (game_ns(net, &ns) == BRAID_OK) *bound = max_ns(*bound, ns);
}

int64_t braid_bound_latency_ns(const struct braid_graph *graph, const struct braid_costs *costs,
                               const struct braid_goal *goal) {
  const struct braid_goal sliced = with_slices(goal);
  struct bound_net net = {.graph = graph, .costs = costs, .goal = &sliced};
  int64_t bound = 0;
  latency_bound(&net, &bound);
  bound_net_free(&net);
  return bound < COST_NEVER ? bound : 0; /* nothing meets the goal: every policy says why */
}
