/* SPDX-License-Identifier: Apache-2.0
 * The closed set with the smallest max(E, U, C, D), or the smallest latency under a limit on memory: both NP-hard
 * (PARTITION), and no weighted sum of the stages has all of them as minimum cuts. So sets are tried, but few of them:
 *   A joint is an ancestor or a descendant of every node, so a closed set holds all before it or nothing after it: it
 * cuts inside one block between neighbouring joints, and everything else of the network is known from the start. Where
 * one stage is already as full as the best value known, the block is left at once.
 *   In a block nodes are decided by ascending id; a node whose operand is in the cloud has no choice. A branch of the
 * tree is left when a stage is too full, or both machines together with what the undecided nodes take at least. */
#include "best_cut.h"

#include <string.h>

enum choice { FIRST, LAST };

struct search {
  const struct stages *st;
  struct stage_sums sums; /* of the nodes that are placed */
  int forbidden;          /* placed where they must not be, and tensors that must not be sent */
  int crossing, results;  /* tensors up, results down */
  int *cloud_readers;     /* [n] placed ones, and who wants the results there */
  uint8_t *site;          /* [n] */
  bool *placed;           /* [n] */
  int64_t *rest;          /* [n + 1] of a block's nodes from here on, each on its faster machine */
  uint8_t *choice;        /* [n] in the block: is there another? */
  int64_t *best_ns;
  int steps, steps_max;
  uint8_t *best;
  bool complete;
};

/* -------------------------------------------------------------------------------------------------- placing */

/* +1 or -1 times the node's tensor on the uplink. */
static void count_tensor(struct search *s, int v, int sign) {
  s->crossing += sign;
  if (s->st->up[v] == COST_NEVER)
    s->forbidden += sign;
  else
    s->sums.up += sign * s->st->up[v];
}

static void count_node(struct search *s, int v, int sign) {
  const struct stages *st = s->st;
  int at = s->site[v];
  s->sums.work[at] += sign * st->work[at][v];
  s->sums.time[at] += sign * st->time[at][v];
  if (at == BRAID_EDGE) {
    s->sums.memory += sign > 0 ? st->memory[v] : (size_t)0 - st->memory[v];
    s->forbidden += st->away[v] ? sign : 0;
    if (s->cloud_readers[v] > 0) count_tensor(s, v, sign);
  } else {
    s->forbidden += st->pinned[v] ? sign : 0;
    if (!is_delivered(st->graph, v, st->goal->deliver, BRAID_EDGE)) return;
    s->results += sign;
    s->sums.down += sign * st->down[v];
  }
}

/* Operands learn of a reader in the cloud; the first makes those on the edge cross. */
static void count_reader(struct search *s, int v, int sign) {
  const struct braid_node *node = braid_graph_node(s->st->graph, v);
  for (int k = 0; k < node->n_in; k++) {
    int u = node->in[k];
    if (!braid_is_node(u)) continue;
    bool crossed = s->cloud_readers[u] > 0;
    s->cloud_readers[u] += sign;
    bool crosses = s->cloud_readers[u] > 0;
    if (crossed != crosses && s->placed[u] && s->site[u] == BRAID_EDGE) count_tensor(s, u, sign);
  }
}

static void place(struct search *s, int v, enum braid_site site) {
  s->site[v] = (uint8_t)site;
  s->placed[v] = true;
  count_node(s, v, 1);
  if (site == BRAID_CLOUD) count_reader(s, v, 1);
}

static void take_back(struct search *s, int v) {
  if (s->site[v] == BRAID_CLOUD) count_reader(s, v, -1);
  count_node(s, v, -1);
  s->placed[v] = false;
}

/* --------------------------------------------------------------------------------------------------- one block */

static bool too_much(const struct search *s, int64_t rest) {
  const struct stages *st = s->st;
  const struct stage_sums *sums = &s->sums;
  if (s->forbidden > 0) return true;
  if (st->goal->edge_memory > 0 && sums->memory > st->goal->edge_memory) return true;
  if (st->goal->objective != BRAID_THROUGHPUT)
    return sums->time[BRAID_EDGE] + sums->time[BRAID_CLOUD] + sums->up + sums->down + rest >= *s->best_ns;
  int64_t both = sums->work[BRAID_EDGE] + sums->work[BRAID_CLOUD] + rest;
  int workers = st->costs->edge_workers + st->costs->cloud_workers;
  return both / workers >= *s->best_ns || stages_period_ns(st, sums) >= *s->best_ns;
}

