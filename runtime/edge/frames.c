/* SPDX-License-Identifier: Apache-2.0
 * Frames of the edge: submitted, answered in order, or lost when nothing bridges a broken link.
 *
 * A frame is in flight from submission until its outputs have been copied into its answer, or are with their consumer
 * in the cloud. It takes the route that is current when it enters, and stays on it. Frames are dealt to the parts of
 * the route's plan; the next one enters when the window has room and its part has an arena. Nothing in flight waits
 * for it, so room always comes. A part that is quick may overtake a slow one: answers wait for their turn, and no
 * frame is ever SESSION_MAX_WINDOW or more ahead of the oldest without an answer. On the wire frames are numbered by
 * part, which keeps the numbers of a part together: that is what the cloud checks. */
#include <inttypes.h>
#include <string.h>

#include "edge/edge.h"

/* -------------------------------------------------------------------------------------------------- answers */

static void free_outputs(struct braid_answer *answer) {
  for (int i = 0; i < answer->n_out; i++) braid_free(answer->out[i].data);
  braid_free(answer->out);
  answer->out = NULL;
  answer->n_out = 0;
}

void braid_answer_destroy(struct braid_answer **out) {
  struct braid_answer *answer = *out;
  if (!answer) return;
  free_outputs(answer);
  braid_free(answer);
  *out = NULL;
}

static enum braid_status allocate_outputs(const struct braid_graph *graph, struct braid_answer *answer) {
  int n;
  const int *output = braid_graph_outputs(graph, &n);
  answer->out = braid_calloc((size_t)n, sizeof *answer->out);
  if (!answer->out) return braid_fail(BRAID_ENOMEM, "no memory for an answer");
  for (int i = 0; i < n; i++) {
    const struct braid_node *node = braid_graph_node(graph, output[i]);
    answer->out[i] =
        (struct braid_tensor){braid_alloc_aligned(node->bytes ? node->bytes : 1), node->dtype, node->shape};
    answer->n_out = i + 1;
    if (!answer->out[i].data) return braid_fail(BRAID_ENOMEM, "no memory for output '%s'", node->name);
  }
  return BRAID_OK;
}

static void request_free(struct request **out) {
  struct request *request = *out;
  if (!request) return;
  braid_answer_destroy(&request->answer);
  braid_free(request);
  *out = NULL;
}

/* With all the memory that its answer takes, so that answering cannot fail. */
static enum braid_status request_create(const struct braid_graph *graph, uint64_t frame, struct request **out) {
  struct request *request = braid_calloc(1, sizeof *request);
  if (!request) return braid_fail(BRAID_ENOMEM, "no memory for a frame");
  request->answer = braid_calloc(1, sizeof *request->answer);
  enum braid_status status =
      request->answer ? allocate_outputs(graph, request->answer) : braid_fail(BRAID_ENOMEM, "no memory for an answer");
  if (status != BRAID_OK) {
    request_free(&request);
    return status;
  }
  request->answer->frame = frame;
  *out = request;
  return BRAID_OK;
}

/* --------------------------------------------------------------------------------------------------- submit */

static enum braid_status check_inputs(const struct braid_graph *graph, const struct braid_tensor *in, int n_in) {
  int n;
  const int *input = braid_graph_inputs(graph, &n);
  if (n_in != n) return braid_fail(BRAID_EINVAL, "%d inputs given; '%s' has %d", n_in, braid_graph_name(graph), n);
  for (int i = 0; i < n; i++) {
    const struct braid_node *node = braid_graph_node(graph, input[i]);
    char got[64], want[64];
    if (in[i].dtype == node->dtype && braid_shape_equal(&in[i].shape, &node->shape)) continue;
    return braid_fail(BRAID_ESHAPE, "input '%s' is %s %s; the network takes %s %s", node->name,
                      braid_dtype_name(in[i].dtype), braid_shape_text(&in[i].shape, got, sizeof got),
                      braid_dtype_name(node->dtype), braid_shape_text(&node->shape, want, sizeof want));
  }
  return BRAID_OK;
}

