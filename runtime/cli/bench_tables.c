/* SPDX-License-Identifier: Apache-2.0 */
#include "bench_tables.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { FINDS = 1 << 20, RATES = 256, DECISIONS = 9, SIMULATED = 2000 };
#define LOAD_MAX 8.0 /* the grid's */

/* 0.1 Mbit/s to 10 Gbit/s, in no order that a cache could learn. */
static double rate_number(int i) {
  return 1e5 * pow(1e5, (double)(i * 97 % RATES) / RATES);
}

double table_find_ns(const struct braid_breakpoints *breakpoints) {
  double rate[RATES];
  volatile int seen = 0; /* or there would be nothing to measure */
  for (int i = 0; i < RATES; i++) rate[i] = rate_number(i);
  int64_t begin = cli_now_ns();
  for (int i = 0; i < FINDS; i++) seen = braid_breakpoints_find(breakpoints, rate[i % RATES]);
  (void)seen;
  return (double)(cli_now_ns() - begin) / FINDS;
}

static double cic_find_ns(const struct braid_cic *cic) {
  double rate[RATES], load[RATES];
  volatile int seen = 0;
  for (int i = 0; i < RATES; i++) {
    rate[i] = rate_number(i);
    load[i] = 1 + (LOAD_MAX - 1) * (double)(i * 41 % RATES) / RATES;
  }
  int64_t begin = cli_now_ns();
  for (int i = 0; i < FINDS; i++) seen = braid_cic_find(cic, rate[i % RATES], load[i % RATES]);
  (void)seen;
  return (double)(cli_now_ns() - begin) / FINDS;
}

static enum braid_status dads_ns(const struct grid_net *net, const struct braid_costs *costs,
                                 const struct braid_goal *goal, double *out) {
  double ns[DECISIONS];
  const struct braid_policy *dads = braid_policy_find("dads");
  for (int i = 0; i < DECISIONS; i++) {
    struct braid_plan *plan = NULL;
    int64_t begin = cli_now_ns();
    BRAID_TRY(dads->decide(net->graph, costs, goal, &plan));
    ns[i] = (double)(cli_now_ns() - begin);
    braid_plan_destroy(&plan);
  }
  *out = cli_stats_of(ns, DECISIONS).p50;
  return BRAID_OK;
}

static enum braid_status simulated_frames(const struct grid_net *net, const struct braid_costs *costs,
                                          const struct braid_goal *goal, double *per_s) {
  struct braid_plan *plan = NULL;
  struct braid_sim_result result;
  BRAID_TRY(braid_policy_find("dads")->decide(net->graph, costs, goal, &plan));
  plan->serial = false;
  int64_t begin = cli_now_ns();
  enum braid_status status =
      braid_simulate(plan, net->graph, costs, &(struct braid_sim_opts){.frames = SIMULATED, .window = 4}, &result);
  *per_s = SIMULATED * 1e9 / (double)(cli_now_ns() - begin);
  braid_plan_destroy(&plan);
  return status;
}

static enum braid_status measure_breakpoints(const struct grid_net *net, const struct braid_costs *costs,
                                             const struct braid_goal *goal, struct table_times *t) {
  struct braid_breakpoints *table = NULL;
  int64_t begin = cli_now_ns();
  BRAID_TRY(braid_breakpoints_build(net->graph, costs, goal, &table));
  t->breakpoints_build_ns = (double)(cli_now_ns() - begin);
  t->ranges = table->n_ranges;
  t->breakpoints_find_ns = table_find_ns(table);
  braid_breakpoints_destroy(&table);
  return BRAID_OK;
}

static enum braid_status measure_cic(const struct grid_net *net, const struct braid_costs *costs,
                                     const struct braid_goal *goal, struct table_times *t) {
  struct braid_cic *cic = NULL;
  int64_t begin = cli_now_ns();
  BRAID_TRY(braid_cic_build(net->graph, costs, goal, 1, LOAD_MAX, &cic));
  t->cic_build_ns = (double)(cli_now_ns() - begin);
  t->cic_cuts = cic->n_cuts;
  t->cic_find_ns = cic_find_ns(cic);
  braid_cic_destroy(&cic);
  return BRAID_OK;
}

enum braid_status table_times_measure(const struct grid_net *net, struct table_times *out) {
  static const struct grid_cell cell = {.mbit = 20, .ratio = 5, .load = 1, .rtt_ms = 10};
  struct braid_costs costs = grid_costs(net, &cell);
  struct braid_goal goal = {.objective = BRAID_LATENCY};
  *out = (struct table_times){0};
  BRAID_TRY(dads_ns(net, &costs, &goal, &out->dads_ns));
  BRAID_TRY(simulated_frames(net, &costs, &goal, &out->frames_per_s));
  BRAID_TRY(measure_breakpoints(net, &costs, &goal, out));
  BRAID_TRY(measure_cic(net, &costs, &goal, out));
  out->built = true;
  return BRAID_OK;
}

/* -------------------------------------------------------------------------------------------------- showing */

struct row {
  const char *name;
  int decimals;
  double value;
};
enum { ROWS = 10 };

static void rows_of(const struct table_times *t, struct row row[ROWS]) {
  const struct row all[ROWS] = {{"dads, decided anew/us", 1, t->dads_ns / 1e3},
                                {"breakpoints, built once/us", 0, t->breakpoints_build_ns / 1e3},
                                {"  ranges", 0, t->ranges},
                                {"  looked up/ns", 1, t->breakpoints_find_ns},
                                {"  dads / look-up", 0, t->dads_ns / t->breakpoints_find_ns},
                                {"cic, built once/us", 0, t->cic_build_ns / 1e3},
                                {"  cuts that are left", 0, t->cic_cuts},
                                {"  looked up/ns", 1, t->cic_find_ns},
                                {"  dads / look-up", 0, t->dads_ns / t->cic_find_ns},
                                {"simulated frames a minute/1000", 0, t->frames_per_s * 60 / 1e3}};
  for (int i = 0; i < ROWS; i++) row[i] = all[i];
}

struct cli_table *table_times_table(const struct table_times *times, const int *nodes, int n) {
  const char *heading[GRID_POLICIES_MAX + 1] = {"nodes"};
  char number[GRID_POLICIES_MAX][16];
  if (n == 0) return NULL;
  for (int s = 0; s < n; s++) {
    snprintf(number[s], sizeof number[s], "%d", nodes[s]);
    heading[s + 1] = number[s];
  }
  struct cli_table *table = cli_table_new(n + 1, heading);
  for (int i = 0; i < ROWS; i++)
    for (int s = 0; s < n; s++) {
      struct row row[ROWS];
      rows_of(&times[s], row);
      if (s == 0) cli_table_cell(table, "%s", row[i].name);
      if (times[s].built)
        cli_table_cell(table, "%.*f", row[i].decimals, row[i].value);
      else
        cli_table_cell(table, "%s", "");
    }
  return table;
}

json_t *table_times_json(const struct table_times *t) {
  if (!t->built) return json_null();
  return json_pack("{s:f, s:f, s:i, s:f, s:f, s:i, s:f, s:f}", "simulated_frames_per_s", t->frames_per_s, "dads_us",
                   t->dads_ns / 1e3, "ranges", t->ranges, "breakpoints_build_us", t->breakpoints_build_ns / 1e3,
                   "breakpoints_find_ns", t->breakpoints_find_ns, "cic_cuts", t->cic_cuts, "cic_build_us",
                   t->cic_build_ns / 1e3, "cic_find_ns", t->cic_find_ns);
}
