/* SPDX-License-Identifier: Apache-2.0
 * Reasons against what can be worked out by hand, and their laws on random networks. */
#include "nets.h"
#include "random_graph.h"

#include <string.h>

static struct braid_why *why_of(const char *name, const struct braid_graph *g, const struct test_costs *t,
                                const struct braid_goal *goal) {
  struct braid_plan *plan = NULL;
  struct braid_why *why = NULL;
  const struct braid_policy *policy = braid_policy_find(name);
  enum braid_status status = braid_decide(policy, g, &t->costs, goal, &plan);
  if (status == BRAID_ENOTFOUND) return NULL;
  must(status);
  must(braid_why_create(policy, g, &t->costs, goal, plan, &why));
  if (why->next) cr_assert_neq(memcmp(why->next->site, plan->site, (size_t)plan->n_nodes), 0);
  braid_plan_destroy(&plan);
  return why;
}

/* in (64 bytes) -> a -> b; the edge needs 2 ms for each, the cloud nothing; bytes cost 1 ns each and the way 0.5 ms. */
Test(why, a_chain_by_hand) {
  struct braid_graph *g = new_graph("row");
  must(braid_graph_add_output(g, node1(g, "b", node1(g, "a", tensor_in(g, "in", 4, 4)))));
  sealed(g);
  struct test_costs t = plain_costs(g);
  set_times(&t, g, "a", 2 * MS, 0);
  set_times(&t, g, "b", 2 * MS, 0);
  t.costs.up.delay_ns = t.costs.down.delay_ns = MS / 2;
  struct braid_why *why = why_of("dads", g, &t, &(struct braid_goal){0});
  cr_assert_eq(why->value_ns, MS + 2 * 64);
  cr_assert_eq(why->n_without, 0);
  cr_assert_eq(why->binds, BRAID_RES_UP);
  cr_assert_float_eq(why->share[BRAID_RES_UP], 64.0 / (double)why->value_ns, 1e-9);
  cr_assert_eq(why->next_ns, 3 * MS + 2 * 64, "%lld", (long long)why->next_ns); /* a on the edge, b in the cloud */
  cr_assert_eq(why->next->site[braid_graph_find(g, "a")], BRAID_EDGE);
  braid_why_destroy(&why);

  struct braid_goal goal = {.private_input = true};
  why = why_of("dads", g, &t, &goal);
  cr_assert_eq(why->value_ns, 3 * MS + 2 * 64);
  cr_assert_eq(why->n_without, 1);
  cr_assert_str_eq(why->without[0].what, "private");
  cr_assert_eq(why->without[0].value_ns, MS + 2 * 64);
  cr_assert_eq(why->binds, BRAID_RES_EDGE);
  cr_assert_eq(why->next_ns, 4 * MS); /* all on the edge: nothing else is allowed */
  braid_why_destroy(&why);
  free_costs(&t);
  braid_graph_destroy(&g);
}

static void check_laws(const struct braid_why *why) {
  for (int i = 0; i < why->n_without; i++) /* dads is exact: freedom never hurts it */
    cr_assert(why->without[i].value_ns > 0 && why->without[i].value_ns <= why->value_ns, "%s", why->without[i].what);
  cr_assert_eq(why->n_what_if, 3);
  cr_assert_leq(why->what_if[0].value_ns, why->value_ns);
  cr_assert_geq(why->what_if[1].value_ns, why->value_ns);
  cr_assert_geq(why->what_if[2].value_ns, why->value_ns);
  for (int r = 0; r < 4; r++) cr_assert_leq(why->share[r], why->share[why->binds]);
}

Test(why, constraints_cost_and_better_links_help) {
  uint64_t seed = random_graph_seed(41);
  int with_next = 0;
  for (uint64_t i = 0; i < 200; i++) {
    struct braid_graph *g = sealed(random_graph(seed + i, 3 + (int)(i % 12), (unsigned)(i % RANDOM_GRAPH_FLAGS)));
    struct test_costs t = random_costs(g, seed + i);
    int8_t pin[64];
    memset(pin, -1, sizeof pin);
    pin[braid_graph_size(g) / 2] = BRAID_EDGE;
    struct braid_goal goal = {.private_input = i % 2 == 0, .pinned = i % 3 == 0 ? pin : NULL};
    struct braid_why *why = why_of("dads", g, &t, &goal);
    if (why) {
      cr_assert_eq(why->n_without, (int)goal.private_input + (goal.pinned != NULL));
      check_laws(why);
      with_next += why->next != NULL;
    }
    braid_why_destroy(&why);
    free_costs(&t);
    braid_graph_destroy(&g);
  }
  cr_assert_gt(with_next, 150);
}

/* Four views have more closed sets than exact tries: that is no reason to give none. */
Test(why, exact_may_refuse_the_network) {
  struct braid_graph *g = zoo_net("mvcnn4_resnet18");
  struct test_costs t = demo_costs(g, 10, 20);
  struct braid_why *why = why_of("dads", g, &t, &(struct braid_goal){.private_input = true});
  cr_assert_not_null(why->next);
  braid_why_destroy(&why);
  free_costs(&t);
  braid_graph_destroy(&g);
}
