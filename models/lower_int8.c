/* SPDX-License-Identifier: Apache-2.0
 *
 * Convolutions on bytes. A tensor is float32 or uint8 (a scale and a zero point for all of it, from the range its
 * values were seen in); weights are int8, a scale for each output. A convolution takes bytes, and gives bytes where
 * somebody wants them; MaxPool and Concat of bytes work on bytes. Everything else, and the first convolution (few channels, all the
 * picture's detail), stays float32, with QuantizeLinear and DequantizeLinear where the two meet. */
#include "lower.h"

#include <math.h>

enum { FIRST_CHANNELS = 4, DEPTHWISE_TAPS = 256 };
static const float weight_most = 127.0f, byte_most = 255.0f;

struct scale {
  float by;
  int zero;
};

struct tensor_state {
  bool convolved;        /* a convolution that becomes one of bytes */
  bool can_be_bytes, is_bytes;
  int alike;             /* who shares its scale; itself: it is the one */
  struct braid_range range; /* of all who share it, at that one */
  int bytes, real;       /* codes in the new graph; BRAID_NONE: not there */
};

struct lowering {
  struct rebuild *r;
  const struct braid_graph *from;
  const struct braid_range *range;
  struct tensor_state *t;
};

/* ------------------------------------------------------------------------------------- what becomes what */

static bool is_known(const struct braid_range *range) {
  return range->low <= range->high && isfinite(range->low) && isfinite(range->high);
}

static bool clips(const struct braid_act *act) {
  return act->op == BRAID_ACT_NONE || act->op == BRAID_OP_RELU || act->op == BRAID_OP_CLIP;
}

static bool is_first(const struct lowering *l, const struct braid_node *node) {
  const struct braid_node *x = braid_is_node(node->in[0]) ? &l->from->node[node->in[0]] : NULL;
  return !x || x->shape.dim[1] <= FIRST_CHANNELS;
}

static bool constant_or_absent(const struct braid_node *node, int k) {
  return !has_operand(node, k) || braid_is_const(node->in[k]);
}

static bool known_node(const struct lowering *l, int operand) {
  return braid_is_node(operand) && l->from->node[operand].dtype == BRAID_F32 && is_known(&l->range[operand]);
}

static bool can_convolve(const struct lowering *l, int id) {
  const struct braid_node *node = &l->from->node[id];
  if (node->op != BRAID_OP_CONV || !float_weights(l->from, node) || node->shape.rank != 4) return false;
  if (is_first(l, node)) return false;
  if (!clips(&node->act) || !known_node(l, node->in[0]) || !is_known(&l->range[id])) return false;
  if (has_operand(node, 3) && !known_node(l, node->in[3])) return false;
  const struct braid_conv_attrs *a = &node->attrs.conv;
  bool depthwise = is_depthwise(node), one = l->from->node[node->in[0]].shape.dim[1] == a->group;
  if (depthwise && (!one || (int64_t)a->kernel[0] * a->kernel[1] > DEPTHWISE_TAPS)) return false;
  return constant_or_absent(node, 2);
}

static bool moves_bytes(const struct lowering *l, int id) {
  const struct braid_node *node = &l->from->node[id];
  if ((node->op != BRAID_OP_MAX_POOL && node->op != BRAID_OP_CONCAT) || node->act.op != BRAID_ACT_NONE) return false;
  for (int k = 0; k < node->n_in; k++)
    if (!braid_is_node(node->in[k]) || !l->t[node->in[k]].can_be_bytes) return false;
  return true;
}

/* Is operand k of the reader looked at as bytes? */
static bool wants_bytes(const struct lowering *l, int reader, int id) {
  const struct braid_node *node = &l->from->node[reader];
  if (!l->t[reader].convolved) return l->t[reader].is_bytes;
  return node->in[0] == id || (has_operand(node, 3) && node->in[3] == id);
}

static void choose_forms(struct lowering *l) {
  for (int id = 0; id < l->from->n_nodes; id++) {
    l->t[id].convolved = can_convolve(l, id);
    l->t[id].can_be_bytes = l->t[id].convolved || moves_bytes(l, id);
  }
  for (int id = l->from->n_nodes - 1; id >= 0; id--) {
    const struct braid_node *node = &l->from->node[id];
    for (int i = 0; i < node->n_readers && l->t[id].can_be_bytes; i++)
      l->t[id].is_bytes = l->t[id].is_bytes || wants_bytes(l, node->reader[i], id);
  }
}

/* ------------------------------------------------------------------------------------------------ scales */

static int owner(const struct lowering *l, int id) {
  while (l->t[id].alike != id) id = l->t[id].alike;
  return id;
}

static void share_scale(struct lowering *l, int a, int b) {
  a = owner(l, a);
  b = owner(l, b);
  if (a == b) return;
  struct braid_range *to = &l->t[a].range, *from = &l->t[b].range;
  l->t[b].alike = a;
  if (from->low < to->low) to->low = from->low;
  if (from->high > to->high) to->high = from->high;
}

