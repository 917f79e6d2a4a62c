/* SPDX-License-Identifier: Apache-2.0
 * The command line of braid-linkemu. */
#include "options.h"

#include <errno.h>
#include <getopt.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
    "usage: braid-linkemu --to HOST:PORT [options]\n"
    "\n"
    "A TCP proxy that behaves like a slow, distant or failing link. Prints \"listening on ADDRESS:PORT\" when it is "
    "ready.\n"
    "\n"
    "  --to HOST:PORT        where connections go on to\n"
    "  --listen HOST:PORT    where it listens (127.0.0.1:0: any free port)\n"
    "  --up RATE             client to target, e.g. 20mbit (100gbit)\n"
    "  --down RATE           target to client (100gbit)\n"
    "  --trace-up FILE       rate over time instead: CSV time_s,mbps, repeated for ever\n"
    "  --trace-down FILE\n"
    "  --rtt T               round trip, half of it each way, e.g. 10ms (0)\n"
    "  --delay-up T          one-way delay of one direction\n"
    "  --delay-down T\n"
    "  --jitter T            up to T more delay for each piece, without reordering (0)\n"
    "  --seed N              of the jitter (0)\n"
    "  --queue SIZE          bytes that wait per direction before the sender is held back\n"
    "                        (the largest of 64KiB, 2 x rate x round trip and 10 ms of the rate)\n"
    "  --cut-at T            T after the start: close every connection and refuse new ones ...\n"
    "  --cut-for T           ... for T (for good)\n"
    "  --freeze-at T         T after the start: hold every byte, both ways ...\n"
    "  --freeze-for T        ... for T (for good)\n"
    "  --quit-on-eof         end when standard input ends\n"
    "  --help\n"
    "\n"
    "Rates count the bytes inside TCP and are shared by all connections of a direction. Lines on standard input steer "
    "it\n"
    "while it runs, each answered by \"ok\" or \"error: ...\" on standard output: up RATE, down RATE, rtt T, delay-up "
    "T,\n"
    "delay-down T, jitter T, cut T, freeze T (0 ends either), stats, quit.\n";

enum option_id {
  OPT_TO = 256,
  OPT_LISTEN,
  OPT_UP,
  OPT_DOWN,
  OPT_TRACE_UP,
  OPT_TRACE_DOWN,
  OPT_RTT,
  OPT_DELAY_UP,
  OPT_DELAY_DOWN,
  OPT_JITTER,
  OPT_SEED,
  OPT_QUEUE,
  OPT_CUT_AT,
  OPT_CUT_FOR,
  OPT_FREEZE_AT,
  OPT_FREEZE_FOR,
  OPT_QUIT_ON_EOF,
  OPT_HELP
};

static const struct option long_options[] = {
    {"to", required_argument, NULL, OPT_TO},
    {"listen", required_argument, NULL, OPT_LISTEN},
    {"up", required_argument, NULL, OPT_UP},
    {"down", required_argument, NULL, OPT_DOWN},
    {"trace-up", required_argument, NULL, OPT_TRACE_UP},
    {"trace-down", required_argument, NULL, OPT_TRACE_DOWN},
    {"rtt", required_argument, NULL, OPT_RTT},
    {"delay-up", required_argument, NULL, OPT_DELAY_UP},
    {"delay-down", required_argument, NULL, OPT_DELAY_DOWN},
    {"jitter", required_argument, NULL, OPT_JITTER},
    {"seed", required_argument, NULL, OPT_SEED},
    {"queue", required_argument, NULL, OPT_QUEUE},
    {"cut-at", required_argument, NULL, OPT_CUT_AT},
    {"cut-for", required_argument, NULL, OPT_CUT_FOR},
    {"freeze-at", required_argument, NULL, OPT_FREEZE_AT},
    {"freeze-for", required_argument, NULL, OPT_FREEZE_FOR},
    {"quit-on-eof", no_argument, NULL, OPT_QUIT_ON_EOF},
    {"help", no_argument, NULL, OPT_HELP},
    {0},
};

static enum braid_status parse_address(const char *text, struct sockaddr_in *out) {
  char host[256];
  const char *colon = strrchr(text, ':');
  size_t size = colon ? (size_t)(colon - text) : 0;
  if (size == 0 || size >= sizeof host) return braid_fail(BRAID_EINVAL, "'%s' is not HOST:PORT", text);
  memcpy(host, text, size);
  host[size] = '\0';
  struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV}, *found;
  int failed = getaddrinfo(host, colon + 1, &hints, &found);
  if (failed) return braid_fail(BRAID_EINVAL, "'%s': %s", text, gai_strerror(failed));
  memcpy(out, found->ai_addr, sizeof *out);
  freeaddrinfo(found);
  return BRAID_OK;
}

