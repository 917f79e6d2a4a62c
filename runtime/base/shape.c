/* SPDX-License-Identifier: Apache-2.0
 * Types and shapes. */
#include "braid/base.h"

#include <stdio.h>
#include <string.h>

size_t braid_dtype_bytes(enum braid_dtype dtype) {
  static const size_t bytes[] = {
#define X(name, text, size) size,
      BRAID_DTYPES(X)
#undef X
  };
  return (size_t)dtype < BRAID_DTYPE_COUNT ? bytes[dtype] : 0;
}

const char *braid_dtype_name(enum braid_dtype dtype) {
  static const char *const name[] = {
#define X(id, text, size) text,
      BRAID_DTYPES(X)
#undef X
  };
  return (size_t)dtype < BRAID_DTYPE_COUNT ? name[dtype] : "unknown type";
}

struct braid_shape braid_shape_of(int rank, const int *dim) {
  struct braid_shape shape = {.rank = rank};
  for (int i = 0; i < rank && i < BRAID_MAX_RANK; i++) shape.dim[i] = dim[i];
  return shape;
}

bool braid_shape_equal(const struct braid_shape *a, const struct braid_shape *b) {
  if (a->rank != b->rank) return false;
  for (int i = 0; i < a->rank; i++)
    if (a->dim[i] != b->dim[i]) return false;
  return true;
}

int64_t braid_shape_elements(const struct braid_shape *shape) {
  if (shape->rank < 0 || shape->rank > BRAID_MAX_RANK) return -1;
  int64_t n = 1;
  for (int i = 0; i < shape->rank; i++)
    if (shape->dim[i] < 0 || __builtin_mul_overflow(n, (int64_t)shape->dim[i], &n)) return -1;
  return n;
}

enum braid_status braid_shape_bytes(const struct braid_shape *shape, enum braid_dtype dtype, size_t *bytes) {
  int64_t n = braid_shape_elements(shape);
  if (n < 0 || !braid_mul_size((size_t)n, braid_dtype_bytes(dtype), bytes)) {
    char text[96];
    return braid_fail(BRAID_ESHAPE, "shape %s is not possible", braid_shape_text(shape, text, sizeof text));
  }
  return BRAID_OK;
}

char *braid_shape_text(const struct braid_shape *shape, char *buf, size_t size) {
  if (shape->rank == 0) {
    snprintf(buf, size, "scalar");
    return buf;
  }
  size_t at = 0;
  if (size > 0) buf[0] = '\0';
  for (int i = 0; i < shape->rank && i < BRAID_MAX_RANK && at < size; i++) {
    int n = snprintf(buf + at, size - at, i ? "x%d" : "%d", shape->dim[i]);
    if (n < 0) break;
    at += (size_t)n;
  }
  return buf;
}
