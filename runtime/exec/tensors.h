/* SPDX-License-Identifier: Apache-2.0
 * Tensors to measure with: memory and pseudo-random values, equal for equal seeds. */
#ifndef RUNTIME_EXEC_TENSORS_H
#define RUNTIME_EXEC_TENSORS_H

#include "braid/models.h"

/* Gives a tensor of known type and shape its memory, which is the caller's (braid_free). float32 is in [-1,1), bytes are
 * any; what else there is are indices or flags, for which random bytes may mean anything: zero. */
BRAID_NODISCARD enum braid_status exec_tensor_make(struct braid_tensor *t, uint64_t seed);
/* *out [n]: one for each of the nodes, with their places as seeds. After a failure, too, exec_tensors_free is due. */
BRAID_NODISCARD enum braid_status exec_tensors_make(const struct braid_graph *graph, const int *ids, int n,
                                                    struct braid_tensor **out);
void exec_tensors_free(struct braid_tensor *tensor, int n); /* NULL: fine */

#endif
