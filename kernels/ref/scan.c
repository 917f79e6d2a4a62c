/* SPDX-License-Identifier: Apache-2.0
 *
 * Operators that walk lines along one axis, [outer, n, inner]: CumSum and the two outputs of TopK. Integers wrap; floats
 * are summed in double. The K largest come in order, equal ones by their position; NaN is the largest of all. */
#include "kernel.h"
#include "scalar.h"

#include <math.h>

struct lines {
  size_t outer, n, inner;
};

static struct lines lines_of(const struct braid_shape *shape, int axis) {
  struct lines l = {1, (size_t)shape->dim[axis], 1};
  for (int d = 0; d < axis; d++) l.outer *= (size_t)shape->dim[d];
  for (int d = axis + 1; d < shape->rank; d++) l.inner *= (size_t)shape->dim[d];
  return l;
}

/* ------------------------------------------------------------------------------------------------ CumSum */

#define SCANNED_TYPES(X)                                                                                               \
  X(F32, float, double)                                                                                                \
  X(F64, double, double)                                                                                               \
  X(I8, int8_t, uint64_t)                                                                                              \
  X(I16, int16_t, uint64_t)                                                                                            \
  X(I32, int32_t, uint64_t)                                                                                            \
  X(I64, int64_t, uint64_t)                                                                                            \
  X(U8, uint8_t, uint64_t)                                                                                             \
  X(U16, uint16_t, uint64_t)                                                                                           \
  X(U32, uint32_t, uint64_t)                                                                                           \
  X(U64, uint64_t, uint64_t)

#define X(id, T, SUM)                                                                                                  \
  static void cum_sum_##id(T *y, const T *x, size_t n, size_t step, bool exclusive, bool reverse) {                    \
    SUM sum = 0;                                                                                                       \
    for (size_t i = 0; i < n; i++) {                                                                                   \
      size_t at = (reverse ? n - 1 - i : i) * step;                                                                    \
      SUM before = sum;                                                                                                \
      sum += (SUM)x[at];                                                                                               \
      y[at] = (T)(exclusive ? before : sum);                                                                           \
    }                                                                                                                  \
  }
SCANNED_TYPES(X)
#undef X

static void cum_sum_line(const struct braid_kernel_args *args, size_t at, size_t n, size_t step) {
  bool exclusive = args->attrs.scan.exclusive, reverse = args->attrs.scan.reverse;
  switch (args->out.dtype) {
#define X(id, T, SUM)                                                                                                  \
  case BRAID_##id:                                                                                                     \
    cum_sum_##id((T *)args->out.data + at, (const T *)args->in[0].data + at, n, step, exclusive, reverse);             \
    break;
    SCANNED_TYPES(X)
#undef X
  default: assert(false && "accepts() lets no other type in");
  }
}

static void cum_sum_run(const struct braid_kernel_args *args, const void *packed, void *scratch,
                        struct braid_band band) {
  (void)packed, (void)scratch, (void)band;
  struct lines l = lines_of(&args->out.shape, args->attrs.scan.axis);
  for (size_t o = 0; o < l.outer; o++)
    for (size_t i = 0; i < l.inner; i++) cum_sum_line(args, o * l.n * l.inner + i, l.n, l.inner);
}

static bool known_type(enum braid_dtype dtype) {
  switch (dtype) {
#define X(id, T, SUM) case BRAID_##id:
    SCANNED_TYPES(X)
#undef X
    return true;
  default: return false;
  }
}

static bool cum_sum_accepts(const struct braid_kernel_args *args) {
  return no_act(args) && args->in[0].dtype == args->out.dtype && known_type(args->out.dtype);
}

/* -------------------------------------------------------------------------------------------------- TopK
 * A heap of the best k positions of a line, the worst of them on top. */
struct best {
  const struct braid_tensor *in;
  size_t first, step;
  bool smallest;
  int64_t *position; /* [k], in the scratch */
};

