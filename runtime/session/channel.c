/* SPDX-License-Identifier: Apache-2.0
 * One conversation with one peer.
 *
 * Order of sends. Rows wait in the outbox, by urgency, as references. They are packed when there is credit for them,
 * that is while less than a bandwidth-delay product is under way, so what has been handed to the link is never much,
 * and an urgent tensor waits for at most that much of a bulky one. Control messages take no credit and are never queued
 * behind rows: at worst a few chunks are before them in the sockets.
 *
 * Credit. The receiver tells how many payload bytes it has taken (ACK), once per round of its loop, so it never
 * withholds any; these acks are also what the estimator sees.
 *
 * Silence. A peer is dead after two heartbeats of silence. Each round adds at most a quarter of a heartbeat to the
 * silence, so a process that was itself stopped for a while first hears what has come in meanwhile. */
#include "session/channel.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "session/stream.h"

enum {
  CHUNK_MAX_BYTES = 32 << 10,
  CHUNK_MIN_BYTES = 4 << 10,
  CHUNK_NS = 20 * 1000 * 1000,  /* on slow links a chunk takes no longer than this, so that heartbeats get through */
  RETRY_NS = 1000 * 1000,       /* the link's queue was full */
  PROBE_REFILL_BYTES = 1 << 20, /* PONG payload that a peer may ask for in each ... */
  PROBE_REFILL_NS = 1000 * 1000 * 1000,
  SAY_A_SECOND = 1000,          /* messages beside DATA and ACK, and as many at once */
  SAY_BYTES_A_SECOND = 16 << 20 /* their payloads; twice that at once, for a large PLAN and a WELCOME */
};

/* Beside "downlink 5": "sent 5". */
static int lane_beside(const struct channel *ch, const char *what, const char *lane) {
  char name[64];
  const char *number = strchr(lane, ' ');
  snprintf(name, sizeof name, "%s%s", what, number ? number : "");
  return braid_trace_lane(ch->trace, name);
}

enum braid_status channel_init(struct channel *ch, struct io *io, braid_peer peer, int64_t heartbeat_ns,
                               struct braid_trace *trace, const char *lane) {
  int64_t now = io_now_ns();
  *ch = (struct channel){.io = io,
                         .peer = peer,
                         .heartbeat_ns = heartbeat_ns ? heartbeat_ns : SESSION_DEFAULT_HEARTBEAT_NS,
                         .probe_bytes = PROBE_REFILL_BYTES,
                         .probe_refill_ns = now,
                         .may_say = SAY_A_SECOND,
                         .may_say_bytes = 2.0 * SAY_BYTES_A_SECOND,
                         .may_say_ns = now,
                         .ticked_ns = now,
                         .ping_at_ns = now,
                         .trace = trace};
  pthread_mutex_init(&ch->mutex, NULL);
  braid_estimator_init(&ch->estimator);
  braid_pace_init(&ch->pace);
  BRAID_TRY(braid_outbox_create(&ch->outbox));
  if (!trace) return BRAID_OK;
  ch->lane = braid_trace_lane(trace, lane);
  ch->sent_lane = lane_beside(ch, "sent", lane);
  ch->came_lane = lane_beside(ch, "came", lane);
  ch->log = braid_calloc(CHANNEL_LOG, sizeof *ch->log);
  return ch->log ? BRAID_OK : braid_fail(BRAID_ENOMEM, "no memory to trace a link");
}

void channel_fini(struct channel *ch) {
  for (int i = 0; i < ch->n_control; i++) braid_msg_release(&ch->control[i]);
  braid_msg_release(&ch->parked);
  braid_outbox_destroy(&ch->outbox);
  braid_free(ch->log);
  pthread_mutex_destroy(&ch->mutex);
}

/* ------------------------------------------------------------------------------------------------ control */

static enum braid_status flush_control(struct channel *ch) {
  int sent = 0;
  enum braid_status status = BRAID_OK;
  while (sent < ch->n_control && (status = braid_link_send(ch->io->link, ch->peer, &ch->control[sent])) == BRAID_OK)
    sent++;
  ch->n_control -= sent;
  memmove(ch->control, ch->control + sent, (size_t)ch->n_control * sizeof *ch->control);
  return status == BRAID_EBUSY ? BRAID_OK : status;
}

