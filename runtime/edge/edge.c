/* SPDX-License-Identifier: Apache-2.0
 * Starting and stopping the edge, and what callers may ask it. */
#include "edge/edge.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

/* ----------------------------------------------------------------------------------------------------- parts */

static enum braid_status check_opts(const struct braid_edge_opts *opts) {
  if (!opts->connect) return braid_fail(BRAID_EINVAL, "the edge needs the address of a cloud");
  if (opts->model && strlen(opts->model) >= sizeof((struct hello *)0)->model)
    return braid_fail(BRAID_EINVAL, "model name is too long: %.80s...", opts->model);
  if (opts->window < 0 || opts->window > SESSION_MAX_WINDOW)
    return braid_fail(BRAID_EINVAL, "window %d: 1 to %d frames can be in flight", opts->window, SESSION_MAX_WINDOW);
  return BRAID_OK;
}

/* "a,b" is two targets. */
static enum braid_status list_targets(struct braid_edge *edge) {
  char *rest = NULL;
  for (char *t = strtok_r(edge->targets, ",", &rest); t; t = strtok_r(NULL, ",", &rest)) {
    if (edge->n_targets == EDGE_MAX_TARGETS)
      return braid_fail(BRAID_EINVAL, "more than %d clouds to connect to", EDGE_MAX_TARGETS);
    edge->target[edge->n_targets++] = t;
  }
  return edge->n_targets > 0 ? BRAID_OK : braid_fail(BRAID_EINVAL, "the edge needs the address of a cloud");
}

/* Two starts of edges, anywhere, are not called the same. */
static enum braid_status draw_run(char run[BRAID_RUN_CHARS + 1]) {
  uint64_t number;
  if (getrandom(&number, sizeof number, 0) != (ssize_t)sizeof number)
    return braid_fail(BRAID_EIO, "the system gives no random numbers");
  snprintf(run, BRAID_RUN_CHARS + 1, "%016" PRIx64, number);
  return BRAID_OK;
}

static enum braid_status copy_opts(struct braid_edge *edge, const struct braid_edge_opts *opts) {
  edge->opts = *opts;
  edge->targets = braid_strdup(opts->connect);
  edge->model = braid_strdup(opts->model ? opts->model : braid_graph_name(edge->graph));
  if (!edge->targets || !edge->model) return braid_fail(BRAID_ENOMEM, "no memory for an edge");
  edge->opts.adapt = opts->adapt && !opts->plan;
  BRAID_TRY(draw_run(edge->run));
  BRAID_TRY(list_targets(edge));
  return opts->plan ? braid_plan_copy(opts->plan, &edge->given) : BRAID_OK;
}

static enum braid_status make_parts(struct braid_edge *edge, const struct braid_edge_opts *opts) {
  BRAID_TRY(copy_opts(edge, opts));
  if (opts->upload) BRAID_TRY(edge_file_open(opts->upload, opts->upload_batch, &edge->file));
  BRAID_TRY(io_place_copy(opts->pin, &edge->io_place));
  BRAID_TRY(io_init(&edge->io));
  edge->has_home = true;
  BRAID_TRY(channel_init(&edge->home, &edge->io, 0, opts->heartbeat_ns, NULL, ""));
  edge->has_aside = true;
  BRAID_TRY(channel_init(&edge->aside, &edge->io, 0, opts->heartbeat_ns, NULL, ""));
  struct braid_pool_opts pool = {edge->threads, opts->pin, "edge", opts->slow, opts->trace, opts->choices};
  BRAID_TRY(braid_pool_create(&pool, &edge->pool));
  if (opts->goal.edge_memory == 0) BRAID_TRY(braid_arenas_create(edge->pool, &edge->arenas)); /* else as in keep_warm */
  BRAID_TRY(io_thread_start(&edge->io_thread, "edge-io", edge_io_main, edge));
  edge->io_started = true;
  BRAID_TRY(io_thread_start(&edge->planner_thread, "edge-planner", edge_planner_main, edge));
  edge->planner_started = true;
  return BRAID_OK;
}

/* ------------------------------------------------------------------------------------------------- start, stop */

static struct braid_edge *edge_create(const struct braid_graph *graph, const struct braid_edge_opts *opts) {
  struct braid_edge *edge = braid_calloc(1, sizeof *edge);
  if (!edge) return NULL;
  edge->self = edge;
  edge->graph = graph;
  edge->threads = io_default_threads(opts->threads, opts->pin);
  edge->io.wake_fd = -1;
  edge->file.fd = -1;
  edge->last = &edge->first;
  edge->next_number = FIRST_FRAME;
  edge->next_epoch = FIRST_EPOCH;
  edge->answered.low = FIRST_FRAME;
  atomic_init(&edge->stop, false);
  pthread_mutex_init(&edge->submitting, NULL);
  pthread_mutex_init(&edge->mutex, NULL);
  io_cond_init(&edge->changed);
  return edge;
}

/* Until the planner has the first route, or has failed. */
static enum braid_status await_start(struct braid_edge *edge) {
  pthread_mutex_lock(&edge->mutex);
  while (!edge->started && edge->broken == BRAID_OK) pthread_cond_wait(&edge->changed, &edge->mutex);
  enum braid_status status = edge->started ? BRAID_OK : edge_fail_broken(edge, edge->broken);
  pthread_mutex_unlock(&edge->mutex);
  return status;
}

