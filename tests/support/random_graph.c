/* SPDX-License-Identifier: Apache-2.0
 * See random_graph.h. Each step picks an operator and operands that fit; whatever is left loose is joined at the end.
 */
#include "random_graph.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_CHANNELS = 16, MAX_SIDE = 16, RECENT = 6 };

struct maker {
  struct braid_graph *graph;
  uint64_t seed, at;
  unsigned flags;
};

static void must(enum braid_status status) {
  if (status == BRAID_OK) return;
  fprintf(stderr, "random_graph: %s\n", braid_error());
  abort();
}

static int pick(struct maker *m, int n) { return (int)(braid_random_u64(m->seed, m->at++) % (uint64_t)n); }

static bool chance(struct maker *m, int percent) { return pick(m, 100) < percent; }

static const struct braid_shape *shape_of(const struct maker *m, int id) {
  return &braid_graph_node(m->graph, id)->shape;
}

static int add(struct maker *m, enum braid_op op, const union braid_attrs *attrs, const int *in, int n_in,
               const struct braid_shape *hint) {
  int id;
  must(braid_graph_add(m->graph, op, attrs, in, n_in, hint, NULL, &id));
  return id;
}

static int constant(struct maker *m, int rank, const int *dim, float scale, float shift) {
  struct braid_tensor t = {NULL, BRAID_F32, braid_shape_of(rank, dim)};
  int64_t n = braid_shape_elements(&t.shape);
  float *data = malloc((size_t)n * sizeof *data);
  if (!data) abort();
  uint64_t seed = braid_random_u64(m->seed, m->at++);
  for (int64_t i = 0; i < n; i++) data[i] = shift + scale * braid_random_f32(seed, (uint64_t)i);
  t.data = data;
  int code;
  must(braid_graph_adopt(m->graph, data, free));
  must(braid_graph_add_constant(m->graph, NULL, &t, &code));
  return code;
}

/* ------------------------------------------------------------------------------- layers with weights */

static int add_conv(struct maker *m, int x, int channels, int k_h, int k_w, int stride, int dilation, bool grouped) {
  const struct braid_shape s = *shape_of(m, x);
  int group = grouped && channels % s.dim[1] == 0 ? s.dim[1] : 1;
  int p_h = (k_h - 1) * dilation / 2, p_w = (k_w - 1) * dilation / 2;
  union braid_attrs a = {.conv = {.kernel = {k_h, k_w},
                                  .stride = {stride, stride},
                                  .dilation = {dilation, dilation},
                                  .pad = {p_h, p_w, p_h, p_w},
                                  .group = group}};
  float scale = sqrtf(2.0f / (float)(s.dim[1] / group * k_h * k_w));
  int w = constant(m, 4, (int[]){channels, s.dim[1] / group, k_h, k_w}, scale, 0);
  int bias = chance(m, 70) ? constant(m, 1, &channels, 0.5f, 0) : BRAID_NONE;
  return add(m, BRAID_OP_CONV, &a, (int[]){x, w, bias}, 3, NULL);
}

static int same_conv(struct maker *m, int x, int channels) {
  static const int kernel[][2] = {{1, 1}, {3, 3}, {1, 3}, {3, 1}, {5, 5}};
  const int *k = kernel[pick(m, 5)];
  return add_conv(m, x, channels, k[0], k[1], 1, chance(m, 15) ? 2 : 1, chance(m, 20));
}

static int any_channels(struct maker *m) { return 1 + pick(m, 8); }

static int strided_conv(struct maker *m, int x) {
  return add_conv(m, x, any_channels(m), 1 + 2 * pick(m, 2), 1 + 2 * pick(m, 2), 2, 1, false);
}

static int batch_norm(struct maker *m, int x) {
  int c = shape_of(m, x)->dim[1];
  union braid_attrs a = {.norm = {1e-5f}};
  int in[5] = {x, constant(m, 1, &c, 0.5f, 1.0f), constant(m, 1, &c, 0.3f, 0), constant(m, 1, &c, 0.3f, 0),
               constant(m, 1, &c, 0.4f, 1.0f)};
  return add(m, BRAID_OP_BATCH_NORMALIZATION, &a, in, 5, NULL);
}

