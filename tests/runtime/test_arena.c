/* SPDX-License-Identifier: Apache-2.0
 * The arenas of the zoo against their lower bounds: what `braid info` and `braid run` report, with one worker (every
 * tensor's life is known) and with two (nodes in slices, in any order that the dependencies leave open). */
#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <stdio.h>

#include "exec_help.h"
#include "graph_help.h"

static struct braid_program_info planned(const struct braid_graph *graph, int workers) {
  struct braid_pool *pool;
  struct braid_program *program;
  struct braid_program_info info;
  struct braid_program_opts opts = {.cpu_flags = braid_cpu_flags(), .only_planned = true};
  must(braid_pool_create(&(struct braid_pool_opts){.workers = workers}, &pool));
  must(braid_program_create(pool, graph, NULL, &opts, &program));
  braid_program_info(program, &info);
  braid_program_destroy(&program);
  braid_pool_destroy(&pool);
  return info;
}

static void expect_tight(const char *net, const struct braid_graph *graph, int workers) {
  struct braid_program_info info = planned(graph, workers);
  printf("%-18s %d workers: %4d tasks, arena %9zu, bound %9zu, %.4f\n", net, workers, info.tasks, info.arena_bytes,
         info.arena_bound_bytes, (double)info.arena_bytes / (double)info.arena_bound_bytes);
  cr_expect_geq(info.arena_bytes, info.arena_bound_bytes);
  cr_expect_leq((double)info.arena_bytes, 1.05 * (double)info.arena_bound_bytes, "%s with %d workers: %zu over %zu",
                net, workers, info.arena_bytes, info.arena_bound_bytes);
}

ParameterizedTestParameters(arena, zoo_is_within_five_percent_of_the_bound) {
  static int index[64];
  int n;
  braid_zoo(&n);
  for (int i = 0; i < n; i++) index[i] = i;
  return cr_make_param_array(int, index, (size_t)n);
}

ParameterizedTest(int *index, arena, zoo_is_within_five_percent_of_the_bound) {
  int n;
  const char *net = braid_zoo(&n)[*index].name;
  struct braid_graph *graph;
  must(braid_zoo_build(net, 1, 0, &graph));
  must(braid_graph_seal(graph, BRAID_PASS_ALL));
  expect_tight(net, graph, 1);
  expect_tight(net, graph, 2);
  braid_graph_destroy(&graph);
}
