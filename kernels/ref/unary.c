/* SPDX-License-Identifier: Apache-2.0
 * Operators on single elements; what they compute is in activation.h. Neg and Abs also exist for other types. */
#include "activation.h"
#include "kernel.h"

static void run_f32(const struct braid_kernel_args *args, const void *packed, void *scratch, struct braid_band band) {
  (void)packed, (void)scratch;
  struct runs r = runs_of(&args->out.shape, band);
  for (size_t run = 0; run < r.count; run++)
    for (size_t i = r.first + run * r.stride, end = i + r.n; i < end; i++)
      out_f32(args)[i] = act_f32(&args->act, unary_f32(args->op, args->attrs.unary, in_f32(args, 0)[i]));
}

/* The negative of the smallest integer is itself, as in two's complement arithmetic everywhere. */
#define SIGNED_TYPES(X)                                                                                                \
  X(F64, double, double)                                                                                               \
  X(I8, int8_t, uint8_t)                                                                                               \
  X(I16, int16_t, uint16_t)                                                                                            \
  X(I32, int32_t, uint32_t)                                                                                            \
  X(I64, int64_t, uint64_t)

#define X(id, T, U)                                                                                                    \
  static void sign_##id(enum braid_op op, T *y, const T *x, size_t n) {                                                \
    for (size_t i = 0; i < n; i++) y[i] = op == BRAID_OP_NEG || x[i] < 0 ? (T)((U)0 - (U)x[i]) : x[i];                 \
  }
SIGNED_TYPES(X)
#undef X

static void run_sign(const struct braid_kernel_args *args, const void *packed, void *scratch, struct braid_band band) {
  (void)packed, (void)scratch;
  struct runs r = runs_of(&args->out.shape, band);
  for (size_t run = 0; run < r.count; run++) {
    size_t at = r.first + run * r.stride;
    switch (args->out.dtype) {
#define X(id, T, U)                                                                                                    \
  case BRAID_##id: sign_##id(args->op, (T *)args->out.data + at, (const T *)args->in[0].data + at, r.n); break;
      SIGNED_TYPES(X)
#undef X
    default: assert(false && "accepts() lets no other type in");
    }
  }
}

static bool accepts_f32(const struct braid_kernel_args *args) { return all_f32(args); }

static bool accepts_sign(const struct braid_kernel_args *args) {
  switch (args->out.dtype) {
#define X(id, T, U) case BRAID_##id:
    SIGNED_TYPES(X)
#undef X
    return all_in_are(args, args->out.dtype) && no_act(args);
  default: return false;
  }
}

#define ROW(text, id)                                                                                                  \
  {                                                                                                                    \
    .name = text "_f32__ref", .op = BRAID_OP_##id, .in_place = true, .sliceable = true, .accepts = accepts_f32,        \
    .run = run_f32                                                                                                     \
  }
#define SIGN_ROW(text, id)                                                                                             \
  {                                                                                                                    \
    .name = text "__ref", .op = BRAID_OP_##id, .in_place = true, .sliceable = true, .accepts = accepts_sign,           \
    .run = run_sign                                                                                                    \
  }
const struct braid_kernel kernels_ref_unary[] = {
    ROW("relu", RELU),
    ROW("leaky_relu", LEAKY_RELU),
    ROW("clip", CLIP),
    ROW("elu", ELU),
    ROW("selu", SELU),
    ROW("sigmoid", SIGMOID),
    ROW("hard_sigmoid", HARD_SIGMOID),
    ROW("hard_swish", HARD_SWISH),
    ROW("tanh", TANH),
    ROW("softplus", SOFTPLUS),
    ROW("softsign", SOFTSIGN),
    ROW("erf", ERF),
    ROW("exp", EXP),
    ROW("log", LOG),
    ROW("sqrt", SQRT),
    ROW("reciprocal", RECIPROCAL),
    ROW("neg", NEG),
    ROW("abs", ABS),
    ROW("floor", FLOOR),
    ROW("ceil", CEIL),
    SIGN_ROW("neg", NEG),
    SIGN_ROW("abs", ABS),
    {0},
};
