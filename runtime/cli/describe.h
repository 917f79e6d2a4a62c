/* SPDX-License-Identifier: Apache-2.0
 * A graph and its memory as JSON and as words. */
#ifndef BRAID_CLI_DESCRIBE_H
#define BRAID_CLI_DESCRIBE_H

#include "cli.h"

int describe_branches(const struct braid_graph *graph); /* listed ones, nested ones included */
/* "uint8 1x3x224x224", or "4 x uint8 1x3x224x224" */
const char *describe_inputs(const struct braid_graph *graph, char *buf, size_t size);
json_t *describe_inputs_json(const struct braid_graph *graph);  /* [{name,dtype,shape}] */
json_t *describe_outputs_json(const struct braid_graph *graph); /* the same */
json_t *describe_nodes_json(const struct braid_graph *graph);
json_t *describe_blocks_json(const struct braid_graph *graph);
/* Joints whose tensor is smaller than the input as it travels: [{id,ratio}]. */
json_t *describe_bottlenecks_json(const struct braid_graph *graph);
/* A line: the arena of a frame beside the least that any could have, what is shared by all frames. */
void describe_memory(const struct braid_program_info *info, FILE *out);

#endif
