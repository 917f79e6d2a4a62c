/* SPDX-License-Identifier: Apache-2.0
 * edge-only and cloud-only: the two ends every other policy has to beat. Plain cloud-only sends what everybody's plans
 * send (raw uint8 pixels, or what costs->wire_bytes says). Its other two flavours differ in nothing but the bytes of
 * the inputs: the JPEG file of every picture, as much of the literature's "cloud-only" would do, and 4 bytes an
 * element, as much of the literature charges it. */
#include "../internal.h"

/* ------------------------------------------------------------------------------------------ forms of the input */

/* Pictures in [N,C,H,W] or [N,H,W,C]: how many, 0 when it is something else. */
static int pictures(const struct braid_node *node) {
  const struct braid_shape *s = &node->shape;
  if (node->op != BRAID_OP_INPUT || s->rank != 4) return 0;
  bool first = s->dim[1] == 1 || s->dim[1] == 3, last = s->dim[3] == 1 || s->dim[3] == 3;
  return first || last ? s->dim[0] : 0;
}

static size_t input_bytes(const struct braid_node *node, enum braid_input_form form, const struct braid_costs *costs,
                          size_t as_is) {
  if (form == BRAID_INPUT_FP32) return 4 * (size_t)braid_shape_elements(&node->shape);
  int n = pictures(node);
  return n > 0 ? costs->jpeg_bytes * (size_t)n : as_is;
}

static enum braid_status check_jpeg(const struct braid_graph *graph, const struct braid_costs *costs) {
  bool any = false;
  for (int v = 0; v < costs->n_nodes; v++) any |= pictures(braid_graph_node(graph, v)) > 0;
  if (!any) return braid_fail(BRAID_ENOTFOUND, "%s has no input that is a picture", braid_graph_name(graph));
  if (costs->jpeg_bytes == 0)
    return braid_fail(BRAID_ENOTFOUND, "how many bytes a JPEG of the input has is not known (costs.jpeg_bytes, "
                                       "--jpeg-bytes)");
  return BRAID_OK;
}

enum braid_status braid_policy_costs(const struct braid_policy *policy, const struct braid_graph *graph,
                                     const struct braid_costs *costs, size_t *wire, struct braid_costs *out) {
  *out = *costs;
  if (policy->input == BRAID_INPUT_AS_IS) return BRAID_OK;
  if (policy->input == BRAID_INPUT_JPEG) BRAID_TRY(check_jpeg(graph, costs));
  for (int v = 0; v < costs->n_nodes; v++) {
    const struct braid_node *node = braid_graph_node(graph, v);
    wire[v] = cost_tensor_bytes(costs, graph, v);
    if (node->op == BRAID_OP_INPUT) wire[v] = input_bytes(node, policy->input, costs, wire[v]);
  }
  out->wire_bytes = wire;
  return BRAID_OK;
}

/* --------------------------------------------------------------------------------------------------- the ends */

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
    plan->deliver = goal->deliver;
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

static enum braid_status decide_jpeg(const struct braid_graph *graph, const struct braid_costs *costs,
                                     const struct braid_goal *goal, struct braid_plan **out) {
  return decide_end("cloud-only-jpeg", BRAID_CLOUD, graph, costs, goal, out);
}

static enum braid_status decide_fp32(const struct braid_graph *graph, const struct braid_costs *costs,
                                     const struct braid_goal *goal, struct braid_plan **out) {
  return decide_end("cloud-only-fp32", BRAID_CLOUD, graph, costs, goal, out);
}

const struct braid_policy policy_edge_only = {"edge-only", "everything on the edge", "baseline", decide_edge};
const struct braid_policy policy_cloud_only = {"cloud-only", "everything in the cloud, the input travels", "baseline",
                                               decide_cloud};
const struct braid_policy policy_cloud_only_jpeg = {
    "cloud-only-jpeg", "cloud-only with pictures sent as JPEG files: lossy, another answer", "baseline", decide_jpeg,
    BRAID_INPUT_JPEG};
const struct braid_policy policy_cloud_only_fp32 = {
    "cloud-only-fp32", "cloud-only with 4 bytes an element: only to show the literature's number", "baseline",
    decide_fp32, BRAID_INPUT_FP32};
