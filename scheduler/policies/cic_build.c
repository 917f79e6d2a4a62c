/* SPDX-License-Identifier: Apache-2.0
 * The candidates of cic and what its rules leave of them: see cic.c. */
#include "cic.h"

#include <math.h>
#include <string.h>

#define COMBINATIONS_MAX 20000

/* What some nodes cost, wherever they are; sums add up. */
struct sum {
  int64_t fixed_ns, cloud_ns, bytes;
  int64_t stage_ns[4]; /* by resource, for the period */
  size_t memory;
  bool never;
};
struct option { /* a prefix of a branch */
  int length;
  struct sum sum;
  bool reads_entry; /* in the cloud: the block's input must be sent */
};
struct candidate {
  int64_t least_ns, most_ns, bytes; /* at the ends of the range of loads */
  int number;                       /* of arrival */
};
struct cic_builder {
  const struct stages *st;
  double load_min, load_max;
  int64_t *cloud_ns, *cloud_fixed_ns; /* [n] of nodes in the cloud */
  uint8_t *site;                      /* [n] scratch */
  struct option *option;              /* [n_options_max]; those of a branch are neighbours */
  int *first_option;                  /* [branches + 1] */
  uint8_t *found;                     /* [capacity][n] sites of candidates */
  struct candidate *candidate;
  int n_candidates, capacity;
  uint8_t *best; /* [n] for the period: the best cut; NULL for latency */
  int64_t least_period_ns;
};

/* --------------------------------------------------------------------------------------------------- sums */

static void add_sum(struct sum *to, const struct sum *s) {
  to->fixed_ns += s->fixed_ns;
  to->cloud_ns += s->cloud_ns;
  to->bytes += s->bytes;
  for (int r = 0; r < 4; r++) to->stage_ns[r] += s->stage_ns[r];
  to->memory += s->memory;
  to->never |= s->never;
}

static void add_tensor(const struct cic_builder *b, int v, struct sum *sum) {
  int64_t ns = b->st->up[v] == COST_NEVER ? 0 : b->st->up[v];
  sum->never |= b->st->up[v] == COST_NEVER;
  sum->fixed_ns += ns;
  sum->stage_ns[BRAID_RES_UP] += ns;
  sum->bytes += (int64_t)cost_tensor_bytes(b->st->costs, b->st->graph, v);
}

/* The node at its place in b->site, and its tensor if that crosses; the tensor of `shared` is not counted. */
static void add_node(const struct cic_builder *b, int v, int shared, struct sum *sum) {
  const struct stages *st = b->st;
  if (b->site[v] == BRAID_EDGE) {
    sum->fixed_ns += st->time[BRAID_EDGE][v];
    sum->stage_ns[BRAID_RES_EDGE] += st->work[BRAID_EDGE][v];
    sum->memory += st->memory[v];
    sum->never |= st->away[v];
    if (v != shared && site_crosses_up(st->graph, b->site, v, BRAID_EDGE)) add_tensor(b, v, sum);
    return;
  }
  int64_t down_ns = braid_graph_node(st->graph, v)->is_output ? st->down[v] : 0;
  sum->fixed_ns += b->cloud_fixed_ns[v] + down_ns;
  sum->stage_ns[BRAID_RES_CLOUD] += st->work[BRAID_CLOUD][v];
  sum->stage_ns[BRAID_RES_DOWN] += down_ns;
  sum->cloud_ns += b->cloud_ns[v];
  sum->never |= st->pinned[v];
}

static int64_t at_load(const struct sum *sum, double load) {
  return sum->fixed_ns + llround(load * (double)sum->cloud_ns);
}

static bool is_input(const struct cic_builder *b, int v) {
  return braid_graph_node(b->st->graph, v)->op == BRAID_OP_INPUT;
}

/* --------------------------------------------------------------------------------------------- candidates */

static enum braid_status reserve(struct cic_builder *b) {
  if (b->n_candidates < b->capacity) return BRAID_OK;
  size_t n = (size_t)b->st->n, capacity = 2 * (size_t)b->capacity + 16;
  uint8_t *found = braid_malloc(capacity * n);
  struct candidate *candidate = braid_malloc(capacity * sizeof *candidate);
  if (!found || !candidate) {
    braid_free(found);
    braid_free(candidate);
    return braid_fail(BRAID_ENOMEM, "%zu cuts of %zu nodes", capacity, n);
  }
  if (b->n_candidates > 0) {
    memcpy(found, b->found, (size_t)b->n_candidates * n);
    memcpy(candidate, b->candidate, (size_t)b->n_candidates * sizeof *candidate);
  }
  braid_free(b->found);
  braid_free(b->candidate);
  b->found = found;
  b->candidate = candidate;
  b->capacity = (int)capacity;
  return BRAID_OK;
}

