/* SPDX-License-Identifier: Apache-2.0
 *
 * Operators on quantised values. A convolution of two axes whose weights and quantisation are constants is one
 * operator of ours, unless its weights have many zero points and are no bytes without them; so is a product of
 * matrices. All others are taken apart: integers less
 * their zero points are convolved or multiplied in int32, which is exact, then scaled and quantised.
 * y = saturate(round(sum * (x_scale * w_scale / y_scale)) + y_zero), bit for bit the same either way. The two of ONNX
 * Runtime's domain are calculated in float32 between a DequantizeLinear and a QuantizeLinear. */
#include "onnx_window.h"

#include <math.h>
#include <string.h>

/* One value is itself; n of them lie along `axis` of a tensor of rank `rank`. */
static enum braid_status along(struct onnx_node *node, struct onnx_value *v, int rank, int axis,
                               struct onnx_value **out) {
  struct braid_shape shape = {.rank = rank};
  *out = v;
  if (v->tensor.shape.rank != 1 || v->tensor.shape.dim[0] == 1) return BRAID_OK;
  for (int i = 0; i < rank; i++) shape.dim[i] = i == axis ? v->tensor.shape.dim[0] : 1;
  return onnx_reshape(node, v, &shape, out);
}

/* *v = int32(*v) - zero; `zero` NULL: as it is. */
static enum braid_status less_zero(struct onnx_node *node, struct onnx_value *zero, int axis, struct onnx_value **v) {
  int rank = (*v)->tensor.shape.rank;
  BRAID_TRY(onnx_cast_to(node, BRAID_I32, v));
  if (!zero) return BRAID_OK;
  struct onnx_value *in[2] = {*v, zero};
  BRAID_TRY(onnx_cast_to(node, BRAID_I32, &in[1]));
  BRAID_TRY(along(node, in[1], rank, axis, &in[1]));
  return onnx_emit(node, BRAID_OP_SUB, NULL, in, 2, NULL, NULL, v);
}

static enum braid_status join(struct onnx_node *node, enum braid_op op, struct onnx_value *a, struct onnx_value *b,
                              struct onnx_value **out) {
  struct onnx_value *in[2] = {a, b};
  return onnx_emit(node, op, NULL, in, 2, NULL, NULL, out);
}

static enum braid_status check_axes(const struct onnx_node *node, int x) {
  int rank = onnx_in(node, x)->tensor.shape.rank;
  return rank >= 1 ? BRAID_OK : braid_fail(BRAID_ESHAPE, "operand %d is a scalar", x);
}

/* ------------------------------------------------------------------------------------------- sums in int32
 * `at`: the operands that are values and zero points of one factor, then of the other. `out` NULL: output 0. */

static enum braid_status sum_conv(struct onnx_node *node, const int at[4], struct onnx_value *bias,
                                  struct onnx_value **out) {
  struct onnx_value *in[3] = {onnx_in(node, at[0]), onnx_in(node, at[2]), bias};
  BRAID_TRY(check_axes(node, at[0]));
  BRAID_TRY(less_zero(node, onnx_in(node, at[1]), 0, &in[0]));
  BRAID_TRY(less_zero(node, onnx_in(node, at[3]), 0, &in[1])); /* one for each output */
  return onnx_conv_of(node, in, out);
}

/* Zero points of a are by row, of b by column. */
static enum braid_status sum_matmul(struct onnx_node *node, const int at[4], struct onnx_value **out) {
  struct onnx_value *in[2] = {onnx_in(node, at[0]), onnx_in(node, at[2])};
  BRAID_TRY(check_axes(node, at[0]));
  BRAID_TRY(check_axes(node, at[2]));
  BRAID_TRY(less_zero(node, onnx_in(node, at[1]), in[0]->tensor.shape.rank - 2, &in[0]));
  BRAID_TRY(less_zero(node, onnx_in(node, at[3]), in[1]->tensor.shape.rank - 1, &in[1]));
  return out ? join(node, BRAID_OP_MATMUL, in[0], in[1], out)
             : onnx_emit_out(node, 0, BRAID_OP_MATMUL, NULL, in, 2, NULL);
}

enum braid_status onnx_convert_integer_matmul(struct onnx_node *node) {
  static const int at[4] = {0, 2, 1, 3};
  return sum_matmul(node, at, NULL);
}

/* --------------------------------------------------------------------------------------------- scaled sums */

static enum braid_status one(struct onnx_node *node, struct onnx_value **out) {
  struct braid_shape scalar = {0};
  const float value = 1.0f;
  BRAID_TRY(onnx_const_new(node, BRAID_F32, &scalar, out));
  memcpy((*out)->tensor.data, &value, sizeof value);
  return BRAID_OK;
}

