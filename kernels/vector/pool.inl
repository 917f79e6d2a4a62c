/* SPDX-License-Identifier: Apache-2.0
 *
 * Pools: a vector of neighbouring outputs of one row. Lanes outside the input bring -infinity to a maximum and 0 to a
 * sum; what an average divides by is counted lane by lane, in the same way. Windows of 3x3 go down the rows, so that a
 * row is loaded once for all the windows it is part of. Global pools reduce one plane. */
#include "columns.inl"
#include "math.inl"

struct plane {
  const struct braid_pool_attrs *a;
  struct image in, out;
  const float *x;
  float *y;
  const struct braid_act *act;
};

/* Rows of the window at ih0 that count for an average. */
static int rows_counted(const struct plane *p, int ih0) {
  int lo = p->a->count_include_pad ? -p->a->pad[0] : 0, n = 0;
  int hi = p->in.h + (p->a->count_include_pad ? p->a->pad[2] : 0);
  for (int kh = 0; kh < p->a->kernel[0]; kh++) {
    int ih = ih0 + kh * p->a->dilation[0];
    n += ih >= lo && ih < hi;
  }
  return n;
}

/* Columns that count, lane by lane; `first` is the position of tap 0 of lane 0. */
static vf columns_counted(const struct plane *p, int first) {
  int lo = p->a->count_include_pad ? -p->a->pad[1] : 0;
  int hi = p->in.w + (p->a->count_include_pad ? p->a->pad[3] : 0);
  vf n = vf_set(0.0f);
  for (int kw = 0; kw < p->a->kernel[1]; kw++)
    n = vf_add(n, vf_count_inside(first + kw * p->a->dilation[1], p->a->stride[1], lo, hi));
  return n;
}

static inline __attribute__((always_inline)) vf pool_vector(const struct plane *p, int ih0, int first, bool average,
                                                            int k_h, int k_w, int stride, int dilation_w) {
  vf fill = vf_set(average ? 0.0f : -INFINITY), y = fill;
  for (int kh = 0; kh < k_h; kh++) {
    int ih = ih0 + kh * p->a->dilation[0];
    if (ih < 0 || ih >= p->in.h) continue;
    const float *row = p->x + (size_t)ih * p->in.w;
    for (int kw = 0; kw < k_w; kw++) {
      vf x = load_taps(row, first + kw * dilation_w, stride, p->in.w, fill);
      y = average ? vf_add(y, x) : vf_max(y, x);
    }
  }
  return y;
}

static inline __attribute__((always_inline)) void pool_row(const struct plane *p, int oh, bool average, int k_h,
                                                           int k_w, int stride, int dilation_w) {
  int ih0 = oh * p->a->stride[0] - p->a->pad[0];
  float *y = p->y + (size_t)oh * p->out.w;
  vf rows = vf_set(average ? (float)rows_counted(p, ih0) : 0.0f);
  for (int ow = 0; ow < p->out.w; ow += VF) {
    int first = ow * stride - p->a->pad[1];
    vf v = pool_vector(p, ih0, first, average, k_h, k_w, stride, dilation_w);
    if (average) v = vf_div(v, vf_max(vf_set(1.0f), vf_mul(rows, columns_counted(p, first))));
    if (ow + VF <= p->out.w)
      vf_store(y + ow, v);
    else
      vf_store_n(y + ow, v, p->out.w - ow);
  }
  vf_act_run(p->act, y, (size_t)p->out.w);
}

static inline __attribute__((always_inline)) vf join(bool average, vf a, vf b) {
  return average ? vf_add(a, b) : vf_max(a, b);
}

/* What the window takes from input row ih. */
static inline __attribute__((always_inline)) vf three_columns(const struct plane *p, const struct columns *c, int ih,
                                                              bool average, int stride) {
  const vf fill = vf_set(average ? 0.0f : -INFINITY);
  if (ih < 0 || ih >= p->in.h) return fill;
  const float *row = p->x + (size_t)ih * (size_t)p->in.w;
  vf x[3];
  for (int kw = 0; kw < 3; kw++)
    x[kw] = average ? load_column(c, row, kw, stride) : load_column_or(c, row, kw, stride, fill);
  return join(average, join(average, x[0], x[1]), x[2]);
}

static inline __attribute__((always_inline)) void pool_down(const struct plane *p, int ow, bool average, int stride,
                                                            struct braid_band band) {
  int n = p->out.w - ow < VF ? p->out.w - ow : VF, first = ow * stride - p->a->pad[1];
  struct columns c = columns_of(first, stride, p->in.w);
  vf counted = average ? columns_counted(p, first) : vf_set(1.0f), row[3];
  int ih = band.begin * stride - p->a->pad[0];
  row[0] = three_columns(p, &c, ih, average, stride);
  row[1] = three_columns(p, &c, ih + 1, average, stride);
  for (int oh = band.begin; oh < band.end; oh++, ih += stride) {
    if (stride == 2 && oh > band.begin) row[1] = three_columns(p, &c, ih + 1, average, stride);
    row[2] = three_columns(p, &c, ih + 2, average, stride);
    vf v = join(average, join(average, row[0], row[1]), row[2]);
    if (average) v = vf_div(v, vf_max(vf_set(1.0f), vf_mul(vf_set((float)rows_counted(p, ih)), counted)));
    vf_store_n(p->y + (size_t)oh * (size_t)p->out.w + (size_t)ow, v, n);
    row[0] = row[stride];
    row[1] = row[2];
  }
}

