/* SPDX-License-Identifier: Apache-2.0
 * braid bench plan: all policies over the grid of plan_grid.h.
 *
 * "Others" are the baselines and the literature; `decc` (our reconstruction) and `exact` (the oracle) are held to
 * "never worse" as well, but braid's gain is stated against the others. Values do not depend on the machine; times do.
 */
#include "bench.h"
#include "plan_file.h"
#include "plan_grid.h"

#include <math.h>
#include <string.h>

/* ------------------------------------------------------------------------------------------------- tallies */

struct extreme {
  double ratio;
  struct grid_cell cell;
};

/* value(other) / value(subject), over the cells where both have a plan. */
struct comparison {
  int n;
  double log_sum;
  struct extreme best, worst;
};

struct tally {
  int cells, found, leads; /* leads: nobody is better */
  double log_over_best, gap_sum, worst_over_best;
  double *decide_us;
};

struct objective_tally {
  struct tally policy[GRID_POLICIES_MAX];
  struct comparison others, dads;
  int worse; /* cells in which somebody beats the subject */
  struct extreme worse_cell;
  char worse_policy[32];
};

struct bench {
  const struct bench_options *o;
  struct braid_clock clock;
  struct grid_net *net;
  int n_nets, n_policies, subject, dads;
  const char *name[GRID_POLICIES_MAX];
  int64_t cells, done;
  bool is_other[GRID_POLICIES_MAX];
  struct objective_tally objective[2];
};

static void compare(struct comparison *c, double ratio, const struct grid_cell *cell) {
  if (c->n == 0 || ratio > c->best.ratio) c->best = (struct extreme){ratio, *cell};
  if (c->n == 0 || ratio < c->worst.ratio) c->worst = (struct extreme){ratio, *cell};
  c->n++;
  c->log_sum += log(ratio);
}

static double mean_of(const struct comparison *c) {
  return c->n > 0 ? exp(c->log_sum / c->n) : 1;
}

static double ratio_of(int64_t a, int64_t b) {
  return (double)a / (double)(b > 0 ? b : 1);
}

static int64_t least_of(const struct grid_result *r, bool others) {
  int64_t least = INT64_MAX;
  for (int i = 0; i < r->n; i++)
    if (r->row[i].found && (!others || grid_is_other(r->policy[i])) && r->row[i].value_ns < least)
      least = r->row[i].value_ns;
  return least;
}

static void tally_policies(struct objective_tally *t, const struct grid_result *r) {
  int64_t least = least_of(r, false);
  for (int i = 0; i < r->n; i++) {
    struct tally *p = &t->policy[i];
    p->cells++;
    if (!r->row[i].found) continue;
    double over = ratio_of(r->row[i].value_ns, least);
    p->decide_us[p->found++] = (double)r->row[i].decide_ns / 1e3;
    p->leads += r->row[i].value_ns == least;
    p->log_over_best += log(over);
    if (over > p->worst_over_best) p->worst_over_best = over;
    p->gap_sum += r->bound_ns > 0 ? ratio_of(r->row[i].value_ns, r->bound_ns) - 1 : 0;
  }
}

static void tally_subject(const struct bench *b, struct objective_tally *t, const struct grid_result *r) {
  const struct grid_row *subject = &r->row[b->subject];
  int64_t own = subject->found ? subject->value_ns : INT64_MAX, others = least_of(r, true);
  double loss = 0;
  for (int i = 0; i < r->n; i++) {
    if (!r->row[i].found || r->row[i].value_ns >= own) continue;
    double ratio = subject->found ? ratio_of(own, r->row[i].value_ns) : HUGE_VAL;
    if (ratio <= loss) continue;
    loss = ratio;
    if (ratio <= t->worse_cell.ratio) continue;
    t->worse_cell = (struct extreme){ratio, r->cell};
    snprintf(t->worse_policy, sizeof t->worse_policy, "%s", r->policy[i]->name);
  }
  t->worse += loss > 0;
  if (!subject->found) return;
  if (others < INT64_MAX) compare(&t->others, ratio_of(others, own), &r->cell);
  if (b->dads >= 0 && r->row[b->dads].found) compare(&t->dads, ratio_of(r->row[b->dads].value_ns, own), &r->cell);
}

