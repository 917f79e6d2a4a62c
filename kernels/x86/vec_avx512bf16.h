/* SPDX-License-Identifier: Apache-2.0
 * vec_avx512.h for files that are compiled for AVX512_BF16, too. */
#include "vec_avx512.h"

#undef ISA_TEXT
#undef ISA_NEEDS
#undef ISA_TABLE
#define ISA_TEXT "avx512_bf16"
#define ISA_NEEDS (BRAID_CPU_AVX512 | BRAID_CPU_AVX512_BF16)
#define ISA_TABLE(topic) kernels_avx512bf16_##topic
