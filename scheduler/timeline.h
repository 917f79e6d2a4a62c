/* SPDX-License-Identifier: Apache-2.0
 * A plan compiled for the simulator: what one frame consists of, independent of when anything happens.
 *
 * Tasks are (node, slice), numbered by (rank, slice): the number is the urgency inside a frame. Inputs are tasks that
 * are over when the frame is submitted. A task whose tensor crosses owns a run of chunks, the messages its band travels
 * in. What a finished task or an arrived chunk makes ready is a run of the `next` array. */
#ifndef SCHEDULER_TIMELINE_H
#define SCHEDULER_TIMELINE_H

#include "internal.h"

struct tl_task {
  int node;
  struct braid_band band;
  int64_t ns;
  uint8_t site;
  bool input;
  bool answers;             /* a slice of a graph output on the edge */
  int next_begin, next_end; /* tasks on the same site that read rows of it */
  int chunk_begin, chunk_end;
};
struct tl_chunk {
  int task;
  struct braid_band band;
  int64_t ns;
  size_t bytes;
  bool answers;             /* rows of a graph output on their way down */
  int next_begin, next_end; /* tasks on the other site that read rows of it */
};
struct timeline {
  bool serial;
  int n_tasks, n_chunks, n_next;
  struct tl_task *task;
  struct tl_chunk *chunk;
  int *next;
  int *source, n_sources; /* [n_tasks] tasks that wait for nothing, inputs among them */
  int *needs;             /* [n_tasks] how many tasks and chunks it waits for (one more in a serial cloud: the gate) */
  /* Of one frame: */
  int tasks[2];  /* by site, without inputs */
  int chunks[2]; /* 0: up, 1: down */
  int answers;   /* tasks and chunks that answer */
  int inputs;
};

BRAID_NODISCARD enum braid_status timeline_create(const struct braid_plan *plan, const struct braid_graph *graph,
                                                  const struct braid_costs *costs, struct timeline **out);
void timeline_destroy(struct timeline **timeline);

#endif
