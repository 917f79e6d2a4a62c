/* SPDX-License-Identifier: Apache-2.0
 * Conversions among all element types: see scalar.h. */
#include "scalar.h"

#include <math.h>
#include <string.h>

/* The two 16-bit floats differ in their widths alone. */
struct narrow {
  int mantissa_bits, exponent_bits;
};
static const struct narrow half = {10, 5}, bfloat = {7, 8};

static double widen(uint16_t bits, struct narrow t) {
  int bias = (1 << (t.exponent_bits - 1)) - 1, top = (1 << t.exponent_bits) - 1;
  int mantissa = bits & ((1 << t.mantissa_bits) - 1), exponent = bits >> t.mantissa_bits & top;
  double x;
  if (exponent == top)
    x = mantissa ? (double)NAN : (double)INFINITY;
  else if (exponent == 0)
    x = ldexp(mantissa, 1 - bias - t.mantissa_bits);
  else
    x = ldexp(mantissa + (1 << t.mantissa_bits), exponent - bias - t.mantissa_bits);
  return bits >> 15 ? -x : x;
}

static uint16_t narrowed(double x, struct narrow t) {
  int bias = (1 << (t.exponent_bits - 1)) - 1, top = (1 << t.exponent_bits) - 1, exponent;
  unsigned sign = signbit(x) ? 0x8000u : 0u, infinite = (unsigned)top << t.mantissa_bits;
  if (isnan(x)) return (uint16_t)(sign | infinite | 1u << (t.mantissa_bits - 1));
  if (isinf(x)) return (uint16_t)(sign | infinite);
  if (x == 0.0) return (uint16_t)sign;
  frexp(x, &exponent); /* |x| in [2^(exponent-1), 2^exponent) */
  int unit = exponent - 1 > 1 - bias ? exponent - 1 : 1 - bias;
  /* In units of the last place; a carry into the next binade or out of the denormals lands in the exponent field. */
  double steps = nearbyint(ldexp(fabs(x), t.mantissa_bits - unit));
  if (unit > bias) return (uint16_t)(sign | infinite);
  unsigned bits = (unsigned)steps + ((unsigned)(unit + bias - 1) << t.mantissa_bits);
  return (uint16_t)(sign | (bits < infinite ? bits : infinite));
}

#define LOAD(T, member, tag)                                                                                           \
  do {                                                                                                                 \
    T value;                                                                                                           \
    memcpy(&value, (const char *)data + index * sizeof value, sizeof value);                                           \
    return (struct scalar){.kind = tag, .member = value};                                                              \
  } while (0)

struct scalar scalar_load(enum braid_dtype dtype, const void *data, size_t index) {
  switch (dtype) {
  case BRAID_F32: {
    float value;
    memcpy(&value, (const char *)data + index * sizeof value, sizeof value);
    return (struct scalar){.kind = SCALAR_FLOAT, .f = (double)value};
  }
  case BRAID_F16: return (struct scalar){.kind = SCALAR_FLOAT, .f = widen(((const uint16_t *)data)[index], half)};
  case BRAID_BF16: return (struct scalar){.kind = SCALAR_FLOAT, .f = widen(((const uint16_t *)data)[index], bfloat)};
  case BRAID_F64: LOAD(double, f, SCALAR_FLOAT);
  case BRAID_U8: LOAD(uint8_t, u, SCALAR_UNSIGNED);
  case BRAID_I8: LOAD(int8_t, i, SCALAR_SIGNED);
  case BRAID_U16: LOAD(uint16_t, u, SCALAR_UNSIGNED);
  case BRAID_I16: LOAD(int16_t, i, SCALAR_SIGNED);
  case BRAID_U32: LOAD(uint32_t, u, SCALAR_UNSIGNED);
  case BRAID_I32: LOAD(int32_t, i, SCALAR_SIGNED);
  case BRAID_U64: LOAD(uint64_t, u, SCALAR_UNSIGNED);
  case BRAID_I64: LOAD(int64_t, i, SCALAR_SIGNED);
  default: return (struct scalar){.kind = SCALAR_UNSIGNED, .u = ((const uint8_t *)data)[index] != 0};
  }
}

double scalar_double(struct scalar value) {
  switch (value.kind) {
  case SCALAR_FLOAT: return value.f;
  case SCALAR_SIGNED: return (double)value.i;
  default: return (double)value.u;
  }
}

static bool truth(struct scalar v) {
  return v.kind == SCALAR_FLOAT ? v.f != 0.0 : v.kind == SCALAR_SIGNED ? v.i != 0 : v.u != 0;
}

/* The low `bits` bits of v as an integer; `is_signed` says how far floats may go. */
static uint64_t integer(struct scalar v, int bits, bool is_signed) {
  if (v.kind == SCALAR_SIGNED) return (uint64_t)v.i;
  if (v.kind == SCALAR_UNSIGNED) return v.u;
  if (isnan(v.f)) return 0;
  double limit = ldexp(1.0, is_signed ? bits - 1 : bits); /* first value above the range */
  uint64_t most = is_signed ? (UINT64_C(1) << (bits - 1)) - 1 : UINT64_MAX >> (64 - bits);
  if (v.f >= limit) return most;
  if (is_signed) return v.f <= -limit ? ~most : (uint64_t)(int64_t)v.f;
  return v.f <= 0.0 ? 0 : (uint64_t)v.f;
}

#define STORE(T, expr)                                                                                                 \
  do {                                                                                                                 \
    T stored = (T)(expr);                                                                                              \
    memcpy((char *)data + index * sizeof stored, &stored, sizeof stored);                                              \
  } while (0)

void scalar_store(enum braid_dtype dtype, void *data, size_t index, struct scalar v) {
  switch (dtype) {
  case BRAID_F32: STORE(float, scalar_double(v)); break;
  case BRAID_F16: STORE(uint16_t, narrowed(scalar_double(v), half)); break;
  case BRAID_BF16: STORE(uint16_t, narrowed(scalar_double(v), bfloat)); break;
  case BRAID_F64: STORE(double, scalar_double(v)); break;
  case BRAID_U8: STORE(uint8_t, integer(v, 8, false)); break;
  case BRAID_I8: STORE(int8_t, integer(v, 8, true)); break;
  case BRAID_U16: STORE(uint16_t, integer(v, 16, false)); break;
  case BRAID_I16: STORE(int16_t, integer(v, 16, true)); break;
  case BRAID_U32: STORE(uint32_t, integer(v, 32, false)); break;
  case BRAID_I32: STORE(int32_t, integer(v, 32, true)); break;
  case BRAID_U64: STORE(uint64_t, integer(v, 64, false)); break;
  case BRAID_I64: STORE(int64_t, integer(v, 64, true)); break;
  default: STORE(uint8_t, truth(v)); break;
  }
}
