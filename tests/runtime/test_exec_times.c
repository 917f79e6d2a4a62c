/* SPDX-License-Identifier: Apache-2.0
 * Measured times of a program. What a clock shows on a busy machine cannot be foretold, so these look at what has to
 * add up; on an emulated device times have a known floor. */
#include <criterion/criterion.h>
#include <string.h>

#include "exec/program.h"
#include "exec_help.h"
#include "graph_help.h"

enum { NODES = 5, SLICES = 4, RUNS = 6, MS = 1000000 };

/* x -> a -> b; both in a Concat that they are written straight into (a view) -> tanh */
static struct braid_graph *network(void) {
  struct braid_graph *graph = new_graph("chain");
  int a = conv(graph, input(graph, "x", shape4(1, 4, 8, 8)), 4, 3, "a"), b = conv(graph, a, 4, 3, "b");
  int both = add_op(graph, BRAID_OP_CONCAT, &(union braid_attrs){.axis = {1, 0}}, (int[]){a, b}, 2, "both");
  must(braid_graph_add_output(graph, unary(graph, BRAID_OP_TANH, both, "tanh")));
  seal_with(graph, 0);
  cr_assert_eq(braid_graph_size(graph), NODES);
  return graph;
}

static struct braid_plan *in_slices(const struct braid_graph *graph) {
  struct braid_plan *plan;
  must(braid_plan_create(graph, "sliced", &plan));
  for (int id = 1; id <= 2; id++) plan->slices[id] = SLICES;
  return plan;
}

static void run(const struct braid_graph *graph, struct braid_program *program, int runs) {
  struct io io;
  io_make(graph, 1, &io);
  for (int i = 0; i < runs; i++) must(braid_program_run(program, io.in, io.n_in, io.out, io.n_out));
  io_free(&io);
}

Test(times, add_up) {
  struct braid_graph *graph = network();
  struct braid_plan *plan = in_slices(graph);
  struct braid_pool *pool = make_pool(2);
  struct braid_program *program = make_program(pool, graph, plan, BRAID_EDGE, 2, 0);
  int64_t node_ns[NODES], profile[NODES] = {0, 1000, 2000, 500, 77}, slice[NODES] = {0, 10, 20, 0, 9};
  struct braid_program_times times = {.node_ns = node_ns};
  braid_program_times(program, &times);
  cr_assert(times.tasks == 0 && times.run_ns == 0 && times.wait_ns == 0 && times.profile_ns == 0);
  for (int id = 0; id < NODES; id++) cr_assert_eq(node_ns[id], 0);
  must(braid_program_expect(program, profile, slice));
  run(graph, program, RUNS);
  braid_program_times(program, &times);
  cr_assert_eq(times.tasks, RUNS * (2 * SLICES + 1), "%llu tasks: the view does not count",
               (unsigned long long)times.tasks);
  /* whole nodes have no slices to pay for */
  cr_assert_eq(times.profile_ns, RUNS * (1000 + 2000 + SLICES * (10 + 20) + 77));
  cr_assert_gt(times.run_ns, 0);
  cr_assert_geq(times.wait_ns, 0);
  cr_assert(node_ns[1] > 0 && node_ns[2] > 0 && node_ns[4] > 0);
  cr_assert(node_ns[0] == 0 && node_ns[3] == 0, "an input and a view take no time");
  times.node_ns = NULL;
  braid_program_times(program, &times);
  braid_program_destroy(&program);
  braid_pool_destroy(&pool);
  braid_plan_destroy(&plan);
  braid_graph_destroy(&graph);
}

/* The first run is the average; what it took is in the sum, so nodes and sum agree. */
Test(times, one_run_is_the_sum_of_its_nodes) {
  struct braid_graph *graph = network();
  struct braid_plan *plan = in_slices(graph);
  struct braid_pool *pool = make_pool(3);
  struct braid_program *program = make_program(pool, graph, plan, BRAID_EDGE, 1, 0);
  int64_t node_ns[NODES], sum = 0;
  struct braid_program_times times = {.node_ns = node_ns};
  run(graph, program, 1);
  braid_program_times(program, &times);
  for (int id = 0; id < NODES; id++) sum += node_ns[id];
  cr_assert_eq(sum, times.run_ns);
  braid_program_destroy(&program);
  braid_pool_destroy(&pool);
  braid_plan_destroy(&plan);
  braid_graph_destroy(&graph);
}

Test(times, are_those_of_the_emulated_device) {
  struct braid_graph *graph = network();
  struct braid_plan *plan = in_slices(graph);
  struct braid_pool *pool;
  must(braid_pool_create(&(struct braid_pool_opts){.workers = 1, .slow = 2}, &pool));
  struct braid_program *program = make_program(pool, graph, plan, BRAID_EDGE, 1, 0);
  int64_t node_ns[NODES], profile[NODES] = {0, 4 * MS, 2 * MS, 0, MS}, slice[NODES] = {0, MS / 10, 0, 0, 0};
  must(braid_program_emulate(program, profile, slice));
  run(graph, program, 2);
  struct braid_program_times times = {.node_ns = node_ns};
  braid_program_times(program, &times);
  cr_assert_eq(times.profile_ns, 2 * (7 * MS + SLICES * MS / 10));
  cr_assert_geq(times.run_ns, times.profile_ns, "a task takes what it takes there, or what it took here");
  cr_assert_geq(node_ns[1], 4 * MS + SLICES * MS / 10);
  cr_assert_geq(node_ns[2], 2 * MS);
  cr_assert_geq(node_ns[4], MS);
  profile[2] = -1;
  cr_assert_eq(braid_program_expect(program, profile, slice), BRAID_EINVAL);
  cr_assert_eq(braid_program_emulate(program, profile, slice), BRAID_EINVAL);
  cr_assert(strstr(braid_error(), "node b"), "%s", braid_error());
  braid_program_destroy(&program);
  braid_pool_destroy(&pool);
  braid_plan_destroy(&plan);
  braid_graph_destroy(&graph);
}

Test(times, averages_follow) {
  int64_t average = exec_average_ns(0, 8000);
  cr_assert_eq(average, 8000);
  average = exec_average_ns(average, 16000);
  cr_assert_eq(average, 9000);
  for (int i = 0; i < 100; i++) average = exec_average_ns(average, 100000);
  cr_assert_geq(average, 99990);
  cr_assert_leq(average, 100000);
  for (int i = 0; i < 100; i++) average = exec_average_ns(average, 10);
  cr_assert_leq(average, 20);
}
