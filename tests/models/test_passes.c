/* SPDX-License-Identifier: Apache-2.0
 * What each pass makes of a small graph, and where it must keep its hands off. That results stay the same is shown on
 * random graphs in test_random.c. */
#include "graph_help.h"

#include <math.h>
#include <string.h>

static const struct braid_node *node_of(const struct braid_graph *g, const char *name) {
  int id = braid_graph_find(g, name);
  cr_assert_geq(id, 0, "'%s' is gone", name);
  return braid_graph_node(g, id);
}

static bool gone(const struct braid_graph *g, const char *name) { return braid_graph_find(g, name) < 0; }

static void finish(struct braid_graph *g, int out, unsigned passes) {
  must(braid_graph_add_output(g, out));
  seal_with(g, passes);
}

static struct braid_graph *start(int *x) {
  struct braid_graph *g = new_graph("g");
  *x = input(g, "x", shape4(1, 2, 6, 6));
  return g;
}

static int batch_norm(struct braid_graph *g, int x, const char *name) {
  int c = braid_graph_node(g, x)->shape.dim[1], in[5] = {x};
  static const float value[] = {0, 2, 0.5f, 3, 4}; /* gamma, beta, mean, var */
  for (int k = 1; k < 5; k++) in[k] = weights(g, braid_shape_of(1, &c), value[k], NULL);
  return add_op(g, BRAID_OP_BATCH_NORMALIZATION, NULL, in, 5, name);
}

static const float *floats(const struct braid_graph *g, int operand) { return braid_graph_constant(g, operand)->data; }

/* ------------------------------------------------------------------------------------- BatchNormalization */

/* y = 2 (c - 3) / sqrt(4) + 0.5 = c - 2.5, then times 3, plus 1: 3 c - 6.5 with c = w x + b. */
Test(passes, a_chain_of_affine_nodes_goes_into_the_convolution) {
  int x;
  struct braid_graph *g = start(&x);
  union braid_attrs a = {.conv = {{1, 1}, {1, 1}, {1, 1}, {0}, 1, {0}}};
  int two = 2, w = weights(g, shape4(2, 2, 1, 1), 0.25f, "w"), b = weights(g, braid_shape_of(1, &two), 7, "b");
  int y = add_op(g, BRAID_OP_CONV, &a, (int[]){x, w, b}, 3, "conv");
  y = batch_norm(g, y, "bn");
  y = binary(g, BRAID_OP_MUL, weights(g, braid_shape_of(3, (int[]){2, 1, 1}), 3, NULL), y, "mul");
  y = binary(g, BRAID_OP_ADD, y, weights(g, braid_shape_of(0, NULL), 1, NULL), "add");
  finish(g, y, BRAID_PASS_FOLD_BATCHNORM);
  cr_assert_eq(braid_graph_size(g), 2);
  const struct braid_node *conv = node_of(g, "add");
  cr_assert_eq(conv->op, BRAID_OP_CONV);
  cr_assert_eq(braid_graph_constants(g), 2);
  cr_expect_float_eq(floats(g, conv->in[1])[3], 0.75f, 1e-6);
  cr_expect_float_eq(floats(g, conv->in[2])[1], 3 * 7 - 6.5f, 1e-5);
  braid_graph_destroy(&g);
}

Test(passes, a_gemm_folds_by_columns) {
  struct braid_graph *g = new_graph("g");
  int x = input(g, "x", braid_shape_of(2, (int[]){2, 3}));
  union braid_attrs a = {.gemm = {2, 4, false, false}};
  int w = weights(g, braid_shape_of(2, (int[]){3, 5}), 0.5f, NULL),
      c = weights(g, braid_shape_of(2, (int[]){1, 1}), 1, NULL);
  int y = add_op(g, BRAID_OP_GEMM, &a, (int[]){x, w, c}, 3, "gemm");
  finish(g, batch_norm(g, y, "bn"), BRAID_PASS_FOLD_BATCHNORM);
  const struct braid_node *gemm = node_of(g, "bn");
  cr_assert_eq(gemm->op, BRAID_OP_GEMM);
  cr_expect_eq(gemm->attrs.gemm.alpha, 2.0f);
  cr_expect_eq(gemm->attrs.gemm.beta, 1.0f);
  cr_expect_float_eq(floats(g, gemm->in[1])[14], 0.5f, 1e-6);
  cr_expect_float_eq(floats(g, gemm->in[2])[4], 4 - 2.5f, 1e-6);
  braid_graph_destroy(&g);
}

