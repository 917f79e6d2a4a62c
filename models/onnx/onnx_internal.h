/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of models/onnx share. Three things live here:
 *   onnx_source  everything an imported graph borrows from: the unpacked message, mapped external data, folded
 *                constants. The graph adopts it, so weights are never copied once more.
 *   onnx_import  one import under way: the values made so far by name, and the graph being built.
 *   onnx_node    one ONNX node as its converter sees it.
 *
 * Folding has one mechanism: converters always call onnx_emit; when every operand is a constant, the operator is
 * evaluated there and then and its result is a constant too. Converters never ask whether they are being folded.
 */
#ifndef BRAID_ONNX_INTERNAL_H
#define BRAID_ONNX_INTERNAL_H

#include "braid/models.h"
#include "onnx.pb-c.h"

#include <limits.h>

/* Kernel sizes, strides, pads: anything above is a broken file, and products of two stay inside int64. */
#define ONNX_ATTR_MAX (1 << 20)
/* Operands of one node after import (BRAID_MAX_OPERANDS of the kernels): longer lists become trees. */
#define ONNX_OPERANDS_MAX 64
#define ONNX_OPSET_MIN 1
#define ONNX_OPSET_MAX 25

/* ------------------------------------------------------------------------------------------ source, files */

struct onnx_source;

/* `dir_fd`: where external data may be (taken over; -1: nowhere). */
BRAID_NODISCARD enum braid_status onnx_source_create(size_t max_bytes, int dir_fd, struct onnx_source **out);
void onnx_source_destroy(void *source);
/* Memory that lives as long as the source, 64-byte aligned, within its budget. */
BRAID_NODISCARD enum braid_status onnx_source_alloc(struct onnx_source *source, size_t bytes, void **out);
BRAID_NODISCARD enum braid_status onnx_source_unpack(struct onnx_source *source, const uint8_t *data, size_t size);
const Onnx__ModelProto *onnx_source_model(const struct onnx_source *source);
/* The same for a TensorProto alone: the source is its then, and has no model. */
BRAID_NODISCARD enum braid_status onnx_source_unpack_tensor(struct onnx_source *source, const uint8_t *data,
                                                            size_t size, const Onnx__TensorProto **out);
/* Bytes [offset, offset+length) of a file beside the model. */
BRAID_NODISCARD enum braid_status onnx_source_external(struct onnx_source *source, const char *location,
                                                       uint64_t offset, uint64_t length, void **out);
/* Opens `path`'s folder (not with one_file) and unpacks the file; refuses what is larger than max_bytes. */
BRAID_NODISCARD enum braid_status onnx_source_open(const char *path, const struct braid_onnx_opts *opts,
                                                   struct onnx_source **out);

/* --------------------------------------------------------------------------------------------- tensors */

BRAID_NODISCARD enum braid_status onnx_dtype(int32_t data_type, enum braid_dtype *out);
int32_t onnx_data_type(enum braid_dtype dtype);
/* A TensorProto as a tensor: its data points into the message or the mapped file where it can. */
BRAID_NODISCARD enum braid_status onnx_tensor_read(struct onnx_source *source, const Onnx__TensorProto *proto,
                                                   struct braid_tensor *out);

/* ---------------------------------------------------------------------------------------------- import */

struct onnx_value {
  const char *name;           /* borrowed from the message; NULL for intermediate ones */
  struct braid_tensor tensor; /* dtype and shape; data of constants (never NULL there) */
  bool constant;
  int operand;         /* BRAID_NONE: a constant that no node of the graph has used yet */
  const char *refused; /* an output that we do not make: why. NULL: a value like any other */
  struct onnx_value *next;
};

struct onnx_import {
  const struct braid_onnx_opts *opts;
  struct onnx_source *source; /* the graph's */
  struct braid_graph *graph;
  const Onnx__GraphProto *proto;
  int opset;
  struct onnx_value *values; /* all, to free them */
  struct onnx_value **table; /* by name; open addressing */
  size_t table_size, n_named;
  int n_made; /* names given to nameless values */
};

struct onnx_node {
  struct onnx_import *im;
  const Onnx__NodeProto *proto;
  const struct onnx_op *op;
  int opset;
};

struct onnx_op {
  const char *type;
  int since, until; /* opsets; until 0: the newest we know */
  int min_in, max_in;
  enum braid_op op; /* for converters that serve several operators */
  enum braid_status (*convert)(struct onnx_node *node);
};
/* NULL: not supported at this opset. */
const struct onnx_op *onnx_op_find(const char *domain, const char *type, int opset);

