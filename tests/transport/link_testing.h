/* SPDX-License-Identifier: Apache-2.0
 * Helpers for tests of links. */
#ifndef TESTS_TRANSPORT_LINK_TESTING_H
#define TESTS_TRANSPORT_LINK_TESTING_H

#include "braid/transport.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

static inline struct braid_link *open_link(const char *uri, bool listen, size_t max_payload_bytes) {
  struct braid_link *link = NULL;
  enum braid_status status = braid_link_open(uri, &(struct braid_link_opts){.listen = listen, .max_payload_bytes = max_payload_bytes}, &link);
  cr_assert_eq(status, BRAID_OK, "%s: %s", uri, braid_error());
  return link;
}

/* The next message or failure; gives up (BRAID_ETIMEDOUT) only when something is broken. */
static inline enum braid_status next_message(struct braid_link *link, braid_peer *peer, struct braid_msg *msg) {
  for (int tries = 0; tries < 300; tries++) {
    enum braid_status status = braid_link_recv(link, peer, msg);
    if (status != BRAID_ETIMEDOUT) return status;
    braid_link_wait(link, -1, 100000000);
  }
  return BRAID_ETIMEDOUT;
}

static inline braid_peer expect_message(struct braid_link *link, struct braid_msg *msg) {
  braid_peer peer = 0;
  enum braid_status status = next_message(link, &peer, msg);
  cr_assert_eq(status, BRAID_OK, "%s: %s", braid_status_text(status), braid_error());
  return peer;
}

/* A DATA message whose payload can be recognised by `tag`. */
static inline struct braid_msg data_message(uint64_t tag, size_t bytes) {
  struct braid_msg msg;
  cr_assert_eq(braid_msg_init(&msg, BRAID_MSG_DATA, bytes), BRAID_OK);
  msg.frame = tag;
  msg.end = 1;
  for (size_t i = 0; i < bytes; i++) msg.payload[i] = (uint8_t)(tag * 31 + i * 7 + (i >> 11));
  return msg;
}

static inline bool data_intact(const struct braid_msg *msg, size_t bytes) {
  if (msg->payload_bytes != bytes) return false;
  for (size_t i = 0; i < bytes; i++)
    if (msg->payload[i] != (uint8_t)(msg->frame * 31 + i * 7 + (i >> 11))) return false;
  return true;
}

static inline void send_data(struct braid_link *link, braid_peer peer, uint64_t tag, size_t bytes) {
  struct braid_msg msg = data_message(tag, bytes);
  enum braid_status status = braid_link_send(link, peer, &msg);
  cr_assert_eq(status, BRAID_OK, "%s", braid_error());
  cr_assert(!msg.payload && !msg.payload_bytes, "a sent message is emptied");
}

static inline void expect_data(struct braid_link *link, braid_peer *peer, uint64_t tag, size_t bytes) {
  struct braid_msg msg;
  braid_peer from = expect_message(link, &msg);
  if (peer) *peer = from;
  cr_assert_eq(msg.frame, tag);
  cr_assert(data_intact(&msg, bytes), "message %llu", (unsigned long long)tag);
  braid_msg_release(&msg);
}
#endif
