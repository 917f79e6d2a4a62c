/* SPDX-License-Identifier: Apache-2.0
 * decc: branches pipelined over edge, link and cloud [after the abstract of DECC, Zhuang et al., IEEE TETC 13(2), 2024;
 * what goes beyond the abstract is our reconstruction].
 *
 * For every block between neighbouring joints (the whole network included when it has several inputs or outputs): all
 * before the block on the edge, all after it in the cloud, a partition point in each branch and an order of the
 * branches, so that one branch is computed on the edge while another is on the wire and a third runs in the cloud.
 * Small blocks are enumerated, larger ones searched in a three-stage model (decc_search.c); single cuts (every prefix,
 * the minimum cut, the two ends) compete as well, because a single cut pipelines too once it is sliced or several
 * tensors cross. The best candidates by the model are scored by the simulator, which decides. The serial policies' own
 * plans are among them: decc is never worse than they are. */
#include "decc.h"

#include <string.h>

#define CANDIDATES_MAX 64
#define PER_BLOCK 8            /* choices of each block that are handed on */
#define SIMULATED_MIN 6        /* candidates that are simulated whatever it costs, ... */
#define EVENTS_MAX 300000      /* ... then more while fewer tasks than this have been simulated */
#define ENUMERATE_MAX 3000     /* choices of a block that are all simulated, if ... */
#define ENUMERATE_EVENTS 40000 /* ... they are not too big */

struct candidate {
  int64_t model_ns;
  int number; /* of arrival: ties are settled by it */
  uint8_t *site;
  int *rank;
};

struct decc {
  const struct stages *st;
  struct candidate candidate[CANDIDATES_MAX]; /* ascending by model */
  int n_candidates, n_offered;
  uint8_t *sites;
  int *ranks;
  uint8_t *site; /* scratch */
  int *rank;
  const struct decc_block *block; /* being searched */
  struct braid_plan *best;
  int64_t best_ns, tasks, events;
  enum braid_status status; /* of callbacks */
};

/* ------------------------------------------------------------------------------------------------- scoring */

static bool admitted(const struct decc *d, const uint8_t *site) {
  struct stage_sums sums;
  stages_sum(d->st, site, &sums);
  return stages_latency_ns(d->st, &sums) < COST_NEVER;
}

/* No simulation is needed to see that the busiest stage alone takes longer than the best period so far. */
static bool hopeless(const struct decc *d, const uint8_t *site) {
  struct stage_sums sums;
  if (d->st->goal->objective != BRAID_THROUGHPUT) return false;
  stages_sum(d->st, site, &sums);
  return stages_period_ns(d->st, &sums) > d->best_ns;
}

/* Equal periods: the lower latency. */
static bool is_better(const struct decc *d, const struct braid_plan *plan, int64_t ns) {
  if (ns != d->best_ns || !d->best) return ns < d->best_ns;
  return plan->forecast.latency_ns < d->best->forecast.latency_ns;
}

static enum braid_status simulate_plan(struct decc *d, const uint8_t *site, const int *rank, bool serial) {
  const struct stages *st = d->st;
  struct braid_plan *plan = NULL;
  int64_t ns = 0;
  if (!admitted(d, site) || hopeless(d, site)) return BRAID_OK;
  BRAID_TRY(stages_plan(st, "decc", site, serial, &plan));
  memcpy(plan->rank, rank, (size_t)st->n * sizeof *rank);
  enum braid_status status = forecast_run(plan, st->graph, st->costs, st->goal, &ns);
  d->events += d->tasks * (st->goal->objective == BRAID_THROUGHPUT ? 6 * plan->window + 9 : 1);
  if (status == BRAID_OK && is_better(d, plan, ns)) {
    struct braid_plan *worse = d->best;
    d->best = plan;
    d->best_ns = ns;
    plan = worse;
  }
  braid_plan_destroy(&plan);
  return status;
}

/* ------------------------------------------------------------------------------------------------ candidates */

static bool known(const struct decc *d, int64_t model_ns, const uint8_t *site, const int *rank) {
  size_t n = (size_t)d->st->n;
  for (int i = 0; i < d->n_candidates; i++)
    if (d->candidate[i].model_ns == model_ns && memcmp(d->candidate[i].site, site, n) == 0 &&
        memcmp(d->candidate[i].rank, rank, n * sizeof *rank) == 0)
      return true;
  return false;
}

