/* SPDX-License-Identifier: Apache-2.0
 * A plan in force, and its frames in flight.
 *
 * Rows leave: a worker finishes rows that cross the cut and calls rows_ready, which puts a reference into the channel's
 * outbox and pokes the I/O thread. The frame keeps a hold for each such reference, since its arena is what will be
 * packed.
 *
 * Rows arrive: the I/O thread checks a message, notes the rows in the flight's bit set and only then writes them. The
 * bits matter: rows that came twice would be written while tasks read them. */
#include "session/stream.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

/* ----------------------------------------------------------------------------------------- from workers */

static void rows_ready(void *ctx, struct braid_frame *frame, int node, struct braid_band band) {
  struct flight *flight = ctx;
  const struct stream *stream = flight->stream;
  const struct stream_node *n = &stream->node[node];
  if (!n->sends || band.begin >= band.end) return; /* outputs of the edge itself are read when the frame is done */
  struct channel *ch = stream->channel;
  struct braid_send_item item = {flight->order, n->rank, flight, node, band, n->row_bytes};
  pthread_mutex_lock(&ch->mutex);
  flight->frame = frame; /* may come before braid_frame_begin has returned it */
  flight->ready_rows += (size_t)(band.end - band.begin);
  enum braid_status status = braid_outbox_put(ch->outbox, &item);
  if (status == BRAID_OK)
    flight->holds++;
  else
    ch->failed = status;
  pthread_mutex_unlock(&ch->mutex);
  io_poke(ch->io);
}

static void frame_done(void *ctx, struct braid_frame *frame) {
  (void)frame;
  struct flight *flight = ctx;
  struct channel *ch = flight->stream->channel;
  struct io *io = ch->io;
  pthread_mutex_lock(&ch->mutex);
  flight->done = true;
  pthread_mutex_unlock(&ch->mutex); /* from here on the I/O thread may end the frame */
  io_poke(io);
}

static const struct braid_frame_events events = {rows_ready, frame_done};

/* ---------------------------------------------------------------------------------------------- creating */

static bool has_work(const struct braid_graph *graph, const struct braid_plan *plan, enum braid_site here) {
  if (plan->deliver == here) return true;
  for (int i = 0; i < braid_graph_size(graph); i++)
    if (plan->site[i] == here) return true;
  return false;
}

enum braid_status stream_compile(struct braid_pool *pool, const struct braid_graph *graph,
                                 const struct braid_plan *plan, enum braid_site here, int window, uint32_t cpu_flags,
                                 size_t max_arena_bytes, struct braid_arenas *arenas,
                                 struct braid_program **program) {
  if (!has_work(graph, plan, here)) return BRAID_OK;
  struct braid_program_opts opts = {.here = here,
                                    .frames = window,
                                    .cpu_flags = cpu_flags,
                                    .max_arena_bytes = max_arena_bytes,
                                    .arenas = arenas};
  return braid_program_create(pool, graph, plan, &opts, program);
}

/* Who sends, who receives. */
static enum braid_status fill_nodes(struct stream *stream) {
  stream->node = braid_calloc((size_t)stream->n_nodes, sizeof *stream->node);
  if (!stream->node) return braid_fail(BRAID_ENOMEM, "no memory for a plan of %d nodes", stream->n_nodes);
  for (int i = 0; i < stream->n_nodes; i++) {
    const struct braid_node *from = braid_graph_node(stream->graph, i);
    struct stream_node *n = &stream->node[i];
    bool up = braid_plan_crosses_up(stream->plan, stream->graph, i),
         down = braid_plan_crosses_down(stream->plan, stream->graph, i);
    n->sends = stream->program && (stream->here == BRAID_EDGE ? up : down);
    n->receives = stream->program && (stream->here == BRAID_EDGE ? down : up);
    n->rank = stream->plan->rank[i];
    n->rows = braid_slice_rows(&from->shape);
    n->row_bytes = braid_band_bytes(&from->shape, from->dtype, (struct braid_band){0, 1});
    if (n->sends) stream->send_rows += (size_t)n->rows;
    if (!n->receives) continue;
    stream->receive_bytes += from->bytes;
    stream->receive_rows += (size_t)n->rows;
  }
  return BRAID_OK;
}

