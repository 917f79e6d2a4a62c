/* SPDX-License-Identifier: Apache-2.0
 * The world as adaptation sees it: filtered observations, and the costs that follow from them. */
#ifndef SCHEDULER_ADAPT_COSTS_H
#define SCHEDULER_ADAPT_COSTS_H

#include "internal.h"

enum { EST_UP, EST_DOWN, EST_RTT, EST_EDGE, EST_LOAD, ESTIMATES };

struct estimate {
  double value;
  int64_t at_ns; /* of the last sample */
};

struct world {
  const struct braid_graph *graph;
  struct braid_costs base;
  int64_t *base_ns[2], *slice_ns[2]; /* [n_nodes] copies; slice_ns NULL: none */
  size_t *wire_bytes;                /* NULL: none */
  int64_t *edge_ns, *edge_slice_ns;  /* [n_nodes] of the costs handed out last */
  double least_rate;                 /* a slower link is clamped to it: the costs would be beyond belief */
  struct estimate estimate[ESTIMATES];
};

BRAID_NODISCARD enum braid_status world_open(struct world *world, const struct braid_graph *graph,
                                             const struct braid_costs *costs);
void world_close(struct world *world);
BRAID_NODISCARD enum braid_status world_observe(struct world *world, int64_t now_ns,
                                                const struct braid_observation *seen);

/* Conditions on a grid of powers of 2^(1/4) (rates), 2^(1/2) (the rest): plans are remembered by it. */
struct bucket {
  int8_t step[ESTIMATES];
};
struct bucket world_bucket(const struct world *world);
/* Costs under the estimates, or in the middle of a bucket; valid until the next call. */
struct braid_costs world_costs(struct world *world);
struct braid_costs world_bucket_costs(struct world *world, struct bucket bucket);

#endif
