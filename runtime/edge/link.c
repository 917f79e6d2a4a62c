/* SPDX-License-Identifier: Apache-2.0
 * The edge's I/O thread: receives, sends what waits, keeps the timers, answers finished frames. It ends when the edge
 * is stopped or the link has broken; either way nothing is in flight afterwards. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "edge/edge.h"

enum { HELLO_RETRY_NS = 10 * 1000 * 1000, MAX_CLOUD_WORKERS = 1 << 16 };

/* ----------------------------------------------------------------------------------------- what the cloud says */

static enum braid_status hear_welcome(struct braid_edge *edge, const struct braid_msg *msg) {
  if (msg->node < 1 || msg->node > MAX_CLOUD_WORKERS)
    return braid_fail(BRAID_EPROTO, "WELCOME with %" PRIu32 " workers", msg->node);
  char *text = braid_malloc(msg->payload_bytes + 1);
  if (!text) return braid_fail(BRAID_ENOMEM, "no memory for a profile of %zu bytes", msg->payload_bytes);
  if (msg->payload_bytes) memcpy(text, msg->payload, msg->payload_bytes);
  text[msg->payload_bytes] = '\0';
  pthread_mutex_lock(&edge->mutex);
  bool first = !edge->welcomed;
  if (first) {
    edge->welcome = text;
    edge->cloud_workers = (int)msg->node;
    edge->welcomed = true;
    pthread_cond_broadcast(&edge->changed);
  }
  pthread_mutex_unlock(&edge->mutex);
  if (first) return BRAID_OK;
  braid_free(text);
  return braid_fail(BRAID_EPROTO, "WELCOME came twice");
}

static enum braid_status hear_plan_ok(struct braid_edge *edge) {
  pthread_mutex_lock(&edge->mutex);
  edge->planned = true;
  pthread_cond_broadcast(&edge->changed);
  pthread_mutex_unlock(&edge->mutex);
  return BRAID_OK;
}

static enum braid_status hear_refuse(const struct braid_edge *edge, const struct braid_msg *msg) {
  char text[EDGE_ERROR_BYTES / 2];
  enum braid_status status = channel_refuse_status(msg);
  return braid_fail(status == BRAID_EMISMATCH ? status : BRAID_ECLOSED, "cloud %s refused: %s", edge->address,
                    channel_refuse_text(msg, text, sizeof text));
}

int edge_streams(struct braid_edge *edge) {
  pthread_mutex_lock(&edge->mutex);
  int n = edge->n_streams;
  pthread_mutex_unlock(&edge->mutex);
  return n;
}

static struct stream *stream_of(struct braid_edge *edge, uint32_t epoch) {
  uint32_t part = epoch - FIRST_EPOCH;
  return part < (uint32_t)edge_streams(edge) ? edge->stream[part] : NULL;
}

static enum braid_status hear_data(struct braid_edge *edge, const struct braid_msg *msg) {
  struct stream *stream = stream_of(edge, msg->epoch);
  if (!stream) return braid_fail(BRAID_EPROTO, "DATA for plan %" PRIu32 ", which is not in force", msg->epoch);
  BRAID_TRY(stream_check_data(stream, msg));
  struct flight *flight = stream_find(stream, msg->frame);
  if (!flight) return braid_fail(BRAID_EPROTO, "DATA of frame %" PRIu64 ", which is not in flight", msg->frame);
  BRAID_TRY(flight_take(flight, msg));
  channel_took(&edge->channel, msg->payload_bytes);
  return BRAID_OK;
}

/* The answer to a probe's ping is for the probe alone: its size would mislead the round trip filter. What went up with
 * the ping counts like DATA acknowledged, so that the estimator knows the rate before the first frame. */
static bool hear_probe(struct braid_edge *edge, const struct braid_msg *msg, int64_t now_ns) {
  bool mine = false;
  pthread_mutex_lock(&edge->mutex);
  struct probe *p = edge->probe;
  for (int i = 0; p && i < p->sent && !mine; i++) {
    if (p->ping[i].stamp_ns != msg->stamp_ns || p->ping[i].back_ns != 0) continue;
    p->ping[i].back_ns = now_ns;
    p->ping[i].got_bytes = msg->payload_bytes;
    braid_estimator_acked(&edge->channel.estimator, p->ping[i].up_bytes, now_ns);
    p->back++;
    mine = true;
    pthread_cond_broadcast(&edge->changed);
  }
  pthread_mutex_unlock(&edge->mutex);
  return mine;
}

