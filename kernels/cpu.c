/* SPDX-License-Identifier: Apache-2.0
 * What this CPU (and the operating system, which must save the wide registers) can run. */
#include "kernel.h"

#include <stdio.h>

#if KERNELS_X86
#include <cpuid.h>

/* Instructions on registers that the flags say may be used. */
static uint32_t dot_flags(uint32_t flags) {
  unsigned a, b, c, d;
  uint32_t more = 0;
  if ((flags & BRAID_CPU_AVX512) && __get_cpuid_count(7, 0, &a, &b, &c, &d) && (c & 1u << 11))
    more |= BRAID_CPU_AVX512_VNNI;
  if (!__get_cpuid_count(7, 1, &a, &b, &c, &d)) return more;
  if ((flags & BRAID_CPU_AVX2) && (a & 1u << 4)) more |= BRAID_CPU_AVX_VNNI;
  if ((flags & BRAID_CPU_AVX512) && (a & 1u << 5)) more |= BRAID_CPU_AVX512_BF16;
  return more;
}

static uint32_t isa_flags(void) {
  unsigned a, b, c, d;
  bool f16c = __get_cpuid(1, &a, &b, &c, &d) && (c & bit_F16C);
  uint32_t flags = 0;
  __builtin_cpu_init();
  if (f16c && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) flags |= BRAID_CPU_AVX2;
  if ((flags & BRAID_CPU_AVX2) && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq"))
    flags |= BRAID_CPU_AVX512;
  return flags | dot_flags(flags);
}
#elif defined(__aarch64__)
static uint32_t isa_flags(void) { return BRAID_CPU_NEON; }
#else
static uint32_t isa_flags(void) { return 0; }
#endif

uint32_t braid_cpu_flags(void) { return BRAID_CPU_BLAS | isa_flags(); }

const char *braid_cpu_flags_text(uint32_t flags, char *buf, size_t size) {
  static const struct {
    uint32_t flag;
    const char *text;
  } names[] = {
      {BRAID_CPU_BLAS, "blas"},           {BRAID_CPU_AVX2, "avx2"},
      {BRAID_CPU_AVX512, "avx512"},       {BRAID_CPU_NEON, "neon"},
      {BRAID_CPU_AVX_VNNI, "avx_vnni"},   {BRAID_CPU_AVX512_VNNI, "avx512_vnni"},
      {BRAID_CPU_AVX512_BF16, "avx512_bf16"}};
  size_t at = 0;
  if (size > 0) buf[0] = '\0';
  for (size_t i = 0; i < sizeof names / sizeof *names && at < size; i++)
    if (flags & names[i].flag) at += (size_t)snprintf(buf + at, size - at, "%s%s", at ? "+" : "", names[i].text);
  if (at == 0 && size > 0) snprintf(buf, size, "ref");
  return buf;
}
