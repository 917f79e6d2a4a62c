/* SPDX-License-Identifier: Apache-2.0
 * What a lower precision makes of a graph: which nodes change, in which form tensors go from one to the next, and what
 * stays. That answers stay near is shown in tests/runtime/test_precision.c. */
#include "graph_help.h"

#include <math.h>
#include <string.h>

/* picture -> first (3 channels in) -> a -> {b, pool} -> concat -> c + a' (residual) -> mean -> dense */
static struct braid_graph *network(void) {
  struct braid_graph *g = new_graph("net");
  int x = input(g, "x", shape4(1, 3, 8, 8));
  int first = unary(g, BRAID_OP_RELU, conv(g, x, 8, 3, "first_conv"), "first");
  int a = unary(g, BRAID_OP_RELU, conv(g, first, 8, 3, "a_conv"), "a");
  int b = conv(g, a, 8, 1, "b");
  union braid_attrs pool = {.pool = {{3, 3}, {1, 1}, {1, 1}, {1, 1, 1, 1}, false, false, false}};
  int p = add_op(g, BRAID_OP_MAX_POOL, &pool, &a, 1, "pool");
  union braid_attrs axis = {.axis = {1, 0}};
  int joined = add_op(g, BRAID_OP_CONCAT, &axis, (int[]){b, p}, 2, "joined");
  int c = binary(g, BRAID_OP_ADD, conv(g, joined, 8, 3, "c_conv"), a, "c");
  int mean = unary(g, BRAID_OP_GLOBAL_AVERAGE_POOL, c, "mean"), flat;
  struct braid_shape row = braid_shape_of(2, (int[]){1, 8});
  must(braid_graph_add(g, BRAID_OP_RESHAPE, NULL, &mean, 1, &row, "flat", &flat));
  union braid_attrs gemm = {.gemm = {1, 1, false, true}};
  int w = weights(g, braid_shape_of(2, (int[]){5, 8}), 0, "dense_w");
  must(braid_graph_add_output(g, add_op(g, BRAID_OP_GEMM, &gemm, (int[]){flat, w}, 2, "dense")));
  must(braid_graph_seal(g, BRAID_PASS_ALL));
  return g;
}

static const struct braid_node *node_of(const struct braid_graph *g, const char *name) {
  int id = braid_graph_find(g, name);
  cr_assert_geq(id, 0, "'%s' is gone", name);
  return braid_graph_node(g, id);
}

static struct braid_range *ranges(const struct braid_graph *g, float low, float high) {
  struct braid_range *r = malloc((size_t)braid_graph_size(g) * sizeof *r);
  for (int i = 0; i < braid_graph_size(g); i++) r[i] = (struct braid_range){low, high};
  return r;
}

static struct braid_graph *lower(const struct braid_graph *g, enum braid_precision precision, struct braid_range *r) {
  struct braid_graph *low = NULL;
  must(braid_graph_lower(g, precision, r, &low));
  must(braid_graph_check(low));
  return low;
}

Test(lower, bytes_go_from_one_convolution_to_the_next) {
  struct braid_graph *g = network();
  struct braid_range *r = ranges(g, 0, 2.55f);
  struct braid_graph *low = lower(g, BRAID_PRECISION_INT8, r);
  cr_expect_eq(node_of(low, "first")->op, BRAID_OP_CONV, "the first convolution stays");
  cr_expect_eq(node_of(low, "first#uint8")->op, BRAID_OP_QUANTIZE_LINEAR);
  static const char *const bytes[] = {"a", "b"};
  for (int i = 0; i < 2; i++) {
    cr_expect_eq(node_of(low, bytes[i])->op, BRAID_OP_QLINEAR_CONV, "%s", bytes[i]);
    cr_expect_eq(node_of(low, bytes[i])->dtype, BRAID_U8, "%s", bytes[i]);
  }
  cr_expect_eq(node_of(low, "a")->act.op, BRAID_OP_RELU);
  cr_expect_eq(node_of(low, "pool")->dtype, BRAID_U8);
  cr_expect_eq(node_of(low, "joined")->dtype, BRAID_U8);
  const struct braid_node *c = node_of(low, "c");
  cr_expect_eq(c->op, BRAID_OP_QLINEAR_CONV);
  cr_expect_eq(c->dtype, BRAID_F32, "nobody wants its bytes");
  cr_expect_eq(c->in[4], braid_graph_find(low, "a"), "the residual is bytes, too");
  cr_expect_float_eq(c->attrs.qconv.r_scale, 0.01f, 1e-6);
  cr_expect_eq(node_of(low, "dense")->dtype, BRAID_F32);
  for (int id = 0; id < braid_graph_size(low); id++)
    cr_expect_neq(braid_graph_node(low, id)->op, BRAID_OP_DEQUANTIZE_LINEAR, "bytes meet bytes here");
  braid_graph_destroy(&low);
  braid_graph_destroy(&g);
  free(r);
}

