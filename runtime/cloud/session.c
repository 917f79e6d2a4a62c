/* SPDX-License-Identifier: Apache-2.0
 * One edge at the cloud: HELLO -> (desk: hash, profile; upload.c: the model, if it must come) -> WELCOME -> PLAN ->
 * (desk: compile) -> PLAN_OK -> DATA both ways.
 *
 * Frames begin with the first DATA of a new number. An edge never has more than its window of frames unanswered, but it
 * can have the last row of an answer, and send a new frame, a moment before the answered frame has given its arena back
 * here: such DATA is kept aside (stalled), and its credit with it, until an arena is free. What is kept aside is
 * bounded by what an edge that keeps to its window can have sent.
 *
 * Where a plan wants its results here, a frame that is finished waits for their consumer (results.c): the edge is told
 * with DELIVERED, and only then is the arena free. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cloud/cloud.h"

enum { PLAN_MAX_BYTES = 8 << 20 };

struct stalled {
  struct braid_msg msg;
  int64_t came_ns;
  struct stalled *next;
};

/* ------------------------------------------------------------------------------------------ life of a session */

static struct job *job_create(const struct session *session, enum job_kind kind) {
  struct job *job = braid_calloc(1, sizeof *job);
  if (!job) return NULL;
  job->kind = kind;
  job->peer = session->channel.peer;
  job->graph = session->graph;
  return job;
}

enum braid_status session_ask_greeting(struct session *session) {
  struct job *job = job_create(session, JOB_GREET);
  if (!job) return braid_fail(BRAID_ENOMEM, "no memory for another edge");
  job->graph = session->named;
  job->hello = session->hello;
  desk_post(&session->cloud->desk, job);
  return BRAID_OK;
}

/* The trace says which of its sessions is which of an edge's. */
static void note_session(const struct session *session, const struct hello *hello) {
  char args[128];
  if (!hello->trace[0]) return;
  snprintf(args, sizeof args, "{\"id\":\"%s\",\"session\":%" PRIu64 "}", hello->trace, session->channel.peer);
  braid_trace_note(session->cloud->opts.trace, "braid_session", args);
}

enum braid_status session_create(struct braid_cloud *cloud, braid_peer peer, const struct hello *hello,
                                 const struct braid_graph *named, struct session **out) {
  struct session *session = braid_calloc(1, sizeof *session);
  if (!session) return braid_fail(BRAID_ENOMEM, "no memory for another edge");
  session->cloud = cloud;
  session->named = named;
  session->hello = *hello;
  cloud_who(cloud, peer, session->who);
  cloud_whose(cloud, peer, session->whose);
  session->reap = (struct job){.kind = JOB_REAP, .session = session};
  char lane[32];
  snprintf(lane, sizeof lane, "downlink %" PRIu64, peer);
  enum braid_status status =
      channel_init(&session->channel, &cloud->io, peer, cloud->opts.heartbeat_ns, cloud->opts.trace, lane);
  if (status == BRAID_OK) status = braid_arenas_create(cloud->pool, &session->arenas);
  if (status == BRAID_OK) note_session(session, hello);
  if (status == BRAID_OK) status = session_ask_greeting(session);
  if (status == BRAID_OK)
    *out = session;
  else
    session_destroy(&session);
  return status;
}

void session_destroy(struct session **out) {
  struct session *session = *out;
  if (!session) return;
  for (struct stalled *s; (s = session->stalled);) {
    session->stalled = s->next;
    braid_msg_release(&s->msg);
    braid_free(s);
  }
  for (int i = 0; i < session->n_epochs; i++) {
    stream_destroy(&session->epoch[i].stream);
    braid_free(session->epoch[i].delivery);
  }
  braid_arenas_destroy(&session->arenas);
  channel_fini(&session->channel);
  braid_free(session);
  *out = NULL;
}

/* --------------------------------------------------------------------------------------------------- plans */

static struct session_epoch *find_epoch(struct session *session, uint32_t epoch) {
  for (int i = 0; i < session->n_epochs; i++)
    if (session->epoch[i].stream->epoch == epoch) return &session->epoch[i];
  return NULL;
}

static bool has_room(const struct session *session) {
  int in_force = session->n_compiling;
  for (int i = 0; i < session->n_epochs; i++) in_force += !session->epoch[i].retired;
  return in_force < SESSION_MAX_EPOCHS && session->n_epochs + session->n_compiling < CLOUD_MAX_EPOCHS;
}

