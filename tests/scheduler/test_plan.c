/* SPDX-License-Identifier: Apache-2.0
 * Plans and profiles as values and as text. */
#include "nets.h"
#include "random_graph.h"

#include <jansson.h>
#include <string.h>

/* in -> a -> {b, c} -> d, and c is an output too. */
static struct braid_graph *fork_net(void) {
  struct braid_graph *g = new_graph("fork");
  int a = node1(g, "a", tensor_in(g, "in", 4, 8));
  int b = node1(g, "b", a), c = node1(g, "c", a);
  must(braid_graph_add_output(g, node_n(g, "d", (int[]){b, c}, 2)));
  must(braid_graph_add_output(g, c));
  return sealed(g);
}

static struct braid_plan *parse(const struct braid_graph *g, const char *text) {
  struct braid_plan *plan = NULL;
  must(braid_plan_from_json(text, strlen(text), g, &plan));
  return plan;
}

static void refuse(const struct braid_graph *g, const char *text, const char *why) {
  struct braid_plan *plan = NULL;
  cr_assert_neq(braid_plan_from_json(text, strlen(text), g, &plan), BRAID_OK, "accepted: %s", text);
  cr_assert_null(plan);
  cr_assert(strstr(braid_error(), why), "'%s' does not say '%s'", braid_error(), why);
}

Test(plan, a_new_one_is_all_edge) {
  struct braid_graph *g = fork_net();
  struct braid_plan *plan = NULL, *copy = NULL;
  must(braid_plan_create(g, "a name that is longer than thirty-one letters", &plan));
  must(braid_plan_check(plan, g, true));
  cr_assert_eq(strlen(plan->policy), sizeof plan->policy - 1);
  plan->rank[1] = 2;
  plan->rank[2] = 1;
  plan->site[3] = BRAID_CLOUD;
  must(braid_plan_copy(plan, &copy));
  cr_assert_eq(memcmp(copy->rank, plan->rank, sizeof *plan->rank * (size_t)plan->n_nodes), 0);
  cr_assert_eq(copy->site[3], BRAID_CLOUD);
  copy->site[3] = BRAID_EDGE;
  cr_assert_eq(plan->site[3], BRAID_CLOUD);
  braid_plan_destroy(&plan);
  braid_plan_destroy(&plan);
  braid_plan_destroy(&copy);
  braid_graph_destroy(&g);
}

Test(plan, crossings_follow_readers_and_results) {
  struct braid_graph *g = fork_net();
  struct braid_plan *plan = parse(g, "{\"edge_nodes\":[0,1]}");
  int a = braid_graph_find(g, "a"), b = braid_graph_find(g, "b"), c = braid_graph_find(g, "c"),
      d = braid_graph_find(g, "d");
  cr_assert_eq(a, 1);
  cr_assert(braid_plan_crosses_up(plan, g, a));
  cr_assert_not(braid_plan_crosses_up(plan, g, 0));
  cr_assert(braid_plan_crosses_down(plan, g, c) && braid_plan_crosses_down(plan, g, d));
  cr_assert_not(braid_plan_crosses_down(plan, g, b));
  plan->site[d] = BRAID_EDGE; /* a return: b comes down now */
  must(braid_plan_check(plan, g, false));
  cr_assert_eq(braid_plan_check(plan, g, true), BRAID_EINVAL);
  cr_assert(braid_plan_crosses_down(plan, g, b));
  plan->deliver = BRAID_CLOUD; /* d has to go up now; b and c still come down to it */
  must(braid_plan_check(plan, g, false));
  cr_assert(braid_plan_crosses_up(plan, g, d) && braid_plan_crosses_down(plan, g, b));
  plan->site[d] = BRAID_CLOUD; /* nothing is wanted on the edge any more */
  for (int v = 0; v < plan->n_nodes; v++) cr_assert_not(braid_plan_crosses_down(plan, g, v));
  cr_assert(braid_plan_crosses_up(plan, g, a));
  plan->site[d] = BRAID_EDGE;
  plan->deliver = (enum braid_site)2;
  cr_assert_eq(braid_plan_check(plan, g, false), BRAID_EINVAL);
  cr_assert(strstr(braid_error(), "site 2"), "%s", braid_error());
  plan->deliver = BRAID_EDGE;
  plan->serial = true; /* would wait for itself */
  cr_assert_eq(braid_plan_check(plan, g, false), BRAID_EINVAL);
  braid_plan_destroy(&plan);
  braid_graph_destroy(&g);
}

