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
#include "simulate.h"

#include <math.h>
#include <string.h>

/* ------------------------------------------------------------------------------------- what makes what ready */

static int64_t to_value(const struct sim_slot *slot, int task) {
  return (int64_t)slot->number << 32 | task;
}

static struct sim_slot *from_value(const struct sim *s, int64_t value, int *task) {
  *task = (int)(value & INT32_MAX);
  return &s->slot[value >> 32];
}

static void make_ready(struct sim *s, struct sim_slot *slot, int task) {
  int site = slot->tl->task[task].site;
  heap_push(&s->site[site].ready, slot->key[site] + task, to_value(slot, task));
}

static void satisfy(struct sim *s, struct sim_slot *slot, int task) {
  if (--slot->needs[task] == 0) make_ready(s, slot, task);
}

static void queue_send(struct sim *s, struct sim_slot *slot, int task) {
  const struct tl_task *t = &slot->tl->task[task];
  if (t->chunk_begin == t->chunk_end) return;
  slot->sent[task] = t->chunk_begin;
  heap_push(&s->wire[t->site == BRAID_EDGE ? 0 : 1].queue, slot->key[t->site] + task, to_value(slot, task));
}

/* Serial plans: the edge sends when all its tasks are done, ... */
static void open_sends(struct sim *s, struct sim_slot *slot, enum braid_site site) {
  for (int t = 0; t < slot->tl->n_tasks; t++)
    if (slot->tl->task[t].site == site) queue_send(s, slot, t);
}

/* ... and the cloud starts when everything has arrived (and the edge has finished). */
static void open_cloud_if_due(struct sim *s, struct sim_slot *slot) {
  if (!slot->tl->serial || slot->chunks_up > 0 || slot->tasks[BRAID_EDGE] > 0) return;
  slot->chunks_up = -1; /* once */
  for (int t = 0; t < slot->tl->n_tasks; t++)
    if (slot->tl->task[t].site == BRAID_CLOUD) satisfy(s, slot, t);
}

static void answer(struct sim *s, struct sim_slot *slot) {
  if (--slot->answers > 0) return;
  int64_t latency_ns = s->now_ns - slot->submitted_ns;
  if (slot->frame == 0) s->result->first_latency_ns = latency_ns;
  if (latency_ns > s->result->max_latency_ns) s->result->max_latency_ns = latency_ns;
  s->answered_part[s->answered] = (uint8_t)slot->part;
  s->answered_ns[s->answered++] = s->now_ns;
}

static void leave(struct sim *s, struct sim_slot *slot) {
  if (--slot->left > 0) return;
  s->ended++;
  if (s->plan->n_mix > 0) {
    s->ended_ahead |= UINT64_C(1) << (slot->frame - s->oldest);
    for (; s->ended_ahead & 1; s->ended_ahead >>= 1) s->oldest++;
  }
  s->room[slot->part]++;
  heap_push(&s->free_slots, slot->number, 0);
}

