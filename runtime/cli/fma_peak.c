/* SPDX-License-Identifier: Apache-2.0
 *
 * The peak is measured, not read off a data sheet: clocks change with the vectors' width, with neighbours and with
 * heat. Twelve independent chains of multiply-adds are more than any current x86 core needs to keep two units of four or
 * five cycles latency busy, and with their two operands they fit into sixteen registers; ARM cores have up to four units
 * and 32 registers: 24 chains. One body, compiled for each instruction set by a function attribute; this file alone is
 * compiled with contraction on (-ffp-contract=fast). */
#include "fma_peak.h"

#include <pthread.h>

#if defined(__aarch64__)
#include <arm_neon.h>
enum { CHAINS = 24 };
#define FMA(x, a, b) vfmaq_f32(x, a, b) /* adds onto its first operand: x * a + b would take a copy of b each time */
#else
enum { CHAINS = 12 };
#define FMA(x, a, b) ((x) * (a) + (b))
#endif
enum { STEPS = 400000, REPEATS = 80, THREADS_MAX = 256 };

/* x = x * a + b with 0 < a < 1 stays finite and normal for ever, and x + a * b for so many steps. Volatile: a compiler
 * that knew the values would compute chains itself that have reached their fixed point, and the loop would be counted
 * for more than it does. */
static volatile float factor = 0.9999f, addend = 0.0003f;

#define FMA_LOOP(name, attribute, lanes)                                                                               \
  attribute static float name(int steps) {                                                                             \
    typedef float vector __attribute__((vector_size((lanes) * sizeof(float))));                                        \
    vector x[CHAINS], a = {0}, b = {0}, sum = {0};                                                                     \
    float total = 0;                                                                                                   \
    a += factor;                                                                                                       \
    b += addend;                                                                                                       \
    _Pragma("GCC unroll 24") for (int c = 0; c < CHAINS; c++) x[c] = a + (float)c;                                     \
    for (int i = 0; i < steps; i++) {                                                                                  \
      _Pragma("GCC unroll 24") for (int c = 0; c < CHAINS; c++) x[c] = FMA(x[c], a, b);                                \
    }                                                                                                                  \
    _Pragma("GCC unroll 24") for (int c = 0; c < CHAINS; c++) sum += x[c];                                             \
    for (int l = 0; l < (lanes); l++) total += sum[l];                                                                 \
    return total;                                                                                                      \
  }

FMA_LOOP(loop_plain, , 4) /* SSE2, NEON, or whatever vectors of four become */
#if defined(__x86_64__)
FMA_LOOP(loop_avx2, __attribute__((target("avx2,fma"))), 8)
FMA_LOOP(loop_avx512, __attribute__((target("avx512f"))), 16)
#endif

struct loop {
  const char *name;
  uint32_t needs;
  int lanes;
  float (*run)(int steps);
};
static const struct loop loops[] = {
#if defined(__x86_64__)
    {"AVX-512", BRAID_CPU_AVX512, 16, loop_avx512},
    {"AVX2", BRAID_CPU_AVX2, 8, loop_avx2},
#endif
    {"NEON", BRAID_CPU_NEON, 4, loop_plain},
    {"plain", 0, 4, loop_plain},
};

static const struct loop *loop_for(uint32_t cpu_flags) {
  const struct loop *loop = loops;
  while ((loop->needs & cpu_flags) != loop->needs) loop++;
  return loop;
}

const char *fma_peak_loop(uint32_t cpu_flags) {
  return loop_for(cpu_flags)->name;
}

/* ---------------------------------------------------------------------------------------------- threads */

struct lane {
  const struct loop *loop;
  pthread_t thread;
  double gflops;
};

/* The best of a few repeats, all of which the other threads compute, too. */
static void *measure(void *arg) {
  struct lane *lane = arg;
  struct braid_clock clock = braid_clock_monotonic();
  volatile float sink = 0;
  for (int r = 0; r < REPEATS; r++) {
    int64_t begin = braid_now_ns(&clock);
    sink = sink + lane->loop->run(STEPS);
    double gflops = 2.0 * CHAINS * STEPS * lane->loop->lanes / (double)(braid_now_ns(&clock) - begin);
    if (gflops > lane->gflops) lane->gflops = gflops;
  }
  return NULL;
}

double fma_peak_gflops(int threads, uint32_t cpu_flags) {
  struct lane lanes[THREADS_MAX];
  int n = threads < THREADS_MAX ? threads : THREADS_MAX, started = 0;
  double sum = 0;
  while (started < n) {
    lanes[started] = (struct lane){.loop = loop_for(cpu_flags)};
    if (pthread_create(&lanes[started].thread, NULL, measure, &lanes[started]) != 0) break;
    started++;
  }
  for (int i = 0; i < started; i++) {
    pthread_join(lanes[i].thread, NULL);
    sum += lanes[i].gflops;
  }
  return started == n ? sum : 0;
}
