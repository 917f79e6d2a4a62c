/* SPDX-License-Identifier: Apache-2.0
 * Ancestors of every task, by one sweep over the topological order: the union of its predecessors and theirs. */
#include "exec/order.h"

#include <string.h>

/* n^2 / 8 bytes while compiling: 32 MiB at this many tasks. Beyond, nothing is known to be ordered (and so no memory is
 * shared), which is safe. */
enum { MAX_TASKS = 16384 };

enum braid_status exec_order_create(const struct exec_tasks *tasks, struct exec_order **out) {
  struct exec_order *order = braid_calloc(1, sizeof *order);
  if (!order) return braid_fail(BRAID_ENOMEM, "no memory to order tasks");
  order->n_tasks = tasks->n_tasks;
  order->words = exec_set_words(tasks->n_tasks);
  if (tasks->n_tasks <= MAX_TASKS) {
    order->before = braid_calloc((size_t)tasks->n_tasks * order->words, sizeof *order->before);
    if (!order->before) {
      exec_order_destroy(&order);
      return braid_fail(BRAID_ENOMEM, "no memory to order %d tasks", tasks->n_tasks);
    }
    for (int i = 0; i < tasks->n_tasks; i++) {
      uint64_t *mine = order->before + (size_t)i * order->words;
      for (int e = 0; e < tasks->task[i].n_prev; e++) {
        int prev = tasks->prev[tasks->task[i].first_prev + e];
        const uint64_t *theirs = order->before + (size_t)prev * order->words;
        for (size_t w = 0; w <= (size_t)prev / 64; w++) mine[w] |= theirs[w];
        exec_set_add(mine, prev);
      }
    }
  }
  *out = order;
  return BRAID_OK;
}

void exec_order_destroy(struct exec_order **order) {
  if (!*order) return;
  braid_free((*order)->before);
  braid_free(*order);
  *order = NULL;
}

bool exec_set_within(const uint64_t *part, const uint64_t *whole, size_t words) {
  for (size_t w = 0; w < words; w++)
    if (part[w] & ~whole[w]) return false;
  return true;
}

void exec_order_before_all(const struct exec_order *order, const uint64_t *writers, uint64_t *common) {
  bool any = false;
  memset(common, 0, order->words * sizeof *common);
  for (int i = 0; order->before && i < order->n_tasks; i++) {
    if (!exec_set_has(writers, i)) continue;
    const uint64_t *before = order->before + (size_t)i * order->words;
    for (size_t w = 0; w < order->words; w++) common[w] = any ? common[w] & before[w] : before[w];
    any = true;
  }
}
