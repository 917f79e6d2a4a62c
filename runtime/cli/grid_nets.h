/* SPDX-License-Identifier: Apache-2.0
 * The networks of a grid: the zoo, files, folders of files. */
#ifndef BRAID_CLI_GRID_NETS_H
#define BRAID_CLI_GRID_NETS_H

#include "cli.h"
#include "plan_grid.h"

struct grid_nets {
  int n, room;
  struct grid_net *net;
  char **path; /* as on the command line */
  char **name; /* of a file: its folder's name and its own, "models/mnist8" */
};
struct grid_nets_opts {
  const char *const *model; /* [n_models] zoo names and files; none: the whole zoo */
  int n_models;
  const struct cli_list *folders; /* every .onnx in them comes after the models */
  const char *edge;               /* a profile, for a single model; NULL: 2 MACs / edge_gflops */
  double edge_gflops;
};
/* CLI_DONE or an exit status after saying why. Files of a folder that cannot be opened, and those that no policy can
 * tell from another network's (the same operators, shapes and MACs), are left out after a line on stderr. */
int grid_nets_open(const struct grid_nets_opts *opts, struct grid_nets *out);
void grid_nets_close(struct grid_nets *nets);

#endif
