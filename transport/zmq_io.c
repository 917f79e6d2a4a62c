/* SPDX-License-Identifier: Apache-2.0
 * Messages over ZeroMQ. A Braid message is one part, header and payload; ROUTER adds the routing id in front.
 *
 * Large payloads are not copied: every payload has room for the header before it (msg.c), so a sent message is lent to
 * libzmq as it lies, which frees it through give_back(); a received one stays inside its zmq_msg_t, which the message's
 * owner keeps. Small ones are copied, which is quicker, and does not keep the 8 KiB block alive that libzmq reads into.
 */
#include "zmq_link.h"

#include <errno.h>
#include <string.h>

enum { COPIED_BYTES = 1 << 10 }; /* payloads up to here */

static struct zmq_link *of(struct braid_link *link) {
  return (struct zmq_link *)(void *)link;
}

/* ------------------------------------------------------------------------------------------------ sending */

/* libzmq calls this on its own thread when the last byte has left. */
static void give_back(void *message, void *hint) {
  struct payload_owner *owner = hint;
  if (owner)
    owner->release(owner);
  else
    braid_free(message);
}

static enum braid_status send_failed(struct zmq_link *link, braid_peer peer) {
  switch (zmq_errno()) {
  case EAGAIN:
    return braid_fail(BRAID_EBUSY, "%s: the send queue is full", link->base.address);
  case EHOSTUNREACH: /* libzmq knows before its event has been read: the same loss, in the same words */
    zmq_peers_forget(link->peers, peer);
    return braid_fail(BRAID_ECLOSED, "%s: connection lost", link->base.address);
  default:
    return braid_fail(BRAID_EIO, "%s: cannot send: %s", link->base.address, zmq_strerror(zmq_errno()));
  }
}

static enum braid_status send_routing_id(struct zmq_link *link, braid_peer number) {
  const struct zmq_peer *peer = zmq_peers_find(link->peers, number);
  if (!peer || peer->deaf) return braid_fail(BRAID_ECLOSED, "%s: the peer has gone", link->base.address);
  int sent;
  do sent = zmq_send(link->socket, peer->id.bytes, peer->id.size, ZMQ_SNDMORE | ZMQ_DONTWAIT);
  while (sent < 0 && zmq_errno() == EINTR);
  return sent < 0 ? send_failed(link, number) : BRAID_OK;
}

/* Header and payload as a part. A lent payload is the part's from then on: closing the part frees it. */
static enum braid_status make_part(const struct zmq_link *link, const struct braid_msg *msg, zmq_msg_t *part) {
  size_t size = BRAID_WIRE_HEADER_BYTES + msg->payload_bytes;
  bool lent = msg->payload_bytes > COPIED_BYTES;
  uint8_t *at = lent ? msg->payload - BRAID_WIRE_HEADER_BYTES : NULL;
  if (lent ? zmq_msg_init_data(part, at, size, give_back, msg->owner) : zmq_msg_init_size(part, size))
    return braid_fail(BRAID_ENOMEM, "%s: no memory to send a message", link->base.address);
  if (!lent) at = zmq_msg_data(part);
  braid_wire_encode_header(msg, at);
  if (!lent && msg->payload_bytes) memcpy(at + BRAID_WIRE_HEADER_BYTES, msg->payload, msg->payload_bytes);
  return BRAID_OK;
}

/* libzmq frees what was lent to it when a part that could not be sent is closed. So whether there is room is asked
 * first: by the routing id on a listening link, else by a look at the socket (a copied payload needs none). When the
 * peer goes after that the message is lost on the way, like any message then. */
static enum braid_status check_room(struct zmq_link *link, braid_peer peer, bool lent) {
  int events = ZMQ_POLLOUT;
  size_t size = sizeof events;
  if (link->base.listen) return send_routing_id(link, peer);
  if (lent && zmq_getsockopt(link->socket, ZMQ_EVENTS, &events, &size))
    return braid_fail(BRAID_EIO, "%s: cannot send: %s", link->base.address, zmq_strerror(zmq_errno()));
  if (events & ZMQ_POLLOUT) return BRAID_OK;
  return braid_fail(BRAID_EBUSY, "%s: the send queue is full", link->base.address);
}

