/* SPDX-License-Identifier: Apache-2.0
 * Policies and bounds against every closed set of small random networks, and what must hold for all policies. */
#include "cut.h"
#include "maxflow.h"
#include "nets.h"
#include "random_graph.h"

#include <stdio.h>
#include <string.h>

/* ------------------------------------------------------------------------------------------------ max flow */

Test(maxflow, equals_the_smallest_of_all_cuts) {
  uint64_t seed = random_graph_seed(1);
  enum { N = 7, ROUNDS = 5000 };
  int infinite = 0;
  for (uint64_t round = 0; round < ROUNDS; round++) {
    int64_t cap[N][N] = {{0}};
    struct flow *flow = NULL;
    must(flow_create(N, N * N, &flow));
    for (int a = 0; a < N; a++)
      for (int b = 0; b < N; b++) {
        uint64_t z = braid_random_u64(seed + round, (uint64_t)(a * N + b));
        if (a == b || z % 3) continue;
        cap[a][b] = z % 20 == 3 ? COST_NEVER : (int64_t)(z >> 8) % 1000;
        flow_arc(flow, a, b, cap[a][b]);
      }
    int64_t least = INT64_MAX, cut = 0;
    int smallest = 0;                              /* source sides of minimum cuts are closed under intersection */
    for (int set = 0; set < 1 << (N - 2); set++) { /* vertices 2.. on the source side; 0 is the source, 1 the sink */
      int side = 1 | set << 2;
      int64_t sum = 0;
      for (int a = 0; a < N; a++)
        for (int b = 0; b < N; b++)
          if ((side >> a & 1) && !(side >> b & 1) && sum < COST_NEVER) sum += cap[a][b];
      if (sum < least) smallest = side;
      if (sum == least) smallest &= side;
      if (sum < least) least = sum;
    }
    int64_t found = flow_run(flow, 0, 1);
    cr_assert_eq(found, least < COST_NEVER ? least : COST_NEVER, "round %llu", (unsigned long long)round);
    infinite += least >= COST_NEVER;
    if (least < COST_NEVER) {
      for (int a = 0; a < N; a++) {
        cr_assert_eq(flow_on_source_side(flow, a), smallest >> a & 1, "round %llu: vertex %d",
                     (unsigned long long)round, a);
        for (int b = 0; b < N; b++)
          if (flow_on_source_side(flow, a) && !flow_on_source_side(flow, b)) cut += cap[a][b];
      }
      cr_assert_eq(cut, least);
    }
    flow_destroy(&flow);
  }
  printf("%d networks, %d with an infinite flow\n", ROUNDS, infinite);
  cr_assert(infinite > ROUNDS / 100 && infinite < ROUNDS / 2);
}

/* --------------------------------------------------------------------------------------- all the closed sets */

struct best {
  int64_t all, prefix; /* smallest value over closed sets, over prefixes */
};

/* A goal for case i; memory limits are drawn around what the network needs. */
static struct braid_goal make_goal(const struct braid_graph *g, uint64_t i, bool memory) {
  struct braid_goal goal = {.objective = i % 2 ? BRAID_THROUGHPUT : BRAID_LATENCY, .private_input = i % 3 == 0};
  goal.deliver = draw_deliver_open(&goal, i);
  if (!memory) return goal;
  size_t total = 0;
  for (int v = 0; v < braid_graph_size(g); v++)
    total += braid_graph_node(g, v)->weight_bytes + braid_graph_node(g, v)->bytes;
  goal.edge_memory = total * (1 + braid_random_u64(i, 77) % 10) / 8;
  return goal;
}

static bool is_closed(const struct braid_graph *g, const uint8_t *site) {
  for (int v = 0; v < braid_graph_size(g); v++) {
    const struct braid_node *node = braid_graph_node(g, v);
    for (int k = 0; k < node->n_in; k++)
      if (site[v] == BRAID_EDGE && braid_is_node(node->in[k]) && site[node->in[k]] == BRAID_CLOUD) return false;
  }
  return true;
}

