/* SPDX-License-Identifier: Apache-2.0
 * The order of the passes. */
#include "passes/passes.h"

const struct graph_pass graph_passes[] = {
    {0, NULL},
};
const int n_graph_passes = 0;
