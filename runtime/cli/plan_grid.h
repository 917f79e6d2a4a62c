/* SPDX-License-Identifier: Apache-2.0
 * The grid over which policies are compared (docs/algorithms.md, "What better means here"): networks x rates x ratios
 * of the devices x cloud load x round trip x private or not x objective. Pure but for the clock it is given. */
#ifndef BRAID_CLI_PLAN_GRID_H
#define BRAID_CLI_PLAN_GRID_H

#include "braid/scheduler.h"

#define GRID_POLICIES_MAX 16
#define GRID_POINTS_MAX 16 /* of an axis */

struct grid_cell {
  int net;
  double mbit, ratio, load, rtt_ms;
  bool private_input;
  enum braid_objective objective;
};
/* The points of every axis but the networks'; 1 to GRID_POINTS_MAX each, none twice. */
struct grid_axis {
  int n;
  double at[GRID_POINTS_MAX];
};
struct grid_axes {
  struct grid_axis mbit, ratio, load, rtt_ms;
  struct grid_axis private_input, objective; /* 0 and 1; enum braid_objective */
};
struct grid_axes grid_axes_whole(void);
/* Cells over n networks, in a fixed order: a network's are together. */
int64_t grid_size(const struct grid_axes *axes, int n_nets);
struct grid_cell grid_cell_at(const struct grid_axes *axes, int64_t index);
/* The inverse; -1: the cell is not of this grid. */
int64_t grid_index_of(const struct grid_axes *axes, const struct grid_cell *cell);
/* The i-th cell of a seeded sample: every network has its turn, the rest is drawn. The same cell may come again. */
int64_t grid_sample(const struct grid_axes *axes, int n_nets, uint64_t seed, int64_t i);
/* "googlenet, 5.85 Mbit/s, ratio 10, load 1, rtt 20 ms, private, latency" in buf, which is returned. */
const char *grid_cell_text(const struct grid_cell *cell, const char *net, char *buf, size_t size);

struct grid_net {
  struct braid_graph *graph;
  int64_t *edge_ns, *cloud_ns; /* cloud_ns: written for every cell */
  size_t *wire_bytes;          /* NULL: the tensors' own */
};
/* Edge times of 2 MACs / (gflops * 1e9), or the caller's (copied; NULL for synthetic ones). Takes the graph. */
BRAID_NODISCARD enum braid_status grid_net_create(struct braid_graph *graph, double gflops, const int64_t *edge_ns,
                                                  struct grid_net *out);
void grid_net_free(struct grid_net *net);
struct braid_costs grid_costs(const struct grid_net *net, const struct grid_cell *cell);

/* The policies that send the input as it is, the same in every cell; returns how many. */
int grid_policies(const struct braid_policy *policy[GRID_POLICIES_MAX]);
/* Its index among them; -1: not there. */
int grid_find(const char *policy);
/* Is it a policy of the literature, or a baseline: one that ours are measured against? */
bool grid_is_other(const struct braid_policy *policy);

/* Every policy is asked with the slices its own choice (whole nodes, but for braid) and, if `asks` is GRID_ASKS and not
 * 1, with GRID_SLICES of every node that can be cut. */
enum { GRID_AUTO, GRID_SLICED, GRID_ASKS };
#define GRID_SLICES 8
struct grid_ask {
  int64_t value_ns, decide_ns; /* the objective's, 0: no plan meets the goal; spent in the policy itself */
};
struct grid_result {
  struct grid_cell cell;
  int n, asks; /* policies, questions */
  int64_t bound_ns[GRID_ASKS];
  struct grid_ask ask[GRID_POLICIES_MAX][GRID_ASKS];
  char wrong[240]; /* the first plan that fails its check, breaks the goal or beats the bound; "": none */
};
BRAID_NODISCARD enum braid_status grid_run(const struct grid_net *net, const struct grid_cell *cell, int asks,
                                           const struct braid_clock *clock, struct grid_result *out);
/* The best of the policy's plans; 0: it has none. */
int64_t grid_best_ns(const struct grid_result *result, int policy);
/* None of the subject's plans must be worse than any plan of any other policy. Where one is: the largest ratio of the
 * subject's value to the other's (HUGE_VAL: the subject has no plan), and *policy is that other; else 0. */
double grid_loss(const struct grid_result *result, int subject, int *policy);

/* Forks and joins of about n nodes, for how decisions grow with the graph. */
BRAID_NODISCARD enum braid_status grid_series_parallel(uint64_t seed, int n, struct braid_graph **out);

#endif
