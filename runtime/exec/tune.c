/* SPDX-License-Identifier: Apache-2.0
 *
 * The search for the fastest kernel of every convolution, as cuDNN and oneDNN search: by trying. Kernels are tried
 * inside whole runs of the network, so each meets weights that come from memory and inputs as its predecessors leave
 * them; alone in a loop, those with the most weights look far better than they are. A round gives every convolution
 * one of its candidates and runs the network a few times; rounds go on until each had its turn, which is a pass.
 * Several passes, so that candidates take turns in whatever the machine does meanwhile; of each, at each node, the
 * shortest time counts. After a pass the ones that are far behind are left out.
 *
 * Before that each candidate's answer is compared with that of the portable kernels (OpenBLAS, or the reference), on
 * the true weights and pseudo-random activations. */
#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "exec/bind.h"
#include "exec/choices.h"
#include "exec/program.h"
#include "exec/tensors.h"

enum { BY_RULE = 0, DEFAULT_PASSES = 3, RUNS = 4, CANDIDATES_MAX = 24, COMPARE_RUNS = 9 };
/* What is so many times slower than the best has no second pass; what is not so much faster than the rules' kernel is
 * not worth a line: noise would decide. */
static const double far_behind = 1.25, worth = 0.95;
/* Of the largest value. Faults are larger by orders of magnitude; what each algorithm may be off by is held to account
 * in tests/kernels. */
static const double tolerance = 1e-3;

struct candidate {
  const struct braid_kernel *kernel;
  bool out;
  int64_t ns; /* of all nodes of the layer */
};

/* Nodes that are the same convolution. */
struct layer {
  char key[EXEC_CHOICE_CHARS];
  int node, n_nodes; /* the first; how many */
  struct exec_part part;
  int slices; /* of rows */
  int n;
  struct candidate candidate[CANDIDATES_MAX]; /* [BY_RULE]: what the rules take */
};

struct search {
  const struct braid_graph *graph;
  const struct braid_tune_opts *opts;
  struct braid_pool *pool;
  struct braid_choices *trial; /* of the round */
  struct layer *layer;
  int n_layers;
  int *layer_of;            /* [nodes]; -1: none */
  int64_t *best_ns;         /* [nodes][CANDIDATES_MAX]; 0: not measured */
  _Atomic int64_t *node_ns; /* [nodes] of one run: workers add, whoever waited for the frame reads */
  struct braid_tensor *in, *out;
  int n_in, n_out;
  int done, total; /* rounds */
};

static enum braid_status no_memory(const struct search *s) {
  return braid_fail(BRAID_ENOMEM, "no memory to search kernels for %s", braid_graph_name(s->graph));
}

static enum braid_status tell(struct search *s, int rounds) {
  s->done += rounds;
  if (!s->opts->progress || s->opts->progress(s->opts->ctx, s->done, s->total)) return BRAID_OK;
  return braid_fail(BRAID_ECLOSED, "the search was stopped");
}

/* --------------------------------------------------------------------------------------------------- layers */

static void list_candidates(const struct search *s, const struct braid_kernel_args *args,
                            const struct braid_kernel *rule, struct layer *l) {
  int n;
  const struct braid_kernel *const *table = braid_kernels(&n);
  l->candidate[l->n++] = (struct candidate){.kernel = rule};
  for (int i = 0; i < n && l->n < CANDIDATES_MAX; i++)
    if (table[i] != rule && table[i]->needs != 0 && exec_choice_fits(table[i], args, s->opts->cpu_flags, l->slices))
      l->candidate[l->n++] = (struct candidate){.kernel = table[i]};
}

/* The node's layer, a new one where it is the first of its kind; `program` says how it is cut. */
static enum braid_status file_node(struct search *s, const struct braid_program *program, int id,
                                   struct braid_kernel_args *args) {
  s->layer_of[id] = -1;
  const struct exec_step *step = program->computed_index[id] < 0 ? NULL : &program->step[program->computed_index[id]];
  if (!step || !step->kernel) return BRAID_OK;
  struct layer *l = &s->layer[s->n_layers];
  *l = (struct layer){.node = id, .n_nodes = 1, .part = {step->n_calls - 1, step->n_calls}};
  l->slices = step->n_calls > 1 ? 1 : program->tasks->n_slices[id];
  BRAID_TRY(exec_bind_node(s->graph, id, args));
  exec_parts_narrow(args, l->part);
  if (!exec_choice_key(args, l->slices, l->key)) return BRAID_OK;
  int same = 0;
  while (strcmp(s->layer[same].key, l->key) != 0) same++;
  s->layer_of[id] = same;
  if (same < s->n_layers) {
    s->layer[same].n_nodes++;
    return BRAID_OK;
  }
  list_candidates(s, args, step->kernel, l);
  s->n_layers++;
  return BRAID_OK;
}

