/* SPDX-License-Identifier: Apache-2.0
 * Maximum flow / minimum cut with integer capacities. */
#ifndef SCHEDULER_MAXFLOW_H
#define SCHEDULER_MAXFLOW_H

#include "braid/base.h"

struct flow;

BRAID_NODISCARD enum braid_status flow_create(int n_vertices, int max_arcs, struct flow **out);
void flow_destroy(struct flow **flow);
void flow_clear(struct flow *flow); /* no arcs again, to build the next network in the same memory */
/* At most `max_arcs` of them. From COST_NEVER on they are infinite; all others together must stay below it. */
void flow_arc(struct flow *flow, int from, int to, int64_t capacity);
/* The value of a maximum flow, COST_NEVER when it is infinite; call once after building. */
int64_t flow_run(struct flow *flow, int source, int sink);
/* After flow_run: is the vertex on the source side of the minimum cut with the smallest source side? */
bool flow_on_source_side(const struct flow *flow, int vertex);

#endif
