/* SPDX-License-Identifier: Apache-2.0
 * Pictures: whatever is decoded has all its pixels, and becomes the tensor of a network by either way of resizing. */
#include "fuzz.h"
#include "io.h"

enum { SIDE = 12, PIXELS_MAX = 1 << 16 }; /* resizing is slow under sanitizers */

static void to_tensor(const struct io_image *image, bool crop) {
  static float data[3 * SIDE * SIDE];
  struct braid_tensor out = {data, BRAID_F32, braid_shape_of(4, (int[]){1, 3, SIDE, SIDE})};
  struct io_preprocess how;
  if (io_preprocess_parse("imagenet", &how) != BRAID_OK) __builtin_trap();
  how.crop = crop;
  if (io_preprocess_image(&how, image, &out, 0) != BRAID_OK) return; /* a crop may leave a picture that is too thin */
  for (int i = 0; i < 3 * SIDE * SIDE; i++)
    if (!(data[i] > -10 && data[i] < 10)) __builtin_trap();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct io_image image;
  if (io_image_parse(data, size, &image) != BRAID_OK) return 0;
  if (image.width < 1 || image.height < 1) __builtin_trap();
  volatile uint8_t sum = 0;
  size_t bytes = (size_t)image.width * (size_t)image.height * 3;
  for (size_t i = 0; i < bytes; i++) sum = (uint8_t)(sum + image.rgb[i]);
  if (bytes <= PIXELS_MAX) {
    to_tensor(&image, false);
    to_tensor(&image, true);
  }
  io_image_free(&image);
  return 0;
}
