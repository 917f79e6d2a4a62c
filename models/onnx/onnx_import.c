/* SPDX-License-Identifier: Apache-2.0
 *
 * ONNX file -> unsealed graph: initializers, inputs, then every node in the order given (ONNX demands that operands
 * come first; a file that breaks this, or is cyclic, is refused), then outputs. Converters are in onnx_ops_*.c.
 */
#include "onnx_internal.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *text_of(const char *s) {
  return s ? s : "";
}

static bool named(const char *s) {
  return s && *s;
}

/* A node is told by its name, or by its first output when it has none. */
static const char *label_of(const Onnx__NodeProto *proto) {
  if (named(proto->name)) return proto->name;
  return proto->n_output > 0 ? proto->output[0] : "";
}

/* ------------------------------------------------------------------------------------- before the walk */

static enum braid_status read_opset(const Onnx__ModelProto *model, int *opset) {
  for (size_t i = 0; i < model->n_opset_import; i++) {
    const Onnx__OperatorSetIdProto *set = model->opset_import[i];
    if (named(set->domain) && strcmp(set->domain, "ai.onnx") != 0) continue;
    if (set->version >= ONNX_OPSET_MIN && set->version <= ONNX_OPSET_MAX) {
      *opset = (int)set->version;
      return BRAID_OK;
    }
    return braid_fail(BRAID_EUNSUPPORTED, "opset %lld; %d to %d are supported: export it again with one of these",
                      (long long)set->version, ONNX_OPSET_MIN, ONNX_OPSET_MAX);
  }
  if (model->n_opset_import == 0) return braid_fail(BRAID_EFORMAT, "it does not say which opset it uses");
  *opset = ONNX_OPSET_MAX; /* operators of other domains only: they will be named as unsupported */
  return BRAID_OK;
}

struct report {
  char text[1600];
  size_t at;
  int kinds;
};

static void report_op(struct report *report, const Onnx__NodeProto *node, int opset) {
  if (report->at + 200 > sizeof report->text) return;
  int n =
      snprintf(report->text + report->at, 200, "%s%s%s%.60s (node '%.60s', opset %d)", report->at ? ", " : "",
               text_of(node->domain), named(node->domain) ? "." : "", text_of(node->op_type), label_of(node), opset);
  if (n > 0) report->at += (size_t)(n < 200 ? n : 199);
}

static bool same_op(const Onnx__NodeProto *a, const Onnx__NodeProto *b) {
  return strcmp(text_of(a->op_type), text_of(b->op_type)) == 0 && strcmp(text_of(a->domain), text_of(b->domain)) == 0;
}

/* Each unsupported operator once, at its first node. At most 64 kinds are compared: the report is full before. */
static enum braid_status check_operators(const Onnx__GraphProto *graph, int opset) {
  struct report report = {.at = 0};
  const Onnx__NodeProto *kind[64];
  for (size_t i = 0; i < graph->n_node; i++) {
    const Onnx__NodeProto *node = graph->node[i];
    if (onnx_op_find(node->domain, node->op_type, opset)) continue;
    int k = 0;
    while (k < report.kinds && !same_op(kind[k], node)) k++;
    if (k < report.kinds || k == 64) continue;
    kind[report.kinds++] = node;
    report_op(&report, node, opset);
  }
  if (report.kinds == 0) return BRAID_OK;
  return braid_fail(BRAID_EUNSUPPORTED, "%d unsupported operator%s: %s", report.kinds, report.kinds > 1 ? "s" : "",
                    report.text);
}

/* --------------------------------------------------------------------------------- initializers, inputs */

