/* SPDX-License-Identifier: Apache-2.0
 * Trained classifiers on labelled photos: from the JPEG files through our decoder, resize and the guessed preprocessing, and
 * from the same pictures as Pillow prepared them (photos_224_u8.npy). A photo counts as its README says: any of the
 * accepted classes first (top-1) or among five (top-5). */
#include "braid/runtime.h"
#include "io.h"
#include "testdata.h"

#include <criterion/criterion.h>
#include <string.h>

enum { SIDE = 224, CLASSES = 1000, PIXELS = 3 * SIDE * SIDE };

struct classifier {
  struct braid_graph *graph;
  struct braid_pool *pool;
  struct braid_program *program;
  struct io_preprocess how;
  struct braid_tensor in, out;
  float input[PIXELS], scores[CLASSES];
};

static bool open_classifier(struct classifier *c, const char *file) {
  char path[512];
  if (!testdata_path(file, path, sizeof path)) return false;
  cr_assert_eq(braid_model_open(path, NULL, &c->graph), BRAID_OK, "%s", braid_error());
  cr_assert_eq(braid_pool_create(&(struct braid_pool_opts){.workers = 1, .name = "photos"}, &c->pool), BRAID_OK);
  struct braid_program_opts opts = {.frames = 1, .cpu_flags = braid_cpu_flags()};
  cr_assert_eq(braid_program_create(c->pool, c->graph, NULL, &opts, &c->program), BRAID_OK, "%s", braid_error());
  int n;
  const struct braid_node *in = braid_graph_node(c->graph, braid_graph_inputs(c->graph, &n)[0]);
  const struct braid_node *out = braid_graph_node(c->graph, braid_graph_outputs(c->graph, &n)[0]);
  io_preprocess_guess(in->name, in->dtype, &in->shape, &c->how);
  c->in = (struct braid_tensor){c->input, in->dtype, in->shape};
  c->out = (struct braid_tensor){c->scores, out->dtype, out->shape};
  cr_assert(braid_shape_elements(&in->shape) == PIXELS && braid_shape_elements(&out->shape) == CLASSES);
  return true;
}

static void close_classifier(struct classifier *c) {
  braid_program_destroy(&c->program);
  braid_pool_destroy(&c->pool);
  braid_graph_destroy(&c->graph);
}

static void fill_from_jpeg(struct classifier *c, const char *name) {
  char path[512];
  uint8_t *data;
  size_t size;
  struct io_image image;
  snprintf(path, sizeof path, "%s/images/%s", testdata_dir(), name);
  cr_assert_eq(io_read_file(path, 1 << 26, &data, &size), BRAID_OK, "%s", braid_error());
  cr_assert_eq(io_image_parse(data, size, &image), BRAID_OK, "%s", braid_error());
  cr_assert_eq(io_preprocess_image(&c->how, &image, &c->in, 0), BRAID_OK, "%s", braid_error());
  io_image_free(&image);
  braid_free(data);
}

/* The same pixels as planes: only order of channels, mean and scale are left to do. */
static void fill_from_planes(struct classifier *c, const uint8_t *rgb) {
  for (int ch = 0; ch < 3; ch++) {
    const uint8_t *plane = rgb + (size_t)(c->how.bgr ? 2 - ch : ch) * SIDE * SIDE;
    for (int i = 0; i < SIDE * SIDE; i++)
      c->input[ch * SIDE * SIDE + i] = ((float)plane[i] - c->how.mean[ch]) / c->how.std[ch];
  }
}

/* 0-based place of the best accepted class ("281,282,285") in the answer. */
static int place_of(const float *scores, const char *accepted) {
  int best = CLASSES;
  for (const char *p = accepted; *p;) {
    char *end;
    int class = (int)strtol(p, &end, 10), place = 0;
    for (int i = 0; i < CLASSES; i++) place += scores[i] > scores[class];
    if (place < best) best = place;
    p = *end == ',' ? end + 1 : end;
    if (end == p && *end != '\0' && *end != ',') break;
  }
  return best;
}

struct count {
  int top1, top5;
};

static void classify(struct classifier *c, const char *accepted, struct count *count) {
  cr_assert_eq(braid_program_run(c->program, &c->in, 1, &c->out, 1), BRAID_OK, "%s", braid_error());
  int place = place_of(c->scores, accepted);
  count->top1 += place == 0;
  count->top5 += place < 5;
}

static void check(const char *model, struct count at_least) {
  static struct classifier c;
  char path[512], line[256];
  if (!open_classifier(&c, model)) cr_skip_test("no test data");
  struct braid_tensor photos;
  snprintf(path, sizeof path, "%s/images/photos_224_u8.npy", testdata_dir());
  cr_assert_eq(io_npy_read(path, &photos), BRAID_OK, "%s", braid_error());
  snprintf(path, sizeof path, "%s/images/labels.tsv", testdata_dir());
  FILE *labels = fopen(path, "r");
  cr_assert(labels);
  struct count jpeg = {0, 0}, npy = {0, 0};
  int n = 0, row;
  char name[128], accepted[64];
  while (fgets(line, sizeof line, labels)) {
    if (sscanf(line, "%d %127s %63s", &row, name, accepted) != 3) continue;
    fill_from_jpeg(&c, name);
    classify(&c, accepted, &jpeg);
    cr_assert(row >= 0 && row < photos.shape.dim[0]);
    fill_from_planes(&c, (const uint8_t *)photos.data + (size_t)row * PIXELS);
    classify(&c, accepted, &npy);
    n++;
  }
  fclose(labels);
  printf("%s: %d photos, from JPEG top-1 %d top-5 %d, from .npy top-1 %d top-5 %d\n", model, n, jpeg.top1, jpeg.top5,
         npy.top1, npy.top5);
  cr_expect(jpeg.top1 >= at_least.top1 && jpeg.top5 >= at_least.top5);
  cr_expect(npy.top1 >= at_least.top1 && npy.top5 >= at_least.top5);
  braid_free(photos.data);
  close_classifier(&c);
}

/* Of 28: what the networks reach here (the .npy counts are a property of the networks, not of this program); one photo of
 * slack for another JPEG decoder. */
Test(photos, squeezenet) {
  check("models/squeezenet11_fp32.onnx", (struct count){22, 26});
}

Test(photos, mobilenet) {
  check("models/mobilenetv2_fp32.onnx", (struct count){22, 27});
}