/* Values. */
struct onnx_value *onnx_find(const struct onnx_import *im, const char *name);
BRAID_NODISCARD enum braid_status onnx_value_new(struct onnx_import *im, struct onnx_value **out);
BRAID_NODISCARD enum braid_status onnx_value_name(struct onnx_import *im, const char *name, struct onnx_value *value);
/* A new constant value; borrows the tensor's data. */
BRAID_NODISCARD enum braid_status onnx_value_const(struct onnx_import *im, const struct braid_tensor *tensor,
                                                   struct onnx_value **out);
/* The value's operand code; adds a constant to the graph when it is first used. */
BRAID_NODISCARD enum braid_status onnx_operand(struct onnx_import *im, struct onnx_value *value, int *operand);
void onnx_values_free(struct onnx_import *im);

/* ------------------------------------------------------------------------------- what converters work with */

/* Operand k, NULL when absent. */
struct onnx_value *onnx_in(const struct onnx_node *node, int k);
int onnx_in_count(const struct onnx_node *node);                /* trailing absent ones not counted */
const char *onnx_out_name(const struct onnx_node *node, int k); /* NULL when not wanted */

/* Emits one operator (or folds it). `name` NULL: an intermediate value. `in` entries may be NULL (absent). */
BRAID_NODISCARD enum braid_status onnx_emit(struct onnx_node *node, enum braid_op op, const union braid_attrs *attrs,
                                            struct onnx_value *const *in, int n_in, const struct braid_shape *hint,
                                            const char *name, struct onnx_value **out);
/* The same for the node's output k, which gets its name. */
BRAID_NODISCARD enum braid_status onnx_emit_out(struct onnx_node *node, int k, enum braid_op op,
                                                const union braid_attrs *attrs, struct onnx_value *const *in, int n_in,
                                                const struct braid_shape *hint);
BRAID_NODISCARD enum braid_status onnx_reshape(struct onnx_node *node, struct onnx_value *in,
                                               const struct braid_shape *shape, struct onnx_value **out);
BRAID_NODISCARD enum braid_status onnx_reshape_out(struct onnx_node *node, int k, struct onnx_value *in,
                                                   const struct braid_shape *shape);
/* Output k is this constant; fresh memory of the given type and shape is what *data points to. */
BRAID_NODISCARD enum braid_status onnx_const_out(struct onnx_node *node, int k, const struct braid_tensor *tensor);
BRAID_NODISCARD enum braid_status onnx_const_new(struct onnx_node *node, enum braid_dtype dtype,
                                                 const struct braid_shape *shape, struct onnx_value **out);
/* The value as another type; itself where it has that. */
BRAID_NODISCARD enum braid_status onnx_cast_to(struct onnx_node *node, enum braid_dtype dtype,
                                               struct onnx_value **value);
/* Evaluates an operator whose operands are all constants. */
BRAID_NODISCARD enum braid_status onnx_fold(struct onnx_node *node, enum braid_op op, const union braid_attrs *attrs,
                                            struct onnx_value *const *in, int n_in, const struct braid_shape *hint,
                                            struct onnx_value **out);

/* Attributes. Absent ones give the fallback (lists: *values NULL, *n 0); those of another type fail. */
const Onnx__AttributeProto *onnx_attr(const struct onnx_node *node, const char *name);
BRAID_NODISCARD enum braid_status onnx_attr_i64(const struct onnx_node *node, const char *name, int64_t fallback,
                                                int64_t *out);
BRAID_NODISCARD enum braid_status onnx_attr_bool(const struct onnx_node *node, const char *name, bool fallback,
                                                 bool *out);
BRAID_NODISCARD enum braid_status onnx_attr_f32(const struct onnx_node *node, const char *name, float fallback,
                                                float *out);
BRAID_NODISCARD enum braid_status onnx_attr_ints(const struct onnx_node *node, const char *name, const int64_t **values,
                                                 int *n);
BRAID_NODISCARD enum braid_status onnx_attr_floats(const struct onnx_node *node, const char *name, const float **values,
                                                   int *n);
/* One of the NULL-ended choices; *out is its index. */
BRAID_NODISCARD enum braid_status onnx_attr_choice(const struct onnx_node *node, const char *name,
                                                   const char *const *choices, int fallback, int *out);

