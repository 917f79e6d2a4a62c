/* SPDX-License-Identifier: Apache-2.0
 *
 * Worker threads and the heap they live on.
 *
 * Every worker waits on a condition of its own, so that who is woken is ours to say, and because glibc before 2.41 can
 * lose a signal when several threads wait on one condition (its bug 25847): a task would lie there for ever.
 *
 * Emulated slow device: after a task has taken t of this thread's time, the worker stays busy until its own clock says
 * so, busy_until = (begin, or busy_until where the worker did not have to wait for the task) + slow * t an absolute
 * time: what one sleep overshoots, the next one is shorter, so the work takes slow * t. */
#include "exec/pool.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>

#include "exec/program.h"

enum { MAX_LAG_NS = 100000000, SPIN_NS = 300000, PAUSES = 32 };

/* ------------------------------------------------------------------------------------------------- heap */

static bool more_urgent(const struct exec_ready *a, const struct exec_ready *b) {
  if (a->order != b->order) return a->order < b->order;
  if (a->rank != b->rank) return a->rank < b->rank;
  return a->slice < b->slice;
}

static void sift_up(struct exec_ready *heap, int i) {
  struct exec_ready item = heap[i];
  for (; i > 0 && more_urgent(&item, &heap[(i - 1) / 2]); i = (i - 1) / 2) heap[i] = heap[(i - 1) / 2];
  heap[i] = item;
}

static void sift_down(struct exec_ready *heap, int n, int i) {
  struct exec_ready item = heap[i];
  for (int child = 2 * i + 1; child < n; child = 2 * i + 1) {
    if (child + 1 < n && more_urgent(&heap[child + 1], &heap[child])) child++;
    if (!more_urgent(&heap[child], &item)) break;
    heap[i] = heap[child];
    i = child;
  }
  heap[i] = item;
}

void exec_pool_push(struct braid_pool *pool, const struct exec_ready *ready) {
  assert(pool->n_ready < pool->capacity);
  pool->heap[pool->n_ready] = *ready;
  sift_up(pool->heap, pool->n_ready++);
}

/* The most urgent task. Among the slices of one node a worker takes its own: the rows it reads are those which this
 * worker's slice of the node before has left in its cache. */
static int most_urgent(const struct braid_pool *pool, int worker) {
  const struct exec_ready *top = &pool->heap[0];
  int n = pool->n_ready < 2 * pool->n_workers ? pool->n_ready : 2 * pool->n_workers;
  for (int i = 0; i < n; i++) {
    const struct exec_ready *r = &pool->heap[i];
    if (r->frame == top->frame && r->rank == top->rank && r->slice % pool->n_workers == worker) return i;
  }
  return 0;
}

static struct exec_ready pop(struct braid_pool *pool, int worker) {
  int i = most_urgent(pool, worker), last = --pool->n_ready;
  struct exec_ready taken = pool->heap[i];
  if (i == last) return taken;
  pool->heap[i] = pool->heap[last];
  sift_down(pool->heap, last, i);
  sift_up(pool->heap, i);
  return taken;
}

void exec_pool_remove(struct braid_pool *pool, const struct braid_frame *frame) {
  int n = 0;
  for (int i = 0; i < pool->n_ready; i++)
    if (pool->heap[i].frame != frame) pool->heap[n++] = pool->heap[i];
  pool->n_ready = n;
  for (int i = n / 2 - 1; i >= 0; i--) sift_down(pool->heap, n, i);
}

void exec_pool_wake(struct braid_pool *pool, int tasks) {
  for (struct exec_worker *w; tasks > 0 && (w = pool->idle); tasks--) {
    pool->idle = w->next_idle;
    w->idle = false;
    pthread_cond_signal(&w->work);
  }
}

bool exec_pool_calls_done(const struct braid_pool *pool, const struct braid_frame *frame, uint64_t generation) {
  for (const struct exec_done_call *call = pool->done_calls; call; call = call->next)
    if (call->frame == frame && call->generation == generation) return true;
  return false;
}

