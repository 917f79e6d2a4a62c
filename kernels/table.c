/* SPDX-License-Identifier: Apache-2.0
 *
 * All kernels, and the choice among them. Every op file has a static const table of rows; here they are put one after
 * the other in order of preference and sorted by operator (stably), once. A new kernel is a row in its file; a new file
 * is a line in kernel.h. */
#include "kernel.h"

#include <threads.h>

enum { ROWS_MAX = 512 };

static const struct braid_kernel *const tables[] = {
#define X(name) kernels_##name,
    KERNEL_TABLES(X)
#undef X
};

static const struct braid_kernel *row[ROWS_MAX];
static int first[BRAID_OP_COUNT + 1]; /* rows of operator o are [first[o], first[o+1]) */

static void sort_rows(void) {
  int n = 0;
  for (int op = 0; op < BRAID_OP_COUNT; op++) {
    first[op] = n;
    for (size_t t = 0; t < sizeof tables / sizeof *tables; t++)
      for (const struct braid_kernel *k = tables[t]; k->name; k++)
        if ((int)k->op == op) {
          assert(n < ROWS_MAX);
          row[n++] = k;
        }
  }
  first[BRAID_OP_COUNT] = n;
}

static void ready(void) {
  static once_flag once = ONCE_FLAG_INIT;
  call_once(&once, sort_rows);
}

const struct braid_kernel *braid_kernel_find(const struct braid_kernel_args *args, uint32_t flags) {
  if ((size_t)args->op >= BRAID_OP_COUNT) return NULL;
  ready();
  for (int i = first[args->op]; i < first[args->op + 1]; i++)
    if (braid_kernel_can(row[i], args, flags) && braid_kernel_pays(row[i], args)) return row[i];
  return NULL;
}

const struct braid_kernel *const *braid_kernels(int *n) {
  ready();
  *n = first[BRAID_OP_COUNT];
  return row;
}