static enum braid_status add_initializers(struct onnx_import *im) {
  for (size_t i = 0; i < im->proto->n_initializer; i++) {
    const Onnx__TensorProto *proto = im->proto->initializer[i];
    struct braid_tensor tensor;
    struct onnx_value *value;
    if (!named(proto->name)) return braid_fail(BRAID_EFORMAT, "initializer %zu has no name", i);
    BRAID_TRY(onnx_tensor_read(im->source, proto, &tensor));
    BRAID_TRY(onnx_value_const(im, &tensor, &value));
    BRAID_TRY(onnx_value_name(im, proto->name, value));
  }
  if (im->proto->n_sparse_initializer > 0) {
    return braid_fail(BRAID_EUNSUPPORTED, "sparse initializers are not supported");
  }
  return BRAID_OK;
}

/* A dim without a value, or with one that exporters write for "any", is symbolic: only the batch may be. */
static enum braid_status read_input_dim(const struct onnx_import *im, const Onnx__TensorShapeProto__Dimension *dim,
                                        int i, int *out) {
  bool known = dim->value_case == ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE;
  if (known && dim->dim_value > 0) return onnx_dim("a dim", dim->dim_value, out);
  if (i == 0) {
    *out = im->opts->batch > 0 ? im->opts->batch : 1;
    return BRAID_OK;
  }
  bool has_name = dim->value_case == ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_PARAM && named(dim->dim_param);
  return braid_fail(BRAID_EUNSUPPORTED,
                    "dim %d ('%s') has no fixed size: only the first may; export the model with fixed sizes", i,
                    has_name ? dim->dim_param : "?");
}

/* The caller knows the sizes better than the file does. */
static enum braid_status read_given(const struct braid_tensor *tensor, enum braid_dtype dtype,
                                    struct braid_shape *shape) {
  *shape = tensor->shape;
  if (tensor->dtype == dtype) return BRAID_OK;
  return braid_fail(BRAID_EMISMATCH, "a value of type %s was given, the file says %s", braid_dtype_name(tensor->dtype),
                    braid_dtype_name(dtype));
}

static enum braid_status read_input(const struct onnx_import *im, const Onnx__ValueInfoProto *info,
                                    const struct braid_tensor *given, enum braid_dtype *dtype,
                                    struct braid_shape *shape) {
  const Onnx__TypeProto *type = info->type;
  if (!type || type->value_case != ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE || !type->tensor_type) {
    return braid_fail(BRAID_EUNSUPPORTED, "it is not a tensor");
  }
  const Onnx__TensorShapeProto *dims = type->tensor_type->shape;
  BRAID_TRY(onnx_dtype(type->tensor_type->elem_type, dtype));
  if (given) return read_given(given, *dtype, shape);
  if (!dims) return braid_fail(BRAID_EUNSUPPORTED, "it has no shape: export the model with shapes");
  if (dims->n_dim > BRAID_MAX_RANK) {
    return braid_fail(BRAID_EUNSUPPORTED, "it has %zu dims, at most %d are supported", dims->n_dim, BRAID_MAX_RANK);
  }
  *shape = (struct braid_shape){.rank = (int)dims->n_dim};
  for (int i = 0; i < shape->rank; i++) BRAID_TRY(read_input_dim(im, dims->dim[i], i, &shape->dim[i]));
  return BRAID_OK;
}

static enum braid_status add_given(struct onnx_import *im, const char *name, const struct braid_tensor *given) {
  struct braid_tensor copy = *given;
  struct onnx_value *value;
  size_t bytes;
  BRAID_TRY(braid_shape_bytes(&copy.shape, copy.dtype, &bytes));
  BRAID_TRY(onnx_source_alloc(im->source, bytes, &copy.data));
  memcpy(copy.data, given->data, bytes);
  BRAID_TRY(onnx_value_const(im, &copy, &value));
  return onnx_value_name(im, name, value);
}

/* What has no elements is known before it arrives: callers still hand it in, but nodes find a constant. */
static enum braid_status add_empty_input(struct onnx_import *im, const char *name, enum braid_dtype dtype,
                                         const struct braid_shape *shape) {
  struct braid_tensor nothing = {.dtype = dtype, .shape = *shape};
  struct onnx_value *value;
  int id;
  BRAID_TRY(braid_graph_add_input(im->graph, name, dtype, shape, &id));
  BRAID_TRY(onnx_source_alloc(im->source, 0, &nothing.data));
  BRAID_TRY(onnx_value_const(im, &nothing, &value));
  return onnx_value_name(im, name, value);
}

