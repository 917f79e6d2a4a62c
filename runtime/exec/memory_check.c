/* SPDX-License-Identifier: Apache-2.0
 *
 * Proof that a memory plan is safe, from its offsets alone (it does not trust how the planner came by them).
 *
 * Tensors whose bytes are meant to coincide (a RESHAPE and its operand, a Concat and the operands that lie in it) form
 * a class. Two tensors of different classes that overlap must be one after the other: all tasks that touch the one
 * class are ancestors of all tasks that write the other; or they are the two ends of a run of in-place nodes, whose own
 * tasks go row by row. */
#include "exec/bind.h"
#include "exec/touch.h"

#include <string.h>

struct checker {
  const struct exec_memory_opts *opts;
  const struct exec_memory *m;
  int n;
  size_t words;
  struct exec_place *place; /* base 0: the arena */
  int *group;               /* union-find over node ids */
  struct exec_order *order;
  struct exec_touch *touch;
  uint64_t *sets, *run; /* scratch: five sets, one set */
};

static const struct braid_node *node_of(const struct checker *c, int id) {
  return braid_graph_node(c->opts->graph, id);
}

static int group_of(const struct checker *c, int id) {
  while (c->group[id] != id) id = c->group[id];
  return id;
}

static bool is_here(const struct checker *c, int id) {
  return c->opts->tasks->role[id].computed || c->opts->tasks->role[id].received;
}

static enum braid_status check_extent(const struct checker *c, int id) {
  const struct braid_node *node = node_of(c, id);
  if (!is_here(c, id)) return BRAID_OK;
  if (c->m->offset[id] == EXEC_NOWHERE || c->m->offset[id] + node->bytes > c->m->arena_bytes)
    return braid_fail(BRAID_EINVAL, "node %s lies outside the arena", node->name);
  if (node->bytes && c->m->offset[id] % braid_dtype_bytes(node->dtype))
    return braid_fail(BRAID_EINVAL, "node %s is not aligned to its type", node->name);
  return BRAID_OK;
}

static enum braid_status join_view(const struct checker *c, int id) {
  const struct braid_node *node = node_of(c, id);
  if (node->op == BRAID_OP_RESHAPE) {
    if (!braid_is_node(node->in[0]) || c->m->offset[node->in[0]] != c->m->offset[id])
      return braid_fail(BRAID_EINVAL, "node %s is a view but does not lie where its operand lies", node->name);
    c->group[group_of(c, id)] = group_of(c, node->in[0]);
    return BRAID_OK;
  }
  if (!exec_concat_is_contiguous(node))
    return braid_fail(BRAID_EINVAL, "node %s cannot be a view: %s", node->name, braid_op_name(node->op));
  for (int k = 0; k < node->n_in; k++) {
    int from = node->in[k];
    if (braid_is_node(from) && exec_same_place(c->place, id, exec_concat_offset(c->opts->graph, id, k), from))
      c->group[group_of(c, from)] = group_of(c, id);
  }
  return BRAID_OK;
}

static bool overlap(const struct checker *c, int a, int b) {
  return c->m->offset[a] < c->m->offset[b] + node_of(c, b)->bytes &&
         c->m->offset[b] < c->m->offset[a] + node_of(c, a)->bytes;
}

/* What happens to the bytes of `id` through any tensor of its class that shares bytes with `other`. */
struct use {
  bool kept, received;
  uint64_t *any, *write;
};

static bool is_member(const struct checker *c, int member, int id, int other) {
  return is_here(c, member) && group_of(c, member) == group_of(c, id) && overlap(c, member, other);
}

static void gather_use(const struct checker *c, int id, int other, struct use *use) {
  use->kept = use->received = false;
  memset(use->any, 0, c->words * sizeof *use->any);
  memset(use->write, 0, c->words * sizeof *use->write);
  for (int m = 0; m < c->n; m++) {
    if (!is_member(c, m, id, other)) continue;
    use->kept |= c->opts->tasks->role[m].sent || c->opts->tasks->role[m].output;
    use->received |= c->opts->tasks->role[m].received;
    for (size_t w = 0; w < c->words; w++) {
      use->any[w] |= c->touch->any[(size_t)m * c->words + w];
      use->write[w] |= c->touch->write[(size_t)m * c->words + w];
    }
  }
}

static bool rows_over(const struct checker *c, int id, int other, const uint64_t *common) {
  for (int m = 0; m < c->n; m++)
    if (c->opts->tasks->role[m].received && is_member(c, m, id, other) && !exec_rows_awaited(c->opts->tasks, m, common))
      return false;
  return true;
}

