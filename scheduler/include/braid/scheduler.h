/* SPDX-License-Identifier: Apache-2.0
 *
 * braid/scheduler.h: costs in, plans out. Pure: no I/O, no threads, no clock (decision times are measured by the
 * caller). Equal input, equal plan.
 *
 * Notation (docs/algorithms.md): e(v), c(v) time of node v on edge / cloud, d(v) bytes of its tensor on the wire, S the
 * set of nodes on the edge. INPUT nodes are always on the edge and cost nothing.
 */
#ifndef BRAID_SCHEDULER_H
#define BRAID_SCHEDULER_H

#include "braid/base.h"
#include "braid/models.h"

#pragma GCC visibility push(default)
BRAID_BEGIN_DECLS

enum braid_site { BRAID_EDGE, BRAID_CLOUD };
enum braid_objective { BRAID_LATENCY, BRAID_THROUGHPUT };
enum braid_resource { BRAID_RES_EDGE, BRAID_RES_UP, BRAID_RES_CLOUD, BRAID_RES_DOWN };

/* One direction of the link. A message of b bytes occupies the link for message_ns + 8 b / bits_per_s and arrives
 * delay_ns after it has left. */
struct braid_link_cost {
  double bits_per_s;
  int64_t delay_ns, message_ns;
};

struct braid_costs {
  int n_nodes;
  const int64_t *edge_ns, *cloud_ns; /* [n_nodes]; one worker's time for the whole node */
  int edge_workers, cloud_workers;
  int64_t edge_task_ns, cloud_task_ns; /* overhead added to every task (node, slice) */
  struct braid_link_cost up, down;
  const size_t *wire_bytes; /* [n_nodes] d(v); NULL: the tensor's own bytes */
  double cloud_load;        /* cloud times are multiplied by this; 0 means 1 */
  size_t jpeg_bytes;        /* of one INPUT picture as a JPEG file, for policies that send it so; 0: not known */
  /* [n_nodes] what each slice of a node that is cut into several takes beyond its share of rows; NULL: nothing. */
  const int64_t *edge_slice_ns, *cloud_slice_ns;
};

struct braid_goal {
  enum braid_objective objective;
  /* No INPUT tensor may leave the edge, nor the same picture after NORMALIZE, RESHAPE, CAST, TRANSPOSE, PAD, SLICE,
   * QUANTIZE_LINEAR or DEQUANTIZE_LINEAR: whatever reads one stays on the edge. */
  bool private_input;
  size_t edge_memory;     /* limit on the sum of weights and tensors of all edge nodes, bytes; 0: none */
  /* Most slices of a node. 0: the policy chooses (braid: what pays; the others: whole nodes). Policies other than braid
   * cut every sliceable node into as many. */
  int slices;
  int window;             /* frames in flight for the throughput forecast; 0: chosen from latency/period */
  int64_t latency_max_ns; /* ceiling on forecast.latency_ns (of every part of a mix), whatever the objective; 0: none */
  /* [n_nodes] an enum braid_site for nodes that must run there, -1 for free ones; NULL: all free. Under policies whose
   * edge sets are closed, a node on the edge pulls its ancestors there, one in the cloud pushes its descendants. */
  const int8_t *pinned;
  /* Where the network's results are wanted: they travel unless they are computed there, and a frame is over when all of
   * them are there. BRAID_CLOUD: policies that know only the way home refuse with BRAID_EUNSUPPORTED. */
  enum braid_site deliver;
};

/* What a plan is expected to do. Filled by braid_plan_forecast from the timeline simulator. */
struct braid_forecast {
  int64_t latency_ns;                        /* one frame alone, until the last output is where it is wanted */
  int64_t period_ns;                         /* steady-state time between results with `window` frames in flight */
  int64_t edge_ns, up_ns, cloud_ns, down_ns; /* busy time per frame of each resource (work / workers) */
  size_t up_bytes, down_bytes;
  int64_t bound_ns; /* no plan of any policy can have a smaller latency (or period, by objective) */
  double gap;       /* value / bound - 1 */
};

/* Limits that plans from files and peers are held to. */
#define BRAID_PLAN_WINDOW_MAX 256
#define BRAID_PLAN_TASKS_MAX (1 << 20) /* sum of slices over the nodes */
#define BRAID_PLAN_MIX_MAX 8           /* parts of a mix */
#define BRAID_MIX_AHEAD 64             /* in a mix no frame is submitted as many after one that is still in flight */

