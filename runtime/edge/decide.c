/* SPDX-License-Identifier: Apache-2.0
 * The plan that the edge proposes: given, or decided by a policy from two profiles and the link. */
#include <string.h>

#include "edge/edge.h"

bool edge_wants_profile(const struct braid_edge *edge) {
  return !edge->given || (edge->opts.profile && edge->given->forecast.latency_ns == 0);
}

/* Measured once: later it would be measured beside frames that run. */
static const struct braid_profile *own_profile(const struct braid_edge *edge) {
  return edge->opts.profile ? edge->opts.profile : edge->profile;
}

static enum braid_status measure(struct braid_edge *edge) {
  const struct braid_edge_opts *opts = &edge->opts;
  braid_log(BRAID_LOG_INFO, "measuring '%s' on this machine", braid_graph_name(edge->graph));
  struct braid_profile_opts p = {
      .cpu_flags = opts->cpu_flags, .choices = opts->choices, .slow = opts->slow, .pin = opts->pin};
  return braid_profile_measure(edge->graph, &p, &edge->profile);
}

/* The emulated device is the one that the profile describes. */
static enum braid_status note_device(struct braid_edge *edge, const struct braid_profile *here) {
  size_t n = (size_t)here->n_nodes;
  edge->emulate_ns = braid_malloc(2 * n * sizeof *edge->emulate_ns);
  if (!edge->emulate_ns) return braid_fail(BRAID_ENOMEM, "no memory for the times of %d nodes", here->n_nodes);
  edge->emulate_slice_ns = edge->emulate_ns + n;
  memcpy(edge->emulate_ns, here->node_ns, n * sizeof *here->node_ns);
  memcpy(edge->emulate_slice_ns, here->slice_ns, n * sizeof *here->slice_ns);
  return BRAID_OK;
}

enum braid_status edge_know_device(struct braid_edge *edge) {
  if (!edge_wants_profile(edge)) return BRAID_OK;
  if (!own_profile(edge)) BRAID_TRY(measure(edge));
  return edge->opts.slow > 1 && !edge->emulate_ns ? note_device(edge, own_profile(edge)) : BRAID_OK;
}

static enum braid_status cloud_profile(const struct braid_edge *edge, const struct line *line,
                                       struct braid_profile **out) {
  BRAID_TRY(braid_profile_from_json(line->welcome, strlen(line->welcome), edge->graph, out));
  if ((*out)->n_nodes == braid_graph_size(edge->graph)) return BRAID_OK;
  braid_profile_destroy(out);
  return braid_fail(BRAID_EPROTO, "the profile is of another network");
}

static struct braid_costs costs_of(const struct braid_edge *edge, const struct line *line,
                                   const struct braid_profile *here, const struct braid_profile *there) {
  return (struct braid_costs){.n_nodes = here->n_nodes,
                              .edge_ns = here->node_ns,
                              .cloud_ns = there->node_ns,
                              .edge_workers = edge->threads,
                              .cloud_workers = line->cloud_workers,
                              .edge_slice_ns = here->slice_ns,
                              .cloud_slice_ns = there->slice_ns,
                              .edge_task_ns = here->task_ns,
                              .cloud_task_ns = there->task_ns};
}

/* Measured when the line was new; later traffic has shown how fast the uplink is. */
static enum braid_status link_costs(struct braid_edge *edge, struct line *line, struct braid_costs *costs) {
  const struct braid_edge_opts *opts = &edge->opts;
  costs->up = line->up.bits_per_s > 0 ? line->up : opts->up;
  costs->down = line->down.bits_per_s > 0 ? line->down : opts->down;
  bool again = line->up.bits_per_s > 0;
  BRAID_TRY(edge_probe(edge, line, &costs->up, &costs->down));
  line->up = costs->up;
  line->down = costs->down;
  struct braid_edge_stats stats;
  braid_edge_stats(edge, &stats);
  if (again && opts->up.bits_per_s <= 0 && stats.rate_bits_per_s > 0) costs->up.bits_per_s = stats.rate_bits_per_s;
  return BRAID_OK;
}

/* Decides, or forecasts a plan that was given without one. */
static enum braid_status plan_with(struct braid_edge *edge, struct line *line, const struct braid_profile *here,
                                   const struct braid_profile *there, struct braid_plan **plan) {
  const struct braid_edge_opts *opts = &edge->opts;
  struct braid_costs costs = costs_of(edge, line, here, there);
  BRAID_TRY(link_costs(edge, line, &costs));
  edge_sight_costs(edge, &costs);
  if (*plan) return braid_plan_forecast(*plan, edge->graph, &costs, &opts->goal);
  const struct braid_policy *policy = opts->policy ? opts->policy : braid_policy_find("braid");
  if (!policy) return braid_fail(BRAID_ENOTFOUND, "there is no policy 'braid' in this build; name another");
  if (policy->input != BRAID_INPUT_AS_IS)
    return braid_fail(BRAID_EUNSUPPORTED, "%s is for forecasts only: a session sends its inputs as they are",
                      policy->name);
  if (opts->adapt) return edge_adapt_begin(edge, &costs, policy, plan);
  return braid_decide(policy, edge->graph, &costs, &opts->goal, plan);
}

static enum braid_status plan_from_profiles(struct braid_edge *edge, struct line *line, struct braid_plan **plan) {
  struct braid_profile *there = NULL;
  enum braid_status status = cloud_profile(edge, line, &there);
  if (status != BRAID_OK) return braid_fail_in(status, "profile from cloud %s", line->address);
  status = edge_know_device(edge);
  if (status == BRAID_OK) status = plan_with(edge, line, own_profile(edge), there, plan);
  braid_profile_destroy(&there);
  return status;
}

enum braid_status edge_decide(struct braid_edge *edge, struct line *line, const struct braid_plan *given,
                              struct braid_plan **out) {
  struct braid_plan *plan = NULL;
  enum braid_status status = BRAID_OK;
  if (given) {
    BRAID_TRY(braid_plan_check(given, edge->graph, false));
    BRAID_TRY(braid_plan_copy(given, &plan));
  }
  if (*line->welcome) status = plan_from_profiles(edge, line, &plan); /* else it was not asked for */
  if (status == BRAID_OK && !plan)
    status = braid_fail(BRAID_EINVAL, "without profiles nothing can be decided: give a plan");
  if (status != BRAID_OK) {
    braid_plan_destroy(&plan);
    return status;
  }
  *out = plan;
  return BRAID_OK;
}
