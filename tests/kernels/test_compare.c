/* SPDX-License-Identifier: Apache-2.0
 *
 * The one comparer: every kernel of braid_kernels() against its reference over random cases, computed in random bands,
 * between guard bytes. A new row of the table inherits this test without being named here.
 *
 * Bounds. A sum of K products in floats, in whatever order and with or without FMA, is off by at most
 * K*u/(1-K*u) * S, where u = 2^-24 and S is the sum of the products' absolute values (Higham, Accuracy and Stability of
 * Numerical Algorithms, 3.1); two such sums differ by at most twice that. S is what the reference makes of the absolute
 * values. An activation stretches a difference by its steepest slope and adds its own error (vector/math.inl states it).
 * On small integers every sum is exact, and the results must be equal; not so for most that transform operands. */
#include "cases.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <float.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { GUARD = 64, CASES = 120 };
static const double unit = 1.0 / (1 << 24);

static uint64_t base_seed(void) {
  const char *text = getenv("BRAID_SEED");
  return text && *text ? strtoull(text, NULL, 0) : 1;
}

/* Of every operator: fewer where an emulator runs them. */
static int n_cases(void) {
  const char *text = getenv("BRAID_CASES");
  int n = text ? atoi(text) : CASES;
  return n > 0 && n < CASES ? n : CASES;
}

static uint64_t seed_of(enum braid_op op, int i) { return base_seed() * 1000003 + (uint64_t)op * 100003 + (uint64_t)i; }

static void fail(const struct kernel_case *c, const struct braid_kernel *kernel, const char *format, ...)
    BRAID_PRINTF(3, 4);
static void fail(const struct kernel_case *c, const struct braid_kernel *kernel, const char *format, ...) {
  char shape[512], why[256];
  va_list list;
  va_start(list, format);
  vsnprintf(why, sizeof why, format, list);
  va_end(list);
  cr_assert_fail("%s: %s: %s (case seed %llu; BRAID_SEED=%llu)", kernel->name, case_text(c, shape, sizeof shape), why,
                 (unsigned long long)c->seed, (unsigned long long)base_seed());
}

/* Memory with guards on both sides, aligned to 64 bytes. */
struct guarded {
  unsigned char *base;
  size_t bytes;
};

static struct guarded guarded_make(size_t bytes) {
  struct guarded g = {aligned_alloc(64, (bytes + 2 * GUARD + 63) / 64 * 64), bytes};
  memset(g.base, 0xA5, (bytes + 2 * GUARD + 63) / 64 * 64);
  return g;
}
static void *guarded_data(const struct guarded *g) { return g->base + GUARD; }
static bool guarded_intact(const struct guarded *g) {
  for (size_t i = 0; i < GUARD; i++)
    if (g->base[i] != 0xA5 || g->base[GUARD + g->bytes + i] != 0xA5) return false;
  return true;
}

static bool in_band(const struct braid_shape *shape, enum braid_dtype dtype, struct braid_band band, size_t byte) {
  size_t inner = braid_dtype_bytes(dtype), rows = (size_t)braid_slice_rows(shape);
  for (int d = braid_slice_axis(shape) + 1; d < shape->rank; d++) inner *= (size_t)shape->dim[d];
  size_t row = byte / inner % rows;
  return row >= (size_t)band.begin && row < (size_t)band.end;
}

/* One call for one band, with scratch of exactly the promised size. */
static void run_band(const struct kernel_case *c, const struct braid_kernel *kernel,
                     const struct braid_kernel_args *args, const void *packed, struct braid_band band) {
  size_t bytes = kernel->scratch_bytes ? kernel->scratch_bytes(args, band.end - band.begin) : 0;
  struct guarded scratch = guarded_make(bytes);
  kernel->run(args, packed, bytes ? guarded_data(&scratch) : NULL, band);
  if (!guarded_intact(&scratch)) fail(c, kernel, "wrote outside its scratch");
  free(scratch.base);
}

