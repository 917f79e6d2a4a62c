/* SPDX-License-Identifier: Apache-2.0
 * One element of any type, read as a double or as 64-bit integers, and written back. */
#ifndef KERNELS_SCALAR_H
#define KERNELS_SCALAR_H

#include "braid/base.h"

/* Floats travel as doubles, integers as themselves: no 64-bit integer loses digits on its way. */
struct scalar {
  enum { SCALAR_FLOAT, SCALAR_SIGNED, SCALAR_UNSIGNED } kind;
  double f;
  int64_t i;
  uint64_t u;
};

struct scalar scalar_load(enum braid_dtype dtype, const void *data, size_t index);
/* Floats become integers by truncation, and by saturation where they do not fit (NaN: 0); integers wrap; anything but
 * zero is true; narrower floats are rounded to nearest, ties to even. */
void scalar_store(enum braid_dtype dtype, void *data, size_t index, struct scalar value);
double scalar_double(struct scalar value);

#endif
