/* SPDX-License-Identifier: Apache-2.0
 * The zoo against what is known of the originals: parameter and MAC counts of torchvision's exports (BatchNormalization
 * folded where the exporter can), shapes, branches. */
#include "braid/models.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static struct braid_graph *sealed(const char *name, int batch, uint64_t seed) {
  struct braid_graph *graph;
  cr_assert_eq(braid_zoo_build(name, batch, seed, &graph), BRAID_OK, "%s: %s", name, braid_error());
  cr_assert_eq(braid_graph_seal(graph, BRAID_PASS_ALL), BRAID_OK, "%s: %s", name, braid_error());
  cr_assert_eq(braid_graph_check(graph), BRAID_OK, "%s: %s", name, braid_error());
  return graph;
}

struct expected {
  const char *name;
  double params_m, mmacs; /* rounded to two and one decimals */
  int inputs, size;
  struct braid_shape output;
};
static const struct expected expected[] = {
    {"alexnet", 61.10, 714.2, 1, 224, {2, {1, 1000}}},
    {"vgg16", 138.36, 15470.3, 1, 224, {2, {1, 1000}}},
    {"googlenet", 6.62, 1498.4, 1, 224, {2, {1, 1000}}},
    {"inception_v3", 23.82, 5713.2, 1, 299, {2, {1, 1000}}},
    {"resnet18", 11.68, 1814.1, 1, 224, {2, {1, 1000}}},
    {"resnet50", 25.53, 4089.2, 1, 224, {2, {1, 1000}}},
    {"squeezenet1_1", 1.24, 349.2, 1, 224, {2, {1, 1000}}},
    {"mobilenet_v2", 3.49, 300.8, 1, 224, {2, {1, 1000}}},
    {"densenet121", 8.04, 2834.2, 1, 224, {2, {1, 1000}}},
    {"yolov2_tiny", 15.86, 3485.5, 1, 416, {4, {1, 125, 13, 13}}},
    /* four trunks, one set of weights, a head of 40 classes */
    {"mvcnn4_googlenet", 5.63, 4 * 1497.35 + 0.04, 4, 224, {2, {1, 40}}},
    {"mvcnn4_resnet18", 11.19, 4 * 1813.56 + 0.02, 4, 224, {2, {1, 40}}},
};

static void check_ends(const struct braid_graph *graph, const struct expected *e) {
  int n;
  const int *in = braid_graph_inputs(graph, &n);
  cr_assert_eq(n, e->inputs);
  for (int i = 0; i < n; i++) {
    const struct braid_node *node = braid_graph_node(graph, in[i]);
    struct braid_shape shape = braid_shape_of(4, (int[]){1, 3, e->size, e->size});
    char want[16];
    snprintf(want, sizeof want, n == 1 ? "input" : "view%d", i);
    cr_expect_str_eq(node->name, want);
    cr_expect_eq(node->dtype, BRAID_U8);
    cr_expect(braid_shape_equal(&node->shape, &shape));
    cr_expect_eq(node->n_readers, 1);
    cr_expect_eq(braid_graph_node(graph, node->reader[0])->op, BRAID_OP_NORMALIZE);
  }
  const int *out = braid_graph_outputs(graph, &n);
  cr_assert_eq(n, 1);
  cr_expect_str_eq(braid_graph_node(graph, out[0])->name, "output", "%s", e->name);
  cr_expect(braid_shape_equal(&braid_graph_node(graph, out[0])->shape, &e->output), "%s", e->name);
}

/* The exporter folds a BatchNormalization that follows a convolution: its four vectors become one bias. Counted here,
 * so that the zoo is tested on its own; after our passes no such node is left and nothing is taken off. */
static int64_t folded_params(const struct braid_graph *graph) {
  int64_t params, macs, bytes;
  braid_graph_totals(graph, &params, &macs, &bytes);
  for (int id = 0; id < braid_graph_size(graph); id++) {
    const struct braid_node *node = braid_graph_node(graph, id);
    if (node->op != BRAID_OP_BATCH_NORMALIZATION || !braid_is_node(node->in[0])) continue;
    const struct braid_node *before = braid_graph_node(graph, node->in[0]);
    bool counted = false; /* shared weights are counted once */
    for (int k = 0; k < id && !counted; k++) {
      const struct braid_node *other = braid_graph_node(graph, k);
      counted = other->op == BRAID_OP_BATCH_NORMALIZATION && other->in[1] == node->in[1];
    }
    if (before->op == BRAID_OP_CONV && before->n_readers == 1 && !counted) params -= 3 * node->shape.dim[1];
  }
  return params;
}