/* `free_node`: ids that are not inputs, at most 14. */
static struct best search_all(const struct stages *st, const int *free_node, int n_free) {
  struct best best = {COST_NEVER, COST_NEVER};
  uint8_t site[64];
  for (int set = 0; set < 1 << n_free; set++) {
    struct stage_sums sums;
    memset(site, BRAID_EDGE, sizeof site);
    for (int i = 0; i < n_free; i++) site[free_node[i]] = set >> i & 1 ? BRAID_EDGE : BRAID_CLOUD;
    if (!is_closed(st->graph, site)) continue;
    stages_sum(st, site, &sums);
    int64_t ns = stages_value_ns(st, &sums);
    if (ns < best.all) best.all = ns;
    if ((set & (set + 1)) == 0 && ns < best.prefix) best.prefix = ns;
  }
  return best;
}

static int list_free(const struct braid_graph *g, int *free_node) {
  int n = 0;
  for (int v = 0; v < braid_graph_size(g); v++)
    if (braid_graph_node(g, v)->op != BRAID_OP_INPUT && n < 64) free_node[n++] = v;
  return n;
}

static int64_t cut_value(const struct stages *st, stages_cut_fn *cut, enum braid_status *status) {
  uint8_t site[64];
  struct stage_sums sums;
  *status = cut(st, site);
  if (*status != BRAID_OK) return COST_NEVER;
  cr_assert(is_closed(st->graph, site));
  stages_sum(st, site, &sums);
  return stages_value_ns(st, &sums);
}

Test(policies, cuts_are_the_best_of_all_closed_sets) {
  uint64_t seed = random_graph_seed(7);
  int compared = 0;
  for (uint64_t i = 0; i < 2500; i++) {
    struct braid_graph *g = sealed(random_graph(seed + i, 3 + (int)(i % 8), (unsigned)(i / 2 % RANDOM_GRAPH_FLAGS)));
    int free_node[64], n_free = list_free(g, free_node);
    if (n_free <= 11) {
      struct test_costs t = random_costs(g, seed + i);
      struct braid_goal goal = make_goal(g, i, i % 5 == 0);
      struct stages *st = NULL;
      enum braid_status status;
      must(stages_create(g, &t.costs, &goal, &st));
      struct best best = search_all(st, free_node, n_free);
      int64_t prefix = cut_value(st, neurosurgeon_cut, &status), cut = cut_value(st, dads_cut, &status);
      cr_assert_eq(prefix, best.prefix, "neurosurgeon, case %llu", (unsigned long long)i);
      if (goal.objective == BRAID_LATENCY && goal.edge_memory == 0)
        cr_assert_eq(cut, best.all, "dads, case %llu: %lld, best is %lld", (unsigned long long)i, (long long)cut,
                     (long long)best.all);
      cr_assert_geq(cut, best.all);
      if (best.prefix < COST_NEVER) cr_assert_lt(cut, COST_NEVER);
      if (goal.objective == BRAID_THROUGHPUT)
        cr_assert_leq(braid_bound_period_ns(g, &t.costs, &goal), best.all, "case %llu", (unsigned long long)i);
      stages_destroy(&st);
      free_costs(&t);
      compared++;
    }
    braid_graph_destroy(&g);
  }
  cr_assert_gt(compared, 1000);
}

/* --------------------------------------------------------------------------------------------- all policies */

static void check_goal_kept(const struct braid_plan *plan, const struct braid_graph *g, const struct braid_goal *goal) {
  size_t memory = 0;
  for (int v = 0; v < plan->n_nodes; v++) {
    const struct braid_node *node = braid_graph_node(g, v);
    if (plan->site[v] == BRAID_EDGE) memory += node->weight_bytes + node->bytes;
    bool raw = node->op == BRAID_OP_INPUT || node->op == BRAID_OP_NORMALIZE;
    if (goal->private_input && raw)
      cr_assert_not(braid_plan_crosses_up(plan, g, v), "%s: node %d leaves", plan->policy, v);
    cr_assert_leq(plan->slices[v], goal->slices > 0 ? goal->slices : SLICES_AUTO);
  }
  if (goal->edge_memory > 0) cr_assert_leq(memory, goal->edge_memory);
}

