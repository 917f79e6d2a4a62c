/* SPDX-License-Identifier: Apache-2.0
 * See naive_sim.h. A frame is a list of jobs: slices to be computed, and messages of what they made. A job waits, then
 * occupies its resource, then (a message) flies, then is over. Rows are marked where they are as jobs end. */
#include "naive_sim.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum state { WAITING, AT_WORK, FLYING, OVER };

struct job {
  enum braid_resource resource;
  bool message, result; /* result: ends with rows of a graph output where it is wanted */
  int node, number, piece;
  struct braid_band band;
  int64_t ns, end_ns;
  size_t bytes;
  enum state state;
};
struct frame {
  const struct braid_plan *plan;
  int part, seat, n_jobs, number;
  int64_t submitted_ns;
  bool ended, answered;
  struct job *job;
  bool *here[2]; /* [site][node * rows + row] */
};
struct naive {
  const struct braid_plan *plan;
  const struct braid_graph *graph;
  const struct braid_costs *costs;
  const struct braid_sim_opts *opts;
  struct naive_result *out;
  struct frame *frame;
  int n_nodes, rows, submitted, in_flight[BRAID_PLAN_MIX_MAX], n_answered, next_part;
  int64_t now_ns, *answered_ns;
  double credit[BRAID_PLAN_MIX_MAX];
};

static void *zeroed(size_t n, size_t size) {
  void *p = calloc(n + 1, size);
  if (!p) abort();
  return p;
}

/* --------------------------------------------------------------------------------------------------- costs */

static int rows_of(const struct naive *s, int v) {
  int rows = braid_graph_node(s->graph, v)->rows;
  return rows > 0 ? rows : 1;
}

static int64_t part_of(int64_t total, struct braid_band band, int rows) {
  return total * band.end / rows - total * band.begin / rows;
}

static int64_t tensor_bytes(const struct naive *s, int v) {
  return (int64_t)(s->costs->wire_bytes ? s->costs->wire_bytes[v] : braid_graph_node(s->graph, v)->bytes);
}

static int64_t compute_ns(const struct naive *s, int v, int site, struct braid_band band) {
  double load = s->costs->cloud_load > 0 ? s->costs->cloud_load : 1;
  int64_t whole = site == BRAID_EDGE ? s->costs->edge_ns[v] : llround((double)s->costs->cloud_ns[v] * load);
  return part_of(whole, band, rows_of(s, v)) + (site == BRAID_EDGE ? s->costs->edge_task_ns : s->costs->cloud_task_ns);
}

/* Bits trickle away from the moment the message's own cost is paid, at whatever the rate is then. */
static int64_t wire_ns(const struct naive *s, enum braid_resource link, size_t bytes) {
  bool up = link == BRAID_RES_UP;
  const struct braid_link_cost *cost = up ? &s->costs->up : &s->costs->down;
  const struct braid_rate_step *step = up ? s->opts->up_rate : s->opts->down_rate;
  int n = up ? s->opts->n_up_rate : s->opts->n_down_rate;
  int64_t at = s->now_ns + cost->message_ns;
  double bits = 8 * (double)bytes, rate = cost->bits_per_s;
  for (int i = 0; i < n && step[i].at_ns <= at; i++) rate = step[i].bits_per_s;
  for (int i = 0; i < n; i++) {
    if (step[i].at_ns <= at) continue;
    double until = rate / 1e9 * (double)(step[i].at_ns - at);
    if (until >= bits) break;
    bits -= until;
    at = step[i].at_ns;
    rate = step[i].bits_per_s;
  }
  return at - s->now_ns + (int64_t)ceil(bits * 1e9 / rate);
}

/* ----------------------------------------------------------------------------------------------- making frames */

static bool leaves(const struct braid_plan *plan, const struct braid_graph *graph, int v) {
  const struct braid_node *node = braid_graph_node(graph, v);
  for (int i = 0; i < node->n_readers; i++)
    if (plan->site[node->reader[i]] != plan->site[v]) return true;
  return node->is_output && plan->site[v] != plan->deliver;
}

