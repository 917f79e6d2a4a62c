/* SPDX-License-Identifier: Apache-2.0
 * Windows of three columns, of stride 1 or 2, for those who go down the rows with a vector of neighbouring outputs: where
 * its taps lie in a row is worked out once. */
#include "taps.inl"

/* Where the columns of a vector of outputs lie in an input row: tap kw at at[kw], stride 2 in two vectors. */
struct columns {
  int at[3][2];
  vm lanes[3][2];
};

static struct columns columns_of(int first, int stride, int n) {
  struct columns c;
  for (int kw = 0; kw < 3; kw++)
    for (int half = 0; half < 2; half++) {
      c.at[kw][half] = first + kw + half * VF;
      c.lanes[kw][half] = half == 0 || stride == 2 ? lanes_within(c.at[kw][half], n) : vm_lanes(0, 0);
    }
  return c;
}

/* Tap kw of every lane; 0, or `fill`, in lanes that lie outside of the row. */
static inline __attribute__((always_inline)) vf load_column(const struct columns *c, const float *row, int kw,
                                                            int stride) {
  vf x = vf_load_lanes(row + c->at[kw][0], c->lanes[kw][0]);
  return stride == 2 ? vf_even(x, vf_load_lanes(row + c->at[kw][1], c->lanes[kw][1])) : x;
}

static inline __attribute__((always_inline)) vf load_column_or(const struct columns *c, const float *row, int kw,
                                                               int stride, vf fill) {
  vf x = vf_merge_lanes(fill, row + c->at[kw][0], c->lanes[kw][0]);
  return stride == 2 ? vf_even(x, vf_merge_lanes(fill, row + c->at[kw][1], c->lanes[kw][1])) : x;
}
