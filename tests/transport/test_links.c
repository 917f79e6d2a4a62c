/* SPDX-License-Identifier: Apache-2.0
 * One suite, every transport: what braid/transport.h promises of a link. */
#include "link_testing.h"

#include <sys/eventfd.h>
#include <unistd.h>

/* A free address: a new port, a new name. */
static const char *const any_inproc = "inproc://suite";

/* A loopback address of this process's own: a port that was free a moment ago is not taken by another process then. */
static const char *any_tcp(void) {
  static char uri[64];
  unsigned id = (unsigned)getpid();
  snprintf(uri, sizeof uri, "tcp://127.%u.%u.%u:*", 1 + (id >> 16) % 250, id >> 8 & 255, 1 + (id & 255) % 250);
  return uri;
}

#define LINK_TEST(name)                                                                                                \
  static void name(const char *any);                                                                                   \
  Test(tcp, name, .timeout = 60) {                                                                                     \
    name(any_tcp());                                                                                                   \
  }                                                                                                                    \
  Test(inproc, name, .timeout = 60) {                                                                                  \
    name(any_inproc);                                                                                                  \
  }                                                                                                                    \
  static void name(const char *any)

struct pair {
  struct braid_link *cloud, *edge;
  braid_peer peer; /* the edge, as the cloud sees it */
};

/* Both ends open, and the cloud has heard of the edge. */
static struct pair open_pair(const char *any) {
  struct pair p = {.cloud = open_link(any, true, 0)};
  p.edge = open_link(braid_link_address(p.cloud), false, 0);
  send_data(p.edge, 0, 999, 3);
  expect_data(p.cloud, &p.peer, 999, 3);
  cr_assert_neq(p.peer, 0);
  return p;
}

static void close_pair(struct pair *p) {
  braid_link_close(&p->edge);
  braid_link_close(&p->cloud);
  cr_assert(!p->edge && !p->cloud);
}

LINK_TEST(every_field_arrives) {
  struct pair p = open_pair(any);
  struct braid_msg sent = data_message(1, 100), got;
  sent.epoch = 0xfffffffe, sent.frame = UINT64_MAX - 5, sent.stamp_ns = INT64_MAX;
  sent.node = 77, sent.begin = 12, sent.end = 40;
  struct braid_msg copy = sent;
  cr_assert_eq(braid_link_send(p.edge, 0, &sent), BRAID_OK);
  cr_assert_eq(expect_message(p.cloud, &got), p.peer);
  cr_assert_eq(got.type, BRAID_MSG_DATA);
  cr_assert_eq(got.epoch, copy.epoch);
  cr_assert_eq(got.frame, copy.frame);
  cr_assert_eq(got.stamp_ns, copy.stamp_ns);
  cr_assert(got.node == 77 && got.begin == 12 && got.end == 40 && got.payload_bytes == 100);
  braid_msg_release(&got);
  cr_assert(!got.payload && !got.owner);
  braid_msg_release(&got); /* twice is fine */
  close_pair(&p);
}

LINK_TEST(both_ways_and_without_payload) {
  struct pair p = open_pair(any);
  struct braid_msg ack = {.type = BRAID_MSG_ACK, .frame = 12345}, got;
  cr_assert_eq(braid_link_send(p.cloud, p.peer, &ack), BRAID_OK);
  cr_assert_eq(expect_message(p.edge, &got), 0);
  cr_assert(got.type == BRAID_MSG_ACK && got.frame == 12345 && got.payload_bytes == 0 && !got.payload);
  braid_peer from;
  cr_assert_eq(braid_link_recv(p.edge, &from, &got), BRAID_ETIMEDOUT);
  close_pair(&p);
}

LINK_TEST(ten_thousand_messages_in_order) {
  enum { MESSAGES = 10000 };
  struct pair p = open_pair(any);
  int sent = 0, received = 0;
  while (received < MESSAGES) {
    for (bool room = true; room && sent < MESSAGES; sent += room) {
      struct braid_msg msg = data_message((uint64_t)sent, (size_t)(sent % 97));
      enum braid_status status = braid_link_send(p.edge, 0, &msg);
      room = status == BRAID_OK;
      cr_assert(room || status == BRAID_EBUSY, "%s", braid_error());
      braid_msg_release(&msg);
    }
    expect_data(p.cloud, NULL, (uint64_t)received, (size_t)(received % 97));
    received++;
  }
  close_pair(&p);
}

