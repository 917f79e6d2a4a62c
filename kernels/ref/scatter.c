/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading and writing at positions that are data: GatherElements, GatherND, ScatterElements, ScatterND. Negative indices
 * count from the end; one outside its axis is brought back inside instead of followed out of bounds (gather.c says why).
 * Scatters copy the data first and then write in the order of the updates, so they are not cut into bands. */
#include "kernel.h"
#include "scalar.h"
#include "types.h"

static size_t index_at(const struct braid_tensor *indices, size_t i, int extent) {
  int64_t v = indices->dtype == BRAID_I64 ? ((const int64_t *)indices->data)[i] : ((const int32_t *)indices->data)[i];
  if (v < 0) v += extent;
  return (size_t)(v < 0 ? 0 : v >= extent ? extent - 1 : v);
}

static size_t elements(const struct braid_shape *shape) { return (size_t)braid_shape_elements(shape); }

static void copy(const struct braid_tensor *to, size_t at, const struct braid_tensor *from, size_t at_from, size_t n) {
  size_t bytes = braid_dtype_bytes(to->dtype);
  memcpy((char *)to->data + at * bytes, (const char *)from->data + at_from * bytes, n * bytes);
}

/* ------------------------------------------------------------------------------------ element by element */

/* Element i of the indices addresses the element of `data` with i's coordinates, but for the axis. */
static size_t addressed(const struct braid_shape *data, const struct braid_tensor *indices, int axis, size_t i) {
  size_t at = 0, step = 1, rest = i;
  for (int d = data->rank - 1; d >= 0; d--) {
    size_t extent = (size_t)indices->shape.dim[d];
    at += (d == axis ? index_at(indices, i, data->dim[d]) : rest % extent) * step;
    rest /= extent;
    step *= (size_t)data->dim[d];
  }
  return at;
}

static void gather_elements_run(const struct braid_kernel_args *args, const void *packed, void *scratch,
                                struct braid_band band) {
  (void)packed, (void)scratch;
  struct runs r = runs_of(&args->out.shape, band);
  for (size_t run = 0; run < r.count; run++)
    for (size_t i = r.first + run * r.stride, end = i + r.n; i < end; i++)
      copy(&args->out, i, &args->in[0],
           addressed(&args->in[0].shape, &args->in[1], args->attrs.index.axis, i), 1);
}

/* ------------------------------------------------------------------------------------------- reductions */

#define X(id, T, U)                                                                                                    \
  static T reduced_##id(enum braid_scatter how, T a, T b) {                                                            \
    switch (how) {                                                                                                     \
    case BRAID_SCATTER_ADD: return (T)((U)a + (U)b);                                                                   \
    case BRAID_SCATTER_MUL: return (T)((U)a * (U)b);                                                                   \
    case BRAID_SCATTER_MIN: return b < a ? b : a;                                                                      \
    case BRAID_SCATTER_MAX: return a < b ? b : a;                                                                      \
    default: return b;                                                                                                 \
    }                                                                                                                  \
  }
ARITHMETIC_TYPES(X)
#undef X

/* n updates from at_from on meet the output's elements from `at` on. */
static void put(const struct braid_kernel_args *args, size_t at, size_t at_from, size_t n) {
  enum braid_scatter how = args->attrs.index.reduction;
  const struct braid_tensor *updates = &args->in[2];
  if (how == BRAID_SCATTER_NONE) {
    copy(&args->out, at, updates, at_from, n);
    return;
  }
  switch (args->out.dtype) {
#define X(id, T, U)                                                                                                    \
  case BRAID_##id:                                                                                                     \
    for (size_t i = 0; i < n; i++) {                                                                                   \
      T *y = (T *)args->out.data + at + i;                                                                             \
      *y = reduced_##id(how, *y, ((const T *)updates->data)[at_from + i]);                                             \
    }                                                                                                                  \
    break;
    ARITHMETIC_TYPES(X)
#undef X
  default: assert(false && "accepts() lets no other type in");
  }
}

static bool can_reduce(enum braid_dtype dtype) {
  switch (dtype) {
#define X(id, T, U) case BRAID_##id:
    ARITHMETIC_TYPES(X)
#undef X
    return true;
  default: return false;
  }
}

static void copy_data(const struct braid_kernel_args *args) {
  if (args->out.data != args->in[0].data) copy(&args->out, 0, &args->in[0], 0, elements(&args->out.shape));
}

