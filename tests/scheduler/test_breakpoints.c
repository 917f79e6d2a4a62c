/* SPDX-License-Identifier: Apache-2.0
 * The parametric table against brute force over all closed sets, and against dads recomputed. */
#include "closed_sets.h"
#include "internal.h"
#include "random_graph.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Smallest A + 8e9 bytes / rate over all sets, in real numbers. */
struct search {
  const struct stages *st;
  double bits_per_s, best;
};

static double line_ns(const struct stages *st, const uint8_t *site, double bits_per_s) {
  struct stage_sums sums;
  double bytes = 0;
  stages_sum(st, site, &sums);
  int64_t ns = stages_latency_ns(st, &sums); /* at an infinite rate */
  if (ns >= COST_NEVER) return (double)INFINITY;
  for (int v = 0; v < st->n; v++)
    if (site_crosses_up(st->graph, site, v, st->goal->deliver))
      bytes += (double)cost_tensor_bytes(st->costs, st->graph, v);
  return (double)ns + (bytes > 0 ? 8e9 * bytes / bits_per_s : 0);
}

static void look(void *ctx, const uint8_t *site) {
  struct search *s = ctx;
  double ns = line_ns(s->st, site, s->bits_per_s);
  if (ns < s->best) s->best = ns;
}

static void check_table(const struct braid_breakpoints *bp, const struct braid_graph *g) {
  cr_assert_gt(bp->n_ranges, 0);
  cr_assert_eq(bp->range[0].from_bits_per_s, 0);
  cr_assert(isinf(bp->range[bp->n_ranges - 1].to_bits_per_s));
  for (int i = 0; i < bp->n_ranges; i++) {
    const struct braid_breakpoint_range *r = &bp->range[i];
    cr_assert_lt(r->from_bits_per_s, r->to_bits_per_s);
    cr_assert(is_closed_set(g, bp->cut[r->cut].site));
    cr_assert_eq(braid_breakpoints_find(bp, r->from_bits_per_s), i);
    cr_assert_leq(r->latency_to_ns, r->latency_from_ns);
    if (i == 0) continue;
    cr_assert_eq(r->from_bits_per_s, r[-1].to_bits_per_s);
    cr_assert_leq(llabs(r->latency_from_ns - r[-1].latency_to_ns), 1 + r->latency_from_ns / 1000000000);
    cr_assert_eq(braid_breakpoints_find(bp, nextafter(r->from_bits_per_s, 0)), i - 1);
  }
}

/* Under the premise, free messages and one result (or results that stay in the cloud): the faster the link, the less on
 * the edge. */
static void check_nested(const struct braid_breakpoints *bp) {
  for (int i = 1; i < bp->n_ranges; i++)
    for (int v = 0; v < bp->n_nodes; v++)
      if (bp->cut[i].site[v] == BRAID_EDGE) cr_assert_eq(bp->cut[i - 1].site[v], BRAID_EDGE);
}

static void check_rates(const struct braid_breakpoints *bp, const struct stages *st, uint64_t seed) {
  double rates[12];
  for (int i = 0; i < 12; i++) rates[i] = 1e6 * pow(10, (double)(braid_random_u64(seed, (uint64_t)i) % 5000) / 1000);
  for (int i = 0; i < 5; i++) { /* and where it is tight */
    double to = bp->range[braid_random_u64(seed, (uint64_t)i + 20) % (uint64_t)bp->n_ranges].to_bits_per_s;
    if (isfinite(to)) rates[i] = to;
  }
  for (int i = 0; i < 12; i++) {
    struct search s = {st, rates[i], (double)INFINITY};
    each_closed_set(st->graph, look, &s);
    int range = braid_breakpoints_find(bp, rates[i]);
    double found = line_ns(st, bp->cut[bp->range[range].cut].site, rates[i]);
    cr_assert_leq(found, s.best * (1 + 1e-12) + 1e-3, "seed %llu, %.6g bit/s: %.3f, best is %.3f",
                  (unsigned long long)seed, rates[i], found, s.best);
    cr_assert_float_eq(braid_cut_ns(&bp->cut[range], rates[i], bp->load), found, st->n + found * 1e-12);
  }
}

