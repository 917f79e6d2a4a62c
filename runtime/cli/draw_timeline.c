/* SPDX-License-Identifier: Apache-2.0
 *
 * The predicted timeline. The simulator reports spans in order of begin; we keep them all, then draw: one row for each
 * lane of each resource, time from left to right.
 */
#include "draw.h"

#include <errno.h>
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

static int64_t end_of(const struct spans *s) {
  int64_t end = 1;
  for (int i = 0; i < s->n; i++)
    if (s->span[i].end_ns > end) end = s->span[i].end_ns;
  return end;
}

static const char *row_name(const struct rows *r, int k, int lane, char buf[32]) {
  if (r->lanes[k] > 1)
    snprintf(buf, 32, "%s %d", resource_name[k], lane);
  else
    snprintf(buf, 32, "%s", resource_name[k]);
  return buf;
}

/* -------------------------------------------------------------------------------------------------- SVG */

enum { LEFT = 90, TOP = 52, ROW = 38, BAR = 30, WIDTH = 1200, LETTER = 6, LEGEND = 26 };

static void xml_text(FILE *out, const char *text) {
  for (; *text; text++) switch (*text) {
    case '<':
      fputs("&lt;", out);
      break;
    case '>':
      fputs("&gt;", out);
      break;
    case '&':
      fputs("&amp;", out);
      break;
    case '"':
      fputs("&quot;", out);
      break;
    default:
      fputc(*text, out);
    }
}

/* 1, 2 or 5 times a power of ten, about a tenth of the whole. */
static double tick_of(double span_ms) {
  double tick = 1e-6;
  while (tick * 10 < span_ms / 10) tick *= 10;
  if (tick * 5 < span_ms / 8) return tick * 5;
  return tick * 2 < span_ms / 8 ? tick * 2 : tick;
}

static void svg_axis(FILE *out, double end_ms, int n_rows) {
  double tick = tick_of(end_ms);
  int bottom = TOP + n_rows * ROW;
  for (int i = 0; i * tick <= end_ms; i++) {
    double x = LEFT + i * tick / end_ms * WIDTH;
    fprintf(out, "<line x1='%.1f' y1='%d' x2='%.1f' y2='%d' stroke='#ccc'/>\n", x, TOP - 4, x, bottom);
    fprintf(out, "<text x='%.1f' y='%d' text-anchor='middle' fill='#555'>%g ms</text>\n", x, TOP - 8, i * tick);
  }
}

static void svg_span(FILE *out, const struct braid_graph *graph, const struct rows *r, const struct braid_span *s,
                     int64_t end_ns) {
  double x = LEFT + (double)s->begin_ns / (double)end_ns * WIDTH;
  double w = (double)(s->end_ns - s->begin_ns) / (double)end_ns * WIDTH;
  int y = TOP + (r->first[s->resource] + s->lane) * ROW + (ROW - BAR) / 2;
  const struct braid_node *node = braid_graph_node(graph, s->node);
  /* An outline on something narrow would be all there is to see of it. */
  fprintf(out, "<rect x='%.2f' y='%d' width='%.2f' height='%d' fill='%s' stroke='#555' stroke-width='%s'><title>", x, y,
          w > 0.3 ? w : 0.3, BAR, draw_colour(braid_graph_branch_of(graph, s->node)), w > 3 ? "0.5" : "0");
  xml_text(out, node->name);
  fprintf(out, " (node %d, rows %d-%d, frame %d) %.3f-%.3f ms</title></rect>\n", s->node, s->band.begin, s->band.end,
          s->frame, (double)s->begin_ns / 1e6, (double)s->end_ns / 1e6);
  int letters = (int)(w / LETTER) - 1;
  if (letters < 5) return;
  char name[128];
  snprintf(name, sizeof name, "%.*s", letters < (int)sizeof name ? letters : (int)sizeof name - 1, node->name);
  fprintf(out, "<text x='%.1f' y='%d' font-size='10'>", x + 3, y + BAR / 2 + 4);
  xml_text(out, name);
  fputs("</text>\n", out);
}

/* The name of a row, on the colour of its site. */
static void svg_row(FILE *out, const struct rows *r, int k, int lane) {
  static const struct draw_site *const site[] = {&draw_edge, &draw_link, &draw_cloud, &draw_link};
  char name[32];
  int y = TOP + (r->first[k] + lane) * ROW;
  fprintf(out, "<rect x='0' y='%d' width='%d' height='%d' fill='%s' fill-opacity='0.6'/>\n", y + 1, LEFT + WIDTH + 30,
          ROW - 2, site[k]->light);
  fprintf(out, "<text x='8' y='%d' font-size='13' font-weight='bold' fill='%s'>%s</text>\n", y + ROW / 2 + 4,
          site[k]->strong, row_name(r, k, lane, name));
}

static void svg_all(FILE *out, const struct braid_graph *graph, const struct braid_plan *plan, const struct spans *s) {
  struct rows r = rows_of(s);
  int64_t end = end_of(s);
  int height = TOP + r.n * ROW + LEGEND;
  char title[160];
  fprintf(out,
          "<svg xmlns='http://www.w3.org/2000/svg' width='%d' height='%d' font-family='Helvetica,sans-serif' "
          "font-size='11'>\n<rect width='100%%' height='100%%' fill='white'/>\n<text x='8' y='20' font-size='16'>",
          LEFT + WIDTH + 30, height);
  xml_text(out, draw_title(graph, plan, title, sizeof title));
  fputs("</text>\n", out);
  for (int k = 0; k < 4; k++)
    for (int lane = 0; lane < r.lanes[k]; lane++) svg_row(out, &r, k, lane);
  svg_axis(out, (double)end / 1e6, r.n);
  for (int i = 0; i < s->n; i++)
    if (s->span[i].lane < LANES_MAX) svg_span(out, graph, &r, &s->span[i], end);
  fprintf(out,
          "<text x='8' y='%d' fill='#555'>who works when: one box for a node, or a slice of it, or a message; one "
          "colour for a branch, grey: in none</text>\n</svg>\n",
          height - 8);
}

enum braid_status draw_timeline(const struct braid_graph *graph, const struct braid_plan *plan,
                                const struct braid_costs *costs, int frames, const char *path) {
  struct spans s = {0};
  enum braid_status status = simulate(graph, plan, costs, frames, &s);
  FILE *out = status == BRAID_OK ? fopen(path, "w") : NULL;
  if (status == BRAID_OK && !out) status = braid_fail(BRAID_EIO, "%s: %s", path, strerror(errno));
  if (out) {
    svg_all(out, graph, plan, &s);
    if (fclose(out) != 0) status = braid_fail(BRAID_EIO, "%s: %s", path, strerror(errno));
  }
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
