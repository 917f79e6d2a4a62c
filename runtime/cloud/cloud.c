/* SPDX-License-Identifier: Apache-2.0
 * The cloud process: starting, stopping and the I/O thread's loop. What a peer does wrong ends its own session: a
 * REFUSE tells it why, its frames are aborted by the desk, everybody else goes on. */
#include "cloud/cloud.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { DEFAULT_MAX_SESSIONS = 64, IDLE_NS = 1000 * 1000 * 1000 };

void cloud_event(const struct braid_cloud *cloud, const char *kind, const char *format, ...) {
  if (!cloud->opts.event) return;
  char text[1024];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  cloud->opts.event(cloud->opts.ctx, kind, text);
}

void cloud_who(const struct braid_cloud *cloud, braid_peer peer, char who[CLOUD_WHO_BYTES]) {
  const char *name = braid_link_peer_name(cloud->io.link, peer);
  int n = snprintf(who, CLOUD_WHO_BYTES, "edge %" PRIu64, peer);
  if (*name) snprintf(who + n, CLOUD_WHO_BYTES - (size_t)n, " (%s)", name);
}

/* ----------------------------------------------------------------------------------------------- refusing */

/* To a peer with or without a session. Best effort: it may have gone. */
static void send_refusal(struct braid_cloud *cloud, braid_peer peer, enum braid_status status, const char *text) {
  struct braid_msg msg;
  size_t bytes = strlen(text);
  if (braid_msg_init(&msg, BRAID_MSG_REFUSE, bytes) != BRAID_OK) return;
  if (bytes) memcpy(msg.payload, text, bytes);
  msg.begin = (uint32_t)status;
  if (braid_link_send(cloud->io.link, peer, &msg) != BRAID_OK) braid_msg_release(&msg);
}

static void refuse_stranger(struct braid_cloud *cloud, braid_peer peer, enum braid_status status) {
  char text[CLOUD_ERROR_BYTES], who[CLOUD_WHO_BYTES];
  snprintf(text, sizeof text, "%s", braid_error());
  cloud_who(cloud, peer, who);
  send_refusal(cloud, peer, status, text);
  braid_link_drop(cloud->io.link, peer);
  cloud_event(cloud, "refused", "%s: %s", who, text);
}

/* Ends the connection and takes the session out of the I/O thread's hands; the desk waits for its tasks and frees it.
 */
static void detach(struct braid_cloud *cloud, struct session *session) {
  struct session **at = &cloud->sessions;
  while (*at != session) at = &(*at)->next;
  *at = session->next;
  cloud->n_sessions--;
  braid_link_drop(cloud->io.link, session->channel.peer);
  desk_post(&cloud->desk, &session->reap);
}

/* A session that cannot go on; braid_error() says why. */
static void drop(struct braid_cloud *cloud, struct session *session, enum braid_status status) {
  char text[CLOUD_ERROR_BYTES];
  snprintf(text, sizeof text, "%s", braid_error());
  char who[CLOUD_WHO_BYTES];
  snprintf(who, sizeof who, "%s", session->who);
  uint64_t frames = session->frames;
  if (status != BRAID_ECLOSED) send_refusal(cloud, session->channel.peer, status, text);
  detach(cloud, session);
  bool lost = status == BRAID_ECLOSED || status == BRAID_ETIMEDOUT;
  cloud_event(cloud, lost ? "lost" : "refused", "%s after %" PRIu64 " frames: %s", who, frames, text);
}

static void leave(struct braid_cloud *cloud, struct session *session, const struct braid_msg *msg) {
  char text[CLOUD_ERROR_BYTES], who[CLOUD_WHO_BYTES];
  snprintf(who, sizeof who, "%s", session->who);
  uint64_t frames = session->frames;
  detach(cloud, session);
  if (msg->type == BRAID_MSG_BYE)
    cloud_event(cloud, "left", "%s after %" PRIu64 " frames", who, frames);
  else
    cloud_event(cloud, "left", "%s after %" PRIu64 " frames: %s", who, frames,
                channel_refuse_text(msg, text, sizeof text));
}

/* --------------------------------------------------------------------------------------------------- joining */

