/* SPDX-License-Identifier: Apache-2.0
 * What only the ZeroMQ link can meet: bytes from programs that are not Braid, addresses that do not exist. */
#include "link_testing.h"
#include <netdb.h>

#include "zmq_peers.h"

#include <zmq.h>

struct raw {
  void *context, *socket;
};

static struct raw raw_connect(const char *address) {
  struct raw raw = {.context = zmq_ctx_new()};
  raw.socket = zmq_socket(raw.context, ZMQ_DEALER);
  int linger = 1000;
  zmq_setsockopt(raw.socket, ZMQ_LINGER, &linger, sizeof linger);
  cr_assert_eq(zmq_connect(raw.socket, address), 0);
  return raw;
}

static void raw_close(struct raw *raw) {
  zmq_close(raw->socket);
  zmq_ctx_term(raw->context);
}

struct part {
  const void *bytes;
  size_t size;
};

static void raw_send(struct raw *raw, const struct part *parts, int n) {
  for (int i = 0; i < n; i++)
    cr_assert_geq(zmq_send(raw->socket, parts[i].bytes, parts[i].size, i + 1 < n ? ZMQ_SNDMORE : 0), 0);
}

static void expect_refusal(struct braid_link *cloud, braid_peer *peer, const char *reason) {
  struct braid_msg msg;
  braid_peer from = 0;
  enum braid_status status = next_message(cloud, &from, &msg);
  cr_assert_eq(status, BRAID_EPROTO, "%s where '%s' was expected", braid_status_text(status), reason);
  cr_assert(strstr(braid_error(), reason), "'%s' is not in '%s'", reason, braid_error());
  cr_assert(from != 0 && (*peer == 0 || *peer == from));
  *peer = from;
}

static void header_of(enum braid_msg_type type, size_t payload_bytes, uint8_t *header) {
  struct braid_msg msg = {.type = type, .end = 1, .payload_bytes = payload_bytes};
  braid_wire_encode_header(&msg, header);
}

/* A message of that type which announces `announced` bytes and has `bytes` of the digits behind the header. */
static struct part message_of(enum braid_msg_type type, size_t announced, size_t bytes, uint8_t at[128]) {
  header_of(type, announced, at);
  memcpy(at + BRAID_WIRE_HEADER_BYTES, "1234567890", bytes);
  return (struct part){at, BRAID_WIRE_HEADER_BYTES + bytes};
}

Test(zmq, malformed_messages_are_dropped_one_by_one, .timeout = 60) {
  struct braid_link *cloud = open_link("tcp://127.0.0.1:0", true, 1000);
  struct raw raw = raw_connect(braid_link_address(cloud));
  uint8_t at[7][128];
  struct part good = message_of(BRAID_MSG_DATA, 5, 5, at[0]), old = message_of(BRAID_MSG_DATA, 5, 5, at[1]);
  at[1][4] = 9;
  struct {
    const char *reason;
    int n;
    struct part part[3];
  } cases[] = {
      {"header of 0 bytes", 1, {{"", 0}}},
      {"header of 5 bytes", 1, {{"hello", 5}}},
      {"header of 63 bytes", 1, {{at[0], 63}}},
      {"not a Braid message", 1, {{"GET / HTTP/1.1 .................................................", 64}}},
      {"wire version 9", 1, {old}},
      {"limit is 1000", 1, {message_of(BRAID_MSG_DATA, (size_t)1 << 40, 5, at[2])}},
      {"payload of 0 bytes", 1, {message_of(BRAID_MSG_DATA, 5, 0, at[3])}},
      {"payload of 4 bytes", 1, {message_of(BRAID_MSG_DATA, 5, 4, at[4])}},
      {"payload of 6 bytes", 1, {message_of(BRAID_MSG_DATA, 5, 6, at[5])}},
      {"where the header announces 0", 1, {message_of(BRAID_MSG_ACK, 0, 1, at[6])}},
      {"more than one part", 2, {good, {"6", 1}}},
      {"more than one part", 3, {good, {"", 0}, good}},
      {"header of 0 bytes", 2, {{"", 0}, good}},
  };
  braid_peer peer = 0;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    raw_send(&raw, cases[i].part, cases[i].n);
    expect_refusal(cloud, &peer, cases[i].reason);
  }
  raw_send(&raw, &good, 1);
  struct braid_msg msg;
  cr_assert_eq(expect_message(cloud, &msg), peer, "the same peer is still welcome");
  cr_assert(msg.payload_bytes == 5 && memcmp(msg.payload, "12345", 5) == 0);
  braid_msg_release(&msg);
  raw_close(&raw);
  braid_link_close(&cloud);
}

