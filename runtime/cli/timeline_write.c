/* SPDX-License-Identifier: Apache-2.0
 * The joined timeline as a Chrome trace: a process for the edge, for each way of the link and for the cloud; in each,
 * beside the row of what ran, one of what was expected. Times count from the first frame's submission. Frames in flight
 * at once are expected to use the same worker at the same time, since each is expected as if it were alone: those get
 * rows of their own. */
#include "timeline.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

enum { LANES = 256, BESIDE = 16, PLANNED = 1, OTHERS = BESIDE - 1 }; /* rows beside a lane, itself the first */

static const struct {
  const char *name, *lane;
  int pid;
} process[4] = {{"edge", "worker", 1}, {"link up", "wire", 2}, {"cloud", "worker", 4}, {"link down", "wire", 3}};

struct writer {
  FILE *file;
  bool any, failed;
  int64_t zero_ns;
  bool used[4][LANES][BESIDE];
  /* of expected rows, for the frame at hand: which one it takes; and until when each is taken */
  uint64_t frame[4][LANES];
  int beside[4][LANES];
  int64_t until_ns[4][LANES][BESIDE];
};

/* Takes the event. */
static void put(struct writer *w, json_t *event) {
  if (!event) w->failed = true;
  fputs(w->any ? ",\n" : "[\n", w->file);
  w->any = true;
  if (event && json_dumpf(event, w->file, JSON_COMPACT | JSON_REAL_PRECISION(15)) != 0) w->failed = true;
  json_decref(event);
}

static double us(const struct writer *w, int64_t ns) {
  return (double)(ns - w->zero_ns) / 1e3;
}

/* ---------------------------------------------------------------------------------------------------- items */

/* The first row that is free when the frame comes to this lane; its other items follow it there. The last takes what is
 * left. */
static int choose_beside(struct writer *w, const struct timeline_item *item, int lane) {
  int k = (int)item->where;
  if (item->kind == TIMELINE_RAN) return 0;
  if (item->kind == TIMELINE_OTHERS) return OTHERS;
  if (w->frame[k][lane] != item->frame) {
    int i = PLANNED;
    while (i < OTHERS - 1 && w->until_ns[k][lane][i] > item->begin_ns) i++;
    w->frame[k][lane] = item->frame;
    w->beside[k][lane] = i;
  }
  int i = w->beside[k][lane];
  if (w->until_ns[k][lane][i] < item->end_ns) w->until_ns[k][lane][i] = item->end_ns;
  return i;
}

static void put_item(struct writer *w, const struct timeline_item *item) {
  static const char *const category[] = {"ran", "planned", "others"};
  int lane = item->lane < LANES ? item->lane : LANES - 1, k = (int)item->where, beside = choose_beside(w, item, lane);
  char rows[32];
  snprintf(rows, sizeof rows, "%d-%d", item->band.begin, item->band.end);
  json_t *args = json_pack("{s:I, s:i, s:s}", "frame", (json_int_t)item->frame, "node", item->node, "rows", rows);
  if (args && item->kind == TIMELINE_RAN && (item->where == BRAID_RES_UP || item->where == BRAID_RES_DOWN)) {
    json_object_set_new(args, "sent_us", json_real(us(w, item->sent_ns)));
    json_object_set_new(args, "came_us", json_real(us(w, item->came_ns)));
  }
  w->used[k][lane][beside] = true;
  put(w, json_pack("{s:s, s:s, s:i, s:i, s:s, s:f, s:f, s:o}", "ph", "X", "cat", category[item->kind], "pid",
                   process[k].pid, "tid", 1 + lane * BESIDE + beside, "name", item->name, "ts", us(w, item->begin_ns),
                   "dur", (double)(item->end_ns - item->begin_ns) / 1e3, "args", args));
}

