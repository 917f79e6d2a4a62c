/* SPDX-License-Identifier: Apache-2.0
 * Building, sealing, reading, hashing, and running out of memory at every point. */
#include "graph_help.h"

#include <string.h>

/* in -> a -> {b, c} -> d (+ a node that nobody needs) */
static struct braid_graph *diamond(void) {
  struct braid_graph *g = new_graph("diamond");
  int in = input(g, "in", shape4(1, 3, 8, 8));
  int a = conv(g, in, 4, 3, "a");
  unary(g, BRAID_OP_RELU, a, "dead");
  int b = conv(g, a, 4, 3, "b"), c = conv(g, a, 4, 1, "c");
  int d = binary(g, BRAID_OP_ADD, b, c, "d");
  must(braid_graph_add_output(g, d));
  return g;
}

Test(graph, seals_a_diamond) {
  struct braid_graph *g = diamond();
  seal_with(g, 0);
  cr_assert_eq(braid_graph_size(g), 5);
  cr_assert_eq(braid_graph_find(g, "dead"), -1);
  const struct braid_node *a = braid_graph_node(g, braid_graph_find(g, "a"));
  cr_assert_eq(a->n_readers, 2);
  cr_assert_eq(a->macs, 64 * 4 * 27);
  cr_assert_eq(a->weight_bytes, (4 * 27 + 4) * 4);
  cr_assert_eq(a->bytes, 4 * 64 * 4);
  cr_assert_eq(a->rows, 8);
  cr_assert_eq(a->slices_max, 8);
  int n;
  const int *joints = braid_graph_joints(g, &n);
  cr_assert_eq(n, 3);
  cr_assert_eq(joints[0], braid_graph_find(g, "in"));
  cr_assert_eq(joints[1], braid_graph_find(g, "a"));
  cr_assert_eq(joints[2], braid_graph_find(g, "d"));
  const struct braid_block *block = braid_graph_blocks(g, &n);
  cr_assert_eq(n, 1);
  cr_assert_eq(block->n_branches, 2);
  cr_assert_eq(braid_graph_branch_of(g, braid_graph_find(g, "b")), 1);
  cr_assert_eq(braid_graph_branch_of(g, braid_graph_find(g, "c")), 2);
  int64_t params, macs, bytes;
  braid_graph_totals(g, &params, &macs, &bytes);
  cr_assert_eq(params, (4 * 27 + 4) + (4 * 36 + 4) + (4 * 4 + 4));
  cr_assert_eq(bytes, 4 * params);
  cr_assert_eq(macs, 64 * 4 * (27 + 36 + 4));
  braid_graph_destroy(&g);
}

/* ---------------------------------------------------------------------------------------------- building */

static enum braid_status add_relu(struct braid_graph *g, int x, const char *name, int *id) {
  return braid_graph_add(g, BRAID_OP_RELU, NULL, &x, 1, NULL, name, id);
}

Test(graph, refuses_what_cannot_be_built) {
  struct braid_graph *g = new_graph("g");
  int id, in = input(g, "in", shape4(1, 1, 2, 2));
  cr_assert_eq(add_relu(g, 7, "r", &id), BRAID_EINVAL);
  cr_assert_eq(add_relu(g, BRAID_CONST(0), "r", &id), BRAID_EINVAL);
  cr_assert_eq(add_relu(g, BRAID_NONE, "r", &id), BRAID_EINVAL);
  cr_assert_eq(add_relu(g, in, "in", &id), BRAID_EINVAL);
  cr_assert(strstr(braid_error(), "'in' is taken"), "%s", braid_error());
  cr_assert_eq(braid_graph_add(g, BRAID_OP_INPUT, NULL, NULL, 0, NULL, "x", &id), BRAID_EINVAL);
  cr_assert_eq(braid_graph_add(g, BRAID_OP_COUNT, NULL, &in, 1, NULL, "x", &id), BRAID_EINVAL);
  cr_assert_eq(braid_graph_add(g, (enum braid_op)-1, NULL, &in, 1, NULL, "x", &id), BRAID_EINVAL);
  cr_assert_eq(braid_graph_add_output(g, 9), BRAID_EINVAL);
  cr_assert_eq(braid_graph_add_output(g, -1), BRAID_EINVAL);
  cr_assert_eq(braid_graph_seal(g, BRAID_PASS_ALL), BRAID_EINVAL);
  cr_assert(strstr(braid_error(), "no output"), "%s", braid_error());
  must(braid_graph_add_output(g, in));
  cr_assert_eq(braid_graph_add_output(g, in), BRAID_EINVAL);
  cr_assert_eq(braid_graph_check(g), BRAID_EINVAL);
  cr_assert_eq(braid_graph_size(g), 1);
  braid_graph_destroy(&g);
  cr_assert_null(g);
  braid_graph_destroy(&g);
}

