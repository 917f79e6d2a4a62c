/* SPDX-License-Identifier: Apache-2.0
 * Random networks with costs and goals of every kind, and what a goal allows, written without the scheduler's own
 * stages. Needs braid_malloc's allocator only for costs. */
#ifndef TESTS_SCHEDULER_WORLDS_H
#define TESTS_SCHEDULER_WORLDS_H

#include "closed_sets.h"
#include "random_graph.h"

#include <string.h>

struct world {
  struct braid_graph *graph;
  struct test_costs t;
  struct braid_goal goal;
  int8_t pin[SETS_NODES_MAX];
  size_t wire[SETS_NODES_MAX];
};

static inline size_t whole_memory(const struct braid_graph *g) {
  size_t total = 0;
  for (int v = 0; v < braid_graph_size(g); v++)
    total += braid_graph_node(g, v)->weight_bytes + braid_graph_node(g, v)->bytes;
  return total;
}

static inline int64_t whole_edge_ns(const struct test_costs *t) {
  int64_t total = 0;
  for (int v = 0; v < t->costs.n_nodes; v++) total += t->edge_ns[v];
  return total;
}

static inline void draw_goal(struct world *w, uint64_t seed) {
#define DRAW(what, n) (braid_random_u64(seed, 700 + (what)) % (n))
  struct braid_goal *goal = &w->goal;
  *goal = (struct braid_goal){.objective = DRAW(0, 2) ? BRAID_THROUGHPUT : BRAID_LATENCY};
  goal->private_input = DRAW(1, 3) == 0;
  if (DRAW(2, 4) == 0) goal->edge_memory = 1 + whole_memory(w->graph) * DRAW(3, 10) / 8;
  if (DRAW(4, 4) == 0) goal->latency_max_ns = 1 + whole_edge_ns(&w->t) * (int64_t)(1 + DRAW(5, 12)) / 4;
  memset(w->pin, -1, sizeof w->pin);
  if (DRAW(6, 4) == 0) {
    for (int v = 0; v < braid_graph_size(w->graph); v++) {
      uint64_t z = DRAW(100 + (uint64_t)v, 9);
      if (z < 2 && braid_graph_node(w->graph, v)->op != BRAID_OP_INPUT) w->pin[v] = (int8_t)z;
    }
    goal->pinned = w->pin;
  }
  goal->slices = (int)DRAW(7, 4);
  goal->window = DRAW(8, 6) == 0 ? 3 : 0;
  goal->deliver = draw_deliver(seed);
#undef DRAW
}

/* Series-parallel and not, one and several inputs and outputs, with weights and without; the premise (the cloud nowhere
 * slower) for every other one; several workers, load, coded tensors, pictures as JPEG. */
static inline void make_world(struct world *w, uint64_t seed, int most_nodes) {
  uint64_t draw = braid_random_u64(seed, 699);
  *w = (struct world){0};
  w->graph = sealed(random_graph(seed, 2 + (int)(draw % (uint64_t)(most_nodes - 1)),
                                 (unsigned)(draw / 64 % RANDOM_GRAPH_FLAGS)));
  cr_assert_leq(braid_graph_size(w->graph), SETS_NODES_MAX);
  w->t = seed % 2 ? premise_costs(w->graph, seed) : random_costs(w->graph, seed);
  if (draw / 4096 % 3 == 0) w->t.costs.edge_workers = 2;
  if (draw / 4096 % 4 == 0) w->t.costs.cloud_workers = 3;
  if (draw / 65536 % 3 != 0) w->t.costs.jpeg_bytes = 200;
  for (int v = 0; v < w->t.costs.n_nodes; v++) w->wire[v] = (size_t)(braid_random_u64(seed, 800 + (uint64_t)v) % 5000);
  if (draw / 65536 % 5 == 0) w->t.costs.wire_bytes = w->wire;
  draw_goal(w, seed);
}

static inline void free_world(struct world *w) {
  free_costs(&w->t);
  braid_graph_destroy(&w->graph);
}

/* The picture itself, or the same under another shape or scale (braid_goal.private_input). */
static inline void find_pictures(const struct braid_graph *g, bool *picture) {
  for (int v = 0; v < braid_graph_size(g); v++) {
    const struct braid_node *node = braid_graph_node(g, v);
    bool hands_on = node->op == BRAID_OP_NORMALIZE || node->op == BRAID_OP_RESHAPE || node->op == BRAID_OP_CAST ||
                    node->op == BRAID_OP_TRANSPOSE || node->op == BRAID_OP_PAD || node->op == BRAID_OP_SLICE ||
                    node->op == BRAID_OP_QUANTIZE_LINEAR || node->op == BRAID_OP_DEQUANTIZE_LINEAR ||
                    (node->op == BRAID_OP_SUB && !braid_is_node(node->in[1])); /* a zero point */
    picture[v] = node->op == BRAID_OP_INPUT || (hands_on && braid_is_node(node->in[0]) && picture[node->in[0]]);
  }
}

/* NULL, or the constraint of the goal that a plan with these sites breaks. */
static inline const char *broken(const struct world *w, const uint8_t *site) {
  bool picture[SETS_NODES_MAX];
  size_t memory = 0;
  find_pictures(w->graph, picture);
  for (int v = 0; v < braid_graph_size(w->graph); v++) {
    const struct braid_node *node = braid_graph_node(w->graph, v);
    if (site[v] == BRAID_EDGE) memory += node->weight_bytes + node->bytes;
    if (w->goal.pinned && w->pin[v] >= 0 && site[v] != (uint8_t)w->pin[v]) return "pinned";
    if (w->goal.private_input && picture[v] && site[v] == BRAID_CLOUD) return "private";
    if (w->goal.private_input && picture[v] && node->is_output && w->goal.deliver == BRAID_CLOUD) return "private";
    for (int i = 0; i < node->n_readers; i++)
      if (w->goal.private_input && picture[v] && site[node->reader[i]] == BRAID_CLOUD) return "private";
  }
  return w->goal.edge_memory > 0 && memory > w->goal.edge_memory ? "memory" : NULL;
}

#endif
