/* SPDX-License-Identifier: Apache-2.0
 * Vectors of floats over AVX-512 (F, BW, VL, DQ): the names of vec_avx2.h, which explains them. */
#ifndef KERNELS_VEC_H
#define KERNELS_VEC_H

#include "../kernel.h"

#include <immintrin.h>

#define ISA_TEXT "avx512"
#define ISA_NEEDS BRAID_CPU_AVX512
#define ISA_TABLE(topic) kernels_avx512_##topic

typedef __m512 vf;
enum { VF = 16 };

static inline vf vf_set(float x) { return _mm512_set1_ps(x); }
static inline vf vf_load(const float *p) { return _mm512_loadu_ps(p); }
static inline void vf_store(float *p, vf x) { _mm512_storeu_ps(p, x); }
static inline vf vf_add(vf a, vf b) { return _mm512_add_ps(a, b); }
static inline vf vf_sub(vf a, vf b) { return _mm512_sub_ps(a, b); }
static inline vf vf_mul(vf a, vf b) { return _mm512_mul_ps(a, b); }
static inline vf vf_div(vf a, vf b) { return _mm512_div_ps(a, b); }
static inline vf vf_fma(vf a, vf b, vf c) { return _mm512_fmadd_ps(a, b, c); }
static inline vf vf_fnma(vf a, vf b, vf c) { return _mm512_fnmadd_ps(a, b, c); }
static inline vf vf_max(vf a, vf b) { return _mm512_max_ps(a, b); }
static inline vf vf_min(vf a, vf b) { return _mm512_min_ps(a, b); }
static inline vf vf_sqrt(vf x) { return _mm512_sqrt_ps(x); }
static inline vf vf_round(vf x) { return _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
static inline vf vf_floor(vf x) { return _mm512_roundscale_ps(x, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC); }
static inline vf vf_ceil(vf x) { return _mm512_roundscale_ps(x, _MM_FROUND_TO_POS_INF | _MM_FROUND_NO_EXC); }
static inline vf vf_neg(vf x) { return _mm512_xor_ps(x, _mm512_set1_ps(-0.0f)); }
static inline vf vf_abs(vf x) { return _mm512_abs_ps(x); }
static inline vf vf_select_less(vf x, vf y, vf a, vf b) {
  return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(x, y, _CMP_LT_OQ), b, a);
}

static inline __mmask16 vf_first_lanes(int n) { return (__mmask16)((1u << n) - 1u); }
static inline vf vf_load_n(const float *p, int n) { return _mm512_maskz_loadu_ps(vf_first_lanes(n), p); }
static inline void vf_store_n(float *p, vf x, int n) { _mm512_mask_storeu_ps(p, vf_first_lanes(n), x); }
static inline vf vf_keep_n(vf x, vf other, int n) { return _mm512_mask_blend_ps(vf_first_lanes(n), other, x); }

typedef __m256 vh;
static inline vh vh_set(float x) { return _mm256_set1_ps(x); }
static inline vh vh_load(const float *p) { return _mm256_loadu_ps(p); }
static inline void vh_store(float *p, vh x) { _mm256_storeu_ps(p, x); }
static inline vh vh_fma(vh a, vh b, vh c) { return _mm256_fmadd_ps(a, b, c); }

typedef const float *vw;
static inline vw vw_load(const float *p) { return p; }
static inline vf vw_lane(vw w, int i) { return _mm512_set1_ps(w[i]); }

typedef __mmask16 vm;
static inline vm vm_lanes(int lo, int hi) { return (vm)(vf_first_lanes(hi) & ~vf_first_lanes(lo)); }
static inline vf vf_load_lanes(const float *p, vm m) { return _mm512_maskz_loadu_ps(m, p); }
static inline vf vf_merge_lanes(vf x, const float *p, vm m) { return _mm512_mask_loadu_ps(x, m, p); }

static inline vf vf_scale(vf x, vf n) { return _mm512_scalef_ps(x, n); }

static inline vf vf_load_u8(const uint8_t *p) {
  return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)(const void *)p)));
}

static inline float vf_sum(vf x) { return _mm512_reduce_add_ps(x); }
static inline float vf_largest(vf x) { return _mm512_reduce_max_ps(x); }

static inline __m512i vf_positions(int first, int stride) {
  __m512i lane = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  return _mm512_add_epi32(_mm512_set1_epi32(first), _mm512_mullo_epi32(lane, _mm512_set1_epi32(stride)));
}
static inline __mmask16 vf_inside(int first, int stride, int lo, int hi) {
  __m512i at = vf_positions(first, stride);
  return _mm512_cmpge_epi32_mask(at, _mm512_set1_epi32(lo)) & _mm512_cmplt_epi32_mask(at, _mm512_set1_epi32(hi));
}
static inline vf vf_count_inside(int first, int stride, int lo, int hi) {
  return _mm512_maskz_mov_ps(vf_inside(first, stride, lo, hi), _mm512_set1_ps(1.0f));
}
static inline vf vf_gather_inside(const float *row, int first, int stride, int n, vf fill) {
  return _mm512_mask_i32gather_ps(fill, vf_inside(first, stride, 0, n), vf_positions(first, stride), row, 4);
}
static inline vf vf_even(vf a, vf b) {
  __m512i even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
  return _mm512_permutex2var_ps(a, even, b);
}
static inline vf vf_odd(vf a, vf b) {
  __m512i odd = _mm512_setr_epi32(1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
  return _mm512_permutex2var_ps(a, odd, b);
}
/* a0 b0 a1 b1 ... of the first and of the second half of the lanes. */
static inline vf vf_zip_low(vf a, vf b) {
  __m512i order = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
  return _mm512_permutex2var_ps(a, order, b);
}
static inline vf vf_zip_high(vf a, vf b) {
  __m512i order = _mm512_setr_epi32(8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
  return _mm512_permutex2var_ps(a, order, b);
}

#endif
