/* SPDX-License-Identifier: Apache-2.0
 * Tensors to measure with. */
#include "exec/tensors.h"

#include <string.h>

static void fill(const struct braid_tensor *t, size_t bytes, uint64_t seed) {
  if (t->dtype == BRAID_F32)
    for (size_t i = 0; i < bytes / sizeof(float); i++) ((float *)t->data)[i] = braid_random_f32(seed, i);
  else if (t->dtype == BRAID_U8 || t->dtype == BRAID_I8)
    for (size_t i = 0; i < bytes; i++) ((uint8_t *)t->data)[i] = (uint8_t)(braid_random_u64(seed, i) >> 56);
  else
    memset(t->data, 0, bytes);
}

enum braid_status exec_tensor_make(struct braid_tensor *t, uint64_t seed) {
  size_t bytes;
  BRAID_TRY(braid_shape_bytes(&t->shape, t->dtype, &bytes));
  t->data = braid_alloc_aligned(bytes ? bytes : 1);
  if (!t->data) return braid_fail(BRAID_ENOMEM, "no memory for a tensor of %zu bytes", bytes);
  fill(t, bytes, seed);
  return BRAID_OK;
}

enum braid_status exec_tensors_make(const struct braid_graph *graph, const int *ids, int n,
                                    struct braid_tensor **out) {
  *out = braid_calloc((size_t)n, sizeof **out);
  if (!*out) return braid_fail(BRAID_ENOMEM, "no memory for %d tensors", n);
  for (int i = 0; i < n; i++) {
    const struct braid_node *node = braid_graph_node(graph, ids[i]);
    (*out)[i] = (struct braid_tensor){NULL, node->dtype, node->shape};
    enum braid_status status = exec_tensor_make(&(*out)[i], (uint64_t)i);
    if (status != BRAID_OK) return braid_fail_in(status, "tensor %s", node->name);
  }
  return BRAID_OK;
}

void exec_tensors_free(struct braid_tensor *tensor, int n) {
  for (int i = 0; tensor && i < n; i++) braid_free(tensor[i].data);
  braid_free(tensor);
}
