/* SPDX-License-Identifier: Apache-2.0
 * The parts of cic that are not for everybody: see braid_cic in braid/scheduler.h. */
#ifndef SCHEDULER_CIC_H
#define SCHEDULER_CIC_H

#include "../region.h"

/* Fills in_span. */
BRAID_NODISCARD enum braid_status cic_divide(struct braid_cic *cic);

/* The candidate with the smallest period. */
BRAID_NODISCARD enum braid_status cic_best_period(const struct stages *stages, uint8_t *site);

#endif
