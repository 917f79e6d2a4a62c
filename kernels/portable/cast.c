/* SPDX-License-Identifier: Apache-2.0
 * Casts that lose nothing and whose loops the compiler turns into vector code: pictures, quantised values and
 * 16-bit floats on their way into a network. float32 to other types has rules of its own (scalar.h). */
#include "kernel.h"

#define CASTS(X)                                                                                                       \
  X(U8, uint8_t, F32, float)                                                                                           \
  X(I8, int8_t, F32, float)                                                                                            \
  X(I32, int32_t, F32, float)                                                                                          \
  X(U8, uint8_t, I32, int32_t)                                                                                         \
  X(I8, int8_t, I32, int32_t)

#define X(from, FROM, to, TO)                                                                                          \
  static void cast_##from##_##to(const void *in, void *out, size_t first, size_t n) {                                  \
    const FROM *x = (const FROM *)in + first;                                                                          \
    TO *y = (TO *)out + first;                                                                                         \
    for (size_t i = 0; i < n; i++) y[i] = (TO)x[i];                                                                    \
  }
CASTS(X)
#undef X

static float float_of(uint32_t bits) {
  float x;
  memcpy(&x, &bits, sizeof x);
  return x;
}

/* The exponent is moved by a product, which takes denormals along; what has the largest one is infinite or no number. */
static float wide_F16(uint16_t half) {
  uint32_t sign = (uint32_t)(half & 0x8000) << 16, rest = (uint32_t)(half & 0x7fff) << 13, bits;
  float x = float_of(rest) * 0x1p112f;
  memcpy(&bits, &x, sizeof bits);
  return float_of(sign | (rest >= 0x0f800000u ? rest | 0x7f800000u : bits));
}

static float wide_BF16(uint16_t half) { return float_of((uint32_t)half << 16); }

#define HALF_CASTS(X) X(F16) X(BF16)
#define X(from)                                                                                                        \
  static void cast_##from##_F32(const void *in, void *out, size_t first, size_t n) {                                   \
    const uint16_t *x = (const uint16_t *)in + first;                                                                  \
    float *y = (float *)out + first;                                                                                   \
    for (size_t i = 0; i < n; i++) y[i] = wide_##from(x[i]);                                                           \
  }
HALF_CASTS(X)
#undef X

typedef void cast_fn(const void *in, void *out, size_t first, size_t n);

static cast_fn *find(enum braid_dtype from, enum braid_dtype to) {
#define X(f, FROM, t, TO)                                                                                              \
  if (from == BRAID_##f && to == BRAID_##t) return cast_##f##_##t;
  CASTS(X)
#undef X
#define X(f)                                                                                                           \
  if (from == BRAID_##f && to == BRAID_F32) return cast_##f##_F32;
  HALF_CASTS(X)
#undef X
  return NULL;
}

static void run(const struct braid_kernel_args *args, const void *packed, void *scratch, struct braid_band band) {
  (void)packed, (void)scratch;
  struct runs r = runs_of(&args->out.shape, band);
  cast_fn *cast = find(args->in[0].dtype, args->out.dtype);
  for (size_t i = 0; i < r.count; i++) cast(args->in[0].data, args->out.data, r.first + i * r.stride, r.n);
}

static bool accepts(const struct braid_kernel_args *args) {
  return no_act(args) && find(args->in[0].dtype, args->out.dtype);
}

const struct braid_kernel kernels_portable_cast[] = {
    {.name = "cast__portable",
     .op = BRAID_OP_CAST,
     .needs = BRAID_CPU_BLAS,
     .sliceable = true,
     .accepts = accepts,
     .run = run},
    {0},
};
