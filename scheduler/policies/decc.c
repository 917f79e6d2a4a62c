/* SPDX-License-Identifier: Apache-2.0
 * decc: branches pipelined over edge, link and cloud [after the abstract of DECC, Zhuang et al., IEEE TETC 13(2), 2024;
 * what goes beyond the abstract is our reconstruction: the recursion into forks inside branches, the shared entry, the
 * model of several workers, the search and its limits, and the period as objective].
 *
 * For every block between neighbouring joints (the whole network included when it has several inputs or outputs): all
 * before the block on the edge, all after it in the cloud, a partition point in each branch and an order of the
 * branches, so that one branch is computed on the edge while another is on the wire and a third runs in the cloud.
 * Blocks are searched in a model (decc.h); small ones of small networks are simulated through and through. Single cuts
 * (every prefix, the minimum cut, the two ends) compete as well, because a single cut pipelines too once it is sliced
 * or several tensors cross. The best candidates by the model are scored by the simulator, which decides. For throughput
 * the model's period is a lower bound of the simulator's, so that the first candidate that reaches its own is the best
 * of all. All limits are counts: equal input, equal plan. */
#include "decc.h"

#include <string.h>

#define CANDIDATES_MAX 64
#define PER_BLOCK 4             /* ways through a block that are handed on; ... */
#define PER_BLOCK_SLICED 24     /* ... more when nodes are sliced, which the model does not see, ... */
#define SLACK_SLICED 64         /* ... and not only the very best: 1024ths */
#define SIMULATED_MIN 4         /* candidates that are simulated whatever it costs (latency), ... */
#define EVENTS_MAX 16000        /* ... then more while fewer tasks than this have been simulated */
#define PERIOD_EVENTS_MAX 32000 /* likewise for throughput, where many frames are simulated */
#define ENUMERATE_MAX 3000      /* ways through a block that are all simulated, if ... */
#define ENUMERATE_EVENTS 20000  /* ... that takes no more tasks, all blocks together */

struct candidate {
  int64_t model_ns, serial_ns; /* equal by the model: what is faster by itself first */
  int number;                  /* of arrival: remaining ties are settled by it */
  uint8_t *site;
  int *rank;
};

struct decc {
  const struct stages *st;
  bool throughput;
  struct candidate candidate[CANDIDATES_MAX]; /* ascending by model */
  int n_candidates, n_offered;
  uint8_t *sites;
  int *ranks;
  uint8_t *site; /* scratch */
  int *rank;
  const struct decc_block *block; /* being searched */
  struct braid_plan *best;
  int64_t best_ns, tasks, events;
  int64_t enumerated; /* events */
  int64_t block_ns;   /* best of all blocks by the model */
};

/* ------------------------------------------------------------------------------------------------- scoring */

/* Equal values: the lower latency. */
static bool is_better(const struct decc *d, const struct braid_plan *plan, int64_t ns) {
  if (ns != d->best_ns || !d->best) return ns < d->best_ns;
  return plan->forecast.latency_ns < d->best->forecast.latency_ns;
}

static void keep_better(struct decc *d, struct braid_plan **plan, int64_t ns) {
  if (!is_better(d, *plan, ns)) return;
  struct braid_plan *worse = d->best;
  d->best = *plan;
  d->best_ns = ns;
  *plan = worse;
}

/* One frame alone tells whether the goal's ceiling is kept, before many are simulated. */
static enum braid_status is_late(struct decc *d, struct braid_plan *plan, bool *late) {
  struct braid_goal alone = *d->st->goal;
  int64_t ns = 0;
  *late = false;
  if (!d->throughput || alone.latency_max_ns <= 0) return BRAID_OK;
  alone.objective = BRAID_LATENCY;
  alone.window = 0;
  d->events += d->tasks;
  BRAID_TRY(forecast_run(plan, d->st->graph, d->st->costs, &alone, &ns));
  *late = ns > alone.latency_max_ns;
  return BRAID_OK;
}

static enum braid_status score(struct decc *d, struct braid_plan *plan, int64_t *ns) {
  const struct stages *st = d->st;
  bool late;
  *ns = COST_NEVER;
  BRAID_TRY(is_late(d, plan, &late));
  if (late) return BRAID_OK;
  BRAID_TRY(forecast_run(plan, st->graph, st->costs, st->goal, ns));
  d->events += d->tasks * (d->throughput ? 6 * plan->window + 9 : 1);
  return BRAID_OK;
}

