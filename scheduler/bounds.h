/* SPDX-License-Identifier: Apache-2.0
 * The parts of the lower bounds. */
#ifndef SCHEDULER_BOUNDS_H
#define SCHEDULER_BOUNDS_H

#include "cut.h"

int bound_rows(const struct braid_graph *graph, int id);
int64_t bound_slice_ns(const struct braid_graph *graph, const struct braid_costs *costs, enum braid_site site, int id,
                       int slices);
/* Rows of every tensor that some needed row of a result is computed from. */
BRAID_NODISCARD enum braid_status bound_needed_rows(const struct braid_graph *graph, int slices, int *needed);
/* The longest chain of tasks and transfers, each node at the better site; `cloud` false: all on the edge. */
BRAID_NODISCARD enum braid_status bound_path_ns(const struct braid_graph *graph, const struct braid_costs *costs,
                                                const struct braid_goal *goal, bool cloud, int64_t *ns);

#endif