/* The operand at the same offset that `id` may write over (there cannot be two: they would overlap); -1: none. */
static int overwritten(const struct checker *c, int id) {
  const struct braid_node *node = node_of(c, id);
  for (int k = 0; k < node->n_in; k++)
    if (braid_is_node(node->in[k]) && c->m->offset[node->in[k]] == c->m->offset[id] &&
        exec_overwrites(c->opts, c->place, id, k))
      return node->in[k];
  return -1;
}

/* Walks back from `id` along in-place nodes at the same offset; true when it comes to the class of `first`. Adds the
 * tasks of the run to `set`, but not those behind a RESHAPE, whose rows are other bytes. */
static bool find_run(const struct checker *c, int first, int id, uint64_t *set) {
  for (;;) {
    bool ends = group_of(c, id) == group_of(c, first);
    const struct braid_node *node = node_of(c, id);
    if (!ends || node->op != BRAID_OP_RESHAPE) exec_set_add_node(set, c->opts->tasks, id);
    if (ends) return true;
    if (c->m->view[id] || (id = overwritten(c, id)) < 0) return false;
  }
}

static void add_run(const struct checker *c, int a, int b, uint64_t *set) {
  for (int m = 0; m < c->n; m++) {
    if (c->m->view[m] || !is_member(c, m, b, a)) continue;
    memset(c->run, 0, c->words * sizeof *c->run);
    if (!find_run(c, a, m, c->run)) continue;
    for (size_t w = 0; w < c->words; w++) set[w] |= c->run[w];
  }
}

/* Are all uses of `a` over before any write of `b`? */
static bool over_before(const struct checker *c, int a, int b) {
  struct use first = {.any = c->sets, .write = c->sets + c->words};
  struct use then = {.any = c->sets + 2 * c->words, .write = c->sets + 3 * c->words};
  uint64_t *common = c->sets + 4 * c->words;
  gather_use(c, a, b, &first);
  gather_use(c, b, a, &then);
  if (first.kept || then.received) return false;
  exec_order_before_all(c->order, then.write, common);
  if (!rows_over(c, a, b, common)) return false;
  add_run(c, a, b, common);
  return exec_set_within(first.any, common, c->words);
}

static enum braid_status check_pair(const struct checker *c, int a, int b) {
  const struct braid_node *x = node_of(c, a), *y = node_of(c, b);
  if (!is_here(c, a) || !is_here(c, b) || group_of(c, a) == group_of(c, b)) return BRAID_OK;
  if (!overlap(c, a, b)) return BRAID_OK;
  if (over_before(c, a, b) || over_before(c, b, a)) return BRAID_OK;
  return braid_fail(BRAID_EINVAL, "nodes %s and %s overlap in memory while both may be in use", x->name, y->name);
}

static enum braid_status check_all(struct checker *c) {
  for (int id = 0; id < c->n; id++) {
    c->group[id] = id;
    c->place[id] = (struct exec_place){is_here(c, id) ? 0 : -1, c->m->offset[id]};
    BRAID_TRY(check_extent(c, id));
  }
  for (int id = 0; id < c->n; id++)
    if (c->m->view[id]) BRAID_TRY(join_view(c, id));
  BRAID_TRY(exec_touch_create(c->opts, c->m->view, c->place, &c->touch));
  for (int b = 0; b < c->n; b++)
    for (int a = 0; a < b; a++) BRAID_TRY(check_pair(c, a, b));
  return BRAID_OK;
}

enum braid_status exec_memory_check(const struct exec_memory_opts *opts, const struct exec_memory *memory) {
  size_t n = (size_t)memory->n_nodes;
  struct checker c = {.opts = opts, .m = memory, .n = memory->n_nodes};
  BRAID_TRY(exec_order_create(opts->tasks, &c.order));
  c.words = c.order->words;
  c.place = braid_calloc(n, sizeof *c.place);
  c.group = braid_calloc(n, sizeof *c.group);
  c.sets = braid_calloc(5 * c.words, sizeof *c.sets);
  c.run = braid_calloc(c.words, sizeof *c.run);
  enum braid_status status = BRAID_OK;
  if (!c.place || !c.group || !c.sets || !c.run)
    status = braid_fail(BRAID_ENOMEM, "no memory to check a memory plan");
  else
    status = check_all(&c);
  exec_order_destroy(&c.order);
  exec_touch_destroy(&c.touch);
  braid_free(c.place);
  braid_free(c.group);
  braid_free(c.sets);
  braid_free(c.run);
  return status;
}
