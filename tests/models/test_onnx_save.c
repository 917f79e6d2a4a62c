/* SPDX-License-Identifier: Apache-2.0
 * Export: what is written reads back as the same network (the content hash says so), fused or not; files are complete
 * or not there. */
#include "braid/models.h"
#include "graph_help.h"
#include "interpret.h"
#include "onnx/onnx_writer.h"
#include "ref_evaluator.h"
#include "testdata.h"
#include "topo_weights.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

static struct braid_graph *load(const char *path, unsigned passes) {
  struct braid_evaluator evaluator = ref_evaluator();
  struct braid_onnx_opts opts = {.evaluator = &evaluator};
  struct braid_graph *graph = NULL;
  enum braid_status status = braid_onnx_load(path, &opts, &graph);
  if (status == BRAID_OK) status = braid_graph_seal(graph, passes);
  if (status == BRAID_OK) status = braid_graph_check(graph);
  cr_assert_eq(status, BRAID_OK, "%s: %s", path, braid_error());
  return graph;
}

struct scratch {
  char dir[64], path[128];
};

static struct scratch scratch_make(void) {
  struct scratch s = {.dir = "/tmp/braid-save-XXXXXX"};
  cr_assert_not_null(mkdtemp(s.dir));
  snprintf(s.path, sizeof s.path, "%s/model.onnx", s.dir);
  return s;
}

static int scratch_files(const struct scratch *s) {
  int n = 0;
  DIR *dir = opendir(s->dir);
  cr_assert_not_null(dir);
  for (struct dirent *entry; (entry = readdir(dir));) n += entry->d_name[0] != '.';
  closedir(dir);
  return n;
}

static void scratch_remove(const struct scratch *s) {
  char data[160];
  snprintf(data, sizeof data, "%s.data", s->path);
  unlink(data);
  unlink(s->path);
  cr_expect_eq(rmdir(s->dir), 0, "%s is not empty", s->dir);
}

static void expect_same_network(const struct braid_graph *a, const struct braid_graph *b, const char *what) {
  int n_a, n_b;
  char hash_a[65], hash_b[65];
  const int *out_a = braid_graph_outputs(a, &n_a), *out_b = braid_graph_outputs(b, &n_b);
  cr_assert_eq(n_a, n_b, "%s", what);
  for (int i = 0; i < n_a; i++) {
    const struct braid_node *x = braid_graph_node(a, out_a[i]), *y = braid_graph_node(b, out_b[i]);
    cr_expect_str_eq(x->name, y->name, "%s", what);
    cr_expect(braid_shape_equal(&x->shape, &y->shape), "%s: %s", what, x->name);
  }
  cr_expect_eq(braid_graph_size(a), braid_graph_size(b), "%s: %d nodes became %d", what, braid_graph_size(a),
               braid_graph_size(b));
  braid_graph_hash_text(a, hash_a);
  braid_graph_hash_text(b, hash_b);
  cr_expect_str_eq(hash_a, hash_b, "%s: another network came back", what);
}

static void expect_round_trip(const char *path, unsigned passes, size_t external_bytes) {
  struct scratch s = scratch_make();
  struct braid_graph *graph = load(path, passes);
  cr_assert_eq(onnx_save(graph, s.path, external_bytes), BRAID_OK, "%s", braid_error());
  cr_expect_eq(scratch_files(&s), external_bytes == ONNX_EXTERNAL_BYTES ? 1 : 2);
  struct braid_graph *back = load(s.path, passes);
  expect_same_network(graph, back, path);
  braid_graph_destroy(&graph);
  braid_graph_destroy(&back);
  scratch_remove(&s);
}

static void expect_file_round_trips(const char *file) {
  char path[512];
  if (!testdata_path(file, path, sizeof path)) return;
  expect_round_trip(path, 0, ONNX_EXTERNAL_BYTES);
  expect_round_trip(path, BRAID_PASS_ALL, ONNX_EXTERNAL_BYTES);
}

