/* SPDX-License-Identifier: Apache-2.0 */
#include "interpret.h"

#include "braid/kernels.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *allocated(size_t bytes) {
  void *p = braid_alloc_aligned(bytes + 1);
  if (!p) abort();
  memset(p, 0, bytes + 1);
  return p;
}

static struct braid_kernel_args args_of(const struct braid_graph *graph, int id) {
  const struct braid_node *node = braid_graph_node(graph, id);
  struct braid_kernel_args args = {.op = node->op, .attrs = node->attrs, .act = node->act, .n_in = node->n_in};
  args.out = (struct braid_tensor){NULL, node->dtype, node->shape};
  for (int k = 0; k < node->n_in; k++) {
    args.present[k] = node->in[k] != BRAID_NONE;
    args.constant[k] = braid_is_const(node->in[k]);
    if (args.constant[k]) args.in[k] = *braid_graph_constant(graph, node->in[k]);
    if (!braid_is_node(node->in[k])) continue;
    const struct braid_node *x = braid_graph_node(graph, node->in[k]);
    args.in[k] = (struct braid_tensor){NULL, x->dtype, x->shape};
  }
  return args;
}

static void run(const struct braid_graph *graph, int id, const struct braid_kernel_args *args, struct braid_band band) {
  const struct braid_kernel *kernel = braid_kernel_find(args, 0);
  if (!kernel) {
    fprintf(stderr, "interpret: no kernel for '%s' (%s)\n", braid_graph_node(graph, id)->name, braid_op_name(args->op));
    abort();
  }
  void *packed = kernel->packed_bytes ? allocated(kernel->packed_bytes(args)) : NULL;
  void *scratch = kernel->scratch_bytes ? allocated(kernel->scratch_bytes(args, band.end - band.begin)) : NULL;
  if (kernel->pack) kernel->pack(args, packed);
  kernel->run(args, packed, scratch, band);
  braid_free(packed);
  braid_free(scratch);
}

static void fill_input(const struct braid_node *node, uint64_t seed, void *data) {
  int64_t n = braid_shape_elements(&node->shape);
  if (node->dtype == BRAID_F32) {
    for (int64_t i = 0; i < n; i++) ((float *)data)[i] = braid_random_f32(seed, (uint64_t)i);
  } else {
    for (size_t i = 0; i < node->bytes; i++) ((uint8_t *)data)[i] = (uint8_t)braid_random_u64(seed, i);
  }
}

struct interpretation interpret(const struct braid_graph *graph, uint64_t seed) {
  struct interpretation result = {braid_graph_size(graph), NULL};
  result.tensor = allocated((size_t)result.n * sizeof *result.tensor);
  int n_inputs;
  const int *input = braid_graph_inputs(graph, &n_inputs);
  for (int id = 0; id < result.n; id++) result.tensor[id] = allocated(braid_graph_node(graph, id)->bytes);
  for (int i = 0; i < n_inputs; i++)
    fill_input(braid_graph_node(graph, input[i]), seed + (uint64_t)i, result.tensor[input[i]]);
  for (int id = 0; id < result.n; id++) {
    const struct braid_node *node = braid_graph_node(graph, id);
    if (node->op == BRAID_OP_INPUT) continue;
    struct braid_kernel_args args = args_of(graph, id);
    for (int k = 0; k < node->n_in; k++)
      if (braid_is_node(node->in[k])) args.in[k].data = result.tensor[node->in[k]];
    args.out.data = result.tensor[id];
    run(graph, id, &args, (struct braid_band){0, node->rows});
  }
  return result;
}

void interpretation_release(struct interpretation *result) {
  for (int id = 0; id < result->n; id++) braid_free(result->tensor[id]);
  braid_free(result->tensor);
  *result = (struct interpretation){0, NULL};
}

/* 0xFF bytes are NaN as float and -1 or the largest number as integer. */
static void *spoiled_but_for(const struct braid_tensor *whole, struct braid_band band) {
  size_t bytes, part = braid_band_bytes(&whole->shape, whole->dtype, band);
  if (braid_shape_bytes(&whole->shape, whole->dtype, &bytes) != BRAID_OK) abort();
  struct braid_tensor copy = {allocated(bytes), whole->dtype, whole->shape};
  memset(copy.data, 0xFF, bytes);
  void *rows = allocated(part);
  braid_band_pack(whole, band, rows);
  braid_band_unpack(&copy, band, rows);
  braid_free(rows);
  return copy.data;
}

void interpret_band(const struct braid_graph *graph, const struct interpretation *operands, int id,
                    struct braid_band band, void *out) {
  const struct braid_node *node = braid_graph_node(graph, id);
  struct braid_kernel_args args = args_of(graph, id);
  for (int k = 0; k < node->n_in; k++) {
    if (!braid_is_node(node->in[k])) continue;
    args.in[k].data = operands->tensor[node->in[k]];
    args.in[k].data = spoiled_but_for(&args.in[k], braid_graph_needs(graph, id, k, band));
  }
  args.out.data = out;
  run(graph, id, &args, band);
  for (int k = 0; k < node->n_in; k++)
    if (braid_is_node(node->in[k])) braid_free(args.in[k].data);
}

double tensor_difference(const struct braid_node *node, const void *a, const void *b) {
  if (node->dtype != BRAID_F32) return memcmp(a, b, node->bytes) == 0 ? 0.0 : 1.0;
  const float *x = a, *y = b;
  double worst = 0.0, largest = 1.0;
  for (int64_t i = 0, n = braid_shape_elements(&node->shape); i < n; i++) {
    if (isnan(x[i]) && isnan(y[i])) continue;
    if (isnan(x[i]) || isnan(y[i])) return HUGE_VAL;
    worst = fmax(worst, fabs((double)x[i] - (double)y[i]));
    largest = fmax(largest, fabs((double)x[i]));
  }
  return worst / largest;
}
