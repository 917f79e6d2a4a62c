/* SPDX-License-Identifier: Apache-2.0
 * A binary min-heap in memory the caller sized once: nothing is allocated per push. */
#ifndef SCHEDULER_HEAP_H
#define SCHEDULER_HEAP_H

#include <stdint.h>

struct heap_item {
  int64_t key, value; /* ordered by key, then value: equal keys come out in a fixed order */
};
struct heap {
  struct heap_item *item;
  int n;
};

static inline int heap_before(struct heap_item a, struct heap_item b) {
  return a.key != b.key ? a.key < b.key : a.value < b.value;
}

static inline void heap_push(struct heap *heap, int64_t key, int64_t value) {
  struct heap_item item = {key, value};
  int at = heap->n++;
  for (int up; at > 0 && heap_before(item, heap->item[up = (at - 1) / 2]); at = up) heap->item[at] = heap->item[up];
  heap->item[at] = item;
}

static inline struct heap_item heap_pop(struct heap *heap) {
  struct heap_item top = heap->item[0], last = heap->item[--heap->n];
  int at = 0;
  for (int down; (down = 2 * at + 1) < heap->n; at = down) {
    if (down + 1 < heap->n && heap_before(heap->item[down + 1], heap->item[down])) down++;
    if (!heap_before(heap->item[down], last)) break;
    heap->item[at] = heap->item[down];
  }
  heap->item[at] = last;
  return top;
}

#endif
