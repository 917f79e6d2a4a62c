/* SPDX-License-Identifier: Apache-2.0
 * A piece waits in the queue, passes the bottleneck in bits / rate, then travels for delay + jitter:
 *
 *   begin(i)   = max(push(i), finish(i-1), hold)        finish(i) = begin(i) + time for its bits under the rate plan
 *   arrival(i) = max(finish(i) + delay + jitter(i), arrival(i-1), hold)
 *
 * All are absolute and exact, so a late caller delays what it handles late but never lowers the rate: there is no
 * drift. Jitter is uniform in [0, jitter], from the seed and the piece's number, and never reorders (as in a TCP
 * stream). Pieces begin lazily, when time has come to them, so that a change of rate acts on all that still waits. */
#include "shaper.h"

#include <math.h>

struct piece {
  void *tag;
  size_t bytes;
  double pushed_ns, finish_ns;
  int64_t arrival_ns;
};

/* Pieces in a ring: [first, first + n_begun) have begun, the rest wait. */
struct shaper {
  struct shaper_opts opts;
  struct piece *ring;
  size_t capacity, first, n_begun, count;
  size_t queued_bytes; /* waiting, and passing the bottleneck */
  double free_at_ns;   /* the last finish */
  size_t n_passed;     /* begun pieces known to have passed, from `first` on */
  int64_t last_arrival_ns, hold_until_ns;
  uint64_t n_jitters;
};

enum braid_status shaper_create(const struct shaper_opts *opts, struct shaper **out) {
  struct shaper *s = braid_calloc(1, sizeof *s);
  if (!s) return braid_fail(BRAID_ENOMEM, "no memory for a shaper");
  s->opts = *opts;
  *out = s;
  return BRAID_OK;
}

void shaper_destroy(struct shaper **shaper) {
  if (!*shaper) return;
  rate_plan_free(&(*shaper)->opts.rate);
  braid_free((*shaper)->ring);
  braid_free(*shaper);
  *shaper = NULL;
}

static struct piece *at(struct shaper *s, size_t i) {
  return &s->ring[(s->first + i) % s->capacity];
}

static int64_t jitter(struct shaper *s) {
  if (s->opts.jitter_ns <= 0) return 0;
  return (int64_t)(braid_random_u64(s->opts.seed, s->n_jitters++) % (uint64_t)(s->opts.jitter_ns + 1));
}

static double begin_ns(const struct shaper *s, const struct piece *piece) {
  double begin = piece->pushed_ns > s->free_at_ns ? piece->pushed_ns : s->free_at_ns;
  return begin > (double)s->hold_until_ns ? begin : (double)s->hold_until_ns;
}

static void begin(struct shaper *s, struct piece *piece) {
  piece->finish_ns = rate_plan_finish_ns(&s->opts.rate, begin_ns(s, piece), 8.0 * (double)piece->bytes);
  s->free_at_ns = piece->finish_ns;
  int64_t arrival = (int64_t)ceil(piece->finish_ns) + s->opts.delay_ns + jitter(s);
  piece->arrival_ns = arrival > s->last_arrival_ns ? arrival : s->last_arrival_ns;
  s->last_arrival_ns = piece->arrival_ns;
}

/* Brings the state to now: begins what the bottleneck has reached, and frees the queue of what has passed it. */
static void advance(struct shaper *s, int64_t now_ns) {
  for (; s->n_begun < s->count && begin_ns(s, at(s, s->n_begun)) <= (double)now_ns; s->n_begun++)
    begin(s, at(s, s->n_begun));
  for (; s->n_passed < s->n_begun && at(s, s->n_passed)->finish_ns <= (double)now_ns; s->n_passed++)
    s->queued_bytes -= at(s, s->n_passed)->bytes;
}

size_t shaper_room_bytes(struct shaper *s, int64_t now_ns) {
  advance(s, now_ns);
  return s->queued_bytes < s->opts.queue_bytes ? s->opts.queue_bytes - s->queued_bytes : 0;
}

static enum braid_status reserve_one(struct shaper *s) {
  if (s->count < s->capacity) return BRAID_OK;
  size_t capacity = s->capacity ? 2 * s->capacity : 256;
  struct piece *grown = braid_calloc(capacity, sizeof *grown);
  if (!grown) return braid_fail(BRAID_ENOMEM, "no memory for %zu pieces under way", capacity);
  for (size_t i = 0; i < s->count; i++) grown[i] = *at(s, i);
  braid_free(s->ring);
  s->ring = grown;
  s->capacity = capacity;
  s->first = 0;
  return BRAID_OK;
}

enum braid_status shaper_push(struct shaper *s, int64_t now_ns, size_t bytes, void *tag) {
  advance(s, now_ns);
  BRAID_TRY(reserve_one(s));
  *at(s, s->count) = (struct piece){.tag = tag, .bytes = bytes, .pushed_ns = (double)now_ns};
  s->count++;
  s->queued_bytes += bytes;
  advance(s, now_ns);
  return BRAID_OK;
}

static int64_t held(const struct shaper *s, int64_t time_ns) {
  return time_ns > s->hold_until_ns ? time_ns : s->hold_until_ns;
}

static void take_first(struct shaper *s, void **tag, size_t *bytes) {
  *tag = at(s, 0)->tag;
  *bytes = at(s, 0)->bytes;
  s->first = (s->first + 1) % s->capacity;
  s->count--;
}

bool shaper_pop(struct shaper *s, int64_t now_ns, void **tag, size_t *bytes) {
  advance(s, now_ns);
  if (s->n_passed == 0 || held(s, at(s, 0)->arrival_ns) > now_ns) return false;
  take_first(s, tag, bytes);
  s->n_begun--, s->n_passed--;
  return true;
}

bool shaper_take_any(struct shaper *s, void **tag, size_t *bytes) {
  if (s->count == 0) return false;
  take_first(s, tag, bytes);
  if (s->n_passed > 0)
    s->n_passed--;
  else
    s->queued_bytes -= *bytes;
  if (s->n_begun > 0) s->n_begun--;
  return true;
}

/* When the piece in the bottleneck has passed, or (after a hold) the first one enters it. */
static int64_t next_step_ns(struct shaper *s) {
  if (s->n_passed < s->n_begun) return (int64_t)ceil(at(s, s->n_passed)->finish_ns);
  if (s->n_begun < s->count) return (int64_t)ceil(begin_ns(s, at(s, s->n_begun)));
  return INT64_MAX;
}

int64_t shaper_next_ns(struct shaper *s, int64_t now_ns, bool want_room) {
  advance(s, now_ns);
  int64_t arrival = s->n_begun > 0 ? held(s, at(s, 0)->arrival_ns) : INT64_MAX;
  if (!want_room && s->n_begun > 0) return arrival;
  int64_t step = next_step_ns(s);
  return step < arrival ? step : arrival;
}

void shaper_set_rate(struct shaper *s, int64_t now_ns, struct rate_plan *rate) {
  advance(s, now_ns);
  rate_plan_free(&s->opts.rate);
  s->opts.rate = *rate;
  *rate = (struct rate_plan){0};
}

void shaper_set_delay(struct shaper *s, int64_t now_ns, int64_t delay_ns, int64_t jitter_ns) {
  advance(s, now_ns);
  s->opts.delay_ns = delay_ns;
  s->opts.jitter_ns = jitter_ns;
}

void shaper_hold(struct shaper *s, int64_t now_ns, int64_t until_ns) {
  advance(s, now_ns);
  s->hold_until_ns = until_ns;
}
