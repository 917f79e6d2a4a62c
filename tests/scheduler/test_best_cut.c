/* SPDX-License-Identifier: Apache-2.0
 * What no minimum cut finds, against every closed set: the smallest period, and the smallest latency under a limit on
 * memory, of best_cut_search and of the policies that use it. */
#include "best_cut.h"
#include "closed_sets.h"
#include "internal.h"
#include "random_graph.h"

#include <stdio.h>
#include <string.h>

struct brute {
  const struct stages *st;
  int64_t best;
};

static int64_t value_of(const struct stages *st, const uint8_t *site) {
  struct stage_sums sums;
  stages_sum(st, site, &sums);
  return stages_value_ns(st, &sums);
}

static void look(void *ctx, const uint8_t *site) {
  struct brute *b = ctx;
  int64_t ns = value_of(b->st, site);
  if (ns < b->best) b->best = ns;
}

static void check_cut(const struct stages *st, const char *name, stages_cut_fn *cut, int64_t best, uint64_t seed) {
  uint8_t site[SETS_NODES_MAX];
  enum braid_status status = cut(st, site);
  cr_assert_eq(status == BRAID_OK, best < COST_NEVER, "seed %llu: %s: %s", (unsigned long long)seed, name,
               braid_error());
  if (status != BRAID_OK) return;
  cr_assert(is_closed_set(st->graph, site));
  cr_assert_eq(value_of(st, site), best, "seed %llu: %s %lld, best is %lld", (unsigned long long)seed, name,
               (long long)value_of(st, site), (long long)best);
}

static void check_search(const struct stages *st, int64_t best, uint64_t seed) {
  uint8_t site[SETS_NODES_MAX];
  bool complete = false;
  int64_t found = COST_NEVER;
  must(best_cut_search(st, BEST_CUT_STEPS, &found, site, &complete));
  cr_assert(complete);
  cr_assert_eq(found, best, "seed %llu: %lld, best is %lld", (unsigned long long)seed, (long long)found,
               (long long)best);
  if (best >= COST_NEVER) return;
  cr_assert_eq(value_of(st, site), best);
  cr_assert(is_closed_set(st->graph, site));
  memset(site, 7, sizeof site); /* what is not beaten stays */
  must(best_cut_search(st, BEST_CUT_STEPS, &found, site, &complete));
  cr_assert_eq(found, best);
  cr_assert_eq(site[0], 7);
  must(best_cut_search(st, 1, &found, site, &complete)); /* and giving up is said, or nothing was left to try */
  cr_assert_eq(found, best);
}

/* Limits at which about half of all goals bind. */
static struct braid_goal random_goal(const struct braid_graph *g, uint64_t seed, int8_t *pinned) {
  struct braid_goal goal = {.objective = seed % 4 ? BRAID_THROUGHPUT : BRAID_LATENCY};
  size_t memory = 0;
  for (int v = 0; v < braid_graph_size(g); v++) {
    const struct braid_node *node = braid_graph_node(g, v);
    uint64_t z = braid_random_u64(seed, 100 + (uint64_t)v) % 24;
    memory += node->weight_bytes + node->bytes;
    pinned[v] = node->op == BRAID_OP_INPUT || z > 1 ? -1 : (int8_t)z;
  }
  goal.private_input = seed % 5 == 0;
  goal.deliver = draw_deliver(seed);
  goal.slices = (int)(seed % 3);
  if (seed % 7 == 0) goal.pinned = pinned;
  if (seed % 3 == 0 || goal.objective == BRAID_LATENCY) goal.edge_memory = memory * (1 + seed % 6) / 6;
  if (seed % 8 == 1) goal.latency_max_ns = 1 + (int64_t)(braid_random_u64(seed, 99) % (300 * (uint64_t)US));
  return goal;
}

