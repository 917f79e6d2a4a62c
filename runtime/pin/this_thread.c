/* SPDX-License-Identifier: Apache-2.0
 * Binding the calling thread to processors in list syntax ("0-1,3"), and its new memory to a NUMA node. */
#include "braid/runtime.h"

#include <linux/mempolicy.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

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

/* Preferred, not required: a full node costs speed, not the process. */
static bool prefer_memory(int numa) {
  enum { WORD_BITS = 8 * (int)sizeof(unsigned long), MAX_NODES = 1024 };
  unsigned long nodes[MAX_NODES / WORD_BITS] = {0};
  if (numa >= MAX_NODES) return false;
  nodes[numa / WORD_BITS] = 1UL << (numa % WORD_BITS);
  return syscall(SYS_set_mempolicy, MPOL_PREFERRED, nodes, (unsigned long)MAX_NODES) == 0;
}

static bool bind_to_cpus(const char *cpus) {
  cpu_set_t set;
  return parse_cpus(cpus, &set) && sched_setaffinity(0, sizeof set, &set) == 0;
}

void braid_pin_this_thread(const struct braid_pin_thread *where) {
  static atomic_bool warned; /* relaxed: at most one line too many */
  bool bound = !where->cpuset || bind_to_cpus(where->cpuset), placed = where->numa < 0 || prefer_memory(where->numa);
  if ((bound && placed) || atomic_exchange_explicit(&warned, true, memory_order_relaxed)) return;
  if (!bound)
    braid_log(BRAID_LOG_WARN, "%s cannot be bound to processors %s; it runs wherever it is put", where->name,
              where->cpuset);
  else
    braid_log(BRAID_LOG_WARN, "%s cannot have its memory on NUMA node %d; it goes wherever it is put", where->name,
              where->numa);
}
