/* SPDX-License-Identifier: Apache-2.0
 * Happens-before among tasks, as bit sets: who is certain to have ended before whom begins, however many workers run.
 */
#ifndef RUNTIME_EXEC_ORDER_H
#define RUNTIME_EXEC_ORDER_H

#include "exec/set.h"
#include "exec/tasks.h"

/* A set of tasks is `words` 64-bit words. */
struct exec_order {
  int n_tasks;
  size_t words;
  uint64_t *before; /* [n_tasks][words] the ancestors of each task; NULL when there are too many tasks */
};

BRAID_NODISCARD enum braid_status exec_order_create(const struct exec_tasks *tasks, struct exec_order **out);
void exec_order_destroy(struct exec_order **order);

bool exec_set_within(const uint64_t *part, const uint64_t *whole, size_t words);
/* common = the tasks that are ancestors of every task in `writers` (none when that is empty). */
void exec_order_before_all(const struct exec_order *order, const uint64_t *writers, uint64_t *common);

#endif
