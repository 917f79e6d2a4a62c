/* SPDX-License-Identifier: Apache-2.0
 *
 * QuantizeLinear and DequantizeLinear, as ONNX defines them: y = saturate(round(x / scale) + zero), ties to even, and
 * x = (y - zero) * scale. One scale and zero for all elements, or one for each index along an axis. What ONNX leaves
 * open: a value that is no number (0/0 of a tensor of zeros whose range was measured) becomes the zero point. */
#include "kernel.h"

#include <math.h>

/* Integers of 8 and 16 bits are quantised values; 32 bits are sums of their products. */
static bool is_quantised(enum braid_dtype dtype) {
  return dtype == BRAID_U8 || dtype == BRAID_I8 || dtype == BRAID_U16 || dtype == BRAID_I16;
}

static int32_t load(enum braid_dtype dtype, const void *data, size_t i) {
  switch (dtype) {
  case BRAID_U8:
    return ((const uint8_t *)data)[i];
  case BRAID_I8:
    return ((const int8_t *)data)[i];
  case BRAID_U16:
    return ((const uint16_t *)data)[i];
  case BRAID_I16:
    return ((const int16_t *)data)[i];
  default:
    return ((const int32_t *)data)[i];
  }
}

static float clamp(float value, float low, float high) {
  return value < low ? low : value > high ? high : value;
}

/* `value` is whole. Its range is cut before it becomes an integer, so that none is too large to convert. */
static void store(enum braid_dtype dtype, void *data, size_t i, float value) {
  switch (dtype) {
  case BRAID_U8:
    ((uint8_t *)data)[i] = (uint8_t)clamp(value, 0, UINT8_MAX);
    break;
  case BRAID_I8:
    ((int8_t *)data)[i] = (int8_t)clamp(value, INT8_MIN, INT8_MAX);
    break;
  case BRAID_U16:
    ((uint16_t *)data)[i] = (uint16_t)clamp(value, 0, UINT16_MAX);
    break;
  default:
    ((int16_t *)data)[i] = (int16_t)clamp(value, INT16_MIN, INT16_MAX);
    break;
  }
}

/* Scales and zeros of one node; the channel of element i is i / inner % n. */
struct scales {
  const float *scale;
  const struct braid_tensor *zero; /* NULL: 0 */
  size_t n, inner;
};

static struct scales scales_of(const struct braid_kernel_args *args) {
  const struct braid_shape *shape = &args->out.shape;
  struct scales s = {args->in[1].data, has_in(args, 2) ? &args->in[2] : NULL, 1, 1};
  s.n = (size_t)braid_shape_elements(&args->in[1].shape);
  for (int d = args->attrs.axis.axis + 1; d < shape->rank; d++) s.inner *= (size_t)shape->dim[d];
  return s;
}

static int32_t zero_of(const struct scales *s, size_t channel) {
  return s->zero ? load(s->zero->dtype, s->zero->data, channel) : 0;
}

static void quantize(const struct braid_kernel_args *args, const void *packed, void *scratch, struct braid_band band) {
  (void)packed, (void)scratch;
  const struct braid_tensor *in = &args->in[0], *out = &args->out;
  struct scales s = scales_of(args);
  struct runs r = runs_of(&out->shape, band);
  for (size_t run = 0; run < r.count; run++)
    for (size_t i = r.first + run * r.stride, end = i + r.n; i < end; i++) {
      size_t channel = i / s.inner % s.n;
      float x = in->dtype == BRAID_F32 ? ((const float *)in->data)[i] : (float)((const int32_t *)in->data)[i];
      float whole = rintf(x / s.scale[channel]);
      store(out->dtype, out->data, i, (isnan(whole) ? 0.0f : whole) + (float)zero_of(&s, channel));
    }
}

static void dequantize(const struct braid_kernel_args *args, const void *packed, void *scratch,
                       struct braid_band band) {
  (void)packed, (void)scratch;
  const struct braid_tensor *in = &args->in[0];
  float *out = out_f32(args);
  struct scales s = scales_of(args);
  struct runs r = runs_of(&args->out.shape, band);
  for (size_t run = 0; run < r.count; run++)
    for (size_t i = r.first + run * r.stride, end = i + r.n; i < end; i++) {
      size_t channel = i / s.inner % s.n;
      int64_t above = (int64_t)load(in->dtype, in->data, i) - zero_of(&s, channel);
      out[i] = (float)above * s.scale[channel];
    }
}

static bool accepts_quantize(const struct braid_kernel_args *args) {
  enum braid_dtype from = args->in[0].dtype, to = args->out.dtype;
  return no_act(args) && (from == BRAID_F32 || from == BRAID_I32) && args->in[1].dtype == BRAID_F32 &&
         is_quantised(to) && (!has_in(args, 2) || args->in[2].dtype == to);
}

static bool accepts_dequantize(const struct braid_kernel_args *args) {
  enum braid_dtype from = args->in[0].dtype;
  return no_act(args) && args->out.dtype == BRAID_F32 && args->in[1].dtype == BRAID_F32 &&
         (is_quantised(from) || from == BRAID_I32) && (!has_in(args, 2) || args->in[2].dtype == from);
}

const struct braid_kernel kernels_ref_quant[] = {
    {.name = "quantize_linear__ref",
     .op = BRAID_OP_QUANTIZE_LINEAR,
     .sliceable = true,
     .accepts = accepts_quantize,
     .run = quantize},
    {.name = "dequantize_linear__ref",
     .op = BRAID_OP_DEQUANTIZE_LINEAR,
     .sliceable = true,
     .accepts = accepts_dequantize,
     .run = dequantize},
    {0},
};
