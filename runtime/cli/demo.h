/* SPDX-License-Identifier: Apache-2.0
 * The parts of braid demo: the place where it happens, the rows, the files it leaves. */
#ifndef BRAID_CLI_DEMO_H
#define BRAID_CLI_DEMO_H

#include "child.h"
#include "planning.h"

struct demo_options {
  struct cli_list model;
  double up, down, ratio;
  int64_t rtt;
  const char *out, *kernels, *policy;
  int frames, latency_frames;
  bool json, keep;
};

/* Processes and files of one model's rows. */
struct demo {
  const struct demo_options *o;
  char program[512], linkemu[512]; /* paths of the two programs */
  char dir[64];                    /* temporary: profiles, outputs, logs */
  int edge_cpu, cloud_cpu;
  const char *model;
  char label[64]; /* what runs now, for the progress bar */
  struct child cloud, link;
  char url[80]; /* of the link */
  struct planning planning;
  int done, total; /* steps, for the progress bar */
  json_t *rows;
};

/* What one edge process measured. */
struct demo_run {
  double latency_ms, predicted_latency_ms, fps, predicted_fps;
  double bytes_up; /* a frame */
  bool agrees;
  double difference; /* largest, relative to the largest expected value */
};

/* One `braid edge`: a policy under an objective. Leaves the edge's trace in dir/edge.trace.json. */
BRAID_NODISCARD enum braid_status demo_edge(struct demo *d, const char *policy, enum braid_objective objective,
                                            struct demo_run *out);
/* Expected outputs by `braid run`, into dir/expected_*.npy. */
BRAID_NODISCARD enum braid_status demo_expect(struct demo *d);
/* Largest difference of the answers in `answers` (DIR/FRAME_NAME.npy) from the expected ones, relative to the largest
 * expected value; HUGE_VAL where an answer is missing or has another shape. */
double demo_difference(const struct demo *d, const char *answers, int first, int frames);

/* Drawings and traces into o->out. */
BRAID_NODISCARD enum braid_status demo_draw(struct demo *d, const char *policy);
/* Joins the edge's trace with the part of the cloud's that lies in the same time. */
BRAID_NODISCARD enum braid_status demo_merge(const char *edge, const char *cloud, const char *out);

#endif
