/* SPDX-License-Identifier: Apache-2.0
 * The formulas of unary operators for one type, included once a type: UNARY_T is it, UNARY_NAME(stem) makes the names,
 * UNARY_M(exp) is the math function of that type. */

static inline UNARY_T UNARY_NAME(limit)(UNARY_T x, UNARY_T lo, UNARY_T hi) { return x < lo ? lo : x > hi ? hi : x; }

/* log(1 + e^x) without overflow. */
static inline UNARY_T UNARY_NAME(softplus)(UNARY_T x) {
  return (x > 0 ? x : 0) + UNARY_M(log1p)(UNARY_M(exp)(-UNARY_M(fabs)(x)));
}

/* Hendrycks and Gimpel, "Gaussian Error Linear Units", 2016: x * Phi(x), or their approximation by tanh. */
static inline UNARY_T UNARY_NAME(gelu)(UNARY_T x, bool by_tanh) {
  if (by_tanh) {
    UNARY_T inner = (UNARY_T)0.79788456080286535588 * (x + (UNARY_T)0.044715 * x * x * x); /* sqrt(2/pi) */
    return (UNARY_T)0.5 * x * (1 + UNARY_M(tanh)(inner));
  }
  return (UNARY_T)0.5 * x * (1 + UNARY_M(erf)(x * (UNARY_T)0.70710678118654752440));
}

static inline UNARY_T UNARY_NAME(shrink)(UNARY_T x, UNARY_T lambd, UNARY_T bias) {
  return x < -lambd ? x + bias : x > lambd ? x - bias : 0;
}

static inline UNARY_T UNARY_NAME(unary)(enum braid_op op, struct braid_unary_attrs p, UNARY_T x) {
  UNARY_T a = (UNARY_T)p.a, b = (UNARY_T)p.b;
  switch (op) {
  case BRAID_OP_RELU: return x < 0 ? 0 : x;
  case BRAID_OP_LEAKY_RELU: return x < 0 ? a * x : x;
  case BRAID_OP_CLIP: return UNARY_NAME(limit)(x, a, b);
  case BRAID_OP_ELU: return x < 0 ? a * UNARY_M(expm1)(x) : x;
  case BRAID_OP_SELU: return b * (x < 0 ? a * UNARY_M(expm1)(x) : x);
  case BRAID_OP_CELU: return x < 0 ? a * UNARY_M(expm1)(x / a) : x;
  case BRAID_OP_SIGMOID: return 1 / (1 + UNARY_M(exp)(-x));
  case BRAID_OP_HARD_SIGMOID: return UNARY_NAME(limit)(a * x + b, 0, 1);
  case BRAID_OP_HARD_SWISH: return x * UNARY_NAME(limit)(x * ((UNARY_T)1 / 6) + (UNARY_T)0.5, 0, 1);
  case BRAID_OP_GELU: return UNARY_NAME(gelu)(x, p.a != 0.0f);
  case BRAID_OP_MISH: return x * UNARY_M(tanh)(UNARY_NAME(softplus)(x));
  case BRAID_OP_THRESHOLDED_RELU: return x > a ? x : 0;
  case BRAID_OP_SHRINK: return UNARY_NAME(shrink)(x, a, b);
  case BRAID_OP_TANH: return UNARY_M(tanh)(x);
  case BRAID_OP_SOFTPLUS: return UNARY_NAME(softplus)(x);
  case BRAID_OP_SOFTSIGN: return x / (1 + UNARY_M(fabs)(x));
  case BRAID_OP_ERF: return UNARY_M(erf)(x);
  case BRAID_OP_EXP: return UNARY_M(exp)(x);
  case BRAID_OP_LOG: return UNARY_M(log)(x);
  case BRAID_OP_SQRT: return UNARY_M(sqrt)(x);
  case BRAID_OP_RECIPROCAL: return 1 / x;
  case BRAID_OP_NEG: return -x;
  case BRAID_OP_ABS: return UNARY_M(fabs)(x);
  case BRAID_OP_SIGN: return x > 0 ? 1 : x < 0 ? -1 : x; /* NaN stays NaN */
  case BRAID_OP_FLOOR: return UNARY_M(floor)(x);
  case BRAID_OP_CEIL: return UNARY_M(ceil)(x);
  case BRAID_OP_ROUND: return UNARY_M(nearbyint)(x); /* ties to even */
  case BRAID_OP_SIN: return UNARY_M(sin)(x);
  case BRAID_OP_COS: return UNARY_M(cos)(x);
  case BRAID_OP_TAN: return UNARY_M(tan)(x);
  case BRAID_OP_ASIN: return UNARY_M(asin)(x);
  case BRAID_OP_ACOS: return UNARY_M(acos)(x);
  case BRAID_OP_ATAN: return UNARY_M(atan)(x);
  case BRAID_OP_SINH: return UNARY_M(sinh)(x);
  case BRAID_OP_COSH: return UNARY_M(cosh)(x);
  case BRAID_OP_ASINH: return UNARY_M(asinh)(x);
  case BRAID_OP_ACOSH: return UNARY_M(acosh)(x);
  case BRAID_OP_ATANH: return UNARY_M(atanh)(x);
  default: return x; /* BRAID_ACT_NONE */
  }
}

#undef UNARY_T
#undef UNARY_NAME
#undef UNARY_M
