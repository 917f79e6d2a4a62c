/* SPDX-License-Identifier: Apache-2.0 */
#include "cases.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DIMS(...) braid_shape_of((int)(sizeof((int[]){__VA_ARGS__}) / sizeof(int)), (int[]){__VA_ARGS__})

/* -------------------------------------------------------------------------------------------- small tools */

static uint64_t draw(struct kernel_case *c) { return braid_random_u64(c->seed, c->drawn++); }
int case_int(struct kernel_case *c, int low, int high) { return low + (int)(draw(c) % (uint64_t)(high - low + 1)); }
static bool chance(struct kernel_case *c, int percent) { return case_int(c, 0, 99) < percent; }
static float real(struct kernel_case *c, float low, float high) {
  return low + (high - low) * (float)(draw(c) >> 40) / 16777216.0f;
}

static void fill(struct kernel_case *c, struct braid_tensor *t, float low, float high) {
  int64_t n = braid_shape_elements(&t->shape);
  for (int64_t i = 0; i < n; i++) {
    if (t->dtype == BRAID_F32)
      ((float *)t->data)[i] = c->exact ? (float)case_int(c, -2, 2) : real(c, low, high);
    else if (t->dtype == BRAID_F64)
      ((double *)t->data)[i] = case_int(c, -9, 9) / 4.0;
    else if (t->dtype == BRAID_BOOL)
      ((uint8_t *)t->data)[i] = (uint8_t)case_int(c, 0, 1);
    else if (t->dtype == BRAID_F16 || t->dtype == BRAID_BF16) /* from 0.5 to 2 */
      ((uint16_t *)t->data)[i] = (uint16_t)((t->dtype == BRAID_F16 ? 0x3800 : 0x3f00) + case_int(c, 0, 0x7ff % 0x100));
    else {
      uint64_t bits = (uint64_t)case_int(c, 0, 100);
      memcpy((char *)t->data + (size_t)i * braid_dtype_bytes(t->dtype), &bits, braid_dtype_bytes(t->dtype));
    }
  }
}

static struct braid_tensor *operand(struct kernel_case *c, enum braid_dtype dtype, struct braid_shape shape) {
  struct braid_tensor *t = &c->args.in[c->args.n_in];
  size_t bytes;
  if (braid_shape_bytes(&shape, dtype, &bytes) != BRAID_OK) abort();
  *t = (struct braid_tensor){malloc(bytes ? bytes : 1), dtype, shape};
  c->args.present[c->args.n_in++] = true;
  return t;
}

static void add_f32(struct kernel_case *c, struct braid_shape shape, float low, float high) {
  fill(c, operand(c, BRAID_F32, shape), low, high);
}

static void add_optional(struct kernel_case *c, struct braid_shape shape, int percent) {
  if (chance(c, percent))
    add_f32(c, shape, -1, 1);
  else
    c->args.n_in++;
}

static void output(struct kernel_case *c, enum braid_dtype dtype, struct braid_shape shape) {
  c->args.out = (struct braid_tensor){NULL, dtype, shape};
}

static struct braid_shape random_shape(struct kernel_case *c, int rank, int most) {
  struct braid_shape s = {.rank = rank};
  for (int d = 0; d < rank; d++) s.dim[d] = case_int(c, 1, most);
  return s;
}

static void random_act(struct kernel_case *c) {
  static const enum braid_op ops[] = {BRAID_ACT_NONE,      BRAID_OP_RELU,    BRAID_OP_CLIP,
                                      BRAID_OP_LEAKY_RELU, BRAID_OP_SIGMOID, BRAID_OP_HARD_SWISH,
                                      BRAID_OP_TANH,       BRAID_OP_ELU,     BRAID_OP_HARD_SIGMOID};
  c->args.act.op = ops[case_int(c, 0, c->exact ? 2 : 8)];
  if (c->args.act.op == BRAID_OP_CLIP)
    c->args.act.attrs = (struct braid_unary_attrs){-1, 3};
  else if (c->args.act.op != BRAID_ACT_NONE)
    c->args.act.attrs = (struct braid_unary_attrs){0.2f, 0.5f};
}

static enum braid_dtype any_dtype(struct kernel_case *c) {
  return (enum braid_dtype)case_int(c, 0, BRAID_DTYPE_COUNT - 1);
}

/* ------------------------------------------------------------------------------------ convolutions, pools */

static void window_attrs(struct kernel_case *c, int *kernel, int *stride, int *dilation, int *pad) {
  bool common = chance(c, 50);
  int k = case_int(c, 1, 3) * 2 - 1, s = case_int(c, 1, 2);
  for (int d = 0; d < 2; d++) {
    kernel[d] = common ? k : case_int(c, 1, 5);
    stride[d] = common ? s : case_int(c, 1, 3);
    dilation[d] = common ? 1 : case_int(c, 1, 2);
    pad[d] = common ? k / 2 : case_int(c, 0, kernel[d] - 1);
    pad[d + 2] = common ? k / 2 : case_int(c, 0, kernel[d] - 1);
  }
}

static int out_extent(int in, int kernel, int stride, int dilation, int before, int after) {
  return (in + before + after - (kernel - 1) * dilation - 1) / stride + 1;
}

/* An extent whose output is not empty. */
static int in_extent(struct kernel_case *c, int kernel, int dilation, int before, int after, int most) {
  int least = (kernel - 1) * dilation + 1 - before - after;
  return (least > 1 ? least : 1) + case_int(c, 0, most);
}

/* int32 maps, as quantised convolutions become them: large values, so that sums wrap in some. */
static void add_i32(struct kernel_case *c, struct braid_shape shape) {
  struct braid_tensor *t = operand(c, BRAID_I32, shape);
  int64_t n = braid_shape_elements(&shape);
  int most = chance(c, 80) ? 255 : 1 << 20;
  for (int64_t i = 0; i < n; i++) ((int32_t *)t->data)[i] = case_int(c, -most, most);
}

