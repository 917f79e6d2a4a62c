/* SPDX-License-Identifier: Apache-2.0
 * What the two transports share: the operations of a link, and who owns a received payload. Private to transport. */
#ifndef TRANSPORT_LINK_H
#define TRANSPORT_LINK_H

#include "braid/transport.h"

enum {
  LINK_MAX_PEERS = 1024,       /* per listening link; the peer silent for longest is forgotten first */
  LINK_QUEUED_MESSAGES = 1024, /* per direction of a connection; bytes are bounded by the credits above us */
  LINK_ADDRESS_BYTES = 320
};

struct link_ops {
  void (*close)(struct braid_link *link);
  enum braid_status (*send)(struct braid_link *link, braid_peer peer, struct braid_msg *msg);
  enum braid_status (*recv)(struct braid_link *link, braid_peer *peer, struct braid_msg *msg);
  void (*wait)(struct braid_link *link, int wake_fd, int64_t timeout_ns);
  void (*drop)(struct braid_link *link, braid_peer peer);
  const char *(*peer_name)(const struct braid_link *link, braid_peer peer);
  const char *(*peer_address)(const struct braid_link *link, braid_peer peer);
  int (*poll_fd)(struct braid_link *link);
};

/* First member of every transport's own struct. */
struct braid_link {
  const struct link_ops *ops;
  bool listen;
  size_t max_payload_bytes;
  char address[LINK_ADDRESS_BYTES];
};

/* Every payload has BRAID_WIRE_HEADER_BYTES before it that belong to the message too.
 * Keeps a payload that was not made by braid_msg_init alive. First member of a transport's own struct; `release` frees
 * payload and owner and may be called on any thread. */
struct payload_owner {
  void (*release)(struct payload_owner *owner);
};

enum braid_status link_zmq_open(const char *uri, const struct braid_link_opts *opts, struct braid_link **out);
enum braid_status link_join_open(const char *uri, const struct braid_link_opts *opts, struct braid_link **out);
enum braid_status link_inproc_open(const char *uri, const struct braid_link_opts *opts, struct braid_link **out);

/* "tcp://HOST:PORT" taken apart. Port "*" or 0: any. */
struct tcp_uri {
  char host[256];
  int port;
};
enum braid_status tcp_uri_parse(const char *uri, struct tcp_uri *out);
/* The IPv4 address of `host` in numbers, into `numeric`. */
enum braid_status tcp_uri_resolve(const char *uri, const char *host, char *numeric, size_t size);

#endif
