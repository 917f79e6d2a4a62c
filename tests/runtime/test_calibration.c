/* SPDX-License-Identifier: Apache-2.0
 * Ranges that are chosen by how values are spread: counts and thresholds worked out by hand, and the entropy compared
 * with its definition written down plainly. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "exec/value_histogram.h"
#include "exec_help.h"
#include "graph_help.h"

static struct value_histogram *histogram(void) {
  struct value_histogram *h = calloc(1, sizeof *h);
  cr_assert_not_null(h);
  return h;
}

static void expect_counts(const struct value_histogram *h, const int *bin, const int *count, int n) {
  uint64_t total = 0, expected = 0;
  for (int i = 0; i < n; i++) {
    cr_expect_eq(h->count[bin[i]], (uint64_t)count[i], "bin %d has %llu", bin[i], (unsigned long long)h->count[bin[i]]);
    expected += (uint64_t)count[i];
  }
  for (int i = 0; i < VALUE_BINS; i++) total += h->count[i];
  cr_expect_eq(total, expected);
}

/* 1 is below 2: 2048 bins of 1/1024. 3 is not: two bins become one. */
Test(calibration, bins_double_when_a_value_does_not_fit) {
  struct value_histogram *h = histogram();
  value_histogram_add(h, (float[]){1, -1, 1 + 1 / 1024.0f, 0.25f, 0, NAN, INFINITY, -0.0f}, 8);
  cr_expect_eq(h->width, 1 / 1024.0);
  expect_counts(h, (int[]){1024, 1025, 256}, (int[]){2, 1, 1}, 3);
  value_histogram_add(h, (float[]){-3}, 1);
  cr_expect_eq(h->width, 1 / 512.0);
  expect_counts(h, (int[]){512, 128, 1536}, (int[]){3, 1, 1}, 3);
  value_histogram_add(h, (float[]){1024}, 1); /* 2048 bins of 1: all that was is in bins 0, 1 and 3 */
  cr_expect_eq(h->width, 1.0);
  expect_counts(h, (int[]){0, 1, 3, 1024}, (int[]){1, 3, 1, 1}, 4);
  free(h);
}

Test(calibration, what_is_no_number_or_zero_is_not_counted) {
  struct value_histogram *h = histogram();
  value_histogram_add(h, (float[]){0, NAN, -INFINITY, -0.0f}, 4);
  cr_expect_eq(h->width, 0.0);
  expect_counts(h, NULL, NULL, 0);
  struct braid_range seen = {-1, 2};
  cr_expect_eq(value_histogram_entropy(h, seen).high, 2);
  free(h);
}

/* Very small and very large ones, one by one and all at once, forwards and backwards: the same histogram. */
Test(calibration, the_order_of_values_makes_no_difference) {
  enum { N = 3000 };
  float x[N];
  for (int i = 0; i < N; i++) {
    double u = (double)(braid_random_u64(3, (uint64_t)i) >> 11) * 0x1p-53;
    x[i] = (float)(ldexp(u, (int)(braid_random_u64(4, (uint64_t)i) % 40) - 30) * (i % 2 ? -1 : 1));
  }
  x[17] = 0x1p-149f;
  struct value_histogram *all = histogram(), *forwards = histogram(), *backwards = histogram();
  value_histogram_add(all, x, N);
  for (int i = 0; i < N; i++) value_histogram_add(forwards, &x[i], 1);
  for (int i = N - 1; i >= 0; i--) value_histogram_add(backwards, &x[i], 1);
  cr_expect_eq(memcmp(all, forwards, sizeof *all), 0);
  cr_expect_eq(memcmp(all, backwards, sizeof *all), 0);
  free(all);
  free(forwards);
  free(backwards);
}

