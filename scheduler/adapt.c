/* SPDX-License-Identifier: Apache-2.0
 * Adaptation: keep the plan, or take another?
 *
 * Three steps, each dearer than the one before and taken only when that one asks for it:
 * 1. Have conditions left their bucket (of rate, round trip, load)? If not, the parametric table: the plan in force is
 *    a line like the table's cuts (fixed + load * cloud + bytes / rate), and how many times longer than the best cut it
 *    takes is one number. While that is what it was, nothing has happened.
 * 2. The policy, under the middle of the bucket the conditions are in; plans are remembered by bucket, so conditions
 *    that return cost nothing. Plan in force and rival are then simulated under the estimates themselves.
 * 3. Hysteresis: a rival that is a little better has to be so at two moments, and one that is hardly better never is;
 *    a much better one wins at once. Either is better by a factor, so that no two plans can alternate while the
 *    estimates stand still.
 *
 * A slower edge is a unit of time: edge * s + cloud * l + bytes / rate = s * (edge + cloud * l / s + bytes / (rate *
 * s)), so the table's two axes serve three conditions (the link's fixed part is scaled along: it only has to say when
 * to look closer). */
#include "adapt_costs.h"

#include <math.h>
#include <string.h>

#define TABLE_MOVED 1.05 /* ratio to the best cut, against the last full decision's */
#define GAIN_TWICE 1.10  /* plan in force / rival, at two decisions in a row */
#define GAIN_AT_ONCE 1.50
#define GAIN_BRIDGED 8.00 /* of a rival that sends nothing, where late frames are bridged; twice in a row */
#define MEMORY 128 /* plans remembered */

struct remembered {
  struct bucket bucket;
  int64_t used; /* 0: free */
  struct braid_plan *plan;
};

/* The plan in force as the table would have it; fixed_ns may be below 0 where stages overlap. */
struct line {
  double fixed_ns, cloud_ns, up_bits;
  bool crosses;
};

struct braid_adapt {
  struct world world;
  struct braid_goal goal;
  const struct braid_policy *policy;
  struct braid_breakpoints *table; /* NULL: none for such a goal */
  struct braid_plan *plan;         /* in force */
  struct line line;
  bool bridges;
  double ratio;         /* to the best cut; at the last full decision, or the least since */
  struct bucket bucket; /* of the last full decision */
  bool pending;         /* a rival was better, but not by enough to be taken at once, ... */
  int64_t pending_ns;   /* ... at this moment */
  struct remembered memory[MEMORY];
  struct braid_adapt_stats stats;
};

/* -------------------------------------------------------------------------------------------------- table */

static double extra_rtt_ns(const struct world *w) {
  return w->estimate[EST_RTT].value - (double)(w->base.up.delay_ns + w->base.down.delay_ns);
}

static double best_cut_ns(const struct braid_adapt *a) {
  const struct estimate *e = a->world.estimate;
  double stretch = e[EST_EDGE].value, load = e[EST_LOAD].value / stretch, rate = e[EST_UP].value * stretch;
  double least = (double)INFINITY, rtt = extra_rtt_ns(&a->world);
  for (int i = 0; i < a->table->n_cuts; i++) {
    const struct braid_cut *cut = &a->table->cut[i];
    double ns = stretch * braid_cut_ns(cut, rate, load) + (cut->up_bytes > 0 ? rtt : 0);
    if (ns < least) least = ns;
  }
  return least;
}

static double line_ns(const struct braid_adapt *a) {
  const struct estimate *e = a->world.estimate;
  const struct line *l = &a->line;
  return e[EST_EDGE].value * l->fixed_ns + e[EST_LOAD].value * l->cloud_ns + 1e9 * l->up_bits / e[EST_UP].value +
         (l->crosses ? extra_rtt_ns(&a->world) : 0);
}

static double ratio_now(const struct braid_adapt *a) {
  return fmax(line_ns(a), 1) / fmax(best_cut_ns(a), 1);
}

/* After a full decision: what the plan in force takes under the estimates. */
static void set_line(struct braid_adapt *a, double plan_ns) {
  const struct estimate *e = a->world.estimate;
  const struct braid_forecast *f = &a->plan->forecast;
  struct line *l = &a->line;
  l->crosses = f->up_bytes > 0 || f->down_bytes > 0;
  l->cloud_ns = (double)f->cloud_ns / e[EST_LOAD].value;
  l->up_bits = 8 * (double)f->up_bytes;
  l->fixed_ns = 0;
  l->fixed_ns = (plan_ns - line_ns(a)) / e[EST_EDGE].value;
}

