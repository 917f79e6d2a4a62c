/* SPDX-License-Identifier: Apache-2.0
 * Any bytes as a TensorProto alone, as the .pb files of ONNX's test data are: what is read has a shape whose bytes are
 * all there (ASan looks), and stays within some multiple of the file. */
#include "fuzz.h"

#include "braid/models.h"

#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct braid_tensor tensor;
  size_t bytes;
  volatile uint8_t sum = 0;
  if (braid_onnx_read_tensor(data, size, &tensor) != BRAID_OK) return 0;
  if (braid_shape_bytes(&tensor.shape, tensor.dtype, &bytes) != BRAID_OK || bytes > 8 * size) {
    fprintf(stderr, "a tensor of %zu bytes from a file of %zu\n", bytes, size);
    abort();
  }
  for (size_t i = 0; i < bytes; i++) sum = (uint8_t)(sum + ((const uint8_t *)tensor.data)[i]);
  braid_free(tensor.data);
  return 0;
}
