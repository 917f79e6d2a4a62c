/* SPDX-License-Identifier: Apache-2.0
 * braid bench forecast: what is predicted against what real processes do.
 *
 * A cell is a network, a link, a device and a policy. Its edge and cloud are processes on a CPU each, the link between
 * them is braid-linkemu; profiles are measured first, then the edge connects, measures the link, decides, forecasts and
 * runs. Answers are compared with those of `braid run` before a time counts. Nothing here is fitted: the forecast is
 * the edge's own, from its profiles and its probe. */
#include "bench.h"
#include "stage.h"

#include <math.h>
#include <string.h>

struct cell {
  const char *model;
  double ratio, mbit;
  int rtt_ms;
  const char *policy;
  enum braid_objective objective;
  bool private_input;
};

/* By network and ratio: a profile serves all cells that follow each other. */
static const struct cell table[] = {
    {"squeezenet1_1", 8, 5, 20, "edge-only", BRAID_LATENCY, false},
    {"squeezenet1_1", 8, 50, 5, "braid", BRAID_LATENCY, false},
    {"squeezenet1_1", 8, 20, 10, "braid", BRAID_THROUGHPUT, false},
    {"mobilenet_v2", 20, 10, 20, "cloud-only", BRAID_LATENCY, false},
    {"mobilenet_v2", 20, 50, 10, "braid", BRAID_THROUGHPUT, true},
    {"alexnet", 10, 2, 50, "dads", BRAID_LATENCY, true},
    {"alexnet", 10, 10, 20, "braid", BRAID_THROUGHPUT, false},
    {"resnet18", 8, 100, 2, "braid", BRAID_LATENCY, false},
    {"resnet18", 8, 100, 2, "dads", BRAID_LATENCY, true},
    {"googlenet", 8, 20, 10, "cloud-only", BRAID_LATENCY, false},
    {"googlenet", 8, 20, 10, "braid", BRAID_LATENCY, false},
    {"googlenet", 8, 20, 10, "braid", BRAID_THROUGHPUT, false},
    {"mvcnn4_googlenet", 8, 20, 10, "decc", BRAID_LATENCY, false},
    {"mvcnn4_googlenet", 8, 20, 10, "braid", BRAID_LATENCY, false},
    {"mvcnn4_resnet18", 8, 50, 10, "braid", BRAID_LATENCY, true},
};

struct forecast_bench {
  const struct bench_options *o;
  struct stage stage;
  struct cli_table *text;
  json_t *cells;
  double error[CLI_COUNT_OF(table)];
  int n, total;
  bool differs;
};

/* ------------------------------------------------------------------------------------------------- running */

static bool is_asked(const struct cell *cell, char **models, int n_models) {
  for (int i = 0; i < n_models; i++)
    if (strcmp(cell->model, models[i]) == 0) return true;
  return n_models == 0;
}

static enum braid_status run_cell(struct forecast_bench *b, const struct cell *cell, struct stage_run *run) {
  char label[64];
  snprintf(label, sizeof label, "%.20s %.20s", cell->model, cell->policy);
  cli_progress(label, b->n, b->total);
  BRAID_TRY(stage_set(&b->stage, &(struct stage_scene){cell->model, cell->ratio, cell->mbit, cell->rtt_ms}));
  int frames =
      cell->objective == BRAID_LATENCY ? b->o->frames : 8 * b->o->frames; /* the slow part of a mix finishes seldom */
  const struct stage_job job = {cell->policy, cell->objective, frames, cell->private_input, false};
  return stage_edge(&b->stage, &job, run);
}

/* -------------------------------------------------------------------------------------------------- report */

