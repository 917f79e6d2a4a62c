/* SPDX-License-Identifier: Apache-2.0 */
#include "grid_summary.h"

#include <math.h>
#include <string.h>

enum braid_status grid_summary_create(const struct grid_axes *axes, int n_nets, struct grid_summary **out) {
  const struct braid_policy *policy[GRID_POLICIES_MAX];
  struct grid_summary *s = braid_calloc(1, sizeof *s);
  if (s) s->by_net = braid_calloc(2 * (size_t)n_nets, sizeof *s->by_net);
  if (!s || !s->by_net) {
    braid_free(s);
    return braid_fail(BRAID_ENOMEM, "no memory for a summary of %d networks", n_nets);
  }
  s->axes = axes;
  s->n_nets = n_nets;
  s->n_policies = grid_policies(policy);
  s->subject = grid_find("braid");
  s->dads = grid_find("dads");
  *out = s;
  return BRAID_OK;
}

static void free_list(struct grid_lost *list, int64_t n) {
  for (int64_t i = 0; i < n; i++) braid_free(list[i].text);
  braid_free(list);
}

void grid_summary_destroy(struct grid_summary **summary) {
  struct grid_summary *s = *summary;
  if (!s) return;
  for (int k = 0; k < 2; k++)
    for (int i = 0; i < s->n_policies; i++) braid_free(s->tally[k][i].decide_us);
  free_list(s->lost, s->n_lost);
  free_list(s->wrong, s->n_wrong);
  braid_free(s->by_net);
  braid_free(s);
  *summary = NULL;
}

/* ------------------------------------------------------------------------------------------------- comparing */

double grid_mean(const struct grid_comparison *c) {
  return c->n > 0 ? exp(c->log_sum / (double)c->n) : 1;
}

static double ratio_of(int64_t a, int64_t b) {
  return (double)a / (double)b;
}

static void compare(struct grid_comparison *c, int64_t other_ns, int64_t own_ns, const struct grid_cell *cell) {
  if (other_ns == 0 || own_ns == 0) return;
  double ratio = ratio_of(other_ns, own_ns);
  if (c->n == 0 || ratio > c->best.ratio) c->best = (struct grid_extreme){ratio, *cell};
  if (c->n == 0 || ratio < c->worst.ratio) c->worst = (struct grid_extreme){ratio, *cell};
  c->n++;
  c->log_sum += log(ratio);
}

static int64_t value_of(const struct grid_summary *s, const struct grid_result *r, int policy) {
  return policy == s->subject ? r->ask[policy][GRID_AUTO].value_ns : grid_best_ns(r, policy);
}

/* 0: none has a plan. */
static int64_t least_of(const struct grid_summary *s, const struct grid_result *r, bool others) {
  const struct braid_policy *policy[GRID_POLICIES_MAX];
  int64_t least = 0;
  int n = grid_policies(policy);
  for (int i = 0; i < n; i++) {
    int64_t ns = value_of(s, r, i);
    if (ns > 0 && (least == 0 || ns < least) && (!others || grid_is_other(policy[i]))) least = ns;
  }
  return least;
}

/* --------------------------------------------------------------------------------------------------- adding */

/* Makes room for one more; rooms are powers of two, so n tells when one is full. */
static enum braid_status grow(void **list, int64_t n, size_t size) {
  if (n > 0 && (n & (n - 1)) != 0) return BRAID_OK;
  void *grown = braid_realloc(*list, (n > 0 ? 2 * (size_t)n : 1) * size);
  if (!grown) return braid_fail(BRAID_ENOMEM, "no memory for %lld results", (long long)n);
  *list = grown;
  return BRAID_OK;
}

static enum braid_status add_lost(struct grid_lost **list, int64_t *n, struct grid_lost lost) {
  void *room = *list;
  enum braid_status status = grow(&room, *n, sizeof **list);
  *list = room;
  if (status != BRAID_OK) {
    braid_free(lost.text);
    return status;
  }
  (*list)[(*n)++] = lost;
  return BRAID_OK;
}

static enum braid_status add_failures(struct grid_summary *s, const struct grid_result *r, double loss, int policy) {
  if (loss > 0) BRAID_TRY(add_lost(&s->lost, &s->n_lost, (struct grid_lost){r->cell, policy, loss, NULL}));
  if (r->wrong[0] == '\0') return BRAID_OK;
  char *text = braid_strdup(r->wrong);
  if (!text) return braid_fail(BRAID_ENOMEM, "no memory for results");
  return add_lost(&s->wrong, &s->n_wrong, (struct grid_lost){r->cell, -1, 0, text});
}

static void add_to_group(struct grid_group *g, const struct grid_summary *s, const struct grid_result *r, bool lost) {
  int64_t own = value_of(s, r, s->subject);
  g->cells++;
  g->lost += lost;
  g->found += own > 0;
  if (own > 0 && r->bound_ns[GRID_AUTO] > 0) g->gap_sum += ratio_of(own, r->bound_ns[GRID_AUTO]) - 1;
  compare(&g->others, least_of(s, r, true), own, &r->cell);
  if (s->dads >= 0) compare(&g->dads, value_of(s, r, s->dads), own, &r->cell);
}

/* The gap is to the bound of plans whose slices are chosen, which no plan can beat. */
static enum braid_status add_to_tally(struct grid_tally *t, const struct grid_ask *ask, int64_t value, int64_t least,
                                      int64_t bound) {
  if (value == 0) return BRAID_OK;
  void *us = t->decide_us;
  enum braid_status status = grow(&us, t->found, sizeof *t->decide_us);
  t->decide_us = us;
  BRAID_TRY(status);
  double over = ratio_of(value, least);
  t->decide_us[t->found++] = (double)ask->decide_ns / 1e3;
  t->leads += value == least;
  t->log_over_best += log(over);
  if (over > t->worst_over_best) t->worst_over_best = over;
  t->gap_sum += bound > 0 ? ratio_of(value, bound) - 1 : 0;
  return BRAID_OK;
}

static int point_of(const struct grid_axis *axis, double value) {
  int i = 0;
  while (i + 1 < axis->n && axis->at[i] != value) i++;
  return i;
}

enum braid_status grid_summary_add(struct grid_summary *s, const struct grid_result *r) {
  int k = r->cell.objective, policy = -1;
  int64_t least = least_of(s, r, false);
  double loss = grid_loss(r, s->subject, &policy);
  BRAID_TRY(add_failures(s, r, loss, policy));
  for (int i = 0; i < s->n_policies; i++)
    BRAID_TRY(add_to_tally(&s->tally[k][i], &r->ask[i][GRID_AUTO], value_of(s, r, i), least, r->bound_ns[GRID_AUTO]));
  add_to_group(&s->all[k], s, r, loss > 0);
  add_to_group(&s->by_private[k][r->cell.private_input], s, r, loss > 0);
  add_to_group(&s->by_net[2 * r->cell.net + k], s, r, loss > 0);
  compare(&s->map[k][point_of(&s->axes->mbit, r->cell.mbit)][point_of(&s->axes->ratio, r->cell.ratio)],
          least_of(s, r, true), value_of(s, r, s->subject), &r->cell);
  s->cells++;
  return BRAID_OK;
}
