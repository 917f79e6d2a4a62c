/* SPDX-License-Identifier: Apache-2.0 */
#include "io.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct buffer {
  uint8_t *data;
  size_t size, room;
};

static bool grow(struct buffer *b, size_t max_bytes) {
  size_t room = b->room ? 2 * b->room : 1 << 16;
  if (room > max_bytes) room = max_bytes;
  uint8_t *data = braid_realloc(b->data, room + 1); /* never zero bytes */
  if (!data) return false;
  b->data = data;
  b->room = room;
  return true;
}

/* By growing, not by asking for the size: standard input and /proc have none. */
static enum braid_status slurp(FILE *f, const char *path, size_t max_bytes, struct buffer *b) {
  for (;;) {
    if (b->size == b->room) {
      if (b->room == max_bytes) {
        if (b->data && fgetc(f) == EOF) return BRAID_OK;
        if (b->data) return braid_fail(BRAID_EINVAL, "%s: larger than %zu bytes", path, max_bytes);
      }
      if (!grow(b, max_bytes)) return braid_fail(BRAID_ENOMEM, "%s: no memory for %zu bytes", path, b->size);
    }
    size_t n = fread(b->data + b->size, 1, b->room - b->size, f);
    b->size += n;
    if (n == 0) return ferror(f) ? braid_fail(BRAID_EIO, "%s: %s", path, strerror(errno)) : BRAID_OK;
  }
}

enum braid_status io_read_file(const char *path, size_t max_bytes, uint8_t **data, size_t *size) {
  bool standard = strcmp(path, "-") == 0;
  FILE *f = standard ? stdin : fopen(path, "rb");
  if (!f) return braid_fail(errno == ENOENT ? BRAID_ENOTFOUND : BRAID_EIO, "%s: %s", path, strerror(errno));
  struct buffer b = {0};
  enum braid_status status = slurp(f, standard ? "standard input" : path, max_bytes, &b);
  if (!standard) fclose(f);
  if (status != BRAID_OK) {
    braid_free(b.data);
    return status;
  }
  *data = b.data;
  *size = b.size;
  return BRAID_OK;
}

enum braid_status io_write_file(const char *path, const void *data, size_t size) {
  bool standard = strcmp(path, "-") == 0;
  FILE *f = standard ? stdout : fopen(path, "wb");
  if (!f) return braid_fail(BRAID_EIO, "%s: %s", path, strerror(errno));
  bool good = fwrite(data, 1, size, f) == size;
  int reason = errno;
  if (standard ? fflush(f) != 0 : fclose(f) != 0) good = false;
  return good ? BRAID_OK : braid_fail(BRAID_EIO, "%s: %s", path, strerror(reason));
}
