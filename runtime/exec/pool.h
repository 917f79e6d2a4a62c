/* SPDX-License-Identifier: Apache-2.0
 *
 * The pool's inside: workers, the heap of ready tasks, and the lock over both.
 *
 * One mutex guards the heap and every frame's counters. A task is about 100 us of work and the lock is held for a few
 * hundred nanoseconds a task, so one lock is enough, and everything that must be decided together (who became ready,
 * is the frame done, has it been aborted) is decided in one place. Kernels and events run outside of the lock. */
#ifndef RUNTIME_EXEC_POOL_H
#define RUNTIME_EXEC_POOL_H

#include <pthread.h>
#include <stdatomic.h>

#include "braid/runtime.h"
#include "exec/weights.h"

/* A task that may run: most urgent first by the frame's order, then rank, then slice. */
struct exec_ready {
  uint64_t order;
  int rank, slice, task;
  struct braid_frame *frame;
  int64_t ready_ns;
};

/* A task's, on the monotonic clock. */
struct exec_times {
  int64_t ready_ns, begin_ns, end_ns;
  int64_t run_ns; /* begin to end; on an emulated device what it takes there */
  int64_t cpu_ns; /* on the thread's own clock; only for on_task and on slowed pools */
};

struct exec_worker {
  struct braid_pool *pool;
  pthread_t thread;
  int index, lane;
  char name[16];
  struct braid_pin_thread where;
  /* Guarded by the pool's mutex. */
  pthread_cond_t work;           /* no longer idle, or stop */
  struct exec_worker *next_idle; /* the one that fell idle before */
  bool idle;
  /* Of the emulated slow device; owned by the worker. */
  int64_t busy_until_ns;
  bool waited; /* before this task: its device stood idle */
};

/* `done` of a frame is being called. Lies on the caller's stack and outlives the frame, which done may end. */
struct exec_done_call {
  const struct braid_frame *frame;
  uint64_t generation;
  struct exec_done_call *next;
};

struct braid_pool {
  /* Constant once the workers run. */
  int n_workers;
  struct exec_worker *worker;
  bool pinned;
  double slow;
  struct braid_trace *trace;
  const struct braid_choices *choices; /* NULL: none */
  /* Called by workers with the time of every task that computed something; NULL for none. Set while nothing runs. */
  void (*on_task)(void *ctx, int node, const struct exec_times *times);
  void *on_task_ctx;

  struct exec_weights weights; /* has a lock of its own */
  atomic_size_t arena_bytes;   /* of all programs, in use or kept. relaxed: a figure, it orders nothing */
  pthread_mutex_t arenas_mutex; /* guards the list, not what is in it; before any lock of theirs */
  struct braid_arenas *arenas;  /* all there are (arenas.c) */

  pthread_mutex_t mutex; /* guards what follows, and the counters of frames */
  pthread_cond_t quiet;  /* a task or an event of an aborted frame has ended */
  struct exec_ready *heap;
  int capacity;
  _Atomic int n_ready;   /* written with the mutex held; spinning workers look without */
  _Atomic int n_running; /* tasks; likewise */
  int reserved; /* tasks of all arenas of all programs: the heap never grows while frames run */
  struct exec_worker *idle; /* the last to fall idle first: its caches are the warmest */
  int64_t busy_ns;
  uint64_t n_run;
  bool stop;
  struct exec_done_call *done_calls;
};

/* Makes room for `tasks` more ready tasks. */
BRAID_NODISCARD enum braid_status exec_pool_reserve(struct braid_pool *pool, int tasks);
void exec_pool_unreserve(struct braid_pool *pool, int tasks);
/* So many bytes of arenas more, or less. Any thread. */
void exec_pool_count_arenas(struct braid_pool *pool, int64_t bytes);

int64_t exec_now_ns(void); /* CLOCK_MONOTONIC */

/* These four with the mutex held. */
void exec_pool_push(struct braid_pool *pool, const struct exec_ready *ready);
void exec_pool_wake(struct braid_pool *pool, int tasks);
void exec_pool_remove(struct braid_pool *pool, const struct braid_frame *frame); /* its ready tasks */
bool exec_pool_calls_done(const struct braid_pool *pool, const struct braid_frame *frame, uint64_t generation);

#endif
