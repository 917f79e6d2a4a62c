/* SPDX-License-Identifier: Apache-2.0
 * Files that are broken, hostile or beyond us: each is refused with a status and a message that names what is wrong,
 * and nothing leaks or crashes (run this under asan-ubsan). */
#include "braid/models.h"
#include "onnx_make.h"
#include "ref_evaluator.h"
#include "testdata.h"

#include <criterion/criterion.h>
#include <sys/stat.h>
#include <unistd.h>

#define DIMS(...)                                                                                                      \
  (int64_t[]) {                                                                                                        \
    __VA_ARGS__                                                                                                        \
  }

static const int64_t image[4] = {1, 3, 8, 8};

/* x -> Relu -> y, to be spoiled. */
static struct maker *relu_net(void) {
  struct maker *m = maker_new(13);
  maker_input(m, "x", 4, image);
  maker_node(m, "Relu", "x", "y");
  maker_output(m, "y");
  return m;
}

/* An image and one node over it and constants, whose output is "y". */
static struct maker *one_input(int opset) {
  struct maker *m = maker_new(opset);
  maker_input(m, "x", 4, image);
  maker_output(m, "y");
  return m;
}

static void refused(struct maker *m, enum braid_status expected, const char *text) {
  struct braid_evaluator evaluator = ref_evaluator();
  struct braid_onnx_opts opts = {.evaluator = &evaluator, .max_bytes = 1 << 20};
  struct braid_graph *graph = NULL;
  enum braid_status status = maker_parse(m, &opts, &graph);
  cr_expect_eq(status, expected, "%s instead of %s: %s", braid_status_text(status), braid_status_text(expected),
               braid_error());
  cr_expect_null(graph);
  cr_expect(strstr(braid_error(), text), "'%s' is not in: %s", text, braid_error());
  cr_expect(strstr(braid_error(), "made.onnx"), "the file is not named: %s", braid_error());
  braid_graph_destroy(&graph);
}

static struct braid_graph *accepted(struct maker *m, int batch) {
  struct braid_evaluator evaluator = ref_evaluator();
  struct braid_onnx_opts opts = {.evaluator = &evaluator, .max_bytes = 1 << 20, .batch = batch};
  struct braid_graph *graph = NULL;
  enum braid_status status = maker_parse(m, &opts, &graph);
  cr_assert_eq(status, BRAID_OK, "%s", braid_error());
  status = braid_graph_seal(graph, 0);
  if (status == BRAID_OK) status = braid_graph_check(graph);
  cr_assert_eq(status, BRAID_OK, "%s", braid_error());
  return graph;
}

/* ------------------------------------------------------------------------------------------- not a model */

Test(onnx_hostile, no_protobuf) {
  static const char *const texts[] = {"", "x", "not an onnx file", "\x3a\xff\xff\xff\xff\x0f", "\x0b\x0b\x0b"};
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
    struct braid_graph *graph = NULL;
    cr_expect_eq(braid_onnx_parse((const uint8_t *)texts[i], strlen(texts[i]), "f", NULL, &graph), BRAID_EFORMAT,
                 "%s: %s", texts[i], braid_error());
  }
}

Test(onnx_hostile, files) {
  struct braid_graph *graph = NULL;
  cr_expect_eq(braid_onnx_load("/no/such/model.onnx", NULL, &graph), BRAID_ENOTFOUND);
  cr_expect(strstr(braid_error(), "/no/such/model.onnx"), "%s", braid_error());
  cr_expect_eq(braid_onnx_load("/tmp", NULL, &graph), BRAID_EIO);
  cr_expect(strstr(braid_error(), "regular file"), "%s", braid_error());
  cr_expect_eq(braid_onnx_load("/dev/null", NULL, &graph), BRAID_EIO);
}

/* ModelProto.graph (7) > node (1) > attribute (5) > g (6) > node ... a hundred thousand times. */
Test(onnx_hostile, deep_nesting) {
  enum { LEVELS = 100000 };
  static const uint8_t tag[3] = {1 << 3 | 2, 5 << 3 | 2, 6 << 3 | 2};
  uint8_t *buf = malloc(LEVELS * 8), *at = buf + LEVELS * 8;
  size_t n = 0;
  for (int i = LEVELS; i >= 0; i--) {
    uint8_t head[8] = {i == 0 ? 7 << 3 | 2 : tag[(i - 1) % 3]};
    int k = 1;
    size_t v = n;
    do {
      head[k++] = (uint8_t)((v & 0x7f) | (v > 0x7f ? 0x80 : 0));
      v >>= 7;
    } while (v);
    at -= k;
    n += (size_t)k;
    memcpy(at, head, (size_t)k);
  }
  struct braid_graph *graph = NULL;
  cr_expect_eq(braid_onnx_parse(at, n, "deep", NULL, &graph), BRAID_EFORMAT);
  cr_expect(strstr(braid_error(), "nested deeper"), "%s", braid_error());
  free(buf);
}

/* Two bytes a node in the file, hundreds in memory: the budget ends it. */
Test(onnx_hostile, unpacks_to_much_more_than_its_size) {
  enum { NODES = 50000 };
  uint8_t *buf = malloc(2 * NODES + 8), *at = buf;
  *at++ = 7 << 3 | 2;
  for (size_t v = 2 * NODES; v; v >>= 7) *at++ = (uint8_t)((v & 0x7f) | (v > 0x7f ? 0x80 : 0));
  for (int i = 0; i < NODES; i++) {
    *at++ = 1 << 3 | 2;
    *at++ = 0;
  }
  struct braid_graph *graph = NULL;
  struct braid_onnx_opts opts = {.max_bytes = 1 << 20};
  cr_expect_eq(braid_onnx_parse(buf, (size_t)(at - buf), "bomb", &opts, &graph), BRAID_ENOMEM);
  cr_expect(strstr(braid_error(), "limit"), "%s", braid_error());
  opts.max_bytes = 100;
  cr_expect_eq(braid_onnx_parse(buf, (size_t)(at - buf), "bomb", &opts, &graph), BRAID_ENOMEM);
  free(buf);
}

