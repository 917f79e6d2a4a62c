/* SPDX-License-Identifier: Apache-2.0
 * The desk: a thread for what takes too long for the I/O thread, which must hear heartbeats: hashing and profiling
 * models, compiling plans, waiting for the last tasks of sessions that have ended. Jobs name their session by its peer,
 * since the session may be gone when the job is done. A second desk does what models' files need. */
#include <stdio.h>
#include <string.h>

#include "cloud/cloud.h"

enum { MAX_BROUGHT_PROFILES = 64 };

struct known_profile {
  char hash[65]; /* not the graph, which may be unloaded and come again elsewhere */
  bool brought;  /* of an edge's network: of these only the last few are kept */
  struct braid_profile *profile;
  char *text;
  struct known_profile *next;
};

/* -------------------------------------------------------------------------------------------------- lists */

static void jobs_put(struct jobs *jobs, struct job *job) {
  job->next = NULL;
  if (!jobs->last) jobs->last = &jobs->first;
  *jobs->last = job;
  jobs->last = &job->next;
}

static struct job *jobs_take(struct jobs *jobs) {
  struct job *job = jobs->first;
  if (!job) return NULL;
  jobs->first = job->next;
  if (!jobs->first) jobs->last = &jobs->first;
  return job;
}

void job_free(struct job *job) {
  if (!job) return;
  braid_msg_release(&job->msg);
  braid_free(job->text);
  braid_free(job);
}

void desk_post(struct desk *desk, struct job *job) {
  pthread_mutex_lock(&desk->mutex);
  jobs_put(&desk->todo, job);
  pthread_mutex_unlock(&desk->mutex);
  pthread_cond_signal(&desk->wake);
}

struct job *desk_done(struct desk *desk) {
  pthread_mutex_lock(&desk->mutex);
  struct job *job = jobs_take(&desk->done);
  pthread_mutex_unlock(&desk->mutex);
  return job;
}

/* ------------------------------------------------------------------------------------------------- memory */

/* Weights that sessions share count once. */
size_t desk_bytes_in_use(const struct desk *desk) {
  return braid_pool_arena_bytes(desk->pool) + braid_pool_packed_bytes(desk->pool) + store_bytes(desk->opts->store);
}

static size_t bytes_left(const struct desk *desk) {
  size_t limit = desk->opts->memory_bytes, used = desk_bytes_in_use(desk);
  return limit == 0 ? SIZE_MAX : used < limit ? limit - used : 1; /* 0 would be no limit */
}

/* May something take `more_bytes` on top of the `used_bytes` there were before it? */
static enum braid_status check_memory(const struct desk *desk, size_t used_bytes, size_t more_bytes) {
  size_t limit = desk->opts->memory_bytes;
  if (limit == 0 || (used_bytes <= limit && more_bytes <= limit - used_bytes)) return BRAID_OK;
  return braid_fail(BRAID_EBUSY,
                    "the plan needs %zu MiB here; %zu of %zu MiB are in use: ask for a smaller window, or raise the "
                    "cloud's --memory",
                    (more_bytes >> 20) + 1, used_bytes >> 20, limit >> 20);
}

/* --------------------------------------------------------------------------------------------------- greet */

static void free_known(struct known_profile *k) {
  braid_profile_destroy(&k->profile);
  braid_free(k->text);
  braid_free(k);
}

static void put_first(struct desk *desk, struct known_profile *k) {
  k->next = desk->known;
  desk->known = k;
}

/* It is the first of the list then. */
static struct known_profile *find_known(struct desk *desk, const struct braid_graph *graph) {
  char hash[65];
  struct known_profile **at = &desk->known, *k;
  braid_graph_hash_text(graph, hash);
  while ((k = *at) && strcmp(k->hash, hash) != 0) at = &k->next;
  if (!k) return NULL;
  *at = k->next;
  put_first(desk, k);
  return k;
}

/* The one asked for longest ago goes. */
static void bound_brought(struct desk *desk) {
  struct known_profile **last = NULL;
  int n = 0;
  for (struct known_profile **at = &desk->known; *at; at = &(*at)->next) {
    if (!(*at)->brought) continue;
    last = at;
    n++;
  }
  if (n <= MAX_BROUGHT_PROFILES) return;
  struct known_profile *k = *last;
  *last = k->next;
  free_known(k);
}

