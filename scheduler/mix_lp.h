/* SPDX-License-Identifier: Apache-2.0
 * The best mix of cuts for throughput, with its certificate. */
#ifndef SCHEDULER_MIX_LP_H
#define SCHEDULER_MIX_LP_H

#include "cut.h"

#define MIX_PARTS 4    /* at most as many cuts as rows carry weight: edge, uplink, cloud, downlink */
#define MIX_COLUMNS 64 /* cuts that are ever generated; a dozen is usual */

struct mix_problem {
  const struct braid_graph *graph;
  const struct cut_costs *costs;
  int64_t capacity[4]; /* by resource: workers, 1 for links */
  bool closed;         /* only closed cuts; else tensors may return to the edge as well */
  /* Cuts that may be used; NULL: all. Pricing does not know it: when the cheapest cut is refused, the same prices are
   * tried again with `penalty_ns` [n] (NULL: none) added more and more to the edge, and with the whole journey of a
   * frame weighing more and more. */
  bool (*admits)(const void *ctx, const uint8_t *site);
  const void *ctx;
  const int64_t *penalty_ns;
};
struct mix_solution {
  int n_parts;
  double weight[MIX_PARTS]; /* of frames, descending, sum 1 */
  uint8_t *site[MIX_PARTS]; /* [n] each */
  double period_ns;         /* of the mix */
  /* No cut and no mix of cuts of the family, admitted or not, has a smaller period: min over S of sum m_R Work_R(S) /
   * sum m_R capacity_R with these integer prices. Valid whenever the search stops. */
  int64_t bound_ns;
  int64_t price[4];
  int rounds;
  uint8_t *sites; /* what site[] points into */
};
/* BRAID_ENOTFOUND: no admitted cut was found; *out is set all the same, for its bound. */
BRAID_NODISCARD enum braid_status mix_lp_solve(const struct mix_problem *problem, struct mix_solution **out);
void mix_lp_free(struct mix_solution **solution);
/* Bytes on the edge as times, so that the penalty on them can outweigh any time. *out [n] is freed by braid_free; NULL
 * where the goal has no limit. */
BRAID_NODISCARD enum braid_status mix_price_memory(const struct stages *stages, int64_t **out);

#endif
