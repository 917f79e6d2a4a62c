/* SPDX-License-Identifier: Apache-2.0
 *
 * The .npy format (NumPy enhancement proposal 1): "\x93NUMPY", version, header length (2 bytes in version 1, 4 in 2), a
 * Python dictionary {'descr': '<f4', 'fortran_order': False, 'shape': (1, 3, 2, 2), }, then the elements. The header is
 * read by a cursor that knows just that dictionary.
 */
#include "io.h"

#include <ctype.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

enum { MAGIC_BYTES = 6, MAX_HEADER_BYTES = 1 << 16 };
static const size_t max_file_bytes = (size_t)4 << 30;
static const char magic[] = "\x93NUMPY";

static const struct {
  const char *text; /* without the byte order */
  enum braid_dtype dtype;
} descr[] = {{"f4", BRAID_F32}, {"f2", BRAID_F16}, {"f8", BRAID_F64}, {"u1", BRAID_U8},
             {"i1", BRAID_I8},  {"u2", BRAID_U16}, {"i2", BRAID_I16}, {"u4", BRAID_U32},
             {"i4", BRAID_I32}, {"u8", BRAID_U64}, {"i8", BRAID_I64}, {"b1", BRAID_BOOL}};
enum { N_DESCR = sizeof descr / sizeof *descr };

/* ---------------------------------------------------------------------------------------------- cursor */

struct cursor {
  const char *at, *end;
};

static void skip_space(struct cursor *c) {
  while (c->at < c->end && isspace((unsigned char)*c->at)) c->at++;
}

static bool take(struct cursor *c, char wanted) {
  skip_space(c);
  if (c->at == c->end || *c->at != wanted) return false;
  c->at++;
  return true;
}

static bool take_word(struct cursor *c, const char *word) {
  skip_space(c);
  size_t n = strlen(word);
  if ((size_t)(c->end - c->at) < n || memcmp(c->at, word, n) != 0) return false;
  c->at += n;
  return true;
}

/* 'text' or "text" */
static bool take_string(struct cursor *c, char *buf, size_t size) {
  skip_space(c);
  if (c->at == c->end || (*c->at != '\'' && *c->at != '"')) return false;
  char quote = *c->at++;
  size_t n = 0;
  while (c->at < c->end && *c->at != quote) {
    if (n + 1 >= size) return false;
    buf[n++] = *c->at++;
  }
  buf[n] = '\0';
  return c->at++ < c->end;
}

static bool take_int(struct cursor *c, int *out) {
  skip_space(c);
  if (c->at == c->end || !isdigit((unsigned char)*c->at)) return false;
  long long v = 0;
  for (; c->at < c->end && isdigit((unsigned char)*c->at); c->at++) {
    v = 10 * v + (*c->at - '0');
    if (v > INT_MAX) return false;
  }
  *out = (int)v;
  return true;
}

/* ---------------------------------------------------------------------------------------------- header */

struct header {
  enum braid_dtype dtype;
  struct braid_shape shape;
  bool fortran;
  unsigned seen; /* 1 descr, 2 order, 4 shape */
};

static enum braid_status set_descr(struct header *h, const char *text) {
  const char *type = text[0] == '<' || text[0] == '|' ? text + 1 : text;
  if (text[0] == '>')
    return braid_fail(BRAID_EUNSUPPORTED, "big-endian elements ('%s'); save them little-endian", text);
  for (int i = 0; i < N_DESCR; i++)
    if (strcmp(type, descr[i].text) == 0) {
      h->dtype = descr[i].dtype;
      return BRAID_OK;
    }
  return braid_fail(BRAID_EUNSUPPORTED, "element type '%s' is not one we read", text);
}

static enum braid_status read_shape(struct cursor *c, struct header *h) {
  if (!take(c, '(')) return braid_fail(BRAID_EFORMAT, "'shape' is not a tuple");
  memset(&h->shape, 0, sizeof h->shape);
  while (!take(c, ')')) {
    if (h->shape.rank == BRAID_MAX_RANK)
      return braid_fail(BRAID_EUNSUPPORTED, "more than %d dimensions", BRAID_MAX_RANK);
    if (!take_int(c, &h->shape.dim[h->shape.rank])) return braid_fail(BRAID_EFORMAT, "a dimension is not a number");
    h->shape.rank++;
    if (!take(c, ',') && !(c->at < c->end && *c->at == ')')) return braid_fail(BRAID_EFORMAT, "'shape' does not end");
  }
  return BRAID_OK;
}

static enum braid_status read_entry(struct cursor *c, const char *key, struct header *h) {
  char text[16];
  if (strcmp(key, "descr") == 0) {
    h->seen |= 1;
    if (!take_string(c, text, sizeof text)) return braid_fail(BRAID_EUNSUPPORTED, "structured elements");
    return set_descr(h, text);
  }
  if (strcmp(key, "fortran_order") == 0) {
    h->seen |= 2;
    h->fortran = take_word(c, "True");
    return h->fortran || take_word(c, "False") ? BRAID_OK
                                               : braid_fail(BRAID_EFORMAT, "'fortran_order' is not a truth value");
  }
  if (strcmp(key, "shape") == 0) {
    h->seen |= 4;
    return read_shape(c, h);
  }
  return braid_fail(BRAID_EFORMAT, "unknown header entry '%s'", key);
}

