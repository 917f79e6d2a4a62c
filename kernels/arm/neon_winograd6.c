/* SPDX-License-Identifier: Apache-2.0 */
#include "vec_neon.h"

#include "../vector/winograd6.inl"
