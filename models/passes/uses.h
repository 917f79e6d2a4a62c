/* SPDX-License-Identifier: Apache-2.0
 * Who reads what, kept up to date while a pass fuses nodes. */
#ifndef MODELS_PASSES_USES_H
#define MODELS_PASSES_USES_H

#include "graph.h"

struct uses {
  struct braid_graph *graph;
  int *n_reads; /* operand places of live nodes that name the node */
  int *reader;  /* one of those readers */
  bool *live;   /* does an output need it? */
};

BRAID_NODISCARD enum braid_status uses_create(struct braid_graph *graph, struct uses *uses);
void uses_release(struct uses *uses);

/* The only reader of a node that may be swallowed; -1 when there are others, or none, or it is an input or output. */
int sole_reader(const struct uses *uses, int id);
/* The node of `consumer` becomes what `producer` is, with `in` as operands; name, place and readers stay the
 * consumer's, and the producer is dead. `in` holds the producer's operands and perhaps some of the consumer's. */
BRAID_NODISCARD enum braid_status swallow(struct uses *uses, int producer, int consumer, const int *in, int n_in);

/* Applies `visit` to the live nodes in order, until one fails. */
BRAID_NODISCARD enum braid_status for_each_live(struct braid_graph *graph,
                                                enum braid_status (*visit)(struct uses *uses, int id));

#endif
