/* SPDX-License-Identifier: Apache-2.0
 * What the files of the export share, by file. A function that exports writes one graph node as ONNX nodes of which the
 * last gives the tensor `out`. */
#ifndef BRAID_ONNX_EXPORT_H
#define BRAID_ONNX_EXPORT_H

#include "onnx_writer.h"

/* ------------------------------------------------------------------------------------------ onnx_export_ops.c */

/* The names of at most `max` operands; absent ones at the end are left out. */
struct onnx_names {
  const char *in[MAX_OPERANDS];
  int n;
};
struct onnx_names onnx_operands(struct onnx_writer *w, const struct braid_node *node, int max);
struct braid_tensor onnx_operand_tensor(struct onnx_writer *w, const struct braid_node *node, int k);
/* The operator of the same name with all operands, without attributes. */
Onnx__NodeProto *onnx_plain(struct onnx_writer *w, const struct braid_node *node, const char *out);
/* `out` is the second output (or the first); the other one gets a name that nobody reads. */
void onnx_put_second(struct onnx_writer *w, const struct braid_node *node, Onnx__NodeProto *made, bool second,
                     const char *out);

#define ONNX_EXPORT(name) \
  void onnx_export_##name(struct onnx_writer *w, const struct braid_node *node, const char *out)

/* ---------------------------------------------------------------------------------------- onnx_export_unary.c */

ONNX_EXPORT(unary);
/* Any operator of one operand with unary attributes, standing alone or fused. */
void onnx_export_activation(struct onnx_writer *w, enum braid_op op, const struct braid_unary_attrs *a,
                            enum braid_dtype dtype, const char *x, const char *out);

/* --------------------------------------------------------------------------------------- onnx_export_window.c */

ONNX_EXPORT(conv);
ONNX_EXPORT(pool);
ONNX_EXPORT(pool_indices);
ONNX_EXPORT(normalize);
void onnx_put_conv_attrs(struct onnx_writer *w, Onnx__NodeProto *conv, const struct braid_conv_attrs *a);
/* The node's operand k, a constant [C], as [1,C,1,1]: the same bytes under another initializer. */
const char *onnx_per_channel(struct onnx_writer *w, const struct braid_node *node, int k, const char *what);

/* ---------------------------------------------------------------------------------------- onnx_export_shape.c */

ONNX_EXPORT(shaped);
ONNX_EXPORT(softmax);
ONNX_EXPORT(slice);
ONNX_EXPORT(pad);
ONNX_EXPORT(resize);
ONNX_EXPORT(axis);
ONNX_EXPORT(transpose);
ONNX_EXPORT(cast);

/* ----------------------------------------------------------------------------------------- onnx_export_math.c */

ONNX_EXPORT(reduce);
ONNX_EXPORT(arg_extreme);
ONNX_EXPORT(gemm);
ONNX_EXPORT(lrn);
ONNX_EXPORT(batch_norm);
ONNX_EXPORT(layer_norm);
ONNX_EXPORT(group_norm);
ONNX_EXPORT(mod);
ONNX_EXPORT(bit_shift);
ONNX_EXPORT(cum_sum);
ONNX_EXPORT(gather_elements);
ONNX_EXPORT(gather_nd);
ONNX_EXPORT(scatter);
ONNX_EXPORT(top_k);

/* ---------------------------------------------------------------------------------------- onnx_export_quant.c */

/* [nodes] which are written; NULL after an error. The others are read by nodes alone that are written as more than
 * themselves. */
bool *onnx_export_needed(struct onnx_writer *w);
/* Writes the node if it is, or ends, a product of quantised values. */
bool onnx_export_quantised(struct onnx_writer *w, const struct braid_node *node);

#endif
