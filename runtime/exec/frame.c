/* SPDX-License-Identifier: Apache-2.0
 *
 * Frames: counting down what each task waits for, and telling the outside.
 *
 * Every function named *_locked holds the pool's mutex; those that call events give it up around the call. An event of
 * a frame in progress is counted in n_events, so that done cannot overtake a rows_ready and abort can wait for both.
 * The done event itself may end the frame, and another thread may begin a new one in the same arena at once: whoever
 * waits for the call to return therefore looks for a record on the caller's stack, by frame and generation. */
#include <assert.h>
#include <string.h>

#include "exec/bind.h"
#include "exec/program.h"

/* -------------------------------------------------------------------------------------------------- run */

static int step_of(const struct braid_program *program, int task) {
  return program->computed_index[program->tasks->task[task].node];
}

bool exec_frame_task_computes(const struct braid_frame *frame, int task) {
  const struct exec_step *step = &frame->program->step[step_of(frame->program, task)];
  return step->kernel || step->joins;
}

int64_t exec_frame_emulated_ns(const struct braid_frame *frame, int task) {
  return frame->program->emulates ? frame->program->expected_ns[task] : 0;
}

void exec_frame_run_task(const struct braid_frame *frame, int task, int worker) {
  const struct braid_program *program = frame->program;
  int index = step_of(program, task);
  const struct exec_step *step = &program->step[index];
  const struct exec_task *t = &program->tasks->task[task];
  int call = step->first_call + (step->n_calls > 1 ? t->slice : 0);
  void *scratch = program->scratch[worker] ? program->scratch[worker]->data : NULL;
  if (step->kernel)
    step->kernel->run(&frame->args[call], program->call[call].packed, scratch, t->band);
  else if (step->joins)
    exec_join_rows(&frame->args[call], t->band);
}

/* ---------------------------------------------------------------------------------------------- release */

/* Takes `n` off what the task waits for; 1 when it became ready. */
static int release_locked(struct braid_frame *frame, int task, int n, int64_t now_ns) {
  frame->waits[task] -= n;
  assert(frame->waits[task] >= 0);
  if (frame->waits[task] > 0) return 0;
  const struct exec_task *t = &frame->program->tasks->task[task];
  struct exec_ready ready = {frame->order, t->rank, t->slice, task, frame, now_ns};
  exec_pool_push(frame->program->pool, &ready);
  return 1;
}

static int release_next_locked(struct braid_frame *frame, int task, int64_t now_ns) {
  const struct exec_tasks *tasks = frame->program->tasks;
  const struct exec_task *t = &tasks->task[task];
  int n_ready = 0;
  for (int e = 0; e < t->n_next; e++) n_ready += release_locked(frame, tasks->next[t->first_next + e], 1, now_ns);
  return n_ready;
}

static int release_all_locked(struct braid_frame *frame, int64_t now_ns) {
  int n_ready = 0;
  for (int i = 0; i < frame->program->tasks->n_tasks; i++) n_ready += release_locked(frame, i, 1, now_ns);
  return n_ready;
}

static int release_rows_locked(struct braid_frame *frame, const struct exec_source *source, struct braid_band band,
                               int64_t now_ns) {
  const struct exec_tasks *tasks = frame->program->tasks;
  int n_ready = 0;
  for (int w = 0; w < source->n_waiters; w++) {
    const struct exec_waiter *waiter = &tasks->waiter[source->first_waiter + w];
    int begin = waiter->rows.begin > band.begin ? waiter->rows.begin : band.begin;
    int end = waiter->rows.end < band.end ? waiter->rows.end : band.end;
    if (begin < end) n_ready += release_locked(frame, waiter->task, end - begin, now_ns);
  }
  return n_ready;
}

/* ----------------------------------------------------------------------------------------------- events */

static void tell_rows_locked(struct braid_frame *frame, int node, struct braid_band band) {
  struct braid_pool *pool = frame->program->pool;
  if (frame->aborted || !frame->events.rows_ready || band.begin >= band.end) return;
  frame->n_events++;
  pthread_mutex_unlock(&pool->mutex);
  frame->events.rows_ready(frame->ctx, frame, node, band);
  pthread_mutex_lock(&pool->mutex);
  frame->n_events--;
}

