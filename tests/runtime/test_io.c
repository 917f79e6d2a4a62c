/* SPDX-License-Identifier: Apache-2.0 */
#include "io.h"
#include "testdata.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

/* ------------------------------------------------------------------------------------------------ .npy */

static char *temporary(char path[64]) {
  strcpy(path, "/tmp/braid_io_XXXXXX");
  int fd = mkstemp(path);
  cr_assert_geq(fd, 0);
  close(fd);
  return path;
}

Test(npy, every_type_and_rank_comes_back) {
  char path[64];
  temporary(path);
  for (int d = 0; d < BRAID_DTYPE_COUNT; d++)
    for (int rank = 0; rank <= 5; rank++) {
      uint8_t bytes[8 * 32];
      for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (uint8_t)braid_random_u64(9, i);
      struct braid_tensor t = {bytes, (enum braid_dtype)d, braid_shape_of(rank, (int[]){2, 1, 3, 1, 5})}, back;
      if (d == BRAID_BF16) {
        cr_assert_eq(io_npy_write(path, &t), BRAID_EUNSUPPORTED); /* NumPy has no such type */
        continue;
      }
      size_t n;
      cr_assert_eq(braid_shape_bytes(&t.shape, t.dtype, &n), BRAID_OK);
      cr_assert_eq(io_npy_write(path, &t), BRAID_OK, "%s", braid_error());
      cr_assert_eq(io_npy_read(path, &back), BRAID_OK, "%s", braid_error());
      cr_assert_eq(back.dtype, t.dtype);
      cr_assert(braid_shape_equal(&back.shape, &t.shape));
      cr_assert_eq(memcmp(back.data, bytes, n), 0);
      braid_free(back.data);
    }
  unlink(path);
}

/* A version 1 file with this dictionary and `n` bytes of elements. */
static size_t file_with(const char *dict, size_t n, uint8_t out[512]) {
  size_t length = strlen(dict);
  memset(out, 0, 512);
  memcpy(out, "\x93NUMPY\x01\x00", 8);
  out[8] = (uint8_t)length;
  memcpy(out + 10, dict, length);
  return 10 + length + n;
}

Test(npy, hostile_headers_are_refused_with_a_reason) {
  static const struct {
    const char *dict, *says;
    size_t bytes;
  } bad[] = {
      {"{'descr': '>f4', 'fortran_order': False, 'shape': (2,), }", "big-endian", 8},
      {"{'descr': '<f4', 'fortran_order': True, 'shape': (2, 2), }", "Fortran", 16},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }", "truncated", 7},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999,), }", "dimension", 8},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (2000000000,2000000000,2000000000), }", "", 8},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (1,1,1,1,1,1,1,1,1), }", "dimensions", 8},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }", "dimension", 8},
      {"{'descr': '<c8', 'fortran_order': False, 'shape': (1,), }", "<c8", 8},
      {"{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,), }", "structured", 8},
      {"{'descr': '<f4', 'shape': (1,), }", "lacks", 8},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (1", "", 8},
      {"{'descr", "", 8},
      {"", "", 0},
  };
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    uint8_t file[512];
    struct braid_tensor t;
    size_t n = file_with(bad[i].dict, bad[i].bytes, file);
    cr_assert_neq(io_npy_parse(file, n, &t), BRAID_OK, "%s", bad[i].dict);
    cr_assert(strstr(braid_error(), bad[i].says), "'%s' does not say '%s'", braid_error(), bad[i].says);
  }
}

Test(npy, no_prefix_of_a_file_is_taken_for_a_whole) {
  uint8_t file[512];
  struct braid_tensor t;
  size_t n = file_with("{'descr': '<f4', 'fortran_order': False, 'shape': (3, 2), }\n", 24, file);
  cr_assert_eq(io_npy_parse(file, n, &t), BRAID_OK, "%s", braid_error());
  braid_free(t.data);
  for (size_t cut = 0; cut < n; cut++) {
    uint8_t *part = malloc(cut + 1); /* exactly as long, so that asan sees one byte too many */
    memcpy(part, file, cut);
    part = realloc(part, cut ? cut : 1);
    cr_assert_neq(io_npy_parse(part, cut, &t), BRAID_OK);
    free(part);
  }
}

/* -------------------------------------------------------------------------------------------- pictures */

