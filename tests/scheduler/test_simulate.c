/* SPDX-License-Identifier: Apache-2.0
 * The simulator against timelines worked out by hand, then against what must hold for any plan. In the hand-made nets a
 * row is 1000 bytes and the link carries a byte a ns, so a row takes 1 us. */
#include "nets.h"
#include "random_graph.h"

#include <string.h>

#define WIDTH 250

static struct braid_sim_result simulate(const struct braid_plan *plan, const struct braid_graph *g,
                                        const struct test_costs *t, int frames, int window) {
  struct braid_sim_result result;
  must(braid_simulate(plan, g, &t->costs, &(struct braid_sim_opts){.frames = frames, .window = window}, &result));
  return result;
}

static struct braid_plan *plan_with_edge(const struct braid_graph *g, const char *const *names, int n) {
  struct braid_plan *plan = NULL;
  must(braid_plan_create(g, "test", &plan));
  for (int v = 0; v < plan->n_nodes; v++)
    plan->site[v] = braid_graph_node(g, v)->op == BRAID_OP_INPUT ? BRAID_EDGE : BRAID_CLOUD;
  for (int i = 0; i < n; i++) plan->site[braid_graph_find(g, names[i])] = BRAID_EDGE;
  return plan;
}

/* in -> a -> b, a 10 us on the edge, b 5 us in the cloud. */
static struct braid_graph *two_stages(int rows, struct test_costs *t) {
  struct braid_graph *g = new_graph("two");
  must(braid_graph_add_output(g, node1(g, "b", node1(g, "a", tensor_in(g, "in", rows, WIDTH)))));
  sealed(g);
  *t = plain_costs(g);
  set_times(t, g, "a", 10 * US, 100 * US);
  set_times(t, g, "b", 50 * US, 5 * US);
  return g;
}

static void drop(struct braid_graph *g, struct braid_plan *plan, struct test_costs *t) {
  free_costs(t);
  braid_plan_destroy(&plan);
  braid_graph_destroy(&g);
}

Test(simulate, two_stages_add_up) {
  struct test_costs t;
  struct braid_graph *g = two_stages(1, &t);
  struct braid_plan *plan = plan_with_edge(g, (const char *[]){"a"}, 1);
  t.costs.up.delay_ns = 3 * US;
  t.costs.down.delay_ns = 2 * US;
  for (int serial = 0; serial < 2; serial++) {
    plan->serial = serial;
    struct braid_sim_result r = simulate(plan, g, &t, 1, 1);
    cr_assert_eq(r.first_latency_ns, (10 + 1 + 3 + 5 + 1 + 2) * US);
    cr_assert_eq(r.makespan_ns, r.first_latency_ns);
    cr_assert_eq(r.up_bytes, 1000);
    cr_assert_eq(r.down_bytes, 1000);
    cr_assert_eq(r.busy_ns[BRAID_RES_EDGE], 10 * US);
    cr_assert_eq(r.busy_ns[BRAID_RES_UP], 1 * US);
    cr_assert_eq(r.busy_ns[BRAID_RES_CLOUD], 5 * US);
    cr_assert_eq(r.busy_ns[BRAID_RES_DOWN], 1 * US);
  }
  t.costs.up.message_ns = 500;
  t.costs.down.message_ns = 250;
  t.costs.edge_task_ns = 7;
  t.costs.cloud_task_ns = 11;
  t.costs.cloud_load = 2;
  cr_assert_eq(simulate(plan, g, &t, 1, 1).first_latency_ns, 27 * US + 500 + 250 + 7 + 11);
  drop(g, plan, &t);
}

