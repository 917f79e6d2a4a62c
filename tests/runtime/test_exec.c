/* SPDX-License-Identifier: Apache-2.0
 * The executor's main property: whatever the plan, the slices, the order and the number of workers, the answer is the
 * same to the last bit; and what it does with rows and requests that make no sense. */
#include <criterion/criterion.h>
#include <string.h>

#include "exec_help.h"
#include "graph_help.h"
#include "random_graph.h"

static struct braid_graph *sealed(uint64_t seed, int n_nodes, unsigned flags) {
  struct braid_graph *graph = random_graph(seed, n_nodes, flags);
  must(braid_graph_seal(graph, BRAID_PASS_ALL));
  return graph;
}

static void agree(const struct io *want, const struct io *got, uint64_t seed, const char *what) {
  int i = io_difference(want, got);
  cr_assert_eq(i, -1, "%s: output %d differs (seed %llu)", what, i, (unsigned long long)seed);
}

Test(exec, any_slices_ranks_and_workers_give_the_same_bits) {
  uint64_t first = random_graph_seed(1000);
  for (uint64_t seed = first; seed < first + 120; seed++) {
    struct dice dice = {seed, 0};
    struct braid_graph *graph = sealed(seed, 4 + roll(&dice, 36), (unsigned)seed % RANDOM_GRAPH_FLAGS);
    struct io want, got;
    io_make(graph, seed, &want);
    io_make(graph, seed, &got);
    run_reference(graph, &want);
    struct braid_plan *plan = random_plan(graph, &dice, SPLIT_NONE);
    run_alone(graph, plan, 1 + roll(&dice, 4), 0, &got);
    agree(&want, &got, seed, "alone");
    braid_plan_destroy(&plan);
    io_free(&want);
    io_free(&got);
    braid_graph_destroy(&graph);
  }
}

static void split_agrees(uint64_t seed, enum split split) {
  struct dice dice = {seed, 0};
  enum { FRAMES = 3 };
  struct braid_graph *graph = sealed(seed, 4 + roll(&dice, 30), (unsigned)(seed / 2) % RANDOM_GRAPH_FLAGS);
  struct io want[FRAMES], got[FRAMES];
  int n = 1 + roll(&dice, FRAMES);
  for (int i = 0; i < n; i++) {
    io_make(graph, seed + 100 * (uint64_t)i, &want[i]);
    io_make(graph, seed + 100 * (uint64_t)i, &got[i]);
    run_reference(graph, &want[i]);
  }
  struct braid_plan *plan = random_plan(graph, &dice, split);
  run_split(graph, plan, 1 + roll(&dice, 3), seed, got, n);
  for (int i = 0; i < n; i++) {
    agree(&want[i], &got[i], seed, split == SPLIT_CLOSED ? "closed split" : "any split");
    io_free(&want[i]);
    io_free(&got[i]);
  }
  braid_plan_destroy(&plan);
  braid_graph_destroy(&graph);
}

Test(exec, closed_splits_give_the_same_bits) {
  uint64_t first = random_graph_seed(20000);
  for (uint64_t seed = first; seed < first + 200; seed++) split_agrees(seed, SPLIT_CLOSED);
}

Test(exec, splits_with_returns_give_the_same_bits) {
  uint64_t first = random_graph_seed(30000);
  for (uint64_t seed = first; seed < first + 150; seed++) split_agrees(seed, SPLIT_ANY);
}

Test(exec, passes_change_results_by_rounding_only) {
  uint64_t first = random_graph_seed(40000);
  for (uint64_t seed = first; seed < first + 60; seed++) {
    struct io io[2];
    for (int i = 0; i < 2; i++) {
      struct braid_graph *graph = random_graph(seed, 25, (unsigned)seed % RANDOM_GRAPH_FLAGS);
      must(braid_graph_seal(graph, i ? BRAID_PASS_ALL : 0));
      io_make(graph, seed, &io[i]);
      run_reference(graph, &io[i]);
      braid_graph_destroy(&graph);
    }
    double apart = io_distance(&io[0], &io[1]);
    /* 25 layers in float32, folded weights are rounded once more; ten times what was seen over 2000 seeds */
    cr_assert_lt(apart, 1e-5, "outputs differ by %g of their range (seed %llu)", apart, (unsigned long long)seed);
    io_free(&io[0]);
    io_free(&io[1]);
  }
}

/* ----------------------------------------------------------------------------- one frame, hand in hand */

struct told {
  int rows, done;
};

static void on_rows(void *ctx, struct braid_frame *frame, int node, struct braid_band band) {
  struct told *told = ctx;
  (void)frame, (void)node;
  __atomic_add_fetch(&told->rows, band.end - band.begin, __ATOMIC_SEQ_CST);
}

