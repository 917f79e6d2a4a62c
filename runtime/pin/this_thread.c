/* SPDX-License-Identifier: Apache-2.0
 * Binding the calling thread to processors in list syntax ("0-1,3"). */
#include "braid/runtime.h"

#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

static bool parse_cpus(const char *text, cpu_set_t *set) {
  CPU_ZERO(set);
  for (const char *at = text; *at;) {
    char *end;
    long first = strtol(at, &end, 10), last = first;
    if (end == at) return false;
    if (*end == '-') {
      at = end + 1;
      last = strtol(at, &end, 10);
      if (end == at) return false;
    }
    if (first < 0 || last < first || last >= CPU_SETSIZE || (*end && *end != ',')) return false;
    for (long cpu = first; cpu <= last; cpu++) CPU_SET((size_t)cpu, set);
    at = *end ? end + 1 : end;
  }
  return CPU_COUNT(set) > 0;
}

void braid_pin_this_thread(const struct braid_pin_thread *where) {
  static atomic_bool warned; /* relaxed: at most one line too many */
  cpu_set_t set;
  if (!where->cpuset) return;
  if (parse_cpus(where->cpuset, &set) && sched_setaffinity(0, sizeof set, &set) == 0) return;
  if (!atomic_exchange_explicit(&warned, true, memory_order_relaxed))
    braid_log(BRAID_LOG_WARN, "%s cannot be bound to processors %s; it runs wherever it is put", where->name,
              where->cpuset);
}
