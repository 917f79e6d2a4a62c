/* SPDX-License-Identifier: Apache-2.0
 * braid: any edge set, any order, rows streamed through the cut [ours]. Latency; throughput is in
 * braid_throughput.c.
 *
 *   Whole nodes, whatever slices are allowed, so that allowing slices never makes a plan worse:
 *   1. The plan of every other policy, as it is, and pipelined: always, before any budget counts. The result is the
 *      best plan of all that follows, hence never worse than any of them under the simulator.
 *   2. Every closed set with every order of its branches, by branch and bound, where exact would do so too.
 *   3. Local search from the best and from the other promising sites: nodes and branch prefixes change sides
 *      (braid_moves.c); then orders of branches.
 *   Row slices, if allowed:
 *   4. 1 and 2 with the number of slices asked for; if none was, decc's and heft's plans for SLICES_SEED.
 *   5. The sites that stream best depth-first (of seeds, the best, the most promising prefixes: the best whole-node cut
 *      need not be the best to stream) get slice counts, depths and directions (braid_slices.c); then 3 from the best,
 *      and slices once more.
 *
 * What 3 and 5 may cost is counted in simulated tasks, not in time: equal input, equal plan. A simulation ends as soon
 * as what is left shows that it is no better. */
#include "braid.h"
#include "ideals.h"
#include "orders.h"

#include <stdio.h>
#include <string.h>

#define TASKS_MAX 120000    /* budget of the search, ... */
#define TASKS_PER_NODE 3000 /* ... less for small networks */
#define ORDERS_TRIED 60     /* of the best plan's branches */
#define STREAMED 32         /* sites that are tried depth-first with SLICES_FEW ... */
#define STREAMED_SHARE 3    /* ... until so much of the budget is spent, */
#define STREAMED_MANY 8     /* the best of them with SLICES_AUTO; */
#define SLICES_FEW 16
#define TUNED 2       /* so many get counts, depths and directions of their own, ... */
#define TUNED_MORE 6  /* ... more while half of what was left then is not spent */

/* ------------------------------------------------------------------------------------------------- scoring */

bool braid_spent(const struct braid_hunt *h) {
  return h->tasks >= h->tasks_max;
}

static bool is_pinned_elsewhere(const struct stages *st, const uint8_t *site) {
  for (int v = 0; v < st->n && st->goal->pinned; v++)
    if (st->goal->pinned[v] >= 0 && st->goal->pinned[v] != site[v]) return true;
  return false;
}

static enum braid_status keep(struct braid_hunt *h, const struct braid_plan *plan, int64_t ns) {
  if (ns >= h->best_ns) return BRAID_OK;
  struct braid_plan *copy = NULL;
  BRAID_TRY(braid_plan_copy(plan, &copy));
  braid_plan_destroy(&h->best);
  h->best = copy;
  h->best_ns = ns;
  return BRAID_OK;
}

/* Tasks, and what each waits for. */
static int64_t cost_of(const struct braid_graph *graph, const struct braid_plan *plan) {
  int64_t cost = 0;
  for (int v = 0; v < plan->n_nodes; v++) {
    const struct braid_node *node = braid_graph_node(graph, v);
    int operands = 0;
    for (int k = 0; k < node->n_in; k++) operands += braid_is_node(node->in[k]);
    cost += (int64_t)plan->slices[v] * (1 + operands) / 2 + 1;
  }
  return cost;
}

static enum braid_status simulate(struct braid_hunt *h, const struct braid_plan *plan, int64_t limit_ns, int64_t *ns) {
  h->tasks += cost_of(h->st->graph, plan);
  BRAID_TRY(simulator_latency(h->simulator, plan, limit_ns, ns));
  return keep(h, plan, *ns);
}