static void on_done(void *ctx, struct braid_frame *frame) {
  struct told *told = ctx;
  (void)frame;
  __atomic_add_fetch(&told->done, 1, __ATOMIC_SEQ_CST);
}

static const struct braid_frame_events events = {on_rows, on_done};

/* input [1,4,8,8] -> conv a -> conv b -> relu c */
static struct braid_graph *chain_graph(void) {
  struct braid_graph *graph = new_graph("chain");
  int x = input(graph, "x", shape4(1, 4, 8, 8));
  int b = conv(graph, conv(graph, x, 4, 3, "a"), 4, 3, "b");
  must(braid_graph_add_output(graph, unary(graph, BRAID_OP_TANH, b, "c")));
  seal_with(graph, 0);
  return graph;
}

static enum braid_status arrive(struct braid_frame *frame, int node, int begin, int end) {
  enum braid_status expects = braid_frame_expects(frame, node, (struct braid_band){begin, end});
  enum braid_status status = braid_frame_arrived(frame, node, (struct braid_band){begin, end});
  cr_assert_eq(expects, status, "expects says %d, arrived %d", expects, status);
  return status;
}

Test(exec, rows_that_make_no_sense_change_nothing) {
  struct braid_graph *graph = chain_graph();
  struct braid_plan *plan;
  must(braid_plan_create(graph, "test", &plan));
  int x = braid_graph_find(graph, "x"), a = braid_graph_find(graph, "a"), b = braid_graph_find(graph, "b");
  plan->site[b] = BRAID_CLOUD; /* x, a at the edge; b in the cloud; c at the edge again */
  struct braid_pool *pool = make_pool(2);
  struct braid_program *edge = make_program(pool, graph, plan, BRAID_EDGE, 1, 0);
  cr_assert(braid_program_sends(edge, a) && braid_program_receives(edge, b) && braid_program_receives(edge, x));
  cr_assert(!braid_program_sends(edge, x) && !braid_program_receives(edge, a));
  struct told told = {0};
  struct braid_frame *frame;
  must(braid_frame_begin(edge, 7, 7, &events, &told, &frame));
  cr_assert_eq(arrive(frame, a, 0, 1), BRAID_EPROTO, "computed here");
  cr_assert_eq(arrive(frame, -1, 0, 1), BRAID_EPROTO);
  cr_assert_eq(arrive(frame, 1000, 0, 1), BRAID_EPROTO);
  cr_assert_eq(arrive(frame, x, 0, 9), BRAID_EPROTO);
  cr_assert_eq(arrive(frame, x, -1, 2), BRAID_EPROTO);
  cr_assert_eq(arrive(frame, x, 3, 3), BRAID_EPROTO);
  cr_assert_eq(arrive(frame, x, 5, 3), BRAID_EPROTO);
  must(arrive(frame, x, 2, 4));
  cr_assert_eq(arrive(frame, x, 2, 4), BRAID_EPROTO, "twice");
  cr_assert_eq(arrive(frame, x, 0, 3), BRAID_EPROTO, "row 2 twice");
  must(arrive(frame, x, 0, 2)); /* rows 0 and 1 were not taken by the refused band */
  must(arrive(frame, b, 0, 8));
  cr_assert_eq(arrive(frame, b, 7, 8), BRAID_EPROTO);
  cr_assert_eq(told.done, 0);
  braid_frame_abort(frame);
  cr_assert_eq(arrive(frame, x, 4, 8), BRAID_ECLOSED);
  braid_frame_end(&frame);
  cr_assert_null(frame);
  braid_program_destroy(&edge);
  braid_pool_destroy(&pool);
  braid_plan_destroy(&plan);
  braid_graph_destroy(&graph);
}

Test(exec, an_arena_can_be_used_again_after_an_abort) {
  struct braid_graph *graph = chain_graph();
  struct io want, got;
  io_make(graph, 5, &want);
  io_make(graph, 5, &got);
  run_reference(graph, &want);
  struct braid_pool *pool = make_pool(2);
  struct braid_program *program = make_program(pool, graph, NULL, BRAID_EDGE, 1, 0);
  for (int i = 0; i < 50; i++) {
    struct told told = {0};
    struct braid_frame *frame, *other;
    must(braid_frame_begin(program, 1, 1, &events, &told, &frame));
    cr_assert_eq(braid_frame_begin(program, 2, 2, &events, &told, &other), BRAID_EBUSY);
    memcpy(braid_frame_tensor(frame, 0).data, want.in[0].data, 4 * 4 * 8 * 8);
    must(arrive(frame, 0, 0, i % 9 ? i % 9 : 1));
    braid_frame_abort(frame);
    int done = told.done;
    braid_frame_end(&frame);
    must(braid_program_run(program, got.in, 1, got.out, 1));
    agree(&want, &got, 5, "after an abort");
    cr_assert_eq(told.done, done, "an event came after the abort");
  }
  braid_program_destroy(&program);
  braid_pool_destroy(&pool);
  io_free(&want);
  io_free(&got);
  braid_graph_destroy(&graph);
}

