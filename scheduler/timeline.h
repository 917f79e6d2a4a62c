/* SPDX-License-Identifier: Apache-2.0
 * A plan compiled for the simulator: what one frame consists of, independent of when anything happens.
 *
 * Tasks are (node, slice), numbered by (rank, slice): the number is the urgency inside a frame. Inputs are tasks that
 * are over when the frame is submitted. A task whose tensor crosses owns a run of chunks, the messages its band travels
 * in. What a finished task or an arrived chunk makes ready is a run of the `next` array.
 *
 * What a node in so many slices looks like depends on nothing else in the plan, so it is worked out once for all plans
 * of a network (struct tl_layouts). */
#ifndef SCHEDULER_TIMELINE_H
#define SCHEDULER_TIMELINE_H

#include "internal.h"
#include "slab.h"

/* --------------------------------------------------------------------------------------------------- layouts */

struct tl_message {
  struct braid_band band;
  size_t bytes;
  int64_t ns[2]; /* on the uplink, on the downlink */
};
struct tl_layout {
  struct tl_layout *next; /* of the same node in other numbers of slices */
  const struct braid_node *node;
  bool input;
  int slices, rows, n_operands;
  const int *operand;      /* [n_operands] ids, those that are nodes */
  struct braid_band *band; /* [slices] */
  int64_t *ns[2];          /* [slices] by site */
  struct braid_band *need; /* [slices * n_operands] rows of the operand */
  /* Filled when the tensor crosses for the first time: */
  int step;   /* rows of a message; 0: not filled */
  int *first; /* [slices + 1] the slice's first message */
  struct tl_message *message;
};
struct tl_layouts {
  const struct braid_graph *graph;
  const struct braid_costs *costs;
  struct tl_layout **layout; /* [n] newest first */
  struct slab memory;
};
BRAID_NODISCARD enum braid_status tl_layouts_open(const struct braid_graph *graph, const struct braid_costs *costs,
                                                  struct tl_layouts *out);
void tl_layouts_close(struct tl_layouts *layouts);
/* Node v in so many slices; `crosses`: with its messages. */
BRAID_NODISCARD enum braid_status tl_layout_get(struct tl_layouts *layouts, int v, int slices, bool crosses,
                                                const struct tl_layout **out);

/* -------------------------------------------------------------------------------------------------- timeline */

struct tl_task {
  int node;
  struct braid_band band;
  int64_t ns;
  uint8_t site;
  bool input;
  bool answers;             /* a slice of a graph output where it is wanted */
  int next_begin, next_end; /* tasks on the same site that read rows of it */
  int chunk_begin, chunk_end;
};
struct tl_chunk {
  int task;
  struct braid_band band;
  int64_t ns;
  size_t bytes;
  bool answers;             /* rows of a graph output on their way there */
  int next_begin, next_end; /* tasks on the other site that read rows of it */
};
struct timeline {
  bool serial;
  bool all_count; /* every task and every chunk has to be over before the last answer */
  int n_tasks, n_chunks, n_next;
  struct tl_task *task;
  struct tl_chunk *chunk;
  int *next;
  int *source, n_sources; /* [n_tasks] tasks that wait for nothing, inputs among them */
  int *needs;             /* [n_tasks] how many tasks and chunks it waits for (one more in a serial cloud: the gate) */
  /* Of one frame: */
  int tasks[2];        /* by site, without inputs */
  int chunks[2];       /* 0: up, 1: down */
  int64_t total_ns[4]; /* by enum braid_resource, all workers together */
  int answers;         /* tasks and chunks that answer */
  int inputs;
};

/* Lives in `memory`. */
BRAID_NODISCARD enum braid_status timeline_create(const struct braid_plan *plan, struct tl_layouts *layouts,
                                                  struct slab *memory, const struct timeline **out);

#endif
