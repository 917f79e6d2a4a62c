/* SPDX-License-Identifier: Apache-2.0
 *
 * y = conv(x, W) + b, followed by z = s*y + t with s and t constant per channel, is one convolution with the weights
 * s*W and the bias s*b + t. BatchNormalization is s = gamma/sqrt(var + epsilon), t = beta - mean*s; products and sums
 * with constants are the like. A whole chain of them is gathered first, in double, so that the weights are copied and
 * rounded once. The same holds for the columns of a Gemm, and for gamma and beta of a BatchNormalization that has no
 * convolution before it.
 *
 * Networks whose views share their weights still do so afterwards: what has been folded is remembered by weights.
 */
#include "passes/passes.h"
#include "passes/uses.h"

#include <math.h>
#include <string.h>

struct affine {
  int channels;
  double *scale, *shift;
};

static const float *floats(const struct braid_graph *graph, int operand) {
  if (!braid_is_const(operand)) return NULL;
  const struct braid_tensor *t = braid_graph_constant(graph, operand);
  return t->dtype == BRAID_F32 ? t->data : NULL;
}

/* -------------------------------------------------------------------------- what may follow: s*y + t */

static bool append_batchnorm(const struct braid_graph *graph, const struct braid_node *node, struct affine *f) {
  const float *gamma = floats(graph, node->in[1]), *beta = floats(graph, node->in[2]),
              *mean = floats(graph, node->in[3]), *var = floats(graph, node->in[4]);
  if (!gamma || !beta || !mean || !var) return false;
  double epsilon = (double)node->attrs.norm.epsilon;
  for (int c = 0; c < f->channels; c++)
    if (!((double)var[c] + epsilon > 0.0)) return false; /* infinite: the node itself shall say so */
  for (int c = 0; c < f->channels; c++) {
    double s = (double)gamma[c] / sqrt((double)var[c] + epsilon);
    f->scale[c] *= s;
    f->shift[c] = (f->shift[c] - (double)mean[c]) * s + (double)beta[c];
  }
  return true;
}

/* Step from one channel's value to the next in a constant that is broadcast over [N,C,...]: 1 per channel, 0 one for
 * all, -1 when it varies along another axis. */
static int channel_step(const struct braid_shape *constant, const struct braid_shape *to) {
  int step = 0;
  for (int i = 1; i <= constant->rank; i++) {
    int extent = constant->dim[constant->rank - i];
    if (extent == 1) continue;
    if (to->rank - i != 1) return -1;
    step = 1;
  }
  return step;
}

static bool append_constant(const struct braid_graph *graph, const struct braid_node *node, int from,
                            struct affine *f) {
  int k = node->in[0] == from;
  const float *value = floats(graph, node->in[k]);
  if (!value || !braid_shape_equal(&node->shape, &graph->node[from].shape)) return false;
  int step = channel_step(&braid_graph_constant(graph, node->in[k])->shape, &node->shape);
  if (step < 0) return false;
  for (int c = 0; c < f->channels; c++) {
    double v = (double)value[c * step];
    if (node->op == BRAID_OP_MUL) f->scale[c] *= v, f->shift[c] *= v;
    else f->shift[c] += v;
  }
  return true;
}

static bool append(const struct braid_graph *graph, int id, int from, struct affine *f) {
  const struct braid_node *node = &graph->node[id];
  switch (node->op) {
  case BRAID_OP_BATCH_NORMALIZATION: return node->in[0] == from && append_batchnorm(graph, node, f);
  case BRAID_OP_MUL:
  case BRAID_OP_ADD: return append_constant(graph, node, from, f);
  default: return false;
  }
}

/* The last node of the chain behind `id`; `id` itself when nothing can be folded. */
static int gather(const struct uses *uses, int id, struct affine *f) {
  for (int c = 0; c < f->channels; c++) f->scale[c] = 1.0, f->shift[c] = 0.0;
  for (;;) {
    int next = sole_reader(uses, id);
    if (next < 0 || !append(uses->graph, next, id, f)) return id;
    id = next;
  }
}

