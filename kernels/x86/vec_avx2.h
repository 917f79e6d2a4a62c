/* SPDX-License-Identifier: Apache-2.0
 * Vectors of floats over AVX2 + FMA. vec_avx512.h offers the same names; the *.inl files are written against them. */
#ifndef KERNELS_VEC_H
#define KERNELS_VEC_H

#include "../kernel.h"

#include <immintrin.h>

#define ISA_TEXT "avx2"
#define ISA_NEEDS BRAID_CPU_AVX2
#define ISA_TABLE(topic) kernels_avx2_##topic

typedef __m256 vf;
enum { VF = 8 };

static inline vf vf_set(float x) { return _mm256_set1_ps(x); }
static inline vf vf_load(const float *p) { return _mm256_loadu_ps(p); }
static inline void vf_store(float *p, vf x) { _mm256_storeu_ps(p, x); }
static inline vf vf_add(vf a, vf b) { return _mm256_add_ps(a, b); }
static inline vf vf_sub(vf a, vf b) { return _mm256_sub_ps(a, b); }
static inline vf vf_mul(vf a, vf b) { return _mm256_mul_ps(a, b); }
static inline vf vf_div(vf a, vf b) { return _mm256_div_ps(a, b); }
static inline vf vf_fma(vf a, vf b, vf c) { return _mm256_fmadd_ps(a, b, c); }   /* a*b + c */
static inline vf vf_fnma(vf a, vf b, vf c) { return _mm256_fnmadd_ps(a, b, c); } /* c - a*b */
/* b where one of them is NaN. */
static inline vf vf_max(vf a, vf b) { return _mm256_max_ps(a, b); }
static inline vf vf_min(vf a, vf b) { return _mm256_min_ps(a, b); }
static inline vf vf_sqrt(vf x) { return _mm256_sqrt_ps(x); }
static inline vf vf_round(vf x) { return _mm256_round_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
static inline vf vf_floor(vf x) { return _mm256_floor_ps(x); }
static inline vf vf_ceil(vf x) { return _mm256_ceil_ps(x); }
static inline vf vf_neg(vf x) { return _mm256_xor_ps(x, _mm256_set1_ps(-0.0f)); }
static inline vf vf_abs(vf x) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), x); }
/* x < y ? a : b */
static inline vf vf_select_less(vf x, vf y, vf a, vf b) {
  return _mm256_blendv_ps(b, a, _mm256_cmp_ps(x, y, _CMP_LT_OQ));
}

static inline __m256i vf_first_lanes(int n) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
/* The first n lanes, n in [0,VF]; the others are 0 and are not touched in memory. */
static inline vf vf_load_n(const float *p, int n) { return _mm256_maskload_ps(p, vf_first_lanes(n)); }
static inline void vf_store_n(float *p, vf x, int n) { _mm256_maskstore_ps(p, vf_first_lanes(n), x); }
/* Lanes from n on become `other`. */
static inline vf vf_keep_n(vf x, vf other, int n) {
  return _mm256_blendv_ps(other, x, _mm256_castsi256_ps(vf_first_lanes(n)));
}

/* Half a vector: a column of a tile of products. */
typedef __m128 vh;
static inline vh vh_set(float x) { return _mm_set1_ps(x); }
static inline vh vh_load(const float *p) { return _mm_loadu_ps(p); }
static inline void vh_store(float *p, vh x) { _mm_storeu_ps(p, x); }
static inline vh vh_fma(vh a, vh b, vh c) { return _mm_fmadd_ps(a, b, c); }

/* The weights of a tile of products, [TILE_ROWS]; one of them in all lanes, by a load. */
typedef const float *vw;
static inline vw vw_load(const float *p) { return p; }
static inline vf vw_lane(vw w, int i) { return _mm256_set1_ps(w[i]); }

/* A choice of lanes: those in [lo,hi). */
typedef __m256i vm;
static inline vm vm_lanes(int lo, int hi) { return _mm256_andnot_si256(vf_first_lanes(lo), vf_first_lanes(hi)); }
/* Those lanes of p; the others are 0, or those of x, and are not touched in memory. */
static inline vf vf_load_lanes(const float *p, vm m) { return _mm256_maskload_ps(p, m); }
static inline vf vf_merge_lanes(vf x, const float *p, vm m) {
  return _mm256_blendv_ps(x, _mm256_maskload_ps(p, m), _mm256_castsi256_ps(m));
}

/* x * 2^n for integral n in [-150,130]: in two steps, because 2^n alone may leave the range of floats. */
static inline vf vf_scale(vf x, vf n) {
  __m256i e = _mm256_cvtps_epi32(n), low = _mm256_srai_epi32(e, 1), high = _mm256_sub_epi32(e, low);
  __m256i bias = _mm256_set1_epi32(127);
  vf a = _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(low, bias), 23));
  vf b = _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(high, bias), 23));
  return _mm256_mul_ps(_mm256_mul_ps(x, a), b);
}

static inline vf vf_load_u8(const uint8_t *p) {
  return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)p)));
}

static inline float vf_sum(vf x) {
  __m128 s = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
  s = _mm_add_ps(s, _mm_movehl_ps(s, s));
  return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}
static inline float vf_largest(vf x) {
  __m128 s = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
  s = _mm_max_ps(s, _mm_movehl_ps(s, s));
  return _mm_cvtss_f32(_mm_max_ss(s, _mm_movehdup_ps(s)));
}

/* Lanes i whose position first + i * stride lies in [lo,hi). */
static inline __m256i vf_inside(int first, int stride, int lo, int hi) {
  __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  __m256i at = _mm256_add_epi32(_mm256_set1_epi32(first), _mm256_mullo_epi32(lane, _mm256_set1_epi32(stride)));
  return _mm256_and_si256(_mm256_cmpgt_epi32(at, _mm256_set1_epi32(lo - 1)),
                          _mm256_cmpgt_epi32(_mm256_set1_epi32(hi), at));
}
/* 1 in those lanes, 0 elsewhere. */
static inline vf vf_count_inside(int first, int stride, int lo, int hi) {
  return _mm256_and_ps(_mm256_castsi256_ps(vf_inside(first, stride, lo, hi)), _mm256_set1_ps(1.0f));
}
/* Lane i is row[first + i * stride], `fill` outside [0,n); nothing outside is read. */
static inline vf vf_gather_inside(const float *row, int first, int stride, int n, vf fill) {
  __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  __m256i at = _mm256_add_epi32(_mm256_set1_epi32(first), _mm256_mullo_epi32(lane, _mm256_set1_epi32(stride)));
  return _mm256_mask_i32gather_ps(fill, row, at, _mm256_castsi256_ps(vf_inside(first, stride, 0, n)), 4);
}
/* The even lanes of a and b together. */
static inline vf vf_even(vf a, vf b) {
  vf mixed = _mm256_shuffle_ps(a, b, 0x88);
  return _mm256_castpd_ps(_mm256_permute4x64_pd(_mm256_castps_pd(mixed), 0xd8));
}
static inline vf vf_odd(vf a, vf b) {
  vf mixed = _mm256_shuffle_ps(a, b, 0xdd);
  return _mm256_castpd_ps(_mm256_permute4x64_pd(_mm256_castps_pd(mixed), 0xd8));
}
/* a0 b0 a1 b1 ... of the first and of the second half of the lanes. */
static inline vf vf_zip_low(vf a, vf b) {
  return _mm256_permute2f128_ps(_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b), 0x20);
}
static inline vf vf_zip_high(vf a, vf b) {
  return _mm256_permute2f128_ps(_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b), 0x31);
}

#endif
