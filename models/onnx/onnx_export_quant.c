/* SPDX-License-Identifier: Apache-2.0
 *
 * Products of quantised values, put together again. The importer takes them apart (onnx_ops_qlinear.c): 8-bit values
 * less their zero points are convolved or multiplied in int32, the sums scaled and quantised. ONNX has no convolution of
 * int32, and other runtimes are fast at what the file said. So, where a product's factors are recognised:
 *
 *   QuantizeLinear(Mul(Cast(product), scale), 1, zero)  is QLinearConv or QLinearMatMul, with the scales 1, scale, 1;
 *   any other product                                   is ConvInteger or MatMulInteger, and Add for bias and residual.
 *
 * A factor is Cast(values), Sub(Cast(values), zero), or a constant, which is written as 8-bit values less zero points
 * of our own choice: less those, they are the same constant again. What nobody reads any more is not written. */
#include "onnx_export.h"

#include <string.h>

static const struct braid_node *node_at(const struct braid_graph *graph, int operand) {
  return braid_is_node(operand) ? braid_graph_node(graph, operand) : NULL;
}

static bool is_plain(const struct braid_node *node, enum braid_op op, enum braid_dtype dtype) {
  return node && node->op == op && node->dtype == dtype && node->act.op == BRAID_ACT_NONE;
}

/* ------------------------------------------------------------------------------------------------ factors */

/* Values and zero points of one 8-bit type; constants of them still in int32. */
struct factor {
  int value, zero; /* operands; zero BRAID_NONE: there is none, or the value is a constant */
  enum braid_dtype dtype;
  int32_t zero_of_all; /* of a constant, */
  bool by_output;      /* or one for each index of its axis 0 */
};

struct range {
  int32_t low, high;
};

/* Of the n values from `first` on. */
static struct range range_of(const struct braid_tensor *t, size_t first, size_t n) {
  const int32_t *x = (const int32_t *)t->data + first;
  struct range r = {x[0], x[0]};
  for (size_t i = 1; i < n; i++) {
    if (x[i] < r.low) r.low = x[i];
    if (x[i] > r.high) r.high = x[i];
  }
  return r;
}

/* As uint8 less a zero point: 0 <= value + zero <= 255 with a zero in that range, too. */
static bool fits_uint8(struct range r) {
  return r.low >= -UINT8_MAX && r.high <= UINT8_MAX && (int64_t)r.high - (r.low < 0 ? r.low : 0) <= UINT8_MAX;
}

static bool narrow(const struct braid_tensor *t, bool outputs, struct factor *f) {
  size_t n = (size_t)braid_shape_elements(&t->shape);
  if (t->dtype != BRAID_I32 || n == 0) return false;
  struct range r = range_of(t, 0, n);
  f->dtype = r.low >= INT8_MIN && r.high <= INT8_MAX ? BRAID_I8 : BRAID_U8;
  if (f->dtype == BRAID_I8) return true;
  f->zero_of_all = r.low < 0 ? -r.low : 0;
  if (fits_uint8(r)) return true;
  f->by_output = outputs;
  size_t each = outputs ? n / (size_t)t->shape.dim[0] : 0;
  for (size_t at = 0; outputs && at < n; at += each)
    if (!fits_uint8(range_of(t, at, each))) return false;
  return outputs;
}

static bool is_8_bit(enum braid_dtype dtype) { return dtype == BRAID_U8 || dtype == BRAID_I8; }

static bool is_one_of(const struct braid_tensor *t, enum braid_dtype dtype) {
  return t->dtype == dtype && braid_shape_elements(&t->shape) == 1;
}

/* The 8-bit tensor that the operand is, cast to int32. */
static bool is_cast(const struct braid_graph *graph, int operand, int *of) {
  const struct braid_node *cast = node_at(graph, operand);
  if (!is_plain(cast, BRAID_OP_CAST, BRAID_I32) || !is_8_bit(graph_operand(graph, cast->in[0]).dtype)) return false;
  *of = cast->in[0];
  return true;
}