static bool is_dominated(const struct cic_builder *b, const struct candidate *c) {
  for (int i = 0; i < b->n_candidates; i++) {
    const struct candidate *d = &b->candidate[i];
    if (d->least_ns <= c->least_ns && d->most_ns <= c->most_ns && d->bytes <= c->bytes) return true;
  }
  return false;
}

/* For the period: is the cut in b->site better than all before? */
static void offer_period(struct cic_builder *b, const struct sum *sum) {
  const struct braid_costs *costs = b->st->costs;
  int64_t machines = max_ns(sum->stage_ns[BRAID_RES_EDGE] / costs->edge_workers,
                            sum->stage_ns[BRAID_RES_CLOUD] / costs->cloud_workers);
  int64_t links = max_ns(sum->stage_ns[BRAID_RES_UP], sum->stage_ns[BRAID_RES_DOWN]);
  if (sum->never || max_ns(machines, links) >= b->least_period_ns) return;
  struct stage_sums sums;
  stages_sum(b->st, b->site, &sums);
  int64_t ns = stages_value_ns(b->st, &sums);
  if (ns >= b->least_period_ns) return;
  b->least_period_ns = ns;
  memcpy(b->best, b->site, (size_t)b->st->n);
}

/* The cut in b->site. Rule (c) against those already there; the rest of it when all are. */
static enum braid_status offer(struct cic_builder *b, const struct sum *sum) {
  if (b->best) {
    offer_period(b, sum);
    return BRAID_OK;
  }
  size_t n = (size_t)b->st->n, limit = b->st->goal->edge_memory;
  if (sum->never || (limit > 0 && sum->memory > limit)) return BRAID_OK;
  struct candidate c = {at_load(sum, b->load_min), at_load(sum, b->load_max), sum->bytes, b->n_candidates};
  if (is_dominated(b, &c)) return BRAID_OK;
  BRAID_TRY(reserve(b));
  memcpy(b->found + n * (size_t)b->n_candidates, b->site, n);
  b->candidate[b->n_candidates++] = c;
  return BRAID_OK;
}

/* Everything up to `last` on the edge, the rest in the cloud. Delays: all the same but at the edge's end. */
static enum braid_status offer_prefix(struct cic_builder *b, int last) {
  const struct braid_costs *costs = b->st->costs;
  struct sum sum = {0};
  for (int v = 0; v < b->st->n; v++) b->site[v] = v <= last || is_input(b, v) ? BRAID_EDGE : BRAID_CLOUD;
  for (int v = 0; v < b->st->n; v++) add_node(b, v, -1, &sum);
  if (last < b->st->n - 1) sum.fixed_ns += costs->up.delay_ns + costs->down.delay_ns;
  return offer(b, &sum);
}

/* ------------------------------------------------------------------------------------------------- blocks */

static void set_prefix(struct cic_builder *b, const struct braid_branch *branch, int length) {
  for (int i = 0; i < branch->n_nodes; i++) {
    int v = branch->node[i];
    b->site[v] = i < length || is_input(b, v) ? BRAID_EDGE : BRAID_CLOUD;
  }
}

static void measure(struct cic_builder *b, const struct braid_branch *branch, int entry, struct option *o) {
  o->sum = (struct sum){0};
  o->reads_entry = false;
  set_prefix(b, branch, o->length);
  for (int i = 0; i < branch->n_nodes; i++) {
    const struct braid_node *node = braid_graph_node(b->st->graph, branch->node[i]);
    add_node(b, branch->node[i], -1, &o->sum);
    for (int k = 0; k < node->n_in; k++)
      o->reads_entry |= entry >= 0 && node->in[k] == entry && b->site[branch->node[i]] == BRAID_CLOUD;
  }
}

