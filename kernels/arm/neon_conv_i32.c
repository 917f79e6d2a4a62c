/* SPDX-License-Identifier: Apache-2.0 */
#define VEC_BYTES 16
#define ISA_NAME "conv2d_i32__neon"
#define ISA_NEEDS BRAID_CPU_NEON
#define ISA_TABLE kernels_neon_conv_i32

#include "../vector/conv_i32.inl"
