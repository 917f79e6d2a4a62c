/* SPDX-License-Identifier: Apache-2.0
 * Message headers: what is taken keeps the limits readers rely on, and is the encoding of what was decoded. Bytes that
 * a header of another type would use are kept too, so encoding gives back every byte. */
#include "braid/transport.h"
#include "fuzz.h"

#include <string.h>

enum { LIMIT = 1 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct braid_msg msg;
  if (braid_wire_decode_header(data, size, LIMIT, &msg) != BRAID_OK) return 0;
  if (size != BRAID_WIRE_HEADER_BYTES || msg.payload_bytes > LIMIT || msg.payload || msg.owner) __builtin_trap();
  if (msg.type == BRAID_MSG_DATA && (msg.node > INT32_MAX || msg.end > INT32_MAX || msg.begin >= msg.end))
    __builtin_trap();
  if (msg.type == BRAID_MSG_MODEL && msg.payload_bytes > BRAID_MODEL_PART_MAX) __builtin_trap();
  uint8_t again[BRAID_WIRE_HEADER_BYTES];
  braid_wire_encode_header(&msg, again);
  if (memcmp(again, data, sizeof again) != 0) __builtin_trap();
  return 0;
}
