/* SPDX-License-Identifier: Apache-2.0 */
#include "exec/value_histogram.h"

#include <math.h>

/* ------------------------------------------------------------------------------------------------ counting */

static void widen(struct value_histogram *h) {
  h->width *= 2;
  for (int i = 0; i < VALUE_BINS / 2; i++) h->count[i] = h->count[2 * i] + h->count[2 * i + 1];
  for (int i = VALUE_BINS / 2; i < VALUE_BINS; i++) h->count[i] = 0;
}

/* Room for values up to `most`. The first width is the least that there is room with. */
static void make_room(struct value_histogram *h, double most) {
  int exponent;
  (void)frexp(most, &exponent); /* most < 2^exponent */
  if (h->width == 0.0 && most > 0.0) h->width = ldexp(1.0, exponent) / VALUE_BINS;
  while (most >= h->width * VALUE_BINS && most > 0.0) widen(h);
}

void value_histogram_add(struct value_histogram *h, const float *x, int64_t n) {
  float most = 0.0f;
  for (int64_t i = 0; i < n; i++) {
    float size = fabsf(x[i]);
    if (size > most && isfinite(size)) most = size;
  }
  make_room(h, (double)most);
  double bins = h->width > 0.0 ? 1.0 / h->width : 0.0; /* exact, of a power of two */
  for (int64_t i = 0; i < n; i++) {
    float size = fabsf(x[i]);
    if (size > 0.0f && isfinite(size)) h->count[(int)((double)size * bins)]++;
  }
}

/* ------------------------------------------------------------------------------------------------ choosing */

static uint64_t sum(const struct value_histogram *h, int begin, int end) {
  uint64_t total = 0;
  for (int i = begin; i < end; i++) total += h->count[i];
  return total;
}

static struct braid_range cut(struct braid_range seen, double t) {
  return (struct braid_range){fmaxf(seen.low, (float)-t), fminf(seen.high, (float)t)};
}

struct braid_range value_histogram_percentile(const struct value_histogram *h, struct braid_range seen,
                                              double percent) {
  double all = (double)sum(h, 0, VALUE_BINS), inside = 0.0;
  int bins = 0;
  while (bins < VALUE_BINS && inside < all * percent / 100.0) inside += (double)h->count[bins++];
  return cut(seen, bins * h->width);
}

/* A candidate: the bins below t, and how many of them a level takes. */
struct candidate {
  int bins;
  double bins_in_level;
};

/* Values that are rounded to one level, the first of them in bin `begin`: *end is the bin behind them. The middle of a
 * bin decides. Returns what each of its bins that had any is taken to have. */
static double level_from(const struct value_histogram *h, const struct candidate *c, int begin, int *end) {
  double level = floor((begin + 0.5) / c->bins_in_level + 0.5), mass = 0.0;
  int with_values = 0, i = begin;
  for (; i < c->bins && floor((i + 0.5) / c->bins_in_level + 0.5) == level; i++) {
    mass += (double)h->count[i];
    with_values += h->count[i] > 0;
  }
  *end = i;
  return with_values ? mass / with_values : 0.0;
}

/* KL(before || behind), the sums of both known: of q values in a bin where there were p. */
static double term(double p, double all_p, double q, double all_q) {
  static const double least = 1e-4; /* of a value: a bin that has values only because larger ones were cut down to it */
  return p > 0.0 ? p / all_p * log(p / all_p / (fmax(q, least) / all_q)) : 0.0;
}

static double divergence(const struct value_histogram *h, const struct candidate *c) {
  double inside = (double)sum(h, 0, c->bins), above = (double)sum(h, c->bins, VALUE_BINS), total = 0.0;
  if (inside == 0.0) return (double)INFINITY;
  for (int begin = 0, end; begin < c->bins; begin = end) {
    double q = level_from(h, c, begin, &end);
    for (int i = begin; i < end; i++) {
      double p = (double)h->count[i] + (i == c->bins - 1 ? above : 0.0);
      total += term(p, inside + above, h->count[i] ? q : 0.0, inside);
    }
  }
  return total;
}

/* Where there are more levels than bins nothing would be lost but what is cut off, so t begins where there are not. */
struct braid_range value_histogram_entropy(const struct value_histogram *h, struct braid_range seen) {
  enum { LEVELS = 255, STEP = VALUE_BINS / 256 };
  int used = VALUE_BINS;
  double best = (double)INFINITY, t = (double)INFINITY;
  while (used > 0 && h->count[used - 1] == 0) used--;
  for (int bins = used; bins > 0; bins -= STEP) {
    struct braid_range range = cut(seen, bins * h->width);
    double span = (double)fmaxf(range.high, 0.0f) - (double)fminf(range.low, 0.0f);
    struct candidate c = {bins, span / h->width / LEVELS};
    if (c.bins_in_level < 1.0) break;
    double lost = divergence(h, &c);
    if (lost < best) {
      best = lost;
      t = bins * h->width;
    }
  }
  return isinf(t) ? seen : cut(seen, t);
}
