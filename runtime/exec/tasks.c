/* SPDX-License-Identifier: Apache-2.0
 *
 * Building the task graph.
 *
 * A consumer slice waits for exactly the producer slices that hold rows it reads (braid_graph_needs), so a slice can
 * start, be sent or be overtaken as soon as its own receptive field is there. For tensors that arrive from outside the
 * same is said in rows, since the peer may part them as it likes: a task's counter starts at (preceding tasks) + (rows
 * it needs of received tensors), and every arriving row takes one off the counters of those that read it.
 *
 * Tasks are built node by node, then renumbered into the order in which a single worker would take them (Kahn's
 * algorithm with a heap keyed by rank and slice). That order is what the memory plan's bound refers to. */
#include "exec/tasks.h"

#include <assert.h>
#include <string.h>

/* ------------------------------------------------------------------------------------------------ roles */

static struct exec_role role_alone(const struct braid_node *node) {
  bool input = node->op == BRAID_OP_INPUT;
  return (struct exec_role){.computed = !input, .received = input, .output = node->is_output};
}

static struct exec_role role_of(const struct braid_graph *graph, const struct braid_plan *plan, enum braid_site here,
                                int id) {
  const struct braid_node *node = braid_graph_node(graph, id);
  bool up = braid_plan_crosses_up(plan, graph, id), down = braid_plan_crosses_down(plan, graph, id);
  bool mine = plan->site[id] == here, edge = here == BRAID_EDGE;
  struct exec_role role = {0};
  if (node->op == BRAID_OP_INPUT)
    role.received = edge || up;
  else
    role.received = edge ? down : up;
  role.computed = mine && node->op != BRAID_OP_INPUT;
  role.sent = edge ? up : down;
  role.output = node->is_output && here == plan->deliver;
  return role;
}

void exec_roles(const struct braid_graph *graph, const struct braid_plan *plan, enum braid_site here,
                struct exec_role *role) {
  for (int id = 0; id < braid_graph_size(graph); id++)
    role[id] = plan ? role_of(graph, plan, here, id) : role_alone(braid_graph_node(graph, id));
}

/* ----------------------------------------------------------------------------------------------- builder */

struct edge {
  int from, to;
};

struct builder {
  const struct braid_graph *graph;
  const struct exec_tasks_opts *opts;
  struct exec_tasks *t;
  struct edge *edge;
  int n_edges, cap_edges;
  int cap_waiters;
  int *seen;  /* [n_tasks] the last consumer that an edge from this task was made for */
  int *place; /* [n_tasks] number in the final order */
};

static bool grow(void **array, int *capacity, int wanted, size_t item_bytes) {
  if (wanted <= *capacity) return true;
  int next = *capacity ? 2 * *capacity : 64;
  void *p = braid_realloc(*array, (size_t)next * item_bytes);
  if (!p) return false;
  *array = p;
  *capacity = next;
  return true;
}

static bool add_edge(struct builder *b, int from, int to) {
  if (b->seen[from] == to) return true;
  b->seen[from] = to;
  void *array = b->edge;
  bool ok = grow(&array, &b->cap_edges, b->n_edges + 1, sizeof *b->edge);
  b->edge = array;
  if (ok) b->edge[b->n_edges++] = (struct edge){from, to};
  return ok;
}

static bool add_waiter(struct builder *b, int source, int task, struct braid_band rows) {
  struct exec_tasks *t = b->t;
  void *array = t->waiter;
  bool ok = grow(&array, &b->cap_waiters, t->n_waiters + 1, sizeof *t->waiter);
  t->waiter = array;
  if (ok) t->waiter[t->n_waiters++] = (struct exec_waiter){source, task, rows};
  return ok;
}

static bool overlap(struct braid_band a, struct braid_band b) {
  return a.begin < b.end && b.begin < a.end;
}

