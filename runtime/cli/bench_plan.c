/* SPDX-License-Identifier: Apache-2.0
 * braid bench plan: all policies over the grid of plan_grid.h. Values do not depend on the machine; times do. */
#include "bench.h"
#include "bench_growth.h"
#include "grid_file.h"
#include "grid_jobs.h"
#include "grid_nets.h"
#include "grid_report.h"
#include "grid_summary.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct bench {
  const struct bench_options *o;
  char settings[128];
  int asks;
  struct grid_axes axes;
  struct grid_nets nets;
  struct grid_names names;
  struct grid_summary *summary;
  bool *seen; /* [grid_size] */
  int64_t asked, size;
  FILE *results; /* NULL: none are kept */
  struct growth growth;
  struct {
    int64_t begin_ns, said_ns, done, total;
  } progress;
};

/* ---------------------------------------------------------------------------------------------------- axes */

/* "1.1,5.85" in place of the axis; NULL leaves it. */
static int read_axis(const char *option, const char *text, struct grid_axis *axis) {
  struct grid_axis read = {0};
  if (!text) return CLI_DONE;
  for (const char *at = text; read.n < GRID_POINTS_MAX;) {
    char *end;
    double value = strtod(at, &end);
    if (end == at || !isfinite(value) || value <= 0 || (*end != ',' && *end != '\0'))
      return cli_usage("--%s: '%s' is no list of numbers above zero, like 1.1,5.85", option, text);
    for (int i = 0; i < read.n; i++)
      if (read.at[i] == value) return cli_usage("--%s: %g comes twice", option, value);
    read.at[read.n++] = value;
    at = end + 1;
    if (*end == '\0') {
      *axis = read;
      return CLI_DONE;
    }
  }
  return cli_usage("--%s: more than %d points", option, GRID_POINTS_MAX);
}

/* One of two words, or "both". */
static int read_choice(const char *option, const char *text, const char *first, const char *second,
                       struct grid_axis *axis) {
  if (strcmp(text, "both") == 0) return CLI_DONE;
  bool is_second = strcmp(text, second) == 0;
  if (!is_second && strcmp(text, first) != 0)
    return cli_usage("--%s: '%s' is none of %s, %s, both", option, text, first, second);
  *axis = (struct grid_axis){1, {is_second}};
  return CLI_DONE;
}

static int read_axes(const struct bench_options *o, struct grid_axes *axes) {
  *axes = grid_axes_whole();
  int exit = read_axis("rates", o->rates, &axes->mbit);
  if (exit == CLI_DONE) exit = read_axis("ratios", o->ratios, &axes->ratio);
  if (exit == CLI_DONE) exit = read_axis("loads", o->loads, &axes->load);
  if (exit == CLI_DONE) exit = read_axis("rtts", o->rtts, &axes->rtt_ms);
  if (exit == CLI_DONE) exit = read_choice("private", o->private_input, "no", "yes", &axes->private_input);
  if (exit == CLI_DONE) exit = read_choice("objective", o->objective, "latency", "throughput", &axes->objective);
  return exit;
}

/* -------------------------------------------------------------------------------------------------- progress */

/* A bar on a terminal, elsewhere a line a minute. */
static void show_progress(struct bench *b) {
  int64_t now = cli_now_ns(), done = b->progress.done, left = b->progress.total - done;
  double per_s = (double)done / ((double)(now - b->progress.begin_ns + 1) / 1e9), minutes = (double)left / per_s / 60;
  if (isatty(STDERR_FILENO)) {
    char what[40];
    snprintf(what, sizeof what, "cells (%.0f min left)", minutes);
    cli_progress(what, (int)done, (int)b->progress.total);
    return;
  }
  if (now - b->progress.said_ns < 60000000000) return;
  b->progress.said_ns = now;
  fprintf(stderr, "braid: %lld of %lld cells, %.1f a second, %.0f min left, %lld lost, %lld wrong\n", (long long)done,
          (long long)b->progress.total, per_s, minutes, (long long)b->summary->n_lost, (long long)b->summary->n_wrong);
}

/* ----------------------------------------------------------------------------------------------------- cells */

/* Every cell counts once, whoever ran it; lines of other grids are no concern of this one. */
static enum braid_status count_line(struct bench *b, const char *line, bool *is_new) {
  struct grid_result r;
  *is_new = false;
  enum braid_status status = grid_line_read(line, &b->names, &r);
  if (status == BRAID_ENOTFOUND) return BRAID_OK;
  if (status != BRAID_OK) return status;
  int64_t index = grid_index_of(&b->axes, &r.cell);
  if (index < 0 || b->seen[index]) return BRAID_OK;
  *is_new = b->seen[index] = true;
  return grid_summary_add(b->summary, &r);
}

static enum braid_status take_old(void *ctx, const char *line) {
  bool is_new;
  return count_line(ctx, line, &is_new);
}

static enum braid_status take_fresh(void *ctx, const char *line) {
  struct bench *b = ctx;
  bool is_new;
  if (b->results) BRAID_TRY(grid_file_put(b->results, b->o->results, line));
  BRAID_TRY(count_line(b, line, &is_new));
  b->progress.done++;
  show_progress(b);
  return BRAID_OK;
}