/* The first band is checked to leave all others alone. */
static void check_outside(const struct kernel_case *c, const struct braid_kernel *kernel, const struct guarded *out,
                          struct braid_band band) {
  const struct braid_tensor *t = &c->args.out;
  for (size_t i = 0; i < out->bytes; i++)
    if (((unsigned char *)guarded_data(out))[i] != 0xA5 && !in_band(&t->shape, t->dtype, band, i))
      fail(c, kernel, "band [%d,%d) wrote byte %zu", band.begin, band.end, i);
}

static void *pack(const struct braid_kernel *kernel, const struct braid_kernel_args *args) {
  size_t bytes = kernel->packed_bytes ? kernel->packed_bytes(args) : 0;
  void *packed = bytes ? braid_alloc_aligned(bytes) : NULL;
  if (packed) kernel->pack(args, packed);
  return packed;
}

/* The whole output in `n` bands of random sizes. */
static struct guarded compute(struct kernel_case *c, const struct braid_kernel *kernel, int n) {
  struct braid_kernel_args args = c->args;
  struct guarded out = guarded_make(case_out_bytes(c));
  args.out.data = guarded_data(&out);
  void *packed = pack(kernel, &args);
  int rows = braid_slice_rows(&args.out.shape);
  if (!kernel->sliceable || n > rows) n = 1;
  for (int i = 0, at = 0; i < n; i++) {
    int end = i == n - 1 ? rows : case_int(c, at, rows);
    struct braid_band band = {at, end};
    if (band.end > band.begin) run_band(c, kernel, &args, packed, band);
    if (i == 0) check_outside(c, kernel, &out, band);
    at = end;
  }
  if (!guarded_intact(&out)) fail(c, kernel, "wrote outside its output");
  braid_free(packed);
  return out;
}

/* ------------------------------------------------------------------------------------------------- bounds */

static double slope(const struct braid_act *act) {
  switch (act->op) {
  case BRAID_OP_LEAKY_RELU:
  case BRAID_OP_ELU: return fmax(1.0, fabs((double)act->attrs.a));
  case BRAID_OP_HARD_SWISH: return 1.5;
  default: return 1.0;
  }
}

static bool is_sum(enum braid_op op) {
  switch (op) {
  case BRAID_OP_NORMALIZE:
  case BRAID_OP_CONV:
  case BRAID_OP_CONV_TRANSPOSE:
  case BRAID_OP_GEMM:
  case BRAID_OP_MATMUL:
  case BRAID_OP_AVERAGE_POOL:
  case BRAID_OP_GLOBAL_AVERAGE_POOL:
  case BRAID_OP_BATCH_NORMALIZATION:
  case BRAID_OP_ADD:
  case BRAID_OP_SUB:
  case BRAID_OP_MUL:
  case BRAID_OP_SUM: return true;
  default: return false;
  }
}

/* Operands whose sign is turned so that every term adds up: x - y, (x - mean) * .. */
static bool subtracted(enum braid_op op, int k) {
  return (op == BRAID_OP_SUB && k == 1) || (op == BRAID_OP_BATCH_NORMALIZATION && k == 3);
}

static void *absolute_bf16(const struct braid_tensor *t) {
  int64_t n = braid_shape_elements(&t->shape);
  uint16_t *x = malloc((size_t)n * sizeof *x + 1);
  for (int64_t i = 0; i < n; i++) x[i] = ((const uint16_t *)t->data)[i] & 0x7fff;
  return x;
}

/* The reference on absolute values, without activation: S of the bound. */
static float *absolute_sums(const struct kernel_case *c, const struct braid_kernel *ref) {
  struct braid_kernel_args args = c->args;
  args.act.op = BRAID_ACT_NONE;
  args.attrs = c->args.attrs;
  if (args.op == BRAID_OP_GEMM) {
    args.attrs.gemm.alpha = fabsf(args.attrs.gemm.alpha);
    args.attrs.gemm.beta = fabsf(args.attrs.gemm.beta);
  }
  for (int k = 0; k < args.n_in; k++) {
    if (args.present[k] && args.in[k].dtype == BRAID_BF16) args.in[k].data = absolute_bf16(&c->args.in[k]);
    if (!args.present[k] || args.in[k].dtype != BRAID_F32) continue;
    int64_t n = braid_shape_elements(&args.in[k].shape);
    float *x = malloc((size_t)n * sizeof *x + 1);
    for (int64_t i = 0; i < n; i++) {
      x[i] = fabsf(((float *)c->args.in[k].data)[i]);
      if (subtracted(args.op, k)) x[i] = -x[i];
    }
    args.in[k].data = x;
  }
  float *sums = malloc(case_out_bytes(c) + 1);
  args.out.data = sums;
  run_band(c, ref, &args, NULL, (struct braid_band){0, braid_slice_rows(&args.out.shape)});
  for (int k = 0; k < args.n_in; k++)
    if (args.present[k] && args.in[k].data != c->args.in[k].data) free(args.in[k].data);
  return sums;
}

