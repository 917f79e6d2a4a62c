/* SPDX-License-Identifier: Apache-2.0
 * The connections behind a ROUTER socket, by their descriptors. libzmq offers no way to end one of them, to bound what
 * one has sent of an unfinished message, or to learn that one has gone; the kernel does. Bounded. Private to transport.
 */
#ifndef TRANSPORT_ZMQ_CONNS_H
#define TRANSPORT_ZMQ_CONNS_H

#include "link.h"

struct zmq_conn {
  int fd;          /* libzmq's */
  char from[64];   /* "ADDRESS:PORT" of the other end */
  char address[48]; /* its ADDRESS alone */
  braid_peer peer; /* 0: has said nothing yet */
  int64_t since_ns;
  int64_t cut_ns; /* when it is to be cut; 0: not */
};

struct zmq_conns;
enum braid_status zmq_conns_create(struct zmq_conns **out);
void zmq_conns_destroy(struct zmq_conns **conns);
int zmq_conns_count(const struct zmq_conns *conns);
struct zmq_conn *zmq_conns_at(struct zmq_conns *conns, int index); /* 0 <= index < count; order changes by remove */
/* NULL: the table is full (the connection was cut), or the connection has gone already. */
struct zmq_conn *zmq_conns_add(struct zmq_conns *conns, int fd, int64_t now_ns);
struct zmq_conn *zmq_conns_find(struct zmq_conns *conns, int fd); /* NULL: unknown */
void zmq_conns_remove(struct zmq_conns *conns, struct zmq_conn *conn);

/* Ends the connection: libzmq sees it closed, at the latest when it has read what is in the kernel, and cleans up. With
 * `now` what is in the kernel is thrown away too: somebody who sends faster than libzmq reads would never be cut
 * otherwise. Nothing happens when `fd` is another connection's by now. */
void zmq_conn_cut(const struct zmq_conn *conn, bool now);
/* Bytes that the kernel has received on it so far; 0 where it does not say. */
uint64_t zmq_conn_received_bytes(const struct zmq_conn *conn);
/* Bytes on the wire of a part: ZMTP 3 framing (RFC 23), and CURVE's box (RFC 26). */
uint64_t zmq_wire_bytes(size_t part_bytes, bool curve);

#endif
