/* SPDX-License-Identifier: Apache-2.0
 * Two real processes and a shaped link between them, for the commands that measure: a cloud on one CPU, an edge that
 * plays a slower device on another, the link emulator, profiles of this machine, and the answers of `braid run` that
 * every answer is compared with. */
#ifndef BRAID_CLI_STAGE_H
#define BRAID_CLI_STAGE_H

#include "child.h"

enum { STAGE_WARMUP = 1, STAGE_LATENCIES_MAX = 1024 };

/* The caller fills in what it asks for; the rest belongs to the stage. */
struct stage {
  const char *model, *kernels, *slices; /* as options of the programs */
  double up, down, ratio;               /* bits/s; how many times slower the edge is */
  int64_t rtt, heartbeat;               /* ns; heartbeat 0: 500 ms */
  const char *trace;                    /* file with the link's rate over time, both ways alike, in place of up and down */

  char program[512], linkemu[512]; /* paths of the two programs */
  char dir[64];                    /* temporary: profiles, outputs, logs; "" before stage_open */
  double profiled;                 /* ratio that edge.json is for; 0: none */
  int edge_cpu, cloud_cpu;
  struct braid_graph *graph;
  struct child cloud, link;
  char cloud_address[80], url[80]; /* of the cloud, of the link */
};

/* Finds the programs, makes the temporary directory, asks that two CPUs are there (warns otherwise). */
BRAID_NODISCARD enum braid_status stage_open(struct stage *stage);
/* Ends what runs. keep: the directory stays, and its name is said. */
void stage_close(struct stage *stage, bool keep);

/* stage->model, from nothing to a cloud that serves it: the expected answers, the edge's profile (edge.json, at
 * stage->ratio), the cloud with its own (MODEL.json). */
BRAID_NODISCARD enum braid_status stage_expect(struct stage *stage);
BRAID_NODISCARD enum braid_status stage_measure_edge(struct stage *stage);
BRAID_NODISCARD enum braid_status stage_start_cloud(struct stage *stage);
/* All of these for a network, a device and a link, where they differ from what is there. */
struct stage_scene {
  const char *model;
  double ratio, mbit; /* both ways */
  int rtt_ms;
};
BRAID_NODISCARD enum braid_status stage_set(struct stage *stage, const struct stage_scene *scene);
/* A link with the stage's rates and round trip, in place of the one before. */
BRAID_NODISCARD enum braid_status stage_start_link(struct stage *stage);
/* Ends link and cloud, which writes cloud.trace.json. */
void stage_end_servers(struct stage *stage);
/* And forgets the model. */
void stage_end_model(struct stage *stage);

/* Where `file` is in the temporary directory. Returns buf. */
const char *stage_path(const struct stage *stage, const char *file, char buf[192]);

/* What one edge process is to do. */
struct stage_job {
  const char *policy;
  enum braid_objective objective;
  int frames; /* counted ones, after STAGE_WARMUP */
  bool private_input;
  bool given_link; /* the edge is told the link; else it measures it */
  bool adapt;      /* and may change its plan as it goes */
  const char *plan; /* a file, in place of the policy */
  int window;       /* 0: 1 for latency, the plan's for throughput */
  double fps;       /* frames are due at this rate; 0: as fast as they go */
};

/* What edge processes measured: latencies are gathered over several of them. Starts as zeros. */
struct stage_run {
  double latency_ms[STAGE_LATENCIES_MAX];
  int n_latencies;
  double predicted_latency_ms, fps, predicted_fps;
  double bound_fps; /* throughput: no mix of any plans could make more, by the profiles and the link */
  double due_ms[STAGE_LATENCIES_MAX]; /* with stage_job.fps: from when a frame was due to its answer */
  int replans, bridged;
  double bytes_up; /* a frame */
  char plan[40];   /* policy of the plan in force */
  bool differs;
  double difference; /* largest, relative to the largest expected value */
};

/* One `braid edge`. Leaves its trace in edge.trace.json. */
BRAID_NODISCARD enum braid_status stage_edge(struct stage *stage, const struct stage_job *job, struct stage_run *run);
double stage_median_ms(const struct stage_run *run);

#endif