/* Keeps the best CANDIDATES_MAX in order; an evicted one lends its memory to the new one. */
static void offer(struct decc *d, int64_t model_ns, const uint8_t *site, const int *rank) {
  size_t n = (size_t)d->st->n;
  if (known(d, model_ns, site, rank)) return;
  struct candidate c = {model_ns, d->n_offered++, NULL, NULL};
  if (d->n_candidates < CANDIDATES_MAX) {
    c.site = d->sites + n * (size_t)d->n_candidates;
    c.rank = d->ranks + n * (size_t)d->n_candidates;
    d->n_candidates++;
  } else if (d->candidate[CANDIDATES_MAX - 1].model_ns > model_ns) {
    c.site = d->candidate[CANDIDATES_MAX - 1].site;
    c.rank = d->candidate[CANDIDATES_MAX - 1].rank;
  } else {
    return;
  }
  memcpy(c.site, site, n);
  memcpy(c.rank, rank, n * sizeof *rank);
  int at = d->n_candidates - 1;
  for (; at > 0 && d->candidate[at - 1].model_ns > model_ns; at--) d->candidate[at] = d->candidate[at - 1];
  d->candidate[at] = c;
}

static void offer_choice(void *ctx, const struct decc_choice *choice, int64_t ns) {
  struct decc *d = ctx;
  decc_apply(d->block, choice, d->site, d->rank);
  if (admitted(d, d->site)) offer(d, ns, d->site, d->rank);
}

static void simulate_choice(void *ctx, const struct decc_choice *choice, int64_t ns) {
  struct decc *d = ctx;
  (void)ns;
  decc_apply(d->block, choice, d->site, d->rank);
  if (d->status == BRAID_OK) d->status = simulate_plan(d, d->site, d->rank, false);
}

static enum braid_status try_block(struct decc *d, struct decc_block *block) {
  int64_t choices = decc_count(block, ENUMERATE_MAX + 1);
  int64_t frames = d->st->goal->objective == BRAID_THROUGHPUT ? 50 : 1;
  d->block = block;
  if (choices <= ENUMERATE_MAX && choices * d->tasks * frames <= ENUMERATE_EVENTS) {
    decc_enumerate(block, simulate_choice, d);
    return d->status;
  }
  decc_prune(block);
  return decc_search(block, PER_BLOCK, offer_choice, d);
}

static enum braid_status try_blocks(struct decc *d) {
  int n = 0;
  const struct braid_block *blocks = braid_graph_blocks(d->st->graph, &n);
  for (int i = 0; i < n; i++) {
    struct decc_block *block = NULL;
    enum braid_status status = decc_block_create(d->st, &blocks[i], &block);
    if (status == BRAID_ENOTFOUND) continue; /* the goal forbids to cut here */
    if (status == BRAID_OK) status = try_block(d, block);
    decc_block_destroy(&block);
    if (status != BRAID_OK) return status;
  }
  return BRAID_OK;
}

/* What a single cut may come to: with slices its stages overlap until little more than the longest is left. */
static int64_t cut_model_ns(const struct stages *st, const uint8_t *site) {
  struct stage_sums sums;
  stages_sum(st, site, &sums);
  int64_t serial = stages_latency_ns(st, &sums), busiest = stages_period_ns(st, &sums);
  int slices = st->goal->slices > 1 ? st->goal->slices : 1;
  if (serial >= COST_NEVER || st->goal->objective == BRAID_THROUGHPUT) return busiest;
  return serial <= busiest ? serial : busiest + (serial - busiest) / slices;
}

static void offer_cut(struct decc *d, const uint8_t *site) {
  int64_t ns = cut_model_ns(d->st, site);
  for (int v = 0; v < d->st->n; v++) d->rank[v] = v;
  if (ns < COST_NEVER) offer(d, ns, site, d->rank);
}

