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

/* -------------------------------------------------------------------- maxima of other types, and where
 * The first largest element of a window, rows before columns. */
#define MAX_TYPES(X)                                                                                                   \
  X(F32, float)                                                                                                        \
  X(F64, double)                                                                                                       \
  X(U8, uint8_t)                                                                                                       \
  X(I8, int8_t)

#define X(id, T)                                                                                                       \
  static size_t largest_##id(const struct braid_pool_attrs *a, struct image in, const T *plane, int h0, int w0) {      \
    size_t best = 0;                                                                                                   \
    bool found = false;                                                                                                \
    for (int kh = 0; kh < a->kernel[0]; kh++)                                                                          \
      for (int kw = 0; kw < a->kernel[1]; kw++) {                                                                      \
        int h = h0 + kh * a->dilation[0], w = w0 + kw * a->dilation[1];                                                \
        if (h < 0 || h >= in.h || w < 0 || w >= in.w) continue;                                                        \
        size_t at = (size_t)h * (size_t)in.w + (size_t)w;                                                              \
        if (!found || plane[at] > plane[best]) best = at;                                                              \
        found = true;                                                                                                  \
      }                                                                                                                \
    return best;                                                                                                       \
  }
MAX_TYPES(X)
#undef X

static size_t largest(const struct braid_kernel_args *args, struct image in, size_t first, int h0, int w0) {
  switch (args->in[0].dtype) {
#define X(id, T)                                                                                                       \
  case BRAID_##id: return largest_##id(&args->attrs.pool, in, (const T *)args->in[0].data + first, h0, w0);
    MAX_TYPES(X)
#undef X
  default: assert(false && "accepts() lets no other type in"); return 0;
  }
}

/* Elements are numbered through the whole tensor; within a plane by rows, or by columns. */
static int64_t number_of(const struct braid_pool_attrs *a, struct image in, size_t first, size_t at) {
  size_t h = at / (size_t)in.w, w = at % (size_t)in.w;
  return (int64_t)(first + (a->column_major ? w * (size_t)in.h + h : at));
}

static void largest_run(const struct braid_kernel_args *args, const void *packed, void *scratch,
                        struct braid_band band) {
  (void)packed, (void)scratch;
  const struct braid_pool_attrs *a = &args->attrs.pool;
  struct image in = image_of(&args->in[0].shape), out = image_of(&args->out.shape);
  size_t bytes = braid_dtype_bytes(args->in[0].dtype);
  for (size_t plane = 0; plane < (size_t)out.n * out.c; plane++)
    for (int oh = band.begin; oh < band.end; oh++)
      for (int ow = 0; ow < out.w; ow++) {
        size_t first = plane * in.h * in.w, to = (plane * out.h + oh) * out.w + ow;
        size_t at = largest(args, in, first, oh * a->stride[0] - a->pad[0], ow * a->stride[1] - a->pad[1]);
        if (args->op == BRAID_OP_MAX_POOL_INDICES)
          ((int64_t *)args->out.data)[to] = number_of(a, in, first, at);
        else
          memcpy((char *)args->out.data + to * bytes, (const char *)args->in[0].data + (first + at) * bytes, bytes);
      }
}

static bool largest_accepts(const struct braid_kernel_args *args) {
  bool known = false;
#define X(id, T) known = known || args->in[0].dtype == BRAID_##id;
  MAX_TYPES(X)
#undef X
  bool indices = args->op == BRAID_OP_MAX_POOL_INDICES;
  enum braid_dtype out = indices ? BRAID_I64 : args->in[0].dtype;
  return known && (indices || args->in[0].dtype != BRAID_F32) && args->out.dtype == out &&
         args->in[0].shape.rank == 4 && no_act(args);
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
    ROW("max_pool2d__ref", BRAID_OP_MAX_POOL, largest_accepts, largest_run),
    ROW("max_pool2d_indices__ref", BRAID_OP_MAX_POOL_INDICES, largest_accepts, largest_run),
    ROW("average_pool2d_f32__ref", BRAID_OP_AVERAGE_POOL, accepts, average_run),
    ROW("global_max_pool_f32__ref", BRAID_OP_GLOBAL_MAX_POOL, global_accepts, global_max_run),
    ROW("global_average_pool_f32__ref", BRAID_OP_GLOBAL_AVERAGE_POOL, global_accepts, global_average_run),
    {0},
};
