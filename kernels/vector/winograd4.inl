/* SPDX-License-Identifier: Apache-2.0
 * F(4x4,3x3), from the points 0, 1, -1, 2, -2 and infinity: 36 products in place of 144. */
#include "product.inl"
#include "interleave.inl"

enum { OUT = 4, IN = OUT + 2 };
#define WINOGRAD_NAME "winograd4"
#define WINOGRAD_TABLE ISA_TABLE(winograd4)
#define WINOGRAD_INTERLEAVE interleave_4
#define WINOGRAD_BY_RULE
enum { FEWEST_TILES = 12, FEWEST_CHANNELS = 16, FEWEST_INPUTS = 1000 };

static const double G[IN][3] = {{1.0 / 4, 0, 0},
                                {-1.0 / 6, -1.0 / 6, -1.0 / 6},
                                {-1.0 / 6, 1.0 / 6, -1.0 / 6},
                                {1.0 / 24, 1.0 / 12, 1.0 / 6},
                                {1.0 / 24, -1.0 / 12, 1.0 / 6},
                                {0, 0, 1}};

static inline __attribute__((always_inline)) void input_1d(const vf *x, vf *t) {
  const vf four = vf_set(4.0f), five = vf_set(5.0f), two = vf_set(2.0f);
  vf a = vf_fnma(four, x[2], x[4]), b = vf_fnma(four, x[1], x[3]);
  vf c = vf_sub(x[4], x[2]), d = vf_mul(two, vf_sub(x[3], x[1]));
  t[0] = vf_fma(four, x[0], vf_fnma(five, x[2], x[4]));
  t[1] = vf_add(a, b);
  t[2] = vf_sub(a, b);
  t[3] = vf_add(c, d);
  t[4] = vf_sub(c, d);
  t[5] = vf_fma(four, x[1], vf_fnma(five, x[3], x[5]));
}

static inline __attribute__((always_inline)) void output_1d(const vf *m, vf *y) {
  vf p = vf_add(m[1], m[2]), q = vf_sub(m[1], m[2]), r = vf_add(m[3], m[4]), s = vf_sub(m[3], m[4]);
  y[0] = vf_add(m[0], vf_add(p, r));
  y[1] = vf_fma(vf_set(2.0f), s, q);
  y[2] = vf_fma(vf_set(4.0f), r, p);
  y[3] = vf_add(m[5], vf_fma(vf_set(8.0f), s, q));
}

#include "winograd.inl"
