/* SPDX-License-Identifier: Apache-2.0
 * braid bench pipeline --real --traces: an edge that adapts against static plans, real processes, the link's rate as
 * the trace has it (its first part: as long as the frames take). Frames are due at a fixed rate, and times count from
 * then, so that a frame stuck in a hole costs those behind it as well. Static plans: the edge alone, the cloud alone,
 * and braid's for the 10th percentile, the median and the mean of the trace; the best of them is chosen in hindsight,
 * once by the mean and once by the 99th percentile. */
#include "bench.h"
#include "stage_plan.h"
#include "trace.h"

#include <math.h>
#include <string.h>

enum { STATICS = 5, RUNS = STATICS + 1 };
#define RATIO 8
#define RTT_NS INT64_C(20000000)
#define RATE_LEAST 1e5 /* plans are decided for no slower link */

struct traces_bench {
  const struct bench_options *o;
  struct stage stage;
  struct trace_list traces;
  struct cli_table *text;
  json_t *cells;
  int n, total;
  bool differs;
};

struct row {
  char name[32];
  double mean_ms, p50_ms, p99_ms;
  int replans, bridged;
};

static struct row row_of(const char *name, const struct stage_run *run) {
  struct cli_stats s = cli_stats_of(run->due_ms, run->n_latencies);
  struct row row = {.p50_ms = s.p50, .p99_ms = s.p99, .replans = run->replans, .bridged = run->bridged};
  snprintf(row.name, sizeof row.name, "%s", name);
  for (int i = 0; i < run->n_latencies; i++) row.mean_ms += run->due_ms[i] / run->n_latencies;
  return row;
}

/* plan NULL: adapts. Every run sees the trace from its beginning. */
static enum braid_status run_one(struct traces_bench *b, const char *name, const char *plan, struct row *row) {
  struct stage_run run = {.n_latencies = 0};
  double fps = b->o->fps > 0 ? b->o->fps : 2;
  struct stage_job job = {.policy = "braid", .objective = BRAID_LATENCY, .frames = 4 * b->o->frames, .fps = fps};
  job.plan = plan;
  job.adapt = !plan;
  cli_progress(name, b->n++, b->total);
  BRAID_TRY(stage_start_link(&b->stage));
  BRAID_TRY(stage_edge(&b->stage, &job, &run));
  b->differs |= run.differs;
  *row = row_of(name, &run);
  return BRAID_OK;
}

static enum braid_status run_static(struct traces_bench *b, const char *policy, double bits_per_s, struct row *row) {
  char file[192], name[32];
  struct braid_plan *plan = NULL;
  snprintf(name, sizeof name, bits_per_s > 0 ? "%s @%.3g" : "%s", policy, bits_per_s / 1e6);
  b->stage.up = b->stage.down = fmax(bits_per_s, RATE_LEAST);
  BRAID_TRY(stage_decide(&b->stage, policy, BRAID_LATENCY, b->stage.up, &plan));
  stage_path(&b->stage, "plan.json", file);
  enum braid_status status = stage_write_plan(&b->stage, plan, BRAID_LATENCY, file);
  braid_plan_destroy(&plan);
  return status == BRAID_OK ? run_one(b, name, file, row) : status;
}

/* -------------------------------------------------------------------------------------------------- report */

static void put_row(struct traces_bench *b, const struct trace *t, const char *what, const struct row *row) {
  cli_table_cell(b->text, "%s", t->name);
  cli_table_cell(b->text, "%s", b->stage.model);
  cli_table_cell(b->text, "%s", what);
  cli_table_cell(b->text, "%s", row->name);
  cli_table_cell(b->text, "%.1f", row->mean_ms);
  cli_table_cell(b->text, "%.1f", row->p50_ms);
  cli_table_cell(b->text, "%.1f", row->p99_ms);
  cli_table_cell(b->text, "%d", row->replans);
  cli_table_cell(b->text, "%d", row->bridged);
}

static json_t *json_of(const struct row *row) {
  return json_pack("{s:s, s:f, s:f, s:f, s:i, s:i}", "plan", row->name, "mean_ms", row->mean_ms, "p50_ms", row->p50_ms,
                   "p99_ms", row->p99_ms, "replans", row->replans, "bridged", row->bridged);
}

