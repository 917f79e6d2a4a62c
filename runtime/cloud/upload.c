/* SPDX-License-Identifier: Apache-2.0
 * A model that its edge sends: the I/O thread's part of it. The cloud asks for the file piece by piece (WANT) and takes
 * nothing that it has not asked for, so what waits for the disk is bounded, and MODEL needs no other limit. Only a few
 * files come at a time; a session that would send one more, or what another is sending already, waits for its turn as
 * those wait whose model is being profiled: with heartbeats. */
#include <inttypes.h>
#include <string.h>

#include "cloud/cloud.h"

enum {
  UPLOADS_AT_ONCE = 4,
  UPLOADS_PER_EDGE = 2,
  WINDOW_BYTES = 1 << 20, /* asked for beyond what is on the disk */
  STEP_BYTES = 64 << 10,  /* that must come in ... */
  PATIENCE_BEATS = 20     /* ... so many heartbeats, but no less than ... */
};
#define PATIENCE_NS INT64_C(1000000000)

/* ------------------------------------------------------------------------------------------- begin and end */

/* Nobody has all the places to itself, where edges can be told apart. */
static bool has_turn(const struct session *session) {
  int running = 0, own = 0;
  for (const struct session *s = session->cloud->sessions; s; s = s->next) {
    if (s->upload.state != UPLOAD_RUNS) continue;
    if (strcmp(s->hello.file_sha256, session->hello.file_sha256) == 0) return false;
    running++;
    own += *s->whose && strcmp(s->whose, session->whose) == 0;
  }
  return running < UPLOADS_AT_ONCE && own < UPLOADS_PER_EDGE;
}

static enum braid_status post(struct session *session, enum job_kind kind, struct braid_msg *msg) {
  struct job *job = braid_calloc(1, sizeof *job);
  if (!job) return braid_fail(BRAID_ENOMEM, "no memory to receive a model");
  job->kind = kind;
  job->peer = session->channel.peer;
  job->incoming = session->upload.file;
  if (msg) {
    job->msg = *msg;
    memset(msg, 0, sizeof *msg);
  }
  desk_post(&session->cloud->files, job);
  return BRAID_OK;
}

enum braid_status upload_begin(struct session *session) {
  struct upload *u = &session->upload;
  *u = (struct upload){.state = UPLOAD_WAITS, .seen_over = session->cloud->n_uploads_over};
  if (!has_turn(session)) {
    cloud_event(session->cloud, "upload", "%s: model %s waits for its turn", session->who, session->hello.model);
    return BRAID_OK;
  }
  u->state = UPLOAD_RUNS;
  u->last = braid_calloc(1, sizeof *u->last);
  if (!u->last) return braid_fail(BRAID_ENOMEM, "no memory to receive a model");
  BRAID_TRY(incoming_create(session->cloud->opts.store, &session->hello, &u->file));
  cloud_event(session->cloud, "upload", "%s: model %s, %" PRIu64 " bytes, SHA-256 %.12s", session->who,
              session->hello.model, session->hello.file_bytes, session->hello.file_sha256);
  return post(session, JOB_OPEN, NULL);
}

bool upload_is_due(const struct session *session) {
  return session->upload.state == UPLOAD_WAITS && session->upload.seen_over != session->cloud->n_uploads_over;
}

/* The file and what is known of it leave the session, behind all that has been left to the second desk before. */
static void hand_over(struct session *session, enum job_kind kind, struct desk *desk) {
  struct upload *u = &session->upload;
  *u->last = (struct job){
      .kind = kind, .peer = session->channel.peer, .hello = session->hello, .incoming = u->file};
  desk_post(desk, u->last);
  u->last = NULL;
  u->file = NULL;
}

void upload_end(struct session *session) {
  struct upload *u = &session->upload;
  if (u->state == UPLOAD_RUNS) session->cloud->n_uploads_over++;
  u->state = UPLOAD_NONE;
  if (u->file) hand_over(session, JOB_DROP, &session->cloud->files);
  job_free(u->last); /* there never was a file */
  u->last = NULL;
}

/* ------------------------------------------------------------------------------------------------- bytes */

enum braid_status upload_hear(struct session *session, struct braid_msg *msg) {
  struct upload *u = &session->upload;
  uint64_t bytes = session->hello.file_bytes, size = msg->payload_bytes;
  if (u->asked == u->got) return braid_fail(BRAID_EPROTO, "MODEL that nobody has asked for");
  if (msg->frame != u->got)
    return braid_fail(BRAID_EPROTO, "MODEL from byte %" PRIu64 " where byte %" PRIu64 " is next", msg->frame, u->got);
  if (size > u->asked - u->got)
    return braid_fail(BRAID_EPROTO, "MODEL of %" PRIu64 " bytes where %" PRIu64 " are asked for", size,
                      u->asked - u->got);
  if (size < BRAID_MODEL_PART_MIN && size < bytes - u->got)
    return braid_fail(BRAID_EPROTO, "MODEL of %" PRIu64 " bytes; only the last of a file may have less than %d", size,
                      BRAID_MODEL_PART_MIN);
  u->got += size;
  return post(session, JOB_WRITE, msg);
}

/* Also after the last byte: what the edge counts as under way must come to nothing. */
static enum braid_status tell(struct session *session) {
  struct upload *u = &session->upload;
  uint64_t left = session->hello.file_bytes - u->written, more = left < WINDOW_BYTES ? left : WINDOW_BYTES;
  struct braid_msg want = {.type = BRAID_MSG_WANT, .frame = u->written, .begin = (uint32_t)more};
  u->told = u->written;
  u->asked = u->written + more;
  return channel_send(&session->channel, &want);
}

enum braid_status upload_job_done(struct session *session, const struct job *job) {
  struct upload *u = &session->upload;
  if (job->kind == JOB_IMPORT) {
    upload_end(session);
    cloud_event(session->cloud, "uploaded", "%s: model %s, SHA-256 %.12s", session->who, session->hello.model,
                session->hello.file_sha256);
    return BRAID_OK;
  }
  if (job->kind == JOB_OPEN) {
    u->open = true;
    return tell(session);
  }
  u->written += job->msg.payload_bytes;
  if (u->written < session->hello.file_bytes) return BRAID_OK;
  BRAID_TRY(tell(session));
  hand_over(session, JOB_IMPORT, &session->cloud->desk);
  return BRAID_OK;
}

/* One that goes on pinging but sends nothing, or next to it, must not keep a place. Time in which it waits for us does
 * not count. */
static enum braid_status check_pace(struct session *session, int64_t now_ns) {
  struct upload *u = &session->upload;
  int64_t patience_ns = PATIENCE_BEATS * session->channel.heartbeat_ns;
  if (u->got == u->asked || u->got - u->mark >= STEP_BYTES || u->due_ns == 0) {
    u->mark = u->got;
    u->due_ns = now_ns + (patience_ns > PATIENCE_NS ? patience_ns : PATIENCE_NS);
  }
  if (now_ns < u->due_ns) return BRAID_OK;
  return braid_fail(BRAID_ETIMEDOUT, "the model does not come: %" PRIu64 " of %" PRIu64 " bytes are here", u->got,
                    session->hello.file_bytes);
}

enum braid_status upload_service(struct session *session, int64_t now_ns) {
  struct upload *u = &session->upload;
  if (!u->file || !u->open) return BRAID_OK;
  BRAID_TRY(check_pace(session, now_ns));
  /* One at a time where the link is full: the next tells as much. */
  return u->written > u->told && session->channel.n_control == 0 ? tell(session) : BRAID_OK;
}
