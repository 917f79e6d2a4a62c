/* SPDX-License-Identifier: Apache-2.0
 * Plans as values: making, copying, checking against a graph, and what crosses the link under them. */
#include "internal.h"

#include <stdio.h>
#include <string.h>

static enum braid_status plan_alloc(int n_nodes, struct braid_plan **out) {
  struct braid_plan *plan = braid_calloc(1, sizeof *plan);
  if (!plan) return braid_fail(BRAID_ENOMEM, "a plan of %d nodes", n_nodes);
  size_t n = (size_t)n_nodes;
  plan->n_nodes = n_nodes;
  plan->site = braid_calloc(n, sizeof *plan->site);
  plan->slices = braid_calloc(n, sizeof *plan->slices);
  plan->rank = braid_calloc(n, sizeof *plan->rank);
  if (!plan->site || !plan->slices || !plan->rank) {
    braid_plan_destroy(&plan);
    return braid_fail(BRAID_ENOMEM, "a plan of %d nodes", n_nodes);
  }
  *out = plan;
  return BRAID_OK;
}

enum braid_status braid_plan_create(const struct braid_graph *graph, const char *policy, struct braid_plan **out) {
  struct braid_plan *plan = NULL;
  BRAID_TRY(plan_alloc(braid_graph_size(graph), &plan));
  snprintf(plan->policy, sizeof plan->policy, "%s", policy);
  plan->window = 1;
  for (int v = 0; v < plan->n_nodes; v++) {
    plan->site[v] = BRAID_EDGE;
    plan->slices[v] = 1;
    plan->rank[v] = v;
  }
  *out = plan;
  return BRAID_OK;
}

static enum braid_status copy_mix(const struct braid_plan *plan, struct braid_plan *copy) {
  if (plan->n_mix == 0) return BRAID_OK;
  copy->mix = braid_calloc((size_t)plan->n_mix, sizeof *copy->mix);
  copy->mix_weight = braid_calloc((size_t)plan->n_mix, sizeof *copy->mix_weight);
  if (!copy->mix || !copy->mix_weight) return braid_fail(BRAID_ENOMEM, "a mix of %d plans", plan->n_mix);
  for (; copy->n_mix < plan->n_mix; copy->n_mix++) {
    BRAID_TRY(braid_plan_copy(plan->mix[copy->n_mix], &copy->mix[copy->n_mix]));
    copy->mix_weight[copy->n_mix] = plan->mix_weight[copy->n_mix];
  }
  return BRAID_OK;
}

enum braid_status braid_plan_copy(const struct braid_plan *plan, struct braid_plan **out) {
  struct braid_plan *copy = NULL;
  BRAID_TRY(plan_alloc(plan->n_nodes, &copy));
  size_t n = (size_t)plan->n_nodes;
  memcpy(copy->policy, plan->policy, sizeof copy->policy);
  copy->objective = plan->objective;
  copy->serial = plan->serial;
  copy->window = plan->window;
  copy->deliver = plan->deliver;
  copy->forecast = plan->forecast;
  memcpy(copy->site, plan->site, n * sizeof *copy->site);
  memcpy(copy->slices, plan->slices, n * sizeof *copy->slices);
  memcpy(copy->rank, plan->rank, n * sizeof *copy->rank);
  enum braid_status status = copy_mix(plan, copy);
  if (status != BRAID_OK) {
    braid_plan_destroy(&copy);
    return status;
  }
  *out = copy;
  return BRAID_OK;
}

void braid_plan_destroy(struct braid_plan **plan) {
  if (!plan || !*plan) return;
  braid_free((*plan)->site);
  braid_free((*plan)->slices);
  braid_free((*plan)->rank);
  for (int i = 0; i < (*plan)->n_mix; i++) braid_plan_destroy(&(*plan)->mix[i]);
  braid_free((*plan)->mix);
  braid_free((*plan)->mix_weight);
  braid_free(*plan);
  *plan = NULL;
}

void plan_set_slices(struct braid_plan *plan, const struct braid_graph *graph, int slices) {
  for (int v = 0; v < plan->n_nodes; v++) {
    const struct braid_node *node = braid_graph_node(graph, v);
    int most = node->op == BRAID_OP_INPUT ? 1 : node->slices_max;
    plan->slices[v] = slices < 1 ? 1 : slices < most ? slices : most;
  }
}

/* ----------------------------------------------------------------------------------------------- checking */

static enum braid_status check_header(const struct braid_plan *plan, const struct braid_graph *graph) {
  if (plan->n_nodes != braid_graph_size(graph))
    return braid_fail(BRAID_EMISMATCH, "the plan is for %d nodes, %s has %d", plan->n_nodes, braid_graph_name(graph),
                      braid_graph_size(graph));
  if (!memchr(plan->policy, 0, sizeof plan->policy)) return braid_fail(BRAID_EINVAL, "the policy's name has no end");
  if (plan->objective != BRAID_LATENCY && plan->objective != BRAID_THROUGHPUT)
    return braid_fail(BRAID_EINVAL, "objective %d is neither latency nor throughput", (int)plan->objective);
  if (plan->window < 1 || plan->window > BRAID_PLAN_WINDOW_MAX)
    return braid_fail(BRAID_EINVAL, "window %d is not in 1..%d", plan->window, BRAID_PLAN_WINDOW_MAX);
  if (plan->deliver != BRAID_EDGE && plan->deliver != BRAID_CLOUD)
    return braid_fail(BRAID_EINVAL, "results are wanted at site %d, neither edge nor cloud", (int)plan->deliver);
  return BRAID_OK;
}