/* Two slices of 5 us each on the edge, 3 us more for each; the cloud's at twice its load. Whole nodes pay nothing. */
Test(simulate, slices_cost_what_they_are_said_to) {
  struct test_costs t;
  struct braid_graph *g = two_stages(4, &t);
  struct braid_plan *plan = plan_with_edge(g, (const char *[]){"a"}, 1);
  int64_t edge[3] = {0, 3 * US, 0}, cloud[3] = {0, 0, US};
  t.costs.cloud_load = 2;
  struct braid_sim_result whole = simulate(plan, g, &t, 1, 1);
  t.costs.edge_slice_ns = edge;
  t.costs.cloud_slice_ns = cloud;
  struct braid_sim_result same = simulate(plan, g, &t, 1, 1);
  cr_assert_eq(same.first_latency_ns, whole.first_latency_ns);
  plan->slices[braid_graph_find(g, "a")] = plan->slices[braid_graph_find(g, "b")] = 2;
  struct braid_sim_result sliced = simulate(plan, g, &t, 1, 1);
  cr_assert_eq(sliced.busy_ns[BRAID_RES_EDGE], whole.busy_ns[BRAID_RES_EDGE] + 2 * 3 * US);
  cr_assert_eq(sliced.busy_ns[BRAID_RES_CLOUD], whole.busy_ns[BRAID_RES_CLOUD] + 2 * 2 * US);
  drop(g, plan, &t);
}

Test(simulate, the_ends_use_one_site) {
  struct test_costs t;
  struct braid_graph *g = two_stages(2, &t);
  struct braid_plan *edge = plan_with_edge(g, (const char *[]){"a", "b"}, 2), *cloud = plan_with_edge(g, NULL, 0);
  t.costs.up.delay_ns = 3 * US;
  struct braid_sim_result r = simulate(edge, g, &t, 1, 1);
  cr_assert_eq(r.first_latency_ns, 60 * US);
  cr_assert_eq(r.up_bytes + r.down_bytes, 0);
  cr_assert_eq(simulate(cloud, g, &t, 1, 1).first_latency_ns, (2 + 3 + 105 + 2) * US);
  cloud->serial = true;
  cr_assert_eq(simulate(cloud, g, &t, 1, 1).first_latency_ns, (2 + 3 + 105 + 2) * US);
  braid_plan_destroy(&edge);
  drop(g, cloud, &t);
}

/* in -> e1,e2,e3 -> c1,c2,c3 -> join: edge 3,1,2 us; cloud 2,3,1 us; every tensor 1 us on the wire. */
static struct braid_graph *three_branches(struct test_costs *t) {
  struct braid_graph *g = new_graph("three");
  int in = tensor_in(g, "in", 1, WIDTH), c[3];
  const char *e_names[] = {"e1", "e2", "e3"}, *c_names[] = {"c1", "c2", "c3"};
  for (int i = 0; i < 3; i++) c[i] = node1(g, c_names[i], node1(g, e_names[i], in));
  must(braid_graph_add_output(g, node_n(g, "join", c, 3)));
  sealed(g);
  *t = plain_costs(g);
  const int64_t edge_us[] = {3, 1, 2}, cloud_us[] = {2, 3, 1};
  for (int i = 0; i < 3; i++) {
    set_times(t, g, e_names[i], edge_us[i] * US, 50 * US);
    set_times(t, g, c_names[i], 50 * US, cloud_us[i] * US);
  }
  return g;
}

static void set_order(struct braid_plan *plan, const struct braid_graph *g, const char *const *names) {
  for (int r = 0; r < plan->n_nodes; r++) plan->rank[braid_graph_find(g, names[r])] = r;
}

Test(simulate, branches_overlap_and_order_matters) {
  struct test_costs t;
  struct braid_graph *g = three_branches(&t);
  struct braid_plan *plan = plan_with_edge(g, (const char *[]){"e1", "e2", "e3"}, 3);
  set_order(plan, g, (const char *[]){"in", "e1", "c1", "e2", "c2", "e3", "c3", "join"});
  cr_assert_eq(simulate(plan, g, &t, 1, 1).first_latency_ns, 11 * US); /* c1 4-6, c2 6-9, c3 9-10, down 11 */
  set_order(plan, g, (const char *[]){"in", "e2", "c2", "e3", "c3", "e1", "c1", "join"});
  cr_assert_eq(simulate(plan, g, &t, 1, 1).first_latency_ns, 10 * US); /* Johnson: c2 2-5, c3 5-6, c1 7-9, down 10 */
  plan->serial = true;
  cr_assert_eq(simulate(plan, g, &t, 1, 1).first_latency_ns, (6 + 3 + 6 + 1) * US);
  drop(g, plan, &t);
}

