/* SPDX-License-Identifier: Apache-2.0
 *
 * A graph written anew: node after node, with others put between them, which lists of nodes in topological order do not
 * allow in place. The new graph is built by the rules that hold for every graph (infer.h); constants are borrowed from
 * the old one, which has to outlive it. */
#ifndef MODELS_REBUILD_H
#define MODELS_REBUILD_H

#include "graph.h"

struct rebuild {
  const struct braid_graph *from;
  struct braid_graph *to;
  int *node, *constant; /* operand codes in `to` of what is in `from`; BRAID_NONE: not there yet */
};

BRAID_NODISCARD enum braid_status rebuild_begin(const struct braid_graph *from, struct rebuild *out);
/* Ends the rebuild; the new graph goes with it unless `to` was taken (set to NULL). */
void rebuild_end(struct rebuild *r);

/* The operand in the new graph; a constant is added when it is first asked for. */
BRAID_NODISCARD enum braid_status rebuild_operand(struct rebuild *r, int old, int *operand);
/* A constant of its own, made of so many bytes of fresh memory that the new graph owns. */
BRAID_NODISCARD enum braid_status rebuild_new_constant(struct rebuild *r, const char *name, enum braid_dtype dtype,
                                                       const struct braid_shape *shape, void **data, int *operand);
/* Node `old`, an input too, with these operands and under this name; with its activation. */
BRAID_NODISCARD enum braid_status rebuild_node(struct rebuild *r, int old, const int *in, const char *name, int *id);
/* Any other node, nameless: "NAME#SUFFIX". */
BRAID_NODISCARD enum braid_status rebuild_add(struct rebuild *r, enum braid_op op, const union braid_attrs *attrs,
                                              const int *in, int n_in, const char *name, int *id);
/* "NAME#SUFFIX", in the new graph's arena; NULL when memory is out. */
const char *rebuild_name(struct rebuild *r, const char *name, const char *suffix);

#endif
