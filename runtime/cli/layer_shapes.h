/* SPDX-License-Identifier: Apache-2.0
 *
 * Shapes of layers as text, one a line, for `braid bench kernels` (bench/shapes/README.md has the format):
 *
 *   conv name=res2a.relu in=64x56x56 out=64 kernel=3x3 stride=1x1 pad=1,1,1,1 group=1 act=Relu count=3
 *   gemm name=fc m=1 n=1000 k=2048 trans_b=1
 */
#ifndef BRAID_CLI_LAYER_SHAPES_H
#define BRAID_CLI_LAYER_SHAPES_H

#include "cli.h"

#define LAYER_LINE_BYTES 512

struct layer_shape {
  char name[96];
  enum braid_op op;                                                        /* CONV or GEMM */
  int count;                                                               /* how often the network has it */
  int batch, in[3], out, kernel[2], stride[2], dilation[2], pad[4], group; /* convolutions; in is [C,H,W] */
  int m, n, k, trans_a, trans_b;                                           /* dense layers */
  int bias, residual;                                                      /* 1: has one */
  struct braid_act act;
};

struct layer_shapes {
  int n;
  struct layer_shape *layer;
};
/* BRAID_EFORMAT names the file, the line and what is wrong there. */
BRAID_NODISCARD enum braid_status layer_shapes_read(const char *path, struct layer_shapes *out);
/* The convolutions and dense layers of a graph, equal ones once, with their count, in the graph's order. */
BRAID_NODISCARD enum braid_status layer_shapes_of(const struct braid_graph *graph, struct layer_shapes *out);
void layer_shapes_free(struct layer_shapes *shapes);

/* The line that layer_shapes_read reads it from. */
const char *layer_shape_text(const struct layer_shape *layer, char buf[LAYER_LINE_BYTES]);
/* Its output, [N,C,H,W] or [M,N]; extents below 1 where the window does not fit into the input. */
struct braid_shape layer_shape_out(const struct layer_shape *layer);
/* The matrix product that it amounts to: `groups` times [m,k] by [k,n] for each image. */
struct layer_product {
  int m, n, k, groups;
};
struct layer_product layer_shape_product(const struct layer_shape *layer);
double layer_shape_macs(const struct layer_shape *layer);

#endif
