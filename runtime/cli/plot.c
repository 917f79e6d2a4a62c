/* SPDX-License-Identifier: Apache-2.0 */
#include "plot.h"

#include "gnuplot.h"

#include <math.h>
#include <string.h>

enum { POINTS = 24 };
static const double from_mbit = 1, to_mbit = 200;

static double rate_of(int i) {
  return from_mbit * pow(to_mbit / from_mbit, (double)i / (POINTS - 1));
}

/* ------------------------------------------------------------------------------------------------- script */

static bool is_ours(const char *policy) {
  return strcmp(policy, "braid") == 0;
}

enum { POLICIES_MAX = 64 };

/* One of the two diagrams. */
struct diagram {
  enum braid_objective objective;
  const char *block, *ylabel;
  int points[POLICIES_MAX]; /* by policy; those without a plan at any rate are not drawn */
  double least, most;
};

static void put_point(FILE *out, struct diagram *d, int policy, double mbit, double value) {
  if (!(value > 0)) return; /* it has no logarithm */
  fprintf(out, "%.4f %.6f\n", mbit, value);
  d->points[policy]++;
  if (d->least <= 0 || value < d->least) d->least = value;
  if (value > d->most) d->most = value;
}

/* One line "rate value" for every rate at which the policy has a plan. */
static void put_points(FILE *out, const struct planning *p, int number, struct diagram *d) {
  int n = 0;
  const struct braid_policy *policy = braid_policies(&n)[number];
  struct planning at = *p;
  at.goal.objective = d->objective;
  for (int i = 0; i < POINTS; i++) {
    struct braid_plan *plan = NULL;
    int64_t decide_ns;
    at.costs.up.bits_per_s = at.costs.down.bits_per_s = rate_of(i) * 1e6;
    if (planning_decide(&at, policy, &plan, &decide_ns) != BRAID_OK) continue;
    const struct braid_forecast *f = &plan->forecast;
    if (d->objective == BRAID_LATENCY)
      put_point(out, d, number, rate_of(i), cli_ms(f->latency_ns));
    else
      put_point(out, d, number, rate_of(i), f->period_ns > 0 ? 1e9 / (double)f->period_ns : 0);
    braid_plan_destroy(&plan);
  }
}

/* Curves that coincide must all be seen: ours is a broad band below, the others thin, with marks of their own. */
static void put_curves(FILE *out, const struct diagram *d) {
  static const char *const colour[] = {"#1b9e77", "#d95f02", "#7570b3", "#e7298a", "#66a61e", "#e6ab02", "#a6761d",
                                       "#1f78b4", "#b2182b", "#542788", "#35978f", "#8c510a", "#666666"};
  int n = 0;
  const struct braid_policy *const *policy = braid_policies(&n);
  fprintf(out, "plot ");
  for (int ours = 1; ours >= 0; ours--)
    for (int i = 0; i < n; i++) {
      const char *name = policy[i]->name;
      if (is_ours(name) != ours || i >= POLICIES_MAX || d->points[i] == 0) continue;
      if (ours)
        fprintf(out, "%s%d with lines lw 9 lc rgb '#ffd24d' title '%s', \\\n", d->block, i, name);
      else
        fprintf(out, "%s%d with linespoints lw 1.6 pt %d ps 0.9 pi %d lc rgb '%s' dt %d title '%s', \\\n", d->block, i,
                4 + i % 10, -(3 + i % 3), colour[i % 13], 1 + i % 4, name);
    }
  fprintf(out, "NaN notitle\n");
}

static void put_data(FILE *out, const struct planning *p, struct diagram diagram[2]) {
  int n = 0;
  (void)braid_policies(&n);
  for (int i = 0; i < n && i < POLICIES_MAX; i++) {
    for (int k = 0; k < 2; k++) {
      fprintf(out, "%s%d << EOD\n", diagram[k].block, i);
      put_points(out, p, i, &diagram[k]);
      fprintf(out, "EOD\n");
    }
    cli_progress("policies", i + 1, n);
  }
}

static void put_diagram(FILE *out, const struct diagram *d) {
  double least = d->most > 0 ? d->least : 1, most = d->most > 0 ? d->most : 10;
  fprintf(out, "set yrange [%g:%g]\nset ylabel '%s'\n", least / 1.25, most * 1.25, d->ylabel);
  fprintf(out, "set ytics (1");
  for (double decade = 1e-6; decade < 1e9; decade *= 10)
    for (int i = 0; i < 3; i++) {
      double tick = decade * (i == 0 ? 1 : i == 1 ? 2 : 5);
      if (tick > least / 1.25 && tick < most * 1.25) fprintf(out, ",%g", tick);
    }
  fprintf(out, ")\n");
  put_curves(out, d);
}

static void put_script(void *ctx, FILE *out) {
  const struct planning *p = ctx;
  struct diagram diagram[2] = {{.objective = BRAID_LATENCY, .block = "$latency", .ylabel = "latency of one frame / ms"},
                               {.objective = BRAID_THROUGHPUT, .block = "$frames", .ylabel = "frames / s"}};
  put_data(out, p, diagram);
  fprintf(out, "set multiplot layout 2,1 title '");
  gnuplot_text(out, braid_graph_name(p->graph));
  fprintf(out, ": latency and throughput by bandwidth%s' noenhanced\n", p->goal.private_input ? ", private input" : "");
  fprintf(out, "set logscale xy\nset xrange [%g:%g]\n", from_mbit, to_mbit);
  fprintf(out, "set grid xtics ytics mytics lt 1 lc rgb '#d0d0d0', lt 1 lc rgb '#ebebeb'\n");
  fprintf(out, "set xtics (1,2,5,10,20,50,100,200)\nset key outside right top noenhanced\n");
  fprintf(out, "set lmargin 11\nset rmargin 25\nset xlabel 'Mbit/s, both ways'\n");
  for (int k = 0; k < 2; k++) put_diagram(out, &diagram[k]);
  fprintf(out, "unset multiplot\n");
}

enum braid_status plot_compare(const struct planning *p, const char *path) {
  struct planning copy = *p;
  return gnuplot_draw("--plot", path, 1000, 900, put_script, &copy);
}
