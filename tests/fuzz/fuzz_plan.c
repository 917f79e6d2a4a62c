/* SPDX-License-Identifier: Apache-2.0
 * Plans from files and peers: whatever is accepted passes the check, can be simulated, and is the same plan after being
 * written and read again. */
#include "braid/scheduler.h"
#include "fuzz.h"
#include "random_graph.h"

#include <string.h>

static const struct braid_graph *small_graph(void) {
  static struct braid_graph *graph;
  if (graph) return graph;
  graph = random_graph(5, 8, RANDOM_GRAPH_MULTI_OUTPUT);
  if (braid_graph_seal(graph, 0) != BRAID_OK) __builtin_trap();
  return graph;
}

static void simulate(const struct braid_plan *plan, const struct braid_graph *graph) {
  static int64_t ns[256];
  if (plan->n_nodes > 256) __builtin_trap();
  struct braid_link_cost link = {1e9, 1000, 100};
  struct braid_costs costs = {plan->n_nodes, ns, ns, 2, 2, 10, 10, link, link, NULL, 0};
  struct braid_sim_result result;
  if (braid_simulate(plan, graph, &costs, &(struct braid_sim_opts){.frames = 2, .window = 2}, &result) != BRAID_OK)
    __builtin_trap();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  const struct braid_graph *graph = small_graph();
  struct braid_plan *plan = NULL, *again = NULL;
  char *text = NULL, *text_again = NULL;
  if (braid_plan_from_json((const char *)data, size, graph, &plan) != BRAID_OK) return 0;
  if (braid_plan_check(plan, graph, false) != BRAID_OK) __builtin_trap();
  simulate(plan, graph);
  if (braid_plan_to_json(plan, graph, NULL, -1, &text) != BRAID_OK ||
      braid_plan_from_json(text, strlen(text), graph, &again) != BRAID_OK ||
      braid_plan_to_json(again, graph, NULL, -1, &text_again) != BRAID_OK || strcmp(text, text_again) != 0)
    __builtin_trap();
  braid_free(text);
  braid_free(text_again);
  braid_plan_destroy(&plan);
  braid_plan_destroy(&again);
  return 0;
}
