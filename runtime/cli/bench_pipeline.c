/* SPDX-License-Identifier: Apache-2.0
 * braid bench pipeline --traces: what adapting to a changing link is worth, frame by frame in the simulator.
 *
 * Against it stand static plans: every cut of the breakpoint table, the edge or the cloud alone, braid's plans for
 * rates from 1 to 200 Mbit/s and for the trace's own mean, median and 10th percentile. The best of them is chosen in
 * hindsight, once by the mean and once by the 99th percentile: no static choice could be better. The oracle takes for
 * every frame the one of these plans that will turn out fastest. */
#include "bench.h"
#include "gnuplot.h"
#include "replay.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define PLANS_MAX 64
enum { BEST_MEAN, BEST_P99, ADAPTIVE, BRIDGED, ORACLE, RUNS };
static const char *const run_name[RUNS] = {"static, best mean", "static, best p99", "adaptive", "adaptive, bridged",
                                           "oracle"};
static const char *const run_key[RUNS] = {"static_mean", "static_p99", "adaptive", "bridged", "oracle"};

struct pipeline_bench {
  const struct bench_options *o;
  struct trace_list traces;
  struct cli_table *text;
  json_t *cells;
  int n, total, wins[2], ties[2], bridged_wins[2], bridged_ties[2]; /* mean, p99 */
  bool drawn;
};

/* One network on one device. */
struct scene {
  struct braid_graph *graph;
  struct braid_costs costs;
  int64_t *edge_ns, *cloud_ns;
  struct braid_plan *plan[PLANS_MAX]; /* none twice */
  char label[PLANS_MAX][40];
  int n_plans;
  double ratio;
};

/* --------------------------------------------------------------------------------------------------- plans */

static bool same_plan(const struct braid_plan *a, const struct braid_plan *b) {
  size_t n = (size_t)a->n_nodes;
  return a->serial == b->serial && memcmp(a->site, b->site, n) == 0 &&
         memcmp(a->slices, b->slices, n * sizeof *a->slices) == 0 && memcmp(a->rank, b->rank, n * sizeof *a->rank) == 0;
}

/* Takes the plan. */
static void add_plan(struct scene *s, struct braid_plan *plan, const char *label) {
  for (int i = 0; i < s->n_plans; i++)
    if (same_plan(s->plan[i], plan)) {
      braid_plan_destroy(&plan);
      return;
    }
  if (s->n_plans == PLANS_MAX) {
    braid_plan_destroy(&plan);
    return;
  }
  snprintf(s->label[s->n_plans], sizeof s->label[0], "%s", label);
  s->plan[s->n_plans++] = plan;
}

static enum braid_status add_policy(struct scene *s, const char *policy, double bits_per_s) {
  struct braid_costs costs = s->costs;
  struct braid_goal goal = {.objective = BRAID_LATENCY};
  struct braid_plan *plan = NULL;
  char label[40];
  costs.up.bits_per_s = costs.down.bits_per_s = fmax(bits_per_s, 1e5);
  BRAID_TRY(braid_decide(braid_policy_find(policy), s->graph, &costs, &goal, &plan));
  snprintf(label, sizeof label, strcmp(policy, "braid") == 0 ? "%s @%.3g" : "%s", policy, bits_per_s / 1e6);
  add_plan(s, plan, label);
  return BRAID_OK;
}

static enum braid_status add_cuts(struct scene *s) {
  struct braid_goal goal = {.objective = BRAID_LATENCY};
  struct braid_breakpoints *bp = NULL;
  BRAID_TRY(braid_breakpoints_build(s->graph, &s->costs, &goal, &bp));
  enum braid_status status = BRAID_OK;
  for (int i = 0; i < bp->n_cuts && status == BRAID_OK; i++) {
    struct braid_plan *plan = NULL;
    char label[40];
    snprintf(label, sizeof label, "cut %d", i);
    status = braid_breakpoints_plan(bp, i, s->graph, &goal, &plan);
    if (status == BRAID_OK) status = braid_plan_forecast(plan, s->graph, &s->costs, &goal);
    if (status == BRAID_OK) add_plan(s, plan, label);
  }
  braid_breakpoints_destroy(&bp);
  return status;
}

