/* SPDX-License-Identifier: Apache-2.0
 *
 * Arenas, kept between plans. Making one costs far more than the rest of compiling a plan: the kernel has to find and
 * clear every page. So a program that goes leaves its blocks to the one that comes.
 *
 * What lies idle is never more than what is in use, so all of it goes with the last program. Before a block is made, idle
 * ones go that are as large together: there is never more than programs alone have once had in use, and a limit that
 * these keep to is kept. Where memory is short all is freed (trim). Blocks are those of one user: what a stranger's
 * frames have left in them is nobody else's. */
#include "exec/arenas.h"

#include <pthread.h>
#include <string.h>

#include "exec/pool.h"

enum { SMALLEST = 64, SPARE = 4 /* a block may be larger than asked for by that part */ };

struct braid_arenas {
  struct braid_pool *pool; /* has the sum over all */
  pthread_mutex_t mutex;   /* guards the rest */
  struct exec_block *idle; /* the last to come back first */
  size_t used_bytes, idle_bytes;
  uint64_t n_made;
  int users; /* who made it, and programs */
  /* --- under the pool's arenas_mutex */
  struct braid_arenas *next, **at; /* in the pool's list */
};

static void enlist(struct braid_arenas *arenas) {
  struct braid_pool *pool = arenas->pool;
  pthread_mutex_lock(&pool->arenas_mutex);
  arenas->next = pool->arenas;
  arenas->at = &pool->arenas;
  if (arenas->next) arenas->next->at = &arenas->next;
  pool->arenas = arenas;
  pthread_mutex_unlock(&pool->arenas_mutex);
}

static void strike_off(struct braid_arenas *arenas) {
  pthread_mutex_lock(&arenas->pool->arenas_mutex);
  *arenas->at = arenas->next;
  if (arenas->next) arenas->next->at = arenas->at;
  pthread_mutex_unlock(&arenas->pool->arenas_mutex);
}

enum braid_status braid_arenas_create(struct braid_pool *pool, struct braid_arenas **out) {
  struct braid_arenas *arenas = braid_calloc(1, sizeof *arenas);
  if (!arenas) return braid_fail(BRAID_ENOMEM, "no memory for arenas");
  arenas->pool = pool;
  arenas->users = 1;
  pthread_mutex_init(&arenas->mutex, NULL);
  enlist(arenas);
  *out = arenas;
  return BRAID_OK;
}

struct braid_arenas *exec_arenas_join(struct braid_arenas *arenas) {
  pthread_mutex_lock(&arenas->mutex);
  arenas->users++;
  pthread_mutex_unlock(&arenas->mutex);
  return arenas;
}

/* ----------------------------------------------------------------------------------------------- blocks */

static void block_free(struct braid_arenas *arenas, struct exec_block *block) {
  exec_pool_count_arenas(arenas->pool, -(int64_t)block->bytes);
  braid_free(block->data);
  braid_free(block);
}

static void free_all(struct braid_arenas *arenas, struct exec_block *list) {
  for (struct exec_block *block; (block = list);) {
    list = block->next;
    block_free(arenas, block);
  }
}

static enum braid_status block_make(struct braid_arenas *arenas, size_t bytes, struct exec_block **out) {
  struct exec_block *block = braid_malloc(sizeof *block);
  char *data = block ? braid_alloc_aligned(bytes) : NULL;
  if (!data) {
    braid_free(block);
    return braid_fail(BRAID_ENOMEM, "no memory for an arena of %zu bytes", bytes);
  }
  exec_pool_count_arenas(arenas->pool, (int64_t)bytes);
  memset(data, 0, bytes);
  *block = (struct exec_block){data, bytes, NULL};
  *out = block;
  return BRAID_OK;
}

/* Off the list of those idle. */
static struct exec_block *remove_locked(struct braid_arenas *arenas, struct exec_block **at) {
  struct exec_block *block = *at;
  *at = block->next;
  block->next = NULL;
  arenas->idle_bytes -= block->bytes;
  return block;
}

