/* SPDX-License-Identifier: Apache-2.0
 * Links over ZeroMQ: DEALER connects, ROUTER listens. Opened and closed here; zmq_io.c sends and receives, zmq_attend.c
 * watches over connections.
 *
 * - One ZeroMQ context a link, not one a process: closing a link then ends its I/O thread and waits for what is unsent
 * for at most LINGER_MS, whatever other links do, and there is no global state to lock. A process has one or two links,
 * so the price is one or two threads.
 * - Nothing queues without bound: both high-water marks are set, messages over max_payload_bytes end their connection
 * inside libzmq, the tables are fixed, what never becomes a whole message is cut off, and senders above us hold back by
 * credits.
 * - With keys, a client that the gate does not know gets no further than CURVE's handshake. */
#include "zmq_link.h"
#include "zmq_watch.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
  LINGER_MS = 500,         /* a BYE or REFUSE may still leave at close, a dead peer does not hold us */
  HANDSHAKE_MS = 5000,     /* half-open connections end */
  RECONNECT_MS = 50,       /* first retry; doubled up to ... */
  RECONNECT_MAX_MS = 1000, /* ... one a second */
  UNREAD_MESSAGES = 64,    /* a connection; beyond it TCP pushes back. Low, since each may have max_payload_bytes */
  PENDING_CONNECTIONS = 128,
};

static struct zmq_link *of(struct braid_link *link) {
  return (struct zmq_link *)(void *)link;
}

static enum braid_status fail_errno(const char *address, const char *what) {
  return braid_fail(BRAID_EIO, "%s: %s: %s", address, what, zmq_strerror(zmq_errno()));
}

/* ------------------------------------------------------------------------------------------------ opening */

struct int_option {
  int name, value;
};

static enum braid_status set_text(struct zmq_link *link, int option, const char *text) {
  if (zmq_setsockopt(link->socket, option, text, strlen(text)) == 0) return BRAID_OK;
  return fail_errno(link->base.address, "socket option");
}

static enum braid_status set_key(struct zmq_link *link, int option, const char *key, const char *what) {
  if (zmq_setsockopt(link->socket, option, key, BRAID_KEY_BYTES) == 0) return BRAID_OK;
  return braid_fail(BRAID_EINVAL, "%s: the %s key is not one (or libzmq was built without CURVE)", link->base.address,
                    what);
}

static enum braid_status set_keys(struct zmq_link *link, const struct braid_link_keys *keys) {
  link->curve = true;
  BRAID_TRY(set_key(link, ZMQ_CURVE_SECRETKEY, keys->secret_key, "secret"));
  if (!link->base.listen) {
    BRAID_TRY(set_key(link, ZMQ_CURVE_PUBLICKEY, keys->public_key, "public"));
    return set_key(link, ZMQ_CURVE_SERVERKEY, keys->server_key, "server's");
  }
  int server = 1;
  if (!keys->allowed) return braid_fail(BRAID_EINVAL, "%s: keys without a list of those allowed", link->base.address);
  if (zmq_setsockopt(link->socket, ZMQ_CURVE_SERVER, &server, sizeof server))
    return fail_errno(link->base.address, "socket option");
  BRAID_TRY(set_text(link, ZMQ_ZAP_DOMAIN, "braid"));
  return zmq_gate_open(link->context, keys->allowed, &link->gate);
}

/* Every socket option but the keys is set here, before bind or connect. */
static enum braid_status set_options(struct zmq_link *link) {
  const struct int_option options[] = {
      {ZMQ_LINGER, LINGER_MS},
      {ZMQ_SNDHWM, LINK_QUEUED_MESSAGES},
      {ZMQ_RCVHWM, UNREAD_MESSAGES},
      {ZMQ_IPV6, 0},
      {ZMQ_BACKLOG, PENDING_CONNECTIONS},
      {ZMQ_HANDSHAKE_IVL, HANDSHAKE_MS},
      {ZMQ_RECONNECT_IVL, RECONNECT_MS},
      {ZMQ_RECONNECT_IVL_MAX, RECONNECT_MAX_MS},
  };
  for (size_t i = 0; i < sizeof options / sizeof *options; i++)
    if (zmq_setsockopt(link->socket, options[i].name, &options[i].value, sizeof options[i].value))
      return fail_errno(link->base.address, "socket option");
  int mandatory = 1; /* sending to a peer that has gone is an error, not silence */
  if (link->base.listen && zmq_setsockopt(link->socket, ZMQ_ROUTER_MANDATORY, &mandatory, sizeof mandatory))
    return fail_errno(link->base.address, "socket option");
  size_t largest;
  bool fits = braid_add_size(link->base.max_payload_bytes, BRAID_WIRE_HEADER_BYTES, &largest) && largest < INT64_MAX;
  int64_t max_part_bytes = fits ? (int64_t)largest : INT64_MAX;
  if (zmq_setsockopt(link->socket, ZMQ_MAXMSGSIZE, &max_part_bytes, sizeof max_part_bytes))
    return fail_errno(link->base.address, "socket option");
  return BRAID_OK;
}

static enum braid_status bind_failed(const char *uri) {
  int reason = zmq_errno();
  if (reason == EADDRINUSE)
    return braid_fail(BRAID_EBUSY, "%s: address already in use - choose another port or stop the other process", uri);
  if (reason == EACCES) return braid_fail(BRAID_EIO, "%s: not allowed to listen there - choose a port above 1023", uri);
  if (reason == EADDRNOTAVAIL || reason == ENODEV)
    return braid_fail(BRAID_EIO, "%s: this machine has no such address - listen on one of its own or on *", uri);
  return fail_errno(uri, "cannot listen");
}

