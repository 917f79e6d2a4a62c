/* SPDX-License-Identifier: Apache-2.0
 * The timeline simulator: runs compiled plans through virtual time exactly as the executor runs them.
 *
 * Resources: the workers of each site, the uplink, the downlink. Whoever is free takes the most urgent thing that is
 * ready, by (frame, rank, slice); nothing is interrupted, and big tensors are several messages. Time moves from event
 * to event: everything that ends at one instant is booked before anyone chooses again, so the outcome does not depend
 * on the order of simultaneous events. There is no event queue as such: each site has a heap of running tasks, each
 * link one message on the wire, and what is in flight arrives in the order it left because the delay is constant.
 *
 * A frame occupies one of `window` slots from its submission until everything of it has run and been answered. */
#include "heap.h"
#include "timeline.h"

#include <string.h>

#define IDLE (-1)

struct slot {
  int *needs; /* [n_tasks] still waited for */
  int *sent;  /* [n_tasks] next chunk to go out */
  int64_t submitted_ns;
  int frame, answers, left, tasks[2], chunks_up; /* still to come */
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
  int64_t head, tail, size;
  int64_t delay_ns;
};

struct site {
  struct heap ready;   /* keys of tasks */
  struct heap running; /* (end time, lane) */
  struct heap idle;    /* lanes */
  int64_t *lane_key;   /* [workers] what each lane runs */
};

struct sim {
  const struct timeline *tl;
  const struct braid_sim_opts *opts;
  struct braid_sim_result *result;
  int n_slots, submitted, answered, ended;
  int64_t now_ns;
  struct slot *slot;
  struct heap free_slots;
  int *slot_of;         /* [frames] */
  int64_t *answered_ns; /* [frames] in order of answering */
  struct site site[2];
  struct wire wire[2]; /* up, down */
  void *memory[20];
  int n_memory;
  bool out_of_memory;
};

/* ------------------------------------------------------------------------------------------------- memory */

static void *take(struct sim *s, size_t count, size_t bytes) {
  size_t total = 0;
  void *p = braid_mul_size(count, bytes, &total) ? braid_malloc(total) : NULL;
  if (p)
    s->memory[s->n_memory++] = p;
  else
    s->out_of_memory = true;
  return p;
}

static void take_site(struct sim *s, enum braid_site which, int workers) {
  struct site *site = &s->site[which];
  size_t tasks = (size_t)s->n_slots * (size_t)(s->tl->tasks[which] + s->tl->inputs);
  site->ready.item = take(s, tasks + 1, sizeof *site->ready.item);
  site->running.item = take(s, (size_t)workers + 1, sizeof *site->running.item);
  site->idle.item = take(s, (size_t)workers + 1, sizeof *site->idle.item);
  site->lane_key = take(s, (size_t)workers, sizeof *site->lane_key);
  if (!site->idle.item) return;
  for (int lane = 0; lane < workers; lane++) heap_push(&site->idle, lane, 0);
}

static void take_wire(struct sim *s, int which, int64_t delay_ns) {
  struct wire *wire = &s->wire[which];
  int chunks = s->tl->chunks[which];
  wire->chunk = IDLE;
  wire->delay_ns = delay_ns;
  wire->size = (int64_t)s->n_slots * chunks + 1;
  wire->queue.item = take(s, (size_t)wire->size, sizeof *wire->queue.item);
  wire->ring = take(s, (size_t)wire->size, sizeof *wire->ring);
}

static enum braid_status take_all(struct sim *s, const struct braid_costs *costs) {
  size_t n = (size_t)s->tl->n_tasks, frames = (size_t)s->opts->frames;
  s->slot = take(s, (size_t)s->n_slots, sizeof *s->slot);
  s->free_slots.item = take(s, (size_t)s->n_slots, sizeof *s->free_slots.item);
  s->slot_of = take(s, frames, sizeof *s->slot_of);
  s->answered_ns = take(s, frames, sizeof *s->answered_ns);
  int *counters = take(s, 2 * n * (size_t)s->n_slots, sizeof *counters);
  for (int i = 0; i < 2; i++) take_site(s, (enum braid_site)i, cost_workers(costs, (enum braid_site)i));
  take_wire(s, 0, costs->up.delay_ns);
  take_wire(s, 1, costs->down.delay_ns);
  if (s->out_of_memory) return braid_fail(BRAID_ENOMEM, "simulating %zu tasks in %d frames at once", n, s->n_slots);
  for (int i = 0; i < s->n_slots; i++) {
    s->slot[i].needs = counters + 2 * n * (size_t)i;
    s->slot[i].sent = s->slot[i].needs + n;
    heap_push(&s->free_slots, i, 0);
  }
  return BRAID_OK;
}

