/* SPDX-License-Identifier: Apache-2.0
 * The cloud process: starting, stopping and the I/O thread's loop. What a peer does wrong ends its own session: a
 * REFUSE tells it why, its frames are aborted by the desk, everybody else goes on. */
#include "cloud/cloud.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "session/refuse.h"

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

void cloud_whose(const struct braid_cloud *cloud, braid_peer peer, char whose[CLOUD_WHO_BYTES]) {
  const char *name = braid_link_peer_name(cloud->io.link, peer);
  snprintf(whose, CLOUD_WHO_BYTES, "%s", *name ? name : braid_link_peer_address(cloud->io.link, peer));
}

/* ----------------------------------------------------------------------------------------------- refusing */

static void refuse_stranger(struct braid_cloud *cloud, braid_peer peer, enum braid_status status) {
  char text[CLOUD_ERROR_BYTES], who[CLOUD_WHO_BYTES];
  snprintf(text, sizeof text, "%s", braid_error());
  cloud_who(cloud, peer, who);
  refuse_send(cloud->io.link, peer, status, text);
  braid_link_drop(cloud->io.link, peer);
  cloud->past.refused++;
  cloud_event(cloud, "refused", "%s: %s", who, text);
}

/* Ends the connection and takes the session out of the I/O thread's hands; the desk waits for its tasks and frees it.
 */
static void detach(struct braid_cloud *cloud, struct session *session) {
  struct session **at = &cloud->sessions;
  while (*at != session) at = &(*at)->next;
  *at = session->next;
  cloud->n_sessions--;
  cloud->past.bytes_up += session->channel.received_bytes;
  cloud->past.bytes_down += session->channel.sent_bytes;
  if (cloud->n_sessions == 0) cloud->load.busy = 0; /* nobody is left to measure it with */
  braid_link_drop(cloud->io.link, session->channel.peer);
  upload_end(session);
  results_forget(&cloud->results, session);
}

/* A session that cannot go on; braid_error() says why. */
static void drop(struct braid_cloud *cloud, struct session *session, enum braid_status status) {
  char text[CLOUD_ERROR_BYTES];
  snprintf(text, sizeof text, "%s", braid_error());
  char who[CLOUD_WHO_BYTES];
  snprintf(who, sizeof who, "%s", session->who);
  uint64_t frames = session->frames;
  if (status != BRAID_ECLOSED) refuse_send(cloud->io.link, session->channel.peer, status, text);
  detach(cloud, session);
  bool lost = status == BRAID_ECLOSED || status == BRAID_ETIMEDOUT;
  *(lost ? &cloud->past.lost : &cloud->past.refused) += 1;
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
                refuse_text(msg, text, sizeof text));
}

/* --------------------------------------------------------------------------------------------------- joining */

static int64_t heartbeat_ns(const struct braid_cloud *cloud) {
  return cloud->opts.heartbeat_ns ? cloud->opts.heartbeat_ns : SESSION_DEFAULT_HEARTBEAT_NS;
}

static int max_sessions(const struct braid_cloud *cloud) {
  return cloud->opts.max_sessions > 0 ? cloud->opts.max_sessions : DEFAULT_MAX_SESSIONS;
}

static bool takes_sessions(const struct braid_cloud *cloud) {
  return cloud->n_sessions < max_sessions(cloud) && !atomic_load_explicit(&cloud->draining, memory_order_relaxed);
}

/* One edge must not take every place. */
static enum braid_status check_share(const struct braid_cloud *cloud, braid_peer peer) {
  int limit = cloud->opts.max_sessions_per_edge, n = 0;
  char whose[CLOUD_WHO_BYTES];
  cloud_whose(cloud, peer, whose);
  if (limit == 0 || !*whose) return BRAID_OK;
  for (const struct session *s = cloud->sessions; s; s = s->next) n += strcmp(s->whose, whose) == 0;
  if (n < limit) return BRAID_OK;
  return braid_fail(BRAID_EBUSY, "%s has %d session%s here already, the limit for one edge", whose, n,
                    n == 1 ? "" : "s");
}

