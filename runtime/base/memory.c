/* SPDX-License-Identifier: Apache-2.0
 * The malloc family with a hook that fails the n-th allocation, and checked arithmetic on sizes. */
#include "braid/base.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static atomic_long fail_at; /* 0: off. relaxed everywhere: a test hook, it orders nothing */

void braid_alloc_fail_at(long n) { atomic_store_explicit(&fail_at, n, memory_order_relaxed); }

static bool allowed(void) {
  if (atomic_load_explicit(&fail_at, memory_order_relaxed) <= 0) return true;
  return atomic_fetch_sub_explicit(&fail_at, 1, memory_order_relaxed) != 1;
}

void *braid_malloc(size_t bytes) { return allowed() ? malloc(bytes ? bytes : 1) : NULL; }

void *braid_calloc(size_t count, size_t bytes) { return allowed() ? calloc(count ? count : 1, bytes ? bytes : 1) : NULL; }

void *braid_realloc(void *p, size_t bytes) { return allowed() ? realloc(p, bytes ? bytes : 1) : NULL; }

void *braid_alloc_aligned(size_t bytes) {
  if (!allowed() || bytes > SIZE_MAX - 64) return NULL;
  return aligned_alloc(64, (bytes + 63) / 64 * 64 + (bytes == 0 ? 64 : 0));
}

char *braid_strdup(const char *s) {
  size_t bytes = strlen(s) + 1;
  char *copy = braid_malloc(bytes);
  if (copy) memcpy(copy, s, bytes);
  return copy;
}

void braid_free(void *p) { free(p); }

bool braid_mul_size(size_t a, size_t b, size_t *out) { return !__builtin_mul_overflow(a, b, out); }

bool braid_add_size(size_t a, size_t b, size_t *out) { return !__builtin_add_overflow(a, b, out); }
