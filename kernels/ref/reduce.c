/* SPDX-License-Identifier: Apache-2.0
 *
 * ReduceMean/Sum/Max/Min and ArgMax. An output element is the input's kept coordinates; under it lies a small nest of
 * the reduced ones, walked in memory order. Floats are summed in double, integers wrap. */
#include "activation.h"
#include "kernel.h"

struct fold {
  int n_kept, n_folded;
  int kept_dim[BRAID_MAX_RANK], folded_dim[BRAID_MAX_RANK];
  size_t kept_stride[BRAID_MAX_RANK], folded_stride[BRAID_MAX_RANK];
  size_t count; /* elements under one output */
};

static struct fold fold_of(const struct braid_kernel_args *args) {
  const struct braid_shape *in = &args->in[0].shape;
  struct fold f = {.count = 1};
  size_t stride = 1;
  for (int d = in->rank - 1; d >= 0; d--) { /* innermost first */
    bool folded = args->attrs.reduce.axis[d];
    int k = folded ? f.n_folded++ : f.n_kept++;
    (folded ? f.folded_dim : f.kept_dim)[k] = in->dim[d];
    (folded ? f.folded_stride : f.kept_stride)[k] = stride;
    if (folded) f.count *= (size_t)in->dim[d];
    stride *= (size_t)in->dim[d];
  }
  return f;
}

static size_t offset(size_t index, int n, const int *dim, const size_t *stride) {
  size_t at = 0;
  for (int k = 0; k < n; k++) {
    at += index % (size_t)dim[k] * stride[k];
    index /= (size_t)dim[k];
  }
  return at;
}

static size_t kept(const struct fold *f, size_t i) { return offset(i, f->n_kept, f->kept_dim, f->kept_stride); }
static size_t folded(const struct fold *f, size_t i) { return offset(i, f->n_folded, f->folded_dim, f->folded_stride); }

#define REDUCE_TYPES(X)                                                                                                \
  X(F32, float, double)                                                                                                \
  X(F64, double, double)                                                                                               \
  X(I32, int32_t, uint64_t)                                                                                            \
  X(I64, int64_t, uint64_t)                                                                                            \
  X(U8, uint8_t, uint64_t)                                                                                             \
  X(I8, int8_t, uint64_t)

/* x at the kept coordinates. An empty fold sums to 0; its mean, maximum and minimum are 0 too. */
#define X(id, T, SUM)                                                                                                  \
  static T reduce_##id(enum braid_op op, const struct fold *f, const T *x) {                                           \
    T best = f->count > 0 ? x[0] : (T)0;                                                                               \
    SUM sum = 0;                                                                                                       \
    for (size_t i = 0; i < f->count; i++) {                                                                            \
      T v = x[folded(f, i)];                                                                                           \
      sum += (SUM)v;                                                                                                   \
      if (op == BRAID_OP_REDUCE_MIN ? v < best : v > best) best = v;                                                   \
    }                                                                                                                  \
    if (op == BRAID_OP_REDUCE_SUM) return (T)sum;                                                                      \
    return op == BRAID_OP_REDUCE_MEAN ? mean_##id(sum, f->count) : best;                                               \
  }
static float mean_F32(double sum, size_t n) { return n ? (float)(sum / (double)n) : 0.0f; }
static double mean_F64(double sum, size_t n) { return n ? sum / (double)n : 0.0; }
static int64_t mean_I64(uint64_t sum, size_t n) { return n ? (int64_t)sum / (int64_t)n : 0; }
static int32_t mean_I32(uint64_t sum, size_t n) { return (int32_t)mean_I64(sum, n); }
static int8_t mean_I8(uint64_t sum, size_t n) { return (int8_t)mean_I64(sum, n); }
static uint8_t mean_U8(uint64_t sum, size_t n) { return (uint8_t)mean_I64(sum, n); }
REDUCE_TYPES(X)
#undef X

/* Index along the one reduced axis. */
#define X(id, T, SUM)                                                                                                  \
  static int64_t arg_max_##id(const struct fold *f, const T *x, bool last) {                                           \
    size_t best = 0;                                                                                                   \
    for (size_t i = 1; i < f->count; i++) {                                                                            \
      T v = x[folded(f, i)], top = x[folded(f, best)];                                                                 \
      if (v > top || (last && !(v < top))) best = i;                                                                   \
    }                                                                                                                  \
    return (int64_t)best;                                                                                              \
  }
REDUCE_TYPES(X)
#undef X

static void element(const struct braid_kernel_args *args, const struct fold *f, size_t i) {
  size_t at = kept(f, i);
  void *y = args->out.data;
  switch (args->in[0].dtype) {
#define X(id, T, SUM)                                                                                                  \
  case BRAID_##id: {                                                                                                   \
    const T *x = (const T *)args->in[0].data + at;                                                                     \
    if (args->op == BRAID_OP_ARG_MAX)                                                                                  \
      ((int64_t *)y)[i] = arg_max_##id(f, x, args->attrs.reduce.select_last);                                          \
    else                                                                                                               \
      ((T *)y)[i] = reduce_##id(args->op, f, x);                                                                       \
    break;                                                                                                             \
  }
    REDUCE_TYPES(X)
#undef X
  default: assert(false && "accepts() lets no other type in");
  }
}

static void run(const struct braid_kernel_args *args, const void *packed, void *scratch, struct braid_band band) {
  (void)packed, (void)scratch;
  struct fold f = fold_of(args);
  struct runs r = runs_of(&args->out.shape, band);
  for (size_t run = 0; run < r.count; run++) {
    size_t at = r.first + run * r.stride;
    for (size_t i = at; i < at + r.n; i++) element(args, &f, i);
    if (args->out.dtype == BRAID_F32) act_run_f32(&args->act, out_f32(args) + at, r.n);
  }
}

static bool accepts(const struct braid_kernel_args *args) {
  bool known = false;
#define X(id, T, SUM) known = known || args->in[0].dtype == BRAID_##id;
  REDUCE_TYPES(X)
#undef X
  enum braid_dtype out = args->op == BRAID_OP_ARG_MAX ? BRAID_I64 : args->in[0].dtype;
  return known && args->out.dtype == out && (out == BRAID_F32 || no_act(args));
}

#define ROW(text, id)                                                                                                  \
  { .name = text "__ref", .op = id, .sliceable = true, .accepts = accepts, .run = run }
const struct braid_kernel kernels_ref_reduce[] = {
    ROW("reduce_mean", BRAID_OP_REDUCE_MEAN), ROW("reduce_sum", BRAID_OP_REDUCE_SUM),
    ROW("reduce_max", BRAID_OP_REDUCE_MAX),   ROW("reduce_min", BRAID_OP_REDUCE_MIN),
    ROW("arg_max", BRAID_OP_ARG_MAX),         {0},
};