/* Before an activation, for operators that are no sums: relative error times |y|, and an absolute part. */
static double own_error(const struct kernel_case *c, float x, double y) {
  struct braid_unary_attrs p = c->args.attrs.unary;
  double a = fabs((double)p.a), b = fabs((double)p.b), ax = fabs((double)x);
  switch (c->args.op) {
  case BRAID_OP_ELU: return 3e-7 * a + 5e-7 * fabs(y);
  case BRAID_OP_HARD_SIGMOID: return 4 * unit * (a * ax + b + 1);
  case BRAID_OP_HARD_SWISH: return 4 * unit * ax * (ax + 1);
  case BRAID_OP_GELU: return 6e-7 * (ax + 1);
  case BRAID_OP_LAYER_NORMALIZATION: return (c->terms + 8) * unit * 320; /* 1/sqrt(epsilon) is 317 */
  case BRAID_OP_ERF:
  case BRAID_OP_SIGMOID:
  case BRAID_OP_TANH:
  case BRAID_OP_EXP: return 6e-7 * fabs(y) + (double)FLT_MIN;
  case BRAID_OP_SOFTMAX: return (6e-7 + 2 * c->terms * unit) * fabs(y) + (double)FLT_MIN;
  case BRAID_OP_LRN: return 4 * c->terms * unit * fabs(y);
  case BRAID_OP_DIV:
  case BRAID_OP_SOFTSIGN:
  case BRAID_OP_SQRT:
  case BRAID_OP_RECIPROCAL: return 4 * unit * fabs(y);
  default: return 0; /* comparisons, copies, signs */
  }
}

/* Sums of transformed operands (vector/winograd.inl): an output's error comes from its neighbours' terms, too, so S is
 * the largest one's; and the transforms add and multiply, and what they make large cancels, which weighs most where
 * channels are few and a sum's own roundings, too. Of 660 cases without activation the largest errors with F(4x4) and
 * F(6x6) were 0.13 and 0.41 of what `times` 1 would allow, at 47 terms; fewer terms need more. F(2x2) is held to what a
 * direct sum is; it has halves and ones only, so small integers stay exact. */
struct transform {
  const char *name;
  double times;
  bool exact;
};

static struct transform transform_of(const struct braid_kernel *kernel) {
  static const struct transform known[] = {
      {"winograd2", 2, true}, {"winograd4", 5, false}, {"winograd6", 10, false}};
  for (size_t i = 0; i < sizeof known / sizeof *known; i++)
    if (strstr(kernel->name, known[i].name)) return known[i];
  return (struct transform){NULL, 2, true};
}

/* x: in[0] of a unary operator, S of a sum. */
static double bound(const struct kernel_case *c, const struct braid_kernel *kernel, float x, float y) {
  struct transform t = transform_of(kernel);
  if (c->exact && t.exact) return 0;
  double sum = t.times * (c->terms + 2) * unit * (double)x;
  double before = is_sum(c->args.op) ? sum : own_error(c, x, (double)y);
  switch (c->args.act.op) {
  case BRAID_ACT_NONE:
  case BRAID_OP_RELU:
  case BRAID_OP_CLIP: return before;
  default: /* y may be flattened by the activation: what it hid of |y| is bounded by |x| and the values' range */
    return slope(&c->args.act) * (before + (is_sum(c->args.op) ? 0 : 1e-6 * (1 + fabs((double)x) * 10))) +
           1e-6 * (1 + fabs((double)y));
  }
}

