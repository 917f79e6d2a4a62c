/* SPDX-License-Identifier: Apache-2.0
 * braid timeline: the traces of an edge and a cloud as one, and what ran against what was expected. */
#include "commands.h"
#include "plan_file.h"
#include "planning.h"
#include "timeline.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

struct timeline_options {
  const char *output, *svg, *plan, *model, *edge, *cloud;
  double edge_gflops, cloud_gflops, up, down;
  int64_t rtt;
  int rows;
  bool json;
};
#define FIELD(member) offsetof(struct timeline_options, member)
static const struct cli_option options[] = {
    {"output", 'o', CLI_TEXT, FIELD(output), "FILE", NULL, "write the joined timeline (Chrome trace JSON)"},
    {"svg", 0, CLI_TEXT, FIELD(svg), "FILE", NULL, "draw the frame whose latency is the median, expected and measured"},
    {"rows", 0, CLI_INT, FIELD(rows), "N", "20", "differences to print; 0: all"},
    {"plan", 0, CLI_TEXT, FIELD(plan), "FILE", NULL,
     "what to expect: this plan, in place of the one in the edge's trace; needs --model and the costs, as in 'braid "
     "plan'"},
    {"model", 0, CLI_TEXT, FIELD(model), "MODEL", NULL, "with --plan: the network"},
    {"edge", 0, CLI_TEXT, FIELD(edge), "FILE", NULL, "with --plan: profile of the edge"},
    {"cloud", 0, CLI_TEXT, FIELD(cloud), "FILE", NULL, "with --plan: profile of the cloud"},
    {"edge-gflops", 0, CLI_REAL, FIELD(edge_gflops), "X", NULL, "in place of a profile: time = 2 MACs / rate"},
    {"cloud-gflops", 0, CLI_REAL, FIELD(cloud_gflops), "X", NULL, "the same for the cloud"},
    {"up", 0, CLI_RATE, FIELD(up), "RATE", "20mbit", "with --plan: rate of the uplink"},
    {"down", 0, CLI_RATE, FIELD(down), "RATE", NULL, "with --plan: rate of the downlink; the uplink's if not given"},
    {"rtt", 0, CLI_TIME, FIELD(rtt), "TIME", "10ms", "with --plan: round trip; half of it each way"},
    CLI_JSON_OPTION(struct timeline_options, json),
};

struct command {
  const struct timeline_options *o;
  struct traced edge, cloud;
  struct traced_plan plan; /* with --plan */
  struct timeline timeline;
  struct timeline_summary summary;
};

/* --------------------------------------------------------------------------------------------------- reading */

static enum braid_status predict(struct command *c, const struct planning *p) {
  struct braid_plan *plan;
  BRAID_TRY(plan_file_read(c->o->plan, p->graph, &plan));
  enum braid_status status =
      plan->n_mix > 0
          ? braid_fail(BRAID_EUNSUPPORTED, "%s is a mix of %d plans; give one of them", c->o->plan, plan->n_mix)
          : traced_predict(&c->edge, plan, p->graph, &p->costs, &c->plan);
  braid_plan_destroy(&plan);
  return status;
}

static int read_plan(struct command *c) {
  const struct timeline_options *o = c->o;
  struct planning_options options_of_plan = {.edge = o->edge,
                                             .cloud = o->cloud,
                                             .edge_gflops = o->edge_gflops,
                                             .cloud_gflops = o->cloud_gflops,
                                             .up = o->up,
                                             .down = o->down,
                                             .rtt = o->rtt,
                                             .load = 1,
                                             .objective = "latency",
                                             .deliver = "edge", /* the plan says where */
                                             .codec = "fp32",
                                             .slices = "auto",
                                             .batch = 1};
  struct planning planning;
  if (!o->plan) return CLI_DONE;
  if (!o->model) return cli_usage("timeline: --plan needs --model, the network that it is a plan of");
  int exit = planning_open(&options_of_plan, o->model, &planning);
  if (exit != CLI_DONE) return exit;
  if (predict(c, &planning) != BRAID_OK) exit = cli_fail(CLI_BAD_INPUT);
  planning_close(&planning);
  return exit;
}

/* A trace that was full would look like frames that were fast. */
static void warn_of_drops(const struct traced *t) {
  if (t->dropped[0]) braid_log(BRAID_LOG_WARN, "%s: %s; frames that are not whole do not count", t->path, t->dropped);
}

static int join(struct command *c, const char *edge, const char *cloud) {
  bool read = traced_read(edge, &c->edge) == BRAID_OK && traced_read(cloud, &c->cloud) == BRAID_OK;
  if (!read) return cli_fail(CLI_BAD_INPUT);
  int exit = read_plan(c);
  if (exit != CLI_DONE) return exit;
  warn_of_drops(&c->edge);
  warn_of_drops(&c->cloud);
  if (timeline_join(&c->edge, &c->cloud, c->o->plan ? &c->plan : NULL, &c->timeline) != BRAID_OK)
    return cli_fail(CLI_BAD_INPUT);
  return timeline_compare(&c->timeline, &c->summary) == BRAID_OK ? CLI_DONE : cli_fail(CLI_FAILED);
}

/* --------------------------------------------------------------------------------------------------- saying */

/* Null where nothing was expected: the edge was given a plan, and no profiles. */
static json_t *planned(const struct timeline_summary *s, double ms) {
  return s->predicted ? json_real(ms) : json_null();
}

