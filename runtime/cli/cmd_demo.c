/* SPDX-License-Identifier: Apache-2.0
 *
 * braid demo: the whole road on this machine. For each model a cloud process on one CPU, an edge process that plays a
 * slower device on another, a link emulator between them; every row is measured by real processes over that link, and
 * every answer is compared with that of `braid run`.
 */
#include "commands.h"
#include "demo.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>

#define FIELD(member) offsetof(struct demo_options, member)
static const struct cli_option options[] = {
    {"model", 0, CLI_LIST, FIELD(model), "MODEL", NULL, "zoo models; googlenet and mvcnn4_googlenet if not given"},
    {"up", 0, CLI_RATE, FIELD(up), "RATE", "20mbit", "rate of the uplink"},
    {"down", 0, CLI_RATE, FIELD(down), "RATE", NULL, "rate of the downlink; the uplink's if not given"},
    {"rtt", 0, CLI_TIME, FIELD(rtt), "TIME", "10ms", "round trip"},
    {"ratio", 0, CLI_REAL, FIELD(ratio), "K", "8", "how much slower the edge is than the cloud"},
    {"policy", 0, CLI_TEXT, FIELD(policy), "NAME", "braid", "the policy of the last row"},
    {"slices", 0, CLI_TEXT, FIELD(slices), "N|auto", "auto", PLANNING_SLICES_TEXT},
    {"frames", 0, CLI_COUNT, FIELD(frames), "N", "16", "frames for each throughput"},
    {"latency-frames", 0, CLI_COUNT, FIELD(latency_frames), "N", "3", "frames for each latency in each round"},
    {"rounds", 0, CLI_COUNT, FIELD(rounds), "N", "3", "rounds over the policies; the median of all frames counts"},
    CLI_HEARTBEAT_OPTION(struct demo_options, heartbeat),
    {"kernels", 0, CLI_TEXT, FIELD(kernels), "ref|rules|fast", "fast", "as in 'braid run'"},
    {"out", 0, CLI_TEXT, FIELD(out), "DIR", "out", "where the trace, the drawings and results.json go"},
    {"keep", 0, CLI_FLAG, FIELD(keep), NULL, NULL, "keep the temporary directory with logs and profiles"},
    CLI_JSON_OPTION(struct demo_options, json),
};

/* ---------------------------------------------------------------------------------------------- planning */

static void step(struct demo *d, const char *what) {
  snprintf(d->label, sizeof d->label, "%.20s %.40s", d->model, what);
  cli_progress(d->label, d->done++, d->total);
}

static int open_planning(struct demo *d) {
  char edge[192], cloud[192], name[80];
  snprintf(name, sizeof name, "%s.json", d->model);
  struct planning_options p = {.edge = stage_path(&d->stage, "edge.json", edge),
                               .cloud = stage_path(&d->stage, name, cloud),
                               .up = d->stage.up,
                               .down = d->stage.down,
                               .rtt = d->o->rtt,
                               .load = 1,
                               .objective = "latency",
                               .deliver = "edge",
                               .codec = "fp32",
                               .slices = d->o->slices,
                               .batch = 1};
  return planning_open(&p, d->model, &d->planning);
}

/* NULL where there is none. */
static struct braid_plan *decided(struct demo *d, const char *policy, enum braid_objective objective) {
  const struct braid_policy *p = braid_policy_find(policy);
  struct braid_plan *plan = NULL;
  int64_t decide_ns;
  d->planning.goal.objective = objective;
  if (p && planning_decide(&d->planning, p, &plan, &decide_ns) != BRAID_OK) plan = NULL;
  d->planning.goal.objective = BRAID_LATENCY;
  return plan;
}

static int64_t predicted(struct demo *d, const char *policy, enum braid_objective objective) {
  struct braid_plan *plan = decided(d, policy, objective);
  int64_t value = plan ? objective == BRAID_LATENCY ? plan->forecast.latency_ns : plan->forecast.period_ns : INT64_MAX;
  braid_plan_destroy(&plan);
  return value;
}

/* Of a mix the slow part finishes seldom: it takes more frames to see its rate. On the edge alone nothing overlaps. */
static int throughput_frames(struct demo *d, const char *policy) {
  struct braid_plan *plan = decided(d, policy, BRAID_THROUGHPUT);
  bool mix = plan && plan->n_mix > 0, alone = plan && plan->forecast.up_bytes == 0;
  braid_plan_destroy(&plan);
  return mix ? 3 * d->o->frames : alone ? (d->o->frames + 3) / 4 : d->o->frames;
}

