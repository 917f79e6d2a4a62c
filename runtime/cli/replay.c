/* SPDX-License-Identifier: Apache-2.0 */
#include "replay.h"

#include <math.h>
#include <string.h>

#define TICK_NS INT64_C(100000000)
#define PROBE_EVERY_NS INT64_C(500000000)
#define PROBE_BITS (8 * 8192.0)
#define PLAN_BITS (8 * 2048.0)
#define CAUTION_NS INT64_C(60000000000)
#define FIRST_BITS (8 * 40960.0) /* what an edge sends to measure a new link */
#define FIRST_RATE 1e5           /* plans are decided for no slower link then */

struct frame {
  int64_t latency_ns;                    /* from its start */
  double up_bits_per_s, down_bits_per_s; /* as delivered; 0: nothing was sent */
  int64_t edge_ns;
  bool bridged;
};

/* -------------------------------------------------------------------------------------------------- runs */

enum braid_status replay_open(const struct braid_graph *graph, const struct braid_costs *costs,
                              const struct trace *trace, double fps, struct replay *out) {
  struct replay r = {graph, *costs, trace, fps > 0 ? (int64_t)(1e9 / fps) : 0, NULL};
  r.costs.up.bits_per_s = r.costs.down.bits_per_s = trace->mean;
  r.step = braid_calloc(2 * (size_t)trace->n + 2, sizeof *r.step);
  if (!r.step) return braid_fail(BRAID_ENOMEM, "replaying %d steps", trace->n);
  *out = r;
  return BRAID_OK;
}

void replay_close(struct replay *r) {
  braid_free(r->step);
  *r = (struct replay){0};
}

void replay_run_free(struct replay_run *run) {
  braid_free(run->latency_ms);
  braid_free(run->at_s);
  *run = (struct replay_run){0};
}

static enum braid_status add_frame(struct replay_run *run, int64_t arrival_ns, int64_t end_ns) {
  if (run->n == run->room) {
    size_t room = run->room ? 2 * (size_t)run->room : 1024;
    double *latency = braid_realloc(run->latency_ms, room * sizeof *latency);
    if (latency) run->latency_ms = latency;
    double *at = braid_realloc(run->at_s, room * sizeof *at);
    if (at) run->at_s = at;
    if (!latency || !at) return braid_fail(BRAID_ENOMEM, "latencies of %zu frames", room);
    run->room = (int)room;
  }
  run->at_s[run->n] = (double)arrival_ns / 1e9;
  run->latency_ms[run->n++] = (double)(end_ns - arrival_ns) / 1e6;
  return BRAID_OK;
}

static void sum_up(struct replay_run *run) {
  double sum = 0;
  for (int i = 0; i < run->n; i++) sum += run->latency_ms[i];
  struct cli_stats s = cli_stats_of(run->latency_ms, run->n);
  run->mean_ms = run->n > 0 ? sum / run->n : 0;
  run->p50_ms = s.p50;
  run->p99_ms = s.p99;
}

/* Next arrival and start after a frame that arrived and ended then. */
struct clock {
  int64_t arrival_ns, start_ns;
};
static void advance(const struct replay *r, struct clock *c, int64_t end_ns) {
  c->arrival_ns = r->period_ns > 0 ? c->arrival_ns + r->period_ns : end_ns;
  c->start_ns = c->arrival_ns > end_ns ? c->arrival_ns : end_ns;
}

/* ------------------------------------------------------------------------------------------------- a frame */

static bool sends(const struct braid_plan *plan) {
  return plan->forecast.up_bytes > 0 || plan->forecast.down_bytes > 0;
}

/* The trace from start_ns on, twice through, then its mean; nothing before free_ns. Returns how many steps. */
static int shift(const struct replay *r, int64_t start_ns, int64_t free_ns) {
  const struct trace *t = r->trace;
  int n = 0, first = trace_find(t, free_ns > start_ns ? free_ns : start_ns);
  int64_t from_ns = free_ns > start_ns ? free_ns : start_ns, lap_ns = from_ns - from_ns % t->length_ns;
  if (from_ns > start_ns) r->step[n++] = (struct braid_rate_step){0, TRACE_HOLE};
  r->step[n++] = (struct braid_rate_step){from_ns - start_ns, t->step[first].bits_per_s};
  for (int i = first + 1; i < 2 * t->n; i++) {
    if (i == t->n) lap_ns += t->length_ns;
    const struct braid_rate_step *s = &t->step[i % t->n];
    r->step[n++] = (struct braid_rate_step){lap_ns + s->at_ns - start_ns, s->bits_per_s};
  }
  r->step[n - 1].bits_per_s = t->mean;
  return n;
}

