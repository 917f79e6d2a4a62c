/* SPDX-License-Identifier: Apache-2.0
 *
 * Pools. The output's shape is given, so ceil_mode does not show here except in windows that reach beyond the padded
 * input: what lies beyond the padding never counts, what lies in it counts for the average if count_include_pad. */
#include "activation.h"
#include "kernel.h"

/* Taps k of a window whose positions start + k * dilation lie in [lo,hi). */
static int taps_in(int start, int kernel, int dilation, int lo, int hi) {
  int n = 0;
  for (int k = 0; k < kernel; k++) n += start + k * dilation >= lo && start + k * dilation < hi;
  return n;
}

struct window {
  const struct braid_pool_attrs *a;
  struct image in;
  const float *plane; /* [H,W] */
  int h0, w0;         /* position of tap 0, may be in the padding */
};

static float window_max(const struct window *v) {
  float best = -INFINITY;
  for (int kh = 0; kh < v->a->kernel[0]; kh++)
    for (int kw = 0; kw < v->a->kernel[1]; kw++) {
      int h = v->h0 + kh * v->a->dilation[0], w = v->w0 + kw * v->a->dilation[1];
      if (h < 0 || h >= v->in.h || w < 0 || w >= v->in.w) continue;
      float x = v->plane[(size_t)h * v->in.w + w];
      if (x > best) best = x;
    }
  return best;
}

static float window_sum(const struct window *v) {
  float sum = 0.0f;
  for (int kh = 0; kh < v->a->kernel[0]; kh++)
    for (int kw = 0; kw < v->a->kernel[1]; kw++) {
      int h = v->h0 + kh * v->a->dilation[0], w = v->w0 + kw * v->a->dilation[1];
      if (h >= 0 && h < v->in.h && w >= 0 && w < v->in.w) sum += v->plane[(size_t)h * v->in.w + w];
    }
  return sum;
}

static int window_count(const struct window *v) {
  const struct braid_pool_attrs *a = v->a;
  bool pad = a->count_include_pad;
  int rows = taps_in(v->h0, a->kernel[0], a->dilation[0], pad ? -a->pad[0] : 0, v->in.h + (pad ? a->pad[2] : 0));
  int cols = taps_in(v->w0, a->kernel[1], a->dilation[1], pad ? -a->pad[1] : 0, v->in.w + (pad ? a->pad[3] : 0));
  return rows * cols;
}

static float window_average(const struct window *v) {
  int n = window_count(v);
  return n > 0 ? window_sum(v) / (float)n : 0.0f;
}

static void pool(const struct braid_kernel_args *args, struct braid_band band,
                 float (*of)(const struct window *window)) {
  const struct braid_pool_attrs *a = &args->attrs.pool;
  struct image out = image_of(&args->out.shape);
  struct window v = {.a = a, .in = image_of(&args->in[0].shape)};
  for (size_t plane = 0; plane < (size_t)out.n * out.c; plane++) {
    v.plane = in_f32(args, 0) + plane * v.in.h * v.in.w;
    for (int oh = band.begin; oh < band.end; oh++)
      for (int ow = 0; ow < out.w; ow++) {
        v.h0 = oh * a->stride[0] - a->pad[0];
        v.w0 = ow * a->stride[1] - a->pad[1];
        out_f32(args)[(plane * out.h + oh) * out.w + ow] = act_f32(&args->act, of(&v));
      }
  }
}

static void max_run(const struct braid_kernel_args *args, const void *packed, void *scratch, struct braid_band band) {
  (void)packed, (void)scratch;
  pool(args, band, window_max);
}

static void average_run(const struct braid_kernel_args *args, const void *packed, void *scratch,
                        struct braid_band band) {
  (void)packed, (void)scratch;
  pool(args, band, window_average);
}

/* Global pools: the output [N,C,1,..] is one element a plane. */
static void global(const struct braid_kernel_args *args, struct braid_band band, bool average) {
  size_t inner = channels_of(&args->in[0].shape).inner;
  struct runs r = runs_of(&args->out.shape, band);
  for (size_t run = 0; run < r.count; run++)
    for (size_t i = r.first + run * r.stride, end = i + r.n; i < end; i++) {
      const float *x = in_f32(args, 0) + i * inner;
      double sum = 0.0;
      float best = -INFINITY;
      for (size_t j = 0; j < inner; j++) {
        sum += (double)x[j];
        if (x[j] > best) best = x[j];
      }
      out_f32(args)[i] = act_f32(&args->act, average ? (float)(sum / (double)inner) : best);
    }
}

static void global_max_run(const struct braid_kernel_args *args, const void *packed, void *scratch,
                           struct braid_band band) {
  (void)packed, (void)scratch;
  global(args, band, false);
}

static void global_average_run(const struct braid_kernel_args *args, const void *packed, void *scratch,
                               struct braid_band band) {
  (void)packed, (void)scratch;
  global(args, band, true);
}

static bool accepts(const struct braid_kernel_args *args) { return all_f32(args) && args->in[0].shape.rank == 4; }
static bool global_accepts(const struct braid_kernel_args *args) {
  return all_f32(args) && args->in[0].shape.rank >= 2;
}

#define ROW(text, id, accept, fn)                                                                                      \
  { .name = text, .op = id, .sliceable = true, .accepts = accept, .run = fn }
const struct braid_kernel kernels_ref_pool[] = {
    ROW("max_pool2d_f32__ref", BRAID_OP_MAX_POOL, accepts, max_run),
    ROW("average_pool2d_f32__ref", BRAID_OP_AVERAGE_POOL, accepts, average_run),
    ROW("global_max_pool_f32__ref", BRAID_OP_GLOBAL_MAX_POOL, global_accepts, global_max_run),
    ROW("global_average_pool_f32__ref", BRAID_OP_GLOBAL_AVERAGE_POOL, global_accepts, global_average_run),
    {0},
};