static void task_done(struct sim *s, struct sim_slot *slot, int task) {
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

static void chunk_arrived(struct sim *s, struct sim_slot *slot, int chunk) {
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

static void fill_slot(struct sim *s, struct sim_slot *slot) {
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
  struct sim_slot *slot = &s->slot[heap_pop(&s->free_slots).key];
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

static void report(const struct sim *s, enum braid_resource resource, int lane, const struct sim_slot *slot, int task,
                   struct braid_band band, int64_t ns) {
  s->result->busy_ns[resource] += ns;
  if (!s->opts->span) return;
  struct braid_span span = {resource, lane, slot->frame, slot->tl->task[task].node, band, s->now_ns, s->now_ns + ns};
  s->opts->span(s->opts->ctx, &span);
}

static void start_tasks(struct sim *s, enum braid_site which) {
  struct sim_site *site = &s->site[which];
  while (site->idle.n > 0 && site->ready.n > 0) {
    int64_t value = heap_pop(&site->ready).value;
    int lane = (int)heap_pop(&site->idle).key, task;
    const struct sim_slot *slot = from_value(s, value, &task);
    const struct tl_task *t = &slot->tl->task[task];
    report(s, which == BRAID_EDGE ? BRAID_RES_EDGE : BRAID_RES_CLOUD, lane, slot, task, t->band, t->ns);
    heap_push(&site->running, s->now_ns + t->ns, lane);
    site->lane_task[lane] = value;
  }
}

/* Under a rate that changes: the bits go as fast as each step lets them. */
static int64_t traced_ns(struct sim_wire *wire, int64_t now_ns, size_t bytes) {
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
  struct sim_wire *wire = &s->wire[which];
  if (wire->chunk != SIM_IDLE || wire->queue.n == 0) return;
  int task;
  struct sim_slot *slot = from_value(s, wire->queue.item[0].value, &task);
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

static void end_tasks(struct sim *s, struct sim_site *site) {
  while (site->running.n > 0 && site->running.item[0].key <= s->now_ns) {
    int lane = (int)heap_pop(&site->running).value, task;
    struct sim_slot *slot = from_value(s, site->lane_task[lane], &task);
    heap_push(&site->idle, lane, 0);
    task_done(s, slot, task);
  }
}

static void end_message(struct sim *s, struct sim_wire *wire) {
  if (wire->chunk == SIM_IDLE || wire->end_ns > s->now_ns) return;
  wire->ring[wire->tail] = (struct sim_flight){wire->end_ns + wire->link->delay_ns, wire->slot, wire->chunk};
  wire->tail = wire->tail + 1 < wire->size ? wire->tail + 1 : 0;
  wire->in_flight++;
  wire->chunk = SIM_IDLE;
}

static void land_messages(struct sim *s, struct sim_wire *wire) {
  while (wire->in_flight > 0 && wire->ring[wire->head].at_ns <= s->now_ns) {
    struct sim_flight flight = wire->ring[wire->head];
    wire->head = wire->head + 1 < wire->size ? wire->head + 1 : 0;
    wire->in_flight--;
    chunk_arrived(s, &s->slot[flight.slot], flight.chunk);
  }
}

static int64_t next_event_ns(const struct sim *s) {
  int64_t next = INT64_MAX;
  for (int i = 0; i < 2; i++) {
    const struct heap *running = &s->site[i].running;
    const struct sim_wire *wire = &s->wire[i];
    if (running->n > 0 && running->item[0].key < next) next = running->item[0].key;
    if (wire->chunk != SIM_IDLE && wire->end_ns < next) next = wire->end_ns;
    if (wire->in_flight > 0 && wire->ring[wire->head].at_ns < next) next = wire->ring[wire->head].at_ns;
  }
  return next;
}

/* Whatever has not begun takes its time on its resource, and what runs in the cloud has to come down if the results are
 * wanted there. */
static bool is_hopeless(const struct sim *s) {
  const struct timeline *tl = s->tl[0];
  if (s->limit_ns >= COST_NEVER) return false;
  if (s->now_ns >= s->limit_ns) return true;
  if (!tl->all_count) return false;
  int64_t left[4], room_ns = s->limit_ns - s->now_ns;
  for (int r = 0; r < 4; r++) left[r] = tl->total_ns[r] - s->result->busy_ns[r];
  int64_t land_ns = s->wire[1].link->delay_ns, back_ns = s->plan->deliver == BRAID_EDGE ? land_ns : 0;
  return left[BRAID_RES_EDGE] >= room_ns * s->workers[BRAID_EDGE] ||
         (left[BRAID_RES_CLOUD] > 0 && left[BRAID_RES_CLOUD] >= (room_ns - back_ns) * s->workers[BRAID_CLOUD]) ||
         (left[BRAID_RES_UP] > 0 && left[BRAID_RES_UP] + s->wire[0].link->delay_ns >= room_ns) ||
         (left[BRAID_RES_DOWN] > 0 && left[BRAID_RES_DOWN] + land_ns >= room_ns);
}

enum braid_status sim_pass_time(struct sim *s, bool *done) {
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