/* What is empty may come in and go out, but nothing is computed with it. */
Test(graph, empty_tensors_are_only_passed_on) {
  struct braid_graph *g = new_graph("g");
  struct braid_shape empty = {2, {2, 0}}, other = {3, {0, 3, 1}};
  int in = input(g, "in", empty), id;
  must(braid_graph_add(g, BRAID_OP_RESHAPE, NULL, &in, 1, &other, "out", &id));
  must(braid_graph_add_output(g, id));
  cr_assert_eq(braid_graph_add(g, BRAID_OP_RELU, NULL, &in, 1, NULL, "relu", &id), BRAID_ESHAPE);
  cr_assert(strstr(braid_error(), "empty"), "%s", braid_error());
  seal_with(g, BRAID_PASS_ALL);
  cr_assert_eq(braid_graph_node(g, 1)->bytes, 0);
  cr_assert_eq(braid_graph_node(g, 1)->slices_max, 1);
  braid_graph_destroy(&g);
}

Test(graph, refuses_impossible_tensors) {
  struct braid_graph *g = new_graph("g");
  int id;
  float value = 0;
  struct braid_shape bad[] = {
      shape4(1, -1, 2, 2), shape4(1 << 12, 1 << 12, 1 << 12, 1), {9, {1}}, {-1, {1}}};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    cr_assert_eq(braid_graph_add_input(g, "in", BRAID_F32, &bad[i], &id), BRAID_ESHAPE);
    cr_assert_eq(braid_graph_add_constant(g, "c", &(struct braid_tensor){&value, BRAID_F32, bad[i]}, &id),
                 BRAID_ESHAPE);
  }
  struct braid_shape one = {1, {1}};
  cr_assert_eq(braid_graph_add_input(g, "in", BRAID_DTYPE_COUNT, &one, &id), BRAID_EINVAL);
  cr_assert_eq(braid_graph_add_constant(g, "c", &(struct braid_tensor){NULL, BRAID_F32, one}, &id), BRAID_EINVAL);
  char *odd = (char *)&value + 1;
  cr_assert_eq(braid_graph_add_constant(g, "c", &(struct braid_tensor){odd, BRAID_F16, one}, &id), BRAID_EINVAL);
  cr_assert(strstr(braid_error(), "constant 'c'"), "%s", braid_error());
  braid_graph_destroy(&g);
}

Test(graph, is_frozen_once_sealed) {
  struct braid_graph *g = diamond();
  seal_with(g, BRAID_PASS_ALL);
  int id;
  struct braid_shape one = {1, {1}};
  float value = 1;
  cr_assert_eq(add_relu(g, 0, "r", &id), BRAID_EINVAL);
  cr_assert_eq(braid_graph_add_input(g, "x", BRAID_F32, &one, &id), BRAID_EINVAL);
  cr_assert_eq(braid_graph_add_constant(g, "x", &(struct braid_tensor){&value, BRAID_F32, one}, &id), BRAID_EINVAL);
  cr_assert_eq(braid_graph_add_output(g, 0), BRAID_EINVAL);
  cr_assert_eq(braid_graph_seal(g, 0), BRAID_EINVAL);
  must(braid_graph_check(g));
  braid_graph_destroy(&g);
}

Test(graph, makes_names_for_nameless_tensors) {
  struct braid_graph *g = new_graph("g");
  int in = input(g, "in", shape4(1, 1, 2, 2));
  unary(g, BRAID_OP_RELU, in, "Relu_0"); /* as the graph would call it */
  int a = unary(g, BRAID_OP_RELU, in, NULL), b = unary(g, BRAID_OP_RELU, in, "");
  cr_assert_str_neq(braid_graph_node(g, a)->name, "Relu_0");
  cr_assert_str_neq(braid_graph_node(g, a)->name, braid_graph_node(g, b)->name);
  cr_assert_eq(braid_graph_find(g, braid_graph_node(g, b)->name), b);
  cr_assert_eq(braid_graph_find(g, "nobody"), -1);
  braid_graph_destroy(&g);
}

