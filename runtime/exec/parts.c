/* SPDX-License-Identifier: Apache-2.0
 * Slices by output channel. */
#include "exec/parts.h"

/* Channels go by eights, a multiple of what any kernel computes together: a part but the last has no edge. */
enum { TOGETHER = 8, FEWEST_CHANNELS = 32, SMALL_MAP = 14 * 14, LARGE_MAP = 28 * 28 };

static int blocks_of(int channels) { return (channels + TOGETHER - 1) / TOGETHER; }

/* Each output channel from the input channel of its number. */
static bool is_depthwise(const struct braid_conv_attrs *a, const struct braid_shape *in, const struct braid_shape *out) {
  return a->group > 1 && a->group == in->dim[1] && a->group == out->dim[1];
}

bool exec_parts_possible(const struct braid_node *node, const struct braid_shape *in, int n) {
  if (node->op != BRAID_OP_CONV || node->shape.rank != 4 || node->shape.dim[0] != 1) return false;
  int channels = node->shape.dim[1];
  if (node->attrs.conv.group > 1 && (!is_depthwise(&node->attrs.conv, in, &node->shape) || channels % TOGETHER != 0))
    return false; /* a last part of one channel would be no depthwise convolution */
  return n <= blocks_of(channels);
}

bool exec_parts_pay(const struct braid_node *node, const struct braid_shape *in, int n) {
  if (!exec_parts_possible(node, in, n)) return false;
  int64_t map = (int64_t)node->shape.dim[2] * node->shape.dim[3];
  if (node->attrs.conv.group > 1) return map < LARGE_MAP;
  if (node->shape.dim[1] < n * FEWEST_CHANNELS) return false; /* each part brings the whole input into its own form */
  return map <= SMALL_MAP || (map < LARGE_MAP && node->weight_bytes > node->bytes);
}

static struct braid_band channels_of(int channels, struct exec_part part) {
  struct braid_band blocks = braid_slice_band(blocks_of(channels), part.n, part.index);
  int end = blocks.end * TOGETHER;
  return (struct braid_band){blocks.begin * TOGETHER, end < channels ? end : channels};
}

/* Along a dimension before which all are 1. */
static void narrow(struct braid_tensor *t, int axis, struct braid_band band) {
  size_t inner = braid_dtype_bytes(t->dtype);
  for (int d = axis + 1; d < t->shape.rank; d++) inner *= (size_t)t->shape.dim[d];
  t->shape.dim[axis] = band.end - band.begin;
  if (t->data) t->data = (char *)t->data + (size_t)band.begin * inner;
}

void exec_parts_narrow(struct braid_kernel_args *args, struct exec_part part) {
  if (part.n <= 1) return;
  struct braid_band band = channels_of(args->out.shape.dim[1], part);
  if (is_depthwise(&args->attrs.conv, &args->in[0].shape, &args->out.shape)) {
    narrow(&args->in[0], 1, band);
    args->attrs.conv.group = band.end - band.begin;
  }
  for (int k = 1; k < args->n_in; k++)
    if (args->present[k]) narrow(&args->in[k], k == 3 ? 1 : 0, band);
  narrow(&args->out, 1, band);
}
