/* SPDX-License-Identifier: Apache-2.0
 * The timeline simulator: runs compiled plans through virtual time exactly as the executor runs them.
 *
 * Resources: the workers of each site, the uplink, the downlink. Whoever is free takes the most urgent thing that is
 * ready, by (frame, rank, slice); nothing is interrupted, and big tensors are several messages. Time moves from event
 * to event: everything that ends at one instant is booked before anyone chooses again, so the outcome does not depend
 * on the order of simultaneous events. There is no event queue as such: each site has a heap of running tasks, each
 * link one message on the wire, and what is in flight arrives in the order it left because the delay is constant.
 *
 * A frame occupies one of `window` slots from its submission until everything of it has run and been answered. In a
 * mix every frame follows the compiled plan of its part, and a part has slots of its own besides: the next frame waits
 * until both the window and its part have room, as in the runtime, where slots are arenas.
 *
 * A heap's item carries its urgency as key and (slot, task) as value, so that nothing is looked up or divided. */
#include "heap.h"
#include "timeline.h"

#include <math.h>
#include <string.h>

#define IDLE (-1)

struct slot {
  const struct timeline *tl;    /* of the frame's part */
  int *needs;                   /* [n_tasks] still waited for */
  int *sent;                    /* [n_tasks] next chunk to go out */
  int64_t submitted_ns, key[2]; /* key: of task 0, at the edge (and uplink) and in the cloud (and downlink) */
  int number, part, frame, answers, left, tasks[2], chunks_up; /* last four: still to come */
};

struct flight {
  int64_t at_ns;
  int slot, chunk;
};

struct wire {
  struct heap queue; /* tasks whose bands wait to be sent */
  int slot, chunk;   /* on the wire; IDLE */
  int64_t end_ns;
  struct flight *ring; /* in flight, in order of arrival */
  int head, tail, in_flight, size;
  const struct braid_link_cost *link;
  const struct braid_rate_step *step; /* the rate from now on; n_steps 0: constant */
  int n_steps;
};

struct site {
  struct heap ready;   /* tasks */
  struct heap running; /* (end time, lane) */
  struct heap idle;    /* lanes */
  int64_t *lane_task;  /* [workers] what each lane runs */
};

struct sim {
  const struct braid_plan *plan;
  const struct timeline *tl[BRAID_PLAN_MIX_MAX]; /* by part; one of a plan without a mix */
  int n_parts, room[BRAID_PLAN_MIX_MAX];         /* frames that the part may still have in flight */
  double credit[BRAID_PLAN_MIX_MAX];
  int next_part; /* of the next frame */
  const struct braid_sim_opts *opts;
  struct braid_sim_result *result;
  uint64_t ended_ahead; /* bit i: frame oldest + i has ended */
  int oldest;           /* frame that has not */
  int n_slots, most_tasks, submitted, answered, ended;
  int64_t now_ns;
  struct slot *slot;
  struct heap free_slots;
  int64_t *answered_ns;   /* [frames] in order of answering */
  uint8_t *answered_part; /* [frames] likewise */
  struct site site[2];
  struct wire wire[2]; /* up, down */
  int workers[2];
  int64_t limit_ns; /* a frame that takes as long is of no interest; COST_NEVER: all are */
  struct slab *memory;
  bool out_of_memory;
};

struct simulator {
  const struct braid_costs *costs;
  struct tl_layouts layouts;
  struct slab memory; /* of one run */
};

/* ------------------------------------------------------------------------------------------------- memory */

static void *take(struct sim *s, size_t count, size_t bytes) {
  void *p = slab_take(s->memory, count, bytes);
  s->out_of_memory |= p == NULL;
  return p;
}

