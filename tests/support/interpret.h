/* SPDX-License-Identifier: Apache-2.0
 *
 * Runs a sealed graph node by node with the reference kernels, nothing clever: what passes, bands and the executor are
 * compared with. Aborts when a kernel is missing. Link braid_models and braid_kernels, and compile interpret.c in. */
#ifndef TESTS_SUPPORT_INTERPRET_H
#define TESTS_SUPPORT_INTERPRET_H

#include "braid/models.h"

/* Every tensor of the graph, by node id; inputs are pseudo-random from `seed` and the input's number. */
struct interpretation {
  int n;
  void **tensor;
};
struct interpretation interpret(const struct braid_graph *graph, uint64_t seed);
void interpretation_release(struct interpretation *result);

/* Computes rows `band` of node `id` into `out` (room for the whole tensor) from operands of which only the rows that
 * braid_graph_needs names are there: the others are filled with bytes that spoil any result. */
void interpret_band(const struct braid_graph *graph, const struct interpretation *operands, int id,
                    struct braid_band band, void *out);

/* Largest difference of float32 tensors relative to the largest value of `a` (at least 1); NaN equals NaN. Other types:
 * 0 when equal, else 1. */
double tensor_difference(const struct braid_node *node, const void *a, const void *b);

#endif
