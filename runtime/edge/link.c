/* SPDX-License-Identifier: Apache-2.0
 * The edge's I/O thread: receives, sends what waits, keeps the timers, answers finished frames. When the link breaks it
 * closes it and goes on with the frames in flight (twin.c) and those that run alone, until the planner has another. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "edge/edge.h"
#include "session/refuse.h"

enum {
  HELLO_RETRY_NS = 10 * 1000 * 1000,
  UPLOAD_RETRY_NS = 1000 * 1000, /* the link's queue was full */
  IDLE_NS = 1000 * 1000 * 1000,
  MAX_CLOUD_WORKERS = 1 << 16
};

/* ----------------------------------------------------------------------------------------- what the cloud says */

static enum braid_status hear_welcome(struct braid_edge *edge, struct line *line, const struct braid_msg *msg) {
  if (msg->node < 1 || msg->node > MAX_CLOUD_WORKERS)
    return braid_fail(BRAID_EPROTO, "WELCOME with %" PRIu32 " workers", msg->node);
  char *text = braid_malloc(msg->payload_bytes + 1);
  if (!text) return braid_fail(BRAID_ENOMEM, "no memory for a profile of %zu bytes", msg->payload_bytes);
  if (msg->payload_bytes) memcpy(text, msg->payload, msg->payload_bytes);
  text[msg->payload_bytes] = '\0';
  pthread_mutex_lock(&edge->mutex);
  bool first = !line->welcomed;
  if (first) {
    line->welcome = text;
    line->cloud_workers = (int)msg->node;
    line->welcomed = true;
    pthread_cond_broadcast(&edge->changed);
  }
  pthread_mutex_unlock(&edge->mutex);
  if (first) return BRAID_OK;
  braid_free(text);
  return braid_fail(BRAID_EPROTO, "WELCOME came twice");
}

static enum braid_status hear_plan_ok(struct braid_edge *edge, struct line *line, uint32_t epoch) {
  pthread_mutex_lock(&edge->mutex);
  line->planned = epoch;
  pthread_cond_broadcast(&edge->changed);
  pthread_mutex_unlock(&edge->mutex);
  return BRAID_OK;
}

static enum braid_status hear_refuse(const struct line *line, const struct braid_msg *msg) {
  char text[EDGE_ERROR_BYTES / 2];
  enum braid_status status = refuse_status(msg);
  return braid_fail(status == BRAID_EMISMATCH ? status : BRAID_ECLOSED, "cloud %s refused: %s", line->address,
                    refuse_text(msg, text, sizeof text));
}

/* New frames go alone at once, where that can be; the planner leaves when those in flight are over. */
static void hear_drain(struct braid_edge *edge, struct line *line) {
  pthread_mutex_lock(&edge->mutex);
  line->draining = true;
  if (edge->current && edge->current->line == line && edge->alone) {
    edge->current = edge->alone;
    edge->stats.fallbacks++;
  }
  pthread_cond_broadcast(&edge->changed);
  pthread_mutex_unlock(&edge->mutex);
}

static struct stream *stream_of(const struct braid_edge *edge, const struct line *line, uint32_t epoch) {
  for (const struct route *r = edge->serving; r; r = r->next)
    for (int i = 0; r->line == line && i < r->n_parts; i++)
      if (r->part[i].stream->epoch == epoch) return r->part[i].stream;
  return NULL;
}

static enum braid_status hear_data(struct braid_edge *edge, struct line *line, const struct braid_msg *msg,
                                   int64_t now_ns) {
  struct stream *stream = stream_of(edge, line, msg->epoch);
  if (!stream) return braid_fail(BRAID_EPROTO, "DATA for plan %" PRIu32 ", which is not in force", msg->epoch);
  BRAID_TRY(stream_check_data(stream, msg));
  struct flight *flight = stream_find(stream, msg->frame);
  if (!flight) return braid_fail(BRAID_EPROTO, "DATA of frame %" PRIu64 ", which is not in flight", msg->frame);
  channel_note_came(&line->channel, flight, msg, now_ns);
  BRAID_TRY(edge_take_data(flight, msg));
  channel_took(&line->channel, msg->payload_bytes);
  return BRAID_OK;
}

static enum braid_status hear_delivered(struct braid_edge *edge, struct line *line, const struct braid_msg *msg) {
  struct stream *stream = stream_of(edge, line, msg->epoch);
  if (!stream || stream->plan->deliver != BRAID_CLOUD)
    return braid_fail(BRAID_EPROTO, "DELIVERED for plan %" PRIu32 ", which delivers nothing there", msg->epoch);
  struct flight *flight = stream_find(stream, msg->frame);
  if (!flight || flight->delivered)
    return braid_fail(BRAID_EPROTO, "DELIVERED of frame %" PRIu64 ", which is not in flight", msg->frame);
  flight->delivered = true;
  return BRAID_OK;
}

