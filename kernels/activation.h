/* SPDX-License-Identifier: Apache-2.0
 * The unary operators as functions of one float: the definition for the reference kernels, and for the tails of
 * activations fused into other kernels. */
#ifndef KERNELS_ACTIVATION_H
#define KERNELS_ACTIVATION_H

#include "braid/base.h"

#include <math.h>

static inline float clamp_f32(float x, float lo, float hi) { return x < lo ? lo : x > hi ? hi : x; }

static inline float softplus_f32(float x) { return (x > 0.0f ? x : 0.0f) + log1pf(expf(-fabsf(x))); }

static inline float unary_f32(enum braid_op op, struct braid_unary_attrs p, float x) {
  switch (op) {
  case BRAID_OP_RELU: return x < 0.0f ? 0.0f : x;
  case BRAID_OP_LEAKY_RELU: return x < 0.0f ? p.a * x : x;
  case BRAID_OP_CLIP: return clamp_f32(x, p.a, p.b);
  case BRAID_OP_ELU: return x < 0.0f ? p.a * expm1f(x) : x;
  case BRAID_OP_SELU: return p.b * (x < 0.0f ? p.a * expm1f(x) : x);
  case BRAID_OP_SIGMOID: return 1.0f / (1.0f + expf(-x));
  case BRAID_OP_HARD_SIGMOID: return clamp_f32(p.a * x + p.b, 0.0f, 1.0f);
  case BRAID_OP_HARD_SWISH: return x * clamp_f32(x * (1.0f / 6.0f) + 0.5f, 0.0f, 1.0f);
  case BRAID_OP_TANH: return tanhf(x);
  case BRAID_OP_SOFTPLUS: return softplus_f32(x);
  case BRAID_OP_SOFTSIGN: return x / (1.0f + fabsf(x));
  case BRAID_OP_ERF: return erff(x);
  case BRAID_OP_EXP: return expf(x);
  case BRAID_OP_LOG: return logf(x);
  case BRAID_OP_SQRT: return sqrtf(x);
  case BRAID_OP_RECIPROCAL: return 1.0f / x;
  case BRAID_OP_NEG: return -x;
  case BRAID_OP_ABS: return fabsf(x);
  case BRAID_OP_FLOOR: return floorf(x);
  case BRAID_OP_CEIL: return ceilf(x);
  default: return x; /* BRAID_ACT_NONE */
  }
}

static inline float act_f32(const struct braid_act *act, float x) { return unary_f32(act->op, act->attrs, x); }

/* A whole run in place. What the compiler can turn into vector code stands apart. */
static inline void act_run_f32(const struct braid_act *act, float *y, size_t n) {
  float lo = act->attrs.a, hi = act->attrs.b;
  switch (act->op) {
  case BRAID_ACT_NONE: break;
  case BRAID_OP_RELU:
    for (size_t i = 0; i < n; i++) y[i] = y[i] < 0.0f ? 0.0f : y[i];
    break;
  case BRAID_OP_CLIP:
    for (size_t i = 0; i < n; i++) y[i] = clamp_f32(y[i], lo, hi);
    break;
  default:
    for (size_t i = 0; i < n; i++) y[i] = act_f32(act, y[i]);
  }
}

#endif
