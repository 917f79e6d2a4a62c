/* SPDX-License-Identifier: Apache-2.0
 * Memory that is handed out piece by piece and taken back all at once. After slab_reset it is handed out again, so that
 * a thousand simulations allocate as much as the largest of them. */
#ifndef SCHEDULER_SLAB_H
#define SCHEDULER_SLAB_H

#include <stddef.h>

struct slab_block;
struct slab { /* starts as zeros */
  struct slab_block *first, *now;
};

/* count * bytes, not zeroed, aligned for anything; NULL: no memory. */
void *slab_take(struct slab *slab, size_t count, size_t bytes);
void slab_reset(struct slab *slab);
void slab_free(struct slab *slab);

#endif
