/* SPDX-License-Identifier: Apache-2.0
 * jps [Duan & Wu, "Joint optimization of DNN partition and scheduling for mobile cloud computing", ICPP 2021]: a batch
 * of equal frames is best served by two neighbouring cut types, one that computes more and one that sends more, in
 * Johnson's order, so that computing and sending overlap across frames.
 *
 * Types are the prefixes of the topological chain that no other prefix beats in both edge time and uplink time;
 * neighbours differ least. Latency: for a batch of goal->window frames (one if not given) every pair of neighbours and
 * every share is evaluated by its makespan in the flow shop edge, uplink, cloud, downlink, in Johnson's order (optimal
 * for the paper's two stages). A flow shop with two types of jobs needs no simulation: see
 * makespan_ns(). Throughput: the pair and share with the smallest period, max over the stages of the mean work; the
 * smallest lies where two stages are equal or at an end. Stages run one after the other within a frame. Our
 * reconstruction: the search over all pairs (the paper takes the pair where E - U changes sign, which suffices for two
 * stages), cloud and downlink as stages, and any network through its topological chain. */
#include "../internal.h"

#include <stdlib.h>
#include <string.h>

#define STAGES 4

struct type {
  int last; /* of the prefix; -1: the inputs only */
  int64_t ns[STAGES];
  int64_t delay_ns[2]; /* up, down */
};
struct mixture {
  struct type a, b; /* Johnson's order; the same: all frames alike */
  double share;     /* of a, 0..1 */
  int64_t value_ns;
};
struct search {
  const struct stages *st;
  uint8_t *site;
  struct type *type;
  int n_types;
  struct mixture best;
};

/* -------------------------------------------------------------------------------------------------- types */

static void set_prefix(const struct stages *st, uint8_t *site, int last) {
  for (int v = 0; v < st->n; v++)
    site[v] = v <= last || braid_graph_node(st->graph, v)->op == BRAID_OP_INPUT ? BRAID_EDGE : BRAID_CLOUD;
}

/* A prefix; from one to the next, sums change by one node and what it reads. */
struct prefix {
  struct stage_sums sums;
  bool *crosses; /* [n] */
  int crossing, results, forbidden;
};

static void set_crossing(const struct stages *st, struct prefix *p, int v, bool crosses) {
  int sign = crosses - p->crosses[v];
  p->crosses[v] = crosses;
  p->crossing += sign;
  if (st->up[v] == COST_NEVER)
    p->forbidden += sign;
  else
    p->sums.up += sign * st->up[v];
}

static bool is_read_after(const struct stages *st, int u, int last) {
  const struct braid_node *node = braid_graph_node(st->graph, u);
  for (int i = 0; i < node->n_readers; i++)
    if (node->reader[i] > last) return true;
  return is_delivered(st->graph, u, st->goal->deliver, BRAID_CLOUD);
}

static bool is_input(const struct stages *st, int v) {
  return braid_graph_node(st->graph, v)->op == BRAID_OP_INPUT;
}

/* The inputs only. */
static void begin_prefix(const struct stages *st, struct prefix *p) {
  for (int v = 0; v < st->n; v++) {
    int at = is_input(st, v) ? BRAID_EDGE : BRAID_CLOUD;
    p->sums.work[at] += st->work[at][v];
    p->sums.time[at] += st->time[at][v];
    p->forbidden += at == BRAID_CLOUD ? st->pinned[v] : st->away[v];
    if (at == BRAID_EDGE) {
      p->sums.memory += st->memory[v];
      set_crossing(st, p, v, is_read_after(st, v, -1));
    } else if (is_delivered(st->graph, v, st->goal->deliver, BRAID_EDGE)) {
      p->results++;
      p->sums.down += st->down[v];
    }
  }
}

static void move_to_edge(const struct stages *st, struct prefix *p, int v) {
  const struct braid_node *node = braid_graph_node(st->graph, v);
  for (int site = 0; site < 2; site++) {
    int sign = site == BRAID_EDGE ? 1 : -1;
    p->sums.work[site] += sign * st->work[site][v];
    p->sums.time[site] += sign * st->time[site][v];
  }
  p->sums.memory += st->memory[v];
  p->forbidden += st->away[v] - st->pinned[v];
  if (is_delivered(st->graph, v, st->goal->deliver, BRAID_EDGE)) {
    p->results--;
    p->sums.down -= st->down[v];
  }
  set_crossing(st, p, v, is_read_after(st, v, v));
  for (int k = 0; k < node->n_in; k++)
    if (braid_is_node(node->in[k])) set_crossing(st, p, node->in[k], is_read_after(st, node->in[k], v));
}