/* Random bits of the type; bfloat16 from -2 to 2, or small integers. */
static void fill_bits(struct kernel_case *c, struct braid_tensor *t) {
  int64_t n = braid_shape_elements(&t->shape);
  for (int64_t i = 0; i < n; i++) {
    float x = c->exact ? (float)case_int(c, -2, 2) : real(c, -2, 2);
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    if (t->dtype == BRAID_BF16)
      ((uint16_t *)t->data)[i] = (uint16_t)(bits >> 16);
    else
      ((uint8_t *)t->data)[i] = (uint8_t)case_int(c, 0, 255);
  }
}

static enum braid_dtype any_byte(struct kernel_case *c) { return chance(c, 50) ? BRAID_U8 : BRAID_I8; }
static int any_zero(struct kernel_case *c, enum braid_dtype dtype) {
  if (chance(c, 30)) return 0;
  return dtype == BRAID_U8 ? case_int(c, 0, 255) : dtype == BRAID_I8 ? case_int(c, -128, 127) : 0;
}

/* Bytes: what every kernel of QLINEAR_CONV must answer alike. */
static void make_qconv_operands(struct kernel_case *c, struct braid_shape x, struct braid_shape w) {
  static const enum braid_dtype to[] = {BRAID_U8, BRAID_I8, BRAID_F32, BRAID_I32};
  static const enum braid_op acts[] = {BRAID_ACT_NONE, BRAID_OP_RELU, BRAID_OP_CLIP};
  struct braid_qconv_attrs *a = &c->args.attrs.qconv;
  int channels = w.dim[0];
  a->to = c->args.out.dtype = to[case_int(c, 0, 3)];
  fill_bits(c, operand(c, any_byte(c), x));
  fill_bits(c, operand(c, BRAID_I8, w));
  a->x_zero = any_zero(c, c->args.in[0].dtype);
  a->w_zero = chance(c, 50) ? 0 : any_zero(c, BRAID_I8);
  a->y_zero = any_zero(c, a->to);
  c->args.constant[2] = true;
  if (chance(c, 70))
    add_i32(c, DIMS(channels));
  else
    c->args.n_in++;
  c->exact = false;
  if (a->to == BRAID_I32) return;
  c->args.constant[3] = true;
  add_f32(c, DIMS(channels), 0.0001f, chance(c, 20) ? 2 : 0.01f);
  c->args.act = (struct braid_act){acts[case_int(c, 0, 2)], {-10, 100}};
  if (chance(c, 60)) return;
  fill_bits(c, operand(c, any_byte(c), c->args.out.shape));
  a->r_zero = any_zero(c, c->args.in[4].dtype);
  a->r_scale = real(c, 0.01f, 2);
}

static void make_conv_operands(struct kernel_case *c, struct braid_shape x, struct braid_shape w) {
  int channels = w.dim[0];
  if (c->args.op == BRAID_OP_QLINEAR_CONV) {
    make_qconv_operands(c, x, w);
    return;
  }
  if (chance(c, 30)) {
    c->args.out.dtype = BRAID_I32;
    add_i32(c, x);
    add_i32(c, w);
    if (chance(c, 70)) add_i32(c, DIMS(channels));
    return;
  }
  add_f32(c, x, -1, 1);
  if (chance(c, 25))
    fill_bits(c, operand(c, BRAID_BF16, w));
  else
    add_f32(c, w, -1, 1);
  add_optional(c, DIMS(channels), 70);
  add_optional(c, c->args.out.shape, 40);
  random_act(c);
}

static void make_conv(struct kernel_case *c) {
  struct braid_conv_attrs *a = &c->args.attrs.conv;
  window_attrs(c, a->kernel, a->stride, a->dilation, a->pad);
  bool wide = chance(c, 5), depthwise = chance(c, 35);
  a->group = depthwise ? case_int(c, 1, 9) : chance(c, 30) ? case_int(c, 2, 3) : 1;
  int in_c = depthwise ? 1 : case_int(c, 1, 9), out_c = depthwise && chance(c, 80) ? 1 : case_int(c, 1, 9);
  bool many = !wide && !depthwise && chance(c, 25); /* channels and tiles enough for Winograd's transforms */
  if (wide) in_c = 64; /* more columns than a panel holds */
  if (many) {
    in_c = case_int(c, 16, 64);
    out_c = case_int(c, 16, 70);
    a->group = 1;
    for (int axis = 0; axis < 2; axis++) {
      a->kernel[axis] = 3;
      a->stride[axis] = a->dilation[axis] = 1;
    }
  }
  int n = wide ? 1 : case_int(c, 1, 3);
  int h = in_extent(c, a->kernel[0], a->dilation[0], a->pad[0], a->pad[2], wide ? 70 : many ? 40 : 24);
  int w = in_extent(c, a->kernel[1], a->dilation[1], a->pad[1], a->pad[3], wide ? 70 : 45);
  int oh = out_extent(h, a->kernel[0], a->stride[0], a->dilation[0], a->pad[0], a->pad[2]);
  int ow = out_extent(w, a->kernel[1], a->stride[1], a->dilation[1], a->pad[1], a->pad[3]);
  output(c, BRAID_F32, DIMS(n, out_c * a->group, oh, ow));
  make_conv_operands(c, DIMS(n, in_c * a->group, h, w), DIMS(out_c * a->group, in_c, a->kernel[0], a->kernel[1]));
  c->args.constant[1] = chance(c, 80); /* weights that can be packed */
  c->terms = in_c * a->kernel[0] * a->kernel[1] + 2;
}

