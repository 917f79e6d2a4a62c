/* SPDX-License-Identifier: Apache-2.0
 * Every network of the test data against the outputs that another runtime stored for it (ref/): largest error
 * within 1e-3 of the output's range, the same top-1; with the passes on, and, where intermediate tensors are stored,
 * once more with the passes off and those tensors as outputs. The kernels are the fastest that this machine has. */
#include <criterion/criterion.h>
#include <dirent.h>
#include <jansson.h>
#include <math.h>
#include <string.h>

#include "braid/runtime.h"
#include "io.h"
#include "testdata.h"
#include "topo_weights.h"

#define must(expr) cr_assert_eq((expr), BRAID_OK, "%s", braid_error())

struct reference {
  char name[128], dir[512];
  json_t *json;
  bool light; /* all outputs nearly equal: errors are relative to the values, and there is no top-1 */
};

static json_t *open_json(const char *dir) {
  char path[600];
  json_error_t error;
  snprintf(path, sizeof path, "%s/ref.json", dir);
  json_t *json = json_load_file(path, 0, &error);
  cr_assert(json, "%s: %s", path, error.text);
  return json;
}

static struct braid_tensor read_array(const struct reference *ref, const json_t *entry) {
  char path[700];
  struct braid_tensor tensor;
  snprintf(path, sizeof path, "%s/%s", ref->dir, json_string_value(json_object_get(entry, "file")));
  must(io_npy_read(path, &tensor));
  cr_assert_eq(tensor.dtype, BRAID_F32, "%s", path);
  return tensor;
}

/* Stored values are float32; networks may want them, and answer, in 16 bits. `in` is freed. */
static struct braid_tensor as_type(struct braid_tensor in, enum braid_dtype dtype) {
  if (in.dtype == dtype) return in;
  struct braid_evaluator evaluator = braid_reference_evaluator();
  struct braid_tensor out = {NULL, dtype, in.shape};
  union braid_attrs cast = {.cast = {dtype}};
  out.data = braid_alloc_aligned((size_t)braid_shape_elements(&in.shape) * braid_dtype_bytes(dtype));
  cr_assert(out.data);
  must(evaluator.eval(evaluator.ctx, BRAID_OP_CAST, &cast, &in, NULL, 1, &out));
  braid_free(in.data);
  return out;
}

/* ------------------------------------------------------------------------------------------------ models */

static int batch_of(const struct reference *ref) {
  const json_t *first = json_object_iter_value(json_object_iter(json_object_get(ref->json, "inputs")));
  return (int)json_integer_value(json_array_get(json_object_get(first, "shape"), 0));
}

static struct braid_graph *load(const struct reference *ref, const char *path) {
  struct braid_graph *graph;
  struct braid_evaluator evaluator = braid_reference_evaluator();
  must(braid_onnx_load(path, &(struct braid_onnx_opts){.evaluator = &evaluator, .batch = batch_of(ref)}, &graph));
  return graph;
}

/* Adds the stored intermediate tensors to the outputs; how many there are in the graph. */
static int expose(const struct reference *ref, struct braid_graph *graph) {
  const char *name;
  json_t *entry;
  int n = 0;
  json_object_foreach(json_object_get(ref->json, "intermediate"), name, entry) {
    int id = braid_graph_find(graph, name);
    if (id < 0) continue;
    must(braid_graph_add_output(graph, id));
    n++;
  }
  return n;
}

/* --------------------------------------------------------------------------------------------- comparing */

static int64_t largest(const float *x, int64_t n) {
  int64_t at = 0;
  for (int64_t i = 1; i < n; i++)
    if (x[i] > x[at]) at = i;
  return at;
}

/* Scores of classes: everything behind the second dimension is 1. */
static bool is_scores(const struct braid_shape *shape) {
  for (int i = 2; i < shape->rank; i++)
    if (shape->dim[i] != 1) return false;
  return shape->rank >= 2 && shape->dim[1] >= 10;
}

