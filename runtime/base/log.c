/* SPDX-License-Identifier: Apache-2.0
 * One line a message to stderr: "cloud: warning: text". */
#include "braid/base.h"

#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

static atomic_int max_level = BRAID_LOG_INFO; /* relaxed: independent of all other data */
static _Atomic(const char *) process_name;

void braid_log_set_level(enum braid_log_level level) { atomic_store_explicit(&max_level, (int)level, memory_order_relaxed); }

void braid_log_set_name(const char *name) { atomic_store(&process_name, name); }

void braid_log(enum braid_log_level level, const char *format, ...) {
  static const char *const label[] = {"error: ", "warning: ", "", "debug: "};
  if ((int)level > atomic_load_explicit(&max_level, memory_order_relaxed)) return;
  char line[2048];
  const char *name = atomic_load(&process_name);
  int n = snprintf(line, sizeof line - 1, "%s%s%s", name ? name : "braid", ": ", label[level]);
  va_list args;
  va_start(args, format);
  int m = vsnprintf(line + n, sizeof line - 1 - (size_t)n, format, args);
  va_end(args);
  size_t length = (size_t)n + (m > 0 ? (size_t)m : 0);
  if (length > sizeof line - 2) length = sizeof line - 2;
  line[length] = '\n';
  if (write(STDERR_FILENO, line, length + 1) < 0) return; /* nowhere left to complain */
}
