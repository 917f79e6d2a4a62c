/* SPDX-License-Identifier: Apache-2.0
 * edge-only and cloud-only: the two ends every other policy has to beat. What of the input travels is what
 * costs->wire_bytes says (raw uint8 pixels unless the caller has a JPEG or wants fp32). */
#include "../internal.h"

static enum braid_status decide_end(const char *name, enum braid_site end, const struct braid_graph *graph,
                                    const struct braid_costs *costs, const struct braid_goal *goal,
                                    struct braid_plan **out) {
  struct stages *st = NULL;
  struct braid_plan *plan = NULL;
  BRAID_TRY(stages_create(graph, costs, goal, &st));
  enum braid_status status = braid_plan_create(graph, name, &plan);
  if (status == BRAID_OK) {
    plan->serial = true;
    plan->objective = goal->objective;
    plan_set_slices(plan, graph, goal->slices);
    for (int v = 0; v < st->n; v++)
      plan->site[v] = braid_graph_node(graph, v)->op == BRAID_OP_INPUT ? BRAID_EDGE : (uint8_t)end;
    status = stages_admit(st, plan->site);
  }
  stages_destroy(&st);
  if (status != BRAID_OK)
    braid_plan_destroy(&plan);
  else
    *out = plan;
  return status;
}

static enum braid_status decide_edge(const struct braid_graph *graph, const struct braid_costs *costs,
                                     const struct braid_goal *goal, struct braid_plan **out) {
  return decide_end("edge-only", BRAID_EDGE, graph, costs, goal, out);
}

static enum braid_status decide_cloud(const struct braid_graph *graph, const struct braid_costs *costs,
                                      const struct braid_goal *goal, struct braid_plan **out) {
  return decide_end("cloud-only", BRAID_CLOUD, graph, costs, goal, out);
}

const struct braid_policy policy_edge_only = {"edge-only", "everything on the edge", "baseline", decide_edge};
const struct braid_policy policy_cloud_only = {"cloud-only", "everything in the cloud, the input travels", "baseline",
                                               decide_cloud};
