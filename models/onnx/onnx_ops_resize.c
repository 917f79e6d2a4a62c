/* SPDX-License-Identifier: Apache-2.0
 *
 * Resize and its older self, Upsample. What an opset leaves unsaid is made explicit here: up to opset 10 coordinates
 * are asymmetric (x / scale) and "nearest" cuts off when enlarging and rounds up when shrinking (as ONNX Runtime does);
 * from 11 on the attributes say it, with half_pixel and round_prefer_floor as defaults.
 */
#include "onnx_internal.h"

#include <math.h>

static const char *const modes[] = {"nearest", "linear", "cubic", NULL}; /* as enum braid_resize_mode */
static const char *const coords[] = {"half_pixel", "pytorch_half_pixel",   "align_corners",
                                     "asymmetric", "tf_half_pixel_for_nn", "tf_crop_and_resize",
                                     NULL};
static const char *const nearests[] = {"round_prefer_floor", "round_prefer_ceil", "floor", "ceil", NULL};

/* floor(in * scale), a hair above it so that 3 * (float)(2.0 / 3) is 2. */
static enum braid_status scaled_dim(const struct braid_resize_attrs *a, int i, int in, int *out) {
  double scale = (double)a->scale[i], extent = in * scale;
  if (!(scale > 0) || !isfinite(scale)) return braid_fail(BRAID_EFORMAT, "the scale of axis %d is %g", i, scale);
  if (a->coord == BRAID_COORD_TF_CROP_AND_RESIZE) extent *= (double)a->roi[8 + i] - (double)a->roi[i];
  if (!(extent >= 0 && extent < (double)INT_MAX)) return braid_fail(BRAID_ESHAPE, "axis %d becomes %g long", i, extent);
  *out = (int)floor(extent + 1e-6 * extent * 0.5);
  return BRAID_OK;
}

static enum braid_status set_scales(struct braid_resize_attrs *a, const struct braid_shape *in, const double *scale,
                                    int n, struct braid_shape *out) {
  if (n <= 0) return braid_fail(BRAID_EFORMAT, "neither scales nor sizes are given");
  if (n != in->rank) return braid_fail(BRAID_EFORMAT, "%d scales for %d dims", n, in->rank);
  *out = *in;
  for (int i = 0; i < n; i++) {
    a->scale[i] = (float)scale[i];
    BRAID_TRY(scaled_dim(a, i, in->dim[i], &out->dim[i]));
  }
  return BRAID_OK;
}

static enum braid_status set_sizes(struct braid_resize_attrs *a, const struct braid_shape *in, const int64_t *size,
                                   int n, struct braid_shape *out) {
  if (n != in->rank) return braid_fail(BRAID_EFORMAT, "%d sizes for %d dims", n, in->rank);
  *out = *in;
  for (int i = 0; i < n; i++) {
    BRAID_TRY(onnx_range("a size", size[i], 1, INT_MAX, &out->dim[i]));
    a->scale[i] = (float)out->dim[i] / (float)in->dim[i];
  }
  return BRAID_OK;
}

static void legacy(struct braid_resize_attrs *a, int rank) {
  bool shrinks = false;
  for (int i = 0; i < rank; i++) shrinks = shrinks || a->scale[i] < 1;
  a->coord = BRAID_COORD_ASYMMETRIC;
  a->nearest = shrinks ? BRAID_NEAREST_CEIL : BRAID_NEAREST_FLOOR;
}

static enum braid_status read_roi(struct onnx_node *node, struct braid_resize_attrs *a, int rank) {
  double roi[2 * BRAID_MAX_RANK];
  int n;
  if (a->coord != BRAID_COORD_TF_CROP_AND_RESIZE) return BRAID_OK;
  BRAID_TRY(onnx_in_floats(node, 1, roi, 2 * BRAID_MAX_RANK, &n));
  if (n != 2 * rank) return braid_fail(BRAID_EFORMAT, "the region has %d numbers, expected %d", n, 2 * rank);
  for (int i = 0; i < rank; i++) {
    a->roi[i] = (float)roi[i];
    a->roi[BRAID_MAX_RANK + i] = (float)roi[rank + i];
  }
  return BRAID_OK;
}

