/* SPDX-License-Identifier: Apache-2.0
 * The parametric cut: which closed set is best at every rate of the uplink.
 *
 * With lambda = 8e9 / rate (ns a byte) each set S is a line A(S) + lambda * bytes(S), where A holds everything that the
 * rate does not change: edge, cloud and downlink times, delays, the cost per message. The optimum is their lower
 * envelope, concave and piecewise linear. It is found by recursion: where the lines of two optimal sets meet, a minimum
 * cut either finds a set below (and both halves go on) or proves that nothing lies between: 2k - 1 cuts for k
 * breakpoints [Eisner & Severance, J. ACM 1976]. Meeting points are ratios of integers, so the capacities (numerator *
 * bytes + denominator * ns) are exact as long as they fit; else the ratio is rounded in its 5th digit or later.
 *
 * Premise: the cloud is nowhere slower than the edge. Then (with no cost per message, which is no multiple of the
 * bytes) dividing by lambda makes this a monotone parametric cut [Gallo, Grigoriadis, Tarjan, SIAM J. Comput. 1989]:
 * the optimal sets are nested, so there are at most n - 1 breakpoints, and each cut only has to look at the nodes in
 * which its two neighbours differ (region.c), which is what makes building fast.
 *
 * "Everything on the edge" pays neither delays nor downlink, all other sets pay the same delays (and the same downlink,
 * when there is one result), which no cut can express. Cuts leave them out: among the other sets that changes nothing,
 * and where a cut without them prefers the edge, so does the optimum. Lines have them in. */
#include "region.h"

#include <math.h>
#include <string.h>

__extension__ typedef __int128 wide;

#define END (-1)
#define LAMBDA_MAX 8000000 /* ns a byte: 1 kbit/s, the slowest rate looked at where "all on the edge" is forbidden */

struct builder {
  const struct stages *st;
  struct region *region;
  int64_t *edge, *cloud, *up, *down; /* scaled for one cut */
  int64_t *bytes;                    /* of tensors */
  int *free_node;
  bool nested, one_result;
  int64_t total_ns, total_bytes;
  struct cut_line *line; /* `set` is the index in `site` */
  int *next;             /* [capacity] by ascending bytes; END */
  uint8_t *site;         /* [capacity][n] */
  int n_lines, capacity, n_built;
};
struct gap { /* between two lines, by index: fewer bytes first */
  int slow, fast;
};

/* -------------------------------------------------------------------------------------------------- lines */

static uint8_t *site_of(const struct builder *b, int line) {
  return b->site + (size_t)line * (size_t)b->st->n;
}

static enum braid_status reserve(struct builder *b) {
  if (b->n_lines < b->capacity) return BRAID_OK;
  int capacity = 2 * b->capacity + 8;
  size_t line_bytes = (size_t)capacity * sizeof *b->line, site_bytes = (size_t)capacity * (size_t)b->st->n;
  struct cut_line *line = braid_malloc(line_bytes);
  uint8_t *site = braid_malloc(site_bytes);
  int *next = braid_malloc((size_t)capacity * sizeof *next);
  if (!line || !site || !next || capacity > BRAID_BREAKPOINTS_MAX) {
    braid_free(line);
    braid_free(site);
    braid_free(next);
    if (capacity > BRAID_BREAKPOINTS_MAX)
      return braid_fail(BRAID_EUNSUPPORTED, "more than %d breakpoints", BRAID_BREAKPOINTS_MAX / 2);
    return braid_fail(BRAID_ENOMEM, "%d breakpoints of %d nodes", capacity, b->st->n);
  }
  if (b->n_lines > 0) {
    memcpy(line, b->line, (size_t)b->n_lines * sizeof *line);
    memcpy(next, b->next, (size_t)b->n_lines * sizeof *next);
    memcpy(site, b->site, (size_t)b->n_lines * (size_t)b->st->n);
  }
  braid_free(b->line);
  braid_free(b->site);
  braid_free(b->next);
  b->line = line;
  b->site = site;
  b->next = next;
  b->capacity = capacity;
  return BRAID_OK;
}

