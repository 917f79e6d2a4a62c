/* SPDX-License-Identifier: Apache-2.0 */
#include "vec_avx2.h"

#include "../vector/winograd4.inl"
