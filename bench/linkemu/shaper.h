/* SPDX-License-Identifier: Apache-2.0
 * One direction of an emulated link in virtual time: bytes in at t -> bytes out when. Pure: no clock, no sockets. */
#ifndef LINKEMU_SHAPER_H
#define LINKEMU_SHAPER_H

#include "braid/base.h"

/* A rate that changes at given times and then repeats. */
struct rate_step {
  int64_t at_ns;     /* from the start of the plan; the first is 0 */
  double bits_per_s; /* 0: nothing gets through */
};
struct rate_plan {
  int n_steps;
  int64_t period_ns; /* 0: one step for ever */
  struct rate_step *steps;
};
BRAID_NODISCARD enum braid_status rate_plan_constant(double bits_per_s, struct rate_plan *out);
/* CSV "time_s,mbps" with an optional header line; a rate holds until the next row, the last one as long as the one
 * before it, then it starts again. `name` is for messages. */
BRAID_NODISCARD enum braid_status rate_plan_parse(const char *text, const char *name, struct rate_plan *out);
BRAID_NODISCARD enum braid_status rate_plan_read(const char *path, struct rate_plan *out);
void rate_plan_free(struct rate_plan *plan);
double rate_plan_mean_bits_per_s(const struct rate_plan *plan);
/* When `bits` that start at start_ns have passed. */
double rate_plan_finish_ns(const struct rate_plan *plan, double start_ns, double bits);

/* A FIFO in front of a bottleneck, then a wire. Times are ns since any origin and do not go backwards. */
struct shaper_opts {
  struct rate_plan rate; /* taken over */
  int64_t delay_ns, jitter_ns;
  uint64_t seed;
  size_t queue_bytes; /* that wait for the bottleneck or pass it */
};
struct shaper;
BRAID_NODISCARD enum braid_status shaper_create(const struct shaper_opts *opts, struct shaper **out);
void shaper_destroy(struct shaper **shaper); /* tags still inside are forgotten */

/* How many bytes the queue can take now. */
size_t shaper_room_bytes(struct shaper *shaper, int64_t now_ns);
/* Bytes may be 0 (an end of stream that keeps its place) and may exceed the room: the caller asks first. */
BRAID_NODISCARD enum braid_status shaper_push(struct shaper *shaper, int64_t now_ns, size_t bytes, void *tag);
/* The next piece that has arrived by now, in order of pushing. False: none yet. */
bool shaper_pop(struct shaper *shaper, int64_t now_ns, void **tag, size_t *bytes);
/* Takes the next piece out wherever it is: for emptying before shaper_destroy. */
bool shaper_take_any(struct shaper *shaper, void **tag, size_t *bytes);
/* When the next arrival is due, or (want_room) the queue gets shorter; INT64_MAX: never, unless something is pushed. */
int64_t shaper_next_ns(struct shaper *shaper, int64_t now_ns, bool want_room);

/* From now on; a piece already passing the bottleneck keeps its time. */
void shaper_set_rate(struct shaper *shaper, int64_t now_ns, struct rate_plan *rate); /* taken over */
void shaper_set_delay(struct shaper *shaper, int64_t now_ns, int64_t delay_ns, int64_t jitter_ns);
/* Nothing enters the bottleneck or arrives before until_ns; a time that has passed ends an earlier hold. */
void shaper_hold(struct shaper *shaper, int64_t now_ns, int64_t until_ns);

#endif