Test(breakpoints, are_exact_at_every_rate) {
  uint64_t seed = random_graph_seed(41);
  int compared = 0, ranges = 0, nested = 0;
  for (uint64_t i = 0; i < 3000; i++) {
    struct braid_graph *g = sealed(random_graph(seed + i, 3 + (int)(i % 8), (unsigned)(i / 2 % RANDOM_GRAPH_FLAGS)));
    if (count_free(g) <= 10) {
      struct test_costs t = i % 2 ? premise_costs(g, seed + i) : random_costs(g, seed + i);
      int8_t pinned[SETS_NODES_MAX];
      struct braid_goal goal = {.private_input = i % 3 == 0, .slices = (int)(i % 3)};
      goal.deliver = draw_deliver(seed + i);
      struct stages *st = NULL;
      struct braid_breakpoints *bp = NULL;
      memset(pinned, -1, sizeof pinned);
      if (i % 7 == 0) pinned[braid_graph_size(g) - 1] = BRAID_CLOUD;
      if (i % 7 == 0 && braid_graph_node(g, braid_graph_size(g) - 1)->op != BRAID_OP_INPUT) goal.pinned = pinned;
      if (i % 4 == 1) t.costs.up.message_ns = 0;
      enum braid_status status = braid_breakpoints_build(g, &t.costs, &goal, &bp);
      if (status == BRAID_OK) {
        struct braid_costs rateless = t.costs;
        int n_outputs;
        rateless.up.bits_per_s = (double)INFINITY;
        must(stages_create(g, &rateless, &goal, &st));
        check_table(bp, g);
        check_rates(bp, st, seed + i);
        (void)braid_graph_outputs(g, &n_outputs);
        bool alike = n_outputs == 1 || goal.deliver == BRAID_CLOUD; /* the same comes down for all */
        if (bp->premise_holds && alike && t.costs.up.message_ns == 0) {
          check_nested(bp);
          cr_assert_leq(bp->n_ranges, braid_graph_size(g));
          nested++;
        }
        ranges += bp->n_ranges;
        compared++;
        stages_destroy(&st);
      } else {
        cr_assert_eq(status, BRAID_ENOTFOUND, "%s", braid_error());
      }
      braid_breakpoints_destroy(&bp);
      free_costs(&t);
    }
    braid_graph_destroy(&g);
  }
  printf("%d networks, %d with nested sets, %d ranges\n", compared, nested, ranges);
  cr_assert_gt(compared, 1000);
  cr_assert_gt(2 * ranges, 3 * compared, "%d ranges in %d tables", ranges, compared); /* fewer where results stay */
  cr_assert_gt(nested, 100);
}

/* What rounding up every message may add. */
static int64_t messages_of(const struct stages *st, const uint8_t *site) {
  int64_t messages = 0;
  for (int v = 0; v < st->n; v++)
    if (site_crosses_up(st->graph, site, v, st->goal->deliver)) messages += braid_graph_node(st->graph, v)->rows + 1;
  return messages;
}

static void compare_with_dads(const struct braid_graph *g, struct test_costs *t, const struct braid_breakpoints *bp,
                              uint64_t seed) {
  struct braid_goal goal = {0};
  for (uint64_t k = 0; k < 6; k++) {
    struct stages *st = NULL;
    struct stage_sums sums;
    double rate = 1e6 * pow(10, (double)(braid_random_u64(seed, k) % 3500) / 1000);
    t->costs.up.bits_per_s = rate;
    must(stages_create(g, &t->costs, &goal, &st));
    uint8_t *site = braid_malloc((size_t)st->n);
    must(dads_cut(st, site));
    stages_sum(st, site, &sums);
    int64_t dads = stages_latency_ns(st, &sums), slack = messages_of(st, site);
    const uint8_t *found = bp->cut[bp->range[braid_breakpoints_find(bp, rate)].cut].site;
    stages_sum(st, found, &sums);
    slack += messages_of(st, found);
    cr_assert_leq(llabs(stages_latency_ns(st, &sums) - dads), slack, "%s at %.4g: %lld, dads %lld", braid_graph_name(g),
                  rate, (long long)stages_latency_ns(st, &sums), (long long)dads);
    braid_free(site);
    stages_destroy(&st);
  }
}