static void note_heard(struct braid_edge *edge, int64_t now_ns) {
  channel_alive(&edge->channel);
  pthread_mutex_lock(&edge->mutex);
  bool first = !edge->heard;
  edge->heard = true;
  if (first) pthread_cond_broadcast(&edge->changed);
  pthread_mutex_unlock(&edge->mutex);
  if (first) edge->channel.ticked_ns = now_ns; /* silence counts from here */
}

static enum braid_status hear(struct braid_edge *edge, struct braid_msg *msg) {
  int64_t now_ns = io_now_ns();
  note_heard(edge, now_ns);
  BRAID_TRY(channel_admit(&edge->channel, msg, now_ns));
  switch (msg->type) {
  case BRAID_MSG_WELCOME:
    return hear_welcome(edge, msg);
  case BRAID_MSG_PLAN_OK:
    return hear_plan_ok(edge);
  case BRAID_MSG_DATA:
    return hear_data(edge, msg);
  case BRAID_MSG_REFUSE:
    return hear_refuse(edge, msg);
  case BRAID_MSG_BYE:
    return braid_fail(BRAID_ECLOSED, "cloud %s has stopped: start it again, then connect again", edge->address);
  case BRAID_MSG_PONG:
    if (hear_probe(edge, msg, now_ns)) return BRAID_OK;
    return channel_hear(&edge->channel, msg, now_ns);
  default:
    return channel_hear(&edge->channel, msg, now_ns);
  }
}

static enum braid_status in_protocol(const struct braid_edge *edge, enum braid_status status) {
  if (status != BRAID_EPROTO) return status;
  return braid_fail_in(status, "cloud %s does not keep the protocol (another release?)", edge->address);
}

/* *more: there may be further messages. */
static enum braid_status receive_some(struct braid_edge *edge, bool *more) {
  for (int i = 0; i < SESSION_RECEIVE_BURST; i++) {
    braid_peer peer;
    struct braid_msg msg = {0};
    enum braid_status status = braid_link_recv(edge->io.link, &peer, &msg);
    if (status == BRAID_ETIMEDOUT) return BRAID_OK;
    if (status == BRAID_OK) status = hear(edge, &msg);
    braid_msg_release(&msg);
    if (status != BRAID_OK) return in_protocol(edge, status);
  }
  *more = true;
  return BRAID_OK;
}

/* ------------------------------------------------------------------------------------- what the edge has to say */

static enum braid_status send_post(struct braid_edge *edge) {
  pthread_mutex_lock(&edge->mutex);
  struct braid_msg msg = edge->post;
  memset(&edge->post, 0, sizeof edge->post);
  pthread_mutex_unlock(&edge->mutex);
  return msg.type ? channel_send(&edge->channel, &msg) : BRAID_OK;
}

static enum braid_status send_probe(struct braid_edge *edge) {
  enum braid_status status = BRAID_OK;
  pthread_mutex_lock(&edge->mutex);
  struct probe *p = edge->probe;
  for (; p && p->sent < p->n && status == BRAID_OK; p->sent++) {
    size_t up_bytes = p->ping[p->sent].up_bytes;
    status = channel_ping(&edge->channel, up_bytes, p->ping[p->sent].down_bytes, &p->ping[p->sent].stamp_ns);
    if (up_bytes) braid_estimator_sent(&edge->channel.estimator, up_bytes, p->ping[p->sent].stamp_ns);
  }
  pthread_mutex_unlock(&edge->mutex);
  return status;
}

/* Before the cloud is there, the link may have no room or no peer: HELLO waits. */
static enum braid_status send_hello(struct braid_edge *edge) {
  enum braid_status status = braid_link_send(edge->io.link, edge->channel.peer, &edge->hello);
  return status == BRAID_EBUSY || status == BRAID_ECLOSED ? BRAID_OK : status;
}

