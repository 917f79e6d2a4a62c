/* SPDX-License-Identifier: Apache-2.0 */
#include "watchdog.h"

#include "notify.h"

#include <time.h>

struct watchdog watchdog_of_manager(void) {
  return (struct watchdog){.every_ns = notify_watchdog_ns()};
}

void watchdog_feed(struct watchdog *dog, uint64_t turns) {
  struct braid_clock clock = braid_clock_monotonic();
  int64_t now_ns = braid_now_ns(&clock);
  if (dog->every_ns == 0 || now_ns - dog->sent_ns < dog->every_ns || turns == dog->turns) return;
  dog->sent_ns = now_ns;
  dog->turns = turns;
  notify_send("WATCHDOG=1");
}

void watchdog_nap(void) {
  nanosleep(&(struct timespec){.tv_nsec = WATCHDOG_LOOK_NS}, NULL);
}
