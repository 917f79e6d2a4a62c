/* SPDX-License-Identifier: Apache-2.0
 *
 * Depthwise convolution (one input channel per output channel). A channel's source (source.inl) stays in the first
 * level cache, and sums are made over whole lines of it as if its rows were one: what falls between two rows is thrown
 * away, which costs less than ending a vector with every row, on small maps above all. The common kernels are constants
 * to the compiler, the rest goes through the same code with variables. */
#include "ending.inl"
#include "source.inl"

enum { PLANE_BYTES = 20 * 1024, BATCH = 4 }; /* vectors of sums at a time */

/* sums[q] = sum over taps of w[t] * x[tap[t] + q], q in [0,n), in whole batches of vectors. */
static inline __attribute__((always_inline)) void sum_taps(float *sums, const float *x, const float *w, const int *tap,
                                                           int taps, int n) {
  for (int q = 0; q < n; q += BATCH * VF) {
    vf sum[BATCH] = {vf_set(0.0f), vf_set(0.0f), vf_set(0.0f), vf_set(0.0f)};
    for (int t = 0; t < taps; t++) {
      const float *from = x + tap[t] + q;
      vf weight = vf_set(w[t]);
      for (int i = 0; i < BATCH; i++) sum[i] = vf_fma(weight, vf_load(from + i * VF), sum[i]);
    }
    for (int i = 0; i < BATCH; i++) vf_store(sums + q + i * VF, sum[i]);
  }
}

static void sum_plane(float *sums, const float *x, const float *w, const int *tap, int taps, int n) {
  switch (taps) {
  case 9:
    sum_taps(sums, x, w, tap, 9, n);
    break;
  case 25:
    sum_taps(sums, x, w, tap, 25, n);
    break;
  default:
    sum_taps(sums, x, w, tap, taps, n);
  }
}

static int chunk_rows(const struct geometry *g, int rows) {
  int most = 1;
  while (most < rows && source_plane(g, most + 1) * sizeof(float) <= PLANE_BYTES) most++;
  return most;
}

static size_t batch_floats(size_t n) {
  return (n + BATCH * VF - 1) / (BATCH * VF) * BATCH * VF;
}

/* Scratch: offsets of the taps, the source with what the last batch reads beyond it, the sums. */
struct rooms {
  int *tap;
  float *source, *sums;
  size_t floats;
};

static struct rooms rooms_of(const struct geometry *g, int rows, float *scratch) {
  size_t taps = batch_floats((size_t)g->taps), source = batch_floats(source_plane(g, rows)) + BATCH * VF,
         sums = batch_floats((size_t)rows * (size_t)g->wide);
  return (struct rooms){(int *)(void *)scratch, scratch + taps, scratch + taps + source, taps + source + sums};
}

/* One channel of one image: [H,W], [taps], and [OH,OW] or NULL. */
struct plane {
  const float *x, *w, *residual;
  float *y, bias;
};

static void run_plane(const struct geometry *g, const struct plane *p, const struct rooms *room, const struct ending *e,
                      int first, int rows) {
  spread(g, room->source, p->x, 1, first, rows);
  sum_plane(room->sums, room->source, p->w, room->tap, g->taps, rows * g->wide);
  for (int r = 0; r < rows; r++) {
    size_t at = (size_t)(first + r) * (size_t)g->out.w;
    end_line(e, p->y + at, room->sums + (size_t)r * (size_t)g->wide, g->out.w, p->bias,
             p->residual ? p->residual + at : NULL);
  }
}

static void run(const struct braid_kernel_args *args, const void *packed, void *scratch, struct braid_band band) {
  (void)packed;
  struct geometry g = geometry_of(args);
  struct ending e = ending_of(&args->act);
  const float *bias = in_f32(args, 2), *residual = in_f32(args, 3);
  int most = chunk_rows(&g, band.end - band.begin);
  for (int first = band.begin, rows; first < band.end; first += rows) {
    rows = band.end - first < most ? band.end - first : most;
    struct rooms room = rooms_of(&g, rows, scratch);
    place_taps(&g, rows, room.tap);
    for (size_t i = 0; i < (size_t)g.out.n * (size_t)g.out.c; i++) {
      size_t c = i % (size_t)g.out.c;
      struct plane p = {.x = in_f32(args, 0) + i * g.in_plane,
                        .w = in_f32(args, 1) + c * (size_t)g.taps,
                        .residual = residual ? residual + i * g.out_plane : NULL,
                        .y = out_f32(args) + i * g.out_plane,
                        .bias = bias ? bias[c] : 0.0f};
      run_plane(&g, &p, &room, &e, first, rows);
    }
  }
}

static size_t scratch_bytes(const struct braid_kernel_args *args, int rows) {
  struct geometry g = geometry_of(args);
  return rooms_of(&g, chunk_rows(&g, rows), NULL).floats * sizeof(float);
}

static bool accepts(const struct braid_kernel_args *args) {
  if (!all_f32(args) || args->in[0].shape.rank != 4) return false;
  struct geometry g = geometry_of(args);
  return g.a->group == g.in.c && g.out.c == g.in.c && geometry_fits(&g);
}

const struct braid_kernel ISA_TABLE(depthwise)[] = {
    {.name = "depthwise2d_f32__" ISA_TEXT,
     .op = BRAID_OP_CONV,
     .needs = ISA_NEEDS,
     .in_place = IN_PLACE_OF(3),
     .sliceable = true,
     .accepts = accepts,
     .scratch_bytes = scratch_bytes,
     .run = run},
    {0},
};
