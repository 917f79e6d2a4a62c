/* SPDX-License-Identifier: Apache-2.0
 *
 * Measuring a profile: the whole network runs, with one worker and as the executor runs it, and every node's time is
 * taken inside that run, so each meets the caches as its predecessors leave them. First runs until they get no faster,
 * then `repeat` runs, of which every node keeps its median: of the thread's own time, which is the wall's on a quiet
 * machine and leaves out what other processes take on a busy one. What a run takes beyond the sum of its nodes, from
 * the first node's begin to the last one's end, is the executor's own: task_ns is that per task.
 *
 * Slices cost more than their shares: a kernel sets up once a call, works worse on few rows, and meets weights that the
 * cache has lost to the nodes in between. So the network also runs with every node cut into SLICES, deepest ready slice
 * first, which is the order and the cache state of a stream that arrives row by row; what a node takes then beyond its
 * whole time, over its slices, is slice_ns. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "exec/choices.h"
#include "exec/program.h"
#include "exec/tensors.h"

enum { DEFAULT_REPEAT = 10, MAX_WARM_UPS = 5, SLICES = 8 };

/* One run's times; filled by the worker, read when the run is over. */
struct stopwatch {
  int64_t *node_ns; /* [n_nodes] */
  int64_t begin_ns, end_ns, sum_ns;
};

/* One way of running the network. */
struct course {
  const struct braid_plan *plan;
  int repeat;
  struct braid_program *program; /* while it runs: weights are packed once at a time */
  int64_t *sample;               /* [n_nodes][repeat] */
  int64_t *overhead_ns;          /* [repeat] */
};

struct measurement {
  const struct braid_graph *graph;
  struct braid_pool *pool;
  int n_nodes;
  struct stopwatch watch;
  struct braid_plan *streamed; /* the plan of the second course */
  struct course whole, sliced;
  struct braid_tensor *in, *out;
  int n_in, n_out;
};

static void on_task(void *ctx, int node, const struct exec_times *times) {
  struct stopwatch *watch = ctx;
  if (watch->begin_ns == 0) watch->begin_ns = times->begin_ns;
  watch->end_ns = times->end_ns;
  watch->sum_ns += times->end_ns - times->begin_ns;
  watch->node_ns[node] += times->cpu_ns;
}

/* ------------------------------------------------------------------------------------------------- runs */

static enum braid_status run_once(struct measurement *m, const struct course *c) {
  memset(m->watch.node_ns, 0, (size_t)m->n_nodes * sizeof *m->watch.node_ns);
  m->watch.begin_ns = m->watch.end_ns = m->watch.sum_ns = 0;
  return braid_program_run(c->program, m->in, m->n_in, m->out, m->n_out);
}

static enum braid_status warm_up(struct measurement *m, const struct course *c) {
  int64_t best_ns = INT64_MAX;
  for (int i = 0; i < MAX_WARM_UPS; i++) {
    BRAID_TRY(run_once(m, c));
    if (i > 0 && m->watch.sum_ns > best_ns - best_ns / 50) break; /* no longer 2 % faster */
    if (m->watch.sum_ns < best_ns) best_ns = m->watch.sum_ns;
  }
  return BRAID_OK;
}

static enum braid_status take_sample(struct measurement *m, struct course *c, int i) {
  struct braid_program_info info;
  braid_program_info(c->program, &info);
  BRAID_TRY(run_once(m, c));
  for (int id = 0; id < m->n_nodes; id++) c->sample[(size_t)id * (size_t)c->repeat + (size_t)i] = m->watch.node_ns[id];
  int64_t wall_ns = m->watch.end_ns - m->watch.begin_ns;
  c->overhead_ns[i] = info.tasks ? (wall_ns - m->watch.sum_ns) / info.tasks : 0;
  return BRAID_OK;
}