static bool same(float a, float b, double tolerance) {
  return a == b || (isnan(a) && isnan(b)) || fabs((double)a - (double)b) <= tolerance;
}

static void compare(const struct kernel_case *c, const struct braid_kernel *kernel, const void *got, const void *want,
                    const float *sums) {
  if (c->args.out.dtype != BRAID_F32) {
    if (memcmp(got, want, case_out_bytes(c)) != 0) fail(c, kernel, "bytes differ");
    return;
  }
  const float *y = got, *z = want, *x = c->args.in[0].data;
  bool own_x = c->args.in[0].dtype == BRAID_F32 &&
               braid_shape_elements(&c->args.in[0].shape) == braid_shape_elements(&c->args.out.shape);
  float most = 0;
  for (int64_t i = 0; sums && i < braid_shape_elements(&c->args.out.shape); i++) most = fmaxf(most, sums[i]);
  for (int64_t i = 0; i < braid_shape_elements(&c->args.out.shape); i++) {
    double tolerance = bound(c, kernel, sums && transform_of(kernel).name ? most : sums ? sums[i] : own_x ? x[i] : 0, z[i]);
    if (!same(y[i], z[i], tolerance))
      fail(c, kernel, "element %lld is %.9g, reference %.9g, allowed %.3g", (long long)i, (double)y[i], (double)z[i],
           tolerance);
  }
}

/* -------------------------------------------------------------------------------------------------- tests */

static int operators(int *ops) {
  int n = 0;
  for (int op = BRAID_OP_INPUT + 1; op < BRAID_OP_COUNT; op++) ops[n++] = op;
  return n;
}

ParameterizedTestParameters(kernels, fast_ones_equal_the_reference) {
  static int ops[BRAID_OP_COUNT];
  int n = operators(ops);
  return cr_make_param_array(int, ops, (size_t)n);
}

static void check_case(struct kernel_case *c, const struct braid_kernel *const *all, int n, int *accepted) {
  const struct braid_kernel *ref = braid_kernel_find(&c->args, 0);
  char text[512];
  cr_assert(ref, "no reference for %s", case_text(c, text, sizeof text));
  struct guarded want = compute(c, ref, 1);
  float *sums = c->args.out.dtype == BRAID_F32 && is_sum(c->args.op) ? absolute_sums(c, ref) : NULL;
  for (int k = 0; k < n; k++) {
    if (all[k]->op != c->args.op || all[k]->needs == 0 || (all[k]->needs & ~braid_cpu_flags())) continue;
    if (!all[k]->accepts(&c->args)) continue;
    accepted[k]++;
    struct guarded got = compute(c, all[k], case_int(c, 1, 5));
    compare(c, all[k], guarded_data(&got), guarded_data(&want), sums);
    free(got.base);
  }
  free(sums);
  free(want.base);
}

ParameterizedTest(int *op, kernels, fast_ones_equal_the_reference) {
  int n, accepted[512] = {0};
  const struct braid_kernel *const *all = braid_kernels(&n);
  for (int i = 0; i < n_cases(); i++) {
    struct kernel_case c;
    case_make((enum braid_op) * op, seed_of((enum braid_op) * op, i), &c);
    check_case(&c, all, n, accepted);
    case_free(&c);
  }
  for (int k = 0; n_cases() == CASES && k < n; k++)
    if ((int)all[k]->op == *op && all[k]->needs != 0 && (all[k]->needs & ~braid_cpu_flags()) == 0)
      cr_expect_gt(accepted[k], 0, "%s accepted none of the cases", all[k]->name);
}

ParameterizedTestParameters(kernels, reference_does_not_see_bands) {
  static int ops[BRAID_OP_COUNT];
  int n = operators(ops);
  return cr_make_param_array(int, ops, (size_t)n);
}