/* Bytes are moved as they are, so what is moved has the scale of where it comes from. */
static void share_scales(struct lowering *l) {
  for (int id = 0; id < l->from->n_nodes; id++) {
    l->t[id].alike = id;
    l->t[id].range = l->range[id];
  }
  for (int id = 0; id < l->from->n_nodes; id++) {
    const struct braid_node *node = &l->from->node[id];
    if (!l->t[id].is_bytes || l->t[id].convolved) continue;
    for (int k = 0; k < node->n_in; k++) share_scale(l, id, node->in[k]);
  }
}

/* 0 is a byte of its own, for padding and what is cut off are 0. */
static struct scale scale_of(const struct lowering *l, int id) {
  const struct braid_range *range = &l->t[owner(l, id)].range;
  float low = fminf(range->low, 0.0f), high = fmaxf(range->high, 0.0f);
  struct scale s = {high / byte_most - low / byte_most, 0};
  if (!(s.by >= 0x1p-100f)) s.by = 1.0f; /* zeros alone */
  s.zero = (int)fminf(fmaxf(rintf(-low / s.by), 0.0f), byte_most);
  return s;
}

/* --------------------------------------------------------------------------------------------- operands */

static enum braid_status number(struct lowering *l, const char *name, enum braid_dtype dtype, float by, int zero,
                                int *operand) {
  struct braid_shape scalar = {0};
  void *data;
  if (!name) return out_of_memory(l->from);
  BRAID_TRY(rebuild_new_constant(l->r, name, dtype, &scalar, &data, operand));
  if (dtype == BRAID_F32)
    *(float *)data = by;
  else
    *(uint8_t *)data = (uint8_t)zero;
  return BRAID_OK;
}

/* Between the two forms of tensor `id`, under this name. */
static enum braid_status convert(struct lowering *l, enum braid_op op, int id, int from, const char *name, int *out) {
  struct scale s = scale_of(l, id);
  int in[3] = {from};
  if (!name) return out_of_memory(l->from);
  BRAID_TRY(number(l, rebuild_name(l->r, name, "scale"), BRAID_F32, s.by, 0, &in[1]));
  BRAID_TRY(number(l, rebuild_name(l->r, name, "zero"), BRAID_U8, 0, s.zero, &in[2]));
  return rebuild_add(l->r, op, &(union braid_attrs){.axis = {0, 0}}, in, 3, name, out);
}

static enum braid_status bytes_of(struct lowering *l, int id, int *operand) {
  struct tensor_state *t = &l->t[id];
  if (t->bytes == BRAID_NONE)
    BRAID_TRY(convert(l, BRAID_OP_QUANTIZE_LINEAR, id, t->real, rebuild_name(l->r, l->from->node[id].name, "uint8"),
                      &t->bytes));
  *operand = t->bytes;
  return BRAID_OK;
}

static enum braid_status real_of(struct lowering *l, int old, int *operand) {
  if (!braid_is_node(old)) return rebuild_operand(l->r, old, operand);
  struct tensor_state *t = &l->t[old];
  if (t->real == BRAID_NONE)
    BRAID_TRY(convert(l, BRAID_OP_DEQUANTIZE_LINEAR, old, t->bytes,
                      rebuild_name(l->r, l->from->node[old].name, "float32"), &t->real));
  *operand = t->real;
  return BRAID_OK;
}

/* ----------------------------------------------------------------------------------------- convolutions */

/* Bytes of one output's weights; returns their scale. */
static float quantise_weights(const float *w, int64_t n, int8_t *to) {
  float most = 0.0f;
  for (int64_t i = 0; i < n; i++) most = fmaxf(most, fabsf(w[i]));
  float by = most / weight_most;
  if (!(by >= 0x1p-100f)) by = 1.0f;
  for (int64_t i = 0; i < n; i++) to[i] = (int8_t)fminf(fmaxf(rintf(w[i] / by), -weight_most), weight_most);
  return by;
}

struct factors {
  int8_t *weights;
  int32_t *bias;
  float *scale;
};

/* Sums are in units of x's scale by the weights', the output in units of y. */
static void quantise_factors(const struct lowering *l, const struct braid_node *node, float x, float y,
                             const struct factors *to) {
  const struct braid_tensor *w = float_weights(l->from, node);
  const float *bias = has_operand(node, 2) ? braid_graph_constant(l->from, node->in[2])->data : NULL;
  int64_t inner = braid_shape_elements(&w->shape) / w->shape.dim[0];
  for (int o = 0; o < w->shape.dim[0]; o++) {
    float by = quantise_weights((const float *)w->data + o * inner, inner, to->weights + o * inner);
    double unit = (double)x * (double)by, whole = bias ? rint((double)bias[o] / unit) : 0.0;
    to->bias[o] = (int32_t)fmin(fmax(whole, -0x1p30), 0x1p30);
    to->scale[o] = (float)(unit / (double)y);
  }
}

