/* SPDX-License-Identifier: Apache-2.0
 *
 * A graph node as ONNX operators, the reverse of onnx_ops_*.c. A fused node becomes the operators it
 * came from: Conv, then Add of the residual, then the activation; the last one has the tensor's name, those before it
 * get invented ones.
 */
#include "onnx_writer.h"

#include <float.h>
#include <math.h>
#include <string.h>

/* Operand names of one node. */
struct names {
  const char *in[MAX_OPERANDS];
  int n;
};

static struct names operands(struct onnx_writer *w, const struct braid_node *node, int max) {
  struct names names = {.n = 0};
  for (int i = 0; i < node->n_in && i < max; i++) names.in[names.n++] = onnx_operand_name(w, node->in[i]);
  while (names.n > 0 && names.in[names.n - 1] && !*names.in[names.n - 1]) names.n--;
  return names;
}

static struct braid_tensor operand_tensor(struct onnx_writer *w, const struct braid_node *node, int k) {
  return graph_operand(w->graph, node->in[k]);
}

static Onnx__NodeProto *plain(struct onnx_writer *w, const struct braid_node *node, const char *out) {
  struct names names = operands(w, node, MAX_OPERANDS);
  return onnx_put(w, braid_op_name(node->op), names.in, names.n, out);
}

static const char *put_cast(struct onnx_writer *w, const char *x, enum braid_dtype to, const char *out) {
  onnx_put_int(w, onnx_put(w, "Cast", &x, 1, out), "to", onnx_data_type(to));
  return out;
}

/* Where the weights are bfloat16 both factors are rounded to it and multiplied as float32. */
static void round_factors(struct onnx_writer *w, const struct braid_node *node, struct names *names) {
  if (operand_tensor(w, node, 1).dtype != BRAID_BF16) return;
  const char *half = put_cast(w, names->in[0], BRAID_BF16, onnx_invent(w, node->name, "half"));
  names->in[0] = put_cast(w, half, BRAID_F32, onnx_invent(w, node->name, "rounded"));
  names->in[1] = put_cast(w, names->in[1], BRAID_F32, onnx_invent(w, node->name, "weights"));
}

/* ----------------------------------------------------------------------------------------- activations */

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
static void put_unary(struct onnx_writer *w, enum braid_op op, const struct braid_unary_attrs *a,
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

/* ---------------------------------------------------------------------------------------------- windows */

static void put_conv_attrs(struct onnx_writer *w, Onnx__NodeProto *conv, const struct braid_conv_attrs *a) {
  onnx_put_ints(w, conv, "kernel_shape", a->kernel, 2);
  onnx_put_ints(w, conv, "strides", a->stride, 2);
  onnx_put_ints(w, conv, "dilations", a->dilation, 2);
  onnx_put_ints(w, conv, "pads", a->pad, 4);
  onnx_put_int(w, conv, "group", a->group);
}

static void put_conv(struct onnx_writer *w, const struct braid_node *node, const char *out) {
  const struct braid_conv_attrs *a = &node->attrs.conv;
  bool residual = node->op == BRAID_OP_CONV && node->n_in > 3 && node->in[3] != BRAID_NONE;
  const char *conv_out = residual ? onnx_invent(w, node->name, "conv") : out;
  struct names names = operands(w, node, 3);
  round_factors(w, node, &names);
  Onnx__NodeProto *conv = onnx_put(w, braid_op_name(node->op), names.in, names.n, conv_out);
  put_conv_attrs(w, conv, a);
  if (node->op == BRAID_OP_CONV_TRANSPOSE) onnx_put_ints(w, conv, "output_padding", a->output_pad, 2);
  if (residual) onnx_put(w, "Add", (const char *const[]){conv_out, onnx_operand_name(w, node->in[3])}, 2, out);
}

/* The node's operand k, one value a channel, once more as [1,C,1,1]. */
static const char *by_channel(struct onnx_writer *w, const struct braid_node *node, int k, const char *what) {
  struct braid_tensor t = operand_tensor(w, node, k);
  t.shape = (struct braid_shape){4, {1, t.shape.dim[0], 1, 1}};
  return onnx_put_tensor(w, onnx_invent(w, node->name, what), &t);
}

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
                       onnx_put_scalar(w, node->name, "x_zero", operand_tensor(w, node, 0).dtype, a->x_zero),
                       onnx_put_scalar(w, node->name, "w_zero", BRAID_I8, a->w_zero)};
  put_conv_attrs(w, onnx_put(w, "ConvInteger", in, 4, conv_out), &a->conv);
  if (bias) onnx_put(w, "Add", (const char *const[]){conv_out, by_channel(w, node, 2, "bias")}, 2, out);
  return out;
}

