/* SPDX-License-Identifier: Apache-2.0
 *
 * Gather along one axis: out [outer, indices, inner] = x [outer, extent, inner]. Negative indices count from the end.
 * An index outside the axis is data, not a bug of ours, so it is brought back inside instead of read out of bounds. */
#include "kernel.h"

static size_t index_at(const struct braid_tensor *indices, size_t i, int extent) {
  int64_t v = indices->dtype == BRAID_I64 ? ((const int64_t *)indices->data)[i] : ((const int32_t *)indices->data)[i];
  if (v < 0) v += extent;
  return (size_t)(v < 0 ? 0 : v >= extent ? extent - 1 : v);
}

static void run(const struct braid_kernel_args *args, const void *packed, void *scratch, struct braid_band band) {
  (void)packed, (void)scratch;
  const struct braid_tensor *in = &args->in[0], *indices = &args->in[1];
  int axis = args->attrs.axis.axis, extent = in->shape.dim[axis];
  size_t bytes = braid_dtype_bytes(in->dtype), inner = 1, n = (size_t)braid_shape_elements(&indices->shape);
  for (int d = axis + 1; d < in->shape.rank; d++) inner *= (size_t)in->shape.dim[d];
  struct runs r = runs_of(&args->out.shape, band);
  for (size_t run = 0; run < r.count; run++)
    for (size_t i = r.first + run * r.stride, end = i + r.n; i < end; i++) {
      size_t k = index_at(indices, i / inner % n, extent), outer = i / inner / n;
      memcpy((char *)args->out.data + i * bytes,
             (const char *)in->data + ((outer * extent + k) * inner + i % inner) * bytes, bytes);
    }
}

static bool accepts(const struct braid_kernel_args *args) {
  return no_act(args) && args->n_in == 2 && args->in[0].dtype == args->out.dtype &&
         (args->in[1].dtype == BRAID_I64 || args->in[1].dtype == BRAID_I32) &&
         args->in[0].shape.dim[args->attrs.axis.axis] > 0;
}

const struct braid_kernel kernels_ref_gather[] = {
    {.name = "gather__ref", .op = BRAID_OP_GATHER, .sliceable = true, .accepts = accepts, .run = run},
    {0},
};
