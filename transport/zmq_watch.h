/* SPDX-License-Identifier: Apache-2.0
 * What happens to the connections of a ZeroMQ socket, as libzmq's monitor tells. Private to transport. */
#ifndef TRANSPORT_ZMQ_WATCH_H
#define TRANSPORT_ZMQ_WATCH_H

#include "link.h"

enum zmq_happening {
  ZMQ_CAME,     /* listening: accepted; fd */
  ZMQ_JOINED,   /* the handshake is over */
  ZMQ_TURNED,   /* the handshake failed; `why` says how; ZMQ_LEFT of the same connection follows at once */
  ZMQ_VANISHED, /* the connection ended during the handshake, no reason known; likewise */
  ZMQ_LEFT      /* disconnected; fd, which may have been given away since */
};
struct zmq_event {
  enum zmq_happening what;
  int fd;
  uint32_t detail; /* of ZMQ_TURNED: ZMQ_PROTOCOL_ERROR_..., or a ZAP status (300 to 500) */
};

/* Before bind or connect. NULL and a recorded failure when that cannot be. */
void *zmq_watch_open(void *context, void *socket);
void zmq_watch_close(void *watch); /* before `socket`; NULL is fine */
/* The next event; false when there is none. Never blocks. */
bool zmq_watch_next(void *watch, struct zmq_event *event);

#endif
