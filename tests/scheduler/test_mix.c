/* SPDX-License-Identifier: Apache-2.0
 * Mixes: the linear program against every closed set, dealing, simulating, plan files, and the throughput plan against
 * all other policies. */
#include "closed_sets.h"
#include "internal.h"
#include "mix_lp.h"
#include "random_graph.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* ------------------------------------------------------------------------------------------ the LP's optimum */

struct world {
  struct braid_graph *graph;
  struct test_costs costs;
  struct braid_goal goal;
  struct stages *st;
};

/* Every second one series-parallel; two of three with a cloud that is nowhere slower. */
static struct world make_world(uint64_t seed, bool memory) {
  unsigned flags = (seed % 5 ? 0 : RANDOM_GRAPH_MULTI_OUTPUT) | (seed % 2 ? RANDOM_GRAPH_SERIES_PARALLEL : 0);
  struct world w = {random_graph(seed, 3 + (int)(seed % 6), flags)};
  must(braid_graph_seal(w.graph, 0));
  w.costs = seed % 3 ? premise_costs(w.graph, seed) : random_costs(w.graph, seed);
  w.costs.costs.edge_workers = 1 + (int)(seed % 3);
  w.costs.costs.cloud_workers = 1 + (int)(seed / 3 % 3);
  w.goal = (struct braid_goal){.objective = BRAID_THROUGHPUT, .private_input = seed % 4 == 0};
  w.goal.deliver = draw_deliver_open(&w.goal, seed);
  size_t total = 0;
  for (int v = 0; v < braid_graph_size(w.graph); v++)
    total += braid_graph_node(w.graph, v)->weight_bytes + braid_graph_node(w.graph, v)->bytes;
  if (memory) w.goal.edge_memory = total * (1 + seed % 10) / 8;
  return w;
}

static void open_world(struct world *w) {
  must(stages_create(w->graph, &w->costs.costs, &w->goal, &w->st));
}

static void close_world(struct world *w) {
  stages_destroy(&w->st);
  free_costs(&w->costs);
  braid_graph_destroy(&w->graph);
}

static bool fits(const void *ctx, const uint8_t *site) {
  struct stage_sums sums;
  stages_sum(ctx, site, &sums);
  return stages_period_ns(ctx, &sums) < COST_NEVER;
}

static bool is_closed(const struct braid_graph *g, const uint8_t *site) {
  for (int v = 0; v < braid_graph_size(g); v++) {
    const struct braid_node *node = braid_graph_node(g, v);
    for (int k = 0; k < node->n_in; k++)
      if (site[v] == BRAID_EDGE && braid_is_node(node->in[k]) && site[node->in[k]] == BRAID_CLOUD) return false;
  }
  return true;
}

/* min over all cuts of sum m_R Work_R, closed or not, by trying them all. */
static double cheapest(const struct world *w, const struct cut_costs *costs, const int64_t price[4], bool closed) {
  int n = braid_graph_size(w->graph), free_node[32], n_free = 0;
  double least = (double)INFINITY;
  for (int v = 0; v < n; v++)
    if (!w->st->pinned[v]) free_node[n_free++] = v;
  uint8_t site[64];
  for (int set = 0; set < 1 << n_free; set++) {
    int64_t work[4];
    double sum = 0;
    memset(site, BRAID_EDGE, sizeof site);
    for (int i = 0; i < n_free; i++) site[free_node[i]] = set >> i & 1 ? BRAID_CLOUD : BRAID_EDGE;
    struct stage_sums sums;
    stages_sum(w->st, site, &sums);
    if (!sums.allowed || (closed && !is_closed(w->graph, site))) continue;
    cut_work(w->graph, costs, site, work);
    for (int r = 0; r < 4; r++) sum += (double)price[r] * (double)work[r];
    if (sum < least) least = sum;
  }
  return least;
}