static void check_same_again(const struct braid_policy *policy, const struct braid_graph *g, const struct test_costs *t,
                             const struct braid_goal *goal, const struct braid_plan *plan) {
  struct braid_plan *again = NULL;
  char *a = NULL, *b = NULL;
  must(braid_decide(policy, g, &t->costs, goal, &again));
  must(braid_plan_to_json(plan, g, &t->costs, -1, &a));
  must(braid_plan_to_json(again, g, &t->costs, -1, &b));
  cr_assert_str_eq(a, b);
  braid_free(a);
  braid_free(b);
  braid_plan_destroy(&again);
}

static int64_t value_of(const struct braid_plan *plan) {
  return plan->objective == BRAID_THROUGHPUT ? plan->forecast.period_ns : plan->forecast.latency_ns;
}

/* From the cloud back to the edge. */
static bool may_return(const struct braid_policy *policy) {
  return policy == &policy_heft || policy == &policy_braid;
}

static void run_policies(const struct braid_graph *g, const struct test_costs *t, const struct braid_goal *goal,
                         uint64_t number) {
  int n = 0;
  const struct braid_policy *const *policy = braid_policies(&n);
  int64_t value[32], braid = 0;
  cr_assert_leq(n, 32);
  for (int p = 0; p < n; p++) {
    struct braid_plan *plan = NULL;
    enum braid_status status = braid_decide(policy[p], g, &t->costs, goal, &plan);
    value[p] = COST_NEVER;
    if (status == BRAID_OK) {
      must(braid_plan_check(plan, g, !may_return(policy[p])));
      check_goal_kept(plan, g, goal);
      cr_assert_eq(plan->objective, goal->objective);
      cr_assert_eq(plan->deliver, goal->deliver);
      cr_assert_str_eq(plan->policy, policy[p]->name);
      value[p] = value_of(plan);
      cr_assert_geq(value[p], plan->forecast.bound_ns, "case %llu, %s: %lld < %lld", (unsigned long long)number,
                    policy[p]->name, (long long)value[p], (long long)plan->forecast.bound_ns);
      if (number % 4 == 0) check_same_again(policy[p], g, t, goal, plan);
      braid_plan_destroy(&plan);
    } else {
      bool refused = status == BRAID_EUNSUPPORTED &&
                     (policy[p] == &policy_exact || (policy[p] == &policy_cic && goal->deliver == BRAID_CLOUD));
      cr_assert(status == BRAID_ENOTFOUND || refused, "case %llu, %s: %s", (unsigned long long)number, policy[p]->name,
                braid_error());
    }
    if (strcmp(policy[p]->name, "jps") == 0)
      value[p] = COST_NEVER; /* mixes cuts over frames: more than one plan can do */
    if (policy[p]->input != BRAID_INPUT_AS_IS) value[p] = COST_NEVER; /* sends something else: nobody has to beat it */
    if (policy[p] == &policy_braid) braid = value[p];
  }
  for (int p = 0; p < n; p++)
    cr_assert(braid <= value[p] || policy[p] == &policy_exact, "case %llu: braid %lld, %s %lld",
              (unsigned long long)number, (long long)braid, policy[p]->name, (long long)value[p]);
}

Test(policies, all_keep_the_goal_and_braid_is_never_behind) {
  uint64_t seed = random_graph_seed(5);
  for (uint64_t i = 0; i < 400; i++) {
    struct braid_graph *g = sealed(random_graph(seed + i, 4 + (int)(i % 20), (unsigned)(i % RANDOM_GRAPH_FLAGS)));
    struct test_costs t = random_costs(g, seed + i);
    struct braid_goal goal = make_goal(g, i / 3, i % 4 == 0);
    goal.slices = (int)(i % 5);
    goal.window = i % 7 == 0 ? 3 : 0;
    t.costs.edge_workers = i % 3 == 0 ? 2 : 1;
    t.costs.cloud_workers = i % 4 == 0 ? 3 : 1;
    run_policies(g, &t, &goal, i);
    free_costs(&t);
    braid_graph_destroy(&g);
  }
}

