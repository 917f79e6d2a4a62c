/* SPDX-License-Identifier: Apache-2.0
 * The broker's thread: ZeroMQ's pattern of two ROUTERs with sticky sessions (Hintjens, ZeroMQ, 2013, ch. 3: load
 * balancing). Payloads are handed from one link to the other without being copied or looked at; the first message of an
 * edge decides which worker gets it, and all that follow go there. Everything the front's link holds against strangers
 * (keys, unfinished messages, silence) holds for the workers behind it. */
#include "broker/broker.h"

#include <inttypes.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "session/refuse.h"

enum { HELD_NS = 200 * 1000 }; /* until a message that was held is tried again */

void broker_event(const struct braid_broker *broker, const char *kind, const char *format, ...) {
  if (!broker->opts.event) return;
  char text[1024];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  broker->opts.event(broker->opts.ctx, kind, text);
}

/* ------------------------------------------------------------------------------------------------- sending */

/* Best effort, for messages that may be lost with who they are for. */
static void say(struct braid_link *link, braid_peer to, struct braid_msg *msg) {
  if (braid_link_send(link, to, msg) != BRAID_OK) braid_msg_release(msg);
}

static void refuse(struct braid_link *link, braid_peer peer, enum braid_status status) {
  refuse_send(link, peer, status, braid_error());
  braid_link_drop(link, peer);
}

void broker_send_away(struct braid_broker *broker, const struct relay *relay) {
  say(broker->front, relay->edge, &(struct braid_msg){.type = BRAID_MSG_BYE});
  braid_link_drop(broker->front, relay->edge);
}

/* Takes the message. False: there is no room, it is held. */
static bool pass(struct way *way, struct braid_link *link, braid_peer to, struct braid_msg *msg) {
  enum braid_status status = braid_link_send(link, to, msg);
  if (status == BRAID_EBUSY) {
    way->held = *msg;
    way->to = to;
    memset(msg, 0, sizeof *msg);
    return false;
  }
  if (status != BRAID_OK) braid_msg_release(msg); /* it has gone: its link says so presently */
  return true;
}

static bool pass_held(struct way *way, struct braid_link *link) {
  if (way->held.type == 0) return true;
  struct braid_msg msg = way->held;
  memset(&way->held, 0, sizeof way->held);
  return pass(way, link, way->to, &msg);
}

static void count(struct braid_broker *broker, const struct braid_msg *msg) {
  atomic_fetch_add_explicit(&broker->count.messages, 1, memory_order_relaxed);
  atomic_fetch_add_explicit(&broker->count.bytes, msg->payload_bytes, memory_order_relaxed);
}

/* ----------------------------------------------------------------------------------------- edges to workers */

static void introduce(struct braid_broker *broker, const struct relay *relay) {
  char text[2 * BROKER_WHO_BYTES];
  struct braid_msg msg;
  int n = snprintf(text, sizeof text, "%s\n%s", braid_link_peer_name(broker->front, relay->edge),
                   braid_link_peer_address(broker->front, relay->edge));
  if (braid_msg_init(&msg, BRAID_MSG_MEET, (size_t)n) != BRAID_OK) return;
  memcpy(msg.payload, text, (size_t)n);
  msg.session = relay->edge;
  say(broker->back, relay->worker->peer, &msg);
}

static enum braid_status admit(struct braid_broker *broker, braid_peer edge, struct relay **out) {
  struct worker *worker = workers_choose(broker);
  if (!worker)
    return braid_fail(BRAID_EBUSY,
                      broker->n_workers ? "none of the %d workers here takes another edge: try later"
                                        : "no worker has joined yet (%d are there): try later",
                      broker->n_workers);
  *out = relays_add(broker, edge, worker);
  if (!*out) return braid_fail(BRAID_ENOMEM, "no memory for another edge");
  introduce(broker, *out);
  broker_event(broker, "relay", "edge %" PRIu64 " to %s, which has %d", edge, worker->who, worker->sessions);
  return BRAID_OK;
}