/* The better of the literature's two single cuts, as predicted. */
static const char *best_serial(struct demo *d, enum braid_objective objective) {
  return predicted(d, "neurosurgeon", objective) < predicted(d, "dads", objective) ? "neurosurgeon" : "dads";
}

/* --------------------------------------------------------------------------------------------------- rows */

struct row {
  const char *shown, *for_latency, *for_fps;
  struct stage_run latency, fps;
};

enum { ROWS_MAX = 5 };

static enum braid_status keep_trace(const struct demo *d, const char *name) {
  char edge[192], file[64], kept[192];
  snprintf(file, sizeof file, "%.40s.trace.json", name);
  stage_path(&d->stage, file, kept);
  return rename(stage_path(&d->stage, "edge.trace.json", edge), kept) == 0
             ? BRAID_OK
             : braid_fail(BRAID_EIO, "%s: %s", edge, strerror(errno));
}

static enum braid_status measure_latency(struct demo *d, struct row *row) {
  char what[64];
  snprintf(what, sizeof what, "%s latency", row->shown);
  step(d, what);
  const struct stage_job job = {row->for_latency, BRAID_LATENCY, d->o->latency_frames, false, true};
  BRAID_TRY(stage_edge(&d->stage, &job, &row->latency));
  return keep_trace(d, row->shown);
}

static enum braid_status measure_throughput(struct demo *d, struct row *row) {
  char what[64];
  snprintf(what, sizeof what, "%s throughput", row->shown);
  step(d, what);
  const struct stage_job job = {row->for_fps, BRAID_THROUGHPUT, throughput_frames(d, row->for_fps), false, true};
  return stage_edge(&d->stage, &job, &row->fps);
}

static enum braid_status add_row(struct demo *d, const struct row *row) {
  const struct stage_run *l = &row->latency, *f = &row->fps;
  double difference = l->difference > f->difference ? l->difference : f->difference;
  json_array_append_new(d->rows, json_pack("{s:s, s:s, s:s, s:s, s:f, s:f, s:f, s:f, s:f, s:f, s:b, s:f, s:i}", "model",
                                           d->model, "policy", row->shown, "latency_policy", row->for_latency,
                                           "throughput_policy", row->for_fps, "latency_ms", stage_median_ms(l),
                                           "predicted_latency_ms", l->predicted_latency_ms, "fps", f->fps,
                                           "predicted_fps", f->predicted_fps, "bytes_up", l->bytes_up,
                                           "throughput_bytes_up", f->bytes_up, "agrees", !l->differs && !f->differs,
                                           "difference", difference, "latency_frames", l->n_latencies));
  return demo_draw(d, row->for_latency);
}

/* Policies take turns, so that a machine that is busier for a while is so for all of them. */
static enum braid_status measure_rows(struct demo *d, struct row *rows) {
  for (int round = 0; round < d->o->rounds; round++)
    for (int i = 0; i < d->n_rows; i++) BRAID_TRY(measure_latency(d, &rows[i]));
  for (int i = 0; i < d->n_rows; i++) BRAID_TRY(measure_throughput(d, &rows[i]));
  for (int i = 0; i < d->n_rows; i++) BRAID_TRY(add_row(d, &rows[i]));
  return BRAID_OK;
}

/* decc is the literature's way of overlapping the three: a row beside the policy that is shown. */
static enum braid_status all_rows(struct demo *d) {
  const char *serial = best_serial(d, BRAID_LATENCY), *serial_fps = best_serial(d, BRAID_THROUGHPUT);
  const char *names[ROWS_MAX][3] = {{"edge-only", "edge-only", "edge-only"},
                                    {"cloud-only", "cloud-only", "cloud-only"},
                                    {serial, serial, serial_fps},
                                    {"decc", "decc", "decc"},
                                    {d->o->policy, d->o->policy, d->o->policy}};
  struct row *rows = braid_calloc(ROWS_MAX, sizeof *rows);
  if (!rows) return braid_fail(BRAID_ENOMEM, "no memory for the rows of a table");
  for (int i = 0, n = 0; i < ROWS_MAX; i++) {
    if (i == 3 && d->n_rows < ROWS_MAX) continue;
    rows[n++] = (struct row){.shown = names[i][0], .for_latency = names[i][1], .for_fps = names[i][2]};
  }
  enum braid_status status = measure_rows(d, rows);
  braid_free(rows);
  return status;
}

/* Raw input kept at home: then every branch has a part on the edge, and the picture shows all three at work at once. */
static enum braid_status run_private(struct demo *d, struct stage_run *run) {
  const struct stage_job job = {d->o->policy, BRAID_LATENCY, d->o->latency_frames, true, true};
  step(d, "private input");
  BRAID_TRY(stage_edge(&d->stage, &job, run));
  return keep_trace(d, "private");
}

