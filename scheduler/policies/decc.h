/* SPDX-License-Identifier: Apache-2.0
 * The parts of decc: what a branch can be cut into, and in which order branches go through edge, link and cloud.
 *
 * The cost model. What goes through the machines edge, uplink, cloud, downlink in a fixed order moves the times at
 * which they come free from one vector to the next, and it does so linearly in (max, +): every new time is a largest
 * (old time
 * + path). A job is that matrix of longest paths. One branch cut once is a job; so is a branch that is cut inside a
 * fork of its own, as the product of what it goes through; so options of any depth are compared number by number, and
 * one search serves every level. For throughput, where work adds up and order does not matter, the matrix is diagonal.
 */
#ifndef SCHEDULER_POLICIES_DECC_H
#define SCHEDULER_POLICIES_DECC_H

#include "../internal.h"

/* When the edge, the uplink, the cloud and the downlink come free; when the block's entry has left the edge; and when
 * everything that whatever joins the branches waits for has arrived or been computed in the cloud. */
enum decc_row { DECC_EDGE, DECC_UP, DECC_ENTRY, DECC_CLOUD, DECC_DOWN, DECC_JOIN, DECC_ROWS };
#define DECC_FROM (DECC_ROWS - 1) /* nothing in a branch waits for the join of another */
#define DECC_NONE (-COST_NEVER)   /* no path; any negative number is */
#define DECC_MACHINES 8           /* workers of a site that the model tells apart */
#define DECC_BRANCHES_MAX 32

struct decc_job {
  int64_t at[DECC_ROWS][DECC_FROM]; /* longest path; DECC_JOIN: what the job adds to it */
};
/* One thing after another: the entry's tensor is sent (branch -1), or a branch is gone through. */
struct decc_step {
  int branch, option;
};
/* One way of dividing a branch. */
struct decc_option {
  struct decc_job job;
  size_t memory;    /* of its edge part; 0 where the goal sets no limit */
  bool reads_entry; /* some of its cloud part reads the block's entry */
  int fork;         /* nested block that is cut; -1: ... */
  int n_edge;       /* ... the first so many nodes are on the edge */
  int n_steps;
  struct decc_step *step; /* through the fork */
};
struct decc_branch {
  const struct braid_branch *branch;
  int twin; /* an earlier branch of the same block that is the same in all that counts, and owns the options; -1 */
  int n, room, n_forks;
  struct decc_option *option;
  struct decc_fork *fork; /* the nested blocks */
};
struct decc_fork {
  const struct braid_block *block;
  int64_t entry_up;    /* COST_NEVER: it may not leave */
  int64_t entry_ready; /* after the edge's start of the fork; DECC_NONE: an input, there from the beginning */
  bool inherited;      /* the entry belongs to a block around this one: it is sent there */
  bool exit_reads;     /* what joins the branches reads the entry as well */
  int n_branches;      /* those with nodes */
  struct decc_branch *branch;
};

/* How hard the search tries. All counts: equal input, equal plan. */
struct decc_limits {
  int options; /* of a branch */
  int inner;   /* states of a level, ways through a fork that is nested, ... */
  int beam;    /* ... and of the block itself */
};
extern const struct decc_limits decc_usual;

/* What all blocks of a network share. */
struct decc_net {
  const struct stages *st;
  const struct decc_limits *limits;
  bool throughput;
  int64_t cutoff_ns; /* makespans or periods above this are of no interest; COST_NEVER */
  int slack;         /* 1024ths that ways may take longer than one known to be found all the same */
  int64_t up_delay, down_delay;
  int64_t *edge_end;   /* [n] of a joint: when it is done if all up to it is on the edge; throughput: work up to it */
  int64_t *cloud_tail; /* [n] of a joint: from its start to the end if all from it on is in the cloud; or that work */
  int64_t *down_tail;  /* [n + 1] of outputs from here on that come home */
  int64_t *up_head;    /* [n + 1] of outputs before this node that are wanted in the cloud */
  size_t *memory;      /* [n + 1] before this node */
  int *pinned, *away;  /* [n + 1] how many before this node */
};
BRAID_NODISCARD enum braid_status decc_net_create(const struct stages *st, enum braid_objective objective,
                                                  const struct decc_limits *limits, struct decc_net **out);
void decc_net_destroy(struct decc_net **net);

/* A block with everything around it put where DECC puts it: what comes before on the edge, what follows in the cloud.
 */
