/* SPDX-License-Identifier: Apache-2.0
 *
 * braid/base.h: the nouns every other layer shares: status, types, shapes, tensors, row bands, the operator
 * vocabulary, memory, random numbers, clock and log. Depends on libc alone.
 *
 * Conventions for all of Braid:
 *   - A function that can fail returns enum braid_status and leaves its reason in braid_error() (per thread).
 *   - Makers write through a last `**out`, only on success. destroy/close/stop take T** and set it to NULL.
 *   - Units live in names (_ns, _bytes, _bits_per_s). Shapes are written beside pointers, e.g. [N,C,H,W].
 */
#ifndef BRAID_BASE_H
#define BRAID_BASE_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
#define BRAID_BEGIN_DECLS extern "C" {
#define BRAID_END_DECLS }
#else
#define BRAID_BEGIN_DECLS
#define BRAID_END_DECLS
#endif

#define BRAID_NODISCARD __attribute__((warn_unused_result))
#define BRAID_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#define BRAID_VERSION "0.1.0"

#pragma GCC visibility push(default)
BRAID_BEGIN_DECLS

/* ------------------------------------------------------------------------------------------------ status */

#define BRAID_STATUSES(X)                                                                                    \
  X(OK, "ok")                                                                                                \
  X(EINVAL, "invalid argument")                                                                              \
  X(ENOMEM, "out of memory")                                                                                 \
  X(ESHAPE, "shapes do not fit")                                                                             \
  X(EUNSUPPORTED, "not supported")                                                                           \
  X(EFORMAT, "malformed data")                                                                               \
  X(EPROTO, "protocol violation")                                                                            \
  X(EMISMATCH, "the two sides do not agree")                                                                 \
  X(EBUSY, "busy")                                                                                           \
  X(ENOTFOUND, "not found")                                                                                  \
  X(ETIMEDOUT, "timed out")                                                                                  \
  X(ECLOSED, "closed")                                                                                       \
  X(EIO, "input/output error")

enum braid_status {
#define X(name, text) BRAID_##name,
  BRAID_STATUSES(X)
#undef X
};

const char *braid_status_text(enum braid_status status);

/* Records "why" for this thread (printf style) and returns `status`, so that `return braid_fail(...)` reads as
 * one step. The message names the file, node or value and, where there is one, the remedy. */
enum braid_status braid_fail(enum braid_status status, const char *format, ...) BRAID_PRINTF(2, 3);
/* Puts "context: " before the message recorded last and returns `status`. */
enum braid_status braid_fail_in(enum braid_status status, const char *format, ...) BRAID_PRINTF(2, 3);
/* The message of the last failure on this thread; never NULL; valid until the next failure on this thread. */
const char *braid_error(void);

#define BRAID_TRY(expr)                                                                                      \
  do {                                                                                                       \
    enum braid_status braid_try_status_ = (expr);                                                            \
    if (braid_try_status_ != BRAID_OK) return braid_try_status_;                                             \
  } while (0)

/* ------------------------------------------------------------------------------------------------- memory */

/* malloc family with one hook: tests make the n-th allocation fail. All of Braid allocates through these.
 * braid_alloc_aligned returns memory aligned to 64 bytes. Freed by braid_free. */
void *braid_malloc(size_t bytes);
void *braid_calloc(size_t count, size_t bytes);
void *braid_realloc(void *p, size_t bytes);
void *braid_alloc_aligned(size_t bytes);
char *braid_strdup(const char *s);
void braid_free(void *p);
/* Test hook: the n-th allocation from now (1 = next) on any thread returns NULL; 0 switches the hook off. */
void braid_alloc_fail_at(long n);

/* Overflow-checked; false on overflow. */
bool braid_mul_size(size_t a, size_t b, size_t *out);
bool braid_add_size(size_t a, size_t b, size_t *out);

/* -------------------------------------------------------------------------------------- types and tensors */

