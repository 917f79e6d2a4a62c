/* SPDX-License-Identifier: Apache-2.0
 * Export of what slides windows over maps, and of what goes with it. */
#include "onnx_export.h"

void onnx_put_conv_attrs(struct onnx_writer *w, Onnx__NodeProto *conv, const struct braid_conv_attrs *a) {
  onnx_put_ints(w, conv, "kernel_shape", a->kernel, 2);
  onnx_put_ints(w, conv, "strides", a->stride, 2);
  onnx_put_ints(w, conv, "dilations", a->dilation, 2);
  onnx_put_ints(w, conv, "pads", a->pad, 4);
  onnx_put_int(w, conv, "group", a->group);
}

static void refuse_integers(struct onnx_writer *w, const struct braid_node *node) {
  if (node->dtype != BRAID_I32 || w->status != BRAID_OK) return;
  w->status = braid_fail(BRAID_EUNSUPPORTED,
                         "node '%s': ONNX has no convolution of int32; only one of 8-bit values less their zero points "
                         "can be written",
                         node->name);
}

void onnx_export_conv(struct onnx_writer *w, const struct braid_node *node, const char *out) {
  const struct braid_conv_attrs *a = &node->attrs.conv;
  refuse_integers(w, node);
  bool residual = node->op == BRAID_OP_CONV && node->n_in > 3 && node->in[3] != BRAID_NONE;
  const char *conv_out = residual ? onnx_invent(w, node->name, "conv") : out;
  struct onnx_names names = onnx_operands(w, node, 3);
  Onnx__NodeProto *conv = onnx_put(w, braid_op_name(node->op), names.in, names.n, conv_out);
  onnx_put_conv_attrs(w, conv, a);
  if (node->op == BRAID_OP_CONV_TRANSPOSE) onnx_put_ints(w, conv, "output_padding", a->output_pad, 2);
  if (residual) onnx_put(w, "Add", (const char *const[]){conv_out, onnx_operand_name(w, node->in[3])}, 2, out);
}

void onnx_export_pool(struct onnx_writer *w, const struct braid_node *node, const char *out) {
  const struct braid_pool_attrs *a = &node->attrs.pool;
  bool dilated = a->dilation[0] != 1 || a->dilation[1] != 1;
  Onnx__NodeProto *pool = onnx_plain(w, node, out);
  onnx_put_ints(w, pool, "kernel_shape", a->kernel, 2);
  onnx_put_ints(w, pool, "strides", a->stride, 2);
  onnx_put_ints(w, pool, "pads", a->pad, 4);
  onnx_put_int(w, pool, "ceil_mode", a->ceil_mode);
  if (dilated) onnx_put_ints(w, pool, "dilations", a->dilation, 2);
  if (node->op == BRAID_OP_AVERAGE_POOL) onnx_put_int(w, pool, "count_include_pad", a->count_include_pad);
}

const char *onnx_per_channel(struct onnx_writer *w, const struct braid_node *node, int k, const char *what) {
  struct braid_tensor tensor = onnx_operand_tensor(w, node, k);
  const char *name = onnx_invent(w, node->name, what);
  struct braid_shape shape = {4, {1, tensor.shape.dim[0], 1, 1}};
  if (tensor.data) {
    tensor.shape = shape;
    return onnx_put_tensor(w, name, &tensor);
  }
  int64_t dims[4] = {1, shape.dim[1], 1, 1};
  const char *in[2] = {onnx_operand_name(w, node->in[k]), onnx_put_i64s(w, node->name, "shape", dims, 4)};
  onnx_put(w, "Reshape", in, 2, name);
  return name;
}

void onnx_export_normalize(struct onnx_writer *w, const struct braid_node *node, const char *out) {
  const char *x = onnx_operand_name(w, node->in[0]);
  const char *real = onnx_invent(w, node->name, "cast"), *scaled = onnx_invent(w, node->name, "mul");
  onnx_put_int(w, onnx_put(w, "Cast", &x, 1, real), "to", onnx_data_type(BRAID_F32));
  onnx_put(w, "Mul", (const char *const[]){real, onnx_per_channel(w, node, 1, "scale")}, 2, scaled);
  onnx_put(w, "Add", (const char *const[]){scaled, onnx_per_channel(w, node, 2, "shift")}, 2, out);
}

void onnx_export_pool_indices(struct onnx_writer *w, const struct braid_node *node, const char *out) {
  const struct braid_pool_attrs *a = &node->attrs.pool;
  const char *in = onnx_operand_name(w, node->in[0]);
  Onnx__NodeProto *pool = onnx_put(w, "MaxPool", &in, 1, out);
  onnx_put_ints(w, pool, "kernel_shape", a->kernel, 2);
  onnx_put_ints(w, pool, "strides", a->stride, 2);
  onnx_put_ints(w, pool, "dilations", a->dilation, 2);
  onnx_put_ints(w, pool, "pads", a->pad, 4);
  onnx_put_int(w, pool, "ceil_mode", a->ceil_mode);
  onnx_put_int(w, pool, "storage_order", a->column_major);
  onnx_put_second(w, node, pool, true, out);
}