/* Serial plans send when everything has been computed and (at the edge) the user has handed in every input. */
static void flush_locked(struct braid_frame *frame) {
  const struct braid_program *program = frame->program;
  if (frame->flushed || frame->aborted || frame->tasks_left > 0 || frame->input_rows_left > 0) return;
  frame->flushed = true;
  frame->n_events++; /* between two of these calls the frame is not done */
  for (int i = 0; i < program->n_sent; i++)
    tell_rows_locked(frame, program->sent[i], exec_whole(braid_graph_node(program->graph, program->sent[i])));
  frame->n_events--;
}

static void forget_done_call_locked(struct braid_pool *pool, const struct exec_done_call *call) {
  struct exec_done_call **at = &pool->done_calls;
  while (*at != call) at = &(*at)->next;
  *at = call->next;
  pthread_cond_broadcast(&pool->quiet);
}

static void tell_done_locked(struct braid_frame *frame) {
  struct braid_pool *pool = frame->program->pool;
  struct exec_done_call call = {frame, frame->generation, pool->done_calls};
  void (*done)(void *, struct braid_frame *) = frame->events.done;
  frame->done = true;
  if (!done) return;
  pool->done_calls = &call;
  void *ctx = frame->ctx;
  pthread_mutex_unlock(&pool->mutex);
  done(ctx, frame);
  pthread_mutex_lock(&pool->mutex);
  forget_done_call_locked(pool, &call);
}

/* The last step of whatever happened to a frame, which may be gone afterwards. */
static void settle_locked(struct braid_frame *frame) {
  flush_locked(frame);
  if (frame->aborted) {
    pthread_cond_broadcast(&frame->program->pool->quiet);
    return;
  }
  bool over = frame->tasks_left == 0 && frame->rows_left == 0 && frame->n_events == 0 && frame->flushed;
  if (over && !frame->done) tell_done_locked(frame);
}

static void add_relaxed(_Atomic int64_t *sum, int64_t more) {
  atomic_store_explicit(sum, atomic_load_explicit(sum, memory_order_relaxed) + more, memory_order_relaxed);
}

/* Sums, and the node's average when its last slice has run. */
static void measure_locked(struct braid_frame *frame, int task, const struct exec_times *times) {
  struct braid_program *program = frame->program;
  struct exec_measured *m = &program->measured;
  int index = step_of(program, task);
  struct exec_spent *spent = &frame->spent[index];
  atomic_store_explicit(&m->tasks, atomic_load_explicit(&m->tasks, memory_order_relaxed) + 1, memory_order_relaxed);
  add_relaxed(&m->run_ns, times->run_ns);
  add_relaxed(&m->wait_ns, times->begin_ns - times->ready_ns);
  add_relaxed(&m->profile_ns, program->expected_ns[task]);
  spent->ns += times->run_ns;
  if (++spent->slices < program->tasks->n_slices[program->tasks->task[task].node]) return;
  int64_t average_ns = atomic_load_explicit(&m->node[index].ns, memory_order_relaxed);
  atomic_store_explicit(&m->node[index].ns, exec_average_ns(average_ns, spent->ns), memory_order_relaxed);
}

void exec_frame_task_ended(struct braid_frame *frame, int task, const struct exec_times *times) {
  const struct braid_program *program = frame->program;
  const struct exec_task *t = &program->tasks->task[task];
  bool tells = program->tasks->role[t->node].sent && !program->serial;
  frame->n_running--;
  if (exec_frame_task_computes(frame, task)) measure_locked(frame, task, times);
  if (!frame->aborted) {
    int n_ready = release_next_locked(frame, task, times->end_ns);
    frame->tasks_left--;
    exec_pool_wake(program->pool, tells ? n_ready : n_ready - 1); /* this worker takes one itself */
    if (tells) tell_rows_locked(frame, t->node, t->band);
  }
  settle_locked(frame);
}

/* --------------------------------------------------------------------------------------- begin and end */

