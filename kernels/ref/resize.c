/* SPDX-License-Identifier: Apache-2.0
 *
 * Resize (ONNX operator, opset 11 and later): separable interpolation over every dimension whose extent or scale
 * changes. Per dimension and output coordinate the scratch memory holds which input coordinates it is made of, and
 * their weights: one for nearest, two for linear, four for cubic, more where a filter against aliasing is as wide as
 * the shrinking factor. An output element is the weighted sum over their product. Coordinates are computed in float, like
 * the runtimes that models are checked against: with scales that came from sizes (9 -> 6: 0.6666667) a float quotient
 * comes back to the exact integer where a double would fall just below it. */
#include "activation.h"
#include "kernel.h"
#include "scalar.h"

/* Input coordinates first .. first+n-1, those outside moved to the nearest one inside. */
struct tap_set {
  int n, first; /* n 0: outside the region of interest, the extrapolation value */
  const float *weight;
};

/* The output's length before it was cut to an integer (n_out), which aligned corners refer to. */
static float length_of(float scale, int n_in, int n_out) {
  float length = scale * (float)n_in;
  return fabsf(length - (float)n_out) < 1e-3f ? (float)n_out : length;
}

/* Position in the input (extent n_in) of output coordinate x (extent n_out). */
static float original(const struct braid_resize_attrs *a, int d, int rank, int x, int n_in, int n_out) {
  float scale = a->scale[d], at = (float)x, last = (float)(n_in - 1), length = length_of(scale, n_in, n_out);
  switch (a->coord) {
  case BRAID_COORD_HALF_PIXEL: return (at + 0.5f) / scale - 0.5f;
  case BRAID_COORD_PYTORCH_HALF_PIXEL: return n_out > 1 ? (at + 0.5f) / scale - 0.5f : 0.0f;
  case BRAID_COORD_ALIGN_CORNERS: return length > 1.0f ? at * last / (length - 1.0f) : 0.0f;
  case BRAID_COORD_TF_HALF_PIXEL_FOR_NN: return (at + 0.5f) / scale;
  case BRAID_COORD_HALF_PIXEL_SYMMETRIC:
    return 0.5f * (float)n_in * (1.0f - (float)n_out / length) + (at + 0.5f) / scale - 0.5f;
  case BRAID_COORD_TF_CROP_AND_RESIZE: {
    float from = a->roi[d], to = a->roi[rank + d];
    return length > 1.0f ? from * last + at * (to - from) * last / (length - 1.0f) : 0.5f * (from + to) * last;
  }
  default: return at / scale; /* asymmetric */
  }
}

static int clamp_index(int i, int n) { return i < 0 ? 0 : i >= n ? n - 1 : i; }

static int nearest(float x, enum braid_resize_nearest mode) {
  switch (mode) {
  case BRAID_NEAREST_ROUND_PREFER_FLOOR: return (int)ceilf(x - 0.5f);
  case BRAID_NEAREST_ROUND_PREFER_CEIL: return (int)floorf(x + 0.5f);
  case BRAID_NEAREST_CEIL: return (int)ceilf(x);
  default: return (int)floorf(x);
  }
}

/* Keys' cubic convolution kernel with parameter a, or the triangle, at distance x. */
static float filter_at(const struct braid_resize_attrs *a, float x) {
  float c = a->cubic_a;
  x = fabsf(x);
  if (a->mode == BRAID_RESIZE_LINEAR) return x < 1.0f ? 1.0f - x : 0.0f;
  if (x <= 1.0f) return ((c + 2.0f) * x - (c + 3.0f)) * x * x + 1.0f;
  return x < 2.0f ? ((c * x - 5.0f * c) * x + 8.0f * c) * x - 4.0f * c : 0.0f;
}

/* How much the filter is stretched (<= 1). No scale that gives an output of one element is below 1 / n_in. */
static float filter_scale(const struct braid_resize_attrs *a, int d, int n_in) {
  if (!a->antialias || a->scale[d] >= 1.0f) return 1.0f;
  return fmaxf(a->scale[d], 0.5f / (float)n_in);
}