/* ---------------------------------------------------------------------------------------------- the frame */

Test(onnx_hostile, frame) {
  struct maker *m = relu_net();
  m->model->graph = NULL;
  refused(m, BRAID_EFORMAT, "no graph");
  m = relu_net();
  m->model->n_opset_import = 0;
  refused(m, BRAID_EFORMAT, "opset");
  m = relu_net();
  m->model->opset_import[0]->version = 0;
  refused(m, BRAID_EUNSUPPORTED, "opset 0");
  m = relu_net();
  m->model->opset_import[0]->version = 26;
  refused(m, BRAID_EUNSUPPORTED, "opset 26; 1 to 25");
  m = relu_net();
  m->graph->n_output = 0;
  refused(m, BRAID_EFORMAT, "no outputs");
  m = relu_net();
  maker_output(m, "nobody");
  refused(m, BRAID_EFORMAT, "'nobody' does not exist");
}

/* Outputs that no node makes: the same value twice, an input handed through, a constant. */
Test(onnx_hostile, outputs_without_nodes) {
  struct maker *m = relu_net();
  maker_i64s(m, "c", 2, DIMS(5, 6));
  maker_output(m, "y");
  maker_output(m, "x");
  maker_output(m, "c");
  struct braid_graph *graph = accepted(m, 0);
  int n;
  const int *out = braid_graph_outputs(graph, &n);
  cr_assert_eq(n, 4);
  cr_expect_str_eq(braid_graph_node(graph, out[0])->name, "y");
  cr_expect_str_eq(braid_graph_node(graph, out[3])->name, "c");
  for (int i = 1; i < 4; i++) cr_expect_eq(braid_graph_node(graph, out[i])->op, BRAID_OP_RESHAPE);
  braid_graph_destroy(&graph);
}

Test(onnx_hostile, names) {
  struct maker *m = relu_net();
  m->graph->input[0]->name = NULL;
  refused(m, BRAID_EFORMAT, "input 0 has no name");
  m = relu_net();
  m->graph->output[0]->name = NULL;
  refused(m, BRAID_EFORMAT, "output 0 has no name");
  m = relu_net();
  maker_i64s(m, NULL, 1, DIMS(1));
  refused(m, BRAID_EFORMAT, "initializer 0 has no name");
  m = relu_net();
  maker_node(m, "Relu", "x", "z")->op_type = NULL;
  refused(m, BRAID_EUNSUPPORTED, "unsupported operator");
  m = relu_net();
  maker_node(m, "Relu", "x", "y");
  refused(m, BRAID_EFORMAT, "'y' is defined twice");
  m = relu_net();
  maker_node(m, "Relu", "y", "x");
  refused(m, BRAID_EFORMAT, "'x' is defined twice");
  m = relu_net();
  maker_i64s(m, "c", 1, DIMS(1));
  maker_i64s(m, "c", 1, DIMS(1));
  refused(m, BRAID_EFORMAT, "'c' is defined twice");
  m = relu_net();
  maker_input(m, "x", 4, image);
  refused(m, BRAID_EFORMAT, "'x' is defined twice");
}

Test(onnx_hostile, order) {
  struct maker *m = one_input(13);
  maker_node(m, "Add", "x,b", "a");
  maker_node(m, "Relu", "a", "b");
  maker_node(m, "Relu", "b", "y");
  refused(m, BRAID_EFORMAT, "operand 'b' is made by a later node");
  m = one_input(13);
  maker_node(m, "Relu", "y", "y");
  refused(m, BRAID_EFORMAT, "out of order or cyclic");
  m = one_input(13);
  maker_node(m, "Add", "x,ghost", "y");
  refused(m, BRAID_EFORMAT, "operand 'ghost' does not exist");
  m = one_input(13);
  maker_node(m, "Add", "x", "y");
  refused(m, BRAID_EFORMAT, "1 operands");
  m = one_input(13);
  maker_node(m, "Relu", "x,x,x", "y");
  refused(m, BRAID_EFORMAT, "3 operands");
  m = one_input(13);
  maker_node(m, "Conv", ",x", "y");
  refused(m, BRAID_EFORMAT, "operand 0 is missing");
}

Test(onnx_hostile, inputs) {
  struct maker *m = maker_new(13);
  maker_input(m, "x", 4, DIMS(0, 3, 0, 8));
  maker_node(m, "Relu", "x", "y");
  maker_output(m, "y");
  refused(m, BRAID_EUNSUPPORTED, "input 'x': dim 2 ('N')");
  m = relu_net();
  m->graph->input[0]->type->tensor_type->shape = NULL;
  refused(m, BRAID_EUNSUPPORTED, "no shape");
  m = relu_net();
  m->graph->input[0]->type = NULL;
  refused(m, BRAID_EUNSUPPORTED, "not a tensor");
  m = maker_new(13);
  maker_input(m, "x", 9, DIMS(1, 1, 1, 1, 1, 1, 1, 1, 1));
  maker_output(m, "x");
  refused(m, BRAID_EUNSUPPORTED, "9 dims");
  m = maker_new(13);
  maker_input(m, "x", 2, DIMS(1, 1LL << 40));
  maker_output(m, "x");
  refused(m, BRAID_EFORMAT, "1099511627776");
  m = maker_new(13);
  maker_input(m, "x", 3, DIMS(1 << 30, 1 << 30, 1 << 30));
  maker_output(m, "x");
  refused(m, BRAID_ESHAPE, "'x'");
}

/* --------------------------------------------------------------------------------------------- tensors */