/* The smallest that is large enough, and not much larger: else a small plan would sit on a large one's. */
static struct exec_block *find_locked(struct braid_arenas *arenas, size_t bytes) {
  struct exec_block **best = NULL;
  for (struct exec_block **at = &arenas->idle; *at; at = &(*at)->next)
    if ((*at)->bytes >= bytes && (*at)->bytes - bytes <= bytes / SPARE && (!best || (*at)->bytes < (*best)->bytes))
      best = at;
  return best ? remove_locked(arenas, best) : NULL;
}

/* Takes out what was idle for longest, until that is as much as `bytes`. */
static struct exec_block *make_room_locked(struct braid_arenas *arenas, size_t bytes) {
  struct exec_block *out = NULL;
  for (size_t room = 0; room < bytes && arenas->idle;) {
    struct exec_block **last = &arenas->idle;
    while ((*last)->next) last = &(*last)->next;
    struct exec_block *block = remove_locked(arenas, last);
    room += block->bytes;
    block->next = out;
    out = block;
  }
  return out;
}

static void uncount(struct braid_arenas *arenas, size_t bytes) {
  pthread_mutex_lock(&arenas->mutex);
  arenas->used_bytes -= bytes;
  pthread_mutex_unlock(&arenas->mutex);
}

enum braid_status exec_arenas_take(struct braid_arenas *arenas, size_t bytes, struct exec_block **out) {
  if (bytes < SMALLEST) bytes = SMALLEST;
  pthread_mutex_lock(&arenas->mutex);
  struct exec_block *block = find_locked(arenas, bytes), *old = block ? NULL : make_room_locked(arenas, bytes);
  arenas->used_bytes += block ? block->bytes : bytes;
  arenas->n_made += !block;
  pthread_mutex_unlock(&arenas->mutex);
  free_all(arenas, old);
  enum braid_status status = block ? BRAID_OK : block_make(arenas, bytes, &block);
  if (status == BRAID_OK)
    *out = block;
  else
    uncount(arenas, bytes);
  return status;
}

void exec_arenas_give(struct braid_arenas *arenas, struct exec_block *block) {
  if (!block) return;
  pthread_mutex_lock(&arenas->mutex);
  arenas->used_bytes -= block->bytes;
  arenas->idle_bytes += block->bytes;
  block->next = arenas->idle;
  arenas->idle = block;
  size_t most = arenas->used_bytes, over = arenas->idle_bytes > most ? arenas->idle_bytes - most : 0;
  struct exec_block *old = make_room_locked(arenas, over);
  pthread_mutex_unlock(&arenas->mutex);
  free_all(arenas, old);
}

/* ------------------------------------------------------------------------------------------------- owner */

void braid_arenas_trim(struct braid_arenas *arenas) {
  pthread_mutex_lock(&arenas->mutex);
  struct exec_block *old = make_room_locked(arenas, SIZE_MAX);
  pthread_mutex_unlock(&arenas->mutex);
  free_all(arenas, old);
}

void braid_pool_trim(struct braid_pool *pool) {
  pthread_mutex_lock(&pool->arenas_mutex);
  for (struct braid_arenas *arenas = pool->arenas; arenas; arenas = arenas->next) braid_arenas_trim(arenas);
  pthread_mutex_unlock(&pool->arenas_mutex);
}

void braid_arenas_info(struct braid_arenas *arenas, struct braid_arenas_info *info) {
  pthread_mutex_lock(&arenas->mutex);
  *info = (struct braid_arenas_info){arenas->used_bytes, arenas->idle_bytes, arenas->n_made};
  pthread_mutex_unlock(&arenas->mutex);
}

void braid_arenas_destroy(struct braid_arenas **out) {
  struct braid_arenas *arenas = *out;
  if (!arenas) return;
  *out = NULL;
  pthread_mutex_lock(&arenas->mutex);
  bool last = --arenas->users == 0;
  pthread_mutex_unlock(&arenas->mutex);
  if (!last) return;
  strike_off(arenas);
  free_all(arenas, arenas->idle);
  pthread_mutex_destroy(&arenas->mutex);
  braid_free(arenas);
}