/* Taps reach from floor(x) + 1 - half to floor(x) + half. */
static int half_width(const struct braid_resize_attrs *a, int d, int n_in) {
  float reach = a->mode == BRAID_RESIZE_LINEAR ? 1.0f : 2.0f;
  return (int)ceilf(reach / filter_scale(a, d, n_in));
}

static bool is_untouched(const struct braid_resize_attrs *a, int d, int n_in, int n_out) {
  return n_in == n_out && a->scale[d] == 1.0f && a->coord != BRAID_COORD_TF_CROP_AND_RESIZE;
}

static int taps_max(const struct braid_resize_attrs *a, int d, int n_in, int n_out) {
  return a->mode == BRAID_RESIZE_NEAREST || is_untouched(a, d, n_in, n_out) ? 1 : 2 * half_width(a, d, n_in);
}

/* Fills the weights of n taps; those outside the input are dropped if excluded; a sum other than 1 is made 1. */
static void fill_weights(const struct braid_resize_attrs *a, float at, float stretch, int first, int n, int n_in,
                         float *weight) {
  float sum = 0.0f;
  for (int k = 0; k < n; k++) {
    bool outside = first + k < 0 || first + k >= n_in;
    weight[k] = a->exclude_outside && outside ? 0.0f : filter_at(a, stretch * ((float)(first + k) - at));
    sum += weight[k];
  }
  bool unit = !a->exclude_outside && stretch == 1.0f;
  for (int k = 0; k < n && sum != 0.0f && !unit; k++) weight[k] /= sum;
}

static struct tap_set tap_set_of(const struct braid_resize_attrs *a, int d, int rank, int x, int n_in, int n_out,
                                 float *weight) {
  weight[0] = 1.0f;
  if (is_untouched(a, d, n_in, n_out)) return (struct tap_set){1, x, weight};
  /* Kept in the range of int whatever the scale; no tensor is that wide. */
  float at = clamp_f32(original(a, d, rank, x, n_in, n_out), -1e9f, 1e9f);
  if (a->coord == BRAID_COORD_TF_CROP_AND_RESIZE && (at < 0.0f || at > (float)(n_in - 1)))
    return (struct tap_set){.n = 0};
  if (a->mode == BRAID_RESIZE_NEAREST) return (struct tap_set){1, nearest(at, a->nearest), weight};
  int half = half_width(a, d, n_in), first = (int)floorf(at) + 1 - half;
  fill_weights(a, at, filter_scale(a, d, n_in), first, 2 * half, n_in, weight);
  return (struct tap_set){2 * half, first, weight};
}

static size_t scratch_bytes(const struct braid_kernel_args *args, int rows) {
  (void)rows;
  const struct braid_shape *in = &args->in[0].shape, *out = &args->out.shape;
  size_t bytes = 0;
  for (int d = 0; d < out->rank; d++) {
    size_t taps = (size_t)taps_max(&args->attrs.resize, d, in->dim[d], out->dim[d]);
    bytes += (size_t)out->dim[d] * (sizeof(struct tap_set) + taps * sizeof(float));
  }
  return bytes;
}

/* Fills the scratch: one tap set per coordinate of each dimension, then their weights; `table` gets where each
 * dimension starts. */
static void make_tables(const struct braid_kernel_args *args, struct tap_set *sets, const struct tap_set **table) {
  const struct braid_shape *in = &args->in[0].shape, *out = &args->out.shape;
  size_t n = 0;
  for (int d = 0; d < out->rank; d++) n += (size_t)out->dim[d];
  float *weight = (float *)(sets + n);
  for (int d = 0; d < out->rank; d++) {
    int taps = taps_max(&args->attrs.resize, d, in->dim[d], out->dim[d]);
    table[d] = sets;
    for (int x = 0; x < out->dim[d]; x++, weight += taps)
      *sets++ = tap_set_of(&args->attrs.resize, d, out->rank, x, in->dim[d], out->dim[d], weight);
  }
}

