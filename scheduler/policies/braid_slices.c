/* SPDX-License-Identifier: Apache-2.0
 * How finely to slice, and how far from the cut.
 *
 * Slices let the link start before the edge has finished and the cloud before everything has arrived, but every slice
 * costs a task's overhead, and the further from the cut the less they help: the receptive field grows until a slice
 * needs the whole image. Which way the ranks run matters as much: forwards a site finishes layer after layer, and the
 * rows that cross are among its last; backwards (later nodes more urgent) it goes depth-first, a row of the last layer
 * as soon as the rows below it are there, and the crossing tensor flows from early on.
 *
 * So slicing is six numbers: how many slices, down to which depth from the crossing tensors, and which way the ranks
 * run, on either site. They are found by hill climbing under the simulator, which knows the overhead. With several
 * workers slices also spread one node over them; the largest depth then slices everything. */
#include "braid.h"
#include "orders.h"

#include <string.h>

enum { COUNTS = 6, DEPTHS = 6, SETTINGS = COUNTS * COUNTS * DEPTHS * DEPTHS * 4, DIRECTIONS = 10 };
static const int count_of[COUNTS] = {1, 2, 4, 8, 16, 32};
static const int depth_of[DEPTHS] = {1, 3, 6, 12, 24, INT32_MAX};

struct setting {
  int count[2], depth[2]; /* by site; numbers in the tables above */
  int back[2];            /* 1: ranks turned round among the site's nodes */
};

struct slicing {
  struct braid_hunt *h;
  const struct braid_plan *plan; /* sites, and ranks that run forwards */
  struct braid_plan *trial;
  int *by_rank;  /* [n] scratch */
  int *distance; /* [n] from the nearest crossing tensor on the node's site; INT32_MAX: it leads to none */
  uint8_t *tried;
};

/* ------------------------------------------------------------------------------------------------ distances */

static int next_to(int distance) {
  return distance == INT32_MAX ? distance : distance + 1;
}

/* On the sending site backwards from what crosses, on the receiving one forwards. Returns make a node both: the
 * nearer counts. */
static void measure(const struct slicing *s) {
  const struct braid_graph *graph = s->h->st->graph;
  const uint8_t *site = s->trial->site;
  for (int v = 0; v < s->h->st->n; v++) {
    const struct braid_node *node = braid_graph_node(graph, v);
    s->distance[v] = braid_plan_crosses_up(s->trial, graph, v) ? 0 : INT32_MAX; /* perhaps as a result */
    for (int k = 0; k < node->n_in; k++) {
      int u = node->in[k];
      if (!braid_is_node(u)) continue;
      int d = site[u] != site[v] ? 0 : site[v] == BRAID_CLOUD ? next_to(s->distance[u]) : INT32_MAX;
      if (d < s->distance[v]) s->distance[v] = d;
    }
  }
  for (int v = s->h->st->n - 1; v >= 0; v--) {
    const struct braid_node *node = braid_graph_node(graph, v);
    for (int i = 0; i < node->n_readers; i++) {
      int w = node->reader[i];
      int d = site[w] != site[v] ? 0 : site[v] == BRAID_EDGE ? next_to(s->distance[w]) : INT32_MAX;
      if (d < s->distance[v]) s->distance[v] = d;
    }
  }
}

static int64_t apply(const struct slicing *s, const struct setting *set) {
  struct braid_plan *plan = s->trial;
  int64_t tasks = 0;
  for (int v = 0; v < plan->n_nodes; v++) {
    const struct braid_node *node = braid_graph_node(s->h->st->graph, v);
    int at = plan->site[v], most = node->op == BRAID_OP_INPUT ? 1 : node->slices_max;
    int count =
        s->distance[v] < depth_of[set->depth[at]] || set->depth[at] == DEPTHS - 1 ? count_of[set->count[at]] : 1;
    if (count > s->h->slices_max) count = s->h->slices_max;
    plan->slices[v] = count < most ? count : most;
    tasks += plan->slices[v];
  }
  memcpy(plan->rank, s->plan->rank, (size_t)plan->n_nodes * sizeof *plan->rank);
  for (int at = 0; at < 2; at++)
    if (set->back[at]) orders_turn(plan->site, plan->n_nodes, (enum braid_site)at, s->by_rank, plan->rank);
  return tasks;
}

/* ------------------------------------------------------------------------------------------------- climbing */

static uint8_t *tried(const struct slicing *s, const struct setting *set) {
  int counts = set->count[0] * COUNTS + set->count[1], depths = set->depth[0] * DEPTHS + set->depth[1];
  return &s->tried[(counts * DEPTHS * DEPTHS + depths) * 4 + set->back[0] * 2 + set->back[1]];
}