/* What is moved as bytes has one scale: the widest range of those that meet. */
Test(lower, those_that_are_joined_share_a_scale) {
  struct braid_graph *g = network();
  struct braid_range *r = ranges(g, 0, 1);
  r[braid_graph_find(g, "b")] = (struct braid_range){-2, 0.55f};
  struct braid_graph *low = lower(g, BRAID_PRECISION_INT8, r);
  int zero = (int)rintf(2 * 255.0f / 3);
  cr_expect_eq(node_of(low, "a")->attrs.qconv.y_zero, zero);
  cr_expect_eq(node_of(low, "b")->attrs.qconv.y_zero, zero);
  cr_expect_eq(node_of(low, "b")->attrs.qconv.x_zero, zero);
  cr_expect_eq(node_of(low, "c")->attrs.qconv.x_zero, zero);
  cr_expect_float_eq(node_of(low, "c")->attrs.qconv.r_scale, 3 / 255.0f, 1e-6);
  cr_expect_eq(node_of(low, "a")->attrs.qconv.x_zero, 0, "that is first's");
  braid_graph_destroy(&low);
  braid_graph_destroy(&g);
  free(r);
}

Test(lower, weights_are_scaled_by_output) {
  struct braid_graph *g = network();
  struct braid_range *r = ranges(g, 0, 1);
  struct braid_graph *low = lower(g, BRAID_PRECISION_INT8, r);
  const struct braid_node *node = node_of(low, "b"), *from = node_of(g, "b");
  const int8_t *w = braid_graph_constant(low, node->in[1])->data;
  const float *scale = braid_graph_constant(low, node->in[3])->data, *real = braid_graph_constant(g, from->in[1])->data;
  for (int o = 0; o < 8; o++) {
    int most = 0;
    for (int i = 0; i < 8; i++) {
      most = abs(w[o * 8 + i]) > most ? abs(w[o * 8 + i]) : most;
      /* x and y have the same scale, so the scale of the sum is that of the weights. */
      cr_expect_leq(fabsf((float)w[o * 8 + i] * scale[o] - real[o * 8 + i]), 0.501f * scale[o]);
    }
    cr_expect_eq(most, 127, "output %d", o);
  }
  braid_graph_destroy(&low);
  braid_graph_destroy(&g);
  free(r);
}

Test(lower, without_ranges_nothing_becomes_bytes) {
  struct braid_graph *g = network(), *low = NULL;
  struct braid_range *r = ranges(g, INFINITY, -INFINITY);
  char a[65], b[65];
  low = lower(g, BRAID_PRECISION_INT8, r);
  braid_graph_hash_text(g, a);
  braid_graph_hash_text(low, b);
  cr_expect_str_eq(a, b, "the same network");
  braid_graph_destroy(&low);
  cr_expect_eq(braid_graph_lower(g, BRAID_PRECISION_INT8, NULL, &low), BRAID_EINVAL);
  cr_expect_eq(braid_graph_lower(g, BRAID_PRECISION_FP32, NULL, &low), BRAID_EINVAL);
  free(r);
  braid_graph_destroy(&g);
}

Test(lower, bfloat16_is_a_matter_of_weights) {
  struct braid_graph *g = network();
  struct braid_graph *low = lower(g, BRAID_PRECISION_BF16, NULL);
  char a[65], b[65];
  cr_expect_eq(braid_graph_size(g), braid_graph_size(low));
  static const char *const names[] = {"first", "a", "b", "c", "dense"};
  for (int i = 0; i < 5; i++) {
    const struct braid_node *node = node_of(low, names[i]), *from = node_of(g, names[i]);
    const struct braid_tensor *w = braid_graph_constant(low, node->in[1]);
    const float *real = braid_graph_constant(g, from->in[1])->data;
    cr_expect_eq(node->op, from->op);
    cr_assert_eq(w->dtype, BRAID_BF16, "%s", names[i]);
    for (int64_t k = 0; k < braid_shape_elements(&w->shape); k++) {
      uint32_t bits = (uint32_t)((const uint16_t *)w->data)[k] << 16;
      float rounded;
      memcpy(&rounded, &bits, sizeof rounded);
      cr_expect_leq(fabsf(rounded - real[k]), fabsf(real[k]) / 256, "half a unit of 8 bits");
    }
  }
  braid_graph_hash_text(g, a);
  braid_graph_hash_text(low, b);
  cr_expect_str_neq(a, b, "two sides would not notice");
  braid_graph_destroy(&low);
  braid_graph_destroy(&g);
}

Test(lower, every_tensor_can_be_seen) {
  struct braid_graph *g = network(), *all;
  int n;
  must(braid_graph_expose(g, &all));
  must(braid_graph_check(all));
  braid_graph_outputs(all, &n);
  cr_expect_eq(n, braid_graph_size(g) - 1, "all but the input");
  cr_expect(node_of(all, "joined")->is_output);
  braid_graph_destroy(&all);
  braid_graph_destroy(&g);
}

/* Every allocation fails once: an error, and nothing leaks or is freed twice. */
Test(lower, survives_without_memory) {
  struct braid_graph *g = network();
  struct braid_range *r = ranges(g, 0, 1);
  for (int precision = BRAID_PRECISION_BF16; precision <= BRAID_PRECISION_INT8; precision++)
    for (long at = 1, done = 0; !done; at++) {
      struct braid_graph *low = NULL;
      braid_alloc_fail_at(at);
      done = braid_graph_lower(g, (enum braid_precision)precision, r, &low) == BRAID_OK;
      braid_alloc_fail_at(0);
      cr_assert_eq(done, low != NULL);
      braid_graph_destroy(&low);
      cr_assert_lt(at, 2000);
    }
  free(r);
  braid_graph_destroy(&g);
}
