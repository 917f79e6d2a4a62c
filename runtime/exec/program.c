/* SPDX-License-Identifier: Apache-2.0
 * Compiling a graph under a plan for one site: kernels, tasks, memory, packed weights, arenas. */
#include "exec/program.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "exec/bind.h"
#include "exec/choices.h"
#include "exec/parts.h"

#define EXPECTED_NS_MAX INT64_C(3600000000000) /* an hour a node */
/* About 10 us of a fast core, by what it computes and what it reads and writes. */
#define WORK_OF_A_SLICE INT64_C(1000000)
#define WORK_OF_A_BYTE INT64_C(10)
enum { FEWEST_PIXELS = 32 };

static enum braid_status no_memory(const struct braid_program *p) {
  return braid_fail(BRAID_ENOMEM, "no memory to compile %s", braid_graph_name(p->graph));
}

static enum braid_status check_opts(const struct braid_graph *graph, const struct braid_plan *plan,
                                    const struct braid_program_opts *opts) {
  if (!opts->only_planned && (opts->frames < 1 || opts->frames > 65536))
    return braid_fail(BRAID_EINVAL, "a program needs 1 to 65536 frames, not %d", opts->frames);
  /* A serial plan whose cloud waits for everything cannot wait for what the edge makes of its results. */
  if (plan) BRAID_TRY(braid_plan_check(plan, graph, plan->serial));
  return BRAID_OK;
}

static bool computes(const struct braid_program *p, int id) {
  if (braid_graph_node(p->graph, id)->op == BRAID_OP_INPUT) return false;
  return !p->plan || p->plan->site[id] == p->here;
}

/* ---------------------------------------------------------------------------------- kernels and tasks */

static enum braid_status index_computed(struct braid_program *p) {
  int n = braid_graph_size(p->graph);
  p->computed_index = braid_malloc((size_t)n * sizeof *p->computed_index);
  if (!p->computed_index) return no_memory(p);
  for (int id = 0; id < n; id++) p->computed_index[id] = computes(p, id) ? p->n_computed++ : -1;
  p->step = braid_calloc((size_t)p->n_computed, sizeof *p->step);
  return p->step ? BRAID_OK : no_memory(p);
}

/* Each slice of rows of a convolution reads all weights: with few outputs a channel that takes as long as the whole. */
static bool has_room_for(const struct braid_node *node, int slices) {
  if ((node->op != BRAID_OP_CONV && node->op != BRAID_OP_QLINEAR_CONV) || node->shape.rank != 4) return true;
  return (int64_t)(node->rows / slices) * node->shape.dim[3] >= FEWEST_PIXELS;
}

static int64_t work_of(const struct braid_graph *graph, const struct braid_node *node) {
  size_t bytes = node->bytes + node->weight_bytes;
  for (int k = 0; k < node->n_in; k++)
    if (braid_is_node(node->in[k])) bytes += braid_graph_node(graph, node->in[k])->bytes;
  return node->macs + WORK_OF_A_BYTE * (int64_t)bytes;
}

/* How a node is cut. */
struct cut {
  int slices;
  bool by_channel;
};

/* Without a plan so that every worker gets a slice, where that is more work than a task costs. */
static struct cut cut_of(const struct braid_program *p, int id) {
  if (p->plan) return (struct cut){p->plan->slices[id] > 1 ? p->plan->slices[id] : 1, false};
  const struct braid_node *node = braid_graph_node(p->graph, id);
  int workers = p->pool->n_workers;
  if (workers == 1 || work_of(p->graph, node) < workers * WORK_OF_A_SLICE) return (struct cut){1, false};
  int from = node->n_in > 0 ? node->in[0] : BRAID_NONE;
  if (braid_is_node(from) && exec_parts_pay(node, &braid_graph_node(p->graph, from)->shape, workers))
    return (struct cut){workers, true};
  bool by_rows = has_room_for(node, workers) && node->slices_max >= workers;
  return (struct cut){by_rows ? workers : 1, false};
}

/* What kernels and plan make of each node, for tasks and memory. */
struct choices {
  int *n_slices;
  bool *by_channel;
  uint32_t *in_place; /* operands that may be overwritten */
};

static void choose_slices(struct braid_program *p, int id, struct cut cut, struct choices *c) {
  struct exec_step *step = &p->step[p->computed_index[id]];
  bool whole = !step->kernel->sliceable && !cut.by_channel; /* the only kernel there is may compute whole tensors */
  c->n_slices[id] = whole ? 1 : cut.slices;
  c->by_channel[id] = cut.by_channel;
  c->in_place[id] = step->kernel->in_place;
  step->first_call = p->n_calls;
  step->n_calls = cut.by_channel ? cut.slices : 1;
  p->n_calls += step->n_calls;
}

