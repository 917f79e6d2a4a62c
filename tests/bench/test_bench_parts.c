/* SPDX-License-Identifier: Apache-2.0
 * What `braid bench kernels` stands on, also under the thread sanitizer (so a plain program, and reference kernels only:
 * OpenBLAS is not instrumented): a wrong result is seen, every row is computed whatever the number of threads, and a
 * team runs every member once. */
#include "fma_peak.h"
#include "layer_case.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void ensure(bool good, const char *what, int number) {
  if (good) return;
  fprintf(stderr, "FAILED: %s (%d): %s\n", what, number, braid_error());
  exit(1);
}

/* -------------------------------------------------------------------------------------------------- teams */

struct calls {
  int of[8]; /* each written by its member alone */
};

static void count(void *ctx, int member) {
  ((struct calls *)ctx)->of[member]++;
}

static void teams(void) {
  for (int members = 1; members <= 5; members++) {
    struct kernel_team *team;
    struct calls calls = {{0}};
    ensure(kernel_team_create(members, &team) == BRAID_OK, "a team", members);
    for (int run = 1; run <= 300; run++) {
      kernel_team_run(team, count, &calls);
      for (int i = 0; i < 8; i++) ensure(calls.of[i] == (i < members ? run : 0), "a member's calls", i);
    }
    kernel_team_destroy(&team);
    ensure(team == NULL, "a team that is gone", members);
  }
}

/* -------------------------------------------------------------------------------------------------- layers */

static const struct layer_shape conv = {.name = "conv",
                                        .op = BRAID_OP_CONV,
                                        .count = 1,
                                        .batch = 1,
                                        .in = {6, 9, 11},
                                        .out = 4,
                                        .kernel = {3, 3},
                                        .stride = {1, 2},
                                        .dilation = {1, 1},
                                        .pad = {1, 1, 1, 1},
                                        .group = 2,
                                        .bias = 1,
                                        .residual = 1};
static const struct layer_shape gemm = {
    .name = "gemm", .op = BRAID_OP_GEMM, .count = 1, .m = 3, .n = 13, .k = 50, .trans_b = 1, .bias = 1};

/* Every row is computed by some member; nothing else is, since the reference has found the same without a team. */
static void rows(const struct layer_shape *layer) {
  for (int members = 1; members <= 4; members++) {
    struct kernel_team *team;
    struct layer_case c;
    struct kernel_run run;
    ensure(kernel_team_create(members, &team) == BRAID_OK, "a team", members);
    ensure(layer_case_open(layer, team, &c) == BRAID_OK, layer->name, members);
    size_t n = (size_t)braid_shape_elements(&c.args.out.shape);
    float *out = c.args.out.data;
    for (size_t i = 0; i < n; i++) out[i] = NAN;
    ensure(isinf(layer_case_error(&c)), "results that are not there pass", members);
    ensure(kernel_run_open(&c, braid_kernel_find(&c.args, 0), &run) == BRAID_OK, "a kernel", members);
    kernel_run_once(&run);
    ensure(layer_case_error(&c) == 0, "the reference differs from itself", members);
    kernel_run_close(&run);
    layer_case_close(&c);
    kernel_team_destroy(&team);
  }
}

/* One wrong element anywhere is seen; what rounding may do is not. */
static void wrong_results(const struct layer_shape *layer) {
  struct kernel_team *team;
  struct layer_case c;
  float largest = 0;
  ensure(kernel_team_create(1, &team) == BRAID_OK, "a team", 1);
  ensure(layer_case_open(layer, team, &c) == BRAID_OK, layer->name, 0);
  int n = (int)braid_shape_elements(&c.args.out.shape);
  float *out = c.args.out.data;
  for (int i = 0; i < n; i++) largest = fmaxf(largest, fabsf(c.want[i]));
  float step = 2 * (float)layer_case_bound(&c) * largest;
  for (int i = 0; i < n; i++) {
    memcpy(out, c.want, (size_t)n * sizeof *out);
    out[i] += step;
    ensure(layer_case_error(&c) > layer_case_bound(&c), "a wrong element passes", i);
    out[i] = c.want[i] + step / 8;
    ensure(layer_case_error(&c) <= layer_case_bound(&c), "rounding does not pass", i);
  }
  layer_case_close(&c);
  kernel_team_destroy(&team);
}

/* By hand: 4x9x6 outputs of 27 products each, in two groups; 39 outputs of 50. */
static void products(void) {
  struct layer_product p = layer_shape_product(&conv), q = layer_shape_product(&gemm);
  ensure(p.m == 2 && p.n == 54 && p.k == 27 && p.groups == 2, "the product of a convolution", p.n);
  ensure(layer_shape_macs(&conv) == 5832, "multiply-adds of a convolution", (int)layer_shape_macs(&conv));
  ensure(q.m == 3 && q.n == 13 && q.k == 50 && q.groups == 1, "the product of a dense layer", q.n);
  ensure(layer_shape_macs(&gemm) == 1950, "multiply-adds of a dense layer", (int)layer_shape_macs(&gemm));
}

/* -------------------------------------------------------------------------------------------------- peak */

/* Not how fast, which is the machine's affair: that it is measured, and by the loop that the flags allow. */
static void peak(void) {
  ensure(fma_peak_gflops(2, 0) > 0, "no peak without vectors", 2);
  ensure(fma_peak_gflops(1, braid_cpu_flags()) > 0, "no peak", 1);
  ensure(strcmp(fma_peak_loop(0), "plain") == 0, "the loop without flags", 0);
  ensure(strcmp(fma_peak_loop(BRAID_CPU_NEON), "NEON") == 0, "the loop of NEON", 0);
}

int main(void) {
  teams();
  products();
  rows(&conv);
  rows(&gemm);
  wrong_results(&conv);
  wrong_results(&gemm);
  peak();
  return 0;
}
