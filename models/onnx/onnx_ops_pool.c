/* SPDX-License-Identifier: Apache-2.0
 *
 * Pools. Ours slide along two axes. Those of a file may be one, or three and more: the maximum, the sum and, because
 * the number of elements under a window is a product over the axes, the mean, too, can be taken along two axes first
 * and then along one after the other. */
#include "onnx_window.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

/* Pools along axes h and w (either may be onnx_no_axis) of [N,C,H,W]. */
struct pool {
  struct onnx_node *node;
  enum braid_op op; /* CONV: the sum */
  bool ceil_mode, count_include_pad;
  union braid_attrs attrs;
};

/* -------------------------------------------------------------------------------------- two axes at once */

/* What the last window of ceil_mode reaches beyond the padding. */
static void pad_to_ceil(struct window_axis *a) {
  int64_t extent = onnx_window_extent(a), room = (int64_t)a->in + a->before + a->after - extent;
  if (room < 0) return; /* refused later */
  int64_t n = (room + a->stride - 1) / a->stride + 1;
  if ((n - 1) * a->stride >= (int64_t)a->in + a->before) n--;
  int64_t reach = (n - 1) * a->stride + extent - a->in - a->before;
  if (reach > a->after && reach < ONNX_ATTR_MAX) a->after = (int)reach;
}

/* The sum under a window is a convolution by ones, channel by channel. */
static enum braid_status sum_plane(struct pool *p, struct window_axis h, struct window_axis w, struct onnx_value *x,
                                   struct onnx_value **out) {
  struct onnx_value *in[2] = {x, NULL};
  struct braid_shape shape = {4, {x->tensor.shape.dim[1], 1, h.kernel, w.kernel}};
  if (x->tensor.dtype != BRAID_F32) return braid_fail(BRAID_EUNSUPPORTED, "only float32 is supported");
  if (braid_shape_elements(&shape) > ONNX_ATTR_MAX) return braid_fail(BRAID_EUNSUPPORTED, "the window is too large");
  BRAID_TRY(onnx_const_new(p->node, BRAID_F32, &shape, &in[1]));
  float *ones = in[1]->tensor.data;
  for (int64_t i = 0, n = braid_shape_elements(&shape); i < n; i++) ones[i] = 1.0f;
  if (p->ceil_mode) pad_to_ceil(&h), pad_to_ceil(&w);
  onnx_conv_attrs(&h, &w, shape.dim[0], &p->attrs.conv);
  return onnx_emit(p->node, BRAID_OP_CONV, &p->attrs, in, 2, NULL, NULL, out);
}

static enum braid_status pool_plane(struct pool *p, const struct window_axis *h, const struct window_axis *w,
                                    struct onnx_value *x, struct onnx_value **out) {
  if (p->op == BRAID_OP_CONV) return sum_plane(p, *h, *w, x, out);
  onnx_pool_attrs(h, w, &p->attrs.pool);
  p->attrs.pool.ceil_mode = p->ceil_mode;
  p->attrs.pool.count_include_pad = p->count_include_pad;
  return onnx_emit(p->node, p->op, &p->attrs, &x, 1, NULL, NULL, out);
}

/* ------------------------------------------------------------------------------------------- many axes */

static enum braid_status product(const int *dim, int n, int *out) {
  *out = 1;
  for (int i = 0; i < n; i++) BRAID_TRY(onnx_dim("the number of elements", (int64_t)*out * dim[i], out));
  return BRAID_OK;
}

/* Pools dim `at` of x, seen as [1,before,dim,after]. */
static enum braid_status pool_axis(struct pool *p, const struct window_axis *a, int at, struct onnx_value **x) {
  struct braid_shape shape = (*x)->tensor.shape, flat = {4, {1, 0, shape.dim[at], 0}};
  struct onnx_value *y;
  BRAID_TRY(product(shape.dim, at, &flat.dim[1]));
  BRAID_TRY(product(shape.dim + at + 1, shape.rank - at - 1, &flat.dim[3]));
  BRAID_TRY(onnx_reshape(p->node, *x, &flat, &y));
  BRAID_TRY(pool_plane(p, a, &onnx_no_axis, y, &y));
  shape.dim[at] = y->tensor.shape.dim[2];
  return onnx_reshape(p->node, y, &shape, x);
}