static void tensor_refused(enum braid_dtype dtype, int rank, const int64_t *dims, const void *data, size_t bytes,
                           enum braid_status status, const char *text) {
  struct maker *m = relu_net();
  maker_weights(m, "w", dtype, rank, dims, data, bytes);
  refused(m, status, text);
}

Test(onnx_hostile, tensors) {
  float f[4] = {0};
  tensor_refused(BRAID_F32, 1, DIMS(4), f, 12, BRAID_EFORMAT, "tensor 'w': 12 bytes of data");
  tensor_refused(BRAID_F32, 1, DIMS(3), f, 16, BRAID_EFORMAT, "16 bytes of data");
  tensor_refused(BRAID_F32, 1, DIMS(-4), f, 16, BRAID_EFORMAT, "-4");
  tensor_refused(BRAID_F32, 2, DIMS(1LL << 31, 1), f, 16, BRAID_EFORMAT, "2147483648");
  tensor_refused(BRAID_F32, 4, DIMS(1 << 30, 1 << 30, 1 << 30, 1 << 30), f, 16, BRAID_ESHAPE, "tensor 'w'");
  tensor_refused(BRAID_F32, 9, DIMS(1, 1, 1, 1, 1, 1, 1, 1, 1), f, 4, BRAID_EUNSUPPORTED, "9 dims");
  tensor_refused(BRAID_F32, 1, DIMS(2), NULL, 0, BRAID_EFORMAT, "0 elements of type float32 are stored");
  tensor_refused(BRAID_BOOL, 1, DIMS(2), "\1\2", 2, BRAID_EFORMAT, "not a bool");
  struct maker *m = relu_net();
  maker_weights(m, "w", BRAID_F32, 1, DIMS(4), f, 16)->data_type = ONNX__TENSOR_PROTO__DATA_TYPE__STRING;
  refused(m, BRAID_EUNSUPPORTED, "data type 8");
  m = relu_net();
  maker_weights(m, "w", BRAID_F32, 1, DIMS(4), f, 16)->data_type = 4711;
  refused(m, BRAID_EUNSUPPORTED, "data type 4711");
  m = relu_net();
  Onnx__TensorProto *tensor = maker_weights(m, "w", BRAID_U8, 1, DIMS(2), NULL, 0);
  tensor->n_int32_data = 2;
  tensor->int32_data = (int32_t[]){255, 256};
  refused(m, BRAID_EFORMAT, "element 1, 256, is not a uint8");
}

/* Typed lists hold the narrower types one number each. */
Test(onnx_hostile, typed_lists_are_read) {
  struct maker *m = one_input(13);
  Onnx__TensorProto *tensor = maker_weights(m, "c", BRAID_I32, 1, DIMS(4), NULL, 0);
  tensor->n_int32_data = 4;
  tensor->int32_data = (int32_t[]){1, 3, 4, 16};
  onnx_put_int(&m->w, maker_node(m, "Cast", "c", "shape"), "to", onnx_data_type(BRAID_I64));
  maker_node(m, "Reshape", "x,shape", "y");
  struct braid_graph *graph = accepted(m, 0);
  int id = braid_graph_find(graph, "y");
  cr_assert_geq(id, 0);
  cr_expect(braid_shape_equal(&braid_graph_node(graph, id)->shape, &(struct braid_shape){4, {1, 3, 4, 16}}));
  braid_graph_destroy(&graph);
}

/* ------------------------------------------------------------------------------------------ external data */

struct place {
  const char *location, *offset, *length;
};

static Onnx__StringStringEntryProto *entry(struct maker *m, const char *key, const char *value) {
  Onnx__StringStringEntryProto *e = onnx_take(&m->w, sizeof *e);
  onnx__string_string_entry_proto__init(e);
  e->key = onnx_take_text(&m->w, key);
  e->value = onnx_take_text(&m->w, value);
  return e;
}

static struct maker *external_net(const struct place *place) {
  struct maker *m = one_input(13);
  Onnx__TensorProto *tensor = maker_weights(m, "w", BRAID_F32, 1, DIMS(8), NULL, 0);
  tensor->has_data_location = 1;
  tensor->data_location = ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL;
  tensor->external_data = onnx_take(&m->w, 3 * sizeof(void *));
  if (place->location) tensor->external_data[tensor->n_external_data++] = entry(m, "location", place->location);
  if (place->offset) tensor->external_data[tensor->n_external_data++] = entry(m, "offset", place->offset);
  if (place->length) tensor->external_data[tensor->n_external_data++] = entry(m, "length", place->length);
  maker_node(m, "Add", "x,w", "y");
  return m;
}

static enum braid_status load_external(const char *dir, const struct place *place, bool one_file,
                                       struct braid_graph **graph) {
  char path[128];
  size_t size;
  struct maker *m = external_net(place);
  uint8_t *bytes = maker_bytes(m, &size);
  snprintf(path, sizeof path, "%s/made.onnx", dir);
  FILE *file = fopen(path, "wb");
  cr_assert(file && fwrite(bytes, 1, size, file) == size);
  fclose(file);
  free(bytes);
  maker_free(m);
  enum braid_status status = braid_onnx_load(path, &(struct braid_onnx_opts){.one_file = one_file}, graph);
  unlink(path);
  return status;
}

