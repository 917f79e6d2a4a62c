/* SPDX-License-Identifier: Apache-2.0
 * One frame of the joined timeline as a picture: for every worker and way of the link what ran, and below it what was
 * expected. */
#include "draw.h"
#include "timeline.h"

#include <stdio.h>
#include <stdlib.h>

enum { LANES_MAX = 64 };

/* Every lane has a row of each kind that it has something of. */
struct rows {
  bool used[4][LANES_MAX][2];
  int number[4][LANES_MAX][2];
  int n;
};

static int by_latency(const void *a, const void *b) {
  const struct timeline_frame *const *x = a, *const *y = b;
  int64_t p = (*x)->end_ns - (*x)->begin_ns, q = (*y)->end_ns - (*y)->begin_ns;
  return (p > q) - (p < q);
}

static enum braid_status find_median(const struct timeline *t, const struct timeline_frame **out) {
  const struct timeline_frame **whole = braid_calloc((size_t)t->n_frames + 1, sizeof *whole);
  int n = 0;
  if (!whole) return braid_fail(BRAID_ENOMEM, "no memory for %d frames", t->n_frames);
  for (int i = 0; i < t->n_frames; i++)
    if (t->frame[i].whole) whole[n++] = &t->frame[i];
  if (n > 0) qsort(whole, (size_t)n, sizeof *whole, by_latency);
  if (n > 0) *out = whole[n / 2];
  braid_free(whole);
  return n > 0 ? BRAID_OK : braid_fail(BRAID_ENOTFOUND, "no frame can be seen whole");
}

static bool is_drawn(const struct timeline_item *item, const struct timeline_frame *frame) {
  return item->frame == frame->name && item->lane < LANES_MAX;
}

static int kind_of(const struct timeline_item *item) {
  return item->kind == TIMELINE_PLANNED;
}

static void number_rows(struct rows *r) {
  static const enum braid_resource order[] = {BRAID_RES_EDGE, BRAID_RES_UP, BRAID_RES_CLOUD, BRAID_RES_DOWN};
  for (int i = 0; i < 4; i++)
    for (int lane = 0; lane < LANES_MAX; lane++)
      for (int kind = 0; kind < 2; kind++)
        if (r->used[order[i]][lane][kind]) r->number[order[i]][lane][kind] = r->n++;
}

static void name_rows(const struct rows *r, struct draw_row *row) {
  static const struct draw_site *const site[] = {&draw_edge, &draw_link, &draw_cloud, &draw_link};
  for (int k = 0; k < 4; k++)
    for (int lane = 0; lane < LANES_MAX; lane++)
      for (int kind = 0; kind < 2; kind++) {
        if (!r->used[k][lane][kind]) continue;
        struct draw_row *to = &row[r->number[k][lane][kind]];
        bool numbered = k == BRAID_RES_EDGE || k == BRAID_RES_CLOUD;
        to->site = site[k];
        if (kind == 1)
          snprintf(to->name, sizeof to->name, "planned");
        else if (numbered)
          snprintf(to->name, sizeof to->name, "%s %d", timeline_resource[k], lane);
        else
          snprintf(to->name, sizeof to->name, "%s", timeline_resource[k]);
      }
}

static enum braid_status draw(const struct timeline *t, const struct timeline_frame *frame, const struct rows *r,
                              struct draw_box *box, const char *path) {
  struct draw_row row[4 * LANES_MAX * 2];
  char title[160];
  int n = 0;
  name_rows(r, row);
  for (int i = 0; i < t->n_items; i++) {
    const struct timeline_item *item = &t->item[i];
    if (is_drawn(item, frame))
      box[n++] = (struct draw_box){r->number[item->where][item->lane][kind_of(item)],
                                   item->branch,
                                   item->name,
                                   item->node,
                                   (int)frame->name,
                                   item->band,
                                   item->begin_ns - frame->begin_ns,
                                   item->end_ns - frame->begin_ns};
  }
  snprintf(title, sizeof title, "frame %llu by %s: %.1f ms planned, %.1f ms measured", (unsigned long long)frame->name,
           frame->plan->policy, (double)frame->plan->latency_ns / 1e6, (double)(frame->end_ns - frame->begin_ns) / 1e6);
  return draw_boxes(&(struct draw_boxes){title, r->n, row, n, box}, path);
}

enum braid_status timeline_draw(const struct timeline *t, const char *path) {
  const struct timeline_frame *frame = NULL;
  struct rows r = {.n = 0};
  BRAID_TRY(find_median(t, &frame));
  for (int i = 0; i < t->n_items; i++)
    if (is_drawn(&t->item[i], frame)) r.used[t->item[i].where][t->item[i].lane][kind_of(&t->item[i])] = true;
  number_rows(&r);
  struct draw_box *box = braid_calloc((size_t)t->n_items + 1, sizeof *box);
  if (!box) return braid_fail(BRAID_ENOMEM, "no memory for a drawing");
  enum braid_status status = draw(t, frame, &r, box, path);
  braid_free(box);
  return status;
}