#define BRAID_DTYPES(X)                                                                                      \
  X(F32, "float32", 4)                                                                                       \
  X(F16, "float16", 2)                                                                                       \
  X(BF16, "bfloat16", 2)                                                                                     \
  X(F64, "float64", 8)                                                                                       \
  X(U8, "uint8", 1)                                                                                          \
  X(I8, "int8", 1)                                                                                           \
  X(U16, "uint16", 2)                                                                                        \
  X(I16, "int16", 2)                                                                                         \
  X(U32, "uint32", 4)                                                                                        \
  X(I32, "int32", 4)                                                                                         \
  X(U64, "uint64", 8)                                                                                        \
  X(I64, "int64", 8)                                                                                         \
  X(BOOL, "bool", 1)

enum braid_dtype {
#define X(name, text, size) BRAID_##name,
  BRAID_DTYPES(X)
#undef X
  BRAID_DTYPE_COUNT
};

size_t braid_dtype_bytes(enum braid_dtype dtype);
const char *braid_dtype_name(enum braid_dtype dtype);

#define BRAID_MAX_RANK 8

/* Row-major (C order), outermost first. rank 0 is a scalar. Dims are >= 0. Unused dims are 0. */
struct braid_shape {
  int rank;
  int dim[BRAID_MAX_RANK];
};

struct braid_shape braid_shape_of(int rank, const int *dim);
bool braid_shape_equal(const struct braid_shape *a, const struct braid_shape *b);
/* Elements; -1 when a dim is negative, the rank is wrong or the product leaves int64. */
int64_t braid_shape_elements(const struct braid_shape *shape);
/* Bytes of a dense tensor; overflow-checked. */
BRAID_NODISCARD enum braid_status braid_shape_bytes(const struct braid_shape *shape, enum braid_dtype dtype,
                                                    size_t *bytes);
/* "1x3x224x224" ("scalar" for rank 0) into buf; returns buf. */
char *braid_shape_text(const struct braid_shape *shape, char *buf, size_t size);

/* A dense view; borrows `data`. */
struct braid_tensor {
  void *data;
  enum braid_dtype dtype;
  struct braid_shape shape;
};

/* ------------------------------------------------------------------------------------------ rows and bands
 * Everything that is computed, sent or waited for in parts is parted along one axis of its tensor, the slice
 * axis: H for rank 4 ([N,C,H,W]), axis 1 for ranks 2 and 3, axis 0 for rank 1, none (one "row") for scalars. The
 * indices along that axis are called rows, [begin,end) of them a band. */
struct braid_band {
  int begin, end;
};

int braid_slice_axis(const struct braid_shape *shape); /* -1 for scalars */
int braid_slice_rows(const struct braid_shape *shape); /* extent of that axis; 1 for scalars */
size_t braid_band_bytes(const struct braid_shape *shape, enum braid_dtype dtype, struct braid_band band);
/* Gathers the band's elements, outer index first, into `dst` (braid_band_bytes of it), and back. */
void braid_band_pack(const struct braid_tensor *tensor, struct braid_band band, void *dst);
void braid_band_unpack(const struct braid_tensor *tensor, struct braid_band band, const void *src);
/* Slice i of n: rows split as evenly as possible, larger ones first. n <= rows. */
struct braid_band braid_slice_band(int rows, int n, int i);

/* -------------------------------------------------------------------------------------- operator vocabulary
 * ONNX operator names and meaning (batch first, NCHW), one output tensor each, with these normalisations done by
 * the importer: attributes that ONNX passes as constant inputs (Reshape's shape, Slice's starts, Pad's pads,
 * Clip's bounds, Resize's scales, ...) are in the attributes; operators with several outputs are one node per
 * output; negative axes are resolved. Operands are activations (nodes) or constants.
 *   INPUT      graph input, no operands
 *   NORMALIZE  x:uint8 [N,C,H,W], scale:f32 [C], shift:f32 [C] -> f32: x*scale[c] + shift[c]   (ours, not ONNX)
 *   CONV       x, w [O,I/g,KH,KW], bias [O] (or BRAID_NONE), residual (same shape as the output, or BRAID_NONE):
 *              act(conv(x,w) + bias + residual)
 *   GEMM       a [M,K] (or transposed), b [K,N] (or [N,K] if trans_b), c (broadcast to [M,N], or BRAID_NONE)
 *   SUM/MAX/MIN/MEAN are variadic, with broadcasting. RESHAPE covers Reshape, Flatten, Squeeze, Unsqueeze,
 *   Identity and Dropout: the same bytes under another shape.
 *   GROUP_NORMALIZATION  x [N,C,..], scale [C], bias [C]: each group of C/groups channels of each image to mean 0 and
 *              variance 1, then scaled by channel; InstanceNormalization is C groups
 *   QUANTIZE_LINEAR, DEQUANTIZE_LINEAR  x, scale:f32, zero (or BRAID_NONE): one scale, or one per index of the axis
 *   TOP_K_VALUES, TOP_K_INDICES, MAX_POOL_INDICES  the outputs of TopK, and the second one of MaxPool
 * Operators that others are made of exactly are no operators here: DepthToSpace, OneHot, Trilu, Tile, LpPool and
 * 3-D convolutions and pools are taken apart by the importer. */
