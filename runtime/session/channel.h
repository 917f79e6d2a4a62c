/* SPDX-License-Identifier: Apache-2.0
 * One conversation with one peer: what waits to be sent, credits, heartbeats. The edge has one channel, the cloud one
 * for every edge. All functions belong to the I/O thread; the fields under `mutex` are shared with workers. */
#ifndef SESSION_CHANNEL_H
#define SESSION_CHANNEL_H

#include "braid/runtime.h"
#include "session/io.h"

enum { CHANNEL_CONTROL_MAX = 8, CHANNEL_LOG = 1024 };

/* DATA on its way, for the trace: what, and where it ends in the stream of bytes sent. */
struct sent_data {
  uint64_t end_offset, frame; /* the flight's name */
  int node;
  struct braid_band band;
  int64_t sent_ns;
  const char *name; /* of the tensor; lives as long as the graph */
};

struct flight;

struct channel {
  struct io *io;
  braid_peer peer;
  int64_t heartbeat_ns;

  /* --- under mutex: workers put rows here (session/stream.c) */
  pthread_mutex_t mutex;
  struct braid_outbox *outbox;
  enum braid_status failed; /* rows could not be queued: the session cannot go on */

  /* --- I/O thread */
  struct braid_estimator estimator;
  struct braid_pace pace;              /* of DATA sent */
  double peer_bits_per_s, peer_load;   /* as the peer reports: of its DATA, of its workers; 0: not known */
  double peer_busy;                    /* as the peer reports: share of its workers' time that is taken; 0: not known */
  double load, busy;                   /* own, to be reported */
  struct braid_msg parked; /* packed DATA that the link had no room for */
  const char *parked_name; /* for the trace, as is the frame */
  uint64_t parked_frame;
  struct braid_msg control[CHANNEL_CONTROL_MAX]; /* likewise, control messages in order */
  int n_control;
  size_t untold_bytes; /* DATA taken whose credit the sender has not got back yet */
  bool untold_held;    /* some of it had to wait here */
  size_t probe_bytes;  /* PONG payload that the peer may still ask for */
  int64_t silent_ns;   /* silence observed while polling; not time that this process slept */
  int64_t ticked_ns, ping_at_ns, probe_refill_ns, last_stamp_ns;
  uint64_t sent_bytes, received_bytes; /* payloads of DATA */
  uint64_t sent_messages, acks_heard;  /* DATA messages; each is acknowledged at most once */
  double may_say, may_say_bytes;       /* messages beside DATA and ACK that the peer may still send now, and their payload */
  int64_t may_say_ns;

  /* --- I/O thread, only with a trace */
  struct braid_trace *trace;
  int lane, sent_lane, came_lane; /* the wire; marks where DATA was sent, and where it came */
  struct sent_data *log; /* ring */
  int log_begin, log_count;
  uint64_t log_offset, log_acked;
  int64_t log_free_ns; /* when the wire was free again, as far as acks tell */
};

/* `lane`: name of the trace's row for the direction that is sent in ("uplink 5"); the rows for DATA sent and come have
 * the number of it. Fine to fini after a failed init. */
BRAID_NODISCARD enum braid_status channel_init(struct channel *ch, struct io *io, braid_peer peer, int64_t heartbeat_ns,
                                               struct braid_trace *trace, const char *lane);
void channel_fini(struct channel *ch); /* every stream of it destroyed */

/* Sends a control message ahead of all data; takes the payload in every case. */
BRAID_NODISCARD enum braid_status channel_send(struct channel *ch, struct braid_msg *msg);
bool channel_has_room(const struct channel *ch); /* channel_send cannot fail for BRAID_EBUSY */
BRAID_NODISCARD enum braid_status channel_send_text(struct channel *ch, enum braid_msg_type type, const char *text,
                                                    uint32_t begin, uint32_t node);
/* A PING with `up_bytes` of payload asking for `down_bytes` in the answer; its stamp tells the answer. */
BRAID_NODISCARD enum braid_status channel_ping(struct channel *ch, size_t up_bytes, size_t down_bytes,
                                               int64_t *stamp_ns);
/* PING, PONG and ACK of the peer. BRAID_EPROTO: credit for bytes that were never sent. */
BRAID_NODISCARD enum braid_status channel_hear(struct channel *ch, const struct braid_msg *msg, int64_t now_ns);
/* Any message counts as a sign of life. */
static inline void channel_alive(struct channel *ch) {
  ch->silent_ns = 0;
}
/* Every message of the peer comes by here before it is looked at. BRAID_EPROTO: more of them beside DATA, or more bytes, than
 * a peer has any use for, or ACKs that answer nothing. */
BRAID_NODISCARD enum braid_status channel_admit(struct channel *ch, const struct braid_msg *msg, int64_t now_ns);
/* DATA of that size was taken: its credit goes back with the next flush. */
void channel_took(struct channel *ch, size_t bytes);
/* For the trace: DATA of `flight` came at `came_ns`. */
void channel_note_came(struct channel *ch, const struct flight *flight, const struct braid_msg *msg, int64_t came_ns);
static inline void channel_held(struct channel *ch) { /* some of what was taken last had to wait here */
  ch->untold_held = true;
}
BRAID_NODISCARD enum braid_status channel_flush_credit(struct channel *ch);
/* Sends what can be sent now: parked messages, credit, then rows as credit allows. */
BRAID_NODISCARD enum braid_status channel_pump(struct channel *ch, int64_t now_ns);
/* The parts of pump, for rows that go elsewhere: takes some of the most urgent rows out of the outbox, false when it is
 * empty; with `last` the flight is to be released afterwards. Packs them as DATA. */
bool channel_take(struct channel *ch, struct braid_send_item *item, bool *last);
BRAID_NODISCARD enum braid_status channel_pack(const struct braid_send_item *item, struct braid_msg *msg);
/* How large a part of something long may be sent now beside rows, so that heartbeats get through; 0: wait for credit.
 * Who sends it tells the estimator, as of DATA. */
size_t channel_part_bytes(const struct channel *ch);
/* Heartbeat. BRAID_ETIMEDOUT: the peer has been silent for two of them. */
BRAID_NODISCARD enum braid_status channel_tick(struct channel *ch, int64_t now_ns);
/* How long the I/O thread may sleep as far as this channel goes. */
int64_t channel_sleep_ns(const struct channel *ch, int64_t now_ns);

#endif