static enum braid_status pool_last_two(struct pool *p, const struct window *w, struct onnx_value **x) {
  struct braid_shape shape = (*x)->tensor.shape,
                     flat = {4, {1, 0, shape.dim[shape.rank - 2], shape.dim[shape.rank - 1]}};
  struct onnx_value *y;
  BRAID_TRY(product(shape.dim, shape.rank - 2, &flat.dim[1]));
  BRAID_TRY(onnx_reshape(p->node, *x, &flat, &y));
  BRAID_TRY(pool_plane(p, &w->axis[w->spatial - 2], &w->axis[w->spatial - 1], y, &y));
  for (int i = 0; i < 2; i++) shape.dim[shape.rank - 2 + i] = y->tensor.shape.dim[2 + i];
  return onnx_reshape(p->node, y, &shape, x);
}

/* x [N,C,..] pooled along all axes of the window. */
static enum braid_status pool_all(struct pool *p, const struct window *w, struct onnx_value *x,
                                  struct onnx_value **out) {
  if (w->spatial == 2) return pool_plane(p, &w->axis[0], &w->axis[1], x, out);
  if (w->spatial == 1) {
    struct braid_shape shape = x->tensor.shape;
    BRAID_TRY(onnx_lift(p->node, x, &x));
    BRAID_TRY(pool_plane(p, &onnx_no_axis, &w->axis[0], x, &x));
    shape.dim[2] = x->tensor.shape.dim[3];
    return onnx_reshape(p->node, x, &shape, out);
  }
  BRAID_TRY(pool_last_two(p, w, &x));
  for (int i = 0; i < w->spatial - 2; i++) BRAID_TRY(pool_axis(p, &w->axis[i], 2 + i, &x));
  *out = x;
  return BRAID_OK;
}

static enum braid_status read_pool(struct onnx_node *node, struct window *w, struct pool *p) {
  *p = (struct pool){.node = node, .op = node->op->op};
  BRAID_TRY(onnx_window_read(node, w));
  if (!w->has_kernel) return braid_fail(BRAID_EFORMAT, "attribute 'kernel_shape' is missing");
  BRAID_TRY(onnx_window_same(w));
  BRAID_TRY(onnx_attr_bool(node, "ceil_mode", false, &p->ceil_mode));
  return onnx_attr_bool(node, "count_include_pad", false, &p->count_include_pad);
}

/* ---------------------------------------------------------------------------------------- MaxPool, AveragePool */

/* The second output of MaxPool. */
static enum braid_status emit_indices(struct onnx_node *node, const struct window *w, struct pool *p) {
  struct onnx_value *x = onnx_in(node, 0), *y;
  const char *name = onnx_out_name(node, 1);
  bool column_major;
  BRAID_TRY(onnx_attr_bool(node, "storage_order", false, &column_major));
  if (!name) return BRAID_OK;
  if (w->spatial > 2) return braid_fail(BRAID_EUNSUPPORTED, "indices over more than two axes are not supported");
  struct braid_shape shape = x->tensor.shape;
  BRAID_TRY(onnx_lift(node, x, &x));
  onnx_pool_attrs(w->spatial == 1 ? &onnx_no_axis : &w->axis[0], &w->axis[w->spatial - 1], &p->attrs.pool);
  p->attrs.pool.ceil_mode = p->ceil_mode;
  p->attrs.pool.column_major = column_major;
  BRAID_TRY(onnx_emit(node, BRAID_OP_MAX_POOL_INDICES, &p->attrs, &x, 1, NULL, NULL, &y));
  for (int i = 2; i < shape.rank; i++) shape.dim[i] = y->tensor.shape.dim[y->tensor.shape.rank - shape.rank + i];
  return onnx_reshape_out(node, 1, y, &shape);
}

