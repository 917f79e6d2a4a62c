/* SPDX-License-Identifier: Apache-2.0
 * Where frames come from: pictures, directories of them, .npy files, standard input, or pseudo-random numbers. */
#ifndef BRAID_CLI_SOURCE_H
#define BRAID_CLI_SOURCE_H

#include "cli.h"

struct source;

/* What a video stream needs; NULL where streams are not taken. */
struct source_stream {
  const char *raw; /* "640x480:rgb24" for raw frames; NULL: only YUV4MPEG2 */
};
/* `inputs`: "FILE" or "NAME=FILE" each; none: pseudo-random inputs, the same ones each time. `preprocess`: NULL to
 * guess (and log the guess). CLI_DONE, or CLI_BAD_INPUT / CLI_USAGE after saying why. Borrows the graph. */
int source_open(const struct braid_graph *graph, const struct cli_list *inputs, const char *preprocess,
                const struct source_stream *stream, struct source **out);
void source_close(struct source **source);
int source_frames(const struct source *source);                         /* different ones; 0: a stream, nobody knows */
int source_inputs(const struct source *source);                         /* of the graph */
const struct braid_tensor *source_tensors(const struct source *source); /* their types and shapes */
/* Frame i (modulo source_frames; of a stream the next one) as one tensor a graph input; valid until the next call. *in
 * NULL: the stream has ended. CLI_DONE or CLI_BAD_INPUT. */
int source_load(struct source *source, int i, const struct braid_tensor **in, int *n_in);
/* "cat.jpg", "photos.npy[3]", "random" */
const char *source_name(const struct source *source, int i, char *buf, size_t size);

#endif