static enum braid_status list_layers(struct search *s, struct braid_kernel_args *args) {
  struct braid_program_opts opts = {.cpu_flags = s->opts->cpu_flags, .only_planned = true};
  struct braid_program *program;
  s->pool->choices = NULL;
  BRAID_TRY(braid_program_create(s->pool, s->graph, NULL, &opts, &program));
  enum braid_status status = BRAID_OK;
  for (int id = 0; id < braid_graph_size(s->graph) && status == BRAID_OK; id++)
    status = file_node(s, program, id, args);
  braid_program_destroy(&program);
  return status;
}

/* ---------------------------------------------------------------------------------------------------- check */

/* Of the largest value; bytes and integers are equal or not. */
static double difference(const struct braid_tensor *got, const struct braid_tensor *want) {
  int64_t n = braid_shape_elements(&want->shape);
  if (want->dtype != BRAID_F32)
    return memcmp(got->data, want->data, (size_t)n * braid_dtype_bytes(want->dtype)) == 0 ? 0 : (double)INFINITY;
  const float *x = got->data, *y = want->data;
  double worst = 0, largest = 1e-30;
  for (int64_t i = 0; i < n; i++) {
    double d = fabs((double)x[i] - (double)y[i]);
    if (!isfinite(d)) return (double)INFINITY;
    worst = fmax(worst, d);
    largest = fmax(largest, fabs((double)y[i]));
  }
  return worst / largest;
}

static enum braid_status check_candidates(struct layer *l, const struct braid_kernel_args *args,
                                          const struct braid_tensor *want) {
  for (int i = 0; i < l->n; i++) {
    struct candidate *c = &l->candidate[i];
    BRAID_TRY(exec_compute(c->kernel, args, l->slices));
    double off = difference(&args->out, want);
    if (off <= tolerance) continue;
    if (i == BY_RULE)
      return braid_fail(BRAID_EMISMATCH, "%s is off by %.3g of the largest value on %s", c->kernel->name, off, l->key);
    braid_log(BRAID_LOG_WARN, "%s is off by %.3g of the largest value on %s; left out", c->kernel->name, off, l->key);
    c->out = true;
  }
  return BRAID_OK;
}

static enum braid_status check_layer(const struct search *s, struct layer *l, struct braid_kernel_args *args) {
  BRAID_TRY(exec_bind_node(s->graph, l->node, args));
  exec_parts_narrow(args, l->part);
  const struct braid_kernel *portable = braid_kernel_find(args, BRAID_CPU_BLAS);
  if (!portable) return braid_fail(BRAID_EUNSUPPORTED, "no portable kernel computes %s", l->key);
  enum braid_status status = BRAID_OK;
  for (int k = 0; k < args->n_in && status == BRAID_OK; k++)
    if (args->present[k] && !args->constant[k]) status = exec_tensor_make(&args->in[k], (uint64_t)k + 1);
  struct braid_tensor want = {NULL, args->out.dtype, args->out.shape};
  if (status == BRAID_OK) status = exec_tensor_make(&args->out, 0);
  if (status == BRAID_OK) status = exec_tensor_make(&want, 0);
  void *own = args->out.data;
  args->out.data = want.data;
  if (status == BRAID_OK) status = exec_compute(portable, args, 1);
  args->out.data = own;
  if (status == BRAID_OK) status = check_candidates(l, args, &want);
  for (int k = 0; k < args->n_in; k++)
    if (!args->constant[k]) braid_free(args->in[k].data);
  braid_free(args->out.data);
  braid_free(want.data);
  return status;
}

/* --------------------------------------------------------------------------------------------------- rounds */

static void on_task(void *ctx, int node, const struct exec_times *times) {
  struct search *s = ctx;
  atomic_fetch_add_explicit(&s->node_ns[node], times->cpu_ns, memory_order_relaxed);
}

static int left_of(const struct layer *l) {
  int left = 0;
  for (int i = 0; i < l->n; i++) left += !l->candidate[i].out;
  return left;
}

/* The candidate whose turn it is; those that are out have none. */
static int turn_of(const struct layer *l, int round) {
  int turn = round % left_of(l), i = 0;
  for (;; i++)
    if (!l->candidate[i].out && turn-- == 0) return i;
}

static int rounds_of(const struct search *s) {
  int most = 0;
  for (int k = 0; k < s->n_layers; k++) {
    int left = left_of(&s->layer[k]);
    if (left > most) most = left;
  }
  return most;
}

