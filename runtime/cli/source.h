/* SPDX-License-Identifier: Apache-2.0
 * Where frames come from: pictures, directories of them, .npy files, standard input, or pseudo-random numbers. */
#ifndef BRAID_CLI_SOURCE_H
#define BRAID_CLI_SOURCE_H

#include "cli.h"

struct source;

/* `inputs`: "FILE" or "NAME=FILE" each; none: pseudo-random inputs, the same ones each time. `preprocess`: NULL to
 * guess (and log the guess). CLI_DONE, or CLI_BAD_INPUT / CLI_USAGE after saying why. Borrows the graph. */
int source_open(const struct braid_graph *graph, const struct cli_list *inputs, const char *preprocess,
                struct source **out);
void source_close(struct source **source);
int source_frames(const struct source *source); /* different ones; >= 1 */
/* Frame i (modulo source_frames) as one tensor a graph input; valid until the next call. CLI_DONE or CLI_BAD_INPUT. */
int source_load(struct source *source, int i, const struct braid_tensor **in, int *n_in);
/* "cat.jpg", "photos.npy[3]", "random" */
const char *source_name(const struct source *source, int i, char *buf, size_t size);

#endif