static void note_size(struct stream *stream) {
  if (!stream->program) return;
  struct braid_program_info info;
  braid_program_info(stream->program, &info);
  stream->program_bytes = info.arena_bytes * (size_t)stream->window;
}

static void stream_free(struct stream *stream) {
  braid_free(stream->node);
  braid_free(stream->sent);
  braid_free(stream);
}

enum braid_status stream_create(struct channel *channel, const struct stream_setup *setup, struct stream **out) {
  assert(setup->window >= 1 && setup->window <= SESSION_MAX_WINDOW);
  struct stream *stream = braid_calloc(1, sizeof *stream);
  if (!stream) return braid_fail(BRAID_ENOMEM, "no memory for a plan in force");
  stream->channel = channel;
  stream->epoch = setup->epoch;
  stream->here = setup->here;
  stream->graph = setup->graph;
  stream->plan = setup->plan;
  stream->program = setup->program;
  stream->window = setup->window;
  stream->n_nodes = braid_graph_size(setup->graph);
  enum braid_status status = fill_nodes(stream);
  for (int i = 0; i < stream->window; i++) stream->flight[i].stream = stream;
  if (status != BRAID_OK) {
    stream_free(stream);
    return status;
  }
  note_size(stream);
  *out = stream;
  return BRAID_OK;
}

void stream_destroy(struct stream **out) {
  struct stream *stream = *out;
  if (!stream) return;
  for (int i = 0; i < stream->window; i++) flight_abort(&stream->flight[i]);
  braid_program_destroy(&stream->program);
  braid_plan_destroy(&stream->plan);
  stream_free(stream);
  *out = NULL;
}

/* ------------------------------------------------------------------------------------------------ flights */

static void lock(const struct flight *flight) {
  pthread_mutex_lock(&flight->stream->channel->mutex);
}
static void unlock(const struct flight *flight) {
  pthread_mutex_unlock(&flight->stream->channel->mutex);
}

struct braid_frame *flight_frame(struct flight *flight) {
  lock(flight);
  struct braid_frame *frame = flight->frame;
  unlock(flight);
  return frame;
}

struct flight *stream_free_slot(struct stream *stream) {
  if (!stream->program) return NULL;
  for (int i = 0; i < stream->window; i++)
    if (!flight_frame(&stream->flight[i])) return &stream->flight[i];
  return NULL;
}

bool stream_idle(struct stream *stream) {
  for (int i = 0; i < stream->window; i++)
    if (flight_frame(&stream->flight[i])) return false;
  return true;
}

struct flight *stream_find(struct stream *stream, uint64_t number) {
  for (int i = 0; i < stream->window; i++)
    if (flight_frame(&stream->flight[i]) && stream->flight[i].number == number) return &stream->flight[i];
  return NULL;
}

static void set_frame(struct flight *flight, struct braid_frame *frame, int holds) {
  lock(flight);
  flight->frame = frame;
  flight->holds = holds;
  flight->done = false;
  flight->ready_rows = 0;
  unlock(flight);
}

enum braid_status flight_begin(struct flight *flight, uint64_t number, uint64_t name, uint64_t order) {
  struct stream *stream = flight->stream;
  struct braid_frame *frame = NULL;
  flight->number = number;
  flight->name = name;
  flight->order = order;
  flight->begun_ns = io_now_ns();
  if (flight->sent) memset(flight->sent, 0, stream->sent_bytes);
  set_frame(flight, NULL, 1);
  enum braid_status status = braid_frame_begin(stream->program, name, order, &events, flight, &frame);
  lock(flight);
  flight->frame = frame;
  unlock(flight);
  return status;
}

void flight_release(struct flight *flight) {
  struct io *io = flight->stream->channel->io;
  lock(flight);
  assert(flight->holds > 0);
  bool last = --flight->holds == 0;
  unlock(flight);
  if (last) io_poke(io);
}

bool flight_finished(struct flight *flight) {
  lock(flight);
  bool finished = flight->frame && flight->done && flight->holds == 0;
  unlock(flight);
  return finished;
}

bool flight_done(struct flight *flight) {
  lock(flight);
  bool done = flight->frame && flight->done;
  unlock(flight);
  return done;
}

/* By who ends it, since who begins the next is another thread. */
static void forget_rescue(struct flight *flight) {
  flight->rescued = flight->answered = flight->delivered = false;
  flight->came_rows = 0;
}