static enum braid_status take_arena(struct braid_program *program, struct braid_frame **out) {
  pthread_mutex_lock(&program->pool->mutex);
  struct braid_frame *frame = program->free_frame;
  if (frame) {
    program->free_frame = frame->next_free;
    program->n_in_use++;
  }
  pthread_mutex_unlock(&program->pool->mutex);
  if (!frame) return braid_fail(BRAID_EBUSY, "all %d arenas are in use", program->n_frames);
  *out = frame;
  return BRAID_OK;
}

static void reset(struct braid_frame *frame, uint64_t number, uint64_t order,
                  const struct braid_frame_events *events, void *ctx) {
  const struct exec_tasks *tasks = frame->program->tasks;
  frame->number = number;
  frame->order = order;
  frame->generation++;
  frame->events = *events;
  frame->ctx = ctx;
  frame->aborted = frame->done = false;
  frame->flushed = !frame->program->serial;
  frame->tasks_left = tasks->n_tasks;
  frame->rows_left = tasks->n_rows;
  frame->input_rows_left = tasks->n_input_rows;
  frame->n_running = frame->n_events = 0;
  memset(frame->arrived, 0, (size_t)tasks->n_rows * sizeof *frame->arrived);
  memset(frame->spent, 0, (size_t)frame->program->n_computed * sizeof *frame->spent);
  for (int i = 0; i < tasks->n_tasks; i++) frame->waits[i] = tasks->task[i].waits;
}

static int release_sources_locked(struct braid_frame *frame, int64_t now_ns) {
  const struct exec_tasks *tasks = frame->program->tasks;
  if (tasks->gated) return frame->rows_left == 0 ? release_all_locked(frame, now_ns) : 0;
  int n_ready = 0;
  for (int i = 0; i < tasks->n_tasks; i++)
    if (tasks->task[i].waits == 0) n_ready += release_locked(frame, i, 0, now_ns);
  return n_ready;
}

enum braid_status braid_frame_begin(struct braid_program *program, uint64_t number, uint64_t order,
                                    const struct braid_frame_events *events, void *ctx, struct braid_frame **out) {
  struct braid_frame *frame = NULL;
  BRAID_TRY(take_arena(program, &frame));
  struct braid_pool *pool = program->pool;
  pthread_mutex_lock(&pool->mutex);
  reset(frame, number, order, events, ctx);
  frame->in_use = true;
  *out = frame; /* before any event can come */
  exec_pool_wake(pool, release_sources_locked(frame, exec_now_ns()));
  settle_locked(frame);
  pthread_mutex_unlock(&pool->mutex);
  return BRAID_OK;
}

void braid_frame_end(struct braid_frame **frame) {
  struct braid_frame *f = *frame;
  if (!f) return;
  struct braid_program *program = f->program;
  pthread_mutex_lock(&program->pool->mutex);
  assert(f->in_use && (f->done || f->aborted) && f->n_running == 0 && f->n_events == 0);
  f->in_use = false;
  f->next_free = program->free_frame;
  program->free_frame = f;
  program->n_in_use--;
  pthread_mutex_unlock(&program->pool->mutex);
  *frame = NULL;
}

static bool is_busy_locked(const struct braid_frame *frame, uint64_t generation) {
  return frame->n_running > 0 || frame->n_events > 0 ||
         exec_pool_calls_done(frame->program->pool, frame, generation);
}

bool braid_frame_stop(struct braid_frame *frame) {
  struct braid_pool *pool = frame->program->pool;
  pthread_mutex_lock(&pool->mutex);
  frame->aborted = true;
  exec_pool_remove(pool, frame);
  bool busy = is_busy_locked(frame, frame->generation);
  pthread_mutex_unlock(&pool->mutex);
  return !busy;
}

void braid_frame_abort(struct braid_frame *frame) {
  struct braid_pool *pool = frame->program->pool;
  pthread_mutex_lock(&pool->mutex);
  uint64_t generation = frame->generation;
  frame->aborted = true;
  exec_pool_remove(pool, frame);
  while (is_busy_locked(frame, generation))
    pthread_cond_wait(&pool->quiet, &pool->mutex);
  pthread_mutex_unlock(&pool->mutex);
}

/* ---------------------------------------------------------------------------------------------- arrivals */