static json_t *row_json(const struct timeline_summary *s, const struct timeline_row *row, bool total) {
  json_t *json = json_pack("{s:s, s:o, s:f, s:i}", "kind", timeline_resource[row->where], "planned_ms",
                           planned(s, row->planned_ms), "measured_ms", row->measured_ms, "frames", row->frames);
  if (json && !total) {
    json_object_set_new(json, "name", json_string(row->name));
    json_object_set_new(json, "node", json_integer(row->node));
  }
  return json;
}

static int print_json(const struct command *c) {
  const struct timeline_summary *s = &c->summary;
  const struct braid_clock_offset *clock = &c->timeline.clock;
  json_t *rows = json_array(), *totals = json_array();
  for (int i = 0; i < s->n_rows; i++) json_array_append_new(rows, row_json(s, &s->row[i], false));
  for (int k = 0; k < 4; k++) json_array_append_new(totals, row_json(s, &s->total[k], true));
  return cli_print_json(json_pack("{s:i, s:i, s:f, s:f, s:f, s:o, s:o, s:{s:o, s:f}, s:I}", "frames", s->frames,
                                  "frames_in_trace", c->timeline.n_frames, "offset_us", (double)clock->offset_ns / 1e3,
                                  "uncertainty_us", (double)clock->uncertainty_ns / 1e3, "drift_ppm",
                                  clock->drift * 1e6, "rows", rows, "totals", totals, "latency_ms", "planned",
                                  planned(s, s->latency_planned_ms), "measured", s->latency_measured_ms,
                                  "messages_lost", (json_int_t)c->timeline.n_lost));
}

static void table_row(struct cli_table *t, const struct timeline_summary *s, const char *kind, const char *name,
                      double planned_ms, double measured_ms, int frames) {
  cli_table_cell(t, "%s", kind);
  cli_table_cell(t, "%s", name);
  if (s->predicted)
    cli_table_cell(t, "%.3f", planned_ms);
  else
    cli_table_cell(t, "-");
  cli_table_cell(t, "%.3f", measured_ms);
  if (s->predicted)
    cli_table_cell(t, "%+.3f", measured_ms - planned_ms);
  else
    cli_table_cell(t, "-");
  cli_table_cell(t, "%d", frames);
}

static int print_text(const struct command *c) {
  static const char *const heading[] = {"on", "what", "planned/ms", "measured/ms", "difference", "frames"};
  const struct timeline_summary *s = &c->summary;
  int shown = c->o->rows > 0 && c->o->rows < s->n_rows ? c->o->rows : s->n_rows;
  struct cli_table *t = cli_table_new(CLI_COUNT_OF(heading), heading);
  for (int i = 0; i < shown; i++)
    table_row(t, s, timeline_resource[s->row[i].where], s->row[i].name, s->row[i].planned_ms, s->row[i].measured_ms,
              s->row[i].frames);
  for (int k = 0; k < 4; k++)
    table_row(t, s, timeline_resource[k], "(all)", s->total[k].planned_ms, s->total[k].measured_ms, s->frames);
  table_row(t, s, "latency", "", s->latency_planned_ms, s->latency_measured_ms, s->frames);
  cli_table_print(t, stdout);
  if (shown < s->n_rows) printf("%d smaller differences are not shown (--rows 0: all)\n", s->n_rows - shown);
  printf("%d of %d frames compared; the cloud's clock is %.3f ms ahead, to within %.3f ms", s->frames,
         c->timeline.n_frames, cli_ms(c->timeline.clock.offset_ns), cli_ms(c->timeline.clock.uncertainty_ns));
  if (fabs(c->timeline.clock.drift) > 0) printf(", and drifts by %.1f us a second", c->timeline.clock.drift * 1e6);
  putchar('\n');
  if (!s->predicted)
    puts("nothing to compare with: the edge was given its plan, and no profiles; --plan takes that plan and the costs");
  return CLI_DONE;
}

static int run(const void *values, char **args, int n_args) {
  struct command c = {.o = values};
  (void)n_args;
  int exit = join(&c, args[0], args[1]);
  if (exit == CLI_DONE && c.summary.frames == 0) {
    (void)braid_fail(BRAID_ENOTFOUND, "none of the %d frames in %s ran with a cloud and can be seen whole in %s",
                     c.timeline.n_frames, args[0], args[1]);
    exit = cli_fail(CLI_BAD_INPUT);
  }
  if (exit == CLI_DONE && c.o->output && timeline_write(&c.timeline, c.o->output) != BRAID_OK)
    exit = cli_fail(CLI_FAILED);
  if (exit == CLI_DONE && c.o->svg && timeline_draw(&c.timeline, c.o->svg) != BRAID_OK) exit = cli_fail(CLI_FAILED);
  if (exit == CLI_DONE) exit = c.o->json ? print_json(&c) : print_text(&c);
  timeline_summary_free(&c.summary);
  timeline_close(&c.timeline);
  traced_plan_free(&c.plan);
  traced_close(&c.edge);
  traced_close(&c.cloud);
  return exit;
}

const struct cli_command cmd_timeline = {
    "timeline",
    "EDGE.json CLOUD.json",
    "one timeline of an edge and a cloud, from their traces, and what ran against what was planned",
    "The two are what 'braid edge --trace' and 'braid cloud --trace' have written in the same run. The cloud's clock "
    "is put on "
    "the edge's, by the exchange of heartbeats with the shortest round trip. Of every node and every tensor that "
    "travels it says what the plan in force expected and what was measured, as averages of a frame, the largest "
    "differences first. A frame is expected as if it were alone: with several in flight they also wait for each other. "
    "The timeline (-o) opens in ui.perfetto.dev.",
    2,
    2,
    options,
    CLI_COUNT_OF(options),
    run};
