/* SPDX-License-Identifier: Apache-2.0
 * Buffers of known sizes into one arena, and how small the arena can be at best. Pure: no graph, no tasks. */
#ifndef RUNTIME_EXEC_OFFSETS_H
#define RUNTIME_EXEC_OFFSETS_H

#include "braid/base.h"
#include "exec/set.h"

enum { EXEC_ALIGNMENT = 64, EXEC_BOUND_MAX = 1024 };

struct exec_buffers {
  int n;
  size_t words;     /* of a set of buffers */
  size_t *bytes;    /* [n] */
  uint64_t *before; /* [n][words] set i holds j: i is over before j begins. A strict partial order; buffers of which
                       neither is before the other may be in use at once, and must not overlap */
};

BRAID_NODISCARD enum braid_status exec_buffers_create(int n, struct exec_buffers **out);
void exec_buffers_destroy(struct exec_buffers **buffers);
void exec_buffers_order(struct exec_buffers *buffers, int first, int then);

/* The largest sum of bytes of buffers that may all be in use at once: no arena can be smaller. For at most
 * EXEC_BOUND_MAX buffers (the search keeps a table of all pairs: 8 MiB). */
BRAID_NODISCARD enum braid_status exec_buffers_bound(const struct exec_buffers *buffers, size_t *bytes);

/* offset [n]: a place for every buffer, aligned to EXEC_ALIGNMENT. Stops looking for better ones at `enough` bytes.
 * Equal input, equal places. */
BRAID_NODISCARD enum braid_status exec_buffers_place(const struct exec_buffers *buffers, size_t enough, size_t *offset,
                                                     size_t *arena_bytes);

#endif