enum braid_status exec_pool_reserve(struct braid_pool *pool, int tasks) {
  enum braid_status status = BRAID_OK;
  pthread_mutex_lock(&pool->mutex);
  int wanted;
  if (__builtin_add_overflow(pool->reserved, tasks, &wanted))
    status = braid_fail(BRAID_EINVAL, "%d tasks more than the %d there are would be too many", tasks, pool->reserved);
  if (status == BRAID_OK && wanted > pool->capacity) {
    struct exec_ready *heap = braid_realloc(pool->heap, (size_t)wanted * sizeof *heap);
    if (heap) {
      pool->heap = heap;
      pool->capacity = wanted;
    } else {
      status = braid_fail(BRAID_ENOMEM, "no memory for %d ready tasks", wanted);
    }
  }
  if (status == BRAID_OK) pool->reserved = wanted;
  pthread_mutex_unlock(&pool->mutex);
  return status;
}

void exec_pool_unreserve(struct braid_pool *pool, int tasks) {
  pthread_mutex_lock(&pool->mutex);
  pool->reserved -= tasks;
  pthread_mutex_unlock(&pool->mutex);
}

void exec_pool_count_arenas(struct braid_pool *pool, int64_t bytes) {
  atomic_fetch_add_explicit(&pool->arena_bytes, (size_t)bytes, memory_order_relaxed);
}

/* ---------------------------------------------------------------------------------------------- workers */

static int64_t clock_ns(clockid_t clock) {
  struct timespec t;
  clock_gettime(clock, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

int64_t exec_now_ns(void) {
  return clock_ns(CLOCK_MONOTONIC);
}

static void sleep_until(int64_t ns) {
  struct timespec t = {.tv_sec = (time_t)(ns / 1000000000), .tv_nsec = (long)(ns % 1000000000)};
  while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR) continue;
}

/* Where the emulated device's time stands when it begins a task: a worker that had to wait begins now; one that went on
 * from task to task begins when its last task ended on the device, so neither the overshoot of sleeps nor the time
 * between tasks adds up. A host that fell far behind is not caught up with for ever. */
static int64_t virtual_begin_ns(const struct exec_worker *worker, int64_t now_ns) {
  if (worker->waited || worker->busy_until_ns > now_ns) return now_ns;
  return worker->busy_until_ns > now_ns - MAX_LAG_NS ? worker->busy_until_ns : now_ns;
}

static struct exec_times run_timed(const struct exec_worker *worker, const struct exec_ready *ready) {
  const struct braid_pool *pool = worker->pool;
  bool cpu = pool->on_task || pool->slow > 1; /* that clock is a system call */
  struct exec_times t = {.ready_ns = ready->ready_ns, .begin_ns = exec_now_ns()};
  int64_t cpu_begin_ns = cpu ? clock_ns(CLOCK_THREAD_CPUTIME_ID) : 0;
  exec_frame_run_task(ready->frame, ready->task, worker->index);
  if (cpu) t.cpu_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID) - cpu_begin_ns;
  t.end_ns = exec_now_ns();
  t.run_ns = t.end_ns - t.begin_ns;
  return t;
}

/* Where nothing better is known the device works for `slow` times as long as the thread did: what other processes took
 * from the host is not the device's. */
static void be_slow(struct exec_worker *worker, const struct exec_ready *ready, struct exec_times *t) {
  int64_t device_ns = exec_frame_emulated_ns(ready->frame, ready->task);
  if (device_ns == 0) device_ns = llrint((double)t->cpu_ns * worker->pool->slow);
  if (t->run_ns < device_ns) t->run_ns = device_ns;
  worker->busy_until_ns = virtual_begin_ns(worker, t->begin_ns) + device_ns;
  if (worker->busy_until_ns <= t->end_ns) return;
  sleep_until(worker->busy_until_ns);
  t->end_ns = worker->busy_until_ns;
}

static struct exec_times run(struct exec_worker *worker, const struct exec_ready *ready) {
  const struct braid_pool *pool = worker->pool;
  const struct braid_frame *frame = ready->frame;
  struct exec_times times = run_timed(worker, ready);
  if (!exec_frame_task_computes(frame, ready->task)) return times;
  if (pool->slow > 1) be_slow(worker, ready, &times);
  const struct exec_task *task = &frame->program->tasks->task[ready->task];
  if (pool->on_task) pool->on_task(pool->on_task_ctx, task->node, &times);
  braid_trace_span(pool->trace, worker->lane, braid_graph_node(frame->program->graph, task->node)->name, frame->number,
                   task->node, task->band, times.begin_ns, times.end_ns);
  return times;
}

