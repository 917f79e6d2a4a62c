/* SPDX-License-Identifier: Apache-2.0
 * Starting and stopping the edge. Start is a conversation in steps, each waiting for the I/O thread to report the
 * cloud's answer; heartbeats go on meanwhile, so the cloud may take its time to profile and compile, and so may we. */
#include "edge/edge.h"

#include <stdio.h>
#include <string.h>

#define CONNECT_TIMEOUT_NS (5 * INT64_C(1000000000))
#define SETUP_TIMEOUT_NS                                                                                               \
  (300 * INT64_C(1000000000)) /* for a cloud that is alive: profiling a large net on a slow one */

enum braid_status edge_fail_broken(const struct braid_edge *edge, enum braid_status status) {
  return braid_fail(status, "%s", edge->why);
}

enum braid_status edge_await(struct braid_edge *edge, const bool *flag, int64_t deadline_ns) {
  enum braid_status status = BRAID_OK;
  pthread_mutex_lock(&edge->mutex);
  while (!*flag && edge->broken == BRAID_OK && status == BRAID_OK)
    if (!io_cond_wait(&edge->changed, &edge->mutex, deadline_ns)) status = BRAID_ETIMEDOUT;
  if (edge->broken != BRAID_OK)
    status = edge_fail_broken(edge, edge->broken);
  else if (*flag)
    status = BRAID_OK;
  pthread_mutex_unlock(&edge->mutex);
  return status;
}

/* ----------------------------------------------------------------------------------------------------- parts */

static enum braid_status check_opts(const struct braid_edge_opts *opts) {
  if (!opts->connect) return braid_fail(BRAID_EINVAL, "the edge needs the address of a cloud");
  if (opts->model && strlen(opts->model) >= sizeof((struct hello *)0)->model)
    return braid_fail(BRAID_EINVAL, "model name is too long: %.80s...", opts->model);
  if (opts->window < 0 || opts->window > SESSION_MAX_WINDOW)
    return braid_fail(BRAID_EINVAL, "window %d: 1 to %d frames can be in flight", opts->window, SESSION_MAX_WINDOW);
  return BRAID_OK;
}

static bool wants_profile(const struct braid_edge_opts *opts) {
  return !opts->plan || (opts->profile && opts->plan->forecast.latency_ns == 0);
}

static enum braid_status make_hello(struct braid_edge *edge, const struct braid_edge_opts *opts) {
  struct hello hello = {.version = BRAID_WIRE_VERSION, .threads = edge->threads, .wants_profile = wants_profile(opts)};
  snprintf(hello.model, sizeof hello.model, "%s", edge->model);
  braid_graph_hash_text(edge->graph, hello.hash);
  char *text;
  BRAID_TRY(hello_to_json(&hello, &text));
  enum braid_status status = braid_msg_init(&edge->hello, BRAID_MSG_HELLO, strlen(text));
  if (status == BRAID_OK) {
    memcpy(edge->hello.payload, text, strlen(text));
    edge->hello.node = (uint32_t)edge->threads;
  }
  braid_free(text);
  return status;
}

static enum braid_status make_parts(struct braid_edge *edge, const struct braid_edge_opts *opts) {
  edge->address = braid_strdup(opts->connect);
  edge->model = braid_strdup(opts->model ? opts->model : braid_graph_name(edge->graph));
  if (!edge->address || !edge->model) return braid_fail(BRAID_ENOMEM, "no memory for an edge");
  BRAID_TRY(make_hello(edge, opts));
  BRAID_TRY(io_place_copy(opts->pin, &edge->io_place));
  BRAID_TRY(io_open(&edge->io, opts->connect, &(struct braid_link_opts){.keys = opts->keys}));
  edge->has_channel = true;
  BRAID_TRY(channel_init(&edge->channel, &edge->io, 0, opts->heartbeat_ns, opts->trace, "uplink"));
  struct braid_pool_opts pool = {edge->threads, opts->pin, "edge", opts->slow, opts->trace};
  BRAID_TRY(braid_pool_create(&pool, &edge->pool));
  BRAID_TRY(io_thread_start(&edge->thread, "edge-io", edge_io_main, edge));
  edge->started = true;
  return BRAID_OK;
}