static void take_site(struct sim *s, enum braid_site which, int workers) {
  struct site *site = &s->site[which];
  size_t most = 0;
  for (int i = 0; i < s->n_parts; i++) {
    size_t tasks = (size_t)(s->tl[i]->tasks[which] + s->tl[i]->inputs);
    most = tasks > most ? tasks : most;
  }
  site->ready.item = take(s, (size_t)s->n_slots * most + 1, sizeof *site->ready.item);
  site->running.item = take(s, (size_t)workers + 1, sizeof *site->running.item);
  site->idle.item = take(s, (size_t)workers + 1, sizeof *site->idle.item);
  site->lane_task = take(s, (size_t)workers, sizeof *site->lane_task);
  if (!site->idle.item) return;
  for (int lane = 0; lane < workers; lane++) heap_push(&site->idle, lane, 0);
}

static void take_wire(struct sim *s, int which, const struct braid_link_cost *link) {
  struct wire *wire = &s->wire[which];
  int most = 0;
  for (int i = 0; i < s->n_parts; i++) most = s->tl[i]->chunks[which] > most ? s->tl[i]->chunks[which] : most;
  wire->chunk = IDLE;
  wire->link = link;
  wire->step = which == 0 ? s->opts->up_rate : s->opts->down_rate;
  wire->n_steps = which == 0 ? s->opts->n_up_rate : s->opts->n_down_rate;
  wire->size = s->n_slots * most + 1;
  wire->queue.item = take(s, (size_t)wire->size, sizeof *wire->queue.item);
  wire->ring = take(s, (size_t)wire->size, sizeof *wire->ring);
}

static enum braid_status take_all(struct sim *s, const struct braid_costs *costs) {
  for (int i = 0; i < s->n_parts; i++)
    if (s->tl[i]->n_tasks > s->most_tasks) s->most_tasks = s->tl[i]->n_tasks;
  size_t n = (size_t)s->most_tasks, frames = (size_t)s->opts->frames;
  s->slot = take(s, (size_t)s->n_slots, sizeof *s->slot);
  s->free_slots.item = take(s, (size_t)s->n_slots, sizeof *s->free_slots.item);
  s->answered_ns = take(s, frames, sizeof *s->answered_ns);
  s->answered_part = take(s, frames, sizeof *s->answered_part);
  int *counters = take(s, 2 * n * (size_t)s->n_slots, sizeof *counters);
  for (int i = 0; i < 2; i++) take_site(s, (enum braid_site)i, cost_workers(costs, (enum braid_site)i));
  take_wire(s, 0, &costs->up);
  take_wire(s, 1, &costs->down);
  if (s->out_of_memory) return braid_fail(BRAID_ENOMEM, "simulating %zu tasks in %d frames at once", n, s->n_slots);
  for (int i = 0; i < s->n_slots; i++) {
    s->slot[i].number = i;
    s->slot[i].needs = counters + 2 * n * (size_t)i;
    s->slot[i].sent = s->slot[i].needs + n;
    heap_push(&s->free_slots, i, 0);
  }
  return BRAID_OK;
}

/* ------------------------------------------------------------------------------------- what makes what ready */

static int64_t to_value(const struct slot *slot, int task) {
  return (int64_t)slot->number << 32 | task;
}

static struct slot *from_value(const struct sim *s, int64_t value, int *task) {
  *task = (int)(value & INT32_MAX);
  return &s->slot[value >> 32];
}

static void make_ready(struct sim *s, struct slot *slot, int task) {
  int site = slot->tl->task[task].site;
  heap_push(&s->site[site].ready, slot->key[site] + task, to_value(slot, task));
}

static void satisfy(struct sim *s, struct slot *slot, int task) {
  if (--slot->needs[task] == 0) make_ready(s, slot, task);
}

static void queue_send(struct sim *s, struct slot *slot, int task) {
  const struct tl_task *t = &slot->tl->task[task];
  if (t->chunk_begin == t->chunk_end) return;
  slot->sent[task] = t->chunk_begin;
  heap_push(&s->wire[t->site == BRAID_EDGE ? 0 : 1].queue, slot->key[t->site] + task, to_value(slot, task));
}

/* Serial plans: the edge sends when all its tasks are done, ... */
static void open_sends(struct sim *s, struct slot *slot, enum braid_site site) {
  for (int t = 0; t < slot->tl->n_tasks; t++)
    if (slot->tl->task[t].site == site) queue_send(s, slot, t);
}