static enum braid_status check_hello(const struct braid_cloud *cloud, const struct hello *hello) {
  if (hello->version != BRAID_WIRE_VERSION)
    return braid_fail(BRAID_EMISMATCH,
                      "the edge speaks version %d of the protocol, the cloud version %d: use the same "
                      "release on both",
                      hello->version, BRAID_WIRE_VERSION);
  int limit = cloud->opts.max_sessions > 0 ? cloud->opts.max_sessions : DEFAULT_MAX_SESSIONS;
  if (cloud->n_sessions >= limit) return braid_fail(BRAID_EBUSY, "the cloud serves %d edges already, its limit", limit);
  return BRAID_OK;
}

static enum braid_status admit(struct braid_cloud *cloud, braid_peer peer, const struct braid_msg *msg) {
  struct hello hello;
  BRAID_TRY(hello_from_json((const char *)msg->payload, msg->payload_bytes, &hello));
  BRAID_TRY(check_hello(cloud, &hello));
  const struct braid_graph *graph = NULL;
  enum braid_status status = cloud->opts.resolve(cloud->opts.ctx, hello.model, &graph);
  if (status != BRAID_OK) return braid_fail_in(status, "model '%s' is not served here", hello.model);
  struct session *session;
  BRAID_TRY(session_create(cloud, peer, &hello, graph, &session));
  session->next = cloud->sessions;
  cloud->sessions = session;
  cloud->n_sessions++;
  return BRAID_OK;
}

/* Somebody without a session: HELLO starts one; anything else comes from an edge that believes in a session which this
 * process does not know. */
static void hear_stranger(struct braid_cloud *cloud, braid_peer peer, const struct braid_msg *msg) {
  enum braid_status status = BRAID_OK;
  switch (msg->type) {
  case BRAID_MSG_HELLO:
    status = admit(cloud, peer, msg);
    break;
  case BRAID_MSG_PLAN:
  case BRAID_MSG_DATA:
  case BRAID_MSG_PING:
    status = braid_fail(BRAID_EPROTO, "no session: HELLO comes first (was the cloud restarted? connect again)");
    break;
  default:
    break;
  }
  if (status != BRAID_OK) refuse_stranger(cloud, peer, status);
}

/* ------------------------------------------------------------------------------------------------------ rounds */

static struct session *find_session(const struct braid_cloud *cloud, braid_peer peer) {
  struct session *session = cloud->sessions;
  while (session && session->channel.peer != peer) session = session->next;
  return session;
}

static void dispatch(struct braid_cloud *cloud, braid_peer peer, struct braid_msg *msg, int64_t now_ns) {
  struct session *session = find_session(cloud, peer);
  if (!session) {
    hear_stranger(cloud, peer, msg);
  } else if (msg->type == BRAID_MSG_BYE || msg->type == BRAID_MSG_REFUSE) {
    leave(cloud, session, msg);
  } else {
    enum braid_status status = session_hear(session, msg, now_ns);
    if (status != BRAID_OK) drop(cloud, session, status);
  }
}

/* What is no message: a peer has gone, somebody was turned away, or a message could not be read, whether malformed or
 * for lack of memory: without it the session cannot go on. */
static void hear_trouble(struct braid_cloud *cloud, braid_peer peer, enum braid_status status) {
  struct session *session = find_session(cloud, peer);
  if (session)
    drop(cloud, session, status);
  else if (peer == 0)
    cloud_event(cloud, "refused", "%s", braid_error());
  else if (status != BRAID_ECLOSED)
    refuse_stranger(cloud, peer, status);
}

/* Returns true when there may be more. */
static bool receive_some(struct braid_cloud *cloud) {
  for (int i = 0; i < SESSION_RECEIVE_BURST; i++) {
    braid_peer peer = 0;
    struct braid_msg msg = {0};
    enum braid_status status = braid_link_recv(cloud->io.link, &peer, &msg);
    if (status == BRAID_ETIMEDOUT) return false;
    if (status == BRAID_OK)
      dispatch(cloud, peer, &msg, io_now_ns());
    else
      hear_trouble(cloud, peer, status);
    braid_msg_release(&msg);
  }
  return true;
}

static void finish_jobs(struct braid_cloud *cloud) {
  for (struct job *job; (job = desk_done(&cloud->desk));) {
    struct session *session = find_session(cloud, job->peer);
    enum braid_status status = session ? session_job_done(session, job) : BRAID_OK;
    if (status != BRAID_OK) drop(cloud, session, status);
    if (!job->plan) {
      job_free(job);
      continue;
    }
    job->kind = JOB_DISCARD; /* nobody has taken the plan */
    desk_post(&cloud->desk, job);
  }
}