/* Windows of 3x3. */
static inline __attribute__((always_inline)) void pool_plane_down(const struct plane *p, struct braid_band band,
                                                                  bool average, int stride) {
  for (int ow = 0; ow < p->out.w; ow += VF) pool_down(p, ow, average, stride, band);
  size_t first = (size_t)band.begin * (size_t)p->out.w, end = (size_t)band.end * (size_t)p->out.w;
  vf_act_run(p->act, p->y + first, end - first);
}

static inline __attribute__((always_inline)) void pool_plane(const struct plane *p, struct braid_band band,
                                                             bool average) {
  const struct braid_pool_attrs *a = p->a;
  int k = a->kernel[0] == a->kernel[1] && a->dilation[1] == 1 ? a->kernel[0] : 0, s = a->stride[1];
#define ROWS(k_h, k_w, stride, dilation)                                                                               \
  for (int oh = band.begin; oh < band.end; oh++) pool_row(p, oh, average, k_h, k_w, stride, dilation)
  if (k == 2 && s == 2)
    ROWS(2, 2, 2, 1);
  else if (k == 3 && a->dilation[0] == 1 && s == 1 && a->stride[0] == 1)
    pool_plane_down(p, band, average, 1);
  else if (k == 3 && a->dilation[0] == 1 && s == 2 && a->stride[0] == 2)
    pool_plane_down(p, band, average, 2);
  else
    ROWS(a->kernel[0], a->kernel[1], s, a->dilation[1]);
#undef ROWS
}

static void run(const struct braid_kernel_args *args, const void *packed, void *scratch, struct braid_band band) {
  (void)packed, (void)scratch;
  struct plane p = {
      .a = &args->attrs.pool, .in = image_of(&args->in[0].shape), .out = image_of(&args->out.shape), .act = &args->act};
  for (size_t i = 0; i < (size_t)p.out.n * p.out.c; i++) {
    p.x = in_f32(args, 0) + i * p.in.h * p.in.w;
    p.y = out_f32(args) + i * p.out.h * p.out.w;
    if (args->op == BRAID_OP_MAX_POOL)
      pool_plane(&p, band, false);
    else
      pool_plane(&p, band, true);
  }
}

static bool accepts(const struct braid_kernel_args *args) {
  const struct braid_pool_attrs *a = &args->attrs.pool;
  return all_f32(args) && args->in[0].shape.rank == 4 &&
         ((int64_t)args->out.shape.dim[3] + VF) * a->stride[1] < INT32_MAX / 2 &&
         (int64_t)a->kernel[1] * a->dilation[1] < INT32_MAX / 4;
}

/* Four accumulators hide the latency of the additions. */
static inline __attribute__((always_inline)) float reduce_plane(const float *x, size_t n, bool average) {
  vf none = vf_set(average ? 0.0f : -INFINITY), a[4] = {none, none, none, none};
  size_t i = 0;
  for (; i + 4 * VF <= n; i += 4 * VF)
    for (size_t k = 0; k < 4; k++) a[k] = join(average, a[k], vf_load(x + i + k * VF));
  for (; i + VF <= n; i += VF) a[0] = join(average, a[0], vf_load(x + i));
  if (i < n) a[1] = join(average, a[1], vf_keep_n(vf_load_n(x + i, (int)(n - i)), none, (int)(n - i)));
  vf all = join(average, join(average, a[0], a[1]), join(average, a[2], a[3]));
  return average ? vf_sum(all) / (float)n : vf_largest(all);
}

static void global_run(const struct braid_kernel_args *args, const void *packed, void *scratch,
                       struct braid_band band) {
  (void)packed, (void)scratch;
  size_t inner = channels_of(&args->in[0].shape).inner;
  bool average = args->op == BRAID_OP_GLOBAL_AVERAGE_POOL;
  struct runs r = runs_of(&args->out.shape, band);
  for (size_t run = 0; run < r.count; run++) {
    float *y = out_f32(args) + r.first + run * r.stride;
    const float *x = in_f32(args, 0) + (r.first + run * r.stride) * inner;
    for (size_t i = 0; i < r.n; i++)
      y[i] = average ? reduce_plane(x + i * inner, inner, true) : reduce_plane(x + i * inner, inner, false);
    vf_act_run(&args->act, y, r.n);
  }
}

static bool global_accepts(const struct braid_kernel_args *args) {
  return all_f32(args) && args->in[0].shape.rank >= 3 && channels_of(&args->in[0].shape).inner > 0;
}

#define ROW(text, id, accept, fn)                                                                                      \
  { .name = text "__" ISA_TEXT, .op = id, .needs = ISA_NEEDS, .sliceable = true, .accepts = accept, .run = fn }
const struct braid_kernel ISA_TABLE(pool)[] = {
    ROW("max_pool2d_f32", BRAID_OP_MAX_POOL, accepts, run),
    ROW("average_pool2d_f32", BRAID_OP_AVERAGE_POOL, accepts, run),
    ROW("global_max_pool_f32", BRAID_OP_GLOBAL_MAX_POOL, global_accepts, global_run),
    ROW("global_average_pool_f32", BRAID_OP_GLOBAL_AVERAGE_POOL, global_accepts, global_run),
    {0},
};