enum braid_status braid_try(struct braid_hunt *h, const struct braid_plan *plan, int64_t limit_ns, int64_t *ns) {
  struct stage_sums sums;
  int64_t unused = 0;
  if (!ns) ns = &unused;
  *ns = COST_NEVER;
  stages_sum(h->st, plan->site, &sums);
  if (stages_latency_ns(h->st, &sums) >= COST_NEVER || is_pinned_elsewhere(h->st, plan->site)) return BRAID_OK;
  if (stages_period_ns(h->st, &sums) >= h->best_ns) return BRAID_OK;
  return simulate(h, plan, limit_ns, ns);
}

/* --------------------------------------------------------------------------------------------------- seeds */

struct pool { /* sites worth streaming, the most promising first */
  int n;
  struct braid_plan *plan[STREAMED];
  int64_t promise_ns[STREAMED];
};

static void free_pool(struct pool *pool) {
  for (int i = 0; i < pool->n; i++) braid_plan_destroy(&pool->plan[i]);
}

/* What streaming may leave of the sum of stages: depth-first little but the busiest. */
static int64_t promise_ns(int64_t serial_ns, int64_t busiest_ns) {
  return busiest_ns + (serial_ns - busiest_ns) / 8;
}

static bool in_pool(const struct pool *pool, const struct braid_plan *plan) {
  size_t n = (size_t)plan->n_nodes;
  for (int i = 0; i < pool->n; i++)
    if (memcmp(pool->plan[i]->site, plan->site, n) == 0 &&
        memcmp(pool->plan[i]->rank, plan->rank, n * sizeof *plan->rank) == 0)
      return true;
  return false;
}

static enum braid_status add_to_pool(struct pool *pool, const struct braid_plan *plan, int64_t promise) {
  if (in_pool(pool, plan) || (pool->n == STREAMED && promise >= pool->promise_ns[pool->n - 1])) return BRAID_OK;
  struct braid_plan *copy = NULL;
  BRAID_TRY(braid_plan_copy(plan, &copy));
  if (pool->n == STREAMED) braid_plan_destroy(&pool->plan[--pool->n]);
  int i = pool->n++;
  for (; i > 0 && pool->promise_ns[i - 1] > promise; i--) {
    pool->plan[i] = pool->plan[i - 1];
    pool->promise_ns[i] = pool->promise_ns[i - 1];
  }
  pool->plan[i] = copy;
  pool->promise_ns[i] = promise;
  return BRAID_OK;
}

static enum braid_status pool_sites(const struct braid_hunt *h, struct pool *pool, const struct braid_plan *plan) {
  struct stage_sums sums;
  stages_sum(h->st, plan->site, &sums);
  return add_to_pool(pool, plan, promise_ns(stages_latency_ns(h->st, &sums), stages_period_ns(h->st, &sums)));
}

/* The seed as its policy would run it, then pipelined, then with whole nodes. */
static enum braid_status try_seed(struct braid_hunt *h, struct pool *pool, struct braid_plan *plan) {
  int64_t ns = 0;
  BRAID_TRY(simulate(h, plan, h->best_ns, &ns));
  if (plan->serial) {
    plan->serial = false;
    BRAID_TRY(braid_try(h, plan, h->best_ns, NULL));
  }
  plan_set_slices(plan, h->st->graph, 1);
  return pool_sites(h, pool, plan);
}

static bool is_rival(const struct braid_policy *policy) {
  return policy != &policy_braid && policy != &policy_exact && policy->input == BRAID_INPUT_AS_IS;
}

static enum braid_status try_policy(struct braid_hunt *h, const struct braid_policy *policy,
                                    const struct braid_goal *goal, struct pool *pool) {
  struct braid_plan *plan = NULL;
  enum braid_status status = policy->decide(h->st->graph, h->st->costs, goal, &plan);
  if (status == BRAID_ENOTFOUND || status == BRAID_EUNSUPPORTED) return BRAID_OK;
  if (status == BRAID_OK && stages_admit(h->st, plan->site) == BRAID_OK) status = try_seed(h, pool, plan);
  braid_plan_destroy(&plan);
  return status;
}

