/* SPDX-License-Identifier: Apache-2.0
 *
 * Gemm and MatMul on OpenBLAS. Bands of Gemm are columns of its output: a range of columns of b, or of rows where b is
 * transposed (as fully connected layers store it), read once and streamed; one row of a is a matrix-vector product. */
#include "blas.h"

#include "activation.h"

#include <cblas.h>

/* y [columns) of one output row = beta * c, c broadcast from [M,N], [N], [M,1] or a scalar. */
static void spread_c(const struct braid_kernel_args *args, float *y, int m, struct braid_band band) {
  const struct braid_tensor *c = &args->in[2];
  int rank = c->shape.rank, cols = rank > 0 ? c->shape.dim[rank - 1] : 1, rows = rank > 1 ? c->shape.dim[rank - 2] : 1;
  const float *from = (const float *)c->data + (size_t)(rows == 1 ? 0 : m) * (size_t)cols;
  float beta = args->attrs.gemm.beta;
  for (int n = band.begin; n < band.end; n++) y[n] = beta * from[cols == 1 ? 0 : n];
}

static void gemm_run(const struct braid_kernel_args *args, const void *packed, void *scratch, struct braid_band band) {
  (void)packed, (void)scratch;
  const struct braid_gemm_attrs *g = &args->attrs.gemm;
  const int *a_dim = args->in[0].shape.dim, *b_dim = args->in[1].shape.dim;
  int m = args->out.shape.dim[0], n_all = args->out.shape.dim[1], n = band.end - band.begin;
  int k = a_dim[g->trans_a ? 0 : 1], lda = a_dim[1], ldb = b_dim[1];
  const float *a = in_f32(args, 0), *b = in_f32(args, 1) + (size_t)band.begin * (size_t)(g->trans_b ? ldb : 1);
  float *y = out_f32(args), beta = has_in(args, 2) ? 1.0f : 0.0f;
  blas_ready();
  for (int i = 0; has_in(args, 2) && i < m; i++) spread_c(args, y + (size_t)i * n_all, i, band);
  if (m == 1)
    cblas_sgemv(CblasRowMajor, g->trans_b ? CblasNoTrans : CblasTrans, g->trans_b ? n : k, g->trans_b ? k : n, g->alpha,
                b, ldb, a, 1, beta, y + band.begin, 1);
  else
    cblas_sgemm(CblasRowMajor, g->trans_a ? CblasTrans : CblasNoTrans, g->trans_b ? CblasTrans : CblasNoTrans, m, n, k,
                g->alpha, a, lda, b, ldb, beta, y + band.begin, n_all);
  for (int i = 0; i < m; i++) act_run_f32(&args->act, y + (size_t)i * n_all + band.begin, (size_t)n);
}

/* K = 0 is left to the reference: leading dimensions of 0 are errors to BLAS. */
static bool gemm_accepts(const struct braid_kernel_args *args) {
  if (!all_f32(args) || args->out.shape.rank != 2 || args->in[0].shape.rank != 2 || args->in[1].shape.rank != 2)
    return false;
  return braid_shape_elements(&args->in[0].shape) > 0 && braid_shape_elements(&args->in[1].shape) > 0 &&
         (!has_in(args, 2) || args->in[2].shape.rank <= 2);
}

/* MatMul of [.., M,K] by [.., K,N]. The output's slice axis is N for rank 2 and M for ranks 3 and 4. */
struct product {
  int m, n, k, batch;
  bool shared_a, shared_b; /* one matrix for the whole batch */
};

static int64_t batch_of(const struct braid_shape *shape) {
  int64_t n = 1;
  for (int d = 0; d < shape->rank - 2; d++) n *= shape->dim[d];
  return n;
}

static struct product product_of(const struct braid_kernel_args *args) {
  const struct braid_shape *a = &args->in[0].shape, *b = &args->in[1].shape;
  struct product v = {.m = a->dim[a->rank - 2],
                      .n = b->dim[b->rank - 1],
                      .k = a->dim[a->rank - 1],
                      .batch = (int)batch_of(&args->out.shape)};
  v.shared_a = batch_of(a) == 1;
  v.shared_b = batch_of(b) == 1;
  return v;
}

static void matmul_run(const struct braid_kernel_args *args, const void *packed, void *scratch,
                       struct braid_band band) {
  (void)packed, (void)scratch;
  struct product v = product_of(args);
  bool columns = args->out.shape.rank == 2;
  int m0 = columns ? 0 : band.begin, n0 = columns ? band.begin : 0;
  int m = columns ? v.m : band.end - band.begin, n = columns ? band.end - band.begin : v.n;
  blas_ready();
  for (int i = 0; i < v.batch; i++) {
    const float *a = in_f32(args, 0) + ((v.shared_a ? 0 : (size_t)i * v.m) + m0) * v.k;
    const float *b = in_f32(args, 1) + (v.shared_b ? 0 : (size_t)i * v.k * v.n) + n0;
    float *y = out_f32(args) + ((size_t)i * v.m + m0) * v.n + n0;
    if (m == 1)
      cblas_sgemv(CblasRowMajor, CblasTrans, v.k, n, 1.0f, b, v.n, a, 1, 0.0f, y, 1);
    else
      cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, m, n, v.k, 1.0f, a, v.k, b, v.n, 0.0f, y, v.n);
    for (int r = 0; r < m; r++) act_run_f32(&args->act, y + (size_t)r * v.n, (size_t)n);
  }
}

static bool matmul_accepts(const struct braid_kernel_args *args) {
  const struct braid_shape *a = &args->in[0].shape, *b = &args->in[1].shape, *out = &args->out.shape;
  if (!all_f32(args) || a->rank < 2 || b->rank < 2 || out->rank > 4) return false;
  if (braid_shape_elements(a) <= 0 || braid_shape_elements(b) <= 0) return false;
  int64_t batch = batch_of(out);
  return batch < INT32_MAX && (batch_of(a) == 1 || batch_of(a) == batch) && (batch_of(b) == 1 || batch_of(b) == batch);
}

const struct braid_kernel kernels_blas_gemm[] = {
    {.name = "gemm_f32__blas",
     .op = BRAID_OP_GEMM,
     .needs = BRAID_CPU_BLAS,
     .sliceable = true,
     .accepts = gemm_accepts,
     .run = gemm_run},
    {.name = "matmul_f32__blas",
     .op = BRAID_OP_MATMUL,
     .needs = BRAID_CPU_BLAS,
     .sliceable = true,
     .accepts = matmul_accepts,
     .run = matmul_run},
    {0},
};
