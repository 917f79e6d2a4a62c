/* SPDX-License-Identifier: Apache-2.0
 * A compiled program and its frames, as pool, program, frame and profile see them. */
#ifndef RUNTIME_EXEC_PROGRAM_H
#define RUNTIME_EXEC_PROGRAM_H

#include <stdatomic.h>

#include "braid/runtime.h"
#include "exec/arenas.h"
#include "exec/memory.h"
#include "exec/pool.h"
#include "exec/tasks.h"

/* What is run for a node that is computed here. */
struct exec_step {
  const struct braid_kernel *kernel; /* NULL: a view */
  int first_call, n_calls;           /* more than one: slices by channel (parts.h), each has its own */
  bool joins;                        /* a view with operands to copy (exec_join_rows) */
};

/* A set of arguments for a kernel. */
struct exec_call {
  struct exec_packed *weights; /* a share in the pool's; NULL: none */
  const void *packed;          /* their data */
};

/* What tasks took. Written by whoever holds the pool's mutex, read by anybody at any time: relaxed, each figure for
 * itself, they order nothing. */
struct exec_measured {
  _Atomic uint64_t tasks;
  _Atomic int64_t run_ns, wait_ns, profile_ns;
  struct exec_average {
    _Atomic int64_t ns;
  } * node; /* [n_computed] of whole nodes; 0: none yet */
};

/* A node of one frame, while its slices run. */
struct exec_spent {
  int64_t ns;
  int slices;
};

/* One inference in one arena. Allocated with its program, used again and again. */
struct braid_frame {
  /* Constant. */
  struct braid_program *program;
  struct exec_block *block;
  char *arena; /* block's data */
  struct braid_kernel_args *args; /* [n_calls], bound to this arena */

  /* Set by begin, constant until end. */
  uint64_t number, order, generation;
  struct braid_frame_events events;
  void *ctx;

  /* Guarded by the pool's mutex. */
  struct braid_frame *next_free;
  bool in_use, aborted, flushed, done;
  int *waits;               /* [n_tasks] what each task still waits for */
  bool *arrived;            /* [n_rows] of received tensors */
  struct exec_spent *spent; /* [n_computed] */
  int tasks_left, rows_left, input_rows_left;
  int n_running; /* tasks being run */
  int n_events;  /* rows_ready being called */
};

struct braid_program {
  /* Constant. */
  struct braid_pool *pool;
  const struct braid_graph *graph;
  struct braid_plan *plan; /* NULL: all here */
  enum braid_site here;
  bool serial, only_planned;
  struct exec_tasks *tasks;
  struct exec_memory *memory;
  int *computed_index; /* [n_nodes] into step; -1: not computed here */
  int n_computed, n_calls;
  struct exec_step *step;             /* [n_computed] */
  struct exec_call *call;             /* [n_calls] */
  struct braid_arenas *arenas;        /* a share in it: what arenas and scratch are taken from */
  struct exec_block **scratch;        /* [workers] */
  size_t scratch_bytes, packed_bytes; /* of one worker; of all nodes, shared or not */
  int *sent, n_sent;                  /* nodes, by rank */
  int64_t *expected_ns;               /* [n_tasks] by the profile; 0: not known */
  bool emulates;                      /* on a slowed pool tasks last expected_ns */
  int n_frames;
  struct braid_frame *frame;

  struct exec_measured measured;

  /* Guarded by the pool's mutex. */
  struct braid_frame *free_frame;
  int n_in_use;
};

/* Called by workers without the mutex. */
void exec_frame_run_task(const struct braid_frame *frame, int task, int worker);
/* What the task takes on the emulated device; 0: not known. */
int64_t exec_frame_emulated_ns(const struct braid_frame *frame, int task);
bool exec_frame_task_computes(const struct braid_frame *frame, int task);
/* With the mutex, which it may give up meanwhile. The frame may be gone afterwards. */
void exec_frame_task_ended(struct braid_frame *frame, int task, const struct exec_times *times);

/* Exponentially weighted: the newest of about eight. 0 is no average yet. */
static inline int64_t exec_average_ns(int64_t average_ns, int64_t sample_ns) {
  return average_ns ? average_ns + (sample_ns - average_ns) / 8 : sample_ns;
}

#endif
