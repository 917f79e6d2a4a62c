/* SPDX-License-Identifier: Apache-2.0
 *
 * 3x3 convolutions of stride 1 as F(OUTxOUT,3x3) of A. Lavin and S. Gray, "Fast Algorithms for Convolutional Neural
 * Networks" (2015): a tile of OUT x OUT outputs takes IN x IN products, IN = OUT + 2, where the direct way takes
 * 9 OUT x OUT. With U = G g G' (once, when the weights are packed), V = B' d B and M[i] = U[i] V[i], the outputs are
 * A' M A.
 * Whoever includes this (winograd2.inl, 4, 6) brings OUT and IN, the matrix G, B' and A' as functions of one dimension
 * (input_1d, output_1d), WINOGRAD_INTERLEAVE, which puts the outputs of a row of VF tiles side by side, and, with
 * WINOGRAD_BY_RULE, from how many tiles, channels of the input and tiles of inputs on it is worth taking.
 *
 * A lane is a tile. The input tiles are the windows of a convolution of IN x IN and stride OUT, so source.inl brings
 * them into vectors. Tiles are counted row by row from the band's first row; up to TILE_COLUMNS of them go through all
 * three steps together. Input rows that no output of the band needs count as zeros. The transforms cost some accuracy,
 * the more the larger the tile: tests/kernels/test_compare.c says how much. */
#include "source.inl"

enum { FREQUENCIES = IN * IN, OUTPUT_BLOCK = 32, SOURCE_BYTES = 128 * 1024, LINE_SLACK = VF };
enum { FEWEST_OUTPUTS = 16 }; /* channels */

/* u [IN][IN] of one 3x3 kernel. */
static void weight_2d(const float *g, double *u) {
  double half[IN][3];
  for (int i = 0; i < IN; i++)
    for (int j = 0; j < 3; j++)
      half[i][j] = G[i][0] * (double)g[j] + G[i][1] * (double)g[3 + j] + G[i][2] * (double)g[6 + j];
  for (int i = 0; i < IN; i++)
    for (int j = 0; j < IN; j++) u[i * IN + j] = half[i][0] * G[j][0] + half[i][1] * G[j][1] + half[i][2] * G[j][2];
}

/* ------------------------------------------------------------------------------------------------ geometry */

struct winograd {
  struct braid_conv_attrs windows; /* of the input tiles */
  struct geometry geo;             /* of those: outputs are tiles */
  struct image out;
  int c, o;
  size_t rows; /* of packed weights */
};

/* `windows` lies in *v, which must stay where it is. */
static void winograd_of(const struct braid_kernel_args *args, int rows, struct winograd *v) {
  *v = (struct winograd){.windows = args->attrs.conv, .geo = geometry_of(args), .out = image_of(&args->out.shape)};
  v->c = v->geo.in.c;
  v->o = v->out.c;
  v->rows = whole_rows(v->o);
  for (int axis = 0; axis < 2; axis++) {
    v->windows.kernel[axis] = IN;
    v->windows.stride[axis] = v->geo.phases[axis] = OUT;
  }
  v->geo.a = &v->windows;
  v->geo.taps = FREQUENCIES;
  v->geo.out.h = (rows + OUT - 1) / OUT;
  v->geo.out.w = (v->out.w + OUT - 1) / OUT;
  v->geo.wide = v->geo.out.w + 1;
}

/* Tile rows that a run of tiles may touch. */
static int tile_rows(const struct winograd *v) {
  int most = (TILE_COLUMNS + v->geo.out.w - 2) / v->geo.out.w + 1;
  return most < v->geo.out.h ? most : v->geo.out.h;
}

static int source_channels(const struct winograd *v) {
  size_t fit = SOURCE_BYTES / sizeof(float) / source_plane(&v->geo, tile_rows(v));
  return fit < 1 ? 1 : fit < (size_t)v->c ? (int)fit : v->c;
}

/* Scratch. */
struct rooms {
  int *tap;
  float *source, *v, *m, *lines;
  size_t floats;
};

static struct rooms rooms_of(const struct winograd *v, float *scratch) {
  size_t taps = (FREQUENCIES + VF - 1) / VF * VF,
         source = (source_plane(&v->geo, tile_rows(v)) * (size_t)source_channels(v) + 2 * VF - 1) / VF * VF,
         in = (size_t)FREQUENCIES * (size_t)v->c * TILE_COLUMNS, m = (size_t)FREQUENCIES * OUTPUT_BLOCK * TILE_COLUMNS,
         lines = OUT * ((size_t)OUT * TILE_COLUMNS + LINE_SLACK);
  struct rooms r = {(int *)(void *)scratch, scratch + taps, scratch + taps + source};
  r.m = r.v + in;
  r.lines = r.m + m;
  r.floats = taps + source + in + m + lines;
  return r;
}

