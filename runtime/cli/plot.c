/* SPDX-License-Identifier: Apache-2.0
 * A script with the points in it is written to a temporary file and run by gnuplot as a child process: no plotting code
 * of our own, and none linked. */
#include "plot.h"

#include <errno.h>
#include <math.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

enum { POINTS = 24 };
static const double from_mbit = 1, to_mbit = 200;

static double rate_of(int i) {
  return from_mbit * pow(to_mbit / from_mbit, (double)i / (POINTS - 1));
}

/* ------------------------------------------------------------------------------------------------- script */

static const char *terminal_of(const char *path) {
  size_t n = strlen(path);
  if (n > 4 && strcmp(path + n - 4, ".svg") == 0)
    return "svg size 1000,900 dynamic enhanced font 'Helvetica,13' background '#ffffff'";
  if (n > 4 && strcmp(path + n - 4, ".png") == 0) return "pngcairo size 1000,900 enhanced font 'Helvetica,11'";
  return NULL;
}

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

static void put_text(FILE *out, const char *text) {
  for (; *text; text++) fputc(*text == '\'' || *text == '\n' ? ' ' : *text, out);
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

static void put_script(FILE *out, const struct planning *p, const char *path) {
  struct diagram diagram[2] = {{.objective = BRAID_LATENCY, .block = "$latency", .ylabel = "latency of one frame / ms"},
                               {.objective = BRAID_THROUGHPUT, .block = "$frames", .ylabel = "frames / s"}};
  put_data(out, p, diagram);
  fprintf(out, "set terminal %s\nset output '%s'\n", terminal_of(path), path);
  fprintf(out, "set multiplot layout 2,1 title '");
  put_text(out, braid_graph_name(p->graph));
  fprintf(out, ": latency and throughput by bandwidth%s' noenhanced\n", p->goal.private_input ? ", private input" : "");
  fprintf(out, "set logscale xy\nset xrange [%g:%g]\n", from_mbit, to_mbit);
  fprintf(out, "set grid xtics ytics mytics lt 1 lc rgb '#d0d0d0', lt 1 lc rgb '#ebebeb'\n");
  fprintf(out, "set xtics (1,2,5,10,20,50,100,200)\nset key outside right top noenhanced\n");
  fprintf(out, "set lmargin 11\nset rmargin 25\nset xlabel 'Mbit/s, both ways'\n");
  for (int k = 0; k < 2; k++) put_diagram(out, &diagram[k]);
  fprintf(out, "unset multiplot\n");
}

/* ------------------------------------------------------------------------------------------------ gnuplot */

static enum braid_status run_gnuplot(char *script) {
  char program[] = "gnuplot";
  char *const argv[] = {program, script, NULL};
  pid_t pid;
  int state = 0, error = posix_spawnp(&pid, program, NULL, NULL, argv, environ);
  if (error == ENOENT)
    return braid_fail(BRAID_ENOTFOUND, "--plot needs gnuplot, which is not installed (Debian: gnuplot-nox)");
  if (error) return braid_fail(BRAID_EIO, "cannot start gnuplot: %s", strerror(error));
  while (waitpid(pid, &state, 0) < 0 && errno == EINTR) continue;
  if (WIFEXITED(state) && WEXITSTATUS(state) == 127)
    return braid_fail(BRAID_ENOTFOUND, "--plot needs gnuplot, which is not installed (Debian: gnuplot-nox)");
  if (!WIFEXITED(state) || WEXITSTATUS(state) != 0) return braid_fail(BRAID_EIO, "gnuplot could not draw the plot");
  return BRAID_OK;
}

static enum braid_status write_script(int fd, const struct planning *p, const char *path) {
  FILE *out = fdopen(fd, "w");
  if (!out) {
    close(fd);
    return braid_fail(BRAID_EIO, "gnuplot's script: %s", strerror(errno));
  }
  put_script(out, p, path);
  bool good = !ferror(out);
  if (fclose(out) != 0) good = false;
  return good ? BRAID_OK : braid_fail(BRAID_EIO, "gnuplot's script: %s", strerror(errno));
}

enum braid_status plot_compare(const struct planning *p, const char *path) {
  const char *dir = getenv("TMPDIR");
  char script[1024];
  if (!terminal_of(path)) return braid_fail(BRAID_EINVAL, "--plot %s: the name must end in .svg or .png", path);
  if (strchr(path, '\'')) return braid_fail(BRAID_EINVAL, "--plot %s: no quotes in the name, please", path);
  snprintf(script, sizeof script, "%s/braid-plot-XXXXXX", dir && *dir ? dir : "/tmp");
  int fd = mkstemp(script);
  if (fd < 0) return braid_fail(BRAID_EIO, "%s: %s", script, strerror(errno));
  enum braid_status status = write_script(fd, p, path);
  if (status == BRAID_OK) status = run_gnuplot(script);
  unlink(script);
  return status;
}