/* ------------------------------------------------------------------------------------------------- opening */

static int open_net(struct bench *b, const char *model) {
  struct braid_graph *graph = NULL;
  struct braid_profile *profile = NULL;
  int exit = cli_open_model(model, 1, &graph);
  if (exit != CLI_DONE) return exit;
  if (b->o->edge && profile_file_read(b->o->edge, graph, &profile) != BRAID_OK) {
    braid_graph_destroy(&graph);
    return cli_fail(CLI_BAD_INPUT);
  }
  enum braid_status status =
      grid_net_create(graph, b->o->edge_gflops, profile ? profile->node_ns : NULL, &b->net[b->n_nets]);
  braid_profile_destroy(&profile);
  if (status != BRAID_OK) {
    braid_graph_destroy(&graph);
    return cli_fail(CLI_FAILED);
  }
  b->n_nets++;
  return CLI_DONE;
}

static int open_nets(struct bench *b, char **models, int n_models) {
  int n_zoo = 0, exit = CLI_DONE;
  const struct braid_zoo_entry *zoo = braid_zoo(&n_zoo);
  int n = n_models > 0 ? n_models : n_zoo;
  if (b->o->edge && n != 1) return cli_usage("bench plan: --edge is the profile of one network; name one MODEL");
  b->net = braid_calloc((size_t)n, sizeof *b->net);
  if (!b->net) return CLI_FAILED;
  for (int i = 0; i < n && exit == CLI_DONE; i++) exit = open_net(b, n_models > 0 ? models[i] : zoo[i].name);
  return exit;
}

/* The policies are the same in every cell. */
static int open_tallies(struct bench *b) {
  int n = 0;
  const struct braid_policy *const *policy = braid_policies(&n);
  b->subject = b->dads = -1;
  for (int i = 0; i < n && b->n_policies < GRID_POLICIES_MAX; i++) {
    if (policy[i]->input != BRAID_INPUT_AS_IS) continue;
    b->is_other[b->n_policies] = grid_is_other(policy[i]);
    b->name[b->n_policies++] = policy[i]->name;
  }
  for (int i = 0; i < b->n_policies; i++) {
    if (strcmp(b->name[i], "decc") == 0 && b->subject < 0) b->subject = i;
    if (strcmp(b->name[i], "braid") == 0) b->subject = i;
    if (strcmp(b->name[i], "dads") == 0) b->dads = i;
    for (int k = 0; k < 2; k++) {
      b->objective[k].policy[i].decide_us = braid_calloc((size_t)b->cells, sizeof(double));
      if (!b->objective[k].policy[i].decide_us) return CLI_FAILED;
    }
  }
  return b->subject >= 0 ? CLI_DONE : cli_usage("bench plan: this build has neither braid nor decc");
}

static void close_bench(struct bench *b) {
  for (int i = 0; i < b->n_nets; i++) grid_net_free(&b->net[i]);
  braid_free(b->net);
  for (int k = 0; k < 2; k++)
    for (int i = 0; i < b->n_policies; i++) braid_free(b->objective[k].policy[i].decide_us);
}

/* -------------------------------------------------------------------------------------------------- running */

static int run_cells(struct bench *b) {
  int64_t total = grid_size(b->n_nets);
  for (int64_t i = 0; i < b->cells && !cli_interrupted(); i++) {
    int64_t index = b->o->quick ? (int64_t)(braid_random_u64((uint64_t)b->o->seed, (uint64_t)i) % (uint64_t)total) : i;
    struct grid_cell cell = grid_cell_at(index);
    struct grid_result r;
    if (grid_run(&b->net[cell.net], &cell, b->o->slices, &b->clock, &r) != BRAID_OK) return cli_fail(CLI_FAILED);
    tally_policies(&b->objective[cell.objective], &r);
    tally_subject(b, &b->objective[cell.objective], &r);
    b->done = i + 1;
    cli_progress("cells", (int)b->done, (int)b->cells);
  }
  return CLI_DONE;
}