/* Times or plus a constant, per channel or the same for all, on either side. */
static int affine(struct maker *m, int x) {
  bool mul = chance(m, 50), scalar = chance(m, 30);
  int c = scalar ? 1 : shape_of(m, x)->dim[1];
  int k = constant(m, scalar ? pick(m, 2) : 3, (int[]){c, 1, 1}, 0.5f, mul ? 1.0f : 0.0f);
  bool left = chance(m, 30);
  return add(m, mul ? BRAID_OP_MUL : BRAID_OP_ADD, NULL, left ? (int[]){k, x} : (int[]){x, k}, 2, NULL);
}

static int prelu(struct maker *m, int x) {
  int slope = constant(m, 3, (int[]){shape_of(m, x)->dim[1], 1, 1}, 0.3f, 0);
  return add(m, BRAID_OP_PRELU, NULL, (int[]){x, slope}, 2, NULL);
}

/* ---------------------------------------------------------------------------- layers without weights */

static int activation(struct maker *m, int x) {
  static const struct {
    enum braid_op op;
    float a, b;
  } kind[] = {{BRAID_OP_RELU, 0, 0},         {BRAID_OP_RELU, 0, 0},        {BRAID_OP_RELU, 0, 0},
              {BRAID_OP_LEAKY_RELU, 0.1f, 0}, {BRAID_OP_CLIP, 0, 6},       {BRAID_OP_SIGMOID, 0, 0},
              {BRAID_OP_HARD_SIGMOID, 0.2f, 0.5f}, {BRAID_OP_HARD_SWISH, 0, 0}, {BRAID_OP_TANH, 0, 0},
              {BRAID_OP_ELU, 1, 0},          {BRAID_OP_SOFTPLUS, 0, 0},    {BRAID_OP_ABS, 0, 0}};
  int i = pick(m, (int)(sizeof kind / sizeof *kind));
  union braid_attrs a = {.unary = {kind[i].a, kind[i].b}};
  return add(m, kind[i].op, &a, &x, 1, NULL);
}

static int pool(struct maker *m, int x, int kernel, int stride) {
  const struct braid_shape *s = shape_of(m, x);
  int pad = kernel / 2;
  if (s->dim[2] + 2 * pad < kernel || s->dim[3] + 2 * pad < kernel) kernel = 1, pad = 0;
  union braid_attrs a = {.pool = {.kernel = {kernel, kernel},
                                  .stride = {stride, stride},
                                  .dilation = {1, 1},
                                  .pad = {pad, pad, pad, pad},
                                  .count_include_pad = chance(m, 50),
                                  .ceil_mode = stride > 1 && chance(m, 50)}};
  return add(m, chance(m, 50) ? BRAID_OP_MAX_POOL : BRAID_OP_AVERAGE_POOL, &a, &x, 1, NULL);
}

static int softmax_or_lrn(struct maker *m, int x) {
  union braid_attrs lrn = {.lrn = {3, 1e-2f, 0.75f, 1.0f}}, softmax = {.axis = {1, 2}};
  return chance(m, 50) ? add(m, BRAID_OP_LRN, &lrn, &x, 1, NULL) : add(m, BRAID_OP_SOFTMAX, &softmax, &x, 1, NULL);
}

static int zero_pad(struct maker *m, int x) {
  union braid_attrs a = {.pad = {.before = {0, 0, pick(m, 2), pick(m, 2)}, .after = {0, 0, pick(m, 3), pick(m, 2)}}};
  return add(m, BRAID_OP_PAD, &a, &x, 1, NULL);
}

/* A pad and a layer that can take it in. */
static int padded(struct maker *m, int x) {
  x = zero_pad(m, x);
  if (chance(m, 50) && (m->flags & RANDOM_GRAPH_WEIGHTS)) return same_conv(m, x, any_channels(m));
  union braid_attrs a = {.pool = {.kernel = {1 + pick(m, 3), 1 + pick(m, 3)}, .stride = {1, 1}, .dilation = {1, 1}}};
  const struct braid_shape *s = shape_of(m, x);
  for (int i = 0; i < 2; i++)
    if (a.pool.kernel[i] > s->dim[2 + i]) a.pool.kernel[i] = s->dim[2 + i];
  return add(m, BRAID_OP_AVERAGE_POOL, &a, &x, 1, NULL);
}

