/* SPDX-License-Identifier: Apache-2.0 */
#include "blas.h"

#include <cblas.h>
#include <threads.h>

static void one_thread(void) { openblas_set_num_threads(1); }

void blas_ready(void) {
  static once_flag once = ONCE_FLAG_INIT;
  call_once(&once, one_thread);
}
