/* SPDX-License-Identifier: Apache-2.0 */
#include "vec_avx512.h"

#undef ISA_TEXT
#undef ISA_NEEDS
#undef ISA_TABLE
#define ISA_TEXT "avx512_vnni"
#define ISA_NEEDS (BRAID_CPU_AVX512 | BRAID_CPU_AVX512_VNNI)
#define ISA_TABLE(topic) kernels_avx512vnni_##topic

#include "dot.h"

#include "../vector/packed_qconv.inl"
