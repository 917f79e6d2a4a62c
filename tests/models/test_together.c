/* SPDX-License-Identifier: Apache-2.0
 * What ONNX writes as several operators and is one of ours: put together again, step by step and to the bit; and where
 * it must not be. */
#include "graph_help.h"
#include "interpret.h"

#include <string.h>

enum { C = 4 };

/* Values of `dtype` that are all different; the graph owns them. */
static int constant(struct braid_graph *g, enum braid_dtype dtype, struct braid_shape shape, const double *value) {
  int64_t n = braid_shape_elements(&shape);
  size_t bytes;
  must(braid_shape_bytes(&shape, dtype, &bytes));
  void *data = braid_malloc(bytes);
  cr_assert_not_null(data);
  for (int64_t i = 0; i < n; i++) {
    double v = value ? *value : (double)(i * 7 % 23 - 11);
    if (dtype == BRAID_F32) ((float *)data)[i] = (float)(value ? v : v * 0.001 + 0.05);
    if (dtype == BRAID_I32) ((int32_t *)data)[i] = (int32_t)v * 100;
    if (dtype == BRAID_I8) ((int8_t *)data)[i] = (int8_t)v;
    if (dtype == BRAID_U8) ((uint8_t *)data)[i] = (uint8_t)v;
  }
  must(braid_graph_adopt(g, data, braid_free));
  int code;
  must(braid_graph_add_constant(g, NULL, &(struct braid_tensor){data, dtype, shape}, &code));
  return code;
}

static int scalar(struct braid_graph *g, enum braid_dtype dtype, double value) {
  return constant(g, dtype, braid_shape_of(0, NULL), &value);
}

static int by_channel(struct braid_graph *g, enum braid_dtype dtype) {
  return constant(g, dtype, shape4(1, C, 1, 1), NULL);
}

static int cast(struct braid_graph *g, int x, enum braid_dtype to) {
  return add_op(g, BRAID_OP_CAST, &(union braid_attrs){.cast = {to}}, &x, 1, NULL);
}

static int bytes(struct braid_graph *g, const char *name) {
  struct braid_shape shape = shape4(1, C, 5, 6);
  int id;
  must(braid_graph_add_input(g, name, BRAID_U8, &shape, &id));
  return id;
}

/* ------------------------------------------------------------------------------------ convolutions of bytes */

struct written { /* what is there, and one thing that is in the way */
  bool residual, act, result;
  double one;      /* the scale of QuantizeLinear */
  double r_zero;   /* of the residual */
  bool look;       /* the sums have another reader */
  bool one_for_all; /* the scale of the sums is a scalar */
};

static struct braid_graph *written(const struct written *how, unsigned passes) {
  struct braid_graph *g = new_graph("g");
  int x = bytes(g, "x"), r = bytes(g, "r");
  struct braid_conv_attrs window = {{3, 3}, {1, 1}, {1, 1}, {1, 1, 1, 1}, 1, {0}};
  union braid_attrs a = {.qconv = {.conv = window, .to = BRAID_I32, .x_zero = 3}};
  int w = constant(g, BRAID_I8, shape4(C, C, 3, 3), NULL);
  int sums = add_op(g, BRAID_OP_QLINEAR_CONV, &a, (int[]){x, w}, 2, "sums");
  int y = binary(g, BRAID_OP_ADD, sums, by_channel(g, BRAID_I32), "biased");
  y = cast(g, y, BRAID_F32);
  y = binary(g, BRAID_OP_MUL, y, how->one_for_all ? scalar(g, BRAID_F32, 0.01) : by_channel(g, BRAID_F32), "scaled");
  if (how->residual) {
    int real = binary(g, BRAID_OP_SUB, cast(g, r, BRAID_F32), scalar(g, BRAID_F32, how->r_zero), "above");
    y = binary(g, BRAID_OP_ADD, y, binary(g, BRAID_OP_MUL, real, scalar(g, BRAID_F32, 0.125), "other"), "both");
  }
  union braid_attrs clip = {.unary = {-20, 90}};
  if (how->act) y = add_op(g, BRAID_OP_CLIP, &clip, &y, 1, "clipped");
  union braid_attrs axis = {.axis = {0, 0}};
  int q[3] = {y, scalar(g, BRAID_F32, how->one), scalar(g, BRAID_U8, 40)};
  if (how->result) y = add_op(g, BRAID_OP_QUANTIZE_LINEAR, &axis, q, 3, "y");
  must(braid_graph_add_output(g, y));
  if (how->look) must(braid_graph_add_output(g, sums));
  seal_with(g, passes);
  return g;
}