/* Sums, scales, the residual, the activation, then the output's type, each by an operator of its own. */
static void put_scaled_sums(struct onnx_writer *w, const struct braid_node *node, const char *out) {
  const struct braid_qconv_attrs *a = &node->attrs.qconv;
  bool acts = node->act.op != BRAID_ACT_NONE, quantised = a->to != BRAID_F32;
  const char *x = put_integer_conv(w, node, onnx_invent(w, node->name, "sum"));
  x = put_cast(w, x, BRAID_F32, onnx_invent(w, node->name, "real"));
  x = put_binary(w, node, "Mul", x, by_channel(w, node, 3, "scale"), "scaled");
  if (has_operand(node, 4)) {
    const char *r = onnx_operand_name(w, node->in[4]);
    r = put_cast(w, r, BRAID_F32, onnx_invent(w, node->name, "residual"));
    r = put_binary(w, node, "Sub", r, onnx_put_scalar(w, node->name, "r_zero", BRAID_F32, a->r_zero), "above");
    r = put_binary(w, node, "Mul", r, onnx_put_scalar(w, node->name, "r_scale", BRAID_F32, (double)a->r_scale), "other");
    x = put_binary(w, node, "Add", x, r, "both");
  }
  const char *y = onnx_invent(w, node->name, "act");
  if (acts) put_unary(w, node->act.op, &node->act.attrs, BRAID_F32, x, y);
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
static void put_qlinear_conv(struct onnx_writer *w, const struct braid_node *node, const char *out) {
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
                       onnx_put_scalar(w, node->name, "x_zero", operand_tensor(w, node, 0).dtype, a->x_zero),
                       onnx_operand_name(w, node->in[1]),
                       onnx_operand_name(w, node->in[3]),
                       onnx_put_tensor(w, onnx_invent(w, node->name, "w_zero"), &zeros),
                       one,
                       onnx_put_scalar(w, node->name, "y_zero", a->to, a->y_zero),
                       has_operand(node, 2) ? onnx_operand_name(w, node->in[2]) : ""};
  put_conv_attrs(w, onnx_put(w, "QLinearConv", in, *in[8] ? 9 : 8, out), &a->conv);
}

static void put_pool(struct onnx_writer *w, const struct braid_node *node, const char *out) {
  const struct braid_pool_attrs *a = &node->attrs.pool;
  bool dilated = a->dilation[0] != 1 || a->dilation[1] != 1;
  Onnx__NodeProto *pool = plain(w, node, out);
  onnx_put_ints(w, pool, "kernel_shape", a->kernel, 2);
  onnx_put_ints(w, pool, "strides", a->stride, 2);
  onnx_put_ints(w, pool, "pads", a->pad, 4);
  onnx_put_int(w, pool, "ceil_mode", a->ceil_mode);
  if (dilated) onnx_put_ints(w, pool, "dilations", a->dilation, 2);
  if (node->op == BRAID_OP_AVERAGE_POOL) onnx_put_int(w, pool, "count_include_pad", a->count_include_pad);
}

