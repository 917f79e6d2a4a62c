/* SPDX-License-Identifier: Apache-2.0
 * Random cases for every operator: odd shapes, attributes, operands and an output to compute, all from one seed. */
#ifndef TESTS_KERNELS_CASES_H
#define TESTS_KERNELS_CASES_H

#include "braid/kernels.h"

struct kernel_case {
  uint64_t seed, drawn;          /* random numbers drawn so far */
  struct braid_kernel_args args; /* out.data is NULL: the one who runs it brings the memory */
  bool exact;                    /* small integers: every order of summation gives the same */
  int terms;                     /* products or summands in one output element, for the error bound */
};

/* A case of `op`; operands are allocated exactly, so that ASan sees any read beyond them. */
void case_make(enum braid_op op, uint64_t seed, struct kernel_case *c);
void case_free(struct kernel_case *c);
int case_int(struct kernel_case *c, int low, int high); /* uniform in [low,high] */
/* "Conv 1x3x8x8 1x.. -> 1x4x8x8" */
const char *case_text(const struct kernel_case *c, char *buf, size_t size);
size_t case_out_bytes(const struct kernel_case *c);

#endif
