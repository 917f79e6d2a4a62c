/* SPDX-License-Identifier: Apache-2.0
 * A line: one connection to one cloud, as the planner sees it. Every step leaves something for the I/O thread and waits
 * for it to report the cloud's answer; heartbeats go on meanwhile, so the cloud may take its time, and so may we. */
#include <inttypes.h>
#include <string.h>

#include "edge/edge.h"

#define SETUP_TIMEOUT_NS                                                                                               \
  (300 * INT64_C(1000000000)) /* for a cloud that is alive: profiling a large net on a slow one */

#define PLAN_EVERY_NS (4 * INT64_C(1000000))
#define PLANS_AT_ONCE 100

enum braid_status edge_fail_line(const struct line *line, enum braid_status status) {
  return braid_fail(status, "%s", line->why);
}

enum braid_status edge_line_state(struct braid_edge *edge, const struct line *line) {
  pthread_mutex_lock(&edge->mutex);
  enum braid_status status = line->broken;
  if (status != BRAID_OK) (void)edge_fail_line(line, status);
  pthread_mutex_unlock(&edge->mutex);
  return status;
}

/* ---------------------------------------------------------------------------------------------------- waiting */

typedef bool condition(const struct line *line, uint32_t arg);

static bool was_heard(const struct line *line, uint32_t arg) {
  (void)arg;
  return line->heard;
}
static bool was_welcomed(const struct line *line, uint32_t arg) {
  (void)arg;
  return line->welcomed;
}
static bool was_answered(const struct line *line, uint32_t arg) {
  (void)arg;
  return line->welcomed || line->wanted > 0;
}
static bool was_planned(const struct line *line, uint32_t epoch) {
  return line->planned >= epoch;
}

/* BRAID_ETIMEDOUT; what broke the line, when it has broken. */
static enum braid_status await(struct braid_edge *edge, struct line *line, condition *met, uint32_t arg,
                               int64_t timeout_ns) {
  int64_t deadline_ns = io_deadline_ns(timeout_ns);
  enum braid_status status = BRAID_OK;
  pthread_mutex_lock(&edge->mutex);
  while (!met(line, arg) && line->broken == BRAID_OK && !edge->ending && status == BRAID_OK)
    if (!io_cond_wait(&edge->changed, &edge->mutex, deadline_ns)) status = BRAID_ETIMEDOUT;
  if (line->broken != BRAID_OK)
    status = edge_fail_line(line, line->broken);
  else if (met(line, arg))
    status = BRAID_OK;
  else if (edge->ending)
    status = braid_fail(BRAID_ECLOSED, "the edge is stopping");
  pthread_mutex_unlock(&edge->mutex);
  return status;
}

/* ------------------------------------------------------------------------------------------------ open, close */

static enum braid_status make_hello(const struct braid_edge *edge, const struct line *line, struct braid_msg *msg) {
  struct hello hello = {
      .version = BRAID_WIRE_VERSION, .threads = edge->threads, .wants_profile = edge_wants_profile(edge)};
  size_t length = strlen(edge->model);
  memcpy(hello.model, edge->model, length + 1); /* checked at start */
  memcpy(hello.trace, line->id, sizeof hello.trace);
  memcpy(hello.run, edge->run, sizeof hello.run);
  braid_graph_hash_text(edge->graph, hello.hash);
  if (edge->file.fd >= 0) {
    hello.file_bytes = edge->file.bytes;
    hello.batch = edge->file.batch;
    memcpy(hello.file_sha256, edge->file.sha256, sizeof hello.file_sha256);
  }
  char *text;
  BRAID_TRY(hello_to_json(&hello, &text));
  enum braid_status status = braid_msg_init(msg, BRAID_MSG_HELLO, strlen(text));
  if (status == BRAID_OK) {
    memcpy(msg->payload, text, strlen(text));
    msg->node = (uint32_t)edge->threads;
  }
  braid_free(text);
  return status;
}

static enum braid_status fill_line(struct braid_edge *edge, struct line *line) {
  const struct braid_edge_opts *opts = &edge->opts;
  BRAID_TRY(channel_init(&line->channel, &edge->io, 0, opts->heartbeat_ns, opts->trace, "uplink"));
  braid_clock_filter_init(&line->clock);
  edge_sight_name(edge, line);
  BRAID_TRY(make_hello(edge, line, &line->hello));
  return braid_link_open(line->address, &(struct braid_link_opts){.keys = opts->keys}, &line->link);
}

enum braid_status edge_line_open(struct braid_edge *edge, const char *address, struct line **out) {
  struct line *line = braid_calloc(1, sizeof *line);
  if (!line) return braid_fail(BRAID_ENOMEM, "no memory for a connection");
  line->address = address;
  enum braid_status status = fill_line(edge, line);
  if (status != BRAID_OK) {
    edge_line_free(&line);
    return status;
  }
  pthread_mutex_lock(&edge->mutex);
  edge->line = line;
  pthread_mutex_unlock(&edge->mutex);
  io_poke(&edge->io);
  *out = line;
  return BRAID_OK;
}

