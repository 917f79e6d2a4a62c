/* SPDX-License-Identifier: Apache-2.0
 * Links over ZeroMQ: DEALER connects, ROUTER listens. A Braid message is [header] or [header][payload]; ROUTER adds the
 * routing id in front.
 *
 * - One ZeroMQ context a link, not one a process: closing a link then ends its I/O thread and waits for what is unsent
 * for at most LINGER_MS, whatever other links do, and there is no global state to lock. A process has one or two links,
 * so the price is one or two threads.
 * - Payloads are not copied: a sent one is lent to libzmq, which frees it through give_back(); a received one stays
 * inside its zmq_msg_t, which the message's owner keeps.
 * - Nothing queues without bound: both high-water marks are set, messages over max_payload_bytes end their connection
 * inside libzmq, the peer table is fixed, and senders above us hold back by credits.
 * - A DEALER does not learn that its peer has gone (it reconnects by itself, and the ROUTER sees a new peer then);
 * heartbeats above us do. */
#include "zmq_peers.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <zmq.h>

enum {
  LINGER_MS = 500,         /* a BYE or REFUSE may still leave at close, a dead peer does not hold us */
  HANDSHAKE_MS = 5000,     /* half-open connections end */
  RECONNECT_MS = 20,       /* first retry; doubled up to ... */
  RECONNECT_MAX_MS = 1000, /* ... one a second */
  UNREAD_MESSAGES = 64,    /* a connection; beyond it TCP pushes back. Low, since each may have max_payload_bytes */
  PENDING_CONNECTIONS = 128,
};

