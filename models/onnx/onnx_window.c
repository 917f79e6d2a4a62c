/* SPDX-License-Identifier: Apache-2.0
 * Reading windows: see onnx_window.h. */
#include "onnx_window.h"

#include <stddef.h>

static const char *const auto_pads[] = {"NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER", NULL};

const struct window_axis onnx_no_axis = {.kernel = 1, .stride = 1, .dilation = 1, .in = 1};

enum braid_status onnx_window_list(struct onnx_node *node, const char *name, int low, struct window *w,
                                   size_t offset_of_int, bool *given) {
  const int64_t *list;
  int n;
  BRAID_TRY(onnx_attr_ints(node, name, &list, &n));
  *given = list != NULL;
  if (!list) return BRAID_OK;
  if (n != w->spatial)
    return braid_fail(BRAID_ESHAPE, "attribute '%s' has %d numbers, expected %d", name, n, w->spatial);
  for (int i = 0; i < n; i++) {
    int *v = (int *)(void *)((char *)&w->axis[i] + offset_of_int);
    BRAID_TRY(onnx_range(name, list[i], low, ONNX_ATTR_MAX, v));
  }
  return BRAID_OK;
}

static enum braid_status read_pads(struct onnx_node *node, struct window *w) {
  const int64_t *list;
  int n;
  BRAID_TRY(onnx_attr_choice(node, "auto_pad", auto_pads, PAD_NOTSET, &w->auto_pad));
  BRAID_TRY(onnx_attr_ints(node, "pads", &list, &n));
  if (!list || w->auto_pad != PAD_NOTSET) return BRAID_OK;
  if (n != 2 * w->spatial) return braid_fail(BRAID_ESHAPE, "'pads' has %d numbers, expected %d", n, 2 * w->spatial);
  for (int i = 0; i < w->spatial; i++) {
    BRAID_TRY(onnx_range("pads", list[i], 0, ONNX_ATTR_MAX, &w->axis[i].before));
    BRAID_TRY(onnx_range("pads", list[w->spatial + i], 0, ONNX_ATTR_MAX, &w->axis[i].after));
  }
  return BRAID_OK;
}

enum braid_status onnx_window_read(struct onnx_node *node, struct window *w) {
  const struct braid_shape *x = &onnx_in(node, 0)->tensor.shape;
  bool given;
  if (x->rank < 3) return braid_fail(BRAID_ESHAPE, "an input with %d dims has no spatial ones", x->rank);
  *w = (struct window){.spatial = x->rank - 2};
  for (int i = 0; i < w->spatial; i++) {
    w->axis[i] = onnx_no_axis;
    w->axis[i].in = x->dim[2 + i];
  }
  BRAID_TRY(onnx_window_list(node, "kernel_shape", 1, w, offsetof(struct window_axis, kernel), &w->has_kernel));
  BRAID_TRY(onnx_window_list(node, "strides", 1, w, offsetof(struct window_axis, stride), &given));
  BRAID_TRY(onnx_window_list(node, "dilations", 1, w, offsetof(struct window_axis, dilation), &given));
  return read_pads(node, w);
}

int64_t onnx_window_extent(const struct window_axis *a) {
  return (int64_t)(a->kernel - 1) * a->dilation + 1;
}

enum braid_status onnx_window_share(struct window_axis *a, int64_t total, bool more_after) {
  int64_t less = total / 2, more = total - less;
  BRAID_TRY(onnx_range("padding", more_after ? less : more, 0, ONNX_ATTR_MAX, &a->before));
  return onnx_range("padding", more_after ? more : less, 0, ONNX_ATTR_MAX, &a->after);
}

enum braid_status onnx_window_same(struct window *w) {
  if (w->auto_pad != PAD_SAME_UPPER && w->auto_pad != PAD_SAME_LOWER) return BRAID_OK;
  for (int i = 0; i < w->spatial; i++) {
    struct window_axis *a = &w->axis[i];
    int64_t out = ((int64_t)a->in + a->stride - 1) / a->stride;
    int64_t total = (out - 1) * a->stride + onnx_window_extent(a) - a->in;
    BRAID_TRY(onnx_window_share(a, total > 0 ? total : 0, w->auto_pad == PAD_SAME_UPPER));
  }
  return BRAID_OK;
}

void onnx_conv_attrs(const struct window_axis *h, const struct window_axis *w, int group,
                     struct braid_conv_attrs *out) {
  *out = (struct braid_conv_attrs){.kernel = {h->kernel, w->kernel},
                                   .stride = {h->stride, w->stride},
                                   .dilation = {h->dilation, w->dilation},
                                   .pad = {h->before, w->before, h->after, w->after},
                                   .group = group,
                                   .output_pad = {h->output_pad, w->output_pad}};
}

void onnx_pool_attrs(const struct window_axis *h, const struct window_axis *w, struct braid_pool_attrs *out) {
  *out = (struct braid_pool_attrs){.kernel = {h->kernel, w->kernel},
                                   .stride = {h->stride, w->stride},
                                   .dilation = {h->dilation, w->dilation},
                                   .pad = {h->before, w->before, h->after, w->after}};
}

enum braid_status onnx_lift(struct onnx_node *node, struct onnx_value *x, struct onnx_value **out) {
  const struct braid_shape *s = &x->tensor.shape;
  *out = x;
  if (s->rank != 3) return BRAID_OK;
  struct braid_shape flat = {4, {s->dim[0], s->dim[1], 1, s->dim[2]}};
  return onnx_reshape(node, x, &flat, out);
}