static void at_leaf(struct search *s) {
  s->sums.crosses_up = s->crossing > 0;
  s->sums.crosses_down = s->results > 0;
  int64_t ns = stages_value_ns(s->st, &s->sums);
  if (ns >= *s->best_ns) return;
  *s->best_ns = ns;
  memcpy(s->best, s->site, (size_t)s->st->n);
}

static bool may_stay(const struct search *s, int v) {
  const struct braid_node *node = braid_graph_node(s->st->graph, v);
  for (int k = 0; k < node->n_in; k++)
    if (braid_is_node(node->in[k]) && s->site[node->in[k]] == BRAID_CLOUD) return false;
  return true;
}

/* The last decision with another way, taken; returns the place behind it, -1: none. */
static int turn_back(struct search *s, int first, int v) {
  while (--v >= first) {
    take_back(s, v);
    if (s->choice[v] == LAST) continue;
    s->choice[v] = LAST;
    place(s, v, BRAID_CLOUD);
    return v + 1;
  }
  return -1;
}

static void descend(struct search *s, int v) {
  bool stays = may_stay(s, v), leaves = !s->st->pinned[v];
  s->choice[v] = stays && leaves && !s->st->away[v] ? FIRST : LAST;
  place(s, v, stays && !s->st->away[v] ? BRAID_EDGE : BRAID_CLOUD);
}

/* All closed sets that hold everything below `first` and nothing from `end` on; those are placed so. */
static void search_block(struct search *s, int first, int end) {
  int64_t *const *ns = s->st->goal->objective == BRAID_THROUGHPUT ? s->st->work : s->st->time;
  s->rest[end] = 0;
  for (int v = end - 1; v >= first; v--) {
    int64_t e = ns[BRAID_EDGE][v], c = ns[BRAID_CLOUD][v];
    s->rest[v] = s->rest[v + 1] + (e < c ? e : c);
  }
  s->steps = 0;
  for (int v = first; v >= 0; s->steps++) {
    bool leave = too_much(s, s->rest[v]);
    if (!leave && v == end) at_leaf(s);
    if (s->steps == s->steps_max) s->complete = false;
    if (s->steps >= s->steps_max)
      memset(s->choice + first, LAST, (size_t)(v - first)); /* only takes back what is placed */
    if (leave || v == end || s->steps >= s->steps_max)
      v = turn_back(s, first, v);
    else
      descend(s, v++);
  }
}

/* -------------------------------------------------------------------------------------------------- the blocks */

static void search_all(struct search *s) {
  int n_joints = 0, first = 0, n = s->st->n;
  const int *joint = braid_graph_joints(s->st->graph, &n_joints);
  for (int v = 0; v < n; v++)
    place(s, v, braid_graph_node(s->st->graph, v)->op == BRAID_OP_INPUT ? BRAID_EDGE : BRAID_CLOUD);
  for (int i = 0; i <= n_joints; i++) {
    int end = i < n_joints ? joint[i] : n;
    if (end < 0) continue; /* the virtual source or sink */
    for (int v = first; v < end; v++) take_back(s, v);
    search_block(s, first, end);
    for (int v = first; v < end; v++) place(s, v, BRAID_EDGE);
    if (end < n) take_back(s, end);
    if (end < n) place(s, end, BRAID_EDGE);
    first = end + 1;
  }
  if (!too_much(s, 0)) at_leaf(s); /* behind a joint that is the last node */
}

enum braid_status best_cut_search(const struct stages *st, int steps, int64_t *best_ns, uint8_t *site, bool *complete) {
  size_t n = (size_t)st->n;
  struct search s = {.st = st, .best_ns = best_ns, .best = site, .steps_max = steps, .complete = true};
  s.sums.allowed = true;
  s.cloud_readers = braid_calloc(n, sizeof *s.cloud_readers);
  s.site = braid_calloc(n, 1);
  s.placed = braid_calloc(n, sizeof *s.placed);
  s.rest = braid_malloc((n + 1) * sizeof *s.rest);
  s.choice = braid_malloc(n);
  bool ok = s.cloud_readers && s.site && s.placed && s.rest && s.choice;
  for (int v = 0; v < st->n && ok; v++)
    s.cloud_readers[v] = is_delivered(st->graph, v, st->goal->deliver, BRAID_CLOUD);
  if (ok) search_all(&s);
  void *parts[] = {s.cloud_readers, s.site, s.placed, s.rest, s.choice};
  for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) braid_free(parts[i]);
  *complete = s.complete;
  return ok ? BRAID_OK : braid_fail(BRAID_ENOMEM, "cutting %zu nodes", n);
}