/* Both halves of duality are checked from the definitions: the mix is feasible and has the period it claims, and the
 * prices prove over all cuts that there is no better one. Together: it is the optimum. */
static void check_mix(const struct world *w, const struct cut_costs *costs, const struct mix_solution *s,
                      const int64_t capacity[4], bool constrained) {
  double busy[4] = {0}, sum = 0, most = 0;
  for (int i = 0; i < s->n_parts; i++) {
    int64_t work[4];
    cr_assert(is_closed(w->graph, s->site[i]));
    cr_assert(fits(w->st, s->site[i]), "a part breaks the goal");
    cr_assert(i == 0 || s->weight[i] <= s->weight[i - 1]);
    cut_work(w->graph, costs, s->site[i], work);
    for (int r = 0; r < 4; r++) busy[r] += s->weight[i] * (double)work[r] / (double)capacity[r];
    sum += s->weight[i];
  }
  for (int r = 0; r < 4; r++) most = busy[r] > most ? busy[r] : most;
  cr_assert_float_eq(sum, 1, 1e-9);
  cr_assert_float_eq(most, s->period_ns, 1e-6 * most + 1e-6, "%g, claimed %g", most, s->period_ns);
  if (constrained) return;
  cr_assert(s->period_ns <= (double)s->bound_ns * (1 + 1e-6) + 2, "%.3f ns, bound %lld", s->period_ns,
            (long long)s->bound_ns);
}

static void check_bound(const struct world *w, const struct cut_costs *costs, const struct mix_solution *s,
                        const int64_t capacity[4], bool closed) {
  double divisor = 0;
  for (int r = 0; r < 4; r++) divisor += (double)s->price[r] * (double)capacity[r];
  cr_assert_gt(divisor, 0);
  double proof = cheapest(w, costs, s->price, closed) / divisor;
  cr_assert((double)s->bound_ns <= proof * (1 + 1e-9) + 1e-6, "bound %lld, the prices prove %.3f",
            (long long)s->bound_ns, proof);
  cr_assert((double)s->bound_ns >= proof * (1 - 1e-9) - 1);
}

/* Returns the parts of the mix. */
static int one_optimum(uint64_t seed, bool memory, bool closed) {
  struct world w = make_world(seed, memory);
  open_world(&w);
  struct cut_costs costs = {
      w.st->work[BRAID_EDGE], w.st->work[BRAID_CLOUD], w.st->up, w.st->down, w.st->pinned, w.st->away, w.goal.deliver};
  struct mix_problem p = {w.graph, &costs, {w.costs.costs.edge_workers, 1, w.costs.costs.cloud_workers, 1}, closed};
  p.admits = fits;
  p.ctx = w.st;
  struct mix_solution *s = NULL;
  enum braid_status status = mix_lp_solve(&p, &s);
  if (status == BRAID_OK && closed) check_mix(&w, &costs, s, p.capacity, memory);
  if (status == BRAID_OK) check_bound(&w, &costs, s, p.capacity, closed);
  if (status != BRAID_OK)
    cr_assert(memory || s->bound_ns <= 1, "seed %llu: %s", (unsigned long long)seed, braid_error());
  int parts = s->n_parts;
  mix_lp_free(&s);
  close_world(&w);
  return parts;
}

static void many_optima(uint64_t seed, int n, bool memory, bool closed) {
  int mixes = 0;
  for (int i = 0; i < n; i++) mixes += one_optimum(seed + (uint64_t)i, memory, closed) > 1;
  printf("%d networks, %d optima are mixes\n", n, mixes);
  cr_assert_gt(mixes, n / 20);
}

Test(mix_lp, is_the_optimum_over_all_closed_sets) {
  many_optima(random_graph_seed(100), 2000, false, true);
}

Test(mix_lp, bounds_cuts_with_returns_too) {
  many_optima(random_graph_seed(200), 1000, false, false);
}

Test(mix_lp, parts_keep_the_memory_limit) {
  many_optima(random_graph_seed(300), 1000, true, true);
}

