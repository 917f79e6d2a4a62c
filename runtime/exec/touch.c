/* SPDX-License-Identifier: Apache-2.0
 * Reads and writes of tasks. */
#include "exec/touch.h"

size_t exec_concat_offset(const struct braid_graph *graph, int id, int k) {
  const struct braid_node *node = braid_graph_node(graph, id);
  size_t offset = 0;
  for (int i = 0; i < k; i++) {
    int operand = node->in[i];
    const struct braid_tensor *c = braid_is_node(operand) ? NULL : braid_graph_constant(graph, operand);
    if (c)
      offset += braid_band_bytes(&c->shape, c->dtype, (struct braid_band){0, braid_slice_rows(&c->shape)});
    else
      offset += braid_graph_node(graph, operand)->bytes;
  }
  return offset;
}

bool exec_same_place(const struct exec_place *place, int a, size_t a_offset, int b) {
  return place[a].base == place[b].base && place[a].offset + a_offset == place[b].offset;
}

static void touch_join(const struct exec_memory_opts *opts, const struct exec_place *place, int task,
                       struct exec_touch *t) {
  int id = opts->tasks->task[task].node;
  const struct braid_node *node = braid_graph_node(opts->graph, id);
  for (int k = 0; k < node->n_in; k++) {
    int from = node->in[k];
    if (braid_is_node(from) && exec_same_place(place, id, exec_concat_offset(opts->graph, id, k), from)) continue;
    if (braid_is_node(from)) exec_set_add(t->any + (size_t)from * t->words, task);
    exec_set_add(t->any + (size_t)id * t->words, task);
    exec_set_add(t->write + (size_t)id * t->words, task);
  }
}

static void touch_kernel(const struct exec_memory_opts *opts, int task, struct exec_touch *t) {
  int id = opts->tasks->task[task].node;
  const struct braid_node *node = braid_graph_node(opts->graph, id);
  exec_set_add(t->any + (size_t)id * t->words, task);
  exec_set_add(t->write + (size_t)id * t->words, task);
  for (int k = 0; k < node->n_in; k++) {
    if (!braid_is_node(node->in[k])) continue;
    struct braid_band need = braid_graph_needs(opts->graph, id, k, opts->tasks->task[task].band);
    if (need.begin < need.end) exec_set_add(t->any + (size_t)node->in[k] * t->words, task);
  }
}

enum braid_status exec_touch_create(const struct exec_memory_opts *opts, const bool *view,
                                    const struct exec_place *place, struct exec_touch **out) {
  struct exec_touch *t = braid_calloc(1, sizeof *t);
  size_t n = (size_t)opts->tasks->n_nodes;
  if (t) {
    t->words = exec_set_words(opts->tasks->n_tasks);
    t->any = braid_calloc(n * t->words, sizeof *t->any);
    t->write = braid_calloc(n * t->words, sizeof *t->write);
  }
  if (!t || !t->any || !t->write) {
    exec_touch_destroy(&t);
    return braid_fail(BRAID_ENOMEM, "no memory to plan memory");
  }
  for (int i = 0; i < opts->tasks->n_tasks; i++) {
    int id = opts->tasks->task[i].node;
    if (!view[id])
      touch_kernel(opts, i, t);
    else if (braid_graph_node(opts->graph, id)->op == BRAID_OP_CONCAT)
      touch_join(opts, place, i, t);
  }
  *out = t;
  return BRAID_OK;
}

void exec_touch_destroy(struct exec_touch **touch) {
  if (!*touch) return;
  braid_free((*touch)->any);
  braid_free((*touch)->write);
  braid_free(*touch);
  *touch = NULL;
}

static bool may_share_operand(const struct exec_memory_opts *opts, int id, int k) {
  return k < 32 && opts->in_place[id] >> k & 1;
}

static bool overlap(const struct exec_memory_opts *opts, const struct exec_place *place, int a, int b) {
  return place[a].base == place[b].base &&
         place[a].offset < place[b].offset + braid_graph_node(opts->graph, b)->bytes &&
         place[b].offset < place[a].offset + braid_graph_node(opts->graph, a)->bytes;
}

bool exec_overwrites(const struct exec_memory_opts *opts, const struct exec_place *place, int id, int k) {
  const struct braid_node *node = braid_graph_node(opts->graph, id);
  if (k >= node->n_in || !braid_is_node(node->in[k]) || !may_share_operand(opts, id, k)) return false;
  const struct braid_node *over = braid_graph_node(opts->graph, node->in[k]);
  if (!braid_shape_equal(&node->shape, &over->shape)) return false;
  if (braid_dtype_bytes(node->dtype) != braid_dtype_bytes(over->dtype)) return false;
  for (int j = 0; j < node->n_in; j++) {
    if (j == k || !braid_is_node(node->in[j])) continue;
    if (node->in[j] == node->in[k] ? !may_share_operand(opts, id, j) : overlap(opts, place, node->in[j], node->in[k]))
      return false;
  }
  return true;
}

void exec_set_add_node(uint64_t *set, const struct exec_tasks *tasks, int id) {
  for (int i = 0; i < tasks->n_slices[id]; i++) exec_set_add(set, tasks->task_of[tasks->first_of[id] + i]);
}

bool exec_rows_awaited(const struct exec_tasks *tasks, int id, const uint64_t *common) {
  const struct exec_source *source = &tasks->source[tasks->source_of[id]];
  int row = 0, grown = 1;
  while (row < source->rows && grown) { /* the waiters are few: extend the covered prefix until nothing extends it */
    grown = 0;
    for (int w = 0; w < source->n_waiters; w++) {
      const struct exec_waiter *waiter = &tasks->waiter[source->first_waiter + w];
      if (waiter->rows.begin > row || waiter->rows.end <= row || !exec_set_has(common, waiter->task)) continue;
      row = waiter->rows.end;
      grown = 1;
    }
  }
  return row >= source->rows;
}
