/* SPDX-License-Identifier: Apache-2.0
 * Local search over sites.
 *
 * Moves: one node next to the cut changes sides (returns from the cloud included); a branch, at whatever depth of
 * nesting, is cut after another of its nodes; where nothing of that helps any more, two nodes at once. There are
 * thousands, and a simulation costs far more than updating sums, so every move is first valued by its stages: overlap
 * turns the sum of the stages into something between it and the busiest stage, and where in between is taken from the
 * current plan's simulated value. Only the best few by that measure are simulated, more of them where simulations are
 * cheap; the first improvement is taken. */
#include "braid.h"

#include <string.h>

#define PROMISING 64         /* most moves that are simulated each round, ... */
#define PROMISING_TASKS 2000 /* ... of large networks so many tasks, ... */
#define PROMISING_MIN 10     /* ... but at least so many moves */
#define PAIRS_MAX 10000      /* that are valued each round */
#define SMALL 64             /* nodes of a network in which any of them may change sides */

/* Sums under a changing set of sites: a flip costs the node's degree. */
struct sums {
  const struct stages *st;
  uint8_t *site;
  int *readers[2]; /* [n] by site of the reader, who wants the results included */
  int64_t time[2], up, down;
  size_t memory;
  int forbidden, n_up, n_down;
};

struct move {
  const struct braid_branch *branch; /* NULL: node `at` changes sides; else the branch is cut before its node `at` */
  int at, also;                      /* also: another node that changes sides; -1 */
  int64_t value_ns;                  /* estimated */
};

struct climb {
  struct braid_hunt *h;
  struct sums sums;
  struct braid_plan *current, *trial;
  int64_t current_ns;
  double overlap; /* 0: nothing of the sum of stages remains beyond the busiest; 1: all of it */
  int n_moves, most_moves;
  struct move move[PROMISING]; /* [most_moves] ascending */
};

/* ----------------------------------------------------------------------------------------------------- sums */

static void count_tensor(struct sums *s, int v, int sign) {
  const struct stages *st = s->st;
  if (s->site[v] == BRAID_EDGE && s->readers[BRAID_CLOUD][v] > 0) {
    s->n_up += sign;
    if (st->up[v] >= COST_NEVER)
      s->forbidden += sign;
    else
      s->up += sign * st->up[v];
  }
  if (s->site[v] == BRAID_CLOUD && s->readers[BRAID_EDGE][v] > 0) {
    s->n_down += sign;
    s->down += sign * st->down[v];
  }
}

static bool is_misplaced(const struct stages *st, int v, int site) {
  if (st->pinned[v]) return site == BRAID_CLOUD;
  return st->goal->pinned && st->goal->pinned[v] >= 0 && st->goal->pinned[v] != site;
}

static void count_node(struct sums *s, int v, int sign) {
  int at = s->site[v];
  s->time[at] += sign * s->st->time[at][v];
  s->forbidden += is_misplaced(s->st, v, at) ? sign : 0;
  if (at == BRAID_EDGE && sign > 0) s->memory += s->st->memory[v];
  if (at == BRAID_EDGE && sign < 0) s->memory -= s->st->memory[v];
}

/* An operand may be named twice by one node; readers are listed once. */
static bool named_before(const struct braid_node *node, int k) {
  for (int j = 0; j < k; j++)
    if (node->in[j] == node->in[k]) return true;
  return false;
}

static void flip(struct sums *s, int v) {
  const struct braid_node *node = braid_graph_node(s->st->graph, v);
  count_node(s, v, -1);
  count_tensor(s, v, -1);
  s->site[v] ^= 1;
  count_node(s, v, 1);
  count_tensor(s, v, 1);
  for (int k = 0; k < node->n_in; k++) {
    int u = node->in[k];
    if (!braid_is_node(u) || named_before(node, k)) continue;
    count_tensor(s, u, -1);
    s->readers[s->site[v]][u]++;
    s->readers[!s->site[v]][u]--;
    count_tensor(s, u, 1);
  }
}

static void set_sites(struct sums *s, const uint8_t *site) {
  for (int v = 0; v < s->st->n; v++)
    if (s->site[v] != site[v]) flip(s, v);
}

static enum braid_status make_sums(struct sums *s, const struct stages *st) {
  size_t n = (size_t)st->n;
  *s = (struct sums){.st = st, .site = braid_calloc(n, 1), .readers = {braid_calloc(2 * n, sizeof(int)), NULL}};
  if (!s->site || !s->readers[0]) return braid_fail(BRAID_ENOMEM, "moving %d nodes", st->n);
  s->readers[1] = s->readers[0] + n;
  for (int v = 0; v < st->n; v++) {
    s->readers[BRAID_EDGE][v] = braid_graph_node(st->graph, v)->n_readers;
    s->readers[st->goal->deliver][v] += braid_graph_node(st->graph, v)->is_output;
  }
  for (int v = 0; v < st->n; v++) {
    count_node(s, v, 1);
    count_tensor(s, v, 1);
  }
  return BRAID_OK;
}

