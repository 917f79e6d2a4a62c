/* SPDX-License-Identifier: Apache-2.0
 *
 * Resize (ONNX operator, opset 11 and later): separable interpolation over every dimension whose extent or scale
 * changes. Per dimension and output coordinate the scratch memory holds up to four input coordinates and their weights;
 * an output element is the weighted sum over their product. Coordinates are computed in float, like the runtimes that
 * models are checked against: with scales that came from sizes (9 -> 6: 0.6666667) a float quotient comes back to the
 * exact integer where a double would fall just below it. */
#include "activation.h"
#include "kernel.h"
#include "scalar.h"

enum { TAPS = 4 };

struct tap_set {
  int n; /* 0: outside the region of interest, the extrapolation value */
  int index[TAPS];
  float weight[TAPS];
};

/* Position in the input (extent n_in) of output coordinate x (extent n_out). */
static float original(const struct braid_resize_attrs *a, int d, int rank, int x, int n_in, int n_out) {
  float scale = a->scale[d], at = (float)x;
  switch (a->coord) {
  case BRAID_COORD_HALF_PIXEL: return (at + 0.5f) / scale - 0.5f;
  case BRAID_COORD_PYTORCH_HALF_PIXEL: return n_out > 1 ? (at + 0.5f) / scale - 0.5f : 0.0f;
  case BRAID_COORD_ALIGN_CORNERS: return n_out > 1 ? at * (float)(n_in - 1) / (float)(n_out - 1) : 0.0f;
  case BRAID_COORD_TF_HALF_PIXEL_FOR_NN: return (at + 0.5f) / scale;
  case BRAID_COORD_TF_CROP_AND_RESIZE: {
    float from = a->roi[d], to = a->roi[rank + d], last = (float)(n_in - 1);
    return n_out > 1 ? from * last + at * (to - from) * last / (float)(n_out - 1) : 0.5f * (from + to) * last;
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

/* Keys' cubic convolution kernel with parameter a, at the distances of the four neighbours. */
static void cubic_weights(float a, float t, float w[TAPS]) {
  float u = t + 1.0f, v = 1.0f - t, z = 2.0f - t;
  w[0] = ((a * u - 5.0f * a) * u + 8.0f * a) * u - 4.0f * a;
  w[1] = ((a + 2.0f) * t - (a + 3.0f)) * t * t + 1.0f;
  w[2] = ((a + 2.0f) * v - (a + 3.0f)) * v * v + 1.0f;
  w[3] = ((a * z - 5.0f * a) * z + 8.0f * a) * z - 4.0f * a;
}

/* Weights outside the input are dropped and the rest scaled to sum 1. */
static void drop_outside(struct tap_set *t, int first, int n_in) {
  float sum = 0.0f;
  for (int k = 0; k < t->n; k++) {
    if (first + k < 0 || first + k >= n_in) t->weight[k] = 0.0f;
    sum += t->weight[k];
  }
  for (int k = 0; k < t->n && sum != 0.0f; k++) t->weight[k] /= sum;
}

static struct tap_set tap_set_of(const struct braid_resize_attrs *a, int d, int rank, int x, int n_in, int n_out) {
  struct tap_set t = {.n = 1, .weight = {1.0f}};
  if (n_in == n_out && a->scale[d] == 1.0f && a->coord != BRAID_COORD_TF_CROP_AND_RESIZE) {
    t.index[0] = x;
    return t;
  }
  /* Kept in the range of int whatever the scale; no tensor is that wide. */
  float at = clamp_f32(original(a, d, rank, x, n_in, n_out), -1e9f, 1e9f), below = floorf(at);
  if (a->coord == BRAID_COORD_TF_CROP_AND_RESIZE && (at < 0.0f || at > (float)(n_in - 1)))
    return (struct tap_set){.n = 0};
  int first = (int)below;
  if (a->mode == BRAID_RESIZE_NEAREST) {
    first = nearest(at, a->nearest);
  } else if (a->mode == BRAID_RESIZE_LINEAR) {
    t.n = 2;
    t.weight[0] = 1.0f - (at - below);
    t.weight[1] = at - below;
  } else {
    t.n = 4;
    first -= 1;
    cubic_weights(a->cubic_a, at - below, t.weight);
  }
  if (a->exclude_outside && t.n > 1) drop_outside(&t, first, n_in);
  for (int k = 0; k < t.n; k++) t.index[k] = clamp_index(first + k, n_in);
  return t;
}

static size_t scratch_bytes(const struct braid_kernel_args *args, int rows) {
  (void)rows;
  size_t n = 0;
  for (int d = 0; d < args->out.shape.rank; d++) n += (size_t)args->out.shape.dim[d];
  return n * sizeof(struct tap_set);
}

/* Fills the scratch: one tap set per coordinate of each dimension; `table` gets where each dimension starts. */
static void make_tables(const struct braid_kernel_args *args, struct tap_set *sets, const struct tap_set **table) {
  const struct braid_shape *in = &args->in[0].shape, *out = &args->out.shape;
  for (int d = 0; d < out->rank; d++) {
    table[d] = sets;
    for (int x = 0; x < out->dim[d]; x++)
      *sets++ = tap_set_of(&args->attrs.resize, d, out->rank, x, in->dim[d], out->dim[d]);
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
  for (int k = 0; k < set[d]->n; k++)
    sum += set[d]->weight[k] * interpolate(x, in, set, d + 1, at * (size_t)in->dim[d] + (size_t)set[d]->index[k]);
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
        for (int d = 0; d < in->rank; d++) at = at * (size_t)in->dim[d] + (size_t)set[d]->index[0];
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