/* ... and the cloud starts when everything has arrived (and the edge has finished). */
static void open_cloud_if_due(struct sim *s, struct slot *slot) {
  if (!slot->tl->serial || slot->chunks_up > 0 || slot->tasks[BRAID_EDGE] > 0) return;
  slot->chunks_up = -1; /* once */
  for (int t = 0; t < slot->tl->n_tasks; t++)
    if (slot->tl->task[t].site == BRAID_CLOUD) satisfy(s, slot, t);
}

static void answer(struct sim *s, struct slot *slot) {
  if (--slot->answers > 0) return;
  int64_t latency_ns = s->now_ns - slot->submitted_ns;
  if (slot->frame == 0) s->result->first_latency_ns = latency_ns;
  if (latency_ns > s->result->max_latency_ns) s->result->max_latency_ns = latency_ns;
  s->answered_part[s->answered] = (uint8_t)slot->part;
  s->answered_ns[s->answered++] = s->now_ns;
}

static void leave(struct sim *s, struct slot *slot) {
  if (--slot->left > 0) return;
  s->ended++;
  if (s->plan->n_mix > 0) {
    s->ended_ahead |= UINT64_C(1) << (slot->frame - s->oldest);
    for (; s->ended_ahead & 1; s->ended_ahead >>= 1) s->oldest++;
  }
  s->room[slot->part]++;
  heap_push(&s->free_slots, slot->number, 0);
}

static void task_done(struct sim *s, struct slot *slot, int task) {
  const struct timeline *tl = slot->tl;
  const struct tl_task *t = &tl->task[task];
  for (int i = t->next_begin; i < t->next_end; i++) satisfy(s, slot, tl->next[i]);
  if (!t->input) slot->tasks[t->site]--;
  if (!tl->serial)
    queue_send(s, slot, task);
  else if (!t->input && slot->tasks[t->site] == 0)
    open_sends(s, slot, (enum braid_site)t->site);
  if (!t->input && t->site == BRAID_EDGE) open_cloud_if_due(s, slot);
  if (t->answers) answer(s, slot);
  leave(s, slot);
}

static void chunk_arrived(struct sim *s, struct slot *slot, int chunk) {
  const struct timeline *tl = slot->tl;
  const struct tl_chunk *c = &tl->chunk[chunk];
  for (int i = c->next_begin; i < c->next_end; i++) satisfy(s, slot, tl->next[i]);
  if (tl->task[c->task].site == BRAID_EDGE) {
    slot->chunks_up--;
    open_cloud_if_due(s, slot);
  }
  if (c->answers) answer(s, slot);
  leave(s, slot);
}

static void fill_slot(struct sim *s, struct slot *slot) {
  const struct timeline *tl = s->tl[s->next_part];
  slot->tl = tl;
  slot->part = s->next_part;
  slot->frame = s->submitted++;
  slot->key[BRAID_EDGE] = ((int64_t)slot->frame + braid_mix_yield(slot->part, s->opts->window)) * s->most_tasks;
  slot->key[BRAID_CLOUD] = (int64_t)slot->frame * s->most_tasks;
  memcpy(slot->needs, tl->needs, (size_t)tl->n_tasks * sizeof *slot->needs);
  slot->submitted_ns = s->now_ns;
  slot->answers = tl->answers;
  slot->left = tl->n_tasks + tl->n_chunks;
  slot->tasks[0] = tl->tasks[0];
  slot->tasks[1] = tl->tasks[1];
  slot->chunks_up = tl->chunks[0];
}

static void submit(struct sim *s) {
  struct slot *slot = &s->slot[heap_pop(&s->free_slots).key];
  fill_slot(s, slot);
  s->room[slot->part]--;
  s->next_part = braid_mix_next(s->plan, s->credit);
  const struct timeline *tl = slot->tl;
  for (int i = 0; i < tl->n_sources; i++)
    if (!tl->task[tl->source[i]].input) make_ready(s, slot, tl->source[i]);
  if (tl->serial && tl->tasks[BRAID_EDGE] == 0) open_sends(s, slot, BRAID_EDGE);
  open_cloud_if_due(s, slot);
  for (int i = 0; i < tl->n_sources; i++)
    if (tl->task[tl->source[i]].input) task_done(s, slot, tl->source[i]);
}