#define BRAID_OPS(X)                                                                                         \
  X(INPUT, "Input")                                                                                          \
  X(NORMALIZE, "Normalize")                                                                                  \
  X(CONV, "Conv")                                                                                            \
  X(CONV_TRANSPOSE, "ConvTranspose")                                                                         \
  X(GEMM, "Gemm")                                                                                            \
  X(MATMUL, "MatMul")                                                                                        \
  X(MAX_POOL, "MaxPool")                                                                                     \
  X(AVERAGE_POOL, "AveragePool")                                                                             \
  X(GLOBAL_MAX_POOL, "GlobalMaxPool")                                                                        \
  X(GLOBAL_AVERAGE_POOL, "GlobalAveragePool")                                                                \
  X(BATCH_NORMALIZATION, "BatchNormalization")                                                               \
  X(LRN, "LRN")                                                                                              \
  X(RELU, "Relu")                                                                                            \
  X(LEAKY_RELU, "LeakyRelu")                                                                                 \
  X(PRELU, "PRelu")                                                                                          \
  X(CLIP, "Clip")                                                                                            \
  X(ELU, "Elu")                                                                                              \
  X(SELU, "Selu")                                                                                            \
  X(SIGMOID, "Sigmoid")                                                                                      \
  X(HARD_SIGMOID, "HardSigmoid")                                                                             \
  X(HARD_SWISH, "HardSwish")                                                                                 \
  X(TANH, "Tanh")                                                                                            \
  X(SOFTPLUS, "Softplus")                                                                                    \
  X(SOFTSIGN, "Softsign")                                                                                    \
  X(ERF, "Erf")                                                                                              \
  X(EXP, "Exp")                                                                                              \
  X(LOG, "Log")                                                                                              \
  X(SQRT, "Sqrt")                                                                                            \
  X(RECIPROCAL, "Reciprocal")                                                                                \
  X(NEG, "Neg")                                                                                              \
  X(ABS, "Abs")                                                                                              \
  X(FLOOR, "Floor")                                                                                          \
  X(CEIL, "Ceil")                                                                                            \
  X(SOFTMAX, "Softmax")                                                                                      \
  X(LOG_SOFTMAX, "LogSoftmax")                                                                               \
  X(ADD, "Add")                                                                                              \
  X(SUB, "Sub")                                                                                              \
  X(MUL, "Mul")                                                                                              \
  X(DIV, "Div")                                                                                              \
  X(POW, "Pow")                                                                                              \
  X(SUM, "Sum")                                                                                              \
  X(MAX, "Max")                                                                                              \
  X(MIN, "Min")                                                                                              \
  X(MEAN, "Mean")                                                                                            \
  X(CONCAT, "Concat")                                                                                        \
  X(RESHAPE, "Reshape")                                                                                      \
  X(TRANSPOSE, "Transpose")                                                                                  \
  X(SLICE, "Slice")                                                                                          \
  X(PAD, "Pad")                                                                                              \
  X(GATHER, "Gather")                                                                                        \
  X(EXPAND, "Expand")                                                                                        \
  X(CAST, "Cast")                                                                                            \
  X(RESIZE, "Resize")                                                                                        \
  X(REDUCE_MEAN, "ReduceMean")                                                                               \
  X(REDUCE_SUM, "ReduceSum")                                                                                 \
  X(REDUCE_MAX, "ReduceMax")                                                                                 \
  X(REDUCE_MIN, "ReduceMin")                                                                                 \
  X(ARG_MAX, "ArgMax")                                                                                       \
  X(CELU, "Celu")                                                                                            \
  X(GELU, "Gelu")                                                                                            \
  X(MISH, "Mish")                                                                                            \
  X(THRESHOLDED_RELU, "ThresholdedRelu")                                                                     \
  X(SHRINK, "Shrink")                                                                                        \
  X(ROUND, "Round")                                                                                          \
  X(SIGN, "Sign")                                                                                            \
  X(SIN, "Sin")                                                                                              \
  X(COS, "Cos")                                                                                              \
  X(TAN, "Tan")                                                                                              \
  X(ASIN, "Asin")                                                                                            \
  X(ACOS, "Acos")                                                                                            \
  X(ATAN, "Atan")                                                                                            \
  X(SINH, "Sinh")                                                                                            \
  X(COSH, "Cosh")                                                                                            \
  X(ASINH, "Asinh")                                                                                          \
  X(ACOSH, "Acosh")                                                                                          \
  X(ATANH, "Atanh")                                                                                          \
  X(IS_NAN, "IsNaN")                                                                                         \
  X(IS_INF, "IsInf")                                                                                         \
  X(NOT, "Not")                                                                                              \
  X(AND, "And")                                                                                              \
  X(OR, "Or")                                                                                                \
  X(XOR, "Xor")                                                                                              \
  X(EQUAL, "Equal")                                                                                          \
  X(GREATER, "Greater")                                                                                      \
  X(GREATER_OR_EQUAL, "GreaterOrEqual")                                                                      \
  X(LESS, "Less")                                                                                            \
  X(LESS_OR_EQUAL, "LessOrEqual")                                                                            \
  X(MOD, "Mod")                                                                                              \
  X(BIT_SHIFT, "BitShift")                                                                                   \
  X(WHERE, "Where")                                                                                          \
  X(HARDMAX, "Hardmax")                                                                                      \
  X(LAYER_NORMALIZATION, "LayerNormalization")                                                               \
  X(GROUP_NORMALIZATION, "GroupNormalization")                                                               \
  X(CUM_SUM, "CumSum")                                                                                       \
  X(GATHER_ELEMENTS, "GatherElements")                                                                       \
  X(GATHER_ND, "GatherND")                                                                                   \
  X(SCATTER_ELEMENTS, "ScatterElements")                                                                     \
  X(SCATTER_ND, "ScatterND")                                                                                 \
  X(TOP_K_VALUES, "TopKValues")                                                                              \
  X(TOP_K_INDICES, "TopKIndices")                                                                            \
  X(MAX_POOL_INDICES, "MaxPoolIndices")                                                                      \
  X(REDUCE_PROD, "ReduceProd")                                                                               \
  X(REDUCE_L1, "ReduceL1")                                                                                   \
  X(REDUCE_L2, "ReduceL2")                                                                                   \
  X(REDUCE_LOG_SUM, "ReduceLogSum")                                                                          \
  X(REDUCE_LOG_SUM_EXP, "ReduceLogSumExp")                                                                   \
  X(REDUCE_SUM_SQUARE, "ReduceSumSquare")                                                                    \
  X(ARG_MIN, "ArgMin")                                                                                       \
  X(QUANTIZE_LINEAR, "QuantizeLinear")                                                                       \
  X(DEQUANTIZE_LINEAR, "DequantizeLinear")