Test(simulate, two_workers_share_the_branches) {
  struct test_costs t;
  struct braid_graph *g = three_branches(&t);
  struct braid_plan *plan = plan_with_edge(g, (const char *[]){"e1", "e2", "e3", "c1", "c2", "c3", "join"}, 7);
  t.costs.edge_workers = 2; /* e1 0-3, c1 3-53, c3 53-103; e2 0-1, c2 1-51, e3 51-53 */
  cr_assert_eq(simulate(plan, g, &t, 1, 1).first_latency_ns, 103 * US);
  drop(g, plan, &t);
}

Test(simulate, slices_stream_through_the_cut) {
  struct test_costs t;
  struct braid_graph *g = two_stages(4, &t);
  set_times(&t, g, "a", 8 * US, 0);
  set_times(&t, g, "b", 0, 4 * US);
  struct braid_plan *plan = plan_with_edge(g, (const char *[]){"a"}, 1);
  cr_assert_eq(simulate(plan, g, &t, 1, 1).first_latency_ns, (8 + 4 + 4 + 4) * US);
  for (int v = 1; v < 3; v++) plan->slices[v] = 4;
  cr_assert_eq(simulate(plan, g, &t, 1, 1).first_latency_ns, 11 * US); /* last: a 8, wire 9, b 10, down 11 */
  plan->slices[2] = 2;
  cr_assert_eq(simulate(plan, g, &t, 1, 1).first_latency_ns, (9 + 2 + 2) * US);
  plan->serial = true;
  plan->slices[2] = 4;
  cr_assert_eq(simulate(plan, g, &t, 1, 1).first_latency_ns, (8 + 4 + 4 + 4) * US);
  drop(g, plan, &t);
}

Test(simulate, frames_overlap_as_the_window_allows) {
  struct test_costs t;
  struct braid_graph *g = two_stages(1, &t);
  struct braid_plan *plan = plan_with_edge(g, (const char *[]){"a"}, 1);
  for (int serial = 0; serial < 2; serial++) {
    plan->serial = serial;
    struct braid_sim_result r = simulate(plan, g, &t, 6, 1);
    cr_assert_eq(r.period_ns, 17 * US);
    cr_assert_eq(r.makespan_ns, 6 * 17 * US);
    r = simulate(plan, g, &t, 6, 2);
    cr_assert_eq(r.period_ns, 10 * US); /* the edge never rests */
    cr_assert_eq(r.first_latency_ns, 17 * US);
    cr_assert_eq(r.makespan_ns, (17 + 5 * 10) * US);
    cr_assert_eq(r.busy_ns[BRAID_RES_EDGE], 60 * US);
  }
  drop(g, plan, &t);
}

struct recorded {
  int n;
  struct braid_span span[4096];
};

static void record(void *ctx, const struct braid_span *span) {
  struct recorded *r = ctx;
  if (r->n < 4096) r->span[r->n++] = *span;
}

Test(simulate, urgent_tensors_overtake_between_messages) {
  struct braid_graph *g = new_graph("overtake");
  int in = tensor_in(g, "in", 4, 8192), a = node1(g, "a", in); /* rows of 32 KiB */
  must(braid_graph_add_output(g, node_n(g, "sum", (int[]){in, a}, 2)));
  sealed(g);
  struct test_costs t = plain_costs(g);
  set_times(&t, g, "a", US, US);
  struct braid_plan *plan = plan_with_edge(g, (const char *[]){"a"}, 1);
  set_order(plan, g, (const char *[]){"a", "in", "sum"});
  struct recorded r = {0};
  struct braid_sim_result result;
  must(braid_simulate(plan, g, &t.costs, &(struct braid_sim_opts){1, 1, record, &r}, &result));
  const char *expected[] = {"in", "a", "a", "a", "a", "in", "in", "in"};
  int ups = 0;
  for (int i = 0; i < r.n; i++) {
    if (r.span[i].resource != BRAID_RES_UP) continue;
    cr_assert_str_eq(braid_graph_node(g, r.span[i].node)->name, expected[ups]);
    cr_assert_eq(r.span[i].begin_ns, ups * 32768);
    ups++;
  }
  cr_assert_eq(ups, 8);
  cr_assert_eq(result.first_latency_ns, 12 * 32768);
  drop(g, plan, &t);
}

