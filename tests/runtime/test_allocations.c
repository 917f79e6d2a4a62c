/* SPDX-License-Identifier: Apache-2.0
 * Who allocates while frames run? Every call of the malloc family is counted, by the name of the thread, in the
 * libraries underneath, too. The executor allocates nothing once it is warm; nor do the workers of a session. What a
 * session's other threads allocate (answers, payloads) is printed, and must be freed. The sanitizers have a malloc of
 * their own: under them the frames run uncounted. */
#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/prctl.h>

#include "random_graph.h"
#include "session_rig.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define COUNTS 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define COUNTS 0
#endif
#endif
#ifndef COUNTS
#define COUNTS 1
#endif

enum { WARM_UP = 50, FRAMES = 1000, THREADS = 32, WINDOW = 3, LEAK_BYTES = 64 * FRAMES };

/* ------------------------------------------------------------------------------------------------ counting */

static atomic_bool counting;
static struct {
  char name[16];
  long calls;
} by_thread[THREADS]; /* guarded by the spin lock */
static int n_threads;

#if COUNTS
static atomic_flag spin = ATOMIC_FLAG_INIT;

/* May allocate nothing itself. */
static void count(void) {
  char name[16] = "";
  prctl(PR_GET_NAME, name, 0, 0, 0);
  while (atomic_flag_test_and_set(&spin)) continue;
  int i = 0;
  while (i < n_threads && strcmp(by_thread[i].name, name) != 0) i++;
  if (i == n_threads && n_threads < THREADS) memcpy(by_thread[n_threads++].name, name, sizeof name);
  if (i < THREADS) by_thread[i].calls++;
  atomic_flag_clear(&spin);
}

extern void *__libc_malloc(size_t bytes);
extern void *__libc_calloc(size_t n, size_t bytes);
extern void *__libc_realloc(void *p, size_t bytes);
extern void *__libc_memalign(size_t alignment, size_t bytes);

void *malloc(size_t bytes) {
  if (atomic_load(&counting)) count();
  return __libc_malloc(bytes);
}

void *calloc(size_t n, size_t bytes) {
  if (atomic_load(&counting)) count();
  return __libc_calloc(n, bytes);
}

void *realloc(void *p, size_t bytes) {
  if (atomic_load(&counting)) count();
  return __libc_realloc(p, bytes);
}

void *aligned_alloc(size_t alignment, size_t bytes) {
  if (atomic_load(&counting)) count();
  return __libc_memalign(alignment, bytes);
}

int posix_memalign(void **p, size_t alignment, size_t bytes) {
  if (atomic_load(&counting)) count();
  *p = __libc_memalign(alignment, bytes);
  return *p ? 0 : 12;
}
#endif

static size_t bytes_in_use(void) {
  struct mallinfo2 info = mallinfo2();
  return info.uordblks + info.hblkhd;
}

static void start_counting(void) {
  n_threads = 0;
  memset(by_thread, 0, sizeof by_thread);
  atomic_store(&counting, true);
}

static bool is_worker(const char *name) {
  const char *dash = strrchr(name, '-');
  return dash && dash[1] == 'w';
}

/* Prints all; returns the calls of pool workers (`workers`), or of everybody. */
static long stop_counting(const char *what, bool workers) {
  atomic_store(&counting, false);
  long sum = 0;
  for (int i = 0; i < n_threads; i++) {
    if (!workers || is_worker(by_thread[i].name)) sum += by_thread[i].calls;
    printf("    %s: %s allocates %ld times in %d frames\n", what, by_thread[i].name, by_thread[i].calls, FRAMES);
  }
  return sum;
}

/* The hook must see what it is there to see. */
static void hook_works(void) {
  if (!COUNTS) return;
  start_counting();
  void *volatile p = malloc(10);
  free(p);
  p = braid_alloc_aligned(100);
  braid_free(p);
  long calls = stop_counting("the hook", false);
  CHECK(calls >= 2 * (long)COUNTS, "%ld calls seen", calls);
}

/* -------------------------------------------------------------------------------------------------- exec */

struct pair {
  struct braid_frame *edge, *cloud;
  pthread_mutex_t mutex;
  pthread_cond_t cond;
  int done; /* mutex */
};

/* The link: rows go over in the callback. */
static void carry(struct braid_frame *from, struct braid_frame *to, int node, struct braid_band band) {
  char wire[8192];
  struct braid_tensor source = braid_frame_tensor(from, node), target = braid_frame_tensor(to, node);
  CHECK(braid_band_bytes(&source.shape, source.dtype, band) <= sizeof wire, "rows of node %d are too long", node);
  braid_band_pack(&source, band, wire);
  MUST(braid_frame_expects(to, node, band));
  braid_band_unpack(&target, band, wire);
  MUST(braid_frame_arrived(to, node, band));
}

static void edge_rows(void *ctx, struct braid_frame *frame, int node, struct braid_band band) {
  carry(frame, ((struct pair *)ctx)->cloud, node, band);
}

