/* SPDX-License-Identifier: Apache-2.0
 * Minimum cuts of a part of the network, the sites of everything else being given; and lower hulls of what they cost.
 */
#ifndef SCHEDULER_REGION_H
#define SCHEDULER_REGION_H

#include "cut.h"

struct region;

BRAID_NODISCARD enum braid_status region_create(const struct braid_graph *graph, struct region **out);
void region_destroy(struct region **region);
/* Gives the free nodes (ascending) the sites that minimise E + U + C + D; all others keep theirs. A closed set on the
 * edge stays closed: no free node may read a cloud node or be read by an edge node among the others. Costs as for
 * cutter_run with weights 1. */
BRAID_NODISCARD enum braid_status region_cut(struct region *region, const struct cut_costs *costs, const int *free_node,
                                             int n_free, uint8_t *site);

/* What a set costs when a byte costs `lambda` ns: ns + lambda * bytes. */
struct cut_line {
  int64_t ns, bytes;
  int set; /* whose */
};
/* Moves the lines that are the lowest for some lambda > 0 to the front, by ascending bytes (so descending ns), and
 * returns their number. */
int lower_hull(struct cut_line *line, int n);

#endif
