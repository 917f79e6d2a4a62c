/* SPDX-License-Identifier: Apache-2.0
 *
 * Operators that only move elements along straight strides: Concat, Reshape, Transpose, Slice, Expand, for every
 * element type by its size. They are loop nests (nest.h) with memcpy inside wherever memory allows it. */
#include "nest.h"

static size_t element_bytes(const struct braid_kernel_args *args) { return braid_dtype_bytes(args->out.dtype); }

static void copy_strided(const struct braid_kernel_args *args, const ptrdiff_t *stride, ptrdiff_t base,
                         struct braid_band band) {
  struct nest nest;
  nest_init(&nest, &args->out.shape, band);
  nest_strided(&nest, &args->out.shape, stride, base, band);
  nest_copy(&nest, args->out.data, args->in[0].data, element_bytes(args));
}

/* Operand `in` becomes the part of the output that starts at `from` on the axis. */
static void concat_one(const struct braid_kernel_args *args, const struct braid_tensor *in, int from,
                       struct braid_band band) {
  int axis = args->attrs.axis.axis, slice = braid_slice_axis(&args->out.shape);
  ptrdiff_t out_stride[BRAID_MAX_RANK];
  dense_strides(&args->out.shape, out_stride);
  struct braid_band own = band; /* in rows of the operand */
  if (slice == axis) {
    own.begin = band.begin > from ? band.begin - from : 0;
    own.end = band.end - from < in->shape.dim[axis] ? band.end - from : in->shape.dim[axis];
    if (own.begin >= own.end) return;
  }
  /* Seen from the operand: it is the nest's "output" in shape, though the bytes flow the other way. */
  struct nest nest;
  nest_init(&nest, &in->shape, own);
  nest_strided(&nest, &in->shape, out_stride, from * out_stride[axis], own);
  nest_copy_back(&nest, args->out.data, in->data, element_bytes(args));
}

static void concat_run(const struct braid_kernel_args *args, const void *packed, void *scratch,
                       struct braid_band band) {
  (void)packed, (void)scratch;
  int from = 0;
  for (int k = 0; k < args->n_in; k++) {
    concat_one(args, &args->in[k], from, band);
    from += args->in[k].shape.dim[args->attrs.axis.axis];
  }
}

static void reshape_run(const struct braid_kernel_args *args, const void *packed, void *scratch,
                        struct braid_band band) {
  (void)packed, (void)scratch;
  if (args->out.data == args->in[0].data) return;
  struct runs r = runs_of(&args->out.shape, band);
  size_t bytes = element_bytes(args);
  for (size_t run = 0; run < r.count; run++) {
    size_t at = (r.first + run * r.stride) * bytes;
    memcpy((char *)args->out.data + at, (const char *)args->in[0].data + at, r.n * bytes);
  }
}

static void transpose_run(const struct braid_kernel_args *args, const void *packed, void *scratch,
                          struct braid_band band) {
  (void)packed, (void)scratch;
  ptrdiff_t in_stride[BRAID_MAX_RANK], stride[BRAID_MAX_RANK];
  dense_strides(&args->in[0].shape, in_stride);
  for (int d = 0; d < args->out.shape.rank; d++) stride[d] = in_stride[args->attrs.transpose.perm[d]];
  copy_strided(args, stride, 0, band);
}

static void slice_run(const struct braid_kernel_args *args, const void *packed, void *scratch, struct braid_band band) {
  (void)packed, (void)scratch;
  const struct braid_slice_attrs *a = &args->attrs.slice;
  ptrdiff_t in_stride[BRAID_MAX_RANK], stride[BRAID_MAX_RANK], base = 0;
  dense_strides(&args->in[0].shape, in_stride);
  for (int d = 0; d < args->out.shape.rank; d++) {
    stride[d] = a->step[d] * in_stride[d];
    base += a->start[d] * in_stride[d];
  }
  copy_strided(args, stride, base, band);
}

static void expand_run(const struct braid_kernel_args *args, const void *packed, void *scratch,
                       struct braid_band band) {
  (void)packed, (void)scratch;
  struct nest nest;
  nest_init(&nest, &args->out.shape, band);
  nest_broadcast(&nest, &args->in[0].shape, band);
  nest_copy(&nest, args->out.data, args->in[0].data, element_bytes(args));
}

static bool accepts(const struct braid_kernel_args *args) { return no_act(args) && all_in_are(args, args->out.dtype); }

#define ROW(text, id, place, fn)                                                                                       \
  { .name = text, .op = id, .in_place = place ? IN_PLACE_OF(0) : 0, .sliceable = true, .accepts = accepts, .run = fn }
const struct braid_kernel kernels_ref_move[] = {
    ROW("concat__ref", BRAID_OP_CONCAT, false, concat_run),
    ROW("reshape__ref", BRAID_OP_RESHAPE, true, reshape_run),
    ROW("transpose__ref", BRAID_OP_TRANSPOSE, false, transpose_run),
    ROW("slice__ref", BRAID_OP_SLICE, false, slice_run),
    ROW("expand__ref", BRAID_OP_EXPAND, false, expand_run),
    {0},
};
