/* SPDX-License-Identifier: Apache-2.0
 * Moves that improve a way which decc's search found within its limits: other options one by one, other places, and the
 * best order of what was chosen (decc_order.c). */
#include "decc_search.h"

#include <string.h>

#define MOVES_MAX 20000 /* steps taken while improving */
#define ORDER_MAX 20000 /* jobs taken while ordering */

/* COST_NEVER where the entry comes too late or the memory is too small. */
static int64_t value_of(const struct decc_search *s, const struct decc_way *way, int64_t *work) {
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
    if (!decc_extend(s, &t, branch, option, false, &next)) return COST_NEVER;
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

static bool better_option(const struct decc_search *s, struct decc_way *way, int64_t *ns, int64_t *work) {
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

static bool better_place(const struct decc_search *s, struct decc_way *way, int64_t *ns, int64_t *work) {
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
static void reorder(const struct decc_search *s, struct decc_way *way, int64_t *ns) {
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

void decc_improve(const struct decc_search *s, struct decc_way *way, int64_t *ns) {
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