/* A place for one frame. */
struct place {
  struct route *route;
  struct part *part;
  int yield; /* frames after this one that are more urgent */
};

static bool part_has_room(const struct route *route) {
  const struct part *part = &route->part[route->next_part];
  return part->flying < part->stream->window;
}

/* The current route, or alone while ghosts take its place; NULL: no room there. */
static struct route *open_route(const struct braid_edge *edge) {
  struct route *route = edge->current;
  if (!route || part_has_room(route)) return route;
  bool haunted = route->part[route->next_part].ghosts > 0;
  return haunted && edge->alone && part_has_room(edge->alone) ? edge->alone : NULL;
}

static bool has_room(const struct braid_edge *edge) {
  const struct route *route = open_route(edge);
  return route && edge->flying < edge->current->window && edge->next_number - edge->answered.low < SESSION_MAX_WINDOW;
}

static struct place take_place(struct braid_edge *edge) {
  struct route *route = open_route(edge);
  int i = route->next_part;
  struct place place = {route, &route->part[i], braid_mix_yield(i, route->window)};
  place.part->flying++;
  edge->flying++;
  route->filling++;
  edge->filling++;
  route->next_part = braid_mix_next(route->plan, route->credit);
  return place;
}

/* Waits for room for the next frame. */
static enum braid_status enter(struct braid_edge *edge, struct place *place) {
  enum braid_status status = BRAID_OK;
  pthread_mutex_lock(&edge->mutex);
  while (edge->broken == BRAID_OK && !has_room(edge)) pthread_cond_wait(&edge->changed, &edge->mutex);
  if (edge->broken != BRAID_OK)
    status = edge_fail_broken(edge, BRAID_ECLOSED);
  else
    *place = take_place(edge);
  pthread_mutex_unlock(&edge->mutex);
  return status;
}

/* `entered`: the frame is in flight now. */
static void leave(struct braid_edge *edge, const struct place *place, bool entered) {
  pthread_mutex_lock(&edge->mutex);
  place->route->filling--;
  edge->filling--;
  if (!entered) {
    place->part->flying--;
    edge->flying--;
  }
  pthread_cond_broadcast(&edge->changed);
  pthread_mutex_unlock(&edge->mutex);
  io_poke(&edge->io); /* a route that waited for this one to be ended or bridged */
}

static void append(struct braid_edge *edge, struct request *request) {
  pthread_mutex_lock(&edge->mutex);
  *edge->last = request;
  edge->last = &request->next;
  edge->next_number++;
  edge->stats.frames++;
  pthread_mutex_unlock(&edge->mutex);
}

static enum braid_status copy_inputs(const struct braid_graph *graph, struct braid_frame *frame,
                                     const struct braid_tensor *in) {
  int n;
  const int *input = braid_graph_inputs(graph, &n);
  for (int i = 0; i < n; i++) {
    const struct braid_node *node = braid_graph_node(graph, input[i]);
    if (node->rows == 0) continue;
    struct braid_tensor to = braid_frame_tensor(frame, input[i]);
    if (node->bytes) memcpy(to.data, in[i].data, node->bytes);
    BRAID_TRY(braid_frame_arrived(frame, input[i], (struct braid_band){0, node->rows}));
  }
  return BRAID_OK;
}

/* The flight's hold keeps the frame alive until the inputs are in. A request that was appended is no longer ours. */
static enum braid_status fill(struct braid_edge *edge, const struct place *place, struct request **request,
                              const struct braid_tensor *in) {
  struct flight *flight = stream_free_slot(place->part->stream);
  if (!flight) return braid_fail(BRAID_EBUSY, "no free frame although the window has room");
  uint64_t number = (*request)->number = edge->next_number; /* only submitters write it, one at a time */
  flight->id = (*request)->answer->frame;
  (*request)->answer->submitted_ns = io_now_ns();
  flight->user = *request;
  BRAID_TRY(flight_begin(flight, place->part->number, number, number + (uint64_t)place->yield));
  place->part->number++;
  append(edge, *request);
  *request = NULL;
  enum braid_status status = copy_inputs(edge->graph, flight_frame(flight), in);
  flight_release(flight);
  return status;
}