static void keep_times(struct search *s, int round) {
  for (int id = 0; id < braid_graph_size(s->graph); id++) {
    if (s->layer_of[id] < 0) continue;
    int64_t *best = &s->best_ns[(size_t)id * CANDIDATES_MAX + (size_t)turn_of(&s->layer[s->layer_of[id]], round)];
    int64_t ns = atomic_load_explicit(&s->node_ns[id], memory_order_relaxed);
    if (*best == 0 || ns < *best) *best = ns;
  }
}

static enum braid_status run_once(struct search *s, struct braid_program *program) {
  for (int id = 0; id < braid_graph_size(s->graph); id++)
    atomic_store_explicit(&s->node_ns[id], 0, memory_order_relaxed);
  return braid_program_run(program, s->in, s->n_in, s->out, s->n_out);
}

static enum braid_status run_round(struct search *s, int round) {
  struct braid_program_opts opts = {.frames = 1, .cpu_flags = s->opts->cpu_flags};
  struct braid_program *program;
  for (int k = 0; k < s->n_layers; k++)
    BRAID_TRY(exec_choices_set(s->trial, s->layer[k].key, s->layer[k].candidate[turn_of(&s->layer[k], round)].kernel));
  s->pool->choices = s->trial;
  BRAID_TRY(braid_program_create(s->pool, s->graph, NULL, &opts, &program));
  enum braid_status status = run_once(s, program);
  for (int i = 0; i < RUNS && status == BRAID_OK; i++) {
    status = run_once(s, program);
    if (status == BRAID_OK) keep_times(s, round);
  }
  braid_program_destroy(&program);
  return status == BRAID_OK ? tell(s, 1) : status;
}

static void add_up(struct search *s) {
  for (int k = 0; k < s->n_layers; k++)
    for (int i = 0; i < s->layer[k].n; i++) s->layer[k].candidate[i].ns = 0;
  for (int id = 0; id < braid_graph_size(s->graph); id++)
    for (int i = 0; s->layer_of[id] >= 0 && i < s->layer[s->layer_of[id]].n; i++)
      s->layer[s->layer_of[id]].candidate[i].ns += s->best_ns[(size_t)id * CANDIDATES_MAX + (size_t)i];
}

static const struct candidate *best_of(const struct layer *l) {
  const struct candidate *best = &l->candidate[BY_RULE];
  for (int i = 0; i < l->n; i++)
    if (!l->candidate[i].out && l->candidate[i].ns < best->ns) best = &l->candidate[i];
  return best;
}

static void leave_behind(struct layer *l) {
  double most = far_behind * (double)best_of(l)->ns;
  for (int i = 0; i < l->n; i++)
    if (i != BY_RULE && (double)l->candidate[i].ns > most) l->candidate[i].out = true;
}

static enum braid_status run_passes(struct search *s) {
  int passes = s->opts->passes > 0 ? s->opts->passes : DEFAULT_PASSES;
  s->pool->on_task_ctx = s; /* nothing runs yet */
  s->pool->on_task = on_task;
  for (int p = 0; p < passes; p++) {
    int rounds = rounds_of(s);
    s->total = s->done + (passes - p) * rounds + 1;
    for (int r = 0; r < rounds; r++) BRAID_TRY(run_round(s, r));
    add_up(s);
    for (int k = 0; k < s->n_layers; k++) leave_behind(&s->layer[k]);
  }
  return BRAID_OK;
}

/* --------------------------------------------------------------------------------------------------- result */

static enum braid_status choose(struct search *s, struct braid_choices *choices, struct braid_tuning *t) {
  t->layer = braid_calloc((size_t)s->n_layers + 1, sizeof *t->layer);
  if (!t->layer) return no_memory(s);
  for (; t->n < s->n_layers; t->n++) {
    const struct layer *l = &s->layer[t->n];
    const struct candidate *rule = &l->candidate[BY_RULE], *best = best_of(l);
    if ((double)best->ns > worth * (double)rule->ns) best = rule;
    t->layer[t->n] = (struct braid_tuned_layer){.nodes = l->n_nodes,
                                                .tried = l->n,
                                                .rule = rule->kernel->name,
                                                .chosen = best->kernel->name,
                                                .rule_ns = rule->ns,
                                                .chosen_ns = best->ns,
                                                .key = braid_strdup(l->key)};
    if (!t->layer[t->n].key) return no_memory(s);
    BRAID_TRY(exec_choices_set(choices, l->key, best == rule ? NULL : best->kernel));
  }
  return BRAID_OK;
}

static enum braid_status time_run(struct search *s, struct braid_program *program, int64_t *best_ns) {
  int64_t begin = exec_now_ns();
  BRAID_TRY(run_once(s, program));
  int64_t ns = exec_now_ns() - begin;
  if (*best_ns == 0 || ns < *best_ns) *best_ns = ns;
  return BRAID_OK;
}