/* Half of what is left is the most one trial may cost. */
static enum braid_status try_setting(struct slicing *s, const struct setting *set, struct setting *best,
                                     int64_t *best_ns) {
  int64_t ns = COST_NEVER;
  if (*tried(s, set) || braid_spent(s->h)) return BRAID_OK;
  *tried(s, set) = 1;
  if (apply(s, set) > (s->h->tasks_max - s->h->tasks) / 2) return BRAID_OK;
  BRAID_TRY(braid_try(s->h, s->trial, *best_ns, &ns));
  if (ns < *best_ns) {
    *best_ns = ns;
    *best = *set;
  }
  return BRAID_OK;
}

static bool step(const struct slicing *s, const struct setting *from, int direction, struct setting *to) {
  *to = *from;
  if (direction >= 8) {
    to->back[direction & 1] ^= 1;
    return true;
  }
  int site = direction & 1, by = direction & 2 ? 1 : -1;
  int *number = direction & 4 ? &to->depth[site] : &to->count[site], most = direction & 4 ? DEPTHS : COUNTS;
  *number += by;
  if (*number < 0 || *number >= most) return false;
  return direction & 4 || *number == 0 || count_of[*number - 1] < s->h->slices_max; /* no finer than allowed */
}

static enum braid_status climb_from(struct slicing *s, const struct setting *starts, int n) {
  struct setting best = starts[0];
  int64_t best_ns = COST_NEVER;
  for (int i = 0; i < n; i++) BRAID_TRY(try_setting(s, &starts[i], &best, &best_ns));
  for (bool moved = best_ns < COST_NEVER; moved && !braid_spent(s->h);) {
    struct setting from = best, to;
    for (int direction = 0; direction < DIRECTIONS; direction++)
      if (step(s, &from, direction, &to)) BRAID_TRY(try_setting(s, &to, &best, &best_ns));
    moved = memcmp(&from, &best, sizeof best) != 0;
  }
  return BRAID_OK;
}

/* Two hills: few slices around the cut in the order of the data, and many everywhere depth-first. */
static enum braid_status climb(struct slicing *s) {
  static const struct setting near[] = {{{0, 0}, {0, 0}, {0, 0}}, {{0, 3}, {0, 2}, {0, 0}}, {{3, 0}, {2, 0}, {0, 0}},
                                        {{3, 3}, {2, 2}, {0, 0}}, {{3, 3}, {5, 5}, {0, 0}}, {{1, 1}, {5, 5}, {0, 0}}};
  static const struct setting deep[] = {
      {{5, 5}, {5, 5}, {1, 1}}, {{4, 4}, {5, 5}, {1, 1}}, {{3, 3}, {5, 5}, {1, 1}}, {{2, 2}, {5, 5}, {1, 1}}};
  BRAID_TRY(climb_from(s, deep, sizeof deep / sizeof *deep));
  return climb_from(s, near, sizeof near / sizeof *near);
}

/* --------------------------------------------------------------------------------------------- the outside */

static enum braid_status start(struct slicing *s, struct braid_hunt *h, const struct braid_plan *plan) {
  size_t n = (size_t)plan->n_nodes;
  *s = (struct slicing){.h = h, .plan = plan};
  s->by_rank = braid_malloc(2 * n * sizeof *s->by_rank);
  s->tried = braid_calloc(SETTINGS, 1);
  if (!s->by_rank || !s->tried) return braid_fail(BRAID_ENOMEM, "slicing %zu nodes", n);
  s->distance = s->by_rank + n;
  BRAID_TRY(braid_plan_copy(plan, &s->trial));
  measure(s);
  s->trial->serial = false;
  return BRAID_OK;
}

static void stop(struct slicing *s) {
  braid_plan_destroy(&s->trial);
  braid_free(s->by_rank);
  braid_free(s->tried);
}

enum braid_status braid_tune_slices(struct braid_hunt *h, const struct braid_plan *plan) {
  struct slicing s;
  enum braid_status status = start(&s, h, plan);
  if (status == BRAID_OK) status = climb(&s);
  stop(&s);
  return status;
}

enum braid_status braid_try_streamed(struct braid_hunt *h, const struct braid_plan *plan, int count, int64_t limit_ns,
                                     int64_t *ns) {
  struct setting set = {.depth = {DEPTHS - 1, DEPTHS - 1}, .back = {1, 1}};
  while (set.count[0] < COUNTS - 1 && count_of[set.count[0]] < count) set.count[0]++;
  set.count[1] = set.count[0];
  struct slicing s;
  enum braid_status status = start(&s, h, plan);
  if (status == BRAID_OK) (void)apply(&s, &set);
  if (status == BRAID_OK) status = braid_try(h, s.trial, limit_ns, ns);
  stop(&s);
  return status;
}