Test(plan, a_hand_written_one_needs_only_edge_nodes) {
  struct braid_graph *g = fork_net();
  struct braid_plan *plan = parse(g, "{\"edge_nodes\": []}");
  cr_assert_eq(plan->site[0], BRAID_EDGE);
  cr_assert_eq(plan->deliver, BRAID_EDGE);
  for (int v = 1; v < plan->n_nodes; v++) {
    cr_assert_eq(plan->site[v], BRAID_CLOUD);
    cr_assert_eq(plan->slices[v], 1);
    cr_assert_eq(plan->rank[v], v);
  }
  braid_plan_destroy(&plan);
  plan = parse(g, "{\"edge_nodes\":[1], \"slices\": 100}");
  cr_assert_eq(plan->slices[1], braid_graph_node(g, 1)->slices_max);
  cr_assert_eq(plan->slices[0], 1);
  braid_plan_destroy(&plan);
  braid_graph_destroy(&g);
}

Test(plan, what_is_wrong_is_named) {
  struct braid_graph *g = fork_net();
  refuse(g, "", "line 1");
  refuse(g, "[]", "not a JSON object");
  refuse(g, "{}", "edge_nodes");
  refuse(g, "{\"edge_nodes\":[0,1,99]}", "\"edge_nodes\"[2] is 99");
  refuse(g, "{\"edge_nodes\":[-1]}", "\"edge_nodes\"[0]");
  refuse(g, "{\"edge_nodes\":[\"a\"]}", "not an integer");
  refuse(g, "{\"edge_nodes\":[1],\"edge_nodes\":[2]}", "duplicate");
  refuse(g, "{\"edge_nodes\":[],\"rank\":[0,1,2,3,3]}", "rank 3 is taken");
  refuse(g, "{\"edge_nodes\":[],\"rank\":[0]}", "1 entries");
  refuse(g, "{\"edge_nodes\":[],\"slices\":[1,5,1,1,1]}", "5 slices");
  refuse(g, "{\"edge_nodes\":[],\"window\":0}", "\"window\" is 0");
  refuse(g, "{\"edge_nodes\":[],\"window\":100000}", "\"window\"");
  refuse(g, "{\"edge_nodes\":[],\"objective\":\"speed\"}", "'speed'");
  refuse(g, "{\"edge_nodes\":[],\"deliver\":\"home\"}", "'home'");
  refuse(g, "{\"edge_nodes\":[],\"deliver\":1}", "deliver");
  refuse(g, "{\"edge_nodes\":[],\"policy\":\"\\u001b[2J\"}", "control character");
  refuse(g, "{\"edge_nodes\":[],\"latency_ms\":-1}", "latency_ms");
  refuse(g, "{\"edge_nodes\":[],\"mix\":[{},{}]}", "part 0 of the mix");
  refuse(g, "{\"edge_nodes\":[0,1,4],\"serial\":true}", "is in the cloud");
  braid_graph_destroy(&g);
}

Test(plan, huge_texts_are_refused_before_they_are_read) {
  struct braid_graph *g = fork_net();
  size_t size = (size_t)4 << 20;
  char *text = braid_malloc(size);
  memset(text, '[', size);
  struct braid_plan *plan = NULL;
  cr_assert_eq(braid_plan_from_json(text, size, g, &plan), BRAID_EFORMAT);
  cr_assert(strstr(braid_error(), "bytes"));
  cr_assert_eq(braid_plan_from_json(text, 1 << 20, g, &plan), BRAID_EFORMAT); /* deep nesting */
  braid_free(text);
  braid_graph_destroy(&g);
}

static void fill_forecast(struct braid_forecast *f, uint64_t seed) {
  int64_t *ns[] = {&f->latency_ns, &f->period_ns, &f->edge_ns, &f->up_ns, &f->cloud_ns, &f->down_ns, &f->bound_ns};
  for (uint64_t i = 0; i < sizeof ns / sizeof *ns; i++) *ns[i] = (int64_t)(braid_random_u64(seed, i) % 4000000000000);
  f->up_bytes = 123456789;
  f->gap = 0.25;
}

