/* SPDX-License-Identifier: Apache-2.0
 * Makes the seed corpus of fuzz_onnx: small nets that between them reach every converter, in old and new opsets. */
#include "onnx_make.h"

#include <stdio.h>

#define DIMS(...)                                                                                                      \
  (int64_t[]) {                                                                                                        \
    __VA_ARGS__                                                                                                        \
  }

static const char *folder;

static struct maker *net(int opset) {
  struct maker *m = maker_new(opset);
  maker_input(m, "x", 4, DIMS(0, 2, 4, 4));
  maker_output(m, "y");
  return m;
}

static void save(struct maker *m, const char *name) {
  char path[512];
  size_t size;
  uint8_t *bytes = maker_bytes(m, &size);
  snprintf(path, sizeof path, "%s/%s.onnx", folder, name);
  FILE *file = fopen(path, "wb");
  if (!file || fwrite(bytes, 1, size, file) != size || fclose(file) != 0) {
    fprintf(stderr, "cannot write %s\n", path);
    exit(1);
  }
  free(bytes);
  maker_free(m);
}

static void convs(void) {
  float f[72] = {0.5f, -1, 2};
  struct maker *m = net(11);
  maker_weights(m, "w", BRAID_F32, 4, DIMS(4, 2, 3, 3), f, 4 * 72);
  maker_weights(m, "b", BRAID_F32, 1, DIMS(4), f, 16);
  maker_weights(m, "t", BRAID_F32, 4, DIMS(4, 1, 2, 2), f, 64);
  onnx_put_text(&m->w, maker_node(m, "Conv", "x,w,b", "c"), "auto_pad", "SAME_UPPER");
  onnx_put_float(&m->w, maker_node(m, "BatchNormalization", "c,b,b,b,b", "n"), "epsilon", 1e-3f);
  maker_node(m, "Relu", "n", "r");
  onnx_put_int(&m->w, maker_node(m, "LRN", "r", "l"), "size", 3);
  Onnx__NodeProto *t = maker_node(m, "ConvTranspose", "l,t", "u");
  onnx_put_ints(&m->w, t, "strides", (int[]){2, 2}, 2);
  onnx_put_int(&m->w, t, "group", 4);
  onnx_put_ints(&m->w, t, "output_shape", (int[]){7, 8}, 2);
  Onnx__NodeProto *p = maker_node(m, "AveragePool", "u", "p");
  onnx_put_ints(&m->w, p, "kernel_shape", (int[]){2, 2}, 2);
  onnx_put_ints(&m->w, p, "pads", (int[]){0, 1, 1, 0}, 4);
  onnx_put_int(&m->w, p, "ceil_mode", 1);
  maker_node(m, "GlobalAveragePool", "p", "y");
  save(m, "conv");
}

static void one_dim(void) {
  float f[12] = {1};
  struct maker *m = maker_new(9);
  maker_input(m, "x", 3, DIMS(1, 2, 8));
  maker_output(m, "y");
  maker_weights(m, "w", BRAID_F32, 3, DIMS(2, 2, 3), f, 48);
  onnx_put_ints(&m->w, maker_node(m, "Conv", "x,w", "c"), "pads", (int[]){1, 1}, 2);
  onnx_put_ints(&m->w, maker_node(m, "MaxPool", "c", "p"), "kernel_shape", (int[]){2}, 1);
  maker_node(m, "GlobalMaxPool", "p", "g");
  onnx_put_ints(&m->w, maker_node(m, "Squeeze", "g", "s"), "axes", (int[]){2}, 1);
  maker_node(m, "Softmax", "s", "y");
  save(m, "one_dim");
}

static void dense(void) {
  float f[32 * 3] = {0.25f};
  struct maker *m = net(13);
  maker_weights(m, "w", BRAID_F32, 2, DIMS(32, 3), f, sizeof f);
  maker_weights(m, "v", BRAID_F32, 2, DIMS(3, 3), f, 36);
  maker_weights(m, "k", BRAID_F32, 0, NULL, f, 4);
  maker_node(m, "Flatten", "x", "a");
  onnx_put_float(&m->w, maker_node(m, "Gemm", "a,w", "b"), "alpha", 2);
  maker_node(m, "MatMul", "b,v", "c");
  maker_node(m, "Clip", "c,,k", "d");
  maker_node(m, "PRelu", "d,k", "e");
  maker_node(m, "Pow", "e,k", "f");
  maker_node(m, "Mean", "f,e,d", "g");
  onnx_put_int(&m->w, maker_node(m, "LogSoftmax", "g", "h"), "axis", -1);
  onnx_put_int(&m->w, maker_node(m, "ReduceSum", "h", "i"), "keepdims", 0);
  maker_node(m, "Neg", "i", "y");
  save(m, "dense");
}

/* Reshape to what Shape, Gather, Concat and arithmetic make of it, as exporters write it. */
static void shape_arithmetic(void) {
  struct maker *m = net(11);
  maker_i64s(m, "zero", 1, DIMS(0));
  maker_i64s(m, "two", 1, DIMS(2));
  maker_i64s(m, "minus", 1, DIMS(-1));
  maker_node(m, "Shape", "x", "s");
  maker_node(m, "Gather", "s,zero", "n");
  maker_node(m, "Slice", "s,two,minus", "h");
  maker_node(m, "Mul", "h,two", "d");
  onnx_put_int(&m->w, maker_node(m, "Concat", "n,d,minus", "shape"), "axis", 0);
  maker_node(m, "Reshape", "x,shape", "r");
  onnx_put_int(&m->w, maker_node(m, "Cast", "two", "f"), "to", onnx_data_type(BRAID_F32));
  maker_node(m, "ConstantOfShape", "two", "zeros");
  onnx_put_ints(&m->w, maker_node(m, "Constant", "", "list"), "value_ints", (int[]){3, 2}, 2);
  maker_node(m, "Expand", "zeros,list", "e");
  onnx_put_ints(&m->w, maker_node(m, "Unsqueeze", "f", "g"), "axes", (int[]){0}, 1);
  maker_node(m, "Sum", "r,g", "y");
  save(m, "shape_arithmetic");
}

