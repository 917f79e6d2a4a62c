/* SPDX-License-Identifier: Apache-2.0
 * Joining two traces.
 *
 * Clock: the edge has noted for each of its connections how far the cloud's clock was ahead (transport/clock_offset.c).
 * All sessions with this cloud measured the same clock; the one that is most certain counts.
 *
 * Frames: spans name frames by numbers of their own process. Both files say what those are on the wire (session, epoch,
 * number), which is what they have in common.
 *
 * Messages: the sender marks when it hands DATA to the link, the receiver when it takes it from there. The wire carries
 * one message at a time, each is under way for the link's delay besides, and so it was on the wire from when it was
 * sent, or the one before it had left, until the delay before it came: what the simulator calls the link's time, too.
 */
#include "timeline.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const timeline_resource[4] = {"edge", "up", "cloud", "down"};

struct join {
  const struct traced *edge, *cloud;
  const struct traced_plan *plan; /* in place of all others */
  bool *ours;                     /* [cloud->n_sessions] */
  struct frame_key *key;          /* the edge's frames by wire; [edge->n_frames] */
  struct cloud_frame *seen;       /* the cloud's frames by name; [cloud->n_frames] */
  struct came *came;              /* marks of arrival */
  int n_came;
  struct timeline *out;
};

/* ------------------------------------------------------------------------------------------------- sessions */

static const struct traced_session *partner(const struct traced *edge, const struct traced_session *session) {
  for (int i = 0; i < edge->n_sessions && !session->has_clock; i++)
    if (edge->session[i].has_clock && strcmp(edge->session[i].id, session->id) == 0) return &edge->session[i];
  return NULL;
}

static enum braid_status find_sessions(struct join *j) {
  int n = 0;
  j->ours = braid_calloc((size_t)j->cloud->n_sessions + 1, sizeof *j->ours);
  if (!j->ours) return braid_fail(BRAID_ENOMEM, "no memory for %d sessions", j->cloud->n_sessions);
  for (int i = 0; i < j->cloud->n_sessions; i++) {
    const struct traced_session *s = partner(j->edge, &j->cloud->session[i]);
    j->ours[i] = s != NULL;
    if (s && (n == 0 || s->clock.uncertainty_ns < j->out->clock.uncertainty_ns)) j->out->clock = s->clock;
    n += s != NULL;
  }
  if (n > 0) return BRAID_OK;
  return braid_fail(
      BRAID_EINVAL,
      "%s and %s have no session in common (%d and %d): they are to be written with --trace, the first by "
      "an edge, the second by the cloud that it was connected to, in the same run",
      j->edge->path, j->cloud->path, j->edge->n_sessions, j->cloud->n_sessions);
}

static bool is_ours(const struct join *j, uint64_t session) {
  for (int i = 0; i < j->cloud->n_sessions; i++)
    if (j->ours[i] && j->cloud->session[i].number == session) return true;
  return false;
}

/* --------------------------------------------------------------------------------------------------- frames */

struct frame_key {
  uint32_t epoch;
  uint64_t number;
  int frame; /* of timeline.frame */
};

struct cloud_frame {
  uint64_t name;
  int frame; /* of timeline.frame; -1: of another edge */
};

static int compare_u64(uint64_t a, uint64_t b) {
  return (a > b) - (a < b);
}
static int by_wire(const void *a, const void *b) {
  const struct frame_key *x = a, *y = b;
  return x->epoch != y->epoch ? compare_u64(x->epoch, y->epoch) : compare_u64(x->number, y->number);
}
static int by_seen(const void *a, const void *b) {
  return compare_u64(((const struct cloud_frame *)a)->name, ((const struct cloud_frame *)b)->name);
}
static int by_frame_name(const void *a, const void *b) {
  return compare_u64(((const struct timeline_frame *)a)->name, ((const struct timeline_frame *)b)->name);
}

static const struct traced_plan *plan_of(const struct join *j, uint32_t epoch) {
  for (int i = 0; i < j->edge->n_plans; i++)
    if (j->edge->plan[i].epoch == epoch) return j->plan ? j->plan : &j->edge->plan[i];
  return NULL;
}

static struct timeline_frame *frame_named(const struct timeline *t, uint64_t name) {
  struct timeline_frame key = {.name = name};
  return t->n_frames ? bsearch(&key, t->frame, (size_t)t->n_frames, sizeof key, by_frame_name) : NULL;
}

