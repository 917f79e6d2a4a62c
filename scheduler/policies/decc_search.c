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
 * one by one, and the best order of what was chosen (decc_improve.c). */
#include "decc_search.h"

#include <string.h>

#define QUICK 16 /* states of a level in the first search */

const struct decc_limits decc_usual = {.options = 96, .inner = 24, .beam = 192};

/* ------------------------------------------------------------------------------------------------------ the search */

static bool equal_lists(const struct decc_branch *a, const struct decc_branch *b) {
  if (a->n != b->n) return false;
  for (int i = 0; i < a->n && a->option != b->option; i++) {
    const struct decc_option *x = &a->option[i], *y = &b->option[i];
    if (memcmp(&x->job, &y->job, sizeof x->job) != 0 || x->memory != y->memory || x->reads_entry != y->reads_entry)
      return false;
  }
  return true;
}

struct decc_search decc_search_open(const struct decc_net *net, const struct decc_fork *fork,
                                    const struct decc_block *block) {
  struct decc_search s = {.net = net, .fork = fork, .block = block, .columns = block ? 1 : DECC_FROM, .exact = true};
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

void decc_search_close(struct decc_search *s) {
  for (int depth = 0; depth <= s->fork->n_branches; depth++) braid_free(s->level[depth].state);
}

/* -------------------------------------------------------------------------------------------------------- one step */

bool decc_extend(const struct decc_search *s, const struct decc_state *from, int branch, int option, bool entry_first,
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

/* Is there a reason to send the entry before this branch, or must it be? */
bool decc_may_send(const struct decc_search *s, const struct decc_state *t, bool reads, bool send) {
  if (t->sent || s->fork->inherited || s->fork->entry_up == COST_NEVER) return !send;
  if (reads) return send;
  if (!send) return true;
  return !s->net->throughput && (s->fork->exit_reads || (s->readers & ~t->placed) != 0);
}

/* --------------------------------------------------------------------------------------------------------- results */

/* The last level's promises are its makespans, ascending. `quick` may have been lost on the way. */
static enum braid_status report(struct decc_search *s, int most, struct decc_way *quick, int64_t quick_ns,
                                decc_found_fn *found, void *ctx) {
  const struct decc_level *last = decc_last_level(s);
  if (quick_ns < INT64_MAX && (last->n == 0 || last->state[0].promise_ns > quick_ns)) {
    BRAID_TRY(found(ctx, quick, quick_ns));
  }
  for (int i = 0; i < last->n && i < most; i++) {
    struct decc_way way;
    int64_t ns = last->state[i].promise_ns;
    decc_trace_back(s, i, &way);
    if (!s->exact && i == 0) decc_improve(s, &way, &ns);
    BRAID_TRY(found(ctx, &way, ns));
  }
  return BRAID_OK;
}

enum braid_status decc_search(const struct decc_block *block, int most, decc_found_fn *found, void *ctx, bool *exact) {
  struct decc_search s = decc_search_open(block->net, &block->fork, block);
  struct decc_state start = decc_start(block);
  struct decc_way quick;
  int64_t quick_ns = INT64_MAX;
  int beam = block->net->limits->beam;
  decc_find_prices(&s, &start);
  enum braid_status status = decc_run_levels(&s, &start, QUICK < beam ? QUICK : beam);
  if (status == BRAID_OK && !s.exact) {
    if (decc_last_level(&s)->n > 0) {
      quick_ns = decc_last_level(&s)->state[0].promise_ns;
      decc_trace_back(&s, 0, &quick);
      decc_improve(&s, &quick, &quick_ns);
      s.cutoff_ns = quick_ns + quick_ns / 1024 * block->net->slack;
      if (s.cutoff_ns > block->net->cutoff_ns) s.cutoff_ns = block->net->cutoff_ns;
    }
    status = decc_run_levels(&s, &start, beam);
  }
  if (status == BRAID_OK) status = report(&s, most, &quick, quick_ns, found, ctx);
  if (exact) *exact = s.exact;
  decc_search_close(&s);
  return status;
}

/* ---------------------------------------------------------------------------------------------------- nested forks */

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

static enum braid_status add_way(struct decc_search *s, int i, struct decc_branch *list, int fork,
                                 const struct decc_sums *after) {
  struct decc_way way;
  struct decc_state t = decc_last_level(s)->state[i];
  struct decc_option option = {.fork = fork, .memory = t.memory};
  finish_fork(s->net, s->fork, after, &t);
  option.reads_entry = s->fork->inherited && (t.reads_entry || s->fork->exit_reads);
  memcpy(option.job.at, t.at, sizeof option.job.at);
  decc_trace_back(s, i, &way);
  option.n_steps = way.n_steps;
  option.step = braid_malloc((size_t)way.n_steps * sizeof *option.step);
  if (!option.step) return braid_fail(BRAID_ENOMEM, "%d branches", way.n_steps);
  memcpy(option.step, way.step, (size_t)way.n_steps * sizeof *option.step);
  return decc_add_option(s->net, list, &option);
}

enum braid_status decc_add_ways(const struct decc_net *net, struct decc_branch *list, int fork,
                                const struct decc_sums *before, const struct decc_sums *after, size_t memory) {
  struct decc_search s = decc_search_open(net, &list->fork[fork], NULL);
  struct decc_state start = {.parent = -1, .memory = net->st->goal->edge_memory > 0 ? memory : 0};
  for (int r = 0; r < DECC_ROWS; r++)
    for (int c = 0; c < DECC_FROM; c++) start.at[r][c] = r == c ? 0 : DECC_NONE;
  start.sent = s.fork->inherited;
  start.at[DECC_EDGE][DECC_EDGE] = before->edge;
  start.at[DECC_UP][DECC_UP] = before->up;
  if (before->up > 0 && !net->throughput) start.at[DECC_UP][DECC_EDGE] = before->edge + before->up;
  if (!start.sent || net->throughput) start.at[DECC_ENTRY][DECC_ENTRY] = DECC_NONE;
  enum braid_status status = decc_run_levels(&s, &start, net->limits->inner);
  for (int i = 0; i < decc_last_level(&s)->n && status == BRAID_OK; i++) status = add_way(&s, i, list, fork, after);
  decc_search_close(&s);
  return status;
}

/* ------------------------------------------------------------------------------------------------------ everything */

int64_t decc_count(const struct decc_block *b, int64_t limit) {
  int64_t count = 1;
  for (int i = 0; i < b->fork.n_branches && count <= limit; i++) count *= b->fork.branch[i].n * (i + 1);
  return count <= limit ? count : limit;
}

static enum braid_status enumerate_from(const struct decc_search *s, const struct decc_state *t, struct decc_way *way,
                                        decc_found_fn *found, void *ctx) {
  if (t->placed == (uint32_t)((UINT64_C(1) << s->fork->n_branches) - 1))
    return found(ctx, way, decc_finish_ns(s->block, t));
  int at = way->n_steps;
  for (int branch = 0; branch < s->fork->n_branches; branch++) {
    if (t->placed >> branch & 1) continue;
    for (int option = 0; option < s->fork->branch[branch].n; option++)
      for (int send = 0; send < 2; send++) {
        struct decc_state next;
        if (!decc_may_send(s, t, s->fork->branch[branch].option[option].reads_entry, send)) continue;
        if (!decc_extend(s, t, branch, option, send, &next)) continue;
        way->n_steps = at;
        if (send) way->step[way->n_steps++] = (struct decc_step){-1, 0};
        way->step[way->n_steps++] = (struct decc_step){branch, option};
        BRAID_TRY(enumerate_from(s, &next, way, found, ctx));
      }
  }
  return BRAID_OK;
}

enum braid_status decc_enumerate(const struct decc_block *block, decc_found_fn *found, void *ctx) {
  struct decc_search s = decc_search_open(block->net, &block->fork, block);
  struct decc_state start = decc_start(block);
  struct decc_way way = {0};
  return enumerate_from(&s, &start, &way, found, ctx);
}
