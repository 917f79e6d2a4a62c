/* SPDX-License-Identifier: Apache-2.0
 * neurosurgeon [Kang et al., ASPLOS 2017]: the best single cut of the topological chain, serial. The ids are a
 * topological order, so every prefix of them (plus the inputs, which need nothing) is closed; all n + 1 are evaluated,
 * each from the last by moving one node. */
#include "../internal.h"

struct chain {
  const struct stages *st;
  uint8_t *site;
  int *cloud_readers; /* of each node's tensor, who wants the results there included */
  struct stage_sums sums;
  int ups, downs, never; /* tensors that cross up / down; nodes on the wrong side and private tensors on the wire */
};

static void count_crossing(struct chain *c, int u, int sign) {
  c->ups += sign;
  if (c->st->up[u] == COST_NEVER)
    c->never += sign;
  else
    c->sums.up += sign * c->st->up[u];
}

static void move_to_edge(struct chain *c, int v) {
  const struct braid_node *node = braid_graph_node(c->st->graph, v);
  c->site[v] = BRAID_EDGE;
  c->sums.work[BRAID_EDGE] += c->st->work[BRAID_EDGE][v];
  c->sums.work[BRAID_CLOUD] -= c->st->work[BRAID_CLOUD][v];
  c->sums.time[BRAID_EDGE] += c->st->time[BRAID_EDGE][v];
  c->sums.time[BRAID_CLOUD] -= c->st->time[BRAID_CLOUD][v];
  c->sums.memory += c->st->memory[v];
  c->never += c->st->away[v] - c->st->pinned[v];
  if (is_delivered(c->st->graph, v, c->st->goal->deliver, BRAID_EDGE)) {
    c->downs--;
    c->sums.down -= c->st->down[v];
  }
  if (c->cloud_readers[v] > 0) count_crossing(c, v, 1);
  for (int k = 0; k < node->n_in; k++) {
    int u = node->in[k];
    bool again = false; /* an operand read twice is one tensor */
    for (int j = 0; j < k; j++) again |= node->in[j] == u;
    if (braid_is_node(u) && !again && --c->cloud_readers[u] == 0) count_crossing(c, u, -1);
  }
}

static void start_in_cloud(struct chain *c) {
  for (int v = 0; v < c->st->n; v++) {
    const struct braid_node *node = braid_graph_node(c->st->graph, v);
    c->site[v] = BRAID_CLOUD;
    c->cloud_readers[v] = node->n_readers + is_delivered(c->st->graph, v, c->st->goal->deliver, BRAID_CLOUD);
    c->sums.work[BRAID_CLOUD] += c->st->work[BRAID_CLOUD][v];
    c->sums.time[BRAID_CLOUD] += c->st->time[BRAID_CLOUD][v];
    c->never += c->st->pinned[v];
    if (!is_delivered(c->st->graph, v, c->st->goal->deliver, BRAID_EDGE)) continue;
    c->downs++;
    c->sums.down += c->st->down[v];
  }
  for (int v = 0; v < c->st->n; v++)
    if (braid_graph_node(c->st->graph, v)->op == BRAID_OP_INPUT) move_to_edge(c, v);
}

static int64_t value_ns(struct chain *c) {
  c->sums.crosses_up = c->ups > 0;
  c->sums.crosses_down = c->downs > 0;
  c->sums.allowed = c->never == 0;
  return stages_value_ns(c->st, &c->sums);
}

/* Leaves the best prefix in c->site. */
static enum braid_status best_prefix(struct chain *c) {
  int best = -1;
  start_in_cloud(c);
  int64_t least = value_ns(c);
  for (int v = 0; v < c->st->n; v++) {
    if (c->site[v] == BRAID_EDGE) continue;
    move_to_edge(c, v);
    int64_t ns = value_ns(c);
    if (ns >= least) continue;
    least = ns;
    best = v;
  }
  if (least >= COST_NEVER)
    return braid_fail(BRAID_ENOTFOUND,
                      "no prefix of the network fits the edge's memory, keeps private tensors there and "
                      "pinned nodes where they belong%s",
                      stages_ceiling_text(c->st));
  for (int v = 0; v < c->st->n; v++)
    c->site[v] = v <= best || braid_graph_node(c->st->graph, v)->op == BRAID_OP_INPUT ? BRAID_EDGE : BRAID_CLOUD;
  return BRAID_OK;
}

enum braid_status neurosurgeon_cut(const struct stages *st, uint8_t *site) {
  struct chain c = {.st = st, .site = site, .cloud_readers = braid_calloc((size_t)st->n, sizeof *c.cloud_readers)};
  if (!c.cloud_readers) return braid_fail(BRAID_ENOMEM, "cutting %d nodes", st->n);
  c.sums.allowed = true;
  enum braid_status status = best_prefix(&c);
  braid_free(c.cloud_readers);
  return status;
}

static enum braid_status decide(const struct braid_graph *graph, const struct braid_costs *costs,
                                const struct braid_goal *goal, struct braid_plan **out) {
  return stages_decide("neurosurgeon", neurosurgeon_cut, graph, costs, goal, out);
}

const struct braid_policy policy_neurosurgeon = {"neurosurgeon", "best single cut of the topological chain, serial",
                                                 "Kang et al., ASPLOS 2017", decide};