static enum braid_status add_input(struct onnx_import *im, const Onnx__ValueInfoProto *info,
                                   const struct braid_tensor *given) {
  enum braid_dtype dtype;
  struct braid_shape shape;
  struct onnx_value *value;
  enum braid_status status = read_input(im, info, given, &dtype, &shape);
  if (status != BRAID_OK) return braid_fail_in(status, "input '%s'", info->name);
  if (given && given->data) return add_given(im, info->name, given);
  if (braid_shape_elements(&shape) == 0) return add_empty_input(im, info->name, dtype, &shape);
  BRAID_TRY(onnx_value_new(im, &value));
  value->tensor = (struct braid_tensor){.dtype = dtype, .shape = shape};
  BRAID_TRY(onnx_value_name(im, info->name, value));
  return braid_graph_add_input(im->graph, info->name, dtype, &shape, &value->operand);
}

/* Old files list initializers among the inputs, too: those are weights with a default that we take as fixed. */
static enum braid_status add_inputs(struct onnx_import *im) {
  int n = 0;
  for (size_t i = 0; i < im->proto->n_input; i++) {
    const Onnx__ValueInfoProto *info = im->proto->input[i];
    if (!named(info->name)) return braid_fail(BRAID_EFORMAT, "input %zu has no name", i);
    const struct onnx_value *known = onnx_find(im, info->name);
    if (known && known->constant) continue;
    BRAID_TRY(add_input(im, info, n < im->opts->n_inputs ? &im->opts->input[n] : NULL));
    n++;
  }
  return BRAID_OK;
}

/* --------------------------------------------------------------------------------------------- the walk */

static bool made_later(const struct onnx_import *im, const char *name) {
  for (size_t i = 0; i < im->proto->n_node; i++) {
    for (size_t k = 0; k < im->proto->node[i]->n_output; k++) {
      if (strcmp(im->proto->node[i]->output[k], name) == 0) return true;
    }
  }
  return false;
}

static enum braid_status check_operand(const struct onnx_import *im, const char *name) {
  const struct onnx_value *value = onnx_find(im, name);
  if (!value) {
    return braid_fail(BRAID_EFORMAT,
                      made_later(im, name)
                          ? "operand '%s' is made by a later node: the nodes are out of order or cyclic"
                          : "operand '%s' does not exist",
                      name);
  }
  if (value->refused) return braid_fail(BRAID_EUNSUPPORTED, "operand '%s' is %s", name, value->refused);
  return BRAID_OK;
}

static enum braid_status check_node(const struct onnx_node *node) {
  const Onnx__NodeProto *proto = node->proto;
  size_t n = (size_t)onnx_in_count(node);
  if (proto->n_output == 0) return braid_fail(BRAID_EFORMAT, "it has no outputs");
  if (n < (size_t)node->op->min_in || n > (size_t)node->op->max_in) {
    return braid_fail(BRAID_EFORMAT, "it has %zu operands, expected at least %d%s", n, node->op->min_in,
                      node->op->max_in == INT_MAX ? "" : " and not so many");
  }
  for (size_t i = 0; i < n; i++) {
    bool required = i < (size_t)node->op->min_in || node->op->max_in == INT_MAX;
    if (*proto->input[i]) BRAID_TRY(check_operand(node->im, proto->input[i]));
    if (!*proto->input[i] && required) return braid_fail(BRAID_EFORMAT, "operand %zu is missing", i);
  }
  return BRAID_OK;
}

/* Outputs that no converter makes (running means, states): an error only if somebody reads them. */
static enum braid_status refuse_other_outputs(struct onnx_node *node) {
  for (size_t k = 0; k < node->proto->n_output; k++) {
    const char *name = node->proto->output[k];
    struct onnx_value *value;
    if (!*name || onnx_find(node->im, name)) continue;
    BRAID_TRY(onnx_value_new(node->im, &value));
    value->refused = "an extra output of its operator, which is not supported";
    BRAID_TRY(onnx_value_name(node->im, name, value));
  }
  return BRAID_OK;
}