Test(onnx_hostile, external_data) {
  static const struct {
    struct place place;
    enum braid_status status;
    const char *text;
  } cases[] = {
      {{"w.bin", NULL, NULL}, BRAID_OK, ""},
      {{"w.bin", "0", "32"}, BRAID_OK, ""},
      {{"w.bin", "16", "32"}, BRAID_OK, ""},
      {{"w.bin", "17", "32"}, BRAID_EFORMAT, "outside external data 'w.bin' (48 bytes)"},
      {{"w.bin", "18446744073709551615", "32"}, BRAID_EFORMAT, "not a number"},
      {{"w.bin", "18446744073709551600", "32"}, BRAID_EFORMAT, "outside"},
      {{"w.bin", "-4", "32"}, BRAID_EFORMAT, "not a number"},
      {{"w.bin", "4x", "32"}, BRAID_EFORMAT, "not a number"},
      {{"w.bin", "0", "28"}, BRAID_EFORMAT, "length 28"},
      {{"none.bin", "0", "32"}, BRAID_ENOTFOUND, "none.bin"},
      {{"../w.bin", NULL, NULL}, BRAID_EFORMAT, "plain file name"},
      {{"sub/w.bin", NULL, NULL}, BRAID_EFORMAT, "plain file name"},
      {{"/etc/passwd", NULL, NULL}, BRAID_EFORMAT, "'/etc/passwd' refused"},
      {{"..", NULL, NULL}, BRAID_EFORMAT, "plain file name"},
      {{".", NULL, NULL}, BRAID_EFORMAT, "plain file name"},
      {{"", NULL, NULL}, BRAID_EFORMAT, "plain file name"},
      {{NULL, "0", "32"}, BRAID_EFORMAT, "plain file name"},
      {{"link.bin", NULL, NULL}, BRAID_EIO, "symbolic link"},
      {{"fifo", NULL, NULL}, BRAID_EIO, "not a regular file"},
  };
  char dir[] = "/tmp/braid-ext-XXXXXX", path[3][64];
  float weights[12] = {0};
  cr_assert_not_null(mkdtemp(dir));
  snprintf(path[0], sizeof path[0], "%s/w.bin", dir);
  snprintf(path[1], sizeof path[1], "%s/link.bin", dir);
  snprintf(path[2], sizeof path[2], "%s/fifo", dir);
  FILE *file = fopen(path[0], "wb");
  cr_assert(file && fwrite(weights, 1, 48, file) == 48 && fclose(file) == 0);
  cr_assert_eq(symlink("w.bin", path[1]), 0);
  cr_assert_eq(mkfifo(path[2], 0600), 0);
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    struct braid_graph *graph = NULL;
    enum braid_status status = load_external(dir, &cases[i].place, false, &graph);
    cr_expect_eq(status, cases[i].status, "case %zu: %s", i, status == BRAID_OK ? "accepted" : braid_error());
    if (cases[i].status) cr_expect(strstr(braid_error(), cases[i].text), "'%s': %s", cases[i].text, braid_error());
    braid_graph_destroy(&graph);
  }
  struct braid_graph *graph = NULL;
  cr_expect_eq(load_external(dir, &cases[0].place, true, &graph), BRAID_EUNSUPPORTED, "a file from elsewhere reads w.bin");
  cr_expect(strstr(braid_error(), "must be whole in one file"), "%s", braid_error());
  for (int i = 0; i < 3; i++) unlink(path[i]);
  rmdir(dir);
  refused(external_net(&cases[0].place), BRAID_EUNSUPPORTED, "must be whole in one file");
}

/* ----------------------------------------------------------------------------------------- operators */

static struct maker *conv_net(Onnx__NodeProto **conv) {
  static const float weights[4 * 3 * 3 * 3];
  struct maker *m = one_input(13);
  maker_weights(m, "w", BRAID_F32, 4, DIMS(4, 3, 3, 3), weights, sizeof weights);
  *conv = maker_node(m, "Conv", "x,w", "y");
  return m;
}

static void conv_refused(const char *attr, const int *v, int n, enum braid_status status, const char *text) {
  Onnx__NodeProto *conv;
  struct maker *m = conv_net(&conv);
  if (n > 0) onnx_put_ints(&m->w, conv, attr, v, n);
  if (n == 0) onnx_put_int(&m->w, conv, attr, v[0]);
  refused(m, status, text);
}

Test(onnx_hostile, windows) {
  conv_refused("strides", (int[]){0, 1}, 2, BRAID_EFORMAT, "strides is 0");
  conv_refused("strides", (int[]){1}, 1, BRAID_ESHAPE, "'strides' has 1 numbers");
  conv_refused("dilations", (int[]){1 << 30, 1}, 2, BRAID_EFORMAT, "dilations");
  conv_refused("pads", (int[]){-1, 0, 0, 0}, 4, BRAID_EFORMAT, "pads is -1");
  conv_refused("pads", (int[]){1, 1}, 2, BRAID_ESHAPE, "'pads' has 2");
  conv_refused("kernel_shape", (int[]){5, 5}, 2, BRAID_ESHAPE, "'kernel_shape' says 5");
  conv_refused("group", (int[]){0}, 0, BRAID_EFORMAT, "group is 0");
  conv_refused("group", (int[]){2}, 0, BRAID_EINVAL, "node 'y' (Conv");
  conv_refused("strides", (int[]){1}, 0, BRAID_EFORMAT, "'strides' is not a list");
  Onnx__NodeProto *conv;
  struct maker *m = conv_net(&conv);
  onnx_put_text(&m->w, conv, "auto_pad", "SAME_SIDEWAYS");
  refused(m, BRAID_EUNSUPPORTED, "SAME_SIDEWAYS");
  m = one_input(13);
  maker_node(m, "MaxPool", "x", "y");
  refused(m, BRAID_EFORMAT, "'kernel_shape' is missing");
  m = maker_new(13);
  maker_input(m, "x", 6, DIMS(1, 3, 8, 8, 8, 8));
  maker_output(m, "y");
  maker_node(m, "Conv", "x,x", "y");
  refused(m, BRAID_EUNSUPPORTED, "over 4 axes");
  m = maker_new(13);
  maker_input(m, "x", 5, DIMS(1, 3, 8, 8, 8));
  maker_output(m, "y");
  onnx_put_ints(&m->w, maker_node(m, "MaxPool", "x", "y"), "kernel_shape", (int[]){2, 9, 2}, 3);
  refused(m, BRAID_ESHAPE, "does not fit");
}