/* 1 to 1000: bins of a half, so 990 is below 990.5, and 990 of 1000 values with it. */
Test(calibration, a_percentile_leaves_the_largest_out) {
  struct value_histogram *h = histogram();
  float x[1000], zeros[1000] = {0};
  for (int i = 0; i < 1000; i++) x[i] = (float)(i + 1);
  value_histogram_add(h, x, 1000);
  cr_expect_eq(h->width, 0.5);
  struct braid_range r = value_histogram_percentile(h, (struct braid_range){1, 1000}, 99);
  cr_expect(r.low == 1 && r.high == 990.5f, "%g to %g", (double)r.low, (double)r.high);
  r = value_histogram_percentile(h, (struct braid_range){-1000, 3}, 99); /* the same sizes, of another sign */
  cr_expect(r.low == -990.5f && r.high == 3, "%g to %g", (double)r.low, (double)r.high);
  r = value_histogram_percentile(h, (struct braid_range){1, 1000}, 100);
  cr_expect(r.low == 1 && r.high == 1000, "%g to %g", (double)r.low, (double)r.high);
  value_histogram_add(h, zeros, 1000); /* half of them behind a ReLU */
  r = value_histogram_percentile(h, (struct braid_range){0, 1000}, 99);
  cr_expect(r.low == 0 && r.high == 990.5f, "%g to %g", (double)r.low, (double)r.high);
  free(h);
}

/* Bins of width 1. Of every four the last has 9 values, the others have 1, up to 512; then nothing, and one at 1023.
 * Levels of the whole range take four bins and lose which of them had 9; those up to 512 take two, of which half are
 * alike, and the one value above costs next to nothing. Still less would cut off hundreds. */
Test(calibration, entropy_cuts_an_outlier_and_keeps_the_body) {
  struct value_histogram *h = histogram();
  h->width = 1;
  for (int i = 0; i < 512; i++) h->count[i] = i % 4 == 3 ? 9 : 1;
  h->count[1023] = 1;
  struct braid_range r = value_histogram_entropy(h, (struct braid_range){0, 1023.5f});
  cr_expect_eq(r.low, 0);
  cr_expect(r.high >= 512 && r.high <= 520, "%g", (double)r.high);
  r = value_histogram_entropy(h, (struct braid_range){-1023.5f, 100}); /* levels are as wide, or nearly */
  cr_expect(r.low <= -504 && r.low >= -616 && r.high == 100, "%g to %g", (double)r.low, (double)r.high);
  free(h);
}

/* As many values everywhere: every level is true to its bins, and nothing may be cut off. */
Test(calibration, entropy_keeps_what_is_spread_evenly) {
  struct value_histogram *h = histogram();
  h->width = 0x1p-10;
  for (int i = 0; i < VALUE_BINS; i++) h->count[i] = 7;
  struct braid_range r = value_histogram_entropy(h, (struct braid_range){0, 1.99f});
  cr_expect_eq(r.high, 1.99f);
  free(h);
}

/* KL(P || Q) as it is defined: P has what is above at its last bin; Q has what a level holds, evenly over those of its bins
 * that had any; both are shares. */
static double divergence(const struct value_histogram *h, int bins, double bins_in_level) {
  double mass[257] = {0}, filled[257] = {0}, sum_p = 0, sum_q = 0, kl = 0;
  for (int i = 0; i < bins; i++) {
    int level = (int)floor((i + 0.5) / bins_in_level + 0.5);
    mass[level] += (double)h->count[i];
    filled[level] += h->count[i] > 0;
  }
  for (int i = 0; i < VALUE_BINS; i++) {
    sum_p += (double)h->count[i];
    sum_q += i < bins ? (double)h->count[i] : 0;
  }
  for (int i = 0; i < bins; i++) {
    int level = (int)floor((i + 0.5) / bins_in_level + 0.5);
    double p = (double)h->count[i], q = h->count[i] ? mass[level] / filled[level] : 0;
    if (i == bins - 1) p += sum_p - sum_q;
    if (p > 0) kl += p / sum_p * log(p / sum_p / (fmax(q, 1e-4) / sum_q));
  }
  return kl;
}