Test(breakpoints, equal_dads_recomputed) {
  const char *const nets[] = {"googlenet", "squeezenet1_1", "mobilenet_v2", "resnet18", "mvcnn4_googlenet"};
  for (size_t i = 0; i < sizeof nets / sizeof *nets; i++)
    for (int c = 0; c < 4; c++) {
      struct braid_graph *g = NULL;
      struct braid_breakpoints *bp = NULL;
      struct braid_goal goal = {0};
      must(braid_zoo_build(nets[i], 1, 0, &g));
      must(braid_graph_seal(g, BRAID_PASS_ALL));
      struct test_costs t = plain_costs(g);
      for (int v = 0; v < t.costs.n_nodes; v++) {
        t.edge_ns[v] = braid_graph_node(g, v)->macs / 5;
        t.cloud_ns[v] = t.edge_ns[v] / (c & 1 ? 10 : 2);
        if (c == 3 && v % 5 == 0) t.cloud_ns[v] = 2 * t.edge_ns[v]; /* no premise */
      }
      t.costs.up.delay_ns = t.costs.down.delay_ns = 5 * MS;
      t.costs.up.message_ns = c & 2 ? 20 * US : 0;
      must(braid_breakpoints_build(g, &t.costs, &goal, &bp));
      check_table(bp, g);
      cr_assert_eq(bp->premise_holds, c != 3);
      compare_with_dads(g, &t, bp, i * 10 + (uint64_t)c);
      braid_breakpoints_destroy(&bp);
      free_costs(&t);
      braid_graph_destroy(&g);
    }
}

Test(breakpoints, hold_for_other_loads) {
  uint64_t seed = random_graph_seed(43);
  static const double loads[] = {1, 2, 4, 8};
  int more = 0;
  for (uint64_t i = 0; i < 400; i++) {
    struct braid_graph *g = sealed(random_graph(seed + i, 4 + (int)(i % 12), (unsigned)(i % RANDOM_GRAPH_FLAGS)));
    struct test_costs t = random_costs(g, seed + i);
    struct braid_goal goal = {0};
    struct braid_breakpoints *bp = NULL, *at[4] = {NULL};
    t.costs.cloud_load = 1;
    must(braid_breakpoints_build(g, &t.costs, &goal, &bp));
    for (int k = 0; k < 4; k++) {
      must(braid_breakpoints_add_load(bp, g, &t.costs, &goal, loads[k]));
      t.costs.cloud_load = loads[k];
      must(braid_breakpoints_build(g, &t.costs, &goal, &at[k]));
      t.costs.cloud_load = 1;
    }
    more += bp->n_cuts > bp->n_ranges;
    check_table(bp, g);
    for (int k = 0; k < 16; k++) { /* as good as the table made for that load, */
      double rate = 1e6 * pow(10, (double)(braid_random_u64(seed + i, (uint64_t)k) % 5000) / 1000);
      double want = braid_cut_ns(&at[k % 4]->cut[braid_breakpoints_find(at[k % 4], rate)], rate, loads[k % 4]);
      double load = loads[k % 4];
      double found = braid_cut_ns(&bp->cut[braid_breakpoints_find_loaded(bp, rate, load)], rate, load);
      cr_assert_float_eq(found, want, (double)bp->n_nodes + want * 1e-12, "case %llu", (unsigned long long)i);
      load = 1 + (double)k / 3; /* and the best of what is stored at any other */
      found = braid_cut_ns(&bp->cut[braid_breakpoints_find_loaded(bp, rate, load)], rate, load);
      for (int c = 0; c < bp->n_cuts; c++) cr_assert_geq(braid_cut_ns(&bp->cut[c], rate, load), found);
    }
    for (int k = 0; k < 4; k++) braid_breakpoints_destroy(&at[k]);
    braid_breakpoints_destroy(&bp);
    free_costs(&t);
    braid_graph_destroy(&g);
  }
  cr_assert_gt(more, 20);
}

Test(breakpoints, text_brings_back_the_same_table) {
  uint64_t seed = random_graph_seed(44);
  for (uint64_t i = 0; i < 200; i++) {
    struct braid_graph *g = sealed(random_graph(seed + i, 4 + (int)(i % 20), (unsigned)(i % RANDOM_GRAPH_FLAGS)));
    struct test_costs t = random_costs(g, seed + i);
    struct braid_goal goal = {.private_input = i % 3 == 0};
    struct braid_breakpoints *bp = NULL, *back = NULL;
    char *text = NULL;
    must(braid_breakpoints_build(g, &t.costs, &goal, &bp));
    must(braid_breakpoints_add_load(bp, g, &t.costs, &goal, 8));
    must(braid_breakpoints_to_json(bp, g, &text));
    must(braid_breakpoints_from_json(text, strlen(text), g, &back));
    check_table(back, g);
    cr_assert_eq(back->n_ranges, bp->n_ranges);
    cr_assert_eq(back->n_cuts, bp->n_cuts);
    cr_assert_eq(back->premise_holds, bp->premise_holds);
    for (int k = 0; k < bp->n_cuts; k++) {
      cr_assert_eq(memcmp(back->cut[k].site, bp->cut[k].site, (size_t)bp->n_nodes), 0);
      cr_assert_eq(back->cut[k].fixed_ns, bp->cut[k].fixed_ns);
      cr_assert_eq(back->cut[k].cloud_ns, bp->cut[k].cloud_ns);
      cr_assert_eq(back->cut[k].up_bytes, bp->cut[k].up_bytes);
    }
    for (int k = 0; k < bp->n_ranges; k++) {
      const struct braid_breakpoint_range *a = &bp->range[k], *b = &back->range[k];
      cr_assert_eq(a->cut, b->cut);
      cr_assert_eq(a->latency_from_ns, b->latency_from_ns);
      if (isfinite(a->to_bits_per_s)) cr_assert_float_eq(a->to_bits_per_s, b->to_bits_per_s, 1e-12 * a->to_bits_per_s);
    }
    braid_free(text);
    braid_breakpoints_destroy(&bp);
    braid_breakpoints_destroy(&back);
    free_costs(&t);
    braid_graph_destroy(&g);
  }
}

