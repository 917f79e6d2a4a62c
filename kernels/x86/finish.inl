/* SPDX-License-Identifier: Apache-2.0
 * What follows the sums of a convolution, on `n` neighbouring outputs of one channel: c = act(c + bias + residual). */
#include "math.inl"

static inline __attribute__((always_inline)) void finish_loop(enum braid_op op, float *c, int n, float bias,
                                                              const float *residual, struct braid_unary_attrs attrs) {
  vf lo = vf_set(attrs.a), hi = vf_set(attrs.b), shift = vf_set(bias);
  int i = 0;
  for (; i + VF <= n; i += VF) {
    vf x = vf_add(vf_load(c + i), shift);
    if (residual) x = vf_add(x, vf_load(residual + i));
    vf_store(c + i, vf_unary(op, lo, hi, x));
  }
  if (i == n) return;
  vf x = vf_add(vf_load_n(c + i, n - i), shift);
  if (residual) x = vf_add(x, vf_load_n(residual + i, n - i));
  vf_store_n(c + i, vf_unary(op, lo, hi, x), n - i);
}

static void finish(float *c, int n, float bias, const float *residual, const struct braid_act *act) {
  switch (act->op) {
  case BRAID_OP_RELU: finish_loop(BRAID_OP_RELU, c, n, bias, residual, act->attrs); break;
  case BRAID_OP_CLIP: finish_loop(BRAID_OP_CLIP, c, n, bias, residual, act->attrs); break;
  default: finish_loop(BRAID_ACT_NONE, c, n, bias, residual, act->attrs); vf_act_run(act, c, (size_t)n);
  }
}
