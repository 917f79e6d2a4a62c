/* SPDX-License-Identifier: Apache-2.0
 *
 * Operators whose output's shape depends on values: NonZero, Compress, NonMaxSuppression. All shapes are known when a
 * network is loaded here, so these are for constants only; with other operands they are refused by name. */
#include "onnx_internal.h"

#include <math.h>
#include <stdlib.h>

static enum braid_status must_be_known(struct onnx_node *node, int k, const char *what) {
  const struct onnx_value *value = onnx_in(node, k);
  if (!value || value->constant) return BRAID_OK;
  return braid_fail(BRAID_EUNSUPPORTED, "%s must be constant: the shape of the output depends on it", what);
}

/* The value of constant k as bools. */
static enum braid_status truth_of(struct onnx_node *node, int k, const struct braid_tensor **out) {
  struct onnx_value *value = onnx_in(node, k);
  BRAID_TRY(must_be_known(node, k, "the operand"));
  BRAID_TRY(onnx_cast_to(node, BRAID_BOOL, &value));
  *out = &value->tensor;
  return BRAID_OK;
}

static int64_t count_true(const struct braid_tensor *t, int64_t n) {
  int64_t count = 0;
  for (int64_t i = 0; i < n; i++) count += ((const uint8_t *)t->data)[i];
  return count;
}

/* One row of coordinates a dim, [rank, count]. */
enum braid_status onnx_convert_non_zero(struct onnx_node *node) {
  const struct braid_tensor *t;
  struct onnx_value *value;
  BRAID_TRY(truth_of(node, 0, &t));
  int64_t n = braid_shape_elements(&t->shape), count = count_true(t, n), found = 0;
  struct braid_shape shape = {2, {t->shape.rank, (int)count}};
  BRAID_TRY(onnx_const_new(node, BRAID_I64, &shape, &value));
  for (int64_t i = 0; i < n; i++) {
    if (!((const uint8_t *)t->data)[i]) continue;
    int64_t rest = i;
    for (int d = t->shape.rank - 1; d >= 0; d--) {
      ((int64_t *)value->tensor.data)[d * count + found] = rest % t->shape.dim[d];
      rest /= t->shape.dim[d];
    }
    found++;
  }
  return onnx_const_out(node, 0, &value->tensor);
}

/* Gather of the positions where the condition holds; without an axis of the flattened tensor. */
enum braid_status onnx_convert_compress(struct onnx_node *node) {
  union braid_attrs attrs = {.axis = {0, 0}};
  struct onnx_value *in[2] = {onnx_in(node, 0), NULL};
  const struct braid_tensor *t;
  int64_t axis;
  BRAID_TRY(truth_of(node, 1, &t));
  if (onnx_attr(node, "axis")) {
    BRAID_TRY(onnx_attr_i64(node, "axis", 0, &axis));
    BRAID_TRY(onnx_axis(axis, in[0]->tensor.shape.rank, &attrs.axis.axis));
  } else {
    struct braid_shape flat = {1, {0}};
    BRAID_TRY(onnx_dim("the input", braid_shape_elements(&in[0]->tensor.shape), &flat.dim[0]));
    BRAID_TRY(onnx_reshape(node, in[0], &flat, &in[0]));
  }
  int64_t n = braid_shape_elements(&t->shape), found = 0, extent = in[0]->tensor.shape.dim[attrs.axis.axis];
  struct braid_shape shape = {1, {(int)count_true(t, n < extent ? n : extent)}};
  BRAID_TRY(onnx_const_new(node, BRAID_I64, &shape, &in[1]));
  for (int64_t i = 0; i < n && i < extent; i++)
    if (((const uint8_t *)t->data)[i]) ((int64_t *)in[1]->tensor.data)[found++] = i;
  return onnx_emit_out(node, 0, BRAID_OP_GATHER, &attrs, in, 2, NULL);
}

/* ---------------------------------------------------------------------------------- NonMaxSuppression
 * Of the boxes of a class, best score first, those that do not overlap a better one too much. */

enum { NMS_WORK_MAX = 1 << 28 }; /* comparisons of boxes; a file cannot make us busy for longer than seconds */

struct nms {
  const float *boxes, *scores; /* [batches,n,4], [batches,classes,n] */
  int batches, classes, n;
  int64_t max_per_class;
  float iou, score;
  bool center;
};

struct box {
  float x0, y0, x1, y1;
};

struct candidate {
  float score;
  int index;
};

static struct box box_of(const struct nms *s, int batch, int i) {
  const float *v = s->boxes + ((size_t)batch * (size_t)s->n + (size_t)i) * 4;
  struct box b = {v[1], v[0], v[3], v[2]}; /* y0, x0, y1, x1, of any two opposite corners */
  if (s->center) b = (struct box){v[0] - v[2] / 2, v[1] - v[3] / 2, v[0] + v[2] / 2, v[1] + v[3] / 2};
  if (b.x0 > b.x1) b = (struct box){b.x1, b.y0, b.x0, b.y1};
  if (b.y0 > b.y1) b = (struct box){b.x0, b.y1, b.x1, b.y0};
  return b;
}

static float area(struct box b) {
  return b.x1 > b.x0 && b.y1 > b.y0 ? (b.x1 - b.x0) * (b.y1 - b.y0) : 0.0f;
}

