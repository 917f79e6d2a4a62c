/* SPDX-License-Identifier: Apache-2.0
 * The unary operators as functions of one float or double: the definition for the reference kernels, and for the tails
 * of activations fused into other kernels. */
#ifndef KERNELS_ACTIVATION_H
#define KERNELS_ACTIVATION_H

#include "braid/base.h"

#include <math.h>

static inline float clamp_f32(float x, float lo, float hi) { return x < lo ? lo : x > hi ? hi : x; }

#define UNARY_T float
#define UNARY_NAME(stem) stem##_f32
#define UNARY_M(function) function##f
#include "unary_formulas.inl"

#define UNARY_T double
#define UNARY_NAME(stem) stem##_f64
#define UNARY_M(function) function
#include "unary_formulas.inl"

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
