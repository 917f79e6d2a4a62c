/* SPDX-License-Identifier: Apache-2.0
 * Shape inference and validation, one line a case: for every operator at least one that is accepted, and the ways in
 * which a file could lead a kernel astray, refused. */
#include "graph_help.h"

#include <limits.h>
#include <math.h>
#include <string.h>

/* The tables below leave out what is zero. */
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"

#define S(...) {sizeof((int[]){__VA_ARGS__}) / sizeof(int), {__VA_ARGS__}}
#define SCALAR {0, {0}}

struct operand {
  struct braid_shape shape;
  enum braid_dtype dtype;
  bool absent;
};

struct sample {
  enum braid_op op;
  union braid_attrs attrs;
  int n_in;
  struct operand in[5];
  struct braid_shape out; /* expected, and the hint of operators that want one */
  enum braid_dtype dtype;
};

static bool wants_hint(enum braid_op op) {
  return op == BRAID_OP_RESHAPE || op == BRAID_OP_EXPAND || op == BRAID_OP_SLICE || op == BRAID_OP_RESIZE ||
         op == BRAID_OP_TOP_K_VALUES || op == BRAID_OP_TOP_K_INDICES;
}

static enum braid_status try_sample(const struct sample *s, struct braid_shape *out, enum braid_dtype *dtype) {
  struct braid_graph *g = new_graph("g");
  int in[5], id;
  for (int k = 0; k < s->n_in; k++) {
    in[k] = BRAID_NONE;
    if (!s->in[k].absent) must(braid_graph_add_input(g, NULL, s->in[k].dtype, &s->in[k].shape, &in[k]));
  }
  enum braid_status status =
      braid_graph_add(g, s->op, &s->attrs, in, s->n_in, wants_hint(s->op) ? &s->out : NULL, "it", &id);
  if (status == BRAID_OK) {
    *out = braid_graph_node(g, id)->shape;
    *dtype = braid_graph_node(g, id)->dtype;
    cr_assert_eq(braid_graph_size(g), id + 1);
  } else {
    cr_assert(strstr(braid_error(), "'it'") && strstr(braid_error(), braid_op_name(s->op)), "%s", braid_error());
  }
  braid_graph_destroy(&g);
  return status;
}

/* ------------------------------------------------------------------------------------------ accepted */

#define X4 S(1, 4, 6, 8)
#define CONV(...) {.conv = {__VA_ARGS__}}
#define POOL(...) {.pool = {__VA_ARGS__}}
#define W8 {S(5, 4, 1, 1), BRAID_I8}
#define ABSENT {{0}, BRAID_F32, true}
#define QCONV(type, x, y, n, ...)                                                                                      \
  {BRAID_OP_QLINEAR_CONV,                                                                                              \
   {.qconv = {.conv = {{1, 1}, {1, 1}, {1, 1}, {0}, 1, {0}}, .to = type, .x_zero = x, .y_zero = y}},                   \
   n,                                                                                                                  \
   {__VA_ARGS__},                                                                                                      \
   S(1, 5, 6, 8),                                                                                                      \
   type}
#define UNARY(o) {BRAID_OP_##o, {{{0}}}, 1, {{X4}}, X4, BRAID_F32}
#define BINARY(o) {BRAID_OP_##o, {{{0}}}, 2, {{S(1, 4, 1, 8)}, {S(6, 1)}}, X4, BRAID_F32}
#define VARIADIC(o) {BRAID_OP_##o, {{{0}}}, 3, {{S(8)}, {SCALAR}, {X4}}, X4, BRAID_F32}
#define REDUCE(o) {BRAID_OP_##o, {.reduce = {{0, 0, 1, 1}, true, false}}, 1, {{X4}}, S(1, 4, 1, 1), BRAID_F32}

#define LOGIC(o) {BRAID_OP_##o, {{{0}}}, 2, {{S(1, 4, 1, 8), BRAID_BOOL}, {S(6, 1), BRAID_BOOL}}, X4, BRAID_BOOL}
#define COMPARISON(o) {BRAID_OP_##o, {{{0}}}, 2, {{S(1, 4, 1, 8), BRAID_I8}, {S(6, 1), BRAID_I8}}, X4, BRAID_BOOL}