/* ---------------------------------------------------------------------------------------------- growth */

enum { GROWTH_STEPS = 7 };
static const int growth_nodes[GROWTH_STEPS] = {10, 30, 100, 300, 1000, 3000, 10000};
static const int64_t growth_patience_ns =
    300000000; /* a policy that took longer is not asked for three times the nodes */

struct growth {
  int steps;
  int64_t decide_ns[GROWTH_STEPS][GRID_POLICIES_MAX]; /* -1: not asked; -2: no plan */
};

static void random_edge_times(struct grid_net *net, uint64_t seed) {
  for (int v = 0; v < braid_graph_size(net->graph); v++)
    net->edge_ns[v] = (int64_t)(braid_random_u64(seed, (uint64_t)v) % 1000000);
}

static int64_t decide_once(const struct bench *b, const struct braid_policy *policy, const struct grid_net *net) {
  static const struct grid_cell cell = {.mbit = 20, .ratio = 5, .load = 1, .rtt_ns = 10000000};
  struct braid_costs costs = grid_costs(net, &cell);
  struct braid_goal goal = {.objective = BRAID_LATENCY, .slices = 1};
  struct braid_plan *plan = NULL;
  int64_t begin = braid_now_ns(&b->clock);
  enum braid_status status = policy->decide(net->graph, &costs, &goal, &plan);
  int64_t ns = braid_now_ns(&b->clock) - begin;
  braid_plan_destroy(&plan);
  return status == BRAID_OK ? ns : -2;
}

static enum braid_status grow_step(const struct bench *b, int step, struct growth *g) {
  struct braid_graph *graph = NULL;
  struct grid_net net;
  BRAID_TRY(grid_series_parallel((uint64_t)b->o->seed, growth_nodes[step], &graph));
  enum braid_status status = grid_net_create(graph, 10, NULL, &net);
  if (status != BRAID_OK) {
    braid_graph_destroy(&graph);
    return status;
  }
  random_edge_times(&net, (uint64_t)b->o->seed);
  for (int i = 0; i < b->n_policies; i++) {
    int64_t last = step > 0 ? g->decide_ns[step - 1][i] : 0;
    bool asked = last >= 0 && last <= growth_patience_ns && !cli_interrupted();
    g->decide_ns[step][i] = asked ? decide_once(b, braid_policy_find(b->name[i]), &net) : last == -2 ? -2 : -1;
  }
  grid_net_free(&net);
  return BRAID_OK;
}

static int run_growth(const struct bench *b, struct growth *g) {
  for (int step = 0; step < GROWTH_STEPS && growth_nodes[step] <= b->o->largest; step++) {
    if (grow_step(b, step, g) != BRAID_OK) return cli_fail(CLI_FAILED);
    g->steps = step + 1;
    cli_progress("graphs", g->steps, GROWTH_STEPS);
  }
  return CLI_DONE;
}

/* ---------------------------------------------------------------------------------------------------- text */

static const char *const objective_name[] = {"latency", "throughput"};

static const char *cell_text(const struct bench *b, const struct grid_cell *c, char buf[160]) {
  snprintf(buf, 160, "%s, %g Mbit/s, ratio %g, load %g, rtt %g ms%s", braid_graph_name(b->net[c->net].graph), c->mbit,
           c->ratio, c->load, cli_ms(c->rtt_ns), c->private_input ? ", private" : "");
  return buf;
}

static void print_comparison(const struct bench *b, const char *against, const struct comparison *c) {
  char best[160], worst[160];
  if (c->n == 0) return;
  printf("%s / %s: geometric mean %.3f over %d cells\n  best  %.3f  (%s)\n  worst %.3f  (%s)\n", against,
         b->name[b->subject], mean_of(c), c->n, c->best.ratio, cell_text(b, &c->best.cell, best), c->worst.ratio,
         cell_text(b, &c->worst.cell, worst));
}

