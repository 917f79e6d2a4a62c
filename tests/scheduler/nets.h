/* SPDX-License-Identifier: Apache-2.0
 * Networks and costs with chosen numbers: the arithmetic of a node does not matter here, only its time, its bytes and
 * what it reads. Nodes are sums of their operands ([1,1,rows,width] float32), so bands of rows map one to one. */
#ifndef TESTS_SCHEDULER_NETS_H
#define TESTS_SCHEDULER_NETS_H

#include "braid/scheduler.h"
#include "graph_help.h"

#define MS INT64_C(1000000)
#define US INT64_C(1000)

/* Owns what braid_costs only points to. */
struct test_costs {
  struct braid_costs costs;
  int64_t *edge_ns, *cloud_ns;
};

static inline int tensor_in(struct braid_graph *g, const char *name, int rows, int width) {
  return input(g, name, shape4(1, 1, rows, width));
}

/* name = relu(a), or a + b. */
static inline int node1(struct braid_graph *g, const char *name, int a) {
  return unary(g, BRAID_OP_RELU, a, name);
}
static inline int node_n(struct braid_graph *g, const char *name, const int *in, int n) {
  return add_op(g, BRAID_OP_SUM, NULL, in, n, name);
}

static inline struct braid_graph *sealed(struct braid_graph *g) {
  must(braid_graph_seal(g, 0));
  return g;
}

/* One worker a site, a link without delay or message cost at 8 bit/ns (1 byte a ns) each way, all times 0. */
static inline struct test_costs plain_costs(const struct braid_graph *g) {
  size_t n = (size_t)braid_graph_size(g);
  struct test_costs t = {0};
  t.edge_ns = braid_calloc(n, sizeof *t.edge_ns);
  t.cloud_ns = braid_calloc(n, sizeof *t.cloud_ns);
  t.costs = (struct braid_costs){.n_nodes = (int)n, .edge_ns = t.edge_ns, .cloud_ns = t.cloud_ns};
  t.costs.edge_workers = t.costs.cloud_workers = 1;
  t.costs.up.bits_per_s = t.costs.down.bits_per_s = 8e9;
  return t;
}

static inline void free_costs(struct test_costs *t) {
  braid_free(t->edge_ns);
  braid_free(t->cloud_ns);
}

static inline void set_times(struct test_costs *t, const struct braid_graph *g, const char *name, int64_t edge_ns,
                             int64_t cloud_ns) {
  int id = braid_graph_find(g, name);
  cr_assert_geq(id, 0, "no node '%s'", name);
  t->edge_ns[id] = edge_ns;
  t->cloud_ns[id] = cloud_ns;
}

static inline void set_rate(struct test_costs *t, double up_bits_per_s, double down_bits_per_s) {
  t->costs.up.bits_per_s = up_bits_per_s;
  t->costs.down.bits_per_s = down_bits_per_s;
}

/* Costs of all kinds from a seed, of a scale at which neither side always wins. */
static inline struct test_costs random_costs(const struct braid_graph *g, uint64_t seed) {
  struct test_costs t = plain_costs(g);
  uint64_t at = 0;
#define DRAW(n) ((int64_t)(braid_random_u64(seed, at++) % (uint64_t)(n)))
  int64_t ratio = 1 + DRAW(8), rate = 1 + DRAW(20);
  for (int v = 0; v < t.costs.n_nodes; v++) {
    if (braid_graph_node(g, v)->op == BRAID_OP_INPUT) continue;
    t.edge_ns[v] = DRAW(4) ? DRAW(40 * US) : 0;
    t.cloud_ns[v] = DRAW(10) ? t.edge_ns[v] / ratio : DRAW(40 * US);
  }
  set_rate(&t, (double)rate * 1e8, (double)(1 + DRAW(20)) * 1e8);
  t.costs.up.delay_ns = DRAW(2) ? DRAW(20 * US) : 0;
  t.costs.down.delay_ns = DRAW(2) ? DRAW(20 * US) : 0;
  t.costs.up.message_ns = DRAW(2) ? DRAW(5 * US) : 0;
  t.costs.down.message_ns = DRAW(2) ? DRAW(5 * US) : 0;
  t.costs.edge_task_ns = DRAW(2) ? DRAW(US) : 0;
  t.costs.cloud_task_ns = DRAW(2) ? DRAW(US) : 0;
  t.costs.cloud_load = DRAW(3) ? 0 : 1 + (double)DRAW(300) / 100;
#undef DRAW
  return t;
}