static enum braid_status check_outputs_are_new(const struct onnx_node *node) {
  for (size_t k = 0; k < node->proto->n_output; k++) {
    const char *name = node->proto->output[k];
    if (*name && onnx_find(node->im, name)) return braid_fail(BRAID_EFORMAT, "value '%s' is defined twice", name);
  }
  return BRAID_OK;
}

static enum braid_status convert(struct onnx_node *node) {
  BRAID_TRY(check_node(node));
  BRAID_TRY(check_outputs_are_new(node));
  BRAID_TRY(node->op->convert(node));
  return refuse_other_outputs(node);
}

static enum braid_status add_nodes(struct onnx_import *im) {
  for (size_t i = 0; i < im->proto->n_node; i++) {
    const Onnx__NodeProto *proto = im->proto->node[i];
    struct onnx_node node = {im, proto, onnx_op_find(proto->domain, proto->op_type, im->opset), im->opset};
    enum braid_status status = convert(&node);
    if (status != BRAID_OK) {
      return braid_fail_in(status, "node '%.200s' (%s, opset %d)", label_of(proto), proto->op_type, im->opset);
    }
  }
  return BRAID_OK;
}

/* What is no node of its own (a constant, an input, an output already) can be an output only through a node that hands
 * it on. That has the output's name where it is free: constants that nobody has used yet have none in the graph. */
static enum braid_status hand_on(struct onnx_import *im, struct onnx_value *value, int *id) {
  int operand;
  char made[256];
  const char *name = value->name;
  bool is_free = value->constant && value->operand == BRAID_NONE && braid_graph_find(im->graph, name) < 0;
  snprintf(made, sizeof made, is_free ? "%.200s#value" : "%.200s#out%d", value->name, im->n_made++);
  if (is_free) value->name = made;
  enum braid_status status = onnx_operand(im, value, &operand);
  value->name = name;
  BRAID_TRY(status);
  if (!is_free) name = made;
  return braid_graph_add(im->graph, BRAID_OP_RESHAPE, NULL, &operand, 1, &value->tensor.shape, name, id);
}

static enum braid_status add_outputs(struct onnx_import *im) {
  if (im->proto->n_output == 0) return braid_fail(BRAID_EFORMAT, "the graph has no outputs");
  for (size_t i = 0; i < im->proto->n_output; i++) {
    const char *name = im->proto->output[i]->name;
    if (!named(name)) return braid_fail(BRAID_EFORMAT, "output %zu has no name", i);
    enum braid_status status = check_operand(im, name);
    if (status != BRAID_OK) return braid_fail_in(status, "output %zu", i);
    struct onnx_value *value = onnx_find(im, name);
    int id = value->operand;
    const struct braid_node *node = value->constant ? NULL : braid_graph_node(im->graph, id);
    if (!node || node->op == BRAID_OP_INPUT || node->is_output) BRAID_TRY(hand_on(im, value, &id));
    BRAID_TRY(braid_graph_add_output(im->graph, id));
  }
  return BRAID_OK;
}

/* ------------------------------------------------------------------------------------------ entry points */

static int max_int(int a, int b) { return a > b ? a : b; }

/* Of "name#12" or "name#out12": 13. Files that we have written have such names. */
static int number_after(const char *name) {
  const char *mark = name ? strrchr(name, '#') : NULL;
  if (!mark) return 0;
  const char *digits = name + strlen(name);
  while (digits[-1] >= '0' && digits[-1] <= '9') digits--;
  long number = *digits ? strtol(digits, NULL, 10) : -1;
  return number < INT_MAX / 2 ? (int)number + 1 : 0;
}

