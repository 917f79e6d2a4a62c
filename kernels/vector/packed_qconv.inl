/* SPDX-License-Identifier: Apache-2.0
 * Convolution of bytes with exact sums. */
#define ELEMENT_CHANNELS 4
#define ELEMENT_T uint8_t
#define ELEMENT_FILE "element_u8.inl"
#define ELEMENT_WHOLE_SUMS
#define PRODUCT_DOT dot_u8
#define PRODUCT_DOT_HALF dot_u8_half
#include "packed_conv.inl"