enum braid_status braid_edge_submit(struct braid_edge *edge, uint64_t frame, const struct braid_tensor *in, int n_in) {
  if (frame > INT64_MAX)
    return braid_fail(BRAID_EINVAL, "frame %" PRIu64 ": numbers go up to 2^63 - 1", frame);
  BRAID_TRY(check_inputs(edge->graph, in, n_in));
  struct request *request = NULL;
  BRAID_TRY(request_create(edge->graph, frame, &request));
  pthread_mutex_lock(&edge->submitting);
  struct place place = {0};
  enum braid_status status = enter(edge, &place);
  if (status == BRAID_OK) {
    status = fill(edge, &place, &request, in);
    leave(edge, &place, request == NULL);
  }
  pthread_mutex_unlock(&edge->submitting);
  request_free(&request);
  return status;
}

/* ----------------------------------------------------------------------------------------- answers, in order */

static void copy_outputs(const struct braid_graph *graph, const struct braid_frame *frame,
                         struct braid_answer *answer) {
  int n;
  const int *output = braid_graph_outputs(graph, &n);
  for (int i = 0; i < n; i++) {
    struct braid_tensor from = braid_frame_tensor(frame, output[i]);
    size_t bytes = braid_graph_node(graph, output[i])->bytes;
    if (bytes) memcpy(answer->out[i].data, from.data, bytes);
  }
}

static bool is_for_cloud(const struct flight *flight) {
  return flight->stream->plan->deliver == BRAID_CLOUD;
}

/* Of a plan that delivers in the cloud the other half has them all: the cloud, or here its twin. */
static void fill_answer(const struct braid_edge *edge, struct flight *flight, struct braid_answer *answer) {
  answer->delivered = is_for_cloud(flight) && flight->delivered ? BRAID_CLOUD : BRAID_EDGE;
  if (answer->delivered == BRAID_CLOUD)
    free_outputs(answer);
  else
    copy_outputs(edge->graph, flight_frame(is_for_cloud(flight) ? edge_mate_of(flight) : flight), answer);
}

static void answer(struct braid_edge *edge, struct part *part, struct flight *flight) {
  struct request *request = flight->user;
  bool ghost = flight->answered; /* the cloud is not through with it */
  fill_answer(edge, flight, request->answer);
  bool away = request->answer->delivered == BRAID_CLOUD;
  request->answer->epoch = flight->stream->epoch;
  request->answer->answered_ns = io_now_ns();
  edge_sight_frame(edge, flight, request->answer);
  if (!ghost) flight_end(flight);
  pthread_mutex_lock(&edge->mutex);
  part->flying -= !ghost;
  part->ghosts += ghost;
  edge->stats.bridged += ghost;
  edge->flying--;
  edge->stats.alone += request->answer->epoch == ALONE_EPOCH || (part->stream->mate && !away);
  edge->stats.delivered += away;
  if (numbers_may_use(&edge->answered, request->number)) {
    numbers_use(&edge->answered, request->number);
    edge->stats.answered++;
    braid_histogram_add(&edge->stats.latency, request->answer->answered_ns - request->answer->submitted_ns);
  } else {
    edge->stats.duplicates++;
  }
  request->answered = true;
  pthread_cond_broadcast(&edge->changed);
  pthread_mutex_unlock(&edge->mutex);
}

static void end_ghost(struct braid_edge *edge, struct part *part, struct flight *flight) {
  flight_end(flight);
  pthread_mutex_lock(&edge->mutex);
  part->flying--;
  part->ghosts--;
  pthread_cond_broadcast(&edge->changed);
  pthread_mutex_unlock(&edge->mutex);
}

/* Complete by what the spare computed, but rows of it still wait to be sent, or the cloud's own have not all come. */
static bool becomes_ghost(const struct route *route, struct flight *flight) {
  if (!flight->rescued || !flight_done(flight) || edge_ghost_may_go(route, flight)) return false;
  flight->answered = true;
  return true;
}

