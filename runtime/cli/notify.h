/* SPDX-License-Identifier: Apache-2.0
 * Tells a service manager how the process is (sd_notify(3)): datagrams to the socket that NOTIFY_SOCKET names. Without
 * that variable nothing happens. */
#ifndef BRAID_CLI_NOTIFY_H
#define BRAID_CLI_NOTIFY_H

#include "cli.h"

/* "READY=1", "STOPPING=1", "STATUS=...": one or several lines. Failing is no reason not to go on. */
void notify_send(const char *format, ...) BRAID_PRINTF(1, 2);
/* How often WATCHDOG=1 is to be sent, half of what the manager allows (WATCHDOG_USEC, for this process); 0: not at all. */
int64_t notify_watchdog_ns(void);

#endif
