/* SPDX-License-Identifier: Apache-2.0
 * A link that listens by joining a broker: one connection to it, on which the messages of all its edges come and go,
 * told apart by their session, the broker's number of the edge. To its owner each of them is a peer like any other.
 *
 * When the connection ends, all peers have gone; the link joins again, waiting longer each time, for as long as it is
 * open. Its owner's wait does that, as it does all else that takes time. */
#include "link.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define SECOND_NS INT64_C(1000000000)
#define AGAIN_FIRST_NS INT64_C(50000000)
#define AGAIN_LAST_NS INT64_C(1000000000)
#define JOIN_RETRY_NS INT64_C(10000000) /* while the connection has no room yet */

enum { NAME_BYTES = 64 };

struct guest {
  braid_peer number; /* 0: a free slot */
  bool leaving;      /* the owner is still to hear that it has gone */
  char name[NAME_BYTES], address[NAME_BYTES];
};

struct join_link {
  struct braid_link base;
  char inner_uri[LINK_ADDRESS_BYTES];
  struct braid_link_opts opts;
  struct braid_link_keys keys; /* for the next connection */
  struct braid_link *inner;    /* NULL: not connected */
  bool told;                   /* JOIN has been sent */
  int failures;
  int64_t again_ns;
  struct guest guest[LINK_MAX_PEERS];
};

static struct join_link *of(struct braid_link *link) {
  return (struct join_link *)(void *)link;
}

static int64_t now(void) {
  struct braid_clock clock = braid_clock_monotonic();
  return braid_now_ns(&clock);
}

/* -------------------------------------------------------------------------------------------------- guests */

static struct guest *find(const struct join_link *link, braid_peer number) {
  const struct guest *guest = link->guest;
  for (int i = 0; i < LINK_MAX_PEERS && number != 0; i++)
    if (guest[i].number == number) return (struct guest *)(uintptr_t)&guest[i];
  return NULL;
}

static void copy_word(char to[NAME_BYTES], const char *from, size_t n) {
  snprintf(to, NAME_BYTES, "%.*s", (int)(n < NAME_BYTES ? n : NAME_BYTES - 1), from);
}

/* MEET: name, newline, address. Without a free place the broker is told that it goes. */
static void meet(struct join_link *link, const struct braid_msg *msg) {
  struct guest *guest = NULL;
  const char *text = (const char *)msg->payload;
  size_t n = msg->payload_bytes;
  for (int i = 0; i < LINK_MAX_PEERS && !guest; i++)
    if (link->guest[i].number == 0) guest = &link->guest[i];
  if (msg->session == 0 || find(link, msg->session)) return;
  if (!guest) {
    struct braid_msg gone = {.type = BRAID_MSG_GONE, .session = msg->session};
    if (braid_link_send(link->inner, 0, &gone) != BRAID_OK) braid_msg_release(&gone);
    return;
  }
  const char *end = n ? memchr(text, '\n', n) : NULL;
  size_t name_bytes = end ? (size_t)(end - text) : n;
  *guest = (struct guest){.number = msg->session};
  copy_word(guest->name, text, name_bytes);
  if (end) copy_word(guest->address, end + 1, n - name_bytes - 1);
}

static enum braid_status tell_gone(struct join_link *link, struct guest *guest, braid_peer *peer) {
  *peer = guest->number;
  *guest = (struct guest){.number = 0};
  return braid_fail(BRAID_ECLOSED, "%s: the edge has gone", link->base.address);
}

static struct guest *next_leaving(struct join_link *link) {
  for (int i = 0; i < LINK_MAX_PEERS; i++)
    if (link->guest[i].number != 0 && link->guest[i].leaving) return &link->guest[i];
  return NULL;
}

/* ---------------------------------------------------------------------------------------------- connection */

static void lose_broker(struct join_link *link, const char *why) {
  braid_log(BRAID_LOG_WARN, "no broker: %s", why);
  braid_link_close(&link->inner);
  for (int i = 0; i < LINK_MAX_PEERS; i++) link->guest[i].leaving = link->guest[i].number != 0;
  int64_t wait_ns = AGAIN_FIRST_NS << (link->failures < 5 ? link->failures : 5);
  link->failures++;
  link->again_ns = now() + (wait_ns < AGAIN_LAST_NS ? wait_ns : AGAIN_LAST_NS);
}

static void say_join(struct join_link *link) {
  struct braid_msg msg = {.type = BRAID_MSG_JOIN};
  link->told = braid_link_send(link->inner, 0, &msg) == BRAID_OK;
}

static enum braid_status connect_broker(struct join_link *link) {
  link->told = false;
  BRAID_TRY(braid_link_open(link->inner_uri, &link->opts, &link->inner));
  say_join(link);
  return BRAID_OK;
}

/* --------------------------------------------------------------------------------------------- operations */

static enum braid_status send_message(struct braid_link *base, braid_peer peer, struct braid_msg *msg) {
  struct join_link *link = of(base);
  const struct guest *guest = find(link, peer);
  if (!link->inner || (peer != 0 && (!guest || guest->leaving)))
    return braid_fail(BRAID_ECLOSED, "%s: the peer has gone", base->address);
  msg->session = peer;
  enum braid_status status = braid_link_send(link->inner, 0, msg);
  return status == BRAID_ECLOSED && peer == 0 ? BRAID_EBUSY : status; /* recv says so */
}

