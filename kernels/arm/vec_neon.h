/* SPDX-License-Identifier: Apache-2.0
 * Vectors of floats over NEON of aarch64 (every such CPU has it): the names of ../x86/vec_avx2.h, which explains them.
 * There are no masked loads and stores: lanes that are not whole vectors go in and out one by one. */
#ifndef KERNELS_VEC_H
#define KERNELS_VEC_H

#include "../kernel.h"

#include <arm_neon.h>

#define ISA_TEXT "neon"
#define ISA_NEEDS BRAID_CPU_NEON
#define ISA_TABLE(topic) kernels_neon_##topic

typedef float32x4_t vf;
enum { VF = 4 };

static inline vf vf_set(float x) { return vdupq_n_f32(x); }
static inline vf vf_load(const float *p) { return vld1q_f32(p); }
static inline void vf_store(float *p, vf x) { vst1q_f32(p, x); }
static inline vf vf_add(vf a, vf b) { return vaddq_f32(a, b); }
static inline vf vf_sub(vf a, vf b) { return vsubq_f32(a, b); }
static inline vf vf_mul(vf a, vf b) { return vmulq_f32(a, b); }
static inline vf vf_div(vf a, vf b) { return vdivq_f32(a, b); }
static inline vf vf_fma(vf a, vf b, vf c) { return vfmaq_f32(c, a, b); }
static inline vf vf_fnma(vf a, vf b, vf c) { return vfmsq_f32(c, a, b); }
/* Not fmax and fmin, which are NaN where either is. */
static inline vf vf_max(vf a, vf b) { return vbslq_f32(vcgtq_f32(a, b), a, b); }
static inline vf vf_min(vf a, vf b) { return vbslq_f32(vcltq_f32(a, b), a, b); }
static inline vf vf_sqrt(vf x) { return vsqrtq_f32(x); }
static inline vf vf_round(vf x) { return vrndnq_f32(x); }
static inline vf vf_floor(vf x) { return vrndmq_f32(x); }
static inline vf vf_ceil(vf x) { return vrndpq_f32(x); }
static inline vf vf_neg(vf x) { return vnegq_f32(x); }
static inline vf vf_abs(vf x) { return vabsq_f32(x); }
static inline vf vf_select_less(vf x, vf y, vf a, vf b) { return vbslq_f32(vcltq_f32(x, y), a, b); }

static inline int32x4_t vf_positions(int first, int stride) {
  static const int32_t lane[VF] = {0, 1, 2, 3};
  return vmlaq_n_s32(vdupq_n_s32(first), vld1q_s32(lane), stride);
}
static inline uint32x4_t vf_first_lanes(int n) { return vcltq_s32(vf_positions(0, 1), vdupq_n_s32(n)); }

static inline vf vf_load_n(const float *p, int n) {
  switch (n) {
  case 0: return vf_set(0.0f);
  case 1: return vld1q_lane_f32(p, vf_set(0.0f), 0);
  case 2: return vcombine_f32(vld1_f32(p), vdup_n_f32(0.0f));
  case 3: return vcombine_f32(vld1_f32(p), vld1_lane_f32(p + 2, vdup_n_f32(0.0f), 0));
  default: return vf_load(p);
  }
}
static inline void vf_store_n(float *p, vf x, int n) {
  switch (n) {
  case 0: break;
  case 1: vst1q_lane_f32(p, x, 0); break;
  case 2: vst1_f32(p, vget_low_f32(x)); break;
  case 3:
    vst1_f32(p, vget_low_f32(x));
    vst1q_lane_f32(p + 2, x, 2);
    break;
  default: vf_store(p, x);
  }
}
static inline vf vf_keep_n(vf x, vf other, int n) { return vbslq_f32(vf_first_lanes(n), x, other); }

/* A tile of products has 8 rows. */
typedef float32x4x2_t vh;
static inline vh vh_set(float x) { return (vh){{vf_set(x), vf_set(x)}}; }
static inline vh vh_load(const float *p) { return (vh){{vf_load(p), vf_load(p + VF)}}; }
static inline void vh_store(float *p, vh x) {
  vf_store(p, x.val[0]);
  vf_store(p + VF, x.val[1]);
}
static inline vh vh_fma(vh a, vh b, vh c) {
  return (vh){{vf_fma(a.val[0], b.val[0], c.val[0]), vf_fma(a.val[1], b.val[1], c.val[1])}};
}

/* Multiplications take one lane of a register: two loads bring the weights of all rows. */
typedef vh vw;
static inline vw vw_load(const float *p) { return vh_load(p); }
static inline vf vw_lane(vw w, int i) { return vf_set(w.val[i / VF][i % VF]); }

/* A bit a lane. */
typedef unsigned vm;
static inline vm vm_lanes(int lo, int hi) { return ((1u << hi) - 1u) & ~((1u << lo) - 1u); }
static inline vf vf_merge_lanes(vf x, const float *p, vm m) {
  if (m == 15) return vf_load(p);
  if (m & 1) x = vld1q_lane_f32(p, x, 0);
  if (m & 2) x = vld1q_lane_f32(p + 1, x, 1);
  if (m & 4) x = vld1q_lane_f32(p + 2, x, 2);
  if (m & 8) x = vld1q_lane_f32(p + 3, x, 3);
  return x;
}
static inline vf vf_load_lanes(const float *p, vm m) { return vf_merge_lanes(vf_set(0.0f), p, m); }

static inline vf vf_scale(vf x, vf n) {
  int32x4_t e = vcvtnq_s32_f32(n), low = vshrq_n_s32(e, 1), high = vsubq_s32(e, low), bias = vdupq_n_s32(127);
  vf a = vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(low, bias), 23));
  vf b = vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(high, bias), 23));
  return vf_mul(vf_mul(x, a), b);
}

static inline vf vf_load_u8(const uint8_t *p) {
  uint32_t four;
  memcpy(&four, p, sizeof four);
  return vcvtq_f32_u32(vmovl_u16(vget_low_u16(vmovl_u8(vcreate_u8(four)))));
}

static inline float vf_sum(vf x) { return vaddvq_f32(x); }
static inline float vf_largest(vf x) { return vmaxvq_f32(x); }

static inline vf vf_count_inside(int first, int stride, int lo, int hi) {
  int32x4_t at = vf_positions(first, stride);
  uint32x4_t inside = vandq_u32(vcgeq_s32(at, vdupq_n_s32(lo)), vcltq_s32(at, vdupq_n_s32(hi)));
  return vreinterpretq_f32_u32(vandq_u32(inside, vreinterpretq_u32_f32(vf_set(1.0f))));
}
static inline vf vf_gather_inside(const float *row, int first, int stride, int n, vf fill) {
  int at[VF] = {first, first + stride, first + 2 * stride, first + 3 * stride};
  if (at[0] >= 0 && at[0] < n) fill = vld1q_lane_f32(row + at[0], fill, 0);
  if (at[1] >= 0 && at[1] < n) fill = vld1q_lane_f32(row + at[1], fill, 1);
  if (at[2] >= 0 && at[2] < n) fill = vld1q_lane_f32(row + at[2], fill, 2);
  if (at[3] >= 0 && at[3] < n) fill = vld1q_lane_f32(row + at[3], fill, 3);
  return fill;
}
static inline vf vf_even(vf a, vf b) { return vuzp1q_f32(a, b); }
static inline vf vf_odd(vf a, vf b) { return vuzp2q_f32(a, b); }
static inline vf vf_zip_low(vf a, vf b) { return vzip1q_f32(a, b); }
static inline vf vf_zip_high(vf a, vf b) { return vzip2q_f32(a, b); }

#endif
