/* SPDX-License-Identifier: Apache-2.0
 * Which option for every branch, and in which order the branches go through edge, uplink, cloud and downlink.
 *
 * Latency: a flow shop. For three machines some permutation schedule is optimal, so one order serves all resources.
 * States (branches placed, times at which the resources come free) are extended by one (branch, option) at a time;
 * among states with the same branches placed those that another one beats on every resource are dropped, which loses
 * nothing. This contains Johnson's rule and needs none of its conditions. Only when a level outgrows BEAM are the least
 * promising states dropped too. Branches that are equal are taken in one order only. Throughput: work adds up and order
 * does not matter: the same search with one fixed order. */
#include "decc.h"

#include <stdlib.h>
#include <string.h>

#define BEAM 256

struct state {
  int64_t edge, up, cloud, down; /* when each comes free (throughput: work so far) */
  int64_t entry_end;             /* the block's entry has left; -1: not sent */
  int64_t promise_ns;            /* lower bound of what it can become */
  size_t memory;
  uint32_t placed; /* bit set of branches */
  int parent, branch, option;
};

struct level {
  int n, room;
  struct state *state;
};

struct search {
  const struct decc_block *b;
  bool throughput;
  int64_t up_delay, down_delay;
  int twin[DECC_BRANCHES_MAX];         /* an equal branch with a smaller number that goes first; -1 */
  int64_t least[DECC_BRANCHES_MAX][3]; /* of edge, up, cloud over the branch's options */
  struct level level[DECC_BRANCHES_MAX + 1];
};

/* ---------------------------------------------------------------------------------------------- one step */

static void send_entry(const struct search *s, struct state *t) {
  if (t->entry_end >= 0) return;
  if (s->throughput)
    t->up += s->b->entry_up;
  else
    t->up = max_ns(t->up, s->b->edge_before) + s->b->entry_up;
  t->entry_end = t->up;
}

static struct state after(const struct search *s, const struct state *from, int branch, int option) {
  const struct decc_option *o = &s->b->branch[branch].option[option];
  struct state t = *from;
  t.branch = branch;
  t.option = option;
  t.placed |= UINT32_C(1) << branch;
  t.memory += o->memory;
  t.edge += o->edge;
  if (o->reads_entry) send_entry(s, &t);
  if (s->throughput) {
    t.up += o->up;
    t.cloud += o->cloud;
    t.down += o->down;
    return t;
  }
  int64_t arrived = o->reads_entry ? t.entry_end + s->up_delay : 0;
  if (o->up > 0) {
    t.up = max_ns(t.up, t.edge) + o->up;
    arrived = t.up + s->up_delay;
  }
  if (o->cloud > 0) t.cloud = max_ns(t.cloud, arrived) + o->cloud;
  if (o->down > 0) t.down = max_ns(t.down, max_ns(t.cloud, arrived)) + o->down;
  return t;
}

static int64_t finish(const struct search *s, struct state t) {
  const struct decc_block *b = s->b;
  if (b->exit_reads_entry) send_entry(s, &t);
  if (s->throughput) {
    const struct braid_costs *costs = b->st->costs;
    int64_t edge = t.edge / costs->edge_workers, cloud = (t.cloud + b->cloud_after) / costs->cloud_workers;
    return max_ns(max_ns(edge, t.up), max_ns(cloud, t.down + b->down_after));
  }
  int64_t end = max_ns(t.edge, t.down > 0 ? t.down + s->down_delay : 0);
  if (b->block->exit < 0) return end;
  int64_t joined = max_ns(t.cloud, t.up > 0 ? t.up + s->up_delay : 0);
  return max_ns(end, joined + b->cloud_after + b->down_after + s->down_delay);
}

static int64_t promise(const struct search *s, const struct state *t) {
  struct state best = *t;
  for (int i = 0; i < s->b->n_branches; i++) {
    if (t->placed >> i & 1) continue;
    best.edge += s->least[i][0];
    best.up += s->least[i][1];
    best.cloud += s->least[i][2];
  }
  return finish(s, best);
}

/* -------------------------------------------------------------------------------------------------- levels */

static enum braid_status push(struct level *level, const struct state *t) {
  if (level->n == level->room) {
    int room = level->room ? 2 * level->room : 256;
    struct state *grown = braid_realloc(level->state, (size_t)room * sizeof *grown);
    if (!grown) return braid_fail(BRAID_ENOMEM, "%d orders of branches", room);
    level->state = grown;
    level->room = room;
  }
  level->state[level->n++] = *t;
  return BRAID_OK;
}