Test(onnx_save, trained_models_round_trip) {
  static const char *const names[] = {
      "cifar_inception_bn", "cifar_resnet_folded_b1", "fastestdet_352",    "mnist8",
      "mobilenetv2_fp32",   "squeezenet11_fp32",      "ultraface_rfb_320", "yunet_n_320"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    char file[128];
    snprintf(file, sizeof file, "models/%s.onnx", names[i]);
    expect_file_round_trips(file);
  }
}

Test(onnx_save, light_models_round_trip) {
  expect_file_round_trips("onnx-light/light_inception_v1.onnx");
  expect_file_round_trips("onnx-light/light_shufflenet.onnx");
}

Test(onnx_save, topologies_round_trip_with_real_weights) {
  static const char *const names[] = {"squeezenet1_1", "shufflenet_v2_x1_0", "efficientnet_b0"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    struct topo_model model;
    if (!topo_model_make(names[i], true, &model)) continue;
    expect_round_trip(model.path, BRAID_PASS_ALL, ONNX_EXTERNAL_BYTES);
    topo_model_remove(&model);
  }
}

Test(onnx_save, external_data_round_trips) {
  char path[512];
  if (testdata_path("models/squeezenet11_fp32.onnx", path, sizeof path)) expect_round_trip(path, BRAID_PASS_ALL, 1000);
}

/* A small network of our own: tests below need no test data. */
static struct braid_graph *small_net(void) {
  static float weights[64 * 3 * 3 * 3];
  struct braid_graph *graph;
  int x, w, y;
  for (size_t i = 0; i < sizeof weights / sizeof *weights; i++) weights[i] = braid_random_f32(1, i);
  struct braid_tensor tensor = {weights, BRAID_F32, {4, {64, 3, 3, 3}}};
  union braid_attrs conv = {.conv = {{3, 3}, {1, 1}, {1, 1}, {1, 1, 1, 1}, 1, {0, 0}}};
  cr_assert_eq(braid_graph_create("small", &graph), BRAID_OK);
  cr_assert_eq(braid_graph_add_input(graph, "x", BRAID_F32, &(struct braid_shape){4, {1, 3, 8, 8}}, &x), BRAID_OK);
  cr_assert_eq(braid_graph_add_constant(graph, "w", &tensor, &w), BRAID_OK);
  cr_assert_eq(braid_graph_add(graph, BRAID_OP_CONV, &conv, (int[]){x, w}, 2, NULL, "y", &y), BRAID_OK);
  cr_assert_eq(braid_graph_add_output(graph, y), BRAID_OK);
  return graph;
}

Test(onnx_save, only_sealed_graphs) {
  struct scratch s = scratch_make();
  struct braid_graph *graph = small_net();
  cr_expect_eq(braid_onnx_save(graph, s.path), BRAID_EINVAL);
  braid_graph_destroy(&graph);
  scratch_remove(&s);
}

Test(onnx_save, missing_folder) {
  struct braid_graph *graph = small_net();
  cr_assert_eq(braid_graph_seal(graph, 0), BRAID_OK);
  cr_expect_eq(braid_onnx_save(graph, "/no/such/folder/model.onnx"), BRAID_EIO);
  cr_expect(strstr(braid_error(), "/no/such/folder/model.onnx"), "%s", braid_error());
  braid_graph_destroy(&graph);
}

/* A disk that is full, as a limit on the size of files: neither half a file nor a temporary one is left, and the file
 * that was there before is still whole. */
Test(onnx_save, full_disk_leaves_what_was_there) {
  struct scratch s = scratch_make();
  struct braid_graph *graph = small_net();
  cr_assert_eq(braid_graph_seal(graph, 0), BRAID_OK);
  cr_assert_eq(braid_onnx_save(graph, s.path), BRAID_OK, "%s", braid_error());
  signal(SIGXFSZ, SIG_IGN);
  struct rlimit old, small = {.rlim_cur = 600, .rlim_max = RLIM_INFINITY};
  getrlimit(RLIMIT_FSIZE, &old);
  small.rlim_max = old.rlim_max;
  cr_assert_eq(setrlimit(RLIMIT_FSIZE, &small), 0);
  enum braid_status model = braid_onnx_save(graph, s.path), data = onnx_save(graph, s.path, 0);
  setrlimit(RLIMIT_FSIZE, &old);
  cr_expect_eq(model, BRAID_EIO);
  cr_expect_eq(data, BRAID_EIO);
  cr_expect_eq(scratch_files(&s), 1);
  struct braid_graph *back = load(s.path, 0);
  expect_same_network(graph, back, "the older file");
  braid_graph_destroy(&back);
  braid_graph_destroy(&graph);
  scratch_remove(&s);
}

