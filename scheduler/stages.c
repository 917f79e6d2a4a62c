/* SPDX-License-Identifier: Apache-2.0
 * What the single-cut literature sees of a network: times that add up on three serial stages, and the goal's
 * constraints as three kinds of "never": nodes that must be on the edge, nodes that must be in the cloud, tensors that
 * must not leave. What follows from them for other nodes is left to those who choose sites: for closed sets a node on
 * the edge pulls its ancestors there and one in the cloud pushes its descendants, elsewhere it need not.
 *
 * Several workers on a site make additive times a fiction. For latency they are scaled by what the workers gain when
 * the whole network runs on that site alone (one simulation; exactly 1 with one worker), for the period the work is
 * divided by their number. */
#include "internal.h"

#include <stdio.h>

/* ------------------------------------------------------------------------------------------------- private */

/* Operators that hand the input on unread: other shape, type or scale, the same picture. */
static bool keeps_picture(const struct braid_node *node) {
  switch (node->op) {
  case BRAID_OP_NORMALIZE:
  case BRAID_OP_RESHAPE:
  case BRAID_OP_CAST:
  case BRAID_OP_QUANTIZE_LINEAR:
  case BRAID_OP_DEQUANTIZE_LINEAR:
  case BRAID_OP_TRANSPOSE:
  case BRAID_OP_PAD:
  case BRAID_OP_SLICE:
    return true;
  case BRAID_OP_SUB: /* a zero point */
    return !braid_is_node(node->in[1]);
  default:
    return false;
  }
}

bool is_private_tensor(const struct braid_graph *graph, int id) {
  const struct braid_node *node = braid_graph_node(graph, id);
  while (keeps_picture(node) && node->n_in > 0 && braid_is_node(node->in[0]))
    node = braid_graph_node(graph, node->in[0]);
  return node->op == BRAID_OP_INPUT;
}

static void forbid_private(struct stages *st) {
  for (int v = 0; v < st->n; v++) {
    if (!is_private_tensor(st->graph, v)) continue;
    const struct braid_node *node = braid_graph_node(st->graph, v);
    st->up[v] = COST_NEVER;
    st->pinned[v] = true;
    for (int i = 0; i < node->n_readers; i++) st->pinned[node->reader[i]] = true;
  }
}

/* ------------------------------------------------------------------------------------------------ constraints */

const char *goal_text(const struct braid_goal *goal, char *buf, size_t size) {
  char memory[48] = "", latency[48] = "";
  if (goal->edge_memory > 0) snprintf(memory, sizeof memory, ", the edge's memory of %zu bytes", goal->edge_memory);
  if (goal->latency_max_ns > 0)
    snprintf(latency, sizeof latency, ", a latency of at most %.3f ms", (double)goal->latency_max_ns / 1e6);
  snprintf(buf, size, "%s%s%s%s", goal->private_input ? ", private input" : "", memory,
           goal->pinned ? ", pinned nodes" : "", latency);
  return buf[0] ? buf + 2 : "no constraint at all";
}

/* --------------------------------------------------------------------------------------------- pinned nodes */

bool goal_pins(const struct braid_goal *goal, int id, enum braid_site site) {
  return goal->pinned && goal->pinned[id] == (int8_t)site;
}

static void pin(struct stages *st) {
  for (int v = 0; v < st->n; v++) {
    st->pinned[v] |= goal_pins(st->goal, v, BRAID_EDGE);
    st->away[v] = goal_pins(st->goal, v, BRAID_CLOUD);
  }
}

static const char *why_on_edge(const struct stages *st, int v) {
  if (goal_pins(st->goal, v, BRAID_EDGE)) return "is pinned to the edge";
  if (braid_graph_node(st->graph, v)->op == BRAID_OP_INPUT) return "is an input and begins on the edge";
  return "must stay on the edge: private input forbids sending what it reads";
}

