/* SPDX-License-Identifier: Apache-2.0
 * What a ZeroMQ link does beside moving messages, all of it while its owner waits:
 *
 * - answers libzmq's questions about who is let in (zmq_gate.h);
 * - follows the connections (zmq_watch.h): a connecting link ends with its connection, a listening one learns which
 * peer has gone. News of a loss is told when nothing is left to receive: libzmq hands over all that had arrived before.
 * - every TICK_NS, on a listening link, cuts those who have no business here: those dropped, whose key is off the list,
 * who said nothing for IDLE_NS, or of whom far more bytes have come than whole messages. The last is what bounds a
 * message that never ends: libzmq takes any number of parts and counts whole messages only.
 *
 * A peer is tied to its connection by the descriptor that libzmq tells with its messages. A number may be used again
 * while messages of its former connection still wait; such a peer may be tied to the newer connection, until that one's
 * own peer speaks and the older one is known to have gone. */
#include "zmq_link.h"
#include "zmq_watch.h"

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#define TICK_NS INT64_C(100000000)
#define IDLE_NS INT64_C(5000000000)
#define LAST_WORDS_NS INT64_C(500000000)
#define SECOND_NS INT64_C(1000000000)

enum { ZAP_STATUS_MAX = 500, NEWS_A_SECOND = 50, UNREAD_BYTES = 32 << 20, EVENTS_A_TURN = 256 };

static int64_t now(void) {
  struct braid_clock clock = braid_clock_monotonic();
  return braid_now_ns(&clock);
}

/* --------------------------------------------------------------------------------------------------- news */

static void put_news(struct zmq_news *news, const char *text) {
  if (news->count == NEWS_MAX) {
    news->untold++;
    return;
  }
  snprintf(news->text[(news->first + news->count++) % NEWS_MAX], NEWS_BYTES, "%s", text);
}

/* A new second: what the last one could not tell is told as a number. */
static void turn_second(struct zmq_news *news, int64_t now_ns) {
  char more[64];
  int untold = news->untold;
  if (now_ns - news->second_ns < SECOND_NS) return;
  news->told = news->untold = 0;
  news->second_ns = now_ns;
  snprintf(more, sizeof more, "%d more were turned away", untold);
  if (untold > 0) put_news(news, more);
}

static void add_news(struct zmq_link *link, const char *text) {
  struct zmq_news *news = &link->news;
  turn_second(news, now());
  if (news->told++ < NEWS_A_SECOND)
    put_news(news, text);
  else
    news->untold++;
}

/* After the owner has heard of it, a peer whose connection is still to end stays known, and deaf. */
static bool tell_of_peer(struct zmq_link *link, braid_peer *number) {
  const char *why;
  struct zmq_peer *peer = zmq_peers_next_leaving(link->peers, &why);
  if (!peer) return false;
  *number = peer->number;
  (void)braid_fail(BRAID_ECLOSED, "%s", why);
  if (!peer->deaf) zmq_peers_forget(link->peers, peer->number);
  return true;
}

/* Everything that had come has been received: libzmq need not connect again. */
static enum braid_status tell_end(struct zmq_link *link) {
  if (!link->ended) return BRAID_ETIMEDOUT;
  if (*link->endpoint) zmq_disconnect(link->socket, link->endpoint);
  link->endpoint[0] = '\0';
  return braid_fail(BRAID_ECLOSED, "%s: %s", link->base.address, link->ended);
}

enum braid_status zmq_tell_news(struct zmq_link *link, braid_peer *peer) {
  *peer = 0;
  if (!link->base.listen) return tell_end(link);
  if (tell_of_peer(link, peer)) return BRAID_ECLOSED;
  struct zmq_news *news = &link->news;
  if (news->count == 0) return BRAID_ETIMEDOUT;
  (void)braid_fail(BRAID_EPROTO, "%s", news->text[news->first]);
  news->first = (news->first + 1) % NEWS_MAX;
  news->count--;
  return BRAID_EPROTO;
}

/* --------------------------------------------------------------------------------------- a connecting link */