static void make_conv_transpose(struct kernel_case *c) {
  struct braid_conv_attrs *a = &c->args.attrs.conv;
  window_attrs(c, a->kernel, a->stride, a->dilation, a->pad);
  a->group = case_int(c, 1, 3);
  int in_c = case_int(c, 1, 4), out_c = case_int(c, 1, 4), n = case_int(c, 1, 2), out[2], in[2];
  for (int d = 0; d < 2; d++) {
    in[d] = case_int(c, 1, 9);
    a->output_pad[d] = case_int(c, 0, a->stride[d] - 1);
    do
      out[d] = (in[d]++ - 1) * a->stride[d] + a->output_pad[d] + (a->kernel[d] - 1) * a->dilation[d] + 1 - a->pad[d] -
               a->pad[d + 2];
    while (out[d] < 1);
    in[d]--;
  }
  output(c, BRAID_F32, DIMS(n, out_c * a->group, out[0], out[1]));
  add_f32(c, DIMS(n, in_c * a->group, in[0], in[1]), -1, 1);
  add_f32(c, DIMS(in_c * a->group, out_c, a->kernel[0], a->kernel[1]), -1, 1);
  add_optional(c, DIMS(out_c * a->group), 70);
  c->terms = in_c * a->kernel[0] * a->kernel[1] + 2;
  random_act(c);
}

static void make_pool(struct kernel_case *c) {
  struct braid_pool_attrs *a = &c->args.attrs.pool;
  window_attrs(c, a->kernel, a->stride, a->dilation, a->pad);
  a->count_include_pad = chance(c, 50);
  a->ceil_mode = chance(c, 50);
  bool bytes = c->args.op == BRAID_OP_MAX_POOL && chance(c, 30);
  if (bytes) { /* nothing is the least float, but no byte: every window has to meet the input */
    a->ceil_mode = false;
    a->dilation[0] = a->dilation[1] = 1;
    for (int i = 0; i < 4; i++)
      if (a->pad[i] >= a->kernel[i % 2]) a->pad[i] = a->kernel[i % 2] - 1;
  }
  int n = case_int(c, 1, 3), ch = case_int(c, 1, 5), out[2], in[2];
  for (int d = 0; d < 2; d++) {
    in[d] = in_extent(c, a->kernel[d], a->dilation[d], a->pad[d], a->pad[d + 2], d ? 50 : 20);
    int over = a->ceil_mode ? a->stride[d] - 1 : 0; /* a last window that hangs over */
    out[d] = out_extent(in[d] + over, a->kernel[d], a->stride[d], a->dilation[d], a->pad[d], a->pad[d + 2]);
  }
  bool indices = c->args.op == BRAID_OP_MAX_POOL_INDICES;
  a->column_major = indices && chance(c, 50);
  if (bytes) {
    output(c, any_byte(c), DIMS(n, ch, out[0], out[1]));
    fill_bits(c, operand(c, c->args.out.dtype, DIMS(n, ch, in[0], in[1])));
    return;
  }
  output(c, indices ? BRAID_I64 : BRAID_F32, DIMS(n, ch, out[0], out[1]));
  add_f32(c, DIMS(n, ch, in[0], in[1]), -1, 1);
  if (indices) return;
  c->terms = a->kernel[0] * a->kernel[1] + 1;
  c->exact = c->exact && c->args.op == BRAID_OP_MAX_POOL;
  random_act(c);
}

static void make_global_pool(struct kernel_case *c) {
  struct braid_shape in = random_shape(c, case_int(c, 3, 5), 11), out = in;
  for (int d = 2; d < in.rank; d++) {
    c->terms *= in.dim[d];
    out.dim[d] = 1;
  }
  output(c, BRAID_F32, out);
  c->exact = c->exact && c->args.op == BRAID_OP_GLOBAL_MAX_POOL;
  add_f32(c, in, -1, 1);
  random_act(c);
}

/* ------------------------------------------------------------------------------------------ dense products */

static void make_gemm(struct kernel_case *c) {
  struct braid_gemm_attrs *a = &c->args.attrs.gemm;
  int m = chance(c, 40) ? 1 : case_int(c, 2, 9), n = case_int(c, 1, 70), k = case_int(c, 1, 200);
  *a = (struct braid_gemm_attrs){c->exact ? 1 : real(c, -1, 1), c->exact ? 1 : real(c, -1, 1), chance(c, 30),
                                 chance(c, 50)};
  output(c, BRAID_F32, DIMS(m, n));
  add_f32(c, a->trans_a ? DIMS(k, m) : DIMS(m, k), -1, 1);
  if (chance(c, 40))
    fill_bits(c, operand(c, BRAID_BF16, a->trans_b ? DIMS(n, k) : DIMS(k, n)));
  else
    add_f32(c, a->trans_b ? DIMS(n, k) : DIMS(k, n), -1, 1);
  struct braid_shape bias[] = {DIMS(n), DIMS(1, n), DIMS(m, 1), DIMS(m, n), DIMS(1), {.rank = 0}};
  add_optional(c, bias[case_int(c, 0, 5)], 80);
  c->terms = k + 3;
  random_act(c);
}

/* Some dimensions of `full` become 1, some leading ones go. */
static struct braid_shape narrowed(struct kernel_case *c, const struct braid_shape *full) {
  struct braid_shape s = {0};
  int drop = chance(c, 40) && full->rank > 0 ? case_int(c, 0, full->rank) : 0;
  for (int d = drop; d < full->rank; d++) s.dim[s.rank++] = chance(c, 30) ? 1 : full->dim[d];
  return s;
}