static void offer_prefixes(struct decc *d) {
  for (int v = 0; v < d->st->n; v++)
    d->site[v] = braid_graph_node(d->st->graph, v)->op == BRAID_OP_INPUT ? BRAID_EDGE : BRAID_CLOUD;
  offer_cut(d, d->site);
  for (int v = 0; v < d->st->n; v++) {
    if (d->site[v] == BRAID_EDGE) continue;
    d->site[v] = BRAID_EDGE;
    offer_cut(d, d->site);
  }
}

/* The plans to beat, as they are and pipelined. */
static enum braid_status simulate_cut(struct decc *d, stages_cut_fn *cut) {
  enum braid_status status = cut(d->st, d->site);
  if (status == BRAID_ENOTFOUND) return BRAID_OK;
  BRAID_TRY(status);
  for (int v = 0; v < d->st->n; v++) d->rank[v] = v;
  BRAID_TRY(simulate_plan(d, d->site, d->rank, false));
  return simulate_plan(d, d->site, d->rank, true);
}

static enum braid_status edge_end(const struct stages *st, uint8_t *site) {
  memset(site, BRAID_EDGE, (size_t)st->n);
  return BRAID_OK;
}

static enum braid_status cloud_end(const struct stages *st, uint8_t *site) {
  for (int v = 0; v < st->n; v++)
    site[v] = braid_graph_node(st->graph, v)->op == BRAID_OP_INPUT ? BRAID_EDGE : BRAID_CLOUD;
  return BRAID_OK;
}

static enum braid_status simulate_candidates(struct decc *d) {
  for (int i = 0; i < d->n_candidates; i++) {
    if (i >= SIMULATED_MIN && d->events > EVENTS_MAX) break;
    BRAID_TRY(simulate_plan(d, d->candidate[i].site, d->candidate[i].rank, false));
  }
  return BRAID_OK;
}

/* --------------------------------------------------------------------------------------------- the policy */

static enum braid_status run(struct decc *d) {
  stages_cut_fn *const cuts[] = {edge_end, cloud_end, neurosurgeon_cut, dads_cut, qdmp_cut, dsc_cut, cic_cut};
  for (size_t i = 0; i < sizeof cuts / sizeof *cuts; i++) BRAID_TRY(simulate_cut(d, cuts[i]));
  offer_prefixes(d);
  BRAID_TRY(try_blocks(d));
  BRAID_TRY(simulate_candidates(d));
  if (!d->best)
    return braid_fail(
        BRAID_ENOTFOUND,
        "no plan found that fits the edge's memory, keeps private tensors there and pinned nodes where they "
        "belong%s",
        stages_ceiling_text(d->st));
  return BRAID_OK;
}

static int64_t count_tasks(const struct stages *st) {
  int64_t tasks = 0;
  for (int v = 0; v < st->n; v++) {
    int most = braid_graph_node(st->graph, v)->slices_max, slices = st->goal->slices;
    tasks += slices < 1 ? 1 : slices < most ? slices : most;
  }
  return tasks;
}

static enum braid_status decide(const struct braid_graph *graph, const struct braid_costs *costs,
                                const struct braid_goal *goal, struct braid_plan **out) {
  struct stages *st = NULL;
  struct decc d = {.best_ns = COST_NEVER};
  BRAID_TRY(stages_create(graph, costs, goal, &st));
  size_t n = (size_t)st->n;
  d.st = st;
  d.sites = braid_malloc((CANDIDATES_MAX + 1) * n);
  d.ranks = braid_malloc((CANDIDATES_MAX + 1) * n * sizeof *d.ranks);
  d.tasks = count_tasks(st);
  enum braid_status status = BRAID_ENOMEM;
  if (d.sites && d.ranks) {
    d.site = d.sites + CANDIDATES_MAX * n;
    d.rank = d.ranks + CANDIDATES_MAX * n;
    status = stages_check_closed(st);
    if (status == BRAID_OK) status = run(&d);
  } else {
    status = braid_fail(BRAID_ENOMEM, "candidates of %d nodes", st->n);
  }
  braid_free(d.sites);
  braid_free(d.ranks);
  stages_destroy(&st);
  if (status != BRAID_OK)
    braid_plan_destroy(&d.best);
  else
    *out = d.best;
  return status;
}

const struct braid_policy policy_decc = {"decc", "branches pipelined over edge, link and cloud",
                                         "after Zhuang et al., IEEE TETC 13(2), 2024", decide};
