/* SPDX-License-Identifier: Apache-2.0
 * Networks in a lower precision than float32, and with every tensor to be seen. */
#include "lower.h"

#include <math.h>
#include <string.h>

/* -------------------------------------------------------------------------------------------- bfloat16 */

/* To nearest, ties to even; what is no number stays none. */
static uint16_t bf16_of(float x) {
  uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  if (isnan(x)) return (uint16_t)(bits >> 16 | 0x40);
  return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

/* Rounded weights, made once for all who share them. */
static enum braid_status round_weights(struct rebuild *r, int old, int *rounded, int *operand) {
  int *made = &rounded[braid_const_index(old)];
  const struct constant *w = &r->from->constant[braid_const_index(old)];
  const float *value = w->tensor.data;
  void *data;
  if (*made == BRAID_NONE) {
    BRAID_TRY(rebuild_new_constant(r, rebuild_name(r, w->name, "bfloat16"), BRAID_BF16, &w->tensor.shape, &data, made));
    for (int64_t i = 0, n = braid_shape_elements(&w->tensor.shape); i < n; i++)
      ((uint16_t *)data)[i] = bf16_of(value[i]);
  }
  *operand = *made;
  return BRAID_OK;
}

static enum braid_status copy_outputs(struct rebuild *r) {
  for (int i = 0; i < r->from->n_outputs; i++)
    BRAID_TRY(braid_graph_add_output(r->to, r->node[r->from->output[i]]));
  return BRAID_OK;
}

static enum braid_status round_all(struct rebuild *r, int *rounded) {
  for (int id = 0; id < r->from->n_nodes; id++) {
    const struct braid_node *node = &r->from->node[id];
    int in[MAX_OPERANDS];
    for (int k = 0; k < node->n_in; k++) BRAID_TRY(rebuild_operand(r, node->in[k], &in[k]));
    if (takes_bf16(r->from, node)) BRAID_TRY(round_weights(r, node->in[1], rounded, &in[1]));
    BRAID_TRY(rebuild_node(r, id, in, node->name, &r->node[id]));
  }
  return copy_outputs(r);
}

enum braid_status lower_bf16(struct rebuild *r) {
  int *rounded = braid_malloc((size_t)r->from->n_constants * sizeof *rounded);
  if (!rounded) return out_of_memory(r->from);
  for (int i = 0; i < r->from->n_constants; i++) rounded[i] = BRAID_NONE;
  enum braid_status status = round_all(r, rounded);
  braid_free(rounded);
  return status;
}

/* ------------------------------------------------------------------------------------------ entry points */

static enum braid_status must_be_sealed(const struct braid_graph *graph) {
  if (graph->sealed) return BRAID_OK;
  return braid_fail(BRAID_EINVAL, "graph '%s' is not sealed", graph->name);
}

/* The new graph, sealed as it is. */
static enum braid_status finish(struct rebuild *r, enum braid_status status, struct braid_graph **out) {
  if (status == BRAID_OK) status = braid_graph_seal(r->to, 0);
  if (status == BRAID_OK) {
    *out = r->to;
    r->to = NULL;
  }
  rebuild_end(r);
  return status;
}

enum braid_status braid_graph_lower(const struct braid_graph *graph, enum braid_precision precision,
                                    const struct braid_range *range, struct braid_graph **out) {
  struct rebuild r;
  BRAID_TRY(must_be_sealed(graph));
  if (precision == BRAID_PRECISION_INT8 && !range)
    return braid_fail(BRAID_EINVAL, "graph '%s': int8 needs the ranges of its tensors", graph->name);
  if (precision != BRAID_PRECISION_INT8 && precision != BRAID_PRECISION_BF16)
    return braid_fail(BRAID_EINVAL, "graph '%s': there is nothing lower than precision %d", graph->name, (int)precision);
  BRAID_TRY(rebuild_begin(graph, &r));
  return finish(&r, precision == BRAID_PRECISION_INT8 ? lower_int8(&r, range) : lower_bf16(&r), out);
}

static enum braid_status expose_all(struct rebuild *r) {
  for (int id = 0; id < r->from->n_nodes; id++) {
    const struct braid_node *node = &r->from->node[id];
    int in[MAX_OPERANDS];
    for (int k = 0; k < node->n_in; k++) BRAID_TRY(rebuild_operand(r, node->in[k], &in[k]));
    BRAID_TRY(rebuild_node(r, id, in, node->name, &r->node[id]));
    if (node->dtype == BRAID_F32 && node->op != BRAID_OP_INPUT) BRAID_TRY(braid_graph_add_output(r->to, r->node[id]));
  }
  return BRAID_OK;
}

enum braid_status braid_graph_expose(const struct braid_graph *graph, struct braid_graph **out) {
  struct rebuild r;
  BRAID_TRY(must_be_sealed(graph));
  BRAID_TRY(rebuild_begin(graph, &r));
  return finish(&r, expose_all(&r), out);
}

static const char *const precision_names[] = {"fp32", "bf16", "int8"};

const char *braid_precision_name(enum braid_precision precision) { return precision_names[precision]; }

bool braid_precision_find(const char *name, enum braid_precision *out) {
  for (int i = 0; i < 3; i++)
    if (strcmp(precision_names[i], name) == 0) {
      *out = (enum braid_precision)i;
      return true;
    }
  return false;
}