Test(passes, a_lone_batchnorm_stays_and_takes_in_what_follows) {
  int x;
  struct braid_graph *g = start(&x);
  int y = batch_norm(g, x, "bn");
  finish(g, binary(g, BRAID_OP_MUL, y, weights(g, braid_shape_of(1, (int[]){1}), 3, NULL), "mul"), BRAID_PASS_ALL);
  cr_assert_eq(braid_graph_size(g), 2);
  const struct braid_node *bn = node_of(g, "mul");
  cr_assert_eq(bn->op, BRAID_OP_BATCH_NORMALIZATION);
  cr_expect_float_eq(floats(g, bn->in[1])[0], 6, 1e-6);
  cr_expect_float_eq(floats(g, bn->in[2])[0], 1.5f, 1e-6);
  cr_expect_float_eq(floats(g, bn->in[3])[0], 3, 0);
  braid_graph_destroy(&g);
}

/* The convolution has another reader, or is an output; or the factor is not one per channel, or unknown. */
Test(passes, what_others_read_is_not_folded) {
  for (int what = 0; what < 5; what++) {
    int x;
    struct braid_graph *g = start(&x);
    int c = conv(g, x, 2, 1, "conv"), y = -1;
    if (what == 0) y = binary(g, BRAID_OP_MAX, batch_norm(g, c, "bn"), c, "max");
    if (what == 1) y = batch_norm(g, c, "bn");
    if (what == 1) must(braid_graph_add_output(g, c));
    if (what == 2) y = binary(g, BRAID_OP_MUL, c, weights(g, braid_shape_of(1, (int[]){6}), 2, NULL), "mul");
    if (what == 3) y = binary(g, BRAID_OP_ADD, c, weights(g, shape4(3, 2, 1, 1), 2, NULL), "batch");
    if (what == 4) y = binary(g, BRAID_OP_MUL, c, input(g, "factor", shape4(1, 2, 1, 1)), "mul");
    int size = braid_graph_size(g);
    finish(g, y, BRAID_PASS_FOLD_BATCHNORM);
    cr_expect_eq(braid_graph_size(g), size, "case %d", what);
    braid_graph_destroy(&g);
  }
}

/* Views that share their weights still do so afterwards; the constants of others are not touched. */
Test(passes, shared_weights_stay_shared) {
  struct braid_graph *g = new_graph("g");
  union braid_attrs a = {.conv = {{1, 1}, {1, 1}, {1, 1}, {0}, 1, {0}}};
  int w = weights(g, shape4(2, 2, 1, 1), 0.25f, "w"), vector = weights(g, braid_shape_of(1, (int[]){2}), 2, "v");
  int other = weights(g, braid_shape_of(1, (int[]){2}), 5, "other"), y[3];
  for (int i = 0; i < 3; i++) {
    int v = i < 2 ? vector : other;
    int c = add_op(g, BRAID_OP_CONV, &a, (int[]){input(g, NULL, shape4(1, 2, 3, 3)), w}, 2, NULL);
    y[i] = add_op(g, BRAID_OP_BATCH_NORMALIZATION, NULL, (int[]){c, v, v, v, v}, 5, NULL);
  }
  int raw = add_op(g, BRAID_OP_CONV, &a, (int[]){input(g, NULL, shape4(1, 2, 3, 3)), w}, 2, "raw");
  must(braid_graph_add_output(g, raw));
  finish(g, add_op(g, BRAID_OP_MAX, NULL, y, 3, "max"), BRAID_PASS_FOLD_BATCHNORM);
  const struct braid_node *max = node_of(g, "max");
  const struct braid_node *p = braid_graph_node(g, max->in[0]), *q = braid_graph_node(g, max->in[1]),
                          *r = braid_graph_node(g, max->in[2]);
  cr_expect(p->in[1] == q->in[1] && p->in[2] == q->in[2]);
  cr_expect(p->in[1] != r->in[1]);
  cr_expect_eq(floats(g, node_of(g, "raw")->in[1])[0], 0.25f);
  cr_expect_eq(braid_graph_constants(g), 5);
  braid_graph_destroy(&g);
}

