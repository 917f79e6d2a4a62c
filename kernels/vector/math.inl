/* SPDX-License-Identifier: Apache-2.0
 *
 * The unary operators on vectors. exp: x = n ln 2 + r with |r| <= ln(2)/2, 2^n exactly, e^r by its Taylor polynomial of
 * degree 7 (truncation 5.2e-9): relative error below 2e-7 wherever the result is a normal float. Sigmoid stays below
 * 3e-7 (exp, a sum and a quotient are rounded), tanh below 5e-7; Elu is exact to 2e-7 * |alpha| absolutely. Erf stays
 * below 6e-7 relatively, Gelu below 6e-7 * (1 + |x|) absolutely. */
#include "../activation.h"

static inline vf vf_exp(vf x) {
  const vf one = vf_set(1.0f);
  x = vf_min(vf_set(89.0f), vf_max(vf_set(-104.0f), x)); /* e^89 is infinite, e^-104 zero; NaN passes */
  vf n = vf_round(vf_mul(x, vf_set(1.44269504f)));
  vf r = vf_fnma(n, vf_set(0.693359375f), x); /* ln 2 in two parts; n times the first is exact */
  r = vf_fnma(n, vf_set(-2.12194440e-4f), r);
  vf p = vf_set(1.0f / 5040.0f);
  p = vf_fma(p, r, vf_set(1.0f / 720.0f));
  p = vf_fma(p, r, vf_set(1.0f / 120.0f));
  p = vf_fma(p, r, vf_set(1.0f / 24.0f));
  p = vf_fma(p, r, vf_set(1.0f / 6.0f));
  p = vf_fma(p, r, vf_set(0.5f));
  p = vf_fma(p, r, one);
  p = vf_fma(p, r, one);
  return vf_scale(p, n);
}

static inline vf vf_sigmoid(vf x) { return vf_div(vf_set(1.0f), vf_add(vf_set(1.0f), vf_exp(vf_neg(x)))); }

/* Near zero the Taylor series (truncation 1.3e-8 at 0.35), beyond it 1 - 2 / (e^2x + 1). */
static inline vf vf_tanh(vf x) {
  vf z = vf_mul(x, x), p = vf_set(-1382.0f / 155925.0f);
  p = vf_fma(p, z, vf_set(62.0f / 2835.0f));
  p = vf_fma(p, z, vf_set(-17.0f / 315.0f));
  p = vf_fma(p, z, vf_set(2.0f / 15.0f));
  p = vf_fma(p, z, vf_set(-1.0f / 3.0f));
  vf near = vf_fma(vf_mul(p, z), x, x);
  vf far = vf_sub(vf_set(1.0f), vf_div(vf_set(2.0f), vf_add(vf_exp(vf_add(x, x)), vf_set(1.0f))));
  return vf_select_less(vf_abs(x), vf_set(0.35f), near, far);
}

/* 1 - erf(z) for z >= 0: Abramowitz and Stegun, 7.1.26 (absolute error 1.5e-7). */
static inline vf vf_erfc(vf z) {
  vf t = vf_div(vf_set(1.0f), vf_fma(vf_set(0.3275911f), z, vf_set(1.0f)));
  vf p = vf_set(1.061405429f);
  p = vf_fma(p, t, vf_set(-1.453152027f));
  p = vf_fma(p, t, vf_set(1.421413741f));
  p = vf_fma(p, t, vf_set(-0.284496736f));
  p = vf_fma(p, t, vf_set(0.254829592f));
  return vf_mul(vf_mul(p, t), vf_exp(vf_neg(vf_mul(z, z))));
}

/* The Taylor series, for |x| < 0.5 (truncation 1.3e-8 there). */
static inline vf vf_erf_near(vf x) {
  vf z = vf_mul(x, x), p = vf_set(-1.0f / 1320.0f);
  p = vf_fma(p, z, vf_set(1.0f / 216.0f));
  p = vf_fma(p, z, vf_set(-1.0f / 42.0f));
  p = vf_fma(p, z, vf_set(0.1f));
  p = vf_fma(p, z, vf_set(-1.0f / 3.0f));
  p = vf_fma(p, z, vf_set(1.0f));
  return vf_mul(vf_mul(p, x), vf_set(1.12837917f)); /* 2 / sqrt(pi) */
}

static inline vf vf_erf(vf x) {
  vf size = vf_abs(x), far = vf_sub(vf_set(1.0f), vf_erfc(size));
  far = vf_select_less(x, vf_set(0.0f), vf_neg(far), far);
  return vf_select_less(size, vf_set(0.5f), vf_erf_near(x), far);
}