static enum braid_status add_common(struct scene *s) {
  static const double mbit[] = {1, 2, 3.5, 5, 7, 10, 20, 50, 100, 200};
  BRAID_TRY(add_policy(s, "edge-only", 1e7));
  BRAID_TRY(add_policy(s, "cloud-only", 1e7));
  BRAID_TRY(add_cuts(s));
  for (int i = 0; i < CLI_COUNT_OF(mbit); i++) BRAID_TRY(add_policy(s, "braid", mbit[i] * 1e6));
  return BRAID_OK;
}

static void drop_plans(struct scene *s, int from) {
  while (s->n_plans > from) braid_plan_destroy(&s->plan[--s->n_plans]);
}

/* Cost of tasks and messages as in the grid of `bench plan`. */
static enum braid_status open_scene(struct scene *s, const struct bench_options *o, double ratio, double rtt_ms) {
  int n = braid_graph_size(s->graph);
  s->ratio = ratio;
  s->edge_ns = braid_calloc((size_t)n, sizeof *s->edge_ns);
  s->cloud_ns = braid_calloc((size_t)n, sizeof *s->cloud_ns);
  if (!s->edge_ns || !s->cloud_ns) return braid_fail(BRAID_ENOMEM, "times of %d nodes", n);
  for (int v = 0; v < n; v++) {
    s->edge_ns[v] = (int64_t)(2 * (double)braid_graph_node(s->graph, v)->macs / o->edge_gflops);
    s->cloud_ns[v] = (int64_t)((double)s->edge_ns[v] / ratio);
  }
  s->costs = (struct braid_costs){.n_nodes = n, .edge_ns = s->edge_ns, .cloud_ns = s->cloud_ns};
  s->costs.edge_workers = s->costs.cloud_workers = 1;
  s->costs.edge_task_ns = s->costs.cloud_task_ns = 2000;
  s->costs.up = s->costs.down = (struct braid_link_cost){1e7, (int64_t)(rtt_ms * 1e6) / 2, 20000};
  return add_common(s);
}

static void close_scene(struct scene *s) {
  drop_plans(s, 0);
  braid_free(s->edge_ns);
  braid_free(s->cloud_ns);
  braid_graph_destroy(&s->graph);
}

/* -------------------------------------------------------------------------------------------------- running */

struct row {
  const char *label;
  double mean_ms, p50_ms, p99_ms;
  int frames, switches, bridged, policy_calls;
};
struct outcome {
  struct row row[RUNS];
  int best_plan; /* by mean */
};

static struct row row_of(const char *label, struct replay_run *run) {
  return (struct row){label,  run->mean_ms,  run->p50_ms,  run->p99_ms,
                      run->n, run->switches, run->bridged, run->policy_calls};
}

static enum braid_status run_statics(const struct replay *r, struct scene *s, struct outcome *out) {
  for (int i = 0; i < s->n_plans; i++) {
    struct replay_run run = {0};
    enum braid_status status = replay_static(r, s->plan[i], &run);
    struct row row = row_of(s->label[i], &run);
    replay_run_free(&run);
    if (status != BRAID_OK) return status;
    if (i == 0 || row.mean_ms < out->row[BEST_MEAN].mean_ms) {
      out->row[BEST_MEAN] = row;
      out->best_plan = i;
    }
    if (i == 0 || row.p99_ms < out->row[BEST_P99].p99_ms) out->row[BEST_P99] = row;
  }
  return BRAID_OK;
}

static enum braid_status run_one(const struct replay *r, struct scene *s, const struct bench_options *o, int which,
                                 struct replay_run *run) {
  if (which == ORACLE) return replay_oracle(r, s->plan, s->n_plans, run);
  return replay_adaptive(r, braid_policy_find("braid"), which == BRIDGED ? o->bridge : 0, run);
}