static enum braid_status check_rows_locked(const struct braid_frame *frame, const struct exec_source *source,
                                           struct braid_band band) {
  for (int row = band.begin; row < band.end; row++)
    if (frame->arrived[source->first_row + row]) return BRAID_EPROTO;
  return frame->aborted ? BRAID_ECLOSED : BRAID_OK;
}

static enum braid_status find_source(const struct braid_frame *frame, int node, struct braid_band band,
                                     const struct exec_source **out) {
  const struct exec_tasks *tasks = frame->program->tasks;
  if (node < 0 || node >= tasks->n_nodes || tasks->source_of[node] < 0)
    return braid_fail(BRAID_EPROTO, "frame %llu: node %d is not received here", (unsigned long long)frame->number,
                      node);
  const struct exec_source *source = &tasks->source[tasks->source_of[node]];
  if (band.begin < 0 || band.begin >= band.end || band.end > source->rows)
    return braid_fail(BRAID_EPROTO, "frame %llu: node %d has %d rows, not rows %d to %d",
                      (unsigned long long)frame->number, node, source->rows, band.begin, band.end);
  *out = source;
  return BRAID_OK;
}

static enum braid_status refuse_rows(enum braid_status status, const struct braid_frame *frame, int node,
                                     struct braid_band band) {
  if (status == BRAID_EPROTO)
    return braid_fail(status, "frame %llu: rows %d to %d of node %d have arrived before",
                      (unsigned long long)frame->number, band.begin, band.end, node);
  return braid_fail(status, "frame %llu has been aborted", (unsigned long long)frame->number);
}

enum braid_status braid_frame_expects(const struct braid_frame *frame, int node, struct braid_band band) {
  const struct exec_source *source = NULL;
  BRAID_TRY(find_source(frame, node, band, &source));
  pthread_mutex_lock(&frame->program->pool->mutex);
  enum braid_status status = check_rows_locked(frame, source, band);
  pthread_mutex_unlock(&frame->program->pool->mutex);
  return status == BRAID_OK ? BRAID_OK : refuse_rows(status, frame, node, band);
}

static void arrive_locked(struct braid_frame *frame, const struct exec_source *source, struct braid_band band,
                          int64_t now_ns) {
  const struct braid_program *program = frame->program;
  int rows = band.end - band.begin;
  for (int row = band.begin; row < band.end; row++) frame->arrived[source->first_row + row] = true;
  frame->rows_left -= rows;
  if (source->is_input) frame->input_rows_left -= rows;
  int n_ready = release_rows_locked(frame, source, band, now_ns);
  if (program->tasks->gated && frame->rows_left == 0) n_ready += release_all_locked(frame, now_ns);
  exec_pool_wake(program->pool, n_ready);
  if (program->tasks->role[source->node].sent && !program->serial) tell_rows_locked(frame, source->node, band);
  settle_locked(frame);
}

enum braid_status braid_frame_arrived(struct braid_frame *frame, int node, struct braid_band band) {
  const struct exec_source *source = NULL;
  BRAID_TRY(find_source(frame, node, band, &source));
  struct braid_pool *pool = frame->program->pool;
  int64_t now_ns = exec_now_ns();
  pthread_mutex_lock(&pool->mutex);
  enum braid_status status = check_rows_locked(frame, source, band);
  if (status == BRAID_OK) arrive_locked(frame, source, band, now_ns);
  pthread_mutex_unlock(&pool->mutex);
  return status == BRAID_OK ? BRAID_OK : refuse_rows(status, frame, node, band);
}

/* ---------------------------------------------------------------------------------------------- reading */

uint64_t braid_frame_number(const struct braid_frame *frame) {
  return frame->number;
}

void *braid_frame_ctx(const struct braid_frame *frame) {
  return frame->ctx;
}

struct braid_program *braid_frame_program(const struct braid_frame *frame) {
  return frame->program;
}

struct braid_tensor braid_frame_tensor(const struct braid_frame *frame, int node) {
  const struct braid_node *n = braid_graph_node(frame->program->graph, node);
  size_t offset = frame->program->memory->offset[node];
  return (struct braid_tensor){offset == EXEC_NOWHERE ? NULL : frame->arena + offset, n->dtype, n->shape};
}
