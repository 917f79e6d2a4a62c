/* SPDX-License-Identifier: Apache-2.0
 *
 * The task graph of one site: graph + plan -> tasks (node, slice) with dependencies between slices, and for each
 * received tensor which tasks wait for which of its rows. Pure: no threads, no kernels, no memory of tensors. */
#ifndef RUNTIME_EXEC_TASKS_H
#define RUNTIME_EXEC_TASKS_H

#include "braid/models.h"
#include "braid/scheduler.h"

/* What a node's tensor is to this site. */
struct exec_role {
  bool computed; /* its tasks run here */
  bool received; /* its rows arrive from outside: graph inputs at the edge, tensors that cross towards this site */
  bool sent;     /* rows_ready is called for its rows */
  bool output;   /* a graph output that this site hands to the user (computed or received here) */
};

struct exec_task {
  int node, slice, rank;
  struct braid_band band;
  int waits;              /* preceding tasks + rows of received tensors that it waits for (+ 1 when gated) */
  int first_next, n_next; /* in exec_tasks.next: tasks that wait for this one */
  int first_prev, n_prev; /* in exec_tasks.prev */
};

/* A task that waits for rows of a received tensor. */
struct exec_waiter {
  int source, task;
  struct braid_band rows;
};

struct exec_source {
  int node, rows;
  bool is_input; /* a graph input (filled by the user), else a crossing tensor */
  int first_waiter, n_waiters;
  int first_row; /* of its rows in a frame's table of arrived rows */
};

struct exec_tasks {
  int n_nodes;
  struct exec_role *role; /* [n_nodes] */
  /* Task numbers are an order in which one worker would run them: topological, the smallest rank first among those that
   * are ready. A node's tasks need not be neighbours; they are task_of[first_of[v] + slice]. */
  int n_tasks;
  struct exec_task *task;
  int *next, *prev;
  int *n_slices, *first_of, *task_of;
  bool *by_channel; /* [n_nodes] slices of channels: the band of each is all rows */
  int n_sources;
  struct exec_source *source;
  int *source_of; /* [n_nodes] index, -1 */
  int n_waiters;
  struct exec_waiter *waiter; /* by source */
  int n_rows;                 /* rows of all sources together */
  int n_input_rows;
  bool gated;   /* serial plan in the cloud: no task starts before every row has arrived */
  bool chained; /* every task waits for the one before it */
};

struct exec_tasks_opts {
  const struct braid_plan *plan; /* NULL: everything here, in whole nodes */
  enum braid_site here;
  const int *n_slices; /* [n_nodes], >= 1 */
  const bool *by_channel; /* [n_nodes] slices are of channels, which cannot be sent one by one; NULL: none are */
  /* Let every task wait for the one before, where nothing crosses the link. For a single worker, who gains no time from
   * the freedom, while the memory plan gains from the certainty. */
  bool chain;
};

/* The plan has passed braid_plan_check. */
void exec_roles(const struct braid_graph *graph, const struct braid_plan *plan, enum braid_site here,
                struct exec_role *role);
BRAID_NODISCARD enum braid_status exec_tasks_create(const struct braid_graph *graph, const struct exec_tasks_opts *opts,
                                                    struct exec_tasks **out);
void exec_tasks_destroy(struct exec_tasks **tasks);
/* Every invariant; BRAID_OK or the first one broken. */
BRAID_NODISCARD enum braid_status exec_tasks_check(const struct exec_tasks *tasks, const struct braid_graph *graph);

static inline struct braid_band exec_whole(const struct braid_node *node) {
  return (struct braid_band){0, node->rows};
}

#endif