static enum braid_status hear_plan(struct session *session, struct braid_msg *msg) {
  if (!session->welcomed) return braid_fail(BRAID_EPROTO, "PLAN before WELCOME");
  if (msg->begin < 1 || msg->begin > SESSION_MAX_WINDOW)
    return braid_fail(BRAID_EINVAL, "PLAN for %" PRIu32 " frames in flight; 1 to %d are allowed", msg->begin,
                      SESSION_MAX_WINDOW);
  if (msg->epoch <= session->last_epoch)
    return braid_fail(BRAID_EPROTO, "PLAN %" PRIu32 " comes after PLAN %" PRIu32 ", or came twice", msg->epoch,
                      session->last_epoch);
  if (!has_room(session))
    return braid_fail(BRAID_EBUSY, "more than %d plans in force in one session", SESSION_MAX_EPOCHS);
  if (msg->payload_bytes > PLAN_MAX_BYTES) return braid_fail(BRAID_EPROTO, "PLAN of %zu bytes", msg->payload_bytes);
  struct job *job = job_create(session, JOB_COMPILE);
  if (job) job->text = braid_malloc(msg->payload_bytes + 1);
  if (!job || !job->text) {
    job_free(job);
    return braid_fail(BRAID_ENOMEM, "no memory for a plan of %zu bytes", msg->payload_bytes);
  }
  if (msg->payload_bytes) memcpy(job->text, msg->payload, msg->payload_bytes);
  job->text_bytes = msg->payload_bytes;
  job->epoch = msg->epoch;
  job->window = (int)msg->begin;
  job->arenas = session->arenas;
  job->first_frame = msg->frame;
  session->last_epoch = msg->epoch;
  session->n_compiling++;
  desk_post(&session->cloud->desk, job);
  return BRAID_OK;
}

/* Of a plan that delivers here. */
static enum braid_status prepare_delivery(struct session *session, const struct stream *stream, struct delivery **out) {
  *out = NULL;
  if (stream->plan->deliver == BRAID_EDGE) return BRAID_OK;
  if (!*session->hello.run)
    return braid_fail(BRAID_EPROTO, "the plan leaves its results here, but HELLO had no \"run\" to name them by");
  *out = deliveries_create(session, stream);
  return *out ? BRAID_OK : braid_fail(BRAID_ENOMEM, "no memory to deliver results");
}

static enum braid_status accept_plan(struct session *session, struct job *job) {
  struct stream_setup setup = {job->epoch, BRAID_CLOUD, job->graph, job->plan, job->program, job->window};
  struct session_epoch *e = &session->epoch[session->n_epochs];
  BRAID_TRY(stream_create(&session->channel, &setup, &e->stream));
  e->delivery = NULL;
  e->retired = false;
  e->stalled_bytes = 0;
  e->n_stalled = 0;
  e->n_ended = 0;
  e->begun = (struct numbers){.low = job->first_frame};
  job->plan = NULL;
  job->program = NULL;
  job->holds = false; /* the epoch does */
  session->n_epochs++;
  BRAID_TRY(prepare_delivery(session, e->stream, &e->delivery));
  struct braid_msg ok = {.type = BRAID_MSG_PLAN_OK, .epoch = job->epoch};
  BRAID_TRY(channel_send(&session->channel, &ok));
  int in_cloud = 0;
  for (int i = 0; i < e->stream->n_nodes; i++) in_cloud += e->stream->plan->site[i] == BRAID_CLOUD;
  cloud_event(session->cloud, "planned", "%s: plan %" PRIu32 " (%s), %d of %d nodes here, window %d, arenas of %zu KiB",
              session->who, job->epoch, e->stream->plan->policy, in_cloud, e->stream->n_nodes, job->window,
              e->stream->program_bytes >> 10);
  return BRAID_OK;
}

static enum braid_status welcome(struct session *session, struct job *job) {
  session->welcomed = true;
  session->graph = job->graph;
  session->holds = job->holds;
  job->holds = false;
  const char *profile = job->text ? job->text : "";
  BRAID_TRY(channel_send_text(&session->channel, BRAID_MSG_WELCOME, profile, 0, (uint32_t)session->cloud->threads));
  cloud_event(session->cloud, "joined", "%s: model %s, %d worker%s", session->who, session->hello.model,
              session->hello.threads, session->hello.threads == 1 ? "" : "s");
  return BRAID_OK;
}

enum braid_status session_job_done(struct session *session, struct job *job) {
  if (job->kind == JOB_COMPILE) session->n_compiling--;
  if (job->status != BRAID_OK) return braid_fail(job->status, "%s", job->error);
  switch (job->kind) {
  case JOB_GREET:
    return job->wants_file ? upload_begin(session) : welcome(session, job);
  case JOB_IMPORT:
    BRAID_TRY(upload_job_done(session, job));
    return welcome(session, job);
  case JOB_OPEN:
  case JOB_WRITE:
    return upload_job_done(session, job);
  default:
    return accept_plan(session, job);
  }
}

/* ---------------------------------------------------------------------------------------------------- data */

