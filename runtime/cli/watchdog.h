/* SPDX-License-Identifier: Apache-2.0
 * What programs that serve until a signal comes do meanwhile: look around ten times a second, and tell the service
 * manager that they live, as long as the thread that serves does. */
#ifndef BRAID_CLI_WATCHDOG_H
#define BRAID_CLI_WATCHDOG_H

#include "cli.h"

enum { WATCHDOG_LOOK_NS = 100 * 1000 * 1000, WATCHDOG_STATUS_LOOKS = 10 };

struct watchdog {
  int64_t every_ns, sent_ns; /* every 0: nobody wants to know */
  uint64_t turns;
};
struct watchdog watchdog_of_manager(void);
/* `turns` of the serving thread: when they stand still nothing is said, and the manager acts. */
void watchdog_feed(struct watchdog *dog, uint64_t turns);
void watchdog_nap(void); /* a signal ends it */

#endif