/* Equal up to where they came from, which keeps the sort's outcome independent of its algorithm. */
static int by_origin(const struct state *a, const struct state *b) {
  if (a->parent != b->parent) return a->parent < b->parent ? -1 : 1;
  if (a->branch != b->branch) return a->branch < b->branch ? -1 : 1;
  return a->option < b->option ? -1 : a->option > b->option;
}

static int by_set_and_edge(const void *pa, const void *pb) {
  const struct state *a = pa, *b = pb;
  if (a->placed != b->placed) return a->placed < b->placed ? -1 : 1;
  if (a->edge != b->edge) return a->edge < b->edge ? -1 : 1;
  if (a->up != b->up) return a->up < b->up ? -1 : 1;
  if (a->cloud != b->cloud) return a->cloud < b->cloud ? -1 : 1;
  return by_origin(a, b);
}

static int by_promise(const void *pa, const void *pb) {
  const struct state *a = pa, *b = pb;
  if (a->promise_ns != b->promise_ns) return a->promise_ns < b->promise_ns ? -1 : 1;
  return by_origin(a, b);
}

/* For states with the same branches placed, a before b in by_set_and_edge order. */
static bool beats(const struct state *a, const struct state *b) {
  bool entry = b->entry_end < 0 || (a->entry_end >= 0 && a->entry_end <= b->entry_end);
  return entry && a->edge <= b->edge && a->up <= b->up && a->cloud <= b->cloud && a->down <= b->down &&
         a->memory <= b->memory;
}

static void keep_unbeaten(struct level *level) {
  int kept = 0, set_begin = 0;
  qsort(level->state, (size_t)level->n, sizeof *level->state, by_set_and_edge);
  for (int i = 0; i < level->n; i++) {
    struct state t = level->state[i];
    bool beaten = false;
    if (kept > 0 && level->state[kept - 1].placed != t.placed) set_begin = kept;
    for (int j = kept - 1; j >= set_begin && !beaten; j--) beaten = beats(&level->state[j], &t);
    if (!beaten) level->state[kept++] = t;
  }
  level->n = kept;
}

static bool may_come_next(const struct search *s, const struct state *t, int branch) {
  if (t->placed >> branch & 1) return false;
  if (s->throughput) return branch == 0 || t->placed >> (branch - 1) & 1;
  return s->twin[branch] < 0 || t->placed >> s->twin[branch] & 1;
}

static enum braid_status extend(struct search *s, int depth) {
  const struct level *from = &s->level[depth];
  struct level *to = &s->level[depth + 1];
  size_t limit = s->b->st->goal->edge_memory;
  for (int i = 0; i < from->n; i++)
    for (int branch = 0; branch < s->b->n_branches; branch++) {
      if (!may_come_next(s, &from->state[i], branch)) continue;
      for (int option = 0; option < s->b->branch[branch].n; option++) {
        struct state t = after(s, &from->state[i], branch, option);
        if (limit > 0 && t.memory > limit) continue;
        t.parent = i;
        BRAID_TRY(push(to, &t));
      }
    }
  if (to->n == 0) return BRAID_OK; /* nothing fits the memory */
  keep_unbeaten(to);
  for (int i = 0; i < to->n; i++) to->state[i].promise_ns = promise(s, &to->state[i]);
  qsort(to->state, (size_t)to->n, sizeof *to->state, by_promise);
  if (to->n > BEAM) to->n = BEAM;
  return BRAID_OK;
}

/* ------------------------------------------------------------------------------------------------ the search */

static bool equal_branches(const struct decc_branch *a, const struct decc_branch *b) {
  if (a->n != b->n) return false;
  for (int i = 0; i < a->n; i++) {
    const struct decc_option *x = &a->option[i], *y = &b->option[i];
    if (x->edge != y->edge || x->up != y->up || x->cloud != y->cloud || x->down != y->down || x->memory != y->memory ||
        x->reads_entry != y->reads_entry)
      return false;
  }
  return true;
}

static void prepare(struct search *s) {
  const struct decc_block *b = s->b;
  s->throughput = b->st->goal->objective == BRAID_THROUGHPUT;
  s->up_delay = b->st->costs->up.delay_ns;
  s->down_delay = b->st->costs->down.delay_ns;
  for (int i = 0; i < b->n_branches; i++) {
    s->twin[i] = -1;
    for (int j = 0; j < i; j++)
      if (equal_branches(&b->branch[j], &b->branch[i])) s->twin[i] = j;
    for (int r = 0; r < 3; r++) s->least[i][r] = INT64_MAX;
    for (int o = 0; o < b->branch[i].n; o++) {
      const struct decc_option *option = &b->branch[i].option[o];
      const int64_t ns[3] = {option->edge, option->up, option->cloud};
      for (int r = 0; r < 3; r++)
        if (ns[r] < s->least[i][r]) s->least[i][r] = ns[r];
    }
  }
}

