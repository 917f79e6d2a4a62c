/* SPDX-License-Identifier: Apache-2.0
 *
 * Packed weights, counted. What a kernel packs depends on the node's constants and on how it packs them, and on nothing
 * of the program: graph, node, part and pack function are the key. (Kernels that differ in how they run but not in how they
 * pack share, too.) The graph's address stands for it: whoever holds an entry keeps its graph.
 *
 * One lock, also around the packing: two programs that begin at once need the same entries, so the second had better
 * wait. Nothing of this is on the path of a frame. */
#include "exec/weights.h"

#include <assert.h>

#include "exec/bind.h"

struct exec_packed {
  const struct braid_graph *graph;
  int id;
  struct exec_part part;
  void (*pack)(const struct braid_kernel_args *args, void *packed);
  int users;
  size_t bytes;
  void *data;
  struct exec_packed *next;
};

void exec_weights_init(struct exec_weights *weights) {
  *weights = (struct exec_weights){.bytes = 0};
  pthread_mutex_init(&weights->mutex, NULL);
}

void exec_weights_fini(struct exec_weights *weights) {
  assert(weights->bytes == 0);
  pthread_mutex_destroy(&weights->mutex);
}

/* A bucket holds that node of every graph, in every packing: a handful. */
static struct exec_packed **bucket_of(struct exec_weights *weights, int id) {
  return &weights->bucket[id % EXEC_WEIGHTS_BUCKETS];
}

static bool same_part(struct exec_part a, struct exec_part b) { return a.index == b.index && a.n == b.n; }

static struct exec_packed *find(struct exec_weights *weights, const struct braid_graph *graph, int id,
                                struct exec_part part, const struct braid_kernel *kernel) {
  struct exec_packed *p = *bucket_of(weights, id);
  while (p && !(p->graph == graph && p->id == id && same_part(p->part, part) && p->pack == kernel->pack)) p = p->next;
  return p;
}

static enum braid_status pack(struct exec_weights *weights, const struct braid_graph *graph, int id,
                              struct exec_part part, const struct braid_kernel *kernel,
                              const struct braid_kernel_args *args, size_t bytes, struct exec_packed **out) {
  struct exec_packed *p = braid_malloc(sizeof *p);
  void *data = p ? braid_alloc_aligned(bytes) : NULL;
  if (!data) {
    braid_free(p);
    return braid_fail(BRAID_ENOMEM, "no memory for the packed weights of node %s (%zu bytes)",
                      braid_graph_node(graph, id)->name, bytes);
  }
  kernel->pack(args, data);
  struct exec_packed **bucket = bucket_of(weights, id);
  *p = (struct exec_packed){graph, id, part, kernel->pack, 0, bytes, data, *bucket};
  *bucket = p;
  weights->bytes += bytes;
  *out = p;
  return BRAID_OK;
}

enum braid_status exec_weights_take(struct exec_weights *weights, const struct braid_graph *graph, int id,
                                    struct exec_part part, const struct braid_kernel *kernel,
                                    const struct braid_kernel_args *args, struct exec_packed **out) {
  *out = NULL;
  size_t bytes = exec_packed_bytes(kernel, args);
  if (bytes == 0) return BRAID_OK;
  enum braid_status status = BRAID_OK;
  pthread_mutex_lock(&weights->mutex);
  *out = find(weights, graph, id, part, kernel);
  if (!*out) status = pack(weights, graph, id, part, kernel, args, bytes, out);
  if (*out) (*out)->users++;
  pthread_mutex_unlock(&weights->mutex);
  return status;
}

void exec_weights_release(struct exec_weights *weights, struct exec_packed *packed) {
  if (!packed) return;
  pthread_mutex_lock(&weights->mutex);
  bool last = --packed->users == 0;
  if (last) {
    struct exec_packed **at = bucket_of(weights, packed->id);
    while (*at != packed) at = &(*at)->next;
    *at = packed->next;
    weights->bytes -= packed->bytes;
  }
  pthread_mutex_unlock(&weights->mutex);
  if (!last) return;
  braid_free(packed->data);
  braid_free(packed);
}

size_t exec_weights_bytes(struct exec_weights *weights) {
  pthread_mutex_lock(&weights->mutex);
  size_t bytes = weights->bytes;
  pthread_mutex_unlock(&weights->mutex);
  return bytes;
}

const void *exec_packed_data(const struct exec_packed *packed) {
  return packed ? packed->data : NULL;
}