ParameterizedTest(int *op, kernels, reference_does_not_see_bands) {
  for (int i = 0; i < n_cases(); i++) {
    struct kernel_case c;
    case_make((enum braid_op) * op, seed_of((enum braid_op) * op, i) + 50021, &c);
    const struct braid_kernel *ref = braid_kernel_find(&c.args, 0);
    cr_assert(ref);
    if (!ref->sliceable) { /* operators that are never cut */
      case_free(&c);
      continue;
    }
    struct guarded whole = compute(&c, ref, 1), bands = compute(&c, ref, case_int(&c, 2, 7));
    if (memcmp(whole.base, bands.base, whole.bytes + 2 * GUARD) != 0) fail(&c, ref, "bands differ from the whole");
    free(whole.base);
    free(bands.base);
    case_free(&c);
  }
}

/* ------------------------------------------------------------------------------------------------ in place */

static bool may_lie_in(const struct kernel_case *c, const struct braid_kernel *kernel, int k) {
  const struct braid_tensor *in = &c->args.in[k];
  size_t bytes;
  return k < c->args.n_in && c->args.present[k] && (kernel->in_place >> k & 1) && in->dtype == c->args.out.dtype &&
         braid_shape_bytes(&in->shape, in->dtype, &bytes) == BRAID_OK && bytes == case_out_bytes(c) &&
         kernel->accepts(&c->args);
}

/* Rows from `middle` on first, then those before. */
static struct guarded compute_parts(struct kernel_case *c, const struct braid_kernel *kernel, int middle, int over) {
  struct braid_kernel_args args = c->args;
  struct guarded out = guarded_make(case_out_bytes(c));
  int rows = braid_slice_rows(&args.out.shape);
  args.out.data = guarded_data(&out);
  if (over >= 0) {
    memcpy(args.out.data, args.in[over].data, out.bytes);
    args.in[over].data = args.out.data;
  }
  void *packed = pack(kernel, &args);
  if (middle < rows) run_band(c, kernel, &args, packed, (struct braid_band){middle, rows});
  if (middle > 0) run_band(c, kernel, &args, packed, (struct braid_band){0, middle});
  braid_free(packed);
  return out;
}

/* The output over a copy of operand k: as with an output of its own. In two parts, where the rows are the same. */
static void check_in_place(struct kernel_case *c, const struct braid_kernel *kernel, int k) {
  int middle = braid_slice_rows(&c->args.out.shape);
  if (kernel->sliceable && braid_shape_equal(&c->args.in[k].shape, &c->args.out.shape)) middle = case_int(c, 0, middle);
  struct guarded own = compute_parts(c, kernel, middle, -1), shared = compute_parts(c, kernel, middle, k);
  if (memcmp(own.base, shared.base, own.bytes + 2 * GUARD) != 0) fail(c, kernel, "differs over operand %d", k);
  free(own.base);
  free(shared.base);
}

Test(kernels, output_may_share_memory_where_promised) {
  int n;
  const struct braid_kernel *const *all = braid_kernels(&n);
  for (int k = 0; k < n; k++) {
    if (!all[k]->in_place || (all[k]->needs & ~braid_cpu_flags())) continue;
    int checked[BRAID_MAX_OPERANDS] = {0}, accepted = 0;
    for (int i = 0; i < (all[k]->op == BRAID_OP_CONV ? 400 : 40); i++) {
      struct kernel_case c;
      case_make(all[k]->op, seed_of(all[k]->op, i) + 70001, &c);
      accepted += all[k]->accepts(&c.args);
      for (int operand = 0; operand < BRAID_MAX_OPERANDS; operand++) {
        if (!may_lie_in(&c, all[k], operand)) continue;
        check_in_place(&c, all[k], operand);
        checked[operand]++;
      }
      case_free(&c);
    }
    for (int operand = 0; accepted > 0 && operand < 32; operand++) /* cases know float64 of few operators */
      if (all[k]->in_place >> operand & 1)
        cr_expect_gt(checked[operand], 0, "%s was never tried over operand %d", all[k]->name, operand);
  }
}

Test(kernels, choice_keeps_to_the_mask) {
  for (int op = BRAID_OP_INPUT + 1; op < BRAID_OP_COUNT; op++)
    for (uint32_t bits = 0; bits < 128; bits++) {
      uint32_t mask = (bits & 0xf) | (bits >> 4 << 8); /* enum braid_cpu_flag leaves a gap */
      struct kernel_case c;
      case_make((enum braid_op)op, seed_of((enum braid_op)op, (int)bits), &c);
      const struct braid_kernel *k = braid_kernel_find(&c.args, mask);
      cr_assert(k && (k->needs & ~mask) == 0, "%s under mask %u", braid_op_name((enum braid_op)op), mask);
      case_free(&c);
    }
}