/* A run of tiles. */
struct tiles {
  int first, n, vectors; /* first: counted from the band's first tile */
  int row, rows;         /* of tiles: where its source begins, how many rows it has */
};

/* ----------------------------------------------------------------------------------------------- the steps */

/* One channel's tiles: v [FREQUENCIES][c][columns]. */
static inline __attribute__((always_inline)) void input_tiles_of(const float *x, const int *tap, const struct gather *g,
                                                                 int runs, float *to, size_t frequency) {
  vf half[IN][IN];
  for (int j = 0; j < IN; j++) {
    vf d[IN], t[IN];
#pragma GCC unroll 8
    for (int i = 0; i < IN; i++) {
      const float *from = x + tap[i * IN + j];
      d[i] = vf_load_lanes(from + g->offset[0], g->lanes[0]);
      for (int k = 1; k < runs; k++) d[i] = vf_merge_lanes(d[i], from + g->offset[k], g->lanes[k]);
    }
    input_1d(d, t);
    for (int i = 0; i < IN; i++) half[i][j] = t[i];
  }
  for (int i = 0; i < IN; i++) {
    vf t[IN];
    input_1d(half[i], t);
    for (int j = 0; j < IN; j++, to += frequency) vf_store(to, t[j]);
  }
}

static void input_tiles(const float *x, const int *tap, const struct gather *g, float *to, size_t frequency) {
  switch (g->n) {
  case 1: input_tiles_of(x, tap, g, 1, to, frequency); break;
  case 2: input_tiles_of(x, tap, g, 2, to, frequency); break;
  case 3: input_tiles_of(x, tap, g, 3, to, frequency); break;
  case 4: input_tiles_of(x, tap, g, 4, to, frequency); break;
  default: input_tiles_of(x, tap, g, g->n, to, frequency);
  }
}

static void transform_input(const struct winograd *v, const struct rooms *room, const struct tiles *t, const float *x) {
  struct gather g[TILE_VECTORS];
  int skipped = t->first - t->row * v->geo.out.w, step = source_channels(v);
  size_t columns = (size_t)t->vectors * VF, frequency = (size_t)v->c * columns;
  for (int i = 0; i < t->vectors; i++)
    find_lanes(&v->geo, &g[i], skipped + i * VF, t->n - i * VF < VF ? t->n - i * VF : VF);
  place_taps(&v->geo, t->rows, room->tap);
  for (int c0 = 0; c0 < v->c; c0 += step) {
    int channels = v->c - c0 < step ? v->c - c0 : step;
    spread(&v->geo, room->source, x + (size_t)c0 * v->geo.in_plane, channels, t->row, t->rows);
    for (int c = 0; c < channels; c++)
      for (int i = 0; i < t->vectors; i++)
        input_tiles(room->source + (size_t)c * source_plane(&v->geo, t->rows), room->tap, &g[i],
                    room->v + (size_t)(c0 + c) * columns + (size_t)i * VF, frequency);
  }
}

/* m [FREQUENCIES][rows][columns] for weights' rows [o, o + rows). */
static void multiply(const struct winograd *v, const struct rooms *room, const struct tiles *t, const float *u, int o,
                     int rows) {
  static const struct ending sums_only = {0};
  size_t columns = (size_t)t->vectors * VF;
  struct tile p = {.kc = v->c, .ldy = columns, .n = (int)columns};
  for (int f = 0; f < FREQUENCIES; f++) {
    p.b = room->v + (size_t)f * (size_t)v->c * columns;
    for (int i = 0; i < rows; i += TILE_ROWS) {
      p.a = u + ((size_t)f * v->rows + (size_t)(o + i)) * (size_t)v->c;
      p.y = room->m + ((size_t)f * (size_t)rows + (size_t)i) * columns;
      p.rows = rows - i < TILE_ROWS ? rows - i : TILE_ROWS;
      tile_run(&p, &sums_only, t->vectors);
    }
  }
}

