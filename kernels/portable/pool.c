/* SPDX-License-Identifier: Apache-2.0
 *
 * The largest byte of windows: over the rows of a window first, whole rows of the input at a time, which compilers turn
 * into vector code, then over its columns. */
#include "kernel.h"

#define BYTES(X) X(u8, uint8_t, 0) X(i8, int8_t, INT8_MIN)

#define X(tag, T, least)                                                                                               \
  static void max_of_rows_##tag(const struct braid_pool_attrs *a, struct image in, const T *plane, int first,          \
                                  T *restrict line) {                                                                  \
    for (int i = 0; i < in.w; i++) line[i] = least;                                                                    \
    for (int kh = 0; kh < a->kernel[0]; kh++) {                                                                        \
      int ih = first + kh * a->dilation[0];                                                                            \
      const T *restrict row = plane + (ptrdiff_t)ih * in.w;                                                            \
      if (ih < 0 || ih >= in.h) continue;                                                                              \
      for (int i = 0; i < in.w; i++) line[i] = row[i] > line[i] ? row[i] : line[i];                                    \
    }                                                                                                                  \
  }                                                                                                                    \
  static void max_of_columns_##tag(const struct braid_pool_attrs *a, int in_w, const T *restrict line, T *restrict y,   \
                                     int out_w) {                                                                      \
    for (int ow = 0; ow < out_w; ow++) y[ow] = least;                                                                  \
    for (int kw = 0; kw < a->kernel[1]; kw++) {                                                                        \
      int offset = kw * a->dilation[1] - a->pad[1], stride = a->stride[1];                                             \
      struct taps t = taps_inside(in_w, stride, offset, out_w);                                                        \
      if (stride == 1)                                                                                                 \
        for (int ow = t.lo; ow < t.hi; ow++) y[ow] = line[ow + offset] > y[ow] ? line[ow + offset] : y[ow];            \
      else if (stride == 2)                                                                                            \
        for (int ow = t.lo; ow < t.hi; ow++) y[ow] = line[ow * 2 + offset] > y[ow] ? line[ow * 2 + offset] : y[ow];    \
      else                                                                                                             \
        for (int ow = t.lo; ow < t.hi; ow++) {                                                                         \
          T x = line[(ptrdiff_t)ow * stride + offset];                                                                 \
          y[ow] = x > y[ow] ? x : y[ow];                                                                               \
        }                                                                                                              \
    }                                                                                                                  \
  }                                                                                                                    \
  static void pool_##tag(const struct braid_kernel_args *args, void *scratch, struct braid_band band) {                \
    const struct braid_pool_attrs *a = &args->attrs.pool;                                                              \
    struct image in = image_of(&args->in[0].shape), out = image_of(&args->out.shape);                                  \
    for (size_t plane = 0; plane < (size_t)out.n * out.c; plane++)                                                     \
      for (int oh = band.begin; oh < band.end; oh++) {                                                                 \
        const T *from = (const T *)args->in[0].data + plane * in.h * in.w;                                             \
        max_of_rows_##tag(a, in, from, oh * a->stride[0] - a->pad[0], scratch);                                        \
        max_of_columns_##tag(a, in.w, scratch, (T *)args->out.data + (plane * out.h + oh) * out.w, out.w);             \
      }                                                                                                                \
  }
BYTES(X)
#undef X

static void run(const struct braid_kernel_args *args, const void *packed, void *scratch, struct braid_band band) {
  (void)packed;
  args->out.dtype == BRAID_U8 ? pool_u8(args, scratch, band) : pool_i8(args, scratch, band);
}

static size_t scratch_bytes(const struct braid_kernel_args *args, int rows) {
  (void)rows;
  return (size_t)args->in[0].shape.dim[3];
}

static bool accepts(const struct braid_kernel_args *args) {
  enum braid_dtype dtype = args->out.dtype;
  return (dtype == BRAID_U8 || dtype == BRAID_I8) && args->in[0].dtype == dtype && no_act(args) &&
         args->in[0].shape.rank == 4 && args->out.shape.rank == 4;
}

const struct braid_kernel kernels_portable_pool[] = {
    {.name = "max_pool_bytes__rows",
     .op = BRAID_OP_MAX_POOL,
     .needs = BRAID_CPU_BLAS,
     .sliceable = true,
     .accepts = accepts,
     .scratch_bytes = scratch_bytes,
     .run = run},
    {0},
};
