/* SPDX-License-Identifier: Apache-2.0
 * Links inside one process. Names meet in a table of places; a place has at most one listener and any number of
 * connections, each with a bounded queue per direction. Messages move by pointer; their headers still go through the
 * wire checks, so both transports refuse the same things.
 *
 * Locks: `table_lock` guards the list of places and their counts of users; a place's `lock` guards all the rest of it.
 * Taken in that order or alone. An eventfd per link is readable while its link may have something to receive: written
 * after each message under the lock, and cleared under the lock by the receiver that finds nothing. */
#include "link.h"

#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

struct queue {
  size_t first, count;
  struct braid_msg ring[LINK_QUEUED_MESSAGES];
};

/* One connecting link and what the listener knows of it. Freed when both ends have left. */
struct connection {
  struct connection *next;  /* in its place's list */
  struct inproc *connector; /* NULL: closed */
  struct inproc *listener;  /* NULL: not there yet, or closed */
  bool listener_gone;
  braid_peer peer;       /* given by the listener */
  struct queue up, down; /* to the listener, to the connector */
};

struct place {
  struct place *next;
  int users;
  char *name;
  pthread_mutex_t lock;
  struct inproc *listener;
  struct connection *connections;
};

struct inproc {
  struct braid_link base;
  struct place *place;
  int event;
  braid_peer next_peer;          /* listening: never reused */
  struct connection *connection; /* connecting */
};

static pthread_mutex_t table_lock = PTHREAD_MUTEX_INITIALIZER;
static struct place *table;

static struct inproc *of(struct braid_link *link) {
  return (struct inproc *)(void *)link;
}

/* ------------------------------------------------------------------------------------------ queues, events */

static bool push(struct queue *queue, struct braid_msg *msg) {
  if (queue->count == LINK_QUEUED_MESSAGES) return false;
  queue->ring[(queue->first + queue->count++) % LINK_QUEUED_MESSAGES] = *msg;
  memset(msg, 0, sizeof *msg);
  return true;
}

static bool pop(struct queue *queue, struct braid_msg *msg) {
  if (queue->count == 0) return false;
  *msg = queue->ring[queue->first];
  queue->first = (queue->first + 1) % LINK_QUEUED_MESSAGES;
  queue->count--;
  return true;
}

static void drain(struct queue *queue) {
  struct braid_msg msg;
  while (pop(queue, &msg)) braid_msg_release(&msg);
}

static void signal_event(int event) {
  uint64_t one = 1;
  if (write(event, &one, sizeof one) < 0) return; /* only when the counter is full: it is readable then anyway */
}

static void clear_event(int event) {
  uint64_t count;
  if (read(event, &count, sizeof count) < 0) return; /* was clear */
}

/* ------------------------------------------------------------------------------------------------- places */

static struct place *find_place(const char *name) {
  struct place *place = table;
  while (place && strcmp(place->name, name) != 0) place = place->next;
  return place;
}

static struct place *add_place(const char *name) {
  struct place *place = braid_calloc(1, sizeof *place);
  if (!place || !(place->name = braid_strdup(name))) {
    braid_free(place);
    return NULL;
  }
  pthread_mutex_init(&place->lock, NULL);
  place->next = table;
  table = place;
  return place;
}

static struct place *enter_place(const char *name) {
  pthread_mutex_lock(&table_lock);
  struct place *place = find_place(name);
  if (!place) place = add_place(name);
  if (place) place->users++;
  pthread_mutex_unlock(&table_lock);
  return place;
}

static void leave_place(struct place *place) {
  pthread_mutex_lock(&table_lock);
  bool last = --place->users == 0;
  if (last) {
    struct place **at = &table;
    while (*at != place) at = &(*at)->next;
    *at = place->next;
  }
  pthread_mutex_unlock(&table_lock);
  if (!last) return;
  pthread_mutex_destroy(&place->lock);
  braid_free(place->name);
  braid_free(place);
}

/* -------------------------------------------------------------------------------- connections (place locked) */

static void remove_connection(struct place *place, struct connection *connection) {
  struct connection **at = &place->connections;
  while (*at != connection) at = &(*at)->next;
  *at = connection->next;
  drain(&connection->up);
  drain(&connection->down);
  braid_free(connection);
}

static void attach(struct inproc *listener, struct connection *connection) {
  connection->listener = listener;
  connection->peer = ++listener->next_peer;
  if (connection->up.count > 0) signal_event(listener->event);
}

