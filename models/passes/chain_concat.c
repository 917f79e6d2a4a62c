/* SPDX-License-Identifier: Apache-2.0
 *
 * DenseNet joins (a,b), (a,b,c), (a,b,c,d), ... anew each time. Where the join of a prefix exists, the next one refers
 * to it: with tensors that live inside the tensor they are joined into, every join then costs nothing.
 */
#include "passes/passes.h"
#include "passes/uses.h"

#include <string.h>

enum { MAX_TRIED = 256 }; /* joins that begin with the same tensor and are compared: keeps hostile graphs near linear */

struct joins {
  struct uses uses;
  /* By node: the last join seen that begins with it, and the one seen before a join with the same beginning. */
  int *latest, *before;
  /* Operands as they were before this pass: what the join really consists of. */
  const int **operands;
  int *n_operands;
};

static bool is_prefix(const struct joins *j, int shorter, int longer) {
  int n = j->n_operands[shorter];
  return n < j->n_operands[longer] &&
         memcmp(j->operands[shorter], j->operands[longer], (size_t)n * sizeof(int)) == 0;
}

static int longest_prefix(const struct joins *j, int id) {
  const struct braid_node *node = j->uses.graph->node;
  int best = -1, tried = 0;
  for (int e = j->latest[node[id].in[0]]; e >= 0 && tried < MAX_TRIED; e = j->before[e], tried++) {
    if (node[e].attrs.axis.axis != node[id].attrs.axis.axis || !is_prefix(j, e, id)) continue;
    if (best < 0 || j->n_operands[e] > j->n_operands[best]) best = e;
  }
  return best;
}

static enum braid_status refer_to(struct joins *j, int id, int prefix) {
  int in[MAX_OPERANDS], n = 1, skipped = j->n_operands[prefix];
  in[0] = prefix;
  for (int k = skipped; k < j->n_operands[id]; k++) in[n++] = j->operands[id][k];
  return graph_set_operands(j->uses.graph, id, in, n);
}

static enum braid_status visit(struct joins *j, int id) {
  const struct braid_node *node = &j->uses.graph->node[id];
  if (node->op != BRAID_OP_CONCAT || !j->uses.live[id] || node->n_in < 2 || !braid_is_node(node->in[0]))
    return BRAID_OK;
  int first = node->in[0], prefix;
  j->operands[id] = node->in;
  j->n_operands[id] = node->n_in;
  prefix = longest_prefix(j, id);
  if (prefix >= 0) BRAID_TRY(refer_to(j, id, prefix));
  j->before[id] = j->latest[first];
  j->latest[first] = id;
  return BRAID_OK;
}

static enum braid_status visit_all(struct joins *j) {
  int n = j->uses.graph->n_nodes;
  for (int id = 0; id < n; id++) j->latest[id] = -1;
  for (int id = 0; id < n; id++) BRAID_TRY(visit(j, id));
  return BRAID_OK;
}

enum braid_status pass_chain_concat(struct braid_graph *graph) {
  struct joins j;
  size_t n = (size_t)graph->n_nodes;
  BRAID_TRY(uses_create(graph, &j.uses));
  j.latest = braid_calloc(n, sizeof *j.latest);
  j.before = braid_calloc(n, sizeof *j.before);
  j.operands = braid_calloc(n, sizeof *j.operands);
  j.n_operands = braid_calloc(n, sizeof *j.n_operands);
  bool ready = j.latest && j.before && j.operands && j.n_operands;
  enum braid_status status = ready ? visit_all(&j) : out_of_memory(graph);
  braid_free(j.latest);
  braid_free(j.before);
  braid_free(j.operands);
  braid_free(j.n_operands);
  uses_release(&j.uses);
  return status;
}