Test(simulate, tensors_may_return) {
  struct braid_graph *g = new_graph("return");
  int a = node1(g, "a", tensor_in(g, "in", 1, WIDTH));
  must(braid_graph_add_output(g, node_n(g, "c", (int[]){node1(g, "b", a), a}, 2)));
  sealed(g);
  struct test_costs t = plain_costs(g);
  set_times(&t, g, "a", 10 * US, 0);
  set_times(&t, g, "b", 0, 5 * US);
  set_times(&t, g, "c", 3 * US, 0);
  struct braid_plan *plan = plan_with_edge(g, (const char *[]){"a", "c"}, 2);
  cr_assert_eq(simulate(plan, g, &t, 1, 1).first_latency_ns, (10 + 1 + 5 + 1 + 3) * US);
  drop(g, plan, &t);
}

Test(simulate, bad_costs_are_refused) {
  struct test_costs t;
  struct braid_graph *g = two_stages(1, &t);
  struct braid_plan *plan = plan_with_edge(g, NULL, 0);
  struct braid_sim_result r;
  struct braid_sim_opts opts = {.frames = 1, .window = 1};
  t.edge_ns[1] = -1;
  cr_assert_eq(braid_simulate(plan, g, &t.costs, &opts, &r), BRAID_EINVAL);
  t.edge_ns[1] = 0;
  t.costs.up.bits_per_s = 0;
  cr_assert_eq(braid_simulate(plan, g, &t.costs, &opts, &r), BRAID_EINVAL);
  t.costs.up.bits_per_s = 1e-6;
  cr_assert_eq(braid_simulate(plan, g, &t.costs, &opts, &r), BRAID_EINVAL);
  t.costs.up.bits_per_s = 1e6;
  t.costs.n_nodes--;
  cr_assert_eq(braid_simulate(plan, g, &t.costs, &opts, &r), BRAID_EMISMATCH);
  t.costs.n_nodes++;
  opts.frames = 0;
  cr_assert_eq(braid_simulate(plan, g, &t.costs, &opts, &r), BRAID_EINVAL);
  drop(g, plan, &t);
}

/* ----------------------------------------------------------------------------- what must hold for any plan */

enum { ROWS = 4096, NODES = 64, FRAMES = 6, LANES = 4 };

/* When each row of each tensor of each frame was ready on the site that made it, and on the other. */
struct ledger {
  const struct braid_graph *g;
  const struct braid_plan *plan;
  const struct test_costs *t;
  int64_t made[FRAMES][NODES][ROWS], landed[FRAMES][NODES][ROWS];
  int64_t free_at[4][LANES], last_begin, busy[4];
  int64_t edge_done[FRAMES], landed_all[FRAMES], cloud_done[FRAMES]; /* latest so far */
};

static void check_reads(const struct ledger *l, const struct braid_span *s) {
  const struct braid_node *node = braid_graph_node(l->g, s->node);
  for (int k = 0; k < node->n_in; k++) {
    int u = node->in[k];
    if (!braid_is_node(u)) continue;
    struct braid_band need = braid_graph_needs(l->g, s->node, k, s->band);
    for (int r = need.begin; r < need.end; r++) {
      bool here = l->plan->site[u] == l->plan->site[s->node];
      int64_t at = here ? l->made[s->frame][u][r] : l->landed[s->frame][u][r];
      cr_assert(at >= 0 && at <= s->begin_ns, "node %d read row %d of %d too early", s->node, r, u);
    }
  }
}

