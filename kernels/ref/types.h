/* SPDX-License-Identifier: Apache-2.0
 * The element types that numbers have: X(id of enum braid_dtype, C type, the type to compute in). Integers are computed
 * in unsigned ones, so that wrapping is defined, and not narrower than unsigned int, so that nothing is promoted back to
 * int on the way. */
#ifndef KERNELS_REF_TYPES_H
#define KERNELS_REF_TYPES_H

#define INTEGER_TYPES(X)                                                                                               \
  X(I8, int8_t, uint32_t)                                                                                              \
  X(I16, int16_t, uint32_t)                                                                                            \
  X(I32, int32_t, uint32_t)                                                                                            \
  X(I64, int64_t, uint64_t)                                                                                            \
  X(U8, uint8_t, uint32_t)                                                                                             \
  X(U16, uint16_t, uint32_t)                                                                                           \
  X(U32, uint32_t, uint32_t)                                                                                           \
  X(U64, uint64_t, uint64_t)
#define FLOAT_TYPES(X)                                                                                                 \
  X(F32, float, float)                                                                                                 \
  X(F64, double, double)
#define ARITHMETIC_TYPES(X) FLOAT_TYPES(X) INTEGER_TYPES(X)

#endif
