/* SPDX-License-Identifier: Apache-2.0 */
#include "braid/runtime.h"

#define MS INT64_C(1000000)

const int64_t braid_histogram_bound_ns[BRAID_HISTOGRAM_BOUNDS] = {
    1 * MS,   2 * MS,   5 * MS,    10 * MS,   20 * MS,   50 * MS,    100 * MS,
    200 * MS, 500 * MS, 1000 * MS, 2000 * MS, 5000 * MS, 10000 * MS, 20000 * MS};

void braid_histogram_add(struct braid_histogram *histogram, int64_t ns) {
  int i = 0;
  while (i < BRAID_HISTOGRAM_BOUNDS && ns > braid_histogram_bound_ns[i]) i++;
  histogram->count[i]++;
  histogram->sum_ns += ns;
}
