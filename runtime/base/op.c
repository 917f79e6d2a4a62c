/* SPDX-License-Identifier: Apache-2.0
 * Names of the operators. */
#include "braid/base.h"

const char *braid_op_name(enum braid_op op) {
  static const char *const name[] = {
#define X(id, text) text,
      BRAID_OPS(X)
#undef X
  };
  return (size_t)op < BRAID_OP_COUNT ? name[op] : "unknown operator";
}
