/* SPDX-License-Identifier: Apache-2.0
 *
 * Planning the arena.
 *
 * 1. Views. A RESHAPE lies where its operand lies. The operands of a Concat whose parts are contiguous in the result
 * lie in the result (one operand can have one such place only; others are copied). A Concat in a Concat resolves to the
 *    outermost. What moves together is a buffer; its `root` is the tensor that spans it.
 * 2. In place. A node that computes element by element from an operand (activations, sums; convolutions from their
 *    residual) takes over its buffer when everything else that touches that buffer has ended before the node begins.
 *    The tasks that wrote the operand are let off that condition: row by row they come before the rows of the node that
 *    overwrite them, and different rows are different memory.
 * 3. Sharing. Workers take tasks in whatever order they become ready, so two buffers may share bytes only if every task
 *    that touches the one is an ancestor of every task that writes the other. Received tensors may be written by the
 *    peer from the first moment on, so nothing comes before them; and they are over only when all their rows have
 *    been awaited. What is sent or handed to the user stays until the frame ends.
 * 4. Offsets (offsets.c), as near to the bound (bound.c) as they come: the largest set of buffers that may be in use at
 *    once, in whatever order the tasks run. */
#include "exec/memory.h"

#include <string.h>

#include "exec/bind.h"
#include "exec/offsets.h"
#include "exec/touch.h"

enum { WORTH_LOOKING = 128 }; /* a part of the bound: what is less above it is good enough */

struct planner {
  const struct exec_memory_opts *opts;
  const struct braid_graph *graph;
  const struct exec_tasks *tasks;
  int n;
  struct exec_memory *m;
  int *rep;                 /* [n] first tensor of a chain of RESHAPEs; -1: not here */
  int *parent;              /* [n] of a rep: the rep it lies in; -1: it is a root */
  size_t *at;               /* [n] of a rep: bytes into its parent */
  int *over;                /* [n] the operand a node took the buffer of; -1 */
  struct exec_place *place; /* [n] base = root */
  bool *kept, *received;    /* [n] of roots */
  struct exec_order *order;
  struct exec_touch *touch; /* of roots, once gathered */
  uint64_t *common;         /* [n][words] of roots: ancestors of all writers */
  int *root, n_roots;
  struct exec_buffers *buffers; /* the roots, in that order */
};

static const struct braid_node *node_of(const struct planner *p, int id) {
  return braid_graph_node(p->graph, id);
}

static uint64_t *set_of(const struct planner *p, uint64_t *sets, int id) {
  return sets + (size_t)id * p->order->words;
}

static bool is_here(const struct planner *p, int id) {
  return p->tasks->role[id].computed || p->tasks->role[id].received;
}

/* ------------------------------------------------------------------------------------------------ views */

static void find_reshapes(struct planner *p) {
  for (int id = 0; id < p->n; id++) {
    const struct braid_node *node = node_of(p, id);
    p->parent[id] = p->over[id] = -1;
    p->rep[id] = is_here(p, id) ? id : -1;
    if (node->op != BRAID_OP_RESHAPE || !p->tasks->role[id].computed || !braid_is_node(node->in[0])) continue;
    if (node->act.op != BRAID_ACT_NONE || node_of(p, node->in[0])->bytes != node->bytes) continue;
    p->rep[id] = p->rep[node->in[0]];
    p->m->view[id] = true;
  }
}

static void place_operands(struct planner *p, int id) {
  const struct braid_node *node = node_of(p, id);
  p->m->view[id] = true;
  for (int k = 0; k < node->n_in; k++) {
    if (!braid_is_node(node->in[k])) continue;
    int operand = p->rep[node->in[k]];
    if (p->parent[operand] >= 0) continue; /* lies elsewhere already: copied */
    p->parent[operand] = id;
    p->at[operand] = exec_concat_offset(p->graph, id, k);
  }
}

static void find_concats(struct planner *p) {
  for (int id = 0; id < p->n; id++) {
    const struct braid_node *node = node_of(p, id);
    if (p->tasks->role[id].computed && node->act.op == BRAID_ACT_NONE && exec_concat_is_contiguous(node))
      place_operands(p, id);
  }
}

static struct exec_place locate(const struct planner *p, int id) {
  struct exec_place place = {p->rep[id], 0};
  while (place.base >= 0 && p->parent[place.base] >= 0) {
    place.offset += p->at[place.base];
    place.base = p->parent[place.base];
  }
  return place;
}

static void locate_all(struct planner *p) {
  for (int id = 0; id < p->n; id++) p->place[id] = locate(p, id);
}

static void unite(uint64_t *into, const uint64_t *from, size_t words) {
  for (size_t w = 0; w < words; w++) into[w] |= from[w];
}

static void merge_into_root(struct planner *p, int id, int root) {
  if (root == id) return;
  unite(set_of(p, p->touch->any, root), set_of(p, p->touch->any, id), p->order->words);
  unite(set_of(p, p->touch->write, root), set_of(p, p->touch->write, id), p->order->words);
}