static void cloud_rows(void *ctx, struct braid_frame *frame, int node, struct braid_band band) {
  carry(frame, ((struct pair *)ctx)->edge, node, band);
}

static void one_done(void *ctx, struct braid_frame *frame) {
  (void)frame;
  struct pair *p = ctx;
  pthread_mutex_lock(&p->mutex);
  p->done++;
  pthread_cond_signal(&p->cond);
  pthread_mutex_unlock(&p->mutex);
}

static void run_pair(struct pair *p, struct braid_program *edge, struct braid_program *cloud,
                     const struct rig_sample *sample, int input) {
  static const struct braid_frame_events edge_events = {edge_rows, one_done}, cloud_events = {cloud_rows, one_done};
  p->done = 0;
  MUST(braid_frame_begin(cloud, 1, 1, &cloud_events, p, &p->cloud));
  MUST(braid_frame_begin(edge, 1, 1, &edge_events, p, &p->edge));
  struct braid_tensor in = braid_frame_tensor(p->edge, input);
  struct braid_band all = {0, braid_slice_rows(&in.shape)};
  memcpy(in.data, sample->in[0].data, braid_band_bytes(&in.shape, in.dtype, all));
  MUST(braid_frame_arrived(p->edge, input, all));
  pthread_mutex_lock(&p->mutex);
  while (p->done < 2) pthread_cond_wait(&p->cond, &p->mutex);
  pthread_mutex_unlock(&p->mutex);
  braid_frame_end(&p->edge);
  braid_frame_end(&p->cloud);
}

/* A pool with two workers that runs both halves and everything alone. */
static void exec_frames(const struct braid_graph *graph, const struct braid_plan *plan,
                        const struct rig_sample *sample) {
  rig_case("frames of the executor allocate nothing", 120);
  struct braid_pool *pool;
  struct braid_program *edge, *cloud, *alone;
  MUST(braid_pool_create(&(struct braid_pool_opts){.workers = 2, .name = "exec"}, &pool));
  struct braid_program_opts opts = {.here = BRAID_EDGE, .frames = 2, .cpu_flags = braid_cpu_flags()};
  MUST(braid_program_create(pool, graph, plan, &opts, &edge));
  MUST(braid_program_create(pool, graph, NULL, &opts, &alone));
  opts.here = BRAID_CLOUD;
  MUST(braid_program_create(pool, graph, plan, &opts, &cloud));
  struct pair p = {.mutex = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER};
  int n, input = braid_graph_inputs(graph, &n)[0];
  for (int i = 0; i < WARM_UP + FRAMES; i++) {
    if (i == WARM_UP) start_counting();
    run_pair(&p, edge, cloud, sample, input);
    MUST(braid_program_run(alone, sample->in, sample->n_in, sample->out, sample->n_out));
  }
  long calls = stop_counting("exec", false);
  CHECK(calls == 0, "%ld allocations in %d frames", calls, FRAMES);
  braid_program_destroy(&edge);
  braid_program_destroy(&cloud);
  braid_program_destroy(&alone);
  braid_pool_destroy(&pool);
}

/* ----------------------------------------------------------------------------------------------- session */

static void session_frames(const struct braid_graph *graph, const struct braid_plan *plan, struct rig_sample *sample) {
  rig_case("workers of a session allocate nothing, the others give all back", 120);
  struct rig_cloud *cloud = rig_cloud_start("inproc", graph, NULL);
  struct braid_edge_opts opts = rig_edge_opts(cloud, plan, WINDOW);
  struct braid_edge *edge;
  MUST(braid_edge_start(graph, &opts, &edge));
  rig_run_frames(edge, &sample, 1, WARM_UP, WINDOW);
  size_t before = bytes_in_use();
  start_counting();
  rig_run_frames(edge, &sample, 1, FRAMES, WINDOW);
  long calls = stop_counting("session", true);
  size_t after = bytes_in_use();
  CHECK(calls == 0, "workers allocated %ld times in %d frames", calls, FRAMES);
  if (COUNTS) CHECK(after < before + LEAK_BYTES, "%zu bytes in use have become %zu", before, after);
  braid_edge_stop(&edge);
  rig_cloud_stop(cloud);
}

int main(void) {
  rig_case("the hook", 10);
  hook_works();
  struct braid_graph *graph = rig_graph(11, 14, RANDOM_GRAPH_WEIGHTS);
  struct braid_plan *plan = rig_plan(graph, 11, false);
  plan->serial = false;
  struct rig_sample *sample = rig_sample(graph, 1);
  CHECK(sample->n_in == 1, "one input is wanted");
  exec_frames(graph, plan, sample);
  rig_sample_free(sample);
  sample = rig_sample(graph, 1); /* answers of reference kernels, as the session gives */
  session_frames(graph, plan, sample);
  rig_sample_free(sample);
  braid_plan_destroy(&plan);
  braid_graph_destroy(&graph);
  rig_done();
  return 0;
}