static void tell_state(struct braid_broker *broker, braid_peer peer, const struct braid_msg *ask) {
  uint64_t load = 0;
  for (const struct worker *w = broker->workers; w; w = w->next) load += w->load;
  struct braid_msg state = {.type = BRAID_MSG_STATE,
                            .stamp_ns = ask->stamp_ns,
                            .node = (uint32_t)broker->n_relays,
                            .begin = broker->n_workers ? (uint32_t)(load / (uint64_t)broker->n_workers) : 0,
                            .end = workers_choose(broker) != NULL};
  say(broker->front, peer, &state);
  braid_link_drop(broker->front, peer);
}

/* Returns the relay that the message goes on with; NULL: it does not. */
static struct relay *relay_for(struct braid_broker *broker, braid_peer edge, const struct braid_msg *msg) {
  struct relay *relay = relays_find(broker, edge);
  enum braid_status status = BRAID_OK;
  if (relay) return relay;
  if (msg->type == BRAID_MSG_ASK)
    tell_state(broker, edge, msg);
  else if (msg->type == BRAID_MSG_HELLO)
    status = admit(broker, edge, &relay);
  else
    status = braid_fail(BRAID_EPROTO, "no session: HELLO comes first (was the broker restarted? connect again)");
  if (status != BRAID_OK) {
    refuse(broker->front, edge, status);
    broker_event(broker, "refused", "edge %" PRIu64 ": %s", edge, braid_error());
  }
  return relay;
}

static void edge_gone(struct braid_broker *broker, braid_peer edge) {
  struct relay *relay = relays_find(broker, edge);
  if (!relay) return;
  say(broker->back, relay->worker->peer, &(struct braid_msg){.type = BRAID_MSG_GONE, .session = edge});
  relays_remove(broker, relay);
}

static void hear_trouble_in_front(struct braid_broker *broker, braid_peer edge, enum braid_status status) {
  if (edge == 0) {
    broker_event(broker, "refused", "%s", braid_error());
  } else if (status == BRAID_ECLOSED) {
    edge_gone(broker, edge);
  } else {
    broker_event(broker, "refused", "edge %" PRIu64 ": %s", edge, braid_error());
    refuse(broker->front, edge, status);
    edge_gone(broker, edge);
  }
}

/* Both return whether there may be more. */
static bool carry_up(struct braid_broker *broker) {
  if (!pass_held(&broker->up, broker->back)) return false;
  for (int i = 0; i < SESSION_RECEIVE_BURST; i++) {
    braid_peer edge = 0;
    struct braid_msg msg = {0};
    enum braid_status status = braid_link_recv(broker->front, &edge, &msg);
    if (status == BRAID_ETIMEDOUT) return false;
    if (status != BRAID_OK) {
      hear_trouble_in_front(broker, edge, status);
      continue;
    }
    const struct relay *relay = relay_for(broker, edge, &msg);
    if (!relay) {
      braid_msg_release(&msg);
      continue;
    }
    count(broker, &msg);
    msg.session = edge;
    if (!pass(&broker->up, broker->back, relay->worker->peer, &msg)) return false;
  }
  return true;
}

/* ----------------------------------------------------------------------------------------- workers to edges */

static void worker_gone(struct braid_broker *broker, braid_peer peer, const char *why) {
  struct worker *worker = workers_find(broker, peer);
  if (worker) workers_lose(broker, worker, why);
}

static void note_state(struct worker *worker, const struct braid_msg *msg) {
  worker->load = msg->begin;
  worker->takes = msg->end != 0;
}

/* What a worker says to the broker itself, or of a session that is not its own. Returns the relay that the message is
 * for; NULL: it goes no further. */
