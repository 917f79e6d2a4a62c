/* SPDX-License-Identifier: Apache-2.0
 * The networks of BRAID_TEST_DATA/topo without their stored weights: a temporary folder that holds a copy of NAME.onnx
 * and a NAME.bin made by the rule in topo/README.txt. */
#ifndef TESTS_SUPPORT_TOPO_WEIGHTS_H
#define TESTS_SUPPORT_TOPO_WEIGHTS_H

#include <stdbool.h>
#include <stddef.h>

struct topo_model {
  char dir[256];  /* temporary */
  char path[512]; /* of the .onnx in it */
};

/* `weights` false: NAME.bin is a hole of the right length (all zero, no disk space), enough where only the structure
 * matters. Prints why and returns false when the test data is not there or the disk is full. */
bool topo_model_make(const char *name, bool weights, struct topo_model *out);
void topo_model_remove(struct topo_model *model);

#endif
