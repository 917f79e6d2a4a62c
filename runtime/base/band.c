/* SPDX-License-Identifier: Apache-2.0
 * Rows and bands: a tensor seen as [outer][rows][inner] along its slice axis. */
#include "braid/base.h"

#include <assert.h>
#include <string.h>

int braid_slice_axis(const struct braid_shape *shape) {
  switch (shape->rank) {
  case 0: return -1;
  case 1: return 0;
  case 2:
  case 3: return 1;
  default: return 2;
  }
}

int braid_slice_rows(const struct braid_shape *shape) {
  int axis = braid_slice_axis(shape);
  return axis < 0 ? 1 : shape->dim[axis];
}

struct rows {
  size_t outer, rows, inner_bytes;
};

static struct rows rows_of(const struct braid_shape *shape, enum braid_dtype dtype) {
  struct rows r = {1, (size_t)braid_slice_rows(shape), braid_dtype_bytes(dtype)};
  int axis = braid_slice_axis(shape);
  for (int i = 0; i < axis; i++) r.outer *= (size_t)shape->dim[i];
  for (int i = axis + 1; i < shape->rank; i++) r.inner_bytes *= (size_t)shape->dim[i];
  return r;
}

size_t braid_band_bytes(const struct braid_shape *shape, enum braid_dtype dtype, struct braid_band band) {
  struct rows r = rows_of(shape, dtype);
  return r.outer * (size_t)(band.end - band.begin) * r.inner_bytes;
}

void braid_band_pack(const struct braid_tensor *tensor, struct braid_band band, void *dst) {
  struct rows r = rows_of(&tensor->shape, tensor->dtype);
  assert(band.begin >= 0 && band.begin <= band.end && (size_t)band.end <= r.rows);
  size_t bytes = (size_t)(band.end - band.begin) * r.inner_bytes;
  const char *src = (const char *)tensor->data + (size_t)band.begin * r.inner_bytes;
  for (size_t o = 0; o < r.outer; o++) memcpy((char *)dst + o * bytes, src + o * r.rows * r.inner_bytes, bytes);
}

void braid_band_unpack(const struct braid_tensor *tensor, struct braid_band band, const void *src) {
  struct rows r = rows_of(&tensor->shape, tensor->dtype);
  assert(band.begin >= 0 && band.begin <= band.end && (size_t)band.end <= r.rows);
  size_t bytes = (size_t)(band.end - band.begin) * r.inner_bytes;
  char *dst = (char *)tensor->data + (size_t)band.begin * r.inner_bytes;
  for (size_t o = 0; o < r.outer; o++) memcpy(dst + o * r.rows * r.inner_bytes, (const char *)src + o * bytes, bytes);
}

struct braid_band braid_slice_band(int rows, int n, int i) {
  assert(n >= 1 && i >= 0 && i < n);
  int base = rows / n, extra = rows % n;
  int begin = i * base + (i < extra ? i : extra);
  return (struct braid_band){begin, begin + base + (i < extra ? 1 : 0)};
}
