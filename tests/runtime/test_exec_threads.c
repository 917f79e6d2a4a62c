/* SPDX-License-Identifier: Apache-2.0
 * The executor under the thread sanitizer (Criterion does not survive it, so this is a plain program): many frames,
 * workers, an edge and a cloud, several programs in one pool, and aborts at any moment. Reference kernels only:
 * OpenBLAS is not instrumented. */
#include <pthread.h>
#include <string.h>

#include "exec_help.h"
#include "random_graph.h"

static struct braid_graph *sealed(uint64_t seed, int n_nodes) {
  struct braid_graph *graph = random_graph(seed, n_nodes, (unsigned)seed % RANDOM_GRAPH_FLAGS);
  ensure_ok(braid_graph_seal(graph, BRAID_PASS_ALL));
  return graph;
}

/* ------------------------------------------------------------------------------ many frames, two sites */

static void frames_in_flight(uint64_t seed) {
  enum { FRAMES = 6 };
  struct dice dice = {seed, 0};
  struct braid_graph *graph = sealed(seed, 15);
  struct io want[FRAMES], got[FRAMES];
  for (int i = 0; i < FRAMES; i++) {
    io_make(graph, seed + 100 * (uint64_t)i, &want[i]);
    io_make(graph, seed + 100 * (uint64_t)i, &got[i]);
    run_reference(graph, &want[i]);
  }
  struct braid_plan *plan = random_plan(graph, &dice, seed % 2 ? SPLIT_ANY : SPLIT_CLOSED);
  run_split(graph, plan, 3, seed, got, FRAMES);
  for (int i = 0; i < FRAMES; i++) {
    ensure(io_difference(&want[i], &got[i]) < 0, "frame %d differs (seed %llu)", i, (unsigned long long)seed);
    io_free(&want[i]);
    io_free(&got[i]);
  }
  braid_plan_destroy(&plan);
  braid_graph_destroy(&graph);
}

/* -------------------------------------------------------------------------- several callers, one pool */

struct caller {
  struct braid_pool *pool;
  uint64_t seed;
  int runs;
};

static void *call(void *arg) {
  const struct caller *c = arg;
  struct braid_graph *graph = sealed(c->seed, 12);
  struct io want, got;
  io_make(graph, c->seed, &want);
  io_make(graph, c->seed, &got);
  run_reference(graph, &want);
  for (int i = 0; i < c->runs; i++) {
    struct braid_program *program = make_program(c->pool, graph, NULL, BRAID_EDGE, 2, 0);
    ensure_ok(braid_program_run(program, got.in, got.n_in, got.out, got.n_out));
    ensure(io_difference(&want, &got) < 0, "run %d differs", i);
    braid_program_destroy(&program);
  }
  io_free(&want);
  io_free(&got);
  braid_graph_destroy(&graph);
  return NULL;
}

static void callers_share_a_pool(uint64_t seed) {
  enum { CALLERS = 4 };
  struct caller c[CALLERS];
  pthread_t thread[CALLERS];
  struct braid_pool *pool = make_pool(3);
  for (int i = 0; i < CALLERS; i++) {
    c[i] = (struct caller){pool, seed + (uint64_t)i, 10};
    ensure(pthread_create(&thread[i], NULL, call, &c[i]) == 0, "no thread");
  }
  for (int i = 0; i < CALLERS; i++) pthread_join(thread[i], NULL);
  braid_pool_destroy(&pool);
}

/* --------------------------------------------------------------------- several compilers, one graph */

struct compiler {
  struct braid_pool *pool;
  const struct braid_graph *graph;
  const struct io *want;
  struct io got;
};

/* Programs come and go on all threads; what they share must be there as long as one of them runs. */
static void *compile_and_run(void *arg) {
  struct compiler *c = arg;
  for (int i = 0; i < 15; i++) {
    struct braid_program *program = make_program(c->pool, c->graph, NULL, BRAID_EDGE, 1, 0);
    ensure_ok(braid_program_run(program, c->got.in, c->got.n_in, c->got.out, c->got.n_out));
    ensure(io_difference(c->want, &c->got) < 0, "run %d differs", i);
    braid_program_destroy(&program);
  }
  return NULL;
}

/* ------------------------------------------------------------------------ reading times as they change */

static void *read_times(void *arg) {
  const struct braid_program *program = arg;
  struct braid_program_times times = {0}, before = {0};
  int64_t node_ns[64];
  for (before.node_ns = times.node_ns = node_ns; times.tasks < 40; before = times) {
    braid_program_times(program, &times);
    ensure(times.tasks >= before.tasks && times.run_ns >= before.run_ns && times.wait_ns >= before.wait_ns,
           "a sum has shrunk");
  }
  return NULL;
}

static void times_while_running(uint64_t seed) {
  struct braid_graph *graph = sealed(seed, 15);
  ensure(braid_graph_size(graph) <= 64, "room for %d nodes", braid_graph_size(graph));
  struct braid_pool *pool = make_pool(3);
  struct braid_program *program = make_program(pool, graph, NULL, BRAID_EDGE, 1, 0);
  struct io io;
  io_make(graph, seed, &io);
  pthread_t thread;
  ensure(pthread_create(&thread, NULL, read_times, program) == 0, "no thread");
  for (int i = 0; i < 60; i++) ensure_ok(braid_program_run(program, io.in, io.n_in, io.out, io.n_out));
  pthread_join(thread, NULL);
  io_free(&io);
  braid_program_destroy(&program);
  braid_pool_destroy(&pool);
  braid_graph_destroy(&graph);
}