static enum braid_status run_all(const struct replay *r, struct scene *s, const struct bench_options *o,
                                 struct outcome *out) {
  BRAID_TRY(run_statics(r, s, out));
  for (int i = ADAPTIVE; i < RUNS; i++) {
    struct replay_run run = {0};
    enum braid_status status = run_one(r, s, o, i, &run);
    out->row[i] = row_of("", &run);
    replay_run_free(&run);
    if (status != BRAID_OK) return status;
  }
  return BRAID_OK;
}

/* -------------------------------------------------------------------------------------------------- picture */

struct picture {
  const struct trace *trace;
  const char *model, *label;
  struct replay_run fixed, adaptive;
};

static void put_run(FILE *out, const char *name, const struct replay_run *run) {
  fprintf(out, "$%s << EOD\n", name);
  for (int i = 0; i < run->n; i++) fprintf(out, "%.3f %.3f\n", run->at_s[i], run->latency_ms[i]);
  fprintf(out, "EOD\n");
}

static void put_script(void *ctx, FILE *out) {
  const struct picture *p = ctx;
  fprintf(out, "$rate << EOD\n");
  for (int i = 0; i < p->trace->n; i++)
    fprintf(out, "%.3f %.4f\n", (double)p->trace->step[i].at_ns / 1e9, p->trace->step[i].bits_per_s / 1e6);
  fprintf(out, "EOD\n");
  put_run(out, "fixed", &p->fixed);
  put_run(out, "adaptive", &p->adaptive);
  fprintf(out, "set multiplot layout 2,1 title '");
  gnuplot_text(out, p->model);
  fprintf(out, " over ");
  gnuplot_text(out, p->trace->name);
  fprintf(out,
          "' noenhanced\nset tics nomirror\nset grid\nset xrange [0:%.3f]\nset xlabel 's'\nset ylabel 'Mbit/s'\n"
          "unset key\nplot $rate with steps linecolor rgb '#444444'\n"
          "set key top right noenhanced\nset ylabel 'latency, ms'\nset logscale y\n"
          "plot $fixed with steps linecolor rgb '#c4693c' title 'static (%s): %.1f ms', "
          "$adaptive with steps linecolor rgb '#1b6f8a' title 'adaptive: %.1f ms'\nunset multiplot\n",
          (double)p->trace->length_ns / 1e9, p->label, p->fixed.mean_ms, p->adaptive.mean_ms);
}

static enum braid_status draw(struct pipeline_bench *b, const struct replay *r, struct scene *s,
                              const struct outcome *out) {
  struct picture p = {r->trace, braid_graph_name(s->graph), s->label[out->best_plan], {0}, {0}};
  enum braid_status status = replay_static(r, s->plan[out->best_plan], &p.fixed);
  if (status == BRAID_OK) status = run_one(r, s, b->o, b->o->bridge > 0 ? BRIDGED : ADAPTIVE, &p.adaptive);
  if (status == BRAID_OK) status = gnuplot_draw("--picture", b->o->picture, 1000, 640, put_script, &p);
  replay_run_free(&p.fixed);
  replay_run_free(&p.adaptive);
  b->drawn = true;
  return status;
}

/* --------------------------------------------------------------------------------------------------- report */

/* Half a percent is a draw: probes and first frames are not free. */
static void judge(double own, double other, int *wins, int *ties) {
  *wins += own < other * 0.995;
  *ties += own >= other * 0.995 && own <= other * 1.005;
}

