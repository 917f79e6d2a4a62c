/* SPDX-License-Identifier: Apache-2.0
 * cic's few survivors against all its candidates, listed here by other means, for every rate and load. */
#include "closed_sets.h"
#include "internal.h"
#include "random_graph.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define CANDIDATES_MAX 4096

struct candidates {
  int n;
  uint8_t site[CANDIDATES_MAX][SETS_NODES_MAX];
};

static void start(const struct braid_graph *g, uint8_t *site, int last) {
  for (int v = 0; v < braid_graph_size(g); v++)
    site[v] = v <= last || braid_graph_node(g, v)->op == BRAID_OP_INPUT ? BRAID_EDGE : BRAID_CLOUD;
}

static void list_block(const struct braid_graph *g, const struct braid_block *block, struct candidates *c) {
  int total = 1;
  for (int i = 0; i < block->n_branches; i++) total *= block->branch[i].n_nodes + 1;
  for (int number = 0; number < total && c->n < CANDIDATES_MAX; number++) {
    uint8_t *site = c->site[c->n++];
    start(g, site, block->entry);
    for (int i = 0, rest = number; i < block->n_branches; i++) {
      const struct braid_branch *branch = &block->branch[i];
      for (int k = 0; k < rest % (branch->n_nodes + 1); k++) site[branch->node[k]] = BRAID_EDGE;
      rest /= branch->n_nodes + 1;
    }
  }
}

/* false: too many to try. */
static bool list_candidates(const struct braid_graph *g, struct candidates *c) {
  int n_joints = 0, n_blocks = 0;
  const int *joint = braid_graph_joints(g, &n_joints);
  const struct braid_block *block = braid_graph_blocks(g, &n_blocks);
  c->n = 0;
  start(g, c->site[c->n++], -1);
  start(g, c->site[c->n++], braid_graph_size(g) - 1);
  for (int i = 0; i < n_joints; i++)
    if (joint[i] >= 0) start(g, c->site[c->n++], joint[i]);
  for (int i = 0; i < n_blocks; i++) list_block(g, &block[i], c);
  return c->n < 1500;
}

/* The serial latency without rounding up messages; infinite where the goal forbids the cut. */
static double exact_ns(const struct stages *st, const uint8_t *site, double bits_per_s) {
  struct stage_sums sums;
  double bytes = 0;
  stages_sum(st, site, &sums);
  int64_t ns = stages_latency_ns(st, &sums);
  if (ns >= COST_NEVER) return (double)INFINITY;
  for (int v = 0; v < st->n; v++)
    if (site_crosses_up(st->graph, site, v, BRAID_EDGE)) bytes += (double)cost_tensor_bytes(st->costs, st->graph, v);
  return (double)ns + (bytes > 0 ? 8e9 * bytes / bits_per_s : 0);
}

static void compare(const struct candidates *all, const struct braid_cic *cic, struct test_costs *t,
                    const struct braid_graph *g, const struct braid_goal *goal, double load, uint64_t seed) {
  struct stages *st = NULL;
  struct braid_costs costs = t->costs;
  costs.up.bits_per_s = (double)INFINITY;
  costs.cloud_load = load;
  must(stages_create(g, &costs, goal, &st));
  for (uint64_t k = 0; k < 5; k++) {
    double rate = 1e6 * pow(10, (double)(braid_random_u64(seed, k) % 5000) / 1000), best = (double)INFINITY;
    for (int i = 0; i < all->n; i++) {
      double ns = exact_ns(st, all->site[i], rate);
      if (ns < best) best = ns;
    }
    int found = braid_cic_find(cic, rate, load);
    double ns = exact_ns(st, cic->cut[found].site, rate);
    cr_assert_float_eq(ns, best, 2 * st->n + best * 1e-12, "seed %llu, %.4g bit/s, load %.2f: %.1f, best is %.1f",
                       (unsigned long long)seed, rate, load, ns, best);
    cr_assert_float_eq(braid_cut_ns(&cic->cut[found], rate, load), ns, 2 * st->n + ns * 1e-12);
  }
  stages_destroy(&st);
}

