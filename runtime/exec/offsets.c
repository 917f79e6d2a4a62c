/* SPDX-License-Identifier: Apache-2.0
 *
 * Offsets in the arena. Buffers one after the other, each into the tightest gap between those placed already that it
 * may not share with. Largest first is nearly always best or next to it (greedy by size: Pisarchyk & Lee, Efficient Memory
 * Management for Deep Neural Net Inference, 2020); of equal ones first the one that gets in the way of more. Where that
 * is not enough, the buffer that the arena ends with came too late: it is brought forward to some place, all are placed
 * anew, and so on from the best order, a bounded number of times. */
#include "exec/offsets.h"

#include <stdlib.h>
#include <string.h>

/* Of all attempts: some ten milliseconds, and of few buffers there is little to try (bounds that alignment keeps out of
 * reach are looked for in vain). */
enum { PAIRS_LOOKED_AT = 4 * 1000 * 1000, ATTEMPTS_PER_BUFFER = 16 };

enum braid_status exec_buffers_create(int n, struct exec_buffers **out) {
  struct exec_buffers *b = braid_calloc(1, sizeof *b);
  if (b) {
    b->n = n;
    b->words = exec_set_words(n);
    b->bytes = braid_calloc((size_t)n, sizeof *b->bytes);
    b->before = braid_calloc((size_t)n * b->words, sizeof *b->before);
  }
  if (!b || !b->bytes || !b->before) {
    exec_buffers_destroy(&b);
    return braid_fail(BRAID_ENOMEM, "no memory to plan memory");
  }
  *out = b;
  return BRAID_OK;
}

void exec_buffers_destroy(struct exec_buffers **buffers) {
  if (!*buffers) return;
  braid_free((*buffers)->bytes);
  braid_free((*buffers)->before);
  braid_free(*buffers);
  *buffers = NULL;
}

void exec_buffers_order(struct exec_buffers *b, int first, int then) {
  exec_set_add(b->before + (size_t)first * b->words, then);
}

static bool may_share(const struct exec_buffers *b, int x, int y) {
  return exec_set_has(b->before + (size_t)x * b->words, y) || exec_set_has(b->before + (size_t)y * b->words, x);
}

/* --------------------------------------------------------------------------------------------- one attempt */

struct span {
  size_t begin, end;
};

struct placing {
  const struct exec_buffers *b;
  size_t *load;        /* [n] bytes of the buffers that each may not share with */
  int *order, *before; /* [n] buffers, first to last: of this attempt, of the best one so far */
  size_t *offset;      /* [n] of this attempt */
  struct span *taken;
};

static size_t round_up(size_t bytes) {
  return (bytes + EXEC_ALIGNMENT - 1) / EXEC_ALIGNMENT * EXEC_ALIGNMENT;
}

static int compare_spans(const void *a, const void *b) {
  const struct span *x = a, *y = b;
  return x->begin != y->begin ? (x->begin < y->begin ? -1 : 1) : (x->end > y->end) - (x->end < y->end);
}

static size_t tightest_gap(const struct span *taken, int n, size_t bytes) {
  size_t best = SIZE_MAX, best_room = SIZE_MAX, end = 0;
  for (int i = 0; i < n; i++) {
    size_t room = taken[i].begin > end ? taken[i].begin - end : 0;
    if (room >= bytes && room < best_room) best = end, best_room = room;
    if (taken[i].end > end) end = taken[i].end;
  }
  return best != SIZE_MAX ? best : end;
}

static void find_loads(struct placing *p) {
  for (int i = 0; i < p->b->n; i++)
    for (int j = 0; j < p->b->n; j++)
      if (i != j && !may_share(p->b, i, j)) p->load[i] += p->b->bytes[j];
}

static bool goes_before(const struct placing *p, int x, int y) {
  return p->b->bytes[x] != p->b->bytes[y] ? p->b->bytes[x] > p->b->bytes[y] : p->load[x] > p->load[y];
}

