/* SPDX-License-Identifier: Apache-2.0
 * Elements of packed_conv.inl: four channels of bytes. Sums are exact, and those of a tile go through scratch to what
 * follows them (requantize.inl). With the padding filled by the zero point, sum((x - zero) * w) is sum(x * w) less zero
 * times the sum of the weights, which is part of the packed bias. Where weights have a zero point, too, that many times
 * the sum of a column's bytes is taken off: a product with ones, once a tile. */
#include "requantize.inl"

#define ELEMENT_TABLE ISA_TABLE(packed_qconv)
#define ELEMENT_NAME "qconv2d__packed_"
#define ELEMENT_OP BRAID_OP_QLINEAR_CONV
#define ELEMENT_IN_PLACE 0

struct outputs {
  struct requantize end;
  const int32_t *bias; /* packed, of the group */
  const float *ones;   /* packed: an element of ones for each of the weights', 0 where there is no channel */
  int channel;         /* first of the group */
  size_t at;
  int32_t zero;
  uint8_t flip;
};

static bool accepts_element(const struct braid_kernel_args *args) {
  return quantised_operands(args) && (!has_in(args, 2) || args->constant[2]);
}

static vf pad_of(const struct job *j) { return of_bits(vi_set((int32_t)((uint32_t)j->out->zero * 0x01010101u))); }

static void join_line(const struct conv *v, const struct job *j, int c, size_t at, int n, float *to) {
  const uint8_t *row[4];
  for (int i = 0; i < 4; i++) {
    int channel = 4 * c + i < v->channels ? 4 * c + i : 4 * c; /* beyond the last: any, for its weights are 0 */
    row[i] = j->x + (size_t)channel * v->geo.in_plane + at;
  }
  join_bytes(row, j->out->flip, n, to);
}

static float element_of(const struct braid_kernel_args *args, const struct conv *v, int o, int c, int tap) {
  const int8_t *w = args->in[1].data;
  int8_t part[4] = {0};
  float element;
  for (int i = 0; i < 4 && 4 * c + i < v->channels; i++)
    part[i] = w[((size_t)o * (size_t)v->channels + (size_t)(4 * c + i)) * (size_t)v->geo.taps + (size_t)tap];
  memcpy(&element, part, sizeof element);
  return element;
}

#include "narrow_source.inl"

/* A line, then the sums of a tile, or of a column of all rows. */
static size_t sums_floats(const struct conv *v) {
  size_t tile = (size_t)TILE_ROWS * TILE_COLUMNS;
  return v->rows > tile ? v->rows : tile;
}
/* Sums of the columns of a group of tiles. */
static size_t columns_floats(void) { return (size_t)GROUP_TILES * TILE_COLUMNS; }
static size_t more_floats(const struct conv *v) { return line_floats(v) + sums_floats(v) + columns_floats(); }

static size_t ones_floats(const struct conv *v) { return (size_t)v->c * (size_t)v->geo.taps; }
static size_t packed_more(const struct conv *v) { return v->rows + ones_floats(v); }

static void pack_more(const struct braid_kernel_args *args, const struct conv *v, float *to) {
  const int32_t *bias = has_in(args, 2) ? args->in[2].data : NULL;
  size_t k = (size_t)v->channels * (size_t)v->geo.taps;
  for (int g = 0; g < v->geo.a->group; g++)
    for (size_t i = 0; i < v->rows; i++, to++) {
      size_t o = (size_t)g * (size_t)v->o + i;
      uint32_t sum = 0, start = 0;
      const int8_t *w = (const int8_t *)args->in[1].data + o * k;
      for (size_t n = 0; i < (size_t)v->o && n < k; n++) sum += (uint32_t)w[n];
      if (bias && i < (size_t)v->o) start = (uint32_t)bias[o];
      start -= (uint32_t)zero_of(args) * (sum - (uint32_t)args->attrs.qconv.w_zero * (uint32_t)k);
      memcpy(to, &start, sizeof *to);
    }
  for (int c = 0; c < v->c; c++)
    for (int t = 0; t < v->geo.taps; t++, to++) {
      int8_t ones[4] = {0};
      for (int i = 0; i < 4 && 4 * c + i < v->channels; i++) ones[i] = 1;
      memcpy(to, ones, sizeof *to);
    }
}

