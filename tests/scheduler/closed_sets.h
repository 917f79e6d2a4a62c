/* SPDX-License-Identifier: Apache-2.0
 * Every closed set of a small network, for tests that compare with brute force. */
#ifndef TESTS_SCHEDULER_CLOSED_SETS_H
#define TESTS_SCHEDULER_CLOSED_SETS_H

#include "nets.h"

#define SETS_NODES_MAX 64

static inline bool is_closed_set(const struct braid_graph *g, const uint8_t *site) {
  for (int v = 0; v < braid_graph_size(g); v++) {
    const struct braid_node *node = braid_graph_node(g, v);
    for (int k = 0; k < node->n_in; k++)
      if (site[v] == BRAID_EDGE && braid_is_node(node->in[k]) && site[node->in[k]] == BRAID_CLOUD) return false;
  }
  return true;
}

static inline int count_free(const struct braid_graph *g) {
  int n = 0;
  for (int v = 0; v < braid_graph_size(g); v++) n += braid_graph_node(g, v)->op != BRAID_OP_INPUT;
  return n;
}

/* Calls seen() for every closed set; inputs are on the edge. count_free() should be at most 14. */
static inline void each_closed_set(const struct braid_graph *g, void (*seen)(void *ctx, const uint8_t *site),
                                   void *ctx) {
  uint8_t site[SETS_NODES_MAX];
  int n = braid_graph_size(g), n_free = count_free(g);
  cr_assert_leq(n, SETS_NODES_MAX);
  for (int set = 0; set < 1 << n_free; set++) {
    for (int v = 0, i = 0; v < n; v++)
      site[v] = braid_graph_node(g, v)->op == BRAID_OP_INPUT || (set >> i++ & 1) ? BRAID_EDGE : BRAID_CLOUD;
    if (is_closed_set(g, site)) seen(ctx, site);
  }
}

/* Costs at which the cloud is nowhere slower than the edge. */
static inline struct test_costs premise_costs(const struct braid_graph *g, uint64_t seed) {
  struct test_costs t = random_costs(g, seed);
  double load = t.costs.cloud_load > 0 ? t.costs.cloud_load : 1;
  for (int v = 0; v < t.costs.n_nodes; v++) t.cloud_ns[v] = (int64_t)((double)t.edge_ns[v] / (load * 1.5));
  t.costs.cloud_task_ns = t.costs.edge_task_ns / 2;
  return t;
}

#endif
