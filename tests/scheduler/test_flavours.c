/* SPDX-License-Identifier: Apache-2.0
 * The flavours of cloud-only: the same plan, other bytes of the inputs. */
#include "nets.h"

#include <string.h>

static struct braid_graph *camera_and_list(void) {
  struct braid_graph *g = new_graph("two inputs");
  int picture = input(g, "picture", shape4(2, 3, 40, 50)), list = input(g, "list", shape4(1, 7, 1, 9));
  must(braid_graph_add_output(g, node1(g, "a", picture)));
  must(braid_graph_add_output(g, node1(g, "b", list)));
  return sealed(g);
}

static size_t up_bytes(const char *policy, const struct braid_graph *g, const struct test_costs *t) {
  struct braid_plan *plan = NULL;
  must(braid_decide(braid_policy_find(policy), g, &t->costs, &(struct braid_goal){0}, &plan));
  cr_assert_str_eq(plan->policy, policy);
  for (int v = 0; v < plan->n_nodes; v++)
    cr_assert_eq(plan->site[v] == BRAID_EDGE, braid_graph_node(g, v)->op == BRAID_OP_INPUT);
  size_t bytes = plan->forecast.up_bytes;
  cr_assert_eq(plan->forecast.up_ns, (int64_t)bytes); /* 1 byte a ns */
  braid_plan_destroy(&plan);
  return bytes;
}

Test(flavours, differ_by_the_bytes_of_the_inputs_only) {
  struct braid_graph *g = camera_and_list();
  struct test_costs t = plain_costs(g);
  size_t wire[4] = {0}, picture = 2 * 3 * 40 * 50, list = 7 * 9;
  wire[braid_graph_find(g, "picture")] = picture; /* as uint8 */
  wire[braid_graph_find(g, "list")] = 4 * list;
  t.costs.wire_bytes = wire;
  t.costs.jpeg_bytes = 700;
  cr_assert_eq(up_bytes("cloud-only", g, &t), picture + 4 * list);
  cr_assert_eq(up_bytes("cloud-only-fp32", g, &t), 4 * picture + 4 * list);
  cr_assert_eq(up_bytes("cloud-only-jpeg", g, &t), 2 * 700 + 4 * list); /* two pictures in the batch; a list is none */
  free_costs(&t);
  braid_graph_destroy(&g);
}

Test(flavours, jpeg_is_refused_where_it_makes_no_sense) {
  struct braid_graph *g = camera_and_list(), *h = new_graph("no picture");
  must(braid_graph_add_output(h, node1(h, "b", input(h, "list", shape4(1, 7, 1, 9)))));
  sealed(h);
  struct test_costs t = plain_costs(g), u = plain_costs(h);
  struct braid_plan *plan = NULL;
  const struct braid_policy *jpeg = braid_policy_find("cloud-only-jpeg");
  cr_assert_eq(braid_decide(jpeg, g, &t.costs, &(struct braid_goal){0}, &plan), BRAID_ENOTFOUND);
  cr_assert(strstr(braid_error(), "jpeg-bytes"), "%s", braid_error());
  u.costs.jpeg_bytes = 10;
  cr_assert_eq(braid_decide(jpeg, h, &u.costs, &(struct braid_goal){0}, &plan), BRAID_ENOTFOUND);
  cr_assert(strstr(braid_error(), "picture"), "%s", braid_error());
  t.costs.jpeg_bytes = 10;
  cr_assert_eq(braid_decide(jpeg, g, &t.costs, &(struct braid_goal){.private_input = true}, &plan), BRAID_ENOTFOUND);
  cr_assert(strstr(braid_error(), "private"), "%s", braid_error());
  free_costs(&t);
  free_costs(&u);
  braid_graph_destroy(&g);
  braid_graph_destroy(&h);
}

/* The answer's way home is part of every plan's time. */
Test(flavours, results_pay_for_the_downlink) {
  struct braid_graph *g = camera_and_list();
  struct test_costs t = plain_costs(g);
  struct braid_plan *plan = NULL;
  must(braid_decide(braid_policy_find("cloud-only"), g, &t.costs, &(struct braid_goal){0}, &plan));
  size_t results = 4 * (2 * 3 * 40 * 50 + 7 * 9);
  cr_assert_eq(plan->forecast.down_bytes, results);
  cr_assert_eq(plan->forecast.latency_ns, plan->forecast.up_ns + plan->forecast.down_ns);
  cr_assert_eq(plan->forecast.down_ns, (int64_t)results);
  braid_plan_destroy(&plan);
  free_costs(&t);
  braid_graph_destroy(&g);
}