/* Sorted by name, they are found by number. */
static enum braid_status take_edge_frames(struct join *j) {
  struct timeline *t = j->out;
  size_t n = (size_t)j->edge->n_frames;
  t->frame = braid_calloc(n + 1, sizeof *t->frame);
  j->key = braid_calloc(n + 1, sizeof *j->key);
  if (!t->frame || !j->key) return braid_fail(BRAID_ENOMEM, "no memory for %zu frames", n);
  for (int i = 0; i < j->edge->n_frames; i++) {
    const struct traced_frame *f = &j->edge->frame[i];
    const struct traced_plan *plan = plan_of(j, f->wire.epoch);
    t->frame[t->n_frames++] =
        (struct timeline_frame){f->name, plan, plan && !plan->in_cloud, f->begin_ns, f->end_ns};
  }
  qsort(t->frame, n, sizeof *t->frame, by_frame_name);
  for (int i = 0; i < j->edge->n_frames; i++) {
    const struct traced_frame *f = &j->edge->frame[i];
    j->key[i] = (struct frame_key){f->wire.epoch, f->wire.number, (int)(frame_named(t, f->name) - t->frame)};
  }
  qsort(j->key, n, sizeof *j->key, by_wire);
  return BRAID_OK;
}

static enum braid_status take_cloud_frames(struct join *j) {
  size_t n = (size_t)j->cloud->n_frames;
  j->seen = braid_calloc(n + 1, sizeof *j->seen);
  if (!j->seen) return braid_fail(BRAID_ENOMEM, "no memory for %zu frames", n);
  for (int i = 0; i < j->cloud->n_frames; i++) {
    const struct traced_frame *f = &j->cloud->frame[i];
    struct frame_key key = {f->wire.epoch, f->wire.number, 0};
    const struct frame_key *found = is_ours(j, f->wire.session) && j->edge->n_frames
                                        ? bsearch(&key, j->key, (size_t)j->edge->n_frames, sizeof key, by_wire)
                                        : NULL;
    j->seen[i] = (struct cloud_frame){f->name, found ? found->frame : -1};
    if (found && j->out->frame[found->frame].plan) j->out->frame[found->frame].whole = true;
  }
  qsort(j->seen, n, sizeof *j->seen, by_seen);
  return BRAID_OK;
}

/* The edge's frame that the cloud calls so; NULL: another edge's, or it has not ended there. */
static const struct timeline_frame *frame_seen(const struct join *j, uint64_t name) {
  struct cloud_frame key = {.name = name};
  const struct cloud_frame *found =
      j->cloud->n_frames ? bsearch(&key, j->seen, (size_t)j->cloud->n_frames, sizeof key, by_seen) : NULL;
  return found && found->frame >= 0 ? &j->out->frame[found->frame] : NULL;
}

/* ---------------------------------------------------------------------------------------------------- items */

static enum braid_status put(struct timeline *t, const struct timeline_item *item) {
  if (!traced_grow(&t->item, t->n_items, sizeof *t->item)) return BRAID_ENOMEM;
  t->item[t->n_items++] = *item;
  return BRAID_OK;
}

static int branch_of(const struct timeline_frame *frame, int node) {
  return frame && frame->plan && node >= 0 && node < frame->plan->n_nodes ? frame->plan->branch[node] : 0;
}

static struct timeline_item item_of(const struct traced_span *s, enum braid_resource where,
                                    const struct timeline_frame *frame) {
  return (struct timeline_item){.where = where,
                                .node = s->node,
                                .branch = branch_of(frame, s->node),
                                .name = s->name,
                                .frame = frame ? frame->name : 0,
                                .band = s->band,
                                .begin_ns = s->begin_ns,
                                .end_ns = s->end_ns};
}

/* "edge-w3" of "edge-w" is 3; -1: another lane. */
static int numbered(const struct traced *t, int lane, const char *prefix) {
  const char *name = lane < t->n_lanes ? t->lane[lane] : NULL;
  size_t n = strlen(prefix);
  int number, used = 0;
  if (!name || strncmp(name, prefix, n) != 0) return -1;
  return sscanf(name + n, "%d%n", &number, &used) == 1 && name[n + (size_t)used] == '\0' ? number : -1;
}

