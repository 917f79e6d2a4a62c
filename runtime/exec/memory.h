/* SPDX-License-Identifier: Apache-2.0
 *
 * The memory plan of one site: where in a frame's arena each tensor lies. */
#ifndef RUNTIME_EXEC_MEMORY_H
#define RUNTIME_EXEC_MEMORY_H

#include "exec/tasks.h"

#define EXEC_NOWHERE SIZE_MAX

struct exec_memory {
  int n_nodes;
  size_t *offset; /* [n_nodes] EXEC_NOWHERE for tensors that are neither computed nor received here */
  bool *view;     /* [n_nodes] RESHAPE over its operand, or Concat that its operands are written straight into (those
                     that could not be are copied by exec_join_rows): no kernel runs */
  size_t arena_bytes;
  size_t bound_bytes; /* largest set of tensors that may be live at once, in any order that the tasks may run in */
};

struct exec_memory_opts {
  const struct braid_graph *graph;
  const struct exec_tasks *tasks;
  const uint32_t *in_place; /* [n_nodes] bit k: the node's kernel may write over its operand k */
};

BRAID_NODISCARD enum braid_status exec_memory_create(const struct exec_memory_opts *opts, struct exec_memory **out);
void exec_memory_destroy(struct exec_memory **memory);
/* Proves from the offsets alone that no task can write what another still reads or has yet to read. */
BRAID_NODISCARD enum braid_status exec_memory_check(const struct exec_memory_opts *opts,
                                                    const struct exec_memory *memory);

#endif
