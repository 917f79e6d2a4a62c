/* SPDX-License-Identifier: Apache-2.0
 * Deciding at run time: tables built offline and looked up, against the minimum cut computed anew. */
#ifndef BRAID_CLI_BENCH_TABLES_H
#define BRAID_CLI_BENCH_TABLES_H

#include "cli.h"
#include "plan_grid.h"

/* Of one network. Nanoseconds; `find` is the mean of very many look-ups at rates all over the table (and, for cic,
 * loads), `dads` the median of some decisions from the costs on. */
struct table_times {
  bool built; /* false: no table for this network; the rest is 0 */
  int ranges, cic_cuts;
  double frames_per_s; /* of the simulator, with dads' plan and 4 frames in flight */
  double dads_ns, breakpoints_build_ns, breakpoints_find_ns, cic_build_ns, cic_find_ns;
};
BRAID_NODISCARD enum braid_status table_times_measure(const struct grid_net *net, struct table_times *out);
/* Mean time of a look-up, ns. */
double table_find_ns(const struct braid_breakpoints *breakpoints);
/* A column a network of `nodes`; NULL when there is none. */
struct cli_table *table_times_table(const struct table_times *times, const int *nodes, int n);
json_t *table_times_json(const struct table_times *times);

#endif
