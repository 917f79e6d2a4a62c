/* SPDX-License-Identifier: Apache-2.0
 * Which option for every branch, and in which order the branches go through edge, uplink, cloud and downlink.
 *
 * Latency: a flow shop whose jobs are matrices (decc.h), in one order for all machines: for jobs of three stages some
 * such order is optimal. States (branches placed, times at which the machines come free) are extended by one (branch,
 * option) at a time; among states with the same branches placed those that another one beats on every count are
 * dropped, which loses nothing, because taking a job is monotone. A quick search with few states comes first; what
 * cannot beat it is dropped as well. Equal branches are taken in one order only. The entry's tensor is sent once,
 * before some branch, at the latest before the first that reads it. Inside a nested fork the same search runs on
 * matrices in place of times and keeps all that is undominated. Throughput: work adds up and order does not matter: one
 * order.
 *
 * When a level outgrows the limits the least promising states go, and the result is improved by moves: other options
 * one by one, and the best order of what was chosen (decc_order.c). */
#include "decc.h"

#include <stdlib.h>
#include <string.h>

#define QUICK 16        /* states of a level in the first search */
#define MOVES_MAX 20000 /* steps taken while improving */
#define ORDER_MAX 20000 /* jobs taken while ordering */
#define PRICE_ROUNDS 24 /* in search of prices */
#define PRICE_UNIT 1024 /* what the prices of all machines come to */

const struct decc_limits decc_usual = {.options = 96, .inner = 24, .beam = 192};

struct level {
  int n, room;
  struct decc_state *state;
};

struct sort_key {
  int64_t promise_ns;
  int number; /* ties: as they came */
};

struct search {
  const struct decc_net *net;
  const struct decc_fork *fork;
  const struct decc_block *block; /* NULL: a nested fork */
  int columns, most;              /* states of a level */
  bool exact;
  int64_t cutoff_ns;                           /* nothing that promises more is kept */
  int twin[DECC_BRANCHES_MAX];                 /* an equal branch with a smaller number that goes first; -1 */
  int64_t least[DECC_BRANCHES_MAX][DECC_FROM]; /* of each machine's time over the branch's options */
  int64_t price[DECC_FROM];                    /* of a machine's time, PRICE_UNIT in all; see promise() */
  int64_t cheapest[DECC_BRANCHES_MAX];         /* least price of a branch */
  uint32_t readers;                            /* branches with options that read the entry */
  struct level level[DECC_BRANCHES_MAX + 1];
};

/* ---------------------------------------------------------------------------------------------- one step */

static bool take(const struct search *s, const struct decc_state *from, int branch, int option, bool entry_first,
                 struct decc_state *to) {
  const struct decc_option *o = &s->fork->branch[branch].option[option];
  size_t limit = s->net->st->goal->edge_memory;
  if (limit > 0 && from->memory + o->memory > limit) return false;
  *to = *from;
  if (entry_first) decc_send_entry(s->net, s->fork, s->columns, to);
  decc_take(s->block, s->columns, &o->job, to);
  to->memory += o->memory;
  to->reads_entry |= o->reads_entry;
  to->placed |= UINT32_C(1) << branch;
  to->entry_first = entry_first;
  to->branch = branch;
  to->option = option;
  return true;
}

/* ------------------------------------------------------------------------------------------------- bounds */

static int workers_of(const struct search *s, int row) {
  if (row != DECC_EDGE && row != DECC_CLOUD) return 1;
  enum braid_site site = row == DECC_EDGE ? BRAID_EDGE : BRAID_CLOUD;
  return s->net->throughput ? cost_workers(s->net->st->costs, site) : s->block->n_machines[site];
}

/* Work that the machine has taken on so far, by all its workers, pauses included. */
static int64_t taken_ns(const struct search *s, const struct decc_state *t, int row) {
  int site = row == DECC_EDGE ? BRAID_EDGE : BRAID_CLOUD, n = s->block->n_machines[site];
  if ((row != DECC_EDGE && row != DECC_CLOUD) || n == 1) return t->at[row][0];
  int64_t sum = 0;
  for (int i = 0; i < n; i++) sum += t->busy[site][i];
  return sum;
}