Test(exec, wrong_requests_are_refused_with_a_reason) {
  struct braid_graph *graph = chain_graph();
  struct braid_pool *pool = NULL;
  cr_assert_eq(braid_pool_create(&(struct braid_pool_opts){.workers = 0}, &pool), BRAID_EINVAL);
  cr_assert_eq(braid_pool_create(&(struct braid_pool_opts){.workers = 1, .slow = 0.5}, &pool), BRAID_EINVAL);
  cr_assert_null(pool);
  pool = make_pool(1);
  struct braid_program *program = NULL;
  struct braid_program_opts opts = {.here = BRAID_EDGE, .frames = 0};
  cr_assert_eq(braid_program_create(pool, graph, NULL, &opts, &program), BRAID_EINVAL);
  struct braid_plan *plan;
  must(braid_plan_create(graph, "test", &plan));
  opts.frames = 1;
  plan->site[1] = BRAID_CLOUD;
  plan->serial = true; /* and node 2 is at the edge: it would wait for ever */
  cr_assert_eq(braid_program_create(pool, graph, plan, &opts, &program), BRAID_EINVAL);
  plan->serial = false;
  must(braid_program_create(pool, graph, plan, &opts, &program));
  struct io io;
  io_make(graph, 1, &io);
  cr_assert_eq(braid_program_run(program, io.in, 1, io.out, 1), BRAID_EINVAL, "half of it is elsewhere");
  cr_assert(strstr(braid_error(), "'a'") || strstr(braid_error(), "a is"), "%s", braid_error());
  braid_program_destroy(&program);
  must(braid_program_create(pool, graph, NULL, &opts, &program));
  cr_assert_eq(braid_program_run(program, io.in, 0, io.out, 1), BRAID_EINVAL);
  io.in[0].shape.dim[3] = 7;
  cr_assert_eq(braid_program_run(program, io.in, 1, io.out, 1), BRAID_ESHAPE);
  cr_assert(strstr(braid_error(), "1x4x8x7"), "%s", braid_error());
  io_free(&io);
  braid_program_destroy(&program);
  braid_plan_destroy(&plan);
  braid_pool_destroy(&pool);
  braid_graph_destroy(&graph);
}

/* With nothing placed here there is nothing to wait for: done comes at once, and once. */
Test(exec, a_site_with_nothing_to_do_is_done_at_once) {
  struct braid_graph *graph = chain_graph();
  struct braid_plan *plan;
  must(braid_plan_create(graph, "edge-only", &plan));
  struct braid_pool *pool = make_pool(1);
  struct braid_program *cloud = make_program(pool, graph, plan, BRAID_CLOUD, 1, 0);
  struct told told = {0};
  struct braid_frame *frame;
  must(braid_frame_begin(cloud, 0, 0, &events, &told, &frame));
  cr_assert_eq(told.done, 1);
  braid_frame_end(&frame);
  braid_program_destroy(&cloud);
  braid_pool_destroy(&pool);
  braid_plan_destroy(&plan);
  braid_graph_destroy(&graph);
}

/* Every allocation of a compilation fails once: an error each time, nothing lost (ASan looks on), then success. */
Test(exec, running_out_of_memory_anywhere_is_survived) {
  struct braid_graph *graph = sealed(77, 20, RANDOM_GRAPH_WEIGHTS | RANDOM_GRAPH_SERIES_PARALLEL);
  struct dice dice = {77, 0};
  struct braid_plan *plan = random_plan(graph, &dice, SPLIT_CLOSED);
  struct braid_pool *pool = make_pool(2);
  struct braid_program_opts opts = {.here = BRAID_EDGE, .frames = 2};
  struct braid_program *program = NULL;
  enum braid_status status = BRAID_ENOMEM;
  int n = 0;
  while (status == BRAID_ENOMEM) {
    braid_alloc_fail_at(++n);
    status = braid_program_create(pool, graph, plan, &opts, &program);
    braid_alloc_fail_at(0);
    cr_assert(status == BRAID_OK || !program);
    cr_assert_lt(n, 10000);
  }
  cr_assert_eq(status, BRAID_OK, "%s", braid_error());
  cr_assert_gt(n, 20);
  braid_program_destroy(&program);
  braid_pool_destroy(&pool);
  for (n = 0, status = BRAID_ENOMEM; status == BRAID_ENOMEM;) {
    braid_alloc_fail_at(++n);
    status = braid_pool_create(&(struct braid_pool_opts){.workers = 2, .name = "p"}, &pool);
    braid_alloc_fail_at(0);
  }
  cr_assert_eq(status, BRAID_OK);
  cr_assert_gt(n, 1);
  braid_pool_destroy(&pool);
  braid_plan_destroy(&plan);
  braid_graph_destroy(&graph);
}

