/* SPDX-License-Identifier: Apache-2.0
 * The best single cut by branch and bound, for values that no weighted minimum cut finds. */
#ifndef SCHEDULER_BEST_CUT_H
#define SCHEDULER_BEST_CUT_H

#include "internal.h"

/* Looks for closed sets of a value (stages_value_ns) below *best_ns, and leaves the best in `site` [n] and *best_ns.
 * *complete: there is none better; else the search was given up in a block after `steps` decisions. */
BRAID_NODISCARD enum braid_status best_cut_search(const struct stages *stages, int steps, int64_t *best_ns,
                                                  uint8_t *site, bool *complete);
#define BEST_CUT_STEPS 100000 /* a few ms */

#endif