static const char *why_turned(const struct zmq_link *link, uint32_t detail) {
  switch (detail) {
  case 400:
    return "refused by the cloud's allow-list: this edge's public key is not in it";
  case 300:
  case 500:
    return "refused: the cloud cannot read its allow-list";
  case ZMQ_PROTOCOL_ERROR_ZMTP_MECHANISM_MISMATCH:
    return link->curve ? "the cloud listens in the clear, this edge has keys: give keys to both or to neither"
                       : "the cloud talks only to edges with keys: give this one its keys";
  case ZMQ_PROTOCOL_ERROR_ZMTP_CRYPTOGRAPHIC:
    return "wrong server key: cloud.pub here does not belong to the cloud there";
  default:
    return "no Braid cloud: the handshake failed";
  }
}

/* With keys a handshake that breaks off is how a cloud answers to a wrong server key. Without keys it is either a cloud
 * that wants them, or a proxy that has no cloud behind it yet: libzmq tries again, for about a second. */
static const char *why_vanished(struct zmq_link *link) {
  if (link->curve)
    return "the cloud ended the handshake: wrong server key (does cloud.pub belong to it?), or it listens in the "
           "clear, "
           "or it has stopped";
  if (link->vanished_ns == 0) link->vanished_ns = now();
  if (now() - link->vanished_ns < SECOND_NS) return NULL;
  return "whoever listens there ends every handshake: a cloud that wants keys (give this edge its own), or a proxy "
         "without a cloud";
}

static void follow_own(struct zmq_link *link, const struct zmq_event *event) {
  if (link->ended) return;
  switch (event->what) {
  case ZMQ_JOINED:
    link->joined = true;
    break;
  case ZMQ_TURNED:
    link->ended = why_turned(link, event->detail);
    break;
  case ZMQ_VANISHED:
    link->ended = why_vanished(link);
    break;
  case ZMQ_LEFT:
    if (link->joined) link->ended = "connection lost";
    break;
  default:
    break;
  }
}

/* ----------------------------------------------------------------------------------------- a listening link */

static void cut_peer(struct zmq_link *link, struct zmq_peer *peer) {
  struct zmq_conn *conn = peer->fd >= 0 ? zmq_conns_find(link->conns, peer->fd) : NULL;
  peer->deaf = true;
  if (conn && conn->peer == peer->number) zmq_conn_cut(conn, true);
}

static void turn_away(struct zmq_link *link, const struct zmq_conn *conn, const char *why) {
  char text[NEWS_BYTES];
  snprintf(text, sizeof text, "%s: %s", conn ? conn->from : "somebody", why);
  add_news(link, text);
}

static const char *why_turned_away(const struct zmq_link *link, uint32_t detail) {
  switch (detail) {
  case 0:
    return "left during the handshake (without keys?)";
  case ZMQ_PROTOCOL_ERROR_ZMTP_MECHANISM_MISMATCH:
    return link->curve ? "has no keys" : "has keys, but this cloud listens in the clear";
  case ZMQ_PROTOCOL_ERROR_ZMTP_CRYPTOGRAPHIC:
    return "has another server key than this cloud's";
  default:
    return "does not keep ZeroMQ's protocol";
  }
}

static void follow_left(struct zmq_link *link, int fd) {
  struct zmq_conn *conn = zmq_conns_find(link->conns, fd);
  if (link->turned) turn_away(link, conn, why_turned_away(link, link->turned_detail));
  if (!conn) return;
  struct zmq_peer *peer = zmq_peers_find(link->peers, conn->peer);
  if (peer && peer->deaf && !peer->leaving)
    zmq_peers_forget(link->peers, peer->number);
  else if (peer) {
    zmq_peers_leave(link->peers, peer, "connection lost");
    peer->deaf = false; /* no further message can come: forget it once told */
  }
  zmq_conns_remove(link->conns, conn);
}

static void follow_other(struct zmq_link *link, const struct zmq_event *event) {
  if (event->what == ZMQ_CAME) zmq_conns_add(link->conns, event->fd, now());
  if (event->what == ZMQ_LEFT) follow_left(link, event->fd);
  bool vanished = event->what == ZMQ_VANISHED && link->curve; /* in the clear: somebody looked whether we listen */
  link->turned = (event->what == ZMQ_TURNED && event->detail > ZAP_STATUS_MAX) || vanished; /* ZAP: the gate has told */
  link->turned_detail = vanished ? 0 : event->detail;
}

