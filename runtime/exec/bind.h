/* SPDX-License-Identifier: Apache-2.0
 * Node -> kernel call: the one place that knows how a graph's node becomes the arguments of a kernel. */
#ifndef RUNTIME_EXEC_BIND_H
#define RUNTIME_EXEC_BIND_H

#include "braid/kernels.h"
#include "braid/models.h"

/* Everything but the memory of activations: their data is NULL, constants have theirs. BRAID_EUNSUPPORTED when the node
 * has more operands than kernels take. */
BRAID_NODISCARD enum braid_status exec_bind_node(const struct braid_graph *graph, int id,
                                                 struct braid_kernel_args *args);
/* The preferred kernel; for more than one slice the preferred one that computes bands of that size, or any bands, if
 * there is one at all. NULL: none. */
const struct braid_kernel *exec_find_kernel(const struct braid_kernel_args *args, uint32_t flags, int slices);
/* The same with an error that names the node. */
BRAID_NODISCARD enum braid_status exec_choose_kernel(const struct braid_graph *graph, int id,
                                                     const struct braid_kernel_args *args, uint32_t flags, int slices,
                                                     const struct braid_kernel **out);

size_t exec_packed_bytes(const struct braid_kernel *kernel, const struct braid_kernel_args *args);
size_t exec_scratch_bytes(const struct braid_kernel *kernel, const struct braid_kernel_args *args, int rows);

/* All of args->out, in so many bands where the kernel computes bands, on this thread, with memory of its own for packed
 * weights and scratch. */
BRAID_NODISCARD enum braid_status exec_compute(const struct braid_kernel *kernel, const struct braid_kernel_args *args,
                                               int slices);
/* One operator on tensors in memory, whole output, by the reference kernels. For constants at import and for tests. */
BRAID_NODISCARD enum braid_status exec_evaluate(const struct braid_kernel_args *args);

/* Copies rows `band` from one dense tensor to another of the same shape and type. */
void exec_copy_rows(const struct braid_tensor *from, const struct braid_tensor *to, struct braid_band band);

/* A Concat whose operands lie one after the other in the output's memory: every dimension before the axis is 1. */
bool exec_concat_is_contiguous(const struct braid_node *node);
/* Runs such a Concat for rows `band`, leaving alone the operands that were written in place. */
void exec_join_rows(const struct braid_kernel_args *args, struct braid_band band);

#endif
