/* SPDX-License-Identifier: Apache-2.0
 * Ranges of tensors, by running a copy of the graph all of whose tensors are outputs. */
#include "braid/runtime.h"

#include <math.h>

struct braid_calibration {
  const struct braid_graph *graph;
  struct braid_graph *exposed;
  struct braid_program *program;
  int n;
  struct braid_tensor *seen; /* [n] outputs of the program */
  int *node;                 /* [n] of the caller's graph */
  struct braid_range *range; /* one a node of that */
};

static enum braid_status no_memory(const struct braid_graph *graph) {
  return braid_fail(BRAID_ENOMEM, "no memory to calibrate %s", braid_graph_name(graph));
}

static enum braid_status open_outputs(struct braid_calibration *c) {
  int n, nodes = braid_graph_size(c->graph);
  const int *id = braid_graph_outputs(c->exposed, &n);
  c->seen = braid_calloc((size_t)n, sizeof *c->seen);
  c->node = braid_calloc((size_t)n, sizeof *c->node);
  c->range = braid_malloc((size_t)nodes * sizeof *c->range);
  if (!c->seen || !c->node || !c->range) return no_memory(c->graph);
  for (int i = 0; i < nodes; i++) c->range[i] = (struct braid_range){INFINITY, -INFINITY};
  for (; c->n < n; c->n++) {
    const struct braid_node *node = braid_graph_node(c->exposed, id[c->n]);
    void *data = braid_alloc_aligned(node->bytes ? node->bytes : 1);
    if (!data) return no_memory(c->graph);
    c->seen[c->n] = (struct braid_tensor){data, node->dtype, node->shape};
    c->node[c->n] = braid_graph_find(c->graph, node->name);
  }
  return BRAID_OK;
}

static enum braid_status open_all(struct braid_calibration *c, struct braid_pool *pool, uint32_t cpu_flags) {
  struct braid_program_opts opts = {.here = BRAID_EDGE, .frames = 1, .cpu_flags = cpu_flags};
  BRAID_TRY(braid_graph_expose(c->graph, &c->exposed));
  BRAID_TRY(open_outputs(c));
  return braid_program_create(pool, c->exposed, NULL, &opts, &c->program);
}

enum braid_status braid_calibration_create(struct braid_pool *pool, const struct braid_graph *graph, uint32_t cpu_flags,
                                           struct braid_calibration **out) {
  struct braid_calibration *c = braid_calloc(1, sizeof *c);
  if (!c) return no_memory(graph);
  c->graph = graph;
  enum braid_status status = open_all(c, pool, cpu_flags);
  if (status != BRAID_OK)
    braid_calibration_destroy(&c);
  else
    *out = c;
  return status;
}

/* Values that are no numbers say nothing of a range. */
static void widen(struct braid_range *range, const struct braid_tensor *t) {
  const float *x = t->data;
  for (int64_t i = 0, n = braid_shape_elements(&t->shape); i < n; i++) {
    if (x[i] < range->low) range->low = x[i];
    if (x[i] > range->high) range->high = x[i];
  }
}

enum braid_status braid_calibration_observe(struct braid_calibration *c, const struct braid_tensor *in, int n_in) {
  BRAID_TRY(braid_program_run(c->program, in, n_in, c->seen, c->n));
  for (int i = 0; i < c->n; i++)
    if (c->node[i] >= 0 && c->seen[i].dtype == BRAID_F32) widen(&c->range[c->node[i]], &c->seen[i]);
  return BRAID_OK;
}

const struct braid_range *braid_calibration_ranges(const struct braid_calibration *c) { return c->range; }

void braid_calibration_destroy(struct braid_calibration **calibration) {
  struct braid_calibration *c = *calibration;
  if (!c) return;
  braid_program_destroy(&c->program);
  braid_graph_destroy(&c->exposed);
  for (int i = 0; i < c->n; i++) braid_free(c->seen[i].data);
  braid_free(c->seen);
  braid_free(c->node);
  braid_free(c->range);
  braid_free(c);
  *calibration = NULL;
}
