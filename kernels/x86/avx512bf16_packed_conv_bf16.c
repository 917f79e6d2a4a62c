/* SPDX-License-Identifier: Apache-2.0 */
#include "vec_avx512bf16.h"

#include "dot.h"

#include "../vector/packed_conv_bf16.inl"
