/* SPDX-License-Identifier: Apache-2.0
 * The malloc family with a hook that fails the n-th allocation, and checked arithmetic on sizes. */
#include "braid/base.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { HUGE_BYTES = 2 << 20 };

static atomic_long fail_at; /* 0: off. relaxed everywhere: a test hook, it orders nothing */

void braid_alloc_fail_at(long n) { atomic_store_explicit(&fail_at, n, memory_order_relaxed); }

static bool allowed(void) {
  if (atomic_load_explicit(&fail_at, memory_order_relaxed) <= 0) return true;
  return atomic_fetch_sub_explicit(&fail_at, 1, memory_order_relaxed) != 1;
}

void *braid_malloc(size_t bytes) { return allowed() ? malloc(bytes ? bytes : 1) : NULL; }

void *braid_calloc(size_t count, size_t bytes) { return allowed() ? calloc(count ? count : 1, bytes ? bytes : 1) : NULL; }

void *braid_realloc(void *p, size_t bytes) { return allowed() ? realloc(p, bytes ? bytes : 1) : NULL; }

/* Weights and arenas are walked once a frame from end to end: in pages of 4 KiB that is a page walk for every few
 * hundred products. Only asked for, and only where whole huge pages are used. */
static void *alloc_huge(size_t bytes) {
  void *p = aligned_alloc(HUGE_BYTES, (bytes + HUGE_BYTES - 1) / HUGE_BYTES * HUGE_BYTES);
  if (p) (void)madvise(p, bytes / HUGE_BYTES * HUGE_BYTES, MADV_HUGEPAGE);
  return p;
}

void *braid_alloc_aligned(size_t bytes) {
  if (!allowed() || bytes > SIZE_MAX - HUGE_BYTES) return NULL;
  if (bytes >= HUGE_BYTES) return alloc_huge(bytes);
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
