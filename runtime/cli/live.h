/* SPDX-License-Identifier: Apache-2.0
 * braid edge --live: what the edge does, drawn in place on standard error a few times a second when that is a terminal;
 * a line of the log every second when it is not. One a process. */
#ifndef BRAID_CLI_LIVE_H
#define BRAID_CLI_LIVE_H

#include "braid/runtime.h"

/* ----------------------------------------------------------------------------------------------- the picture */

enum { LIVE_HISTORY = 60 }; /* seconds */

struct live_view {
  const char *model, *policy;
  const char *cloud; /* NULL: none */
  bool connected, draining;
  int64_t elapsed_ns;
  uint64_t submitted, answered, lost, bridged, alone, dropped, replans;
  int in_flight, window;
  double fps, p50_ms, p90_ms, p99_ms; /* of the last minute's answers; fps: of the last seconds */
  double planned_ms;                  /* latency of the plan in force; 0: not known */
  int nodes_here, nodes;
  uint32_t epoch;
  double up_mbit, down_mbit, rtt_ms;            /* 0: not known */
  double edge_busy, up_busy, cloud_busy;        /* 0 to 1; < 0: not known */
  double cloud_load;                            /* 0: not known */
  int n_history;                                /* seconds, the newest last */
  double latency_ms[LIVE_HISTORY], mbit[LIVE_HISTORY]; /* < 0: nothing in that second */
};

struct live_style {
  int columns, rows; /* of the terminal; 0: no limit */
  bool colour, utf8;
};

/* The picture as lines of text, each ended by a newline, none wider than the terminal; not more of them than it has
 * rows, less one for the cursor. Returns how many. Pure. */
int live_render(const struct live_view *view, const struct live_style *style, char *buf, size_t size);

/* ------------------------------------------------------------------------------------------------ on the screen */

struct live;
struct live_opts {
  struct braid_edge *edge; /* outlives it */
  const char *model;       /* likewise */
};
/* NULL: no memory (the message is set). All calls by one thread. */
struct live *live_start(const struct live_opts *opts);
void live_answer(struct live *live, int64_t latency_ns);
/* Often: draws when it is time to. `dropped`: frames that were not submitted. */
void live_tick(struct live *live, uint64_t dropped);
/* Before something is printed where the picture may be; the next tick draws it again. Fine with NULL. */
void live_hide(struct live *live);
/* Is the terminal the picture's, so that lines of frames would tear it? */
bool live_owns_terminal(const struct live *live);
/* The last picture stays; the cursor is back. Fine with NULL. */
void live_stop(struct live **live);

#endif