static void compare(const struct reference *ref, const char *name, const struct braid_tensor *want,
                    const struct braid_tensor *got) {
  const float *x = want->data, *y = got->data;
  int64_t n = braid_shape_elements(&want->shape);
  cr_assert_eq(n, braid_shape_elements(&got->shape), "%s: %s has another size", ref->name, name);
  double low = (double)x[0], high = low, apart = 0;
  for (int64_t i = 0; i < n; i++) {
    cr_assert(isfinite(y[i]), "%s: %s[%lld] is not finite", ref->name, name, (long long)i);
    low = fmin(low, (double)x[i]);
    high = fmax(high, (double)x[i]);
    apart = fmax(apart, fabs((double)x[i] - (double)y[i]));
  }
  double range = ref->light ? fmax(fabs(low), fabs(high)) : high - low;
  cr_assert_leq(apart, 1e-3 * range, "%s: %s is %g of its range off", ref->name, name, apart / range);
  for (int b = 0; !ref->light && is_scores(&want->shape) && b < want->shape.dim[0]; b++) {
    int64_t classes = want->shape.dim[1];
    cr_assert_eq(largest(x + b * classes, classes), largest(y + b * classes, classes), "%s: another top-1", ref->name);
  }
}

static const json_t *stored(const struct reference *ref, const char *name) {
  const json_t *entry = json_object_get(json_object_get(ref->json, "outputs"), name);
  return entry ? entry : json_object_get(json_object_get(ref->json, "intermediate"), name);
}

static void compare_output(const struct reference *ref, const struct braid_node *node, const struct braid_tensor *got) {
  const json_t *entry = stored(ref, node->name);
  cr_assert(entry, "%s: nothing is stored for output %s", ref->name, node->name);
  struct braid_tensor want = read_array(ref, entry);
  compare(ref, node->name, &want, got);
  braid_free(want.data);
}

/* ------------------------------------------------------------------------------------------------ running */

static struct braid_program *compile(struct braid_pool *pool, const struct braid_graph *graph) {
  struct braid_program *program;
  must(braid_program_create(pool, graph, NULL,
                            &(struct braid_program_opts){.frames = 1, .cpu_flags = braid_cpu_flags()}, &program));
  return program;
}

static struct braid_tensor *read_inputs(const struct reference *ref, const struct braid_graph *graph, int *n) {
  const int *ids = braid_graph_inputs(graph, n);
  struct braid_tensor *in = calloc((size_t)*n, sizeof *in);
  for (int i = 0; i < *n; i++) {
    const char *name = braid_graph_node(graph, ids[i])->name;
    const json_t *entry = json_object_get(json_object_get(ref->json, "inputs"), name);
    cr_assert(entry, "%s: nothing is stored for input %s", ref->name, name);
    in[i] = as_type(read_array(ref, entry), braid_graph_node(graph, ids[i])->dtype);
  }
  return in;
}

static void run(const struct reference *ref, const struct braid_graph *graph) {
  int n_in, n_out;
  struct braid_tensor *in = read_inputs(ref, graph, &n_in);
  const int *ids = braid_graph_outputs(graph, &n_out);
  struct braid_tensor *out = calloc((size_t)n_out, sizeof *out);
  for (int i = 0; i < n_out; i++) {
    const struct braid_node *node = braid_graph_node(graph, ids[i]);
    out[i] = (struct braid_tensor){braid_alloc_aligned(node->bytes), node->dtype, node->shape};
  }
  struct braid_pool *pool;
  must(braid_pool_create(&(struct braid_pool_opts){.workers = 2}, &pool));
  struct braid_program *program = compile(pool, graph);
  must(braid_program_run(program, in, n_in, out, n_out));
  for (int i = 0; i < n_out; i++) {
    out[i] = as_type(out[i], BRAID_F32);
    compare_output(ref, braid_graph_node(graph, ids[i]), &out[i]);
    braid_free(out[i].data);
  }
  for (int i = 0; i < n_in; i++) braid_free(in[i].data);
  braid_program_destroy(&program);
  braid_pool_destroy(&pool);
  free(in);
  free(out);
}