/* ---------------------------------------------------------------------------------------------- the conversation */

static enum braid_status meet(struct braid_edge *edge, const struct braid_edge_opts *opts) {
  int64_t timeout_ns = opts->connect_timeout_ns > 0 ? opts->connect_timeout_ns : CONNECT_TIMEOUT_NS;
  enum braid_status status = edge_await(edge, &edge->heard, io_deadline_ns(timeout_ns));
  if (status == BRAID_ETIMEDOUT)
    return braid_fail(status,
                      "nobody answered at %s within %.1f s: start `braid cloud --listen ...` there, or check the "
                      "address",
                      edge->address, (double)timeout_ns / 1e9);
  BRAID_TRY(status);
  status = edge_await(edge, &edge->welcomed, io_deadline_ns(SETUP_TIMEOUT_NS));
  if (status == BRAID_ETIMEDOUT) return braid_fail(status, "cloud %s does not come to a WELCOME", edge->address);
  return status;
}

static int choose_window(const struct braid_edge_opts *opts, const struct braid_plan *plan) {
  int window = opts->window > 0 ? opts->window : plan->objective == BRAID_THROUGHPUT ? plan->window : 1;
  if (window < 1) return 1;
  return window < SESSION_MAX_WINDOW ? window : SESSION_MAX_WINDOW;
}

static enum braid_status propose(struct braid_edge *edge, const struct braid_plan *plan, uint32_t epoch, int window) {
  char *text;
  BRAID_TRY(braid_plan_to_json(plan, edge->graph, NULL, -1, &text));
  struct braid_msg msg;
  enum braid_status status = braid_msg_init(&msg, BRAID_MSG_PLAN, strlen(text));
  if (status == BRAID_OK) {
    memcpy(msg.payload, text, strlen(text));
    msg.epoch = epoch;
    msg.begin = (uint32_t)window;
    msg.frame = FIRST_FRAME;
    pthread_mutex_lock(&edge->mutex);
    edge->post = msg;
    edge->planned = false;
    pthread_mutex_unlock(&edge->mutex);
    io_poke(&edge->io);
  }
  braid_free(text);
  return status;
}

static enum braid_status compile(struct braid_edge *edge, const struct braid_edge_opts *opts,
                                 const struct stream_setup *given, struct stream **out) {
  struct stream_setup setup = *given;
  BRAID_TRY(braid_plan_copy(given->plan, &setup.plan));
  enum braid_status status =
      stream_compile(edge->pool, edge->graph, setup.plan, BRAID_EDGE, setup.window, opts->cpu_flags, &setup.program);
  if (status == BRAID_OK && edge->emulate_ns && setup.program)
    status = braid_program_emulate(setup.program, edge->emulate_ns, edge->emulate_slice_ns);
  if (status == BRAID_OK) status = stream_create(&edge->channel, &setup, out);
  if (status != BRAID_OK) {
    braid_program_destroy(&setup.program);
    braid_plan_destroy(&setup.plan);
  }
  return status;
}

/* Both sides compile at the same time. A part gets arenas for its share of the window, and is an epoch of its own. */
static enum braid_status adopt_part(struct braid_edge *edge, const struct braid_edge_opts *opts, int part) {
  struct braid_plan *plan = edge->plan->n_mix > 0 ? edge->plan->mix[part] : edge->plan;
  int window = braid_mix_frames(edge->plan, part, edge->window);
  uint32_t epoch = FIRST_EPOCH + (uint32_t)part;
  struct stream_setup setup = {epoch, BRAID_EDGE, edge->graph, plan, NULL, window};
  struct stream *stream;
  BRAID_TRY(propose(edge, plan, epoch, window));
  BRAID_TRY(compile(edge, opts, &setup, &stream));
  pthread_mutex_lock(&edge->mutex);
  edge->stream[edge->n_streams++] = stream;
  pthread_mutex_unlock(&edge->mutex);
  enum braid_status status = edge_await(edge, &edge->planned, io_deadline_ns(SETUP_TIMEOUT_NS));
  if (status == BRAID_ETIMEDOUT) return braid_fail(status, "cloud %s does not come to a PLAN_OK", edge->address);
  return status;
}

