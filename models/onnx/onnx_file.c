/* SPDX-License-Identifier: Apache-2.0
 *
 * Files and the memory an imported graph borrows from. Everything here distrusts the file: its size is bounded, the
 * unpacked message is charged to a budget (a two-byte submessage unpacks to hundreds of bytes), its nesting is
 * measured before protobuf-c recurses into it, and external data may only be plain files beside the model.
 */
#include "onnx_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* A model, its graph, a node, an attribute, a tensor: five. Subgraphs of control flow add three each. */
#define NESTING_MAX 64

struct mapping {
  char *location; /* file name, for external data */
  void *data;
  size_t size;
  struct mapping *next;
};

struct block {
  struct block *next;
  _Alignas(64) unsigned char data[]; /* constants start on a cache line */
};

struct onnx_source {
  size_t max_bytes;
  size_t memory_bytes; /* unpacked message and blocks */
  size_t file_bytes;   /* external data */
  bool over_budget;
  int dir_fd;
  ProtobufCAllocator allocator;
  ProtobufCMessage *message; /* a model, or a tensor alone */
  struct mapping file;       /* which the message is being copied out of; empty otherwise */
  size_t copied;             /* bytes since its pages were given back */
  struct mapping *maps;
  struct block *blocks;
};

/* ---------------------------------------------------------------------------------------------- budget */

static bool charge(struct onnx_source *source, size_t bytes) {
  if (bytes > source->max_bytes - source->memory_bytes) {
    source->over_budget = true;
    return false;
  }
  source->memory_bytes += bytes;
  return true;
}

/* What has been copied out of the file need not stay in memory beside the copy: a process would hold all weights twice.
 * protobuf-c copies in the file's order, and pages that it comes back to are read again. */
static void give_pages_back(struct onnx_source *source, size_t bytes) {
  enum { ENOUGH = 4 << 20 };
  if (!source->file.data || (source->copied += bytes) < ENOUGH) return;
  source->copied = 0;
  madvise(source->file.data, source->file.size, MADV_DONTNEED);
}

static void *unpack_alloc(void *ctx, size_t bytes) {
  struct onnx_source *source = ctx;
  give_pages_back(source, bytes);
  return charge(source, bytes) ? braid_malloc(bytes ? bytes : 1) : NULL;
}

static void unpack_free(void *ctx, void *p) {
  (void)ctx;
  braid_free(p);
}

enum braid_status onnx_source_create(size_t max_bytes, int dir_fd, struct onnx_source **out) {
  struct onnx_source *source = braid_calloc(1, sizeof *source);
  if (!source) {
    if (dir_fd >= 0) close(dir_fd);
    return braid_fail(BRAID_ENOMEM, "out of memory");
  }
  source->max_bytes = max_bytes;
  source->dir_fd = dir_fd;
  source->allocator = (ProtobufCAllocator){.alloc = unpack_alloc, .free = unpack_free, .allocator_data = source};
  *out = source;
  return BRAID_OK;
}

void onnx_source_destroy(void *p) {
  struct onnx_source *source = p;
  if (!source) return;
  if (source->message) protobuf_c_message_free_unpacked(source->message, &source->allocator);
  while (source->maps) {
    struct mapping *map = source->maps;
    source->maps = map->next;
    if (map->data) munmap(map->data, map->size);
    braid_free(map->location);
    braid_free(map);
  }
  while (source->blocks) {
    struct block *block = source->blocks;
    source->blocks = block->next;
    braid_free(block);
  }
  if (source->dir_fd >= 0) close(source->dir_fd);
  braid_free(source);
}

enum braid_status onnx_source_alloc(struct onnx_source *source, size_t bytes, void **out) {
  size_t total;
  if (!braid_add_size(bytes, sizeof(struct block), &total) || !charge(source, total)) {
    return braid_fail(BRAID_ENOMEM, "constants need %zu more bytes: more than the limit of %zu bytes for a model",
                      bytes, source->max_bytes);
  }
  struct block *block = braid_alloc_aligned(total);
  if (!block) return braid_fail(BRAID_ENOMEM, "out of memory for a constant of %zu bytes", bytes);
  block->next = source->blocks;
  source->blocks = block;
  *out = block->data;
  return BRAID_OK;
}

/* --------------------------------------------------------------------------------------------- unpacking */

struct cursor {
  const uint8_t *at, *end;
};

static bool read_varint(struct cursor *c, uint64_t *out) {
  *out = 0;
  for (unsigned shift = 0; shift < 64; shift += 7) {
    if (c->at == c->end) return false;
    uint8_t byte = *c->at++;
    *out |= (uint64_t)(byte & 0x7f) << shift;
    if (byte < 0x80) return true;
  }
  return false;
}

