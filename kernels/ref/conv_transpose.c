/* SPDX-License-Identifier: Apache-2.0
 *
 * Transposed convolution: act(conv_transpose(x,w) + bias), w [C,O/g,KH,KW]. Row by row of the output: input row ih and
 * kernel row kh meet in output row ih * stride - pad + kh * dilation. */
#include "activation.h"
#include "kernel.h"

struct deconv {
  struct image in, out;
  const struct braid_conv_attrs *a;
  const float *x, *w;
};

/* y[iw * stride + offset] += w * x[iw] where that lies in the output row. */
static void add_tap(float *y, int out_w, const float *x, int in_w, float w, int stride, int offset) {
  struct taps t = taps_inside(out_w, stride, offset, in_w);
  for (int iw = t.lo; iw < t.hi; iw++) y[(ptrdiff_t)iw * stride + offset] += w * x[iw];
}

static void deconv_row(const struct deconv *v, float *y, int n, int o, int oh) {
  const struct braid_conv_attrs *a = v->a;
  int c_per_group = v->in.c / a->group, o_per_group = v->out.c / a->group, g = o / o_per_group;
  memset(y, 0, (size_t)v->out.w * sizeof *y);
  for (int c = g * c_per_group; c < (g + 1) * c_per_group; c++) {
    const float *plane = v->x + ((size_t)n * v->in.c + c) * v->in.h * v->in.w;
    const float *w = v->w + ((size_t)c * o_per_group + o % o_per_group) * a->kernel[0] * a->kernel[1];
    for (int kh = 0; kh < a->kernel[0]; kh++) {
      int t = oh + a->pad[0] - kh * a->dilation[0];
      if (t < 0 || t % a->stride[0] != 0 || t / a->stride[0] >= v->in.h) continue;
      for (int kw = 0; kw < a->kernel[1]; kw++)
        add_tap(y, v->out.w, plane + (size_t)(t / a->stride[0]) * v->in.w, v->in.w, w[kh * a->kernel[1] + kw],
                a->stride[1], kw * a->dilation[1] - a->pad[1]);
    }
  }
}

static void run(const struct braid_kernel_args *args, const void *packed, void *scratch, struct braid_band band) {
  (void)packed, (void)scratch;
  struct deconv v = {image_of(&args->in[0].shape), image_of(&args->out.shape), &args->attrs.conv, in_f32(args, 0),
                     in_f32(args, 1)};
  const float *bias = in_f32(args, 2);
  for (int n = 0; n < v.out.n; n++)
    for (int o = 0; o < v.out.c; o++)
      for (int oh = band.begin; oh < band.end; oh++) {
        float *y = out_f32(args) + (((size_t)n * v.out.c + o) * v.out.h + oh) * v.out.w;
        deconv_row(&v, y, n, o, oh);
        for (int i = 0; bias && i < v.out.w; i++) y[i] += bias[o];
        act_run_f32(&args->act, y, (size_t)v.out.w);
      }
}

static bool accepts(const struct braid_kernel_args *args) {
  return all_f32(args) && args->in[0].shape.rank == 4 && args->out.shape.rank == 4;
}

const struct braid_kernel kernels_ref_conv_transpose[] = {
    {.name = "conv_transpose2d_f32__ref",
     .op = BRAID_OP_CONV_TRANSPOSE,
     .sliceable = true,
     .accepts = accepts,
     .run = run},
    {0},
};