/* x * (1 + erf(x / sqrt 2)) / 2; for negative x that is x * erfc / 2, without taking a difference. */
static inline vf vf_gelu(vf x) {
  vf z = vf_mul(x, vf_set(0.70710678f)), half = vf_mul(vf_set(0.5f), x), size = vf_abs(z);
  vf tail = vf_mul(half, vf_erfc(size)), far = vf_select_less(x, vf_set(0.0f), tail, vf_sub(x, tail));
  return vf_select_less(size, vf_set(0.5f), vf_fma(half, vf_erf_near(z), half), far);
}

static inline vf vf_clamp(vf x, vf lo, vf hi) { return vf_min(hi, vf_max(lo, x)); }

#define VECTOR_UNARY_OPS(X)                                                                                            \
  X(RELU, "relu")                                                                                                      \
  X(LEAKY_RELU, "leaky_relu")                                                                                          \
  X(CLIP, "clip")                                                                                                      \
  X(ELU, "elu")                                                                                                        \
  X(SIGMOID, "sigmoid")                                                                                                \
  X(HARD_SIGMOID, "hard_sigmoid")                                                                                      \
  X(HARD_SWISH, "hard_swish")                                                                                          \
  X(ERF, "erf")                                                                                                        \
  X(GELU, "gelu")                                                                                                      \
  X(TANH, "tanh")                                                                                                      \
  X(SOFTSIGN, "softsign")                                                                                              \
  X(EXP, "exp")                                                                                                        \
  X(SQRT, "sqrt")                                                                                                      \
  X(RECIPROCAL, "reciprocal")                                                                                          \
  X(NEG, "neg")                                                                                                        \
  X(ABS, "abs")                                                                                                        \
  X(FLOOR, "floor")                                                                                                    \
  X(CEIL, "ceil")

/* `op` is a constant wherever this is called, so the switch is gone after inlining. */
static inline __attribute__((always_inline)) vf vf_unary(enum braid_op op, vf a, vf b, vf x) {
  const vf zero = vf_set(0.0f), one = vf_set(1.0f);
  switch (op) {
  case BRAID_OP_RELU: return vf_max(zero, x);
  case BRAID_OP_LEAKY_RELU: return vf_select_less(x, zero, vf_mul(a, x), x);
  case BRAID_OP_CLIP: return vf_clamp(x, a, b);
  case BRAID_OP_ELU: return vf_select_less(x, zero, vf_mul(a, vf_sub(vf_exp(x), one)), x);
  case BRAID_OP_SIGMOID: return vf_sigmoid(x);
  case BRAID_OP_ERF: return vf_erf(x);
  case BRAID_OP_GELU: return vf_gelu(x);
  case BRAID_OP_HARD_SIGMOID: return vf_clamp(vf_fma(a, x, b), zero, one);
  case BRAID_OP_HARD_SWISH: return vf_mul(x, vf_clamp(vf_fma(x, vf_set(1.0f / 6.0f), vf_set(0.5f)), zero, one));
  case BRAID_OP_TANH: return vf_tanh(x);
  case BRAID_OP_SOFTSIGN: return vf_div(x, vf_add(one, vf_abs(x)));
  case BRAID_OP_EXP: return vf_exp(x);
  case BRAID_OP_SQRT: return vf_sqrt(x);
  case BRAID_OP_RECIPROCAL: return vf_div(one, x);
  case BRAID_OP_NEG: return vf_neg(x);
  case BRAID_OP_ABS: return vf_abs(x);
  case BRAID_OP_FLOOR: return vf_floor(x);
  case BRAID_OP_CEIL: return vf_ceil(x);
  default: return x;
  }
}

static inline __attribute__((always_inline)) void unary_loop(enum braid_op op, struct braid_unary_attrs attrs, float *y,
                                                             const float *x, size_t n) {
  vf a = vf_set(attrs.a), b = vf_set(attrs.b);
  size_t i = 0;
  for (; i + VF <= n; i += VF) vf_store(y + i, vf_unary(op, a, b, vf_load(x + i)));
  if (i < n) vf_store_n(y + i, vf_unary(op, a, b, vf_load_n(x + i, (int)(n - i))), (int)(n - i));
}

/* y = op(x), [n]; y may be x. */
static void unary_run(enum braid_op op, struct braid_unary_attrs attrs, float *y, const float *x, size_t n) {
  switch (op) {
#define X(id, text)                                                                                                    \
  case BRAID_OP_##id: unary_loop(BRAID_OP_##id, attrs, y, x, n); break;
    VECTOR_UNARY_OPS(X)
#undef X
  default: /* no vector form; neither the tables nor braid_act name such an operator today */
    for (size_t i = 0; i < n; i++) y[i] = unary_f32(op, attrs, x[i]);
  }
}

static inline void vf_act_run(const struct braid_act *act, float *y, size_t n) {
  if (act->op != BRAID_ACT_NONE) unary_run(act->op, act->attrs, y, y, n);
}