static void add_type(struct search *s, struct prefix *p, int last) {
  const struct stages *st = s->st;
  bool throughput = st->goal->objective == BRAID_THROUGHPUT;
  struct stage_sums *sums = &p->sums;
  sums->allowed = p->forbidden == 0;
  sums->crosses_up = p->crossing > 0;
  sums->crosses_down = p->results > 0;
  if (stages_value_ns(st, sums) >= COST_NEVER) return;
  int64_t edge = throughput ? sums->work[BRAID_EDGE] / st->costs->edge_workers : sums->time[BRAID_EDGE];
  int64_t cloud = throughput ? sums->work[BRAID_CLOUD] / st->costs->cloud_workers : sums->time[BRAID_CLOUD];
  s->type[s->n_types++] =
      (struct type){last,
                    {edge, sums->up, cloud, sums->down},
                    {sums->crosses_up ? st->costs->up.delay_ns : 0, sums->crosses_down ? st->costs->down.delay_ns : 0}};
}

static enum braid_status list_types(struct search *s) {
  const struct stages *st = s->st;
  struct prefix p = {.crosses = braid_calloc((size_t)st->n, sizeof *p.crosses)};
  if (!p.crosses) return braid_fail(BRAID_ENOMEM, "cutting %d nodes", st->n);
  begin_prefix(st, &p);
  add_type(s, &p, -1);
  for (int v = 0; v < st->n; v++) {
    if (is_input(st, v)) continue;
    move_to_edge(st, &p, v);
    add_type(s, &p, v);
  }
  braid_free(p.crosses);
  return BRAID_OK;
}

static int by_edge_then_up(const void *a, const void *b) {
  const struct type *x = a, *y = b;
  for (int stage = 0; stage < 2; stage++)
    if (x->ns[stage] != y->ns[stage]) return x->ns[stage] < y->ns[stage] ? -1 : 1;
  return y->last - x->last; /* the later prefix leaves the cloud less */
}

/* Ascending in edge time, strictly descending in uplink time. */
static void keep_undominated(struct search *s) {
  int kept = 0;
  qsort(s->type, (size_t)s->n_types, sizeof *s->type, by_edge_then_up);
  for (int i = 0; i < s->n_types; i++)
    if (kept == 0 || s->type[i].ns[1] < s->type[kept - 1].ns[1]) s->type[kept++] = s->type[i];
  s->n_types = kept;
}

/* -------------------------------------------------------------------------------------------------- batches */

/* The longest way through `n` equal jobs from stage `from` to stage `to`: once through every stage and its delays, and
 * n
 * - 1 times more through the longest of them. */
static int64_t way_ns(const struct type *t, int n, int from, int to) {
  int64_t sum = 0, most = 0;
  for (int i = from; i <= to; i++) {
    sum += t->ns[i];
    most = max_ns(most, t->ns[i]);
    if (i == 2 && from < 2) sum += t->delay_ns[0]; /* between uplink and cloud */
  }
  return sum + (n - 1) * most;
}

/* Of a batch, jobs of type a first: the longest monotone way through the grid of jobs and stages, which changes from a
 * to b at some stage. The downlink's delay lies behind it. */
static int64_t makespan_ns(const struct type *a, int n_a, const struct type *b, int n_b) {
  int last = STAGES - 1;
  if (n_b == 0) return way_ns(a, n_a, 0, last) + a->delay_ns[1];
  if (n_a == 0) return way_ns(b, n_b, 0, last) + b->delay_ns[1];
  int64_t most = 0;
  for (int stage = 0; stage < STAGES; stage++)
    most = max_ns(most, way_ns(a, n_a, 0, stage) + way_ns(b, n_b, stage, last) + b->delay_ns[1]);
  return max_ns(most, way_ns(a, n_a, 0, last) + a->delay_ns[1]); /* b may have nothing to bring down */
}

static void consider(struct search *s, const struct type *a, const struct type *b, double share, int64_t ns) {
  if (ns >= s->best.value_ns) return;
  s->best = (struct mixture){*a, *b, share, ns};
}

/* Johnson's order: jobs with E < U by ascending E, then the others by descending U. Along the types E grows and U
 * falls, so of two neighbours the first always goes first. */
static void mix_batch(struct search *s, int i, int frames) {
  const struct type *a = &s->type[i], *b = &s->type[i + 1];
  for (int n = 1; n < frames; n++) consider(s, a, b, (double)n / frames, makespan_ns(a, n, b, frames - n));
}

/* ------------------------------------------------------------------------------------------------- throughput */

static double period_at(const struct type *a, const struct type *b, double share) {
  double most = 0;
  for (int i = 0; i < STAGES; i++) {
    double ns = share * (double)a->ns[i] + (1 - share) * (double)b->ns[i];
    if (ns > most) most = ns;
  }
  return most;
}