static struct braid_shape with_matrix(struct braid_shape batch, int rows, int cols) {
  batch.dim[batch.rank++] = rows;
  batch.dim[batch.rank++] = cols;
  return batch;
}

static void make_matmul(struct kernel_case *c) {
  int m = case_int(c, 1, 9), n = case_int(c, 1, 40), k = case_int(c, 1, 60), form = case_int(c, 0, 9);
  c->terms = k + 1;
  if (form == 0) { /* a column on the right */
    output(c, BRAID_F32, DIMS(3, m));
    add_f32(c, DIMS(3, m, k), -1, 1);
    add_f32(c, DIMS(k), -1, 1);
  } else if (form == 1) { /* a row on the left */
    output(c, BRAID_F32, DIMS(3, n));
    add_f32(c, DIMS(k), -1, 1);
    add_f32(c, DIMS(3, k, n), -1, 1);
  } else {
    struct braid_shape batch = random_shape(c, case_int(c, 0, 3), 3);
    output(c, BRAID_F32, with_matrix(batch, m, n));
    bool left = chance(c, 50);
    add_f32(c, with_matrix(left ? batch : narrowed(c, &batch), m, k), -1, 1);
    add_f32(c, with_matrix(left ? narrowed(c, &batch) : batch, k, n), -1, 1);
  }
  random_act(c);
}

/* ---------------------------------------------------------------------------------- element by element */

static void make_unary(struct kernel_case *c) {
  struct braid_shape s = random_shape(c, case_int(c, 0, 5), 9);
  bool positive = c->args.op == BRAID_OP_SQRT || c->args.op == BRAID_OP_LOG || c->args.op == BRAID_OP_RECIPROCAL;
  float most = chance(c, 20) ? 100.0f : chance(c, 50) ? 8.0f : 0.5f;
  c->exact = false;
  c->args.attrs.unary = c->args.op == BRAID_OP_CLIP ? (struct braid_unary_attrs){-0.3f, 0.4f}
                                                    : (struct braid_unary_attrs){real(c, 0, 1.5f), real(c, 0, 1)};
  if (c->args.op == BRAID_OP_GELU && chance(c, 80)) c->args.attrs.unary.a = 0; /* not by tanh */
  output(c, BRAID_F32, s);
  add_f32(c, s, positive ? 1e-3f : -most, most);
  if (chance(c, 20)) random_act(c);
}

static void make_arithmetic(struct kernel_case *c) {
  static const enum braid_dtype types[] = {BRAID_F32, BRAID_F32, BRAID_F32, BRAID_F64, BRAID_I32, BRAID_I64, BRAID_U8};
  enum braid_op op = c->args.op;
  bool variadic = op == BRAID_OP_SUM || op == BRAID_OP_MAX || op == BRAID_OP_MIN || op == BRAID_OP_MEAN;
  bool floats = op == BRAID_OP_MEAN;
  enum braid_dtype type = types[case_int(c, 0, floats ? 3 : 6)];
  if (op == BRAID_OP_BIT_SHIFT) type = chance(c, 50) ? BRAID_U8 : BRAID_U64;
  if (op == BRAID_OP_MOD || op == BRAID_OP_BIT_SHIFT)
    c->args.attrs.flag.on = type == BRAID_F32 || type == BRAID_F64 || chance(c, 50);
  struct braid_shape s = random_shape(c, case_int(c, 0, 5), 9);
  if (s.rank == 4 && chance(c, 50)) s.dim[3] = case_int(c, 10, 60);
  int n = variadic ? case_int(c, 1, 5) : 2, whole = op == BRAID_OP_PRELU ? 0 : case_int(c, 0, n - 1);
  c->exact = c->exact && op != BRAID_OP_DIV && op != BRAID_OP_MEAN && op != BRAID_OP_POW && op != BRAID_OP_MOD;
  output(c, type, s);
  for (int k = 0; k < n; k++) {
    struct braid_shape shape = k == whole || chance(c, 30) ? s : narrowed(c, &s);
    float low = k == 1 && op == BRAID_OP_DIV ? 0.25f : op == BRAID_OP_POW && k == 0 ? 0.1f : -1.0f;
    fill(c, operand(c, type, shape), low, 1);
  }
  c->terms = n + 1;
  if (type == BRAID_F32) random_act(c);
}

/* Two of one type, or a condition and two, broadcast. */
static void make_comparison(struct kernel_case *c) {
  static const enum braid_dtype types[] = {BRAID_F32, BRAID_F64, BRAID_I8,  BRAID_U8,  BRAID_I16, BRAID_U16,
                                           BRAID_I32, BRAID_U32, BRAID_I64, BRAID_U64, BRAID_BOOL};
  enum braid_op op = c->args.op;
  bool logic = op == BRAID_OP_AND || op == BRAID_OP_OR || op == BRAID_OP_XOR, where = op == BRAID_OP_WHERE;
  enum braid_dtype type = logic ? BRAID_BOOL : where ? any_dtype(c) : types[case_int(c, 0, 10)];
  struct braid_shape s = random_shape(c, case_int(c, 0, 5), 9);
  int n = where ? 3 : 2, whole = case_int(c, 0, n - 1);
  output(c, where ? type : BRAID_BOOL, s);
  c->exact = true; /* small numbers: equal ones are common */
  for (int k = 0; k < n; k++)
    fill(c, operand(c, where && k == 0 ? BRAID_BOOL : type, k == whole ? s : narrowed(c, &s)), -1, 1);
}

