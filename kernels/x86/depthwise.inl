/* SPDX-License-Identifier: Apache-2.0
 *
 * Depthwise convolution (one input channel per output channel), direct: a vector of neighbouring outputs of one row,
 * all taps from registers and the first level cache. Columns in the padding are masked lanes, rows in it are skipped.
 * The common kernels and strides are constants to the compiler, the rest goes through the same code with variables. */
#include "finish.inl"
#include "taps.inl"

struct plane {
  const struct braid_conv_attrs *a;
  struct image in, out;
  const float *x, *w, *residual; /* [H,W], [KH,KW], [OH,OW] or NULL */
  float *y;
  float bias;
  const struct braid_act *act;
};

static inline __attribute__((always_inline)) void depthwise_row(const struct plane *p, int oh, int k_h, int k_w,
                                                                int stride, int dilation_w) {
  int ih0 = oh * p->a->stride[0] - p->a->pad[0], dilation_h = p->a->dilation[0];
  float *y = p->y + (size_t)oh * p->out.w;
  const vf zero = vf_set(0.0f);
  for (int ow = 0; ow < p->out.w; ow += VF) {
    vf sum = zero;
    for (int kh = 0; kh < k_h; kh++) {
      int ih = ih0 + kh * dilation_h;
      if (ih < 0 || ih >= p->in.h) continue;
      const float *row = p->x + (size_t)ih * p->in.w;
      for (int kw = 0; kw < k_w; kw++) {
        vf x = load_taps(row, ow * stride - p->a->pad[1] + kw * dilation_w, stride, p->in.w, zero);
        sum = vf_fma(x, vf_set(p->w[kh * k_w + kw]), sum);
      }
    }
    if (ow + VF <= p->out.w)
      vf_store(y + ow, sum);
    else
      vf_store_n(y + ow, sum, p->out.w - ow);
  }
  finish(y, p->out.w, p->bias, p->residual ? p->residual + (size_t)oh * p->out.w : NULL, p->act);
}

static void depthwise_plane(const struct plane *p, struct braid_band band) {
  const struct braid_conv_attrs *a = p->a;
  int k = a->kernel[0] == a->kernel[1] && a->dilation[1] == 1 ? a->kernel[0] : 0, s = a->stride[1];
#define ROWS(k_h, k_w, stride, dilation)                                                                               \
  for (int oh = band.begin; oh < band.end; oh++) depthwise_row(p, oh, k_h, k_w, stride, dilation)
  if (k == 3 && s == 1)
    ROWS(3, 3, 1, 1);
  else if (k == 3 && s == 2)
    ROWS(3, 3, 2, 1);
  else if (k == 5 && s == 1)
    ROWS(5, 5, 1, 1);
  else if (k == 5 && s == 2)
    ROWS(5, 5, 2, 1);
  else
    ROWS(a->kernel[0], a->kernel[1], s, a->dilation[1]);
#undef ROWS
}

static void run(const struct braid_kernel_args *args, const void *packed, void *scratch, struct braid_band band) {
  (void)packed, (void)scratch;
  struct plane p = {
      .a = &args->attrs.conv, .in = image_of(&args->in[0].shape), .out = image_of(&args->out.shape), .act = &args->act};
  const float *bias = in_f32(args, 2), *residual = in_f32(args, 3);
  size_t in_plane = (size_t)p.in.h * p.in.w, out_plane = (size_t)p.out.h * p.out.w;
  size_t taps = (size_t)p.a->kernel[0] * p.a->kernel[1];
  for (size_t i = 0; i < (size_t)p.out.n * p.out.c; i++) {
    size_t c = i % (size_t)p.out.c;
    p.x = in_f32(args, 0) + i * in_plane;
    p.w = in_f32(args, 1) + c * taps;
    p.y = out_f32(args) + i * out_plane;
    p.residual = residual ? residual + i * out_plane : NULL;
    p.bias = bias ? bias[c] : 0.0f;
    depthwise_plane(&p, band);
  }
}

/* Positions of masked lanes are computed too and must stay ints. */
static bool accepts(const struct braid_kernel_args *args) {
  const struct braid_conv_attrs *a = &args->attrs.conv;
  if (!all_f32(args) || args->in[0].shape.rank != 4) return false;
  struct image in = image_of(&args->in[0].shape), out = image_of(&args->out.shape);
  return a->group == in.c && out.c == in.c && ((int64_t)out.w + VF) * a->stride[1] < INT32_MAX / 2 &&
         (int64_t)a->kernel[1] * a->dilation[1] < INT32_MAX / 4;
}

const struct braid_kernel ISA_TABLE(depthwise)[] = {
    {.name = "depthwise2d_f32__" ISA_TEXT,
     .op = BRAID_OP_CONV,
     .needs = ISA_NEEDS,
     .sliceable = true,
     .accepts = accepts,
     .run = run},
    {0},
};
