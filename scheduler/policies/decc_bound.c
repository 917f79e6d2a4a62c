/* SPDX-License-Identifier: Apache-2.0
 * What a state of decc's search can become at best: as if no machine ever waited for another, and with the work that
 * is left shared out at the prices of the machines' times. */
#include "decc_search.h"

#include <string.h>

#define PRICE_ROUNDS 24 /* in search of prices */

static int workers_of(const struct decc_search *s, int row) {
  if (row != DECC_EDGE && row != DECC_CLOUD) return 1;
  enum braid_site site = row == DECC_EDGE ? BRAID_EDGE : BRAID_CLOUD;
  return s->net->throughput ? cost_workers(s->net->st->costs, site) : s->block->n_machines[site];
}

/* Work that the machine has taken on so far, by all its workers, pauses included. */
static int64_t taken_ns(const struct decc_search *s, const struct decc_state *t, int row) {
  int site = row == DECC_EDGE ? BRAID_EDGE : BRAID_CLOUD, n = s->block->n_machines[site];
  if ((row != DECC_EDGE && row != DECC_CLOUD) || n == 1) return t->at[row][0];
  int64_t sum = 0;
  for (int i = 0; i < n; i++) sum += t->busy[site][i];
  return sum;
}

/* What follows for certain once the machine is done. */
static int64_t tail_ns(const struct decc_search *s, int row) {
  const struct decc_block *b = s->block;
  if (s->net->throughput) return row == DECC_CLOUD ? b->cloud_after : row == DECC_DOWN ? b->down_after : 0;
  if (row == DECC_DOWN) return b->fork.block->exit >= 0 ? b->down_after : 0;
  return b->fork.block->exit >= 0 && row == DECC_CLOUD ? b->cloud_after + b->down_after + s->net->down_delay : 0;
}

static int64_t price_of(const struct decc_search *s, const struct decc_option *o) {
  int64_t sum = 0;
  for (int r = 0; r < DECC_FROM; r++)
    if (r != DECC_ENTRY) sum += s->price[r] * (o->job.at[r][r] / workers_of(s, r));
  return sum;
}

/* Sets s->cheapest; returns the bound for `t`, and the load of each machine under the cheapest options. */
static int64_t price_all(struct decc_search *s, const struct decc_state *t, int64_t load[DECC_FROM]) {
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
  return sum / DECC_PRICE_UNIT;
}

/* A little of every machine's price to the busiest one. */
static void move_price(struct decc_search *s, const int64_t load[DECC_FROM], int step) {
  int busiest = DECC_EDGE;
  for (int r = 0; r < DECC_FROM; r++)
    if (load[r] > load[busiest]) busiest = r;
  int64_t moved = 0;
  for (int r = 0; r < DECC_FROM; r++) {
    int64_t part = r == busiest ? 0 : s->price[r] * step / DECC_PRICE_UNIT;
    s->price[r] -= part;
    moved += part;
  }
  s->price[busiest] += moved;
}

/* No machine is done before its work is, so that for any prices which come to 1 in all
 *   end >= sum of price * (work taken + work left) >= sum of price * work taken + sum over branches of their cheapest.
 * Prices are moved to where the cheapest options pile up the work. */
void decc_find_prices(struct decc_search *s, const struct decc_state *start) {
  int64_t load[DECC_FROM], best_ns = -1, best[DECC_FROM];
  for (int r = 0; r < DECC_FROM; r++) s->price[r] = r == DECC_ENTRY || r == DECC_DOWN ? 0 : DECC_PRICE_UNIT / 4;
  s->price[DECC_EDGE] += DECC_PRICE_UNIT / 4;
  for (int round = 0; round < PRICE_ROUNDS; round++) {
    int64_t ns = price_all(s, start, load);
    if (ns > best_ns) {
      best_ns = ns;
      memcpy(best, s->price, sizeof best);
    }
    move_price(s, load, DECC_PRICE_UNIT / (4 + round));
  }
  memcpy(s->price, best, sizeof best);
  (void)price_all(s, start, load);
}

static int64_t priced_ns(const struct decc_search *s, const struct decc_state *t) {
  int64_t sum = 0;
  for (int r = 0; r < DECC_FROM; r++)
    if (s->price[r] > 0)
      sum += s->price[r] *
             (taken_ns(s, t, r) / workers_of(s, r) + tail_ns(s, r) / (s->net->throughput ? workers_of(s, r) : 1));
  for (int i = 0; i < s->fork->n_branches; i++)
    if (!(t->placed >> i & 1)) sum += s->cheapest[i];
  return sum / DECC_PRICE_UNIT;
}

static int64_t machines_least(const struct decc_search *s, const struct decc_state *t, enum braid_site site,
                              int64_t more) {
  int n = s->block->n_machines[site];
  int64_t sum = taken_ns(s, t, site == BRAID_EDGE ? DECC_EDGE : DECC_CLOUD) + more;
  return n == 1 ? sum : max_ns(t->busy[site][n - 1], sum / n);
}

/* As if no machine ever waited for another. */
static int64_t unwaiting_ns(const struct decc_search *s, const struct decc_state *t) {
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

int64_t decc_promise(const struct decc_search *s, const struct decc_state *t) {
  if (!s->block)
    return t->at[DECC_EDGE][DECC_EDGE] + t->at[DECC_UP][DECC_UP] + t->at[DECC_CLOUD][DECC_CLOUD] +
           max_ns(t->at[DECC_JOIN][DECC_EDGE], 0);
  return max_ns(unwaiting_ns(s, t), priced_ns(s, t));
}
