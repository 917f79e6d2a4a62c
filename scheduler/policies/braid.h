/* SPDX-License-Identifier: Apache-2.0
 * The parts of braid's latency mode. */
#ifndef SCHEDULER_POLICIES_BRAID_H
#define SCHEDULER_POLICIES_BRAID_H

#include "../internal.h"

/* What has been found, and what may still be spent on finding more: simulated tasks, so that equal input gives an equal
 * plan however fast the machine is. */
struct braid_hunt {
  const struct stages *st; /* whole nodes: with slices everything takes as long or longer in sum */
  struct simulator *simulator;
  int slices_max; /* per node; 1: whole nodes only */
  struct braid_plan *best;
  int64_t best_ns;
  int64_t tasks, tasks_max;
};

/* Simulates `plan`, which becomes the best if it is better. *ns (may be NULL): its latency; COST_NEVER when the goal
 * forbids it, when it is not below limit_ns, or when the busiest resource alone shows that it is not the best. */
BRAID_NODISCARD enum braid_status braid_try(struct braid_hunt *h, const struct braid_plan *plan, int64_t limit_ns,
                                            int64_t *ns);
bool braid_spent(const struct braid_hunt *h);

/* Finds slice counts for the sites and ranks of `plan`, near the cut first (braid_slices.c). */
BRAID_NODISCARD enum braid_status braid_tune_slices(struct braid_hunt *h, const struct braid_plan *plan);
/* One trial, depth-first with `count` slices (a power of two) wherever possible: what streaming is worth here. *ns as
 * by braid_try. */
BRAID_NODISCARD enum braid_status braid_try_streamed(struct braid_hunt *h, const struct braid_plan *plan, int count,
                                                     int64_t limit_ns, int64_t *ns);
/* Moves nodes and branch prefixes across the cut, starting from `plan`, which takes `ns` (braid_moves.c). */
BRAID_NODISCARD enum braid_status braid_climb(struct braid_hunt *h, const struct braid_plan *plan, int64_t ns);
/* Calls `seen` with every prefix of the topological order, and the sum of its stages and the largest of them. */
BRAID_NODISCARD enum braid_status
braid_prefixes(const struct stages *st, void (*seen)(void *ctx, int n_edge, int64_t serial_ns, int64_t busiest_ns),
               void *ctx);

#endif
