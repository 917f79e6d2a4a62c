/* SPDX-License-Identifier: Apache-2.0
 * The parts of the lower bounds. */
#ifndef SCHEDULER_BOUNDS_H
#define SCHEDULER_BOUNDS_H

#include "cut.h"

int bound_rows(const struct braid_graph *graph, int id);
int64_t bound_slice_ns(const struct braid_graph *graph, const struct braid_costs *costs, enum braid_site site, int id,
                       int slices);
/* Too many rows to look at one by one. */
bool bound_too_long(const struct braid_graph *graph, int slices);
/* How many rows of every tensor some needed row of a result is computed from; the last of them (-1: none); and how many
 * of them the reader with the fewest waits for: so many must be sent, whoever reads on the other side. `in_order`: rows
 * before a needed one are there before it, and count. */
BRAID_NODISCARD enum braid_status bound_needed_rows(const struct braid_graph *graph, int slices, bool in_order,
                                                    int *needed, int *last, int *sent);
/* The longest chain of tasks and transfers, each node at the better site; `cloud` false: all on the edge. */
BRAID_NODISCARD enum braid_status bound_path_ns(const struct braid_graph *graph, const struct braid_costs *costs,
                                                const struct braid_goal *goal, bool cloud, int64_t *ns);

/* --------------------------------------------------------------------------------------------------- rows
 * What holds whatever the sites are (bound_rows.c). */
struct bound_net {
  const struct braid_graph *graph;
  const struct braid_costs *costs;
  const struct braid_goal *goal;
  int n, slices;
  bool regular;  /* every row of every node waits for another node: nothing runs before what it is computed from */
  bool in_order; /* and rows of a node are ready in ascending order */
  int *needed, *last, *sent;                      /* [n] rows, bound_needed_rows */
  int64_t *work_ns[2];                            /* [n] by site, what the answer waits for; one worker */
  int64_t *send_ns[2], *first_ns[2], *last_ns[2]; /* [n] by site it is sent from: all, first and last message */
  int8_t *forced;                                 /* [n] site, or -1 */
  bool *is_private, *is_joint;                    /* [n] */
  int *operand;                                   /* [n] number of the node's first operand */
  int64_t *waits_at;                              /* [operands] where in waits[] */
  int *waits;                                     /* by operand and its row */
  void *memory[3];
};
/* graph, costs, goal (slices set) are given, the rest is filled; bound_net_free in any case. */
BRAID_NODISCARD enum braid_status bound_net_fill(struct bound_net *net);
void bound_net_free(struct bound_net *net);
bool bound_reads_all(const struct bound_net *net, int v);
bool bound_is_whole(const struct bound_net *net, int v);

/* Of a part of the work: all of it on one site, and no more than any split over both sites takes at the least. */
struct bound_work {
  int64_t ns[2], any_ns;
};
/* Work below `end` that follows from the last needed row that joint v reads, v's own included. Zeros where rows are not
 * in order. `from` [n] is scratch. */
void bound_cone(const struct bound_net *net, int v, int end, int *from, struct bound_work *work);
/* Work of nodes from `begin` before the first row of v is there; any_ns: before it is begun. `upto` [n] is scratch. */
void bound_head(const struct bound_net *net, int begin, int v, int *upto, struct bound_work *work);

/* ------------------------------------------------------------------------------------------------- stages */

/* The least time, over all sites of nodes, until every result is where it is wanted (bound_stages.c); at most `cap_ns`.
 * `coarse`: there were too many states to keep them well apart; 0 where there were far too many. */
BRAID_NODISCARD enum braid_status bound_stages_ns(const struct bound_net *net, int64_t cap_ns, int64_t *ns,
                                                  bool *coarse);

#endif
