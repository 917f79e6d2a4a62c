/* SPDX-License-Identifier: Apache-2.0
 * braid_graph_needs against a definition by enumeration: exact for windows, sufficient for Resize, and the rules for
 * broadcasting, joining and what mixes rows. */
#include "graph_help.h"
#include "random_graph.h"

struct window {
  int rows, taps, stride, dilation, before, after;
};

/* Rows of all taps of all output rows in the band, one after the other. */
static struct braid_band rows_read(const struct window *w, struct braid_band out) {
  struct braid_band band = {w->rows, 0};
  for (int o = out.begin; o < out.end; o++)
    for (int t = 0; t < w->taps; t++) {
      int row = o * w->stride - w->before + t * w->dilation;
      if (row < 0 || row >= w->rows) continue;
      if (row < band.begin) band.begin = row;
      if (row + 1 > band.end) band.end = row + 1;
    }
  return band.begin < band.end ? band : (struct braid_band){0, 0};
}

static struct window random_window(uint64_t seed, uint64_t *at) {
#define PICK(n) ((int)(braid_random_u64(seed, (*at)++) % (uint64_t)(n)))
  return (struct window){1 + PICK(12), 1 + PICK(5), 1 + PICK(4), 1 + PICK(3), PICK(8), PICK(8)};
#undef PICK
}

/* BRAID_OK when the window fits; the graph is then sealed. */
static enum braid_status window_graph(const struct window *w, bool pool, bool ceil_mode, struct braid_graph **out) {
  struct braid_graph *g = new_graph("g");
  int in = input(g, "in", shape4(1, 1, w->rows, 1)), id;
  int weight = weights(g, shape4(1, 1, w->taps, 1), 1, "w");
  union braid_attrs c = {.conv = {{w->taps, 1}, {w->stride, 1}, {w->dilation, 1}, {w->before, 0, w->after, 0}, 1, {0}}};
  union braid_attrs p = {
      .pool = {{w->taps, 1}, {w->stride, 1}, {w->dilation, 1}, {w->before, 0, w->after, 0}, false, ceil_mode}};
  enum braid_status status = pool ? braid_graph_add(g, BRAID_OP_MAX_POOL, &p, &in, 1, NULL, "it", &id)
                                  : braid_graph_add(g, BRAID_OP_CONV, &c, (int[]){in, weight}, 2, NULL, "it", &id);
  if (status == BRAID_OK) {
    must(braid_graph_add_output(g, id));
    seal_with(g, 0);
    *out = g;
  } else {
    braid_graph_destroy(&g);
  }
  return status;
}

Test(bands, windows_need_exactly_what_they_read) {
  uint64_t seed = random_graph_seed(3), at = 0;
  int accepted = 0;
  for (int i = 0; i < 4000; i++) {
    struct window w = random_window(seed, &at);
    struct braid_graph *g;
    if (window_graph(&w, i % 2, i % 4 == 1, &g) != BRAID_OK) continue;
    accepted++;
    int rows = braid_graph_node(g, 1)->rows;
    for (int begin = 0; begin < rows; begin++)
      for (int end = begin + 1; end <= rows; end++) {
        struct braid_band expected = rows_read(&w, (struct braid_band){begin, end});
        struct braid_band band = braid_graph_needs(g, 1, 0, (struct braid_band){begin, end});
        cr_assert(
            band.begin == expected.begin && band.end == expected.end,
            "seed %d case %d: rows %d taps %d stride %d dilation %d pads %d,%d: [%d,%d) needs [%d,%d), not [%d,%d)",
            (int)seed, i, w.rows, w.taps, w.stride, w.dilation, w.before, w.after, begin, end, expected.begin,
            expected.end, band.begin, band.end);
      }
    braid_graph_destroy(&g);
  }
  cr_assert_gt(accepted, 1000);
}

/* Every window of an accepted pool reads something. */
Test(bands, no_pool_reads_padding_alone) {
  uint64_t seed = random_graph_seed(4), at = 0;
  for (int i = 0; i < 4000; i++) {
    struct window w = random_window(seed, &at);
    struct braid_graph *g;
    bool accepted = window_graph(&w, true, i % 2, &g) == BRAID_OK;
    if (!accepted) continue;
    for (int o = 0; o < braid_graph_node(g, 1)->rows; o++) {
      struct braid_band read = rows_read(&w, (struct braid_band){o, o + 1});
      cr_assert_lt(read.begin, read.end, "seed %d case %d row %d", (int)seed, i, o);
    }
    braid_graph_destroy(&g);
  }
}

static void expect_band(const struct braid_graph *g, int id, int k, struct braid_band out, int begin, int end) {
  struct braid_band band = braid_graph_needs(g, id, k, out);
  cr_expect(band.begin == begin && band.end == end, "'%s' operand %d: [%d,%d), not [%d,%d)",
            braid_graph_node(g, id)->name, k, band.begin, band.end, begin, end);
}

static struct braid_graph *sealed_at(struct braid_graph *g, int id) {
  must(braid_graph_add_output(g, id));
  seal_with(g, 0);
  return g;
}

Test(bands, broadcast_operands_are_needed_as_a_whole) {
  struct braid_graph *g = new_graph("g");
  int x = input(g, "x", shape4(1, 2, 6, 3)), row = input(g, "row", shape4(1, 2, 1, 3));
  int plane = input(g, "plane", braid_shape_of(2, (int[]){6, 3}));
  int sum = add_op(g, BRAID_OP_SUM, NULL, (int[]){x, row, plane}, 3, "sum");
  sealed_at(g, sum);
  struct braid_band out = {2, 4};
  expect_band(g, sum, 0, out, 2, 4);
  expect_band(g, sum, 1, out, 0, 1);
  expect_band(g, sum, 2, out, 0, 3);
  expect_band(g, sum, 0, (struct braid_band){3, 3}, 0, 0);
  cr_expect_eq(braid_graph_node(g, sum)->slices_max, 6);
  braid_graph_destroy(&g);
}