/* Names that are made here must not be those of what comes later in the file. */
static void number_names(struct onnx_import *im) {
  const Onnx__GraphProto *g = im->proto;
  int most = 0;
  for (size_t i = 0; i < g->n_initializer; i++) most = max_int(most, number_after(g->initializer[i]->name));
  for (size_t i = 0; i < g->n_input; i++) most = max_int(most, number_after(g->input[i]->name));
  for (size_t i = 0; i < g->n_node; i++)
    for (size_t k = 0; k < g->node[i]->n_output; k++) most = max_int(most, number_after(g->node[i]->output[k]));
  im->n_made = most;
}

static enum braid_status walk(struct onnx_import *im) {
  const Onnx__ModelProto *model = onnx_source_model(im->source);
  im->proto = model->graph;
  if (!im->proto) return braid_fail(BRAID_EFORMAT, "it holds no graph");
  if (im->proto->n_node > INT_MAX / 2) return braid_fail(BRAID_EFORMAT, "it has too many nodes");
  BRAID_TRY(read_opset(model, &im->opset));
  BRAID_TRY(check_operators(im->proto, im->opset));
  number_names(im);
  BRAID_TRY(add_initializers(im));
  BRAID_TRY(add_inputs(im));
  BRAID_TRY(add_nodes(im));
  return add_outputs(im);
}

/* Takes the source over. */
static enum braid_status import(struct onnx_source *source, const char *name, const struct braid_onnx_opts *opts,
                                struct braid_graph **out) {
  struct onnx_import im = {.opts = opts, .source = source};
  enum braid_status status = braid_graph_create(name, &im.graph);
  if (status != BRAID_OK) {
    onnx_source_destroy(source);
    return status;
  }
  status = braid_graph_adopt(im.graph, source, onnx_source_destroy);
  if (status == BRAID_OK) status = walk(&im);
  onnx_values_free(&im);
  if (status != BRAID_OK) {
    braid_graph_destroy(&im.graph);
    return status;
  }
  *out = im.graph;
  return BRAID_OK;
}

static struct braid_onnx_opts completed(const struct braid_onnx_opts *opts) {
  struct braid_onnx_opts all = {0};
  if (opts) all = *opts;
  if (all.max_bytes == 0) all.max_bytes = (size_t)4 << 30;
  return all;
}

/* "dir/squeezenet.onnx" -> "squeezenet". */
static void model_name(const char *path, char *buf, size_t size) {
  const char *slash = strrchr(path, '/');
  snprintf(buf, size, "%s", slash ? slash + 1 : path);
  size_t n = strlen(buf);
  if (n > 5 && strcmp(buf + n - 5, ".onnx") == 0) buf[n - 5] = '\0';
}

enum braid_status braid_onnx_load(const char *path, const struct braid_onnx_opts *opts, struct braid_graph **out) {
  struct braid_onnx_opts all = completed(opts);
  struct onnx_source *source = NULL;
  char name[256];
  model_name(path, name, sizeof name);
  enum braid_status status = onnx_source_open(path, &all, &source);
  if (status == BRAID_OK) status = import(source, all.name ? all.name : name, &all, out);
  return status == BRAID_OK ? BRAID_OK : braid_fail_in(status, "%s", path);
}

enum braid_status braid_onnx_parse(const uint8_t *data, size_t size, const char *name,
                                   const struct braid_onnx_opts *opts, struct braid_graph **out) {
  struct braid_onnx_opts all = completed(opts);
  struct onnx_source *source = NULL;
  enum braid_status status = onnx_source_create(all.max_bytes, -1, &source);
  if (status != BRAID_OK) return status;
  if (size > all.max_bytes) {
    status = braid_fail(BRAID_ENOMEM, "%zu bytes, more than the limit of %zu", size, all.max_bytes);
  } else {
    status = onnx_source_unpack(source, data, size);
  }
  if (status == BRAID_OK) {
    status = import(source, name ? name : "model", &all, out);
  } else {
    onnx_source_destroy(source);
  }
  return status == BRAID_OK ? BRAID_OK : braid_fail_in(status, "%s", name ? name : "model");
}
