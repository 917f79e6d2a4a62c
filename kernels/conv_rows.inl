/* SPDX-License-Identifier: Apache-2.0
 *
 * Convolution by the obvious loops, for elements of CONV_T whose sums are calculated in CONV_SUM: one output row at a
 * time; each element sums its products in the order (input channel, kernel row, kernel column), whatever the band, then
 * adds bias and residual. CONV_NAME(stem) names what this file defines. */

struct CONV_NAME(conv) {
  struct image in, out;
  const struct braid_conv_attrs *a;
  const CONV_T *x, *w, *bias, *residual; /* [N,C,H,W], [O,C/g,KH,KW], [O] or NULL, like the output or NULL */
  CONV_T *y;
};

static struct CONV_NAME(conv) CONV_NAME(conv_of)(const struct braid_kernel_args *args) {
  return (struct CONV_NAME(conv)){image_of(&args->in[0].shape),
                                  image_of(&args->out.shape),
                                  &args->attrs.conv,
                                  args->in[0].data,
                                  args->in[1].data,
                                  has_in(args, 2) ? args->in[2].data : NULL,
                                  has_in(args, 3) ? args->in[3].data : NULL,
                                  args->out.data};
}

/* y[ow] += w * x[ow * stride + offset] where that lies in the row. */
static void CONV_NAME(add_tap)(CONV_T *y, int out_w, const CONV_T *x, int in_w, CONV_T w, int stride, int offset) {
  struct taps t = taps_inside(in_w, stride, offset, out_w);
  if (stride == 1)
    for (int ow = t.lo; ow < t.hi; ow++) y[ow] = (CONV_T)((CONV_SUM)y[ow] + (CONV_SUM)w * (CONV_SUM)x[ow + offset]);
  else
    for (int ow = t.lo; ow < t.hi; ow++)
      y[ow] = (CONV_T)((CONV_SUM)y[ow] + (CONV_SUM)w * (CONV_SUM)x[(ptrdiff_t)ow * stride + offset]);
}

static void CONV_NAME(sum_row)(const struct CONV_NAME(conv) * v, CONV_T *y, int n, int o, int oh) {
  const struct braid_conv_attrs *a = v->a;
  int c_per_group = v->in.c / a->group, c0 = o / (v->out.c / a->group) * c_per_group;
  memset(y, 0, (size_t)v->out.w * sizeof *y);
  for (int c = 0; c < c_per_group; c++) {
    const CONV_T *plane = v->x + ((size_t)n * v->in.c + c0 + c) * v->in.h * v->in.w;
    const CONV_T *w = v->w + ((size_t)o * c_per_group + c) * a->kernel[0] * a->kernel[1];
    for (int kh = 0; kh < a->kernel[0]; kh++) {
      int ih = oh * a->stride[0] - a->pad[0] + kh * a->dilation[0];
      if (ih < 0 || ih >= v->in.h) continue;
      for (int kw = 0; kw < a->kernel[1]; kw++)
        CONV_NAME(add_tap)
        (y, v->out.w, plane + (size_t)ih * v->in.w, v->in.w, w[kh * a->kernel[1] + kw], a->stride[1],
         kw * a->dilation[1] - a->pad[1]);
    }
  }
}

static void CONV_NAME(conv_rows)(const struct braid_kernel_args *args, struct braid_band band) {
  struct CONV_NAME(conv) v = CONV_NAME(conv_of)(args);
  for (int n = 0; n < v.out.n; n++)
    for (int o = 0; o < v.out.c; o++)
      for (int oh = band.begin; oh < band.end; oh++) {
        size_t at = (((size_t)n * v.out.c + o) * v.out.h + oh) * v.out.w;
        CONV_T *y = v.y + at;
        CONV_NAME(sum_row)(&v, y, n, o, oh);
        for (int i = 0; v.bias && i < v.out.w; i++) y[i] = (CONV_T)((CONV_SUM)y[i] + (CONV_SUM)v.bias[o]);
        for (int i = 0; v.residual && i < v.out.w; i++)
          y[i] = (CONV_T)((CONV_SUM)y[i] + (CONV_SUM)v.residual[at + (size_t)i]);
      }
}

#undef CONV_T
#undef CONV_SUM
#undef CONV_NAME
