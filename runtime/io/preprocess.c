/* SPDX-License-Identifier: Apache-2.0
 *
 * From a picture to a network's input: fit the size, order the channels, shift and scale. Presets are rows of a table;
 * anything else is spelled out by the user.
 */
#include "io.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NO_CHANGE                                                                                                      \
  {0, 0, 0}, {                                                                                                         \
    1, 1, 1                                                                                                            \
  }

static const struct io_preprocess preset[] = {
    {"imagenet", true, false, false, {123.675f, 116.28f, 103.53f}, {58.395f, 57.12f, 57.375f}},
    {"caffe", true, true, false, {104, 117, 123}, {1, 1, 1}},
    {"cifar10", false, false, false, {125.307f, 122.961f, 113.8575f}, {62.985f, 62.0925f, 66.708f}},
    {"ultraface", false, false, false, {127, 127, 127}, {128, 128, 128}},
    {"fastestdet", false, true, false, {0, 0, 0}, {255, 255, 255}},
    {"bgr255", false, true, false, {0, 0, 0}, {255, 255, 255}},
    {"bgr", false, true, false, NO_CHANGE},
    {"raw", false, false, false, NO_CHANGE},
    {"crop", true, false, false, NO_CHANGE},
    {"grey", false, false, true, NO_CHANGE},
};
enum { N_PRESETS = sizeof preset / sizeof *preset };

const char *io_preprocess_names(void) {
  static const char names[] = "imagenet, caffe, cifar10, ultraface, fastestdet, bgr255, bgr, raw, crop, grey";
  return names;
}

/* Not inlined: gcc 12 would compare the literals of its callers with the table and warn that some differ. */
__attribute__((noinline)) static const struct io_preprocess *find(const char *name) {
  for (int i = 0; i < N_PRESETS; i++)
    if (strcmp(preset[i].name, name) == 0) return &preset[i];
  return NULL;
}

/* --------------------------------------------------------------------------------------------- parsing */

/* "a" or "a,b,c" */
static bool parse_three(const char *text, float v[3]) {
  char *end;
  for (int i = 0; i < 3; i++) {
    v[i] = strtof(text, &end);
    if (end == text || !isfinite(v[i])) return false;
    if (i == 0 && *end == '\0') {
      v[1] = v[2] = v[0];
      return true;
    }
    if (*end != (i < 2 ? ',' : '\0')) return false;
    text = end + 1;
  }
  return true;
}

static enum braid_status parse_part(const char *part, struct io_preprocess *p) {
  const struct io_preprocess *base = find(part);
  if (strcmp(part, "resize") == 0)
    p->crop = false;
  else if (strcmp(part, "crop") == 0)
    p->crop = true;
  else if (strcmp(part, "bgr") == 0)
    p->bgr = true;
  else if (strcmp(part, "rgb") == 0)
    p->bgr = false;
  else if (strcmp(part, "grey") == 0)
    p->grey = true;
  else if (base)
    *p = *base;
  else if (strncmp(part, "mean=", 5) == 0 && parse_three(part + 5, p->mean))
    return BRAID_OK;
  else if (strncmp(part, "std=", 4) == 0 && parse_three(part + 4, p->std) && p->std[0] * p->std[1] * p->std[2] != 0)
    return BRAID_OK;
  else
    return braid_fail(BRAID_EINVAL,
                      "preprocessing '%s' is neither a preset (%s) nor mean=, std=, bgr, grey, resize, crop", part,
                      io_preprocess_names());
  return BRAID_OK;
}

enum braid_status io_preprocess_parse(const char *spec, struct io_preprocess *out) {
  const struct io_preprocess *whole = find(spec);
  if (whole) {
    *out = *whole;
    return BRAID_OK;
  }
  struct io_preprocess p = {.std = {1, 1, 1}};
  char part[128];
  for (const char *at = spec;; at++) {
    size_t n = strcspn(at, ":");
    if (n >= sizeof part) return braid_fail(BRAID_EINVAL, "preprocessing '%s' is too long", spec);
    memcpy(part, at, n);
    part[n] = '\0';
    BRAID_TRY(parse_part(part, &p));
    at += n;
    if (*at == '\0') break;
  }
  snprintf(p.name, sizeof p.name, "custom");
  *out = p;
  return BRAID_OK;
}