LINK_TEST(large_payloads_arrive_whole) {
  enum { BYTES = 16 << 20 };
  struct pair p = open_pair(any);
  send_data(p.edge, 0, 5, BYTES);
  send_data(p.cloud, p.peer, 6, BYTES);
  expect_data(p.cloud, NULL, 5, BYTES);
  expect_data(p.edge, NULL, 6, BYTES);
  close_pair(&p);
}

LINK_TEST(a_received_message_can_be_sent_on) {
  struct pair p = open_pair(any);
  for (size_t bytes = 10; bytes < 200000;
       bytes *= 20) { /* small ones live inside libzmq's buffer, large ones outside */
    struct braid_msg msg;
    send_data(p.edge, 0, bytes, bytes);
    expect_message(p.cloud, &msg);
    cr_assert_eq(braid_link_send(p.cloud, p.peer, &msg), BRAID_OK);
    expect_data(p.edge, NULL, bytes, bytes);
  }
  close_pair(&p);
}

LINK_TEST(payloads_outlive_their_link) {
  struct pair p = open_pair(any);
  struct braid_msg kept;
  send_data(p.edge, 0, 8, 50000);
  expect_message(p.cloud, &kept);
  close_pair(&p);
  cr_assert(data_intact(&kept, 50000));
  braid_msg_release(&kept);
}

LINK_TEST(many_peers_are_told_apart) {
  enum { PEERS = 24 };
  struct braid_link *cloud = open_link(any, true, 0), *edge[PEERS];
  braid_peer peer[PEERS] = {0};
  for (int i = 0; i < PEERS; i++) {
    edge[i] = open_link(braid_link_address(cloud), false, 0);
    send_data(edge[i], 0, (uint64_t)i, 10);
  }
  for (int i = 0; i < PEERS; i++) {
    struct braid_msg msg;
    braid_peer from = expect_message(cloud, &msg);
    cr_assert(from != 0 && msg.frame < PEERS && peer[msg.frame] == 0);
    for (int j = 0; j < PEERS; j++) cr_assert_neq(peer[j], from);
    peer[msg.frame] = from;
    braid_msg_release(&msg);
  }
  for (int i = 0; i < PEERS; i++) send_data(cloud, peer[i], (uint64_t)(100 + i), 20);
  for (int i = 0; i < PEERS; i++) expect_data(edge[i], NULL, (uint64_t)(100 + i), 20);
  for (int i = 0; i < PEERS; i++) braid_link_close(&edge[i]);
  braid_link_close(&cloud);
}

LINK_TEST(a_chatty_peer_does_not_starve_another) {
  struct pair p = open_pair(any);
  struct braid_link *quiet = open_link(braid_link_address(p.cloud), false, 0);
  for (int i = 0; i < 300; i++) send_data(p.edge, 0, (uint64_t)i, 1);
  send_data(quiet, 0, 1000, 1);
  bool heard = false;
  for (int i = 0; i < 301; i++) {
    struct braid_msg msg;
    expect_message(p.cloud, &msg);
    heard |= msg.frame == 1000;
    braid_msg_release(&msg);
  }
  cr_assert(heard);
  braid_link_close(&quiet);
  close_pair(&p);
}

/* The address of a listener that has gone again. */
static void free_address(const char *any, char *address, size_t size) {
  struct braid_link *link = open_link(any, true, 0);
  snprintf(address, size, "%s", braid_link_address(link));
  braid_link_close(&link);
}

LINK_TEST(either_side_may_come_first) {
  char address[320];
  free_address(any, address, sizeof address);
  struct braid_link *edge = open_link(address, false, 0);
  send_data(edge, 0, 1, 2000);
  struct braid_link *cloud = open_link(address, true, 0);
  braid_peer peer;
  expect_data(cloud, &peer, 1, 2000);
  send_data(cloud, peer, 2, 2000);
  expect_data(edge, NULL, 2, 2000);
  braid_link_close(&cloud); /* and the listener may go first */
  braid_link_close(&edge);
}