/* A result that is the picture itself, and that somebody in the cloud wants. */
static enum braid_status check_results(const struct stages *st) {
  for (int v = 0; v < st->n; v++)
    if (st->up[v] == COST_NEVER && is_delivered(st->graph, v, st->goal->deliver, BRAID_CLOUD))
      return braid_fail(BRAID_ENOTFOUND, "output %d '%s' is wanted in the cloud, private input forbids sending it", v,
                        braid_graph_node(st->graph, v)->name);
  return BRAID_OK;
}

static enum braid_status check_pins(const struct stages *st) {
  for (int v = 0; v < st->n; v++)
    if (st->away[v] && st->pinned[v])
      return braid_fail(BRAID_ENOTFOUND, "node %d '%s' is pinned to the cloud, but %s", v,
                        braid_graph_node(st->graph, v)->name, why_on_edge(st, v));
  return BRAID_OK;
}

/* from[v]: a node that must be in the cloud among v and its ancestors, -1 for none. */
enum braid_status stages_check_closed(const struct stages *st) {
  int *from = braid_malloc((size_t)st->n * sizeof *from);
  if (!from) return braid_fail(BRAID_ENOMEM, "scheduling %d nodes", st->n);
  enum braid_status status = BRAID_OK;
  for (int v = 0; v < st->n && status == BRAID_OK; v++) {
    const struct braid_node *node = braid_graph_node(st->graph, v);
    from[v] = st->away[v] ? v : -1;
    for (int k = 0; k < node->n_in; k++)
      if (braid_is_node(node->in[k]) && from[node->in[k]] >= 0) from[v] = from[node->in[k]];
    if (from[v] < 0 || !st->pinned[v]) continue;
    status =
        braid_fail(BRAID_ENOTFOUND,
                   "node %d '%s' is pinned to the cloud, but node %d '%s', which depends on it, %s; nothing returns to "
                   "the edge under this policy",
                   from[v], braid_graph_node(st->graph, from[v])->name, v, node->name, why_on_edge(st, v));
  }
  braid_free(from);
  return status;
}

/* -------------------------------------------------------------------------------------------------- making */

static enum braid_status alloc_stages(int n_nodes, struct stages **out) {
  size_t n = (size_t)n_nodes;
  struct stages *st = braid_calloc(1, sizeof *st);
  if (!st) return braid_fail(BRAID_ENOMEM, "scheduling %d nodes", n_nodes);
  int64_t **times[] = {&st->work[0], &st->work[1], &st->time[0], &st->time[1], &st->up, &st->down};
  bool ok = true;
  for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
    *times[i] = braid_calloc(n, sizeof **times[i]);
    ok &= *times[i] != NULL;
  }
  st->n = n_nodes;
  st->memory = braid_calloc(n, sizeof *st->memory);
  st->pinned = braid_calloc(n, sizeof *st->pinned);
  st->away = braid_calloc(n, sizeof *st->away);
  if (!ok || !st->memory || !st->pinned || !st->away) {
    stages_destroy(&st);
    return braid_fail(BRAID_ENOMEM, "scheduling %d nodes", n_nodes);
  }
  *out = st;
  return BRAID_OK;
}

void stages_destroy(struct stages **stages) {
  if (!stages || !*stages) return;
  struct stages *st = *stages;
  void *parts[] = {st->work[0], st->work[1], st->time[0], st->time[1], st->up,
                   st->down,    st->memory,  st->pinned,  st->away};
  for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) braid_free(parts[i]);
  braid_free(st);
  *stages = NULL;
}

static void fill_node(struct stages *st, int v, int slices) {
  const struct braid_node *node = braid_graph_node(st->graph, v);
  int rows = node->rows > 0 ? node->rows : 1;
  for (int i = 0; i < slices; i++) {
    struct braid_band band = braid_slice_band(rows, slices, i);
    for (int site = 0; site < 2 && node->op != BRAID_OP_INPUT; site++)
      st->work[site][v] += cost_task_ns(st->costs, st->graph, (enum braid_site)site, v, band);
    st->up[v] += cost_send_ns(st->costs, st->graph, &st->costs->up, v, band);
    st->down[v] += cost_send_ns(st->costs, st->graph, &st->costs->down, v, band);
  }
  st->memory[v] = node->weight_bytes + node->bytes;
  st->pinned[v] = node->op == BRAID_OP_INPUT;
}

