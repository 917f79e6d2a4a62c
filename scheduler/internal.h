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

static inline int64_t max_ns(int64_t a, int64_t b) {
  return a > b ? a : b;
}

/* Most slices of a node when goal.slices leaves it to the policy. */
#define SLICES_AUTO 32
/* What braid then asks the other policies for, whose own choice are whole nodes. */
#define SLICES_SEED 8

/* ------------------------------------------------------------------------------------------- plan, profile */

/* Who wants the results is a reader of every graph output that is no node: at `deliver`, wherever the nodes are. All
 * that follows from where results are wanted follows from this. */
static inline bool is_delivered(const struct braid_graph *graph, int id, enum braid_site deliver,
                                enum braid_site reader) {
  return deliver == reader && braid_graph_node(graph, id)->is_output;
}
bool site_crosses_up(const struct braid_graph *graph, const uint8_t *site, int id, enum braid_site deliver);
bool site_crosses_down(const struct braid_graph *graph, const uint8_t *site, int id, enum braid_site deliver);
BRAID_NODISCARD enum braid_status profile_alloc(const char *model, const char *machine, int n_nodes,
                                                struct braid_profile **out);
/* The parts of a mix: each a plan that passes the check, weights above 0 that sum to 1. */
BRAID_NODISCARD enum braid_status mix_check(const struct braid_plan *plan, const struct braid_graph *graph,
                                            bool closed);
/* To multiples of 1e-9 that sum to 1: digits that a plan file keeps, so what is read back deals the same frames. */
void mix_round_weights(struct braid_plan *plan);
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

/* No way of sending the band, in however many pieces, occupies the link for less. */
int64_t cost_send_least_ns(const struct braid_costs *costs, const struct braid_graph *graph,
                           const struct braid_link_cost *link, int id, struct braid_band band);

/* ------------------------------------------------------------------------------------------------- stages
 * The cost model reduced to what cuts are chosen by: four numbers a node, which simply add up (stages.c). */

struct stages {
  const struct braid_graph *graph;
  const struct braid_costs *costs;
  const struct braid_goal *goal;
  int n;
  int64_t *work[2];   /* by site: e(v), c(v) with overheads, one worker */
  int64_t *time[2];   /* the same, divided by what several workers gain on this network when it runs alone */
  int64_t *up, *down; /* on the wire; up is COST_NEVER where the tensor must not leave the edge */
  size_t *memory;     /* bytes on the edge */
  bool *pinned; /* must be on the edge: inputs, under private_input all that reads a private tensor, goal->pinned */
  bool *away;   /* must be in the cloud: goal->pinned */
};
struct stage_sums {
  int64_t work[2], time[2], up, down;
  size_t memory;
  bool crosses_up, crosses_down, allowed; /* allowed: nothing pinned on the wrong side, nothing private on the wire */
};
/* BRAID_ENOTFOUND where the goal's constraints contradict each other whatever the plan. */
BRAID_NODISCARD enum braid_status stages_create(const struct braid_graph *graph, const struct braid_costs *costs,
                                                const struct braid_goal *goal, struct stages **out);
/* For policies whose edge sets are closed: BRAID_ENOTFOUND naming the two nodes, if one that must be on the edge has an
 * ancestor that must be in the cloud. */
BRAID_NODISCARD enum braid_status stages_check_closed(const struct stages *stages);
void stages_destroy(struct stages **stages);
void stages_sum(const struct stages *stages, const uint8_t *site, struct stage_sums *sums);
/* E + U + L + C + D + L, and max(E, U, C, D) over the workers; COST_NEVER when the goal forbids the cut. */
int64_t stages_latency_ns(const struct stages *stages, const struct stage_sums *sums);
int64_t stages_period_ns(const struct stages *stages, const struct stage_sums *sums);
/* The one the goal asks for; for throughput COST_NEVER when the serial latency is above the goal's ceiling. */
int64_t stages_value_ns(const struct stages *stages, const struct stage_sums *sums);
/* What the goal demands, for the messages of those that cannot give it: "private input, pinned nodes, ...". */
#define GOAL_TEXT_MAX 192
const char *goal_text(const struct braid_goal *goal, char *buf, size_t size);
/* For the end of such messages: the latency ceiling, where it decides between cuts. */
const char *stages_ceiling_text(const struct stages *stages);
/* BRAID_OK, or BRAID_ENOTFOUND with the constraint that a plan with these sites breaks. */
BRAID_NODISCARD enum braid_status stages_admit(const struct stages *stages, const uint8_t *site);
/* A plan with these sites, the goal's objective, slices and place of delivery, ranks by id. */
BRAID_NODISCARD enum braid_status stages_plan(const struct stages *stages, const char *policy, const uint8_t *site,
                                              bool serial, struct braid_plan **out);