static bool zero_of(const struct braid_graph *graph, int operand, struct factor *f) {
  if (is_cast(graph, operand, &f->zero)) {
    struct braid_tensor zero = graph_operand(graph, f->zero);
    return is_one_of(&zero, f->dtype);
  }
  if (!braid_is_const(operand)) return false;
  const struct braid_tensor *zero = braid_graph_constant(graph, operand);
  if (!is_one_of(zero, BRAID_I32)) return false;
  struct range r = range_of(zero, 0, 1);
  f->zero = operand;
  return f->dtype == BRAID_U8 ? r.low >= 0 && r.low <= UINT8_MAX : r.low >= INT8_MIN && r.low <= INT8_MAX;
}

/* `outputs`: axis 0 of the operand is that of the product's outputs, which may have zero points of their own. */
static bool factor_of(const struct braid_graph *graph, int operand, bool outputs, struct factor *f) {
  *f = (struct factor){.value = operand, .zero = BRAID_NONE};
  if (braid_is_const(operand)) return narrow(braid_graph_constant(graph, operand), outputs, f);
  const struct braid_node *sub = node_at(graph, operand);
  bool less = is_plain(sub, BRAID_OP_SUB, BRAID_I32);
  if (!is_cast(graph, less ? sub->in[0] : operand, &f->value)) return false;
  f->dtype = graph_operand(graph, f->value).dtype;
  return !less || zero_of(graph, sub->in[1], f);
}

struct product {
  const struct braid_node *node;
  struct factor a, b;
};

static bool product_of(const struct braid_graph *graph, const struct braid_node *node, struct product *p) {
  if (!is_plain(node, BRAID_OP_CONV, BRAID_I32) && !is_plain(node, BRAID_OP_MATMUL, BRAID_I32)) return false;
  p->node = node;
  return factor_of(graph, node->in[0], false, &p->a) &&
         factor_of(graph, node->in[1], node->op == BRAID_OP_CONV, &p->b);
}

/* ---------------------------------------------------------------------------------------------- quantised */

struct scaled {
  struct product product;
  struct braid_tensor scale; /* one, or one for each output channel */
};

static const struct braid_node *read_here_alone(const struct braid_graph *graph, int operand) {
  const struct braid_node *node = node_at(graph, operand);
  return node && node->n_readers == 1 && !node->is_output ? node : NULL;
}

static bool has(const struct braid_node *node, int k) { return k < node->n_in && node->in[k] != BRAID_NONE; }

static bool suits(const struct scaled *s) {
  const struct braid_node *node = s->product.node;
  if (s->scale.dtype != BRAID_F32) return false;
  if (braid_shape_elements(&s->scale.shape) == 1) return true;
  struct braid_shape by_channel = {node->shape.rank, {1, 1, 1, 1}};
  by_channel.dim[1] = node->shape.dim[1];
  return node->op == BRAID_OP_CONV && node->shape.rank == 4 && braid_shape_equal(&s->scale.shape, &by_channel);
}

/* Is the quantisation the end of a quantised product? */
static bool scaled_of(const struct braid_graph *graph, const struct braid_node *node, struct scaled *s) {
  if (node->op != BRAID_OP_QUANTIZE_LINEAR || !is_8_bit(node->dtype) || node->act.op != BRAID_ACT_NONE) return false;
  if (!braid_is_const(node->in[1]) || (has(node, 2) && !braid_is_const(node->in[2]))) return false;
  const struct braid_tensor *unit = braid_graph_constant(graph, node->in[1]);
  if (!is_one_of(unit, BRAID_F32) || *(const float *)unit->data != 1.0f) return false;
  const struct braid_node *mul = read_here_alone(graph, node->in[0]);
  if (!is_plain(mul, BRAID_OP_MUL, BRAID_F32) || !braid_is_const(mul->in[1])) return false;
  const struct braid_node *cast = read_here_alone(graph, mul->in[0]);
  if (!is_plain(cast, BRAID_OP_CAST, BRAID_F32)) return false;
  const struct braid_node *sum = read_here_alone(graph, cast->in[0]);
  if (!sum || !product_of(graph, sum, &s->product)) return false;
  s->scale = *braid_graph_constant(graph, mul->in[1]);
  return suits(s) && !(has(sum, 2) && !braid_is_const(sum->in[2])) && !has(sum, 3);
}