enum braid_status channel_send(struct channel *ch, struct braid_msg *msg) {
  enum braid_status status = flush_control(ch);
  if (status == BRAID_OK && ch->n_control == 0)
    status = braid_link_send(ch->io->link, ch->peer, msg);
  else if (status == BRAID_OK)
    status = BRAID_EBUSY;
  if (status == BRAID_EBUSY && ch->n_control < CHANNEL_CONTROL_MAX) {
    ch->control[ch->n_control++] = *msg;
    memset(msg, 0, sizeof *msg);
    return BRAID_OK;
  }
  if (status != BRAID_OK) braid_msg_release(msg);
  return status;
}

enum braid_status channel_send_text(struct channel *ch, enum braid_msg_type type, const char *text, uint32_t begin,
                                    uint32_t node) {
  struct braid_msg msg;
  size_t bytes = strlen(text);
  BRAID_TRY(braid_msg_init(&msg, type, bytes));
  if (bytes) memcpy(msg.payload, text, bytes);
  msg.begin = begin;
  msg.node = node;
  return channel_send(ch, &msg);
}

bool channel_has_room(const struct channel *ch) {
  return ch->n_control < CHANNEL_CONTROL_MAX;
}

/* A message that may be left out when the link is full, the next one will do as well, or when it has ended: receiving
 * tells why, after the peer's last words. */
static enum braid_status send_or_drop(struct channel *ch, struct braid_msg *msg) {
  enum braid_status status = braid_link_send(ch->io->link, ch->peer, msg);
  if (status != BRAID_OK) braid_msg_release(msg);
  return status == BRAID_EBUSY || status == BRAID_ECLOSED ? BRAID_OK : status;
}

enum braid_status channel_ping(struct channel *ch, size_t up_bytes, size_t down_bytes, int64_t *stamp_ns) {
  struct braid_msg msg;
  BRAID_TRY(braid_msg_init(&msg, BRAID_MSG_PING, up_bytes));
  if (up_bytes) memset(msg.payload, 0, up_bytes);
  msg.begin = (uint32_t)down_bytes;
  int64_t now = io_now_ns(); /* stamps are unique, so that an answer names its question */
  *stamp_ns = msg.stamp_ns = ch->last_stamp_ns = now > ch->last_stamp_ns ? now : ch->last_stamp_ns + 1;
  return send_or_drop(ch, &msg);
}

/* Bounded: a peer can make us send no more than PROBE_REFILL_BYTES a second that we did not want to send. */
static size_t probe_allowance(struct channel *ch, size_t wanted, int64_t now_ns) {
  if (now_ns - ch->probe_refill_ns >= PROBE_REFILL_NS) {
    ch->probe_bytes = PROBE_REFILL_BYTES;
    ch->probe_refill_ns = now_ns;
  }
  size_t granted = wanted < ch->probe_bytes ? wanted : ch->probe_bytes;
  ch->probe_bytes -= granted;
  return granted;
}

/* For the peer's plans: how fast our DATA gets through, how busy we are. */
static void put_report(const struct channel *ch, struct braid_msg *msg) {
  double kbit = ch->pace.bits_per_s / 1e3, load = 1e3 * ch->load;
  msg->node = kbit < (double)INT32_MAX ? (uint32_t)kbit : INT32_MAX;
  msg->begin = load < (double)BRAID_LOAD_MAX ? (uint32_t)load : BRAID_LOAD_MAX;
}

static void take_report(struct channel *ch, const struct braid_msg *msg) {
  if (msg->node > 0) ch->peer_bits_per_s = 1e3 * (double)msg->node;
  if (msg->begin > 0) ch->peer_load = (double)msg->begin / 1e3;
}

/* An idle machine is known to be idle: not 0. */
static uint32_t busy_thousandths(double busy) {
  double n = 1e3 * busy;
  return n < 1 ? 1 : n < (double)BRAID_LOAD_MAX ? (uint32_t)n : BRAID_LOAD_MAX;
}

static enum braid_status answer_ping(struct channel *ch, const struct braid_msg *ping, int64_t now_ns) {
  struct braid_msg pong;
  size_t bytes = probe_allowance(ch, ping->begin, now_ns);
  BRAID_TRY(braid_msg_init(&pong, BRAID_MSG_PONG, bytes));
  if (bytes) memset(pong.payload, 0, bytes);
  pong.stamp_ns = ping->stamp_ns;
  pong.frame = (uint64_t)now_ns;
  put_report(ch, &pong);
  if (ch->load > 0) pong.end = busy_thousandths(ch->busy); /* an edge reports neither */
  return send_or_drop(ch, &pong);
}

