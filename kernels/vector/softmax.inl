/* SPDX-License-Identifier: Apache-2.0
 *
 * Softmax of the whole tensor [outer, n, inner] (bands are left to the reference: a band that cuts the lines would do
 * the work of all). Dense lines are walked by vectors, strided ones side by side, a lane a line. */
#include "math.inl"

static void dense_line(float *y, const float *x, size_t n) {
  vf most = vf_set(-INFINITY), sum = vf_set(0.0f), none = most;
  for (size_t i = 0; i < n; i += VF) {
    int lanes = n - i < VF ? (int)(n - i) : VF;
    most = vf_max(most, vf_keep_n(vf_load_n(x + i, lanes), none, lanes));
  }
  vf top = vf_set(vf_largest(most));
  for (size_t i = 0; i < n; i += VF) {
    int lanes = n - i < VF ? (int)(n - i) : VF;
    vf e = vf_exp(vf_sub(vf_load_n(x + i, lanes), top));
    sum = vf_add(sum, vf_keep_n(e, vf_set(0.0f), lanes));
    vf_store_n(y + i, e, lanes);
  }
  vf scale = vf_set(1.0f / vf_sum(sum));
  for (size_t i = 0; i < n; i += VF) {
    int lanes = n - i < VF ? (int)(n - i) : VF;
    vf_store_n(y + i, vf_mul(vf_load_n(y + i, lanes), scale), lanes);
  }
}

/* `lanes` neighbouring lines of n elements `step` apart. */
static void strided_lines(float *y, const float *x, size_t n, size_t step, int lanes) {
  vf top = vf_set(-INFINITY), sum = vf_set(0.0f);
  for (size_t i = 0; i < n; i++) top = vf_max(top, vf_load_n(x + i * step, lanes));
  for (size_t i = 0; i < n; i++) {
    vf e = vf_exp(vf_sub(vf_load_n(x + i * step, lanes), top));
    sum = vf_add(sum, e);
    vf_store_n(y + i * step, e, lanes);
  }
  vf scale = vf_div(vf_set(1.0f), sum);
  for (size_t i = 0; i < n; i++) vf_store_n(y + i * step, vf_mul(vf_load_n(y + i * step, lanes), scale), lanes);
}

static void run(const struct braid_kernel_args *args, const void *packed, void *scratch, struct braid_band band) {
  (void)packed, (void)scratch, (void)band;
  const struct braid_shape *shape = &args->out.shape;
  int axis = args->attrs.axis.axis, axis_end = args->attrs.axis.axis_end;
  size_t outer = 1, n = 1, inner = 1;
  for (int d = 0; d < shape->rank; d++) *(d < axis ? &outer : d < axis_end ? &n : &inner) *= (size_t)shape->dim[d];
  for (size_t o = 0; o < outer; o++) {
    const float *x = in_f32(args, 0) + o * n * inner;
    float *y = out_f32(args) + o * n * inner;
    if (inner == 1) dense_line(y, x, n);
    for (size_t i = 0; inner > 1 && i < inner; i += VF)
      strided_lines(y + i, x + i, n, inner, inner - i < VF ? (int)(inner - i) : VF);
  }
  vf_act_run(&args->act, out_f32(args), outer * n * inner);
}

static bool accepts(const struct braid_kernel_args *args) { return all_f32(args); }

const struct braid_kernel ISA_TABLE(softmax)[] = {
    {.name = "softmax_f32__" ISA_TEXT, .op = BRAID_OP_SOFTMAX, .needs = ISA_NEEDS, .accepts = accepts, .run = run},
    {0},
};
