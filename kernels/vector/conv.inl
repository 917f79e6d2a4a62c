/* SPDX-License-Identifier: Apache-2.0
 * The convolution of blas/conv.c with a vector epilogue. */
#include "../blas/blas.h"
#include "ending.inl"

static void finish(float *c, int n, float bias, const float *residual, const struct braid_act *act) {
  struct ending e = ending_of(act);
  end_line(&e, c, c, n, bias, residual);
}

static void run(const struct braid_kernel_args *args, const void *packed, void *scratch, struct braid_band band) {
  (void)packed;
  blas_conv_run(args, scratch, band, finish);
}

const struct braid_kernel ISA_TABLE(conv)[] = {
    {.name = "conv2d_f32__im2col_blas_" ISA_TEXT,
     .op = BRAID_OP_CONV,
     .needs = BRAID_CPU_BLAS | ISA_NEEDS,
     .sliceable = true,
     .accepts = blas_conv_accepts,
     .scratch_bytes = blas_conv_scratch_bytes,
     .run = run},
    {0},
};