/* -------------------------------------------------------------------------------------- trace of the wire */

static void log_sent(struct channel *ch, const struct braid_msg *msg, int64_t now_ns) {
  ch->log_offset += msg->payload_bytes;
  if (!ch->log || ch->log_count == CHANNEL_LOG) return;
  ch->log[(ch->log_begin + ch->log_count++) % CHANNEL_LOG] = (struct sent_data){
      ch->log_offset, ch->parked_frame, (int)msg->node, {(int)msg->begin, (int)msg->end}, now_ns, ch->parked_name};
}

/* A moment, of rows. */
static void mark(const struct channel *ch, int lane, const char *name, uint64_t frame, const struct braid_msg *msg,
                 int64_t at_ns) {
  braid_trace_span(ch->trace, lane, name, frame, (int)msg->node, (struct braid_band){(int)msg->begin, (int)msg->end},
                   at_ns, at_ns);
}

void channel_note_came(struct channel *ch, const struct flight *flight, const struct braid_msg *msg, int64_t came_ns) {
  if (!ch->trace) return;
  const char *name = braid_graph_node(flight->stream->graph, (int)msg->node)->name;
  mark(ch, ch->came_lane, name, flight->name, msg, came_ns);
}

/* An ack came half a round trip after the last byte had arrived; the wire carries one message at a time, so a message
 * begins when the one before has left. */
static void log_acked(struct channel *ch, size_t bytes, int64_t now_ns) {
  ch->log_acked += bytes;
  int64_t end_ns = now_ns - ch->estimator.rtt_min_ns / 2;
  while (ch->log_count > 0 && ch->log[ch->log_begin].end_offset <= ch->log_acked) {
    const struct sent_data *d = &ch->log[ch->log_begin];
    int64_t begin_ns = d->sent_ns > ch->log_free_ns ? d->sent_ns : ch->log_free_ns;
    if (end_ns < begin_ns) end_ns = begin_ns;
    braid_trace_span(ch->trace, ch->lane, d->name, d->frame, d->node, d->band, begin_ns, end_ns);
    ch->log_free_ns = end_ns;
    ch->log_begin = (ch->log_begin + 1) % CHANNEL_LOG;
    ch->log_count--;
  }
}

/* ------------------------------------------------------------------------------------------------ hearing */

static double refill(double left, double a_second, double most, int64_t passed_ns) {
  double now = left + a_second * (double)passed_ns / 1e9;
  return now < most ? now : most;
}

/* A token bucket: what a peer says beside DATA costs us work without giving credit. */
static enum braid_status take_turn(struct channel *ch, const struct braid_msg *msg, int64_t now_ns) {
  int64_t passed = now_ns > ch->may_say_ns ? now_ns - ch->may_say_ns : 0;
  ch->may_say_ns = now_ns;
  ch->may_say = refill(ch->may_say, SAY_A_SECOND, SAY_A_SECOND, passed) - 1;
  ch->may_say_bytes = refill(ch->may_say_bytes, SAY_BYTES_A_SECOND, 2.0 * SAY_BYTES_A_SECOND, passed);
  ch->may_say_bytes -= (double)msg->payload_bytes;
  if (ch->may_say >= 0 && ch->may_say_bytes >= 0) return BRAID_OK;
  return braid_fail(BRAID_EPROTO, "more than %d control messages or %d MiB of them a second", SAY_A_SECOND,
                    SAY_BYTES_A_SECOND >> 20);
}

/* DATA, MODEL and WANT are bounded by what was asked for: whoever takes them looks at that. */
enum braid_status channel_admit(struct channel *ch, const struct braid_msg *msg, int64_t now_ns) {
  bool asked_for = msg->type == BRAID_MSG_DATA || msg->type == BRAID_MSG_MODEL || msg->type == BRAID_MSG_WANT;
  if (asked_for || msg->type == BRAID_MSG_DELIVERED) return BRAID_OK; /* the last: each of a frame in flight */
  if (msg->type != BRAID_MSG_ACK) return take_turn(ch, msg, now_ns);
  if (msg->frame > 0 && ++ch->acks_heard <= ch->sent_messages) return BRAID_OK;
  return braid_fail(BRAID_EPROTO, "credit for %" PRIu64 " bytes, but no DATA waits for an ACK", msg->frame);
}

