/* SPDX-License-Identifier: Apache-2.0
 * What a goal may demand of every policy: pinned nodes, a latency ceiling, alone and with the other constraints,
 * against every closed set of small random networks. */
#include "internal.h"
#include "nets.h"
#include "random_graph.h"

#include <string.h>

/* ----------------------------------------------------------------------------------- brute force with pins */

struct pinned_case {
  struct braid_graph *graph;
  struct test_costs costs;
  struct braid_goal goal;
  int8_t pin[64];
  int free_node[64], n_free;
};

static struct pinned_case make_case(uint64_t seed, uint64_t i) {
  struct pinned_case c = {.goal = {.objective = i % 2 ? BRAID_THROUGHPUT : BRAID_LATENCY, .private_input = i % 5 == 0}};
  c.graph = sealed(random_graph(seed + i, 3 + (int)(i % 8), (unsigned)(i / 2 % RANDOM_GRAPH_FLAGS)));
  c.costs = random_costs(c.graph, seed + i);
  c.costs.costs.jpeg_bytes = 50;
  memset(c.pin, -1, sizeof c.pin);
  for (int v = 0; v < braid_graph_size(c.graph) && c.n_free < 64; v++) {
    if (braid_graph_node(c.graph, v)->op == BRAID_OP_INPUT) continue;
    c.free_node[c.n_free++] = v;
    uint64_t draw = braid_random_u64(seed + i, 900 + (uint64_t)v) % 8;
    if (draw < 2) c.pin[v] = (int8_t)draw;
  }
  return c;
}

static void free_case(struct pinned_case *c) {
  free_costs(&c->costs);
  braid_graph_destroy(&c->graph);
}

/* Written without stages: is this set one that the goal allows? */
static bool allowed(const struct pinned_case *c, const uint8_t *site) {
  for (int v = 0; v < braid_graph_size(c->graph); v++) {
    const struct braid_node *node = braid_graph_node(c->graph, v);
    if (c->pin[v] >= 0 && site[v] != (uint8_t)c->pin[v]) return false;
    for (int k = 0; k < node->n_in; k++) {
      if (!braid_is_node(node->in[k])) continue;
      if (site[v] == BRAID_EDGE && site[node->in[k]] == BRAID_CLOUD) return false;
      if (c->goal.private_input && site[v] == BRAID_CLOUD && is_private_tensor(c->graph, node->in[k])) return false;
    }
  }
  return true;
}

/* Smallest value of all closed sets, or of all prefixes, under the formula of the serial policies. */
static int64_t best_of_all(const struct pinned_case *c, const struct stages *st, bool prefixes) {
  int64_t best = COST_NEVER;
  for (int set = 0; set < 1 << c->n_free; set++) {
    uint8_t site[64] = {0};
    struct stage_sums sums;
    if (prefixes && (set & (set + 1)) != 0) continue;
    for (int i = 0; i < c->n_free; i++) site[c->free_node[i]] = set >> i & 1 ? BRAID_EDGE : BRAID_CLOUD;
    if (!allowed(c, site)) continue;
    stages_sum(st, site, &sums);
    int64_t ns = stages_value_ns(st, &sums);
    if (ns < best) best = ns;
  }
  return best;
}

static int64_t value_of(const struct stages *st, const struct braid_plan *plan) {
  struct stage_sums sums;
  stages_sum(st, plan->site, &sums);
  return stages_value_ns(st, &sums);
}

static int64_t decided_value(const char *policy, const struct pinned_case *c, const struct stages *st, uint64_t i) {
  struct braid_plan *plan = NULL;
  enum braid_status status = braid_decide(braid_policy_find(policy), c->graph, &c->costs.costs, &c->goal, &plan);
  if (status == BRAID_ENOTFOUND) return COST_NEVER;
  cr_assert_eq(status, BRAID_OK, "case %llu, %s: %s", (unsigned long long)i, policy, braid_error());
  cr_assert(allowed(c, plan->site), "case %llu, %s breaks a constraint", (unsigned long long)i, policy);
  int64_t ns = value_of(st, plan);
  braid_plan_destroy(&plan);
  return ns;
}

