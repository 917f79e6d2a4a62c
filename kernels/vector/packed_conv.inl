/* SPDX-License-Identifier: Apache-2.0
 *
 * Convolution as a product of packed operands (product.inl). The weights are packed once. The input is brought into a
 * form in which every tap of every stride is a shift: padded, and split by the phases of the stride, so that output
 * (oh,ow) reads element (oh + shift, ow + shift) of one phase. From there the vectors of a tile's columns are copied
 * into its panel by whole loads, masked where a vector spans rows. An input that needs neither (1x1, stride 1) is read
 * where it lies.
 *
 * An element of the operands is a channel's float, or several channels of a narrower type in as many bits (x86/dot.h):
 * whoever includes this says how many (ELEMENT_CHANNELS), what the input holds (ELEMENT_T), what a product is, and names
 * the file that makes the elements and takes the sums.
 *
 * Blocks: k by whole channels, about BLOCK_K products, whose panel lives in the first level cache; the band by chunks
 * of rows whose source and sums live in the second. */
#include "product.inl"
#include "source.inl"

#ifndef ELEMENT_CHANNELS
#define ELEMENT_CHANNELS 1
#define ELEMENT_T float
#define ELEMENT_FILE "element_f32.inl"
#endif

enum { BLOCK_K = 512, SOURCE_BYTES = 256 * 1024, SUMS_BYTES = 512 * 1024 };
enum { GROUP_TILES = 16, GROUP_BYTES = 128 * 1024 };

struct conv {
  struct geometry geo;
  int channels, c, o;  /* of one group; c: elements of the input's channels */
  int block, n_blocks; /* elements a block of k */
  size_t rows; /* of packed weights */
};

/* Sums of blocks of k add up in the output, where that is of their type. */
#ifdef ELEMENT_WHOLE_SUMS
static const bool sums_add_up = false;
#else
static const bool sums_add_up = true;
#endif

static struct conv conv_of(const struct braid_kernel_args *args) {
  const struct braid_conv_attrs *a = &args->attrs.conv;
  struct conv v = {.geo = geometry_of(args)};
  v.channels = v.geo.in.c / a->group;
  v.c = (v.channels + ELEMENT_CHANNELS - 1) / ELEMENT_CHANNELS;
  v.o = v.geo.out.c / a->group;
  v.geo.in_place = ELEMENT_CHANNELS == 1 && a->stride[0] == 1 && a->stride[1] == 1 &&
                   !(a->pad[0] | a->pad[1] | a->pad[2] | a->pad[3]);
  if (v.geo.in_place) v.geo.wide = v.geo.in.w;
  int blocks = sums_add_up ? (v.c * v.geo.taps + BLOCK_K - 1) / BLOCK_K : 1;
  v.block = (v.c + blocks - 1) / blocks;
  v.n_blocks = (v.c + v.block - 1) / v.block;
  v.rows = whole_rows(v.o);
  return v;
}

/* Floats of the packed weights of so many elements of channels. */
static size_t packed_floats(const struct conv *v, int channels) {
  return v->rows * (size_t)channels * (size_t)v->geo.taps;
}

/* -------------------------------------------------------------------------------------------------- chunks */

static bool chunk_fits(const struct conv *v, int rows) {
  size_t source = v->geo.in_place ? 0 : source_plane(&v->geo, rows) * (size_t)v->block * sizeof(float);
  size_t sums = v->n_blocks == 1 ? 0 : (size_t)rows * (size_t)v->geo.out.w * (size_t)v->o * sizeof(float);
  return source <= SOURCE_BYTES && sums <= SUMS_BYTES;
}

static int most_rows(const struct conv *v, int rows) {
  int most = 1;
  while (most < rows && chunk_fits(v, most + 1)) most++;
  return most;
}

static int64_t vectors_of(const struct conv *v, int rows) {
  return ((int64_t)rows * v->geo.out.w + VF - 1) / VF;
}

/* As few chunks as fit, since each reads all weights; of their sizes the one that fills vectors best, the most even one
 * first. */
static int chunk_rows(const struct conv *v, int rows) {
  int most = most_rows(v, rows), chunks = (rows + most - 1) / most, even = (rows + chunks - 1) / chunks, best = even;
  int64_t fewest = INT64_MAX;
  for (int r = even; r <= most; r++) {
    int64_t vectors = rows / r * vectors_of(v, r) + vectors_of(v, rows % r);
    if (vectors >= fewest) continue;
    fewest = vectors;
    best = r;
  }
  return best;
}

/* --------------------------------------------------------------------------------------------------- panel */

static inline __attribute__((always_inline)) void copy_vectors(const struct source *s, const struct gather *g, int runs,
                                                               int channels, int taps, float *b, size_t ld) {
  for (int c = 0; c < channels; c++) {
    const float *plane = s->x + (size_t)c * s->plane;
    for (int t = 0; t < taps; t++, b += ld) {
      const float *from = plane + s->tap[t];
      vf x = vf_load_lanes(from + g->offset[0], g->lanes[0]);
      for (int i = 1; i < runs; i++) x = vf_merge_lanes(x, from + g->offset[i], g->lanes[i]);
      vf_store(b, x);
    }
  }
}