/* Constants are not nodes, even where their names are looked up. */
Test(graph, drops_constants_that_nobody_reads) {
  struct braid_graph *g = new_graph("g");
  int in = input(g, "in", shape4(1, 1, 2, 2));
  weights(g, shape4(1, 1, 1, 1), 1, "unused");
  int used = weights(g, shape4(1, 1, 1, 1), 2, "used");
  int sum = binary(g, BRAID_OP_ADD, in, used, "sum");
  must(braid_graph_add_output(g, binary(g, BRAID_OP_MUL, sum, used, "out")));
  cr_assert_eq(braid_graph_constants(g), 2);
  seal_with(g, 0);
  cr_assert_eq(braid_graph_constants(g), 1);
  cr_assert_str_eq(braid_graph_constant_name(g, BRAID_CONST(0)), "used");
  cr_assert_eq(braid_graph_find(g, "used"), -1);
  cr_assert_eq(*(const float *)braid_graph_constant(g, BRAID_CONST(0))->data, 2.0f);
  int64_t params, macs, bytes;
  braid_graph_totals(g, &params, &macs, &bytes);
  cr_assert_eq(params, 1);
  braid_graph_destroy(&g);
}

/* Inputs stay, in their order, even when nobody reads them; so do outputs that are inputs. */
Test(graph, keeps_inputs_and_outputs_in_order) {
  struct braid_graph *g = new_graph("g");
  int a = input(g, "a", shape4(1, 1, 2, 2)), b = input(g, "b", shape4(1, 1, 2, 2));
  int r = unary(g, BRAID_OP_RELU, b, "r");
  input(g, "late", shape4(1, 1, 1, 1));
  must(braid_graph_add_output(g, r));
  must(braid_graph_add_output(g, a));
  seal_with(g, BRAID_PASS_ALL);
  int n;
  const int *in = braid_graph_inputs(g, &n);
  cr_assert_eq(n, 3);
  cr_assert_str_eq(braid_graph_node(g, in[0])->name, "a");
  cr_assert_str_eq(braid_graph_node(g, in[2])->name, "late");
  const int *out = braid_graph_outputs(g, &n);
  cr_assert_eq(n, 2);
  cr_assert_str_eq(braid_graph_node(g, out[0])->name, "r");
  cr_assert_str_eq(braid_graph_node(g, out[1])->name, "a");
  braid_graph_destroy(&g);
}

Test(graph, lists_a_reader_once) {
  struct braid_graph *g = new_graph("g");
  int in = input(g, "in", shape4(1, 1, 2, 2)), r = unary(g, BRAID_OP_RELU, in, "r");
  must(braid_graph_add_output(g, binary(g, BRAID_OP_MUL, r, r, "square")));
  seal_with(g, 0);
  cr_assert_eq(braid_graph_node(g, r)->n_readers, 1);
  braid_graph_destroy(&g);
}

static int released;
static void count_release(void *memory) {
  released++;
  braid_free(memory);
}

Test(graph, releases_what_it_adopted) {
  struct braid_graph *g = new_graph("g");
  released = 0;
  must(braid_graph_adopt(g, braid_malloc(8), count_release));
  must(braid_graph_adopt(g, braid_malloc(8), count_release));
  cr_assert_eq(released, 0);
  braid_graph_destroy(&g);
  cr_assert_eq(released, 2);
}

/* ------------------------------------------------------------------------------------------ out of memory */

/* conv -> bn -> relu -> {concat of three, which another concat extends}, a residual, a pad: something for every pass.
 */