static bool allocate_node_tables(struct exec_tasks *t) {
  size_t n = (size_t)t->n_nodes;
  t->role = braid_calloc(n, sizeof *t->role);
  t->n_slices = braid_calloc(n, sizeof *t->n_slices);
  t->by_channel = braid_calloc(n, sizeof *t->by_channel);
  t->first_of = braid_calloc(n, sizeof *t->first_of);
  t->source_of = braid_calloc(n, sizeof *t->source_of);
  return t->role && t->n_slices && t->by_channel && t->first_of && t->source_of;
}

static void count_tasks_and_sources(struct builder *b) {
  struct exec_tasks *t = b->t;
  for (int id = 0; id < t->n_nodes; id++) {
    t->first_of[id] = t->n_tasks;
    t->n_slices[id] = t->role[id].computed ? b->opts->n_slices[id] : 0;
    t->by_channel[id] = t->n_slices[id] > 1 && b->opts->by_channel && b->opts->by_channel[id];
    t->n_tasks += t->n_slices[id];
    t->source_of[id] = t->role[id].received ? t->n_sources++ : -1;
  }
}

static bool allocate_task_tables(struct builder *b) {
  struct exec_tasks *t = b->t;
  t->task = braid_calloc((size_t)t->n_tasks, sizeof *t->task);
  t->task_of = braid_calloc((size_t)t->n_tasks, sizeof *t->task_of);
  t->source = braid_calloc((size_t)t->n_sources, sizeof *t->source);
  b->seen = braid_malloc((size_t)t->n_tasks * sizeof *b->seen);
  b->place = braid_malloc((size_t)t->n_tasks * sizeof *b->place);
  if (!t->task || !t->task_of || !t->source || !b->seen || !b->place) return false;
  for (int i = 0; i < t->n_tasks; i++) b->seen[i] = -1;
  return true;
}

static void make_tasks(struct builder *b) {
  struct exec_tasks *t = b->t;
  for (int id = 0; id < t->n_nodes; id++) {
    int rows = braid_graph_node(b->graph, id)->rows;
    for (int i = 0; i < t->n_slices[id]; i++)
      t->task[t->first_of[id] + i] = (struct exec_task){
          .node = id,
          .slice = i,
          .rank = b->opts->plan ? b->opts->plan->rank[id] : id,
          .band = t->by_channel[id] ? (struct braid_band){0, rows} : braid_slice_band(rows, t->n_slices[id], i),
      };
  }
}

static void make_sources(struct builder *b) {
  struct exec_tasks *t = b->t;
  for (int id = 0; id < t->n_nodes; id++) {
    if (t->source_of[id] < 0) continue;
    const struct braid_node *node = braid_graph_node(b->graph, id);
    bool is_input = node->op == BRAID_OP_INPUT && b->opts->here == BRAID_EDGE;
    if (!b->opts->plan) is_input = true;
    t->source[t->source_of[id]] =
        (struct exec_source){.node = id, .rows = node->rows, .is_input = is_input, .first_row = t->n_rows};
    t->n_rows += node->rows;
    if (is_input) t->n_input_rows += node->rows;
  }
}

/* ----------------------------------------------------------------------------------------- dependencies */

static bool wait_for_slices(struct builder *b, int task, int from, struct braid_band need) {
  struct exec_tasks *t = b->t;
  for (int i = 0; i < t->n_slices[from]; i++) {
    int producer = t->first_of[from] + i;
    if (t->task[producer].band.begin >= need.end) break;
    if (overlap(t->task[producer].band, need) && !add_edge(b, producer, task)) return false;
  }
  return true;
}

static bool connect_task(struct builder *b, int task) {
  const struct exec_tasks *t = b->t;
  int id = t->task[task].node;
  const struct braid_node *node = braid_graph_node(b->graph, id);
  for (int k = 0; k < node->n_in; k++) {
    int from = node->in[k];
    if (!braid_is_node(from)) continue;
    struct braid_band need = braid_graph_needs(b->graph, id, k, t->task[task].band);
    if (need.begin >= need.end) continue;
    bool ok = t->role[from].computed ? wait_for_slices(b, task, from, need) : true;
    if (t->role[from].received) ok = add_waiter(b, t->source_of[from], task, need);
    if (!ok) return false;
  }
  return true;
}

