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
 * "Everything on the edge" pays neither delays nor downlink, all other sets pay the same delays (and the same
 * downlink, when there is one result), which no cut can express. (Where results are wanted in the cloud, all sets pay
 * alike.) Cuts leave them out: among the other sets that changes nothing, and where a cut without them prefers the
 * edge, so does the optimum. Lines have them in. */
#include "envelope.h"

#include <string.h>

__extension__ typedef __int128 wide;

#define END (-1)
#define LAMBDA_MAX 8000000 /* ns a byte: 1 kbit/s, the slowest rate looked at where all sets send something */

struct gap { /* between two lines, by index: fewer bytes first */
  int slow, fast;
};

/* -------------------------------------------------------------------------------------------------- lines */

static uint8_t *site_of(const struct envelope *e, int line) {
  return e->site + (size_t)line * (size_t)e->st->n;
}

static enum braid_status reserve(struct envelope *e) {
  if (e->n_lines < e->capacity) return BRAID_OK;
  int capacity = 2 * e->capacity + 8;
  size_t line_bytes = (size_t)capacity * sizeof *e->line, site_bytes = (size_t)capacity * (size_t)e->st->n;
  struct cut_line *line = braid_malloc(line_bytes);
  uint8_t *site = braid_malloc(site_bytes);
  int *next = braid_malloc((size_t)capacity * sizeof *next);
  if (!line || !site || !next || capacity > BRAID_BREAKPOINTS_MAX) {
    braid_free(line);
    braid_free(site);
    braid_free(next);
    if (capacity > BRAID_BREAKPOINTS_MAX)
      return braid_fail(BRAID_EUNSUPPORTED, "more than %d breakpoints", BRAID_BREAKPOINTS_MAX / 2);
    return braid_fail(BRAID_ENOMEM, "%d breakpoints of %d nodes", capacity, e->st->n);
  }
  if (e->n_lines > 0) {
    memcpy(line, e->line, (size_t)e->n_lines * sizeof *line);
    memcpy(next, e->next, (size_t)e->n_lines * sizeof *next);
    memcpy(site, e->site, (size_t)e->n_lines * (size_t)e->st->n);
  }
  braid_free(e->line);
  braid_free(e->site);
  braid_free(e->next);
  e->line = line;
  e->site = site;
  e->next = next;
  e->capacity = capacity;
  return BRAID_OK;
}

