/* SPDX-License-Identifier: Apache-2.0
 * One run of the simulator: the frames, links and sites that its parts share. simulate_open.c sets it up, simulate.c
 * lets time pass, simulator.c keeps what outlives a run and says what came of it. */
#ifndef SCHEDULER_SIMULATE_H
#define SCHEDULER_SIMULATE_H

#include "heap.h"
#include "timeline.h"

#define SIM_IDLE (-1)

struct sim_slot {
  const struct timeline *tl;    /* of the frame's part */
  int *needs;                   /* [n_tasks] still waited for */
  int *sent;                    /* [n_tasks] next chunk to go out */
  int64_t submitted_ns, key[2]; /* key: of task 0, at the edge (and uplink) and in the cloud (and downlink) */
  int number, part, frame, answers, left, tasks[2], chunks_up; /* last four: still to come */
};

struct sim_flight {
  int64_t at_ns;
  int slot, chunk;
};

struct sim_wire {
  struct heap queue; /* tasks whose bands wait to be sent */
  int slot, chunk;   /* on the wire; SIM_IDLE */
  int64_t end_ns;
  struct sim_flight *ring; /* in flight, in order of arrival */
  int head, tail, in_flight, size;
  const struct braid_link_cost *link;
  const struct braid_rate_step *step; /* the rate from now on; n_steps 0: constant */
  int n_steps;
};

struct sim_site {
  struct heap ready;   /* tasks */
  struct heap running; /* (end time, lane) */
  struct heap idle;    /* lanes */
  int64_t *lane_task;  /* [workers] what each lane runs */
};

struct sim {
  const struct braid_plan *plan;
  const struct timeline *tl[BRAID_PLAN_MIX_MAX]; /* by part; one of a plan without a mix */
  int n_parts, room[BRAID_PLAN_MIX_MAX];         /* frames that the part may still have in flight */
  double credit[BRAID_PLAN_MIX_MAX];
  int next_part; /* of the next frame */
  const struct braid_sim_opts *opts;
  struct braid_sim_result *result;
  uint64_t ended_ahead; /* bit i: frame oldest + i has ended */
  int oldest;           /* frame that has not */
  int n_slots, most_tasks, submitted, answered, ended;
  int64_t now_ns;
  struct sim_slot *slot;
  struct heap free_slots;
  int64_t *answered_ns;   /* [frames] in order of answering */
  uint8_t *answered_part; /* [frames] likewise */
  struct sim_site site[2];
  struct sim_wire wire[2]; /* up, down */
  int workers[2];
  int64_t limit_ns; /* a frame that takes as long is of no interest; COST_NEVER: all are */
  struct slab *memory;
  bool out_of_memory;
};

/* Compiles the parts of the plan and takes the run's memory from s->memory; s: plan, opts, result, n_slots, workers. */
BRAID_NODISCARD enum braid_status sim_open(struct sim *s, struct tl_layouts *layouts);
/* From the first submission to the last answer. *done: false when the limit made it stop. */
BRAID_NODISCARD enum braid_status sim_pass_time(struct sim *s, bool *done);

#endif
