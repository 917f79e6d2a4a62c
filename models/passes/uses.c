/* SPDX-License-Identifier: Apache-2.0 */
#include "passes/uses.h"

#include <string.h>

static void mark_live(const struct braid_graph *graph, bool *live) {
  for (int id = graph->n_nodes - 1; id >= 0; id--) {
    const struct braid_node *node = &graph->node[id];
    live[id] = live[id] || node->is_output;
    for (int k = 0; live[id] && k < node->n_in; k++)
      if (braid_is_node(node->in[k])) live[node->in[k]] = true;
  }
}

static void count_reads(struct uses *uses) {
  for (int id = 0; id < uses->graph->n_nodes; id++) {
    const struct braid_node *node = &uses->graph->node[id];
    for (int k = 0; uses->live[id] && k < node->n_in; k++) {
      if (!braid_is_node(node->in[k])) continue;
      uses->n_reads[node->in[k]]++;
      uses->reader[node->in[k]] = id;
    }
  }
}

enum braid_status uses_create(struct braid_graph *graph, struct uses *uses) {
  size_t n = (size_t)graph->n_nodes;
  *uses = (struct uses){graph, braid_calloc(n, sizeof(int)), braid_calloc(n, sizeof(int)),
                        braid_calloc(n, sizeof(bool))};
  if (!uses->n_reads || !uses->reader || !uses->live) {
    uses_release(uses);
    return out_of_memory(graph);
  }
  mark_live(graph, uses->live);
  count_reads(uses);
  return BRAID_OK;
}

void uses_release(struct uses *uses) {
  braid_free(uses->n_reads);
  braid_free(uses->reader);
  braid_free(uses->live);
}

int sole_reader(const struct uses *uses, int id) {
  const struct braid_node *node = &uses->graph->node[id];
  if (uses->n_reads[id] != 1 || node->is_output || node->op == BRAID_OP_INPUT) return -1;
  return uses->reader[id];
}

enum braid_status swallow(struct uses *uses, int producer, int consumer, const int *in, int n_in) {
  BRAID_TRY(graph_set_operands(uses->graph, consumer, in, n_in));
  struct braid_node *from = &uses->graph->node[producer], *to = &uses->graph->node[consumer];
  to->op = from->op;
  to->attrs = from->attrs;
  to->act = from->act;
  for (int k = 0; k < n_in; k++)
    if (braid_is_node(in[k]) && uses->reader[in[k]] == producer) uses->reader[in[k]] = consumer;
  uses->n_reads[producer] = 0;
  uses->live[producer] = false;
  return BRAID_OK;
}

enum braid_status for_each_live(struct braid_graph *graph, enum braid_status (*visit)(struct uses *uses, int id)) {
  struct uses uses;
  BRAID_TRY(uses_create(graph, &uses));
  enum braid_status status = BRAID_OK;
  for (int id = 0; status == BRAID_OK && id < graph->n_nodes; id++)
    if (uses.live[id]) status = visit(&uses, id);
  uses_release(&uses);
  return status;
}