/* The one that was measured to be the fastest, or by the rules. */
static enum braid_status choose_kernel(const struct braid_program *p, int id, const struct braid_kernel_args *args,
                                       uint32_t cpu_flags, int slices, const struct braid_kernel **out) {
  *out = exec_choices_find(p->pool->choices, args, cpu_flags, slices);
  return *out ? BRAID_OK : exec_choose_kernel(p->graph, id, args, cpu_flags, slices, out);
}

static enum braid_status choose_kernels(struct braid_program *p, uint32_t cpu_flags, struct choices *c) {
  struct braid_kernel_args *args = braid_malloc(sizeof *args);
  if (!args) return no_memory(p);
  enum braid_status status = BRAID_OK;
  for (int id = 0; status == BRAID_OK && id < braid_graph_size(p->graph); id++) {
    c->n_slices[id] = 1;
    if (p->computed_index[id] < 0) continue;
    struct exec_step *step = &p->step[p->computed_index[id]];
    struct cut cut = cut_of(p, id);
    status = exec_bind_node(p->graph, id, args);
    if (status == BRAID_OK && cut.by_channel) exec_parts_narrow(args, (struct exec_part){cut.slices - 1, cut.slices});
    if (status == BRAID_OK)
      status = choose_kernel(p, id, args, cpu_flags, cut.by_channel ? 1 : cut.slices, &step->kernel);
    if (status == BRAID_OK) choose_slices(p, id, cut, c);
  }
  braid_free(args);
  return status;
}

static enum braid_status plan_work(struct braid_program *p, uint32_t cpu_flags, struct choices *c) {
  BRAID_TRY(choose_kernels(p, cpu_flags, c));
  struct exec_tasks_opts opts = {.plan = p->plan,
                                 .here = p->here,
                                 .n_slices = c->n_slices,
                                 .by_channel = c->by_channel,
                                 .chain = p->pool->n_workers == 1};
  BRAID_TRY(exec_tasks_create(p->graph, &opts, &p->tasks));
  struct exec_memory_opts memory_opts = {p->graph, p->tasks, c->in_place};
  BRAID_TRY(exec_memory_create(&memory_opts, &p->memory));
#ifndef NDEBUG
  BRAID_TRY(exec_tasks_check(p->tasks, p->graph));
  BRAID_TRY(exec_memory_check(&memory_opts, p->memory));
#endif
  return BRAID_OK;
}

static enum braid_status compile_tasks(struct braid_program *p, uint32_t cpu_flags) {
  size_t n = (size_t)braid_graph_size(p->graph);
  struct choices c = {braid_calloc(n, sizeof *c.n_slices), braid_calloc(n, sizeof *c.by_channel),
                      braid_calloc(n, sizeof *c.in_place)};
  enum braid_status status =
      c.n_slices && c.by_channel && c.in_place ? plan_work(p, cpu_flags, &c) : no_memory(p);
  braid_free(c.n_slices);
  braid_free(c.by_channel);
  braid_free(c.in_place);
  return status;
}

/* A view runs no kernel; a Concat some of whose operands lie elsewhere copies them. */
static void mark_views(struct braid_program *p) {
  for (int id = 0; id < p->tasks->n_nodes; id++) {
    const struct braid_node *node = braid_graph_node(p->graph, id);
    if (p->computed_index[id] < 0 || !p->memory->view[id]) continue;
    struct exec_step *step = &p->step[p->computed_index[id]];
    step->kernel = NULL;
    size_t at = p->memory->offset[id];
    for (int k = 0; node->op == BRAID_OP_CONCAT && k < node->n_in; k++) {
      const struct braid_tensor *c = braid_is_node(node->in[k]) ? NULL : braid_graph_constant(p->graph, node->in[k]);
      if (c || p->memory->offset[node->in[k]] != at) step->joins = true;
      at += c ? braid_band_bytes(&c->shape, c->dtype, (struct braid_band){0, braid_slice_rows(&c->shape)})
              : braid_graph_node(p->graph, node->in[k])->bytes;
    }
  }
}

static int by_rank(const void *a, const void *b, void *ctx) {
  const struct braid_plan *plan = ctx;
  int x = plan->rank[*(const int *)a], y = plan->rank[*(const int *)b];
  return (x > y) - (x < y);
}

