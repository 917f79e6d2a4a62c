/* SPDX-License-Identifier: Apache-2.0
 *
 * What the kernels of this folder share: the list of tables, views of operands, runs of elements in a band, and the
 * geometry of sliding windows. Everything here is static: files with their own ISA flags include it. */
#ifndef KERNELS_KERNEL_H
#define KERNELS_KERNEL_H

#include "braid/kernels.h"

#include <assert.h>
#include <string.h>

#if defined(__x86_64__)
#define KERNELS_X86 1
#else
#define KERNELS_X86 0
#endif

/* One table a file, ended by a row without a name. The order here is the order of preference within an operator. */
#define KERNEL_TABLES_REF(X)                                                                                           \
  X(ref_conv)                                                                                                          \
  X(ref_conv_transpose)                                                                                                \
  X(ref_gemm)                                                                                                          \
  X(ref_pool)                                                                                                          \
  X(ref_normalization)                                                                                                 \
  X(ref_unary)                                                                                                         \
  X(ref_arithmetic)                                                                                                    \
  X(ref_compare)                                                                                                       \
  X(ref_layer_norm)                                                                                                    \
  X(ref_scan)                                                                                                          \
  X(ref_scatter)                                                                                                       \
  X(ref_softmax)                                                                                                       \
  X(ref_move)                                                                                                          \
  X(ref_pad)                                                                                                           \
  X(ref_gather)                                                                                                        \
  X(ref_cast)                                                                                                          \
  X(ref_resize)                                                                                                        \
  X(ref_reduce)                                                                                                        \
  X(ref_quant)                                                                                                         \
  X(ref_qconv)                                                                                                         \
  X(ref_bf16)
#define KERNEL_TABLES_PORTABLE(X)                                                                                      \
  X(blas_conv)                                                                                                         \
  X(blas_gemm)                                                                                                         \
  X(portable_cast)                                                                                                     \
  X(portable_transpose)                                                                                                \
  X(portable_resize)                                                                                                   \
  X(portable_pool)
#if KERNELS_X86
#define KERNEL_TABLES_ISA(X)                                                                                           \
  X(avx512_depthwise3)                                                                                                 \
  X(avx512_depthwise)                                                                                                  \
  X(avx2_depthwise3)                                                                                                   \
  X(avx2_depthwise)                                                                                                    \
  X(avx512_winograd4)                                                                                                  \
  X(avx512_winograd6)                                                                                                  \
  X(avx512_winograd2)                                                                                                  \
  X(avx512_packed_conv)                                                                                                \
  X(avx512bf16_packed_conv_bf16)                                                                                       \
  X(avx512_packed_conv_bf16)                                                                                           \
  X(avx2_packed_conv_bf16)                                                                                             \
  X(avx512bf16_gemm_bf16)                                                                                              \
  X(avx512_gemm_bf16)                                                                                                  \
  X(avx2_gemm_bf16)                                                                                                    \
  X(avx512_depthwise_qconv)                                                                                            \
  X(avx2_depthwise_qconv)                                                                                              \
  X(avx512vnni_packed_qconv)                                                                                           \
  X(avxvnni_packed_qconv)                                                                                              \
  X(avx512_packed_qconv)                                                                                               \
  X(avx2_packed_qconv)                                                                                                 \
  X(avx2_winograd4)                                                                                                    \
  X(avx2_winograd6)                                                                                                    \
  X(avx2_winograd2)                                                                                                    \
  X(avx2_packed_conv)                                                                                                  \
  X(avx512_conv)                                                                                                       \
  X(avx2_conv)                                                                                                         \
  X(avx512_conv_i32)                                                                                                   \
  X(avx2_conv_i32)                                                                                                     \
  X(avx512_pool_bytes)                                                                                                 \
  X(avx2_pool_bytes)                                                                                                   \
  X(avx512_quant)                                                                                                      \
  X(avx2_quant)                                                                                                        \
  X(avx512_unary)                                                                                                      \
  X(avx2_unary)                                                                                                        \
  X(avx512_binary)                                                                                                     \
  X(avx2_binary)                                                                                                       \
  X(avx512_pool)                                                                                                       \
  X(avx2_pool)                                                                                                         \
  X(avx512_normalization)                                                                                              \
  X(avx2_normalization)                                                                                                \
  X(avx512_softmax)                                                                                                    \
  X(avx2_softmax)
#elif defined(__aarch64__)
#define KERNEL_TABLES_ISA(X)                                                                                           \
  X(neon_depthwise3)                                                                                                   \
  X(neon_depthwise)                                                                                                    \
  X(neon_winograd4)                                                                                                    \
  X(neon_winograd6)                                                                                                    \
  X(neon_winograd2)                                                                                                    \
  X(neon_packed_conv)                                                                                                  \
  X(neon_conv)                                                                                                         \
  X(neon_conv_i32)                                                                                                     \
  X(neon_unary)                                                                                                        \
  X(neon_binary)                                                                                                       \
  X(neon_pool)                                                                                                         \
  X(neon_normalization)                                                                                                \
  X(neon_softmax)