/* How long the whole network takes on one site's workers, nothing else going on. */
static enum braid_status alone_ns(const struct stages *st, enum braid_site site, const struct braid_plan *whole,
                                  int64_t *ns) {
  struct braid_costs costs = *st->costs;
  if (site == BRAID_CLOUD) {
    costs.edge_ns = costs.cloud_ns;
    costs.edge_slice_ns = costs.cloud_slice_ns;
    costs.edge_task_ns = costs.cloud_task_ns;
    costs.edge_workers = costs.cloud_workers;
  }
  struct braid_sim_result result;
  BRAID_TRY(sim_run(whole, st->graph, &costs, &(struct braid_sim_opts){.frames = 1, .window = 1}, &result));
  *ns = result.first_latency_ns;
  if (site == BRAID_CLOUD && costs.cloud_load > 0) *ns = (int64_t)((double)*ns * costs.cloud_load);
  return BRAID_OK;
}

static enum braid_status fill_times(struct stages *st, const struct braid_plan *whole) {
  for (int site = 0; site < 2; site++) {
    double gain = 1;
    if (cost_workers(st->costs, (enum braid_site)site) > 1) {
      int64_t sum = 0, alone = 0;
      for (int v = 0; v < st->n; v++) sum += st->work[site][v];
      BRAID_TRY(alone_ns(st, (enum braid_site)site, whole, &alone));
      if (alone > 0 && sum > alone) gain = (double)alone / (double)sum;
    }
    for (int v = 0; v < st->n; v++) st->time[site][v] = (int64_t)((double)st->work[site][v] * gain);
  }
  return BRAID_OK;
}

enum braid_status stages_create(const struct braid_graph *graph, const struct braid_costs *costs,
                                const struct braid_goal *goal, struct stages **out) {
  struct stages *st = NULL;
  struct braid_plan *whole = NULL;
  BRAID_TRY(alloc_stages(braid_graph_size(graph), &st));
  st->graph = graph;
  st->costs = costs;
  st->goal = goal;
  enum braid_status status = braid_plan_create(graph, "", &whole);
  if (status == BRAID_OK) {
    plan_set_slices(whole, graph, goal->slices);
    for (int v = 0; v < st->n; v++) fill_node(st, v, whole->slices[v]);
    if (goal->private_input) forbid_private(st);
    pin(st);
    status = check_results(st);
    if (status == BRAID_OK) status = check_pins(st);
    if (status == BRAID_OK) status = fill_times(st, whole);
  }
  braid_plan_destroy(&whole);
  if (status != BRAID_OK)
    stages_destroy(&st);
  else
    *out = st;
  return status;
}

/* ------------------------------------------------------------------------------------------------- summing */

void stages_sum(const struct stages *st, const uint8_t *site, struct stage_sums *sums) {
  *sums = (struct stage_sums){.allowed = true};
  for (int v = 0; v < st->n; v++) {
    int at = site[v];
    sums->work[at] += st->work[at][v];
    sums->time[at] += st->time[at][v];
    if (at == BRAID_EDGE) {
      sums->memory += st->memory[v];
      if (st->away[v]) sums->allowed = false;
      if (!site_crosses_up(st->graph, site, v, st->goal->deliver)) continue;
      sums->crosses_up = true;
      if (st->up[v] == COST_NEVER)
        sums->allowed = false;
      else
        sums->up += st->up[v];
    } else {
      if (st->pinned[v]) sums->allowed = false;
      if (!site_crosses_down(st->graph, site, v, st->goal->deliver)) continue;
      sums->crosses_down = true;
      sums->down += st->down[v];
    }
  }
}

static bool forbidden(const struct stages *st, const struct stage_sums *sums) {
  return !sums->allowed || (st->goal->edge_memory > 0 && sums->memory > st->goal->edge_memory);
}

