/* SPDX-License-Identifier: Apache-2.0
 *
 * Products of elements that hold several channels: a lane of 32 bits is two bfloat16, or four bytes, and a product of
 * two lanes is the sum of the products of their parts. Elements travel as vf, whatever is in them: they are moved, and
 * only what is here looks inside. Where the CPU has no instruction for a product, it is made of those it has.
 *
 *   dot_u8    sum (int32) + four products of unsigned by signed bytes: exact
 *   dot_bf16  sum (float) + two products of bfloat16, in float
 *
 * Included after vec_avx2.h or vec_avx512.h. */
#ifndef KERNELS_DOT_H
#define KERNELS_DOT_H

#if defined(__AVX512F__)
typedef __m512i vi;
static inline vi bits_of(vf x) { return _mm512_castps_si512(x); }
static inline vf of_bits(vi x) { return _mm512_castsi512_ps(x); }
static inline vi vi_set(int32_t x) { return _mm512_set1_epi32(x); }
static inline vi vi_add(vi a, vi b) { return _mm512_add_epi32(a, b); }
static inline vi vi_mul(vi a, vi b) { return _mm512_mullo_epi32(a, b); }
static inline vi vi_and(vi a, vi b) { return _mm512_and_si512(a, b); }
static inline vi vi_or(vi a, vi b) { return _mm512_or_si512(a, b); }
static inline vi vi_shift_left(vi a, int n) { return _mm512_slli_epi32(a, (unsigned)n); }
static inline vi vi_shift_right(vi a, int n) { return _mm512_srli_epi32(a, (unsigned)n); }
static inline vf vi_float(vi x) { return _mm512_cvtepi32_ps(x); }
static inline vi vf_int(vf x) { return _mm512_cvtps_epi32(x); } /* to nearest, ties to even */
static inline vi vi_select_nan(vf x, vi a, vi b) {
  return _mm512_mask_blend_epi32(_mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q), b, a);
}
/* Bytes as numbers: VF of them, the first n of which are read. */
static inline vi load_bytes(const uint8_t *p, int n, bool is_signed) {
  __m128i x = n >= VF ? _mm_loadu_si128((const __m128i *)(const void *)p) : _mm_maskz_loadu_epi8(vf_first_lanes(n), p);
  return is_signed ? _mm512_cvtepi8_epi32(x) : _mm512_cvtepu8_epi32(x);
}
/* The low bytes of n lanes. */
static inline void store_bytes(uint8_t *p, vi x, int n) {
  if (n >= VF)
    _mm_storeu_si128((__m128i *)(void *)p, _mm512_cvtepi32_epi8(x));
  else
    _mm_mask_storeu_epi8(p, vf_first_lanes(n), _mm512_cvtepi32_epi8(x));
}
#else
typedef __m256i vi;
static inline vi bits_of(vf x) { return _mm256_castps_si256(x); }
static inline vf of_bits(vi x) { return _mm256_castsi256_ps(x); }
static inline vi vi_set(int32_t x) { return _mm256_set1_epi32(x); }
static inline vi vi_add(vi a, vi b) { return _mm256_add_epi32(a, b); }
static inline vi vi_mul(vi a, vi b) { return _mm256_mullo_epi32(a, b); }
static inline vi vi_and(vi a, vi b) { return _mm256_and_si256(a, b); }
static inline vi vi_or(vi a, vi b) { return _mm256_or_si256(a, b); }
static inline vi vi_shift_left(vi a, int n) { return _mm256_slli_epi32(a, n); }
static inline vi vi_shift_right(vi a, int n) { return _mm256_srli_epi32(a, n); }
static inline vf vi_float(vi x) { return _mm256_cvtepi32_ps(x); }
static inline vi vf_int(vf x) { return _mm256_cvtps_epi32(x); }
static inline vi vi_select_nan(vf x, vi a, vi b) {
  return _mm256_blendv_epi8(b, a, _mm256_castps_si256(_mm256_cmp_ps(x, x, _CMP_UNORD_Q)));
}
static inline vi load_bytes(const uint8_t *p, int n, bool is_signed) {
  uint64_t bits = 0;
  memcpy(&bits, p, n >= VF ? VF : (size_t)n);
  __m128i x = _mm_cvtsi64_si128((long long)bits);
  return is_signed ? _mm256_cvtepi8_epi32(x) : _mm256_cvtepu8_epi32(x);
}
static inline void store_bytes(uint8_t *p, vi x, int n) {
  __m256i low = _mm256_shuffle_epi8(x, _mm256_set1_epi32(0x0c080400));
  uint32_t half[2] = {(uint32_t)_mm256_extract_epi32(low, 0), (uint32_t)_mm256_extract_epi32(low, 4)};
  memcpy(p, half, n >= VF ? VF : (size_t)n);
}
#endif