static void sort_by_size(struct placing *p) { /* insertion sort: stable */
  for (int i = 0; i < p->b->n; i++) {
    int at = i;
    for (; at > 0 && goes_before(p, i, p->order[at - 1]); at--) p->order[at] = p->order[at - 1];
    p->order[at] = i;
  }
}

/* Places all in order; *last is where in the order the buffer is that the arena ends with. */
static size_t place_all(struct placing *p, int *last) {
  size_t arena_bytes = 0;
  *last = 0;
  for (int i = 0; i < p->b->n; i++) {
    int buffer = p->order[i], n = 0;
    size_t bytes = round_up(p->b->bytes[buffer]);
    for (int j = 0; j < i; j++) {
      int other = p->order[j];
      if (may_share(p->b, buffer, other)) continue;
      p->taken[n++] = (struct span){p->offset[other], p->offset[other] + round_up(p->b->bytes[other])};
    }
    qsort(p->taken, (size_t)n, sizeof *p->taken, compare_spans);
    p->offset[buffer] = tightest_gap(p->taken, n, bytes);
    if (p->offset[buffer] + bytes <= arena_bytes) continue;
    arena_bytes = p->offset[buffer] + bytes;
    *last = i;
  }
  return arena_bytes;
}

/* --------------------------------------------------------------------------------------------- better ones */

/* Brings the buffer that the arena ends with, or now and then another one, forward to some place. */
static void change_order(struct placing *p, int last, uint64_t attempt) {
  int at = attempt % 4 == 3 ? (int)(braid_random_u64(0, 2 * attempt) % (uint64_t)p->b->n) : last;
  if (at == 0) at = last;
  int to = (int)(braid_random_u64(0, 2 * attempt + 1) % (uint64_t)at), buffer = p->order[at];
  memmove(p->order + to + 1, p->order + to, (size_t)(at - to) * sizeof *p->order);
  p->order[to] = buffer;
}

/* Keeps changes that make it no worse. */
static void look_for_better(struct placing *p, size_t enough, size_t *offset, size_t *arena_bytes) {
  size_t n = (size_t)p->b->n;
  int64_t pairs = (int64_t)p->b->n * p->b->n / 2 + 1, attempts = (int64_t)p->b->n * ATTEMPTS_PER_BUFFER;
  if (attempts > PAIRS_LOOKED_AT / pairs) attempts = PAIRS_LOOKED_AT / pairs;
  int last, last_of_best = 0;
  *arena_bytes = SIZE_MAX;
  for (int64_t i = 0; i <= attempts; i++) {
    size_t bytes = place_all(p, &last);
    if (bytes <= *arena_bytes) {
      if (bytes < *arena_bytes) memcpy(offset, p->offset, n * sizeof *offset);
      *arena_bytes = bytes;
      last_of_best = last;
      memcpy(p->before, p->order, n * sizeof *p->order);
    }
    if (*arena_bytes <= enough || last_of_best == 0) return;
    memcpy(p->order, p->before, n * sizeof *p->order);
    change_order(p, last_of_best, (uint64_t)i);
  }
}

enum braid_status exec_buffers_place(const struct exec_buffers *buffers, size_t enough, size_t *offset,
                                     size_t *arena_bytes) {
  size_t n = (size_t)buffers->n;
  struct placing p = {.b = buffers,
                      .load = braid_calloc(n, sizeof *p.load),
                      .order = braid_calloc(n, sizeof *p.order),
                      .before = braid_calloc(n, sizeof *p.before),
                      .offset = braid_calloc(n, sizeof *p.offset),
                      .taken = braid_calloc(n, sizeof *p.taken)};
  bool ok = p.load && p.order && p.before && p.offset && p.taken;
  if (ok) {
    find_loads(&p);
    sort_by_size(&p);
    look_for_better(&p, enough, offset, arena_bytes);
  }
  braid_free(p.load);
  braid_free(p.order);
  braid_free(p.before);
  braid_free(p.offset);
  braid_free(p.taken);
  return ok ? BRAID_OK : braid_fail(BRAID_ENOMEM, "no memory to plan memory");
}
