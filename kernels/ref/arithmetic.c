/* SPDX-License-Identifier: Apache-2.0
 *
 * Operators on two or more tensors with numpy's broadcasting: x0 op x1 op x2 .., from left to right, one pass over the
 * band per operand. Integers wrap; an integer divided by zero is zero (ONNX leaves it open, a crash is no answer). */
#include "activation.h"
#include "nest.h"
#include "scalar.h"
#include "types.h"

#define X(id, T, U)                                                                                                    \
  static T div_##id(T a, T b) { return a / b; }                                                                        \
  static T prelu_##id(T a, T b) { return a < 0 ? a * b : a; }                                                          \
  static T mod_##id(T a, T b, bool as_dividend) { return (void)as_dividend, (T)fmod((double)a, (double)b); }           \
  static T shift_##id(T a, T b, bool left) { return (void)b, (void)left, a; } /* never called: accepts() refuses it */
FLOAT_TYPES(X)
#undef X
#define X(id, T, U)                                                                                                    \
  static T div_##id(T a, T b) {                                                                                        \
    if (b == 0) return 0;                                                                                              \
    if (b == (T)-1 && IS_NEGATIVE(b)) return (T)((U)0 - (U)a); /* INT_MIN / -1 traps */                                \
    return (T)(a / b);                                                                                                 \
  }                                                                                                                    \
  static T prelu_##id(T a, T b) { return IS_NEGATIVE(a) ? (T)((U)a * (U)b) : a; }                                      \
  static T mod_##id(T a, T b, bool as_dividend) { /* the remainder has the sign of a, or of b as in Python */          \
    T rest = (T)((U)a - (U)div_##id(a, b) * (U)b);                                                                     \
    if (b == 0) return 0;                                                                                              \
    return !as_dividend && rest != 0 && IS_NEGATIVE(rest) != IS_NEGATIVE(b) ? (T)((U)rest + (U)b) : rest;              \
  }                                                                                                                    \
  static T shift_##id(T a, T b, bool left) { /* by the width or more: nothing is left */                               \
    if (IS_NEGATIVE(b) || (uint64_t)b >= 8 * sizeof(T)) return 0;                                                      \
    return (T)(left ? (U)a << b : (U)a >> b);                                                                          \
  }
INTEGER_TYPES(X)
#undef X

#define EACH(expr)                                                                                                     \
  for (ptrdiff_t i = 0; i < n; i++) {                                                                                  \
    a = x[i * x_step];                                                                                                 \
    b = y[i * y_step];                                                                                                 \
    z[i] = expr;                                                                                                       \
  }                                                                                                                    \
  break