/* ------------------------------------------------------------------------------------------------ four bytes */

#if defined(__AVX512VNNI__)
static inline vf dot_u8(vf w, vf x, vf sum) {
  return of_bits(_mm512_dpbusd_epi32(bits_of(sum), bits_of(x), bits_of(w)));
}
static inline vh dot_u8_half(vh w, vh x, vh sum) {
  return _mm256_castsi256_ps(
      _mm256_dpbusd_epi32(_mm256_castps_si256(sum), _mm256_castps_si256(x), _mm256_castps_si256(w)));
}
#elif defined(__AVX512F__)
/* Bytes 0 and 2, then 1 and 3, as 16 bits: a product of pairs is a sum of two, in 32 bits. */
static inline vf dot_u8(vf w, vf x, vf sum) {
  __m512i low = _mm512_set1_epi32(0x00ff00ff), wi = bits_of(w), xi = bits_of(x);
  __m512i even = _mm512_madd_epi16(_mm512_and_si512(xi, low), _mm512_srai_epi16(_mm512_slli_epi16(wi, 8), 8));
  __m512i odd = _mm512_madd_epi16(_mm512_srli_epi16(xi, 8), _mm512_srai_epi16(wi, 8));
  return of_bits(_mm512_add_epi32(bits_of(sum), _mm512_add_epi32(even, odd)));
}
#elif defined(__AVXVNNI__)
static inline vf dot_u8(vf w, vf x, vf sum) {
  return of_bits(_mm256_dpbusd_avx_epi32(bits_of(sum), bits_of(x), bits_of(w)));
}
static inline vh dot_u8_half(vh w, vh x, vh sum) {
  return _mm_castsi128_ps(_mm_dpbusd_avx_epi32(_mm_castps_si128(sum), _mm_castps_si128(x), _mm_castps_si128(w)));
}
#endif

#if !defined(__AVX512VNNI__) && !defined(__AVXVNNI__)
static inline __m256i dot_u8_of(__m256i w, __m256i x, __m256i sum) {
  __m256i low = _mm256_set1_epi32(0x00ff00ff);
  __m256i even = _mm256_madd_epi16(_mm256_and_si256(x, low), _mm256_srai_epi16(_mm256_slli_epi16(w, 8), 8));
  __m256i odd = _mm256_madd_epi16(_mm256_srli_epi16(x, 8), _mm256_srai_epi16(w, 8));
  return _mm256_add_epi32(sum, _mm256_add_epi32(even, odd));
}
#if defined(__AVX512F__)
static inline vh dot_u8_half(vh w, vh x, vh sum) {
  return _mm256_castsi256_ps(dot_u8_of(_mm256_castps_si256(w), _mm256_castps_si256(x), _mm256_castps_si256(sum)));
}
#else
static inline vf dot_u8(vf w, vf x, vf sum) { return of_bits(dot_u8_of(bits_of(w), bits_of(x), bits_of(sum))); }
static inline vh dot_u8_half(vh w, vh x, vh sum) {
  __m256i wide = dot_u8_of(_mm256_zextsi128_si256(_mm_castps_si128(w)), _mm256_zextsi128_si256(_mm_castps_si128(x)),
                           _mm256_zextsi128_si256(_mm_castps_si128(sum)));
  return _mm_castsi128_ps(_mm256_castsi256_si128(wide));
}
#endif
#endif

/* n bytes, n in [0,16]; the others are 0 and are not read. */
static inline __m128i some_bytes(const uint8_t *p, int n) {
  if (n >= 16) return _mm_loadu_si128((const __m128i *)(const void *)p);
#if defined(__AVX512F__)
  return _mm_maskz_loadu_epi8((__mmask16)((1u << n) - 1u), p);
#else
  uint8_t copy[16] = {0};
  memcpy(copy, p, (size_t)n);
  return _mm_loadu_si128((const __m128i *)(const void *)copy);
#endif
}

static inline void store_some_bytes(uint8_t *p, __m128i x, int n) {
  if (n >= 16) {
    _mm_storeu_si128((__m128i *)(void *)p, x);
    return;
  }
#if defined(__AVX512F__)
  _mm_mask_storeu_epi8(p, (__mmask16)((1u << n) - 1u), x);
#else
  uint8_t copy[16];
  _mm_storeu_si128((__m128i *)(void *)copy, x);
  memcpy(p, copy, (size_t)n);
#endif
}

