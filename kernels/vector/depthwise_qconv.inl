/* SPDX-License-Identifier: Apache-2.0
 * Convolution of bytes, one channel a group. Their products are small enough that sums of floats are exact: a channel's
 * rows become floats less the zero point, in a source (source.inl) in which every tap is a shift. */
#include "ending.inl"
#include "source.inl"

#include "requantize.inl"

enum { EXACT_TAPS = 512, DEPTH_VECTORS = 4 }; /* 512 * 255 * 128 < 2^24 */

struct depthwise {
  struct geometry geo;
  size_t rows; /* floats of a source */
};

static struct geometry depthwise_geometry(const struct braid_kernel_args *args) {
  struct geometry g = geometry_of(args);
  return g;
}

static size_t line_floats(const struct geometry *g) { return ((size_t)g->in.w + VF - 1) / VF * VF; }
static size_t tap_floats(const struct geometry *g) { return ((size_t)g->taps + VF - 1) / VF * VF; }
static size_t sums_floats(const struct geometry *g) {
  return ((size_t)g->out.w + DEPTH_VECTORS * VF - 1) / (DEPTH_VECTORS * VF) * (DEPTH_VECTORS * VF);
}

static void to_floats(const uint8_t *x, int n, bool is_signed, int zero, float *to) {
  vi less = vi_set(-zero);
  for (int i = 0; i < n; i += VF) {
    int some = n - i < VF ? n - i : VF;
    store_some(to + i, vi_float(vi_add(load_bytes(x + i, some, is_signed), less)), some);
  }
}

static void fill_channel(const struct geometry *g, const uint8_t *x, bool is_signed, int zero, int first, int rows,
                         float *line, float *to) {
  int high = rows + shift_of(g->a, 0, g->a->kernel[0] - 1);
  size_t phase = (size_t)high * (size_t)g->wide;
  for (int ph = 0; ph < g->phases[0]; ph++, to += phase * (size_t)g->phases[1])
    for (int r = 0; r < high; r++) {
      int ih = (first + r) * g->a->stride[0] + ph - g->a->pad[0];
      if (ih < 0 || ih >= g->in.h) {
        clear_row(g, to + (size_t)r * (size_t)g->wide, phase, vf_set(0.0f));
        continue;
      }
      to_floats(x + (size_t)ih * (size_t)g->in.w, g->in.w, is_signed, zero, line);
      spread_row(g, to + (size_t)r * (size_t)g->wide, phase, line, vf_set(0.0f));
    }
}

/* One row of outputs: as int32, up to DEPTH_VECTORS vectors behind it. */
static void sum_row(const struct geometry *g, const float *from, const int *tap, const float *w, float *sums) {
  for (int i = 0; i < g->out.w; i += DEPTH_VECTORS * VF) {
    vf sum[DEPTH_VECTORS];
    int vectors = (g->out.w - i + VF - 1) / VF;
    if (vectors >= DEPTH_VECTORS) {
      for (int v = 0; v < DEPTH_VECTORS; v++) sum[v] = vf_set(0.0f);
      for (int t = 0; t < g->taps; t++)
        for (int v = 0; v < DEPTH_VECTORS; v++)
          sum[v] = vf_fma(vf_set(w[t]), vf_load(from + tap[t] + i + v * VF), sum[v]);
      vectors = DEPTH_VECTORS;
    } else {
      for (int v = 0; v < vectors; v++) {
        sum[v] = vf_set(0.0f);
        for (int t = 0; t < g->taps; t++)
          sum[v] = vf_fma(vf_set(w[t]), vf_load(from + tap[t] + i + v * VF), sum[v]);
      }
    }
    for (int v = 0; v < vectors; v++) vf_store(sums + i + v * VF, of_bits(vf_int(sum[v])));
  }
}

static void run(const struct braid_kernel_args *args, const void *packed, void *scratch, struct braid_band band) {
  struct geometry g = depthwise_geometry(args);
  struct requantize q = requantize_of(args);
  const int32_t *bias = has_in(args, 2) ? args->in[2].data : NULL;
  const int8_t *w = args->in[1].data;
  int *tap = scratch, rows = band.end - band.begin;
  float *weight = (float *)scratch + tap_floats(&g), *line = weight + tap_floats(&g);
  float *sums = line + line_floats(&g), *source = sums + sums_floats(&g);
  (void)packed;
  place_taps(&g, rows, tap);
  for (int n = 0; n < g.out.n; n++)
    for (int c = 0; c < g.out.c; c++) {
      const uint8_t *x = (const uint8_t *)args->in[0].data + ((size_t)n * (size_t)g.in.c + (size_t)c) * g.in_plane;
      size_t at = ((size_t)n * (size_t)g.out.c + (size_t)c) * g.out_plane;
      for (int t = 0; t < g.taps; t++) weight[t] = (float)w[(size_t)c * (size_t)g.taps + (size_t)t];
      fill_channel(&g, x, args->in[0].dtype == BRAID_I8, args->attrs.qconv.x_zero, band.begin, rows, line, source);
      for (int r = 0; r < rows; r++) {
        sum_row(&g, source + (size_t)r * (size_t)g.wide, tap, weight, sums);
        requantize_line(&q, sums, g.out.w, at + (size_t)(band.begin + r) * (size_t)g.out.w, c, bias ? bias[c] : 0);
      }
    }
}

static size_t scratch_bytes(const struct braid_kernel_args *args, int rows) {
  struct geometry g = depthwise_geometry(args);
  size_t source = source_plane(&g, rows) + DEPTH_VECTORS * VF; /* the last vectors of the last row hang over */
  return (2 * tap_floats(&g) + line_floats(&g) + sums_floats(&g) + source) * sizeof(float);
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