/* The answer to a probe's ping is for the probe alone: its size would mislead the round trip filter. What went up with
 * the ping counts like DATA acknowledged, so that the estimator knows the rate before the first frame. */
static bool hear_probe(struct braid_edge *edge, struct line *line, const struct braid_msg *msg, int64_t now_ns) {
  bool mine = false;
  pthread_mutex_lock(&edge->mutex);
  struct probe *p = line->probe;
  for (int i = 0; p && i < p->sent && !mine; i++) {
    if (p->ping[i].stamp_ns != msg->stamp_ns || p->ping[i].back_ns != 0) continue;
    p->ping[i].back_ns = now_ns;
    p->ping[i].got_bytes = msg->payload_bytes;
    braid_estimator_acked(&line->channel.estimator, p->ping[i].up_bytes, now_ns);
    p->back++;
    mine = true;
    pthread_cond_broadcast(&edge->changed);
  }
  pthread_mutex_unlock(&edge->mutex);
  return mine;
}

/* Every PONG tells the cloud's clock. One with payload, or for a ping with payload, took longer, and the filter prefers
 * others. */
static void hear_clock(struct line *line, const struct braid_msg *msg, int64_t now_ns) {
  if (msg->frame <= INT64_MAX) braid_clock_filter_add(&line->clock, msg->stamp_ns, (int64_t)msg->frame, now_ns);
}

static void note_heard(struct braid_edge *edge, struct line *line, int64_t now_ns) {
  channel_alive(&line->channel);
  pthread_mutex_lock(&edge->mutex);
  bool first = !line->heard;
  line->heard = true;
  if (first) pthread_cond_broadcast(&edge->changed);
  pthread_mutex_unlock(&edge->mutex);
  if (first) line->channel.ticked_ns = now_ns; /* silence counts from here */
}

static enum braid_status hear(struct braid_edge *edge, struct line *line, struct braid_msg *msg) {
  int64_t now_ns = io_now_ns();
  note_heard(edge, line, now_ns);
  BRAID_TRY(channel_admit(&line->channel, msg, now_ns));
  switch (msg->type) {
  case BRAID_MSG_WELCOME:
    return hear_welcome(edge, line, msg);
  case BRAID_MSG_PLAN_OK:
    return hear_plan_ok(edge, line, msg->epoch);
  case BRAID_MSG_DATA:
    return hear_data(edge, line, msg, now_ns);
  case BRAID_MSG_DELIVERED:
    return hear_delivered(edge, line, msg);
  case BRAID_MSG_REFUSE:
    return hear_refuse(line, msg);
  case BRAID_MSG_WANT:
    return edge_hear_want(edge, line, msg, now_ns);
  case BRAID_MSG_DRAIN:
    hear_drain(edge, line);
    return BRAID_OK;
  case BRAID_MSG_BYE:
    return braid_fail(BRAID_ECLOSED, "cloud %s has stopped: start it again, then connect again", line->address);
  case BRAID_MSG_PONG:
    hear_clock(line, msg, now_ns);
    if (hear_probe(edge, line, msg, now_ns) || edge_watch_pong(edge, line, msg, now_ns)) return BRAID_OK;
    return channel_hear(&line->channel, msg, now_ns);
  default:
    return channel_hear(&line->channel, msg, now_ns);
  }
}

static enum braid_status in_protocol(const struct line *line, enum braid_status status) {
  if (status != BRAID_EPROTO) return status;
  return braid_fail_in(status, "cloud %s does not keep the protocol (another release?)", line->address);
}

/* *more: there may be further messages. */
static enum braid_status receive_some(struct braid_edge *edge, struct line *line, bool *more) {
  for (int i = 0; i < SESSION_RECEIVE_BURST; i++) {
    braid_peer peer;
    struct braid_msg msg = {0};
    enum braid_status status = braid_link_recv(line->link, &peer, &msg);
    if (status == BRAID_ETIMEDOUT) return BRAID_OK;
    if (status == BRAID_OK) status = hear(edge, line, &msg);
    braid_msg_release(&msg);
    if (status != BRAID_OK) return in_protocol(line, status);
  }
  *more = true;
  return BRAID_OK;
}

/* ------------------------------------------------------------------------------------- what the edge has to say */

