/* SPDX-License-Identifier: Apache-2.0 */
#include "vec_avx512bf16.h"

#include "dot.h"

#include "../vector/gemm_bf16.inl"
