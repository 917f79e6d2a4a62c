/* SPDX-License-Identifier: Apache-2.0
 * Normalize (pixels to floats), BatchNormalization (inference) and LRN: all per channel, channels on axis 1. */
#include "activation.h"
#include "kernel.h"

/* fn(element index) for every element of the band would be a call per element; instead the channel is found anew at
 * each one: obvious, and fast enough for a reference. */
#define FOR_BAND(i)                                                                                                    \
  struct runs r = runs_of(&args->out.shape, band);                                                                     \
  for (size_t run = 0; run < r.count; run++)                                                                           \
    for (size_t i = r.first + run * r.stride, end = i + r.n; i < end; i++)

static void normalize_run(const struct braid_kernel_args *args, const void *packed, void *scratch,
                          struct braid_band band) {
  (void)packed, (void)scratch;
  struct channels v = channels_of(&args->out.shape);
  const uint8_t *x = args->in[0].data;
  const float *scale = in_f32(args, 1), *shift = in_f32(args, 2);
  FOR_BAND(i) {
    size_t c = i / v.inner % v.c;
    out_f32(args)[i] = act_f32(&args->act, (float)x[i] * scale[c] + shift[c]);
  }
}

static bool normalize_accepts(const struct braid_kernel_args *args) {
  return args->out.dtype == BRAID_F32 && args->in[0].dtype == BRAID_U8 && args->n_in == 3 &&
         args->in[1].dtype == BRAID_F32 && args->in[2].dtype == BRAID_F32;
}

static void batch_norm_run(const struct braid_kernel_args *args, const void *packed, void *scratch,
                           struct braid_band band) {
  (void)packed, (void)scratch;
  struct channels v = channels_of(&args->out.shape);
  const float *x = in_f32(args, 0), *scale = in_f32(args, 1), *bias = in_f32(args, 2), *mean = in_f32(args, 3),
              *var = in_f32(args, 4);
  FOR_BAND(i) {
    size_t c = i / v.inner % v.c;
    float gain = scale[c] / sqrtf(var[c] + args->attrs.norm.epsilon);
    out_f32(args)[i] = act_f32(&args->act, (x[i] - mean[c]) * gain + bias[c]);
  }
}

static bool batch_norm_accepts(const struct braid_kernel_args *args) {
  return all_f32(args) && args->n_in == 5 && args->in[0].shape.rank >= 2;
}

/* Sum of squares over channels c - floor((size-1)/2) .. c + ceil((size-1)/2). */
static float lrn_sum(const float *x, size_t i, size_t c, const struct channels *v, int size) {
  size_t below = (size_t)(size - 1) / 2, above = (size_t)size / 2;
  size_t from = c > below ? c - below : 0, to = c + above < v->c ? c + above : v->c - 1;
  float sum = 0.0f;
  for (size_t k = from; k <= to; k++) {
    float s = x[i - c * v->inner + k * v->inner];
    sum += s * s;
  }
  return sum;
}

static void lrn_run(const struct braid_kernel_args *args, const void *packed, void *scratch, struct braid_band band) {
  (void)packed, (void)scratch;
  const struct braid_lrn_attrs *a = &args->attrs.lrn;
  struct channels v = channels_of(&args->out.shape);
  const float *x = in_f32(args, 0);
  FOR_BAND(i) {
    float sum = lrn_sum(x, i, i / v.inner % v.c, &v, a->size);
    float y = x[i] / powf(a->bias + a->alpha / (float)a->size * sum, a->beta);
    out_f32(args)[i] = act_f32(&args->act, y);
  }
}

static bool lrn_accepts(const struct braid_kernel_args *args) { return all_f32(args) && args->in[0].shape.rank >= 2; }

const struct braid_kernel kernels_ref_normalization[] = {
    {.name = "normalize_u8_f32__ref",
     .op = BRAID_OP_NORMALIZE,
     .sliceable = true,
     .accepts = normalize_accepts,
     .run = normalize_run},
    {.name = "batch_normalization_f32__ref",
     .op = BRAID_OP_BATCH_NORMALIZATION,
     .in_place = IN_PLACE_OF(0),
     .sliceable = true,
     .accepts = batch_norm_accepts,
     .run = batch_norm_run},
    {.name = "lrn_f32__ref", .op = BRAID_OP_LRN, .sliceable = true, .accepts = lrn_accepts, .run = lrn_run},
    {0},
};