static const struct sample good[] = {
    {BRAID_OP_NORMALIZE, {{{0}}}, 3, {{X4, BRAID_U8}, {S(4)}, {S(4)}}, X4, BRAID_F32},
    {BRAID_OP_CONV, CONV({3, 3}, {2, 1}, {1, 2}, {1, 0, 0, 3}, 1, {0}), 2, {{X4}, {S(5, 4, 3, 3)}}, S(1, 5, 3, 7), BRAID_F32},
    {BRAID_OP_CONV, CONV({1, 1}, {1, 1}, {1, 1}, {0}, 1, {0}), 2, {{X4, BRAID_I32}, {S(5, 4, 1, 1), BRAID_I32}}, S(1, 5, 6, 8), BRAID_I32},
    {BRAID_OP_CONV, CONV({1, 1}, {1, 1}, {1, 1}, {0}, 2, {0}), 4,
     {{X4}, {S(6, 2, 1, 1)}, {.absent = true}, {S(1, 6, 6, 8)}}, S(1, 6, 6, 8), BRAID_F32},
    {BRAID_OP_CONV_TRANSPOSE, CONV({3, 3}, {2, 2}, {1, 1}, {1, 1, 1, 1}, 2, {1, 0}), 3,
     {{X4}, {S(4, 3, 3, 3)}, {S(6)}}, S(1, 6, 12, 15), BRAID_F32},
    {BRAID_OP_GEMM, {.gemm = {1, 1, true, true}}, 3, {{S(3, 2)}, {S(5, 3)}, {S(2, 1)}}, S(2, 5), BRAID_F32},
    {BRAID_OP_GEMM, {.gemm = {1, 1, false, false}}, 2, {{S(2, 3)}, {S(3, 5)}}, S(2, 5), BRAID_F32},
    {BRAID_OP_MATMUL, {{{0}}}, 2, {{S(7, 1, 2, 3)}, {S(4, 3, 5)}}, S(7, 4, 2, 5), BRAID_F32},
    {BRAID_OP_MATMUL, {{{0}}}, 2, {{S(3)}, {S(4, 3, 5)}}, S(4, 5), BRAID_F32},
    {BRAID_OP_MATMUL, {{{0}}}, 2, {{S(3)}, {S(3)}}, SCALAR, BRAID_F32},
    {BRAID_OP_MAX_POOL, POOL({3, 3}, {2, 2}, {1, 1}, {1, 1, 1, 1}, false, false), 1, {{X4}}, S(1, 4, 3, 4), BRAID_F32},
    {BRAID_OP_MAX_POOL, POOL({2, 3}, {2, 2}, {1, 1}, {0}, false, true), 1, {{S(1, 4, 5, 8), BRAID_U8}}, S(1, 4, 3, 4), BRAID_U8},
    /* The fourth window would start behind input and padding: dropped. */
    {BRAID_OP_AVERAGE_POOL, POOL({2, 2}, {2, 2}, {1, 1}, {1, 0, 1, 0}, false, true), 1, {{S(1, 4, 5, 8)}}, S(1, 4, 3, 4), BRAID_F32},
    {BRAID_OP_GLOBAL_MAX_POOL, {{{0}}}, 1, {{X4}}, S(1, 4, 1, 1), BRAID_F32},
    {BRAID_OP_GLOBAL_AVERAGE_POOL, {{{0}}}, 1, {{X4}}, S(1, 4, 1, 1), BRAID_F32},
    {BRAID_OP_BATCH_NORMALIZATION, {.norm = {1e-5f}}, 5, {{X4}, {S(4)}, {S(4)}, {S(4)}, {S(4)}}, X4, BRAID_F32},
    {BRAID_OP_BATCH_NORMALIZATION, {.norm = {0}}, 5, {{S(9, 4)}, {S(4)}, {S(4)}, {S(4)}, {S(4)}}, S(9, 4), BRAID_F32},
    {BRAID_OP_LRN, {.lrn = {5, 1, 1, 1}}, 1, {{X4}}, X4, BRAID_F32},
    {BRAID_OP_PRELU, {{{0}}}, 2, {{X4}, {S(4, 1, 1)}}, X4, BRAID_F32},
    UNARY(RELU), UNARY(LEAKY_RELU), UNARY(CLIP), UNARY(ELU), UNARY(SELU), UNARY(SIGMOID), UNARY(HARD_SIGMOID),
    UNARY(HARD_SWISH), UNARY(TANH), UNARY(SOFTPLUS), UNARY(SOFTSIGN), UNARY(ERF), UNARY(EXP), UNARY(LOG), UNARY(SQRT),
    UNARY(RECIPROCAL), UNARY(NEG), UNARY(ABS), UNARY(FLOOR), UNARY(CEIL),
    UNARY(CELU), UNARY(GELU), UNARY(MISH), UNARY(THRESHOLDED_RELU), UNARY(SHRINK), UNARY(ROUND), UNARY(SIGN), UNARY(SIN),
    UNARY(COS), UNARY(TAN), UNARY(ASIN), UNARY(ACOS), UNARY(ATAN), UNARY(SINH), UNARY(COSH), UNARY(ASINH), UNARY(ACOSH),
    UNARY(ATANH),
    {BRAID_OP_IS_NAN, {{{0}}}, 1, {{X4}}, X4, BRAID_BOOL},
    {BRAID_OP_IS_INF, {{{0}}}, 1, {{X4, BRAID_F64}}, X4, BRAID_BOOL},
    {BRAID_OP_NOT, {{{0}}}, 1, {{X4, BRAID_BOOL}}, X4, BRAID_BOOL},
    LOGIC(AND), LOGIC(OR), LOGIC(XOR),
    COMPARISON(EQUAL), COMPARISON(GREATER), COMPARISON(GREATER_OR_EQUAL), COMPARISON(LESS), COMPARISON(LESS_OR_EQUAL),
    {BRAID_OP_EQUAL, {{{0}}}, 2, {{X4, BRAID_BOOL}, {SCALAR, BRAID_BOOL}}, X4, BRAID_BOOL},
    {BRAID_OP_MOD, {.flag = {false}}, 2, {{X4, BRAID_I8}, {S(8), BRAID_I8}}, X4, BRAID_I8},
    {BRAID_OP_MOD, {.flag = {true}}, 2, {{X4}, {S(8)}}, X4, BRAID_F32},
    {BRAID_OP_BIT_SHIFT, {.flag = {true}}, 2, {{X4, BRAID_U16}, {S(8), BRAID_U16}}, X4, BRAID_U16},
    {BRAID_OP_WHERE, {{{0}}}, 3, {{S(6, 1), BRAID_BOOL}, {S(4, 1, 8), BRAID_I64}, {S(1, 1, 1, 1), BRAID_I64}}, X4, BRAID_I64},
    {BRAID_OP_HARDMAX, {.axis = {3, 4}}, 1, {{X4}}, X4, BRAID_F32},
    {BRAID_OP_LAYER_NORMALIZATION, {.norm = {1e-5f, 2, 0}}, 3, {{X4}, {S(6, 8)}, {S(8)}}, X4, BRAID_F32},
    {BRAID_OP_LAYER_NORMALIZATION, {.norm = {0, 3, 0}}, 2, {{X4}, {S(8)}}, X4, BRAID_F32},
    {BRAID_OP_GROUP_NORMALIZATION, {.norm = {1e-5f, 0, 2}}, 3, {{X4}, {S(4)}, {S(4)}}, X4, BRAID_F32},
    {BRAID_OP_CUM_SUM, {.scan = {3, true, true}}, 1, {{X4, BRAID_I32}}, X4, BRAID_I32},
    {BRAID_OP_GATHER_ELEMENTS, {.index = {.axis = 3}}, 2, {{X4}, {S(1, 2, 6, 11), BRAID_I64}}, S(1, 2, 6, 11), BRAID_F32},
    {BRAID_OP_GATHER_ND, {.index = {.batch_dims = 2}}, 2, {{X4}, {S(1, 4, 5, 1), BRAID_I32}}, S(1, 4, 5, 8), BRAID_F32},
    {BRAID_OP_GATHER_ND, {.index = {.batch_dims = 0}}, 2, {{X4}, {S(4), BRAID_I64}}, SCALAR, BRAID_F32},
    {BRAID_OP_SCATTER_ELEMENTS, {.index = {.axis = 1, .reduction = BRAID_SCATTER_ADD}}, 3,
     {{X4}, {S(1, 9, 6, 8), BRAID_I32}, {S(1, 9, 6, 8)}}, X4, BRAID_F32},
    {BRAID_OP_SCATTER_ND, {.index = {.axis = 0}}, 3, {{X4, BRAID_U8}, {S(7, 2), BRAID_I64}, {S(7, 6, 8), BRAID_U8}}, X4, BRAID_U8},
    {BRAID_OP_TOP_K_VALUES, {.index = {.axis = 3}}, 1, {{X4}}, S(1, 4, 6, 8), BRAID_F32},
    {BRAID_OP_TOP_K_INDICES, {.index = {.axis = 1}}, 1, {{X4}}, S(1, 2, 6, 8), BRAID_I64},
    {BRAID_OP_MAX_POOL_INDICES, POOL({3, 3}, {2, 2}, {1, 1}, {1, 1, 1, 1}, false, false, true), 1, {{X4}}, S(1, 4, 3, 4), BRAID_I64},
    {BRAID_OP_NEG, {{{0}}}, 1, {{SCALAR, BRAID_I64}}, SCALAR, BRAID_I64},
    {BRAID_OP_SOFTMAX, {.axis = {1, 4}}, 1, {{X4}}, X4, BRAID_F32},
    {BRAID_OP_LOG_SOFTMAX, {.axis = {3, 4}}, 1, {{X4}}, X4, BRAID_F32},
    BINARY(ADD), BINARY(SUB), BINARY(MUL), BINARY(DIV), BINARY(POW),
    VARIADIC(SUM), VARIADIC(MAX), VARIADIC(MIN), VARIADIC(MEAN),
    {BRAID_OP_CONCAT, {.axis = {1, 0}}, 3, {{X4}, {S(1, 1, 6, 8)}, {X4}}, S(1, 9, 6, 8), BRAID_F32},
    {BRAID_OP_CONCAT, {.axis = {0, 0}}, 2, {{S(2), BRAID_I64}, {S(3), BRAID_I64}}, S(5), BRAID_I64},
    {BRAID_OP_RESHAPE, {{{0}}}, 1, {{X4, BRAID_I8}}, S(1, 192), BRAID_I8},
    {BRAID_OP_TRANSPOSE, {.transpose = {{0, 3, 1, 2}}}, 1, {{X4}}, S(1, 8, 4, 6), BRAID_F32},
    {BRAID_OP_SLICE, {.slice = {{0, 1, 5, 7}, {1, 2, -2, -7}}}, 1, {{X4}}, S(1, 2, 3, 2), BRAID_F32},
    {BRAID_OP_PAD, {.pad = {{0, 0, 5, 0}, {0, 0, 0, 7}, BRAID_PAD_REFLECT, 0}}, 1, {{X4}}, S(1, 4, 11, 15), BRAID_F32},
    {BRAID_OP_PAD, {.pad = {{9}, {0}, BRAID_PAD_CONSTANT, 1}}, 1, {{S(1), BRAID_BOOL}}, S(10), BRAID_BOOL},
    {BRAID_OP_GATHER, {.axis = {1, 0}}, 2, {{X4}, {S(3, 2), BRAID_I32}}, S(1, 3, 2, 6, 8), BRAID_F32},
    {BRAID_OP_GATHER, {.axis = {0, 0}}, 2, {{S(3), BRAID_I64}, {SCALAR, BRAID_I64}}, SCALAR, BRAID_I64},
    {BRAID_OP_EXPAND, {{{0}}}, 1, {{S(4, 1, 1)}}, S(2, 4, 3, 3), BRAID_F32},
    {BRAID_OP_CAST, {.cast = {BRAID_I32}}, 1, {{X4}}, X4, BRAID_I32},
    {BRAID_OP_RESIZE, {.resize = {.scale = {1, 1, 2, 1.5f}}}, 1, {{X4}}, S(1, 4, 12, 12), BRAID_F32},
    REDUCE(REDUCE_MEAN), REDUCE(REDUCE_SUM), REDUCE(REDUCE_MAX), REDUCE(REDUCE_MIN), REDUCE(REDUCE_PROD),
    REDUCE(REDUCE_L1), REDUCE(REDUCE_L2), REDUCE(REDUCE_LOG_SUM), REDUCE(REDUCE_LOG_SUM_EXP), REDUCE(REDUCE_SUM_SQUARE),
    {BRAID_OP_REDUCE_MAX, {.reduce = {{1, 1}, false, false}}, 1, {{S(2, 3), BRAID_BOOL}}, SCALAR, BRAID_BOOL},
    {BRAID_OP_ARG_MIN, {.reduce = {{0, 1}, true, true}}, 1, {{X4}}, S(1, 1, 6, 8), BRAID_I64},
    {BRAID_OP_REDUCE_SUM, {.reduce = {{1, 1}, false, false}}, 1, {{S(2, 3)}}, SCALAR, BRAID_F32},
    {BRAID_OP_ARG_MAX, {.reduce = {{0, 1}, false, true}}, 1, {{X4}}, S(1, 6, 8), BRAID_I64},
    {BRAID_OP_QUANTIZE_LINEAR, {.axis = {0, 0}}, 2, {{X4}, {SCALAR}}, X4, BRAID_U8},
    {BRAID_OP_QUANTIZE_LINEAR, {.axis = {1, 0}}, 3, {{X4}, {S(4)}, {S(4), BRAID_I8}}, X4, BRAID_I8},
    {BRAID_OP_DEQUANTIZE_LINEAR, {.axis = {9, 0}}, 2, {{X4, BRAID_I32}, {S(1)}}, X4, BRAID_F32},
    {BRAID_OP_CONV, CONV({1, 1}, {1, 1}, {1, 1}, {0}, 1, {0}), 2, {{X4}, {S(5, 4, 1, 1), BRAID_BF16}}, S(1, 5, 6, 8), BRAID_F32},
    {BRAID_OP_GEMM, {.gemm = {1, 1, false, true}}, 2, {{S(2, 3)}, {S(5, 3), BRAID_BF16}}, S(2, 5), BRAID_F32},
    QCONV(BRAID_I32, 200, 0, 2, {X4, BRAID_U8}, W8),
    QCONV(BRAID_U8, -128, 255, 5, {X4, BRAID_I8}, W8, {S(5), BRAID_I32}, {S(5)}, {S(1, 5, 6, 8), BRAID_I8}),
    QCONV(BRAID_F32, 0, 0, 4, {X4, BRAID_U8}, W8, ABSENT, {S(5)}),
};