/* --------------------------------------------------------------------------------- activation, residual */

Test(passes, an_activation_goes_into_its_producer) {
  int x;
  struct braid_graph *g = start(&x);
  union braid_attrs clip = {.unary = {0, 6}};
  int c = conv(g, x, 2, 3, "conv"), y = add_op(g, BRAID_OP_CLIP, &clip, &c, 1, "clip");
  finish(g, unary(g, BRAID_OP_RELU, y, "relu"), BRAID_PASS_FUSE_ACTIVATION);
  const struct braid_node *conv_node = node_of(g, "clip");
  cr_assert_eq(conv_node->op, BRAID_OP_CONV);
  cr_expect_eq(conv_node->act.op, BRAID_OP_CLIP);
  cr_expect_eq(conv_node->act.attrs.b, 6.0f);
  cr_expect_eq(node_of(g, "relu")->op, BRAID_OP_RELU);
  cr_expect(gone(g, "conv"));
  braid_graph_destroy(&g);
}

Test(passes, an_activation_stays_where_its_operand_is_needed) {
  int x;
  struct braid_graph *g = start(&x);
  int a = conv(g, x, 2, 3, "read twice"), b = conv(g, x, 2, 3, "output"), c = unary(g, BRAID_OP_EXP, x, "exp");
  must(braid_graph_add_output(g, b));
  int in[] = {unary(g, BRAID_OP_RELU, a, "relu a"), a, unary(g, BRAID_OP_RELU, b, "relu b"),
              unary(g, BRAID_OP_RELU, c, "relu c"), unary(g, BRAID_OP_RELU, x, "relu x")};
  finish(g, add_op(g, BRAID_OP_SUM, NULL, in, 5, "sum"), BRAID_PASS_FUSE_ACTIVATION);
  const char *const kept[] = {"relu a", "relu b", "relu c", "relu x"};
  for (int i = 0; i < 4; i++) cr_expect_eq(node_of(g, kept[i])->op, BRAID_OP_RELU, "%s", kept[i]);
  braid_graph_destroy(&g);
}

/* Both sides are convolutions, the shortcut's the later one: it takes the other's result. */
Test(passes, a_residual_goes_into_the_later_convolution) {
  int x;
  struct braid_graph *g = start(&x);
  int main_path = conv(g, conv(g, x, 2, 3, "c1"), 2, 3, "c2"), shortcut = conv(g, x, 2, 1, "down");
  finish(g, unary(g, BRAID_OP_RELU, binary(g, BRAID_OP_ADD, main_path, shortcut, "add"), "relu"), BRAID_PASS_ALL);
  cr_assert_eq(braid_graph_size(g), 4);
  const struct braid_node *fused = node_of(g, "relu");
  cr_assert_eq(fused->op, BRAID_OP_CONV);
  cr_expect_eq(fused->attrs.conv.kernel[0], 1);
  cr_assert_eq(fused->n_in, 4);
  cr_expect_eq(fused->in[3], braid_graph_find(g, "c2"));
  cr_expect_eq(fused->act.op, BRAID_OP_RELU);
  braid_graph_destroy(&g);
}

Test(passes, a_residual_of_another_shape_or_after_an_activation_stays_an_add) {
  int x;
  struct braid_graph *g = start(&x);
  int row = input(g, "row", shape4(1, 2, 1, 6));
  int a = binary(g, BRAID_OP_ADD, conv(g, x, 2, 3, "c1"), row, "broadcast");
  int b = binary(g, BRAID_OP_ADD, unary(g, BRAID_OP_RELU, conv(g, x, 2, 3, "c2"), "relu"), x, "activated");
  int c = conv(g, x, 2, 3, "c3");
  int d = binary(g, BRAID_OP_ADD, c, c, "twice");
  finish(g, add_op(g, BRAID_OP_SUM, NULL, (int[]){a, b, d}, 3, "sum"), BRAID_PASS_ALL);
  cr_expect_eq(node_of(g, "broadcast")->op, BRAID_OP_ADD);
  cr_expect_eq(node_of(g, "activated")->op, BRAID_OP_ADD);
  cr_expect_eq(node_of(g, "twice")->op, BRAID_OP_ADD);
  braid_graph_destroy(&g);
}

