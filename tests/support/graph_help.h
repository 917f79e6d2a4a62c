/* SPDX-License-Identifier: Apache-2.0
 * Short words for building graphs in tests; every one fails the test when the graph refuses. */
#ifndef TESTS_SUPPORT_GRAPH_HELP_H
#define TESTS_SUPPORT_GRAPH_HELP_H

#include "braid/models.h"

#include <criterion/criterion.h>

#define must(expr) cr_assert_eq((expr), BRAID_OK, "%s: %s", #expr, braid_error())

static inline struct braid_shape shape4(int n, int c, int h, int w) {
  return braid_shape_of(4, (int[]){n, c, h, w});
}

static inline struct braid_graph *new_graph(const char *name) {
  struct braid_graph *graph;
  must(braid_graph_create(name, &graph));
  return graph;
}

static inline int input(struct braid_graph *graph, const char *name, struct braid_shape shape) {
  int id;
  must(braid_graph_add_input(graph, name, BRAID_F32, &shape, &id));
  return id;
}

static inline int add_op(struct braid_graph *graph, enum braid_op op, const union braid_attrs *attrs, const int *in,
                         int n_in, const char *name) {
  int id;
  must(braid_graph_add(graph, op, attrs, in, n_in, NULL, name, &id));
  return id;
}

static inline int unary(struct braid_graph *graph, enum braid_op op, int x, const char *name) {
  return add_op(graph, op, NULL, &x, 1, name);
}

static inline int binary(struct braid_graph *graph, enum braid_op op, int x, int y, const char *name) {
  return add_op(graph, op, NULL, (int[]){x, y}, 2, name);
}

/* A constant of pseudo-random values in [-1,1), or all `value` when that is not 0; the graph owns it. */
static inline int weights(struct braid_graph *graph, struct braid_shape shape, float value, const char *name) {
  int64_t n = braid_shape_elements(&shape);
  float *data = braid_malloc((size_t)n * sizeof *data);
  cr_assert(data);
  uint64_t seed = braid_fnv1a(name ? name : "weights");
  for (int64_t i = 0; i < n; i++) data[i] = value != 0.0f ? value : braid_random_f32(seed, (uint64_t)i);
  must(braid_graph_adopt(graph, data, braid_free));
  int code;
  must(braid_graph_add_constant(graph, name, &(struct braid_tensor){data, BRAID_F32, shape}, &code));
  return code;
}

/* A k x k convolution with bias, stride 1, same size. */
static inline int conv(struct braid_graph *graph, int x, int channels, int k, const char *name) {
  int c = braid_graph_node(graph, x)->shape.dim[1];
  union braid_attrs attrs = {.conv = {.kernel = {k, k},
                                      .stride = {1, 1},
                                      .dilation = {1, 1},
                                      .pad = {k / 2, k / 2, k / 2, k / 2},
                                      .group = 1}};
  int w = weights(graph, shape4(channels, c, k, k), 0, NULL);
  int b = weights(graph, braid_shape_of(1, &channels), 0, NULL);
  return add_op(graph, BRAID_OP_CONV, &attrs, (int[]){x, w, b}, 3, name);
}

/* How many nodes are of that operator. */
static inline int count_op(const struct braid_graph *graph, enum braid_op op) {
  int n = 0;
  for (int id = 0; id < braid_graph_size(graph); id++) n += braid_graph_node(graph, id)->op == op;
  return n;
}

static inline void seal_with(struct braid_graph *graph, unsigned passes) {
  must(braid_graph_seal(graph, passes));
  must(braid_graph_check(graph));
}

#endif