/* ------------------------------------------------------------------------------------- new constants */

static enum braid_status new_constant(struct braid_graph *graph, const struct braid_shape *shape, float **data,
                                      int *operand) {
  *data = braid_alloc_aligned((size_t)braid_shape_elements(shape) * sizeof **data);
  if (!*data) return out_of_memory(graph);
  BRAID_TRY(braid_graph_adopt(graph, *data, braid_free));
  return braid_graph_add_constant(graph, NULL, &(struct braid_tensor){*data, BRAID_F32, *shape}, operand);
}

/* Element i of the weights belongs to channel i / inner % channels. */
static enum braid_status scaled_weights(struct braid_graph *graph, int operand, int64_t inner, const struct affine *f,
                                        int *out) {
  const struct braid_tensor old = *braid_graph_constant(graph, operand);
  const float *from = old.data;
  float *to;
  BRAID_TRY(new_constant(graph, &old.shape, &to, out));
  int64_t n = braid_shape_elements(&old.shape);
  for (int64_t i = 0; i < n; i++) to[i] = (float)(f->scale[i / inner % f->channels] * (double)from[i]);
  return BRAID_OK;
}

/* `old` may be NULL for none; its value for channel c is old[c * step] * factor. */
static enum braid_status new_bias(struct braid_graph *graph, const float *old, int step, double factor,
                                  const struct affine *f, int *out) {
  struct braid_shape shape = braid_shape_of(1, &f->channels);
  float *to;
  BRAID_TRY(new_constant(graph, &shape, &to, out));
  for (int c = 0; c < f->channels; c++) {
    double b = old ? (double)old[c * step] * factor : 0.0;
    to[c] = (float)(f->scale[c] * b + f->shift[c]);
  }
  return BRAID_OK;
}

/* ------------------------------------------------------------------------------------ what takes it in */

/* Constant weights (operand 1), and a bias (operand 2) that is one number per channel, or none. */
struct target {
  const float *bias;
  int bias_step;
  double bias_factor;
  int64_t inner; /* elements of the weights from one channel to the next */
};

static bool can_fold(const struct braid_node *node) {
  if (node->act.op != BRAID_ACT_NONE) return false;
  if (node->op == BRAID_OP_CONV) return node->n_in < 4; /* no residual */
  return node->op == BRAID_OP_GEMM || node->op == BRAID_OP_BATCH_NORMALIZATION;
}

static bool is_target(const struct braid_graph *graph, const struct braid_node *node, struct target *t) {
  if (!can_fold(node) || !floats(graph, node->in[1])) return false;
  bool gemm = node->op == BRAID_OP_GEMM;
  const struct braid_shape *w = &braid_graph_constant(graph, node->in[1])->shape;
  *t = (struct target){.bias_step = 1, .bias_factor = 1.0, .inner = 1};
  if (node->op == BRAID_OP_CONV) t->inner = (int64_t)w->dim[1] * w->dim[2] * w->dim[3];
  if (gemm && node->attrs.gemm.trans_b) t->inner = w->dim[1];
  if (node->n_in < 3 || node->in[2] == BRAID_NONE) return true;
  t->bias = floats(graph, node->in[2]);
  if (!t->bias) return false;
  if (gemm) {
    t->bias_step = channel_step(&braid_graph_constant(graph, node->in[2])->shape, &node->shape);
    t->bias_factor = (double)node->attrs.gemm.beta;
  }
  return t->bias_step >= 0;
}

/* ---------------------------------------------------------------------------- folding, once per weights */

struct folded {
  struct affine by;
  struct target target;
  int old_bias; /* operand code or BRAID_NONE */
  int weights, bias;
  struct folded *next; /* with the same weights before */
};

struct folder {
  struct uses uses;
  struct arena arena;         /* of what is remembered during the pass */
  struct folded **of_weights; /* by number of the constant */
  int n_constants;            /* as many as there were at first */
};

