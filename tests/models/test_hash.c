/* SPDX-License-Identifier: Apache-2.0
 * The content hash changes exactly when the content does. */
#include "graph_help.h"
#include "random_graph.h"

#include <string.h>

enum change {
  SAME,
  INNER_NAME,   /* of no concern */
  GARBAGE,      /* attributes that the operators do not use, and operands left out explicitly: neither */
  GRAPH_NAME,   /* neither */
  INPUT_NAME,
  OUTPUT_NAME,
  WEIGHT,
  WEIGHT_TYPE,
  OPERATOR,
  ATTRIBUTE,
  ACTIVATION,
  SHAPE,
  WIRING,
  EXTRA_OUTPUT,
  N_CHANGES
};

/* x -> conv -> relu6 -> {abs, neg} -> concat */
static struct braid_graph *build(enum change c, unsigned passes) {
  struct braid_graph *g = new_graph(c == GRAPH_NAME ? "another" : "g");
  int x = input(g, c == INPUT_NAME ? "y" : "x", shape4(1, 2, c == SHAPE ? 5 : 4, 4));
  union braid_attrs conv_attrs = {.conv = {{1, 1}, {1, 1}, {1, 1}, {0}, 1, {0}}};
  if (c == GARBAGE) conv_attrs.conv.output_pad[1] = 77;
  int w = weights(g, shape4(2, 2, 1, 1), c == WEIGHT ? 0.5f : 0.25f, "w");
  int conv_id =
      add_op(g, BRAID_OP_CONV, &conv_attrs, (int[]){x, w, BRAID_NONE, BRAID_NONE}, c == GARBAGE ? 4 : 2, NULL);
  union braid_attrs clip = {.unary = {0, c == ACTIVATION ? 5 : 6}},
                    leaky = {.unary = {c == ATTRIBUTE ? 0.1f : 0.2f, c == GARBAGE ? 9 : 0}};
  int y = add_op(g, BRAID_OP_CLIP, &clip, &conv_id, 1, c == INNER_NAME ? "r" : "relu6");
  int a = add_op(g, BRAID_OP_LEAKY_RELU, &leaky, &y, 1, "a");
  int b = unary(g, c == OPERATOR ? BRAID_OP_EXP : BRAID_OP_NEG, y, "b");
  union braid_attrs axis = {.axis = {1, c == GARBAGE ? 3 : 0}};
  int out =
      add_op(g, BRAID_OP_CONCAT, &axis, c == WIRING ? (int[]){b, a} : (int[]){a, b}, 2, c == OUTPUT_NAME ? "o" : "out");
  /* The same bytes as another type, read by nobody but the Cast. */
  static const uint16_t half[2];
  static const int16_t number[2];
  struct braid_tensor t = {(void *)(uintptr_t)half, BRAID_U16, {1, {2}}};
  if (c == WEIGHT_TYPE) t = (struct braid_tensor){(void *)(uintptr_t)number, BRAID_I16, {1, {2}}};
  int k;
  must(braid_graph_add_constant(g, "k", &t, &k));
  union braid_attrs cast = {.cast = {BRAID_F32}};
  must(braid_graph_add_output(g, add_op(g, BRAID_OP_CAST, &cast, &k, 1, "cast")));
  if (c == EXTRA_OUTPUT) must(braid_graph_add_output(g, a));
  must(braid_graph_add_output(g, out));
  seal_with(g, passes);
  return g;
}

Test(hash, changes_exactly_with_the_content) {
  char text[N_CHANGES][65];
  for (int c = 0; c < N_CHANGES; c++) {
    struct braid_graph *g = build((enum change)c, BRAID_PASS_ALL);
    braid_graph_hash_text(g, text[c]);
    cr_assert_eq(strlen(text[c]), 64);
    braid_graph_destroy(&g);
  }
  for (int a = 0; a < N_CHANGES; a++)
    for (int b = 0; b < a; b++) {
      bool same = a <= GRAPH_NAME && b <= GRAPH_NAME;
      cr_expect_eq(strcmp(text[a], text[b]) == 0, same, "changes %d and %d", a, b);
    }
}

/* The same on every machine and in every build: a network saved today must be known tomorrow. */
Test(hash, is_the_same_everywhere) {
  struct braid_graph *g = new_graph("g");
  must(braid_graph_add_output(g, unary(g, BRAID_OP_RELU, input(g, "x", shape4(1, 2, 3, 4)), "y")));
  seal_with(g, 0);
  char text[65], again[65];
  braid_graph_hash_text(g, text);
  braid_graph_hash_text(g, again);
  cr_expect_str_eq(text, again);
  cr_expect_str_eq(text, "4698981b2bed406370f5bdcebf3745f497da93e7093a5ef8240c8e75e92d8191");
  braid_graph_destroy(&g);
}

Test(hash, random_graphs_differ_by_seed_only) {
  uint64_t seed = random_graph_seed(8);
  for (uint64_t i = 0; i < 50; i++) {
    char text[3][65];
    for (int k = 0; k < 3; k++) {
      struct braid_graph *g = random_graph(seed + i + (k == 2 ? 1000 : 0), 12, (unsigned)i % RANDOM_GRAPH_FLAGS);
      seal_with(g, BRAID_PASS_ALL);
      braid_graph_hash_text(g, text[k]);
      braid_graph_destroy(&g);
    }
    cr_assert_str_eq(text[0], text[1]);
    cr_assert_str_neq(text[0], text[2]);
  }
}

/* Of FIPS 180-4, in one piece and byte by byte. */
Test(hash, sha256_of_a_file) {
  static const char abc[] = "abc", want[] = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
  for (size_t piece = 1; piece <= 3; piece += 2) {
    struct braid_sha256 *sha;
    char text[65];
    must(braid_sha256_create(&sha));
    for (size_t i = 0; i < 3; i += piece) braid_sha256_add(sha, abc + i, piece);
    braid_sha256_text(sha, text);
    cr_assert_str_eq(text, want);
    braid_sha256_destroy(&sha);
    cr_assert_null(sha);
  }
}
