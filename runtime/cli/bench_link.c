/* SPDX-License-Identifier: Apache-2.0
 * braid bench link: what Braid's link costs over raw ZeroMQ and raw TCP.
 *
 * Two processes, each with all its threads on a CPU of its own, over loopback. For every carrier and size: a few
 * messages whose every byte is checked, then as many as the size allows, counted by batches that the receiver confirms
 * (the sender is at most two batches ahead), then one at a time, each answered by a byte. Carriers take turns, and a
 * ratio is one of two measurements of the same round, so that what the machine does meanwhile hits both. */
#include "bench.h"
#include "bench_carrier.h"
#include "child.h"

#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SIZES = 5, ROUNDS = 5, ROUNDS_MAX = 32, CHECKED = 8, AHEAD = 2, LARGEST = 1 << 20 };
static const size_t sizes[SIZES] = {64, 1 << 10, 32 << 10, 100 << 10, LARGEST};

struct amounts {
  int messages, batch, pings;
};

struct sample {
  double mbit, latency_us; /* median round trip of a message and its answer */
};

struct bench_link {
  const struct bench_options *o;
  struct carrier_keys keys;
  struct braid_clock clock;
  int cpu[2];
  uint8_t *payload; /* LARGEST */
  struct sample sample[SIZES][CARRIERS][ROUNDS_MAX];
};

static struct amounts amounts_of(const struct bench_link *b, size_t bytes) {
  double one_us = 4 + (double)bytes / 500; /* roughly what a message takes */
  int messages = (int)((b->o->quick ? 1e4 : 3e5) / one_us), batch = (int)((1 << 20) / bytes);
  if (batch > 256) batch = 256;
  if (batch < 2) batch = 2;
  return (struct amounts){(messages / batch + AHEAD) * batch, batch, b->o->quick ? 20 : 300};
}

static uint8_t pattern(int message, size_t i) {
  return (uint8_t)((unsigned)message * 31 + i * 7 + (i >> 8));
}

static void pin_to(int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (cpu < 0) return;
  CPU_SET(cpu, &set);
  sched_setaffinity(0, sizeof set, &set);
}

/* ------------------------------------------------------------------------------------------------ receiver */

static bool intact(const uint8_t *bytes, size_t got, size_t size, int message) {
  if (got != size) return false;
  for (size_t i = 0; i < size; i++)
    if (bytes[i] != pattern(message, i)) return false;
  return true;
}

static enum braid_status confirm(const struct carrier *c, struct carrier_end *end, bool good) {
  const uint8_t byte = good;
  return c->send(end, &byte, 1);
}

static enum braid_status receive(const struct bench_link *b, const struct carrier *c, struct carrier_end *end,
                                 size_t size) {
  struct amounts a = amounts_of(b, size);
  const uint8_t *bytes;
  size_t got;
  for (int i = 0; i < CHECKED; i++) {
    BRAID_TRY(c->recv(end, &bytes, &got));
    BRAID_TRY(confirm(c, end, intact(bytes, got, size, i)));
  }
  for (int i = 1; i <= a.messages; i++) {
    BRAID_TRY(c->recv(end, &bytes, &got));
    if (i % a.batch == 0) BRAID_TRY(confirm(c, end, got == size));
  }
  for (int i = 0; i < a.pings; i++) {
    BRAID_TRY(c->recv(end, &bytes, &got));
    BRAID_TRY(confirm(c, end, got == size));
  }
  return c->recv(end, &bytes, &got); /* the sender's goodbye: our last answer has left */
}

/* In a process of its own. */
static int receiver(const struct bench_link *b, const struct carrier *c, size_t size, int address_fd) {
  struct carrier_end *end = NULL;
  char address[CARRIER_ADDRESS_BYTES] = "";
  pin_to(b->cpu[1]);
  enum braid_status status = c->open(c, &b->keys, NULL, &end);
  if (status == BRAID_OK) {
    c->address(end, address);
    if (write(address_fd, address, sizeof address) != sizeof address) return 1;
    status = receive(b, c, end, size);
  }
  if (status != BRAID_OK) fprintf(stderr, "braid: %s: %s\n", c->name, braid_error());
  c->close(end);
  return status != BRAID_OK;
}

/* -------------------------------------------------------------------------------------------------- sender */

static enum braid_status await(const struct carrier *c, struct carrier_end *end) {
  const uint8_t *bytes;
  size_t got;
  BRAID_TRY(c->recv(end, &bytes, &got));
  return got == 1 && *bytes == 1 ? BRAID_OK : braid_fail(BRAID_EPROTO, "%s: bytes did not arrive as sent", c->name);
}