static void add_messages(struct naive *s, struct frame *f, const struct job *task) {
  int rows = rows_of(s, task->node);
  int64_t bytes = tensor_bytes(s, task->node), each = bytes > 32768 ? 32768 * (int64_t)rows / bytes : rows;
  if (each < 1) each = 1;
  for (int64_t row = task->band.begin, piece = 1; row < task->band.end; row += each, piece++) {
    struct job *job = &f->job[f->n_jobs++];
    *job = *task;
    job->message = true;
    job->piece = (int)piece;
    job->resource = f->plan->site[task->node] == BRAID_EDGE ? BRAID_RES_UP : BRAID_RES_DOWN;
    job->result = braid_graph_node(s->graph, task->node)->is_output && (f->plan->deliver == BRAID_CLOUD) ==
                                                                           (job->resource == BRAID_RES_UP);
    job->band = (struct braid_band){(int)row, (int)(row + each < task->band.end ? row + each : task->band.end)};
    job->bytes = (size_t)part_of(bytes, job->band, rows);
    job->state = WAITING;
  }
}

static void mark(struct naive *s, struct frame *f, int site, int v, struct braid_band band) {
  for (int row = band.begin; row < band.end; row++) f->here[site][v * s->rows + row] = true;
}

static void add_node(struct naive *s, struct frame *f, int v, int *number) {
  const struct braid_node *node = braid_graph_node(s->graph, v);
  bool input = node->op == BRAID_OP_INPUT;
  int slices = input ? 1 : f->plan->slices[v], site = f->plan->site[v];
  for (int i = 0; i < slices; i++) {
    struct job *job = &f->job[f->n_jobs++];
    job->resource = site == BRAID_EDGE ? BRAID_RES_EDGE : BRAID_RES_CLOUD;
    job->result = node->is_output && site == (int)f->plan->deliver;
    job->node = v;
    job->number = (*number)++;
    job->band = braid_slice_band(rows_of(s, v), slices, i);
    job->ns = input ? 0 : compute_ns(s, v, site, job->band);
    job->state = input ? OVER : WAITING;
    if (input) mark(s, f, BRAID_EDGE, v, job->band);
    if (leaves(f->plan, s->graph, v)) add_messages(s, f, job);
  }
}

static int most_jobs(const struct naive *s, const struct braid_plan *plan) {
  int jobs = 0;
  for (int v = 0; v < s->n_nodes; v++) jobs += plan->slices[v] + rows_of(s, v);
  return jobs;
}

static void settle(struct naive *s, struct frame *f);

static void submit(struct naive *s) {
  struct frame *f = &s->frame[s->submitted];
  f->part = s->next_part;
  f->plan = s->plan->n_mix > 0 ? s->plan->mix[f->part] : s->plan;
  f->number = s->submitted++;
  f->submitted_ns = s->now_ns;
  for (bool taken = true; taken; f->seat += taken) { /* the lowest seat that nobody in flight has */
    taken = false;
    for (int i = 0; i < f->number; i++) taken |= !s->frame[i].ended && s->frame[i].seat == f->seat;
  }
  f->job = zeroed((size_t)most_jobs(s, f->plan), sizeof *f->job);
  for (int site = 0; site < 2; site++) f->here[site] = zeroed((size_t)s->n_nodes * (size_t)s->rows, sizeof(bool));
  int number = 0;
  for (int r = 0; r < s->n_nodes; r++)
    for (int v = 0; v < s->n_nodes; v++)
      if (f->plan->rank[v] == r) add_node(s, f, v, &number);
  s->in_flight[f->part]++;
  s->next_part = braid_mix_next(s->plan, s->credit);
  settle(s, f);
}

/* ------------------------------------------------------------------------------------------------- what may be */

static bool all_over(const struct frame *f, enum braid_resource resource) {
  for (int i = 0; i < f->n_jobs; i++)
    if (f->job[i].resource == resource && f->job[i].state != OVER) return false;
  return true;
}

static bool may_start(const struct naive *s, const struct frame *f, const struct job *job) {
  const struct braid_node *node = braid_graph_node(s->graph, job->node);
  int site = f->plan->site[job->node];
  if (job->message) {
    for (int row = job->band.begin; row < job->band.end; row++)
      if (!f->here[site][job->node * s->rows + row]) return false;
    return !f->plan->serial || all_over(f, site == BRAID_EDGE ? BRAID_RES_EDGE : BRAID_RES_CLOUD);
  }
  if (f->plan->serial && site == BRAID_CLOUD && !(all_over(f, BRAID_RES_EDGE) && all_over(f, BRAID_RES_UP)))
    return false;
  for (int k = 0; k < node->n_in; k++) {
    if (!braid_is_node(node->in[k])) continue;
    struct braid_band need = braid_graph_needs(s->graph, job->node, k, job->band);
    for (int row = need.begin; row < need.end; row++)
      if (!f->here[site][node->in[k] * s->rows + row]) return false;
  }
  return true;
}

