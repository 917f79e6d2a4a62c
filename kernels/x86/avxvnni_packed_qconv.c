/* SPDX-License-Identifier: Apache-2.0 */
#include "vec_avx2.h"

#undef ISA_TEXT
#undef ISA_NEEDS
#undef ISA_TABLE
#define ISA_TEXT "avx_vnni"
#define ISA_NEEDS (BRAID_CPU_AVX2 | BRAID_CPU_AVX_VNNI)
#define ISA_TABLE(topic) kernels_avxvnni_##topic

#include "dot.h"

#include "../vector/packed_qconv.inl"
