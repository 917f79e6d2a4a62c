/* SPDX-License-Identifier: Apache-2.0
 *
 * Convolution of int32 maps, what the importer makes of quantised ones. Sums wrap: no order of theirs gives another
 * result, and all kernels agree bit for bit. Pointwise ones are products of matrices, blocks of 4 channels by 2 vectors
 * of pixels; others go row by row, tap by tap, vectors of pixels where the stride is 1.
 * The file that includes this says: VEC_BYTES, ISA_NAME, ISA_NEEDS, ISA_TABLE. */
#include "../kernel.h"

typedef uint32_t vec __attribute__((vector_size(VEC_BYTES)));

enum { LANES = VEC_BYTES / 4, CHANNELS = 4, VECS = 2 };

static vec load(const uint32_t *p) {
  vec v;
  memcpy(&v, p, sizeof v);
  return v;
}

/* ---------------------------------------------------------------------------------------------- pointwise */

struct pointwise {
  const uint32_t *x, *w, *bias; /* of one image and group: [C,plane], [O,C], [O] or NULL */
  uint32_t *y;                  /* [O,plane] */
  size_t plane;
  int c;
};

/* CHANNELS channels from `o` at VECS vectors of pixels from `at`. */
static void block(const struct pointwise *v, int o, size_t at) {
  vec sum[CHANNELS][VECS];
  for (int i = 0; i < CHANNELS; i++)
    for (int j = 0; j < VECS; j++) sum[i][j] = (vec){0} + (v->bias ? v->bias[o + i] : 0);
  for (int c = 0; c < v->c; c++) {
    const uint32_t *x = v->x + (size_t)c * v->plane + at, *w = v->w + (size_t)o * v->c + c;
    vec a = load(x), b = load(x + LANES);
    for (int i = 0; i < CHANNELS; i++) {
      uint32_t factor = w[(size_t)i * v->c];
      sum[i][0] += a * factor;
      sum[i][1] += b * factor;
    }
  }
  for (int i = 0; i < CHANNELS; i++) memcpy(v->y + (size_t)(o + i) * v->plane + at, sum[i], sizeof sum[i]);
}

/* One channel at pixels [at,end): what blocks leave over. */
static void line(const struct pointwise *v, int o, size_t at, size_t end) {
  uint32_t *y = v->y + (size_t)o * v->plane;
  for (size_t i = at; i < end; i++) y[i] = v->bias ? v->bias[o] : 0;
  for (int c = 0; c < v->c; c++) {
    const uint32_t *x = v->x + (size_t)c * v->plane, factor = v->w[(size_t)o * v->c + c];
    for (size_t i = at; i < end; i++) y[i] += factor * x[i];
  }
}

/* Pixels outermost: a block's input stays in the cache for all channels. */
static void pointwise(const struct pointwise *v, int channels, size_t begin, size_t end) {
  int blocked = channels - channels % CHANNELS;
  size_t at = begin;
  for (; at + VECS * LANES <= end; at += VECS * LANES) {
    for (int o = 0; o < blocked; o += CHANNELS) block(v, o, at);
    for (int o = blocked; o < channels; o++) line(v, o, at, at + VECS * LANES);
  }
  for (int o = 0; o < channels && at < end; o++) line(v, o, at, end);
}

static bool is_pointwise(const struct braid_conv_attrs *a) {
  return a->kernel[0] == 1 && a->kernel[1] == 1 && a->stride[0] == 1 && a->stride[1] == 1 &&
         !(a->pad[0] | a->pad[1] | a->pad[2] | a->pad[3]);
}

static void run_pointwise(const struct braid_kernel_args *args, struct braid_band band) {
  struct image in = image_of(&args->in[0].shape), out = image_of(&args->out.shape);
  int groups = args->attrs.conv.group, c = in.c / groups, o = out.c / groups;
  size_t plane = (size_t)in.h * in.w, width = (size_t)in.w;
  const uint32_t *bias = has_in(args, 2) ? args->in[2].data : NULL;
  for (int n = 0; n < out.n; n++)
    for (int g = 0; g < groups; g++) {
      struct pointwise v = {(const uint32_t *)args->in[0].data + ((size_t)n * in.c + (size_t)g * c) * plane,
                            (const uint32_t *)args->in[1].data + (size_t)g * o * c,
                            bias ? bias + (size_t)g * o : NULL,
                            (uint32_t *)args->out.data + ((size_t)n * out.c + (size_t)g * o) * plane,
                            plane,
                            c};
      pointwise(&v, o, (size_t)band.begin * width, (size_t)band.end * width);
    }
}

/* ------------------------------------------------------------------------------------------------ windows */

#define CONV_T int32_t
#define CONV_SUM uint32_t
#define CONV_NAME(stem) stem##_i32
#include "../conv_rows.inl"

static void run(const struct braid_kernel_args *args, const void *packed, void *scratch, struct braid_band band) {
  (void)packed, (void)scratch;
  is_pointwise(&args->attrs.conv) ? run_pointwise(args, band) : conv_rows_i32(args, band);
}

static bool accepts(const struct braid_kernel_args *args) {
  return args->out.dtype == BRAID_I32 && all_in_are(args, BRAID_I32) && no_act(args) && !has_in(args, 3) &&
         args->in[0].shape.rank == 4 && args->out.shape.rank == 4;
}

const struct braid_kernel ISA_TABLE[] = {
    {.name = ISA_NAME, .op = BRAID_OP_CONV, .needs = ISA_NEEDS, .sliceable = true, .accepts = accepts, .run = run},
    {0},
};
