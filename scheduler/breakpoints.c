/* SPDX-License-Identifier: Apache-2.0
 * The table of the optimal cuts over the uplink's rate, and over the cloud's load besides: made of the envelopes at one
 * load or several (envelope.c), asked for the best cut, and turned into plans. */
#include "envelope.h"

#include <math.h>
#include <string.h>

/* ------------------------------------------------------------------------------------------ what is asked for */

static enum braid_status check_goal(const struct braid_goal *goal) {
  if (goal->objective != BRAID_LATENCY)
    return braid_fail(BRAID_EINVAL,
                      "breakpoints are of the latency: the best period is no linear function of the rate");
  if (goal->edge_memory > 0)
    return braid_fail(BRAID_EUNSUPPORTED, "a limit on the edge's memory makes every cut a knapsack: there is no exact "
                                          "table, use a policy");
  return BRAID_OK;
}

/* Stages at which the uplink costs what does not depend on its rate. `costs` is the caller's copy. */
static enum braid_status rateless(const struct braid_graph *graph, struct braid_costs *costs,
                                  const struct braid_goal *goal, struct stages **out) {
  BRAID_TRY(check_goal(goal));
  BRAID_TRY(costs_check(costs, graph));
  costs->up.bits_per_s = (double)INFINITY;
  struct stages *st = NULL;
  BRAID_TRY(stages_create(graph, costs, goal, &st));
  enum braid_status status = stages_check_closed(st);
  if (status != BRAID_OK)
    stages_destroy(&st);
  else
    *out = st;
  return status;
}

/* --------------------------------------------------------------------------------------------- the table */

static double load_of(const struct braid_costs *costs) {
  return costs->cloud_load > 0 ? costs->cloud_load : 1;
}

/* The part of the line that grows with the cloud's load, and the rest, such that both are exact at the load of `st`. */
static void split_load(const struct stages *st, const uint8_t *site, int64_t ns, struct braid_cut *cut) {
  struct braid_costs idle = *st->costs;
  int64_t work = 0, time = 0, cloud = 0;
  idle.cloud_load = 1;
  for (int v = 0; v < st->n; v++) {
    work += st->work[BRAID_CLOUD][v];
    time += st->time[BRAID_CLOUD][v];
    if (site[v] == BRAID_CLOUD) cloud += cost_node_ns(&idle, BRAID_CLOUD, v);
  }
  cut->cloud_ns = work > 0 ? llround((double)cloud * ((double)time / (double)work)) : 0;
  cut->fixed_ns = ns - llround((double)cut->cloud_ns * load_of(st->costs));
  if (cut->fixed_ns < 0) cut->fixed_ns = 0; /* nodes were rounded one by one */
}

static bool is_known(const struct braid_breakpoints *bp, const uint8_t *site) {
  for (int i = 0; i < bp->n_cuts; i++)
    if (memcmp(bp->cut[i].site, site, (size_t)bp->n_nodes) == 0) return true;
  return false;
}

/* Room for `more` cuts. */
static enum braid_status grow(struct braid_breakpoints *bp, int more) {
  struct braid_cut *cut = braid_calloc((size_t)(bp->n_cuts + more), sizeof *cut);
  if (!cut) return braid_fail(BRAID_ENOMEM, "%d cuts", bp->n_cuts + more);
  if (bp->n_cuts > 0) memcpy(cut, bp->cut, (size_t)bp->n_cuts * sizeof *cut);
  braid_free(bp->cut);
  bp->cut = cut;
  return BRAID_OK;
}

static enum braid_status add_cut(struct braid_breakpoints *bp, const struct envelope *e, const struct cut_line *line) {
  struct braid_cut *cut = &bp->cut[bp->n_cuts];
  cut->site = braid_malloc((size_t)bp->n_nodes);
  if (!cut->site) return braid_fail(BRAID_ENOMEM, "a cut of %d nodes", bp->n_nodes);
  memcpy(cut->site, envelope_site(e, line), (size_t)bp->n_nodes);
  cut->up_bytes = (size_t)line->bytes;
  split_load(e->st, cut->site, line->ns, cut);
  bp->n_cuts++;
  return BRAID_OK;
}

static int64_t at_rate(const struct cut_line *line, double bits_per_s) {
  if (line->bytes == 0) return line->ns;
  double ns = (double)line->ns + 8e9 * (double)line->bytes / bits_per_s;
  return ns < (double)INT64_MAX ? (int64_t)ns : INT64_MAX;
}

static enum braid_status fill_ranges(struct braid_breakpoints *bp, const struct envelope *e, int n) {
  bp->range = braid_calloc((size_t)n, sizeof *bp->range);
  if (!bp->range) return braid_fail(BRAID_ENOMEM, "%d ranges", n);
  BRAID_TRY(grow(bp, n));
  for (int i = 0; i < n; i++) {
    const struct cut_line *line = &e->line[i], *faster = line + 1;
    struct braid_breakpoint_range *r = &bp->range[i];
    BRAID_TRY(add_cut(bp, e, line));
    r->cut = i;
    r->from_bits_per_s = i > 0 ? r[-1].to_bits_per_s : 0;
    r->to_bits_per_s =
        i + 1 < n ? 8e9 * (double)(faster->bytes - line->bytes) / (double)(line->ns - faster->ns) : (double)INFINITY;
    r->latency_from_ns = at_rate(line, r->from_bits_per_s);
    r->latency_to_ns = at_rate(line, r->to_bits_per_s);
  }
  bp->n_ranges = n;
  return BRAID_OK;
}

