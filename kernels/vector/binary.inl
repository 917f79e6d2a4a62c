/* SPDX-License-Identifier: Apache-2.0
 *
 * Arithmetic on two or more tensors with broadcasting. The loop nest merges what can be merged, so the inner run is the
 * whole band for equal shapes, a plane for a value per channel, and either side may be a single value there. */
#include "../nest.h"
#include "math.inl"

static inline __attribute__((always_inline)) vf combine(enum braid_op op, vf a, vf b) {
  switch (op) {
  case BRAID_OP_SUB: return vf_sub(a, b);
  case BRAID_OP_MUL: return vf_mul(a, b);
  case BRAID_OP_DIV: return vf_div(a, b);
  case BRAID_OP_MAX: return vf_max(b, a); /* as a < b ? b : a, also for NaN */
  case BRAID_OP_MIN: return vf_min(b, a);
  default: return vf_add(a, b); /* ADD, SUM */
  }
}

/* z [n] = x op y; a side whose step is 0 is one value. */
static inline __attribute__((always_inline)) void combine_loop(enum braid_op op, float *z, const float *x,
                                                               ptrdiff_t x_step, const float *y, ptrdiff_t y_step,
                                                               ptrdiff_t n) {
  vf a = vf_set(x[0]), b = vf_set(y[0]);
  ptrdiff_t i = 0;
  for (; i + VF <= n; i += VF) {
    if (x_step) a = vf_load(x + i);
    if (y_step) b = vf_load(y + i);
    vf_store(z + i, combine(op, a, b));
  }
  if (i == n) return;
  if (x_step) a = vf_load_n(x + i, (int)(n - i));
  if (y_step) b = vf_load_n(y + i, (int)(n - i));
  vf_store_n(z + i, combine(op, a, b), (int)(n - i));
}

static void combine_run(enum braid_op op, float *z, const float *x, ptrdiff_t x_step, const float *y, ptrdiff_t y_step,
                        ptrdiff_t n) {
  switch (op) {
  case BRAID_OP_SUB: combine_loop(BRAID_OP_SUB, z, x, x_step, y, y_step, n); break;
  case BRAID_OP_MUL: combine_loop(BRAID_OP_MUL, z, x, x_step, y, y_step, n); break;
  case BRAID_OP_DIV: combine_loop(BRAID_OP_DIV, z, x, x_step, y, y_step, n); break;
  case BRAID_OP_MAX: combine_loop(BRAID_OP_MAX, z, x, x_step, y, y_step, n); break;
  case BRAID_OP_MIN: combine_loop(BRAID_OP_MIN, z, x, x_step, y, y_step, n); break;
  default: combine_loop(BRAID_OP_ADD, z, x, x_step, y, y_step, n); break;
  }
}

/* out = a op in[k]; with the activation after the last operand, while the run is in the first level cache. */
static void step(const struct braid_kernel_args *args, const struct braid_tensor *a, int k, struct braid_band band) {
  struct nest nest;
  nest_init(&nest, &args->out.shape, band);
  nest_broadcast(&nest, &a->shape, band);
  nest_broadcast(&nest, &args->in[k].shape, band);
  if (!nest_start(&nest)) return;
  enum { PIECE = 4096 };
  ptrdiff_t n = (ptrdiff_t)nest_run(&nest), x_step = nest_step(&nest, 1), y_step = nest_step(&nest, 2);
  do
    for (ptrdiff_t i = 0; i < n; i += PIECE) {
      ptrdiff_t piece = n - i < PIECE ? n - i : PIECE;
      float *z = out_f32(args) + nest.at[0] + i;
      combine_run(args->op, z, (const float *)a->data + nest.at[1] + i * x_step, x_step,
                  (const float *)args->in[k].data + nest.at[2] + i * y_step, y_step, piece);
      if (k == args->n_in - 1) vf_act_run(&args->act, z, (size_t)piece);
    }
  while (nest_next(&nest));
}

static void run(const struct braid_kernel_args *args, const void *packed, void *scratch, struct braid_band band) {
  (void)packed, (void)scratch;
  for (int k = 1; k < args->n_in; k++) step(args, k == 1 ? &args->in[0] : &args->out, k, band);
}

static bool accepts(const struct braid_kernel_args *args) { return all_f32(args) && args->n_in >= 2; }

#define EITHER (IN_PLACE_OF(0) | IN_PLACE_OF(1))
#define ROW(text, id, place)                                                                                           \
  {                                                                                                                    \
    .name = text "_f32__" ISA_TEXT, .op = BRAID_OP_##id, .needs = ISA_NEEDS, .in_place = place, .sliceable = true,     \
    .accepts = accepts, .run = run                                                                                     \
  }
const struct braid_kernel ISA_TABLE(binary)[] = {
    ROW("add", ADD, EITHER), ROW("sub", SUB, EITHER), ROW("mul", MUL, EITHER), ROW("div", DIV, EITHER),
    ROW("sum", SUM, 0),      ROW("max", MAX, 0),      ROW("min", MIN, 0),      {0},
};
