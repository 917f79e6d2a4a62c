/* SPDX-License-Identifier: Apache-2.0 */
#include "child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

int child_cpu(int n) {
  cpu_set_t set;
  int last = -1;
  if (sched_getaffinity(0, sizeof set, &set) != 0) return -1;
  for (int cpu = 0; cpu < CPU_SETSIZE && n >= 0; cpu++)
    if (CPU_ISSET(cpu, &set)) {
      last = cpu;
      n--;
    }
  return last;
}

/* In the child, between fork and exec: only calls that are safe there. */
static void become(const char *const *argv, int cpu, int in, int out, int log, pid_t parent) {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (cpu >= 0) {
    CPU_SET(cpu, &set);
    sched_setaffinity(0, sizeof set, &set);
  }
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  signal(SIGINT, SIG_DFL);
  signal(SIGTERM, SIG_DFL);
  signal(SIGPIPE, SIG_DFL);
  if (getppid() != parent || dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(log, 2) < 0) _exit(127);
  union { /* exec takes char *const * for historical reasons and changes nothing */
    const char *const *in;
    char *const *out;
  } args = {argv};
  execv(argv[0], args.out);
  _exit(127);
}

static void close_if_open(int *fd) {
  if (*fd >= 0) close(*fd);
  *fd = -1;
}

static enum braid_status spawn(const char *const *argv, int cpu, int log, struct child *out) {
  int in[2] = {-1, -1}, from[2] = {-1, -1};
  if (pipe2(in, O_CLOEXEC) != 0 || pipe2(from, O_CLOEXEC) != 0) {
    close_if_open(&in[0]);
    close_if_open(&in[1]);
    return braid_fail(BRAID_EIO, "no pipe for %s: %s", out->name, strerror(errno));
  }
  pid_t parent = getpid(), pid = fork();
  if (pid == 0) become(argv, cpu, in[0], from[1], log, parent);
  close(in[0]);
  close(from[1]);
  if (pid < 0) {
    close(in[1]);
    close(from[0]);
    return braid_fail(BRAID_EIO, "cannot start %s: %s", out->name, strerror(errno));
  }
  out->pid = pid;
  out->to = in[1];
  out->from = from[0];
  return BRAID_OK;
}

enum braid_status child_start(const char *name, const char *const *argv, int cpu, const char *log, struct child *out) {
  struct child c = {.to = -1, .from = -1};
  snprintf(c.name, sizeof c.name, "%s", name);
  if (access(argv[0], X_OK) != 0) return braid_fail(BRAID_ENOTFOUND, "%s: %s", argv[0], strerror(errno));
  int file = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  if (file < 0) return braid_fail(BRAID_EIO, "%s: %s", log, strerror(errno));
  enum braid_status status = spawn(argv, cpu, file, &c);
  close(file);
  if (status == BRAID_OK) *out = c;
  return status;
}

/* Byte by byte: lines are few and short, and nothing is read past the newline. */
enum braid_status child_line(struct child *c, int64_t timeout_ns, char *buf, size_t size) {
  struct braid_clock clock = braid_clock_monotonic();
  int64_t end = braid_now_ns(&clock) + timeout_ns;
  size_t n = 0;
  for (;;) {
    int64_t left_ms = (end - braid_now_ns(&clock)) / 1000000;
    struct pollfd p = {.fd = c->from, .events = POLLIN};
    if (cli_interrupted()) return braid_fail(BRAID_ECLOSED, "interrupted");
    if (left_ms <= 0) return braid_fail(BRAID_ETIMEDOUT, "%s says nothing for too long", c->name);
    if (poll(&p, 1, left_ms < 200 ? (int)left_ms : 200) <= 0) continue;
    char byte;
    ssize_t got = read(c->from, &byte, 1);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return braid_fail(BRAID_ECLOSED, "%s has ended", c->name);
    if (byte == '\n') break;
    if (n + 1 < size) buf[n++] = byte;
  }
  buf[n] = '\0';
  return BRAID_OK;
}

static int exit_of(int state) {
  return WIFEXITED(state) ? WEXITSTATUS(state) : 128 + WTERMSIG(state);
}

static void forget(struct child *c) {
  close_if_open(&c->to);
  close_if_open(&c->from);
  c->pid = 0;
}

int child_wait(struct child *c) {
  int state = 0;
  if (c->pid <= 0) return -1;
  while (waitpid(c->pid, &state, 0) < 0 && errno == EINTR) continue;
  forget(c);
  return exit_of(state);
}

void child_stop(struct child *c) {
  if (c->pid <= 0) return;
  kill(c->pid, SIGTERM);
  close_if_open(&c->to);
  for (int i = 0; i < 500; i++) { /* five seconds */
    if (waitpid(c->pid, NULL, WNOHANG) != 0) {
      forget(c);
      return;
    }
    nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
  }
  kill(c->pid, SIGKILL);
  child_wait(c);
}