/* What follows for certain once the machine is done. */
static int64_t tail_ns(const struct search *s, int row) {
  const struct decc_block *b = s->block;
  if (s->net->throughput) return row == DECC_CLOUD ? b->cloud_after : row == DECC_DOWN ? b->down_after : 0;
  if (row == DECC_DOWN) return b->fork.block->exit >= 0 ? b->down_after : 0;
  return b->fork.block->exit >= 0 && row == DECC_CLOUD ? b->cloud_after + b->down_after + s->net->down_delay : 0;
}

static int64_t price_of(const struct search *s, const struct decc_option *o) {
  int64_t sum = 0;
  for (int r = 0; r < DECC_FROM; r++)
    if (r != DECC_ENTRY) sum += s->price[r] * (o->job.at[r][r] / workers_of(s, r));
  return sum;
}

/* Sets s->cheapest; returns the bound for `t`, and the load of each machine under the cheapest options. */
static int64_t price_all(struct search *s, const struct decc_state *t, int64_t load[DECC_FROM]) {
  int64_t sum = 0;
  for (int r = 0; r < DECC_FROM; r++) {
    load[r] = r == DECC_ENTRY
                  ? 0
                  : taken_ns(s, t, r) / workers_of(s, r) + tail_ns(s, r) / (s->net->throughput ? workers_of(s, r) : 1);
    sum += s->price[r] * load[r];
  }
  for (int i = 0; i < s->fork->n_branches; i++) {
    const struct decc_option *best = NULL;
    s->cheapest[i] = INT64_MAX;
    for (int o = 0; o < s->fork->branch[i].n; o++) {
      int64_t price = price_of(s, &s->fork->branch[i].option[o]);
      if (price >= s->cheapest[i]) continue;
      s->cheapest[i] = price;
      best = &s->fork->branch[i].option[o];
    }
    for (int r = 0; r < DECC_FROM && best; r++)
      if (r != DECC_ENTRY) load[r] += best->job.at[r][r] / workers_of(s, r);
    sum += s->cheapest[i];
  }
  return sum / PRICE_UNIT;
}

/* A little of every machine's price to the busiest one. */
static void move_price(struct search *s, const int64_t load[DECC_FROM], int step) {
  int busiest = DECC_EDGE;
  for (int r = 0; r < DECC_FROM; r++)
    if (load[r] > load[busiest]) busiest = r;
  int64_t moved = 0;
  for (int r = 0; r < DECC_FROM; r++) {
    int64_t part = r == busiest ? 0 : s->price[r] * step / PRICE_UNIT;
    s->price[r] -= part;
    moved += part;
  }
  s->price[busiest] += moved;
}

/* No machine is done before its work is, so that for any prices which come to 1 in all
 *   end >= sum of price * (work taken + work left) >= sum of price * work taken + sum over branches of their cheapest.
 * Prices are moved to where the cheapest options pile up the work. */
static void find_prices(struct search *s, const struct decc_state *start) {
  int64_t load[DECC_FROM], best_ns = -1, best[DECC_FROM];
  for (int r = 0; r < DECC_FROM; r++) s->price[r] = r == DECC_ENTRY || r == DECC_DOWN ? 0 : PRICE_UNIT / 4;
  s->price[DECC_EDGE] += PRICE_UNIT / 4;
  for (int round = 0; round < PRICE_ROUNDS; round++) {
    int64_t ns = price_all(s, start, load);
    if (ns > best_ns) {
      best_ns = ns;
      memcpy(best, s->price, sizeof best);
    }
    move_price(s, load, PRICE_UNIT / (4 + round));
  }
  memcpy(s->price, best, sizeof best);
  (void)price_all(s, start, load);
}

static int64_t priced_ns(const struct search *s, const struct decc_state *t) {
  int64_t sum = 0;
  for (int r = 0; r < DECC_FROM; r++)
    if (s->price[r] > 0)
      sum += s->price[r] *
             (taken_ns(s, t, r) / workers_of(s, r) + tail_ns(s, r) / (s->net->throughput ? workers_of(s, r) : 1));
  for (int i = 0; i < s->fork->n_branches; i++)
    if (!(t->placed >> i & 1)) sum += s->cheapest[i];
  return sum / PRICE_UNIT;
}

