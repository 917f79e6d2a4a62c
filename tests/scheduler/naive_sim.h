/* SPDX-License-Identifier: Apache-2.0
 * What braid_simulate should say, found the slow way: after every instant all work of all frames is looked through for
 * what may start. No heaps, no compiled plan, no counters that could go astray; costs are worked out again from
 * braid_costs. Written from the rules in braid/scheduler.h and algorithms.md, not from simulate.c. */
#ifndef TESTS_SCHEDULER_NAIVE_SIM_H
#define TESTS_SCHEDULER_NAIVE_SIM_H

#include "braid/scheduler.h"

struct naive_result {
  struct braid_sim_result sum; /* period_ns only of plans without a mix */
  struct braid_span *span;     /* [n_spans] by begin; lane is 0 */
  int n_spans;
};

/* Rates must divide a ns evenly (multiples of 1e9 bit/s where they change): then both sides are exact. False where the
 * plan waits for itself. */
bool naive_simulate(const struct braid_plan *plan, const struct braid_graph *graph, const struct braid_costs *costs,
                    const struct braid_sim_opts *opts, struct naive_result *out);
void naive_free(struct naive_result *result);

#endif