static enum braid_status build_all(struct braid_graph **out) {
  static const float ones[64] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
                                 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
  struct braid_shape in_shape = shape4(1, 2, 4, 4);
  float *owned = braid_malloc(sizeof ones);
  if (!owned) return BRAID_ENOMEM;
  memcpy(owned, ones, sizeof ones);
  enum braid_status status = braid_graph_create("all", out);
  if (status != BRAID_OK) {
    braid_free(owned);
    return status;
  }
  struct braid_graph *g = *out;
  BRAID_TRY(braid_graph_adopt(g, owned, braid_free));
  int in, w, v, pad, conv1, bn, relu, conv2, sum, cat1, cat2, id;
  struct braid_tensor weight = {owned, BRAID_F32, shape4(2, 2, 1, 1)}, vector = {owned, BRAID_F32, {1, {2}}};
  union braid_attrs c = {.conv = {{1, 1}, {1, 1}, {1, 1}, {0}, 1, {0}}};
  union braid_attrs p = {.pad = {.before = {0, 0, 1, 1}}}, axis = {.axis = {1, 0}};
  BRAID_TRY(braid_graph_add_input(g, "in", BRAID_F32, &in_shape, &in));
  BRAID_TRY(braid_graph_add_constant(g, "w", &weight, &w));
  BRAID_TRY(braid_graph_add_constant(g, "v", &vector, &v));
  BRAID_TRY(braid_graph_add(g, BRAID_OP_PAD, &p, &in, 1, NULL, "pad", &pad));
  BRAID_TRY(braid_graph_add(g, BRAID_OP_CONV, &c, (int[]){pad, w}, 2, NULL, "conv1", &conv1));
  BRAID_TRY(braid_graph_add(g, BRAID_OP_BATCH_NORMALIZATION, NULL, (int[]){conv1, v, v, v, v}, 5, NULL, "bn", &bn));
  BRAID_TRY(braid_graph_add(g, BRAID_OP_RELU, NULL, &bn, 1, NULL, "relu", &relu));
  BRAID_TRY(braid_graph_add(g, BRAID_OP_CONV, &c, (int[]){relu, w}, 2, NULL, "conv2", &conv2));
  BRAID_TRY(braid_graph_add(g, BRAID_OP_ADD, NULL, (int[]){conv2, relu}, 2, NULL, "sum", &sum));
  BRAID_TRY(braid_graph_add(g, BRAID_OP_CONCAT, &axis, (int[]){relu, sum}, 2, NULL, NULL, &cat1));
  BRAID_TRY(braid_graph_add(g, BRAID_OP_CONCAT, &axis, (int[]){relu, sum, relu}, 3, NULL, NULL, &cat2));
  BRAID_TRY(braid_graph_add(g, BRAID_OP_CONCAT, &axis, (int[]){cat1, cat2}, 2, NULL, "out", &id));
  BRAID_TRY(braid_graph_add_output(g, id));
  return braid_graph_seal(g, BRAID_PASS_ALL);
}

Test(graph, survives_every_failing_allocation) {
  enum braid_status status = BRAID_ENOMEM;
  long n = 0;
  while (status != BRAID_OK) {
    struct braid_graph *g = NULL;
    braid_alloc_fail_at(++n);
    status = build_all(&g);
    braid_alloc_fail_at(0);
    cr_assert(status == BRAID_OK || status == BRAID_ENOMEM, "allocation %ld: %s", n, braid_error());
    if (status == BRAID_OK) {
      must(braid_graph_check(g));
      cr_assert_eq(braid_graph_size(g), 6);
    }
    braid_graph_destroy(&g);
  }
  cr_assert_gt(n, 30);
}

/* A pass that runs out of memory leaves a graph that can be sealed again, and computes the same. */
Test(graph, can_be_sealed_again_after_running_out_of_memory) {
  char expected[65], text[65];
  struct braid_graph *g = diamond();
  seal_with(g, BRAID_PASS_ALL);
  braid_graph_hash_text(g, expected);
  braid_graph_destroy(&g);
  bool failed = true;
  for (long n = 1; failed; n++) {
    g = diamond();
    braid_alloc_fail_at(n);
    failed = braid_graph_seal(g, BRAID_PASS_ALL) != BRAID_OK;
    braid_alloc_fail_at(0);
    if (failed) must(braid_graph_seal(g, BRAID_PASS_ALL));
    must(braid_graph_check(g));
    braid_graph_hash_text(g, text);
    cr_assert_str_eq(text, expected, "allocation %ld", n);
    braid_graph_destroy(&g);
  }
}