static enum braid_status simulate_plan(struct decc *d, const uint8_t *site, const int *rank, bool serial) {
  struct braid_plan *plan = NULL;
  int64_t ns = 0;
  BRAID_TRY(stages_plan(d->st, "decc", site, serial, &plan));
  memcpy(plan->rank, rank, (size_t)d->st->n * sizeof *rank);
  enum braid_status status = score(d, plan, &ns);
  if (status == BRAID_OK) keep_better(d, &plan, ns);
  braid_plan_destroy(&plan);
  return status;
}

/* ------------------------------------------------------------------------------------------------ candidates */

static bool comes_before(const struct candidate *a, const struct candidate *b) {
  if (a->model_ns != b->model_ns) return a->model_ns < b->model_ns;
  if (a->serial_ns != b->serial_ns) return a->serial_ns < b->serial_ns;
  return a->number < b->number;
}

static bool known(const struct decc *d, const struct candidate *c) {
  size_t n = (size_t)d->st->n;
  for (int i = 0; i < d->n_candidates; i++) {
    const struct candidate *k = &d->candidate[i];
    if (k->model_ns == c->model_ns && memcmp(k->site, c->site, n) == 0 &&
        memcmp(k->rank, c->rank, n * sizeof *c->rank) == 0)
      return true;
  }
  return false;
}

/* Keeps the best CANDIDATES_MAX in order; an evicted one lends its memory to the new one. */
static void insert(struct decc *d, struct candidate c) {
  size_t n = (size_t)d->st->n;
  const uint8_t *site = c.site;
  const int *rank = c.rank;
  struct candidate *last = &d->candidate[CANDIDATES_MAX - 1];
  if (d->n_candidates == CANDIDATES_MAX && !comes_before(&c, last)) return;
  if (known(d, &c)) return;
  if (d->n_candidates < CANDIDATES_MAX) {
    c.site = d->sites + n * (size_t)d->n_candidates;
    c.rank = d->ranks + n * (size_t)d->n_candidates;
    d->n_candidates++;
  } else {
    c.site = last->site;
    c.rank = last->rank;
  }
  memcpy(c.site, site, n);
  memcpy(c.rank, rank, n * sizeof *rank);
  int at = d->n_candidates - 1;
  for (; at > 0 && comes_before(&c, &d->candidate[at - 1]); at--) d->candidate[at] = d->candidate[at - 1];
  d->candidate[at] = c;
}

/* What slices may make of it: stages overlap until little more than the longest is left. */
static int64_t sliced_ns(const struct decc *d, int64_t ns, int64_t busiest_ns) {
  int slices = d->st->goal->slices > 1 ? d->st->goal->slices : 1;
  return ns <= busiest_ns ? ns : busiest_ns + (ns - busiest_ns) / slices;
}

/* d->site and d->rank, which take `ns` by the model of latency. */
static void offer(struct decc *d, int64_t ns, const struct stage_sums *sums) {
  int64_t serial_ns = stages_latency_ns(d->st, sums), busiest_ns = stages_period_ns(d->st, sums);
  if (serial_ns >= COST_NEVER) return;
  int64_t model_ns = d->throughput ? busiest_ns : sliced_ns(d, ns, busiest_ns);
  insert(d, (struct candidate){model_ns, serial_ns, d->n_offered++, d->site, d->rank});
}

static void offer_cut(struct decc *d, const struct stage_sums *sums) {
  for (int v = 0; v < d->st->n; v++) d->rank[v] = v;
  offer(d, stages_latency_ns(d->st, sums), sums);
}

static enum braid_status offer_way(void *ctx, const struct decc_way *way, int64_t ns) {
  struct decc *d = ctx;
  struct stage_sums sums;
  if (ns < d->block_ns) d->block_ns = ns;
  decc_apply(d->block, way, d->site, d->rank);
  stages_sum(d->st, d->site, &sums);
  offer(d, ns, &sums);
  return BRAID_OK;
}

/* d->site as a single cut, as a pipeline and (if so asked) as the literature runs it. */
static enum braid_status simulate_cut(struct decc *d, bool serial_too) {
  struct stage_sums sums;
  stages_sum(d->st, d->site, &sums);
  if (stages_latency_ns(d->st, &sums) >= COST_NEVER) return BRAID_OK;
  for (int v = 0; v < d->st->n; v++) d->rank[v] = v;
  BRAID_TRY(simulate_plan(d, d->site, d->rank, false));
  return serial_too ? simulate_plan(d, d->site, d->rank, true) : BRAID_OK;
}

static enum braid_status simulate_way(void *ctx, const struct decc_way *way, int64_t ns) {
  struct decc *d = ctx;
  struct stage_sums sums;
  (void)ns;
  decc_apply(d->block, way, d->site, d->rank);
  stages_sum(d->st, d->site, &sums);
  if (stages_latency_ns(d->st, &sums) >= COST_NEVER) return BRAID_OK;
  return simulate_plan(d, d->site, d->rank, false);
}

