/* SPDX-License-Identifier: Apache-2.0 */
#include "layer_case.h"

#include <cblas.h>
#include <float.h>
#include <math.h>
#include <string.h>

/* -------------------------------------------------------------------------------------------------- data */

/* Uniform in [-1,1), the same ones each time. */
static enum braid_status random_tensor(const struct braid_shape *shape, uint64_t seed, struct braid_tensor *out) {
  size_t bytes;
  BRAID_TRY(braid_shape_bytes(shape, BRAID_F32, &bytes));
  float *data = braid_alloc_aligned(bytes);
  if (!data) return braid_fail(BRAID_ENOMEM, "no memory for a tensor of %zu bytes", bytes);
  for (size_t i = 0; i < bytes / sizeof *data; i++) data[i] = (float)(braid_random_u64(seed, i) >> 40) / 8388608.0f - 1;
  *out = (struct braid_tensor){data, BRAID_F32, *shape};
  return BRAID_OK;
}

static enum braid_status operand(struct braid_kernel_args *a, int k, bool constant, struct braid_shape shape) {
  BRAID_TRY(random_tensor(&shape, (uint64_t)k + 1, &a->in[k]));
  a->present[k] = true;
  a->constant[k] = constant;
  return BRAID_OK;
}

static enum braid_status conv_operands(const struct layer_shape *l, struct braid_kernel_args *a) {
  struct braid_conv_attrs *conv = &a->attrs.conv;
  memcpy(conv->kernel, l->kernel, sizeof conv->kernel);
  memcpy(conv->stride, l->stride, sizeof conv->stride);
  memcpy(conv->dilation, l->dilation, sizeof conv->dilation);
  memcpy(conv->pad, l->pad, sizeof conv->pad);
  conv->group = l->group;
  a->n_in = 4;
  BRAID_TRY(operand(a, 0, false, braid_shape_of(4, (int[]){l->batch, l->in[0], l->in[1], l->in[2]})));
  BRAID_TRY(operand(a, 1, true, braid_shape_of(4, (int[]){l->out, l->in[0] / l->group, l->kernel[0], l->kernel[1]})));
  if (l->bias) BRAID_TRY(operand(a, 2, true, braid_shape_of(1, &l->out)));
  return l->residual ? operand(a, 3, false, layer_shape_out(l)) : BRAID_OK;
}

static enum braid_status gemm_operands(const struct layer_shape *l, struct braid_kernel_args *a) {
  const int mk[] = {l->m, l->k}, km[] = {l->k, l->m}, kn[] = {l->k, l->n}, nk[] = {l->n, l->k};
  a->attrs.gemm = (struct braid_gemm_attrs){1, 1, l->trans_a, l->trans_b};
  a->n_in = 3;
  BRAID_TRY(operand(a, 0, false, braid_shape_of(2, l->trans_a ? km : mk)));
  BRAID_TRY(operand(a, 1, true, braid_shape_of(2, l->trans_b ? nk : kn)));
  return l->bias ? operand(a, 2, true, braid_shape_of(1, &l->n)) : BRAID_OK;
}

static enum braid_status product_operands(struct layer_case *c) {
  struct layer_product p = layer_shape_product(c->layer);
  const int dim[3][2] = {{p.m, p.k}, {p.k, p.n}, {p.m, p.n}};
  for (int i = 0; i < 3; i++) {
    struct braid_tensor t;
    struct braid_shape shape = braid_shape_of(2, dim[i]);
    BRAID_TRY(random_tensor(&shape, 11 + (uint64_t)i, &t));
    c->product[i] = t.data;
  }
  return BRAID_OK;
}

static enum braid_status run_reference(struct layer_case *c) {
  struct kernel_run run;
  size_t bytes;
  const struct braid_kernel *ref = braid_kernel_find(&c->args, 0);
  if (!ref) return braid_fail(BRAID_EUNSUPPORTED, "%s: it has no reference kernel", c->layer->name);
  BRAID_TRY(braid_shape_bytes(&c->args.out.shape, BRAID_F32, &bytes));
  c->want = braid_alloc_aligned(bytes);
  if (!c->want) return braid_fail(BRAID_ENOMEM, "no memory for %zu bytes of results", bytes);
  BRAID_TRY(kernel_run_open(c, ref, &run));
  c->reference_ns = kernel_run_once(&run);
  kernel_run_close(&run);
  memcpy(c->want, c->args.out.data, bytes);
  return BRAID_OK;
}

enum braid_status layer_case_open(const struct layer_shape *layer, struct kernel_team *team, struct layer_case *out) {
  struct layer_case c = {.layer = layer, .team = team, .args = {.op = layer->op, .act = layer->act}};
  struct braid_shape shape = layer_shape_out(layer);
  enum braid_status status = random_tensor(&shape, 4, &c.args.out);
  if (status == BRAID_OK)
    status = layer->op == BRAID_OP_CONV ? conv_operands(layer, &c.args) : gemm_operands(layer, &c.args);
  if (status == BRAID_OK) status = product_operands(&c);
  if (status == BRAID_OK) status = run_reference(&c);
  if (status == BRAID_OK)
    *out = c;
  else
    layer_case_close(&c);
  return status;
}