Test(constraints, pinned_cuts_are_the_best_of_all_that_are_allowed) {
  uint64_t seed = random_graph_seed(31);
  int possible = 0, impossible = 0;
  for (uint64_t i = 0; i < 1500; i++) {
    struct pinned_case c = make_case(seed, i);
    struct stages *st = NULL;
    c.goal.pinned = c.pin;
    if (c.n_free <= 10 && stages_create(c.graph, &c.costs.costs, &c.goal, &st) == BRAID_OK) {
      int64_t best = best_of_all(&c, st, false), prefix = best_of_all(&c, st, true);
      cr_assert_eq(decided_value("neurosurgeon", &c, st, i), prefix, "case %llu", (unsigned long long)i);
      int64_t dads = decided_value("dads", &c, st, i);
      if (c.goal.objective == BRAID_LATENCY) cr_assert_eq(dads, best, "case %llu", (unsigned long long)i);
      cr_assert_geq(dads, best);
      cr_assert_eq(dads < COST_NEVER, best < COST_NEVER, "case %llu", (unsigned long long)i);
      cr_assert_eq(best < COST_NEVER, stages_check_closed(st) == BRAID_OK, "case %llu", (unsigned long long)i);
      *(best < COST_NEVER ? &possible : &impossible) += 1;
    }
    stages_destroy(&st);
    free_case(&c);
  }
  cr_assert_gt(possible, 200);
  cr_assert_gt(impossible, 50);
}

/* ------------------------------------------------------------------------------------------- all policies */

static void check_pins(const struct braid_plan *plan, const int8_t *pin) {
  for (int v = 0; v < plan->n_nodes; v++)
    if (pin[v] >= 0) cr_assert_eq(plan->site[v], (uint8_t)pin[v], "%s: node %d", plan->policy, v);
  for (int i = 0; i < plan->n_mix; i++) check_pins(plan->mix[i], pin);
}

static void check_plan(const struct braid_plan *plan, const struct pinned_case *c) {
  check_pins(plan, c->pin);
  int64_t ns = c->goal.objective == BRAID_LATENCY ? plan->forecast.latency_ns : plan->forecast.period_ns;
  cr_assert_geq(ns, plan->forecast.bound_ns, "%s: %lld < %lld", plan->policy, (long long)ns,
                (long long)plan->forecast.bound_ns);
  if (c->goal.latency_max_ns > 0) cr_assert_leq(plan->forecast.latency_ns, c->goal.latency_max_ns);
}

/* The lowest latency a policy reaches, or 0. */
static int64_t lowest_latency(const struct braid_policy *policy, struct pinned_case *c) {
  struct braid_goal goal = c->goal;
  struct braid_plan *plan = NULL;
  goal.objective = BRAID_LATENCY;
  goal.latency_max_ns = 0;
  if (braid_decide(policy, c->graph, &c->costs.costs, &goal, &plan) != BRAID_OK) return 0;
  int64_t ns = plan->forecast.latency_ns;
  braid_plan_destroy(&plan);
  return ns;
}

static void run_policies(struct pinned_case *c, uint64_t i) {
  int n = 0;
  const struct braid_policy *const *policy = braid_policies(&n);
  for (int p = 0; p < n; p++) {
    struct braid_plan *plan = NULL;
    int64_t lowest = lowest_latency(policy[p], c);
    c->goal.latency_max_ns = i % 3 == 0 ? lowest : i % 3 == 1 ? lowest / 2 : 0;
    enum braid_status status = braid_decide(policy[p], c->graph, &c->costs.costs, &c->goal, &plan);
    if (status == BRAID_OK)
      check_plan(plan, c);
    else
      cr_assert_eq(status, BRAID_ENOTFOUND, "%s: %s", policy[p]->name, braid_error());
    bool refused = lowest == 0 || (i % 3 == 1 && lowest / 2 > 0);
    if (i % 3 != 1) cr_assert_eq(status == BRAID_OK, !refused, "case %llu, %s", (unsigned long long)i, policy[p]->name);
    braid_plan_destroy(&plan);
  }
}

Test(constraints, every_policy_keeps_pins_and_ceiling_or_refuses) {
  uint64_t seed = random_graph_seed(32);
  for (uint64_t i = 0; i < 300; i++) {
    struct pinned_case c = make_case(seed, i);
    c.goal.pinned = c.pin;
    c.goal.slices = (int)(i % 3);
    run_policies(&c, i);
    free_case(&c);
  }
}

/* -------------------------------------------------------------------------------------------------- messages */

static struct braid_graph *three_in_a_row(void) {
  struct braid_graph *g = new_graph("row");
  int a = node1(g, "a", tensor_in(g, "in", 4, 4));
  must(braid_graph_add_output(g, node1(g, "c", node1(g, "b", a))));
  return sealed(g);
}

