/* SPDX-License-Identifier: Apache-2.0
 *
 * How small an arena can be: the heaviest set of buffers of which none is over before another begins (an antichain).
 * R. P. Dilworth and D. R. Fulkerson: it weighs as much as the lightest cover by chains, and covering saves, against a
 * chain of its own for every buffer, what can flow from buffers (each gives its bytes once) to later ones (each takes
 * its bytes once). The flow is found by shortest augmenting paths; sets are bits, so that a search is a few words a
 * buffer. */
#include "exec/offsets.h"

#include <assert.h>
#include <string.h>

struct flow {
  const struct exec_buffers *b;
  size_t *gives, *takes; /* [n] what is left of each buffer's bytes on either side */
  size_t *amount;        /* [n][n] from i to j */
  uint64_t *from;        /* [n][words] those that flow into j */
  uint64_t *new_giver, *new_taker; /* [words] not met yet */
  int *giver_of, *taker_of;        /* [n] whence the search came to a taker, to a giver (-1: it had something left) */
  int *queue;                      /* [n] givers */
};

static enum braid_status flow_create(const struct exec_buffers *b, struct flow *f) {
  size_t n = (size_t)b->n;
  *f = (struct flow){.b = b,
                     .gives = braid_calloc(n, sizeof *f->gives),
                     .takes = braid_calloc(n, sizeof *f->takes),
                     .amount = braid_calloc(n * n, sizeof *f->amount),
                     .from = braid_calloc(n * b->words, sizeof *f->from),
                     .new_giver = braid_calloc(b->words, sizeof *f->new_giver),
                     .new_taker = braid_calloc(b->words, sizeof *f->new_taker),
                     .giver_of = braid_calloc(n, sizeof *f->giver_of),
                     .taker_of = braid_calloc(n, sizeof *f->taker_of),
                     .queue = braid_calloc(n, sizeof *f->queue)};
  if (!f->gives || !f->takes || !f->amount || !f->from || !f->new_giver || !f->new_taker || !f->giver_of ||
      !f->taker_of || !f->queue)
    return braid_fail(BRAID_ENOMEM, "no memory to plan memory");
  for (size_t i = 0; i < n; i++) f->gives[i] = f->takes[i] = b->bytes[i];
  return BRAID_OK;
}

static void flow_destroy(struct flow *f) {
  braid_free(f->gives);
  braid_free(f->takes);
  braid_free(f->amount);
  braid_free(f->from);
  braid_free(f->new_giver);
  braid_free(f->new_taker);
  braid_free(f->giver_of);
  braid_free(f->taker_of);
  braid_free(f->queue);
}

static size_t *amount(const struct flow *f, int giver, int taker) {
  return &f->amount[(size_t)giver * (size_t)f->b->n + (size_t)taker];
}

static void meet_givers(struct flow *f, int taker, int *n_queued) {
  const uint64_t *from = f->from + (size_t)taker * f->b->words;
  for (size_t w = 0; w < f->b->words; w++)
    for (uint64_t bits = from[w] & f->new_giver[w]; bits; bits &= bits - 1) {
      int giver = (int)(w * 64) + __builtin_ctzll(bits);
      exec_set_remove(f->new_giver, giver);
      f->taker_of[giver] = taker;
      f->queue[(*n_queued)++] = giver;
    }
}

/* A taker with something left that the givers with something left reach; -1: none. */
static int search(struct flow *f) {
  int n_queued = 0;
  memset(f->new_giver, 0xff, f->b->words * sizeof *f->new_giver);
  memset(f->new_taker, 0xff, f->b->words * sizeof *f->new_taker);
  for (int i = 0; i < f->b->n; i++) {
    if (f->gives[i] == 0) continue;
    exec_set_remove(f->new_giver, i);
    f->taker_of[i] = -1;
    f->queue[n_queued++] = i;
  }
  for (int q = 0; q < n_queued; q++) {
    int giver = f->queue[q];
    const uint64_t *to = f->b->before + (size_t)giver * f->b->words;
    for (size_t w = 0; w < f->b->words; w++)
      for (uint64_t bits = to[w] & f->new_taker[w]; bits; bits &= bits - 1) {
        int taker = (int)(w * 64) + __builtin_ctzll(bits);
        exec_set_remove(f->new_taker, taker);
        f->giver_of[taker] = giver;
        if (f->takes[taker] > 0) return taker;
        meet_givers(f, taker, &n_queued);
      }
  }
  return -1;
}

/* Sends what fits along the path that the search left behind. */
static size_t augment(struct flow *f, int last) {
  size_t most = f->takes[last];
  int giver = f->giver_of[last];
  for (; f->taker_of[giver] >= 0; giver = f->giver_of[f->taker_of[giver]])
    if (*amount(f, giver, f->taker_of[giver]) < most) most = *amount(f, giver, f->taker_of[giver]);
  if (f->gives[giver] < most) most = f->gives[giver];
  f->takes[last] -= most;
  for (int taker = last;; taker = f->taker_of[giver]) {
    giver = f->giver_of[taker];
    *amount(f, giver, taker) += most;
    exec_set_add(f->from + (size_t)taker * f->b->words, giver);
    if (f->taker_of[giver] < 0) break;
    *amount(f, giver, f->taker_of[giver]) -= most;
    if (*amount(f, giver, f->taker_of[giver]) == 0)
      exec_set_remove(f->from + (size_t)f->taker_of[giver] * f->b->words, giver);
  }
  f->gives[giver] -= most;
  return most;
}

enum braid_status exec_buffers_bound(const struct exec_buffers *buffers, size_t *bytes) {
  struct flow f;
  size_t cover = 0;
  assert(buffers->n <= EXEC_BOUND_MAX);
  for (int i = 0; i < buffers->n; i++) cover += buffers->bytes[i];
  enum braid_status status = flow_create(buffers, &f);
  for (int taker; status == BRAID_OK && (taker = search(&f)) >= 0;) cover -= augment(&f, taker);
  flow_destroy(&f);
  if (status == BRAID_OK) *bytes = cover;
  return status;
}
