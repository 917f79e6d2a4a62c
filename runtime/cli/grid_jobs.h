/* SPDX-License-Identifier: Apache-2.0
 * The cells of a grid by several processes: workers are forks of this one, take the next cell from a shared counter and
 * write its line into one pipe. So a policy that crashes takes one worker with it and names its cell, and per-thread
 * state of libraries (GLPK) is nobody's worry. */
#ifndef BRAID_CLI_GRID_JOBS_H
#define BRAID_CLI_GRID_JOBS_H

#include "grid_file.h"

#define GRID_JOBS_MAX 64

struct grid_work {
  const struct grid_net *net;
  struct grid_names names;
  const struct grid_axes *axes;
  const int64_t *cell; /* [n] indices into the grid */
  int64_t n;
  int jobs; /* 1..GRID_JOBS_MAX */
  int asks; /* of grid_run */
};
/* Lines come to the sink in the order in which cells are done. After an interrupt (cli_interrupted) workers end with
 * the cell they are at. BRAID_EIO: a worker died, or cannot start; what came until then has been handed over. */
BRAID_NODISCARD enum braid_status grid_jobs_run(const struct grid_work *work, const struct grid_sink *sink);

#endif
