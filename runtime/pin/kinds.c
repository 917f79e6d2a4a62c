/* SPDX-License-Identifier: Apache-2.0
 * Hybrid processors: which cores are the fast ones. hwloc ranks the kinds of processors that the system tells apart; a
 * config speaks of the first in that ranking (performance) and of all the others (efficiency). */
#include "topology.h"

/* Kinds that hwloc cannot rank are no help in choosing: the machine then counts as uniform. */
int kinds_count(const struct braid_topology *topology) {
  int n = hwloc_cpukinds_get_nr(topology->hw, 0), rank = -1;
  if (n < 2 || hwloc_cpukinds_get_info(topology->hw, 0, NULL, &rank, NULL, NULL, 0) || rank < 0) return 0;
  return n;
}

/* hwloc numbers ranked kinds upwards from the most economical one; here 0 is the fastest. */
enum braid_status kinds_cpuset(const struct braid_topology *topology, int kind, hwloc_bitmap_t out) {
  unsigned index = (unsigned)(kinds_count(topology) - 1 - kind);
  if (hwloc_cpukinds_get_info(topology->hw, index, out, NULL, NULL, NULL, 0))
    return braid_fail(BRAID_ENOMEM, "no memory for a kind of processor");
  return BRAID_OK;
}

const char *kinds_name(enum pin_kind kind) {
  return kind == PIN_KIND_PERFORMANCE ? "performance" : kind == PIN_KIND_EFFICIENCY ? "efficiency" : "any";
}

/* The fastest kind among these processors (kinds_count: none of them is of a known kind) and whether all are of it. */
static enum braid_status look_at(const struct braid_topology *topology, hwloc_const_bitmap_t cpuset, int *fastest,
                                 bool *pure) {
  hwloc_bitmap_t of_kind = hwloc_bitmap_alloc();
  enum braid_status status = of_kind ? BRAID_OK : braid_fail(BRAID_ENOMEM, "no memory for a kind of processor");
  int n = kinds_count(topology);
  *fastest = n;
  *pure = false;
  for (int kind = 0; kind < n && *fastest == n && status == BRAID_OK; kind++) {
    status = kinds_cpuset(topology, kind, of_kind);
    if (status != BRAID_OK || !hwloc_bitmap_intersects(of_kind, cpuset)) continue;
    *fastest = kind;
    *pure = hwloc_bitmap_isincluded(cpuset, of_kind);
  }
  hwloc_bitmap_free(of_kind);
  return status;
}

enum braid_status kinds_name_of(const struct braid_topology *topology, hwloc_const_bitmap_t cpuset, const char **out) {
  int fastest = 0;
  bool pure = false;
  BRAID_TRY(look_at(topology, cpuset, &fastest, &pure));
  *out = NULL;
  if (fastest < kinds_count(topology))
    *out = fastest > 0 ? kinds_name(PIN_KIND_EFFICIENCY) : pure ? kinds_name(PIN_KIND_PERFORMANCE) : "mixed";
  return BRAID_OK;
}

/* ------------------------------------------------------------------------------------------------ choosing */

enum braid_status kinds_sort(const struct braid_topology *topology, struct places *places) {
  int n = kinds_count(topology), sorted = 0;
  if (n == 0 || places->n < 2) return BRAID_OK;
  int *kind = braid_calloc((size_t)places->n, sizeof *kind);
  hwloc_bitmap_t *cpuset = braid_calloc((size_t)places->n, sizeof(hwloc_bitmap_t));
  enum braid_status status = kind && cpuset ? BRAID_OK : braid_fail(BRAID_ENOMEM, "no memory to sort places");
  bool pure;
  for (int i = 0; i < places->n && status == BRAID_OK; i++)
    status = look_at(topology, places->cpuset[i], &kind[i], &pure);
  for (int k = 0; k <= n && status == BRAID_OK; k++)
    for (int i = 0; i < places->n; i++)
      if (kind[i] == k) cpuset[sorted++] = places->cpuset[i];
  for (int i = 0; i < places->n && status == BRAID_OK; i++) places->cpuset[i] = cpuset[i];
  braid_free(cpuset);
  braid_free(kind);
  return status;
}

/* The union of the kinds that a config's word means. */
static enum braid_status wanted_cpus(const struct braid_topology *topology, enum pin_kind kind, hwloc_bitmap_t wanted,
                                     hwloc_bitmap_t one) {
  if (!wanted || !one) return braid_fail(BRAID_ENOMEM, "no memory for a kind of processor");
  int first = kind == PIN_KIND_EFFICIENCY, end = first ? kinds_count(topology) : 1;
  for (int i = first; i < end; i++) {
    BRAID_TRY(kinds_cpuset(topology, i, one));
    if (hwloc_bitmap_or(wanted, wanted, one)) return braid_fail(BRAID_ENOMEM, "no memory for a kind of processor");
  }
  return BRAID_OK;
}

static enum braid_status keep_only(struct places *places, hwloc_const_bitmap_t wanted) {
  int kept = 0;
  for (int i = 0; i < places->n; i++) {
    hwloc_bitmap_t cpuset = places->cpuset[i];
    if (hwloc_bitmap_and(cpuset, cpuset, wanted)) return braid_fail(BRAID_ENOMEM, "no memory for places");
    if (hwloc_bitmap_iszero(cpuset)) continue;
    places->cpuset[i] = places->cpuset[kept]; /* those that are kept change places with empty ones */
    places->cpuset[kept++] = cpuset;
  }
  for (int i = kept; i < places->n; i++) hwloc_bitmap_free(places->cpuset[i]);
  places->n = kept;
  return BRAID_OK;
}

enum braid_status kinds_choose(const struct braid_topology *topology, enum pin_kind kind, struct places *places,
                               bool *found) {
  *found = true;
  if (kind == PIN_KIND_ANY) return BRAID_OK;
  if (kind == PIN_KIND_FASTEST_FIRST) return kinds_sort(topology, places);
  if (kinds_count(topology) == 0) { /* all are as fast as the fastest */
    *found = kind == PIN_KIND_PERFORMANCE;
    return BRAID_OK;
  }
  hwloc_bitmap_t wanted = hwloc_bitmap_alloc(), one = hwloc_bitmap_alloc();
  enum braid_status status = wanted_cpus(topology, kind, wanted, one);
  if (status == BRAID_OK) {
    *found = false;
    for (int i = 0; i < places->n; i++) *found |= hwloc_bitmap_intersects(places->cpuset[i], wanted);
    if (*found) status = keep_only(places, wanted);
  }
  hwloc_bitmap_free(wanted);
  hwloc_bitmap_free(one);
  return status == BRAID_OK ? kinds_sort(topology, places) : status;
}