static enum braid_status hear_ack(struct channel *ch, const struct braid_msg *msg, int64_t now_ns) {
  if (msg->frame > ch->estimator.in_flight_bytes)
    return braid_fail(BRAID_EPROTO, "credit for %" PRIu64 " bytes, but only %zu are under way", msg->frame,
                      ch->estimator.in_flight_bytes);
  braid_estimator_acked(&ch->estimator, (size_t)msg->frame, now_ns);
  braid_pace_acked(&ch->pace, (size_t)msg->frame, ch->estimator.rtt_min_ns, now_ns, msg->end != 0);
  take_report(ch, msg);
  log_acked(ch, (size_t)msg->frame, now_ns);
  return BRAID_OK;
}

enum braid_status channel_hear(struct channel *ch, const struct braid_msg *msg, int64_t now_ns) {
  switch (msg->type) {
  case BRAID_MSG_PING:
    return answer_ping(ch, msg, now_ns);
  case BRAID_MSG_ACK:
    return hear_ack(ch, msg, now_ns);
  case BRAID_MSG_PONG:
    take_report(ch, msg);
    if (msg->end > 0) ch->peer_busy = (double)msg->end / 1e3;
    if (msg->payload_bytes == 0 && msg->stamp_ns > 0 && msg->stamp_ns <= now_ns)
      braid_estimator_rtt(&ch->estimator, now_ns - msg->stamp_ns, now_ns);
    return BRAID_OK;
  default:
    return braid_fail(BRAID_EPROTO, "unexpected message of type %d", (int)msg->type);
  }
}

void channel_took(struct channel *ch, size_t bytes) {
  ch->untold_bytes += bytes;
  ch->received_bytes += bytes;
}

enum braid_status channel_flush_credit(struct channel *ch) {
  if (ch->untold_bytes == 0) return BRAID_OK;
  struct braid_msg msg = {.type = BRAID_MSG_ACK, .frame = ch->untold_bytes, .end = ch->untold_held};
  put_report(ch, &msg);
  enum braid_status status = braid_link_send(ch->io->link, ch->peer, &msg);
  if (status == BRAID_OK) {
    ch->untold_bytes = 0;
    ch->untold_held = false;
  }
  return status == BRAID_EBUSY ? BRAID_OK : status;
}

/* ------------------------------------------------------------------------------------------------ sending */

static size_t chunk_bytes(const struct channel *ch) {
  double rate = ch->estimator.rate_bits_per_s;
  double fit = rate / 8 * CHUNK_NS / 1e9;
  if (rate <= 0 || fit >= CHUNK_MAX_BYTES) return CHUNK_MAX_BYTES;
  return fit > CHUNK_MIN_BYTES ? (size_t)fit : CHUNK_MIN_BYTES;
}

enum braid_status channel_pack(const struct braid_send_item *item, struct braid_msg *msg) {
  struct flight *flight = item->owner;
  struct braid_tensor tensor = braid_frame_tensor(flight_frame(flight), item->node);
  BRAID_TRY(braid_msg_init(msg, BRAID_MSG_DATA, braid_band_bytes(&tensor.shape, tensor.dtype, item->band)));
  braid_band_pack(&tensor, item->band, msg->payload);
  msg->epoch = flight->stream->epoch;
  msg->frame = flight->number;
  msg->node = (uint32_t)item->node;
  msg->begin = (uint32_t)item->band.begin;
  msg->end = (uint32_t)item->band.end;
  msg->codec = BRAID_CODEC_RAW;
  if (flight->stream->plan->deliver == BRAID_CLOUD) msg->stamp_ns = (int64_t)flight->id;
  return BRAID_OK;
}

bool channel_take(struct channel *ch, struct braid_send_item *item, bool *last) {
  pthread_mutex_lock(&ch->mutex);
  bool any = braid_outbox_take(ch->outbox, chunk_bytes(ch), item, last);
  pthread_mutex_unlock(&ch->mutex);
  return any;
}

/* Takes the most urgent rows and packs them into ch->parked; *any is false when nothing waits. Once packed, the frame
 * is no longer needed for these rows. */
