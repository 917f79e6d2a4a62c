/* SPDX-License-Identifier: Apache-2.0
 * Export of products, of what goes along axes, and of what reads and writes at positions. */
#include "onnx_export.h"

void onnx_export_reduce(struct onnx_writer *w, const struct braid_node *node, const char *out) {
  const struct braid_reduce_attrs *a = &node->attrs.reduce;
  int axes[BRAID_MAX_RANK], n = 0;
  int64_t wide[BRAID_MAX_RANK];
  for (int i = 0; i < BRAID_MAX_RANK; i++) {
    if (!a->axis[i]) continue;
    wide[n] = i;
    axes[n++] = i;
  }
  const char *in[2] = {onnx_operand_name(w, node->in[0]), NULL};
  if (n == 0) { /* over no axis: the operand (an empty list would mean all axes) */
    onnx_put(w, "Identity", in, 1, out);
    return;
  }
  bool operand = node->op == BRAID_OP_REDUCE_SUM || w->opset >= 18;
  if (operand) in[1] = onnx_put_i64s(w, node->name, "axes", wide, n);
  Onnx__NodeProto *reduce = onnx_put(w, braid_op_name(node->op), in, operand ? 2 : 1, out);
  if (!operand) onnx_put_ints(w, reduce, "axes", axes, n);
  onnx_put_int(w, reduce, "keepdims", a->keepdims);
}

void onnx_export_arg_extreme(struct onnx_writer *w, const struct braid_node *node, const char *out) {
  const struct braid_reduce_attrs *a = &node->attrs.reduce;
  Onnx__NodeProto *arg = onnx_plain(w, node, out);
  int axis = 0;
  while (axis < BRAID_MAX_RANK - 1 && !a->axis[axis]) axis++;
  onnx_put_int(w, arg, "axis", axis);
  onnx_put_int(w, arg, "keepdims", a->keepdims);
  onnx_put_int(w, arg, "select_last_index", a->select_last);
}

void onnx_export_gemm(struct onnx_writer *w, const struct braid_node *node, const char *out) {
  Onnx__NodeProto *gemm = onnx_plain(w, node, out);
  onnx_put_float(w, gemm, "alpha", node->attrs.gemm.alpha);
  onnx_put_float(w, gemm, "beta", node->attrs.gemm.beta);
  onnx_put_int(w, gemm, "transA", node->attrs.gemm.trans_a);
  onnx_put_int(w, gemm, "transB", node->attrs.gemm.trans_b);
}

void onnx_export_lrn(struct onnx_writer *w, const struct braid_node *node, const char *out) {
  Onnx__NodeProto *lrn = onnx_plain(w, node, out);
  onnx_put_int(w, lrn, "size", node->attrs.lrn.size);
  onnx_put_float(w, lrn, "alpha", node->attrs.lrn.alpha);
  onnx_put_float(w, lrn, "beta", node->attrs.lrn.beta);
  onnx_put_float(w, lrn, "bias", node->attrs.lrn.bias);
}

/* --------------------------------------------------------------------------- at positions, and along lines */

void onnx_export_cum_sum(struct onnx_writer *w, const struct braid_node *node, const char *out) {
  int64_t axis = node->attrs.scan.axis;
  const char *in[2] = {onnx_operand_name(w, node->in[0]), onnx_put_i64s(w, node->name, "axis", &axis, 1)};
  Onnx__NodeProto *scan = onnx_put(w, "CumSum", in, 2, out);
  onnx_put_int(w, scan, "exclusive", node->attrs.scan.exclusive);
  onnx_put_int(w, scan, "reverse", node->attrs.scan.reverse);
}

/* Reductions came with opset 16, the smaller and the larger one with 18. */
void onnx_export_scatter(struct onnx_writer *w, const struct braid_node *node, const char *out) {
  static const char *const reductions[] = {"none", "add", "mul", "min", "max"};
  enum braid_scatter how = node->attrs.index.reduction;
  Onnx__NodeProto *scatter = onnx_plain(w, node, out);
  if (node->op == BRAID_OP_SCATTER_ELEMENTS) onnx_put_int(w, scatter, "axis", node->attrs.index.axis);
  if (how == BRAID_SCATTER_NONE) return;
  onnx_put_text(w, scatter, "reduction", reductions[how]);
}

void onnx_export_top_k(struct onnx_writer *w, const struct braid_node *node, const char *out) {
  int64_t k = node->shape.dim[node->attrs.index.axis];
  const char *in[2] = {onnx_operand_name(w, node->in[0]), onnx_put_i64s(w, node->name, "k", &k, 1)};
  Onnx__NodeProto *top = onnx_put(w, "TopK", in, 2, out);
  onnx_put_int(w, top, "axis", node->attrs.index.axis);
  onnx_put_int(w, top, "largest", !node->attrs.index.smallest);
  onnx_put_second(w, node, top, node->op == BRAID_OP_TOP_K_INDICES, out);
}

void onnx_export_layer_norm(struct onnx_writer *w, const struct braid_node *node, const char *out) {
  Onnx__NodeProto *norm = onnx_plain(w, node, out);
  onnx_put_int(w, norm, "axis", node->attrs.norm.axis);
  onnx_put_float(w, norm, "epsilon", node->attrs.norm.epsilon);
}

/* A group a channel has an operator of its own, older and known to more readers. */
void onnx_export_group_norm(struct onnx_writer *w, const struct braid_node *node, const char *out) {
  bool instance = node->attrs.norm.groups == node->shape.dim[1];
  struct onnx_names names = onnx_operands(w, node, 3);
  const char *type = instance ? "InstanceNormalization" : "GroupNormalization";
  Onnx__NodeProto *norm = onnx_put(w, type, names.in, names.n, out);
  onnx_put_float(w, norm, "epsilon", node->attrs.norm.epsilon);
  if (!instance) onnx_put_int(w, norm, "num_groups", node->attrs.norm.groups);
}

void onnx_export_batch_norm(struct onnx_writer *w, const struct braid_node *node, const char *out) {
  onnx_put_float(w, onnx_plain(w, node, out), "epsilon", node->attrs.norm.epsilon);
}

void onnx_export_mod(struct onnx_writer *w, const struct braid_node *node, const char *out) {
  onnx_put_int(w, onnx_plain(w, node, out), "fmod", node->attrs.flag.on);
}

void onnx_export_bit_shift(struct onnx_writer *w, const struct braid_node *node, const char *out) {
  onnx_put_text(w, onnx_plain(w, node, out), "direction", node->attrs.flag.on ? "LEFT" : "RIGHT");
}

void onnx_export_gather_elements(struct onnx_writer *w, const struct braid_node *node, const char *out) {
  onnx_put_int(w, onnx_plain(w, node, out), "axis", node->attrs.index.axis);
}

void onnx_export_gather_nd(struct onnx_writer *w, const struct braid_node *node, const char *out) {
  onnx_put_int(w, onnx_plain(w, node, out), "batch_dims", node->attrs.index.batch_dims);
}