static void make_question(struct kernel_case *c) {
  static const float odd[] = {INFINITY, -INFINITY, NAN, 0.0f};
  struct braid_shape s = random_shape(c, case_int(c, 0, 5), 9);
  c->args.attrs.unary = (struct braid_unary_attrs){chance(c, 50), chance(c, 50)};
  output(c, BRAID_BOOL, s);
  if (c->args.op == BRAID_OP_NOT) {
    fill(c, operand(c, BRAID_BOOL, s), 0, 0);
    return;
  }
  add_f32(c, s, -1, 1);
  for (int64_t i = 0; i < braid_shape_elements(&s); i++)
    if (chance(c, 50)) ((float *)c->args.in[0].data)[i] = odd[case_int(c, 0, 3)];
}

static void make_layer_norm(struct kernel_case *c) {
  struct braid_shape s = random_shape(c, case_int(c, 1, 5), 7), part = {0};
  s.dim[s.rank - 1] = case_int(c, 2, 70);
  int axis = chance(c, 60) ? s.rank - 1 : case_int(c, 0, s.rank - 1);
  for (int d = axis; d < s.rank; d++) part.dim[part.rank++] = s.dim[d];
  c->exact = false;
  c->args.attrs.norm.axis = axis;
  c->args.attrs.norm.epsilon = 1e-5f;
  output(c, BRAID_F32, s);
  add_f32(c, s, -1, 1);
  add_f32(c, chance(c, 70) ? part : narrowed(c, &part), -1, 1);
  if (chance(c, 70)) add_f32(c, chance(c, 70) ? part : narrowed(c, &part), -1, 1);
  c->terms = (int)braid_shape_elements(&part);
}

static void make_group_norm(struct kernel_case *c) {
  struct braid_shape s = random_shape(c, case_int(c, 2, 5), 7);
  c->args.attrs.norm.groups = case_int(c, 1, 4);
  c->args.attrs.norm.epsilon = 1e-5f;
  s.dim[1] *= c->args.attrs.norm.groups;
  c->exact = false;
  output(c, BRAID_F32, s);
  add_f32(c, s, -1, 1);
  for (int k = 0; k < 2; k++) add_f32(c, DIMS(s.dim[1]), -1, 1);
}

static void make_normalize(struct kernel_case *c) {
  struct braid_shape s = random_shape(c, 4, 7);
  s.dim[3] = case_int(c, 1, 60);
  output(c, BRAID_F32, s);
  fill(c, operand(c, BRAID_U8, s), 0, 0);
  add_f32(c, DIMS(s.dim[1]), -1, 1);
  add_f32(c, DIMS(s.dim[1]), -1, 1);
  c->terms = 2;
  random_act(c);
}

static void make_batch_norm(struct kernel_case *c) {
  struct braid_shape s = random_shape(c, case_int(c, 2, 5), 11), per_channel = DIMS(s.dim[1]);
  c->exact = false;
  output(c, BRAID_F32, s);
  add_f32(c, s, -1, 1);
  for (int k = 0; k < 3; k++) add_f32(c, per_channel, -1, 1);
  add_f32(c, per_channel, 0.25f, 2);
  c->args.attrs.norm.epsilon = 1e-5f;
  c->terms = 6;
  random_act(c);
}

static void make_lrn(struct kernel_case *c) {
  static const float beta[] = {0.75f, 0.5f, 1.0f, 0.6f};
  struct braid_shape s = random_shape(c, case_int(c, 2, 5), 9);
  c->exact = false;
  c->args.attrs.lrn =
      (struct braid_lrn_attrs){case_int(c, 1, 7), real(c, 0, 1), beta[case_int(c, 0, 3)], real(c, 1, 2)};
  output(c, BRAID_F32, s);
  add_f32(c, s, -3, 3);
  c->terms = c->args.attrs.lrn.size + 6;
  if (chance(c, 20)) random_act(c);
}

static void make_softmax(struct kernel_case *c) {
  struct braid_shape s = random_shape(c, case_int(c, 1, 5), chance(c, 20) ? 3 : 7);
  if (s.rank <= 2) s.dim[s.rank - 1] = case_int(c, 1, 200);
  c->exact = false;
  c->args.attrs.axis.axis = case_int(c, 0, s.rank - 1);
  c->args.attrs.axis.axis_end = case_int(c, c->args.attrs.axis.axis + 1, s.rank);
  for (int d = c->args.attrs.axis.axis; d < c->args.attrs.axis.axis_end; d++) c->terms *= s.dim[d];
  output(c, BRAID_F32, s);
  add_f32(c, s, -9, 9);
}

/* -------------------------------------------------------------------------------------------- moving bytes */

static void make_concat(struct kernel_case *c) {
  enum braid_dtype type = any_dtype(c);
  struct braid_shape s = random_shape(c, case_int(c, 1, 5), 7), out = s;
  int n = case_int(c, 1, 5), axis = case_int(c, 0, s.rank - 1);
  c->args.attrs.axis.axis = axis;
  out.dim[axis] = 0;
  for (int k = 0; k < n; k++) {
    s.dim[axis] = case_int(c, 0, 6);
    out.dim[axis] += s.dim[axis];
    fill(c, operand(c, type, s), -1, 1);
  }
  output(c, type, out);
}

static void make_reshape(struct kernel_case *c) {
  enum braid_dtype type = any_dtype(c);
  struct braid_shape s = random_shape(c, 4, 6), out = DIMS(s.dim[0], s.dim[1] * s.dim[2] * s.dim[3]);
  if (chance(c, 50)) out = DIMS(s.dim[0] * s.dim[1], s.dim[2], s.dim[3]);
  output(c, type, out);
  fill(c, operand(c, type, s), -1, 1);
}

