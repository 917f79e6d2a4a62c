/* SPDX-License-Identifier: Apache-2.0
 *
 * What is written behind a convolution of bytes as operators of their own (by onnx_export_qconv.c, since ONNX has none
 * for all of it) is part of it: a bias, the scale of the sums, a residual, an activation, the bytes of the result. One
 * is taken at a time, in the order in which the convolution applies them, so each step is right by itself, to the bit:
 *
 *   sums + bias[o]                        a bias
 *   float32(sums) * scale[o]              a result in float32
 *   that + (float32(r) - zero) * scale    a residual of bytes
 *   Relu, Clip                            an activation
 *   QuantizeLinear by a scale of 1        a result of bytes */
#include "infer.h"
#include "passes/passes.h"
#include "passes/pattern.h"

#include <math.h>

enum { BIAS = 2, SCALE = 3, RESIDUAL = 4, OPERANDS = 5 };

/* A convolution of bytes with a result of type `to` that only `reader` reads, nothing applied behind it; else NULL. */
static struct braid_node *open_conv(const struct uses *uses, int operand, int reader, enum braid_dtype to) {
  if (!braid_is_node(operand) || sole_reader(uses, operand) != reader) return NULL;
  struct braid_node *node = &uses->graph->node[operand];
  bool is_open = node->op == BRAID_OP_QLINEAR_CONV && node->dtype == to && node->act.op == BRAID_ACT_NONE;
  return is_open && braid_shape_equal(&node->shape, &uses->graph->node[reader].shape) ? node : NULL;
}

static void operands_of(const struct braid_node *conv, int in[OPERANDS]) {
  for (int k = 0; k < OPERANDS; k++) in[k] = k < conv->n_in ? conv->in[k] : BRAID_NONE;
}

/* The result of `conv` is now of that type. */
static enum braid_status take(struct uses *uses, int conv, int reader, const int in[OPERANDS], enum braid_dtype to) {
  int n_in = in[RESIDUAL] != BRAID_NONE ? 5 : in[SCALE] != BRAID_NONE ? 4 : 3;
  BRAID_TRY(swallow(uses, conv, reader, in, n_in));
  uses->graph->node[reader].attrs.qconv.to = to;
  return BRAID_OK;
}

/* --------------------------------------------------------------------------------------------- constants */

static bool scalar(const struct braid_graph *graph, int operand, float *value) {
  const struct braid_tensor *t = constant_operand(graph, operand, BRAID_F32);
  if (!t || braid_shape_elements(&t->shape) != 1 || t->shape.rank > 1) return false;
  *value = *(const float *)t->data;
  return isfinite(*value);
}

static bool all_finite(const struct braid_tensor *t) {
  for (int i = 0; i < t->shape.dim[0]; i++)
    if (!isfinite(((const float *)t->data)[i])) return false;
  return true;
}

/* ------------------------------------------------------------------------------------------------- steps */

static enum braid_status take_bias(struct uses *uses, int id) {
  const struct braid_node *sum = &uses->graph->node[id], *conv = open_conv(uses, sum->in[0], id, BRAID_I32);
  struct braid_tensor bias;
  int in[OPERANDS];
  if (!conv || (conv->n_in > BIAS && conv->in[BIAS] != BRAID_NONE)) return BRAID_OK;
  if (!per_channel(constant_operand(uses->graph, sum->in[1], BRAID_I32), conv->shape.dim[1], &bias)) return BRAID_OK;
  operands_of(conv, in);
  BRAID_TRY(braid_graph_add_constant(uses->graph, NULL, &bias, &in[BIAS]));
  return take(uses, sum->in[0], id, in, BRAID_I32);
}

static enum braid_status take_scale(struct uses *uses, int id) {
  const struct braid_node *product = &uses->graph->node[id];
  const struct braid_node *cast = sole_node(uses, product->in[0], id, BRAID_OP_CAST);
  int real = product->in[0], sums = cast ? cast->in[0] : BRAID_NONE, in[OPERANDS];
  const struct braid_node *conv = cast ? open_conv(uses, sums, real, BRAID_I32) : NULL;
  struct braid_tensor scale;
  if (!conv || !braid_shape_equal(&product->shape, &conv->shape)) return BRAID_OK;
  const struct braid_tensor *factor = constant_operand(uses->graph, product->in[1], BRAID_F32);
  if (!per_channel(factor, conv->shape.dim[1], &scale) || !all_finite(&scale)) return BRAID_OK;
  operands_of(conv, in);
  BRAID_TRY(braid_graph_add_constant(uses->graph, NULL, &scale, &in[SCALE]));
  BRAID_TRY(take(uses, sums, real, in, BRAID_F32)); /* for a moment it is scaled before its time: nobody looks */
  return take(uses, real, id, in, BRAID_F32);
}