static int64_t machines_least(const struct search *s, const struct decc_state *t, enum braid_site site, int64_t more) {
  int n = s->block->n_machines[site];
  int64_t sum = taken_ns(s, t, site == BRAID_EDGE ? DECC_EDGE : DECC_CLOUD) + more;
  return n == 1 ? sum : max_ns(t->busy[site][n - 1], sum / n);
}

/* As if no machine ever waited for another. */
static int64_t unwaiting_ns(const struct search *s, const struct decc_state *t) {
  struct decc_state best = *t;
  int64_t more[DECC_FROM] = {0};
  for (int i = 0; i < s->fork->n_branches; i++)
    for (int r = 0; r < DECC_FROM && !(t->placed >> i & 1); r++) more[r] += s->least[i][r];
  for (int site = 0; site < 2; site++) {
    int row = site == BRAID_EDGE ? DECC_EDGE : DECC_CLOUD, n = s->block->n_machines[site];
    best.at[row][0] = machines_least(s, t, (enum braid_site)site, more[row]);
    best.busy[site][n - 1] = best.at[row][0];
  }
  best.at[DECC_UP][0] += more[DECC_UP];
  best.at[DECC_DOWN][0] += more[DECC_DOWN];
  return decc_finish_ns(s->block, &best);
}

/* Lower bound of what the state can become; its makespan when it is complete. Of a job in the making: what it takes by
 * itself, which is no bound, just an order. */
static int64_t promise(const struct search *s, const struct decc_state *t) {
  if (!s->block)
    return t->at[DECC_EDGE][DECC_EDGE] + t->at[DECC_UP][DECC_UP] + t->at[DECC_CLOUD][DECC_CLOUD] +
           max_ns(t->at[DECC_JOIN][DECC_EDGE], 0);
  return max_ns(unwaiting_ns(s, t), priced_ns(s, t));
}

/* -------------------------------------------------------------------------------------------------- levels */

