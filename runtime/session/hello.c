/* SPDX-License-Identifier: Apache-2.0
 * HELLO as JSON. */
#include "session/hello.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

enum { HELLO_MAX_BYTES = 16 << 10, MAX_THREADS = 4096 };
#define FILE_MAX_BYTES (INT64_C(1) << 40) /* whoever stores it has a limit of its own */

static bool is_hex(const char *text) {
  return text[strspn(text, "0123456789abcdef")] == '\0';
}

bool hello_is_hash(const char *text) {
  return strlen(text) == 64 && is_hex(text);
}

enum braid_status hello_to_json(const struct hello *hello, char **text) {
  json_t *json = json_pack("{s:i, s:s, s:s, s:i, s:b, s:s}", "version", hello->version, "model", hello->model, "hash",
                           hello->hash, "threads", hello->threads, "profile", hello->wants_profile, "run", hello->run);
  if (json && hello->trace[0]) json_object_set_new(json, "trace", json_string(hello->trace));
  json_t *file = hello->file_bytes == 0
                     ? json_object()
                     : json_pack("{s:I, s:s, s:i}", "file_bytes", (json_int_t)hello->file_bytes, "file_sha256",
                                 hello->file_sha256, "batch", hello->batch);
  bool whole = json && file && json_object_update(json, file) == 0;
  char *dumped = whole ? json_dumps(json, JSON_COMPACT) : NULL;
  json_decref(json);
  json_decref(file);
  *text = dumped ? braid_strdup(dumped) : NULL;
  free(dumped);
  if (!*text) return braid_fail(BRAID_EINVAL, "model name '%s' cannot be sent (is it UTF-8?)", hello->model);
  return BRAID_OK;
}

/* A string member into a buffer of `size`; printable, since it will be shown. */
static enum braid_status take_string(const json_t *json, const char *key, char *buf, size_t size) {
  const char *text = json_string_value(json_object_get(json, key));
  if (!text) return braid_fail(BRAID_EPROTO, "HELLO without \"%s\"", key);
  size_t length = strlen(text);
  if (length == 0 || length >= size)
    return braid_fail(BRAID_EPROTO, "HELLO: \"%s\" has %zu bytes, 1 to %zu are allowed", key, length, size - 1);
  for (size_t i = 0; i < length; i++)
    if ((unsigned char)text[i] < ' ' || text[i] == 0x7f)
      return braid_fail(BRAID_EPROTO, "HELLO: \"%s\" has control characters", key);
  memcpy(buf, text, length + 1);
  return BRAID_OK;
}

static enum braid_status take_number(const json_t *json, const char *key, int64_t min, int64_t max, int64_t *out) {
  const json_t *value = json_object_get(json, key);
  if (!json_is_integer(value)) return braid_fail(BRAID_EPROTO, "HELLO without a number \"%s\"", key);
  *out = json_integer_value(value);
  if (*out >= min && *out <= max) return BRAID_OK;
  return braid_fail(BRAID_EPROTO, "HELLO: \"%s\" is %lld, %lld to %lld are allowed", key, (long long)*out,
                    (long long)min, (long long)max);
}

static enum braid_status take_int(const json_t *json, const char *key, int min, int max, int *out) {
  int64_t n = 0;
  BRAID_TRY(take_number(json, key, min, max, &n));
  *out = (int)n;
  return BRAID_OK;
}

/* All of it or nothing: what can be fetched is checked as what it must be. */
static enum braid_status take_file(const json_t *json, struct hello *hello) {
  int64_t bytes = 0;
  if (!json_object_get(json, "file_bytes")) return BRAID_OK;
  BRAID_TRY(take_number(json, "file_bytes", 1, FILE_MAX_BYTES, &bytes));
  BRAID_TRY(take_string(json, "file_sha256", hello->file_sha256, sizeof hello->file_sha256));
  if (!hello_is_hash(hello->file_sha256))
    return braid_fail(BRAID_EPROTO, "HELLO: \"file_sha256\" is not 64 digits of 0-9 and a-f");
  if (!hello_is_hash(hello->hash))
    return braid_fail(BRAID_EPROTO, "HELLO offers a file; then \"hash\" is 64 digits of 0-9 and a-f");
  BRAID_TRY(take_int(json, "batch", 1, HELLO_MAX_BATCH, &hello->batch));
  hello->file_bytes = (uint64_t)bytes;
  return BRAID_OK;
}

static enum braid_status take_trace(const json_t *json, struct hello *hello) {
  BRAID_TRY(take_string(json, "trace", hello->trace, sizeof hello->trace));
  if (is_hex(hello->trace)) return BRAID_OK;
  return braid_fail(BRAID_EPROTO, "HELLO: \"trace\" is not made of hex digits");
}

/* It becomes part of file names. */
static enum braid_status take_run(const json_t *json, char run[BRAID_RUN_CHARS + 1]) {
  const json_t *value = json_object_get(json, "run");
  const char *text = json_string_value(value);
  if (!value || (text && !*text)) return BRAID_OK;
  if (!text || strlen(text) != BRAID_RUN_CHARS || !is_hex(text))
    return braid_fail(BRAID_EPROTO, "HELLO: \"run\" is not %d hexadecimal digits", BRAID_RUN_CHARS);
  memcpy(run, text, BRAID_RUN_CHARS + 1);
  return BRAID_OK;
}

static enum braid_status take_all(const json_t *json, struct hello *hello) {
  if (!json_is_object(json)) return braid_fail(BRAID_EPROTO, "HELLO is not a JSON object");
  BRAID_TRY(take_int(json, "version", 0, INT32_MAX, &hello->version));
  BRAID_TRY(take_string(json, "model", hello->model, sizeof hello->model));
  BRAID_TRY(take_string(json, "hash", hello->hash, sizeof hello->hash));
  BRAID_TRY(take_int(json, "threads", 1, MAX_THREADS, &hello->threads));
  BRAID_TRY(take_run(json, hello->run));
  const json_t *profile = json_object_get(json, "profile");
  hello->wants_profile = !json_is_false(profile);
  if (json_object_get(json, "trace")) BRAID_TRY(take_trace(json, hello));
  return take_file(json, hello);
}

enum braid_status hello_from_json(const char *text, size_t size, struct hello *hello) {
  memset(hello, 0, sizeof *hello);
  if (size == 0 || size > HELLO_MAX_BYTES) return braid_fail(BRAID_EPROTO, "HELLO of %zu bytes", size);
  json_error_t error;
  json_t *json = json_loadb(text, size, JSON_REJECT_DUPLICATES, &error);
  if (!json) return braid_fail(BRAID_EPROTO, "HELLO is not JSON: line %d: %s", error.line, error.text);
  enum braid_status status = take_all(json, hello);
  json_decref(json);
  return status;
}