/* Constant operands that are really attributes. At most `max` numbers; a scalar counts as one. */
BRAID_NODISCARD enum braid_status onnx_in_ints(const struct onnx_node *node, int k, int64_t *values, int max, int *n);
BRAID_NODISCARD enum braid_status onnx_in_floats(const struct onnx_node *node, int k, double *values, int max, int *n);
/* The list is attribute `name` before opset `since`, operand k from then on. *n = -1: not given. */
BRAID_NODISCARD enum braid_status onnx_list(const struct onnx_node *node, const char *name, int k, int since,
                                            int64_t *values, int max, int *n);

/* Range checks with messages: an axis of a tensor of that rank, a dim. */
BRAID_NODISCARD enum braid_status onnx_axis(int64_t axis, int rank, int *out);
BRAID_NODISCARD enum braid_status onnx_dim(const char *what, int64_t dim, int *out);
BRAID_NODISCARD enum braid_status onnx_range(const char *what, int64_t value, int64_t low, int64_t high, int *out);

/* Converters, by file. */
#define ONNX_CONVERTER(name) BRAID_NODISCARD enum braid_status onnx_convert_##name(struct onnx_node *node)
ONNX_CONVERTER(conv);
ONNX_CONVERTER(conv_transpose);

ONNX_CONVERTER(pool);
ONNX_CONVERTER(global_pool);
ONNX_CONVERTER(lp_pool);
ONNX_CONVERTER(global_lp_pool);
ONNX_CONVERTER(max_unpool);

ONNX_CONVERTER(batch_normalization);
ONNX_CONVERTER(instance_normalization);
ONNX_CONVERTER(group_normalization);
ONNX_CONVERTER(layer_normalization);
ONNX_CONVERTER(mean_variance_normalization);
ONNX_CONVERTER(lrn);

ONNX_CONVERTER(plain);
ONNX_CONVERTER(binary);
ONNX_CONVERTER(unary);
ONNX_CONVERTER(relu);
ONNX_CONVERTER(prelu);
ONNX_CONVERTER(gelu);
ONNX_CONVERTER(is_inf);
ONNX_CONVERTER(clip);
ONNX_CONVERTER(variadic);
ONNX_CONVERTER(gemm);
ONNX_CONVERTER(pow);
ONNX_CONVERTER(softmax);
ONNX_CONVERTER(reduce);
ONNX_CONVERTER(arg_extreme);

ONNX_CONVERTER(quantize);
ONNX_CONVERTER(dynamic_quantize);
ONNX_CONVERTER(integer_conv);
ONNX_CONVERTER(integer_matmul);
ONNX_CONVERTER(qlinear_conv);
ONNX_CONVERTER(qlinear_matmul);
ONNX_CONVERTER(qlinear_add);
ONNX_CONVERTER(qlinear_global_average_pool);

ONNX_CONVERTER(concat);
ONNX_CONVERTER(reshape);
ONNX_CONVERTER(flatten);
ONNX_CONVERTER(squeeze);
ONNX_CONVERTER(unsqueeze);
ONNX_CONVERTER(identity);
ONNX_CONVERTER(dropout);
ONNX_CONVERTER(transpose);
ONNX_CONVERTER(expand);
ONNX_CONVERTER(tile);
ONNX_CONVERTER(cast);
ONNX_CONVERTER(cast_like);
ONNX_CONVERTER(depth_to_space);
ONNX_CONVERTER(space_to_depth);

ONNX_CONVERTER(slice);
ONNX_CONVERTER(split);
ONNX_CONVERTER(pad);
ONNX_CONVERTER(gather);
ONNX_CONVERTER(resize);
ONNX_CONVERTER(upsample);

ONNX_CONVERTER(gather_elements);
ONNX_CONVERTER(gather_nd);
ONNX_CONVERTER(scatter_elements);
ONNX_CONVERTER(scatter_nd);
ONNX_CONVERTER(top_k);
ONNX_CONVERTER(cum_sum);
ONNX_CONVERTER(one_hot);
ONNX_CONVERTER(trilu);

ONNX_CONVERTER(compress);
ONNX_CONVERTER(non_zero);
ONNX_CONVERTER(non_max_suppression);

ONNX_CONVERTER(constant);
ONNX_CONVERTER(constant_of_shape);
ONNX_CONVERTER(shape);
ONNX_CONVERTER(size);
ONNX_CONVERTER(range);
ONNX_CONVERTER(eye_like);

#endif
