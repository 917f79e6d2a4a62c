/* SPDX-License-Identifier: Apache-2.0
 * The optimal cuts at every rate of the uplink: the lower envelope of what closed sets cost (breakpoints.c makes the
 * table of it). */
#ifndef SCHEDULER_ENVELOPE_H
#define SCHEDULER_ENVELOPE_H

#include "region.h"

struct envelope {
  const struct stages *st;
  struct region *region;
  int64_t *edge, *cloud, *up, *down; /* scaled for one cut */
  int64_t *bytes;                    /* of tensors */
  int *free_node;
  bool nested, one_result; /* one_result: what comes down is the same for all sets but one */
  int64_t total_ns, total_bytes;
  struct cut_line *line; /* `set` is the index in `site` */
  int *next;             /* [capacity] by ascending bytes; END */
  uint8_t *site;         /* [capacity][n] */
  int n_lines, capacity, n_built;
};

/* `st`: stages at which the uplink costs what does not depend on its rate; outlives the envelope. To be closed after a
 * failure as well. */
BRAID_NODISCARD enum braid_status envelope_open(struct envelope *e, const struct stages *st);
void envelope_close(struct envelope *e);
/* All optimal sets: e->line[0..*n) by ascending bytes. */
BRAID_NODISCARD enum braid_status envelope_find(struct envelope *e, int *n);
/* [n] the sites of a line's set. */
const uint8_t *envelope_site(const struct envelope *e, const struct cut_line *line);
/* Is every node at least as fast in the cloud? */
bool envelope_premise_holds(const struct stages *st);

#endif
