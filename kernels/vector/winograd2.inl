/* SPDX-License-Identifier: Apache-2.0
 * F(2x2,3x3), from the points 0, 1, -1 and infinity: 16 products in place of 36. Exact on small integers. */
#include "product.inl"
#include "interleave.inl"

enum { OUT = 2, IN = OUT + 2 };
#define WINOGRAD_NAME "winograd2"
#define WINOGRAD_TABLE ISA_TABLE(winograd2)
#define WINOGRAD_INTERLEAVE interleave_2
#define WINOGRAD_BY_RULE /* after the larger tiles: where these would be too few, and channels pay for the transforms */
enum { FEWEST_TILES = 16, FEWEST_CHANNELS = 128, FEWEST_INPUTS = FEWEST_TILES * FEWEST_CHANNELS };

static const double G[IN][3] = {{1, 0, 0}, {1.0 / 2, 1.0 / 2, 1.0 / 2}, {1.0 / 2, -1.0 / 2, 1.0 / 2}, {0, 0, 1}};

static inline __attribute__((always_inline)) void input_1d(const vf *x, vf *t) {
  t[0] = vf_sub(x[0], x[2]);
  t[1] = vf_add(x[1], x[2]);
  t[2] = vf_sub(x[2], x[1]);
  t[3] = vf_sub(x[1], x[3]);
}

static inline __attribute__((always_inline)) void output_1d(const vf *m, vf *y) {
  y[0] = vf_add(m[0], vf_add(m[1], m[2]));
  y[1] = vf_sub(vf_sub(m[1], m[2]), m[3]);
}

#include "winograd.inl"