static void add_private(struct demo *d, const struct stage_run *run, const char *trace, double together_ms) {
  json_array_append_new(d->private_runs,
                        json_pack("{s:s, s:s, s:f, s:f, s:f, s:b, s:s}", "model", d->model, "policy", d->o->policy,
                                  "latency_ms", stage_median_ms(run), "predicted_latency_ms", run->predicted_latency_ms,
                                  "three_at_once_ms", together_ms, "agrees", !run->differs, "trace", trace));
}

/* The cloud writes its trace when it ends. */
static enum braid_status end_model(struct demo *d, const struct stage_run *private_run) {
  char edge[192], cloud[192], file[64], out[512];
  const struct demo_traces traces = {edge, cloud, out};
  double together_ms;
  stage_end_servers(&d->stage);
  stage_path(&d->stage, "cloud.trace.json", cloud);
  snprintf(file, sizeof file, "%.40s.trace.json", d->o->policy);
  snprintf(out, sizeof out, "%s/%s-%s.trace.json", d->o->out, d->model, d->o->policy);
  stage_path(&d->stage, file, edge);
  BRAID_TRY(demo_join(d->planning.graph, &traces, &together_ms));
  snprintf(out, sizeof out, "%s/%s-%s-private.trace.json", d->o->out, d->model, d->o->policy);
  stage_path(&d->stage, "private.trace.json", edge);
  BRAID_TRY(demo_join(d->planning.graph, &traces, &together_ms));
  add_private(d, private_run, out, together_ms);
  return BRAID_OK;
}

static enum braid_status run_model(struct demo *d) {
  d->stage.model = d->model;
  step(d, "expected answer");
  BRAID_TRY(stage_expect(&d->stage));
  step(d, "edge profile");
  BRAID_TRY(stage_measure_edge(&d->stage));
  step(d, "cloud profile");
  BRAID_TRY(stage_start_cloud(&d->stage));
  BRAID_TRY(stage_start_link(&d->stage));
  if (open_planning(d) != CLI_DONE) return braid_fail(BRAID_EINVAL, "%s cannot be planned for", d->model);
  BRAID_TRY(all_rows(d));
  struct stage_run private_run = {.n_latencies = 0};
  BRAID_TRY(run_private(d, &private_run));
  return end_model(d, &private_run);
}

static int run_models(struct demo *d) {
  static const struct cli_list usual = {2, {"googlenet", "mvcnn4_googlenet"}};
  const struct cli_list *models = d->o->model.n ? &d->o->model : &usual;
  d->n_rows = strcmp(d->o->policy, "decc") == 0 ? ROWS_MAX - 1 : ROWS_MAX;
  d->total = models->n * (4 + d->n_rows * (d->o->rounds + 1));
  for (int i = 0; i < models->n && !cli_interrupted(); i++) {
    d->model = models->item[i];
    enum braid_status status = run_model(d);
    stage_end_model(&d->stage);
    planning_close(&d->planning);
    d->planning = (struct planning){0};
    if (status == BRAID_OK) continue;
    cli_progress("", d->total, d->total);
    return cli_interrupted() ? CLI_INTERRUPTED : cli_fail(CLI_FAILED);
  }
  cli_progress("", d->total, d->total);
  return CLI_DONE;
}

/* ------------------------------------------------------------------------------------------------ report */

static void print_table(const json_t *rows) {
  static const char *const heading[] = {"model",    "policy",    "latency/ms", "predicted",
                                        "frames/s", "predicted", "bytes up",   "answers"};
  struct cli_table *t = cli_table_new(CLI_COUNT_OF(heading), heading);
  size_t i;
  json_t *row;
  json_array_foreach(rows, i, row) {
    static const char *const number[] = {"latency_ms", "predicted_latency_ms", "fps", "predicted_fps"};
    cli_table_cell(t, "%s", json_string_value(json_object_get(row, "model")));
    cli_table_cell(t, "%s", json_string_value(json_object_get(row, "policy")));
    for (int k = 0; k < 4; k++)
      cli_table_cell(t, k < 2 ? "%.1f" : "%.2f", json_number_value(json_object_get(row, number[k])));
    cli_table_cell(t, "%.0f", json_number_value(json_object_get(row, "bytes_up")));
    cli_table_cell(t, "%s", json_is_true(json_object_get(row, "agrees")) ? "agree" : "DIFFER");
  }
  cli_table_print(t, stdout);
}

