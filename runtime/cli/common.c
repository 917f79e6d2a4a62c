/* SPDX-License-Identifier: Apache-2.0
 * Steps that several commands take. */
#include "cli.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

/* ---------------------------------------------------------------------------------------------- messages */

/* What ends a command: people know it from its "braid:", collectors of logs from its event and exit status. */
static int say_error(const char *kind, const char *text, enum cli_exit exit) {
  struct braid_log_field field = {"exit", NULL, (int64_t)exit};
  if (braid_log_is_json())
    braid_log_event(BRAID_LOG_ERROR, kind, &field, 1, "%s", text);
  else {
    char line[2304];
    snprintf(line, sizeof line, "braid: %s", text);
    braid_log_line(line);
  }
  return (int)exit;
}

int cli_usage(const char *format, ...) {
  char text[2048];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  return say_error("usage", text, CLI_USAGE);
}

int cli_fail(enum cli_exit exit) {
  return say_error("failed", braid_error(), exit);
}

int cli_print_json(json_t *value) {
  bool good = value && json_dumpf(value, stdout, JSON_COMPACT | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(12)) == 0;
  json_decref(value);
  if (good) good = fputc('\n', stdout) != EOF && fflush(stdout) == 0;
  if (good) return CLI_DONE;
  char text[256];
  snprintf(text, sizeof text, "cannot write the JSON to standard output: %s", strerror(errno));
  return say_error("failed", text, CLI_FAILED);
}

json_t *cli_ids_json(const int *id, int n) {
  json_t *list = json_array();
  for (int i = 0; i < n; i++) json_array_append_new(list, json_integer(id[i]));
  return list;
}

json_t *cli_shape_json(const struct braid_shape *shape) {
  return cli_ids_json(shape->dim, shape->rank);
}

double cli_ms(int64_t ns) {
  return (double)ns / 1e6;
}

/* ----------------------------------------------------------------------------------------------- signals */

static volatile sig_atomic_t interrupted; /* the signal's number */
static void (*volatile at_signal)(void);

static void on_signal(int number) {
  interrupted = number;
  if (at_signal) at_signal();
}

void cli_at_signal(void (*hook)(void)) {
  at_signal = hook;
}

int cli_interrupted(void) {
  return interrupted;
}

void cli_catch_signals(void) {
  struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};
  sigaction(SIGINT, &action, NULL);
  sigaction(SIGTERM, &action, NULL);
  signal(SIGPIPE, SIG_IGN);
}

/* ---------------------------------------------------------------------------------------- model, machine */

bool cli_in_zoo(const char *name) {
  int n;
  const struct braid_zoo_entry *zoo = braid_zoo(&n);
  for (int i = 0; i < n; i++)
    if (strcmp(zoo[i].name, name) == 0) return true;
  return false;
}

int cli_open_model(const char *name, int batch, struct braid_graph **out) {
  struct braid_open_opts opts = {.batch = batch};
  if (braid_model_open(name, &opts, out) == BRAID_OK) return CLI_DONE;
  return cli_fail(CLI_BAD_INPUT);
}

/* A file that is no use is said to be so and left alone. */
static void read_choices(struct cli_machine *m) {
  char path[4096];
  if (braid_choices_path(path, sizeof path) != BRAID_OK) return;
  enum braid_status status = braid_choices_read(path, m->cpu_flags, &m->choices);
  if (status == BRAID_OK)
    braid_log(BRAID_LOG_DEBUG, "%s: %d measured kernels", path, braid_choices_count(m->choices));
  else if (status != BRAID_ENOTFOUND)
    braid_log(BRAID_LOG_WARN, "measured kernels are not used: %s", braid_error());
}

static int choose_kernels(const char *name, struct cli_machine *m) {
  m->cpu_flags = strcmp(name, "ref") == 0 ? 0 : braid_cpu_flags();
  if (strcmp(name, "ref") == 0 || strcmp(name, "rules") == 0) return CLI_DONE;
  if (strcmp(name, "fast") != 0) return cli_usage("--kernels: '%s' is none of ref, rules, fast", name);
  read_choices(m);
  return CLI_DONE;
}

int cli_machine_open(const struct cli_exec *exec, struct cli_machine *out) {
  struct cli_machine m = {0};
  int exit = choose_kernels(exec->kernels, &m);
  if (exit != CLI_DONE) return exit;
  if (braid_topology_open(NULL, &m.topology) != BRAID_OK) {
    cli_machine_close(&m);
    return cli_fail(CLI_FAILED);
  }
  if (braid_pin_plan(m.topology, exec->pin, exec->threads, &m.pin) != BRAID_OK) {
    cli_machine_close(&m);
    return cli_fail(exec->pin ? CLI_BAD_INPUT : CLI_FAILED);
  }
  m.workers = m.pin->n_workers;
  *out = m;
  return CLI_DONE;
}

void cli_machine_close(struct cli_machine *machine) {
  braid_choices_destroy(&machine->choices);
  braid_pin_destroy(&machine->pin);
  braid_topology_close(&machine->topology);
}

/* Shorter ones would drown the link in pings, longer ones notice nothing. */
int cli_check_heartbeat(int64_t ns) {
  if (ns >= 10 * INT64_C(1000000) && ns <= 60 * INT64_C(1000000000)) return CLI_DONE;
  return cli_usage("--heartbeat is 10ms to 60s, not %gms", cli_ms(ns));
}

/* -------------------------------------------------------------------------------------------- statistics */

static int ascending(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

/* The smallest value that at least the fraction q does not exceed. */
static double quantile(const double *sorted, int n, double q) {
  int i = (int)(q * n);
  if ((double)i < q * n) i++;
  return sorted[i < 1 ? 0 : i - 1];
}

struct cli_stats cli_stats_of(const double *value, int n) {
  struct cli_stats s = {0};
  double *sorted = n > 0 ? braid_malloc((size_t)n * sizeof *sorted) : NULL;
  if (!sorted) return s;
  memcpy(sorted, value, (size_t)n * sizeof *sorted);
  qsort(sorted, (size_t)n, sizeof *sorted, ascending);
  s = (struct cli_stats){sorted[0], quantile(sorted, n, 0.5), quantile(sorted, n, 0.9), quantile(sorted, n, 0.99),
                         sorted[n - 1]};
  braid_free(sorted);
  return s;
}

int64_t cli_now_ns(void) {
  struct braid_clock clock = braid_clock_monotonic();
  return braid_now_ns(&clock);
}

size_t cli_peak_rss_bytes(void) {
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  return (size_t)usage.ru_maxrss * 1024;
}
