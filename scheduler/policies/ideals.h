/* SPDX-License-Identifier: Apache-2.0
 * Closed sets ("ideals") one by one, with what no schedule of them can beat. */
#ifndef SCHEDULER_POLICIES_IDEALS_H
#define SCHEDULER_POLICIES_IDEALS_H

#include "../internal.h"

struct ideals;
/* What is enumerated, by exact and by braid, which therefore is never behind exact with whole nodes. */
#define IDEALS_MAX 5000
#define IDEALS_NODES_MAX 512
BRAID_NODISCARD enum braid_status ideals_create(const struct stages *st, struct ideals **out);
void ideals_destroy(struct ideals **ideals);
/* Number of closed sets that the goal's fixed nodes leave, or `limit` if there are more. */
int64_t ideals_count(struct ideals *ideals, int64_t limit);
/* Calls `visit` for each that the goal admits and that may be better than *best_ns, which `visit` lowers. */
typedef enum braid_status ideals_visit_fn(void *ctx, const uint8_t *site, int64_t bound_ns);
BRAID_NODISCARD enum braid_status ideals_each(struct ideals *ideals, const int64_t *best_ns, ideals_visit_fn *visit,
                                              void *ctx);

/* Every closed set, for latency with every order of its cut branches (at most ORDERS_MAX), pipelined and serial, with
 * the goal's slices. *best (may be NULL on entry) and *best_ns are replaced by the best plan found if it is better.
 * *complete: false if there was too much to try; from a better start never less is tried. */
BRAID_NODISCARD enum braid_status exact_search(const struct stages *st, struct simulator *simulator,
                                               struct braid_plan **best, int64_t *best_ns, bool *complete);

#endif
