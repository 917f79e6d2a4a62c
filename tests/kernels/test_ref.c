/* SPDX-License-Identifier: Apache-2.0
 * Reference kernels against results worked out by hand from the ONNX definitions. */
#include "braid/kernels.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#define DIMS(...) braid_shape_of((int)(sizeof((int[]){__VA_ARGS__}) / sizeof(int)), (int[]){__VA_ARGS__})
#define TENSOR(type, memory, ...) ((struct braid_tensor){memory, BRAID_##type, DIMS(__VA_ARGS__)})

static struct braid_kernel_args make(enum braid_op op, struct braid_tensor out, int n_in,
                                     const struct braid_tensor *in) {
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
    cr_assert(fabsf(got[i] - want[i]) <= tolerance, "element %d: %.9g, expected %.9g", i, (double)got[i],
              (double)want[i]);
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

Test(ref, pool_windows_that_hang_over_the_padding_count_only_it) {
  float x[3] = {1, 2, 3}, y[2];
  struct braid_tensor in = TENSOR(F32, x, 1, 1, 1, 3);
  struct braid_kernel_args args = make(BRAID_OP_AVERAGE_POOL, TENSOR(F32, y, 1, 1, 1, 2), 1, &in);
  /* width 3, one pad at each end, kernel 4, stride 2, ceil_mode: windows [-1,3) and [1,5), the padding ends at 4 */
  args.attrs.pool = (struct braid_pool_attrs){{1, 4}, {1, 2}, {1, 1}, {0, 1, 0, 1}, true, true};
  run_ref(&args);
  expect(y, (float[]){6.0f / 4, 5.0f / 3}, 2, 1e-6f);
}

/* A quantised 3x3 with padding, stride 2 and a bias; the sum of the last element is beyond what a float holds. */
Test(ref, convolution_of_integers_is_exact) {
  int32_t x[9] = {1, -2, 3, 4, 5, -6, 7, 8, 1 << 24}, w[9] = {1, 2, 3, 4, 5, 6, 7, 8, 9}, bias[1] = {-100}, y[4];
  static const int32_t want[4] = {5 * 1 - 6 * 2 + 8 * 4 + 9 * 5 - 100, -4 * 2 + 5 * 3 + 7 * 5 - 8 * 6 - 100,
                                  2 * 4 + 3 * 5 + 5 * 7 + 6 * 8 - 100, 5 - 12 + 4 * 8 + 5 * (1 << 24) - 100};
  struct braid_tensor in[] = {TENSOR(I32, x, 1, 1, 3, 3), TENSOR(I32, w, 1, 1, 3, 3), TENSOR(I32, bias, 1)};
  struct braid_kernel_args args = make(BRAID_OP_CONV, TENSOR(I32, y, 1, 1, 2, 2), 3, in);
  args.attrs.conv = (struct braid_conv_attrs){{3, 3}, {2, 2}, {1, 1}, {1, 1, 1, 1}, 1, {0, 0}};
  run_ref(&args);
  for (int i = 0; i < 4; i++) cr_expect_eq(y[i], want[i], "element %d: %d, expected %d", i, y[i], want[i]);
}

Test(ref, transposed_convolution_scatters) {
  float x[4] = {1, 2, 3, 4}, w[9] = {1, 1, 1, 1, 1, 1, 1, 1, 1}, y[25];
  struct braid_tensor in[] = {TENSOR(F32, x, 1, 1, 2, 2), TENSOR(F32, w, 1, 1, 3, 3)};
  struct braid_kernel_args args = make(BRAID_OP_CONV_TRANSPOSE, TENSOR(F32, y, 1, 1, 5, 5), 2, in);
  args.attrs.conv = (struct braid_conv_attrs){{3, 3}, {2, 2}, {1, 1}, {0, 0, 0, 0}, 1, {0, 0}};
  run_ref(&args);
  expect(y, (float[]){1, 1, 3, 2, 2, 1, 1, 3, 2, 2, 4, 4, 10, 6, 6, 3, 3, 7, 4, 4, 3, 3, 7, 4, 4}, 25, 0);
}

Test(ref, lrn_window_is_cut_at_the_ends) {
  float x[4] = {1, 2, 3, 4}, y[4];
  struct braid_tensor in = TENSOR(F32, x, 1, 4, 1, 1);
  struct braid_kernel_args args = make(BRAID_OP_LRN, TENSOR(F32, y, 1, 4, 1, 1), 1, &in);
  args.attrs.lrn = (struct braid_lrn_attrs){3, 3, 1, 1}; /* y = x / (1 + sum of squares of the neighbours) */
  run_ref(&args);
  expect(y, (float[]){1.0f / 6, 2.0f / 15, 3.0f / 30, 4.0f / 26}, 4, 1e-7f);
}

/* The examples of the ONNX operator description, one row of them each. */
static void resize_row(struct braid_resize_attrs a, int n_in, const float *x, int n_out, const float *want) {
  float y[16], in_row[16];
  memcpy(in_row, x, (size_t)n_in * sizeof *x);
  struct braid_tensor in = TENSOR(F32, in_row, 1, 1, 1, n_in);
  struct braid_kernel_args args = make(BRAID_OP_RESIZE, TENSOR(F32, y, 1, 1, 1, n_out), 1, &in);
  for (int d = 0; d < 4; d++) a.scale[d] = d < 3 ? 1.0f : (float)n_out / (float)n_in;
  args.attrs.resize = a;
  run_ref(&args);
  expect(y, want, n_out, 2e-6f);
}

Test(ref, resize_follows_its_modes) {
  const float x[] = {1, 2, 3, 4};
  struct braid_resize_attrs nearest = {
      .mode = BRAID_RESIZE_NEAREST, .coord = BRAID_COORD_ASYMMETRIC, .nearest = BRAID_NEAREST_FLOOR};
  resize_row(nearest, 4, x, 8, (float[]){1, 1, 2, 2, 3, 3, 4, 4});
  nearest.nearest = BRAID_NEAREST_CEIL;
  resize_row(nearest, 4, x, 8, (float[]){1, 2, 2, 3, 3, 4, 4, 4});
  nearest.coord = BRAID_COORD_HALF_PIXEL;
  nearest.nearest = BRAID_NEAREST_ROUND_PREFER_FLOOR;
  resize_row(nearest, 4, x, 2, (float[]){1, 3}); /* 0.5 and 2.5, down */
  nearest.nearest = BRAID_NEAREST_ROUND_PREFER_CEIL;
  resize_row(nearest, 4, x, 2, (float[]){2, 4});
  struct braid_resize_attrs linear = {.mode = BRAID_RESIZE_LINEAR, .coord = BRAID_COORD_HALF_PIXEL};
  resize_row(linear, 2, x, 4, (float[]){1, 1.25f, 1.75f, 2});
  linear.coord = BRAID_COORD_ALIGN_CORNERS;
  resize_row(linear, 2, x, 4, (float[]){1, 4.0f / 3, 5.0f / 3, 2});
  linear.coord = BRAID_COORD_PYTORCH_HALF_PIXEL;
  resize_row(linear, 4, x, 1, (float[]){1});
  linear = (struct braid_resize_attrs){.mode = BRAID_RESIZE_LINEAR,
                                       .coord = BRAID_COORD_TF_CROP_AND_RESIZE,
                                       .extrapolation = 9,
                                       .roi = {0, 0, 0, 0, 1, 1, 1, 2}};
  resize_row(linear, 4, x, 3, (float[]){1, 4, 9}); /* positions 0, 3, 6 */
  struct braid_resize_attrs cubic = {.mode = BRAID_RESIZE_CUBIC, .coord = BRAID_COORD_HALF_PIXEL, .cubic_a = -0.75f};
  /* ONNX's test_resize_upsample_scales_cubic: its first row without what the rows below add, 4 * -0.10546875 */
  resize_row(
      cubic, 4, x, 8,
      (float[]){0.89453125f, 1.19140625f, 1.66796875f, 2.296875f, 2.703125f, 3.33203125f, 3.80859375f, 4.10546875f});
}

Test(ref, gather_takes_negative_indices) {
  int8_t x[6] = {0, 1, 2, 3, 4, 5}, y[4];
  int64_t index[2] = {-1, 0};
  struct braid_tensor in[] = {TENSOR(I8, x, 2, 3), TENSOR(I64, index, 2)};
  struct braid_kernel_args args = make(BRAID_OP_GATHER, TENSOR(I8, y, 2, 2), 2, in);
  args.attrs.axis.axis = 1;
  run_ref(&args);
  cr_assert_arr_eq(y, ((int8_t[]){2, 0, 5, 3}), 4);
}

Test(ref, cast_rounds_truncates_and_saturates) {
  float x[6] = {-1.7f, 300.5f, NAN, 65519.0f, 65520.0f, 1.0f + 1.0f / 2048};
  uint8_t bytes[6];
  uint16_t half[6];
  struct braid_tensor in = TENSOR(F32, x, 6);
  struct braid_kernel_args args = make(BRAID_OP_CAST, TENSOR(U8, bytes, 6), 1, &in);
  run_ref(&args);
  cr_assert_arr_eq(bytes, ((uint8_t[]){0, 255, 0, 255, 255, 1}), 6);
  args.out = TENSOR(F16, half, 6);
  run_ref(&args);
  cr_assert_arr_eq(half, ((uint16_t[]){0xbecd, 0x5cb2, 0x7e00, 0x7bff, 0x7c00, 0x3c00}), 6); /* ties to even */
}

Test(ref, half_floats_survive_the_way_there_and_back) {
  static uint16_t x[1 << 16], y[1 << 16];
  static float wide[1 << 16];
  for (int i = 0; i < 1 << 16; i++) x[i] = (uint16_t)i;
  const enum braid_dtype types[] = {BRAID_F16, BRAID_BF16};
  for (int t = 0; t < 2; t++) {
    struct braid_tensor narrow = {x, types[t], DIMS(1 << 16)}, middle = TENSOR(F32, wide, 1 << 16);
    struct braid_kernel_args there = make(BRAID_OP_CAST, middle, 1, &narrow);
    run_ref(&there);
    narrow.data = y;
    struct braid_kernel_args back = make(BRAID_OP_CAST, narrow, 1, &middle);
    run_ref(&back);
    for (int i = 0; i < 1 << 16; i++) cr_assert(x[i] == y[i] || isnan(wide[i]), "%04x became %04x", x[i], y[i]);
  }
}

Test(ref, reductions_and_arg_max) {
  float x[6] = {1, 5, 3, 5, 0, -2}, y[2];
  int64_t k[2];
  struct braid_tensor in = TENSOR(F32, x, 2, 3);
  struct braid_kernel_args args = make(BRAID_OP_REDUCE_MEAN, TENSOR(F32, y, 2), 1, &in);
  args.attrs.reduce = (struct braid_reduce_attrs){.axis = {false, true}};
  run_ref(&args);
  expect(y, (float[]){3, 1}, 2, 0);
  float z[4] = {2, 7, 7, 2};
  in = TENSOR(F32, z, 1, 4);
  args = make(BRAID_OP_ARG_MAX, TENSOR(I64, k, 1), 1, &in);
  args.attrs.reduce = (struct braid_reduce_attrs){.axis = {false, true}};
  run_ref(&args);
  cr_assert_eq(k[0], 1);
  args.attrs.reduce.select_last = true;
  run_ref(&args);
  cr_assert_eq(k[0], 2);
}

Test(ref, matmul_broadcasts_like_numpy) {
  float a[4] = {1, 2, 3, 4}, b[8] = {1, 0, 0, 1, 0, 1, 1, 0}, y[8];
  struct braid_tensor in[] = {TENSOR(F32, a, 2, 2), TENSOR(F32, b, 2, 2, 2)};
  struct braid_kernel_args args = make(BRAID_OP_MATMUL, TENSOR(F32, y, 2, 2, 2), 2, in);
  run_ref(&args);
  expect(y, (float[]){1, 2, 3, 4, 2, 1, 4, 3}, 8, 0);
}

Test(ref, pad_reflects_without_repeating_the_edge) {
  float x[3] = {1, 2, 3}, y[8];
  struct braid_tensor in = TENSOR(F32, x, 3);
  struct braid_kernel_args args = make(BRAID_OP_PAD, TENSOR(F32, y, 8), 1, &in);
  args.attrs.pad = (struct braid_pad_attrs){.before = {2}, .after = {3}, .mode = BRAID_PAD_REFLECT};
  run_ref(&args);
  expect(y, (float[]){3, 2, 1, 2, 3, 2, 1, 2}, 8, 0);
}

/* Ties to even, saturation at both ends, infinities, and no number becomes the zero point. */
Test(ref, quantize_rounds_ties_to_even_and_saturates) {
  float x[10] = {0, 1, 3, 5, -1, -3, 1000, -1000, INFINITY, NAN}, scale[1] = {2};
  uint8_t zero[1] = {100}, y[10];
  static const uint8_t want[10] = {100, 100, 102, 102, 100, 98, 255, 0, 255, 100};
  struct braid_tensor in[] = {TENSOR(F32, x, 10), TENSOR(F32, scale, 1), TENSOR(U8, zero, 1)};
  struct braid_kernel_args args = make(BRAID_OP_QUANTIZE_LINEAR, TENSOR(U8, y, 10), 3, in);
  run_ref(&args);
  for (int i = 0; i < 10; i++) cr_expect_eq(y[i], want[i], "element %d: %d, expected %d", i, y[i], want[i]);
}

/* Per channel along axis 1 of [2,3,2], there and back; the values are multiples of their scales. */
Test(ref, quantize_by_channel_and_back) {
  float x[12] = {1, -2, 4, 6, -30, 40, 3, 0, 8, -6, 10, 20}, scale[3] = {1, 2, 10}, z[12];
  int8_t zero[3] = {0, 5, -7}, y[12];
  static const int8_t want[12] = {1, -2, 7, 8, -10, -3, 3, 0, 9, 2, -6, -5};
  struct braid_tensor in[] = {TENSOR(F32, x, 2, 3, 2), TENSOR(F32, scale, 3), TENSOR(I8, zero, 3)};
  struct braid_kernel_args args = make(BRAID_OP_QUANTIZE_LINEAR, TENSOR(I8, y, 2, 3, 2), 3, in);
  args.attrs.axis.axis = 1;
  run_ref(&args);
  for (int i = 0; i < 12; i++) cr_expect_eq(y[i], want[i], "element %d: %d, expected %d", i, y[i], want[i]);
  struct braid_tensor back[] = {TENSOR(I8, y, 2, 3, 2), in[1], in[2]};
  args = make(BRAID_OP_DEQUANTIZE_LINEAR, TENSOR(F32, z, 2, 3, 2), 3, back);
  args.attrs.axis.axis = 1;
  run_ref(&args);
  expect(z, x, 12, 0);
}

/* Padding is the zero point; 12.5 is a tie; results saturate at both ends; the residual has a scale of its own. */
Test(ref, convolution_of_bytes_sums_scales_and_saturates) {
  uint8_t x[3] = {10, 20, 255}, residual[3] = {3, 3, 3}, y[3];
  int8_t w[3] = {1, -2, 3};
  int32_t bias[1] = {5}, sums[3];
  float scale[1] = {0.5f}, z[3];
  struct braid_tensor none = {NULL, BRAID_F32, {0}}, in[] = {TENSOR(U8, x, 1, 1, 1, 3), TENSOR(I8, w, 1, 1, 1, 3),
                                                              TENSOR(I32, bias, 1), none, none};
  struct braid_kernel_args args = make(BRAID_OP_QLINEAR_CONV, TENSOR(I32, sums, 1, 1, 1, 3), 3, in);
  args.attrs.qconv = (struct braid_qconv_attrs){.conv = {{1, 3}, {1, 1}, {1, 1}, {0, 1, 0, 1}, 1, {0, 0}},
                                                .to = BRAID_I32,
                                                .x_zero = 10,
                                                .w_zero = 1,
                                                .r_zero = 1,
                                                .r_scale = 0.25f};
  union braid_attrs attrs = args.attrs;
  run_ref(&args);
  /* 0 10 245 by 0 -3 2 */
  cr_expect(sums[0] == 25 && sums[1] == 465 && sums[2] == -730, "%d %d %d", sums[0], sums[1], sums[2]);

  in[3] = TENSOR(F32, scale, 1);
  args = make(BRAID_OP_QLINEAR_CONV, TENSOR(U8, y, 1, 1, 1, 3), 4, in);
  args.attrs = attrs;
  args.attrs.qconv.to = BRAID_U8;
  args.attrs.qconv.y_zero = 100;
  run_ref(&args);
  cr_expect(y[0] == 112 && y[1] == 255 && y[2] == 0, "%d %d %d", y[0], y[1], y[2]);

  in[4] = TENSOR(U8, residual, 1, 1, 1, 3);
  args = make(BRAID_OP_QLINEAR_CONV, TENSOR(F32, z, 1, 1, 1, 3), 5, in);
  args.attrs = attrs;
  args.attrs.qconv.to = BRAID_F32;
  args.act.op = BRAID_OP_RELU;
  run_ref(&args);
  expect(z, (float[]){13, 233, 0}, 3, 0);
}

/* Two values halfway between neighbours of bfloat16: 1 + 1/256 goes down, 1 + 3/256 up. */
Test(ref, weights_of_bfloat16_round_the_other_factor) {
  float x[4] = {1.00390625f, 1, 1.01171875f, -1}, y[2];
  uint16_t w[2] = {0x4000, 0x3f80}; /* 2, 1 */
  struct braid_tensor in[] = {TENSOR(F32, x, 2, 2), TENSOR(BF16, w, 1, 2)};
  struct braid_kernel_args args = make(BRAID_OP_GEMM, TENSOR(F32, y, 2, 1), 2, in);
  args.attrs.gemm = (struct braid_gemm_attrs){1, 1, false, true};
  run_ref(&args);
  expect(y, (float[]){3, 2 * 1.015625f - 1}, 2, 0);
}

/* All of them, by the loop that becomes vector code. */
Test(ref, every_half_is_widened_alike) {
  static uint16_t x[65536];
  static float want[65536], got[65536];
  for (int i = 0; i < 65536; i++) x[i] = (uint16_t)i;
  for (int type = 0; type < 2; type++) {
    struct braid_tensor in = {x, type ? BRAID_BF16 : BRAID_F16, DIMS(65536)};
    struct braid_kernel_args args = make(BRAID_OP_CAST, TENSOR(F32, want, 65536), 1, &in);
    args.attrs.cast.to = BRAID_F32;
    run_ref(&args);
    args.out.data = got;
    const struct braid_kernel *fast = braid_kernel_find(&args, BRAID_CPU_BLAS);
    cr_assert(fast && fast->needs == BRAID_CPU_BLAS);
    fast->run(&args, NULL, NULL, (struct braid_band){0, 65536});
    for (int i = 0; i < 65536; i++)
      cr_assert(isnan(want[i]) ? isnan(got[i]) : memcmp(&want[i], &got[i], sizeof *got) == 0, "%04x: %g, not %g", i,
                (double)got[i], (double)want[i]);
  }
}

Test(ref, fused_activations_match_their_operators) {
  float x[4] = {-4, -0.5f, 0.25f, 4}, zero[4] = {0}, y[4], z[4];
  struct braid_tensor in[] = {TENSOR(F32, x, 4), TENSOR(F32, zero, 4)};
  const enum braid_op ops[] = {BRAID_OP_RELU,         BRAID_OP_LEAKY_RELU, BRAID_OP_CLIP, BRAID_OP_SIGMOID,
                               BRAID_OP_HARD_SIGMOID, BRAID_OP_HARD_SWISH, BRAID_OP_TANH, BRAID_OP_ELU};
  for (size_t i = 0; i < sizeof ops / sizeof *ops; i++) {
    struct braid_kernel_args alone = make(ops[i], TENSOR(F32, y, 4), 1, in), fused;
    alone.attrs.unary = (struct braid_unary_attrs){0.25f, 0.75f};
    run_ref(&alone);
    fused = make(BRAID_OP_ADD, TENSOR(F32, z, 4), 2, in);
    fused.act = (struct braid_act){ops[i], {0.25f, 0.75f}};
    run_ref(&fused);
    expect(z, y, 4, 0);
  }
}
