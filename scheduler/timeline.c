/* SPDX-License-Identifier: Apache-2.0
 * Compiles a plan into the tasks, messages and dependencies of one frame. A slice depends on exactly those producer
 * slices (or, across the cut, messages) that hold rows braid_graph_needs() asks for. */
#include "timeline.h"

#define EDGES_MAX (1 << 27)

struct builder {
  const struct braid_plan *plan;
  const struct braid_graph *graph;
  const struct braid_costs *costs;
  struct timeline *tl;
  int *first; /* [n_nodes] number of the node's first task */
};

static int slices_of(const struct builder *b, int v) {
  return braid_graph_node(b->graph, v)->op == BRAID_OP_INPUT ? 1 : b->plan->slices[v];
}

static int rows_of(const struct builder *b, int v) {
  int rows = braid_graph_node(b->graph, v)->rows;
  return rows > 0 ? rows : 1;
}

static bool crosses(const struct builder *b, int v) {
  return braid_plan_crosses_up(b->plan, b->graph, v) || braid_plan_crosses_down(b->plan, b->graph, v);
}

static int messages_in(struct braid_band band, int step) {
  return (band.end - band.begin + step - 1) / step;
}

/* Numbers the tasks by rank; first[] meanwhile holds, by rank, which node it is. */
static void number_tasks(struct builder *b, int *by_rank) {
  int n = b->plan->n_nodes, at = 0;
  for (int v = 0; v < n; v++) by_rank[b->plan->rank[v]] = v;
  for (int r = 0; r < n; r++) {
    b->first[by_rank[r]] = at;
    at += slices_of(b, by_rank[r]);
  }
  b->tl->n_tasks = at;
}

static enum braid_status count_chunks(struct builder *b) {
  int64_t chunks = 0;
  for (int v = 0; v < b->plan->n_nodes; v++) {
    if (!crosses(b, v)) continue;
    int step = cost_message_rows(b->costs, b->graph, v), rows = rows_of(b, v), n = slices_of(b, v);
    for (int i = 0; i < n; i++) chunks += messages_in(braid_slice_band(rows, n, i), step);
  }
  if (chunks > EDGES_MAX) return braid_fail(BRAID_EINVAL, "%lld messages a frame are too many", (long long)chunks);
  b->tl->n_chunks = (int)chunks;
  return BRAID_OK;
}

static void fill_chunks(struct builder *b, int t, int *at) {
  struct timeline *tl = b->tl;
  struct tl_task *task = &tl->task[t];
  bool up = task->site == BRAID_EDGE, output = braid_graph_node(b->graph, task->node)->is_output;
  int step = cost_message_rows(b->costs, b->graph, task->node);
  for (int row = task->band.begin; row < task->band.end; row += step) {
    struct tl_chunk *chunk = &tl->chunk[(*at)++];
    chunk->task = t;
    chunk->band.begin = row;
    chunk->band.end = task->band.end - row > step ? row + step : task->band.end;
    chunk->bytes = cost_band_bytes(b->costs, b->graph, task->node, chunk->band);
    chunk->ns = cost_message_ns(up ? &b->costs->up : &b->costs->down, chunk->bytes);
    chunk->answers = !up && output;
    tl->chunks[up ? 0 : 1]++;
    tl->answers += chunk->answers;
  }
}

static void fill_task(struct builder *b, int v, int i, int *chunks) {
  struct timeline *tl = b->tl;
  const struct braid_node *node = braid_graph_node(b->graph, v);
  int t = b->first[v] + i;
  struct tl_task *task = &tl->task[t];
  task->node = v;
  task->site = b->plan->site[v];
  task->input = node->op == BRAID_OP_INPUT;
  task->band = braid_slice_band(rows_of(b, v), slices_of(b, v), i);
  task->ns = task->input ? 0 : cost_task_ns(b->costs, b->graph, (enum braid_site)task->site, v, task->band);
  task->answers = task->site == BRAID_EDGE && node->is_output;
  tl->answers += task->answers;
  if (task->input)
    tl->inputs++;
  else
    tl->tasks[task->site]++;
  task->chunk_begin = *chunks;
  if (crosses(b, v)) fill_chunks(b, t, chunks);
  task->chunk_end = *chunks;
}

/* Every (producer, reader) pair of the frame is shown to one of these twice: once to count, once to fill. */
static void count_pair(int *end, int *needs) {
  (*end)++;
  (*needs)++;
}

static void visit_tasks(struct builder *b, int reader, int u, struct braid_band need, bool fill) {
  struct timeline *tl = b->tl;
  int end = b->first[u] + slices_of(b, u);
  for (int t = b->first[u]; t < end; t++) {
    struct tl_task *task = &tl->task[t];
    if (task->band.end <= need.begin) continue;
    if (task->band.begin >= need.end) break;
    if (fill)
      tl->next[task->next_end++] = reader;
    else
      count_pair(&task->next_end, &tl->needs[reader]);
  }
}

