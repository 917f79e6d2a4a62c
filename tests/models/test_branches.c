/* SPDX-License-Identifier: Apache-2.0
 * Joints, blocks and branches: hand-made networks, and random ones against the definition taken literally (a joint is a
 * node without which the sink cannot be reached; a branch is a connected component between two of them). */
#include "graph_help.h"
#include "random_graph.h"

#include <stdlib.h>
#include <string.h>

static int id_of(const struct braid_graph *g, const char *name) {
  int id = braid_graph_find(g, name);
  cr_assert_geq(id, 0, "%s", name);
  return id;
}

static int relu(struct braid_graph *g, int x, const char *name) { return unary(g, BRAID_OP_RELU, x, name); }

static int concat(struct braid_graph *g, const int *in, int n, const char *name) {
  union braid_attrs axis = {.axis = {1, 0}};
  return add_op(g, BRAID_OP_CONCAT, &axis, in, n, name);
}

static void finish(struct braid_graph *g, int out) {
  must(braid_graph_add_output(g, out));
  seal_with(g, 0);
}

/* ----------------------------------------------------------------------------------------- hand-made */

/* in -> {a1 -> a2, b, (direct)} -> join, where b forks again: b1 -> {c, d} -> b2 */
Test(branches, inception_with_a_fork_inside_a_branch) {
  struct braid_graph *g = new_graph("g");
  int in = input(g, "in", shape4(1, 1, 4, 4));
  int a = relu(g, relu(g, in, "a1"), "a2");
  int b1 = relu(g, in, "b1");
  int b2 = concat(g, (int[]){relu(g, b1, "c"), relu(g, b1, "d")}, 2, "b2");
  finish(g, relu(g, concat(g, (int[]){in, a, b2}, 3, "join"), "tail"));
  int n;
  const int *joint = braid_graph_joints(g, &n);
  cr_assert_eq(n, 3);
  cr_assert_eq(joint[1], id_of(g, "join"));
  const struct braid_block *block = braid_graph_blocks(g, &n);
  cr_assert_eq(n, 1);
  cr_assert_eq(block->n_branches, 3);
  cr_assert_eq(block->entry, id_of(g, "in"));
  cr_assert_eq(block->exit, id_of(g, "join"));
  cr_assert_eq(block->branch[0].n_nodes, 2);
  cr_assert_eq(block->branch[0].n_blocks, 0);
  cr_assert_eq(block->branch[1].n_nodes, 4);
  cr_assert_eq(block->branch[2].n_nodes, 0);
  cr_assert_eq(block->branch[1].n_blocks, 1);
  const struct braid_block *inner = block->branch[1].block;
  cr_assert_eq(inner->entry, id_of(g, "b1"));
  cr_assert_eq(inner->exit, id_of(g, "b2"));
  cr_assert_eq(inner->n_branches, 2);
  /* Depth first: 1 = {a1,a2}, 2 = {b1,c,d,b2}, 3 = {c}, 4 = {d}, 5 = direct. */
  cr_expect_eq(braid_graph_branch_of(g, id_of(g, "in")), 0);
  cr_expect_eq(braid_graph_branch_of(g, id_of(g, "a2")), 1);
  cr_expect_eq(braid_graph_branch_of(g, id_of(g, "b2")), 2);
  cr_expect_eq(braid_graph_branch_of(g, id_of(g, "c")), 3);
  cr_expect_eq(braid_graph_branch_of(g, id_of(g, "d")), 4);
  cr_expect_eq(braid_graph_branch_of(g, id_of(g, "tail")), 0);
  braid_graph_destroy(&g);
}

Test(branches, a_shortcut_is_a_branch_without_nodes) {
  struct braid_graph *g = new_graph("g");
  int in = input(g, "in", shape4(1, 2, 4, 4));
  int sum = binary(g, BRAID_OP_ADD, relu(g, relu(g, in, "r1"), "r2"), in, "sum");
  finish(g, sum);
  int n;
  const struct braid_block *block = braid_graph_blocks(g, &n);
  cr_assert_eq(n, 1);
  cr_assert_eq(block->n_branches, 2);
  cr_assert_eq(block->branch[0].n_nodes, 2);
  cr_assert_eq(block->branch[1].n_nodes, 0);
  braid_graph_destroy(&g);
}

