/* SPDX-License-Identifier: Apache-2.0
 * Frames of the edge: submitted, answered in order, or lost when the link breaks.
 *
 * A frame is in flight from submission until its outputs have been copied into its answer. Frames are dealt to the
 * parts of the plan; the next one enters when the window has room and its part has an arena. Nothing in flight waits
 * for it, so room always comes. A part that is quick may overtake a slow one: answers wait for their turn, and no frame
 * is ever SESSION_MAX_WINDOW or more ahead of the oldest without an answer. On the wire frames are numbered by part,
 * which keeps the numbers of a part together: that is what the cloud checks. */
#include <inttypes.h>
#include <string.h>

#include "edge/edge.h"

/* -------------------------------------------------------------------------------------------------- answers */

void braid_answer_destroy(struct braid_answer **out) {
  struct braid_answer *answer = *out;
  if (!answer) return;
  for (int i = 0; i < answer->n_out; i++) braid_free(answer->out[i].data);
  braid_free(answer->out);
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

static bool has_room(const struct braid_edge *edge) {
  int flying = 0;
  for (int i = 0; i < edge->n_streams; i++) flying += edge->flying[i];
  return flying < edge->window && edge->flying[edge->next_part] < edge->stream[edge->next_part]->window &&
         edge->next_number - edge->answered.low < SESSION_MAX_WINDOW;
}

/* Waits for room for the next frame. */
static enum braid_status enter(struct braid_edge *edge) {
  enum braid_status status = BRAID_OK;
  pthread_mutex_lock(&edge->mutex);
  while (edge->broken == BRAID_OK && !has_room(edge)) pthread_cond_wait(&edge->changed, &edge->mutex);
  if (edge->broken != BRAID_OK)
    status = edge_fail_broken(edge, BRAID_ECLOSED);
  else
    edge->filling++;
  pthread_mutex_unlock(&edge->mutex);
  return status;
}

static void leave(struct braid_edge *edge) {
  pthread_mutex_lock(&edge->mutex);
  edge->filling--;
  pthread_cond_broadcast(&edge->changed);
  pthread_mutex_unlock(&edge->mutex);
}

static void append(struct braid_edge *edge, struct request *request) {
  pthread_mutex_lock(&edge->mutex);
  *edge->last = request;
  edge->last = &request->next;
  edge->next_number++;
  edge->flying[edge->next_part]++;
  edge->stats.frames++;
  pthread_mutex_unlock(&edge->mutex);
  edge->part_number[edge->next_part]++;
  edge->next_part = braid_mix_next(edge->plan, edge->credit);
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
static enum braid_status fill(struct braid_edge *edge, struct request **request, const struct braid_tensor *in) {
  int part = edge->next_part;
  struct flight *flight = stream_free_slot(edge->stream[part]);
  if (!flight) return braid_fail(BRAID_EBUSY, "no free frame although the window has room");
  uint64_t number = (*request)->number = edge->next_number; /* only submitters write it, one at a time */
  (*request)->answer->submitted_ns = io_now_ns();
  flight->user = *request;
  uint64_t order = number + (uint64_t)braid_mix_yield(part, edge->window);
  BRAID_TRY(flight_begin(flight, edge->part_number[part], order));
  append(edge, *request);
  *request = NULL;
  enum braid_status status = copy_inputs(edge->graph, flight_frame(flight), in);
  flight_release(flight);
  return status;
}

enum braid_status braid_edge_submit(struct braid_edge *edge, uint64_t frame, const struct braid_tensor *in, int n_in) {
  BRAID_TRY(check_inputs(edge->graph, in, n_in));
  struct request *request = NULL;
  BRAID_TRY(request_create(edge->graph, frame, &request));
  pthread_mutex_lock(&edge->submitting);
  enum braid_status status = enter(edge);
  if (status == BRAID_OK) {
    status = fill(edge, &request, in);
    leave(edge);
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

static void answer(struct braid_edge *edge, struct flight *flight) {
  struct request *request = flight->user;
  copy_outputs(edge->graph, flight_frame(flight), request->answer);
  request->answer->epoch = flight->stream->epoch;
  request->answer->answered_ns = io_now_ns();
  flight_end(flight);
  pthread_mutex_lock(&edge->mutex);
  edge->flying[request->answer->epoch - FIRST_EPOCH]--;
  if (numbers_may_use(&edge->answered, request->number)) {
    numbers_use(&edge->answered, request->number);
    edge->stats.answered++;
  } else {
    edge->stats.duplicates++;
  }
  request->answered = true;
  pthread_cond_broadcast(&edge->changed);
  pthread_mutex_unlock(&edge->mutex);
}

static void answer_finished(struct braid_edge *edge, struct stream *stream) {
  for (int i = 0; i < stream->window; i++)
    if (flight_finished(&stream->flight[i])) answer(edge, &stream->flight[i]);
}

void edge_answer_finished(struct braid_edge *edge) {
  int n = edge_streams(edge);
  for (int i = 0; i < n; i++) answer_finished(edge, edge->stream[i]);
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
    status = braid_fail(BRAID_ETIMEDOUT, "no answer from %s within %lld ms", edge->address,
                        (long long)(timeout_ns / 1000000));
  pthread_mutex_unlock(&edge->mutex);
  if (!request) return status;
  *out = request->answer;
  request->answer = NULL;
  request_free(&request);
  return BRAID_OK;
}

/* ------------------------------------------------------------------------------------------ when the link breaks */

/* Where frames are to be finished without the cloud, this is the place: their tensors are still in their arenas. */
void edge_lose_frames(struct braid_edge *edge) {
  pthread_mutex_lock(&edge->mutex);
  while (edge->filling > 0) pthread_cond_wait(&edge->changed, &edge->mutex);
  pthread_mutex_unlock(&edge->mutex);
  int n = edge_streams(edge);
  edge_answer_finished(edge);
  for (int i = 0; i < n; i++)
    for (int k = 0; k < edge->stream[i]->window; k++) flight_abort(&edge->stream[i]->flight[k]);
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
