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
                                     "half_pixel_symmetric", NULL};
static const char *const nearests[] = {"round_prefer_floor", "round_prefer_ceil", "floor", "ceil", NULL};

/* From opset 18 on the lists of numbers may be of some axes only; the others stay as they are. */
struct axes {
  int n, axis[BRAID_MAX_RANK];
};

static enum braid_status read_axes(struct onnx_node *node, int rank, struct axes *axes) {
  const int64_t *list;
  bool seen[BRAID_MAX_RANK] = {false};
  BRAID_TRY(onnx_attr_ints(node, "axes", &list, &axes->n));
  if (axes->n > rank) return braid_fail(BRAID_EFORMAT, "%d axes of a tensor with %d dims", axes->n, rank);
  for (int i = 0; i < axes->n; i++) {
    BRAID_TRY(onnx_axis(list[i], rank, &axes->axis[i]));
    if (seen[axes->axis[i]]) return braid_fail(BRAID_EFORMAT, "axis %d is listed twice", axes->axis[i]);
    seen[axes->axis[i]] = true;
  }
  if (list) return BRAID_OK;
  for (axes->n = 0; axes->n < rank; axes->n++) axes->axis[axes->n] = axes->n;
  return BRAID_OK;
}

/* floor(in * scale), a hair above it so that 3 * (float)(2.0 / 3) is 2. */
static enum braid_status scaled_dim(const struct braid_resize_attrs *a, int i, int rank, int in, int *out) {
  double scale = (double)a->scale[i], extent = in * scale;
  if (!(scale > 0) || !isfinite(scale)) return braid_fail(BRAID_EFORMAT, "the scale of axis %d is %g", i, scale);
  if (a->coord == BRAID_COORD_TF_CROP_AND_RESIZE) extent *= (double)a->roi[rank + i] - (double)a->roi[i];
  if (!(extent >= 0 && extent < (double)INT_MAX)) return braid_fail(BRAID_ESHAPE, "axis %d becomes %g long", i, extent);
  *out = (int)floor(extent + 1e-6 * extent * 0.5);
  return BRAID_OK;
}

static void keep_scales(struct braid_resize_attrs *a, const struct braid_shape *in, struct braid_shape *out) {
  *out = *in;
  for (int i = 0; i < in->rank; i++) a->scale[i] = 1.0f;
}

static enum braid_status set_scales(struct braid_resize_attrs *a, const struct braid_shape *in, const struct axes *axes,
                                    const double *scale, int n, struct braid_shape *out) {
  if (n <= 0) return braid_fail(BRAID_EFORMAT, "neither scales nor sizes are given");
  if (n != axes->n) return braid_fail(BRAID_EFORMAT, "%d scales for %d dims", n, axes->n);
  keep_scales(a, in, out);
  for (int k = 0; k < n; k++) {
    int i = axes->axis[k];
    a->scale[i] = (float)scale[k];
    BRAID_TRY(scaled_dim(a, i, in->rank, in->dim[i], &out->dim[i]));
  }
  return BRAID_OK;
}

enum policy { POLICY_STRETCH, POLICY_NOT_LARGER, POLICY_NOT_SMALLER };
static const char *const policies[] = {"stretch", "not_larger", "not_smaller", NULL};

/* One scale for all axes, the smallest or largest of those that the sizes ask for; sizes follow, rounded. */
static enum braid_status keep_aspect(struct braid_resize_attrs *a, const struct braid_shape *in,
                                     const struct axes *axes, enum policy policy, struct braid_shape *out) {
  float chosen = 0;
  for (int k = 0; k < axes->n; k++) {
    float scale = a->scale[axes->axis[k]];
    if (k == 0 || (policy == POLICY_NOT_LARGER ? scale < chosen : scale > chosen)) chosen = scale;
  }
  for (int k = 0; k < axes->n; k++) {
    int i = axes->axis[k];
    double extent = round((double)chosen * in->dim[i]);
    if (!(extent < (double)INT_MAX)) return braid_fail(BRAID_ESHAPE, "axis %d becomes %g long", i, extent);
    a->scale[i] = chosen;
    out->dim[i] = (int)extent;
  }
  return BRAID_OK;
}