/* ------------------------------------------------------------------------------------------------- blocks */

/* Few enough to be simulated one and all? Books them. */
static bool book_enumeration(struct decc *d, const struct decc_block *block) {
  int64_t ways = decc_count(block, ENUMERATE_MAX + 1);
  if (d->throughput || ways > ENUMERATE_MAX || d->enumerated + ways * d->tasks > ENUMERATE_EVENTS) return false;
  d->enumerated += ways * d->tasks;
  return true;
}

/* What a block must promise to beat. With slices a cut's model is a guess, which rules nothing out. */
static int64_t to_beat_ns(const struct decc *d, const struct decc_net *net) {
  bool known = d->n_candidates > 0 && net->throughput == d->throughput && (d->throughput || d->st->goal->slices <= 1);
  int64_t ns = known ? d->candidate[0].model_ns : COST_NEVER;
  return ns < d->block_ns ? ns : d->block_ns;
}

static enum braid_status try_block(struct decc *d, struct decc_net *net, const struct braid_block *at) {
  struct decc_block *block = NULL;
  net->cutoff_ns = to_beat_ns(d, net);
  if (decc_block_bound_ns(net, at) >= net->cutoff_ns) return BRAID_OK;
  enum braid_status status = decc_block_create(net, at, &block);
  if (status == BRAID_ENOTFOUND) return BRAID_OK; /* the goal forbids to cut here */
  BRAID_TRY(status);
  d->block = block;
  if (book_enumeration(d, block)) status = decc_enumerate(block, simulate_way, d);
  if (status == BRAID_OK)
    status = decc_search(block, net->slack > 0 ? PER_BLOCK_SLICED : PER_BLOCK, offer_way, d, NULL);
  decc_block_destroy(&block);
  return status;
}

static enum braid_status try_blocks(struct decc *d, enum braid_objective objective) {
  int n = 0;
  struct decc_net *net = NULL;
  const struct braid_block *blocks = braid_graph_blocks(d->st->graph, &n);
  enum braid_status status = decc_net_create(d->st, objective, &decc_usual, &net);
  d->block_ns = COST_NEVER;
  if (status == BRAID_OK && objective == BRAID_LATENCY && d->st->goal->slices > 1) net->slack = SLACK_SLICED;
  for (int i = 0; i < n && status == BRAID_OK; i++) status = try_block(d, net, &blocks[i]);
  decc_net_destroy(&net);
  return status;
}

/* ---------------------------------------------------------------------------------------------- single cuts */

/* Sums of a prefix, kept up to date as one more node moves to the edge. */
static void move_to_edge(const struct stages *st, int v, uint8_t *site, struct stage_sums *sums, int *forbidden) {
  const struct braid_node *node = braid_graph_node(st->graph, v);
  for (int k = 0; k < node->n_in; k++) {
    int u = node->in[k];
    if (!braid_is_node(u) || !site_crosses_up(st->graph, site, u, st->goal->deliver)) continue;
    site[v] = BRAID_EDGE;
    bool crosses = site_crosses_up(st->graph, site, u, st->goal->deliver);
    site[v] = BRAID_CLOUD;
    bool again = false;
    for (int j = 0; j < k; j++) again |= node->in[j] == u;
    if (crosses || again) continue;
    if (st->up[u] == COST_NEVER)
      --*forbidden;
    else
      sums->up -= st->up[u];
  }
  if (site_crosses_down(st->graph, site, v, st->goal->deliver)) sums->down -= st->down[v];
  site[v] = BRAID_EDGE;
  for (int s = 0; s < 2; s++) {
    int sign = s == BRAID_EDGE ? 1 : -1;
    sums->work[s] += sign * st->work[s][v];
    sums->time[s] += sign * st->time[s][v];
  }
  sums->memory += st->memory[v];
  *forbidden += st->away[v] - st->pinned[v];
  if (!site_crosses_up(st->graph, site, v, st->goal->deliver)) return;
  if (st->up[v] == COST_NEVER)
    ++*forbidden;
  else
    sums->up += st->up[v];
}

static void start_prefixes(const struct stages *st, uint8_t *site, struct stage_sums *sums, int *forbidden) {
  for (int v = 0; v < st->n; v++)
    site[v] = braid_graph_node(st->graph, v)->op == BRAID_OP_INPUT ? BRAID_EDGE : BRAID_CLOUD;
  stages_sum(st, site, sums);
  *forbidden = 0;
  for (int v = 0; v < st->n; v++) {
    *forbidden += site[v] == BRAID_CLOUD ? st->pinned[v] : st->away[v];
    *forbidden += site_crosses_up(st->graph, site, v, st->goal->deliver) && st->up[v] == COST_NEVER;
  }
}

