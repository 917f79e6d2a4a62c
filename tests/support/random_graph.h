/* SPDX-License-Identifier: Apache-2.0
 *
 * Small random networks, the same for the same arguments: for properties that must hold for any graph. Unsealed, so
 * that the caller chooses the passes. Tensors are tiny ([1,C<=16,H<=16,W<=16]) and values stay within a sane range.
 * Aborts when the graph cannot be built: that is a bug, or memory is out. Library random_graph.
 */
#ifndef TESTS_SUPPORT_RANDOM_GRAPH_H
#define TESTS_SUPPORT_RANDOM_GRAPH_H

#include "braid/models.h"

enum random_graph_flag {
  RANDOM_GRAPH_MULTI_INPUT = 1 << 0,  /* 2 to 4 inputs in place of one */
  RANDOM_GRAPH_MULTI_OUTPUT = 1 << 1, /* every tensor nobody reads is an output, and some others are; else one output */
  RANDOM_GRAPH_WEIGHTS = 1 << 2,      /* convolutions, dense layers, BatchNormalization, ... with pseudo-random weights,
                                         and uint8 inputs now and then; without it there are no constants at all */
  RANDOM_GRAPH_SERIES_PARALLEL = 1 << 3, /* nested forks and joins, like inception or residual nets; else any DAG */
  RANDOM_GRAPH_FLAGS = 1 << 4            /* number of combinations */
};

/* About `n_nodes` nodes (some more for the head that joins loose ends). */
struct braid_graph *random_graph(uint64_t seed, int n_nodes, unsigned flags);

/* BRAID_SEED from the environment, else `otherwise`; printed, so that a failure can be repeated. */
uint64_t random_graph_seed(uint64_t otherwise);

#endif
