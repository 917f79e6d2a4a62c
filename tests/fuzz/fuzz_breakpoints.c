/* SPDX-License-Identifier: Apache-2.0
 * Breakpoint tables from files: whatever is accepted answers for every rate with a closed set, and is the same table
 * after being written and read again. */
#include "braid/scheduler.h"
#include "fuzz.h"
#include "random_graph.h"

#include <math.h>
#include <string.h>

static const struct braid_graph *small_graph(void) {
  static struct braid_graph *graph;
  if (graph) return graph;
  graph = random_graph(5, 8, RANDOM_GRAPH_MULTI_OUTPUT);
  if (braid_graph_seal(graph, 0) != BRAID_OK) __builtin_trap();
  return graph;
}

static void look_up(const struct braid_breakpoints *bp, const struct braid_graph *graph) {
  static const double rates[] = {0, 1, 1e3, 1e6, 2.5e7, 1e9, 1e18};
  struct braid_goal goal = {0};
  struct braid_plan *plan = NULL;
  for (size_t i = 0; i < sizeof rates / sizeof *rates; i++) {
    int r = braid_breakpoints_find(bp, rates[i]), cut = braid_breakpoints_find_loaded(bp, rates[i], 2);
    if (r < 0 || r >= bp->n_ranges || cut < 0 || cut >= bp->n_cuts) __builtin_trap();
    if (bp->range[r].from_bits_per_s > rates[i] || !(bp->range[r].to_bits_per_s > rates[i])) __builtin_trap();
    if (braid_breakpoints_plan(bp, bp->range[r].cut, graph, &goal, &plan) != BRAID_OK ||
        braid_plan_check(plan, graph, true) != BRAID_OK)
      __builtin_trap();
    braid_plan_destroy(&plan);
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  const struct braid_graph *graph = small_graph();
  struct braid_breakpoints *bp = NULL, *again = NULL;
  char *text = NULL, *text_again = NULL;
  if (braid_breakpoints_from_json((const char *)data, size, graph, &bp) != BRAID_OK) return 0;
  look_up(bp, graph);
  if (braid_breakpoints_to_json(bp, graph, &text) != BRAID_OK ||
      braid_breakpoints_from_json(text, strlen(text), graph, &again) != BRAID_OK ||
      braid_breakpoints_to_json(again, graph, &text_again) != BRAID_OK || again->n_ranges != bp->n_ranges ||
      again->n_cuts != bp->n_cuts)
    __builtin_trap();
  look_up(again, graph);
  braid_free(text);
  braid_free(text_again);
  braid_breakpoints_destroy(&bp);
  braid_breakpoints_destroy(&again);
  return 0;
}
