/* SPDX-License-Identifier: Apache-2.0
 * One layer with data, computed by any kernel that accepts it, or as the bare matrix product that it amounts to. */
#ifndef BRAID_CLI_LAYER_CASE_H
#define BRAID_CLI_LAYER_CASE_H

#include "braid/kernels.h"
#include "kernel_team.h"
#include "layer_shapes.h"

struct layer_case {
  const struct layer_shape *layer;
  struct kernel_team *team;
  struct braid_kernel_args args;
  float *want;       /* by the reference kernel */
  float *product[3]; /* [m,k] and [k,n] of random numbers (transposed where a dense layer's are), [m,n] */
  int64_t reference_ns;
};
/* Random operands from a seed, and the reference kernel's result. Borrows layer and team. */
BRAID_NODISCARD enum braid_status layer_case_open(const struct layer_shape *layer, struct kernel_team *team,
                                                  struct layer_case *out);
void layer_case_close(struct layer_case *c);

/* A kernel ready to run on the case: packed, with scratch for every member of the team. */
struct kernel_run {
  const struct layer_case *c;
  const struct braid_kernel *kernel;
  void *packed;
  int bands;      /* members that get rows */
  void **scratch; /* [bands] */
};
BRAID_NODISCARD enum braid_status kernel_run_open(const struct layer_case *c, const struct braid_kernel *kernel,
                                                  struct kernel_run *out);
void kernel_run_close(struct kernel_run *run);
/* Computes the whole output once; ns. */
int64_t kernel_run_once(struct kernel_run *run);
/* Largest difference between the output that is there and the reference's, by the largest value of the latter; infinite
 * where one is not finite. layer_case_bound says how much may be. */
double layer_case_error(const struct layer_case *c);
double layer_case_bound(const struct layer_case *c);

/* OpenBLAS's sgemm of the case's product, once for each group and image, with as many threads as the team has; ns. */
int64_t layer_case_sgemm(struct layer_case *c);
/* Which of its kernels OpenBLAS has chosen for this CPU: "Haswell", "SkylakeX", ... */
const char *layer_case_sgemm_core(void);

#endif
