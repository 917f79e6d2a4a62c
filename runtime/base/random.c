/* SPDX-License-Identifier: Apache-2.0
 * splitmix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, OOPSLA 2014) by counter, and FNV-1a. */
#include "braid/base.h"

uint64_t braid_random_u64(uint64_t seed, uint64_t i) {
  uint64_t z = seed + (i + 1) * UINT64_C(0x9E3779B97F4A7C15);
  z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
  z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
  return z ^ (z >> 31);
}

float braid_random_f32(uint64_t seed, uint64_t i) {
  return (float)(braid_random_u64(seed, i) >> 40) / 8388608.0f - 1.0f;
}

uint64_t braid_fnv1a(const char *text) {
  uint64_t h = UINT64_C(0xcbf29ce484222325);
  for (const unsigned char *p = (const unsigned char *)text; *p; p++) h = (h ^ *p) * UINT64_C(0x100000001b3);
  return h;
}
