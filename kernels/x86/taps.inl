/* SPDX-License-Identifier: Apache-2.0
 * Loads for sliding windows: lane i is row[first + i * stride], `fill` where that lies outside [0,n). */

static inline __attribute__((always_inline)) vf load_taps(const float *row, int first, int stride, int n, vf fill) {
  if (stride == 1) {
    if (first >= 0 && first + VF <= n) return vf_load(row + first);
    return vf_load_inside(row, first, n, fill);
  }
  if (stride == 2) {
    if (first >= 0 && first + 2 * VF <= n) return vf_even(vf_load(row + first), vf_load(row + first + VF));
    return vf_even(vf_load_inside(row, first, n, fill), vf_load_inside(row, first + VF, n, fill));
  }
  return vf_gather_inside(row, first, stride, n, fill);
}