static enum braid_status check_hello(const struct braid_cloud *cloud, braid_peer peer, const struct hello *hello) {
  if (hello->version != BRAID_WIRE_VERSION)
    return braid_fail(BRAID_EMISMATCH,
                      "the edge speaks version %d of the protocol, the cloud version %d: use the same "
                      "release on both",
                      hello->version, BRAID_WIRE_VERSION);
  if (atomic_load_explicit(&cloud->draining, memory_order_relaxed))
    return braid_fail(BRAID_ECLOSED, "the cloud is about to stop and takes nobody new: try another, or later");
  if (cloud->n_sessions >= max_sessions(cloud))
    return braid_fail(BRAID_EBUSY, "the cloud serves %d edges already, its limit", max_sessions(cloud));
  return check_share(cloud, peer);
}

static enum braid_status refuse_model(const struct braid_cloud *cloud, const struct hello *hello,
                                      enum braid_status status) {
  if (status != BRAID_ENOTFOUND) return braid_fail_in(status, "model '%s' is not served here", hello->model);
  char why[CLOUD_ERROR_BYTES / 2];
  snprintf(why, sizeof why, "%s", braid_error());
  const char *remedy = desk_remedy(&cloud->opts, hello);
  return braid_fail(status, "model '%s' is not served here: %s; %s", hello->model, why, remedy);
}

static enum braid_status admit(struct braid_cloud *cloud, braid_peer peer, const struct braid_msg *msg) {
  struct hello hello;
  BRAID_TRY(hello_from_json((const char *)msg->payload, msg->payload_bytes, &hello));
  BRAID_TRY(check_hello(cloud, peer, &hello));
  const struct braid_graph *graph = NULL;
  enum braid_status status = cloud->opts.resolve(cloud->opts.ctx, hello.model, &graph);
  bool brought = status == BRAID_ENOTFOUND && cloud->opts.store; /* by an edge, or may be: the desk looks */
  if (status != BRAID_OK && !brought) return refuse_model(cloud, &hello, status);
  struct session *session;
  BRAID_TRY(session_create(cloud, peer, &hello, graph, &session));
  session->next = cloud->sessions;
  cloud->sessions = session;
  cloud->n_sessions++;
  cloud->past.joined++;
  return BRAID_OK;
}

static void tell_state(struct braid_cloud *cloud, braid_peer peer, int64_t stamp_ns) {
  double load = 1000 * cloud->load.busy;
  struct braid_msg state = {.type = BRAID_MSG_STATE,
                            .stamp_ns = stamp_ns,
                            .node = (uint32_t)cloud->n_sessions,
                            .begin = load < BRAID_LOAD_MAX ? (uint32_t)load : BRAID_LOAD_MAX,
                            .end = takes_sessions(cloud)};
  if (braid_link_send(cloud->io.link, peer, &state) != BRAID_OK) braid_msg_release(&state);
}

/* Somebody chooses among clouds. Asking again takes a new connection. */
static void answer_ask(struct braid_cloud *cloud, braid_peer peer, const struct braid_msg *ask) {
  tell_state(cloud, peer, ask->stamp_ns);
  braid_link_drop(cloud->io.link, peer);
}

/* A worker's heartbeat: peer 0 is the broker. */
static void report(struct braid_cloud *cloud, int64_t now_ns) {
  if (!cloud->joined || now_ns < cloud->report_ns) return;
  cloud->report_ns = now_ns + heartbeat_ns(cloud) / 2;
  tell_state(cloud, 0, now_ns);
}

/* Somebody without a session: HELLO starts one, ASK is answered; anything else comes from an edge that believes in a
 * session which this process does not know. */
