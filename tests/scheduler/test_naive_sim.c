/* SPDX-License-Identifier: Apache-2.0
 * The simulator against the naive one, span by span: random networks, plans with returns, slices, mixes, workers,
 * windows, changing rates, coded tensors. */
#include "naive_sim.h"
#include "nets.h"
#include "random_graph.h"

#include <stdlib.h>
#include <string.h>

enum { NODES = 128, SPANS = 65536, STEPS = 4 };

struct world {
  struct braid_graph *graph;
  struct test_costs t;
  size_t wire[NODES];
  struct braid_rate_step up[STEPS], down[STEPS];
  struct braid_sim_opts opts;
};

struct record {
  int n;
  struct braid_span *span; /* [SPANS] */
};

static void record(void *ctx, const struct braid_span *span) {
  struct record *r = ctx;
  cr_assert_lt(r->n, SPANS);
  r->span[r->n] = *span;
  r->span[r->n++].lane = 0;
}

static int by_begin(const void *a, const void *b) {
  const struct braid_span *x = a, *y = b;
  const int64_t key[][2] = {{x->begin_ns, y->begin_ns}, {x->resource, y->resource},     {x->frame, y->frame},
                            {x->node, y->node},         {x->band.begin, y->band.begin}, {x->end_ns, y->end_ns}};
  for (size_t i = 0; i < sizeof key / sizeof *key; i++)
    if (key[i][0] != key[i][1]) return key[i][0] < key[i][1] ? -1 : 1;
  return 0;
}

static void same_spans(struct record *r, struct naive_result *naive, unsigned long long seed) {
  cr_assert_eq(r->n, naive->n_spans, "seed %llu: %d spans, %d", seed, r->n, naive->n_spans);
  qsort(r->span, (size_t)r->n, sizeof *r->span, by_begin);
  qsort(naive->span, (size_t)naive->n_spans, sizeof *naive->span, by_begin);
  for (int i = 0; i < r->n; i++) {
    const struct braid_span *a = &r->span[i], *b = &naive->span[i];
    cr_assert(by_begin(a, b) == 0 && a->band.end == b->band.end,
              "seed %llu, span %d: resource %d, frame %d, node %d, rows %d-%d, %lld-%lld ns; naively resource %d, frame "
              "%d, node %d, rows %d-%d, %lld-%lld ns",
              seed, i, (int)a->resource, a->frame, a->node, a->band.begin, a->band.end, (long long)a->begin_ns,
              (long long)a->end_ns, (int)b->resource, b->frame, b->node, b->band.begin, b->band.end,
              (long long)b->begin_ns, (long long)b->end_ns);
  }
}

static void same_sums(const struct braid_sim_result *a, const struct braid_sim_result *b, bool mix,
                      unsigned long long seed) {
  cr_assert_eq(a->first_latency_ns, b->first_latency_ns, "seed %llu", seed);
  cr_assert_eq(a->max_latency_ns, b->max_latency_ns, "seed %llu", seed);
  cr_assert_eq(a->makespan_ns, b->makespan_ns, "seed %llu", seed);
  if (!mix) cr_assert_eq(a->period_ns, b->period_ns, "seed %llu", seed);
  for (int r = 0; r < 4; r++) {
    cr_assert_eq(a->busy_ns[r], b->busy_ns[r], "seed %llu", seed);
    cr_assert_eq(a->queue_max[r], b->queue_max[r], "seed %llu, resource %d: %d wait, naively %d", seed, r,
                 a->queue_max[r], b->queue_max[r]);
  }
  cr_assert_eq(a->up_bytes, b->up_bytes, "seed %llu", seed);
  cr_assert_eq(a->down_bytes, b->down_bytes, "seed %llu", seed);
}

static int draw_steps(struct braid_rate_step *step, uint64_t seed) {
  int n = (int)(seed % (STEPS + 1));
  int64_t at = (int64_t)(seed / 8 % 3) * 10 * US;
  for (int i = 0; i < n; i++) {
    step[i] = (struct braid_rate_step){at, (double)(1 + braid_random_u64(seed, 50 + (uint64_t)i) % 12) * 1e9};
    at += 1 + (int64_t)(braid_random_u64(seed, 60 + (uint64_t)i) % 60000);
  }
  return n;
}