static void check_model(const struct reference *ref, const char *path) {
  struct braid_graph *graph = load(ref, path);
  must(braid_graph_seal(graph, BRAID_PASS_ALL));
  run(ref, graph);
  braid_graph_destroy(&graph);
  size_t n_stored = json_object_size(json_object_get(ref->json, "intermediate"));
  if (n_stored == 0) return;
  graph = load(ref, path);
  int n = expose(ref, graph);
  cr_assert_gt(n, 0, "%s: none of the %zu intermediate tensors is in the graph", ref->name, n_stored);
  must(braid_graph_seal(graph, 0));
  run(ref, graph);
  braid_graph_destroy(&graph);
}

static bool begins(const char *text, const char *with) {
  return strncmp(text, with, strlen(with)) == 0;
}

static void check_reference(struct reference *ref) {
  char file[300], path[700];
  struct topo_model topo;
  const char *model = json_string_value(json_object_get(ref->json, "model"));
  fprintf(stderr, "%s\n", ref->name);
  if (begins(ref->name, "topo_")) {
    snprintf(file, sizeof file, "%.*s", (int)(strlen(model) - 5), model);
    if (!topo_model_make(file, true, &topo)) return;
    check_model(ref, topo.path);
    topo_model_remove(&topo);
    return;
  }
  ref->light = begins(ref->name, "light_");
  snprintf(file, sizeof file, "%s/%s", ref->light ? "onnx-light" : "models", model);
  if (testdata_path(file, path, sizeof path)) check_model(ref, path);
}

/* Every folder of ref/ that belongs: several tests share the work. */
static void check_group(bool (*belongs)(const char *name)) {
  char dir[512];
  if (!testdata_path("ref", dir, sizeof dir)) return;
  struct dirent **entry;
  int n = scandir(dir, &entry, NULL, alphasort), checked = 0;
  cr_assert_gt(n, 0, "%s is empty", dir);
  for (int i = 0; i < n; i++) {
    struct reference ref = {0};
    snprintf(ref.name, sizeof ref.name, "%.127s", entry[i]->d_name);
    snprintf(ref.dir, sizeof ref.dir, "%.350s/%.127s", dir, entry[i]->d_name);
    if (!strchr(".R", ref.name[0]) && belongs(ref.name)) {
      ref.json = open_json(ref.dir);
      check_reference(&ref);
      json_decref(ref.json);
      checked++;
    }
    free(entry[i]);
  }
  free(entry);
  cr_assert_gt(checked, 0, "nothing was checked");
}

static bool is_light(const char *name) {
  return begins(name, "light_");
}
static bool is_large_topo(const char *name) {
  return begins(name, "topo_vgg16") || begins(name, "topo_alexnet");
}
static bool is_topo(const char *name) {
  return begins(name, "topo_") && !is_large_topo(name);
}
static bool is_trained(const char *name) {
  return !begins(name, "topo_") && !begins(name, "light_");
}

Test(reference, trained_networks) {
  check_group(is_trained);
}
Test(reference, light_networks) {
  check_group(is_light);
}
Test(reference, topologies) {
  check_group(is_topo);
}
Test(reference, topologies_with_large_weights) {
  check_group(is_large_topo);
}

/* The weights of one are those of the other in 16 bits, so the answers stored for the other are its own, rounded. */
Test(reference, half_precision) {
  static const char *const stored_for[] = {"squeezenet11_fp32.goldfish", "squeezenet11_fp32.hummingbird"};
  char path[700], dir[512];
  if (!testdata_path("models/squeezenet11_fp16.onnx", path, sizeof path)) return;
  for (size_t i = 0; i < sizeof stored_for / sizeof *stored_for; i++) {
    struct reference ref = {0};
    snprintf(ref.name, sizeof ref.name, "%s", stored_for[i]);
    cr_assert(testdata_path("ref", dir, sizeof dir));
    snprintf(ref.dir, sizeof ref.dir, "%.350s/%.127s", dir, ref.name);
    ref.json = open_json(ref.dir);
    struct braid_graph *graph = load(&ref, path);
    must(braid_graph_seal(graph, BRAID_PASS_ALL));
    run(&ref, graph);
    braid_graph_destroy(&graph);
    json_decref(ref.json);
  }
}