/* Edge 30 or cloud 10 after 20 on the wire: one frame in three on the edge... x/30 + 0, y/20: 1/20 + 1/30. */
Test(mix_lp, two_machines_add_up) {
  struct braid_graph *g = new_graph("pair");
  int a = tensor_in(g, "a", 1, 5000);
  int b = node1(g, "b", a);
  must(braid_graph_add_output(g, b));
  sealed(g);
  struct test_costs t = plain_costs(g);
  set_times(&t, g, "b", 30000, 10000);
  set_rate(&t, 8e9, 8e15); /* 20000 bytes up: 20 us */
  struct braid_goal goal = {.objective = BRAID_THROUGHPUT};
  struct braid_plan *plan = NULL;
  must(braid_throughput_decide(g, &t.costs, &goal, &plan));
  must(braid_plan_forecast(plan, g, &t.costs, &goal));
  cr_assert_eq(plan->n_mix, 2);
  cr_assert_float_eq(plan->mix_weight[0], 0.6, 1e-5); /* the part that sends comes first */
  cr_assert_eq(plan->mix[0]->site[1], BRAID_CLOUD);
  cr_assert_eq(plan->mix[1]->site[1], BRAID_EDGE);
  cr_assert_float_eq((double)plan->forecast.bound_ns, 12000, 2);
  cr_assert_lt(plan->forecast.gap, 0.02, "period %lld", (long long)plan->forecast.period_ns);
  braid_plan_destroy(&plan);
  free_costs(&t);
  braid_graph_destroy(&g);
}

/* --------------------------------------------------------------------------------------------------- dealing */

Test(mix, every_run_of_frames_has_its_shares) {
  double weight[4] = {0.55, 0.25, 0.19, 0.01}, credit[4] = {0};
  struct braid_plan plan = {.n_mix = 4, .mix_weight = weight};
  int dealt[4] = {0};
  for (int frame = 1; frame <= 5000; frame++) {
    int part = braid_mix_next(&plan, credit);
    cr_assert(part >= 0 && part < 4);
    dealt[part]++;
    for (int i = 0; i < 4; i++)
      cr_assert(fabs(dealt[i] - weight[i] * frame) < 1 + 1e-6, "frame %d: part %d has %d", frame, i, dealt[i]);
  }
}

Test(mix, arenas_cover_the_shares_and_stay_bounded) {
  double weight[3] = {0.7, 0.2, 0.1};
  struct braid_plan one = {.window = 1}, *parts[3] = {&one, &one, &one};
  struct braid_plan plan = {.n_mix = 3, .mix_weight = weight, .mix = parts};
  for (int window = 1; window <= 64; window++) {
    int sum = 0;
    for (int i = 0; i < 3; i++) {
      int frames = braid_mix_frames(&plan, i, window);
      cr_assert(frames >= 1 && frames <= window && (frames == window || frames > weight[i] * window));
      sum += frames;
    }
    cr_assert(sum >= window && sum <= window + 6);
  }
  one.window = 4; /* a slow part asks for more than its share */
  cr_assert_eq(braid_mix_frames(&plan, 2, 8), 4);
  cr_assert_eq(braid_mix_frames(&plan, 2, 3), 3);
  plan.n_mix = 0;
  cr_assert_eq(braid_mix_frames(&plan, 0, 5), 5);
}

/* ----------------------------------------------------------------------------------- random mixes, simulated */

/* What all frames' spans come to: each frame runs exactly the tasks of its part. */
struct tally {
  const struct braid_plan *plan;
  int part_of[64];
  int64_t rows[64]; /* by frame: rows computed at the part's site */
  int64_t end_ns;
};