/* Scales of both operands, each in the shape that fits the sum; operands 6 and 7 are the output's. */
static enum braid_status quantise_sum(struct onnx_node *node, struct onnx_value *sum, struct onnx_value *scale_a,
                                      struct onnx_value *scale_b) {
  union braid_attrs axis = {.axis = {0, 0}};
  struct onnx_value *scale, *in[3] = {NULL, NULL, onnx_in(node, 7)};
  BRAID_TRY(join(node, BRAID_OP_MUL, scale_a, scale_b, &scale));
  BRAID_TRY(join(node, BRAID_OP_DIV, scale, onnx_in(node, 6), &scale));
  BRAID_TRY(onnx_cast_to(node, BRAID_F32, &sum));
  BRAID_TRY(join(node, BRAID_OP_MUL, sum, scale, &in[0]));
  BRAID_TRY(one(node, &in[1]));
  BRAID_TRY(onnx_reshape(node, in[2], &in[1]->tensor.shape, &in[2])); /* one zero point */
  return onnx_emit_out(node, 0, BRAID_OP_QUANTIZE_LINEAR, &axis, in, 3, NULL);
}

/* -------------------------------------------------------------------------------------- convolutions of bytes */

static bool is_byte(const struct onnx_value *v) {
  return v->tensor.dtype == BRAID_U8 || v->tensor.dtype == BRAID_I8;
}

static int byte_at(const struct onnx_value *v, int64_t i) {
  return v->tensor.dtype == BRAID_U8 ? ((const uint8_t *)v->tensor.data)[i] : ((const int8_t *)v->tensor.data)[i];
}

/* One known byte, or none for 0. */
static bool known_zero(const struct onnx_value *v, int *zero) {
  *zero = 0;
  if (!v) return true;
  if (!v->constant || !is_byte(v) || braid_shape_elements(&v->tensor.shape) != 1) return false;
  *zero = byte_at(v, 0);
  return true;
}

/* One for all, though it may be written once for each. */
static int64_t zeros_of(const struct onnx_value *v) {
  int64_t n = v && v->constant && is_byte(v) ? braid_shape_elements(&v->tensor.shape) : 1;
  for (int64_t i = 1; i < n; i++)
    if (byte_at(v, i) != byte_at(v, 0)) return n;
  return n < 1 ? n : 1;
}

/* *out = w - zero as int8; where that is too large for it *out = w - 128 and *w_zero what is left of one zero. NULL: the
 * values are not known, or many zeros would be left. */
static enum braid_status byte_weights(struct onnx_node *node, const struct onnx_value *w, const struct onnx_value *zero,
                                      struct onnx_value **out, int *w_zero) {
  const struct braid_shape *shape = &w->tensor.shape;
  int64_t n = braid_shape_elements(shape), zeros = zeros_of(zero);
  struct onnx_value *made;
  bool fits = true;
  *out = NULL;
  *w_zero = 0;
  if (!w->constant || !is_byte(w) || (zero && (!zero->constant || !is_byte(zero))) || shape->rank < 1) return BRAID_OK;
  if (n == 0 || (zeros != 1 && zeros != shape->dim[0])) return BRAID_OK;
  int64_t inner = n / shape->dim[0];
  int move = w->tensor.dtype == BRAID_U8 ? 128 : 0, first = zero ? byte_at(zero, 0) : 0;
  BRAID_TRY(onnx_const_new(node, BRAID_I8, shape, &made));
  int8_t *to = made->tensor.data;
  for (int64_t i = 0; i < n && fits; i++) {
    int value = byte_at(w, i) - (zeros == 1 ? first : byte_at(zero, i / inner));
    fits = value >= INT8_MIN && value <= INT8_MAX;
    if (fits) to[i] = (int8_t)value;
  }
  if (!fits && zeros != 1) return BRAID_OK;
  for (int64_t i = 0; i < n && !fits; i++) to[i] = (int8_t)(byte_at(w, i) - move);
  if (!fits) *w_zero = first - move;
  *out = made;
  return BRAID_OK;
}

