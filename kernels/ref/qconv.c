/* SPDX-License-Identifier: Apache-2.0
 *
 * Convolution of quantised values: sum = bias + sum((x - x_zero) * (w - w_zero)), exact in int32 (which wraps), then
 * act(sum * scale + (r - r_zero) * r_scale) in float32, then round, move by y_zero and saturate, as far as the output's
 * type asks for it. No product is fused with a sum, so that every kernel gives the same bits. */
#include "activation.h"
#include "kernel.h"

struct qconv {
  const struct braid_kernel_args *args;
  const struct braid_qconv_attrs *a;
  struct image in, out;
  int channels; /* of the input, in a group */
};

static int32_t byte_at(const struct braid_tensor *t, size_t i) {
  return t->dtype == BRAID_U8 ? ((const uint8_t *)t->data)[i] : ((const int8_t *)t->data)[i];
}

/* sums[ow] += w * (x - zero) for a tap of a row of the input. */
static void add_tap(const struct qconv *v, uint32_t *sums, size_t row, int32_t w, int offset) {
  int stride = v->a->conv.stride[1];
  struct taps t = taps_inside(v->in.w, stride, offset, v->out.w);
  for (int ow = t.lo; ow < t.hi; ow++) {
    int32_t x = byte_at(&v->args->in[0], row + (size_t)(ow * stride + offset)) - v->a->x_zero;
    sums[ow] += (uint32_t)(w * x);
  }
}

static void sum_row(const struct qconv *v, uint32_t *sums, int n, int o, int oh) {
  const struct braid_conv_attrs *a = &v->a->conv;
  const int8_t *w = v->args->in[1].data;
  int first = o / (v->out.c / a->group) * v->channels;
  uint32_t bias = has_in(v->args, 2) ? ((const uint32_t *)v->args->in[2].data)[o] : 0;
  for (int ow = 0; ow < v->out.w; ow++) sums[ow] = bias;
  for (int c = 0; c < v->channels; c++)
    for (int kh = 0; kh < a->kernel[0]; kh++) {
      int ih = oh * a->stride[0] - a->pad[0] + kh * a->dilation[0];
      if (ih < 0 || ih >= v->in.h) continue;
      size_t row = (((size_t)n * v->in.c + first + c) * v->in.h + ih) * v->in.w;
      const int8_t *line = w + (((size_t)o * v->channels + c) * a->kernel[0] + kh) * a->kernel[1];
      for (int kw = 0; kw < a->kernel[1]; kw++)
        add_tap(v, sums, row, line[kw] - v->a->w_zero, kw * a->dilation[1] - a->pad[1]);
    }
}

static float real_of(const struct qconv *v, int32_t sum, int o, size_t at) {
  float x = (float)sum * ((const float *)v->args->in[3].data)[o];
  if (has_in(v->args, 4)) x += (float)(byte_at(&v->args->in[4], at) - v->a->r_zero) * v->a->r_scale;
  return v->args->act.op == BRAID_ACT_NONE ? x : act_f32(&v->args->act, x);
}

static float rounded(float x, int zero, float low, float high) {
  return clamp_f32(rintf(x) + (float)zero, low, high);
}

static void put(const struct qconv *v, int32_t sum, int o, size_t at) {
  void *y = v->args->out.data;
  switch (v->a->to) {
  case BRAID_I32:
    ((int32_t *)y)[at] = sum;
    break;
  case BRAID_F32:
    ((float *)y)[at] = real_of(v, sum, o, at);
    break;
  case BRAID_U8:
    ((uint8_t *)y)[at] = (uint8_t)rounded(real_of(v, sum, o, at), v->a->y_zero, 0, UINT8_MAX);
    break;
  default:
    ((int8_t *)y)[at] = (int8_t)rounded(real_of(v, sum, o, at), v->a->y_zero, INT8_MIN, INT8_MAX);
  }
}

static void run(const struct braid_kernel_args *args, const void *packed, void *scratch, struct braid_band band) {
  struct qconv v = {args, &args->attrs.qconv, image_of(&args->in[0].shape), image_of(&args->out.shape), 0};
  uint32_t *sums = scratch;
  (void)packed;
  v.channels = v.in.c / v.a->conv.group;
  for (int n = 0; n < v.out.n; n++)
    for (int o = 0; o < v.out.c; o++)
      for (int oh = band.begin; oh < band.end; oh++) {
        size_t at = (((size_t)n * v.out.c + o) * v.out.h + oh) * v.out.w;
        sum_row(&v, sums, n, o, oh);
        for (int ow = 0; ow < v.out.w; ow++) put(&v, (int32_t)sums[ow], o, at + (size_t)ow);
      }
}

static size_t scratch_bytes(const struct braid_kernel_args *args, int rows) {
  (void)rows;
  return (size_t)args->out.shape.dim[3] * sizeof(uint32_t);
}

static bool accepts(const struct braid_kernel_args *args) {
  return quantised_operands(args) && args->in[0].shape.rank == 4 && args->out.shape.rank == 4;
}

const struct braid_kernel kernels_ref_qconv[] = {
    {.name = "qconv2d__ref",
     .op = BRAID_OP_QLINEAR_CONV,
     .sliceable = true,
     .accepts = accepts,
     .scratch_bytes = scratch_bytes,
     .run = run},
    {0},
};
