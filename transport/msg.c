/* SPDX-License-Identifier: Apache-2.0
 * Messages and their payloads. A payload is either a plain allocation (owner NULL) or kept alive by a transport. */
#include "link.h"

#include <string.h>

enum braid_status braid_msg_init(struct braid_msg *msg, enum braid_msg_type type, size_t payload_bytes) {
  uint8_t *payload = NULL;
  if (payload_bytes > 0 && !(payload = braid_malloc(payload_bytes)))
    return braid_fail(BRAID_ENOMEM, "no memory for a message of %zu bytes", payload_bytes);
  *msg = (struct braid_msg){.type = type, .payload = payload, .payload_bytes = payload_bytes};
  return BRAID_OK;
}

void braid_msg_release(struct braid_msg *msg) {
  struct payload_owner *owner = msg->owner;
  if (owner)
    owner->release(owner);
  else
    braid_free(msg->payload);
  memset(msg, 0, sizeof *msg);
}