/* Rules (a) and (b): is the longer prefix no better than the shorter one, whatever the other branches do? */
static bool rules_out(const struct cic_builder *b, const struct option *shorter, const struct option *longer,
                      int entry) {
  struct sum instead = shorter->sum;
  if (shorter->reads_entry && !longer->reads_entry) add_tensor(b, entry, &instead);
  for (int r = 0; r < 4 && b->best; r++)
    if (instead.stage_ns[r] > longer->sum.stage_ns[r]) return false;
  return !instead.never && instead.bytes <= longer->sum.bytes &&
         at_load(&instead, b->load_min) <= at_load(&longer->sum, b->load_min) &&
         at_load(&instead, b->load_max) <= at_load(&longer->sum, b->load_max);
}

/* The prefixes of one branch that survive, from b->option[first] on; returns the end. */
static int list_options(struct cic_builder *b, const struct braid_branch *branch, int entry, int first) {
  int end = first;
  for (int length = 0; length <= branch->n_nodes; length++) {
    struct option *o = &b->option[end];
    bool dropped = length > 0 && is_input(b, branch->node[length - 1]); /* the same as one less */
    o->length = length;
    measure(b, branch, entry, o);
    for (int i = first; i < end && !dropped; i++) dropped = rules_out(b, &b->option[i], o, entry);
    if (!dropped) end++;
  }
  return end;
}

static int64_t combinations(const struct cic_builder *b, int n_branches) {
  int64_t product = 1;
  for (int i = 0; i < n_branches && product <= COMBINATIONS_MAX; i++)
    product *= b->first_option[i + 1] - b->first_option[i];
  return product;
}

/* Leaves the lower hull of each branch at the highest load. */
static enum braid_status thin_out(struct cic_builder *b, int n_branches) {
  int total = b->first_option[n_branches], end = 0;
  struct cut_line *line = braid_malloc((size_t)total * sizeof *line);
  struct option *old = braid_malloc((size_t)total * sizeof *old);
  enum braid_status status = line && old ? BRAID_OK : braid_fail(BRAID_ENOMEM, "%d prefixes", total);
  if (status == BRAID_OK) memcpy(old, b->option, (size_t)total * sizeof *old);
  for (int i = 0; i < n_branches && status == BRAID_OK; i++) {
    int first = b->first_option[i], n = 0;
    for (int k = first; k < b->first_option[i + 1]; k++)
      if (!old[k].sum.never) line[n++] = (struct cut_line){at_load(&old[k].sum, b->load_max), old[k].sum.bytes, k};
    n = lower_hull(line, n);
    b->first_option[i] = end;
    for (int k = 0; k < n; k++) b->option[end++] = old[line[k].set];
  }
  if (status == BRAID_OK) b->first_option[n_branches] = end;
  braid_free(line);
  braid_free(old);
  return status;
}

/* Everything outside the block, with the delays. */
static struct sum surroundings(struct cic_builder *b, const struct braid_block *block) {
  const struct braid_costs *costs = b->st->costs;
  int exit = block->exit >= 0 ? block->exit : b->st->n;
  struct sum sum = {.fixed_ns = costs->up.delay_ns + costs->down.delay_ns};
  for (int v = 0; v < b->st->n; v++) b->site[v] = v <= block->entry || is_input(b, v) ? BRAID_EDGE : BRAID_CLOUD;
  for (int v = 0; v < b->st->n; v++)
    if (v <= block->entry || v >= exit) add_node(b, v, block->entry, &sum);
  return sum;
}

static bool is_read_outside(const struct cic_builder *b, const struct braid_block *block) {
  if (block->entry < 0) return false;
  const struct braid_node *node = braid_graph_node(b->st->graph, block->entry);
  for (int i = 0; i < node->n_readers; i++)
    if (block->exit >= 0 && node->reader[i] >= block->exit) return true;
  return false;
}

static bool is_all_edge(const struct cic_builder *b) {
  for (int v = 0; v < b->st->n; v++)
    if (b->site[v] == BRAID_CLOUD) return false;
  return true;
}

static enum braid_status combine(struct cic_builder *b, const struct braid_block *block, struct sum around,
                                 int64_t number) {
  bool outside = is_read_outside(b, block);
  for (int64_t c = 0; c < number; c++) {
    struct sum sum = around;
    bool sent = outside;
    int64_t rest = c;
    for (int i = 0; i < block->n_branches; i++) {
      int choices = b->first_option[i + 1] - b->first_option[i];
      const struct option *o = &b->option[b->first_option[i] + (int)(rest % choices)];
      rest /= choices;
      add_sum(&sum, &o->sum);
      sent |= o->reads_entry;
      set_prefix(b, &block->branch[i], o->length);
    }
    if (sent) add_tensor(b, block->entry, &sum);
    if (!is_all_edge(b)) BRAID_TRY(offer(b, &sum));
  }
  return BRAID_OK;
}

