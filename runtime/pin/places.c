/* SPDX-License-Identifier: Apache-2.0
 * "numa:0.core:0-2": one level after the other, from the whole machine inwards. Each level selects, inside every place
 * found so far, objects of one type by their number there. */
#include "topology.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void places_free(struct places *places) {
  for (int i = 0; i < places->n; i++) hwloc_bitmap_free(places->cpuset[i]);
  braid_free(places->cpuset);
  *places = (struct places){0};
}

static enum braid_status add(struct places *places, hwloc_const_bitmap_t cpuset) {
  if (places->n == PIN_MAX_UNITS) return braid_fail(BRAID_EINVAL, "more than %d places", PIN_MAX_UNITS);
  hwloc_bitmap_t *grown = braid_realloc(places->cpuset, (size_t)(places->n + 1) * sizeof *grown);
  if (grown) places->cpuset = grown;
  hwloc_bitmap_t copy = grown ? hwloc_bitmap_dup(cpuset) : NULL;
  if (!copy) return braid_fail(BRAID_ENOMEM, "no memory for places");
  places->cpuset[places->n++] = copy;
  return BRAID_OK;
}

/* --------------------------------------------------------------------------------------------- one level */

struct level {
  char type_name[32];
  hwloc_obj_type_t type;
  union hwloc_obj_attr_u attr;
  int first, last; /* last -1: to the end */
};

static bool parse_number(const char **text, int *out) {
  char *end;
  if (**text < '0' || **text > '9') return false;
  long value = strtol(*text, &end, 10);
  *text = end;
  *out = (int)value;
  return value >= 0 && value < PIN_MAX_UNITS;
}

/* "2", "0-3", "4-" or "all" */
static bool parse_range(const char *text, struct level *level) {
  level->first = 0, level->last = -1;
  if (strcmp(text, "all") == 0) return true;
  if (!parse_number(&text, &level->first)) return false;
  level->last = level->first;
  if (*text == '\0') return true;
  if (*text++ != '-') return false;
  level->last = -1;
  if (*text == '\0') return true;
  return parse_number(&text, &level->last) && *text == '\0' && level->last >= level->first;
}

static enum braid_status parse_level(const char *text, size_t size, struct level *level) {
  char copy[64];
  if (size < sizeof copy) {
    memcpy(copy, text, size);
    copy[size] = '\0';
    char *colon = strchr(copy, ':');
    if (colon && (size_t)(colon - copy) < sizeof level->type_name) {
      *colon = '\0';
      memcpy(level->type_name, copy, strlen(copy) + 1);
      if (hwloc_type_sscanf(copy, &level->type, &level->attr, sizeof level->attr))
        return braid_fail(BRAID_EINVAL,
                          "'%s' is no kind of object that hwloc knows; write numa, package, l3, core or pu", copy);
      if (parse_range(colon + 1, level)) return BRAID_OK;
    }
  }
  return braid_fail(BRAID_EINVAL, "'%.*s' is not TYPE:NUMBER, TYPE:FIRST-LAST or TYPE:all", (int)size, text);
}

static bool is_at(hwloc_obj_t object, const struct level *level, hwloc_const_bitmap_t inside) {
  if (level->type == HWLOC_OBJ_GROUP && level->attr.group.depth != (unsigned)-1 &&
      object->attr->group.depth != level->attr.group.depth)
    return false;
  return object->cpuset && !hwloc_bitmap_iszero(object->cpuset) && hwloc_bitmap_isincluded(object->cpuset, inside);
}

static enum braid_status select_inside(const struct braid_topology *topology, const struct level *level,
                                       hwloc_const_bitmap_t inside, struct places *out) {
  int number = 0;
  hwloc_obj_t object = NULL;
  while ((object = hwloc_get_next_obj_by_type(topology->hw, level->type, object))) {
    if (!is_at(object, level, inside)) continue;
    if (number >= level->first && (level->last < 0 || number <= level->last)) BRAID_TRY(add(out, object->cpuset));
    number++;
  }
  int wanted = level->last < 0 ? level->first : level->last;
  if (wanted >= number && out->missing[0] == '\0')
    snprintf(out->missing, sizeof out->missing, "%s:%d is not there: that place has %d of them%s", level->type_name,
             wanted, number, topology->foreign ? "" : " that this process may use");
  return BRAID_OK;
}

/* ---------------------------------------------------------------------------------------------- all levels */

static enum braid_status narrow(const struct braid_topology *topology, const struct level *level,
                                struct places *places) {
  struct places inner = {0};
  enum braid_status status = BRAID_OK;
  memcpy(inner.missing, places->missing, sizeof inner.missing);
  for (int i = 0; i < places->n && status == BRAID_OK; i++)
    status = select_inside(topology, level, places->cpuset[i], &inner);
  places_free(places);
  *places = inner;
  return status;
}

static enum braid_status walk(const struct braid_topology *topology, const char *where, struct places *places) {
  BRAID_TRY(add(places, hwloc_topology_get_topology_cpuset(topology->hw)));
  for (const char *at = where, *dot; at; at = dot ? dot + 1 : NULL) {
    struct level level;
    dot = strchr(at, '.');
    BRAID_TRY(parse_level(at, dot ? (size_t)(dot - at) : strlen(at), &level));
    BRAID_TRY(narrow(topology, &level, places));
  }
  return BRAID_OK;
}

enum braid_status places_find(const struct braid_topology *topology, const char *where, struct places *out) {
  struct places places = {0};
  enum braid_status status = walk(topology, where, &places);
  if (status == BRAID_OK)
    *out = places;
  else
    places_free(&places);
  return status;
}

enum braid_status places_of_cores(const struct braid_topology *topology, struct places *out) {
  bool cores = hwloc_get_nbobjs_by_type(topology->hw, HWLOC_OBJ_CORE) > 0;
  return places_find(topology, cores ? "core:all" : "pu:all", out);
}