static struct outputs outputs_of(const struct braid_kernel_args *args, const struct conv *v, const void *packed, int n,
                                 int g) {
  const int32_t *bias = (const int32_t *)packed + packed_floats(v, v->c) * (size_t)v->geo.a->group;
  return (struct outputs){.end = requantize_of(args),
                          .bias = bias + (size_t)g * v->rows,
                          .ones = (const float *)packed + packed_floats(v, v->c) * (size_t)v->geo.a->group +
                                  v->rows * (size_t)v->geo.a->group,
                          .channel = g * v->o,
                          .at = ((size_t)n * (size_t)v->geo.out.c + (size_t)g * (size_t)v->o) * v->geo.out_plane,
                          .zero = zero_of(args),
                          .flip = flip_of(args)};
}

static inline __attribute__((always_inline)) void sum_columns(const struct tile *t, const float *ones, int by,
                                                              int vectors, float *to) {
  vf sum[TILE_VECTORS];
  const float *b = t->b;
  for (int i = 0; i < vectors; i++) sum[i] = vf_set(0.0f);
  for (int k = 0; k < t->kc; k++, b += vectors * VF)
    for (int i = 0; i < vectors; i++) sum[i] = dot_u8(vf_set(ones[k]), vf_load(b + i * VF), sum[i]);
  for (int i = 0; i < vectors; i++) vf_store(to + i * VF, of_bits(vi_mul(bits_of(sum[i]), vi_set(by))));
}

static void sum_single(const struct tile *t, const float *ones, int by, float *to) {
  vh sum = vh_set(0.0f);
  float lanes[VF];
  for (int k = 0; k < t->kc; k++) sum = dot_u8_half(vh_set(ones[k]), vh_set(t->b[k]), sum);
  vh_store(lanes, sum);
  vf_store(lanes, of_bits(vi_mul(bits_of(vf_set(lanes[0])), vi_set(by))));
  *to = lanes[0];
}

/* Of the tile's bytes, `by` times, into `to`. */
static void sum_bytes(const struct tile *t, const float *ones, int by, int vectors, float *to) {
  if (vectors == 0)
    sum_single(t, ones, by, to);
  else if (vectors == 1)
    sum_columns(t, ones, by, 1, to);
  else if (vectors == 2)
    sum_columns(t, ones, by, 2, to);
  else
    sum_columns(t, ones, by, 3, to);
}

static void put_tile(const struct conv *v, const struct job *j, struct tile *t, const struct ending *e, int o, size_t at,
                     bool begins, int vectors, int index) {
  (void)begins; /* there is one block */
  const struct outputs *out = j->out;
  float *columns = j->more + line_floats(v) + sums_floats(v) + (size_t)index * TILE_COLUMNS;
  bool zeros = out->end.a->w_zero != 0;
  if (zeros && o == 0) sum_bytes(t, out->ones, -out->end.a->w_zero, vectors, columns);
  struct ending none = *e;
  none.last = false; /* nothing follows in the tile */
  t->y = j->more + line_floats(v);
  t->ldy = vectors ? TILE_COLUMNS : 1;
  if (vectors)
    tile_run(t, &none, vectors);
  else
    column_run(t, &none);
  for (int i = 0; i < t->rows; i++)
    requantize_line(&out->end, t->y + (size_t)i * t->ldy, t->n, out->at + (size_t)(o + i) * v->geo.out_plane + at,
                    out->channel + o + i, out->bias[o + i], zeros ? columns : NULL);
}
