/* SPDX-License-Identifier: Apache-2.0
 * A braid_evaluator over the reference kernels, for tests of models (which knows no kernels). Link braid_kernels. */
#ifndef TESTS_SUPPORT_REF_EVALUATOR_H
#define TESTS_SUPPORT_REF_EVALUATOR_H

#include "braid/kernels.h"
#include "braid/models.h"

#include <string.h>

static inline enum braid_status ref_run(const struct braid_kernel_args *args) {
  const struct braid_kernel *kernel = braid_kernel_find(args, 0);
  if (!kernel) {
    return braid_fail(BRAID_EUNSUPPORTED, "no reference kernel for %s of %s", braid_op_name(args->op),
                      braid_dtype_name(args->out.dtype));
  }
  int rows = braid_slice_rows(&args->out.shape);
  void *packed = kernel->packed_bytes ? braid_alloc_aligned(kernel->packed_bytes(args) + 1) : NULL;
  void *scratch = kernel->scratch_bytes ? braid_alloc_aligned(kernel->scratch_bytes(args, rows) + 1) : NULL;
  if (kernel->pack) kernel->pack(args, packed);
  kernel->run(args, packed, scratch, (struct braid_band){0, rows});
  braid_free(packed);
  braid_free(scratch);
  return BRAID_OK;
}

static inline enum braid_status ref_evaluate(void *ctx, enum braid_op op, const union braid_attrs *attrs,
                                             const struct braid_tensor *in, const bool *present, int n_in,
                                             struct braid_tensor *out) {
  struct braid_kernel_args args = {
      .op = op, .attrs = *attrs, .act = {.op = BRAID_ACT_NONE}, .n_in = n_in, .out = *out};
  (void)ctx;
  for (int i = 0; i < n_in; i++) {
    args.in[i] = in[i];
    args.present[i] = args.constant[i] = present[i];
  }
  return ref_run(&args);
}

static inline struct braid_evaluator ref_evaluator(void) { return (struct braid_evaluator){ref_evaluate, NULL}; }

#endif
