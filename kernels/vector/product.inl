/* SPDX-License-Identifier: Apache-2.0
 *
 * The heart of convolutions and matrix products: a tile of TILE_ROWS rows by up to TILE_VECTORS vectors of columns
 * whose sums stay in registers. Both operands are packed: a [kc][TILE_ROWS], b [kc][columns of the tile], so that the
 * loop reads memory in one direction only. Products longer than one block of k add up in y, and begin with a residual
 * where there is one, so that y may lie where the residual does; the last block adds what follows a convolution (bias,
 * activation) while the sums are still in registers.
 *
 * Every sum is added in the order of k, block after block, so a value depends neither on the tile nor on the band of
 * rows that it is computed with. */
#include "ending.inl"

#if defined(__AVX512F__) || defined(__aarch64__)
enum { TILE_ROWS = 8 }; /* 24 sums, 3 columns, 1 weight (NEON: 2 registers of 4) of 32 registers */
#else
enum { TILE_ROWS = 4 }; /* 12 + 3 + 1 of 16 */
#endif
enum { AHEAD = 1024 }; /* floats: weights come from memory once a frame, and its prefetchers stop at every page */
enum { TILE_VECTORS = 3, TILE_COLUMNS = TILE_VECTORS * VF };

struct tile {
  int kc;
  const float *a, *b;
  float *y; /* [rows] at distance ldy, n columns */
  size_t ldy;
  int rows, n;
  const float *onto; /* like y: the sums of the blocks before, which is y itself, or a residual; NULL: nothing */
  const float *bias; /* [rows] or NULL */
};

static inline __attribute__((always_inline)) void end_row(const struct tile *t, const struct ending *e, int row,
                                                          const vf *sum, int vectors) {
  float *y = t->y + (size_t)row * t->ldy;
  vf lo = vf_set(e->lo), hi = vf_set(e->hi), bias = vf_set(e->last && t->bias ? t->bias[row] : 0.0f);
#pragma GCC unroll 3
  for (int v = 0; v < vectors; v++) {
    int n = v + 1 < vectors ? VF : t->n - v * VF;
    vf x = sum[v];
    if (t->onto) x = vf_add(load_some(t->onto + (size_t)row * t->ldy + v * VF, n), x);
    if (e->last) x = vf_min(hi, vf_max(lo, vf_add(x, bias)));
    store_some(y + v * VF, x, n);
  }
  if (e->last && e->other_act) vf_act_run(e->act, y, (size_t)t->n);
}

static inline __attribute__((always_inline)) void tile_of(const struct tile *t, const struct ending *e, int vectors) {
  vf sum[TILE_ROWS][TILE_VECTORS];
  const float *a = t->a, *b = t->b;
#pragma GCC unroll 8
  for (int i = 0; i < TILE_ROWS; i++)
#pragma GCC unroll 3
    for (int v = 0; v < vectors; v++) sum[i][v] = vf_set(0.0f);
  for (int k = 0; k < t->kc; k++, a += TILE_ROWS, b += vectors * VF) {
    vf column[TILE_VECTORS];
    __builtin_prefetch(a + AHEAD);
#pragma GCC unroll 3
    for (int v = 0; v < vectors; v++) column[v] = vf_load(b + v * VF);
    vw weights = vw_load(a);
#pragma GCC unroll 8
    for (int i = 0; i < TILE_ROWS; i++) {
      vf weight = vw_lane(weights, i);
#pragma GCC unroll 3
      for (int v = 0; v < vectors; v++) sum[i][v] = vf_fma(weight, column[v], sum[i][v]);
    }
  }
#pragma GCC unroll 8
  for (int i = 0; i < TILE_ROWS; i++)
    if (i < t->rows) end_row(t, e, i, sum[i], vectors);
}

static void tile_run(const struct tile *t, const struct ending *e, int vectors) {
  switch (vectors) {
  case 1:
    tile_of(t, e, 1);
    break;
  case 2:
    tile_of(t, e, 2);
    break;
  default:
    tile_of(t, e, 3);
  }
}

/* How many vectors the next tile of a line of `left` vectors takes: threes, and twos where a one would be left. */
static inline int tile_vectors(int left) {
  return left == 4 || left == 2 ? 2 : left < TILE_VECTORS ? left : TILE_VECTORS;
}

/* ------------------------------------------------------------------------------------------- a single column
 * A column that is left over (a map of 7x7 has 49) would take a tile as long as a vector does. Here the rows are the
 * lanes: a vh holds TILE_ROWS of them, and several tiles of a hide each other's latency. */
enum { COLUMN_TILES = 8 };
_Static_assert(sizeof(vh) == TILE_ROWS * sizeof(float), "a vh is a column of a tile");

static inline __attribute__((always_inline)) void sum_column(const struct tile *t, const float *a, int tiles,
                                                             float *sums) {
  size_t step = (size_t)t->kc * TILE_ROWS;
  vh sum[COLUMN_TILES];
#pragma GCC unroll 8
  for (int i = 0; i < tiles; i++) sum[i] = vh_set(0.0f);
  for (int k = 0; k < t->kc; k++, a += TILE_ROWS) {
    vh x = vh_set(t->b[k]);
#pragma GCC unroll 8
    for (int i = 0; i < tiles; i++) sum[i] = vh_fma(vh_load(a + (size_t)i * step), x, sum[i]);
  }
#pragma GCC unroll 8
  for (int i = 0; i < tiles; i++) vh_store(sums + i * TILE_ROWS, sum[i]);
}

/* Of a tile that is one column wide and any number of rows high: b [kc]. */
static inline void column_run(const struct tile *t, const struct ending *e) {
  float sums[COLUMN_TILES * TILE_ROWS];
  for (int row = 0; row < t->rows;) {
    const float *a = t->a + (size_t)row * (size_t)t->kc;
    bool full = t->rows - row > (COLUMN_TILES - 1) * TILE_ROWS;
    int n = full ? COLUMN_TILES * TILE_ROWS : TILE_ROWS;
    if (full)
      sum_column(t, a, COLUMN_TILES, sums);
    else
      sum_column(t, a, 1, sums);
    for (int i = 0; i < n && row + i < t->rows; i++) {
      vf x = vf_set(sums[i]);
      end_row(t, e, row + i, &x, 1);
    }
    row += n;
  }
}

/* Rows of packed weights: whole tiles. */
static inline size_t whole_rows(int m) {
  return ((size_t)m + TILE_ROWS - 1) / TILE_ROWS * TILE_ROWS;
}

/* a [m][k] (leading dimension lda), columns [k0,k1), as [m/TILE_ROWS][k1-k0][TILE_ROWS]; rows beyond m are zeros. */
static inline float *pack_rows(float *to, const float *a, size_t lda, int m, int k0, int k1) {
  for (int row = 0; row < m; row += TILE_ROWS)
    for (int k = k0; k < k1; k++)
      for (int i = 0; i < TILE_ROWS; i++) *to++ = row + i < m ? a[(size_t)(row + i) * lda + (size_t)k] : 0.0f;
  return to;
}
