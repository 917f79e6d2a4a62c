/* SPDX-License-Identifier: Apache-2.0
 * Convolution in bfloat16, summed in float. */
#define ELEMENT_CHANNELS 2
#define ELEMENT_T float
#define ELEMENT_FILE "element_bf16.inl"
#define PRODUCT_DOT dot_bf16
#define PRODUCT_DOT_HALF dot_bf16_half
#include "packed_conv.inl"