static enum braid_status list_sent(struct braid_program *p) {
  for (int id = 0; id < p->tasks->n_nodes; id++) p->n_sent += p->tasks->role[id].sent;
  p->sent = braid_malloc((size_t)p->n_sent * sizeof *p->sent);
  if (!p->sent) return no_memory(p);
  int n = 0;
  for (int id = 0; id < p->tasks->n_nodes; id++)
    if (p->tasks->role[id].sent) p->sent[n++] = id;
  if (p->plan) qsort_r(p->sent, (size_t)n, sizeof *p->sent, by_rank, p->plan);
  return BRAID_OK;
}

/* ---------------------------------------------------------------------------------- weights and scratch */

static enum braid_status take_weights_of_part(struct braid_program *p, int id, struct exec_part part,
                                              struct braid_kernel_args *args) {
  const struct exec_step *step = &p->step[p->computed_index[id]];
  struct exec_call *call = &p->call[step->first_call + part.index];
  BRAID_TRY(exec_bind_node(p->graph, id, args));
  exec_parts_narrow(args, part);
  int slices = part.n > 1 ? 1 : p->tasks->n_slices[id], rows = braid_graph_node(p->graph, id)->rows;
  size_t scratch = exec_scratch_bytes(step->kernel, args, (rows + slices - 1) / slices);
  if (scratch > p->scratch_bytes) p->scratch_bytes = scratch;
  size_t bytes = exec_packed_bytes(step->kernel, args);
  p->packed_bytes += bytes;
  if (bytes == 0 || p->only_planned) return BRAID_OK;
  BRAID_TRY(exec_weights_take(&p->pool->weights, p->graph, id, part, step->kernel, args, &call->weights));
  call->packed = exec_packed_data(call->weights);
  return BRAID_OK;
}

static enum braid_status take_weights_of(struct braid_program *p, int id, struct braid_kernel_args *args) {
  const struct exec_step *step = &p->step[p->computed_index[id]];
  enum braid_status status = BRAID_OK;
  for (int i = 0; step->kernel && status == BRAID_OK && i < step->n_calls; i++)
    status = take_weights_of_part(p, id, (struct exec_part){i, step->n_calls}, args);
  return status;
}

static enum braid_status take_weights(struct braid_program *p) {
  struct braid_kernel_args *args = braid_malloc(sizeof *args);
  p->call = braid_calloc((size_t)p->n_calls, sizeof *p->call);
  enum braid_status status = args && p->call ? BRAID_OK : no_memory(p);
  for (int id = 0; status == BRAID_OK && id < p->tasks->n_nodes; id++)
    if (p->computed_index[id] >= 0) status = take_weights_of(p, id, args);
  braid_free(args);
  return status;
}

static enum braid_status join_arenas(struct braid_program *p, const struct braid_program_opts *opts) {
  if (!opts->arenas) return braid_arenas_create(p->pool, &p->arenas);
  p->arenas = exec_arenas_join(opts->arenas);
  return BRAID_OK;
}

static enum braid_status make_scratch(struct braid_program *p) {
  p->scratch = braid_calloc((size_t)p->pool->n_workers, sizeof *p->scratch);
  if (!p->scratch) return no_memory(p);
  for (int i = 0; p->scratch_bytes > 0 && i < p->pool->n_workers; i++)
    BRAID_TRY(exec_arenas_take(p->arenas, p->scratch_bytes, &p->scratch[i]));
  return BRAID_OK;
}

/* ---------------------------------------------------------------------------------------------- frames */

static void bind_frame(struct braid_frame *frame, int id, struct braid_kernel_args *args) {
  const struct braid_program *p = frame->program;
  const struct braid_node *node = braid_graph_node(p->graph, id);
  args->out.data = frame->arena + p->memory->offset[id];
  for (int k = 0; k < node->n_in; k++)
    if (braid_is_node(node->in[k])) args->in[k].data = frame->arena + p->memory->offset[node->in[k]];
}

static enum braid_status make_frame(struct braid_program *p, struct braid_frame *frame) {
  frame->program = p;
  BRAID_TRY(exec_arenas_take(p->arenas, p->memory->arena_bytes, &frame->block));
  frame->arena = frame->block->data;
  frame->args = braid_calloc((size_t)p->n_calls, sizeof *frame->args);
  frame->waits = braid_calloc((size_t)p->tasks->n_tasks, sizeof *frame->waits);
  frame->arrived = braid_calloc((size_t)p->tasks->n_rows, sizeof *frame->arrived);
  frame->spent = braid_calloc((size_t)p->n_computed, sizeof *frame->spent);
  if (!frame->args || !frame->waits || !frame->arrived || !frame->spent) return no_memory(p);
  for (int id = 0; id < p->tasks->n_nodes; id++) {
    if (p->computed_index[id] < 0) continue;
    const struct exec_step *step = &p->step[p->computed_index[id]];
    for (int i = 0; i < step->n_calls; i++) {
      struct braid_kernel_args *args = &frame->args[step->first_call + i];
      BRAID_TRY(exec_bind_node(p->graph, id, args));
      bind_frame(frame, id, args);
      exec_parts_narrow(args, (struct exec_part){i, step->n_calls});
    }
  }
  return BRAID_OK;
}

