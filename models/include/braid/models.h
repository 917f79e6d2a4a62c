/* SPDX-License-Identifier: Apache-2.0
 *
 * braid/models.h: the network as a graph: building, ONNX import and export, optimisation passes, the zoo, branches.
 *
 * A node is one (fused) operator and writes exactly one tensor, so a node's id is also its tensor's id. After
 * braid_graph_seal the ids are a topological order (every operand's id is smaller), the graph is read-only and may
 * be shared by any number of threads. Before it, one thread.
 */
#ifndef BRAID_MODELS_H
#define BRAID_MODELS_H

#include "braid/base.h"

#pragma GCC visibility push(default)
BRAID_BEGIN_DECLS

struct braid_graph;

/* Operand codes: >= 0 a node; BRAID_CONST(k) the graph's k-th constant; BRAID_NONE an absent optional operand. */
#define BRAID_NONE INT32_MIN
#define BRAID_CONST(k) (-1 - (k))
static inline bool braid_is_node(int operand) { return operand >= 0; }
static inline bool braid_is_const(int operand) { return operand < 0 && operand != BRAID_NONE; }
static inline int braid_const_index(int operand) { return -1 - operand; }

struct braid_node {
  const char *name; /* of the tensor, unique, as in the ONNX file */
  enum braid_op op;
  union braid_attrs attrs;
  struct braid_act act; /* fused activation; BRAID_ACT_NONE */
  int n_in;
  const int *in; /* operand codes */
  enum braid_dtype dtype;
  struct braid_shape shape;
  /* Filled by seal: */
  size_t bytes;      /* of the tensor */
  int64_t macs;      /* multiply-accumulates of convolutions and dense layers, 0 elsewhere */
  size_t weight_bytes; /* of its constant operands */
  int rows;          /* extent of the slice axis */
  int slices_max;    /* rows if the operator can be computed in bands of rows, else 1 */
  int n_readers;
  const int *reader; /* ids, ascending, each once */
  bool is_output;
};

/* -------------------------------------------------------------------------------------------- building */

BRAID_NODISCARD enum braid_status braid_graph_create(const char *name, struct braid_graph **out);
void braid_graph_destroy(struct braid_graph **graph);

BRAID_NODISCARD enum braid_status braid_graph_add_input(struct braid_graph *graph, const char *name,
                                                        enum braid_dtype dtype, const struct braid_shape *shape,
                                                        int *id);
/* `tensor->data` is borrowed: it must outlive the graph, or be adopted by it (below). */
BRAID_NODISCARD enum braid_status braid_graph_add_constant(struct braid_graph *graph, const char *name,
                                                           const struct braid_tensor *tensor, int *operand);
/* The graph will call release(memory) when it is destroyed. On failure release is called at once. */
BRAID_NODISCARD enum braid_status braid_graph_adopt(struct braid_graph *graph, void *memory,
                                                    void (*release)(void *));
/* Adds a node after checking its attributes and operands and inferring its type and shape; errors name the node.
 * `shape_hint`: required for RESHAPE, EXPAND, SLICE and RESIZE (their output shape, from which it is checked), NULL
 * elsewhere. `name` NULL makes one. `attrs` NULL means all zero. */
BRAID_NODISCARD enum braid_status braid_graph_add(struct braid_graph *graph, enum braid_op op,
                                                  const union braid_attrs *attrs, const int *in, int n_in,
                                                  const struct braid_shape *shape_hint, const char *name, int *id);
/* Marks a node as output; outputs keep the order of these calls. */
BRAID_NODISCARD enum braid_status braid_graph_add_output(struct braid_graph *graph, int id);

enum braid_pass {
  BRAID_PASS_FOLD_BATCHNORM = 1 << 0, /* BatchNormalization (and Mul/Add by constants) into Conv/Gemm before it */
  BRAID_PASS_FUSE_ACTIVATION = 1 << 1,
  BRAID_PASS_FUSE_RESIDUAL = 1 << 2, /* Add (+ activation) into the Conv that feeds it */
  BRAID_PASS_FUSE_PAD = 1 << 3,      /* constant-zero Pad into Conv / AveragePool(count_include_pad) after it */
  BRAID_PASS_CHAIN_CONCAT = 1 << 4,  /* Concat(a,b,c) with Concat(a,b) present becomes Concat(Concat(a,b),c) */
  BRAID_PASS_FUSE_REQUANTISE = 1 << 5, /* bias, scale, residual, activation, QuantizeLinear(1) into QLinearConv */
  BRAID_PASS_NARROW_BF16 = 1 << 6,     /* Conv/Gemm of values that went to bfloat16 and back: weights of bfloat16 */
  BRAID_PASS_FUSE_NORMALIZE = 1 << 7,  /* Cast of pixels, Mul and Add by channel into Normalize */
  BRAID_PASS_ALL = (1 << 8) - 1
};
/* Runs the passes, drops dead and identity nodes, sorts, computes the derived fields, finds joints and branches,
 * freezes. Ids change. A pass never changes results by more than rounding. */
