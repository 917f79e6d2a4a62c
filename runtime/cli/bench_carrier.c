/* SPDX-License-Identifier: Apache-2.0
 * Raw TCP, raw ZeroMQ and Braid's link. ZeroMQ carries what Braid's link puts on the wire, as plainly as ZeroMQ can:
 * one part of payload and as many bytes as Braid's header has, from DEALER to ROUTER, copied into a message once. */
#include "bench_carrier.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>
#include <zmq.h>

/* ---------------------------------------------------------------------------------------------------- keys */

enum braid_status carrier_keys_make(struct carrier_keys *keys) {
  bool made;
  *keys = (struct carrier_keys){.dir = "/tmp/braid-bench-XXXXXX"};
  if (!mkdtemp(keys->dir)) return braid_fail(BRAID_EIO, "%s: %s", keys->dir, strerror(errno));
  BRAID_TRY(braid_keys_make_cloud(keys->dir, &made));
  BRAID_TRY(braid_keys_make_edge(keys->dir, "edge", &made));
  BRAID_TRY(braid_keys_read_cloud(keys->dir, &keys->cloud));
  return braid_keys_read_edge(keys->dir, "edge", &keys->edge);
}

void carrier_keys_remove(struct carrier_keys *keys) {
  static const char *const files[] = {"cloud.key", "cloud.pub", "edges/edge.key", "edges/edge.pub", "allowed"};
  char path[128];
  for (int i = 0; i < CLI_COUNT_OF(files); i++) {
    snprintf(path, sizeof path, "%s/%s", keys->dir, files[i]);
    unlink(path);
  }
  snprintf(path, sizeof path, "%s/edges", keys->dir);
  rmdir(path);
  rmdir(keys->dir);
  braid_keys_wipe(&keys->cloud);
  braid_keys_wipe(&keys->edge);
}

/* ----------------------------------------------------------------------------------------------------- TCP
 * A size of 8 bytes and the bytes, one call a message; read through a buffer. */
enum { TCP_BUFFER_BYTES = 64 << 10 };

struct carrier_end {
  int fd, listener;       /* tcp */
  uint8_t *buffer;        /* tcp: what was read ahead */
  size_t first, last;     /* in it */
  uint8_t *message;       /* tcp: the last one */
  size_t message_bytes;   /* room in it */
  void *context, *socket; /* zmq */
  zmq_msg_t part, id;
  struct braid_link *link; /* braid */
  braid_peer peer;
  struct braid_msg msg;
};

static enum braid_status fail_system(const char *what) {
  return braid_fail(BRAID_EIO, "tcp: %s: %s", what, strerror(errno));
}

static enum braid_status tcp_connect(struct carrier_end *end, const char *address) {
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  to.sin_port = htons((uint16_t)strtol(address, NULL, 10));
  end->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (connect(end->fd, (const struct sockaddr *)(const void *)&to, sizeof to) != 0) return fail_system("connect");
  int one = 1;
  setsockopt(end->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  return BRAID_OK;
}

static enum braid_status tcp_listen(struct carrier_end *end) {
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  end->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (bind(end->listener, (const struct sockaddr *)(const void *)&at, sizeof at) != 0 || listen(end->listener, 1) != 0)
    return fail_system("listen");
  return BRAID_OK;
}

static enum braid_status new_end(struct carrier_end **out) {
  struct carrier_end *end = braid_calloc(1, sizeof *end);
  if (!end) return braid_fail(BRAID_ENOMEM, "no memory for a carrier");
  end->fd = end->listener = -1;
  zmq_msg_init(&end->part);
  zmq_msg_init(&end->id);
  *out = end;
  return BRAID_OK;
}

static enum braid_status tcp_open(const struct carrier *carrier, const struct carrier_keys *keys, const char *to,
                                  struct carrier_end **out) {
  (void)carrier, (void)keys;
  BRAID_TRY(new_end(out));
  (*out)->buffer = braid_malloc(TCP_BUFFER_BYTES);
  if (!(*out)->buffer) return braid_fail(BRAID_ENOMEM, "no memory for a carrier");
  return to ? tcp_connect(*out, to) : tcp_listen(*out);
}

static void tcp_address(struct carrier_end *end, char address[CARRIER_ADDRESS_BYTES]) {
  struct sockaddr_in at;
  socklen_t size = sizeof at;
  getsockname(end->listener, (struct sockaddr *)(void *)&at, &size);
  snprintf(address, CARRIER_ADDRESS_BYTES, "%d", ntohs(at.sin_port));
}

static enum braid_status tcp_send(struct carrier_end *end, const uint8_t *bytes, size_t size) {
  union { /* writev takes void * and writes nothing */
    const uint8_t *in;
    void *out;
  } body = {bytes};
  uint64_t head = size;
  struct iovec part[2] = {{&head, sizeof head}, {body.out, size}};
  for (int first = 0; first < 2;) {
    ssize_t n = writev(end->fd, part + first, 2 - first);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_system("send");
    for (; first < 2 && (size_t)n >= part[first].iov_len; first++) n -= (ssize_t)part[first].iov_len;
    if (first == 2) break;
    part[first].iov_base = (uint8_t *)part[first].iov_base + n;
    part[first].iov_len -= (size_t)n;
  }
  return BRAID_OK;
}

static enum braid_status tcp_take(struct carrier_end *end, uint8_t *to, size_t size) {
  while (size > 0) {
    if (end->first == end->last) {
      bool direct = size >= TCP_BUFFER_BYTES;
      ssize_t n = recv(end->fd, direct ? to : end->buffer, direct ? size : TCP_BUFFER_BYTES, 0);
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) return n < 0 ? fail_system("receive") : braid_fail(BRAID_ECLOSED, "tcp: the other end has gone");
      if (direct) {
        to += n;
        size -= (size_t)n;
        continue;
      }
      end->first = 0;
      end->last = (size_t)n;
    }
    size_t n = end->last - end->first < size ? end->last - end->first : size;
    memcpy(to, end->buffer + end->first, n);
    end->first += n;
    to += n;
    size -= n;
  }
  return BRAID_OK;
}