Test(plan, text_brings_back_the_same_plan_and_the_same_text) {
  uint64_t seed = random_graph_seed(11);
  for (uint64_t i = 0; i < 60; i++) {
    struct braid_graph *g = sealed(random_graph(seed + i, 12, (unsigned)(i % RANDOM_GRAPH_FLAGS)));
    struct braid_plan *plan = random_plan(g, seed + i, i % 2, i % 3 == 0, 4), *back = NULL;
    char *text = NULL, *again = NULL;
    plan->objective = i % 2 ? BRAID_THROUGHPUT : BRAID_LATENCY;
    plan->window = 1 + (int)(i % 7);
    plan->deliver = draw_deliver(seed + i);
    fill_forecast(&plan->forecast, seed + i);
    must(braid_plan_to_json(plan, g, NULL, -1, &text));
    must(braid_plan_from_json(text, strlen(text), g, &back));
    size_t ints = sizeof(int) * (size_t)plan->n_nodes;
    cr_assert_eq(memcmp(plan->site, back->site, (size_t)plan->n_nodes), 0);
    cr_assert_eq(memcmp(plan->slices, back->slices, ints), 0);
    cr_assert_eq(memcmp(plan->rank, back->rank, ints), 0);
    cr_assert_eq(plan->serial, back->serial);
    cr_assert_eq(plan->window, back->window);
    cr_assert_eq(plan->objective, back->objective);
    cr_assert_eq(plan->deliver, back->deliver);
    cr_assert_str_eq(plan->policy, back->policy);
    cr_assert_eq(plan->forecast.latency_ns, back->forecast.latency_ns);
    cr_assert_eq(plan->forecast.up_bytes, back->forecast.up_bytes);
    must(braid_plan_to_json(back, g, NULL, -1, &again));
    cr_assert_str_eq(text, again);
    braid_free(text);
    braid_free(again);
    braid_plan_destroy(&plan);
    braid_plan_destroy(&back);
    braid_graph_destroy(&g);
  }
}

Test(plan, text_has_the_promised_fields) {
  struct braid_graph *g = fork_net();
  struct braid_plan *plan = parse(g, "{\"edge_nodes\":[0,1]}");
  char *text = NULL;
  must(braid_plan_to_json(plan, g, NULL, 1500, &text));
  json_t *root = json_loads(text, 0, NULL);
  const char *keys[] = {"policy",    "objective", "deliver",  "edge_nodes", "crossing", "latency_ms", "period_ms",
                        "edge_ms",   "up_ms",     "cloud_ms", "down_ms",    "bound_ms", "gap",        "decide_us",
                        "mix"};
  for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) cr_assert(json_object_get(root, keys[i]), "no %s", keys[i]);
  json_t *crossing = json_array_get(json_object_get(root, "crossing"), 0);
  cr_assert_eq(json_array_size(json_object_get(root, "crossing")), 1);
  cr_assert_eq(json_integer_value(json_object_get(crossing, "id")), 1);
  cr_assert_eq(json_integer_value(json_object_get(crossing, "bytes")), 4 * 8 * 4);
  cr_assert_str_eq(json_string_value(json_object_get(crossing, "codec")), "fp32");
  cr_assert_float_eq(json_real_value(json_object_get(root, "decide_us")), 1.5, 1e-12);
  cr_assert_eq(json_array_size(json_object_get(root, "mix")), 1);
  json_decref(root);
  braid_free(text);
  braid_plan_destroy(&plan);
  braid_graph_destroy(&g);
}

/* -------------------------------------------------------------------------------------------------- profiles */

Test(profile, text_brings_back_the_same_times) {
  struct braid_graph *g = fork_net();
  struct braid_profile *profile = NULL, *back = NULL;
  char *text = NULL;
  must(braid_profile_synthetic(g, 10, &profile));
  for (int v = 0; v < profile->n_nodes; v++) profile->node_ns[v] = 1234567 * v + 1, profile->slice_ns[v] = 89 * v;
  braid_graph_hash_text(g, profile->hash);
  profile->threads = 3;
  profile->task_ns = 777;
  must(braid_profile_to_json(profile, &text));
  must(braid_profile_from_json(text, strlen(text), g, &back));
  cr_assert_eq(memcmp(profile->node_ns, back->node_ns, sizeof *back->node_ns * (size_t)back->n_nodes), 0);
  cr_assert_eq(memcmp(profile->slice_ns, back->slice_ns, sizeof *back->slice_ns * (size_t)back->n_nodes), 0);
  cr_assert_str_eq(profile->hash, back->hash);
  cr_assert_str_eq(profile->model, back->model);
  cr_assert_str_eq(profile->machine, back->machine);
  cr_assert_eq(back->threads, 3);
  cr_assert_eq(back->task_ns, 777);
  braid_free(text);
  braid_profile_destroy(&profile);
  braid_profile_destroy(&back);
  braid_graph_destroy(&g);
}