Test(infer, accepts_what_is_defined) {
  bool covered[BRAID_OP_COUNT] = {[BRAID_OP_INPUT] = true};
  for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
    struct braid_shape shape;
    enum braid_dtype dtype;
    const struct sample *s = &good[i];
    covered[s->op] = true;
    cr_assert_eq(try_sample(s, &shape, &dtype), BRAID_OK, "case %d (%s): %s", (int)i, braid_op_name(s->op), braid_error());
    cr_expect(braid_shape_equal(&shape, &s->out), "case %d (%s)", (int)i, braid_op_name(s->op));
    cr_expect_eq(dtype, s->dtype, "case %d (%s)", (int)i, braid_op_name(s->op));
  }
  for (int op = 0; op < BRAID_OP_COUNT; op++) cr_expect(covered[op], "%s has no case", braid_op_name((enum braid_op)op));
}

/* ------------------------------------------------------------------------------------------- refused */

#define CONV_OF(...) {BRAID_OP_CONV, CONV(__VA_ARGS__), 2, {{X4}, {S(5, 4, 3, 3)}}, S(1), BRAID_F32}
#define POOL_OF(...) {BRAID_OP_MAX_POOL, POOL(__VA_ARGS__), 1, {{X4}}, S(1), BRAID_F32}
#define RESIZE_OF(to, ...) {BRAID_OP_RESIZE, {.resize = {__VA_ARGS__}}, 1, {{X4}}, to, BRAID_F32}

