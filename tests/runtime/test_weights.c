/* SPDX-License-Identifier: Apache-2.0
 * Packed weights of a pool: packed once however many take them, gone with the last. With kernels of the test's own,
 * whose packings are counted and can be told apart. */
#include <criterion/criterion.h>
#include <string.h>

#include "exec/bind.h"
#include "exec/weights.h"
#include "graph_help.h"

static int n_packed;

static size_t bytes_of(const struct braid_kernel_args *args) {
  return (size_t)args->in[1].shape.dim[0] * sizeof(float);
}

static void pack_first(const struct braid_kernel_args *args, void *packed) {
  memcpy(packed, args->in[1].data, bytes_of(args));
  n_packed++;
}

static void pack_other(const struct braid_kernel_args *args, void *packed) {
  memset(packed, 0x55, bytes_of(args));
  n_packed++;
}

static size_t nothing(const struct braid_kernel_args *args) {
  (void)args;
  return 0;
}

static const struct braid_kernel wide = {.name = "wide", .packed_bytes = bytes_of, .pack = pack_first},
                                 narrow = {.name = "narrow", .packed_bytes = bytes_of, .pack = pack_first},
                                 other = {.name = "other", .packed_bytes = bytes_of, .pack = pack_other},
                                 empty = {.name = "empty", .packed_bytes = nothing, .pack = pack_other},
                                 plain = {.name = "plain"};

static struct braid_graph *two_convolutions(const char *name, int channels) {
  struct braid_graph *graph = new_graph(name);
  int x = input(graph, "x", shape4(1, 4, 8, 8));
  must(braid_graph_add_output(graph, conv(graph, conv(graph, x, channels, 3, "a"), channels, 3, "b")));
  seal_with(graph, 0);
  return graph;
}

static struct exec_packed *take(struct exec_weights *weights, const struct braid_graph *graph, const char *node,
                                const struct braid_kernel *kernel) {
  struct braid_kernel_args args;
  struct exec_packed *packed = NULL;
  int id = braid_graph_find(graph, node);
  must(exec_bind_node(graph, id, &args));
  must(exec_weights_take(weights, graph, id, (struct exec_part){0, 1}, kernel, &args, &packed));
  return packed;
}

Test(weights, are_packed_once_and_go_with_the_last) {
  struct braid_graph *graph = two_convolutions("net", 4);
  struct exec_weights weights;
  exec_weights_init(&weights);
  struct exec_packed *a = take(&weights, graph, "a", &wide), *b = take(&weights, graph, "b", &wide);
  cr_assert_eq(n_packed, 2);
  cr_assert_neq(exec_packed_data(a), exec_packed_data(b));
  const struct braid_tensor *constant = braid_graph_constant(graph, braid_graph_node(graph, 1)->in[1]);
  cr_assert_eq(memcmp(exec_packed_data(a), constant->data, 16), 0);
  cr_assert_eq(take(&weights, graph, "a", &wide), a, "another program");
  cr_assert_eq(take(&weights, graph, "a", &narrow), a, "another kernel that packs alike");
  cr_assert_eq(n_packed, 2);
  struct exec_packed *x = take(&weights, graph, "a", &other);
  cr_assert_neq(x, a, "another packing");
  cr_assert_eq(n_packed, 3);
  cr_assert_null(take(&weights, graph, "a", &plain));
  cr_assert_null(take(&weights, graph, "a", &empty));
  cr_assert_null(exec_packed_data(NULL));
  cr_assert_eq(exec_weights_bytes(&weights), 3 * 16);
  exec_weights_release(&weights, NULL);
  for (int i = 0; i < 3; i++) {
    cr_assert_eq(exec_weights_bytes(&weights), 3 * 16);
    exec_weights_release(&weights, a);
  }
  cr_assert_eq(exec_weights_bytes(&weights), 2 * 16);
  exec_weights_release(&weights, x);
  exec_weights_release(&weights, b);
  cr_assert_eq(exec_weights_bytes(&weights), 0);
  exec_weights_release(&weights, take(&weights, graph, "a", &wide));
  cr_assert_eq(n_packed, 4, "what went is packed again");
  exec_weights_fini(&weights);
  braid_graph_destroy(&graph);
}

Test(weights, graphs_are_kept_apart) {
  struct braid_graph *graph[2] = {two_convolutions("net", 4), two_convolutions("net", 4)};
  struct exec_weights weights;
  exec_weights_init(&weights);
  struct exec_packed *a[2];
  for (int i = 0; i < 2; i++) a[i] = take(&weights, graph[i], "a", &wide);
  cr_assert_neq(a[0], a[1]);
  cr_assert_eq(n_packed, 2);
  exec_weights_release(&weights, a[0]);
  cr_assert_eq(take(&weights, graph[1], "a", &wide), a[1], "the other graph's is untouched");
  for (int i = 0; i < 2; i++) exec_weights_release(&weights, a[1]);
  exec_weights_fini(&weights);
  for (int i = 0; i < 2; i++) braid_graph_destroy(&graph[i]);
}

Test(weights, no_memory_takes_nothing) {
  struct braid_graph *graph = two_convolutions("net", 4);
  struct exec_weights weights;
  exec_weights_init(&weights);
  struct braid_kernel_args args;
  must(exec_bind_node(graph, 1, &args));
  for (int n = 1; n <= 2; n++) {
    struct exec_packed *packed = NULL;
    braid_alloc_fail_at(n);
    enum braid_status status = exec_weights_take(&weights, graph, 1, (struct exec_part){0, 1}, &wide, &args, &packed);
    braid_alloc_fail_at(0);
    cr_assert_eq(status, BRAID_ENOMEM);
    cr_assert(strstr(braid_error(), "'a'") || strstr(braid_error(), "node a"), "%s", braid_error());
    cr_assert_null(packed);
    cr_assert_eq(exec_weights_bytes(&weights), 0);
  }
  exec_weights_fini(&weights);
  braid_graph_destroy(&graph);
}
