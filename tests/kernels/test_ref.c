/* SPDX-License-Identifier: Apache-2.0
 * Reference kernels against results worked out by hand from the ONNX definitions. */
#include "braid/kernels.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#define DIMS(...) braid_shape_of((int)(sizeof((int[]){__VA_ARGS__}) / sizeof(int)), (int[]){__VA_ARGS__})
#define TENSOR(type, memory, ...) ((struct braid_tensor){memory, BRAID_##type, DIMS(__VA_ARGS__)})

static struct braid_kernel_args make(enum braid_op op, struct braid_tensor out, int n_in, const struct braid_tensor *in) {
  struct braid_kernel_args args = {.op = op, .n_in = n_in, .out = out};
  for (int k = 0; k < n_in; k++) {
    args.in[k] = in[k];
    args.present[k] = in[k].data != NULL;
  }
  return args;
}

static void run_ref(const struct braid_kernel_args *args) {
  const struct braid_kernel *k = braid_kernel_find(args, 0);
  cr_assert(k, "no reference kernel for %s", braid_op_name(args->op));
  size_t bytes = k->scratch_bytes ? k->scratch_bytes(args, braid_slice_rows(&args->out.shape)) : 0;
  void *scratch = bytes ? braid_alloc_aligned(bytes) : NULL;
  k->run(args, NULL, scratch, (struct braid_band){0, braid_slice_rows(&args->out.shape)});
  braid_free(scratch);
}

static void expect(const float *got, const float *want, int n, float tolerance) {
  for (int i = 0; i < n; i++)
    cr_assert(fabsf(got[i] - want[i]) <= tolerance, "element %d: %.9g, expected %.9g", i, (double)got[i], (double)want[i]);
}

Test(ref, every_operator_but_input_has_a_kernel) {
  int n;
  const struct braid_kernel *const *all = braid_kernels(&n);
  for (int op = BRAID_OP_INPUT + 1; op < BRAID_OP_COUNT; op++) {
    bool found = false;
    for (int i = 0; i < n; i++) found |= (int)all[i]->op == op && all[i]->needs == 0;
    cr_expect(found, "%s has no reference kernel", braid_op_name((enum braid_op)op));
  }
}

Test(ref, convolution_pads_strides_and_fuses) {
  float x[9] = {1, 2, 3, 4, 5, 6, 7, 8, 9}, w[4] = {1, 0, 0, -1}, bias[1] = {1}, residual[4] = {0, 0, -20, 10}, y[4];
  /* pad top and left by one, stride 2: taps (-1,-1),(0,0) | (-1,1),(0,2) | (1,-1),(2,0) | (1,1),(2,2) */
  struct braid_tensor in[] = {TENSOR(F32, x, 1, 1, 3, 3), TENSOR(F32, w, 1, 1, 2, 2), TENSOR(F32, bias, 1),
                              TENSOR(F32, residual, 1, 1, 2, 2)};
  struct braid_kernel_args args = make(BRAID_OP_CONV, TENSOR(F32, y, 1, 1, 2, 2), 4, in);
  args.attrs.conv = (struct braid_conv_attrs){{2, 2}, {2, 2}, {1, 1}, {1, 1, 0, 0}, 1, {0, 0}};
  args.act.op = BRAID_OP_RELU;
  run_ref(&args);
  expect(y, (float[]){0, 0, 0, 7}, 4, 0); /* -1+1, -3+1, -7+1-20, 5-9+1+10 */
}

Test(ref, pool_counts_follow_onnx) {
  float x[16], y[4];
  for (int i = 0; i < 16; i++) x[i] = (float)i;
  struct braid_tensor in = TENSOR(F32, x, 1, 1, 4, 4);
  struct braid_kernel_args args = make(BRAID_OP_AVERAGE_POOL, TENSOR(F32, y, 1, 1, 2, 2), 1, &in);
  /* 3x3, stride 2, no padding, ceil_mode: the right and lower windows hang over and count what is there */
  args.attrs.pool = (struct braid_pool_attrs){{3, 3}, {2, 2}, {1, 1}, {0, 0, 0, 0}, false, true};
  run_ref(&args);
  expect(y, (float[]){5, 6.5f, 11, 12.5f}, 4, 1e-6f);
  /* padding of one all round, included in the count of nine */
  args.attrs.pool = (struct braid_pool_attrs){{3, 3}, {2, 2}, {1, 1}, {1, 1, 1, 1}, true, false};
  run_ref(&args);
  expect(y, (float[]){10.0f / 9, 24.0f / 9, 51.0f / 9, 10}, 4, 1e-6f);
  args.op = BRAID_OP_MAX_POOL;
  run_ref(&args);
  expect(y, (float[]){5, 7, 13, 15}, 4, 0);
}

Test(ref, softmax_normalises_over_its_axes_only) {
  float x[6] = {0, 1, 2, 3, 4, 5}, y[6];
  struct braid_tensor in = TENSOR(F32, x, 1, 2, 3);
  struct braid_kernel_args args = make(BRAID_OP_SOFTMAX, TENSOR(F32, y, 1, 2, 3), 1, &in);
  args.attrs.axis.axis = 1;
  args.attrs.axis.axis_end = 2;
  run_ref(&args);
  float low = (float)(1 / (1 + exp(3.0)));
  expect(y, (float[]){low, low, low, 1 - low, 1 - low, 1 - low}, 6, 1e-7f);
  args.attrs.axis.axis_end = 3; /* opset < 13: all that follows, together */
  run_ref(&args);
  double sum = 0;
  for (int i = 0; i < 6; i++) sum += exp(i);
  for (int i = 0; i < 6; i++) cr_assert_float_eq(y[i], exp(i) / sum, 1e-7);
}

Test(ref, integers_follow_numpy) {
  int64_t a[3] = {-7, INT64_MIN, 5}, b[3] = {2, -1, 0}, y[3];
  struct braid_tensor in[] = {TENSOR(I64, a, 3), TENSOR(I64, b, 3)};
  struct braid_kernel_args args = make(BRAID_OP_DIV, TENSOR(I64, y, 3), 2, in);
  run_ref(&args);
  cr_assert(y[0] == -3 && y[1] == INT64_MIN && y[2] == 0);
}