static enum braid_status check_nodes(const struct braid_plan *plan, const struct braid_graph *graph) {
  int64_t tasks = 0;
  for (int v = 0; v < plan->n_nodes; v++) {
    const struct braid_node *node = braid_graph_node(graph, v);
    if (plan->site[v] != BRAID_EDGE && plan->site[v] != BRAID_CLOUD)
      return braid_fail(BRAID_EINVAL, "node %d '%s': site %d is neither edge nor cloud", v, node->name, plan->site[v]);
    if (node->op == BRAID_OP_INPUT && plan->site[v] != BRAID_EDGE)
      return braid_fail(BRAID_EINVAL, "node %d '%s': inputs are always on the edge", v, node->name);
    if (plan->slices[v] < 1 || plan->slices[v] > node->slices_max)
      return braid_fail(BRAID_EINVAL, "node %d '%s': %d slices, it allows 1..%d", v, node->name, plan->slices[v],
                        node->slices_max);
    tasks += plan->slices[v];
  }
  if (tasks > BRAID_PLAN_TASKS_MAX)
    return braid_fail(BRAID_EINVAL, "%lld tasks (nodes x slices), most is %d: use fewer slices", (long long)tasks,
                      BRAID_PLAN_TASKS_MAX);
  return BRAID_OK;
}

static enum braid_status check_rank(const struct braid_plan *plan, const struct braid_graph *graph) {
  uint8_t *seen = braid_calloc((size_t)plan->n_nodes, 1);
  if (!seen) return braid_fail(BRAID_ENOMEM, "checking a plan of %d nodes", plan->n_nodes);
  enum braid_status status = BRAID_OK;
  for (int v = 0; v < plan->n_nodes && status == BRAID_OK; v++) {
    int r = plan->rank[v];
    const char *name = braid_graph_node(graph, v)->name;
    if (r < 0 || r >= plan->n_nodes)
      status = braid_fail(BRAID_EINVAL, "node %d '%s': rank %d is not in 0..%d", v, name, r, plan->n_nodes - 1);
    else if (seen[r]++)
      status = braid_fail(BRAID_EINVAL, "node %d '%s': rank %d is taken by another node", v, name, r);
  }
  braid_free(seen);
  return status;
}

static enum braid_status check_closed(const struct braid_plan *plan, const struct braid_graph *graph) {
  for (int v = 0; v < plan->n_nodes; v++) {
    const struct braid_node *node = braid_graph_node(graph, v);
    for (int k = 0; k < node->n_in && plan->site[v] == BRAID_EDGE; k++)
      if (braid_is_node(node->in[k]) && plan->site[node->in[k]] == BRAID_CLOUD)
        return braid_fail(BRAID_EINVAL, "node %d '%s' is on the edge but reads node %d '%s', which is in the cloud%s",
                          v, node->name, node->in[k], braid_graph_node(graph, node->in[k])->name,
                          plan->serial ? "; a serial plan cannot return" : "");
  }
  return BRAID_OK;
}

enum braid_status braid_plan_check(const struct braid_plan *plan, const struct braid_graph *graph, bool closed) {
  BRAID_TRY(check_header(plan, graph));
  BRAID_TRY(check_nodes(plan, graph));
  BRAID_TRY(check_rank(plan, graph));
  /* A serial edge waits for all its tasks before it sends: with a return from the cloud it would wait for ever. */
  if (closed || plan->serial) BRAID_TRY(check_closed(plan, graph));
  return mix_check(plan, graph, closed);
}

/* ---------------------------------------------------------------------------------------------- crossings */

static bool is_wanted_at(const struct braid_graph *graph, const uint8_t *site, int id, enum braid_site deliver,
                         enum braid_site reader) {
  const struct braid_node *node = braid_graph_node(graph, id);
  for (int i = 0; i < node->n_readers; i++)
    if (site[node->reader[i]] == reader) return true;
  return is_delivered(graph, id, deliver, reader);
}

bool site_crosses_up(const struct braid_graph *graph, const uint8_t *site, int id, enum braid_site deliver) {
  return site[id] == BRAID_EDGE && is_wanted_at(graph, site, id, deliver, BRAID_CLOUD);
}

bool site_crosses_down(const struct braid_graph *graph, const uint8_t *site, int id, enum braid_site deliver) {
  return site[id] == BRAID_CLOUD && is_wanted_at(graph, site, id, deliver, BRAID_EDGE);
}

bool braid_plan_crosses_up(const struct braid_plan *plan, const struct braid_graph *graph, int id) {
  return site_crosses_up(graph, plan->site, id, plan->deliver);
}

bool braid_plan_crosses_down(const struct braid_plan *plan, const struct braid_graph *graph, int id) {
  return site_crosses_down(graph, plan->site, id, plan->deliver);
}