static void list_refused(const char *op, int n, const int64_t *values, enum braid_status status, const char *text) {
  struct maker *m = one_input(13);
  maker_i64s(m, "c", n, values);
  maker_node(m, op, "x,c", "y");
  refused(m, status, text);
}

Test(onnx_hostile, shapes) {
  list_refused("Reshape", 2, DIMS(-1, -1), BRAID_ESHAPE, "more than one dim is -1");
  list_refused("Reshape", 2, DIMS(-1, 5), BRAID_ESHAPE, "evenly");
  list_refused("Reshape", 2, DIMS(7, 7), BRAID_ESHAPE, "'y'");
  list_refused("Reshape", 2, DIMS(INT64_MAX, INT64_MAX), BRAID_EFORMAT, "9223372036854775807");
  list_refused("Reshape", 2, DIMS(INT64_MIN, 1), BRAID_EFORMAT, "-9223372036854775808");
  list_refused("Reshape", 5, DIMS(1, 3, 8, 8, 0), BRAID_ESHAPE, "dim 4 is 0");
  list_refused("Reshape", 9, DIMS(1, 3, 8, 8, 1, 1, 1, 1, 1), BRAID_ESHAPE, "expected a list of at most 8");
  list_refused("Unsqueeze", 1, DIMS(9), BRAID_ESHAPE, "axis 9");
  list_refused("Unsqueeze", 2, DIMS(0, 0), BRAID_EFORMAT, "listed twice");
  list_refused("Unsqueeze", 5, DIMS(0, 1, 2, 3, 4), BRAID_EUNSUPPORTED, "9 dims");
  list_refused("Squeeze", 1, DIMS(1), BRAID_ESHAPE, "axis 1 is 3");
  list_refused("Squeeze", 1, DIMS(INT64_MIN), BRAID_ESHAPE, "axis -9223372036854775808");
  list_refused("Expand", 1, DIMS(1LL << 40), BRAID_EFORMAT, "1099511627776");
  list_refused("Expand", 1, DIMS(5), BRAID_ESHAPE, "'y'");
  list_refused("Tile", 1, DIMS(5), BRAID_ESHAPE, "1 repeats for 4 dims");
  list_refused("Tile", 4, DIMS(1, 1, 1, 1LL << 31), BRAID_EFORMAT, "a repeat");
  list_refused("Tile", 4, DIMS(INT_MAX, INT_MAX, INT_MAX, INT_MAX), BRAID_ESHAPE, "'y'");
  list_refused("Gather", 1, DIMS(1), BRAID_ESHAPE, "index 1");
  list_refused("Pad", 3, DIMS(1, 1, 1), BRAID_EFORMAT, "3 pads for 4 dims");
  list_refused("Pad", 8, DIMS(0, 0, -8, 0, 0, 0, -8, 0), BRAID_ESHAPE, "leave nothing of axis 2");
  list_refused("Pad", 8, DIMS(0, 0, INT_MAX, 0, 0, 0, INT_MAX, 0), BRAID_ESHAPE, "'y'");
  struct maker *m = one_input(13);
  maker_node(m, "Concat", "x,x", "y");
  refused(m, BRAID_EFORMAT, "'axis' is missing");
  m = one_input(13);
  onnx_put_ints(&m->w, maker_node(m, "Transpose", "x", "y"), "perm", (int[]){0, 0, 1, 2}, 4);
  refused(m, BRAID_EINVAL, "'y'");
  m = one_input(13);
  maker_node(m, "Reshape", "x,x", "y");
  refused(m, BRAID_EUNSUPPORTED, "must be a constant");
}

/* Starts and ends at the ends of int64; an empty slice of an activation cannot be. */
Test(onnx_hostile, slices) {
  struct maker *m = one_input(13);
  maker_i64s(m, "s", 2, DIMS(INT64_MAX, INT64_MIN));
  maker_i64s(m, "e", 2, DIMS(INT64_MIN, INT64_MAX));
  maker_i64s(m, "a", 2, DIMS(2, 3));
  maker_i64s(m, "t", 2, DIMS(-1, INT64_MAX));
  maker_node(m, "Slice", "x,s,e,a,t", "y");
  struct braid_graph *graph = accepted(m, 0);
  const struct braid_node *node = braid_graph_node(graph, braid_graph_find(graph, "y"));
  cr_expect(braid_shape_equal(&node->shape, &(struct braid_shape){4, {1, 3, 8, 1}}));
  cr_expect_eq(node->attrs.slice.start[2], 7);
  cr_expect_eq(node->attrs.slice.step[2], -1);
  braid_graph_destroy(&graph);
  m = one_input(13);
  maker_i64s(m, "s", 1, DIMS(5));
  maker_i64s(m, "e", 1, DIMS(5));
  maker_node(m, "Slice", "x,s,e", "y");
  graph = accepted(m, 0); /* nothing is left, and that is known now */
  node = braid_graph_node(graph, braid_graph_find(graph, "y"));
  cr_expect(node->shape.dim[0] == 0 && node->bytes == 0);
  braid_graph_destroy(&graph);
  m = one_input(13);
  maker_i64s(m, "s", 1, DIMS(0));
  maker_i64s(m, "e", 2, DIMS(1, 1));
  maker_node(m, "Slice", "x,s,e", "y");
  refused(m, BRAID_EFORMAT, "do not fit together");
}