/* ------------------------------------------------------------------------------------------------- quantised
 * What the importer makes of QLinearConv and ConvInteger: 4 outputs of 3x3 of a picture in uint8, in int32. */

struct quantised {
  int32_t weight[2]; /* range of the weights */
  int32_t first;     /* and of the first output's, from there to `first` + 255; 0: like the others */
  bool bias, scaled, by_channel;
  int32_t zero; /* of the picture */
};

static int add_const(struct braid_graph *graph, enum braid_dtype dtype, struct braid_shape shape, const void *data) {
  struct braid_tensor tensor = {(void *)(uintptr_t)data, dtype, shape};
  int operand;
  must(braid_graph_add_constant(graph, NULL, &tensor, &operand));
  return operand;
}

static struct braid_graph *quantised_net(const struct quantised *q) {
  static int32_t weights[4 * 3 * 9], bias[4] = {-5, 0, 70000, 9}, zero;
  static float scales[4] = {0.01f, 0.02f, 0.03f, 0.5f}, one = 1.0f;
  static uint8_t middle = 128;
  for (int i = 0; i < 4 * 27; i++) {
    weights[i] = i % 27 % 2 ? q->weight[0] : q->weight[1];
    if (q->first && i < 27) weights[i] = q->first + i % 2 * 255;
  }
  zero = q->zero;
  struct braid_graph *graph = new_graph("quantised");
  int x;
  must(braid_graph_add_input(graph, "x", BRAID_U8, &(struct braid_shape){4, {1, 3, 8, 8}}, &x));
  const union braid_attrs to_i32 = {.cast = {BRAID_I32}}, to_f32 = {.cast = {BRAID_F32}};
  x = add_op(graph, BRAID_OP_CAST, &to_i32, &x, 1, NULL);
  x = binary(graph, BRAID_OP_SUB, x, add_const(graph, BRAID_I32, (struct braid_shape){0}, &zero), NULL);
  const union braid_attrs a = {.conv = {{3, 3}, {1, 1}, {1, 1}, {1, 1, 1, 1}, 1, {0, 0}}};
  int in[3] = {x, add_const(graph, BRAID_I32, (struct braid_shape){4, {4, 3, 3, 3}}, weights), BRAID_NONE};
  if (q->bias) in[2] = add_const(graph, BRAID_I32, (struct braid_shape){1, {4}}, bias);
  int y = add_op(graph, BRAID_OP_CONV, &a, in, q->bias ? 3 : 2, q->scaled ? NULL : "y");
  if (q->scaled) {
    struct braid_shape shape = q->by_channel ? (struct braid_shape){4, {1, 4, 1, 1}} : (struct braid_shape){0};
    y = add_op(graph, BRAID_OP_CAST, &to_f32, &y, 1, NULL);
    y = binary(graph, BRAID_OP_MUL, y, add_const(graph, BRAID_F32, shape, scales), NULL);
    int quantise[3] = {y, add_const(graph, BRAID_F32, (struct braid_shape){0}, &one),
                       add_const(graph, BRAID_U8, (struct braid_shape){0}, &middle)};
    y = add_op(graph, BRAID_OP_QUANTIZE_LINEAR, NULL, quantise, 3, "y");
  }
  must(braid_graph_add_output(graph, y));
  must(braid_graph_seal(graph, BRAID_PASS_ALL));
  return graph;
}