/* ---------------------------------------------------------------------------------------------- resources */

static void report(const struct sim *s, enum braid_resource resource, int lane, const struct slot *slot, int task,
                   struct braid_band band, int64_t ns) {
  s->result->busy_ns[resource] += ns;
  if (!s->opts->span) return;
  struct braid_span span = {resource, lane, slot->frame, slot->tl->task[task].node, band, s->now_ns, s->now_ns + ns};
  s->opts->span(s->opts->ctx, &span);
}

static void start_tasks(struct sim *s, enum braid_site which) {
  struct site *site = &s->site[which];
  while (site->idle.n > 0 && site->ready.n > 0) {
    int64_t value = heap_pop(&site->ready).value;
    int lane = (int)heap_pop(&site->idle).key, task;
    const struct slot *slot = from_value(s, value, &task);
    const struct tl_task *t = &slot->tl->task[task];
    report(s, which == BRAID_EDGE ? BRAID_RES_EDGE : BRAID_RES_CLOUD, lane, slot, task, t->band, t->ns);
    heap_push(&site->running, s->now_ns + t->ns, lane);
    site->lane_task[lane] = value;
  }
}

/* Under a rate that changes: the bits go as fast as each step lets them. */
static int64_t traced_ns(struct wire *wire, int64_t now_ns, size_t bytes) {
  int64_t at_ns = now_ns + wire->link->message_ns;
  double bits = 8 * (double)bytes, rate = wire->link->bits_per_s;
  while (wire->n_steps > 1 && wire->step[1].at_ns <= now_ns) { /* time never goes back */
    wire->step++;
    wire->n_steps--;
  }
  for (int i = 0; i < wire->n_steps; i++) {
    const struct braid_rate_step *step = &wire->step[i];
    double fit = step->at_ns > at_ns ? rate * (double)(step->at_ns - at_ns) / 1e9 : 0;
    if (fit >= bits) break;
    bits -= fit;
    at_ns = max_ns(at_ns, step->at_ns);
    rate = step->bits_per_s;
  }
  return at_ns - now_ns + (int64_t)ceil(1e9 * bits / rate);
}

static void start_message(struct sim *s, int which) {
  struct wire *wire = &s->wire[which];
  if (wire->chunk != IDLE || wire->queue.n == 0) return;
  int task;
  struct slot *slot = from_value(s, wire->queue.item[0].value, &task);
  wire->slot = slot->number;
  wire->chunk = slot->sent[task]++;
  if (slot->sent[task] == slot->tl->task[task].chunk_end) heap_pop(&wire->queue);
  const struct tl_chunk *chunk = &slot->tl->chunk[wire->chunk];
  int64_t ns = wire->n_steps > 0 ? traced_ns(wire, s->now_ns, chunk->bytes) : chunk->ns;
  wire->end_ns = s->now_ns + ns;
  report(s, which == 0 ? BRAID_RES_UP : BRAID_RES_DOWN, 0, slot, task, chunk->band, ns);
  *(which == 0 ? &s->result->up_bytes : &s->result->down_bytes) += chunk->bytes;
}

static void note_queue(struct sim *s, enum braid_resource resource, int length) {
  if (length > s->result->queue_max[resource]) s->result->queue_max[resource] = length;
}

static bool has_room(const struct sim *s) {
  if (s->free_slots.n == 0 || s->submitted == s->opts->frames || s->room[s->next_part] == 0) return false;
  return s->plan->n_mix == 0 || s->submitted - s->oldest < BRAID_MIX_AHEAD;
}

static void start_all(struct sim *s) {
  while (has_room(s)) submit(s);
  for (int i = 0; i < 2; i++) {
    start_tasks(s, (enum braid_site)i);
    start_message(s, i);
    note_queue(s, i == 0 ? BRAID_RES_EDGE : BRAID_RES_CLOUD, s->site[i].ready.n);
    note_queue(s, i == 0 ? BRAID_RES_UP : BRAID_RES_DOWN, s->wire[i].queue.n);
  }
}