Test(onnx_hostile, folding_is_bounded) {
  struct maker *m = one_input(13);
  maker_i64s(m, "c", 2, DIMS(1 << 20, 1 << 20));
  maker_node(m, "ConstantOfShape", "c", "big");
  maker_node(m, "Add", "x,big", "y");
  refused(m, BRAID_ENOMEM, "node 'big' (ConstantOfShape");
  m = one_input(13); /* each constant is small enough, together they are not */
  maker_i64s(m, "c", 1, DIMS(1 << 16));
  for (int i = 0; i < 64; i++) {
    char name[16];
    snprintf(name, sizeof name, "big%d", i);
    maker_node(m, "ConstantOfShape", "c", name);
  }
  refused(m, BRAID_ENOMEM, "limit");
  m = one_input(13);
  float f[1] = {1};
  maker_weights(m, "f", BRAID_F32, 0, NULL, f, 4);
  maker_i64s(m, "c", 1, DIMS(1 << 30));
  maker_node(m, "Expand", "f,c", "big");
  refused(m, BRAID_ENOMEM, "node 'big' (Expand");
}

Test(onnx_hostile, no_evaluator) {
  struct braid_graph *graph = NULL;
  struct maker *m = one_input(13);
  maker_i64s(m, "c", 1, DIMS(2));
  maker_node(m, "Add", "c,c", "d");
  maker_node(m, "Expand", "x,d", "y");
  cr_expect_eq(maker_parse(m, NULL, &graph), BRAID_EUNSUPPORTED);
  cr_expect(strstr(braid_error(), "no evaluator") && strstr(braid_error(), "node 'd' (Add"), "%s", braid_error());
}

static struct maker *with_extra_output(void) {
  struct maker *m = relu_net();
  static const float three[3] = {1, 1, 1};
  maker_weights(m, "v", BRAID_F32, 1, DIMS(3), three, sizeof three);
  maker_second_output(m, maker_node(m, "BatchNormalization", "x,v,v,v,v", "z"), "running");
  return m;
}

Test(onnx_hostile, extra_outputs) {
  struct maker *m = with_extra_output();
  struct braid_graph *graph = accepted(m, 0); /* nobody reads the running mean */
  braid_graph_destroy(&graph);
  m = with_extra_output();
  maker_output(m, "running");
  refused(m, BRAID_EUNSUPPORTED, "'running' is an extra output");
}

Test(onnx_hostile, unsupported_operators_are_listed_together) {
  struct maker *m = relu_net();
  maker_node(m, "Einsum", "x", "a");
  maker_node(m, "Einsum", "x", "b");
  maker_node(m, "Relu", "x", "c")->domain = onnx_take_text(&m->w, "com.example");
  maker_node(m, "If", "x", "d");
  refused(m, BRAID_EUNSUPPORTED,
          "3 unsupported operators: Einsum (node 'a', opset 13), com.example.Relu (node 'c', opset 13), If (node 'd'");
}

/* ------------------------------------------------------------------------------- unusual, but accepted */

Test(onnx_hostile, many_operands_become_trees) {
  static const char *const ops[] = {"Sum", "Max", "Mean", "Concat"};
  char in[300 * 2 + 1] = "";
  for (int i = 0; i < 300; i++) strcat(in, i ? ",x" : "x");
  for (size_t i = 0; i < sizeof ops / sizeof *ops; i++) {
    struct maker *m = one_input(13);
    Onnx__NodeProto *node = maker_node(m, ops[i], in, "y");
    if (i == 3) onnx_put_int(&m->w, node, "axis", 1);
    struct braid_graph *graph = accepted(m, 0);
    const struct braid_node *y = braid_graph_node(graph, braid_graph_find(graph, "y"));
    cr_expect_eq(y->shape.dim[1], i == 3 ? 900 : 3, "%s", ops[i]);
    cr_expect_geq(braid_graph_size(graph), 7, "%s", ops[i]);
    for (int id = 0; id < braid_graph_size(graph); id++) cr_expect_leq(braid_graph_node(graph, id)->n_in, 64);
    braid_graph_destroy(&graph);
  }
}

Test(onnx_hostile, batch_is_the_symbolic_first_dim) {
  for (int batch = 0; batch < 5; batch += 4) {
    struct maker *m = maker_new(13);
    maker_input(m, "x", 2, DIMS(0, 7));
    maker_node(m, "Shape", "x", "s");
    maker_node(m, "Relu", "x", "r");
    maker_node(m, "Reshape", "r,s", "y");
    maker_output(m, "y");
    struct braid_graph *graph = accepted(m, batch);
    int n, id = braid_graph_outputs(graph, &n)[0];
    cr_expect_eq(braid_graph_node(graph, id)->shape.dim[0], batch ? batch : 1);
    braid_graph_destroy(&graph);
  }
}

Test(onnx_hostile, constant_and_input_as_outputs) {
  struct maker *m = relu_net();
  maker_i64s(m, "c", 3, DIMS(1, 2, 3));
  maker_output(m, "c");
  maker_output(m, "x");
  struct braid_graph *graph = accepted(m, 0);
  int n;
  braid_graph_outputs(graph, &n);
  cr_expect_eq(n, 3);
  braid_graph_destroy(&graph);
}

/* --------------------------------------------------------------------------------------- random damage */

static uint64_t seed_of_run(void) {
  const char *text = getenv("BRAID_SEED");
  uint64_t seed = text ? strtoull(text, NULL, 10) : 20240601;
  fprintf(stderr, "BRAID_SEED=%llu\n", (unsigned long long)seed);
  return seed;
}

static void try_bytes(const uint8_t *bytes, size_t size) {
  struct braid_onnx_opts opts = {.max_bytes = 32 << 20};
  struct braid_evaluator evaluator = ref_evaluator();
  struct braid_graph *graph = NULL;
  uint8_t *exact = malloc(size ? size : 1); /* so that ASan sees the first byte beyond */
  memcpy(exact, bytes, size);
  opts.evaluator = &evaluator;
  if (braid_onnx_parse(exact, size, "damaged", &opts, &graph) == BRAID_OK) {
    if (braid_graph_seal(graph, BRAID_PASS_ALL) == BRAID_OK) {
      cr_expect_eq(braid_graph_check(graph), BRAID_OK, "%s", braid_error());
    }
  } else {
    cr_expect(strstr(braid_error(), "damaged"), "no file in: %s", braid_error());
  }
  braid_graph_destroy(&graph);
  free(exact);
}