static bool same_affine(const struct affine *a, const struct affine *b) {
  size_t bytes = (size_t)a->channels * sizeof(double);
  return a->channels == b->channels && memcmp(a->scale, b->scale, bytes) == 0 && memcmp(a->shift, b->shift, bytes) == 0;
}

static int bias_of(const struct braid_node *node) { return node->n_in > 2 ? node->in[2] : BRAID_NONE; }

static bool is_same(const struct folded *old, int bias, const struct target *t, const struct affine *f) {
  return old->old_bias == bias && old->target.bias_factor == t->bias_factor && old->target.inner == t->inner &&
         same_affine(&old->by, f);
}

static const struct folded *find_folded(const struct folder *folder, const struct braid_node *node,
                                        const struct target *t, const struct affine *f) {
  const struct folded *old = folder->of_weights[braid_const_index(node->in[1])];
  while (old && !is_same(old, bias_of(node), t, f)) old = old->next;
  return old;
}

static enum braid_status make_folded(struct folder *folder, const struct braid_node *node, const struct target *t,
                                     const struct affine *f, const struct folded **out) {
  struct braid_graph *graph = folder->uses.graph;
  struct folded *new = arena_alloc(&folder->arena, sizeof *new), **list;
  if (!new) return out_of_memory(graph);
  list = &folder->of_weights[braid_const_index(node->in[1])];
  *new = (struct folded){.by = *f, .target = *t, .old_bias = bias_of(node), .next = *list};
  BRAID_TRY(scaled_weights(graph, node->in[1], t->inner, f, &new->weights));
  BRAID_TRY(new_bias(graph, t->bias, t->bias_step, t->bias_factor, f, &new->bias));
  *out = *list = new;
  return BRAID_OK;
}

static enum braid_status replace(struct folder *folder, int id, int last, const struct target *t,
                                 const struct affine *f) {
  struct braid_node *node = folder->uses.graph->node;
  const struct folded *folded = find_folded(folder, &node[id], t, f);
  if (!folded) BRAID_TRY(make_folded(folder, &node[id], t, f, &folded));
  int in[MAX_OPERANDS], n_in = node[id].n_in > 3 ? node[id].n_in : 3;
  for (int k = 0; k < node[id].n_in; k++) in[k] = node[id].in[k];
  in[1] = folded->weights;
  in[2] = folded->bias;
  BRAID_TRY(swallow(&folder->uses, id, last, in, n_in));
  if (node[last].op == BRAID_OP_GEMM) node[last].attrs.gemm.beta = 1.0f;
  return BRAID_OK;
}

static enum braid_status fold(struct folder *folder, int id) {
  const struct braid_node *node = &folder->uses.graph->node[id];
  struct target target;
  if (!is_target(folder->uses.graph, node, &target)) return BRAID_OK;
  if (braid_const_index(node->in[1]) >= folder->n_constants) return BRAID_OK; /* folded a moment ago */
  int channels = node->shape.dim[1];
  struct affine f = {channels, arena_alloc(&folder->arena, (size_t)channels * sizeof(double)),
                     arena_alloc(&folder->arena, (size_t)channels * sizeof(double))};
  if (!f.scale || !f.shift) return out_of_memory(folder->uses.graph);
  int last = gather(&folder->uses, id, &f);
  return last == id ? BRAID_OK : replace(folder, id, last, &target, &f);
}

static enum braid_status fold_all(struct folder *folder) {
  for (int id = 0; id < folder->uses.graph->n_nodes; id++)
    if (folder->uses.live[id]) BRAID_TRY(fold(folder, id));
  return BRAID_OK;
}

enum braid_status pass_fold_batchnorm(struct braid_graph *graph) {
  struct folder folder = {.n_constants = graph->n_constants};
  BRAID_TRY(uses_create(graph, &folder.uses));
  folder.of_weights = braid_calloc((size_t)graph->n_constants, sizeof *folder.of_weights);
  enum braid_status status = folder.of_weights ? fold_all(&folder) : out_of_memory(graph);
  braid_free(folder.of_weights);
  arena_release(&folder.arena);
  uses_release(&folder.uses);
  return status;
}
