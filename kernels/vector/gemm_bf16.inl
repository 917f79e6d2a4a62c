/* SPDX-License-Identifier: Apache-2.0
 * Gemm with weights of bfloat16, as fully connected layers store them: a row of b for each column of the output. Rows are
 * read where they lie, pairs of k a lane; a is rounded once. Sums of a lane each, then across the lanes. */
#include "ending.inl"

enum { COLUMNS = 4 }; /* rows of b side by side */

/* Pairs of a row; the last one may be half. */
static size_t pair_floats(int k) { return ((size_t)(k + 1) / 2 + VF - 1) / VF * VF; }

static void round_row(const float *a, int k, float *to) {
  size_t n = pair_floats(k);
  for (size_t i = 0; i < n; i += VF) {
    int left = k - 2 * (int)i; /* values from here on */
    int low = left < 0 ? 0 : left < VF ? left : VF, high = left - VF < 0 ? 0 : left - VF < VF ? left - VF : VF;
    vf x = low > 0 ? load_some(a + 2 * i, low) : vf_set(0.0f);
    vf y = high > 0 ? load_some(a + 2 * i + VF, high) : vf_set(0.0f);
    vf_store(to + i, join_bf16(vf_even(x, y), vf_odd(x, y)));
  }
}

/* Pairs from element `at` on of n that are left; what lies beyond is 0. */
static inline vf load_pairs(const uint16_t *b, int n) {
  float pairs[VF] = {0};
  if (n >= 2 * VF) {
    memcpy(pairs, b, sizeof pairs);
    return vf_load(pairs);
  }
  memcpy(pairs, b, (size_t)n * sizeof *b);
  return vf_load(pairs);
}

static inline __attribute__((always_inline)) void sum_rows(const float *a, const uint16_t *b, int k, int rows,
                                                           float *sums) {
  vf sum[COLUMNS];
  for (int r = 0; r < rows; r++) sum[r] = vf_set(0.0f);
  for (int i = 0; i < k; i += 2 * VF) {
    vf x = vf_load(a + i / 2);
    for (int r = 0; r < rows; r++)
      sum[r] = dot_bf16(load_pairs(b + (size_t)r * (size_t)k + (size_t)i, k - i), x, sum[r]);
  }
  for (int r = 0; r < rows; r++) sums[r] = vf_sum(sum[r]);
}

static void put_sums(const struct braid_kernel_args *args, const float *sums, int m, int n, int count) {
  const struct braid_gemm_attrs *g = &args->attrs.gemm;
  float *y = out_f32(args) + (size_t)m * (size_t)args->out.shape.dim[1] + n;
  for (int i = 0; i < count; i++)
    y[i] = g->alpha * sums[i] + (has_in(args, 2) ? g->beta * broadcast_2d(&args->in[2], m, n + i) : 0.0f);
}

static void run(const struct braid_kernel_args *args, const void *packed, void *scratch, struct braid_band band) {
  int m_all = args->out.shape.dim[0], k = args->in[0].shape.dim[1];
  const uint16_t *b = args->in[1].data;
  float *a = scratch, sums[COLUMNS];
  size_t row = pair_floats(k);
  (void)packed;
  for (int m = 0; m < m_all; m++) round_row(in_f32(args, 0) + (size_t)m * (size_t)k, k, a + (size_t)m * row);
  for (int n = band.begin; n < band.end; n += COLUMNS) {
    int count = band.end - n < COLUMNS ? band.end - n : COLUMNS;
    const uint16_t *rows = b + (size_t)n * (size_t)k;
    for (int m = 0; m < m_all; m++) {
      if (count == COLUMNS)
        sum_rows(a + (size_t)m * row, rows, k, COLUMNS, sums);
      else
        for (int i = 0; i < count; i++) sum_rows(a + (size_t)m * row, rows + (size_t)i * (size_t)k, k, 1, sums + i);
      put_sums(args, sums, m, n, count);
    }
  }
  for (int m = 0; m < m_all; m++)
    if (args->act.op != BRAID_ACT_NONE)
      vf_act_run(&args->act, out_f32(args) + (size_t)m * (size_t)args->out.shape.dim[1] + band.begin,
                 (size_t)(band.end - band.begin));
}

static size_t scratch_bytes(const struct braid_kernel_args *args, int rows) {
  (void)rows;
  return pair_floats(args->in[0].shape.dim[1]) * (size_t)args->out.shape.dim[0] * sizeof(float);
}

static bool accepts(const struct braid_kernel_args *args) {
  return bf16_weights(args) && args->out.shape.rank == 2 && args->in[0].shape.rank == 2 && args->in[1].shape.rank == 2 &&
         (!has_in(args, 2) || args->in[2].shape.rank <= 2) && !args->attrs.gemm.trans_a && args->attrs.gemm.trans_b;
}

const struct braid_kernel ISA_TABLE(gemm_bf16)[] = {
    {.name = "gemm_bf16__dot_" ISA_TEXT,
     .op = BRAID_OP_GEMM,
     .needs = ISA_NEEDS,
     .sliceable = true,
     .accepts = accepts,
     .scratch_bytes = scratch_bytes,
     .run = run},
    {0},
};