static enum braid_status try_block(struct cic_builder *b, const struct braid_block *block) {
  b->first_option = braid_malloc(((size_t)block->n_branches + 1) * sizeof *b->first_option);
  if (!b->first_option) return braid_fail(BRAID_ENOMEM, "%d branches", block->n_branches);
  b->first_option[0] = 0;
  const struct sum around = surroundings(b, block); /* sets the sites that the branches are measured against */
  for (int i = 0; i < block->n_branches; i++)
    b->first_option[i + 1] = list_options(b, &block->branch[i], block->entry, b->first_option[i]);
  enum braid_status status = BRAID_OK;
  if (combinations(b, block->n_branches) > COMBINATIONS_MAX) status = thin_out(b, block->n_branches);
  int64_t number = combinations(b, block->n_branches);
  if (status == BRAID_OK && number <= COMBINATIONS_MAX) status = combine(b, block, around, number);
  braid_free(b->first_option);
  return status;
}

/* ------------------------------------------------------------------------------------------------ building */

static enum braid_status list_candidates(struct cic_builder *b) {
  int n_joints = 0, n_blocks = 0;
  const int *joint = braid_graph_joints(b->st->graph, &n_joints);
  const struct braid_block *block = braid_graph_blocks(b->st->graph, &n_blocks);
  BRAID_TRY(offer_prefix(b, -1));
  for (int i = 0; i < n_joints; i++)
    if (joint[i] >= 0 && joint[i] < b->st->n - 1) BRAID_TRY(offer_prefix(b, joint[i]));
  BRAID_TRY(offer_prefix(b, b->st->n - 1));
  for (int i = 0; i < n_blocks; i++) BRAID_TRY(try_block(b, &block[i]));
  return BRAID_OK;
}

/* Rule (c), the rest: later ones may rule out earlier ones. Survivors come first. */
static int reduce(struct cic_builder *b, struct cut_line *line) {
  int n = b->n_candidates;
  for (int i = 0; i < n; i++) line[i] = (struct cut_line){b->candidate[i].most_ns, b->candidate[i].bytes, i};
  if (b->load_min >= b->load_max) return lower_hull(line, n);
  int kept = 0;
  for (int i = 0; i < n; i++) {
    const struct candidate *c = &b->candidate[i];
    bool dropped = false;
    for (int k = i + 1; k < n && !dropped; k++) /* earlier ones have been asked by offer() */
      dropped = b->candidate[k].least_ns <= c->least_ns && b->candidate[k].most_ns <= c->most_ns &&
                b->candidate[k].bytes <= c->bytes;
    if (!dropped) line[kept++] = line[i];
  }
  return kept;
}

static enum braid_status keep_cut(const struct cic_builder *b, const struct candidate *c, struct braid_cic *cic) {
  struct braid_cut *cut = &cic->cut[cic->n_cuts];
  size_t n = (size_t)b->st->n;
  cut->site = braid_malloc(n);
  if (!cut->site) return braid_fail(BRAID_ENOMEM, "a cut of %zu nodes", n);
  memcpy(cut->site, b->found + n * (size_t)c->number, n);
  for (size_t v = 0; v < n; v++)
    if (cut->site[v] == BRAID_CLOUD) cut->cloud_ns += b->cloud_ns[v];
  cut->fixed_ns = c->most_ns - llround(b->load_max * (double)cut->cloud_ns);
  cut->up_bytes = (size_t)c->bytes;
  cic->n_cuts++;
  return BRAID_OK;
}

static enum braid_status keep_survivors(struct cic_builder *b, struct braid_cic *cic, struct cut_line *line) {
  int kept = reduce(b, line);
  cic->cut = braid_calloc((size_t)kept, sizeof *cic->cut);
  cic->n_nodes = b->st->n;
  cic->load_min = b->load_min;
  cic->load_max = b->load_max;
  cic->n_seen = b->n_candidates;
  if (!cic->cut) return braid_fail(BRAID_ENOMEM, "%d cuts", kept);
  for (int i = 0; i < kept; i++) BRAID_TRY(keep_cut(b, &b->candidate[line[i].set], cic));
  return cic_divide(cic);
}