static struct decc_choice trace_back(const struct search *s, int i) {
  struct decc_choice choice = {{0}, {0}};
  for (int depth = s->b->n_branches; depth > 0; depth--) {
    const struct state *t = &s->level[depth].state[i];
    choice.order[depth - 1] = t->branch;
    choice.option[t->branch] = t->option;
    i = t->parent;
  }
  return choice;
}

enum braid_status decc_search(const struct decc_block *block, int most,
                              void (*found)(void *ctx, const struct decc_choice *choice, int64_t ns), void *ctx) {
  struct search s = {.b = block};
  prepare(&s);
  struct state start = {.edge = block->edge_before, .entry_end = -1, .memory = block->memory_before, .parent = -1};
  enum braid_status status = push(&s.level[0], &start);
  for (int depth = 0; depth < block->n_branches && status == BRAID_OK; depth++) status = extend(&s, depth);
  const struct level *last = &s.level[block->n_branches];
  for (int i = 0; i < last->n && i < most && status == BRAID_OK; i++) {
    struct decc_choice choice = trace_back(&s, i);
    found(ctx, &choice, finish(&s, last->state[i]));
  }
  for (int depth = 0; depth <= block->n_branches; depth++) braid_free(s.level[depth].state);
  return status;
}

/* --------------------------------------------------------------------------------------------- everything */

int64_t decc_count(const struct decc_block *b, int64_t limit) {
  int64_t count = 1;
  for (int i = 0; i < b->n_branches && count <= limit; i++) count *= b->branch[i].n * (i + 1);
  return count <= limit ? count : limit;
}

static bool next_options(const struct decc_block *b, struct decc_choice *choice) {
  int i = 0;
  while (i < b->n_branches && ++choice->option[i] == b->branch[i].n) choice->option[i++] = 0;
  return i < b->n_branches;
}

/* The next permutation in lexicographic order. */
static bool next_order(const struct decc_block *b, struct decc_choice *choice) {
  int *p = choice->order, n = b->n_branches, i = n - 2, j = n - 1;
  while (i >= 0 && p[i] > p[i + 1]) i--;
  if (i < 0) return false;
  while (p[j] < p[i]) j--;
  int swap = p[i];
  p[i] = p[j];
  p[j] = swap;
  for (int l = i + 1, r = n - 1; l < r; l++, r--) {
    swap = p[l];
    p[l] = p[r];
    p[r] = swap;
  }
  return true;
}

void decc_enumerate(const struct decc_block *b, void (*found)(void *ctx, const struct decc_choice *choice, int64_t ns),
                    void *ctx) {
  struct search s = {.b = b};
  struct decc_choice choice = {{0}, {0}};
  prepare(&s);
  for (int i = 0; i < b->n_branches; i++) choice.order[i] = i;
  do {
    do {
      struct state t = {.edge = b->edge_before, .entry_end = -1, .memory = b->memory_before};
      for (int i = 0; i < b->n_branches; i++) t = after(&s, &t, choice.order[i], choice.option[choice.order[i]]);
      found(ctx, &choice, finish(&s, t));
    } while (next_options(b, &choice));
  } while (next_order(b, &choice));
}

/* ------------------------------------------------------------------------------------------------- applying */

struct ranking {
  int *rank;
  int next;
};

static void rank_next(struct ranking *r, int v) {
  r->rank[v] = r->next++;
}

/* The entry's turn on the wire comes with the first branch that reads it in the cloud; before that nothing waits for
 * it. */
void decc_apply(const struct decc_block *b, const struct decc_choice *choice, uint8_t *site, int *rank) {
  struct ranking r = {rank, 0};
  bool entry_ranked = b->block->entry < 0;
  for (int v = 0; v < b->st->n; v++) {
    site[v] = b->part[v] == DECC_BEFORE ? BRAID_EDGE : BRAID_CLOUD;
    if (b->part[v] == DECC_BEFORE && v != b->block->entry) rank_next(&r, v);
  }
  for (int i = 0; i < b->n_branches; i++) {
    const struct decc_branch *branch = &b->branch[choice->order[i]];
    const struct decc_option *option = &branch->option[choice->option[choice->order[i]]];
    if (option->reads_entry && !entry_ranked) {
      entry_ranked = true;
      rank_next(&r, b->block->entry);
    }
    for (int j = 0; j < branch->branch->n_nodes; j++) {
      site[branch->branch->node[j]] = option->site[j];
      rank_next(&r, branch->branch->node[j]);
    }
  }
  if (!entry_ranked) rank_next(&r, b->block->entry);
  for (int v = 0; v < b->st->n; v++)
    if (b->part[v] == DECC_AFTER) rank_next(&r, v);
}
