/* SPDX-License-Identifier: Apache-2.0
 * Export of convolutions of bytes (BRAID_OP_QLINEAR_CONV): as the operator that a file has for it, or, where it has none
 * with what follows here, by smaller ones. */
#include "onnx_export.h"

static const char *put_binary(struct onnx_writer *w, const struct braid_node *node, const char *op, const char *a,
                              const char *b, const char *what) {
  const char *out = onnx_invent(w, node->name, what);
  onnx_put(w, op, (const char *const[]){a, b}, 2, out);
  return out;
}

static bool has_operand(const struct braid_node *node, int k) { return node->n_in > k && node->in[k] != BRAID_NONE; }

/* The exact sums, under the name `out`. */
static const char *put_integer_conv(struct onnx_writer *w, const struct braid_node *node, const char *out) {
  const struct braid_qconv_attrs *a = &node->attrs.qconv;
  bool bias = has_operand(node, 2);
  const char *conv_out = bias ? onnx_invent(w, node->name, "conv") : out;
  const char *in[4] = {onnx_operand_name(w, node->in[0]), onnx_operand_name(w, node->in[1]),
                       onnx_put_scalar(w, node->name, "x_zero", onnx_operand_tensor(w, node, 0).dtype, a->x_zero),
                       onnx_put_scalar(w, node->name, "w_zero", BRAID_I8, a->w_zero)};
  onnx_put_conv_attrs(w, onnx_put(w, "ConvInteger", in, 4, conv_out), &a->conv);
  if (bias) onnx_put(w, "Add", (const char *const[]){conv_out, onnx_per_channel(w, node, 2, "bias")}, 2, out);
  return out;
}

/* Sums, scales, the residual, the activation, then the output's type, each by an operator of its own. */
static void put_scaled_sums(struct onnx_writer *w, const struct braid_node *node, const char *out) {
  const struct braid_qconv_attrs *a = &node->attrs.qconv;
  bool acts = node->act.op != BRAID_ACT_NONE, quantised = a->to != BRAID_F32;
  const char *x = put_integer_conv(w, node, onnx_invent(w, node->name, "sum"));
  x = onnx_put_cast(w, x, BRAID_F32, onnx_invent(w, node->name, "real"));
  x = put_binary(w, node, "Mul", x, onnx_per_channel(w, node, 3, "scale"), "scaled");
  if (has_operand(node, 4)) {
    const char *r = onnx_operand_name(w, node->in[4]);
    r = onnx_put_cast(w, r, BRAID_F32, onnx_invent(w, node->name, "residual"));
    r = put_binary(w, node, "Sub", r, onnx_put_scalar(w, node->name, "r_zero", BRAID_F32, a->r_zero), "above");
    r = put_binary(w, node, "Mul", r, onnx_put_scalar(w, node->name, "r_scale", BRAID_F32, (double)a->r_scale), "other");
    x = put_binary(w, node, "Add", x, r, "both");
  }
  const char *y = onnx_invent(w, node->name, "act");
  if (acts) onnx_export_activation(w, node->act.op, &node->act.attrs, BRAID_F32, x, y);
  x = acts ? y : x;
  if (!quantised) {
    onnx_put(w, "Identity", &x, 1, out);
    return;
  }
  const char *in[3] = {x, onnx_put_scalar(w, node->name, "one", BRAID_F32, 1),
                       onnx_put_scalar(w, node->name, "y_zero", a->to, a->y_zero)};
  onnx_put(w, "QuantizeLinear", in, 3, out);
}

/* As a file says it where there is neither residual nor activation; by smaller operators elsewhere. */
void onnx_export_qlinear_conv(struct onnx_writer *w, const struct braid_node *node, const char *out) {
  const struct braid_qconv_attrs *a = &node->attrs.qconv;
  if (a->to == BRAID_I32) {
    put_integer_conv(w, node, out);
    return;
  }
  if (a->to == BRAID_F32 || has_operand(node, 4) || node->act.op != BRAID_ACT_NONE) {
    put_scaled_sums(w, node, out);
    return;
  }
  const char *one = onnx_put_scalar(w, node->name, "one", BRAID_F32, 1);
  struct braid_shape shape = {1, {node->shape.dim[1]}};
  struct braid_tensor zeros = {onnx_take(w, (size_t)node->shape.dim[1]), BRAID_I8, shape};
  for (int i = 0; zeros.data && i < node->shape.dim[1]; i++) ((int8_t *)zeros.data)[i] = (int8_t)a->w_zero;
  const char *in[9] = {onnx_operand_name(w, node->in[0]),
                       one,
                       onnx_put_scalar(w, node->name, "x_zero", onnx_operand_tensor(w, node, 0).dtype, a->x_zero),
                       onnx_operand_name(w, node->in[1]),
                       onnx_operand_name(w, node->in[3]),
                       onnx_put_tensor(w, onnx_invent(w, node->name, "w_zero"), &zeros),
                       one,
                       onnx_put_scalar(w, node->name, "y_zero", a->to, a->y_zero),
                       has_operand(node, 2) ? onnx_operand_name(w, node->in[2]) : ""};
  onnx_put_conv_attrs(w, onnx_put(w, "QLinearConv", in, *in[8] ? 9 : 8, out), &a->conv);
}