static void count_span(void *ctx, const struct braid_span *span) {
  struct tally *t = ctx;
  const struct braid_plan *part = t->plan->mix[t->part_of[span->frame]];
  if (span->end_ns > t->end_ns) t->end_ns = span->end_ns;
  if (span->resource == BRAID_RES_EDGE) cr_assert_eq(part->site[span->node], BRAID_EDGE);
  if (span->resource == BRAID_RES_CLOUD) cr_assert_eq(part->site[span->node], BRAID_CLOUD);
  if (span->resource == BRAID_RES_EDGE || span->resource == BRAID_RES_CLOUD)
    t->rows[span->frame] += span->band.end - span->band.begin;
}

static void one_simulated_mix(uint64_t seed) {
  struct braid_graph *g = random_graph(seed, 10, 0);
  must(braid_graph_seal(g, 0));
  struct test_costs t = random_costs(g, seed);
  t.costs.edge_workers = 1 + (int)(seed % 2);
  struct braid_plan *plan = random_mix(g, seed, 2 + (int)(seed % 3));
  struct tally tally = {plan};
  double credit[BRAID_PLAN_MIX_MAX] = {0};
  int64_t rows = 0;
  for (int f = 0; f < 40; f++) tally.part_of[f] = braid_mix_next(plan, credit);
  struct braid_sim_opts opts = {.frames = 40, .window = 1 + (int)(seed % 6), .span = count_span, .ctx = &tally};
  struct braid_sim_result r;
  must(braid_simulate(plan, g, &t.costs, &opts, &r));
  for (int v = 0; v < braid_graph_size(g); v++) {
    const struct braid_node *node = braid_graph_node(g, v);
    if (node->op != BRAID_OP_INPUT) rows += node->rows > 0 ? node->rows : 1;
  }
  for (int f = 0; f < 40; f++) cr_assert_eq(tally.rows[f], rows, "frame %d", f);
  cr_assert_geq(r.max_latency_ns, r.first_latency_ns);
  cr_assert_leq(r.max_latency_ns, r.makespan_ns);
  cr_assert_leq(r.makespan_ns, tally.end_ns + t.costs.up.delay_ns + t.costs.down.delay_ns);
  for (int k = 0; k < 4; k++) cr_assert(r.busy_ns[k] > 0 || r.queue_max[k] == 0);
  braid_plan_destroy(&plan);
  free_costs(&t);
  braid_graph_destroy(&g);
}

Test(mix, frames_run_the_tasks_of_their_part) {
  uint64_t seed = random_graph_seed(400);
  for (uint64_t i = 0; i < 150; i++) one_simulated_mix(seed + i);
}

/* A mix of equal plans is the plan, whatever the weights: with arenas for all, times are the same. */
Test(mix, equal_parts_change_nothing) {
  uint64_t seed = random_graph_seed(500);
  for (uint64_t i = 0; i < 50; i++) {
    struct braid_graph *g = random_graph(seed + i, 9, 0);
    must(braid_graph_seal(g, 0));
    struct test_costs t = random_costs(g, seed + i);
    struct braid_plan *plan = random_plan(g, seed + i, false, false, 3), *parts[2] = {plan, plan};
    double weight[2] = {0.5, 0.5};
    struct braid_plan mix = *plan;
    struct braid_sim_result one, both;
    struct braid_sim_opts opts = {.frames = 31, .window = 1};
    mix.n_mix = 2;
    mix.mix = parts;
    mix.mix_weight = weight;
    must(braid_simulate(plan, g, &t.costs, &opts, &one));
    must(braid_simulate(&mix, g, &t.costs, &opts, &both));
    cr_assert_eq(one.makespan_ns, both.makespan_ns);
    cr_assert_eq(one.up_bytes, both.up_bytes);
    cr_assert_arr_eq(one.busy_ns, both.busy_ns, sizeof one.busy_ns);
    braid_plan_destroy(&plan);
    free_costs(&t);
    braid_graph_destroy(&g);
  }
}

/* ------------------------------------------------------------------------------------------ rates that change */

