/* SPDX-License-Identifier: Apache-2.0
 * Push-relabel [Goldberg & Tarjan, J. ACM 1988]: first in first out, with gaps, and exact labels again after as much
 * work as the network is large; then farthest first, which on chains is one sweep.
 *
 * It runs backwards: excess starts at the sink and is pushed against the arcs towards the source, and labels are
 * distances from the source. Then the preflow at which nothing more reaches the source is enough (no need to return
 * what is stuck), and what the source still reaches is the smallest source side of a minimum cut.
 *
 * Infinite arcs at the ends are no arithmetic: what the source reaches by them belongs to it, as does to the sink what
 * reaches it by them. All other flow is finite and no sum leaves int64. */
#include "maxflow.h"

#include "internal.h" /* COST_NEVER */

#include <string.h>

#define NONE (-1)

struct arc {
  int to, next; /* arc ^ 1 is the reverse arc */
  int64_t left; /* residual capacity */
};
struct flow {
  int n, n_arcs, max_arcs;
  struct arc *arc;
  int *first;      /* [n] adjacency list */
  int *current;    /* [n] arcs before it are not admissible */
  int *label;      /* [n] lower bound of the distance from the source; n: not reached */
  int *n_labelled; /* [n] vertices with this label */
  int *queue;      /* [n] ring of vertices with excess */
  int *near;       /* [n] of the breadth-first search */
  int64_t *excess; /* [n] */
  bool *of_sink;   /* [n] */
  int head, tail, n_queued;
  int64_t work; /* arcs looked at since labels were exact */
};

enum braid_status flow_create(int n_vertices, int max_arcs, struct flow **out) {
  size_t n = (size_t)n_vertices;
  struct flow *f = braid_calloc(1, sizeof *f);
  if (!f) return braid_fail(BRAID_ENOMEM, "a flow network of %d vertices", n_vertices);
  f->n = n_vertices;
  f->max_arcs = max_arcs;
  f->arc = braid_malloc(2 * (size_t)max_arcs * sizeof *f->arc);
  f->excess = braid_malloc(n * sizeof *f->excess);
  f->of_sink = braid_malloc(n * sizeof *f->of_sink);
  int **array[] = {&f->first, &f->current, &f->label, &f->n_labelled, &f->queue, &f->near};
  bool ok = f->arc && f->excess && f->of_sink;
  for (size_t i = 0; i < sizeof array / sizeof *array; i++)
    ok = (*array[i] = braid_malloc(n * sizeof **array[i])) != NULL && ok;
  if (!ok) {
    flow_destroy(&f);
    return braid_fail(BRAID_ENOMEM, "a flow network of %d vertices and %d arcs", n_vertices, max_arcs);
  }
  flow_clear(f);
  *out = f;
  return BRAID_OK;
}

void flow_destroy(struct flow **flow) {
  if (!flow || !*flow) return;
  struct flow *f = *flow;
  void *parts[] = {f->arc, f->excess, f->of_sink, f->first, f->current, f->label, f->n_labelled, f->queue, f->near};
  for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) braid_free(parts[i]);
  braid_free(f);
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

/* ------------------------------------------------------------------------------------------------- the ends */

/* Marks what reaches the sink by infinite arcs. */
static void join_sink(struct flow *f, int sink) {
  int head = 0, tail = 0;
  memset(f->of_sink, 0, (size_t)f->n * sizeof *f->of_sink);
  f->of_sink[sink] = true;
  f->near[tail++] = sink;
  while (head < tail) {
    for (int a = f->first[f->near[head++]]; a != NONE; a = f->arc[a].next) {
      int from = f->arc[a].to;
      if (f->arc[a ^ 1].left < COST_NEVER || f->of_sink[from]) continue;
      f->of_sink[from] = true;
      f->near[tail++] = from;
    }
  }
}

/* Labels 0 what the source reaches by infinite arcs; false: the sink, too. */
static bool join_source(struct flow *f, int source) {
  int head = 0, tail = 0;
  for (int v = 0; v < f->n; v++) f->label[v] = f->n;
  f->label[source] = 0;
  f->near[tail++] = source;
  while (head < tail) {
    int v = f->near[head++];
    if (f->of_sink[v]) return false;
    for (int a = f->first[v]; a != NONE; a = f->arc[a].next) {
      int to = f->arc[a].to;
      if (f->arc[a].left < COST_NEVER || f->label[to] == 0) continue;
      f->label[to] = 0;
      f->near[tail++] = to;
    }
  }
  return true;
}

/* --------------------------------------------------------------------------------------------------- labels */

static void activate(struct flow *f, int v) {
  f->queue[f->tail] = v;
  f->tail = f->tail + 1 < f->n ? f->tail + 1 : 0;
  f->n_queued++;
}

/* Exact labels from those that are 0, which stay. Leaves what is reached in f->near, by distance, and returns their
 * number. */