/* The same tensor under the same shape, in one of the ways in which files say so. */
static int identity(struct maker *m, int x) {
  struct braid_shape s = *shape_of(m, x);
  union braid_attrs transpose = {.transpose = {{0, 1, 2, 3}}}, concat = {.axis = {1, 0}};
  switch (pick(m, 3)) {
  case 0: return add(m, BRAID_OP_RESHAPE, NULL, &x, 1, &s);
  case 1: return add(m, BRAID_OP_TRANSPOSE, &transpose, &x, 1, NULL);
  default: return add(m, BRAID_OP_CONCAT, &concat, &x, 1, NULL);
  }
}

static int some_channels(struct maker *m, int x, int channels) {
  struct braid_shape s = *shape_of(m, x);
  union braid_attrs a = {.slice = {.start = {0, pick(m, s.dim[1] - channels + 1)}, .step = {1, 1, 1, 1}}};
  s.dim[1] = channels;
  return add(m, BRAID_OP_SLICE, &a, &x, 1, &s);
}

static int enlarged(struct maker *m, int x) {
  struct braid_shape s = *shape_of(m, x);
  if (s.dim[2] > MAX_SIDE / 2 || s.dim[3] > MAX_SIDE / 2) return activation(m, x);
  s.dim[2] *= 2;
  s.dim[3] *= 2;
  union braid_attrs a = {.resize = {.mode = chance(m, 50) ? BRAID_RESIZE_NEAREST : BRAID_RESIZE_LINEAR,
                                    .coord = chance(m, 50) ? BRAID_COORD_ASYMMETRIC : BRAID_COORD_HALF_PIXEL,
                                    .nearest = BRAID_NEAREST_FLOOR,
                                    .scale = {1, 1, 2, 2}}};
  return add(m, BRAID_OP_RESIZE, &a, &x, 1, &s);
}

static int without_excess(struct maker *m, int x) {
  const struct braid_shape *s = shape_of(m, x);
  if (s->dim[2] > MAX_SIDE || s->dim[3] > MAX_SIDE) x = pool(m, x, 3, 2);
  if (shape_of(m, x)->dim[1] > MAX_CHANNELS) x = some_channels(m, x, MAX_CHANNELS / 2);
  return x;
}

/* Another tensor with as many rows and columns. */
static int same_size_layer(struct maker *m, int x) {
  bool weights = m->flags & RANDOM_GRAPH_WEIGHTS;
  switch (pick(m, weights ? 14 : 7)) {
  case 0:
  case 1:
  case 2:
  case 3: return activation(m, x);
  case 4: return pool(m, x, 3, 1);
  case 5: return identity(m, x);
  case 6: return softmax_or_lrn(m, x);
  case 7: return batch_norm(m, x);
  case 8: return affine(m, x);
  case 9: return prelu(m, x);
  default: return same_conv(m, x, chance(m, 50) ? shape_of(m, x)->dim[1] : any_channels(m));
  }
}

static int any_layer(struct maker *m, int x) {
  bool weights = m->flags & RANDOM_GRAPH_WEIGHTS;
  switch (pick(m, 16)) {
  case 0: return pool(m, x, 2 + pick(m, 2), 2);
  case 1: return weights ? strided_conv(m, x) : pool(m, x, 3, 2);
  case 2: return padded(m, x);
  case 3: return zero_pad(m, x);
  case 4: return enlarged(m, x);
  default: return same_size_layer(m, x);
  }
}

/* --------------------------------------------------------------------------------------------- joining */

static int join_same_shape(struct maker *m, const int *x, int n) {
  static const enum braid_op two[] = {BRAID_OP_ADD, BRAID_OP_ADD, BRAID_OP_ADD, BRAID_OP_SUB},
                             many[] = {BRAID_OP_SUM, BRAID_OP_MAX, BRAID_OP_MIN, BRAID_OP_MEAN};
  return add(m, n == 2 && chance(m, 70) ? two[pick(m, 4)] : many[pick(m, 4)], NULL, x, n, NULL);
}

static int concat(struct maker *m, const int *x, int n) {
  union braid_attrs a = {.axis = {1, 0}};
  return add(m, BRAID_OP_CONCAT, &a, x, n, NULL);
}

/* x times one number per channel made from y, as squeeze-and-excitation does. */
static int gate(struct maker *m, int x, int y) {
  y = add(m, BRAID_OP_GLOBAL_AVERAGE_POOL, NULL, &y, 1, NULL);
  y = add(m, BRAID_OP_SIGMOID, NULL, &y, 1, NULL);
  return add(m, BRAID_OP_MUL, NULL, (int[]){x, y}, 2, NULL);
}