/* The whole decide() of a policy that is one serial cut. */
typedef enum braid_status stages_cut_fn(const struct stages *stages, uint8_t *site);
BRAID_NODISCARD enum braid_status stages_decide(const char *policy, stages_cut_fn *cut, const struct braid_graph *graph,
                                                const struct braid_costs *costs, const struct braid_goal *goal,
                                                struct braid_plan **out);
/* Is this tensor the input itself under another shape or scale? */
bool is_private_tensor(const struct braid_graph *graph, int id);
/* Does the goal pin the node to this site? */
bool goal_pins(const struct braid_goal *goal, int id, enum braid_site site);

/* ----------------------------------------------------------------------------------------------- simulator */

/* For those who simulate many plans of one network under the same costs, which it borrows: memory, and what nodes in so
 * many slices look like, are kept from run to run. One thread at a time. */
struct simulator;
BRAID_NODISCARD enum braid_status simulator_create(const struct braid_graph *graph, const struct braid_costs *costs,
                                                   struct simulator **out);
void simulator_destroy(struct simulator **simulator);
/* braid_simulate without its checks, for policies that score plans they have just made. */
BRAID_NODISCARD enum braid_status simulator_run(struct simulator *simulator, const struct braid_plan *plan,
                                                const struct braid_sim_opts *opts, struct braid_sim_result *result);
/* The latency of one frame alone, COST_NEVER when it is not below limit_ns: then the run ends as soon as what is left
 * shows it. */
BRAID_NODISCARD enum braid_status simulator_latency(struct simulator *simulator, const struct braid_plan *plan,
                                                    int64_t limit_ns, int64_t *ns);
/* simulator_run for a single plan. */
BRAID_NODISCARD enum braid_status sim_run(const struct braid_plan *plan, const struct braid_graph *graph,
                                          const struct braid_costs *costs, const struct braid_sim_opts *opts,
                                          struct braid_sim_result *result);

/* braid_plan_forecast without checks and bounds; chooses plan->window, and says what the goal's objective comes to:
 * COST_NEVER for throughput when the latency is above the goal's ceiling. */
BRAID_NODISCARD enum braid_status forecast_run(struct braid_plan *plan, const struct braid_graph *graph,
                                               const struct braid_costs *costs, const struct braid_goal *goal,
                                               int64_t *value_ns);

/* The time per frame of the plan's busiest resource: its period is no smaller, and forecast_run simulates longer. */
BRAID_NODISCARD enum braid_status forecast_busiest(struct braid_plan *plan, const struct braid_graph *graph,
                                                   const struct braid_costs *costs, int64_t *busiest_ns);

/* ------------------------------------------------------------------------------------------------ policies */

extern const struct braid_policy policy_edge_only, policy_cloud_only, policy_neurosurgeon, policy_dads, policy_decc;
extern const struct braid_policy policy_qdmp, policy_dsc, policy_cic, policy_jps;
extern const struct braid_policy policy_cloud_only_jpeg, policy_cloud_only_fp32;
extern const struct braid_policy policy_heft, policy_exact, policy_braid;

/* The optimal mix (policies/braid_throughput.c), never worse than another policy's plan; ignores goal->objective. */
BRAID_NODISCARD enum braid_status braid_throughput_decide(const struct braid_graph *graph,
                                                          const struct braid_costs *costs,
                                                          const struct braid_goal *goal, struct braid_plan **out);

/* The cuts other policies start from. BRAID_ENOTFOUND: the goal cannot be met (so). */
stages_cut_fn neurosurgeon_cut, dads_cut, qdmp_cut, dsc_cut, cic_cut;

#endif