static void free_sums(struct sums *s) {
  braid_free(s->site);
  braid_free(s->readers[0]);
}

static bool is_forbidden(const struct sums *s) {
  return s->forbidden > 0 || (s->st->goal->edge_memory > 0 && s->memory > s->st->goal->edge_memory);
}

static int64_t serial_ns(const struct sums *s) {
  const struct braid_costs *c = s->st->costs;
  return s->time[0] + s->up + s->time[1] + s->down + (s->n_up > 0 ? c->up.delay_ns : 0) +
         (s->n_down > 0 ? c->down.delay_ns : 0);
}

static int64_t busiest_ns(const struct sums *s) {
  return max_ns(max_ns(s->time[0], s->up), max_ns(s->time[1], s->down));
}

/* --------------------------------------------------------------------------------------------------- moves */

static void propose(struct climb *c, const struct braid_branch *branch, int at, int also) {
  if (is_forbidden(&c->sums)) return;
  int64_t busiest = busiest_ns(&c->sums), serial = serial_ns(&c->sums);
  struct move m = {branch, at, also, busiest + (int64_t)(c->overlap * (double)(serial - busiest))};
  if (busiest >= c->current_ns) return;
  if (c->n_moves == c->most_moves && m.value_ns >= c->move[c->most_moves - 1].value_ns) return;
  int i = c->n_moves < c->most_moves ? c->n_moves++ : c->most_moves - 1;
  for (; i > 0 && c->move[i - 1].value_ns > m.value_ns; i--) c->move[i] = c->move[i - 1];
  c->move[i] = m;
}

static bool is_input(const struct climb *c, int v) {
  return braid_graph_node(c->h->st->graph, v)->op == BRAID_OP_INPUT;
}

static bool is_near_cut(const struct sums *s, int v) {
  const struct braid_node *node = braid_graph_node(s->st->graph, v);
  if (s->st->n <= SMALL || s->readers[!s->site[v]][v] > 0 || node->n_readers == 0) return true;
  for (int k = 0; k < node->n_in; k++)
    if (braid_is_node(node->in[k]) && s->site[node->in[k]] != s->site[v]) return true;
  return false;
}

static void propose_flips(struct climb *c) {
  for (int v = 0; v < c->h->st->n; v++) {
    if (is_input(c, v) || !is_near_cut(&c->sums, v)) continue;
    flip(&c->sums, v);
    propose(c, NULL, v, -1);
    flip(&c->sums, v);
  }
}

/* Two nodes near the cut, the second perhaps only since the first has changed sides. */
static void propose_pairs(struct climb *c) {
  int n = c->h->st->n, pairs = 0;
  for (int v = 0; v < n && pairs < PAIRS_MAX; v++) {
    if (is_input(c, v) || !is_near_cut(&c->sums, v)) continue;
    flip(&c->sums, v);
    for (int w = v + 1; w < n && pairs < PAIRS_MAX; w++) {
      if (is_input(c, w) || !is_near_cut(&c->sums, w)) continue;
      flip(&c->sums, w);
      propose(c, NULL, v, w);
      flip(&c->sums, w);
      pairs++;
    }
    flip(&c->sums, v);
  }
}

static void put(struct climb *c, int v, uint8_t site) {
  if (!is_input(c, v) && c->sums.site[v] != site) flip(&c->sums, v);
}

static void propose_branches(struct climb *c, const struct braid_block *blocks, int n_blocks) {
  for (int b = 0; b < n_blocks; b++)
    for (int i = 0; i < blocks[b].n_branches; i++) {
      const struct braid_branch *branch = &blocks[b].branch[i];
      propose_branches(c, branch->block, branch->n_blocks);
      for (int j = 0; j < branch->n_nodes; j++) put(c, branch->node[j], BRAID_CLOUD);
      for (int j = 0; j <= branch->n_nodes; j++) {
        if (memcmp(c->sums.site, c->current->site, (size_t)c->h->st->n) != 0) propose(c, branch, j, -1);
        if (j < branch->n_nodes) put(c, branch->node[j], BRAID_EDGE);
      }
      for (int j = 0; j < branch->n_nodes; j++) put(c, branch->node[j], c->current->site[branch->node[j]]);
    }
}

