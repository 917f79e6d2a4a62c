/* SPDX-License-Identifier: Apache-2.0
 *
 * Upsampling to the nearest pixel by whole factors in H and W, as feature pyramids do (asymmetric coordinates rounded
 * down, or half-pixel ones rounded to nearest: both show pixel floor(o / factor)). One row is widened, its repeats are
 * copies of it. 4-byte elements. */
#include "kernel.h"

#include <math.h>

static void widen_row(uint32_t *y, const uint32_t *x, int n, int factor) {
  if (factor == 1)
    memcpy(y, x, (size_t)n * sizeof *y);
  else if (factor == 2)
    for (int i = 0; i < n; i++) y[2 * i] = y[2 * i + 1] = x[i];
  else
    for (int i = 0; i < n; i++)
      for (int k = 0; k < factor; k++) y[i * factor + k] = x[i];
}

static void run(const struct braid_kernel_args *args, const void *packed, void *scratch, struct braid_band band) {
  (void)packed, (void)scratch;
  struct image in = image_of(&args->in[0].shape), out = image_of(&args->out.shape);
  int fh = out.h / in.h, fw = out.w / in.w;
  const uint32_t *x = args->in[0].data;
  uint32_t *y = args->out.data;
  for (size_t plane = 0; plane < (size_t)out.n * out.c; plane++)
    for (int oh = band.begin; oh < band.end; oh++) {
      uint32_t *row = y + (plane * out.h + oh) * out.w;
      if (oh > band.begin && oh % fh != 0)
        memcpy(row, row - out.w, (size_t)out.w * sizeof *row);
      else
        widen_row(row, x + (plane * in.h + oh / fh) * in.w, in.w, fw);
    }
}

static bool floors(const struct braid_resize_attrs *a) {
  if (a->coord == BRAID_COORD_ASYMMETRIC) return a->nearest == BRAID_NEAREST_FLOOR;
  return a->coord == BRAID_COORD_HALF_PIXEL &&
         (a->nearest == BRAID_NEAREST_ROUND_PREFER_FLOOR || a->nearest == BRAID_NEAREST_ROUND_PREFER_CEIL);
}

static bool whole_factor(const struct braid_resize_attrs *a, int d, int n_in, int n_out) {
  return n_in > 0 && n_out % n_in == 0 && a->scale[d] == (float)(n_out / n_in);
}

static bool accepts(const struct braid_kernel_args *args) {
  const struct braid_resize_attrs *a = &args->attrs.resize;
  if (a->mode != BRAID_RESIZE_NEAREST || !floors(a) || !no_act(args)) return false;
  if (args->in[0].dtype != args->out.dtype || braid_dtype_bytes(args->out.dtype) != 4) return false;
  if (args->in[0].shape.rank != 4 || args->out.shape.rank != 4) return false;
  struct image in = image_of(&args->in[0].shape), out = image_of(&args->out.shape);
  return in.n == out.n && in.c == out.c && a->scale[0] == 1.0f && a->scale[1] == 1.0f &&
         whole_factor(a, 2, in.h, out.h) && whole_factor(a, 3, in.w, out.w);
}

const struct braid_kernel kernels_portable_resize[] = {
    {.name = "resize_nearest_32bit__rows",
     .op = BRAID_OP_RESIZE,
     .needs = BRAID_CPU_BLAS,
     .sliceable = true,
     .accepts = accepts,
     .run = run},
    {0},
};
