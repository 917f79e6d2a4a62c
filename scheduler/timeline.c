/* SPDX-License-Identifier: Apache-2.0
 * Compiles a plan into the tasks, messages and dependencies of one frame. A slice depends on exactly those producer
 * slices (or, across the cut, messages) that hold rows braid_graph_needs() asks for: a run of consecutive ones. */
#include "timeline.h"

#include <string.h>

#define EDGES_MAX (1 << 27)

struct run {
  int begin, end;
};
struct builder {
  const struct braid_plan *plan;
  struct tl_layouts *layouts;
  struct slab *memory;
  struct timeline *tl;
  const struct tl_layout **layout; /* [n_nodes] */
  int *first;                      /* [n_nodes] number of the node's first task */
  int *by_rank;                    /* [n_nodes] nodes */
  struct run *run;                 /* of tasks or chunks: one for every slice and operand */
};

static void *take(struct builder *b, size_t count, size_t bytes) {
  return slab_take(b->memory, count, bytes);
}

/* ------------------------------------------------------------------------------------------ tasks and chunks */

static bool crosses(const struct builder *b, int v) {
  const struct braid_graph *graph = b->layouts->graph;
  return braid_plan_crosses_up(b->plan, graph, v) || braid_plan_crosses_down(b->plan, graph, v);
}

/* Tasks by rank; counts what there will be of everything. */
static enum braid_status lay_out_nodes(struct builder *b, int64_t *runs) {
  int n = b->plan->n_nodes;
  int64_t tasks = 0, chunks = 0;
  for (int v = 0; v < n; v++) b->by_rank[b->plan->rank[v]] = v;
  for (int r = 0; r < n; r++) {
    int v = b->by_rank[r];
    const struct braid_node *node = braid_graph_node(b->layouts->graph, v);
    bool crossing = crosses(b, v);
    int slices = node->op == BRAID_OP_INPUT ? 1 : b->plan->slices[v];
    BRAID_TRY(tl_layout_get(b->layouts, v, slices, crossing, &b->layout[v]));
    b->first[v] = (int)tasks;
    tasks += slices;
    if (crossing) chunks += b->layout[v]->first[slices];
    *runs += (int64_t)slices * b->layout[v]->n_operands;
    if (chunks > EDGES_MAX) return braid_fail(BRAID_EINVAL, "%lld messages a frame are too many", (long long)chunks);
    if (tasks > EDGES_MAX || *runs > EDGES_MAX)
      return braid_fail(BRAID_EINVAL, "%lld tasks a frame are too many: use fewer slices", (long long)tasks);
  }
  b->tl->n_tasks = (int)tasks;
  b->tl->n_chunks = (int)chunks;
  return BRAID_OK;
}

static void fill_chunks(struct builder *b, const struct tl_layout *l, int i, int t, int *at) {
  struct timeline *tl = b->tl;
  bool up = tl->task[t].site == BRAID_EDGE, answers = l->node->is_output && tl->task[t].site != b->plan->deliver;
  for (int m = l->first[i]; m < l->first[i + 1]; m++) {
    const struct tl_message *message = &l->message[m];
    struct tl_chunk *chunk = &tl->chunk[(*at)++];
    *chunk = (struct tl_chunk){t, message->band, message->ns[up ? 0 : 1], message->bytes, answers, 0, 0};
    tl->total_ns[up ? BRAID_RES_UP : BRAID_RES_DOWN] += chunk->ns;
  }
  tl->chunks[up ? 0 : 1] += l->first[i + 1] - l->first[i];
  if (answers) tl->answers += l->first[i + 1] - l->first[i];
}

static void fill_tasks(struct builder *b, int v, int *chunks) {
  struct timeline *tl = b->tl;
  const struct tl_layout *l = b->layout[v];
  uint8_t site = b->plan->site[v];
  bool crossing = crosses(b, v), answers = l->node->is_output && site == b->plan->deliver;
  *(l->input ? &tl->inputs : &tl->tasks[site]) += l->slices;
  if (answers) tl->answers += l->slices;
  for (int i = 0; i < l->slices; i++) {
    int t = b->first[v] + i;
    struct tl_task *task = &tl->task[t];
    *task = (struct tl_task){
        .node = v, .band = l->band[i], .ns = l->ns[site][i], .site = site, .input = l->input, .answers = answers};
    tl->total_ns[site == BRAID_EDGE ? BRAID_RES_EDGE : BRAID_RES_CLOUD] += task->ns;
    task->chunk_begin = *chunks;
    if (crossing) fill_chunks(b, l, i, t, chunks);
    task->chunk_end = *chunks;
  }
}

/* ---------------------------------------------------------------------------------------------- dependencies */

/* The slice that holds the row: larger slices come first (braid_slice_band). */
static int slice_of(const struct tl_layout *l, int row) {
  int base = l->rows / l->slices, extra = l->rows % l->slices, large = extra * (base + 1);
  return row < large ? row / (base + 1) : extra + (row - large) / base;
}

static int message_of(const struct tl_layout *l, int row) {
  int i = slice_of(l, row);
  return l->first[i] + (row - l->band[i].begin) / l->step;
}

