/* SPDX-License-Identifier: Apache-2.0
 * ONNX's own operator tests: one-node models with inputs and outputs, run by the importer and the reference kernels. */
#include "braid/models.h"
#include "onnx_internal.h"
#include "ref_evaluator.h"
#include "testdata.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <math.h>

static size_t read_file(const char *path, uint8_t *buf, size_t size) {
  FILE *file = fopen(path, "rb");
  if (!file) return 0;
  size_t n = fread(buf, 1, size, file);
  fclose(file);
  return n;
}

static uint8_t file_bytes[1 << 22];

static Onnx__TensorProto *read_message(const char *dir, const char *what, int k) {
  char path[1000];
  snprintf(path, sizeof path, "%s/test_data_set_0/%s_%d.pb", dir, what, k);
  return onnx__tensor_proto__unpack(NULL, read_file(path, file_bytes, sizeof file_bytes), file_bytes);
}

/* Its numbers; the caller frees out->data. */
static bool read_pb(const char *dir, const char *what, int k, struct braid_tensor *out) {
  struct onnx_source *source;
  Onnx__TensorProto *message = read_message(dir, what, k);
  if (!message || onnx_source_create(1 << 22, -1, &source) != BRAID_OK) return false;
  enum braid_status status = onnx_tensor_read(source, message, out);
  if (status == BRAID_OK) { /* the data may live in the message or the source */
    size_t bytes = (size_t)braid_shape_elements(&out->shape) * braid_dtype_bytes(out->dtype);
    void *copy = braid_alloc_aligned(bytes + 1);
    memcpy(copy, out->data, bytes);
    out->data = copy;
  }
  onnx_source_destroy(source);
  onnx__tensor_proto__free_unpacked(message, NULL);
  return status == BRAID_OK;
}

/* The suite feeds shapes, axes and the like as inputs; in real files they are constants. So integer lists become
 * initializers. And files of opset 6 are read as 7: what changed between them, broadcasting by an attribute, is left
 * out. */
static bool as_real_file(const char *dir, Onnx__ModelProto *model) {
  Onnx__GraphProto *graph = model->graph;
  for (size_t i = 0; i < model->n_opset_import; i++) {
    if (model->opset_import[i]->version == 6) model->opset_import[i]->version = 7;
  }
  for (size_t i = 0; i < graph->n_node; i++) {
    for (size_t k = 0; k < graph->node[i]->n_attribute; k++) {
      if (strcmp(graph->node[i]->attribute[k]->name, "broadcast") == 0) return false;
    }
  }
  for (size_t i = 1; i < graph->n_input; i++) {
    Onnx__TensorProto *value = read_message(dir, "input", (int)i);
    bool list = value && value->n_dims <= 1 && (value->data_type == onnx_data_type(BRAID_I64));
    if (!list) {
      if (value) onnx__tensor_proto__free_unpacked(value, NULL);
      continue;
    }
    free(value->name);
    value->name = strdup(graph->input[i]->name);
    graph->initializer = realloc(graph->initializer, (graph->n_initializer + 1) * sizeof *graph->initializer);
    graph->initializer[graph->n_initializer++] = value;
  }
  return true;
}

/* The model's bytes as they are to be read. */
static uint8_t *model_bytes(const char *dir, size_t *size) {
  char path[1000];
  uint8_t *bytes = NULL;
  snprintf(path, sizeof path, "%s/model.onnx", dir);
  Onnx__ModelProto *model = onnx__model_proto__unpack(NULL, read_file(path, file_bytes, sizeof file_bytes), file_bytes);
  if (!model) return NULL;
  if (as_real_file(dir, model)) {
    *size = onnx__model_proto__get_packed_size(model);
    bytes = malloc(*size + 1);
    onnx__model_proto__pack(model, bytes);
  }
  onnx__model_proto__free_unpacked(model, NULL);
  return bytes;
}

/* Relative 1e-3, absolute 1e-7 as the suite has it; integers exactly. */
static bool close_enough(const struct braid_tensor *a, const struct braid_tensor *b, char *why, size_t size) {
  char x[96], y[96];
  if (a->dtype != b->dtype || !braid_shape_equal(&a->shape, &b->shape)) {
    snprintf(why, size, "%s %s, expected %s %s", braid_dtype_name(a->dtype), braid_shape_text(&a->shape, x, sizeof x),
             braid_dtype_name(b->dtype), braid_shape_text(&b->shape, y, sizeof y));
    return false;
  }
  int64_t n = braid_shape_elements(&a->shape);
  for (int64_t i = 0; i < n && a->dtype == BRAID_F32; i++) {
    float p = ((const float *)a->data)[i], q = ((const float *)b->data)[i];
    if (p == q || (isnan(p) && isnan(q)) || fabsf(p - q) <= 1e-7f + 1e-3f * fabsf(q)) continue;
    snprintf(why, size, "element %d is %g, expected %g", (int)i, (double)p, (double)q);
    return false;
  }
  if (a->dtype == BRAID_F32) return true;
  if (memcmp(a->data, b->data, (size_t)n * braid_dtype_bytes(a->dtype)) == 0) return true;
  snprintf(why, size, "the bytes differ");
  return false;
}

enum verdict { MATCHES, UNSUPPORTED, DIFFERS };

