/* SPDX-License-Identifier: Apache-2.0
 * The order of given jobs.
 *
 * Two machines: Johnson's rule [Johnson 1954], in the form for jobs whose second operation may start a while before the
 * first one ends, or must wait (Mitten's start and stop lags): with a, b the times on the machines and p the longest
 * path through both, a job counts as (p - b, p - a), which is what branches cut inside a fork and the link's delay
 * need. Those with p - b <= p - a go first, by ascending p - b; the others follow by descending p - a. Where it
 * applies:
 *   - nothing to do in the cloud: edge and uplink;
 *   - nothing to do on the edge: uplink and cloud;
 *   - all three, of chains cut once, when no upload is longer than the shortest edge part, or than the shortest cloud
 *     part: the uplink never has a queue that matters, and is a lag [Johnson's condition for three machines].
 * All of it needs one worker a site, no results on the way down, and no entry to be sent. Elsewhere: branch and bound.
 */
#include "decc.h"

#include <stdlib.h>
#include <string.h>

/* ------------------------------------------------------------------------------------------------ Johnson */

struct lags {
  int64_t first, second; /* p - b, p - a */
  int number;
};

static int by_johnson(const void *pa, const void *pb) {
  const struct lags *a = pa, *b = pb;
  bool early_a = a->first <= a->second, early_b = b->first <= b->second;
  if (early_a != early_b) return early_a ? -1 : 1;
  int64_t x = early_a ? a->first : b->second, y = early_a ? b->first : a->second;
  if (x != y) return x < y ? -1 : 1;
  return a->number - b->number;
}

static bool is_simple(const struct decc_job *job) {
  for (int q = 0; q < DECC_FROM; q++)
    if (job->at[DECC_ENTRY][q] > 0 || job->at[DECC_JOIN][DECC_ENTRY] >= 0) return false;
  return job->at[DECC_DOWN][DECC_DOWN] == 0;
}

/* Works on first and second only, and is not there on the third. */
static bool on_two(const struct decc_job *job, int n, int first, int second, int unused) {
  for (int i = 0; i < n; i++)
    if (job[i].at[unused][unused] != 0 || job[i].at[second][first] < 0) return false;
  return true;
}

/* A chain whose stages follow one another. */
static bool is_chain(const struct decc_job *job) {
  int64_t e = job->at[DECC_EDGE][DECC_EDGE], u = job->at[DECC_UP][DECC_UP], c = job->at[DECC_CLOUD][DECC_CLOUD];
  return u > 0 && c > 0 && job->at[DECC_UP][DECC_EDGE] == e + u &&
         job->at[DECC_CLOUD][DECC_EDGE] == e + job->at[DECC_CLOUD][DECC_UP];
}

static bool middle_is_dominated(const struct decc_job *job, int n) {
  int64_t edge = INT64_MAX, up = 0, cloud = INT64_MAX;
  for (int i = 0; i < n; i++) {
    if (!is_chain(&job[i])) return false;
    if (job[i].at[DECC_EDGE][DECC_EDGE] < edge) edge = job[i].at[DECC_EDGE][DECC_EDGE];
    if (job[i].at[DECC_CLOUD][DECC_CLOUD] < cloud) cloud = job[i].at[DECC_CLOUD][DECC_CLOUD];
    up = max_ns(up, job[i].at[DECC_UP][DECC_UP]);
  }
  return edge >= up || cloud >= up;
}

static void sort_by_lags(const struct decc_job *job, int n, int first, int second, int *order) {
  struct lags lags[DECC_BRANCHES_MAX];
  for (int i = 0; i < n; i++) {
    int64_t path = max_ns(job[i].at[second][first], 0);
    lags[i] = (struct lags){path - job[i].at[second][second], path - job[i].at[first][first], i};
  }
  qsort(lags, (size_t)n, sizeof *lags, by_johnson);
  for (int i = 0; i < n; i++) order[i] = lags[i].number;
}

bool decc_johnson(const struct decc_job *job, int n, int *order) {
  for (int i = 0; i < n; i++)
    if (!is_simple(&job[i])) return false;
  if (on_two(job, n, DECC_EDGE, DECC_UP, DECC_CLOUD))
    sort_by_lags(job, n, DECC_EDGE, DECC_UP, order);
  else if (on_two(job, n, DECC_UP, DECC_CLOUD, DECC_EDGE))
    sort_by_lags(job, n, DECC_UP, DECC_CLOUD, order);
  else if (middle_is_dominated(job, n))
    sort_by_lags(job, n, DECC_EDGE, DECC_CLOUD, order);
  else
    return false;
  return true;
}