static void follow(struct zmq_link *link) {
  struct zmq_event event;
  while (zmq_watch_next(link->watch, &event))
    if (link->base.listen)
      follow_other(link, &event);
    else
      follow_own(link, &event);
}

/* Binds a peer to its connection. One that has ended already is news for later: this message comes first. */
static void find_connection(struct zmq_link *link, struct zmq_peer *peer, const zmq_msg_t *part) {
  follow(link); /* the connection is older than its messages */
  peer->fd = zmq_msg_get(part, ZMQ_SRCFD);
  struct zmq_conn *conn = peer->fd >= 0 ? zmq_conns_find(link->conns, peer->fd) : NULL;
  if (!conn) {
    zmq_peers_leave(link->peers, peer, "connection lost");
    return;
  }
  struct zmq_peer *former = zmq_peers_find(link->peers, conn->peer);
  if (former) zmq_peers_leave(link->peers, former, "connection lost");
  conn->peer = peer->number;
}

void zmq_greet(struct zmq_link *link, struct zmq_peer *peer, const zmq_msg_t *part) {
  find_connection(link, peer, part);
  const struct zmq_conn *conn = zmq_conns_find(link->conns, peer->fd);
  const char *own_id = zmq_msg_gets(part, "Identity");
  const char *why = NULL;
  if (peer->fd < 0) why = "speaks an old ZeroMQ";
  if (own_id && *own_id) why = "brings a routing id of its own"; /* it could be another's, to get into its session */
  if (link->gate && !(zmq_identity_parse(zmq_msg_gets(part, "User-Id"), &peer->identity) &&
                      zmq_gate_knows(link->gate, &peer->identity)))
    why = "its key is not in the list of those allowed any more";
  if (!why) return;
  turn_away(link, conn, why);
  cut_peer(link, peer);
}

/* ------------------------------------------------------------------------------------------------ every tick */

/* What may have come and not been read: a payload that is under way, those that wait, and what the kernel holds. */
static uint64_t most_untaken(const struct zmq_link *link) {
  uint64_t most = link->base.max_payload_bytes;
  return (most < UINT64_MAX / 4 ? 2 * most : most) + UNREAD_BYTES;
}

static void inspect(struct zmq_link *link, struct zmq_conn *conn, int64_t now_ns) {
  struct zmq_peer *peer = zmq_peers_find(link->peers, conn->peer);
  if (conn->cut_ns > 0) {
    if (now_ns >= conn->cut_ns) zmq_conn_cut(conn, now_ns >= conn->cut_ns + IDLE_NS); /* gently, then for good */
    return;
  }
  uint64_t received = zmq_conn_received_bytes(conn), taken = peer ? peer->taken_bytes : 0;
  const char *why = NULL;
  if (received > taken && received - taken > most_untaken(link))
    why = "sent too much that belongs to no whole message";
  else if (conn->peer == 0 && now_ns - conn->since_ns > IDLE_NS)
    why = "said nothing for 5 seconds";
  if (!why) return;
  conn->cut_ns = now_ns;
  zmq_conn_cut(conn, true);
  turn_away(link, conn, why);
  if (!peer) return;
  peer->deaf = true;
  zmq_peers_leave(link->peers, peer, why);
}

static void check_list(struct zmq_link *link) {
  char trouble[NEWS_BYTES];
  bool changed = zmq_gate_refresh(link->gate, trouble, sizeof trouble);
  if (*trouble) add_news(link, trouble);
  struct zmq_peer *peer;
  for (int i = 0; changed && (peer = zmq_peers_next(link->peers, &i));)
    if (!peer->deaf && !zmq_gate_knows(link->gate, &peer->identity)) {
      zmq_peers_leave(link->peers, peer, "its key was taken off the list of those allowed");
      cut_peer(link, peer);
    }
}

static void tick(struct zmq_link *link) {
  int64_t now_ns = now();
  if (now_ns - link->ticked_ns < TICK_NS) return;
  link->ticked_ns = now_ns;
  turn_second(&link->news, now_ns);
  if (link->gate) check_list(link);
  for (int i = 0; i < zmq_conns_count(link->conns); i++) inspect(link, zmq_conns_at(link->conns, i), now_ns);
}