static void compilers_share_weights(uint64_t seed) {
  enum { COMPILERS = 4 };
  struct compiler c[COMPILERS];
  pthread_t thread[COMPILERS];
  struct braid_graph *graph = sealed(seed, 12);
  struct braid_pool *pool = make_pool(2);
  struct io want;
  io_make(graph, seed, &want);
  run_reference(graph, &want);
  for (int i = 0; i < COMPILERS; i++) {
    c[i] = (struct compiler){.pool = pool, .graph = graph, .want = &want};
    io_make(graph, seed, &c[i].got);
    ensure(pthread_create(&thread[i], NULL, compile_and_run, &c[i]) == 0, "no thread");
  }
  for (int i = 0; i < COMPILERS; i++) {
    pthread_join(thread[i], NULL);
    io_free(&c[i].got);
  }
  ensure(braid_pool_packed_bytes(pool) == 0, "weights are left");
  io_free(&want);
  braid_pool_destroy(&pool);
  braid_graph_destroy(&graph);
}

/* -------------------------------------------------------------------------------------------- aborting */

struct watched {
  pthread_mutex_t mutex; /* guards the rest */
  bool aborted;
  int done;
};

static void note(struct watched *w, bool done) {
  pthread_mutex_lock(&w->mutex);
  ensure(!w->aborted, "an event after braid_frame_abort had returned");
  w->done += done;
  pthread_mutex_unlock(&w->mutex);
}

static void on_rows(void *ctx, struct braid_frame *frame, int node, struct braid_band band) {
  struct braid_tensor t = braid_frame_tensor(frame, node);
  size_t bytes = braid_band_bytes(&t.shape, t.dtype, band);
  char *copy = malloc(bytes ? bytes : 1);
  braid_band_pack(&t, band, copy); /* TSan sees whether the rows are still being written */
  free(copy);
  note(ctx, false);
}

static void on_done(void *ctx, struct braid_frame *frame) {
  (void)frame;
  note(ctx, true);
}

static void abort_at_any_moment(uint64_t seed) {
  static const struct braid_frame_events events = {on_rows, on_done};
  struct dice dice = {seed, 0};
  struct braid_graph *graph = sealed(seed, 15);
  struct braid_plan *plan = random_plan(graph, &dice, SPLIT_CLOSED);
  struct braid_pool *pool = make_pool(3);
  struct braid_program *program = make_program(pool, graph, plan, BRAID_EDGE, 1, 0);
  struct io io;
  io_make(graph, seed, &io);
  int n;
  const int *inputs = braid_graph_inputs(graph, &n);
  for (int round = 0; round < 30; round++) {
    struct watched w = {.mutex = PTHREAD_MUTEX_INITIALIZER};
    struct braid_frame *frame;
    ensure_ok(braid_frame_begin(program, 1, 1, &events, &w, &frame));
    for (int i = 0; i < n && roll(&dice, 10); i++) {
      struct braid_tensor t = braid_frame_tensor(frame, inputs[i]);
      int rows = braid_slice_rows(&t.shape), some = 1 + roll(&dice, rows);
      struct braid_band band = {0, some};
      char *wire = malloc(braid_band_bytes(&t.shape, t.dtype, band));
      braid_band_pack(&io.in[i], band, wire);
      braid_band_unpack(&t, band, wire);
      free(wire);
      ensure_ok(braid_frame_arrived(frame, inputs[i], band));
    }
    for (volatile int spin = roll(&dice, 20000); spin > 0; spin--) continue; /* any moment, without sleeping */
    braid_frame_abort(frame);
    pthread_mutex_lock(&w.mutex);
    w.aborted = true;
    ensure(w.done <= 1, "done came %d times", w.done);
    pthread_mutex_unlock(&w.mutex);
    braid_frame_end(&frame);
  }
  io_free(&io);
  braid_program_destroy(&program);
  braid_pool_destroy(&pool);
  braid_plan_destroy(&plan);
  braid_graph_destroy(&graph);
}

/* ------------------------------------------------------------------------------------------------ trace */

static void *record(void *arg) {
  struct braid_trace *trace = arg;
  int lane = braid_trace_lane(trace, "lane");
  for (int i = 0; i < 2000; i++) braid_trace_span(trace, lane, "span", 0, i, (struct braid_band){0, 1}, i, i + 1);
  return NULL;
}

static void trace_while_recording(void) {
  enum { THREADS = 3 };
  struct braid_trace *trace;
  pthread_t thread[THREADS];
  ensure_ok(braid_trace_create("threads", 5000, &trace));
  for (int i = 0; i < THREADS; i++) ensure(pthread_create(&thread[i], NULL, record, trace) == 0, "no thread");
  ensure_ok(braid_trace_write(trace, "/dev/null"));
  for (int i = 0; i < THREADS; i++) pthread_join(thread[i], NULL);
  ensure_ok(braid_trace_write(trace, "/dev/null"));
  braid_trace_destroy(&trace);
}

int main(void) {
  uint64_t seed = random_graph_seed(60000);
  for (uint64_t i = 0; i < 20; i++) frames_in_flight(seed + i);
  for (uint64_t i = 0; i < 10; i++) abort_at_any_moment(seed + i);
  callers_share_a_pool(seed);
  compilers_share_weights(seed);
  times_while_running(seed);
  trace_while_recording();
  puts("exec_threads: ok");
  return 0;
}