/* Most bytes of a model are weights, which no damage shows in: half of the flips go to the first and last 4 KB. */
static size_t place_to_hit(uint64_t seed, uint64_t *i, size_t size) {
  size_t edge = size < 4096 ? size : 4096;
  uint64_t r = braid_random_u64(seed, (*i)++), where = braid_random_u64(seed, (*i)++);
  if (r % 4 == 0) return (size_t)(where % edge);
  if (r % 4 == 1) return size - 1 - (size_t)(where % edge);
  return (size_t)(where % size);
}

static void damage(const char *file, uint64_t seed) {
  char path[512];
  static uint8_t whole[4 << 20], hit[4 << 20];
  if (!testdata_path(file, path, sizeof path)) return;
  FILE *f = fopen(path, "rb");
  size_t size = fread(whole, 1, sizeof whole, f);
  uint64_t i = 0;
  fclose(f);
  cr_assert(size > 0 && size < sizeof whole);
  for (int n = 0; n < 60; n++) try_bytes(whole, place_to_hit(seed, &i, size));
  for (int n = 0; n < 60; n++) {
    memcpy(hit, whole, size);
    for (int k = 0; k <= n % 8; k++) hit[place_to_hit(seed, &i, size)] = (uint8_t)braid_random_u64(seed, i++);
    try_bytes(hit, size);
  }
}

Test(onnx_hostile, damaged_files, .timeout = 120) {
  static const char *const files[] = {"models/mnist8.onnx", "models/yunet_n_320.onnx",
                                      "onnx-light/light_shufflenet.onnx", "models/fastestdet_352.onnx",
                                      "models/cifar_resnet_bn.onnx"};
  uint64_t seed = seed_of_run();
  for (size_t i = 0; i < sizeof files / sizeof *files; i++) damage(files[i], seed + i);
}

/* -------------------------------------------------------------------------------------- out of memory */

/* A little of everything: an input, weights, folding, a cut, a fused tail. */
static uint8_t *varied_net(size_t *size) {
  Onnx__NodeProto *conv;
  struct maker *m = conv_net(&conv);
  m->w.nodes.n = 0;
  maker_node(m, "Conv", "x,w", "a");
  maker_node(m, "Shape", "a", "s");
  maker_node(m, "Add", "s,s", "t");
  maker_i64s(m, "starts", 1, DIMS(1));
  maker_i64s(m, "ends", 1, DIMS(2));
  maker_node(m, "Slice", "t,starts,ends", "u");
  maker_node(m, "Cast", "u", "v");
  onnx_put_int(&m->w, m->w.nodes.item[4], "to", onnx_data_type(BRAID_F32));
  maker_node(m, "Mul", "a,v", "b");
  maker_node(m, "Relu", "b", "y");
  uint8_t *bytes = maker_bytes(m, size);
  maker_free(m);
  return bytes;
}

Test(onnx_hostile, every_allocation_may_fail) {
  struct braid_evaluator evaluator = ref_evaluator();
  struct braid_onnx_opts opts = {.evaluator = &evaluator};
  size_t size;
  uint8_t *bytes = varied_net(&size);
  enum braid_status status = BRAID_ENOMEM;
  long n = 0;
  while (status != BRAID_OK && n < 10000) {
    struct braid_graph *graph = NULL;
    braid_alloc_fail_at(++n);
    status = braid_onnx_parse(bytes, size, "f", &opts, &graph);
    braid_alloc_fail_at(0);
    cr_expect((status == BRAID_OK) == (graph != NULL), "allocation %ld", n);
    cr_expect(status == BRAID_OK || status == BRAID_ENOMEM || status == BRAID_EFORMAT, "allocation %ld: %s", n,
              braid_error());
    braid_graph_destroy(&graph);
  }
  cr_expect_eq(status, BRAID_OK, "never got through");
  cr_expect_gt(n, 50);
  free(bytes);
}

/* ------------------------------------------------------------------------------------ absurd attributes */

/* One node over x [1,3,8,8] with an integer attribute (or none) and the constants it wants: refused, within the budget
 * and with a message that names what is wrong. */
struct absurd {
  const char *op, *operands;
  int opset;
  const char *attribute;
  int64_t value;
  int64_t constant; /* of the operand "k" */
  enum braid_status status;
  const char *text;
};

