/* SPDX-License-Identifier: Apache-2.0
 * A client's connection and the one made for it to the target: reads into the shapers, writes what comes out of them.
 */
#include "proxy.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

static void close_ends(struct connection *c) {
  if (c->dead) return;
  c->dead = true;
  for (int i = 0; i < 2; i++) {
    proxy_watch(c->proxy, &c->end[i].source, 0);
    close(c->end[i].source.fd);
  }
}

/* An abrupt end (RST): what a cut line looks like, and what another end's abrupt end is passed on as. */
void connection_kill(struct connection *c) {
  const struct linger reset = {.l_onoff = 1, .l_linger = 0};
  for (int i = 0; i < 2 && !c->dead; i++) setsockopt(c->end[i].source.fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
  close_ends(c);
}

static void free_chunks(struct flow *flow) {
  for (struct chunk *chunk = flow->first, *next; chunk; chunk = next) {
    next = chunk->next;
    braid_free(chunk);
  }
}

void connections_sweep(struct proxy *proxy) {
  for (struct connection **at = &proxy->connections, *c; (c = *at);) {
    if (!c->dead || c->chunks_under_way > 0) {
      at = &c->next;
      continue;
    }
    *at = c->next;
    free_chunks(&c->flow[UP]);
    free_chunks(&c->flow[DOWN]);
    braid_free(c);
  }
}

/* ----------------------------------------------------------------------------------------------- reading */

static struct chunk *new_chunk(struct flow *flow, size_t capacity) {
  struct chunk *chunk = braid_malloc(sizeof *chunk + capacity);
  if (chunk) *chunk = (struct chunk){.flow = flow};
  return chunk;
}

static void push(struct chunk *chunk) {
  struct connection *c = chunk->flow->connection;
  struct proxy *proxy = c->proxy;
  if (shaper_push(proxy->shaper[chunk->flow->direction], proxy_now_ns(proxy), chunk->bytes, chunk) != BRAID_OK) {
    braid_free(chunk);
    connection_kill(c);
    return;
  }
  c->chunks_under_way++;
  proxy->bytes[chunk->flow->direction] += chunk->bytes;
}

/* One chunk at a time, so that connections take turns. */
static void read_chunk(struct flow *flow) {
  struct connection *c = flow->connection;
  size_t most = c->proxy->chunk_bytes[flow->direction];
  if (shaper_room_bytes(c->proxy->shaper[flow->direction], proxy_now_ns(c->proxy)) < most) return;
  struct chunk *chunk = new_chunk(flow, most);
  if (!chunk) {
    connection_kill(c);
    return;
  }
  ssize_t got = recv(flow->from->source.fd, chunk->data, most, MSG_DONTWAIT);
  if (got < 0) {
    braid_free(chunk);
    if (errno != EAGAIN && errno != EINTR) connection_kill(c);
    return;
  }
  flow->ended_in = got == 0;
  chunk->bytes = (size_t)got;
  push(chunk);
}

/* ----------------------------------------------------------------------------------------------- writing */

/* True when the chunk is through. */
static bool write_chunk(struct flow *flow, struct chunk *chunk) {
  if (chunk->bytes == 0) {
    shutdown(flow->to->source.fd, SHUT_WR);
    flow->ended_out = true;
    return true;
  }
  ssize_t sent = send(flow->to->source.fd, chunk->data + chunk->written, chunk->bytes - chunk->written,
                      MSG_NOSIGNAL | MSG_DONTWAIT);
  if (sent < 0) {
    if (errno != EAGAIN && errno != EINTR) connection_kill(flow->connection);
    return false;
  }
  chunk->written += (size_t)sent;
  flow->unwritten_bytes -= (size_t)sent;
  return chunk->written == chunk->bytes;
}

static void write_chunks(struct flow *flow) {
  while (flow->first && !flow->connection->dead && flow->to->connected && write_chunk(flow, flow->first)) {
    struct chunk *through = flow->first;
    flow->first = through->next;
    if (!flow->first) flow->last = &flow->first;
    braid_free(through);
  }
  struct connection *c = flow->connection;
  if (c->flow[UP].ended_out && c->flow[DOWN].ended_out) close_ends(c); /* both have said all */
}

void connection_deliver(struct chunk *chunk) {
  struct flow *flow = chunk->flow;
  flow->connection->chunks_under_way--;
  if (flow->connection->dead) {
    braid_free(chunk);
    return;
  }
  *flow->last = chunk;
  flow->last = &chunk->next;
  flow->unwritten_bytes += chunk->bytes;
  write_chunks(flow);
}

/* ------------------------------------------------------------------------------------------------ events */

/* A reader that does not read holds back its own sender only: others share the shaper, not this queue. */
static bool wants_input(const struct flow *flow, bool room) {
  return !flow->ended_in && room && flow->unwritten_bytes < flow->connection->proxy->queue_bytes[flow->direction];
}

void connection_watch(struct connection *c, const bool room[2]) {
  if (c->dead) return;
  for (int i = 0; i < 2; i++) {
    const struct flow *out = &c->flow[i], *in = &c->flow[1 - i]; /* flow i leaves end i */
    uint32_t interest = 0;
    if (wants_input(out, room[i]) && c->end[i].connected) interest |= EPOLLIN;
    if (in->first || !c->end[i].connected) interest |= EPOLLOUT;
    proxy_watch(c->proxy, &c->end[i].source, interest);
  }
}

static void finish_connect(struct end *end) {
  int error = 0;
  socklen_t size = sizeof error;
  if (getsockopt(end->source.fd, SOL_SOCKET, SO_ERROR, &error, &size) || error) {
    braid_log(BRAID_LOG_WARN, "target refuses the connection: %s", strerror(error));
    connection_kill(end->connection);
    return;
  }
  end->connected = true;
}

static void end_ready(struct source *source, uint32_t events) {
  struct end *end = (struct end *)(void *)source;
  struct connection *c = end->connection;
  int i = end == &c->end[0] ? 0 : 1;
  if (c->dead) return;
  if (!end->connected) finish_connect(end);
  if (!c->dead && (events & (EPOLLOUT | EPOLLERR | EPOLLHUP))) write_chunks(&c->flow[1 - i]);
  if (!c->dead && (events & (EPOLLIN | EPOLLERR | EPOLLHUP)) && !c->flow[i].ended_in) read_chunk(&c->flow[i]);
}

/* ----------------------------------------------------------------------------------------------- opening */

/* Small kernel buffers: what waits should wait in our queue, where it is counted. A few ms of the rate must fit, or
 * the time between two turns of the loop would set the rate. Before connect or listen (accepted sockets inherit): a
 * receive buffer that shrinks below a window already announced makes the kernel drop, and the sender stall for 200 ms.
 */
void connection_set_socket(const struct proxy *proxy, int fd, int reads, int writes) {
  int one = 1, in = (int)proxy->queue_bytes[reads] / 4, out = (int)proxy->queue_bytes[writes] / 4;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &in, sizeof in);
  setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &out, sizeof out);
}

