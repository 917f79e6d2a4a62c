/* SPDX-License-Identifier: Apache-2.0
 * Who works when, as SVG: rows, and boxes on them from left to right. */
#include "draw.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

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

static void svg_box(FILE *out, const struct draw_box *b, int64_t end_ns) {
  double x = LEFT + (double)b->begin_ns / (double)end_ns * WIDTH;
  double w = (double)(b->end_ns - b->begin_ns) / (double)end_ns * WIDTH;
  int y = TOP + b->row * ROW + (ROW - BAR) / 2;
  /* An outline on something narrow would be all there is to see of it. */
  fprintf(out, "<rect x='%.2f' y='%d' width='%.2f' height='%d' fill='%s' stroke='#555' stroke-width='%s'><title>", x, y,
          w > 0.3 ? w : 0.3, BAR, draw_colour(b->branch), w > 3 ? "0.5" : "0");
  xml_text(out, b->name);
  fprintf(out, " (node %d, rows %d-%d, frame %d) %.3f-%.3f ms</title></rect>\n", b->node, b->band.begin, b->band.end,
          b->frame, (double)b->begin_ns / 1e6, (double)b->end_ns / 1e6);
  int letters = (int)(w / LETTER) - 1;
  if (letters < 5) return;
  char name[128];
  snprintf(name, sizeof name, "%.*s", letters < (int)sizeof name ? letters : (int)sizeof name - 1, b->name);
  fprintf(out, "<text x='%.1f' y='%d' font-size='10'>", x + 3, y + BAR / 2 + 4);
  xml_text(out, name);
  fputs("</text>\n", out);
}

/* The name of a row, on the colour of its site. */
static void svg_row(FILE *out, const struct draw_row *row, int i) {
  int y = TOP + i * ROW;
  fprintf(out, "<rect x='0' y='%d' width='%d' height='%d' fill='%s' fill-opacity='0.6'/>\n", y + 1, LEFT + WIDTH + 30,
          ROW - 2, row->site->light);
  fprintf(out, "<text x='8' y='%d' font-size='13' font-weight='bold' fill='%s'>%s</text>\n", y + ROW / 2 + 4,
          row->site->strong, row->name);
}

static void svg_all(FILE *out, const struct draw_boxes *d) {
  int64_t end_ns = 1;
  int height = TOP + d->n_rows * ROW + LEGEND;
  for (int i = 0; i < d->n; i++)
    if (d->box[i].end_ns > end_ns) end_ns = d->box[i].end_ns;
  fprintf(out,
          "<svg xmlns='http://www.w3.org/2000/svg' width='%d' height='%d' font-family='Helvetica,sans-serif' "
          "font-size='11'>\n<rect width='100%%' height='100%%' fill='white'/>\n<text x='8' y='20' font-size='16'>",
          LEFT + WIDTH + 30, height);
  xml_text(out, d->title);
  fputs("</text>\n", out);
  for (int i = 0; i < d->n_rows; i++) svg_row(out, &d->row[i], i);
  svg_axis(out, (double)end_ns / 1e6, d->n_rows);
  for (int i = 0; i < d->n; i++) svg_box(out, &d->box[i], end_ns);
  fprintf(out,
          "<text x='8' y='%d' fill='#555'>who works when: one box for a node, or a slice of it, or a message; one "
          "colour for a branch, grey: in none</text>\n</svg>\n",
          height - 8);
}

enum braid_status draw_boxes(const struct draw_boxes *boxes, const char *path) {
  FILE *out = fopen(path, "w");
  if (!out) return braid_fail(BRAID_EIO, "%s: %s", path, strerror(errno));
  svg_all(out, boxes);
  return fclose(out) == 0 ? BRAID_OK : braid_fail(BRAID_EIO, "%s: %s", path, strerror(errno));
}
