/* SPDX-License-Identifier: Apache-2.0
 *
 * Convolution: act(conv(x,w) + bias + residual). One output row at a time; each element sums its products in the order
 * (input channel, kernel row, kernel column), whatever the band, so slices equal the whole bit for bit. */
#include "activation.h"
#include "kernel.h"

struct conv {
  struct image in, out;
  const struct braid_conv_attrs *a;
  const float *x, *w; /* [N,C,H,W], [O,C/g,KH,KW] */
};

/* y[ow] += w * x[ow * stride + offset] where that lies in the row. */
static void add_tap(float *y, int out_w, const float *x, int in_w, float w, int stride, int offset) {
  struct taps t = taps_inside(in_w, stride, offset, out_w);
  if (stride == 1)
    for (int ow = t.lo; ow < t.hi; ow++) y[ow] += w * x[ow + offset];
  else
    for (int ow = t.lo; ow < t.hi; ow++) y[ow] += w * x[(ptrdiff_t)ow * stride + offset];
}

static void conv_row(const struct conv *v, float *y, int n, int o, int oh) {
  const struct braid_conv_attrs *a = v->a;
  int c_per_group = v->in.c / a->group, c0 = o / (v->out.c / a->group) * c_per_group;
  memset(y, 0, (size_t)v->out.w * sizeof *y);
  for (int c = 0; c < c_per_group; c++) {
    const float *plane = v->x + ((size_t)n * v->in.c + c0 + c) * v->in.h * v->in.w;
    const float *w = v->w + ((size_t)o * c_per_group + c) * a->kernel[0] * a->kernel[1];
    for (int kh = 0; kh < a->kernel[0]; kh++) {
      int ih = oh * a->stride[0] - a->pad[0] + kh * a->dilation[0];
      if (ih < 0 || ih >= v->in.h) continue;
      for (int kw = 0; kw < a->kernel[1]; kw++)
        add_tap(y, v->out.w, plane + (size_t)ih * v->in.w, v->in.w, w[kh * a->kernel[1] + kw], a->stride[1],
                kw * a->dilation[1] - a->pad[1]);
    }
  }
}

static void finish_row(float *y, int n, float bias, const float *residual, const struct braid_act *act) {
  for (int i = 0; i < n; i++) y[i] += bias;
  if (residual)
    for (int i = 0; i < n; i++) y[i] += residual[i];
  act_run_f32(act, y, (size_t)n);
}

static void run(const struct braid_kernel_args *args, const void *packed, void *scratch, struct braid_band band) {
  (void)packed, (void)scratch;
  struct conv v = {image_of(&args->in[0].shape), image_of(&args->out.shape), &args->attrs.conv, in_f32(args, 0),
                   in_f32(args, 1)};
  const float *bias = in_f32(args, 2), *residual = in_f32(args, 3);
  for (int n = 0; n < v.out.n; n++)
    for (int o = 0; o < v.out.c; o++)
      for (int oh = band.begin; oh < band.end; oh++) {
        size_t at = (((size_t)n * v.out.c + o) * v.out.h + oh) * v.out.w;
        conv_row(&v, out_f32(args) + at, n, o, oh);
        finish_row(out_f32(args) + at, v.out.w, bias ? bias[o] : 0.0f, residual ? residual + at : NULL, &args->act);
      }
}

static bool accepts(const struct braid_kernel_args *args) {
  return all_f32(args) && args->in[0].shape.rank == 4 && args->out.shape.rank == 4;
}

const struct braid_kernel kernels_ref_conv[] = {
    {.name = "conv2d_f32__ref", .op = BRAID_OP_CONV, .sliceable = true, .accepts = accepts, .run = run},
    {0},
};