/* ------------------------------------------------------------------------------------------------- Pad */

static int pad(struct braid_graph *g, int x, double value, const char *name) {
  union braid_attrs a = {.pad = {.before = {0, 0, 1, 0}, .after = {0, 0, 2, 1}, .value = value}};
  return add_op(g, BRAID_OP_PAD, &a, &x, 1, name);
}

static int average(struct braid_graph *g, int x, int own_pad, bool counts, bool ceil_mode, const char *name) {
  union braid_attrs a = {.pool = {{3, 3}, {1, 1}, {1, 1}, {own_pad, own_pad, own_pad, own_pad}, counts, ceil_mode}};
  return add_op(g, BRAID_OP_AVERAGE_POOL, &a, &x, 1, name);
}

Test(passes, a_border_of_zeros_becomes_padding) {
  int x;
  struct braid_graph *g = start(&x);
  int p = pad(g, x, 0, "pad");
  must(braid_graph_add_output(g, average(g, p, 0, false, false, "plain")));
  must(braid_graph_add_output(g, average(g, pad(g, x, 0, NULL), 1, false, false, "not counting")));
  must(braid_graph_add_output(g, average(g, pad(g, x, 0, NULL), 0, false, true, "ceil")));
  finish(g, conv(g, p, 2, 3, "conv"), BRAID_PASS_FUSE_PAD);
  static const int expected[] = {2, 1, 3, 2};
  const struct braid_node *c = node_of(g, "conv"), *plain = node_of(g, "plain");
  cr_expect_eq(c->in[0], braid_graph_find(g, "x"));
  cr_expect_arr_eq(c->attrs.conv.pad, expected, sizeof expected);
  cr_expect_eq(plain->in[0], braid_graph_find(g, "x"));
  cr_expect(plain->attrs.pool.count_include_pad);
  cr_expect_eq(braid_graph_node(g, node_of(g, "not counting")->in[0])->op, BRAID_OP_PAD);
  cr_expect_eq(braid_graph_node(g, node_of(g, "ceil")->in[0])->op, BRAID_OP_PAD);
  cr_expect(gone(g, "pad"));
  braid_graph_destroy(&g);
}

Test(passes, other_borders_stay) {
  int x;
  struct braid_graph *g = start(&x);
  union braid_attrs edge = {.pad = {.before = {0, 0, 1}, .mode = BRAID_PAD_EDGE}};
  union braid_attrs channel = {.pad = {.before = {0, 1}}};
  must(braid_graph_add_output(g, conv(g, pad(g, x, 1, "ones"), 2, 3, NULL)));
  must(braid_graph_add_output(g, conv(g, add_op(g, BRAID_OP_PAD, &edge, &x, 1, "edge"), 2, 3, NULL)));
  finish(g, conv(g, add_op(g, BRAID_OP_PAD, &channel, &x, 1, "channel"), 2, 3, NULL), BRAID_PASS_FUSE_PAD);
  cr_expect(!gone(g, "ones") && !gone(g, "edge") && !gone(g, "channel"));
  braid_graph_destroy(&g);
}

/* ---------------------------------------------------------------------------------------------- Concat */

static int concat(struct braid_graph *g, const int *in, int n, int axis, const char *name) {
  union braid_attrs a = {.axis = {axis, 0}};
  return add_op(g, BRAID_OP_CONCAT, &a, in, n, name);
}

Test(passes, joins_refer_to_the_longest_join_of_a_prefix) {
  int x;
  struct braid_graph *g = start(&x);
  int t[4] = {x};
  for (int i = 1; i < 4; i++) t[i] = conv(g, x, 2, 1, NULL);
  must(braid_graph_add_output(g, concat(g, t, 2, 1, "two")));
  must(braid_graph_add_output(g, concat(g, t, 3, 1, "three")));
  must(braid_graph_add_output(g, concat(g, t, 3, 2, "rows")));
  concat(g, t + 1, 2, 1, "dead");
  must(braid_graph_add_output(g, concat(g, t + 1, 3, 1, "tail")));
  finish(g, concat(g, t, 4, 1, "four"), BRAID_PASS_CHAIN_CONCAT);
  const struct braid_node *four = node_of(g, "four"), *three = node_of(g, "three");
  cr_assert_eq(four->n_in, 2);
  cr_expect_eq(four->in[0], braid_graph_find(g, "three"));
  cr_assert_eq(three->n_in, 2);
  cr_expect_eq(three->in[0], braid_graph_find(g, "two"));
  cr_expect_eq(node_of(g, "rows")->n_in, 3);
  cr_expect_eq(node_of(g, "tail")->n_in, 3);
  cr_expect(gone(g, "dead"));
  braid_graph_destroy(&g);
}

