/* SPDX-License-Identifier: Apache-2.0
 * The summary of a grid for people (text or Markdown), for programs (JSON), and as a picture. */
#ifndef BRAID_CLI_GRID_REPORT_H
#define BRAID_CLI_GRID_REPORT_H

#include "bench_growth.h"
#include "grid_file.h"
#include "grid_summary.h"

struct grid_report {
  const struct grid_summary *summary;
  const struct growth *growth;
  struct grid_names names;
  const char *const *path; /* [names.n] how the network is named on a command line */
  const char *settings;    /* "10 GFLOP/s" */
  int asks;                /* of grid_run */
  int64_t asked;           /* cells that should be there */
};
void grid_report_print(const struct grid_report *report, bool markdown, FILE *out);
json_t *grid_report_json(const struct grid_report *report);
/* Heat maps of the gain over the best other policy, rate x ratio, to a .svg or .png. */
BRAID_NODISCARD enum braid_status grid_report_draw(const struct grid_report *report, const char *path);

#endif
