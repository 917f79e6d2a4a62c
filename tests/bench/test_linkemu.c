/* SPDX-License-Identifier: Apache-2.0
 * The emulator as a process: bytes arrive unmodified, connections end when they should, stdin steers it. Times are the
 * shaper's business (test_shaper.c); nothing here looks at a clock. */
#include "braid/base.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

struct emulator {
  pid_t pid;
  FILE *in, *out;
  int port;
};

enum { MAX_ARGS = 16 };

static struct emulator start(const char *const *args) {
  int in[2], out[2];
  const char *argv[MAX_ARGS] = {LINKEMU};
  for (int i = 0; args[i]; i++) argv[i + 1] = args[i];
  cr_assert(pipe2(in, O_CLOEXEC) == 0 && pipe2(out, O_CLOEXEC) == 0);
  struct emulator e = {.pid = fork()};
  if (e.pid == 0) {
    dup2(in[0], 0);
    dup2(out[1], 1);
    execv(LINKEMU, (char *const *)(uintptr_t)argv);
    _exit(99);
  }
  close(in[0]);
  close(out[1]);
  e.in = fdopen(in[1], "w");
  e.out = fdopen(out[0], "r");
  return e;
}

static const char *line_from(struct emulator *e) {
  static char line[512];
  cr_assert(fgets(line, sizeof line, e->out), "the emulator ended");
  return line;
}

static void await_ready(struct emulator *e) {
  cr_assert_eq(sscanf(line_from(e), "listening on 127.0.0.1:%d", &e->port), 1);
}

