/* SPDX-License-Identifier: Apache-2.0
 *
 * Convolution: act(conv(x,w) + bias + residual). One output row at a time; each element sums its products in the order
 * (input channel, kernel row, kernel column), whatever the band, so slices equal the whole bit for bit. Integers of 32
 * bits wrap around, as those of a quantised network never do. */
#include "activation.h"
#include "kernel.h"

struct conv {
  struct image in, out;
  const struct braid_conv_attrs *a;
  const void *x, *w, *bias, *residual; /* [N,C,H,W], [O,C/g,KH,KW], [O] or NULL, like the output or NULL */
  void *y;
};

static struct conv conv_of(const struct braid_kernel_args *args) {
  return (struct conv){image_of(&args->in[0].shape),
                       image_of(&args->out.shape),
                       &args->attrs.conv,
                       args->in[0].data,
                       args->in[1].data,
                       has_in(args, 2) ? args->in[2].data : NULL,
                       has_in(args, 3) ? args->in[3].data : NULL,
                       args->out.data};
}

/* add_tap: y[ow] += w * x[ow * stride + offset] where that lies in the row. SUM is the type that is calculated in. */
#define CONV_TYPES(X)                                                                                                  \
  X(f32, float, float)                                                                                                 \
  X(i32, int32_t, uint32_t)

#define X(id, T, SUM)                                                                                                  \
  static void add_tap_##id(T *y, int out_w, const T *x, int in_w, T w, int stride, int offset) {                       \
    struct taps t = taps_inside(in_w, stride, offset, out_w);                                                          \
    if (stride == 1)                                                                                                   \
      for (int ow = t.lo; ow < t.hi; ow++) y[ow] = (T)((SUM)y[ow] + (SUM)w * (SUM)x[ow + offset]);                     \
    else                                                                                                               \
      for (int ow = t.lo; ow < t.hi; ow++)                                                                             \
        y[ow] = (T)((SUM)y[ow] + (SUM)w * (SUM)x[(ptrdiff_t)ow * stride + offset]);                                    \
  }                                                                                                                    \
                                                                                                                       \
  static void conv_row_##id(const struct conv *v, T *y, int n, int o, int oh) {                                        \
    const struct braid_conv_attrs *a = v->a;                                                                           \
    int c_per_group = v->in.c / a->group, c0 = o / (v->out.c / a->group) * c_per_group;                                \
    memset(y, 0, (size_t)v->out.w * sizeof *y);                                                                        \
    for (int c = 0; c < c_per_group; c++) {                                                                            \
      const T *plane = (const T *)v->x + ((size_t)n * v->in.c + c0 + c) * v->in.h * v->in.w;                           \
      const T *w = (const T *)v->w + ((size_t)o * c_per_group + c) * a->kernel[0] * a->kernel[1];                      \
      for (int kh = 0; kh < a->kernel[0]; kh++) {                                                                      \
        int ih = oh * a->stride[0] - a->pad[0] + kh * a->dilation[0];                                                  \
        if (ih < 0 || ih >= v->in.h) continue;                                                                         \
        for (int kw = 0; kw < a->kernel[1]; kw++)                                                                      \
          add_tap_##id(y, v->out.w, plane + (size_t)ih * v->in.w, v->in.w, w[kh * a->kernel[1] + kw], a->stride[1],    \
                       kw * a->dilation[1] - a->pad[1]);                                                               \
      }                                                                                                                \
    }                                                                                                                  \
  }                                                                                                                    \
                                                                                                                       \
  static void end_row_##id(T *y, int n, const T *bias, const T *residual) {                                            \
    for (int i = 0; bias && i < n; i++) y[i] = (T)((SUM)y[i] + (SUM)*bias);                                            \
    for (int i = 0; residual && i < n; i++) y[i] = (T)((SUM)y[i] + (SUM)residual[i]);                                  \
  }                                                                                                                    \
                                                                                                                       \
  static void rows_##id(const struct conv *v, const struct braid_act *act, struct braid_band band) {                   \
    for (int n = 0; n < v->out.n; n++)                                                                                 \
      for (int o = 0; o < v->out.c; o++)                                                                               \
        for (int oh = band.begin; oh < band.end; oh++) {                                                               \
          size_t at = (((size_t)n * v->out.c + o) * v->out.h + oh) * v->out.w;                                         \
          T *y = (T *)v->y + at;                                                                                       \
          conv_row_##id(v, y, n, o, oh);                                                                               \
          end_row_##id(y, v->out.w, v->bias ? (const T *)v->bias + o : NULL,                                           \
                       v->residual ? (const T *)v->residual + at : NULL);                                              \
          if (act) act_run_f32(act, (float *)(void *)y, (size_t)v->out.w);                                             \
        }                                                                                                              \
  }
CONV_TYPES(X)
#undef X

static void run(const struct braid_kernel_args *args, const void *packed, void *scratch, struct braid_band band) {
  (void)packed, (void)scratch;
  struct conv v = conv_of(args);
  rows_f32(&v, &args->act, band);
}

static void run_i32(const struct braid_kernel_args *args, const void *packed, void *scratch, struct braid_band band) {
  (void)packed, (void)scratch;
  struct conv v = conv_of(args);
  rows_i32(&v, NULL, band);
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