enum braid_status braid_edge_start(const struct braid_graph *graph, const struct braid_edge_opts *opts,
                                   struct braid_edge **out) {
  BRAID_TRY(check_opts(opts));
  struct braid_edge *edge = edge_create(graph, opts);
  if (!edge) return braid_fail(BRAID_ENOMEM, "no memory for an edge");
  enum braid_status status = make_parts(edge, opts);
  if (status == BRAID_OK) status = await_start(edge);
  if (status == BRAID_OK) {
    *out = edge;
    return status;
  }
  char why[EDGE_ERROR_BYTES];
  snprintf(why, sizeof why, "%s", braid_error());
  braid_edge_stop(&edge);
  return braid_fail(status, "%s", why);
}

/* The planner first: its last line is still served then. */
static void stop_threads(struct braid_edge *edge) {
  if (edge->planner_started) {
    pthread_mutex_lock(&edge->mutex);
    edge->ending = true;
    pthread_cond_broadcast(&edge->changed);
    pthread_mutex_unlock(&edge->mutex);
    pthread_join(edge->planner_thread, NULL);
  }
  if (!edge->io_started) return;
  atomic_store_explicit(&edge->stop, true, memory_order_release);
  io_poke(&edge->io);
  pthread_join(edge->io_thread, NULL); /* nothing is in flight now */
}

static void free_lines(struct braid_edge *edge) {
  edge_line_free(&edge->planner_line);
  for (struct line *line; (line = edge->old_lines);) {
    edge->old_lines = line->next_old;
    edge_line_free(&line);
  }
}

void braid_edge_stop(struct braid_edge **out) {
  struct braid_edge *edge = *out;
  if (!edge) return;
  stop_threads(edge);
  edge_free_routes(edge);
  free_lines(edge);
  edge_free_requests(edge);
  braid_arenas_destroy(&edge->arenas);
  braid_pool_destroy(&edge->pool);
  if (edge->has_home) channel_fini(&edge->home);
  if (edge->has_aside) channel_fini(&edge->aside);
  io_close(&edge->io);
  io_place_fini(&edge->io_place);
  pthread_cond_destroy(&edge->changed);
  pthread_mutex_destroy(&edge->mutex);
  pthread_mutex_destroy(&edge->submitting);
  edge_adapt_end(edge);
  edge_file_close(&edge->file);
  edge_sight_end(edge);
  braid_plan_destroy(&edge->first_plan);
  braid_plan_destroy(&edge->given);
  braid_profile_destroy(&edge->profile);
  braid_free(edge->targets);
  braid_free(edge->model);
  braid_free(edge->emulate_ns);
  braid_free(edge);
  *out = NULL;
}

/* ------------------------------------------------------------------------------------------------- questions */

const char *braid_edge_run(const struct braid_edge *edge) {
  return edge->run;
}

const struct braid_plan *braid_edge_plan(const struct braid_edge *edge) {
  return edge->first_plan;
}

enum braid_status braid_edge_plan_now(const struct braid_edge *edge, struct braid_plan **out) {
  pthread_mutex_lock(&edge->self->mutex);
  const struct route *route = edge->current;
  enum braid_status status = braid_plan_copy(route ? route->plan : edge->first_plan, out);
  pthread_mutex_unlock(&edge->self->mutex);
  return status;
}

/* Under the mutex. */
static void describe_now(const struct braid_edge *edge, struct braid_edge_stats *stats) {
  const struct route *route = edge->current;
  const struct line *line = edge->line && edge->line->welcomed ? edge->line : NULL;
  stats->window = route ? route->window : 0;
  stats->epoch = route ? route->part[0].stream->epoch : ALONE_EPOCH;
  stats->connected = edge->line && route && route->line == edge->line;
  stats->cloud = line ? line->address : NULL;
  stats->draining = line && line->draining;
}

void braid_edge_stats(const struct braid_edge *edge, struct braid_edge_stats *stats) {
  pthread_mutex_lock(&edge->self->mutex);
  *stats = edge->stats;
  stats->in_flight = edge->flying;
  describe_now(edge, stats);
  pthread_mutex_unlock(&edge->self->mutex);
  braid_pool_stats(edge->pool, &stats->pool);
}

enum braid_status braid_edge_replan(struct braid_edge *edge, const struct braid_plan *plan) {
  struct replan replan = {.plan = plan};
  pthread_mutex_lock(&edge->mutex);
  while (edge->replan && !edge->planner_gone) pthread_cond_wait(&edge->changed, &edge->mutex);
  if (edge->planner_gone) {
    replan = (struct replan){.done = true, .status = BRAID_ECLOSED};
    snprintf(replan.why, sizeof replan.why, "%s", edge->why);
  } else {
    edge->replan = &replan;
    pthread_cond_broadcast(&edge->changed);
  }
  while (!replan.done) pthread_cond_wait(&edge->changed, &edge->mutex);
  pthread_mutex_unlock(&edge->mutex);
  return replan.status == BRAID_OK ? BRAID_OK : braid_fail(replan.status, "%s", replan.why);
}
