/* SPDX-License-Identifier: Apache-2.0
 *
 * Files in and out: .npy arrays, JPEG and PNG pictures, and how a picture becomes the tensor that a network expects.
 * Private to the runtime's programs and the tests. Everything here reads untrusted files: sizes are bounded before any
 * allocation, messages name the file and what is wrong with it.
 */
#ifndef BRAID_IO_H
#define BRAID_IO_H

#include "braid/base.h"

/* ------------------------------------------------------------------------------------------------ files */

/* A whole file in memory, freed by braid_free; "-" is standard input. Files above max_bytes are refused. */
BRAID_NODISCARD enum braid_status io_read_file(const char *path, size_t max_bytes, uint8_t **data, size_t *size);
BRAID_NODISCARD enum braid_status io_write_file(const char *path, const void *data, size_t size);

/* ------------------------------------------------------------------------------------------------- .npy
 * NumPy's array format, versions 1 and 2, little-endian, C order. `out->data` is freed by braid_free. */
BRAID_NODISCARD enum braid_status io_npy_parse(const uint8_t *data, size_t size, struct braid_tensor *out);
BRAID_NODISCARD enum braid_status io_npy_read(const char *path, struct braid_tensor *out);
BRAID_NODISCARD enum braid_status io_npy_write(const char *path, const struct braid_tensor *tensor);
bool io_npy_is(const uint8_t *data, size_t size); /* starts like one */

/* -------------------------------------------------------------------------------------------- pictures */

/* Rows of RGB bytes, top first: pixel (y,x) channel c is rgb[(y*width + x)*3 + c]. */
struct io_image {
  int width, height;
  uint8_t *rgb;
};
BRAID_NODISCARD enum braid_status io_image_parse(const uint8_t *data, size_t size, struct io_image *out);
void io_image_free(struct io_image *image);
/* Is the name that of a picture we read? By ending, any case. */
bool io_image_name(const char *path);

/* Bilinear with antialiasing (a triangle filter as wide as the shrinking factor), 8 bits between the passes, horizontal
 * first: what Pillow's resize gives, to one level. */
BRAID_NODISCARD enum braid_status io_image_resize(const struct io_image *image, int width, int height,
                                                  struct io_image *out);
BRAID_NODISCARD enum braid_status io_image_crop(const struct io_image *image, int left, int top, int width, int height,
                                                struct io_image *out);

/* ---------------------------------------------------------------------------------------- preprocessing */

struct io_preprocess {
  char name[24];
  bool crop; /* short side to 256/224 of the target, then the centre; else both sides straight to the target */
  bool bgr, grey;
  float mean[3], std[3]; /* in the order of the tensor's channels: (x - mean) / std */
};
/* A preset ("imagenet", "caffe", ...) or "mean=a[,b,c]:std=a[,b,c]:bgr:grey:resize|crop", any part of which may be
 * missing. BRAID_EINVAL names what is unknown. */
BRAID_NODISCARD enum braid_status io_preprocess_parse(const char *spec, struct io_preprocess *out);
/* What a network with such an input most likely expects. */
void io_preprocess_guess(const char *input, enum braid_dtype dtype, const struct braid_shape *shape,
                         struct io_preprocess *out);
/* "imagenet, caffe, ..." for help texts. */
const char *io_preprocess_names(void);

/* Fills image `n` of a [N,C,H,W] tensor (uint8 or float32, C 1 or 3). */
BRAID_NODISCARD enum braid_status io_preprocess_image(const struct io_preprocess *how, const struct io_image *image,
                                                      const struct braid_tensor *out, int n);

#endif