static enum braid_status measure(struct desk *desk, const struct braid_graph *graph, struct known_profile *k) {
  braid_graph_hash_text(graph, k->hash);
  BRAID_TRY(desk->opts->profile(desk->opts->ctx, graph, &k->profile));
  return braid_profile_to_json(k->profile, &k->text);
}

/* An edge chose what this network is: it is not run for a profile unless it fits, whatever that takes. */
static enum braid_status check_fits(const struct desk *desk, const struct braid_graph *graph) {
  struct braid_program_opts opts = {.here = BRAID_EDGE,
                                    .frames = 1,
                                    .cpu_flags = desk->opts->cpu_flags,
                                    .only_planned = true,
                                    .max_arena_bytes = bytes_left(desk)};
  struct braid_program *program;
  struct braid_program_info info;
  enum braid_status status = braid_program_create(desk->pool, graph, NULL, &opts, &program);
  if (status == BRAID_EBUSY) return braid_fail_in(status, "under the cloud's --memory");
  BRAID_TRY(status);
  braid_program_info(program, &info);
  braid_program_destroy(&program);
  return check_memory(desk, desk_bytes_in_use(desk), info.arena_bytes + info.scratch_bytes + info.packed_bytes);
}

/* A model is profiled once: later edges get the same answer, and a measurement would disturb those already served. */
static enum braid_status make_known(struct desk *desk, const struct job *job, struct known_profile **out) {
  struct known_profile *k = braid_calloc(1, sizeof *k);
  if (!k) return braid_fail(BRAID_ENOMEM, "no memory for a profile");
  k->brought = job->holds;
  enum braid_status status = k->brought ? check_fits(desk, job->graph) : BRAID_OK;
  if (status == BRAID_OK) status = measure(desk, job->graph, k);
  if (status != BRAID_OK) {
    free_known(k);
    return braid_fail_in(status, "profile of '%s'", braid_graph_name(job->graph));
  }
  put_first(desk, k);
  bound_brought(desk);
  *out = k;
  return BRAID_OK;
}

static enum braid_status find_profile(struct desk *desk, struct job *job) {
  struct known_profile *k = find_known(desk, job->graph);
  if (!k) BRAID_TRY(make_known(desk, job, &k));
  job->text = braid_strdup(k->text);
  return job->text ? BRAID_OK : braid_fail(BRAID_ENOMEM, "no memory for a profile");
}

const char *desk_remedy(const struct braid_cloud_opts *opts, const struct hello *hello) {
  if (opts->store) return "start the edge with --upload-model to send its file";
  if (hello->file_bytes > 0) return "start the cloud with --accept-models to take the edge's file";
  return "copy the file there, or let the edge send it: --accept-models on the cloud, --upload-model on the edge";
}

static enum braid_status not_here(const struct desk *desk, const struct job *job) {
  const char *remedy = desk_remedy(desk->opts, &job->hello);
  if (!job->graph)
    return braid_fail(BRAID_ENOTFOUND, "model '%s' is not served here: %s", job->hello.model, remedy);
  char hash[65];
  braid_graph_hash_text(job->graph, hash);
  return braid_fail(BRAID_EMISMATCH,
                    "model '%s' has hash %.12s here, %.12s at the edge: both must load the same file; %s",
                    job->hello.model, hash, job->hello.hash, remedy);
}

static bool is_named(const struct job *job) {
  char hash[65] = "";
  if (job->graph) braid_graph_hash_text(job->graph, hash);
  return strcmp(hash, job->hello.hash) == 0;
}

/* Under its name, or among those that edges have brought; else this edge is to bring it, if both sides allow that. */
static enum braid_status find_network(struct desk *desk, struct job *job) {
  struct braid_store *store = desk->opts->store;
  const struct braid_graph *brought = NULL;
  if (is_named(job)) return BRAID_OK;
  if (store) BRAID_TRY(store_find(store, &job->hello, bytes_left(desk), &brought));
  job->holds = brought != NULL;
  job->wants_file = store && !brought && job->hello.file_bytes > 0;
  if (job->wants_file) return store_accepts(store, job->hello.file_bytes);
  if (!brought) return not_here(desk, job);
  job->graph = brought;
  return BRAID_OK;
}