static void book(struct ledger *l, const struct braid_span *s) {
  bool task = s->resource == BRAID_RES_EDGE || s->resource == BRAID_RES_CLOUD;
  int64_t delay = s->resource == BRAID_RES_UP ? l->t->costs.up.delay_ns : l->t->costs.down.delay_ns;
  for (int r = s->band.begin; r < s->band.end; r++) {
    int64_t *at = task ? &l->made[s->frame][s->node][r] : &l->landed[s->frame][s->node][r];
    cr_assert_eq(*at, -1, "row %d of node %d comes twice", r, s->node);
    if (!task && braid_graph_node(l->g, s->node)->op != BRAID_OP_INPUT) {
      int64_t made = l->made[s->frame][s->node][r];
      cr_assert(made >= 0 && made <= s->begin_ns, "row %d of node %d is sent before it is made", r, s->node);
    }
    *at = task ? s->end_ns : s->end_ns + delay;
  }
}

static int64_t later(int64_t a, int64_t b) {
  return a > b ? a : b;
}

static void check_serial(struct ledger *l, const struct braid_span *s) {
  if (s->resource == BRAID_RES_UP) cr_assert_geq(s->begin_ns, l->edge_done[s->frame]);
  if (s->resource == BRAID_RES_CLOUD) cr_assert_geq(s->begin_ns, l->landed_all[s->frame]);
  if (s->resource == BRAID_RES_DOWN) cr_assert_geq(s->begin_ns, l->cloud_done[s->frame]);
  if (s->resource == BRAID_RES_EDGE) {
    cr_assert_eq(l->landed_all[s->frame], -1, "the edge works after sending has begun");
    l->edge_done[s->frame] = later(l->edge_done[s->frame], s->end_ns);
  }
  if (s->resource == BRAID_RES_UP) {
    cr_assert_eq(l->cloud_done[s->frame], -1, "something is sent after the cloud has begun");
    l->landed_all[s->frame] = later(l->landed_all[s->frame], s->end_ns + l->t->costs.up.delay_ns);
  }
  if (s->resource == BRAID_RES_CLOUD) l->cloud_done[s->frame] = later(l->cloud_done[s->frame], s->end_ns);
}

static void audit(void *ctx, const struct braid_span *s) {
  struct ledger *l = ctx;
  cr_assert_geq(s->begin_ns, l->last_begin, "spans out of order");
  cr_assert_geq(s->begin_ns, l->free_at[s->resource][s->lane], "two things at once on a resource");
  l->last_begin = s->begin_ns;
  l->free_at[s->resource][s->lane] = s->end_ns;
  l->busy[s->resource] += s->end_ns - s->begin_ns;
  if (s->resource == BRAID_RES_EDGE || s->resource == BRAID_RES_CLOUD) check_reads(l, s);
  if (l->plan->serial) check_serial(l, s);
  book(l, s);
}

static void start_ledger(struct ledger *l, const struct braid_graph *g, const struct braid_plan *plan,
                         const struct test_costs *t) {
  l->g = g;
  l->plan = plan;
  l->t = t;
  memset(l->free_at, 0, sizeof l->free_at);
  memset(l->busy, 0, sizeof l->busy);
  l->last_begin = 0;
  for (int f = 0; f < FRAMES; f++) {
    l->edge_done[f] = l->landed_all[f] = l->cloud_done[f] = -1;
    for (int v = 0; v < plan->n_nodes; v++) {
      const struct braid_node *node = braid_graph_node(g, v);
      cr_assert_leq(node->rows, ROWS);
      memset(l->made[f][v], node->op == BRAID_OP_INPUT ? 0 : -1, (size_t)node->rows * sizeof l->made[f][v][0]);
      memset(l->landed[f][v], -1, (size_t)node->rows * sizeof l->landed[f][v][0]);
    }
  }
}

/* Everything is made once, what crosses has landed, and the last result is what the simulator says. */
static void check_end(const struct ledger *l, const struct braid_sim_result *r, int frames) {
  int64_t last = 0, first = 0;
  for (int f = 0; f < frames; f++)
    for (int v = 0; v < l->plan->n_nodes; v++) {
      const struct braid_node *node = braid_graph_node(l->g, v);
      bool crosses = braid_plan_crosses_up(l->plan, l->g, v) || braid_plan_crosses_down(l->plan, l->g, v);
      for (int row = 0; row < node->rows; row++) {
        cr_assert_geq(l->made[f][v][row], 0, "row %d of node %d was never made", row, v);
        cr_assert_eq(l->landed[f][v][row] >= 0, crosses);
        if (!node->is_output) continue;
        int64_t at = l->plan->site[v] == BRAID_EDGE ? l->made[f][v][row] : l->landed[f][v][row];
        last = later(last, at);
        if (f == 0) first = later(first, at);
      }
    }
  cr_assert_eq(r->makespan_ns, last);
  cr_assert_eq(r->first_latency_ns, first);
  for (int i = 0; i < 4; i++) cr_assert_eq(r->busy_ns[i], l->busy[i]);
}

