/* SPDX-License-Identifier: Apache-2.0
 *
 * The input of a convolution in a form in which every tap of every stride is a shift: padded, and split by the phases
 * of the stride, so that output (oh,ow) reads element (oh + shift, ow + shift) of the tap's phase. A plane holds the
 * phases one after the other, [phases h][phases w][rows][wide]. An input that needs neither may be read in place. */
#include "taps.inl"

enum { MAX_TAPS = 4096 };

struct geometry {
  const struct braid_conv_attrs *a;
  struct image in, out;
  int taps;
  bool in_place;
  int phases[2], wide; /* phases that are used; columns of one */
  size_t in_plane, out_plane;
};

static int shift_of(const struct braid_conv_attrs *a, int axis, int tap) {
  return tap * a->dilation[axis] / a->stride[axis];
}
static int phase_of(const struct braid_conv_attrs *a, int axis, int tap) {
  return tap * a->dilation[axis] % a->stride[axis];
}

static struct geometry geometry_of(const struct braid_kernel_args *args) {
  const struct braid_conv_attrs *a = &args->attrs.conv;
  struct geometry g = {.a = a, .in = image_of(&args->in[0].shape), .out = image_of(&args->out.shape)};
  g.taps = a->kernel[0] * a->kernel[1];
  g.in_plane = (size_t)g.in.h * (size_t)g.in.w;
  g.out_plane = (size_t)g.out.h * (size_t)g.out.w;
  for (int axis = 0; axis < 2; axis++) g.phases[axis] = a->kernel[axis] > 1 ? a->stride[axis] : 1;
  g.wide = g.out.w + shift_of(a, 1, a->kernel[1] - 1);
  return g;
}

/* Offsets within a source, and positions of masked lanes, must stay ints. */
static bool geometry_fits(const struct geometry *g) {
  const struct braid_conv_attrs *a = g->a;
  int64_t taps = (int64_t)a->kernel[0] * a->kernel[1];
  int64_t wide = g->out.w + (int64_t)(a->kernel[1] - 1) * a->dilation[1] + VF,
          high = g->out.h + (int64_t)(a->kernel[0] - 1) * a->dilation[0];
  return taps <= MAX_TAPS && wide * a->stride[1] < INT32_MAX / 8 && high * a->stride[0] < INT32_MAX / 8 &&
         wide * high * a->stride[0] * a->stride[1] < INT32_MAX / 8 && (int64_t)g->in.h * g->in.w < INT32_MAX / 8;
}

/* Floats of one channel for `rows` rows of output. */
static size_t source_plane(const struct geometry *g, int rows) {
  if (g->in_place) return g->in_plane;
  int high = rows + shift_of(g->a, 0, g->a->kernel[0] - 1);
  return (size_t)g->phases[0] * (size_t)g->phases[1] * (size_t)high * (size_t)g->wide;
}

struct source {
  const float *x; /* first channel of the block, at the chunk's first row */
  size_t plane;
  int *tap; /* [taps]: offset of a tap's element for output (0,0) */
};

static void place_taps(const struct geometry *g, int rows, int *tap) {
  const struct braid_conv_attrs *a = g->a;
  int high = rows + shift_of(a, 0, a->kernel[0] - 1);
  for (int kh = 0; kh < a->kernel[0]; kh++)
    for (int kw = 0; kw < a->kernel[1]; kw++, tap++) {
      int plane = phase_of(a, 0, kh) * g->phases[1] + phase_of(a, 1, kw);
      *tap = ((g->in_place ? 0 : plane * high) + shift_of(a, 0, kh)) * g->wide + shift_of(a, 1, kw);
    }
}

/* Vector i of eights that begin six floats apart. May read VF floats from the last one on. */
static inline __attribute__((always_inline)) vf eights(const float *from, int i) {
  if (VF <= 8) return vf_load(from + 6 * (i * VF / 8) + i * VF % 8);
  return vf_merge_lanes(vf_load(from + 12 * i), from + 12 * i + 6 - 8, vm_lanes(8, 16));
}

