/* SPDX-License-Identifier: Apache-2.0
 * hwloc's view of a machine. Private to runtime/pin. */
#ifndef PIN_TOPOLOGY_H
#define PIN_TOPOLOGY_H

#include "braid/runtime.h"

#include <hwloc.h>

enum { PIN_MAX_UNITS = 1 << 16 }; /* processors of a described machine, objects of a place, threads of a config */

struct braid_topology {
  hwloc_topology_t hw;
  bool foreign; /* described, not this machine */
};

/* A list of places, each a set of processors. */
struct places {
  int n;
  hwloc_bitmap_t *cpuset;
};
/* "numa:0.core:0-2" -> the cores 0 to 2 of NUMA node 0, in hwloc's logical numbers. The grammar is in docs/pinning.md.
 */
enum braid_status places_find(const struct braid_topology *topology, const char *where, struct places *out);
/* Every core (or processor, where the machine knows no cores). */
enum braid_status places_of_cores(const struct braid_topology *topology, struct places *out);
void places_free(struct places *places);
/* The operating system's number of the NUMA node that holds the first of these processors; -1: unknown. */
int topology_numa_of(const struct braid_topology *topology, hwloc_const_bitmap_t cpuset);

#endif