static void gather_roots(struct planner *p) {
  for (int id = 0; id < p->n; id++) {
    if (!is_here(p, id)) continue;
    int root = p->place[id].base;
    merge_into_root(p, id, root);
    p->kept[root] |= p->tasks->role[id].sent || p->tasks->role[id].output;
    p->received[root] |= p->tasks->role[id].received;
  }
}

/* --------------------------------------------------------------------------------------------- in place */

/* The tasks that touch the buffer row by row, as `id` will: its own, and those of the run of in-place nodes before. */
static void exempt_tasks(const struct planner *p, int id, uint64_t *set) {
  for (int x = id; x >= 0; x = p->over[x]) exec_set_add_node(set, p->tasks, x);
}

static bool may_take_over(const struct planner *p, int id, int k, uint64_t *scratch) {
  if (!braid_is_node(node_of(p, id)->in[k])) return false;
  int operand = node_of(p, id)->in[k], root = p->place[operand].base;
  size_t words = p->order->words;
  if (p->parent[root] >= 0 || p->rep[operand] != root || p->kept[root] || p->received[root]) return false;
  if (node_of(p, root)->bytes != node_of(p, id)->bytes || p->place[id].base == root) return false;
  if (!exec_overwrites(p->opts, p->place, id, k)) return false;
  uint64_t *writers = scratch, *before = scratch + words, *exempt = scratch + 2 * words;
  memset(scratch, 0, 3 * words * sizeof *scratch);
  exec_set_add_node(writers, p->tasks, id);
  exec_order_before_all(p->order, writers, before);
  exempt_tasks(p, id, exempt);
  if (operand == root) exempt_tasks(p, operand, exempt); /* not for a RESHAPE: its rows are other bytes */
  unite(before, exempt, words);
  return exec_set_within(set_of(p, p->touch->any, root), before, words);
}

static void take_over(struct planner *p, int id, int operand) {
  int root = p->place[operand].base;
  p->over[id] = operand;
  p->parent[root] = id;
  p->at[root] = 0;
  merge_into_root(p, root, p->place[id].base);
  locate_all(p);
}

static enum braid_status find_in_place(struct planner *p) {
  uint64_t *scratch = braid_malloc(3 * p->order->words * sizeof *scratch);
  if (!scratch) return braid_fail(BRAID_ENOMEM, "no memory to plan memory");
  for (int id = 0; id < p->n; id++) {
    if (!p->tasks->role[id].computed || p->m->view[id] || !p->opts->in_place[id]) continue;
    const struct braid_node *node = node_of(p, id);
    for (int k = 0; k < node->n_in && p->over[id] < 0; k++)
      if (may_take_over(p, id, k, scratch)) take_over(p, id, node->in[k]);
  }
  braid_free(scratch);
  return BRAID_OK;
}

/* ---------------------------------------------------------------------------------------------- sharing */

static enum braid_status collect_roots(struct planner *p) {
  for (int id = 0; id < p->n; id++)
    if (is_here(p, id) && p->place[id].base == id) p->root[p->n_roots++] = id;
  BRAID_TRY(exec_buffers_create(p->n_roots, &p->buffers));
  for (int i = 0; i < p->n_roots; i++) {
    p->buffers->bytes[i] = node_of(p, p->root[i])->bytes;
    exec_order_before_all(p->order, set_of(p, p->touch->write, p->root[i]), set_of(p, p->common, p->root[i]));
  }
  return BRAID_OK;
}

static bool rows_over_before(const struct planner *p, int root, const uint64_t *common) {
  for (int id = 0; p->received[root] && id < p->n; id++)
    if (p->tasks->role[id].received && p->place[id].base == root && !exec_rows_awaited(p->tasks, id, common))
      return false;
  return true;
}

static bool over_before(const struct planner *p, int first, int then) {
  if (p->kept[first] || p->received[then]) return false;
  const uint64_t *common = set_of(p, p->common, then);
  return exec_set_within(set_of(p, p->touch->any, first), common, p->order->words) &&
         rows_over_before(p, first, common);
}

static void order_roots(struct planner *p) {
  for (int i = 0; i < p->n_roots; i++)
    for (int j = 0; j < p->n_roots; j++)
      if (i != j && over_before(p, p->root[i], p->root[j])) exec_buffers_order(p->buffers, i, j);
}

/* ------------------------------------------------------------------------------------------------ bound */

/* First and last task that touches the buffer. Received ones begin before the first; what nothing may follow (kept, or
 * received with rows that no task waits for) ends after the last. */
static void life_of(const struct planner *p, int i, int *first, int *last) {
  int root = p->root[i];
  const uint64_t *touched = set_of(p, p->touch->any, root);
  const uint64_t *followers = p->buffers->before + (size_t)i * p->buffers->words;
  bool followed = false;
  *first = p->tasks->n_tasks, *last = -1;
  for (int t = 0; t < p->tasks->n_tasks; t++) {
    if (!exec_set_has(touched, t)) continue;
    if (*first > t) *first = t;
    *last = t;
  }
  if (p->received[root]) *first = 0;
  for (size_t w = 0; w < p->buffers->words; w++) followed |= followers[w] != 0;
  if (!followed) *last = p->tasks->n_tasks - 1;
}