/* ------------------------------------------------------------------------------------- what makes what ready */

static int64_t key_of(const struct sim *s, const struct slot *slot, int task) {
  return (int64_t)slot->frame * s->tl->n_tasks + task;
}

static struct slot *slot_of_key(const struct sim *s, int64_t key, int *task) {
  *task = (int)(key % s->tl->n_tasks);
  return &s->slot[s->slot_of[key / s->tl->n_tasks]];
}

static void make_ready(struct sim *s, struct slot *slot, int task) {
  heap_push(&s->site[s->tl->task[task].site].ready, key_of(s, slot, task), 0);
}

static void satisfy(struct sim *s, struct slot *slot, int task) {
  if (--slot->needs[task] == 0) make_ready(s, slot, task);
}

static void queue_send(struct sim *s, struct slot *slot, int task) {
  const struct tl_task *t = &s->tl->task[task];
  if (t->chunk_begin == t->chunk_end) return;
  slot->sent[task] = t->chunk_begin;
  heap_push(&s->wire[t->site == BRAID_EDGE ? 0 : 1].queue, key_of(s, slot, task), 0);
}

/* Serial plans: the edge sends when all its tasks are done, ... */
static void open_sends(struct sim *s, struct slot *slot, enum braid_site site) {
  for (int t = 0; t < s->tl->n_tasks; t++)
    if (s->tl->task[t].site == site) queue_send(s, slot, t);
}

/* ... and the cloud starts when everything has arrived (and the edge has finished). */
static void open_cloud_if_due(struct sim *s, struct slot *slot) {
  if (!s->tl->serial || slot->chunks_up > 0 || slot->tasks[BRAID_EDGE] > 0) return;
  slot->chunks_up = -1; /* once */
  for (int t = 0; t < s->tl->n_tasks; t++)
    if (s->tl->task[t].site == BRAID_CLOUD) satisfy(s, slot, t);
}

static void answer(struct sim *s, struct slot *slot) {
  if (--slot->answers > 0) return;
  if (slot->frame == 0) s->result->first_latency_ns = s->now_ns - slot->submitted_ns;
  s->answered_ns[s->answered++] = s->now_ns;
}

static void leave(struct sim *s, struct slot *slot) {
  if (--slot->left > 0) return;
  s->ended++;
  heap_push(&s->free_slots, slot - s->slot, 0);
}

static void task_done(struct sim *s, struct slot *slot, int task) {
  const struct timeline *tl = s->tl;
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
  const struct tl_chunk *c = &s->tl->chunk[chunk];
  for (int i = c->next_begin; i < c->next_end; i++) satisfy(s, slot, s->tl->next[i]);
  if (s->tl->task[c->task].site == BRAID_EDGE) {
    slot->chunks_up--;
    open_cloud_if_due(s, slot);
  }
  if (c->answers) answer(s, slot);
  leave(s, slot);
}

static void submit(struct sim *s) {
  const struct timeline *tl = s->tl;
  int number = (int)heap_pop(&s->free_slots).key;
  struct slot *slot = &s->slot[number];
  slot->frame = s->submitted++;
  s->slot_of[slot->frame] = number;
  memcpy(slot->needs, tl->needs, (size_t)tl->n_tasks * sizeof *slot->needs);
  slot->submitted_ns = s->now_ns;
  slot->answers = tl->answers;
  slot->left = tl->n_tasks + tl->n_chunks;
  slot->tasks[0] = tl->tasks[0];
  slot->tasks[1] = tl->tasks[1];
  slot->chunks_up = tl->chunks[0];
  for (int t = 0; t < tl->n_tasks; t++)
    if (tl->needs[t] == 0 && !tl->task[t].input) make_ready(s, slot, t);
  if (tl->serial && tl->tasks[BRAID_EDGE] == 0) open_sends(s, slot, BRAID_EDGE);
  open_cloud_if_due(s, slot);
  for (int t = 0; t < tl->n_tasks; t++)
    if (tl->task[t].input) task_done(s, slot, t);
}

/* ---------------------------------------------------------------------------------------------- resources */

static void report(const struct sim *s, enum braid_resource resource, int lane, const struct slot *slot, int task,
                   struct braid_band band, int64_t ns) {
  s->result->busy_ns[resource] += ns;
  if (!s->opts->span) return;
  struct braid_span span = {resource, lane, slot->frame, s->tl->task[task].node, band, s->now_ns, s->now_ns + ns};
  s->opts->span(s->opts->ctx, &span);
}