/* The line of the set in the next free place. */
static struct cut_line line_of(const struct builder *b) {
  const uint8_t *site = site_of(b, b->n_lines);
  const struct braid_costs *costs = b->st->costs;
  struct stage_sums sums;
  struct cut_line line = {.set = b->n_lines};
  stages_sum(b->st, site, &sums);
  line.ns = sums.time[BRAID_EDGE] + sums.time[BRAID_CLOUD] + sums.up + sums.down;
  line.ns += (sums.crosses_up ? costs->up.delay_ns : 0) + (sums.crosses_down ? costs->down.delay_ns : 0);
  for (int v = 0; v < b->st->n; v++)
    if (site_crosses_up(b->st->graph, site, v)) line.bytes += b->bytes[v];
  return line;
}

/* --------------------------------------------------------------------------------------------------- cuts */

static int64_t greatest_divisor(int64_t a, int64_t b) {
  while (b > 0) {
    int64_t rest = a % b;
    a = b;
    b = rest;
  }
  return a > 0 ? a : 1;
}

/* Numerator and denominator of lambda such that all capacities together fit. */
static void scale(const struct builder *b, int64_t *ns, int64_t *bytes) {
  int64_t divisor = greatest_divisor(*ns, *bytes);
  *ns /= divisor;
  *bytes /= divisor;
  double sum = (double)*bytes * (double)b->total_ns + (double)*ns * (double)b->total_bytes;
  double fits = (double)(COST_NEVER / 8) / (sum + 1);
  if (fits >= 1) return;
  *ns = (int64_t)((double)*ns * fits);
  *bytes = (int64_t)((double)*bytes * fits);
  if (*bytes == 0) *bytes = 1;
}

static void weigh(struct builder *b, int64_t ns, int64_t bytes) {
  const struct stages *st = b->st;
  for (int v = 0; v < st->n; v++) {
    b->edge[v] = bytes * st->time[BRAID_EDGE][v];
    b->cloud[v] = bytes * st->time[BRAID_CLOUD][v];
    b->down[v] = b->one_result ? 0 : bytes * st->down[v];
    b->up[v] = st->up[v] == COST_NEVER ? COST_NEVER : bytes * st->up[v] + ns * b->bytes[v];
  }
}

/* The best set at lambda = ns / bytes becomes the next line, not counted yet. `between` may be NULL. */
static enum braid_status cut_at(struct builder *b, int64_t ns, int64_t bytes, const struct gap *between,
                                struct cut_line *line) {
  const struct stages *st = b->st;
  struct cut_costs costs = {b->edge, b->cloud, b->up, b->down, st->pinned, st->away};
  int n_free = 0;
  BRAID_TRY(reserve(b));
  uint8_t *site = site_of(b, b->n_lines);
  scale(b, &ns, &bytes);
  weigh(b, ns, bytes);
  for (int v = 0; v < st->n; v++) {
    bool same = between && b->nested && site_of(b, between->slow)[v] == site_of(b, between->fast)[v];
    site[v] = same ? site_of(b, between->slow)[v] : BRAID_EDGE;
    if (!same) b->free_node[n_free++] = v;
  }
  b->n_built++;
  BRAID_TRY(region_cut(b->region, &costs, b->free_node, n_free, site));
  *line = line_of(b);
  return BRAID_OK;
}

static void keep(struct builder *b, const struct cut_line *line) {
  b->line[b->n_lines++] = *line;
}

static bool is_below(const struct cut_line *line, const struct cut_line *other, int64_t ns, int64_t bytes) {
  return (wide)bytes * line->ns + (wide)ns * line->bytes < (wide)bytes * other->ns + (wide)ns * other->bytes;
}

/* ---------------------------------------------------------------------------------------------- recursion */