BRAID_NODISCARD enum braid_status braid_graph_seal(struct braid_graph *graph, unsigned passes);

/* ------------------------------------------------------------------------------------- reading (sealed) */

const char *braid_graph_name(const struct braid_graph *graph);
int braid_graph_size(const struct braid_graph *graph);
const struct braid_node *braid_graph_node(const struct braid_graph *graph, int id);
const struct braid_tensor *braid_graph_constant(const struct braid_graph *graph, int operand);
const char *braid_graph_constant_name(const struct braid_graph *graph, int operand);
int braid_graph_constants(const struct braid_graph *graph);
/* Node ids of inputs / outputs, in the order they were added. */
const int *braid_graph_inputs(const struct braid_graph *graph, int *n);
const int *braid_graph_outputs(const struct braid_graph *graph, int *n);
int braid_graph_find(const struct braid_graph *graph, const char *name); /* -1 when absent */
/* Number of scalar weights (constants used by nodes, each counted once), MACs, bytes of weights. */
void braid_graph_totals(const struct braid_graph *graph, int64_t *params, int64_t *macs, int64_t *weight_bytes);

/* Content hash: operators, attributes, shapes and weights. Equal on both sides exactly when the networks are.
 * Computed on first use (reads every weight; thread-safe), BLAKE2b-256. `text` gets 64 hex digits and a NUL. */
void braid_graph_hash(const struct braid_graph *graph, uint8_t hash[32]);
void braid_graph_hash_text(const struct braid_graph *graph, char text[65]);

/* SHA-256 of bytes that come in pieces: what files of models are told apart by on the wire and on disk. One thread at a
 * time. `text` gets 64 hex digits and a NUL; nothing is added after it. */
struct braid_sha256;
BRAID_NODISCARD enum braid_status braid_sha256_create(struct braid_sha256 **out);
void braid_sha256_add(struct braid_sha256 *sha, const void *data, size_t bytes);
void braid_sha256_text(struct braid_sha256 *sha, char text[65]);
void braid_sha256_destroy(struct braid_sha256 **sha);

/* Rows of operand number `k` (a node) that rows `out` of node `id` are computed from. The whole of it where the
 * operator mixes rows. An empty band when only padding is read. Monotone in `out`. */
struct braid_band braid_graph_needs(const struct braid_graph *graph, int id, int k, struct braid_band out);

/* Every invariant of a sealed graph; BRAID_OK or the first one broken. */
BRAID_NODISCARD enum braid_status braid_graph_check(const struct braid_graph *graph);

/* --------------------------------------------------------------------------------------- lower precision
 * A sealed graph written anew, faster and less exact. Inputs and outputs keep names, types and order; the hash is
 * another one, so two sides that are to work together must both ask for it, int8 with the same ranges, or have
 * it from a file: written as ONNX (braid_onnx_save) it comes back as the same network, with its hash.
 *   BF16   Conv and Gemm multiply bfloat16 and add float32: weights are rounded here, activations by the kernels
 *   INT8   Conv multiplies bytes and adds int32: weights of each output and activations of each tensor are scaled to
 *          their range. The first convolution, Gemm and all other arithmetic stay float32 */
enum braid_precision { BRAID_PRECISION_FP32, BRAID_PRECISION_BF16, BRAID_PRECISION_INT8 };
/* Least and greatest value that a tensor was seen to hold; low > high: not known, then nothing is made of it. */
struct braid_range {
  float low, high;
};
/* `range`: one a node of `graph` (INT8; NULL for BF16). `graph` must outlive *out, which borrows its constants. */
BRAID_NODISCARD enum braid_status braid_graph_lower(const struct braid_graph *graph, enum braid_precision precision,
                                                    const struct braid_range *range, struct braid_graph **out);
/* The same graph with every float32 tensor among its outputs, by name, so that their ranges can be measured. `graph` must
 * outlive *out. */