static void add_trace(struct traces_bench *b, const struct trace *t, const struct row row[RUNS]) {
  int mean = 0, p99 = 0;
  for (int i = 1; i < STATICS; i++) {
    if (row[i].mean_ms < row[mean].mean_ms) mean = i;
    if (row[i].p99_ms < row[p99].p99_ms) p99 = i;
  }
  put_row(b, t, "static, best mean", &row[mean]);
  put_row(b, t, "static, best p99", &row[p99]);
  put_row(b, t, "adaptive", &row[STATICS]);
  json_t *all = json_array();
  for (int i = 0; i < STATICS; i++) json_array_append_new(all, json_of(&row[i]));
  json_array_append_new(b->cells, json_pack("{s:s, s:s, s:o, s:o, s:o, s:o}", "trace", t->name, "model", b->stage.model,
                                            "static_mean", json_of(&row[mean]), "static_p99", json_of(&row[p99]),
                                            "adaptive", json_of(&row[STATICS]), "statics", all));
}

static enum braid_status run_trace(struct traces_bench *b, const struct trace *t, const char *path) {
  struct row row[RUNS];
  b->stage.trace = path;
  BRAID_TRY(run_static(b, "edge-only", 0, &row[0]));
  BRAID_TRY(run_static(b, "cloud-only", 0, &row[1]));
  BRAID_TRY(run_static(b, "braid", t->p10, &row[2]));
  BRAID_TRY(run_static(b, "braid", t->p50, &row[3]));
  BRAID_TRY(run_static(b, "braid", t->mean, &row[4]));
  BRAID_TRY(run_one(b, "adaptive", NULL, &row[STATICS]));
  add_trace(b, t, row);
  return BRAID_OK;
}

/* ------------------------------------------------------------------------------------------------- running */

static enum braid_status run_model(struct traces_bench *b, const char *model) {
  struct stage *s = &b->stage;
  stage_end_model(s);
  s->model = model;
  s->ratio = RATIO;
  s->rtt = RTT_NS;
  BRAID_TRY(stage_expect(s));
  BRAID_TRY(stage_measure_edge(s));
  BRAID_TRY(stage_start_cloud(s));
  for (int i = 0; i < b->traces.n && !cli_interrupted(); i++)
    BRAID_TRY(run_trace(b, &b->traces.trace[i], b->o->traces.item[i]));
  return BRAID_OK;
}

static int report(struct traces_bench *b) {
  if (b->o->json) {
    int printed = cli_print_json(json_pack("{s:O, s:s}", "cells", b->cells, "version", BRAID_VERSION));
    if (printed != CLI_DONE) return printed;
  } else {
    cli_table_print(b->text, stdout);
    b->text = NULL;
  }
  if (!b->differs) return CLI_DONE;
  fputs("braid: some answers differ from those of 'braid run'\n", stderr);
  return CLI_FAILED;
}

static int run_models(struct traces_bench *b, char **models, int n_models) {
  static char usual[] = "googlenet";
  char *one[] = {usual};
  if (n_models == 0) {
    models = one;
    n_models = 1;
  }
  b->total = n_models * b->traces.n * RUNS;
  enum braid_status status = BRAID_OK;
  for (int i = 0; i < n_models && status == BRAID_OK && !cli_interrupted(); i++) status = run_model(b, models[i]);
  cli_progress("", b->total, b->total);
  if (cli_interrupted()) return CLI_INTERRUPTED;
  return status == BRAID_OK ? CLI_DONE : cli_fail(CLI_FAILED);
}

int bench_real_traces(const struct bench_options *o, char **models, int n_models) {
  static const char *const heading[] = {"trace",  "model",  "plans",   "which",  "mean/ms",
                                        "p50/ms", "p99/ms", "replans", "bridged"};
  struct traces_bench b = {.o = o};
  int exit = trace_list_open(&o->traces, &b.traces);
  if (exit != CLI_DONE) return exit;
  if (b.traces.n != o->traces.n) {
    trace_list_close(&b.traces);
    return cli_usage("bench pipeline --real: --traces takes files here, not folders: name those to replay");
  }
  b.cells = json_array();
  b.text = cli_table_new(CLI_COUNT_OF(heading), heading);
  b.stage.kernels = "fast";
  b.stage.slices = "auto";
  b.stage.heartbeat = INT64_C(5000000000); /* holes are part of the trace */
  exit = stage_open(&b.stage) == BRAID_OK ? run_models(&b, models, n_models) : cli_fail(CLI_FAILED);
  stage_close(&b.stage, exit == CLI_FAILED);
  if (exit == CLI_DONE) exit = report(&b);
  if (b.text) cli_table_free(b.text);
  json_decref(b.cells);
  trace_list_close(&b.traces);
  return exit;
}