static struct io_image picture(int w, int h) {
  struct io_image im = {w, h, braid_malloc((size_t)w * (size_t)h * 3)};
  for (size_t i = 0; i < (size_t)w * (size_t)h * 3; i++) im.rgb[i] = (uint8_t)braid_random_u64(3, i);
  return im;
}

Test(image, the_same_size_is_the_same_picture) {
  struct io_image a = picture(13, 7), b;
  cr_assert_eq(io_image_resize(&a, 13, 7, &b), BRAID_OK);
  cr_assert_eq(memcmp(a.rgb, b.rgb, 13 * 7 * 3), 0);
  io_image_free(&a);
  io_image_free(&b);
}

Test(image, a_plain_picture_stays_plain_at_any_size) {
  for (int k = 1; k < 60; k++) {
    struct io_image a = picture(17, 29), b;
    memset(a.rgb, 200, 17 * 29 * 3);
    cr_assert_eq(io_image_resize(&a, k, 61 - k, &b), BRAID_OK);
    for (int i = 0; i < k * (61 - k) * 3; i++) cr_assert_eq(b.rgb[i], 200);
    io_image_free(&a);
    io_image_free(&b);
  }
}

/* Halving with a triangle of half width 2: (1,3,3,1)/8 inside. */
Test(image, halving_weighs_as_the_triangle_does) {
  struct io_image a = picture(8, 1), b;
  static const uint8_t row[8] = {0, 80, 160, 240, 16, 32, 64, 8};
  for (int i = 0; i < 24; i++) a.rgb[i] = row[i / 3];
  cr_assert_eq(io_image_resize(&a, 4, 1, &b), BRAID_OK);
  cr_assert_eq(b.rgb[1 * 3], (80 + 3 * 160 + 3 * 240 + 16 + 4) / 8);
  cr_assert_eq(b.rgb[2 * 3], (240 + 3 * 16 + 3 * 32 + 64 + 4) / 8);
  io_image_free(&a);
  io_image_free(&b);
}

Test(image, damaged_files_are_refused) {
  uint8_t noise[300];
  struct io_image im;
  for (size_t i = 0; i < sizeof noise; i++) noise[i] = (uint8_t)braid_random_u64(4, i);
  cr_assert_eq(io_image_parse(noise, sizeof noise, &im), BRAID_EFORMAT);
  cr_assert_eq(io_image_parse(noise, 0, &im), BRAID_EFORMAT);
}

/* Sixteen counts of codes, one a length: their sum is what the decoder has room for, or one more. */
Test(image, huffman_tables_that_overflow_the_decoder_are_refused) {
  for (int codes = 256; codes <= 257; codes++)
    for (int cut = 0; cut < 2; cut++) {
      uint8_t jpeg[23 + 257] = {0xff, 0xd8, 0xff, 0xc4, 1, 20 + 1, 0x10};
      struct io_image im;
      jpeg[7] = (uint8_t)(codes - 255);
      jpeg[15] = 255;
      size_t size = cut ? 16 : sizeof jpeg; /* a file may end inside the counts: the rest are zeros */
      cr_assert_eq(io_image_parse(jpeg, size, &im), BRAID_EFORMAT);
      cr_assert_eq(strstr(braid_error(), "Huffman") != NULL, codes > 256, "%d codes: %s", codes, braid_error());
    }
}