static void expect_refusal(const char *policy, const struct braid_graph *g, const struct test_costs *t,
                           const struct braid_goal *goal, const char *first, const char *second) {
  struct braid_plan *plan = NULL;
  cr_assert_eq(braid_decide(braid_policy_find(policy), g, &t->costs, goal, &plan), BRAID_ENOTFOUND);
  cr_assert(strstr(braid_error(), first), "%s", braid_error());
  cr_assert(strstr(braid_error(), second), "%s", braid_error());
  cr_assert_null(plan);
}

Test(constraints, contradictions_name_both_sides) {
  struct braid_graph *g = three_in_a_row();
  struct test_costs t = plain_costs(g);
  int8_t pin[4] = {-1, -1, -1, -1};
  struct braid_goal goal = {.pinned = pin};
  pin[braid_graph_find(g, "a")] = BRAID_CLOUD;
  pin[braid_graph_find(g, "c")] = BRAID_EDGE;
  const char *const closed[] = {"neurosurgeon", "dads", "decc"};
  for (int i = 0; i < 3; i++) expect_refusal(closed[i], g, &t, &goal, "'a'", "'c'");
  pin[braid_graph_find(g, "c")] = -1;
  goal.private_input = true;
  expect_refusal("dads", g, &t, &goal, "'a'", "private");
  goal.private_input = false;
  pin[braid_graph_find(g, "in")] = BRAID_CLOUD;
  expect_refusal("dads", g, &t, &goal, "'in'", "input");
  pin[braid_graph_find(g, "in")] = 7;
  struct braid_plan *plan = NULL;
  cr_assert_eq(braid_decide(braid_policy_find("dads"), g, &t.costs, &goal, &plan), BRAID_EINVAL);
  free_costs(&t);
  braid_graph_destroy(&g);
}

Test(constraints, a_ceiling_that_is_too_low_names_what_can_be_had) {
  struct braid_graph *g = three_in_a_row();
  struct test_costs t = plain_costs(g);
  for (int v = 0; v < 4; v++) t.edge_ns[v] = t.cloud_ns[v] = braid_graph_node(g, v)->op == BRAID_OP_INPUT ? 0 : MS;
  t.costs.up.delay_ns = t.costs.down.delay_ns = 10 * MS;
  for (int objective = 0; objective < 2; objective++) {
    struct braid_goal goal = {.objective = (enum braid_objective)objective, .latency_max_ns = 2 * MS};
    expect_refusal("edge-only", g, &t, &goal, "2.000 ms", "3.000 ms");
    expect_refusal("dads", g, &t, &goal, "2.000 ms", "3.000 ms");
  }
  struct braid_goal goal = {.latency_max_ns = -1};
  struct braid_plan *plan = NULL;
  cr_assert_eq(braid_decide(braid_policy_find("dads"), g, &t.costs, &goal, &plan), BRAID_EINVAL);
  free_costs(&t);
  braid_graph_destroy(&g);
}

/* A pipeline through the cloud has the smaller period; only all on the edge is below the ceiling. */
Test(constraints, throughput_gives_way_to_the_ceiling) {
  struct braid_graph *g = three_in_a_row();
  struct test_costs t = plain_costs(g);
  for (int v = 0; v < 4; v++) t.edge_ns[v] = t.cloud_ns[v] = braid_graph_node(g, v)->op == BRAID_OP_INPUT ? 0 : MS;
  t.costs.up.delay_ns = t.costs.down.delay_ns = 10 * MS;
  int n = 0;
  const struct braid_policy *const *policy = braid_policies(&n);
  for (int p = 0; p < n; p++) {
    struct braid_goal goal = {.objective = BRAID_THROUGHPUT};
    struct braid_plan *plan = NULL;
    if (strncmp(policy[p]->name, "cloud-only", 10) == 0) continue;
    must(braid_decide(policy[p], g, &t.costs, &goal, &plan));
    braid_plan_destroy(&plan);
    goal.latency_max_ns = 5 * MS;
    must(braid_decide(policy[p], g, &t.costs, &goal, &plan));
    cr_assert_leq(plan->forecast.latency_ns, 5 * MS, "%s", policy[p]->name);
    braid_plan_destroy(&plan);
  }
  free_costs(&t);
  braid_graph_destroy(&g);
}