struct braid_plan {
  char policy[32];
  enum braid_objective objective;
  bool serial; /* stages one after the other within a frame: sending starts when the edge has finished, the cloud
                  starts when all has arrived (how the single-cut literature runs) */
  int n_nodes;
  uint8_t *site; /* [n_nodes] enum braid_site */
  int *slices;   /* [n_nodes] >= 1, <= slices_max */
  int *rank;     /* [n_nodes] urgency, smaller first, for tasks and for sends; a permutation of 0..n-1 */
  int window;    /* frames in flight in throughput mode, >= 1 */
  enum braid_site deliver; /* where the results are wanted; of a mix and its parts the same */
  struct braid_forecast forecast;
  /* A mix: each frame follows one of these plans (themselves without a mix), dealt by braid_mix_next in proportion to
   * their weights (> 0, sum 1). n_mix 0: a single plan, this one. Where a mix cannot be run, the fields above are its
   * heaviest part. Parts stand in order of urgency at the edge: see braid_mix_yield. */
  int n_mix;
  struct braid_plan **mix;
  double *mix_weight;
};

BRAID_NODISCARD enum braid_status braid_plan_create(const struct braid_graph *graph, const char *policy,
                                                    struct braid_plan **out); /* all on the edge, rank = id */
BRAID_NODISCARD enum braid_status braid_plan_copy(const struct braid_plan *plan, struct braid_plan **out);
void braid_plan_destroy(struct braid_plan **plan);
/* Fits the graph: lengths, sites, inputs on the edge, slices in range, rank a permutation. Edges from cloud back to
 * edge are allowed (the runtime can execute them) unless `closed`, or unless the plan is serial: such an edge would
 * wait for itself. For plans from files and peers too. */
BRAID_NODISCARD enum braid_status braid_plan_check(const struct braid_plan *plan, const struct braid_graph *graph,
                                                   bool closed);
/* Does the tensor of `id` travel, and which way? A graph output has one reader more: who wants the results, at
 * plan->deliver. */
bool braid_plan_crosses_up(const struct braid_plan *plan, const struct braid_graph *graph, int id);
bool braid_plan_crosses_down(const struct braid_plan *plan, const struct braid_graph *graph, int id);
/* Fills plan->forecast by simulation and bounds, and plan->window: goal.window if given; else 1 for latency, and for
 * throughput what the plan says if more than 1, else enough frames to fill the pipeline. */
BRAID_NODISCARD enum braid_status braid_plan_forecast(struct braid_plan *plan, const struct braid_graph *graph,
                                                      const struct braid_costs *costs, const struct braid_goal *goal);

/* Smooth weighted round-robin: which part of the mix the next frame follows. `credit` [n_mix] starts as zeros and is
 * the caller's; over any run of frames each part gets its share to within one frame. 0 for plans without a mix. */
int braid_mix_next(const struct braid_plan *plan, double *credit);
/* How many of `window` frames in flight may follow a part at once (what the runtime has arenas for): its share, and one
 * more so that the next can start while the last is being answered; or what the part's own `window` says, if that is more:
 * slow parts have more frames in flight than their share. */
int braid_mix_frames(const struct braid_plan *plan, int part, int window);
/* At the edge and on the uplink, frame f of a part competes as frame f + this: parts that feed the link and the cloud
 * come first, those that mostly keep the edge busy fill its gaps, and none waits for ever. */
static inline int braid_mix_yield(int part, int window) {
  return part * window;
}

/* ------------------------------------------------------------------------------------------- policies */

/* What of its input tensors a policy sends: what everybody else's plans would send too (costs.wire_bytes), every
 * picture as a JPEG file (costs.jpeg_bytes; lossy, so the network's answer is another one), or 4 bytes an element (only
 * to show the literature's number). */
enum braid_input_form { BRAID_INPUT_AS_IS, BRAID_INPUT_JPEG, BRAID_INPUT_FP32 };

struct braid_policy {
  const char *name, *summary, *source;
  BRAID_NODISCARD enum braid_status (*decide)(const struct braid_graph *, const struct braid_costs *,
                                              const struct braid_goal *, struct braid_plan **out);
  enum braid_input_form input; /* other than AS_IS: a row of its own, not one that others must beat */
};
const struct braid_policy *const *braid_policies(int *n);
const struct braid_policy *braid_policy_find(const char *name);
/* The costs that the policy's plans are decided and forecast with: `costs`, but for inputs in the policy's form. `wire`
 * [n_nodes] is what out->wire_bytes may point to. BRAID_ENOTFOUND: JPEG without costs.jpeg_bytes or without a picture.
 */