static enum braid_status set_sizes(struct onnx_node *node, struct braid_resize_attrs *a, const struct braid_shape *in,
                                   const struct axes *axes, const int64_t *size, int n, struct braid_shape *out) {
  int policy;
  if (n != axes->n) return braid_fail(BRAID_EFORMAT, "%d sizes for %d dims", n, axes->n);
  BRAID_TRY(onnx_attr_choice(node, "keep_aspect_ratio_policy", policies, POLICY_STRETCH, &policy));
  keep_scales(a, in, out);
  for (int k = 0; k < n; k++) {
    int i = axes->axis[k];
    BRAID_TRY(onnx_range("a size", size[k], 1, INT_MAX, &out->dim[i]));
    a->scale[i] = (float)out->dim[i] / (float)in->dim[i];
  }
  return policy == POLICY_STRETCH ? BRAID_OK : keep_aspect(a, in, axes, (enum policy)policy, out);
}

static void legacy(struct braid_resize_attrs *a, int rank) {
  bool shrinks = false;
  for (int i = 0; i < rank; i++) shrinks = shrinks || a->scale[i] < 1;
  a->coord = BRAID_COORD_ASYMMETRIC;
  a->nearest = shrinks ? BRAID_NEAREST_CEIL : BRAID_NEAREST_FLOOR;
}

static enum braid_status read_roi(struct onnx_node *node, struct braid_resize_attrs *a, const struct axes *axes,
                                  int rank) {
  double roi[2 * BRAID_MAX_RANK];
  int n;
  if (a->coord != BRAID_COORD_TF_CROP_AND_RESIZE) return BRAID_OK;
  BRAID_TRY(onnx_in_floats(node, 1, roi, 2 * BRAID_MAX_RANK, &n));
  if (n != 2 * axes->n) return braid_fail(BRAID_EFORMAT, "the region has %d numbers, expected %d", n, 2 * axes->n);
  for (int i = 0; i < rank; i++) a->roi[rank + i] = 1.0f; /* of other axes: all */
  for (int k = 0; k < axes->n; k++) {
    a->roi[axes->axis[k]] = (float)roi[k];
    a->roi[rank + axes->axis[k]] = (float)roi[axes->n + k];
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
  BRAID_TRY(onnx_attr_bool(node, "antialias", false, &a->antialias));
  a->antialias = a->antialias && mode != BRAID_RESIZE_NEAREST;
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
  struct axes axes;
  BRAID_TRY(read_attrs(node, &attrs.resize));
  BRAID_TRY(read_axes(node, in.rank, &axes));
  if (!old) BRAID_TRY(read_roi(node, &attrs.resize, &axes, in.rank));
  BRAID_TRY(onnx_in_floats(node, old ? 1 : 2, scale, BRAID_MAX_RANK, &n_scale));
  if (!old) BRAID_TRY(onnx_in_ints(node, 3, size, BRAID_MAX_RANK, &n_size));
  if (n_size > 0 && n_scale <= 0) { /* an empty list of scales means "none" */
    BRAID_TRY(set_sizes(node, &attrs.resize, &in, &axes, size, n_size, &out));
  } else {
    BRAID_TRY(set_scales(&attrs.resize, &in, &axes, scale, n_scale, &out));
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
  struct axes axes;
  int n;
  BRAID_TRY(read_attrs(node, &attrs.resize));
  if (node->opset >= 9) {
    BRAID_TRY(onnx_in_floats(node, 1, scale, BRAID_MAX_RANK, &n));
  } else {
    BRAID_TRY(onnx_attr_floats(node, "scales", &list, &n));
    for (int i = 0; i < n && i < BRAID_MAX_RANK; i++) scale[i] = (double)list[i];
  }
  attrs.resize.coord = BRAID_COORD_ASYMMETRIC;
  BRAID_TRY(read_axes(node, in.rank, &axes));
  BRAID_TRY(set_scales(&attrs.resize, &in, &axes, scale, n, &out));
  legacy(&attrs.resize, in.rank);
  return onnx_emit_out(node, 0, BRAID_OP_RESIZE, &attrs, &x, 1, &out);
}
