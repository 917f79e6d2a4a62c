/* SPDX-License-Identifier: Apache-2.0 */
#include "gnuplot.h"
#include "grid_report.h"

#include <math.h>

/* The image needs every point (NaN where no cell was run), the numbers stand where there is one. */
static void put_points(FILE *out, const struct grid_summary *s, int k, bool all) {
  fprintf(out, "$%s%d << EOD\n", all ? "map" : "number", k);
  for (int i = 0; i < s->axes->mbit.n; i++)
    for (int j = 0; j < s->axes->ratio.n; j++)
      if (s->map[k][i][j].n > 0)
        fprintf(out, "%d %d %.6f\n", i, j, grid_mean(&s->map[k][i][j]));
      else if (all)
        fprintf(out, "%d %d NaN\n", i, j);
  fprintf(out, "EOD\n");
}

static void put_tics(FILE *out, char axis, const struct grid_axis *points) {
  fprintf(out, "set %ctics (", axis);
  for (int i = 0; i < points->n; i++) fprintf(out, "%s'%g' %d", i ? ", " : "", points->at[i], i);
  fprintf(out, ")\n");
}

/* The colours of each map span its own gains: those of throughput would drown those of latency. */
static double most_of(const struct grid_summary *s, int k) {
  double most = 1.01;
  for (int i = 0; i < s->axes->mbit.n; i++)
    for (int j = 0; j < s->axes->ratio.n; j++) most = fmax(most, grid_mean(&s->map[k][i][j]));
  return most;
}

static void put_script(void *ctx, FILE *out) {
  static const char *const title[] = {[BRAID_LATENCY] = "latency", [BRAID_THROUGHPUT] = "time between results"};
  const struct grid_report *r = ctx;
  const struct grid_axes *a = r->summary->axes;
  for (int k = 0; k < 2; k++)
    for (int all = 0; all < 2; all++) put_points(out, r->summary, k, all);
  fprintf(out,
          "set multiplot layout 2,1 title 'best of all other policies / braid, geometric mean of %lld cells'\n"
          "unset key\nset xlabel 'Mbit/s, both ways'\nset ylabel 'edge time / cloud time'\nset tics nomirror scale 0\n"
          "set palette defined (0 '#ffffff', 0.2 '#d7eef4', 0.6 '#6cb8cf', 1 '#1b6f8a')\n"
          "set xrange [-0.5:%g]\nset yrange [-0.5:%g]\n",
          (long long)r->summary->cells, a->mbit.n - 0.5, a->ratio.n - 0.5);
  put_tics(out, 'x', &a->mbit);
  put_tics(out, 'y', &a->ratio);
  for (int k = 0; k < 2; k++) {
    double most = most_of(r->summary, k);
    fprintf(out,
            "set title '%s'\nset cbrange [1:%.4f]\n"
            "plot $map%d with image pixels, $number%d using 1:2:(sprintf('%%.2f',$3)) with labels\n",
            title[k], most, k, k);
  }
  fprintf(out, "unset multiplot\n");
}

enum braid_status grid_report_draw(const struct grid_report *r, const char *path) {
  struct grid_report copy = *r;
  return gnuplot_draw("--picture", path, 900, 760, put_script, &copy);
}