struct decc_block {
  const struct decc_net *net;
  int first, end; /* its nodes' ids; before: edge, from `end` on: cloud */
  int64_t edge_before, up_before, cloud_after, down_after;
  size_t memory_before;
  int n_machines[2]; /* by site */
  struct decc_fork fork;
};
/* Least that any choice in this block can come to: all before on the edge, all after in the cloud; COST_NEVER where the
 * goal forbids to cut here. */
int64_t decc_block_bound_ns(const struct decc_net *net, const struct braid_block *block);
/* BRAID_ENOTFOUND where the goal forbids to cut here. */
BRAID_NODISCARD enum braid_status decc_block_create(const struct decc_net *net, const struct braid_block *block,
                                                    struct decc_block **out);
void decc_block_destroy(struct decc_block **block);

/* ------------------------------------------------------------------------------------------------ model */

/* A chain: edge part, its tensors on the wire, cloud part, results. `computed`: not all of what is sent are inputs. */
struct decc_sums {
  int64_t edge, up, cloud, down;
  bool computed, reads_entry;
};
struct decc_job decc_plain_job(const struct decc_net *net, const struct decc_sums *sums);

/* Where a sequence of jobs has got to: rows by column. One column: times. DECC_FROM columns: a job in the making. */
struct decc_state {
  int64_t at[DECC_ROWS][DECC_FROM];
  int64_t busy[2][DECC_MACHINES]; /* by site, several workers: when each comes free, ascending */
  int64_t promise_ns;             /* lower bound of what it can become */
  size_t memory;
  uint32_t placed; /* bit set of branches */
  bool sent, reads_entry;
  bool entry_first; /* the last step sends the entry before its branch */
  int parent, branch, option;
};
/* The state before the first step; `columns` is 1 or DECC_FROM. */
struct decc_state decc_start(const struct decc_block *block);
void decc_take(const struct decc_block *block, int columns, const struct decc_job *job, struct decc_state *state);
void decc_send_entry(const struct decc_net *net, const struct decc_fork *fork, int columns, struct decc_state *state);
/* Makespan or period once every branch has been taken. */
int64_t decc_finish_ns(const struct decc_block *block, const struct decc_state *state);

/* ----------------------------------------------------------------------------------------------- searching */

/* A way through the block: at most DECC_BRANCHES_MAX branches and the entry. */
struct decc_way {
  int n_steps;
  struct decc_step step[DECC_BRANCHES_MAX + 1];
};
typedef enum braid_status decc_found_fn(void *ctx, const struct decc_way *way, int64_t ns);
/* Calls `found` with the best ways and their makespan (latency) or period in the model, best first, at most `most` of
 * them. `*exact` (may be NULL): nothing was given up to the limits, so the first is the optimum over the options. */
BRAID_NODISCARD enum braid_status decc_search(const struct decc_block *block, int most, decc_found_fn *found, void *ctx,
                                              bool *exact);
/* Every way whose steps are not obviously needless: all options, all orders, all turns of the entry. Stops when `found`
 * fails. */
BRAID_NODISCARD enum braid_status decc_enumerate(const struct decc_block *block, decc_found_fn *found, void *ctx);
/* Number of (options x orders), or `limit` if there are more. */
int64_t decc_count(const struct decc_block *block, int64_t limit);
/* The undominated ways through a nested fork as options of the branch around it: `before` on the edge first, `after` in
 * the cloud at last. */
BRAID_NODISCARD enum braid_status decc_add_ways(const struct decc_net *net, struct decc_branch *list, int fork,
                                                const struct decc_sums *before, const struct decc_sums *after,
                                                size_t memory);
/* Takes over `option` unless another beats it or it is above the cutoff by itself. */
BRAID_NODISCARD enum braid_status decc_add_option(const struct decc_net *net, struct decc_branch *list,
                                                  struct decc_option *option);
/* Drops options until `most` are left: first those that another comes close to on every count. */
void decc_thin(struct decc_branch *list, int most);
/* Writes the way into site[] and rank[] (depth first: one branch after the other). */
void decc_apply(const struct decc_block *block, const struct decc_way *way, uint8_t *site, int *rank);

/* ------------------------------------------------------------------------------------------------ ordering */

/* In which order given jobs go through edge, uplink and cloud fastest, none of which sends or reads an entry.
 * decc_johnson: false where Johnson's conditions do not hold. decc_order: Johnson's order where they do, else branch
 * and bound from a good heuristic order, as long as the budget of *work lasts. Returns the makespan. */
bool decc_johnson(const struct decc_job *job, int n, int *order);
int64_t decc_order(const struct decc_block *block, const struct decc_state *start, const struct decc_job *job, int n,
                   int *order, int64_t *work);

#endif
