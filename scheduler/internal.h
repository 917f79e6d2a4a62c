/* SPDX-License-Identifier: Apache-2.0
 * What the files of the scheduler share. */
#ifndef SCHEDULER_INTERNAL_H
#define SCHEDULER_INTERNAL_H

#include "braid/scheduler.h"

/* Longest time of a node that is believed (2.8 hours), and of a whole frame on all resources together (28 hours):
 * sums over 10^5 frames then stay far inside int64. */
#define COST_NODE_NS_MAX INT64_C(10000000000000)
#define COST_FRAME_NS_MAX INT64_C(100000000000000)
/* "Never": larger than any sum of believed times, small enough to be added to itself a few times. */
#define COST_NEVER (INT64_MAX / 8)

/* ------------------------------------------------------------------------------------------- plan, profile */

bool site_read_from(const struct braid_graph *graph, const uint8_t *site, int id, enum braid_site reader);
bool site_crosses_up(const struct braid_graph *graph, const uint8_t *site, int id);
bool site_crosses_down(const struct braid_graph *graph, const uint8_t *site, int id);
BRAID_NODISCARD enum braid_status profile_alloc(const char *model, const char *machine, int n_nodes,
                                                struct braid_profile **out);
/* min(slices, what each node allows); inputs stay whole. */
void plan_set_slices(struct braid_plan *plan, const struct braid_graph *graph, int slices);

/* ---------------------------------------------------------------------------------------------- cost model
 * One place that says how long anything takes (costs.c). */

/* Every number believable, everything long enough; the rest of the scheduler then trusts the costs. */
BRAID_NODISCARD enum braid_status costs_check(const struct braid_costs *costs, const struct braid_graph *graph);
int cost_workers(const struct braid_costs *costs, enum braid_site site);
/* One worker's time for the whole node, cloud load included, without the overhead per task. */
int64_t cost_node_ns(const struct braid_costs *costs, enum braid_site site, int id);
/* The share of `band` of `total` that `rows` rows have: consecutive bands add up exactly. */
int64_t cost_share(int64_t total, struct braid_band band, int rows);
int64_t cost_task_ns(const struct braid_costs *costs, const struct braid_graph *graph, enum braid_site site, int id,
                     struct braid_band band);
size_t cost_tensor_bytes(const struct braid_costs *costs, const struct braid_graph *graph, int id);
size_t cost_band_bytes(const struct braid_costs *costs, const struct braid_graph *graph, int id,
                       struct braid_band band);
/* Rows of a message of tensor `id`: big bands travel as messages of at most 32 KiB (but at least one row), so that a
 * more urgent tensor never waits long for the wire. */
int cost_message_rows(const struct braid_costs *costs, const struct braid_graph *graph, int id);
int64_t cost_message_ns(const struct braid_link_cost *link, size_t bytes);
/* Time on the wire of a band handed over at once. */
int64_t cost_send_ns(const struct braid_costs *costs, const struct braid_graph *graph,
                     const struct braid_link_cost *link, int id, struct braid_band band);

/* ----------------------------------------------------------------------------------------------- simulator */

/* braid_simulate without its checks, for policies that score plans they have just made. */
BRAID_NODISCARD enum braid_status sim_run(const struct braid_plan *plan, const struct braid_graph *graph,
                                          const struct braid_costs *costs, const struct braid_sim_opts *opts,
                                          struct braid_sim_result *result);

#endif