/* Is job a of frame f more urgent than job b of frame g? By frame, rank, slice, message; then by seat. */
static bool before(const struct naive *s, const struct frame *f, const struct job *a, const struct frame *g,
                   const struct job *b) {
  bool yields = a->resource == BRAID_RES_EDGE || a->resource == BRAID_RES_UP;
  int64_t x = f->number + (yields ? braid_mix_yield(f->part, s->opts->window) : 0);
  int64_t y = g->number + (yields ? braid_mix_yield(g->part, s->opts->window) : 0);
  if (x != y) return x < y;
  if (a->number != b->number) return a->number < b->number;
  if (f->seat != g->seat) return f->seat < g->seat;
  return a->piece < b->piece;
}

static int capacity(const struct naive *s, int resource) {
  if (resource == BRAID_RES_EDGE) return s->costs->edge_workers;
  return resource == BRAID_RES_CLOUD ? s->costs->cloud_workers : 1;
}

/* Starts the most urgent job that waits for the resource, if there is any. */
static bool start_one(struct naive *s, int resource) {
  struct frame *of = NULL;
  struct job *first = NULL;
  int busy = 0;
  for (int n = 0; n < s->submitted; n++) {
    struct frame *f = &s->frame[n];
    for (int i = 0; i < f->n_jobs && !f->ended; i++) {
      struct job *job = &f->job[i];
      if (job->resource != (enum braid_resource)resource) continue;
      busy += job->state == AT_WORK;
      if (job->state != WAITING || (first && !before(s, f, job, of, first)) || !may_start(s, f, job)) continue;
      of = f;
      first = job;
    }
  }
  if (!first || busy == capacity(s, resource)) return false;
  if (first->message) first->ns = wire_ns(s, first->resource, first->bytes);
  first->state = AT_WORK;
  first->end_ns = s->now_ns + first->ns;
  struct braid_sim_result *sum = &s->out->sum;
  sum->busy_ns[resource] += first->ns;
  sum->up_bytes += resource == BRAID_RES_UP ? first->bytes : 0;
  sum->down_bytes += resource == BRAID_RES_DOWN ? first->bytes : 0;
  s->out->span = realloc(s->out->span, (size_t)(s->out->n_spans + 1) * sizeof *s->out->span);
  if (!s->out->span) abort();
  s->out->span[s->out->n_spans++] = (struct braid_span){first->resource, 0, of->number, first->node, first->band,
                                                        s->now_ns, first->end_ns};
  return true;
}

/* Slices that could be computed, or slices of which something could be sent. */
static void note_queue(struct naive *s, int resource) {
  int waiting = 0;
  for (int n = 0; n < s->submitted; n++) {
    const struct frame *f = &s->frame[n];
    const struct job *last = NULL;
    for (int i = 0; i < f->n_jobs && !f->ended; i++) {
      const struct job *job = &f->job[i];
      if (job->resource != (enum braid_resource)resource || job->state != WAITING) continue;
      if ((last && last->number == job->number) || !may_start(s, f, job)) continue;
      last = job;
      waiting++;
    }
  }
  if (waiting > s->out->sum.queue_max[resource]) s->out->sum.queue_max[resource] = waiting;
}

static bool has_room(const struct naive *s) {
  int in_flight = 0, oldest = s->submitted, window = s->opts->window;
  if (window > s->opts->frames) window = s->opts->frames;
  for (int n = s->submitted - 1; n >= 0; n--)
    if (!s->frame[n].ended) {
      in_flight++;
      oldest = n;
    }
  if (s->submitted == s->opts->frames || in_flight == window) return false;
  if (s->in_flight[s->next_part] == braid_mix_frames(s->plan, s->next_part, window)) return false;
  return s->plan->n_mix == 0 || s->submitted - oldest < BRAID_MIX_AHEAD;
}

/* --------------------------------------------------------------------------------------------- passing of time */