BRAID_NODISCARD enum braid_status braid_graph_expose(const struct braid_graph *graph, struct braid_graph **out);
const char *braid_precision_name(enum braid_precision precision); /* "fp32", "bf16", "int8" */
bool braid_precision_find(const char *name, enum braid_precision *out);

/* ------------------------------------------------------------------------------------- joints and branches
 * Joints: nodes on every source-to-sink path. Nets with several inputs or outputs have a virtual source (-1) or
 * sink (-1), which are joints too. Between neighbouring joints lies a block; the connected components of a block
 * without its joints are its branches (a direct edge entry->exit is a branch without nodes). A branch that forks
 * again carries its own blocks. Blocks with a single branch are not listed: they are plain chains. */
struct braid_block {
  int entry, exit; /* node ids; -1 for the virtual source / sink */
  int n_branches;
  const struct braid_branch *branch;
};
struct braid_branch {
  int n_nodes;
  const int *node; /* ascending */
  int n_blocks;
  const struct braid_block *block; /* nested */
};
const int *braid_graph_joints(const struct braid_graph *graph, int *n);
const struct braid_block *braid_graph_blocks(const struct braid_graph *graph, int *n);
/* Number of the innermost listed branch that holds the node, counted depth first from 1; 0 for nodes in none. */
int braid_graph_branch_of(const struct braid_graph *graph, int id);

/* ---------------------------------------------------------------------------------------- ONNX and the zoo */

/* Evaluates one node on constant operands during import (models knows no kernels; the runtime passes one in).
 * `args`: operands with data; `out` has dtype, shape and memory. */
struct braid_evaluator {
  enum braid_status (*eval)(void *ctx, enum braid_op op, const union braid_attrs *attrs,
                            const struct braid_tensor *in, const bool *present, int n_in, struct braid_tensor *out);
  void *ctx;
};

struct braid_onnx_opts {
  const struct braid_evaluator *evaluator; /* NULL: models that compute with constants (beyond reshaping them) are refused */
  int batch;                               /* value for a symbolic first dimension; 0 means 1 */
  size_t max_bytes;                        /* refuse files (and their external data) above this; 0: 4 GiB */
  const char *name;                        /* of the graph; NULL: the file's, without folder and .onnx */
  bool one_file;                           /* refuse external data: the file comes from elsewhere, or goes there */
  /* What the caller knows of the file's first inputs (those that are initializers not counted): their sizes, whatever
   * the file says of them, and with data the value, too. Such an input is a constant (copied) and no input of the graph:
   * shapes, axes and the like, which decide about other tensors. data NULL: it stays an input. Types must be the
   * file's. */
  const struct braid_tensor *input;
  int n_inputs;
};

/* Reads a file (external data beside it included; only from its own directory) into an unsealed graph. Every
 * unsupported operator is named, with its node and opset, all at once (BRAID_EUNSUPPORTED). */
BRAID_NODISCARD enum braid_status braid_onnx_load(const char *path, const struct braid_onnx_opts *opts,
                                                  struct braid_graph **out);
/* The same from memory (no external data): the fuzz target. */
BRAID_NODISCARD enum braid_status braid_onnx_parse(const uint8_t *data, size_t size, const char *name,
                                                   const struct braid_onnx_opts *opts, struct braid_graph **out);
/* Reads a TensorProto alone, as in the .pb files of ONNX's test data; no external data. `out->data` is freed by
 * braid_free (never NULL, aligned to 64 bytes). Fuzzed. */
BRAID_NODISCARD enum braid_status braid_onnx_read_tensor(const uint8_t *data, size_t size, struct braid_tensor *out);
/* Writes a sealed graph as ONNX opset 13 (IR 7), or the first that has all its operators, weights included
 * (as external data PATH.data above 1.9 GB). Fused nodes are written as the operators they came from; NORMALIZE as Cast, Mul, Add. */
BRAID_NODISCARD enum braid_status braid_onnx_save(const struct braid_graph *graph, const char *path);

struct braid_zoo_entry {
  const char *name, *summary, *paper;
};
const struct braid_zoo_entry *braid_zoo(int *n);
/* Builds a zoo network, unsealed, batch `batch` (0 means 1), uint8 inputs followed by NORMALIZE. Weights are
 * pseudo-random from `seed` and scaled so that activations keep a sane range; any tensor can be made alone. */
BRAID_NODISCARD enum braid_status braid_zoo_build(const char *name, int batch, uint64_t seed,
                                                  struct braid_graph **out);

BRAID_END_DECLS
#pragma GCC visibility pop
#endif
