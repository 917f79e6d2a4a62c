/* SPDX-License-Identifier: Apache-2.0
 * qdmp against every closed set that differs from a joint's prefix inside one block only; dsc against every joint. */
#include "closed_sets.h"
#include "internal.h"
#include "random_graph.h"

#include <stdio.h>
#include <string.h>

struct search {
  const struct stages *st;
  const int *joint;
  int n_joints;
  int64_t all, block; /* best closed set; best of those qdmp claims */
};

/* All before some joint (or nothing) on the edge, all from the next one on in the cloud. */
static bool is_inside_one_block(const struct search *s, const uint8_t *site) {
  int first_cloud = s->st->n, last_edge = -1, entry = -1;
  for (int v = s->st->n - 1; v >= 0; v--)
    if (site[v] == BRAID_CLOUD) first_cloud = v;
  for (int v = 0; v < s->st->n; v++)
    if (site[v] == BRAID_EDGE && braid_graph_node(s->st->graph, v)->op != BRAID_OP_INPUT) last_edge = v;
  for (int i = 0; i <= s->n_joints; i++) {
    int exit = i < s->n_joints ? s->joint[i] : s->st->n;
    if (exit < 0) continue; /* virtual */
    if (first_cloud > entry && last_edge < exit) return true;
    entry = exit;
  }
  return first_cloud == s->st->n;
}

static void look(void *ctx, const uint8_t *site) {
  struct search *s = ctx;
  struct stage_sums sums;
  stages_sum(s->st, site, &sums);
  int64_t ns = stages_latency_ns(s->st, &sums);
  if (ns < s->all) s->all = ns;
  if (ns < s->block && is_inside_one_block(s, site)) s->block = ns;
}

static int64_t cut_value(const struct stages *st, stages_cut_fn *cut) {
  uint8_t site[SETS_NODES_MAX];
  struct stage_sums sums;
  if (cut(st, site) != BRAID_OK) return COST_NEVER;
  cr_assert(is_closed_set(st->graph, site));
  stages_sum(st, site, &sums);
  return stages_latency_ns(st, &sums);
}

/* Pins a few nodes somewhere now and then. */
static void pin_some(const struct braid_graph *g, uint64_t seed, int8_t *pinned) {
  for (int v = 0; v < braid_graph_size(g); v++) {
    uint64_t z = braid_random_u64(seed, (uint64_t)v) % 24;
    pinned[v] = braid_graph_node(g, v)->op == BRAID_OP_INPUT || z > 1 ? -1 : (int8_t)z;
  }
}

Test(qdmp, is_the_best_cut_inside_one_block) {
  uint64_t seed = random_graph_seed(31);
  int compared = 0, blocks = 0, beaten = 0, premise_beaten = 0;
  for (uint64_t i = 0; i < 4000; i++) {
    struct braid_graph *g = sealed(random_graph(seed + i, 3 + (int)(i % 9), (unsigned)(i / 2 % RANDOM_GRAPH_FLAGS)));
    bool premise = i % 2;
    struct test_costs t = premise ? premise_costs(g, seed + i) : random_costs(g, seed + i);
    int8_t pinned[SETS_NODES_MAX];
    struct braid_goal goal = {.private_input = i % 3 == 0, .slices = (int)(i % 3), .deliver = draw_deliver(seed + i)};
    struct stages *st = NULL;
    if (count_free(g) <= 11 && braid_graph_size(g) <= SETS_NODES_MAX) {
      pin_some(g, seed + i, pinned);
      if (i % 5 == 0) goal.pinned = pinned;
      if (stages_create(g, &t.costs, &goal, &st) == BRAID_OK) {
        struct search s = {.st = st, .all = COST_NEVER, .block = COST_NEVER};
        s.joint = braid_graph_joints(g, &s.n_joints);
        each_closed_set(g, look, &s);
        int64_t found = cut_value(st, qdmp_cut);
        cr_assert_eq(found, s.block, "case %llu: %lld, best is %lld", (unsigned long long)i, (long long)found,
                     (long long)s.block);
        compared++;
        blocks += s.n_joints < st->n - 1;
        *(premise ? &premise_beaten : &beaten) += s.all < found;
        stages_destroy(&st);
      }
    }
    free_costs(&t);
    braid_graph_destroy(&g);
  }
  printf("%d networks, %d with blocks; some closed set outside of them is better in %d\n", compared, blocks,
         beaten + premise_beaten);
  cr_assert_gt(compared, 2000);
  cr_assert_gt(blocks, 500);
  cr_assert_eq(beaten + premise_beaten, 0); /* every closed set cuts inside one block */
}

Test(dsc, is_the_best_small_joint_or_end) {
  uint64_t seed = random_graph_seed(32);
  int inside = 0;
  for (uint64_t i = 0; i < 1500; i++) {
    struct braid_graph *g = sealed(random_graph(seed + i, 4 + (int)(i % 12), (unsigned)(i % RANDOM_GRAPH_FLAGS)));
    struct test_costs t = random_costs(g, seed + i);
    struct braid_goal goal = {.objective = i % 2 ? BRAID_THROUGHPUT : BRAID_LATENCY, .private_input = i % 5 == 0};
    struct stages *st = NULL;
    t.costs.jpeg_bytes = i % 4 == 0 ? 100 : 0;
    must(stages_create(g, &t.costs, &goal, &st));
    uint8_t site[SETS_NODES_MAX], found[SETS_NODES_MAX];
    int n = braid_graph_size(g), n_in = 0;
    size_t in_bytes = 0;
    const int *in = braid_graph_inputs(g, &n_in);
    cr_assert_leq(n, SETS_NODES_MAX);
    for (int k = 0; k < n_in; k++) {
      size_t bytes = braid_graph_node(g, in[k])->bytes;
      in_bytes += i % 4 == 0 && bytes > 100 ? 100 : bytes;
    }
    int64_t best = COST_NEVER;
    struct stage_sums sums;
    for (int last = -1; last < n; last++) { /* cut behind every node: does one small tensor cross? */
      int crossing = 0, which = -1;
      for (int v = 0; v < n; v++)
        site[v] = v <= last || braid_graph_node(g, v)->op == BRAID_OP_INPUT ? BRAID_EDGE : BRAID_CLOUD;
      for (int v = 0; v < n; v++)
        if (site_crosses_up(g, site, v, BRAID_EDGE)) {
          crossing++;
          which = v;
        }
      bool at_end = last == -1 || last == n - 1;
      bool early_answer = false; /* then the tensor does not lead alone to the results */
      for (int v = 0; v < last; v++) early_answer |= braid_graph_node(g, v)->is_output;
      bool bottleneck = crossing == 1 && which == last && !early_answer && braid_graph_node(g, which)->bytes < in_bytes;
      if (!at_end && !bottleneck) continue;
      stages_sum(st, site, &sums);
      int64_t ns = stages_value_ns(st, &sums);
      if (ns < best) best = ns;
    }
    enum braid_status status = dsc_cut(st, found);
    cr_assert_eq(status == BRAID_OK, best < COST_NEVER);
    if (status == BRAID_OK) {
      stages_sum(st, found, &sums);
      cr_assert_eq(stages_value_ns(st, &sums), best, "case %llu", (unsigned long long)i);
      inside += sums.crosses_up && sums.work[BRAID_EDGE] > 0;
    }
    stages_destroy(&st);
    free_costs(&t);
    braid_graph_destroy(&g);
  }
  cr_assert_gt(inside, 20, "only %d splits are no ends", inside);
}
