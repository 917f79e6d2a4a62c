/* SPDX-License-Identifier: Apache-2.0
 * A trace file of `braid edge --trace` or `braid cloud --trace`, read back (docs/timeline.md). */
#ifndef BRAID_CLI_TRACED_H
#define BRAID_CLI_TRACED_H

#include "braid/runtime.h"

struct traced_span {
  int lane, node;
  const char *name; /* the file's */
  uint64_t frame;
  struct braid_band band;
  int64_t begin_ns, end_ns;
};

struct traced_frame {
  uint64_t name; /* what spans call it */
  struct braid_trace_wire wire;
  int64_t begin_ns, end_ns;
};

/* Of an edge: id, peer, clock. Of a cloud: id, number. */
struct traced_session {
  bool has_clock; /* it is an edge's */
  char id[40], peer[160];
  uint64_t number;
  struct braid_clock_offset clock;
};

/* A plan in force at an edge. */
struct traced_plan {
  uint32_t epoch;
  char session[40], policy[32];
  bool in_cloud;  /* some of it runs there */
  bool predicted; /* it has spans: of one frame alone, from 0 on */
  int64_t latency_ns, up_delay_ns, down_delay_ns;
  int n_nodes;
  const char **name; /* [n_nodes] the file's */
  int *branch;       /* [n_nodes] */
  int n_spans;
  struct braid_span *span;
};

struct traced_names;
struct traced {
  const char *path;
  int n_lanes, n_spans, n_frames, n_sessions, n_plans;
  const char **lane; /* by number; NULL: none */
  struct traced_span *span;
  struct traced_frame *frame;
  struct traced_session *session;
  struct traced_plan *plan;
  char dropped[96]; /* "": all that ran is in it */
  struct traced_names *names;
};

/* Fills *out, to be closed whatever comes of it. BRAID_EIO, BRAID_EFORMAT naming the file and the event: not a trace,
 * or not one of a runtime that this command belongs to. */
BRAID_NODISCARD enum braid_status traced_read(const char *path, struct traced *out);
void traced_close(struct traced *traced);
/* The one string that equals `text`; NULL: no memory. */
const char *traced_name(struct traced *traced, const char *text);
/* What the simulator expects of a frame under this plan. */
BRAID_NODISCARD enum braid_status traced_predict(struct traced *traced, const struct braid_plan *plan,
                                                 const struct braid_graph *graph, const struct braid_costs *costs,
                                                 struct traced_plan *out);
void traced_plan_free(struct traced_plan *plan);

/* An array that doubles: room for one more of `size` bytes behind `n`; false: no memory (the message is set). */
bool traced_grow(void *array, int n, size_t size);

#endif