Test(zmq, a_part_over_the_limit_ends_only_its_own_connection, .timeout = 60) {
  struct braid_link *cloud = open_link("tcp://127.0.0.1:0", true, 1000);
  struct raw hostile = raw_connect(braid_link_address(cloud));
  struct braid_link *edge = open_link(braid_link_address(cloud), false, 0);
  uint8_t *bulk = braid_calloc(1, 1 << 20);
  header_of(BRAID_MSG_DATA, 1000, bulk);
  raw_send(&hostile, &(struct part){bulk, 1 << 20}, 1);
  send_data(edge, 0, 1, 900);
  expect_data(cloud, NULL, 1, 900);
  braid_free(bulk);
  raw_close(&hostile);
  braid_link_close(&edge);
  braid_link_close(&cloud);
}

/* A root without /etc/hosts knows no names. */
static const char *local_uri(void) {
  struct addrinfo *found;
  if (getaddrinfo("localhost", NULL, NULL, &found) == 0) {
    freeaddrinfo(found);
    return "tcp://localhost:0";
  }
  fprintf(stderr, "SKIPPED: 'localhost' does not resolve here, listening by number\n");
  return "tcp://127.0.0.1:0";
}

Test(zmq, the_bound_port_is_told) {
  struct braid_link *link = open_link(local_uri(), true, 0);
  int port = 0;
  cr_assert_eq(sscanf(braid_link_address(link), "tcp://127.0.0.1:%d", &port), 1, "%s", braid_link_address(link));
  cr_assert_gt(port, 0);
  braid_link_close(&link);
}

Test(zmq, addresses_that_cannot_be_are_named) {
  struct braid_link *link = NULL;
  struct braid_link_opts listen = {.listen = true, .allow_clear = true}, connect = {0};
  cr_assert_neq(braid_link_open("tcp://192.0.2.77:0", &listen, &link), BRAID_OK);
  cr_assert(strstr(braid_error(), "192.0.2.77") && strstr(braid_error(), "no such address"), "%s", braid_error());
  cr_assert_eq(braid_link_open("tcp://127.0.0.1:*", &connect, &link), BRAID_EINVAL);
  cr_assert_eq(braid_link_open("tcp://host..invalid:5", &connect, &link), BRAID_ENOTFOUND);
  cr_assert(strstr(braid_error(), "host..invalid") && strstr(braid_error(), "does not resolve"), "%s", braid_error());
}

static struct zmq_peer *heard(struct zmq_peers *peers, const void *id, size_t size) {
  bool is_new;
  return zmq_peers_heard(peers, id, size, &is_new);
}

Test(zmq, the_peer_table_is_bounded_and_forgets_the_longest_silent) {
  struct zmq_peers *peers = NULL;
  cr_assert_eq(zmq_peers_create(&peers), BRAID_OK);
  braid_peer first = heard(peers, "first", 5)->number, talker = heard(peers, "talker", 6)->number;
  for (uint32_t i = 0; i < 3 * LINK_MAX_PEERS; i++) {
    const struct zmq_peer *peer = heard(peers, &i, sizeof i);
    cr_assert(peer->number != first && peer->number != talker);
    cr_assert_eq(memcmp(zmq_peers_find(peers, peer->number)->id.bytes, &i, sizeof i), 0);
    cr_assert_eq(heard(peers, "talker", 6)->number, talker);
  }
  cr_assert_null(zmq_peers_find(peers, first));
  cr_assert_neq(heard(peers, "first", 5)->number, first, "who comes back is somebody new");
  zmq_peers_forget(peers, talker);
  zmq_peers_forget(peers, talker);
  cr_assert_null(zmq_peers_find(peers, talker));
  cr_assert_null(zmq_peers_find(peers, 0));
  cr_assert_neq(heard(peers, "talker", 6)->number, talker);
  zmq_peers_destroy(&peers);
}

Test(zmq, peers_that_leave_are_told_once) {
  struct zmq_peers *peers = NULL;
  const char *why = NULL;
  cr_assert_eq(zmq_peers_create(&peers), BRAID_OK);
  struct zmq_peer *a = heard(peers, "a", 1), *b = heard(peers, "b", 1);
  cr_assert_null(zmq_peers_next_leaving(peers, &why));
  zmq_peers_leave(peers, b, "first reason");
  zmq_peers_leave(peers, b, "second reason");
  zmq_peers_leave(peers, a, "forgotten before it was told");
  zmq_peers_forget(peers, a->number);
  cr_assert_eq(zmq_peers_next_leaving(peers, &why), b);
  cr_assert_str_eq(why, "first reason");
  cr_assert_null(zmq_peers_next_leaving(peers, &why));
  zmq_peers_destroy(&peers);
}