static enum braid_status take_edge_tasks(struct join *j) {
  for (int i = 0; i < j->edge->n_spans; i++) {
    const struct traced_span *s = &j->edge->span[i];
    const struct timeline_frame *frame = frame_named(j->out, s->frame);
    int lane = numbered(j->edge, s->lane, "edge-w");
    if (lane < 0 || !frame) continue;
    struct timeline_item item = item_of(s, BRAID_RES_EDGE, frame);
    item.lane = lane;
    BRAID_TRY(put(j->out, &item));
  }
  return BRAID_OK;
}

/* What the cloud did for others while the edge ran says why our own tasks had to wait. */
static bool is_meanwhile(const struct timeline *t, const struct timeline_item *item) {
  return t->n_frames > 0 && item->end_ns >= t->frame[0].begin_ns && item->begin_ns <= t->frame[t->n_frames - 1].end_ns;
}

static enum braid_status take_cloud_tasks(struct join *j) {
  for (int i = 0; i < j->cloud->n_spans; i++) {
    const struct traced_span *s = &j->cloud->span[i];
    int lane = numbered(j->cloud, s->lane, "cloud-w");
    if (lane < 0) continue;
    struct timeline_item item = item_of(s, BRAID_RES_CLOUD, frame_seen(j, s->frame));
    item.kind = item.frame ? TIMELINE_RAN : TIMELINE_OTHERS;
    item.lane = lane;
    item.begin_ns = braid_clock_from_peer(&j->out->clock, s->begin_ns);
    item.end_ns = braid_clock_from_peer(&j->out->clock, s->end_ns);
    if (item.frame || is_meanwhile(j->out, &item)) BRAID_TRY(put(j->out, &item));
  }
  return BRAID_OK;
}

static enum braid_status take_planned(struct join *j) {
  for (int i = 0; i < j->out->n_frames; i++) {
    const struct timeline_frame *f = &j->out->frame[i];
    for (int k = 0; f->plan && k < f->plan->n_spans; k++) {
      const struct braid_span *s = &f->plan->span[k];
      struct timeline_item item = {TIMELINE_PLANNED, s->resource, s->lane, s->node, branch_of(f, s->node),
                                   f->plan->name[s->node], f->name, s->band, f->begin_ns + s->begin_ns,
                                   f->begin_ns + s->end_ns};
      BRAID_TRY(put(j->out, &item));
    }
  }
  return BRAID_OK;
}

/* ------------------------------------------------------------------------------------------------- messages */

struct came {
  bool down;
  uint64_t frame;
  int node;
  struct braid_band band;
  int64_t ns;
};

static int by_message(const void *a, const void *b) {
  const struct came *x = a, *y = b;
  if (x->down != y->down) return x->down - y->down;
  if (x->frame != y->frame) return compare_u64(x->frame, y->frame);
  if (x->node != y->node) return (x->node > y->node) - (x->node < y->node);
  if (x->band.begin != y->band.begin) return (x->band.begin > y->band.begin) - (x->band.begin < y->band.begin);
  return (x->band.end > y->band.end) - (x->band.end < y->band.end);
}

static bool is_lane(const struct traced *t, const struct traced_span *s, const char *what) {
  const char *name = s->lane < t->n_lanes ? t->lane[s->lane] : NULL;
  size_t n = strlen(what);
  return name && strncmp(name, what, n) == 0 && (name[n] == '\0' || name[n] == ' ');
}

static enum braid_status take_arrivals(struct join *j, bool down) {
  const struct traced *t = down ? j->edge : j->cloud;
  for (int i = 0; i < t->n_spans; i++) {
    const struct traced_span *s = &t->span[i];
    if (!is_lane(t, s, "came")) continue;
    const struct timeline_frame *frame = down ? frame_named(j->out, s->frame) : frame_seen(j, s->frame);
    if (!frame) continue;
    if (!traced_grow(&j->came, j->n_came, sizeof *j->came)) return BRAID_ENOMEM;
    int64_t ns = down ? s->begin_ns : braid_clock_from_peer(&j->out->clock, s->begin_ns);
    j->came[j->n_came++] = (struct came){down, frame->name, s->node, s->band, ns};
  }
  return BRAID_OK;
}

