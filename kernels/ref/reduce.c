/* SPDX-License-Identifier: Apache-2.0
 *
 * Reduce* and ArgMax/ArgMin. An output element is the input's kept coordinates; under it lies a small nest of
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
  X(I8, int8_t, uint64_t)                                                                                              \
  X(U16, uint16_t, uint64_t)                                                                                           \
  X(I16, int16_t, uint64_t)                                                                                            \
  X(U32, uint32_t, uint64_t)                                                                                           \
  X(U64, uint64_t, uint64_t)                                                                                           \
  X(BOOL, uint8_t, uint64_t)

/* What is summed for each operator. */
static double term_f(enum braid_op op, double v, double top) {
  switch (op) {
  case BRAID_OP_REDUCE_L1: return fabs(v);
  case BRAID_OP_REDUCE_L2:
  case BRAID_OP_REDUCE_SUM_SQUARE: return v * v;
  case BRAID_OP_REDUCE_LOG_SUM_EXP: return isinf(top) ? (v == top) : exp(v - top); /* relative to the largest */
  default: return v;
  }
}
static uint64_t term_i(enum braid_op op, int64_t v) {
  if (op == BRAID_OP_REDUCE_L1) return v < 0 ? (uint64_t)0 - (uint64_t)v : (uint64_t)v;
  bool squares = op == BRAID_OP_REDUCE_L2 || op == BRAID_OP_REDUCE_SUM_SQUARE;
  return squares ? (uint64_t)v * (uint64_t)v : (uint64_t)v;
}

/* What becomes of the sum of n terms. */
static double result_f(enum braid_op op, double sum, size_t n, double top) {
  switch (op) {
  case BRAID_OP_REDUCE_MEAN: return n ? sum / (double)n : 0.0;
  case BRAID_OP_REDUCE_L2: return sqrt(sum);
  case BRAID_OP_REDUCE_LOG_SUM: return log(sum);
  case BRAID_OP_REDUCE_LOG_SUM_EXP: return n ? log(sum) + top : (double)-INFINITY;
  default: return sum;
  }
}
static uint64_t result_i(enum braid_op op, uint64_t sum, size_t n, bool is_signed) {
  if (op == BRAID_OP_REDUCE_L2) return (uint64_t)sqrt((double)sum);
  if (op != BRAID_OP_REDUCE_MEAN) return sum;
  if (n == 0) return 0;
  return is_signed ? (uint64_t)((int64_t)sum / (int64_t)n) : sum / n;
}

/* The extreme of nothing is what any other number would replace, as numpy's `initial`. */
#define REDUCE(id, T, SUM, LOWEST, HIGHEST, TERM, RESULT)                                                              \
  static T reduce_##id(enum braid_op op, const struct fold *f, const T *x) {                                           \
    bool smallest = op == BRAID_OP_REDUCE_MIN;                                                                         \
    T best = f->count > 0 ? x[0] : smallest ? HIGHEST : LOWEST;                                                        \
    SUM sum = 0, product = 1;                                                                                          \
    for (size_t i = 0; i < f->count; i++) {                                                                            \
      T v = x[folded(f, i)];                                                                                           \
      product *= (SUM)v;                                                                                               \
      if (smallest ? v < best : v > best) best = v;                                                                    \
    }                                                                                                                  \
    if (op == BRAID_OP_REDUCE_PROD) return (T)product;                                                                 \
    if (smallest || op == BRAID_OP_REDUCE_MAX) return best;                                                            \
    for (size_t i = 0; i < f->count; i++) sum += TERM;                                                                 \
    return (T)RESULT;                                                                                                  \
  }
#define REDUCE_FLOAT(id, T)                                                                                            \
  REDUCE(id, T, double, -(T)INFINITY, (T)INFINITY, term_f(op, (double)x[folded(f, i)], (double)best),                  \
         result_f(op, sum, f->count, (double)best))
