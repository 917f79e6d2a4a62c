/* SPDX-License-Identifier: Apache-2.0
 *
 * The kernels that stand on OpenBLAS. Convolution is shared with the files that have their own ISA flags: these bring
 * only the epilogue, everything else is the same code. */
#ifndef KERNELS_BLAS_H
#define KERNELS_BLAS_H

#include "kernel.h"

/* OpenBLAS to one thread, once in the life of the process, before the first call: parallelism is the executor's. */
void blas_ready(void);

/* What follows the matrix product on `n` neighbouring outputs of one channel: c = act(c + bias + residual);
 * residual may be NULL. */
typedef void conv_finish_fn(float *c, int n, float bias, const float *residual, const struct braid_act *act);

bool blas_conv_accepts(const struct braid_kernel_args *args);
size_t blas_conv_scratch_bytes(const struct braid_kernel_args *args, int rows);
void blas_conv_run(const struct braid_kernel_args *args, void *scratch, struct braid_band band, conv_finish_fn *finish);

#endif
