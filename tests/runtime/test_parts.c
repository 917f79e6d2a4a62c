/* SPDX-License-Identifier: Apache-2.0
 * Convolutions cut by output channel: the bits of one worker, whatever their number and the kernels; channels that no
 * number of workers divides; and what cannot be cut so is not. */
#include <criterion/criterion.h>

#include "braid/kernels.h"
#include "exec/parts.h"
#include "exec_help.h"
#include "graph_help.h"

enum { PASSES = BRAID_PASS_ALL };

/* A residual block on a small map: 1x1, 3x3, 1x1 with the sum and Relu that the passes fuse into it. */
static struct braid_graph *block(int in, int inner, int out, int map) {
  struct braid_graph *graph = new_graph("block");
  int x = input(graph, "x", shape4(1, in, map, map));
  int a = conv(graph, x, out, 1, "a");
  int y = unary(graph, BRAID_OP_RELU, conv(graph, a, inner, 1, "b"), "relu");
  y = conv(graph, conv(graph, y, inner, 3, "c"), out, 1, "d");
  must(braid_graph_add_output(graph, unary(graph, BRAID_OP_RELU, binary(graph, BRAID_OP_ADD, y, a, "sum"), "last")));
  seal_with(graph, PASSES);
  return graph;
}

/* Pointwise, depthwise of both strides, and pointwise, as MobileNets have it. */
static struct braid_graph *separable(int channels, int map) {
  struct braid_graph *graph = new_graph("separable");
  int y = conv(graph, input(graph, "x", shape4(1, channels, map, map)), channels, 1, "a");
  for (int stride = 1; stride <= 2; stride++) {
    union braid_attrs attrs = {
        .conv = {.kernel = {3, 3}, .stride = {stride, stride}, .dilation = {1, 1}, .pad = {1, 1, 1, 1}, .group = channels}};
    int w = weights(graph, shape4(channels, 1, 3, 3), 0, NULL), b = weights(graph, braid_shape_of(1, &channels), 0, NULL);
    y = add_op(graph, BRAID_OP_CONV, &attrs, (int[]){y, w, b}, 3, stride == 1 ? "b" : "c");
  }
  must(braid_graph_add_output(graph, conv(graph, y, channels, 1, "d")));
  seal_with(graph, PASSES);
  return graph;
}

static int parts_of(const struct braid_graph *graph, int workers) {
  int n = 0;
  for (int i = 0; i < braid_graph_size(graph); i++) {
    const struct braid_node *node = braid_graph_node(graph, i);
    n += node->n_in > 0 && exec_parts_pay(node, &braid_graph_node(graph, node->in[0])->shape, workers);
  }
  return n;
}

static int tasks_of(const struct braid_graph *graph, int workers) {
  struct braid_pool *pool = make_pool(workers);
  struct braid_program *program = make_program(pool, graph, NULL, BRAID_EDGE, 1, braid_cpu_flags());
  struct braid_program_info info;
  braid_program_info(program, &info);
  braid_program_destroy(&program);
  braid_pool_destroy(&pool);
  return info.tasks;
}

static void same_bits(struct braid_graph *graph, uint32_t flags) {
  for (int workers = 2; workers <= 5; workers++) {
    struct io one, many;
    io_make(graph, 7, &one);
    io_make(graph, 7, &many);
    cr_assert_eq(parts_of(graph, workers), 4, "all four convolutions are to be cut");
    cr_assert_geq(tasks_of(graph, workers), 4 * workers, "%d tasks", tasks_of(graph, workers));
    run_alone(graph, NULL, 1, flags, &one);
    run_alone(graph, NULL, workers, flags, &many);
    cr_assert_eq(io_difference(&one, &many), -1, "%s: %d workers, flags %x", braid_graph_name(graph), workers, flags);
    io_free(&one);
    io_free(&many);
  }
  braid_graph_destroy(&graph);
}

Test(parts, of_channels_give_the_same_bits) {
  const uint32_t all = braid_cpu_flags();
  const uint32_t flags[] = {0, all, all & ~(uint32_t)BRAID_CPU_AVX512};
  for (int i = 0; i < 3; i++) {
    same_bits(block(512, 256, 512, 7), flags[i]);
    same_bits(block(208, 299, 330, 9), flags[i]); /* edges at the last part, and within a vector */
    same_bits(separable(1016, 14), flags[i]);
  }
}

static struct braid_node node_of(int batch, int channels, int map, int group) {
  return (struct braid_node){.op = BRAID_OP_CONV,
                             .shape = shape4(batch, channels, map, map),
                             .attrs.conv.group = group,
                             .bytes = (size_t)batch * (size_t)channels * (size_t)(map * map) * sizeof(float),
                             .weight_bytes = 1 << 30};
}

static bool possible(int batch, int channels, int map, int group, int n) {
  struct braid_node node = node_of(batch, channels, map, group);
  return exec_parts_possible(&node, &node.shape, n);
}

static bool pays(int channels, int map, int group, int n) {
  struct braid_node node = node_of(1, channels, map, group);
  return exec_parts_pay(&node, &node.shape, n);
}

Test(parts, are_not_cut_where_that_cannot_be) {
  cr_assert(possible(1, 64, 7, 1, 8));
  cr_assert_not(possible(1, 64, 7, 1, 9), "more parts than eights of channels");
  cr_assert_not(possible(2, 64, 7, 1, 2), "the channels of two images do not lie side by side");
  cr_assert_not(possible(1, 64, 7, 2, 2), "a group reads its own inputs");
  cr_assert(possible(1, 64, 7, 64, 8), "depthwise");
  cr_assert_not(possible(1, 65, 7, 65, 2), "depthwise, and one channel left over");
  cr_assert(pays(64, 14, 1, 2));
  cr_assert_not(pays(64, 14, 1, 3), "few channels a part");
  cr_assert_not(pays(64, 112, 1, 2), "a large map is cut by rows");
  cr_assert_not(pays(64, 112, 64, 2), "a large map is cut by rows");
  struct braid_node node = node_of(1, 64, 7, 1);
  node.op = BRAID_OP_CONV_TRANSPOSE;
  cr_assert_not(exec_parts_possible(&node, &node.shape, 2));
}