/* The best at an infinite rate, and at the slowest: all on the edge unless something is pinned to the cloud. */
static enum braid_status find_ends(struct builder *b) {
  struct cut_line line;
  BRAID_TRY(reserve(b));
  memset(site_of(b, 0), BRAID_EDGE, (size_t)b->st->n);
  if (stages_admit(b->st, site_of(b, 0)) == BRAID_OK)
    line = line_of(b);
  else
    BRAID_TRY(cut_at(b, LAMBDA_MAX, 1, NULL, &line));
  keep(b, &line);
  BRAID_TRY(cut_at(b, 0, 1, NULL, &line));
  keep(b, &line);
  return BRAID_OK;
}

static enum braid_status find_between(struct builder *b, struct gap gap, int *found) {
  const struct cut_line slow = b->line[gap.slow], fast = b->line[gap.fast];
  int64_t ns = slow.ns - fast.ns, bytes = fast.bytes - slow.bytes;
  struct cut_line line;
  *found = -1;
  if (ns <= 0 || bytes <= 0) return BRAID_OK; /* parallel, or one is below everywhere */
  BRAID_TRY(cut_at(b, ns, bytes, &gap, &line));
  if (!is_below(&line, &slow, ns, bytes)) return BRAID_OK;
  *found = b->n_lines;
  keep(b, &line);
  return BRAID_OK;
}

/* Line by line from the slowest rate on: `next` chains them by ascending bytes. */
static enum braid_status find_all(struct builder *b) {
  BRAID_TRY(find_ends(b));
  int at = 0;
  b->next[0] = 1;
  b->next[1] = END;
  while (b->next[at] != END) {
    int found;
    BRAID_TRY(find_between(b, (struct gap){at, b->next[at]}, &found));
    if (found < 0) {
      at = b->next[at];
    } else {
      b->next[found] = b->next[at];
      b->next[at] = found;
    }
  }
  return BRAID_OK;
}

/* ------------------------------------------------------------------------------------------- the builder */

/* Is every node at least as fast in the cloud? */
static bool premise_holds(const struct stages *st) {
  for (int v = 0; v < st->n; v++)
    if (st->time[BRAID_CLOUD][v] > st->time[BRAID_EDGE][v]) return false;
  return true;
}

/* Do optimal sets shrink as the rate grows? A node whose result must come down costs that, too. */
static bool is_nested(const struct builder *b) {
  const struct stages *st = b->st;
  if (st->costs->up.message_ns > 0 || !premise_holds(st)) return false;
  for (int v = 0; v < st->n && !b->one_result; v++)
    if (braid_graph_node(st->graph, v)->is_output && st->time[BRAID_CLOUD][v] + st->down[v] > st->time[BRAID_EDGE][v])
      return false;
  return true;
}

static void close_builder(struct builder *b) {
  void *parts[] = {b->edge, b->cloud, b->up, b->down, b->bytes, b->free_node, b->line, b->next, b->site};
  for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) braid_free(parts[i]);
  region_destroy(&b->region);
}

static enum braid_status open_builder(struct builder *b, const struct stages *st) {
  size_t n = (size_t)st->n;
  int n_outputs = 0;
  int64_t **arrays[] = {&b->edge, &b->cloud, &b->up, &b->down, &b->bytes};
  *b = (struct builder){.st = st};
  for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++)
    if (!(*arrays[i] = braid_malloc(n * sizeof **arrays[i])))
      return braid_fail(BRAID_ENOMEM, "breakpoints of %d nodes", st->n);
  b->free_node = braid_malloc(n * sizeof *b->free_node);
  if (!b->free_node) return braid_fail(BRAID_ENOMEM, "breakpoints of %d nodes", st->n);
  for (int v = 0; v < st->n; v++) {
    b->bytes[v] = (int64_t)cost_tensor_bytes(st->costs, st->graph, v);
    b->total_bytes += b->bytes[v];
    b->total_ns += st->time[BRAID_EDGE][v] + st->time[BRAID_CLOUD][v] + st->down[v];
    b->total_ns += st->up[v] == COST_NEVER ? 0 : st->up[v];
  }
  (void)braid_graph_outputs(st->graph, &n_outputs);
  b->one_result = n_outputs == 1;
  b->nested = is_nested(b);
  return region_create(st->graph, &b->region);
}

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