static enum braid_status read_attrs(struct onnx_node *node, struct braid_resize_attrs *a) {
  int mode, coord, nearest;
  BRAID_TRY(onnx_attr_choice(node, "mode", modes, BRAID_RESIZE_NEAREST, &mode));
  BRAID_TRY(onnx_attr_choice(node, "coordinate_transformation_mode", coords, BRAID_COORD_HALF_PIXEL, &coord));
  BRAID_TRY(onnx_attr_choice(node, "nearest_mode", nearests, BRAID_NEAREST_ROUND_PREFER_FLOOR, &nearest));
  BRAID_TRY(onnx_attr_f32(node, "cubic_coeff_a", -0.75f, &a->cubic_a));
  BRAID_TRY(onnx_attr_f32(node, "extrapolation_value", 0, &a->extrapolation));
  BRAID_TRY(onnx_attr_bool(node, "exclude_outside", false, &a->exclude_outside));
  a->mode = (enum braid_resize_mode)mode;
  a->coord = (enum braid_resize_coord)coord;
  a->nearest = (enum braid_resize_nearest)nearest;
  return BRAID_OK;
}

enum braid_status onnx_convert_resize(struct onnx_node *node) {
  union braid_attrs attrs = {.resize = {.cubic_a = -0.75f}};
  struct onnx_value *x = onnx_in(node, 0);
  struct braid_shape in = x->tensor.shape, out;
  double scale[BRAID_MAX_RANK];
  int64_t size[BRAID_MAX_RANK];
  int n_scale, n_size = -1;
  bool old = node->opset < 11;
  BRAID_TRY(read_attrs(node, &attrs.resize));
  if (!old) BRAID_TRY(read_roi(node, &attrs.resize, in.rank));
  BRAID_TRY(onnx_in_floats(node, old ? 1 : 2, scale, BRAID_MAX_RANK, &n_scale));
  if (!old) BRAID_TRY(onnx_in_ints(node, 3, size, BRAID_MAX_RANK, &n_size));
  if (n_size > 0 && n_scale <= 0) { /* an empty list of scales means "none" */
    BRAID_TRY(set_sizes(&attrs.resize, &in, size, n_size, &out));
  } else {
    BRAID_TRY(set_scales(&attrs.resize, &in, scale, n_scale, &out));
  }
  if (old) legacy(&attrs.resize, in.rank);
  return onnx_emit_out(node, 0, BRAID_OP_RESIZE, &attrs, &x, 1, &out);
}

/* Opset 7: scales are an attribute; 9: an operand. */
enum braid_status onnx_convert_upsample(struct onnx_node *node) {
  union braid_attrs attrs = {.resize = {.cubic_a = -0.75f}};
  struct onnx_value *x = onnx_in(node, 0);
  struct braid_shape in = x->tensor.shape, out;
  double scale[BRAID_MAX_RANK];
  const float *list;
  int n;
  BRAID_TRY(read_attrs(node, &attrs.resize));
  if (node->opset >= 9) {
    BRAID_TRY(onnx_in_floats(node, 1, scale, BRAID_MAX_RANK, &n));
  } else {
    BRAID_TRY(onnx_attr_floats(node, "scales", &list, &n));
    for (int i = 0; i < n && i < BRAID_MAX_RANK; i++) scale[i] = (double)list[i];
  }
  attrs.resize.coord = BRAID_COORD_ASYMMETRIC;
  BRAID_TRY(set_scales(&attrs.resize, &in, scale, n, &out));
  legacy(&attrs.resize, in.rank);
  return onnx_emit_out(node, 0, BRAID_OP_RESIZE, &attrs, &x, 1, &out);
}
