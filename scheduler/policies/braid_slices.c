/* SPDX-License-Identifier: Apache-2.0
 * How finely to slice, and how far from the cut.
 *
 * Slices let the link start before the edge has finished and the cloud before everything has arrived, but every slice
 * costs a task's overhead, and the further from the cut the less they help: the receptive field grows until a slice
 * needs the whole image. So slicing is four numbers: how many slices, and down to which depth from the crossing
 * tensors, on either site. They are found by hill climbing under the simulator, which knows the overhead. With several
 * workers slices also spread one node over them; the largest depth then slices everything. */
#include "braid.h"

#include <string.h>

enum { COUNTS = 6, DEPTHS = 6 };
static const int count_of[COUNTS] = {1, 2, 4, 8, 16, 32};
static const int depth_of[DEPTHS] = {1, 3, 6, 12, 24, INT32_MAX};

struct setting {
  int count[2], depth[2]; /* by site; numbers in the tables above */
};

struct slicing {
  struct braid_hunt *h;
  struct braid_plan *trial;
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
    s->distance[v] = INT32_MAX;
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
  return tasks;
}

/* ------------------------------------------------------------------------------------------------- climbing */

static uint8_t *tried(const struct slicing *s, const struct setting *set) {
  return &s->tried[((set->count[0] * COUNTS + set->count[1]) * DEPTHS + set->depth[0]) * DEPTHS + set->depth[1]];
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
  int site = direction & 1, by = direction & 2 ? 1 : -1;
  int *number = direction & 4 ? &to->depth[site] : &to->count[site], most = direction & 4 ? DEPTHS : COUNTS;
  *number += by;
  if (*number < 0 || *number >= most) return false;
  return direction & 4 || *number == 0 || count_of[*number - 1] < s->h->slices_max; /* no finer than allowed */
}

static enum braid_status climb(struct slicing *s) {
  static const struct setting starts[] = {
      {{0, 3}, {0, 2}}, {{3, 0}, {2, 0}}, {{3, 3}, {2, 2}}, {{3, 3}, {5, 5}}, {{1, 1}, {5, 5}}};
  struct setting best = {{0}, {0}};
  int64_t best_ns = COST_NEVER;
  BRAID_TRY(try_setting(s, &best, &best, &best_ns));
  for (size_t i = 0; i < sizeof starts / sizeof *starts; i++) BRAID_TRY(try_setting(s, &starts[i], &best, &best_ns));
  for (bool moved = true; moved && !braid_spent(s->h);) {
    struct setting from = best, to;
    for (int direction = 0; direction < 8; direction++)
      if (step(s, &from, direction, &to)) BRAID_TRY(try_setting(s, &to, &best, &best_ns));
    moved = memcmp(&from, &best, sizeof best) != 0;
  }
  return BRAID_OK;
}

/* --------------------------------------------------------------------------------------------- the outside */

static enum braid_status with_slicing(struct braid_hunt *h, const struct braid_plan *plan,
                                      enum braid_status (*use)(struct slicing *s, int64_t *ns), int64_t *ns) {
  struct slicing s = {.h = h};
  s.distance = braid_malloc((size_t)plan->n_nodes * sizeof *s.distance);
  s.tried = braid_calloc(COUNTS * COUNTS * DEPTHS * DEPTHS, 1);
  enum braid_status status = s.distance && s.tried ? braid_plan_copy(plan, &s.trial)
                                                   : braid_fail(BRAID_ENOMEM, "slicing %d nodes", plan->n_nodes);
  if (status == BRAID_OK) {
    measure(&s);
    s.trial->serial = false;
    status = use(&s, ns);
  }
  braid_plan_destroy(&s.trial);
  braid_free(s.distance);
  braid_free(s.tried);
  return status;
}

static enum braid_status tune(struct slicing *s, int64_t *ns) {
  (void)ns;
  return climb(s);
}

static enum braid_status stream(struct slicing *s, int64_t *ns) {
  (void)apply(s, &(struct setting){{3, 3}, {2, 2}});
  return braid_try(s->h, s->trial, COST_NEVER, ns);
}

enum braid_status braid_tune_slices(struct braid_hunt *h, const struct braid_plan *plan) {
  return with_slicing(h, plan, tune, NULL);
}

enum braid_status braid_try_streamed(struct braid_hunt *h, const struct braid_plan *plan, int64_t *ns) {
  return with_slicing(h, plan, stream, ns);
}
