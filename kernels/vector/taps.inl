/* SPDX-License-Identifier: Apache-2.0
 * Loads for sliding windows, of which some lanes may lie outside of the row. */

/* Lanes i with first + i in [0,n). */
static inline vm lanes_within(int first, int n) {
  int lo = first < 0 ? -first : 0, hi = n - first < VF ? n - first : VF;
  return lo < hi ? vm_lanes(lo, hi) : vm_lanes(0, 0);
}

/* Lane i is row[first + i], `fill` where that lies outside [0,n). */
static inline __attribute__((always_inline)) vf load_within(const float *row, int first, int n, vf fill) {
  if (first >= 0 && first + VF <= n) return vf_load(row + first);
  if (first >= n || first + VF <= 0) return fill;
  return vf_merge_lanes(fill, row + first, lanes_within(first, n));
}

/* Lane i is row[first + i * stride], likewise. */
static inline __attribute__((always_inline)) vf load_taps(const float *row, int first, int stride, int n, vf fill) {
  if (stride == 1) return load_within(row, first, n, fill);
  if (stride == 2) return vf_even(load_within(row, first, n, fill), load_within(row, first + VF, n, fill));
  return vf_gather_inside(row, first, stride, n, fill);
}