static struct relay *hear_worker(struct braid_broker *broker, struct worker *worker, const struct braid_msg *msg) {
  worker->heard_ns = io_now_ns();
  if (msg->session == 0) {
    if (msg->type == BRAID_MSG_STATE) note_state(worker, msg);
    return NULL;
  }
  struct relay *relay = relays_find(broker, msg->session);
  if (!relay || relay->worker != worker) return NULL; /* it has gone meanwhile */
  if (msg->type != BRAID_MSG_GONE) return relay;
  braid_link_drop(broker->front, relay->edge);
  relays_remove(broker, relay);
  return NULL;
}

static void hear_stranger(struct braid_broker *broker, braid_peer peer, const struct braid_msg *msg) {
  enum braid_status status = msg->type == BRAID_MSG_JOIN && msg->session == 0
                                 ? workers_join(broker, peer, io_now_ns())
                                 : braid_fail(BRAID_EPROTO, "workers say JOIN first; edges connect to the front");
  if (status == BRAID_OK) return;
  broker_event(broker, "refused", "worker %" PRIu64 ": %s", peer, braid_error());
  refuse(broker->back, peer, status);
}

static void hear_trouble_at_the_back(struct braid_broker *broker, braid_peer peer, enum braid_status status) {
  char why[BROKER_ERROR_BYTES];
  snprintf(why, sizeof why, "%s", braid_error());
  if (peer == 0) {
    broker_event(broker, "refused", "%s", why);
    return;
  }
  if (status != BRAID_ECLOSED) refuse(broker->back, peer, status);
  worker_gone(broker, peer, why);
}

static bool carry_down(struct braid_broker *broker) {
  if (!pass_held(&broker->down, broker->front)) return false;
  for (int i = 0; i < SESSION_RECEIVE_BURST; i++) {
    braid_peer peer = 0;
    struct braid_msg msg = {0};
    enum braid_status status = braid_link_recv(broker->back, &peer, &msg);
    if (status == BRAID_ETIMEDOUT) return false;
    if (status != BRAID_OK) {
      hear_trouble_at_the_back(broker, peer, status);
      continue;
    }
    struct worker *worker = workers_find(broker, peer);
    const struct relay *relay = NULL;
    if (worker)
      relay = hear_worker(broker, worker, &msg);
    else
      hear_stranger(broker, peer, &msg);
    if (!relay) {
      braid_msg_release(&msg);
      continue;
    }
    count(broker, &msg);
    msg.session = 0;
    if (!pass(&broker->down, broker->front, relay->edge, &msg)) return false;
  }
  return true;
}

/* ------------------------------------------------------------------------------------------------- thread */

static void publish(struct braid_broker *broker) {
  atomic_store_explicit(&broker->count.workers, broker->n_workers, memory_order_relaxed);
  atomic_store_explicit(&broker->count.sessions, broker->n_relays, memory_order_relaxed);
  atomic_fetch_add_explicit(&broker->count.turns, 1, memory_order_relaxed);
}

static void sleep_on(int fd, int64_t ns) {
  struct pollfd poked = {fd, POLLIN, 0};
  (void)ppoll(&poked, 1, &(struct timespec){.tv_nsec = (long)ns}, NULL);
}

/* While a message is held the front, which may be the reason, is not asked whether it has more. */
static void wait(struct braid_broker *broker, bool more) {
  bool held = broker->up.held.type != 0 || broker->down.held.type != 0;
  if (held)
    sleep_on(broker->io.wake_fd, HELD_NS);
  else
    braid_link_wait(broker->front, broker->events, more ? 0 : broker->heartbeat_ns / 4);
  if (held) braid_link_wait(broker->front, -1, 0);
  braid_link_wait(broker->back, -1, 0);
}

static void *io_main(void *arg) {
  struct braid_broker *broker = arg;
  while (!atomic_load_explicit(&broker->stop, memory_order_acquire)) {
    bool more = carry_up(broker);
    more |= carry_down(broker); /* last: it leaves the back with nothing to receive, so that its descriptor tells */
    workers_drop_silent(broker, io_now_ns());
    publish(broker);
    wait(broker, more);
  }
  while (broker->workers) workers_lose(broker, broker->workers, "the broker stops");
  return NULL;
}