static void hear_stranger(struct braid_cloud *cloud, braid_peer peer, const struct braid_msg *msg) {
  enum braid_status status = BRAID_OK;
  switch (msg->type) {
  case BRAID_MSG_HELLO:
    status = admit(cloud, peer, msg);
    break;
  case BRAID_MSG_ASK:
    answer_ask(cloud, peer, msg);
    break;
  case BRAID_MSG_PLAN:
  case BRAID_MSG_DATA:
  case BRAID_MSG_MODEL:
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

static void finish_job(struct braid_cloud *cloud, struct job *job) {
  struct session *session = find_session(cloud, job->peer);
  enum braid_status status = session ? session_job_done(session, job) : BRAID_OK;
  if (status != BRAID_OK) drop(cloud, session, status);
  if (!job->plan && !job->holds) {
    job_free(job);
    return;
  }
  job->kind = JOB_DISCARD; /* nobody has taken the plan, or the network */
  desk_post(&cloud->desk, job);
}

static void finish_jobs(struct braid_cloud *cloud) {
  struct job *job;
  while ((job = desk_done(&cloud->desk))) finish_job(cloud, job);
  while (cloud->files.started && (job = desk_done(&cloud->files))) finish_job(cloud, job);
}

/* Sessions that wait for another's upload: either the model is here now, or somebody else may send it. */
static enum braid_status look_again(struct session *session) {
  if (!upload_is_due(session)) return BRAID_OK;
  session->upload.state = UPLOAD_NONE;
  return session_ask_greeting(session);
}

/* A consumer that could not take a frame's results ends the session, which then has nothing with it any more. */
static void finish_results(struct braid_cloud *cloud) {
  for (struct delivery *d; (d = results_done(&cloud->results));) {
    d->over = true;
    if (d->status == BRAID_OK)
      cloud->n_delivered++;
    else
      drop(cloud, d->session, braid_fail(BRAID_EIO, "results could not be delivered here: %s", d->error));
  }
}

static int64_t serve_all(struct braid_cloud *cloud) {
  int64_t now = io_now_ns(), sleep = IDLE_NS;
  for (struct session *session = cloud->sessions, *next; session; session = next) {
    next = session->next;
    enum braid_status status = look_again(session);
    if (status == BRAID_OK) status = session_service(session, now);
    if (status != BRAID_OK) {
      drop(cloud, session, status);
      continue;
    }
    int64_t wanted = session_sleep_ns(session, now);
    if (wanted < sleep) sleep = wanted;
  }
  return sleep;
}

static void say(const struct braid_cloud *cloud, const struct session *session, enum braid_msg_type type) {
  struct braid_msg msg = {.type = type};
  if (braid_link_send(cloud->io.link, session->channel.peer, &msg) != BRAID_OK) braid_msg_release(&msg);
}

static void say_goodbye(struct braid_cloud *cloud) {
  while (cloud->sessions) {
    say(cloud, cloud->sessions, BRAID_MSG_BYE);
    detach(cloud, cloud->sessions);
  }
}

/* Who is still sending a model has nothing here to finish. */
static void end_uploads(struct braid_cloud *cloud) {
  for (struct session *s = cloud->sessions, *next; s; s = next) {
    next = s->next;
    if (s->upload.state == UPLOAD_NONE) continue;
    drop(cloud, s, braid_fail(BRAID_EBUSY, "the cloud is about to stop and takes no model: try another, or later"));
  }
}

static void announce_drain(struct braid_cloud *cloud) {
  if (cloud->told_drain || !atomic_load_explicit(&cloud->draining, memory_order_acquire)) return;
  cloud->told_drain = true;
  cloud->report_ns = 0; /* the broker is to know at once */
  end_uploads(cloud);
  for (const struct session *s = cloud->sessions; s; s = s->next) say(cloud, s, BRAID_MSG_DRAIN);
  cloud_event(cloud, "draining", "%d session%s", cloud->n_sessions, cloud->n_sessions == 1 ? "" : "s");
}

static void publish_stats(struct braid_cloud *cloud) {
  struct braid_cloud_stats stats = {.sessions = cloud->n_sessions,
                                    .draining = cloud->told_drain,
                                    .joined = cloud->past.joined,
                                    .refused = cloud->past.refused,
                                    .lost = cloud->past.lost,
                                    .frames = cloud->n_frames,
                                    .delivered = cloud->n_delivered,
                                    .bytes_up = cloud->past.bytes_up,
                                    .bytes_down = cloud->past.bytes_down,
                                    .load = cloud->load.busy};
  for (const struct session *s = cloud->sessions; s; s = s->next) {
    stats.bytes_up += s->channel.received_bytes;
    stats.bytes_down += s->channel.sent_bytes;
  }
  pthread_mutex_lock(&cloud->stats_mutex);
  stats.turns = cloud->stats.turns + 1;
  cloud->stats = stats;
  pthread_mutex_unlock(&cloud->stats_mutex);
}

static void *io_main(void *arg) {
  struct braid_cloud *cloud = arg;
  braid_pin_this_thread(&cloud->io_place);
  while (!atomic_load_explicit(&cloud->stop, memory_order_acquire)) {
    bool more = receive_some(cloud);
    finish_jobs(cloud);
    finish_results(cloud);
    int64_t sleep = serve_all(cloud);
    announce_drain(cloud);
    report(cloud, io_now_ns());
    publish_stats(cloud);
    if (cloud->joined && sleep > heartbeat_ns(cloud) / 4) sleep = heartbeat_ns(cloud) / 4;
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
  struct braid_link_opts link = {.listen = true,
                                 .keys = opts->keys,
                                 .allow_clear = opts->allow_clear,
                                 .max_payload_bytes = opts->max_payload_bytes};
  BRAID_TRY(io_open(&cloud->io, opts->listen, &link));
  struct braid_pool_opts pool = {cloud->threads, opts->pin, "cloud", opts->slow, opts->trace, opts->choices};
  BRAID_TRY(braid_pool_create(&pool, &cloud->pool));
  BRAID_TRY(desk_start(&cloud->desk, "cloud-desk", opts, cloud->pool, &cloud->io));
  if (opts->store) BRAID_TRY(desk_start(&cloud->files, "cloud-files", NULL, NULL, &cloud->io));
  BRAID_TRY(results_start(&cloud->results, opts, &cloud->desk, &cloud->io));
  BRAID_TRY(io_thread_start(&cloud->thread, "cloud-io", io_main, cloud));
  cloud->started = true;
  return BRAID_OK;
}

/* Edges that choose what is computed must not choose how much memory it takes. A trace needs the names of nodes to the
 * end. */
static void prepare_store(struct braid_cloud *cloud) {
  long pages = sysconf(_SC_PHYS_PAGES), page_bytes = sysconf(_SC_PAGESIZE);
  if (cloud->opts.memory_bytes == 0 && pages > 0 && page_bytes > 0)
    cloud->opts.memory_bytes = (size_t)pages / 2 * (size_t)page_bytes;
  if (cloud->opts.trace) cloud->opts.store->unloads = false;
}

enum braid_status braid_cloud_start(const struct braid_cloud_opts *opts, struct braid_cloud **out) {
  BRAID_TRY(check_opts(opts));
  struct braid_cloud *cloud = braid_calloc(1, sizeof *cloud);
  if (!cloud) return braid_fail(BRAID_ENOMEM, "no memory for a cloud");
  cloud->opts = *opts;
  if (opts->store) prepare_store(cloud);
  cloud->joined = strncmp(opts->listen, "join+", strlen("join+")) == 0;
  cloud->threads = io_default_threads(opts->threads, opts->pin);
  atomic_init(&cloud->stop, false);
  atomic_init(&cloud->draining, false);
  pthread_mutex_init(&cloud->stats_mutex, NULL);
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

void braid_cloud_drain(struct braid_cloud *cloud) {
  atomic_store_explicit(&cloud->draining, true, memory_order_release);
  io_poke(&cloud->io);
}

void braid_cloud_stats(struct braid_cloud *cloud, struct braid_cloud_stats *out) {
  pthread_mutex_lock(&cloud->stats_mutex);
  *out = cloud->stats;
  pthread_mutex_unlock(&cloud->stats_mutex);
  out->memory_bytes = desk_bytes_in_use(&cloud->desk);
  out->memory_limit_bytes = cloud->opts.memory_bytes;
  braid_pool_stats(cloud->pool, &out->pool);
}

void braid_cloud_stop(struct braid_cloud **out) {
  struct braid_cloud *cloud = *out;
  if (!cloud) return;
  if (cloud->started) {
    atomic_store_explicit(&cloud->stop, true, memory_order_release);
    io_poke(&cloud->io);
    pthread_join(cloud->thread, NULL);
  }
  results_stop(&cloud->results);
  desk_stop(&cloud->files); /* removes what is not whole */
  desk_stop(&cloud->desk);  /* reaps every session */
  braid_pool_destroy(&cloud->pool);
  io_close(&cloud->io);
  io_place_fini(&cloud->io_place);
  pthread_mutex_destroy(&cloud->stats_mutex);
  braid_free(cloud);
  *out = NULL;
}