static enum braid_status run_frame(const struct replay *r, const struct braid_plan *plan, int64_t start_ns,
                                   int64_t free_ns, struct frame *out) {
  *out = (struct frame){.latency_ns = plan->forecast.latency_ns, .edge_ns = plan->forecast.edge_ns};
  if (!sends(plan)) return BRAID_OK;
  struct braid_sim_opts opts = {.frames = 1, .window = 1, .up_rate = r->step, .down_rate = r->step};
  struct braid_sim_result s;
  opts.n_up_rate = opts.n_down_rate = shift(r, start_ns, free_ns);
  BRAID_TRY(braid_simulate(plan, r->graph, &r->costs, &opts, &s));
  out->latency_ns = s.first_latency_ns;
  out->edge_ns = s.busy_ns[BRAID_RES_EDGE] / r->costs.edge_workers;
  if (s.up_bytes > 0) out->up_bits_per_s = 8e9 * (double)s.up_bytes / (double)s.busy_ns[BRAID_RES_UP];
  if (s.down_bytes > 0) out->down_bits_per_s = 8e9 * (double)s.down_bytes / (double)s.busy_ns[BRAID_RES_DOWN];
  return BRAID_OK;
}

/* -------------------------------------------------------------------------------------- static plans, oracle */

enum braid_status replay_static(const struct replay *r, const struct braid_plan *plan, struct replay_run *out) {
  struct braid_plan *const one = (struct braid_plan *)(uintptr_t)plan;
  return replay_oracle(r, &one, 1, out);
}

/* No frame of the plan is answered before its bytes are through. */
static bool is_hopeless(const struct replay *r, const struct braid_plan *plan, int64_t start_ns, int64_t best_ns) {
  double bits = 8 * (double)plan->forecast.up_bytes;
  return best_ns < INT64_MAX &&
         (plan->forecast.edge_ns >= best_ns || trace_bits(r->trace, start_ns, start_ns + best_ns) < bits);
}

static enum braid_status best_frame(const struct replay *r, struct braid_plan *const *plan, int n, int64_t start_ns,
                                    struct frame *best) {
  best->latency_ns = INT64_MAX;
  for (int i = 0; i < n; i++) {
    struct frame f;
    if (is_hopeless(r, plan[i], start_ns, best->latency_ns)) continue;
    BRAID_TRY(run_frame(r, plan[i], start_ns, 0, &f));
    if (f.latency_ns < best->latency_ns) *best = f;
  }
  return BRAID_OK;
}

enum braid_status replay_oracle(const struct replay *r, struct braid_plan *const *plan, int n, struct replay_run *out) {
  struct clock c = {0, 0};
  while (c.arrival_ns < r->trace->length_ns) {
    struct frame f = {0};
    BRAID_TRY(best_frame(r, plan, n, c.start_ns, &f));
    int64_t end_ns = c.start_ns + f.latency_ns;
    BRAID_TRY(add_frame(out, c.arrival_ns, end_ns));
    advance(r, &c, end_ns);
  }
  sum_up(out);
  return BRAID_OK;
}

/* ----------------------------------------------------------------------------------------------- adaptive */

struct adaptive {
  const struct replay *r;
  struct braid_adapt *adapt;
  struct braid_plan *plan, *next; /* in force; agreed on at next_ns, NULL: none */
  int64_t next_ns, tick_ns;
  int64_t probe_ns, probe_end_ns, next_probe_ns; /* probe_end_ns 0: none is on its way */
  double probe_bits;
  int64_t caution_ns; /* until then no answer is waited for */
  bool ghost; /* what is on its way is no probe, but a frame that was bridged: others run alone until it is through */
  int64_t alone_ns;
  double bridge;
};

static enum braid_status see_rate(struct adaptive *a, int64_t now_ns, double up, double down) {
  return braid_adapt_observe(a->adapt, now_ns,
                             &(struct braid_observation){.up_bits_per_s = up, .down_bits_per_s = down});
}

/* A probe that has not come through says how little has. */
static enum braid_status look_at_probe(struct adaptive *a, int64_t now_ns) {
  if (a->probe_end_ns == 0) {
    if (sends(a->plan) || now_ns < a->next_probe_ns) return BRAID_OK;
    a->probe_ns = now_ns;
    a->probe_bits = PROBE_BITS;
    a->probe_end_ns = trace_end_ns(a->r->trace, now_ns, PROBE_BITS);
    a->next_probe_ns = now_ns + PROBE_EVERY_NS;
  }
  int64_t rtt_ns = a->r->costs.up.delay_ns + a->r->costs.down.delay_ns, until_ns = now_ns - rtt_ns;
  bool through = until_ns >= a->probe_end_ns;
  if (!through && until_ns - a->probe_ns < PROBE_EVERY_NS) return BRAID_OK;
  double ns = (double)((through ? a->probe_end_ns : until_ns) - a->probe_ns);
  double bits = through ? a->probe_bits : fmax(1, trace_bits(a->r->trace, a->probe_ns, until_ns));
  if (through) {
    a->probe_end_ns = 0;
    a->ghost = false;
  }
  return see_rate(a, now_ns, 1e9 * bits / ns, 1e9 * bits / ns);
}

static enum braid_status take_next(struct adaptive *a, const struct braid_plan *plan, int64_t now_ns) {
  int64_t rtt_ns = a->r->costs.up.delay_ns + a->r->costs.down.delay_ns;
  braid_plan_destroy(&a->next);
  BRAID_TRY(braid_plan_copy(plan, &a->next));
  a->next_ns = sends(plan) ? trace_end_ns(a->r->trace, now_ns, PLAN_BITS) + rtt_ns : now_ns;
  return BRAID_OK;
}