/* Takes one field; *body is its content for length-delimited ones. False: not protobuf. */
static bool read_field(struct cursor *c, uint32_t *tag, bool *delimited, struct cursor *body) {
  uint64_t key, length = 0;
  if (!read_varint(c, &key) || key >> 32) return false;
  *tag = (uint32_t)(key >> 3);
  *delimited = (key & 7) == 2;
  switch (key & 7) {
  case 0:
    return read_varint(c, &length);
  case 1:
    length = 8;
    break;
  case 2:
    if (!read_varint(c, &length)) return false;
    break;
  case 5:
    length = 4;
    break;
  default:
    return false;
  }
  if (length > (size_t)(c->end - c->at)) return false;
  *body = (struct cursor){c->at, c->at + length};
  c->at += length;
  return true;
}

/* protobuf-c recurses as deep as the file says: walk the same fields first, with a limit. */
static enum braid_status check_nesting(const ProtobufCMessageDescriptor *type, struct cursor c, int depth) {
  if (depth > NESTING_MAX) return braid_fail(BRAID_EFORMAT, "messages are nested deeper than %d levels", NESTING_MAX);
  while (c.at != c.end) {
    uint32_t tag;
    bool delimited;
    struct cursor body;
    if (!read_field(&c, &tag, &delimited, &body)) {
      return braid_fail(BRAID_EFORMAT, "not an ONNX file, or cut short (broken %s)", type->short_name);
    }
    const ProtobufCFieldDescriptor *field = protobuf_c_message_descriptor_get_field(type, tag);
    if (!field || !delimited || field->type != PROTOBUF_C_TYPE_MESSAGE) continue;
    BRAID_TRY(check_nesting(field->descriptor, body, depth + 1));
  }
  return BRAID_OK;
}

static enum braid_status unpack(struct onnx_source *source, const ProtobufCMessageDescriptor *type, const uint8_t *data,
                                size_t size) {
  if (size == 0) return braid_fail(BRAID_EFORMAT, "the file is empty");
  BRAID_TRY(check_nesting(type, (struct cursor){data, data + size}, 1));
  source->message = protobuf_c_message_unpack(type, &source->allocator, size, data);
  if (source->message) return BRAID_OK;
  if (source->over_budget) {
    return braid_fail(BRAID_ENOMEM, "the unpacked model exceeds the limit of %zu bytes", source->max_bytes);
  }
  return braid_fail(BRAID_EFORMAT, "not an ONNX file: protobuf refuses it");
}

enum braid_status onnx_source_unpack(struct onnx_source *source, const uint8_t *data, size_t size) {
  return unpack(source, &onnx__model_proto__descriptor, data, size);
}

const Onnx__ModelProto *onnx_source_model(const struct onnx_source *source) {
  return (const Onnx__ModelProto *)source->message;
}

enum braid_status onnx_source_unpack_tensor(struct onnx_source *source, const uint8_t *data, size_t size,
                                            const Onnx__TensorProto **out) {
  BRAID_TRY(unpack(source, &onnx__tensor_proto__descriptor, data, size));
  *out = (const Onnx__TensorProto *)source->message;
  return BRAID_OK;
}

/* ------------------------------------------------------------------------------------------------- files */

/* Maps a regular file, read only. *data is NULL for an empty one. Closes fd. Pages of a mapping are the page cache's: a
 * network of 500 MB costs no memory of ours. (Shortening the file while it is mapped kills the process with SIGBUS,
 * as for every program that maps its data: replace models by renaming, as braid_onnx_save does.) */
static enum braid_status map_file(int fd, const char *name, size_t max_bytes, void **data, size_t *size) {
  struct stat st;
  void *p = NULL;
  enum braid_status status = BRAID_OK;
  if (fstat(fd, &st) != 0) {
    status = braid_fail(BRAID_EIO, "%s: %s", name, strerror(errno));
  } else if (!S_ISREG(st.st_mode)) {
    status = braid_fail(BRAID_EIO, "%s is not a regular file", name);
  } else if ((uint64_t)st.st_size > max_bytes) {
    status = braid_fail(BRAID_ENOMEM, "%s has %lld bytes, more than the limit of %zu", name, (long long)st.st_size,
                        max_bytes);
  } else if (st.st_size > 0) {
    p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (p == MAP_FAILED) status = braid_fail(BRAID_EIO, "cannot map %s: %s", name, strerror(errno));
  }
  close(fd);
  if (status != BRAID_OK) return status;
  *data = p;
  *size = (size_t)st.st_size;
  return BRAID_OK;
}