/* --------------------------------------------------------------------------------------------- identities */

Test(passes, identities_vanish) {
  int x;
  struct braid_graph *g = start(&x);
  struct braid_shape same = shape4(1, 2, 6, 6);
  union braid_attrs perm = {.transpose = {{0, 1, 2, 3}}}, slice = {.slice = {.step = {1, 1, 1, 1}}},
                    cast = {.cast = {BRAID_F32}};
  static const union braid_attrs none;
  int y = unary(g, BRAID_OP_EXP, x, "exp"), id;
  must(braid_graph_add(g, BRAID_OP_RESHAPE, NULL, &y, 1, &same, "reshape", &id));
  must(braid_graph_add(g, BRAID_OP_SLICE, &slice, &id, 1, &same, "slice", &id));
  must(braid_graph_add(g, BRAID_OP_EXPAND, NULL, &id, 1, &same, "expand", &id));
  id = add_op(g, BRAID_OP_TRANSPOSE, &perm, &id, 1, "transpose");
  id = add_op(g, BRAID_OP_PAD, &none, &id, 1, "pad");
  id = add_op(g, BRAID_OP_CAST, &cast, &id, 1, "cast");
  id = concat(g, &id, 1, 1, "concat");
  id = add_op(g, BRAID_OP_MEAN, NULL, &id, 1, "mean");
  finish(g, unary(g, BRAID_OP_LOG, id, "log"), 0);
  cr_expect_eq(braid_graph_size(g), 3);
  cr_expect_eq(node_of(g, "log")->in[0], braid_graph_find(g, "exp"));
  braid_graph_destroy(&g);
}

/* An output has a name to keep. */
Test(passes, an_identity_that_is_an_output_becomes_its_operand) {
  int x;
  struct braid_graph *g = start(&x);
  struct braid_shape same = shape4(1, 2, 6, 6);
  int y = unary(g, BRAID_OP_EXP, x, "exp"), id, copy;
  must(braid_graph_add(g, BRAID_OP_RESHAPE, NULL, &y, 1, &same, "y", &id));
  must(braid_graph_add(g, BRAID_OP_RESHAPE, NULL, &x, 1, &same, "copy", &copy));
  must(braid_graph_add_output(g, copy));
  finish(g, id, 0);
  cr_expect_eq(node_of(g, "y")->op, BRAID_OP_EXP);
  cr_expect_eq(node_of(g, "copy")->op, BRAID_OP_RESHAPE);
  cr_expect(gone(g, "exp"));
  braid_graph_destroy(&g);
}

/* Mixed or flipped elements keep their node even when the shape stays. */
Test(passes, what_looks_like_an_identity_stays) {
  int x;
  struct braid_graph *g = start(&x);
  union braid_attrs perm = {.transpose = {{0, 1, 3, 2}}}, flip = {.slice = {{0, 0, 5, 0}, {1, 1, -1, 1}}};
  struct braid_shape same = shape4(1, 2, 6, 6);
  int id;
  must(braid_graph_add(g, BRAID_OP_SLICE, &flip, &x, 1, &same, "flip", &id));
  finish(g, unary(g, BRAID_OP_EXP, add_op(g, BRAID_OP_TRANSPOSE, &perm, &id, 1, "turn"), "out"), BRAID_PASS_ALL);
  cr_expect(!gone(g, "flip") && !gone(g, "turn"));
  braid_graph_destroy(&g);
}

/* --------------------------------------------------------------------------------------- 16-bit floats */

