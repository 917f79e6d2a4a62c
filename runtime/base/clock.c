/* SPDX-License-Identifier: Apache-2.0
 * The monotonic clock behind the replaceable interface. */
#include "braid/base.h"

#include <time.h>

static int64_t monotonic_now_ns(void *ctx) {
  (void)ctx;
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

struct braid_clock braid_clock_monotonic(void) { return (struct braid_clock){monotonic_now_ns, NULL}; }
