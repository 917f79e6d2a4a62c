/* SPDX-License-Identifier: Apache-2.0
 * Lines on standard input that steer the emulator while it runs. */
#include "proxy.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static enum braid_status set_rate(struct proxy *proxy, int direction, const char *value) {
  double bits_per_s;
  BRAID_TRY(braid_parse_rate(value, &bits_per_s));
  return proxy_set_rate(proxy, direction, bits_per_s);
}

static enum braid_status up(struct proxy *proxy, const char *value) {
  return set_rate(proxy, UP, value);
}

static enum braid_status down(struct proxy *proxy, const char *value) {
  return set_rate(proxy, DOWN, value);
}

static enum braid_status rtt(struct proxy *proxy, const char *value) {
  int64_t ns;
  BRAID_TRY(braid_parse_duration_ns(value, &ns));
  proxy_set_delay(proxy, UP, ns / 2);
  proxy_set_delay(proxy, DOWN, ns - ns / 2);
  return BRAID_OK;
}

static enum braid_status set_delay(struct proxy *proxy, int direction, const char *value) {
  int64_t ns;
  BRAID_TRY(braid_parse_duration_ns(value, &ns));
  proxy_set_delay(proxy, direction, ns);
  return BRAID_OK;
}

static enum braid_status delay_up(struct proxy *proxy, const char *value) {
  return set_delay(proxy, UP, value);
}

static enum braid_status delay_down(struct proxy *proxy, const char *value) {
  return set_delay(proxy, DOWN, value);
}

static enum braid_status jitter(struct proxy *proxy, const char *value) {
  int64_t ns;
  BRAID_TRY(braid_parse_duration_ns(value, &ns));
  proxy_set_jitter(proxy, ns);
  return BRAID_OK;
}

static enum braid_status cut(struct proxy *proxy, const char *value) {
  int64_t ns;
  BRAID_TRY(braid_parse_duration_ns(value, &ns));
  proxy_cut(proxy, ns);
  return BRAID_OK;
}

static enum braid_status freeze(struct proxy *proxy, const char *value) {
  int64_t ns;
  BRAID_TRY(braid_parse_duration_ns(value, &ns));
  proxy_freeze(proxy, ns);
  return BRAID_OK;
}

static enum braid_status stats(struct proxy *proxy, const char *value) {
  (void)value;
  int open = 0;
  for (const struct connection *c = proxy->connections; c; c = c->next) open += !c->dead;
  printf("up %" PRIu64 " bytes, down %" PRIu64 " bytes, connections %d open, %" PRIu64 " made\n", proxy->bytes[UP],
         proxy->bytes[DOWN], open, proxy->connections_made);
  return BRAID_OK;
}

static enum braid_status quit(struct proxy *proxy, const char *value) {
  (void)value;
  proxy->done = true;
  return BRAID_OK;
}

static const struct command {
  const char *name;
  bool has_value;
  enum braid_status (*run)(struct proxy *proxy, const char *value);
} commands[] = {
    {"up", true, up},
    {"down", true, down},
    {"rtt", true, rtt},
    {"delay-up", true, delay_up},
    {"delay-down", true, delay_down},
    {"jitter", true, jitter},
    {"cut", true, cut},
    {"freeze", true, freeze},
    {"stats", false, stats},
    {"quit", false, quit},
};

static enum braid_status run_line(struct proxy *proxy, char *line) {
  char *save, *name = strtok_r(line, " \t\r", &save), *value = strtok_r(NULL, " \t\r", &save);
  if (!name) return braid_fail(BRAID_EINVAL, "empty line");
  for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
    if (strcmp(commands[i].name, name) == 0) {
      if (commands[i].has_value != (value != NULL) || strtok_r(NULL, " \t\r", &save))
        return braid_fail(BRAID_EINVAL, "%s takes %s value", name, commands[i].has_value ? "one" : "no");
      return commands[i].run(proxy, value);
    }
  return braid_fail(BRAID_EINVAL,
                    "unknown command '%s'; there are up, down, rtt, delay-up, delay-down, jitter, cut, freeze, "
                    "stats and quit",
                    name);
}

static void answer(struct proxy *proxy, char *line) {
  if (run_line(proxy, line) == BRAID_OK)
    puts("ok");
  else
    printf("error: %s\n", braid_error());
  fflush(stdout);
}

static void run_lines(struct proxy *proxy) {
  for (char *end; (end = memchr(proxy->line, '\n', proxy->line_bytes)) && !proxy->done;) {
    size_t used = (size_t)(end - proxy->line) + 1;
    *end = '\0';
    answer(proxy, proxy->line);
    proxy->line_bytes -= used;
    memmove(proxy->line, proxy->line + used, proxy->line_bytes);
  }
  if (proxy->line_bytes == sizeof proxy->line) proxy->line_bytes = 0; /* a line without end */
}

void control_ready(struct source *input, uint32_t events) {
  struct proxy *proxy = (struct proxy *)(void *)((char *)input - offsetof(struct proxy, input));
  (void)events;
  ssize_t got = read(input->fd, proxy->line + proxy->line_bytes, sizeof proxy->line - proxy->line_bytes);
  if (got > 0) {
    proxy->line_bytes += (size_t)got;
    run_lines(proxy);
  } else if (got == 0 || errno != EINTR) {
    proxy_watch(proxy, input, 0);
    proxy->done |= proxy->quit_on_eof;
  }
}
