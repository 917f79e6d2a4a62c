/* SPDX-License-Identifier: Apache-2.0 */
#include "rebuild.h"

#include "infer.h"

#include <stdio.h>
#include <string.h>

enum braid_status rebuild_begin(const struct braid_graph *from, struct rebuild *out) {
  struct rebuild r = {.from = from};
  BRAID_TRY(braid_graph_create(from->name, &r.to));
  r.node = braid_malloc((size_t)from->n_nodes * sizeof *r.node);
  r.constant = braid_malloc((size_t)from->n_constants * sizeof *r.constant);
  if (!r.node || !r.constant) {
    rebuild_end(&r);
    return out_of_memory(from);
  }
  for (int i = 0; i < from->n_nodes; i++) r.node[i] = BRAID_NONE;
  for (int i = 0; i < from->n_constants; i++) r.constant[i] = BRAID_NONE;
  *out = r;
  return BRAID_OK;
}

void rebuild_end(struct rebuild *r) {
  braid_graph_destroy(&r->to);
  braid_free(r->node);
  braid_free(r->constant);
}

enum braid_status rebuild_operand(struct rebuild *r, int old, int *operand) {
  *operand = old;
  if (old == BRAID_NONE) return BRAID_OK;
  if (braid_is_const(old)) {
    int k = braid_const_index(old);
    const struct constant *constant = &r->from->constant[k];
    if (r->constant[k] == BRAID_NONE)
      BRAID_TRY(braid_graph_add_constant(r->to, constant->name, &constant->tensor, &r->constant[k]));
    *operand = r->constant[k];
    return BRAID_OK;
  }
  *operand = r->node[old];
  return BRAID_OK;
}

enum braid_status rebuild_new_constant(struct rebuild *r, const char *name, enum braid_dtype dtype,
                                       const struct braid_shape *shape, void **data, int *operand) {
  size_t bytes;
  BRAID_TRY(braid_shape_bytes(shape, dtype, &bytes));
  *data = braid_alloc_aligned(bytes ? bytes : 1);
  if (!*data) return out_of_memory(r->from);
  BRAID_TRY(braid_graph_adopt(r->to, *data, braid_free));
  return braid_graph_add_constant(r->to, name, &(struct braid_tensor){*data, dtype, *shape}, operand);
}

enum braid_status rebuild_node(struct rebuild *r, int old, const int *in, const char *name, int *id) {
  const struct braid_node *node = &r->from->node[old];
  if (node->op == BRAID_OP_INPUT) return braid_graph_add_input(r->to, name, node->dtype, &node->shape, id);
  const struct braid_shape *hint = op_rule(node->op)->hinted ? &node->shape : NULL;
  BRAID_TRY(braid_graph_add(r->to, node->op, &node->attrs, in, node->n_in, hint, name, id));
  r->to->node[*id].act = node->act;
  return BRAID_OK;
}

enum braid_status rebuild_add(struct rebuild *r, enum braid_op op, const union braid_attrs *attrs, const int *in,
                              int n_in, const char *name, int *id) {
  if (!name) return out_of_memory(r->from);
  return braid_graph_add(r->to, op, attrs, in, n_in, NULL, name, id);
}

const char *rebuild_name(struct rebuild *r, const char *name, const char *suffix) {
  size_t bytes = strlen(name) + strlen(suffix) + 2;
  char *text = arena_alloc(&r->to->arena, bytes);
  if (text) snprintf(text, bytes, "%s#%s", name, suffix);
  return text;
}
