/* SPDX-License-Identifier: Apache-2.0 */
#include "session/refuse.h"

#include <ctype.h>
#include <string.h>

void refuse_send(struct braid_link *link, braid_peer peer, enum braid_status status, const char *text) {
  struct braid_msg msg;
  size_t bytes = strlen(text);
  if (braid_msg_init(&msg, BRAID_MSG_REFUSE, bytes) != BRAID_OK) return;
  if (bytes) memcpy(msg.payload, text, bytes);
  msg.begin = (uint32_t)status;
  if (braid_link_send(link, peer, &msg) != BRAID_OK) braid_msg_release(&msg);
}

char *refuse_text(const struct braid_msg *msg, char *buf, size_t size) {
  size_t n = msg->payload_bytes < size - 1 ? msg->payload_bytes : size - 1;
  for (size_t i = 0; i < n; i++) buf[i] = isprint(msg->payload[i]) ? (char)msg->payload[i] : '?';
  buf[n] = '\0';
  return buf;
}

enum braid_status refuse_status(const struct braid_msg *msg) {
  return msg->begin > BRAID_OK && msg->begin <= BRAID_EIO ? (enum braid_status)msg->begin : BRAID_EPROTO;
}