Test(branches, a_chain_has_joints_only) {
  struct braid_graph *g = new_graph("g");
  finish(g, relu(g, relu(g, input(g, "in", shape4(1, 1, 2, 2)), "a"), "b"));
  int n;
  braid_graph_joints(g, &n);
  cr_expect_eq(n, 3);
  braid_graph_blocks(g, &n);
  cr_expect_eq(n, 0);
  braid_graph_destroy(&g);
}

/* Three cameras, each with a fork of its own, and one fused head; an input that nobody reads does not count. */
Test(branches, views_are_branches_from_the_virtual_source) {
  struct braid_graph *g = new_graph("g");
  int view[3];
  input(g, "idle", shape4(1, 1, 1, 1));
  for (int i = 0; i < 3; i++) {
    int x = relu(g, input(g, NULL, shape4(1, 1, 4, 4)), NULL);
    view[i] = concat(g, (int[]){relu(g, x, NULL), relu(g, x, NULL)}, 2, NULL);
  }
  finish(g, relu(g, concat(g, view, 3, "fused"), "out"));
  int n;
  const int *joint = braid_graph_joints(g, &n);
  cr_assert_eq(n, 3);
  cr_assert_eq(joint[0], -1);
  cr_assert_eq(joint[1], id_of(g, "fused"));
  const struct braid_block *block = braid_graph_blocks(g, &n);
  cr_assert_eq(n, 1);
  cr_assert_eq(block->entry, -1);
  cr_assert_eq(block->n_branches, 3);
  for (int i = 0; i < 3; i++) {
    cr_assert_eq(block->branch[i].n_nodes, 5);
    cr_assert_eq(block->branch[i].n_blocks, 1);
    cr_assert_eq(block->branch[i].block->n_branches, 2);
  }
  cr_expect_eq(braid_graph_branch_of(g, id_of(g, "idle")), 0);
  braid_graph_destroy(&g);
}

/* Two heads, and the trunk itself is an output, too: a direct edge to the virtual sink. */
Test(branches, heads_are_branches_to_the_virtual_sink) {
  struct braid_graph *g = new_graph("g");
  int trunk = relu(g, input(g, "in", shape4(1, 1, 4, 4)), "trunk");
  int a = relu(g, trunk, "a"), b = relu(g, trunk, "b");
  must(braid_graph_add_output(g, a));
  must(braid_graph_add_output(g, trunk));
  finish(g, b);
  int n;
  const int *joint = braid_graph_joints(g, &n);
  cr_assert_eq(n, 3);
  cr_assert_eq(joint[1], id_of(g, "trunk"));
  cr_assert_eq(joint[2], -1);
  const struct braid_block *block = braid_graph_blocks(g, &n);
  cr_assert_eq(n, 1);
  cr_assert_eq(block->exit, -1);
  cr_assert_eq(block->n_branches, 3);
  cr_assert_eq(block->branch[2].n_nodes, 0);
  braid_graph_destroy(&g);
}

/* ------------------------------------------------------------------------------- against the definition */

/* The graph with a virtual source (node n) and sink (node n+1), as the definition wants it. */
struct oracle {
  const struct braid_graph *g;
  int n;
  bool *on_path;
};

static bool reads_a_node(const struct braid_node *node) {
  for (int k = 0; k < node->n_in; k++)
    if (braid_is_node(node->in[k])) return true;
  return false;
}

/* Is an output reachable from a source without node `without`? */
static bool reachable_without(const struct oracle *o, int without) {
  bool *seen = calloc((size_t)o->n, sizeof *seen), found = false;
  for (int id = 0; id < o->n; id++) {
    const struct braid_node *node = braid_graph_node(o->g, id);
    if (!o->on_path[id] || id == without) continue;
    seen[id] = !reads_a_node(node);
    for (int k = 0; k < node->n_in; k++) seen[id] = seen[id] || (braid_is_node(node->in[k]) && seen[node->in[k]]);
    found = found || (seen[id] && node->is_output);
  }
  free(seen);
  return found;
}

static int component_of(const struct oracle *o, const bool *inside, int *component) {
  int n = 0;
  for (int id = 0; id < o->n; id++) component[id] = inside[id] ? id : -1;
  for (bool changed = true; changed;) { /* labels spread along edges until nothing changes */
    changed = false;
    for (int id = 0; id < o->n; id++)
      for (int k = 0; inside[id] && k < braid_graph_node(o->g, id)->n_in; k++) {
        int from = braid_graph_node(o->g, id)->in[k];
        if (!braid_is_node(from) || !inside[from] || component[from] == component[id]) continue;
        component[from] = component[id] = component[from] < component[id] ? component[from] : component[id];
        changed = true;
      }
  }
  for (int id = 0; id < o->n; id++) n += component[id] == id;
  return n;
}

