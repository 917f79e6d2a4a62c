/* SPDX-License-Identifier: Apache-2.0
 * The running emulator: one thread, one epoll set, two shapers, any number of connections. */
#ifndef LINKEMU_PROXY_H
#define LINKEMU_PROXY_H

#include "options.h"

/* What epoll points at. First member of whatever owns the descriptor. */
struct source {
  int fd;
  uint32_t interest;
  void (*ready)(struct source *source, uint32_t events);
};

struct proxy;

/* A chunk under way; bytes 0 stands for the end of a stream. */
struct chunk {
  struct chunk *next;
  struct flow *flow;
  size_t bytes, written;
  uint8_t data[];
};

/* One direction of one connection. */
struct flow {
  struct connection *connection;
  struct end *from, *to;
  int direction;
  struct chunk *first, **last; /* arrived, not yet written */
  size_t unwritten_bytes;
  bool ended_in, ended_out;
};

struct end {
  struct source source;
  struct connection *connection;
  bool connected;
};

struct connection {
  struct connection *next;
  struct proxy *proxy;
  struct end end[2];    /* client, target */
  struct flow flow[2];  /* up, down */
  int chunks_under_way; /* inside the shapers */
  bool dead;
};

struct proxy {
  struct source listener, input, timer, signals;
  int epoll;
  struct options options;
  struct braid_clock clock;
  int64_t origin_ns; /* of all times below, and of the shapers' */
  struct shaper *shaper[2];
  size_t queue_bytes[2], chunk_bytes[2];
  uint64_t bytes[2], connections_made;
  struct connection *connections;
  int64_t cut_until_ns; /* 0: not cut */
  char line[256];
  size_t line_bytes;
  bool done, quit_on_eof;
  int exit_code;
};

/* proxy.c */
enum braid_status proxy_open(struct options *options, struct proxy *proxy); /* takes the rates */
int proxy_run(struct proxy *proxy);                                         /* the exit code */
void proxy_close(struct proxy *proxy);
int64_t proxy_now_ns(const struct proxy *proxy);
void proxy_watch(struct proxy *proxy, struct source *source, uint32_t interest); /* 0: not at all */
enum braid_status proxy_set_rate(struct proxy *proxy, int direction, double bits_per_s);
void proxy_set_delay(struct proxy *proxy, int direction, int64_t delay_ns);
void proxy_set_jitter(struct proxy *proxy, int64_t jitter_ns);
void proxy_cut(struct proxy *proxy, int64_t for_ns);
void proxy_freeze(struct proxy *proxy, int64_t for_ns);

/* connection.c */
void connection_set_socket(const struct proxy *proxy, int fd, int reads, int writes); /* the directions it serves */
void connection_accept(struct proxy *proxy);
void connection_deliver(struct chunk *chunk); /* takes the chunk */
void connection_watch(struct connection *connection, const bool room[2]);
void connection_kill(struct connection *connection);
void connections_sweep(struct proxy *proxy); /* frees the dead that have nothing under way */

/* control.c */
void control_ready(struct source *input, uint32_t events);

#endif