static inline void pause_cpu(void) {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

/* While another worker is at a task there is likely to be one for this worker in a moment, sooner than the kernel could
 * wake it: slices of one node end together. Without the mutex; nobody need wake who is not idle yet. */
static void spin_for_task(struct braid_pool *pool) {
  int64_t until_ns = exec_now_ns() + SPIN_NS;
  while (atomic_load_explicit(&pool->n_ready, memory_order_relaxed) == 0 &&
         atomic_load_explicit(&pool->n_running, memory_order_relaxed) > 0 && exec_now_ns() < until_ns)
    for (int i = 0; i < PAUSES; i++) pause_cpu();
}

static bool worth_spinning(const struct braid_pool *pool) {
  return pool->n_workers > 1 && pool->n_running > 0 && pool->slow <= 1;
}

/* Until somebody takes it off the list of idle workers, or the pool stops. */
static void fall_idle_locked(struct exec_worker *worker) {
  struct braid_pool *pool = worker->pool;
  worker->next_idle = pool->idle;
  worker->idle = true;
  pool->idle = worker;
  while (worker->idle && !pool->stop) pthread_cond_wait(&worker->work, &pool->mutex);
}

static void *worker_main(void *arg) {
  struct exec_worker *worker = arg;
  struct braid_pool *pool = worker->pool;
  pthread_setname_np(pthread_self(), worker->name);
  if (pool->slow > 1) prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL);
  if (pool->pinned) braid_pin_this_thread(&worker->where);
  pthread_mutex_lock(&pool->mutex);
  for (;;) {
    worker->waited = pool->n_ready == 0;
    if (pool->n_ready == 0 && !pool->stop && worth_spinning(pool)) {
      pthread_mutex_unlock(&pool->mutex);
      spin_for_task(pool);
      pthread_mutex_lock(&pool->mutex);
    }
    while (pool->n_ready == 0 && !pool->stop) fall_idle_locked(worker);
    if (pool->stop) break;
    struct exec_ready ready = pop(pool, worker->index);
    ready.frame->n_running++;
    pool->n_running++;
    pthread_mutex_unlock(&pool->mutex);
    struct exec_times times = run(worker, &ready);
    pthread_mutex_lock(&pool->mutex);
    pool->busy_ns += times.end_ns - times.begin_ns;
    pool->n_run++;
    pool->n_running--;
    exec_frame_task_ended(ready.frame, ready.task, &times);
  }
  pthread_mutex_unlock(&pool->mutex);
  return NULL;
}

/* ------------------------------------------------------------------------------------- create and destroy */

static enum braid_status check_opts(const struct braid_pool_opts *opts) {
  if (opts->workers < 1) return braid_fail(BRAID_EINVAL, "a pool needs at least one worker, not %d", opts->workers);
  if (opts->slow != 0 && !(opts->slow >= 1 && opts->slow <= 1e6))
    return braid_fail(BRAID_EINVAL, "a device can be emulated 1 to 1000000 times slower, not %g times", opts->slow);
  if (opts->pin && opts->pin->n_workers < opts->workers)
    return braid_fail(BRAID_EINVAL, "%d workers, but the pinning names %d", opts->workers, opts->pin->n_workers);
  return BRAID_OK;
}

static enum braid_status copy_pinning(struct braid_pool *pool, const struct braid_pin *pin) {
  pool->pinned = pin && pin->applies;
  for (int i = 0; pool->pinned && i < pool->n_workers; i++) {
    struct braid_pin_thread *where = &pool->worker[i].where;
    *where = pin->worker[i];
    where->cpuset = NULL;
    if (!pin->worker[i].cpuset) continue;
    where->cpuset = braid_strdup(pin->worker[i].cpuset);
    if (!where->cpuset) return braid_fail(BRAID_ENOMEM, "no memory for the pinning");
  }
  return BRAID_OK;
}

/* "<pool>-w<index>" in the 15 characters that the kernel gives a thread: the pool's name is cut, never the number. */
static void name_worker(struct exec_worker *worker, const char *pool_name) {
  char tail[16];
  int n = snprintf(tail, sizeof tail, "-w%d", worker->index);
  size_t tail_bytes = (size_t)n + 1, room = sizeof worker->name - tail_bytes;
  size_t head = strnlen(pool_name ? pool_name : "braid", room);
  memcpy(worker->name, pool_name ? pool_name : "braid", head);
  memcpy(worker->name + head, tail, tail_bytes);
}

