/* SPDX-License-Identifier: Apache-2.0
 *
 * Windows that slide along spatial axes, as convolutions and pools share them. Our operators have two such axes; a file
 * may have one (the other is then 1) or more (onnx_ops_conv3d.c and onnx_ops_pool.c take those apart). */
#ifndef BRAID_ONNX_WINDOW_H
#define BRAID_ONNX_WINDOW_H

#include "onnx_internal.h"

enum { SPATIAL_MAX = BRAID_MAX_RANK - 2 };
enum { PAD_NOTSET, PAD_VALID, PAD_SAME_UPPER, PAD_SAME_LOWER };

struct window_axis {
  int kernel, stride, dilation, before, after, output_pad;
  int in; /* extent of the input */
};

struct window {
  int spatial; /* axes */
  struct window_axis axis[SPATIAL_MAX];
  int auto_pad;
  bool has_kernel; /* the file gives kernel_shape */
};

/* What an axis is where there is none. */
extern const struct window_axis onnx_no_axis;

/* A list of one number an axis; absent ones leave *given false and the axes as they are. */
BRAID_NODISCARD enum braid_status onnx_window_list(struct onnx_node *node, const char *name, int low, struct window *w,
                                                   size_t offset_of_int, bool *given);
/* kernel_shape, strides, dilations, pads and auto_pad of a node whose input is [N,C,..]. */
BRAID_NODISCARD enum braid_status onnx_window_read(struct onnx_node *node, struct window *w);
/* SAME: pads so that as many outputs come as strides fit into the input. */
BRAID_NODISCARD enum braid_status onnx_window_same(struct window *w);
/* `total` padding, the odd one after the input or before it. */
BRAID_NODISCARD enum braid_status onnx_window_share(struct window_axis *a, int64_t total, bool more_after);
int64_t onnx_window_extent(const struct window_axis *a);

/* The rows (h) and columns (w) of a 2-D operator. */
void onnx_conv_attrs(const struct window_axis *h, const struct window_axis *w, int group, struct braid_conv_attrs *out);
void onnx_pool_attrs(const struct window_axis *h, const struct window_axis *w, struct braid_pool_attrs *out);
/* [N,C,W] as [N,C,1,W]; other ranks as they are. */
BRAID_NODISCARD enum braid_status onnx_lift(struct onnx_node *node, struct onnx_value *x, struct onnx_value **out);

/* A convolution with the node's attributes, of other operands than the node's: input, weights, bias or NULL.
 * `out` NULL: it is the node's output 0. */
BRAID_NODISCARD enum braid_status onnx_conv_of(struct onnx_node *node, struct onnx_value *const in[3],
                                               struct onnx_value **out);

/* The node's attributes as a 2-D convolution with these weights; false: its axes are not two. */
BRAID_NODISCARD enum braid_status onnx_conv_read(struct onnx_node *node, const struct onnx_value *weights,
                                                 struct braid_conv_attrs *out, bool *is_2d);

/* Convolutions over three axes (onnx_ops_conv3d.c). */
BRAID_NODISCARD enum braid_status onnx_conv3d(struct onnx_node *node, const struct window *w, int group);
BRAID_NODISCARD enum braid_status onnx_conv_transpose3d(struct onnx_node *node, const struct window *w, int group);

#endif
