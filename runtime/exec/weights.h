/* SPDX-License-Identifier: Apache-2.0
 * Packed weights, shared by the programs of a pool: every plan of a network (epochs, parts of a mix, edge only, the
 * twin of the cloud's half) computes with the same constants. */
#ifndef RUNTIME_EXEC_WEIGHTS_H
#define RUNTIME_EXEC_WEIGHTS_H

#include <pthread.h>

#include "braid/kernels.h"
#include "braid/models.h"
#include "exec/parts.h"

struct exec_packed;

enum { EXEC_WEIGHTS_BUCKETS = 512 };

struct exec_weights {
  pthread_mutex_t mutex; /* guards the rest; held while packing */
  struct exec_packed *bucket[EXEC_WEIGHTS_BUCKETS];
  size_t bytes; /* of what is held, each once */
};

void exec_weights_init(struct exec_weights *weights);
void exec_weights_fini(struct exec_weights *weights); /* everything released */

/* The constants of a part of node `id`, packed as `kernel` wants them; from exec_weights_release on no longer the
 * caller's. `args` is what exec_bind_node and exec_parts_narrow make of them. NULL for a kernel that packs nothing here.
 * Any thread. The graph outlives what is taken. */
BRAID_NODISCARD enum braid_status exec_weights_take(struct exec_weights *weights, const struct braid_graph *graph,
                                                    int id, struct exec_part part,
                                                    const struct braid_kernel *kernel,
                                                    const struct braid_kernel_args *args, struct exec_packed **out);
void exec_weights_release(struct exec_weights *weights, struct exec_packed *packed); /* NULL: fine */
size_t exec_weights_bytes(struct exec_weights *weights);

/* Constant while taken; NULL of NULL. */
const void *exec_packed_data(const struct exec_packed *packed);

#endif