static enum braid_status check_bytes(struct bench_link *b, const struct carrier *c, struct carrier_end *end,
                                     size_t size) {
  for (int i = 0; i < CHECKED; i++) {
    for (size_t k = 0; k < size; k++) b->payload[k] = pattern(i, k);
    BRAID_TRY(c->send(end, b->payload, size));
    BRAID_TRY(await(c, end));
  }
  return BRAID_OK;
}

static enum braid_status measure_rate(struct bench_link *b, const struct carrier *c, struct carrier_end *end,
                                      size_t size, double *mbit) {
  struct amounts a = amounts_of(b, size);
  int confirmed = 0;
  int64_t begin = braid_now_ns(&b->clock);
  for (int i = 0; i < a.messages; i++) {
    if (i - confirmed >= AHEAD * a.batch) {
      BRAID_TRY(await(c, end));
      confirmed += a.batch;
    }
    BRAID_TRY(c->send(end, b->payload, size));
  }
  for (; confirmed < a.messages; confirmed += a.batch) BRAID_TRY(await(c, end));
  *mbit = 8e3 * (double)size * a.messages / (double)(braid_now_ns(&b->clock) - begin);
  return BRAID_OK;
}

static enum braid_status measure_latency(struct bench_link *b, const struct carrier *c, struct carrier_end *end,
                                         size_t size, double *latency_us) {
  int n = amounts_of(b, size).pings;
  double us[512];
  for (int i = 0; i < n; i++) {
    int64_t begin = braid_now_ns(&b->clock);
    BRAID_TRY(c->send(end, b->payload, size));
    BRAID_TRY(await(c, end));
    us[i] = (double)(braid_now_ns(&b->clock) - begin) / 1e3;
  }
  *latency_us = cli_stats_of(us, n).p50;
  return BRAID_OK;
}

static enum braid_status send_all(struct bench_link *b, const struct carrier *c, struct carrier_end *end, size_t size,
                                  struct sample *out) {
  BRAID_TRY(check_bytes(b, c, end, size));
  BRAID_TRY(measure_rate(b, c, end, size, &out->mbit));
  BRAID_TRY(measure_latency(b, c, end, size, &out->latency_us));
  return c->send(end, b->payload, 1);
}

static enum braid_status measure(struct bench_link *b, const struct carrier *c, size_t size, struct sample *out) {
  int ends[2], state = 0;
  char address[CARRIER_ADDRESS_BYTES];
  struct carrier_end *end = NULL;
  fflush(stdout);
  if (pipe(ends) != 0) return braid_fail(BRAID_EIO, "no pipe");
  pid_t pid = fork();
  if (pid == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    close(ends[0]);
    _exit(receiver(b, c, size, ends[1]));
  }
  close(ends[1]);
  enum braid_status status = BRAID_OK;
  if (pid < 0 || read(ends[0], address, sizeof address) != sizeof address)
    status = braid_fail(BRAID_EIO, "%s: no receiver", c->name);
  close(ends[0]);
  if (status == BRAID_OK) status = c->open(c, &b->keys, address, &end);
  if (status == BRAID_OK) status = send_all(b, c, end, size, out);
  if (status != BRAID_OK && pid > 0) kill(pid, SIGKILL); /* it may wait for what will not come */
  c->close(end);
  if (pid > 0 && waitpid(pid, &state, 0) == pid && state != 0 && status == BRAID_OK)
    status = braid_fail(BRAID_EIO, "%s: the receiver failed", c->name);
  return status;
}

/* -------------------------------------------------------------------------------------------------- report */

struct summary {
  struct cli_stats mbit, latency_us, ratio, added_us; /* ratio, added: to ZeroMQ in the same round */
};

static struct summary summarise(const struct bench_link *b, int size, int carrier) {
  int n = b->o->rounds, base = carriers[carrier].curve ? CARRIER_ZMQ_CURVE : CARRIER_ZMQ;
  double value[4][ROUNDS_MAX];
  for (int r = 0; r < n; r++) {
    const struct sample *own = &b->sample[size][carrier][r], *zmq = &b->sample[size][base][r];
    value[0][r] = own->mbit;
    value[1][r] = own->latency_us;
    value[2][r] = own->mbit / zmq->mbit;
    value[3][r] = own->latency_us - zmq->latency_us;
  }
  return (struct summary){cli_stats_of(value[0], n), cli_stats_of(value[1], n), cli_stats_of(value[2], n),
                          cli_stats_of(value[3], n)};
}

