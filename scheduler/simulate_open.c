/* SPDX-License-Identifier: Apache-2.0
 * What a run of the simulator needs before time begins: the compiled parts of the plan, memory for as much as can ever
 * wait or travel at once, and the certainty that no sum overflows. */
#include "simulate.h"

static void *take(struct sim *s, size_t count, size_t bytes) {
  void *p = slab_take(s->memory, count, bytes);
  s->out_of_memory |= p == NULL;
  return p;
}

static void take_site(struct sim *s, enum braid_site which, int workers) {
  struct sim_site *site = &s->site[which];
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
  struct sim_wire *wire = &s->wire[which];
  int most = 0;
  for (int i = 0; i < s->n_parts; i++) most = s->tl[i]->chunks[which] > most ? s->tl[i]->chunks[which] : most;
  wire->chunk = SIM_IDLE;
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

enum braid_status sim_open(struct sim *s, struct tl_layouts *layouts) {
  BRAID_TRY(compile_parts(s, layouts));
  BRAID_TRY(take_all(s, layouts->costs));
  return check_range(s, layouts->costs);
}