Test(best_cut, is_the_best_closed_set_and_so_are_dads_and_qdmp) {
  uint64_t seed = random_graph_seed(71);
  int compared = 0, premise = 0, series_parallel = 0, nowhere = 0;
  for (uint64_t i = 0; i < 6000; i++) {
    unsigned flags = (unsigned)(i / 2 % RANDOM_GRAPH_FLAGS);
    struct braid_graph *g = sealed(random_graph(seed + i, 3 + (int)(i % 9), flags));
    struct test_costs t = i % 2 ? premise_costs(g, seed + i) : random_costs(g, seed + i);
    int8_t pinned[SETS_NODES_MAX];
    struct stages *st = NULL;
    t.costs.edge_workers = 1 + (int)(i % 5 == 0);
    t.costs.cloud_workers = 1 + (int)(i % 6 == 0);
    if (count_free(g) <= 11 && braid_graph_size(g) <= SETS_NODES_MAX) {
      struct braid_goal goal = random_goal(g, seed + i, pinned);
      if (stages_create(g, &t.costs, &goal, &st) == BRAID_OK) {
        struct brute b = {st, COST_NEVER};
        each_closed_set(g, look, &b);
        check_search(st, b.best, seed + i);
        check_cut(st, "qdmp", qdmp_cut, b.best, seed + i);
        check_cut(st, "dads", dads_cut, b.best, seed + i);
        compared++;
        premise += i % 2;
        series_parallel += (flags & RANDOM_GRAPH_SERIES_PARALLEL) != 0;
        nowhere += b.best >= COST_NEVER;
        stages_destroy(&st);
      }
    }
    free_costs(&t);
    braid_graph_destroy(&g);
  }
  printf("%d networks, %d series-parallel, %d with a cloud nowhere slower, %d without any plan\n", compared,
         series_parallel, premise, nowhere);
  cr_assert_gt(compared, 3000);
  cr_assert_gt(premise, 1000);
  cr_assert_gt(series_parallel, 1000);
  cr_assert_lt(nowhere, compared / 3);
}

/* Two machines, no link to speak of: PARTITION. 24 parallel nodes have 2^24 closed sets. */
Test(best_cut, gives_up_where_there_are_too_many) {
  struct braid_graph *g = new_graph("partition");
  int in = tensor_in(g, "in", 1, 1), end[24];
  for (int i = 0; i < 24; i++) {
    char name[8];
    snprintf(name, sizeof name, "n%d", i);
    end[i] = node1(g, name, in);
  }
  must(braid_graph_add_output(g, node_n(g, "sum", end, 24)));
  sealed(g);
  struct test_costs t = plain_costs(g);
  int64_t sum = 0;
  for (int v = 1; v <= 24; v++)
    sum += t.edge_ns[v] = t.cloud_ns[v] = 100000 + (int64_t)(braid_random_u64(3, (uint64_t)v) % 100000);
  struct braid_goal goal = {.objective = BRAID_THROUGHPUT};
  struct stages *st = NULL;
  must(stages_create(g, &t.costs, &goal, &st));
  uint8_t site[SETS_NODES_MAX];
  bool complete = true;
  int64_t found = COST_NEVER;
  must(best_cut_search(st, 2000, &found, site, &complete));
  cr_assert(!complete);
  cr_assert_eq(value_of(st, site), found);
  cr_assert_lt(found, sum * 11 / 20, "%lld of %lld", (long long)found, (long long)sum);
  must(dads_cut(st, site)); /* close to half all the same */
  cr_assert_lt(value_of(st, site), sum * 101 / 200);
  stages_destroy(&st);
  free_costs(&t);
  braid_graph_destroy(&g);
}

Test(best_cut, failed_allocations_are_survived) {
  struct braid_graph *g = sealed(random_graph(8, 10, 0));
  struct test_costs t = random_costs(g, 8);
  struct braid_goal goal = {.objective = BRAID_THROUGHPUT};
  struct stages *st = NULL;
  must(stages_create(g, &t.costs, &goal, &st));
  for (long at = 1;; at++) {
    uint8_t site[SETS_NODES_MAX];
    bool complete = false;
    int64_t found = COST_NEVER;
    braid_alloc_fail_at(at);
    enum braid_status status = best_cut_search(st, BEST_CUT_STEPS, &found, site, &complete);
    braid_alloc_fail_at(0);
    if (status == BRAID_OK) break;
    cr_assert_eq(status, BRAID_ENOMEM);
    cr_assert_lt(at, 20);
  }
  stages_destroy(&st);
  free_costs(&t);
  braid_graph_destroy(&g);
}
