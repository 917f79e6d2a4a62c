/* SPDX-License-Identifier: Apache-2.0
 * Memory for a graph's outputs, and their way into .npy files. */
#ifndef BRAID_CLI_OUTPUTS_H
#define BRAID_CLI_OUTPUTS_H

#include "cli.h"

/* One frame's outputs, in the graph's order. */
struct outputs {
  const struct braid_graph *graph;
  int n;
  struct braid_tensor *tensor;
};
BRAID_NODISCARD enum braid_status outputs_create(const struct braid_graph *graph, struct outputs *out);
void outputs_free(struct outputs *outputs);

/* `frames` frames' outputs, one after the other along the first dimension. */
struct stack {
  struct outputs all;
  int frames;
};
BRAID_NODISCARD enum braid_status stack_create(const struct braid_graph *graph, int frames, struct stack *out);
void stack_put(struct stack *stack, int frame, const struct braid_tensor *outputs);
void stack_free(struct stack *stack);

/* Puts the output's number for {i} and its name for {name}; slashes in names become underscores. BRAID_EINVAL when
 * several outputs would go to one file. */
BRAID_NODISCARD enum braid_status outputs_path(const char *pattern, const struct braid_graph *graph, int i, char *buf,
                                               size_t size);
BRAID_NODISCARD enum braid_status outputs_write(const struct outputs *outputs, const char *pattern);

#endif