LINK_TEST(a_full_queue_is_busy_and_the_caller_keeps_the_message) {
  char address[320];
  free_address(any, address, sizeof address);
  struct braid_link *edge = open_link(address, false, 0);
  enum braid_status status = BRAID_OK;
  struct braid_msg msg = {0};
  int sent = -1;
  while (status == BRAID_OK) {
    cr_assert_lt(++sent, 100000, "the queue has no end");
    msg = data_message((uint64_t)sent, 64);
    status = braid_link_send(edge, 0, &msg);
  }
  cr_assert_eq(status, BRAID_EBUSY);
  cr_assert(sent > 100 && data_intact(&msg, 64));
  struct braid_link *cloud = open_link(address, true, 0);
  for (int i = 0; i < sent; i++) expect_data(cloud, NULL, (uint64_t)i, 64);
  do { /* room again, at the latest when libzmq's thread has told its other end */
    status = braid_link_send(edge, 0, &msg);
    if (status != BRAID_OK) braid_link_wait(edge, -1, 1000000);
  } while (status == BRAID_EBUSY);
  cr_assert_eq(status, BRAID_OK);
  expect_data(cloud, NULL, (uint64_t)sent, 64);
  braid_link_close(&edge);
  braid_link_close(&cloud);
}

LINK_TEST(a_slow_reader_makes_the_listener_busy) {
  struct pair p = open_pair(any);
  enum braid_status status = BRAID_OK;
  struct braid_msg msg = {0};
  for (int sent = 0; status == BRAID_OK; sent++) {
    cr_assert_lt(sent, 100000, "the queue has no end");
    msg = data_message((uint64_t)sent, 30000);
    status = braid_link_send(p.cloud, p.peer, &msg);
  }
  cr_assert_eq(status, BRAID_EBUSY, "%s", braid_error());
  cr_assert(data_intact(&msg, 30000));
  braid_msg_release(&msg);
  close_pair(&p);
}

LINK_TEST(a_peer_that_has_gone_is_closed) {
  struct pair p = open_pair(any);
  struct braid_msg msg = data_message(1, 100);
  braid_link_close(&p.edge);
  enum braid_status status = BRAID_OK;
  for (int tries = 0; tries < 20000 && status != BRAID_ECLOSED; tries++) {
    status = braid_link_send(p.cloud, p.peer, &msg);
    if (status == BRAID_OK) msg = data_message(1, 100); /* went on the way to nobody */
    braid_link_wait(p.cloud, -1, 1000000);
  }
  cr_assert_eq(status, BRAID_ECLOSED);
  cr_assert(data_intact(&msg, 100));
  cr_assert_eq(braid_link_send(p.cloud, p.peer, &msg), BRAID_ECLOSED);
  cr_assert_eq(braid_link_send(p.cloud, p.peer + 4711, &msg), BRAID_ECLOSED, "a peer that never was");
  braid_msg_release(&msg);
  close_pair(&p);
}

/* Reads until the news comes; only data may come before it. */
static braid_peer expect_end(struct braid_link *link, int *messages) {
  struct braid_msg msg;
  braid_peer peer = 0;
  enum braid_status status;
  for (*messages = 0; (status = next_message(link, &peer, &msg)) == BRAID_OK; ++*messages) braid_msg_release(&msg);
  cr_assert_eq(status, BRAID_ECLOSED, "%s", braid_status_text(status));
  return peer;
}

LINK_TEST(a_listener_hears_that_a_peer_has_gone_after_its_last_words) {
  struct pair p = open_pair(any);
  struct braid_link *other = open_link(braid_link_address(p.cloud), false, 0);
  send_data(p.edge, 0, 1, 50000);
  send_data(p.edge, 0, 2, 10);
  braid_link_close(&p.edge);
  int messages;
  cr_assert_eq(expect_end(p.cloud, &messages), p.peer);
  cr_assert_eq(messages, 2);
  cr_assert(strlen(braid_error()) > 0);
  send_data(other, 0, 3, 10); /* nobody else is touched, and it is told once */
  expect_data(p.cloud, NULL, 3, 10);
  struct braid_msg msg = data_message(1, 1);
  cr_assert_eq(braid_link_send(p.cloud, p.peer, &msg), BRAID_ECLOSED);
  braid_msg_release(&msg);
  braid_link_close(&other);
  close_pair(&p);
}