static enum braid_status begin_frame(struct session *session, struct session_epoch *e, const struct braid_msg *msg,
                                     struct flight **flight) {
  uint64_t number = msg->frame;
  if (e->retired) return braid_fail(BRAID_EPROTO, "DATA for plan %" PRIu32 ", which is retired", e->stream->epoch);
  if (!numbers_may_use(&e->begun, number))
    return braid_fail(BRAID_EPROTO,
                      "DATA of frame %" PRIu64 ", which is over or too far ahead (first free: %" PRIu64 ")", number,
                      e->begun.low);
  *flight = stream_free_slot(e->stream);
  if (*flight && !share_admits(session, io_now_ns())) *flight = NULL;
  if (!*flight) return BRAID_OK;
  (*flight)->id = (uint64_t)msg->stamp_ns;
  BRAID_TRY(flight_begin(*flight, number, ++session->cloud->n_frames, share_begin(session, e)));
  flight_release(*flight);
  numbers_use(&e->begun, number);
  session->frames++;
  return BRAID_OK;
}

/* *taken is false when the frame is new and every arena is in use, or it comes too early. */
static enum braid_status deliver(struct session *session, struct session_epoch *e, const struct braid_msg *msg,
                                 int64_t came_ns, bool *taken) {
  struct flight *flight = stream_find(e->stream, msg->frame);
  *taken = false;
  if (!flight) BRAID_TRY(begin_frame(session, e, msg, &flight));
  if (!flight) return BRAID_OK;
  BRAID_TRY(flight_take(flight, msg));
  channel_note_came(&session->channel, flight, msg, came_ns);
  channel_took(&session->channel, msg->payload_bytes);
  *taken = true;
  return BRAID_OK;
}

static enum braid_status stall(struct session *session, struct session_epoch *e, struct braid_msg *msg,
                               int64_t came_ns) {
  const struct stream *stream = e->stream;
  size_t bytes = stream->receive_bytes * (size_t)stream->window,
         messages = stream->receive_rows * (size_t)stream->window;
  if (e->stalled_bytes + msg->payload_bytes > bytes || (size_t)e->n_stalled >= messages)
    return braid_fail(BRAID_EPROTO, "more than %d frames in flight", stream->window);
  struct stalled *s = braid_calloc(1, sizeof *s), **at = &session->stalled;
  if (!s) return braid_fail(BRAID_ENOMEM, "no memory for rows that wait for an arena");
  while (*at) at = &(*at)->next;
  *at = s;
  s->msg = *msg;
  s->came_ns = came_ns;
  memset(msg, 0, sizeof *msg);
  e->stalled_bytes += s->msg.payload_bytes;
  e->n_stalled++;
  return BRAID_OK;
}

static enum braid_status hear_data(struct session *session, struct braid_msg *msg, int64_t now_ns) {
  struct session_epoch *e = find_epoch(session, msg->epoch);
  if (!e) return braid_fail(BRAID_EPROTO, "DATA for plan %" PRIu32 ", which is not in force", msg->epoch);
  BRAID_TRY(stream_check_data(e->stream, msg));
  bool taken;
  BRAID_TRY(deliver(session, e, msg, now_ns, &taken));
  return taken ? BRAID_OK : stall(session, e, msg, now_ns);
}

static enum braid_status deliver_stalled(struct session *session) {
  for (struct stalled **at = &session->stalled, *s; (s = *at);) {
    bool taken;
    struct session_epoch *e = find_epoch(session, s->msg.epoch);
    BRAID_TRY(deliver(session, e, &s->msg, s->came_ns, &taken));
    if (!taken) {
      at = &s->next;
      continue;
    }
    channel_held(&session->channel);
    *at = s->next;
    e->stalled_bytes -= s->msg.payload_bytes;
    e->n_stalled--;
    braid_msg_release(&s->msg);
    braid_free(s);
  }
  return BRAID_OK;
}

/* ------------------------------------------------------------------------------------------- retired plans */

static enum braid_status hear_retire(struct session *session, uint32_t epoch) {
  struct session_epoch *e = find_epoch(session, epoch);
  if (!e || e->retired) return braid_fail(BRAID_EPROTO, "RETIRE of plan %" PRIu32 ", which is not in force", epoch);
  if (e->n_stalled > 0) return braid_fail(BRAID_EPROTO, "RETIRE of plan %" PRIu32 " in mid-frame", epoch);
  e->retired = true;
  return BRAID_OK;
}

