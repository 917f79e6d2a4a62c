/* SPDX-License-Identifier: Apache-2.0
 * Frames whose answer is late, while the cloud is there: the edge has been idle since its own part, and computes the
 * cloud's part of the frame, too, from the rows that it handed out. The first answer counts. For that every route has
 * its cloud's half compiled here, the spare, on a channel of its own that leads nowhere (edge->aside).
 *
 * The cloud is told nothing. It gets the rest of the frame's rows, answers, and those rows are dropped where the spare
 * was faster; until then the frame keeps its arenas on both sides, although it has been answered: a ghost. So the wire
 * has one kind of frame only, a slow link is measured by what it does and not by what we gave up on, and what a ghost
 * costs is one frame of the window: while ghosts fill it, new frames run alone.
 *
 * Results that are wanted in the cloud are not bridged: computed here they would not be where they are wanted, and the
 * same results would be in both places whenever a frame is late.
 *
 * Late is a quarter over the forecast. One late answer is seldom the last: for a minute after it the edge does not
 * wait any more, and begins as soon as its own part is done. On a link that keeps its promises nothing is computed
 * twice; on one that does not, a frame takes hardly longer than on the edge alone. */
#include "edge/edge.h"

#define LATE 1.25 /* times the forecast, unless the options say otherwise */
#define SLACK_NS INT64_C(5000000)
#define CAUTION_NS INT64_C(60000000000)
#define STOPPING_NS INT64_C(2000000) /* how often to ask whether a spare's last task has ended */

/* --------------------------------------------------------------------------------------------------- planner */

bool edge_may_rescue(const struct braid_edge *edge, const struct braid_plan *plan) {
  return edge->opts.adapt && edge->opts.bridge >= 0 && edge->opts.fallback != BRAID_FALLBACK_OFF &&
         edge->opts.goal.edge_memory == 0 && plan->objective == BRAID_LATENCY && plan->deliver == BRAID_EDGE;
}

enum braid_status edge_make_spare(struct braid_edge *edge, struct part *part) {
  const struct stream *half = part->stream;
  struct stream_setup setup = {half->epoch, BRAID_CLOUD, edge->graph, half->plan, NULL, half->window};
  return edge_compile(edge, &edge->aside, &setup, &part->spare);
}

/* ------------------------------------------------------------------------------------------------ I/O thread */

static struct flight *spare_of(const struct part *part, const struct flight *flight) {
  return &part->spare->flight[flight - part->stream->flight];
}

/* All that the cloud's half needs has been computed. */
static bool has_all(struct flight *flight) {
  struct channel *ch = flight->stream->channel;
  pthread_mutex_lock(&ch->mutex);
  bool all = flight->frame && !flight->done && flight->ready_rows == flight->stream->send_rows;
  pthread_mutex_unlock(&ch->mutex);
  return all;
}

/* How long an answer may take. */
static int64_t patience_ns(const struct braid_edge *edge, const struct route *route) {
  double late = edge->opts.bridge > 0 ? edge->opts.bridge : LATE;
  return (int64_t)(late * (double)route->plan->forecast.latency_ns) + (late < 1 ? 0 : SLACK_NS);
}

static int64_t late_at_ns(const struct braid_edge *edge, const struct route *route, const struct flight *flight) {
  const struct request *request = flight->user;
  if (request->answer->submitted_ns < route->line->caution_ns) return 0;
  return request->answer->submitted_ns + patience_ns(edge, route);
}

static enum braid_status begin(struct flight *flight, struct flight *spare) {
  const struct stream *stream = flight->stream;
  flight->rescued = true;
  BRAID_TRY(flight_begin(spare, flight->number, flight->name, flight->order + SESSION_MAX_WINDOW));
  flight_release(spare);
  for (int node = 0; node < stream->n_nodes; node++)
    if (stream->node[node].sends)
      BRAID_TRY(edge_hand_over(flight, spare, node, (struct braid_band){0, stream->node[node].rows}));
  return BRAID_OK;
}

/* A spare whose frame has its answer is stopped. False while it still works. */
static bool is_free(struct flight *spare, const struct flight *flight, bool waiting) {
  if (!flight_frame(spare)) return true;
  if (waiting && flight->rescued && spare->number == flight->number) return false;
  return flight_stop(spare);
}

