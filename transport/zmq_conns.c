/* SPDX-License-Identifier: Apache-2.0
 * A descriptor belongs to libzmq, whose thread may close it at any moment, and the number may then be another file's.
 * So each connection remembers its other end's address, and is looked at through a duplicate that is checked first:
 * the duplicate stays the same file whatever happens to the number. */
#include "zmq_conns.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct zmq_conns {
  int n;
  struct zmq_conn conn[LINK_MAX_PEERS];
};

enum braid_status zmq_conns_create(struct zmq_conns **out) {
  struct zmq_conns *conns = braid_calloc(1, sizeof *conns);
  if (!conns) return braid_fail(BRAID_ENOMEM, "no memory for a table of %d connections", LINK_MAX_PEERS);
  *out = conns;
  return BRAID_OK;
}

void zmq_conns_destroy(struct zmq_conns **conns) {
  braid_free(*conns);
  *conns = NULL;
}

int zmq_conns_count(const struct zmq_conns *conns) {
  return conns->n;
}

struct zmq_conn *zmq_conns_at(struct zmq_conns *conns, int index) {
  return &conns->conn[index];
}

/* ------------------------------------------------------------------------------------------- descriptors */

static bool other_end(int fd, char *from, size_t size) {
  struct sockaddr_in address;
  socklen_t length = sizeof address;
  char numeric[INET_ADDRSTRLEN];
  if (getpeername(fd, (struct sockaddr *)(void *)&address, &length) != 0 || address.sin_family != AF_INET) return false;
  if (!inet_ntop(AF_INET, &address.sin_addr, numeric, sizeof numeric)) return false;
  snprintf(from, size, "%s:%d", numeric, ntohs(address.sin_port));
  return true;
}

/* A duplicate for close(); -1: the connection has gone. */
static int hold(const struct zmq_conn *conn) {
  char from[sizeof conn->from];
  int fd = fcntl(conn->fd, F_DUPFD_CLOEXEC, 0);
  if (fd >= 0 && other_end(fd, from, sizeof from) && strcmp(from, conn->from) == 0) return fd;
  if (fd >= 0) close(fd);
  return -1;
}

void zmq_conn_cut(const struct zmq_conn *conn, bool now) {
  const struct sockaddr nobody = {.sa_family = AF_UNSPEC}; /* connecting to nobody resets a connection */
  int fd = hold(conn);
  if (fd < 0) return;
  if (!now || connect(fd, &nobody, sizeof nobody) != 0) shutdown(fd, SHUT_RDWR);
  close(fd);
}

uint64_t zmq_conn_received_bytes(const struct zmq_conn *conn) {
  struct tcp_info info = {0};
  socklen_t length = sizeof info;
  int fd = hold(conn);
  if (fd < 0) return 0;
  bool told = getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length) == 0;
  close(fd);
  return told ? info.tcpi_bytes_received : 0;
}

uint64_t zmq_wire_bytes(size_t part_bytes, bool curve) {
  enum { SHORT_MAX = 255, SHORT_FRAME = 2, LONG_FRAME = 9, CURVE_BOX = 33 };
  uint64_t body = part_bytes + (curve ? CURVE_BOX : 0);
  return body + (body > SHORT_MAX ? LONG_FRAME : SHORT_FRAME);
}

/* ------------------------------------------------------------------------------------------------- table */

struct zmq_conn *zmq_conns_find(struct zmq_conns *conns, int fd) {
  for (int i = 0; i < conns->n; i++)
    if (conns->conn[i].fd == fd) return &conns->conn[i];
  return NULL;
}

struct zmq_conn *zmq_conns_add(struct zmq_conns *conns, int fd, int64_t now_ns) {
  struct zmq_conn conn = {.fd = fd, .since_ns = now_ns}, *old = zmq_conns_find(conns, fd);
  if (old) zmq_conns_remove(conns, old); /* cannot be: its end is told first */
  if (!other_end(fd, conn.from, sizeof conn.from)) return NULL;
  snprintf(conn.address, sizeof conn.address, "%.*s", (int)strcspn(conn.from, ":"), conn.from); /* IPv4 */
  if (conns->n == LINK_MAX_PEERS) {
    zmq_conn_cut(&conn, true);
    return NULL;
  }
  conns->conn[conns->n] = conn;
  return &conns->conn[conns->n++];
}

void zmq_conns_remove(struct zmq_conns *conns, struct zmq_conn *conn) {
  *conn = conns->conn[--conns->n];
}