static enum braid_status send_post(struct braid_edge *edge, struct line *line) {
  pthread_mutex_lock(&edge->mutex);
  struct braid_msg msg = line->post;
  memset(&line->post, 0, sizeof line->post);
  if (msg.type) pthread_cond_broadcast(&edge->changed); /* there is room for the next */
  pthread_mutex_unlock(&edge->mutex);
  return msg.type ? channel_send(&line->channel, &msg) : BRAID_OK;
}

static enum braid_status send_probe(struct braid_edge *edge, struct line *line) {
  enum braid_status status = BRAID_OK;
  pthread_mutex_lock(&edge->mutex);
  struct probe *p = line->probe;
  for (; p && p->sent < p->n && status == BRAID_OK; p->sent++) {
    size_t up_bytes = p->ping[p->sent].up_bytes;
    status = channel_ping(&line->channel, up_bytes, p->ping[p->sent].down_bytes, &p->ping[p->sent].stamp_ns);
    if (up_bytes) braid_estimator_sent(&line->channel.estimator, up_bytes, p->ping[p->sent].stamp_ns);
  }
  pthread_mutex_unlock(&edge->mutex);
  return status;
}

/* Before the cloud is there, the link may have no room or no peer: HELLO waits. */
static enum braid_status send_hello(struct line *line) {
  enum braid_status status = braid_link_send(line->link, line->channel.peer, &line->hello);
  return status == BRAID_EBUSY || status == BRAID_ECLOSED ? BRAID_OK : status;
}

static void publish_stats(struct braid_edge *edge, const struct line *line) {
  pthread_mutex_lock(&edge->mutex);
  edge->stats.bytes_up = edge->bytes_up_before + line->channel.sent_bytes;
  edge->stats.bytes_down = edge->bytes_down_before + line->channel.received_bytes;
  edge->stats.rate_bits_per_s = line->channel.estimator.rate_bits_per_s;
  edge->stats.rtt_ns = line->channel.estimator.rtt_min_ns;
  edge->stats.down_bits_per_s = line->channel.peer_bits_per_s;
  edge->stats.cloud_load = line->channel.peer_load;
  edge->stats.cloud_busy = line->channel.peer_busy;
  pthread_mutex_unlock(&edge->mutex);
}

/* Timers, then everything that waits to be sent. */
static enum braid_status speak(struct braid_edge *edge, struct line *line, int64_t now_ns) {
  BRAID_TRY(channel_tick(&line->channel, now_ns));
  BRAID_TRY(send_post(edge, line));
  BRAID_TRY(send_probe(edge, line));
  BRAID_TRY(edge_send_model(edge, line, now_ns));
  BRAID_TRY(edge_watch(edge, line, now_ns));
  return channel_pump(&line->channel, now_ns);
}

/* ------------------------------------------------------------------------------------------ a line, while it is up */

static enum braid_status explain(const struct line *line, enum braid_status status) {
  if (status != BRAID_ETIMEDOUT) return status;
  return braid_fail_in(status, "cloud %s fell silent (is it running, is the network up?)", line->address);
}

/* A link that takes nothing more may still hold why: a REFUSE, a BYE, or what the transport knows. */
static enum braid_status hear_last_words(struct braid_edge *edge, struct line *line) {
  for (bool more = true; more;) {
    more = false;
    BRAID_TRY(receive_some(edge, line, &more));
  }
  return braid_fail(BRAID_ECLOSED, "cloud %s has gone: start it again, then connect again", line->address);
}

static bool is_unwanted(struct braid_edge *edge, const struct line *line) {
  pthread_mutex_lock(&edge->mutex);
  bool quit = line->quit;
  pthread_mutex_unlock(&edge->mutex);
  return quit || atomic_load_explicit(&edge->stop, memory_order_acquire);
}

static enum braid_status turn_line(struct braid_edge *edge, struct line *line, int64_t *sleep_ns) {
  bool more = false;
  BRAID_TRY(receive_some(edge, line, &more));
  int64_t now_ns = io_now_ns();
  if (line->hello.type) BRAID_TRY(send_hello(line));
  *sleep_ns = line->hello.type ? HELLO_RETRY_NS : line->channel.heartbeat_ns;
  if (line->heard) { /* written by this thread only */
    enum braid_status status = speak(edge, line, now_ns);
    if (status == BRAID_ECLOSED) status = hear_last_words(edge, line);
    if (status != BRAID_OK) return explain(line, status);
    publish_stats(edge, line); /* before the answers that they count for */
    int64_t watch_ns = edge_watch_sleep_ns(edge, line, now_ns);
    *sleep_ns = channel_sleep_ns(&line->channel, now_ns);
    if (watch_ns < *sleep_ns) *sleep_ns = watch_ns;
    if (line->upload.part.type && *sleep_ns > UPLOAD_RETRY_NS) *sleep_ns = UPLOAD_RETRY_NS;
  }
  if (more) *sleep_ns = 0;
  return BRAID_OK;
}

