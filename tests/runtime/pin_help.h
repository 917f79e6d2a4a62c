/* SPDX-License-Identifier: Apache-2.0
 * What the tests of pinning share. */
#ifndef TESTS_RUNTIME_PIN_HELP_H
#define TESTS_RUNTIME_PIN_HELP_H

#include "braid/runtime.h"

#include <criterion/criterion.h>

/* Plans again and again, the n-th allocation failing in the n-th attempt, until none is left to fail; how many there
 * were. A plan that fails says so and leaves nothing. */
static inline long plan_with_failing_allocations(const char *machine, const char *config) {
  enum braid_status status = BRAID_ENOMEM;
  long n = 1;
  for (; status != BRAID_OK; n++) {
    struct braid_topology *topology = NULL;
    struct braid_pin *pin = NULL;
    cr_assert_eq(braid_topology_open(machine, &topology), BRAID_OK, "%s", braid_error());
    braid_alloc_fail_at(n);
    status = braid_pin_plan(topology, config, 0, &pin);
    braid_alloc_fail_at(0);
    cr_assert(status == BRAID_OK || (status == BRAID_ENOMEM && !pin), "%s", braid_error());
    braid_pin_destroy(&pin);
    braid_topology_close(&topology);
  }
  return n;
}

#endif