/* The table knows single serial cuts only: plans with several crossings may have become better although no cut has, so
 * conditions that have left their bucket are looked at, too. */
static bool is_due(struct braid_adapt *a) {
  struct bucket now = world_bucket(&a->world);
  if (a->pending || memcmp(&now, &a->bucket, sizeof now) != 0) return true;
  if (!a->table) return false;
  double ratio = ratio_now(a);
  if (ratio > a->ratio * TABLE_MOVED) return true;
  a->ratio = fmin(a->ratio, ratio);
  return false;
}

/* Loads at which cuts are kept, over the one of the costs: what lies between has a good neighbour. */
static enum braid_status build_table(struct braid_adapt *a, const struct braid_costs *costs) {
  static const double factor[] = {0.25, 2, 4, 8, 16};
  double load = costs->cloud_load > 0 ? costs->cloud_load : 1;
  enum braid_status status = braid_breakpoints_build(a->world.graph, costs, &a->goal, &a->table);
  if (status == BRAID_EINVAL || status == BRAID_EUNSUPPORTED) return BRAID_OK; /* throughput, memory: no table */
  for (size_t i = 0; i < sizeof factor / sizeof *factor && status == BRAID_OK; i++)
    status = braid_breakpoints_add_load(a->table, a->world.graph, costs, &a->goal, load * factor[i]);
  return status;
}

/* -------------------------------------------------------------------------------------------------- plans */

static struct remembered *find_slot(struct braid_adapt *a, struct bucket bucket, bool *known) {
  struct remembered *oldest = &a->memory[0];
  for (int i = 0; i < MEMORY; i++) {
    struct remembered *m = &a->memory[i];
    *known = m->used > 0 && memcmp(&m->bucket, &bucket, sizeof bucket) == 0;
    if (*known) return m;
    if (m->used < oldest->used) oldest = m;
  }
  return oldest;
}

/* The policy's plan for the bucket; NULL where the goal cannot be met. Belongs to the memory. */
static enum braid_status recall(struct braid_adapt *a, struct bucket bucket, struct braid_plan **out) {
  bool known = false;
  struct remembered *m = find_slot(a, bucket, &known);
  if (!known) {
    struct braid_costs costs = world_bucket_costs(&a->world, bucket);
    struct braid_plan *plan = NULL;
    a->stats.policy++;
    enum braid_status status = braid_decide(a->policy, a->world.graph, &costs, &a->goal, &plan);
    if (status != BRAID_OK && status != BRAID_ENOTFOUND) return status;
    braid_plan_destroy(&m->plan);
    m->plan = plan;
    m->bucket = bucket;
  }
  m->used = a->stats.decisions + 1;
  *out = m->plan;
  return BRAID_OK;
}

/* What the plan comes to now, by the goal's objective. */
static enum braid_status evaluate(struct braid_adapt *a, struct braid_plan *plan, double *ns) {
  struct braid_costs costs = world_costs(&a->world);
  int64_t value_ns = 0;
  BRAID_TRY(forecast_run(plan, a->world.graph, &costs, &a->goal, &value_ns));
  *ns = (double)value_ns;
  return BRAID_OK;
}

static enum braid_status take(struct braid_adapt *a, const struct braid_plan *rival) {
  struct braid_plan *copy = NULL;
  BRAID_TRY(braid_plan_copy(rival, &copy));
  braid_plan_destroy(&a->plan);
  a->plan = copy;
  a->pending = false;
  return BRAID_OK;
}

/* ----------------------------------------------------------------------------------------------- decision */

static bool sends(const struct braid_plan *plan) {
  return plan->forecast.up_bytes > 0 || plan->forecast.down_bytes > 0;
}

static bool is_worth_it(struct braid_adapt *a, int64_t now_ns, double plan_ns, const struct braid_plan *rival,
                        double rival_ns) {
  double gain = plan_ns / fmax(rival_ns, 1);
  bool bridged = a->bridges && sends(a->plan) && !sends(rival);
  if (gain > GAIN_AT_ONCE && !bridged) return true;
  if (gain <= (bridged ? GAIN_BRIDGED : GAIN_TWICE)) {
    a->pending = false;
    return false;
  }
  if (a->pending && now_ns > a->pending_ns) return true;
  if (!a->pending) a->pending_ns = now_ns;
  a->pending = true;
  return false;
}

