/* SPDX-License-Identifier: Apache-2.0
 * A plan in force between two processes (an epoch), seen from one of them: which tensors arrive, which leave, and the
 * frames in flight. Both the edge and the cloud run frames through here. */
#ifndef SESSION_STREAM_H
#define SESSION_STREAM_H

#include "session/channel.h"

struct stream_node {
  bool sends, receives; /* over the link; graph inputs and outputs of the edge itself are not meant */
  int rank, rows;
  size_t row_bytes;
  size_t first_sent; /* of sends: the first row's bit in flight.sent */
};

struct flight {
  struct stream *stream;
  uint64_t number; /* on the wire: unique within the epoch */
  uint64_t name;   /* in traces */
  uint64_t id;     /* what the edge's caller calls it */
  uint64_t order;  /* urgency among all frames here */
  int64_t begun_ns;
  void *user;      /* the edge's request */
  /* --- the edge's I/O thread (edge/rescue.c); clear while there is no frame */
  bool rescued;     /* was late: the other half is computed here, too */
  bool answered;    /* and was faster: a ghost, until all rows have come */
  size_t came_rows; /* of the peer's */
  bool delivered;   /* the cloud has said that its results are with their consumer there */
  uint8_t *sent;   /* I/O thread: a bit for every row that has left the outbox; NULL: not noted here */
  /* --- under channel.mutex */
  struct braid_frame *frame; /* NULL: the slot is free */
  int holds;                 /* queued sends, and a thread that is filling in the inputs: not to be ended before 0 */
  size_t ready_rows;         /* handed out for the other side */
  bool done;                 /* every task has run, every row has arrived */
};

struct stream {
  struct channel *channel;
  uint32_t epoch;
  enum braid_site here;
  const struct braid_graph *graph;
  struct braid_plan *plan;       /* owned */
  struct braid_program *program; /* owned; NULL: this site has nothing to do */
  size_t program_bytes;          /* its arenas; its weights are the pool's */
  int window, n_nodes;
  struct stream_node *node;
  size_t receive_bytes; /* a frame's DATA towards this site, and its rows */
  size_t receive_rows, send_rows;
  size_t sent_bytes;   /* of flight.sent */
  uint8_t *sent;       /* every flight's */
  struct stream *mate; /* the other site's half, here as well (edge/twin.c): flight i of each belong together */
  struct flight flight[SESSION_MAX_WINDOW]; /* [window] */
};

struct stream_setup {
  uint32_t epoch;
  enum braid_site here;
  const struct braid_graph *graph;
  struct braid_plan *plan;
  struct braid_program *program;
  int window;
};
/* Compiles `plan` for a site; *program stays NULL where the plan gives the site nothing to compute, to pass on or to
 * deliver. More than `max_arena_bytes` of arenas (0: no limit) is BRAID_EBUSY; they come from `arenas` (NULL: the
 * program's own). */
BRAID_NODISCARD enum braid_status stream_compile(struct braid_pool *pool, const struct braid_graph *graph,
                                                 const struct braid_plan *plan, enum braid_site here, int window,
                                                 uint32_t cpu_flags, size_t max_arena_bytes,
                                                 struct braid_arenas *arenas, struct braid_program **program);
/* On success the stream owns plan and program. */
BRAID_NODISCARD enum braid_status stream_create(struct channel *channel, const struct stream_setup *setup,
                                                struct stream **out);
/* Aborts and ends what is in flight; may wait for running tasks. */
void stream_destroy(struct stream **stream);

/* Notes which rows have left, for somebody who may have to hand them out again. Before the first frame. */
BRAID_NODISCARD enum braid_status stream_note_sends(struct stream *stream);
void flight_note_sent(struct flight *flight, int node, struct braid_band band);
bool flight_has_sent(const struct flight *flight, int node, int row);

/* A free slot takes a frame: `number` is its own on the wire, `name` that in traces, `order` its urgency in the pool
 * and on the link, smaller first. The slot has one hold more, which flight_release drops. */
struct flight *stream_free_slot(struct stream *stream);
BRAID_NODISCARD enum braid_status flight_begin(struct flight *flight, uint64_t number, uint64_t name, uint64_t order);
void flight_release(struct flight *flight);
struct braid_frame *flight_frame(struct flight *flight); /* NULL: a free slot */
bool stream_idle(struct stream *stream);                 /* no frame in flight */
struct flight *stream_find(struct stream *stream, uint64_t number);
/* Done, and nothing of it waits to be sent. */
bool flight_finished(struct flight *flight);
bool flight_done(struct flight *flight); /* likewise, but for what waits to be sent */
void flight_end(struct flight *flight);   /* after flight_finished */
bool flight_stop(struct flight *flight);  /* the same without waiting: false while a task of it still runs */
void flight_abort(struct flight *flight); /* stops and ends it; fine on a free slot */

/* DATA from a peer: would it fit any frame of this stream? BRAID_EPROTO says why not. */
BRAID_NODISCARD enum braid_status stream_check_data(const struct stream *stream, const struct braid_msg *msg);
/* Checked DATA into its frame. BRAID_EPROTO: rows that had arrived already. */
BRAID_NODISCARD enum braid_status flight_take(struct flight *flight, const struct braid_msg *msg);

#endif
