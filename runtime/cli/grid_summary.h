/* SPDX-License-Identifier: Apache-2.0
 * What the results of a grid say, cell by cell as they come. "Others" are the baselines and the literature; decc (our
 * reconstruction) and exact (the oracle) are held to "never worse" as well, but braid's gain is stated against the
 * others. braid's value is that of its own choice of slices; every other's is the better of its two plans. */
#ifndef BRAID_CLI_GRID_SUMMARY_H
#define BRAID_CLI_GRID_SUMMARY_H

#include "plan_grid.h"

struct grid_extreme {
  double ratio;
  struct grid_cell cell;
};
/* value(other) / value(braid), over the cells where both have a plan. */
struct grid_comparison {
  int64_t n;
  double log_sum;
  struct grid_extreme best, worst;
};
double grid_mean(const struct grid_comparison *comparison); /* geometric */

struct grid_group {
  int64_t cells, found, lost; /* found: braid has a plan */
  double gap_sum;             /* value / bound - 1, over the found */
  struct grid_comparison others, dads;
};
struct grid_tally {     /* of a policy; over_best: value / the least of all */
  int64_t found, leads; /* leads: nobody is better */
  double log_over_best, worst_over_best, gap_sum;
  double *decide_us; /* [found], room for more */
};
struct grid_lost {
  struct grid_cell cell;
  int policy;   /* the one that beats braid most; -1: `text` says what is wrong */
  double ratio; /* braid / policy; HUGE_VAL: braid has no plan */
  char *text;
};

struct grid_summary {
  const struct grid_axes *axes;
  int n_nets, n_policies, subject, dads;
  int64_t cells, n_lost, n_wrong;
  struct grid_group all[2], by_private[2][2];                      /* [objective], [objective][private] */
  struct grid_group *by_net;                                       /* [n_nets][objective] */
  struct grid_comparison map[2][GRID_POINTS_MAX][GRID_POINTS_MAX]; /* [objective][rate][ratio]: others */
  struct grid_tally tally[2][GRID_POLICIES_MAX];
  struct grid_lost *lost, *wrong; /* [n_lost], [n_wrong] */
};
BRAID_NODISCARD enum braid_status grid_summary_create(const struct grid_axes *axes, int n_nets,
                                                      struct grid_summary **out);
BRAID_NODISCARD enum braid_status grid_summary_add(struct grid_summary *summary, const struct grid_result *result);
void grid_summary_destroy(struct grid_summary **summary);

#endif
