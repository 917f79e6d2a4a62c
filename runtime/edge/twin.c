/* SPDX-License-Identifier: Apache-2.0
 * Frames whose cloud has gone are finished here. The cloud's half of their plan is compiled for this machine: the
 * twin. What the edge's half hands out goes to the twin's half of the same frame, and back, through the outbox of the
 * line that has broken, in the order of urgency that it would have left in. Rows that had left before are still in the
 * frame's arena, and are handed out again; rows that had come back before are left out when the twin has them. So
 * nothing is computed twice on the edge, whatever the plan, and a frame is answered once. Where a plan wants its
 * results in the cloud they all end up with the twin, and the answer is taken from there. */
#include "edge/edge.h"

/* --------------------------------------------------------------------------------------------------- planner */

static enum braid_status make_twin(struct braid_edge *edge, struct line *line, struct part *part) {
  const struct stream *half = part->stream;
  struct stream_setup setup = {half->epoch, BRAID_CLOUD, edge->graph, half->plan, NULL, half->window};
  struct stream *twin;
  BRAID_TRY(edge_compile(edge, &line->channel, &setup, &twin));
  if (twin->program)
    part->twin = twin;
  else
    stream_destroy(&twin); /* nothing of this plan was in the cloud */
  return BRAID_OK;
}

/* Frames enter no route of a broken line any more; those that are in have been counted. */
static bool has_frames(struct braid_edge *edge, const struct part *part) {
  pthread_mutex_lock(&edge->mutex);
  bool any = part->flying > 0;
  pthread_mutex_unlock(&edge->mutex);
  return any;
}

enum braid_status edge_make_twins(struct braid_edge *edge, struct line *line) {
  for (struct route *r = edge->known; r; r = r->next_known)
    for (int i = 0; r->line == line && i < r->n_parts; i++)
      if (has_frames(edge, &r->part[i])) BRAID_TRY(make_twin(edge, line, &r->part[i]));
  pthread_mutex_lock(&edge->mutex);
  line->bridged = true;
  pthread_mutex_unlock(&edge->mutex);
  io_poke(&edge->io);
  return BRAID_OK;
}

/* ------------------------------------------------------------------------------------------------ I/O thread */

struct flight *edge_mate_of(const struct flight *flight) {
  struct stream *mate = flight->stream->mate;
  return mate ? &mate->flight[flight - flight->stream->flight] : NULL;
}

/* Rows for the other half; those that it has already are left out. */
enum braid_status edge_hand_over(struct flight *from, struct flight *to, int node, struct braid_band band) {
  struct braid_frame *frame = flight_frame(to);
  for (int row = band.begin; row < band.end; row++) {
    struct braid_send_item item = {.owner = from, .node = node, .band = {row, row}};
    while (item.band.end < band.end &&
           braid_frame_expects(frame, node, (struct braid_band){item.band.end, item.band.end + 1}) == BRAID_OK)
      item.band.end++;
    if (item.band.end == row) continue;
    struct braid_msg msg;
    BRAID_TRY(channel_pack(&item, &msg));
    enum braid_status status = flight_take(to, &msg);
    braid_msg_release(&msg);
    BRAID_TRY(status);
    row = item.band.end;
  }
  return BRAID_OK;
}

/* What had left for the cloud. */
static enum braid_status hand_over_sent(struct flight *from, struct flight *to) {
  const struct stream *stream = from->stream;
  for (int node = 0; node < stream->n_nodes; node++)
    for (int row = 0; stream->node[node].sends && row < stream->node[node].rows; row++) {
      struct braid_band band = {row, row};
      while (band.end < stream->node[node].rows && flight_has_sent(from, node, band.end)) band.end++;
      if (band.end == row) continue;
      BRAID_TRY(edge_hand_over(from, to, node, band));
      row = band.end;
    }
  return BRAID_OK;
}

static enum braid_status begin_mate(struct flight *flight, struct flight *mate) {
  BRAID_TRY(flight_begin(mate, flight->number, flight->name, flight->order));
  flight_release(mate);
  return hand_over_sent(flight, mate);
}

/* The edge's frames get their mates. A mate ends after its frame was answered, and no frame takes that slot again. */
static enum braid_status begin_mates(struct stream *half) {
  for (int i = 0; i < half->window; i++) {
    struct flight *flight = &half->flight[i], *mate = edge_mate_of(flight);
    if (flight_frame(flight) && !flight->answered && !flight_frame(mate)) BRAID_TRY(begin_mate(flight, mate));
  }
  return BRAID_OK;
}

static void end_mates(struct stream *half) {
  for (int i = 0; i < half->window; i++) {
    struct flight *flight = &half->flight[i], *mate = edge_mate_of(flight);
    if (!flight_frame(flight) && flight_finished(mate)) flight_end(mate);
  }
}

static enum braid_status deliver(const struct braid_send_item *item) {
  struct flight *flight = item->owner, *mate = edge_mate_of(flight);
  if (!mate || !flight_frame(mate)) return BRAID_OK; /* answered already */
  return edge_hand_over(flight, mate, item->node, item->band);
}

static enum braid_status deliver_all(struct channel *ch) {
  pthread_mutex_lock(&ch->mutex);
  enum braid_status failed = ch->failed;
  pthread_mutex_unlock(&ch->mutex);
  if (failed != BRAID_OK) return braid_fail(failed, "rows could not be queued");
  struct braid_send_item item;
  bool last;
  while (channel_take(ch, &item, &last)) {
    enum braid_status status = deliver(&item);
    if (last) flight_release(item.owner);
    BRAID_TRY(status);
  }
  return BRAID_OK;
}

/* Nobody is putting a frame on the route any more. */
static bool is_bridged(struct braid_edge *edge, const struct route *route) {
  pthread_mutex_lock(&edge->mutex);
  bool bridged = route->line && route->line->bridged && route->filling == 0;
  pthread_mutex_unlock(&edge->mutex);
  return bridged;
}

static enum braid_status pair_up(struct part *part) {
  if (!part->twin) return BRAID_OK;
  part->stream->mate = part->twin;
  part->twin->mate = part->stream;
  return begin_mates(part->stream);
}

static bool has_incoming(struct braid_edge *edge, const struct line *line) {
  bool any = false;
  pthread_mutex_lock(&edge->mutex);
  for (const struct route *r = edge->incoming; r; r = r->next) any = any || r->line == line;
  pthread_mutex_unlock(&edge->mutex);
  return any;
}

/* The line's routes share an outbox: all are paired up before the first row is handed over, also one that became
 * current a moment before the line broke and which this thread has not seen yet. */
static bool line_is_bridged(struct braid_edge *edge, const struct line *line) {
  bool bridged = !has_incoming(edge, line);
  for (const struct route *r = edge->serving; r; r = r->next)
    if (r->line == line) bridged = bridged && is_bridged(edge, r);
  return bridged;
}

enum braid_status edge_bridge(struct braid_edge *edge) {
  for (struct route *r = edge->serving; r; r = r->next)
    for (int i = 0; is_bridged(edge, r) && i < r->n_parts; i++) BRAID_TRY(pair_up(&r->part[i]));
  for (struct route *r = edge->serving; r; r = r->next)
    if (is_bridged(edge, r) && line_is_bridged(edge, r->line)) BRAID_TRY(deliver_all(&r->line->channel));
  return BRAID_OK;
}

void edge_end_mates(struct braid_edge *edge) {
  for (struct route *r = edge->serving; r; r = r->next)
    for (int i = 0; i < r->n_parts; i++)
      if (r->part[i].stream->mate) end_mates(r->part[i].stream);
}