enum braid_op {
#define X(name, text) BRAID_OP_##name,
  BRAID_OPS(X)
#undef X
  BRAID_OP_COUNT
};

const char *braid_op_name(enum braid_op op);

/* Spatial attributes are [H,W]; pad is top, left, bottom, right, already resolved from auto_pad. 1-D convolutions
 * and pools are carried as H=1. */
struct braid_conv_attrs {
  int kernel[2], stride[2], dilation[2], pad[4], group;
  int output_pad[2]; /* ConvTranspose only */
};
struct braid_pool_attrs {
  int kernel[2], stride[2], dilation[2], pad[4];
  bool count_include_pad, ceil_mode;
  bool column_major; /* MAX_POOL_INDICES: numbers elements as if W came before H */
};
struct braid_gemm_attrs {
  float alpha, beta;
  bool trans_a, trans_b;
};
/* Parameters of unary operators: LeakyRelu/Elu alpha=a; Clip min=a, max=b; HardSigmoid alpha=a, beta=b; Selu
 * alpha=a, gamma=b; Celu, ThresholdedRelu alpha=a; Shrink lambd=a, bias=b; Gelu a=1: by tanh; IsInf a=1: the
 * negative one counts, b=1: the positive one. Others ignore them. */
struct braid_unary_attrs {
  float a, b;
};
struct braid_lrn_attrs {
  int size;
  float alpha, beta, bias;
};
struct braid_slice_attrs {
  int start[BRAID_MAX_RANK], step[BRAID_MAX_RANK]; /* one per dim of the input; extents are the output's shape */
};
enum braid_pad_mode { BRAID_PAD_CONSTANT, BRAID_PAD_REFLECT, BRAID_PAD_EDGE, BRAID_PAD_WRAP };
struct braid_pad_attrs {
  int before[BRAID_MAX_RANK], after[BRAID_MAX_RANK];
  enum braid_pad_mode mode;
  double value;
};
enum braid_resize_mode { BRAID_RESIZE_NEAREST, BRAID_RESIZE_LINEAR, BRAID_RESIZE_CUBIC };
enum braid_resize_coord {
  BRAID_COORD_HALF_PIXEL,
  BRAID_COORD_PYTORCH_HALF_PIXEL,
  BRAID_COORD_ALIGN_CORNERS,
  BRAID_COORD_ASYMMETRIC,
  BRAID_COORD_TF_HALF_PIXEL_FOR_NN,
  BRAID_COORD_TF_CROP_AND_RESIZE,
  BRAID_COORD_HALF_PIXEL_SYMMETRIC
};
enum braid_resize_nearest {
  BRAID_NEAREST_ROUND_PREFER_FLOOR,
  BRAID_NEAREST_ROUND_PREFER_CEIL,
  BRAID_NEAREST_FLOOR,
  BRAID_NEAREST_CEIL
};
struct braid_resize_attrs {
  enum braid_resize_mode mode;
  enum braid_resize_coord coord;
  enum braid_resize_nearest nearest;
  float scale[BRAID_MAX_RANK]; /* output/input per dim, as given or derived from sizes */
  float roi[2 * BRAID_MAX_RANK]; /* starts, then from roi[rank of the input] on the ends */
  float cubic_a, extrapolation;
  bool exclude_outside;
  bool antialias; /* LINEAR and CUBIC: the filter is as wide as the shrinking factor */
};
struct braid_reduce_attrs {
  bool axis[BRAID_MAX_RANK]; /* axes reduced, resolved */
  bool keepdims, select_last;
};
enum braid_scatter { BRAID_SCATTER_NONE, BRAID_SCATTER_ADD, BRAID_SCATTER_MUL, BRAID_SCATTER_MIN, BRAID_SCATTER_MAX };
struct braid_index_attrs {
  int axis;       /* GatherElements, ScatterElements, TopK */
  int batch_dims; /* GatherND */
  enum braid_scatter reduction;
  bool smallest; /* TopK */
};