/* The largest set that is live at once when tasks run in the order of their numbers. */
static enum braid_status bound_in_order(struct planner *p) {
  size_t n_tasks = (size_t)p->tasks->n_tasks, live = 0;
  size_t *born = braid_calloc(n_tasks + 1, sizeof *born), *died = braid_calloc(n_tasks + 1, sizeof *died);
  for (int i = 0; born && died && i < p->n_roots; i++) {
    int first, last;
    life_of(p, i, &first, &last);
    if (first > last) continue;
    born[first] += p->buffers->bytes[i];
    died[last + 1] += p->buffers->bytes[i];
  }
  for (size_t t = 0; born && died && t < n_tasks; t++) {
    live = live + born[t] - died[t];
    if (live > p->m->bound_bytes) p->m->bound_bytes = live;
  }
  bool ok = born && died;
  braid_free(born);
  braid_free(died);
  return ok ? BRAID_OK : braid_fail(BRAID_ENOMEM, "no memory to plan memory");
}

/* In a chain there is one order only; else all orders count that the dependencies leave open. */
static enum braid_status find_bound(struct planner *p) {
  if (p->tasks->chained || p->n_roots > EXEC_BOUND_MAX) return bound_in_order(p);
  return exec_buffers_bound(p->buffers, &p->m->bound_bytes);
}

static enum braid_status assign_offsets(struct planner *p) {
  size_t *offset = braid_calloc((size_t)p->n_roots, sizeof *offset), enough = p->m->bound_bytes;
  if (!offset) return braid_fail(BRAID_ENOMEM, "no memory to plan memory");
  enough += enough / WORTH_LOOKING;
  enum braid_status status = exec_buffers_place(p->buffers, enough, offset, &p->m->arena_bytes);
  for (int i = 0; i < p->n_roots; i++) p->m->offset[p->root[i]] = offset[i];
  braid_free(offset);
  for (int id = 0; id < p->n; id++)
    if (is_here(p, id)) p->m->offset[id] = p->m->offset[p->place[id].base] + p->place[id].offset;
  return status;
}

/* --------------------------------------------------------------------------------------------- the steps */

static enum braid_status allocate(struct planner *p) {
  size_t n = (size_t)p->n;
  struct exec_memory *m = p->m;
  m->n_nodes = p->n;
  m->offset = braid_malloc(n * sizeof *m->offset);
  m->view = braid_calloc(n, sizeof *m->view);
  p->rep = braid_calloc(n, sizeof *p->rep);
  p->parent = braid_calloc(n, sizeof *p->parent);
  p->at = braid_calloc(n, sizeof *p->at);
  p->over = braid_calloc(n, sizeof *p->over);
  p->place = braid_calloc(n, sizeof *p->place);
  p->kept = braid_calloc(n, sizeof *p->kept);
  p->received = braid_calloc(n, sizeof *p->received);
  p->common = braid_calloc(n * p->order->words, sizeof *p->common);
  p->root = braid_calloc(n, sizeof *p->root);
  if (!m->offset || !m->view || !p->rep || !p->parent || !p->at || !p->over || !p->place || !p->kept || !p->received ||
      !p->common || !p->root)
    return braid_fail(BRAID_ENOMEM, "no memory to plan memory");
  for (int id = 0; id < p->n; id++) m->offset[id] = EXEC_NOWHERE;
  return BRAID_OK;
}

static enum braid_status plan(struct planner *p) {
  BRAID_TRY(exec_order_create(p->tasks, &p->order));
  BRAID_TRY(allocate(p));
  find_reshapes(p);
  find_concats(p);
  locate_all(p);
  BRAID_TRY(exec_touch_create(p->opts, p->m->view, p->place, &p->touch));
  gather_roots(p);
  BRAID_TRY(find_in_place(p));
  BRAID_TRY(collect_roots(p));
  order_roots(p);
  BRAID_TRY(find_bound(p));
  return assign_offsets(p);
}

static void release(struct planner *p) {
  exec_order_destroy(&p->order);
  exec_touch_destroy(&p->touch);
  exec_buffers_destroy(&p->buffers);
  braid_free(p->rep);
  braid_free(p->parent);
  braid_free(p->at);
  braid_free(p->over);
  braid_free(p->place);
  braid_free(p->kept);
  braid_free(p->received);
  braid_free(p->common);
  braid_free(p->root);
}

enum braid_status exec_memory_create(const struct exec_memory_opts *opts, struct exec_memory **out) {
  struct exec_memory *m = braid_calloc(1, sizeof *m);
  if (!m) return braid_fail(BRAID_ENOMEM, "no memory to plan memory");
  struct planner p = {.opts = opts, .graph = opts->graph, .tasks = opts->tasks, .n = opts->tasks->n_nodes, .m = m};
  enum braid_status status = plan(&p);
  release(&p);
  if (status != BRAID_OK) {
    exec_memory_destroy(&m);
    return status;
  }
  *out = m;
  return BRAID_OK;
}

void exec_memory_destroy(struct exec_memory **memory) {
  if (!*memory) return;
  braid_free((*memory)->offset);
  braid_free((*memory)->view);
  braid_free(*memory);
  *memory = NULL;
}
