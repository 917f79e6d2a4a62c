/* SPDX-License-Identifier: Apache-2.0
 * The broker from the inside. One I/O thread owns both links; everything here is its own. A relay is one edge's session
 * and the worker that has it. Private to runtime/broker. */
#ifndef BROKER_BROKER_H
#define BROKER_BROKER_H

#include "session/io.h"

enum { BROKER_ERROR_BYTES = 512, BROKER_WHO_BYTES = 96, BROKER_BUCKETS = 1024 };

struct worker {
  struct worker *next;
  braid_peer peer; /* at the back */
  char who[BROKER_WHO_BYTES];
  int sessions;
  uint32_t load; /* thousandths, as it said last */
  bool takes;    /* new sessions */
  int64_t heard_ns;
};

struct relay {
  struct relay *next; /* in its bucket */
  braid_peer edge;    /* at the front; also the session's number at the back */
  struct worker *worker;
};

/* One way through. A message that the other side has no room for is held, and nothing more is taken from this side
 * until it has left: so a slow receiver holds its senders up, and nothing piles up here. */
struct way {
  struct braid_msg held; /* type 0: none */
  braid_peer to;
};

struct braid_broker {
  struct braid_broker_opts opts; /* strings and keys in it are not used after start */
  struct braid_link *front, *back;
  struct io io; /* the eventfd that stop pokes; its link is the front */
  int events;   /* an epoll set of that eventfd and of the back: what the front's wait may be woken by */
  pthread_t thread;
  bool started;
  atomic_bool stop;
  int64_t heartbeat_ns;
  /* --- I/O thread */
  struct way up, down;
  struct worker *workers;
  struct relay *bucket[BROKER_BUCKETS];
  int n_workers, n_relays;
  struct { /* written by the I/O thread, read by any; relaxed: each counts for itself */
    atomic_int workers, sessions;
    _Atomic uint64_t messages, bytes, turns;
  } count;
};

void broker_event(const struct braid_broker *broker, const char *kind, const char *format, ...) BRAID_PRINTF(3, 4);
/* Ends an edge's session: it is told by BYE, so that it comes again at once. */
void broker_send_away(struct braid_broker *broker, const struct relay *relay);

/* workers.c */
struct worker *workers_find(const struct braid_broker *broker, braid_peer peer);
BRAID_NODISCARD enum braid_status workers_join(struct braid_broker *broker, braid_peer peer, int64_t now_ns);
/* Its sessions are sent away. `why` for people. */
void workers_lose(struct braid_broker *broker, struct worker *worker, const char *why);
void workers_drop_silent(struct braid_broker *broker, int64_t now_ns);
struct worker *workers_choose(const struct braid_broker *broker); /* the least loaded that takes one; NULL: none */

/* relays.c */
struct relay *relays_find(const struct braid_broker *broker, braid_peer edge);
struct relay *relays_add(struct braid_broker *broker, braid_peer edge, struct worker *worker); /* NULL: no memory */
void relays_remove(struct braid_broker *broker, struct relay *relay);
struct relay *relays_of(const struct braid_broker *broker, const struct worker *worker); /* one of its; NULL: none */
void relays_free(struct braid_broker *broker);

#endif
