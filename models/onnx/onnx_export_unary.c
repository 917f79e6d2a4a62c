/* SPDX-License-Identifier: Apache-2.0
 * Export of operators of one operand, standing alone or fused to another one. */
#include "onnx_export.h"

#include <float.h>

/* x*HardSigmoid(x; 1/6, 1/2): HardSwish itself came with opset 14. */
static void put_hard_swish(struct onnx_writer *w, const char *x, const char *out) {
  const char *gate = onnx_invent(w, out, "gate");
  Onnx__NodeProto *node = onnx_put(w, "HardSigmoid", &x, 1, gate);
  onnx_put_float(w, node, "alpha", 1.0f / 6.0f);
  onnx_put_float(w, node, "beta", 0.5f);
  onnx_put(w, "Mul", (const char *const[]){x, gate}, 2, out);
}

static void put_clip(struct onnx_writer *w, const char *x, const struct braid_unary_attrs *a, enum braid_dtype dtype,
                     const char *out) {
  bool has_low = a->a > -FLT_MAX, has_high = a->b < FLT_MAX;
  const char *in[3] = {x, "", ""};
  if (has_low) in[1] = onnx_put_scalar(w, out, "min", dtype, (double)a->a);
  if (has_high) in[2] = onnx_put_scalar(w, out, "max", dtype, (double)a->b);
  onnx_put(w, "Clip", in, has_high ? 3 : has_low ? 2 : 1, out);
}

static void put_gelu(struct onnx_writer *w, const char *x, bool by_tanh, const char *out) {
  onnx_put_text(w, onnx_put(w, "Gelu", &x, 1, out), "approximate", by_tanh ? "tanh" : "none");
}

/* Any operator of one operand with unary attributes, standing alone or fused. */
void onnx_export_activation(struct onnx_writer *w, enum braid_op op, const struct braid_unary_attrs *a,
                            enum braid_dtype dtype, const char *x, const char *out) {
  if (op == BRAID_OP_HARD_SWISH) {
    put_hard_swish(w, x, out);
    return;
  }
  if (op == BRAID_OP_CLIP) {
    put_clip(w, x, a, dtype, out);
    return;
  }
  if (op == BRAID_OP_GELU) {
    put_gelu(w, x, a->a != 0.0f, out);
    return;
  }
  Onnx__NodeProto *node = onnx_put(w, braid_op_name(op), &x, 1, out);
  switch (op) {
  case BRAID_OP_LEAKY_RELU:
  case BRAID_OP_CELU:
  case BRAID_OP_THRESHOLDED_RELU:
  case BRAID_OP_ELU:
    onnx_put_float(w, node, "alpha", a->a);
    break;
  case BRAID_OP_SHRINK:
    onnx_put_float(w, node, "lambd", a->a);
    onnx_put_float(w, node, "bias", a->b);
    break;
  case BRAID_OP_IS_INF:
    onnx_put_int(w, node, "detect_negative", a->a != 0.0f);
    onnx_put_int(w, node, "detect_positive", a->b != 0.0f);
    break;
  case BRAID_OP_SELU:
    onnx_put_float(w, node, "alpha", a->a);
    onnx_put_float(w, node, "gamma", a->b);
    break;
  case BRAID_OP_HARD_SIGMOID:
    onnx_put_float(w, node, "alpha", a->a);
    onnx_put_float(w, node, "beta", a->b);
    break;
  default:
    break;
  }
}

void onnx_export_unary(struct onnx_writer *w, const struct braid_node *node, const char *out) {
  onnx_export_activation(w, node->op, &node->attrs.unary, node->dtype, onnx_operand_name(w, node->in[0]), out);
}