static enum braid_status make_times(struct braid_program *p) {
  p->expected_ns = braid_calloc((size_t)p->tasks->n_tasks, sizeof *p->expected_ns);
  p->measured.node = braid_malloc((size_t)p->n_computed * sizeof *p->measured.node);
  if (!p->expected_ns || !p->measured.node) return no_memory(p);
  for (int i = 0; i < p->n_computed; i++) atomic_init(&p->measured.node[i].ns, 0);
  return BRAID_OK;
}

/* The first frame is the first to be begun: it has the block that was used last (release gives them back the other way
 * round). With plans that follow each other quickly the others may never be used, and their memory grows cold. */
static enum braid_status make_frames(struct braid_program *p, int n) {
  p->frame = braid_calloc((size_t)n, sizeof *p->frame);
  if (!p->frame) return no_memory(p);
  p->n_frames = n;
  for (int i = 0; i < n; i++) BRAID_TRY(make_frame(p, &p->frame[i]));
  for (int i = 0; i + 1 < n; i++) p->frame[i].next_free = &p->frame[i + 1];
  p->free_frame = &p->frame[0];
  return BRAID_OK;
}

/* ------------------------------------------------------------------------------------- create and destroy */

/* Arenas are written to when they are made: before that is the time to ask whether they may be had. */
static enum braid_status check_arenas(const struct braid_program *p, const struct braid_program_opts *opts) {
  size_t bytes = 0, limit = opts->max_arena_bytes;
  bool fits = braid_mul_size(p->memory->arena_bytes, (size_t)opts->frames, &bytes);
  if (limit == 0 || (fits && bytes <= limit)) return BRAID_OK;
  return braid_fail(BRAID_EBUSY, "%d arenas of %zu MiB are more than the %zu MiB left: ask for a smaller window",
                    opts->frames, (p->memory->arena_bytes >> 20) + 1, limit >> 20);
}

static enum braid_status compile(struct braid_program *p, const struct braid_plan *plan,
                                 const struct braid_program_opts *opts) {
  if (plan) {
    BRAID_TRY(braid_plan_copy(plan, &p->plan));
    p->serial = plan->serial;
  }
  BRAID_TRY(index_computed(p));
  BRAID_TRY(compile_tasks(p, opts->cpu_flags));
  BRAID_TRY(check_arenas(p, opts));
  mark_views(p);
  BRAID_TRY(list_sent(p));
  BRAID_TRY(take_weights(p));
  BRAID_TRY(make_times(p));
  if (p->only_planned) return BRAID_OK;
  BRAID_TRY(join_arenas(p, opts));
  BRAID_TRY(make_frames(p, opts->frames));
  return make_scratch(p); /* after the arenas, to which what is kept matters more */
}

static void release(struct braid_program *p) {
  for (int i = p->n_frames - 1; i >= 0; i--) {
    exec_arenas_give(p->arenas, p->frame[i].block);
    braid_free(p->frame[i].args);
    braid_free(p->frame[i].waits);
    braid_free(p->frame[i].arrived);
    braid_free(p->frame[i].spent);
  }
  for (int i = 0; p->call && i < p->n_calls; i++) exec_weights_release(&p->pool->weights, p->call[i].weights);
  for (int i = 0; p->scratch && i < p->pool->n_workers; i++) exec_arenas_give(p->arenas, p->scratch[i]);
  braid_arenas_destroy(&p->arenas);
  exec_tasks_destroy(&p->tasks);
  exec_memory_destroy(&p->memory);
  braid_plan_destroy(&p->plan);
  braid_free(p->expected_ns);
  braid_free(p->measured.node);
  braid_free(p->computed_index);
  braid_free(p->step);
  braid_free(p->call);
  braid_free(p->scratch);
  braid_free(p->sent);
  braid_free(p->frame);
  braid_free(p);
}

static enum braid_status reserve(struct braid_program *p) {
  int64_t tasks = (int64_t)p->tasks->n_tasks * p->n_frames;
  if (tasks > INT32_MAX)
    return braid_fail(BRAID_EINVAL, "%d frames of %d tasks are too many", p->n_frames, p->tasks->n_tasks);
  return exec_pool_reserve(p->pool, (int)tasks);
}