static const struct absurd absurd[] = {
    {"GatherElements", "x,i", 13, "axis", INT64_MAX, 0, BRAID_ESHAPE, "axis"},
    {"GatherElements", "x,i", 13, "axis", INT64_MIN, 0, BRAID_ESHAPE, "axis"},
    {"GatherND", "x,i", 13, "batch_dims", -1, 0, BRAID_EFORMAT, "batch_dims"},
    {"GatherND", "x,i", 13, "batch_dims", INT64_MAX, 0, BRAID_EFORMAT, "batch_dims"},
    {"ScatterElements", "x,i,x", 13, "axis", 4, 0, BRAID_ESHAPE, "axis"},
    {"CumSum", "x,k", 14, NULL, 0, INT64_MIN, BRAID_ESHAPE, "axis"},
    {"TopK", "x,k", 11, "axis", -5, 1, BRAID_ESHAPE, "axis"},
    {"TopK", "x,k", 11, "axis", 1, 4, BRAID_EFORMAT, "K is 4"},
    {"TopK", "x,k", 11, "axis", 1, INT64_MIN, BRAID_EFORMAT, "K is"},
    {"Trilu", "x,x", 14, NULL, 0, 0, BRAID_EUNSUPPORTED, "constant"},
    {"DepthToSpace", "x", 13, "blocksize", 0, 0, BRAID_EFORMAT, "blocksize"},
    {"DepthToSpace", "x", 13, "blocksize", INT64_MAX, 0, BRAID_EFORMAT, "blocksize"},
    {"DepthToSpace", "x", 13, "blocksize", 46340, 0, BRAID_ESHAPE, "blocks"},
    {"SpaceToDepth", "x", 13, "blocksize", 3, 0, BRAID_ESHAPE, "blocks"},
    {"LayerNormalization", "x,x", 17, "axis", 4, 0, BRAID_ESHAPE, "axis"},
    {"LayerNormalization", "x,s", 17, "axis", -1, 0, BRAID_ESHAPE, "broadcast"},
    {"GroupNormalization", "x,s,s", 21, "num_groups", 0, 0, BRAID_EFORMAT, "groups"},
    {"GroupNormalization", "x,s,s", 21, "num_groups", INT64_MAX, 0, BRAID_EFORMAT, "groups"},
    {"GroupNormalization", "x,s,s", 21, "num_groups", 2, 0, BRAID_EFORMAT, "groups"},
    {"OneHot", "j,k,two", 13, "axis", 0, INT64_MAX, BRAID_EFORMAT, "depth"},
    {"OneHot", "j,k,two", 13, "axis", 0, -1, BRAID_EFORMAT, "depth"},
    {"OneHot", "j,k,two", 13, "axis", 7, 3, BRAID_ESHAPE, "axis"},
    {"OneHot", "j,k,two", 13, "axis", 0, 1 << 30, BRAID_ENOMEM, "limit"},
    {"LpPool", "x", 13, "p", 0, 0, BRAID_EFORMAT, "kernel_shape"},
    {"GlobalLpPool", "x", 13, "p", INT64_MAX, 0, BRAID_EFORMAT, "'p'"},
    {"NonMaxSuppression", "x,x", 11, NULL, 0, 0, BRAID_EUNSUPPORTED, "constant"},
    {"NonZero", "x", 13, NULL, 0, 0, BRAID_EUNSUPPORTED, "constant"},
    {"EyeLike", "x", 13, "dtype", INT64_MAX, 0, BRAID_ESHAPE, "matrix"},
    {"Mod", "x,x", 13, "fmod", 0, 0, BRAID_EINVAL, "fmod"},
    {"BitShift", "x,x", 13, NULL, 0, 0, BRAID_EUNSUPPORTED, "float32"},
    {"Where", "x,x,x", 13, NULL, 0, 0, BRAID_EINVAL, "bool"},
    {"Hardmax", "x", 13, "axis", 4, 0, BRAID_ESHAPE, "axis"},
    {"Expand", "x,big", 13, NULL, 0, 0, BRAID_ESHAPE, "too large|elements|handled"},
};

static bool has_one_of(const char *text, const char *choices) {
  char copy[128];
  snprintf(copy, sizeof copy, "%s", choices);
  for (char *word = strtok(copy, "|"); word; word = strtok(NULL, "|"))
    if (strstr(text, word)) return true;
  return false;
}

Test(onnx_hostile, absurd_attributes) {
  static const int64_t zeros[3 * 8 * 8];
  for (size_t i = 0; i < sizeof absurd / sizeof *absurd; i++) {
    const struct absurd *a = &absurd[i];
    struct maker *m = one_input(a->opset);
    maker_i64s(m, "k", 1, &a->constant);
    maker_i64s(m, "j", 2, DIMS(0, 1));
    maker_i64s(m, "two", 2, DIMS(0, 1));
    maker_i64s(m, "big", 4, DIMS(1 << 16, 3, 1 << 10, 1 << 10));
    maker_weights(m, "s", BRAID_F32, 1, DIMS(3), zeros, 3 * sizeof(float));
    maker_weights(m, "i", BRAID_I64, 4, image, zeros, sizeof zeros);
    Onnx__NodeProto *node = maker_node(m, a->op, a->operands, "y");
    if (a->attribute) onnx_put_int(&m->w, node, a->attribute, a->value);
    struct braid_evaluator evaluator = ref_evaluator();
    struct braid_onnx_opts opts = {.evaluator = &evaluator, .max_bytes = 1 << 20};
    struct braid_graph *graph = NULL;
    enum braid_status status = maker_parse(m, &opts, &graph);
    cr_expect_eq(status, a->status, "case %zu (%s): %s, %s", i, a->op, braid_status_text(status), braid_error());
    cr_expect_null(graph);
    cr_expect(has_one_of(braid_error(), a->text), "case %zu (%s): %s", i, a->op, braid_error());
    braid_graph_destroy(&graph);
  }
}

/* A tensor alone, as the test data of ONNX's suite are: broken ones are refused, a good one is read. */
Test(onnx_hostile, tensors_alone) {
  static const uint8_t good[] = {0x08, 2, 0x10, 1, 0x4a, 8, 0, 0, 0x80, 0x3f, 0, 0, 0, 0x40}; /* dims 2, float, raw */
  struct braid_tensor t;
  cr_assert_eq(braid_onnx_read_tensor(good, sizeof good, &t), BRAID_OK, "%s", braid_error());
  cr_expect(t.dtype == BRAID_F32 && t.shape.rank == 1 && t.shape.dim[0] == 2);
  cr_expect(((float *)t.data)[0] == 1 && ((float *)t.data)[1] == 2);
  braid_free(t.data);
  for (size_t n = 0; n < sizeof good; n++) {
    cr_expect_neq(braid_onnx_read_tensor(good, n, &t), BRAID_OK, "%zu bytes", n);
  }
}