static void refuse(const struct braid_graph *g, const char *text, const char *why) {
  struct braid_breakpoints *bp = NULL;
  cr_assert_neq(braid_breakpoints_from_json(text, strlen(text), g, &bp), BRAID_OK, "accepted: %s", text);
  cr_assert_null(bp);
  cr_assert(strstr(braid_error(), why), "'%s' does not say '%s'", braid_error(), why);
}

Test(breakpoints, what_is_wrong_in_a_file_is_named) {
  struct braid_graph *g = new_graph("chain");
  must(braid_graph_add_output(g, node1(g, "b", node1(g, "a", tensor_in(g, "in", 2, 2)))));
  sealed(g);
  refuse(g, "{}", "cuts");
  refuse(g, "{\"cuts\":[{\"edge_nodes\":[]}]}", "ranges");
  refuse(g, "{\"cuts\":[{\"edge_nodes\":[9]}],\"ranges\":[{}]}", "\"cuts\"[0]: \"edge_nodes\"[0] is 9");
  refuse(g, "{\"cuts\":[{\"edge_nodes\":[2]}],\"ranges\":[{}]}", "node 2 'b' is on the edge but reads");
  refuse(g, "{\"cuts\":[{\"edge_nodes\":[]}],\"ranges\":[{\"cut\":1}]}", "\"ranges\"[0]: \"cut\" is 1");
  refuse(g, "{\"cuts\":[{\"edge_nodes\":[]}],\"ranges\":[{\"to_mbit\":1}]}", "must be null");
  refuse(g, "{\"cuts\":[{\"edge_nodes\":[]}],\"ranges\":[{\"to_mbit\":1},{\"from_mbit\":2}]}", "begin at 1");
  refuse(g, "{\"cuts\":[{\"edge_nodes\":[]}],\"ranges\":[{}],\"hash\":\"12\"}", "another network");
  braid_graph_destroy(&g);
}

Test(breakpoints, what_has_no_table_is_said) {
  struct braid_graph *g = sealed(random_graph(3, 6, 0));
  struct test_costs t = random_costs(g, 3);
  struct braid_breakpoints *bp = NULL;
  struct braid_goal memory = {.edge_memory = 1 << 20}, period = {.objective = BRAID_THROUGHPUT};
  cr_assert_eq(braid_breakpoints_build(g, &t.costs, &memory, &bp), BRAID_EUNSUPPORTED);
  cr_assert(strstr(braid_error(), "memory"));
  cr_assert_eq(braid_breakpoints_build(g, &t.costs, &period, &bp), BRAID_EINVAL);
  cr_assert_null(bp);
  free_costs(&t);
  braid_graph_destroy(&g);
}

Test(breakpoints, failed_allocations_are_survived) {
  struct braid_graph *g = sealed(random_graph(8, 12, 0));
  struct test_costs t = random_costs(g, 8);
  struct braid_goal goal = {0};
  long at = 1;
  for (;; at++) {
    struct braid_breakpoints *bp = NULL;
    braid_alloc_fail_at(at);
    enum braid_status status = braid_breakpoints_build(g, &t.costs, &goal, &bp);
    if (status == BRAID_OK) status = braid_breakpoints_add_load(bp, g, &t.costs, &goal, 8);
    braid_alloc_fail_at(0);
    braid_breakpoints_destroy(&bp);
    if (status == BRAID_OK) break;
    cr_assert_eq(status, BRAID_ENOMEM);
  }
  cr_assert_gt(at, 30);
  free_costs(&t);
  braid_graph_destroy(&g);
}
