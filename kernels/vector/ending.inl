/* SPDX-License-Identifier: Apache-2.0
 * What follows the sums of a convolution: y = act(sum + bias + residual). */
#include "math.inl"

/* No activation is the widest clip. */
struct ending {
  bool last;      /* block of k: what follows comes now */
  float lo, hi;   /* x = min(hi, max(lo, x)); NaN passes */
  bool other_act; /* beyond clipping: after the tile was stored */
  const struct braid_act *act;
};

static struct ending ending_of(const struct braid_act *act) {
  struct ending e = {.lo = -INFINITY, .hi = INFINITY, .act = act};
  switch (act->op) {
  case BRAID_ACT_NONE:
    break;
  case BRAID_OP_RELU:
    e.lo = 0.0f;
    break;
  case BRAID_OP_CLIP:
    e.lo = act->attrs.a;
    e.hi = act->attrs.b;
    break;
  default:
    e.other_act = true;
  }
  return e;
}

static inline __attribute__((always_inline)) vf load_some(const float *p, int n) {
  return n == VF ? vf_load(p) : vf_load_n(p, n);
}

static inline __attribute__((always_inline)) void store_some(float *p, vf x, int n) {
  if (n == VF)
    vf_store(p, x);
  else
    vf_store_n(p, x, n);
}

/* n outputs of one channel, from sums in memory, which may be y itself. */
static inline void end_line(const struct ending *e, float *y, const float *sums, int n, float bias,
                            const float *residual) {
  vf lo = vf_set(e->lo), hi = vf_set(e->hi), shift = vf_set(bias);
  for (int i = 0; i < n; i += VF) {
    int some = n - i < VF ? n - i : VF;
    vf x = vf_add(load_some(sums + i, some), shift);
    if (residual) x = vf_add(x, load_some(residual + i, some));
    store_some(y + i, vf_min(hi, vf_max(lo, x)), some);
  }
  if (e->other_act) vf_act_run(e->act, y, (size_t)n);
}
