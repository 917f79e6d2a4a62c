/* SPDX-License-Identifier: Apache-2.0
 * Operators that cut parts out of a tensor or add a border: Slice, Split, Gather, Pad. */
#include "onnx_internal.h"

#include <inttypes.h>

/* -------------------------------------------------------------------------------------------------- Slice */

struct cut {
  union braid_attrs attrs;
  struct braid_shape shape; /* of the result */
};

static struct cut whole(const struct braid_shape *shape) {
  struct cut cut = {.shape = *shape};
  for (int i = 0; i < BRAID_MAX_RANK; i++) cut.attrs.slice.step[i] = 1;
  return cut;
}

static int64_t clamp(int64_t v, int64_t low, int64_t high) {
  return v < low ? low : v > high ? high : v;
}

/* Negative positions count from the end; both ends are clamped to the axis (to one before it when going back). */
static enum braid_status cut_axis(struct cut *cut, int axis, int64_t start, int64_t end, int64_t step) {
  int64_t dim = cut->shape.dim[axis], n;
  if (step == 0) return braid_fail(BRAID_EFORMAT, "the step of axis %d is 0", axis);
  step = clamp(step, -INT_MAX, INT_MAX);
  start = start < 0 ? start + dim : start; /* start >= INT64_MIN and dim >= 0: no overflow */
  end = end < 0 ? end + dim : end;
  start = clamp(start, 0, step > 0 ? dim : dim - 1);
  end = step > 0 ? clamp(end, 0, dim) : clamp(end, -1, dim - 1);
  n = step > 0 ? (end - start + step - 1) / step : (start - end - step - 1) / -step;
  if (n <= 0) n = start = 0;
  if (n <= 1) step = 1; /* one canonical way to say it */
  cut->attrs.slice.start[axis] = (int)start;
  cut->attrs.slice.step[axis] = (int)step;
  cut->shape.dim[axis] = (int)n;
  return BRAID_OK;
}

static enum braid_status emit_cut(struct onnx_node *node, int k, struct onnx_value *x, const struct cut *cut) {
  return onnx_emit_out(node, k, BRAID_OP_SLICE, &cut->attrs, &x, 1, &cut->shape);
}

static enum braid_status read_slice(struct onnx_node *node, const struct braid_shape *shape, struct cut *cut) {
  int64_t start[BRAID_MAX_RANK], end[BRAID_MAX_RANK], axes[BRAID_MAX_RANK], step[BRAID_MAX_RANK];
  int n, n_end, n_axes, n_step = -1, axis;
  bool seen[BRAID_MAX_RANK] = {false};
  BRAID_TRY(onnx_list(node, "starts", 1, 10, start, BRAID_MAX_RANK, &n));
  BRAID_TRY(onnx_list(node, "ends", 2, 10, end, BRAID_MAX_RANK, &n_end));
  BRAID_TRY(onnx_list(node, "axes", 3, 10, axes, BRAID_MAX_RANK, &n_axes));
  if (node->opset >= 10) BRAID_TRY(onnx_in_ints(node, 4, step, BRAID_MAX_RANK, &n_step));
  if (n < 0 || n_end != n || (n_axes >= 0 && n_axes != n) || (n_step >= 0 && n_step != n) || n > shape->rank) {
    return braid_fail(BRAID_EFORMAT, "starts, ends, axes and steps do not fit together");
  }
  for (int i = 0; i < n; i++) {
    BRAID_TRY(onnx_axis(n_axes < 0 ? i : axes[i], shape->rank, &axis));
    if (seen[axis]) return braid_fail(BRAID_EFORMAT, "axis %d is listed twice", axis);
    seen[axis] = true;
    BRAID_TRY(cut_axis(cut, axis, start[i], end[i], n_step < 0 ? 1 : step[i]));
  }
  return BRAID_OK;
}

enum braid_status onnx_convert_slice(struct onnx_node *node) {
  struct onnx_value *x = onnx_in(node, 0);
  struct cut cut = whole(&x->tensor.shape);
  BRAID_TRY(read_slice(node, &x->tensor.shape, &cut));
  return emit_cut(node, 0, x, &cut);
}

/* -------------------------------------------------------------------------------------------------- Split */

/* One SLICE an output. Sizes are given (attribute before opset 13), or all the same but for the last, which is smaller
 * where they do not divide the axis (from opset 18 on, where the number of outputs is said). */
static enum braid_status split(struct onnx_node *node, struct onnx_value *x, int axis, const int64_t *sizes,
                               int n_out) {
  int dim = x->tensor.shape.dim[axis];
  int64_t at = 0;
  int part = (int)(((int64_t)dim + n_out - 1) / n_out);
  if (!sizes && dim % n_out != 0 && (node->opset < 18 || (int64_t)part * (n_out - 1) > dim))
    return braid_fail(BRAID_ESHAPE, "axis %d (%d) has no %d equal parts", axis, dim, n_out);
  for (int k = 0; k < n_out; k++) {
    int64_t size = sizes ? sizes[k] : k < n_out - 1 ? part : dim - at;
    if (size < 0 || size > dim - at)
      return braid_fail(BRAID_ESHAPE, "the parts do not add up to axis %d (%d)", axis, dim);
    struct cut cut = whole(&x->tensor.shape);
    BRAID_TRY(cut_axis(&cut, axis, at, at + size, 1));
    BRAID_TRY(emit_cut(node, k, x, &cut));
    at += size;
  }
  if (at != dim) return braid_fail(BRAID_ESHAPE, "the parts do not add up to axis %d (%d)", axis, dim);
  return BRAID_OK;
}