static int64_t serve_all(struct braid_cloud *cloud) {
  int64_t now = io_now_ns(), sleep = IDLE_NS;
  for (struct session *session = cloud->sessions, *next; session; session = next) {
    next = session->next;
    enum braid_status status = session_service(session, now);
    if (status != BRAID_OK) {
      drop(cloud, session, status);
      continue;
    }
    int64_t wanted = channel_sleep_ns(&session->channel, now);
    if (wanted < sleep) sleep = wanted;
  }
  return sleep;
}

static void say_goodbye(struct braid_cloud *cloud) {
  while (cloud->sessions) {
    struct session *session = cloud->sessions;
    struct braid_msg bye = {.type = BRAID_MSG_BYE};
    if (braid_link_send(cloud->io.link, session->channel.peer, &bye) != BRAID_OK) braid_msg_release(&bye);
    detach(cloud, session);
  }
}

static void *io_main(void *arg) {
  struct braid_cloud *cloud = arg;
  braid_pin_this_thread(&cloud->io_place);
  while (!atomic_load_explicit(&cloud->stop, memory_order_acquire)) {
    bool more = receive_some(cloud);
    finish_jobs(cloud);
    int64_t sleep = serve_all(cloud);
    io_wait(&cloud->io, more ? 0 : sleep);
  }
  say_goodbye(cloud);
  return NULL;
}

/* ------------------------------------------------------------------------------------------------ start, stop */

static enum braid_status check_opts(const struct braid_cloud_opts *opts) {
  if (!opts->listen) return braid_fail(BRAID_EINVAL, "the cloud needs an address to listen on");
  if (!opts->resolve || !opts->profile)
    return braid_fail(BRAID_EINVAL, "the cloud needs resolve and profile functions");
  return BRAID_OK;
}

static enum braid_status start_parts(struct braid_cloud *cloud) {
  const struct braid_cloud_opts *opts = &cloud->opts;
  BRAID_TRY(io_place_copy(opts->pin, &cloud->io_place));
  struct braid_link_opts link = {.listen = true, .keys = opts->keys, .allow_clear = opts->allow_clear};
  BRAID_TRY(io_open(&cloud->io, opts->listen, &link));
  struct braid_pool_opts pool = {cloud->threads, opts->pin, "cloud", opts->slow, opts->trace};
  BRAID_TRY(braid_pool_create(&pool, &cloud->pool));
  BRAID_TRY(desk_start(&cloud->desk, opts, cloud->pool, &cloud->io));
  BRAID_TRY(io_thread_start(&cloud->thread, "cloud-io", io_main, cloud));
  cloud->started = true;
  return BRAID_OK;
}

enum braid_status braid_cloud_start(const struct braid_cloud_opts *opts, struct braid_cloud **out) {
  BRAID_TRY(check_opts(opts));
  struct braid_cloud *cloud = braid_calloc(1, sizeof *cloud);
  if (!cloud) return braid_fail(BRAID_ENOMEM, "no memory for a cloud");
  cloud->opts = *opts;
  cloud->next_order = 1; /* with one edge, the numbers are the edge's own: traces of both sides can be read together */
  cloud->threads = io_default_threads(opts->threads, opts->pin);
  atomic_init(&cloud->stop, false);
  enum braid_status status = start_parts(cloud);
  if (status == BRAID_OK) {
    *out = cloud;
    return status;
  }
  char why[CLOUD_ERROR_BYTES];
  snprintf(why, sizeof why, "%s", braid_error());
  braid_cloud_stop(&cloud);
  return braid_fail(status, "%s", why);
}

const char *braid_cloud_address(const struct braid_cloud *cloud) {
  return braid_link_address(cloud->io.link);
}

void braid_cloud_stop(struct braid_cloud **out) {
  struct braid_cloud *cloud = *out;
  if (!cloud) return;
  if (cloud->started) {
    atomic_store_explicit(&cloud->stop, true, memory_order_release);
    io_poke(&cloud->io);
    pthread_join(cloud->thread, NULL);
  }
  desk_stop(&cloud->desk); /* reaps every session */
  braid_pool_destroy(&cloud->pool);
  io_close(&cloud->io);
  io_place_fini(&cloud->io_place);
  braid_free(cloud);
  *out = NULL;
}