static enum braid_status no_plan(const struct stages *st) {
  return braid_fail(BRAID_ENOTFOUND,
                    "no cut at a joint or between branches fits the edge's memory, keeps private tensors there and "
                    "pinned nodes where they belong%s",
                    stages_ceiling_text(st));
}

static enum braid_status finish(struct cic_builder *b, struct braid_cic **out) {
  if (b->n_candidates == 0) return no_plan(b->st);
  struct cut_line *line = braid_malloc((size_t)b->n_candidates * sizeof *line);
  struct braid_cic *cic = braid_calloc(1, sizeof *cic);
  enum braid_status status =
      line && cic ? keep_survivors(b, cic, line) : braid_fail(BRAID_ENOMEM, "reducing %d cuts", b->n_candidates);
  braid_free(line);
  if (status != BRAID_OK)
    braid_cic_destroy(&cic);
  else
    *out = cic;
  return status;
}

static enum braid_status open_builder(struct cic_builder *b) {
  const struct stages *st = b->st;
  size_t n = (size_t)st->n;
  int64_t work = 0, time = 0;
  if (st->goal->deliver != BRAID_EDGE) /* the rules are about what is sent because it is read */
    return braid_fail(BRAID_EUNSUPPORTED, "its rules know only results that come home to the edge; use another policy");
  b->cloud_ns = braid_malloc(n * sizeof *b->cloud_ns);
  b->cloud_fixed_ns = braid_malloc(n * sizeof *b->cloud_fixed_ns);
  b->site = braid_malloc(n);
  b->option = braid_malloc(2 * n * sizeof *b->option); /* a branch of k nodes has k + 1 */
  if (!b->cloud_ns || !b->cloud_fixed_ns || !b->site || !b->option)
    return braid_fail(BRAID_ENOMEM, "cutting %zu nodes", n);
  for (int v = 0; v < st->n; v++) {
    work += st->work[BRAID_CLOUD][v];
    time += st->time[BRAID_CLOUD][v];
  }
  double gain = work > 0 ? (double)time / (double)work : 1;
  for (int v = 0; v < st->n; v++) { /* the stages are those of load 1 */
    bool free_of_cost = braid_graph_node(st->graph, v)->op == BRAID_OP_INPUT;
    b->cloud_ns[v] = free_of_cost ? 0 : llround((double)cost_node_ns(st->costs, BRAID_CLOUD, v) * gain);
    if (b->cloud_ns[v] > st->time[BRAID_CLOUD][v]) b->cloud_ns[v] = st->time[BRAID_CLOUD][v];
    b->cloud_fixed_ns[v] = st->time[BRAID_CLOUD][v] - b->cloud_ns[v];
  }
  return BRAID_OK;
}

static void close_builder(struct cic_builder *b) {
  void *parts[] = {b->cloud_ns, b->cloud_fixed_ns, b->site, b->option, b->found, b->candidate};
  for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) braid_free(parts[i]);
}

enum braid_status braid_cic_build(const struct braid_graph *graph, const struct braid_costs *costs,
                            const struct braid_goal *goal, double load_min, double load_max, struct braid_cic **out) {
  struct braid_costs idle = *costs;
  struct stages *st = NULL;
  idle.up.bits_per_s = (double)INFINITY;
  idle.cloud_load = 1;
  BRAID_TRY(stages_create(graph, &idle, goal, &st));
  struct cic_builder b = {.st = st, .load_min = load_min, .load_max = load_max};
  enum braid_status status = open_builder(&b);
  if (status == BRAID_OK) status = list_candidates(&b);
  if (status == BRAID_OK) status = finish(&b, out);
  close_builder(&b);
  stages_destroy(&st);
  return status;
}

enum braid_status cic_best_period(const struct stages *st, uint8_t *site) {
  struct cic_builder b = {.st = st, .load_min = 1, .load_max = 1, .best = site, .least_period_ns = COST_NEVER};
  enum braid_status status = open_builder(&b);
  if (status == BRAID_OK) status = list_candidates(&b);
  close_builder(&b);
  if (status != BRAID_OK || b.least_period_ns < COST_NEVER) return status;
  return no_plan(st);
}