enum braid_status braid_program_create(struct braid_pool *pool, const struct braid_graph *graph,
                                       const struct braid_plan *plan, const struct braid_program_opts *opts,
                                       struct braid_program **out) {
  BRAID_TRY(check_opts(graph, plan, opts));
  struct braid_program *p = braid_calloc(1, sizeof *p);
  if (!p) return braid_fail(BRAID_ENOMEM, "no memory to compile %s", braid_graph_name(graph));
  p->pool = pool;
  p->graph = graph;
  p->here = opts->here;
  p->only_planned = opts->only_planned;
  enum braid_status status = compile(p, plan, opts);
  if (status == BRAID_OK) status = reserve(p);
  if (status != BRAID_OK) {
    release(p);
    return status;
  }
  *out = p;
  return BRAID_OK;
}

static int64_t share_of(const struct braid_program *program, const struct exec_task *task, int64_t node_ns,
                        int64_t slice_ns) {
  int rows = braid_graph_node(program->graph, task->node)->rows;
  double share = (double)(task->band.end - task->band.begin) / rows;
  if (program->tasks->by_channel[task->node]) share = 1.0 / program->tasks->n_slices[task->node];
  return (int64_t)((double)node_ns * share) + (share < 1 ? slice_ns : 0);
}

enum braid_status braid_program_expect(struct braid_program *program, const int64_t *node_ns, const int64_t *slice_ns) {
  const struct exec_tasks *tasks = program->tasks;
  for (int i = 0; i < tasks->n_tasks; i++) {
    int id = tasks->task[i].node;
    int64_t node = node_ns[id], slice = slice_ns ? slice_ns[id] : 0;
    if (node < 0 || node > EXPECTED_NS_MAX || slice < 0 || slice > EXPECTED_NS_MAX)
      return braid_fail(BRAID_EINVAL, "node %s cannot take %lld ns and %lld ns a slice more",
                        braid_graph_node(program->graph, id)->name, (long long)node, (long long)slice);
    program->expected_ns[i] = share_of(program, &tasks->task[i], node, slice);
  }
  return BRAID_OK;
}

enum braid_status braid_program_emulate(struct braid_program *program, const int64_t *node_ns,
                                        const int64_t *slice_ns) {
  BRAID_TRY(braid_program_expect(program, node_ns, slice_ns));
  program->emulates = true;
  return BRAID_OK;
}

void braid_program_destroy(struct braid_program **program) {
  struct braid_program *p = *program;
  if (!p) return;
  assert(p->n_in_use == 0); /* all frames ended */
  exec_pool_unreserve(p->pool, p->tasks->n_tasks * p->n_frames);
  release(p);
  *program = NULL;
}

/* ---------------------------------------------------------------------------------------------- reading */

void braid_program_info(const struct braid_program *program, struct braid_program_info *info) {
  *info = (struct braid_program_info){
      .arena_bytes = program->memory->arena_bytes,
      .arena_bound_bytes = program->memory->bound_bytes,
      .packed_bytes = program->packed_bytes,
      .scratch_bytes = program->scratch_bytes * (size_t)program->pool->n_workers,
      .tasks = program->tasks->n_tasks,
  };
}

void braid_program_times(const struct braid_program *program, struct braid_program_times *times) {
  const struct exec_measured *m = &program->measured;
  times->tasks = atomic_load_explicit(&m->tasks, memory_order_relaxed);
  times->run_ns = atomic_load_explicit(&m->run_ns, memory_order_relaxed);
  times->wait_ns = atomic_load_explicit(&m->wait_ns, memory_order_relaxed);
  times->profile_ns = atomic_load_explicit(&m->profile_ns, memory_order_relaxed);
  for (int id = 0; times->node_ns && id < program->tasks->n_nodes; id++) {
    int index = program->computed_index[id];
    times->node_ns[id] = index < 0 ? 0 : atomic_load_explicit(&m->node[index].ns, memory_order_relaxed);
  }
}

const char *braid_program_kernel_name(const struct braid_program *program, int node) {
  if (program->computed_index[node] < 0) return NULL;
  const struct braid_kernel *kernel = program->step[program->computed_index[node]].kernel;
  return kernel ? kernel->name : "view";
}

bool braid_program_receives(const struct braid_program *program, int node) {
  return program->tasks->role[node].received;
}

bool braid_program_sends(const struct braid_program *program, int node) {
  return program->tasks->role[node].sent;
}
