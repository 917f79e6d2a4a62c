/* SPDX-License-Identifier: Apache-2.0
 * Operators on single elements; what they compute is in activation.h. Neg, Abs and Sign also exist for integers,
 * questions (IsNaN, IsInf, Not) answer with bools. */
#include "activation.h"
#include "kernel.h"
#include "scalar.h"
#include "types.h"

static void run_f32(const struct braid_kernel_args *args, const void *packed, void *scratch, struct braid_band band) {
  (void)packed, (void)scratch;
  struct runs r = runs_of(&args->out.shape, band);
  for (size_t run = 0; run < r.count; run++)
    for (size_t i = r.first + run * r.stride, end = i + r.n; i < end; i++)
      out_f32(args)[i] = act_f32(&args->act, unary_f32(args->op, args->attrs.unary, in_f32(args, 0)[i]));
}

static void run_f64(const struct braid_kernel_args *args, const void *packed, void *scratch, struct braid_band band) {
  (void)packed, (void)scratch;
  struct runs r = runs_of(&args->out.shape, band);
  const double *x = args->in[0].data;
  double *y = args->out.data;
  for (size_t run = 0; run < r.count; run++)
    for (size_t i = r.first + run * r.stride, end = i + r.n; i < end; i++)
      y[i] = unary_f64(args->op, args->attrs.unary, x[i]);
}

static bool accepts_f64(const struct braid_kernel_args *args) {
  return args->out.dtype == BRAID_F64 && all_in_are(args, BRAID_F64) && no_act(args);
}

/* ------------------------------------------------------------------------------------------ of integers
 * The negative of the smallest integer is itself, as in two's complement arithmetic everywhere. */
#define X(id, T, U)                                                                                                    \
  static void sign_##id(enum braid_op op, T *y, const T *x, size_t n) {                                                \
    bool negates = op == BRAID_OP_NEG;                                                                                 \
    for (size_t i = 0; op == BRAID_OP_SIGN && i < n; i++) y[i] = (T)((x[i] > 0) - IS_NEGATIVE(x[i]));                  \
    for (size_t i = 0; op != BRAID_OP_SIGN && i < n; i++) y[i] = negates || IS_NEGATIVE(x[i]) ? (T)((U)0 - (U)x[i]) : x[i];     \
  }
INTEGER_TYPES(X)
#undef X

static void run_sign(const struct braid_kernel_args *args, const void *packed, void *scratch, struct braid_band band) {
  (void)packed, (void)scratch;
  struct runs r = runs_of(&args->out.shape, band);
  for (size_t run = 0; run < r.count; run++) {
    size_t at = r.first + run * r.stride;
    switch (args->out.dtype) {
#define X(id, T, U)                                                                                                    \
  case BRAID_##id: sign_##id(args->op, (T *)args->out.data + at, (const T *)args->in[0].data + at, r.n); break;
      INTEGER_TYPES(X)
#undef X
    default: assert(false && "accepts() lets no other type in");
    }
  }
}

static bool accepts_f32(const struct braid_kernel_args *args) { return all_f32(args); }

static bool accepts_sign(const struct braid_kernel_args *args) {
  switch (args->out.dtype) {
#define X(id, T, U) case BRAID_##id:
    INTEGER_TYPES(X)
#undef X
    return all_in_are(args, args->out.dtype) && no_act(args);
  default: return false;
  }
}

/* ------------------------------------------------------------------------------------------- questions */

static bool answer(const struct braid_kernel_args *args, double x) {
  if (args->op == BRAID_OP_IS_NAN) return isnan(x);
  return isinf(x) && (x < 0 ? args->attrs.unary.a : args->attrs.unary.b) != 0.0f;
}

static void question_run(const struct braid_kernel_args *args, const void *packed, void *scratch,
                         struct braid_band band) {
  (void)packed, (void)scratch;
  struct runs r = runs_of(&args->out.shape, band);
  const struct braid_tensor *in = &args->in[0];
  bool *y = args->out.data;
  for (size_t run = 0; run < r.count; run++)
    for (size_t i = r.first + run * r.stride, end = i + r.n; i < end; i++)
      y[i] = answer(args, scalar_double(scalar_load(in->dtype, in->data, i)));
}