void flight_end(struct flight *flight) {
  struct braid_frame *frame = flight_frame(flight);
  forget_rescue(flight);
  braid_frame_end(&frame);
  set_frame(flight, NULL, 0);
}

/* Its rows are not wanted any more; none comes after it was stopped. */
static void drop(struct flight *flight, struct braid_frame *frame) {
  forget_rescue(flight);
  lock(flight);
  braid_outbox_cancel(flight->stream->channel->outbox, flight);
  unlock(flight);
  braid_frame_end(&frame);
  set_frame(flight, NULL, 0);
}

void flight_abort(struct flight *flight) {
  struct braid_frame *frame = flight_frame(flight);
  if (!frame) return;
  braid_frame_abort(frame);
  drop(flight, frame);
}

bool flight_stop(struct flight *flight) {
  struct braid_frame *frame = flight_frame(flight);
  if (frame && !braid_frame_stop(frame)) return false;
  if (frame) drop(flight, frame);
  return true;
}

/* -------------------------------------------------------------------------------------------- rows that left */

enum braid_status stream_note_sends(struct stream *stream) {
  size_t rows = 0;
  for (int i = 0; i < stream->n_nodes; i++) {
    stream->node[i].first_sent = rows;
    if (stream->node[i].sends) rows += (size_t)stream->node[i].rows;
  }
  stream->sent_bytes = rows / 8 + 1;
  stream->sent = braid_calloc((size_t)stream->window, stream->sent_bytes);
  if (!stream->sent) return braid_fail(BRAID_ENOMEM, "no memory for a plan of %d nodes", stream->n_nodes);
  for (int i = 0; i < stream->window; i++) stream->flight[i].sent = stream->sent + (size_t)i * stream->sent_bytes;
  return BRAID_OK;
}

void flight_note_sent(struct flight *flight, int node, struct braid_band band) {
  if (!flight->sent) return;
  for (int row = band.begin; row < band.end; row++) {
    size_t bit = flight->stream->node[node].first_sent + (size_t)row;
    flight->sent[bit / 8] |= (uint8_t)(1u << bit % 8);
  }
}

bool flight_has_sent(const struct flight *flight, int node, int row) {
  size_t bit = flight->stream->node[node].first_sent + (size_t)row;
  return flight->sent && flight->sent[bit / 8] >> bit % 8 & 1;
}

/* ----------------------------------------------------------------------------------------- rows that arrive */

enum braid_status stream_check_data(const struct stream *stream, const struct braid_msg *msg) {
  if (msg->node >= (uint32_t)stream->n_nodes || !stream->node[msg->node].receives)
    return braid_fail(BRAID_EPROTO, "DATA of node %" PRIu32 ", which does not travel this way in plan %" PRIu32,
                      msg->node, stream->epoch);
  const struct stream_node *n = &stream->node[msg->node];
  if (msg->begin >= msg->end || msg->end > (uint32_t)n->rows)
    return braid_fail(BRAID_EPROTO, "DATA of node %" PRIu32 ": rows [%" PRIu32 ",%" PRIu32 ") of %d", msg->node,
                      msg->begin, msg->end, n->rows);
  if (msg->codec != BRAID_CODEC_RAW)
    return braid_fail(BRAID_EPROTO, "DATA of node %" PRIu32 ": unknown codec %d", msg->node, (int)msg->codec);
  size_t bytes = n->row_bytes * (size_t)(msg->end - msg->begin);
  if (msg->payload_bytes != bytes)
    return braid_fail(BRAID_EPROTO,
                      "DATA of node %" PRIu32 ": %zu bytes for rows [%" PRIu32 ",%" PRIu32 "), which have %zu",
                      msg->node, msg->payload_bytes, msg->begin, msg->end, bytes);
  return BRAID_OK;
}

enum braid_status flight_take(struct flight *flight, const struct braid_msg *msg) {
  struct braid_frame *frame = flight_frame(flight);
  struct braid_band band = {(int)msg->begin, (int)msg->end};
  BRAID_TRY(braid_frame_expects(frame, (int)msg->node, band));
  struct braid_tensor tensor = braid_frame_tensor(frame, (int)msg->node);
  braid_band_unpack(&tensor, band, msg->payload);
  return braid_frame_arrived(frame, (int)msg->node, band);
}