static enum braid_status parse_seed(const char *text, uint64_t *out) {
  char *end;
  errno = 0;
  unsigned long long value = strtoull(text, &end, 0);
  if (*text < '0' || *text > '9' || *end || errno) return braid_fail(BRAID_EINVAL, "'%s' is not a seed", text);
  *out = value;
  return BRAID_OK;
}

static enum braid_status parse_rate(const char *text, struct rate_plan *out) {
  double bits_per_s;
  BRAID_TRY(braid_parse_rate(text, &bits_per_s));
  rate_plan_free(out);
  return rate_plan_constant(bits_per_s, out);
}

static enum braid_status read_trace(const char *path, struct rate_plan *out) {
  rate_plan_free(out);
  return rate_plan_read(path, out);
}

static enum braid_status parse_rtt(const char *text, struct options *o) {
  int64_t rtt_ns;
  BRAID_TRY(braid_parse_duration_ns(text, &rtt_ns));
  o->delay_ns[UP] = rtt_ns / 2;
  o->delay_ns[DOWN] = rtt_ns - rtt_ns / 2;
  return BRAID_OK;
}

static enum braid_status apply(int id, const char *value, struct options *o) {
  switch ((enum option_id)id) {
  case OPT_TO:
    return parse_address(value, &o->to);
  case OPT_LISTEN:
    return parse_address(value, &o->listen);
  case OPT_UP:
    return parse_rate(value, &o->rate[UP]);
  case OPT_DOWN:
    return parse_rate(value, &o->rate[DOWN]);
  case OPT_TRACE_UP:
    return read_trace(value, &o->rate[UP]);
  case OPT_TRACE_DOWN:
    return read_trace(value, &o->rate[DOWN]);
  case OPT_RTT:
    return parse_rtt(value, o);
  case OPT_DELAY_UP:
    return braid_parse_duration_ns(value, &o->delay_ns[UP]);
  case OPT_DELAY_DOWN:
    return braid_parse_duration_ns(value, &o->delay_ns[DOWN]);
  case OPT_JITTER:
    return braid_parse_duration_ns(value, &o->jitter_ns);
  case OPT_SEED:
    return parse_seed(value, &o->seed);
  case OPT_QUEUE:
    return braid_parse_size(value, &o->queue_bytes);
  case OPT_CUT_AT:
    return braid_parse_duration_ns(value, &o->cut_at_ns);
  case OPT_CUT_FOR:
    return braid_parse_duration_ns(value, &o->cut_for_ns);
  case OPT_FREEZE_AT:
    return braid_parse_duration_ns(value, &o->freeze_at_ns);
  case OPT_FREEZE_FOR:
    return braid_parse_duration_ns(value, &o->freeze_for_ns);
  case OPT_QUIT_ON_EOF:
    o->quit_on_eof = true;
    return BRAID_OK;
  case OPT_HELP:
    break;
  }
  return braid_fail(BRAID_EINVAL, "unexpected option");
}

static bool stop(const char *message, int code, int *exit_code) {
  fprintf(stderr, "braid-linkemu: %s\n", message);
  *exit_code = code;
  return false;
}

static const char *name_of(int id) {
  for (const struct option *o = long_options; o->name; o++)
    if (o->val == id) return o->name;
  return "?";
}

static enum braid_status set_defaults(struct options *o) {
  *o = (struct options){.cut_at_ns = -1, .freeze_at_ns = -1, .cut_for_ns = INT64_MAX, .freeze_for_ns = INT64_MAX};
  BRAID_TRY(parse_address("127.0.0.1:0", &o->listen));
  BRAID_TRY(rate_plan_constant(100e9, &o->rate[UP]));
  return rate_plan_constant(100e9, &o->rate[DOWN]);
}

bool options_parse(int argc, char **argv, struct options *out, int *exit_code) {
  if (set_defaults(out) != BRAID_OK) return stop(braid_error(), EXIT_FAILED, exit_code);
  for (int id; (id = getopt_long(argc, argv, "", long_options, NULL)) != -1;) {
    if (id == OPT_HELP) {
      fputs(usage, stdout);
      *exit_code = EXIT_DONE;
      return false;
    }
    if (id == '?') return stop("try --help", EXIT_USAGE, exit_code);
    enum braid_status status = apply(id, optarg, out);
    if (status != BRAID_OK) {
      (void)braid_fail_in(status, "--%s", name_of(id));
      return stop(braid_error(), status == BRAID_EINVAL ? EXIT_USAGE : EXIT_BAD_INPUT, exit_code);
    }
  }
  if (optind < argc) return stop("arguments without an option; try --help", EXIT_USAGE, exit_code);
  if (out->to.sin_family == 0) return stop("--to HOST:PORT is missing; try --help", EXIT_USAGE, exit_code);
  return true;
}