/* Does position a come before b? */
static bool comes_first(const struct best *b, int64_t p, int64_t q) {
  struct scalar x = scalar_load(b->in->dtype, b->in->data, b->first + (size_t)p * b->step);
  struct scalar y = scalar_load(b->in->dtype, b->in->data, b->first + (size_t)q * b->step);
  bool less, more;
  if (x.kind == SCALAR_FLOAT) {
    less = x.f < y.f || (isnan(y.f) && !isnan(x.f));
    more = x.f > y.f || (isnan(x.f) && !isnan(y.f));
  } else {
    less = x.kind == SCALAR_SIGNED ? x.i < y.i : x.u < y.u;
    more = x.kind == SCALAR_SIGNED ? x.i > y.i : x.u > y.u;
  }
  if (less || more) return b->smallest ? less : more;
  return p < q;
}

/* Lets the position at `i` sink below those that come after it, in a heap of n. */
static void sink(const struct best *b, size_t i, size_t n) {
  for (;;) {
    size_t child = 2 * i + 1;
    if (child >= n) return;
    if (child + 1 < n && comes_first(b, b->position[child], b->position[child + 1])) child++;
    if (!comes_first(b, b->position[i], b->position[child])) return;
    int64_t t = b->position[i];
    b->position[i] = b->position[child];
    b->position[child] = t;
    i = child;
  }
}

/* The best k of n positions, best first: those that are too bad are never entered, the heap is then taken apart. */
static void find_best(const struct best *b, size_t n, size_t k) {
  for (size_t i = 0; i < k; i++) b->position[i] = (int64_t)i;
  for (size_t i = k / 2; i-- > 0;) sink(b, i, k);
  for (size_t i = k; i < n; i++) {
    if (!comes_first(b, (int64_t)i, b->position[0])) continue;
    b->position[0] = (int64_t)i;
    sink(b, 0, k);
  }
  for (size_t left = k; left-- > 1;) {
    int64_t worst = b->position[0];
    b->position[0] = b->position[left];
    b->position[left] = worst;
    sink(b, 0, left);
  }
}

static size_t top_k_scratch(const struct braid_kernel_args *args, int rows) {
  (void)rows;
  return (size_t)args->out.shape.dim[args->attrs.index.axis] * sizeof(int64_t);
}

static void put_best(const struct braid_kernel_args *args, const struct best *b, size_t at, size_t k) {
  size_t bytes = braid_dtype_bytes(b->in->dtype);
  for (size_t i = 0; i < k; i++) {
    if (args->op == BRAID_OP_TOP_K_INDICES)
      ((int64_t *)args->out.data)[at + i * b->step] = b->position[i];
    else
      memcpy((char *)args->out.data + (at + i * b->step) * bytes,
             (const char *)b->in->data + (b->first + (size_t)b->position[i] * b->step) * bytes, bytes);
  }
}

static void top_k_run(const struct braid_kernel_args *args, const void *packed, void *scratch, struct braid_band band) {
  (void)packed, (void)band;
  int axis = args->attrs.index.axis;
  struct lines in = lines_of(&args->in[0].shape, axis), out = lines_of(&args->out.shape, axis);
  for (size_t o = 0; o < in.outer; o++)
    for (size_t i = 0; i < in.inner; i++) {
      struct best b = {&args->in[0], o * in.n * in.inner + i, in.inner, args->attrs.index.smallest, scratch};
      find_best(&b, in.n, out.n);
      put_best(args, &b, o * out.n * out.inner + i, out.n);
    }
}

static bool top_k_accepts(const struct braid_kernel_args *args) {
  enum braid_dtype out = args->op == BRAID_OP_TOP_K_INDICES ? BRAID_I64 : args->in[0].dtype;
  return no_act(args) && args->out.dtype == out && args->in[0].dtype != BRAID_BOOL;
}

#define TOP_K(text, id)                                                                                                \
  {.name = text "__ref", .op = BRAID_OP_##id, .accepts = top_k_accepts, .scratch_bytes = top_k_scratch, .run = top_k_run}
const struct braid_kernel kernels_ref_scan[] = {
    {.name = "cum_sum__ref", .op = BRAID_OP_CUM_SUM, .accepts = cum_sum_accepts, .run = cum_sum_run},
    TOP_K("top_k_values", TOP_K_VALUES),
    TOP_K("top_k_indices", TOP_K_INDICES),
    {0},
};