union braid_attrs {
  struct braid_conv_attrs conv;
  struct braid_pool_attrs pool;
  struct braid_gemm_attrs gemm;
  struct braid_unary_attrs unary;
  struct braid_lrn_attrs lrn;
  struct braid_slice_attrs slice;
  struct braid_pad_attrs pad;
  struct braid_resize_attrs resize;
  struct braid_reduce_attrs reduce;
  struct braid_index_attrs index;
  struct {
    float epsilon; /* BatchNormalization, LayerNormalization, GroupNormalization */
    int axis;      /* LayerNormalization: over this dim and those after it */
    int groups;    /* GroupNormalization */
  } norm;
  struct {
    int axis;
    bool exclusive, reverse;
  } scan; /* CumSum */
  struct {
    bool on; /* Mod: the sign of the dividend (C's fmod); BitShift: to the left */
  } flag;
  struct {
    int axis;     /* Concat, Softmax, LogSoftmax, Hardmax, Gather, QuantizeLinear, DequantizeLinear */
    int axis_end; /* Softmax family: normalises over dims [axis, axis_end) jointly (opset < 13 coerces to 2-D) */
  } axis;
  struct {
    int perm[BRAID_MAX_RANK];
  } transpose;
  struct {
    enum braid_dtype to;
  } cast;
};