/* Lane i of x[p] is row[first + 6 * i + p], `pad` outside [0,n): the eight phases of eights, of which six are new. */
static inline void load_sixths(const float *row, int first, int n, vf pad, vf *x) {
  float line[8 * VF];
  const float *from = line;
  if (first >= 0 && first + 8 * VF <= n)
    from = row + first;
  else
    for (int i = 0; i < 8; i++) vf_store(line + i * VF, load_within(row, first + i * VF, n, pad));
  vf even[4], odd[4];
  for (int i = 0; i < 4; i++) {
    vf a = eights(from, 2 * i), b = eights(from, 2 * i + 1);
    even[i] = vf_even(a, b);
    odd[i] = vf_odd(a, b);
  }
  vf by_4[4][2];
  for (int i = 0; i < 2; i++) {
    by_4[0][i] = vf_even(even[2 * i], even[2 * i + 1]);
    by_4[1][i] = vf_even(odd[2 * i], odd[2 * i + 1]);
    by_4[2][i] = vf_odd(even[2 * i], even[2 * i + 1]);
    by_4[3][i] = vf_odd(odd[2 * i], odd[2 * i + 1]);
  }
  for (int p = 0; p < 4; p++) x[p] = vf_even(by_4[p][0], by_4[p][1]);
  for (int p = 4; p < 6; p++) x[p] = vf_odd(by_4[p - 4][0], by_4[p - 4][1]);
}

/* One row of the input, all phases, which lie `phase` floats apart; `pad` is what the padding holds. */
static inline void spread_row(const struct geometry *g, float *to, size_t phase, const float *row, vf pad) {
  int stride = g->a->stride[1], n = g->in.w;
  for (int i = 0; i < g->wide; i += VF) {
    int some = g->wide - i < VF ? g->wide - i : VF, first = i * stride - g->a->pad[1];
    vf x[6];
    if (stride == 1) {
      x[0] = load_within(row, first, n, pad);
    } else if (stride == 2) {
      vf a = load_within(row, first, n, pad), b = load_within(row, first + VF, n, pad);
      x[0] = vf_even(a, b);
      x[1] = vf_odd(a, b);
    } else if (stride == 4) {
      vf a = load_within(row, first, n, pad), b = load_within(row, first + VF, n, pad);
      vf c = load_within(row, first + 2 * VF, n, pad), d = load_within(row, first + 3 * VF, n, pad);
      vf even = vf_even(a, b), more_even = vf_even(c, d), odd = vf_odd(a, b), more_odd = vf_odd(c, d);
      x[0] = vf_even(even, more_even);
      x[1] = vf_even(odd, more_odd);
      x[2] = vf_odd(even, more_even);
      x[3] = vf_odd(odd, more_odd);
    } else if (stride == 6) {
      load_sixths(row, first, n, pad, x);
    } else {
      for (int p = 0; p < g->phases[1]; p++)
        store_some(to + (size_t)p * phase + i, load_taps(row, first + p, stride, n, pad), some);
      continue;
    }
    for (int p = 0; p < g->phases[1]; p++) store_some(to + (size_t)p * phase + i, x[p], some);
  }
}

static inline void clear_row(const struct geometry *g, float *to, size_t phase, vf pad) {
  for (int p = 0; p < g->phases[1]; p++)
    for (int i = 0; i < g->wide; i += VF)
      store_some(to + (size_t)p * phase + i, pad, g->wide - i < VF ? g->wide - i : VF);
}

/* Some channels for output rows [first, first + rows). */
static inline void spread(const struct geometry *g, float *to, const float *x, int channels, int first, int rows) {
  int high = rows + shift_of(g->a, 0, g->a->kernel[0] - 1);
  size_t phase = (size_t)high * (size_t)g->wide;
  for (int c = 0; c < channels; c++, x += g->in_plane)
    for (int ph = 0; ph < g->phases[0]; ph++, to += phase * (size_t)g->phases[1])
      for (int r = 0; r < high; r++) {
        int ih = (first + r) * g->a->stride[0] + ph - g->a->pad[0];
        float *line = to + (size_t)r * (size_t)g->wide;
        if (ih >= 0 && ih < g->in.h)
          spread_row(g, line, phase, x + (size_t)ih * (size_t)g->in.w, vf_set(0.0f));
        else
          clear_row(g, line, phase, vf_set(0.0f));
      }
}

/* ------------------------------------------------------------------------------------------------ outputs as vectors
 * A vector of outputs, counted row by row: runs of lanes that lie side by side in the source. */
struct gather {
  int n, offset[VF];
  vm lanes[VF];
};

static inline void find_lanes(const struct geometry *geo, struct gather *g, int first, int n) {
  g->n = 0;
  for (int i = 0; i < n;) {
    int row = (first + i) / geo->out.w, col = (first + i) % geo->out.w;
    int run = geo->wide == geo->out.w ? n - i : geo->out.w - col;
    if (run > n - i) run = n - i;
    g->offset[g->n] = row * geo->wide + col - i;
    g->lanes[g->n++] = vm_lanes(i, i + run);
    i += run;
  }
}
