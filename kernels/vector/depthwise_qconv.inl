/* SPDX-License-Identifier: Apache-2.0
 * Convolution of bytes, one channel a group. Their products are small enough that sums of floats are exact: a channel's
 * rows become floats less the zero point, in a source (source.inl) in which every tap is a shift. */
#include "ending.inl"
#include "source.inl"

#include "requantize.inl"

enum { EXACT_TAPS = 256, DEPTH_VECTORS = 4, RUN_FLOATS = 2048 }; /* 256 * 255 * 255 < 2^24 */

static size_t line_floats(const struct geometry *g) { return ((size_t)g->in.w + VF - 1) / VF * VF; }
static size_t tap_floats(const struct geometry *g) { return ((size_t)g->taps + VF - 1) / VF * VF; }

/* Rows whose sums are calculated as one run, across the columns between them: no vector is cut off on small maps. */
static int run_rows(const struct geometry *g, int rows) {
  int most = RUN_FLOATS / g->wide;
  return most < 1 ? 1 : most < rows ? most : rows;
}
static size_t sums_floats(const struct geometry *g, int rows) {
  size_t run = (size_t)run_rows(g, rows) * (size_t)g->wide, step = DEPTH_VECTORS * VF;
  return (run + step - 1) / step * step;
}

static void to_floats(const uint8_t *x, int n, bool is_signed, int zero, float *to) {
  vi less = vi_set(-zero);
  for (int i = 0; i < n; i += VF) {
    int some = n - i < VF ? n - i : VF;
    store_some(to + i, vi_float(vi_add(load_bytes(x + i, some, is_signed), less)), some);
  }
}

static void fill_row(const struct geometry *g, const uint8_t *row, bool is_signed, int zero, float *line, float *to,
                     size_t phase) {
  int left = g->a->pad[1], right = g->wide - left - g->in.w;
  if (g->a->stride[1] > 1) {
    to_floats(row, g->in.w, is_signed, zero, line);
    spread_row(g, to, phase, line, vf_set(0.0f));
    return;
  }
  for (int i = 0; i < left; i++) to[i] = 0.0f;
  to_floats(row, g->in.w, is_signed, zero, to + left);
  for (int i = 0; i < right; i++) to[left + g->in.w + i] = 0.0f;
}

static void fill_channel(const struct geometry *g, const uint8_t *x, bool is_signed, int zero, int first, int rows,
                         float *line, float *to) {
  int high = rows + shift_of(g->a, 0, g->a->kernel[0] - 1);
  size_t phase = (size_t)high * (size_t)g->wide;
  for (int ph = 0; ph < g->phases[0]; ph++, to += phase * (size_t)g->phases[1])
    for (int r = 0; r < high; r++) {
      int ih = (first + r) * g->a->stride[0] + ph - g->a->pad[0];
      float *row = to + (size_t)r * (size_t)g->wide;
      if (ih >= 0 && ih < g->in.h)
        fill_row(g, x + (size_t)ih * (size_t)g->in.w, is_signed, zero, line, row, phase);
      else
        clear_row(g, row, phase, vf_set(0.0f));
    }
}

static inline __attribute__((always_inline)) void sum_vectors(const float *from, const int *tap, const float *w, int taps,
                                                              int vectors, float *sums) {
  vf sum[DEPTH_VECTORS];
  for (int v = 0; v < vectors; v++) sum[v] = vf_set(0.0f);
  for (int t = 0; t < taps; t++)
    for (int v = 0; v < vectors; v++) sum[v] = vf_fma(vf_set(w[t]), vf_load(from + tap[t] + v * VF), sum[v]);
  for (int v = 0; v < vectors; v++) vf_store(sums + v * VF, of_bits(vf_int(sum[v])));
}

/* n sums side by side, as int32, and what a vector holds beyond them. */
static void sum_run(const float *from, const int *tap, const float *w, int taps, int n, float *sums) {
  int i = 0;
  for (; n - i > (DEPTH_VECTORS - 1) * VF; i += DEPTH_VECTORS * VF)
    sum_vectors(from + i, tap, w, taps, DEPTH_VECTORS, sums + i);
  for (; i < n; i += VF) sum_vectors(from + i, tap, w, taps, 1, sums + i);
}