/* The same bits as without the pass; returns what is left of it. */
static struct braid_graph *together(const struct written *how) {
  struct braid_graph *apart = written(how, 0), *g = written(how, BRAID_PASS_ALL);
  struct interpretation a = interpret(apart, 9), b = interpret(g, 9);
  int n, from = braid_graph_outputs(apart, &n)[0], to = braid_graph_outputs(g, &n)[0];
  cr_expect_eq(braid_graph_node(apart, from)->dtype, braid_graph_node(g, to)->dtype);
  cr_expect_eq(memcmp(a.tensor[from], b.tensor[to], braid_graph_node(g, to)->bytes), 0, "other results");
  interpretation_release(&a);
  interpretation_release(&b);
  braid_graph_destroy(&apart);
  return g;
}

Test(together, a_convolution_of_bytes_takes_what_follows) {
  for (int i = 0; i < 8; i++) {
    struct written how = {.residual = i & 1, .act = i & 2, .result = i & 4, .one = 1, .r_zero = 17};
    struct braid_graph *g = together(&how);
    cr_assert_eq(braid_graph_size(g), 3, "case %d: the inputs and one node, not %d", i, braid_graph_size(g));
    int n;
    const struct braid_node *node = braid_graph_node(g, braid_graph_outputs(g, &n)[0]);
    cr_expect_eq(node->op, BRAID_OP_QLINEAR_CONV);
    cr_expect_eq(node->n_in, how.residual ? 5 : 4);
    cr_expect_eq(node->act.op, how.act ? BRAID_OP_CLIP : BRAID_ACT_NONE);
    cr_expect_eq(node->attrs.qconv.to, how.result ? BRAID_U8 : BRAID_F32);
    cr_expect_eq(node->attrs.qconv.x_zero, 3);
    cr_expect_eq(node->attrs.qconv.y_zero, how.result ? 40 : 0);
    cr_expect_eq(node->attrs.qconv.r_zero, how.residual ? 17 : 0);
    braid_graph_destroy(&g);
  }
}

/* Sums that somebody else reads, a scale that is none of a channel, steps that are no bytes', a zero point that is none. */
Test(together, what_only_looks_like_it_stays) {
  struct braid_graph *g = together(&(struct written){.result = true, .act = true, .one = 1, .look = true});
  cr_expect_eq(count_op(g, BRAID_OP_QUANTIZE_LINEAR), 1, "the sums are an output");
  braid_graph_destroy(&g);
  g = together(&(struct written){.result = true, .one = 1, .one_for_all = true});
  cr_expect_eq(count_op(g, BRAID_OP_QUANTIZE_LINEAR), 1, "one scale for all");
  braid_graph_destroy(&g);
  g = together(&(struct written){.result = true, .act = true, .one = 0.5});
  cr_expect_eq(count_op(g, BRAID_OP_QUANTIZE_LINEAR), 1, "steps of a half");
  cr_expect_eq(count_op(g, BRAID_OP_CLIP), 0, "the activation went in");
  braid_graph_destroy(&g);
  static const double zero[] = {-1, 256, 0.5};
  for (int i = 0; i < 3; i++) {
    g = together(&(struct written){.residual = true, .result = true, .one = 1, .r_zero = zero[i]});
    cr_expect_eq(count_op(g, BRAID_OP_SUB), 1, "a residual of zero point %g", zero[i]);
    braid_graph_destroy(&g);
  }
}

/* ------------------------------------------------------------------------------------------------- pixels */

static struct braid_graph *pixels(bool by_one, unsigned passes) {
  struct braid_graph *g = new_graph("g");
  int y = cast(g, bytes(g, "x"), BRAID_F32);
  y = binary(g, BRAID_OP_MUL, y, by_channel(g, BRAID_F32), "scaled");
  y = binary(g, BRAID_OP_ADD, y, by_one ? scalar(g, BRAID_F32, 1) : by_channel(g, BRAID_F32), "y");
  must(braid_graph_add_output(g, y));
  seal_with(g, passes);
  return g;
}