static const struct sample bad[] = {
    {BRAID_OP_NORMALIZE, {{{0}}}, 3, {{X4, BRAID_F32}, {S(4)}, {S(4)}}, X4, BRAID_F32},
    {BRAID_OP_NORMALIZE, {{{0}}}, 3, {{X4, BRAID_U8}, {S(3)}, {S(4)}}, X4, BRAID_F32},
    {BRAID_OP_NORMALIZE, {{{0}}}, 2, {{X4, BRAID_U8}, {S(4)}}, X4, BRAID_F32},
    CONV_OF({3, 2}, {1, 1}, {1, 1}, {0}, 1, {0}),
    CONV_OF({0, 3}, {1, 1}, {1, 1}, {0}, 1, {0}),
    CONV_OF({3, 3}, {0, 1}, {1, 1}, {0}, 1, {0}),
    CONV_OF({3, 3}, {1, -1}, {1, 1}, {0}, 1, {0}),
    CONV_OF({3, 3}, {1, 1}, {1, 0}, {0}, 1, {0}),
    CONV_OF({3, 3}, {1, 1}, {1, INT_MAX}, {0}, 1, {0}),
    CONV_OF({3, 3}, {1, 1}, {1, 1}, {0, 0, -1, 0}, 1, {0}),
    CONV_OF({3, 3}, {1, 1}, {1, 1}, {INT_MAX, 0, INT_MAX, 0}, 1, {0}),
    CONV_OF({3, 3}, {1, 1}, {3, 1}, {0}, 1, {0}),
    CONV_OF({3, 3}, {1, 1}, {1, 1}, {0}, 0, {0}),
    CONV_OF({3, 3}, {1, 1}, {1, 1}, {0}, -4, {0}),
    CONV_OF({3, 3}, {1, 1}, {1, 1}, {0}, 3, {0}),
    CONV_OF({3, 3}, {1, 1}, {1, 1}, {0}, 2, {0}),
    {BRAID_OP_CONV, CONV({1, 1}, {1, 1}, {1, 1}, {0}, 2, {0}), 2, {{X4}, {S(5, 2, 1, 1)}}, S(1), BRAID_F32},
    {BRAID_OP_CONV, CONV({1, 1}, {1, 1}, {1, 1}, {0}, 1, {0}), 3, {{X4}, {S(5, 4, 1, 1)}, {S(4)}}, S(1), BRAID_F32},
    {BRAID_OP_CONV, CONV({1, 1}, {1, 1}, {1, 1}, {0}, 1, {0}), 4,
     {{X4}, {S(5, 4, 1, 1)}, {S(5)}, {S(1, 5, 1, 1)}}, S(1), BRAID_F32},
    {BRAID_OP_CONV, CONV({1, 1}, {1, 1}, {1, 1}, {0}, 1, {0}), 2, {{S(4, 6, 8)}, {S(5, 4, 1, 1)}}, S(1), BRAID_F32},
    {BRAID_OP_CONV, CONV({1, 1}, {1, 1}, {1, 1}, {0}, 1, {0}), 2, {{X4}, {S(5, 4, 1, 1), BRAID_F16}}, S(1), BRAID_F32},
    {BRAID_OP_CONV, CONV({1, 1}, {1, 1}, {1, 1}, {0}, 1, {0}), 2, {{X4, BRAID_I32}, {S(5, 4, 1, 1), BRAID_I8}}, S(1), BRAID_F32},
    {BRAID_OP_CONV, CONV({1, 1}, {1, 1}, {1, 1}, {0}, 1, {0}), 2, {{X4}, {.absent = true}}, S(1), BRAID_F32},
    {BRAID_OP_CONV, CONV({1, 1}, {1, 1}, {1, 1}, {0}, 1, {0}), 1, {{X4}}, S(1), BRAID_F32},
    {BRAID_OP_CONV_TRANSPOSE, CONV({3, 3}, {2, 2}, {1, 1}, {0}, 1, {2, 0}), 2, {{X4}, {S(4, 3, 3, 3)}}, S(1), BRAID_F32},
    {BRAID_OP_CONV_TRANSPOSE, CONV({3, 3}, {2, 2}, {1, 1}, {0}, 1, {-1, 0}), 2, {{X4}, {S(4, 3, 3, 3)}}, S(1), BRAID_F32},
    {BRAID_OP_CONV_TRANSPOSE, CONV({3, 3}, {1, 1}, {1, 1}, {4, 0, 4, 0}, 1, {0}), 2, {{X4}, {S(4, 3, 3, 3)}}, S(1), BRAID_F32},
    {BRAID_OP_CONV_TRANSPOSE, CONV({3, 3}, {1, 1}, {1, 1}, {0}, 1, {0}), 2, {{X4}, {S(5, 3, 3, 3)}}, S(1), BRAID_F32},
    {BRAID_OP_CONV_TRANSPOSE, CONV({3, 3}, {1, 1}, {1, 1}, {0}, 2, {0}), 3, {{X4}, {S(4, 3, 3, 3)}, {S(3)}}, S(1), BRAID_F32},
    {BRAID_OP_GEMM, {.gemm = {1, 1, false, false}}, 2, {{S(2, 3)}, {S(4, 5)}}, S(1), BRAID_F32},
    {BRAID_OP_GEMM, {.gemm = {1, 1, false, false}}, 2, {{S(2, 3, 1)}, {S(3, 5)}}, S(1), BRAID_F32},
    {BRAID_OP_GEMM, {.gemm = {1, 1, false, false}}, 3, {{S(2, 3)}, {S(3, 5)}, {S(3, 2, 5)}}, S(1), BRAID_F32},
    {BRAID_OP_GEMM, {.gemm = {1, 1, false, false}}, 3, {{S(2, 3)}, {S(3, 5)}, {S(4)}}, S(1), BRAID_F32},
    {BRAID_OP_MATMUL, {{{0}}}, 2, {{S(2, 3)}, {S(2, 3)}}, S(1), BRAID_F32},
    {BRAID_OP_MATMUL, {{{0}}}, 2, {{SCALAR}, {S(2, 3)}}, S(1), BRAID_F32},
    {BRAID_OP_MATMUL, {{{0}}}, 2, {{S(2, 2, 3)}, {S(3, 3, 5)}}, S(1), BRAID_F32},
    {BRAID_OP_MATMUL, {{{0}}}, 2, {{S(1 << 20, 1)}, {S(1, 1 << 20)}}, S(1), BRAID_F32},
    POOL_OF({0, 2}, {1, 1}, {1, 1}, {0}, false, false),
    POOL_OF({2, 2}, {0, 1}, {1, 1}, {0}, false, false),
    POOL_OF({2, 2}, {1, 1}, {0, 1}, {0}, false, false),
    POOL_OF({2, 2}, {1, 1}, {1, 1}, {-1, 0, 0, 0}, false, false),
    POOL_OF({7, 2}, {1, 1}, {1, 1}, {0}, false, false),
    POOL_OF({2, 2}, {1, 1}, {1, 1}, {2, 0, 0, 0}, false, false),  /* the first window sees padding only */
    POOL_OF({2, 2}, {1, 1}, {1, 1}, {0, 0, 2, 0}, false, false),  /* the last one */
    {BRAID_OP_MAX_POOL, POOL({2, 1}, {1, 1}, {3, 1}, {2, 0, 2, 0}, false, false), 1, {{S(1, 1, 1, 1)}}, S(1), BRAID_F32},
    {BRAID_OP_MAX_POOL, POOL({1, 1}, {1, 1}, {1, 1}, {0}, false, false), 1, {{S(4, 6, 8)}}, S(1), BRAID_F32},
    {BRAID_OP_MAX_POOL, POOL({1, 1}, {1, 1}, {1, 1}, {0}, false, false), 1, {{X4, BRAID_I64}}, S(1), BRAID_F32},
    {BRAID_OP_AVERAGE_POOL, POOL({1, 1}, {1, 1}, {1, 1}, {0}, false, false), 1, {{X4, BRAID_U8}}, S(1), BRAID_F32},
    {BRAID_OP_GLOBAL_AVERAGE_POOL, {{{0}}}, 1, {{S(1, 4)}}, S(1), BRAID_F32},
    {BRAID_OP_BATCH_NORMALIZATION, {.norm = {1}}, 5, {{X4}, {S(4)}, {S(4)}, {S(3)}, {S(4)}}, X4, BRAID_F32},
    {BRAID_OP_BATCH_NORMALIZATION, {.norm = {-1}}, 5, {{X4}, {S(4)}, {S(4)}, {S(4)}, {S(4)}}, X4, BRAID_F32},
    {BRAID_OP_BATCH_NORMALIZATION, {.norm = {NAN}}, 5, {{X4}, {S(4)}, {S(4)}, {S(4)}, {S(4)}}, X4, BRAID_F32},
    {BRAID_OP_BATCH_NORMALIZATION, {.norm = {1}}, 5, {{S(4)}, {S(4)}, {S(4)}, {S(4)}, {S(4)}}, X4, BRAID_F32},
    {BRAID_OP_BATCH_NORMALIZATION, {.norm = {1}}, 4, {{X4}, {S(4)}, {S(4)}, {S(4)}}, X4, BRAID_F32},
    {BRAID_OP_LRN, {.lrn = {0, 1, 1, 1}}, 1, {{X4}}, X4, BRAID_F32},
    {BRAID_OP_LRN, {.lrn = {5, 1, 1, 1}}, 1, {{S(4, 4)}}, X4, BRAID_F32},
    {BRAID_OP_PRELU, {{{0}}}, 2, {{X4}, {S(2, 1, 4, 6, 8)}}, X4, BRAID_F32},
    {BRAID_OP_PRELU, {{{0}}}, 2, {{X4}, {S(4)}}, X4, BRAID_F32},
    {BRAID_OP_RELU, {{{0}}}, 1, {{X4, BRAID_BOOL}}, X4, BRAID_F32},
    {BRAID_OP_EXP, {{{0}}}, 1, {{X4, BRAID_I32}}, X4, BRAID_F32},
    {BRAID_OP_RELU, {{{0}}}, 2, {{X4}, {X4}}, X4, BRAID_F32},
    {BRAID_OP_SOFTMAX, {.axis = {-1, 4}}, 1, {{X4}}, X4, BRAID_F32},
    {BRAID_OP_SOFTMAX, {.axis = {1, 5}}, 1, {{X4}}, X4, BRAID_F32},
    {BRAID_OP_SOFTMAX, {.axis = {2, 2}}, 1, {{X4}}, X4, BRAID_F32},
    {BRAID_OP_SOFTMAX, {.axis = {0, 0}}, 1, {{SCALAR}}, X4, BRAID_F32},
    {BRAID_OP_ADD, {{{0}}}, 2, {{X4}, {S(6)}}, X4, BRAID_F32},
    {BRAID_OP_ADD, {{{0}}}, 2, {{X4}, {X4, BRAID_F64}}, X4, BRAID_F32},
    {BRAID_OP_ADD, {{{0}}}, 3, {{X4}, {X4}, {X4}}, X4, BRAID_F32},
    {BRAID_OP_ADD, {{{0}}}, 2, {{X4, BRAID_BOOL}, {X4, BRAID_BOOL}}, X4, BRAID_F32},
    {BRAID_OP_MUL, {{{0}}}, 2, {{S(1 << 20, 1)}, {S(1, 1 << 20)}}, X4, BRAID_F32},
    {BRAID_OP_SUM, {{{0}}}, 0, {{X4}}, X4, BRAID_F32},
    {BRAID_OP_SUM, {{{0}}}, 3, {{X4}, {.absent = true}, {X4}}, X4, BRAID_F32},
    {BRAID_OP_CONCAT, {.axis = {4, 0}}, 1, {{X4}}, X4, BRAID_F32},
    {BRAID_OP_CONCAT, {.axis = {-1, 0}}, 1, {{X4}}, X4, BRAID_F32},
    {BRAID_OP_CONCAT, {.axis = {0, 0}}, 1, {{SCALAR}}, X4, BRAID_F32},
    {BRAID_OP_CONCAT, {.axis = {1, 0}}, 2, {{X4}, {S(1, 4, 6, 7)}}, X4, BRAID_F32},
    {BRAID_OP_CONCAT, {.axis = {1, 0}}, 2, {{X4}, {S(4, 6, 8)}}, X4, BRAID_F32},
    {BRAID_OP_CONCAT, {.axis = {1, 0}}, 2, {{X4}, {X4, BRAID_U8}}, X4, BRAID_F32},
    {BRAID_OP_CONCAT, {.axis = {0, 0}}, 2, {{S(INT_MAX), BRAID_U8}, {S(INT_MAX), BRAID_U8}}, X4, BRAID_F32},
    {BRAID_OP_RESHAPE, {{{0}}}, 1, {{X4}}, S(1, 191), BRAID_F32},
    {BRAID_OP_RESHAPE, {{{0}}}, 1, {{X4}}, S(-1, -192), BRAID_F32},
    {BRAID_OP_RESHAPE, {{{0}}}, 1, {{X4}}, {9, {1, 4, 6, 8, 1, 1, 1, 1}}, BRAID_F32},
    {BRAID_OP_TRANSPOSE, {.transpose = {{0, 1, 2, 2}}}, 1, {{X4}}, X4, BRAID_F32},
    {BRAID_OP_TRANSPOSE, {.transpose = {{0, 1, 2, 4}}}, 1, {{X4}}, X4, BRAID_F32},
    {BRAID_OP_TRANSPOSE, {.transpose = {{-1, 1, 2, 3}}}, 1, {{X4}}, X4, BRAID_F32},
    {BRAID_OP_SLICE, {.slice = {{0, 0, 0, 0}, {1, 1, 1, 0}}}, 1, {{X4}}, X4, BRAID_F32},
    {BRAID_OP_SLICE, {.slice = {{0, 1, 0, 0}, {1, 1, 1, 1}}}, 1, {{X4}}, X4, BRAID_F32},
    {BRAID_OP_SLICE, {.slice = {{0, 3, 0, 0}, {1, -2, 1, 1}}}, 1, {{X4}}, S(1, 3, 6, 8), BRAID_F32},
    {BRAID_OP_SLICE, {.slice = {{0, -1, 0, 0}, {1, 1, 1, 1}}}, 1, {{X4}}, S(1, 1, 6, 8), BRAID_F32},
    {BRAID_OP_SLICE, {.slice = {{0, 0, 0, 0}, {1, INT_MAX, 1, 1}}}, 1, {{X4}}, S(1, 3, 6, 8), BRAID_F32},
    {BRAID_OP_SLICE, {.slice = {{0}, {1, 1, 1, 1}}}, 1, {{X4}}, S(1, 4, 6), BRAID_F32},
    {BRAID_OP_PAD, {.pad = {{0, 0, -1}, {0}, BRAID_PAD_CONSTANT, 0}}, 1, {{X4}}, X4, BRAID_F32},
    {BRAID_OP_PAD, {.pad = {{0, 0, 6}, {0}, BRAID_PAD_REFLECT, 0}}, 1, {{X4}}, X4, BRAID_F32},
    {BRAID_OP_PAD, {.pad = {{INT_MAX}, {INT_MAX}, BRAID_PAD_CONSTANT, 0}}, 1, {{X4}}, X4, BRAID_F32},
    {BRAID_OP_PAD, {.pad = {{0}, {0}, (enum braid_pad_mode)9, 0}}, 1, {{X4}}, X4, BRAID_F32},
    {BRAID_OP_GATHER, {.axis = {4, 0}}, 2, {{X4}, {S(1), BRAID_I64}}, X4, BRAID_F32},
    {BRAID_OP_GATHER, {.axis = {0, 0}}, 2, {{X4}, {S(1), BRAID_F32}}, X4, BRAID_F32},
    {BRAID_OP_GATHER, {.axis = {0, 0}}, 2, {{SCALAR}, {S(1), BRAID_I64}}, X4, BRAID_F32},
    {BRAID_OP_GATHER, {.axis = {0, 0}}, 2, {{X4}, {S(1, 1, 1, 1, 1, 1), BRAID_I64}}, X4, BRAID_F32},
    {BRAID_OP_EXPAND, {{{0}}}, 1, {{X4}}, S(1, 4, 6, 1), BRAID_F32},
    {BRAID_OP_EXPAND, {{{0}}}, 1, {{X4}}, S(8), BRAID_F32},
    {BRAID_OP_EXPAND, {{{0}}}, 1, {{S(1)}}, S(1 << 16, 1 << 16), BRAID_F32},
    {BRAID_OP_CAST, {.cast = {BRAID_DTYPE_COUNT}}, 1, {{X4}}, X4, BRAID_F32},
    {BRAID_OP_CAST, {.cast = {(enum braid_dtype)-1}}, 1, {{X4}}, X4, BRAID_F32},
    RESIZE_OF(S(1, 4, 12), .scale = {1, 1, 2, 1}),
    RESIZE_OF(S(1, 4, 14, 8), .scale = {1, 1, 2, 1}),
    RESIZE_OF(S(1, 4, 12, 8), .scale = {1, 1, 0, 1}),
    RESIZE_OF(S(1, 4, 12, 8), .scale = {1, 1, -2, 1}),
    RESIZE_OF(S(1, 4, 12, 8), .scale = {1, 1, NAN, 1}),
    RESIZE_OF(S(1, 4, 12, 8), .scale = {1, 1, INFINITY, 1}),
    RESIZE_OF(S(1, 4, 12, 8), .mode = (enum braid_resize_mode)3, .scale = {1, 1, 2, 1}),
    RESIZE_OF(S(1, 4, 12, 8), .coord = (enum braid_resize_coord)-1, .scale = {1, 1, 2, 1}),
    RESIZE_OF(S(1, 4, 12, 8), .nearest = (enum braid_resize_nearest)4, .scale = {1, 1, 2, 1}),
    RESIZE_OF(S(1, 4, 12, 8), .coord = BRAID_COORD_TF_CROP_AND_RESIZE, .scale = {1, 1, 2, 1}, .roi = {0, 0, NAN}),
    {BRAID_OP_IS_NAN, {{{0}}}, 1, {{X4, BRAID_I32}}, X4, BRAID_F32},
    {BRAID_OP_NOT, {{{0}}}, 1, {{X4}}, X4, BRAID_F32},
    {BRAID_OP_AND, {{{0}}}, 2, {{X4, BRAID_BOOL}, {X4}}, X4, BRAID_F32},
    {BRAID_OP_OR, {{{0}}}, 2, {{X4}, {X4}}, X4, BRAID_F32},
    {BRAID_OP_LESS, {{{0}}}, 2, {{X4, BRAID_BOOL}, {X4, BRAID_BOOL}}, X4, BRAID_F32},
    {BRAID_OP_EQUAL, {{{0}}}, 2, {{X4}, {X4, BRAID_F64}}, X4, BRAID_F32},
    {BRAID_OP_EQUAL, {{{0}}}, 2, {{X4}, {S(7)}}, X4, BRAID_F32},
    {BRAID_OP_MOD, {.flag = {false}}, 2, {{X4}, {X4}}, X4, BRAID_F32},
    {BRAID_OP_BIT_SHIFT, {.flag = {false}}, 2, {{X4, BRAID_I32}, {X4, BRAID_I32}}, X4, BRAID_F32},
    {BRAID_OP_WHERE, {{{0}}}, 3, {{X4}, {X4}, {X4}}, X4, BRAID_F32},
    {BRAID_OP_WHERE, {{{0}}}, 3, {{X4, BRAID_BOOL}, {X4}, {X4, BRAID_I32}}, X4, BRAID_F32},
    {BRAID_OP_WHERE, {{{0}}}, 3, {{X4, BRAID_BOOL}, {S(7)}, {X4}}, X4, BRAID_F32},
    {BRAID_OP_HARDMAX, {.axis = {3, 5}}, 1, {{X4}}, X4, BRAID_F32},
    {BRAID_OP_LAYER_NORMALIZATION, {.norm = {1, 4, 0}}, 2, {{X4}, {S(8)}}, X4, BRAID_F32},
    {BRAID_OP_LAYER_NORMALIZATION, {.norm = {1, -1, 0}}, 2, {{X4}, {S(8)}}, X4, BRAID_F32},
    {BRAID_OP_LAYER_NORMALIZATION, {.norm = {1, 3, 0}}, 2, {{X4}, {S(6, 8)}}, X4, BRAID_F32},
    {BRAID_OP_LAYER_NORMALIZATION, {.norm = {-1, 3, 0}}, 2, {{X4}, {S(8)}}, X4, BRAID_F32},
    {BRAID_OP_GROUP_NORMALIZATION, {.norm = {1, 0, 3}}, 3, {{X4}, {S(4)}, {S(4)}}, X4, BRAID_F32},
    {BRAID_OP_GROUP_NORMALIZATION, {.norm = {1, 0, 0}}, 3, {{X4}, {S(4)}, {S(4)}}, X4, BRAID_F32},
    {BRAID_OP_GROUP_NORMALIZATION, {.norm = {1, 0, 2}}, 3, {{X4}, {S(2)}, {S(2)}}, X4, BRAID_F32},
    {BRAID_OP_CUM_SUM, {.scan = {4, false, false}}, 1, {{X4}}, X4, BRAID_F32},
    {BRAID_OP_CUM_SUM, {.scan = {-1, false, false}}, 1, {{X4}}, X4, BRAID_F32},
    {BRAID_OP_GATHER_ELEMENTS, {.index = {.axis = 4}}, 2, {{X4}, {X4, BRAID_I64}}, X4, BRAID_F32},
    {BRAID_OP_GATHER_ELEMENTS, {.index = {.axis = 0}}, 2, {{X4}, {X4}}, X4, BRAID_F32},
    {BRAID_OP_GATHER_ELEMENTS, {.index = {.axis = 0}}, 2, {{X4}, {S(6, 8), BRAID_I64}}, X4, BRAID_F32},
    {BRAID_OP_GATHER_ELEMENTS, {.index = {.axis = 0}}, 2, {{X4}, {S(1, 5, 6, 8), BRAID_I64}}, X4, BRAID_F32},
    {BRAID_OP_GATHER_ND, {.index = {.batch_dims = 4}}, 2, {{X4}, {S(1, 4, 6, 8), BRAID_I64}}, X4, BRAID_F32},
    {BRAID_OP_GATHER_ND, {.index = {.batch_dims = -1}}, 2, {{X4}, {S(1, 1), BRAID_I64}}, X4, BRAID_F32},
    {BRAID_OP_GATHER_ND, {.index = {.batch_dims = 2}}, 2, {{X4}, {S(1, 3, 1), BRAID_I64}}, X4, BRAID_F32},
    {BRAID_OP_GATHER_ND, {.index = {.batch_dims = 0}}, 2, {{X4}, {S(1, 5), BRAID_I64}}, X4, BRAID_F32},
    {BRAID_OP_GATHER_ND, {.index = {.batch_dims = 0}}, 2, {{X4}, {SCALAR, BRAID_I64}}, X4, BRAID_F32},
    {BRAID_OP_GATHER_ND, {.index = {.batch_dims = 0}}, 2, {{X4}, {S(1, 1, 1, 1, 1, 1, 1, 1), BRAID_I64}}, X4, BRAID_F32},
    {BRAID_OP_SCATTER_ELEMENTS, {.index = {.axis = 1}}, 3, {{X4}, {X4, BRAID_I64}, {S(1, 1, 6, 8)}}, X4, BRAID_F32},
    {BRAID_OP_SCATTER_ELEMENTS, {.index = {.axis = 1}}, 3, {{X4}, {X4, BRAID_I64}, {X4, BRAID_F64}}, X4, BRAID_F32},
    {BRAID_OP_SCATTER_ELEMENTS, {.index = {.reduction = (enum braid_scatter)5}}, 3, {{X4}, {X4, BRAID_I64}, {X4}}, X4, BRAID_F32},
    {BRAID_OP_SCATTER_ND, {.index = {.axis = 0}}, 3, {{X4}, {S(7, 2), BRAID_I64}, {S(7, 6)}}, X4, BRAID_F32},
    {BRAID_OP_SCATTER_ND, {.index = {.reduction = BRAID_SCATTER_MAX}}, 3,
     {{X4, BRAID_BOOL}, {S(7, 4), BRAID_I64}, {S(7), BRAID_BOOL}}, X4, BRAID_F32},
    {BRAID_OP_TOP_K_VALUES, {.index = {.axis = 3}}, 1, {{X4}}, S(1, 4, 6, 9), BRAID_F32},
    {BRAID_OP_TOP_K_VALUES, {.index = {.axis = 3}}, 1, {{X4}}, S(1, 4, 5, 8), BRAID_F32},
    {BRAID_OP_TOP_K_INDICES, {.index = {.axis = 4}}, 1, {{X4}}, X4, BRAID_F32},
    {BRAID_OP_TOP_K_INDICES, {.index = {.axis = 3}}, 1, {{X4}}, S(1, 4, 6), BRAID_F32},
    {BRAID_OP_MAX_POOL_INDICES, POOL({7, 2}, {1, 1}, {1, 1}, {0}, false, false), 1, {{X4}}, S(1), BRAID_F32},
    {BRAID_OP_REDUCE_LOG_SUM, {.reduce = {{1}, true, false}}, 1, {{X4, BRAID_I32}}, X4, BRAID_F32},
    {BRAID_OP_REDUCE_PROD, {.reduce = {{1}, true, false}}, 1, {{X4, BRAID_BOOL}}, X4, BRAID_F32},
    {BRAID_OP_ARG_MIN, {.reduce = {{1, 1}, true, false}}, 1, {{X4}}, X4, BRAID_F32},
    {BRAID_OP_REDUCE_MEAN, {.reduce = {{0, 0, 0, 0, 1}, true, false}}, 1, {{X4}}, X4, BRAID_F32},
    {BRAID_OP_REDUCE_SUM, {.reduce = {{1}, true, false}}, 1, {{X4, BRAID_BOOL}}, X4, BRAID_F32},
    {BRAID_OP_ARG_MAX, {.reduce = {{1, 1}, true, false}}, 1, {{X4}}, X4, BRAID_F32},
    {BRAID_OP_ARG_MAX, {.reduce = {{0}, true, false}}, 1, {{X4}}, X4, BRAID_F32},
    {BRAID_OP_QUANTIZE_LINEAR, {.axis = {1, 0}}, 2, {{X4}, {S(5)}}, X4, BRAID_U8},
    {BRAID_OP_QUANTIZE_LINEAR, {.axis = {4, 0}}, 2, {{X4}, {S(4)}}, X4, BRAID_U8},
    {BRAID_OP_QUANTIZE_LINEAR, {.axis = {-1, 0}}, 2, {{X4}, {S(4)}}, X4, BRAID_U8},
    {BRAID_OP_QUANTIZE_LINEAR, {.axis = {1, 0}}, 2, {{X4}, {S(4, 1)}}, X4, BRAID_U8},
    {BRAID_OP_QUANTIZE_LINEAR, {.axis = {1, 0}}, 3, {{X4}, {S(4)}, {S(1), BRAID_U8}}, X4, BRAID_U8},
    {BRAID_OP_QUANTIZE_LINEAR, {.axis = {1, 0}}, 3, {{X4}, {SCALAR}, {SCALAR, BRAID_F32}}, X4, BRAID_F32},
    {BRAID_OP_QUANTIZE_LINEAR, {.axis = {1, 0}}, 2, {{X4, BRAID_U8}, {SCALAR}}, X4, BRAID_U8},
    {BRAID_OP_DEQUANTIZE_LINEAR, {.axis = {1, 0}}, 3, {{X4, BRAID_U8}, {SCALAR}, {SCALAR, BRAID_I8}}, X4, BRAID_F32},
    {BRAID_OP_DEQUANTIZE_LINEAR, {.axis = {1, 0}}, 2, {{X4, BRAID_I64}, {SCALAR}}, X4, BRAID_F32},
    {BRAID_OP_DEQUANTIZE_LINEAR, {.axis = {1, 0}}, 2, {{X4, BRAID_U8}, {SCALAR, BRAID_F64}}, X4, BRAID_F32},
    {BRAID_OP_CONV_TRANSPOSE, CONV({1, 1}, {1, 1}, {1, 1}, {0}, 1, {0}), 2, {{X4}, {S(4, 5, 1, 1), BRAID_BF16}}, S(1), BRAID_F32},
    QCONV(BRAID_U8, 0, 0, 4, {X4}, W8, ABSENT, {S(5)}),                                    /* reals in */
    QCONV(BRAID_U8, 0, 0, 4, {X4, BRAID_U8}, {S(5, 4, 1, 1), BRAID_U8}, ABSENT, {S(5)}),   /* other weights */
    QCONV(BRAID_U8, 0, 0, 4, {X4, BRAID_U8}, {S(5, 3, 1, 1), BRAID_I8}, ABSENT, {S(5)}),   /* of other channels */
    QCONV(BRAID_U8, 0, 0, 4, {X4, BRAID_U8}, W8, {S(5), BRAID_F32}, {S(5)}),               /* a real bias */
    QCONV(BRAID_U8, 0, 0, 4, {X4, BRAID_U8}, W8, {S(4), BRAID_I32}, {S(5)}),               /* too short a one */
    QCONV(BRAID_U8, 0, 0, 2, {X4, BRAID_U8}, W8),                                          /* no scale */
    QCONV(BRAID_U8, 0, 0, 4, {X4, BRAID_U8}, W8, ABSENT, {S(1)}),                          /* one for all */
    QCONV(BRAID_I32, 0, 0, 4, {X4, BRAID_U8}, W8, ABSENT, {S(5)}),                         /* sums have none */
    QCONV(BRAID_F16, 0, 0, 4, {X4, BRAID_U8}, W8, ABSENT, {S(5)}),                         /* another result */
    QCONV(BRAID_U8, -1, 0, 4, {X4, BRAID_U8}, W8, ABSENT, {S(5)}),                         /* zero points beyond */
    QCONV(BRAID_U8, 128, 0, 4, {X4, BRAID_I8}, W8, ABSENT, {S(5)}),                        /* their types */
    QCONV(BRAID_U8, 0, 256, 4, {X4, BRAID_U8}, W8, ABSENT, {S(5)}),
    QCONV(BRAID_U8, 0, 0, 5, {X4, BRAID_U8}, W8, ABSENT, {S(5)}, {S(1, 5, 6, 8)}),          /* a real residual */
    QCONV(BRAID_U8, 0, 0, 5, {X4, BRAID_U8}, W8, ABSENT, {S(5)}, {S(1, 5, 6, 7), BRAID_U8}), /* of another shape */
};