static void layout(void) {
  struct maker *m = net(13);
  maker_i64s(m, "starts", 2, DIMS(-1, 0));
  maker_i64s(m, "ends", 2, DIMS(-9, 3));
  maker_i64s(m, "axes", 2, DIMS(2, 3));
  maker_i64s(m, "steps", 2, DIMS(-1, 2));
  maker_i64s(m, "pads", 8, DIMS(0, 0, 1, -1, 0, 0, 1, 0));
  maker_i64s(m, "reps", 4, DIMS(1, 2, 1, 3));
  maker_i64s(m, "half", 2, DIMS(1, 3));
  onnx_put_ints(&m->w, maker_node(m, "Transpose", "x", "a"), "perm", (int[]){0, 1, 3, 2}, 4);
  maker_node(m, "Slice", "a,starts,ends,axes,steps", "b");
  onnx_put_text(&m->w, maker_node(m, "Pad", "b,pads", "c"), "mode", "edge");
  maker_node(m, "Tile", "c,reps", "d");
  Onnx__NodeProto *split = maker_node(m, "Split", "d,half", "e");
  onnx_put_int(&m->w, split, "axis", 1);
  maker_second_output(m, split, "f");
  maker_node(m, "Dropout", "f", "g");
  onnx_put_int(&m->w, maker_node(m, "ArgMax", "g", "y"), "axis", 1);
  save(m, "layout");
}

static void layout_of_old(void) {
  struct maker *m = net(9);
  Onnx__NodeProto *slice = maker_node(m, "Slice", "x", "a");
  onnx_put_ints(&m->w, slice, "starts", (int[]){1}, 1);
  onnx_put_ints(&m->w, slice, "ends", (int[]){1000}, 1);
  onnx_put_ints(&m->w, slice, "axes", (int[]){1}, 1);
  Onnx__NodeProto *pad = maker_node(m, "Pad", "a", "b");
  onnx_put_ints(&m->w, pad, "pads", (int[]){0, 0, 1, 1, 0, 0, 1, 1}, 8);
  onnx_put_text(&m->w, pad, "mode", "reflect");
  onnx_put_float(&m->w, maker_node(m, "Clip", "b", "c"), "max", 6);
  maker_weights(m, "scales", BRAID_F32, 1, DIMS(4), (float[]){1, 1, 2, 2}, 16);
  maker_node(m, "Upsample", "c,scales", "d");
  Onnx__NodeProto *split = maker_node(m, "Split", "d", "e");
  onnx_put_int(&m->w, split, "axis", 3);
  maker_second_output(m, split, "f");
  onnx_put_int(&m->w, maker_node(m, "Concat", "e,f,f", "g"), "axis", -1);
  onnx_put_ints(&m->w, maker_node(m, "ReduceMean", "g", "y"), "axes", (int[]){2, 3}, 2);
  save(m, "layout_of_old");
}

static void resizes(void) {
  struct maker *m = net(13);
  maker_weights(m, "scales", BRAID_F32, 1, DIMS(4), (float[]){1, 1, 1.5f, 0.5f}, 16);
  maker_weights(m, "roi", BRAID_F32, 1, DIMS(8), (float[]){0, 0, 0.1f, 0.2f, 1, 1, 0.9f, 1}, 32);
  maker_i64s(m, "sizes", 4, DIMS(1, 2, 7, 5));
  onnx_put_text(&m->w, maker_node(m, "Resize", "x,,scales", "a"), "mode", "cubic");
  onnx_put_text(&m->w, maker_node(m, "Resize", "a,,,sizes", "b"), "mode", "linear");
  onnx_put_text(&m->w, maker_node(m, "Resize", "b,roi,scales", "y"), "coordinate_transformation_mode",
                "tf_crop_and_resize");
  save(m, "resize");
}

static void typed_and_external(void) {
  struct maker *m = net(13);
  Onnx__TensorProto *t = maker_weights(m, "h", BRAID_F16, 1, DIMS(4), NULL, 0);
  t->n_int32_data = 4;
  t->int32_data = (int32_t[]){0x3c00, 0, 0x4000, 1};
  onnx_put_int(&m->w, maker_node(m, "Cast", "h", "f"), "to", onnx_data_type(BRAID_F32));
  maker_node(m, "Add", "x,f", "y");
  save(m, "typed");
  m = net(13);
  t = maker_weights(m, "w", BRAID_F32, 1, DIMS(4), NULL, 0);
  t->has_data_location = 1;
  t->data_location = ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL;
  maker_node(m, "Add", "x,w", "y");
  save(m, "external");
}

int main(int argc, char **argv) {
  if (argc != 2) {
    fprintf(stderr, "usage: make_onnx_corpus FOLDER\n");
    return 2;
  }
  folder = argv[1];
  convs();
  one_dim();
  dense();
  shape_arithmetic();
  layout();
  layout_of_old();
  resizes();
  typed_and_external();
  return 0;
}