static int half_constant(struct braid_graph *g, int n, const uint16_t *bits) {
  uint16_t *data = braid_malloc((size_t)n * sizeof *data);
  int code;
  cr_assert(data);
  memcpy(data, bits, (size_t)n * sizeof *data);
  must(braid_graph_adopt(g, data, braid_free));
  must(braid_graph_add_constant(g, "half", &(struct braid_tensor){data, BRAID_F16, braid_shape_of(1, &n)}, &code));
  return code;
}

/* 1.5, the least denormal, -infinity, no number, -0, the largest, the least normal, -2. */
Test(passes, what_computes_with_16_bits_is_widened) {
  static const uint16_t bits[] = {0x3e00, 0x0001, 0xfc00, 0x7e01, 0x8000, 0x7bff, 0x0400, 0xc000};
  static const float value[] = {1.5f, 0x1p-24f, -INFINITY, NAN, -0.0f, 65504, 0x1p-14f, -2};
  struct braid_graph *g = new_graph("g");
  struct braid_shape shape = braid_shape_of(1, (int[]){8});
  union braid_attrs half = {.cast = {BRAID_F16}}, wide = {.cast = {BRAID_F32}};
  int x;
  must(braid_graph_add_input(g, "x", BRAID_F16, &shape, &x));
  int sum = binary(g, BRAID_OP_ADD, x, half_constant(g, 8, bits), "sum");
  int root = unary(g, BRAID_OP_SQRT, sum, "root");
  must(braid_graph_add_output(g, root)); /* read on, too */
  int rounded = add_op(g, BRAID_OP_CAST, &half, &root, 1, "rounded");
  finish(g, add_op(g, BRAID_OP_CAST, &wide, &rounded, 1, "real"), BRAID_PASS_ALL);
  must(braid_graph_check(g));

  cr_expect_eq(node_of(g, "x")->dtype, BRAID_F16);
  cr_expect_eq(node_of(g, "root")->dtype, BRAID_F16, "the declared type is kept");
  cr_expect_eq(node_of(g, "root")->op, BRAID_OP_CAST);
  cr_expect_eq(node_of(g, "real")->dtype, BRAID_F32);
  const struct braid_node *add = node_of(g, "sum");
  cr_expect_eq(add->dtype, BRAID_F32);
  for (int i = 0; i < 8; i++) {
    float got = floats(g, add->in[1])[i];
    cr_expect(isnan(value[i]) ? isnan(got) : memcmp(&got, &value[i], sizeof got) == 0, "[%d]: %g, not %g", i,
              (double)got, (double)value[i]);
  }
  int n;
  const int *out = braid_graph_outputs(g, &n);
  cr_assert_eq(n, 2);
  cr_expect_eq(out[0], braid_graph_find(g, "root"), "outputs keep their order");
  cr_expect_eq(braid_graph_size(g), 6); /* x, x#float32, sum, root#float32, root, real: `rounded` is root once more */
  braid_graph_destroy(&g);
}

Test(passes, a_cast_of_16_bits_alone_is_left_alone) {
  struct braid_graph *g = new_graph("g");
  struct braid_shape shape = braid_shape_of(1, (int[]){8});
  union braid_attrs wide = {.cast = {BRAID_F32}};
  int x;
  must(braid_graph_add_input(g, "x", BRAID_BF16, &shape, &x));
  finish(g, add_op(g, BRAID_OP_CAST, &wide, &x, 1, "y"), BRAID_PASS_ALL);
  cr_expect_eq(braid_graph_size(g), 2);
  braid_graph_destroy(&g);
}

/* Every allocation of the widening fails once: an error, and nothing leaks or is freed twice. */
Test(passes, widening_survives_without_memory) {
  static const uint16_t one[] = {0x3c00};
  struct braid_shape shape = braid_shape_of(1, (int[]){1});
  bool done = false;
  for (long at = 1; !done; at++) {
    struct braid_graph *g = new_graph("g");
    int x;
    must(braid_graph_add_input(g, "x", BRAID_F16, &shape, &x));
    must(braid_graph_add_output(g, binary(g, BRAID_OP_MUL, x, half_constant(g, 1, one), "y")));
    braid_alloc_fail_at(at);
    done = braid_graph_seal(g, BRAID_PASS_ALL) == BRAID_OK;
    braid_alloc_fail_at(0);
    braid_graph_destroy(&g);
    cr_assert_lt(at, 1000);
  }
}
