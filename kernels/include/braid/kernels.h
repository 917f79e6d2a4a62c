/* SPDX-License-Identifier: Apache-2.0
 *
 * braid/kernels.h: what computes one operator. A kernel computes one band of rows of one node's output on the
 * calling thread; it knows no graph, starts no thread and allocates nothing while it runs. For every operator
 * there is a reference kernel (kernels/ref, obvious loops, the definition of the result); faster ones stand before
 * it in the table and are chosen by CPU flags and shape.
 */
#ifndef BRAID_KERNELS_H
#define BRAID_KERNELS_H

#include "braid/base.h"

#pragma GCC visibility push(default)
BRAID_BEGIN_DECLS

#define BRAID_MAX_OPERANDS 64

/* One operator, its operands and its output. in[i].data of activations and out.data may be NULL when a kernel is
 * chosen or packed; constants have data then. An absent optional operand has `present[i]` false. Dense tensors.
 * A node with more than BRAID_MAX_OPERANDS operands is refused at import (Concat and Sum are split there). */
struct braid_kernel_args {
  enum braid_op op;
  union braid_attrs attrs;
  struct braid_act act;
  int n_in;
  bool present[BRAID_MAX_OPERANDS], constant[BRAID_MAX_OPERANDS];
  struct braid_tensor in[BRAID_MAX_OPERANDS];
  struct braid_tensor out;
};

enum braid_cpu_flag {
  BRAID_CPU_BLAS = 1 << 0, /* OpenBLAS may be called (portable base of the fast kernels) */
  BRAID_CPU_AVX2 = 1 << 1, /* AVX2 + FMA + F16C */
  BRAID_CPU_AVX512 = 1 << 2, /* F, BW, VL, DQ */
  BRAID_CPU_NEON = 1 << 3,
  BRAID_CPU_AVX_VNNI = 1 << 8,    /* with AVX2: dot products of bytes */
  BRAID_CPU_AVX512_VNNI = 1 << 9, /* with AVX-512, likewise */
  BRAID_CPU_AVX512_BF16 = 1 << 10 /* with AVX-512: dot products of bfloat16 */
};
/* What this CPU and build can run. 0 selects the reference kernels everywhere. */
uint32_t braid_cpu_flags(void);
const char *braid_cpu_flags_text(uint32_t flags, char *buf, size_t size);

struct braid_kernel {
  const char *name; /* "conv2d_f32__im2col_blas" */
  enum braid_op op;
  uint32_t needs; /* CPU flags */
  /* Bit k: the output may share memory with in[k] (same bytes; element i of the output depends on element i of in[k]
   * and no other element of in[k]). With one operand at a time, or with one that is given twice. */
  uint32_t in_place;
  /* Can it compute bands of rows? If not, it is called once with the whole output. */
  bool sliceable;
  bool (*accepts)(const struct braid_kernel_args *args); /* can compute it */
  /* Is it worth taking for args that it accepts, as far as a rule can tell? NULL: always. Where not, it is still there
   * for those who measure. */
  bool (*pays)(const struct braid_kernel_args *args);
  /* Bands of fewer rows are better left to another kernel; NULL: any band is fine. */
  int (*fewest_rows)(const struct braid_kernel_args *args);
  /* Constant operands rearranged once, before the first run; NULL functions where nothing is packed. */
  size_t (*packed_bytes)(const struct braid_kernel_args *args);
  void (*pack)(const struct braid_kernel_args *args, void *packed);
  /* Scratch for one call of at most `rows` rows; 64-byte aligned by the caller; NULL for none. */
  size_t (*scratch_bytes)(const struct braid_kernel_args *args, int rows);
  /* Computes rows [band) of args->out (see braid_slice_axis). Reads only what those rows need; writes only them. */
  void (*run)(const struct braid_kernel_args *args, const void *packed, void *scratch, struct braid_band band);
};

/* Can it compute args, on a CPU with these flags? Does it pay? */
static inline bool braid_kernel_can(const struct braid_kernel *kernel, const struct braid_kernel_args *args,
                                    uint32_t flags) {
  return kernel->op == args->op && (kernel->needs & ~flags) == 0 && kernel->accepts(args);
}
static inline bool braid_kernel_pays(const struct braid_kernel *kernel, const struct braid_kernel_args *args) {
  return !kernel->pays || kernel->pays(args);
}

/* The most preferred kernel for args whose needs are within `flags`, which accepts args and pays for them; NULL when
 * none does (the operator does not exist for these types). Deterministic. */
const struct braid_kernel *braid_kernel_find(const struct braid_kernel_args *args, uint32_t flags);
/* The whole table, most preferred first within an operator, for tests and benchmarks. */
const struct braid_kernel *const *braid_kernels(int *n);

BRAID_END_DECLS
#pragma GCC visibility pop
#endif
