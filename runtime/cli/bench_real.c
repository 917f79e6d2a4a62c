/* SPDX-License-Identifier: Apache-2.0
 * braid bench pipeline --real: many frames in flight, between real processes (stage.h: an edge that plays a slower
 * device and a cloud, on a CPU each, braid-linkemu between them).
 *
 *   mix       ten cells of network x rate x device: frames a second against what was forecast, and against the optimum
 *             of the linear program over all mixes, which no plan can beat (its dual bound, with the edge's own
 * profiles and its own measurement of the link) serial    one plan twice: a frame after the other, stage after stage,
 * as the single-cut literature runs; then with as many frames in flight as its window holds link      everything in the
 * cloud, so that the uplink is what binds: how much of the shaped rate frames' bytes take latency   4-view GoogLeNet,
 * one frame at a time, against its forecast
 *
 * Answers are compared with those of `braid run` before a figure counts. */
#include "bench.h"
#include "stage_plan.h"

#include <math.h>
#include <string.h>

enum part { MIX, SERIAL, LINK, LATENCY };
static const char *const part_name[] = {"mix", "serial", "link", "latency"};

struct cell {
  enum part part;
  const char *model;
  double ratio, mbit;
  int rtt_ms;
  const char *policy;
};

/* By network and ratio: a profile serves all cells that follow each other. */
static const struct cell table[] = {
    {MIX, "squeezenet1_1", 8, 5, 20, "braid"},
    {MIX, "squeezenet1_1", 8, 20, 10, "braid"},
    {MIX, "squeezenet1_1", 8, 50, 10, "braid"},
    {SERIAL, "squeezenet1_1", 8, 20, 10, "dads"},
    {LINK, "squeezenet1_1", 8, 20, 10, "cloud-only"},
    {LINK, "squeezenet1_1", 8, 50, 10, "cloud-only"},
    {LINK, "squeezenet1_1", 8, 100, 10, "cloud-only"},
    {MIX, "mobilenet_v2", 20, 10, 20, "braid"},
    {MIX, "mobilenet_v2", 20, 50, 10, "braid"},
    {MIX, "alexnet", 10, 10, 20, "braid"},
    {MIX, "alexnet", 10, 50, 10, "braid"},
    {SERIAL, "alexnet", 10, 10, 20, "dads"},
    {MIX, "googlenet", 4, 10, 20, "braid"},
    {MIX, "googlenet", 4, 20, 10, "braid"},
    {SERIAL, "googlenet", 4, 20, 10, "dads"},
    {MIX, "resnet18", 4, 20, 10, "braid"},
    {LATENCY, "mvcnn4_googlenet", 8, 20, 10, "braid"},
};

struct real_bench {
  const struct bench_options *o;
  struct stage stage;
  struct cli_table *text;
  json_t *cells;
  int n, total;
  bool differs;
};

/* ------------------------------------------------------------------------------------------------- running */

static bool is_asked(const struct cell *cell, char **models, int n_models) {
  for (int i = 0; i < n_models; i++)
    if (strcmp(cell->model, models[i]) == 0) return true;
  return n_models == 0;
}

/* With so many frames the ends of a run, where the pipeline fills and empties, weigh little. */
static enum braid_status run_throughput(struct real_bench *b, const struct cell *cell, struct stage_run *run) {
  struct stage_job job = {.policy = cell->policy, .objective = BRAID_THROUGHPUT, .frames = 8 * b->o->frames};
  return stage_edge(&b->stage, &job, run);
}

static enum braid_status run_latency(struct real_bench *b, const struct cell *cell, struct stage_run *run) {
  struct stage_job job = {.policy = cell->policy, .objective = BRAID_LATENCY, .frames = b->o->frames};
  return stage_edge(&b->stage, &job, run);
}

/* The policy's cut, serially and in a pipeline. */
static enum braid_status run_twice(struct real_bench *b, const struct cell *cell, struct stage_run *serial,
                                   struct stage_run *pipeline) {
  char file[192];
  struct stage_job job = {.objective = BRAID_LATENCY, .frames = 2 * b->o->frames, .window = 1};
  job.plan = stage_path(&b->stage, "plan.json", file);
  struct braid_plan *plan = NULL;
  BRAID_TRY(stage_decide(&b->stage, cell->policy, BRAID_LATENCY, b->stage.up, &plan));
  plan->serial = true;
  enum braid_status status = stage_write_plan(&b->stage, plan, BRAID_LATENCY, file);
  if (status == BRAID_OK) status = stage_edge(&b->stage, &job, serial);
  plan->serial = false;
  job = (struct stage_job){.objective = BRAID_THROUGHPUT, .frames = 8 * b->o->frames, .plan = file};
  if (status == BRAID_OK) status = stage_write_plan(&b->stage, plan, BRAID_THROUGHPUT, file);
  if (status == BRAID_OK) status = stage_edge(&b->stage, &job, pipeline);
  braid_plan_destroy(&plan);
  return status;
}

/* -------------------------------------------------------------------------------------------------- report */

