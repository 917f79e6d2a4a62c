/* SPDX-License-Identifier: Apache-2.0
 * Which tasks read and write the memory of which tensor. Shared by the memory planner and its check. */
#ifndef RUNTIME_EXEC_TOUCH_H
#define RUNTIME_EXEC_TOUCH_H

#include "exec/memory.h"
#include "exec/order.h"

/* Where a tensor lies: `offset` bytes into some base. The planner's bases are buffers, the check's the arena. */
struct exec_place {
  int base;
  size_t offset;
};

struct exec_touch {
  size_t words;
  uint64_t *any, *write; /* [n_nodes][words]: tasks that read or write / that write the node's tensor */
};

/* Byte offset of operand k within the output of a contiguous Concat. */
size_t exec_concat_offset(const struct braid_graph *graph, int id, int k);
bool exec_same_place(const struct exec_place *place, int a, size_t a_offset, int b);

BRAID_NODISCARD enum braid_status exec_touch_create(const struct exec_memory_opts *opts, const bool *view,
                                                    const struct exec_place *place, struct exec_touch **out);
void exec_touch_destroy(struct exec_touch **touch);

/* May `id` write over its operand k, as far as its kernel goes: it computes element by element from that operand, and
 * nothing else that it reads lies in the same memory. */
bool exec_overwrites(const struct exec_memory_opts *opts, const struct exec_place *place, int id, int k);
/* Adds every task of a node to a set. */
void exec_set_add_node(uint64_t *set, const struct exec_tasks *tasks, int id);
/* Do tasks of `common` wait for every row of the received tensor? */
bool exec_rows_awaited(const struct exec_tasks *tasks, int id, const uint64_t *common);

#endif
