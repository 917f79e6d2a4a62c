/* SPDX-License-Identifier: Apache-2.0
 * Maximum flow / minimum cut with integer capacities (Dinic). */
#ifndef SCHEDULER_MAXFLOW_H
#define SCHEDULER_MAXFLOW_H

#include "braid/base.h"

struct flow;

BRAID_NODISCARD enum braid_status flow_create(int n_vertices, int max_arcs, struct flow **out);
void flow_destroy(struct flow **flow);
void flow_clear(struct flow *flow); /* no arcs again, to build the next network in the same memory */
/* At most `max_arcs` of them. Sums of capacities out of a vertex must stay inside int64. */
void flow_arc(struct flow *flow, int from, int to, int64_t capacity);
/* The value of a maximum flow; call once after building. */
int64_t flow_run(struct flow *flow, int source, int sink);
/* After flow_run: is the vertex on the source side of the minimum cut with the smallest source side? */
bool flow_on_source_side(const struct flow *flow, int vertex);

#endif
