/* SPDX-License-Identifier: Apache-2.0
 * Events of a server whose output nobody reads: telling them never waits, what was told is whole lines in order, and what
 * was left out is counted. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"

enum { EVENTS = 20000, BYTES = 4 << 20 };

/* Standard output is a pipe of two pages from here on. */
static int redirect(int *saved) {
  int fd[2];
  cr_assert_eq(pipe(fd), 0);
  (void)fcntl(fd[1], F_SETPIPE_SZ, 8192);
  fflush(stdout);
  *saved = dup(STDOUT_FILENO);
  cr_assert_geq(dup2(fd[1], STDOUT_FILENO), 0);
  close(fd[1]);
  return fd[0];
}

static size_t drain(int fd, char *buf) {
  size_t n = 0;
  ssize_t got;
  (void)fcntl(fd, F_SETFL, O_NONBLOCK);
  while ((got = read(fd, buf + n, BYTES - n - 1)) > 0) n += (size_t)got;
  buf[n] = '\0';
  return n;
}

Test(events, without_a_reader_do_not_wait, .timeout = 60) {
  int saved, fd = redirect(&saved);
  char *text = malloc(BYTES), event[32];
  cr_assert(text);
  for (int i = 0; i < EVENTS; i++) {
    snprintf(event, sizeof event, "number %d", i);
    cli_event(false, "told", event);
  }
  size_t n = 0;
  for (int i = 0; i < 100; i++) { /* each makes room for some of those that wait */
    n += drain(fd, text + n);
    snprintf(event, sizeof event, "number %d", EVENTS + i);
    cli_event(false, "told", event);
  }
  drain(fd, text + n);
  dup2(saved, STDOUT_FILENO);

  int next = 0, told = 0, left_out = 0, number;
  for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
    if (sscanf(line, "left out %d events", &number) == 1) {
      left_out += number;
      continue;
    }
    cr_assert_eq(sscanf(line, "told number %d", &number), 1, "no whole line: '%s'", line);
    cr_assert_geq(number, next, "out of order");
    next = number + 1;
    told++;
  }
  cr_assert_gt(told, 100);
  cr_assert_gt(left_out, EVENTS / 2, "two pages and a bounded store hold far fewer");
  cr_assert_eq(told + left_out, EVENTS + 100);
  free(text);
  close(fd);
  close(saved);
}