static inline __attribute__((always_inline)) void copy_whole(const struct source *s, int offset, int channels, int taps,
                                                             float *b, size_t ld) {
  for (int c = 0; c < channels; c++) {
    const float *plane = s->x + (size_t)c * s->plane + offset;
    for (int t = 0; t < taps; t++, b += ld) vf_store(b, vf_load(plane + s->tap[t]));
  }
}

/* b [channels * taps][vectors * VF]: columns [first, first + n) of the chunk. */
static void fill_panel(const struct conv *v, const struct source *s, int channels, float *b, int first, int n,
                       int vectors) {
  size_t ld = (size_t)vectors * VF;
  for (int i = 0; i < vectors; i++, first += VF, n -= VF, b += VF) {
    struct gather g;
    find_lanes(&v->geo, &g, first, n < VF ? n : VF);
    if (g.n == 1 && n >= VF)
      copy_whole(s, g.offset[0], channels, v->geo.taps, b, ld);
    else if (g.n == 1)
      copy_vectors(s, &g, 1, channels, v->geo.taps, b, ld);
    else if (g.n == 2)
      copy_vectors(s, &g, 2, channels, v->geo.taps, b, ld);
    else
      copy_vectors(s, &g, g.n, channels, v->geo.taps, b, ld);
  }
}

/* ----------------------------------------------------------------------------------------------------- run */

/* Where sums go, by what becomes of them: ELEMENT_FILE. */
struct outputs;

/* One group of one image. */
struct job {
  const ELEMENT_T *x;
  const float *w;
  const struct outputs *out;
  float *panel, *spread, *more; /* scratch */
  int *tap;
};

#include ELEMENT_FILE

/* Tiles side by side. Their panel is read again for every TILE_ROWS outputs, so that these write runs as long as the
 * group: a plane is a page or more away from the next. A tile without a vector is a single column. */
struct group {
  int kc, n_tiles, n[GROUP_TILES], vectors[GROUP_TILES];
  size_t panel[GROUP_TILES];
};

static void fill_column(const struct conv *v, const struct source *s, int channels, float *b, int column) {
  const float *from = s->x + (size_t)(column / v->geo.out.w) * (size_t)v->geo.wide + column % v->geo.out.w;
  for (int c = 0; c < channels; c++, from += s->plane)
    for (int t = 0; t < v->geo.taps; t++) *b++ = from[s->tap[t]];
}

static int next_vectors(int columns) {
  return tile_vectors(columns % VF == 1 ? columns / VF : (columns + VF - 1) / VF);
}

/* From column `done` of the chunk on; returns where it ends. */
static int fill_group(const struct conv *v, const struct source *s, int channels, float *panel, int done, int columns,
                      struct group *g) {
  g->kc = channels * v->geo.taps;
  size_t used = 0, most = GROUP_BYTES / sizeof(float);
  for (g->n_tiles = 0; done < columns && g->n_tiles < GROUP_TILES; g->n_tiles++) {
    int vectors = next_vectors(columns - done), width = vectors ? vectors * VF : 1;
    int n = columns - done < width ? columns - done : width;
    size_t floats = (size_t)width * (size_t)g->kc;
    if (used > 0 && used + floats > most) break;
    if (vectors)
      fill_panel(v, s, channels, panel + used, done, n, vectors);
    else
      fill_column(v, s, channels, panel + used, done);
    g->n[g->n_tiles] = n;
    g->vectors[g->n_tiles] = vectors;
    g->panel[g->n_tiles] = used;
    used += floats;
    done += n;
  }
  return done;
}

/* Tiles of whole vectors for outputs from `o` on of a group whose first column is `at` of the plane; returns where they
 * end. */
static size_t run_vectors(const struct conv *v, const struct job *j, const struct ending *e, const struct group *g,
                          const float *w, bool begins, struct tile *t, int o, size_t at) {
  t->a = w + (size_t)o * (size_t)t->kc;
  t->rows = v->o - o < TILE_ROWS ? v->o - o : TILE_ROWS;
  for (int i = 0; i < g->n_tiles && g->vectors[i] > 0; at += (size_t)g->n[i++]) {
    t->b = j->panel + g->panel[i];
    t->n = g->n[i];
    put_tile(v, j, t, e, o, at, begins, g->vectors[i], i);
  }
  return at;
}

/* All outputs of a group, for one block of k; `begins`: for the first one. A single column follows its tiles while their
 * weights are still in the cache. */
static void run_columns(const struct conv *v, const struct job *j, const struct ending *e, const struct group *g,
                        const float *w, bool begins, size_t at) {
  struct tile t = {.kc = g->kc};
  bool single = g->vectors[g->n_tiles - 1] == 0;
  size_t last = at;
  for (int o = 0, end; o < v->o; o = end) {
    end = v->o - o < COLUMN_TILES * TILE_ROWS ? v->o : o + COLUMN_TILES * TILE_ROWS;
    for (int row = o; row < end; row += TILE_ROWS) last = run_vectors(v, j, e, g, w, begins, &t, row, at);
    if (!single) continue;
    t.a = w + (size_t)o * (size_t)t.kc;
    t.b = j->panel + g->panel[g->n_tiles - 1];
    t.rows = end - o;
    t.n = 1;
    put_tile(v, j, &t, e, o, last, begins, 0, g->n_tiles - 1);
  }
}

