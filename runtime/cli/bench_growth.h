/* SPDX-License-Identifier: Apache-2.0
 * How long decisions take as graphs grow: grid_series_parallel networks of 10 to 10,000 nodes. */
#ifndef BRAID_CLI_BENCH_GROWTH_H
#define BRAID_CLI_BENCH_GROWTH_H

#include "bench_tables.h"

enum { GROWTH_STEPS = 8 };
struct growth {
  int steps, nodes[GROWTH_STEPS];
  int64_t decide_ns[GROWTH_STEPS][2][GRID_POLICIES_MAX]; /* by objective; -1: not asked; -2: no plan */
  struct table_times tables[GROWTH_STEPS];
};
/* Steps up to `largest` nodes; a policy that took long is not asked for more nodes. */
BRAID_NODISCARD enum braid_status growth_run(int largest, uint64_t seed, struct growth *out);
/* A row a policy, in us; NULL: no step was made. */
struct cli_table *growth_table(const struct growth *growth, enum braid_objective objective);
/* Tables looked up against decisions; NULL: no step was made. */
struct cli_table *growth_tables(const struct growth *growth);
json_t *growth_json(const struct growth *growth);

#endif
