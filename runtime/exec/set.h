/* SPDX-License-Identifier: Apache-2.0
 * Sets of small numbers (tasks, buffers) as bits in 64-bit words. */
#ifndef RUNTIME_EXEC_SET_H
#define RUNTIME_EXEC_SET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static inline size_t exec_set_words(int n) {
  return ((size_t)n + 63) / 64;
}
static inline void exec_set_add(uint64_t *set, int i) {
  set[i / 64] |= UINT64_C(1) << (i % 64);
}
static inline void exec_set_remove(uint64_t *set, int i) {
  set[i / 64] &= ~(UINT64_C(1) << (i % 64));
}
static inline bool exec_set_has(const uint64_t *set, int i) {
  return set[i / 64] >> (i % 64) & 1;
}

#endif