static void make_transpose(struct kernel_case *c) {
  enum braid_dtype type = chance(c, 60) ? BRAID_F32 : any_dtype(c);
  struct braid_shape s = random_shape(c, case_int(c, 1, 5), 9), out = s;
  if (s.rank <= 3) s.dim[s.rank - 1] = case_int(c, 1, 50);
  int *perm = c->args.attrs.transpose.perm;
  for (int d = 0; d < s.rank; d++) {
    int other = case_int(c, 0, d);
    perm[d] = perm[other];
    perm[other] = d;
  }
  for (int d = 0; d < s.rank; d++) out.dim[d] = s.dim[perm[d]];
  output(c, type, out);
  fill(c, operand(c, type, s), -1, 1);
}

static void make_slice(struct kernel_case *c) {
  enum braid_dtype type = any_dtype(c);
  struct braid_slice_attrs *a = &c->args.attrs.slice;
  struct braid_shape s = random_shape(c, case_int(c, 1, 5), 9), out = s;
  for (int d = 0; d < s.rank; d++) {
    a->step[d] = case_int(c, 1, 3) * (chance(c, 25) ? -1 : 1);
    a->start[d] = case_int(c, 0, s.dim[d] - 1);
    int room = a->step[d] > 0 ? (s.dim[d] - 1 - a->start[d]) / a->step[d] : a->start[d] / -a->step[d];
    out.dim[d] = case_int(c, 1, room + 1);
  }
  output(c, type, out);
  fill(c, operand(c, type, s), -1, 1);
}

static void make_pad(struct kernel_case *c) {
  enum braid_dtype type = any_dtype(c);
  struct braid_pad_attrs *a = &c->args.attrs.pad;
  struct braid_shape s = random_shape(c, case_int(c, 1, 5), 6), out = s;
  a->mode = (enum braid_pad_mode)case_int(c, 0, 3);
  a->value = 1;
  for (int d = 0; d < s.rank; d++) {
    a->before[d] = case_int(c, -1, 3);
    a->after[d] = case_int(c, 0, 3);
    out.dim[d] = s.dim[d] + a->before[d] + a->after[d];
  }
  output(c, type, out);
  fill(c, operand(c, type, s), -1, 1);
}

static void make_gather(struct kernel_case *c) {
  enum braid_dtype type = any_dtype(c);
  struct braid_shape s = random_shape(c, case_int(c, 1, 4), 6), indices = random_shape(c, case_int(c, 0, 2), 4);
  struct braid_shape out = {0};
  int axis = case_int(c, 0, s.rank - 1);
  for (int d = 0; d < axis; d++) out.dim[out.rank++] = s.dim[d];
  for (int d = 0; d < indices.rank; d++) out.dim[out.rank++] = indices.dim[d];
  for (int d = axis + 1; d < s.rank; d++) out.dim[out.rank++] = s.dim[d];
  c->args.attrs.axis.axis = axis;
  output(c, type, out);
  fill(c, operand(c, type, s), -1, 1);
  struct braid_tensor *t = operand(c, BRAID_I64, indices);
  int64_t n = braid_shape_elements(&indices);
  for (int64_t i = 0; i < n; i++) ((int64_t *)t->data)[i] = case_int(c, -s.dim[axis], s.dim[axis] - 1);
}

static void add_indices(struct kernel_case *c, struct braid_shape shape, const int *extent, int n_extents) {
  bool wide = chance(c, 50);
  struct braid_tensor *t = operand(c, wide ? BRAID_I64 : BRAID_I32, shape);
  for (int64_t i = 0, n = braid_shape_elements(&shape); i < n; i++) {
    int v = case_int(c, -extent[i % n_extents], extent[i % n_extents] - 1);
    if (wide) ((int64_t *)t->data)[i] = v;
    if (!wide) ((int32_t *)t->data)[i] = v;
  }
}

/* How a scatter combines; every type that can add. */
static enum braid_dtype scatter_type(struct kernel_case *c) {
  static const enum braid_dtype types[] = {BRAID_F32, BRAID_F64, BRAID_I8, BRAID_U8, BRAID_I32, BRAID_I64, BRAID_U64};
  c->args.attrs.index.reduction = (enum braid_scatter)case_int(c, 0, 4);
  return c->args.attrs.index.reduction == BRAID_SCATTER_NONE ? any_dtype(c) : types[case_int(c, 0, 6)];
}

static void make_elements(struct kernel_case *c) {
  bool scatter = c->args.op == BRAID_OP_SCATTER_ELEMENTS;
  struct braid_shape s = random_shape(c, case_int(c, 1, 4), 6), indices = s;
  int axis = case_int(c, 0, s.rank - 1);
  for (int d = 0; d < s.rank; d++) indices.dim[d] = case_int(c, 1, d == axis ? 7 : s.dim[d]);
  enum braid_dtype type = scatter ? scatter_type(c) : any_dtype(c);
  c->args.attrs.index.axis = axis;
  output(c, type, scatter ? s : indices);
  fill(c, operand(c, type, s), -1, 1);
  add_indices(c, indices, &s.dim[axis], 1);
  if (scatter) fill(c, operand(c, type, indices), -1, 1);
}

static void make_tuples(struct kernel_case *c) {
  bool scatter = c->args.op == BRAID_OP_SCATTER_ND;
  struct braid_shape s = random_shape(c, case_int(c, 1, 4), 5), tuples = {0};
  int batch = scatter ? 0 : case_int(c, 0, s.rank - 1), length = case_int(c, 1, s.rank - batch);
  for (int d = 0; d < batch; d++) tuples.dim[tuples.rank++] = s.dim[d];
  for (int d = case_int(c, 0, 2); d > 0; d--) tuples.dim[tuples.rank++] = case_int(c, 1, 4);
  struct braid_shape updates = tuples;
  tuples.dim[tuples.rank++] = length;
  for (int d = batch + length; d < s.rank; d++) updates.dim[updates.rank++] = s.dim[d];
  enum braid_dtype type = scatter ? scatter_type(c) : any_dtype(c);
  c->args.attrs.index.batch_dims = batch;
  output(c, type, scatter ? s : updates);
  fill(c, operand(c, type, s), -1, 1);
  add_indices(c, tuples, s.dim + batch, length);
  if (scatter) fill(c, operand(c, type, updates), -1, 1);
}