LINK_TEST(a_connecting_link_ends_with_its_connection) {
  struct pair p = open_pair(any);
  char address[320];
  snprintf(address, sizeof address, "%s", braid_link_address(p.cloud));
  send_data(p.cloud, p.peer, 1, 50000);
  braid_link_close(&p.cloud);
  int messages;
  cr_assert_eq(expect_end(p.edge, &messages), 0);
  cr_assert_leq(messages, 1);
  cr_assert(strstr(braid_error(), "lost") || strstr(braid_error(), "gone"), "%s", braid_error());
  p.cloud = open_link(address, true, 0); /* a new listener there does not revive it */
  for (int i = 0; i < 3; i++) {
    struct braid_msg msg = data_message(1, 1);
    braid_peer peer;
    cr_assert_eq(braid_link_send(p.edge, 0, &msg), BRAID_ECLOSED);
    braid_msg_release(&msg);
    braid_link_wait(p.edge, -1, 1000000);
    cr_assert_eq(braid_link_recv(p.edge, &peer, &msg), BRAID_ECLOSED);
  }
  close_pair(&p);
}

LINK_TEST(a_dropped_peer_gets_the_last_words_and_is_not_heard_again) {
  struct pair p = open_pair(any);
  struct braid_link *other = open_link(braid_link_address(p.cloud), false, 0);
  send_data(p.edge, 0, 1, 10);
  send_data(p.cloud, p.peer, 2, 1000);
  braid_link_drop(p.cloud, p.peer);
  braid_link_drop(p.cloud, p.peer);
  struct braid_msg msg = data_message(1, 1);
  cr_assert_eq(braid_link_send(p.cloud, p.peer, &msg), BRAID_ECLOSED);
  braid_msg_release(&msg);
  expect_data(p.edge, NULL, 2, 1000);
  braid_peer peer;
  enum braid_status status = BRAID_ETIMEDOUT;
  for (int i = 0; i < 1000 && status == BRAID_ETIMEDOUT; i++) { /* both ends live in this thread */
    cr_assert_eq(braid_link_recv(p.cloud, &peer, &msg), BRAID_ETIMEDOUT);
    braid_link_wait(p.cloud, -1, 5000000);
    braid_link_wait(p.edge, -1, 5000000);
    status = braid_link_recv(p.edge, &peer, &msg);
  }
  cr_assert_eq(status, BRAID_ECLOSED, "%s", braid_status_text(status));
  send_data(other, 0, 3, 10);
  expect_data(p.cloud, &peer, 3, 10);
  cr_assert_neq(peer, p.peer);
  braid_link_close(&other);
  close_pair(&p);
}

LINK_TEST(peer_numbers_are_not_reused) {
  struct pair p = open_pair(any);
  braid_peer seen[8] = {p.peer};
  for (int i = 1; i < 8; i++) {
    braid_link_close(&p.edge);
    p.edge = open_link(braid_link_address(p.cloud), false, 0);
    send_data(p.edge, 0, 1, 1);
    enum braid_status status;
    struct braid_msg msg;
    while ((status = next_message(p.cloud, &seen[i], &msg)) == BRAID_ECLOSED) continue;
    cr_assert_eq(status, BRAID_OK);
    braid_msg_release(&msg);
    for (int j = 0; j < i; j++) cr_assert_neq(seen[i], seen[j]);
  }
  close_pair(&p);
}

LINK_TEST(last_words_are_delivered) {
  struct pair p = open_pair(any);
  send_data(p.edge, 0, 1, 100000);
  send_data(p.edge, 0, 2, 10);
  braid_link_close(&p.edge);
  expect_data(p.cloud, NULL, 1, 100000);
  expect_data(p.cloud, NULL, 2, 10);
  close_pair(&p);
}

LINK_TEST(wait_ends_for_a_message_and_for_the_wake_fd) {
  struct pair p = open_pair(any);
  int wake = eventfd(0, EFD_NONBLOCK);
  uint64_t count = 1;
  cr_assert_eq(write(wake, &count, sizeof count), sizeof count);
  braid_link_wait(p.cloud, wake, -1);
  cr_assert_eq(read(wake, &count, sizeof count), sizeof count, "wait does not read the wake fd");
  braid_link_wait(p.cloud, wake, 0);
  braid_link_wait(p.cloud, wake, 1);
  send_data(p.edge, 0, 5, 5);
  struct braid_msg msg;
  braid_peer peer;
  while (braid_link_recv(p.cloud, &peer, &msg) == BRAID_ETIMEDOUT) braid_link_wait(p.cloud, wake, -1);
  cr_assert_eq(msg.frame, 5);
  braid_msg_release(&msg);
  close(wake);
  close_pair(&p);
}