static void put_row(struct pipeline_bench *b, const struct scene *s, const struct trace *t, int which,
                    const struct row *row) {
  cli_table_cell(b->text, "%s", which == 0 ? t->name : "");
  cli_table_cell(b->text, "%s", which == 0 ? braid_graph_name(s->graph) : "");
  cli_table_cell(b->text, "%s%s%s%s", run_name[which], *row->label ? " (" : "", row->label, *row->label ? ")" : "");
  cli_table_cell(b->text, "%.1f", row->mean_ms);
  cli_table_cell(b->text, "%.1f", row->p50_ms);
  cli_table_cell(b->text, "%.1f", row->p99_ms);
  cli_table_cell(b->text, "%d", row->frames);
  if (which == ADAPTIVE || which == BRIDGED)
    cli_table_cell(b->text, "%d", row->switches);
  else
    cli_table_cell(b->text, "%s", "");
}

static void add_json(struct pipeline_bench *b, const struct scene *s, const struct trace *t,
                     const struct outcome *out) {
  json_t *cell = json_pack("{s:s, s:s, s:f, s:f}", "trace", t->name, "model", braid_graph_name(s->graph), "ratio",
                           s->ratio, "mean_mbit", t->mean / 1e6);
  for (int i = 0; i < RUNS; i++) {
    const struct row *r = &out->row[i];
    json_t *row = json_pack("{s:f, s:f, s:f, s:i}", "mean_ms", r->mean_ms, "p50_ms", r->p50_ms, "p99_ms", r->p99_ms,
                            "frames", r->frames);
    if (*r->label) json_object_set_new(row, "plan", json_string(r->label));
    if (i == ADAPTIVE || i == BRIDGED) {
      json_object_set_new(row, "switches", json_integer(r->switches));
      json_object_set_new(row, "policy_calls", json_integer(r->policy_calls));
      json_object_set_new(row, "bridged", json_integer(r->bridged));
    }
    json_object_set_new(cell, run_key[i], row);
  }
  json_array_append_new(b->cells, cell);
}

static void add_outcome(struct pipeline_bench *b, const struct scene *s, const struct trace *t,
                        const struct outcome *out) {
  double mean = out->row[BEST_MEAN].mean_ms, p99 = out->row[BEST_P99].p99_ms;
  judge(out->row[ADAPTIVE].mean_ms, mean, &b->wins[0], &b->ties[0]);
  judge(out->row[ADAPTIVE].p99_ms, p99, &b->wins[1], &b->ties[1]);
  judge(out->row[BRIDGED].mean_ms, mean, &b->bridged_wins[0], &b->bridged_ties[0]);
  judge(out->row[BRIDGED].p99_ms, p99, &b->bridged_wins[1], &b->bridged_ties[1]);
  for (int i = 0; i < RUNS; i++) put_row(b, s, t, i, &out->row[i]);
  add_json(b, s, t, out);
  b->n++;
}

static json_t *verdict(const struct pipeline_bench *b, const int wins[2], const int ties[2]) {
  return json_pack("{s:i, s:i, s:i, s:i, s:i, s:i}", "mean_wins", wins[0], "mean_ties", ties[0], "mean_losses",
                   b->n - wins[0] - ties[0], "p99_wins", wins[1], "p99_ties", ties[1], "p99_losses",
                   b->n - wins[1] - ties[1]);
}

static void say(const struct pipeline_bench *b, const char *who, const int wins[2], const int ties[2]) {
  printf("%s against the best static plan: mean better in %d, equal in %d, worse in %d; p99 better in %d, equal in %d, "
         "worse in %d\n",
         who, wins[0], ties[0], b->n - wins[0] - ties[0], wins[1], ties[1], b->n - wins[1] - ties[1]);
}

static int report(struct pipeline_bench *b) {
  if (b->o->json)
    return cli_print_json(json_pack("{s:O, s:o, s:o, s:i, s:s}", "cells", b->cells, "adaptive",
                                    verdict(b, b->wins, b->ties), "bridged",
                                    verdict(b, b->bridged_wins, b->bridged_ties), "n", b->n, "version", BRAID_VERSION));
  cli_table_print(b->text, stdout);
  b->text = NULL;
  printf("\n");
  say(b, run_name[ADAPTIVE], b->wins, b->ties);
  say(b, run_name[BRIDGED], b->bridged_wins, b->bridged_ties);
  return CLI_DONE;
}

