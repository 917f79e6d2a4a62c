/* SPDX-License-Identifier: Apache-2.0
 * Results that are wanted here. A consumer may be slow, a disk may hang: it is called on a thread of its own, one frame
 * after the other, while the I/O thread goes on hearing heartbeats. What waits is bounded by itself: a frame keeps its
 * arena, where its results lie, until the consumer has them, and an edge that has no arena left sends no more.
 *
 * A session that ends takes back what waits. If one of its frames is with the consumer just then, this thread has it
 * reaped afterwards: its arenas must not go before. Those results may be taken although their edge never hears of it,
 * and then has them as well: that is what names of results are for. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cloud/cloud.h"

void braid_result_id(const char *run, uint64_t frame, char id[BRAID_RESULT_ID_BYTES]) {
  snprintf(id, BRAID_RESULT_ID_BYTES, "%s-%" PRIu64, run, frame);
}

struct delivery *deliveries_create(struct session *session, const struct stream *stream) {
  int n_out = 0;
  (void)braid_graph_outputs(stream->graph, &n_out);
  size_t n = (size_t)stream->window;
  struct delivery *d = braid_calloc(1, n * (sizeof *d + (size_t)n_out * sizeof *d->out));
  for (size_t i = 0; d && i < n; i++) {
    d[i].session = session;
    d[i].out = (struct braid_tensor *)(void *)(d + n) + i * (size_t)n_out;
  }
  return d;
}

/* -------------------------------------------------------------------------------------------------- lists */

static void put(struct deliveries *list, struct delivery *delivery) {
  delivery->next = NULL;
  if (!list->last) list->last = &list->first;
  *list->last = delivery;
  list->last = &delivery->next;
}

static struct delivery *take(struct deliveries *list) {
  struct delivery *delivery = list->first;
  if (!delivery) return NULL;
  list->first = delivery->next;
  if (!list->first) list->last = &list->first;
  return delivery;
}

static void drop_of(struct deliveries *list, const struct session *session) {
  list->last = &list->first;
  for (struct delivery *d; (d = *list->last);) {
    if (d->session == session)
      *list->last = d->next;
    else
      list->last = &d->next;
  }
}

/* -------------------------------------------------------------------------------------------------- thread */

static void hand_over(const struct results *results, struct delivery *delivery) {
  delivery->status = results->opts->result(results->opts->ctx, &delivery->result);
  if (delivery->status != BRAID_OK) snprintf(delivery->error, sizeof delivery->error, "%s", braid_error());
}

/* Under the mutex, which is given up while the consumer works. */
static void serve(struct results *results, struct delivery *delivery) {
  results->current = delivery;
  pthread_mutex_unlock(&results->mutex);
  hand_over(results, delivery);
  pthread_mutex_lock(&results->mutex);
  results->current = NULL;
  struct session *orphan = results->orphan;
  results->orphan = NULL;
  if (orphan)
    desk_post(results->desk, &orphan->reap);
  else
    put(&results->done, delivery);
}

static void *results_main(void *arg) {
  struct results *results = arg;
  pthread_mutex_lock(&results->mutex);
  for (;;) {
    struct delivery *delivery = take(&results->todo);
    if (delivery) {
      serve(results, delivery);
      io_poke(results->io);
    } else if (results->stop) {
      break;
    } else {
      pthread_cond_wait(&results->wake, &results->mutex);
    }
  }
  pthread_mutex_unlock(&results->mutex);
  return NULL;
}

enum braid_status results_start(struct results *results, const struct braid_cloud_opts *opts, struct desk *desk,
                                struct io *io) {
  *results = (struct results){.opts = opts, .desk = desk, .io = io};
  if (!opts->result) return BRAID_OK;
  pthread_mutex_init(&results->mutex, NULL);
  pthread_cond_init(&results->wake, NULL);
  enum braid_status status = io_thread_start(&results->thread, "cloud-results", results_main, results);
  results->started = status == BRAID_OK;
  return status;
}

void results_stop(struct results *results) {
  if (!results->started) return;
  pthread_mutex_lock(&results->mutex);
  results->stop = true;
  pthread_mutex_unlock(&results->mutex);
  pthread_cond_signal(&results->wake);
  pthread_join(results->thread, NULL);
  pthread_cond_destroy(&results->wake);
  pthread_mutex_destroy(&results->mutex);
  results->started = false;
}

/* ---------------------------------------------------------------------------------------------- I/O thread */

void results_post(struct results *results, struct delivery *delivery) {
  pthread_mutex_lock(&results->mutex);
  put(&results->todo, delivery);
  pthread_mutex_unlock(&results->mutex);
  pthread_cond_signal(&results->wake);
}

struct delivery *results_done(struct results *results) {
  if (!results->started) return NULL;
  pthread_mutex_lock(&results->mutex);
  struct delivery *delivery = take(&results->done);
  pthread_mutex_unlock(&results->mutex);
  return delivery;
}

/* Whoever reaps it first finds nothing of it in the lists. */
void results_forget(struct results *results, struct session *session) {
  bool busy = false;
  if (results->started) {
    pthread_mutex_lock(&results->mutex);
    drop_of(&results->todo, session);
    drop_of(&results->done, session);
    busy = results->current && results->current->session == session;
    if (busy) results->orphan = session;
    pthread_mutex_unlock(&results->mutex);
  }
  if (!busy) desk_post(results->desk, &session->reap);
}