static void make_lines(struct kernel_case *c) {
  static const enum braid_dtype types[] = {BRAID_F32, BRAID_F64, BRAID_I8, BRAID_U8, BRAID_I32, BRAID_I64, BRAID_U16};
  enum braid_dtype type = types[case_int(c, 0, 6)];
  struct braid_shape s = random_shape(c, case_int(c, 1, 4), 9), out = s;
  int axis = case_int(c, 0, s.rank - 1);
  if (c->args.op == BRAID_OP_CUM_SUM) {
    c->args.attrs.scan.axis = axis;
    c->args.attrs.scan.exclusive = chance(c, 50);
    c->args.attrs.scan.reverse = chance(c, 50);
  } else {
    c->args.attrs.index.axis = axis;
    c->args.attrs.index.smallest = chance(c, 50);
    out.dim[axis] = case_int(c, 1, s.dim[axis]);
  }
  output(c, c->args.op == BRAID_OP_TOP_K_INDICES ? BRAID_I64 : type, out);
  fill(c, operand(c, type, s), -1, 1);
}

static void make_expand(struct kernel_case *c) {
  enum braid_dtype type = any_dtype(c);
  struct braid_shape s = random_shape(c, case_int(c, 0, 5), 7);
  output(c, type, s);
  fill(c, operand(c, type, narrowed(c, &s)), -1, 1);
}

static void make_cast(struct kernel_case *c) {
  struct braid_shape s = random_shape(c, case_int(c, 0, 5), 7);
  c->args.attrs.cast.to = any_dtype(c);
  output(c, c->args.attrs.cast.to, s);
  fill(c, operand(c, any_dtype(c), s), -4, 4);
}

/* Scales of one value or one per index along the axis; values beyond the range of every type, too. */
static void make_quantize(struct kernel_case *c) {
  static const enum braid_dtype quantised[] = {BRAID_U8, BRAID_I8, BRAID_U16, BRAID_I16};
  bool to = c->args.op == BRAID_OP_QUANTIZE_LINEAR;
  enum braid_dtype type = quantised[case_int(c, 0, 3)];
  if (!to && chance(c, 20)) type = BRAID_I32;
  struct braid_shape s = random_shape(c, case_int(c, 1, 5), 7);
  c->args.attrs.axis.axis = case_int(c, 0, s.rank - 1);
  struct braid_shape scale = chance(c, 50) ? DIMS(1) : DIMS(s.dim[c->args.attrs.axis.axis]);
  output(c, to ? type : BRAID_F32, s);
  fill(c, operand(c, to ? BRAID_F32 : type, s), -100, 100);
  c->exact = false;
  add_f32(c, scale, 0.001f, 2);
  if (to ? type != BRAID_U8 || chance(c, 50) : chance(c, 50)) fill(c, operand(c, type, scale), 0, 0);
}

static void make_resize(struct kernel_case *c) {
  struct braid_resize_attrs *a = &c->args.attrs.resize;
  struct braid_shape s = random_shape(c, 4, 7), out = s;
  bool up = chance(c, 50); /* whole factors to the nearest pixel: what the fast kernel takes */
  a->mode = up ? BRAID_RESIZE_NEAREST : (enum braid_resize_mode)case_int(c, 0, 2);
  a->coord = up && chance(c, 80) ? BRAID_COORD_ASYMMETRIC : (enum braid_resize_coord)case_int(c, 0, 6);
  a->nearest = up && chance(c, 80) ? BRAID_NEAREST_FLOOR : (enum braid_resize_nearest)case_int(c, 0, 3);
  a->cubic_a = -0.75f;
  a->extrapolation = 7;
  a->exclude_outside = chance(c, 30);
  a->antialias = chance(c, 30) && a->mode != BRAID_RESIZE_NEAREST;
  for (int d = 0; d < 4; d++) {
    if (d >= 2) out.dim[d] = up ? s.dim[d] * case_int(c, 1, 3) : case_int(c, 1, 13);
    a->scale[d] = (float)out.dim[d] / (float)s.dim[d];
    a->roi[d] = d >= 2 ? 0.1f : 0;
    a->roi[d + 4] = d >= 2 ? 1.1f : 1;
  }
  c->exact = false;
  output(c, BRAID_F32, out);
  add_f32(c, s, -1, 1);
}

static void make_reduce(struct kernel_case *c) {
  static const enum braid_dtype types[] = {BRAID_F32, BRAID_F32, BRAID_F64, BRAID_I32, BRAID_I64, BRAID_U8, BRAID_I8};
  struct braid_reduce_attrs *a = &c->args.attrs.reduce;
  bool logarithm = c->args.op == BRAID_OP_REDUCE_LOG_SUM || c->args.op == BRAID_OP_REDUCE_LOG_SUM_EXP;
  enum braid_dtype type = types[case_int(c, 0, logarithm ? 2 : 6)];
  bool arg = c->args.op == BRAID_OP_ARG_MAX || c->args.op == BRAID_OP_ARG_MIN;
  struct braid_shape s = random_shape(c, case_int(c, 1, 5), 7), out = {0};
  int one = case_int(c, 0, s.rank - 1);
  a->keepdims = chance(c, 50);
  a->select_last = chance(c, 50);
  for (int d = 0; d < s.rank; d++) {
    a->axis[d] = arg ? d == one : chance(c, 50);
    if (a->axis[d] && a->keepdims) out.dim[out.rank++] = 1;
    if (!a->axis[d]) out.dim[out.rank++] = s.dim[d];
  }
  output(c, arg ? BRAID_I64 : type, out);
  fill(c, operand(c, type, s), -1, 1);
}

