/* SPDX-License-Identifier: Apache-2.0
 *
 * Convolution: act(conv(x,w) + bias + residual), whose slices equal the whole bit for bit. Integers of 32 bits wrap
 * around, as those of a quantised network never do. */
#include "activation.h"
#include "kernel.h"

#define CONV_T float
#define CONV_SUM float
#define CONV_NAME(stem) stem##_f32
#include "conv_rows.inl"

#define CONV_T int32_t
#define CONV_SUM uint32_t
#define CONV_NAME(stem) stem##_i32
#include "conv_rows.inl"

static void run(const struct braid_kernel_args *args, const void *packed, void *scratch, struct braid_band band) {
  (void)packed, (void)scratch;
  struct runs r = runs_of(&args->out.shape, band);
  conv_rows_f32(args, band);
  for (size_t i = 0; i < r.count; i++) act_run_f32(&args->act, out_f32(args) + r.first + i * r.stride, r.n);
}

static void run_i32(const struct braid_kernel_args *args, const void *packed, void *scratch, struct braid_band band) {
  (void)packed, (void)scratch;
  conv_rows_i32(args, band);
}

static bool are_maps(const struct braid_kernel_args *args) {
  return args->in[0].shape.rank == 4 && args->out.shape.rank == 4;
}

static bool accepts(const struct braid_kernel_args *args) { return all_f32(args) && are_maps(args); }

static bool accepts_i32(const struct braid_kernel_args *args) {
  return args->out.dtype == BRAID_I32 && all_in_are(args, BRAID_I32) && are_maps(args) && no_act(args);
}

const struct braid_kernel kernels_ref_conv[] = {
    {.name = "conv2d_f32__ref", .op = BRAID_OP_CONV, .sliceable = true, .accepts = accepts, .run = run},
    {.name = "conv2d_i32__ref", .op = BRAID_OP_CONV, .sliceable = true, .accepts = accepts_i32, .run = run_i32},
    {0},
};