BRAID_NODISCARD enum braid_status braid_policy_costs(const struct braid_policy *policy, const struct braid_graph *graph,
                                                     const struct braid_costs *costs, size_t *wire,
                                                     struct braid_costs *out);
/* decide + check + forecast, all with braid_policy_costs. A goal that no plan can meet: BRAID_ENOTFOUND, naming the
 * constraint. */
BRAID_NODISCARD enum braid_status braid_decide(const struct braid_policy *policy, const struct braid_graph *graph,
                                               const struct braid_costs *costs, const struct braid_goal *goal,
                                               struct braid_plan **out);

/* ------------------------------------------------------------------------------------------ breakpoints
 * The parametric table: the best serial plan of closed sets for every rate of the uplink at once, built offline, looked
 * up in nanoseconds. Everything else (downlink, delays, cost per message, load) is as in the costs it was built with. */

/* A closed set of edge nodes; its serial latency is fixed_ns + load * cloud_ns + 8e9 * up_bytes / rate, to within a ns
 * per message and node from what the simulator rounds up. (With several workers on a site the cloud's share of the gain
 * is that at the load of building.) */
struct braid_cut {
  uint8_t *site; /* [n_nodes] */
  int64_t fixed_ns, cloud_ns;
  size_t up_bytes;
};
struct braid_breakpoint_range {
  double from_bits_per_s, to_bits_per_s;  /* [from, to); the first from 0, the last to INFINITY */
  int cut;                                /* index */
  int64_t latency_from_ns, latency_to_ns; /* INT64_MAX: for ever (something is sent at rate 0) */
};
struct braid_breakpoints {
  int n_nodes;
  double load;        /* of the cloud, that the ranges are for */
  bool premise_holds; /* the cloud is nowhere slower than the edge */
  int n_built;        /* minimum cuts that building took; 0 when read from a file */
  int n_ranges;
  struct braid_breakpoint_range *range; /* ascending */
  int n_cuts;
  struct braid_cut *cut; /* those of the ranges in their order, then those of other loads */
};
#define BRAID_BREAKPOINTS_MAX 16384 /* ranges, and cuts */

/* Exact for all rates (from 1 kbit/s where the goal forbids "all on the edge", or wants the results in the cloud).
 * goal->objective must be latency; a limit on memory is BRAID_EUNSUPPORTED; latency_max_ns plays no part. */
BRAID_NODISCARD enum braid_status braid_breakpoints_build(const struct braid_graph *graph,
                                                          const struct braid_costs *costs,
                                                          const struct braid_goal *goal,
                                                          struct braid_breakpoints **out);
void braid_breakpoints_destroy(struct braid_breakpoints **breakpoints);
/* The range that holds the rate; O(log ranges). */
int braid_breakpoints_find(const struct braid_breakpoints *breakpoints, double bits_per_s);
/* Second axis: adds the cuts that are best at another load, and drops what is nowhere best among all of them. */
BRAID_NODISCARD enum braid_status braid_breakpoints_add_load(struct braid_breakpoints *breakpoints,
                                                             const struct braid_graph *graph,
                                                             const struct braid_costs *costs,
                                                             const struct braid_goal *goal, double load);
double braid_cut_ns(const struct braid_cut *cut, double bits_per_s, double load);
/* The best of the stored cuts at this rate and load; O(cuts). */
int braid_breakpoints_find_loaded(const struct braid_breakpoints *breakpoints, double bits_per_s, double load);
/* Cut number `cut` as a serial plan. */
BRAID_NODISCARD enum braid_status braid_breakpoints_plan(const struct braid_breakpoints *breakpoints, int cut,
                                                         const struct braid_graph *graph,
                                                         const struct braid_goal *goal, struct braid_plan **out);

/* ------------------------------------------------------------------------------------------------- cic
 * The two halves of the policy `cic`: what its rules leave of all candidates, built offline for a range of cloud loads, and
 * the look at the survivors for a rate and a load. Serial latency; a table like breakpoints, over less cuts. */
#define BRAID_CIC_SPANS 16
struct braid_cic {
  int n_nodes, n_seen; /* candidates before the last reduction */
  int n_cuts;
  struct braid_cut *cut; /* by ascending bytes */
  double load_min, load_max;
  int *in_span, first_in_span[BRAID_CIC_SPANS + 1]; /* cuts worth looking at in each part of the range of loads */
};
/* For loads in [load_min, load_max] of the cloud; costs->cloud_load plays no part. BRAID_ENOTFOUND: no candidate keeps
 * the goal. */
BRAID_NODISCARD enum braid_status braid_cic_build(const struct braid_graph *graph, const struct braid_costs *costs,
                                                  const struct braid_goal *goal, double load_min, double load_max,
                                                  struct braid_cic **out);
