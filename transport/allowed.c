/* SPDX-License-Identifier: Apache-2.0
 * The list of those who are let in, kept as its file is. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "keys.h"

/* What tells one state of a file from another; an unreadable one is all zero. */
struct stamp {
  int64_t size, seconds, nanoseconds;
  uint64_t inode;
};

struct allowed {
  char *path;
  struct stamp stamp;
  bool readable;
  int n;
  struct allowed_entry *entry;
};

static struct stamp stamp_of(const char *path) {
  struct stat st;
  if (stat(path, &st) != 0) return (struct stamp){0};
  return (struct stamp){(int64_t)st.st_size, (int64_t)st.st_mtim.tv_sec, (int64_t)st.st_mtim.tv_nsec, st.st_ino};
}

static bool same_stamp(const struct stamp *a, const struct stamp *b) {
  return a->size == b->size && a->seconds == b->seconds && a->nanoseconds == b->nanoseconds && a->inode == b->inode;
}

static void forget_entries(struct allowed *allowed) {
  braid_free(allowed->entry);
  allowed->entry = NULL;
  allowed->n = 0;
  allowed->readable = false;
}

static enum braid_status read_entries(struct allowed *allowed) {
  char *text;
  size_t size;
  forget_entries(allowed);
  BRAID_TRY(key_file_read(allowed->path, false, ALLOWED_FILE_BYTES, &text, &size));
  enum braid_status status = allowed_parse(text, size, &allowed->entry, &allowed->n);
  braid_free(text);
  allowed->readable = status == BRAID_OK;
  return status == BRAID_OK ? status : braid_fail_in(status, "%s", allowed->path);
}

enum braid_status allowed_refresh(struct allowed *allowed, bool *changed) {
  struct stamp now = stamp_of(allowed->path); /* before reading: a change in between is seen the next time */
  *changed = !same_stamp(&now, &allowed->stamp);
  if (!*changed) return BRAID_OK;
  allowed->stamp = now;
  return read_entries(allowed);
}

enum braid_status allowed_open(const char *path, struct allowed **out) {
  struct allowed *allowed = braid_calloc(1, sizeof *allowed);
  if (allowed) allowed->path = braid_strdup(path);
  enum braid_status status = BRAID_OK;
  if (!allowed || !allowed->path)
    status = braid_fail(BRAID_ENOMEM, "no memory for %s", path);
  else {
    allowed->stamp = stamp_of(path);
    status = read_entries(allowed);
  }
  if (status == BRAID_OK)
    *out = allowed;
  else
    allowed_close(&allowed);
  return status;
}

void allowed_close(struct allowed **allowed) {
  if (!*allowed) return;
  braid_free((*allowed)->entry);
  braid_free((*allowed)->path);
  braid_free(*allowed);
  *allowed = NULL;
}

bool allowed_readable(const struct allowed *allowed) {
  return allowed->readable;
}

const char *allowed_name(const struct allowed *allowed, const char *key) {
  for (int i = 0; i < allowed->n; i++)
    if (strcmp(allowed->entry[i].key, key) == 0) return allowed->entry[i].name;
  return NULL;
}