static enum braid_status look_closer(struct braid_adapt *a, int64_t now_ns, bool *changed) {
  struct braid_plan *rival = NULL;
  double plan_ns = 0, rival_ns = 0;
  a->bucket = world_bucket(&a->world);
  a->stats.evaluated++;
  BRAID_TRY(recall(a, a->bucket, &rival));
  BRAID_TRY(evaluate(a, a->plan, &plan_ns));
  if (rival) {
    BRAID_TRY(evaluate(a, rival, &rival_ns));
    if (is_worth_it(a, now_ns, plan_ns, rival, rival_ns)) {
      BRAID_TRY(take(a, rival));
      a->stats.switches++;
      *changed = true;
      plan_ns = rival_ns;
    }
  }
  set_line(a, plan_ns);
  if (a->table) a->ratio = ratio_now(a);
  return BRAID_OK;
}

enum braid_status braid_adapt_decide(struct braid_adapt *a, int64_t now_ns, const struct braid_plan **plan,
                                     bool *changed) {
  *changed = false;
  enum braid_status status = is_due(a) ? look_closer(a, now_ns, changed) : BRAID_OK;
  a->stats.decisions++;
  *plan = a->plan;
  return status;
}

void braid_adapt_bridges(struct braid_adapt *a, bool bridges) {
  a->bridges = bridges;
}

enum braid_status braid_adapt_observe(struct braid_adapt *a, int64_t now_ns, const struct braid_observation *seen) {
  return world_observe(&a->world, now_ns, seen);
}

/* ----------------------------------------------------------------------------------------------- creation */

static enum braid_status start(struct braid_adapt *a, const struct braid_costs *costs) {
  double plan_ns = 0;
  BRAID_TRY(world_open(&a->world, a->world.graph, costs));
  BRAID_TRY(build_table(a, costs));
  struct braid_costs now = world_costs(&a->world);
  BRAID_TRY(braid_decide(a->policy, a->world.graph, &now, &a->goal, &a->plan));
  BRAID_TRY(evaluate(a, a->plan, &plan_ns));
  a->bucket = world_bucket(&a->world);
  set_line(a, plan_ns);
  if (a->table) a->ratio = ratio_now(a);
  return BRAID_OK;
}

enum braid_status braid_adapt_create(const struct braid_graph *graph, const struct braid_costs *costs,
                                     const struct braid_goal *goal, const struct braid_policy *policy,
                                     struct braid_adapt **out) {
  struct braid_adapt *a = braid_calloc(1, sizeof *a);
  if (!a) return braid_fail(BRAID_ENOMEM, "adaptation of %s", braid_graph_name(graph));
  a->world.graph = graph;
  a->goal = *goal;
  a->policy = policy;
  enum braid_status status = start(a, costs);
  if (status != BRAID_OK)
    braid_adapt_destroy(&a);
  else
    *out = a;
  return status;
}

void braid_adapt_destroy(struct braid_adapt **adapt) {
  if (!adapt || !*adapt) return;
  struct braid_adapt *a = *adapt;
  for (int i = 0; i < MEMORY; i++) braid_plan_destroy(&a->memory[i].plan);
  braid_plan_destroy(&a->plan);
  braid_breakpoints_destroy(&a->table);
  world_close(&a->world);
  braid_free(a);
  *adapt = NULL;
}

const struct braid_plan *braid_adapt_plan(const struct braid_adapt *a) {
  return a->plan;
}

struct braid_costs braid_adapt_costs(struct braid_adapt *a) {
  return world_costs(&a->world);
}

void braid_adapt_stats(const struct braid_adapt *a, struct braid_adapt_stats *out) {
  const struct estimate *e = a->world.estimate;
  *out = a->stats;
  out->up_bits_per_s = e[EST_UP].value;
  out->down_bits_per_s = e[EST_DOWN].value;
  out->rtt_ns = e[EST_RTT].value;
  out->edge_stretch = e[EST_EDGE].value;
  out->cloud_load = e[EST_LOAD].value;
}