/* ---------------------------------------------------------------------------------------------------- cells */

static enum braid_status run_cell(struct pipeline_bench *b, struct scene *s, const struct trace *t) {
  int common = s->n_plans;
  struct replay r = {0};
  struct outcome out = {.best_plan = 0};
  const double own[] = {t->mean, t->p50, t->p10};
  enum braid_status status = BRAID_OK;
  for (int i = 0; i < CLI_COUNT_OF(own) && status == BRAID_OK; i++) status = add_policy(s, "braid", own[i]);
  if (status == BRAID_OK) status = replay_open(s->graph, &s->costs, t, b->o->fps, &r);
  if (status == BRAID_OK) status = run_all(&r, s, b->o, &out);
  if (status == BRAID_OK) add_outcome(b, s, t, &out);
  if (status == BRAID_OK && b->o->picture && !b->drawn) status = draw(b, &r, s, &out);
  replay_close(&r);
  drop_plans(s, common);
  return status;
}

static int run_model(struct pipeline_bench *b, const char *model, double ratio, double rtt_ms) {
  struct scene s = {0};
  int exit = cli_open_model(model, 1, &s.graph);
  if (exit != CLI_DONE) return exit;
  enum braid_status status = open_scene(&s, b->o, ratio, rtt_ms);
  for (int i = 0; i < b->traces.n && status == BRAID_OK && !cli_interrupted(); i++) {
    cli_progress(b->traces.trace[i].name, b->n, b->total);
    status = run_cell(b, &s, &b->traces.trace[i]);
  }
  close_scene(&s);
  if (cli_interrupted()) return CLI_INTERRUPTED;
  return status == BRAID_OK ? CLI_DONE : cli_fail(CLI_FAILED);
}

/* One number above zero; `fallback` where none is given. */
static int read_number(const char *option, const char *text, double fallback, double *out) {
  char *end;
  *out = text ? strtod(text, &end) : fallback;
  if (text && (*end != '\0' || !(*out > 0 && *out < 1e6)))
    return cli_usage("bench pipeline: --%s: '%s' is not one number above zero", option, text);
  return CLI_DONE;
}

static int run_models(struct pipeline_bench *b, char **models, int n_models) {
  static const char *const usual[] = {"googlenet", "mobilenet_v2", "mvcnn4_googlenet"};
  double ratio, rtt_ms;
  int n = n_models > 0 ? n_models : CLI_COUNT_OF(usual);
  int exit = read_number("ratios", b->o->ratios, 8, &ratio);
  if (exit == CLI_DONE) exit = read_number("rtts", b->o->rtts, 20, &rtt_ms);
  b->total = n * b->traces.n;
  for (int i = 0; i < n && exit == CLI_DONE; i++)
    exit = run_model(b, n_models > 0 ? models[i] : usual[i], ratio, rtt_ms);
  if (exit == CLI_DONE) cli_progress("", b->total, b->total);
  return exit == CLI_DONE ? report(b) : exit;
}

int bench_pipeline(const struct bench_options *o, char **models, int n_models) {
  static const char *const heading[] = {"trace", "model", "plans", "mean/ms", "p50/ms", "p99/ms", "frames", "switches"};
  struct pipeline_bench b = {.o = o};
  if (o->epochs) return bench_epochs(o, models, n_models);
  if (o->real) return o->traces.n > 0 ? bench_real_traces(o, models, n_models) : bench_real(o, models, n_models);
  if (o->traces.n == 0)
    return cli_usage("bench pipeline: --traces FILE.csv or DIR: there is nothing to replay without");
  int exit = trace_list_open(&o->traces, &b.traces);
  if (exit != CLI_DONE) return exit;
  b.cells = json_array();
  b.text = cli_table_new(CLI_COUNT_OF(heading), heading);
  exit = run_models(&b, models, n_models);
  if (b.text) cli_table_free(b.text);
  json_decref(b.cells);
  trace_list_close(&b.traces);
  return exit;
}
