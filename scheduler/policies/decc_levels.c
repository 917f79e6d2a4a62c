/* SPDX-License-Identifier: Apache-2.0
 * The levels of decc's search: every state of one is extended by one (branch, option), and of the next those stay that
 * no other beats, the most promising ones first. */
#include "decc_search.h"

#include <stdlib.h>

/* One of a level's states. */
struct sort_key {
  int64_t promise_ns;
  int number; /* ties: as they came */
};

static enum braid_status push(struct decc_level *level, const struct decc_state *t) {
  if (level->n == level->room) {
    int room = level->room ? 2 * level->room : 64;
    struct decc_state *grown = braid_realloc(level->state, (size_t)room * sizeof *grown);
    if (!grown) return braid_fail(BRAID_ENOMEM, "%d orders of branches", room);
    level->state = grown;
    level->room = room;
  }
  level->state[level->n++] = *t;
  return BRAID_OK;
}

/* By how they came: parent, branch, option. So the outcome does not depend on the sorting algorithm. */
static int by_promise(const void *pa, const void *pb) {
  const struct sort_key *a = pa, *b = pb;
  if (a->promise_ns != b->promise_ns) return a->promise_ns < b->promise_ns ? -1 : 1;
  return a->number - b->number;
}

/* For states with the same branches placed. */
static bool beats(const struct decc_search *s, const struct decc_state *a, const struct decc_state *b) {
  if (a->memory > b->memory || a->reads_entry > b->reads_entry) return false;
  if (b->sent && !a->sent) return false;
  for (int r = 0; r < DECC_ROWS; r++) {
    if (r == DECC_ENTRY && !b->sent) continue; /* what is not sent yet can only be sent later */
    for (int c = 0; c < s->columns; c++)
      if (a->at[r][c] > b->at[r][c]) return false;
  }
  for (int site = 0; site < 2 && s->block; site++)
    for (int i = 0; i < s->block->n_machines[site]; i++)
      if (a->busy[site][i] > b->busy[site][i]) return false;
  return true;
}

/* In the order of keys, which is best first, so that what is beaten comes after what beats it (or promises the same).
 * `kept` has room for s->most + 1. */
static int keep_unbeaten(const struct decc_search *s, const struct decc_level *level, const struct sort_key *key, int n,
                         struct decc_state *kept) {
  int n_kept = 0;
  for (int i = 0; i < n && n_kept <= s->most; i++) {
    const struct decc_state *t = &level->state[key[i].number];
    bool beaten = false;
    for (int j = 0; j < n_kept && !beaten; j++) beaten = kept[j].placed == t->placed && beats(s, &kept[j], t);
    if (!beaten) kept[n_kept++] = *t;
  }
  return n_kept;
}

static enum braid_status prune(struct decc_search *s, struct decc_level *level) {
  int n = level->n, room = s->most + 1;
  struct sort_key *key = braid_malloc((size_t)n * sizeof *key);
  struct decc_state *kept = braid_malloc((size_t)room * sizeof *kept);
  if (!key || !kept) {
    braid_free(key);
    braid_free(kept);
    return braid_fail(BRAID_ENOMEM, "%d orders of branches", n);
  }
  for (int i = 0; i < n; i++) key[i] = (struct sort_key){level->state[i].promise_ns, i};
  qsort(key, (size_t)n, sizeof *key, by_promise);
  if (n > 16 * s->most) {
    n = 16 * s->most;
    s->exact = false;
  }
  int n_kept = keep_unbeaten(s, level, key, n, kept);
  if (n_kept > s->most) {
    n_kept = s->most;
    s->exact = false;
  }
  braid_free(key);
  braid_free(level->state);
  *level = (struct decc_level){n_kept, room, kept};
  return BRAID_OK;
}

static bool may_come_next(const struct decc_search *s, const struct decc_state *t, int branch) {
  if (t->placed >> branch & 1) return false;
  if (s->net->throughput) return branch == 0 || t->placed >> (branch - 1) & 1;
  return s->twin[branch] < 0 || t->placed >> s->twin[branch] & 1;
}

static enum braid_status extend_by(struct decc_search *s, int i, int branch, struct decc_level *from,
                                   struct decc_level *to) {
  const struct decc_branch *list = &s->fork->branch[branch];
  for (int option = 0; option < list->n; option++)
    for (int send = 0; send < 2; send++) {
      struct decc_state t;
      if (!decc_may_send(s, &from->state[i], list->option[option].reads_entry, send)) continue;
      if (!decc_extend(s, &from->state[i], branch, option, send, &t)) continue;
      t.parent = i;
      t.promise_ns = decc_promise(s, &t);
      if (t.promise_ns <= s->cutoff_ns) BRAID_TRY(push(to, &t));
    }
  return BRAID_OK;
}

static enum braid_status extend(struct decc_search *s, int depth) {
  struct decc_level *from = &s->level[depth], *to = &s->level[depth + 1];
  to->n = 0;
  for (int i = 0; i < from->n; i++)
    for (int branch = 0; branch < s->fork->n_branches; branch++)
      if (may_come_next(s, &from->state[i], branch)) BRAID_TRY(extend_by(s, i, branch, from, to));
  return to->n > 0 ? prune(s, to) : BRAID_OK; /* else nothing fits the memory */
}

enum braid_status decc_run_levels(struct decc_search *s, const struct decc_state *start, int most) {
  s->most = most;
  s->exact = true;
  s->level[0].n = 0;
  BRAID_TRY(push(&s->level[0], start));
  for (int depth = 0; depth < s->fork->n_branches; depth++) BRAID_TRY(extend(s, depth));
  return BRAID_OK;
}

const struct decc_level *decc_last_level(const struct decc_search *s) {
  return &s->level[s->fork->n_branches];
}

void decc_trace_back(const struct decc_search *s, int i, struct decc_way *way) {
  struct decc_step step[2 * DECC_BRANCHES_MAX];
  int n = 0;
  for (int depth = s->fork->n_branches; depth > 0; depth--) {
    const struct decc_state *t = &s->level[depth].state[i];
    step[n++] = (struct decc_step){t->branch, t->option};
    if (t->entry_first) step[n++] = (struct decc_step){-1, 0};
    i = t->parent;
  }
  way->n_steps = n;
  for (int k = 0; k < n; k++) way->step[k] = step[n - 1 - k];
}