/* Floats from one row of outputs to the next; LINE_SLACK, since an interleave may write beyond its end. */
static size_t line_of(const struct tiles *t) {
  return (size_t)t->vectors * VF * OUT + LINE_SLACK;
}

/* lines [OUT][line], line = line_of(..): the rows of VF tiles of one output, tiles side by side. */
static void output_tiles(const float *m, size_t frequency, float *lines, size_t line) {
  vf half[OUT][IN];
  for (int j = 0; j < IN; j++) {
    vf x[IN], y[OUT];
    for (int i = 0; i < IN; i++) x[i] = vf_load(m + (size_t)(i * IN + j) * frequency);
    output_1d(x, y);
    for (int i = 0; i < OUT; i++) half[i][j] = y[i];
  }
  for (int i = 0; i < OUT; i++) {
    vf y[OUT];
    output_1d(half[i], y);
    WINOGRAD_INTERLEAVE(y, lines + (size_t)i * line);
  }
}

/* One output channel of one image. */
struct plane {
  float *y, bias;
  const float *residual;
};

/* Where the tiles of one output go: row by row of tiles, what lies outside of the band or the map is left out. */
static void put_lines(const struct winograd *v, const struct tiles *t, const struct plane *p, const struct ending *e,
                      const float *lines, struct braid_band band) {
  size_t line = line_of(t);
  for (int done = 0; done < t->n;) {
    int row = (t->first + done) / v->geo.out.w, col = (t->first + done) % v->geo.out.w;
    int run = v->geo.out.w - col < t->n - done ? v->geo.out.w - col : t->n - done;
    int n = v->out.w - col * OUT < run * OUT ? v->out.w - col * OUT : run * OUT;
    for (int i = 0; i < OUT && band.begin + row * OUT + i < band.end; i++) {
      size_t at = (size_t)(band.begin + row * OUT + i) * (size_t)v->out.w + (size_t)col * OUT;
      end_line(e, p->y + at, lines + (size_t)i * line + (size_t)done * OUT, n, p->bias,
               p->residual ? p->residual + at : NULL);
    }
    done += run;
  }
}

struct job {
  const float *x, *u, *bias, *residual;
  float *y;
  struct braid_band band;
};

static void run_tiles(const struct winograd *v, const struct rooms *room, const struct job *j, const struct ending *e,
                      const struct tiles *t) {
  size_t columns = (size_t)t->vectors * VF;
  transform_input(v, room, t, j->x);
  for (int o = 0; o < v->o; o += OUTPUT_BLOCK) {
    int rows = v->o - o < OUTPUT_BLOCK ? v->o - o : OUTPUT_BLOCK;
    multiply(v, room, t, j->u, o, rows);
    for (int i = 0; i < rows; i++) {
      size_t out_at = (size_t)(o + i) * v->geo.out_plane;
      struct plane p = {j->y + out_at, j->bias ? j->bias[o + i] : 0.0f, j->residual ? j->residual + out_at : NULL};
      for (int k = 0; k < t->vectors; k++)
        output_tiles(room->m + (size_t)i * columns + (size_t)k * VF, (size_t)rows * columns,
                     room->lines + (size_t)k * VF * OUT, line_of(t));
      put_lines(v, t, &p, e, room->lines, j->band);
    }
  }
}

/* The band as a network of its own: its first row is the first, and the input ends with what its last row needs. */
static void begin_at(struct winograd *v, struct braid_band band) {
  int last = band.end - 1 - v->windows.pad[0] + 2;
  v->windows.pad[0] -= band.begin;
  if (v->geo.in.h > last + 1) v->geo.in.h = last + 1;
}

static void run(const struct braid_kernel_args *args, const void *packed, void *scratch, struct braid_band band) {
  struct winograd v;
  winograd_of(args, band.end - band.begin, &v);
  begin_at(&v, band);
  struct rooms room = rooms_of(&v, scratch);
  struct ending e = ending_of(&args->act);
  const float *residual = in_f32(args, 3);
  int all = v.geo.out.h * v.geo.out.w;
  for (int n = 0; n < v.out.n; n++) {
    size_t out_at = (size_t)n * (size_t)v.o * v.geo.out_plane;
    struct job j = {in_f32(args, 0) + (size_t)n * (size_t)v.c * v.geo.in_plane,
                    packed,
                    in_f32(args, 2),
                    residual ? residual + out_at : NULL,
                    out_f32(args) + out_at,
                    band};
    for (struct tiles t = {0}; t.first < all; t.first += t.n) {
      t.vectors = tile_vectors((all - t.first + VF - 1) / VF);
      t.n = all - t.first < t.vectors * VF ? all - t.first : t.vectors * VF;
      t.row = t.first / v.geo.out.w;
      t.rows = (t.first + t.n - 1) / v.geo.out.w + 1 - t.row;
      run_tiles(&v, &room, &j, &e, &t);
    }
  }
}