Test(bands, joins_along_rows_need_the_part_they_show) {
  struct braid_graph *g = new_graph("g");
  int a = input(g, "a", shape4(1, 2, 3, 3)), b = input(g, "b", shape4(1, 2, 4, 3));
  union braid_attrs axis = {.axis = {2, 0}};
  int cat = add_op(g, BRAID_OP_CONCAT, &axis, (int[]){a, b}, 2, "cat");
  sealed_at(g, cat);
  expect_band(g, cat, 0, (struct braid_band){1, 5}, 1, 3);
  expect_band(g, cat, 1, (struct braid_band){1, 5}, 0, 2);
  expect_band(g, cat, 0, (struct braid_band){3, 7}, 0, 0);
  expect_band(g, cat, 1, (struct braid_band){0, 3}, 0, 0);
  cr_expect_eq(braid_graph_node(g, cat)->slices_max, 1);
  braid_graph_destroy(&g);
}

Test(bands, a_residual_is_needed_row_by_row) {
  struct braid_graph *g = new_graph("g");
  int x = input(g, "x", shape4(1, 2, 6, 6)), c = conv(g, x, 2, 3, "c");
  must(braid_graph_add_output(g, binary(g, BRAID_OP_ADD, c, x, "sum")));
  seal_with(g, BRAID_PASS_ALL);
  int sum = braid_graph_find(g, "sum");
  cr_assert_eq(braid_graph_node(g, sum)->op, BRAID_OP_CONV);
  expect_band(g, sum, 0, (struct braid_band){2, 3}, 1, 4);
  expect_band(g, sum, 3, (struct braid_band){2, 3}, 2, 3);
  braid_graph_destroy(&g);
}

static int slices_of(enum braid_op op, union braid_attrs attrs, struct braid_shape shape,
                     const struct braid_shape *hint) {
  struct braid_graph *g = new_graph("g");
  int in = input(g, "in", shape), id;
  must(braid_graph_add(g, op, &attrs, &in, 1, hint, "it", &id));
  sealed_at(g, id);
  struct braid_band first = braid_graph_needs(g, id, 0, (struct braid_band){0, 1});
  int slices = braid_graph_node(g, id)->slices_max;
  if (slices == 1) cr_expect(first.begin == 0 && first.end == braid_graph_node(g, in)->rows, "%s", braid_op_name(op));
  braid_graph_destroy(&g);
  return slices;
}

Test(bands, what_mixes_rows_is_not_sliced) {
  struct braid_shape x = shape4(1, 4, 6, 6), flat = braid_shape_of(2, (int[]){1, 144}),
                     matrix = braid_shape_of(2, (int[]){3, 5});
  static const union braid_attrs none;
  union braid_attrs channels = {.axis = {1, 2}}, rows = {.axis = {2, 3}}, all = {.axis = {1, 4}};
  cr_expect_eq(slices_of(BRAID_OP_SOFTMAX, channels, x, NULL), 6);
  cr_expect_eq(slices_of(BRAID_OP_SOFTMAX, rows, x, NULL), 1);
  cr_expect_eq(slices_of(BRAID_OP_LOG_SOFTMAX, all, x, NULL), 1);
  cr_expect_eq(slices_of(BRAID_OP_SOFTMAX, channels, matrix, NULL), 1);
  cr_expect_eq(slices_of(BRAID_OP_RESHAPE, none, x, &flat), 1);
  cr_expect_eq(slices_of(BRAID_OP_GLOBAL_AVERAGE_POOL, none, x, NULL), 1);
  cr_expect_eq(slices_of(BRAID_OP_RELU, none, x, NULL), 6);
  cr_expect_eq(slices_of(BRAID_OP_RELU, none, matrix, NULL), 5);
  cr_expect_eq(slices_of(BRAID_OP_TRANSPOSE, (union braid_attrs){.transpose = {{0, 1, 3, 2}}}, x, NULL), 1);
}

Test(bands, dense_layers_are_sliced_by_columns_of_constant_weights) {
  struct braid_graph *g = new_graph("g");
  int x = input(g, "x", braid_shape_of(2, (int[]){1, 7})), y = input(g, "y", braid_shape_of(2, (int[]){7, 5}));
  union braid_attrs attrs = {.gemm = {1, 1, false, false}};
  int w = weights(g, braid_shape_of(2, (int[]){7, 5}), 0, "w");
  int dense = add_op(g, BRAID_OP_GEMM, &attrs, (int[]){x, w}, 2, "dense");
  int product = add_op(g, BRAID_OP_GEMM, &attrs, (int[]){x, y}, 2, "product");
  must(braid_graph_add_output(g, product));
  sealed_at(g, dense);
  dense = braid_graph_find(g, "dense");
  cr_expect_eq(braid_graph_node(g, dense)->slices_max, 5);
  cr_expect_eq(braid_graph_node(g, dense)->macs, 35);
  cr_expect_eq(braid_graph_node(g, braid_graph_find(g, "product"))->slices_max, 1);
  expect_band(g, dense, 0, (struct braid_band){1, 2}, 0, 7);
  braid_graph_destroy(&g);
}
