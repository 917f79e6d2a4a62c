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
  const char *out, *kernels, *policy, *slices;
  int frames, latency_frames, rounds;
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
  json_t *rows, *private_runs;
};

enum { DEMO_LATENCIES_MAX = 1024, DEMO_WARMUP = 1 };

/* What one edge process is to do. */
struct demo_job {
  const char *policy;
  enum braid_objective objective;
  int frames;
  bool private_input;
};

/* What edge processes measured: latencies are gathered over several of them. Starts as zeros. */
struct demo_run {
  double latency_ms[DEMO_LATENCIES_MAX];
  int n_latencies;
  double predicted_latency_ms, fps, predicted_fps;
  double bytes_up; /* a frame */
  bool differs;
  double difference; /* largest, relative to the largest expected value */
};

/* One `braid edge`. Leaves the edge's trace in dir/edge.trace.json. */
BRAID_NODISCARD enum braid_status demo_edge(struct demo *d, const struct demo_job *job, struct demo_run *run);
double demo_median_ms(const struct demo_run *run);
/* Expected outputs by `braid run`, into dir/expected_*.npy. */
BRAID_NODISCARD enum braid_status demo_expect(struct demo *d);
/* Largest difference of the answers in `answers` (DIR/FRAME_NAME.npy) from the expected ones, relative to the largest
 * expected value; HUGE_VAL where an answer is missing or has another shape. */
double demo_difference(const struct demo *d, const char *answers, int first, int frames);

/* Drawings and traces into o->out. */
BRAID_NODISCARD enum braid_status demo_draw(struct demo *d, const char *policy);
/* Joins the edge's trace with the part of the cloud's that lies in the same time. */
BRAID_NODISCARD enum braid_status demo_merge(const char *edge, const char *cloud, const char *out);


/* How long edge, uplink and cloud were at work at once, each on another branch of the network: milliseconds a frame in a
 * merged trace of one-at-a-time frames. */
BRAID_NODISCARD enum braid_status demo_three_at_once(const struct braid_graph *graph, const char *merged, int frames,
                                                     double *ms);

#endif