static enum braid_status tcp_recv(struct carrier_end *end, const uint8_t **bytes, size_t *size) {
  uint64_t head;
  if (end->fd < 0) {
    int one = 1;
    end->fd = accept4(end->listener, NULL, NULL, SOCK_CLOEXEC);
    if (end->fd < 0) return fail_system("accept");
    setsockopt(end->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  }
  BRAID_TRY(tcp_take(end, (uint8_t *)&head, sizeof head));
  if (head > end->message_bytes) {
    uint8_t *larger = braid_realloc(end->message, (size_t)head);
    if (!larger) return braid_fail(BRAID_ENOMEM, "no memory for a message of %zu bytes", (size_t)head);
    end->message = larger;
    end->message_bytes = (size_t)head;
  }
  *bytes = end->message;
  *size = (size_t)head;
  return tcp_take(end, end->message, (size_t)head);
}

static void close_end(struct carrier_end *end) {
  if (!end) return;
  if (end->fd >= 0) close(end->fd);
  if (end->listener >= 0) close(end->listener);
  zmq_msg_close(&end->part);
  zmq_msg_close(&end->id);
  if (end->socket) zmq_close(end->socket);
  if (end->context) zmq_ctx_term(end->context);
  braid_msg_release(&end->msg);
  braid_link_close(&end->link);
  braid_free(end->buffer);
  braid_free(end->message);
  braid_free(end);
}

/* -------------------------------------------------------------------------------------------------- ZeroMQ */

static enum braid_status fail_zmq(const char *what) {
  return braid_fail(BRAID_EIO, "zmq: %s: %s", what, zmq_strerror(zmq_errno()));
}

static int set_key(void *socket, int option, const char *key) {
  return zmq_setsockopt(socket, option, key, strlen(key) + 1);
}

static int set_keys(void *socket, const struct carrier_keys *keys, bool listens) {
  const int server = 1;
  if (listens)
    return set_key(socket, ZMQ_CURVE_SECRETKEY, keys->cloud.secret_key) +
           zmq_setsockopt(socket, ZMQ_CURVE_SERVER, &server, sizeof server);
  return set_key(socket, ZMQ_CURVE_SECRETKEY, keys->edge.secret_key) +
         set_key(socket, ZMQ_CURVE_PUBLICKEY, keys->edge.public_key) +
         set_key(socket, ZMQ_CURVE_SERVERKEY, keys->edge.server_key);
}

static enum braid_status zmq_end_open(const struct carrier *carrier, const struct carrier_keys *keys, const char *to,
                                      struct carrier_end **out) {
  BRAID_TRY(new_end(out));
  struct carrier_end *end = *out;
  end->context = zmq_ctx_new();
  end->socket = end->context ? zmq_socket(end->context, to ? ZMQ_DEALER : ZMQ_ROUTER) : NULL;
  if (!end->socket) return fail_zmq("socket");
  if (carrier->curve && set_keys(end->socket, keys, !to) != 0) return fail_zmq("keys");
  if ((to ? zmq_connect(end->socket, to) : zmq_bind(end->socket, "tcp://127.0.0.1:*")) != 0) return fail_zmq("address");
  return BRAID_OK;
}

static void zmq_end_address(struct carrier_end *end, char address[CARRIER_ADDRESS_BYTES]) {
  size_t size = CARRIER_ADDRESS_BYTES;
  if (zmq_getsockopt(end->socket, ZMQ_LAST_ENDPOINT, address, &size) != 0) address[0] = '\0';
}

static enum braid_status zmq_end_send(struct carrier_end *end, const uint8_t *bytes, size_t size) {
  zmq_msg_t part;
  if (zmq_msg_size(&end->id) > 0) {
    zmq_msg_init(&part);
    if (zmq_msg_copy(&part, &end->id) != 0 || zmq_msg_send(&part, end->socket, ZMQ_SNDMORE) < 0)
      return fail_zmq("send");
  }
  if (zmq_msg_init_size(&part, BRAID_WIRE_HEADER_BYTES + size) != 0) return fail_zmq("message");
  uint8_t *to = zmq_msg_data(&part);
  memset(to, 0, BRAID_WIRE_HEADER_BYTES);
  memcpy(to + BRAID_WIRE_HEADER_BYTES, bytes, size);
  return zmq_msg_send(&part, end->socket, 0) < 0 ? fail_zmq("send") : BRAID_OK;
}

static enum braid_status zmq_end_recv(struct carrier_end *end, const uint8_t **bytes, size_t *size) {
  int type;
  size_t type_bytes = sizeof type;
  zmq_getsockopt(end->socket, ZMQ_TYPE, &type, &type_bytes);
  if (type == ZMQ_ROUTER && zmq_msg_recv(&end->id, end->socket, 0) < 0) return fail_zmq("receive");
  if (zmq_msg_recv(&end->part, end->socket, 0) < 0) return fail_zmq("receive");
  *bytes = (const uint8_t *)zmq_msg_data(&end->part) + BRAID_WIRE_HEADER_BYTES;
  *size = zmq_msg_size(&end->part) - BRAID_WIRE_HEADER_BYTES;
  return BRAID_OK;
}

void carrier_zmq_version(char *text, size_t size) {
  int major, minor, patch;
  zmq_version(&major, &minor, &patch);
  snprintf(text, size, "%d.%d.%d", major, minor, patch);
}

/* --------------------------------------------------------------------------------------------------- Braid */

static enum braid_status link_open(const struct carrier *carrier, const struct carrier_keys *keys, const char *to,
                                   struct carrier_end **out) {
  BRAID_TRY(new_end(out));
  struct braid_link_opts opts = {.listen = !to};
  if (carrier->curve) opts.keys = to ? &keys->edge : &keys->cloud;
  return braid_link_open(to ? to : "tcp://127.0.0.1:0", &opts, &(*out)->link);
}

static void link_address(struct carrier_end *end, char address[CARRIER_ADDRESS_BYTES]) {
  snprintf(address, CARRIER_ADDRESS_BYTES, "%s", braid_link_address(end->link));
}

static enum braid_status link_send(struct carrier_end *end, const uint8_t *bytes, size_t size) {
  struct braid_msg msg;
  BRAID_TRY(braid_msg_init(&msg, BRAID_MSG_DATA, size));
  memcpy(msg.payload, bytes, size);
  msg.end = 1;
  enum braid_status status;
  while ((status = braid_link_send(end->link, end->peer, &msg)) == BRAID_EBUSY) braid_link_wait(end->link, -1, 1000000);
  if (status != BRAID_OK) braid_msg_release(&msg);
  return status;
}

static enum braid_status link_recv(struct carrier_end *end, const uint8_t **bytes, size_t *size) {
  enum braid_status status;
  braid_msg_release(&end->msg);
  while ((status = braid_link_recv(end->link, &end->peer, &end->msg)) == BRAID_ETIMEDOUT)
    braid_link_wait(end->link, -1, -1);
  *bytes = end->msg.payload;
  *size = end->msg.payload_bytes;
  return status;
}

const struct carrier carriers[CARRIERS] = {
    [CARRIER_TCP] = {"tcp", false, tcp_open, tcp_address, tcp_send, tcp_recv, close_end},
    [CARRIER_ZMQ] = {"zmq", false, zmq_end_open, zmq_end_address, zmq_end_send, zmq_end_recv, close_end},
    [CARRIER_BRAID] = {"braid", false, link_open, link_address, link_send, link_recv, close_end},
    [CARRIER_ZMQ_CURVE] = {"zmq+curve", true, zmq_end_open, zmq_end_address, zmq_end_send, zmq_end_recv, close_end},
    [CARRIER_BRAID_CURVE] = {"braid+curve", true, link_open, link_address, link_send, link_recv, close_end},
};