/* All of it is over here, and its results are where they are wanted: or, their cloud having gone, with the twin. */
static bool has_results(struct flight *flight) {
  if (!flight_finished(flight)) return false;
  struct flight *mate = edge_mate_of(flight);
  return !is_for_cloud(flight) || flight->delivered || (mate && flight_finished(mate));
}

static void answer_part(struct braid_edge *edge, const struct route *route, struct part *part) {
  for (int i = 0; i < part->stream->window; i++) {
    struct flight *flight = &part->stream->flight[i];
    if (flight->answered && edge_ghost_may_go(route, flight)) {
      end_ghost(edge, part, flight);
    } else if (!flight->answered && (becomes_ghost(route, flight) || has_results(flight))) {
      edge_note_answer(edge, route, flight, io_now_ns());
      answer(edge, part, flight);
    }
  }
}

void edge_answer_finished(struct braid_edge *edge) {
  for (struct route *r = edge->serving; r; r = r->next)
    for (int i = 0; i < r->n_parts; i++) answer_part(edge, r, &r->part[i]);
}

static bool has_answer(const struct braid_edge *edge) {
  return edge->first && edge->first->answered;
}

static struct request *take_first(struct braid_edge *edge) {
  struct request *request = edge->first;
  edge->first = request->next;
  if (!edge->first) edge->last = &edge->first;
  return request;
}

enum braid_status braid_edge_wait(struct braid_edge *edge, int64_t timeout_ns, struct braid_answer **out) {
  int64_t deadline_ns = io_deadline_ns(timeout_ns);
  enum braid_status status = BRAID_OK;
  struct request *request = NULL;
  pthread_mutex_lock(&edge->mutex);
  while (!has_answer(edge) && !edge->settled && status == BRAID_OK)
    if (!io_cond_wait(&edge->changed, &edge->mutex, deadline_ns)) status = BRAID_ETIMEDOUT;
  if (has_answer(edge))
    request = take_first(edge);
  else if (edge->settled)
    status = edge_fail_broken(edge, BRAID_ECLOSED);
  else
    status = braid_fail(BRAID_ETIMEDOUT, "no answer within %lld ms", (long long)(timeout_ns / 1000000));
  pthread_mutex_unlock(&edge->mutex);
  if (!request) return status;
  *out = request->answer;
  request->answer = NULL;
  request_free(&request);
  return BRAID_OK;
}

/* ----------------------------------------------------------------------------------------- when nothing bridges */

static void abort_flights(struct stream *stream) {
  for (int i = 0; stream && i < stream->window; i++) flight_abort(&stream->flight[i]);
}

static void abort_all(struct braid_edge *edge) {
  for (struct route *r = edge->serving; r; r = r->next)
    for (int i = 0; i < r->n_parts; i++) {
      abort_flights(r->part[i].stream);
      abort_flights(r->part[i].stream->mate);
      abort_flights(r->part[i].spare);
      pthread_mutex_lock(&edge->mutex);
      edge->flying -= r->part[i].flying - r->part[i].ghosts;
      r->part[i].flying = r->part[i].ghosts = 0;
      pthread_mutex_unlock(&edge->mutex);
    }
}

void edge_lose_frames(struct braid_edge *edge) {
  pthread_mutex_lock(&edge->mutex);
  while (edge->filling > 0) pthread_cond_wait(&edge->changed, &edge->mutex);
  pthread_mutex_unlock(&edge->mutex);
  edge_answer_finished(edge);
  abort_all(edge);
  pthread_mutex_lock(&edge->mutex);
  for (struct request **at = &edge->first, *r; (r = *at);) {
    if (r->answered) {
      at = &r->next;
      continue;
    }
    *at = r->next;
    request_free(&r);
    edge->stats.lost++;
  }
  edge->last = &edge->first;
  while (*edge->last) edge->last = &(*edge->last)->next;
  edge->settled = true;
  pthread_cond_broadcast(&edge->changed);
  pthread_mutex_unlock(&edge->mutex);
}

void edge_free_requests(struct braid_edge *edge) {
  while (edge->first) {
    struct request *request = take_first(edge);
    request_free(&request);
  }
}
