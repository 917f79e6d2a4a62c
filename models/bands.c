/* SPDX-License-Identifier: Apache-2.0
 *
 * Rows that rows are made of. A window of kernel k, dilation d, stride s and padding p reads, for output row o, the
 * input rows o*s - p + i*d, i = 0..k-1, as far as they exist. Bands of inputs are the smallest that hold all rows read.
 */
#include "bands.h"

#include "infer.h"

#include <math.h>

static struct braid_band whole(const struct braid_shape *shape) {
  return (struct braid_band){0, braid_slice_rows(shape)};
}

/* --------------------------------------------------------------------------------------------- windows */

struct window {
  int64_t stride, pad, dilation, taps, rows; /* rows of the input */
};

/* First and last existing row that output row `o` reads; first > last when it reads padding only. */
static void rows_read(const struct window *w, int64_t o, int64_t *first, int64_t *last) {
  int64_t start = o * w->stride - w->pad, stop = start + (w->taps - 1) * w->dilation;
  *first = start >= 0 ? start : start + (-start + w->dilation - 1) / w->dilation * w->dilation;
  *last = stop < w->rows ? stop : stop - (stop - w->rows + w->dilation) / w->dilation * w->dilation;
  if (*first > stop || *first >= w->rows) *first = w->rows, *last = -1;
  if (*last < start || *last < 0) *first = w->rows, *last = -1;
}

/* Windows that lie inside are in order; only those that touch the padding have to be looked at one by one. */
static struct braid_band window_needs(const struct window *w, struct braid_band out) {
  int64_t begin = w->rows, end = 0, first, last;
  for (int64_t o = out.begin; o < out.end; o++) {
    rows_read(w, o, &first, &last);
    if (first < begin) begin = first;
    if (o * w->stride >= w->pad) break;
  }
  for (int64_t o = out.end - 1; o >= out.begin; o--) {
    rows_read(w, o, &first, &last);
    if (last + 1 > end) end = last + 1;
    if (o * w->stride - w->pad + (w->taps - 1) * w->dilation < w->rows) break;
  }
  if (begin >= end) return (struct braid_band){0, 0};
  return (struct braid_band){(int)begin, (int)end};
}

static struct braid_band conv_needs(const struct braid_node *node, const struct braid_shape *in, int k,
                                    struct braid_band out) {
  const struct braid_conv_attrs *a = &node->attrs.conv;
  if (k == (node->op == BRAID_OP_CONV ? 3 : 4)) return out; /* the residual */
  if (k != 0) return whole(in);
  return window_needs(&(struct window){a->stride[0], a->pad[0], a->dilation[0], a->kernel[0], in->dim[2]}, out);
}

static struct braid_band pool_needs(const struct braid_node *node, const struct braid_shape *in,
                                    struct braid_band out) {
  const struct braid_pool_attrs *a = &node->attrs.pool;
  return window_needs(&(struct window){a->stride[0], a->pad[0], a->dilation[0], a->kernel[0], in->dim[2]}, out);
}

/* ---------------------------------------------------------------------------------------------- resize */

/* Where output row o lies in the input, as ONNX defines Resize. */
static double resize_source(const struct braid_resize_attrs *a, int o, int in, int out, int rank) {
  double scale = (double)a->scale[2], from = (double)a->roi[2], to = (double)a->roi[rank + 2];
  double length = fabs(scale * in - out) < 1e-3 ? out : scale * in; /* `out` is that, cut off */
  switch (a->coord) {
  case BRAID_COORD_HALF_PIXEL: return (o + 0.5) / scale - 0.5;
  case BRAID_COORD_PYTORCH_HALF_PIXEL: return out > 1 ? (o + 0.5) / scale - 0.5 : 0.0;
  case BRAID_COORD_ALIGN_CORNERS: return length > 1.0 ? o * (in - 1) / (length - 1.0) : 0.0;
  case BRAID_COORD_ASYMMETRIC: return o / scale;
  case BRAID_COORD_TF_HALF_PIXEL_FOR_NN: return (o + 0.5) / scale;
  case BRAID_COORD_TF_CROP_AND_RESIZE:
    return length > 1.0 ? from * (in - 1) + o * (to - from) * (in - 1) / (length - 1.0) : 0.5 * (from + to) * (in - 1);
  case BRAID_COORD_HALF_PIXEL_SYMMETRIC: return in * 0.5 * (1.0 - out / length) + (o + 0.5) / scale - 0.5;
  }
  return 0.0;
}

/* Kernels may compute in float where we compute in double: rows that rounding could add are in the band, too. */
static struct braid_band resize_needs(const struct braid_node *node, const struct braid_shape *in,
                                      struct braid_band out) {
  const struct braid_resize_attrs *a = &node->attrs.resize;
  int rows = braid_slice_rows(in), n = node->shape.dim[2], rank = in->rank;
  bool flips = a->coord == BRAID_COORD_TF_CROP_AND_RESIZE && a->roi[rank + 2] < a->roi[2];
  if (rank != 4 || a->mode == BRAID_RESIZE_CUBIC || a->antialias || flips) return whole(in);
  double slack = 1e-3 + 1e-6 * rows;
  double low = floor(resize_source(a, out.begin, rows, n, rank) - slack);
  double high = ceil(resize_source(a, out.end - 1, rows, n, rank) + slack) + 1.0;
  double begin = fmin(fmax(low, 0.0), rows - 1), end = fmin(fmax(high, begin + 1.0), rows);
  return (struct braid_band){(int)begin, (int)end};
}

