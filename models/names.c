/* SPDX-License-Identifier: Apache-2.0
 * Names of nodes and constants: one name space, as in an ONNX file, found through an open hash table. */
#include "graph.h"

#include <stdio.h>
#include <string.h>

static const char *name_of(const struct braid_graph *graph, int code) {
  return braid_is_node(code) ? graph->node[code].name : graph->constant[braid_const_index(code)].name;
}

/* The slot that holds `name`, or the free one where it belongs. */
static int *slot_of(const struct braid_graph *graph, const char *name) {
  const struct name_index *index = &graph->names;
  size_t mask = (size_t)index->capacity - 1;
  size_t at = (size_t)braid_fnv1a(name) & mask;
  while (index->slot[at] != BRAID_NONE && strcmp(name_of(graph, index->slot[at]), name) != 0) at = (at + 1) & mask;
  return &index->slot[at];
}

int graph_lookup(const struct braid_graph *graph, const char *name) {
  return graph->names.capacity ? *slot_of(graph, name) : BRAID_NONE;
}

static enum braid_status resize(struct braid_graph *graph, int capacity) {
  struct name_index old = graph->names;
  int *slot = braid_malloc((size_t)capacity * sizeof *slot);
  if (!slot) return out_of_memory(graph);
  for (int i = 0; i < capacity; i++) slot[i] = BRAID_NONE;
  graph->names = (struct name_index){slot, capacity, old.used};
  for (int i = 0; i < old.capacity; i++)
    if (old.slot[i] != BRAID_NONE) *slot_of(graph, name_of(graph, old.slot[i])) = old.slot[i];
  braid_free(old.slot);
  return BRAID_OK;
}

/* Room for one more name: at most half of the slots are taken. */
static enum braid_status reserve(struct braid_graph *graph) {
  struct name_index *index = &graph->names;
  if (index->used >= (1 << 28)) return braid_fail(BRAID_EUNSUPPORTED, "graph '%s' has too many names", graph->name);
  if (2 * (index->used + 1) <= index->capacity) return BRAID_OK;
  return resize(graph, index->capacity ? 2 * index->capacity : 64);
}

static const char *copied(struct braid_graph *graph, const char *name) {
  size_t bytes = strlen(name) + 1;
  char *copy = arena_alloc(&graph->arena, bytes);
  if (copy) memcpy(copy, name, bytes);
  return copy;
}

static const char *made(struct braid_graph *graph, const char *base) {
  size_t bytes = strlen(base) + 16;
  char *name = arena_alloc(&graph->arena, bytes);
  if (!name) return NULL;
  do {
    snprintf(name, bytes, "%s_%d", base, graph->made_names++);
  } while (graph_lookup(graph, name) != BRAID_NONE);
  return name;
}

enum braid_status graph_take_name(struct braid_graph *graph, const char *name, const char *base, const char **out) {
  BRAID_TRY(reserve(graph));
  bool given = name && *name;
  if (given && graph_lookup(graph, name) != BRAID_NONE)
    return braid_fail(BRAID_EINVAL, "graph '%s': the name '%s' is taken already", graph->name, name);
  *out = given ? copied(graph, name) : made(graph, base);
  return *out ? BRAID_OK : out_of_memory(graph);
}

void graph_enter_name(struct braid_graph *graph, int code) {
  *slot_of(graph, name_of(graph, code)) = code;
  graph->names.used++;
}

void graph_reindex(struct braid_graph *graph) {
  for (int i = 0; i < graph->names.capacity; i++) graph->names.slot[i] = BRAID_NONE;
  graph->names.used = 0;
  for (int i = 0; i < graph->n_nodes; i++) graph_enter_name(graph, i);
  for (int i = 0; i < graph->n_constants; i++) graph_enter_name(graph, BRAID_CONST(i));
}
