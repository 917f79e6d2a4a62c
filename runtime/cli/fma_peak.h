/* SPDX-License-Identifier: Apache-2.0
 * What this machine can compute at most, as a yardstick for kernels and networks. */
#ifndef BRAID_CLI_FMA_PEAK_H
#define BRAID_CLI_FMA_PEAK_H

#include "cli.h"

/* Gflop/s in float32 of `threads` threads that do nothing but multiply and add in registers, with the widest vectors
 * that `cpu_flags` (braid_cpu_flags) allow; a fused multiply-add counts as two. Takes a fraction of a second. 0
 * where no thread can be started. */
double fma_peak_gflops(int threads, uint32_t cpu_flags);
/* "AVX-512", "AVX2", "NEON", "plain": which loop that is. */
const char *fma_peak_loop(uint32_t cpu_flags);

#endif
