/* SPDX-License-Identifier: Apache-2.0
 * Which frame numbers have been used: each once, any order, never 64 or more ahead of the smallest unused one. */
#ifndef SESSION_NUMBERS_H
#define SESSION_NUMBERS_H

#include <stdbool.h>
#include <stdint.h>

struct numbers {
  uint64_t low;  /* all below are used, this one is not */
  uint64_t used; /* bit i: low + i is used; bit 0 is clear */
};

static inline bool numbers_may_use(const struct numbers *n, uint64_t number) {
  return number >= n->low && number - n->low < 64 && !(n->used >> (number - n->low) & 1);
}

static inline void numbers_use(struct numbers *n, uint64_t number) {
  n->used |= UINT64_C(1) << (number - n->low);
  while (n->used & 1) {
    n->used >>= 1;
    n->low++;
  }
}

#endif