/* ------------------------------------------------------------------------------------------ what is written */

static void need(bool *needed, int operand) {
  if (braid_is_node(operand)) needed[operand] = true;
}

static void need_product(bool *needed, const struct product *p) {
  need(needed, p->a.value);
  need(needed, p->a.zero);
  need(needed, p->b.value);
  need(needed, p->b.zero);
  for (int k = 2; k < p->node->n_in; k++) need(needed, p->node->in[k]);
}

bool *onnx_export_needed(struct onnx_writer *w) {
  int n = braid_graph_size(w->graph);
  bool *needed = onnx_take(w, (size_t)n * sizeof *needed + 1);
  for (int id = n - 1; needed && id >= 0; id--) {
    const struct braid_node *node = braid_graph_node(w->graph, id);
    struct scaled s;
    struct product p;
    needed[id] |= node->is_output;
    if (!needed[id]) continue;
    if (scaled_of(w->graph, node, &s))
      need_product(needed, &s.product);
    else if (product_of(w->graph, node, &p))
      need_product(needed, &p);
    else
      for (int k = 0; k < node->n_in; k++) need(needed, node->in[k]);
  }
  return needed;
}

/* Constants of int32 in 8 bits, with zero points added: one for each of n_zeros equal parts. */
static const char *put_narrow(struct onnx_writer *w, const char *name, const struct braid_tensor *from,
                              enum braid_dtype dtype, const int32_t *zeros, size_t n_zeros) {
  struct braid_tensor to = {.dtype = dtype, .shape = from->shape};
  size_t n = (size_t)braid_shape_elements(&from->shape), each = n / n_zeros;
  uint8_t *bytes = onnx_take(w, n + 1);
  for (size_t i = 0; bytes && i < n; i++)
    bytes[i] = (uint8_t)(((const int32_t *)from->data)[i] + zeros[i / each]); /* int8 by its two's complement */
  to.data = bytes;
  return bytes ? onnx_put_tensor(w, name, &to) : NULL;
}

struct names {
  const char *value, *zero;
};

static const char *put_zeros(struct onnx_writer *w, const char *base, const char *what, enum braid_dtype dtype,
                             const int32_t *zeros, int n) {
  if (n == 1) return onnx_put_scalar(w, base, what, dtype, zeros[0]);
  const int32_t none = 0;
  struct braid_tensor t = {(void *)(uintptr_t)zeros, BRAID_I32, {1, {n}}};
  return put_narrow(w, onnx_invent(w, base, what), &t, dtype, &none, 1);
}

static struct names put_constant(struct onnx_writer *w, const char *base, const char *const what[2],
                                 const struct factor *f) {
  const struct braid_tensor *t = braid_graph_constant(w->graph, f->value);
  int n = f->by_output ? t->shape.dim[0] : 1;
  size_t each = (size_t)braid_shape_elements(&t->shape) / (size_t)n;
  int32_t *zeros = onnx_take(w, (size_t)n * sizeof *zeros);
  if (!zeros) return (struct names){NULL, NULL};
  zeros[0] = f->zero_of_all;
  for (int i = 0; f->by_output && i < n; i++) {
    int32_t low = range_of(t, (size_t)i * each, each).low;
    zeros[i] = low < 0 ? -low : 0;
  }
  const char *zero = put_zeros(w, base, what[1], f->dtype, zeros, n);
  return (struct names){put_narrow(w, onnx_invent(w, base, what[0]), t, f->dtype, zeros, (size_t)n), zero};
}

