/* SPDX-License-Identifier: Apache-2.0
 * The loop: deliver what has arrived, watch what may be read, sleep until the next absolute time or event. */
#include "proxy.h"

#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

enum {
  EVENTS = 64,
  PENDING_CONNECTIONS = 128,
  SMALL_CHUNK_BYTES = 1500,
  CHUNK_BYTES = 4096,
  LEAST_QUEUE_BYTES = 64 << 10
};

int64_t proxy_now_ns(const struct proxy *proxy) {
  return braid_now_ns(&proxy->clock) - proxy->origin_ns;
}

/* A descriptor nobody waits for is taken out: epoll would report a hung-up one for ever. */
void proxy_watch(struct proxy *proxy, struct source *source, uint32_t interest) {
  if (interest == source->interest) return;
  struct epoll_event event = {.events = interest, .data.ptr = source};
  int change = interest == 0 ? EPOLL_CTL_DEL : source->interest == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;
  if (epoll_ctl(proxy->epoll, change, source->fd, &event) == 0) source->interest = interest;
}

/* ----------------------------------------------------------------------------------------------- settings */

static void size_queues(struct proxy *proxy, int direction, double bits_per_s) {
  const struct options *o = &proxy->options;
  double bytes_per_s = bits_per_s / 8, rtt_s = 1e-9 * (double)(o->delay_ns[UP] + o->delay_ns[DOWN]);
  double wanted = bytes_per_s * (2 * rtt_s > 0.01 ? 2 * rtt_s : 0.01);
  if (wanted < LEAST_QUEUE_BYTES) wanted = LEAST_QUEUE_BYTES;
  if (wanted > 64e6) wanted = 64e6;
  proxy->chunk_bytes[direction] = bits_per_s < 50e6 ? SMALL_CHUNK_BYTES : CHUNK_BYTES;
  proxy->queue_bytes[direction] = o->queue_bytes ? o->queue_bytes : (size_t)wanted;
  if (proxy->queue_bytes[direction] < proxy->chunk_bytes[direction])
    proxy->queue_bytes[direction] = proxy->chunk_bytes[direction];
}

enum braid_status proxy_set_rate(struct proxy *proxy, int direction, double bits_per_s) {
  struct rate_plan plan;
  BRAID_TRY(rate_plan_constant(bits_per_s, &plan));
  shaper_set_rate(proxy->shaper[direction], proxy_now_ns(proxy), &plan);
  return BRAID_OK;
}

void proxy_set_delay(struct proxy *proxy, int direction, int64_t delay_ns) {
  proxy->options.delay_ns[direction] = delay_ns;
  shaper_set_delay(proxy->shaper[direction], proxy_now_ns(proxy), delay_ns, proxy->options.jitter_ns);
}

void proxy_set_jitter(struct proxy *proxy, int64_t jitter_ns) {
  proxy->options.jitter_ns = jitter_ns;
  for (int d = 0; d < 2; d++)
    shaper_set_delay(proxy->shaper[d], proxy_now_ns(proxy), proxy->options.delay_ns[d], jitter_ns);
}

static int64_t later(int64_t now_ns, int64_t for_ns) {
  return for_ns > INT64_MAX - now_ns ? INT64_MAX : now_ns + for_ns;
}

void proxy_freeze(struct proxy *proxy, int64_t for_ns) {
  int64_t now = proxy_now_ns(proxy);
  for (int d = 0; d < 2; d++) shaper_hold(proxy->shaper[d], now, later(now, for_ns));
}

/* --------------------------------------------------------------------------------------- listening, cutting */

static void listener_ready(struct source *source, uint32_t events) {
  (void)events;
  connection_accept((struct proxy *)(void *)source); /* first member */
}