void io_preprocess_guess(const char *input, enum braid_dtype dtype, const struct braid_shape *s,
                         struct io_preprocess *out) {
  int channels = s->rank == 4 ? s->dim[1] : 0, h = s->rank == 4 ? s->dim[2] : 0, w = s->rank == 4 ? s->dim[3] : 0;
  const char *name = "imagenet";
  bool crop = h == w && (h == 224 || h == 299);
  if (channels == 1)
    name = "grey";
  else if (dtype == BRAID_U8)
    name = crop ? "crop" : "raw";
  else if (strcmp(input, "data") == 0 || strcmp(input, "data_0") == 0)
    name = "caffe";
  else if (h == 32 && w == 32)
    name = "cifar10";
  *out = *find(name);
  if (out->crop && !crop) {
    out->crop = false;
    snprintf(out->name, sizeof out->name, "%s:resize", name);
  }
}

/* -------------------------------------------------------------------------------------------- applying */

static int scaled(int side, int to, int from) {
  return (int)lround((double)side * to / from);
}

/* Short side to round(S*256/224), the rest in proportion; then the centre. */
static enum braid_status fit_crop(const struct io_image *image, int height, int width, struct io_image *out) {
  int target = height < width ? height : width;
  int side = (int)lround(target * 256.0 / 224.0);
  bool wide = image->width > image->height;
  int w = wide ? scaled(image->width, side, image->height) : side;
  int h = wide ? side : scaled(image->height, side, image->width);
  if (w < width || h < height) return io_image_resize(image, width, height, out); /* a target that is not square */
  struct io_image resized;
  BRAID_TRY(io_image_resize(image, w, h, &resized));
  /* halves go to the even side, as Python's round() in torchvision's CenterCrop */
  int left = (int)nearbyint((w - width) / 2.0), top = (int)nearbyint((h - height) / 2.0);
  enum braid_status status = io_image_crop(&resized, left, top, width, height, out);
  io_image_free(&resized);
  return status;
}

/* ITU-R 601 luma */
static float luma(const uint8_t *p) {
  return floorf(0.299f * (float)p[0] + 0.587f * (float)p[1] + 0.114f * (float)p[2] + 0.5f);
}

static float level(const struct io_preprocess *how, const uint8_t *pixel, int channel, int channels) {
  float v = channels == 1 || how->grey ? luma(pixel) : (float)pixel[how->bgr ? 2 - channel : channel];
  return (v - how->mean[channel]) / how->std[channel];
}

static void store(const struct io_preprocess *how, const struct io_image *image, const struct braid_tensor *out,
                  int n) {
  int channels = out->shape.dim[1];
  size_t plane = (size_t)image->width * (size_t)image->height, base = (size_t)n * (size_t)channels * plane;
  for (int c = 0; c < channels; c++)
    for (size_t i = 0; i < plane; i++) {
      float v = level(how, image->rgb + 3 * i, c, channels);
      size_t at = base + (size_t)c * plane + i;
      if (out->dtype == BRAID_F32)
        ((float *)out->data)[at] = v;
      else
        ((uint8_t *)out->data)[at] = (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : lrintf(v));
    }
}

enum braid_status io_preprocess_image(const struct io_preprocess *how, const struct io_image *image,
                                      const struct braid_tensor *out, int n) {
  const struct braid_shape *s = &out->shape;
  char text[64];
  if (s->rank != 4 || (s->dim[1] != 1 && s->dim[1] != 3) || n < 0 || n >= s->dim[0])
    return braid_fail(BRAID_ESHAPE, "a picture does not fit an input of shape %s",
                      braid_shape_text(s, text, sizeof text));
  if (out->dtype != BRAID_F32 && out->dtype != BRAID_U8)
    return braid_fail(BRAID_EUNSUPPORTED, "a picture does not fit an input of type %s", braid_dtype_name(out->dtype));
  struct io_image fitted;
  BRAID_TRY(how->crop ? fit_crop(image, s->dim[2], s->dim[3], &fitted)
                      : io_image_resize(image, s->dim[3], s->dim[2], &fitted));
  store(how, &fitted, out, n);
  io_image_free(&fitted);
  return BRAID_OK;
}
