/* SPDX-License-Identifier: Apache-2.0
 *
 * Writing files that are either complete or not there: into a temporary file beside the target, flushed to the disk,
 * then renamed over it. protobuf-c packs straight into the file, so weights are not copied.
 */
#include "onnx_writer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct output {
  ProtobufCBuffer base; /* first: protobuf-c hands it back to us */
  FILE *file;
  int error; /* the first errno; 0: none */
  const char *path;
  char *temporary;
};

static void put_bytes(struct output *out, const void *data, size_t size) {
  if (out->error || size == 0) return;
  errno = 0;
  if (fwrite(data, 1, size, out->file) != size) out->error = errno ? errno : EIO;
}

static void append(ProtobufCBuffer *buffer, size_t size, const uint8_t *data) {
  put_bytes((struct output *)buffer, data, size);
}

static enum braid_status open_output(const char *path, struct output *out) {
  *out = (struct output){.base = {.append = append}, .path = path};
  size_t size = strlen(path) + 8;
  out->temporary = braid_malloc(size);
  if (!out->temporary) return braid_fail(BRAID_ENOMEM, "out of memory");
  snprintf(out->temporary, size, "%s.XXXXXX", path);
  int fd = mkstemp(out->temporary);
  if (fd >= 0) out->file = fdopen(fd, "wb");
  if (out->file) return BRAID_OK;
  int error = errno;
  if (fd >= 0) {
    close(fd);
    unlink(out->temporary);
  }
  braid_free(out->temporary);
  out->temporary = NULL;
  return braid_fail(BRAID_EIO, "cannot make a file there: %s", strerror(error));
}

static int sync_output(struct output *out) {
  mode_t mask = umask(0); /* mkstemp gives 0600; the result is an ordinary file */
  umask(mask);
  if (fflush(out->file) != 0 || fchmod(fileno(out->file), 0666 & ~mask) != 0) return errno;
  /* Some file systems cannot sync; what they say about space they have said by now. */
  if (fsync(fileno(out->file)) != 0 && errno != EINVAL && errno != ENOTSUP) return errno;
  return 0;
}

/* Complete on the disk, but under its temporary name still. */
static enum braid_status finish_output(struct output *out) {
  if (!out->error) out->error = sync_output(out);
  if (fclose(out->file) != 0 && !out->error) out->error = errno;
  return out->error ? braid_fail(BRAID_EIO, "%s; nothing was left behind", strerror(out->error)) : BRAID_OK;
}

static enum braid_status publish_output(struct output *out) {
  if (rename(out->temporary, out->path) != 0) return braid_fail(BRAID_EIO, "%s", strerror(errno));
  braid_free(out->temporary);
  out->temporary = NULL;
  return BRAID_OK;
}

static void drop_output(struct output *out) {
  if (!out->temporary) return;
  unlink(out->temporary);
  braid_free(out->temporary);
}

static enum braid_status write_model(const Onnx__ModelProto *model, const char *path, struct output *out) {
  BRAID_TRY(open_output(path, out));
  protobuf_c_message_pack_to_buffer(&model->base, &out->base);
  return finish_output(out);
}

static enum braid_status write_data(Onnx__TensorProto *const *tensor, int n, const char *path, struct output *out) {
  static const unsigned char zeros[64];
  uint64_t end = 0;
  BRAID_TRY(open_output(path, out));
  for (int i = 0; i < n; i++) {
    uint64_t start = onnx_next_offset(end);
    put_bytes(out, zeros, start - end);
    put_bytes(out, tensor[i]->raw_data.data, tensor[i]->raw_data.len);
    end = start + tensor[i]->raw_data.len;
  }
  return finish_output(out);
}

/* The data gets its name first: a model that is there never refers to data that is not. */
enum braid_status onnx_write(const Onnx__ModelProto *model, const char *path, Onnx__TensorProto *const *tensor, int n,
                             const char *data_path) {
  struct output data = {.temporary = NULL}, main_file = {.temporary = NULL};
  enum braid_status status = n > 0 ? write_data(tensor, n, data_path, &data) : BRAID_OK;
  if (status == BRAID_OK) status = write_model(model, path, &main_file);
  if (status == BRAID_OK && n > 0) status = publish_output(&data);
  if (status == BRAID_OK) status = publish_output(&main_file);
  drop_output(&data);
  drop_output(&main_file);
  return status;
}