/* The network by the rules and as chosen, in turns. */
static enum braid_status compare(struct search *s, const struct braid_choices *choices, struct braid_tuning *t) {
  struct braid_program_opts opts = {.frames = 1, .cpu_flags = s->opts->cpu_flags};
  struct braid_program *rule = NULL, *chosen = NULL;
  struct braid_program_info info;
  s->pool->on_task = NULL;
  s->pool->choices = NULL;
  enum braid_status status = braid_program_create(s->pool, s->graph, NULL, &opts, &rule);
  s->pool->choices = choices;
  if (status == BRAID_OK) status = braid_program_create(s->pool, s->graph, NULL, &opts, &chosen);
  for (int i = 0; i < 2 && status == BRAID_OK; i++) status = run_once(s, i ? chosen : rule);
  for (int i = 0; i < COMPARE_RUNS && status == BRAID_OK; i++) {
    status = time_run(s, rule, &t->rule_ns);
    if (status == BRAID_OK) status = time_run(s, chosen, &t->chosen_ns);
  }
  if (status == BRAID_OK) {
    braid_program_info(rule, &info);
    t->rule_packed_bytes = info.packed_bytes;
    braid_program_info(chosen, &info);
    t->chosen_packed_bytes = info.packed_bytes;
  }
  braid_program_destroy(&chosen);
  braid_program_destroy(&rule);
  return status == BRAID_OK ? tell(s, s->total - s->done) : status;
}

void braid_tuning_destroy(struct braid_tuning **tuning) {
  if (!*tuning) return;
  for (int i = 0; i < (*tuning)->n; i++) braid_free((*tuning)->layer[i].key);
  braid_free((*tuning)->layer);
  braid_free(*tuning);
  *tuning = NULL;
}

/* ------------------------------------------------------------------------------------------- prepare, release */

static enum braid_status prepare(struct search *s) {
  size_t n = (size_t)braid_graph_size(s->graph);
  const int *inputs = braid_graph_inputs(s->graph, &s->n_in), *outputs = braid_graph_outputs(s->graph, &s->n_out);
  struct braid_pool_opts pool = {.workers = s->opts->workers, .pin = s->opts->pin, .name = "tune"};
  s->layer = braid_calloc(n + 1, sizeof *s->layer);
  s->layer_of = braid_calloc(n, sizeof *s->layer_of);
  s->best_ns = braid_calloc(n * CANDIDATES_MAX, sizeof *s->best_ns);
  s->node_ns = braid_calloc(n, sizeof *s->node_ns);
  if (!s->layer || !s->layer_of || !s->best_ns || !s->node_ns) return no_memory(s);
  BRAID_TRY(exec_tensors_make(s->graph, inputs, s->n_in, &s->in));
  BRAID_TRY(exec_tensors_make(s->graph, outputs, s->n_out, &s->out));
  BRAID_TRY(braid_choices_create(s->opts->cpu_flags, &s->trial));
  return braid_pool_create(&pool, &s->pool);
}

static void release(struct search *s) {
  exec_tensors_free(s->in, s->n_in);
  exec_tensors_free(s->out, s->n_out);
  braid_pool_destroy(&s->pool);
  braid_choices_destroy(&s->trial);
  braid_free(s->layer);
  braid_free(s->layer_of);
  braid_free(s->best_ns);
  braid_free(s->node_ns);
}

static enum braid_status search(struct search *s, struct braid_choices *choices, struct braid_tuning *t) {
  struct braid_kernel_args *args = braid_malloc(sizeof *args);
  enum braid_status status = args ? prepare(s) : no_memory(s);
  if (status == BRAID_OK) status = list_layers(s, args);
  for (int k = 0; k < s->n_layers && status == BRAID_OK; k++) {
    status = check_layer(s, &s->layer[k], args);
    if (status == BRAID_OK) status = tell(s, 0);
  }
  braid_free(args);
  if (status == BRAID_OK) status = run_passes(s);
  if (status == BRAID_OK) status = choose(s, choices, t);
  return status == BRAID_OK ? compare(s, choices, t) : status;
}

enum braid_status braid_tune(const struct braid_graph *graph, const struct braid_tune_opts *opts,
                             struct braid_choices *choices, struct braid_tuning **out) {
  struct search s = {.graph = graph, .opts = opts, .total = 1};
  struct braid_tuning *tuning = braid_calloc(1, sizeof *tuning);
  if (!tuning) return no_memory(&s);
  enum braid_status status = search(&s, choices, tuning);
  release(&s);
  if (status != BRAID_OK)
    braid_tuning_destroy(&tuning);
  else
    *out = tuning;
  return status;
}
