/* SPDX-License-Identifier: Apache-2.0
 *
 * Softmax, LogSoftmax and Hardmax (1 for the first largest element, else 0) over dimensions [axis, axis_end) together:
 * the tensor is [outer, n, inner] and each (outer, inner) is a line of n elements. A band may cut a line; the line's
 * maximum and sum are then found by every band anew, in the same order. */
#include "activation.h"
#include "kernel.h"

struct line {
  size_t first, n, step, largest; /* largest: the position of the first */
  float max;
  double sum; /* of exp(x - max) */
};

static void measure(const float *x, struct line *line) {
  line->max = -INFINITY;
  line->sum = 0.0;
  line->largest = line->first;
  for (size_t i = 0, at = line->first; i < line->n; i++, at += line->step) {
    if (!(x[at] > line->max)) continue;
    line->max = x[at];
    line->largest = at;
  }
  for (size_t i = 0; i < line->n; i++) line->sum += exp((double)(x[line->first + i * line->step] - line->max));
}

static float element(enum braid_op op, const struct line *line, size_t i, float x) {
  if (op == BRAID_OP_HARDMAX) return i == line->largest ? 1.0f : 0.0f;
  double shifted = (double)(x - line->max);
  return (float)(op == BRAID_OP_SOFTMAX ? exp(shifted) / line->sum : shifted - log(line->sum));
}

static void run(const struct braid_kernel_args *args, const void *packed, void *scratch, struct braid_band band) {
  (void)packed, (void)scratch;
  const struct braid_shape *shape = &args->out.shape;
  const float *x = in_f32(args, 0);
  int axis = args->attrs.axis.axis, axis_end = args->attrs.axis.axis_end, slice = braid_slice_axis(shape);
  size_t outer = 1, n = 1, inner = 1, row_step = 1, rows = (size_t)braid_slice_rows(shape);
  for (int d = 0; d < shape->rank; d++) *(d < axis ? &outer : d < axis_end ? &n : &inner) *= (size_t)shape->dim[d];
  for (int d = slice + 1; d < shape->rank; d++) row_step *= (size_t)shape->dim[d];
  bool cut = slice >= axis && slice < axis_end; /* a line has elements in every row */
  for (size_t l = 0; l < outer * inner; l++) {
    struct line line = {.first = l / inner * n * inner + l % inner, .n = n, .step = inner};
    size_t row = line.first / row_step % rows;
    if (!cut && (row < (size_t)band.begin || row >= (size_t)band.end)) continue;
    measure(x, &line);
    for (size_t k = 0, i = line.first; k < n; k++, i += inner) {
      row = i / row_step % rows;
      if (row >= (size_t)band.begin && row < (size_t)band.end)
        out_f32(args)[i] = act_f32(&args->act, element(args->op, &line, i, x[i]));
    }
  }
}

static bool accepts(const struct braid_kernel_args *args) { return all_f32(args); }

const struct braid_kernel kernels_ref_softmax[] = {
    {.name = "softmax_f32__ref", .op = BRAID_OP_SOFTMAX, .sliceable = true, .accepts = accepts, .run = run},
    {.name = "hardmax_f32__ref", .op = BRAID_OP_HARDMAX, .sliceable = true, .accepts = accepts, .run = run},
    {.name = "log_softmax_f32__ref", .op = BRAID_OP_LOG_SOFTMAX, .sliceable = true, .accepts = accepts, .run = run},
    {0},
};