/* ---------------------------------------------------------------------------------------------------- main */

typedef void maker_fn(struct kernel_case *c);

static maker_fn *maker_of(enum braid_op op) {
  switch (op) {
  case BRAID_OP_NORMALIZE: return make_normalize;
  case BRAID_OP_QLINEAR_CONV:
  case BRAID_OP_CONV: return make_conv;
  case BRAID_OP_CONV_TRANSPOSE: return make_conv_transpose;
  case BRAID_OP_GEMM: return make_gemm;
  case BRAID_OP_MATMUL: return make_matmul;
  case BRAID_OP_MAX_POOL:
  case BRAID_OP_MAX_POOL_INDICES:
  case BRAID_OP_AVERAGE_POOL: return make_pool;
  case BRAID_OP_GLOBAL_MAX_POOL:
  case BRAID_OP_GLOBAL_AVERAGE_POOL: return make_global_pool;
  case BRAID_OP_BATCH_NORMALIZATION: return make_batch_norm;
  case BRAID_OP_LRN: return make_lrn;
  case BRAID_OP_SOFTMAX:
  case BRAID_OP_HARDMAX:
  case BRAID_OP_LOG_SOFTMAX: return make_softmax;
  case BRAID_OP_LAYER_NORMALIZATION: return make_layer_norm;
  case BRAID_OP_GROUP_NORMALIZATION: return make_group_norm;
  case BRAID_OP_NOT:
  case BRAID_OP_IS_NAN:
  case BRAID_OP_IS_INF: return make_question;
  case BRAID_OP_AND:
  case BRAID_OP_OR:
  case BRAID_OP_XOR:
  case BRAID_OP_EQUAL:
  case BRAID_OP_GREATER:
  case BRAID_OP_GREATER_OR_EQUAL:
  case BRAID_OP_LESS:
  case BRAID_OP_LESS_OR_EQUAL:
  case BRAID_OP_WHERE: return make_comparison;
  case BRAID_OP_GATHER_ELEMENTS:
  case BRAID_OP_SCATTER_ELEMENTS: return make_elements;
  case BRAID_OP_GATHER_ND:
  case BRAID_OP_SCATTER_ND: return make_tuples;
  case BRAID_OP_CUM_SUM:
  case BRAID_OP_TOP_K_VALUES:
  case BRAID_OP_TOP_K_INDICES: return make_lines;
  case BRAID_OP_MOD:
  case BRAID_OP_BIT_SHIFT:
  case BRAID_OP_PRELU:
  case BRAID_OP_ADD:
  case BRAID_OP_SUB:
  case BRAID_OP_MUL:
  case BRAID_OP_DIV:
  case BRAID_OP_POW:
  case BRAID_OP_SUM:
  case BRAID_OP_MAX:
  case BRAID_OP_MIN:
  case BRAID_OP_MEAN: return make_arithmetic;
  case BRAID_OP_CONCAT: return make_concat;
  case BRAID_OP_RESHAPE: return make_reshape;
  case BRAID_OP_TRANSPOSE: return make_transpose;
  case BRAID_OP_SLICE: return make_slice;
  case BRAID_OP_PAD: return make_pad;
  case BRAID_OP_GATHER: return make_gather;
  case BRAID_OP_EXPAND: return make_expand;
  case BRAID_OP_CAST: return make_cast;
  case BRAID_OP_QUANTIZE_LINEAR:
  case BRAID_OP_DEQUANTIZE_LINEAR: return make_quantize;
  case BRAID_OP_RESIZE: return make_resize;
  case BRAID_OP_REDUCE_MEAN:
  case BRAID_OP_REDUCE_SUM:
  case BRAID_OP_REDUCE_MAX:
  case BRAID_OP_REDUCE_MIN:
  case BRAID_OP_REDUCE_PROD:
  case BRAID_OP_REDUCE_L1:
  case BRAID_OP_REDUCE_L2:
  case BRAID_OP_REDUCE_LOG_SUM:
  case BRAID_OP_REDUCE_LOG_SUM_EXP:
  case BRAID_OP_REDUCE_SUM_SQUARE:
  case BRAID_OP_ARG_MIN:
  case BRAID_OP_ARG_MAX: return make_reduce;
  default: return make_unary;
  }
}

void case_make(enum braid_op op, uint64_t seed, struct kernel_case *c) {
  *c = (struct kernel_case){.seed = seed, .args.op = op, .terms = 1};
  c->exact = chance(c, 40);
  maker_of(op)(c);
}

void case_free(struct kernel_case *c) {
  for (int k = 0; k < c->args.n_in; k++) free(c->args.in[k].data);
}

const char *case_text(const struct kernel_case *c, char *buf, size_t size) {
  char shape[96];
  size_t at = (size_t)snprintf(buf, size, "%s", braid_op_name(c->args.op));
  for (int k = 0; k < c->args.n_in && at < size; k++)
    if (c->args.present[k])
      at += (size_t)snprintf(buf + at, size - at, " %s", braid_shape_text(&c->args.in[k].shape, shape, sizeof shape));
  if (at < size)
    snprintf(buf + at, size - at, " -> %s %s act %s", braid_dtype_name(c->args.out.dtype),
             braid_shape_text(&c->args.out.shape, shape, sizeof shape), braid_op_name(c->args.act.op));
  return buf;
}

size_t case_out_bytes(const struct kernel_case *c) {
  size_t bytes;
  if (braid_shape_bytes(&c->args.out.shape, c->args.out.dtype, &bytes) != BRAID_OK) abort();
  return bytes;
}