static enum braid_status greet(struct desk *desk, struct job *job) {
  BRAID_TRY(find_network(desk, job));
  return job->wants_file || !job->hello.wants_profile ? BRAID_OK : find_profile(desk, job);
}

static enum braid_status import(struct desk *desk, struct job *job) {
  BRAID_TRY(store_keep(desk->opts->store, &job->hello, bytes_left(desk), job->incoming, &job->graph));
  job->holds = true;
  return job->hello.wants_profile ? find_profile(desk, job) : BRAID_OK;
}

/* ------------------------------------------------------------------------------------------------- compile */

/* What the plan needs at the very least, known before anything is allocated. Weights are the model's, which is here. */
static size_t least_bytes(const struct job *job) {
  size_t largest = 0;
  for (int i = 0; i < braid_graph_size(job->graph); i++) {
    const struct braid_node *node = braid_graph_node(job->graph, i);
    if (job->plan->site[i] == BRAID_CLOUD && node->bytes > largest) largest = node->bytes;
  }
  return largest;
}

/* What its tasks should take, where a profile is at hand: load.c compares. */
static enum braid_status expect_times(struct desk *desk, const struct job *job) {
  const struct known_profile *k = find_known(desk, job->graph);
  if (!k || k->profile->n_nodes != braid_graph_size(job->graph)) return BRAID_OK;
  return braid_program_expect(job->program, k->profile->node_ns, k->profile->slice_ns);
}

/* What plans of one session may have more. */
static size_t room_of(const struct desk *desk, const struct job *job) {
  struct braid_arenas_info arenas;
  braid_arenas_info(job->arenas, &arenas);
  size_t limit = desk->opts->session_memory_bytes;
  return limit == 0 ? SIZE_MAX : arenas.used_bytes < limit ? limit - arenas.used_bytes : 0;
}

/* Whose limit on arenas comes first, this session's or the cloud's? */
static enum braid_status compile_within(struct desk *desk, struct job *job) {
  size_t left_bytes = bytes_left(desk), room_bytes = room_of(desk, job);
  bool own = room_bytes < left_bytes;
  size_t most_bytes = own ? room_bytes : left_bytes;
  enum braid_status status = stream_compile(desk->pool, job->graph, job->plan, BRAID_CLOUD, job->window,
                                            desk->opts->cpu_flags, most_bytes > 0 ? most_bytes : 1, job->arenas,
                                            &job->program);
  if (status != BRAID_EBUSY) return status;
  return braid_fail_in(status, own ? "what is left to one edge here" : "under the cloud's --memory");
}

static enum braid_status try_program(struct desk *desk, struct job *job) {
  size_t used_bytes = desk_bytes_in_use(desk);
  BRAID_TRY(check_memory(desk, used_bytes, least_bytes(job)));
  BRAID_TRY(compile_within(desk, job));
  if (!job->program) return BRAID_OK;
  BRAID_TRY(expect_times(desk, job));
  size_t now_bytes = desk_bytes_in_use(desk);
  return check_memory(desk, used_bytes, now_bytes > used_bytes ? now_bytes - used_bytes : 0);
}

/* What is kept of plans that have gone, of whatever session, is in nobody's way. */
static enum braid_status compile_program(struct desk *desk, struct job *job) {
  enum braid_status status = try_program(desk, job);
  if (status != BRAID_EBUSY) return status;
  braid_program_destroy(&job->program);
  braid_pool_trim(desk->pool);
  return try_program(desk, job);
}

static void discard(struct desk *desk, struct job *job) {
  braid_program_destroy(&job->program);
  braid_plan_destroy(&job->plan);
  if (job->holds) store_release(desk->opts->store, job->graph);
  job->holds = false;
}

static enum braid_status check_delivery(const struct desk *desk, const struct braid_plan *plan) {
  if (plan->deliver == BRAID_EDGE || desk->opts->result) return BRAID_OK;
  return braid_fail(BRAID_EUNSUPPORTED, "the plan leaves its results in the cloud, which has no place for them: start "
                                        "the cloud with --results DIR (or -), or the edge with --deliver edge");
}

/* The plan is a user of its own of a network from the store: it may come to nobody any more. */
static enum braid_status compile(struct desk *desk, struct job *job) {
  BRAID_TRY(braid_plan_from_json(job->text, job->text_bytes, job->graph, &job->plan));
  store_hold(desk->opts->store, job->graph);
  job->holds = true;
  enum braid_status status = braid_plan_check(job->plan, job->graph, false);
  if (status == BRAID_OK) status = check_delivery(desk, job->plan);
  if (status == BRAID_OK) status = compile_program(desk, job);
  if (status != BRAID_OK) discard(desk, job);
  return status;
}