Test(exec, frames_allocate_nothing) {
  struct braid_graph *graph = sealed(8, 25, RANDOM_GRAPH_WEIGHTS | RANDOM_GRAPH_MULTI_INPUT);
  struct io io;
  io_make(graph, 8, &io);
  struct braid_pool *pool = make_pool(2);
  struct braid_program *program = make_program(pool, graph, NULL, BRAID_EDGE, 2, braid_cpu_flags());
  must(braid_program_run(program, io.in, io.n_in, io.out, io.n_out));
  braid_alloc_fail_at(1);
  for (int i = 0; i < 5; i++) must(braid_program_run(program, io.in, io.n_in, io.out, io.n_out));
  cr_assert_null(braid_malloc(1), "the next allocation was to fail: there has been one before");
  braid_alloc_fail_at(0);
  braid_program_destroy(&program);
  braid_pool_destroy(&pool);
  io_free(&io);
  braid_graph_destroy(&graph);
}

/* A program that is only planned tells the same as one that runs, and takes nothing. */
Test(exec, what_is_only_planned_tells_what_it_would_take) {
  struct braid_graph *graph = chain_graph();
  struct braid_pool *pool = make_pool(2);
  struct braid_program_opts opts = {.frames = 1, .cpu_flags = braid_cpu_flags()};
  struct braid_program *real, *planned;
  struct braid_program_info would, does;
  must(braid_program_create(pool, graph, NULL, &opts, &real));
  opts = (struct braid_program_opts){.cpu_flags = braid_cpu_flags(), .only_planned = true};
  must(braid_program_create(pool, graph, NULL, &opts, &planned));
  braid_program_info(real, &does);
  braid_program_destroy(&real);
  cr_expect_eq(braid_pool_packed_bytes(pool), 0);
  braid_program_info(planned, &would);
  cr_expect_eq(memcmp(&would, &does, sizeof does), 0);
  cr_expect_gt(would.packed_bytes, 0);
  struct io io;
  io_make(graph, 1, &io);
  cr_expect_eq(braid_program_run(planned, io.in, 1, io.out, 1), BRAID_EBUSY, "there is no arena");
  io_free(&io);
  braid_program_destroy(&planned);
  braid_pool_destroy(&pool);
  braid_graph_destroy(&graph);
}

/* The emulated slow device computes the same, in virtual time that the trace shows; several programs share a pool. */
Test(exec, a_slow_pool_and_shared_pools_compute_the_same) {
  struct braid_graph *graph = chain_graph();
  struct io want, got;
  io_make(graph, 9, &want);
  io_make(graph, 9, &got);
  run_reference(graph, &want);
  struct braid_pool *pool;
  must(braid_pool_create(&(struct braid_pool_opts){.workers = 2, .slow = 3, .name = "a pool with a long name"}, &pool));
  struct braid_program *first = make_program(pool, graph, NULL, BRAID_EDGE, 1, 0);
  struct braid_program *second = make_program(pool, graph, NULL, BRAID_CLOUD, 2, braid_cpu_flags());
  must(braid_program_run(first, got.in, 1, got.out, 1));
  agree(&want, &got, 9, "slow");
  must(braid_program_run(second, got.in, 1, got.out, 1));
  cr_assert_lt(io_distance(&want, &got), 1e-5);
  struct braid_program_info info;
  braid_program_info(first, &info);
  cr_assert_eq(info.tasks, 3);
  cr_assert_geq(info.arena_bytes, info.arena_bound_bytes);
  cr_assert_null(braid_program_kernel_name(first, 0));
  cr_assert(strstr(braid_program_kernel_name(first, 1), "ref"), "%s", braid_program_kernel_name(first, 1));
  braid_program_destroy(&first);
  braid_program_destroy(&second);
  braid_pool_destroy(&pool);
  io_free(&want);
  io_free(&got);
  braid_graph_destroy(&graph);
}