/* ---------------------------------------------------------------------------- reading what is not there yet
 * A band may be computed while the rows it does not need are still to come. They hold NaN here: whoever lets one of
 * them near a result, or reads beyond, gives other bits than with the whole input. */

/* Rows of in[0] that rows `out` are made from; false for operators this test does not know. */
static bool rows_needed(const struct braid_kernel_args *args, struct braid_band out, struct braid_band *in) {
  const struct braid_pool_attrs *p = &args->attrs.pool; /* begins as braid_conv_attrs does */
  if (args->in[0].shape.rank != 4) return false;
  switch (args->op) {
  case BRAID_OP_CONV:
  case BRAID_OP_QLINEAR_CONV:
  case BRAID_OP_MAX_POOL:
  case BRAID_OP_AVERAGE_POOL:
    in->begin = out.begin * p->stride[0] - p->pad[0];
    if (in->begin < 0) in->begin = 0;
    in->end = (out.end - 1) * p->stride[0] - p->pad[0] + (p->kernel[0] - 1) * p->dilation[0] + 1;
    return true;
  case BRAID_OP_NORMALIZE:
  case BRAID_OP_BATCH_NORMALIZATION:
  case BRAID_OP_LRN:
  case BRAID_OP_RELU:
  case BRAID_OP_SIGMOID: *in = out; return true;
  case BRAID_OP_ADD: *in = out; return braid_shape_equal(&args->in[0].shape, &args->out.shape);
  default: return false;
  }
}

static void poison_other_rows(const struct braid_tensor *t, struct braid_band keep) {
  size_t bytes = braid_dtype_bytes(t->dtype) * (size_t)braid_shape_elements(&t->shape);
  for (size_t i = 0; i < bytes; i++)
    if (!in_band(&t->shape, t->dtype, keep, i)) ((unsigned char *)t->data)[i] = 0xff;
}

static void check_poisoned(struct kernel_case *c, const struct braid_kernel *kernel) {
  struct braid_kernel_args args = c->args;
  int rows = braid_slice_rows(&args.out.shape);
  if (rows == 0) return;
  struct braid_band band = {case_int(c, 0, rows - 1), 0}, needed;
  band.end = case_int(c, band.begin + 1, rows);
  if (!rows_needed(&args, band, &needed)) return;
  struct guarded want = guarded_make(case_out_bytes(c)), got = guarded_make(case_out_bytes(c));
  args.out.data = guarded_data(&want);
  run_band(c, kernel, &args, NULL, band);
  size_t bytes;
  cr_assert_eq(braid_shape_bytes(&args.in[0].shape, args.in[0].dtype, &bytes), BRAID_OK);
  args.in[0].data = malloc(bytes);
  memcpy(args.in[0].data, c->args.in[0].data, bytes);
  poison_other_rows(&args.in[0], needed);
  args.out.data = guarded_data(&got);
  run_band(c, kernel, &args, NULL, band);
  if (memcmp(want.base, got.base, want.bytes + 2 * GUARD) != 0)
    fail(c, kernel, "rows [%d,%d) depend on more than rows [%d,%d)", band.begin, band.end, needed.begin, needed.end);
  free(args.in[0].data);
  free(want.base);
  free(got.base);
}

Test(kernels, bands_read_only_the_rows_they_need) {
  int n;
  const struct braid_kernel *const *all = braid_kernels(&n);
  for (int k = 0; k < n; k++) {
    if (!all[k]->sliceable || all[k]->packed_bytes || (all[k]->needs & ~braid_cpu_flags())) continue;
    for (int i = 0; i < 40; i++) {
      struct kernel_case c;
      case_make(all[k]->op, seed_of(all[k]->op, i) + 90001, &c);
      if (all[k]->accepts(&c.args)) check_poisoned(&c, all[k]);
      case_free(&c);
    }
  }
}
