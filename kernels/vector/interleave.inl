/* SPDX-License-Identifier: Apache-2.0
 * The lanes of several vectors in turns: to[i * n + k] = y[k][i] for n vectors. */

static inline void interleave_2(const vf *y, float *to) {
  vf_store(to, vf_zip_low(y[0], y[1]));
  vf_store(to + VF, vf_zip_high(y[0], y[1]));
}

/* Of y[0], y[step], .. */
static inline __attribute__((always_inline)) void turns_of_4(const vf *y, int step, vf *x) {
  vf a = vf_zip_low(y[0], y[2 * step]), b = vf_zip_low(y[step], y[3 * step]);
  vf c = vf_zip_high(y[0], y[2 * step]), d = vf_zip_high(y[step], y[3 * step]);
  x[0] = vf_zip_low(a, b);
  x[1] = vf_zip_high(a, b);
  x[2] = vf_zip_low(c, d);
  x[3] = vf_zip_high(c, d);
}

static inline void interleave_4(const vf *y, float *to) {
  vf x[4];
  turns_of_4(y, 1, x);
  for (int i = 0; i < 4; i++) vf_store(to + i * VF, x[i]);
}

/* As eights, which lie over each other by two: writes two floats more. */
static inline void interleave_6(const vf *y, float *to) {
  const vf eight[8] = {y[0], y[1], y[2], y[3], y[4], y[5], y[4], y[5]};
  float wide[8 * VF];
  vf even[4], odd[4];
  turns_of_4(eight, 2, even);
  turns_of_4(eight + 1, 2, odd);
  for (int i = 0; i < 4; i++) {
    vf_store(wide + 2 * i * VF, vf_zip_low(even[i], odd[i]));
    vf_store(wide + (2 * i + 1) * VF, vf_zip_high(even[i], odd[i]));
  }
  for (int i = 0; i < VF; i++) memcpy(to + 6 * i, wide + 8 * i, 8 * sizeof *to);
}
