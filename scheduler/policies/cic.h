/* SPDX-License-Identifier: Apache-2.0
 * The reduced graph of cic: built offline for a range of cloud loads, looked up for a rate and a load. */
#ifndef SCHEDULER_CIC_H
#define SCHEDULER_CIC_H

#include "../region.h"

struct cic {
  int n_nodes, n_seen; /* candidates before the last reduction */
  int n_cuts;
  struct braid_cut *cut;
};
/* For loads in [load_min, load_max] of the cloud; costs->cloud_load plays no part. BRAID_ENOTFOUND: no candidate keeps
 * the goal. */
BRAID_NODISCARD enum braid_status cic_build(const struct braid_graph *graph, const struct braid_costs *costs,
                                            const struct braid_goal *goal, double load_min, double load_max,
                                            struct cic **out);
void cic_destroy(struct cic **cic);
/* The best survivor; O(survivors). */
int cic_find(const struct cic *cic, double bits_per_s, double load);

#endif
