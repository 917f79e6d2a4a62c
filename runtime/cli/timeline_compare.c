/* SPDX-License-Identifier: Apache-2.0
 * What was expected of every node and every tensor against what came of it. */
#include "timeline.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct sums {
  int n_nodes;
  struct timeline_row *row; /* [4 * n_nodes] sums, in ms */
  uint64_t *last;           /* [4 * n_nodes] the frame that was counted last */
};

static int count_nodes(const struct timeline *t) {
  int n = 0;
  for (int i = 0; i < t->n_items; i++)
    if (t->item[i].node >= n) n = t->item[i].node + 1;
  return n;
}

static const struct timeline_frame *frame_of(const struct timeline *t, uint64_t name, int *at) {
  while (*at < t->n_frames && t->frame[*at].name < name) (*at)++;
  return *at < t->n_frames && t->frame[*at].name == name ? &t->frame[*at] : NULL;
}

/* Items are in order of frames, as frames are. */
static void add_items(const struct timeline *t, struct sums *s) {
  int at = 0;
  for (int i = 0; i < t->n_items; i++) {
    const struct timeline_item *item = &t->item[i];
    const struct timeline_frame *frame = frame_of(t, item->frame, &at);
    if (!frame || !frame->whole || item->node < 0) continue;
    int k = (int)item->where * s->n_nodes + item->node;
    struct timeline_row *row = &s->row[k];
    double ms = (double)(item->end_ns - item->begin_ns) / 1e6;
    row->where = item->where;
    row->node = item->node;
    row->name = item->name;
    *(item->kind == TIMELINE_PLANNED ? &row->planned_ms : &row->measured_ms) += ms;
    row->frames += s->last[k] != item->frame;
    s->last[k] = item->frame;
  }
}

static void add_latency(const struct timeline *t, struct timeline_summary *out) {
  double expected = 0, measured = 0;
  for (int i = 0; i < t->n_frames; i++) {
    const struct timeline_frame *f = &t->frame[i];
    if (!f->whole) continue;
    out->frames++;
    out->predicted = out->predicted || f->plan->predicted;
    expected += (double)f->plan->latency_ns / 1e6;
    measured += (double)(f->end_ns - f->begin_ns) / 1e6;
  }
  out->latency_planned_ms = out->frames ? expected / out->frames : 0;
  out->latency_measured_ms = out->frames ? measured / out->frames : 0;
}

static int by_difference(const void *a, const void *b) {
  const struct timeline_row *x = a, *y = b;
  double p = fabs(x->measured_ms - x->planned_ms), q = fabs(y->measured_ms - y->planned_ms);
  if (p > q || p < q) return p < q ? 1 : -1;
  if (x->where != y->where) return (int)x->where - (int)y->where;
  return x->node - y->node;
}

/* Sums become averages, and rows of nothing go. */
static void finish(struct sums *s, struct timeline_summary *out) {
  for (int k = 0; k < 4; k++) out->total[k].where = (enum braid_resource)k;
  for (int i = 0; i < 4 * s->n_nodes; i++) {
    struct timeline_row row = s->row[i];
    if (row.frames == 0) continue;
    struct timeline_row *total = &out->total[row.where];
    total->frames = out->frames;
    total->planned_ms += row.planned_ms / out->frames;
    total->measured_ms += row.measured_ms / out->frames;
    row.planned_ms /= row.frames;
    row.measured_ms /= row.frames;
    s->row[out->n_rows++] = row;
  }
  out->row = s->row;
  if (out->n_rows > 0) qsort(out->row, (size_t)out->n_rows, sizeof *out->row, by_difference);
}

enum braid_status timeline_compare(const struct timeline *t, struct timeline_summary *out) {
  struct sums s = {.n_nodes = count_nodes(t)};
  size_t n = 4 * (size_t)s.n_nodes + 1;
  *out = (struct timeline_summary){.frames = 0};
  s.row = braid_calloc(n, sizeof *s.row);
  s.last = braid_calloc(n, sizeof *s.last);
  enum braid_status status = s.row && s.last ? BRAID_OK : braid_fail(BRAID_ENOMEM, "no memory for %zu rows", n);
  if (status == BRAID_OK) {
    add_latency(t, out);
    add_items(t, &s);
    finish(&s, out);
    s.row = NULL;
  }
  braid_free(s.row);
  braid_free(s.last);
  return status;
}

void timeline_summary_free(struct timeline_summary *summary) {
  braid_free(summary->row);
  summary->row = NULL;
}
