/* SPDX-License-Identifier: Apache-2.0
 * Minimum cuts of a network between edge and cloud. */
#ifndef SCHEDULER_CUT_H
#define SCHEDULER_CUT_H

#include "internal.h"

/* The four additive costs of every node, what each counts, and the nodes that may not move. */
struct cut_costs {
  const int64_t *edge, *cloud, *up, *down; /* [n]; COST_NEVER in `up` forbids */
  const bool *pinned, *away;               /* must be on the edge, must be in the cloud (may be NULL: none) */
  enum braid_site deliver;                 /* where the results are wanted */
};
/* Multipliers. The largest of them times all costs together must stay below COST_NEVER / 8. */
struct cut_weights {
  int64_t edge, up, cloud, down;
};

struct cutter;

/* `closed`: no tensor returns to the edge but results wanted there. Otherwise returns are charged like results. */
BRAID_NODISCARD enum braid_status cutter_create(const struct braid_graph *graph, bool closed, struct cutter **out);
void cutter_destroy(struct cutter **cutter);
/* min over S of w.edge E(S) + w.up U(S) + w.cloud C(S) + w.down D(S), and (unless NULL) the smallest S that attains it;
 * COST_NEVER (and any S) when every S breaks a constraint. */
int64_t cutter_run(struct cutter *cutter, const struct cut_costs *costs, struct cut_weights weights, uint8_t *site);

/* Work of every resource under a cut, by enum braid_resource. */
void cut_work(const struct braid_graph *graph, const struct cut_costs *costs, const uint8_t *site, int64_t work[4]);

/* The game between weights and cuts: for any weights m >= 0 on the resources (of `capacity` workers each),
 *   max over R of Work_R(S) / capacity_R + offset_R  >=  (sum m_R Work_R(S) + m_R capacity_R offset_R) / sum m_R
 * capacity_R, so each minimum cut gives a lower bound for all S at once. Weights follow the busiest resource. Returns
 * the best bound, COST_NEVER when every S breaks a constraint. */
#define CUT_ROUNDS 20
int64_t cutter_play(struct cutter *cutter, const struct cut_costs *costs, const int64_t capacity[4],
                    const int64_t offset_ns[4], uint8_t *site /* [n] scratch */);

#endif
