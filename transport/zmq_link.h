/* SPDX-License-Identifier: Apache-2.0
 * A link over ZeroMQ from the inside: link_zmq.c opens and closes it, zmq_io.c moves messages, zmq_attend.c watches
 * over its connections. Private to transport. */
#ifndef TRANSPORT_ZMQ_LINK_H
#define TRANSPORT_ZMQ_LINK_H

#include <zmq.h>

#include "zmq_conns.h"
#include "zmq_gate.h"
#include "zmq_peers.h"

enum { NEWS_MAX = 32, NEWS_BYTES = 200 };

/* Who was turned away and why, until the link's owner hears it. Bounded in number and in rate. */
struct zmq_news {
  char text[NEWS_MAX][NEWS_BYTES];
  int first, count;
  int told, untold; /* in this second */
  int64_t second_ns;
};

struct zmq_link {
  struct braid_link base;
  void *context, *socket, *watch;
  int socket_fd, watch_fd, gate_fd; /* ZMQ_FD of the sockets; -1: no such socket */
  int poll_fd;                      /* an epoll set of them; 0: not asked for yet */
  bool curve;
  /* --- listening */
  struct zmq_peers *peers;
  struct zmq_conns *conns;
  struct zmq_gate *gate; /* NULL: in the clear */
  struct zmq_news news;
  bool turned; /* the last event was a failed handshake ... */
  uint32_t turned_detail;
  int64_t ticked_ns;
  /* --- connecting */
  bool joined;
  int64_t vanished_ns;               /* when a handshake broke off for the first time; 0: none has */
  char endpoint[LINK_ADDRESS_BYTES]; /* what libzmq connects to again and again; empty: it was told to stop */
  const char *ended;                 /* why the connection has ended; NULL: it has not */
};

/* zmq_io.c */
enum braid_status zmq_send_message(struct braid_link *base, braid_peer peer, struct braid_msg *msg);
enum braid_status zmq_recv_message(struct braid_link *base, braid_peer *peer, struct braid_msg *msg);

/* zmq_attend.c */
void zmq_wait_message(struct braid_link *base, int wake_fd, int64_t timeout_ns);
int zmq_poll_fd(struct braid_link *base);
void zmq_drop_peer(struct braid_link *base, braid_peer peer);
const char *zmq_peer_name(const struct braid_link *base, braid_peer peer);
const char *zmq_peer_address(const struct braid_link *base, braid_peer peer);
/* Once nothing can be received: who has gone or was turned away; else BRAID_ETIMEDOUT. */
enum braid_status zmq_tell_news(struct zmq_link *link, braid_peer *peer);
/* A peer's first message, `part` being one of its parts: finds its connection and identity. A peer that must not be
 * here is made deaf. */
void zmq_greet(struct zmq_link *link, struct zmq_peer *peer, const zmq_msg_t *part);

#endif