static void scatter_elements_run(const struct braid_kernel_args *args, const void *packed, void *scratch,
                                 struct braid_band band) {
  (void)packed, (void)scratch, (void)band;
  copy_data(args);
  for (size_t i = 0, n = elements(&args->in[1].shape); i < n; i++)
    put(args, addressed(&args->out.shape, &args->in[1], args->attrs.index.axis, i), i, 1);
}

/* -------------------------------------------------------------------------------------------- by tuples */

/* Tuples of indices into dims [skip, skip+length) of the data; each addresses a block of `inner` elements. */
struct tuples {
  int skip, length;
  size_t count, inner, outer; /* outer: elements of the data under one batch */
};

static struct tuples tuples_of(const struct braid_shape *data, const struct braid_shape *indices, int skip) {
  struct tuples t = {.skip = skip, .length = indices->dim[indices->rank - 1], .inner = 1, .outer = 1};
  t.count = elements(indices) / (size_t)t.length;
  for (int d = skip + t.length; d < data->rank; d++) t.inner *= (size_t)data->dim[d];
  for (int d = skip; d < data->rank; d++) t.outer *= (size_t)data->dim[d];
  return t;
}

/* Where the block of tuple i begins within its batch. */
static size_t block_at(const struct tuples *t, const struct braid_shape *data, const struct braid_tensor *indices,
                       size_t i) {
  size_t at = 0;
  for (int k = 0; k < t->length; k++) {
    int extent = data->dim[t->skip + k];
    at = at * (size_t)extent + index_at(indices, i * (size_t)t->length + (size_t)k, extent);
  }
  return at * t->inner;
}

static void gather_nd_run(const struct braid_kernel_args *args, const void *packed, void *scratch,
                          struct braid_band band) {
  (void)packed, (void)scratch, (void)band;
  const struct braid_tensor *data = &args->in[0], *indices = &args->in[1];
  struct tuples t = tuples_of(&data->shape, &indices->shape, args->attrs.index.batch_dims);
  size_t batches = elements(&data->shape) / t.outer, per_batch = t.count / batches;
  for (size_t i = 0; i < t.count; i++)
    copy(&args->out, i * t.inner, data, i / per_batch * t.outer + block_at(&t, &data->shape, indices, i), t.inner);
}

static void scatter_nd_run(const struct braid_kernel_args *args, const void *packed, void *scratch,
                           struct braid_band band) {
  (void)packed, (void)scratch, (void)band;
  struct tuples t = tuples_of(&args->out.shape, &args->in[1].shape, 0);
  copy_data(args);
  for (size_t i = 0; i < t.count; i++)
    put(args, block_at(&t, &args->out.shape, &args->in[1], i), i * t.inner, t.inner);
}

static bool gather_accepts(const struct braid_kernel_args *args) {
  return no_act(args) && args->n_in == 2 && args->in[0].dtype == args->out.dtype &&
         (args->in[1].dtype == BRAID_I64 || args->in[1].dtype == BRAID_I32) && elements(&args->in[0].shape) > 0;
}

static bool scatter_accepts(const struct braid_kernel_args *args) {
  return no_act(args) && args->n_in == 3 && args->in[0].dtype == args->out.dtype &&
         args->in[2].dtype == args->out.dtype && (args->in[1].dtype == BRAID_I64 || args->in[1].dtype == BRAID_I32) &&
         (args->attrs.index.reduction == BRAID_SCATTER_NONE || can_reduce(args->out.dtype));
}

const struct braid_kernel kernels_ref_scatter[] = {
    {.name = "gather_elements__ref",
     .op = BRAID_OP_GATHER_ELEMENTS,
     .sliceable = true,
     .accepts = gather_accepts,
     .run = gather_elements_run},
    {.name = "gather_nd__ref", .op = BRAID_OP_GATHER_ND, .accepts = gather_accepts, .run = gather_nd_run},
    {.name = "scatter_elements__ref",
     .op = BRAID_OP_SCATTER_ELEMENTS,
     .accepts = scatter_accepts,
     .run = scatter_elements_run},
    {.name = "scatter_nd__ref", .op = BRAID_OP_SCATTER_ND, .accepts = scatter_accepts, .run = scatter_nd_run},
    {0},
};