/* Activation fused into the node that feeds it: RELU, LEAKY_RELU, CLIP, SIGMOID, HARD_SIGMOID, HARD_SWISH, TANH,
 * ELU with the unary attributes; `op` is BRAID_OP_INPUT (0) for none. */
struct braid_act {
  enum braid_op op;
  struct braid_unary_attrs attrs;
};
#define BRAID_ACT_NONE BRAID_OP_INPUT

/* ---------------------------------------------------------------------------------- random numbers, hashing
 * splitmix64 in counter form: the i-th number (i = 0,1,..) of a seed does not depend on the others, so any part
 * of a tensor can be made on its own. */
uint64_t braid_random_u64(uint64_t seed, uint64_t i);
/* float32 uniform in [-1, 1): (z >> 40) / 2^23 - 1. */
float braid_random_f32(uint64_t seed, uint64_t i);
/* FNV-1a, 64 bit: turns names into seeds. Not a content hash. */
uint64_t braid_fnv1a(const char *text);

/* ---------------------------------------------------------------------------------------- numbers with units
 * The one way in which options, traces and configs write rates, times and sizes. Strict: the whole text, digits with at most
 * one point and a unit (in any case): bit kbit mbit gbit, per second; ns us ms s min, or a bare 0; B kB MB GB
 * KiB MiB GiB, or a bare number of bytes. Junk, signs, zero rates and what does not fit are BRAID_EINVAL. */
BRAID_NODISCARD enum braid_status braid_parse_rate(const char *text, double *bits_per_s);
BRAID_NODISCARD enum braid_status braid_parse_duration_ns(const char *text, int64_t *ns);
BRAID_NODISCARD enum braid_status braid_parse_size(const char *text, size_t *bytes);

/* ------------------------------------------------------------------------------------------ clock and log */

struct braid_clock {
  int64_t (*now_ns)(void *ctx);
  void *ctx;
};
/* CLOCK_MONOTONIC. */
struct braid_clock braid_clock_monotonic(void);
static inline int64_t braid_now_ns(const struct braid_clock *clock) { return clock->now_ns(clock->ctx); }

enum braid_log_level { BRAID_LOG_ERROR, BRAID_LOG_WARN, BRAID_LOG_INFO, BRAID_LOG_DEBUG };
const char *braid_log_level_name(enum braid_log_level level); /* "error", "warning", ...; NULL beyond the last */
void braid_log_set_level(enum braid_log_level level); /* default INFO */
void braid_log_set_name(const char *name);            /* put before every line, e.g. "cloud"; borrowed */
/* One line to stderr, atomically. */
void braid_log(enum braid_log_level level, const char *format, ...) BRAID_PRINTF(2, 3);

/* A line as it is (the newline is added), whatever level and format are set. */
void braid_log_line(const char *text);
/* `before` and `after` are called around the writing of every line, by the thread that logs: for a program that draws
 * on the same terminal. Borrowed until another is set, and for lines that are being written then; NULL: none. Any
 * thread. */
struct braid_log_around {
  void (*before)(void), (*after)(void);
};
void braid_log_set_around(const struct braid_log_around *around);

/* What a line says beside its text. `text` and `key` are borrowed for the call; text NULL: the value is `number`. */
struct braid_log_field {
  const char *key, *text;
  int64_t number;
};
/* Lines as JSON objects {time,level,role,event,text,...fields} in place of plain text, for collectors of logs. */
void braid_log_set_json(bool json); /* default off */
bool braid_log_is_json(void);
/* As braid_log, of a kind ("log" is that of braid_log) and with fields, which plain text leaves out: `format` says it
 * all to people. Any thread. */
void braid_log_event(enum braid_log_level level, const char *kind, const struct braid_log_field *field, int n_fields,
                     const char *format, ...) BRAID_PRINTF(5, 6);

BRAID_END_DECLS
#pragma GCC visibility pop
#endif