static enum braid_status park_next(struct channel *ch, bool *any) {
  struct braid_send_item item;
  bool last = false;
  *any = channel_take(ch, &item, &last);
  if (!*any) return BRAID_OK;
  struct flight *flight = item.owner;
  ch->parked_name = braid_graph_node(flight->stream->graph, item.node)->name;
  ch->parked_frame = flight->name;
  enum braid_status status = channel_pack(&item, &ch->parked);
  flight_note_sent(flight, item.node, item.band);
  if (last) flight_release(flight);
  return status;
}

static enum braid_status send_parked(struct channel *ch, int64_t now_ns) {
  struct braid_msg sent = ch->parked; /* for the books: the link takes the payload and clears the message */
  int64_t at_ns = ch->trace ? io_now_ns() : 0; /* packing what came before took its time */
  BRAID_TRY(braid_link_send(ch->io->link, ch->peer, &ch->parked));
  braid_estimator_sent(&ch->estimator, sent.payload_bytes, now_ns);
  braid_pace_sent(&ch->pace, sent.payload_bytes, now_ns);
  ch->sent_bytes += sent.payload_bytes;
  ch->sent_messages++;
  log_sent(ch, &sent, now_ns);
  mark(ch, ch->sent_lane, ch->parked_name, ch->parked_frame, &sent, at_ns);
  return BRAID_OK;
}

static bool has_credit(const struct channel *ch) {
  return ch->estimator.in_flight_bytes < braid_estimator_window_bytes(&ch->estimator, chunk_bytes(ch));
}

/* While the rate is not known it is found out gently: a small part alone is slow on no link that is good for
 * anything. */
size_t channel_part_bytes(const struct channel *ch) {
  if (ch->estimator.rate_bits_per_s <= 0) return ch->estimator.in_flight_bytes == 0 ? CHUNK_MIN_BYTES : 0;
  return has_credit(ch) ? chunk_bytes(ch) : 0;
}

enum braid_status channel_pump(struct channel *ch, int64_t now_ns) {
  BRAID_TRY(flush_control(ch));
  BRAID_TRY(channel_flush_credit(ch));
  for (;;) {
    if (ch->parked.type != BRAID_MSG_DATA) {
      bool any = false;
      if (has_credit(ch)) BRAID_TRY(park_next(ch, &any));
      if (!any) return BRAID_OK;
    }
    enum braid_status status = send_parked(ch, now_ns);
    if (status != BRAID_OK) return status == BRAID_EBUSY ? BRAID_OK : status;
  }
}

/* ------------------------------------------------------------------------------------------------- timers */

static enum braid_status listen_for_silence(struct channel *ch, int64_t now_ns) {
  int64_t passed = now_ns - ch->ticked_ns;
  ch->ticked_ns = now_ns;
  ch->silent_ns += passed < ch->heartbeat_ns / 4 ? passed : ch->heartbeat_ns / 4;
  if (ch->silent_ns < 2 * ch->heartbeat_ns) return BRAID_OK;
  return braid_fail(BRAID_ETIMEDOUT, "nothing heard for %lld ms", (long long)(ch->silent_ns / 1000000));
}

enum braid_status channel_tick(struct channel *ch, int64_t now_ns) {
  pthread_mutex_lock(&ch->mutex);
  enum braid_status failed = ch->failed;
  pthread_mutex_unlock(&ch->mutex);
  if (failed != BRAID_OK) return braid_fail(failed, "rows could not be queued for sending");
  BRAID_TRY(listen_for_silence(ch, now_ns));
  if (now_ns < ch->ping_at_ns) return BRAID_OK;
  ch->ping_at_ns = now_ns + ch->heartbeat_ns;
  int64_t stamp;
  return channel_ping(ch, 0, 0, &stamp);
}

int64_t channel_sleep_ns(const struct channel *ch, int64_t now_ns) {
  int64_t sleep = ch->heartbeat_ns / 4;
  if (ch->ping_at_ns - now_ns < sleep) sleep = ch->ping_at_ns - now_ns;
  bool full = ch->n_control > 0 || ch->untold_bytes > 0 || ch->parked.type == BRAID_MSG_DATA;
  if (full && sleep > RETRY_NS) sleep = RETRY_NS;
  return sleep > 0 ? sleep : 0;
}
