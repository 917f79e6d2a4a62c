/* SPDX-License-Identifier: Apache-2.0
 * Operators that normalise: by stored moments, or by those of a channel, a group, a row. */
#include "onnx_internal.h"

#include <string.h>

enum braid_status onnx_convert_batch_normalization(struct onnx_node *node) {
  union braid_attrs attrs = {.norm = {.epsilon = 1e-5f}};
  struct onnx_value *in[5];
  bool training, spatial, test;
  BRAID_TRY(onnx_attr_f32(node, "epsilon", 1e-5f, &attrs.norm.epsilon));
  BRAID_TRY(onnx_attr_bool(node, "training_mode", false, &training));
  BRAID_TRY(onnx_attr_bool(node, "spatial", true, &spatial));
  BRAID_TRY(onnx_attr_bool(node, "is_test", node->opset >= 7, &test)); /* what older files say instead */
  training = training || !test;
  if (training || !spatial) {
    return braid_fail(BRAID_EUNSUPPORTED, training ? "training mode is not supported" : "spatial=0 is not supported");
  }
  for (int i = 0; i < 5; i++) in[i] = onnx_in(node, i);
  return onnx_emit_out(node, 0, BRAID_OP_BATCH_NORMALIZATION, &attrs, in, 5, NULL);
}

enum braid_status onnx_convert_lrn(struct onnx_node *node) {
  union braid_attrs attrs = {.lrn = {.size = 0}};
  struct onnx_value *x = onnx_in(node, 0);
  int64_t size;
  BRAID_TRY(onnx_attr_f32(node, "alpha", 1e-4f, &attrs.lrn.alpha));
  BRAID_TRY(onnx_attr_f32(node, "beta", 0.75f, &attrs.lrn.beta));
  BRAID_TRY(onnx_attr_f32(node, "bias", 1.0f, &attrs.lrn.bias));
  BRAID_TRY(onnx_attr_i64(node, "size", 0, &size));
  BRAID_TRY(onnx_range("attribute 'size'", size, 1, ONNX_ATTR_MAX, &attrs.lrn.size));
  return onnx_emit_out(node, 0, BRAID_OP_LRN, &attrs, &x, 1, NULL);
}

static enum braid_status read_epsilon(struct onnx_node *node, union braid_attrs *attrs) {
  return onnx_attr_f32(node, "epsilon", 1e-5f, &attrs->norm.epsilon);
}

enum braid_status onnx_convert_instance_normalization(struct onnx_node *node) {
  union braid_attrs attrs = {.norm = {.epsilon = 0}};
  struct onnx_value *in[3] = {onnx_in(node, 0), onnx_in(node, 1), onnx_in(node, 2)};
  BRAID_TRY(read_epsilon(node, &attrs));
  if (in[0]->tensor.shape.rank < 2) return braid_fail(BRAID_ESHAPE, "the input has no channels");
  attrs.norm.groups = in[0]->tensor.shape.dim[1];
  return onnx_emit_out(node, 0, BRAID_OP_GROUP_NORMALIZATION, &attrs, in, 3, NULL);
}

/* [G] as [C]: every channel of a group gets its group's value. */
static enum braid_status spread(struct onnx_node *node, int groups, int channels, struct onnx_value **x) {
  struct braid_shape column = {2, {groups, 1}}, table = {2, {groups, channels / groups}}, flat = {1, {channels}};
  struct onnx_value *v;
  if (braid_shape_elements(&(*x)->tensor.shape) != groups) return BRAID_OK; /* by channel, or refused later */
  BRAID_TRY(onnx_reshape(node, *x, &column, &v));
  BRAID_TRY(onnx_emit(node, BRAID_OP_EXPAND, NULL, &v, 1, &table, NULL, &v));
  return onnx_reshape(node, v, &flat, x);
}

/* Opset 18 has scale and bias by group, 21 by channel. */
enum braid_status onnx_convert_group_normalization(struct onnx_node *node) {
  union braid_attrs attrs = {.norm = {.epsilon = 0}};
  struct onnx_value *in[3] = {onnx_in(node, 0), onnx_in(node, 1), onnx_in(node, 2)};
  const struct braid_shape *x = &in[0]->tensor.shape;
  int64_t groups;
  BRAID_TRY(read_epsilon(node, &attrs));
  BRAID_TRY(onnx_attr_i64(node, "num_groups", 0, &groups));
  if (x->rank < 2 || groups < 1 || groups > INT_MAX || x->dim[1] % groups != 0)
    return braid_fail(BRAID_EFORMAT, "the channels cannot be parted into groups");
  attrs.norm.groups = (int)groups;
  if (node->opset < 21)
    for (int k = 1; k < 3; k++) BRAID_TRY(spread(node, (int)groups, x->dim[1], &in[k]));
  return onnx_emit_out(node, 0, BRAID_OP_GROUP_NORMALIZATION, &attrs, in, 3, NULL);
}

