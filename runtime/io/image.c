/* SPDX-License-Identifier: Apache-2.0
 *
 * Pictures: decoding by stb_image, resizing by our own separable triangle filter.
 */
#include "io.h"

#include <math.h>
#include <string.h>
#include <strings.h>

/* stb_image is written in another style than ours: its warnings are its own business. */
/* Not undone below: it is reported at the end of the file. */
#pragma GCC diagnostic ignored "-Wunused-function"
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wcast-qual"
#pragma GCC diagnostic ignored "-Wdouble-promotion"
#pragma GCC diagnostic ignored "-Wsign-compare"
#pragma GCC diagnostic ignored "-Wshadow"
#pragma GCC diagnostic ignored "-Wundef"
#ifdef __clang__ /* it adds 0 to null pointers and copies 0 bytes there, which hurts nobody */
#pragma clang attribute push(__attribute__((no_sanitize("pointer-overflow", "nonnull-attribute"))), apply_to = function)
#endif
#define STB_IMAGE_IMPLEMENTATION
#define STB_IMAGE_STATIC
#define STBI_ONLY_JPEG
#define STBI_ONLY_PNG
#define STBI_NO_STDIO
#define STBI_NO_GIF
#define STBI_MAX_DIMENSIONS 32768
#define STBI_MALLOC(size) braid_malloc(size)
#define STBI_REALLOC(p, size) braid_realloc(p, size)
#define STBI_FREE(p) braid_free(p)
#include <stb/stb_image.h>
#ifdef __clang__
#pragma clang attribute pop
#endif
#pragma GCC diagnostic pop

enum { MAX_PIXELS = 1 << 27 };

bool io_image_name(const char *path) {
  static const char *const ending[] = {".jpg", ".jpeg", ".png"};
  size_t n = strlen(path);
  for (size_t i = 0; i < sizeof ending / sizeof *ending; i++) {
    size_t m = strlen(ending[i]);
    if (n > m && strcasecmp(path + n - m, ending[i]) == 0) return true;
  }
  return false;
}

/* --------------------------------------------------------------------------------------------- suspicion
 * stb_image of 2022 does not count the codes of a JPEG's Huffman tables and writes past its arrays when there are more
 * than a byte can name. So they are counted here first, wherever the decoder could take bytes for a table: in the
 * header's segments, and after the first scan at any marker, for in coded data FF is always followed by 00. */

/* A DHT segment from its length on; what the file does not have counts as zeros, as it does for the decoder. */
static bool tables_fit(const uint8_t *data, size_t size) {
  enum { HEAD = 17, CODES_MAX = 256 };
  if (size < 2) return true;
  size_t end = (size_t)data[0] << 8 | data[1], at = 2;
  while (at < end && at < size) {
    size_t codes = 0;
    for (size_t i = at + 1; i < at + HEAD && i < size; i++) codes += data[i];
    if (codes > CODES_MAX) return false;
    at += HEAD + codes;
  }
  return true;
}

static bool jpeg_tables_fit(const uint8_t *data, size_t size) {
  enum { SOI = 0xd8, DHT = 0xc4, SOS = 0xda };
  bool scanning = false;
  for (size_t at = 0;;) {
    while (at < size && data[at] != 0xff) at++;
    while (at < size && data[at] == 0xff) at++;
    if (at + 2 >= size) return true;
    uint8_t marker = data[at++];
    if (marker == DHT && !tables_fit(data + at, size - at)) return false;
    if (scanning || marker == SOI) continue;
    at += (size_t)data[at] << 8 | data[at + 1];
    scanning = marker == SOS;
  }
}

enum braid_status io_image_parse(const uint8_t *data, size_t size, struct io_image *out) {
  int w, h, channels;
  if (size > 0 && data[0] == 0xff && !jpeg_tables_fit(data, size))
    return braid_fail(BRAID_EFORMAT, "a JPEG picture with a Huffman table of more than 256 codes");
  if (size > INT32_MAX || !stbi_info_from_memory(data, (int)size, &w, &h, &channels))
    return braid_fail(BRAID_EFORMAT, "not a JPEG or PNG picture");
  if (w < 1 || h < 1 || (int64_t)w * h > MAX_PIXELS)
    return braid_fail(BRAID_EUNSUPPORTED, "a picture of %dx%d pixels", w, h);
  uint8_t *rgb = stbi_load_from_memory(data, (int)size, &w, &h, &channels, 3);
  if (!rgb) return braid_fail(BRAID_EFORMAT, "the picture cannot be decoded (%s)", stbi_failure_reason());
  *out = (struct io_image){w, h, rgb};
  return BRAID_OK;
}

void io_image_free(struct io_image *image) {
  braid_free(image->rgb);
  *image = (struct io_image){0};
}

static enum braid_status allocate(int width, int height, struct io_image *out) {
  if (width < 1 || height < 1 || (int64_t)width * height > MAX_PIXELS)
    return braid_fail(BRAID_EINVAL, "a picture of %dx%d pixels", width, height);
  uint8_t *rgb = braid_malloc((size_t)width * (size_t)height * 3);
  if (!rgb) return braid_fail(BRAID_ENOMEM, "no memory for a picture of %dx%d", width, height);
  *out = (struct io_image){width, height, rgb};
  return BRAID_OK;
}

