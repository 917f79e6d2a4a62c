/* SPDX-License-Identifier: Apache-2.0
 *
 * The predicted timeline. The simulator reports spans in order of begin; we keep them all, then draw: one row for each
 * lane of each resource.
 */
#include "draw.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct spans {
  struct braid_span *span;
  int n, room;
  bool full; /* no memory for all of them */
};

static void keep(void *ctx, const struct braid_span *span) {
  struct spans *s = ctx;
  if (s->n == s->room && !s->full) {
    int room = s->room ? 2 * s->room : 1024;
    struct braid_span *grown = braid_realloc(s->span, (size_t)room * sizeof *grown);
    if (grown)
      s->span = grown, s->room = room;
    else
      s->full = true;
  }
  if (!s->full) s->span[s->n++] = *span;
}

static enum braid_status simulate(const struct braid_graph *graph, const struct braid_plan *plan,
                                  const struct braid_costs *costs, int frames, struct spans *out) {
  struct braid_sim_opts opts = {.frames = frames, .window = frames > 1 ? plan->window : 1, .span = keep, .ctx = out};
  struct braid_sim_result result;
  BRAID_TRY(braid_simulate(plan, graph, costs, &opts, &result));
  return out->full ? braid_fail(BRAID_ENOMEM, "no memory for the timeline") : BRAID_OK;
}

/* ------------------------------------------------------------------------------------------------- rows */

static const char *const resource_name[] = {"edge", "uplink", "cloud", "downlink"};

enum { LANES_MAX = 64 };
struct rows {
  int lanes[4], first[4], n;
};

static struct rows rows_of(const struct spans *s) {
  struct rows r = {{0}, {0}, 0};
  for (int i = 0; i < s->n; i++) {
    int *lanes = &r.lanes[s->span[i].resource];
    if (s->span[i].lane >= *lanes && s->span[i].lane < LANES_MAX) *lanes = s->span[i].lane + 1;
  }
  for (int k = 0; k < 4; k++) {
    r.first[k] = r.n;
    r.n += r.lanes[k];
  }
  return r;
}

static const char *row_name(const struct rows *r, int k, int lane, char buf[32]) {
  if (r->lanes[k] > 1)
    snprintf(buf, 32, "%s %d", resource_name[k], lane);
  else
    snprintf(buf, 32, "%s", resource_name[k]);
  return buf;
}

/* -------------------------------------------------------------------------------------------------- SVG */

static const struct draw_site *const site_of[] = {&draw_edge, &draw_link, &draw_cloud, &draw_link};

static void fill_rows(const struct rows *r, struct draw_row *row) {
  for (int k = 0; k < 4; k++)
    for (int lane = 0; lane < r->lanes[k]; lane++) {
      struct draw_row *to = &row[r->first[k] + lane];
      to->site = site_of[k];
      row_name(r, k, lane, to->name);
    }
}

static int fill_boxes(const struct braid_graph *graph, const struct rows *r, const struct spans *s,
                      struct draw_box *box) {
  int n = 0;
  for (int i = 0; i < s->n; i++) {
    const struct braid_span *p = &s->span[i];
    if (p->lane < LANES_MAX)
      box[n++] = (struct draw_box){r->first[p->resource] + p->lane, braid_graph_branch_of(graph, p->node),
                                   braid_graph_node(graph, p->node)->name, p->node, p->frame, p->band, p->begin_ns,
                                   p->end_ns};
  }
  return n;
}

static enum braid_status draw_spans(const struct braid_graph *graph, const struct braid_plan *plan,
                                    const struct spans *s, const char *path) {
  struct rows r = rows_of(s);
  char title[160];
  struct draw_row *row = braid_calloc((size_t)r.n + 1, sizeof *row);
  struct draw_box *box = braid_calloc((size_t)s->n + 1, sizeof *box);
  enum braid_status status = row && box ? BRAID_OK : braid_fail(BRAID_ENOMEM, "no memory for a drawing");
  if (status == BRAID_OK) {
    fill_rows(&r, row);
    int n = fill_boxes(graph, &r, s, box);
    status = draw_boxes(
        &(struct draw_boxes){draw_title(graph, plan, title, sizeof title), r.n, row, n, box}, path);
  }
  braid_free(row);
  braid_free(box);
  return status;
}

enum braid_status draw_timeline(const struct braid_graph *graph, const struct braid_plan *plan,
                                const struct braid_costs *costs, int frames, const char *path) {
  struct spans s = {0};
  enum braid_status status = simulate(graph, plan, costs, frames, &s);
  if (status == BRAID_OK) status = draw_spans(graph, plan, &s, path);
  braid_free(s.span);
  return status;
}

/* ------------------------------------------------------------------------------------------------ trace */

static enum braid_status trace_spans(const struct braid_graph *graph, const struct spans *s,
                                     struct braid_trace *trace) {
  struct rows r = rows_of(s);
  int *lane = braid_calloc((size_t)r.n + 1, sizeof *lane);
  char(*name)[32] = braid_calloc((size_t)r.n + 1, sizeof *name);
  enum braid_status status = lane && name ? BRAID_OK : braid_fail(BRAID_ENOMEM, "no memory for the trace");
  for (int k = 0; k < 4 && status == BRAID_OK; k++)
    for (int i = 0; i < r.lanes[k]; i++) {
      int row = r.first[k] + i;
      lane[row] = braid_trace_lane(trace, row_name(&r, k, i, name[row]));
    }
  for (int i = 0; i < s->n && status == BRAID_OK; i++) {
    const struct braid_span *p = &s->span[i];
    if (p->lane >= LANES_MAX) continue;
    braid_trace_span(trace, lane[r.first[p->resource] + p->lane], braid_graph_node(graph, p->node)->name,
                     (uint64_t)p->frame, p->node, p->band, p->begin_ns, p->end_ns);
  }
  braid_free(lane);
  braid_free(name);
  return status;
}

enum braid_status draw_trace(const struct braid_graph *graph, const struct braid_plan *plan,
                             const struct braid_costs *costs, int frames, const char *path) {
  struct spans s = {0};
  struct braid_trace *trace = NULL;
  enum braid_status status = simulate(graph, plan, costs, frames, &s);
  if (status == BRAID_OK) status = braid_trace_create("predicted", (size_t)s.n + 1, &trace);
  if (status == BRAID_OK) status = trace_spans(graph, &s, trace);
  if (status == BRAID_OK) status = braid_trace_write(trace, path);
  braid_trace_destroy(&trace);
  braid_free(s.span);
  return status;
}