static enum braid_status try_policies(struct braid_hunt *h, const struct braid_goal *goal, struct pool *pool) {
  int n = 0;
  const struct braid_policy *const *policy = braid_policies(&n);
  for (int i = 0; i < n; i++)
    if (is_rival(policy[i])) BRAID_TRY(try_policy(h, policy[i], goal, pool));
  return BRAID_OK;
}

/* Those of the others that stream: told how many slices they choose other sites than with whole nodes. */
static enum braid_status try_policies_streamed(struct braid_hunt *h, const struct braid_goal *goal, struct pool *pool) {
  static const struct braid_policy *const streaming[] = {&policy_decc, &policy_heft};
  struct braid_goal sliced = *goal;
  sliced.slices = SLICES_SEED;
  for (size_t i = 0; i < sizeof streaming / sizeof *streaming; i++)
    BRAID_TRY(try_policy(h, streaming[i], &sliced, pool));
  return BRAID_OK;
}

/* ------------------------------------------------------------------------------------------------ more cuts */

static enum braid_status try_closed_sets(struct braid_hunt *h, const struct stages *st) {
  bool complete = false;
  return exact_search(st, h->simulator, &h->best, &h->best_ns, &complete);
}

/* What exact does with slices. */
static enum braid_status try_sliced_sets(struct braid_hunt *h, const struct braid_goal *goal) {
  struct stages *st = NULL;
  BRAID_TRY(stages_create(h->st->graph, h->st->costs, goal, &st));
  enum braid_status status = try_closed_sets(h, st);
  stages_destroy(&st);
  return status;
}

struct prefixes {
  struct pool *pool;
  const struct stages *st;
  struct braid_plan *plan;
  enum braid_status status;
};

static void pool_prefix(void *ctx, int n_edge, int64_t serial_ns, int64_t busiest_ns) {
  struct prefixes *p = ctx;
  for (int v = 0; v < p->st->n; v++)
    p->plan->site[v] = v < n_edge || braid_graph_node(p->st->graph, v)->op == BRAID_OP_INPUT ? BRAID_EDGE : BRAID_CLOUD;
  if (p->status == BRAID_OK) p->status = add_to_pool(p->pool, p->plan, promise_ns(serial_ns, busiest_ns));
}

static enum braid_status pool_prefixes(const struct braid_hunt *h, struct pool *pool) {
  struct prefixes p = {.pool = pool, .st = h->st};
  BRAID_TRY(braid_plan_create(h->st->graph, "braid", &p.plan));
  p.plan->deliver = h->st->goal->deliver;
  enum braid_status status = braid_prefixes(h->st, pool_prefix, &p);
  braid_plan_destroy(&p.plan);
  return status == BRAID_OK ? p.status : status;
}

/* -------------------------------------------------------------------------------------------------- slices */

/* The most promising of the pool; -1: no promise is left. */
static int take_best(struct pool *pool) {
  int best = -1;
  for (int i = 0; i < pool->n; i++)
    if (pool->promise_ns[i] < COST_NEVER && (best < 0 || pool->promise_ns[i] < pool->promise_ns[best])) best = i;
  return best;
}

/* What the sites of the pool are worth depth-first, few slices for all of them, then many for those that did best. */
static enum braid_status stream_pool(struct braid_hunt *h, struct pool *pool) {
  int64_t again[STREAMED];
  for (int i = 0; i < pool->n; i++) {
    pool->promise_ns[i] = COST_NEVER;
    if (h->tasks < h->tasks_max / STREAMED_SHARE)
      BRAID_TRY(braid_try_streamed(h, pool->plan[i], SLICES_FEW, h->best_ns + h->best_ns / 2, &pool->promise_ns[i]));
    again[i] = COST_NEVER;
  }
  for (int t = 0; t < STREAMED_MANY; t++) {
    int i = take_best(pool);
    if (i < 0) break;
    again[i] = pool->promise_ns[i];
    pool->promise_ns[i] = COST_NEVER;
    int64_t ns = COST_NEVER;
    if (h->tasks < h->tasks_max / 2) BRAID_TRY(braid_try_streamed(h, pool->plan[i], SLICES_AUTO, again[i], &ns));
    if (ns < again[i]) again[i] = ns;
  }
  memcpy(pool->promise_ns, again, sizeof again);
  return BRAID_OK;
}