/* All that the planner does up to this moment. */
static enum braid_status tick_until(struct adaptive *a, int64_t now_ns, bool busy) {
  for (; a->tick_ns <= now_ns; a->tick_ns += TICK_NS) {
    const struct braid_plan *plan;
    bool changed;
    if (!busy) BRAID_TRY(look_at_probe(a, a->tick_ns));
    BRAID_TRY(braid_adapt_decide(a->adapt, a->tick_ns, &plan, &changed));
    if (changed) BRAID_TRY(take_next(a, plan, a->tick_ns));
    if (!a->next || a->next_ns > a->tick_ns) continue;
    braid_plan_destroy(&a->plan);
    a->plan = a->next;
    a->next = NULL;
  }
  return BRAID_OK;
}

/* The edge does the cloud's part, too, once the frame is late and its own part is done. */
static void bridge(struct adaptive *a, int64_t start_ns, struct frame *f) {
  int64_t late_ns = (int64_t)(a->bridge * (double)a->plan->forecast.latency_ns);
  bool late = f->latency_ns > late_ns, careful = start_ns < a->caution_ns;
  if (late) a->caution_ns = start_ns + f->latency_ns + CAUTION_NS;
  if (careful) late_ns = 0;
  int64_t from_ns = late_ns > f->edge_ns ? late_ns : f->edge_ns;
  int64_t ns = from_ns + (a->alone_ns > f->edge_ns ? a->alone_ns - f->edge_ns : 0);
  if (a->bridge <= 0 || ns >= f->latency_ns) return;
  a->ghost = true;
  a->probe_ns = start_ns;
  a->probe_end_ns = start_ns + f->latency_ns;
  a->probe_bits = trace_bits(a->r->trace, start_ns, a->probe_end_ns);
  f->latency_ns = ns;
  f->bridged = true;
  f->up_bits_per_s = f->down_bits_per_s = 1e9 * fmax(1, trace_bits(a->r->trace, start_ns, start_ns + ns)) / (double)ns;
}

static enum braid_status adaptive_frame(struct adaptive *a, struct clock *c, struct replay_run *out) {
  struct frame f;
  BRAID_TRY(tick_until(a, c->start_ns, false));
  bool crosses = sends(a->plan) && !a->ghost;
  if (crosses)
    BRAID_TRY(run_frame(a->r, a->plan, c->start_ns, a->probe_end_ns, &f));
  else
    f = (struct frame){.latency_ns = a->alone_ns, .edge_ns = a->alone_ns};
  if (crosses) bridge(a, c->start_ns, &f);
  int64_t end_ns = c->start_ns + f.latency_ns;
  BRAID_TRY(tick_until(a, end_ns, crosses));
  BRAID_TRY(see_rate(a, end_ns, f.up_bits_per_s, f.down_bits_per_s));
  if (crosses && !f.bridged && a->probe_end_ns > 0 && a->probe_end_ns < end_ns) a->probe_end_ns = 0; /* its news is old */
  out->bridged += f.bridged;
  BRAID_TRY(add_frame(out, c->arrival_ns, end_ns));
  advance(a->r, c, end_ns);
  return BRAID_OK;
}

static enum braid_status open_adaptive(struct adaptive *a, const struct braid_policy *policy) {
  struct braid_goal goal = {.objective = BRAID_LATENCY};
  struct braid_costs measured = a->r->costs;
  int64_t first_ns = trace_end_ns(a->r->trace, 0, FIRST_BITS);
  measured.up.bits_per_s = measured.down.bits_per_s = fmax(FIRST_RATE, 1e9 * FIRST_BITS / (double)first_ns);
  struct braid_plan *alone = NULL;
  BRAID_TRY(braid_decide(braid_policy_find("edge-only"), a->r->graph, &measured, &goal, &alone));
  a->alone_ns = alone->forecast.latency_ns;
  braid_plan_destroy(&alone);
  BRAID_TRY(braid_adapt_create(a->r->graph, &measured, &goal, policy, &a->adapt));
  braid_adapt_bridges(a->adapt, a->bridge > 0);
  return braid_plan_copy(braid_adapt_plan(a->adapt), &a->plan);
}

enum braid_status replay_adaptive(const struct replay *r, const struct braid_policy *policy, double bridge_at,
                                  struct replay_run *out) {
  struct adaptive a = {.r = r, .bridge = bridge_at};
  struct braid_adapt_stats stats;
  struct clock c = {0, 0};
  enum braid_status status = open_adaptive(&a, policy);
  while (status == BRAID_OK && c.arrival_ns < r->trace->length_ns) status = adaptive_frame(&a, &c, out);
  if (status == BRAID_OK) {
    braid_adapt_stats(a.adapt, &stats);
    out->switches = (int)stats.switches;
    out->policy_calls = (int)stats.policy;
    sum_up(out);
  }
  braid_plan_destroy(&a.plan);
  braid_plan_destroy(&a.next);
  braid_adapt_destroy(&a.adapt);
  return status;
}
