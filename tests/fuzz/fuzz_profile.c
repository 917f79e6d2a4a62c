/* SPDX-License-Identifier: Apache-2.0
 * Profiles from files and peers: whatever is accepted is within belief, and the same after being written and read
 * again. */
#include "braid/scheduler.h"
#include "fuzz.h"
#include "random_graph.h"

#include <string.h>

static const struct braid_graph *small_graph(void) {
  static struct braid_graph *graph;
  if (graph) return graph;
  graph = random_graph(5, 6, RANDOM_GRAPH_WEIGHTS);
  if (braid_graph_seal(graph, 0) != BRAID_OK) __builtin_trap();
  return graph;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  const struct braid_graph *graph = small_graph();
  struct braid_profile *profile = NULL, *again = NULL;
  char *text = NULL;
  if (braid_profile_from_json((const char *)data, size, graph, &profile) != BRAID_OK) return 0;
  if (profile->n_nodes != braid_graph_size(graph) || profile->threads < 1) __builtin_trap();
  for (int v = 0; v < profile->n_nodes; v++)
    if (profile->node_ns[v] < 0 || profile->node_ns[v] > INT64_C(10000000000000) || profile->slice_ns[v] < 0 ||
        profile->slice_ns[v] > INT64_C(10000000000000))
      __builtin_trap();
  if (braid_profile_to_json(profile, &text) != BRAID_OK ||
      braid_profile_from_json(text, strlen(text), graph, &again) != BRAID_OK ||
      strcmp(profile->machine, again->machine) != 0)
    __builtin_trap();
  for (int v = 0; v < profile->n_nodes; v++) {
    int64_t error = profile->node_ns[v] - again->node_ns[v];
    int64_t slice_error = profile->slice_ns[v] - again->slice_ns[v];
    if (error < -1 || error > 1 || slice_error < -1 || slice_error > 1) __builtin_trap();
  }
  braid_free(text);
  braid_profile_destroy(&profile);
  braid_profile_destroy(&again);
  return 0;
}