void edge_line_quit(struct braid_edge *edge, struct line *line) {
  pthread_mutex_lock(&edge->mutex);
  line->quit = true;
  io_poke(&edge->io);
  while (edge->line == line) pthread_cond_wait(&edge->changed, &edge->mutex);
  pthread_mutex_unlock(&edge->mutex);
}

void edge_line_free(struct line **out) {
  struct line *line = *out;
  if (!line) return;
  channel_fini(&line->channel);
  braid_link_close(&line->link);
  braid_msg_release(&line->hello);
  braid_msg_release(&line->post);
  braid_msg_release(&line->upload.part);
  braid_free(line->welcome);
  braid_free(line);
  *out = NULL;
}

/* ---------------------------------------------------------------------------------------------- conversation */

static uint64_t wanted(struct braid_edge *edge, const struct line *line) {
  pthread_mutex_lock(&edge->mutex);
  uint64_t n = line->wanted;
  pthread_mutex_unlock(&edge->mutex);
  return n;
}

/* Sending a model takes as long as it takes. */
static enum braid_status await_welcome(struct braid_edge *edge, struct line *line) {
  uint64_t before;
  enum braid_status status = await(edge, line, was_answered, 0, SETUP_TIMEOUT_NS);
  if (status == BRAID_OK && wanted(edge, line) > 0) status = edge_begin_alone(edge);
  if (status != BRAID_OK) return status;
  do {
    before = wanted(edge, line);
    status = await(edge, line, was_welcomed, 0, SETUP_TIMEOUT_NS);
  } while (status == BRAID_ETIMEDOUT && wanted(edge, line) != before);
  return status;
}

enum braid_status edge_line_meet(struct braid_edge *edge, struct line *line, int64_t timeout_ns) {
  enum braid_status status = await(edge, line, was_heard, 0, timeout_ns);
  if (status == BRAID_ETIMEDOUT)
    return braid_fail(status,
                      "nobody answered at %s within %.1f s: start `braid cloud --listen ...` there, or check the "
                      "address",
                      line->address, (double)timeout_ns / 1e9);
  BRAID_TRY(status);
  status = await_welcome(edge, line);
  if (status == BRAID_ETIMEDOUT) return braid_fail(status, "cloud %s does not come to a WELCOME", line->address);
  return status;
}

/* The cloud cuts off an edge that says more than a thousand things a second; a PLAN has its RETIRE later. */
static enum braid_status pace(struct braid_edge *edge, struct line *line) {
  int64_t now_ns = io_now_ns();
  if (line->paced_ns < now_ns) line->paced_ns = now_ns;
  line->paced_ns += PLAN_EVERY_NS;
  int64_t deadline_ns = line->paced_ns - PLANS_AT_ONCE * PLAN_EVERY_NS;
  pthread_mutex_lock(&edge->mutex);
  while (line->broken == BRAID_OK && !edge->ending && io_now_ns() < deadline_ns)
    (void)io_cond_wait(&edge->changed, &edge->mutex, deadline_ns);
  enum braid_status status = line->broken == BRAID_OK ? BRAID_OK : edge_fail_line(line, line->broken);
  pthread_mutex_unlock(&edge->mutex);
  return status;
}

enum braid_status edge_line_propose(struct braid_edge *edge, struct line *line, const struct braid_plan *plan,
                                    uint32_t epoch, int window) {
  char *text;
  BRAID_TRY(pace(edge, line));
  BRAID_TRY(braid_plan_to_json(plan, edge->graph, NULL, -1, &text));
  struct braid_msg msg;
  enum braid_status status = braid_msg_init(&msg, BRAID_MSG_PLAN, strlen(text));
  if (status == BRAID_OK) {
    memcpy(msg.payload, text, strlen(text));
    msg.epoch = epoch;
    msg.begin = (uint32_t)window;
    msg.frame = FIRST_FRAME;
    pthread_mutex_lock(&edge->mutex);
    while (line->post.type && line->broken == BRAID_OK) pthread_cond_wait(&edge->changed, &edge->mutex);
    braid_msg_release(&line->post); /* of a line that has broken */
    line->post = msg;
    pthread_mutex_unlock(&edge->mutex);
    io_poke(&edge->io);
  }
  braid_free(text);
  return status;
}

enum braid_status edge_line_agreed(struct braid_edge *edge, struct line *line, uint32_t epoch) {
  enum braid_status status = await(edge, line, was_planned, epoch, SETUP_TIMEOUT_NS);
  if (status == BRAID_ETIMEDOUT) return braid_fail(status, "cloud %s does not come to a PLAN_OK", line->address);
  return status;
}