Test(zoo, counts_and_shapes_are_those_of_the_originals) {
  for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
    struct braid_graph *graph = sealed(expected[i].name, 1, 0);
    int64_t params, macs, bytes;
    braid_graph_totals(graph, &params, &macs, &bytes);
    params = folded_params(graph);
    cr_expect_float_eq((double)params / 1e6, expected[i].params_m, 0.0051, "%s: %.4f M parameters", expected[i].name,
                       (double)params / 1e6);
    cr_expect_float_eq((double)macs / 1e6, expected[i].mmacs, 0.06, "%s: %.3f MMAC", expected[i].name,
                       (double)macs / 1e6);
    check_ends(graph, &expected[i]);
    braid_graph_destroy(&graph);
  }
}

Test(zoo, the_table_lists_what_can_be_built) {
  int n;
  const struct braid_zoo_entry *entry = braid_zoo(&n);
  cr_assert_eq((size_t)n, sizeof expected / sizeof *expected);
  for (int i = 0; i < n; i++) {
    cr_expect_str_eq(entry[i].name, expected[i].name);
    cr_expect(*entry[i].summary && *entry[i].paper);
  }
  struct braid_graph *graph;
  cr_assert_eq(braid_zoo_build("lenet9000", 1, 0, &graph), BRAID_ENOTFOUND);
  cr_assert(strstr(braid_error(), "lenet9000"));
}

/* Blocks whose branches all hold nodes. */
static int blocks_of(const struct braid_graph *graph, int branches) {
  int n, count = 0;
  const struct braid_block *block = braid_graph_blocks(graph, &n);
  for (int i = 0; i < n; i++) count += block[i].n_branches == branches;
  return count;
}

Test(zoo, googlenet_has_nine_blocks_of_four_branches) {
  struct braid_graph *graph = sealed("googlenet", 1, 0);
  int n;
  braid_graph_blocks(graph, &n);
  cr_expect_eq(n, 9);
  cr_expect_eq(blocks_of(graph, 4), 9);
  braid_graph_destroy(&graph);
}

Test(zoo, the_views_are_branches_over_the_whole_network) {
  struct braid_graph *graph = sealed("mvcnn4_resnet18", 1, 0);
  int n;
  const struct braid_block *block = braid_graph_blocks(graph, &n);
  cr_assert_geq(n, 1);
  cr_expect_eq(block[0].entry, -1);
  cr_expect_eq(block[0].n_branches, 4);
  for (int i = 1; i < 4; i++) cr_expect_eq(block[0].branch[i].n_nodes, block[0].branch[0].n_nodes);
  braid_graph_destroy(&graph);
}

Test(zoo, weights_depend_on_seed_model_and_tensor_alone) {
  struct braid_graph *a = sealed("squeezenet1_1", 1, 5), *b = sealed("squeezenet1_1", 1, 5),
                     *c = sealed("squeezenet1_1", 1, 6);
  char ta[65], tb[65], tc[65];
  braid_graph_hash_text(a, ta);
  braid_graph_hash_text(b, tb);
  braid_graph_hash_text(c, tc);
  cr_expect_str_eq(ta, tb);
  cr_expect_str_neq(ta, tc);
  braid_graph_destroy(&a);
  braid_graph_destroy(&b);
  braid_graph_destroy(&c);
}

/* The rule in the README, for one tensor: no other element is needed to make it. */
Test(zoo, a_weight_is_what_the_rule_says) {
  struct braid_graph *graph;
  cr_assert_eq(braid_zoo_build("alexnet", 1, 7, &graph), BRAID_OK);
  uint64_t seed = 7 ^ braid_fnv1a("alexnet/features.3.weight");
  float scale = (float)(sqrt(2.0) * sqrt(3.0 / (64 * 25)));
  for (int k = 0; k < braid_graph_constants(graph); k++) {
    if (strcmp(braid_graph_constant_name(graph, BRAID_CONST(k)), "features.3.weight") != 0) continue;
    const float *w = braid_graph_constant(graph, BRAID_CONST(k))->data;
    for (uint64_t i = 0; i < 1000; i++) cr_assert_float_eq(w[i * 37], scale * braid_random_f32(seed, i * 37), 1e-7f);
    braid_graph_destroy(&graph);
    return;
  }
  cr_assert_fail("no such constant");
}

Test(zoo, batches_widen_every_tensor) {
  struct braid_graph *graph = sealed("squeezenet1_1", 3, 0);
  for (int id = 0; id < braid_graph_size(graph); id++) cr_assert_eq(braid_graph_node(graph, id)->shape.dim[0], 3);
  braid_graph_destroy(&graph);
}

/* Every allocation of a build may fail: an error, nothing leaked (asan), nothing half built. */
Test(zoo, failing_allocations_are_reported) {
  struct braid_graph *graph = NULL;
  for (long n = 1; n < 400; n += 7) {
    braid_alloc_fail_at(n);
    enum braid_status status = braid_zoo_build("squeezenet1_1", 1, 0, &graph);
    braid_alloc_fail_at(0);
    if (status == BRAID_OK)
      braid_graph_destroy(&graph);
    else
      cr_assert_eq(status, BRAID_ENOMEM, "allocation %ld: %s", n, braid_error());
  }
}