static void refuse_profile(const struct braid_graph *g, const char *text, const char *why) {
  struct braid_profile *profile = NULL;
  cr_assert_neq(braid_profile_from_json(text, strlen(text), g, &profile), BRAID_OK, "accepted: %s", text);
  cr_assert(strstr(braid_error(), why), "'%s' does not say '%s'", braid_error(), why);
}

Test(profile, what_is_wrong_is_named) {
  struct braid_graph *g = new_graph("conv");
  must(braid_graph_add_output(g, conv(g, input(g, "in", shape4(1, 3, 8, 8)), 4, 3, "c1")));
  sealed(g);
  refuse_profile(g, "{}", "nodes");
  refuse_profile(g, "{\"nodes\":[]}", "no time for node 1 'c1'");
  refuse_profile(g, "{\"nodes\":[{\"id\":1}]}", "has no \"us\"");
  refuse_profile(g, "{\"nodes\":[{\"id\":1,\"us\":-3}]}", "\"nodes\"[0]: \"us\" is -3");
  refuse_profile(g, "{\"nodes\":[{\"id\":2,\"us\":3}]}", "\"id\" is 2");
  refuse_profile(g, "{\"nodes\":[{\"id\":1,\"us\":3},{\"id\":1,\"us\":3}]}", "comes twice");
  refuse_profile(g, "{\"nodes\":[{\"id\":1,\"us\":1e300}]}", "\"us\"");
  refuse_profile(g, "{\"hash\":\"00\",\"nodes\":[{\"id\":1,\"us\":3}]}", "another network");
  struct braid_profile *profile = NULL;
  const char *least = "{\"nodes\":[{\"id\":1,\"us\":2.5}]}";
  must(braid_profile_from_json(least, strlen(least), g, &profile));
  cr_assert_eq(profile->node_ns[1], 2500);
  braid_profile_destroy(&profile);
  cr_assert_eq(braid_profile_synthetic(g, 0, &profile), BRAID_EINVAL);
  must(braid_profile_synthetic(g, 2, &profile));
  cr_assert_eq(profile->node_ns[1], braid_graph_node(g, 1)->macs);
  cr_assert_eq(profile->node_ns[0], 0);
  braid_profile_destroy(&profile);
  braid_graph_destroy(&g);
}

/* ------------------------------------------------------------------------------------------ failing memory */

static enum braid_status round_trip(const struct braid_graph *g, const struct braid_plan *plan,
                                    const struct braid_profile *profile) {
  struct braid_plan *copy = NULL, *back = NULL;
  struct braid_profile *read = NULL;
  char *text = NULL, *profile_text = NULL;
  enum braid_status status = braid_plan_copy(plan, &copy);
  if (status == BRAID_OK) status = braid_plan_to_json(copy, g, NULL, 1, &text);
  if (status == BRAID_OK) status = braid_plan_from_json(text, strlen(text), g, &back);
  if (status == BRAID_OK) status = braid_profile_to_json(profile, &profile_text);
  if (status == BRAID_OK) status = braid_profile_from_json(profile_text, strlen(profile_text), g, &read);
  braid_free(text);
  braid_free(profile_text);
  braid_plan_destroy(&copy);
  braid_plan_destroy(&back);
  braid_profile_destroy(&read);
  return status;
}

Test(plan, every_failed_allocation_is_survived) {
  struct braid_graph *g = fork_net();
  struct braid_plan *plan = random_plan(g, 3, true, false, 3);
  struct braid_profile *profile = NULL;
  must(braid_profile_synthetic(g, 10, &profile));
  json_set_alloc_funcs(braid_malloc, braid_free);
  long n = 1;
  for (;; n++) {
    braid_alloc_fail_at(n);
    enum braid_status status = round_trip(g, plan, profile);
    braid_alloc_fail_at(0);
    if (status == BRAID_OK) break;
    /* jansson's scanner calls memory it did not get a syntax error */
    cr_assert(status == BRAID_ENOMEM || status == BRAID_EFORMAT, "allocation %ld: %s", n, braid_error());
  }
  cr_assert_gt(n, 100);
  braid_profile_destroy(&profile);
  braid_plan_destroy(&plan);
  braid_graph_destroy(&g);
}