/* *next_ns: when to look again. */
static enum braid_status look_after(const struct braid_edge *edge, struct route *route, struct part *part,
                                    int64_t now_ns, int64_t *next_ns) {
  for (int i = 0; i < part->stream->window; i++) {
    struct flight *flight = &part->stream->flight[i], *spare = spare_of(part, flight);
    bool waiting = flight_frame(flight) && !flight->answered;
    if (!is_free(spare, flight, waiting)) {
      if (!waiting || !flight->rescued) *next_ns = now_ns + STOPPING_NS;
      continue;
    }
    if (!waiting || flight->rescued || !has_all(flight)) continue;
    int64_t at_ns = late_at_ns(edge, route, flight);
    if (at_ns > now_ns)
      *next_ns = at_ns < *next_ns ? at_ns : *next_ns;
    else
      BRAID_TRY(begin(flight, spare));
  }
  return BRAID_OK;
}

static struct flight *flight_of(const struct braid_edge *edge, const struct flight *spare) {
  for (const struct route *r = edge->serving; r; r = r->next)
    for (int i = 0; i < r->n_parts; i++)
      if (r->part[i].spare == spare->stream) return &r->part[i].stream->flight[spare - spare->stream->flight];
  return NULL;
}

/* Rows of the spares to the frames that they work for, unless those have their answer. */
static enum braid_status deliver(struct braid_edge *edge) {
  struct braid_send_item item;
  bool last;
  pthread_mutex_lock(&edge->aside.mutex);
  enum braid_status failed = edge->aside.failed;
  pthread_mutex_unlock(&edge->aside.mutex);
  if (failed != BRAID_OK) return braid_fail(failed, "rows could not be queued");
  while (channel_take(&edge->aside, &item, &last)) {
    struct flight *spare = item.owner, *flight = flight_of(edge, spare);
    bool wanted = flight && flight_frame(flight) && flight->number == spare->number && !flight->answered;
    enum braid_status status = wanted ? edge_hand_over(spare, flight, item.node, item.band) : BRAID_OK;
    if (last) flight_release(spare);
    BRAID_TRY(status);
  }
  return BRAID_OK;
}

enum braid_status edge_rescue(struct braid_edge *edge, int64_t *sleep_ns) {
  int64_t now_ns = io_now_ns(), next_ns = INT64_MAX;
  for (struct route *r = edge->serving; r; r = r->next)
    for (int i = 0; i < r->n_parts; i++)
      if (r->part[i].spare) BRAID_TRY(look_after(edge, r, &r->part[i], now_ns, &next_ns));
  BRAID_TRY(deliver(edge));
  if (next_ns != INT64_MAX && next_ns - now_ns < *sleep_ns) *sleep_ns = next_ns - now_ns;
  return BRAID_OK;
}

void edge_note_answer(const struct braid_edge *edge, const struct route *route, const struct flight *flight,
                      int64_t now_ns) {
  const struct request *request = flight->user;
  if (!route->line || !route->crosses) return;
  if (now_ns - request->answer->submitted_ns > patience_ns(edge, route)) route->line->caution_ns = now_ns + CAUTION_NS;
}

/* Of a frame that is rescued rows may be there already. Rows of one message go together: what is not taken here the
 * spare brings. */
enum braid_status edge_take_data(struct flight *flight, const struct braid_msg *msg) {
  flight->came_rows += msg->end - msg->begin;
  if (!flight->rescued) return flight_take(flight, msg);
  if (flight->answered) return BRAID_OK;
  struct braid_band band = {(int)msg->begin, (int)msg->end};
  bool awaited = braid_frame_expects(flight_frame(flight), (int)msg->node, band) == BRAID_OK;
  return awaited ? flight_take(flight, msg) : BRAID_OK;
}

/* The cloud has said all it had to say of it, or never will. */
bool edge_ghost_may_go(const struct route *route, struct flight *flight) {
  bool over = flight->came_rows >= flight->stream->receive_rows || route->line->broken != BRAID_OK;
  return over && flight_finished(flight);
}
