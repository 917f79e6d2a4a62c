/* SPDX-License-Identifier: Apache-2.0
 *
 * Transpose of 4-byte elements where neither side is walked in memory order by the other: in square tiles over the
 * output's last dimension and the one along which the input is dense, so that each cache line is fetched once. */
#include "nest.h"

enum { TILE = 16 };

/* The output dimension that walks the input's last one. */
static int dense_dim(const struct braid_kernel_args *args) {
  int last = args->out.shape.rank - 1, d = last;
  while (d > 0 && args->attrs.transpose.perm[d] != last) d--;
  return d;
}

static void tile(uint32_t *y, ptrdiff_t y_step, const uint32_t *x, ptrdiff_t x_step, int rows, int cols) {
  for (int r = 0; r < rows; r++)
    for (int c = 0; c < cols; c++) y[r * y_step + c] = x[c * x_step + r];
}

/* y [rows, cols] with row step y_step; x [cols, rows] with row step x_step. */
static void plane(uint32_t *y, ptrdiff_t y_step, const uint32_t *x, ptrdiff_t x_step, int rows, int cols) {
  for (int r = 0; r < rows; r += TILE)
    for (int c = 0; c < cols; c += TILE)
      tile(y + r * y_step + c, y_step, x + c * x_step + r, x_step, rows - r < TILE ? rows - r : TILE,
           cols - c < TILE ? cols - c : TILE);
}

/* Walks all dimensions but the two of the plane with plain counters. */
static void run(const struct braid_kernel_args *args, const void *packed, void *scratch, struct braid_band band) {
  (void)packed, (void)scratch;
  const struct braid_shape *out = &args->out.shape;
  int last = out->rank - 1, dense = dense_dim(args), axis = braid_slice_axis(out);
  int begin[BRAID_MAX_RANK], end[BRAID_MAX_RANK], i[BRAID_MAX_RANK];
  ptrdiff_t y_stride[BRAID_MAX_RANK], in_stride[BRAID_MAX_RANK], x_stride[BRAID_MAX_RANK];
  dense_strides(out, y_stride);
  dense_strides(&args->in[0].shape, in_stride);
  for (int d = 0; d < out->rank; d++) {
    x_stride[d] = in_stride[args->attrs.transpose.perm[d]];
    begin[d] = i[d] = d == axis ? band.begin : 0;
    end[d] = d == axis ? band.end : out->dim[d];
    if (begin[d] >= end[d]) return;
  }
  for (int d = 0; d >= 0;) {
    ptrdiff_t x = 0, y = 0;
    for (int e = 0; e < out->rank; e++) {
      x += i[e] * x_stride[e];
      y += i[e] * y_stride[e];
    }
    plane((uint32_t *)args->out.data + y, y_stride[dense], (const uint32_t *)args->in[0].data + x, x_stride[last],
          end[dense] - begin[dense], end[last] - begin[last]);
    for (d = last - 1; d >= 0; d--) {
      if (d != dense && ++i[d] < end[d]) break;
      i[d] = begin[d];
    }
  }
}

static bool accepts(const struct braid_kernel_args *args) {
  int rank = args->out.shape.rank;
  return no_act(args) && rank >= 2 && args->attrs.transpose.perm[rank - 1] != rank - 1 &&
         braid_dtype_bytes(args->out.dtype) == 4 && args->in[0].dtype == args->out.dtype;
}

const struct braid_kernel kernels_portable_transpose[] = {
    {.name = "transpose_32bit__tiled",
     .op = BRAID_OP_TRANSPOSE,
     .needs = BRAID_CPU_BLAS,
     .sliceable = true,
     .accepts = accepts,
     .run = run},
    {0},
};