void braid_cic_destroy(struct braid_cic **cic);
/* The best survivor. A load outside of the range is taken for its nearer end's neighbourhood: the answer is a good cut,
 * but another may be better. */
int braid_cic_find(const struct braid_cic *cic, double bits_per_s, double load);

/* ------------------------------------------------------------------------------------------- adaptation
 * Which plan to run while the world changes (dynamic split computing: Bakhtiarnia et al., arXiv 2205.11269, 2022; there
 * the rate chooses a row of a table, here also round trip, cloud load and a slower edge, with hysteresis). Pure: who
 * calls says what time it is. One thread at a time; memory is bounded. Equal calls, equal plans. */

/* What was seen; 0: nothing new is known of it. Values beyond belief are clamped. */
struct braid_observation {
  double up_bits_per_s, down_bits_per_s; /* at which a transfer was delivered; a link that delivers nothing: 1 */
  double rtt_ns;                         /* of an empty message, there and back */
  double edge_stretch;                   /* measured / profiled time of tasks on the edge */
  double cloud_load;                     /* the same of the cloud, waiting for workers included */
};
struct braid_adapt_stats {
  int64_t decisions;         /* calls of decide */
  int64_t evaluated, policy; /* those that the table did not end; those that asked the policy */
  int64_t switches;
  double up_bits_per_s, down_bits_per_s, rtt_ns, edge_stretch, cloud_load; /* the estimates */
};
struct braid_adapt;
/* Decides for `costs` as they are, which become the first estimates. Copies all it is given but for the graph and
 * goal->pinned, which must outlive it. Errors: those of braid_decide. */
BRAID_NODISCARD enum braid_status braid_adapt_create(const struct braid_graph *graph, const struct braid_costs *costs,
                                                     const struct braid_goal *goal, const struct braid_policy *policy,
                                                     struct braid_adapt **out);
void braid_adapt_destroy(struct braid_adapt **adapt);
/* From now on frames that are late are also finished on the edge: what a plan that sends can lose is bounded, and one
 * that sends nothing must be much better to take its place. */
void braid_adapt_bridges(struct braid_adapt *adapt, bool bridges);
/* Feeds the filters: what got worse is believed at once (a late escape costs a frame that waits), what got better only
 * as it lasts (rates: within a second). BRAID_EINVAL, and nothing changes, for values that are NaN, negative or
 * infinite. Time that runs backwards counts as standing still. */
BRAID_NODISCARD enum braid_status braid_adapt_observe(struct braid_adapt *adapt, int64_t now_ns,
                                                      const struct braid_observation *seen);
/* The plan to run from now on; it belongs to `adapt` and lives until the next call that sets *changed. Mostly a look at
 * the table (O(cuts), no memory); where that has moved, a plan from memory or from the policy (milliseconds), and a
 * switch when it is 10 % better twice in a row, or 50 % at once. A goal that nothing can meet now leaves the plan. */
BRAID_NODISCARD enum braid_status braid_adapt_decide(struct braid_adapt *adapt, int64_t now_ns,
                                                     const struct braid_plan **plan, bool *changed);
const struct braid_plan *braid_adapt_plan(const struct braid_adapt *adapt); /* the one in force */
void braid_adapt_stats(const struct braid_adapt *adapt, struct braid_adapt_stats *out);
/* What it believes that things cost now; arrays in it are its own, until the next call. */
struct braid_costs braid_adapt_costs(struct braid_adapt *adapt);

/* ----------------------------------------------------------------------------------------- why this plan */

struct braid_why_value {
  const char *what; /* static text */
  int64_t value_ns; /* the objective's, by the same policy; 0: it finds no plan then */
};
struct braid_why {
  int64_t value_ns;
  double share[4];           /* by enum braid_resource: busy time per frame / value */
  enum braid_resource binds; /* the busiest */
  int n_without, n_what_if;
  struct braid_why_value without[4]; /* the goal's constraints, each taken away by itself */
  struct braid_why_value what_if[4]; /* other rates, other cloud load */
  struct braid_plan
      *next; /* the best plan found with other sites: neighbours of the plan, other policies'; NULL: none */
  int64_t next_ns;
};
/* Asks the policy several times; `plan` is what it decided for these costs and this goal. */
BRAID_NODISCARD enum braid_status braid_why_create(const struct braid_policy *policy, const struct braid_graph *graph,
                                                   const struct braid_costs *costs, const struct braid_goal *goal,
                                                   const struct braid_plan *plan, struct braid_why **out);