static void put_frame(struct writer *w, const struct timeline_frame *f) {
  char id[32];
  snprintf(id, sizeof id, "%llu", (unsigned long long)f->name);
  for (int end = 0; end <= 1; end++)
    put(w,
        json_pack("{s:s, s:s, s:i, s:i, s:{s:s}, s:s, s:f, s:{s:I, s:i, s:b}}", "ph", end ? "e" : "b", "cat", "frame",
                  "pid", 1, "tid", 0, "id2", "local", id, "name", "frame", "ts", us(w, end ? f->end_ns : f->begin_ns),
                  "args", "frame", (json_int_t)f->name, "epoch", f->plan ? (int)f->plan->epoch : 0, "whole", f->whole));
}

/* ---------------------------------------------------------------------------------------------------- names */

static void put_name(struct writer *w, const char *what, int pid, int tid, const char *name, int order) {
  bool is_process = strcmp(what, "process") == 0;
  put(w, json_pack("{s:s, s:i, s:i, s:s, s:{s:s}}", "ph", "M", "pid", pid, "tid", tid, "name",
                   is_process ? "process_name" : "thread_name", "args", "name", name));
  put(w, json_pack("{s:s, s:i, s:i, s:s, s:{s:i}}", "ph", "M", "pid", pid, "tid", tid, "name",
                   is_process ? "process_sort_index" : "thread_sort_index", "args", "sort_index", order));
}

static void put_lane(struct writer *w, int k, int lane, int beside) {
  char name[64], number[16] = "";
  if (k == BRAID_RES_EDGE || k == BRAID_RES_CLOUD) snprintf(number, sizeof number, " %d", lane);
  if (beside == 0)
    snprintf(name, sizeof name, "%s%s", process[k].lane, number);
  else if (beside == OTHERS)
    snprintf(name, sizeof name, "%s%s, for other edges", process[k].lane, number);
  else if (beside == PLANNED)
    snprintf(name, sizeof name, "%s%s, planned", process[k].lane, number);
  else
    snprintf(name, sizeof name, "%s%s, planned (%d)", process[k].lane, number, beside);
  put_name(w, "thread", process[k].pid, 1 + lane * BESIDE + beside, name, lane * BESIDE + beside);
}

static void put_names(struct writer *w) {
  for (int k = 0; k < 4; k++) {
    put_name(w, "process", process[k].pid, 0, process[k].name, process[k].pid);
    for (int lane = 0; lane < LANES; lane++)
      for (int beside = 0; beside < BESIDE; beside++)
        if (w->used[k][lane][beside]) put_lane(w, k, lane, beside);
  }
}

/* ------------------------------------------------------------------------------------------------------ all */

static void put_all(struct writer *w, const struct timeline *t) {
  if (t->n_frames > 0) w->zero_ns = t->frame[0].begin_ns;
  for (int i = 0; i < t->n_frames; i++) put_frame(w, &t->frame[i]);
  for (int i = 0; i < t->n_items; i++) put_item(w, &t->item[i]);
  put_names(w);
  put(w, json_pack("{s:s, s:i, s:i, s:s, s:{s:f, s:f, s:f}}", "ph", "M", "pid", 4, "tid", 0, "name", "braid_clock",
                   "args", "offset_us", (double)t->clock.offset_ns / 1e3, "uncertainty_us",
                   (double)t->clock.uncertainty_ns / 1e3, "drift_ppm", t->clock.drift * 1e6));
  fputs("\n]\n", w->file);
}

enum braid_status timeline_write(const struct timeline *t, const char *path) {
  struct writer *w = braid_calloc(1, sizeof *w);
  if (!w) return braid_fail(BRAID_ENOMEM, "no memory to write a timeline");
  w->file = fopen(path, "w");
  enum braid_status status = w->file ? BRAID_OK : braid_fail(BRAID_EIO, "%s: %s", path, strerror(errno));
  if (w->file) {
    put_all(w, t);
    bool failed = ferror(w->file) != 0 || w->failed;
    if (fclose(w->file) != 0 || failed) status = braid_fail(BRAID_EIO, "%s: writing the timeline failed", path);
  }
  braid_free(w);
  return status;
}