static bool overlaps(struct box a, struct box b, float threshold) {
  struct box both = {a.x0 > b.x0 ? a.x0 : b.x0, a.y0 > b.y0 ? a.y0 : b.y0, a.x1 < b.x1 ? a.x1 : b.x1,
                     a.y1 < b.y1 ? a.y1 : b.y1};
  float shared = area(both), joined = area(a) + area(b) - shared;
  return joined > 0.0f && shared / joined > threshold;
}

static int better_first(const void *p, const void *q) {
  const struct candidate *a = p, *b = q;
  if (a->score != b->score) return a->score < b->score ? 1 : -1;
  return (a->index > b->index) - (a->index < b->index);
}

/* Appends [batch, class, box] for the chosen boxes of one class. */
static int64_t suppress(const struct nms *s, int batch, int class_id, struct candidate *list, int64_t *out) {
  const float *scores = s->scores + ((size_t)batch * (size_t)s->classes + (size_t)class_id) * (size_t)s->n;
  int n = 0;
  int64_t chosen = 0;
  for (int i = 0; i < s->n; i++)
    if (scores[i] > s->score) list[n++] = (struct candidate){scores[i], i};
  qsort(list, (size_t)n, sizeof *list, better_first);
  for (int i = 0; i < n && chosen < s->max_per_class; i++) {
    struct box box = box_of(s, batch, list[i].index);
    bool clear = true;
    for (int64_t k = 0; k < chosen && clear; k++) clear = !overlaps(box, box_of(s, batch, (int)out[3 * k + 2]), s->iou);
    if (!clear) continue;
    out[3 * chosen] = batch;
    out[3 * chosen + 1] = class_id;
    out[3 * chosen++ + 2] = list[i].index;
  }
  return chosen;
}

static enum braid_status one_float(struct onnx_node *node, int k, float fallback, float *out) {
  double v;
  int n;
  BRAID_TRY(onnx_in_floats(node, k, &v, 1, &n));
  *out = n == 1 ? (float)v : fallback;
  return BRAID_OK;
}

static enum braid_status read_boxes(struct onnx_node *node, struct nms *s) {
  const struct onnx_value *boxes = onnx_in(node, 0), *scores = onnx_in(node, 1);
  const struct braid_shape *b = &boxes->tensor.shape, *c = &scores->tensor.shape;
  BRAID_TRY(must_be_known(node, 0, "boxes"));
  BRAID_TRY(must_be_known(node, 1, "scores"));
  if (boxes->tensor.dtype != BRAID_F32 || scores->tensor.dtype != BRAID_F32)
    return braid_fail(BRAID_EUNSUPPORTED, "boxes and scores must be float32");
  if (b->rank != 3 || c->rank != 3 || b->dim[2] != 4 || b->dim[0] != c->dim[0] || b->dim[1] != c->dim[2])
    return braid_fail(BRAID_ESHAPE, "boxes [N,boxes,4] and scores [N,classes,boxes] do not fit together");
  s->boxes = boxes->tensor.data;
  s->scores = scores->tensor.data;
  s->batches = b->dim[0];
  s->classes = c->dim[1];
  s->n = b->dim[1];
  return BRAID_OK;
}

static enum braid_status read_nms(struct onnx_node *node, struct nms *s) {
  int n;
  BRAID_TRY(read_boxes(node, s));
  BRAID_TRY(onnx_in_ints(node, 2, &s->max_per_class, 1, &n));
  if (n != 1) s->max_per_class = 0;
  if (s->max_per_class > s->n) s->max_per_class = s->n;
  BRAID_TRY(one_float(node, 3, 0.0f, &s->iou));
  BRAID_TRY(one_float(node, 4, -INFINITY, &s->score));
  BRAID_TRY(onnx_attr_bool(node, "center_point_box", false, &s->center));
  double work = (double)s->batches * s->classes * s->n * (double)(s->max_per_class + 1);
  return work <= NMS_WORK_MAX ? BRAID_OK : braid_fail(BRAID_EUNSUPPORTED, "too many boxes for folding it");
}

enum braid_status onnx_convert_non_max_suppression(struct onnx_node *node) {
  struct nms s = {.n = 0};
  struct onnx_value *value;
  struct braid_shape shape = {2, {0, 3}};
  int64_t found = 0;
  BRAID_TRY(read_nms(node, &s));
  int64_t most = s.max_per_class > 0 ? (int64_t)s.batches * s.classes * s.max_per_class : 0;
  BRAID_TRY(onnx_dim("the number of boxes", most, &shape.dim[0]));
  BRAID_TRY(onnx_const_new(node, BRAID_I64, &shape, &value));
  struct candidate *list = braid_calloc((size_t)s.n + 1, sizeof *list);
  if (!list) return braid_fail(BRAID_ENOMEM, "out of memory");
  for (int b = 0; b < s.batches && most > 0; b++)
    for (int c = 0; c < s.classes; c++) found += suppress(&s, b, c, list, (int64_t *)value->tensor.data + 3 * found);
  braid_free(list);
  value->tensor.shape.dim[0] = (int)found;
  return onnx_const_out(node, 0, &value->tensor);
}