/* The line of the set in the next free place. */
static struct cut_line line_of(const struct envelope *e) {
  const uint8_t *site = site_of(e, e->n_lines);
  const struct braid_costs *costs = e->st->costs;
  struct stage_sums sums;
  struct cut_line line = {.set = e->n_lines};
  stages_sum(e->st, site, &sums);
  line.ns = sums.time[BRAID_EDGE] + sums.time[BRAID_CLOUD] + sums.up + sums.down;
  line.ns += (sums.crosses_up ? costs->up.delay_ns : 0) + (sums.crosses_down ? costs->down.delay_ns : 0);
  for (int v = 0; v < e->st->n; v++)
    if (site_crosses_up(e->st->graph, site, v, e->st->goal->deliver)) line.bytes += e->bytes[v];
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
static void scale(const struct envelope *e, int64_t *ns, int64_t *bytes) {
  int64_t divisor = greatest_divisor(*ns, *bytes);
  *ns /= divisor;
  *bytes /= divisor;
  double sum = (double)*bytes * (double)e->total_ns + (double)*ns * (double)e->total_bytes;
  double fits = (double)(COST_NEVER / 8) / (sum + 1);
  if (fits >= 1) return;
  *ns = (int64_t)((double)*ns * fits);
  *bytes = (int64_t)((double)*bytes * fits);
  if (*bytes == 0) *bytes = 1;
}

static void weigh(struct envelope *e, int64_t ns, int64_t bytes) {
  const struct stages *st = e->st;
  for (int v = 0; v < st->n; v++) {
    e->edge[v] = bytes * st->time[BRAID_EDGE][v];
    e->cloud[v] = bytes * st->time[BRAID_CLOUD][v];
    e->down[v] = e->one_result ? 0 : bytes * st->down[v];
    e->up[v] = st->up[v] == COST_NEVER ? COST_NEVER : bytes * st->up[v] + ns * e->bytes[v];
  }
}

/* The best set at lambda = ns / bytes becomes the next line, not counted yet. `between` may be NULL. */
static enum braid_status cut_at(struct envelope *e, int64_t ns, int64_t bytes, const struct gap *between,
                                struct cut_line *line) {
  const struct stages *st = e->st;
  struct cut_costs costs = {e->edge, e->cloud, e->up, e->down, st->pinned, st->away, st->goal->deliver};
  int n_free = 0;
  BRAID_TRY(reserve(e));
  uint8_t *site = site_of(e, e->n_lines);
  scale(e, &ns, &bytes);
  weigh(e, ns, bytes);
  for (int v = 0; v < st->n; v++) {
    bool same = between && e->nested && site_of(e, between->slow)[v] == site_of(e, between->fast)[v];
    site[v] = same ? site_of(e, between->slow)[v] : BRAID_EDGE;
    if (!same) e->free_node[n_free++] = v;
  }
  e->n_built++;
  BRAID_TRY(region_cut(e->region, &costs, e->free_node, n_free, site));
  *line = line_of(e);
  return BRAID_OK;
}

static void keep(struct envelope *e, const struct cut_line *line) {
  e->line[e->n_lines++] = *line;
}

static bool is_below(const struct cut_line *line, const struct cut_line *other, int64_t ns, int64_t bytes) {
  return (wide)bytes * line->ns + (wide)ns * line->bytes < (wide)bytes * other->ns + (wide)ns * other->bytes;
}

/* ---------------------------------------------------------------------------------------------- recursion */

/* The best at an infinite rate, and at the slowest: all on the edge, which then sends nothing, unless something is
 * pinned to the cloud or the results are wanted there. */
static enum braid_status find_ends(struct envelope *e) {
  struct cut_line line;
  BRAID_TRY(reserve(e));
  memset(site_of(e, 0), BRAID_EDGE, (size_t)e->st->n);
  if (e->st->goal->deliver == BRAID_EDGE && stages_admit(e->st, site_of(e, 0)) == BRAID_OK)
    line = line_of(e);
  else
    BRAID_TRY(cut_at(e, LAMBDA_MAX, 1, NULL, &line));
  keep(e, &line);
  BRAID_TRY(cut_at(e, 0, 1, NULL, &line));
  keep(e, &line);
  return BRAID_OK;
}

static enum braid_status find_between(struct envelope *e, struct gap gap, int *found) {
  const struct cut_line slow = e->line[gap.slow], fast = e->line[gap.fast];
  int64_t ns = slow.ns - fast.ns, bytes = fast.bytes - slow.bytes;
  struct cut_line line;
  *found = -1;
  if (ns <= 0 || bytes <= 0) return BRAID_OK; /* parallel, or one is below everywhere */
  BRAID_TRY(cut_at(e, ns, bytes, &gap, &line));
  if (!is_below(&line, &slow, ns, bytes)) return BRAID_OK;
  *found = e->n_lines;
  keep(e, &line);
  return BRAID_OK;
}

/* Line by line from the slowest rate on: `next` chains them by ascending bytes. */
static enum braid_status find_all(struct envelope *e) {
  BRAID_TRY(find_ends(e));
  int at = 0;
  e->next[0] = 1;
  e->next[1] = END;
  while (e->next[at] != END) {
    int found;
    BRAID_TRY(find_between(e, (struct gap){at, e->next[at]}, &found));
    if (found < 0) {
      at = e->next[at];
    } else {
      e->next[found] = e->next[at];
      e->next[at] = found;
    }
  }
  return BRAID_OK;
}

enum braid_status envelope_find(struct envelope *e, int *n) {
  BRAID_TRY(find_all(e));
  *n = lower_hull(e->line, e->n_lines);
  return BRAID_OK;
}

const uint8_t *envelope_site(const struct envelope *e, const struct cut_line *line) {
  return site_of(e, line->set);
}

/* --------------------------------------------------------------------------------------- open and close */

bool envelope_premise_holds(const struct stages *st) {
  for (int v = 0; v < st->n; v++)
    if (st->time[BRAID_CLOUD][v] > st->time[BRAID_EDGE][v]) return false;
  return true;
}

/* Do optimal sets shrink as the rate grows? A node whose result must come down costs that, too. */
static bool is_nested(const struct envelope *e) {
  const struct stages *st = e->st;
  if (st->costs->up.message_ns > 0 || !envelope_premise_holds(st)) return false;
  for (int v = 0; v < st->n && !e->one_result; v++)
    if (braid_graph_node(st->graph, v)->is_output && st->time[BRAID_CLOUD][v] + st->down[v] > st->time[BRAID_EDGE][v])
      return false;
  return true;
}

void envelope_close(struct envelope *e) {
  void *parts[] = {e->edge, e->cloud, e->up, e->down, e->bytes, e->free_node, e->line, e->next, e->site};
  for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) braid_free(parts[i]);
  region_destroy(&e->region);
}

enum braid_status envelope_open(struct envelope *e, const struct stages *st) {
  size_t n = (size_t)st->n;
  int n_outputs = 0;
  int64_t **arrays[] = {&e->edge, &e->cloud, &e->up, &e->down, &e->bytes};
  *e = (struct envelope){.st = st};
  for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++)
    if (!(*arrays[i] = braid_malloc(n * sizeof **arrays[i])))
      return braid_fail(BRAID_ENOMEM, "breakpoints of %d nodes", st->n);
  e->free_node = braid_malloc(n * sizeof *e->free_node);
  if (!e->free_node) return braid_fail(BRAID_ENOMEM, "breakpoints of %d nodes", st->n);
  for (int v = 0; v < st->n; v++) {
    e->bytes[v] = (int64_t)cost_tensor_bytes(st->costs, st->graph, v);
    e->total_bytes += e->bytes[v];
    e->total_ns += st->time[BRAID_EDGE][v] + st->time[BRAID_CLOUD][v] + st->down[v];
    e->total_ns += st->up[v] == COST_NEVER ? 0 : st->up[v];
  }
  (void)braid_graph_outputs(st->graph, &n_outputs);
  e->one_result = n_outputs == 1 || st->goal->deliver == BRAID_CLOUD;
  e->nested = is_nested(e);
  return region_create(st->graph, &e->region);
}
