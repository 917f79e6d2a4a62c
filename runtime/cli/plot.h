/* SPDX-License-Identifier: Apache-2.0
 * `braid compare --plot`: latency and throughput of every policy against the bandwidth, drawn by gnuplot. */
#ifndef BRAID_CLI_PLOT_H
#define BRAID_CLI_PLOT_H

#include "planning.h"

/* 1 to 200 Mbit/s up and down, everything else as `planning` says. `path` ends in .svg or .png. BRAID_ENOTFOUND: there
 * is no gnuplot. */
BRAID_NODISCARD enum braid_status plot_compare(const struct planning *planning, const char *path);

#endif