static bool connect_tasks(struct builder *b) {
  for (int i = 0; i < b->t->n_tasks; i++)
    if (!connect_task(b, i)) return false;
  return true;
}

/* Edges grouped by one end: count, prefix sums, fill. */
static bool index_edges(struct builder *b) {
  struct exec_tasks *t = b->t;
  t->next = braid_malloc((size_t)b->n_edges * sizeof *t->next);
  t->prev = braid_malloc((size_t)b->n_edges * sizeof *t->prev);
  if (!t->next || !t->prev) return false;
  for (int i = 0; i < t->n_tasks; i++) t->task[i].n_next = t->task[i].n_prev = 0;
  for (int e = 0; e < b->n_edges; e++) t->task[b->edge[e].from].n_next++, t->task[b->edge[e].to].n_prev++;
  int next = 0, prev = 0;
  for (int i = 0; i < t->n_tasks; i++) {
    struct exec_task *task = &t->task[i];
    task->first_next = next, task->first_prev = prev;
    next += task->n_next, prev += task->n_prev;
    task->n_next = task->n_prev = 0;
  }
  for (int e = 0; e < b->n_edges; e++) {
    struct exec_task *from = &t->task[b->edge[e].from], *to = &t->task[b->edge[e].to];
    t->next[from->first_next + from->n_next++] = b->edge[e].to;
    t->prev[to->first_prev + to->n_prev++] = b->edge[e].from;
  }
  return true;
}

/* ------------------------------------------------------------------------------------------------ order */

static bool more_urgent(const struct exec_tasks *t, int a, int b) {
  const struct exec_task *x = &t->task[a], *y = &t->task[b];
  return x->rank != y->rank ? x->rank < y->rank : x->slice < y->slice;
}

static void heap_push(const struct exec_tasks *t, int *heap, int *n, int task) {
  int i = (*n)++;
  for (; i > 0 && more_urgent(t, task, heap[(i - 1) / 2]); i = (i - 1) / 2) heap[i] = heap[(i - 1) / 2];
  heap[i] = task;
}

static int heap_pop(const struct exec_tasks *t, int *heap, int *n) {
  int top = heap[0], last = heap[--*n], i = 0;
  for (int child = 1; child < *n; child = 2 * i + 1) {
    if (child + 1 < *n && more_urgent(t, heap[child + 1], heap[child])) child++;
    if (!more_urgent(t, heap[child], last)) break;
    heap[i] = heap[child];
    i = child;
  }
  heap[i] = last;
  return top;
}

/* Fills place[]; index_edges has run. */
static bool order_tasks(struct builder *b) {
  struct exec_tasks *t = b->t;
  int n_ready = 0, n_placed = 0;
  int *heap = braid_malloc((size_t)t->n_tasks * sizeof *heap), *left = braid_malloc((size_t)t->n_tasks * sizeof *left);
  for (int i = 0; heap && left && i < t->n_tasks; i++)
    if ((left[i] = t->task[i].n_prev) == 0) heap_push(t, heap, &n_ready, i);
  while (heap && left && n_ready > 0) {
    int task = heap_pop(t, heap, &n_ready);
    b->place[task] = n_placed++;
    for (int e = 0; e < t->task[task].n_next; e++) {
      int next = t->next[t->task[task].first_next + e];
      if (--left[next] == 0) heap_push(t, heap, &n_ready, next);
    }
  }
  bool ok = heap && left;
  assert(!ok || n_placed == t->n_tasks); /* operands have smaller ids, so there is no cycle */
  braid_free(heap);
  braid_free(left);
  return ok;
}

