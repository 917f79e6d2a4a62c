/* SPDX-License-Identifier: Apache-2.0
 * Events of a server on standard output, told by its I/O thread: a reader that has stopped reading must not stop it. A
 * line is written when the output takes it at once; else it waits, with at most so many others, for the next event. What
 * does not fit is counted, and the count is said when there is a reader again. */
#include "cli.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* A pipe that poll calls writable takes PIPE_BUF bytes at once. */
enum { LINE_BYTES = 4096, WAITING_BYTES = 64 << 10 };

static struct {
  pthread_mutex_t mutex;
  char waiting[WAITING_BYTES]; /* whole lines */
  size_t n;
  unsigned long lost;
} out = {.mutex = PTHREAD_MUTEX_INITIALIZER};

static bool takes_more(void) {
  struct pollfd fd = {STDOUT_FILENO, POLLOUT, 0};
  return poll(&fd, 1, 0) > 0 && fd.revents != 0;
}

/* One line; what an output that fails (a full disk) does not take is gone. */
static void write_line(const char *line, size_t n) {
  while (n > 0) {
    ssize_t written = write(STDOUT_FILENO, line, n);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return;
    line += written;
    n -= (size_t)written;
  }
}

static void write_waiting(void) {
  size_t done = 0;
  while (done < out.n && takes_more()) {
    const char *line = out.waiting + done;
    size_t n = (size_t)((const char *)memchr(line, '\n', out.n - done) + 1 - line);
    write_line(line, n);
    done += n;
  }
  out.n -= done;
  memmove(out.waiting, out.waiting + done, out.n);
}

static void put(const char *line, size_t n) {
  if (out.n == 0 && takes_more())
    write_line(line, n);
  else if (out.n + n <= WAITING_BYTES)
    memcpy(out.waiting + out.n, line, n), out.n += n;
  else
    out.lost++;
}

/* As a line of at most LINE_BYTES; returns its length. */
static size_t format(bool json, const char *kind, const char *text, char line[LINE_BYTES]) {
  json_t *event = json ? json_pack("{s:s, s:s}", "event", kind, "text", text) : NULL;
  size_t n = event ? json_dumpb(event, line, LINE_BYTES - 1, JSON_COMPACT | JSON_PRESERVE_ORDER) : 0;
  json_decref(event);
  if (!json) {
    int wanted = snprintf(line, LINE_BYTES - 1, "%s %s", kind, text);
    n = wanted < 0 ? 0 : (size_t)wanted < LINE_BYTES - 2 ? (size_t)wanted : LINE_BYTES - 2;
  }
  if (n == 0 || n > LINE_BYTES - 1) return 0; /* no memory, or no text of ours: they are short */
  line[n] = '\n';
  return n + 1;
}

static void say_lost(bool json) {
  char text[96], line[LINE_BYTES];
  unsigned long lost = out.lost;
  snprintf(text, sizeof text, "%lu events, since nobody read them", lost);
  out.lost = 0;
  put(line, format(json, "left out", text, line));
}

void cli_event(bool json, const char *kind, const char *text) {
  char line[LINE_BYTES];
  size_t n = format(json, kind, text, line);
  pthread_mutex_lock(&out.mutex);
  fflush(stdout); /* what others have printed came before */
  write_waiting();
  if (out.lost > 0 && out.n == 0) say_lost(json);
  put(line, n);
  pthread_mutex_unlock(&out.mutex);
  if (braid_log_is_json()) braid_log_event(BRAID_LOG_INFO, kind, NULL, 0, "%s", text);
}