Test(infer, refuses_what_no_kernel_can_do) {
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    struct braid_shape shape;
    enum braid_dtype dtype;
    cr_expect_neq(try_sample(&bad[i], &shape, &dtype), BRAID_OK, "case %d (%s) was accepted", (int)i,
                  braid_op_name(bad[i].op));
  }
}

/* Errors tell the node, the operator and the shapes. */
Test(infer, says_what_is_wrong) {
  struct braid_shape shape;
  enum braid_dtype dtype;
  struct sample s = CONV_OF({3, 3}, {1, 1}, {1, 1}, {0}, 3, {0});
  cr_assert_eq(try_sample(&s, &shape, &dtype), BRAID_EINVAL);
  cr_assert_str_eq(braid_error(),
                   "node 'it' (Conv of 1x4x6x8, 5x4x3x3): 4 channels cannot be parted into 3 groups");
}

Test(infer, wants_the_shapes_it_cannot_know) {
  struct braid_graph *g = new_graph("g");
  int id, in = input(g, "in", shape4(1, 1, 2, 2));
  enum braid_op op[] = {BRAID_OP_RESHAPE, BRAID_OP_EXPAND, BRAID_OP_SLICE, BRAID_OP_RESIZE};
  for (int i = 0; i < 4; i++)
    cr_assert_eq(braid_graph_add(g, op[i], NULL, &in, 1, NULL, "x", &id), BRAID_EINVAL, "%s", braid_op_name(op[i]));
  braid_graph_destroy(&g);
}