/* ------------------------------------------------------------------------------------------ branch and bound */

struct ordering {
  const struct decc_block *block;
  const struct decc_job *job;
  int n;
  int64_t best_ns, *work;
  int *best, taken[DECC_BRANCHES_MAX];
};

static int64_t finish_of(const struct ordering *o, struct decc_state t, const int *order) {
  for (int i = 0; i < o->n; i++) decc_take(o->block, 1, &o->job[order[i]], &t);
  *o->work -= o->n;
  return decc_finish_ns(o->block, &t);
}

/* Each machine does what is left without a pause; the last thing on it still has its shortest way to the end. */
static int64_t bound_of(const struct ordering *o, const struct decc_state *t, uint32_t placed) {
  static const int row[3] = {DECC_EDGE, DECC_UP, DECC_CLOUD};
  struct decc_state best = *t;
  for (int k = 0; k < 3; k++) {
    int64_t more = 0, tail = INT64_MAX;
    for (int i = 0; i < o->n; i++) {
      if (placed >> i & 1) continue;
      int64_t here = o->job[i].at[row[k]][row[k]], path = max_ns(o->job[i].at[DECC_JOIN][row[k]], here);
      more += here;
      tail = path - here < tail ? path - here : tail;
    }
    if (tail == INT64_MAX) continue;
    if (t->at[row[k]][0] + more > best.at[row[k]][0]) best.at[row[k]][0] = t->at[row[k]][0] + more;
    best.at[DECC_JOIN][0] = max_ns(best.at[DECC_JOIN][0], t->at[row[k]][0] + more + tail);
  }
  return decc_finish_ns(o->block, &best);
}

static bool one_worker(const struct decc_block *block) {
  return block->n_machines[0] == 1 && block->n_machines[1] == 1;
}

static void branch_out(struct ordering *o, const struct decc_state *t, uint32_t placed, int depth) {
  if (depth == o->n) {
    int64_t ns = decc_finish_ns(o->block, t);
    if (ns >= o->best_ns) return;
    o->best_ns = ns;
    memcpy(o->best, o->taken, (size_t)o->n * sizeof *o->best);
    return;
  }
  if (one_worker(o->block) && bound_of(o, t, placed) >= o->best_ns) return;
  for (int i = 0; i<o->n && * o->work> 0; i++) {
    if (placed >> i & 1) continue;
    struct decc_state next = *t;
    --*o->work;
    decc_take(o->block, 1, &o->job[i], &next);
    o->taken[depth] = i;
    branch_out(o, &next, placed | UINT32_C(1) << i, depth + 1);
  }
}

/* Jobs one by one, each where it does the least harm, in the order of Johnson's rule as if its conditions held. */
static void insert_all(struct ordering *o, const struct decc_state *start, const int *order) {
  int n = o->n, sofar[DECC_BRANCHES_MAX], trial[DECC_BRANCHES_MAX];
  for (int k = 0; k < n; k++) {
    int64_t least = INT64_MAX;
    int best[DECC_BRANCHES_MAX];
    for (int at = k; at >= 0; at--) {
      memcpy(trial, sofar, (size_t)at * sizeof *trial);
      trial[at] = order[k];
      if (k > at) memcpy(trial + at + 1, sofar + at, (size_t)(k - at) * sizeof *trial);
      o->n = k + 1;
      int64_t ns = finish_of(o, *start, trial);
      if (ns >= least) continue;
      least = ns;
      memcpy(best, trial, (size_t)(k + 1) * sizeof *best);
    }
    memcpy(sofar, best, (size_t)(k + 1) * sizeof *best);
    o->n = n;
  }
  int64_t ns = finish_of(o, *start, sofar);
  if (ns >= o->best_ns) return;
  o->best_ns = ns;
  memcpy(o->best, sofar, (size_t)n * sizeof *sofar);
}

int64_t decc_order(const struct decc_block *block, const struct decc_state *start, const struct decc_job *job, int n,
                   int *order, int64_t *work) {
  struct ordering o = {.block = block, .job = job, .n = n, .work = work, .best = order};
  int first[DECC_BRANCHES_MAX];
  bool exact = one_worker(block) && decc_johnson(job, n, first);
  if (!exact) sort_by_lags(job, n, DECC_EDGE, DECC_CLOUD, first);
  memcpy(order, first, (size_t)n * sizeof *order);
  o.best_ns = finish_of(&o, *start, order);
  if (exact || n == 0) return o.best_ns;
  insert_all(&o, start, first);
  branch_out(&o, start, 0, 0);
  return o.best_ns;
}