/* photos_224_u8.npy was made by Pillow from the labelled photos; another JPEG decoder differs by a few levels. */
Test(image, photos_come_out_as_pillow_prepares_them) {
  char path[512], line[256];
  if (!testdata_path("images/photos_224_u8.npy", path, sizeof path)) cr_skip_test("no test data");
  struct braid_tensor want;
  cr_assert_eq(io_npy_read(path, &want), BRAID_OK, "%s", braid_error());
  snprintf(path, sizeof path, "%s/images/labels.tsv", testdata_dir());
  FILE *labels = fopen(path, "r");
  cr_assert(labels);
  struct io_preprocess how;
  cr_assert_eq(io_preprocess_parse("crop", &how), BRAID_OK);
  int seen = 0;
  size_t plane = 224 * 224, n = 3 * plane;
  uint8_t *pixels = malloc(n);
  while (fgets(line, sizeof line, labels)) {
    int row;
    char name[128];
    if (sscanf(line, "%d %127s", &row, name) != 2) continue;
    snprintf(path, sizeof path, "%s/images/%s", testdata_dir(), name);
    uint8_t *data;
    size_t size;
    struct io_image im;
    cr_assert_eq(io_read_file(path, 1 << 26, &data, &size), BRAID_OK, "%s", braid_error());
    cr_assert_eq(io_image_parse(data, size, &im), BRAID_OK, "%s: %s", name, braid_error());
    struct braid_tensor t = {pixels, BRAID_U8, braid_shape_of(4, (int[]){1, 3, 224, 224})};
    cr_assert_eq(io_preprocess_image(&how, &im, &t, 0), BRAID_OK, "%s", braid_error());
    const uint8_t *ref = (const uint8_t *)want.data + (size_t)row * n;
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += abs((int)pixels[i] - (int)ref[i]);
    cr_expect_lt(sum / (double)n, 0.5, "%s: mean difference %.2f levels", name, sum / (double)n);
    io_image_free(&im);
    braid_free(data);
    seen++;
  }
  fclose(labels);
  free(pixels);
  braid_free(want.data);
  cr_assert_gt(seen, 20);
}

/* --------------------------------------------------------------------------------------- preprocessing */

Test(preprocess, specs_are_read_and_bad_ones_named) {
  struct io_preprocess p;
  cr_assert_eq(io_preprocess_parse("caffe", &p), BRAID_OK);
  cr_assert(p.bgr && p.crop && p.mean[0] == 104);
  cr_assert_eq(io_preprocess_parse("mean=1,2,3:std=4:bgr:resize", &p), BRAID_OK);
  cr_assert(p.bgr && !p.crop && p.mean[2] == 3 && p.std[1] == 4);
  cr_assert_eq(io_preprocess_parse("imagenet:resize", &p), BRAID_OK);
  cr_assert(!p.crop && p.std[0] > 58);
  static const char *const bad[] = {"imagnet", "mean=1,2", "mean=", "std=0", "mean=nan", "std=1,0,1", ":", "bgr::"};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
    cr_assert_eq(io_preprocess_parse(bad[i], &p), BRAID_EINVAL, "%s", bad[i]);
}

Test(preprocess, the_guess_looks_at_the_input) {
  static const struct {
    const char *input, *want;
    enum braid_dtype dtype;
    int dim[4];
    bool crop;
  } c[] = {{"input", "crop", BRAID_U8, {1, 3, 224, 224}, true},
           {"input", "raw", BRAID_U8, {1, 3, 416, 416}, false},
           {"data_0", "caffe", BRAID_F32, {1, 3, 224, 224}, true},
           {"Input3", "grey", BRAID_F32, {1, 1, 28, 28}, false},
           {"input", "cifar10", BRAID_F32, {1, 3, 32, 32}, false},
           {"x", "imagenet", BRAID_F32, {1, 3, 299, 299}, true},
           {"x", "imagenet:resize", BRAID_F32, {1, 3, 240, 320}, false}};
  for (size_t i = 0; i < sizeof c / sizeof *c; i++) {
    struct braid_shape s = braid_shape_of(4, c[i].dim);
    struct io_preprocess p;
    io_preprocess_guess(c[i].input, c[i].dtype, &s, &p);
    cr_expect_str_eq(p.name, c[i].want);
    cr_expect_eq(p.crop, c[i].crop);
  }
}

Test(preprocess, channels_are_ordered_then_scaled) {
  struct io_image im = picture(2, 1);
  memcpy(im.rgb, (uint8_t[]){10, 20, 30, 40, 50, 60}, 6);
  float out[6];
  struct braid_tensor t = {out, BRAID_F32, braid_shape_of(4, (int[]){1, 3, 1, 2})};
  struct io_preprocess p;
  cr_assert_eq(io_preprocess_parse("mean=1,2,3:std=2:bgr:resize", &p), BRAID_OK);
  cr_assert_eq(io_preprocess_image(&p, &im, &t, 0), BRAID_OK);
  static const float want[6] = {14.5f, 29.5f, 9, 24, 3.5f, 18.5f};
  for (int i = 0; i < 6; i++) cr_assert_eq(out[i], want[i]);
  t.shape.dim[1] = 4;
  cr_assert_eq(io_preprocess_image(&p, &im, &t, 0), BRAID_ESHAPE);
  io_image_free(&im);
}
