/* SPDX-License-Identifier: Apache-2.0
 * The blocks of memory that arenas and scratch lie in, as programs take them and give them back. */
#ifndef RUNTIME_EXEC_ARENAS_H
#define RUNTIME_EXEC_ARENAS_H

#include "braid/runtime.h"

struct exec_block {
  char *data;   /* aligned like braid_alloc_aligned; every page of it is there */
  size_t bytes; /* of data: what was asked for, or a little more */
  struct exec_block *next;
};

/* A user more; braid_arenas_destroy takes it back. */
struct braid_arenas *exec_arenas_join(struct braid_arenas *arenas);

/* A block of at least that size, with whatever its last user has left in it. One that lies idle, where it fits; else
 * it is made, and every page touched, so that no frame meets the page faults. Any thread; no lock is held meanwhile. */
BRAID_NODISCARD enum braid_status exec_arenas_take(struct braid_arenas *arenas, size_t bytes, struct exec_block **out);
void exec_arenas_give(struct braid_arenas *arenas, struct exec_block *block); /* NULL: fine */

#endif