/* A node that changes sides is sliced like its most finely sliced neighbour there. */
static void place(struct climb *c, int v, uint8_t site) {
  const struct braid_node *node = braid_graph_node(c->h->st->graph, v);
  struct braid_plan *plan = c->trial;
  if (node->op == BRAID_OP_INPUT || plan->site[v] == site) return;
  int slices = 1;
  plan->site[v] = site;
  for (int k = 0; k < node->n_in; k++)
    if (braid_is_node(node->in[k]) && plan->slices[node->in[k]] > slices) slices = plan->slices[node->in[k]];
  for (int i = 0; i < node->n_readers; i++)
    if (plan->slices[node->reader[i]] > slices) slices = plan->slices[node->reader[i]];
  plan->slices[v] = slices < node->slices_max ? slices : node->slices_max;
}

static void copy_plan(struct braid_plan *to, const struct braid_plan *from) {
  size_t n = (size_t)from->n_nodes;
  memcpy(to->site, from->site, n);
  memcpy(to->slices, from->slices, n * sizeof *to->slices);
  memcpy(to->rank, from->rank, n * sizeof *to->rank);
}

static void make(struct climb *c, const struct move *m) {
  copy_plan(c->trial, c->current);
  if (!m->branch) {
    place(c, m->at, !c->current->site[m->at]);
    if (m->also >= 0) place(c, m->also, !c->current->site[m->also]);
    return;
  }
  for (int j = 0; j < m->branch->n_nodes; j++) place(c, m->branch->node[j], j < m->at ? BRAID_EDGE : BRAID_CLOUD);
}

/* -------------------------------------------------------------------------------------------------- rounds */

static enum braid_status try_moves(struct climb *c, bool *moved) {
  for (int i = 0; i < c->n_moves && !*moved && !braid_spent(c->h); i++) {
    int64_t ns = COST_NEVER;
    make(c, &c->move[i]);
    BRAID_TRY(braid_try(c->h, c->trial, c->current_ns, &ns));
    if (ns >= c->current_ns) continue;
    c->current_ns = ns;
    copy_plan(c->current, c->trial);
    *moved = true;
  }
  c->n_moves = 0;
  return BRAID_OK;
}

static enum braid_status one_round(struct climb *c, bool *moved) {
  int n_blocks = 0;
  const struct braid_block *blocks = braid_graph_blocks(c->h->st->graph, &n_blocks);
  set_sites(&c->sums, c->current->site);
  int64_t busiest = busiest_ns(&c->sums), serial = serial_ns(&c->sums);
  c->overlap = serial > busiest ? (double)(c->current_ns - busiest) / (double)(serial - busiest) : 1;
  if (c->overlap < 0) c->overlap = 0;
  propose_flips(c);
  propose_branches(c, blocks, n_blocks);
  BRAID_TRY(try_moves(c, moved));
  if (*moved || braid_spent(c->h)) return BRAID_OK;
  propose_pairs(c);
  return try_moves(c, moved);
}

static int most_moves(int n_nodes) {
  int most = PROMISING_TASKS / n_nodes;
  return most > PROMISING ? PROMISING : most < PROMISING_MIN ? PROMISING_MIN : most;
}

enum braid_status braid_climb(struct braid_hunt *h, const struct braid_plan *plan, int64_t ns) {
  struct climb c = {.h = h, .current_ns = ns, .most_moves = most_moves(h->st->n)};
  enum braid_status status = braid_plan_copy(plan, &c.current);
  if (status == BRAID_OK) status = braid_plan_copy(plan, &c.trial);
  if (status == BRAID_OK) status = make_sums(&c.sums, h->st);
  if (status == BRAID_OK) c.current->serial = c.trial->serial = false;
  for (bool moved = true; moved && status == BRAID_OK && !braid_spent(h);) {
    moved = false;
    status = one_round(&c, &moved);
  }
  free_sums(&c.sums);
  braid_plan_destroy(&c.current);
  braid_plan_destroy(&c.trial);
  return status;
}

enum braid_status braid_prefixes(const struct stages *st,
                                 void (*seen)(void *ctx, int n_edge, int64_t serial_ns, int64_t busiest_ns),
                                 void *ctx) {
  struct sums s;
  enum braid_status status = make_sums(&s, st);
  for (int v = 0; v < st->n && status == BRAID_OK; v++)
    if (braid_graph_node(st->graph, v)->op != BRAID_OP_INPUT) flip(&s, v);
  for (int v = 0; v <= st->n && status == BRAID_OK; v++) {
    if (!is_forbidden(&s)) seen(ctx, v, serial_ns(&s), busiest_ns(&s));
    if (v < st->n && s.site[v] == BRAID_CLOUD) flip(&s, v);
  }
  free_sums(&s);
  return status;
}