static int exit_code(struct emulator *e) {
  int status;
  cr_assert_eq(waitpid(e->pid, &status, 0), e->pid);
  fclose(e->in);
  fclose(e->out);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static const char *command(struct emulator *e, const char *text) {
  fprintf(e->in, "%s\n", text);
  fflush(e->in);
  return line_from(e);
}

static void expect_ok(struct emulator *e, const char *text) {
  const char *answer = command(e, text);
  cr_assert_str_eq(answer, "ok\n", "%s: %s", text, answer);
}

static void quit(struct emulator *e) {
  expect_ok(e, "quit");
  cr_assert_eq(exit_code(e), 0);
}

/* ------------------------------------------------------------------------------------------------ sockets */

static int listen_here(char *target, size_t size) {
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t length = sizeof at;
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  cr_assert(fd >= 0 && bind(fd, (struct sockaddr *)&at, sizeof at) == 0 && listen(fd, 64) == 0);
  getsockname(fd, (struct sockaddr *)&at, &length);
  snprintf(target, size, "127.0.0.1:%d", ntohs(at.sin_port));
  return fd;
}

/* -1: refused */
static int connect_to(int port) {
  struct sockaddr_in to = {
      .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons((uint16_t)port)};
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (connect(fd, (struct sockaddr *)&to, sizeof to) == 0) return fd;
  cr_assert_eq(errno, ECONNREFUSED);
  close(fd);
  return -1;
}

static uint8_t byte_at(uint64_t stream, size_t i) {
  return (uint8_t)(braid_random_u64(stream, i / 8) >> (8 * (i % 8)));
}

/* One end of a stream in both directions, moved whenever poll says so. */
struct talker {
  int fd;
  uint64_t sends, receives; /* streams */
  size_t sent, received, total;
};

static bool talk_done(const struct talker *t) {
  return t->sent == t->total && t->received == t->total;
}

static void talk_send(struct talker *t) {
  uint8_t buffer[3000];
  size_t n = t->total - t->sent < sizeof buffer ? t->total - t->sent : sizeof buffer;
  for (size_t i = 0; i < n; i++) buffer[i] = byte_at(t->sends, t->sent + i);
  ssize_t sent = send(t->fd, buffer, n, MSG_DONTWAIT | MSG_NOSIGNAL);
  if (sent > 0) t->sent += (size_t)sent;
}

static void talk_receive(struct talker *t) {
  uint8_t buffer[3000];
  ssize_t got = recv(t->fd, buffer, sizeof buffer, MSG_DONTWAIT);
  cr_assert(got > 0 || errno == EAGAIN, "stream %d ended early", (int)t->receives);
  for (ssize_t i = 0; i < got; i++)
    cr_assert_eq(buffer[i], byte_at(t->receives, t->received + (size_t)i), "stream %d, byte %zu", (int)t->receives,
                 t->received + (size_t)i);
  if (got > 0) t->received += (size_t)got;
}

static void talk_all(struct talker *talkers, int n) {
  struct pollfd fds[64];
  for (bool done = false; !done;) {
    done = true;
    for (int i = 0; i < n; i++) {
      struct talker *t = &talkers[i];
      fds[i] = (struct pollfd){t->fd, (short)((t->sent < t->total ? POLLOUT : 0) | POLLIN), 0};
      done &= talk_done(t);
    }
    if (done) break;
    cr_assert_gt(poll(fds, (nfds_t)n, 60000), 0, "nothing moves");
    for (int i = 0; i < n; i++) {
      if (fds[i].revents & POLLOUT) talk_send(&talkers[i]);
      if (fds[i].revents & POLLIN) talk_receive(&talkers[i]);
    }
  }
}

static void expect_bytes(int fd, const char *text) {
  char got[64];
  size_t n = strlen(text);
  cr_assert_eq(recv(fd, got, n, MSG_WAITALL), (ssize_t)n);
  cr_assert_eq(memcmp(got, text, n), 0);
}

static void expect_end(int fd) {
  char byte;
  ssize_t got = recv(fd, &byte, 1, 0);
  cr_assert(got == 0 || (got < 0 && errno == ECONNRESET));
}

static void exchange(int a, int b) {
  cr_assert_eq(send(a, "ping", 4, 0), 4);
  expect_bytes(b, "ping");
  cr_assert_eq(send(b, "pong", 4, 0), 4);
  expect_bytes(a, "pong");
}

/* -------------------------------------------------------------------------------------------------- tests */

struct line {
  struct emulator emulator;
  int server, client, accepted;
};

/* An emulator, and one connection through it. */
static struct line open_line(const char *option, const char *value) {
  char target[64];
  struct line l = {.server = listen_here(target, sizeof target)};
  l.emulator = start((const char *const[]){"--to", target, option, value, NULL});
  await_ready(&l.emulator);
  l.client = connect_to(l.emulator.port);
  cr_assert_geq(l.client, 0);
  l.accepted = accept(l.server, NULL, NULL);
  cr_assert_geq(l.accepted, 0);
  return l;
}

static void close_line(struct line *l) {
  close(l->client);
  close(l->accepted);
  close(l->server);
  quit(&l->emulator);
}

Test(linkemu, many_connections_carry_their_bytes_both_ways, .timeout = 120) {
  enum { CONNECTIONS = 12, BYTES = 150000 };
  char target[64];
  int server = listen_here(target, sizeof target);
  struct emulator e = start((const char *const[]){"--to", target, "--up", "400mbit", "--down", "300mbit", "--rtt",
                                                  "2ms", "--jitter", "1ms", "--queue", "20kB", NULL});
  struct talker talkers[2 * CONNECTIONS];
  await_ready(&e);
  for (uint64_t i = 0; i < CONNECTIONS; i++) {
    int client = connect_to(e.port), accepted = accept(server, NULL, NULL);
    cr_assert(client >= 0 && accepted >= 0);
    talkers[2 * i] = (struct talker){client, 2 * i, 2 * i + 1, 0, 0, BYTES};
    talkers[2 * i + 1] = (struct talker){accepted, 2 * i + 1, 2 * i, 0, 0, BYTES};
  }
  talk_all(talkers, 2 * CONNECTIONS);
  char want[128];
  snprintf(want, sizeof want, "up %d bytes, down %d bytes, connections %d open, %d made\n", CONNECTIONS * BYTES,
           CONNECTIONS * BYTES, CONNECTIONS, CONNECTIONS);
  cr_assert_str_eq(command(&e, "stats"), want);
  cr_assert_str_eq(line_from(&e), "ok\n");
  for (int i = 0; i < 2 * CONNECTIONS; i++) close(talkers[i].fd);
  close(server);
  quit(&e);
}

Test(linkemu, one_side_may_end_before_the_other, .timeout = 60) {
  struct line l = open_line("--rtt", "1ms");
  exchange(l.client, l.accepted);
  shutdown(l.client, SHUT_WR);
  expect_end(l.accepted);
  cr_assert_eq(send(l.accepted, "late answer", 11, 0), 11);
  close(l.accepted);
  l.accepted = -1;
  expect_bytes(l.client, "late answer");
  expect_end(l.client);
  close_line(&l);
}

Test(linkemu, an_abrupt_end_is_passed_on, .timeout = 60) {
  struct line l = open_line("--rtt", "1ms");
  exchange(l.client, l.accepted);
  struct linger reset = {1, 0};
  setsockopt(l.accepted, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
  close(l.accepted);
  l.accepted = -1;
  expect_end(l.client);
  close_line(&l);
}

Test(linkemu, a_cut_ends_connections_and_refuses_new_ones, .timeout = 60) {
  struct line l = open_line("--rtt", "1ms");
  exchange(l.client, l.accepted);
  expect_ok(&l.emulator, "cut 1000s");
  expect_end(l.client);
  expect_end(l.accepted);
  cr_assert_eq(connect_to(l.emulator.port), -1);
  close(l.client);
  close(l.accepted);
  expect_ok(&l.emulator, "cut 0");
  while ((l.client = connect_to(l.emulator.port)) < 0) continue; /* the same port again, at its next turn */
  l.accepted = accept(l.server, NULL, NULL);
  exchange(l.client, l.accepted);
  close_line(&l);
}

Test(linkemu, a_freeze_holds_bytes_and_loses_none, .timeout = 60) {
  struct line l = open_line("--rtt", "1ms");
  exchange(l.client, l.accepted);
  expect_ok(&l.emulator, "freeze 1000s");
  cr_assert_eq(send(l.client, "up", 2, 0), 2);
  cr_assert_eq(send(l.accepted, "down", 4, 0), 4);
  unsigned long up = 0, down = 0;
  while (up != 6 || down != 8) { /* until the emulator holds them */
    cr_assert_eq(sscanf(command(&l.emulator, "stats"), "up %lu bytes, down %lu", &up, &down), 2);
    cr_assert_str_eq(line_from(&l.emulator), "ok\n");
  }
  struct pollfd fds[2] = {{l.client, POLLIN, 0}, {l.accepted, POLLIN, 0}};
  cr_assert_eq(poll(fds, 2, 30), 0, "bytes came through a frozen link");
  expect_ok(&l.emulator, "freeze 0");
  expect_bytes(l.accepted, "up");
  expect_bytes(l.client, "down");
  close_line(&l);
}

Test(linkemu, the_schedule_of_the_command_line_is_kept, .timeout = 60) {
  char target[64];
  int server = listen_here(target, sizeof target);
  struct emulator e =
      start((const char *const[]){"--to", target, "--cut-at", "0", "--freeze-at", "0", "--freeze-for", "1ms", NULL});
  await_ready(&e);
  int fd = connect_to(e.port);
  if (fd >= 0) expect_end(fd); /* just before its first turn */
  cr_assert_eq(connect_to(e.port), -1);
  close(server);
  quit(&e);
}

Test(linkemu, stdin_takes_every_setting_and_refuses_junk, .timeout = 60) {
  struct line l = open_line("--seed", "5");
  static const char *const good[] = {"up 50mbit",    "down 1gbit",   "rtt 2ms",
                                     "delay-up 1ms", "delay-down 0", "jitter 100us"};
  static const char *const bad[] = {"up", "up 5",       "up 5mbit 6mbit", "quit now",
                                    "",   "sideways 3", "cut -1s",        "freeze 1"};
  for (size_t i = 0; i < sizeof good / sizeof *good; i++) expect_ok(&l.emulator, good[i]);
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    const char *answer = command(&l.emulator, bad[i]);
    cr_assert_eq(strncmp(answer, "error: ", 7), 0, "'%s': %s", bad[i], answer);
  }
  exchange(l.client, l.accepted);
  close_line(&l);
}

Test(linkemu, a_missing_target_ends_the_connection, .timeout = 60) {
  char target[64];
  close(listen_here(target, sizeof target));
  struct emulator e = start((const char *const[]){"--to", target, NULL});
  await_ready(&e);
  int fd = connect_to(e.port);
  cr_assert_geq(fd, 0);
  expect_end(fd);
  close(fd);
  quit(&e);
}

static int code_of(const char *const *args) {
  struct emulator e = start(args);
  while (fgetc(e.out) != EOF) continue;
  return exit_code(&e);
}

Test(linkemu, it_ends_with_the_documented_codes, .timeout = 60) {
  cr_assert_eq(code_of((const char *const[]){"--help", NULL}), 0);
  cr_assert_eq(code_of((const char *const[]){NULL}), 2);
  cr_assert_eq(code_of((const char *const[]){"--to", "127.0.0.1:1", "--up", "fast", NULL}), 2);
  cr_assert_eq(code_of((const char *const[]){"--to", "127.0.0.1:1", "stray", NULL}), 2);
  cr_assert_eq(code_of((const char *const[]){"--to", "127.0.0.1:1", "--no-such-option", NULL}), 2);
  cr_assert_eq(code_of((const char *const[]){"--to", "127.0.0.1:1", "--trace-up", "/nowhere.csv", NULL}), 3);
  char taken[64];
  int server = listen_here(taken, sizeof taken);
  cr_assert_eq(code_of((const char *const[]){"--to", "127.0.0.1:1", "--listen", taken, NULL}), 4);
  close(server);
  struct emulator e = start((const char *const[]){"--to", "127.0.0.1:1", NULL});
  await_ready(&e);
  kill(e.pid, SIGTERM);
  cr_assert_eq(exit_code(&e), 130);
  e = start((const char *const[]){"--to", "127.0.0.1:1", "--quit-on-eof", NULL});
  await_ready(&e);
  fclose(e.in);
  e.in = fopen("/dev/null", "w");
  cr_assert_eq(exit_code(&e), 0);
}