static enum braid_status push(struct level *level, const struct decc_state *t) {
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
static bool beats(const struct search *s, const struct decc_state *a, const struct decc_state *b) {
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
static int keep_unbeaten(const struct search *s, const struct level *level, const struct sort_key *key, int n,
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

static enum braid_status prune(struct search *s, struct level *level) {
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
  *level = (struct level){n_kept, room, kept};
  return BRAID_OK;
}

static bool may_come_next(const struct search *s, const struct decc_state *t, int branch) {
  if (t->placed >> branch & 1) return false;
  if (s->net->throughput) return branch == 0 || t->placed >> (branch - 1) & 1;
  return s->twin[branch] < 0 || t->placed >> s->twin[branch] & 1;
}

/* Is there a reason to send the entry before this branch, or must it be? */
static bool may_send(const struct search *s, const struct decc_state *t, bool reads, bool send) {
  if (t->sent || s->fork->inherited || s->fork->entry_up == COST_NEVER) return !send;
  if (reads) return send;
  if (!send) return true;
  return !s->net->throughput && (s->fork->exit_reads || (s->readers & ~t->placed) != 0);
}

static enum braid_status extend_by(struct search *s, int i, int branch, struct level *from, struct level *to) {
  const struct decc_branch *list = &s->fork->branch[branch];
  for (int option = 0; option < list->n; option++)
    for (int send = 0; send < 2; send++) {
      struct decc_state t;
      if (!may_send(s, &from->state[i], list->option[option].reads_entry, send)) continue;
      if (!take(s, &from->state[i], branch, option, send, &t)) continue;
      t.parent = i;
      t.promise_ns = promise(s, &t);
      if (t.promise_ns <= s->cutoff_ns) BRAID_TRY(push(to, &t));
    }
  return BRAID_OK;
}

static enum braid_status extend(struct search *s, int depth) {
  struct level *from = &s->level[depth], *to = &s->level[depth + 1];
  to->n = 0;
  for (int i = 0; i < from->n; i++)
    for (int branch = 0; branch < s->fork->n_branches; branch++)
      if (may_come_next(s, &from->state[i], branch)) BRAID_TRY(extend_by(s, i, branch, from, to));
  return to->n > 0 ? prune(s, to) : BRAID_OK; /* else nothing fits the memory */
}

/* ------------------------------------------------------------------------------------------------ the search */

static bool equal_lists(const struct decc_branch *a, const struct decc_branch *b) {
  if (a->n != b->n) return false;
  for (int i = 0; i < a->n && a->option != b->option; i++) {
    const struct decc_option *x = &a->option[i], *y = &b->option[i];
    if (memcmp(&x->job, &y->job, sizeof x->job) != 0 || x->memory != y->memory || x->reads_entry != y->reads_entry)
      return false;
  }
  return true;
}

static struct search new_search(const struct decc_net *net, const struct decc_fork *fork,
                                const struct decc_block *block) {
  struct search s = {.net = net, .fork = fork, .block = block, .columns = block ? 1 : DECC_FROM, .exact = true};
  s.cutoff_ns = block ? net->cutoff_ns : INT64_MAX;
  for (int i = 0; i < fork->n_branches; i++) {
    s.twin[i] = -1;
    for (int j = 0; j < i; j++)
      if (equal_lists(&fork->branch[j], &fork->branch[i])) s.twin[i] = j;
    for (int r = 0; r < DECC_FROM; r++) {
      s.least[i][r] = INT64_MAX;
      for (int o = 0; o < fork->branch[i].n; o++) {
        int64_t ns = fork->branch[i].option[o].job.at[r][r];
        if (ns < s.least[i][r]) s.least[i][r] = ns;
      }
    }
    for (int o = 0; o < fork->branch[i].n; o++)
      if (fork->branch[i].option[o].reads_entry) s.readers |= UINT32_C(1) << i;
  }
  return s;
}

static void end_search(struct search *s) {
  for (int depth = 0; depth <= s->fork->n_branches; depth++) braid_free(s->level[depth].state);
}

static enum braid_status run_levels(struct search *s, const struct decc_state *start, int most) {
  s->most = most;
  s->exact = true;
  s->level[0].n = 0;
  BRAID_TRY(push(&s->level[0], start));
  for (int depth = 0; depth < s->fork->n_branches; depth++) BRAID_TRY(extend(s, depth));
  return BRAID_OK;
}

static void trace_back(const struct search *s, int i, struct decc_way *way) {
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

/* ----------------------------------------------------------------------------------------------- improving */

/* COST_NEVER where the entry comes too late or the memory is too small. */
static int64_t value_of(const struct search *s, const struct decc_way *way, int64_t *work) {
  struct decc_state t = decc_start(s->block);
  *work -= way->n_steps;
  for (int i = 0; i < way->n_steps; i++) {
    int branch = way->step[i].branch, option = way->step[i].option;
    if (branch < 0) {
      decc_send_entry(s->net, s->fork, 1, &t);
      continue;
    }
    if (s->fork->branch[branch].option[option].reads_entry && !t.sent) return COST_NEVER;
    struct decc_state next;
    if (!take(s, &t, branch, option, false, &next)) return COST_NEVER;
    t = next;
  }
  return decc_finish_ns(s->block, &t);
}

static void move_step(struct decc_way *way, int from, int to) {
  struct decc_step step = way->step[from];
  memmove(&way->step[from], &way->step[from + 1], (size_t)(way->n_steps - from - 1) * sizeof step);
  memmove(&way->step[to + 1], &way->step[to], (size_t)(way->n_steps - to - 1) * sizeof step);
  way->step[to] = step;
}

static bool better_option(const struct search *s, struct decc_way *way, int64_t *ns, int64_t *work) {
  bool better = false;
  for (int i = 0; i < way->n_steps; i++) {
    if (way->step[i].branch < 0) continue;
    for (int o = 0; o<s->fork->branch[way->step[i].branch].n && * work> 0; o++) {
      int old = way->step[i].option;
      way->step[i].option = o;
      int64_t value = value_of(s, way, work);
      better |= value < *ns;
      if (value < *ns)
        *ns = value;
      else
        way->step[i].option = old;
    }
  }
  return better;
}

static bool better_place(const struct search *s, struct decc_way *way, int64_t *ns, int64_t *work) {
  for (int i = 0; i < way->n_steps; i++)
    for (int to = 0; to<way->n_steps && * work> 0; to++) {
      struct decc_way moved = *way;
      move_step(&moved, i, to);
      int64_t value = value_of(s, &moved, work);
      if (value >= *ns) continue;
      *ns = value;
      *way = moved;
      return true;
    }
  return false;
}

/* The best order of what was chosen, where no entry is sent. */
static void reorder(const struct search *s, struct decc_way *way, int64_t *ns) {
  struct decc_job job[DECC_BRANCHES_MAX];
  int order[DECC_BRANCHES_MAX];
  struct decc_way moved = *way;
  int64_t work = ORDER_MAX;
  for (int i = 0; i < way->n_steps; i++) {
    if (way->step[i].branch < 0) return;
    job[i] = s->fork->branch[way->step[i].branch].option[way->step[i].option].job;
    order[i] = i;
  }
  struct decc_state start = decc_start(s->block);
  (void)decc_order(s->block, &start, job, way->n_steps, order, &work);
  for (int i = 0; i < way->n_steps; i++) moved.step[i] = way->step[order[i]];
  int64_t value = value_of(s, &moved, &work);
  if (value >= *ns) return;
  *ns = value;
  *way = moved;
}

static void improve(const struct search *s, struct decc_way *way, int64_t *ns) {
  int64_t work = MOVES_MAX;
  bool better = true;
  while (better && work > 0) {
    better = better_option(s, way, ns, &work);
    if (s->net->throughput) continue;
    better |= better_place(s, way, ns, &work);
    if (!better) {
      int64_t before = *ns;
      reorder(s, way, ns);
      better = *ns < before;
    }
  }
}

/* ------------------------------------------------------------------------------------------------- results */

static const struct level *last_level(const struct search *s) {
  return &s->level[s->fork->n_branches];
}

/* The last level's promises are its makespans, ascending. `quick` may have been lost on the way. */
static enum braid_status report(struct search *s, int most, struct decc_way *quick, int64_t quick_ns,
                                decc_found_fn *found, void *ctx) {
  const struct level *last = last_level(s);
  if (quick_ns < INT64_MAX && (last->n == 0 || last->state[0].promise_ns > quick_ns)) {
    BRAID_TRY(found(ctx, quick, quick_ns));
  }
  for (int i = 0; i < last->n && i < most; i++) {
    struct decc_way way;
    int64_t ns = last->state[i].promise_ns;
    trace_back(s, i, &way);
    if (!s->exact && i == 0) improve(s, &way, &ns);
    BRAID_TRY(found(ctx, &way, ns));
  }
  return BRAID_OK;
}

enum braid_status decc_search(const struct decc_block *block, int most, decc_found_fn *found, void *ctx, bool *exact) {
  struct search s = new_search(block->net, &block->fork, block);
  struct decc_state start = decc_start(block);
  struct decc_way quick;
  int64_t quick_ns = INT64_MAX;
  int beam = block->net->limits->beam;
  find_prices(&s, &start);
  enum braid_status status = run_levels(&s, &start, QUICK < beam ? QUICK : beam);
  if (status == BRAID_OK && !s.exact) {
    if (last_level(&s)->n > 0) {
      quick_ns = last_level(&s)->state[0].promise_ns;
      trace_back(&s, 0, &quick);
      improve(&s, &quick, &quick_ns);
      s.cutoff_ns = quick_ns + quick_ns / 1024 * block->net->slack;
      if (s.cutoff_ns > block->net->cutoff_ns) s.cutoff_ns = block->net->cutoff_ns;
    }
    status = run_levels(&s, &start, beam);
  }
  if (status == BRAID_OK) status = report(&s, most, &quick, quick_ns, found, ctx);
  if (exact) *exact = s.exact;
  end_search(&s);
  return status;
}

/* ------------------------------------------------------------------------------------------ nested forks */

static void finish_fork(const struct decc_net *net, const struct decc_fork *fork, const struct decc_sums *after,
                        struct decc_state *t) {
  if (fork->exit_reads) decc_send_entry(net, fork, DECC_FROM, t);
  for (int c = 0; c < DECC_FROM; c++) {
    if (net->throughput) continue;
    int64_t *join = &t->at[DECC_JOIN][c], *cloud = &t->at[DECC_CLOUD][c], *down = &t->at[DECC_DOWN][c];
    if (fork->exit_reads && t->at[DECC_ENTRY][c] >= 0) *join = max_ns(*join, t->at[DECC_ENTRY][c] + net->up_delay);
    if (after->cloud > 0) {
      *join = max_ns(*cloud, *join);
      if (*join >= 0) *cloud = *join += after->cloud;
    }
    if (after->down > 0) {
      *down = max_ns(*down, *join);
      if (*down >= 0) *down += after->down;
    }
    t->at[DECC_ENTRY][c] = DECC_NONE;
  }
  if (!net->throughput) return;
  t->at[DECC_CLOUD][DECC_CLOUD] += after->cloud;
  t->at[DECC_DOWN][DECC_DOWN] += after->down;
}

static enum braid_status add_way(struct search *s, int i, struct decc_branch *list, int fork,
                                 const struct decc_sums *after) {
  struct decc_way way;
  struct decc_state t = last_level(s)->state[i];
  struct decc_option option = {.fork = fork, .memory = t.memory};
  finish_fork(s->net, s->fork, after, &t);
  option.reads_entry = s->fork->inherited && (t.reads_entry || s->fork->exit_reads);
  memcpy(option.job.at, t.at, sizeof option.job.at);
  trace_back(s, i, &way);
  option.n_steps = way.n_steps;
  option.step = braid_malloc((size_t)way.n_steps * sizeof *option.step);
  if (!option.step) return braid_fail(BRAID_ENOMEM, "%d branches", way.n_steps);
  memcpy(option.step, way.step, (size_t)way.n_steps * sizeof *option.step);
  return decc_add_option(s->net, list, &option);
}

enum braid_status decc_add_ways(const struct decc_net *net, struct decc_branch *list, int fork,
                                const struct decc_sums *before, const struct decc_sums *after, size_t memory) {
  struct search s = new_search(net, &list->fork[fork], NULL);
  struct decc_state start = {.parent = -1, .memory = net->st->goal->edge_memory > 0 ? memory : 0};
  for (int r = 0; r < DECC_ROWS; r++)
    for (int c = 0; c < DECC_FROM; c++) start.at[r][c] = r == c ? 0 : DECC_NONE;
  start.sent = s.fork->inherited;
  start.at[DECC_EDGE][DECC_EDGE] = before->edge;
  if (!start.sent || net->throughput) start.at[DECC_ENTRY][DECC_ENTRY] = DECC_NONE;
  enum braid_status status = run_levels(&s, &start, net->limits->inner);
  for (int i = 0; i < last_level(&s)->n && status == BRAID_OK; i++) status = add_way(&s, i, list, fork, after);
  end_search(&s);
  return status;
}

/* --------------------------------------------------------------------------------------------- everything */

int64_t decc_count(const struct decc_block *b, int64_t limit) {
  int64_t count = 1;
  for (int i = 0; i < b->fork.n_branches && count <= limit; i++) count *= b->fork.branch[i].n * (i + 1);
  return count <= limit ? count : limit;
}

static enum braid_status enumerate_from(const struct search *s, const struct decc_state *t, struct decc_way *way,
                                        decc_found_fn *found, void *ctx) {
  if (t->placed == (uint32_t)((UINT64_C(1) << s->fork->n_branches) - 1))
    return found(ctx, way, decc_finish_ns(s->block, t));
  int at = way->n_steps;
  for (int branch = 0; branch < s->fork->n_branches; branch++) {
    if (t->placed >> branch & 1) continue;
    for (int option = 0; option < s->fork->branch[branch].n; option++)
      for (int send = 0; send < 2; send++) {
        struct decc_state next;
        if (!may_send(s, t, s->fork->branch[branch].option[option].reads_entry, send)) continue;
        if (!take(s, t, branch, option, send, &next)) continue;
        way->n_steps = at;
        if (send) way->step[way->n_steps++] = (struct decc_step){-1, 0};
        way->step[way->n_steps++] = (struct decc_step){branch, option};
        BRAID_TRY(enumerate_from(s, &next, way, found, ctx));
      }
  }
  return BRAID_OK;
}

enum braid_status decc_enumerate(const struct decc_block *block, decc_found_fn *found, void *ctx) {
  struct search s = new_search(block->net, &block->fork, block);
  struct decc_state start = decc_start(block);
  struct decc_way way = {0};
  return enumerate_from(&s, &start, &way, found, ctx);
}
