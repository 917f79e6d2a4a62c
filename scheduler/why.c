/* SPDX-License-Identifier: Apache-2.0
 * Why a plan is as it is: which resource binds, what every constraint costs, which cut comes next, what a better link
 * or a busier cloud would change. All by asking again: the same policy decides under the changed goal or costs. */
#include "internal.h"

#include <string.h>

static int64_t value_of(const struct braid_plan *plan, const struct braid_goal *goal) {
  return goal->objective == BRAID_THROUGHPUT ? plan->forecast.period_ns : plan->forecast.latency_ns;
}

/* exact says BRAID_EUNSUPPORTED of large networks. */
static bool finds_none(enum braid_status status) {
  return status == BRAID_ENOTFOUND || status == BRAID_EUNSUPPORTED;
}

/* The policy's value, 0 where it finds no plan. */
static enum braid_status ask(const struct braid_policy *policy, const struct braid_graph *graph,
                             const struct braid_costs *costs, const struct braid_goal *goal, int64_t *value_ns) {
  struct braid_plan *plan = NULL;
  enum braid_status status = braid_decide(policy, graph, costs, goal, &plan);
  *value_ns = status == BRAID_OK ? value_of(plan, goal) : 0;
  braid_plan_destroy(&plan);
  return finds_none(status) ? BRAID_OK : status;
}

/* ------------------------------------------------------------------------------------------------ resources */

static void fill_shares(const struct braid_plan *plan, struct braid_why *why) {
  const struct braid_forecast *f = &plan->forecast;
  const int64_t busy_ns[] = {f->edge_ns, f->up_ns, f->cloud_ns, f->down_ns};
  for (int r = 0; r < 4; r++) {
    why->share[r] = why->value_ns > 0 ? (double)busy_ns[r] / (double)why->value_ns : 0;
    if (why->share[r] > why->share[why->binds]) why->binds = (enum braid_resource)r;
  }
}

/* ---------------------------------------------------------------------------------------------- constraints */

struct question {
  const struct braid_policy *policy;
  const struct braid_graph *graph;
  const struct braid_costs *costs;
  const struct braid_goal *goal;
  struct braid_why *why;
};

static enum braid_status without(const struct question *q, const char *constraint, const struct braid_goal *goal) {
  struct braid_why_value *value = &q->why->without[q->why->n_without++];
  value->what = constraint;
  return ask(q->policy, q->graph, q->costs, goal, &value->value_ns);
}

static enum braid_status ask_constraints(const struct question *q) {
  struct braid_goal goal = *q->goal;
  if (goal.private_input) {
    goal.private_input = false;
    BRAID_TRY(without(q, "private", &goal));
    goal = *q->goal;
  }
  if (goal.edge_memory > 0) {
    goal.edge_memory = 0;
    BRAID_TRY(without(q, "edge memory", &goal));
    goal = *q->goal;
  }
  if (goal.latency_max_ns > 0) {
    goal.latency_max_ns = 0;
    BRAID_TRY(without(q, "latency ceiling", &goal));
    goal = *q->goal;
  }
  goal.pinned = NULL;
  return q->goal->pinned ? without(q, "pinned nodes", &goal) : BRAID_OK;
}

/* -------------------------------------------------------------------------------------------- sensitivities */

static enum braid_status what_if(const struct question *q, const char *change, double rate, double load) {
  struct braid_costs costs = *q->costs;
  struct braid_why_value *value = &q->why->what_if[q->why->n_what_if++];
  costs.up.bits_per_s *= rate;
  costs.down.bits_per_s *= rate;
  costs.cloud_load = (costs.cloud_load > 0 ? costs.cloud_load : 1) * load;
  value->what = change;
  return ask(q->policy, q->graph, &costs, q->goal, &value->value_ns);
}

static enum braid_status ask_changes(const struct question *q) {
  BRAID_TRY(what_if(q, "rate +10 %", 1.1, 1));
  BRAID_TRY(what_if(q, "rate -10 %", 0.9, 1));
  return what_if(q, "cloud load +10 %", 1, 1.1);
}

/* ------------------------------------------------------------------------------------------------ next cut */

struct next {
  const struct stages *st;
  const struct braid_plan *plan; /* the one to differ from */
  struct braid_plan *best;
  int64_t best_ns;
};

static bool same_sites(const struct braid_plan *a, const struct braid_plan *b) {
  return memcmp(a->site, b->site, (size_t)a->n_nodes) == 0;
}

/* Takes the plan. */
static void consider(struct next *n, struct braid_plan *plan, int64_t ns) {
  if (ns < n->best_ns && !same_sites(plan, n->plan)) {
    braid_plan_destroy(&n->best);
    n->best = plan;
    n->best_ns = ns;
    return;
  }
  braid_plan_destroy(&plan);
}