/* Rates that divide a ns evenly; tensors of many sizes on the wire, among them nothing and several messages. */
static void make_world(struct world *w, uint64_t seed) {
  w->graph = sealed(random_graph(seed, 3 + (int)(seed % 11), (unsigned)(seed / 3 % RANDOM_GRAPH_FLAGS)));
  w->t = random_costs(w->graph, seed);
  cr_assert_leq(braid_graph_size(w->graph), NODES);
  w->t.costs.edge_workers = 1 + (int)(seed % 3);
  w->t.costs.cloud_workers = 1 + (int)(seed / 3 % 3);
  set_rate(&w->t, (double)(1 + seed % 9) * 1e9, (double)(1 + seed / 9 % 9) * 1e9);
  for (int v = 0; v < w->t.costs.n_nodes; v++) {
    uint64_t z = braid_random_u64(seed, 500 + (uint64_t)v);
    w->wire[v] = z % 11 == 0 ? 0 : z % 7 == 0 ? (size_t)(z >> 8) % 300000 : (size_t)(z >> 8) % 4000;
  }
  if (seed % 4 == 0) w->t.costs.wire_bytes = w->wire;
  w->opts = (struct braid_sim_opts){.frames = 1 + (int)(seed % 7), .window = 1 + (int)(seed / 5 % 5)};
  w->opts.up_rate = w->up;
  w->opts.down_rate = w->down;
  if (seed % 3 == 1) {
    w->opts.n_up_rate = draw_steps(w->up, braid_random_u64(seed, 70));
    w->opts.n_down_rate = draw_steps(w->down, braid_random_u64(seed, 71));
  }
}

static void compare(struct world *w, const struct braid_plan *plan, struct record *spans, uint64_t seed) {
  struct braid_sim_result r;
  struct naive_result naive;
  spans->n = 0;
  w->opts.span = record;
  w->opts.ctx = spans;
  must(braid_simulate(plan, w->graph, &w->t.costs, &w->opts, &r));
  cr_assert(naive_simulate(plan, w->graph, &w->t.costs, &w->opts, &naive));
  same_spans(spans, &naive, (unsigned long long)seed);
  same_sums(&r, &naive.sum, plan->n_mix > 0, (unsigned long long)seed);
  naive_free(&naive);
}

static void run_worlds(uint64_t seed, uint64_t worlds, int parts) {
  struct record spans = {.span = braid_malloc(SPANS * sizeof *spans.span)};
  for (uint64_t i = 0; i < worlds; i++, seed++) {
    struct world w = {0};
    make_world(&w, seed);
    if (parts > 0) w.opts.frames += 9;
    struct braid_plan *plan = parts > 0 ? random_mix(w.graph, seed, 2 + (int)(seed % (uint64_t)parts))
                                        : random_plan(w.graph, seed, seed % 2, seed % 6 == 0, 1 + (int)(seed % 6));
    set_deliver(plan, draw_deliver(seed));
    for (int p = 0; p < plan->n_mix; p++) plan->mix[p]->window = 1 + (int)(seed / 2 % 3);
    compare(&w, plan, &spans, seed);
    braid_plan_destroy(&plan);
    free_costs(&w.t);
    braid_graph_destroy(&w.graph);
  }
  braid_free(spans.span);
}

Test(naive_sim, plans_take_the_same_way_span_by_span) {
  run_worlds(random_graph_seed(10000), 1500, 0);
}

Test(naive_sim, mixes_take_the_same_way_span_by_span) {
  run_worlds(random_graph_seed(20000), 500, 4);
}

/* More frames are under way than a frame that is still in flight lets be submitted. */
Test(naive_sim, no_part_runs_too_far_ahead) {
  uint64_t seed = random_graph_seed(30000);
  struct record spans = {.span = braid_malloc(SPANS * sizeof *spans.span)};
  struct world w = {0};
  make_world(&w, seed);
  w.opts.frames = 3 * BRAID_MIX_AHEAD;
  w.opts.window = BRAID_PLAN_WINDOW_MAX;
  struct braid_plan *plan = random_mix(w.graph, seed, 2);
  compare(&w, plan, &spans, seed);
  braid_plan_destroy(&plan);
  free_costs(&w.t);
  braid_graph_destroy(&w.graph);
  braid_free(spans.span);
}