static void print_policies(const struct bench *b, const struct objective_tally *t) {
  static const char *const heading[] = {"policy",          "plans",      "best in",       "mean over best",
                                        "worst over best", "mean gap/%", "decide/us p50", "max"};
  struct cli_table *table = cli_table_new(CLI_COUNT_OF(heading), heading);
  for (int i = 0; i < b->n_policies; i++) {
    const struct tally *p = &t->policy[i];
    struct cli_stats us = cli_stats_of(p->decide_us, p->found);
    cli_table_cell(table, "%s", b->name[i]);
    cli_table_cell(table, "%d", p->found);
    cli_table_cell(table, "%d", p->leads);
    cli_table_cell(table, "%.3f", p->found ? exp(p->log_over_best / p->found) : 0);
    cli_table_cell(table, "%.3f", p->worst_over_best);
    cli_table_cell(table, "%.1f", p->found ? 100 * p->gap_sum / p->found : 0);
    cli_table_cell(table, "%.0f", p->found ? us.p50 : 0);
    cli_table_cell(table, "%.0f", p->found ? us.max : 0);
  }
  cli_table_print(table, stdout);
}

static void print_objective(const struct bench *b, int k) {
  const struct objective_tally *t = &b->objective[k];
  const char *subject = b->name[b->subject];
  char cell[160];
  int cells = t->policy[b->subject].cells;
  printf("%s, %d cells\n", objective_name[k], cells);
  if (cells == 0) return;
  print_policies(b, t);
  if (t->worse == 0)
    printf("%s is worse than no other policy in any cell\n", subject);
  else
    printf("%s is WORSE in %d cells; most: %.4f times %s (%s)\n", subject, t->worse, t->worse_cell.ratio,
           t->worse_policy, cell_text(b, &t->worse_cell.cell, cell));
  print_comparison(b, "best other", &t->others);
  print_comparison(b, "dads", &t->dads);
  putchar('\n');
}

static void print_growth(const struct bench *b, const struct growth *g) {
  const char *heading[GROWTH_STEPS + 1] = {"decide/us, nodes:"};
  char number[GROWTH_STEPS][16];
  if (g->steps == 0) return;
  for (int s = 0; s < g->steps; s++) {
    snprintf(number[s], sizeof number[s], "%d", growth_nodes[s]);
    heading[s + 1] = number[s];
  }
  struct cli_table *table = cli_table_new(g->steps + 1, heading);
  for (int i = 0; i < b->n_policies; i++) {
    cli_table_cell(table, "%s", b->name[i]);
    for (int s = 0; s < g->steps; s++)
      if (g->decide_ns[s][i] < 0)
        cli_table_cell(table, "%s", "");
      else
        cli_table_cell(table, "%.0f", (double)g->decide_ns[s][i] / 1e3);
  }
  cli_table_print(table, stdout);
}

/* ---------------------------------------------------------------------------------------------------- JSON */

static json_t *cell_json(const struct bench *b, const struct grid_cell *c) {
  return json_pack("{s:s, s:f, s:f, s:f, s:f, s:b}", "model", braid_graph_name(b->net[c->net].graph), "mbit", c->mbit,
                   "ratio", c->ratio, "load", c->load, "rtt_ms", cli_ms(c->rtt_ns), "private", c->private_input);
}

static json_t *comparison_json(const struct bench *b, const struct comparison *c) {
  if (c->n == 0) return json_null();
  return json_pack("{s:i, s:f, s:f, s:o, s:f, s:o}", "cells", c->n, "geomean", mean_of(c), "best", c->best.ratio,
                   "best_cell", cell_json(b, &c->best.cell), "worst", c->worst.ratio, "worst_cell",
                   cell_json(b, &c->worst.cell));
}