static enum braid_status add_cut(struct braid_breakpoints *bp, const struct builder *b, const struct cut_line *line) {
  struct braid_cut *cut = &bp->cut[bp->n_cuts];
  cut->site = braid_malloc((size_t)bp->n_nodes);
  if (!cut->site) return braid_fail(BRAID_ENOMEM, "a cut of %d nodes", bp->n_nodes);
  memcpy(cut->site, site_of(b, line->set), (size_t)bp->n_nodes);
  cut->up_bytes = (size_t)line->bytes;
  split_load(b->st, cut->site, line->ns, cut);
  bp->n_cuts++;
  return BRAID_OK;
}

/* All optimal sets at the load of the costs: b->line[0..*n) by ascending bytes. */
static enum braid_status find_hull(struct builder *b, int *n) {
  BRAID_TRY(find_all(b));
  *n = lower_hull(b->line, b->n_lines);
  return BRAID_OK;
}

static int64_t at_rate(const struct cut_line *line, double bits_per_s) {
  if (line->bytes == 0) return line->ns;
  double ns = (double)line->ns + 8e9 * (double)line->bytes / bits_per_s;
  return ns < (double)INT64_MAX ? (int64_t)ns : INT64_MAX;
}

static enum braid_status fill_ranges(struct braid_breakpoints *bp, const struct builder *b, int n) {
  bp->range = braid_calloc((size_t)n, sizeof *bp->range);
  if (!bp->range) return braid_fail(BRAID_ENOMEM, "%d ranges", n);
  BRAID_TRY(grow(bp, n));
  for (int i = 0; i < n; i++) {
    const struct cut_line *line = &b->line[i], *faster = line + 1;
    struct braid_breakpoint_range *r = &bp->range[i];
    BRAID_TRY(add_cut(bp, b, line));
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
  struct builder b = {0};
  int n = 0;
  BRAID_TRY(rateless(graph, &rate_free, goal, &st));
  struct braid_breakpoints *bp = braid_calloc(1, sizeof *bp);
  enum braid_status status = bp ? open_builder(&b, st) : braid_fail(BRAID_ENOMEM, "breakpoints");
  if (status == BRAID_OK) status = find_hull(&b, &n);
  if (status == BRAID_OK) {
    bp->n_nodes = st->n;
    bp->load = load_of(costs);
    bp->premise_holds = premise_holds(st);
    bp->n_built = b.n_built;
    status = fill_ranges(bp, &b, n);
  }
  close_builder(&b);
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
  struct builder b = {0};
  int n = 0;
  loaded.cloud_load = load;
  BRAID_TRY(rateless(graph, &loaded, goal, &st));
  enum braid_status status = bp->n_nodes == st->n ? open_builder(&b, st)
                                                  : braid_fail(BRAID_EMISMATCH, "the table is for %d nodes, %s has %d",
                                                               bp->n_nodes, braid_graph_name(graph), st->n);
  if (status == BRAID_OK) status = find_hull(&b, &n);
  if (status == BRAID_OK) status = grow(bp, n);
  for (int i = 0; i < n && status == BRAID_OK; i++)
    if (!is_known(bp, site_of(&b, b.line[i].set))) status = add_cut(bp, &b, &b.line[i]);
  drop_dominated(bp);
  close_builder(&b);
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
  memcpy(plan->site, bp->cut[cut].site, (size_t)plan->n_nodes);
  plan_set_slices(plan, graph, goal->slices);
  *out = plan;
  return BRAID_OK;
}