static void end_tasks(struct sim *s, struct site *site) {
  while (site->running.n > 0 && site->running.item[0].key <= s->now_ns) {
    int lane = (int)heap_pop(&site->running).value, task;
    struct slot *slot = from_value(s, site->lane_task[lane], &task);
    heap_push(&site->idle, lane, 0);
    task_done(s, slot, task);
  }
}

static void end_message(struct sim *s, struct wire *wire) {
  if (wire->chunk == IDLE || wire->end_ns > s->now_ns) return;
  wire->ring[wire->tail] = (struct flight){wire->end_ns + wire->link->delay_ns, wire->slot, wire->chunk};
  wire->tail = wire->tail + 1 < wire->size ? wire->tail + 1 : 0;
  wire->in_flight++;
  wire->chunk = IDLE;
}

static void land_messages(struct sim *s, struct wire *wire) {
  while (wire->in_flight > 0 && wire->ring[wire->head].at_ns <= s->now_ns) {
    struct flight flight = wire->ring[wire->head];
    wire->head = wire->head + 1 < wire->size ? wire->head + 1 : 0;
    wire->in_flight--;
    chunk_arrived(s, &s->slot[flight.slot], flight.chunk);
  }
}

static int64_t next_event_ns(const struct sim *s) {
  int64_t next = INT64_MAX;
  for (int i = 0; i < 2; i++) {
    const struct heap *running = &s->site[i].running;
    const struct wire *wire = &s->wire[i];
    if (running->n > 0 && running->item[0].key < next) next = running->item[0].key;
    if (wire->chunk != IDLE && wire->end_ns < next) next = wire->end_ns;
    if (wire->in_flight > 0 && wire->ring[wire->head].at_ns < next) next = wire->ring[wire->head].at_ns;
  }
  return next;
}

/* Whatever has not begun takes its time on its resource, and what runs in the cloud has to come down. */
static bool is_hopeless(const struct sim *s) {
  const struct timeline *tl = s->tl[0];
  if (s->limit_ns >= COST_NEVER) return false;
  if (s->now_ns >= s->limit_ns) return true;
  if (!tl->all_count) return false;
  int64_t left[4], room_ns = s->limit_ns - s->now_ns;
  for (int r = 0; r < 4; r++) left[r] = tl->total_ns[r] - s->result->busy_ns[r];
  int64_t back_ns = s->wire[1].link->delay_ns;
  return left[BRAID_RES_EDGE] >= room_ns * s->workers[BRAID_EDGE] ||
         (left[BRAID_RES_CLOUD] > 0 && left[BRAID_RES_CLOUD] >= (room_ns - back_ns) * s->workers[BRAID_CLOUD]) ||
         (left[BRAID_RES_UP] > 0 && left[BRAID_RES_UP] + s->wire[0].link->delay_ns >= room_ns) ||
         (left[BRAID_RES_DOWN] > 0 && left[BRAID_RES_DOWN] + back_ns >= room_ns);
}

/* *done: false when the limit made it stop. */
static enum braid_status run(struct sim *s, bool *done) {
  for (;;) {
    start_all(s);
    *done = s->ended == s->opts->frames || (s->limit_ns < COST_NEVER && s->answered > 0);
    if (*done || is_hopeless(s)) return BRAID_OK;
    int64_t next = next_event_ns(s);
    if (next == INT64_MAX) return braid_fail(BRAID_EINVAL, "this plan waits for itself: frame %d never ends", s->ended);
    s->now_ns = next;
    for (int i = 0; i < 2; i++) {
      end_tasks(s, &s->site[i]);
      end_message(s, &s->wire[i]);
      land_messages(s, &s->wire[i]);
    }
  }
}

/* --------------------------------------------------------------------------------------------- the outside */

