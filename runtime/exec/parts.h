/* SPDX-License-Identifier: Apache-2.0
 * Slices by output channel. A convolution whose map is small is better cut there than by rows: each worker reads its
 * share of the weights, and the whole, small input, and rows of a small map fill vectors badly. A depthwise convolution's
 * parts read their own inputs only. A slice is the same convolution with fewer outputs: a kernel does not know of it. */
#ifndef RUNTIME_EXEC_PARTS_H
#define RUNTIME_EXEC_PARTS_H

#include "braid/kernels.h"
#include "braid/models.h"

/* One of n slices by channel. */
struct exec_part {
  int index, n; /* n <= 1: the whole */
};

/* Can the node be computed in so many? `in`: the shape of what it reads. */
bool exec_parts_possible(const struct braid_node *node, const struct braid_shape *in, int n);
/* Is that better than as many slices of rows? */
bool exec_parts_pay(const struct braid_node *node, const struct braid_shape *in, int n);
/* The arguments of the whole become those of a part: weights, bias, residual, output and, where it is depthwise, input
 * are narrowed to its channels, as shapes and, where data is bound, as addresses. */
void exec_parts_narrow(struct braid_kernel_args *args, struct exec_part part);

#endif
