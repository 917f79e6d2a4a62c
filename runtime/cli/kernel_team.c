/* SPDX-License-Identifier: Apache-2.0
 * Every run has a number; a member works when the number has gone up, and reports when it is done. Waiting is by
 * spinning for a moment and by a condition variable after that: a run of a few microseconds is not to be drowned in the
 * time that a sleeping thread takes to wake up. */
#include "kernel_team.h"

#include <pthread.h>
#include <stdatomic.h>

enum { SPINS = 20000 };

struct member {
  struct kernel_team *team;
  int index;
  pthread_t thread;
};

struct kernel_team {
  int members, started; /* started: threads; the caller is none */
  struct member *member;
  void (*work)(void *ctx, int member); /* written before `run` goes up; NULL: go home */
  void *ctx;
  atomic_int run;  /* release when it goes up under the mutex, acquire by members: work and ctx */
  atomic_int busy; /* members still at it; release by them, acquire by the caller: what they have written */
  pthread_mutex_t mutex;
  pthread_cond_t begun; /* run has gone up */
};

static void await_run(struct kernel_team *team, int last) {
  for (int i = 0; i < SPINS; i++)
    if (atomic_load_explicit(&team->run, memory_order_acquire) != last) return;
  pthread_mutex_lock(&team->mutex);
  while (atomic_load_explicit(&team->run, memory_order_acquire) == last) pthread_cond_wait(&team->begun, &team->mutex);
  pthread_mutex_unlock(&team->mutex);
}

static void *serve(void *arg) {
  const struct member *m = arg;
  struct kernel_team *team = m->team;
  for (int last = 0;; last++) {
    await_run(team, last);
    if (!team->work) return NULL;
    team->work(team->ctx, m->index);
    atomic_fetch_sub_explicit(&team->busy, 1, memory_order_release);
  }
}

static void begin(struct kernel_team *team, void (*work)(void *ctx, int member), void *ctx) {
  team->work = work;
  team->ctx = ctx;
  atomic_store_explicit(&team->busy, team->started, memory_order_relaxed);
  pthread_mutex_lock(&team->mutex);
  atomic_fetch_add_explicit(&team->run, 1, memory_order_release);
  pthread_cond_broadcast(&team->begun);
  pthread_mutex_unlock(&team->mutex);
}

enum braid_status kernel_team_create(int members, struct kernel_team **out) {
  struct kernel_team *team = braid_calloc(1, sizeof *team);
  if (team) team->member = braid_calloc((size_t)members, sizeof *team->member);
  if (!team || !team->member) {
    braid_free(team);
    return braid_fail(BRAID_ENOMEM, "no memory for a team of %d", members);
  }
  team->members = members;
  pthread_mutex_init(&team->mutex, NULL);
  pthread_cond_init(&team->begun, NULL);
  for (; team->started < members - 1; team->started++) {
    struct member *m = &team->member[team->started];
    *m = (struct member){.team = team, .index = team->started + 1};
    if (pthread_create(&m->thread, NULL, serve, m) == 0) continue;
    kernel_team_destroy(&team);
    return braid_fail(BRAID_ENOMEM, "cannot start a team of %d threads", members);
  }
  *out = team;
  return BRAID_OK;
}

int kernel_team_size(const struct kernel_team *team) {
  return team->members;
}

void kernel_team_run(struct kernel_team *team, void (*work)(void *ctx, int member), void *ctx) {
  if (team->started > 0) begin(team, work, ctx);
  work(ctx, 0);
  while (team->started > 0 && atomic_load_explicit(&team->busy, memory_order_acquire) > 0) continue;
}

void kernel_team_destroy(struct kernel_team **out) {
  struct kernel_team *team = *out;
  if (!team) return;
  begin(team, NULL, NULL);
  for (int i = 0; i < team->started; i++) pthread_join(team->member[i].thread, NULL);
  pthread_cond_destroy(&team->begun);
  pthread_mutex_destroy(&team->mutex);
  braid_free(team->member);
  braid_free(team);
  *out = NULL;
}