/* The constant [C] as [1,C,1,1]: the same bytes under another initializer. */
static const char *per_channel(struct onnx_writer *w, const struct braid_node *node, int k, const char *what) {
  struct braid_tensor tensor = operand_tensor(w, node, k);
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

static void put_normalize(struct onnx_writer *w, const struct braid_node *node, const char *out) {
  const char *x = onnx_operand_name(w, node->in[0]);
  const char *real = onnx_invent(w, node->name, "cast"), *scaled = onnx_invent(w, node->name, "mul");
  onnx_put_int(w, onnx_put(w, "Cast", &x, 1, real), "to", onnx_data_type(BRAID_F32));
  onnx_put(w, "Mul", (const char *const[]){real, per_channel(w, node, 1, "scale")}, 2, scaled);
  onnx_put(w, "Add", (const char *const[]){scaled, per_channel(w, node, 2, "shift")}, 2, out);
}

/* ------------------------------------------------------------------------------------- shapes and parts */

static const char *put_shape(struct onnx_writer *w, const char *base, const char *what,
                             const struct braid_shape *shape) {
  int64_t dims[BRAID_MAX_RANK];
  for (int i = 0; i < shape->rank; i++) dims[i] = shape->dim[i];
  return onnx_put_i64s(w, base, what, dims, shape->rank);
}

static void put_shaped(struct onnx_writer *w, const struct braid_node *node, const char *out) {
  const char *in[2] = {onnx_operand_name(w, node->in[0]), put_shape(w, node->name, "shape", &node->shape)};
  onnx_put(w, braid_op_name(node->op), in, 2, out);
}

/* Opset 13 normalises one axis: several are made one by a Reshape before and undone after. */
static void put_softmax(struct onnx_writer *w, const struct braid_node *node, const char *out) {
  int begin = node->attrs.axis.axis, end = node->attrs.axis.axis_end;
  if (end == begin + 1) {
    onnx_put_int(w, plain(w, node, out), "axis", begin);
    return;
  }
  struct braid_shape flat = {.rank = begin + 1};
  for (int i = 0; i < node->shape.rank; i++) {
    if (i <= begin) flat.dim[i] = node->shape.dim[i];
    if (i > begin && i < end) flat.dim[begin] *= node->shape.dim[i];
    if (i >= end) flat.dim[flat.rank++] = node->shape.dim[i];
  }
  const char *flat_in = onnx_invent(w, node->name, "flat"), *flat_out = onnx_invent(w, node->name, "softmax");
  const char *before[2] = {onnx_operand_name(w, node->in[0]), put_shape(w, node->name, "flat_shape", &flat)};
  onnx_put(w, "Reshape", before, 2, flat_in);
  onnx_put_int(w, onnx_put(w, braid_op_name(node->op), &flat_in, 1, flat_out), "axis", begin);
  const char *after[2] = {flat_out, put_shape(w, node->name, "shape", &node->shape)};
  onnx_put(w, "Reshape", after, 2, out);
}

/* ends: one step past the last element; going back past the first one is -(dim+1), for -1 would be the last element. */
static void put_slice(struct onnx_writer *w, const struct braid_node *node, const char *out) {
  int64_t start[BRAID_MAX_RANK], end[BRAID_MAX_RANK], axis[BRAID_MAX_RANK], step[BRAID_MAX_RANK];
  struct braid_shape in = operand_tensor(w, node, 0).shape;
  for (int i = 0; i < in.rank; i++) {
    axis[i] = i;
    start[i] = node->attrs.slice.start[i];
    step[i] = node->attrs.slice.step[i];
    end[i] = start[i] + step[i] * node->shape.dim[i];
    if (end[i] < 0) end[i] = -(int64_t)in.dim[i] - 1;
  }
  const char *names[5] = {onnx_operand_name(w, node->in[0]), onnx_put_i64s(w, node->name, "starts", start, in.rank),
                          onnx_put_i64s(w, node->name, "ends", end, in.rank),
                          onnx_put_i64s(w, node->name, "axes", axis, in.rank),
                          onnx_put_i64s(w, node->name, "steps", step, in.rank)};
  onnx_put(w, "Slice", names, 5, out);
}

static void put_pad(struct onnx_writer *w, const struct braid_node *node, const char *out) {
  static const char *const modes[] = {"constant", "reflect", "edge", "wrap"};
  const struct braid_pad_attrs *a = &node->attrs.pad;
  int64_t pads[2 * BRAID_MAX_RANK];
  int rank = node->shape.rank;
  for (int i = 0; i < rank; i++) {
    pads[i] = a->before[i];
    pads[rank + i] = a->after[i];
  }
  const char *in[3] = {onnx_operand_name(w, node->in[0]), onnx_put_i64s(w, node->name, "pads", pads, 2 * rank), NULL};
  bool constant = a->mode == BRAID_PAD_CONSTANT;
  if (constant) in[2] = onnx_put_scalar(w, node->name, "value", node->dtype, a->value);
  onnx_put_text(w, onnx_put(w, "Pad", in, constant ? 3 : 2, out), "mode", modes[a->mode]);
}

/* Do the scales give the output's shape? Else it was told by sizes, and is again. */
static bool scales_say_it(const struct braid_node *node, const struct braid_shape *in) {
  const struct braid_resize_attrs *a = &node->attrs.resize;
  for (int i = 0; i < in->rank; i++) {
    float part = a->coord == BRAID_COORD_TF_CROP_AND_RESIZE ? a->roi[in->rank + i] - a->roi[i] : 1.0f;
    if ((int)floor((double)(a->scale[i] * (float)in->dim[i] * part)) != node->shape.dim[i]) return false;
  }
  return true;
}

static void put_resize(struct onnx_writer *w, const struct braid_node *node, const char *out) {
  static const char *const modes[] = {"nearest", "linear", "cubic"};
  static const char *const coords[] = {"half_pixel", "pytorch_half_pixel",   "align_corners",
                                       "asymmetric", "tf_half_pixel_for_nn", "tf_crop_and_resize",
                                       "half_pixel_symmetric"};
  static const char *const nearests[] = {"round_prefer_floor", "round_prefer_ceil", "floor", "ceil"};
  const struct braid_resize_attrs *a = &node->attrs.resize;
  struct braid_shape in = operand_tensor(w, node, 0).shape;
  bool crop = a->coord == BRAID_COORD_TF_CROP_AND_RESIZE, scales = scales_say_it(node, &in);
  float roi[2 * BRAID_MAX_RANK];
  for (int i = 0; i < 2 * in.rank; i++) roi[i] = a->roi[i];
  const char *names[4] = {onnx_operand_name(w, node->in[0]), "", "", ""};
  if (crop) names[1] = onnx_put_f32s(w, node->name, "roi", roi, 2 * in.rank);
  if (scales) names[2] = onnx_put_f32s(w, node->name, "scales", a->scale, in.rank);
  if (!scales) names[3] = put_shape(w, node->name, "sizes", &node->shape);
  Onnx__NodeProto *resize = onnx_put(w, "Resize", names, scales ? 3 : 4, out);
  onnx_put_text(w, resize, "mode", modes[a->mode]);
  onnx_put_text(w, resize, "coordinate_transformation_mode", coords[a->coord]);
  if (a->mode == BRAID_RESIZE_NEAREST) onnx_put_text(w, resize, "nearest_mode", nearests[a->nearest]);
  if (a->mode == BRAID_RESIZE_CUBIC) onnx_put_float(w, resize, "cubic_coeff_a", a->cubic_a);
  if (crop) onnx_put_float(w, resize, "extrapolation_value", a->extrapolation);
  if (a->exclude_outside) onnx_put_int(w, resize, "exclude_outside", 1);
  if (a->antialias) onnx_put_int(w, resize, "antialias", 1);
}

/* ----------------------------------------------------------------------------------- along axes, products */

static void put_reduce(struct onnx_writer *w, const struct braid_node *node, const char *out) {
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

static void put_arg_extreme(struct onnx_writer *w, const struct braid_node *node, const char *out) {
  const struct braid_reduce_attrs *a = &node->attrs.reduce;
  Onnx__NodeProto *arg = plain(w, node, out);
  int axis = 0;
  while (axis < BRAID_MAX_RANK - 1 && !a->axis[axis]) axis++;
  onnx_put_int(w, arg, "axis", axis);
  onnx_put_int(w, arg, "keepdims", a->keepdims);
  onnx_put_int(w, arg, "select_last_index", a->select_last);
}

static void put_gemm(struct onnx_writer *w, const struct braid_node *node, const char *out) {
  struct names names = operands(w, node, 3);
  round_factors(w, node, &names);
  Onnx__NodeProto *gemm = onnx_put(w, braid_op_name(node->op), names.in, names.n, out);
  onnx_put_float(w, gemm, "alpha", node->attrs.gemm.alpha);
  onnx_put_float(w, gemm, "beta", node->attrs.gemm.beta);
  onnx_put_int(w, gemm, "transA", node->attrs.gemm.trans_a);
  onnx_put_int(w, gemm, "transB", node->attrs.gemm.trans_b);
}

static void put_lrn(struct onnx_writer *w, const struct braid_node *node, const char *out) {
  Onnx__NodeProto *lrn = plain(w, node, out);
  onnx_put_int(w, lrn, "size", node->attrs.lrn.size);
  onnx_put_float(w, lrn, "alpha", node->attrs.lrn.alpha);
  onnx_put_float(w, lrn, "beta", node->attrs.lrn.beta);
  onnx_put_float(w, lrn, "bias", node->attrs.lrn.bias);
}

/* --------------------------------------------------------------------------- at positions, and along lines */

static void put_cum_sum(struct onnx_writer *w, const struct braid_node *node, const char *out) {
  int64_t axis = node->attrs.scan.axis;
  const char *in[2] = {onnx_operand_name(w, node->in[0]), onnx_put_i64s(w, node->name, "axis", &axis, 1)};
  Onnx__NodeProto *scan = onnx_put(w, "CumSum", in, 2, out);
  onnx_put_int(w, scan, "exclusive", node->attrs.scan.exclusive);
  onnx_put_int(w, scan, "reverse", node->attrs.scan.reverse);
}

/* Reductions came with opset 16, the smaller and the larger one with 18. */
static void put_scatter(struct onnx_writer *w, const struct braid_node *node, const char *out) {
  static const char *const reductions[] = {"none", "add", "mul", "min", "max"};
  enum braid_scatter how = node->attrs.index.reduction;
  Onnx__NodeProto *scatter = plain(w, node, out);
  if (node->op == BRAID_OP_SCATTER_ELEMENTS) onnx_put_int(w, scatter, "axis", node->attrs.index.axis);
  if (how == BRAID_SCATTER_NONE) return;
  onnx_put_text(w, scatter, "reduction", reductions[how]);
}

/* One of the two outputs; the other gets a name that nobody reads. */
static void put_second(struct onnx_writer *w, const struct braid_node *node, Onnx__NodeProto *made, bool second,
                       const char *out) {
  const char *unread = onnx_invent(w, node->name, "unread");
  onnx_put_outputs(w, made, second ? unread : out, second ? out : unread);
}

static void put_top_k(struct onnx_writer *w, const struct braid_node *node, const char *out) {
  int64_t k = node->shape.dim[node->attrs.index.axis];
  const char *in[2] = {onnx_operand_name(w, node->in[0]), onnx_put_i64s(w, node->name, "k", &k, 1)};
  Onnx__NodeProto *top = onnx_put(w, "TopK", in, 2, out);
  onnx_put_int(w, top, "axis", node->attrs.index.axis);
  onnx_put_int(w, top, "largest", !node->attrs.index.smallest);
  put_second(w, node, top, node->op == BRAID_OP_TOP_K_INDICES, out);
}

static void put_pool_indices(struct onnx_writer *w, const struct braid_node *node, const char *out) {
  const struct braid_pool_attrs *a = &node->attrs.pool;
  const char *in = onnx_operand_name(w, node->in[0]);
  Onnx__NodeProto *pool = onnx_put(w, "MaxPool", &in, 1, out);
  onnx_put_ints(w, pool, "kernel_shape", a->kernel, 2);
  onnx_put_ints(w, pool, "strides", a->stride, 2);
  onnx_put_ints(w, pool, "dilations", a->dilation, 2);
  onnx_put_ints(w, pool, "pads", a->pad, 4);
  onnx_put_int(w, pool, "ceil_mode", a->ceil_mode);
  onnx_put_int(w, pool, "storage_order", a->column_major);
  put_second(w, node, pool, true, out);
}

static void put_layer_norm(struct onnx_writer *w, const struct braid_node *node, const char *out) {
  Onnx__NodeProto *norm = plain(w, node, out);
  onnx_put_int(w, norm, "axis", node->attrs.norm.axis);
  onnx_put_float(w, norm, "epsilon", node->attrs.norm.epsilon);
}

/* A group a channel has an operator of its own, older and known to more readers. */
static void put_group_norm(struct onnx_writer *w, const struct braid_node *node, const char *out) {
  bool instance = node->attrs.norm.groups == node->shape.dim[1];
  struct names names = operands(w, node, 3);
  const char *type = instance ? "InstanceNormalization" : "GroupNormalization";
  Onnx__NodeProto *norm = onnx_put(w, type, names.in, names.n, out);
  onnx_put_float(w, norm, "epsilon", node->attrs.norm.epsilon);
  if (!instance) onnx_put_int(w, norm, "num_groups", node->attrs.norm.groups);
}

/* ------------------------------------------------------------------------------------------------- node */

static void put_operator(struct onnx_writer *w, const struct braid_node *node, const char *out) {
  switch (node->op) {
  case BRAID_OP_NORMALIZE:
    put_normalize(w, node, out);
    break;
  case BRAID_OP_CONV:
  case BRAID_OP_CONV_TRANSPOSE:
    put_conv(w, node, out);
    break;
  case BRAID_OP_QLINEAR_CONV:
    put_qlinear_conv(w, node, out);
    break;
  case BRAID_OP_MAX_POOL:
  case BRAID_OP_AVERAGE_POOL:
    put_pool(w, node, out);
    break;
  case BRAID_OP_GEMM:
    put_gemm(w, node, out);
    break;
  case BRAID_OP_BATCH_NORMALIZATION:
    onnx_put_float(w, plain(w, node, out), "epsilon", node->attrs.norm.epsilon);
    break;
  case BRAID_OP_LRN:
    put_lrn(w, node, out);
    break;
  case BRAID_OP_LEAKY_RELU:
  case BRAID_OP_CLIP:
  case BRAID_OP_ELU:
  case BRAID_OP_SELU:
  case BRAID_OP_HARD_SIGMOID:
  case BRAID_OP_HARD_SWISH:
  case BRAID_OP_CELU:
  case BRAID_OP_GELU:
  case BRAID_OP_THRESHOLDED_RELU:
  case BRAID_OP_SHRINK:
  case BRAID_OP_IS_INF:
    put_unary(w, node->op, &node->attrs.unary, node->dtype, onnx_operand_name(w, node->in[0]), out);
    break;
  case BRAID_OP_SOFTMAX:
  case BRAID_OP_LOG_SOFTMAX:
  case BRAID_OP_HARDMAX:
    put_softmax(w, node, out);
    break;
  case BRAID_OP_CONCAT:
  case BRAID_OP_GATHER:
  case BRAID_OP_QUANTIZE_LINEAR:
  case BRAID_OP_DEQUANTIZE_LINEAR:
    onnx_put_int(w, plain(w, node, out), "axis", node->attrs.axis.axis);
    break;
  case BRAID_OP_RESHAPE:
  case BRAID_OP_EXPAND:
    put_shaped(w, node, out);
    break;
  case BRAID_OP_TRANSPOSE:
    onnx_put_ints(w, plain(w, node, out), "perm", node->attrs.transpose.perm, node->shape.rank);
    break;
  case BRAID_OP_SLICE:
    put_slice(w, node, out);
    break;
  case BRAID_OP_PAD:
    put_pad(w, node, out);
    break;
  case BRAID_OP_CAST:
    onnx_put_int(w, plain(w, node, out), "to", onnx_data_type(node->attrs.cast.to));
    break;
  case BRAID_OP_RESIZE:
    put_resize(w, node, out);
    break;
  case BRAID_OP_REDUCE_MEAN:
  case BRAID_OP_REDUCE_SUM:
  case BRAID_OP_REDUCE_MAX:
  case BRAID_OP_REDUCE_MIN:
  case BRAID_OP_REDUCE_PROD:
  case BRAID_OP_REDUCE_L1:
  case BRAID_OP_REDUCE_L2:
  case BRAID_OP_REDUCE_LOG_SUM:
  case BRAID_OP_REDUCE_LOG_SUM_EXP:
  case BRAID_OP_REDUCE_SUM_SQUARE:
    put_reduce(w, node, out);
    break;
  case BRAID_OP_ARG_MAX:
  case BRAID_OP_ARG_MIN:
    put_arg_extreme(w, node, out);
    break;
  case BRAID_OP_MISH:
    plain(w, node, out);
    break;
  case BRAID_OP_MOD:
    onnx_put_int(w, plain(w, node, out), "fmod", node->attrs.flag.on);
    break;
  case BRAID_OP_BIT_SHIFT:
    onnx_put_text(w, plain(w, node, out), "direction", node->attrs.flag.on ? "LEFT" : "RIGHT");
    break;
  case BRAID_OP_CUM_SUM:
    put_cum_sum(w, node, out);
    break;
  case BRAID_OP_GATHER_ELEMENTS:
    onnx_put_int(w, plain(w, node, out), "axis", node->attrs.index.axis);
    break;
  case BRAID_OP_GATHER_ND:
    onnx_put_int(w, plain(w, node, out), "batch_dims", node->attrs.index.batch_dims);
    break;
  case BRAID_OP_SCATTER_ELEMENTS:
  case BRAID_OP_SCATTER_ND:
    put_scatter(w, node, out);
    break;
  case BRAID_OP_TOP_K_VALUES:
  case BRAID_OP_TOP_K_INDICES:
    put_top_k(w, node, out);
    break;
  case BRAID_OP_MAX_POOL_INDICES:
    put_pool_indices(w, node, out);
    break;
  case BRAID_OP_LAYER_NORMALIZATION:
    put_layer_norm(w, node, out);
    break;
  case BRAID_OP_GROUP_NORMALIZATION:
    put_group_norm(w, node, out);
    break;
  default:
    plain(w, node, out);
    break;
  }
}

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

void onnx_export_node(struct onnx_writer *w, const struct braid_node *node) {
  if (node->act.op == BRAID_ACT_NONE || node->op == BRAID_OP_QLINEAR_CONV) { /* which acts in the midst of it */
    put_operator(w, node, node->name);
    return;
  }
  const char *before = onnx_invent(w, node->name, "linear");
  put_operator(w, node, before);
  put_unary(w, node->act.op, &node->act.attrs, node->dtype, before, node->name);
}
