/* SPDX-License-Identifier: Apache-2.0
 * A model's file on its way to the store: it has its room on the disk before the first byte comes, is hashed as it
 * grows, and is gone again unless it comes to its end and is kept. */
#include "cloud/store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum braid_status incoming_create(struct braid_store *store, const struct hello *hello, struct incoming **out) {
  struct incoming *in = braid_calloc(1, sizeof *in);
  if (!in) return braid_fail(BRAID_ENOMEM, "no memory to receive a model");
  in->store = store;
  in->bytes = hello->file_bytes;
  memcpy(in->sha256, hello->file_sha256, sizeof in->sha256);
  in->fd = -1;
  *out = in;
  return BRAID_OK;
}

void incoming_destroy(struct incoming **out) {
  struct incoming *in = *out;
  if (!in) return;
  pthread_mutex_lock(&in->store->names);
  if (in->path[0]) unlink(in->path);
  pthread_mutex_unlock(&in->store->names);
  if (in->fd >= 0) close(in->fd);
  braid_sha256_destroy(&in->sha);
  braid_free(in);
  *out = NULL;
}

/* ------------------------------------------------------------------------------------------------- room */

static bool is_model(const char *name) {
  size_t n = strlen(name);
  return n > 5 && strcmp(name + n - 5, ".onnx") == 0;
}

/* Those on their way have their full size already. */
static enum braid_status count_models(const struct braid_store *store, uint64_t *bytes, int *n) {
  DIR *dir = opendir(store->dir);
  if (!dir) return braid_fail(BRAID_EIO, "the cloud's folder for models: %s", strerror(errno));
  for (const struct dirent *entry; (entry = readdir(dir));) {
    struct stat st;
    if (!is_model(entry->d_name) || fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0) continue;
    *bytes += (uint64_t)st.st_size;
    ++*n;
  }
  closedir(dir);
  return BRAID_OK;
}

static enum braid_status check_quota(const struct braid_store *store, uint64_t more_bytes) {
  uint64_t bytes = 0;
  int n = 0;
  BRAID_TRY(count_models(store, &bytes, &n));
  if (n >= STORE_MAX_MODELS)
    return braid_fail(BRAID_EBUSY, "the cloud keeps %d models that edges brought, its limit: remove some there", n);
  if (bytes <= store->quota_bytes && more_bytes <= store->quota_bytes - bytes) return BRAID_OK;
  return braid_fail(BRAID_EBUSY,
                    "the model's file has %llu MiB, but models that edges brought take %llu of %zu MiB on the cloud: "
                    "remove some there, or raise its --models-quota",
                    (unsigned long long)(more_bytes >> 20) + 1, (unsigned long long)(bytes >> 20),
                    store->quota_bytes >> 20);
}

static enum braid_status no_room(const struct incoming *in, int error) {
  return braid_fail(BRAID_EIO, "the cloud has no room on its disk for %llu bytes of model: %s",
                    (unsigned long long)in->bytes, strerror(error));
}

/* Where the file system cannot promise the room, writing finds out. */
static enum braid_status reserve(const struct incoming *in) {
  if (fallocate(in->fd, 0, 0, (off_t)in->bytes) == 0) return BRAID_OK;
  if (errno != EOPNOTSUPP && errno != ENOSYS) return no_room(in, errno);
  return ftruncate(in->fd, (off_t)in->bytes) == 0 ? BRAID_OK : no_room(in, errno);
}

static enum braid_status make_file(struct incoming *in) {
  snprintf(in->path, sizeof in->path, "%s/part-XXXXXX.onnx", in->store->dir);
  in->fd = mkostemps(in->path, 5, O_CLOEXEC);
  if (in->fd < 0) {
    in->path[0] = '\0';
    return braid_fail(BRAID_EIO, "the cloud cannot make a file for the model: %s", strerror(errno));
  }
  if (flock(in->fd, LOCK_EX | LOCK_NB) != 0)
    return braid_fail(BRAID_EIO, "the cloud cannot lock a file for the model: %s", strerror(errno));
  return reserve(in);
}

enum braid_status incoming_open(struct incoming *in) {
  BRAID_TRY(braid_sha256_create(&in->sha));
  pthread_mutex_lock(&in->store->names);
  enum braid_status status = check_quota(in->store, in->bytes);
  if (status == BRAID_OK) status = make_file(in);
  pthread_mutex_unlock(&in->store->names);
  return status;
}

/* ------------------------------------------------------------------------------------------------ writing */

static enum braid_status write_all(const struct incoming *in, const uint8_t *data, size_t bytes) {
  for (size_t at = 0; at < bytes;) {
    ssize_t n = pwrite(in->fd, data + at, bytes - at, (off_t)(in->at + at));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return no_room(in, errno);
    at += (size_t)n;
  }
  return BRAID_OK;
}

static enum braid_status check_whole(struct incoming *in) {
  char sha256[65];
  braid_sha256_text(in->sha, sha256);
  if (strcmp(sha256, in->sha256) != 0)
    return braid_fail(BRAID_EMISMATCH, "the model's file came with SHA-256 %.12s, %.12s was promised (did it change?)",
                      sha256, in->sha256);
  return fdatasync(in->fd) == 0 ? BRAID_OK : no_room(in, errno);
}

enum braid_status incoming_write(struct incoming *in, const void *data, size_t bytes) {
  BRAID_TRY(write_all(in, data, bytes));
  braid_sha256_add(in->sha, data, bytes);
  in->at += bytes;
  return in->at == in->bytes ? check_whole(in) : BRAID_OK;
}