/* (float32(bytes) - zero) * scale as operand of `reader`: the bytes, who casts them, zero point and scale. */
static bool read_residual(const struct uses *uses, int operand, int reader, int *bytes, int *reads, float *zero,
                          float *scale) {
  const struct braid_graph *graph = uses->graph;
  const struct braid_node *product = sole_node(uses, operand, reader, BRAID_OP_MUL);
  if (!product || !scalar(graph, product->in[1], scale)) return false;
  const struct braid_node *less = sole_node(uses, product->in[0], operand, BRAID_OP_SUB);
  if (!less || !scalar(graph, less->in[1], zero)) return false;
  const struct braid_node *cast = sole_node(uses, less->in[0], product->in[0], BRAID_OP_CAST);
  if (!cast || !braid_is_node(cast->in[0])) return false;
  *bytes = cast->in[0];
  *reads = less->in[0];
  enum braid_dtype dtype = graph->node[*bytes].dtype;
  float low = dtype == BRAID_U8 ? 0.0f : -128.0f;
  return is_byte(dtype) && *zero == rintf(*zero) && *zero >= low && *zero <= low + 255.0f;
}

static enum braid_status take_residual(struct uses *uses, int id) {
  const struct braid_node *sum = &uses->graph->node[id], *conv = open_conv(uses, sum->in[0], id, BRAID_F32);
  int from = sum->in[0], reads, in[OPERANDS];
  float zero, scale;
  if (!conv || (conv->n_in > RESIDUAL && conv->in[RESIDUAL] != BRAID_NONE)) return BRAID_OK;
  operands_of(conv, in);
  if (!read_residual(uses, sum->in[1], id, &in[RESIDUAL], &reads, &zero, &scale)) return BRAID_OK;
  if (!braid_shape_equal(&uses->graph->node[in[RESIDUAL]].shape, &conv->shape)) return BRAID_OK;
  BRAID_TRY(take(uses, from, id, in, BRAID_F32));
  if (uses->reader[in[RESIDUAL]] == reads) uses->reader[in[RESIDUAL]] = id;
  uses->graph->node[id].attrs.qconv.r_zero = (int)zero;
  uses->graph->node[id].attrs.qconv.r_scale = scale;
  return BRAID_OK;
}

static enum braid_status take_activation(struct uses *uses, int id) {
  struct braid_node *node = &uses->graph->node[id];
  struct braid_act act = {node->op, unary_attrs_of(node->op, &node->attrs)};
  int from = node->in[0], in[OPERANDS];
  const struct braid_node *conv = open_conv(uses, from, id, BRAID_F32);
  if (!conv) return BRAID_OK;
  operands_of(conv, in);
  BRAID_TRY(take(uses, from, id, in, BRAID_F32));
  node->act = act;
  return BRAID_OK;
}

/* Behind an activation, too. */
static enum braid_status take_bytes(struct uses *uses, int id) {
  struct braid_graph *graph = uses->graph;
  const struct braid_node *node = &graph->node[id];
  int from = node->in[0], in[OPERANDS], zero = 0;
  float scale;
  if (!is_byte(node->dtype) || !braid_is_node(from) || sole_reader(uses, from) != id) return BRAID_OK;
  const struct braid_node *conv = &graph->node[from];
  if (conv->op != BRAID_OP_QLINEAR_CONV || conv->dtype != BRAID_F32) return BRAID_OK;
  if (!scalar(graph, node->in[1], &scale) || scale != 1.0f) return BRAID_OK;
  if (node->n_in > 2 && node->in[2] != BRAID_NONE) {
    const struct braid_tensor *t = constant_operand(graph, node->in[2], node->dtype);
    if (!t) return BRAID_OK;
    zero = node->dtype == BRAID_U8 ? *(const uint8_t *)t->data : *(const int8_t *)t->data;
  }
  operands_of(conv, in);
  BRAID_TRY(take(uses, from, id, in, node->dtype));
  graph->node[id].attrs.qconv.y_zero = zero;
  return BRAID_OK;
}

static enum braid_status fuse(struct uses *uses, int id) {
  const struct braid_node *node = &uses->graph->node[id];
  if (node->act.op != BRAID_ACT_NONE) return BRAID_OK;
  switch (node->op) {
  case BRAID_OP_ADD: return node->dtype == BRAID_I32 ? take_bias(uses, id) : take_residual(uses, id);
  case BRAID_OP_MUL: return take_scale(uses, id);
  case BRAID_OP_RELU:
  case BRAID_OP_CLIP: return take_activation(uses, id);
  case BRAID_OP_QUANTIZE_LINEAR: return take_bytes(uses, id);
  default: return BRAID_OK;
  }
}

enum braid_status pass_fuse_requantise(struct braid_graph *graph) { return for_each_live(graph, fuse); }
