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

static void add_tap(uint32_t *y, int out_w, const uint32_t *x, int in_w, uint32_t w, int stride, int offset) {
  struct taps t = taps_inside(in_w, stride, offset, out_w);
  if (stride == 1)
    for (int ow = t.lo; ow < t.hi; ow++) y[ow] += w * x[ow + offset];
  else
    for (int ow = t.lo; ow < t.hi; ow++) y[ow] += w * x[(ptrdiff_t)ow * stride + offset];
}

static void add_plane(const struct braid_conv_attrs *a, uint32_t *y, int out_w, const uint32_t *plane,
                      const struct image *in, const uint32_t *w, int oh) {
  for (int kh = 0; kh < a->kernel[0]; kh++) {
    int ih = oh * a->stride[0] - a->pad[0] + kh * a->dilation[0];
    if (ih < 0 || ih >= in->h) continue;
    for (int kw = 0; kw < a->kernel[1]; kw++)
      add_tap(y, out_w, plane + (size_t)ih * in->w, in->w, w[kh * a->kernel[1] + kw], a->stride[1],
              kw * a->dilation[1] - a->pad[1]);
  }
}

static void run_windows(const struct braid_kernel_args *args, struct braid_band band) {
  const struct braid_conv_attrs *a = &args->attrs.conv;
  struct image in = image_of(&args->in[0].shape), out = image_of(&args->out.shape);
  int c_per_group = in.c / a->group, o_per_group = out.c / a->group;
  size_t plane = (size_t)in.h * in.w, taps = (size_t)a->kernel[0] * a->kernel[1];
  const uint32_t *x = args->in[0].data, *w = args->in[1].data, *bias = has_in(args, 2) ? args->in[2].data : NULL;
  for (int n = 0; n < out.n; n++)
    for (int o = 0; o < out.c; o++)
      for (int oh = band.begin; oh < band.end; oh++) {
        uint32_t *y = (uint32_t *)args->out.data + (((size_t)n * out.c + o) * out.h + oh) * out.w;
        for (int i = 0; i < out.w; i++) y[i] = bias ? bias[o] : 0;
        for (int c = 0; c < c_per_group; c++)
          add_plane(a, y, out.w, x + ((size_t)n * in.c + o / o_per_group * c_per_group + c) * plane, &in,
                    w + ((size_t)o * c_per_group + c) * taps, oh);
      }
}

static void run(const struct braid_kernel_args *args, const void *packed, void *scratch, struct braid_band band) {
  (void)packed, (void)scratch;
  is_pointwise(&args->attrs.conv) ? run_pointwise(args, band) : run_windows(args, band);
}

static bool accepts(const struct braid_kernel_args *args) {
  return args->out.dtype == BRAID_I32 && all_in_are(args, BRAID_I32) && no_act(args) && !has_in(args, 3) &&
         args->in[0].shape.rank == 4 && args->out.shape.rank == 4;
}

const struct braid_kernel ISA_TABLE[] = {
    {.name = ISA_NAME, .op = BRAID_OP_CONV, .needs = ISA_NEEDS, .sliceable = true, .accepts = accepts, .run = run},
    {0},
};
