/* SPDX-License-Identifier: Apache-2.0
 *
 * Loop nests: a band of an output and up to three operands walked together, each with its own stride per dimension (0
 * where it is broadcast). Dimensions that all of them step through as one are merged, so that what remains inside is
 * the longest run a kernel can work on: the same three lines serve broadcasting, Concat, Transpose, Slice, Expand. */
#ifndef KERNELS_NEST_H
#define KERNELS_NEST_H

#include "kernel.h"

enum { NEST_OPERANDS = 4 };

struct nest {
  int n_operands; /* 1 + inputs; 0 is the output */
  int rank;
  int dim[BRAID_MAX_RANK];
  ptrdiff_t stride[NEST_OPERANDS][BRAID_MAX_RANK]; /* elements */
  ptrdiff_t base[NEST_OPERANDS];
  /* walk: */
  int i[BRAID_MAX_RANK];
  ptrdiff_t at[NEST_OPERANDS];
};

void dense_strides(const struct braid_shape *shape, ptrdiff_t stride[BRAID_MAX_RANK]);

/* The band `band` of a dense output. */
void nest_init(struct nest *nest, const struct braid_shape *out, struct braid_band band);
/* Adds an operand that is broadcast (as in numpy) to the output's shape. */
void nest_broadcast(struct nest *nest, const struct braid_shape *in, struct braid_band band);
/* Adds an operand at `base` + sum coordinate * stride, coordinates being those of the whole output. */
void nest_strided(struct nest *nest, const struct braid_shape *out, const ptrdiff_t *stride, ptrdiff_t base,
                  struct braid_band band);

/* Merges dimensions and goes to the first run; false when there is none (an empty tensor or band). */
bool nest_start(struct nest *nest);
/* On to the next run; false after the last. */
bool nest_next(struct nest *nest);

/* The innermost run: elements, and the step of each operand; the output's is always 1. */
static inline size_t nest_run(const struct nest *nest) { return (size_t)nest->dim[nest->rank - 1]; }
static inline ptrdiff_t nest_step(const struct nest *nest, int k) { return nest->stride[k][nest->rank - 1]; }

/* Copies operand 1 to operand 0 for the whole nest, elements of `bytes` (1, 2, 4 or 8). */
void nest_copy(struct nest *nest, void *dst, const void *src, size_t bytes);
/* The other way: from operand 0 to operand 1. */
void nest_copy_back(struct nest *nest, void *dst, const void *src, size_t bytes);

#endif