enum braid_status onnx_convert_pool(struct onnx_node *node) {
  struct window w;
  struct pool p;
  struct onnx_value *x = onnx_in(node, 0), *y;
  BRAID_TRY(read_pool(node, &w, &p));
  if (node->op->op == BRAID_OP_MAX_POOL) BRAID_TRY(emit_indices(node, &w, &p));
  if (w.spatial == 2) { /* the common case, without a node in between */
    onnx_pool_attrs(&w.axis[0], &w.axis[1], &p.attrs.pool);
    p.attrs.pool.ceil_mode = p.ceil_mode;
    p.attrs.pool.count_include_pad = p.count_include_pad;
    return onnx_emit_out(node, 0, p.op, &p.attrs, &x, 1, NULL);
  }
  BRAID_TRY(pool_all(&p, &w, x, &y));
  return onnx_reshape_out(node, 0, y, &y->tensor.shape);
}

/* ------------------------------------------------------------------------------------------- Lp, global */

static enum braid_status power(struct onnx_node *node, double exponent, struct onnx_value **x) {
  struct braid_shape scalar = {0};
  struct onnx_value *in[2] = {*x, NULL};
  if (exponent == 1.0) return BRAID_OK;
  if (exponent == 0.5) return onnx_emit(node, BRAID_OP_SQRT, NULL, in, 1, NULL, NULL, x);
  BRAID_TRY(onnx_const_new(node, BRAID_F32, &scalar, &in[1]));
  *(float *)in[1]->tensor.data = (float)exponent;
  return onnx_emit(node, BRAID_OP_POW, NULL, in, 2, NULL, NULL, x);
}

static enum braid_status read_p(struct onnx_node *node, int *p) {
  int64_t v;
  BRAID_TRY(onnx_attr_i64(node, "p", 2, &v));
  return onnx_range("attribute 'p'", v, 1, 1024, p);
}

/* (sum |x|^p)^(1/p). */
enum braid_status onnx_convert_lp_pool(struct onnx_node *node) {
  struct window w;
  struct pool p;
  struct onnx_value *x = onnx_in(node, 0);
  int exponent;
  BRAID_TRY(read_pool(node, &w, &p));
  BRAID_TRY(read_p(node, &exponent));
  p.op = BRAID_OP_CONV;
  BRAID_TRY(onnx_emit(node, BRAID_OP_ABS, NULL, &x, 1, NULL, NULL, &x));
  BRAID_TRY(power(node, exponent, &x));
  BRAID_TRY(pool_all(&p, &w, x, &x));
  BRAID_TRY(power(node, 1.0 / exponent, &x));
  return onnx_reshape_out(node, 0, x, &x->tensor.shape);
}

enum braid_status onnx_convert_global_lp_pool(struct onnx_node *node) {
  struct onnx_value *x = onnx_in(node, 0);
  union braid_attrs attrs = {.reduce = {.keepdims = true}};
  int exponent;
  BRAID_TRY(read_p(node, &exponent));
  if (x->tensor.shape.rank < 3) return braid_fail(BRAID_ESHAPE, "the input has no spatial dims");
  for (int i = 2; i < x->tensor.shape.rank; i++) attrs.reduce.axis[i] = true;
  if (exponent <= 2)
    return onnx_emit_out(node, 0, exponent == 1 ? BRAID_OP_REDUCE_L1 : BRAID_OP_REDUCE_L2, &attrs, &x, 1, NULL);
  BRAID_TRY(onnx_emit(node, BRAID_OP_ABS, NULL, &x, 1, NULL, NULL, &x));
  BRAID_TRY(power(node, exponent, &x));
  BRAID_TRY(onnx_emit(node, BRAID_OP_REDUCE_SUM, &attrs, &x, 1, NULL, NULL, &x));
  BRAID_TRY(power(node, 1.0 / exponent, &x));
  return onnx_reshape_out(node, 0, x, &x->tensor.shape);
}