static bool question_accepts(const struct braid_kernel_args *args) {
  enum braid_dtype type = args->in[0].dtype;
  return args->out.dtype == BRAID_BOOL && (type == BRAID_F32 || type == BRAID_F64) && no_act(args);
}

static void not_run(const struct braid_kernel_args *args, const void *packed, void *scratch, struct braid_band band) {
  (void)packed, (void)scratch;
  struct runs r = runs_of(&args->out.shape, band);
  const uint8_t *x = args->in[0].data;
  uint8_t *y = args->out.data;
  for (size_t run = 0; run < r.count; run++)
    for (size_t i = r.first + run * r.stride, end = i + r.n; i < end; i++) y[i] = !x[i];
}

static bool not_accepts(const struct braid_kernel_args *args) {
  return args->out.dtype == BRAID_BOOL && all_in_are(args, BRAID_BOOL) && no_act(args);
}

#define UNARY_OPS(X)                                                                                                   \
  X("relu", RELU)                                                                                                      \
  X("leaky_relu", LEAKY_RELU)                                                                                          \
  X("clip", CLIP)                                                                                                      \
  X("elu", ELU)                                                                                                        \
  X("selu", SELU)                                                                                                      \
  X("celu", CELU)                                                                                                      \
  X("sigmoid", SIGMOID)                                                                                                \
  X("hard_sigmoid", HARD_SIGMOID)                                                                                      \
  X("hard_swish", HARD_SWISH)                                                                                          \
  X("gelu", GELU)                                                                                                      \
  X("mish", MISH)                                                                                                      \
  X("thresholded_relu", THRESHOLDED_RELU)                                                                              \
  X("shrink", SHRINK)                                                                                                  \
  X("tanh", TANH)                                                                                                      \
  X("softplus", SOFTPLUS)                                                                                              \
  X("softsign", SOFTSIGN)                                                                                              \
  X("erf", ERF)                                                                                                        \
  X("exp", EXP)                                                                                                        \
  X("log", LOG)                                                                                                        \
  X("sqrt", SQRT)                                                                                                      \
  X("reciprocal", RECIPROCAL)                                                                                          \
  X("neg", NEG)                                                                                                        \
  X("abs", ABS)                                                                                                        \
  X("sign", SIGN)                                                                                                      \
  X("floor", FLOOR)                                                                                                    \
  X("ceil", CEIL)                                                                                                      \
  X("round", ROUND)                                                                                                    \
  X("sin", SIN)                                                                                                        \
  X("cos", COS)                                                                                                        \
  X("tan", TAN)                                                                                                        \
  X("asin", ASIN)                                                                                                      \
  X("acos", ACOS)                                                                                                      \
  X("atan", ATAN)                                                                                                      \
  X("sinh", SINH)                                                                                                      \
  X("cosh", COSH)                                                                                                      \
  X("asinh", ASINH)                                                                                                    \
  X("acosh", ACOSH)                                                                                                    \
  X("atanh", ATANH)

/* A question about wider elements than bools cannot be answered in place. */
#define ROW(text, id, place, accept, fn)                                                                               \
  {.name = text,                                                                                                       \
   .op = BRAID_OP_##id,                                                                                                \
   .in_place = place ? IN_PLACE_OF(0) : 0,                                                                             \
   .sliceable = true,                                                                                                  \
   .accepts = accept,                                                                                                  \
   .run = fn},
#define ROW_F32(text, id) ROW(text "_f32__ref", id, true, accepts_f32, run_f32)
#define ROW_F64(text, id) ROW(text "_f64__ref", id, true, accepts_f64, run_f64)
#define ROW_SIGN(text, id) ROW(text "__ref", id, true, accepts_sign, run_sign)
const struct braid_kernel kernels_ref_unary[] = {
    UNARY_OPS(ROW_F32)                                           
    UNARY_OPS(ROW_F64)                                           
    ROW_SIGN("neg", NEG)                                         
    ROW_SIGN("abs", ABS)                                         
    ROW_SIGN("sign", SIGN)                                       
    ROW("is_nan__ref", IS_NAN, false, question_accepts, question_run)
    ROW("is_inf__ref", IS_INF, false, question_accepts, question_run)
    ROW("not__ref", NOT, true, not_accepts, not_run)             
    {0},
};
