/* SPDX-License-Identifier: Apache-2.0
 *
 * A graph node as ONNX operators, the reverse of onnx_ops_*.c. A fused node becomes the operators it
 * came from: Conv, then Add of the residual, then the activation; the last one has the tensor's name, those before it
 * get invented ones. */
#include "onnx_export.h"

struct onnx_names onnx_operands(struct onnx_writer *w, const struct braid_node *node, int max) {
  struct onnx_names names = {.n = 0};
  for (int i = 0; i < node->n_in && i < max; i++) names.in[names.n++] = onnx_operand_name(w, node->in[i]);
  while (names.n > 0 && names.in[names.n - 1] && !*names.in[names.n - 1]) names.n--;
  return names;
}

struct braid_tensor onnx_operand_tensor(struct onnx_writer *w, const struct braid_node *node, int k) {
  return graph_operand(w->graph, node->in[k]);
}

Onnx__NodeProto *onnx_plain(struct onnx_writer *w, const struct braid_node *node, const char *out) {
  struct onnx_names names = onnx_operands(w, node, MAX_OPERANDS);
  return onnx_put(w, braid_op_name(node->op), names.in, names.n, out);
}

void onnx_put_second(struct onnx_writer *w, const struct braid_node *node, Onnx__NodeProto *made, bool second,
                     const char *out) {
  const char *unread = onnx_invent(w, node->name, "unread");
  onnx_put_outputs(w, made, second ? unread : out, second ? out : unread);
}

/* ------------------------------------------------------------------------------------------------- node */

static void put_plain(struct onnx_writer *w, const struct braid_node *node, const char *out) {
  onnx_plain(w, node, out);
}

typedef void export_fn(struct onnx_writer *w, const struct braid_node *node, const char *out);

/* Those that are not here have no attributes. */
static export_fn *const exports[BRAID_OP_COUNT] = {
    [BRAID_OP_NORMALIZE] = onnx_export_normalize,
    [BRAID_OP_CONV] = onnx_export_conv,
    [BRAID_OP_CONV_TRANSPOSE] = onnx_export_conv,
    [BRAID_OP_MAX_POOL] = onnx_export_pool,
    [BRAID_OP_AVERAGE_POOL] = onnx_export_pool,
    [BRAID_OP_MAX_POOL_INDICES] = onnx_export_pool_indices,
    [BRAID_OP_GEMM] = onnx_export_gemm,
    [BRAID_OP_BATCH_NORMALIZATION] = onnx_export_batch_norm,
    [BRAID_OP_LAYER_NORMALIZATION] = onnx_export_layer_norm,
    [BRAID_OP_GROUP_NORMALIZATION] = onnx_export_group_norm,
    [BRAID_OP_LRN] = onnx_export_lrn,
    [BRAID_OP_LEAKY_RELU] = onnx_export_unary,
    [BRAID_OP_CLIP] = onnx_export_unary,
    [BRAID_OP_ELU] = onnx_export_unary,
    [BRAID_OP_SELU] = onnx_export_unary,
    [BRAID_OP_HARD_SIGMOID] = onnx_export_unary,
    [BRAID_OP_HARD_SWISH] = onnx_export_unary,
    [BRAID_OP_CELU] = onnx_export_unary,
    [BRAID_OP_GELU] = onnx_export_unary,
    [BRAID_OP_THRESHOLDED_RELU] = onnx_export_unary,
    [BRAID_OP_SHRINK] = onnx_export_unary,
    [BRAID_OP_IS_INF] = onnx_export_unary,
    [BRAID_OP_SOFTMAX] = onnx_export_softmax,
    [BRAID_OP_LOG_SOFTMAX] = onnx_export_softmax,
    [BRAID_OP_HARDMAX] = onnx_export_softmax,
    [BRAID_OP_CONCAT] = onnx_export_axis,
    [BRAID_OP_GATHER] = onnx_export_axis,
    [BRAID_OP_QUANTIZE_LINEAR] = onnx_export_axis,
    [BRAID_OP_DEQUANTIZE_LINEAR] = onnx_export_axis,
    [BRAID_OP_RESHAPE] = onnx_export_shaped,
    [BRAID_OP_EXPAND] = onnx_export_shaped,
    [BRAID_OP_TRANSPOSE] = onnx_export_transpose,
    [BRAID_OP_SLICE] = onnx_export_slice,
    [BRAID_OP_PAD] = onnx_export_pad,
    [BRAID_OP_CAST] = onnx_export_cast,
    [BRAID_OP_RESIZE] = onnx_export_resize,
    [BRAID_OP_REDUCE_MEAN] = onnx_export_reduce,
    [BRAID_OP_REDUCE_SUM] = onnx_export_reduce,
    [BRAID_OP_REDUCE_MAX] = onnx_export_reduce,
    [BRAID_OP_REDUCE_MIN] = onnx_export_reduce,
    [BRAID_OP_REDUCE_PROD] = onnx_export_reduce,
    [BRAID_OP_REDUCE_L1] = onnx_export_reduce,
    [BRAID_OP_REDUCE_L2] = onnx_export_reduce,
    [BRAID_OP_REDUCE_LOG_SUM] = onnx_export_reduce,
    [BRAID_OP_REDUCE_LOG_SUM_EXP] = onnx_export_reduce,
    [BRAID_OP_REDUCE_SUM_SQUARE] = onnx_export_reduce,
    [BRAID_OP_ARG_MAX] = onnx_export_arg_extreme,
    [BRAID_OP_ARG_MIN] = onnx_export_arg_extreme,
    [BRAID_OP_MOD] = onnx_export_mod,
    [BRAID_OP_BIT_SHIFT] = onnx_export_bit_shift,
    [BRAID_OP_CUM_SUM] = onnx_export_cum_sum,
    [BRAID_OP_GATHER_ELEMENTS] = onnx_export_gather_elements,
    [BRAID_OP_GATHER_ND] = onnx_export_gather_nd,
    [BRAID_OP_SCATTER_ELEMENTS] = onnx_export_scatter,
    [BRAID_OP_SCATTER_ND] = onnx_export_scatter,
    [BRAID_OP_TOP_K_VALUES] = onnx_export_top_k,
    [BRAID_OP_TOP_K_INDICES] = onnx_export_top_k,
};