/* Any number of spatial dims: the mean and the maximum do not care how they are laid out. */
enum braid_status onnx_convert_global_pool(struct onnx_node *node) {
  struct onnx_value *x = onnx_in(node, 0), *y;
  struct braid_shape shape = x->tensor.shape;
  if (shape.rank < 3) return braid_fail(BRAID_ESHAPE, "an input with %d dims has no spatial ones", shape.rank);
  if (shape.rank == 4) return onnx_emit_out(node, 0, node->op->op, NULL, &x, 1, NULL);
  struct braid_shape flat = {4, {shape.dim[0], shape.dim[1], 1, 0}};
  BRAID_TRY(product(shape.dim + 2, shape.rank - 2, &flat.dim[3]));
  for (int i = 2; i < shape.rank; i++) shape.dim[i] = 1;
  BRAID_TRY(onnx_reshape(node, x, &flat, &x));
  BRAID_TRY(onnx_emit(node, node->op->op, NULL, &x, 1, NULL, NULL, &y));
  return onnx_reshape_out(node, 0, y, &shape);
}

/* --------------------------------------------------------------------------------------------- MaxUnpool */

/* What MaxPool's indices count in: the shape it would have pooled, without output_shape. */
static enum braid_status unpooled(const struct window *w, struct braid_shape *shape) {
  for (int i = 0; i < w->spatial; i++) {
    const struct window_axis *a = &w->axis[i];
    int64_t n = (int64_t)(a->in - 1) * a->stride + a->kernel - a->before - a->after;
    BRAID_TRY(onnx_range("the output", n, 1, INT_MAX, &shape->dim[2 + i]));
  }
  return BRAID_OK;
}

/* A larger output_shape adds zeros after the end of each dim. */
static enum braid_status grow_to_output(struct onnx_node *node, struct onnx_value *y) {
  union braid_attrs attrs = {.pad = {.mode = BRAID_PAD_CONSTANT}};
  struct braid_shape *shape = &y->tensor.shape;
  int64_t want[BRAID_MAX_RANK];
  int n;
  BRAID_TRY(onnx_in_ints(node, 2, want, BRAID_MAX_RANK, &n));
  if (n < 0) return onnx_reshape_out(node, 0, y, shape);
  if (n != shape->rank) return braid_fail(BRAID_ESHAPE, "output_shape has %d numbers, expected %d", n, shape->rank);
  for (int i = 0; i < n; i++)
    BRAID_TRY(onnx_range("output_shape", want[i] - shape->dim[i], 0, INT_MAX, &attrs.pad.after[i]));
  return onnx_emit_out(node, 0, BRAID_OP_PAD, &attrs, &y, 1, NULL);
}

enum braid_status onnx_convert_max_unpool(struct onnx_node *node) {
  struct onnx_value *in[3] = {NULL, onnx_in(node, 1), onnx_in(node, 0)}, *y;
  struct braid_shape shape = in[2]->tensor.shape, flat = {1, {0}}, all = {1, {0}};
  union braid_attrs attrs = {.index = {.axis = 0}};
  struct window w;
  BRAID_TRY(onnx_window_read(node, &w));
  BRAID_TRY(unpooled(&w, &shape));
  BRAID_TRY(product(shape.dim, shape.rank, &all.dim[0]));
  BRAID_TRY(product(in[2]->tensor.shape.dim, shape.rank, &flat.dim[0]));
  BRAID_TRY(onnx_const_new(node, in[2]->tensor.dtype, &all, &in[0]));
  memset(in[0]->tensor.data, 0, (size_t)all.dim[0] * braid_dtype_bytes(in[0]->tensor.dtype));
  BRAID_TRY(onnx_reshape(node, in[1], &flat, &in[1]));
  BRAID_TRY(onnx_reshape(node, in[2], &flat, &in[2]));
  BRAID_TRY(onnx_emit(node, BRAID_OP_SCATTER_ELEMENTS, &attrs, in, 3, NULL, NULL, &y));
  BRAID_TRY(onnx_reshape(node, y, &shape, &y));
  return grow_to_output(node, y);
}
