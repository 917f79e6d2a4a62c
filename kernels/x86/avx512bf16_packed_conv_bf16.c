/* SPDX-License-Identifier: Apache-2.0 */
#include "vec_avx512.h"

#undef ISA_TEXT
#undef ISA_NEEDS
#undef ISA_TABLE
#define ISA_TEXT "avx512_bf16"
#define ISA_NEEDS (BRAID_CPU_AVX512 | BRAID_CPU_AVX512_BF16)
#define ISA_TABLE(topic) kernels_avx512bf16_##topic

#include "dot.h"

#include "../vector/packed_conv_bf16.inl"