static enum braid_status make_factors(struct lowering *l, const struct braid_node *node, float x, float y, int in[5]) {
  const struct braid_shape *shape = &float_weights(l->from, node)->shape;
  struct braid_shape channels = {1, {shape->dim[0]}};
  void *weights, *bias, *scale;
  const char *name[3] = {rebuild_name(l->r, node->name, "weights"), rebuild_name(l->r, node->name, "bias"),
                         rebuild_name(l->r, node->name, "scales")};
  if (!name[0] || !name[1] || !name[2]) return out_of_memory(l->from);
  BRAID_TRY(rebuild_new_constant(l->r, name[0], BRAID_I8, shape, &weights, &in[1]));
  BRAID_TRY(rebuild_new_constant(l->r, name[1], BRAID_I32, &channels, &bias, &in[2]));
  BRAID_TRY(rebuild_new_constant(l->r, name[2], BRAID_F32, &channels, &scale, &in[3]));
  quantise_factors(l, node, x, y, &(struct factors){weights, bias, scale});
  return BRAID_OK;
}

/* The activation in units of the output's scale. */
static struct braid_act act_in(const struct braid_act *act, float y) {
  struct braid_act scaled = *act;
  if (act->op == BRAID_OP_CLIP) scaled.attrs = (struct braid_unary_attrs){act->attrs.a / y, act->attrs.b / y};
  return scaled;
}

static enum braid_status convolve(struct lowering *l, int id, const char *name, int *out) {
  const struct braid_node *node = &l->from->node[id];
  bool to_bytes = l->t[id].is_bytes, residual = has_operand(node, 3);
  struct scale x = scale_of(l, node->in[0]), y = to_bytes ? scale_of(l, id) : (struct scale){1.0f, 0};
  union braid_attrs attrs = {.qconv = {.conv = node->attrs.conv,
                                       .to = to_bytes ? BRAID_U8 : BRAID_F32,
                                       .x_zero = x.zero,
                                       .y_zero = y.zero}};
  int in[5] = {BRAID_NONE, BRAID_NONE, BRAID_NONE, BRAID_NONE, BRAID_NONE};
  BRAID_TRY(bytes_of(l, node->in[0], &in[0]));
  BRAID_TRY(make_factors(l, node, x.by, y.by, in));
  if (residual) {
    struct scale r = scale_of(l, node->in[3]);
    attrs.qconv.r_zero = r.zero;
    attrs.qconv.r_scale = r.by / y.by;
    BRAID_TRY(bytes_of(l, node->in[3], &in[4]));
  }
  BRAID_TRY(rebuild_add(l->r, BRAID_OP_QLINEAR_CONV, &attrs, in, residual ? 5 : 4, name, out));
  l->r->to->node[*out].act = act_in(&node->act, y.by);
  return BRAID_OK;
}

static enum braid_status lower_node(struct lowering *l, int id) {
  const struct braid_node *node = &l->from->node[id];
  struct tensor_state *t = &l->t[id];
  int in[MAX_OPERANDS], *to = t->is_bytes ? &t->bytes : &t->real;
  const char *name = t->is_bytes && node->is_output ? rebuild_name(l->r, node->name, "uint8") : node->name;
  if (!name) return out_of_memory(l->from);
  if (t->convolved) {
    BRAID_TRY(convolve(l, id, name, to));
  } else {
    for (int k = 0; k < node->n_in; k++)
      BRAID_TRY(t->is_bytes ? bytes_of(l, node->in[k], &in[k]) : real_of(l, node->in[k], &in[k]));
    BRAID_TRY(rebuild_node(l->r, id, in, name, to));
  }
  /* Outputs are what they were. */
  if (t->is_bytes && node->is_output)
    BRAID_TRY(convert(l, BRAID_OP_DEQUANTIZE_LINEAR, id, t->bytes, node->name, &t->real));
  return BRAID_OK;
}

static enum braid_status lower_all(struct lowering *l) {
  choose_forms(l);
  share_scales(l);
  for (int id = 0; id < l->from->n_nodes; id++) BRAID_TRY(lower_node(l, id));
  for (int i = 0; i < l->from->n_outputs; i++)
    BRAID_TRY(braid_graph_add_output(l->r->to, l->t[l->from->output[i]].real));
  return BRAID_OK;
}

enum braid_status lower_int8(struct rebuild *r, const struct braid_range *range) {
  struct lowering l = {r, r->from, range, braid_calloc((size_t)r->from->n_nodes, sizeof *l.t)};
  if (!l.t) return out_of_memory(r->from);
  for (int id = 0; id < r->from->n_nodes; id++) l.t[id].bytes = l.t[id].real = BRAID_NONE;
  enum braid_status status = lower_all(&l);
  braid_free(l.t);
  return status;
}
