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