/* -------------------------------------------------------------------------------------------------- thread */

static void retire(struct desk *desk, struct job *job) {
  const struct braid_graph *graph = job->stream->graph;
  stream_destroy(&job->stream);
  store_release(desk->opts->store, graph);
  job_free(job);
}

/* The job is part of the session. */
static void reap(struct desk *desk, struct session *session) {
  const struct braid_graph *graph = session->graph;
  int users = session->n_epochs + session->holds;
  session_destroy(&session);
  while (users-- > 0) store_release(desk->opts->store, graph);
}

static enum braid_status do_job(struct desk *desk, struct job *job) {
  switch (job->kind) {
  case JOB_GREET:
    return greet(desk, job);
  case JOB_IMPORT:
    return import(desk, job);
  case JOB_OPEN:
    return incoming_open(job->incoming);
  case JOB_WRITE:
    return incoming_write(job->incoming, job->msg.payload, job->msg.payload_bytes);
  default:
    return compile(desk, job);
  }
}

/* Returns whether the job goes back to the I/O thread. */
static bool work(struct desk *desk, struct job *job) {
  switch (job->kind) {
  case JOB_DISCARD:
    discard(desk, job);
    job_free(job);
    return false;
  case JOB_RETIRE:
    retire(desk, job);
    return false;
  case JOB_REAP:
    reap(desk, job->session);
    return false;
  case JOB_DROP:
    incoming_destroy(&job->incoming);
    job_free(job);
    return false;
  default:
    break;
  }
  job->status = do_job(desk, job);
  if (job->status != BRAID_OK) snprintf(job->error, sizeof job->error, "%s", braid_error());
  if (job->kind == JOB_IMPORT) incoming_destroy(&job->incoming);
  return true;
}

/* When the desk is closing: what nobody would hear the outcome of. */
static bool is_moot(const struct job *job) {
  return job->kind == JOB_GREET || job->kind == JOB_COMPILE || job->kind == JOB_OPEN || job->kind == JOB_WRITE ||
         job->kind == JOB_IMPORT;
}

static void *desk_main(void *arg) {
  struct desk *desk = arg;
  pthread_mutex_lock(&desk->mutex);
  for (;;) {
    struct job *job = jobs_take(&desk->todo);
    if (!job && desk->stop) break;
    if (!job) {
      pthread_cond_wait(&desk->wake, &desk->mutex);
      continue;
    }
    if (desk->stop && is_moot(job)) {
      if (job->kind == JOB_IMPORT) incoming_destroy(&job->incoming);
      job_free(job);
      continue;
    }
    pthread_mutex_unlock(&desk->mutex);
    bool report = work(desk, job);
    pthread_mutex_lock(&desk->mutex);
    if (report) {
      jobs_put(&desk->done, job);
      io_poke(desk->io);
    }
  }
  pthread_mutex_unlock(&desk->mutex);
  return NULL;
}

enum braid_status desk_start(struct desk *desk, const char *name, const struct braid_cloud_opts *opts,
                             struct braid_pool *pool, struct io *io) {
  *desk = (struct desk){.opts = opts, .pool = pool, .io = io};
  pthread_mutex_init(&desk->mutex, NULL);
  pthread_cond_init(&desk->wake, NULL);
  enum braid_status status = io_thread_start(&desk->thread, name, desk_main, desk);
  desk->started = status == BRAID_OK;
  return status;
}

void desk_stop(struct desk *desk) {
  if (!desk->started) return;
  pthread_mutex_lock(&desk->mutex);
  desk->stop = true;
  pthread_mutex_unlock(&desk->mutex);
  pthread_cond_signal(&desk->wake);
  pthread_join(desk->thread, NULL);
  for (struct job *job; (job = jobs_take(&desk->done));) {
    discard(desk, job);
    job_free(job);
  }
  for (struct known_profile *k; (k = desk->known);) {
    desk->known = k->next;
    free_known(k);
  }
  pthread_cond_destroy(&desk->wake);
  pthread_mutex_destroy(&desk->mutex);
  desk->started = false;
}
