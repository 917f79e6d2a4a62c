/* SPDX-License-Identifier: Apache-2.0 */
#include "slab.h"

#include "braid/base.h"

#define BLOCK_BYTES 16384 /* the first; each further one is twice as large */

struct slab_block {
  struct slab_block *next;
  size_t size, used;
  max_align_t data[];
};

static struct slab_block *add_block(struct slab *slab, size_t bytes) {
  size_t size = slab->now ? 2 * slab->now->size : BLOCK_BYTES, total = 0;
  if (size < bytes) size = bytes;
  struct slab_block *block = braid_add_size(size, sizeof *block, &total) ? braid_malloc(total) : NULL;
  if (!block) return NULL;
  *block = (struct slab_block){.next = slab->now ? slab->now->next : NULL, .size = size};
  *(slab->now ? &slab->now->next : &slab->first) = block;
  return block;
}

void *slab_take(struct slab *slab, size_t count, size_t bytes) {
  size_t total = 0;
  if (!braid_mul_size(count, bytes, &total) || total > SIZE_MAX - sizeof(max_align_t)) return NULL;
  total = (total + sizeof(max_align_t) - 1) / sizeof(max_align_t) * sizeof(max_align_t);
  while (!slab->now || slab->now->size - slab->now->used < total) {
    struct slab_block *next = slab->now ? slab->now->next : NULL;
    if (!next || next->size < total) next = add_block(slab, total);
    if (!next) return NULL;
    slab->now = next;
  }
  void *p = (char *)slab->now->data + slab->now->used;
  slab->now->used += total;
  return p;
}

void slab_reset(struct slab *slab) {
  for (struct slab_block *block = slab->first; block; block = block->next) block->used = 0;
  slab->now = slab->first;
}

void slab_free(struct slab *slab) {
  while (slab->first) {
    struct slab_block *next = slab->first->next;
    braid_free(slab->first);
    slab->first = next;
  }
  slab->now = NULL;
}
