/* SPDX-License-Identifier: Apache-2.0 */
#include "vec_avx512.h"

#include "dot.h"

#include "../vector/depthwise_qconv.inl"
