/* SPDX-License-Identifier: Apache-2.0
 *
 * Passes over a graph that is not sealed yet. Rules they all keep:
 *   - A fused node stands where the last node of the fusion stood, under its name; so ids stay a topological order, and
 *     nobody who reads the result has to be told. What it swallowed is left behind without readers; sealing removes it.
 *   - A node is swallowed only if nobody else reads it and it is no output.
 *   - Constants are never changed (others may read them); new ones are made and adopted.
 *   - When memory runs out midway the graph is still valid and computes the same.
 */
#ifndef MODELS_PASSES_H
#define MODELS_PASSES_H

#include "graph.h"

struct graph_pass {
  unsigned flag; /* enum braid_pass; 0: always */
  enum braid_status (*run)(struct braid_graph *graph);
};
/* In the order in which they run. */
extern const struct graph_pass graph_passes[];
extern const int n_graph_passes;

enum braid_status pass_widen_half(struct braid_graph *graph);
enum braid_status pass_drop_identities(struct braid_graph *graph);
enum braid_status pass_narrow_bf16(struct braid_graph *graph);
enum braid_status pass_fuse_normalize(struct braid_graph *graph);
enum braid_status pass_fuse_requantise(struct braid_graph *graph);
enum braid_status pass_fuse_pad(struct braid_graph *graph);
enum braid_status pass_fold_batchnorm(struct braid_graph *graph);
enum braid_status pass_fuse_residual(struct braid_graph *graph);
enum braid_status pass_fuse_activation(struct braid_graph *graph);
enum braid_status pass_chain_concat(struct braid_graph *graph);

#endif