/* ------------------------------------------------------------------------------------------------ start, stop */

static enum braid_status watch(struct braid_broker *broker, int fd) {
  struct epoll_event event = {.events = EPOLLIN};
  if (fd >= 0 && epoll_ctl(broker->events, EPOLL_CTL_ADD, fd, &event) == 0) return BRAID_OK;
  return braid_fail(BRAID_EIO, "the broker cannot wait for its workers");
}

static enum braid_status open_links(struct braid_broker *broker) {
  const struct braid_broker_opts *opts = &broker->opts;
  struct braid_link_opts front = {.listen = true,
                                  .keys = opts->keys,
                                  .allow_clear = opts->allow_clear,
                                  .max_payload_bytes = opts->max_payload_bytes},
                         back = front;
  back.keys = opts->worker_keys;
  BRAID_TRY(io_open(&broker->io, opts->listen, &front));
  broker->front = broker->io.link;
  BRAID_TRY(braid_link_open(opts->workers, &back, &broker->back));
  broker->events = epoll_create1(EPOLL_CLOEXEC);
  BRAID_TRY(watch(broker, broker->io.wake_fd));
  return watch(broker, braid_link_poll_fd(broker->back));
}

static enum braid_status start(struct braid_broker *broker) {
  BRAID_TRY(open_links(broker));
  BRAID_TRY(io_thread_start(&broker->thread, "broker-io", io_main, broker));
  broker->started = true;
  return BRAID_OK;
}

enum braid_status braid_broker_start(const struct braid_broker_opts *opts, struct braid_broker **out) {
  if (!opts->listen || !opts->workers)
    return braid_fail(BRAID_EINVAL, "a broker needs an address for edges and one for workers");
  struct braid_broker *broker = braid_calloc(1, sizeof *broker);
  if (!broker) return braid_fail(BRAID_ENOMEM, "no memory for a broker");
  broker->opts = *opts;
  broker->events = -1;
  broker->heartbeat_ns = opts->heartbeat_ns ? opts->heartbeat_ns : SESSION_DEFAULT_HEARTBEAT_NS;
  atomic_init(&broker->stop, false);
  enum braid_status status = start(broker);
  if (status == BRAID_OK) {
    *out = broker;
    return status;
  }
  char why[BROKER_ERROR_BYTES];
  snprintf(why, sizeof why, "%s", braid_error());
  braid_broker_stop(&broker);
  return braid_fail(status, "%s", why);
}

const char *braid_broker_address(const struct braid_broker *broker) {
  return braid_link_address(broker->front);
}

const char *braid_broker_workers_address(const struct braid_broker *broker) {
  return braid_link_address(broker->back);
}

void braid_broker_stats(struct braid_broker *broker, struct braid_broker_stats *out) {
  *out = (struct braid_broker_stats){
      .workers = atomic_load_explicit(&broker->count.workers, memory_order_relaxed),
      .sessions = atomic_load_explicit(&broker->count.sessions, memory_order_relaxed),
      .messages = atomic_load_explicit(&broker->count.messages, memory_order_relaxed),
      .bytes = atomic_load_explicit(&broker->count.bytes, memory_order_relaxed),
      .turns = atomic_load_explicit(&broker->count.turns, memory_order_relaxed),
  };
}

void braid_broker_stop(struct braid_broker **out) {
  struct braid_broker *broker = *out;
  if (!broker) return;
  if (broker->started) {
    atomic_store_explicit(&broker->stop, true, memory_order_release);
    io_poke(&broker->io);
    pthread_join(broker->thread, NULL);
  }
  braid_msg_release(&broker->up.held);
  braid_msg_release(&broker->down.held);
  relays_free(broker);
  if (broker->events >= 0) close(broker->events);
  braid_link_close(&broker->back);
  io_close(&broker->io);
  braid_free(broker);
  *out = NULL;
}