static bool send_part(struct zmq_link *link, zmq_msg_t *part) {
  int sent;
  do sent = zmq_msg_send(part, link->socket, ZMQ_DONTWAIT);
  while (sent < 0 && zmq_errno() == EINTR);
  return sent >= 0;
}

enum braid_status zmq_send_message(struct braid_link *base, braid_peer peer, struct braid_msg *msg) {
  struct zmq_link *link = of(base);
  bool lent = msg->payload_bytes > COPIED_BYTES;
  zmq_msg_t part;
  if (link->ended) return braid_fail(BRAID_ECLOSED, "%s: %s", base->address, link->ended);
  BRAID_TRY(check_room(link, peer, lent));
  enum braid_status status = make_part(link, msg, &part);
  if (status != BRAID_OK) {
    if (base->listen) zmq_send(link->socket, "", 0, ZMQ_DONTWAIT); /* ends the message begun; dropped as malformed */
    return status;
  }
  if (!send_part(link, &part)) {
    if (!lent && !base->listen) status = send_failed(link, peer); /* no room: the caller keeps its payload */
    zmq_msg_close(&part);
    if (status != BRAID_OK) return status;
  }
  if (lent)
    memset(msg, 0, sizeof *msg);
  else
    braid_msg_release(msg);
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

static void drop_rest(struct zmq_link *link, struct zmq_peer *peer, bool more) {
  zmq_msg_t part;
  while (more && recv_part(link->socket, &part)) {
    count_part(link, peer, &part);
    more = zmq_msg_more(&part);
    zmq_msg_close(&part);
  }
}

static enum braid_status check_part(const struct zmq_link *link, zmq_msg_t *part, struct braid_msg *msg) {
  size_t size = zmq_msg_size(part), head = size < BRAID_WIRE_HEADER_BYTES ? size : BRAID_WIRE_HEADER_BYTES;
  BRAID_TRY(braid_wire_decode_header(zmq_msg_data(part), head, link->base.max_payload_bytes, msg));
  if (zmq_msg_more(part)) return braid_fail(BRAID_EPROTO, "message of more than one part");
  if (size - head == msg->payload_bytes) return BRAID_OK;
  return braid_fail(BRAID_EPROTO, "payload of %zu bytes where the header announces %zu", size - head,
                    msg->payload_bytes);
}

/* The payload of a checked part; takes the part when it is lent, else the part stays as it is. */
static enum braid_status take_payload(zmq_msg_t *part, struct braid_msg *msg, bool *taken) {
  struct braid_msg fields = *msg;
  *taken = fields.payload_bytes > COPIED_BYTES;
  if (!*taken) {
    BRAID_TRY(braid_msg_init(msg, fields.type, fields.payload_bytes));
    fields.payload = msg->payload;
    if (fields.payload_bytes)
      memcpy(fields.payload, (uint8_t *)zmq_msg_data(part) + BRAID_WIRE_HEADER_BYTES, fields.payload_bytes);
    *msg = fields;
    return BRAID_OK;
  }
  struct zmq_payload *payload = braid_malloc(sizeof *payload);
  if (!payload) return braid_fail(BRAID_ENOMEM, "no memory to receive a message");
  payload->owner.release = release_payload;
  zmq_msg_init(&payload->part);
  zmq_msg_move(&payload->part, part);
  msg->payload = (uint8_t *)zmq_msg_data(&payload->part) + BRAID_WIRE_HEADER_BYTES;
  msg->owner = payload;
  return BRAID_OK;
}

/* The part behind the routing id. BRAID_ETIMEDOUT: there is none. */
static enum braid_status recv_body(struct zmq_link *link, struct zmq_peer *peer, bool is_new, struct braid_msg *msg) {
  zmq_msg_t part;
  if (!recv_part(link->socket, &part)) return BRAID_ETIMEDOUT;
  bool more = zmq_msg_more(&part), taken = false;
  count_part(link, peer, &part);
  if (is_new) zmq_greet(link, peer, &part);
  enum braid_status status = check_part(link, &part, msg);
  if (status == BRAID_OK) status = take_payload(&part, msg, &taken);
  zmq_msg_close(&part); /* an empty one, when it was taken */
  drop_rest(link, peer, more);
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
    enum braid_status status = recv_body(link, peer, is_new, &got);
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