static bool renumber(struct builder *b) {
  struct exec_tasks *t = b->t;
  struct exec_task *sorted = braid_malloc((size_t)t->n_tasks * sizeof *sorted);
  if (!sorted) return false;
  for (int i = 0; i < t->n_tasks; i++) {
    sorted[b->place[i]] = t->task[i];
    t->task_of[i] = b->place[i];
  }
  for (int e = 0; e < b->n_edges; e++) b->edge[e] = (struct edge){b->place[b->edge[e].from], b->place[b->edge[e].to]};
  for (int w = 0; w < t->n_waiters; w++) t->waiter[w].task = b->place[t->waiter[w].task];
  braid_free(t->task);
  t->task = sorted;
  braid_free(t->next);
  braid_free(t->prev);
  t->next = t->prev = NULL;
  return true;
}

static bool may_chain(const struct exec_tasks *t) {
  for (int id = 0; id < t->n_nodes; id++) {
    if (t->role[id].sent) return false;
    if (t->role[id].received && !t->source[t->source_of[id]].is_input) return false;
  }
  return true;
}

static bool chain_tasks(struct builder *b) {
  struct exec_tasks *t = b->t;
  if (!b->opts->chain || !may_chain(t)) return true;
  t->chained = true;
  for (int i = 0; i < t->n_tasks; i++) b->seen[i] = -1;
  for (int e = 0; e < b->n_edges; e++) /* such an edge may be there already */
    if (b->edge[e].to == b->edge[e].from + 1) b->seen[b->edge[e].from] = b->edge[e].to;
  for (int i = 0; i + 1 < t->n_tasks; i++)
    if (!add_edge(b, i, i + 1)) return false;
  return true;
}

/* -------------------------------------------------------------------------------------------- counters */

static bool index_waiters(struct builder *b) {
  struct exec_tasks *t = b->t;
  struct exec_waiter *sorted = braid_malloc((size_t)t->n_waiters * sizeof *sorted);
  if (!sorted) return false;
  for (int w = 0; w < t->n_waiters; w++) t->source[t->waiter[w].source].n_waiters++;
  int at = 0;
  for (int s = 0; s < t->n_sources; s++) {
    t->source[s].first_waiter = at;
    at += t->source[s].n_waiters;
    t->source[s].n_waiters = 0;
  }
  for (int w = 0; w < t->n_waiters; w++) {
    struct exec_source *source = &t->source[t->waiter[w].source];
    sorted[source->first_waiter + source->n_waiters++] = t->waiter[w];
  }
  braid_free(t->waiter);
  t->waiter = sorted;
  return true;
}

static void count_waits(struct builder *b) {
  struct exec_tasks *t = b->t;
  t->gated = b->opts->plan && b->opts->plan->serial && b->opts->here == BRAID_CLOUD;
  for (int i = 0; i < t->n_tasks; i++) t->task[i].waits = t->task[i].n_prev + (t->gated ? 1 : 0);
  for (int w = 0; w < t->n_waiters; w++)
    t->task[t->waiter[w].task].waits += t->waiter[w].rows.end - t->waiter[w].rows.begin;
}

static bool build(struct builder *b) {
  if (!allocate_node_tables(b->t)) return false;
  exec_roles(b->graph, b->opts->plan, b->opts->here, b->t->role);
  count_tasks_and_sources(b);
  if (!allocate_task_tables(b)) return false;
  make_tasks(b);
  make_sources(b);
  if (!connect_tasks(b) || !index_edges(b) || !order_tasks(b) || !renumber(b)) return false;
  if (!chain_tasks(b) || !index_edges(b) || !index_waiters(b)) return false;
  count_waits(b);
  return true;
}

enum braid_status exec_tasks_create(const struct braid_graph *graph, const struct exec_tasks_opts *opts,
                                    struct exec_tasks **out) {
  struct exec_tasks *t = braid_calloc(1, sizeof *t);
  if (!t) return braid_fail(BRAID_ENOMEM, "no memory for a task graph");
  t->n_nodes = braid_graph_size(graph);
  struct builder b = {.graph = graph, .opts = opts, .t = t};
  bool ok = build(&b);
  braid_free(b.edge);
  braid_free(b.seen);
  braid_free(b.place);
  if (!ok) {
    exec_tasks_destroy(&t);
    return braid_fail(BRAID_ENOMEM, "no memory for the task graph of %s", braid_graph_name(graph));
  }
  *out = t;
  return BRAID_OK;
}