int64_t stages_latency_ns(const struct stages *st, const struct stage_sums *sums) {
  if (forbidden(st, sums)) return COST_NEVER;
  int64_t delays =
      (sums->crosses_up ? st->costs->up.delay_ns : 0) + (sums->crosses_down ? st->costs->down.delay_ns : 0);
  return sums->time[BRAID_EDGE] + sums->up + sums->time[BRAID_CLOUD] + sums->down + delays;
}

int64_t stages_period_ns(const struct stages *st, const struct stage_sums *sums) {
  if (forbidden(st, sums)) return COST_NEVER;
  int64_t stage[] = {sums->work[BRAID_EDGE] / st->costs->edge_workers, sums->up,
                     sums->work[BRAID_CLOUD] / st->costs->cloud_workers, sums->down};
  int64_t most = 0;
  for (int i = 0; i < 4; i++)
    if (stage[i] > most) most = stage[i];
  return most;
}

int64_t stages_value_ns(const struct stages *st, const struct stage_sums *sums) {
  int64_t latency_ns = stages_latency_ns(st, sums), ceiling_ns = st->goal->latency_max_ns;
  if (st->goal->objective != BRAID_THROUGHPUT) return latency_ns;
  return ceiling_ns > 0 && latency_ns > ceiling_ns ? COST_NEVER : stages_period_ns(st, sums);
}

const char *stages_ceiling_text(const struct stages *st) {
  bool decides = st->goal->latency_max_ns > 0 && st->goal->objective == BRAID_THROUGHPUT;
  return decides ? ", with a latency below the ceiling" : "";
}

enum braid_status stages_admit(const struct stages *st, const uint8_t *site) {
  size_t memory = 0;
  for (int v = 0; v < st->n; v++) {
    const char *name = braid_graph_node(st->graph, v)->name;
    if (site[v] == BRAID_EDGE) memory += st->memory[v];
    if (site[v] == BRAID_CLOUD && st->pinned[v])
      return braid_fail(BRAID_ENOTFOUND, "node %d '%s' %s", v, name, why_on_edge(st, v));
    if (site[v] == BRAID_EDGE && st->away[v])
      return braid_fail(BRAID_ENOTFOUND, "node %d '%s' is pinned to the cloud", v, name);
    if (site_crosses_up(st->graph, site, v, st->goal->deliver) && st->up[v] == COST_NEVER)
      return braid_fail(BRAID_ENOTFOUND, "tensor %d '%s' would leave the edge, private input forbids it", v, name);
  }
  if (st->goal->edge_memory > 0 && memory > st->goal->edge_memory)
    return braid_fail(BRAID_ENOTFOUND, "the edge would hold %zu bytes of weights and tensors, its memory limit is %zu",
                      memory, st->goal->edge_memory);
  return BRAID_OK;
}

enum braid_status stages_plan(const struct stages *st, const char *policy, const uint8_t *site, bool serial,
                              struct braid_plan **out) {
  struct braid_plan *plan = NULL;
  BRAID_TRY(braid_plan_create(st->graph, policy, &plan));
  plan->objective = st->goal->objective;
  plan->deliver = st->goal->deliver;
  plan->serial = serial;
  for (int v = 0; v < st->n; v++) plan->site[v] = site[v];
  plan_set_slices(plan, st->graph, st->goal->slices);
  *out = plan;
  return BRAID_OK;
}

enum braid_status stages_decide(const char *policy, stages_cut_fn *cut, const struct braid_graph *graph,
                                const struct braid_costs *costs, const struct braid_goal *goal,
                                struct braid_plan **out) {
  struct stages *st = NULL;
  BRAID_TRY(stages_create(graph, costs, goal, &st));
  uint8_t *site = braid_malloc((size_t)st->n);
  enum braid_status status = site ? stages_check_closed(st) : braid_fail(BRAID_ENOMEM, "cutting %d nodes", st->n);
  if (status == BRAID_OK) status = cut(st, site);
  if (status == BRAID_OK) status = stages_plan(st, policy, site, true, out);
  braid_free(site);
  stages_destroy(&st);
  return status;
}