/* ---------------------------------------------------------------------------- LayerNormalization, all of it */

static enum braid_status scalar(struct onnx_node *node, float v, struct onnx_value **out) {
  struct braid_shape shape = {0};
  BRAID_TRY(onnx_const_new(node, BRAID_F32, &shape, out));
  memcpy((*out)->tensor.data, &v, sizeof v);
  return BRAID_OK;
}

/* mean = ReduceMean(x), difference = x - mean, variance = ReduceMean(difference^2), over the given axes. */
struct moments {
  struct onnx_value *mean, *difference, *variance;
};

static enum braid_status emit_moments(struct onnx_node *node, struct onnx_value *x, const union braid_attrs *over,
                                      struct moments *m) {
  struct onnx_value *square;
  BRAID_TRY(onnx_emit(node, BRAID_OP_REDUCE_MEAN, over, &x, 1, NULL, NULL, &m->mean));
  struct onnx_value *sub[2] = {x, m->mean};
  BRAID_TRY(onnx_emit(node, BRAID_OP_SUB, NULL, sub, 2, NULL, NULL, &m->difference));
  struct onnx_value *mul[2] = {m->difference, m->difference};
  BRAID_TRY(onnx_emit(node, BRAID_OP_MUL, NULL, mul, 2, NULL, NULL, &square));
  return onnx_emit(node, BRAID_OP_REDUCE_MEAN, over, &square, 1, NULL, NULL, &m->variance);
}

/* The outputs beyond the first, for whoever wants them: the mean, and 1/sqrt(variance + epsilon). */
static enum braid_status emit_statistics(struct onnx_node *node, struct onnx_value *x, int axis, float epsilon) {
  union braid_attrs over = {.reduce = {.keepdims = true}};
  struct moments m;
  struct onnx_value *add[2], *v;
  if (!onnx_out_name(node, 1) && !onnx_out_name(node, 2)) return BRAID_OK;
  for (int i = axis; i < x->tensor.shape.rank; i++) over.reduce.axis[i] = true;
  BRAID_TRY(emit_moments(node, x, &over, &m));
  BRAID_TRY(onnx_reshape_out(node, 1, m.mean, &m.mean->tensor.shape));
  add[0] = m.variance;
  BRAID_TRY(scalar(node, epsilon, &add[1]));
  BRAID_TRY(onnx_emit(node, BRAID_OP_ADD, NULL, add, 2, NULL, NULL, &v));
  BRAID_TRY(onnx_emit(node, BRAID_OP_SQRT, NULL, &v, 1, NULL, NULL, &v));
  return onnx_emit_out(node, 2, BRAID_OP_RECIPROCAL, NULL, &v, 1, NULL);
}

enum braid_status onnx_convert_layer_normalization(struct onnx_node *node) {
  union braid_attrs attrs = {.norm = {.epsilon = 0}};
  struct onnx_value *in[3] = {onnx_in(node, 0), onnx_in(node, 1), onnx_in(node, 2)};
  int64_t axis;
  BRAID_TRY(read_epsilon(node, &attrs));
  BRAID_TRY(onnx_attr_i64(node, "axis", -1, &axis));
  BRAID_TRY(onnx_axis(axis, in[0]->tensor.shape.rank, &attrs.norm.axis));
  BRAID_TRY(onnx_emit_out(node, 0, BRAID_OP_LAYER_NORMALIZATION, &attrs, in, in[2] ? 3 : 2, NULL));
  return emit_statistics(node, in[0], attrs.norm.axis, attrs.norm.epsilon);
}

/* (x - mean) / (standard deviation + 1e-9), over axes 0, 2 and 3 unless said otherwise. */
enum braid_status onnx_convert_mean_variance_normalization(struct onnx_node *node) {
  static const int64_t usual[] = {0, 2, 3};
  union braid_attrs over = {.reduce = {.keepdims = true}};
  struct onnx_value *x = onnx_in(node, 0), *add[2], *div[2];
  struct moments m;
  const int64_t *axes;
  int n, axis;
  BRAID_TRY(onnx_attr_ints(node, "axes", &axes, &n));
  if (!axes) axes = usual, n = 3;
  for (int i = 0; i < n; i++) {
    BRAID_TRY(onnx_axis(axes[i], x->tensor.shape.rank, &axis));
    over.reduce.axis[axis] = true;
  }
  BRAID_TRY(emit_moments(node, x, &over, &m));
  BRAID_TRY(onnx_emit(node, BRAID_OP_SQRT, NULL, &m.variance, 1, NULL, NULL, &add[0]));
  BRAID_TRY(scalar(node, 1e-9f, &add[1]));
  div[0] = m.difference;
  BRAID_TRY(onnx_emit(node, BRAID_OP_ADD, NULL, add, 2, NULL, NULL, &div[1]));
  return onnx_emit_out(node, 0, BRAID_OP_DIV, NULL, div, 2, NULL);
}
