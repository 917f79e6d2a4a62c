/* SPDX-License-Identifier: Apache-2.0
 * The vector functions of vector/math.inl against libm in double, over a dense sweep: the errors stated there. */
#include "braid/kernels.h"

#include <criterion/criterion.h>
#include <float.h>
#include <math.h>

enum { N = 1 << 16 };

static double sigmoid(double x) { return 1 / (1 + exp(-x)); }

/* Runs every kernel of `op` on N numbers in [-most, most] and returns the largest relative error among results that are
 * normal floats. */
static double worst_error(enum braid_op op, double (*truth)(double), float most) {
  static float x[N], y[N];
  struct braid_tensor t = {x, BRAID_F32, braid_shape_of(1, (int[]){N})}, out = {y, BRAID_F32, t.shape};
  struct braid_kernel_args args = {.op = op, .n_in = 1, .present = {true}, .in = {t}, .out = out};
  for (int i = 0; i < N; i++) x[i] = most * (2.0f * (float)i / (N - 1) - 1.0f);
  double worst = 0;
  int n;
  const struct braid_kernel *const *all = braid_kernels(&n);
  for (int k = 0; k < n; k++) {
    if (all[k]->op != op || (all[k]->needs & ~braid_cpu_flags()) || !all[k]->accepts(&args)) continue;
    all[k]->run(&args, NULL, NULL, (struct braid_band){0, N});
    for (int i = 0; i < N; i++) {
      double want = truth((double)x[i]);
      if (fabs(want) < (double)FLT_MIN || want > (double)FLT_MAX) continue;
      worst = fmax(worst, fabs((double)y[i] - want) / fabs(want));
    }
  }
  return worst;
}

Test(math, relative_errors_are_as_stated) {
  const float most[] = {1e-3f, 0.5f, 4, 20, 88, 120};
  for (int i = 0; i < 6; i++) {
    cr_expect_lt(worst_error(BRAID_OP_EXP, exp, most[i]), 2e-7);
    cr_expect_lt(worst_error(BRAID_OP_SIGMOID, sigmoid, most[i]), 3e-7);
    cr_expect_lt(worst_error(BRAID_OP_TANH, tanh, most[i]), 5e-7);
  }
}

Test(math, extremes_are_kept) {
  float x[4] = {INFINITY, -INFINITY, NAN, 1000}, y[4];
  struct braid_tensor t = {x, BRAID_F32, braid_shape_of(1, (int[]){4})}, out = {y, BRAID_F32, t.shape};
  struct braid_kernel_args args = {.op = BRAID_OP_EXP, .n_in = 1, .present = {true}, .in = {t}, .out = out};
  int n;
  const struct braid_kernel *const *all = braid_kernels(&n);
  for (int k = 0; k < n; k++) {
    if (all[k]->needs & ~braid_cpu_flags()) continue;
    args.op = all[k]->op;
    if (!all[k]->accepts(&args)) continue;
    if (args.op == BRAID_OP_EXP) {
      all[k]->run(&args, NULL, NULL, (struct braid_band){0, 4});
      cr_expect(isinf(y[0]) && y[1] == 0 && isnan(y[2]) && isinf(y[3]), "%s", all[k]->name);
    } else if (args.op == BRAID_OP_SIGMOID || args.op == BRAID_OP_TANH) {
      all[k]->run(&args, NULL, NULL, (struct braid_band){0, 4});
      cr_expect(y[0] == 1 && y[1] == (args.op == BRAID_OP_TANH ? -1 : 0) && isnan(y[2]) && y[3] == 1, "%s",
                all[k]->name);
    }
  }
}
