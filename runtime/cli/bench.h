/* SPDX-License-Identifier: Apache-2.0
 * The benchmarks of `braid bench`, one file each. */
#ifndef BRAID_CLI_BENCH_H
#define BRAID_CLI_BENCH_H

#include "cli.h"

struct bench_options {
  const char *edge, *rates, *ratios, *loads, *rtts, *private_input, *objective, *slices, *results, *report, *picture,
      *peers, *peer_dir, *precision, *shapes, *net;
  struct cli_list models, traces; /* folders; of traces files, too */
  double edge_gflops, fps, bridge;
  int cells, seed, largest, jobs, frames, rounds, threads, changes;
  bool quick, resume, real, epochs, list, json;
};

/* An exit status. */
int bench_forecast(const struct bench_options *options, char **models, int n_models);
int bench_pipeline(const struct bench_options *options, char **models, int n_models);
int bench_real_traces(const struct bench_options *options, char **models, int n_models);
int bench_real(const struct bench_options *options, char **models, int n_models); /* pipeline --real */
int bench_epochs(const struct bench_options *options, char **models, int n_models); /* pipeline --epochs */
int bench_plan(const struct bench_options *options, char **models, int n_models);
int bench_kernels(const struct bench_options *options, char **layers, int n_layers);
int bench_model(const struct bench_options *options, char **models, int n_models);
int bench_link(const struct bench_options *options, char **args, int n_args);

#endif