/* Is the frame answered, is it over? */
static void settle(struct naive *s, struct frame *f) {
  bool answered = true, ended = true;
  for (int i = 0; i < f->n_jobs; i++) {
    ended &= f->job[i].state == OVER;
    answered &= !f->job[i].result || f->job[i].state == OVER;
  }
  if (answered && !f->answered) {
    int64_t latency_ns = s->now_ns - f->submitted_ns;
    if (f->number == 0) s->out->sum.first_latency_ns = latency_ns;
    if (latency_ns > s->out->sum.max_latency_ns) s->out->sum.max_latency_ns = latency_ns;
    s->answered_ns[s->n_answered++] = s->now_ns;
  }
  if (ended && !f->ended) s->in_flight[f->part]--;
  f->answered = answered;
  f->ended = ended;
}

static void end_job(struct naive *s, struct frame *f, struct job *job) {
  const struct braid_link_cost *link = job->resource == BRAID_RES_UP ? &s->costs->up : &s->costs->down;
  int site = f->plan->site[job->node];
  if (job->message && job->state == AT_WORK) {
    job->state = FLYING;
    job->end_ns += link->delay_ns;
  }
  if (job->end_ns > s->now_ns) return;
  mark(s, f, job->message ? !site : site, job->node, job->band);
  job->state = OVER;
}

static void end_what_ends(struct naive *s) {
  for (int n = 0; n < s->submitted; n++) {
    struct frame *f = &s->frame[n];
    if (f->ended) continue;
    for (int i = 0; i < f->n_jobs; i++) {
      struct job *job = &f->job[i];
      if ((job->state == AT_WORK || job->state == FLYING) && job->end_ns <= s->now_ns) end_job(s, f, job);
    }
    settle(s, f);
  }
}

/* To the next instant at which something ends; false: never. */
static bool wait(struct naive *s) {
  int64_t next = INT64_MAX;
  for (int n = 0; n < s->submitted; n++)
    for (int i = 0; i < s->frame[n].n_jobs && !s->frame[n].ended; i++) {
      const struct job *job = &s->frame[n].job[i];
      if ((job->state == AT_WORK || job->state == FLYING) && job->end_ns < next) next = job->end_ns;
    }
  if (next == INT64_MAX) return false;
  s->now_ns = next;
  return true;
}

static bool run(struct naive *s) {
  for (;;) {
    while (has_room(s)) submit(s);
    bool over = s->submitted == s->opts->frames;
    for (int resource = 0; resource < 4; resource++) {
      while (start_one(s, resource)) {}
      note_queue(s, resource);
    }
    for (int n = 0; n < s->submitted; n++) over &= s->frame[n].ended;
    if (over) return true;
    if (!wait(s)) return false;
    end_what_ends(s);
  }
}

static int64_t slope_of_the_second_half(const int64_t *at, int n) {
  int from = n / 2 < n - 1 ? n / 2 : n - 2;
  return n == 1 ? at[0] : (at[n - 1] - at[from]) / (n - 1 - from);
}

bool naive_simulate(const struct braid_plan *plan, const struct braid_graph *graph, const struct braid_costs *costs,
                    const struct braid_sim_opts *opts, struct naive_result *out) {
  struct naive s = {.plan = plan, .graph = graph, .costs = costs, .opts = opts, .out = out};
  memset(out, 0, sizeof *out);
  s.n_nodes = braid_graph_size(graph);
  for (int v = 0; v < s.n_nodes; v++)
    if (rows_of(&s, v) > s.rows) s.rows = rows_of(&s, v);
  s.frame = zeroed((size_t)opts->frames, sizeof *s.frame);
  s.answered_ns = zeroed((size_t)opts->frames, sizeof *s.answered_ns);
  s.next_part = braid_mix_next(plan, s.credit);
  bool ends = run(&s);
  if (ends) {
    out->sum.makespan_ns = s.answered_ns[opts->frames - 1];
    out->sum.period_ns = slope_of_the_second_half(s.answered_ns, opts->frames);
  }
  for (int n = 0; n < s.submitted; n++) {
    free(s.frame[n].job);
    free(s.frame[n].here[0]);
    free(s.frame[n].here[1]);
  }
  free(s.frame);
  free(s.answered_ns);
  return ends;
}

void naive_free(struct naive_result *result) {
  free(result->span);
  result->span = NULL;
}