static struct names put_factor(struct onnx_writer *w, const char *base, const char *const what[2],
                               const struct factor *f) {
  const int32_t none = 0;
  if (braid_is_const(f->value)) return put_constant(w, base, what, f);
  struct names names = {.value = onnx_operand_name(w, f->value)};
  if (f->zero == BRAID_NONE)
    names.zero = onnx_put_scalar(w, base, what[1], f->dtype, 0);
  else if (braid_is_node(f->zero))
    names.zero = onnx_operand_name(w, f->zero);
  else
    names.zero =
        put_narrow(w, onnx_invent(w, base, what[1]), braid_graph_constant(w->graph, f->zero), f->dtype, &none, 1);
  return names;
}

static const char *const what_a[2] = {"a", "a_zero"}, *const what_b[2] = {"b", "b_zero"};

static void put_scaled(struct onnx_writer *w, const struct braid_node *node, const struct scaled *s) {
  const struct braid_node *sum = s->product.node;
  bool conv = sum->op == BRAID_OP_CONV;
  struct names a = put_factor(w, node->name, what_a, &s->product.a);
  struct names b = put_factor(w, node->name, what_b, &s->product.b);
  const char *unit = onnx_put_scalar(w, node->name, "unit", BRAID_F32, 1);
  struct braid_tensor scale = s->scale;
  if (scale.shape.rank > 1) /* by channel, or one */
    scale.shape = (struct braid_shape){scale.shape.dim[1] > 1, {scale.shape.dim[1]}};
  const char *in[9] = {a.value, unit, a.zero, b.value, onnx_put_tensor(w, onnx_invent(w, node->name, "scale"), &scale),
                       b.zero, unit};
  in[7] = has(node, 2) ? onnx_operand_name(w, node->in[2]) : onnx_put_scalar(w, node->name, "zero", node->dtype, 0);
  if (has(sum, 2)) in[8] = onnx_operand_name(w, sum->in[2]);
  Onnx__NodeProto *put = onnx_put(w, conv ? "QLinearConv" : "QLinearMatMul", in, has(sum, 2) ? 9 : 8, node->name);
  if (conv) onnx_put_conv_attrs(w, put, &sum->attrs.conv);
}

static const char *put_add(struct onnx_writer *w, const char *x, const char *y, const char *out) {
  onnx_put(w, "Add", (const char *const[]){x, y}, 2, out);
  return out;
}

static void put_product(struct onnx_writer *w, const struct product *p) {
  const struct braid_node *node = p->node;
  bool bias = has(node, 2), residual = has(node, 3);
  struct names a = put_factor(w, node->name, what_a, &p->a), b = put_factor(w, node->name, what_b, &p->b);
  const char *in[4] = {a.value, b.value, a.zero, b.zero};
  const char *sums = bias || residual ? onnx_invent(w, node->name, "sums") : node->name;
  Onnx__NodeProto *put = onnx_put(w, node->op == BRAID_OP_CONV ? "ConvInteger" : "MatMulInteger", in, 4, sums);
  if (node->op == BRAID_OP_CONV) onnx_put_conv_attrs(w, put, &node->attrs.conv);
  if (bias)
    sums = put_add(w, sums, onnx_per_channel(w, node, 2, "bias"),
                   residual ? onnx_invent(w, node->name, "biased") : node->name);
  if (residual) put_add(w, sums, onnx_operand_name(w, node->in[3]), node->name);
}

bool onnx_export_quantised(struct onnx_writer *w, const struct braid_node *node) {
  struct scaled s;
  struct product p;
  if (scaled_of(w->graph, node, &s))
    put_scaled(w, node, &s);
  else if (product_of(w->graph, node, &p))
    put_product(w, &p);
  else
    return false;
  return true;
}