static enum braid_status take_messages(struct join *j, bool down) {
  const struct traced *t = down ? j->cloud : j->edge;
  for (int i = 0; i < t->n_spans; i++) {
    const struct traced_span *s = &t->span[i];
    if (!is_lane(t, s, "sent")) continue;
    const struct timeline_frame *frame = down ? frame_seen(j, s->frame) : frame_named(j->out, s->frame);
    if (!frame) continue;
    struct came key = {down, frame->name, s->node, s->band, 0};
    const struct came *came = j->n_came ? bsearch(&key, j->came, (size_t)j->n_came, sizeof key, by_message) : NULL;
    j->out->n_lost += !came;
    if (!came) continue;
    struct timeline_item item = item_of(s, down ? BRAID_RES_DOWN : BRAID_RES_UP, frame);
    item.sent_ns = down ? braid_clock_from_peer(&j->out->clock, s->begin_ns) : s->begin_ns;
    item.came_ns = came->ns;
    BRAID_TRY(put(j->out, &item));
  }
  return BRAID_OK;
}

static int by_arrival(const void *a, const void *b) {
  const struct timeline_item *x = a, *y = b;
  if (x->came_ns != y->came_ns) return x->came_ns < y->came_ns ? -1 : 1;
  return (x->sent_ns > y->sent_ns) - (x->sent_ns < y->sent_ns);
}

static int64_t delay_of(const struct timeline *t, const struct timeline_item *item) {
  const struct traced_plan *plan = frame_named(t, item->frame)->plan;
  return !plan ? 0 : item->where == BRAID_RES_UP ? plan->up_delay_ns : plan->down_delay_ns;
}

/* Of messages in order of arrival: when each had the wire. */
static void give_wire(const struct timeline *t, struct timeline_item *item, int n) {
  int64_t free_ns = INT64_MIN;
  for (int i = 0; i < n; i++) {
    int64_t left_ns = item[i].came_ns - delay_of(t, &item[i]);
    item[i].begin_ns = item[i].sent_ns > free_ns ? item[i].sent_ns : free_ns;
    item[i].end_ns = left_ns > item[i].begin_ns ? left_ns : item[i].begin_ns;
    free_ns = item[i].end_ns;
  }
}

static enum braid_status take_link(struct join *j) {
  BRAID_TRY(take_arrivals(j, false));
  BRAID_TRY(take_arrivals(j, true));
  if (j->n_came > 0) qsort(j->came, (size_t)j->n_came, sizeof *j->came, by_message);
  for (int down = 0; down <= 1; down++) {
    int first = j->out->n_items;
    BRAID_TRY(take_messages(j, down));
    struct timeline_item *item = j->out->item + first;
    int n = j->out->n_items - first;
    if (n > 0) qsort(item, (size_t)n, sizeof *item, by_arrival);
    if (n > 0) give_wire(j->out, item, n);
  }
  return BRAID_OK;
}

/* ------------------------------------------------------------------------------------------------------ all */

static int by_frame(const void *a, const void *b) {
  const struct timeline_item *x = a, *y = b;
  if (x->frame != y->frame) return compare_u64(x->frame, y->frame);
  if (x->begin_ns != y->begin_ns) return x->begin_ns < y->begin_ns ? -1 : 1;
  if (x->end_ns != y->end_ns) return x->end_ns < y->end_ns ? -1 : 1;
  return (x->node > y->node) - (x->node < y->node);
}

static enum braid_status join_all(struct join *j) {
  BRAID_TRY(find_sessions(j));
  BRAID_TRY(take_edge_frames(j));
  BRAID_TRY(take_cloud_frames(j));
  BRAID_TRY(take_edge_tasks(j));
  BRAID_TRY(take_cloud_tasks(j));
  BRAID_TRY(take_planned(j));
  BRAID_TRY(take_link(j));
  if (j->out->n_items > 0) qsort(j->out->item, (size_t)j->out->n_items, sizeof *j->out->item, by_frame);
  return BRAID_OK;
}

enum braid_status timeline_join(const struct traced *edge, const struct traced *cloud, const struct traced_plan *plan,
                                struct timeline *out) {
  struct join j = {.edge = edge, .cloud = cloud, .plan = plan, .out = out};
  *out = (struct timeline){.n_frames = 0};
  enum braid_status status = join_all(&j);
  braid_free(j.ours);
  braid_free(j.key);
  braid_free(j.seen);
  braid_free(j.came);
  if (status != BRAID_OK) timeline_close(out);
  return status;
}

void timeline_close(struct timeline *t) {
  braid_free(t->frame);
  braid_free(t->item);
  *t = (struct timeline){.n_frames = 0};
}
