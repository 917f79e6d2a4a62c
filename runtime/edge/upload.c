/* SPDX-License-Identifier: Apache-2.0
 * Sending the model's file to a cloud that does not have it and asks for it (WANT). The parts are as large, and as many
 * under way, as DATA would be, so heartbeats get through, and the estimator knows the link when the first plan is
 * decided. The file stays open from the start on: what is sent is what was hashed, or the cloud finds that it is not. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "edge/edge.h"

enum { READ_BYTES = 1 << 20 };

/* ---------------------------------------------------------------------------------------------------- file */

static enum braid_status read_at(int fd, uint64_t offset, uint8_t *data, size_t bytes) {
  for (size_t at = 0; at < bytes;) {
    ssize_t n = pread(fd, data + at, bytes - at, (off_t)(offset + at));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return braid_fail(BRAID_EIO, "the model's file: %s", strerror(errno));
    if (n == 0) return braid_fail(BRAID_EIO, "the model's file has become shorter");
    at += (size_t)n;
  }
  return BRAID_OK;
}

static enum braid_status hash_file(struct edge_file *file, struct braid_sha256 *sha, uint8_t *data) {
  for (uint64_t at = 0; at < file->bytes;) {
    size_t n = file->bytes - at < READ_BYTES ? (size_t)(file->bytes - at) : READ_BYTES;
    BRAID_TRY(read_at(file->fd, at, data, n));
    braid_sha256_add(sha, data, n);
    at += n;
  }
  braid_sha256_text(sha, file->sha256);
  return BRAID_OK;
}

static enum braid_status look_at_file(struct edge_file *file) {
  struct stat st;
  if (fstat(file->fd, &st) != 0) return braid_fail(BRAID_EIO, "%s", strerror(errno));
  if (!S_ISREG(st.st_mode) || st.st_size == 0) return braid_fail(BRAID_EINVAL, "not a file that could be uploaded");
  file->bytes = (uint64_t)st.st_size;
  struct braid_sha256 *sha = NULL;
  uint8_t *data = braid_malloc(READ_BYTES);
  enum braid_status status =
      data ? braid_sha256_create(&sha) : braid_fail(BRAID_ENOMEM, "no memory to hash the model's file");
  if (status == BRAID_OK) status = hash_file(file, sha, data);
  braid_sha256_destroy(&sha);
  braid_free(data);
  return status;
}

enum braid_status edge_file_open(const char *path, int batch, struct edge_file *file) {
  file->batch = batch > 0 ? batch : 1;
  if (file->batch > HELLO_MAX_BATCH) return braid_fail(BRAID_EINVAL, "a model of batch %d cannot be uploaded", batch);
  file->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (file->fd < 0)
    return braid_fail(errno == ENOENT ? BRAID_ENOTFOUND : BRAID_EIO, "%s: %s", path, strerror(errno));
  enum braid_status status = look_at_file(file);
  return status == BRAID_OK ? status : braid_fail_in(status, "%s", path);
}

void edge_file_close(struct edge_file *file) {
  if (file->fd >= 0) close(file->fd);
  file->fd = -1;
}

/* ------------------------------------------------------------------------------------------------- sending */

/* One WANT begins, and each further one answers a MODEL at least: what else comes is not this protocol. */
static enum braid_status check_want(const struct braid_edge *edge, const struct line *line,
                                    const struct braid_msg *msg) {
  const struct edge_upload *u = &line->upload;
  if (edge->file.fd < 0) return braid_fail(BRAID_EPROTO, "it wants a model that was not offered");
  if (line->welcomed) return braid_fail(BRAID_EPROTO, "it wants a model after its WELCOME");
  bool sane = u->wants <= u->parts && msg->frame >= u->has && msg->frame <= u->sent;
  if (sane && msg->frame + msg->begin >= u->asked && msg->frame + msg->begin <= edge->file.bytes) return BRAID_OK;
  return braid_fail(BRAID_EPROTO, "WANT of %" PRIu32 " bytes from %" PRIu64 "; %" PRIu64 " of %" PRIu64 " are sent",
                    msg->begin, msg->frame, u->sent, edge->file.bytes);
}

static void announce(const struct braid_edge *edge, const struct line *line) {
  struct braid_log_field field[] = {{"peer", line->address, 0}, {"bytes", NULL, (int64_t)edge->file.bytes}};
  braid_log_event(BRAID_LOG_INFO, "upload", field, 2, "cloud %s does not have model %s: sending its %" PRIu64 " bytes",
                  line->address, edge->model, edge->file.bytes);
}

enum braid_status edge_hear_want(struct braid_edge *edge, struct line *line, const struct braid_msg *msg,
                                 int64_t now_ns) {
  struct edge_upload *u = &line->upload;
  BRAID_TRY(check_want(edge, line, msg));
  if (u->wants++ == 0) announce(edge, line);
  braid_estimator_acked(&line->channel.estimator, (size_t)(msg->frame - u->has), now_ns);
  u->has = msg->frame;
  u->asked = msg->frame + msg->begin;
  pthread_mutex_lock(&edge->mutex);
  if (line->wanted++ == 0) pthread_cond_broadcast(&edge->changed);
  pthread_mutex_unlock(&edge->mutex);
  return BRAID_OK;
}

/* Leaves u->part empty where nothing can be sent now. */
static enum braid_status pack_part(const struct braid_edge *edge, struct line *line) {
  struct edge_upload *u = &line->upload;
  uint64_t left = u->asked - u->sent;
  size_t n = left > 0 ? channel_part_bytes(&line->channel) : 0;
  if (n > left) n = (size_t)left;
  if (n == 0 || (n < BRAID_MODEL_PART_MIN && u->sent + n < edge->file.bytes)) return BRAID_OK;
  BRAID_TRY(braid_msg_init(&u->part, BRAID_MSG_MODEL, n));
  u->part.frame = u->sent;
  return read_at(edge->file.fd, u->sent, u->part.payload, n);
}

enum braid_status edge_send_model(struct braid_edge *edge, struct line *line, int64_t now_ns) {
  struct edge_upload *u = &line->upload;
  for (;;) {
    if (!u->part.type) BRAID_TRY(pack_part(edge, line));
    size_t n = u->part.payload_bytes;
    if (!u->part.type) return BRAID_OK;
    enum braid_status status = braid_link_send(line->link, line->channel.peer, &u->part);
    if (status != BRAID_OK) return status == BRAID_EBUSY ? BRAID_OK : status;
    braid_estimator_sent(&line->channel.estimator, n, now_ns);
    u->sent += n;
    u->parts++;
  }
}
