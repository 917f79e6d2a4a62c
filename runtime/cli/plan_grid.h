/* SPDX-License-Identifier: Apache-2.0
 * The grid over which policies are compared (docs/algorithms.md, "What better means here"): networks x rates x ratios
 * of the devices x cloud load x round trip x private or not x objective. Pure but for the clock it is given. */
#ifndef BRAID_CLI_PLAN_GRID_H
#define BRAID_CLI_PLAN_GRID_H

#include "braid/scheduler.h"

#define GRID_POLICIES_MAX 32

struct grid_cell {
  int net;
  double mbit, ratio, load;
  int64_t rtt_ns;
  bool private_input;
  enum braid_objective objective;
};
/* Cells of the whole grid over n networks, in a fixed order. */
int64_t grid_size(int n_nets);
struct grid_cell grid_cell_at(int64_t index);

struct grid_net {
  struct braid_graph *graph;
  int64_t *edge_ns, *cloud_ns; /* cloud_ns: written for every cell */
};
/* Edge times of 2 MACs / (gflops * 1e9), or the caller's (copied; NULL for synthetic ones). Takes the graph. */
BRAID_NODISCARD enum braid_status grid_net_create(struct braid_graph *graph, double gflops, const int64_t *edge_ns,
                                                  struct grid_net *out);
void grid_net_free(struct grid_net *net);
struct braid_costs grid_costs(const struct grid_net *net, const struct grid_cell *cell);

struct grid_row {
  bool found;                  /* false: no plan meets the goal */
  int64_t value_ns, decide_ns; /* the objective's; spent in the policy itself, without the forecast */
};
struct grid_result {
  struct grid_cell cell;
  int64_t bound_ns;
  int n;
  const struct braid_policy *policy[GRID_POLICIES_MAX]; /* those that send the input as it is */
  struct grid_row row[GRID_POLICIES_MAX];
};
/* Every policy with whole nodes and (if `slices` > 1) with slices, the better of both. */
BRAID_NODISCARD enum braid_status grid_run(const struct grid_net *net, const struct grid_cell *cell, int slices,
                                           const struct braid_clock *clock, struct grid_result *out);
/* Index of the policy in the result; -1: not there. */
int grid_find(const struct grid_result *result, const char *policy);
/* Is it a policy of the literature, or a baseline: one that ours are measured against? */
bool grid_is_other(const struct braid_policy *policy);

/* Nested forks and joins of about n nodes with times and bytes from a seed, for how decisions grow with the graph. */
BRAID_NODISCARD enum braid_status grid_series_parallel(uint64_t seed, int n, struct braid_graph **out);

#endif
