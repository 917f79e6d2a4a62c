/* SPDX-License-Identifier: Apache-2.0
 * Several frames in flight on one machine: throughput. */
#ifndef BRAID_CLI_INFLIGHT_H
#define BRAID_CLI_INFLIGHT_H

#include "source.h"

/* Runs `frames` frames of the source with at most `window` at once in a program that has so many arenas; *elapsed_ns
 * from the first begin to the last end. CLI_DONE or an exit status after saying why. */
int inflight_run(struct braid_program *program, const struct braid_graph *graph, struct source *source, int frames,
                 int window, int64_t *elapsed_ns);

#endif