Test(simulate, links_follow_their_rates) {
  struct braid_graph *g = new_graph("wire");
  int a = tensor_in(g, "a", 1, 2500); /* 10000 bytes */
  int b = node1(g, "b", a);
  must(braid_graph_add_output(g, b));
  sealed(g);
  struct test_costs t = plain_costs(g);
  struct braid_plan *plan = NULL;
  must(braid_plan_create(g, "test", &plan));
  plan->site[1] = BRAID_CLOUD;
  set_rate(&t, 8e9, 8e9);
  /* 4000 bytes until 4 us, 1000 more at a tenth of the rate until 14 us, the rest at twice the rate; down at full rate.
   */
  const struct braid_rate_step step[] = {{4000, 8e8}, {14000, 16e9}};
  struct braid_sim_opts opts = {.frames = 1, .window = 1, .up_rate = step, .n_up_rate = 2};
  struct braid_sim_result r;
  must(braid_simulate(plan, g, &t.costs, &opts, &r));
  cr_assert_eq(r.first_latency_ns, 14000 + 2500 + 10000);
  cr_assert_eq(r.busy_ns[BRAID_RES_UP], 16500);
  opts.frames = 3; /* later frames see the later rate */
  must(braid_simulate(plan, g, &t.costs, &opts, &r));
  cr_assert_eq(r.makespan_ns, 26500 + 2 * 15000);
  opts.n_up_rate = 0;
  must(braid_simulate(plan, g, &t.costs, &opts, &r));
  cr_assert_eq(r.makespan_ns, 3 * 20000);
  const struct braid_rate_step bad[] = {{5, 1e9}, {5, 1e9}}, dead[] = {{0, 0}};
  opts = (struct braid_sim_opts){.frames = 1, .window = 1, .down_rate = bad, .n_down_rate = 2};
  cr_assert_eq(braid_simulate(plan, g, &t.costs, &opts, &r), BRAID_EINVAL);
  opts.down_rate = dead;
  opts.n_down_rate = 1;
  cr_assert_eq(braid_simulate(plan, g, &t.costs, &opts, &r), BRAID_EINVAL);
  braid_plan_destroy(&plan);
  free_costs(&t);
  braid_graph_destroy(&g);
}

/* A slow link behind a fast edge: all but the frame on the wire wait for it. */
Test(simulate, queues_are_measured) {
  struct braid_graph *g = new_graph("queue");
  int a = tensor_in(g, "a", 1, 2500);
  int b = node1(g, "b", a), c = node1(g, "c", b);
  must(braid_graph_add_output(g, c));
  sealed(g);
  struct test_costs t = plain_costs(g);
  set_times(&t, g, "b", 10, 10);
  set_times(&t, g, "c", 10, 10);
  struct braid_plan *plan = NULL;
  must(braid_plan_create(g, "test", &plan));
  plan->site[2] = BRAID_CLOUD;
  struct braid_sim_result r;
  must(braid_simulate(plan, g, &t.costs, &(struct braid_sim_opts){.frames = 20, .window = 5}, &r));
  cr_assert_eq(r.queue_max[BRAID_RES_UP], 4);
  cr_assert_eq(r.queue_max[BRAID_RES_EDGE], 4);
  cr_assert_eq(r.queue_max[BRAID_RES_CLOUD], 0);
  braid_plan_destroy(&plan);
  free_costs(&t);
  braid_graph_destroy(&g);
}

/* -------------------------------------------------------------------------------------------------- plan files */

static void same_plan(const struct braid_plan *a, const struct braid_plan *b) {
  size_t n = (size_t)a->n_nodes;
  cr_assert_arr_eq(a->site, b->site, n);
  cr_assert_arr_eq(a->slices, b->slices, n * sizeof *a->slices);
  cr_assert_arr_eq(a->rank, b->rank, n * sizeof *a->rank);
  cr_assert_eq(a->serial, b->serial);
  cr_assert_eq(a->n_mix, b->n_mix);
  for (int i = 0; i < a->n_mix; i++) {
    cr_assert_float_eq(a->mix_weight[i], b->mix_weight[i], 1e-14);
    same_plan(a->mix[i], b->mix[i]);
  }
}

