/* SPDX-License-Identifier: Apache-2.0
 * Ranges of tensors, by running a copy of the graph all of whose tensors are outputs. */
#include "braid/runtime.h"
#include "exec/value_histogram.h"

#include <math.h>
#include <string.h>

struct braid_calibration {
  const struct braid_graph *graph;
  struct braid_graph *exposed;
  struct braid_program *program;
  struct braid_calibration_opts opts;
  int n;
  struct braid_tensor *seen; /* [n] outputs of the program */
  int *node;                 /* [n] of the caller's graph */
  /* One a node of that: */
  struct braid_range *seen_range, *range; /* least and greatest value; what is made of it */
  struct value_histogram *histogram;      /* NULL: by the least and greatest value alone */
};

static enum braid_status no_memory(const struct braid_graph *graph) {
  return braid_fail(BRAID_ENOMEM, "no memory to calibrate %s", braid_graph_name(graph));
}

static enum braid_status open_outputs(struct braid_calibration *c) {
  int n, nodes = braid_graph_size(c->graph);
  const int *id = braid_graph_outputs(c->exposed, &n);
  c->seen = braid_calloc((size_t)n, sizeof *c->seen);
  c->node = braid_calloc((size_t)n, sizeof *c->node);
  c->seen_range = braid_malloc((size_t)nodes * sizeof *c->seen_range);
  c->range = braid_malloc((size_t)nodes * sizeof *c->range);
  bool counts = c->opts.method != BRAID_CALIBRATE_MINMAX;
  if (counts) c->histogram = braid_calloc((size_t)nodes, sizeof *c->histogram);
  if (!c->seen || !c->node || !c->seen_range || !c->range || (counts && !c->histogram)) return no_memory(c->graph);
  for (int i = 0; i < nodes; i++) c->seen_range[i] = (struct braid_range){INFINITY, -INFINITY};
  for (; c->n < n; c->n++) {
    const struct braid_node *node = braid_graph_node(c->exposed, id[c->n]);
    void *data = braid_alloc_aligned(node->bytes ? node->bytes : 1);
    if (!data) return no_memory(c->graph);
    c->seen[c->n] = (struct braid_tensor){data, node->dtype, node->shape};
    c->node[c->n] = braid_graph_find(c->graph, node->name);
  }
  return BRAID_OK;
}

static enum braid_status open_all(struct braid_calibration *c, struct braid_pool *pool) {
  struct braid_program_opts opts = {.here = BRAID_EDGE, .frames = 1, .cpu_flags = c->opts.cpu_flags};
  BRAID_TRY(braid_graph_expose(c->graph, &c->exposed));
  BRAID_TRY(open_outputs(c));
  return braid_program_create(pool, c->exposed, NULL, &opts, &c->program);
}

static enum braid_status check_opts(const struct braid_calibration_opts *opts) {
  if (opts->method != BRAID_CALIBRATE_PERCENTILE || (opts->percentile > 0 && opts->percentile <= 100)) return BRAID_OK;
  return braid_fail(BRAID_EINVAL, "percentile %g is not above 0 and up to 100", opts->percentile);
}

enum braid_status braid_calibration_create(struct braid_pool *pool, const struct braid_graph *graph,
                                           const struct braid_calibration_opts *opts, struct braid_calibration **out) {
  BRAID_TRY(check_opts(opts));
  struct braid_calibration *c = braid_calloc(1, sizeof *c);
  if (!c) return no_memory(graph);
  c->graph = graph;
  c->opts = *opts;
  enum braid_status status = open_all(c, pool);
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

static void count(struct value_histogram *histogram, const struct braid_tensor *t) {
  value_histogram_add(histogram, t->data, braid_shape_elements(&t->shape));
}

enum braid_status braid_calibration_observe(struct braid_calibration *c, const struct braid_tensor *in, int n_in) {
  BRAID_TRY(braid_program_run(c->program, in, n_in, c->seen, c->n));
  for (int i = 0; i < c->n; i++) {
    if (c->node[i] < 0 || c->seen[i].dtype != BRAID_F32) continue;
    widen(&c->seen_range[c->node[i]], &c->seen[i]);
    if (c->histogram) count(&c->histogram[c->node[i]], &c->seen[i]);
  }
  return BRAID_OK;
}

/* A range that is not finite, or not known, stays so: nothing becomes bytes by it. */
static struct braid_range choose(const struct braid_calibration *c, int id) {
  struct braid_range seen = c->seen_range[id];
  if (!c->histogram || !(seen.low <= seen.high) || !isfinite(seen.low) || !isfinite(seen.high)) return seen;
  if (c->opts.method == BRAID_CALIBRATE_ENTROPY) return value_histogram_entropy(&c->histogram[id], seen);
  return value_histogram_percentile(&c->histogram[id], seen, c->opts.percentile);
}

const struct braid_range *braid_calibration_ranges(struct braid_calibration *c) {
  for (int id = 0; id < braid_graph_size(c->graph); id++) c->range[id] = choose(c, id);
  return c->range;
}

static const char *const method_names[] = {
    [BRAID_CALIBRATE_MINMAX] = "minmax",
    [BRAID_CALIBRATE_PERCENTILE] = "percentile",
    [BRAID_CALIBRATE_ENTROPY] = "entropy"};

bool braid_calibration_find(const char *name, enum braid_calibration_method *out) {
  for (int i = 0; i < 3; i++)
    if (strcmp(method_names[i], name) == 0) {
      *out = (enum braid_calibration_method)i;
      return true;
    }
  return false;
}

void braid_calibration_destroy(struct braid_calibration **calibration) {
  struct braid_calibration *c = *calibration;
  if (!c) return;
  braid_program_destroy(&c->program);
  braid_graph_destroy(&c->exposed);
  for (int i = 0; i < c->n; i++) braid_free(c->seen[i].data);
  braid_free(c->seen);
  braid_free(c->node);
  braid_free(c->seen_range);
  braid_free(c->range);
  braid_free(c->histogram);
  braid_free(c);
  *calibration = NULL;
}