static enum braid_status start_listening(struct proxy *proxy) {
  struct sockaddr_in *at = &proxy->options.listen;
  int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  socklen_t size = sizeof *at;
  char text[INET_ADDRSTRLEN];
  inet_ntop(AF_INET, &at->sin_addr, text, sizeof text);
  if (fd < 0) return braid_fail(BRAID_EIO, "socket: %s", strerror(errno));
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  connection_set_socket(proxy, fd, UP, DOWN);
  if (bind(fd, (const struct sockaddr *)at, sizeof *at) || listen(fd, PENDING_CONNECTIONS) ||
      getsockname(fd, (struct sockaddr *)at, &size)) { /* from here on the port really bound: a cut comes back to it */
    enum braid_status status =
        braid_fail(BRAID_EIO, "cannot listen on %s:%d: %s", text, ntohs(at->sin_port), strerror(errno));
    close(fd);
    return status;
  }
  proxy->listener = (struct source){fd, 0, listener_ready};
  proxy_watch(proxy, &proxy->listener, EPOLLIN);
  return BRAID_OK;
}

static void stop_listening(struct proxy *proxy) {
  if (proxy->listener.fd < 0) return;
  proxy_watch(proxy, &proxy->listener, 0);
  close(proxy->listener.fd);
  proxy->listener.fd = -1;
}

void proxy_cut(struct proxy *proxy, int64_t for_ns) {
  stop_listening(proxy);
  for (struct connection *c = proxy->connections; c; c = c->next) connection_kill(c);
  proxy->cut_until_ns = later(proxy_now_ns(proxy), for_ns);
}

static void end_cut(struct proxy *proxy) {
  proxy->cut_until_ns = 0;
  if (start_listening(proxy) == BRAID_OK) return;
  braid_log(BRAID_LOG_ERROR, "after the cut: %s", braid_error());
  proxy->done = true;
  proxy->exit_code = EXIT_LINK;
}

/* ----------------------------------------------------------------------------------------------- the loop */

static bool due(int64_t *at_ns, int64_t now_ns) {
  if (*at_ns < 0 || *at_ns > now_ns) return false;
  *at_ns = -1;
  return true;
}

static void run_schedule(struct proxy *proxy) {
  int64_t now = proxy_now_ns(proxy);
  if (due(&proxy->options.freeze_at_ns, now)) proxy_freeze(proxy, proxy->options.freeze_for_ns);
  if (due(&proxy->options.cut_at_ns, now)) proxy_cut(proxy, proxy->options.cut_for_ns);
  if (proxy->cut_until_ns && proxy->cut_until_ns <= now) end_cut(proxy);
}

static void deliver_due(struct proxy *proxy) {
  void *chunk;
  size_t bytes;
  for (int d = 0; d < 2; d++)
    while (shaper_pop(proxy->shaper[d], proxy_now_ns(proxy), &chunk, &bytes)) connection_deliver(chunk);
}

static void earliest(int64_t *next_ns, int64_t at_ns) {
  if (at_ns >= 0 && at_ns < *next_ns) *next_ns = at_ns;
}

/* Sets who is watched and the timer. */
static void prepare_sleep(struct proxy *proxy) {
  int64_t now = proxy_now_ns(proxy), next = INT64_MAX;
  bool room[2];
  for (int d = 0; d < 2; d++) {
    room[d] = shaper_room_bytes(proxy->shaper[d], now) >= proxy->chunk_bytes[d];
    earliest(&next, shaper_next_ns(proxy->shaper[d], now, !room[d]));
  }
  for (struct connection *c = proxy->connections; c; c = c->next) connection_watch(c, room);
  earliest(&next, proxy->options.freeze_at_ns);
  earliest(&next, proxy->options.cut_at_ns);
  if (proxy->cut_until_ns) earliest(&next, proxy->cut_until_ns);
  struct itimerspec timer = {0}; /* never */
  if (next < INT64_MAX - proxy->origin_ns) {
    int64_t at = proxy->origin_ns + (next > 0 ? next : 1);
    timer.it_value = (struct timespec){at / 1000000000, at % 1000000000};
  }
  timerfd_settime(proxy->timer.fd, TFD_TIMER_ABSTIME, &timer, NULL);
}

static void wait_and_dispatch(struct proxy *proxy) {
  struct epoll_event events[EVENTS];
  int n = epoll_wait(proxy->epoll, events, EVENTS, -1);
  for (int i = 0; i < n; i++) {
    struct source *source = events[i].data.ptr;
    source->ready(source, events[i].events);
  }
}