Test(mix, text_brings_back_the_same_mix) {
  uint64_t seed = random_graph_seed(600);
  for (uint64_t i = 0; i < 60; i++) {
    struct braid_graph *g = random_graph(seed + i, 9, 0);
    must(braid_graph_seal(g, 0));
    struct braid_plan *plan = random_mix(g, seed + i, 2 + (int)(i % 7)), *back = NULL;
    char *text = NULL, *again = NULL;
    must(braid_plan_to_json(plan, g, NULL, -1, &text));
    must(braid_plan_from_json(text, strlen(text), g, &back));
    same_plan(plan, back);
    must(braid_plan_to_json(back, g, NULL, -1, &again));
    cr_assert_str_eq(text, again);
    braid_free(text);
    braid_free(again);
    braid_plan_destroy(&plan);
    braid_plan_destroy(&back);
    braid_graph_destroy(&g);
  }
}

static void refuse(const struct braid_graph *g, const char *text, const char *why) {
  struct braid_plan *plan = NULL;
  cr_assert_neq(braid_plan_from_json(text, strlen(text), g, &plan), BRAID_OK, "%s", text);
  cr_assert(strstr(braid_error(), why), "'%s' does not say '%s'", braid_error(), why);
}

Test(mix, what_is_wrong_in_a_file_is_named) {
  struct braid_graph *g = random_graph(3, 6, 0);
  must(braid_graph_seal(g, 0));
#define PART(weight) "{\"weight\":" weight ",\"edge_nodes\":[0]}"
#define MIX(parts) "{\"edge_nodes\":[0],\"mix\":[" parts "]}"
  refuse(g, MIX("{},{}"), "weight");
  refuse(g, MIX("1,2"), "part 0");
  refuse(g, MIX(PART("0.5") "," PART("0.4")), "sum to");
  refuse(g, MIX(PART("1") "," PART("0")), "weight");
  refuse(g, MIX(PART("1.5") "," PART("-0.5")), "weight");
  refuse(g, MIX(PART("0.5") ",{\"weight\":0.5}"), "edge_nodes");
  refuse(g, MIX(PART("0.5") ",{\"weight\":0.5,\"edge_nodes\":[0],\"rank\":[0]}"), "part 1");
  refuse(g, MIX("1,1,1,1,1,1,1,1,1"), "mix of 9");
  struct braid_plan *plan = NULL;
  const char *good = MIX(PART("0.3333333") "," PART("0.6666666"));
  must(braid_plan_from_json(good, strlen(good), g, &plan));
  cr_assert_eq(plan->n_mix, 2);
  cr_assert_float_eq(plan->mix_weight[0] + plan->mix_weight[1], 1, 1e-15);
  braid_plan_destroy(&plan);
  braid_graph_destroy(&g);
}

/* ------------------------------------------------------------------------------------- the plan for throughput */

static int64_t best_of_others(const struct braid_graph *g, const struct test_costs *t, const struct braid_goal *goal) {
  int n;
  const struct braid_policy *const *policy = braid_policies(&n);
  int64_t best = COST_NEVER;
  for (int i = 0; i < n; i++) {
    struct braid_plan *plan = NULL;
    if (strcmp(policy[i]->name, "exact") == 0) continue; /* for small nets only */
    enum braid_status status = braid_decide(policy[i], g, &t->costs, goal, &plan);
    if (status == BRAID_ENOTFOUND || status == BRAID_EUNSUPPORTED) continue;
    must(status);
    cr_assert_geq(plan->forecast.period_ns, plan->forecast.bound_ns, "%s beats the bound", policy[i]->name);
    if (plan->forecast.period_ns < best) best = plan->forecast.period_ns;
    braid_plan_destroy(&plan);
  }
  return best;
}