static int measure(struct flow *f) {
  int *near = f->near, head = 0, tail = 0;
  for (int v = 0; v < f->n; v++) {
    if (f->label[v] == 0)
      near[tail++] = v;
    else
      f->label[v] = f->n;
  }
  while (head < tail) {
    int v = near[head++];
    for (int a = f->first[v]; a != NONE; a = f->arc[a].next) {
      int to = f->arc[a].to;
      if (f->arc[a].left <= 0 || f->label[to] != f->n || f->of_sink[to]) continue;
      f->label[to] = f->label[v] + 1;
      near[tail++] = to;
    }
  }
  return tail;
}

static void relabel_all(struct flow *f) {
  int reached = measure(f);
  memset(f->n_labelled, 0, (size_t)f->n * sizeof *f->n_labelled);
  f->head = f->tail = f->n_queued = 0;
  f->work = 0;
  while (reached > 0) {
    int v = f->near[--reached];
    f->current[v] = f->first[v];
    f->n_labelled[f->label[v]]++;
    if (f->label[v] > 0 && f->excess[v] > 0) activate(f, v);
  }
}

/* One more than the least neighbour's; n when a label in between belongs to nobody, so that no way leads down. */
static void relabel(struct flow *f, int v) {
  int old = f->label[v], least = f->n - 1;
  f->n_labelled[old]--;
  for (int a = f->first[v]; a != NONE; a = f->arc[a].next, f->work++)
    if (f->arc[a ^ 1].left > 0 && f->label[f->arc[a].to] < least) least = f->label[f->arc[a].to];
  f->label[v] = least + 1;
  for (int label = old; label <= least; label++)
    if (f->n_labelled[label] == 0) f->label[v] = f->n;
  if (f->label[v] < f->n) f->n_labelled[f->label[v]]++;
  f->current[v] = f->first[v];
}

/* --------------------------------------------------------------------------------------------------- pushes */

/* What goes from the sink to `v` and on to the source without a third vertex. */
static int64_t push_direct(struct flow *f, int v) {
  int64_t arrived = 0;
  for (int a = f->first[v]; a != NONE && f->excess[v] > 0; a = f->arc[a].next) {
    int64_t amount = f->excess[v] < f->arc[a ^ 1].left ? f->excess[v] : f->arc[a ^ 1].left;
    if (f->label[f->arc[a].to] != 0) continue;
    f->arc[a ^ 1].left -= amount;
    f->arc[a].left += amount;
    f->excess[v] -= amount;
    arrived += amount;
  }
  return arrived;
}

/* Everything that the sink's side may take in. Returns what is at the source already. */
static int64_t start(struct flow *f) {
  int64_t arrived = 0;
  memset(f->excess, 0, (size_t)f->n * sizeof *f->excess);
  for (int v = 0; v < f->n; v++)
    for (int a = f->of_sink[v] ? f->first[v] : NONE; a != NONE; a = f->arc[a].next) {
      int from = f->arc[a].to;
      int64_t capacity = f->arc[a ^ 1].left;
      if (f->of_sink[from] || capacity <= 0) continue;
      f->arc[a ^ 1].left = 0;
      f->arc[a].left += capacity;
      if (f->label[from] == 0)
        arrived += capacity;
      else
        f->excess[from] += capacity;
    }
  for (int v = 0; v < f->n; v++) arrived += push_direct(f, v);
  return arrived;
}

/* Returns what came to the source. */
static int64_t push(struct flow *f, int v, int a) {
  int to = f->arc[a].to;
  int64_t amount = f->excess[v] < f->arc[a ^ 1].left ? f->excess[v] : f->arc[a ^ 1].left;
  f->arc[a ^ 1].left -= amount;
  f->arc[a].left += amount;
  f->excess[v] -= amount;
  if (f->label[to] == 0) return amount;
  if (f->excess[to] == 0) activate(f, to);
  f->excess[to] += amount;
  return 0;
}

/* Pushes until nothing is left, or until the source is out of reach. */
static int64_t discharge(struct flow *f, int v) {
  int64_t arrived = 0;
  while (f->excess[v] > 0 && f->label[v] < f->n) {
    int a = f->current[v];
    for (; a != NONE; a = f->arc[a].next, f->work++)
      if (f->arc[a ^ 1].left > 0 && f->label[f->arc[a].to] == f->label[v] - 1) break;
    f->current[v] = a;
    if (a == NONE)
      relabel(f, v);
    else
      arrived += push(f, v, a);
  }
  return arrived;
}

int64_t flow_run(struct flow *f, int source, int sink) {
  join_sink(f, sink);
  if (!join_source(f, source)) return COST_NEVER;
  int64_t total = start(f);
  relabel_all(f);
  while (f->n_queued > 0) {
    int v = f->queue[f->head];
    f->head = f->head + 1 < f->n ? f->head + 1 : 0;
    f->n_queued--;
    total += discharge(f, v);
    if (f->work > f->n_arcs) relabel_all(f);
  }
  (void)measure(f);
  return total;
}

bool flow_on_source_side(const struct flow *f, int vertex) {
  return f->label[vertex] < f->n;
}