LINK_TEST(messages_over_the_limit_are_refused) {
  struct braid_link *cloud = open_link(any, true, 1000), *edge = open_link(braid_link_address(cloud), false, 0),
                    *strict = open_link(braid_link_address(cloud), false, 1000);
  struct braid_msg msg = data_message(1, 1001);
  cr_assert_eq(braid_link_send(strict, 0, &msg), BRAID_EINVAL);
  cr_assert(data_intact(&msg, 1001));
  cr_assert(strstr(braid_error(), "1001") && strstr(braid_error(), "1000"), "%s", braid_error());
  cr_assert_eq(braid_link_send(edge, 0, &msg), BRAID_OK);
  send_data(strict, 0, 2, 1000);
  enum braid_status status;
  braid_peer peer;
  while ((status = next_message(cloud, &peer, &msg)) == BRAID_EPROTO || status == BRAID_ECLOSED)
    continue; /* dropped by us, or with its connection by libzmq */
  cr_assert_eq(status, BRAID_OK, "%s", braid_error());
  cr_assert(msg.frame == 2 && data_intact(&msg, 1000));
  braid_msg_release(&msg);
  braid_link_close(&edge);
  braid_link_close(&strict);
  braid_link_close(&cloud);
}

LINK_TEST(what_the_wire_forbids_is_reported_with_its_peer) {
  struct pair p = open_pair(any);
  struct braid_msg msg = data_message(1, 10);
  braid_peer peer = 0;
  msg.begin = 5, msg.end = 5; /* no rows */
  cr_assert_eq(braid_link_send(p.edge, 0, &msg), BRAID_OK);
  cr_assert_eq(next_message(p.cloud, &peer, &msg), BRAID_EPROTO);
  cr_assert_eq(peer, p.peer);
  cr_assert(strstr(braid_error(), "DATA"), "%s", braid_error());
  send_data(p.edge, 0, 2, 10);
  expect_data(p.cloud, NULL, 2, 10);
  close_pair(&p);
}

LINK_TEST(an_address_in_use_is_named) {
  struct braid_link *first = open_link(any, true, 0), *second = NULL;
  const char *address = braid_link_address(first);
  cr_assert_eq(braid_link_open(address, &(struct braid_link_opts){.listen = true}, &second), BRAID_EBUSY);
  cr_assert(strstr(braid_error(), address) && strstr(braid_error(), "address already in use - choose another"), "%s",
            braid_error());
  cr_assert_null(second);
  braid_link_close(&first);
  braid_link_close(&first);
}

LINK_TEST(no_allocation_may_fail_badly) {
  long n = 1;
  for (enum braid_status status = BRAID_ENOMEM; status != BRAID_OK; n++) {
    struct braid_link *link = NULL;
    braid_alloc_fail_at(n);
    status = braid_link_open(any, &(struct braid_link_opts){.listen = true}, &link);
    braid_alloc_fail_at(0);
    cr_assert(status == BRAID_OK || (status == BRAID_ENOMEM && !link), "%s", braid_error());
    braid_link_close(&link);
  }
  cr_assert_gt(n, 2);
}

Test(links, malformed_addresses_are_named) {
  static const char *const bad[] = {"",           "tcp:/",         "udp://127.0.0.1:1", "tcp://127.0.0.1",
                                    "tcp://:5",   "tcp://h:",      "tcp://h:65536",     "tcp://h:1x",
                                    "tcp://h:-1", "tcp://[::1]:5", "inproc://",         "tcp://h:123456",
                                    "tcp://a/b:1"};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    struct braid_link *link = NULL;
    for (int listen = 0; listen < 2; listen++) {
      cr_assert_eq(braid_link_open(bad[i], &(struct braid_link_opts){.listen = listen}, &link), BRAID_EINVAL, "%s",
                   bad[i]);
      cr_assert(strstr(braid_error(), bad[i]), "'%s' is not in '%s'", bad[i], braid_error());
    }
  }
}