static void visit_chunks(struct builder *b, int reader, int u, struct braid_band need, bool fill) {
  struct timeline *tl = b->tl;
  int begin = tl->task[b->first[u]].chunk_begin, end = tl->task[b->first[u] + slices_of(b, u) - 1].chunk_end;
  for (int c = begin; c < end; c++) {
    struct tl_chunk *chunk = &tl->chunk[c];
    if (chunk->band.end <= need.begin) continue;
    if (chunk->band.begin >= need.end) break;
    if (fill)
      tl->next[chunk->next_end++] = reader;
    else
      count_pair(&chunk->next_end, &tl->needs[reader]);
  }
}

static void visit_pairs(struct builder *b, bool fill) {
  for (int t = 0; t < b->tl->n_tasks; t++) {
    const struct tl_task *task = &b->tl->task[t];
    const struct braid_node *node = braid_graph_node(b->graph, task->node);
    for (int k = 0; k < node->n_in; k++) {
      int u = node->in[k];
      if (!braid_is_node(u)) continue;
      struct braid_band need = braid_graph_needs(b->graph, task->node, k, task->band);
      if (b->plan->site[u] == task->site)
        visit_tasks(b, t, u, need, fill);
      else
        visit_chunks(b, t, u, need, fill);
    }
  }
}

/* Turns the counts in next_end into empty runs. */
static enum braid_status lay_out_next(struct timeline *tl) {
  int64_t at = 0;
  for (int t = 0; t < tl->n_tasks; t++) at += tl->task[t].next_end;
  for (int c = 0; c < tl->n_chunks; c++) at += tl->chunk[c].next_end;
  if (at > EDGES_MAX)
    return braid_fail(BRAID_EINVAL, "%lld dependencies a frame are too many: use fewer slices", (long long)at);
  tl->n_next = (int)at;
  tl->next = braid_malloc((size_t)at * sizeof *tl->next);
  if (!tl->next) return braid_fail(BRAID_ENOMEM, "simulating: %lld dependencies", (long long)at);
  int begin = 0;
  for (int t = 0; t < tl->n_tasks; t++) {
    int n = tl->task[t].next_end;
    tl->task[t].next_begin = tl->task[t].next_end = begin;
    begin += n;
  }
  for (int c = 0; c < tl->n_chunks; c++) {
    int n = tl->chunk[c].next_end;
    tl->chunk[c].next_begin = tl->chunk[c].next_end = begin;
    begin += n;
  }
  return BRAID_OK;
}

static enum braid_status build(struct builder *b, int *by_rank) {
  struct timeline *tl = b->tl;
  number_tasks(b, by_rank);
  BRAID_TRY(count_chunks(b));
  tl->task = braid_calloc((size_t)tl->n_tasks, sizeof *tl->task);
  tl->needs = braid_calloc((size_t)tl->n_tasks, sizeof *tl->needs);
  tl->source = braid_calloc((size_t)tl->n_tasks, sizeof *tl->source);
  tl->chunk = braid_calloc((size_t)tl->n_chunks, sizeof *tl->chunk);
  if (!tl->task || !tl->needs || !tl->source || !tl->chunk) return braid_fail(BRAID_ENOMEM, "simulating %d tasks", tl->n_tasks);
  int chunks = 0;
  for (int v = 0; v < b->plan->n_nodes; v++)
    for (int i = 0; i < slices_of(b, v); i++) fill_task(b, v, i, &chunks);
  visit_pairs(b, false);
  BRAID_TRY(lay_out_next(tl));
  visit_pairs(b, true);
  for (int t = 0; t < tl->n_tasks && tl->serial; t++) tl->needs[t] += tl->task[t].site == BRAID_CLOUD;
  for (int t = 0; t < tl->n_tasks; t++)
    if (tl->needs[t] == 0) tl->source[tl->n_sources++] = t;
  return BRAID_OK;
}

enum braid_status timeline_create(const struct braid_plan *plan, const struct braid_graph *graph,
                                  const struct braid_costs *costs, struct timeline **out) {
  size_t n = (size_t)plan->n_nodes;
  struct builder b = {plan, graph, costs, braid_calloc(1, sizeof *b.tl), braid_malloc(2 * n * sizeof *b.first)};
  enum braid_status status = BRAID_ENOMEM;
  if (b.tl && b.first) {
    b.tl->serial = plan->serial;
    status = build(&b, b.first + n);
  } else {
    status = braid_fail(BRAID_ENOMEM, "simulating %d nodes", plan->n_nodes);
  }
  braid_free(b.first);
  if (status != BRAID_OK)
    timeline_destroy(&b.tl);
  else
    *out = b.tl;
  return status;
}

void timeline_destroy(struct timeline **timeline) {
  if (!timeline || !*timeline) return;
  braid_free((*timeline)->task);
  braid_free((*timeline)->chunk);
  braid_free((*timeline)->next);
  braid_free((*timeline)->needs);
  braid_free((*timeline)->source);
  braid_free(*timeline);
  *timeline = NULL;
}
