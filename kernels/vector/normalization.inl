/* SPDX-License-Identifier: Apache-2.0
 * Normalize, BatchNormalization and LRN: a band of each channel's plane at a time. LayerNormalization: a part at
 * a time. */
#include "math.inl"

/* The part of plane (n,c) that belongs to a band: for ranks 2 and 3 the rows are the channels themselves. */
struct part {
  int c_begin, c_end;
  size_t first, n;
};

static struct part part_of(const struct braid_shape *shape, struct braid_band band) {
  size_t inner = channels_of(shape).inner;
  if (shape->rank < 4) return (struct part){band.begin, band.end, 0, inner};
  size_t row = inner / (size_t)shape->dim[2];
  return (struct part){0, shape->dim[1], (size_t)band.begin * row, (size_t)(band.end - band.begin) * row};
}

static void normalize_part(float *y, const uint8_t *x, size_t n, float scale, float shift) {
  vf a = vf_set(scale), b = vf_set(shift);
  size_t i = 0;
  for (; i + VF <= n; i += VF) vf_store(y + i, vf_fma(vf_load_u8(x + i), a, b));
  for (; i < n; i++) y[i] = (float)x[i] * scale + shift;
}

static void normalize_run(const struct braid_kernel_args *args, const void *packed, void *scratch,
                          struct braid_band band) {
  (void)packed, (void)scratch;
  struct part part = part_of(&args->out.shape, band);
  struct channels v = channels_of(&args->out.shape);
  for (size_t n = 0; n < v.n; n++)
    for (int c = part.c_begin; c < part.c_end; c++) {
      size_t at = (n * v.c + (size_t)c) * v.inner + part.first;
      normalize_part(out_f32(args) + at, (const uint8_t *)args->in[0].data + at, part.n, in_f32(args, 1)[c],
                     in_f32(args, 2)[c]);
      vf_act_run(&args->act, out_f32(args) + at, part.n);
    }
}

static bool normalize_accepts(const struct braid_kernel_args *args) {
  return args->out.dtype == BRAID_F32 && args->in[0].dtype == BRAID_U8 && args->n_in == 3 &&
         args->in[1].dtype == BRAID_F32 && args->in[2].dtype == BRAID_F32 && args->out.shape.rank >= 2 &&
         braid_shape_elements(&args->out.shape) > 0;
}

static void batch_norm_part(float *y, const float *x, size_t n, float gain, float shift) {
  vf a = vf_set(gain), b = vf_set(shift);
  size_t i = 0;
  for (; i + VF <= n; i += VF) vf_store(y + i, vf_fma(vf_load(x + i), a, b));
  if (i < n) vf_store_n(y + i, vf_fma(vf_load_n(x + i, (int)(n - i)), a, b), (int)(n - i));
}

static void batch_norm_run(const struct braid_kernel_args *args, const void *packed, void *scratch,
                           struct braid_band band) {
  (void)packed, (void)scratch;
  struct part part = part_of(&args->out.shape, band);
  struct channels v = channels_of(&args->out.shape);
  const float *scale = in_f32(args, 1), *bias = in_f32(args, 2), *mean = in_f32(args, 3), *var = in_f32(args, 4);
  for (size_t n = 0; n < v.n; n++)
    for (int c = part.c_begin; c < part.c_end; c++) {
      size_t at = (n * v.c + (size_t)c) * v.inner + part.first;
      float gain = scale[c] / sqrtf(var[c] + args->attrs.norm.epsilon);
      batch_norm_part(out_f32(args) + at, in_f32(args, 0) + at, part.n, gain, bias[c] - mean[c] * gain);
      vf_act_run(&args->act, out_f32(args) + at, part.n);
    }
}

static bool batch_norm_accepts(const struct braid_kernel_args *args) {
  return all_f32(args) && args->n_in == 5 && args->out.shape.rank >= 2 && braid_shape_elements(&args->out.shape) > 0;
}

/* x [n] of channels from..to of a plane stack with `plane` elements each; y = x_c / (bias + a * sum of squares)^beta.
 */
struct window {
  const float *x;
  size_t plane, from, to, c;
};

static inline vf lrn_power(vf s, float beta) { /* accepts() lets 0.5, 0.75 and 1 in */
  if (beta == 1.0f) return s;
  vf root = vf_sqrt(s);
  return beta == 0.5f ? root : vf_mul(root, vf_sqrt(root));
}

static void lrn_part(const struct braid_lrn_attrs *a, float *y, const struct window *w, size_t n) {
  vf bias = vf_set(a->bias), alpha = vf_set(a->alpha / (float)a->size);
  for (size_t i = 0; i < n; i += VF) {
    int lanes = n - i < VF ? (int)(n - i) : VF;
    vf sum = vf_set(0.0f);
    for (size_t k = w->from; k <= w->to; k++) {
      vf x = vf_load_n(w->x + k * w->plane + i, lanes);
      sum = vf_fma(x, x, sum);
    }
    vf power = lrn_power(vf_fma(alpha, sum, bias), a->beta);
    vf_store_n(y + i, vf_div(vf_load_n(w->x + w->c * w->plane + i, lanes), power), lanes);
  }
}