int proxy_run(struct proxy *proxy) {
  while (!proxy->done) {
    run_schedule(proxy);
    deliver_due(proxy);
    connections_sweep(proxy);
    prepare_sleep(proxy);
    wait_and_dispatch(proxy);
  }
  return proxy->exit_code;
}

/* --------------------------------------------------------------------------------------------- open, close */

static void timer_ready(struct source *source, uint32_t events) {
  uint64_t count;
  (void)events;
  if (read(source->fd, &count, sizeof count) < 0) return; /* set anew in between */
}

static void signal_ready(struct source *source, uint32_t events) {
  struct proxy *proxy = (struct proxy *)(void *)((char *)source - offsetof(struct proxy, signals));
  (void)events;
  proxy->done = true;
  proxy->exit_code = EXIT_INTERRUPTED;
}

static int open_signals(void) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGTERM);
  sigprocmask(SIG_BLOCK, &set, NULL);
  signal(SIGPIPE, SIG_IGN);
  return signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
}

static enum braid_status open_direction(struct proxy *proxy, int direction) {
  struct options *o = &proxy->options;
  size_queues(proxy, direction, rate_plan_mean_bits_per_s(&o->rate[direction]));
  struct shaper_opts opts = {.rate = o->rate[direction],
                             .delay_ns = o->delay_ns[direction],
                             .jitter_ns = o->jitter_ns,
                             .seed = o->seed ^ (uint64_t)direction,
                             .queue_bytes = proxy->queue_bytes[direction]};
  BRAID_TRY(shaper_create(&opts, &proxy->shaper[direction]));
  o->rate[direction] = (struct rate_plan){0};
  return BRAID_OK;
}

/* Regular files and /dev/null cannot be watched (EPERM): nobody steers then. */
static void watch_input(struct proxy *proxy) {
  proxy->input = (struct source){STDIN_FILENO, 0, control_ready};
  proxy_watch(proxy, &proxy->input, EPOLLIN);
}

enum braid_status proxy_open(struct options *options, struct proxy *proxy) {
  *proxy = (struct proxy){.options = *options, .clock = braid_clock_monotonic(), .quit_on_eof = options->quit_on_eof};
  options->rate[UP] = options->rate[DOWN] = (struct rate_plan){0};
  proxy->origin_ns = braid_now_ns(&proxy->clock);
  proxy->listener.fd = -1;
  proxy->epoll = epoll_create1(EPOLL_CLOEXEC);
  proxy->timer = (struct source){timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC), 0, timer_ready};
  proxy->signals = (struct source){open_signals(), 0, signal_ready};
  if (proxy->epoll < 0 || proxy->timer.fd < 0 || proxy->signals.fd < 0)
    return braid_fail(BRAID_EIO, "cannot make descriptors: %s", strerror(errno));
  BRAID_TRY(open_direction(proxy, UP));
  BRAID_TRY(open_direction(proxy, DOWN));
  proxy_watch(proxy, &proxy->timer, EPOLLIN);
  proxy_watch(proxy, &proxy->signals, EPOLLIN);
  watch_input(proxy);
  return start_listening(proxy);
}

static void drop_under_way(struct shaper *shaper) {
  void *chunk;
  size_t bytes;
  while (shaper && shaper_take_any(shaper, &chunk, &bytes)) connection_deliver(chunk);
}

void proxy_close(struct proxy *proxy) {
  for (struct connection *c = proxy->connections; c; c = c->next) connection_kill(c);
  stop_listening(proxy);
  for (int d = 0; d < 2; d++) {
    drop_under_way(proxy->shaper[d]);
    shaper_destroy(&proxy->shaper[d]);
    rate_plan_free(&proxy->options.rate[d]);
  }
  connections_sweep(proxy);
  const int fds[] = {proxy->timer.fd, proxy->signals.fd, proxy->epoll};
  for (size_t i = 0; i < sizeof fds / sizeof *fds; i++)
    if (fds[i] >= 0) close(fds[i]);
}