static void check_work(const struct ledger *l, const struct braid_sim_result *r, int frames) {
  int64_t work[2] = {0};
  size_t up = 0, down = 0;
  double load = l->t->costs.cloud_load > 0 ? l->t->costs.cloud_load : 1;
  for (int v = 0; v < l->plan->n_nodes; v++) {
    const struct braid_node *node = braid_graph_node(l->g, v);
    if (braid_plan_crosses_up(l->plan, l->g, v)) up += node->bytes;
    if (braid_plan_crosses_down(l->plan, l->g, v)) down += node->bytes;
    if (node->op == BRAID_OP_INPUT) continue;
    bool edge = l->plan->site[v] == BRAID_EDGE;
    work[l->plan->site[v]] += edge ? l->t->edge_ns[v] : (int64_t)((double)l->t->cloud_ns[v] * load + 0.5);
    work[l->plan->site[v]] += l->plan->slices[v] * (edge ? l->t->costs.edge_task_ns : l->t->costs.cloud_task_ns);
  }
  cr_assert_eq(r->busy_ns[BRAID_RES_EDGE], work[0] * frames);
  cr_assert_eq(r->busy_ns[BRAID_RES_CLOUD], work[1] * frames);
  cr_assert_eq(r->up_bytes, up * (size_t)frames);
  cr_assert_eq(r->down_bytes, down * (size_t)frames);
}

Test(simulate, any_plan_on_any_net_keeps_the_rules) {
  uint64_t seed = random_graph_seed(1);
  struct ledger *ledger = braid_malloc(sizeof *ledger);
  for (uint64_t i = 0; i < 1500; i++) {
    struct braid_graph *g = sealed(random_graph(seed + i, 4 + (int)(i % 17), (unsigned)(i % RANDOM_GRAPH_FLAGS)));
    cr_assert_leq(braid_graph_size(g), NODES);
    struct test_costs t = random_costs(g, seed + i);
    t.costs.edge_workers = 1 + (int)(i % 3);
    t.costs.cloud_workers = 1 + (int)(i / 3 % LANES);
    struct braid_plan *plan = random_plan(g, seed + i, i % 2, i % 5 == 0, 1 + (int)(i % 6));
    int frames = 1 + (int)(i % FRAMES), window = 1 + (int)(i / 7 % 4);
    start_ledger(ledger, g, plan, &t);
    struct braid_sim_result r, again;
    struct braid_sim_opts opts = {frames, window, audit, ledger};
    must(braid_simulate(plan, g, &t.costs, &opts, &r));
    check_end(ledger, &r, frames);
    check_work(ledger, &r, frames);
    again = simulate(plan, g, &t, frames, window);
    cr_assert_eq(memcmp(&r, &again, sizeof r), 0, "the second time is different");
    drop(g, plan, &t);
  }
  braid_free(ledger);
}

Test(simulate, failed_allocations_are_survived) {
  struct test_costs t;
  struct braid_graph *g = three_branches(&t);
  struct braid_plan *plan = plan_with_edge(g, (const char *[]){"e1"}, 1);
  struct braid_sim_result r;
  long n = 1;
  for (;; n++) {
    braid_alloc_fail_at(n);
    enum braid_status status =
        braid_simulate(plan, g, &t.costs, &(struct braid_sim_opts){.frames = 3000, .window = 200}, &r);
    braid_alloc_fail_at(0);
    if (status == BRAID_OK) break;
    cr_assert_eq(status, BRAID_ENOMEM);
  }
  cr_assert_gt(n, 5);
  drop(g, plan, &t);
}