Test(calibration, entropy_is_the_least_divergence) {
  for (uint64_t seed = 1; seed <= 3; seed++) {
    struct value_histogram *h = histogram();
    float most = 0, x;
    for (uint64_t i = 0; i < 20000; i++) { /* long tails: Laplace's */
      double u = (double)((braid_random_u64(seed, i) >> 11) + 1) * 0x1p-53;
      x = (float)(-log(u) * (double)seed);
      value_histogram_add(h, &x, 1);
      most = fmaxf(most, x);
    }
    int used = VALUE_BINS, best = 0;
    while (h->count[used - 1] == 0) used--;
    double least = (double)INFINITY;
    for (int bins = used; bins > 0; bins -= 8) {
      double top = fmin((double)most, bins * h->width), bins_in_level = (double)(float)top / h->width / 255;
      if (bins_in_level < 1) break;
      double lost = divergence(h, bins, bins_in_level);
      if (lost < least - 1e-12) least = lost, best = bins;
    }
    struct braid_range r = value_histogram_entropy(h, (struct braid_range){0, most});
    cr_expect_float_eq((double)r.high, fmin((double)most, best * h->width), 1e-6, "seed %llu: %g, not %g",
                       (unsigned long long)seed, (double)r.high, best * h->width);
    free(h);
  }
}

/* ------------------------------------------------------------------------------------- through a network */

static struct braid_graph *network(void) {
  struct braid_graph *g = new_graph("net");
  int x = input(g, "x", shape4(1, 3, 24, 24));
  must(braid_graph_add_output(g, unary(g, BRAID_OP_RELU, conv(g, x, 8, 3, "c"), "r")));
  must(braid_graph_seal(g, BRAID_PASS_ALL));
  return g;
}

static struct braid_range range_by(const struct braid_graph *g, enum braid_calibration_method method, double percentile,
                                   int samples) {
  struct braid_pool *pool = make_pool(1);
  struct braid_calibration *c = NULL;
  struct braid_calibration_opts how = {.method = method, .percentile = percentile};
  must(braid_calibration_create(pool, g, &how, &c));
  for (int i = 0; i < samples; i++) {
    struct io io;
    io_make(g, (uint64_t)i, &io);
    must(braid_calibration_observe(c, io.in, io.n_in));
    io_free(&io);
  }
  struct braid_range r = braid_calibration_ranges(c)[braid_graph_find(g, "r")];
  braid_calibration_destroy(&c);
  braid_pool_destroy(&pool);
  return r;
}

Test(calibration, methods_differ_in_what_they_cut_off) {
  struct braid_graph *g = network();
  struct braid_range whole = range_by(g, BRAID_CALIBRATE_MINMAX, 0, 4);
  struct braid_range most = range_by(g, BRAID_CALIBRATE_PERCENTILE, 99.9, 4);
  struct braid_range half = range_by(g, BRAID_CALIBRATE_PERCENTILE, 50, 4);
  struct braid_range all = range_by(g, BRAID_CALIBRATE_PERCENTILE, 100, 4);
  struct braid_range entropy = range_by(g, BRAID_CALIBRATE_ENTROPY, 0, 4);
  cr_expect(whole.low == 0 && whole.high > 0);
  cr_expect(all.low == whole.low && all.high == whole.high);
  cr_expect(most.high < whole.high && most.high > half.high && half.high > 0);
  cr_expect(entropy.low == 0 && entropy.high > half.high && entropy.high <= whole.high);
  struct braid_range none = range_by(g, BRAID_CALIBRATE_ENTROPY, 0, 0);
  cr_expect_gt(none.low, none.high, "nothing was seen");
  braid_graph_destroy(&g);
}

Test(calibration, names_and_percentages_are_checked) {
  enum braid_calibration_method method;
  cr_expect(braid_calibration_find("entropy", &method) && method == BRAID_CALIBRATE_ENTROPY);
  cr_expect(braid_calibration_find("percentile", &method) && method == BRAID_CALIBRATE_PERCENTILE);
  cr_expect(braid_calibration_find("minmax", &method) && method == BRAID_CALIBRATE_MINMAX);
  cr_expect_not(braid_calibration_find("max", &method));
  struct braid_graph *g = network();
  struct braid_pool *pool = make_pool(1);
  static const double wrong[] = {0, -1, 100.5, (double)NAN};
  for (int i = 0; i < 4; i++) {
    struct braid_calibration *c = NULL;
    struct braid_calibration_opts how = {.method = BRAID_CALIBRATE_PERCENTILE, .percentile = wrong[i]};
    cr_expect_eq(braid_calibration_create(pool, g, &how, &c), BRAID_EINVAL, "%g", wrong[i]);
  }
  braid_pool_destroy(&pool);
  braid_graph_destroy(&g);
}