static enum braid_status tune_pool(struct braid_hunt *h, struct pool *pool) {
  int64_t most = h->tasks + (h->tasks_max - h->tasks) / 2;
  for (int t = 0; t < TUNED || (t < TUNED_MORE && h->tasks < most); t++) {
    int i = take_best(pool);
    if (i < 0) break;
    pool->promise_ns[i] = COST_NEVER;
    BRAID_TRY(braid_tune_slices(h, pool->plan[i]));
  }
  return BRAID_OK;
}

static enum braid_status tune_best(struct braid_hunt *h) {
  struct braid_plan *plan = NULL;
  if (h->slices_max <= 1) return BRAID_OK;
  BRAID_TRY(braid_plan_copy(h->best, &plan));
  enum braid_status status = braid_tune_slices(h, plan);
  braid_plan_destroy(&plan);
  return status;
}

/* -------------------------------------------------------------------------------------------------- orders */

struct reordering {
  struct braid_hunt *h;
  struct braid_plan *trial;
  int *by_rank; /* [n] scratch */
  bool sliced;
};

/* Whole nodes of a branch run in the order of their data whatever their ranks; slices may as well go depth-first, on
 * either site or both. */
static enum braid_status try_order(void *ctx, const int *rank) {
  struct reordering *r = ctx;
  struct braid_plan *trial = r->trial;
  for (int turns = 0; turns < (r->sliced ? 4 : 1) && !braid_spent(r->h); turns++) {
    memcpy(trial->rank, rank, (size_t)trial->n_nodes * sizeof *rank);
    if (turns & 1) orders_turn(trial->site, trial->n_nodes, BRAID_EDGE, r->by_rank, trial->rank);
    if (turns & 2) orders_turn(trial->site, trial->n_nodes, BRAID_CLOUD, r->by_rank, trial->rank);
    BRAID_TRY(braid_try(r->h, trial, r->h->best_ns, NULL));
  }
  return BRAID_OK;
}

static bool is_sliced(const struct braid_plan *plan) {
  for (int v = 0; v < plan->n_nodes; v++)
    if (plan->slices[v] > 1) return true;
  return false;
}

static enum braid_status try_orders(struct braid_hunt *h) {
  struct reordering r = {.h = h};
  int *rank = braid_malloc(2 * (size_t)h->st->n * sizeof *rank);
  enum braid_status status =
      rank ? braid_plan_copy(h->best, &r.trial) : braid_fail(BRAID_ENOMEM, "ordering %d nodes", h->st->n);
  if (status == BRAID_OK) {
    r.trial->serial = false;
    r.by_rank = rank + h->st->n;
    r.sliced = is_sliced(r.trial);
    for (int v = 0; v < h->st->n; v++) rank[v] = v;
    status = try_order(&r, rank);
  }
  if (status == BRAID_OK) status = orders_each(h->st->graph, r.trial->site, ORDERS_TRIED, rank, try_order, &r);
  braid_plan_destroy(&r.trial);
  braid_free(rank);
  return status;
}

/* ---------------------------------------------------------------------------------------------- the policy */

