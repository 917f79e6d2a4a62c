/* SPDX-License-Identifier: Apache-2.0
 * Those who were not invited: a process that goes on throwing bytes, messages and half-honest sessions at a cloud,
 * which may be gone or come back at any time. */
#ifndef TESTS_INTEGRATION_CHAOS_GUESTS_H
#define TESTS_INTEGRATION_CHAOS_GUESTS_H

#include "session_rig.h"

/* Never returns; to be called in a process of its own, forked while there was no thread. Waits for the address
 * ("tcp://IPV4:PORT", 128 bytes) on `go`. Says with seeds only what anybody could say; `graph` and `plan` are what the
 * cloud serves as "net". */
void chaos_guest(int go, uint64_t seed, const struct braid_graph *graph, const struct braid_plan *plan)
    __attribute__((noreturn));

#endif
