/* SPDX-License-Identifier: Apache-2.0
 *
 * Depthwise convolution 3x3 of stride 1 or 2, nearly all there is: a vector of neighbouring outputs goes down the rows,
 * and an input row, once loaded, serves every output row that needs it. What lies in the padding are masked lanes, and
 * rows of zeros. depthwise.inl has the rest. */
#include "columns.inl"
#include "ending.inl"

struct plane {
  const float *x, *w, *residual; /* [H,W], [3,3], [OH,OW] or NULL */
  float *y, bias;
  struct image in, out;
  int pad; /* of rows */
};

/* The three taps of input row ih. */
static inline __attribute__((always_inline)) void load_row(const struct plane *p, const struct columns *c, int ih,
                                                           int stride, vf *x) {
  bool inside = ih >= 0 && ih < p->in.h;
  const float *row = inside ? p->x + (size_t)ih * (size_t)p->in.w : NULL;
#pragma GCC unroll 3
  for (int kw = 0; kw < 3; kw++) x[kw] = inside ? load_column(c, row, kw, stride) : vf_set(0.0f);
}

static inline __attribute__((always_inline)) void put(const struct plane *p, const struct ending *e, int oh, int ow,
                                                      int n, vf sum) {
  size_t at = (size_t)oh * (size_t)p->out.w + (size_t)ow;
  if (p->residual) sum = vf_add(sum, load_some(p->residual + at, n));
  store_some(p->y + at, vf_min(vf_set(e->hi), vf_max(vf_set(e->lo), sum)), n);
  if (e->other_act) vf_act_run(e->act, p->y + at, (size_t)n);
}

/* n outputs from column ow on, rows [band). */
static inline __attribute__((always_inline)) void go_down(const struct plane *p, const struct ending *e, int ow, int n,
                                                          int pad, int stride, struct braid_band band) {
  struct columns c = columns_of(ow * stride - pad, stride, p->in.w);
  vf x[3][3], w[9];
  for (int t = 0; t < 9; t++) w[t] = vf_set(p->w[t]);
  int ih = band.begin * stride - p->pad;
  load_row(p, &c, ih, stride, x[0]);
  if (stride == 1) load_row(p, &c, ih + 1, stride, x[1]);
  for (int oh = band.begin; oh < band.end; oh++, ih += stride) {
    if (stride == 2) load_row(p, &c, ih + 1, stride, x[1]);
    load_row(p, &c, ih + 2, stride, x[2]);
    vf sum = vf_set(p->bias);
#pragma GCC unroll 9
    for (int t = 0; t < 9; t++) sum = vf_fma(w[t], x[t / 3][t % 3], sum);
    put(p, e, oh, ow, n, sum);
#pragma GCC unroll 3
    for (int kw = 0; kw < 3; kw++) {
      x[0][kw] = x[stride][kw];
      if (stride == 1) x[1][kw] = x[2][kw];
    }
  }
}

static void run(const struct braid_kernel_args *args, const void *packed, void *scratch, struct braid_band band) {
  (void)packed, (void)scratch;
  const struct braid_conv_attrs *a = &args->attrs.conv;
  struct plane p = {
      .in = image_of(&args->in[0].shape), .out = image_of(&args->out.shape), .pad = a->pad[0]};
  struct ending e = ending_of(&args->act);
  const float *bias = in_f32(args, 2), *residual = in_f32(args, 3);
  size_t in_plane = (size_t)p.in.h * (size_t)p.in.w, out_plane = (size_t)p.out.h * (size_t)p.out.w;
  for (size_t i = 0; i < (size_t)p.out.n * (size_t)p.out.c; i++) {
    size_t c = i % (size_t)p.out.c;
    p.x = in_f32(args, 0) + i * in_plane;
    p.w = in_f32(args, 1) + c * 9;
    p.y = out_f32(args) + i * out_plane;
    p.residual = residual ? residual + i * out_plane : NULL;
    p.bias = bias ? bias[c] : 0.0f;
    for (int ow = 0; ow < p.out.w; ow += VF) {
      int n = p.out.w - ow < VF ? p.out.w - ow : VF;
      if (a->stride[1] == 1)
        go_down(&p, &e, ow, n, a->pad[1], 1, band);
      else
        go_down(&p, &e, ow, n, a->pad[1], 2, band);
    }
  }
}

/* Positions of masked lanes must stay ints. */
static bool accepts(const struct braid_kernel_args *args) {
  const struct braid_conv_attrs *a = &args->attrs.conv;
  if (!all_f32(args) || args->in[0].shape.rank != 4) return false;
  struct image in = image_of(&args->in[0].shape), out = image_of(&args->out.shape);
  for (int axis = 0; axis < 2; axis++)
    if (a->kernel[axis] != 3 || a->dilation[axis] != 1 || a->stride[axis] != a->stride[0]) return false;
  return a->group == in.c && out.c == in.c && a->stride[0] <= 2 && in.w < INT32_MAX / 4 && in.h < INT32_MAX / 4 &&
         out.w < INT32_MAX / 4 && a->pad[0] < INT32_MAX / 4 && a->pad[1] < INT32_MAX / 4;
}

const struct braid_kernel ISA_TABLE(depthwise3)[] = {
    {.name = "depthwise2d_3x3_f32__" ISA_TEXT,
     .op = BRAID_OP_CONV,
     .needs = ISA_NEEDS,
     .in_place = IN_PLACE_OF(3),
     .sliceable = true,
     .accepts = accepts,
     .run = run},
    {0},
};