static void mix_stream(struct search *s, int i) {
  const struct type *a = &s->type[i], *b = &s->type[i + 1];
  for (int p = 0; p < STAGES; p++)
    for (int q = p + 1; q < STAGES; q++) { /* share a_p + (1 - share) b_p = share a_q + (1 - share) b_q */
      double slope = (double)(a->ns[p] - b->ns[p]) - (double)(a->ns[q] - b->ns[q]);
      double share = slope != 0 ? (double)(b->ns[q] - b->ns[p]) / slope : 0;
      if (share > 1e-6 && share < 1 - 1e-6) consider(s, a, b, share, (int64_t)period_at(a, b, share) + 1);
    }
}

/* ---------------------------------------------------------------------------------------------- the policy */

static int batch_frames(const struct braid_goal *goal) {
  return goal->window > 1 ? goal->window : 1;
}

/* All frames alike: any prefix may be best, also one that is beaten on the edge and the link but not in the cloud. */
static void try_single_types(struct search *s) {
  const struct braid_goal *goal = s->st->goal;
  for (int i = 0; i < s->n_types; i++) {
    const struct type *t = &s->type[i];
    bool throughput = goal->objective == BRAID_THROUGHPUT;
    consider(s, t, t, 1, throughput ? (int64_t)period_at(t, t, 1) : makespan_ns(t, batch_frames(goal), t, 0));
  }
}

static void try_neighbours(struct search *s) {
  for (int i = 0; i + 1 < s->n_types; i++) {
    if (s->st->goal->objective == BRAID_THROUGHPUT)
      mix_stream(s, i);
    else
      mix_batch(s, i, batch_frames(s->st->goal));
  }
}

static enum braid_status make_part(struct search *s, const struct type *type, struct braid_plan **out) {
  set_prefix(s->st, s->site, type->last);
  return stages_plan(s->st, "jps", s->site, true, out);
}

/* Shares become weights; the plan itself is the heavier part. */
static enum braid_status make_plan(struct search *s, struct braid_plan **out) {
  const struct mixture *m = &s->best;
  struct braid_plan *plan = NULL;
  BRAID_TRY(make_part(s, m->share >= 0.5 ? &m->a : &m->b, &plan));
  *out = plan;
  if (m->a.last == m->b.last) return BRAID_OK;
  plan->mix = braid_calloc(2, sizeof *plan->mix);
  plan->mix_weight = braid_calloc(2, sizeof *plan->mix_weight);
  if (!plan->mix || !plan->mix_weight) return braid_fail(BRAID_ENOMEM, "a mix of 2 plans");
  for (; plan->n_mix < 2; plan->n_mix++) {
    BRAID_TRY(make_part(s, plan->n_mix == 0 ? &m->a : &m->b, &plan->mix[plan->n_mix]));
    plan->mix_weight[plan->n_mix] = plan->n_mix == 0 ? m->share : 1 - m->share;
  }
  return BRAID_OK;
}

static enum braid_status search(struct search *s, struct braid_plan **out) {
  BRAID_TRY(list_types(s));
  if (s->n_types == 0)
    return braid_fail(BRAID_ENOTFOUND,
                      "no prefix of the network fits the edge's memory, keeps private tensors there and pinned nodes "
                      "where they belong%s",
                      stages_ceiling_text(s->st));
  try_single_types(s);
  keep_undominated(s);
  try_neighbours(s);
  enum braid_status status = make_plan(s, out);
  if (status != BRAID_OK) braid_plan_destroy(out);
  return status;
}

static enum braid_status decide(const struct braid_graph *graph, const struct braid_costs *costs,
                                const struct braid_goal *goal, struct braid_plan **out) {
  struct stages *st = NULL;
  struct braid_plan *plan = NULL;
  BRAID_TRY(stages_create(graph, costs, goal, &st));
  struct search s = {.st = st, .best = {.value_ns = INT64_MAX}};
  s.site = braid_malloc((size_t)st->n);
  s.type = braid_malloc(((size_t)st->n + 1) * sizeof *s.type);
  enum braid_status status =
      s.site && s.type ? stages_check_closed(st) : braid_fail(BRAID_ENOMEM, "cutting %d nodes", st->n);
  if (status == BRAID_OK) status = search(&s, &plan);
  braid_free(s.site);
  braid_free(s.type);
  stages_destroy(&st);
  if (status == BRAID_OK) *out = plan;
  return status;
}

const struct braid_policy policy_jps = {"jps", "two neighbouring cuts mixed over a batch of frames, Johnson's order",
                                        "Duan & Wu, ICPP 2021", decide};
