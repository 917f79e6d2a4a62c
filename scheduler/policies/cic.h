/* SPDX-License-Identifier: Apache-2.0
 * The reduced graph of cic: built offline for a range of cloud loads, looked up for a rate and a load. */
#ifndef SCHEDULER_CIC_H
#define SCHEDULER_CIC_H

#include "../region.h"

#define CIC_SPANS 16
struct cic {
  int n_nodes, n_seen; /* candidates before the last reduction */
  int n_cuts;
  struct braid_cut *cut; /* by ascending bytes */
  double load_min, load_max;
  int *in_span, first_in_span[CIC_SPANS + 1]; /* cuts worth looking at in each part of the range of loads */
};
/* For loads in [load_min, load_max] of the cloud; costs->cloud_load plays no part. BRAID_ENOTFOUND: no candidate keeps
 * the goal. */
BRAID_NODISCARD enum braid_status cic_build(const struct braid_graph *graph, const struct braid_costs *costs,
                                            const struct braid_goal *goal, double load_min, double load_max,
                                            struct cic **out);
/* Fills in_span. */
BRAID_NODISCARD enum braid_status cic_divide(struct cic *cic);
void cic_destroy(struct cic **cic);
/* The best survivor. A load outside of the range is taken for its nearer end's neighbourhood: the answer is a good cut,
 * but another may be better. */
int cic_find(const struct cic *cic, double bits_per_s, double load);

/* The candidate with the smallest period. */
BRAID_NODISCARD enum braid_status cic_best_period(const struct stages *stages, uint8_t *site);

#endif
