/* SPDX-License-Identifier: Apache-2.0
 * Pictures: the graph through graphviz, the timeline by our own SVG writer. */
#ifndef BRAID_CLI_DRAW_H
#define BRAID_CLI_DRAW_H

#include "braid/runtime.h"

/* format: "svg" or "dot". With a plan nodes are outlined by site and crossing tensors carry their bytes. */
BRAID_NODISCARD enum braid_status draw_graph(const struct braid_graph *graph, const struct braid_plan *plan,
                                             const char *format, const char *path);

/* What the simulator expects of `frames` frames: resources are rows, tasks are boxes coloured by branch. */
BRAID_NODISCARD enum braid_status draw_timeline(const struct braid_graph *graph, const struct braid_plan *plan,
                                                const struct braid_costs *costs, int frames, const char *path);
/* The same as a Chrome trace. */
BRAID_NODISCARD enum braid_status draw_trace(const struct braid_graph *graph, const struct braid_plan *plan,
                                             const struct braid_costs *costs, int frames, const char *path);

/* "#rrggbb" of a branch number; 0 is neutral. */
const char *draw_colour(int branch);

#endif