/* -------------------------------------------------------------------------------------- everything else */

bool op_is_elementwise(enum braid_op op) { return op_rule(op)->elementwise; }

static struct braid_band elementwise_needs(const struct braid_node *node, const struct braid_shape *in,
                                           struct braid_band out) {
  if (in->rank != node->shape.rank || in->rank == 0) return whole(in);
  return braid_slice_rows(in) == node->rows ? out : whole(in); /* one row, broadcast */
}

static struct braid_band concat_needs(const struct braid_graph *graph, const struct braid_node *node, int k,
                                      struct braid_band out) {
  int axis = braid_slice_axis(&node->shape);
  if (node->attrs.axis.axis != axis) return out;
  int offset = 0;
  for (int i = 0; i < k; i++) offset += graph_operand(graph, node->in[i]).shape.dim[axis];
  int rows = graph_operand(graph, node->in[k]).shape.dim[axis];
  int begin = out.begin - offset < 0 ? 0 : out.begin - offset, end = out.end - offset > rows ? rows : out.end - offset;
  return begin < end ? (struct braid_band){begin, end} : (struct braid_band){0, 0};
}

static bool softmax_mixes_rows(const struct braid_node *node) {
  int axis = braid_slice_axis(&node->shape);
  return axis >= node->attrs.axis.axis && axis < node->attrs.axis.axis_end;
}

static bool layer_norm_keeps_rows(const struct braid_node *node) {
  return braid_slice_axis(&node->shape) < node->attrs.norm.axis;
}

/* Rows of [..,M,N] of rank 3 or 4 are those of the left factor, where that has the output's rank. */
static bool matmul_keeps_rows(const struct braid_node *node, const struct braid_shape *left) {
  int rank = node->shape.rank;
  return (rank == 3 || rank == 4) && left->rank == rank && left->dim[rank - 2] == node->shape.dim[rank - 2];
}

struct braid_band braid_graph_needs(const struct braid_graph *graph, int id, int k, struct braid_band out) {
  const struct braid_node *node = &graph->node[id];
  struct braid_shape in = graph_operand(graph, node->in[k]).shape;
  if (out.begin >= out.end) return (struct braid_band){0, 0};
  switch (node->op) {
  case BRAID_OP_QLINEAR_CONV:
  case BRAID_OP_CONV: return conv_needs(node, &in, k, out);
  case BRAID_OP_MAX_POOL:
  case BRAID_OP_AVERAGE_POOL: return pool_needs(node, &in, out);
  case BRAID_OP_RESIZE: return resize_needs(node, &in, out);
  case BRAID_OP_CONCAT: return concat_needs(graph, node, k, out);
  case BRAID_OP_SOFTMAX:
  case BRAID_OP_LOG_SOFTMAX:
  case BRAID_OP_HARDMAX: return softmax_mixes_rows(node) ? whole(&in) : out;
  case BRAID_OP_LAYER_NORMALIZATION: return k == 0 && layer_norm_keeps_rows(node) ? out : whole(&in);
  case BRAID_OP_MATMUL: return k == 0 && matmul_keeps_rows(node, &in) ? out : whole(&in);
  case BRAID_OP_QUANTIZE_LINEAR:
  case BRAID_OP_DEQUANTIZE_LINEAR:
  case BRAID_OP_NORMALIZE:
  case BRAID_OP_BATCH_NORMALIZATION: return k == 0 ? out : whole(&in);
  case BRAID_OP_LRN: return out;
  default: return op_is_elementwise(node->op) ? elementwise_needs(node, &in, out) : whole(&in);
  }
}

static bool resize_keeps_rows(const struct braid_resize_attrs *a) {
  return a->mode != BRAID_RESIZE_CUBIC && !a->antialias;
}

int bands_max(const struct braid_node *node) {
  int rank = node->shape.rank;
  bool banded;
  switch (node->op) {
  case BRAID_OP_CONV:
  case BRAID_OP_QLINEAR_CONV:
  case BRAID_OP_MAX_POOL:
  case BRAID_OP_AVERAGE_POOL:
  case BRAID_OP_NORMALIZE:
  case BRAID_OP_QUANTIZE_LINEAR:
  case BRAID_OP_DEQUANTIZE_LINEAR:
  case BRAID_OP_LRN: banded = true; break;
  case BRAID_OP_BATCH_NORMALIZATION: banded = rank == 4; break;
  case BRAID_OP_CONCAT: banded = rank == 4 && node->attrs.axis.axis == 1; break;
  case BRAID_OP_LAYER_NORMALIZATION: banded = layer_norm_keeps_rows(node); break;
  case BRAID_OP_SOFTMAX:
  case BRAID_OP_LOG_SOFTMAX:
  case BRAID_OP_HARDMAX: banded = !softmax_mixes_rows(node); break;
  case BRAID_OP_RESIZE: banded = rank == 4 && resize_keeps_rows(&node->attrs.resize); break;
  case BRAID_OP_MATMUL: banded = rank == 3 || rank == 4; break; /* of the whole right factor */
  case BRAID_OP_GEMM: /* blocks of columns, each of the whole left factor */
    banded = braid_is_const(node->in[1]) && (node->n_in < 3 || braid_is_const(node->in[2]));
    break;
  default: banded = op_is_elementwise(node->op);
  }
  return banded ? node->rows : 1;
}