static size_t scratch_bytes(const struct braid_kernel_args *args, int rows) {
  size_t most = 0; /* fewer rows of tiles leave room for more channels of the source */
  for (int r = 1; r <= rows; r += OUT) {
    struct winograd v;
    winograd_of(args, r, &v);
    size_t floats = rooms_of(&v, NULL).floats;
    if (floats > most) most = floats;
  }
  return most * sizeof(float);
}

static size_t packed_bytes(const struct braid_kernel_args *args) {
  struct winograd v;
  winograd_of(args, 1, &v);
  return (size_t)FREQUENCIES * v.rows * (size_t)v.c * sizeof(float);
}

/* [FREQUENCIES][rows of weights / TILE_ROWS][c][TILE_ROWS] */
static void pack(const struct braid_kernel_args *args, void *packed) {
  struct winograd v;
  winograd_of(args, 1, &v);
  const float *w = in_f32(args, 1);
  float *to = packed;
  size_t frequency = v.rows * (size_t)v.c;
  for (size_t o = 0; o < v.rows; o++)
    for (size_t c = 0; c < (size_t)v.c; c++) {
      double u[FREQUENCIES] = {0};
      if (o < (size_t)v.o) weight_2d(w + (o * (size_t)v.c + c) * 9, u);
      size_t at = (o / TILE_ROWS * (size_t)v.c + c) * TILE_ROWS + o % TILE_ROWS;
      for (size_t f = 0; f < FREQUENCIES; f++) to[f * frequency + at] = (float)u[f];
    }
}

#ifdef WINOGRAD_BY_RULE
#define WINOGRAD_FEWEST_ROWS fewest_rows
/* Enough tiles to fill vectors, for more weights than the direct way has. */
static int fewest_rows(const struct braid_kernel_args *args) {
  int across = (image_of(&args->out.shape).w + OUT - 1) / OUT;
  return (FEWEST_TILES + across - 1) / across * OUT - OUT + 1;
}

/* Where the transforms pay: enough channels on both sides, too, and few tiles only where many channels share them. */
static bool pays(const struct braid_kernel_args *args) {
  struct image in = image_of(&args->in[0].shape), out = image_of(&args->out.shape);
  int64_t tiles = (int64_t)((out.h + OUT - 1) / OUT) * ((out.w + OUT - 1) / OUT);
  return in.c >= FEWEST_CHANNELS && out.c >= FEWEST_OUTPUTS && tiles * in.c >= FEWEST_INPUTS && out.w > 0 &&
         out.h >= fewest_rows(args);
}

#else
#define WINOGRAD_FEWEST_ROWS NULL
/* Where it is the fastest hangs on caches and on how tiles fill the map: for those who measure. */
static bool pays(const struct braid_kernel_args *args) {
  (void)args;
  return false;
}
#endif

static bool accepts(const struct braid_kernel_args *args) {
  const struct braid_conv_attrs *a = &args->attrs.conv;
  if (!all_f32(args) || args->in[0].shape.rank != 4 || args->out.shape.rank != 4 || !args->constant[1]) return false;
  for (int axis = 0; axis < 2; axis++)
    if (a->kernel[axis] != 3 || a->stride[axis] != 1 || a->dilation[axis] != 1) return false;
  struct geometry g = geometry_of(args);
  return a->group == 1 && g.in.c > 0 && g.out.c > 0 && g.out.h > 0 && g.out.w > 0 && geometry_fits(&g);
}

const struct braid_kernel WINOGRAD_TABLE[] = {
    {.name = "conv2d_f32__" WINOGRAD_NAME "_" ISA_TEXT,
     .op = BRAID_OP_CONV,
     .needs = ISA_NEEDS,
     .in_place = IN_PLACE_OF(3),
     .sliceable = true,
     .accepts = accepts,
     .pays = pays,
     .fewest_rows = WINOGRAD_FEWEST_ROWS,
     .packed_bytes = packed_bytes,
     .pack = pack,
     .scratch_bytes = scratch_bytes,
     .run = run},
    {0},
};