static void run_block(const struct conv *v, const struct job *j, const struct ending *e, int c0, int first, int rows) {
  int channels = v->c - c0 < v->block ? v->c - c0 : v->block;
  struct source s = {.plane = source_plane(&v->geo, rows), .tap = j->tap};
  const float *w = j->w + packed_floats(v, c0);
  s.x = make_source(v, j, c0, channels, first, rows);
  size_t at = (size_t)first * (size_t)v->geo.out.w;
  struct group g;
  for (int done = 0, begin, columns = rows * v->geo.out.w; done < columns;) {
    begin = done;
    done = fill_group(v, &s, channels, j->panel, done, columns, &g);
    run_columns(v, j, e, &g, w, c0 == 0, at + (size_t)begin);
  }
}

static void run_group(const struct conv *v, const struct job *j, const struct braid_act *act, struct braid_band band) {
  struct ending e = ending_of(act);
  int most = chunk_rows(v, band.end - band.begin);
  for (int first = band.begin, rows; first < band.end; first += rows) {
    rows = band.end - first < most ? band.end - first : most;
    place_taps(&v->geo, rows, j->tap);
    for (int c0 = 0; c0 < v->c; c0 += v->block) {
      e.last = c0 + v->block >= v->c;
      run_block(v, j, &e, c0, first, rows);
    }
  }
}

static size_t panel_floats(const struct conv *v) {
  size_t tile = (size_t)v->block * (size_t)v->geo.taps * TILE_COLUMNS, group = GROUP_BYTES / sizeof(float);
  return tile > group ? tile : group;
}

static size_t tap_floats(const struct conv *v) {
  return ((size_t)v->geo.taps + VF - 1) / VF * VF;
}

static void run(const struct braid_kernel_args *args, const void *packed, void *scratch, struct braid_band band) {
  struct conv v = conv_of(args);
  struct job j = {.panel = scratch};
  j.tap = (int *)scratch + panel_floats(&v);
  j.more = j.panel + panel_floats(&v) + tap_floats(&v);
  j.spread = j.more + more_floats(&v);
  for (int n = 0; n < v.geo.out.n; n++)
    for (int g = 0; g < v.geo.a->group; g++) {
      struct outputs out = outputs_of(args, &v, packed, n, g);
      j.x = (const ELEMENT_T *)args->in[0].data +
            ((size_t)n * (size_t)v.geo.in.c + (size_t)g * (size_t)v.channels) * v.geo.in_plane;
      j.w = (const float *)packed + (size_t)g * packed_floats(&v, v.c);
      j.out = &out;
      run_group(&v, &j, &args->act, band);
    }
}

static size_t scratch_bytes(const struct braid_kernel_args *args, int rows) {
  struct conv v = conv_of(args);
  size_t source = v.geo.in_place ? 0 : source_plane(&v.geo, most_rows(&v, rows)) * (size_t)v.block + VF;
  return (panel_floats(&v) + tap_floats(&v) + more_floats(&v) + source) * sizeof(float);
}

static size_t packed_bytes(const struct braid_kernel_args *args) {
  struct conv v = conv_of(args);
  return (packed_floats(&v, v.c) + packed_more(&v)) * (size_t)v.geo.a->group * sizeof(float);
}

static void pack(const struct braid_kernel_args *args, void *packed) {
  struct conv v = conv_of(args);
  float *to = packed;
  for (int g = 0; g < v.geo.a->group; g++)
    for (int c0 = 0; c0 < v.c; c0 += v.block)
      to = pack_elements(args, &v, g, c0, v.c - c0 < v.block ? v.c : c0 + v.block, to);
  pack_more(args, &v, to);
}

static bool accepts(const struct braid_kernel_args *args) {
  if (args->in[0].shape.rank != 4 || args->out.shape.rank != 4 || !args->constant[1] || !accepts_element(args))
    return false;
  struct geometry g = geometry_of(args);
  if (g.in.c < 1 || g.out.c < 1 || (g.a->group > 1 && g.out.c == g.a->group) || !geometry_fits(&g)) return false;
  return (int64_t)g.in.c / g.a->group * g.taps < INT32_MAX / 4;
}

const struct braid_kernel ELEMENT_TABLE[] = {
    {.name = ELEMENT_NAME ISA_TEXT,
     .op = ELEMENT_OP,
     .needs = ISA_NEEDS,
     .in_place = ELEMENT_IN_PLACE,
     .sliceable = true,
     .accepts = accepts,
     .packed_bytes = packed_bytes,
     .pack = pack,
     .scratch_bytes = scratch_bytes,
     .run = run},
    {0},
};