struct zmq_link {
  struct braid_link base;
  void *context, *socket;
  struct zmq_peers *peers; /* listening only */
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

/* Every socket option is set here, before bind or connect; keys and authentication (CURVE, ZAP) belong here too. */
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
  size_t largest = link->base.max_payload_bytes > BRAID_WIRE_HEADER_BYTES ? link->base.max_payload_bytes
                                                                          : (size_t)BRAID_WIRE_HEADER_BYTES;
  int64_t max_part_bytes = largest < INT64_MAX ? (int64_t)largest : INT64_MAX;
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

static enum braid_status bind_socket(struct zmq_link *link, const char *uri, const struct tcp_uri *at) {
  char numeric[64] = "*", endpoint[LINK_ADDRESS_BYTES];
  if (strcmp(at->host, "*") != 0) BRAID_TRY(tcp_uri_resolve(uri, at->host, numeric, sizeof numeric));
  if (at->port == 0)
    snprintf(endpoint, sizeof endpoint, "tcp://%s:*", numeric);
  else
    snprintf(endpoint, sizeof endpoint, "tcp://%s:%d", numeric, at->port);
  if (zmq_bind(link->socket, endpoint)) return bind_failed(uri);
  size_t size = sizeof link->base.address;
  if (zmq_getsockopt(link->socket, ZMQ_LAST_ENDPOINT, link->base.address, &size))
    return fail_errno(uri, "bound address");
  return zmq_peers_create(&link->peers);
}

/* The name is looked up once to report a wrong one, but libzmq gets the name: it looks it up again when it reconnects.
 */
static enum braid_status connect_socket(struct zmq_link *link, const char *uri, const struct tcp_uri *to) {
  char numeric[64], endpoint[LINK_ADDRESS_BYTES];
  if (to->port == 0) return braid_fail(BRAID_EINVAL, "%s: a port to connect to is missing", uri);
  BRAID_TRY(tcp_uri_resolve(uri, to->host, numeric, sizeof numeric));
  snprintf(endpoint, sizeof endpoint, "tcp://%s:%d", to->host, to->port);
  return zmq_connect(link->socket, endpoint) ? fail_errno(uri, "cannot connect") : BRAID_OK;
}

static void close_link(struct braid_link *base) {
  struct zmq_link *link = of(base);
  if (link->socket) zmq_close(link->socket);
  while (link->context && zmq_ctx_term(link->context) && zmq_errno() == EINTR) continue;
  zmq_peers_destroy(&link->peers);
  braid_free(link);
}

static const struct link_ops zmq_ops;

enum braid_status link_zmq_open(const char *uri, const struct braid_link_opts *opts, struct braid_link **out) {
  struct tcp_uri at;
  BRAID_TRY(tcp_uri_parse(uri, &at));
  struct zmq_link *link = braid_calloc(1, sizeof *link);
  if (!link) return braid_fail(BRAID_ENOMEM, "%s: no memory for a link", uri);
  link->base = (struct braid_link){&zmq_ops, opts->listen, opts->max_payload_bytes, {0}};
  snprintf(link->base.address, sizeof link->base.address, "%s", uri);
  enum braid_status status = BRAID_OK;
  if (!(link->context = zmq_ctx_new()) ||
      !(link->socket = zmq_socket(link->context, opts->listen ? ZMQ_ROUTER : ZMQ_DEALER)))
    status = fail_errno(uri, "socket");
  if (status == BRAID_OK) status = set_options(link);
  if (status == BRAID_OK) status = opts->listen ? bind_socket(link, uri, &at) : connect_socket(link, uri, &at);
  if (status == BRAID_OK)
    *out = &link->base;
  else
    close_link(&link->base);
  return status;
}

/* ------------------------------------------------------------------------------------------------ sending */

/* libzmq calls this on its own thread when the last byte has left. */
static void give_back(void *payload, void *hint) {
  struct payload_owner *owner = hint;
  if (owner)
    owner->release(owner);
  else
    braid_free(payload);
}

static enum braid_status send_failed(struct zmq_link *link, braid_peer peer) {
  switch (zmq_errno()) {
  case EAGAIN:
    return braid_fail(BRAID_EBUSY, "%s: the send queue is full", link->base.address);
  case EHOSTUNREACH:
    zmq_peers_forget(link->peers, peer);
    return braid_fail(BRAID_ECLOSED, "%s: the peer has gone", link->base.address);
  default:
    return fail_errno(link->base.address, "cannot send");
  }
}

/* A blocking-free send that is retried when a signal came in between. */
static int send_bytes(void *socket, const void *bytes, size_t size, int flags) {
  int sent;
  do sent = zmq_send(socket, bytes, size, flags | ZMQ_DONTWAIT);
  while (sent < 0 && zmq_errno() == EINTR);
  return sent;
}

static enum braid_status send_routing_id(struct zmq_link *link, braid_peer peer) {
  const struct routing_id *id = zmq_peers_find(link->peers, peer);
  if (!id) return braid_fail(BRAID_ECLOSED, "%s: the peer has gone", link->base.address);
  if (send_bytes(link->socket, id->bytes, id->size, ZMQ_SNDMORE) < 0) return send_failed(link, peer);
  return BRAID_OK;
}

/* The first part decides whether there is room: libzmq counts whole messages against its marks and never refuses later
 * parts for that. (When the peer goes in between, it drops the rest and reports nothing.) */
static enum braid_status send_envelope(struct zmq_link *link, braid_peer peer, const struct braid_msg *msg) {
  uint8_t header[BRAID_WIRE_HEADER_BYTES];
  braid_wire_encode_header(msg, header);
  if (link->base.listen) BRAID_TRY(send_routing_id(link, peer));
  if (send_bytes(link->socket, header, sizeof header, msg->payload_bytes ? ZMQ_SNDMORE : 0) < 0)
    return send_failed(link, peer);
  return BRAID_OK;
}

/* Only called once the envelope has left. */
static enum braid_status send_payload(struct zmq_link *link, const struct braid_msg *msg) {
  zmq_msg_t part;
  if (zmq_msg_init_data(&part, msg->payload, msg->payload_bytes, give_back, msg->owner)) {
    send_bytes(link->socket, "", 0, 0); /* ends the message begun; the receiver drops it as malformed */
    return braid_fail(BRAID_ENOMEM, "%s: no memory to send a message", link->base.address);
  }
  int sent;
  do sent = zmq_msg_send(&part, link->socket, ZMQ_DONTWAIT);
  while (sent < 0 && zmq_errno() == EINTR);
  if (sent < 0)
    zmq_msg_close(&part); /* the connection ended between the parts: lost on the way, like any message then */
  return BRAID_OK;
}

static enum braid_status send_message(struct braid_link *base, braid_peer peer, struct braid_msg *msg) {
  struct zmq_link *link = of(base);
  BRAID_TRY(send_envelope(link, peer, msg));
  if (msg->payload_bytes == 0) {
    braid_msg_release(msg);
    return BRAID_OK;
  }
  BRAID_TRY(send_payload(link, msg));
  memset(msg, 0, sizeof *msg);
  return BRAID_OK;
}

/* ---------------------------------------------------------------------------------------------- receiving */

struct zmq_payload {
  struct payload_owner owner;
  zmq_msg_t part;
};

static void release_payload(struct payload_owner *owner) {
  struct zmq_payload *payload = (struct zmq_payload *)(void *)owner;
  zmq_msg_close(&payload->part);
  braid_free(payload);
}

/* Initialises and fills `part`; false (and nothing to close) when there is none. Parts of one message arrive together.
 */
static bool recv_part(void *socket, zmq_msg_t *part) {
  int got;
  zmq_msg_init(part);
  do got = zmq_msg_recv(part, socket, ZMQ_DONTWAIT);
  while (got < 0 && zmq_errno() == EINTR);
  if (got < 0) zmq_msg_close(part);
  return got >= 0;
}

static void drop_rest(void *socket, bool more) {
  zmq_msg_t part;
  while (more && recv_part(socket, &part)) {
    more = zmq_msg_more(&part);
    zmq_msg_close(&part);
  }
}

/* The part with the routing id. A ROUTER always puts one there. */
static bool recv_routing_id(struct zmq_link *link, braid_peer *peer) {
  zmq_msg_t part;
  if (!recv_part(link->socket, &part)) return false;
  *peer = zmq_peers_heard(link->peers, zmq_msg_data(&part), zmq_msg_size(&part));
  zmq_msg_close(&part);
  return true;
}

static enum braid_status recv_header(struct zmq_link *link, struct braid_msg *msg, bool *more) {
  zmq_msg_t part;
  *more = false;
  if (!recv_part(link->socket, &part)) return BRAID_ETIMEDOUT;
  *more = zmq_msg_more(&part);
  enum braid_status status =
      braid_wire_decode_header(zmq_msg_data(&part), zmq_msg_size(&part), link->base.max_payload_bytes, msg);
  zmq_msg_close(&part);
  return status;
}

static enum braid_status check_payload(const struct braid_msg *msg, zmq_msg_t *part) {
  if (zmq_msg_more(part)) return braid_fail(BRAID_EPROTO, "message of more than two parts");
  if (zmq_msg_size(part) != msg->payload_bytes)
    return braid_fail(BRAID_EPROTO, "payload of %zu bytes where the header announces %zu", zmq_msg_size(part),
                      msg->payload_bytes);
  return BRAID_OK;
}

static enum braid_status recv_payload(struct zmq_link *link, struct braid_msg *msg, bool *more) {
  struct zmq_payload *payload = braid_malloc(sizeof *payload);
  if (!payload) return braid_fail(BRAID_ENOMEM, "%s: no memory to receive a message", link->base.address);
  payload->owner.release = release_payload;
  *more = recv_part(link->socket, &payload->part);
  if (!*more) { /* cannot happen: parts arrive together */
    braid_free(payload);
    return braid_fail(BRAID_EPROTO, "%s: payload is missing", link->base.address);
  }
  *more = zmq_msg_more(&payload->part);
  enum braid_status status = check_payload(msg, &payload->part);
  if (status != BRAID_OK) {
    release_payload(&payload->owner);
    return status;
  }
  msg->payload = zmq_msg_data(&payload->part);
  msg->owner = payload;
  return BRAID_OK;
}

static enum braid_status recv_message(struct braid_link *base, braid_peer *peer, struct braid_msg *msg) {
  struct zmq_link *link = of(base);
  struct braid_msg got;
  bool more;
  *peer = 0;
  if (base->listen && !recv_routing_id(link, peer)) return BRAID_ETIMEDOUT;
  enum braid_status status = recv_header(link, &got, &more);
  if (status == BRAID_OK && more != (got.payload_bytes > 0))
    status =
        braid_fail(BRAID_EPROTO, more ? "an unannounced part after the header" : "the announced payload is missing");
  if (status == BRAID_OK && more) status = recv_payload(link, &got, &more);
  if (status == BRAID_OK)
    *msg = got;
  else
    drop_rest(link->socket, more);
  return status;
}

static void wait_message(struct braid_link *base, int wake_fd, int64_t timeout_ns) {
  zmq_pollitem_t items[2] = {{.socket = of(base)->socket, .events = ZMQ_POLLIN}, {.fd = wake_fd, .events = ZMQ_POLLIN}};
  int64_t timeout_ms = timeout_ns < 0 ? -1 : timeout_ns / 1000000 + (timeout_ns % 1000000 > 0);
  zmq_poll(items, wake_fd >= 0 ? 2 : 1, timeout_ms > LONG_MAX ? LONG_MAX : (long)timeout_ms);
}

static const struct link_ops zmq_ops = {close_link, send_message, recv_message, wait_message};
