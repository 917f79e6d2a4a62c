/* SPDX-License-Identifier: Apache-2.0
 * Dinic's algorithm [Dinitz 1970]: levels by breadth-first search, then blocking flows by depth-first search with a
 * current-arc pointer, the search kept on an explicit path so that deep networks do not deepen the call stack. */
#include "maxflow.h"

#include "internal.h" /* COST_NEVER */

#define NONE (-1)

struct arc {
  int to, next; /* arc ^ 1 is the reverse arc */
  int64_t left; /* residual capacity */
};
struct flow {
  int n, n_arcs, max_arcs;
  struct arc *arc;
  int *first;   /* [n] adjacency list */
  int *current; /* [n] arcs before it are exhausted in this phase */
  int *level;   /* [n] distance from the source; NONE: not reached */
  int *path;    /* [n] arcs of the walk, and the queue of the breadth-first search */
};

enum braid_status flow_create(int n_vertices, int max_arcs, struct flow **out) {
  size_t n = (size_t)n_vertices;
  struct flow *f = braid_calloc(1, sizeof *f);
  if (!f) return braid_fail(BRAID_ENOMEM, "a flow network of %d vertices", n_vertices);
  f->n = n_vertices;
  f->max_arcs = max_arcs;
  f->arc = braid_malloc(2 * (size_t)max_arcs * sizeof *f->arc);
  f->first = braid_malloc(n * sizeof *f->first);
  f->current = braid_malloc(n * sizeof *f->current);
  f->level = braid_malloc(n * sizeof *f->level);
  f->path = braid_malloc((n + 1) * sizeof *f->path);
  if (!f->arc || !f->first || !f->current || !f->level || !f->path) {
    flow_destroy(&f);
    return braid_fail(BRAID_ENOMEM, "a flow network of %d vertices and %d arcs", n_vertices, max_arcs);
  }
  flow_clear(f);
  *out = f;
  return BRAID_OK;
}

void flow_destroy(struct flow **flow) {
  if (!flow || !*flow) return;
  braid_free((*flow)->arc);
  braid_free((*flow)->first);
  braid_free((*flow)->current);
  braid_free((*flow)->level);
  braid_free((*flow)->path);
  braid_free(*flow);
  *flow = NULL;
}

void flow_clear(struct flow *f) {
  f->n_arcs = 0;
  for (int v = 0; v < f->n; v++) f->first[v] = NONE;
}

static void add_half(struct flow *f, int from, int to, int64_t capacity) {
  f->arc[f->n_arcs] = (struct arc){to, f->first[from], capacity};
  f->first[from] = f->n_arcs++;
}

void flow_arc(struct flow *f, int from, int to, int64_t capacity) {
  if (capacity <= 0) return;
  add_half(f, from, to, capacity);
  add_half(f, to, from, 0);
}

static bool find_levels(struct flow *f, int source, int sink) {
  int head = 0, tail = 0;
  for (int v = 0; v < f->n; v++) f->level[v] = NONE;
  f->level[source] = 0;
  f->path[tail++] = source;
  while (head < tail) {
    int v = f->path[head++];
    for (int a = f->first[v]; a != NONE; a = f->arc[a].next) {
      if (f->arc[a].left <= 0 || f->level[f->arc[a].to] != NONE) continue;
      f->level[f->arc[a].to] = f->level[v] + 1;
      f->path[tail++] = f->arc[a].to;
    }
  }
  return f->level[sink] != NONE;
}

static int admissible(struct flow *f, int v) {
  int a = f->current[v];
  while (a != NONE && (f->arc[a].left <= 0 || f->level[f->arc[a].to] != f->level[v] + 1)) a = f->arc[a].next;
  return f->current[v] = a;
}

/* Pushes what the path allows and returns how many of its arcs to keep: up to the first that is now full. */
static int push_along(struct flow *f, int length, int64_t *pushed) {
  int64_t least = INT64_MAX;
  int keep = length;
  for (int i = 0; i < length; i++)
    if (f->arc[f->path[i]].left < least) least = f->arc[f->path[i]].left;
  for (int i = length - 1; i >= 0; i--) {
    f->arc[f->path[i]].left -= least;
    f->arc[f->path[i] ^ 1].left += least;
    if (f->arc[f->path[i]].left == 0) keep = i;
  }
  *pushed = least < COST_NEVER - *pushed ? *pushed + least : COST_NEVER; /* of several infinite paths, too */
  return keep;
}

static int64_t blocking_flow(struct flow *f, int source, int sink) {
  int64_t pushed = 0;
  int length = 0;
  for (int v = 0; v < f->n; v++) f->current[v] = f->first[v];
  for (int at = source;;) {
    if (at == sink) {
      length = push_along(f, length, &pushed);
      if (pushed >= COST_NEVER) return COST_NEVER;
      at = length > 0 ? f->arc[f->path[length - 1]].to : source;
      continue;
    }
    int a = admissible(f, at);
    if (a != NONE) {
      f->path[length++] = a;
      at = f->arc[a].to;
    } else if (length > 0) { /* dead end: step back and never come here again in this phase */
      f->level[at] = NONE;
      at = f->arc[f->path[--length] ^ 1].to;
    } else {
      return pushed;
    }
  }
}

int64_t flow_run(struct flow *f, int source, int sink) {
  int64_t total = 0;
  while (total < COST_NEVER && find_levels(f, source, sink)) total += blocking_flow(f, source, sink);
  return total < COST_NEVER ? total : COST_NEVER;
}

/* The last search, which did not reach the sink, marked exactly what the source still reaches. */
bool flow_on_source_side(const struct flow *f, int vertex) {
  return f->level[vertex] != NONE;
}
