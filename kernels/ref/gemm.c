/* SPDX-License-Identifier: Apache-2.0
 *
 * Gemm and MatMul. Products are summed in the order of k. Gemm's bands are columns (its output has rank 2); MatMul's
 * are whatever the slice axis of its output is. */
#include "activation.h"
#include "nest.h"

static float dot(const float *a, size_t a_step, const float *b, size_t b_step, int k) {
  float sum = 0.0f;
  for (int i = 0; i < k; i++) sum += a[(size_t)i * a_step] * b[(size_t)i * b_step];
  return sum;
}

static void gemm_run(const struct braid_kernel_args *args, const void *packed, void *scratch, struct braid_band band) {
  (void)packed, (void)scratch;
  const struct braid_gemm_attrs *g = &args->attrs.gemm;
  const int *a_dim = args->in[0].shape.dim, *b_dim = args->in[1].shape.dim;
  int m_all = args->out.shape.dim[0], n_all = args->out.shape.dim[1], k = a_dim[g->trans_a ? 0 : 1];
  size_t a_row = g->trans_a ? 1 : (size_t)a_dim[1], a_step = g->trans_a ? (size_t)a_dim[1] : 1;
  size_t b_col = g->trans_b ? (size_t)b_dim[1] : 1, b_step = g->trans_b ? 1 : (size_t)b_dim[1];
  for (int m = 0; m < m_all; m++)
    for (int n = band.begin; n < band.end; n++) {
      float y = g->alpha * dot(in_f32(args, 0) + m * a_row, a_step, in_f32(args, 1) + n * b_col, b_step, k);
      if (has_in(args, 2)) y += g->beta * broadcast_2d(&args->in[2], m, n);
      out_f32(args)[(size_t)m * n_all + n] = act_f32(&args->act, y);
    }
}

static bool gemm_accepts(const struct braid_kernel_args *args) {
  return all_f32(args) && args->out.shape.rank == 2 && args->in[0].shape.rank == 2 && args->in[1].shape.rank == 2 &&
         (!has_in(args, 2) || args->in[2].shape.rank <= 2);
}

/* MatMul as numpy's: rank-1 operands are a row / a column, leading dimensions are broadcast. */
struct matmul {
  int m, n, k;
  struct braid_shape batch_out, batch_a, batch_b;
};

static struct braid_shape leading(const struct braid_shape *shape, int n) {
  struct braid_shape s = {.rank = n > 0 ? n : 0};
  for (int d = 0; d < s.rank; d++) s.dim[d] = shape->dim[d];
  return s;
}

static struct matmul matmul_of(const struct braid_kernel_args *args) {
  const struct braid_shape *a = &args->in[0].shape, *b = &args->in[1].shape, *out = &args->out.shape;
  struct matmul v = {.m = a->rank > 1 ? a->dim[a->rank - 2] : 1,
                     .n = b->rank > 1 ? b->dim[b->rank - 1] : 1,
                     .k = a->dim[a->rank - 1],
                     .batch_a = leading(a, a->rank - 2),
                     .batch_b = leading(b, b->rank - 2)};
  v.batch_out = leading(out, out->rank - (a->rank > 1) - (b->rank > 1));
  return v;
}

/* Which matrix of an operand's batch goes with matrix `index` of the output's batch. */
static size_t batch_index(size_t index, const struct braid_shape *out, const struct braid_shape *in) {
  size_t at = 0, step = 1;
  for (int d = out->rank - 1, e = in->rank - 1; e >= 0; d--, e--) {
    size_t coordinate = index % (size_t)out->dim[d];
    index /= (size_t)out->dim[d];
    if (in->dim[e] != 1) at += coordinate * step;
    step *= (size_t)in->dim[e];
  }
  return at;
}

#define MATMUL_TYPES(X)                                                                                                \
  X(F64, double, double)                                                                                               \
  X(I32, int32_t, uint32_t)                                                                                            \
  X(U32, uint32_t, uint32_t)                                                                                           \
  X(I64, int64_t, uint64_t)                                                                                            \
  X(U64, uint64_t, uint64_t)

#define X(id, T, SUM)                                                                                                  \
  static T dot_##id(const T *a, const T *b, size_t b_step, int k) {                                                    \
    SUM sum = 0;                                                                                                       \
    for (int i = 0; i < k; i++) sum += (SUM)a[i] * (SUM)b[(size_t)i * b_step];                                         \
    return (T)sum;                                                                                                     \
  }
MATMUL_TYPES(X)
#undef X

static void matmul_element(const struct braid_kernel_args *args, const struct matmul *v, size_t i) {
  size_t n = i % (size_t)v->n, m = i / (size_t)v->n % (size_t)v->m, batch = i / (size_t)v->n / (size_t)v->m;
  size_t a = (batch_index(batch, &v->batch_out, &v->batch_a) * v->m + m) * v->k;
  size_t b = batch_index(batch, &v->batch_out, &v->batch_b) * v->k * v->n + n;
  const void *x = args->in[0].data, *w = args->in[1].data;
  void *y = args->out.data;
  switch (args->out.dtype) {
#define X(id, T, SUM)                                                                                                  \
  case BRAID_##id: ((T *)y)[i] = dot_##id((const T *)x + a, (const T *)w + b, (size_t)v->n, v->k); break;
    MATMUL_TYPES(X)
#undef X
  default:
    out_f32(args)[i] = act_f32(&args->act, dot(in_f32(args, 0) + a, 1, in_f32(args, 1) + b, (size_t)v->n, v->k));
  }
}

static void matmul_run(const struct braid_kernel_args *args, const void *packed, void *scratch,
                       struct braid_band band) {
  (void)packed, (void)scratch;
  struct matmul v = matmul_of(args);
  struct runs r = runs_of(&args->out.shape, band);
  for (size_t run = 0; run < r.count; run++)
    for (size_t i = r.first + run * r.stride, end = i + r.n; i < end; i++)
      matmul_element(args, &v, i);
}

static bool other_types(const struct braid_kernel_args *args) {
  switch (args->out.dtype) {
#define X(id, T, SUM) case BRAID_##id:
    MATMUL_TYPES(X)
#undef X
    return all_in_are(args, args->out.dtype) && no_act(args);
  default: return false;
  }
}

static bool matmul_accepts(const struct braid_kernel_args *args) {
  return (all_f32(args) || other_types(args)) && args->in[0].shape.rank >= 1 && args->in[1].shape.rank >= 1;
}

const struct braid_kernel kernels_ref_gemm[] = {
    {.name = "gemm_f32__ref", .op = BRAID_OP_GEMM, .sliceable = true, .accepts = gemm_accepts, .run = gemm_run},
    {.name = "matmul__ref", .op = BRAID_OP_MATMUL, .sliceable = true, .accepts = matmul_accepts, .run = matmul_run},
    {0},
};
