/* SPDX-License-Identifier: Apache-2.0
 * One line a message to stderr: "cloud: warning: text", or a JSON object for those who collect logs. A line is one
 * write(2), so that those of several threads and processes do not run into each other. */
#include "braid/base.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static atomic_int max_level = BRAID_LOG_INFO; /* relaxed: independent of all other data */
static atomic_bool as_json;                   /* relaxed, likewise */
static _Atomic(const char *) process_name;
static _Atomic(const struct braid_log_around *) around_lines;

void braid_log_set_level(enum braid_log_level level) { atomic_store_explicit(&max_level, (int)level, memory_order_relaxed); }

const char *braid_log_level_name(enum braid_log_level level) {
  static const char *const name[] = {"error", "warning", "info", "debug"};
  return (size_t)level < sizeof name / sizeof *name ? name[level] : NULL;
}

void braid_log_set_name(const char *name) { atomic_store(&process_name, name); }

void braid_log_set_json(bool json) { atomic_store_explicit(&as_json, json, memory_order_relaxed); }

void braid_log_set_around(const struct braid_log_around *around) { atomic_store(&around_lines, around); }

bool braid_log_is_json(void) { return atomic_load_explicit(&as_json, memory_order_relaxed); }

enum { TEXT_MAX = 2048, LINE_MAX_BYTES = 8192 };

/* Text that is built up to a bound. What does not fit whole is left out, so that no line ends inside an escape. */
struct line {
  size_t n;
  char text[LINE_MAX_BYTES];
};

enum { LINE_END = 4 }; /* kept free: "\"}\n" */

static bool put(struct line *line, const char *text) {
  size_t n = strlen(text);
  if (line->n + n > sizeof line->text - LINE_END) return false;
  memcpy(line->text + line->n, text, n);
  line->n += n;
  return true;
}

/* How long the UTF-8 sequence at `c` is; 0: none begins there. Peers name things, and JSON must be UTF-8. */
static int utf8_length(const unsigned char *c) {
  if (c[0] < 0x80) return 1;
  int n = c[0] >= 0xf0 && c[0] < 0xf5 ? 4 : c[0] >= 0xe0 && c[0] < 0xf0 ? 3 : c[0] >= 0xc2 && c[0] < 0xe0 ? 2 : 0;
  for (int i = 1; i < n; i++)
    if ((c[i] & 0xc0) != 0x80) return 0;
  if ((c[0] == 0xe0 && c[1] < 0xa0) || (c[0] == 0xed && c[1] > 0x9f)) return 0; /* too long a form; surrogates */
  if ((c[0] == 0xf0 && c[1] < 0x90) || (c[0] == 0xf4 && c[1] > 0x8f)) return 0;
  return n;
}

/* The inside of a JSON string; bytes that are no UTF-8 are read as Latin-1. */
static void put_escaped(struct line *line, const char *text) {
  bool room = true;
  for (const unsigned char *c = (const unsigned char *)text; *c && room;) {
    char one[8];
    int n = utf8_length(c);
    if (*c == '"' || *c == '\\')
      snprintf(one, sizeof one, "\\%c", *c);
    else if (*c < 0x20 || *c == 0x7f || n == 0)
      snprintf(one, sizeof one, "\\u%04x", *c);
    else
      snprintf(one, sizeof one, "%.*s", n, (const char *)c);
    room = put(line, one);
    c += n > 0 ? n : 1;
  }
}

static void put_member(struct line *line, const char *key, const char *text) {
  put(line, line->n ? ",\"" : "{\"");
  put_escaped(line, key);
  put(line, "\":\"");
  put_escaped(line, text);
  put(line, "\"");
}

static void put_number(struct line *line, const char *key, int64_t number) {
  char digits[32];
  put(line, ",\"");
  put_escaped(line, key);
  snprintf(digits, sizeof digits, "\":%lld", (long long)number);
  put(line, digits);
}

/* RFC 3339, UTC, milliseconds. */
static void put_time(struct line *line) {
  struct timespec now;
  struct tm utc;
  char date[64], text[96];
  clock_gettime(CLOCK_REALTIME, &now);
  gmtime_r(&now.tv_sec, &utc);
  strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &utc);
  snprintf(text, sizeof text, "%s.%03dZ", date, (int)(now.tv_nsec / 1000000));
  put_member(line, "time", text);
}

enum { FIELDS_MAX_BYTES = 2048 };

/* The text, which may be any length, comes last and takes what room the fields leave. */
static void build_json(struct line *line, enum braid_log_level level, const char *role, const char *kind,
                       const struct braid_log_field *field, int n_fields, const char *text) {
  put_time(line);
  put_member(line, "level", braid_log_level_name(level));
  put_member(line, "role", role);
  put_member(line, "event", kind);
  for (int i = 0; i < n_fields && line->n < FIELDS_MAX_BYTES; i++) {
    if (!field[i].text)
      put_number(line, field[i].key, field[i].number);
    else if (strlen(field[i].text) < FIELDS_MAX_BYTES / 8)
      put_member(line, field[i].key, field[i].text);
  }
  put(line, ",\"text\":\"");
  put_escaped(line, text);
  memcpy(line->text + line->n, "\"}", 2);
  line->n += 2;
}

static void build_text(struct line *line, enum braid_log_level level, const char *role, const char *text) {
  put(line, role);
  put(line, ": ");
  if (level != BRAID_LOG_INFO) {
    put(line, braid_log_level_name(level));
    put(line, ": ");
  }
  put(line, text);
}

static void write_line(const char *text, size_t n) {
  const struct braid_log_around *around = atomic_load(&around_lines);
  if (around) around->before();
  if (write(STDERR_FILENO, text, n) < 0) n = 0; /* nowhere left to complain */
  if (around) around->after();
}

void braid_log_line(const char *text) {
  struct line line;
  line.n = 0;
  for (const char *c = text; *c && line.n + 1 < sizeof line.text; c++) line.text[line.n++] = *c;
  line.text[line.n++] = '\n';
  write_line(line.text, line.n);
}

BRAID_PRINTF(5, 0)
static void say(enum braid_log_level level, const char *kind, const struct braid_log_field *field, int n_fields,
                const char *format, va_list args) {
  if ((int)level > atomic_load_explicit(&max_level, memory_order_relaxed)) return;
  char text[TEXT_MAX];
  struct line line;
  line.n = 0;
  const char *name = atomic_load(&process_name), *role = name ? name : "braid";
  if (vsnprintf(text, sizeof text, format, args) < 0) return;
  if (braid_log_is_json())
    build_json(&line, level, role, kind, field, n_fields, text);
  else
    build_text(&line, level, role, text);
  line.text[line.n++] = '\n';
  write_line(line.text, line.n);
}

void braid_log(enum braid_log_level level, const char *format, ...) {
  va_list args;
  va_start(args, format);
  say(level, "log", NULL, 0, format, args);
  va_end(args);
}

void braid_log_event(enum braid_log_level level, const char *kind, const struct braid_log_field *field, int n_fields,
                     const char *format, ...) {
  va_list args;
  va_start(args, format);
  say(level, kind, field, n_fields, format, args);
  va_end(args);
}