static enum braid_status listen_at(struct inproc *link) {
  struct place *place = link->place;
  if (place->listener)
    return braid_fail(BRAID_EBUSY, "%s: address already in use - choose another name or close the other link",
                      link->base.address);
  place->listener = link;
  for (struct connection *c = place->connections; c; c = c->next)
    if (!c->listener_gone) attach(link, c);
  return BRAID_OK;
}

static enum braid_status connect_to(struct inproc *link) {
  struct place *place = link->place;
  int peers = 0;
  for (const struct connection *c = place->connections; c; c = c->next) peers++;
  if (peers >= LINK_MAX_PEERS)
    return braid_fail(BRAID_EBUSY, "%s: already has %d connections", link->base.address, peers);
  struct connection *connection = braid_calloc(1, sizeof *connection);
  if (!connection) return braid_fail(BRAID_ENOMEM, "%s: no memory for a connection", link->base.address);
  connection->connector = link;
  connection->next = place->connections;
  place->connections = link->connection = connection;
  if (place->listener) attach(place->listener, connection);
  return BRAID_OK;
}

/* What a connector sent before it closed is still delivered, and its end told, as long as somebody listens. */
static void close_connector(struct inproc *link) {
  struct connection *connection = link->connection;
  connection->connector = NULL;
  drain(&connection->down);
  if (connection->listener)
    signal_event(connection->listener->event);
  else
    remove_connection(link->place, connection);
}

static void close_listener(struct inproc *link) {
  struct place *place = link->place;
  place->listener = NULL;
  for (struct connection *c = place->connections, *next; c; c = next) {
    next = c->next;
    if (c->listener != link) continue;
    c->listener = NULL;
    c->listener_gone = true;
    drain(&c->up);
    if (c->connector)
      signal_event(c->connector->event);
    else
      remove_connection(place, c);
  }
}

/* ---------------------------------------------------------------------------------------------- open, close */

static void free_link(struct inproc *link) {
  if (link->event >= 0) close(link->event);
  if (link->place) leave_place(link->place);
  braid_free(link);
}

static void close_link(struct braid_link *base) {
  struct inproc *link = of(base);
  pthread_mutex_lock(&link->place->lock);
  if (link->base.listen)
    close_listener(link);
  else
    close_connector(link);
  pthread_mutex_unlock(&link->place->lock);
  free_link(link);
}

static int poll_fd(struct braid_link *link) {
  return of(link)->event;
}

static const struct link_ops inproc_ops;

static enum braid_status join(struct inproc *link, const char *name) {
  link->event = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  if (link->event < 0) return braid_fail(BRAID_EIO, "%s: no eventfd", link->base.address);
  if (!(link->place = enter_place(name))) return braid_fail(BRAID_ENOMEM, "%s: no memory", link->base.address);
  pthread_mutex_lock(&link->place->lock);
  enum braid_status status = link->base.listen ? listen_at(link) : connect_to(link);
  pthread_mutex_unlock(&link->place->lock);
  return status;
}

enum braid_status link_inproc_open(const char *uri, const struct braid_link_opts *opts, struct braid_link **out) {
  const char *name = uri + strlen("inproc://");
  if (*name == '\0') return braid_fail(BRAID_EINVAL, "%s: no name; write inproc://NAME", uri);
  struct inproc *link = braid_calloc(1, sizeof *link);
  if (!link) return braid_fail(BRAID_ENOMEM, "%s: no memory for a link", uri);
  link->base = (struct braid_link){&inproc_ops, opts->listen, opts->max_payload_bytes, {0}};
  link->event = -1;
  snprintf(link->base.address, sizeof link->base.address, "%s", uri);
  enum braid_status status = join(link, name);
  if (status == BRAID_OK)
    *out = &link->base;
  else
    free_link(link);
  return status;
}

/* ------------------------------------------------------------------------------------------- send, receive */

static enum braid_status peer_gone(const struct inproc *link) {
  return braid_fail(BRAID_ECLOSED, "%s: the peer has gone", link->base.address);
}

static enum braid_status deliver(const struct inproc *link, struct queue *queue, const struct inproc *receiver,
                                 struct braid_msg *msg) {
  if (!push(queue, msg)) return braid_fail(BRAID_EBUSY, "%s: the send queue is full", link->base.address);
  if (receiver) signal_event(receiver->event);
  return BRAID_OK;
}

static enum braid_status send_up(struct inproc *link, struct braid_msg *msg) {
  struct connection *connection = link->connection;
  if (connection->listener_gone) return peer_gone(link);
  return deliver(link, &connection->up, connection->listener, msg);
}

