/* SPDX-License-Identifier: Apache-2.0
 * Status texts and the per-thread message of the last failure. */
#include "braid/base.h"

#include <stdio.h>
#include <string.h>

enum { MESSAGE_BYTES = 4096 };

static _Thread_local char message[MESSAGE_BYTES];

const char *braid_status_text(enum braid_status status) {
  static const char *const text[] = {
#define X(name, words) words,
      BRAID_STATUSES(X)
#undef X
  };
  return (size_t)status < sizeof text / sizeof *text ? text[status] : "unknown status";
}

enum braid_status braid_fail(enum braid_status status, const char *format, ...) {
  char next[MESSAGE_BYTES]; /* the arguments may point into `message` */
  va_list args;
  va_start(args, format);
  vsnprintf(next, sizeof next, format, args);
  va_end(args);
  memcpy(message, next, sizeof message);
  return status;
}

enum braid_status braid_fail_in(enum braid_status status, const char *format, ...) {
  char next[MESSAGE_BYTES];
  va_list args;
  va_start(args, format);
  vsnprintf(next, sizeof next, format, args);
  va_end(args);
  size_t n = strlen(next), rest = sizeof next - 1 - n;
  if (rest > 2) {
    size_t kept = strnlen(message, rest - 2);
    memcpy(next + n, ": ", 2);
    memcpy(next + n + 2, message, kept);
    next[n + 2 + kept] = '\0';
  }
  memcpy(message, next, sizeof message);
  return status;
}

const char *braid_error(void) { return message; }