/* The tap sets of output element i; false if one of them is outside. */
static bool gather_sets(const struct braid_shape *out, const struct tap_set *const *table, size_t i,
                        const struct tap_set **set) {
  bool inside = true;
  for (int d = out->rank - 1; d >= 0; d--) {
    set[d] = &table[d][i % (size_t)out->dim[d]];
    inside = inside && set[d]->n > 0;
    i /= (size_t)out->dim[d];
  }
  return inside;
}

/* Sum over the product of the tap sets of dimensions d.., `at` being the element the outer ones lead to. */
static float interpolate(const float *x, const struct braid_shape *in, const struct tap_set *const *set, int d,
                         size_t at) {
  if (d == in->rank) return x[at];
  float sum = 0.0f;
  for (int k = 0; k < set[d]->n; k++) {
    size_t from = (size_t)clamp_index(set[d]->first + k, in->dim[d]);
    sum += set[d]->weight[k] * interpolate(x, in, set, d + 1, at * (size_t)in->dim[d] + from);
  }
  return sum;
}

static void run(const struct braid_kernel_args *args, const void *packed, void *scratch, struct braid_band band) {
  (void)packed;
  const struct tap_set *table[BRAID_MAX_RANK], *set[BRAID_MAX_RANK];
  make_tables(args, scratch, table);
  struct runs r = runs_of(&args->out.shape, band);
  for (size_t run = 0; run < r.count; run++)
    for (size_t i = r.first + run * r.stride, end = i + r.n; i < end; i++) {
      bool inside = gather_sets(&args->out.shape, table, i, set);
      float y = inside ? interpolate(in_f32(args, 0), &args->in[0].shape, set, 0, 0) : args->attrs.resize.extrapolation;
      out_f32(args)[i] = act_f32(&args->act, y);
    }
}

/* Nearest moves elements of any type. */
static void nearest_run(const struct braid_kernel_args *args, const void *packed, void *scratch,
                        struct braid_band band) {
  (void)packed;
  const struct tap_set *table[BRAID_MAX_RANK], *set[BRAID_MAX_RANK];
  const struct braid_shape *in = &args->in[0].shape;
  size_t bytes = braid_dtype_bytes(args->out.dtype);
  uint64_t outside = 0;
  scalar_store(args->out.dtype, &outside, 0,
               (struct scalar){.kind = SCALAR_FLOAT, .f = (double)args->attrs.resize.extrapolation});
  make_tables(args, scratch, table);
  struct runs r = runs_of(&args->out.shape, band);
  for (size_t run = 0; run < r.count; run++)
    for (size_t i = r.first + run * r.stride, end = i + r.n; i < end; i++) {
      const char *from = (const char *)&outside;
      if (gather_sets(&args->out.shape, table, i, set)) {
        size_t at = 0;
        for (int d = 0; d < in->rank; d++)
          at = at * (size_t)in->dim[d] + (size_t)clamp_index(set[d]->first, in->dim[d]);
        from = (const char *)args->in[0].data + at * bytes;
      }
      memcpy((char *)args->out.data + i * bytes, from, bytes);
    }
}

static bool accepts(const struct braid_kernel_args *args) {
  return args->out.dtype == BRAID_F32 && args->in[0].dtype == BRAID_F32;
}
static bool nearest_accepts(const struct braid_kernel_args *args) {
  return args->attrs.resize.mode == BRAID_RESIZE_NEAREST && args->in[0].dtype == args->out.dtype && no_act(args);
}

const struct braid_kernel kernels_ref_resize[] = {
    {.name = "resize_nearest__ref",
     .op = BRAID_OP_RESIZE,
     .sliceable = true,
     .accepts = nearest_accepts,
     .scratch_bytes = scratch_bytes,
     .run = nearest_run},
    {.name = "resize_f32__ref",
     .op = BRAID_OP_RESIZE,
     .sliceable = true,
     .accepts = accepts,
     .scratch_bytes = scratch_bytes,
     .run = run},
    {0},
};
