/* SPDX-License-Identifier: Apache-2.0
 * Messages over ZeroMQ. A Braid message is [header] or [header][payload]; ROUTER adds the routing id in front. Payloads
 * are not copied: a sent one is lent to libzmq, which frees it through give_back(); a received one stays inside its
 * zmq_msg_t, which the message's owner keeps. */
#include "zmq_link.h"

#include <errno.h>
#include <string.h>

static struct zmq_link *of(struct braid_link *link) {
  return (struct zmq_link *)(void *)link;
}

static enum braid_status fail_errno(const char *address, const char *what) {
  return braid_fail(BRAID_EIO, "%s: %s: %s", address, what, zmq_strerror(zmq_errno()));
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

static enum braid_status send_routing_id(struct zmq_link *link, braid_peer number) {
  const struct zmq_peer *peer = zmq_peers_find(link->peers, number);
  if (!peer || peer->deaf) return braid_fail(BRAID_ECLOSED, "%s: the peer has gone", link->base.address);
  if (send_bytes(link->socket, peer->id.bytes, peer->id.size, ZMQ_SNDMORE) < 0) return send_failed(link, number);
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

enum braid_status zmq_send_message(struct braid_link *base, braid_peer peer, struct braid_msg *msg) {
  struct zmq_link *link = of(base);
  if (link->ended) return braid_fail(BRAID_ECLOSED, "%s: %s", base->address, link->ended);
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

/* The part with the routing id. A ROUTER always puts one there. NULL: nothing has come. */
static struct zmq_peer *recv_routing_id(struct zmq_link *link, bool *is_new) {
  zmq_msg_t part;
  if (!recv_part(link->socket, &part)) return NULL;
  struct zmq_peer *peer = zmq_peers_heard(link->peers, zmq_msg_data(&part), zmq_msg_size(&part), is_new);
  zmq_msg_close(&part);
  return peer;
}

/* A part that came from `peer` (NULL on a connecting link). */
static void count_part(const struct zmq_link *link, struct zmq_peer *peer, const zmq_msg_t *part) {
  if (peer) peer->taken_bytes += zmq_wire_bytes(zmq_msg_size(part), link->curve);
}

static enum braid_status check_payload(const struct braid_msg *msg, zmq_msg_t *part) {
  if (zmq_msg_more(part)) return braid_fail(BRAID_EPROTO, "message of more than two parts");
  if (zmq_msg_size(part) != msg->payload_bytes)
    return braid_fail(BRAID_EPROTO, "payload of %zu bytes where the header announces %zu", zmq_msg_size(part),
                      msg->payload_bytes);
  return BRAID_OK;
}

static enum braid_status recv_payload(struct zmq_link *link, struct zmq_peer *peer, struct braid_msg *msg, bool *more) {
  struct zmq_payload *payload = braid_malloc(sizeof *payload);
  if (!payload) return braid_fail(BRAID_ENOMEM, "%s: no memory to receive a message", link->base.address);
  payload->owner.release = release_payload;
  *more = recv_part(link->socket, &payload->part);
  if (!*more) { /* cannot happen: parts arrive together */
    braid_free(payload);
    return braid_fail(BRAID_EPROTO, "%s: payload is missing", link->base.address);
  }
  count_part(link, peer, &payload->part);
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

static void drop_rest(struct zmq_link *link, struct zmq_peer *peer, bool more) {
  zmq_msg_t part;
  while (more && recv_part(link->socket, &part)) {
    count_part(link, peer, &part);
    more = zmq_msg_more(&part);
    zmq_msg_close(&part);
  }
}

/* The parts behind the routing id. BRAID_ETIMEDOUT: there are none. */
static enum braid_status recv_parts(struct zmq_link *link, struct zmq_peer *peer, bool is_new, struct braid_msg *msg) {
  zmq_msg_t part;
  if (!recv_part(link->socket, &part)) return BRAID_ETIMEDOUT;
  bool more = zmq_msg_more(&part);
  count_part(link, peer, &part);
  if (is_new) zmq_greet(link, peer, &part);
  enum braid_status status =
      braid_wire_decode_header(zmq_msg_data(&part), zmq_msg_size(&part), link->base.max_payload_bytes, msg);
  zmq_msg_close(&part);
  if (status == BRAID_OK && more != (msg->payload_bytes > 0))
    status =
        braid_fail(BRAID_EPROTO, more ? "an unannounced part after the header" : "the announced payload is missing");
  if (status == BRAID_OK && more) status = recv_payload(link, peer, msg, &more);
  if (status != BRAID_OK) drop_rest(link, peer, more);
  return status;
}

/* What a deaf peer still sends is not looked at; its connection ends soon. */
enum braid_status zmq_recv_message(struct braid_link *base, braid_peer *number, struct braid_msg *msg) {
  struct zmq_link *link = of(base);
  for (;;) {
    struct zmq_peer *peer = NULL;
    bool is_new = false;
    struct braid_msg got = {0};
    if (base->listen && !(peer = recv_routing_id(link, &is_new))) return zmq_tell_news(link, number);
    enum braid_status status = recv_parts(link, peer, is_new, &got);
    if (status == BRAID_ETIMEDOUT) return zmq_tell_news(link, number);
    *number = peer ? peer->number : 0;
    if (peer && peer->deaf) {
      if (status == BRAID_OK) braid_msg_release(&got);
      continue;
    }
    if (status == BRAID_OK) *msg = got;
    return status;
  }
}