enum braid_status onnx_convert_split(struct onnx_node *node) {
  struct onnx_value *x = onnx_in(node, 0);
  int n_out = (int)(node->proto->n_output < INT_MAX ? node->proto->n_output : INT_MAX), axis, n;
  int64_t v;
  BRAID_TRY(onnx_attr_i64(node, "axis", 0, &v));
  BRAID_TRY(onnx_axis(v, x->tensor.shape.rank, &axis));
  int64_t *sizes = braid_calloc((size_t)n_out, sizeof *sizes);
  if (!sizes) return braid_fail(BRAID_ENOMEM, "out of memory");
  enum braid_status status = onnx_list(node, "split", 1, 13, sizes, n_out, &n);
  if (status == BRAID_OK && n >= 0 && n != n_out) {
    status = braid_fail(BRAID_EFORMAT, "%d sizes for %d outputs", n, n_out);
  }
  if (status == BRAID_OK) status = split(node, x, axis, n < 0 ? NULL : sizes, n_out);
  braid_free(sizes);
  return status;
}

/* ------------------------------------------------------------------------------------------------- Gather */

enum braid_status onnx_convert_gather(struct onnx_node *node) {
  union braid_attrs attrs = {.axis = {0, 0}};
  struct onnx_value *in[2] = {onnx_in(node, 0), onnx_in(node, 1)};
  int64_t axis;
  BRAID_TRY(onnx_attr_i64(node, "axis", 0, &axis));
  BRAID_TRY(onnx_axis(axis, in[0]->tensor.shape.rank, &attrs.axis.axis));
  return onnx_emit_out(node, 0, BRAID_OP_GATHER, &attrs, in, 2, NULL);
}

/* ---------------------------------------------------------------------------------------------------- Pad */

static const char *const pad_modes[] = {"constant", "reflect", "edge", "wrap", NULL}; /* as enum braid_pad_mode */

static enum braid_status pad_value(struct onnx_node *node, double *value) {
  float attr;
  int n;
  if (node->opset >= 11) return onnx_in_floats(node, 2, value, 1, &n);
  BRAID_TRY(onnx_attr_f32(node, "value", 0, &attr));
  *value = (double)attr;
  return BRAID_OK;
}

/* Negative pads take rows away: that part is a slice, before the rest is padded. */
static enum braid_status crop(struct onnx_node *node, const int64_t *pads, struct onnx_value **x) {
  struct cut cut = whole(&(*x)->tensor.shape);
  int rank = cut.shape.rank;
  bool any = false;
  for (int i = 0; i < rank; i++) {
    int64_t before = pads[i] < 0 ? -pads[i] : 0, after = pads[rank + i] < 0 ? -pads[rank + i] : 0;
    if (before + after == 0) continue;
    int64_t dim = cut.shape.dim[i];
    if (before + after >= dim)
      return braid_fail(BRAID_ESHAPE, "negative pads leave nothing of axis %d (%" PRId64 ")", i, dim);
    BRAID_TRY(cut_axis(&cut, i, before, dim - after, 1));
    any = true;
  }
  if (!any) return BRAID_OK;
  struct onnx_value *in = *x;
  return onnx_emit(node, BRAID_OP_SLICE, &cut.attrs, &in, 1, &cut.shape, NULL, x);
}

/* Opset 18: the pads may be of some axes only. `pads` becomes one pair a dim. */
static enum braid_status spread_pads(struct onnx_node *node, int rank, int64_t *pads, int n) {
  int64_t axes[BRAID_MAX_RANK], all[2 * BRAID_MAX_RANK] = {0};
  bool seen[BRAID_MAX_RANK] = {false};
  int n_axes = -1, axis;
  if (node->opset >= 18) BRAID_TRY(onnx_in_ints(node, 3, axes, BRAID_MAX_RANK, &n_axes));
  if (n != 2 * (n_axes < 0 ? rank : n_axes))
    return braid_fail(BRAID_EFORMAT, "%d pads for %d dims", n, n_axes < 0 ? rank : n_axes);
  for (int i = 0; i < n / 2; i++) {
    BRAID_TRY(onnx_axis(n_axes < 0 ? i : axes[i], rank, &axis));
    if (seen[axis]) return braid_fail(BRAID_EFORMAT, "axis %d is listed twice", axis);
    seen[axis] = true;
    all[axis] = pads[i];
    all[rank + axis] = pads[n / 2 + i];
  }
  for (int i = 0; i < 2 * rank; i++) pads[i] = all[i];
  return BRAID_OK;
}

enum braid_status onnx_convert_pad(struct onnx_node *node) {
  union braid_attrs attrs = {.pad = {.value = 0}};
  struct onnx_value *x = onnx_in(node, 0);
  int64_t pads[2 * BRAID_MAX_RANK];
  int rank = x->tensor.shape.rank, n, mode, checked;
  BRAID_TRY(onnx_list(node, "pads", 1, 11, pads, 2 * BRAID_MAX_RANK, &n));
  if (n < 0) return braid_fail(BRAID_EFORMAT, "the pads are missing");
  BRAID_TRY(spread_pads(node, rank, pads, n));
  BRAID_TRY(onnx_attr_choice(node, "mode", pad_modes, BRAID_PAD_CONSTANT, &mode));
  BRAID_TRY(pad_value(node, &attrs.pad.value));
  attrs.pad.mode = (enum braid_pad_mode)mode;
  for (int i = 0; i < 2 * rank; i++) {
    BRAID_TRY(onnx_range("a pad", pads[i], -INT_MAX, INT_MAX, &checked));
    (i < rank ? attrs.pad.before : attrs.pad.after)[i % rank] = checked > 0 ? checked : 0;
  }
  BRAID_TRY(crop(node, pads, &x));
  return onnx_emit_out(node, 0, BRAID_OP_PAD, &attrs, &x, 1, NULL);
}