Test(policies, serial_plans_take_what_the_formula_says) {
  uint64_t seed = random_graph_seed(9);
  for (uint64_t i = 0; i < 500; i++) {
    struct braid_graph *g = sealed(random_graph(seed + i, 3 + (int)(i % 12), (unsigned)(i % RANDOM_GRAPH_FLAGS)));
    struct test_costs t = random_costs(g, seed + i);
    struct braid_goal goal = {.slices = (int)(i % 4), .deliver = draw_deliver(seed + i)};
    struct stages *st = NULL;
    must(stages_create(g, &t.costs, &goal, &st));
    struct braid_plan *plan = random_plan(g, seed + i, true, true, 1);
    struct stage_sums sums;
    struct braid_sim_result r;
    plan_set_slices(plan, g, goal.slices);
    plan->deliver = goal.deliver;
    stages_sum(st, plan->site, &sums);
    must(braid_simulate(plan, g, &t.costs, &(struct braid_sim_opts){.frames = 1, .window = 1}, &r));
    cr_assert_eq(r.first_latency_ns, stages_latency_ns(st, &sums), "case %llu", (unsigned long long)i);
    braid_plan_destroy(&plan);
    stages_destroy(&st);
    free_costs(&t);
    braid_graph_destroy(&g);
  }
}

Test(policies, an_impossible_goal_is_named) {
  struct braid_graph *g = new_graph("small");
  must(braid_graph_add_output(g, node1(g, "a", tensor_in(g, "in", 4, 4))));
  sealed(g);
  struct test_costs t = plain_costs(g);
  struct braid_plan *plan = NULL;
  int n = 0;
  const struct braid_policy *const *policy = braid_policies(&n);
  for (int p = 0; p < n; p++) {
    struct braid_goal goal = {.edge_memory = 1};
    t.costs.jpeg_bytes = 100;
    cr_assert_eq(braid_decide(policy[p], g, &t.costs, &goal, &plan), BRAID_ENOTFOUND);
    cr_assert(strstr(braid_error(), "memory"), "%s", braid_error());
    cr_assert(strstr(braid_error(), policy[p]->name), "%s", braid_error());
  }
  struct braid_goal goal = {.private_input = true};
  cr_assert_eq(braid_decide(braid_policy_find("cloud-only"), g, &t.costs, &goal, &plan), BRAID_ENOTFOUND);
  cr_assert(strstr(braid_error(), "private"), "%s", braid_error());
  cr_assert_null(braid_policy_find("no such policy"));
  free_costs(&t);
  braid_graph_destroy(&g);
}

/* ----------------------------------------------------------------------------------------------------- decc */

/* entry -> chains of 1..3 nodes -> join; or, without an entry, every chain behind an input of its own. */
static struct braid_graph *chains(uint64_t seed, int n_chains, bool views, int length[4]) {
  struct braid_graph *g = new_graph("chains");
  int in = -1, end[4], width = 16 + (int)(braid_random_u64(seed, 3) % 512);
  if (!views) in = node1(g, "entry", tensor_in(g, "in", 2, width));
  for (int c = 0; c < n_chains; c++) {
    char name[32];
    snprintf(name, sizeof name, "in%d", c);
    int at = views ? tensor_in(g, name, 2, width) : in;
    length[c] = 1 + (int)(braid_random_u64(seed, (uint64_t)c + 10) % 3);
    for (int i = 0; i < length[c]; i++) {
      snprintf(name, sizeof name, "c%d_%d", c, i);
      at = node1(g, name, at);
    }
    end[c] = at;
  }
  must(braid_graph_add_output(g, node_n(g, "join", end, n_chains)));
  return sealed(g);
}