/* Where results are wanted: drawn by itself, so that whatever else a test draws from the seed goes with either. */
static inline enum braid_site draw_deliver(uint64_t seed) {
  return braid_random_u64(seed, 1 << 20) % 2 ? BRAID_CLOUD : BRAID_EDGE;
}

/* For tests that take for granted that there is a plan: a result may be the private picture itself. */
static inline enum braid_site draw_deliver_open(const struct braid_goal *goal, uint64_t seed) {
  return goal->private_input ? BRAID_EDGE : draw_deliver(seed);
}

static inline void set_deliver(struct braid_plan *plan, enum braid_site deliver) {
  plan->deliver = deliver;
  for (int i = 0; i < plan->n_mix; i++) plan->mix[i]->deliver = deliver;
}

/* A random plan that passes the check; closed ones keep edge nodes off cloud tensors. */
static inline struct braid_plan *random_plan(const struct braid_graph *g, uint64_t seed, bool closed, bool serial,
                                             int slices) {
  struct braid_plan *plan = NULL;
  must(braid_plan_create(g, "random", &plan));
  uint64_t at = 0;
  plan->serial = serial;
  int edge_of_16 = (int)(braid_random_u64(seed, at++) % 17);
  for (int v = 0; v < plan->n_nodes; v++) {
    const struct braid_node *node = braid_graph_node(g, v);
    bool edge = (int)(braid_random_u64(seed, at++) % 16) < edge_of_16 || node->op == BRAID_OP_INPUT;
    for (int k = 0; k < node->n_in && (closed || serial); k++)
      if (braid_is_node(node->in[k]) && plan->site[node->in[k]] == BRAID_CLOUD) edge = false;
    plan->site[v] = edge ? BRAID_EDGE : BRAID_CLOUD;
    int most = node->slices_max < slices ? node->slices_max : slices;
    plan->slices[v] = 1 + (int)(braid_random_u64(seed, at++) % (uint64_t)(most > 1 ? most : 1));
  }
  for (int i = plan->n_nodes - 1; i > 0; i--) {
    int j = (int)(braid_random_u64(seed, at++) % (uint64_t)(i + 1)), r = plan->rank[i];
    plan->rank[i] = plan->rank[j];
    plan->rank[j] = r;
  }
  must(braid_plan_check(plan, g, closed));
  return plan;
}

/* `parts` random plans of which one is serial, dealt by random weights; returns are allowed. */
static inline struct braid_plan *random_mix(const struct braid_graph *g, uint64_t seed, int parts) {
  struct braid_plan *plan = random_plan(g, seed, false, false, 4);
  plan->mix = braid_calloc((size_t)parts, sizeof *plan->mix);
  plan->mix_weight = braid_calloc((size_t)parts, sizeof *plan->mix_weight);
  double left = 1;
  for (; plan->n_mix < parts; plan->n_mix++) {
    int i = plan->n_mix;
    plan->mix[i] = random_plan(g, seed + 1 + (uint64_t)i, false, i == 1, 4);
    plan->mix_weight[i] =
        i == parts - 1 ? left : left * (1 + (double)(braid_random_u64(seed, 900 + (uint64_t)i) % 8)) / 10;
    left -= plan->mix_weight[i];
  }
  must(braid_plan_check(plan, g, false));
  return plan;
}

static inline struct braid_graph *zoo_net(const char *name) {
  struct braid_graph *g = NULL;
  must(braid_zoo_build(name, 1, 0, &g));
  must(braid_graph_seal(g, BRAID_PASS_ALL));
  return g;
}

/* The demo's world: 10 GFLOP/s, a cloud `ratio` times as fast, 10 ms there and back. */
static inline struct test_costs demo_costs(const struct braid_graph *g, double ratio, double mbit) {
  struct test_costs t = plain_costs(g);
  for (int v = 0; v < t.costs.n_nodes; v++) {
    t.edge_ns[v] = 2 * braid_graph_node(g, v)->macs / 10;
    t.cloud_ns[v] = (int64_t)((double)t.edge_ns[v] / ratio);
  }
  set_rate(&t, mbit * 1e6, mbit * 1e6);
  t.costs.up.delay_ns = t.costs.down.delay_ns = 5 * MS;
  t.costs.up.message_ns = t.costs.down.message_ns = 20 * US;
  t.costs.edge_task_ns = t.costs.cloud_task_ns = 2 * US;
  return t;
}

#endif
