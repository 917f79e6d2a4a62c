/* SPDX-License-Identifier: Apache-2.0
 * Messages and their payloads. A payload is either an allocation of braid_msg_init (owner NULL) or kept
 * alive by a transport. */
#include "link.h"

#include <string.h>

/* The room for the header before a payload lets links send both as one piece. */
enum braid_status braid_msg_init(struct braid_msg *msg, enum braid_msg_type type, size_t payload_bytes) {
  uint8_t *block = NULL;
  size_t bytes;
  if (payload_bytes > 0 &&
      (!braid_add_size(payload_bytes, BRAID_WIRE_HEADER_BYTES, &bytes) || !(block = braid_malloc(bytes))))
    return braid_fail(BRAID_ENOMEM, "no memory for a message of %zu bytes", payload_bytes);
  *msg = (struct braid_msg){
      .type = type, .payload = block ? block + BRAID_WIRE_HEADER_BYTES : NULL, .payload_bytes = payload_bytes};
  return BRAID_OK;
}

void braid_msg_release(struct braid_msg *msg) {
  struct payload_owner *owner = msg->owner;
  if (owner)
    owner->release(owner);
  else if (msg->payload)
    braid_free(msg->payload - BRAID_WIRE_HEADER_BYTES);
  memset(msg, 0, sizeof *msg);
}
