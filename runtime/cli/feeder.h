/* SPDX-License-Identifier: Apache-2.0
 * Frames from a source into an edge, on threads of their own: one reads and prepares, one submits, so that decoding,
 * waiting for room and taking answers do not wait for each other. What happens when frames come faster than the edge
 * takes them is a choice. */
#ifndef BRAID_CLI_FEEDER_H
#define BRAID_CLI_FEEDER_H

#include "source.h"

enum feeder_full {
  FEEDER_BLOCK,       /* the source is held up */
  FEEDER_DROP_OLDEST, /* of the frames that have not been submitted: the newest is what counts */
  FEEDER_DROP_NEWEST  /* the one that has just come */
};

struct feeder_opts {
  struct source *source; /* the feeder's until it is stopped */
  struct braid_edge *edge;
  int frames; /* to read; 0: until the source ends */
  double fps; /* frame i is due i / fps after the start, and not read before; 0: as fast as they come */
  enum feeder_full when_full;
};

struct feeder;
struct feeder_state {
  int read, submitted, dropped;
  bool ended;       /* all that will be submitted has been */
  int exit;         /* CLI_DONE, or what went wrong (it has been said) */
  int64_t begin_ns; /* what fps counts from */
};
/* Frame i of the source is submitted as frame i: numbers that are missing were dropped. CLI_DONE, or CLI_FAILED. */
int feeder_start(const struct feeder_opts *opts, struct feeder **out);
void feeder_state(struct feeder *feeder, struct feeder_state *out);
void feeder_stop(struct feeder **feeder); /* ends it and waits for its threads */

#endif
