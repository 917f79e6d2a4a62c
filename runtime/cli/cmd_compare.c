/* SPDX-License-Identifier: Apache-2.0
 * braid compare: every policy on the same inputs. */
#include "commands.h"
#include "planning.h"
#include "plot.h"

#include <stddef.h>

struct compare_options {
  struct planning_options p;
  const char *plot;
  bool json;
};
static const struct cli_option options[] = {
    PLANNING_OPTIONS(struct compare_options, p),
    {"plot", 0, CLI_TEXT, offsetof(struct compare_options, plot), "F.svg|png", NULL,
     "draw latency and throughput of all policies from 1 to 200 Mbit/s (needs gnuplot)"},
    CLI_JSON_OPTION(struct compare_options, json),
};

struct report {
  struct cli_table *table;
  json_t *rows;
};

static int edge_nodes(const struct braid_plan *plan) {
  int here = 0;
  for (int id = 0; id < plan->n_nodes; id++) here += plan->site[id] == BRAID_EDGE;
  return here;
}

/* Of a mix, those of each part: "57+0". */
static void add_edge_nodes(struct cli_table *table, const struct braid_plan *plan) {
  char text[128];
  int at = 0;
  if (plan->n_mix == 0) snprintf(text, sizeof text, "%d", edge_nodes(plan));
  for (int i = 0; i < plan->n_mix && at < (int)sizeof text; i++)
    at += snprintf(text + at, sizeof text - (size_t)at, "%s%d", i ? "+" : "", edge_nodes(plan->mix[i]));
  cli_table_cell(table, "%s", text);
}

static void add_plan(struct report *r, const struct braid_plan *plan, int64_t decide_ns) {
  const struct braid_forecast *f = &plan->forecast;
  cli_table_cell(r->table, "%s", plan->policy);
  cli_table_cell(r->table, "%.2f", cli_ms(f->latency_ns));
  cli_table_cell(r->table, "%.2f", cli_ms(f->period_ns));
  cli_table_cell(r->table, "%.1f", f->period_ns ? 1e9 / (double)f->period_ns : 0.0);
  cli_table_cell(r->table, "%.2f", cli_ms(f->edge_ns));
  cli_table_cell(r->table, "%.2f", cli_ms(f->up_ns));
  cli_table_cell(r->table, "%.2f", cli_ms(f->cloud_ns));
  cli_table_cell(r->table, "%zu", f->up_bytes);
  add_edge_nodes(r->table, plan);
  cli_table_cell(r->table, "%.1f", 100 * f->gap);
  cli_table_cell(r->table, "%.0f", (double)decide_ns / 1e3);
  json_array_append_new(
      r->rows,
      json_pack("{s:s, s:f, s:f, s:I, s:I, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:i, s:b, s:i}", "policy", plan->policy,
                "latency_ms", cli_ms(f->latency_ns), "period_ms", cli_ms(f->period_ns), "bytes_up",
                (json_int_t)f->up_bytes, "bytes_down", (json_int_t)f->down_bytes, "decide_us", (double)decide_ns / 1e3,
                "gap", f->gap, "bound_ms", cli_ms(f->bound_ns), "edge_ms", cli_ms(f->edge_ns), "up_ms",
                cli_ms(f->up_ns), "cloud_ms", cli_ms(f->cloud_ns), "down_ms", cli_ms(f->down_ns), "edge_nodes",
                edge_nodes(plan), "serial", plan->serial, "parts", plan->n_mix > 0 ? plan->n_mix : 1));
}

/* A policy without a plan for this goal is a row too. */
static void add_failure(struct report *r, const char *policy) {
  cli_table_cell(r->table, "%s", policy);
  for (int i = 0; i < 10; i++) cli_table_cell(r->table, "%s", "");
  braid_log(BRAID_LOG_WARN, "%s", braid_error());
  json_array_append_new(r->rows, json_pack("{s:s, s:s}", "policy", policy, "error", braid_error()));
}

static int compare(const struct planning *p, struct report *r) {
  int n, decided = 0;
  const struct braid_policy *const *policy = braid_policies(&n);
  for (int i = 0; i < n && !cli_interrupted(); i++) {
    struct braid_plan *plan;
    int64_t decide_ns;
    if (planning_decide(p, policy[i], &plan, &decide_ns) != BRAID_OK) {
      add_failure(r, policy[i]->name);
      continue;
    }
    add_plan(r, plan, decide_ns);
    braid_plan_destroy(&plan);
    decided++;
  }
  return decided > 0 ? CLI_DONE : CLI_FAILED;
}

static int run(const void *values, char **args, int n_args) {
  static const char *const heading[] = {"policy",   "latency/ms", "period/ms",  "frames/s", "edge/ms",  "up/ms",
                                        "cloud/ms", "bytes up",   "edge nodes", "gap/%",    "decide/us"};
  const struct compare_options *o = values;
  struct planning p;
  (void)n_args;
  int exit = planning_open(&o->p, args[0], &p);
  if (exit != CLI_DONE) return exit;
  struct report r = {cli_table_new(CLI_COUNT_OF(heading), heading), json_array()};
  exit = compare(&p, &r);
  if (o->json) {
    cli_table_free(r.table);
    int printed = cli_print_json(
        json_pack("{s:s, s:s, s:o}", "model", braid_graph_name(p.graph), "objective", o->p.objective, "rows", r.rows));
    if (exit == CLI_DONE) exit = printed;
  } else {
    cli_table_print(r.table, stdout);
    json_decref(r.rows);
  }
  if (exit == CLI_DONE && o->plot && plot_compare(&p, o->plot) != BRAID_OK) exit = cli_fail(CLI_FAILED);
  planning_close(&p);
  return exit;
}

const struct cli_command cmd_compare = {
    "compare", "MODEL", "every policy on the same costs, as a table", NULL, 1, 1, options, CLI_COUNT_OF(options), run};