/* O_NONBLOCK: opening a FIFO must not hang; it is refused as "not a regular file" afterwards. */
#define OPEN_FLAGS (O_RDONLY | O_CLOEXEC | O_NONBLOCK)

static enum braid_status open_dir_of(const char *path, int *fd) {
  char *dir = braid_strdup(path);
  if (!dir) return braid_fail(BRAID_ENOMEM, "out of memory");
  char *slash = strrchr(dir, '/');
  if (slash) slash[slash == dir ? 1 : 0] = '\0';
  *fd = open(slash ? dir : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  braid_free(dir);
  return *fd >= 0 ? BRAID_OK : braid_fail(BRAID_EIO, "cannot open its folder: %s", strerror(errno));
}

enum braid_status onnx_source_open(const char *path, const struct braid_onnx_opts *opts, struct onnx_source **out) {
  int fd = open(path, OPEN_FLAGS), dir_fd = -1;
  if (fd < 0) {
    return braid_fail(errno == ENOENT ? BRAID_ENOTFOUND : BRAID_EIO, "cannot open: %s", strerror(errno));
  }
  void *data;
  size_t size;
  BRAID_TRY(map_file(fd, "the file", opts->max_bytes, &data, &size));
  struct onnx_source *source = NULL;
  enum braid_status status = opts->one_file ? BRAID_OK : open_dir_of(path, &dir_fd);
  if (status == BRAID_OK) status = onnx_source_create(opts->max_bytes, dir_fd, &source);
  if (status == BRAID_OK) {
    source->file = (struct mapping){.data = data, .size = size};
    status = onnx_source_unpack(source, data, size);
    source->file = (struct mapping){0};
  }
  if (data) munmap(data, size);
  if (status != BRAID_OK) {
    onnx_source_destroy(source);
    return status;
  }
  *out = source;
  return BRAID_OK;
}

/* -------------------------------------------------------------------------------------- external data */

static enum braid_status check_location(const char *location) {
  if (!location || !*location || strchr(location, '/') || strchr(location, '\\') || strcmp(location, ".") == 0 ||
      strcmp(location, "..") == 0) {
    return braid_fail(BRAID_EFORMAT,
                      "external data '%s' refused: it must be a plain file name in the model's own folder",
                      location ? location : "");
  }
  return BRAID_OK;
}

static enum braid_status map_external(struct onnx_source *source, const char *location, struct mapping *map) {
  /* No symbolic links: a model from elsewhere must not choose which of our files are read. */
  int fd = openat(source->dir_fd, location, OPEN_FLAGS | O_NOFOLLOW);
  if (fd < 0) {
    return braid_fail(errno == ENOENT ? BRAID_ENOTFOUND : BRAID_EIO, "external data '%s' cannot be opened: %s",
                      location, errno == ELOOP ? "it is a symbolic link" : strerror(errno));
  }
  map->location = braid_strdup(location);
  if (!map->location) {
    close(fd);
    return braid_fail(BRAID_ENOMEM, "out of memory");
  }
  BRAID_TRY(map_file(fd, location, source->max_bytes - source->file_bytes, &map->data, &map->size));
  source->file_bytes += map->size;
  return BRAID_OK;
}

static enum braid_status find_external(struct onnx_source *source, const char *location, const struct mapping **out) {
  BRAID_TRY(check_location(location));
  if (source->dir_fd < 0) {
    return braid_fail(BRAID_EUNSUPPORTED,
                      "external data '%s' refused: this model must be whole in one file, with its weights inside",
                      location);
  }
  for (const struct mapping *map = source->maps; map; map = map->next) {
    if (map->location && strcmp(map->location, location) == 0) {
      *out = map;
      return BRAID_OK;
    }
  }
  struct mapping *map = braid_calloc(1, sizeof *map);
  if (!map) return braid_fail(BRAID_ENOMEM, "out of memory");
  enum braid_status status = map_external(source, location, map);
  if (status != BRAID_OK) {
    braid_free(map->location);
    braid_free(map);
    return status;
  }
  map->next = source->maps;
  source->maps = map;
  *out = map;
  return BRAID_OK;
}

enum braid_status onnx_source_external(struct onnx_source *source, const char *location, uint64_t offset,
                                       uint64_t length, void **out) {
  const struct mapping *map = NULL;
  BRAID_TRY(find_external(source, location, &map));
  if (offset > map->size || length > map->size - offset) {
    return braid_fail(BRAID_EFORMAT, "bytes %llu+%llu lie outside external data '%s' (%zu bytes)",
                      (unsigned long long)offset, (unsigned long long)length, location, map->size);
  }
  *out = map->data ? (unsigned char *)map->data + offset : NULL;
  return BRAID_OK;
}