#define REDUCE_INTEGER(id, T, LOWEST, HIGHEST)                                                                         \
  REDUCE(id, T, uint64_t, LOWEST, HIGHEST, term_i(op, (int64_t)x[folded(f, i)]),                                       \
         result_i(op, sum, f->count, IS_NEGATIVE((T)-1)))
REDUCE_FLOAT(F32, float)
REDUCE_FLOAT(F64, double)
REDUCE_INTEGER(I8, int8_t, INT8_MIN, INT8_MAX)
REDUCE_INTEGER(I16, int16_t, INT16_MIN, INT16_MAX)
REDUCE_INTEGER(I32, int32_t, INT32_MIN, INT32_MAX)
REDUCE_INTEGER(I64, int64_t, INT64_MIN, INT64_MAX)
REDUCE_INTEGER(U8, uint8_t, 0, UINT8_MAX)
REDUCE_INTEGER(U16, uint16_t, 0, UINT16_MAX)
REDUCE_INTEGER(U32, uint32_t, 0, UINT32_MAX)
REDUCE_INTEGER(U64, uint64_t, 0, UINT64_MAX)
REDUCE_INTEGER(BOOL, uint8_t, 0, 1)

/* Index along the one reduced axis. */
#define X(id, T, SUM)                                                                                                  \
  static int64_t arg_##id(const struct fold *f, const T *x, bool smallest, bool last) {                                \
    size_t best = 0;                                                                                                   \
    for (size_t i = 1; i < f->count; i++) {                                                                            \
      T v = x[folded(f, i)], top = x[folded(f, best)];                                                                 \
      bool beats = smallest ? v < top : v > top, loses = smallest ? v > top : v < top;                                 \
      if (beats || (last && !loses)) best = i;                                                                         \
    }                                                                                                                  \
    return (int64_t)best;                                                                                              \
  }
REDUCE_TYPES(X)
#undef X

static bool is_arg(enum braid_op op) { return op == BRAID_OP_ARG_MAX || op == BRAID_OP_ARG_MIN; }

static void element(const struct braid_kernel_args *args, const struct fold *f, size_t i) {
  size_t at = kept(f, i);
  void *y = args->out.data;
  switch (args->in[0].dtype) {
#define X(id, T, SUM)                                                                                                  \
  case BRAID_##id: {                                                                                                   \
    const T *x = (const T *)args->in[0].data + at;                                                                     \
    if (is_arg(args->op))                                                                                              \
      ((int64_t *)y)[i] = arg_##id(f, x, args->op == BRAID_OP_ARG_MIN, args->attrs.reduce.select_last);                \
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
  enum braid_dtype out = is_arg(args->op) ? BRAID_I64 : args->in[0].dtype;
  return known && args->out.dtype == out && (out == BRAID_F32 || no_act(args));
}

#define ROW(text, id)                                                                                                  \
  { .name = text "__ref", .op = id, .sliceable = true, .accepts = accepts, .run = run }
const struct braid_kernel kernels_ref_reduce[] = {
    ROW("reduce_mean", BRAID_OP_REDUCE_MEAN), ROW("reduce_sum", BRAID_OP_REDUCE_SUM),
    ROW("reduce_max", BRAID_OP_REDUCE_MAX),   ROW("reduce_min", BRAID_OP_REDUCE_MIN),
    ROW("reduce_prod", BRAID_OP_REDUCE_PROD), ROW("reduce_l1", BRAID_OP_REDUCE_L1),
    ROW("reduce_l2", BRAID_OP_REDUCE_L2),     ROW("reduce_log_sum", BRAID_OP_REDUCE_LOG_SUM),
    ROW("reduce_log_sum_exp", BRAID_OP_REDUCE_LOG_SUM_EXP),
    ROW("reduce_sum_square", BRAID_OP_REDUCE_SUM_SQUARE),
    ROW("arg_max", BRAID_OP_ARG_MAX),         ROW("arg_min", BRAID_OP_ARG_MIN),
    {0},
};
