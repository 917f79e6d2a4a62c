/* SPDX-License-Identifier: Apache-2.0
 * npy_compare WANT GOT TOLERANCE: are two float32 arrays the same to TOLERANCE times the largest absolute value of the
 * first? 0 asks for the same bits. */
#include "io.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int compare(const struct braid_tensor *a, const struct braid_tensor *b, double tolerance) {
  size_t bytes;
  if (a->dtype != b->dtype || !braid_shape_equal(&a->shape, &b->shape)) return puts("other type or shape"), 1;
  if (braid_shape_bytes(&a->shape, a->dtype, &bytes) != BRAID_OK) return 1;
  if (memcmp(a->data, b->data, bytes) == 0) return 0;
  if (tolerance == 0 || a->dtype != BRAID_F32) return puts("other bits"), 1;
  const float *x = a->data, *y = b->data;
  double scale = 0, worst = 0;
  for (size_t i = 0; i < bytes / 4; i++) {
    scale = fmax(scale, fabs((double)x[i]));
    double d = fabs((double)x[i] - (double)y[i]);
    if (!(d <= worst)) worst = d;
  }
  if (worst <= tolerance * scale) return 0;
  printf("largest difference %g of %g\n", worst, scale);
  return 1;
}

int main(int argc, char **argv) {
  struct braid_tensor a, b;
  if (argc != 4) return 2;
  if (io_npy_read(argv[1], &a) != BRAID_OK || io_npy_read(argv[2], &b) != BRAID_OK) {
    fprintf(stderr, "%s\n", braid_error());
    return 2;
  }
  int differ = compare(&a, &b, atof(argv[3]));
  braid_free(a.data);
  braid_free(b.data);
  return differ;
}