/* Every prefix; the best of them by the serial formula is simulated at once. */
static enum braid_status offer_prefixes(struct decc *d) {
  const struct stages *st = d->st;
  struct stage_sums sums, best = {0};
  int forbidden = 0, length = -1;
  start_prefixes(st, d->site, &sums, &forbidden);
  for (int v = -1; v < st->n; v++) {
    if (v >= 0 && d->site[v] == BRAID_EDGE) continue;
    if (v >= 0) move_to_edge(st, v, d->site, &sums, &forbidden);
    sums.crosses_up = sums.up > 0;
    sums.crosses_down = sums.down > 0;
    sums.allowed = forbidden == 0;
    offer_cut(d, &sums);
    if (stages_latency_ns(st, &sums) >= COST_NEVER) continue;
    if (length >= 0 && stages_latency_ns(st, &sums) >= stages_latency_ns(st, &best)) continue;
    best = sums;
    length = v + 1;
  }
  if (length < 0 || d->throughput) return BRAID_OK;
  start_prefixes(st, d->site, &sums, &forbidden);
  for (int v = 0; v < length; v++) d->site[v] = BRAID_EDGE;
  return simulate_cut(d, true);
}

static enum braid_status simulate_ends(struct decc *d) {
  struct stage_sums sums;
  int forbidden;
  start_prefixes(d->st, d->site, &sums, &forbidden);
  BRAID_TRY(simulate_cut(d, false));
  memset(d->site, BRAID_EDGE, (size_t)d->st->n);
  return simulate_cut(d, false);
}

static enum braid_status simulate_minimum(struct decc *d) {
  enum braid_status status = dads_cut(d->st, d->site);
  if (status == BRAID_ENOTFOUND) return BRAID_OK;
  BRAID_TRY(status);
  return simulate_cut(d, true);
}

/* --------------------------------------------------------------------------------------------- the policy */

/* Not simulated: by the model. */
static enum braid_status keep_unseen(struct decc *d, const struct candidate *c) {
  BRAID_TRY(stages_plan(d->st, "decc", c->site, false, &d->best));
  memcpy(d->best->rank, c->rank, (size_t)d->st->n * sizeof *c->rank);
  d->best_ns = c->model_ns;
  return BRAID_OK;
}

/* Ascending periods by the model, which no plan can beat: done when the best so far does not take longer. Where even
 * one simulation is too much, the model's choice it is. */
static enum braid_status simulate_periods(struct decc *d) {
  bool ceiling = d->st->goal->latency_max_ns > 0;
  for (int i = 0; i < d->n_candidates; i++) {
    const struct candidate *c = &d->candidate[i];
    if (c->model_ns >= d->best_ns) break;
    if (i == 0 && !ceiling && d->tasks * 27 > PERIOD_EVENTS_MAX) return keep_unseen(d, c);
    if (d->best && d->events > PERIOD_EVENTS_MAX) break;
    BRAID_TRY(simulate_plan(d, c->site, c->rank, false));
  }
  return BRAID_OK;
}

static enum braid_status simulate_latencies(struct decc *d) {
  for (int i = 0; i < d->n_candidates; i++) {
    if (i >= SIMULATED_MIN && d->events > EVENTS_MAX) break;
    const struct candidate *c = &d->candidate[i];
    BRAID_TRY(simulate_plan(d, c->site, c->rank, false));
  }
  return BRAID_OK;
}

static enum braid_status run(struct decc *d) {
  if (!d->throughput) { /* there a minimum cut is a weighted search that takes longer than all else */
    BRAID_TRY(simulate_ends(d));
    BRAID_TRY(simulate_minimum(d));
  }
  BRAID_TRY(offer_prefixes(d));
  BRAID_TRY(try_blocks(d, d->st->goal->objective));
  if (d->throughput && d->st->goal->latency_max_ns > 0) BRAID_TRY(try_blocks(d, BRAID_LATENCY));
  d->events = 0;
  if (d->n_candidates == 0 && d->throughput) BRAID_TRY(simulate_minimum(d)); /* pins that neither suits */
  BRAID_TRY(d->throughput ? simulate_periods(d) : simulate_latencies(d));
  if (d->best) return BRAID_OK;
  return braid_fail(
      BRAID_ENOTFOUND,
      "no plan found that fits the edge's memory, keeps private tensors there and pinned nodes where they "
      "belong%s",
      stages_ceiling_text(d->st));
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
  struct decc d = {.best_ns = COST_NEVER, .throughput = goal->objective == BRAID_THROUGHPUT};
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
