/* SPDX-License-Identifier: Apache-2.0
 * Frames over a link whose rate follows a trace (both ways), simulated one by one: with one plan for all, with
 * adaptation, and with the best plan of a set for each, which only an oracle knows. */
#ifndef BRAID_CLI_REPLAY_H
#define BRAID_CLI_REPLAY_H

#include "trace.h"

struct replay {
  const struct braid_graph *graph;
  struct braid_costs costs; /* the rate is the trace's */
  const struct trace *trace;
  int64_t period_ns;            /* a frame arrives every so often; 0: when the one before has been answered */
  struct braid_rate_step *step; /* [2 * trace->n + 2] the trace as a frame sees it */
};
struct replay_run {
  int n, room;
  double *latency_ms; /* [n] from arrival to answer: waiting for the frame before is part of it */
  double *at_s;       /* [n] of the arrival */
  double mean_ms, p50_ms, p99_ms;
  int switches, bridged, policy_calls;
};
void replay_run_free(struct replay_run *run);

/* The trace and the graph must outlive it. */
BRAID_NODISCARD enum braid_status replay_open(const struct braid_graph *graph, const struct braid_costs *costs,
                                              const struct trace *trace, double fps, struct replay *out);
void replay_close(struct replay *replay);

BRAID_NODISCARD enum braid_status replay_static(const struct replay *replay, const struct braid_plan *plan,
                                                struct replay_run *out);
BRAID_NODISCARD enum braid_status replay_oracle(const struct replay *replay, struct braid_plan *const *plan, int n,
                                                struct replay_run *out);
/* What the edge's planner could know and do: it looks every 100 ms; rates come from the frames' own transfers and,
 * while nothing is sent, from probes of 8 KiB twice a second, which occupy the link; a new plan is in force when the
 * message that names it has reached the cloud and come back. bridge > 0: a frame that takes longer than `bridge` times
 * its forecast is also computed on the edge, which has been idle since its own part, from the tensors it still holds;
 * the first answer counts. */
BRAID_NODISCARD enum braid_status replay_adaptive(const struct replay *replay, const struct braid_policy *policy,
                                                  double bridge, struct replay_run *out);

#endif