/* What there is to do, and not done yet; *n of them. */
static int64_t *list_cells(struct bench *b, int64_t *n) {
  int64_t wanted = b->o->quick ? b->o->cells : b->size;
  int64_t *list = braid_calloc((size_t)wanted, sizeof *list);
  bool *listed = braid_calloc((size_t)b->size, sizeof *listed);
  *n = 0;
  for (int64_t i = 0; i < wanted && list && listed; i++) {
    int64_t index = b->o->quick ? grid_sample(&b->axes, b->nets.n, (uint64_t)b->o->seed, i) : i;
    if (listed[index]) continue;
    listed[index] = true;
    b->asked++;
    if (!b->seen[index]) list[(*n)++] = index;
  }
  if (!listed) {
    braid_free(list);
    list = NULL;
  }
  braid_free(listed);
  return list;
}

static int run_cells(struct bench *b) {
  struct grid_work work = {b->nets.net, b->names, &b->axes, NULL, 0, b->o->jobs, b->asks};
  struct grid_sink sink = {take_fresh, b};
  int64_t *cells = list_cells(b, &work.n);
  if (!cells) return cli_fail(CLI_FAILED);
  work.cell = cells;
  b->progress.total = work.n;
  b->progress.begin_ns = b->progress.said_ns = cli_now_ns();
  enum braid_status status = grid_jobs_run(&work, &sink);
  braid_free(cells);
  return status == BRAID_OK ? CLI_DONE : cli_fail(CLI_FAILED);
}

/* --------------------------------------------------------------------------------------------------- opening */

static int open_results(struct bench *b) {
  struct grid_sink sink = {take_old, b};
  char header[512];
  if (!b->o->results) return b->o->resume ? cli_usage("bench plan: --resume goes with --results FILE") : CLI_DONE;
  snprintf(header, sizeof header, "{\"braid\":\"%s\",\"edge\":\"%s\",\"slices\":%d}", BRAID_VERSION, b->settings,
           b->asks > 1 ? GRID_SLICES : 0);
  return grid_file_open(b->o->results, b->o->resume, header, &sink, &b->results) == BRAID_OK ? CLI_DONE
                                                                                             : cli_fail(CLI_BAD_INPUT);
}

static int open_bench(struct bench *b, char **models, int n_models) {
  const struct bench_options *o = b->o;
  struct grid_nets_opts opts = {(const char *const *)models, n_models, &o->models, o->edge, o->edge_gflops};
  if (o->jobs > GRID_JOBS_MAX) return cli_usage("--jobs: at most %d", GRID_JOBS_MAX);
  b->asks = strcmp(o->slices, "both") == 0 ? GRID_ASKS : 1;
  if (b->asks == 1 && strcmp(o->slices, "auto") != 0)
    return cli_usage("--slices: '%s' is neither auto nor both", o->slices);
  int exit = read_axes(o, &b->axes);
  if (exit == CLI_DONE) exit = grid_nets_open(&opts, &b->nets);
  if (exit != CLI_DONE) return exit;
  if (o->edge)
    snprintf(b->settings, sizeof b->settings, "%.100s", strrchr(o->edge, '/') ? strrchr(o->edge, '/') + 1 : o->edge);
  else
    snprintf(b->settings, sizeof b->settings, "%g GFLOP/s", o->edge_gflops);
  b->names = (struct grid_names){(const char *const *)b->nets.name, b->nets.n};
  b->size = grid_size(&b->axes, b->nets.n);
  b->seen = braid_calloc((size_t)b->size, sizeof *b->seen);
  if (!b->seen || grid_summary_create(&b->axes, b->nets.n, &b->summary) != BRAID_OK) return cli_fail(CLI_FAILED);
  return open_results(b);
}

static void close_bench(struct bench *b) {
  if (b->results) fclose(b->results);
  grid_summary_destroy(&b->summary);
  braid_free(b->seen);
  grid_nets_close(&b->nets);
}

/* ------------------------------------------------------------------------------------------------- reporting */

static int write_markdown(const struct grid_report *report, const char *path) {
  FILE *out = fopen(path, "w");
  bool good = out != NULL;
  if (good) grid_report_print(report, true, out);
  if (good && ferror(out)) good = false;
  if (out && fclose(out) != 0) good = false;
  if (!good) fprintf(stderr, "braid: %s: %s\n", path, strerror(errno));
  return good ? CLI_DONE : CLI_FAILED;
}

static int print_json(const struct bench *b, const struct grid_report *report) {
  json_t *json = grid_report_json(report);
  json_object_set_new(json, "seed", json_integer(b->o->seed));
  return cli_print_json(json);
}

static int report(const struct bench *b) {
  struct grid_report r = {.summary = b->summary,
                          .growth = &b->growth,
                          .names = b->names,
                          .path = (const char *const *)b->nets.path,
                          .settings = b->settings,
                          .asks = b->asks,
                          .asked = b->asked};
  int exit = CLI_DONE;
  if (b->o->json)
    exit = print_json(b, &r);
  else
    grid_report_print(&r, false, stdout);
  if (exit == CLI_DONE && b->o->report) exit = write_markdown(&r, b->o->report);
  if (exit == CLI_DONE && b->o->picture && grid_report_draw(&r, b->o->picture) != BRAID_OK) exit = cli_fail(CLI_FAILED);
  return exit == CLI_DONE && (b->summary->n_lost > 0 || b->summary->n_wrong > 0) ? CLI_FAILED : exit;
}

int bench_plan(const struct bench_options *options, char **models, int n_models) {
  struct bench b = {.o = options};
  int exit = open_bench(&b, models, n_models);
  if (exit == CLI_DONE) exit = run_cells(&b);
  if (exit == CLI_DONE && growth_run(options->largest, (uint64_t)options->seed, &b.growth) != BRAID_OK)
    exit = cli_fail(CLI_FAILED);
  if (exit == CLI_DONE) exit = report(&b);
  close_bench(&b);
  return exit;
}
