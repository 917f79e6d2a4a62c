/* SPDX-License-Identifier: Apache-2.0
 * A bump allocator whose pieces live as long as the graph, and arrays that double. */
#include "graph.h"

#include <limits.h>
#include <stdalign.h>
#include <string.h>

enum { CHUNK_BYTES = 16 * 1024 };

struct arena_chunk {
  struct arena_chunk *next;
  size_t used, size;
  alignas(max_align_t) unsigned char bytes[];
};

static struct arena_chunk *chunk_with_room(struct arena *arena, size_t bytes) {
  struct arena_chunk *head = arena->head;
  if (head && head->size - head->used >= bytes) return head;
  size_t size = bytes > CHUNK_BYTES ? bytes : CHUNK_BYTES, total;
  if (!braid_add_size(size, sizeof(struct arena_chunk), &total)) return NULL;
  struct arena_chunk *chunk = braid_calloc(1, total);
  if (!chunk) return NULL;
  *chunk = (struct arena_chunk){.next = head, .size = size};
  arena->head = chunk;
  return chunk;
}

void *arena_alloc(struct arena *arena, size_t bytes) {
  const size_t align = alignof(max_align_t);
  if (bytes > SIZE_MAX - align) return NULL;
  bytes = (bytes + align - 1) / align * align;
  struct arena_chunk *chunk = chunk_with_room(arena, bytes);
  if (!chunk) return NULL;
  void *piece = chunk->bytes + chunk->used;
  chunk->used += bytes;
  return piece;
}

void arena_release(struct arena *arena) {
  while (arena->head) {
    struct arena_chunk *next = arena->head->next;
    braid_free(arena->head);
    arena->head = next;
  }
}

void *array_grown(void *array, int *capacity, int needed, size_t item_bytes) {
  if (needed <= *capacity) return array;
  if (needed > INT_MAX / 2) return NULL;
  int larger = *capacity < 8 ? 8 : *capacity;
  while (larger < needed) larger *= 2;
  size_t bytes;
  if (!braid_mul_size((size_t)larger, item_bytes, &bytes)) return NULL;
  void *moved = braid_realloc(array, bytes);
  if (moved) *capacity = larger;
  return moved;
}