static enum braid_status run_course(struct measurement *m, const struct braid_profile_opts *opts, struct course *c,
                                    int done) {
  struct braid_program_opts program = {.frames = 1, .cpu_flags = opts->cpu_flags};
  BRAID_TRY(braid_program_create(m->pool, m->graph, c->plan, &program, &c->program));
  enum braid_status status = warm_up(m, c);
  for (int i = 0; i < c->repeat && status == BRAID_OK; i++) {
    status = take_sample(m, c, i);
    if (status == BRAID_OK && opts->progress)
      opts->progress(opts->ctx, done + i + 1, m->whole.repeat + m->sliced.repeat);
  }
  braid_program_destroy(&c->program);
  return status;
}

/* One course after the other, as either would run for long: they leave different things in the caches. */
static enum braid_status take_samples(struct measurement *m, const struct braid_profile_opts *opts) {
  BRAID_TRY(run_course(m, opts, &m->whole, 0));
  return run_course(m, opts, &m->sliced, m->whole.repeat);
}

static int compare(const void *a, const void *b) {
  int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
  return (x > y) - (x < y);
}

static int64_t median(int64_t *sample, int n) {
  qsort(sample, (size_t)n, sizeof *sample, compare);
  return n % 2 ? sample[n / 2] : sample[n / 2 - 1] + (sample[n / 2] - sample[n / 2 - 1]) / 2;
}

/* ----------------------------------------------------------------------------------------------- profile */

static char *machine_text(const struct braid_profile_opts *opts) {
  char cpu[256], flags[64], text[400];
  exec_cpu_name(cpu, sizeof cpu);
  int n = snprintf(text, sizeof text, "%s (%s)", cpu, braid_cpu_flags_text(opts->cpu_flags, flags, sizeof flags));
  if (opts->slow > 1 && n > 0 && (size_t)n < sizeof text)
    snprintf(text + n, sizeof text - (size_t)n, ", emulated %g times slower", opts->slow);
  return braid_strdup(text);
}

static int64_t node_median(const struct course *c, int id) {
  return median(c->sample + (size_t)id * (size_t)c->repeat, c->repeat);
}

static enum braid_status fill_profile(struct measurement *m, const struct braid_profile_opts *opts,
                                      struct braid_profile *p) {
  double slow = opts->slow > 0 ? opts->slow : 1;
  p->n_nodes = m->n_nodes;
  p->threads = 1;
  p->model = braid_strdup(braid_graph_name(m->graph));
  p->machine = machine_text(opts);
  p->node_ns = braid_calloc((size_t)m->n_nodes, sizeof *p->node_ns);
  p->slice_ns = braid_calloc((size_t)m->n_nodes, sizeof *p->slice_ns);
  if (!p->model || !p->machine || !p->node_ns || !p->slice_ns)
    return braid_fail(BRAID_ENOMEM, "no memory for a profile");
  braid_graph_hash_text(m->graph, p->hash);
  for (int id = 0; id < m->n_nodes; id++) {
    int64_t ns = node_median(&m->whole, id), more_ns = node_median(&m->sliced, id) - ns;
    int slices = m->streamed->slices[id];
    p->node_ns[id] = llrint((double)ns * slow);
    p->slice_ns[id] = slices > 1 && more_ns > 0 ? llrint((double)more_ns * slow / slices) : 0;
  }
  int64_t task_ns = median(m->whole.overhead_ns, m->whole.repeat);
  p->task_ns = task_ns > 0 ? task_ns : 0;
  return BRAID_OK;
}

/* Everything here, in slices, and what is deepest in the network first. */
static enum braid_status make_streamed(struct measurement *m) {
  BRAID_TRY(braid_plan_create(m->graph, "profile", &m->streamed));
  for (int id = 0; id < m->n_nodes; id++) {
    const struct braid_node *node = braid_graph_node(m->graph, id);
    int most = node->op == BRAID_OP_INPUT ? 1 : node->slices_max;
    m->streamed->slices[id] = most < SLICES ? most : SLICES;
    m->streamed->rank[id] = m->n_nodes - 1 - id;
  }
  return BRAID_OK;
}

