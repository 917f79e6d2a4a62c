/* SPDX-License-Identifier: Apache-2.0
 * Orders of branches as ranks of nodes. */
#ifndef SCHEDULER_POLICIES_ORDERS_H
#define SCHEDULER_POLICIES_ORDERS_H

#include "../internal.h"

#define ORDERS_MAX 120 /* permutations of the branches of all cut blocks together; beyond, only the first ones */

/* Calls `visit` with ranks under which the branches of every block that `site` cuts (entry on the edge, exit in the
 * cloud; nested ones as well) are taken one after the other, in every order of them, at most `most`; blocks inside
 * branches that are not cut keep the order of ids. A block's entry gets its turn on the wire with the first branch that
 * reads it in the cloud. `rank` is the caller's scratch of n. Stops when `visit` fails. */
typedef enum braid_status orders_visit_fn(void *ctx, const int *rank);
BRAID_NODISCARD enum braid_status orders_each(const struct braid_graph *graph, const uint8_t *site, int most, int *rank,
                                              orders_visit_fn *visit, void *ctx);

/* Turns the ranks of the nodes at `which` round among themselves: its tasks and sends then go in the opposite order,
 * the other site's as before. `by_rank` is the caller's scratch of n. */
void orders_turn(const uint8_t *site, int n, enum braid_site which, int *by_rank, int *rank);

#endif
