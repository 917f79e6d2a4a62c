/* SPDX-License-Identifier: Apache-2.0
 *
 * LayerNormalization (Ba, Kiros, Hinton 2016) and GroupNormalization (Wu, He 2018): parts of the tensor that lie
 * together are brought to mean 0 and variance 1, then scaled and shifted, by element of the part or by channel. Mean
 * and variance are found in double, in two passes. */
#include "activation.h"
#include "kernel.h"

struct moments {
  double mean, gain;
};

static struct moments moments_of(const float *x, size_t n, float epsilon) {
  double sum = 0.0, squares = 0.0;
  for (size_t i = 0; i < n; i++) sum += (double)x[i];
  double mean = sum / (double)n;
  for (size_t i = 0; i < n; i++) squares += ((double)x[i] - mean) * ((double)x[i] - mean);
  return (struct moments){mean, 1.0 / sqrt(squares / (double)n + (double)epsilon)};
}

/* Element i of a part with the given dims, of an operand that is broadcast to it. */
static float broadcast_at(const struct braid_tensor *t, const int *dim, int rank, size_t i) {
  size_t at = 0, step = 1;
  for (int d = rank - 1, e = t->shape.rank - 1; e >= 0; d--, e--) {
    size_t extent = (size_t)dim[d];
    if (t->shape.dim[e] != 1) at += i % extent * step;
    step *= (size_t)t->shape.dim[e];
    i /= extent;
  }
  return ((const float *)t->data)[at];
}

/* Is element i of the tensor in the band? */
struct rows {
  size_t step, count; /* elements of a row; rows */
  struct braid_band band;
};

static struct rows rows_of(const struct braid_shape *shape, struct braid_band band) {
  struct rows r = {1, (size_t)braid_slice_rows(shape), band};
  for (int d = braid_slice_axis(shape) + 1; d < shape->rank; d++) r.step *= (size_t)shape->dim[d];
  return r;
}

static bool in_band(const struct rows *r, size_t i) {
  size_t row = i / r->step % r->count;
  return row >= (size_t)r->band.begin && row < (size_t)r->band.end;
}

static void layer_part(const struct braid_kernel_args *args, const struct rows *rows, size_t at, size_t n) {
  int axis = args->attrs.norm.axis, rank = args->out.shape.rank - axis;
  const int *dim = args->out.shape.dim + axis;
  const float *x = in_f32(args, 0) + at;
  struct moments m = moments_of(x, n, args->attrs.norm.epsilon);
  for (size_t i = 0; i < n; i++) {
    if (!in_band(rows, at + i)) continue;
    float y = (float)(((double)x[i] - m.mean) * m.gain) * broadcast_at(&args->in[1], dim, rank, i);
    if (has_in(args, 2)) y += broadcast_at(&args->in[2], dim, rank, i);
    out_f32(args)[at + i] = act_f32(&args->act, y);
  }
}

/* Bands usually cut between the parts (then the others are not looked at); one that cuts through them needs them all. */
static void layer_run(const struct braid_kernel_args *args, const void *packed, void *scratch, struct braid_band band) {
  (void)packed, (void)scratch;
  const struct braid_shape *shape = &args->out.shape;
  struct rows rows = rows_of(shape, band);
  bool cut = braid_slice_axis(shape) >= args->attrs.norm.axis;
  size_t n = 1, all = (size_t)braid_shape_elements(shape);
  for (int d = args->attrs.norm.axis; d < shape->rank; d++) n *= (size_t)shape->dim[d];
  for (size_t at = 0; at < all; at += n)
    if (cut || in_band(&rows, at)) layer_part(args, &rows, at, n);
}

static void group_run(const struct braid_kernel_args *args, const void *packed, void *scratch, struct braid_band band) {
  (void)packed, (void)scratch, (void)band;
  struct channels v = channels_of(&args->out.shape);
  size_t per_group = v.c / (size_t)args->attrs.norm.groups, n = per_group * v.inner;
  const float *scale = in_f32(args, 1), *bias = in_f32(args, 2);
  for (size_t g = 0; g < v.n * (size_t)args->attrs.norm.groups; g++) {
    const float *x = in_f32(args, 0) + g * n;
    float *y = out_f32(args) + g * n;
    struct moments m = moments_of(x, n, args->attrs.norm.epsilon);
    for (size_t i = 0; i < n; i++) {
      size_t c = (g * per_group + i / v.inner) % v.c;
      y[i] = (float)(((double)x[i] - m.mean) * m.gain) * scale[c] + bias[c];
    }
    act_run_f32(&args->act, y, n);
  }
}

static bool layer_accepts(const struct braid_kernel_args *args) { return all_f32(args); }
static bool group_accepts(const struct braid_kernel_args *args) { return all_f32(args) && args->out.shape.rank >= 2; }

const struct braid_kernel kernels_ref_layer_norm[] = {
    {.name = "layer_normalization_f32__ref",
     .op = BRAID_OP_LAYER_NORMALIZATION,
     .sliceable = true,
     .accepts = layer_accepts,
     .run = layer_run},
    {.name = "group_normalization_f32__ref",
     .op = BRAID_OP_GROUP_NORMALIZATION,
     .accepts = group_accepts,
     .run = group_run},
    {0},
};