/* True: the message is the owner's. */
static bool sort_message(struct join_link *link, struct braid_msg *msg, braid_peer *peer, enum braid_status *status) {
  struct guest *guest = find(link, msg->session);
  link->failures = 0;
  *status = BRAID_OK;
  if (msg->type == BRAID_MSG_GONE && guest) {
    *status = tell_gone(link, guest, peer);
    braid_msg_release(msg);
    return true;
  }
  if (msg->type != BRAID_MSG_MEET && msg->type != BRAID_MSG_GONE && guest && !guest->leaving) {
    *peer = guest->number;
    return true;
  }
  if (msg->type == BRAID_MSG_MEET) meet(link, msg);
  braid_msg_release(msg);
  return false;
}

static enum braid_status recv_message(struct braid_link *base, braid_peer *peer, struct braid_msg *msg) {
  struct join_link *link = of(base);
  for (;;) {
    struct guest *leaving = next_leaving(link);
    *peer = 0;
    if (leaving) return tell_gone(link, leaving, peer);
    if (!link->inner) return BRAID_ETIMEDOUT;
    braid_peer unused;
    enum braid_status status = braid_link_recv(link->inner, &unused, msg);
    if (status == BRAID_ECLOSED) {
      lose_broker(link, braid_error());
      continue;
    }
    if (status != BRAID_OK || sort_message(link, msg, peer, &status)) return status;
  }
}

static void wait_message(struct braid_link *base, int wake_fd, int64_t timeout_ns) {
  struct join_link *link = of(base);
  int64_t now_ns = now();
  if (!link->inner && now_ns >= link->again_ns && connect_broker(link) != BRAID_OK) lose_broker(link, braid_error());
  if (link->inner && !link->told) say_join(link);
  int64_t most_ns = !link->inner ? link->again_ns - now_ns : link->told ? INT64_MAX : JOIN_RETRY_NS;
  if (timeout_ns < 0 || timeout_ns > most_ns) timeout_ns = most_ns > 0 ? most_ns : 0;
  if (next_leaving(link)) timeout_ns = 0;
  if (link->inner) {
    braid_link_wait(link->inner, wake_fd, timeout_ns);
    return;
  }
  struct pollfd fd = {wake_fd, POLLIN, 0};
  struct timespec timeout = {(time_t)(timeout_ns / SECOND_NS), (long)(timeout_ns % SECOND_NS)};
  (void)ppoll(&fd, 1, &timeout, NULL);
}

static void drop_peer(struct braid_link *base, braid_peer peer) {
  struct join_link *link = of(base);
  struct guest *guest = find(link, peer);
  if (!guest) return;
  struct braid_msg gone = {.type = BRAID_MSG_GONE, .session = peer};
  if (!guest->leaving && link->inner && braid_link_send(link->inner, 0, &gone) != BRAID_OK) braid_msg_release(&gone);
  *guest = (struct guest){.number = 0};
}

static const char *peer_name(const struct braid_link *base, braid_peer peer) {
  const struct guest *guest = find((const struct join_link *)(const void *)base, peer);
  return guest ? guest->name : "";
}

static const char *peer_address(const struct braid_link *base, braid_peer peer) {
  const struct guest *guest = find((const struct join_link *)(const void *)base, peer);
  return guest ? guest->address : "";
}

/* The connection changes, and with it its descriptor. */
static int poll_fd(struct braid_link *base) {
  (void)base;
  return -1;
}

static void close_link(struct braid_link *base) {
  struct join_link *link = of(base);
  braid_link_close(&link->inner);
  braid_keys_wipe(&link->keys);
  braid_free(link);
}

static const struct link_ops join_ops = {close_link, send_message, recv_message, wait_message,
                                         drop_peer,  peer_name,    peer_address, poll_fd};

static void copy_keys(struct join_link *link, const struct braid_link_keys *keys) {
  if (!keys) return;
  link->keys = *keys;
  link->keys.allowed = NULL; /* a list is for who is connected to */
  link->opts.keys = &link->keys;
}

enum braid_status link_join_open(const char *uri, const struct braid_link_opts *opts, struct braid_link **out) {
  if (!opts->listen) return braid_fail(BRAID_EINVAL, "%s: joining a broker is for those who listen", uri);
  struct join_link *link = braid_calloc(1, sizeof *link);
  if (!link) return braid_fail(BRAID_ENOMEM, "%s: no memory for a link", uri);
  link->base = (struct braid_link){&join_ops, true, opts->max_payload_bytes, {0}};
  snprintf(link->base.address, sizeof link->base.address, "%s", uri);
  snprintf(link->inner_uri, sizeof link->inner_uri, "%s", uri + strlen("join+"));
  link->opts = (struct braid_link_opts){.max_payload_bytes = opts->max_payload_bytes};
  copy_keys(link, opts->keys);
  enum braid_status status = connect_broker(link);
  if (status == BRAID_OK)
    *out = &link->base;
  else
    close_link(&link->base);
  return status;
}
