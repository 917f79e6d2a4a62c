/* SPDX-License-Identifier: Apache-2.0
 * hwloc's view of a machine. Private to runtime/pin. */
#ifndef PIN_TOPOLOGY_H
#define PIN_TOPOLOGY_H

#include "config.h"

#include "braid/runtime.h"

#include <hwloc.h>

enum { PIN_MAX_UNITS = 1 << 16 }; /* processors of a described machine, objects of a place, threads of a config */

struct braid_topology {
  hwloc_topology_t hw;
  bool foreign; /* described, not this machine */
};

/* A list of places, each a set of processors that is not empty. */
struct places {
  int n;
  hwloc_bitmap_t *cpuset;
  char missing[160]; /* the first thing asked for that this machine has not; empty: all is there */
};
/* "numa:0.core:0-2" -> the cores 0 to 2 of NUMA node 0, in hwloc's logical numbers. The grammar is in docs/pinning.md.
 * BRAID_EINVAL: not written like that. What the machine has not is left out (maybe all) and told in `missing`. */
enum braid_status places_find(const struct braid_topology *topology, const char *where, struct places *out);
/* Every core (or processor, where the machine knows no cores). */
enum braid_status places_of_cores(const struct braid_topology *topology, struct places *out);
void places_free(struct places *places);
/* The operating system's number of the NUMA node that holds the first of these processors; -1: unknown. */
int topology_numa_of(const struct braid_topology *topology, hwloc_const_bitmap_t cpuset);

/* Kinds of processors, 0 the fastest; none where all are alike or their ranking is not known. */
int kinds_count(const struct braid_topology *topology);
enum braid_status kinds_cpuset(const struct braid_topology *topology, int kind, hwloc_bitmap_t out);
const char *kinds_name(enum pin_kind kind);
/* "performance", "efficiency", or "mixed"; NULL: all processors are alike or these are of no known kind. Static text.
 */
enum braid_status kinds_name_of(const struct braid_topology *topology, hwloc_const_bitmap_t cpuset, const char **out);
/* Places with the fastest processors first, otherwise in the order that they have. */
enum braid_status kinds_sort(const struct braid_topology *topology, struct places *places);
/* Leaves the processors of this kind only, and the places that have some; *found false: there are none, and the places
 * are only sorted. */
enum braid_status kinds_choose(const struct braid_topology *topology, enum pin_kind kind, struct places *places,
                               bool *found);

#endif