/* Which tasks (on the same site) or chunks hold these rows of u. */
static struct run find_run(const struct builder *b, int u, bool same_site, struct braid_band need) {
  const struct tl_layout *l = b->layout[u];
  int last = need.end < l->rows ? need.end - 1 : l->rows - 1, base;
  if (need.begin > last) return (struct run){0, 0};
  if (same_site) {
    base = b->first[u];
    return l->slices == 1 ? (struct run){base, base + 1}
                          : (struct run){base + slice_of(l, need.begin), base + slice_of(l, last) + 1};
  }
  base = b->tl->task[b->first[u]].chunk_begin;
  return (struct run){base + message_of(l, need.begin), base + message_of(l, last) + 1};
}

static enum braid_status count_runs(struct builder *b) {
  struct timeline *tl = b->tl;
  struct run *run_at = b->run;
  int64_t edges = 0;
  for (int t = 0; t < tl->n_tasks; t++) {
    int v = tl->task[t].node, needs = 0;
    const struct tl_layout *l = b->layout[v];
    const struct braid_band *need = l->need + (size_t)(t - b->first[v]) * (size_t)l->n_operands;
    for (int k = 0; k < l->n_operands; k++) {
      bool same_site = b->plan->site[l->operand[k]] == tl->task[t].site;
      struct run run = find_run(b, l->operand[k], same_site, need[k]);
      *run_at++ = run;
      needs += run.end - run.begin;
      if ((edges += run.end - run.begin) > EDGES_MAX)
        return braid_fail(BRAID_EINVAL, "%lld dependencies a frame are too many: use fewer slices", (long long)edges);
      for (int i = run.begin; i < run.end; i++) (*(same_site ? &tl->task[i].next_end : &tl->chunk[i].next_end))++;
    }
    tl->needs[t] = needs;
  }
  tl->n_next = (int)edges;
  return BRAID_OK;
}

/* Turns the counts in next_end into empty runs. */
static void lay_out_next(struct timeline *tl) {
  int begin = 0;
  tl->all_count = true;
  for (int t = 0; t < tl->n_tasks; t++) {
    int n = tl->task[t].next_end;
    tl->task[t].next_begin = tl->task[t].next_end = begin;
    begin += n;
    tl->all_count &= n > 0 || tl->task[t].answers || tl->task[t].chunk_begin < tl->task[t].chunk_end;
  }
  for (int c = 0; c < tl->n_chunks; c++) {
    int n = tl->chunk[c].next_end;
    tl->chunk[c].next_begin = tl->chunk[c].next_end = begin;
    begin += n;
    tl->all_count &= n > 0 || tl->chunk[c].answers;
  }
}

static void fill_next(struct builder *b) {
  struct timeline *tl = b->tl;
  const struct run *run = b->run;
  for (int t = 0; t < tl->n_tasks; t++) {
    const struct tl_layout *l = b->layout[tl->task[t].node];
    for (int k = 0; k < l->n_operands; k++, run++) {
      bool same_site = b->plan->site[l->operand[k]] == tl->task[t].site;
      for (int i = run->begin; i < run->end; i++)
        tl->next[(*(same_site ? &tl->task[i].next_end : &tl->chunk[i].next_end))++] = t;
    }
  }
}

/* --------------------------------------------------------------------------------------------- the outside */

static enum braid_status no_memory(const struct builder *b) {
  return braid_fail(BRAID_ENOMEM, "simulating %d tasks of %d nodes", b->tl->n_tasks, b->plan->n_nodes);
}

static enum braid_status build(struct builder *b) {
  struct timeline *tl = b->tl;
  int64_t runs = 0;
  int chunks = 0;
  BRAID_TRY(lay_out_nodes(b, &runs));
  tl->task = take(b, (size_t)tl->n_tasks, sizeof *tl->task);
  tl->needs = take(b, (size_t)tl->n_tasks, sizeof *tl->needs);
  tl->source = take(b, (size_t)tl->n_tasks, sizeof *tl->source);
  tl->chunk = take(b, (size_t)tl->n_chunks, sizeof *tl->chunk);
  b->run = take(b, (size_t)runs, sizeof *b->run);
  if (!tl->task || !tl->needs || !tl->source || !tl->chunk || !b->run) return no_memory(b);
  for (int r = 0; r < b->plan->n_nodes; r++) fill_tasks(b, b->by_rank[r], &chunks);
  BRAID_TRY(count_runs(b));
  tl->next = take(b, (size_t)tl->n_next, sizeof *tl->next);
  if (!tl->next) return no_memory(b);
  lay_out_next(tl);
  fill_next(b);
  for (int t = 0; t < tl->n_tasks && tl->serial; t++) tl->needs[t] += tl->task[t].site == BRAID_CLOUD;
  for (int t = 0; t < tl->n_tasks; t++)
    if (tl->needs[t] == 0) tl->source[tl->n_sources++] = t;
  return BRAID_OK;
}

enum braid_status timeline_create(const struct braid_plan *plan, struct tl_layouts *layouts, struct slab *memory,
                                  const struct timeline **out) {
  size_t n = (size_t)plan->n_nodes;
  struct builder b = {.plan = plan, .layouts = layouts, .memory = memory};
  b.tl = take(&b, 1, sizeof *b.tl);
  b.layout = take(&b, n, sizeof *b.layout);
  b.first = take(&b, n, sizeof *b.first);
  b.by_rank = take(&b, n, sizeof *b.by_rank);
  if (!b.tl || !b.layout || !b.first || !b.by_rank) return braid_fail(BRAID_ENOMEM, "simulating %zu nodes", n);
  *b.tl = (struct timeline){.serial = plan->serial};
  BRAID_TRY(build(&b));
  *out = b.tl;
  return BRAID_OK;
}