#else
#define KERNEL_TABLES_ISA(X)
#endif
#define KERNEL_TABLES(X) KERNEL_TABLES_ISA(X) KERNEL_TABLES_PORTABLE(X) KERNEL_TABLES_REF(X)

#define X(name) extern const struct braid_kernel kernels_##name[];
KERNEL_TABLES(X)
#undef X

/* ---------------------------------------------------------------------------------------------- operands */

#define IN_PLACE_OF(k) (UINT32_C(1) << (k)) /* for braid_kernel.in_place */

static inline bool has_in(const struct braid_kernel_args *args, int k) { return k < args->n_in && args->present[k]; }

/* NULL for an absent operand. */
static inline const float *in_f32(const struct braid_kernel_args *args, int k) {
  return has_in(args, k) ? args->in[k].data : NULL;
}

static inline float *out_f32(const struct braid_kernel_args *args) { return args->out.data; }

static inline bool all_in_are(const struct braid_kernel_args *args, enum braid_dtype dtype) {
  for (int k = 0; k < args->n_in; k++)
    if (args->present[k] && args->in[k].dtype != dtype) return false;
  return true;
}

static inline bool all_f32(const struct braid_kernel_args *args) {
  return args->out.dtype == BRAID_F32 && all_in_are(args, BRAID_F32);
}

/* Products in bfloat16: weights of that type among operands of float32. */
static inline bool bf16_weights(const struct braid_kernel_args *args) {
  if (args->out.dtype != BRAID_F32 || args->in[1].dtype != BRAID_BF16) return false;
  for (int k = 0; k < args->n_in; k++)
    if (k != 1 && args->present[k] && args->in[k].dtype != BRAID_F32) return false;
  return true;
}

/* QLINEAR_CONV: types and activation as every kernel of it takes them. */
static inline bool quantised_operands(const struct braid_kernel_args *args) {
  enum braid_op act = args->act.op;
  bool scaled = args->attrs.qconv.to != BRAID_I32;
  if (args->out.dtype != args->attrs.qconv.to || args->in[1].dtype != BRAID_I8) return false;
  if (act != BRAID_ACT_NONE && !(scaled && (act == BRAID_OP_RELU || act == BRAID_OP_CLIP))) return false;
  return (args->in[0].dtype == BRAID_U8 || args->in[0].dtype == BRAID_I8) && has_in(args, 3) == scaled;
}

/* Of integers whose type may be unsigned, where "< 0" is a warning. */
#define IS_NEGATIVE(x) (!((x) > 0) && (x) != 0)

static inline bool no_act(const struct braid_kernel_args *args) { return args->act.op == BRAID_ACT_NONE; }

/* [N,C,H,W] of a rank-4 tensor. */
struct image {
  int n, c, h, w;
};
static inline struct image image_of(const struct braid_shape *shape) {
  return (struct image){shape->dim[0], shape->dim[1], shape->dim[2], shape->dim[3]};
}

/* [N,C,inner]: any tensor whose axis 1 is the channel. */
struct channels {
  size_t n, c, inner;
};
static inline struct channels channels_of(const struct braid_shape *shape) {
  struct channels v = {shape->rank > 0 ? (size_t)shape->dim[0] : 1, shape->rank > 1 ? (size_t)shape->dim[1] : 1, 1};
  for (int d = 2; d < shape->rank; d++) v.inner *= (size_t)shape->dim[d];
  return v;
}

/* Element [m,n] of c [.., ..] broadcast to [M,N]. */
static inline float broadcast_2d(const struct braid_tensor *c, int m, int n) {
  const int *dim = c->shape.dim;
  int rank = c->shape.rank, cols = rank > 0 ? dim[rank - 1] : 1, rows = rank > 1 ? dim[rank - 2] : 1;
  return ((const float *)c->data)[(size_t)(rows == 1 ? 0 : m) * cols + (cols == 1 ? 0 : n)];
}

/* ------------------------------------------------------------------------------------------------- bands
 * A band of a dense tensor is `count` runs of `n` elements; run i starts at element first + i * stride. */
struct runs {
  size_t count, first, stride, n;
};

static inline struct runs runs_of(const struct braid_shape *shape, struct braid_band band) {
  struct runs r = {1, 0, 0, 0};
  size_t inner = 1;
  int axis = braid_slice_axis(shape);
  for (int d = 0; d < axis; d++) r.count *= (size_t)shape->dim[d];
  for (int d = axis + 1; d < shape->rank; d++) inner *= (size_t)shape->dim[d];
  r.stride = (size_t)braid_slice_rows(shape) * inner;
  r.first = (size_t)band.begin * inner;
  r.n = (size_t)(band.end - band.begin) * inner;
  return r;
}

/* ----------------------------------------------------------------------------------------------- windows
 * The outputs o in [lo,hi) whose tap o * stride + offset lies in [0,extent); n outputs in all. */
struct taps {
  int lo, hi;
};

static inline struct taps taps_inside(int extent, int stride, int offset, int n) {
  struct taps t = {offset < 0 ? (-offset + stride - 1) / stride : 0, 0};
  int last = extent - 1 - offset;
  if (last >= 0) t.hi = last / stride + 1 < n ? last / stride + 1 : n;
  if (t.lo > t.hi) t.lo = t.hi;
  return t;
}

#endif
