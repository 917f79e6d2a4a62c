/* SPDX-License-Identifier: Apache-2.0
 * How the absolute values of a tensor are spread, in memory that does not grow; and the ranges that are chosen by it. */
#ifndef EXEC_VALUE_HISTOGRAM_H
#define EXEC_VALUE_HISTOGRAM_H

#include "braid/models.h"

enum { VALUE_BINS = 2048 };

/* Zeroed, it has seen nothing. Bin i counts values that are not 0 with i * width <= |x| < (i + 1) * width. The width is
 * a power of two that doubles when a value does not fit: then two bins become one, as if they had been one from the
 * first, so the order in which values come makes no difference. One thread at a time. */
struct value_histogram {
  double width; /* 0: no value but 0 so far */
  uint64_t count[VALUE_BINS];
};

/* What is no finite number is left out, and so is 0. */
void value_histogram_add(struct value_histogram *histogram, const float *x, int64_t n);

/* Both cut `seen`, the least and greatest of the values, down to [-t, t]: 0 stays inside, signs are treated alike. Zeros
 * do not take part: 0 is a byte of its own and loses nothing, however many there are behind a ReLU.
 *
 * Percentile: the least t, in whole bins, that so many of a hundred values are not above (as of ONNX Runtime's
 * PercentileCalibrater and TensorRT's). 0 < percent <= 100. */
struct braid_range value_histogram_percentile(const struct value_histogram *histogram, struct braid_range seen,
                                              double percent);
/* Entropy: the t that loses least information, the Kullback-Leibler divergence of what 256 levels make of the values
 * from what they were (S. Migacz, 8-bit Inference with TensorRT, GTC 2017; ONNX Runtime's EntropyCalibrater). Values above t
 * count at t before, and not at all behind; a level's values are spread over those of its bins that had any. */
struct braid_range value_histogram_entropy(const struct value_histogram *histogram, struct braid_range seen);

#endif