static void set_flow(struct connection *c, int direction) {
  struct flow *flow = &c->flow[direction];
  *flow =
      (struct flow){.connection = c, .from = &c->end[direction], .to = &c->end[1 - direction], .direction = direction};
  flow->last = &flow->first;
}

static int start_connect(struct proxy *proxy) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return -1;
  connection_set_socket(proxy, fd, DOWN, UP);
  const struct sockaddr_in *to = &proxy->options.to;
  if (connect(fd, (const struct sockaddr *)to, sizeof *to) == 0 || errno == EINPROGRESS) return fd;
  close(fd);
  return -1;
}

static void add_connection(struct proxy *proxy, int client, int target) {
  struct connection *c = braid_calloc(1, sizeof *c);
  if (!c) {
    close(client);
    close(target);
    return;
  }
  c->proxy = proxy;
  c->end[0] = (struct end){{client, 0, end_ready}, c, true};
  c->end[1] = (struct end){{target, 0, end_ready}, c, false};
  set_flow(c, UP);
  set_flow(c, DOWN);
  c->next = proxy->connections;
  proxy->connections = c;
  proxy->connections_made++;
}

void connection_accept(struct proxy *proxy) {
  int client = accept4(proxy->listener.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (client < 0) return;
  int target = start_connect(proxy);
  if (target >= 0)
    add_connection(proxy, client, target);
  else {
    braid_log(BRAID_LOG_WARN, "cannot connect to the target: %s", strerror(errno));
    close(client);
  }
}
