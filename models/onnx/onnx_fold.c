/* SPDX-License-Identifier: Apache-2.0
 *
 * Constant folding at import. The node has already become a braid operator with attributes; here its result type and
 * shape are inferred by the rules that hold for every node, and the caller's evaluator computes it. What no operator is
 * needed for, another shape on the same bytes, needs no evaluator either.
 */
#include "infer.h"
#include "onnx_internal.h"

static enum braid_status alias(struct onnx_node *node, const struct onnx_value *in, const struct braid_shape *shape,
                               struct onnx_value **out) {
  if (braid_shape_elements(shape) != braid_shape_elements(&in->tensor.shape)) {
    char from[96], to[96];
    return braid_fail(BRAID_ESHAPE, "%s cannot be reshaped to %s",
                      braid_shape_text(&in->tensor.shape, from, sizeof from), braid_shape_text(shape, to, sizeof to));
  }
  struct braid_tensor tensor = in->tensor;
  tensor.shape = *shape;
  return onnx_value_const(node->im, &tensor, out);
}

static enum braid_status infer(enum braid_op op, const union braid_attrs *attrs, struct onnx_value *const *in, int n_in,
                               const struct braid_shape *hint, struct op_call *call) {
  *call = (struct op_call){.op = op, .attrs = attrs, .hint = hint, .n_in = n_in};
  for (int i = 0; i < n_in; i++) {
    call->present[i] = in[i] != NULL;
    if (!in[i]) continue;
    call->in[i] = in[i]->tensor;
  }
  return op_infer(call);
}

/* Something of nothing: sums over no elements are defined, and joining with nothing. */
static bool takes_nothing(enum braid_op op) {
  bool index = op == BRAID_OP_ARG_MAX || op == BRAID_OP_ARG_MIN;
  return op == BRAID_OP_CONCAT || (op_rule(op)->attrs == ATTR_REDUCE && !index);
}

static enum braid_status check_empty(const struct op_call *call, bool *empty) {
  *empty = braid_shape_elements(&call->shape) == 0;
  for (int i = 0; i < call->n_in && !*empty; i++) {
    if (!call->present[i]) continue;
    bool nothing = braid_shape_elements(&call->in[i].shape) == 0;
    if (!call->in[i].data || (nothing && !takes_nothing(call->op)))
      return braid_fail(BRAID_ESHAPE, "an operand is empty");
  }
  return BRAID_OK;
}

enum braid_status onnx_fold(struct onnx_node *node, enum braid_op op, const union braid_attrs *attrs,
                            struct onnx_value *const *in, int n_in, const struct braid_shape *hint,
                            struct onnx_value **out) {
  static const union braid_attrs no_attrs;
  const struct braid_evaluator *evaluator = node->im->opts->evaluator;
  struct op_call call;
  bool empty;
  if (op == BRAID_OP_RESHAPE) return alias(node, in[0], hint, out);
  BRAID_TRY(infer(op, attrs ? attrs : &no_attrs, in, n_in, hint, &call));
  BRAID_TRY(check_empty(&call, &empty));
  if (empty) return onnx_const_new(node, call.dtype, &call.shape, out);
  if (!evaluator) {
    return braid_fail(BRAID_EUNSUPPORTED,
                      "it computes with constants only, and no evaluator was given to fold it (braid_onnx_opts)");
  }
  BRAID_TRY(onnx_const_new(node, call.dtype, &call.shape, out));
  enum braid_status status =
      evaluator->eval(evaluator->ctx, op, call.attrs, call.in, call.present, n_in, &(*out)->tensor);
  return status == BRAID_OK ? BRAID_OK : braid_fail_in(status, "folding it");
}