enum braid_status braid_breakpoints_build(const struct braid_graph *graph, const struct braid_costs *costs,
                                          const struct braid_goal *goal, struct braid_breakpoints **out) {
  struct braid_costs rate_free = *costs;
  struct stages *st = NULL;
  struct envelope e = {0};
  int n = 0;
  BRAID_TRY(rateless(graph, &rate_free, goal, &st));
  struct braid_breakpoints *bp = braid_calloc(1, sizeof *bp);
  enum braid_status status = bp ? envelope_open(&e, st) : braid_fail(BRAID_ENOMEM, "breakpoints");
  if (status == BRAID_OK) status = envelope_find(&e, &n);
  if (status == BRAID_OK) {
    bp->n_nodes = st->n;
    bp->load = load_of(costs);
    bp->premise_holds = envelope_premise_holds(st);
    bp->n_built = e.n_built;
    status = fill_ranges(bp, &e, n);
  }
  envelope_close(&e);
  stages_destroy(&st);
  if (status != BRAID_OK)
    braid_breakpoints_destroy(&bp);
  else
    *out = bp;
  return status;
}

void braid_breakpoints_destroy(struct braid_breakpoints **breakpoints) {
  if (!breakpoints || !*breakpoints) return;
  struct braid_breakpoints *bp = *breakpoints;
  for (int i = 0; i < bp->n_cuts; i++) braid_free(bp->cut[i].site);
  braid_free(bp->cut);
  braid_free(bp->range);
  braid_free(bp);
  *breakpoints = NULL;
}

int braid_breakpoints_find(const struct braid_breakpoints *bp, double bits_per_s) {
  int low = 0, high = bp->n_ranges;
  while (high - low > 1) {
    int middle = low + (high - low) / 2;
    if (bp->range[middle].from_bits_per_s <= bits_per_s)
      low = middle;
    else
      high = middle;
  }
  return low;
}

/* ---------------------------------------------------------------------------------------- the second axis */

static bool is_dominated(const struct braid_breakpoints *bp, int which) {
  const struct braid_cut *a = &bp->cut[which];
  for (int i = 0; i < bp->n_cuts; i++) {
    const struct braid_cut *c = &bp->cut[i];
    if (i == which || c->fixed_ns > a->fixed_ns || c->cloud_ns > a->cloud_ns || c->up_bytes > a->up_bytes) continue;
    bool equal = c->fixed_ns == a->fixed_ns && c->cloud_ns == a->cloud_ns && c->up_bytes == a->up_bytes;
    if (!equal || i < which) return true;
  }
  return false;
}

/* Cuts of the ranges come first and stay. */
static void drop_dominated(struct braid_breakpoints *bp) {
  for (int i = bp->n_ranges; i < bp->n_cuts;) {
    if (!is_dominated(bp, i)) {
      i++;
      continue;
    }
    braid_free(bp->cut[i].site);
    bp->cut[i] = bp->cut[--bp->n_cuts];
  }
}

enum braid_status braid_breakpoints_add_load(struct braid_breakpoints *bp, const struct braid_graph *graph,
                                             const struct braid_costs *costs, const struct braid_goal *goal,
                                             double load) {
  struct braid_costs loaded = *costs;
  struct stages *st = NULL;
  struct envelope e = {0};
  int n = 0;
  loaded.cloud_load = load;
  BRAID_TRY(rateless(graph, &loaded, goal, &st));
  enum braid_status status = bp->n_nodes == st->n ? envelope_open(&e, st)
                                                  : braid_fail(BRAID_EMISMATCH, "the table is for %d nodes, %s has %d",
                                                               bp->n_nodes, braid_graph_name(graph), st->n);
  if (status == BRAID_OK) status = envelope_find(&e, &n);
  if (status == BRAID_OK) status = grow(bp, n);
  for (int i = 0; i < n && status == BRAID_OK; i++)
    if (!is_known(bp, envelope_site(&e, &e.line[i]))) status = add_cut(bp, &e, &e.line[i]);
  drop_dominated(bp);
  envelope_close(&e);
  stages_destroy(&st);
  return status;
}

double braid_cut_ns(const struct braid_cut *cut, double bits_per_s, double load) {
  double link = cut->up_bytes > 0 ? 8e9 * (double)cut->up_bytes / bits_per_s : 0;
  return (double)cut->fixed_ns + load * (double)cut->cloud_ns + link;
}

int braid_breakpoints_find_loaded(const struct braid_breakpoints *bp, double bits_per_s, double load) {
  int best = 0;
  double least = (double)INFINITY;
  for (int i = 0; i < bp->n_cuts; i++) {
    double ns = braid_cut_ns(&bp->cut[i], bits_per_s, load);
    if (ns >= least) continue;
    least = ns;
    best = i;
  }
  return best;
}

enum braid_status braid_breakpoints_plan(const struct braid_breakpoints *bp, int cut, const struct braid_graph *graph,
                                         const struct braid_goal *goal, struct braid_plan **out) {
  struct braid_plan *plan = NULL;
  if (bp->n_nodes != braid_graph_size(graph) || cut < 0 || cut >= bp->n_cuts)
    return braid_fail(BRAID_EMISMATCH, "cut %d of a table of %d cuts for %d nodes, on %s with %d", cut, bp->n_cuts,
                      bp->n_nodes, braid_graph_name(graph), braid_graph_size(graph));
  BRAID_TRY(braid_plan_create(graph, "breakpoints", &plan));
  plan->serial = true;
  plan->objective = goal->objective;
  plan->deliver = goal->deliver;
  memcpy(plan->site, bp->cut[cut].site, (size_t)plan->n_nodes);
  plan_set_slices(plan, graph, goal->slices);
  *out = plan;
  return BRAID_OK;
}
