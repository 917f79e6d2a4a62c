/* SPDX-License-Identifier: Apache-2.0
 * F(6x6,3x3), from the points 0, 1, -1, 2, -2, 1/2, -1/2 and infinity: 64 products in place of 324. Points with their
 * reciprocals keep the transforms' numbers small on both sides, and so the errors. */
#include "product.inl"
#include "interleave.inl"

enum { OUT = 6, IN = OUT + 2 };
#define WINOGRAD_NAME "winograd6"
#define WINOGRAD_TABLE ISA_TABLE(winograd6)
#define WINOGRAD_INTERLEAVE interleave_6

static const double G[IN][3] = {{1, 0, 0},
                                {-2.0 / 9, -2.0 / 9, -2.0 / 9},
                                {-2.0 / 9, 2.0 / 9, -2.0 / 9},
                                {1.0 / 90, 1.0 / 45, 2.0 / 45},
                                {1.0 / 90, -1.0 / 45, 2.0 / 45},
                                {32.0 / 45, 16.0 / 45, 8.0 / 45},
                                {32.0 / 45, -16.0 / 45, 8.0 / 45},
                                {0, 0, 1}};

static inline __attribute__((always_inline)) void input_1d(const vf *x, vf *t) {
  const vf a = vf_set(5.25f), b = vf_set(4.25f), c = vf_set(2.5f), d = vf_set(1.25f);
  const vf quarter = vf_set(0.25f), half = vf_set(0.5f), two = vf_set(2.0f), four = vf_set(4.0f), five = vf_set(5.0f);
  vf even = vf_fnma(b, x[4], vf_add(x[2], x[6])), odd = vf_fnma(b, x[3], vf_add(x[1], x[5]));
  vf even2 = vf_fnma(d, x[4], vf_fma(quarter, x[2], x[6])), even3 = vf_fnma(five, x[4], vf_fma(four, x[2], x[6]));
  vf odd2 = vf_fma(half, x[1], vf_fnma(c, x[3], vf_mul(two, x[5])));
  vf odd3 = vf_fma(two, x[1], vf_fnma(c, x[3], vf_mul(half, x[5])));
  t[0] = vf_fma(a, vf_sub(x[4], x[2]), vf_sub(x[0], x[6]));
  t[1] = vf_add(even, odd);
  t[2] = vf_sub(even, odd);
  t[3] = vf_add(even2, odd2);
  t[4] = vf_sub(even2, odd2);
  t[5] = vf_add(even3, odd3);
  t[6] = vf_sub(even3, odd3);
  t[7] = vf_fma(a, vf_sub(x[3], x[5]), vf_sub(x[7], x[1]));
}

static inline __attribute__((always_inline)) void output_1d(const vf *m, vf *y) {
  vf p = vf_add(m[1], m[2]), q = vf_sub(m[1], m[2]), r = vf_add(m[3], m[4]), s = vf_sub(m[3], m[4]);
  vf v = vf_add(m[5], m[6]), w = vf_sub(m[5], m[6]);
  y[0] = vf_add(vf_add(m[0], p), vf_add(r, v));
  y[1] = vf_fma(vf_set(0.5f), w, vf_fma(vf_set(2.0f), s, q));
  y[2] = vf_fma(vf_set(0.25f), v, vf_fma(vf_set(4.0f), r, p));
  y[3] = vf_fma(vf_set(0.125f), w, vf_fma(vf_set(8.0f), s, q));
  y[4] = vf_fma(vf_set(0.0625f), v, vf_fma(vf_set(16.0f), r, p));
  y[5] = vf_add(m[7], vf_fma(vf_set(0.03125f), w, vf_fma(vf_set(32.0f), s, q)));
}

#include "winograd.inl"
