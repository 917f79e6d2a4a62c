/* SPDX-License-Identifier: Apache-2.0 */
#define VEC_BYTES 32
#define ISA_NAME "conv2d_i32__avx2"
#define ISA_NEEDS BRAID_CPU_AVX2
#define ISA_TABLE kernels_avx2_conv_i32

#include "../vector/conv_i32.inl"