static bool has_edge(const struct braid_graph *g, int from, int to) {
  if (to < 0) return from >= 0 && braid_graph_node(g, from)->is_output;
  if (from < 0) return !reads_a_node(braid_graph_node(g, to));
  for (int k = 0; k < braid_graph_node(g, to)->n_in; k++)
    if (braid_graph_node(g, to)->in[k] == from) return true;
  return false;
}

static void check_block(const struct oracle *o, const struct braid_block *block, int entry, int exit,
                        const int *component, int n) {
  bool direct = has_edge(o->g, entry, exit);
  cr_assert_eq(block->entry, entry);
  cr_assert_eq(block->exit, exit);
  cr_assert_eq(block->n_branches, n + direct);
  for (int b = 0; b < n; b++) {
    const struct braid_branch *branch = &block->branch[b];
    int label = component[branch->node[0]], size = 0;
    cr_assert_eq(label, branch->node[0]);
    for (int id = 0; id < o->n; id++) size += component[id] == label;
    cr_assert_eq(size, branch->n_nodes);
    for (int i = 0; i < branch->n_nodes; i++) cr_assert_eq(component[branch->node[i]], label);
  }
  if (direct) cr_assert_eq(block->branch[n].n_nodes, 0);
}

/* Blocks between the listed joints, virtual ends included whether they are joints or not. */
static void check_blocks(const struct oracle *o, const int *joint, int n_joints) {
  bool *inside = calloc((size_t)o->n, sizeof *inside);
  int *component = calloc((size_t)o->n, sizeof *component), n_blocks, listed = 0;
  const struct braid_block *block = braid_graph_blocks(o->g, &n_blocks);
  for (int j = -1; j < n_joints; j++) {
    int entry = j < 0 ? -1 : joint[j], exit = j + 1 < n_joints ? joint[j + 1] : -1;
    for (int id = 0; id < o->n; id++) inside[id] = o->on_path[id] && id > entry && (exit < 0 || id < exit);
    int n = component_of(o, inside, component);
    if (n + has_edge(o->g, entry, exit) < 2) continue;
    cr_assert_lt(listed, n_blocks);
    check_block(o, &block[listed++], entry, exit, component, n);
  }
  cr_assert_eq(listed, n_blocks);
  free(inside);
  free(component);
}

static void check_against_definition(const struct braid_graph *g) {
  struct oracle o = {g, braid_graph_size(g), calloc((size_t)braid_graph_size(g), sizeof(bool))};
  int *joint = calloc((size_t)o.n, sizeof *joint), n_joints = 0, n_sources = 0, n, n_outputs;
  for (int id = 0; id < o.n; id++) {
    const struct braid_node *node = braid_graph_node(g, id);
    o.on_path[id] = node->n_readers > 0 || node->is_output;
    n_sources += o.on_path[id] && !reads_a_node(node);
  }
  for (int id = 0; id < o.n; id++)
    if (o.on_path[id] && !reachable_without(&o, id)) joint[n_joints++] = id;
  const int *found = braid_graph_joints(g, &n);
  braid_graph_outputs(g, &n_outputs);
  cr_assert_eq(n, n_joints + (n_sources > 1) + (n_outputs > 1));
  if (n_sources > 1) cr_assert_eq(found[0], -1);
  if (n_outputs > 1) cr_assert_eq(found[n - 1], -1);
  for (int j = 0; j < n_joints; j++) cr_assert_eq(found[j + (n_sources > 1)], joint[j]);
  check_blocks(&o, joint, n_joints);
  free(joint);
  free(o.on_path);
}

Test(branches, random_graphs_match_the_definition) {
  uint64_t seed = random_graph_seed(5);
  for (int i = 0; i < 40 * RANDOM_GRAPH_FLAGS; i++) {
    struct braid_graph *g = random_graph(seed + (uint64_t)i, 2 + i % 31, (unsigned)i % RANDOM_GRAPH_FLAGS);
    seal_with(g, i % 2 ? BRAID_PASS_ALL : 0);
    check_against_definition(g);
    braid_graph_destroy(&g);
  }
}

