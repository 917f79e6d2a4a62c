/* SPDX-License-Identifier: Apache-2.0
 * The peers of a ROUTER socket: libzmq's routing ids on one side, braid_peer numbers on the other. Bounded. */
#ifndef TRANSPORT_ZMQ_PEERS_H
#define TRANSPORT_ZMQ_PEERS_H

#include "link.h"

struct zmq_peers;
struct routing_id {
  uint8_t size;
  uint8_t bytes[255];
};

enum braid_status zmq_peers_create(struct zmq_peers **out);
void zmq_peers_destroy(struct zmq_peers **peers);
/* The number of a peer that just spoke; a new one for an unknown id (which may push the longest silent peer out). */
braid_peer zmq_peers_heard(struct zmq_peers *peers, const void *id, size_t size);
/* NULL: no such peer (any more). */
const struct routing_id *zmq_peers_find(const struct zmq_peers *peers, braid_peer peer);
void zmq_peers_forget(struct zmq_peers *peers, braid_peer peer);

#endif
