/* SPDX-License-Identifier: Apache-2.0
 *
 * Convolution and Gemm whose weights are bfloat16: x is rounded to bfloat16 (to nearest, ties to even), then everything is
 * as in float32. Products of two bfloat16 are exact in float32, so results differ by the order of the sums alone. */
#include "scalar.h"

#include "kernel.h"

static void round_all(enum braid_dtype from, const void *data, size_t first, size_t n, float *to) {
  for (size_t i = first; i < first + n; i++) {
    uint16_t half;
    scalar_store(BRAID_BF16, &half, 0, scalar_load(from, data, i));
    to[i] = (float)scalar_double(scalar_load(BRAID_BF16, &half, 0));
  }
}

static size_t elements(const struct braid_tensor *t) { return (size_t)braid_shape_elements(&t->shape); }

/* The reference of the same operator in float32. */
static void run_f32(const struct braid_kernel *table, struct braid_kernel_args *args, struct braid_band band) {
  args->in[0].dtype = args->in[1].dtype = BRAID_F32;
  while (table->op != args->op || !table->accepts(args)) table++;
  table->run(args, NULL, NULL, band);
}

/* Rows of the input that rows `band` are made of. */
static struct braid_band rows_read(const struct braid_kernel_args *args, struct braid_band band) {
  const struct braid_conv_attrs *a = &args->attrs.conv;
  int rows = args->in[0].shape.dim[2];
  struct braid_band in = {band.begin * a->stride[0] - a->pad[0], (band.end - 1) * a->stride[0] - a->pad[0] +
                                                                     (a->kernel[0] - 1) * a->dilation[0] + 1};
  if (in.begin < 0) in.begin = 0;
  if (in.end > rows) in.end = rows;
  if (in.begin > in.end) in.begin = in.end;
  return in;
}

static void conv_run(const struct braid_kernel_args *args, const void *packed, void *scratch, struct braid_band band) {
  struct braid_kernel_args wide = *args;
  struct runs r = runs_of(&args->in[0].shape, rows_read(args, band));
  float *x = scratch, *w = x + elements(&args->in[0]);
  (void)packed;
  for (size_t i = 0; i < r.count; i++) round_all(BRAID_F32, args->in[0].data, r.first + i * r.stride, r.n, x);
  round_all(BRAID_BF16, args->in[1].data, 0, elements(&args->in[1]), w);
  wide.in[0].data = x;
  wide.in[1].data = w;
  run_f32(kernels_ref_conv, &wide, band);
}

static void gemm_run(const struct braid_kernel_args *args, const void *packed, void *scratch, struct braid_band band) {
  struct braid_kernel_args wide = *args;
  float *x = scratch, *w = x + elements(&args->in[0]);
  (void)packed;
  round_all(BRAID_F32, args->in[0].data, 0, elements(&args->in[0]), x);
  round_all(BRAID_BF16, args->in[1].data, 0, elements(&args->in[1]), w);
  wide.in[0].data = x;
  wide.in[1].data = w;
  run_f32(kernels_ref_gemm, &wide, band);
}

static size_t scratch_bytes(const struct braid_kernel_args *args, int rows) {
  (void)rows;
  return (elements(&args->in[0]) + elements(&args->in[1])) * sizeof(float);
}

static bool accepts_conv(const struct braid_kernel_args *args) {
  return bf16_weights(args) && args->in[0].shape.rank == 4 && args->out.shape.rank == 4;
}

static bool accepts_gemm(const struct braid_kernel_args *args) {
  return bf16_weights(args) && args->out.shape.rank == 2 && (!has_in(args, 2) || args->in[2].shape.rank <= 2);
}

const struct braid_kernel kernels_ref_bf16[] = {
    {.name = "conv2d_bf16__ref",
     .op = BRAID_OP_CONV,
     .sliceable = true,
     .accepts = accepts_conv,
     .scratch_bytes = scratch_bytes,
     .run = conv_run},
    {.name = "gemm_bf16__ref",
     .op = BRAID_OP_GEMM,
     .sliceable = true,
     .accepts = accepts_gemm,
     .scratch_bytes = scratch_bytes,
     .run = gemm_run},
    {0},
};