void braid_why_destroy(struct braid_why **why);

/* ------------------------------------------------------------------------------- timeline simulator */

struct braid_span {
  enum braid_resource resource;
  int lane; /* worker number; 0 on links */
  int frame, node;
  struct braid_band band;
  int64_t begin_ns, end_ns;
};
/* The link's rate from a moment on, until the next step. */
struct braid_rate_step {
  int64_t at_ns;
  double bits_per_s;
};
#define BRAID_SIM_FRAMES_MAX 10000000

struct braid_sim_opts {
  int frames; /* 1..BRAID_SIM_FRAMES_MAX */
  int window; /* most frames in flight */
  /* Where to put the timeline; NULL for none. Called in order of begin. */
  void (*span)(void *ctx, const struct braid_span *span);
  void *ctx;
  /* Rates that change, in order of time; before the first step, and without any, the costs' rate holds. */
  const struct braid_rate_step *up_rate, *down_rate;
  int n_up_rate, n_down_rate;
};
struct braid_sim_result {
  int64_t first_latency_ns, makespan_ns;
  int64_t max_latency_ns; /* of any frame, waiting for others included */
  int64_t period_ns;      /* slope of the completion times over the second half of the frames */
  int64_t busy_ns[4];     /* by resource, all frames */
  int queue_max[4]; /* most tasks that waited for a worker, most tensors (or slices of them) that waited for the link */
  size_t up_bytes, down_bytes;
};
/* Event-driven; tasks (node, slice) as the executor makes them, sends in bands as slices finish (in messages of at most
 * 32 KiB, but at least a row; the next message is chosen when the wire is free), priorities by (frame, rank, slice),
 * frames submitted as the window allows: one is in flight until it is answered and all of it has run. Deterministic. */
BRAID_NODISCARD enum braid_status braid_simulate(const struct braid_plan *plan, const struct braid_graph *graph,
                                                 const struct braid_costs *costs, const struct braid_sim_opts *opts,
                                                 struct braid_sim_result *result);

/* Lower bounds that hold for every plan that keeps the goal's constraints. */
int64_t braid_bound_latency_ns(const struct braid_graph *graph, const struct braid_costs *costs,
                               const struct braid_goal *goal);
int64_t braid_bound_period_ns(const struct braid_graph *graph, const struct braid_costs *costs,
                              const struct braid_goal *goal);

/* ------------------------------------------------------------------------- profiles and plans as JSON text */

struct braid_profile {
  char *model;
  char hash[65]; /* empty in hand-written profiles */
  char *machine;
  int threads;
  int64_t task_ns; /* overhead per task, 0 when unknown */
  int n_nodes;
  int64_t *node_ns;  /* [n_nodes] one worker's time */
  int64_t *slice_ns; /* [n_nodes] more for each slice of a node cut into several: set-up, weights that are cold again */
};
void braid_profile_destroy(struct braid_profile **profile);
/* time = 2 * macs / rate; zero for nodes without macs. */
BRAID_NODISCARD enum braid_status braid_profile_synthetic(const struct braid_graph *graph, double gflops,
                                                          struct braid_profile **out);
/* Parsers take untrusted text, bound what they allocate and name what is wrong. `*text` is freed by braid_free. */
BRAID_NODISCARD enum braid_status braid_profile_from_json(const char *text, size_t size,
                                                          const struct braid_graph *graph, struct braid_profile **out);
BRAID_NODISCARD enum braid_status braid_profile_to_json(const struct braid_profile *profile, char **text);
BRAID_NODISCARD enum braid_status braid_plan_from_json(const char *text, size_t size, const struct braid_graph *graph,
                                                       struct braid_plan **out);
/* `decide_ns` < 0 leaves decide_us out. `costs` may be NULL (bytes of crossings are then the tensors' own). */
BRAID_NODISCARD enum braid_status braid_plan_to_json(const struct braid_plan *plan, const struct braid_graph *graph,
                                                     const struct braid_costs *costs, int64_t decide_ns, char **text);

/* {"model","hash","load","premise_holds","ranges":[{"from_mbit","to_mbit","cut","edge_nodes",...}],"cuts":[...]}. */
BRAID_NODISCARD enum braid_status braid_breakpoints_from_json(const char *text, size_t size,
                                                              const struct braid_graph *graph,
                                                              struct braid_breakpoints **out);
BRAID_NODISCARD enum braid_status braid_breakpoints_to_json(const struct braid_breakpoints *breakpoints,
                                                            const struct braid_graph *graph, char **text);

BRAID_END_DECLS
#pragma GCC visibility pop
#endif