Test(cic, survivors_are_as_good_as_all_candidates) {
  uint64_t seed = random_graph_seed(51);
  struct candidates *all = braid_malloc(sizeof *all);
  int compared = 0, nowhere = 0;
  int64_t listed = 0, survived = 0;
  for (uint64_t i = 0; i < 2000; i++) {
    unsigned flags = (unsigned)(i % RANDOM_GRAPH_FLAGS) | (i % 4 ? RANDOM_GRAPH_SERIES_PARALLEL : 0);
    struct braid_graph *g = sealed(random_graph(seed + i, 4 + (int)(i % 13), flags));
    struct test_costs t = i % 2 ? premise_costs(g, seed + i) : random_costs(g, seed + i);
    struct braid_goal goal = {.private_input = i % 3 == 0};
    size_t memory = 0;
    for (int v = 0; v < braid_graph_size(g); v++)
      memory += braid_graph_node(g, v)->weight_bytes + braid_graph_node(g, v)->bytes;
    if (i % 5 == 0) goal.edge_memory = memory * (1 + i % 8) / 8;
    if (braid_graph_size(g) <= SETS_NODES_MAX && list_candidates(g, all)) {
      double load_min = 1, load_max = i % 3 == 1 ? 1 : 1 + (double)(i % 7);
      struct braid_cic *cic = NULL;
      enum braid_status status = braid_cic_build(g, &t.costs, &goal, load_min, load_max, &cic);
      if (status == BRAID_OK) {
        for (int k = 0; k < 5; k++) /* both ends, and anywhere */
          compare(all, cic, &t, g, &goal,
                  load_min + (load_max - load_min) *
                                 (k < 2 ? k : (double)(braid_random_u64(seed + i, (uint64_t)k) % 1000) / 1000),
                  seed + 10 * i + (uint64_t)k);
        listed += all->n;
        survived += cic->n_cuts;
        compared++;
      } else {
        cr_assert_eq(status, BRAID_ENOTFOUND, "%s", braid_error());
        nowhere++;
      }
      braid_cic_destroy(&cic);
    }
    free_costs(&t);
    braid_graph_destroy(&g);
  }
  braid_free(all);
  printf("%d networks, %lld candidates, %lld survive\n", compared, (long long)listed, (long long)survived);
  cr_assert_gt(compared, 1200);
  cr_assert_lt(nowhere, compared / 4);
  cr_assert_gt(listed, 2 * survived, "%lld of %lld survive", (long long)survived, (long long)listed);
}

Test(cic, has_the_best_period_of_all_candidates) {
  uint64_t seed = random_graph_seed(52);
  struct candidates *all = braid_malloc(sizeof *all);
  int compared = 0, nowhere = 0;
  for (uint64_t i = 0; i < 3000; i++) {
    unsigned flags = (unsigned)(i % RANDOM_GRAPH_FLAGS) | (i % 4 ? RANDOM_GRAPH_SERIES_PARALLEL : 0);
    struct braid_graph *g = sealed(random_graph(seed + i, 4 + (int)(i % 13), flags));
    struct test_costs t = i % 2 ? premise_costs(g, seed + i) : random_costs(g, seed + i);
    struct braid_goal goal = {.objective = BRAID_THROUGHPUT, .private_input = i % 3 == 0, .slices = (int)(i % 2)};
    struct stages *st = NULL;
    if (i % 5 == 0) goal.latency_max_ns = 1 + (int64_t)(braid_random_u64(seed + i, 7) % (400 * (uint64_t)US));
    t.costs.edge_workers = 1 + (int)(i % 7 == 0);
    if (braid_graph_size(g) <= SETS_NODES_MAX && list_candidates(g, all)) {
      uint8_t site[SETS_NODES_MAX];
      struct stage_sums sums;
      int64_t best = COST_NEVER;
      must(stages_create(g, &t.costs, &goal, &st));
      for (int k = 0; k < all->n; k++) {
        stages_sum(st, all->site[k], &sums);
        int64_t ns = stages_value_ns(st, &sums);
        if (ns < best) best = ns;
      }
      enum braid_status status = cic_cut(st, site);
      cr_assert_eq(status == BRAID_OK, best < COST_NEVER, "case %llu: %s", (unsigned long long)i, braid_error());
      if (status == BRAID_OK) {
        stages_sum(st, site, &sums);
        cr_assert_eq(stages_value_ns(st, &sums), best, "case %llu", (unsigned long long)i);
      }
      nowhere += status != BRAID_OK;
      compared++;
      stages_destroy(&st);
    }
    free_costs(&t);
    braid_graph_destroy(&g);
  }
  braid_free(all);
  printf("%d networks, %d without a plan\n", compared, nowhere);
  cr_assert_gt(compared, 2000);
  cr_assert_lt(nowhere, compared / 4);
}

Test(cic, reduces_real_networks_to_a_few) {
  const char *const nets[] = {"googlenet", "mvcnn4_googlenet", "resnet18"};
  for (size_t i = 0; i < sizeof nets / sizeof *nets; i++) {
    struct braid_graph *g = NULL;
    struct braid_cic *cic = NULL;
    struct braid_goal goal = {.private_input = true};
    must(braid_zoo_build(nets[i], 1, 0, &g));
    must(braid_graph_seal(g, BRAID_PASS_ALL));
    struct test_costs t = plain_costs(g);
    for (int v = 0; v < t.costs.n_nodes; v++) {
      t.edge_ns[v] = braid_graph_node(g, v)->macs / 5;
      t.cloud_ns[v] = t.edge_ns[v] / 20;
    }
    must(braid_cic_build(g, &t.costs, &goal, 1, 8, &cic));
    cr_assert_leq(cic->n_cuts, 200, "%s: %d survive", nets[i], cic->n_cuts);
    cr_assert_gt(cic->n_cuts, 1);
    braid_cic_destroy(&cic);
    free_costs(&t);
    braid_graph_destroy(&g);
  }
}
