/* SPDX-License-Identifier: Apache-2.0
 * What the edge's trace holds beside what ran, so that it can be joined with a cloud's, and be held against what was
 * expected: for every connection its name in both traces and the offset of the cloud's clock; for every plan in force
 * what the simulator expects of one frame alone, under the costs that the plan was decided with; for every frame its
 * number on the wire. docs/timeline.md has the members. All of it is for people who look later: what cannot be noted is
 * left out. */
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "edge/edge.h"

/* Takes the object. */
static void note(const struct braid_edge *edge, const char *name, json_t *args) {
  char *text = args ? json_dumps(args, JSON_COMPACT) : NULL;
  if (text) braid_trace_note(edge->opts.trace, name, text);
  free(text);
  json_decref(args);
}

/* ------------------------------------------------------------------------------------------------ connections */

void edge_sight_name(const struct braid_edge *edge, struct line *line) {
  uint8_t bytes[(HELLO_TRACE_BYTES - 1) / 2];
  if (!edge->opts.trace || getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes) return;
  for (size_t i = 0; i < 2 * sizeof bytes; i++) line->id[i] = "0123456789abcdef"[bytes[i / 2] >> (i % 2 ? 0 : 4) & 15];
}

void edge_sight_line(const struct braid_edge *edge, const struct line *line) {
  struct braid_clock_offset clock;
  if (!line->id[0] || !braid_clock_filter_estimate(&line->clock, &clock)) return; /* it was never there */
  note(edge, "braid_session",
       json_pack("{s:s, s:s, s:s, s:I, s:I, s:I, s:f, s:I}", "id", line->id, "peer", line->address, "model",
                 edge->model, "exchanges", (json_int_t)line->clock.exchanges, "at_ns", (json_int_t)clock.at_ns,
                 "offset_ns", (json_int_t)clock.offset_ns, "drift", clock.drift, "uncertainty_ns",
                 (json_int_t)clock.uncertainty_ns));
}

/* ----------------------------------------------------------------------------------------------------- frames */

void edge_sight_frame(const struct braid_edge *edge, const struct flight *flight, const struct braid_answer *answer) {
  struct braid_trace_wire wire = {0, flight->stream->epoch, flight->number};
  braid_trace_frame(edge->opts.trace, flight->name, &wire, answer->submitted_ns, answer->answered_ns);
}

/* ------------------------------------------------------------------------------------------------------ costs */

struct sight_costs {
  struct braid_costs costs;
  int64_t ns[]; /* edge, cloud, and what slices add there: [n_nodes] each */
};

static const int64_t *keep(int64_t *to, const int64_t *from, size_t n) {
  if (from) memcpy(to, from, n * sizeof *to);
  return from ? to : NULL;
}

void edge_sight_costs(struct braid_edge *edge, const struct braid_costs *costs) {
  size_t n = (size_t)costs->n_nodes;
  if (!edge->opts.trace) return;
  edge_sight_end(edge);
  struct sight_costs *kept = braid_malloc(sizeof *kept + 4 * n * sizeof *kept->ns);
  if (!kept) return;
  kept->costs = *costs;
  kept->costs.edge_ns = keep(kept->ns, costs->edge_ns, n);
  kept->costs.cloud_ns = keep(kept->ns + n, costs->cloud_ns, n);
  kept->costs.edge_slice_ns = keep(kept->ns + 2 * n, costs->edge_slice_ns, n);
  kept->costs.cloud_slice_ns = keep(kept->ns + 3 * n, costs->cloud_slice_ns, n);
  kept->costs.wire_bytes = NULL; /* tensors travel as they are */
  edge->costs = kept;
}

void edge_sight_end(struct braid_edge *edge) {
  braid_free(edge->costs);
  edge->costs = NULL;
}

/* ------------------------------------------------------------------------------------------------------ plans */

static void add_span(void *ctx, const struct braid_span *s) {
  json_array_append_new(ctx, json_pack("[i, i, i, i, i, I, I]", (int)s->resource, s->lane, s->node, s->band.begin,
                                       s->band.end, (json_int_t)s->begin_ns, (json_int_t)s->end_ns));
}

static json_t *names_of(const struct braid_graph *graph) {
  json_t *names = json_array();
  for (int i = 0; i < braid_graph_size(graph); i++) {
    json_t *name = json_string(braid_graph_node(graph, i)->name);
    json_array_append_new(names, name ? name : json_string("")); /* no UTF-8 */
  }
  return names;
}

static json_t *branches_of(const struct braid_graph *graph) {
  json_t *branches = json_array();
  for (int i = 0; i < braid_graph_size(graph); i++)
    json_array_append_new(branches, json_integer(braid_graph_branch_of(graph, i)));
  return branches;
}

static void put_prediction(const struct braid_edge *edge, const struct braid_plan *plan,
                           const struct braid_costs *costs, json_t *args) {
  json_t *spans = json_array();
  struct braid_sim_opts opts = {.frames = 1, .window = 1, .span = add_span, .ctx = spans};
  struct braid_sim_result result;
  if (!spans || braid_simulate(plan, edge->graph, costs, &opts, &result) != BRAID_OK) {
    json_decref(spans);
    return;
  }
  json_object_set_new(args, "latency_ns", json_integer(result.first_latency_ns));
  json_object_set_new(args, "up_delay_ns", json_integer(costs->up.delay_ns));
  json_object_set_new(args, "down_delay_ns", json_integer(costs->down.delay_ns));
  json_object_set_new(args, "spans", spans);
}

static void note_part(const struct braid_edge *edge, const struct route *route, int i,
                      const struct braid_costs *costs) {
  const struct stream *stream = route->part[i].stream;
  char *text = NULL;
  if (braid_plan_to_json(stream->plan, edge->graph, NULL, -1, &text) != BRAID_OK) return;
  json_t *args = json_pack("{s:s, s:I, s:o, s:o, s:o}", "session", route->line->id, "epoch", (json_int_t)stream->epoch,
                           "plan", json_loads(text, 0, NULL), "names", names_of(edge->graph), "branches",
                           branches_of(edge->graph));
  braid_free(text);
  if (args && costs) put_prediction(edge, stream->plan, costs, args);
  note(edge, "braid_plan", args);
}

void edge_sight_route(struct braid_edge *edge, const struct route *route) {
  if (!edge->opts.trace || !route->line) return;
  struct braid_costs now;
  if (edge->adapt) now = braid_adapt_costs(edge->adapt);
  const struct braid_costs *costs = edge->adapt ? &now : edge->costs ? &edge->costs->costs : NULL;
  for (int i = 0; i < route->n_parts; i++) note_part(edge, route, i, costs);
}