static enum braid_status read_header(struct cursor c, struct header *h) {
  if (!take(&c, '{')) return braid_fail(BRAID_EFORMAT, "the header is not a dictionary");
  while (!take(&c, '}')) {
    char key[24];
    if (!take_string(&c, key, sizeof key) || !take(&c, ':'))
      return braid_fail(BRAID_EFORMAT, "the header is malformed");
    BRAID_TRY(read_entry(&c, key, h));
    if (!take(&c, ',') && !(c.at < c.end && *c.at == '}')) return braid_fail(BRAID_EFORMAT, "the header does not end");
  }
  if (h->seen != 7) return braid_fail(BRAID_EFORMAT, "the header lacks descr, fortran_order or shape");
  if (h->fortran && h->shape.rank > 1)
    return braid_fail(BRAID_EUNSUPPORTED, "Fortran order; save it with numpy.ascontiguousarray");
  return BRAID_OK;
}

bool io_npy_is(const uint8_t *data, size_t size) {
  return size >= MAGIC_BYTES && memcmp(data, magic, MAGIC_BYTES) == 0;
}

/* Where the dictionary lies: after 2 or 4 bytes of length. */
static enum braid_status find_header(const uint8_t *data, size_t size, struct cursor *c) {
  if (!io_npy_is(data, size) || size < MAGIC_BYTES + 4) return braid_fail(BRAID_EFORMAT, "not a .npy file");
  unsigned major = data[MAGIC_BYTES];
  if (major < 1 || major > 3) return braid_fail(BRAID_EUNSUPPORTED, ".npy version %u", major);
  size_t at = MAGIC_BYTES + 2, width = major == 1 ? 2 : 4, length = 0;
  if (size < at + width) return braid_fail(BRAID_EFORMAT, "truncated in the header");
  for (size_t i = 0; i < width; i++) length |= (size_t)data[at + i] << (8 * i);
  at += width;
  if (length > MAX_HEADER_BYTES) return braid_fail(BRAID_EFORMAT, "a header of %zu bytes", length);
  if (size - at < length) return braid_fail(BRAID_EFORMAT, "truncated in the header");
  const char *text = (const char *)data + at;
  *c = (struct cursor){text, text + length};
  return BRAID_OK;
}

enum braid_status io_npy_parse(const uint8_t *data, size_t size, struct braid_tensor *out) {
  struct cursor c = {0};
  struct header h = {0};
  size_t bytes;
  BRAID_TRY(find_header(data, size, &c));
  BRAID_TRY(read_header(c, &h));
  BRAID_TRY(braid_shape_bytes(&h.shape, h.dtype, &bytes));
  size_t left = size - (size_t)((const uint8_t *)c.end - data);
  if (bytes > left) return braid_fail(BRAID_EFORMAT, "truncated: %zu bytes of elements, %zu are there", bytes, left);
  void *copy = braid_alloc_aligned(bytes ? bytes : 1);
  if (!copy) return braid_fail(BRAID_ENOMEM, "no memory for %zu bytes of elements", bytes);
  memcpy(copy, c.end, bytes);
  *out = (struct braid_tensor){copy, h.dtype, h.shape};
  return BRAID_OK;
}

enum braid_status io_npy_read(const char *path, struct braid_tensor *out) {
  uint8_t *data;
  size_t size;
  BRAID_TRY(io_read_file(path, max_file_bytes, &data, &size));
  enum braid_status status = io_npy_parse(data, size, out);
  braid_free(data);
  return status == BRAID_OK ? BRAID_OK : braid_fail_in(status, "%s", path);
}

/* --------------------------------------------------------------------------------------------- writing */

static const char *descr_of(enum braid_dtype dtype) {
  for (int i = 0; i < N_DESCR; i++)
    if (descr[i].dtype == dtype) return descr[i].text;
  return NULL;
}

/* The dictionary, padded so that the elements start at a multiple of 64 bytes. */
static size_t format_header(const struct braid_tensor *t, const char *type, uint8_t head[192]) {
  char dims[BRAID_MAX_RANK * 12 + 1] = "";
  size_t n = 0;
  for (int i = 0; i < t->shape.rank; i++)
    n += (size_t)snprintf(dims + n, sizeof dims - n, i + 1 < t->shape.rank || i == 0 ? "%d, " : "%d", t->shape.dim[i]);
  char text[192];
  int length = snprintf(text, sizeof text, "{'descr': '%c%s', 'fortran_order': False, 'shape': (%s), }",
                        braid_dtype_bytes(t->dtype) == 1 ? '|' : '<', type, dims);
  size_t prefix = MAGIC_BYTES + 4, total = (prefix + (size_t)length + 1 + 63) / 64 * 64;
  memset(head, ' ', total);
  memcpy(head, magic, MAGIC_BYTES);
  head[6] = 1;
  head[7] = 0;
  head[8] = (uint8_t)((total - prefix) & 0xff);
  head[9] = (uint8_t)((total - prefix) >> 8);
  memcpy(head + prefix, text, (size_t)length);
  head[total - 1] = '\n';
  return total;
}

enum braid_status io_npy_write(const char *path, const struct braid_tensor *tensor) {
  const char *type = descr_of(tensor->dtype);
  if (!type)
    return braid_fail(BRAID_EUNSUPPORTED, "%s: .npy has no element type %s", path, braid_dtype_name(tensor->dtype));
  size_t bytes;
  BRAID_TRY(braid_shape_bytes(&tensor->shape, tensor->dtype, &bytes));
  uint8_t head[192];
  size_t n = format_header(tensor, type, head);
  uint8_t *file = braid_malloc(n + bytes);
  if (!file) return braid_fail(BRAID_ENOMEM, "%s: no memory for %zu bytes", path, n + bytes);
  memcpy(file, head, n);
  memcpy(file + n, tensor->data, bytes);
  enum braid_status status = io_write_file(path, file, n + bytes);
  braid_free(file);
  return status;
}