static double decide_gap(const struct braid_graph *g, const struct test_costs *t, const struct braid_goal *goal,
                         int64_t *period_ns) {
  struct braid_plan *plan = NULL, *again = NULL;
  char *text = NULL, *text_again = NULL;
  must(braid_throughput_decide(g, &t->costs, goal, &plan));
  must(braid_throughput_decide(g, &t->costs, goal, &again));
  must(braid_plan_to_json(plan, g, NULL, -1, &text));
  must(braid_plan_to_json(again, g, NULL, -1, &text_again));
  cr_assert_str_eq(text, text_again, "equal input, unequal plans");
  must(braid_plan_forecast(plan, g, &t->costs, goal));
  cr_assert_geq(plan->forecast.period_ns, plan->forecast.bound_ns);
  *period_ns = plan->forecast.period_ns;
  double gap = plan->forecast.gap;
  braid_free(text);
  braid_free(text_again);
  braid_plan_destroy(&plan);
  braid_plan_destroy(&again);
  return gap;
}

Test(braid_throughput, is_never_behind_another_policy) {
  uint64_t seed = random_graph_seed(700);
  for (uint64_t i = 0; i < 60; i++) {
    struct world w = make_world(seed + i, i % 3 == 0);
    int64_t others = best_of_others(w.graph, &w.costs, &w.goal), period = 0;
    if (others < COST_NEVER) {
      (void)decide_gap(w.graph, &w.costs, &w.goal, &period);
      cr_assert_leq(period, others, "seed %llu: %lld ns, another policy %lld",
                (unsigned long long)(seed + i), (long long)period, (long long)others);
    }
    close_world(&w);
  }
}

Test(braid_throughput, comes_close_to_the_bound_on_the_zoo) {
  const char *const nets[] = {"googlenet", "squeezenet1_1", "mobilenet_v2"};
  for (size_t i = 0; i < sizeof nets / sizeof *nets; i++) {
    struct braid_graph *g = zoo_net(nets[i]);
    for (int c = 0; c < 8; c++) {
      struct test_costs t = demo_costs(g, c & 1 ? 2 : 10, c & 2 ? 5 : 50);
      struct braid_goal goal = {.objective = BRAID_THROUGHPUT, .private_input = c & 4};
      int64_t period = 0;
      double gap = decide_gap(g, &t, &goal, &period);
      cr_assert_lt(gap, 1 / 0.9 - 1, "%s, case %d: gap %.3f", nets[i], c, gap);
      free_costs(&t);
    }
    braid_graph_destroy(&g);
  }
}

Test(braid_throughput, keeps_a_ceiling_on_latency) {
  struct braid_graph *g = zoo_net("squeezenet1_1");
  struct test_costs t = demo_costs(g, 4, 20);
  struct braid_goal goal = {.objective = BRAID_THROUGHPUT};
  struct braid_plan *free_plan = NULL, *plan = NULL;
  must(braid_throughput_decide(g, &t.costs, &goal, &free_plan));
  goal.latency_max_ns = 2 * free_plan->forecast.latency_ns;
  must(braid_throughput_decide(g, &t.costs, &goal, &plan));
  struct braid_sim_result r;
  must(braid_simulate(plan, g, &t.costs, &(struct braid_sim_opts){.frames = 100, .window = plan->window}, &r));
  cr_assert_leq(r.max_latency_ns, goal.latency_max_ns + goal.latency_max_ns / 10);
  cr_assert_geq(plan->forecast.period_ns, free_plan->forecast.period_ns * 99 / 100);
  braid_plan_destroy(&plan);
  goal.latency_max_ns = 1000;
  cr_assert_eq(braid_throughput_decide(g, &t.costs, &goal, &plan), BRAID_ENOTFOUND);
  braid_plan_destroy(&free_plan);
  free_costs(&t);
  braid_graph_destroy(&g);
}