static void print_private(const json_t *runs) {
  size_t i;
  json_t *run;
  putchar('\n');
  json_array_foreach(runs, i, run) printf(
      "raw input kept on the edge: %s by %s in %.1f ms (predicted %.1f), edge, uplink and cloud on three different "
      "branches at once for %.1f ms\n",
      json_string_value(json_object_get(run, "model")), json_string_value(json_object_get(run, "policy")),
      json_number_value(json_object_get(run, "latency_ms")),
      json_number_value(json_object_get(run, "predicted_latency_ms")),
      json_number_value(json_object_get(run, "three_at_once_ms")));
}

static json_t *results(const struct demo *d) {
  return json_pack("{s:O, s:O, s:f, s:f, s:f, s:f, s:s, s:s}", "rows", d->rows, "private", d->private_runs, "up_mbit",
                   d->o->up / 1e6, "down_mbit", d->stage.down / 1e6, "rtt_ms", cli_ms(d->o->rtt), "ratio", d->o->ratio,
                   "out", d->o->out, "version", BRAID_VERSION);
}

static bool all_agree(const json_t *rows) {
  size_t i;
  json_t *row;
  json_array_foreach(rows, i, row) if (!json_is_true(json_object_get(row, "agrees"))) return false;
  return true;
}

static int report(const struct demo *d) {
  char path[512];
  json_t *all = results(d);
  snprintf(path, sizeof path, "%s/results.json", d->o->out);
  int exit = json_dump_file(all, path, JSON_INDENT(2) | JSON_REAL_PRECISION(9)) == 0 ? CLI_DONE : CLI_FAILED;
  if (exit != CLI_DONE) fprintf(stderr, "braid: %s: cannot be written\n", path);
  if (d->o->json) {
    int printed = cli_print_json(all);
    if (exit == CLI_DONE) exit = printed;
  } else {
    json_decref(all);
    printf("link %g Mbit/s up, %g ms round trip; edge %g times slower than the cloud; latency one frame at a time\n\n",
           d->o->up / 1e6, cli_ms(d->o->rtt), d->o->ratio);
    print_table(d->rows);
    print_private(d->private_runs);
    printf("\ntraces (open in ui.perfetto.dev), drawings and results.json are in %s/\n", d->o->out);
  }
  if (all_agree(d->rows) && all_agree(d->private_runs)) return exit;
  fputs("braid: some answers differ from those of 'braid run'\n", stderr);
  return CLI_FAILED;
}

static int open_demo(struct demo *d) {
  const struct braid_policy *policy;
  int slices, exit = planning_policy(d->o->policy, &policy);
  if (exit == CLI_DONE) exit = planning_slices(d->o->slices, &slices);
  if (exit == CLI_DONE) exit = cli_check_heartbeat(d->o->heartbeat);
  if (exit != CLI_DONE) return exit;
  if (stage_open(&d->stage) != BRAID_OK) return cli_fail(CLI_FAILED);
  if (mkdir(d->o->out, 0777) == 0 || errno == EEXIST) return CLI_DONE;
  fprintf(stderr, "braid: --out %s: %s\n", d->o->out, strerror(errno));
  return CLI_FAILED;
}

static int run(const void *values, char **args, int n_args) {
  const struct demo_options *o = values;
  struct demo d = {.o = o, .rows = json_array(), .private_runs = json_array()};
  (void)args;
  (void)n_args;
  d.stage = (struct stage){.kernels = o->kernels,
                           .slices = o->slices,
                           .up = o->up,
                           .down = o->down > 0 ? o->down : o->up,
                           .ratio = o->ratio,
                           .rtt = o->rtt,
                           .heartbeat = o->heartbeat};
  int exit = open_demo(&d);
  if (exit == CLI_DONE) exit = run_models(&d);
  if (exit == CLI_DONE) exit = report(&d);
  stage_close(&d.stage, o->keep || exit == CLI_FAILED || exit == CLI_BAD_INPUT || exit == CLI_PEER);
  json_decref(d.rows);
  json_decref(d.private_runs);
  return exit;
}

const struct cli_command cmd_demo = {
    "demo",
    "",
    "everything at work: an edge and a cloud process, a shaped link, every way of sharing side by side",
    "Runs GoogLeNet and the four-camera GoogLeNet as edge-only, cloud-only, the best serial split of the literature, "
    "decc (branch pipelining) and braid; measures latency (one frame at a time) and throughput (several in flight), "
    "prints them beside what was predicted, "
    "and "
    "checks every answer against 'braid run'.",
    0,
    0,
    options,
    CLI_COUNT_OF(options),
    run};