static bool same_size(const struct braid_shape *a, const struct braid_shape *b) {
  return a->dim[2] == b->dim[2] && a->dim[3] == b->dim[3];
}

/* ------------------------------------------------------------------------------------ series-parallel */

static int series_parallel(struct maker *m, int x, int budget, bool keep_size);

static int parallel(struct maker *m, int x, int budget) {
  int branch[4], n = 2 + pick(m, 3), each = (budget - 1) / n;
  bool equal = true;
  for (int b = 0; b < n; b++) {
    /* One direct edge at most: two would be the same operand twice. */
    branch[b] = b == 0 && chance(m, 30) ? x : series_parallel(m, x, each > 0 ? each : 1, true);
    equal = equal && braid_shape_equal(shape_of(m, branch[b]), shape_of(m, branch[0]));
  }
  return without_excess(m, equal && chance(m, 60) ? join_same_shape(m, branch, n) : concat(m, branch, n));
}

static int series_parallel(struct maker *m, int x, int budget, bool keep_size) {
  while (budget > 0) {
    int part = budget > 4 && chance(m, 50) ? 4 + pick(m, budget - 3) : 1;
    if (part > 1) x = parallel(m, x, part);
    else x = keep_size ? same_size_layer(m, x) : without_excess(m, any_layer(m, x));
    budget -= part;
  }
  return x;
}

/* ------------------------------------------------------------------------------------------- any DAG */

static int recent(struct maker *m, const int *tensor, int n) {
  int back = chance(m, 75) && n > RECENT ? RECENT : n;
  return tensor[n - 1 - pick(m, back)];
}

/* Up to four different tensors that go with x; x first. */
static int companions(struct maker *m, const int *tensor, int n, int x, bool same_channels, int *out) {
  int found = 1, wanted = 2 + pick(m, 3);
  out[0] = x;
  for (int i = n - 1; i >= 0 && found < wanted; i--) {
    const struct braid_shape *a = shape_of(m, x), *b = shape_of(m, tensor[i]);
    bool fits = same_size(a, b) && (!same_channels || a->dim[1] == b->dim[1]);
    if (tensor[i] != x && fits && chance(m, 60)) out[found++] = tensor[i];
  }
  return found;
}

static int dag_step(struct maker *m, const int *tensor, int n) {
  int x = recent(m, tensor, n), with[4], found;
  switch (pick(m, 8)) {
  case 0:
  case 1:
    found = companions(m, tensor, n, x, true, with);
    return found > 1 ? join_same_shape(m, with, found) : any_layer(m, x);
  case 2:
    found = companions(m, tensor, n, x, false, with);
    return found > 1 ? concat(m, with, found) : any_layer(m, x);
  case 3:
    found = companions(m, tensor, n, x, true, with);
    return found > 1 ? gate(m, x, with[1]) : any_layer(m, x);
  default: return any_layer(m, x);
  }
}

static void any_dag(struct maker *m, const int *start, int n_start, int n_nodes) {
  int *tensor = malloc((size_t)(n_start + n_nodes) * sizeof *tensor), n = n_start;
  if (!tensor) abort();
  memcpy(tensor, start, (size_t)n_start * sizeof *tensor);
  for (int end = n + n_nodes; n < end; n++) tensor[n] = without_excess(m, dag_step(m, tensor, n));
  free(tensor);
}

/* ----------------------------------------------------------------------------------- inputs and outputs */

static int add_input(struct maker *m, int side) {
  static const char *const name[] = {"in0", "in1", "in2", "in3"};
  int n, id;
  (void)braid_graph_inputs(m->graph, &n);
  bool pixels = (m->flags & RANDOM_GRAPH_WEIGHTS) && chance(m, 40);
  struct braid_shape s = braid_shape_of(4, (int[]){1, 3, side, side});
  must(braid_graph_add_input(m->graph, name[n], pixels ? BRAID_U8 : BRAID_F32, &s, &id));
  if (!pixels) return id;
  int in[3] = {id, constant(m, 1, (int[]){3}, 0.002f, 0.01f), constant(m, 1, (int[]){3}, 0.2f, -1.0f)};
  return add(m, BRAID_OP_NORMALIZE, NULL, in, 3, NULL);
}