/* x_scale * w_scale / y_scale for each of n outputs, calculated as it is where a sum is scaled; NULL: not known. */
static enum braid_status known_scales(struct onnx_node *node, int n, struct onnx_value **out) {
  struct onnx_value *scale, *x_scale = onnx_in(node, 1), *w_scale = onnx_in(node, 4), *y_scale = onnx_in(node, 6);
  *out = NULL;
  if (!x_scale->constant || !w_scale->constant || !y_scale->constant) return BRAID_OK;
  BRAID_TRY(join(node, BRAID_OP_MUL, x_scale, w_scale, &scale));
  BRAID_TRY(join(node, BRAID_OP_DIV, scale, y_scale, &scale));
  int64_t given = braid_shape_elements(&scale->tensor.shape);
  if (scale->tensor.dtype != BRAID_F32 || (given != 1 && given != n)) return BRAID_OK;
  struct onnx_value *all;
  struct braid_shape shape = {1, {n}};
  BRAID_TRY(onnx_const_new(node, BRAID_F32, &shape, &all));
  for (int i = 0; i < n; i++) {
    float value = ((const float *)scale->tensor.data)[given == 1 ? 0 : i];
    if (!isfinite(value)) return BRAID_OK;
    ((float *)all->tensor.data)[i] = value;
  }
  *out = all;
  return BRAID_OK;
}

/* Operands of one operator on bytes: x, w, bias, scale. */
struct byte_conv {
  struct onnx_value *in[4];
  union braid_attrs attrs;
  bool scaled; /* else the sums are the result */
};

/* Everything but w and the window; false: something is not known, or no byte. Operands are those of QLinearConv, or of
 * ConvInteger (`at`: its input's zero point). */
static bool read_bytes(struct onnx_node *node, int x_zero_at, struct byte_conv *c) {
  struct onnx_value *y_zero = c->scaled ? onnx_in(node, 7) : NULL;
  c->in[0] = onnx_in(node, 0);
  c->in[2] = c->scaled ? onnx_in(node, 8) : NULL;
  c->attrs = (union braid_attrs){.qconv = {.to = c->scaled ? y_zero->tensor.dtype : BRAID_I32}};
  return is_byte(c->in[0]) && known_zero(onnx_in(node, x_zero_at), &c->attrs.qconv.x_zero) &&
         known_zero(y_zero, &c->attrs.qconv.y_zero) &&
         (!c->in[2] || (c->in[2]->constant && c->in[2]->tensor.dtype == BRAID_I32));
}

/* A convolution as one operator, where it can be. `at` as for sums; `scaled`: QLinearConv, else ConvInteger. */
static enum braid_status convolve_bytes(struct onnx_node *node, const int at[4], bool scaled, bool *done) {
  struct byte_conv c = {.scaled = scaled};
  bool is_2d;
  *done = false;
  if (!read_bytes(node, at[1], &c) || c.in[0]->tensor.shape.rank != 4) return BRAID_OK;
  BRAID_TRY(byte_weights(node, onnx_in(node, at[2]), onnx_in(node, at[3]), &c.in[1], &c.attrs.qconv.w_zero));
  if (!c.in[1]) return BRAID_OK;
  BRAID_TRY(onnx_conv_read(node, c.in[1], &c.attrs.qconv.conv, &is_2d));
  if (scaled) BRAID_TRY(known_scales(node, c.in[1]->tensor.shape.dim[0], &c.in[3]));
  if (!is_2d || (scaled && !c.in[3])) return BRAID_OK;
  *done = true;
  return onnx_emit_out(node, 0, BRAID_OP_QLINEAR_CONV, &c.attrs, c.in, scaled ? 4 : 2, NULL);
}

/* [K,N] as [N,K,1,1], what a product is as a convolution of maps of one pixel. */
static enum braid_status as_kernels(struct onnx_node *node, const struct onnx_value *b, struct onnx_value **out) {
  int k = b->tensor.shape.dim[0], n = b->tensor.shape.dim[1];
  struct braid_shape shape = {4, {n, k, 1, 1}};
  BRAID_TRY(onnx_const_new(node, b->tensor.dtype, &shape, out));
  const uint8_t *from = b->tensor.data;
  uint8_t *to = (*out)->tensor.data;
  for (int64_t i = 0; i < (int64_t)n * k; i++) to[i] = from[i % k * n + i / k];
  return BRAID_OK;
}

