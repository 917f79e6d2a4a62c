/* SPDX-License-Identifier: Apache-2.0
 *
 * Building the message that braid_onnx_save writes. Everything is cut from one arena and points into the graph where it
 * can (weights above all). Errors are sticky: after the first, calls do nothing and onnx_writer.status says why, so
 * that the operators read as plain lists of what they are in ONNX.
 */
#ifndef BRAID_ONNX_WRITER_H
#define BRAID_ONNX_WRITER_H

#include "graph.h"
#include "onnx.pb-c.h"
#include "onnx_internal.h"

#define ONNX_SAVE_OPSET 13 /* unless an operator needs a newer one */
#define ONNX_SAVE_IR 7

struct onnx_list {
  void **item;
  int n, capacity;
};

struct onnx_writer {
  const struct braid_graph *graph;
  struct arena arena;
  struct onnx_list nodes, initializers;
  bool *written; /* constants that are initializers already */
  enum braid_status status;
  int opset; /* of the file */
};

void *onnx_take(struct onnx_writer *w, size_t bytes); /* zeroed; NULL after an error */
char *onnx_take_text(struct onnx_writer *w, const char *text);
/* A name for a tensor that the graph does not have: "base#what". */
const char *onnx_invent(struct onnx_writer *w, const char *base, const char *what);

/* A node with one output; `in` names its operands ("" for absent ones). NULL after an error, which the rest accept. */
Onnx__NodeProto *onnx_put(struct onnx_writer *w, const char *op_type, const char *const *in, int n_in, const char *out);
/* Its outputs, where they are two. */
void onnx_put_outputs(struct onnx_writer *w, Onnx__NodeProto *node, const char *first, const char *second);
void onnx_put_int(struct onnx_writer *w, Onnx__NodeProto *node, const char *name, int64_t value);
void onnx_put_float(struct onnx_writer *w, Onnx__NodeProto *node, const char *name, float value);
void onnx_put_ints(struct onnx_writer *w, Onnx__NodeProto *node, const char *name, const int *values, int n);
void onnx_put_text(struct onnx_writer *w, Onnx__NodeProto *node, const char *name, const char *value);

/* An initializer; borrows the data. Returns its name. */
const char *onnx_put_tensor(struct onnx_writer *w, const char *name, const struct braid_tensor *tensor);
/* Initializers of our own making, named "base#what". rank 0 (n is 1 then) or 1. */
const char *onnx_put_i64s(struct onnx_writer *w, const char *base, const char *what, const int64_t *values, int n);
const char *onnx_put_f32s(struct onnx_writer *w, const char *base, const char *what, const float *values, int n);
/* One number of the given type, as a scalar. */
const char *onnx_put_scalar(struct onnx_writer *w, const char *base, const char *what, enum braid_dtype dtype,
                            double value);

/* Name of an operand; puts constants among the initializers the first time. */
const char *onnx_operand_name(struct onnx_writer *w, int operand);

/* The oldest opset in which the node can be said as we say it. */
int onnx_opset_of(const struct braid_node *node);
/* One graph node as the ONNX nodes it stands for. */
void onnx_export_node(struct onnx_writer *w, const struct braid_node *node);

/* Weights of more than this become external data. */
#define ONNX_EXTERNAL_BYTES ((size_t)1900 * 1000 * 1000)
BRAID_NODISCARD enum braid_status onnx_save(const struct braid_graph *graph, const char *path, size_t external_bytes);

/* onnx_write.c: packs the message into a file, and the raw data of the n tensors (which have external data entries for
 * it) into another. Both appear only when both are complete. */
BRAID_NODISCARD enum braid_status onnx_write(const Onnx__ModelProto *model, const char *path,
                                             Onnx__TensorProto *const *tensor, int n, const char *data_path);
/* Where the next tensor begins in the data file. */
static inline uint64_t onnx_next_offset(uint64_t end) {
  return (end + 63) / 64 * 64;
}

#endif
