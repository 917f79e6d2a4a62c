/* SPDX-License-Identifier: Apache-2.0
 * Profiles as values, and the one made from nothing but a rate. */
#include "internal.h"

#include <math.h>

void braid_profile_destroy(struct braid_profile **profile) {
  if (!profile || !*profile) return;
  braid_free((*profile)->model);
  braid_free((*profile)->machine);
  braid_free((*profile)->node_ns);
  braid_free((*profile)->slice_ns);
  braid_free(*profile);
  *profile = NULL;
}

enum braid_status profile_alloc(const char *model, const char *machine, int n_nodes, struct braid_profile **out) {
  struct braid_profile *profile = braid_calloc(1, sizeof *profile);
  if (!profile) return braid_fail(BRAID_ENOMEM, "a profile of %d nodes", n_nodes);
  profile->threads = 1;
  profile->n_nodes = n_nodes;
  profile->model = braid_strdup(model);
  profile->machine = braid_strdup(machine);
  profile->node_ns = braid_calloc((size_t)n_nodes, sizeof *profile->node_ns);
  profile->slice_ns = braid_calloc((size_t)n_nodes, sizeof *profile->slice_ns);
  if (!profile->model || !profile->machine || !profile->node_ns || !profile->slice_ns) {
    braid_profile_destroy(&profile);
    return braid_fail(BRAID_ENOMEM, "a profile of %d nodes", n_nodes);
  }
  *out = profile;
  return BRAID_OK;
}

enum braid_status braid_profile_synthetic(const struct braid_graph *graph, double gflops, struct braid_profile **out) {
  if (!(gflops > 0) || !isfinite(gflops))
    return braid_fail(BRAID_EINVAL, "a rate of %g GFLOP/s: it must be above 0", gflops);
  struct braid_profile *profile = NULL;
  int n = braid_graph_size(graph);
  BRAID_TRY(profile_alloc(braid_graph_name(graph), "synthetic", n, &profile));
  for (int v = 0; v < n; v++) {
    double ns = 2.0 * (double)braid_graph_node(graph, v)->macs / gflops;
    if (ns > (double)COST_NODE_NS_MAX) {
      braid_profile_destroy(&profile);
      return braid_fail(BRAID_EINVAL, "%g GFLOP/s makes node %d '%s' last %g s: the rate is too low", gflops, v,
                        braid_graph_node(graph, v)->name, ns / 1e9);
    }
    profile->node_ns[v] = llround(ns);
  }
  *out = profile;
  return BRAID_OK;
}