static json_t *policies_json(const struct bench *b, const struct objective_tally *t) {
  json_t *list = json_array();
  for (int i = 0; i < b->n_policies; i++) {
    const struct tally *p = &t->policy[i];
    struct cli_stats us = cli_stats_of(p->decide_us, p->found);
    json_t *row = json_pack("{s:s, s:i, s:i, s:b}", "policy", b->name[i], "plans", p->found, "best_in", p->leads,
                            "other", b->is_other[i]);
    if (p->found > 0)
      json_object_update_new(row, json_pack("{s:f, s:f, s:f, s:f, s:f}", "geomean_over_best",
                                            exp(p->log_over_best / p->found), "worst_over_best", p->worst_over_best,
                                            "mean_gap", p->gap_sum / p->found, "decide_us_p50", us.p50, "decide_us_max",
                                            us.max));
    json_array_append_new(list, row);
  }
  return list;
}

static json_t *objective_json(const struct bench *b, int k) {
  const struct objective_tally *t = &b->objective[k];
  json_t *j = json_pack("{s:s, s:i, s:i, s:o, s:o, s:o}", "objective", objective_name[k], "cells",
                        t->policy[b->subject].cells, "worse", t->worse, "others", comparison_json(b, &t->others),
                        "dads", comparison_json(b, &t->dads), "policies", policies_json(b, t));
  if (t->worse > 0) {
    bool finite = isfinite(t->worse_cell.ratio);
    json_object_update_new(j, json_pack("{s:s, s:o, s:o}", "worse_than", t->worse_policy, "worse_by",
                                        finite ? json_real(t->worse_cell.ratio) : json_null(), "worse_cell",
                                        cell_json(b, &t->worse_cell.cell)));
  }
  return j;
}

static json_t *growth_json(const struct bench *b, const struct growth *g) {
  json_t *list = json_array();
  for (int s = 0; s < g->steps; s++) {
    json_t *us = json_object();
    for (int i = 0; i < b->n_policies; i++)
      if (g->decide_ns[s][i] >= 0) json_object_set_new(us, b->name[i], json_real((double)g->decide_ns[s][i] / 1e3));
    json_array_append_new(list, json_pack("{s:i, s:o}", "nodes", growth_nodes[s], "decide_us", us));
  }
  return list;
}

static int print_json(const struct bench *b, const struct growth *g) {
  json_t *objectives = json_array();
  for (int k = 0; k < 2; k++) json_array_append_new(objectives, objective_json(b, k));
  return cli_print_json(json_pack("{s:s, s:i, s:i, s:I, s:i, s:o, s:o}", "subject", b->name[b->subject], "models",
                                  b->n_nets, "slices", b->o->slices, "cells", (json_int_t)b->done, "seed", b->o->seed,
                                  "objectives", objectives, "growth", growth_json(b, g)));
}

/* ----------------------------------------------------------------------------------------------- the bench */

static int report(const struct bench *b, const struct growth *g) {
  int worse = b->objective[0].worse + b->objective[1].worse, exit = CLI_DONE;
  if (b->o->json) {
    exit = print_json(b, g);
  } else {
    for (int k = 0; k < 2; k++) print_objective(b, k);
    print_growth(b, g);
  }
  /* The claim is braid's. One cut for all frames (decc) cannot keep up with a mix of two (jps) in throughput. */
  bool claimed = strcmp(b->name[b->subject], "braid") == 0;
  return exit == CLI_DONE && worse > 0 && claimed ? CLI_FAILED : exit;
}

int bench_plan(const struct bench_options *options, char **models, int n_models) {
  struct bench b = {.o = options, .clock = braid_clock_monotonic()};
  struct growth growth = {0};
  int exit = open_nets(&b, models, n_models);
  b.cells = options->quick ? options->cells : grid_size(b.n_nets);
  if (exit == CLI_DONE) exit = open_tallies(&b);
  if (exit == CLI_DONE) exit = run_cells(&b);
  if (exit == CLI_DONE) exit = run_growth(&b, &growth);
  if (exit == CLI_DONE) exit = report(&b, &growth);
  close_bench(&b);
  return exit;
}
