/* SPDX-License-Identifier: Apache-2.0 */
#include "vec_avx2.h"

#include "dot.h"

#include "../vector/pool_bytes.inl"
