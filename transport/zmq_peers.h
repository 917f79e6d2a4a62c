/* SPDX-License-Identifier: Apache-2.0
 * The peers of a ROUTER socket: libzmq's routing ids on one side, braid_peer numbers on the other. Bounded. */
#ifndef TRANSPORT_ZMQ_PEERS_H
#define TRANSPORT_ZMQ_PEERS_H

#include "link.h"
#include "zmq_gate.h"

struct routing_id {
  uint8_t size;
  uint8_t bytes[255];
};

struct zmq_peer {
  braid_peer number; /* 0: the slot is free */
  struct routing_id id;
  struct zmq_identity identity; /* empty in the clear */
  int fd;                       /* of its connection; -1: not known */
  uint64_t taken_bytes;         /* on the wire, of its messages that were received */
  bool deaf;                    /* nothing more is taken from it */
  const char *leaving;          /* why it goes or has gone, which the link's owner is still to hear; NULL: it is here */
  /* private */
  uint64_t heard_at; /* in messages */
  int next;          /* in the same bucket */
};

struct zmq_peers;
enum braid_status zmq_peers_create(struct zmq_peers **out);
void zmq_peers_destroy(struct zmq_peers **peers);
/* The peer that just spoke; a new one for an unknown id (which may push the longest silent peer out). */
struct zmq_peer *zmq_peers_heard(struct zmq_peers *peers, const void *id, size_t size, bool *is_new);
struct zmq_peer *zmq_peers_find(struct zmq_peers *peers, braid_peer number); /* NULL: no such peer (any more) */
void zmq_peers_forget(struct zmq_peers *peers, braid_peer number);
/* Notes that it goes; the first reason counts. */
void zmq_peers_leave(struct zmq_peers *peers, struct zmq_peer *peer, const char *why);
/* One that leaves, NULL: none. Its reason is taken from it. */
struct zmq_peer *zmq_peers_next_leaving(struct zmq_peers *peers, const char **why);
/* The used slot with the lowest index >= *index, which is set behind it; NULL at the end. */
struct zmq_peer *zmq_peers_next(struct zmq_peers *peers, int *index);

#endif