Test(infer, refuses_more_operands_than_a_kernel_takes) {
  struct braid_graph *g = new_graph("g");
  int id, in[65];
  union braid_attrs axis = {.axis = {1, 0}};
  for (int i = 0; i < 65; i++) in[i] = i ? in[0] : input(g, "in", shape4(1, 1, 2, 2));
  cr_assert_eq(braid_graph_add(g, BRAID_OP_CONCAT, &axis, in, 65, NULL, "x", &id), BRAID_EUNSUPPORTED);
  cr_assert_eq(braid_graph_add(g, BRAID_OP_CONCAT, &axis, in, -1, NULL, "x", &id), BRAID_EUNSUPPORTED);
  must(braid_graph_add(g, BRAID_OP_CONCAT, &axis, in, 64, NULL, "x", &id));
  braid_graph_destroy(&g);
}

Test(infer, checks_constant_indices) {
  struct braid_graph *g = new_graph("g");
  static const int64_t fits[] = {0, 2, -3}, leaves[] = {0, 3}, below[] = {-4};
  static const int32_t small[] = {1, 3};
  struct {
    const void *data;
    enum braid_dtype dtype;
    int n;
    enum braid_status status;
  } sample[] = {{fits, BRAID_I64, 3, BRAID_OK}, {leaves, BRAID_I64, 2, BRAID_ESHAPE}, {below, BRAID_I64, 1, BRAID_ESHAPE}, {small, BRAID_I32, 2, BRAID_ESHAPE}};
  int id, code, in = input(g, "in", shape4(1, 3, 2, 2));
  union braid_attrs axis = {.axis = {1, 0}};
  for (int i = 0; i < 4; i++) {
    struct braid_tensor t = {(void *)(uintptr_t)sample[i].data, sample[i].dtype, braid_shape_of(1, &sample[i].n)};
    must(braid_graph_add_constant(g, NULL, &t, &code));
    cr_assert_eq(braid_graph_add(g, BRAID_OP_GATHER, &axis, (int[]){in, code}, 2, NULL, NULL, &id), sample[i].status, "%d", i);
  }
  braid_graph_destroy(&g);
}
