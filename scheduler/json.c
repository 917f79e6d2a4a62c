/* SPDX-License-Identifier: Apache-2.0
 * Reading and printing JSON with jansson. */
#include "json.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* What the parser quotes may hold a peer's bytes: nothing unprintable reaches a terminal. */
static void make_printable(char *text) {
  for (; *text; text++)
    if ((unsigned char)*text < 0x20 || (unsigned char)*text >= 0x7f) *text = '?';
}

enum braid_status json_parse(const char *text, size_t size, int n_nodes, const char *what, json_t **out) {
  size_t limit = ((size_t)1 << 20) + (size_t)n_nodes * 1024;
  if (size > limit) return braid_fail(BRAID_EFORMAT, "%s: %zu bytes of JSON, at most %zu are read", what, size, limit);
  json_error_t error = {0};
  json_t *root = json_loadb(text, size, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
  if (!root) {
    if (json_error_code(&error) == json_error_out_of_memory) return braid_fail(BRAID_ENOMEM, "%s: reading JSON", what);
    make_printable(error.text);
    return braid_fail(BRAID_EFORMAT, "%s: line %d, column %d: %s", what, error.line, error.column, error.text);
  }
  if (!json_is_object(root)) {
    json_decref(root);
    return braid_fail(BRAID_EFORMAT, "%s: not a JSON object", what);
  }
  *out = root;
  return BRAID_OK;
}

static const json_t *member(const json_t *object, const char *key) {
  const json_t *value = json_object_get(object, key);
  return json_is_null(value) ? NULL : value;
}

enum braid_status json_int_in(const json_t *value, const char *where, size_t index, int min, int max, int *out) {
  char place[64];
  if (index == SIZE_MAX)
    snprintf(place, sizeof place, "\"%s\"", where);
  else
    snprintf(place, sizeof place, "\"%s\"[%zu]", where, index);
  if (!json_is_integer(value)) return braid_fail(BRAID_EFORMAT, "%s is not an integer", place);
  json_int_t i = json_integer_value(value);
  if (i < min || i > max)
    return braid_fail(BRAID_EFORMAT, "%s is %lld, it must be in %d..%d", place, (long long)i, min, max);
  *out = (int)i;
  return BRAID_OK;
}

enum braid_status json_get_int(const json_t *object, const char *key, int min, int max, int *value) {
  const json_t *v = member(object, key);
  return v ? json_int_in(v, key, SIZE_MAX, min, max, value) : BRAID_OK;
}

enum braid_status json_get_bool(const json_t *object, const char *key, bool *value) {
  const json_t *v = member(object, key);
  if (!v) return BRAID_OK;
  if (!json_is_boolean(v)) return braid_fail(BRAID_EFORMAT, "\"%s\" is neither true nor false", key);
  *value = json_is_true(v);
  return BRAID_OK;
}

enum braid_status json_get_size(const json_t *object, const char *key, size_t *value) {
  const json_t *v = member(object, key);
  if (!v) return BRAID_OK;
  if (!json_is_integer(v) || json_integer_value(v) < 0)
    return braid_fail(BRAID_EFORMAT, "\"%s\" is not a number of bytes", key);
  *value = (size_t)json_integer_value(v);
  return BRAID_OK;
}

enum braid_status json_get_real(const json_t *object, const char *key, double min, double max, double *value) {
  const json_t *v = member(object, key);
  if (!v) return BRAID_OK;
  if (!json_is_number(v)) return braid_fail(BRAID_EFORMAT, "\"%s\" is not a number", key);
  double x = json_number_value(v);
  if (!(x >= min && x <= max)) return braid_fail(BRAID_EFORMAT, "\"%s\" is %g, it must be in %g..%g", key, x, min, max);
  *value = x;
  return BRAID_OK;
}

enum braid_status json_get_ns(const json_t *object, const char *key, double unit_ns, int64_t max_ns, int64_t *ns) {
  double value = -1;
  BRAID_TRY(json_get_real(object, key, 0, (double)max_ns / unit_ns, &value));
  if (value >= 0) *ns = llround(value * unit_ns);
  return BRAID_OK;
}

enum braid_status json_get_text(const json_t *object, const char *key, size_t max, const char **value) {
  const json_t *v = member(object, key);
  if (!v) return BRAID_OK;
  if (!json_is_string(v)) return braid_fail(BRAID_EFORMAT, "\"%s\" is not a string", key);
  const char *s = json_string_value(v);
  size_t length = json_string_length(v);
  if (length > max) return braid_fail(BRAID_EFORMAT, "\"%s\" has %zu bytes, at most %zu are allowed", key, length, max);
  for (size_t i = 0; i < length; i++)
    if ((unsigned char)s[i] < 0x20 || s[i] == 0x7f)
      return braid_fail(BRAID_EFORMAT, "\"%s\" holds a control character", key);
  *value = s;
  return BRAID_OK;
}

bool json_put(json_t *object, const char *key, json_t *value) {
  return json_object_set_new(object, key, value) == 0;
}

bool json_push(json_t *array, json_t *value) {
  return json_array_append_new(array, value) == 0;
}

enum braid_status json_print(json_t *root, const char *what, char **text) {
  char *printed = root ? json_dumps(root, JSON_COMPACT | JSON_REAL_PRECISION(15)) : NULL;
  json_decref(root);
  if (!printed) return braid_fail(BRAID_ENOMEM, "%s: writing JSON", what);
  *text = printed;
  return BRAID_OK;
}
