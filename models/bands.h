/* SPDX-License-Identifier: Apache-2.0
 * Which operators can be computed in bands of rows. */
#ifndef MODELS_BANDS_H
#define MODELS_BANDS_H

#include "graph.h"

/* Is element i of the output made of the elements at i of the (broadcast) operands alone? */
bool op_is_elementwise(enum braid_op op);
/* Rows of the node's tensor if it can be computed in bands of them, else 1. */
int bands_max(const struct braid_node *node);

#endif