/* Latency in ms of one frame at a time, or ms between results with many in flight. */
static void add_cell(struct forecast_bench *b, const struct cell *cell, const struct stage_run *run) {
  bool latency = cell->objective == BRAID_LATENCY;
  struct cli_stats t = cli_stats_of(run->latency_ms, run->n_latencies);
  double predicted = latency ? run->predicted_latency_ms : 1e3 / run->predicted_fps;
  double measured = latency ? t.p50 : 1e3 / run->fps, error = measured / predicted - 1;
  const char *objective = latency ? "latency" : "throughput";
  b->error[b->n++] = fabs(error);
  b->differs |= run->differs;
  cli_table_cell(b->text, "%s", cell->model);
  cli_table_cell(b->text, "%g", cell->mbit);
  cli_table_cell(b->text, "%d", cell->rtt_ms);
  cli_table_cell(b->text, "%g", cell->ratio);
  cli_table_cell(b->text, "%s%s", cell->policy, cell->private_input ? ", private" : "");
  cli_table_cell(b->text, "%s", latency ? "latency" : "period");
  cli_table_cell(b->text, "%.1f", predicted);
  cli_table_cell(b->text, "%.1f", measured);
  if (latency)
    cli_table_cell(b->text, "%.1f to %.1f", t.min, t.p90);
  else
    cli_table_cell(b->text, "%s", "");
  cli_table_cell(b->text, "%+.1f", 100 * error);
  cli_table_cell(b->text, "%s", run->differs ? "DIFFER" : "agree");
  json_t *row = json_pack("{s:s, s:f, s:f, s:i, s:f, s:s, s:s, s:b, s:f, s:f, s:f, s:f, s:b, s:f}", "model",
                          cell->model, "ratio", cell->ratio, "mbit", cell->mbit, "rtt_ms", cell->rtt_ms, "bytes_up",
                          run->bytes_up, "policy", cell->policy, "objective", objective, "private", cell->private_input,
                          "predicted_ms", predicted, "measured_ms", measured, "error", error, "fps", run->fps, "agrees",
                          !run->differs, "difference", isfinite(run->difference) ? run->difference : -1.0);
  if (row && latency)
    json_object_set_new(row, "spread_ms", json_pack("{s:f, s:f, s:f}", "min", t.min, "p90", t.p90, "max", t.max));
  json_array_append_new(b->cells, row);
}

static int report(struct forecast_bench *b) {
  struct cli_stats e = cli_stats_of(b->error, b->n);
  if (b->o->json) {
    cli_table_free(b->text);
    int printed = cli_print_json(json_pack("{s:O, s:f, s:f, s:i, s:s}", "cells", b->cells, "median_error", e.p50,
                                           "max_error", e.max, "n", b->n, "version", BRAID_VERSION));
    if (printed != CLI_DONE) return printed;
  } else {
    cli_table_print(b->text, stdout);
    printf("\nmedian error %.1f %%, largest %.1f %%, %d cells\n", 100 * e.p50, 100 * e.max, b->n);
  }
  if (!b->differs) return CLI_DONE;
  fputs("braid: some answers differ from those of 'braid run'\n", stderr);
  return CLI_FAILED;
}

static int run_cells(struct forecast_bench *b, char **models, int n_models) {
  for (int i = 0; i < CLI_COUNT_OF(table); i++) b->total += is_asked(&table[i], models, n_models);
  if (b->total == 0) return cli_usage("bench forecast: no cell is of %s ('braid bench forecast' runs all)", models[0]);
  enum braid_status status = BRAID_OK;
  for (int i = 0; i < CLI_COUNT_OF(table) && status == BRAID_OK && !cli_interrupted(); i++) {
    struct stage_run run = {.n_latencies = 0};
    if (!is_asked(&table[i], models, n_models)) continue;
    status = run_cell(b, &table[i], &run);
    if (status == BRAID_OK) add_cell(b, &table[i], &run);
  }
  cli_progress("", b->total, b->total);
  if (cli_interrupted()) return CLI_INTERRUPTED;
  return status == BRAID_OK ? CLI_DONE : cli_fail(CLI_FAILED);
}

int bench_forecast(const struct bench_options *o, char **models, int n_models) {
  static const char *const heading[] = {"model",     "Mbit/s",   "rtt/ms",   "ratio",   "policy", "what",
                                        "predicted", "measured", "min, p90", "error/%", "answers"};
  struct forecast_bench b = {.o = o, .cells = json_array(), .text = cli_table_new(CLI_COUNT_OF(heading), heading)};
  b.stage.kernels = "fast";
  b.stage.slices = "auto";
  int exit = stage_open(&b.stage) == BRAID_OK ? run_cells(&b, models, n_models) : cli_fail(CLI_FAILED);
  stage_close(&b.stage, exit == CLI_FAILED);
  if (exit == CLI_DONE)
    exit = report(&b);
  else
    cli_table_free(b.text);
  json_decref(b.cells);
  return exit;
}
