/* SPDX-License-Identifier: Apache-2.0
 * Looks in a timeline for the thing that Braid is about: one branch computed on the edge while another is on the wire and
 * a third runs in the cloud. */
#include "demo.h"

#include <stdlib.h>

enum place { ON_EDGE, ON_WIRE, IN_CLOUD, STAGES };

/* A span begins or ends. */
struct change {
  int64_t ns;
  enum place stage;
  int branch; /* of the outermost block, numbered through; -1 for nodes in none, and where a span ends */
};

struct overlap {
  const struct braid_graph *graph;
  int *branch; /* [nodes] */
  struct change *change;
  int n;
};

static void number_branches(const struct braid_graph *graph, int *branch) {
  int n_blocks, number = 0;
  const struct braid_block *block = braid_graph_blocks(graph, &n_blocks);
  for (int id = 0; id < braid_graph_size(graph); id++) branch[id] = -1;
  for (int b = 0; b < n_blocks; b++)
    for (int i = 0; i < block[b].n_branches; i++, number++)
      for (int k = 0; k < block[b].branch[i].n_nodes; k++) branch[block[b].branch[i].node[k]] = number;
}

static void add_item(struct overlap *o, const struct timeline_item *item) {
  static const enum place place[] = {ON_EDGE, ON_WIRE, IN_CLOUD, STAGES};
  bool counts = item->kind == TIMELINE_RAN && place[item->where] != STAGES && item->node >= 0 &&
                item->node < braid_graph_size(o->graph);
  if (!counts) return;
  o->change[o->n++] = (struct change){item->begin_ns, place[item->where], o->branch[item->node]};
  o->change[o->n++] = (struct change){item->end_ns, place[item->where], -1};
}

/* At the same time, ends before begins. */
static int by_time(const void *a, const void *b) {
  const struct change *x = a, *y = b;
  if (x->ns != y->ns) return x->ns < y->ns ? -1 : 1;
  return (x->branch > y->branch) - (x->branch < y->branch);
}

static bool three_branches(const int branch[STAGES]) {
  return branch[0] >= 0 && branch[1] >= 0 && branch[2] >= 0 && branch[0] != branch[1] && branch[1] != branch[2] &&
         branch[0] != branch[2];
}

static double together_ms(struct overlap *o) {
  int branch[STAGES] = {-1, -1, -1};
  int64_t sum_ns = 0;
  qsort(o->change, (size_t)o->n, sizeof *o->change, by_time);
  for (int i = 0; i < o->n; i++) {
    if (i > 0 && three_branches(branch)) sum_ns += o->change[i].ns - o->change[i - 1].ns;
    branch[o->change[i].stage] = o->change[i].branch;
  }
  return cli_ms(sum_ns);
}

enum braid_status demo_three_at_once(const struct braid_graph *graph, const struct timeline *timeline, double *ms) {
  struct overlap o = {.graph = graph,
                      .branch = braid_malloc((size_t)braid_graph_size(graph) * sizeof(int)),
                      .change = braid_calloc(2 * (size_t)timeline->n_items + 1, sizeof(struct change))};
  enum braid_status status = o.branch && o.change ? BRAID_OK : braid_fail(BRAID_ENOMEM, "no memory for a timeline");
  if (status == BRAID_OK) {
    number_branches(graph, o.branch);
    for (int i = 0; i < timeline->n_items; i++) add_item(&o, &timeline->item[i]);
    *ms = timeline->n_frames > 0 ? together_ms(&o) / timeline->n_frames : 0;
  }
  braid_free(o.branch);
  braid_free(o.change);
  return status;
}
