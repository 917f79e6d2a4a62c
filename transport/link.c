/* SPDX-License-Identifier: Apache-2.0
 * The front of both transports: chooses one by the URI's scheme and checks what does not depend on it. */
#include "link.h"

#include <assert.h>
#include <string.h>

enum { DEFAULT_MAX_PAYLOAD_BYTES = 64 << 20 };

static const struct {
  const char *prefix;
  enum braid_status (*open)(const char *uri, const struct braid_link_opts *opts, struct braid_link **out);
} transports[] = {
    {"tcp://", link_zmq_open},
    {"inproc://", link_inproc_open},
    {"join+", link_join_open},
};

enum braid_status braid_link_open(const char *uri, const struct braid_link_opts *opts, struct braid_link **out) {
  if (strlen(uri) >= LINK_ADDRESS_BYTES / 2) return braid_fail(BRAID_EINVAL, "link address is too long: %.80s...", uri);
  struct braid_link_opts filled = *opts;
  if (filled.max_payload_bytes == 0) filled.max_payload_bytes = DEFAULT_MAX_PAYLOAD_BYTES;
  for (size_t i = 0; i < sizeof transports / sizeof *transports; i++)
    if (strncmp(uri, transports[i].prefix, strlen(transports[i].prefix)) == 0)
      return transports[i].open(uri, &filled, out);
  return braid_fail(
      BRAID_EINVAL,
      "%s: unknown kind of link; write tcp://HOST:PORT or inproc://NAME, to join a broker join+tcp://HOST:PORT", uri);
}

void braid_link_close(struct braid_link **link) {
  if (!*link) return;
  (*link)->ops->close(*link);
  *link = NULL;
}

const char *braid_link_address(const struct braid_link *link) {
  return link->address;
}

enum braid_status braid_link_send(struct braid_link *link, braid_peer peer, struct braid_msg *msg) {
  assert(link->listen || peer == 0); /* 0 on a joined link: to the broker itself */
  if (msg->payload_bytes > link->max_payload_bytes)
    return braid_fail(BRAID_EINVAL, "%s: a message of %zu bytes is over the limit of %zu", link->address,
                      msg->payload_bytes, link->max_payload_bytes);
  return link->ops->send(link, peer, msg);
}

enum braid_status braid_link_recv(struct braid_link *link, braid_peer *peer, struct braid_msg *msg) {
  return link->ops->recv(link, peer, msg);
}

void braid_link_wait(struct braid_link *link, int wake_fd, int64_t timeout_ns) {
  link->ops->wait(link, wake_fd, timeout_ns);
}

void braid_link_drop(struct braid_link *link, braid_peer peer) {
  assert(link->listen);
  link->ops->drop(link, peer);
}

int braid_link_poll_fd(struct braid_link *link) {
  return link->ops->poll_fd(link);
}

const char *braid_link_peer_address(const struct braid_link *link, braid_peer peer) {
  return link->listen ? link->ops->peer_address(link, peer) : "";
}

const char *braid_link_peer_name(const struct braid_link *link, braid_peer peer) {
  return link->listen ? link->ops->peer_name(link, peer) : "";
}