static void add_row(struct real_bench *b, const struct cell *cell, double measured, double forecast, double optimum,
                    double link_used, bool differs) {
  b->differs |= differs;
  cli_table_cell(b->text, "%s", part_name[cell->part]);
  cli_table_cell(b->text, "%s", cell->model);
  cli_table_cell(b->text, "%g", cell->mbit);
  cli_table_cell(b->text, "%d", cell->rtt_ms);
  cli_table_cell(b->text, "%g", cell->ratio);
  cli_table_cell(b->text, "%.2f", measured);
  cli_table_cell(b->text, "%.2f", forecast);
  cli_table_cell(b->text, optimum > 0 ? "%.1f" : "", 100 * measured / optimum);
  cli_table_cell(b->text, link_used > 0 ? "%.1f" : "", 100 * link_used);
  cli_table_cell(b->text, "%s", differs ? "DIFFER" : "agree");
  json_t *row = json_pack("{s:s, s:s, s:f, s:i, s:f, s:s, s:f, s:f, s:b}", "part", part_name[cell->part], "model",
                          cell->model, "mbit", cell->mbit, "rtt_ms", cell->rtt_ms, "ratio", cell->ratio, "policy",
                          cell->policy, "measured", measured, "forecast", forecast, "agrees", !differs);
  if (row && optimum > 0) json_object_set_new(row, "of_optimum", json_real(measured / optimum));
  if (row && link_used > 0) json_object_set_new(row, "link_used", json_real(link_used));
  json_array_append_new(b->cells, row);
}

static enum braid_status run_cell(struct real_bench *b, const struct cell *cell) {
  struct stage_run run = {.n_latencies = 0}, other = {.n_latencies = 0};
  char label[64];
  snprintf(label, sizeof label, "%s %.30s", part_name[cell->part], cell->model);
  cli_progress(label, b->n++, b->total);
  BRAID_TRY(stage_set(&b->stage, &(struct stage_scene){cell->model, cell->ratio, cell->mbit, cell->rtt_ms}));
  switch (cell->part) {
  case MIX:
  case LINK:
    BRAID_TRY(run_throughput(b, cell, &run));
    add_row(b, cell, run.fps, run.predicted_fps, cell->part == MIX ? run.bound_fps : 0,
            8 * run.bytes_up * run.fps / b->stage.up, run.differs);
    break;
  case SERIAL:
    BRAID_TRY(run_twice(b, cell, &run, &other));
    add_row(b, cell, other.fps, other.predicted_fps, run.fps, 0, run.differs || other.differs);
    break;
  case LATENCY:
    BRAID_TRY(run_latency(b, cell, &run));
    add_row(b, cell, stage_median_ms(&run), run.predicted_latency_ms, 0, 0, run.differs);
    break;
  }
  return BRAID_OK;
}

static int report(struct real_bench *b) {
  if (b->o->json) {
    int printed = cli_print_json(json_pack("{s:O, s:i, s:s}", "cells", b->cells, "n", b->n, "version", BRAID_VERSION));
    if (printed != CLI_DONE) return printed;
  } else {
    cli_table_print(b->text, stdout);
    b->text = NULL;
    puts("\nmix, link: frames a second, and what part of the optimum of all mixes they are; link: of its rate, what "
         "frames' bytes take.\nserial: frames a second of the pipeline, and what part (in %) that is of the same plan "
         "run "
         "serially.\nlatency: ms.");
  }
  if (!b->differs) return CLI_DONE;
  fputs("braid: some answers differ from those of 'braid run'\n", stderr);
  return CLI_FAILED;
}

static int run_cells(struct real_bench *b, char **models, int n_models) {
  enum braid_status status = BRAID_OK;
  for (int i = 0; i < CLI_COUNT_OF(table); i++) b->total += is_asked(&table[i], models, n_models);
  if (b->total == 0)
    return cli_usage("bench pipeline --real: no cell is of %s ('braid bench pipeline --real' runs all)", models[0]);
  for (int i = 0; i < CLI_COUNT_OF(table) && status == BRAID_OK && !cli_interrupted(); i++)
    if (is_asked(&table[i], models, n_models)) status = run_cell(b, &table[i]);
  cli_progress("", b->total, b->total);
  if (cli_interrupted()) return CLI_INTERRUPTED;
  return status == BRAID_OK ? CLI_DONE : cli_fail(CLI_FAILED);
}

int bench_real(const struct bench_options *o, char **models, int n_models) {
  static const char *const heading[] = {"what",     "model",    "Mbit/s",       "rtt/ms", "ratio",
                                        "measured", "forecast", "of optimum/%", "link/%", "answers"};
  struct real_bench b = {.o = o, .cells = json_array(), .text = cli_table_new(CLI_COUNT_OF(heading), heading)};
  b.stage.kernels = "fast";
  b.stage.slices = "auto";
  int exit = stage_open(&b.stage) == BRAID_OK ? run_cells(&b, models, n_models) : cli_fail(CLI_FAILED);
  stage_close(&b.stage, exit == CLI_FAILED);
  if (exit == CLI_DONE) exit = report(&b);
  if (b.text) cli_table_free(b.text);
  json_decref(b.cells);
  return exit;
}