static void put_operator(struct onnx_writer *w, const struct braid_node *node, const char *out) {
  (exports[node->op] ? exports[node->op] : put_plain)(w, node, out);
}

void onnx_export_node(struct onnx_writer *w, const struct braid_node *node) {
  if (onnx_export_quantised(w, node)) return;
  if (node->act.op == BRAID_ACT_NONE) {
    put_operator(w, node, node->name);
    return;
  }
  const char *before = onnx_invent(w, node->name, "linear");
  put_operator(w, node, before);
  onnx_export_activation(w, node->act.op, &node->act.attrs, node->dtype, before, node->name);
}

/* ------------------------------------------------------------------------------------------------ opsets */

static int resize_opset(const struct braid_resize_attrs *a) {
  return a->coord == BRAID_COORD_HALF_PIXEL_SYMMETRIC ? 19 : a->antialias ? 18 : ONNX_SAVE_OPSET;
}

static int scatter_opset(enum braid_scatter how) {
  return how >= BRAID_SCATTER_MIN ? 18 : how != BRAID_SCATTER_NONE ? 16 : ONNX_SAVE_OPSET;
}

int onnx_opset_of(const struct braid_node *node) {
  const struct braid_pool_attrs *pool = &node->attrs.pool;
  switch (node->op) {
  case BRAID_OP_LAYER_NORMALIZATION: return 17;
  case BRAID_OP_MISH: return 18;
  case BRAID_OP_GELU: return 20;
  case BRAID_OP_GROUP_NORMALIZATION: return node->attrs.norm.groups == node->shape.dim[1] ? ONNX_SAVE_OPSET : 21;
  case BRAID_OP_RESIZE: return resize_opset(&node->attrs.resize);
  case BRAID_OP_SCATTER_ELEMENTS:
  case BRAID_OP_SCATTER_ND: return scatter_opset(node->attrs.index.reduction);
  case BRAID_OP_PAD: return node->attrs.pad.mode == BRAID_PAD_WRAP ? 19 : ONNX_SAVE_OPSET;
  case BRAID_OP_AVERAGE_POOL: return pool->dilation[0] > 1 || pool->dilation[1] > 1 ? 19 : ONNX_SAVE_OPSET;
  case BRAID_OP_REDUCE_MAX:
  case BRAID_OP_REDUCE_MIN: return node->dtype == BRAID_BOOL ? 20 : ONNX_SAVE_OPSET;
  default: return ONNX_SAVE_OPSET;
  }
}