static void answer_gate(struct zmq_link *link) {
  char refusal[NEWS_BYTES];
  check_list(link); /* whoever was added a moment ago is let in */
  while (zmq_gate_answer(link->gate, refusal, sizeof refusal))
    if (*refusal) add_news(link, refusal);
}

/* ------------------------------------------------------------------------------------------- wait and drop */

static bool has_news(const struct zmq_link *link) {
  return link->base.listen ? link->news.count > 0 : link->ended != NULL;
}

/* Is there something to receive? libzmq's descriptors tell of changes only, and sending may have taken a change in. */
static bool has_message(const struct zmq_link *link) {
  int events;
  size_t size = sizeof events;
  return zmq_getsockopt(link->socket, ZMQ_EVENTS, &events, &size) == 0 && (events & ZMQ_POLLIN);
}

/* As zmq_poll does it, with a third of its system calls: the other two sockets are always read to their end, so that
 * their descriptors alone say when there is more. */
void zmq_wait_message(struct braid_link *base, int wake_fd, int64_t timeout_ns) {
  struct zmq_link *link = (struct zmq_link *)(void *)base;
  struct pollfd fds[4] = {
      {link->watch_fd, POLLIN, 0}, {link->gate_fd, POLLIN, 0}, {link->socket_fd, POLLIN, 0}, {wake_fd, POLLIN, 0}};
  if (base->listen && zmq_conns_count(link->conns) > 0 && (timeout_ns < 0 || timeout_ns > TICK_NS))
    timeout_ns = TICK_NS;
  if (has_news(link) || has_message(link)) timeout_ns = 0;
  struct timespec timeout = {(time_t)(timeout_ns / SECOND_NS), (long)(timeout_ns % SECOND_NS)};
  if (ppoll(fds, 4, timeout_ns < 0 ? NULL : &timeout, NULL) > 0) {
    if (fds[0].revents) follow(link);
    if (fds[1].revents) answer_gate(link);
  }
  if (base->listen) tick(link);
}

/* All three descriptors are level triggered for us: libzmq signals once, but nobody reads the signal but libzmq. */
int zmq_poll_fd(struct braid_link *base) {
  struct zmq_link *link = (struct zmq_link *)(void *)base;
  const int fd[] = {link->socket_fd, link->watch_fd, link->gate_fd};
  if (link->poll_fd > 0) return link->poll_fd;
  int set = epoll_create1(EPOLL_CLOEXEC);
  for (int i = 0; i < 3 && set >= 0; i++) {
    struct epoll_event event = {.events = EPOLLIN};
    if (fd[i] < 0 || epoll_ctl(set, EPOLL_CTL_ADD, fd[i], &event) == 0) continue;
    close(set);
    set = -1;
  }
  if (set > 0) link->poll_fd = set;
  return set;
}

void zmq_drop_peer(struct braid_link *base, braid_peer number) {
  struct zmq_link *link = (struct zmq_link *)(void *)base;
  struct zmq_peer *peer = zmq_peers_find(link->peers, number);
  if (!peer) return;
  struct zmq_conn *conn = peer->fd >= 0 ? zmq_conns_find(link->conns, peer->fd) : NULL;
  if (!conn || conn->peer != number) {
    zmq_peers_forget(link->peers, number);
    return;
  }
  peer->deaf = true;
  if (conn->cut_ns == 0) conn->cut_ns = now() + LAST_WORDS_NS;
}

const char *zmq_peer_name(const struct braid_link *base, braid_peer number) {
  const struct zmq_peer *peer = zmq_peers_find(((const struct zmq_link *)(const void *)base)->peers, number);
  return peer ? peer->identity.name : "";
}

const char *zmq_peer_address(const struct braid_link *base, braid_peer number) {
  const struct zmq_link *link = (const struct zmq_link *)(const void *)base;
  const struct zmq_peer *peer = zmq_peers_find(link->peers, number);
  const struct zmq_conn *conn = peer && peer->fd >= 0 ? zmq_conns_find(link->conns, peer->fd) : NULL;
  return conn && conn->peer == number ? conn->address : "";
}