/* The other sites that looked promising may lead somewhere else. */
static enum braid_status climb_from_pool(struct braid_hunt *h, const struct pool *pool) {
  BRAID_TRY(braid_climb(h, h->best, h->best_ns));
  for (int i = 0; i < pool->n && !braid_spent(h); i++) {
    int64_t ns = COST_NEVER;
    BRAID_TRY(braid_try(h, pool->plan[i], COST_NEVER, &ns));
    if (ns < COST_NEVER) BRAID_TRY(braid_climb(h, pool->plan[i], ns));
  }
  return BRAID_OK;
}

/* With whole nodes. Does not look at what slices are allowed: with slices braid is never worse than without. */
static enum braid_status search_whole(struct braid_hunt *h, const struct braid_goal *whole, struct pool *pool) {
  BRAID_TRY(try_policies(h, whole, pool));
  BRAID_TRY(try_closed_sets(h, h->st));
  if (!h->best)
    return braid_fail(BRAID_ENOTFOUND,
                      "no plan found that fits the edge's memory of %zu bytes and keeps private and "
                      "pinned nodes where they must be",
                      whole->edge_memory);
  h->tasks = 0;
  BRAID_TRY(climb_from_pool(h, pool));
  return try_orders(h);
}

static enum braid_status search_sliced(struct braid_hunt *h, const struct braid_goal *goal, struct pool *pool) {
  if (goal->slices > 1) {
    BRAID_TRY(try_policies(h, goal, pool));
    BRAID_TRY(try_sliced_sets(h, goal));
  } else {
    BRAID_TRY(try_policies_streamed(h, goal, pool));
  }
  h->tasks = 0;
  BRAID_TRY(pool_sites(h, pool, h->best));
  BRAID_TRY(pool_prefixes(h, pool));
  BRAID_TRY(stream_pool(h, pool));
  BRAID_TRY(tune_pool(h, pool));
  BRAID_TRY(braid_climb(h, h->best, h->best_ns));
  BRAID_TRY(try_orders(h));
  return tune_best(h);
}

static enum braid_status search(struct braid_hunt *h, const struct braid_goal *goal, struct pool *pool) {
  struct braid_goal whole = *goal;
  whole.slices = 1;
  BRAID_TRY(search_whole(h, &whole, pool));
  return h->slices_max > 1 ? search_sliced(h, goal, pool) : BRAID_OK;
}

static enum braid_status decide_latency(const struct braid_graph *graph, const struct braid_costs *costs,
                                        const struct braid_goal *goal, struct braid_plan **out) {
  struct braid_goal whole = *goal;
  struct braid_hunt h = {.best_ns = COST_NEVER, .tasks_max = TASKS_MAX};
  struct stages *st = NULL;
  struct pool pool = {0};
  whole.slices = 1;
  h.slices_max = goal->slices > 0 ? goal->slices : SLICES_AUTO;
  BRAID_TRY(stages_create(graph, costs, &whole, &st));
  h.st = st;
  if (h.tasks_max > (int64_t)TASKS_PER_NODE * st->n) h.tasks_max = (int64_t)TASKS_PER_NODE * st->n;
  enum braid_status status = simulator_create(graph, costs, &h.simulator);
  if (status == BRAID_OK) status = search(&h, goal, &pool);
  free_pool(&pool);
  simulator_destroy(&h.simulator);
  stages_destroy(&st);
  if (status == BRAID_OK)
    *out = h.best;
  else
    braid_plan_destroy(&h.best);
  return status;
}

static enum braid_status decide(const struct braid_graph *graph, const struct braid_costs *costs,
                                const struct braid_goal *goal, struct braid_plan **out) {
  struct braid_plan *plan = NULL;
  BRAID_TRY(goal->objective == BRAID_THROUGHPUT ? braid_throughput_decide(graph, costs, goal, &plan)
                                                : decide_latency(graph, costs, goal, &plan));
  snprintf(plan->policy, sizeof plan->policy, "braid");
  *out = plan;
  return BRAID_OK;
}

const struct braid_policy policy_braid = {"braid", "any edge set, any order, rows streamed through the cut", "ours",
                                          decide};