void layer_case_close(struct layer_case *c) {
  for (int k = 0; k < c->args.n_in; k++) braid_free(c->args.in[k].data);
  for (int i = 0; i < 3; i++) braid_free(c->product[i]);
  braid_free(c->args.out.data);
  braid_free(c->want);
}

/* ------------------------------------------------------------------------------------------------ kernels */

enum braid_status kernel_run_open(const struct layer_case *c, const struct braid_kernel *kernel,
                                  struct kernel_run *out) {
  int rows = braid_slice_rows(&c->args.out.shape), members = kernel_team_size(c->team);
  struct kernel_run r = {.c = c, .kernel = kernel, .bands = !kernel->sliceable ? 1 : members < rows ? members : rows};
  size_t packed = kernel->packed_bytes ? kernel->packed_bytes(&c->args) : 0;
  size_t scratch = kernel->scratch_bytes ? kernel->scratch_bytes(&c->args, (rows + r.bands - 1) / r.bands) : 0;
  r.scratch = braid_calloc((size_t)r.bands, sizeof *r.scratch);
  bool whole = r.scratch && (packed == 0 || (r.packed = braid_alloc_aligned(packed)));
  for (int i = 0; i < r.bands && whole && scratch > 0; i++) whole = (r.scratch[i] = braid_alloc_aligned(scratch));
  if (!whole) {
    kernel_run_close(&r);
    return braid_fail(BRAID_ENOMEM, "no memory for %s: %zu bytes packed, %zu of scratch", kernel->name, packed,
                      scratch);
  }
  if (packed > 0) kernel->pack(&c->args, r.packed);
  *out = r;
  return BRAID_OK;
}

void kernel_run_close(struct kernel_run *r) {
  for (int i = 0; i < r->bands && r->scratch; i++) braid_free(r->scratch[i]);
  braid_free(r->scratch);
  braid_free(r->packed);
}

static void run_band(void *ctx, int member) {
  struct kernel_run *r = ctx;
  if (member >= r->bands) return;
  struct braid_band band = braid_slice_band(braid_slice_rows(&r->c->args.out.shape), r->bands, member);
  r->kernel->run(&r->c->args, r->packed, r->scratch[member], band);
}

int64_t kernel_run_once(struct kernel_run *r) {
  struct braid_clock clock = braid_clock_monotonic();
  int64_t begin = braid_now_ns(&clock);
  kernel_team_run(r->c->team, run_band, r);
  return braid_now_ns(&clock) - begin;
}

/* ------------------------------------------------------------------------------------------------ checking */

double layer_case_error(const struct layer_case *c) {
  int64_t n = braid_shape_elements(&c->args.out.shape);
  const float *got = c->args.out.data;
  double worst = 0, scale = DBL_MIN;
  for (int64_t i = 0; i < n; i++) {
    double d = fabs((double)got[i] - (double)c->want[i]);
    if (!isfinite(d)) return (double)INFINITY;
    worst = fmax(worst, d);
    scale = fmax(scale, fabs((double)c->want[i]));
  }
  return worst / scale;
}

/* A sum of K products in floats, in whatever order, is off by at most K u of the sum of their absolute values (u =
 * 2^-24), two such by twice that; with random signs the largest result is some part of that sum, and errors cancel
 * likewise. */
double layer_case_bound(const struct layer_case *c) {
  return (layer_shape_product(c->layer).k + 16) * (double)FLT_EPSILON;
}

int64_t layer_case_sgemm(struct layer_case *c) {
  const struct layer_shape *l = c->layer;
  struct layer_product p = layer_shape_product(c->layer);
  struct braid_clock clock = braid_clock_monotonic();
  int times = p.groups * (l->op == BRAID_OP_CONV ? l->batch : 1);
  openblas_set_num_threads(kernel_team_size(c->team));
  int64_t begin = braid_now_ns(&clock);
  for (int i = 0; i < times; i++)
    cblas_sgemm(CblasRowMajor, l->trans_a ? CblasTrans : CblasNoTrans, l->trans_b ? CblasTrans : CblasNoTrans, p.m, p.n,
                p.k, 1, c->product[0], l->trans_a ? p.m : p.k, c->product[1], l->trans_b ? p.k : p.n, 0, c->product[2],
                p.n);
  int64_t ns = braid_now_ns(&clock) - begin;
  openblas_set_num_threads(1); /* what kernels count on */
  return ns;
}

const char *layer_case_sgemm_core(void) {
  return openblas_get_corename();
}
