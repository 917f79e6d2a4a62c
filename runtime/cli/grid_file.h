/* SPDX-License-Identifier: Apache-2.0
 * Results of the grid as text: a line of JSON a cell. Workers hand lines over, a results file is made of them after one
 * line that says under which settings. */
#ifndef BRAID_CLI_GRID_FILE_H
#define BRAID_CLI_GRID_FILE_H

#include "plan_grid.h"

#include <stdio.h>

#define GRID_LINE_MAX 4096 /* with its newline; so much goes through a pipe in one piece (PIPE_BUF) */

/* The networks by the names that lines call them by. */
struct grid_names {
  const char *const *name;
  int n;
};

/* Without a newline; false: longer than GRID_LINE_MAX (a bug of ours), or no memory. */
bool grid_line_write(const struct grid_result *result, const struct grid_names *names, char line[GRID_LINE_MAX]);
/* BRAID_EFORMAT, naming what is wrong. BRAID_ENOTFOUND: a network that `names` does not have. */
BRAID_NODISCARD enum braid_status grid_line_read(const char *line, const struct grid_names *names,
                                                 struct grid_result *out);

/* What becomes of a line. */
struct grid_sink {
  enum braid_status (*take)(void *ctx, const char *line);
  void *ctx;
};
/* Opens `path` for appending. A new file begins with `header`; an old one is only taken with `resume` and must begin
 * so, too: its lines are handed to the sink, half a line at its end (the writer was killed) is cut off. */
BRAID_NODISCARD enum braid_status grid_file_open(const char *path, bool resume, const char *header,
                                                 const struct grid_sink *sink, FILE **out);
/* Appends and flushes. */
BRAID_NODISCARD enum braid_status grid_file_put(FILE *file, const char *path, const char *line);

#endif
