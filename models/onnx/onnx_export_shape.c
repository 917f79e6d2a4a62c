/* SPDX-License-Identifier: Apache-2.0
 * Export of what moves elements: other shapes, parts, joins, other types, other sizes; and of softmax, which may need
 * another shape. */
#include "onnx_export.h"

#include <math.h>

static const char *put_shape(struct onnx_writer *w, const char *base, const char *what,
                             const struct braid_shape *shape) {
  int64_t dims[BRAID_MAX_RANK];
  for (int i = 0; i < shape->rank; i++) dims[i] = shape->dim[i];
  return onnx_put_i64s(w, base, what, dims, shape->rank);
}

void onnx_export_shaped(struct onnx_writer *w, const struct braid_node *node, const char *out) {
  const char *in[2] = {onnx_operand_name(w, node->in[0]), put_shape(w, node->name, "shape", &node->shape)};
  onnx_put(w, braid_op_name(node->op), in, 2, out);
}

/* Opset 13 normalises one axis: several are made one by a Reshape before and undone after. */
void onnx_export_softmax(struct onnx_writer *w, const struct braid_node *node, const char *out) {
  int begin = node->attrs.axis.axis, end = node->attrs.axis.axis_end;
  if (end == begin + 1) {
    onnx_put_int(w, onnx_plain(w, node, out), "axis", begin);
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
void onnx_export_slice(struct onnx_writer *w, const struct braid_node *node, const char *out) {
  int64_t start[BRAID_MAX_RANK], end[BRAID_MAX_RANK], axis[BRAID_MAX_RANK], step[BRAID_MAX_RANK];
  struct braid_shape in = onnx_operand_tensor(w, node, 0).shape;
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

void onnx_export_pad(struct onnx_writer *w, const struct braid_node *node, const char *out) {
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

void onnx_export_resize(struct onnx_writer *w, const struct braid_node *node, const char *out) {
  static const char *const modes[] = {"nearest", "linear", "cubic"};
  static const char *const coords[] = {"half_pixel", "pytorch_half_pixel",   "align_corners",
                                       "asymmetric", "tf_half_pixel_for_nn", "tf_crop_and_resize",
                                       "half_pixel_symmetric"};
  static const char *const nearests[] = {"round_prefer_floor", "round_prefer_ceil", "floor", "ceil"};
  const struct braid_resize_attrs *a = &node->attrs.resize;
  struct braid_shape in = onnx_operand_tensor(w, node, 0).shape;
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

void onnx_export_axis(struct onnx_writer *w, const struct braid_node *node, const char *out) {
  onnx_put_int(w, onnx_plain(w, node, out), "axis", node->attrs.axis.axis);
}

void onnx_export_transpose(struct onnx_writer *w, const struct braid_node *node, const char *out) {
  onnx_put_ints(w, onnx_plain(w, node, out), "perm", node->attrs.transpose.perm, node->shape.rank);
}

void onnx_export_cast(struct onnx_writer *w, const struct braid_node *node, const char *out) {
  onnx_put_int(w, onnx_plain(w, node, out), "to", onnx_data_type(node->attrs.cast.to));
}
