/* SPDX-License-Identifier: Apache-2.0
 * Pad: constant, reflect, edge and wrap; negative pads cut. Any element type. */
#include "kernel.h"
#include "scalar.h"

/* Coordinate in an extent of n that position p (possibly outside) shows, or -1 for the constant. */
static int shown(int p, int n, enum braid_pad_mode mode) {
  if (p >= 0 && p < n) return p;
  if (mode == BRAID_PAD_CONSTANT || n == 0) return -1;
  if (mode == BRAID_PAD_EDGE) return p < 0 ? 0 : n - 1;
  if (n == 1) return 0;
  if (mode == BRAID_PAD_WRAP) return p % n < 0 ? p % n + n : p % n;
  int period = 2 * (n - 1), q = p % period; /* the mirror's image repeats */
  if (q < 0) q += period;
  return q < n ? q : period - q;
}

/* Input element that output element i shows, or -1. */
static int64_t source(const struct braid_kernel_args *args, size_t i) {
  const struct braid_shape *in = &args->in[0].shape, *out = &args->out.shape;
  const struct braid_pad_attrs *a = &args->attrs.pad;
  int64_t at = 0, step = 1;
  for (int d = out->rank - 1; d >= 0; d--) {
    int p = shown((int)(i % (size_t)out->dim[d]) - a->before[d], in->dim[d], a->mode);
    if (p < 0) return -1;
    at += p * step;
    step *= in->dim[d];
    i /= (size_t)out->dim[d];
  }
  return at;
}

static void run(const struct braid_kernel_args *args, const void *packed, void *scratch, struct braid_band band) {
  (void)packed, (void)scratch;
  size_t bytes = braid_dtype_bytes(args->out.dtype);
  uint64_t constant = 0;
  scalar_store(args->out.dtype, &constant, 0, (struct scalar){.kind = SCALAR_FLOAT, .f = args->attrs.pad.value});
  struct runs r = runs_of(&args->out.shape, band);
  for (size_t run = 0; run < r.count; run++)
    for (size_t i = r.first + run * r.stride, end = i + r.n; i < end; i++) {
      int64_t from = source(args, i);
      const char *element = from < 0 ? (const char *)&constant : (const char *)args->in[0].data + (size_t)from * bytes;
      memcpy((char *)args->out.data + i * bytes, element, bytes);
    }
}

static bool accepts(const struct braid_kernel_args *args) {
  return no_act(args) && args->in[0].dtype == args->out.dtype;
}

const struct braid_kernel kernels_ref_pad[] = {
    {.name = "pad__ref", .op = BRAID_OP_PAD, .sliceable = true, .accepts = accepts, .run = run},
    {0},
};
