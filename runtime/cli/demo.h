/* SPDX-License-Identifier: Apache-2.0
 * The parts of braid demo: the place where it happens, the rows, the files it leaves. */
#ifndef BRAID_CLI_DEMO_H
#define BRAID_CLI_DEMO_H

#include "planning.h"
#include "stage.h"
#include "timeline.h"

struct demo_options {
  struct cli_list model;
  double up, down, ratio;
  int64_t rtt, heartbeat;
  const char *out, *kernels, *policy, *slices;
  int frames, latency_frames, rounds;
  bool json, keep;
};

struct demo {
  const struct demo_options *o;
  struct stage stage;
  const char *model;
  char label[64]; /* what runs now, for the progress bar */
  struct planning planning;
  int n_rows, done, total; /* rows of a model; steps, for the progress bar */
  json_t *rows, *private_runs;
};

/* Drawings and traces into o->out. */
BRAID_NODISCARD enum braid_status demo_draw(struct demo *d, const char *policy);
/* An edge's trace and the cloud's, as one timeline into the file `out`. *together_ms: see demo_three_at_once. */
struct demo_traces {
  const char *edge, *cloud, *out;
};
BRAID_NODISCARD enum braid_status demo_join(const struct braid_graph *graph, const struct demo_traces *traces,
                                            double *together_ms);

/* How long edge, uplink and cloud were at work at once, each on another branch of the network: milliseconds a frame in
 * a timeline of one-at-a-time frames. */
BRAID_NODISCARD enum braid_status demo_three_at_once(const struct braid_graph *graph, const struct timeline *timeline,
                                                     double *ms);

#endif