static void start_tasks(struct sim *s, enum braid_site which) {
  struct site *site = &s->site[which];
  while (site->idle.n > 0 && site->ready.n > 0) {
    int64_t key = heap_pop(&site->ready).key;
    int lane = (int)heap_pop(&site->idle).key, task;
    const struct slot *slot = slot_of_key(s, key, &task);
    const struct tl_task *t = &s->tl->task[task];
    report(s, which == BRAID_EDGE ? BRAID_RES_EDGE : BRAID_RES_CLOUD, lane, slot, task, t->band, t->ns);
    heap_push(&site->running, s->now_ns + t->ns, lane);
    site->lane_key[lane] = key;
  }
}

static void start_message(struct sim *s, int which) {
  struct wire *wire = &s->wire[which];
  if (wire->chunk != IDLE || wire->queue.n == 0) return;
  int task;
  struct slot *slot = slot_of_key(s, wire->queue.item[0].key, &task);
  wire->slot = (int)(slot - s->slot);
  wire->chunk = slot->sent[task]++;
  if (slot->sent[task] == s->tl->task[task].chunk_end) heap_pop(&wire->queue);
  const struct tl_chunk *chunk = &s->tl->chunk[wire->chunk];
  wire->end_ns = s->now_ns + chunk->ns;
  report(s, which == 0 ? BRAID_RES_UP : BRAID_RES_DOWN, 0, slot, task, chunk->band, chunk->ns);
  *(which == 0 ? &s->result->up_bytes : &s->result->down_bytes) += chunk->bytes;
}

static void start_all(struct sim *s) {
  while (s->free_slots.n > 0 && s->submitted < s->opts->frames) submit(s);
  for (int i = 0; i < 2; i++) {
    start_tasks(s, (enum braid_site)i);
    start_message(s, i);
  }
}

static void end_tasks(struct sim *s, struct site *site) {
  while (site->running.n > 0 && site->running.item[0].key <= s->now_ns) {
    int lane = (int)heap_pop(&site->running).value, task;
    struct slot *slot = slot_of_key(s, site->lane_key[lane], &task);
    heap_push(&site->idle, lane, 0);
    task_done(s, slot, task);
  }
}

static void end_message(struct sim *s, struct wire *wire) {
  if (wire->chunk == IDLE || wire->end_ns > s->now_ns) return;
  struct flight flight = {wire->end_ns + wire->delay_ns, wire->slot, wire->chunk};
  wire->ring[wire->tail++ % wire->size] = flight;
  wire->chunk = IDLE;
}

static void land_messages(struct sim *s, struct wire *wire) {
  while (wire->head < wire->tail && wire->ring[wire->head % wire->size].at_ns <= s->now_ns) {
    struct flight flight = wire->ring[wire->head++ % wire->size];
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
    if (wire->head < wire->tail && wire->ring[wire->head % wire->size].at_ns < next)
      next = wire->ring[wire->head % wire->size].at_ns;
  }
  return next;
}

static enum braid_status run(struct sim *s) {
  for (;;) {
    start_all(s);
    if (s->ended == s->opts->frames) return BRAID_OK;
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

/* Slope over the second half, when the pipeline has filled. */
static int64_t period_of(const int64_t *answered_ns, int n) {
  if (n == 1) return answered_ns[0];
  int from = n / 2;
  if (from == n - 1) from--;
  return (answered_ns[n - 1] - answered_ns[from]) / (n - 1 - from);
}

enum braid_status sim_run(const struct braid_plan *plan, const struct braid_graph *graph,
                          const struct braid_costs *costs, const struct braid_sim_opts *opts,
                          struct braid_sim_result *result) {
  struct timeline *tl = NULL;
  BRAID_TRY(timeline_create(plan, graph, costs, &tl));
  struct sim s = {.tl = tl, .opts = opts, .result = result};
  s.n_slots = opts->window < opts->frames ? opts->window : opts->frames;
  memset(result, 0, sizeof *result);
  enum braid_status status = take_all(&s, costs);
  if (status == BRAID_OK) status = run(&s);
  if (status == BRAID_OK) {
    result->makespan_ns = s.answered_ns[opts->frames - 1];
    result->period_ns = period_of(s.answered_ns, opts->frames);
  }
  for (int i = 0; i < s.n_memory; i++) braid_free(s.memory[i]);
  timeline_destroy(&tl);
  return status;
}

enum braid_status braid_simulate(const struct braid_plan *plan, const struct braid_graph *graph,
                                 const struct braid_costs *costs, const struct braid_sim_opts *opts,
                                 struct braid_sim_result *result) {
  BRAID_TRY(braid_plan_check(plan, graph, false));
  BRAID_TRY(costs_check(costs, graph));
  if (opts->frames < 1 || opts->frames > 100000 || opts->window < 1)
    return braid_fail(BRAID_EINVAL, "simulating %d frames, %d at once: 1..100000 frames and a window of at least 1",
                      opts->frames, opts->window);
  return sim_run(plan, graph, costs, opts, result);
}