/* The plan with node v on the other side. */
static enum braid_status try_move(struct next *n, int v) {
  struct braid_plan *moved = NULL;
  int64_t ns = COST_NEVER;
  BRAID_TRY(stages_plan(n->st, "next", n->plan->site, n->plan->serial, &moved));
  moved->site[v] = !moved->site[v];
  memcpy(moved->rank, n->plan->rank, (size_t)moved->n_nodes * sizeof *moved->rank);
  memcpy(moved->slices, n->plan->slices, (size_t)moved->n_nodes * sizeof *moved->slices);
  enum braid_status status = stages_admit(n->st, moved->site);
  if (status == BRAID_OK) status = forecast_run(moved, n->st->graph, n->st->costs, n->st->goal, &ns);
  int64_t ceiling_ns = n->st->goal->latency_max_ns;
  if (ceiling_ns > 0 && moved->forecast.latency_ns > ceiling_ns) ns = COST_NEVER;
  bool free_move = ns == value_of(n->plan, n->st->goal) && moved->forecast.up_bytes == n->plan->forecast.up_bytes;
  if (status == BRAID_OK && !free_move) /* a node that costs nothing makes no other cut */
    consider(n, moved, ns);
  else
    braid_plan_destroy(&moved);
  return status == BRAID_ENOTFOUND ? BRAID_OK : status;
}

/* Moves that leave the set as closed as it is: what only feeds the cloud may follow its readers, what only reads the
 * edge may join its operands. */
static bool may_move(const struct braid_graph *graph, const uint8_t *site, int v) {
  const struct braid_node *node = braid_graph_node(graph, v);
  if (node->op == BRAID_OP_INPUT) return false;
  for (int i = 0; site[v] == BRAID_EDGE && i < node->n_readers; i++)
    if (site[node->reader[i]] == BRAID_EDGE) return false;
  for (int k = 0; site[v] == BRAID_CLOUD && k < node->n_in; k++)
    if (braid_is_node(node->in[k]) && site[node->in[k]] == BRAID_CLOUD) return false;
  return true;
}

static enum braid_status try_moves(struct next *n) {
  for (int v = 0; v < n->st->n; v++)
    if (may_move(n->st->graph, n->plan->site, v)) BRAID_TRY(try_move(n, v));
  return BRAID_OK;
}

static enum braid_status try_policies(struct next *n) {
  int n_policies = 0;
  const struct braid_policy *const *policy = braid_policies(&n_policies);
  for (int i = 0; i < n_policies; i++) {
    struct braid_plan *plan = NULL;
    if (policy[i]->input != BRAID_INPUT_AS_IS || strcmp(policy[i]->name, n->plan->policy) == 0) continue;
    enum braid_status status = braid_decide(policy[i], n->st->graph, n->st->costs, n->st->goal, &plan);
    if (status == BRAID_OK)
      consider(n, plan, plan->n_mix > 0 ? COST_NEVER : value_of(plan, n->st->goal));
    else if (!finds_none(status))
      return status;
  }
  return BRAID_OK;
}

static enum braid_status find_next(const struct question *q, const struct braid_plan *plan) {
  struct next n = {.plan = plan, .best_ns = COST_NEVER};
  struct stages *st = NULL;
  BRAID_TRY(stages_create(q->graph, q->costs, q->goal, &st));
  n.st = st;
  enum braid_status status = try_moves(&n);
  if (status == BRAID_OK) status = try_policies(&n);
  stages_destroy(&st);
  if (status != BRAID_OK) {
    braid_plan_destroy(&n.best);
    return status;
  }
  q->why->next = n.best;
  q->why->next_ns = n.best ? n.best_ns : 0;
  return BRAID_OK;
}

/* ----------------------------------------------------------------------------------------------------- why */

enum braid_status braid_why_create(const struct braid_policy *policy, const struct braid_graph *graph,
                                   const struct braid_costs *costs, const struct braid_goal *goal,
                                   const struct braid_plan *plan, struct braid_why **out) {
  struct braid_why *why = braid_calloc(1, sizeof *why);
  if (!why) return braid_fail(BRAID_ENOMEM, "no memory for reasons");
  struct question q = {policy, graph, costs, goal, why};
  why->value_ns = value_of(plan, goal);
  fill_shares(plan, why);
  enum braid_status status = ask_constraints(&q);
  if (status == BRAID_OK) status = ask_changes(&q);
  if (status == BRAID_OK) status = find_next(&q, plan);
  if (status != BRAID_OK)
    braid_why_destroy(&why);
  else
    *out = why;
  return status;
}

void braid_why_destroy(struct braid_why **why) {
  if (!why || !*why) return;
  braid_plan_destroy(&(*why)->next);
  braid_free(*why);
  *why = NULL;
}
