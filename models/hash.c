/* SPDX-License-Identifier: Apache-2.0
 *
 * The content hash: BLAKE2b-256 over a canonical, little-endian serialisation, field by field (no padding bytes). Names
 * count only for inputs and outputs, for these are how callers address tensors; constants count by their contents, in
 * the order in which nodes first use them, each once.
 */
#include "graph.h"
#include "infer.h"

#include <pthread.h>
#include <sodium.h>
#include <string.h>

enum { FORMAT = 1 }; /* of the serialisation; a new one makes new hashes */

typedef crypto_generichash_state hash_state;

static void put_bytes(hash_state *h, const void *data, size_t size) {
  (void)crypto_generichash_update(h, data, (unsigned long long)size);
}

static void put_int(hash_state *h, int64_t value) {
  uint8_t bytes[8];
  for (int i = 0; i < 8; i++) bytes[i] = (uint8_t)((uint64_t)value >> (8 * i));
  put_bytes(h, bytes, sizeof bytes);
}

static void put_ints(hash_state *h, const int *value, int n) {
  for (int i = 0; i < n; i++) put_int(h, value[i]);
}

static void put_double(hash_state *h, double value) {
  int64_t bits;
  memcpy(&bits, &value, sizeof bits);
  put_int(h, bits);
}

static void put_text(hash_state *h, const char *text) {
  put_int(h, (int64_t)strlen(text));
  put_bytes(h, text, strlen(text));
}

static void put_type(hash_state *h, enum braid_dtype dtype, const struct braid_shape *shape) {
  put_int(h, dtype);
  put_int(h, shape->rank);
  put_ints(h, shape->dim, shape->rank);
}

/* ------------------------------------------------------------------------------------------- attributes */

static void put_conv(hash_state *h, const struct braid_conv_attrs *a, enum braid_op op) {
  put_ints(h, a->kernel, 2);
  put_ints(h, a->stride, 2);
  put_ints(h, a->dilation, 2);
  put_ints(h, a->pad, 4);
  put_int(h, a->group);
  if (op == BRAID_OP_CONV_TRANSPOSE) put_ints(h, a->output_pad, 2);
}

static void put_qconv(hash_state *h, const struct braid_qconv_attrs *a) {
  put_conv(h, &a->conv, BRAID_OP_CONV);
  put_int(h, a->to);
  put_int(h, a->x_zero);
  put_int(h, a->w_zero);
  put_int(h, a->y_zero);
  put_int(h, a->r_zero);
  put_double(h, (double)a->r_scale);
}

static void put_pool(hash_state *h, const struct braid_pool_attrs *a, enum braid_op op) {
  put_ints(h, a->kernel, 2);
  put_ints(h, a->stride, 2);
  put_ints(h, a->dilation, 2);
  put_ints(h, a->pad, 4);
  put_int(h, a->count_include_pad);
  put_int(h, a->ceil_mode);
  if (op == BRAID_OP_MAX_POOL_INDICES) put_int(h, a->column_major);
}

static void put_gemm(hash_state *h, const struct braid_gemm_attrs *a) {
  put_double(h, (double)a->alpha);
  put_double(h, (double)a->beta);
  put_int(h, a->trans_a);
  put_int(h, a->trans_b);
}

static void put_unary(hash_state *h, struct braid_unary_attrs a) {
  put_double(h, (double)a.a);
  put_double(h, (double)a.b);
}

static void put_lrn(hash_state *h, const struct braid_lrn_attrs *a) {
  put_int(h, a->size);
  put_double(h, (double)a->alpha);
  put_double(h, (double)a->beta);
  put_double(h, (double)a->bias);
}

static void put_slice(hash_state *h, const struct braid_slice_attrs *a, int rank) {
  put_ints(h, a->start, rank);
  put_ints(h, a->step, rank);
}

static void put_pad(hash_state *h, const struct braid_pad_attrs *a, int rank) {
  put_ints(h, a->before, rank);
  put_ints(h, a->after, rank);
  put_int(h, a->mode);
  put_double(h, a->mode == BRAID_PAD_CONSTANT ? a->value : 0.0);
}

static void put_resize(hash_state *h, const struct braid_resize_attrs *a, int rank) {
  put_int(h, a->mode);
  put_int(h, a->coord);
  put_int(h, a->nearest);
  for (int i = 0; i < rank; i++) put_double(h, (double)a->scale[i]);
  for (int i = 0; i < 2 * rank; i++) put_double(h, (double)a->roi[i]);
  put_double(h, (double)a->cubic_a);
  put_double(h, (double)a->extrapolation);
  put_int(h, a->exclude_outside);
  if (a->antialias) put_int(h, 1); /* came later: the hashes of networks without it stay what they were */
}

static void put_reduce(hash_state *h, const struct braid_reduce_attrs *a) {
  for (int i = 0; i < BRAID_MAX_RANK; i++) put_int(h, a->axis[i]);
  put_int(h, a->keepdims);
  put_int(h, a->select_last);
}

static void put_index(hash_state *h, const struct braid_index_attrs *a) {
  put_int(h, a->axis);
  put_int(h, a->batch_dims);
  put_int(h, a->reduction);
  put_int(h, a->smallest);
}

