/* SPDX-License-Identifier: Apache-2.0
 * Reads a merged trace for the thing that Braid is about: one branch computed on the edge while another is on the wire and
 * a third runs in the cloud. */
#include "demo.h"

#include <stdlib.h>
#include <string.h>

enum place { ON_EDGE, ON_WIRE, IN_CLOUD, STAGES };

/* A span begins or ends. */
struct change {
  double ts_us;
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

static const char *lane_name(const json_t *events, const json_t *of) {
  size_t i;
  json_t *event;
  json_array_foreach(events, i, event) {
    const char *name = json_string_value(json_object_get(event, "name"));
    if (name && strcmp(name, "thread_name") == 0 &&
        json_equal(json_object_get(event, "pid"), json_object_get(of, "pid")) &&
        json_equal(json_object_get(event, "tid"), json_object_get(of, "tid")))
      return json_string_value(json_object_get(json_object_get(event, "args"), "name"));
  }
  return NULL;
}

static bool stage_of(const char *lane, enum place *stage) {
  if (!lane) return false;
  if (strncmp(lane, "edge-w", 6) == 0)
    *stage = ON_EDGE;
  else if (strcmp(lane, "uplink") == 0)
    *stage = ON_WIRE;
  else if (strncmp(lane, "cloud-w", 7) == 0)
    *stage = IN_CLOUD;
  else
    return false;
  return true;
}

static void add_span(struct overlap *o, const json_t *events, const json_t *event) {
  enum place stage;
  if (!json_object_get(event, "dur") || !stage_of(lane_name(events, event), &stage)) return;
  json_int_t node = json_integer_value(json_object_get(json_object_get(event, "args"), "node"));
  if (node < 0 || node >= braid_graph_size(o->graph)) return;
  double begin_us = json_number_value(json_object_get(event, "ts"));
  double end_us = begin_us + json_number_value(json_object_get(event, "dur"));
  o->change[o->n++] = (struct change){begin_us, stage, o->branch[node]};
  o->change[o->n++] = (struct change){end_us, stage, -1};
}

/* At the same time, ends before begins. */
static int by_time(const void *a, const void *b) {
  const struct change *x = a, *y = b;
  if (x->ts_us != y->ts_us) return x->ts_us < y->ts_us ? -1 : 1;
  return (x->branch > y->branch) - (x->branch < y->branch);
}

static bool three_branches(const int branch[STAGES]) {
  return branch[0] >= 0 && branch[1] >= 0 && branch[2] >= 0 && branch[0] != branch[1] && branch[1] != branch[2] &&
         branch[0] != branch[2];
}

static double together_us(struct overlap *o) {
  int branch[STAGES] = {-1, -1, -1};
  double sum_us = 0;
  qsort(o->change, (size_t)o->n, sizeof *o->change, by_time);
  for (int i = 0; i < o->n; i++) {
    if (i > 0 && three_branches(branch)) sum_us += o->change[i].ts_us - o->change[i - 1].ts_us;
    branch[o->change[i].stage] = o->change[i].branch;
  }
  return sum_us;
}

enum braid_status demo_three_at_once(const struct braid_graph *graph, const char *merged, int frames, double *ms) {
  json_error_t why;
  json_t *events = json_load_file(merged, 0, &why);
  if (!json_is_array(events)) {
    json_decref(events);
    return braid_fail(BRAID_EFORMAT, "%s: %s", merged, why.text);
  }
  struct overlap o = {.graph = graph,
                      .branch = braid_malloc((size_t)braid_graph_size(graph) * sizeof(int)),
                      .change = braid_malloc(2 * json_array_size(events) * sizeof(struct change))};
  enum braid_status status = o.branch && o.change ? BRAID_OK : braid_fail(BRAID_ENOMEM, "no memory to read %s", merged);
  if (status == BRAID_OK) {
    size_t i;
    json_t *event;
    number_branches(graph, o.branch);
    json_array_foreach(events, i, event) add_span(&o, events, event);
    *ms = frames > 0 ? together_us(&o) / 1e3 / frames : 0;
  }
  braid_free(o.branch);
  braid_free(o.change);
  json_decref(events);
  return status;
}