/* ------------------------------------------------------------------------------------------ a line, when it ends */

static void say_last(struct line *line, enum braid_status status, bool unwanted) {
  struct braid_msg bye = {.type = BRAID_MSG_BYE};
  if (!unwanted && status != BRAID_ECLOSED) refuse_send(line->link, line->channel.peer, status, braid_error());
  if (unwanted && braid_link_send(line->link, line->channel.peer, &bye) != BRAID_OK) braid_msg_release(&bye);
}

/* From here on nobody uses the link; new frames go alone, if there is an alone. */
static void break_line(struct braid_edge *edge, struct line *line, enum braid_status status, bool unwanted) {
  char why[EDGE_ERROR_BYTES];
  snprintf(why, sizeof why, "%s", braid_error());
  say_last(line, status, unwanted);
  braid_link_close(&line->link);
  edge->io.link = NULL;
  edge->io_line = NULL;
  edge->bytes_up_before += line->channel.sent_bytes;
  edge->bytes_down_before += line->channel.received_bytes;
  edge_sight_line(edge, line);
  pthread_mutex_lock(&edge->mutex);
  line->broken = status;
  memcpy(line->why, why, sizeof why);
  if (edge->current && edge->current->line == line) {
    edge->current = edge->alone;
    edge->stats.fallbacks += edge->alone != NULL && !unwanted;
  }
  edge->line = NULL;
  edge->stats.down_bits_per_s = edge->stats.cloud_load = edge->stats.cloud_busy = 0;
  pthread_cond_broadcast(&edge->changed);
  pthread_mutex_unlock(&edge->mutex);
}

/* ---------------------------------------------------------------------------------------------------- thread */

static void take_incoming(struct braid_edge *edge) {
  pthread_mutex_lock(&edge->mutex);
  edge->stats.turns++;
  edge->io_line = edge->line;
  for (struct route *r; (r = edge->incoming);) {
    edge->incoming = r->next;
    r->next = edge->serving;
    edge->serving = r;
  }
  pthread_mutex_unlock(&edge->mutex);
  edge->io.link = edge->io_line ? edge->io_line->link : NULL;
}

static void turn(struct braid_edge *edge, int64_t *sleep_ns) {
  *sleep_ns = IDLE_NS;
  take_incoming(edge);
  struct line *line = edge->io_line;
  if (line) {
    bool unwanted = is_unwanted(edge, line);
    enum braid_status status =
        unwanted ? braid_fail(BRAID_ECLOSED, "the edge is stopping") : turn_line(edge, line, sleep_ns);
    if (status != BRAID_OK) break_line(edge, line, status, unwanted);
  }
  enum braid_status status = edge_bridge(edge);
  if (status == BRAID_OK) status = edge_rescue(edge, sleep_ns);
  if (status != BRAID_OK) edge_break(edge, status);
  edge_answer_finished(edge);
  edge_end_mates(edge);
  status = edge_let_go_idle(edge);
  if (status != BRAID_OK && edge->io_line) break_line(edge, edge->io_line, status, false);
}

/* A frame that cannot be finished: so are all others. */
static bool is_lost(struct braid_edge *edge) {
  pthread_mutex_lock(&edge->mutex);
  bool lost = edge->broken != BRAID_OK && !edge->settled;
  pthread_mutex_unlock(&edge->mutex);
  return lost;
}

void *edge_io_main(void *arg) {
  struct braid_edge *edge = arg;
  braid_pin_this_thread(&edge->io_place);
  while (!atomic_load_explicit(&edge->stop, memory_order_acquire)) {
    int64_t sleep_ns;
    turn(edge, &sleep_ns);
    if (is_lost(edge)) edge_lose_frames(edge);
    io_wait(&edge->io, sleep_ns);
  }
  take_incoming(edge);
  (void)braid_fail(BRAID_ECLOSED, "the edge is stopping");
  edge_break(edge, BRAID_ECLOSED);
  if (edge->io_line) break_line(edge, edge->io_line, BRAID_ECLOSED, true);
  edge_lose_frames(edge);
  return NULL;
}