/* The operators of a file, in order, as one text. */
static void operators_of(const char *path, char *text, size_t size) {
  static uint8_t bytes[1 << 16];
  FILE *file = fopen(path, "rb");
  cr_assert_not_null(file);
  size_t n = fread(bytes, 1, sizeof bytes, file), at = 0;
  fclose(file);
  Onnx__ModelProto *model = onnx__model_proto__unpack(NULL, n, bytes);
  cr_assert_not_null(model);
  for (size_t i = 0; i < model->graph->n_node && at < size; i++)
    at += (size_t)snprintf(text + at, size - at, "%s%s", i ? " " : "", model->graph->node[i]->op_type);
  onnx__model_proto__free_unpacked(model, NULL);
}

/* What comes back is computed on bytes (BRAID_OP_QLINEAR_CONV), but to the same bits. */
static void expect_same_bits(const struct braid_graph *a, const struct braid_graph *b, const char *what) {
  struct interpretation x = interpret(a, 5), y = interpret(b, 5);
  int n;
  int out_a = braid_graph_outputs(a, &n)[0], out_b = braid_graph_outputs(b, &n)[0];
  const struct braid_node *node = braid_graph_node(a, out_a);
  cr_expect_eq(braid_graph_node(b, out_b)->bytes, node->bytes, "%s", what);
  cr_expect_eq(memcmp(x.tensor[out_a], y.tensor[out_b], node->bytes), 0, "%s: other results came back", what);
  interpretation_release(&x);
  interpretation_release(&y);
}

static void expect_operators(const struct quantised *q, const char *operators, bool same) {
  struct scratch s = scratch_make();
  struct braid_graph *graph = quantised_net(q);
  char text[256] = "";
  must(braid_onnx_save(graph, s.path));
  operators_of(s.path, text, sizeof text);
  cr_expect_str_eq(text, operators);
  struct braid_graph *back = load(s.path, BRAID_PASS_ALL);
  if (same) expect_same_bits(graph, back, operators);
  braid_graph_destroy(&graph);
  braid_graph_destroy(&back);
  scratch_remove(&s);
}

Test(onnx_save, quantised_products_are_put_together_again) {
  static const int32_t ranges[][2] = {{-128, 127}, {0, 255}, {-255, 0}, {-200, 55}, {-1, 254}, {200, 255}, {-3, -3}};
  for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++)
    for (int first = 0; first < 2; first++) { /* the first output has zero points of its own */
      struct quantised q = {.weight = {ranges[i][0], ranges[i][1]}, .first = first ? -100 : 0, .zero = 117};
      expect_operators(&q, "ConvInteger", true);
      q.scaled = q.bias = true;
      expect_operators(&q, "QLinearConv", true);
      q.by_channel = true;
      expect_operators(&q, "QLinearConv", true);
      q.bias = false;
      q.zero = 0;
      expect_operators(&q, "QLinearConv", true);
    }
  expect_operators(&(struct quantised){.weight = {-1, 1}, .bias = true}, "ConvInteger Add", false);
}

/* Zero points outside of the type, weights too far apart: ONNX cannot say it. */
Test(onnx_save, convolutions_of_int32_are_refused) {
  static const struct quantised wrong[] = {{.weight = {-1, 255}},
                                           {.weight = {0, 256}},
                                           {.weight = {-256, -100}},
                                           {.weight = {-1, 1}, .zero = 256},
                                           {.weight = {-1, 1}, .zero = -1},
                                           {.weight = {-1, 1}, .zero = 256, .scaled = true}};
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    struct scratch s = scratch_make();
    struct braid_graph *graph = quantised_net(&wrong[i]);
    cr_expect_eq(braid_onnx_save(graph, s.path), BRAID_EUNSUPPORTED, "case %zu", i);
    cr_expect(strstr(braid_error(), "convolution of int32"), "%s", braid_error());
    cr_expect_eq(scratch_files(&s), 0);
    braid_graph_destroy(&graph);
    scratch_remove(&s);
  }
}

Test(onnx_save, a_trained_quantised_model_round_trips) {
  expect_file_round_trips("models/mobilenetv2_int8_qlinear.onnx");
}