/* How far the parts of the answers in (from, n) are from their shares, in frames. */
static double imbalance(const struct sim *s, int from, const int *after) {
  double off = 0;
  for (int i = 0; i < s->n_parts; i++) off += fabs(after[i] - s->plan->mix_weight[i] * (s->opts->frames - 1 - from));
  return off;
}

/* Parts take unequal times: the run is measured from where the answers after it had them in nearly their shares. */
static int balanced_start(const struct sim *s) {
  int n = s->opts->frames, after[BRAID_PLAN_MIX_MAX] = {0}, best = n / 2;
  double least = (double)INFINITY;
  for (int from = n - 2; from >= n / 3; from--) {
    after[s->answered_part[from + 1]]++;
    if (from > n * 2 / 3) continue;
    double off = imbalance(s, from, after) / (n - 1 - from);
    if (off < least) {
      least = off;
      best = from;
    }
  }
  return best;
}

/* Slope over about the second half, when the pipeline has filled. */
static int64_t period_of(const struct sim *s) {
  int n = s->opts->frames;
  if (n == 1) return s->answered_ns[0];
  int from = s->plan->n_mix > 0 ? balanced_start(s) : n / 2;
  if (from >= n - 1) from = n - 2;
  return (s->answered_ns[n - 1] - s->answered_ns[from]) / (n - 1 - from);
}

/* No sum of the run may leave int64, even if nothing overlapped. */
static enum braid_status check_range(const struct sim *s, const struct braid_costs *costs) {
  double most = 0, slowest[2] = {1, 1};
  for (int w = 0; w < 2; w++)
    for (int i = 0; i < s->wire[w].n_steps; i++) {
      double slower = s->wire[w].link->bits_per_s / s->wire[w].step[i].bits_per_s;
      if (slower > slowest[w]) slowest[w] = slower;
    }
  for (int i = 0; i < s->n_parts; i++) {
    double total = (double)(costs->up.delay_ns + costs->down.delay_ns);
    for (int t = 0; t < s->tl[i]->n_tasks; t++) total += (double)s->tl[i]->task[t].ns;
    for (int c = 0; c < s->tl[i]->n_chunks; c++)
      total += (double)s->tl[i]->chunk[c].ns * slowest[s->tl[i]->task[s->tl[i]->chunk[c].task].site];
    if (total > most) most = total;
  }
  if (most * s->opts->frames < (double)COST_NEVER) return BRAID_OK;
  return braid_fail(BRAID_EINVAL, "%d frames of up to %.0f s each are too long to be simulated", s->opts->frames,
                    most / 1e9);
}

static enum braid_status compile_parts(struct sim *s, struct tl_layouts *layouts) {
  int n = s->plan->n_mix > 0 ? s->plan->n_mix : 1;
  for (; s->n_parts < n; s->n_parts++) {
    const struct braid_plan *part = s->plan->n_mix > 0 ? s->plan->mix[s->n_parts] : s->plan;
    BRAID_TRY(timeline_create(part, layouts, s->memory, &s->tl[s->n_parts]));
    s->room[s->n_parts] = braid_mix_frames(s->plan, s->n_parts, s->n_slots);
  }
  s->next_part = braid_mix_next(s->plan, s->credit);
  return BRAID_OK;
}

static enum braid_status simulate(struct sim *s, struct simulator *with) {
  bool done = false;
  BRAID_TRY(compile_parts(s, &with->layouts));
  BRAID_TRY(take_all(s, with->costs));
  BRAID_TRY(check_range(s, with->costs));
  BRAID_TRY(run(s, &done));
  if (!done) {
    s->result->first_latency_ns = COST_NEVER;
    return BRAID_OK;
  }
  s->result->makespan_ns = s->answered_ns[s->opts->frames - 1];
  s->result->period_ns = period_of(s);
  return BRAID_OK;
}

enum braid_status simulator_create(const struct braid_graph *graph, const struct braid_costs *costs,
                                   struct simulator **out) {
  struct simulator *sim = braid_calloc(1, sizeof *sim);
  if (!sim) return braid_fail(BRAID_ENOMEM, "simulating %d nodes", braid_graph_size(graph));
  sim->costs = costs;
  enum braid_status status = tl_layouts_open(graph, costs, &sim->layouts);
  if (status == BRAID_OK)
    *out = sim;
  else
    simulator_destroy(&sim);
  return status;
}