/* Inside a branch the same holds, with the block's joints as source and sink: checked on its own subgraph. */
static struct braid_graph *branch_alone(const struct braid_graph *g, const struct braid_block *block,
                                        const struct braid_branch *branch) {
  struct braid_graph *alone = new_graph("alone");
  int *to = calloc((size_t)braid_graph_size(g), sizeof *to), id = -1;
  struct braid_shape one = {1, {1}};
  for (int i = 0; i < branch->n_nodes; i++) {
    const struct braid_node *node = braid_graph_node(g, branch->node[i]);
    int in[64], n = 0;
    for (int k = 0; k < node->n_in; k++)
      if (braid_is_node(node->in[k]) && node->in[k] != block->entry) in[n++] = to[node->in[k]];
    bool source = has_edge(g, block->entry, branch->node[i]);
    /* A node fed by the entry and by others reads an input of its own, which stands for the entry. */
    if (source) {
      must(braid_graph_add_input(alone, NULL, BRAID_F32, &one, &id));
      in[n++] = id;
    }
    if (source && n == 1) to[branch->node[i]] = id;
    else to[branch->node[i]] = add_op(alone, n == 1 ? BRAID_OP_RELU : BRAID_OP_SUM, NULL, in, n, NULL);
    if (has_edge(g, branch->node[i], block->exit)) must(braid_graph_add_output(alone, to[branch->node[i]]));
  }
  free(to);
  seal_with(alone, 0);
  return alone;
}

static int check_nested(const struct braid_graph *g, const struct braid_block *block, int n_blocks) {
  int checked = 0;
  for (int b = 0; b < n_blocks; b++)
    for (int i = 0; i < block[b].n_branches; i++) {
      const struct braid_branch *branch = &block[b].branch[i];
      if (branch->n_nodes == 0) continue;
      struct braid_graph *alone = branch_alone(g, &block[b], branch);
      int n, nested = 0;
      const struct braid_block *expected = braid_graph_blocks(alone, &n);
      /* Blocks next to the ends differ when inputs stand for the entry; those between inner joints are the same. */
      for (int k = 0; k < n; k++) nested += expected[k].entry >= 0;
      int inner = 0;
      for (int k = 0; k < branch->n_blocks; k++) inner += branch->block[k].entry != block[b].entry;
      cr_assert_eq(inner, nested);
      braid_graph_destroy(&alone);
      checked += 1 + check_nested(g, branch->block, branch->n_blocks);
    }
  return checked;
}

Test(branches, nested_branches_match_their_subgraphs) {
  uint64_t seed = random_graph_seed(6);
  int checked = 0;
  for (int i = 0; i < 20 * RANDOM_GRAPH_FLAGS; i++) {
    unsigned flags = ((unsigned)i % RANDOM_GRAPH_FLAGS) | RANDOM_GRAPH_SERIES_PARALLEL;
    struct braid_graph *g = random_graph(seed + (uint64_t)i, 10 + i % 50, flags);
    seal_with(g, 0);
    int n;
    const struct braid_block *block = braid_graph_blocks(g, &n);
    checked += check_nested(g, block, n);
    braid_graph_destroy(&g);
  }
  cr_assert_gt(checked, 100);
}

/* ------------------------------------------------------------------------------------------------ size */

/* Skip connections within skip connections, as in a very deep U-net: the worst case for nesting. */
static struct braid_graph *nested_skips(int depth) {
  struct braid_graph *g = new_graph("deep");
  int *down = calloc((size_t)depth, sizeof *down), x = input(g, "in", shape4(1, 1, 1, 1));
  for (int i = 0; i < depth; i++) x = down[i] = relu(g, x, NULL);
  for (int i = depth - 1; i >= 0; i--) x = binary(g, BRAID_OP_ADD, relu(g, x, NULL), down[i], NULL);
  finish(g, x);
  free(down);
  return g;
}

Test(branches, deep_nesting_is_cut_off_not_overrun) {
  struct braid_graph *g = nested_skips(5000);
  int n, depth = 0;
  const struct braid_block *block = braid_graph_blocks(g, &n);
  while (n == 1) {
    depth++;
    cr_assert_eq(block->n_branches, 2);
    n = block->branch[0].n_blocks;
    block = block->branch[0].block;
  }
  cr_assert_gt(depth, 50);
  braid_graph_destroy(&g);
}

Test(branches, ten_thousand_nodes_are_no_trouble) {
  struct braid_graph *g = random_graph(7, 30000, RANDOM_GRAPH_SERIES_PARALLEL);
  seal_with(g, BRAID_PASS_ALL);
  cr_assert_gt(braid_graph_size(g), 10000);
  braid_graph_destroy(&g);
}