/* Unmapping a program takes its time: the desk does it. */
static enum braid_status discard_retired(struct session *session) {
  for (int i = session->n_epochs - 1; i >= 0; i--) {
    struct session_epoch *e = &session->epoch[i];
    if (!e->retired || !stream_idle(e->stream)) continue;
    struct job *job = job_create(session, JOB_RETIRE);
    if (!job) return braid_fail(BRAID_ENOMEM, "no memory to retire a plan");
    cloud_event(session->cloud, "retired", "%s: plan %" PRIu32, session->who, e->stream->epoch);
    job->stream = e->stream;
    braid_free(e->delivery); /* idle: nothing of it is with the consumer */
    *e = session->epoch[--session->n_epochs];
    desk_post(&session->cloud->desk, job);
  }
  return BRAID_OK;
}

static void note_frame(const struct session *session, const struct flight *flight) {
  if (!session->channel.trace) return;
  struct braid_trace_wire wire = {session->channel.peer, flight->stream->epoch, flight->number};
  braid_trace_frame(session->channel.trace, flight->name, &wire, flight->begun_ns, io_now_ns());
}

/* ----------------------------------------------------------------------------------------- frames that end */

static void hand_to_consumer(struct session *session, struct flight *flight, struct delivery *d) {
  struct braid_frame *frame = flight_frame(flight);
  int n_out = 0;
  const int *output = braid_graph_outputs(session->graph, &n_out);
  for (int i = 0; i < n_out; i++) d->out[i] = braid_frame_tensor(frame, output[i]);
  d->handed = true;
  d->result = (struct braid_result){.edge = session->whose,
                                    .model = session->hello.model,
                                    .run = session->hello.run,
                                    .frame = flight->id,
                                    .epoch = flight->stream->epoch,
                                    .graph = session->graph,
                                    .n_out = n_out,
                                    .out = d->out};
  results_post(&session->cloud->results, d);
}

/* *over: the consumer has the results, and the edge is told so. */
static enum braid_status deliver_results(struct session *session, struct flight *flight, struct delivery *d,
                                         bool *over) {
  *over = d->over && channel_has_room(&session->channel);
  if (!d->handed) hand_to_consumer(session, flight, d);
  if (!*over) return BRAID_OK;
  d->handed = d->over = false;
  struct braid_msg msg = {.type = BRAID_MSG_DELIVERED, .epoch = flight->stream->epoch, .frame = flight->number};
  return channel_send(&session->channel, &msg);
}

static enum braid_status end_finished_of(struct session *session, struct session_epoch *e, bool *any) {
  for (int k = 0; k < e->stream->window; k++) {
    struct flight *flight = &e->stream->flight[k];
    bool over = flight_finished(flight);
    if (over && e->delivery) BRAID_TRY(deliver_results(session, flight, &e->delivery[k], &over));
    if (!over) continue;
    share_end(session, e, flight->order);
    note_frame(session, flight);
    flight_end(flight);
    *any = true;
  }
  return BRAID_OK;
}

static enum braid_status end_finished(struct session *session, bool *any) {
  *any = false;
  for (int i = 0; i < session->n_epochs; i++) BRAID_TRY(end_finished_of(session, &session->epoch[i], any));
  return BRAID_OK;
}

/* --------------------------------------------------------------------------------------------------- rounds */

enum braid_status session_hear(struct session *session, struct braid_msg *msg, int64_t now_ns) {
  channel_alive(&session->channel);
  BRAID_TRY(channel_admit(&session->channel, msg, now_ns));
  switch (msg->type) {
  case BRAID_MSG_PLAN:
    return hear_plan(session, msg);
  case BRAID_MSG_DATA:
    return hear_data(session, msg, now_ns);
  case BRAID_MSG_RETIRE:
    return hear_retire(session, msg->epoch);
  case BRAID_MSG_MODEL:
    return upload_hear(session, msg);
  case BRAID_MSG_PING:
  case BRAID_MSG_PONG:
  case BRAID_MSG_ACK:
    return channel_hear(&session->channel, msg, now_ns);
  default:
    return braid_fail(BRAID_EPROTO, "unexpected message of type %d", (int)msg->type);
  }
}

enum braid_status session_service(struct session *session, int64_t now_ns) {
  session_note_load(session, now_ns);
  BRAID_TRY(channel_tick(&session->channel, now_ns));
  BRAID_TRY(upload_service(session, now_ns));
  BRAID_TRY(channel_pump(&session->channel, now_ns));
  bool ended = false;
  BRAID_TRY(end_finished(session, &ended));
  BRAID_TRY(discard_retired(session));
  if (!session->stalled || (!ended && session->cloud->opts.max_frames_per_s == 0)) return BRAID_OK;
  BRAID_TRY(deliver_stalled(session));
  return channel_flush_credit(&session->channel);
}

int64_t session_sleep_ns(const struct session *session, int64_t now_ns) {
  int64_t sleep_ns = channel_sleep_ns(&session->channel, now_ns);
  int64_t wait_ns = session->stalled ? share_wait_ns(session, now_ns) : 0;
  return wait_ns > 0 && wait_ns < sleep_ns ? wait_ns : sleep_ns;
}