enum braid_status io_image_crop(const struct io_image *image, int left, int top, int width, int height,
                                struct io_image *out) {
  if (left < 0 || top < 0 || width > image->width - left || height > image->height - top)
    return braid_fail(BRAID_EINVAL, "a crop of %dx%d at %d,%d leaves the picture", width, height, left, top);
  BRAID_TRY(allocate(width, height, out));
  for (int y = 0; y < height; y++)
    memcpy(out->rgb + (size_t)y * (size_t)width * 3,
           image->rgb + ((size_t)(top + y) * (size_t)image->width + (size_t)left) * 3, (size_t)width * 3);
  return BRAID_OK;
}

/* ------------------------------------------------------------------------------------------- resizing */

/* Output i reads inputs [first[i], first[i] + count[i]) with weights of sum one. The filter is a triangle of half width
 * max(1, in/out) input pixels around the output's centre. */
struct filter {
  int taps; /* most inputs of one output */
  int *first, *count;
  float *weight; /* [out][taps] */
};

static void filter_free(struct filter *f) {
  braid_free(f->first);
  braid_free(f->count);
  braid_free(f->weight);
}

static void filter_row(struct filter *f, int i, int in, double scale, double support) {
  double centre = (i + 0.5) * scale, total = 0;
  int lo = (int)(centre - support + 0.5), hi = (int)(centre + support + 0.5);
  if (lo < 0) lo = 0;
  if (hi > in) hi = in;
  float *w = f->weight + (size_t)i * (size_t)f->taps;
  for (int k = lo; k < hi; k++) {
    double d = 1.0 - fabs((k + 0.5 - centre) / support);
    w[k - lo] = (float)(d > 0 ? d : 0);
    total += (double)w[k - lo];
  }
  for (int k = lo; k < hi; k++) w[k - lo] = (float)((double)w[k - lo] / total);
  f->first[i] = lo;
  f->count[i] = hi - lo;
}

static enum braid_status filter_make(int in, int out, struct filter *f) {
  double scale = (double)in / out, support = scale > 1.0 ? scale : 1.0;
  f->taps = (int)ceil(support) * 2 + 1;
  f->first = braid_calloc((size_t)out, sizeof *f->first);
  f->count = braid_calloc((size_t)out, sizeof *f->count);
  f->weight = braid_calloc((size_t)out * (size_t)f->taps, sizeof *f->weight);
  if (!f->first || !f->count || !f->weight) {
    filter_free(f);
    return braid_fail(BRAID_ENOMEM, "no memory to resize a picture");
  }
  for (int i = 0; i < out; i++) filter_row(f, i, in, scale, support);
  return BRAID_OK;
}

static uint8_t to_level(float v) {
  return (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v + 0.5f);
}

/* One output pixel from `count` pixels that lie `step` bytes apart. */
static void blend(const uint8_t *src, size_t step, const float *w, int count, uint8_t *dst) {
  float sum[3] = {0, 0, 0};
  for (int k = 0; k < count; k++, src += step)
    for (int c = 0; c < 3; c++) sum[c] += w[k] * (float)src[c];
  for (int c = 0; c < 3; c++) dst[c] = to_level(sum[c]);
}

static void widths(const struct io_image *in, const struct filter *f, struct io_image *out) {
  for (int y = 0; y < out->height; y++)
    for (int x = 0; x < out->width; x++)
      blend(in->rgb + ((size_t)y * (size_t)in->width + (size_t)f->first[x]) * 3, 3,
            f->weight + (size_t)x * (size_t)f->taps, f->count[x],
            out->rgb + ((size_t)y * (size_t)out->width + (size_t)x) * 3);
}

static void heights(const struct io_image *in, const struct filter *f, struct io_image *out) {
  size_t row = (size_t)in->width * 3;
  for (int y = 0; y < out->height; y++)
    for (int x = 0; x < out->width; x++)
      blend(in->rgb + (size_t)f->first[y] * row + (size_t)x * 3, row, f->weight + (size_t)y * (size_t)f->taps,
            f->count[y], out->rgb + (size_t)y * row + (size_t)x * 3);
}

static enum braid_status resize_axis(const struct io_image *in, int width, int height,
                                     void (*pass)(const struct io_image *, const struct filter *, struct io_image *),
                                     int from, int to, struct io_image *out) {
  struct filter f = {0};
  BRAID_TRY(filter_make(from, to, &f));
  enum braid_status status = allocate(width, height, out);
  if (status == BRAID_OK) pass(in, &f, out);
  filter_free(&f);
  return status;
}

enum braid_status io_image_resize(const struct io_image *image, int width, int height, struct io_image *out) {
  struct io_image between = {0};
  if (width < 1 || height < 1) return braid_fail(BRAID_EINVAL, "a picture of %dx%d pixels", width, height);
  BRAID_TRY(resize_axis(image, width, image->height, widths, image->width, width, &between));
  enum braid_status status = resize_axis(&between, width, height, heights, image->height, height, out);
  io_image_free(&between);
  return status;
}