static enum braid_status send_down(struct inproc *link, braid_peer peer, struct braid_msg *msg) {
  struct connection *c = link->place->connections;
  while (c && !(c->listener == link && c->peer == peer)) c = c->next;
  if (!c || !c->connector) return peer_gone(link);
  return deliver(link, &c->down, c->connector, msg);
}

static enum braid_status send_message(struct braid_link *base, braid_peer peer, struct braid_msg *msg) {
  struct inproc *link = of(base);
  pthread_mutex_lock(&link->place->lock);
  enum braid_status status = base->listen ? send_down(link, peer, msg) : send_up(link, msg);
  pthread_mutex_unlock(&link->place->lock);
  return status;
}

/* Is there something to tell the listener about this connection: a message, or that it has ended? */
static bool is_ready(const struct inproc *link, const struct connection *connection) {
  return connection->listener == link && (connection->up.count > 0 || !connection->connector);
}

static void move_to_end(struct connection **at, struct connection *connection) {
  *at = connection->next;
  while (*at) at = &(*at)->next;
  *at = connection;
  connection->next = NULL;
}

/* From the first connection that has something, which then moves to the end of the list, so that none starves. */
static enum braid_status take_up(struct inproc *link, braid_peer *peer, struct braid_msg *msg) {
  struct connection **at = &link->place->connections, *found;
  while (*at && !is_ready(link, *at)) at = &(*at)->next;
  if (!(found = *at)) return BRAID_ETIMEDOUT;
  *peer = found->peer;
  if (pop(&found->up, msg)) {
    move_to_end(at, found);
    return BRAID_OK;
  }
  remove_connection(link->place, found);
  return peer_gone(link);
}

static enum braid_status take_down(struct inproc *link, struct braid_msg *msg) {
  struct connection *connection = link->connection;
  if (pop(&connection->down, msg)) return BRAID_OK;
  return connection->listener_gone ? peer_gone(link) : BRAID_ETIMEDOUT;
}

static enum braid_status take(struct inproc *link, braid_peer *peer, struct braid_msg *msg) {
  pthread_mutex_lock(&link->place->lock);
  *peer = 0;
  enum braid_status status = link->base.listen ? take_up(link, peer, msg) : take_down(link, msg);
  if (status == BRAID_ETIMEDOUT) clear_event(link->event);
  pthread_mutex_unlock(&link->place->lock);
  return status;
}

static enum braid_status recv_message(struct braid_link *base, braid_peer *peer, struct braid_msg *msg) {
  struct braid_msg got, checked;
  uint8_t header[BRAID_WIRE_HEADER_BYTES];
  BRAID_TRY(take(of(base), peer, &got));
  braid_wire_encode_header(&got, header);
  enum braid_status status = braid_wire_decode_header(header, sizeof header, base->max_payload_bytes, &checked);
  if (status == BRAID_OK)
    *msg = got;
  else
    braid_msg_release(&got);
  return status;
}

static void wait_message(struct braid_link *base, int wake_fd, int64_t timeout_ns) {
  struct pollfd fds[2] = {{.fd = of(base)->event, .events = POLLIN}, {.fd = wake_fd, .events = POLLIN}};
  struct timespec timeout = {(time_t)(timeout_ns / 1000000000), (long)(timeout_ns % 1000000000)};
  ppoll(fds, wake_fd >= 0 ? 2 : 1, timeout_ns < 0 ? NULL : &timeout, NULL);
}

/* The connector still gets what was sent to it, then hears that the listener has gone. */
static void drop_peer(struct braid_link *base, braid_peer peer) {
  struct inproc *link = of(base);
  pthread_mutex_lock(&link->place->lock);
  struct connection *c = link->place->connections;
  while (c && !(c->listener == link && c->peer == peer)) c = c->next;
  if (c && c->connector) {
    c->listener = NULL;
    c->listener_gone = true;
    drain(&c->up);
    signal_event(c->connector->event);
  } else if (c) {
    remove_connection(link->place, c);
  }
  pthread_mutex_unlock(&link->place->lock);
}

static const char *peer_name(const struct braid_link *base, braid_peer peer) {
  (void)base, (void)peer;
  return ""; /* one process: no name, no address */
}

static const struct link_ops inproc_ops = {close_link, send_message, recv_message, wait_message,
                                           drop_peer,  peer_name,    peer_name,    poll_fd};
