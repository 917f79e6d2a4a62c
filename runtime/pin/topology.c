/* SPDX-License-Identifier: Apache-2.0
 * Opening topologies: this machine as far as the process may use it, an XML file (lstopo out.xml), or a synthetic
 * description. */
#include "topology.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

static const char synthetic_prefix[] = "synthetic:";

/* hwloc would try to build whatever it is told: multiplies the counts of "numa:2 core:4 pu:2" before it does. */
static bool synthetic_is_small(const char *text) {
  uint64_t product = 1;
  for (const char *at = text; *at;) {
    bool count = (at == text || at[-1] == ' ' || at[-1] == ':') && *at >= '0' && *at <= '9';
    if (!count) {
      at++;
      continue;
    }
    uint64_t value = 0;
    for (; *at >= '0' && *at <= '9'; at++)
      if ((value = 10 * value + (uint64_t)(*at - '0')) > PIN_MAX_UNITS) return false;
    product *= value ? value : 1;
    if (product > PIN_MAX_UNITS) return false;
  }
  return true;
}

static enum braid_status set_synthetic(hwloc_topology_t hw, const char *text) {
  while (*text == ' ') text++;
  if (!synthetic_is_small(text))
    return braid_fail(BRAID_EINVAL, "synthetic topology '%s' has more than %d processors", text, PIN_MAX_UNITS);
  if (hwloc_topology_set_synthetic(hw, text))
    return braid_fail(BRAID_EINVAL,
                      "synthetic topology '%s' is not valid; write it like \"synthetic: numa:2 core:4 pu:2\"", text);
  return BRAID_OK;
}

static enum braid_status set_xml(hwloc_topology_t hw, const char *path) {
  if (access(path, R_OK) != 0)
    return braid_fail(BRAID_EINVAL, "topology %s: %s (write \"this\", an XML file of lstopo, or \"synthetic: ...\")",
                      path, strerror(errno));
  if (hwloc_topology_set_xml(hw, path)) return braid_fail(BRAID_EINVAL, "%s is not a topology in XML", path);
  return BRAID_OK;
}

/* Processors that the process is not bound to are left out, so they cannot be chosen. (hwloc restricts only what it is
 * told is this system.) Looking must not move the thread that looks. */
static enum braid_status set_this(hwloc_topology_t hw) {
  const unsigned long flags = HWLOC_TOPOLOGY_FLAG_IS_THISSYSTEM | HWLOC_TOPOLOGY_FLAG_RESTRICT_TO_CPUBINDING |
                              HWLOC_TOPOLOGY_FLAG_DONT_CHANGE_BINDING;
  if (hwloc_topology_set_flags(hw, flags)) return braid_fail(BRAID_EIO, "hwloc: %s", strerror(errno));
  return BRAID_OK;
}

static enum braid_status set_source(hwloc_topology_t hw, const char *what) {
  if (!what || strcmp(what, "this") == 0) return set_this(hw);
  if (strncmp(what, synthetic_prefix, strlen(synthetic_prefix)) == 0)
    return set_synthetic(hw, what + strlen(synthetic_prefix));
  return set_xml(hw, what);
}

enum braid_status braid_topology_open(const char *what, struct braid_topology **out) {
  struct braid_topology *topology = braid_calloc(1, sizeof *topology);
  if (!topology || hwloc_topology_init(&topology->hw)) {
    braid_free(topology);
    return braid_fail(BRAID_ENOMEM, "no memory for a topology");
  }
  enum braid_status status = set_source(topology->hw, what);
  if (status == BRAID_OK && hwloc_topology_load(topology->hw))
    status =
        braid_fail(BRAID_EINVAL, "topology %s cannot be loaded: %s", what ? what : "of this machine", strerror(errno));
  topology->foreign = status == BRAID_OK && !hwloc_topology_is_thissystem(topology->hw);
  if (status == BRAID_OK)
    *out = topology;
  else
    braid_topology_close(&topology);
  return status;
}

void braid_topology_close(struct braid_topology **topology) {
  if (!*topology) return;
  hwloc_topology_destroy((*topology)->hw);
  braid_free(*topology);
  *topology = NULL;
}

int topology_numa_of(const struct braid_topology *topology, hwloc_const_bitmap_t cpuset) {
  hwloc_obj_t node = NULL;
  while ((node = hwloc_get_next_obj_by_type(topology->hw, HWLOC_OBJ_NUMANODE, node)))
    if (hwloc_bitmap_isset(node->cpuset, (unsigned)hwloc_bitmap_first(cpuset))) return (int)node->os_index;
  return -1;
}