void simulator_destroy(struct simulator **simulator) {
  if (!simulator || !*simulator) return;
  tl_layouts_close(&(*simulator)->layouts);
  slab_free(&(*simulator)->memory);
  braid_free(*simulator);
  *simulator = NULL;
}

static enum braid_status run_with(struct simulator *with, const struct braid_plan *plan,
                                  const struct braid_sim_opts *opts, int64_t limit_ns,
                                  struct braid_sim_result *result) {
  struct sim s = {.plan = plan, .opts = opts, .result = result, .memory = &with->memory, .limit_ns = limit_ns};
  s.n_slots = opts->window < opts->frames ? opts->window : opts->frames;
  for (int i = 0; i < 2; i++) s.workers[i] = cost_workers(with->costs, (enum braid_site)i);
  memset(result, 0, sizeof *result);
  slab_reset(&with->memory);
  return simulate(&s, with);
}

enum braid_status simulator_run(struct simulator *simulator, const struct braid_plan *plan,
                                const struct braid_sim_opts *opts, struct braid_sim_result *result) {
  return run_with(simulator, plan, opts, COST_NEVER, result);
}

enum braid_status simulator_latency(struct simulator *simulator, const struct braid_plan *plan, int64_t limit_ns,
                                    int64_t *ns) {
  struct braid_sim_result r;
  BRAID_TRY(run_with(simulator, plan, &(struct braid_sim_opts){.frames = 1, .window = 1}, limit_ns, &r));
  *ns = r.first_latency_ns < limit_ns ? r.first_latency_ns : COST_NEVER;
  return BRAID_OK;
}

enum braid_status sim_run(const struct braid_plan *plan, const struct braid_graph *graph,
                          const struct braid_costs *costs, const struct braid_sim_opts *opts,
                          struct braid_sim_result *result) {
  struct simulator *simulator = NULL;
  BRAID_TRY(simulator_create(graph, costs, &simulator));
  enum braid_status status = simulator_run(simulator, plan, opts, result);
  simulator_destroy(&simulator);
  return status;
}

static enum braid_status check_rates(const struct braid_rate_step *step, int n, const char *name) {
  if (n < 0 || (n > 0 && !step)) return braid_fail(BRAID_EINVAL, "%s: %d rates are no list", name, n);
  for (int i = 0; i < n; i++) {
    if (!(step[i].bits_per_s > 0 && step[i].bits_per_s < 1e18))
      return braid_fail(BRAID_EINVAL, "%s rate %d is %g bit/s: it must be above 0", name, i, step[i].bits_per_s);
    if (step[i].at_ns < 0 || (i > 0 && step[i].at_ns <= step[i - 1].at_ns))
      return braid_fail(BRAID_EINVAL, "%s rate %d begins at %lld ns, not after the one before", name, i,
                        (long long)step[i].at_ns);
  }
  return BRAID_OK;
}

enum braid_status braid_simulate(const struct braid_plan *plan, const struct braid_graph *graph,
                                 const struct braid_costs *costs, const struct braid_sim_opts *opts,
                                 struct braid_sim_result *result) {
  BRAID_TRY(braid_plan_check(plan, graph, false));
  BRAID_TRY(costs_check(costs, graph));
  BRAID_TRY(check_rates(opts->up_rate, opts->n_up_rate, "uplink"));
  BRAID_TRY(check_rates(opts->down_rate, opts->n_down_rate, "downlink"));
  if (opts->frames < 1 || opts->frames > BRAID_SIM_FRAMES_MAX || opts->window < 1)
    return braid_fail(BRAID_EINVAL, "simulating %d frames, %d at once: 1..%d frames and a window of at least 1",
                      opts->frames, opts->window, BRAID_SIM_FRAMES_MAX);
  return sim_run(plan, graph, costs, opts, result);
}
