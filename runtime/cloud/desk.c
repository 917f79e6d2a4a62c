/* SPDX-License-Identifier: Apache-2.0
 * The desk: a thread for what takes too long for the I/O thread, which must hear heartbeats: hashing and profiling
 * models, compiling plans, waiting for the last tasks of sessions that have ended. Jobs name their session by its peer,
 * since the session may be gone when the job is done. */
#include <stdio.h>
#include <string.h>

#include "cloud/cloud.h"

struct known_profile {
  const struct braid_graph *graph;
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

/* --------------------------------------------------------------------------------------------------- greet */

static enum braid_status measure(struct desk *desk, struct known_profile *k) {
  BRAID_TRY(desk->opts->profile(desk->opts->ctx, k->graph, &k->profile));
  return braid_profile_to_json(k->profile, &k->text);
}

/* A model is profiled once: later edges get the same answer, and a measurement would disturb those already served. */
static enum braid_status find_profile(struct desk *desk, const struct braid_graph *graph, const char **text) {
  for (struct known_profile *k = desk->known; k; k = k->next)
    if (k->graph == graph) {
      *text = k->text;
      return BRAID_OK;
    }
  struct known_profile *k = braid_calloc(1, sizeof *k);
  if (!k) return braid_fail(BRAID_ENOMEM, "no memory for a profile");
  k->graph = graph;
  enum braid_status status = measure(desk, k);
  if (status != BRAID_OK) {
    braid_profile_destroy(&k->profile);
    braid_free(k);
    return braid_fail_in(status, "profile of '%s'", braid_graph_name(graph));
  }
  k->next = desk->known;
  desk->known = k;
  *text = k->text;
  return BRAID_OK;
}

static enum braid_status greet(struct desk *desk, struct job *job) {
  char hash[65];
  braid_graph_hash_text(job->graph, hash);
  if (strcmp(hash, job->hash) != 0)
    return braid_fail(BRAID_EMISMATCH,
                      "model '%s' has hash %.12s here, %.12s at the edge: both must load the same file",
                      braid_graph_name(job->graph), hash, job->hash);
  return job->wants_profile ? find_profile(desk, job->graph, &job->profile) : BRAID_OK;
}

/* ------------------------------------------------------------------------------------------------- compile */

/* Weights that sessions share count once. */
size_t desk_bytes_in_use(const struct desk *desk) {
  return atomic_load_explicit(&desk->used_bytes, memory_order_relaxed) + braid_pool_packed_bytes(desk->pool);
}

/* May a plan take `more_bytes` on top of the `used_bytes` there were before it? */
static enum braid_status check_memory(const struct desk *desk, size_t used_bytes, size_t more_bytes) {
  size_t limit = desk->opts->memory_bytes;
  if (limit == 0 || (used_bytes <= limit && more_bytes <= limit - used_bytes)) return BRAID_OK;
  return braid_fail(BRAID_EBUSY,
                    "the plan needs %zu MiB here; %zu of %zu MiB are in use: ask for a smaller window, or raise the "
                    "cloud's --memory",
                    (more_bytes >> 20) + 1, used_bytes >> 20, limit >> 20);
}

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
static enum braid_status expect_times(const struct desk *desk, const struct job *job) {
  const struct known_profile *k = desk->known;
  while (k && k->graph != job->graph) k = k->next;
  if (!k || k->profile->n_nodes != braid_graph_size(job->graph)) return BRAID_OK;
  return braid_program_expect(job->program, k->profile->node_ns, k->profile->slice_ns);
}

static enum braid_status compile_program(struct desk *desk, struct job *job) {
  size_t used_bytes = desk_bytes_in_use(desk);
  BRAID_TRY(check_memory(desk, used_bytes, least_bytes(job)));
  BRAID_TRY(stream_compile(desk->pool, job->graph, job->plan, BRAID_CLOUD, job->window, desk->opts->cpu_flags,
                           &job->program));
  if (!job->program) return BRAID_OK;
  BRAID_TRY(expect_times(desk, job));
  struct braid_program_info info;
  braid_program_info(job->program, &info);
  job->program_bytes = info.arena_bytes * (size_t)job->window;
  desk->used_bytes += job->program_bytes;
  if (job->program_bytes > job->room_bytes)
    return braid_fail(BRAID_EBUSY,
                      "the plan's arenas take %zu MiB, over the %zu MiB that are left to one edge here: ask for a "
                      "smaller window",
                      (job->program_bytes >> 20) + 1, job->room_bytes >> 20);
  return check_memory(desk, used_bytes, desk_bytes_in_use(desk) - used_bytes);
}

static void discard(struct desk *desk, struct job *job) {
  desk->used_bytes -= job->program_bytes;
  job->program_bytes = 0;
  braid_program_destroy(&job->program);
  braid_plan_destroy(&job->plan);
}

static enum braid_status check_delivery(const struct desk *desk, const struct braid_plan *plan) {
  if (plan->deliver == BRAID_EDGE || desk->opts->result) return BRAID_OK;
  return braid_fail(BRAID_EUNSUPPORTED, "the plan leaves its results in the cloud, which has no place for them: start "
                                        "the cloud with --results DIR (or -), or the edge with --deliver edge");
}

static enum braid_status compile(struct desk *desk, struct job *job) {
  BRAID_TRY(braid_plan_from_json(job->text, job->text_bytes, job->graph, &job->plan));
  enum braid_status status = braid_plan_check(job->plan, job->graph, false);
  if (status == BRAID_OK) status = check_delivery(desk, job->plan);
  if (status == BRAID_OK) status = compile_program(desk, job);
  if (status != BRAID_OK) discard(desk, job);
  return status;
}

/* -------------------------------------------------------------------------------------------------- thread */

static void retire(struct desk *desk, struct job *job) {
  desk->used_bytes -= job->stream->program_bytes;
  stream_destroy(&job->stream);
  job_free(job);
}

static void reap(struct desk *desk, struct session *session) {
  desk->used_bytes -= session_program_bytes(session);
  session_destroy(&session); /* the job is part of it */
}

/* Returns whether the job goes back to the I/O thread. */
static bool work(struct desk *desk, struct job *job) {
  switch (job->kind) {
  case JOB_GREET:
    job->status = greet(desk, job);
    break;
  case JOB_COMPILE:
    job->status = compile(desk, job);
    break;
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
  }
  if (job->status != BRAID_OK) snprintf(job->error, sizeof job->error, "%s", braid_error());
  return true;
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
    if (desk->stop && (job->kind == JOB_GREET || job->kind == JOB_COMPILE)) {
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

enum braid_status desk_start(struct desk *desk, const struct braid_cloud_opts *opts, struct braid_pool *pool,
                             struct io *io) {
  *desk = (struct desk){.opts = opts, .pool = pool, .io = io};
  pthread_mutex_init(&desk->mutex, NULL);
  pthread_cond_init(&desk->wake, NULL);
  enum braid_status status = io_thread_start(&desk->thread, "cloud-desk", desk_main, desk);
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
    braid_profile_destroy(&k->profile);
    braid_free(k->text);
    braid_free(k);
  }
  pthread_cond_destroy(&desk->wake);
  pthread_mutex_destroy(&desk->mutex);
  desk->started = false;
}