static void publish_stats(struct braid_edge *edge) {
  pthread_mutex_lock(&edge->mutex);
  edge->stats.bytes_up = edge->channel.sent_bytes;
  edge->stats.bytes_down = edge->channel.received_bytes;
  edge->stats.rate_bits_per_s = edge->channel.estimator.rate_bits_per_s;
  edge->stats.rtt_ns = edge->channel.estimator.rtt_min_ns;
  pthread_mutex_unlock(&edge->mutex);
}

/* Timers, then everything that waits to be sent. */
static enum braid_status speak(struct braid_edge *edge, int64_t now_ns) {
  BRAID_TRY(channel_tick(&edge->channel, now_ns));
  BRAID_TRY(send_post(edge));
  BRAID_TRY(send_probe(edge));
  return channel_pump(&edge->channel, now_ns);
}

static enum braid_status explain(const struct braid_edge *edge, enum braid_status status) {
  if (status != BRAID_ETIMEDOUT) return status;
  return braid_fail_in(status, "cloud %s fell silent (is it running, is the network up?)", edge->address);
}

/* A link that takes nothing more may still hold why: a REFUSE, a BYE, or what the transport knows. */
static enum braid_status hear_last_words(struct braid_edge *edge) {
  for (bool more = true; more;) {
    more = false;
    BRAID_TRY(receive_some(edge, &more));
  }
  return braid_fail(BRAID_ECLOSED, "cloud %s has gone: start it again, then connect again", edge->address);
}

/* One turn of the loop; *sleep_ns: until the next one. */
static enum braid_status turn(struct braid_edge *edge, int64_t *sleep_ns) {
  bool more = false;
  BRAID_TRY(receive_some(edge, &more));
  int64_t now_ns = io_now_ns();
  if (edge->hello.type) BRAID_TRY(send_hello(edge));
  *sleep_ns = edge->hello.type ? HELLO_RETRY_NS : edge->channel.heartbeat_ns;
  if (edge->heard) { /* written by this thread only */
    enum braid_status status = speak(edge, now_ns);
    if (status == BRAID_ECLOSED) status = hear_last_words(edge);
    if (status != BRAID_OK) return explain(edge, status);
    publish_stats(edge); /* before the answers that they count for */
    edge_answer_finished(edge);
    *sleep_ns = channel_sleep_ns(&edge->channel, now_ns);
  }
  if (more) *sleep_ns = 0;
  return BRAID_OK;
}

/* ---------------------------------------------------------------------------------------------------- thread */

static void break_link(struct braid_edge *edge, enum braid_status status) {
  pthread_mutex_lock(&edge->mutex);
  edge->broken = status;
  snprintf(edge->why, sizeof edge->why, "%s", braid_error());
  pthread_cond_broadcast(&edge->changed);
  pthread_mutex_unlock(&edge->mutex);
}

static void send_last(struct braid_edge *edge, enum braid_msg_type type, enum braid_status status) {
  const char *text = type == BRAID_MSG_REFUSE ? braid_error() : "";
  struct braid_msg msg;
  if (braid_msg_init(&msg, type, strlen(text)) != BRAID_OK) return;
  if (*text) memcpy(msg.payload, text, strlen(text));
  msg.begin = (uint32_t)status;
  if (braid_link_send(edge->io.link, edge->channel.peer, &msg) != BRAID_OK) braid_msg_release(&msg);
}

void *edge_io_main(void *arg) {
  struct braid_edge *edge = arg;
  braid_pin_this_thread(&edge->io_place);
  enum braid_status status = BRAID_OK;
  while (!atomic_load_explicit(&edge->stop, memory_order_acquire)) {
    int64_t sleep_ns;
    if ((status = turn(edge, &sleep_ns)) != BRAID_OK) break;
    io_wait(&edge->io, sleep_ns);
  }
  if (status == BRAID_OK) (void)braid_fail(BRAID_ECLOSED, "the edge is stopping");
  break_link(edge, status == BRAID_OK ? BRAID_ECLOSED : status);
  if (status == BRAID_OK)
    send_last(edge, BRAID_MSG_BYE, BRAID_OK);
  else if (status != BRAID_ECLOSED)
    send_last(edge, BRAID_MSG_REFUSE, status);
  edge_lose_frames(edge);
  return NULL;
}