static void stop_workers(struct braid_pool *pool, int n_started) {
  pthread_mutex_lock(&pool->mutex);
  pool->stop = true;
  for (int i = 0; i < n_started; i++) pthread_cond_signal(&pool->worker[i].work);
  pthread_mutex_unlock(&pool->mutex);
  for (int i = 0; i < n_started; i++) pthread_join(pool->worker[i].thread, NULL);
}

static enum braid_status start_workers(struct braid_pool *pool) {
  for (int i = 0; i < pool->n_workers; i++) {
    int error = pthread_create(&pool->worker[i].thread, NULL, worker_main, &pool->worker[i]);
    if (error == 0) continue;
    stop_workers(pool, i);
    return braid_fail(BRAID_ENOMEM, "thread %s cannot be started: %s", pool->worker[i].name, strerror(error));
  }
  return BRAID_OK;
}

static void release(struct braid_pool **pool) {
  struct braid_pool *p = *pool;
  for (int i = 0; p->worker && i < p->n_workers; i++) {
    braid_free(p->worker[i].where.cpuset);
    pthread_cond_destroy(&p->worker[i].work);
  }
  pthread_mutex_destroy(&p->mutex);
  pthread_mutex_destroy(&p->arenas_mutex);
  pthread_cond_destroy(&p->quiet);
  exec_weights_fini(&p->weights);
  braid_free(p->worker);
  braid_free(p->heap);
  braid_free(p);
  *pool = NULL;
}

static enum braid_status prepare(struct braid_pool *pool, const struct braid_pool_opts *opts) {
  pool->worker = braid_calloc((size_t)opts->workers, sizeof *pool->worker);
  if (!pool->worker) return braid_fail(BRAID_ENOMEM, "no memory for %d workers", opts->workers);
  pool->n_workers = opts->workers;
  for (int i = 0; i < pool->n_workers; i++) pthread_cond_init(&pool->worker[i].work, NULL);
  pool->slow = opts->slow == 0 ? 1 : opts->slow;
  pool->trace = opts->trace;
  pool->choices = opts->choices;
  BRAID_TRY(copy_pinning(pool, opts->pin));
  for (int i = 0; i < pool->n_workers; i++) {
    struct exec_worker *worker = &pool->worker[i];
    worker->pool = pool;
    worker->index = i;
    name_worker(worker, opts->name);
    worker->lane = opts->trace ? braid_trace_lane(opts->trace, worker->name) : -1;
  }
  return start_workers(pool);
}

enum braid_status braid_pool_create(const struct braid_pool_opts *opts, struct braid_pool **out) {
  BRAID_TRY(check_opts(opts));
  struct braid_pool *pool = braid_calloc(1, sizeof *pool);
  if (!pool) return braid_fail(BRAID_ENOMEM, "no memory for a pool");
  pthread_mutex_init(&pool->mutex, NULL);
  pthread_mutex_init(&pool->arenas_mutex, NULL);
  pthread_cond_init(&pool->quiet, NULL);
  exec_weights_init(&pool->weights);
  enum braid_status status = prepare(pool, opts);
  if (status != BRAID_OK) {
    release(&pool);
    return status;
  }
  *out = pool;
  return BRAID_OK;
}

void braid_pool_destroy(struct braid_pool **pool) {
  if (!*pool) return;
  assert((*pool)->reserved == 0 && braid_pool_arena_bytes(*pool) == 0); /* programs and arenas first */
  stop_workers(*pool, (*pool)->n_workers);
  release(pool);
}

int braid_pool_workers(const struct braid_pool *pool) {
  return pool->n_workers;
}

void braid_pool_stats(struct braid_pool *pool, struct braid_pool_stats *out) {
  pthread_mutex_lock(&pool->mutex);
  *out = (struct braid_pool_stats){pool->n_workers, pool->n_ready, pool->busy_ns, pool->n_run};
  pthread_mutex_unlock(&pool->mutex);
}

size_t braid_pool_packed_bytes(struct braid_pool *pool) {
  return exec_weights_bytes(&pool->weights);
}

size_t braid_pool_arena_bytes(const struct braid_pool *pool) {
  return atomic_load_explicit(&pool->arena_bytes, memory_order_relaxed);
}