static enum braid_status adopt(struct braid_edge *edge, const struct braid_edge_opts *opts) {
  int parts = edge->plan->n_mix > 0 ? edge->plan->n_mix : 1;
  if (parts > EDGE_MAX_PARTS)
    return braid_fail(BRAID_EUNSUPPORTED, "a mix of %d plans; at most %d can be in force at once: drop the lightest",
                      parts, EDGE_MAX_PARTS);
  edge->window = choose_window(opts, edge->plan);
  for (int part = 0; part < parts; part++) {
    edge->part_number[part] = FIRST_FRAME;
    BRAID_TRY(adopt_part(edge, opts, part));
  }
  edge->next_part = braid_mix_next(edge->plan, edge->credit);
  return BRAID_OK;
}

static enum braid_status converse(struct braid_edge *edge, const struct braid_edge_opts *opts) {
  BRAID_TRY(meet(edge, opts));
  BRAID_TRY(edge_decide(edge, opts, &edge->plan));
  return adopt(edge, opts);
}

/* ------------------------------------------------------------------------------------------------- start, stop */

static struct braid_edge *edge_create(const struct braid_graph *graph, const struct braid_edge_opts *opts) {
  struct braid_edge *edge = braid_calloc(1, sizeof *edge);
  if (!edge) return NULL;
  edge->self = edge;
  edge->graph = graph;
  edge->threads = io_default_threads(opts->threads, opts->pin);
  edge->io.wake_fd = -1;
  edge->last = &edge->first;
  edge->next_number = FIRST_FRAME;
  edge->answered.low = FIRST_FRAME;
  atomic_init(&edge->stop, false);
  pthread_mutex_init(&edge->submitting, NULL);
  pthread_mutex_init(&edge->mutex, NULL);
  io_cond_init(&edge->changed);
  return edge;
}

enum braid_status braid_edge_start(const struct braid_graph *graph, const struct braid_edge_opts *opts,
                                   struct braid_edge **out) {
  BRAID_TRY(check_opts(opts));
  struct braid_edge *edge = edge_create(graph, opts);
  if (!edge) return braid_fail(BRAID_ENOMEM, "no memory for an edge");
  enum braid_status status = make_parts(edge, opts);
  if (status == BRAID_OK) status = converse(edge, opts);
  if (status == BRAID_OK) {
    *out = edge;
    return status;
  }
  char why[EDGE_ERROR_BYTES];
  snprintf(why, sizeof why, "%s", braid_error());
  braid_edge_stop(&edge);
  return braid_fail(status, "%s", why);
}

const struct braid_plan *braid_edge_plan(const struct braid_edge *edge) {
  return edge->plan;
}

void braid_edge_stats(const struct braid_edge *edge, struct braid_edge_stats *stats) {
  pthread_mutex_lock(&edge->self->mutex);
  *stats = edge->stats;
  pthread_mutex_unlock(&edge->self->mutex);
}

void braid_edge_stop(struct braid_edge **out) {
  struct braid_edge *edge = *out;
  if (!edge) return;
  if (edge->started) {
    atomic_store_explicit(&edge->stop, true, memory_order_release);
    io_poke(&edge->io);
    pthread_join(edge->thread, NULL); /* nothing is in flight now */
  }
  for (int i = 0; i < edge->n_streams; i++) stream_destroy(&edge->stream[i]);
  braid_plan_destroy(&edge->plan);
  edge_free_requests(edge);
  braid_pool_destroy(&edge->pool);
  if (edge->has_channel) channel_fini(&edge->channel);
  io_close(&edge->io);
  io_place_fini(&edge->io_place);
  braid_msg_release(&edge->hello);
  braid_msg_release(&edge->post);
  pthread_cond_destroy(&edge->changed);
  pthread_mutex_destroy(&edge->mutex);
  pthread_mutex_destroy(&edge->submitting);
  braid_free(edge->welcome);
  braid_free(edge->address);
  braid_free(edge->model);
  braid_free(edge->emulate_ns);
  braid_free(edge);
  *out = NULL;
}