/* Some rows of outputs from a run of sums. Short rows of bytes are made as one line, then parted. */
static void put_rows(const struct geometry *g, const struct requantize *q, const float *sums, int rows, size_t at, int c,
                     int32_t bias) {
  enum { SHORT_ROW = 32 };
  uint8_t line[RUN_FLOATS + SHORT_ROW];
  struct requantize whole = *q;
  bool bytes = q->a->to == BRAID_U8 || q->a->to == BRAID_I8;
  int n = (rows - 1) * g->wide + g->out.w;
  if (!bytes || q->residual || g->out.w > SHORT_ROW || n > (int)sizeof line) {
    for (int i = 0; i < rows; i++)
      requantize_line(q, sums + (size_t)i * (size_t)g->wide, g->out.w, at + (size_t)i * (size_t)g->out.w, c, bias, NULL);
    return;
  }
  whole.y = line;
  requantize_line(&whole, sums, n, 0, c, bias, NULL);
  for (int i = 0; i < rows; i++)
    memcpy(q->y + at + (size_t)i * (size_t)g->out.w, line + (size_t)i * (size_t)g->wide, (size_t)g->out.w);
}

static void run(const struct braid_kernel_args *args, const void *packed, void *scratch, struct braid_band band) {
  struct geometry g = geometry_of(args);
  struct requantize q = requantize_of(args);
  const int32_t *bias = has_in(args, 2) ? args->in[2].data : NULL;
  const int8_t *w = args->in[1].data;
  int *tap = scratch, rows = band.end - band.begin;
  float *weight = (float *)scratch + tap_floats(&g), *line = weight + tap_floats(&g);
  float *sums = line + line_floats(&g), *source = sums + sums_floats(&g, rows);
  (void)packed;
  place_taps(&g, rows, tap);
  for (int n = 0; n < g.out.n; n++)
    for (int c = 0; c < g.out.c; c++) {
      const uint8_t *x = (const uint8_t *)args->in[0].data + ((size_t)n * (size_t)g.in.c + (size_t)c) * g.in_plane;
      size_t at = ((size_t)n * (size_t)g.out.c + (size_t)c) * g.out_plane;
      for (int t = 0; t < g.taps; t++)
        weight[t] = (float)(w[(size_t)c * (size_t)g.taps + (size_t)t] - args->attrs.qconv.w_zero);
      fill_channel(&g, x, args->in[0].dtype == BRAID_I8, args->attrs.qconv.x_zero, band.begin, rows, line, source);
      for (int r = 0, some; r < rows; r += some) {
        some = run_rows(&g, rows - r);
        sum_run(source + (size_t)r * (size_t)g.wide, tap, weight, g.taps, (some - 1) * g.wide + g.out.w, sums);
        put_rows(&g, &q, sums, some, at + (size_t)(band.begin + r) * (size_t)g.out.w, c, bias ? bias[c] : 0);
      }
    }
}

static size_t scratch_bytes(const struct braid_kernel_args *args, int rows) {
  struct geometry g = geometry_of(args);
  size_t source = source_plane(&g, rows) + DEPTH_VECTORS * VF; /* the last vectors of the last row hang over */
  return (2 * tap_floats(&g) + line_floats(&g) + sums_floats(&g, rows) + source) * sizeof(float);
}

static bool accepts(const struct braid_kernel_args *args) {
  if (args->in[0].shape.rank != 4 || args->out.shape.rank != 4 || !quantised_operands(args)) return false;
  struct geometry g = geometry_of(args);
  return g.a->group == g.in.c && g.out.c == g.in.c && g.taps <= EXACT_TAPS && geometry_fits(&g);
}

const struct braid_kernel ISA_TABLE(depthwise_qconv)[] = {
    {.name = "qconv2d__depthwise_" ISA_TEXT,
     .op = BRAID_OP_QLINEAR_CONV,
     .needs = ISA_NEEDS,
     .sliceable = true,
     .accepts = accepts,
     .scratch_bytes = scratch_bytes,
     .run = run},
    {0},
};