Test(together, pixels_by_scale_and_shift_are_normalised) {
  struct braid_graph *apart = pixels(false, 0), *g = pixels(false, BRAID_PASS_ALL);
  struct braid_graph *other = pixels(true, BRAID_PASS_ALL);
  cr_assert_eq(braid_graph_size(g), 2);
  cr_expect_eq(braid_graph_node(g, 1)->op, BRAID_OP_NORMALIZE);
  struct interpretation a = interpret(apart, 2), b = interpret(g, 2);
  cr_expect_eq(memcmp(a.tensor[braid_graph_find(apart, "y")], b.tensor[1], braid_graph_node(g, 1)->bytes), 0);
  cr_expect_eq(count_op(other, BRAID_OP_NORMALIZE), 0, "one shift for all");
  interpretation_release(&a);
  interpretation_release(&b);
  braid_graph_destroy(&other);
  braid_graph_destroy(&g);
  braid_graph_destroy(&apart);
}

/* ----------------------------------------------------------------------------------------------- bfloat16 */

/* Two convolutions with the same weights, of x that went to bfloat16 and back. */
static struct braid_graph *rounded(float weight, bool round_x, unsigned passes) {
  struct braid_graph *g = new_graph("g");
  int x = input(g, "x", shape4(1, C, 5, 6)), w = weights(g, shape4(C, C, 1, 1), weight, "w");
  int half = round_x ? cast(g, cast(g, x, BRAID_BF16), BRAID_F32) : x;
  union braid_attrs a = {.conv = {{1, 1}, {1, 1}, {1, 1}, {0}, 1, {0}}};
  int y = add_op(g, BRAID_OP_CONV, &a, (int[]){half, w}, 2, "a");
  int z = add_op(g, BRAID_OP_CONV, &a, (int[]){half, w}, 2, "b");
  must(braid_graph_add_output(g, binary(g, BRAID_OP_MUL, y, z, "y")));
  seal_with(g, passes);
  return g;
}

Test(together, what_went_to_bfloat16_and_back_is_multiplied_in_it) {
  struct braid_graph *apart = rounded(0.3125f, true, 0), *g = rounded(0.3125f, true, BRAID_PASS_ALL);
  cr_expect_eq(count_op(g, BRAID_OP_CAST), 0);
  cr_expect_eq(braid_graph_constants(g), 1, "shared as before");
  const struct braid_node *conv = braid_graph_node(g, braid_graph_find(g, "a"));
  cr_expect_eq(conv->in[0], braid_graph_find(g, "x"));
  cr_expect_eq(braid_graph_constant(g, conv->in[1])->dtype, BRAID_BF16);
  struct interpretation a = interpret(apart, 2), b = interpret(g, 2);
  int y = braid_graph_find(g, "y");
  cr_expect_eq(memcmp(a.tensor[braid_graph_find(apart, "y")], b.tensor[y], braid_graph_node(g, y)->bytes), 0);
  interpretation_release(&a);
  interpretation_release(&b);
  braid_graph_destroy(&apart);
  braid_graph_destroy(&g);
  g = rounded(0.3f, true, BRAID_PASS_ALL);
  cr_expect_eq(count_op(g, BRAID_OP_CAST), 2, "0.3 is no number of bfloat16");
  braid_graph_destroy(&g);
  g = rounded(0.3125f, false, BRAID_PASS_ALL);
  cr_expect_eq(braid_graph_constant(g, braid_graph_node(g, braid_graph_find(g, "a"))->in[1])->dtype, BRAID_F32);
  braid_graph_destroy(&g);
}

/* Every allocation fails once: an error, and nothing leaks or is freed twice. */
Test(together, survives_without_memory) {
  for (long at = 1, done = 0; !done; at++) {
    struct braid_graph *g = new_graph("g");
    int y = cast(g, bytes(g, "x"), BRAID_F32);
    y = binary(g, BRAID_OP_MUL, y, by_channel(g, BRAID_F32), NULL);
    y = binary(g, BRAID_OP_ADD, y, by_channel(g, BRAID_F32), NULL);
    int w = weights(g, shape4(C, C, 1, 1), 0.5f, NULL);
    union braid_attrs a = {.conv = {{1, 1}, {1, 1}, {1, 1}, {0}, 1, {0}}};
    y = add_op(g, BRAID_OP_CONV, &a, (int[]){cast(g, cast(g, y, BRAID_BF16), BRAID_F32), w}, 2, NULL);
    must(braid_graph_add_output(g, y));
    braid_alloc_fail_at(at);
    done = braid_graph_seal(g, BRAID_PASS_ALL) == BRAID_OK;
    braid_alloc_fail_at(0);
    if (done) cr_expect_eq(braid_graph_size(g), 3);
    braid_graph_destroy(&g);
    cr_assert_lt(at, 2000);
  }
}