/* Tensors that nobody reads, inputs included, in order; returns how many. */
static int loose_ends(const struct braid_graph *graph, int *end) {
  int n = braid_graph_size(graph), n_ends = 0;
  bool *read = calloc((size_t)n, sizeof *read);
  if (!read) abort();
  for (int id = 0; id < n; id++)
    for (int k = 0; k < braid_graph_node(graph, id)->n_in; k++)
      if (braid_is_node(braid_graph_node(graph, id)->in[k])) read[braid_graph_node(graph, id)->in[k]] = true;
  for (int id = 0; id < n; id++)
    if (!read[id]) end[n_ends++] = id;
  free(read);
  return n_ends;
}

/* All loose ends, pooled and joined, then a classifier. */
static void add_head(struct maker *m, int *end, int n) {
  enum { AT_ONCE = 32 };
  for (int i = 0; i < n; i++) end[i] = add(m, BRAID_OP_GLOBAL_AVERAGE_POOL, NULL, &end[i], 1, NULL);
  while (n > 1) {
    int joined = 0;
    for (int i = 0; i < n; i += AT_ONCE) end[joined++] = concat(m, &end[i], n - i < AT_ONCE ? n - i : AT_ONCE);
    n = joined;
  }
  int channels = shape_of(m, end[0])->dim[1];
  struct braid_shape flat = braid_shape_of(2, (int[]){1, channels});
  int x = add(m, BRAID_OP_RESHAPE, NULL, &end[0], 1, &flat);
  if (m->flags & RANDOM_GRAPH_WEIGHTS) {
    union braid_attrs gemm = {.gemm = {1.0f, 1.0f, false, true}};
    int w = constant(m, 2, (int[]){10, channels}, 1.0f / sqrtf((float)channels), 0);
    x = add(m, BRAID_OP_GEMM, &gemm, (int[]){x, w, constant(m, 1, (int[]){10}, 0.5f, 0)}, 3, NULL);
  }
  union braid_attrs softmax = {.axis = {1, 2}};
  must(braid_graph_add_output(m->graph, add(m, BRAID_OP_SOFTMAX, &softmax, &x, 1, NULL)));
}

static void add_outputs(struct maker *m) {
  int n = braid_graph_size(m->graph);
  int *end = malloc((size_t)n * sizeof *end);
  if (!end) abort();
  int n_ends = loose_ends(m->graph, end);
  if (m->flags & RANDOM_GRAPH_MULTI_OUTPUT) {
    for (int i = 0; i < n_ends; i++) must(braid_graph_add_output(m->graph, end[i]));
    for (int id = 0; id < n; id++)
      if (!braid_graph_node(m->graph, id)->is_output && braid_graph_node(m->graph, id)->op != BRAID_OP_INPUT &&
          chance(m, 5))
        must(braid_graph_add_output(m->graph, id));
  } else {
    add_head(m, end, n_ends);
  }
  free(end);
}

/* Views of the same size, each through its own layers, then joined: as multi-camera nets are built. */
static int views_joined(struct maker *m, int *view, int n, int budget) {
  if (n == 1) return view[0];
  for (int i = 0; i < n; i++) view[i] = series_parallel(m, view[i], 1 + budget / n, true);
  return without_excess(m, concat(m, view, n));
}

struct braid_graph *random_graph(uint64_t seed, int n_nodes, unsigned flags) {
  struct maker m = {NULL, seed * 31 + flags, 0, flags};
  must(braid_graph_create("random", &m.graph));
  int start[4], n_start = flags & RANDOM_GRAPH_MULTI_INPUT ? 2 + pick(&m, 3) : 1, side = 6 + pick(&m, 9);
  for (int i = 0; i < n_start; i++) start[i] = add_input(&m, side);
  if (flags & RANDOM_GRAPH_SERIES_PARALLEL) {
    int x = views_joined(&m, start, n_start, n_nodes / 2);
    series_parallel(&m, x, n_start > 1 ? n_nodes / 2 : n_nodes, false);
  } else {
    any_dag(&m, start, n_start, n_nodes);
  }
  add_outputs(&m);
  return m.graph;
}

uint64_t random_graph_seed(uint64_t otherwise) {
  const char *text = getenv("BRAID_SEED");
  uint64_t seed = text && *text ? strtoull(text, NULL, 0) : otherwise;
  fprintf(stderr, "BRAID_SEED=%llu\n", (unsigned long long)seed);
  return seed;
}