/* n elements of four rows; `flip` is exclusive-ored to every byte (signed ones become unsigned by 0x80). */
static inline void join_bytes(const uint8_t *const row[4], uint8_t flip, int n, float *to) {
  const __m128i turn = _mm_set1_epi8((char)flip);
  for (int i = 0; i < n; i += 16) {
    int some = n - i < 16 ? n - i : 16;
    __m128i a = _mm_xor_si128(some_bytes(row[0] + i, some), turn), b = _mm_xor_si128(some_bytes(row[1] + i, some), turn);
    __m128i c = _mm_xor_si128(some_bytes(row[2] + i, some), turn), d = _mm_xor_si128(some_bytes(row[3] + i, some), turn);
    __m128i ab[2] = {_mm_unpacklo_epi8(a, b), _mm_unpackhi_epi8(a, b)};
    __m128i cd[2] = {_mm_unpacklo_epi8(c, d), _mm_unpackhi_epi8(c, d)};
    __m128i out[4] = {_mm_unpacklo_epi16(ab[0], cd[0]), _mm_unpackhi_epi16(ab[0], cd[0]),
                      _mm_unpacklo_epi16(ab[1], cd[1]), _mm_unpackhi_epi16(ab[1], cd[1])};
    if (some == 16)
      for (int k = 0; k < 4; k++) _mm_storeu_si128((__m128i *)(void *)(to + i + 4 * k), out[k]);
    else
      memcpy(to + i, out, (size_t)some * sizeof *to);
  }
}

/* --------------------------------------------------------------------------------------------- two bfloat16 */

/* To nearest, ties to even, in the low half; what is no number stays none. */
static inline vi round_bf16(vf x) {
  vi bits = bits_of(x), odd = vi_and(vi_shift_right(bits, 16), vi_set(1));
  vi rounded = vi_shift_right(vi_add(bits, vi_add(odd, vi_set(0x7fff))), 16);
  return vi_select_nan(x, vi_or(vi_shift_right(bits, 16), vi_set(0x40)), rounded);
}

static inline vf join_bf16(vf first, vf second) {
  return of_bits(vi_or(round_bf16(first), vi_shift_left(round_bf16(second), 16)));
}

#if defined(__AVX512BF16__)
static inline vf dot_bf16(vf w, vf x, vf sum) { return _mm512_dpbf16_ps(sum, (__m512bh)x, (__m512bh)w); }
static inline vh dot_bf16_half(vh w, vh x, vh sum) { return _mm256_dpbf16_ps(sum, (__m256bh)x, (__m256bh)w); }
#else
static inline vf first_of(vf x) { return of_bits(vi_shift_left(bits_of(x), 16)); }
static inline vf second_of(vf x) { return of_bits(vi_and(bits_of(x), vi_set((int32_t)0xffff0000))); }
static inline vf dot_bf16(vf w, vf x, vf sum) {
  return vf_fma(second_of(w), second_of(x), vf_fma(first_of(w), first_of(x), sum));
}
#if defined(__AVX512F__)
static inline vh dot_bf16_half(vh w, vh x, vh sum) {
  __m256i high = _mm256_set1_epi32((int32_t)0xffff0000), wi = _mm256_castps_si256(w), xi = _mm256_castps_si256(x);
  vh first = vh_fma(_mm256_castsi256_ps(_mm256_slli_epi32(wi, 16)), _mm256_castsi256_ps(_mm256_slli_epi32(xi, 16)), sum);
  return vh_fma(_mm256_castsi256_ps(_mm256_and_si256(wi, high)), _mm256_castsi256_ps(_mm256_and_si256(xi, high)), first);
}
#else
static inline vh dot_bf16_half(vh w, vh x, vh sum) {
  __m128i high = _mm_set1_epi32((int32_t)0xffff0000), wi = _mm_castps_si128(w), xi = _mm_castps_si128(x);
  vh first = vh_fma(_mm_castsi128_ps(_mm_slli_epi32(wi, 16)), _mm_castsi128_ps(_mm_slli_epi32(xi, 16)), sum);
  return vh_fma(_mm_castsi128_ps(_mm_and_si128(wi, high)), _mm_castsi128_ps(_mm_and_si128(xi, high)), first);
}
#endif
#endif

#endif