static enum braid_status prepare_course(const struct measurement *m, const struct braid_plan *plan, int repeat,
                                        struct course *c) {
  c->plan = plan;
  c->repeat = repeat;
  c->sample = braid_calloc((size_t)m->n_nodes * (size_t)repeat, sizeof *c->sample);
  c->overhead_ns = braid_calloc((size_t)repeat, sizeof *c->overhead_ns);
  if (c->sample && c->overhead_ns) return BRAID_OK;
  return braid_fail(BRAID_ENOMEM, "no memory for %d times of %d nodes", repeat, m->n_nodes);
}

static void release_course(struct course *c) {
  braid_free(c->sample);
  braid_free(c->overhead_ns);
}

static enum braid_status prepare(struct measurement *m, const struct braid_profile_opts *opts) {
  const int *inputs = braid_graph_inputs(m->graph, &m->n_in), *outputs = braid_graph_outputs(m->graph, &m->n_out);
  struct braid_pool_opts pool = {.workers = 1, .pin = opts->pin, .name = "profile", .choices = opts->choices};
  BRAID_TRY(braid_pool_create(&pool, &m->pool));
  BRAID_TRY(make_streamed(m));
  int repeat = opts->repeat ? opts->repeat : DEFAULT_REPEAT;
  BRAID_TRY(prepare_course(m, NULL, repeat, &m->whole));
  BRAID_TRY(prepare_course(m, m->streamed, (repeat + 2) / 3, &m->sliced)); /* a correction: fewer will do */
  BRAID_TRY(exec_tensors_make(m->graph, inputs, m->n_in, &m->in));
  BRAID_TRY(exec_tensors_make(m->graph, outputs, m->n_out, &m->out));
  m->watch.node_ns = braid_calloc((size_t)m->n_nodes, sizeof *m->watch.node_ns);
  if (!m->watch.node_ns) return braid_fail(BRAID_ENOMEM, "no memory for the times of %d nodes", m->n_nodes);
  m->pool->on_task_ctx = &m->watch; /* nothing runs yet; the first frame's lock hands it to the worker */
  m->pool->on_task = on_task;
  return BRAID_OK;
}

static void release(struct measurement *m) {
  exec_tensors_free(m->in, m->n_in);
  exec_tensors_free(m->out, m->n_out);
  release_course(&m->whole);
  release_course(&m->sliced);
  braid_pool_destroy(&m->pool);
  braid_plan_destroy(&m->streamed);
  braid_free(m->watch.node_ns);
}

static enum braid_status check_opts(const struct braid_profile_opts *opts) {
  if (opts->repeat < 0 || opts->repeat > 1000000)
    return braid_fail(BRAID_EINVAL, "a profile of %d runs is not possible", opts->repeat);
  if (opts->slow != 0 && !(opts->slow > 0 && opts->slow <= 1e6))
    return braid_fail(BRAID_EINVAL, "a device %g times slower is not possible", opts->slow);
  return BRAID_OK;
}

enum braid_status braid_profile_measure(const struct braid_graph *graph, const struct braid_profile_opts *opts,
                                        struct braid_profile **out) {
  BRAID_TRY(check_opts(opts));
  struct measurement m = {.graph = graph, .n_nodes = braid_graph_size(graph)};
  struct braid_profile *profile = braid_calloc(1, sizeof *profile);
  if (!profile) return braid_fail(BRAID_ENOMEM, "no memory for a profile");
  enum braid_status status = prepare(&m, opts);
  if (status == BRAID_OK) status = take_samples(&m, opts);
  if (status == BRAID_OK) status = fill_profile(&m, opts, profile);
  release(&m);
  if (status != BRAID_OK) {
    braid_profile_destroy(&profile);
    return status;
  }
  *out = profile;
  return BRAID_OK;
}