static void lrn_run(const struct braid_kernel_args *args, const void *packed, void *scratch, struct braid_band band) {
  (void)packed, (void)scratch;
  const struct braid_lrn_attrs *a = &args->attrs.lrn;
  struct part part = part_of(&args->out.shape, band);
  struct channels v = channels_of(&args->out.shape);
  size_t below = (size_t)(a->size - 1) / 2, above = (size_t)a->size / 2;
  for (size_t n = 0; n < v.n; n++)
    for (size_t c = (size_t)part.c_begin; c < (size_t)part.c_end; c++) {
      struct window w = {in_f32(args, 0) + n * v.c * v.inner + part.first, v.inner, c > below ? c - below : 0,
                         c + above < v.c ? c + above : v.c - 1, c};
      float *y = out_f32(args) + (n * v.c + c) * v.inner + part.first;
      lrn_part(a, y, &w, part.n);
      vf_act_run(&args->act, y, part.n);
    }
}

static bool lrn_accepts(const struct braid_kernel_args *args) {
  float beta = args->attrs.lrn.beta;
  return all_f32(args) && args->out.shape.rank >= 2 && (beta == 0.5f || beta == 0.75f || beta == 1.0f) &&
         braid_shape_elements(&args->out.shape) > 0;
}

/* ---------------------------------------------------------------------------------- LayerNormalization */

static float mean_of(const float *x, size_t n) {
  vf sum = vf_set(0.0f);
  for (size_t i = 0; i < n; i += VF) sum = vf_add(sum, vf_load_n(x + i, n - i < VF ? (int)(n - i) : VF));
  return vf_sum(sum) / (float)n;
}

static float variance_of(const float *x, size_t n, float mean) {
  vf sum = vf_set(0.0f), m = vf_set(mean);
  for (size_t i = 0; i < n; i += VF) {
    int lanes = n - i < VF ? (int)(n - i) : VF;
    vf d = vf_keep_n(vf_sub(vf_load_n(x + i, lanes), m), vf_set(0.0f), lanes);
    sum = vf_fma(d, d, sum);
  }
  return vf_sum(sum) / (float)n;
}

static void layer_part(float *y, const float *x, const float *scale, const float *bias, size_t n, float epsilon) {
  float mean = mean_of(x, n), gain = 1.0f / sqrtf(variance_of(x, n, mean) + epsilon);
  vf m = vf_set(mean), g = vf_set(gain);
  for (size_t i = 0; i < n; i += VF) {
    int lanes = n - i < VF ? (int)(n - i) : VF;
    vf v = vf_mul(vf_mul(vf_sub(vf_load_n(x + i, lanes), m), g), vf_load_n(scale + i, lanes));
    if (bias) v = vf_add(v, vf_load_n(bias + i, lanes));
    vf_store_n(y + i, v, lanes);
  }
}

static size_t part_size(const struct braid_kernel_args *args) {
  size_t n = 1;
  for (int d = args->attrs.norm.axis; d < args->out.shape.rank; d++) n *= (size_t)args->out.shape.dim[d];
  return n;
}

static void layer_run(const struct braid_kernel_args *args, const void *packed, void *scratch, struct braid_band band) {
  (void)packed, (void)scratch;
  size_t n = part_size(args);
  struct runs r = runs_of(&args->out.shape, band);
  for (size_t run = 0; run < r.count; run++)
    for (size_t i = r.first + run * r.stride, end = i + r.n; i < end; i += n)
      layer_part(out_f32(args) + i, in_f32(args, 0) + i, in_f32(args, 1), in_f32(args, 2), n, args->attrs.norm.epsilon);
}

/* Bands fall between the parts, and scale and bias have a value for every element of one. */
static bool layer_accepts(const struct braid_kernel_args *args) {
  int64_t n = (int64_t)part_size(args);
  return all_f32(args) && no_act(args) && braid_slice_axis(&args->out.shape) < args->attrs.norm.axis &&
         braid_shape_elements(&args->in[1].shape) == n &&
         (!has_in(args, 2) || braid_shape_elements(&args->in[2].shape) == n);
}

const struct braid_kernel ISA_TABLE(normalization)[] = {
    {.name = "layer_normalization_f32__" ISA_TEXT,
     .op = BRAID_OP_LAYER_NORMALIZATION,
     .needs = ISA_NEEDS,
     .sliceable = true,
     .accepts = layer_accepts,
     .run = layer_run},
    {.name = "normalize_u8_f32__" ISA_TEXT,
     .op = BRAID_OP_NORMALIZE,
     .needs = ISA_NEEDS,
     .sliceable = true,
     .accepts = normalize_accepts,
     .run = normalize_run},
    {.name = "batch_normalization_f32__" ISA_TEXT,
     .op = BRAID_OP_BATCH_NORMALIZATION,
     .needs = ISA_NEEDS,
     .in_place = IN_PLACE_OF(0),
     .sliceable = true,
     .accepts = batch_norm_accepts,
     .run = batch_norm_run},
    {.name = "lrn_f32__" ISA_TEXT,
     .op = BRAID_OP_LRN,
     .needs = ISA_NEEDS,
     .sliceable = true,
     .accepts = lrn_accepts,
     .run = lrn_run},
    {0},
};
