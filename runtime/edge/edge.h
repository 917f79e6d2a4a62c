/* SPDX-License-Identifier: Apache-2.0
 * The edge process from the inside. The caller's thread starts, submits and waits; one I/O thread (link.c) owns the
 * link and the state of the conversation; workers of the pool hand rows to the channel. Private to runtime/edge. */
#ifndef EDGE_EDGE_H
#define EDGE_EDGE_H

#include "session/hello.h"
#include "session/numbers.h"
#include "session/stream.h"

enum { FIRST_EPOCH = 1, FIRST_FRAME = 1 };
enum { EDGE_ERROR_BYTES = 512, EDGE_PROBE_PINGS = 6, EDGE_MAX_PARTS = 4 }; /* parts: as many plans as a cloud takes */

/* A frame that was submitted and whose answer has not been taken yet. */
struct request {
  struct braid_answer *answer;
  uint64_t number; /* 1, 2, ...: what the frame is called on the wire */
  bool answered;
  struct request *next; /* in order of submission */
};

/* Questions to the link: the caller fills in sizes, the I/O thread sends and notes when the answers come. */
struct probe {
  int n, sent, back;
  struct {
    size_t up_bytes, down_bytes, got_bytes;
    int64_t stamp_ns, back_ns;
  } ping[EDGE_PROBE_PINGS];
};

struct braid_edge {
  struct braid_edge *self; /* for functions that promise not to change what the caller sees, but lock */
  const struct braid_graph *graph;
  char *address, *model;
  int threads;
  struct braid_pin_thread io_place;
  struct io io;
  struct channel channel;
  bool has_channel;
  struct braid_pool *pool;
  pthread_t thread;
  bool started;
  atomic_bool stop;
  int window;
  struct braid_plan *plan; /* in force, with forecast; constant after start */

  /* --- under submitting, which is held while a frame is handed over: frames enter one by one */
  pthread_mutex_t submitting;
  double credit[EDGE_MAX_PARTS];
  int next_part;                        /* of the mix, for the next frame */
  uint64_t part_number[EDGE_MAX_PARTS]; /* of the part's next frame on the wire */

  /* --- I/O thread; before it starts, the caller */
  struct braid_msg hello; /* until it could be sent */

  /* --- under mutex; `changed` is broadcast */
  pthread_mutex_t mutex;
  pthread_cond_t changed;
  bool heard, welcomed, planned; /* the cloud has: said anything, sent WELCOME, sent PLAN_OK */
  char *welcome;                 /* WELCOME's text */
  int cloud_workers;
  struct braid_msg post; /* PLAN, for the I/O thread to send; type 0: none */
  struct probe *probe;   /* NULL: none under way */
  int64_t *emulate_ns;   /* [n_nodes] times of the emulated device; NULL: none */
  int64_t *emulate_slice_ns; /* the second half of emulate_ns: more for each slice */
  /* One for every part of the plan, epoch i + FIRST_EPOCH. Grows while the plan is agreed on, then constant until stop.
   */
  struct stream *stream[EDGE_MAX_PARTS];
  int n_streams;
  int flying[EDGE_MAX_PARTS]; /* frames in flight, by part */
  enum braid_status broken;   /* BRAID_OK while the link is up */
  char why[EDGE_ERROR_BYTES];
  bool settled; /* broken, and no frame is in flight any more */
  struct request *first, **last;
  uint64_t next_number;
  struct numbers answered; /* .low is the oldest frame without an answer */
  int filling;             /* threads that copy inputs into a frame */
  struct braid_edge_stats stats;
};

/* link.c: the I/O thread. */
void *edge_io_main(void *edge);

/* Waits until *flag (under the mutex) is set. BRAID_ETIMEDOUT; what broke the link, when it has broken. */
BRAID_NODISCARD enum braid_status edge_await(struct braid_edge *edge, const bool *flag, int64_t deadline_ns);
/* braid_fail with the reason the link broke; under the mutex. */
enum braid_status edge_fail_broken(const struct braid_edge *edge, enum braid_status status);

/* probe.c: measures what `up` and `down` leave open. */
BRAID_NODISCARD enum braid_status edge_probe(struct braid_edge *edge, struct braid_link_cost *up,
                                             struct braid_link_cost *down);

/* decide.c: the plan to propose, from WELCOME, the options, measurements. */
BRAID_NODISCARD enum braid_status edge_decide(struct braid_edge *edge, const struct braid_edge_opts *opts,
                                              struct braid_plan **plan);

/* link.c: the streams so far; they stay. */
int edge_streams(struct braid_edge *edge);

/* frames.c, I/O thread: answers what is finished; gives up what is not, after `broken` is set. */
void edge_answer_finished(struct braid_edge *edge);
void edge_lose_frames(struct braid_edge *edge);
void edge_free_requests(struct braid_edge *edge);

#endif
