/* SPDX-License-Identifier: Apache-2.0
 *
 * Comparisons of two tensors of any type, logic of two of bools, and Where, the choice among two by a third: all with
 * numpy's broadcasting. Nothing is equal to NaN, less or greater than it. */
#include "nest.h"

#define COMPARED_TYPES(X)                                                                                              \
  X(F32, float)                                                                                                        \
  X(F64, double)                                                                                                       \
  X(U8, uint8_t)                                                                                                       \
  X(I8, int8_t)                                                                                                        \
  X(U16, uint16_t)                                                                                                     \
  X(I16, int16_t)                                                                                                      \
  X(U32, uint32_t)                                                                                                     \
  X(I32, int32_t)                                                                                                      \
  X(U64, uint64_t)                                                                                                     \
  X(I64, int64_t)                                                                                                      \
  X(BOOL, uint8_t)

#define EACH(expr)                                                                                                     \
  for (ptrdiff_t i = 0; i < n; i++) {                                                                                  \
    a = x[i * x_step];                                                                                                 \
    b = y[i * y_step];                                                                                                 \
    z[i] = (uint8_t)(expr);                                                                                            \
  }                                                                                                                    \
  break

#define X(id, T)                                                                                                       \
  static void compare_##id(enum braid_op op, uint8_t *z, const T *x, ptrdiff_t x_step, const T *y, ptrdiff_t y_step,   \
                           ptrdiff_t n) {                                                                              \
    T a, b;                                                                                                            \
    switch (op) {                                                                                                      \
    case BRAID_OP_GREATER: EACH(a > b);                                                                                \
    case BRAID_OP_GREATER_OR_EQUAL: EACH(a >= b);                                                                      \
    case BRAID_OP_LESS: EACH(a < b);                                                                                   \
    case BRAID_OP_LESS_OR_EQUAL: EACH(a <= b);                                                                         \
    case BRAID_OP_AND: EACH(a != 0 && b != 0);                                                                         \
    case BRAID_OP_OR: EACH(a != 0 || b != 0);                                                                          \
    case BRAID_OP_XOR: EACH((a != 0) != (b != 0));                                                                     \
    default: EACH(a == b);                                                                                             \
    }                                                                                                                  \
  }
COMPARED_TYPES(X)
#undef X

static void compare_stretch(const struct braid_kernel_args *args, const struct nest *nest) {
  ptrdiff_t n = (ptrdiff_t)nest_run(nest);
  uint8_t *z = (uint8_t *)args->out.data + nest->at[0];
  switch (args->in[0].dtype) {
#define X(id, T)                                                                                                       \
  case BRAID_##id:                                                                                                     \
    compare_##id(args->op, z, (const T *)args->in[0].data + nest->at[1], nest_step(nest, 1),                           \
                 (const T *)args->in[1].data + nest->at[2], nest_step(nest, 2), n);                                    \
    break;
    COMPARED_TYPES(X)
#undef X
  default: assert(false && "accepts() lets no other type in");
  }
}

static void start(const struct braid_kernel_args *args, struct nest *nest, struct braid_band band) {
  nest_init(nest, &args->out.shape, band);
  for (int k = 0; k < args->n_in; k++) nest_broadcast(nest, &args->in[k].shape, band);
}

static void compare_run(const struct braid_kernel_args *args, const void *packed, void *scratch,
                        struct braid_band band) {
  (void)packed, (void)scratch;
  struct nest nest;
  start(args, &nest, band);
  if (!nest_start(&nest)) return;
  do compare_stretch(args, &nest);
  while (nest_next(&nest));
}

static bool compare_accepts(const struct braid_kernel_args *args) {
  enum braid_dtype type = args->in[0].dtype;
  return type != BRAID_F16 && type != BRAID_BF16 && all_in_are(args, type) && args->out.dtype == BRAID_BOOL &&
         args->n_in == 2 && no_act(args);
}

/* ------------------------------------------------------------------------------------------------- Where */

#define CHOOSE(T)                                                                                                      \
  for (ptrdiff_t i = 0; i < n; i++)                                                                                    \
  ((T *)z)[i] = condition[i * step[1]] ? ((const T *)x)[i * step[2]] : ((const T *)y)[i * step[3]]

static void choose_stretch(const struct braid_kernel_args *args, const struct nest *nest, size_t bytes) {
  ptrdiff_t n = (ptrdiff_t)nest_run(nest), size = (ptrdiff_t)bytes, step[NEST_OPERANDS];
  for (int k = 0; k < NEST_OPERANDS; k++) step[k] = nest_step(nest, k);
  const uint8_t *condition = (const uint8_t *)args->in[0].data + nest->at[1];
  const void *x = (const char *)args->in[1].data + nest->at[2] * size;
  const void *y = (const char *)args->in[2].data + nest->at[3] * size;
  void *z = (char *)args->out.data + nest->at[0] * size;
  switch (bytes) {
  case 1: CHOOSE(uint8_t); break;
  case 2: CHOOSE(uint16_t); break;
  case 4: CHOOSE(uint32_t); break;
  default: CHOOSE(uint64_t); break;
  }
}

static void where_run(const struct braid_kernel_args *args, const void *packed, void *scratch, struct braid_band band) {
  (void)packed, (void)scratch;
  struct nest nest;
  start(args, &nest, band);
  if (!nest_start(&nest)) return;
  do choose_stretch(args, &nest, braid_dtype_bytes(args->out.dtype));
  while (nest_next(&nest));
}

static bool where_accepts(const struct braid_kernel_args *args) {
  return args->n_in == 3 && args->in[0].dtype == BRAID_BOOL && args->in[1].dtype == args->out.dtype &&
         args->in[2].dtype == args->out.dtype && no_act(args);
}

#define ROW(text, id)                                                                                                  \
  { .name = text "__ref", .op = BRAID_OP_##id, .sliceable = true, .accepts = compare_accepts, .run = compare_run }
const struct braid_kernel kernels_ref_compare[] = {
    ROW("equal", EQUAL),
    ROW("greater", GREATER),
    ROW("greater_or_equal", GREATER_OR_EQUAL),
    ROW("less", LESS),
    ROW("less_or_equal", LESS_OR_EQUAL),
    ROW("and", AND),
    ROW("or", OR),
    ROW("xor", XOR),
    {.name = "where__ref", .op = BRAID_OP_WHERE, .sliceable = true, .accepts = where_accepts, .run = where_run},
    {0},
};
