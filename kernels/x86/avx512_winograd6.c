/* SPDX-License-Identifier: Apache-2.0 */
#include "vec_avx512.h"

#include "../vector/winograd6.inl"