static void print_table(const struct bench_link *b) {
  static const char *const heading[] = {"bytes",     "carrier", "Mbit/s",       "messages/s",
                                        "of ZeroMQ", "spread",  "latency (us)", "added (us)"};
  struct cli_table *table = cli_table_new(CLI_COUNT_OF(heading), heading);
  for (int s = 0; s < SIZES; s++)
    for (int c = 0; c < CARRIERS; c++) {
      struct summary m = summarise(b, s, c);
      cli_table_cell(table, "%zu", sizes[s]);
      cli_table_cell(table, "%s", carriers[c].name);
      cli_table_cell(table, "%.0f", m.mbit.p50);
      cli_table_cell(table, "%.0f", m.mbit.p50 * 1e6 / 8 / (double)sizes[s]);
      cli_table_cell(table, "%.1f %%", 100 * m.ratio.p50);
      cli_table_cell(table, "%.0f..%.0f", 100 * m.ratio.min, 100 * m.ratio.max);
      cli_table_cell(table, "%.1f", m.latency_us.p50);
      cli_table_cell(table, "%+.1f", m.added_us.p50);
    }
  cli_table_print(table, stdout);
  printf("\n%d rounds; every byte of %d messages checked first, all intact. 'of ZeroMQ' and 'added' compare with "
         "ZeroMQ in "
         "the same round, CURVE with CURVE.\n",
         b->o->rounds, CHECKED);
}

static json_t *stats_json(const struct cli_stats *s) {
  return json_pack("{s:f, s:f, s:f}", "p50", s->p50, "min", s->min, "max", s->max);
}

static int print_json(const struct bench_link *b) {
  json_t *rows = json_array();
  char version[32];
  carrier_zmq_version(version, sizeof version);
  for (int s = 0; s < SIZES; s++)
    for (int c = 0; c < CARRIERS; c++) {
      struct summary m = summarise(b, s, c);
      json_array_append_new(rows, json_pack("{s:I, s:s, s:b, s:o, s:o, s:o, s:o}", "bytes", (json_int_t)sizes[s],
                                            "carrier", carriers[c].name, "curve", carriers[c].curve, "mbit",
                                            stats_json(&m.mbit), "latency_us", stats_json(&m.latency_us), "of_zmq",
                                            stats_json(&m.ratio), "added_us", stats_json(&m.added_us)));
    }
  return cli_print_json(json_pack("{s:i, s:b, s:s, s:[i,i], s:o}", "rounds", b->o->rounds, "intact", true, "libzmq",
                                  version, "cpus", b->cpu[0], b->cpu[1], "rows", rows));
}

/* ----------------------------------------------------------------------------------------------- the bench */

static int run_rounds(struct bench_link *b) {
  int total = b->o->rounds * SIZES * CARRIERS, done = 0;
  for (int r = 0; r < b->o->rounds; r++)
    for (int s = 0; s < SIZES; s++)
      for (int i = 0; i < CARRIERS && !cli_interrupted(); i++) {
        int c = (i + r) % CARRIERS; /* nobody is always first */
        if (measure(b, &carriers[c], sizes[s], &b->sample[s][c][r]) != BRAID_OK) return cli_fail(CLI_FAILED);
        cli_progress("measurements", ++done, total);
      }
  return CLI_DONE;
}

int bench_link(const struct bench_options *options, char **args, int n_args) {
  (void)args;
  if (n_args > 0) return cli_usage("bench link: takes no model");
  if (options->rounds > ROUNDS_MAX) return cli_usage("bench link: at most %d rounds", ROUNDS_MAX);
  struct bench_options own = *options;
  if (own.rounds == 0) own.rounds = ROUNDS;
  struct bench_link *b = braid_calloc(1, sizeof *b);
  if (b) b->payload = braid_calloc(1, LARGEST);
  if (!b || !b->payload) {
    braid_free(b);
    return CLI_FAILED;
  }
  b->o = &own;
  b->clock = braid_clock_monotonic();
  b->cpu[0] = child_cpu(0);
  b->cpu[1] = child_cpu(1);
  int exit = carrier_keys_make(&b->keys) == BRAID_OK ? CLI_DONE : cli_fail(CLI_FAILED);
  pin_to(b->cpu[0]);
  if (exit == CLI_DONE) exit = run_rounds(b);
  if (exit == CLI_DONE && !cli_interrupted()) {
    if (options->json)
      exit = print_json(b);
    else
      print_table(b);
  }
  carrier_keys_remove(&b->keys);
  braid_free(b->payload);
  braid_free(b);
  return exit;
}
