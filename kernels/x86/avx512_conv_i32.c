/* SPDX-License-Identifier: Apache-2.0 */
#define VEC_BYTES 64
#define ISA_NAME "conv2d_i32__avx512"
#define ISA_NEEDS BRAID_CPU_AVX512
#define ISA_TABLE kernels_avx512_conv_i32

#include "../vector/conv_i32.inl"