void exec_tasks_destroy(struct exec_tasks **tasks) {
  struct exec_tasks *t = *tasks;
  if (!t) return;
  braid_free(t->role);
  braid_free(t->task);
  braid_free(t->next);
  braid_free(t->prev);
  braid_free(t->n_slices);
  braid_free(t->by_channel);
  braid_free(t->first_of);
  braid_free(t->task_of);
  braid_free(t->source);
  braid_free(t->source_of);
  braid_free(t->waiter);
  braid_free(t);
  *tasks = NULL;
}

/* ------------------------------------------------------------------------------------------------ check */

static enum braid_status check_task(const struct exec_tasks *t, const struct braid_graph *graph, int i) {
  const struct exec_task *task = &t->task[i];
  const char *name = braid_graph_node(graph, task->node)->name;
  if (t->task_of[t->first_of[task->node] + task->slice] != i)
    return braid_fail(BRAID_EINVAL, "task %d: node %s does not know it as its slice %d", i, name, task->slice);
  int waits = task->n_prev + (t->gated ? 1 : 0);
  for (int e = 0; e < task->n_prev; e++)
    if (t->prev[task->first_prev + e] >= i)
      return braid_fail(BRAID_EINVAL, "task %d (%s) waits for a later one", i, name);
  for (int w = 0; w < t->n_waiters; w++)
    if (t->waiter[w].task == i) waits += t->waiter[w].rows.end - t->waiter[w].rows.begin;
  if (waits != task->waits)
    return braid_fail(BRAID_EINVAL, "task %d (%s) counts %d waits, has %d", i, name, task->waits, waits);
  return BRAID_OK;
}

static enum braid_status check_source(const struct exec_tasks *t, const struct braid_graph *graph, int s) {
  const struct exec_source *source = &t->source[s];
  const struct braid_node *node = braid_graph_node(graph, source->node);
  for (int w = 0; w < source->n_waiters; w++) {
    const struct exec_waiter *waiter = &t->waiter[source->first_waiter + w];
    const struct braid_node *reader = braid_graph_node(graph, t->task[waiter->task].node);
    bool reads = false;
    for (int k = 0; k < reader->n_in; k++) reads |= reader->in[k] == source->node;
    if (!reads) return braid_fail(BRAID_EINVAL, "node %s waits for %s but does not read it", reader->name, node->name);
    if (waiter->rows.begin < 0 || waiter->rows.end > node->rows)
      return braid_fail(BRAID_EINVAL, "node %s waits for rows that %s does not have", reader->name, node->name);
  }
  return BRAID_OK;
}

enum braid_status exec_tasks_check(const struct exec_tasks *t, const struct braid_graph *graph) {
  for (int i = 0; i < t->n_tasks; i++) BRAID_TRY(check_task(t, graph, i));
  for (int s = 0; s < t->n_sources; s++) BRAID_TRY(check_source(t, graph, s));
  for (int id = 0; id < t->n_nodes; id++) {
    int rows = 0, n = t->n_slices[id];
    for (int i = 0; i < n; i++) {
      struct braid_band band = t->task[t->task_of[t->first_of[id] + i]].band;
      if (t->by_channel[id]) rows = 0;
      if (band.begin != rows) return braid_fail(BRAID_EINVAL, "slices of node %d leave rows out", id);
      rows = band.end;
    }
    if (t->by_channel[id] && t->role[id].sent)
      return braid_fail(BRAID_EINVAL, "node %d is sent by rows, but cut by channels", id);
    if (t->role[id].computed && rows != braid_graph_node(graph, id)->rows)
      return braid_fail(BRAID_EINVAL, "slices of node %d do not cover it", id);
  }
  return BRAID_OK;
}