static void put_norm(hash_state *h, const union braid_attrs *a, enum braid_op op) {
  put_double(h, (double)a->norm.epsilon);
  if (op == BRAID_OP_LAYER_NORMALIZATION) put_int(h, a->norm.axis);
  if (op == BRAID_OP_GROUP_NORMALIZATION) put_int(h, a->norm.groups);
}

static void put_scan(hash_state *h, const union braid_attrs *a) {
  put_int(h, a->scan.axis);
  put_int(h, a->scan.exclusive);
  put_int(h, a->scan.reverse);
}

static void put_axis(hash_state *h, const union braid_attrs *a, enum braid_op op) {
  put_int(h, a->axis.axis);
  if (op == BRAID_OP_SOFTMAX || op == BRAID_OP_LOG_SOFTMAX || op == BRAID_OP_HARDMAX) put_int(h, a->axis.axis_end);
}

/* `rank` of the input: arrays with one entry per dim count no further. */
static void put_attrs(hash_state *h, const struct braid_node *node, int rank) {
  const union braid_attrs *a = &node->attrs;
  switch (op_rule(node->op)->attrs) {
  case ATTR_NONE: break;
  case ATTR_CONV: put_conv(h, &a->conv, node->op); break;
  case ATTR_QCONV: put_qconv(h, &a->qconv); break;
  case ATTR_POOL: put_pool(h, &a->pool, node->op); break;
  case ATTR_GEMM: put_gemm(h, &a->gemm); break;
  case ATTR_UNARY: put_unary(h, unary_attrs_of(node->op, a)); break;
  case ATTR_LRN: put_lrn(h, &a->lrn); break;
  case ATTR_SLICE: put_slice(h, &a->slice, rank); break;
  case ATTR_PAD: put_pad(h, &a->pad, rank); break;
  case ATTR_RESIZE: put_resize(h, &a->resize, rank); break;
  case ATTR_REDUCE: put_reduce(h, &a->reduce); break;
  case ATTR_INDEX: put_index(h, &a->index); break;
  case ATTR_SCAN: put_scan(h, a); break;
  case ATTR_FLAG: put_int(h, a->flag.on); break;
  case ATTR_NORM: put_norm(h, a, node->op); break;
  case ATTR_AXIS: put_axis(h, a, node->op); break;
  case ATTR_TRANSPOSE: put_ints(h, a->transpose.perm, rank); break;
  case ATTR_CAST: put_int(h, a->cast.to); break;
  }
}

/* ------------------------------------------------------------------------------------- nodes and graph */

static void put_constant(hash_state *h, const struct braid_tensor *constant) {
  put_type(h, constant->dtype, &constant->shape);
  put_bytes(h, constant->data,
            (size_t)braid_shape_elements(&constant->shape) * braid_dtype_bytes(constant->dtype));
}

static void put_node(hash_state *h, const struct braid_graph *graph, const struct braid_node *node) {
  put_int(h, node->op);
  put_type(h, node->dtype, &node->shape);
  put_attrs(h, node, node->n_in > 0 ? graph_operand(graph, node->in[0]).shape.rank : 0);
  put_int(h, node->act.op);
  if (node->act.op != BRAID_ACT_NONE) put_unary(h, node->act.attrs);
  put_int(h, node->n_in);
  put_ints(h, node->in, node->n_in);
}

static void put_ends(hash_state *h, const struct braid_graph *graph, const int *id, int n) {
  put_int(h, n);
  for (int i = 0; i < n; i++) {
    put_int(h, id[i]);
    put_text(h, graph->node[id[i]].name);
  }
}

/* Sealing has numbered the constants in the order of their first use, so their numbers are canonical. */
static void compute(const struct braid_graph *graph, uint8_t hash[32]) {
  hash_state h;
  int chosen = sodium_init(); /* picks the fastest code; should that fail, the hash is the same */
  (void)chosen;
  (void)crypto_generichash_init(&h, NULL, 0, 32);
  put_int(&h, FORMAT);
  put_int(&h, graph->n_nodes);
  for (int id = 0; id < graph->n_nodes; id++) put_node(&h, graph, &graph->node[id]);
  put_ends(&h, graph, graph->input, graph->n_inputs);
  put_ends(&h, graph, graph->output, graph->n_outputs);
  put_int(&h, graph->n_constants);
  for (int c = 0; c < graph->n_constants; c++) put_constant(&h, &graph->constant[c].tensor);
  (void)crypto_generichash_final(&h, hash, 32);
}

void braid_graph_hash(const struct braid_graph *graph, uint8_t hash[32]) {
  static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER; /* rarely taken, so one for all graphs */
  pthread_mutex_lock(&mutex);
  if (!graph->hash->known) compute(graph, graph->hash->value);
  graph->hash->known = true;
  memcpy(hash, graph->hash->value, 32);
  pthread_mutex_unlock(&mutex);
}

void braid_graph_hash_text(const struct braid_graph *graph, char text[65]) {
  uint8_t hash[32];
  braid_graph_hash(graph, hash);
  (void)sodium_bin2hex(text, 65, hash, sizeof hash);
}
