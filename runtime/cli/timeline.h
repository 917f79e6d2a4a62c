/* SPDX-License-Identifier: Apache-2.0
 * One timeline of an edge and a cloud: their traces on the edge's clock, and beside what ran what was expected to. */
#ifndef BRAID_CLI_TIMELINE_H
#define BRAID_CLI_TIMELINE_H

#include "traced.h"

/* A frame of the edge. */
struct timeline_frame {
  uint64_t name;
  const struct traced_plan *plan; /* NULL: alone, or not known */
  bool whole;                     /* all of it can be seen: it counts when plan and run are compared */
  int64_t begin_ns, end_ns;       /* submitted, answered */
};

enum timeline_kind {
  TIMELINE_RAN,      /* measured */
  TIMELINE_PLANNED, /* by the simulator, from when the frame was submitted */
  TIMELINE_OTHERS    /* the cloud's, for other edges */
};

/* A task, or a message on the link. */
struct timeline_item {
  enum timeline_kind kind;
  enum braid_resource where;
  int lane, node, branch; /* lane: worker; branch 0: in none, or not known */
  const char *name;
  uint64_t frame; /* the edge's; 0: of others */
  struct braid_band band;
  int64_t begin_ns, end_ns;  /* of a message: the wire's time with it */
  int64_t sent_ns, came_ns;  /* of a message that ran: handed to the link, taken from it */
};

struct timeline {
  struct braid_clock_offset clock; /* the cloud's */
  uint64_t n_lost;                 /* messages whose arrival is not in the traces; they are left out */
  int n_frames, n_items;
  struct timeline_frame *frame; /* by name */
  struct timeline_item *item;   /* by frame, begin */
};

/* Joins them. `plan`: in place of the edge's own where not NULL. Names and plans stay the files'. BRAID_EINVAL: they
 * have no session in common. */
BRAID_NODISCARD enum braid_status timeline_join(const struct traced *edge, const struct traced *cloud,
                                                const struct traced_plan *plan, struct timeline *out);
void timeline_close(struct timeline *timeline);

/* A node on a resource, over the frames that are whole: averages of the frames in which it was expected or ran. */
struct timeline_row {
  enum braid_resource where;
  int node, frames;
  const char *name;
  double planned_ms, measured_ms;
};
struct timeline_summary {
  int frames;
  bool predicted; /* false: nothing was expected; planned_ms of all are 0 */
  int n_rows;
  struct timeline_row *row;    /* largest difference first */
  struct timeline_row total[4]; /* by resource, of a frame */
  double latency_planned_ms, latency_measured_ms;
};
BRAID_NODISCARD enum braid_status timeline_compare(const struct timeline *timeline, struct timeline_summary *out);
void timeline_summary_free(struct timeline_summary *summary);

/* A Chrome trace. */
BRAID_NODISCARD enum braid_status timeline_write(const struct timeline *timeline, const char *path);
/* The whole frame whose latency is the median, as a picture. BRAID_ENOTFOUND: none is whole. */
BRAID_NODISCARD enum braid_status timeline_draw(const struct timeline *timeline, const char *path);
extern const char *const timeline_resource[4]; /* "edge", "up", ... */

#endif