static enum verdict compare_outputs(const char *dir, const struct braid_graph *graph, const struct braid_tensor *values,
                                    char *why, size_t size) {
  enum verdict verdict = MATCHES;
  int n;
  const int *out = braid_graph_outputs(graph, &n);
  for (int k = 0; k < n && verdict == MATCHES; k++) {
    struct braid_tensor expected;
    if (!read_pb(dir, "output", k, &expected)) return UNSUPPORTED;
    if (!close_enough(&values[out[k]], &expected, why, size)) verdict = DIFFERS;
    braid_free(expected.data);
  }
  return verdict;
}

/* Input k of the suite is the k-th of the model; those that became constants come after the others. */
static bool read_inputs(const char *dir, const struct braid_graph *graph, struct braid_tensor *values) {
  int n;
  const int *in = braid_graph_inputs(graph, &n);
  for (int k = 0; k < n; k++) {
    const struct braid_node *node = braid_graph_node(graph, in[k]);
    if (!read_pb(dir, "input", k, &values[in[k]])) return false;
    if (values[in[k]].dtype != node->dtype || !braid_shape_equal(&values[in[k]].shape, &node->shape)) return false;
  }
  return true;
}

static enum braid_status run_node(const struct braid_graph *graph, const struct braid_node *node,
                                  const struct braid_tensor *values, const struct braid_tensor *out) {
  struct braid_kernel_args args = {
      .op = node->op, .attrs = node->attrs, .act = node->act, .n_in = node->n_in, .out = *out};
  for (int i = 0; i < node->n_in; i++) {
    args.present[i] = node->in[i] != BRAID_NONE;
    args.constant[i] = braid_is_const(node->in[i]);
    if (args.constant[i]) args.in[i] = *braid_graph_constant(graph, node->in[i]);
    if (braid_is_node(node->in[i])) args.in[i] = values[node->in[i]];
  }
  return ref_run(&args);
}

/* values: one tensor per node id; those of the inputs are given. A missing kernel is a status here, not an abort. */
static enum braid_status run_nodes(const struct braid_graph *graph, struct braid_tensor *values) {
  for (int id = 0; id < braid_graph_size(graph); id++) {
    const struct braid_node *node = braid_graph_node(graph, id);
    if (node->op == BRAID_OP_INPUT) continue;
    values[id] = (struct braid_tensor){braid_alloc_aligned(node->bytes + 1), node->dtype, node->shape};
    BRAID_TRY(run_node(graph, node, values, &values[id]));
  }
  return BRAID_OK;
}

static enum verdict run_graph(const char *dir, const struct braid_graph *graph, char *why, size_t size) {
  int n = braid_graph_size(graph);
  struct braid_tensor *values = braid_calloc((size_t)n, sizeof *values);
  enum verdict verdict = UNSUPPORTED;
  snprintf(why, size, "an input does not fit");
  if (read_inputs(dir, graph, values)) {
    enum braid_status status = run_nodes(graph, values);
    snprintf(why, size, "%s", status == BRAID_OK ? "" : braid_error());
    if (status == BRAID_OK) verdict = compare_outputs(dir, graph, values, why, size);
    if (status != BRAID_OK && status != BRAID_EUNSUPPORTED) verdict = DIFFERS;
  }
  for (int i = 0; i < n; i++) braid_free(values[i].data);
  braid_free(values);
  return verdict;
}

static enum verdict run_case(const char *dir, char *why, size_t size) {
  struct braid_evaluator evaluator = ref_evaluator();
  struct braid_onnx_opts opts = {.evaluator = &evaluator};
  struct braid_graph *graph = NULL;
  size_t n;
  uint8_t *bytes = model_bytes(dir, &n);
  snprintf(why, size, "it broadcasts by an attribute");
  if (!bytes) return UNSUPPORTED;
  enum braid_status status = braid_onnx_parse(bytes, n, "model", &opts, &graph);
  free(bytes);
  if (status == BRAID_OK) status = braid_graph_seal(graph, BRAID_PASS_ALL);
  snprintf(why, size, "%s", status == BRAID_OK ? "" : braid_error());
  enum verdict verdict = status == BRAID_OK ? run_graph(dir, graph, why, size) : UNSUPPORTED;
  braid_graph_destroy(&graph);
  return verdict;
}

Test(onnx_node, conformance) {
  char root[512];
  if (!testdata_path("onnx-node", root, sizeof root)) return;
  struct dirent **entry;
  int n = scandir(root, &entry, NULL, alphasort), count[3] = {0};
  cr_assert_gt(n, 0);
  for (int i = 0; i < n; i++) {
    char dir[800], why[2048] = "";
    snprintf(dir, sizeof dir, "%s/%s", root, entry[i]->d_name);
    if (strncmp(entry[i]->d_name, "test_", 5) == 0) {
      enum verdict verdict = run_case(dir, why, sizeof why);
      count[verdict]++;
      cr_expect_neq(verdict, DIFFERS, "%s: %s", entry[i]->d_name, why);
      if (verdict == UNSUPPORTED && getenv("BRAID_VERBOSE")) fprintf(stderr, "%s: %s\n", entry[i]->d_name, why);
    }
    free(entry[i]);
  }
  free(entry);
  fprintf(stderr, "onnx-node: %d match, %d are not supported, %d differ\n", count[MATCHES], count[UNSUPPORTED],
          count[DIFFERS]);
  cr_expect_geq(count[MATCHES], 240); /* so that "unsupported" cannot swallow what worked */
}