#define X(id, T, U)                                                                                                    \
  static void apply_##id(enum braid_op op, bool flag, T *z, const T *x, ptrdiff_t x_step, const T *y,                  \
                         ptrdiff_t y_step, ptrdiff_t n) {                                                              \
    T a, b;                                                                                                            \
    switch (op) {                                                                                                      \
    case BRAID_OP_SUB: EACH((T)((U)a - (U)b));                                                                         \
    case BRAID_OP_MUL: EACH((T)((U)a * (U)b));                                                                         \
    case BRAID_OP_DIV: EACH(div_##id(a, b));                                                                           \
    case BRAID_OP_MAX: EACH(a < b ? b : a);                                                                            \
    case BRAID_OP_MIN: EACH(b < a ? b : a);                                                                            \
    case BRAID_OP_PRELU: EACH(prelu_##id(a, b));                                                                       \
    case BRAID_OP_MOD: EACH(mod_##id(a, b, flag));                                                                     \
    case BRAID_OP_BIT_SHIFT: EACH(shift_##id(a, b, flag));                                                             \
    default: EACH((T)((U)a + (U)b)); /* ADD, SUM, MEAN */                                                              \
    }                                                                                                                  \
  }
ARITHMETIC_TYPES(X)
#undef X

static void apply(const struct braid_kernel_args *args, const struct nest *nest, const void *x, const void *y) {
  ptrdiff_t n = (ptrdiff_t)nest_run(nest);
  bool flag = (args->op == BRAID_OP_MOD || args->op == BRAID_OP_BIT_SHIFT) && args->attrs.flag.on;
  switch (args->out.dtype) {
#define X(id, T, U)                                                                                                    \
  case BRAID_##id:                                                                                                     \
    apply_##id(args->op, flag, (T *)args->out.data + nest->at[0], (const T *)x + nest->at[1], nest_step(nest, 1),      \
               (const T *)y + nest->at[2], nest_step(nest, 2), n);                                                     \
    break;
    ARITHMETIC_TYPES(X)
#undef X
  default: assert(false && "accepts() lets no other type in");
  }
}

/* out = a op in[k]; `a` is the output itself after the first step. */
static void step(const struct braid_kernel_args *args, const struct braid_tensor *a, int k, struct braid_band band) {
  struct nest nest;
  nest_init(&nest, &args->out.shape, band);
  nest_broadcast(&nest, &a->shape, band);
  nest_broadcast(&nest, &args->in[k].shape, band);
  if (!nest_start(&nest)) return;
  do apply(args, &nest, a->data, args->in[k].data);
  while (nest_next(&nest));
}

static void finish_f32(const struct braid_kernel_args *args, struct braid_band band) {
  struct runs r = runs_of(&args->out.shape, band);
  for (size_t run = 0; run < r.count; run++) {
    float *y = out_f32(args) + r.first + run * r.stride;
    for (size_t i = 0; args->op == BRAID_OP_MEAN && i < r.n; i++) y[i] /= (float)args->n_in;
    act_run_f32(&args->act, y, r.n);
  }
}

static void finish_f64(const struct braid_kernel_args *args, struct braid_band band) {
  struct runs r = runs_of(&args->out.shape, band);
  for (size_t run = 0; run < r.count && args->op == BRAID_OP_MEAN; run++)
    for (size_t i = 0; i < r.n; i++) ((double *)args->out.data)[r.first + run * r.stride + i] /= args->n_in;
}

static void run(const struct braid_kernel_args *args, const void *packed, void *scratch, struct braid_band band) {
  (void)packed, (void)scratch;
  if (args->n_in == 1) {
    struct nest nest;
    nest_init(&nest, &args->out.shape, band);
    nest_broadcast(&nest, &args->in[0].shape, band);
    nest_copy(&nest, args->out.data, args->in[0].data, braid_dtype_bytes(args->out.dtype));
  }
  for (int k = 1; k < args->n_in; k++) step(args, k == 1 ? &args->in[0] : &args->out, k, band);
  if (args->out.dtype == BRAID_F32) finish_f32(args, band);
  if (args->out.dtype == BRAID_F64) finish_f64(args, band);
}

static bool arithmetic_type(enum braid_dtype dtype) {
  switch (dtype) {
#define X(id, T, U) case BRAID_##id:
    ARITHMETIC_TYPES(X)
#undef X
    return true;
  default: return false;
  }
}

static bool accepts(const struct braid_kernel_args *args) {
  enum braid_dtype type = args->out.dtype;
  if (!arithmetic_type(type) || !all_in_are(args, type)) return false;
  bool is_float = type == BRAID_F32 || type == BRAID_F64;
  if (args->op == BRAID_OP_MEAN && !is_float) return false;
  if (args->op == BRAID_OP_BIT_SHIFT && is_float) return false;
  return type == BRAID_F32 || no_act(args);
}

/* Pow: the exponent may be of another type. Integers are multiplied out, so that none above 2^53 loses digits. */
static int64_t integer_power(int64_t base, int64_t exponent) {
  uint64_t result = 1, square = (uint64_t)base;
  if (exponent < 0) return base == 1 ? 1 : base == -1 ? (exponent & 1 ? -1 : 1) : 0;
  for (; exponent > 0; exponent >>= 1) {
    if (exponent & 1) result *= square;
    square *= square;
  }
  return (int64_t)result;
}

static struct scalar power(struct scalar a, struct scalar b) {
  if (a.kind == SCALAR_FLOAT || b.kind == SCALAR_FLOAT)
    return (struct scalar){.kind = SCALAR_FLOAT, .f = pow(scalar_double(a), scalar_double(b))};
  int64_t base = a.kind == SCALAR_SIGNED ? a.i : (int64_t)a.u, exponent = b.kind == SCALAR_SIGNED ? b.i : (int64_t)b.u;
  return (struct scalar){.kind = SCALAR_SIGNED, .i = integer_power(base, exponent)};
}

static void pow_run(const struct braid_kernel_args *args, const void *packed, void *scratch, struct braid_band band) {
  (void)packed, (void)scratch;
  const struct braid_tensor *x = &args->in[0], *y = &args->in[1], *z = &args->out;
  struct nest nest;
  nest_init(&nest, &z->shape, band);
  nest_broadcast(&nest, &x->shape, band);
  nest_broadcast(&nest, &y->shape, band);
  if (!nest_start(&nest)) return;
  do
    for (ptrdiff_t i = 0; i < (ptrdiff_t)nest_run(&nest); i++) {
      struct scalar a = scalar_load(x->dtype, x->data, (size_t)(nest.at[1] + i * nest_step(&nest, 1)));
      struct scalar b = scalar_load(y->dtype, y->data, (size_t)(nest.at[2] + i * nest_step(&nest, 2)));
      scalar_store(z->dtype, z->data, (size_t)(nest.at[0] + i), power(a, b));
    }
  while (nest_next(&nest));
  if (z->dtype == BRAID_F32) finish_f32(args, band);
}

static bool pow_accepts(const struct braid_kernel_args *args) {
  return args->n_in == 2 && args->in[0].dtype == args->out.dtype && arithmetic_type(args->out.dtype) &&
         (args->out.dtype == BRAID_F32 || no_act(args));
}

/* The variadic ones work in passes over the output and so cannot share memory with an operand that is read again. */
#define EITHER (IN_PLACE_OF(0) | IN_PLACE_OF(1))
#define ROW(text, id, place)                                                                                           \
  { .name = text "__ref", .op = BRAID_OP_##id, .in_place = place, .sliceable = true, .accepts = accepts, .run = run }
const struct braid_kernel kernels_ref_arithmetic[] = {
    ROW("add", ADD, EITHER),
    ROW("sub", SUB, EITHER),
    ROW("mul", MUL, EITHER),
    ROW("div", DIV, EITHER),
    ROW("prelu", PRELU, EITHER),
    ROW("mod", MOD, EITHER),
    ROW("bit_shift", BIT_SHIFT, EITHER),
    ROW("sum", SUM, 0),
    ROW("max", MAX, 0),
    ROW("min", MIN, 0),
    ROW("mean", MEAN, 0),
    {.name = "pow__ref",
     .op = BRAID_OP_POW,
     .in_place = IN_PLACE_OF(0),
     .sliceable = true,
     .accepts = pow_accepts,
     .run = pow_run},
    {0},
};