/* QLinearMatMul of matrices, the right one known, likewise. */
static enum braid_status multiply_bytes(struct onnx_node *node, bool *done) {
  static const struct braid_conv_attrs pixel = {{1, 1}, {1, 1}, {1, 1}, {0}, 1, {0}};
  struct byte_conv c = {.scaled = true};
  struct onnx_value *a = onnx_in(node, 0), *b = onnx_in(node, 3), *kernels, *y;
  *done = false;
  if (!read_bytes(node, 2, &c) || a->tensor.shape.rank != 2 || b->tensor.shape.rank != 2) return BRAID_OK;
  if (!b->constant || !is_byte(b) || a->tensor.shape.dim[1] != b->tensor.shape.dim[0]) return BRAID_OK;
  int m = a->tensor.shape.dim[0], k = a->tensor.shape.dim[1], n = b->tensor.shape.dim[1];
  struct braid_shape maps = {4, {m, k, 1, 1}}, matrix = {2, {m, n}};
  if (m < 1 || k < 1 || n < 1 || braid_shape_elements(&onnx_in(node, 1)->tensor.shape) != 1) return BRAID_OK;
  BRAID_TRY(as_kernels(node, b, &kernels));
  BRAID_TRY(byte_weights(node, kernels, onnx_in(node, 5), &c.in[1], &c.attrs.qconv.w_zero));
  if (c.in[1]) BRAID_TRY(known_scales(node, n, &c.in[3]));
  if (!c.in[1] || !c.in[3]) return BRAID_OK;
  c.attrs.qconv.conv = pixel;
  BRAID_TRY(onnx_reshape(node, a, &maps, &c.in[0]));
  BRAID_TRY(onnx_emit(node, BRAID_OP_QLINEAR_CONV, &c.attrs, c.in, 4, NULL, NULL, &y));
  *done = true;
  return onnx_reshape_out(node, 0, y, &matrix);
}

enum braid_status onnx_convert_integer_conv(struct onnx_node *node) {
  static const int at[4] = {0, 2, 1, 3};
  bool done;
  BRAID_TRY(convolve_bytes(node, at, false, &done));
  return done ? BRAID_OK : sum_conv(node, at, NULL, NULL);
}

enum braid_status onnx_convert_qlinear_conv(struct onnx_node *node) {
  static const int at[4] = {0, 2, 3, 5};
  struct onnx_value *sum, *scale;
  bool done;
  BRAID_TRY(convolve_bytes(node, at, true, &done));
  if (done) return BRAID_OK;
  BRAID_TRY(sum_conv(node, at, onnx_in(node, 8), &sum));
  BRAID_TRY(along(node, onnx_in(node, 4), sum->tensor.shape.rank, 1, &scale));
  return quantise_sum(node, sum, onnx_in(node, 1), scale);
}

enum braid_status onnx_convert_qlinear_matmul(struct onnx_node *node) {
  static const int at[4] = {0, 2, 3, 5};
  struct onnx_value *sum, *scale;
  bool done;
  BRAID_TRY(multiply_bytes(node, &done));
  if (done) return BRAID_OK;
  BRAID_TRY(sum_matmul(node, at, &sum));
  int rank = sum->tensor.shape.rank;
  BRAID_TRY(along(node, onnx_in(node, 1), rank, rank - 2, &scale));
  return quantise_sum(node, sum, scale, onnx_in(node, 4));
}

/* --------------------------------------------------------------------------------- of ONNX Runtime's domain */

/* Operands k, k+1 and k+2: values, scale, zero point (or none). */
static enum braid_status real(struct onnx_node *node, int k, struct onnx_value **out) {
  union braid_attrs axis = {.axis = {0, 0}};
  struct onnx_value *in[3] = {onnx_in(node, k), onnx_in(node, k + 1), onnx_in(node, k + 2)};
  return onnx_emit(node, BRAID_OP_DEQUANTIZE_LINEAR, &axis, in, in[2] ? 3 : 2, NULL, NULL, out);
}

/* Operands k and k+1: the output's scale and zero point (or none). */
static enum braid_status quantise(struct onnx_node *node, struct onnx_value *x, int k) {
  union braid_attrs axis = {.axis = {0, 0}};
  struct onnx_value *in[3] = {x, onnx_in(node, k), onnx_in(node, k + 1)};
  return onnx_emit_out(node, 0, BRAID_OP_QUANTIZE_LINEAR, &axis, in, in[2] ? 3 : 2, NULL);
}

enum braid_status onnx_convert_qlinear_add(struct onnx_node *node) {
  struct onnx_value *a, *b, *sum;
  BRAID_TRY(real(node, 0, &a));
  BRAID_TRY(real(node, 3, &b));
  BRAID_TRY(join(node, BRAID_OP_ADD, a, b, &sum));
  return quantise(node, sum, 6);
}

enum braid_status onnx_convert_qlinear_global_average_pool(struct onnx_node *node) {
  struct onnx_value *x, *mean;
  bool channels_last;
  BRAID_TRY(onnx_attr_bool(node, "channels_last", false, &channels_last));
  if (channels_last) return braid_fail(BRAID_EUNSUPPORTED, "channels_last");
  BRAID_TRY(real(node, 0, &x));
  BRAID_TRY(onnx_emit(node, BRAID_OP_GLOBAL_AVERAGE_POOL, NULL, &x, 1, NULL, NULL, &mean));
  return quantise(node, mean, 3);
}