/* In the clear anybody who reaches the port is served. */
static enum braid_status check_clear(const char *uri, const char *numeric, const struct braid_link_opts *opts) {
  if (opts->keys || opts->allow_clear || strncmp(numeric, "127.", 4) == 0) return BRAID_OK;
  return braid_fail(BRAID_EINVAL,
                    "%s: other machines can reach this address, and without keys anybody is served: make keys with "
                    "'braid keys DIR' and give --keys DIR, or say --insecure to listen in the clear",
                    uri);
}

static enum braid_status bind_socket(struct zmq_link *link, const char *uri, const struct tcp_uri *at,
                                     const struct braid_link_opts *opts) {
  char numeric[64] = "*", endpoint[LINK_ADDRESS_BYTES];
  if (strcmp(at->host, "*") != 0) BRAID_TRY(tcp_uri_resolve(uri, at->host, numeric, sizeof numeric));
  BRAID_TRY(check_clear(uri, numeric, opts));
  if (at->port == 0)
    snprintf(endpoint, sizeof endpoint, "tcp://%s:*", numeric);
  else
    snprintf(endpoint, sizeof endpoint, "tcp://%s:%d", numeric, at->port);
  if (zmq_bind(link->socket, endpoint)) return bind_failed(uri);
  size_t size = sizeof link->base.address;
  if (zmq_getsockopt(link->socket, ZMQ_LAST_ENDPOINT, link->base.address, &size))
    return fail_errno(uri, "bound address");
  return BRAID_OK;
}

/* The name is looked up once to report a wrong one, but libzmq gets the name: it looks it up again when it reconnects.
 */
static enum braid_status connect_socket(struct zmq_link *link, const char *uri, const struct tcp_uri *to) {
  char numeric[64], endpoint[LINK_ADDRESS_BYTES];
  if (to->port == 0) return braid_fail(BRAID_EINVAL, "%s: a port to connect to is missing", uri);
  BRAID_TRY(tcp_uri_resolve(uri, to->host, numeric, sizeof numeric));
  snprintf(endpoint, sizeof endpoint, "tcp://%s:%d", to->host, to->port);
  if (zmq_connect(link->socket, endpoint)) return fail_errno(uri, "cannot connect");
  snprintf(link->endpoint, sizeof link->endpoint, "%s", endpoint);
  return BRAID_OK;
}

static void close_link(struct braid_link *base) {
  struct zmq_link *link = of(base);
  if (link->socket) zmq_close(link->socket);
  if (link->poll_fd > 0) close(link->poll_fd);
  zmq_watch_close(link->watch);
  zmq_gate_close(&link->gate);
  while (link->context && zmq_ctx_term(link->context) && zmq_errno() == EINTR) continue;
  zmq_peers_destroy(&link->peers);
  zmq_conns_destroy(&link->conns);
  braid_free(link);
}

static enum braid_status get_fd(const struct zmq_link *link, void *socket, int *fd) {
  size_t size = sizeof *fd;
  return zmq_getsockopt(socket, ZMQ_FD, fd, &size) ? fail_errno(link->base.address, "socket option") : BRAID_OK;
}

static enum braid_status make_parts(struct zmq_link *link, const struct braid_link_opts *opts) {
  if (!(link->context = zmq_ctx_new()) ||
      !(link->socket = zmq_socket(link->context, opts->listen ? ZMQ_ROUTER : ZMQ_DEALER)))
    return fail_errno(link->base.address, "socket");
  if (!(link->watch = zmq_watch_open(link->context, link->socket))) return BRAID_EIO;
  BRAID_TRY(set_options(link));
  if (opts->keys) BRAID_TRY(set_keys(link, opts->keys));
  link->gate_fd = -1;
  BRAID_TRY(get_fd(link, link->socket, &link->socket_fd));
  BRAID_TRY(get_fd(link, link->watch, &link->watch_fd));
  if (link->gate) BRAID_TRY(get_fd(link, zmq_gate_socket(link->gate), &link->gate_fd));
  if (!opts->listen) return BRAID_OK;
  BRAID_TRY(zmq_peers_create(&link->peers));
  return zmq_conns_create(&link->conns);
}

static const struct link_ops zmq_ops = {close_link,    zmq_send_message, zmq_recv_message, zmq_wait_message,
                                        zmq_drop_peer, zmq_peer_name,    zmq_peer_address, zmq_poll_fd};

enum braid_status link_zmq_open(const char *uri, const struct braid_link_opts *opts, struct braid_link **out) {
  struct tcp_uri at;
  BRAID_TRY(tcp_uri_parse(uri, &at));
  struct zmq_link *link = braid_calloc(1, sizeof *link);
  if (!link) return braid_fail(BRAID_ENOMEM, "%s: no memory for a link", uri);
  link->base = (struct braid_link){&zmq_ops, opts->listen, opts->max_payload_bytes, {0}};
  snprintf(link->base.address, sizeof link->base.address, "%s", uri);
  enum braid_status status = make_parts(link, opts);
  if (status == BRAID_OK) status = opts->listen ? bind_socket(link, uri, &at, opts) : connect_socket(link, uri, &at);
  if (status == BRAID_OK)
    *out = &link->base;
  else
    close_link(&link->base);
  return status;
}
