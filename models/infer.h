/* SPDX-License-Identifier: Apache-2.0
 *
 * What every operator demands of its operands and attributes, and the type and shape it makes of them. Files and peers
 * reach kernels only through here, so this is where everything that a kernel asserts is checked.
 */
#ifndef MODELS_INFER_H
#define MODELS_INFER_H

#include "graph.h"

/* One operator applied to operands: what the rules look at, and where they leave the result. */
struct op_call {
  enum braid_op op;
  const union braid_attrs *attrs;
  const struct braid_shape *hint; /* NULL but for RESHAPE, EXPAND, SLICE, RESIZE, TOP_K_... */
  int n_in;
  bool present[MAX_OPERANDS];
  struct braid_tensor in[MAX_OPERANDS]; /* data for constants only */
  enum braid_dtype dtype;
  struct braid_shape shape;
};

/* Which member of union braid_attrs an operator uses. */
enum attr_kind {
  ATTR_NONE,
  ATTR_CONV,
  ATTR_QCONV,
  ATTR_POOL,
  ATTR_GEMM,
  ATTR_UNARY,
  ATTR_LRN,
  ATTR_SLICE,
  ATTR_PAD,
  ATTR_RESIZE,
  ATTR_REDUCE,
  ATTR_INDEX,
  ATTR_SCAN,
  ATTR_FLAG,
  ATTR_NORM,
  ATTR_AXIS,
  ATTR_TRANSPOSE,
  ATTR_CAST
};

struct op_rule {
  int min_in, max_in; /* operands beyond min_in may be absent */
  enum attr_kind attrs;
  bool hinted; /* the output shape is given, and checked */
  enum braid_status (*infer)(struct op_call *call);
  bool elementwise; /* element i of the output is made of the elements at i of the (broadcast) operands alone */
};

const struct op_rule *op_rule(enum braid_op op);
/* Checks the call and fills dtype and shape. */
BRAID_NODISCARD enum braid_status op_infer(struct op_call *call);
/* Fit for use as a tensor of a graph: a known type, known dims, at most INT_MAX elements. Inputs, constants and what
 * RESHAPE makes of them may be empty; for other operators graph.c refuses it. */
BRAID_NODISCARD enum braid_status tensor_check(enum braid_dtype dtype, const struct braid_shape *shape);

/* The parameters that the unary operator uses, others cleared: equal operators are then equal. */
struct braid_unary_attrs unary_attrs_of(enum braid_op op, const union braid_attrs *attrs);

bool dtype_is_float(enum braid_dtype dtype);
/* What many rules begin with: operand 0 is of floats; all operands are of the same type. */
enum braid_status must_be_float(const struct op_call *call);
enum braid_status must_agree(const struct op_call *call);
/* Numpy broadcasting; false when the shapes do not fit. */
bool shape_broadcast(const struct braid_shape *a, const struct braid_shape *b, struct braid_shape *out);
/* Can `from` be broadcast to `to` without changing `to`? */
bool shape_broadcasts_to(const struct braid_shape *from, const struct braid_shape *to);

/* Rules, by file. infer_norm.c: */
enum braid_status infer_normalize(struct op_call *call);
enum braid_status infer_batch_normalization(struct op_call *call);
enum braid_status infer_layer_normalization(struct op_call *call);
enum braid_status infer_group_normalization(struct op_call *call);
enum braid_status infer_lrn(struct op_call *call);
enum braid_status infer_softmax(struct op_call *call);
/* infer_index.c: */
enum braid_status infer_gather(struct op_call *call);
enum braid_status infer_gather_elements(struct op_call *call);
enum braid_status infer_gather_nd(struct op_call *call);
enum braid_status infer_scatter_elements(struct op_call *call);
enum braid_status infer_scatter_nd(struct op_call *call);
enum braid_status infer_top_k_values(struct op_call *call);
enum braid_status infer_top_k_indices(struct op_call *call);
enum braid_status infer_cum_sum(struct op_call *call);
/* infer_conv.c: */
static inline bool is_byte(enum braid_dtype dtype) { return dtype == BRAID_U8 || dtype == BRAID_I8; }
enum braid_status infer_conv(struct op_call *call);
enum braid_status infer_qlinear_conv(struct op_call *call);
enum braid_status infer_conv_transpose(struct op_call *call);
enum braid_status infer_max_pool(struct op_call *call);
enum braid_status infer_max_pool_indices(struct op_call *call);
enum braid_status infer_average_pool(struct op_call *call);
enum braid_status infer_global_pool(struct op_call *call);
enum braid_status infer_gemm(struct op_call *call);
enum braid_status infer_matmul(struct op_call *call);
/* infer_layout.c: */
enum braid_status infer_concat(struct op_call *call);
enum braid_status infer_reshape(struct op_call *call);
enum braid_status infer_transpose(struct op_call *call);
enum braid_status infer_slice(struct op_call *call);
enum braid_status infer_pad(struct op_call *call);
enum braid_status infer_expand(struct op_call *call);
enum braid_status infer_resize(struct op_call *call);
enum braid_status infer_reduce(struct op_call *call);
enum braid_status infer_arg_extreme(struct op_call *call);
/* infer_quant.c: */
enum braid_status infer_quantize_linear(struct op_call *call);
enum braid_status infer_dequantize_linear(struct op_call *call);

#endif