/* The best of all partition points and orders under the simulator, written without decc's machinery. */
static int64_t brute_force(const struct braid_graph *g, const struct test_costs *t, enum braid_site deliver,
                           int n_chains, const int *length, bool views) {
  static const int orders[6][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
  struct braid_plan *plan = NULL;
  int64_t best = INT64_MAX;
  must(braid_plan_create(g, "brute", &plan));
  plan->deliver = deliver;
  int points = 1;
  for (int c = 0; c < n_chains; c++) points *= length[c] + 1;
  for (int p = 0; p < points; p++)
    for (int o = 0; o < (n_chains == 3 ? 6 : 2); o++) {
      const int pair[2][3] = {{0, 1}, {1, 0}};
      const int *order = n_chains == 3 ? orders[o] : pair[o];
      int rest = p, rank = 0, point[3];
      for (int c = 0; c < n_chains; c++) {
        point[c] = rest % (length[c] + 1);
        rest /= length[c] + 1;
      }
      bool entry_ranked = views;
      if (!views) plan->rank[braid_graph_find(g, "in")] = rank++;
      for (int i = 0; i < n_chains; i++) {
        int c = order[i];
        char name[32];
        if (!entry_ranked && point[c] == 0) {
          plan->rank[braid_graph_find(g, "entry")] = rank++;
          entry_ranked = true;
        }
        snprintf(name, sizeof name, "in%d", c);
        if (views) plan->rank[braid_graph_find(g, name)] = rank++;
        for (int j = 0; j < length[c]; j++) {
          snprintf(name, sizeof name, "c%d_%d", c, j);
          plan->rank[braid_graph_find(g, name)] = rank++;
          plan->site[braid_graph_find(g, name)] = j < point[c] ? BRAID_EDGE : BRAID_CLOUD;
        }
      }
      if (!entry_ranked) plan->rank[braid_graph_find(g, "entry")] = rank++;
      plan->rank[braid_graph_find(g, "join")] = rank++;
      plan->site[braid_graph_find(g, "join")] = BRAID_CLOUD;
      struct braid_sim_result r;
      must(braid_simulate(plan, g, &t->costs, &(struct braid_sim_opts){.frames = 1, .window = 1}, &r));
      if (r.first_latency_ns < best) best = r.first_latency_ns;
    }
  braid_plan_destroy(&plan);
  return best;
}

static int64_t run_decc(const char *policy, const struct braid_graph *g, const struct test_costs *t,
                        enum braid_site deliver) {
  struct braid_plan *plan = NULL;
  must(braid_decide(braid_policy_find(policy), g, &t->costs, &(struct braid_goal){.deliver = deliver}, &plan));
  int64_t ns = plan->forecast.latency_ns;
  braid_plan_destroy(&plan);
  return ns;
}

Test(decc, finds_the_best_points_and_order_of_small_blocks) {
  uint64_t seed = random_graph_seed(21);
  int better = 0;
  for (uint64_t i = 0; i < 300; i++) {
    int length[4], n_chains = 2 + (int)(i % 2);
    bool views = i % 3 == 0;
    struct braid_graph *g = chains(seed + i, n_chains, views, length);
    struct test_costs t = random_costs(g, seed + i);
    set_rate(&t, t.costs.up.bits_per_s * 4, 8e9);
    enum braid_site deliver = draw_deliver(seed + i);
    int64_t best = brute_force(g, &t, deliver, n_chains, length, views), found = run_decc("decc", g, &t, deliver);
    /* ahead of the enumeration only by plans outside of it: single cuts in another order, serial ones, all on the edge
     */
    cr_assert_leq(found, best, "case %llu: %lld, best is %lld", (unsigned long long)i, (long long)found,
                  (long long)best);
    better += found < run_decc("dads", g, &t, deliver);
    free_costs(&t);
    braid_graph_destroy(&g);
  }
  cr_assert_gt(better, 30, "pipelining hardly ever helps (%d of 300)?", better);
}

/* ------------------------------------------------------------------------------------------ failing memory */

Test(policies, every_failed_allocation_is_survived) {
  int length[4], n = 0;
  struct braid_graph *g = chains(5, 3, false, length);
  struct test_costs t = random_costs(g, 5);
  t.costs.cloud_workers = 2;
  t.costs.jpeg_bytes = 100;
  const struct braid_policy *const *policy = braid_policies(&n);
  for (int p = 0; p < n; p++)
    for (int memory = 0; memory < 2; memory++) {
      struct braid_goal goal = {.objective = memory ? BRAID_THROUGHPUT : BRAID_LATENCY,
                                .edge_memory = memory ? 1 << 20 : 0};
      long at = 1;
      for (;; at += 1 + at / 20) {
        struct braid_plan *plan = NULL;
        braid_alloc_fail_at(at);
        enum braid_status status = braid_decide(policy[p], g, &t.costs, &goal, &plan);
        braid_alloc_fail_at(0);
        braid_plan_destroy(&plan);
        if (status == BRAID_OK && at > 2000) break; /* bounds and candidates do without what they did not get */
        cr_assert(status == BRAID_OK || status == BRAID_ENOMEM, "%s, allocation %ld: %s", policy[p]->name, at,
                  braid_error());
      }
    }
  free_costs(&t);
  braid_graph_destroy(&g);
}
